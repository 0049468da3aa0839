-- LinearSVM against scikit-learn 1.2.1's SVC and scipy (fixtures/linear_classifiers.py).

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local V = models.LinearSVM
local reference = dofile "spec/fixtures/linear_classifiers.lua"
local data = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, apart = estimators.fails, estimators.f64, estimators.off

local iris = assert(mare.data.iris())
local ix = iris.x:to "f64"
local sets = {
  iris = { ix, iris.y }, versicolor = { ix:narrow(1, 51, 100), iris.y:narrow(1, 51, 100) },
  cancer = { f64(data.cancer.x), mare.tensor(data.cancer.y, "i64") },
}

local function agree(name, want, settings, tolerance)
  local x, y = table.unpack(sets[name])
  local m = V(settings):fit(x, y)
  assert.is_true(m.converged, m.reason)
  assert.is_true(math.abs(m.objective / want.loss - 1) < 1e-6,
    ("%s: objective %.12g, %.12g expected"):format(name, m.objective, want.loss))
  local off = math.max(apart(m.weight, want.coef), apart(m.bias, want.intercept))
  assert.is_true(off < tolerance, ("%s: off by %g"):format(name, off))
  local z = x:matmul(f64(want.coef):t()) + f64(want.intercept)
  local labels = z:size(2) == 1 and z:reshape(-1):gt(0):to "i64" + 1 or z:argmax(2)
  assert.same(m.classes:index_select(1, labels):totable(), m:predict(x):totable())
end

