-- Lasso, ElasticNet and HuberRegression against scikit-learn 1.2.1
-- (fixtures/models_regression.py), against what makes an answer the best, and with what
-- they must refuse.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local Lasso, Elastic, Huber = models.Lasso, models.ElasticNet, models.HuberRegression
local reference = dofile "spec/fixtures/models_regression.lua"

local fails, f64, near, agrees =
  estimators.fails, estimators.f64, estimators.near_all, estimators.agrees

local x, y = f64(reference.diabetes.x), f64(reference.diabetes.y)
local list = {}
for i = 1, y:size(1) do list[i] = (i - 1) % 3 + 0.5 end
local weights = f64(list)
local digits = assert(mare.data.digits())
local pixels, labels = digits.x:to "f64", (digits.y - 1):to "f64"
local onehot = digits.y:unsqueeze(2):eq(mare.arange(1, 10, "i64")):to "f64"

local function tight(class, settings)
  settings.tol, settings.steps = settings.tol or 1e-15, 100000
  return class(settings)
end

describe("Lasso and ElasticNet agree with scikit-learn", function()
  for name, settings in pairs {
    lasso = { lambda = 5 }, lasso_small = { lambda = 0.05 },
    lasso_positive = { lambda = 2, positive = true },
    lasso_origin = { lambda = 2, intercept = false },
    elastic = { lambda = 0.7, l1_ratio = 0.3 } } do
    it("on diabetes, " .. name, function()
      local class = settings.l1_ratio and Elastic or Lasso
      local m = tight(class, settings):fit(x, y)
      agrees(1e-8, m, x, y, reference[name])
      settings.tol = 1e-12
      agrees(1e-5, tight(class, settings):fit(x:to "f32", y), x:to "f32", y, reference[name])
    end)
  end

  it("with row weights", function()
    local m = tight(Lasso, { lambda = 2 }):fit(x, y, { weights = weights })
    near(1e-8, m.weight, reference.lasso_weighted.weight)
    near(1e-8, m.bias, reference.lasso_weighted.bias)
  end)

  it("on digits: dependent columns, fewer rows than columns, several targets", function()
    agrees(1e-6, tight(Lasso, { lambda = 0.01 }):fit(pixels, labels), pixels, labels,
      reference.lasso_digits)
    local a, b = pixels:narrow(1, 1, 30), labels:narrow(1, 1, 30)
    agrees(1e-6, tight(Lasso, { lambda = 0.1 }):fit(a, b), a, b, reference.lasso_wide)
    b = onehot:narrow(2, 1, 3)
    agrees(1e-6, tight(Elastic, { lambda = 0.02, l1_ratio = 0.8 }):fit(pixels, b), pixels, b,
      reference.elastic_targets)
  end)

  it("along the path", function()
    local p = Lasso.path(x, y, { count = 8, tol = 1e-15, steps = 100000 })
    near(1e-10, p.lambdas, reference.path.lambdas)
    near(1e-8, p.weight, reference.path.weight)
    assert.is_true(p.converged)
    assert.same(p.weight:ne(0):to "i64":sum(2):totable(), p.nonzero:totable())
  end)
end)

-- The conditions that the least penalised loss fulfils: of w_j ~= 0 the slope balances
-- the penalty, of w_j = 0 it does not exceed it.
local function optimal(tolerance, m, a, b, lambda, ratio)
  local r = b - a:matmul(m.weight) - m.bias
  local slope = (a - a:mean(1)):t():matmul(r) / a:size(1) - m.weight * (lambda * (1 - ratio))
  for j, g in ipairs(slope:totable()) do
    local w = m.weight[j]:item()
    if w ~= 0 then g = g - lambda * ratio * (w > 0 and 1 or -1) end
    assert.is_true(math.abs(g) <= (w == 0 and lambda * ratio or 0) + tolerance, ("column %d: %g"):format(j, g))
  end
end

