-- settings.lua -- what an estimator is told when it is made, checked against the rows it
-- declares: { name, default, what is allowed }.
--
--     { "covariance", "full", one_of = { "full", "shared" } }     one of some words
--     { "alpha", 1.0, lo = 0 }                                    a number, lo <= v <= hi
--     { "tol", 1e-4, above = 0 }                                  a number, v > above
--     { "iterations", 100, integer = true, lo = 1 }               a whole number
--     { "warm_start", false }                                     true or false
--     { "priors", nil, check = f }      f(v) gives the value to keep, or nil and why not
--
-- A row with optional = true may be left out though it has no default.

local check = require "mare.check"

local M = {}

-- -- values ---------------------------------------------------------------------------

local function one_of(row, v)
  for _, known in ipairs(row.one_of) do
    if known == v then return v end
  end
  return nil, check.unknown("value", v, row.one_of)
end

local function range(row)
  local hi = row.hi and (" and at most %s"):format(row.hi) or ""
  if row.above then return ("above %s%s"):format(row.above, hi) end
  return row.lo and ("at least %s%s"):format(row.lo, hi) or "finite"
end

local function number(row, v)
  if type(v) ~= "number" then return nil, ("number expected, got %s"):format(check.kind(v)) end
  if row.integer then
    local whole = math.tointeger(v)
    if not whole then return nil, ("whole number expected, got %s"):format(v) end
    v = whole
  end
  local bad = v ~= v or (v == math.huge and row.hi ~= v) or v == -math.huge or
    (row.lo and v < row.lo) or (row.hi and v > row.hi) or (row.above and v <= row.above)
  if bad then return nil, ("%s is not %s"):format(v ~= v and "nan" or v, range(row)) end
  return v
end

local function boolean(_, v)
  if type(v) == "boolean" then return v end
  return nil, ("true or false expected, got %s"):format(check.kind(v))
end

local function text(_, v)
  if type(v) == "string" then return v end
  return nil, ("string expected, got %s"):format(check.kind(v))
end

local by_default = { number = number, boolean = boolean, string = text }

local function checker(row)
  if row.check then return function(r, v) return r.check(v) end end
  if row.one_of then return one_of end
  if row.lo or row.hi or row.above or row.integer then return number end
  return assert(by_default[type(row[2])], row[1])
end

local function names_of(rows)
  local names = {}
  for i, row in ipairs(rows) do names[i] = row[1] end
  return names
end

--- The settings of an estimator from what the user gave: defaults where nothing was said.
-- Unknown names and values out of range are errors at the user's line.
function M.resolve(owner, rows, given)
  if given ~= nil and type(given) ~= "table" then
    check.argument(1, owner, "table of settings expected, got %s", check.kind(given))
  end
  local out, known = {}, {}
  for _, row in ipairs(rows) do
    local name, v = row[1], given and given[row[1]]
    known[name] = true
    if v == nil then
      out[name] = row[2]
    else
      local value, why = checker(row)(row, v)
      if value == nil then check.argument(1, owner, "%s: %s", name, why) end
      out[name] = value
    end
  end
  for name in pairs(given or {}) do
    if not known[name] then
      check.argument(1, owner, "%s", check.unknown("setting", name, names_of(rows)))
    end
  end
  return out
end

return M
