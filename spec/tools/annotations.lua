-- annotations.lua -- prints what editors with the Lua language server read: every public
-- name with its words and parameters, from mare.doc.

local doc = require "mare.doc"

-- "(x, slope = 0.01)" as the parameters of a Lua function
local function parameters(args, method)
  local list = {}
  for part in ((args or "(...)"):sub(2, -2) .. ","):gmatch "%s*(.-)%s*," do
    local name = part:match "^[%[%s]*([%a_][%w_]*)"
    if part:find("...", 1, true) or part:find "^[{\"]" or not name then
      if part ~= "" then list[#list + 1] = "..." end
      break
    end
    if not (method and #list == 0 and name == "x" and not method.seen) then list[#list + 1] = name end
    if method then method.seen = true end
  end
  return table.concat(list, ", ")
end

local function comment(text)
  return "---" .. ((text or ""):gsub("%s+$", ""):gsub("\n", "\n---"))
end

local function callable(entry)
  local meta = getmetatable(entry.value)
  return type(entry.value) == "function" and "function" or
    type(meta) == "table" and meta.__call and "class" or "value"
end

local function print_entry(entry)
  print()
  print(comment(entry.text))
  local kind = callable(entry)
  if entry.part == "Tensor" then
    if entry.row then print "---@return mare.Tensor" end
    print(("function Tensor:%s(%s) end"):format(entry.name, parameters(entry.args, {})))
  elseif kind == "function" then
    if entry.row and entry.part ~= "mare.optim" then print "---@return mare.Tensor" end
    print(("function %s(%s) end"):format(entry.path, parameters(entry.args)))
  elseif kind == "class" then
    print "---@overload fun(...): table"
    print(entry.path .. " = {}")
  else
    print(entry.path .. " = nil")
  end
end

print [[
---@meta mare
-- Made from the documentation of Maré; not to be run.

---@class mare
local mare = {}

---@class mare.Tensor
---@field shape integer[]
---@field dtype "f32"|"f64"|"i64"|"u8"
---@field grad mare.Tensor?
---@operator add(mare.Tensor|number): mare.Tensor
---@operator sub(mare.Tensor|number): mare.Tensor
---@operator mul(mare.Tensor|number): mare.Tensor
---@operator div(mare.Tensor|number): mare.Tensor
---@operator pow(mare.Tensor|number): mare.Tensor
---@operator mod(mare.Tensor|number): mare.Tensor
---@operator idiv(mare.Tensor|number): mare.Tensor
---@operator unm: mare.Tensor
---@operator len: integer
local Tensor = {}]]

for _, part in ipairs(doc.parts()) do
  if part ~= "mare" and part ~= "Tensor" then print("\n" .. part .. " = {}") end
end
for _, entry in ipairs(doc.index()) do print_entry(entry) end
print "\nreturn mare"
