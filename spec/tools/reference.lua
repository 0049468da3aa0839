-- reference.lua -- the reference of the operations, as Markdown, from their rows.

local mare = require "mare"
local core = require "mare.core"
local registry = require "mare.ops"
local linalg = require "mare.linalg"

local function sorted(t, keep)
  local names = {}
  for name, v in pairs(t) do
    if keep(v) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- "*" and "|" would be read as Markdown's own
local function cell(text) return (text:gsub("%s+", " "):gsub("[|]", "\\%0")) end

local function signature(row)
  local list = table.move(row.args, 1, #row.args, 1, {})
  for i, name in ipairs(row.params) do
    list[#list + 1] = ("%s = %g"):format(name, row.defaults[i])
  end
  return ("%s(%s)"):format(row.name, table.concat(list, ", "))
end

print(("# Maré %s: operations\n"):format(mare.version or ""))
print "Made by `make doc` from the rows of `src/ops/ops.def` and `lua/mare/ops.lua`.\n"

print "## Element by element\n"
print "| call | formula | derivatives | what it is |\n|---|---|---|---|"
for _, row in ipairs(core.functions.rows()) do
  local d = {}
  for i, text in ipairs(row.derivatives) do d[i] = text and "`" .. cell(text) .. "`" or "" end
  print(("| `%s` | `%s` | %s | %s |"):format(signature(row), cell(row.formula),
    table.concat(d, ", "), cell(row.doc)))
end

local function structured(row)
  return row.structured and (not row.internal or linalg[row.name] ~= nil)
end

print "\n## Structured\n"
print "| name | kind | what it is |\n|---|---|---|"
for _, name in ipairs(sorted(registry.rows, structured)) do
  local row = registry.rows[name]
  local called = row.internal and "linalg." .. name or name
  print(("| `%s` | %s | %s |"):format(called, row.kind or "", cell(row.doc or "")))
end
