-- lesson.lua -- what the examples share: options, pictures, the number to remember.
--
--     local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
--     local args = lesson.options("03-descent.lua", "Descent on a curve.", { steps = 1000 })
--     lesson.picture(fig, "03-descent")        -- examples/out/03-descent.svg, where gnuplot is
--     lesson.key("minimum found", x)           -- the line that `make examples` compares

local argparse = require "argparse"

local M = {}

local folder = (arg[0]:match "^(.*)/" or ".") .. "/out"

local function number(text)
  local v = tonumber(text)
  if v then return v end
  return nil, ("a number expected, got '%s'"):format(text)
end

-- A whole number from 1 on where the default is one.
local function count(text)
  local v = math.tointeger(tonumber(text))
  if v and v >= 1 then return v end
  return nil, ("a whole number from 1 on expected, got '%s'"):format(text)
end

--- The options of a lesson: its file, a sentence, and { name = default } of numbers and
-- strings.  --seed (1) and --help are always there.
function M.options(file, about, defaults)
  local parser = argparse(file, about)
  local names = {}
  for name in pairs(defaults or {}) do names[#names + 1] = name end
  table.sort(names)
  parser:option("--seed", "begins the random numbers", 1, count)
  for _, name in ipairs(names) do
    local v = defaults[name]
    local read = math.type(v) == "integer" and count or type(v) == "number" and number or nil
    parser:option("--" .. name, nil, v, read)
  end
  return parser:parse()
end

--- Shows a figure in the terminal, and saves it to examples/out/NAME.svg where gnuplot is.
function M.picture(fig, name, opts)
  fig:show()
  os.execute("mkdir -p '" .. folder .. "'")
  local path = ("%s/%s.svg"):format(folder, name)
  local ok, message = fig:save(path, opts)
  print(ok and "picture: " .. path or "no picture file: " .. message)
end

--- Prints the number that this lesson is remembered by.
function M.key(what, value)
  print(("key: %s = %.6g"):format(what, value))
end

--- A heading between the parts of what a lesson prints.
function M.title(text) print(("\n-- %s %s"):format(text, ("-"):rep(math.max(3, 70 - #text)))) end

return M
