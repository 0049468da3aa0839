-- GaussianClassifier against scikit-learn 1.2.1 (fixtures/models_bayes.py), against the plain
-- formulas, and with what it must refuse.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local G = models.GaussianClassifier
local reference = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, near = estimators.fails, estimators.f64, estimators.near_logs

local function apart(a, b)
  if type(b) == "table" then b = f64(b) end
  return (a:to "f64" - b):abs():max():item()
end

local iris = assert(mare.data.iris())
local sets = {
  iris = { iris.x:to "f64", iris.y },
  wine = { f64(reference.wine.x), mare.tensor(reference.wine.y, "i64") },
  cancer = { f64(reference.cancer.x), mare.tensor(reference.cancer.y, "i64") },
}

local function whole(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = math.tointeger(v) end
  return out
end

describe("GaussianClassifier agrees with scikit-learn", function()
  for name, set in pairs(sets) do
    local x, y = table.unpack(set)

    it("shared covariance, " .. name, function()
      local want = reference["lda_" .. name]
      local m = G { covariance = "shared" }:fit(x, y)
      near(1e-8, m:predict_log_proba(x), want.log_proba)
      near(1e-10, m.means, want.means)
      near(1e-9, m.covariances, want.covariances)
      assert.same(whole(want.labels), m:predict(x):totable())
      near(1e-8, G { covariance = "shared", unbiased = true }:fit(x, y):predict_log_proba(x),
        reference["lda_svd_" .. name].log_proba)
    end)

    it("full covariance, " .. name, function()
      local want = reference["qda_" .. name]
      local m = G { reg = 0.1, unbiased = true }:fit(x, y)
      near(1e-8, m:predict_log_proba(x), want.log_proba)
      near(1e-10, m.means, want.means)
      assert.same(whole(want.labels), m:predict(x):totable())
    end)
  end

  it("without regularisation, and with shrinkage", function()
    local x, y = table.unpack(sets.iris)
    near(1e-8, G { unbiased = true }:fit(x, y):predict_log_proba(x), reference.qda_plain.log_proba)
    near(1e-8, G { covariance = "shared", shrinkage = 0.3 }:fit(x, y):predict_log_proba(x),
      reference.lda_shrunk.log_proba)
  end)

  it("the linear posterior", function()
    local x, y = table.unpack(sets.cancer)
    local w, b = G { covariance = "shared" }:fit(x, y):linear()
    near(1e-8, w, reference.lda_linear.coef)
    near(1e-8, b:reshape(1), { reference.lda_linear.intercept })
  end)

  it("on digits, in f64 and f32", function()
    local digits = assert(mare.data.digits())
    local want = reference.qda_digits
    for dtype, tolerance in pairs { f64 = 1e-8, f32 = 1e-5 } do
      local x = digits.x:to(dtype)
      local m = G { reg = 0.2, unbiased = true }:fit(x, digits.y)
      near(tolerance, m:predict_log_proba(x)["::97, :"], want.log_proba)
      assert.same(whole(want.labels), m:predict(x)["::5"]:totable())
      assert.equal(dtype, m:predict_proba(x).dtype)
    end
  end)

  it("in f32", function()
    local x, y = iris.x, iris.y
    near(1e-4, G { covariance = "shared" }:fit(x, y):predict_proba(x),
      G { covariance = "shared" }:fit(x:to "f64", y):predict_proba(x:to "f64"):totable())
    near(1e-5, G { covariance = "shared" }:fit(x, y).covariances, reference.lda_iris.covariances)
  end)
end)

-- Two classes of 79 and 61 rows.
local function two_classes(seed, d)
  mare.seed(seed)
  local mix = mare.randn({ d, d }, "f64")
  local a = mare.randn({ 79, d }, "f64"):matmul(mix)
  local b = mare.randn({ 61, d }, "f64"):matmul(mix) * 1.5 + 1
  local y = {}
  for i = 1, 140 do y[i] = i <= 79 and 1 or 2 end
  return mare.cat({ a, b }, 1), y, a, b
end

local function covariance(x)
  local c = x - x:mean(1, true)
  return c:t():matmul(c) / x:size(1)
end

describe("GaussianClassifier", function()
  it("in f32 with means whose rounding is no matter beside small spreads", function()
    mare.seed(3)
    local labels = mare.arange(1, 400, "i64") % 2
    local a = (mare.randn({ 400, 5 }, "f64") * 1e-3 + labels:to "f64":unsqueeze(2) * 1e-3 + 1000)
      :to "f32"
    local exact = G():fit(a:to "f64", labels):predict_log_proba(a:to "f64")
    local got = G():fit(a, labels):predict_log_proba(a)
    assert.is_true((got:to "f64" - exact):abs():max():item() < 1e-3)
  end)

  it("weighs the shared covariance by the counts: 79/140 and 61/140", function()
    local x, y, a, b = two_classes(1, 7)
    local m = G { covariance = "shared" }:fit(x, y)
    assert.is_true(apart(m.covariances, covariance(a) * (79 / 140) + covariance(b) * (61 / 140)) < 1e-12)
    assert.is_true(apart(m.means, mare.stack({ a:mean(1), b:mean(1) }, 1)) < 1e-12)
    assert.is_true(apart(m.priors, { 79 / 140, 61 / 140 }) < 1e-15)
    local full = G():fit(x, y)
    assert.is_true(apart(full.covariances[1], covariance(a)) < 1e-12)
    assert.is_true(apart(full.covariances[2], covariance(b)) < 1e-12)
    local diagonal = G { covariance = "diagonal" }:fit(x, y)
    assert.is_true(apart(diagonal.covariances[2], b:var(1, false, 0)) < 1e-12)
  end)

  it("has the posterior sigmoid(w.x + b)", function()
    local x, y = two_classes(2, 7)
    local m = G { covariance = "shared" }:fit(x, y)
    local w, b = m:linear()
    assert.same({ 7 }, w.shape)
    assert.same({}, b.shape)
    assert.is_true(apart((x:matmul(w) + b):sigmoid(), m:predict_proba(x):select(2, 2)) < 1e-10)
    -- and by Bayes' rule from the densities
    local inverse = mare.linalg.inv(m.covariances)
    local log = {}
    for k = 1, 2 do
      local c = x - m.means[k]
      log[k] = (c:matmul(inverse) * c):sum(2) * -0.5 + math.log(m.priors[k]:item())
    end
    assert.is_true(apart((log[2] - log[1]):sigmoid(), m:predict_proba(x):select(2, 2)) < 1e-10)
  end)

  it("has the posterior softmax(x w' + b) for more classes", function()
    local x, y = table.unpack(sets.iris)
    local m = G { covariance = "shared" }:fit(x, y)
    local w, b = m:linear()
    assert.is_true(apart((x:matmul(w:t()) + b):softmax(2), m:predict_proba(x)) < 1e-10)
    assert.equal("f32", (G { covariance = "shared" }:fit(iris.x, iris.y):linear()).dtype)
    fails("'linear' needs covariance = \"shared\"", function() G():fit(x, y):linear() end)
  end)

  it("scores are log joint densities", function()
    local x, y = two_classes(3, 3)
    for _, kind in ipairs { "full", "diagonal" } do
      local m = G { covariance = kind, priors = { 0.3, 0.7 } }:fit(x, y)
      local log = {}
      for k = 1, 2 do
        local c = m.covariances[k]
        if kind == "diagonal" then c = c * mare.eye(3, "f64") end
        local z = x - m.means[k]
        log[k] = (z:matmul(mare.linalg.inv(c)) * z):sum(2) * -0.5 -
          mare.linalg.det(c):log() * 0.5 + math.log(({ 0.3, 0.7 })[k])
      end
      assert.is_true(apart(log[2] - log[1], m:decision(x)) < 1e-10)
    end
  end)

  it("predicts the class of the largest score, though it does not compute all", function()
    mare.seed(4)
    local d, K = 300, 6
    local centers = mare.randn({ K, d }, "f64") * 0.3
    local i = mare.arange(0, 2999, "f64")
    local labels = (i - (i / K):floor() * K):to "i64" + 1
    local x = mare.randn({ 3000, d }, "f64") * (mare.rand({ d }, "f64") * 2) + centers:index_select(1, labels)
    for _, dtype in ipairs { "f64", "f32" } do
      local m = G { reg = 0.1 }:fit(x:to(dtype), labels)
      local best = m:predict_log_proba(x:to(dtype)):argmax(2)
      assert.equal(0, m:predict(x:to(dtype)):ne(best):to "i64":sum():item())
      assert.is_true(m:score(x:to(dtype), labels) > 0.7)
    end
  end)

  it("merges moments exactly", function()
    for _, kind in ipairs { "full", "shared", "diagonal" } do
      local x, y = table.unpack(sets.cancer)
      local w = mare.rand({ x:size(1) }, "f64")
      local once = G { covariance = kind }:fit(x, y, { weights = w })
      local m = G { covariance = kind }
      for first = 1, x:size(1), 23 do
        local n = math.min(23, x:size(1) - first + 1)
        m:partial_fit(x:narrow(1, first, n), y:narrow(1, first, n), { weights = w:narrow(1, first, n) })
      end
      local scale = once.covariances:abs():max():item()
      assert.is_true(apart(m.covariances, once.covariances) < 1e-12 * scale)
      assert.is_true(apart(m.means, once.means) < 1e-12 * once.means:abs():max():item())
      assert.is_true(apart(m.counts, once.counts) < 1e-12 * x:size(1))
      assert.same(once:predict(x):totable(), m:predict(x):totable())
    end
  end)

  it("meets classes one after another", function()
    local x, y = table.unpack(sets.iris)
    local once = G():fit(x, y)
    local m = G()
    for _, first in ipairs { 101, 1, 51 } do m:partial_fit(x:narrow(1, first, 50), y:narrow(1, first, 50)) end
    assert.is_true(apart(m.covariances, once.covariances) < 1e-12)
    assert.is_true(apart(m:predict_proba(x), once:predict_proba(x)) < 1e-10)
  end)

  it("counts a row as often as its weight says", function()
    local x, y = table.unpack(sets.iris)
    local w = mare.ones(150, "f64")
    w:narrow(1, 40, 80):fill_(3)
    w:narrow(1, 1, 5):fill_(0)
    local rows, labels = {}, {}
    for i = 1, 150 do
      for _ = 1, w[i]:item() // 1 do
        rows[#rows + 1] = i
        labels[#labels + 1] = y[i]:item()
      end
    end
    local many = x:index_select(1, mare.tensor(rows, "i64"))
    for _, kind in ipairs { "full", "shared", "diagonal" } do
      local a = G { covariance = kind }:fit(x, y, { weights = w })
      local b = G { covariance = kind }:fit(many, labels)
      assert.is_true(apart(a.covariances, b.covariances) < 1e-12)
      assert.is_true(apart(a:predict_proba(x), b:predict_proba(x)) < 1e-10)
    end
  end)

  it("draws what it would learn again", function()
    local x, y = table.unpack(sets.iris)
    for _, kind in ipairs { "full", "shared", "diagonal" } do
      mare.seed(5)
      local m = G { covariance = kind, priors = { 0.2, 0.5, 0.3 } }:fit(x, y)
      local sx, sy = m:sample(40000)
      assert.same({ 40000, 4 }, sx.shape)
      local again = G { covariance = kind }:fit(sx, sy)
      assert.is_true(apart(again.means, m.means) < 0.02)
      assert.is_true(apart(again.covariances, m.covariances) < 0.02)
      assert.is_true(apart(again.priors, { 0.2, 0.5, 0.3 }) < 0.01)
    end
    local one = G { priors = { 0, 1, 0 } }:fit(x, y)
    assert.same({ 2, 2, 2 }, select(2, one:sample(3)):totable())
    assert.equal("f32", (G():fit(iris.x, y):sample(2)).dtype)
    fails("bad argument #1 to 'sample' (whole number of at least 1", one.sample, one, 0)
    fails("'sample' needs a fitted model", function() G():sample(1) end)
  end)

  it("is the same after a file", function()
    local x, y = table.unpack(sets.iris)
    for _, kind in ipairs { "full", "shared", "diagonal" } do
      local m = G { covariance = kind, priors = { 0.2, 0.5, 0.3 }, reg = 0.01 }:fit(x, y)
      local n = assert(models.load { string = m:save(nil) })
      assert.equal(0, apart(n:predict_log_proba(x), m:predict_log_proba(x)))
      n:partial_fit(x, y)
      local tensors, texts = assert(mare.load { string = m:save(nil) })
      tensors["learned.covariances"] = mare.ones({ 2, 2 }, "f64")
      local none, message = models.load { string = mare.save(nil, tensors, texts) }
      assert.is_nil(none)
      assert.truthy(message:find("covariances", 1, true))
    end
  end)

  it("gives the same bits for any number of threads", function()
    mare.seed(6)
    local x = mare.randn(5000, 70)
    local y = x:select(2, 1):gt(0):to "i64"
    local function bytes()
      local m = G { reg = 0.1 }:fit(x, y)
      return m.covariances:tobytes() .. m:predict_proba(x):tobytes()
    end
    estimators.same_bits(bytes)
  end)
end)

describe("GaussianClassifier refuses", function()
  local x, y = table.unpack(sets.iris)

  it("covariances without an inverse", function()
    local few = x:narrow(1, 1, 53)
    fails("GaussianClassifier: the covariance of class 2 is singular at column", G().fit, G(), few,
      y:narrow(1, 1, 53))
    fails("(3 rows, 4 columns); give shrinkage or reg, or covariance", G().fit, G(), few, y:narrow(1, 1, 53))
    for _, settings in ipairs { { reg = 0.01 }, { shrinkage = 0.1 }, { covariance = "shared" } } do
      local p = G(settings):fit(few, y:narrow(1, 1, 53)):predict_proba(x)
      assert.equal(0, p:ne(p):to "i64":sum():item())
    end
    local constant = x:clone()
    constant:select(2, 3):fill_(7)
    for _, kind in ipairs { "full", "shared", "diagonal" } do
      local m = G { covariance = kind }:fit(x, y)
      local means = m.means
      fails("is singular at column 3", m.fit, m, constant, y)
      assert.equal(means, m.means)
      local p = G { covariance = kind, reg = 1e-3 }:fit(constant, y):predict_proba(constant)
      assert.equal(0, p:ne(p):to "i64":sum():item())
      fails("is singular at column 3", m.fit, m, constant:to "f32", y)
    end
    local twins = mare.cat({ x, x:select(2, 1):unsqueeze(2) * 3 }, 2)
    fails("is singular", G().fit, G(), twins, y)
    fails("is singular", G().fit, G(), twins:to "f32", y)
    fails("class 1 is singular", function()
      G { unbiased = true, covariance = "diagonal" }:fit(x:narrow(1, 50, 51), y:narrow(1, 50, 51))
    end)
    fails("is singular", function() G():partial_fit(few, y:narrow(1, 1, 53)):predict(x) end)
  end)

  it("senseless settings and data", function()
    fails("unknown value 'ful'; did you mean 'full'?", G, { covariance = "ful" })
    fails("did you mean 'covariance'?", G, { covarience = "full" })
    fails("shrinkage: 1.5 is not at least 0 and at most 1", G, { shrinkage = 1.5 })
    fails("priors: they sum to 0.9, not 1", G, { priors = { 0.5, 0.4 } })
    fails("priors: #2 is -0.5, not a probability", G, { priors = { 1.5 - 0.5, -0.5 } })
    fails("priors: list of probabilities expected", G, { priors = 0.5 })
    fails("2 priors for 3 classes (1, 2, 3)", function() G { priors = { 0.5, 0.5 } }:fit(x, y) end)
    fails("all labels are 1", function() G():fit(x:narrow(1, 1, 50), y:narrow(1, 1, 50)) end)
    fails("squares overflow", function() G():fit(x * 1e200, y) end)
    fails("row 1 is so far", function()
      G { covariance = "diagonal" }:fit(x, y):predict_proba(f64 { { 1e300, 0, 0, 0 } })
    end)
    fails("row 1 is so far", function() G():fit(x, y):predict_proba(f64 { { 1e300, 0, 0, 1 } }) end)
    assert.truthy(G():fit(x, y):predict(f64 { { 1e300, 0, 0, 1 } }):item())
  end)
end)

describe("A hook that ends a fit", function()
  it("leaves what was learned before or what is new, never parts of both", function()
    local x, y = iris.x:to "f64", iris.y
    local far = x + 100
    local steps = 0
    local function count_to(limit) -- runs a fit, ended at its instruction `limit`
      local m = G():fit(x, y)
      pcall(function()
        steps = 0
        debug.sethook(function()
          steps = steps + 1
          if steps == limit then
            debug.sethook()
            error("enough", 0)
          end
        end, "", 1)
        m:fit(far, y)
        debug.sethook()
      end)
      debug.sethook()
      return m
    end
    for _ = 1, 2 do count_to(math.huge) end -- the first loads what is needed
    local before, after = G():fit(x, y).means, 0
    for limit = steps - 200, steps do
      local m = count_to(limit)
      local rows = before:eq(m.means):all():item() == 1 and x or far
      after = after + (rows == far and 1 or 0)
      assert.is_true(m:score(rows, y) > 0.95)
    end
    assert.is_true(after > 0 and after <= 200)
  end)
end)
