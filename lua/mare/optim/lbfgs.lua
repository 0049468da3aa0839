-- lbfgs.lua -- the limited-memory quasi-Newton method of Broyden, Fletcher, Goldfarb and
-- Shanno (Nocedal 1980, Updating quasi-Newton matrices with limited storage; Liu and
-- Nocedal 1989, On the limited memory BFGS method for large scale optimization;
-- algorithms 7.4 and 7.5 of Nocedal and Wright 2006).

local core = require "mare.core".functions
local out = require "mare.ops".out
local check = require "mare.check"
local kinds = require "mare.optim.options"
local descent = require "mare.optim.descent"
local search = require "mare.optim.linesearch"
local runs = require "mare.optim.run"

local mul, sub = out.mul, out.sub
local dot, axpy = descent.dot, descent.axpy

local M = {}

-- -- the method: see descent.lua -------------------------------------------------------

local Method = {}
Method.__index = Method

--- memory: how many steps are remembered; lr: the first step tried, of a full one.
function M.method(options)
  return setmetatable({ memory = options.memory or 10, lr = options.lr or 1, pairs = {} },
    Method)
end

--- d = -H g by two loops over the remembered steps.
function Method:direction(_, g, d)
  local list, alpha = self.pairs, {}
  local spare = self.spare or core.empty(g.shape, g.dtype)
  self.spare = spare
  mul(d, g, -1)
  for i = #list, 1, -1 do
    local p = list[i]
    alpha[i] = dot(p.s, d) / p.sy
    axpy(d, -alpha[i], p.y, spare)
  end
  if #list > 0 then d:mul_(list[#list].sy / list[#list].yy) end
  for i = 1, #list do
    local p = list[i]
    axpy(d, alpha[i] - dot(p.y, d) / p.sy, p.s, spare)
  end
end

function Method:update(x, x1, g, g1)
  local list = self.pairs
  local p = #list >= self.memory and table.remove(list, 1) or self.unused
    or { s = core.empty(x.shape, x.dtype), y = core.empty(x.shape, x.dtype) }
  self.unused = nil
  sub(p.s, x1, x)
  sub(p.y, g1, g)
  p.sy, p.yy = dot(p.s, p.y), dot(p.y, p.y)
  -- without curvature a step teaches nothing
  if p.sy > descent.epsilon[x.dtype] * p.yy then list[#list + 1] = p else self.unused = p end
end

function Method:first(_, g)
  return #self.pairs > 0 and self.lr or math.min(1, 1 / g:norm(1):item()) * self.lr
end

function Method:forget()
  local any = #self.pairs > 0
  self.pairs = {}
  return any
end

--- What is remembered, as named tensors: "1.s" and "1.y" of the oldest step.
function Method:save()
  local state = {}
  for i, p in ipairs(self.pairs) do state[i .. ".s"], state[i .. ".y"] = p.s, p.y end
  return state
end

function Method:restore(state)
  self.pairs = {}
  while state[#self.pairs + 1 .. ".s"] do
    local i = #self.pairs + 1
    local p = { s = state[i .. ".s"]:clone(), y = state[i .. ".y"]:clone() }
    p.sy, p.yy = dot(p.s, p.y), dot(p.y, p.y)
    self.pairs[i] = p
  end
end

-- -- for estimators --------------------------------------------------------------------

local known = {
  memory = kinds.count(1), lr = kinds.positive, c1 = kinds.between(0, 1),
  c2 = kinds.between(0, 1), steps = kinds.count(0), tol = kinds.tolerance,
  value_tol = kinds.tolerance, step_tol = kinds.tolerance, target = kinds.number,
  evaluations = kinds.count(1), trace = kinds.flag, callback = kinds.callable,
}

-- a function of a flat vector as a problem (see problem.lua)
local Flat = { name = "lbfgs" }
Flat.__index = Flat

function Flat:gradient(x, g)
  local f, grad = self.f(x)
  if type(f) ~= "number" or not core.is_tensor(grad) or grad:numel() ~= self.n then
    check.fail("the function given to 'lbfgs' returned %s and %s; %s and %d elements expected",
      check.kind(f), core.is_tensor(grad) and "shape " .. check.shape(grad) or check.kind(grad),
      "a number", self.n)
  end
  g:copy_(grad:reshape(-1))
  return f
end

function Flat:unpack(x) return x:clone() end      -- luacheck: no self

--- Minimizes a function of one flat vector without the tape.  f(x) returns the value, a
-- number, and the gradient, a tensor like x; both tensors may be reused by the next call.
-- Options: memory (10), steps (1000), tol (1e-5 for f64, 1e-4 for f32: largest element
-- of the gradient), value_tol, step_tol (see run.lua), target, evaluations, lr, c1, c2,
-- trace, callback.  Returns x, a new tensor, and a table with f, reason, steps,
-- evaluations, trace.
--     local w, info = lbfgs.minimize(function(w) return loss, gradient end, w0, {tol = 1e-6})
function M.minimize(f, x0, options)
  check.callable(1, "lbfgs", f)
  check.tensor(2, "lbfgs", x0)
  kinds.check(3, "lbfgs", options, known)
  options = options or {}
  local eps = descent.epsilon[x0.dtype]
  if not eps then check.argument(2, "lbfgs", "f32 or f64 tensor expected, got %s", x0.dtype) end
  local limits = setmetatable({
    steps = options.steps or 1000, tol = options.tol or (x0.dtype == "f64" and 1e-5 or 1e-4),
    value_tol = options.value_tol or eps, step_tol = options.step_tol or eps / 16,
  }, { __index = options })
  local x = x0:detach():clone():reshape(-1)
  local run = runs.new(setmetatable({ f = f, n = x:numel() }, Flat), limits)
  local value, reason = descent.run(run, x, M.method(options),
    search.constants("lbfgs", 3, options, 0.9))
  return x, { f = value, reason = reason, steps = run.steps, evaluations = run.evaluations,
    trace = run.rows }
end

return M
