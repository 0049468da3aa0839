-- LogisticRegression and SoftmaxRegression against scikit-learn 1.2.1
-- (fixtures/linear_classifiers.py), the documents' experiments, and what they must refuse.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local L, S = models.LogisticRegression, models.SoftmaxRegression
local reference = dofile "spec/fixtures/linear_classifiers.lua"
local data = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, apart = estimators.fails, estimators.f64, estimators.off

local iris = assert(mare.data.iris())
local digits = assert(mare.data.digits())
local sets = {
  iris = { iris.x:to "f64", iris.y },
  versicolor = { iris.x:narrow(1, 51, 100):to "f64", iris.y:narrow(1, 51, 100) },
  wine = { f64(data.wine.x), mare.tensor(data.wine.y, "i64") },
  cancer = { f64(data.cancer.x), mare.tensor(data.cancer.y, "i64") },
  digits = { digits.x:to "f64", digits.y },
}

local function count_different(m, x, y, want)
  local step, labels = math.max(1, #y // 100), m:predict(x):totable()
  local off, n = 0, 0
  for i = 1, #labels, step do
    n = n + 1
    if labels[i] ~= math.tointeger(want[n]) then off = off + 1 end
  end
  assert.equal(#want, n)
  return off
end

local cases = {
  l2_iris = { "iris", {}, solvers = { "lbfgs", "newton" } },
  l2_strong_iris = { "iris", { C = 0.01 }, solvers = { "lbfgs", "newton" } },
  l2_versicolor = { "versicolor", {}, solvers = { "lbfgs", "newton" } },
  l2_cancer = { "cancer", {}, solvers = { "lbfgs", "newton" } },
  l2_wine = { "wine", { C = 0.1 }, solvers = { "lbfgs", "newton" } },
  l2_digits = { "digits", { C = 0.1 }, solvers = { "lbfgs", "newton" } },
  none_versicolor = { "versicolor", { penalty = "none" }, solvers = { "lbfgs", "newton" } },
  no_intercept = { "versicolor", { fit_intercept = false }, solvers = { "lbfgs", "newton" } },
  weighted_iris = { "iris", {}, weights = true, solvers = { "lbfgs", "newton" } },
  l1_iris = { "iris", { penalty = "l1" }, unlike = true, solvers = { "lbfgs" } },
  elastic_iris = { "iris", { penalty = "elastic", l1_ratio = 0.3, C = 0.5 }, unlike = true,
    solvers = { "lbfgs" } },
  l1_cancer = { "cancer", { penalty = "l1", C = 0.5 }, solvers = { "lbfgs" } },
  softmax_versicolor = { "versicolor", {}, class = S, solvers = { "lbfgs", "newton" } },
}

local function settings(case, more)
  local s = { tol = 1e-9 }
  for k, v in pairs(case[2]) do s[k] = v end
  for k, v in pairs(more) do s[k] = v end
  return s
end

local function fit_case(case, more, dtype)
  local x, y = table.unpack(sets[case[1]])
  local n = #y
  local i = mare.arange(0, n - 1, "f64")
  local weights = case.weights and i - (i / 4):floor() * 4 or nil
  x = x:to(dtype or "f64")
  return (case.class or L)(settings(case, more)):fit(x, y, { weights = weights }), x, y
end

describe("LogisticRegression agrees with scikit-learn", function()
  for name, case in pairs(cases) do
    for _, solver in ipairs(case.solvers) do
      it(name .. ", " .. solver, function()
        local want = reference[name]
        local m, x, y = fit_case(case, { solver = solver })
        assert.is_true(m.converged, m.reason)
        assert.is_true(math.abs(m.objective / want.loss - 1) < 1e-6,
          ("loss %.12g, %.12g expected"):format(m.objective, want.loss))
        assert.is_true(m.objective < want.loss * (1 + 1e-8))
        assert.equal(0, count_different(m, x, y, want.labels))
        if case.unlike then -- many weights have the same objective
          assert.is_true(apart(m:predict_log_proba(x)["::" .. math.max(1, #y // 100)][{ { 1, 10 } }],
            want.log_proba) < 1e-4)
          return
        end
        local off = math.max(apart(m.weight, want.coef), apart(m.bias, want.intercept))
        assert.is_true(off < (m.penalty == "none" and 1e-4 or 1e-5), ("off by %g"):format(off))
      end)
    end
  end

  it("in f32", function()
    for _, name in ipairs { "l2_iris", "l2_digits", "l2_cancer", "l1_iris" } do
      local m, x, y = fit_case(cases[name], { tol = 1e-5 }, "f32")
      local want = reference[name]
      assert.equal("f32", m.weight.dtype)
      assert.is_true(math.abs(m.objective / want.loss - 1) < 1e-5,
        ("%s: loss %.12g, %.12g expected, %s"):format(name, m.objective, want.loss, m.reason))
      assert.equal(0, count_different(m, x, y, want.labels))
    end
  end)

  it("with weights of classes", function()
    local x, y = table.unpack(sets.versicolor)
    x, y = x:narrow(1, 1, 70), y:narrow(1, 1, 70)
    for key, class_weight in pairs { balanced = "balanced", named = { [2] = 1, [3] = 5 } } do
      local m = L { tol = 1e-10, class_weight = class_weight }:fit(x, y)
      local want = reference["class_" .. key]
      assert.is_true(apart(m.weight, want.coef) < 1e-5)
      assert.is_true(apart(m.bias, want.intercept) < 1e-5)
    end
  end)
end)

local xor = { f64 { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }, { 0, 1, 1, 0 } }

describe("The documents' experiments:", function()
  it("logistic regression fails on XOR", function()
    local x, y = table.unpack(xor)
    for _, solver in ipairs { "lbfgs", "newton" } do
      local m = L { penalty = "none", solver = solver }:fit(x, y)
      assert.is_true(m.converged)
      assert.is_true(m:score(x, y) <= 0.75)
      assert.is_true((m:predict_proba(x) - 0.5):abs():max():item() < 1e-6)
      assert.is_true(math.abs(m.objective - math.log(2)) < 1e-9)
    end
    -- a feature more, and it does not
    local more = mare.cat({ x, x:select(2, 1):unsqueeze(2) * x:select(2, 2):unsqueeze(2) }, 2)
    assert.equal(1, L { C = 1000 }:fit(more, y):score(more, y))
  end)

  it("square error has no gradient far from the target, cross-entropy has", function()
    mare.seed(1)
    local x = mare.randn({ 200, 2 }, "f64")
    local y = (x:select(2, 1) + x:select(2, 2)):gt(0):to "i64"
    local far = { weight = f64 { { -20, -20 } }, bias = f64 { 0 } }
    local function train(loss)
      return L { loss = loss, solver = "sgd", lr = 0.5, batch = 1000, epochs = 100, trace = true,
        penalty = "none", start = far }:fit(x, y)
    end
    local entropy, square = train "cross_entropy", train "square"
    assert.is_true(entropy.trace[1].gradient_norm > 20 * square.trace[1].gradient_norm)
    assert.is_true(entropy:score(x, y) > 0.95)
    assert.is_true(square:score(x, y) < 0.2)
    -- near the target both train
    local near = L { loss = "square", solver = "sgd", lr = 0.5, batch = 1000, epochs = 300,
      penalty = "none" }:fit(x, y)
    assert.is_true(near:score(x, y) > 0.95)
    -- the formulas: (p - y) x and (p - y) p (1 - p) x for one row
    local one = f64 { { 1, 0 }, { 1, 0 } }
    for loss, slope in pairs { cross_entropy = function(p) return p - 1 end,
      square = function(p) return (p - 1) * p * (1 - p) end } do
      local m = L { loss = loss, solver = "sgd", lr = 1e-12, batch = 9, epochs = 1, trace = true,
        penalty = "none", start = { weight = f64 { { -6, 0 } }, bias = f64 { 0 } } }
      m:fit(one, { 1, 0 }, { weights = { 0, 1 } }) -- the first row only names a class
      m = m:clone():fit(one, { 0, 1 }, { weights = { 0, 1 } })
      local p = 1 / (1 + math.exp(6))
      assert.is_true(math.abs(m.trace[1].gradient_norm + slope(p)) < 1e-12)
    end
  end)
end)

describe("LogisticRegression", function()
  local x, y = table.unpack(sets.versicolor)

  it("gives probabilities, odds and a linear function", function()
    local m = L():fit(x, y)
    local w, b = m:linear()
    assert.same({ 4 }, w.shape)
    assert.same({}, b.shape)
    assert.is_true(apart((x:matmul(w) + b):sigmoid(), m:predict_proba(x):select(2, 2)) < 1e-12)
    assert.is_true(apart(x:matmul(w) + b, m:decision(x)) < 1e-12)
    assert.is_true(apart(m:predict_log_proba(x):exp():sum(2), mare.ones(100, "f64")) < 1e-12)
    local all = L():fit(table.unpack(sets.iris))
    w, b = all:linear()
    assert.same({ 3, 4 }, w.shape)
    assert.is_true(apart((sets.iris[1]:matmul(w:t()) + b):softmax(2),
      all:predict_proba(sets.iris[1])) < 1e-12)
  end)

  it("moves the threshold", function()
    local m = L { threshold = 0.9 }:fit(x, y)
    local p = m:predict_proba(x):select(2, 2):totable()
    for i, label in ipairs(m:predict(x):totable()) do assert.equal(p[i] > 0.9 and 3 or 2, label) end
  end)

  it("takes weights of rows in f32, and rows of which a class has none", function()
    local w, none = {}, {}
    for i = 1, 100 do w[i], none[i] = i % 3, i > 50 and 1 or 0 end
    for _, s in ipairs { {}, { solver = "newton" }, { penalty = "l1" },
      { solver = "adam", lr = 0.02, batch = 100, epochs = 5000 } } do
      local small, full = L(s), L(s)
      small:fit(x:to "f32", y, { weights = w })
      full:fit(x, y, { weights = w })
      assert.is_true(math.abs(small.objective / full.objective - 1) < 1e-4)
      full:fit(x, y, { weights = none })
      assert.is_true(full.objective < 0.01)
    end
    assert.equal(1, L { C = math.huge }:fit(iris.x:narrow(1, 1, 100), iris.y:narrow(1, 1, 100))
      :score(iris.x:narrow(1, 1, 100), iris.y:narrow(1, 1, 100)))
  end)

  it("has biases that sum to 0, by whatever solver", function()
    local flowers = mare.data.iris()
    for _, solver in ipairs { "lbfgs", "newton" } do
      for _, penalty in ipairs { "l2", "none" } do
        local m = mare.models.SoftmaxRegression { solver = solver, penalty = penalty,
          max_steps = 20 }:fit(flowers.x:to "f32", flowers.y)
        assert.is_true(math.abs(m.bias:sum():item()) < 1e-4 * m.bias:abs():max():item())
      end
    end
  end)

  it("counts a row as often as its weight says", function()
    local w = {}
    for i = 1, 100 do w[i] = i <= 30 and 2 or 1 end
    local a = L { tol = 1e-10 }:fit(x, y, { weights = w })
    local b = L { tol = 1e-10 }:fit(mare.cat({ x, x:narrow(1, 1, 30) }, 1),
      mare.cat({ y, y:narrow(1, 1, 30) }, 1))
    assert.is_true(apart(a.weight, b.weight) < 1e-7)
    assert.is_true(math.abs(a.objective - b.objective) < 1e-10)
  end)

  it("trains by any optimizer of mare.optim", function()
    local best = L():fit(x, y)
    local rates = { adadelta = 1, lion = 0.003, sgd = 0.05, asgd = 0.05, adagrad = 0.3, adafactor = 0.05 }
    for name in pairs(mare.optim.rows) do
      mare.seed(2)
      local m = L { solver = name, lr = rates[name] or 0.01, batch = name == "rprop" and 100 or 20,
        epochs = 200, start = name == "lars" and best or nil }:fit(x, y)
      assert.is_true(m:score(x, y) >= 0.85, name .. " " .. m:score(x, y))
      assert.truthy(m.reason == "epochs" or m.reason == "value" or m.reason == "gradient")
    end
  end)

  it("comes by full batches to the same minimum", function()
    local m = L { solver = "adam", lr = 0.02, batch = 100, epochs = 20000, tol = 1e-7 }:fit(x, y)
    assert.equal("gradient", m.reason)
    assert.is_true(math.abs(m.objective - L { tol = 1e-9 }:fit(x, y).objective) < 1e-8)
    local sparse = { penalty = "l1", C = 0.05, tol = 1e-8 }
    local want = L(sparse):fit(x, y)
    local got = L { penalty = "l1", C = 0.05, solver = "sgd", lr = 0.1, batch = 100,
      epochs = 20000 }:fit(x, y)
    assert.is_true(math.abs(got.objective - want.objective) < 1e-5)
    assert.same(want.weight:eq(0):totable(), got.weight:eq(0):totable())
    assert.is_true(want.weight:eq(0):any():item() ~= 0)
  end)

  it("repeats itself with a seed, goes on from what it learned, keeps a trace", function()
    local function run()
      mare.seed(5)
      return L { solver = "sgd", lr = 0.01, epochs = 3 }:fit(x, y).weight
    end
    assert.same(run():totable(), run():totable())
    local m = L { warm_start = true, tol = 1e-8, trace = true }:fit(x, y)
    assert.equal(m.steps + 1, #m.trace)
    assert.equal(0, m.trace[1].step)
    for i = 2, #m.trace do assert.is_true(m.trace[i].loss <= m.trace[i - 1].loss + 1e-12) end
    m:fit(x, y)
    assert.is_true(m.steps <= 1)
    assert.is_true(L { start = { weight = m.weight, bias = m.bias }, tol = 1e-8 }:fit(x, y).steps <= 1)
  end)

  it("learns from a stream", function()
    mare.seed(6)
    local m = L { solver = "adam", lr = 0.05, batch = 10 }
    for _ = 1, 60 do m:partial_fit(x, y) end
    assert.equal(60, m.steps)
    assert.is_true(m:score(x, y) > 0.9)
    -- as one fit with the same order
    local a = L { solver = "adam", lr = 0.05, shuffle = false, batch = 10, epochs = 6, tol = 0 }:fit(x, y)
    local b = L { solver = "adam", lr = 0.05, shuffle = false, batch = 10 }
    for _ = 1, 6 do b:partial_fit(x, y) end
    assert.is_true(apart(a.weight, b.weight) < 1e-12)
    local c = S { solver = "sgd", lr = 0.01 }
    c:partial_fit(x, y, { classes = { 1, 2, 3 } })
    assert.same({ 1, 2, 3 }, c.classes:totable())
    fails("5 classes instead of 3", function() c:partial_fit(x, y + 2) end)
    fails("all labels are 2", function()
      L { solver = "sgd", lr = 0.1 }:partial_fit(x:narrow(1, 1, 9), y:narrow(1, 1, 9))
    end)
    fails("partial_fit needs a solver that goes by batches", function() L():partial_fit(x, y) end)
  end)

  it("is saved and loaded", function()
    for _, m in ipairs { L { trace = true, options = {} }, S { class_weight = { [2] = 3 } },
      L { solver = "sgd", lr = 0.01, options = { momentum = 0.9 }, epochs = 2 } } do
      m:fit(x, y)
      local back = assert(models.load { string = m:save() })
      assert.same(m:predict_proba(x):totable(), back:predict_proba(x):totable())
      assert.equal(tostring(m), tostring(back))
    end
  end)

  it("takes images", function()
    local images = (mare.rand(40, 3, 3) * 255):to "u8"
    local labels = images:reshape(40, 9):to "f32":sum(2):gt(9 * 127):to "i64"
    local m = L():fit(images, labels)
    assert.equal(9, m.features)
    assert.is_true(m:score(images, labels) > 0.8)
  end)
end)

describe("LogisticRegression without a penalty", function()
  local function captured(f)
    local messages, old = {}, warn
    _G.warn = function(...) messages[#messages + 1] = table.concat { ... } end
    local ok, value = pcall(f)
    _G.warn = old
    if not ok then error(value, 0) end
    return value, messages
  end

  it("warns of classes that a plane separates, and of no others", function()
    local x, y = iris.x:narrow(1, 1, 100), iris.y:narrow(1, 1, 100)
    for _, kind in ipairs { L, S } do
      for _, solver in ipairs { "lbfgs", "newton" } do
        local m, messages = captured(function()
          return kind { penalty = "none", solver = solver }:fit(x, y)
        end)
        assert.is_false(m.converged)
        assert.equal("separable", m.reason)
        assert.equal(1, #messages)
        assert.truthy(messages[1]:find("separable by a plane", 1, true))
        assert.equal("mare: " .. m.warning, messages[1])
        assert.is_true(m.weight:abs():max():item() < 1e6)
        assert.equal(1, m:score(x, y))
      end
    end
    for _, s in ipairs { { C = 1e4 }, { penalty = "l1" } } do
      local m, messages = captured(function() return L(s):fit(x, y) end)
      assert.same({}, messages)
      assert.is_nil(m.warning)
    end
    local m, messages = captured(function()
      return L { penalty = "none" }:fit(table.unpack(sets.versicolor))
    end)
    assert.same({}, messages)
    assert.is_true(m.converged)
  end)

  it("warns of classes that a plane separates but for rows on it", function()
    local x = f64 { { -2 }, { -1 }, { 0 }, { 0 }, { 1 }, { 2 } }
    for _, kind in ipairs { L, S } do
      for _, solver in ipairs { "lbfgs", "newton" } do
        local m, messages = captured(function()
          return kind { penalty = "none", solver = solver }:fit(x, { 0, 0, 0, 1, 1, 1 })
        end)
        assert.equal("separable", m.reason)
        assert.truthy(messages[1]:find("but for rows on it", 1, true))
      end
    end
    -- class 1 of iris alone is separable from the others: so are three classes in part
    local m = captured(function() return S { penalty = "none" }:fit(table.unpack(sets.iris)) end)
    assert.equal("separable", m.reason)
    local _, messages = captured(function()
      for seed = 1, 40 do -- none where classes overlap
        mare.seed(seed)
        local n, d = 30 + 10 * seed, seed % 5 + 1
        local rows = mare.randn({ n, d }, "f64") * 10 ^ (seed % 7 - 3)
        local noise = mare.randn({ n }, "f64") * (rows:std():item() * 0.3 * d ^ 0.5)
        local labels = (rows:sum(2) + noise):gt(0):to "i64"
        local fitted = L { penalty = "none", solver = seed % 2 == 0 and "lbfgs" or "newton" }
          :fit(rows, labels)
        local separable = fitted:score(rows, labels) == 1
        assert.equal(separable, fitted.reason == "separable", seed)
        if not separable then assert.is_nil(fitted.warning) end
      end
      return true
    end)
    assert.is_true(#messages < 5)
  end)
end)

describe("LogisticRegression refuses", function()
  local x, y = table.unpack(sets.versicolor)

  it("bad data, and keeps what it had", function()
    local m = L():fit(x, y)
    local before = m.weight
    local bad = x:clone()
    bad[{ 7, 2 }] = 0 / 0
    fails("in row 7, column 2", m.fit, m, bad, y)
    bad[{ 7, 2 }] = math.huge
    fails("inf in row 7, column 2", m.fit, m, bad, y)
    fails("all labels are 2", m.fit, m, x:narrow(1, 1, 9), y:narrow(1, 1, 9))
    fails("labels are whole numbers", m.fit, m, x, y:to "f64")
    fails("no values", m.fit, m, mare.zeros({ 0, 3 }), {})
    fails("50 labels for 100 rows", m.fit, m, x, y:narrow(1, 1, 50))
    fails("squares overflow", m.fit, m, f64 { { 1e200 }, { -1e200 } }, { 1, 2 })
    fails("the loss or its gradient is not finite", m.fit, m, x:to "f32" * 1e37, y)
    fails("C = 1e-50 is too small for f32", function() L { C = 1e-50 }:fit(x:to "f32", y) end)
    fails("2 columns", m.predict, m, x:narrow(2, 1, 2))
    fails("needs a fitted model", function() L():predict(x) end)
    fails("class_weight leaves no row a weight", function()
      L { class_weight = { [2] = 0, [3] = 0 } }:fit(x, y)
    end)
    assert.equal(before, m.weight)
  end)

  it("to go on when it is interrupted, and keeps what it had", function()
    for _, s in ipairs { {}, { solver = "newton" }, { solver = "sgd", lr = 0.01 }, { penalty = "l1" } } do
      local m = L(s):fit(x, y)
      local before, live = m.weight:totable(), nil
      for _ = 1, 2 do
        for count = 500, 4000, 500 do
          debug.sethook(function() error("interrupted!", 0) end, "", count)
          local ok, message = pcall(m.fit, m, x * 2, y)
          debug.sethook()
          assert.is_true(ok or message:find("interrupted!", 1, true) ~= nil, message)
          if not ok then assert.same(before, m.weight:totable()) else m:fit(x, y) end
          before = m.weight:totable()
        end
        collectgarbage()
        collectgarbage()
        live = live or mare.memory().live
        assert.is_true(mare.memory().live <= live + 65536)
      end
    end
  end)

  it("bad settings", function()
    fails("did you mean 'penalty'", L, { penalti = "l1" })
    fails("unknown value 'l3'", L, { penalty = "l3" })
    fails("unknown solver 'lbfg'; did you mean 'lbfgs'", L, { solver = "lbfg" })
    fails("C: 0 is not above 0", L, { C = 0 })
    fails("start: { weight = tensor, bias = tensor } expected", L, { start = 3 })
    fails("class_weight: \"balanced\"", L, { class_weight = "balance" })
    fails("class_weight: [a] = 1 is not a label", L, { class_weight = { a = 1 } })
    fails("options: table of the optimizer's options", L, { options = 1 })
    fails("needs a smooth penalty", function() L { solver = "newton", penalty = "l1" }:fit(x, y) end)
    fails("is not convex", function() L { solver = "newton", loss = "square" }:fit(x, y) end)
    fails("unknown option 'momentun'", function()
      L { solver = "sgd", lr = 0.1, options = { momentun = 1 } }:fit(x, y)
    end)
    fails("the start has weight 1x2 and bias 1; 1x4 and 1 expected", function()
      L { start = { weight = mare.zeros(1, 2), bias = mare.zeros(1) } }:fit(x, y)
    end)
  end)

  it("a rate that lets the loss grow", function()
    local m = L { solver = "sgd", lr = 1e200, loss = "cross_entropy", epochs = 50 }
    fails("a smaller lr helps", m.fit, m, x * 1e100, y)
    assert.is_nil(m.weight)
  end)

  it("nothing of constant columns, columns of any scale", function()
    local constant = mare.cat({ x, mare.full({ 100, 1 }, 7.3, "f64"), mare.zeros({ 100, 1 }, "f64") }, 2)
    for _, solver in ipairs { "lbfgs", "newton" } do
      local m, want = L { solver = solver, tol = 1e-9 }:fit(constant, y), L { tol = 1e-9 }:fit(x, y)
      assert.same({ 0, 0 }, m.weight[1]:narrow(1, 5, 2):totable())
      assert.is_true(math.abs(m.objective - want.objective) < 1e-9)
      local all = L { solver = solver }:fit(mare.zeros({ 100, 2 }, "f64"), y)
      assert.is_true(math.abs(all.objective - math.log(2)) < 1e-12)
      local scales = f64 { 1e-6, 1, 1e6, 1e3 }
      local scaled = L { solver = solver, penalty = "none", tol = 1e-9 }:fit(x * scales, y)
      local plain = L { solver = solver, penalty = "none", tol = 1e-9 }:fit(x, y)
      assert.is_true(apart(scaled.weight * scales, plain.weight) < 1e-4)
    end
  end)
end)
