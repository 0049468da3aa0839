-- linear.lua -- linear regression: least squares in closed form, by descent, or by trying.

local estimator = require "mare.models.estimator"
local regression = require "mare.models.regression"
local descent = require "mare.models.descent"

local solvers = {}

local SMALL = 2 ^ 24 -- multiplications for which QR is no matter

local function by_qr(self, m)
  local W, rank, s = regression.qr(m, 0, self.settings.rcond)
  return regression.result(m, W, { rank = rank, singular_values = s, method = "qr" })
end

function solvers.qr(self, data)
  return by_qr(self, regression.center(data, self.settings.intercept))
end

function solvers.normal(self, data)
  local m = regression.center(data, self.settings.intercept)
  local W, rank = regression.normal(m, 0)
  if not W then return by_qr(self, m) end
  return regression.result(m, W, { rank = rank, method = "normal" })
end

function solvers.auto(self, data)
  local n, d = data.n, data.features
  local qr = n < d or n * d * d <= SMALL
  return solvers[qr and "qr" or "normal"](self, data)
end

local function before_of(self)
  return self.settings.warm_start and rawget(self, "learned") or nil
end

function solvers.gd(self, data) return descent.all(self, data, before_of(self)) end

function solvers.sgd(self, data) return descent.batches(self, data, before_of(self)) end

solvers.grid = descent.grid

local function fit(self, data) return solvers[self.settings.solver](self, data) end

--- Linear regression: y = x.weight + bias with the least sum of squares.
--
-- Settings:
-- * solver: "qr", by QR in blocks of rows and the singular values of R; "normal", the normal
--   equations by Cholesky, refined with what is left of the rows themselves, and "qr" where
--   they lose too much, as of columns that depend on each other; "auto" (the default), "qr"
--   for little data and fewer rows than columns, otherwise "normal"; "gd", gradient descent on
--   all rows; "sgd", on batches; "grid", every point of a grid over (weight, bias).
-- * intercept (true): with a bias.
-- * rcond: singular values of at most this part of the largest count as 0 (8 sqrt(d) times
--   the rounding unit, after columns of different sizes were scaled alike).  Of columns that
--   depend on each other, and with fewer rows than columns, "auto", "qr" and "normal" give the
--   shortest of the answers.
-- * gd: lr (1 / the largest curvature), steps (1000), tol (1e-6: the largest element of the
--   gradient at which to stop).  sgd: lr, divided by 1 + decay times the step, decay (0),
--   batch (32), epochs (20), shuffle (true; the random numbers are those of mare.seed), tol
--   (relative change of the loss of an epoch).  Both: trace (false), warm_start (false).
-- * grid: { weight = { lo, hi }, bias = { lo, hi }, points = 101 }, weight a list of such
--   ranges for more columns.
--
-- Learned: weight (d), bias (), of x's type; for targets (n, k) weight (k, d), bias (k).
-- * method, "qr" or "normal", what the answer was found by; rank; of qr singular_values.
-- * gd, sgd: steps, lr, loss, converged, reason ("gradient", "steps"; "value", "epochs";
--   "rows" after partial_fit) and with trace the path, trace.loss (t), trace.weight (t, d),
--   trace.bias (t): at every step for gd, after every epoch for sgd.
-- * grid: losses (points, .., points), the last axis the bias's; axes, the values along each.
-- The loss of these is the half mean square, for several targets their sum.  A rate that
-- diverges is an error.
--
-- fit(x, y, { weights = w }) counts row i w_i times.  partial_fit, with solver "sgd", goes
-- through more rows once.
--
--     local m = mare.models.LinearRegression():fit(x, y)
--     print(m.weight, m.bias, m:score(x, y))
--     local path = mare.models.LinearRegression { solver = "gd", trace = true }:fit(x, y).trace
--
-- A. Bjorck 1996, Numerical Methods for Least Squares Problems.
return estimator.define {
  name = "LinearRegression", kind = "regressor", doc = "least squares",
  settings = {
    { "solver", "auto", one_of = { "auto", "qr", "normal", "gd", "sgd", "grid" } },
    { "intercept", true }, { "rcond", nil, lo = 0, hi = 1 },
    { "lr", nil, above = 0 }, { "steps", 1000, integer = true, lo = 0 }, { "tol", 1e-6, lo = 0 },
    { "decay", 0.0, lo = 0 }, { "batch", 32, integer = true, lo = 1 },
    { "epochs", 20, integer = true, lo = 1 }, { "shuffle", true },
    { "trace", false }, { "warm_start", false }, { "grid", nil, check = descent.check_grid },
  },
  learned = regression.fields { rank = "?number", singular_values = "?f64 s", method = "?string",
    steps = "?number", lr = "?number", loss = "?number", converged = "?boolean",
    reason = "?string", trace = "?table", losses = "?f64 *", axes = "?table" },
  lazy = function(settings) return settings.solver ~= "sgd" end,
  fit = fit, partial = descent.more, predict = regression.predict,
  verify = regression.verify, methods = regression.methods,
}