describe("LinearSVM", function()
  for _, name in ipairs { "iris", "versicolor", "cancer" } do
    for _, solver in ipairs { "auto", "newton" } do
      it("minimizes the squared hinge, " .. solver .. ", " .. name, function()
        agree(name, reference["squared_hinge_" .. name], { solver = solver, tol = 1e-9 }, 1e-5)
      end)
    end

    it("minimizes the hinge, " .. name, function()
      agree(name, reference["hinge_" .. name], { loss = "hinge", C = 0.5, tol = 1e-9 }, 1e-5)
    end)
  end

  it("takes f32, row weights, weights of classes, no bias", function()
    local x, y = table.unpack(sets.versicolor)
    for _, loss in ipairs { "hinge", "squared_hinge" } do
      local s = { loss = loss, tol = 1e-7 }
      local full = V(s):fit(x, y)
      local small = V { loss = loss }:fit(x:to "f32", y)
      assert.equal("f32", small.weight.dtype)
      assert.is_true(math.abs(small.objective / full.objective - 1) < 1e-4)
      -- weight 0 is a row that is not there, 2 one that is there twice
      local w = {}
      for i = 1, 100 do w[i] = i <= 10 and 0 or i <= 30 and 2 or 1 end
      local a = V(s):fit(x, y, { weights = w })
      local b = V(s):fit(mare.cat({ x:narrow(1, 11, 90), x:narrow(1, 11, 20) }, 1),
        mare.cat({ y:narrow(1, 11, 90), y:narrow(1, 11, 20) }, 1))
      assert.is_true(apart(a.weight, b.weight) < 1e-4)
      assert.is_true(math.abs(a.objective - b.objective) < 1e-6)
      local heavy = V { loss = loss, class_weight = { [3] = 50 } }:fit(x, y)
      assert.is_true(heavy:predict(x):narrow(1, 51, 50):eq(3):all():item() ~= 0)
      local free = V { loss = loss, fit_intercept = false }:fit(x, y)
      assert.same({ 0 }, free.bias:totable())
      assert.is_true(free:score(x, y) > 0.9)
    end
  end)

  it("has the least objective also by an optimizer, and with |w|", function()
    local x, y = table.unpack(sets.versicolor)
    x = (x - x:mean(1)) / x:std(1)
    for _, loss in ipairs { "hinge", "squared_hinge" } do
      local best = V { loss = loss, tol = 1e-9 }:fit(x, y).objective
      mare.seed(3)
      local m = V { loss = loss, solver = "adam", lr = 0.003, batch = 100, epochs = 4000, tol = 0 }:fit(x, y)
      assert.is_true(m.objective >= best * (1 - 1e-9))
      assert.is_true(m.objective < best * 1.002, m.objective / best)
    end
    local m = V { penalty = "l1", C = 0.05, tol = 1e-8 }:fit(x, y)
    assert.is_true(m.converged, m.reason)
    assert.is_true(m.weight:eq(0):any():item() ~= 0)
    for _ = 1, 20 do -- none around is better
      local w = m.weight + mare.randn({ 1, 4 }, "f64") * 0.01
      local v = (1 - (x:matmul(w[1]) + m.bias) * ((y - 2) * 2 - 1):to "f64"):clamp(0, math.huge)
      assert.is_true(v:square():mean():item() + w:abs():sum():item() / (0.05 * 100) > m.objective)
    end
  end)

  it("finds the widest margin of separable rows", function()
    local x = f64 { { 0, 0 }, { 0, 2 }, { 4, 0 }, { 4, 2 } }
    local m = V { loss = "hinge", C = 1e3, tol = 1e-10 }:fit(x, { 1, 1, 2, 2 })
    assert.is_true(apart(m.weight, { { 0.5, 0 } }) < 1e-6)
    assert.is_true(apart(m.bias, { -1 }) < 1e-6)
    assert.is_true(apart(m:decision(x), { -1, -1, 1, 1 }) < 1e-6)
    m = V { loss = "hinge", penalty = "none" }:fit(x, { 1, 1, 2, 2 })
    assert.equal(1, m:score(x, { 1, 1, 2, 2 }))
    assert.is_true(m.objective < 1e-5)
  end)

  it("traces, goes on, streams, is saved", function()
    local x, y = table.unpack(sets.iris)
    local m = V { loss = "hinge", trace = true }:fit(x, y)
    assert.equal(3, m.trace[#m.trace].class)
    assert.is_true(m.trace[#m.trace].gap < 1e-4)
    local back = assert(models.load { string = m:save() })
    assert.same(m:decision(x):totable(), back:decision(x):totable())
    m = V { warm_start = true }:fit(x, y)
    m:fit(x, y)
    assert.is_true(m.steps <= 2)
    mare.seed(1)
    local stream = V { solver = "adam", lr = 0.02, loss = "hinge" }
    x, y = table.unpack(sets.versicolor)
    for _ = 1, 100 do stream:partial_fit(x, y) end
    assert.is_true(stream:score(x, y) > 0.9)
  end)

  it("gives a constant column no weight", function()
    local x, y = table.unpack(sets.versicolor)
    local more = mare.cat({ x, mare.full({ 100, 1 }, 3.7, "f64") }, 2)
    for _, loss in ipairs { "hinge", "squared_hinge" } do
      local m = V { loss = loss, tol = 1e-8 }:fit(more, y)
      assert.equal(0, m.weight[{ 1, 5 }]:item())
      assert.is_true(math.abs(m.objective - V { loss = loss, tol = 1e-8 }:fit(x, y).objective) < 1e-7)
    end
  end)

  it("refuses", function()
    local x, y = table.unpack(sets.versicolor)
    local m = V():fit(x, y)
    local before = m.weight
    fails("all labels are 2", m.fit, m, x:narrow(1, 1, 5), y:narrow(1, 1, 5))
    fails("nan in row 1, column 1", m.fit, m, x * (0 / 0), y)
    fails("no values", m.fit, m, mare.zeros(0, 4), {})
    fails("3 columns (shape 1x3)", m.predict, m, mare.zeros(1, 3))
    fails("needs a fitted model", function() V():predict(x) end)
    fails("needs probabilities", m.predict_proba, m, x)
    fails("did you mean 'penalty'", V, { penaltie = "l2" })
    fails("unknown solver 'qp'; known: auto, lbfgs, newton, interior", V, { solver = "qp" })
    fails("needs a loss without kinks", function() V { loss = "hinge", solver = "lbfgs" }:fit(x, y) end)
    fails("not for \"hinge\" with \"l1\"", function() V { loss = "hinge", penalty = "l1" }:fit(x, y) end)
    fails("not for \"squared_hinge\"", function() V { solver = "interior" }:fit(x, y) end)
    fails("needs a smooth penalty", function() V { solver = "newton", penalty = "l1" }:fit(x, y) end)
    fails("partial_fit needs a solver that goes by batches", m.partial_fit, m, x, y)
    assert.equal(before, m.weight)
  end)
end)