local function synthetic(seed, n, d)
  mare.seed(seed)
  local a = mare.randn({ n, d }, "f64")
  a = a + a:narrow(2, 1, 1) * 0.5
  return a, a:narrow(2, 1, math.min(d, 3)):sum(2) * 2 + mare.randn({ n }, "f64") + 7
end

describe("Lasso", function()
  it("fulfils the conditions of an optimum", function()
    for seed = 1, 8 do
      local a, b = synthetic(seed, 20 + 10 * seed, 5 * seed)
      for _, ratio in ipairs { 1, 0.5, 0.05 } do
        for _, lambda in ipairs { 0.01, 0.3, 1 } do
          local m = tight(Elastic, { lambda = lambda, l1_ratio = ratio }):fit(a, b)
          optimal(1e-6, m, a, b, lambda, ratio)
          assert.is_true(m.converged)
        end
      end
    end
  end)

  it("is ridge regression without l1, least squares without a penalty", function()
    local a, b = synthetic(1, 50, 6)
    local m = tight(Elastic, { lambda = 0.2, l1_ratio = 0, tol = 1e-20 }):fit(a, b)
    near(1e-8, m.weight, models.Ridge { lambda = 0.2 * 50 }:fit(a, b).weight:totable())
    m = tight(Lasso, { lambda = 0, tol = 1e-20 }):fit(a, b)
    near(1e-8, m.weight, models.LinearRegression():fit(a, b).weight:totable())
  end)

  it("bounds what is left to win by its gap", function()
    local a, b = synthetic(2, 60, 20)
    local least = tight(Lasso, { lambda = 0.1 }):fit(a, b).loss
    for steps = 1, 6 do
      local m = Lasso { lambda = 0.1, steps = steps, tol = 0 }:fit(a, b)
      assert.is_true(m.loss - least <= m.gap + 1e-12 and m.loss >= least - 1e-12)
      local r = b - m:predict(a)
      near(1e-10, m.loss, r:square():mean():item() / 2 + 0.1 * m.weight:abs():sum():item())
      assert.same({ false, "steps", steps }, { m.converged, m.reason, m.steps })
    end
    local m = Lasso { lambda = 0.1 }:fit(a, b)
    assert.same({ true, "gap" }, { m.converged, m.reason })
    assert.is_true(m.loss - least < 1e-6 * b:var():item())
  end)

  it("chooses columns", function()
    local a, b = synthetic(3, 200, 30)
    local m = Lasso { lambda = 0.6 }:fit(a, b)
    assert.same({ 1, 2, 3 }, m:selected():nonzero():reshape(-1):totable())
    m = Lasso { lambda = 1e6 }:fit(a, b)
    assert.equal(0, m:selected():to "i64":sum():item())
    near(1e-12, m.bias, b:mean():item())
    m = Lasso { lambda = 0.6 }:fit(a, mare.stack({ b, -b }, 2))
    assert.same({ 1, 2, 3 }, m:selected():nonzero():reshape(-1):totable())
  end)

  it("gives constant columns and constant targets no weight", function()
    local a, b = synthetic(4, 40, 2)
    local c = mare.cat({ a, mare.full({ 40, 1 }, 3, "f64"), a }, 2)
    local m = Lasso { lambda = 0.01 }:fit(c, b)
    assert.equal(0, m.weight[3]:item())
    assert.is_true(m.converged)
    m = Lasso():fit(a, b * 0 + 2)
    assert.same({ { 0, 0 }, 2, true }, { m.weight:totable(), m.bias:item(), m.converged })
  end)

  it("goes on from what it learned", function()
    local a, b = synthetic(5, 60, 20)
    local m = Lasso { lambda = 0.01, warm_start = true }:fit(a, b)
    local first = m.steps
    m:fit(a, b)
    assert.is_true(m.steps < first and m.steps <= 2)
  end)

  it("is saved and loaded", function()
    local a, b = synthetic(6, 30, 4)
    for _, m in ipairs { Lasso { lambda = 0.1 }:fit(a, b), Huber():fit(a, b),
      Elastic { lambda = 0.1 }:fit(a, mare.stack({ b, b }, 2)) } do
      local back = assert(models.load { string = m:save() })
      assert.same(m:predict(a):totable(), back:predict(a):totable())
      assert.equal(tostring(m), tostring(back))
    end
  end)
end)

