-- json.lua -- JSON texts for metadata: RFC 8259, objects with string keys, integers kept apart
-- from other numbers.  Reading executes nothing and goes no deeper than 100 levels.

local M = {}

--- What null reads as; encode writes it for this value.
M.null = setmetatable({}, { __tostring = function() return "null" end })

local DEEPEST = 100

-- -- writing --------------------------------------------------------------------------------

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\b"] = "\\b", ["\f"] = "\\f" }

local function quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c)
    return escapes[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function write_number(v)
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v ~= v or v == math.huge or v == -math.huge then
    error(("JSON has no %s"):format(tostring(v)), 0)
  end
  local text = ("%.15g"):format(v)
  if tonumber(text) ~= v then text = ("%.17g"):format(v) end
  return (text:gsub(",", "."))
end

local write

local function write_table(t, depth)
  if depth > DEEPEST then error("nested too deep for JSON", 0) end
  local parts = {}
  if #t > 0 or next(t) == nil then
    for i, v in ipairs(t) do parts[i] = write(v, depth) end
    for k in pairs(t) do
      if not parts[k] then error("a list with other keys, or with holes, is not JSON", 0) end
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local keys = {}
  for k in pairs(t) do
    if type(k) ~= "string" then error("keys of a JSON object are strings", 0) end
    keys[#keys + 1] = k
  end
  table.sort(keys)
  for i, k in ipairs(keys) do parts[i] = quote(k) .. ":" .. write(t[k], depth) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function write(v, depth)
  local kind = type(v)
  if v == M.null then return "null"
  elseif kind == "string" then return quote(v)
  elseif kind == "number" then return write_number(v)
  elseif kind == "boolean" then return tostring(v)
  elseif kind == "table" then return write_table(v, depth + 1) end
  error("JSON has no " .. kind, 0)
end

--- A value as JSON: strings, numbers, booleans, null, lists and tables with string keys (in
-- order); nil and a message for others.  An empty table is written as a list.
-- `json.encode { name = "x", sizes = { 2, 3 } }   --> {"name":"x","sizes":[2,3]}`
function M.encode(v)
  local ok, text = pcall(write, v, 0)
  if ok then return text end
  return nil, text
end

-- -- reading --------------------------------------------------------------------------------

local function fail(at, what) error(("JSON: %s at byte %d"):format(what, at), 0) end

local function skip(s, at) return s:find("[^ \t\r\n]", at) or #s + 1 end

local unescapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\",
  ["/"] = "/" }

-- The character of \uXXXX at `at` (its backslash), surrogate pairs joined; the next place.
local function unicode(s, at)
  local code = s:match("^\\u(%x%x%x%x)", at)
  if not code then fail(at, "bad escape") end
  code = tonumber(code, 16)
  if code >= 0xD800 and code <= 0xDBFF then
    local low = s:match("^\\u([dD][c-fC-F]%x%x)", at + 6)
    if not low then fail(at, "half a surrogate pair") end
    return utf8.char(0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00), at + 12
  elseif code >= 0xDC00 and code <= 0xDFFF then
    fail(at, "half a surrogate pair")
  end
  return utf8.char(code), at + 6
end

local function read_string(s, at)
  local parts, from = {}, at + 1
  while true do
    local stop = s:find('[%c"\\]', from)
    if not stop then fail(at, "unfinished string") end
    parts[#parts + 1] = s:sub(from, stop - 1)
    local c = s:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then fail(stop, "control character in a string") end
    local simple = unescapes[s:sub(stop + 1, stop + 1)]
    if simple then parts[#parts + 1], from = simple, stop + 2
    else parts[#parts + 1], from = unicode(s, stop) end
  end
end

local function read_number(s, at)
  local text = s:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local plain = text and text:match "^-?(%d+)"
  if not plain or (#plain > 1 and plain:byte() == 48) or text:find "%.[eE]?$" or
      text:find "%.[eE]" or not tonumber(text) then
    fail(at, "unexpected text")
  end
  return tonumber(text), at + #text
end

local read

local function read_list(s, at, depth)
  local list, i = {}, 0
  at = skip(s, at + 1)
  if s:sub(at, at) == "]" then return list, at + 1 end
  while true do
    i = i + 1
    list[i], at = read(s, at, depth)
    at = skip(s, at)
    local c = s:sub(at, at)
    if c == "]" then return list, at + 1 end
    if c ~= "," then fail(at, "',' or ']' expected") end
    at = skip(s, at + 1)
  end
end

local function read_object(s, at, depth)
  local object = {}
  at = skip(s, at + 1)
  if s:sub(at, at) == "}" then return object, at + 1 end
  while true do
    if s:sub(at, at) ~= '"' then fail(at, "a key expected") end
    local key
    key, at = read_string(s, at)
    at = skip(s, at)
    if s:sub(at, at) ~= ":" then fail(at, "':' expected") end
    object[key], at = read(s, skip(s, at + 1), depth)
    at = skip(s, at)
    local c = s:sub(at, at)
    if c == "}" then return object, at + 1 end
    if c ~= "," then fail(at, "',' or '}' expected") end
    at = skip(s, at + 1)
  end
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", M.null } }

function read(s, at, depth)
  if depth > DEEPEST then fail(at, "nested too deep") end
  local c = s:sub(at, at)
  if c == "{" then return read_object(s, at, depth + 1) end
  if c == "[" then return read_list(s, at, depth + 1) end
  if c == '"' then return read_string(s, at) end
  local word = words[c]
  if word and s:sub(at, at + #word[1] - 1) == word[1] then return word[2], at + #word[1] end
  return read_number(s, at)
end

--- The value that a JSON text stands for; nil and a message that names the byte when it is none.
-- null is json.null.
function M.decode(text)
  if type(text) ~= "string" then return nil, "JSON: string expected, got " .. type(text) end
  local ok, value, at = pcall(read, text, skip(text, 1), 0)
  if not ok then return nil, value end
  at = skip(text, at)
  if at <= #text then return nil, ("JSON: unexpected text at byte %d"):format(at) end
  return value
end

return M
