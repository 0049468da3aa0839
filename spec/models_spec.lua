-- The frame that all estimators share, tried on two small ones made here.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local estimator = require "mare.models.estimator"
local check = require "mare.check"
local near = require "mare.near"

local fails = estimators.fails

local function class_means(data)
  local x = data.x:to "f64"
  local of = data.y:unsqueeze(2):eq(mare.arange(1, data.K, "i64")):to "f64" -- (n, K)
  return of:t():matmul(x) / of:sum(1):clamp(1, math.huge):unsqueeze(2)
end

-- The class whose mean is nearest.
local broken = false
local Nearest = estimator.define {
  name = "NearestMean", kind = "classifier", doc = "the class whose mean is nearest",
  settings = {
    { "scale", 1.0, above = 0 }, { "order", 2, integer = true, lo = 1, hi = 4 },
    { "metric", "euclidean", one_of = { "euclidean", "manhattan" } }, { "verbose", false },
    { "threshold", 0.5, lo = 0, hi = 1 }, { "label", "none" },
    { "names", nil, check = function(v)
      if type(v) ~= "table" then return nil, "list expected" end
      return v
    end },
  },
  learned = { means = "f64 k d", count = "?number", parts = "?table" },
  fit = function(_, data)
    local means = class_means(data)
    if broken then error "broken" end
    return { means = means, count = data.n, parts = { { w = mare.ones(2), name = "a" }, {} } }
  end,
  partial = function(_, data, before)
    local means = class_means(data)
    return { means = before and means + before.means or means }
  end,
  log_joint = function(_, x, learned)
    local m = learned.means
    return x:to "f64":matmul(m:t()) * 2 - m:square():sum(2)
  end,
}

local Slope = estimator.define {
  name = "Slope", kind = "regressor", doc = "y = w x", learned = { w = "f64 d" }, settings = {},
  fit = function(_, data)
    local x, y = data.x:to "f64", data.y:to "f64"
    return { w = x:t():matmul(y) / x:square():sum(1) }
  end,
  predict = function(_, x, learned) return x:matmul(learned.w:to(x.dtype)) end,
}

local Counter = estimator.define {
  name = "Counter", kind = "classifier", integers = "values", settings = {},
  learned = { total = "f64 d" },
  fit = function(_, data) return { total = data.x:sum(1) } end,
  decision = function(_, x) return x:sum(2) - 5 end,
}

local x = mare.tensor({ { 0, 0 }, { 1, 0 }, { 5, 5 }, { 6, 5 }, { 0, 9 }, { 1, 9 } }, "f64")
local y = { 7, 7, -3, -3, 40, 40 }

describe("settings", function()
  it("have defaults, and are found as fields", function()
    local m = Nearest()
    assert.same({ 1.0, 2, "euclidean", false }, { m.scale, m.order, m.metric, m.verbose })
    m = Nearest { scale = 3, verbose = true, names = { "a" } }
    assert.same({ 3, true, "a" }, { m.scale, m.verbose, m.names[1] })
  end)

  it("are checked", function()
    fails("table of settings expected, got number", Nearest, 3)
    fails("unknown setting 'scael'; did you mean 'scale'? known: scale, order", Nearest, { scael = 1 })
    fails("unknown setting 'zzz'; known: scale", Nearest, { zzz = 1 })
    fails("bad argument #1 to 'NearestMean' (scale: 0 is not above 0)", Nearest, { scale = 0 })
    fails("scale: number expected, got string", Nearest, { scale = "1" })
    fails("scale: nan", function() Nearest { scale = math.abs(0 / 0) } end)
    fails("scale: inf is not above 0", Nearest, { scale = math.huge })
    fails("order: 5 is not at least 1 and at most 4", Nearest, { order = 5 })
    fails("order: whole number expected, got 1.5", Nearest, { order = 1.5 })
    fails("metric: unknown value 'euclidian'; did you mean 'euclidean'?", Nearest,
      { metric = "euclidian" })
    fails("verbose: true or false expected, got number", Nearest, { verbose = 1 })
    fails("label: string expected, got number", Nearest, { label = 1 })
    fails("names: list expected", Nearest, { names = 1 })
  end)

  it("stay as they are; clone changes them", function()
    local m = Nearest { scale = 2 }
    fails("'scale' cannot be assigned", function() m.scale = 3 end)
    local n = m:clone { order = 3 }
    assert.same({ 2, 3, 2, 2 }, { n.scale, n.order, m.scale, m.order })
    fails("did you mean 'order'?", m.clone, m, { ordr = 3 })
    fails("table of settings expected, got number", m.clone, m, 3)
  end)

  it("suggest what is near", function()
    assert.equal("covariance", near.nearest("covarience", { "priors", "covariance" }))
    assert.equal("alpha", near.nearest("aplha", { "alpha" }))
    assert.is_nil(near.nearest("epsilon", { "alpha", "beta" }))
  end)
end)

