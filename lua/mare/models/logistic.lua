-- logistic.lua -- LogisticRegression and SoftmaxRegression: classes with probabilities
-- sigmoid(w.x + b) or softmax(w x + b), fitted by the likelihood of the labels.

local mare_core = require "mare.core"
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local linear_fit = require "mare.models.linear_fit"
local solvers = require "mare.models.linear_solvers"

local core, ops = mare_core.functions, mare_core.ops

local rows = linear_fit.settings({
  { "loss", "cross_entropy", one_of = { "cross_entropy", "square" } },
  { "threshold", 0.5, lo = 0, hi = 1 },
}, { "lbfgs", "newton" })

-- -- fitting --------------------------------------------------------------------------

local function check_solvable(self)
  local s = self.settings
  if s.solver == "newton" and s.loss == "square" then
    check.fail("%s: solver = \"newton\" is for loss = \"cross_entropy\"; \"square\" is not " ..
      "convex", self.class.name)
  elseif s.solver == "newton" and (s.penalty == "l1" or s.penalty == "elastic") then
    check.fail("%s: solver = \"newton\" needs a smooth penalty (\"l2\" or \"none\"), " ..
      "not \"%s\"; \"lbfgs\" takes all", self.class.name, s.penalty)
  end
end

-- Without a penalty the likelihood has no maximum where a plane separates the classes, or all
-- rows but those on it: the weights grow until the solver stops.  The certificate is the plane:
-- the one found, or the way on which further steps go.
-- A. Albert and J. A. Anderson 1984, On the existence of maximum likelihood estimates in
-- logistic regression models.
local function is_separated(self, problem, learned)
  local w, b = learned.weight, learned.bias
  if problem:separates(w, b) then return "the classes are separable by a plane" end
  if solvers.is_optimizer(self.settings.solver) then return nil end
  -- first steps that settle what has a minimum, then some that show where the rest goes
  local further = { solver = problem.n <= 1000 and "newton" or "lbfgs", max_steps = 6,
    tol = self.settings.tol * 1e-4 }
  w, b = solvers.solve(problem, w, b, further)
  local w1, b1 = solvers.solve(problem, w, b, further)
  return problem:recedes(w, b, w1, b1)
    and "a plane separates the classes but for rows on it" or nil
end

local function warn_separated(self, problem, learned)
  local s = self.settings
  if s.loss ~= "cross_entropy" or problem.l1 > 0 or problem.l2 > 0 then return end
  local why = is_separated(self, problem, learned)
  if not why then return end
  learned.converged, learned.reason = false, "separable"
  learned.warning = ("%s: %s, so that the likelihood grows with the weights without end; they " ..
    "stand where the solver stopped (largest %.3g); give a penalty"):format(self.class.name, why,
    learned.weight:abs():max():item())
  warn("mare: ", learned.warning)
end

-- -- predicting -----------------------------------------------------------------------

local function log_joint(_, x, learned)
  local z = ops.linear(x, learned.weight:to(x.dtype), learned.bias:to(x.dtype))
  if z:size(2) > 1 then return z end
  return ops.cat({ core.zeros({ x:size(1), 1 }, x.dtype), z }, 2)
end

local methods = {}

--- The scores as a linear function: w (K, d) and b (K), of which softmax(x w' + b) are the
-- probabilities; for LogisticRegression of two classes w (d) and b a number in a tensor, and
-- sigmoid(x w + b) the probability of the second.
-- `local w, b = m:linear()`
function methods:linear()
  local learned = self:ready "linear"
  local w, b = learned.weight, learned.bias
  if w:size(1) == 1 then w, b = w[1], b[1] end
  return w:clone(), b:clone()
end

-- -- the classes ----------------------------------------------------------------------

local function define(name, softmax, outputs, doc)
  return estimator.define {
    name = name, kind = "classifier", doc = doc, outputs = outputs,
    loss_of = function(self, r)
      local kind = softmax and "softmax" or r == 1 and "logistic" or "softmax"
      return self.settings.loss == "square" and kind .. "_square" or kind
    end,
    settings = rows, learned = linear_fit.learned, fit = linear_fit.fit,
    partial = linear_fit.partial, check = check_solvable, judge = warn_separated,
    log_joint = log_joint, verify = linear_fit.verify, methods = methods,
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
-- * warm_start: fit goes on from what was learned; start = { weight, bias }: from these.
-- * threshold (0.5): of two classes the second is predicted where its probability is above.
-- * trace: keep m.trace, a list of { step, loss, gradient_norm }.
--
-- Learned: weight (r, d) and bias (r), of x's type, r = 1 for two classes; objective, the
-- value above; steps (epochs of optimizers); converged and reason: "gradient", "value" and "step"
-- (the minimum, as exactly as the type allows), "steps", "epochs", "line search",
-- "separable".  The last says that nothing penalised the weights of classes that a plane
-- separates, which therefore have no best values: m.warning explains, and Lua's warn is called.
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
  function(K) return K == 2 and 1 or K end,
  "classes with probabilities sigmoid(w.x + b)")

--- Classes with probabilities softmax(w x + b), a row of w and an element of b for each class,
-- two classes too.  Settings, learned fields and errors are those of LogisticRegression.
--
--     local m = mare.models.SoftmaxRegression { solver = "adam", lr = 0.01, batch = 128 }
--     m:fit(train.x, train.y)
--     local p = m:predict_proba(test.x)
M.SoftmaxRegression = define("SoftmaxRegression", true, function(K) return K end,
  "classes with probabilities softmax(w x + b)")

return M
