-- projected.lua -- L-BFGS in a box: a variable at a bound that its gradient pushes
-- against stays there, the others take a quasi-Newton step, and the path is bent to
-- stay in the box (two-metric projection: Bertsekas 1982, Projected Newton methods for
-- optimization problems with simple constraints; Schmidt, Kim and Sra 2011, Projected
-- Newton-type methods in machine learning).

local core = require "mare.core".functions
local out = require "mare.ops".out
local lbfgs = require "mare.optim.lbfgs"
local descent = require "mare.optim.descent"
local clip = require "mare.optim.rows".clip

local dot, largest = descent.dot, descent.largest
local mul, sub = out.mul, out.sub

local M = {}

-- 1 where x may move, 0 where it is held at a bound
local function free(w, x, lo, hi)
  local held = x:le(lo):logical_and(w.g:gt(0)):logical_or(x:ge(hi):logical_and(w.g:lt(0)))
  return 1 - held:to(x.dtype)
end

-- How far the box lets x go down the gradient: 0 at a minimum.
local function optimality(w, x, lo, hi)
  sub(w.spare, x, w.g)
  clip(w.spare, lo, hi)
  sub(w.spare, w.spare, x)
  return largest(w.spare)
end

local function direction(method, w, x, mask)
  mul(w.pg, w.g, mask)
  method:direction(x, w.pg, w.d)
  mul(w.d, w.d, mask)
  local slope = dot(w.d, w.pg)
  if not (slope < 0 and slope > -math.huge) then
    method:forget()
    mul(w.d, w.pg, -1)
  end
end

-- Backtracking along the bent path: the step, nil when none is found.
local function step(run, w, x, f, a, c1)
  local noise = 4 * descent.epsilon[x.dtype] * math.abs(f)
  for _ = 1, 40 do
    mul(w.x1, w.d, a)
    w.x1:add_(x)
    clip(w.x1, run.lo, run.hi)
    w.f1 = run:gradient(w.x1, w.g1)
    sub(w.spare, w.x1, x)
    if w.f1 - w.f1 == 0 and w.f1 <= f + c1 * dot(w.g, w.spare) + noise then return a end
    a = a * (w.f1 - w.f1 == 0 and 0.5 or 0.1)
  end
end

local function advance(run, method, w, x, f, c1)
  direction(method, w, x, free(w, x, run.lo, run.hi))
  local a = step(run, w, x, f, method:first(f, w.pg, w.d), c1)
  if not a then return f, not method:forget() and "line search" end
  run.steps = run.steps + 1
  local length, change = w.spare:norm():item(), largest(w.spare)
  method:update(x, w.x1, w.g, w.g1)
  x:copy_(w.x1)
  w.g, w.g1 = w.g1, w.g
  return w.f1, run:note(x, w.f1, optimality(w, x, run.lo, run.hi), length, a)
    or run:settled(f, w.f1, change, largest(x))
end

--- Minimizes from x, which is changed in place, in the box run.lo, run.hi.
function M.run(run, x, options)
  local w = {}
  for _, name in ipairs { "g", "g1", "pg", "d", "x1", "spare" } do
    w[name] = core.empty(x.shape, x.dtype)
  end
  local method = lbfgs.method(options)
  local f = run:check_start(run:gradient(x, w.g))
  local reason = run:note(x, f, optimality(w, x, run.lo, run.hi))
  while not reason do f, reason = advance(run, method, w, x, f, options.c1 or 1e-4) end
  return f, reason
end

return M
