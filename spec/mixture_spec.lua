-- GaussianMixture against scikit-learn 1.2.1 (fixtures/cluster.py), and with what it must bear.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local G = models.GaussianMixture
local reference = dofile "spec/fixtures/cluster.lua"
local shared = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, near = estimators.fails, estimators.f64, estimators.near

local function close(tolerance, got, expected)
  assert.is_true(math.abs(got - expected) <= tolerance * math.max(1, math.abs(expected)),
    ("%.17g, not %.17g"):format(got, expected))
end

local iris = assert(mare.data.iris())
local sets = { iris = iris.x:to "f64", wine = f64(shared.wine.x), cancer = f64(shared.cancer.x) }
local kinds = { "full", "shared", "diagonal", "spherical" }

local function no_nan(t) return t:ne(t):any():item() == 0 end

local function corner(kind, c)
  if kind == "shared" then return c:narrow(1, 1, 3) end
  return c:narrow(-1, 1, math.min(3, c:size(-1)))
end

describe("GaussianMixture", function()
  it("learns what scikit-learn learns from the same start", function()
    for key, x in pairs(sets) do
      for _, kind in ipairs(kinds) do
        local r = reference[("mixture_%s_%s"):format(key, kind)]
        local first = x:index_select(1, mare.tensor(r.first, "i64"))
        for dtype, tolerance in pairs { f64 = 1e-8, f32 = 1e-5 } do
          local rows = x:to(dtype)
          local m = G { covariance = kind, init = first, reg = 1e-3 }:fit(rows)
          near(tolerance, m.weights, r.weights)
          near(tolerance, m.means, r.means)
          near(tolerance, corner(kind, m.covariances), r.covariances)
          assert.equal(r.steps, m.steps)
          close(tolerance, m.log_likelihood, r.bound)
          assert.is_true(m.converged and m.reason == "tol")
          assert.same(r.labels, m:predict(rows):totable())
          if dtype == "f64" then tolerance = 1e-7 end -- densities of far rows are large
          close(tolerance, m:score(rows), r.score)
          close(tolerance, m:bic(rows), r.bic)
          close(tolerance, m:aic(rows), r.aic)
          near(tolerance * 10, m:score_samples(rows):narrow(1, 1, 5), r.samples)
          near(tolerance * 10, m:predict_proba(rows)[("::10, :")], r.proba)
          near(tolerance * 10, m:predict_log_proba(rows):exp(), m:predict_proba(rows):to "f64")
          assert.equal(dtype, m:predict_proba(rows).dtype)
        end
      end
    end
  end)

  it("finds what was mixed", function()
    mare.seed(1)
    local a = mare.randn({ 3000, 2 }, "f64"):matmul(f64 { { 1, 0.5 }, { 0, 0.3 } })
    local b = mare.randn({ 1000, 2 }, "f64") * 0.5 + f64 { 5, -5 }
    local x = mare.cat({ a, b }, 1)
    for _, init in ipairs { "kmeans", "random" } do
      local m = G { k = 2, init = init, seed = 1, restarts = 3, tol = 1e-6 }:fit(x)
      local big = m.weights:argmax():item()
      close(0.01, m.weights[big]:item(), 0.75)
      near(0.05, m.means[big], { 0, 0 })
      near(0.05, m.covariances[big], { { 1, 0.5 }, { 0.5, 0.34 } })
      near(0.05, m.covariances[3 - big], { { 0.25, 0 }, { 0, 0.25 } })
    end
    local least, best = math.huge, nil
    for k = 1, 4 do
      local bic = G { k = k, seed = 2 }:fit(x):bic(x)
      if bic < least then least, best = bic, k end
    end
    assert.equal(2, best)
  end)

  it("never makes the rows less likely", function()
    for _, kind in ipairs(kinds) do
      local last = -math.huge
      for steps = 1, 8 do
        local m = G { k = 3, covariance = kind, seed = 3, steps = steps, tol = 0, init = "random" }
          :fit(sets.wine)
        assert.is_true(m.log_likelihood >= last - 1e-9)
        assert.equal("steps", m.reason)
        last = m.log_likelihood
      end
    end
  end)

  it("is one Gaussian with k = 1", function()
    local x = sets.iris
    local m = G { reg = 0 }:fit(x)
    near(1e-12, m.means[1], x:mean(1))
    local c = x - x:mean(1)
    near(1e-12, m.covariances[1], c:t():matmul(c) / 150)
    local g = G { reg = 0, covariance = "tied" }:fit(x)
    assert.equal("shared", g.covariance)
    near(1e-12, g.covariances, m.covariances[1])
  end)

  it("counts a row as often as its weight says", function()
    local x = sets.iris
    local w = mare.ones(150, "f64")
    w:narrow(1, 1, 40):fill_(3)
    w:narrow(1, 90, 10):fill_(0)
    local many = mare.cat({ x:narrow(1, 1, 40), x:narrow(1, 1, 40), x:narrow(1, 1, 89), x:narrow(1, 100, 51) }, 1)
    for _, kind in ipairs(kinds) do
      local settings = { covariance = kind, init = x["::60, :"] }
      local a, b = G(settings):fit(x, { weights = w }), G(settings):fit(many)
      near(1e-8, a.means, b.means)
      near(1e-8, a.covariances, b.covariances)
      close(1e-9, a:score(x, { weights = w }), b:score(many))
      close(1e-9, a.log_likelihood, b.log_likelihood)
    end
  end)

  it("draws what it would learn again", function()
    for _, kind in ipairs(kinds) do
      mare.seed(5)
      local m = G { k = 2, covariance = kind, seed = 1 }:fit(sets.iris)
      local x, codes = m:sample(40000)
      assert.same({ 40000, 4 }, x.shape)
      local again = G { k = 2, covariance = kind, init = m.means }:fit(x)
      near(0.03, again.means, m.means)
      near(0.03, again.covariances, m.covariances)
      near(0.02, again.weights, m.weights)
      assert.is_true(m:predict(x):eq(codes):to "f64":mean():item() > 0.98)
    end
    assert.equal("f32", (G():fit(iris.x):sample(2)).dtype)
    fails("bad argument #1 to 'sample' (whole number of at least 1", function() G():fit(iris.x):sample(0) end)
    fails("'sample' needs a fitted model", function() G():sample(1) end)
  end)

  it("repeats itself with a seed", function()
    local a = G { k = 3, seed = 4, restarts = 2 }:fit(sets.wine)
    local b = G { k = 3, seed = 4, restarts = 2 }:fit(sets.wine)
    assert.equal(a.means:tobytes(), b.means:tobytes())
    local x = sets.iris
    assert.same(a:fit_predict(x):totable(), a:predict(x):totable())
  end)

  it("bears duplicates, constant columns and too many components", function()
    local twice = f64 { { 1, 1 }, { 1, 1 }, { 2, 2 }, { 2, 2 }, { 1, 1 } }
    local constant = sets.iris:clone()
    constant:select(2, 3):fill_(7)
    for _, kind in ipairs(kinds) do
      local m = G { k = 4, covariance = kind, seed = 1 }:fit(twice)
      assert.is_true(no_nan(m.means) and no_nan(m.covariances) and no_nan(m:predict_proba(twice)))
      close(1e-12, m.weights:sum():item(), 1)
      m = G { k = 2, covariance = kind, seed = 1 }:fit(constant)
      assert.is_true(no_nan(m:predict_proba(constant)))
      m = G { k = 2, covariance = kind, seed = 1 }:fit(constant:to "f32")
      assert.is_true(no_nan(m:predict_log_proba(constant:to "f32")))
      m = G { k = 2, init = { { 0, 0 }, { 1000, 1000 } }, covariance = kind }:fit(twice)
      assert.same({ 1, 0 }, m.weights:totable())
      assert.is_true(no_nan(m.means) and no_nan(m:predict_proba(twice)))
    end
  end)

  it("is the same after a file", function()
    local x = sets.iris
    for _, kind in ipairs(kinds) do
      local m = G { k = 3, covariance = kind, seed = 1 }:fit(x)
      local n = assert(models.load { string = m:save(nil) })
      assert.equal(m:predict_log_proba(x):tobytes(), n:predict_log_proba(x):tobytes())
      assert.equal(m:bic(x), n:bic(x))
    end
  end)

  it("gives the same bits for any number of threads", function()
    mare.seed(6)
    local x = mare.randn(5000, 70)
    local function bytes() return G { k = 2, seed = 1, steps = 3 }:fit(x).covariances:tobytes() end
    estimators.same_bits(bytes)
  end)
end)

