-- mixture.lua -- mixtures of Gaussians, fitted by expectation and maximisation.
--
-- Moments and densities are those of GaussianClassifier (learn/moments.c, gaussian.c): to a step a
-- component is a class with a part of each row.  Everything learned is f64.

local mare_core = require "mare.core"
local check = require "mare.check"
local cluster = require "mare.models.cluster"
local estimator = require "mare.models.estimator"

local core, routines = mare_core.functions, mare_core.routines

local LOG2PI = math.log(2 * math.pi)
local SMALL = 1 << 20 -- so few values are f64 in fit

-- -- settings -------------------------------------------------------------------------

local kinds = { "full", "shared", "diagonal", "spherical" }

local function check_covariance(v)
  if v == "tied" then return "shared" end -- scikit-learn's word
  for _, kind in ipairs(kinds) do
    if v == kind then return v end
  end
  return nil, check.unknown("value", v, kinds)
end

local function check_init(v)
  if v == "kmeans" or v == "random" then return v end
  if type(v) == "string" then
    return nil, ("unknown value '%s'; known: kmeans, random, a tensor of means (k, d)"):format(v)
  end
  return cluster.matrix(v)
end

local rows = {
  { "k", 1, integer = true, lo = 1 },
  { "covariance", "full", check = check_covariance },
  { "init", "kmeans", check = check_init },
  { "restarts", 1, integer = true, lo = 1 },
  { "reg", 1e-6, lo = 0 },
  { "tol", 1e-3, lo = 0 },
  { "steps", 100, integer = true, lo = 1 },
  cluster.seed_row,
}

local function learned_fields(settings)
  local shapes = { full = "f64 k d d", shared = "f64 d d", diagonal = "f64 k d",
    spherical = "f64 k" }
  return { weights = "f64 k", means = "f64 k d", covariances = shapes[settings.covariance],
    log_likelihood = "number", steps = "number", converged = "boolean", reason = "string",
    dtype = "string" }
end

-- -- densities ------------------------------------------------------------------------

-- log |C| of a covariance (d, d); w (d, d) becomes its factor, or w (1, panel) the transpose of
-- the inverse, in strips.
local function factor(c, packed, w, name)
  local ok, value = routines.gaussian_factor(c, 1, 0, 0, 0, packed and 2 or 0, nil, w)
  if not ok then
    check.fail("GaussianMixture: %s is singular at column %d; give a larger reg", name,
      math.tointeger(value))
  end
  return value
end

local function panel_of(d)
  local _, size = routines.gaussian_panel(d)
  return math.tointeger(size)
end

local function name_of(j) return ("the covariance of component %d"):format(j) end

-- What densities need of a model, for data of a type.
local ready = {}

function ready.full(m, dtype)
  local k, d = m.means:size(1), m.means:size(2)
  local w, logs = core.empty({ k, panel_of(d) }, dtype), {}
  for j = 1, k do logs[j] = factor(m.covariances[j], true, w:narrow(1, j, 1), name_of(j)) end
  return { w = w, logs = core.tensor(logs, "f64") }
end

function ready.shared(m, dtype)
  local k, d = m.means:size(1), m.means:size(2)
  local w = core.empty({ 1, panel_of(d) }, dtype)
  local log = factor(m.covariances, true, w, "the covariance")
  return { w = w:expand(k, w:size(2)):contiguous(), logs = core.full({ k }, log, "f64") }
end