describe("A path", function()
  it("is what single fits give", function()
    local a, b = synthetic(7, 40, 6)
    for _, y2 in ipairs { b, mare.stack({ b, b:square() }, 2) } do
      local p = Elastic.path(a, y2, { lambdas = { 0.1, 1, 0.5 }, l1_ratio = 0.7, tol = 1e-14,
        weights = mare.arange(1, 40, "f64") })
      assert.same({ 1, 0.5, 0.1 }, p.lambdas:totable())
      for i, lambda in ipairs(p.lambdas:totable()) do
        local m = tight(Elastic, { lambda = lambda, l1_ratio = 0.7 })
        m:fit(a, y2, { weights = mare.arange(1, 40, "f64") })
        near(1e-6, p.weight[i], m.weight:totable())
        near(1e-6, p.bias[i], y2:dim() == 1 and m.bias:item() or m.bias:totable())
      end
    end
  end)

  it("begins where all weights are 0", function()
    local a, b = synthetic(8, 40, 6)
    local p = Lasso.path(a:to "f32", b, { count = 5, least = 0.01 })
    assert.same({ 0, true }, { p.nonzero[1]:item(), p.nonzero[2]:item() > 0 })
    near(1e-12, p.lambdas[5]:item() / p.lambdas[1]:item(), 0.01)
    assert.equal("f32", p.weight.dtype)
    assert.same({ { 5, 6 }, { 5 } }, { p.weight.shape, p.bias.shape })
  end)

  it("refuses what makes no sense", function()
    local a, b = synthetic(9, 20, 2)
    fails("unknown setting 'lamda'", Lasso.path, a, b, { lamda = 1 })
    fails("lambdas: list of numbers expected, got number", Lasso.path, a, b, { lambdas = 1 })
    fails("lambdas: list of numbers expected", Lasso.path, a, b, { lambdas = {} })
    fails("lambdas: #2 is -1, not a number of at least 0", Lasso.path, a, b, { lambdas = { 1, -1 } })
    fails("whole number of at least 1", Lasso.path, a, b, { count = 0 })
    fails("least: 2 is outside 0 to 1", Lasso.path, a, b, { least = 2 })
    fails("table of options expected, got number", Lasso.path, a, b, 1)
    fails("bad argument #2 to 'path' (targets 19 for 20 rows)", Lasso.path, a, b:narrow(1, 1, 19))
    fails("with l1_ratio 0 lambdas must be given", Elastic.path, a, b, { l1_ratio = 0 })
  end)
end)