describe("a classifier", function()
  it("keeps labels of any whole numbers", function()
    local m = Nearest():fit(x, y)
    assert.same({ -3, 7, 40 }, m.classes:totable())
    assert.same(y, m:predict(x):totable())
    assert.equal("i64", m:predict(x).dtype)
    assert.equal(1.0, m:score(x, y))
    assert.near(5 / 6, m:score(x, { 7, 7, -3, -3, 40, 7 }), 1e-15)
    assert.near(0.5, m:score(x, { 7, 7, -3, -3, 40, 7 }, { weights = { 1, 1, 1, 1, 1, 5 } }), 1e-15)
    local big = math.maxinteger
    m:fit(x, { big, big, big - 1, big - 1, math.mininteger, math.mininteger })
    assert.same({ math.mininteger, big - 1, big }, m.classes:totable())
    assert.equal(big, m:predict(x)[1]:item())
  end)

  it("takes tensors of labels, and many classes", function()
    local m = Nearest():fit(x, mare.tensor({ 1, 1, 0, 0, 2, 2 }, "u8"))
    assert.same({ 0, 1, 2 }, m.classes:totable())
    local n = 300
    local rows = mare.arange(1, n, "f64"):reshape(n, 1)
    local labels = mare.arange(1, n, "i64") * -7
    m:fit(rows, labels)
    assert.equal(n, m.classes:size(1))
    assert.is_true(m.classes:eq((labels:sort(1))):all():item() ~= 0)
    assert.same({ -7, -70 }, { m:predict(rows)[1]:item(), m:predict(rows)[10]:item() })
  end)

  it("gives probabilities, their logarithms and a decision", function()
    local m = Nearest():fit(x, y)
    local p = m:predict_proba(x)
    assert.same({ 6, 3 }, p.shape)
    for _, s in ipairs(p:sum(2):totable()) do assert.near(1, s, 1e-12) end
    assert.near(0, (p:log() - m:predict_log_proba(x)):abs():max():item(), 1e-9)
    assert.same({ 6, 3 }, m:decision(x).shape)
    local two = x:narrow(1, 1, 4)
    m:fit(two, { 1, 1, 2, 2 })
    local d = m:decision(two)
    assert.same({ 4 }, d.shape)
    assert.near(0, (d:sigmoid() - m:predict_proba(two):select(2, 2)):abs():max():item(), 1e-12)
  end)

  it("has a threshold between two classes", function()
    local two = x:narrow(1, 1, 4) / 10
    local p = Nearest():fit(two, { 1, 1, 2, 2 }):predict_proba(two):select(2, 2)
    local t = p:sort(1)[3]:item() + 1e-9
    local m = Nearest { threshold = t }:fit(two, { 1, 1, 2, 2 })
    assert.equal(1, m:predict(two):eq(2):sum():item())
    assert.same({ 2, 2, 2, 2 }, Nearest { threshold = 0 }:fit(two, { 1, 1, 2, 2 }):predict(two):totable())
    assert.same({ 1, 1, 1, 1 }, Nearest { threshold = 1 }:fit(two, { 1, 1, 2, 2 }):predict(two):totable())
  end)

  it("meets new labels in partial_fit", function()
    local m = Nearest():partial_fit(x:narrow(1, 1, 2), { 7, 7 })
    assert.same({ 7 }, m.classes:totable())
    m:partial_fit(x:narrow(1, 3, 2), { -3, -3 })
    assert.same({ { 5.5, 5 }, { 0.5, 0 } }, m.means:totable())
    m = Nearest():partial_fit(x, y, { classes = { 99 } })
    assert.same({ -3, 7, 40, 99 }, m.classes:totable())
    fails("Slope has no partial_fit", function() Slope():partial_fit(x, x) end)
  end)

  it("with a decision alone has no probabilities", function()
    local m = Counter():fit(mare.tensor({ { 1, 2 }, { 9, 9 } }, "i64"), { 4, 8 })
    assert.same({ 10, 11 }, m.total:totable())
    assert.same({ 4, 8 }, m:predict(mare.tensor({ { 1, 2 }, { 9, 9 } }, "u8")):totable())
    fails("'predict_proba' needs probabilities", m.predict_proba, m, x)
    fails("'predict_log_proba' needs probabilities", m.predict_log_proba, m, x)
  end)
end)

