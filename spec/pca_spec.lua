-- PCA against scikit-learn 1.2.1 (fixtures/cluster.py), and with what it must bear.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local P = models.PCA
local reference = dofile "spec/fixtures/cluster.lua"
local shared = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, near = estimators.fails, estimators.f64, estimators.near

local iris, digits = assert(mare.data.iris()), assert(mare.data.digits())
local sets = { iris = iris.x:to "f64", wine = f64(shared.wine.x), cancer = f64(shared.cancer.x),
  digits = digits.x:to "f64" }

local function no_nan(t) return t:ne(t):any():item() == 0 end

describe("PCA", function()
  it("learns what scikit-learn learns", function()
    for key, x in pairs(sets) do
      local r = reference["pca_" .. key]
      for dtype, tolerance in pairs { f64 = 1e-8, f32 = 1e-5 } do
        local m = P { components = r.k }:fit(x:to(dtype))
        local head = x:to(dtype):narrow(1, 1, 5)
        near(tolerance, m.mean, r.mean)
        near(tolerance, m.components, r.components)
        near(tolerance, m.explained_variance, r.variance)
        near(tolerance, m.explained_variance_ratio, r.ratio)
        near(tolerance, m.singular_values, r.singular)
        assert.is_true(math.abs(m.noise_variance - r.noise) < tolerance)
        assert.is_true(math.abs(m:score(x:to(dtype)) - r.score) < tolerance * math.abs(r.score))
        near(tolerance * 10, m:transform(head), r.coordinates)
        assert.equal(dtype, m:transform(head).dtype)
        near(tolerance, m:inverse(m:transform(head)):narrow(1, 1, 2), r.inverse)
        local white = P { components = r.k, whiten = true }:fit(x:to(dtype))
        near(tolerance * 10, white:transform(head), r.white)
        near(tolerance, white:inverse(white:transform(head)):narrow(1, 1, 2), r.inverse)
        assert.equal(r.number, P { components = 0.9 }:fit(x:to(dtype)).components:size(1))
      end
    end
  end)

  it("is exact by the covariance too", function()
    mare.seed(1)
    local scale = mare.arange(1, 40, "f64"):square()
    local x = mare.randn({ 110000, 40 }, "f64") * scale + 100
    local centred, parts = x - x:mean(1), {}
    for i = 1, 5 do parts[i] = select(2, mare.linalg.qr(centred:narrow(1, 22000 * i - 21999, 22000))) end
    local _, s, v = mare.linalg.svd(mare.cat(parts, 1))
    for dtype, tolerance in pairs { f64 = 1e-10, f32 = 1e-5 } do
      local m = P():fit(x:to(dtype))
      near(tolerance, m.singular_values / s, mare.ones(40, "f64"))
      near(tolerance, (m.components * v):sum(2):abs(), mare.ones(40, "f64"))
    end
  end)

  it("finds a few of many components quickly", function()
    mare.seed(2)
    local n, d = 20000, 300
    local scale = f64 { 0.7 } ^ mare.arange(0, d - 1, "f64") + 1e-3
    local x = (mare.randn({ n, d }, "f64") * scale):matmul((mare.linalg.qr(mare.randn({ d, d }, "f64")))) + 5
    local w = mare.rand({ n }, "f64")
    for _, weights in ipairs { false, w } do
      local exact = P { components = 8, solver = "exact" }:fit(x, { weights = weights or nil })
      for dtype, tolerance in pairs { f64 = 1e-6, f32 = 1e-5 } do
        local m = P { components = 8, seed = 1 }:fit(x:to(dtype), { weights = weights or nil })
        near(tolerance, m.explained_variance / exact.explained_variance, mare.ones(8, "f64"))
        near(1e-4, (m.components * exact.components):sum(2), mare.ones(8, "f64"))
        near(1e-8, m.components:matmul(m.components:t()), mare.eye(8, "f64"))
        assert.is_true(math.abs(m.noise_variance / exact.noise_variance - 1) < 1e-3)
      end
    end
    local flat = mare.randn({ 6000, 5 }, "f64"):matmul(mare.randn({ 5, 60 }, "f64"))
    for dtype, tolerance in pairs { f64 = 1e-10, f32 = 1e-5 } do -- of 8 only 5 have variance
      local m = P { components = 8, solver = "randomised", seed = 1 }:fit(flat:to(dtype))
      near(tolerance, m.explained_variance_ratio, P { components = 8 }:fit(flat).explained_variance_ratio)
      near(1e-8, m.components:matmul(m.components:t()), mare.eye(8, "f64"))
    end
    local a = P { components = 3, solver = "randomised", seed = 7 }:fit(sets.digits)
    mare.seed(3)
    local b = P { components = 3, solver = "randomised", seed = 7 }:fit(sets.digits)
    assert.equal(a.components:tobytes(), b.components:tobytes())
  end)

  it("counts a row as often as its weight says", function()
    local x = sets.iris
    local w = mare.ones(150, "f64")
    w:narrow(1, 1, 40):fill_(3)
    w:narrow(1, 90, 10):fill_(0)
    local many = mare.cat({ x:narrow(1, 1, 40), x:narrow(1, 1, 40), x:narrow(1, 1, 89), x:narrow(1, 100, 51) }, 1)
    local a, b = P():fit(x, { weights = w }), P():fit(many)
    near(1e-10, a.components, b.components)
    near(1e-10, a.explained_variance, b.explained_variance)
    near(1e-10, a.singular_values, b.singular_values)
    near(1e-10, a.mean, b.mean)
  end)

  it("takes fewer rows than columns", function()
    local x = sets.digits:narrow(1, 1, 20)
    local m = P():fit(x)
    assert.same({ 20, 64 }, m.components.shape)
    near(1e-10, m:inverse(m:transform(x)), x)
    near(1e-12, m.components:matmul(m.components:t()), mare.eye(20, "f64"))
    assert.equal(0.0, m.noise_variance)
    local white = P { whiten = true }:fit(x) -- the 20th has no variance
    assert.is_true(no_nan(white:transform(x)))
    near(1e-10, white:inverse(white:transform(x)), x)
    fails("PCA: 'score' needs variance in every direction", m.score, m, x)
  end)

  it("bears constant columns and constant rows", function()
    local x = sets.iris:clone()
    x:select(2, 3):fill_(7)
    local m = P { whiten = true }:fit(x)
    near(1e-10, m:inverse(m:transform(x)), x)
    for _, t in ipairs { m.components, m.explained_variance_ratio, m:transform(x) } do
      assert.is_true(no_nan(t))
    end
    for _, solver in ipairs { "exact", "randomised" } do
      m = P { components = 2, solver = solver, whiten = true }:fit(mare.ones(10, 3))
      assert.same({ 0, 0 }, m.explained_variance:totable())
      assert.same({ 0, 0 }, m.explained_variance_ratio:totable())
      assert.is_true(no_nan(m.components) and no_nan(m:transform(mare.rand(4, 3))))
    end
    local far = sets.iris + 1e6
    near(1e-8, P():fit(far).explained_variance, P():fit(sets.iris).explained_variance)
  end)

  it("is the same after a file", function()
    local m = P { components = 2, whiten = true }:fit(sets.iris)
    local n = assert(models.load { string = m:save(nil) })
    assert.equal(m:transform(sets.iris):tobytes(), n:transform(sets.iris):tobytes())
    assert.equal(m:score(sets.iris), n:score(sets.iris))
    assert.equal(2, n.components:size(1))
    local tensors, texts = assert(mare.load { string = m:save(nil) })
    tensors["learned.mean"] = mare.ones({ 3 }, "f64")
    local none, message = models.load { string = mare.save(nil, tensors, texts) }
    assert.is_nil(none)
    assert.truthy(message:find("mean", 1, true) or message:find("components", 1, true))
  end)

  it("gives the same bits for any number of threads", function()
    mare.seed(6)
    local x = mare.randn(20000, 300)
    local function bytes() return P { components = 5, seed = 1 }:fit(x).components:tobytes() end
    estimators.same_bits(bytes)
  end)
end)

