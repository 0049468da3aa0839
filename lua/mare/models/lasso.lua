-- lasso.lua -- least squares with a penalty on the sizes of the weights, by coordinate
-- descent on the Gram matrix, and its path over the penalty.

local mare_core = require "mare.core"
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local regression = require "mare.models.regression"
local paths = require "mare.models.paths"

local core, routines = mare_core.functions, mare_core.routines

local M = {}

local function ratio(s) return s.l1_ratio or 1 end

-- -- one penalty ----------------------------------------------------------------------

local WORK = 1 << 25 -- multiplications in one call, after which Lua may interrupt

-- For target j: w (d), in place, becomes the best for l1 and l2; returns steps, gap, whether
-- it converged.
local function descend(s, form, j, w, lambda)
  local c, yy = form.c[j], form.yy[j]
  local l1, l2 = lambda * ratio(s), lambda * (1 - ratio(s))
  local d, steps = w:size(1), 0
  local gap
  repeat
    local scope <close> = core.scope() -- luacheck: ignore
    local q = c - form.gram:matmul(w)
    local most = math.min(s.steps - steps, math.max(1, WORK // (d * d)))
    local done, made
    done, made, gap = routines.coordinate_descent(form.gram, c, w, q, yy, l1, l2,
      s.positive and 1 or 0, s.tol * yy, most)
    steps = steps + math.tointeger(made)
    if done then return steps, gap, true end
  until steps >= s.steps
  return steps, gap, false
end

-- What descent needs of the rows: the Gram matrix, and for every target c (d) and yy.
local function form_of(m)
  local gram, c = regression.gram(m)
  local form = { gram = gram, c = {}, yy = m.yy:reshape(-1):totable() }
  for j = 1, m.k do form.c[j] = c:select(2, j):contiguous() end
  return form
end

-- The penalised loss of target j at w.
local function loss_of(s, form, j, w, lambda)
  local square = form.yy[j] - 2 * w:dot(form.c[j]):item() + w:dot(form.gram:matmul(w)):item()
  return math.max(square, 0) / 2 + lambda * (ratio(s) * w:abs():sum():item() +
    (1 - ratio(s)) / 2 * w:square():sum():item())
end

-- Columns w (d) of W (d, k) made best for lambda; what there is to say of it.
local function descend_all(s, m, form, W, lambda)
  local out = { steps = 0, gap = 0, loss = 0, converged = true }
  for j = 1, m.k do
    local w = W:select(2, j):contiguous()
    local steps, gap, converged = descend(s, form, j, w, lambda)
    W:select(2, j):copy_(w)
    out.steps, out.gap = math.max(out.steps, steps), math.max(out.gap, gap)
    out.converged = out.converged and converged
    out.loss = out.loss + loss_of(s, form, j, w, lambda)
  end
  out.reason = out.converged and "gap" or "steps"
  return out
end

local function fit(self, data)
  local s, m = self.settings, regression.center(data, self.settings.intercept)
  local W = s.warm_start and
    regression.before(rawget(self, "learned") or nil, m.d, m.k, m.single) or
    core.zeros({ m.d, m.k }, "f64")
  return regression.result(m, W, descend_all(s, m, form_of(m), W, s.lambda))
end

-- -- paths ----------------------------------------------------------------------------

-- The least penalty at which all weights are 0.
local function largest_lambda(s, form)
  local largest = 0
  for _, c in ipairs(form.c) do
    largest = math.max(largest, (s.positive and c or c:abs()):max():item())
  end
  return largest / ratio(s)
end

-- The penalties in descending order.
local function lambdas_of(s, form, opts)
  if opts.lambdas == nil and ratio(s) == 0 then
    check.argument(3, "path", "with l1_ratio 0 lambdas must be given")
  end
  return paths.lambdas(opts, 1e-3, function() return largest_lambda(s, form) end)
end

local function walk(s, m, form, lambdas)
  local W, t = core.zeros({ m.d, m.k }, "f64"), #lambdas
  local all = core.empty({ t, m.k, m.d }, "f64")
  local out = { lambdas = lambdas, steps = {}, gaps = {}, converged = true }
  for i, lambda in ipairs(lambdas) do
    local scope <close> = core.scope() -- luacheck: ignore
    local said = descend_all(s, m, form, W, lambda)
    all:select(1, i):copy_(W:t())
    out.steps[i], out.gaps[i] = said.steps, said.gap
    out.converged = out.converged and said.converged
  end
  out.nonzero = all:ne(0):to "i64":sum(3)
  if m.single then out.nonzero = out.nonzero:reshape(-1) end
  return paths.result(m, all, out)
end

local function path(class, x, y, opts)
  return estimator.lasting(function()
    local s, m = paths.start(class, x, y, opts)
    local form = form_of(m)
    return walk(s, m, form, lambdas_of(s, form, opts or {}))
  end)
end

-- -- estimators -----------------------------------------------------------------------

local function define(class, more)
  class.kind = "regressor"
  class.settings = { { "lambda", 1.0, lo = 0 }, { "intercept", true }, { "positive", false },
    { "steps", 1000, integer = true, lo = 1 }, { "tol", 1e-6, lo = 0 }, { "warm_start", false },
    more }
  class.learned = regression.fields { steps = "number", gap = "number", loss = "number",
    converged = "boolean", reason = "string" }
  class.fit, class.predict = fit, regression.predict
  class.verify, class.methods = regression.verify, regression.methods
  class.path = function(...) return path(class, ...) end
  return estimator.define(class)
end

--- Elastic net: sum of w (y - x.weight - bias)^2 / (2 sum of w) + lambda (l1_ratio |weight|_1 +
-- (1 - l1_ratio) |weight|^2 / 2) is made least; the bias is not penalised.  Weights that are
-- not worth the penalty are exactly 0: m:selected() tells which columns are used.
--
-- Settings:
-- * lambda (1), at least 0; l1_ratio (0.5), in 0..1: scikit-learn's alpha and l1_ratio.
-- * intercept (true), positive (false): weights are not negative.
-- * tol (1e-6): the duality gap, a bound on how far the loss is above the least one, at which
--   to stop, relative to the mean square of y about its mean.  With l1_ratio or lambda 0 what
--   single steps would win is taken for it.
-- * steps (1000): times all coordinates are gone through at most; warm_start (false): from
--   the weights that were learned before.
--
-- Learned: weight (d), bias (), of x's type; for targets (n, k) weight (k, d), bias (k); steps,
-- gap, loss (for several targets the most, the largest, the sum), converged, reason ("gap" or
-- "steps").  Memory beside the data is that of the Gram matrix (d, d).
--
--     local m = mare.models.ElasticNet { lambda = 0.1, l1_ratio = 0.8 }:fit(x, y)
--     print(m.weight, m:selected())
--
-- ElasticNet.path(x, y, opts) fits for many lambdas, each from the one before.  Options:
-- lambdas, a list; or count (100) of them, from the least that makes all weights 0 to `least`
-- (1e-3) times that; weights; and the settings.  Returns, by descending lambdas (t): weight
-- (t, d), bias (t), nonzero (t): how many weights are not 0, steps, gaps, converged; for
-- targets (n, k) weight (t, k, d), bias (t, k), nonzero (t, k).
--
--     local p = mare.models.ElasticNet.path(x, y, { count = 50, l1_ratio = 0.8 })
--
-- H. Zou and T. Hastie 2005, Regularization and variable selection via the elastic net.
M.ElasticNet = define({ name = "ElasticNet", doc = "least squares with an l1 and l2 penalty" },
  { "l1_ratio", 0.5, lo = 0, hi = 1 })

--- Lasso: an elastic net (which see) with l1_ratio 1, sum of w (y - x.weight - bias)^2 /
-- (2 sum of w) + lambda |weight|_1.
--
--     local m = mare.models.Lasso { lambda = 0.1 }:fit(x, y)
--     local p = mare.models.Lasso.path(x, y, { count = 50 })
--
-- R. Tibshirani 1996, Regression shrinkage and selection via the lasso.
M.Lasso = define({ name = "Lasso", doc = "least squares with a penalty on absolute weights" })

return M
