-- Perceptron against scikit-learn 1.2.1 (fixtures/linear_classifiers.py) and the plain rule.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local P = models.Perceptron
local reference = dofile "spec/fixtures/linear_classifiers.lua"
local data = dofile "spec/fixtures/models_bayes.lua"

local fails = estimators.fails

local function apart(a, b)
  if type(b) == "table" then b = mare.tensor(b, "f64") end
  return (a:to "f64" - b:to "f64"):abs():max():item()
end

local iris, digits = assert(mare.data.iris()), assert(mare.data.digits())
local ix = iris.x:to "f64"
local sets = {
  iris = { ix, iris.y }, digits = { digits.x:to "f64", digits.y },
  eta = { ix:narrow(1, 51, 100), iris.y:narrow(1, 51, 100) },
  cancer = { mare.tensor(data.cancer.x, "f64"), mare.tensor(data.cancer.y, "i64") },
}

local seven = { shuffle = false, epochs = 7, patience = 100 }

describe("Perceptron", function()
  it("does what scikit-learn's does", function()
    for name, set in pairs(sets) do
      local want = reference["perceptron_" .. name]
      local m = P(seven):clone { lr = name == "eta" and 0.25 or 1 }:fit(set[1], set[2])
      assert.is_true(apart(m.weight, want.coef) < 1e-9, name)
      assert.is_true(apart(m.bias, want.intercept) < 1e-9, name)
      assert.equal(7, m.steps)
      assert.equal("epochs", m.reason)
      assert.is_false(m.converged)
    end
    local w = {}
    for i = 1, 150 do w[i] = 1 + (i - 1) % 3 end
    local m = P(seven):fit(ix, iris.y, { weights = w })
    assert.is_true(apart(m.weight, reference.perceptron_weighted.coef) < 1e-9)
    assert.is_true(apart(m.bias, reference.perceptron_weighted.intercept) < 1e-9)
  end)

  it("finds a plane where there is one, and says so", function()
    local x, y = iris.x:narrow(1, 1, 100), iris.y:narrow(1, 1, 100)
    for _, average in ipairs { false, true } do
      mare.seed(1) -- the order of the rows; the mean of planes need not part them all
      local m = P { trace = true, average = average }:fit(x, y)
      assert.is_true(m.converged)
      assert.equal("separated", m.reason)
      assert.equal(0, m.mistakes)
      assert.equal(m.steps, #m.trace)
      assert.equal(0, m.trace[m.steps].mistakes)
      assert.is_true(m:score(x, y) > 0.99)
    end
    -- XOR has none
    local m = P():fit(mare.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }, { 0, 1, 1, 0 })
    assert.is_false(m.converged)
    assert.equal("no progress", m.reason)
    assert.is_true(m.mistakes > 0)
  end)

  it("averages the weights after each row", function()
    local x, y = table.unpack(sets.eta)
    local w, sum, rows, labels = { 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0 }, x:totable(), y:totable()
    for _ = 1, 3 do
      for i, row in ipairs(rows) do
        local t, z = labels[i] == 3 and 1 or -1, w[5]
        for j = 1, 4 do z = z + w[j] * row[j] end
        if t * z <= 0 then
          for j = 1, 4 do w[j] = w[j] + t * row[j] end
          w[5] = w[5] + t
        end
        for j = 1, 5 do sum[j] = sum[j] + w[j] / 300 end
      end
    end
    local s = { shuffle = false, epochs = 3, patience = 10, average = true }
    local m = P(s):fit(x, y)
    assert.is_true(apart(m.weight[1], { sum[1], sum[2], sum[3], sum[4] }) < 1e-10)
    assert.is_true(apart(m.bias, { sum[5] }) < 1e-10)
    local parts = P(s)
    for _ = 1, 3 do parts:partial_fit(x, y) end
    assert.equal(3, parts.steps)
    assert.is_true(apart(m.weight, parts.weight) < 1e-12)
  end)

  it("goes on from what it learned; f32, decisions, files", function()
    local x, y = table.unpack(sets.eta)
    local m = P { shuffle = false, epochs = 2, patience = 9, warm_start = true }:fit(x, y)
    m:fit(x, y)
    local once = P { shuffle = false, epochs = 4, patience = 9 }:fit(x, y)
    assert.is_true(apart(m.weight, once.weight) < 1e-12)
    local small = P { shuffle = false, epochs = 4, patience = 9 }:fit(x:to "f32", y)
    assert.equal("f32", small.weight.dtype)
    assert.is_true(apart(small.weight, once.weight) < 1e-4)
    assert.same(once:decision(x):gt(0):to "i64":totable(), (once:predict(x) - 2):totable())
    local back = assert(models.load { string = once:save() })
    assert.same(once:decision(x):totable(), back:decision(x):totable())
    local free = P { fit_intercept = false, epochs = 3 }:fit(ix, iris.y)
    assert.same({ 0, 0, 0 }, free.bias:totable())
    assert.same({ 150, 3 }, free:decision(ix).shape)
  end)

  it("refuses", function()
    local x, y = table.unpack(sets.eta)
    local m = P():fit(x, y)
    local before = m.weight
    fails("all labels are 2", m.fit, m, x:narrow(1, 1, 5), y:narrow(1, 1, 5))
    fails("labels are whole numbers", m.fit, m, x, y:to "f32")
    fails("no values", m.fit, m, mare.zeros(0, 4), {})
    fails("nan in row 1", m.fit, m, x * (0 / 0), y)
    fails("sums overflow", m.fit, m, x * 1e307, y)
    fails("4 classes instead of 2", m.partial_fit, m, x, y + 2)
    fails("3 columns (shape 1x3)", m.predict, m, mare.zeros(1, 3))
    fails("needs a fitted model", function() P():predict(x) end)
    fails("needs probabilities", m.predict_proba, m, x)
    fails("did you mean 'epochs'", P, { epoch = 3 })
    fails("lr: 0 is not above 0", P, { lr = 0 })
    assert.equal(before, m.weight)
  end)
end)