function ready.diagonal(m)
  local least, at = m.covariances:min(), m.covariances:argmin():item() - 1
  if least:item() <= 0 then
    local d = m.means:size(2)
    check.fail("GaussianMixture: %s is singular at column %d; give a larger reg",
      name_of(at // d + 1), at % d + 1)
  end
  return { scales = 1 / m.covariances, logs = m.covariances:log():sum(2) }
end

function ready.spherical(m)
  return ready.diagonal { means = m.means,
    covariances = m.covariances:unsqueeze(2):expand(m.means.shape):contiguous() }
end

-- Logarithms (n, k), f64, of the weight of each component times its density.
local function log_joint(x, m, r)
  local k, d = m.means:size(1), m.means:size(2)
  local out = core.empty({ x:size(1), k }, x.dtype)
  local constants = m.weights:log() - (r.logs + d * LOG2PI) / 2
  if r.w then
    routines.gaussian_scores(x, m.means, r.w, constants, core.arange(1, d, "i64"), out)
  else
    routines.diagonal_scores(x, m.means, r.scales, constants, out)
  end
  return out:to "f64"
end

-- -- maximisation ----------------------------------------------------------------------

local maximise = {} -- covariances from moments; parts (k, n) are those of the components

function maximise.full(fit, counts, means, _, parts)
  local k, d = means:size(1), means:size(2)
  local out = core.empty({ k, d, d }, "f64")
  for j = 1, k do
    routines.class_covariances(fit.x, fit.ones, parts[j], counts:narrow(1, j, 1),
      means:narrow(1, j, 1), out:narrow(1, j, 1))
  end
  return out:add_(core.eye(d, "f64") * fit.reg)
end

-- That of all rows less that of the means.
function maximise.shared(fit, counts, means)
  local apart = (means - fit.mean) * (counts / counts:sum()):sqrt():unsqueeze(2)
  return fit.total - apart:t():matmul(apart) + core.eye(means:size(2), "f64") * fit.reg
end

function maximise.diagonal(fit, _, _, variances) return variances + fit.reg end

function maximise.spherical(fit, _, _, variances) return variances:mean(2) + fit.reg end

-- A component without rows keeps its mean (that of all) and covariance (none but reg).
local function moments_of(fit, parts, before)
  local k, d = parts:size(1), fit.x:size(2)
  local counts = core.empty(k, "f64")
  local means, variances = core.empty({ k, d }, "f64"), core.empty({ k, d }, "f64")
  for j = 1, k do
    routines.class_moments(fit.x, fit.ones, parts[j], counts:narrow(1, j, 1),
      means:narrow(1, j, 1), variances:narrow(1, j, 1))
    if counts[j]:item() < 1e-12 * fit.count then
      counts[j]:fill_(0)
      means[j]:copy_(before and before.means[j] or fit.mean)
    end
  end
  return counts, means, variances
end

-- The model of parts (k, n) of the rows, f64, times their weights.
local function model_of(fit, parts, before)
  local counts, means, variances = moments_of(fit, parts, before)
  return { weights = counts / counts:sum(), means = means,
    covariances = maximise[fit.kind](fit, counts, means, variances, parts) }
end

-- -- expectation and maximisation ---------------------------------------------------------

-- Parts (k, n) of the components in each row, and the mean log density.
local function expect(fit, m)
  local joint = log_joint(fit.x, m, ready[fit.kind](m, fit.x.dtype))
  local log = joint:logsumexp(2)
  local parts = (joint - log:unsqueeze(2)):exp()
  local mean = fit.weights and (log * fit.weights):sum():item() / fit.count or log:mean():item()
  if mean ~= mean or mean == -math.huge then
    check.fail("GaussianMixture: rows so far apart that their densities vanish; scale the data")
  end
  if fit.weights then parts = parts * fit.weights:unsqueeze(2) end
  return parts:t():contiguous(), mean
end

local function climb(fit, parts, settings)
  local m, last = model_of(fit, parts), -math.huge
  for step = 1, settings.steps do
    local scope <close> = core.scope()
    local more, mean = expect(fit, m)
    local next = scope:keep(model_of(fit, more, m))
    cluster.close(m)
    m = next
    m.log_likelihood, m.steps = mean, step
    if math.abs(mean - last) < settings.tol then
      m.converged, m.reason = true, "tol"
      return m
    end
    last = mean
  end
  m.converged, m.reason = false, "steps"
  return m
end

-- -- starts ------------------------------------------------------------------------------

local function parts_of_codes(codes, k)
  return core.arange(1, k, "i64"):unsqueeze(2):eq(codes:unsqueeze(1)):to "f64"
end

local function first_parts(self, data, k)
  local init = self.settings.init
  local parts
  if init == "random" then
    parts = core.rand({ k, data.n }, "f64")
    parts = parts / parts:sum(1, true)
  elseif init == "kmeans" then
    local m = require "mare.models.kmeans" { k = k, restarts = 1 }
    parts = parts_of_codes(m:fit(data.x, { weights = data.weights }).labels, k)
  else
    parts = parts_of_codes(cluster.squared_distances(data.x, init:to(data.x.dtype)):argmin(2), k)
  end
  return data.weights and parts * data.weights or parts
end

local function check_k(self, data)
  local init = self.settings.init
  local given = core.is_tensor(init)
  local k = given and init:size(1) or self.settings.k
  if given and init:size(2) ~= data.features then
    check.argument(1, "fit", "%d columns; the setting init has %d (shape %s)", data.features,
      init:size(2), check.shape(init))
  elseif data.n < k then
    check.argument(1, "fit", "%d rows for k = %d components", data.n, k)
  end
  return k, given and 1 or self.settings.restarts
end

-- What all steps share: the data, and moments of all rows.
local function prepare(self, data)
  local kind, d = self.settings.covariance, data.features
  local x = data.n * d <= SMALL and data.x:to "f64" or data.x
  local mean, _, count = cluster.moments(x, data.weights)
  local fit = { x = x, weights = data.weights, kind = kind, reg = self.settings.reg,
    ones = core.ones({ data.n }, "i64"), mean = mean, count = count }
  if kind == "shared" then
    local total = core.empty({ 1, d, d }, "f64")
    routines.class_covariances(fit.x, fit.ones, fit.weights, core.tensor({ count }, "f64"),
      mean:unsqueeze(1), total)
    fit.total = total:reshape(d, d)
  end
  return fit
end

local function fit(self, data)
  local k, restarts = check_k(self, data)
  local _ <close> = cluster.seeded(self.settings.seed)
  local shared, best = prepare(self, data), nil
  for _ = 1, restarts do
    local scope <close> = core.scope()
    local m = climb(shared, first_parts(self, data, k), self.settings)
    if not best or m.log_likelihood > best.log_likelihood then
      cluster.close(best)
      best = scope:keep(m)
    end
  end
  ready[shared.kind](best, data.x.dtype) -- the last step's covariances have inverses
  best.dtype = data.x.dtype
  return best
end

-- -- methods --------------------------------------------------------------------------

local function joint_of(self, x, learned)
  local r = self:cached(x.dtype, function()
    return ready[self.settings.covariance](learned, x.dtype)
  end)
  return log_joint(x, learned, r)
end

-- Runs f(log joint (n, k)) for rows x.
local function joint(self, name, x, f)
  return self:run(name, x, function(data, learned)
    return f(joint_of(self, data, learned), data, learned)
  end)
end

local methods = {}

--- The components 1..k (n, i64) that rows x (n, d) most probably come from.
function methods:predict(x)
  return joint(self, "predict", x, function(scores) return scores:argmax(2) end)
end

--- The probabilities (n, k), of x's type, that rows x (n, d) come from each component.
function methods:predict_proba(x)
  return joint(self, "predict_proba", x, function(scores, data)
    return scores:softmax(2):to(data.dtype)
  end)
end

--- The logarithms of the probabilities.
function methods:predict_log_proba(x)
  return joint(self, "predict_log_proba", x, function(scores, data)
    return scores:log_softmax(2):to(data.dtype)
  end)
end

--- The log densities (n), f64, of rows x (n, d).
function methods:score_samples(x)
  return joint(self, "score_samples", x, function(scores) return scores:logsumexp(2) end)
end

--- The mean log density of rows x (n, d).  Option: weights (n).
function methods:score(x, opts)
  check.options(2, "score", opts, { weights = true })
  return joint(self, "score", x, function(scores, data)
    local w = estimator.weights(2, "score", opts and opts.weights, data:size(1))
    local log = scores:logsumexp(2)
    return w and (log * w):sum():item() / w:sum():item() or log:mean():item()
  end)
end

local free = {} -- parameters of the covariances

function free.full(k, d) return k * d * (d + 1) // 2 end
function free.shared(_, d) return d * (d + 1) // 2 end
function free.diagonal(k, d) return k * d end
function free.spherical(k) return k end

-- -2 log likelihood of rows, how many parameters there are, and rows.
local function criterion(self, name, x)
  return joint(self, name, x, function(scores, data, learned)
    local k, d = learned.means:size(1), learned.means:size(2)
    return { -2 * scores:logsumexp(2):sum():item(),
      free[self.settings.covariance](k, d) + k * d + k - 1, data:size(1) }
  end)
end

--- Schwarz's criterion for rows x: of models of the same rows the one with the least is to be
-- preferred.  -2 log likelihood + parameters * log n.
function methods:bic(x)
  local c = criterion(self, "bic", x)
  return c[1] + c[2] * math.log(c[3])
end

--- Akaike's criterion for rows x: -2 log likelihood + 2 parameters.
function methods:aic(x)
  local c = criterion(self, "aic", x)
  return c[1] + 2 * c[2]
end

-- z (n, d) standard normal values as a draw from component j.
local function color(kind, learned, j, z)
  local c, d = learned.covariances, learned.means:size(2)
  if kind == "diagonal" then return z * c[j]:sqrt() end
  if kind == "spherical" then return z * c[j]:sqrt():item() end
  local w = core.zeros({ d, d }, "f64")
  factor(kind == "full" and c[j] or c, false, w, name_of(j))
  return z:matmul(w:t())
end

local function draw(self, learned, n)
  local codes = cluster.draw(learned.weights, n)
  local x = core.empty({ n, learned.features }, learned.dtype)
  for j = 1, learned.weights:size(1) do
    local at = codes:eq(j):nonzero():reshape(-1)
    if at:size(1) > 0 then
      local z = core.randn({ at:size(1), learned.features }, "f64")
      x[at] = (color(self.settings.covariance, learned, j, z) + learned.means[j]):to(x.dtype)
    end
  end
  return { x, codes }
end

--- n rows drawn from the mixture and the components they come from: x (n, d), of the type of
-- the data, and codes (n, i64).  The random numbers are those of mare.seed.
-- `local x, components = m:sample(100)`
function methods:sample(n)
  local learned = self:ready "sample"
  n = check.count(1, "sample", n)
  local scope <close> = core.scope()
  local out = scope:keep(draw(self, learned, n))
  return out[1], out[2]
end

--- fit(x, opts), then the components (n, i64) of its rows.
function methods:fit_predict(x, opts)
  return self:fit(x, opts):predict(x)
end

--- A mixture of k Gaussians, fitted by expectation and maximisation: the density of a row is
-- a weighted sum of k Gaussian densities, of which each step makes the rows more likely.
--
-- Settings:
-- * k (1): components.
-- * covariance: "full", one for each component; "shared" (or "tied"), one for all;
--   "diagonal", only variances; "spherical", one variance for each component.
-- * init: "kmeans", the clusters of k-means; "random"; or means, a tensor (k, d) or a list,
--   to the nearest of which each row belongs first, and then there is one start.
-- * restarts (1): starts, of which the most likely model is kept.
-- * reg (1e-6): added to variances, so that no component shrinks to a point.
-- * tol (1e-3): stop when the mean log density of a row gains less.
-- * steps (100): at most that many, in each start.
-- * seed: of the random numbers; without it those of mare.seed.
--
-- Learned, f64: weights (k), means (k, d), covariances (k, d, d), shared (d, d), diagonal
-- (k, d), spherical (k), with reg; log_likelihood, the mean log density of a row before the
-- last step; steps; converged; reason: "tol" or "steps".
--
-- A component that loses all its rows keeps its mean and gets weight 0.  A covariance without
-- an inverse, with reg = 0, is an error.  fit(x, { weights = w }) counts row i w_i times.
--
--     local m = mare.models.GaussianMixture { k = 3, seed = 1 }:fit(x)
--     local p = m:predict_proba(x)     -- (n, 3)
--     print(m:bic(x))
--
-- C. M. Bishop 2006, Pattern Recognition and Machine Learning, 9.2.
return estimator.define {
  name = "GaussianMixture", kind = "plain", doc = "a mixture of Gaussians",
  settings = rows, learned = learned_fields, fit = fit, methods = methods,
}
