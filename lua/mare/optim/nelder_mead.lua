-- nelder_mead.lua -- the simplex method of Nelder and Mead 1965, A simplex method for
-- function minimization, with coefficients that adapt to the number of variables (Gao
-- and Han 2012, Implementing the Nelder-Mead simplex algorithm with adaptive parameters).
--
-- The corners are rows of one tensor, sorted by index; f may be infinite or nan, which
-- counts as infinite.  A step that moves one corner takes O(n): the sum of the corners and
-- their order are kept up to date.

local core = require "mare.core".functions
local descent = require "mare.optim.descent"
local clip = require "mare.optim.rows".clip

local M = {}

local huge = math.huge

local function value(run, x)
  local f = run:value(x)
  return f == f and f or huge
end

-- The first simplex: x0 and a step of a twentieth along each axis.
local function corners(run, x, options)
  local n = x:numel()
  local X = core.empty({ n + 1, n }, x.dtype)
  X:copy_(x:reshape(1, n):expand(n + 1, n))
  for i = 1, n do
    local v = x[i]:item()
    local size = options.simplex or v ~= 0 and 0.05 * math.abs(v) or 0.00025
    -- into the box where the step would leave it
    if run.hi and v + size > run.hi[i]:item() then size = -size end
    X[{ i + 1, i }] = v + size
  end
  return X
end

-- s: corners X, their values f, order: corner indices from best to worst, sum: of all corners,
-- summed anew after as many moves as there are corners, as each rounds it.
local function new_state(run, x, options)
  local n = x:numel()
  local s = { run = run, n = n, X = corners(run, x, options), f = {}, order = {}, moves = 0 }
  if run.lo then clip(s.X, run.lo, run.hi) end
  for i = 1, n + 1 do
    s.f[i] = i == 1 and run:check_start(run:value(s.X[1]), true) or value(run, s.X[i])
    s.order[i] = i
  end
  local m = options.adaptive == false and 2 or math.max(n, 2)
  s.expand, s.contract, s.shrink = 1 + 2 / m, 0.75 - 1 / (2 * m), 1 - 1 / m
  return s
end

local function sort(s)
  local f = s.f
  table.sort(s.order, function(a, b)
    if f[a] ~= f[b] then return f[a] < f[b] end
    return a < b
  end)
end

-- Moves the last corner of the order, whose value is new, to its place.
local function insert(s)
  local f, order = s.f, s.order
  local new = table.remove(order)
  local low, high = 1, s.n + 1 -- its place is one of these
  while low < high do
    local middle = (low + high) // 2
    local old = order[middle]
    if f[old] < f[new] or f[old] == f[new] and old < new then low = middle + 1
    else high = middle end
  end
  table.insert(order, low, new)
end

-- The mean of all corners but the worst.
local function centre(s)
  if s.moves == 0 then s.sum = s.X:sum(1) end
  s.moves = (s.moves + 1) % (s.n + 1)
  return (s.sum - s.X[s.order[s.n + 1]]) / s.n
end

-- The point c + t (c - worst), and f there.
local function try(s, c, t)
  local x = c:lerp(s.X[s.order[s.n + 1]], -t)
  if s.run.lo then clip(x, s.run.lo, s.run.hi) end
  return x, value(s.run, x)
end

local function replace(s, x, f)
  local worst = s.order[s.n + 1]
  s.sum:add_(x - s.X[worst])
  s.X[worst] = x
  s.f[worst] = f
  insert(s)
end

local function shrink(s)
  local best = s.order[1]
  local x = s.X[best]:clone()
  s.X:lerp_(x, 1 - s.shrink)
  s.X[best] = x
  for i = 1, s.n + 1 do
    if i ~= best then s.f[i] = value(s.run, s.X[i]) end
  end
  s.moves = 0
  sort(s)
end

local function step(s)
  local f, order = s.f, s.order
  local best, second, worst = f[order[1]], f[order[s.n]], f[order[s.n + 1]]
  local c = centre(s)
  local xr, fr = try(s, c, 1)
  if fr < best then
    local xe, fe = try(s, c, s.expand)
    if fe < fr then return replace(s, xe, fe) end
    return replace(s, xr, fr)
  elseif fr < second then
    return replace(s, xr, fr)
  elseif fr < worst then
    local xc, fc = try(s, c, s.contract)
    if fc <= fr then return replace(s, xc, fc) end
  else
    local xc, fc = try(s, c, -s.contract)
    if fc < worst then return replace(s, xc, fc) end
  end
  shrink(s)
end

-- Do all corners lie close to the best one, and are they as good?
local function spread(s, limits)
  local best = s.order[1]
  local x = s.X[best]
  local equal = s.f[s.order[s.n + 1]] - s.f[best] <= limits.value_tol * (1 + math.abs(s.f[best]))
  if not equal then return nil end      -- so it is too where all are infinite
  return (s.X - x):norm(huge):item() <= limits.step_tol * (1 + descent.largest(x)) and "spread"
end

--- Minimizes from x, which becomes the result.  Options: adaptive (true), simplex (the
-- length of the first simplex' edges; a twentieth of each element).
function M.run(run, x, options)
  local s = new_state(run, x, options)
  sort(s)
  local reason = run:note(s.X[1], s.f[1])
  while not reason do
    local before = s.X[s.order[1]]:clone()
    step(s)
    run.steps = run.steps + 1
    local best = s.order[1]
    reason = run:note(s.X[best], s.f[best], nil, (s.X[best] - before):norm():item())
      or spread(s, run)
  end
  x:copy_(s.X[s.order[1]])
  return s.f[s.order[1]], reason
end

return M
