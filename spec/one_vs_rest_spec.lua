-- OneVsRest: classes one against the rest, several labels a row.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local O, L = models.OneVsRest, models.LogisticRegression

local fails = estimators.fails

local iris = assert(mare.data.iris())
local x, y = iris.x:to "f64", iris.y

describe("OneVsRest", function()
  it("tells which estimator it has", function()
    assert.truthy(tostring(O { estimator = L { C = 10 } }):find("estimator%s+LogisticRegression$"))
  end)

  it("fits one classifier for each class", function()
    local m = O { estimator = L { tol = 1e-9 } }:fit(x, y)
    assert.same({ 150, 3 }, m:decision(x).shape)
    local p = m:predict_proba(x)
    assert.is_true((p:sum(2) - 1):abs():max():item() < 1e-12)
    assert.same(p:log():totable(), m:predict_log_proba(x):totable())
    local best = {}
    for k = 1, 3 do
      local one = L { tol = 1e-9 }:fit(x, y:eq(k):to "i64")
      assert.is_true((one:decision(x) - m:decision(x):select(2, k)):abs():max():item() < 1e-12)
      best[k] = one:decision(x)
    end
    assert.same(mare.stack(best, 2):argmax(2):totable(), m:predict(x):totable())
    assert.is_true(m:score(x, y) > 0.9)
    -- LinearSVM does so by itself
    local svm = models.LinearSVM { tol = 1e-9 }
    assert.same(svm:clone():fit(x, y):predict(x):totable(),
      O { estimator = svm }:fit(x, y):predict(x):totable())
  end)

  it("fits one classifier for two classes", function()
    local two, labels = x:narrow(1, 51, 100), y:narrow(1, 51, 100) * 10
    local m = O { estimator = L() }:fit(two, labels)
    local one = L():fit(two, labels)
    assert.equal(1, #m.parts)
    assert.same(one:predict(two):totable(), m:predict(two):totable())
    assert.is_true((one:predict_proba(two) - m:predict_proba(two)):abs():max():item() < 1e-12)
    assert.same({ 100 }, m:decision(two).shape)
    assert.equal(one:score(two, labels), m:score(two, labels:totable()))
  end)

  it("takes a matrix of labels", function()
    local rows = {}
    for i, label in ipairs(y:totable()) do
      rows[i] = { label == 1 and 1 or 0, label ~= 3 and 1 or 0, 1, x[{ i, 1 }]:item() > 5.8 and 1 or 0 }
    end
    local targets = mare.tensor(rows, "u8")
    for _, given in ipairs { targets, targets:to "f32", rows } do
      local m = O { estimator = L { C = 100 } }:fit(x, given)
      local got = m:predict(x)
      assert.same({ 150, 4 }, got.shape)
      assert.equal("i64", got.dtype)
      assert.is_true(got:eq(targets:to "i64"):to "f64":mean():item() > 0.97)
      local all = got:eq(targets:to "i64"):all(2):to "f64":mean():item()
      assert.equal(all, m:score(x, given))
      local first = mare.arange(1, 150):le(50):to "f64" -- weights: these rows alone
      assert.equal(m:score(x:narrow(1, 1, 50), targets:narrow(1, 1, 50)),
        m:score(x, given, { weights = first }))
      assert.equal(1, got:select(2, 3):min():item())
      assert.same({ constant = 1 }, m.parts[3])
      local p = m:predict_proba(x)
      assert.same(got:totable(), p:gt(0.5):to "i64":totable())
      assert.same(L { C = 100 }:fit(x, targets:select(2, 4):to "i64"):predict_proba(x):select(2, 2):totable(),
        p:select(2, 4):totable())
      local back = assert(models.load { string = m:save() })
      assert.same(p:totable(), back:predict_proba(x):totable())
      assert.same(got:totable(), back:predict(x):totable())
    end
  end)

  it("refuses", function()
    local m = O { estimator = L() }:fit(x, y)
    local parts = m.parts
    fails("estimator is missing", function() O():fit(x, y) end)
    local of = O { estimator = mare.models.Perceptron() }
    fails("#2 is string", of.fit, of, x, { 1, "2" })
    fails("there are no labels", of.fit, of, x, mare.zeros(0, "i64"))
    fails("number expected, got string at [1, 2]", of.fit, of, x, { { 1, "a" }, { 0, 1 } })
    fails("estimator: a classifier such as", O, { estimator = 3 })
    fails("estimator: a classifier expected, got Ridge", O, { estimator = models.Ridge() })
    fails("0 and 1; 2 is neither", m.fit, m, x, mare.full({ 150, 2 }, 2))
    fails("all labels are 1", m.fit, m, x, y:narrow(1, 1, 50))
    fails("every column is all 0 or all 1", m.fit, m, x, mare.zeros(150, 2))
    fails("50 labels for 150 rows", m.fit, m, x, mare.eye(50):narrow(2, 1, 2))
    fails("labels are whole numbers; #1 is 0.5", m.fit, m, x, { 0.5 })
    fails("expected, got f64 tensor of shape 150", m.fit, m, x, y:to "f64")
    fails("needs a fitted model", function() O { estimator = L() }:predict(x) end)
    fails("3 columns (shape 1x3)", m.predict, m, mare.zeros(1, 3))
    fails("KNN has no partial_fit", m.partial_fit, O { estimator = models.KNN() }, x, y)
    fails("nan in row 1", m.fit, m, x * (0 / 0), y)
    assert.equal(parts, m.parts)
    assert.is_nil((models.load { string = m:save():gsub("LogisticRegression", "LogisticRegressiom") }))
  end)

  it("goes on with more rows", function()
    local function part(first, n) return x:narrow(1, first, n), y:narrow(1, first, n) end
    local m, bayes = O { estimator = models.NaiveBayes() }, models.NaiveBayes()
    local whole = m:clone():fit(x, y)
    local a, la = part(1, 70)
    assert.equal(m, m:partial_fit(a, la, { classes = { 1, 2, 3 } }))
    m:partial_fit(part(71, 80))
    assert.is_true((m:predict_proba(x) - whole:predict_proba(x)):abs():max():item() < 1e-10)
    assert.same({ 1, 2, 3 }, m.classes:totable())
    -- with the optimizer's state, as one classifier does
    local one = L { solver = "adam", lr = 0.1, shuffle = false }
    local sgd = O { estimator = one }
    for _ = 1, 5 do
      sgd:partial_fit(x, y)
      one:partial_fit(x, y:eq(2):to "i64")
    end
    assert.is_true((sgd:decision(x):select(2, 2) - one:decision(x)):abs():max():item() < 1e-12)
    -- several labels a row, with a column that is constant at first
    local labels = mare.stack({ y:eq(1), y:ne(y), y:gt(1) }, 2)
    local many = O { estimator = bayes }:partial_fit(x:narrow(1, 1, 70), labels:narrow(1, 1, 70))
    many:partial_fit(x:narrow(1, 71, 80), labels:narrow(1, 71, 80))
    assert.is_true(many:score(x, labels) > 0.95)
    -- what was learned stays after an error
    local before = m:decision(x)
    fails("label 7 is not among the classes", m.partial_fit, m, x, y * 7)
    fails("labels (n) expected, as before", m.partial_fit, m, x, labels)
    fails("2 columns of labels; there were 3", many.partial_fit, many, x, labels:narrow(2, 1, 2))
    fails("a matrix of labels expected", many.partial_fit, many, x, y)
    local new = O { estimator = bayes }
    for text, classes in pairs { ["classes: a list of labels expected, got number"] = 3,
      ["there are no classes"] = {}, ["classes are whole numbers; #2 is 1.5"] = { 1, 1.5 } } do
      fails("#3 to 'partial_fit' (" .. text .. ")", m.partial_fit, new, x, y, { classes = classes })
    end
    fails("#2 to 'fit' (there are no labels)", m.fit, new, x, {})
    fails("estimator expected before the name, got f64 tensor: write model:partial_fit(x, y)", m.partial_fit, x, y)
    fails("unknown option 'weight'", m.partial_fit, m, x, y, { weight = y })
    fails("the first labels are all 1", m.partial_fit, m:clone(), x:narrow(1, 1, 9),
      mare.full({ 9 }, 1, "i64"))
    fails("needs a solver that goes by batches", m.partial_fit, O { estimator = L() }, x, y)
    fails("columns", m.partial_fit, m, x:narrow(2, 1, 2):contiguous(), y)
    assert.equal(0, (m:decision(x) - before):abs():max():item())
  end)
end)