describe("PCA refuses", function()
  it("senseless settings", function()
    fails("components: a number of components or a part", P, { components = 0 })
    fails("got 1.5", P, { components = 1.5 })
    fails("got many", P, { components = "many" })
    fails("solver: unknown value 'full'; known: auto, exact, randomised", P, { solver = "full" })
    fails("did you mean 'whiten'?", P, { whitten = true })
    fails("passes: 0 is not at least 1", P, { passes = 0 })
    fails("needs a number of components, not a part", function()
      P { solver = "randomised", components = 0.5 }:fit(sets.iris)
    end)
  end)

  it("data that do not fit, and stays as it was", function()
    local x = sets.iris
    local m = P { components = 3 }:fit(x)
    local before = m.components
    fails("components = 3; of 2 rows with 4 columns there are 2", m.fit, m, x:narrow(1, 1, 2))
    fails("no values", m.fit, m, mare.zeros(0, 4))
    fails("one row has no variance", P { components = 1 }.fit, P(), x:narrow(1, 1, 1))
    fails("squares overflow", m.fit, m, x * 1e200)
    fails("squares overflow", m.fit, m, x:to "f32" * 1e20)
    fails("the weights sum to 0.5", m.fit, m, x, { weights = mare.full({ 150 }, 1 / 300, "f64") })
    local bad = x:clone()
    bad[{ 7, 2 }] = 0 / 0
    fails("nan in row 7, column 2", m.fit, m, bad)
    fails("3 columns (shape 150x3); the model was fitted to 4", m.transform, m, x:narrow(2, 1, 3))
    fails("f32 or f64 tensor (n, 3) expected, got f64 tensor 150x4", m.inverse, m, x)
    fails("PCA has no partial_fit", m.partial_fit, m, x)
    assert.equal(before, m.components)
    for _, name in ipairs { "transform", "inverse", "score" } do
      fails("'" .. name .. "' needs a fitted model", function() P()[name](P(), x) end)
    end
  end)
end)
