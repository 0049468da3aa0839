-- check.lua -- how Lua-level functions refuse what they cannot take: the error
-- stands at the line of the user's code, however deep inside mare it was seen.

local M = {}

local core = require "mare.core".functions
local near = require "mare.near"
local raise = core.fail

-- so that a part loaded by itself knows too which files are not the user's
core.source(core.here())

--- Raises an error at the user's line: fail("'%s' has no name", x).
function M.fail(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  raise(message)
end

--- "bad argument #2 to 'mse' (message)", at the user's line.  Where 'name' is a tensor's
-- method and was called as x:name(...), x is not counted.
function M.argument(position, name, message, ...)
  core.refuse(position, name, select("#", ...) > 0 and message:format(...) or message)
end

--- The shape of a tensor or a list of sizes as text: "32x100"; "scalar" for none.
function M.shape(t)
  local shape = type(t) == "table" and t or t.shape
  local size = {}
  for i = 1, #shape do size[i] = tostring(shape[i]) end
  return #size > 0 and table.concat(size, "x") or "scalar"
end

--- What a value is, for messages: "f32 tensor", "closed tensor", "number", "mare.Frame" ...
function M.kind(v)
  if core.is_tensor(v) then
    return core.isclosed(v) and "closed tensor" or v.dtype .. " tensor"
  end
  local meta = getmetatable(v)
  local name = type(v) ~= "string" and type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or type(v)
end

--- A value as messages show it: a number, a boolean or a string itself ("nan" for 0/0,
-- whatever its sign), anything else as what it is.
function M.text(v)
  local kind = type(v)
  if kind == "number" then return v ~= v and "nan" or tostring(v) end
  return (kind == "string" or kind == "boolean" or kind == "nil") and tostring(v) or M.kind(v)
end

local function sorted_keys(t)
  local list = {}
  for k in pairs(t) do list[#list + 1] = M.text(k) end
  table.sort(list)
  return list
end

--- The names of a table's keys in order: "a, b, c".
function M.names(t) return table.concat(sorted_keys(t), ", ") end

--- "unknown WHAT 'x'; did you mean 'y'? known: ..." for a list of names, or a table whose
-- keys they are.
function M.unknown(what, name, known)
  local names = #known > 0 and known or sorted_keys(known)
  local meant = type(name) == "string" and near.nearest(name, names)
  return ("unknown %s '%s'; %sknown: %s"):format(what, M.text(name),
    meant and ("did you mean '%s'? "):format(meant) or "", table.concat(names, ", "))
end

--- Refuses unknown options.  known is a set { name = anything but nil }.
-- The position is that of the options among the function's arguments.
function M.options(position, name, opts, known)
  if opts == nil then return end
  if type(opts) ~= "table" then
    M.argument(position, name, "table of options expected, got %s", M.kind(opts))
  end
  for k in pairs(opts) do
    if known[k] == nil then
      M.argument(position, name, "%s", M.unknown("option", k, known))
    end
  end
end

--- Refuses opt.step() where opt:step() was meant: self is no what, call what to write.
function M.method(what, self, call)
  M.fail("%s expected before the name, got %s: write %s", what, M.kind(self), call)
end

--- A tensor, open.
function M.tensor(position, name, v)
  if not core.is_tensor(v) or core.isclosed(v) then
    M.argument(position, name, "tensor expected, got %s", M.kind(v))
  end
  return v
end

--- A tensor of f32 or f64.
function M.real(position, name, v)
  local dtype = M.tensor(position, name, v).dtype
  if dtype ~= "f32" and dtype ~= "f64" then
    M.argument(position, name, "f32 or f64 tensor expected, got %s; convert it with :to \"f32\"",
      M.kind(v))
  end
  return v
end

--- A path: a string that the system takes whole.
function M.path(position, name, v)
  if type(v) ~= "string" then
    M.argument(position, name, "path expected, got %s", M.kind(v))
  elseif v:find("\0", 1, true) then
    M.argument(position, name, "a path has no zero byte")
  end
  return v
end

--- The tensor of a list that the user gave as this argument; option is its name where it
-- is one.
function M.list(position, name, list, dtype, option)
  local ok, t = pcall(core.tensor, list, dtype)
  if ok then return t end
  local why = type(t) == "string" and t:match "bad argument #%d to 'tensor' %((.*)%)$"
  if not why then error(t, 0) end
  M.argument(position, name, "%s%s", option and option .. ": " or "", why)
end

--- Returns f(...); what a function inside f refuses is refused as this argument of 'name'.
function M.within(position, name, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local message = tostring(results[2])
  local inner, why = message:match "bad argument #%d+ to '([%w_]+)' %((.*)%)$"
  if not inner then inner, why = message:match "calling '([%w_]+)' on bad self %((.*)%)$" end
  if inner == nil or inner == name then error(results[2], 0) end
  M.argument(position, name, "%s", why)
end

--- A dimension of n, 1-based or from the end, as 1..n.
function M.dimension(position, name, dim, n)
  local d = math.tointeger(dim)
  if type(dim) ~= "number" or not d then
    M.argument(position, name, "dimension expected, got %s",
      type(dim) == "number" and M.text(dim) or type(dim))
  end
  if d < 0 then d = d + n + 1 end
  if d < 1 or d > n then
    M.argument(position, name, "dimension %d is out of range for %d dimension%s", dim, n,
      n == 1 and "" or "s")
  end
  return d
end

--- A function, or something that can be called like one.
function M.callable(position, name, f)
  local meta = getmetatable(f)
  if type(f) ~= "function" and not (type(meta) == "table" and meta.__call) then
    M.argument(position, name, "function expected, got %s", f == nil and "no value" or M.kind(f))
  end
end

--- A number (or a default for nil), inside lo..hi when these are given; option is its
-- name where it stands in a table.
function M.number(position, name, value, default, lo, hi, option)
  if value == nil then value = default end
  local what = option and option .. ": " or ""
  if type(value) ~= "number" then
    M.argument(position, name, "%snumber expected, got %s", what, type(value))
  elseif value ~= value or (lo and value < lo) or (hi and value > hi) then
    M.argument(position, name, "%s%s is outside %s to %s", what, M.text(value),
      tostring(lo or -math.huge), tostring(hi or math.huge))
  end
  return value
end

--- A whole number of at least lo (1); option is its name where it is one.
function M.count(position, name, value, lo, option)
  local n = math.tointeger(value)
  if type(value) ~= "number" or not n or n < (lo or 1) then
    M.argument(position, name, "%swhole number of at least %d expected, got %s",
      option and option .. ": " or "", lo or 1,
      type(value) == "number" and M.text(value) or type(value))
  end
  return n
end

return M
