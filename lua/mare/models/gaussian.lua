-- gaussian.lua -- classification by Bayes' rule with a Gaussian density for each class.
--
-- Everything learned is f64: counts, means and covariances are all that a fit needs of
-- the rows, so partial_fit can merge those of more rows exactly.

local mare_core = require "mare.core"
local check = require "mare.check"
local bayes = require "mare.models.bayes"
local estimator = require "mare.models.estimator"

local core, routines, ops = mare_core.functions, mare_core.routines, mare_core.ops

local LOG2PI = math.log(2 * math.pi)

-- -- settings -------------------------------------------------------------------------

local rows = {
  { "covariance", "full", one_of = { "full", "shared", "diagonal" } },
  { "shrinkage", 0.0, lo = 0, hi = 1 },
  { "reg", 0.0, lo = 0, hi = 1 },
  { "unbiased", false },
  { "priors", nil, check = bayes.check_priors },
  { "threshold", 0.5, lo = 0, hi = 1 },
}

local function learned_fields(settings)
  local shapes = { full = "f64 k d d", shared = "f64 d d", diagonal = "f64 k d" }
  return { counts = "f64 k", priors = "f64 k", means = "f64 k d", dtype = "string",
    covariances = shapes[settings.covariance] }
end

-- -- moments --------------------------------------------------------------------------

local function covariances_of(self, data, counts, means)
  local d, shared = data.features, self.settings.covariance == "shared"
  local out = core.empty({ shared and 1 or data.K, d, d }, "f64")
  routines.class_covariances(data.x, data.y, data.weights, counts, means, out)
  return shared and out:reshape(d, d) or out
end

local function moments_of(self, data)
  local K, d = data.K, data.features
  local counts, means = core.empty(K, "f64"), core.empty({ K, d }, "f64")
  local variances = core.empty({ K, d }, "f64")
  routines.class_moments(data.x, data.y, data.weights, counts, means, variances)
  local covariances = self.settings.covariance == "diagonal" and variances
    or covariances_of(self, data, counts, means)
  if not routines.check_finite(covariances:reshape(-1)) then
    data.check()
    check.argument(1, data.name, "values so large that their squares overflow")
  end
  return { counts = counts, means = means, covariances = covariances, dtype = data.x.dtype }
end

-- -- densities ------------------------------------------------------------------------

-- Pivots below this part of a variance count as 0: what rounding leaves of a type.
local TOLERANCE = { f32 = 1e-7, f64 = 1e-13 }

local function need_spread(self, learned, k, column)
  local s = self.settings
  local of, n = "the shared covariance", learned.counts:sum():item()
  if k then
    of = ("the covariance of class %d"):format(learned.classes[k]:item())
    n = learned.counts[k]:item()
  end
  check.fail("%s: %s is singular at column %d (%g rows, %d columns); give shrinkage or reg%s",
    self.class.name, of, column, n, learned.features,
    s.covariance == "full" and ", or covariance = \"shared\" or \"diagonal\"" or "")
end

-- What a maximum-likelihood covariance is multiplied by.
local function bias(self, learned, k)
  if not self.settings.unbiased then return 1 end
  local n = k and learned.counts[k]:item() or learned.counts:sum():item()
  local free = n - (k and 1 or learned.counts:gt(0):to "f64":sum():item())
  return free > 0 and n / free or 0
end

local FACTOR, INVERSE, PANEL = 0, 1, 2 -- of learn/gaussian.c

-- log |C| of the regularised covariance of class k (nil: the shared one); w becomes L (d, d)
-- with L L' = C, the transpose of L^-1, or (1, panel) of that, of the columns in an order if
-- one is given.
local function factor(self, learned, k, what, w, order)
  local s, c = self.settings, k and learned.covariances:select(1, k) or learned.covariances
  local scale = bias(self, learned, k)
  local ok, value = routines.gaussian_factor(c, scale, s.shrinkage, s.reg,
    TOLERANCE[learned.dtype] or 0, what, order, w)
  if not ok then need_spread(self, learned, k, math.tointeger(value)) end
  return value
end

-- The columns by descending variance over all classes: the first ones tell classes apart best.
local function order_of(learned)
  local d, p = learned.features, learned.priors:unsqueeze(2)
  local within = learned.covariances:reshape(-1, d * d)[(":, ::%d"):format(d + 1)]
  local between = (learned.means - (learned.means * p):sum(1, true)):square()
  local _, order = ((within + between) * p):sum(1):sort(1, true)
  return order
end

local prepare = {} -- what densities of data of a type need, for each kind of covariance

