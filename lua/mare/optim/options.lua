-- options.lua -- what the options of minimizers may be.  A kind of option is a function
-- (value) -> true, or false and what was expected.

local check = require "mare.check"

local M = {}

local function number(v) return type(v) == "number" and v == v end

local function callable(v)
  local meta = getmetatable(v)
  return type(v) == "function" or type(meta) == "table" and meta.__call ~= nil
end

local function kind(expected, test)
  return function(v) return test(v), expected end
end

M.positive = kind("a positive number", function(v)
  return number(v) and v > 0 and v < math.huge
end)
M.rate = kind("a positive number or a function of the step", function(v)
  return number(v) and v > 0 and v < math.huge or callable(v)
end)
M.tolerance = kind("a number of at least 0", function(v) return number(v) and v >= 0 end)
M.number = kind("a number", number)
M.flag = kind("true or false", function(v) return type(v) == "boolean" end)
M.callable = kind("a function", callable)
M.integer = kind("a whole number", function(v)
  return type(v) == "number" and math.tointeger(v) ~= nil
end)
M.box = kind("{ low, high }", function(v) return type(v) == "table" end)

--- A whole number of at least lo.
function M.count(lo)
  return kind(("a whole number of at least %d"):format(lo), function(v)
    return type(v) == "number" and (math.tointeger(v) or lo - 1) >= lo
  end)
end

M.counts = kind("a whole number of at least 1 or a list of them", function(v)
  if type(v) ~= "table" then return M.count(1)(v) end
  for _, c in ipairs(v) do if not M.count(1)(c) then return false end end
  return #v > 0
end)

--- A number between lo and hi, the ends without hi.
function M.between(lo, hi)
  return kind(("a number from %g to below %g"):format(lo, hi), function(v)
    return number(v) and v >= lo and v < hi
  end)
end

--- One of the keys of a table.
function M.one_of(t)
  return kind("one of " .. check.names(t), function(v)
    return v ~= nil and t[v] ~= nil
  end)
end

local function show(v)
  if type(v) == "string" then return ("'%s'"):format(v) end
  if v ~= v then return "nan" end      -- its sign is of no interest
  return type(v) == "number" and check.text(v) or check.kind(v)
end

--- Refuses unknown options and values of a wrong kind; known is { name = kind }.  The
-- position is that of the options among the arguments of the function called name.
function M.check(position, name, options, known)
  check.options(position, name, options, known)
  for k, v in pairs(options or {}) do
    if known[k] ~= true then
      local ok, expected = known[k](v)
      if not ok then
        check.argument(position, name, "%s: %s expected, got %s", k, expected, show(v))
      end
    end
  end
end

return M