describe("GaussianMixture refuses", function()
  it("senseless settings", function()
    fails("covariance: unknown value 'ful'; did you mean 'full'? known: full, shared, diagonal, spherical",
      G, { covariance = "ful" })
    fails("init: unknown value 'zero'; known: kmeans, random", G, { init = "zero" })
    fails("init: matrix (rows, columns) expected", G, { init = mare.zeros(3) })
    fails("did you mean 'restarts'?", G, { restart = 3 })
    fails("reg: -1 is not at least 0", G, { reg = -1 })
  end)

  it("data that do not fit, and stays as it was", function()
    local x = sets.iris
    local m = G { k = 2, reg = 0, seed = 1 }:fit(x)
    local means = m.means
    local constant = x:clone()
    constant:select(2, 3):fill_(7)
    fails("is singular at column 3; give a larger reg", m.fit, m, constant)
    for _, kind in ipairs(kinds) do
      if kind ~= "spherical" then
        fails("is singular at column 3", function() G { reg = 0, covariance = kind }:fit(constant) end)
      end
    end
    fails("is singular at column 1", function() G { reg = 0, covariance = "spherical" }:fit(mare.ones(5, 2)) end)
    fails("1 rows for k = 2 components", m.fit, m, x:narrow(1, 1, 1))
    fails("no values", m.fit, m, mare.zeros(0, 4))
    fails("squares overflow", m.fit, m, x * 1e200)
    local bad = x:clone()
    bad[{ 7, 2 }] = 0 / 0
    fails("nan in row 7, column 2", m.fit, m, bad)
    fails("nan in row 7, column 2", m.predict, m, bad)
    fails("3 columns (shape 150x3); the model was fitted to 4", m.predict, m, x:narrow(2, 1, 3))
    fails("GaussianMixture has no partial_fit", m.partial_fit, m, x)
    assert.equal(means, m.means)
    local other = G { init = mare.zeros(2, 3) }
    fails("4 columns; the setting init has 3 (shape 2x3)", other.fit, other, x)
    for _, name in ipairs { "predict", "predict_proba", "predict_log_proba", "score", "bic", "aic",
      "score_samples" } do
      fails("'" .. name .. "' needs a fitted model", function() G()[name](G(), x) end)
    end
  end)
end)