describe("inputs", function()
  it("are refused with the reason", function()
    local m = Nearest():fit(x, y)
    local nan, inf = math.abs(0 / 0), math.huge
    fails("bad argument #1 to 'fit' (tensor expected, got table)", m.fit, m, { 1 }, y)
    fails("a matrix (rows, columns) expected, got shape 6", m.fit, m, x:select(2, 1), y)
    fails("no values (shape 0x2)", m.fit, m, mare.zeros(0, 2), {})
    fails("no values (shape 2x0)", m.predict, m, mare.zeros(2, 0))
    fails("3 columns (shape 1x3); the model was fitted to 2", m.predict, m, mare.zeros(1, 3))
    fails("nan in row 2, column 1; finite values expected", m.fit, m,
      mare.tensor { { 1, 2 }, { nan, 3 } }, { 1, 2 })
    fails("inf in row 1, column 2", m.predict, m, mare.tensor({ { 1, inf } }, "f64"))
    fails("got i64; convert it with :to", m.predict, m, x:to "i64")
    fails("closed tensor", function()
      local t = mare.zeros(1, 2)
      t:close()
      m:predict(t)
    end)
    fails("bad argument #2 to 'fit' (tensor expected, got nil)", m.fit, m, x)
    fails("labels are whole numbers; #2 is 1.5", m.fit, m, x, { 1, 1.5, 1, 1, 1, 1 })
    fails("#1 is string", m.fit, m, x, { "a", 1, 1, 1, 1, 1 })
    fails("got f32 tensor; convert them with :to", m.fit, m, x, mare.ones(6))
    fails("5 labels for 6 rows", m.fit, m, x, { 1, 2, 3, 4, 5 })
    fails("one label a row (n) expected, got shape 6x1", m.fit, m, x, mare.ones({ 6, 1 }, "i64"))
    fails("all labels are 4; NearestMean needs at least two classes", m.fit, m, x, { 4, 4, 4, 4, 4, 4 })
    fails("unknown option 'weight'; did you mean 'weights'? known: classes, weights", m.fit, m, x, y, { weight = {} })
    fails("weights: shape 2 for 6 rows", m.fit, m, x, y, { weights = { 1, 2 } })
    local function weighted(...) m:fit(x, y, { weights = ... }) end
    fails("weights are finite and not negative; #6 is -1", weighted, { 1, 1, 1, 1, 1, -1 })
    fails("weights are finite and not negative; #5 is nan", weighted, { 1, 1, 1, 1, nan, 1 })
    fails("weights are finite and not negative; #1 is inf", weighted, { 1 / 0, 1, 1, 1, 1, 1 })
    fails("argument #3 to 'fit' (weights: number expected, got string at [2]", weighted, { 1, "a" })
    fails("argument #3 to 'fit' (weights: tensor or list expected, got number", weighted, 3)
    fails("table of options expected, got f32 tensor", m.fit, m, x, y, mare.ones(6))
    local r = mare.models.Ridge()
    fails("argument #2 to 'fit' (number expected, got string at [2]", r.fit, r, x, { 1, "a" })
    fails("the weights are all zero", m.fit, m, x, y, { weights = { 0, 0, 0, 0, 0, 0 } })
    fails("bad argument #2 to 'score' (2 labels for 6 rows)", m.score, m, x, { 1, 2 })
  end)

  it("may be views, images, and tensors that require a gradient", function()
    local wide = mare.zeros({ 6, 4 }, "f64")
    wide:narrow(2, 2, 2):copy_(x)
    assert.same(y, Nearest():fit(wide:narrow(2, 2, 2), y):predict(x):totable())
    assert.same(y, Nearest():fit(x:clone():requires_grad(), y):predict(x):totable())
    local images = mare.tensor({ { { 0, 255 }, { 0, 51 } }, { { 255, 0 }, { 0, 0 } } }, "u8")
    local m = Nearest():fit(images, { 1, 2 })
    assert.equal(4, m.learned.features)
    assert.near(0.2, m.means[{ 1, 4 }]:item(), 1e-7)
    assert.same({ 1, 2 }, m:predict(images):totable())
  end)

  it("of a regressor are numbers", function()
    local rows = mare.tensor({ { 1 }, { 2 }, { 3 } }, "f64")
    local m = Slope():fit(rows, { 2, 4, 6 })
    assert.same({ 2, 4, 6 }, m:predict(rows):totable())
    assert.equal(1.0, m:score(rows, { 2, 4, 6 }))
    assert.near(1 - 3 / 2, m:score(rows, { 1, 3, 5 - 2 }, { weights = { 1, 1, 0 } }) - 0.0, 2)
    fails("targets 2 for 3 rows", m.fit, m, rows, { 1, 2 })
    fails("target 2 is not finite", m.fit, m, rows, { 1, math.huge, 2 })
    fails("bad argument #2 to 'fit' (tensor expected, got nil)", m.fit, m, rows)
  end)
end)

