-- pca.lua -- principal components: the orthogonal directions in which rows vary most.
--
-- Everything learned is f64.  Small data give the singular values of the centred rows; of
-- many rows the covariance is summed in blocks (learn/moments.c), or only its product with
-- as many columns as are needed (learn/cluster.c).

local mare_core = require "mare.core"
local check = require "mare.check"
local cluster = require "mare.models.cluster"
local estimator = require "mare.models.estimator"
local linalg = require "mare.linalg"

local core, routines, ops = mare_core.functions, mare_core.routines, require "mare.ops".ops

-- -- settings -------------------------------------------------------------------------

local function check_components(v)
  if math.type(v) == "integer" and v >= 1 or math.type(v) == "float" and v > 0 and v < 1 then
    return v
  elseif type(v) == "number" and v >= 1 and math.tointeger(v) then
    return math.tointeger(v)
  end
  return nil, ("a number of components or a part of the variance (0 < p < 1) expected, got %s")
    :format(check.text(v))
end

local rows = {
  { "components", nil, check = check_components },
  { "whiten", false },
  { "solver", "auto", one_of = { "auto", "exact", "randomised" } },
  { "passes", 1, integer = true, lo = 1 },
  { "oversample", 30, integer = true, lo = 0 },
  { "sample", 4096, integer = true, lo = 1 },
  cluster.seed_row,
}

local learned_fields = { mean = "f64 d", components = "f64 k d", explained_variance = "f64 k",
  explained_variance_ratio = "f64 k", singular_values = "f64 k", noise_variance = "number",
  rows = "number" }

-- -- solvers: components (m, d) and their variances (m), descending ---------------------

local SMALL, LONG = 1 << 22, 32767 -- values, and rows, whose singular values are computed
local POWER, RANDOM = 6, 8 -- steps with a sample; random columns after these
local NOISE = { f32 = 1e-6, f64 = 1e-13 } -- of products, beside the largest variance
local ROWS = 1024 -- of which score computes densities at a time

local function centred(data, mean)
  local x = data.x:to "f64" - mean
  return data.weights and x * data.weights:sqrt():unsqueeze(2) or x
end

local function by_svd(data, mean, count)
  local _, s, v = linalg.svd(centred(data, mean))
  return v, s:square() / (count - 1)
end

local function by_covariance(data, mean, count)
  local d = data.features
  local c = core.empty({ 1, d, d }, "f64")
  routines.class_covariances(data.x, core.ones({ data.n }, "i64"), data.weights,
    core.tensor({ count - 1 }, "f64"), mean:unsqueeze(1), c)
  local w, v = linalg.eigh(c:reshape(d, d))
  local order = core.arange(d, 1, -1, "i64")
  return v:t():index_select(1, order), w:index_select(1, order):clamp(0, math.huge)
end

-- C q, where C is the scatter of the rows over a count.
local function covariance_times(x, weights, mean, count, q)
  local z = core.empty(q.shape, "f64")
  routines.scatter_times(x, weights, mean, q:to(x.dtype):contiguous(), nil, z)
  return z / count
end

