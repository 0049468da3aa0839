-- linear_fit.lua -- how LogisticRegression, SoftmaxRegression and LinearSVM are fitted: their
-- common settings and learned fields, where a solver starts, streams.
--
-- Such a class has outputs(K), the rows of weights for K classes; loss_of(self, r), the name
-- of a row of linear_classifier.losses; and may have check(self), which refuses settings that
-- do not go together; own_solver(self): does solve(self, problem) find weights, bias and
-- { steps, reason, converged, trace }, instead of linear_solvers.lua; and
-- judge(self, problem, learned), the last look at the result.

local core = require "mare.core".functions
local check = require "mare.check"
local linear = require "mare.models.linear_classifier"
local solvers = require "mare.models.linear_solvers"

local M = {}

-- -- settings -------------------------------------------------------------------------

local function check_options(v)
  if type(v) == "table" then return v end
  return nil, ("table of the optimizer's options expected, got %s"):format(check.kind(v))
end

local function check_start(v)
  if type(v) == "table" and core.is_tensor(v.weight) and core.is_tensor(v.bias) then
    return { weight = v.weight, bias = v.bias }
  end
  return nil, "{ weight = tensor, bias = tensor } expected"
end

-- One of the solvers named, or an optimizer.
local function solver_check(names)
  return function(v)
    local all = solvers.names(table.unpack(names))
    for _, name in ipairs(all) do
      if v == name then return v end
    end
    return nil, check.unknown("solver", v, all)
  end
end

--- The common rows of settings after those of a class; the names of solvers, the first the
-- default.
function M.settings(own, names)
  local common = {
    { "solver", names[1], check = solver_check(names) },
    { "penalty", "l2", one_of = { "l2", "l1", "elastic", "none" } },
    { "C", 1.0, above = 0, hi = math.huge },
    { "l1_ratio", 0.5, lo = 0, hi = 1 },
    { "fit_intercept", true },
    { "class_weight", nil, check = linear.check_class_weight },
    { "tol", 1e-5, lo = 0 },
    { "max_steps", 1000, integer = true, lo = 1 },
    { "epochs", 50, integer = true, lo = 1 },
    { "batch", 32, integer = true, lo = 1 },
    { "shuffle", true },
    { "lr", nil, above = 0 },
    { "options", nil, check = check_options },
    { "warm_start", false },
    { "start", nil, check = check_start },
    { "trace", false },
  }
  return table.move(common, 1, #common, #own + 1, own)
end

M.learned = {
  weight = "real r d", bias = "real r", steps = "number", converged = "boolean",
  reason = "string", objective = "number", trace = "?table", warning = "?string",
}

-- -- fitting --------------------------------------------------------------------------

-- Where the solver begins: what was learned, the setting start, or zeros.
local function start_of(self, problem, before)
  local s, r, d = self.settings, problem.r, problem.d
  local from = before or s.start
  local dtype, shape = problem.x.dtype, check.shape { r, d }
  if not from then return core.zeros({ r, d }, dtype), core.zeros(r, dtype) end
  if check.shape(from.weight) ~= shape or check.shape(from.bias) ~= check.shape { r } then
    check.fail("%s: the start has weight %s and bias %s; %s and %d expected", self.class.name,
      check.shape(from.weight), check.shape(from.bias), shape, r)
  end
  return from.weight, from.bias
end

local function finish(self, problem, w, b, info)
  if info.reason == "nan" then
    check.fail("%s: the loss or its gradient is not finite; scale the columns of x, or convert " ..
      "it with :to \"f64\"", self.class.name)
  end
  local learned = { weight = w:clone(), bias = b:clone(), steps = info.steps,
    converged = info.converged, reason = info.reason, trace = info.trace }
  learned.objective = problem:objective(w, b)
  if learned.objective - learned.objective ~= 0 then
    check.fail("%s: the loss is not finite; are values of x too large?", self.class.name)
  end
  if self.class.judge then self.class.judge(self, problem, learned) end
  return learned
end

--- fit of such a class.
function M.fit(self, data)
  local class, s = self.class, self.settings
  if class.check then class.check(self) end
  local r = class.outputs(data.K)
  local problem = linear.problem(self, data, class.loss_of(self, r), r,
    not solvers.is_optimizer(s.solver))
  local w, b = start_of(self, problem, s.warm_start and linear.previous(self, data))
  local info
  if class.own_solver and class.own_solver(self) then
    w, b, info = class.solve(self, problem)
  else
    w, b, info = solvers.solve(problem, w, b, s)
  end
  return finish(self, problem, w, b, info)
end

--- partial of such a class: one epoch of more rows.  The optimizer's state is kept until the
-- next fit.
function M.partial(self, data, before)
  local class, s = self.class, self.settings
  if not solvers.is_optimizer(s.solver) then
    check.fail("%s: partial_fit needs a solver that goes by batches (\"sgd\", \"adam\" ...), " ..
      "not \"%s\"", class.name, s.solver)
  end
  local r = class.outputs(data.K)
  linear.check_classes(self, data)
  local problem = linear.problem(self, data, class.loss_of(self, r), r, false)
  local w, b = start_of(self, problem, before)
  local opt, params = solvers.optimizer(problem, w, b, s, before and self.cache.state)
  local info = solvers.descend(problem, opt, params, s, 1)
  local state = {}
  for name, t in pairs(opt:state()) do state[name] = t:clone() end
  data.cache = { state = state }
  info.steps = info.steps + (before and before.steps or 0)
  return finish(self, problem, params[1], params[2] or b, info)
end

--- verify of such a class.
function M.verify(self, learned)
  local K, r = learned.classes:size(1), learned.weight:size(1)
  if r ~= self.class.outputs(K) then return ("%d rows of weights for %d classes"):format(r, K) end
end

return M
