-- rows.lua -- the optimizers of src/learn/optim.def as methods of minimize: one step of
-- the optimizer for each gradient of the whole function.

local core = require "mare.core".functions
local descent = require "mare.optim.descent"

local out = require "mare.ops".out
local largest = descent.largest

local M = {}

-- opt.lr now: a schedule has been called by the step
local function rate(opt)
  local lr = opt.lr
  return type(lr) == "number" and lr or nil
end

--- Minimizes by make(params, options), an optimizer; x is changed in place.  lo and hi,
-- when given, are the box into which every step is clipped.
function M.run(run, x, make, options, lo, hi)
  local old, g = x:clone(), core.empty(x.shape, x.dtype)
  local params, grads = run.problem:parts(x), run.problem:parts(g)
  local opt = make(params, options)
  for i, p in ipairs(params) do p.grad = grads[i] end
  local f = run:check_start(run:gradient(x, g))
  local reason = run:note(x, f, largest(g))
  while not reason do
    old:copy_(x)
    for i, p in ipairs(params) do p.grad = grads[i] end
    opt:step()
    if lo then M.clip(x, lo, hi) end
    run.steps = run.steps + 1
    local before = f
    f = run:gradient(x, g)
    local moved = x - old
    reason = run:note(x, f, largest(g), moved:norm():item(), rate(opt))
      or (run.value_tol > 0 or run.step_tol > 0)
        and run:settled(before, f, largest(moved), largest(x))
    if reason == "nan" then     -- back to where f was a number
      x:copy_(old)
      f = before
    end
  end
  return f, reason
end

--- x = min(max(x, lo), hi).
function M.clip(x, lo, hi)
  out.maximum(x, x, lo)
  out.minimum(x, x, hi)
end

return M
