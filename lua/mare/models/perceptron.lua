-- perceptron.lua -- Rosenblatt's perceptron.

local mare_core = require "mare.core"
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local linear = require "mare.models.linear_classifier"

local core, routines, ops = mare_core.functions, mare_core.routines, mare_core.ops

local rows = {
  { "lr", 1.0, above = 0 },
  { "epochs", 1000, integer = true, lo = 1 },
  { "patience", 5, integer = true, lo = 1 },
  { "shuffle", true },
  { "average", false },
  { "fit_intercept", true },
  { "class_weight", nil, check = linear.check_class_weight },
  { "warm_start", false },
  { "trace", false },
}

local learned_fields = {
  weight = "real r d", bias = "real r", steps = "number", mistakes = "number",
  converged = "boolean", reason = "string", trace = "?table",
}

local function outputs(K) return K <= 2 and 1 or K end

-- -- fitting --------------------------------------------------------------------------

-- The state of training: f64, whatever the rows are.
local function begin(data, r, before, at)
  local d = data.features
  if at then
    return { w = at.w:clone(), b = at.b:clone(), past = at.past:clone(), seen = at.seen }
  end
  return {
    w = before and before.weight:to "f64":clone() or core.zeros({ r, d }, "f64"),
    b = before and before.bias:to "f64":clone() or core.zeros(r, "f64"),
    past = core.zeros({ r, d + 1 }, "f64"), seen = 0,
  }
end

local function epoch(self, data, weights, at)
  local s, _ <close> = self.settings, core.scope()
  local order = s.shuffle and core.randperm(data.n) or core.arange(1, data.n, "i64")
  local _, mistakes = routines.perceptron_epoch(data.x, data.y, weights, order, s.lr,
    s.fit_intercept and 1 or 0, at.seen, at.w, at.b, at.past)
  at.seen = at.seen + data.n
  return math.tointeger(mistakes)
end

local function result(self, data, at, info)
  local w, b, r, d = at.w, at.b, at.w:size(1), data.features
  if self.settings.average then
    local past = at.past * (1 / at.seen)
    w, b = w - past:narrow(2, 1, d), b - past:narrow(2, d + 1, 1):reshape(r)
  end
  data.cache = { at = at }
  info.weight, info.bias = w:to(data.x.dtype):clone(), b:to(data.x.dtype):clone()
  if not routines.check_finite(info.weight:reshape(-1)) then
    check.argument(1, "fit", "values so large that their sums overflow")
  end
  return info
end

-- Epochs until one is without mistakes, or none has been better than before for a while.
local function train(self, data, weights, at)
  local s, best, waited = self.settings, math.huge, 0
  local info = { reason = "epochs", converged = false, trace = s.trace and {} or nil }
  for k = 1, s.epochs do
    info.steps, info.mistakes = k, epoch(self, data, weights, at)
    if info.trace then info.trace[k] = { step = k, mistakes = info.mistakes } end
    waited = info.mistakes < best and 0 or waited + 1
    best = math.min(best, info.mistakes)
    if info.mistakes == 0 then
      info.reason, info.converged = "separated", true
      break
    elseif waited >= s.patience then
      info.reason = "no progress"
      break
    end
  end
  return info
end

local function fit(self, data)
  local before = self.settings.warm_start and linear.previous(self, data)
  local at = begin(data, outputs(data.K), before)
  local info = train(self, data, linear.row_weights(self, data), at)
  return result(self, data, at, info)
end

local function partial(self, data, before)
  local r = outputs(data.K)
  linear.check_classes(self, data)
  local at = begin(data, r, before, before and self.cache.at)
  local mistakes = epoch(self, data, linear.row_weights(self, data), at)
  return result(self, data, at, { steps = 1 + (before and before.steps or 0), mistakes = mistakes,
    converged = mistakes == 0, reason = mistakes == 0 and "separated" or "epochs" })
end

-- -- predicting -----------------------------------------------------------------------

local function decision(_, x, learned)
  local z = ops.linear(x, learned.weight:to(x.dtype), learned.bias:to(x.dtype))
  return z:size(2) == 1 and z:reshape(-1) or z
end

local function verify(_, learned)
  local K, r = learned.classes:size(1), learned.weight:size(1)
  if r ~= outputs(K) then return ("%d rows of weights for %d classes"):format(r, K) end
end

--- Rosenblatt's perceptron: rows are seen one after the other, and one on the wrong side of
-- its plane is added to the weights, or taken off.  Where a plane separates the classes it is
-- found after finitely many corrections; more than two classes are told one against the rest.
--
-- Settings: lr (1.0), what a row is multiplied by; epochs (1000), at most; patience (5): stop
-- after so many epochs that had no fewer mistakes than one before; shuffle (true); average
-- (false): the mean of the weights after each row instead of the last, which generalises
-- better; fit_intercept; class_weight as in LogisticRegression; warm_start; trace.
--
-- Learned: weight (r, d) and bias (r), r = 1 for two classes; steps, the epochs; mistakes,
-- those of the last epoch; converged: it had none; reason: "separated", "no progress" or
-- "epochs"; trace, a list of { step, mistakes }.  partial_fit is one epoch.  There are no
-- probabilities.  With shuffle = false it does what scikit-learn's does.
--
--     local m = mare.models.Perceptron { average = true }
--     m:fit(train.x, train.y)
--     print(m:score(test.x, test.y), m.reason)
--
-- F. Rosenblatt 1958, The perceptron; Y. Freund and R. E. Schapire 1999, Large margin
-- classification using the perceptron algorithm.
return estimator.define {
  name = "Perceptron", kind = "classifier", doc = "a plane, corrected by each mistake",
  settings = rows, learned = learned_fields, fit = fit, partial = partial, decision = decision,
  verify = verify,
}
