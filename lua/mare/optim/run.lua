-- run.lua -- one run of a minimizer from one start: it counts, keeps the trace, and
-- says when to stop.
--
-- The reasons to stop:
--   gradient     the largest |df/dx| is at most tol
--   value        f changed by at most value_tol (1 + |f|) in a step
--   step         x changed by at most step_tol (1 + |x|) in a step
--   spread       the points of a population or simplex agree in x and in f
--   target       f is at most target
--   steps        as many steps as were allowed
--   evaluations  as many calls of f as were allowed
--   line search  no step along the direction lowers f: rounding, or a wrong gradient
--   nan          f or its gradient is nan or infinite
--   condition    cma_es: the axes of the distribution differ too much in length
--   callback     the callback returned true
--   complete     every point of a grid was seen

local check = require "mare.check"

local huge = math.huge

local Run = {}
Run.__index = Run

local M = {}

local SMALL = 100     -- the trace keeps x itself up to so many elements

--- A run on a problem (see problem.lua; only value, gradient, unpack, n and name are
-- used).  limits: steps, tol, value_tol, step_tol, target, evaluations, trace, callback.
function M.new(problem, limits)
  return setmetatable({
    problem = problem, name = problem.name, steps = 0, evaluations = 0, gradients = 0,
    limits = limits, tol = limits.tol or 0, value_tol = limits.value_tol or 0,
    step_tol = limits.step_tol or 0, target = limits.target,
    most_steps = limits.steps or huge, most_evaluations = limits.evaluations or huge,
    rows = limits.trace and {} or nil, callback = limits.callback,
  }, Run)
end

--- f at the flat vector x.
function Run:value(x)
  self.evaluations = self.evaluations + 1
  return self.problem:value(x)
end

--- f at each row of X.
function Run:values(X)
  self.evaluations = self.evaluations + X.shape[1]
  return self.problem:values(X)
end

--- f at x; its gradient goes into g.
function Run:gradient(x, g)
  self.evaluations = self.evaluations + 1
  self.gradients = self.gradients + 1
  return self.problem:gradient(x, g)
end

--- f at the start, which has to be a number; infinite is allowed where `open`.
function Run:check_start(f, open)
  if f ~= f or not open and f - f ~= 0 then
    check.argument(2, self.name, "f is %s at the start", f ~= f and "nan" or tostring(f))
  end
  return f
end

local function make_row(self, x, f, norm, size, rate)
  local row = { step = self.steps, f = f, gradient_norm = norm, step_size = size, rate = rate,
    evaluations = self.evaluations }
  if self.callback or self.problem.n <= SMALL then row.x = self.problem:unpack(x) end
  return row
end

--- Notes the point after a step (the start is step 0): norm is the largest |df/dx|,
-- size the length of the step, rate what it was made with.  Returns a reason to stop.
function Run:note(x, f, norm, size, rate)
  if self.rows or self.callback then
    local row = make_row(self, x, f, norm, size, rate)
    if self.rows then self.rows[self.steps] = row end
    if self.callback and self.callback(row) then return "callback" end
    if self.problem.n > SMALL then row.x = nil end
  end
  if f ~= f or norm and (norm - norm ~= 0 or f - f ~= 0) then return "nan" end
  if self.target and f <= self.target then return "target" end
  if norm and norm <= self.tol then return "gradient" end
  if self.evaluations >= self.most_evaluations then return "evaluations" end
  if self.steps >= self.most_steps then return "steps" end
end

--- A reason to stop because a step changed little: f from old to new, the largest
-- |change of x| and the largest |x|.
function Run:settled(old, new, change, size)
  if math.abs(old - new) <= self.value_tol * (1 + math.abs(new)) then return "value" end
  if change <= self.step_tol * (1 + size) then return "step" end
end

M.note = Run.note

return M
