-- KMeans against scikit-learn 1.2.1 (fixtures/cluster.py), and with what it must bear.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local K = models.KMeans
local reference = dofile "spec/fixtures/cluster.lua"
local shared = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, near = estimators.fails, estimators.f64, estimators.near

local iris, digits = assert(mare.data.iris()), assert(mare.data.digits())
local sets = { iris = iris.x:to "f64", wine = f64(shared.wine.x), cancer = f64(shared.cancer.x),
  digits = digits.x:to "f64" }

local function every(n)
  local w = {}
  for i = 1, n do w[i] = (i - 1) % 4 end
  return f64(w)
end

-- the part of labels that agree
local function agreement(got, expected)
  return got:eq(mare.tensor(expected, "i64")):to "f64":mean():item()
end

local function no_nan(t) return t:ne(t):any():item() == 0 end

describe("KMeans", function()
  it("learns what scikit-learn learns from the same centers", function()
    for key, x in pairs(sets) do
      for name, w in pairs { kmeans = false, kmeans_weighted = every(x:size(1)) } do
        local r = reference[name .. "_" .. key]
        local first = x:index_select(1, mare.tensor(r.first, "i64"))
        local k = #r.first
        local m = K { k = k, init = first }:fit(x, { weights = w or nil })
        near(1e-8, m.centers, r.centers)
        assert.is_true(math.abs(m.inertia - r.inertia) < 1e-8 * r.inertia)
        assert.equal(1, agreement(m.labels, r.labels))
        assert.is_true(math.abs(r.steps - m.steps) <= 1) -- digits have rows between centers
        assert.is_true(m.converged)
        near(1e-8, m:transform(x:narrow(1, 1, 5)), r.distances)
        assert.equal(0, m:predict(x):ne(m.labels):to "i64":sum():item())
        assert.is_true(math.abs(m:score(x, { weights = w or nil }) + m.inertia) < 1e-8 * m.inertia)
        if not (w and key == "iris") then -- there two rows are as near to two centers in f32
          m = K { k = k, init = first:to "f32" }:fit(x:to "f32", { weights = w or nil })
          assert.is_true(math.abs(m.inertia - r.inertia) < 1e-5 * r.inertia)
          assert.is_true(agreement(m.labels, r.labels) >= 0.999)
          assert.equal("f32", m:transform(x:to "f32").dtype)
        end
      end
    end
  end)

  it("finds the best clusters by itself", function()
    for key, x in pairs(sets) do
      for _, init in ipairs { "k-means++", "random" } do
        local r = reference["kmeans_" .. key]
        local m = K { k = #r.first, init = init, seed = 3, restarts = 20 }:fit(x)
        assert.is_true(m.inertia < r.inertia * 1.001, key .. " " .. init)
        assert.is_true(m.counts:sum():item() == x:size(1))
      end
    end
  end)

  it("repeats itself with a seed, and leaves the other random numbers alone", function()
    local x = sets.digits
    for _, settings in ipairs { { k = 9, seed = 5, restarts = 2 }, { k = 9, seed = 5, batch = 100 } } do
      mare.seed(1)
      local a = K(settings):fit(x)
      local next = mare.rand(1):item()
      mare.seed(1)
      assert.equal(next, mare.rand(1):item())
      assert.equal(a.centers:tobytes(), K(settings):fit(x).centers:tobytes())
    end
  end)

  it("goes by mini-batches", function()
    local x, r = sets.digits, reference.kmeans_digits
    local m = K { k = 10, batch = 256, seed = 2, restarts = 3 }:fit(x)
    assert.is_true(m.inertia < r.inertia * 1.05, m.inertia / r.inertia)
    assert.equal(m.counts:sum():item(), x:size(1))
    assert.is_true(m.converged and m.reason == "inertia")
    assert.is_true(K { k = 10, batch = 1e6 // 1, seed = 2, steps = 50 }:fit(x).inertia < r.inertia * 1.1)
    local w = every(x:size(1))
    m = K { k = 10, batch = 200, seed = 2 }:fit(x, { weights = w })
    assert.is_true(math.abs(m.counts:sum():item() - w:sum():item()) < 1e-9)
  end)

  it("learns from batches that come", function()
    local x, r = sets.digits, reference.kmeans_digits
    local m = K { k = 10, seed = 4 }
    for epoch = 1, 4 do
      for first = 1, 1601, 200 do
        local before = m.centers
        local copy = before and before:clone()
        m:partial_fit(x:narrow(1, first, math.min(200, 1797 - first + 1)))
        if before then assert.equal(copy:tobytes(), before:tobytes()) end
      end
      assert.equal(9 * epoch, m.steps)
    end
    assert.is_true(-m:score(x) < r.inertia * 1.2)
    -- means of all rows that a center has had
    local one = K { k = 1, seed = 1 }
    for first = 1, 1797, 599 do one:partial_fit(x:narrow(1, first, 599)) end
    near(1e-12, one.centers:select(1, 1), x:mean(1))
    fails("150 rows for k = 151", K { k = 151 }.partial_fit, K { k = 151 }, sets.iris)
  end)

  it("fits and predicts at once", function()
    local x = sets.iris
    local m = K { k = 3, seed = 1 }
    local labels = m:fit_predict(x)
    assert.equal(0, labels:ne(m.labels):to "i64":sum():item())
    assert.equal(m:fit_transform(x):tobytes(), m:transform(x):tobytes())
  end)

  it("gives empty clusters the farthest rows", function()
    local x = f64 { { 0 }, { 1 }, { 10 }, { 11 }, { 100 } }
    local m = K { k = 3, init = { { 0 }, { 1000 }, { 2000 } } }:fit(x)
    assert.is_true(m.counts:min():item() > 0)
    assert.is_true(math.abs(m.inertia - 1) < 1e-12)
    m = K { k = 3, init = { { 0 }, { 1000 }, { 2000 } } }:fit(x, { weights = { 1, 1, 1, 1, 0 } })
    assert.is_true(no_nan(m.centers))
  end)

  it("bears duplicates, constants and a large mean", function()
    local twice = f64 { { 1, 1 }, { 1, 1 }, { 2, 2 }, { 2, 2 }, { 1, 1 } }
    local m = K { k = 5, seed = 1 }:fit(twice)
    assert.equal(0, m.inertia)
    assert.is_true(no_nan(m.centers))
    assert.equal(5, m.counts:sum():item())
    m = K { k = 2, seed = 1, batch = 2 }:fit(mare.ones(6, 3))
    assert.is_true(m.inertia == 0 and no_nan(m.centers))
    local x = sets.iris:to "f32" + 1000
    m = K { k = 3, seed = 1 }:fit(x)
    assert.is_true(math.abs(m.inertia - reference.kmeans_iris.inertia) < 1e-3 * m.inertia)
    assert.is_true(K { k = 150, seed = 1 }:fit(sets.iris).inertia < 1e-20)
  end)

  it("is the same after a file", function()
    for _, settings in ipairs { { k = 3, seed = 1 }, { k = 3, init = sets.iris:narrow(1, 1, 3) } } do
      local m = K(settings):fit(sets.iris)
      local n = assert(models.load { string = m:save(nil) })
      assert.equal(m.centers:tobytes(), n.centers:tobytes())
      assert.equal(m.inertia, n.inertia)
      assert.equal(m:fit(sets.iris).centers:tobytes(), n:fit(sets.iris).centers:tobytes())
      n:partial_fit(sets.iris)
    end
  end)

  it("gives the same bits for any number of threads", function()
    mare.seed(6)
    local x = mare.randn(5000, 70)
    local function bytes() return K { k = 7, seed = 1, restarts = 2 }:fit(x).centers:tobytes() end
    estimators.same_bits(bytes)
  end)

  it("lives longer than the scope it was made in", function()
    local m
    do
      local _ <close> = mare.scope()
      m = K { k = 3, seed = 1, init = mare.rand(3, 4) }
      m:fit(mare.rand(20, 4))
    end
    assert.same({ 2 }, m:predict(mare.rand(2, 4)).shape)
    m:fit(mare.rand(20, 4))
  end)
end)

describe("KMeans refuses", function()
  it("senseless settings", function()
    fails("k: 0 is not at least 1", K, { k = 0 })
    fails("k: whole number expected", K, { k = 2.5 })
    fails("did you mean 'restarts'?", K, { restart = 3 })
    fails("init: unknown value 'kmeans'; known: k-means++, random", K, { init = "kmeans" })
    fails("init: matrix (rows, columns) expected", K, { init = mare.zeros(3) })
    fails("init: finite values expected", K, { init = { { 0 / 0 } } })
    fails("init: rows of numbers of one length", K, { init = { { 1, 2 }, { 3 } } })
    fails("seed: whole number expected, got 0.5", K, { seed = 0.5 })
    fails("tol: -1 is not at least 0", K, { tol = -1 })
    fails("batch: 0 is not at least 1", K, { batch = 0 })
  end)

  it("data that do not fit, and stays as it was", function()
    local x = sets.iris
    local m = K { k = 3, seed = 1 }:fit(x)
    local centers = m.centers
    fails("2 rows for k = 3 clusters", m.fit, m, x:narrow(1, 1, 2))
    fails("no values", m.fit, m, mare.zeros(0, 4))
    fails("a matrix (rows, columns) expected", m.fit, m, mare.zeros(4))
    local bad = x:clone()
    bad[{ 7, 2 }] = 0 / 0
    fails("nan in row 7, column 2", m.fit, m, bad)
    bad[{ 7, 2 }] = math.huge
    fails("inf in row 7, column 2", m.predict, m, bad)
    fails("squares overflow", m.fit, m, x * 1e200)
    fails("3 columns (shape 150x3); the model was fitted to 4", m.predict, m, x:narrow(2, 1, 3))
    fails("3 columns", m.partial_fit, m, x:narrow(2, 1, 3))
    fails("unknown option 'weight'", m.fit, m, x, { weight = {} })
    fails("weights: shape 3 for 150 rows", m.fit, m, x, { weights = { 1, 2, 3 } })
    fails("weights: shape 3 for 150 rows", m.score, m, x, { weights = { 1, 2, 3 } })
    assert.equal(centers, m.centers)
    local other = K { init = mare.zeros(2, 3) }
    fails("4 columns; the setting init has 3 (shape 2x3)", other.fit, other, x)
    for _, name in ipairs { "predict", "transform", "score" } do
      fails("'" .. name .. "' needs a fitted model", function() K()[name](K(), x) end)
    end
  end)
end)