-- Eigenvectors (d, m) and values (m), descending, of C given z = C q with q'q = 1, as if C
-- were z (q'z)^-1 z', which is what it is where q spans all that z does.  What is below a part
-- of the largest value is rounding.
-- N. Halko, P. G. Martinsson and J. A. Tropp 2011, Finding structure with randomness, 5.5.
local function nystroem(q, z, noise)
  local shift = 1e-15 * z:square():sum():sqrt():item()
  z = z + q * shift
  local t = q:t():matmul(z)
  local w, v = linalg.eigh((t + t:t()) / 2)
  local keep = w:gt(w[-1] * noise):to "f64"
  local scale = keep / (w + (1 - keep)):abs():sqrt()
  local u, s = linalg.svd(z:matmul(v * scale:unsqueeze(1)))
  return u, (s:square() - shift):clamp(0, math.huge)
end

-- Rows with their weights, and as many or a random part of them.
local function sample_of(data, size)
  if size >= data.n then return data.x, data.weights end
  local at = core.randperm(data.n):narrow(1, 1, size)
  return data.x:index_select(1, at), data.weights and data.weights:index_select(1, at)
end

-- Columns (d, width) that span where rows of a sample vary most, and some random ones for
-- what the sample misses.
local function subspace(self, data, mean, width)
  local d = data.features
  local x, weights = sample_of(data, math.max(self.settings.sample, 8 * width))
  local q = linalg.qr(core.randn({ d, width }, "f64"))
  for i = 1, POWER do
    q = covariance_times(x, weights, mean, x:size(1), q)
    q = i % 2 == 0 and linalg.qr(q) or q / q:abs():max():clamp(1e-300, math.huge)
  end
  local random = math.min(RANDOM, width // 4)
  q:narrow(2, width - random + 1, random):copy_(core.randn({ d, random }, "f64"))
  return (linalg.qr(q))
end

local function randomised(self, data, mean, count, m)
  local s = self.settings
  local _ <close> = cluster.seeded(s.seed)
  local q = subspace(self, data, mean, math.min(data.features, data.n, m + s.oversample))
  local values
  for _ = 1, s.passes do
    local z = covariance_times(data.x, data.weights, mean, count - 1, q)
    q, values = nystroem(q, z, NOISE[data.x.dtype])
  end
  return q:t():narrow(1, 1, m), values:narrow(1, 1, m)
end

-- -- how many, and which way ------------------------------------------------------------

local function check_components_fit(self, data, most)
  local wanted = self.settings.components
  if math.type(wanted) == "integer" and wanted > most then
    check.argument(1, "fit", "components = %d; of %d rows with %d columns there are %d", wanted,
      data.n, data.features, most)
  elseif data.n < 2 then
    check.argument(1, "fit", "one row has no variance; at least 2 rows expected")
  elseif self.settings.solver == "randomised" and math.type(wanted) == "float" then
    check.fail("PCA: solver = \"randomised\" needs a number of components, not a part of " ..
      "the variance")
  end
end

local function solver_of(self, data, most)
  local s = self.settings
  if s.solver ~= "auto" then return s.solver end
  local few = math.type(s.components) == "integer" and s.components * 5 <= most
  return few and data.n * data.features > SMALL and data.features > 256 and "randomised"
    or "exact"
end

local function solve(self, data, mean, count, most)
  if solver_of(self, data, most) == "randomised" then
    return randomised(self, data, mean, count, self.settings.components or most)
  elseif data.n <= LONG and data.n * data.features <= SMALL or data.n < data.features then
    return by_svd(data, mean, count)
  end
  return by_covariance(data, mean, count)
end

-- The number of components whose part of the variance is above the wanted one.
local function number_of(self, ratio, most)
  local wanted = self.settings.components or most
  if math.type(wanted) == "integer" then return wanted end
  return math.min(most, ratio:cumsum(1):le(wanted):to "i64":sum():item() + 1)
end

-- -- fitting --------------------------------------------------------------------------

-- The largest value of each component is positive.
local function fix_signs(components)
  local at = components:abs():argmax(2):unsqueeze(2)
  local sign = components:gather(2, at):ge(0):to "f64" * 2 - 1
  return components * sign
end

local function fit(self, data)
  local most = math.min(data.n, data.features)
  check_components_fit(self, data, most)
  local mean, variance, count = cluster.moments(data.x, data.weights, data.check)
  if count <= 1 then check.argument(2, "fit", "the weights sum to %g; above 1 expected", count) end
  local total = variance:sum():item() * count / (count - 1)
  local v, values = solve(self, data, mean, count, most)
  local ratio = values * (total > 0 and 1 / total or 0)
  local k = number_of(self, ratio, most)
  local kept = values:narrow(1, 1, k)
  local rest = math.max(0, total - kept:sum():item())
  return { mean = mean, components = fix_signs(v:narrow(1, 1, k)), rows = data.n,
    explained_variance = kept:clone(), explained_variance_ratio = ratio:narrow(1, 1, k):clone(),
    singular_values = (kept * (count - 1)):sqrt(),
    noise_variance = k < most and rest / (most - k) or 0.0 }
end

-- -- methods --------------------------------------------------------------------------

-- What a component is divided by when whitening: 0 for one without variance.
local function whitening(learned)
  local v = learned.explained_variance
  local used = v:gt(v[1] * 1e-14):to "f64"
  return used / (v + (1 - used)):sqrt(), (v * used):sqrt()
end

local function transform(self, x, learned)
  local w = learned.components
  if self.settings.whiten then w = w * whitening(learned):unsqueeze(2) end
  return ops.linear(x, w:to(x.dtype), (w:matmul(learned.mean) * -1):to(x.dtype))
end

local methods = {}

--- The components' coordinates (n, k) of rows x (n, d), of x's type; with the setting whiten
-- each has variance 1 on the rows of fit.
function methods:transform(x)
  return self:run_finite("transform", x, function(data, learned)
    return transform(self, data, learned)
  end)
end

--- Rows (n, d) from coordinates z (n, k): what transform came from, but for what the
-- components that were left out held.
function methods:inverse(z)
  local learned = self:ready "inverse"
  z = check.tensor(1, "inverse", z)
  local k = learned.components:size(1)
  if z:dim() ~= 2 or z:size(2) ~= k or z.dtype ~= "f32" and z.dtype ~= "f64" then
    check.argument(1, "inverse", "f32 or f64 tensor (n, %d) expected, got %s %s", k,
      check.kind(z), check.shape(z))
  end
  local w = learned.components
  if self.settings.whiten then w = w * select(2, whitening(learned)):unsqueeze(2) end
  return z:detach():matmul(w:to(z.dtype)) + learned.mean:to(z.dtype)
end

--- fit(x, opts), then transform(x).
function methods:fit_transform(x, opts)
  return self:fit(x, opts):transform(x)
end

-- The sum of the log densities of some rows under the Gaussian that the components make, but
-- for the constant.
local function distances(x, learned)
  local d, k = x:size(2), learned.components:size(1)
  x = x:to "f64" - learned.mean
  local z = x:matmul(learned.components:t())
  local far = (z:square() / learned.explained_variance):sum()
  if k < d then far = far + (x:square():sum() - z:square():sum()) / learned.noise_variance end
  return far:item()
end

local function mean_log_density(x, learned)
  local n, d, k = x:size(1), x:size(2), learned.components:size(1)
  local v, noise, sum = learned.explained_variance, learned.noise_variance, 0
  if v:min():item() <= 0 or noise <= 0 and k < d then
    check.fail("PCA: 'score' needs variance in every direction; give fewer components")
  end
  for first = 1, n, ROWS do
    local _ <close> = core.scope()
    sum = sum + distances(x:narrow(1, first, math.min(ROWS, n - first + 1)), learned)
  end
  local logs = v:log():sum():item() + (k < d and (d - k) * math.log(noise) or 0)
  return (sum / n + logs + d * math.log(2 * math.pi)) * -0.5
end

--- The mean log density of rows x (n, d) under the Gaussian whose covariance has the learned
-- variances along the components and noise_variance across them (probabilistic PCA).
-- M. E. Tipping and C. M. Bishop 1999, Mixtures of probabilistic principal component analyzers.
function methods:score(x)
  return self:run_finite("score", x, function(data, learned)
    return mean_log_density(data, learned)
  end)
end

--- Principal component analysis: the directions, at right angles to each other, in which
-- rows x (n, d) vary most.
--
-- Settings:
-- * components: how many; or, with 0 < p < 1, as few as explain more than that part of the
--   variance; without it all, the smaller of n and d.
-- * whiten (false): transform divides by standard deviations.
-- * solver: "exact"; "randomised", quick where few components of many are wanted; "auto",
--   randomised for more than 256 columns, four million values and at most a fifth of the
--   components.
-- * passes (1), oversample (30), sample (4096): the randomised solver finds in a sample of the
--   rows where they vary most, in oversample more directions than are wanted, and then goes
--   over all rows so many times.  Its last components are approximate: of 50 of 784 columns of
--   Fashion-MNIST the variances are right to 2 %, with passes = 2 to 0.3 %.
-- * seed: of the random numbers; without it those of mare.seed.
--
-- Learned, f64: mean (d); components (k, d), the largest value of each is positive;
-- explained_variance (k), divided by n - 1; explained_variance_ratio (k), parts of all;
-- singular_values (k) of the centred rows; noise_variance, the mean of the variances that were
-- left out; rows.  Rows that are all the same have variances of 0, and ratios of 0.
-- fit(x, { weights = w }) counts row i w_i times.
--
--     local m = mare.models.PCA { components = 2 }:fit(x)
--     local z = m:transform(x)       -- (n, 2)
--     local near = m:inverse(z)      -- (n, d)
--
-- C. M. Bishop 2006, Pattern Recognition and Machine Learning, 12.1.
return estimator.define {
  name = "PCA", kind = "plain", doc = "the directions in which rows vary most",
  settings = rows, learned = learned_fields, lazy = true, fit = fit, methods = methods,
}
