-- descent.lua -- the loop that L-BFGS, conjugate gradients and Newton's method share:
-- a direction, a step along it by line search, what was learned from the step.
--
-- A method is an object with
--   direction(x, g, d)          fills d, in which f is to fall
--   update(x, x1, g, g1, d, a)  after the step from x to x1 = x + a d
--   first(f, g, d, slope)       the step to try first
--   forget()                    back to steepest descent; false if there was nothing
-- and the field run, which the loop sets.

local core = require "mare.core".functions
local out = require "mare.ops".out
local search = require "mare.optim.linesearch"

local mul, add, sub = out.mul, out.add, out.sub

local M = {}

local huge = math.huge

--- The rounding unit of a type.
M.epsilon = { f32 = 2 ^ -23, f64 = 2 ^ -52 }

function M.dot(x, y) return x:dot(y):item() end

function M.largest(x) return x:norm(huge):item() end

local dot, largest = M.dot, M.largest

--- y = y + a x; spare is a vector to use.
function M.axpy(y, a, x, spare)
  mul(spare, x, a)
  add(y, y, spare)
end

local function empty(x) return core.empty(x.shape, x.dtype) end

-- A step from (x, f, g) along d; the new point is left in w.x1, w.g1.
local function step(run, method, w, x, f, slope, options)
  local last
  local function phi(a)
    mul(w.spare, w.d, a)
    add(w.x1, x, w.spare)
    last = a
    w.f1 = run:gradient(w.x1, w.g1)
    return w.f1, dot(w.g1, w.d)
  end
  options.noise = 4 * M.epsilon[x.dtype] * math.abs(f)
  local found = search.strong_wolfe(phi, f, slope, method:first(f, w.g, w.d, slope), options)
  if found and found.a ~= last then phi(found.a) end
  return found
end

-- The direction of the method, or down the gradient where that does not descend.
local function direction(method, w, x)
  method:direction(x, w.g, w.d)
  local slope = dot(w.g, w.d)
  if slope < 0 and slope > -huge then return slope end
  method:forget()
  mul(w.d, w.g, -1)
  return dot(w.g, w.d)
end

local function advance(run, method, w, x, f, options)
  local slope = direction(method, w, x)
  local found = step(run, method, w, x, f, slope, options)
  local change = 0
  if found then
    sub(w.spare, w.x1, x)
    change = largest(w.spare)
  end
  if change == 0 then return f, not method:forget() and "line search" end
  local length = w.spare:norm():item()
  run.steps = run.steps + 1
  method:update(x, w.x1, w.g, w.g1, w.d, found.a)
  x:copy_(w.x1)
  w.g, w.g1 = w.g1, w.g
  return w.f1, run:note(x, w.f1, largest(w.g), length, found.a)
    or run:settled(f, w.f1, change, largest(x))
end

--- Minimizes from x, which is changed in place.  options are those of the line search.
-- Returns f and the reason to stop.
function M.run(run, x, method, options)
  local w = { g = empty(x), g1 = empty(x), d = empty(x), x1 = empty(x), spare = empty(x) }
  local f = run:check_start(run:gradient(x, w.g))
  local reason = run:note(x, f, largest(w.g))
  method.run = run
  while not reason do f, reason = advance(run, method, w, x, f, options) end
  return f, reason
end

return M
