-- help.lua -- mare.help "adam": what is documented about a name, as text.

local check = require "mare.check"
local near = require "mare.near"

local M = {}

local all

-- All entries: those of the index, then methods of objects.
local function index()
  if not all then
    local doc = require "mare.doc"
    all = table.move(doc.index(), 1, #doc.index(), 1, {})
    for _, entry in ipairs(doc.methods()) do all[#all + 1] = entry end
  end
  return all
end

-- -- finding ------------------------------------------------------------------------------

-- "x:reshape", "mare.Tensor.reshape" -> "Tensor.reshape" and the like, in small letters
local function plain(name)
  return (name:gsub("%s*%b()%s*$", ""):gsub(":", "."):gsub("^mare%.", ""):lower())
end

local function last(name) return name:match "([^.]*)$" end

-- The entries whose path ends with the words of name; exact ones win over others.
local function find(name)
  local exact, ending, wanted = {}, {}, plain(name)
  for _, entry in ipairs(index()) do
    local path = plain(entry.path)
    if path == wanted then exact[#exact + 1] = entry
    elseif path:sub(-#wanted - 1) == "." .. wanted then ending[#ending + 1] = entry end
  end
  if #exact > 0 and wanted:find(".", 1, true) then return exact end
  return table.move(ending, 1, #ending, #exact + 1, exact)
end

-- methods after the functions of the same name
local function by_rank(a, b)
  if a.rank ~= b.rank then return a.rank < b.rank end
  return a.path:lower() < b.path:lower()
end

--- The names nearest to one, at most six: { "mare.nn.Softmax", ... }.
function M.nearest(name)
  local wanted, ranked, seen = last(plain(name)), {}, {}
  for _, entry in ipairs(index()) do
    local own = entry.name:lower()
    local rank = near.distance(wanted, own)
    if #wanted > 2 and own:find(wanted, 1, true) then rank = math.min(rank, 1) end
    ranked[#ranked + 1] = { rank = rank, path = entry.path, name = entry.name }
  end
  table.sort(ranked, by_rank)
  local list = {}
  for _, r in ipairs(ranked) do
    if #list >= 6 or #list >= 3 and r.rank > math.max(2, #wanted // 3) then break end
    if not seen[r.name] then list[#list + 1] = r.path end
    seen[r.name] = true
  end
  return list
end

--- The documented name that was probably meant by one that is none, or nil: one beside it,
-- where holder is a part, otherwise one of a method.
-- `help.meant("Relu", "nn") --> "mare.nn.ReLU"`
function M.meant(name, holder)
  local part = holder == "mare" and holder or "mare." .. holder:gsub("^mare%.", "")
  local beside, methods = {}, {}
  for _, entry in ipairs(index()) do
    local above = entry.path:match "^(.*)[.:]"
    local list = above == part and beside or not above:find "^mare" and methods or {}
    list[entry.name] = entry.path
  end
  local paths, names = next(beside) and beside or methods, {}
  for known in pairs(paths) do names[#names + 1] = known end
  table.sort(names)
  return paths[near.nearest(name, names)]
end

-- -- texts ----------------------------------------------------------------------------------

local function title(entry)
  if entry.part ~= "Tensor" then return entry.path .. (entry.args or "") end
  local args = entry.args or ""
  return "x:" .. entry.name .. args:gsub("^%(%a%f[%W],?%s*", "("):gsub("^%(%[, ", "([")
end

local function body(entry)
  local text = (entry.text or "not documented"):gsub("```\n?", "")
  return "  " .. text:gsub("%s+$", ""):gsub("\n", "\n  "):gsub("\n +\n", "\n\n")
end

local function same_text(a, b) return a.text == b.text and a.value == b.value end

-- Entries as text; a method that is the same function as another entry is one line.
local function describe(list)
  local out = {}
  for i, entry in ipairs(list) do
    local same
    for k = 1, i - 1 do same = same or same_text(list[k], entry) and list[k] end
    if same then out[#out + 1] = title(entry) .. ": the same"
    else out[#out + 1] = title(entry) .. "\n" .. body(entry) end
  end
  return table.concat(out, "\n\n")
end

-- What the first sentence of an entry says.
local function brief(entry)
  local text = (entry.text or ""):gsub("\n", " ")
  text = text:match "^(.-[^%d])%.%s" or text
  return #text > 60 and text:sub(1, 57) .. "..." or text
end

local function listed(list, most)
  local lines, width = {}, 0
  for i = 1, math.min(#list, most) do width = math.max(width, #list[i].path) end
  for i = 1, math.min(#list, most) do
    local e = list[i]
    lines[i] = "  " .. e.path .. (" "):rep(width - #e.path + 2) .. brief(e)
  end
  if #list > most then lines[#lines + 1] = ("  ... %d more"):format(#list - most) end
  return table.concat(lines, "\n")
end

local function part_text(name)
  local list, wanted = {}, plain(name)
  for _, entry in ipairs(index()) do
    local part = plain(entry.part)
    if part == wanted or entry.part == name then list[#list + 1] = entry end
  end
  if #list == 0 then return nil end
  return ("%s has %d names\n"):format(list[1].part, #list) .. listed(list, 400)
end

-- What a variable holds, when its name is not a documented one.
local function value_text(name, env)
  local holder = env
  for part in name:gmatch "[%a_][%w_]*" do
    local ok, value = pcall(function() return holder[part] end)
    if not ok or value == nil then return nil end
    holder = value
  end
  if holder == env then return nil end
  for _, entry in ipairs(index()) do
    if rawequal(entry.value, holder) then return describe { entry } end
  end
  local meta = getmetatable(holder)
  local class = type(meta) == "table" and rawget(meta, "__name")
  if class == "mare.Tensor" then
    return tostring(holder) .. "\n\n?Tensor lists the methods of tensors"
  end
  local list = type(class) == "string" and find(class) or {}
  return list[1] and describe(list) or nil
end

--- What is documented about a name: "adam", "loss.mse", "Tensor.reshape", "x:sum", a part
-- ("loss"), or, with an environment, a variable.  An unknown name brings the nearest ones.
function M.text(name, env)
  if type(name) ~= "string" then check.argument(1, "help", "name expected, got %s", type(name)) end
  name = name:match "^%s*(.-)%s*$"
  if name == "Tensor" then return part_text(name) end
  local list = find(name)
  if #list > 0 then return describe(list) end
  return part_text(name) or env and value_text(name, env) or
    ("nothing is named '%s'; near it:\n  %s"):format(name, table.concat(M.nearest(name), "\n  "))
end

--- All names whose path or words contain this text, as a list in text.
function M.search(word)
  if type(word) ~= "string" then
    check.argument(1, "search", "text expected, got %s", type(word))
  end
  local named, worded, wanted = {}, {}, word:lower()
  for _, entry in ipairs(index()) do
    if entry.path:lower():find(wanted, 1, true) then named[#named + 1] = entry
    elseif (entry.text or ""):lower():find(wanted, 1, true) then worded[#worded + 1] = entry end
  end
  table.move(worded, 1, #worded, #named + 1, named)
  if #named == 0 then return ("nothing is said about '%s'"):format(word) end
  return listed(named, 40)
end

--- mare.help(name): prints what is documented about a name.
-- `mare.help "sigmoid"`
return setmetatable(M, { __call = function(_, name)
  print(M.text(name == nil and "mare" or name))
end })
