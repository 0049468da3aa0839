-- NaiveBayes against scikit-learn 1.2.1 (fixtures/models_bayes.py), the lectures' example, and
-- with what it must refuse.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local NB = models.NaiveBayes
local reference = dofile "spec/fixtures/models_bayes.lua"

local fails, f64, near = estimators.fails, estimators.f64, estimators.near_logs

local function whole(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = math.tointeger(v) end
  return out
end

local digits = assert(mare.data.digits())
local x, y = digits.x:to "f64" * 16, digits.y
local iris = assert(mare.data.iris())

local settings = {
  bernoulli = { kind = "bernoulli", binarize = 7.5, alpha = 0.5 },
  multinomial = { kind = "multinomial" },
  complement = { kind = "complement" },
  complement_norm = { kind = "complement", norm = true, alpha = 2 },
  categorical = { kind = "categorical", alpha = 0.7 },
}

describe("NaiveBayes agrees with scikit-learn", function()
  for _, name in ipairs { "bernoulli", "multinomial", "complement", "complement_norm", "categorical" } do
    it(name, function()
      local want = reference[name]
      for dtype, tolerance in pairs { f64 = 1e-8, f32 = 1e-5 } do
        local rows = x:to(dtype)
        local m = NB(settings[name]):fit(rows, y)
        near(tolerance, m:predict_log_proba(rows)["::97, :"], want.log_proba)
        assert.same(whole(want.labels), m:predict(rows)["::5"]:totable())
        if want.parameters then near(1e-10, m.feature_log_probs["1:2, :"], want.parameters) end
      end
    end)
  end

  it("gaussian", function()
    local sets = {
      iris = { iris.x:to "f64", iris.y },
      wine = { f64(reference.wine.x), mare.tensor(reference.wine.y, "i64") },
      cancer = { f64(reference.cancer.x), mare.tensor(reference.cancer.y, "i64") },
    }
    for name, set in pairs(sets) do
      local want = reference["gaussian_" .. name]
      local m = NB():fit(set[1], set[2])
      near(1e-10, m.means, want.means)
      near(1e-10, m.variances + want.epsilon, want.variances)
      near(1e-8, m:predict_log_proba(set[1]), want.log_proba)
      assert.same(whole(want.labels), m:predict(set[1]):totable())
    end
    local want = reference.gaussian_digits
    local m = NB():fit(x / 16, y)
    near(1e-8, m:predict_log_proba(x / 16)["::97, :"], want.log_proba)
    assert.same(whole(want.labels), m:predict(digits.x)["::5"]:totable())
  end)

  it("with weights", function()
    local w = mare.arange(0, x:size(1) - 1, "f64")
    w = w - (w / 4):floor() * 4
    near(1e-8, NB():fit(x / 16, y, { weights = w }):predict_log_proba(x / 16)["::97, :"],
      reference.gaussian_weighted.log_proba)
    near(1e-8, NB { kind = "multinomial", fit_prior = false }:fit(x, y, { weights = w })
      :predict_log_proba(x)["::97, :"], reference.multinomial_weighted.log_proba)
  end)
end)

-- Class 1 is one row (1, 1); class 2 is four times (1, 0), (0, 1) and (0, 0).
local function lecture()
  local rows, labels = { { 1, 1 } }, { 1 }
  for _, row in ipairs { { 1, 0 }, { 0, 1 }, { 0, 0 } } do
    for _ = 1, 4 do
      rows[#rows + 1] = row
      labels[#labels + 1] = 2
    end
  end
  return rows, labels
end

describe("NaiveBayes", function()
  it("says P(C1|x) = 3/7 for the lectures' 13 rows", function()
    local rows, labels = lecture()
    for _, kind in ipairs { "bernoulli", "categorical", { "bernoulli", "categorical" } } do
      for dtype, tolerance in pairs { f64 = 1e-12, f32 = 1e-4 } do
        local data = mare.tensor(rows, dtype)
        local m = NB { kind = kind, alpha = 0 }:fit(data, labels)
        local p = m:predict_proba(data)
        assert.near(3 / 7, p[{ 1, 1 }]:item(), tolerance)
        assert.equal(2, m:predict(data)[1]:item())
        assert.equal(0, p:ne(p):to "i64":sum():item())
        assert.near(0, p[{ 2, 1 }]:item(), 1e-12)
      end
    end
    assert.same({ 1, 12 }, NB { kind = "bernoulli" }:fit(f64(rows), labels).counts:totable())
  end)

  it("learns from a stream what one fit learns", function()
    local kinds = { "gaussian", "bernoulli", "multinomial", "complement", "categorical" }
    local mixed = {}
    for j = 1, 64 do mixed[j] = ({ "gaussian", "bernoulli", "multinomial", "categorical" })[j % 4 + 1] end
    kinds[#kinds + 1] = mixed
    mare.seed(8)
    local w = mare.rand({ x:size(1) }, "f64") + 0.1
    local _, order = y:sort(1, true) -- the last class comes first
    local sx, sy, sw = x:index_select(1, order), y:index_select(1, order), w:index_select(1, order)
    for _, kind in ipairs(kinds) do
      local once = NB { kind = kind, binarize = 4, var_smoothing = 1e-3 }:fit(x, y, { weights = w })
      local m = NB { kind = kind, binarize = 4, var_smoothing = 1e-3 }
      for first = 1, x:size(1), 300 do
        local n = math.min(300, x:size(1) - first + 1)
        m:partial_fit(sx:narrow(1, first, n), sy:narrow(1, first, n), { weights = sw:narrow(1, first, n) })
      end
      near(1e-12, m.counts, once.counts)
      near(1e-12, m:decision(x), once:decision(x))
      if kind == "gaussian" then
        near(1e-12, m.means, once.means)
        near(1e-12, m.variances, once.variances)
      elseif kind == "categorical" then
        assert.same(once.sizes:totable(), m.sizes:totable())
        near(1e-12, m.category_counts, once.category_counts)
      elseif type(kind) == "string" then
        near(1e-12, m.feature_counts, once.feature_counts)
        near(1e-12, m.feature_log_probs, once.feature_log_probs)
      end
    end
  end)

  it("adds up the parts of mixed kinds", function()
    local d = { iris.x:to "f64", iris.y }
    local coarse = (d[1]:narrow(2, 3, 2)):floor()
    local rows = mare.cat({ d[1]:narrow(2, 1, 1), coarse, d[1]:narrow(2, 2, 1) }, 2)
    local m = NB { kind = { "gaussian", "categorical", "bernoulli", "gaussian" }, binarize = 1 }
    local log = m:fit(rows, d[2]):predict_log_proba(rows)
    local function part(kind, columns)
      local c = rows:index_select(2, mare.tensor(columns, "i64"))
      local one = NB { kind = kind, binarize = 1, fit_prior = false }:fit(c, d[2])
      return one:predict_log_proba(c)
    end
    local sum = part("gaussian", { 1, 4 }) + part("categorical", { 2 }) + part("bernoulli", { 3 })
    near(1e-10, log, (sum + m.priors:log()):log_softmax(2))
    assert.same({ "gaussian", "bernoulli", "categorical" },
      { m.parts[1].kind, m.parts[2].kind, m.parts[3].kind })
    assert.same({ 1, 4 }, m.parts[1].columns:totable())
  end)

  it("takes integers as they are where they count", function()
    local want = NB { kind = "multinomial" }:fit(x, y)
    for _, dtype in ipairs { "u8", "i64" } do
      local m = NB { kind = "multinomial" }:fit(x:to(dtype), y)
      near(1e-12, m.feature_counts, want.feature_counts)
      assert.same(want:predict(x):totable(), m:predict(x:to(dtype)):totable())
      near(1e-12, NB { kind = "categorical" }:fit(x:to(dtype), y).category_counts,
        NB { kind = "categorical" }:fit(x, y).category_counts)
    end
    local images = (x * 15):to "u8"
    near(1e-6, NB():fit(images, y).means, NB():fit(images:to "f64" / 255, y).means)
    fails("got i64; convert it with :to", function() NB():fit(x:to "i64", y) end)
  end)

  it("treats a new category as one without rows", function()
    local m = NB { kind = "categorical" }:fit(f64 { { 0 }, { 1 }, { 1 } }, { 1, 1, 2 })
    -- class 1: (0 + 1) / (2 + 2), class 2: 1 / (1 + 2); priors 2/3, 1/3
    local a, b = 2 / 3 / 4, 1 / 3 / 3
    assert.near(a / (a + b), m:predict_proba(f64 { { 7 } })[{ 1, 1 }]:item(), 1e-12)
    m = NB { kind = "categorical", min_categories = 5 }:fit(f64 { { 0 }, { 1 }, { 1 } }, { 1, 1, 2 })
    assert.same({ 5 }, m.sizes:totable())
  end)

  it("has given or equal priors", function()
    local m = NB { priors = { 0.2, 0.3, 0.5 } }:fit(iris.x, iris.y)
    near(1e-15, m.priors, { 0.2, 0.3, 0.5 })
    near(1e-15, NB { fit_prior = false }:fit(iris.x:narrow(1, 1, 60), iris.y:narrow(1, 1, 60)).priors,
      { 0.5, 0.5 })
    fails("2 priors for 3 classes", function() NB { priors = { 0.5, 0.5 } }:fit(iris.x, iris.y) end)
    local none = NB { priors = { 0, 0.5, 0.5 } }:fit(iris.x, iris.y)
    assert.equal(0, none:predict(iris.x):eq(1):to "i64":sum():item())
  end)

  it("answers where columns are constant", function()
    local constant = iris.x:to "f64"
    constant:select(2, 2):fill_(3)
    local p = NB():fit(constant, iris.y):predict_proba(constant)
    assert.equal(0, p:ne(p):to "i64":sum():item())
    p = NB():fit(mare.ones(4, 2), { 1, 1, 1, 2 }):predict_proba(mare.ones(1, 2))
    near(1e-6, p, { { 0.75, 0.25 } })
    fails("column 2 is constant in class 1; give var_smoothing", function()
      NB { var_smoothing = 0 }:fit(constant, iris.y)
    end)
    local m = NB { kind = "multinomial", alpha = 0 }:fit(mare.zeros(4, 2), { 1, 1, 2, 2 })
    p = m:predict_proba(mare.zeros(1, 2))
    near(1e-6, p, { { 0.5, 0.5 } })
  end)

  it("is the same after a file", function()
    local mixed = {}
    for j = 1, 64 do mixed[j] = ({ "gaussian", "bernoulli", "multinomial", "categorical" })[j % 4 + 1] end
    for _, kind in ipairs { "gaussian", "bernoulli", "complement", "categorical", mixed } do
      local m = NB { kind = kind }:fit(x, y)
      local bytes = m:save(nil)
      local n = assert(models.load { string = bytes })
      near(1e-15, n:predict_log_proba(x), m:predict_log_proba(x))
      near(1e-12, n:partial_fit(x, y).counts, m.counts * 2)
      local tensors, texts = assert(mare.load { string = bytes })
      for name, t in pairs(tensors) do -- every tensor shorter: refused
        local lie = {}
        for k, v in pairs(tensors) do lie[k] = v end
        lie[name] = t:narrow(1, 1, t:size(1) - 1):contiguous()
        assert.is_nil((models.load { string = mare.save(nil, lie, texts) }), name)
      end
    end
  end)

  it("gives the same bits for any number of threads", function()
    local big = mare.cat({ x, x, x, x }, 1)
    local labels = mare.cat({ y, y, y, y }, 1)
    local function bytes()
      local m = NB():fit(big, labels)
      return m.means:tobytes() .. m.variances:tobytes() .. m:predict_proba(big):tobytes()
    end
    estimators.same_bits(bytes)
  end)
end)

describe("NaiveBayes refuses", function()
  it("senseless settings and data", function()
    fails("unknown kind 'gausian'; did you mean 'gaussian'?", NB, { kind = "gausian" })
    fails("unknown kind '3'", NB, { kind = { "gaussian", 3 } })
    fails("complement does not go together", NB, { kind = { "complement", "gaussian" } })
    fails("a kind, or a list", NB, { kind = {} })
    fails("alpha: -1 is not at least 0", NB, { alpha = -1 })
    fails("binarize: a number, or false", NB, { binarize = true })
    fails("2 kinds for 4 columns", function() NB { kind = { "gaussian", "gaussian" } }:fit(iris.x, iris.y) end)
    fails("-1 is negative; counts are expected", function() NB { kind = "multinomial" }:fit(x - 1, y) end)
    fails("categories are whole numbers from 0", function() NB { kind = "categorical" }:fit(iris.x, iris.y) end)
    fails("categories are whole numbers from 0", function() NB { kind = "categorical" }:fit(x - 1, y) end)
    fails("bad argument #1 to 'predict' (categories", function()
      NB { kind = "categorical" }:fit(x, y):predict(x + 0.5)
    end)
    fails("category 1000000000; at most", function()
      NB { kind = "categorical" }:fit(f64 { { 1e9 }, { 0 } }, { 1, 2 })
    end)
    fails("values 0 and 1 expected with binarize = false", function()
      NB { kind = "bernoulli", binarize = false }:fit(x, y)
    end)
    fails("squares overflow", function() NB():fit(iris.x:to "f64" * 1e200, iris.y) end)
    fails("all labels are 1", function() NB():fit(iris.x:narrow(1, 1, 50), iris.y:narrow(1, 1, 50)) end)
    local m = NB { kind = "multinomial" }:fit(x, y)
    local before = m.feature_counts
    fails("negative", function() m:partial_fit(x - 1, y) end)
    fails("bad argument #1 to 'partial_fit'", function() m:partial_fit(x - 1, y) end)
    assert.equal(before, m.feature_counts)
  end)
end)
