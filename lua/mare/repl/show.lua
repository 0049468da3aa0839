-- show.lua -- values as the prompt shows them: what has a text of its own (tensors, models,
-- figures) by that, plain tables by what is in them, and never more than a screen.

local M = {}

local WIDTH, LINES, DEPTH = 78, 20, 4

local function key_before(a, b)
  local ta, tb = type(a), type(b)
  if ta == tb and (ta == "number" or ta == "string") then return a < b end
  return ta < tb or ta == tb and tostring(a) < tostring(b)
end

local function has_text(v)
  local meta = getmetatable(v)
  return type(meta) == "table" and (meta.__tostring or meta.__name) and true or false
end

local function is_name(key) return type(key) == "string" and key:find "^[%a_][%w_]*$" ~= nil end

local brief

local function key_text(key, depth)
  if is_name(key) then return key end
  return "[" .. brief(key, depth) .. "]"
end

-- The entries of a table as texts: its list, then its fields in order.
local function entries(t, depth, most)
  local list, keys, n = {}, {}, rawlen(t)
  for i = 1, math.min(n, most) do list[i] = brief(rawget(t, i), depth) end
  for key in next, t do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then keys[#keys + 1] = key end
  end
  local left = n - #list
  table.sort(keys, key_before)
  for _, key in ipairs(keys) do
    if #list >= most then left = left + 1
    else list[#list + 1] = key_text(key, depth) .. " = " .. brief(rawget(t, key), depth) end
  end
  if left > 0 then list[#list + 1] = ("... %d more"):format(left) end
  return list
end

-- A value on one line, inside of another.
function brief(v, depth)
  if type(v) == "string" then
    local text = #v > 60 and v:sub(1, 57) .. "..." or v
    return (("%q"):format(text):gsub("\\\n", "\\n"))
  elseif math.type(v) == "float" then
    return require "mare.print".number(v, "f64")
  elseif type(v) == "table" and not has_text(v) then
    if next(v) == nil then return "{}" end
    if depth >= DEPTH then return "{...}" end
    return "{" .. table.concat(entries(v, depth + 1, 12), ", ") .. "}"
  end
  local text = tostring(v)
  local first = text:match "^[^\n]*"
  return first == text and text or first .. " ..."
end

local function table_text(t)
  local one = brief(t, 1)
  if #one <= WIDTH and not one:find "%.%.%. %d+ more" then return one end
  local list, lines, line = entries(t, 1, 120), {}, " "
  for i, entry in ipairs(list) do
    if i < #list then entry = entry .. "," end
    if #line + 1 + #entry > WIDTH and line ~= " " then
      lines[#lines + 1], line = line, " "
    end
    line = line .. " " .. entry
  end
  lines[#lines + 1] = line
  if #lines > LINES then
    local cut = #lines - LINES
    lines = table.move(lines, 1, LINES, 1, {})
    lines[#lines + 1] = ("  ... %d lines more"):format(cut)
  end
  return "{\n" .. table.concat(lines, "\n") .. "\n}"
end

--- A value as text.
-- `show { 1, 2, a = "b" }  --> {1, 2, a = "b"}`
function M.text(v)
  if type(v) == "table" and not has_text(v) then
    if next(v) == nil then return "{}" end
    return table_text(v)
  elseif math.type(v) == "float" then
    return require "mare.print".number(v, "f64")
  end
  return tostring(v)
end

return M
