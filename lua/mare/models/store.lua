-- store.lua -- a fitted estimator as a safetensors file: its tensors by name, all else
-- as text in the metadata.  What is read back is checked; nothing of it is executed.

local core = require "mare.core".functions
local io_ = require "mare.io"

local M = {}

local FORMAT = "mare.model 1"

-- -- values as text -------------------------------------------------------------------
-- A letter says what follows: n 0.5, i 3, s5:words, t, f, { key value ... }.

local function encode(v, out)
  local kind = math.type(v) or type(v)
  if kind == "integer" then out[#out + 1] = ("i%d;"):format(v)
  elseif kind == "float" then out[#out + 1] = ("n%a;"):format(v):gsub(",", ".") -- any locale
  elseif kind == "string" then out[#out + 1] = ("s%d:%s"):format(#v, v)
  elseif kind == "boolean" then out[#out + 1] = v and "t" or "f"
  else
    out[#out + 1] = "{"
    local keys = {}
    for k in pairs(v) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, k in ipairs(keys) do
      encode(k, out)
      encode(v[k], out)
    end
    out[#out + 1] = "}"
  end
end

local decode

local function decode_table(s, at, depth)
  local t = {}
  while s:sub(at, at) ~= "}" do
    local k, v
    k, at = decode(s, at, depth)
    if at == nil or k ~= k then return nil end
    v, at = decode(s, at, depth)
    if at == nil then return nil end
    t[k] = v
  end
  return t, at + 1
end

-- The value at a position and the position after it, or nothing.
function decode(s, at, depth)
  local kind = s:sub(at, at)
  if kind == "t" or kind == "f" then return kind == "t", at + 1 end
  if kind == "{" and depth < 16 then return decode_table(s, at + 1, depth + 1) end
  if kind == "s" then
    local n, first = s:match("^(%d%d?%d?%d?%d?%d?)():", at + 1)
    n = math.tointeger(tonumber(n))
    if n and first + n <= #s then return s:sub(first + 1, first + n), first + n + 1 end
  elseif kind == "i" or kind == "n" then
    local text, after = s:match("^([^;]*);()", at + 1)
    local v = text and (text == "inf" and math.huge or text == "-inf" and -math.huge
      or tonumber(text))
    if kind == "i" then v = math.tointeger(v) end
    if v then return v, after end
  end
  return nil
end

local function to_text(v)
  local out = {}
  encode(v, out)
  return table.concat(out)
end

local function from_text(s)
  local v, after = decode(s, 1, 0)
  if after ~= #s + 1 then return nil end
  return v
end

-- -- trees of tensors and values ------------------------------------------------------
-- "parts.#2.means" is the field means of the second of parts.

local function flatten(t, prefix, tensors, texts)
  for k, v in pairs(t) do
    local path = prefix .. (math.type(k) and "#" or "") .. k
    if core.is_tensor(v) then
      tensors[path] = v:iscontiguous() and v or v:contiguous()
    elseif type(v) == "table" and next(v) ~= nil then
      flatten(v, path .. ".", tensors, texts)
    else
      texts[path] = to_text(v)
    end
  end
end

local function place(root, path, v)
  local at = root
  local parents, last = path:match "^(.*)%.([^.]*)$"
  for key in (parents or ""):gmatch "[^.]+" do
    key = key:match "^#" and math.tointeger(tonumber(key:sub(2))) or key
    if at[key] == nil then at[key] = {} end
    at = at[key]
    if type(at) ~= "table" then return false end
  end
  last = last or path
  last = last:match "^#" and math.tointeger(tonumber(last:sub(2))) or last
  if last == nil or at[last] ~= nil then return false end
  at[last] = v
  return true
end

--- Writes what { settings = ..., learned = ... } holds under the estimator's name.
-- Returns true (the bytes without a path), or nil and a message.
function M.save(path, name, tree)
  local tensors, texts = {}, {}
  flatten(tree, "", tensors, texts)
  texts.format, texts.estimator = FORMAT, name
  return io_.save(path, tensors, texts)
end

--- The name and the tree from a file or { string = bytes }, or nil and a message.
function M.load(from)
  local tensors, texts = io_.load(from)
  if not tensors then return nil, texts end
  local name = texts.estimator
  if not texts.format or not name then return nil, "not the file of an estimator" end
  if texts.format ~= FORMAT then
    return nil, ("format '%s', not '%s'"):format(texts.format, FORMAT)
  end
  local tree = { settings = {}, learned = {} }
  for path, t in pairs(tensors) do
    if not place(tree, path, t) then return nil, ("no place for '%s'"):format(path) end
  end
  for path, text in pairs(texts) do
    if path ~= "format" and path ~= "estimator" then
      local v = from_text(text)
      if v == nil then return nil, ("'%s' cannot be read"):format(path) end
      if not place(tree, path, v) then return nil, ("no place for '%s'"):format(path) end
    end
  end
  return name, tree
end

return M