describe("HuberRegression", function()
  local far = f64(reference.outliers.y)
  local z = (x - x:mean(1)) / x:var(1, false, 0):sqrt()

  for name, settings in pairs { huber = {}, huber_penalty = { epsilon = 1.1, lambda = 5 },
    huber_weighted = { lambda = 0.01 } } do
    it("agrees with scikit-learn, " .. name, function()
      local want, opts = reference[name], name == "huber_weighted" and { weights = weights } or nil
      for dtype, tolerance in pairs { f64 = 1e-6, f32 = 1e-5 } do
        settings.tol = 1e-9
        local m = Huber(settings):fit(z:to(dtype), far, opts)
        assert.is_true(math.abs(m.loss - want.loss) < tolerance / 10 * want.loss)
        near(tolerance, m.weight, want.weight)
        near(tolerance, m.bias, want.bias)
        near(tolerance, m.scale, want.scale)
        near(tolerance, m:predict(z:to(dtype)), want.predictions)
        assert.equal(want.outliers, m.outliers:to "i64":sum():item())
      end
    end)
  end

  it("does not mind the units of columns and targets", function()
    local m = Huber { lambda = 0, tol = 1e-9 }:fit(z, far)
    local units = f64 { 1e-6, 1, 1e6, 1, 1e3, 1, 1, 1, 1, 1e-3 }
    local other = Huber { lambda = 0, tol = 1e-9 }:fit(z * units + 3 * units, far * 1e5)
    near(1e-6, other.weight * units / 1e5, m.weight:totable())
    near(1e-6, other.scale / 1e5, m.scale)
  end)

  it("hardly sees outliers", function()
    local a, b = synthetic(10, 200, 3)
    local bad = b:clone()
    for i = 1, 200, 20 do bad[i] = 1e4 end
    local clean, m = models.LinearRegression():fit(a, b), Huber():fit(a, bad)
    near(0.15, m.weight, clean.weight:totable())
    assert.is_true(m.converged)
    for i = 1, 200, 20 do assert.equal(1, m.outliers[i]:item()) end
    assert.is_true((models.LinearRegression():fit(a, bad).weight - clean.weight):abs():max():item() > 100)
  end)

  it("with no outlier in reach is least squares", function()
    local a, b = synthetic(11, 100, 3)
    for _, intercept in ipairs { true, false } do
      local m = Huber { epsilon = 100, lambda = 0, tol = 1e-9, intercept = intercept }:fit(a, b)
      local l = models.LinearRegression { intercept = intercept }:fit(a, b)
      near(1e-6, m.weight, l.weight:totable())
      near(1e-6, m.scale, (b - l:predict(a)):square():mean():sqrt():item())
    end
  end)

  it("takes what needs no scale", function()
    local a, b = synthetic(12, 20, 2)
    local m = Huber():fit(a, b * 0 + 3)
    assert.same({ { 0, 0 }, 3, 0 }, { m.weight:totable(), m.bias:item(), m.scale })
    m = Huber { lambda = 0 }:fit(a, a:sum(2))
    near(1e-3, m.weight, { 1, 1 })
    m = Huber():fit(mare.cat({ a, mare.ones({ 20, 1 }, "f64"), a }, 2), b)
    assert.equal(0, m.weight[3]:item())
    m = Huber():fit(a:narrow(1, 1, 1), b:narrow(1, 1, 1))
    near(1e-12, m.bias, b[1]:item())
  end)

  it("goes on from what it learned", function()
    local a, b = synthetic(13, 100, 5)
    local m = Huber { warm_start = true }:fit(a, b)
    local first, w = m.steps, m.weight:totable()
    m:fit(a, b)
    assert.is_true(m.steps <= 1 and first > 2)
    near(1e-5, m.weight, w)
  end)
end)

describe("They refuse", function()
  local a, b = synthetic(14, 20, 3)

  it("settings that make no sense", function()
    fails("lambda: -1 is not at least 0", Lasso, { lambda = -1 })
    fails("l1_ratio: 2 is not at least 0 and at most 1", Elastic, { l1_ratio = 2 })
    fails("unknown setting 'alpha'", Lasso, { alpha = 1 })
    fails("unknown setting 'l1_ratio'", Lasso, { l1_ratio = 0.5 })
    fails("epsilon: 0.5 is not at least 1", Huber, { epsilon = 0.5 })
    fails("tol: 0 is not above 0", Huber, { tol = 0 })
  end)

  it("data that make no sense, and keep what they had learned", function()
    for _, class in ipairs { Lasso, Elastic, Huber } do
      local m = class():fit(a, b)
      local before = m.weight:totable()
      local bad = a:clone()
      bad[{ 2, 3 }] = 0 / 0
      fails("nan in row 2, column 3", m.fit, m, bad, b)
      fails("no values", m.fit, m, mare.zeros({ 0, 3 }), {})
      fails("overflow", m.fit, m, a * 1e200, b)
      fails("overflow", m.fit, m, a, b * 1e200)
      fails("4 columns", m.predict, m, mare.ones(2, 4))
      fails("needs a fitted model", class().predict, class(), a)
      fails("no partial_fit", m.partial_fit, m, a, b)
      assert.same(before, m.weight:totable())
    end
    local m = Huber()
    fails("one target a row (n) expected, got shape 20x2", m.fit, m, a, mare.ones({ 20, 2 }))
  end)
end)