describe("a fit", function()
  it("that fails leaves what was learned", function()
    local m = Nearest():fit(x, y)
    local means = m.means
    broken = true
    assert.is_false(pcall(m.fit, m, x * 2, y))
    broken = false
    assert.is_false(pcall(m.fit, m, x * 2, { 1 }))
    assert.equal(means, m.means)
    assert.same(y, m:predict(x):totable())
  end)

  it("is needed before what uses it", function()
    local m = Nearest()
    for _, name in ipairs { "predict", "predict_proba", "predict_log_proba", "decision", "score" } do
      fails(("NearestMean: '%s' needs a fitted model; call fit first"):format(name), m[name], m, x, y)
    end
    fails("'save' needs a fitted model", m.save, m, "x")
    assert.is_nil(m.means)
  end)

  it("outlives the scope it was made in", function()
    local m = Nearest()
    do
      local s <close> = mare.scope() -- luacheck: ignore
      m:fit(x, y)
    end
    assert.same(y, m:predict(x):totable())
  end)

  it("frees its temporaries", function()
    collectgarbage()
    local m = Nearest():fit(x, y)
    m:predict(x):close() -- small tensors of the model that it shares get storages
    collectgarbage "stop"
    local before = mare.memory().live
    for _ = 1, 10 do m:predict(x):close() end
    local after = mare.memory().live
    collectgarbage "restart"
    assert.equal(before, after)
  end)
end)

