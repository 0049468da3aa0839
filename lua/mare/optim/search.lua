-- search.lua -- points of a box without a memory: at random (Bergstra and Bengio 2012,
-- Random search for hyper-parameter optimization) and on a grid.

local check = require "mare.check"
local core = require "mare.core".functions

local M = {}

local CHUNK = 256     -- points in one call of a vectorized function

-- Sees the rows of X in turn; keeps the best in x.  Returns f and a reason to stop.
local function see(run, x, X, best)
  local values = run.problem.vectorized and run:values(X)
  for i = 1, X.shape[1] do
    local f = values and values[i] or run:value(X[i])
    run.steps = run.steps + 1
    if f < best or best ~= best then
      best = f
      x:copy_(X[i])
    end
    local reason = run:note(x, best == best and best or math.huge)
    if reason then return best, reason end
  end
  return best
end

--- Draws `steps` points of the box run.lo, run.hi evenly; a first x inside counts too.
function M.random(run, x)
  local lo, hi = run.lo, run.hi
  local inside = x:ge(lo):all():item() ~= 0 and x:le(hi):all():item() ~= 0
  local best = inside and run:value(x) or 0 / 0
  local reason = inside and run:note(x, best == best and best or math.huge)
  while not reason do
    local k = math.min(CHUNK, run.most_steps - run.steps)
    if k == 0 then return best, "steps" end
    local X = core.rand({ k, x:numel() }, x.dtype) * (hi - lo) + lo
    best, reason = see(run, x, X, best)
  end
  return best, reason
end

-- The counts along the axes, and their product.
local function counts(run, points, n)
  local list, total = {}, 1
  if type(points) == "table" and #points ~= n then
    check.argument(3, run.name, "points: %d counts for %d variable%s", #points, n,
      n == 1 and "" or "s")
  end
  for i = 1, n do
    list[i] = type(points) == "table" and points[i] or points
    total = total * list[i]
  end
  return list, total
end

-- Points first .. first + k - 1 of the grid from lo to hi, the last axis fastest.
local function points_of(first, k, count, lo, hi, dtype)
  local n, list = #count, {}
  for i = 0, k - 1 do
    local rest = first + i
    for axis = n, 1, -1 do
      local c = count[axis]
      local t = c > 1 and (rest % c) / (c - 1) or 0.5
      list[i * n + axis] = lo[axis] + t * (hi[axis] - lo[axis])
      rest = rest // c
    end
  end
  return core.tensor(list, dtype):reshape(k, n)
end

local function sweep(run, x, count, total, lo, hi, best)
  local first, reason = 0, nil
  while first < total and not reason do
    local k = math.min(CHUNK, total - first)
    best, reason = see(run, x, points_of(first, k, count, lo, hi, x.dtype), best)
    first = first + k
  end
  return best, reason
end

-- The cells around x, inside the box.
local function around(x, count, lo, hi)
  local at, l, h = x:totable(), {}, {}
  for i, c in ipairs(count) do
    local cell = c > 1 and (hi[i] - lo[i]) / (c - 1) or (hi[i] - lo[i]) / 4
    l[i], h[i] = math.max(lo[i], at[i] - cell), math.min(hi[i], at[i] + cell)
  end
  return l, h
end

--- Every point of a grid over the box run.lo, run.hi.  Options: points (20: along each
-- axis, or a list with a count for each), refine (0: how often the cells around the best
-- point become a grid themselves).
function M.grid(run, x, options)
  local count, total = counts(run, options.points or 20, x:numel())
  local lo, hi = run.lo:totable(), run.hi:totable()
  local best, reason = sweep(run, x, count, total, lo, hi, 0 / 0)
  for _ = 1, options.refine or 0 do
    if reason then break end
    lo, hi = around(x, count, lo, hi)
    best, reason = sweep(run, x, count, total, lo, hi, best)
  end
  return best, reason or "complete"
end

return M
