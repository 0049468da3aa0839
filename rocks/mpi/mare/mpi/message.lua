-- message.lua -- values on their way: a text that says what they are, and the tensors in them.
-- Values are nil, booleans, numbers, strings, tensors and nested tables of these.

local check = require "mare.check"
local core = require "mare.core".functions

local M = {}

-- -- values to text -------------------------------------------------------------------------

local write

local function write_table(out, v, tensors, name)
  local keys = {}
  for k in next, v do keys[#keys + 1] = k end
  out[#out + 1] = string.pack("<c1j", "{", #keys)
  for _, k in ipairs(keys) do
    write(out, k, tensors, name)
    write(out, v[k], tensors, name)
  end
end

local function write_tensor(out, t, tensors)
  local shape = t.shape
  out[#out + 1] = string.pack("<c1s1B", "t", t.dtype, #shape)
  for i = 1, #shape do out[#out + 1] = string.pack("<j", shape[i]) end
  tensors[#tensors + 1] = t:detach():contiguous()
end

local writers = {
  ["nil"] = function() return "0" end,
  boolean = function(v) return v and "+" or "-" end,
  string = function(v) return string.pack("<c1s8", "s", v) end,
  number = function(v)
    return math.type(v) == "integer" and string.pack("<c1j", "i", v) or string.pack("<c1d", "d", v)
  end,
}

function write(out, v, tensors, name)
  local writer = writers[type(v)]
  if writer then out[#out + 1] = writer(v)
  elseif core.is_tensor(v) and not core.isclosed(v) then write_tensor(out, v, tensors)
  elseif type(v) == "table" and getmetatable(v) == nil then write_table(out, v, tensors, name)
  else
    check.argument(1, name, "a %s cannot be sent to another process",
      type(v) == "table" and "table with a metatable" or check.kind(v))
  end
end

--- The text of a value that was given to `name`, and its tensors, contiguous, in order.
function M.encode(name, v)
  local out, tensors = {}, {}
  write(out, v, tensors, name)
  return table.concat(out), tensors
end

-- -- text to values -------------------------------------------------------------------------

local read

local function read_table(text, at, tensors)
  local v, n, key = {}
  n, at = string.unpack("<j", text, at)
  for _ = 1, n do
    key, at = read(text, at, tensors)
    v[key], at = read(text, at, tensors)
  end
  return v, at
end

local function read_tensor(text, at, tensors)
  local dtype, ndim, shape
  dtype, ndim, at = string.unpack("<s1B", text, at)
  shape = {}
  for i = 1, ndim do shape[i], at = string.unpack("<j", text, at) end
  local t = core.empty(shape, dtype)
  tensors[#tensors + 1] = t
  return t, at
end

local readers = {
  ["0"] = function(_, at) return nil, at end,
  ["+"] = function(_, at) return true, at end,
  ["-"] = function(_, at) return false, at end,
  s = function(text, at) return string.unpack("<s8", text, at) end,
  i = function(text, at) return string.unpack("<j", text, at) end,
  d = function(text, at) return string.unpack("<d", text, at) end,
  t = read_tensor, ["{"] = read_table,
}

function read(text, at, tensors)
  return readers[text:sub(at, at)](text, at + 1, tensors)
end

--- The value of a text, with tensors that are not filled yet, and these in order.
function M.decode(text)
  local tensors = {}
  local v = read(text, 1, tensors)
  return v, tensors
end

return M
