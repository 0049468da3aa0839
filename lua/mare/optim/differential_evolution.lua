-- differential_evolution.lua -- Storn and Price 1997, Differential evolution: a simple and
-- efficient heuristic for global optimization over continuous spaces; the variant
-- best/1/bin with dither, a generation at a time, and a polish by L-BFGS in the box.
--
-- The population is one tensor (k, n), so a generation costs a few tensor operations
-- beside the calls of f.

local core = require "mare.core".functions
local where = require "mare.ops".ops.where
local descent = require "mare.optim.descent"
local projected = require "mare.optim.projected"
local runs = require "mare.optim.run"

local M = {}

local huge = math.huge

-- One point in each of k equal layers of every axis (Latin hypercube: McKay, Beckman and
-- Conover 1979).
local function first_population(k, x, lo, hi)
  local n = x:numel()
  local X = core.rand({ k, n }, x.dtype)
  for j = 1, n do X:select(2, j):add_(core.randperm(k):to(x.dtype)) end
  X = (X - 1) / k * (hi - lo) + lo
  if x:ge(lo):all():item() ~= 0 and x:le(hi):all():item() ~= 0 then X[1] = x end
  return X
end

local function finite_or_huge(list)
  for i = 1, #list do
    if list[i] ~= list[i] then list[i] = huge end
  end
  return list
end

-- For each of k members two others, different from it and from each other: lists of indices.
local function pairs_of(k)
  local draws = core.rand({ 2, k }, "f64"):totable()
  local a, b = {}, {}
  for i = 1, k do
    local u = 1 + math.floor(draws[1][i] * (k - 1))
    local v = 1 + math.floor(draws[2][i] * (k - 2))
    if u >= i then u = u + 1 end
    local low, high = math.min(i, u), math.max(i, u)
    if v >= low then v = v + 1 end
    if v >= high then v = v + 1 end
    a[i], b[i] = u, v
  end
  return core.tensor(a, "i64"), core.tensor(b, "i64")
end

-- Trial points: best + F (a - b) where the dice or the one sure axis say so.
local function trials(s, F)
  local k, n, X = s.k, s.n, s.X
  local a, b = pairs_of(k)
  local mutant = X[s.best] + (X:index_select(1, a) - X:index_select(1, b)) * F
  local cross = core.rand({ k, n }, X.dtype):lt(s.crossover)
  local sure = core.randint(1, n, { k }):onehot(n)
  cross = cross:logical_or(sure)
  -- outside the box: somewhere inside instead
  local out = mutant:lt(s.lo):logical_or(mutant:gt(s.hi))
  local fresh = core.rand({ k, n }, X.dtype) * (s.hi - s.lo) + s.lo
  mutant = where(out, fresh, mutant)
  return where(cross, mutant, X)
end

local function find_best(f)
  local best = 1
  for i = 2, #f do if f[i] < f[best] then best = i end end
  return best
end

-- One generation; how far the best point moved.
local function evolve(s)
  local F = s.low + (s.high - s.low) * core.rand({ 1 }, "f64"):item()
  local V = trials(s, F)
  local values = finite_or_huge(s.run:values(V))
  local before = s.X[s.best]:clone()
  for i = 1, s.k do
    if values[i] <= s.f[i] then
      s.f[i] = values[i]
      s.X[i] = V[i]
    end
  end
  s.best = find_best(s.f)
  return (s.X[s.best] - before):norm():item()
end

-- Do the members agree, in f and in x?
local function spread(s)
  local mean, square = 0, 0
  for i = 1, s.k do mean = mean + s.f[i] / s.k end
  for i = 1, s.k do square = square + (s.f[i] - mean) ^ 2 / s.k end
  local close = math.sqrt(square) <= s.run.value_tol * (1e-8 + math.abs(mean))
  return close and "spread"
end

-- From the best point downhill in the box, where f has a gradient.
local function polish(run, x, f)
  run.evaluations = run.evaluations + 1
  if f - f ~= 0 or not run.problem:differentiable(x) then return f end
  local eps = descent.epsilon[x.dtype]
  local own = runs.new(run.problem, { steps = 200, tol = 1e-8, value_tol = eps, step_tol = eps })
  own.lo, own.hi = run.lo, run.hi
  local y = x:clone()
  local better = projected.run(own, y, {})
  run.evaluations = run.evaluations + own.evaluations
  run.gradients = run.gradients + own.gradients
  if better < f then x:copy_(y) end
  return math.min(f, better)
end

local function new_state(run, x, options)
  local n = x:numel()
  local s = {
    run = run, n = n, k = math.max(5, options.population or 15 * n), lo = run.lo, hi = run.hi,
    crossover = options.crossover or 0.7, low = 0.5, high = 1,
  }
  local F = options.factor
  if F then s.low, s.high = F, F end
  s.X = first_population(s.k, x, s.lo, s.hi)
  s.f = finite_or_huge(run:values(s.X))
  s.best = find_best(s.f)
  return s
end

--- Minimizes in the box run.lo, run.hi; x becomes the result and is a member of the
-- first population when it lies in the box.  Options: population (15 for each variable),
-- factor (F; by default drawn from 0.5 to 1 for every generation), crossover (0.7),
-- polish (true: go on with L-BFGS from the best point, where f has a gradient).
function M.run(run, x, options)
  local s = new_state(run, x, options)
  local reason = run:note(s.X[s.best], s.f[s.best])
  while not reason do
    local size = evolve(s)
    run.steps = run.steps + 1
    reason = run:note(s.X[s.best], s.f[s.best], nil, size) or spread(s)
  end
  x:copy_(s.X[s.best])
  local f = s.f[s.best]
  if options.polish ~= false and (reason == "spread" or reason == "steps") then
    f = polish(run, x, f)
  end
  return f, reason
end

return M
