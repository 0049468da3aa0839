-- logistic.lua -- LogisticRegression and SoftmaxRegression: classes with probabilities
-- sigmoid(w.x + b) or softmax(w x + b), fitted by the likelihood of the labels.

local mare_core = require "mare.core"
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local linear = require "mare.models.linear_classifier"
local settings_of = require "mare.models.settings"
local solvers = require "mare.models.linear_solvers"

local core, ops = mare_core.functions, mare_core.ops

-- -- settings -------------------------------------------------------------------------

local function check_solver(v)
  local names = solvers.names("lbfgs", "newton")
  for _, name in ipairs(names) do
    if v == name then return v end
  end
  return nil, settings_of.unknown("solver", v, names)
end

local function check_options(v)
  if type(v) == "table" then return v end
  return nil, ("table of the optimizer's options expected, got %s"):format(check.kind(v))
end

local function check_start(v)
  if type(v) == "table" and core.is_tensor(v.weights) and core.is_tensor(v.bias) then return v end
  return nil, "{ weights = tensor, bias = tensor } expected"
end

local rows = {
  { "solver", "lbfgs", check = check_solver },
  { "loss", "cross_entropy", one_of = { "cross_entropy", "square" } },
  { "penalty", "l2", one_of = { "l2", "l1", "elastic", "none" } },
  { "C", 1.0, above = 0 },
  { "l1_ratio", 0.5, lo = 0, hi = 1 },
  { "fit_intercept", true },
  { "class_weight", nil, check = linear.check_class_weight },
  { "threshold", 0.5, lo = 0, hi = 1 },
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

local learned_fields = {
  weights = "real r d", bias = "real r", steps = "number", converged = "boolean",
  reason = "string", objective = "number", trace = "?table", warning = "?string",
}

-- -- fitting --------------------------------------------------------------------------

local function outputs(self, K)
  return self.class.softmax and K or K == 2 and 1 or K
end

local function loss_name(self, r)
  local kind = r == 1 and not self.class.softmax and "logistic" or "softmax"
  return self.settings.loss == "square" and kind .. "_square" or kind
end

-- Where the solver begins: what was learned, the setting start, or zeros.
local function start_of(self, problem, before)
  local s, r, d = self.settings, problem.r, problem.d
  local from = before or s.start
  local dtype, shape = problem.x.dtype, check.shape { r, d }
  if not from then return core.zeros({ r, d }, dtype), core.zeros(r, dtype) end
  if check.shape(from.weights) ~= shape or check.shape(from.bias) ~= check.shape { r } then
    check.fail("%s: the start has weights %s and bias %s; %s and %d expected", self.class.name,
      check.shape(from.weights), check.shape(from.bias), shape, r)
  end
  return from.weights, from.bias
end

-- What a warm start goes on from: the same classes and columns.
local function previous(self, data)
  local before = self.settings.warm_start and rawget(self, "learned")
  if not before or before.features ~= data.features then return nil end
  local classes = before.classes
  if classes:size(1) ~= data.K or classes:ne(data.classes):any():item() ~= 0 then return nil end
  return before
end

local function check_solvable(self)
  local s = self.settings
  if s.solver == "newton" and s.loss == "square" then
    check.fail("%s: solver = \"newton\" is for loss = \"cross_entropy\"; " ..
      "\"square\" is not convex", self.class.name)
  elseif s.solver == "newton" and (s.penalty == "l1" or s.penalty == "elastic") then
    check.fail("%s: solver = \"newton\" needs a smooth penalty (\"l2\" or \"none\"), " ..
      "not \"%s\"; \"lbfgs\" takes all", self.class.name, s.penalty)
  end
end

-- Without a penalty the likelihood of classes that a plane separates has no maximum: the
-- weights grow until the solver stops.  The certificate is the plane.
local function warn_separated(self, problem, learned)
  local s = self.settings
  if s.loss ~= "cross_entropy" or problem.l1 > 0 or problem.l2 > 0 then return end
  if not problem:separates(learned.weights, learned.bias) then return end
  learned.converged, learned.reason = false, "separable"
  learned.warning = ("%s: the classes are separable by a plane, so that the likelihood grows " ..
    "with the weights without end; they stand where the solver stopped (largest %.3g); give " ..
    "a penalty"):format(self.class.name, learned.weights:abs():max():item())
  warn("mare: ", learned.warning)
end

local function finish(self, problem, w, b, info)
  local learned = { weights = w:clone(), bias = b:clone(), steps = info.steps,
    converged = info.converged, reason = info.reason, trace = info.trace }
  learned.objective = problem:objective(w, b)
  if learned.objective - learned.objective ~= 0 then
    check.fail("%s: the loss is not finite; are values of x too large?", self.class.name)
  end
  warn_separated(self, problem, learned)
  return learned
end

local function fit(self, data)
  check_solvable(self)
  local r = outputs(self, data.K)
  local problem = linear.problem(self, data, loss_name(self, r), r,
    solvers.is_whole(self.settings.solver))
  local w, b = start_of(self, problem, previous(self, data))
  local info
  w, b, info = solvers.solve(problem, w, b, self.settings)
  return finish(self, problem, w, b, info)
end

local function check_partial(self, data, before)
  if solvers.is_whole(self.settings.solver) then
    check.fail("%s: partial_fit needs a solver that goes by batches (\"sgd\", \"adam\" ...), " ..
      "not \"%s\"", self.class.name, self.settings.solver)
  elseif data.K < 2 then
    check.argument(2, "partial_fit", "all labels are %d; announce all classes by classes = { ... }",
      data.classes[1]:item())
  elseif before and outputs(self, data.K) ~= before.weights:size(1) then
    check.argument(2, "partial_fit", "%d classes instead of %d; the first call announces all " ..
      "by classes = { ... }", data.K, before.weights:size(1))
  end
end

-- One epoch of more rows.  The optimizer's state is kept until the next fit.
local function partial(self, data, before)
  check_partial(self, data, before)
  local r = outputs(self, data.K)
  local problem = linear.problem(self, data, loss_name(self, r), r, false)
  local w, b = start_of(self, problem, before)
  local opt, params = solvers.optimizer(problem, w, b, self.settings,
    before and self.cache.state)
  local info = solvers.descend(problem, opt, params, self.settings, 1)
  local state = {}
  for name, t in pairs(opt:state()) do state[name] = t:clone() end
  data.cache = { state = state }
  info.steps = info.steps + (before and before.steps or 0)
  return finish(self, problem, params[1], params[2] or b, info)
end

-- -- predicting -----------------------------------------------------------------------

local function log_joint(_, x, learned)
  local z = ops.linear(x, learned.weights:to(x.dtype), learned.bias:to(x.dtype))
  if z:size(2) > 1 then return z end
  return ops.cat({ core.zeros({ x:size(1), 1 }, x.dtype), z }, 2)
end

local function verify(self, learned)
  local K, r = learned.classes:size(1), learned.weights:size(1)
  if r ~= outputs(self, K) then return ("%d rows of weights for %d classes"):format(r, K) end
end

local methods = {}

--- The scores as a linear function: w (K, d) and b (K), of which softmax(x w' + b) are the
-- probabilities; for LogisticRegression of two classes w (d) and b a number in a tensor, and
-- sigmoid(x w + b) the probability of the second.
-- `local w, b = m:linear()`
function methods:linear()
  local learned = self:ready "linear"
  local w, b = learned.weights, learned.bias
  if w:size(1) == 1 then w, b = w[1], b[1] end
  return w:clone(), b:clone()
end

-- -- the classes ----------------------------------------------------------------------

local function define(name, softmax, doc)
  return estimator.define {
    name = name, kind = "classifier", doc = doc, softmax = softmax,
    settings = rows, learned = learned_fields, fit = fit, partial = partial,
    log_joint = log_joint, verify = verify, methods = methods,
  }
end

local M = {}

--- Two classes with probability sigmoid(w.x + b) for the second; more classes are those of
-- SoftmaxRegression.
--
-- Minimizes, over rows of weights s_i with sum S,
--
--     1/S sum_i s_i loss_i + penalty(w) / (C S)
--
-- Settings:
-- * penalty: "l2" |w|^2/2; "l1" |w|_1; "elastic" l1_ratio |w|_1 + (1 - l1_ratio) |w|^2/2;
--   "none".  C (1.0) as in scikit-learn: the smaller, the stronger.  The bias is not penalised;
--   fit_intercept = false leaves it out.
-- * loss: "cross_entropy", or "square": half the squared distance of the probabilities from
--   0 and 1, whose gradient vanishes where a prediction is far off, and which is not convex.
-- * solver: "lbfgs" (with |w|_1 its orthant-wise form), "newton" (IRLS; l2 or none), or an
--   optimizer of mare.optim by its name: "sgd", "adam" ... with lr, options = { its other
--   options }, batch (32; at least the number of rows: all rows at once), epochs (50), shuffle.
--   With "sgd", |w|_1 is a proximal step (J. Duchi and Y. Singer 2009, FOBOS), so that weights
--   become 0; with others its subgradient.
-- * tol (1e-5): of "lbfgs" and "newton", the largest element of the gradient in columns scaled
--   alike; of optimizers, the fall of the loss in five epochs.  max_steps (1000).
-- * class_weight: { [label] = weight }, or "balanced": each class the same in sum.
-- * warm_start: fit goes on from what was learned; start = { weights, bias }: from these.
-- * threshold (0.5): of two classes the second is predicted where its probability is above.
-- * trace: keep m.trace, a list of { step, loss, gradient_norm }.
--
-- Learned: weights (r, d) and bias (r), of x's type, r = 1 for two classes; objective, the
-- value above; steps (epochs of optimizers); converged and reason: "gradient", "value" and "step"
-- (the minimum, as exactly as the type allows), "steps", "epochs", "line search",
-- "separable".  The last says that nothing penalised weights of classes that a plane
-- separates: m.warning explains, and Lua's warn is called.
--
-- Rows x (n, d) are f32 or f64, u8 images become f32 in 0..1.  Columns need no scaling for
-- "lbfgs" and "newton"; a constant column gets weight 0.  partial_fit is an epoch of an
-- optimizer; a first call that does not show all classes names them by classes = { ... }.
--
--     local m = mare.models.LogisticRegression { C = 10, penalty = "l1" }
--     m:fit(train.x, train.y)
--     print(m:score(test.x, test.y), m.reason)
--
-- C. M. Bishop 2006, Pattern Recognition and Machine Learning, 4.3.
M.LogisticRegression = define("LogisticRegression", false,
  "classes with probabilities sigmoid(w.x + b)")

--- Classes with probabilities softmax(w x + b), a row of w and an element of b for each class,
-- two classes too.  Settings, learned fields and errors are those of LogisticRegression.
--
--     local m = mare.models.SoftmaxRegression { solver = "adam", lr = 0.01, batch = 128 }
--     m:fit(train.x, train.y)
--     local p = m:predict_proba(test.x)
M.SoftmaxRegression = define("SoftmaxRegression", true,
  "classes with probabilities softmax(w x + b)")

return M