describe("a file", function()
  local bytes = Nearest { scale = 1 / 3, names = { "a", 2, x = true }, label = "{};" }:fit(x, y):save(nil)

  it("holds settings and what was learned", function()
    local m = assert(models.load { string = bytes })
    assert.same({ 1 / 3, "{};" }, { m.scale, m.label })
    assert.same({ "a", 2, x = true }, m.names)
    assert.same(y, m:predict(x):totable())
    assert.same({ 6, "a", 2 }, { m.count, m.parts[1].name, m.parts[1].w:sum():item() })
    assert.is_true(models.is_estimator(m))
    assert.is_false(models.is_estimator {})
  end)

  it("may be one on disk", function()
    local path = os.tmpname()
    assert(Nearest():fit(x, y):save(path))
    assert.same(y, assert(models.load(path)):predict(x):totable())
    os.remove(path)
    local m, message = models.load(path)
    assert.is_nil(m)
    assert.truthy(message:find(path, 1, true))
  end)

  it("that is cut off, or lies, is refused", function()
    for n = 0, #bytes - 1, 7 do assert.is_nil((models.load { string = bytes:sub(1, n) })) end
    local function lying(change, expected)
      local tensors, texts = assert(mare.load { string = bytes })
      change(tensors, texts)
      local m, message = models.load { string = mare.save(nil, tensors, texts) }
      assert.is_nil(m)
      assert.truthy(message:find(expected, 1, true), message)
    end
    lying(function(t) t["learned.means"] = nil end, "means is missing")
    lying(function(t) t["learned.means"] = mare.ones({ 3, 5 }, "f64") end, "shape 3x5; d is 2")
    lying(function(t) t["learned.means"] = mare.ones(3, 2) end, "means is f32 3x2, not f64 k d")
    lying(function(t) t["learned.means"] = mare.full({ 3, 2 }, 0 / 0, "f64") end, "nan")
    lying(function(t) t["learned.classes"] = mare.tensor({ 1, 3, 2 }, "i64") end, "do not ascend")
    lying(function(t) t["learned.other"] = mare.ones(1) end, "other is unexpected")
    lying(function(t) t["learned.means.x"] = mare.ones(1) end, "")
    lying(function(_, s) s["learned.features"] = "i3;" end, "d is")
    lying(function(_, s) s["learned.features"] = "n0.5;" end, "number of features is missing")
    lying(function(_, s) s["learned.count"] = "s1:a" end, "count is a string, not a number")
    lying(function(_, s) s["settings.scale"] = "i0;" end, "scale: 0 is not above 0")
    lying(function(_, s) s["settings.scale"] = "i0" end, "'settings.scale' cannot be read")
    lying(function(_, s) s["settings.label"] = "s9:abc" end, "cannot be read")
    lying(function(_, s) s["settings.names"] = ("{i1;"):rep(50) end, "cannot be read")
    lying(function(_, s) s["settings.other"] = "t" end, "unknown setting 'other'")
    lying(function(_, s) s.estimator = "NearestMeen" end, "unknown estimator 'NearestMeen'")
    lying(function(_, s) s.estimator = nil end, "not the file of an estimator")
    lying(function(_, s) s.format = "mare.model 9" end, "format 'mare.model 9', not 'mare.model 1'")
  end)

  it("never crashes its reader", function()
    mare.seed(3)
    for _ = 1, 300 do
      local at = mare.randint(1, #bytes, { 1 })[1]:item()
      local changed = bytes:sub(1, at - 1) .. string.char(mare.randint(0, 255, { 1 })[1]:item()) ..
        bytes:sub(at + 1)
      local ok, m = pcall(models.load, { string = changed })
      assert.is_true(ok, m)
      if m then pcall(m.predict, m, x) end
    end
  end)
end)

describe("words", function()
  it("show settings and what was learned", function()
    local m = Nearest { names = { "a", "b" } }
    assert.truthy(tostring(m):find("NearestMean, not fitted\n  settings  label            none", 1, true))
    m:fit(x, y)
    local text = tostring(m)
    assert.truthy(text:find("fitted to 2 columns", 1, true))
    assert.truthy(text:find("means            f64 3x2", 1, true))
    assert.truthy(text:find("names            { a, b }", 1, true))
  end)

  it("name the estimators there are", function()
    fails("did you mean 'Nearestt'", function()
      return check.fail(check.unknown("estimator", "Nearest", { "Nearestt" }))
    end)
    fails("mare.models: unknown estimator 'Nothing'", function() return models.Nothing end)
    assert.is_nil(models.nothing)
  end)
end)