function prepare.full(self, learned, dtype)
  local K, d = learned.classes:size(1), learned.features
  local _, panel = routines.gaussian_panel(d)
  local w, constants, order = core.zeros({ K, math.tointeger(panel) }, dtype), {}, order_of(learned)
  for k = 1, K do
    constants[k] = bayes.log_prior(learned, k)
    if learned.counts[k]:item() > 0 or constants[k] > -math.huge then
      constants[k] = constants[k] - (factor(self, learned, k, PANEL, w:narrow(1, k, 1), order) +
        d * LOG2PI) / 2
    end
  end
  return { w = w, constants = core.tensor(constants, "f64"), order = order,
    means = learned.means:index_select(2, order) }
end

local function variances_of(self, learned)
  local s, v = self.settings, learned.covariances
  if s.unbiased then
    local scale = {}
    for k = 1, v:size(1) do scale[k] = { bias(self, learned, k) } end
    v = v * core.tensor(scale, "f64")
  end
  v = (v * (1 - s.shrinkage) + v:mean(2, true) * s.shrinkage) * (1 - s.reg) + s.reg
  local used = (learned.counts:gt(0):logical_or(learned.priors:gt(0))):unsqueeze(2)
  local flat = v:le(0):logical_and(used:expand(v.shape)):nonzero()
  if flat:size(1) > 0 then
    need_spread(self, learned, flat[{ 1, 1 }]:item(), flat[{ 1, 2 }]:item())
  end
  return v:clamp(1e-300, math.huge)
end

function prepare.diagonal(self, learned)
  local v = variances_of(self, learned)
  local constants = (v:log() + LOG2PI):sum(2) * -0.5
  local priors = {}
  for k = 1, v:size(1) do priors[k] = bayes.log_prior(learned, k) end
  return { scales = 1 / v, constants = constants + core.tensor(priors, "f64") }
end

-- w (K, d) and b (K), f64: of log p(x, class) what differs between classes is w x + b.  About
-- the mean of all, so that w holds no more than what separates the classes.
function prepare.shared(self, learned)
  local d, K = learned.features, learned.classes:size(1)
  local inverse = core.empty({ d, d }, "f64")
  factor(self, learned, nil, INVERSE, inverse)
  local center = (learned.priors:unsqueeze(1)):matmul(learned.means)
  local white = (learned.means - center):matmul(inverse) -- (K, d)
  local w = white:matmul(inverse:t())
  local logs = {}
  for k = 1, K do logs[k] = bayes.log_prior(learned, k) end
  local b = white:square():sum(2) * -0.5 - w:matmul(center:select(1, 1)) +
    core.tensor(logs, "f64")
  return { w = w, b = b }
end

local function prepared(self, learned, dtype)
  local kind = self.settings.covariance
  return self:cached(kind == "full" and dtype or "densities", function()
    return prepare[kind](self, learned, dtype)
  end)
end

local scores = {}

function scores.full(x, _, ready, out)
  routines.gaussian_scores(x, ready.means, ready.w, ready.constants, ready.order, out)
  return out
end

function scores.diagonal(x, learned, ready, out)
  routines.diagonal_scores(x, learned.means, ready.scales, ready.constants, out)
  return out
end

function scores.shared(x, _, ready)
  return ops.linear(x, ready.w:to(x.dtype), ready.b:to(x.dtype))
end

local function log_joint(self, x, learned)
  local ready = prepared(self, learned, x.dtype)
  local out = core.empty({ x:size(1), learned.classes:size(1) }, x.dtype)
  return scores[self.settings.covariance](x, learned, ready, out)
end

-- Labels; with covariances of their own, classes that cannot win are not computed to the end.
local function predict(self, x, learned)
  local ready = prepared(self, learned, x.dtype)
  local codes = core.empty(x:size(1), "i64")
  routines.gaussian_classes(x, ready.means, ready.w, ready.constants, ready.order, codes)
  return codes
end

local function choose(self, x, learned)
  local plain = self.settings.threshold == 0.5 or learned.classes:size(1) ~= 2
  return self.settings.covariance == "full" and plain and predict(self, x, learned) or nil
end

-- -- fitting --------------------------------------------------------------------------

local function fit(self, data)
  local learned = moments_of(self, data)
  learned.priors = bayes.priors_of(self, data, learned.counts)
  learned.classes, learned.features = data.classes, data.features
  local kind = self.settings.covariance
  local key = kind == "full" and data.x.dtype or "densities"
  data.cache = { [key] = prepare[kind](self, learned, data.x.dtype) }
  return learned
end

local function partial(self, data, before)
  local learned = moments_of(self, data)
  if before then learned = bayes.merge(self.settings.covariance, before, learned) end
  learned.priors = bayes.priors_of(self, data, learned.counts)
  return learned
