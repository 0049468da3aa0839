-- complete.lua -- how a name or a file name that has been begun may go on.

local core = require "mare.core"

local M = {}

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function",
  "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until",
  "while" }

local tensor_fields = { "shape", "dtype", "grad", "is_tracked" }

-- -- what a value answers to ------------------------------------------------------------------

local function add_keys(names, t)
  for key in next, t do
    if type(key) == "string" then names[key] = true end
  end
end

-- The names that `holder.` and `holder:` may be followed by, as a set.
local function members(holder, names, depth)
  if core.functions.is_tensor(holder) then
    add_keys(names, core.methods)
    for _, field in ipairs(tensor_fields) do names[field] = true end
    return names
  end
  if type(holder) == "table" then add_keys(names, holder) end
  local meta = getmetatable(holder)
  if type(meta) ~= "table" or depth > 8 then return names end
  if type(meta.__members) == "function" then
    for _, name in ipairs(meta.__members(holder)) do names[name] = true end
  end
  if meta.__parent then members(meta.__parent, names, depth + 1) end
  local index = rawget(meta, "__index")
  if type(index) == "table" and index ~= holder then return members(index, names, depth + 1) end
  if type(index) == "function" then add_keys(names, meta) end
  return names
end

local function value_of(env, chain)
  local holder, first = nil, true
  for name in chain:gmatch "[%a_][%w_]*" do
    if not first and holder == nil then return nil end
    local ok, value = pcall(function() return (first and env or holder)[name] end)
    if not ok then return nil end
    holder, first = value, false
  end
  return holder
end

local function with_prefix(names, prefix)
  local list = {}
  for name in pairs(names) do
    local shown = prefix:find "^_" or not name:find "^_"
    if shown and name:sub(1, #prefix) == prefix and name:find "^[%a_][%w_]*$" then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

-- -- names ----------------------------------------------------------------------------

local function globals(env, names)
  for name in pairs(env) do
    if type(name) == "string" then names[name] = true end
  end
  for _, word in ipairs(keywords) do names[word] = true end
  return names
end

local function callable(v)
  local meta = getmetatable(v)
  return type(v) == "function" or type(meta) == "table" and meta.__call ~= nil
end

-- After a colon only what can be called.
local function methods(holder, names)
  for name in pairs(names) do
    local ok, value = pcall(function() return holder[name] end)
    if not ok or not callable(value) then names[name] = nil end
  end
  return names
end

local function after(env, chain, mark)
  local holder = value_of(env, chain)
  if holder == nil then return {} end
  local names = members(holder, {}, 0)
  return mark == ":" and methods(holder, names) or names
end

-- After a call or an index, whose value is not known: a tensor's methods.
local function tensor_methods()
  local names = {}
  add_keys(names, core.methods)
  return names
end

-- -- files ----------------------------------------------------------------------------

-- What stands in a string that is still open, or nil.
local function open_string(line)
  local quote, start
  local i = 1
  while i <= #line do
    local c = line:sub(i, i)
    if quote and c == "\\" then i = i + 1
    elseif quote == c then quote = nil
    elseif not quote and (c == "'" or c == '"') then quote, start = c, i + 1
    elseif not quote and line:find("^%-%-", i) then return nil end
    i = i + 1
  end
  return quote and line:sub(start) or nil
end

local function files(path)
  local dir, prefix = path:match "^(.*/)([^/]*)$"
  if not dir then dir, prefix = "", path end
  local where = dir == "" and "." or dir:gsub("^~/", (os.getenv "HOME" or "~") .. "/")
  local pipe = io.popen(("ls -1ap -- '%s' 2>/dev/null"):format((where:gsub("'", "'\\''"))))
  if not pipe then return {} end
  local list = {}
  for name in pipe:lines() do
    local hidden = name:find "^%." and not prefix:find "^%."
    if name:sub(1, #prefix) == prefix and not hidden and name ~= "./" and name ~= "../" then
      list[#list + 1] = dir .. name
    end
  end
  pipe:close()
  return list
end

-- -- both ----------------------------------------------------------------------------

--- How the end of a line may go on: a list, and the part of the line that every entry
-- would take the place of.  env is what names are looked up in.
-- `complete(_G, "x = mare.zer")  --> {"zeros"}, "zer"`
function M.complete(env, line)
  local path = open_string(line)
  if path then return files(path), path end
  local chain, mark, name = line:match "([%a_][%w_%.]*)%s*([.:])%s*([%a_]?[%w_]*)$"
  if chain then return with_prefix(after(env, chain, mark), name), name end
  name = line:match "[)%]}\"']%s*:%s*([%a_]?[%w_]*)$"
  if name then return with_prefix(tensor_methods(), name), name end
  name = line:match "([%a_]?[%w_]*)$"
  if name == "" then return {}, "" end
  return with_prefix(globals(env, {}), name), name
end

return M
