-- lesson.lua -- what the examples share: options, pictures, the number to remember.
--
--     local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
--     local args = lesson.options("03-descent.lua", "Descent on a curve.", { steps = 1000 })
--     lesson.picture(fig, "03-descent")   -- shown, and saved as examples/out/03-descent.svg
--     lesson.key("minimum found", x)           -- the line that `make examples` compares

local argparse = require "argparse"

local M = {}

local here = arg[0]:match "^(.*)/" or "."
local folder = here .. "/out"

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

-- What options mean that several lessons have; others are explained by the lesson itself.
local meanings = {
  seed = "begins the random numbers", epochs = "passes over the training rows",
  steps = "updates of the weights", hidden = "units of a hidden layer", batch = "rows of a step",
  lr = "learning rate", eta = "learning rate", rows = "rows to learn from",
  points = "points to learn from", noise = "spread of the noise",
  dropout = "part of the units that a step leaves out",
  pictures = "type of the files: svg, png or pdf",
}

--- The options of a lesson: its file, a sentence, and { name = default } or, with a word on
-- what it means, { name = { default, "meaning" } }, of numbers and strings.  --help, --seed (1)
-- and --pictures (svg) are always there.
function M.options(file, about, defaults)
  local parser = argparse(file, about)
  local names = {}
  for name in pairs(defaults or {}) do names[#names + 1] = name end
  table.sort(names)
  parser:option("--seed", meanings.seed, "1", count)
  for _, name in ipairs(names) do
    local v, meaning = defaults[name], meanings[name]
    if type(v) == "table" then v, meaning = v[1], v[2] end
    local read = math.type(v) == "integer" and count or type(v) == "number" and number or nil
    parser:option("--" .. name, meaning, tostring(v), read)
  end
  parser:option("--pictures", meanings.pictures, "svg")
    :choices { "svg", "png", "pdf" }
  local args = parser:parse()
  M.pictures = args.pictures
  return args
end

--- Shows a figure in the terminal, and saves it to examples/out/NAME.svg where gnuplot is.
-- `make gallery` asks for a small picture, too.
function M.picture(fig, name, opts)
  fig:show()
  os.execute("mkdir -p '" .. folder .. "'")
  local path = ("%s/%s.%s"):format(folder, name, M.pictures)
  local ok, message = fig:save(path, opts)
  print(ok and "picture: " .. path or "no picture file: " .. message)
  if os.getenv "MARE_SMALL" then
    os.execute("mkdir -p '" .. here .. "/small'")
    dofile(here .. "/thumbnail.lua")(fig, ("%s/small/%s.svg"):format(here, name))
  end
end

--- Prints the number that this lesson is remembered by.
function M.key(what, value)
  print(("key: %s = %.6g"):format(what, value))
end

--- Ends a lesson that cannot be held here, and says why.
function M.skip(reason)
  print("skipped: " .. reason)
  os.exit(true)
end

--- A heading between the parts of what a lesson prints.
function M.title(text) print(("\n-- %s %s"):format(text, ("-"):rep(math.max(3, 70 - #text)))) end

return M
