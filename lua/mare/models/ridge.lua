-- ridge.lua -- least squares with a penalty on the squares of the weights.

local core = require "mare.core".functions
local estimator = require "mare.models.estimator"
local regression = require "mare.models.regression"
local paths = require "mare.models.paths"
local linalg = require "mare.linalg"
local ops = require "mare.ops".ops

-- W (d, k) of fewer rows than columns: x' a with (x x' + lambda I) a = y; nil if lambda is
-- too small for that.
local function dual(m, lambda)
  local root = m.w and m.w:sqrt() or core.ones({ 1, 1 }, "f64")
  local a = core.eye(m.n, "f64") * lambda
  local size = math.max(1, (1 << 22) // m.n)
  local function columns(f)
    for first = 1, m.d, size do
      local scope <close> = core.scope() -- luacheck: ignore
      local count = math.min(size, m.d - first + 1)
      local x = m.x:narrow(2, first, count):to "f64" - m.mean:narrow(2, first, count)
      f(x * root, first, count)
    end
  end
  columns(function(x) a:add_(x:matmul(x:t())) end)
  if lambda < 1e-10 * a:max():item() then return nil end
  local alpha = linalg.solve(a, m.y * root)
  local W = core.empty({ m.d, m.k }, "f64")
  columns(function(x, first, count) W:narrow(1, first, count):copy_(x:t():matmul(alpha)) end)
  return W
end

local function solve(self, m)
  local s = self.settings
  local lambda = s.lambda
  local W
  if s.solver == "auto" and m.d > m.n then
    W = lambda > 0 and dual(m, lambda)
    if W then return W, "dual" end
  elseif s.solver ~= "qr" then
    W = regression.normal(m, lambda)
    if W then return W, "normal" end
  end
  return regression.qr(m, lambda), "qr"
end

local function fit(self, data)
  local m = regression.center(data, self.settings.intercept)
  local W, method = solve(self, m)
  return regression.result(m, W, { method = method })
end

-- For every penalty at once: with x' x = v diag(s) v', W is v diag(1 / (s + lambda)) v' x' y.
local function path(x, y, opts)
  return estimator.lasting(function()
    local _, m = paths.start(estimator.kinds.Ridge, x, y, opts)
    local gram, xy = regression.gram(m)
    local s, v = linalg.eigh(gram)
    s = s:clamp(0, math.huge)
    local top = s:max():item()
    local lambdas = paths.lambdas(opts or {}, 1e-6, function() return 10 * top * m.sum end)
    local c, all = v:t():matmul(xy), core.empty({ #lambdas, m.k, m.d }, "f64")
    for i, lambda in ipairs(lambdas) do
      local scope <close> = core.scope() -- luacheck: ignore
      local t = s + lambda / m.sum
      local inverse = ops.where(t:gt(top * regression.cut_of(m)), 1 / t, 0)
      all:select(1, i):copy_(v:matmul(c * inverse:unsqueeze(2)):t())
    end
    return paths.result(m, all, { lambdas = lambdas })
  end)
end

--- Ridge regression: linear least squares with a penalty, sum of w (y - x.weight - bias)^2 +
-- lambda |weight|^2 is made least.  The bias is not penalised.
--
-- Settings:
-- * lambda (1): at least 0, where it is least squares; as scikit-learn's alpha.
-- * solver: "normal", the normal equations by Cholesky, refined with what is left of the rows
--   themselves; "qr", by QR in blocks of rows, slower; "auto", the first unless they
--   lose too much, and with fewer rows than columns a system of the size of the rows.
-- * intercept (true): with a bias.
--
-- Learned: weight (d), bias (), of x's type; for targets (n, k) weight (k, d), bias (k);
-- method, what the answer was found by.  A constant column has weight 0.
--
--     local m = mare.models.Ridge { lambda = 10 }:fit(x, y)
--     print(m:score(x, y), m.weight, m.bias)
--
-- Ridge.path(x, y, opts) has the answers for many lambdas from one factorisation.  Options:
-- lambdas, a list; or count (100) of them, from ten times the largest eigenvalue of x' x to
-- `least` (1e-6) times that; weights, intercept.  Returns, by descending lambdas (t): weight
-- (t, d), bias (t); for targets (n, k) weight (t, k, d), bias (t, k).  Directions in which the
-- rows, and the penalty, are nothing beside their largest extent get no weight.
--
--     local p = mare.models.Ridge.path(x, y, { lambdas = { 100, 10, 1, 0.1 } })
--
-- A. E. Hoerl and R. W. Kennard 1970, Ridge regression: biased estimation for nonorthogonal
-- problems.
return estimator.define {
  name = "Ridge", kind = "regressor", doc = "least squares with a penalty on squared weights",
  settings = { { "lambda", 1.0, lo = 0 }, { "intercept", true },
    { "solver", "auto", one_of = { "auto", "normal", "qr" } } },
  lazy = true, learned = regression.fields { method = "string" },
  fit = fit, predict = regression.predict, verify = regression.verify,
  methods = regression.methods, path = path,
}
