-- KNN and KNNRegressor against scikit-learn 1.2.1 (fixtures/cluster.py), against plain loops,
-- and with what they must bear.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local KNN, Regressor = models.KNN, models.KNNRegressor
local reference = dofile "spec/fixtures/cluster.lua"
local shared = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, near = estimators.fails, estimators.f64, estimators.near

local function i64(t) return mare.tensor(t, "i64") end

local iris, digits = assert(mare.data.iris()), assert(mare.data.digits())
local sets = {
  iris = { iris.x:to "f64", iris.y }, wine = { f64(shared.wine.x), i64(shared.wine.y) },
  cancer = { f64(shared.cancer.x), i64(shared.cancer.y) }, digits = { digits.x:to "f64", digits.y },
}
local metrics = { "euclidean", "manhattan", "cosine" }

-- every fourth row to ask about (of digits every 16th), the others to learn from
local function parts(x, y, step)
  local fit, ask = {}, {}
  for i = 1, x:size(1) do
    if i % 4 ~= 1 then fit[#fit + 1] = i elseif i % step == 1 then ask[#ask + 1] = i end
  end
  fit, ask = i64(fit), i64(ask)
  return x:index_select(1, fit), y:index_select(1, fit), x:index_select(1, ask)
end

-- rows (n) whose k-th neighbour is nearer than the next: 1, else 0
local function untied(m, x, k)
  local d = m:kneighbors(x, k + 1)
  return (d:select(2, k + 1) - d:select(2, k)):gt(1e-9):to "f64"
end

describe("KNN", function()
  it("says what scikit-learn says", function()
    for key, set in pairs(sets) do
      for _, metric in ipairs(metrics) do
        for _, weights in ipairs { "uniform", "distance" } do
          local r = reference[("knn_%s_%s_%s"):format(key, metric, weights)]
          for dtype, tolerance in pairs { f64 = 1e-8, f32 = 1e-5 } do
            local x, y, ask = parts(set[1]:to(dtype), set[2], key == "digits" and 16 or 4)
            local settings = { k = 4, metric = metric, weights = weights }
            local m = KNN(settings):fit(x, y)
            near(tolerance, m:kneighbors(ask):narrow(1, 1, #r.distances), r.distances)
            local clear = untied(m, ask, 4)
            assert.is_true(clear:mean():item() > 0.8)
            local p = m:predict_proba(ask)
            near(tolerance, p * clear:unsqueeze(2):to(dtype), f64(r.proba) * clear:unsqueeze(2))
            assert.equal(dtype, p.dtype)
            assert.same(m.classes:index_select(1, p:argmax(2)):totable(), m:predict(ask):totable())
            local values = Regressor(settings):fit(x, x:select(2, 1)):predict(ask)
            assert.equal(dtype, values.dtype)
            near(tolerance, values:to "f64" * clear, f64(r.values) * clear)
          end
        end
      end
    end
  end)

  it("finds the same rows as plain loops", function()
    mare.seed(1)
    for dtype, offset in pairs { f64 = 0, f32 = 1000 } do
      local x, q = mare.randn({ 700, 300 }, dtype) + offset, mare.randn({ 40, 300 }, dtype) + offset
      local apart = q:to "f64":unsqueeze(2) - x:to "f64":unsqueeze(1)
      local all = { euclidean = apart:square():sum(3):sqrt(), manhattan = apart:abs():sum(3) }
      for metric, expected in pairs(all) do
        local d, at = KNN { metric = metric }:fit(x, mare.ones({ 700 }, "i64")):kneighbors(q, 6)
        local values, positions = expected:topk(6, 2, false)
        near(1e-9, d, values)
        assert.same(positions:totable(), at:totable())
      end
    end
  end)

  it("takes ties in the order of the rows", function()
    local x = f64 { { 0 }, { 2 }, { 0 }, { 2 }, { 1 }, { 9 } }
    for _, metric in ipairs { "euclidean", "manhattan" } do
      local m = KNN { k = 3, metric = metric }:fit(x, { 5, -2, 5, -2, 8, 8 })
      local d, at = m:kneighbors(f64 { { 1 } }, 4)
      assert.same({ { 0, 1, 1, 1 } }, d:totable())
      assert.same({ { 5, 1, 2, 3 } }, at:totable())
      assert.same({ -2 }, m:predict(f64 { { 1 } }):totable()) -- one vote each: the first class
    end
  end)

  it("lets rows at distance 0 decide", function()
    for _, dtype in ipairs { "f32", "f64" } do
      local x = iris.x:to(dtype) + 100
      for _, metric in ipairs { "euclidean", "manhattan" } do
        local m = KNN { k = 10, weights = "distance", metric = metric }:fit(x, iris.y)
        assert.is_true(m:score(x, iris.y) >= 0.99)
        assert.equal(0, m:kneighbors(x, 1):abs():max():item())
      end
      local r = Regressor { k = 10, weights = "distance" }:fit(x, mare.arange(1, 150, dtype))
      local twins = r:predict(x:narrow(1, 1, 9)) - mare.arange(1, 9, dtype)
      assert.equal(0, twins:abs():max():item())
    end
  end)

  it("measures angles from zero, too", function()
    local m = KNN { k = 2, metric = "cosine" }:fit(f64 { { 0, 0 }, { 1, 0 }, { 0, 3 } }, { 1, 2, 3 })
    local d, at = m:kneighbors(f64 { { 5, 0 }, { 0, 0 } }, 3)
    near(1e-12, d, { { 0, 1, 1 }, { 1, 1, 1 } })
    assert.same({ 2, 1, 3 }, at[1]:totable())
    assert.is_true(m:predict_proba(f64 { { 0, 0 } }):sum():item() == 1)
  end)

  it("takes several targets, one class, and other types than it was fitted to", function()
    local x = iris.x
    local y = mare.stack({ x:select(2, 1), x:select(2, 3) * 2 }, 2)
    local r = Regressor { k = 3 }:fit(x, y)
    assert.same({ 150, 2 }, r:predict(x).shape)
    assert.is_true(r:score(x, y) > 0.9)
    assert.equal("f64", r:predict(x:to "f64").dtype)
    assert.same({ 7, 7 }, KNN { k = 1 }:fit(x:narrow(1, 1, 2), { 7, 7 }):predict(x:narrow(1, 9, 2)):totable())
    local images = mare.randint(0, 255, { 12, 5, 5 }):to "u8"
    assert.equal(1, KNN { k = 1 }:fit(images, mare.arange(1, 12, "i64")):score(images, mare.arange(1, 12, "i64")))
  end)

  it("keeps the rows and not a copy", function()
    local x = iris.x:to "f64"
    local before = mare.memory().live
    local m = KNN():fit(x, iris.y)
    assert.is_true(mare.memory().live - before < x:numel() * 8 * 0.9)
    do
      local _ <close> = mare.scope()
      local inner = x:clone()
      m:fit(inner, iris.y)
    end
    assert.is_true(m:score(x, iris.y) > 0.9)
  end)

  it("is the same after a file", function()
    local x, y = iris.x, iris.y
    local m = KNN { weights = "distance" }:fit(x, y)
    local n = assert(models.load { string = m:save(nil) })
    assert.equal(m:predict_log_proba(x):tobytes(), n:predict_log_proba(x):tobytes())
    local r = Regressor():fit(x, x)
    n = assert(models.load { string = r:save(nil) })
    assert.equal(r:predict(x):tobytes(), n:predict(x):tobytes())
    local tensors, texts = assert(mare.load { string = m:save(nil) })
    tensors["learned.y"] = mare.full({ 150 }, 4, "i64")
    local none, message = models.load { string = mare.save(nil, tensors, texts) }
    assert.is_nil(none)
    assert.truthy(message:find("codes of no class", 1, true), message)
  end)
end)

describe("KNN refuses", function()
  it("senseless settings", function()
    fails("k: 0 is not at least 1", KNN, { k = 0 })
    fails("metric: unknown value 'euclid'", KNN, { metric = "euclid" })
    fails("weights: unknown value 'distances'; did you mean 'distance'?", KNN, { weights = "distances" })
    fails("unknown setting 'n_neighbors'; known: k, weights, metric", Regressor, { n_neighbors = 3 })
  end)

  it("data that do not fit, and stays as it was", function()
    local x, y = iris.x, iris.y
    local m = KNN():fit(x, y)
    fails("4 rows for k = 5 neighbours", m.fit, m, x:narrow(1, 1, 4), y:narrow(1, 1, 4))
    fails("weights: neighbours have none", m.fit, m, x, y, { weights = mare.ones(150) })
    fails("no values", m.fit, m, mare.zeros(0, 4), mare.zeros({ 0 }, "i64"))
    local bad = x:clone()
    bad[{ 7, 2 }] = 0 / 0
    fails("nan in row 7, column 2", m.fit, m, bad, y)
    fails("nan in row 7, column 2", m.predict, m, bad)
    fails("149 labels for 150 rows", m.fit, m, x, y:narrow(1, 1, 149))
    fails("labels are whole numbers", m.fit, m, x, y:to "f32")
    fails("3 columns (shape 150x3); the model was fitted to 4", m.predict, m, x:narrow(2, 1, 3))
    fails("bad argument #2 to 'kneighbors' (151 neighbours of 150 rows)", m.kneighbors, m, x, 151)
    fails("bad argument #2 to 'kneighbors' (whole number of at least 1", m.kneighbors, m, x, 0)
    fails("values so large that distances overflow", m.fit, m, x * 1e20, y)
    fails("values so large that distances overflow", m.predict, m, x * 1e20)
    fails("KNN has no partial_fit", m.partial_fit, m, x, y)
    assert.equal(150, m.y:size(1))
    for _, name in ipairs { "predict", "predict_proba", "kneighbors", "score" } do
      fails("'" .. name .. "' needs a fitted model", function() KNN()[name](KNN(), x, y) end)
    end
  end)
end)