end

-- -- methods --------------------------------------------------------------------------

local methods = {}

--- The posterior of a model with shared covariance as a linear function, of the type of
-- the data: softmax(x w' + b) with w (K, d), b (K); for two classes the probability of the
-- second is sigmoid(x w + b) with w (d) and b a number in a tensor.
-- `local w, b = m:linear()`
function methods:linear()
  local learned = self:ready "linear"
  if self.settings.covariance ~= "shared" then
    check.fail("GaussianClassifier: 'linear' needs covariance = \"shared\"; with \"%s\" the " ..
      "boundary is quadratic", self.settings.covariance)
  end
  local ready = prepared(self, learned, learned.dtype)
  local w, b = ready.w, ready.b
  if w:size(1) == 2 then w, b = w[2] - w[1], b[2] - b[1] end
  return w:to(learned.dtype):clone(), b:to(learned.dtype):clone()
end

-- Codes (n) drawn by the priors.
local function draw_codes(priors, n)
  local edges = priors:cumsum(1)
  local u = core.rand(n, 1, "f64") * edges[-1]
  return u:ge(edges:narrow(1, 1, priors:size(1) - 1):unsqueeze(1)):to "i64":sum(2) + 1
end

-- z (n, d) standard normal values as a draw from class k.
local function color(self, learned, k, z)
  local d = learned.features
  if self.settings.covariance == "diagonal" then
    return z * variances_of(self, learned)[k]:sqrt()
  end
  local of = self.settings.covariance == "full" and k or nil
  local l = self:cached("factor" .. (of or ""), function()
    local w = core.empty({ d, d }, "f64")
    factor(self, learned, of, FACTOR, w)
    return w
  end)
  return z:matmul(l:t())
end

--- n rows drawn from the model, and their labels: x (n, d), of the type of the data, and
-- y (n, i64).  The random numbers are those of mare.seed.
-- `local x, y = m:sample(100)`
function methods:sample(n)
  local learned = self:ready "sample"
  n = check.count(1, "sample", n)
  local codes = draw_codes(learned.priors, n)
  local x = core.empty({ n, learned.features }, learned.dtype)
  for k = 1, learned.classes:size(1) do
    local at = codes:eq(k):nonzero():reshape(-1)
    if at:size(1) > 0 then
      local z = core.randn({ at:size(1), learned.features }, "f64")
      x[at] = (color(self, learned, k, z) + learned.means[k]):to(learned.dtype)
    end
  end
  return x, learned.classes:index_select(1, codes)
end

--- Classification by Bayes' rule: each class has a prior probability and a Gaussian density,
-- whose mean and covariance are those of its rows (maximum likelihood); a new row belongs to
-- the class with the largest posterior.
--
-- Settings:
-- * covariance: "full", one for each class, so that boundaries are quadratic (QDA); "shared",
--   one for all, the classes' averaged by their counts, with linear boundaries (LDA);
--   "diagonal", only variances: features that are independent within a class.
-- * shrinkage s in 0..1: C becomes (1 - s) C + s v I with v the mean variance.
-- * reg r in 0..1: then C becomes (1 - r) C + r I, as scikit-learn's reg_param.
-- * unbiased (false): covariances are divided by n - 1 (shared: n - K) instead of n.
-- * priors: a probability for each class in ascending order of the labels; the counts' parts.
-- * threshold (0.5): of two classes the second is predicted where its probability is above.
--
-- Learned, all f64: counts (K), priors (K), means (K, d), covariances (K, d, d), shared (d, d),
-- diagonal (K, d), as maximum likelihood gives them, before shrinkage, reg and unbiased;
-- classes (K) i64.
--
-- Rows x (n, d) are f32 or f64, u8 images become f32 in 0..1.  A covariance that has no
-- inverse, of constant columns or fewer rows than columns, is an error that says what helps.
-- fit(x, y, { weights = w }) counts row i w_i times.  partial_fit(x, y) merges the moments of
-- more rows; until a prediction it may have too few of them.
--
--     local m = mare.models.GaussianClassifier { covariance = "shared" }
--     m:fit(train.x, train.y)
--     print(m:score(test.x, test.y))
--     local w, b = m:linear()
--
-- C. M. Bishop 2006, Pattern Recognition and Machine Learning, 4.2.
return estimator.define {
  name = "GaussianClassifier", kind = "classifier",
  doc = "Bayes' rule with a Gaussian density for each class",
  settings = rows, learned = learned_fields,
  lazy = function(settings) return settings.covariance ~= "full" end,
  fit = fit, partial = partial, log_joint = log_joint, codes = choose, methods = methods,
}
