-- huber.lua -- linear regression that outliers pull at with a bounded force.

local core = require "mare.core".functions
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local lbfgs = require "mare.optim.lbfgs"
local ops = require "mare.ops".ops
local regression = require "mare.models.regression"

-- What is minimized is a function of u (d + 2): the weights of columns divided by their
-- spread, the bias, both in units of the spread of y, and the logarithm of the scale.

-- Roots of the mean squares of the columns (d, 1), 1 where that is 0, and of y.
local function spreads(m)
  local v = m.intercept and m.variance or m.variance + m.raw_mean:square()
  regression.check_sums(1, v)
  return ops.where(v:gt(0), v:sqrt(), 1):reshape(-1, 1), math.sqrt(m.yy:item())
end

-- Sums over the rows at scaled weights v (d, 1): g = x' c, and of c, c^2 and r c, with
-- residuals r and c = r / sigma within -epsilon .. epsilon.
local function sums(p, v, b, sigma)
  local m, e, dtype = p.m, p.epsilon, p.dtype
  local g, c1, c2, rc = core.zeros({ m.d, 1 }, "f64"), 0, 0, 0
  local w = (v / p.spread):to(dtype)
  regression.blocks(m.n, m.d, nil, function(first, count)
    local x = regression.rows(m, first, count, dtype)
    local r = p.y:narrow(1, first, count) - x:matmul(w):to "f64" - b
    local c = (r / sigma):clamp(-e, e)
    local wc = m.w and c * m.w:narrow(1, first, count) or c
    g:add_(x:t():matmul(wc:to(dtype)):to "f64")
    c1 = c1 + wc:sum():item()
    c2 = c2 + (wc * c):sum():item()
    rc = rc + (wc * r):sum():item()
  end)
  return g, c1, c2, rc
end

-- The value and the gradient (d + 2) at u, over the sum of the weights.
local function value_at(p, u)
  local m, d = p.m, p.m.d
  local v, b = u:narrow(1, 1, d):reshape(d, 1), m.intercept and u[d + 1]:item() or 0
  local sigma = math.exp(u[d + 2]:item())
  local g, c1, c2, rc = sums(p, v, b, sigma)
  local penalty = v * p.penalty
  local f = sigma + (2 * rc - sigma * c2 + (v * penalty):sum():item()) / m.sum
  local out = core.empty(d + 2, "f64")
  out:narrow(1, 1, d):copy_(((penalty - g / p.spread) * (2 / m.sum)):reshape(-1))
  out:narrow(1, d + 1, 1):fill_(m.intercept and -2 * c1 / m.sum or 0)
  out:narrow(1, d + 2, 1):fill_(sigma * (1 - c2 / m.sum))
  return f, out
end

-- Where to begin: what was learned before, or nothing and the spread of y.
local function start(self, p)
  local m, u = p.m, core.zeros({ p.m.d + 2 }, "f64")
  local learned = self.settings.warm_start and rawget(self, "learned") or nil
  local W, b = regression.before(learned, m.d, 1, true)
  if W and learned.scale > 0 then
    u:narrow(1, 1, m.d):copy_((W * p.spread / p.unit):reshape(-1))
    local bias = (b + m.mean:matmul(W) - m.y_mean):item() / p.unit
    u:narrow(1, m.d + 1, 1):fill_(bias)
    u:narrow(1, m.d + 2, 1):fill_(math.log(learned.scale / p.unit))
  end
  return u
end

-- (n) u8: the rows that are further off than epsilon times the scale.
local function outliers(p, W, b, scale)
  local m, out = p.m, core.zeros({ p.m.n }, "u8")
  local w = W:to(p.dtype)
  regression.blocks(m.n, m.d, nil, function(first, count)
    local x = regression.rows(m, first, count, p.dtype)
    local r = m.y:narrow(1, first, count) - x:matmul(w):to "f64" - b
    out:narrow(1, first, count):copy_(r:abs():gt(p.epsilon * scale):reshape(-1):to "u8")
  end)
  return out
end

local function finish(p, u, info)
  local m, d = p.m, p.m.d
  local W = u:narrow(1, 1, d):reshape(d, 1) / p.spread * p.unit
  local b = m.intercept and u[d + 1]:item() * p.unit or 0
  local scale = math.exp(u[d + 2]:item()) * p.unit
  local out = { scale = scale, loss = info.f * p.unit * m.sum, steps = info.steps,
    reason = info.reason, outliers = outliers(p, W, b, scale) }
  out.converged = info.reason ~= "steps" and info.reason ~= "nan"
  m.y_mean = m.y_mean + b
  return regression.result(m, W, out)
end

-- Targets that are all the same need no weights and no scale.
local function trivial(m)
  return regression.result(m, core.zeros({ m.d, 1 }, "f64"), { scale = 0, loss = 0, steps = 0,
    reason = "gradient", converged = true, outliers = core.zeros({ m.n }, "u8") })
end

local function fit(self, data)
  local s = self.settings
  if data.y:dim() ~= 1 then
    check.argument(2, "fit", "one target a row (n) expected, got shape %s", check.shape(data.y))
  end
  local m = regression.center(data, s.intercept)
  local spread, unit = spreads(m)
  if unit == 0 then return trivial(m) end
  local p = { m = m, spread = spread, unit = unit, epsilon = s.epsilon, y = m.y / unit,
    penalty = s.lambda * unit / spread:square(), dtype = regression.working_type(m) }
  local u, info = lbfgs.minimize(function(v)
    local scope <close> = core.scope()
    local f, g = value_at(p, v)
    return f, scope:keep(g)
  end, start(self, p), { steps = s.steps, tol = s.tol })
  return finish(p, u, info)
end

--- Huber's regression: squares for the residuals that are small beside the scale of the
-- noise, sizes for the others, so that outliers count little.  The scale is found together
-- with the weights: sum of w (scale + H(r / scale) scale) + lambda |weight|^2 is made least,
-- with r = y - x.weight - bias and H(z) = z^2 for |z| < epsilon, else 2 epsilon |z| - epsilon^2.
--
-- Settings:
-- * epsilon (1.35), at least 1: where residuals begin to count by their size; 1.35 loses 5 % of
--   the efficiency of least squares on normal noise.
-- * lambda (1e-4), at least 0: scikit-learn's alpha; the bias is not penalised.
-- * intercept (true); tol (1e-6): the largest element of the gradient, of the columns in
--   units of their spreads, at which to stop; steps (1000) of L-BFGS; warm_start (false).
--
-- Learned: weight (d), bias (), of x's type; scale; outliers (n) u8, 1 for the rows that are
-- further off than epsilon times the scale; loss; steps, converged, reason (see
-- mare.optim.minimize).
--
--     local m = mare.models.HuberRegression { epsilon = 1.5 }:fit(x, y)
--     print(m.weight, m.scale, m.outliers:nonzero())
--
-- P. J. Huber and E. M. Ronchetti 2009, Robust Statistics, 7.
return estimator.define {
  name = "HuberRegression", kind = "regressor", doc = "linear regression robust to outliers",
  settings = { { "epsilon", 1.35, lo = 1 }, { "lambda", 1e-4, lo = 0 }, { "intercept", true },
    { "tol", 1e-6, above = 0 }, { "steps", 1000, integer = true, lo = 1 },
    { "warm_start", false } },
  learned = regression.fields { scale = "number", loss = "number", steps = "number",
    reason = "string", converged = "boolean", outliers = "u8 n" },
  fit = fit, predict = regression.predict, verify = regression.verify,
  methods = regression.methods,
}
