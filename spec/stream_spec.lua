-- stream_spec.lua -- metrics over batches have the values of all rows at once.

local mare = require "mare"
local support = require "spec.support"
local metrics = mare.metrics

local here = "stream_spec.lua:"

local function fails(f, ...) support.fails(here, f, ...) end

mare.seed(11)
local n = 103
local scores = mare.randn({ n, 4 }, "f64")
local labels = mare.randint(1, 4, { n }, "i64")
local values, targets = mare.randn({ n, 2 }, "f64") + 1000, mare.randn({ n, 2 }, "f64") + 1000
local chance, mask = mare.rand({ n }, "f64"), mare.randint(0, 1, { n }, "i64"):to "u8"

-- Calls update with batches of some size of p and t.
local function feed(s, p, t, size)
  for first = 1, n, size do
    local count = math.min(size, n - first + 1)
    s:update(p:narrow(1, first, count), t:narrow(1, first, count))
  end
  return s
end

describe("a stream", function()
  for _, size in ipairs { 1, 7, 50, 103 } do
    it("has the values of all rows at once, batches of " .. size, function()
      local s = feed(metrics.stream { "accuracy", { "top_k", 2 }, "confusion", "precision", "recall", "f1",
        micro = { "f1", { average = "micro" } }, second = { "precision", { positive = 2 } } }, scores, labels, size)
      local v = s:value()
      assert.equal(metrics.accuracy(scores, labels), v.accuracy)
      assert.equal(metrics.top_k(scores, labels, 2), v.top_k)
      assert.equal(metrics.confusion(scores, labels).counts:tobytes(), v.confusion.counts:tobytes())
      for _, name in ipairs { "precision", "recall", "f1" } do
        assert.equal(metrics[name](scores, labels), v[name])
      end
      assert.equal(metrics.f1(scores, labels, { average = "micro" }), v.micro)
      assert.equal(metrics.precision(scores, labels, { positive = 2 }), s:value "second")
      assert.equal(n, #s)

      v = feed(metrics.stream { "mse", "mae", "r2" }, values, targets, size):value()
      for _, name in ipairs { "mse", "mae", "r2" } do
        assert.near(metrics[name](values, targets), v[name], 1e-12)
      end

      v = feed(metrics.stream { "log_loss" }, scores:softmax(2), labels, size):value()
      assert.near(metrics.log_loss(scores:softmax(2), labels), v.log_loss, 1e-12)

      v = feed(metrics.stream { "roc_auc", "average_precision", "roc_curve" }, chance, mask, size):value()
      assert.equal(metrics.roc_auc(chance, mask), v.roc_auc)
      assert.equal(metrics.average_precision(chance, mask), v.average_precision)
      for i, t in ipairs { metrics.roc_curve(chance, mask) } do
        assert.equal(t:tobytes(), v.roc_curve[i]:tobytes())
      end
    end)
  end

  it("does ndcg, brier and functions of one's own", function()
    local relevance = mare.randint(0, 3, { n, 4 }, "i64"):to "f64"
    local v = feed(metrics.stream { "ndcg", worst = function(p, t) return (p - t):abs():max():item() end },
      scores, relevance, 10):value()
    assert.equal(metrics.ndcg(scores, relevance), v.ndcg)
    assert.equal((scores - relevance):abs():max():item(), v.worst)
    assert.near(metrics.brier(chance, mask), feed(metrics.stream "brier", chance, mask, 9):value "brier", 1e-12)
  end)

  it("knows r2 of a constant target", function()
    local s = metrics.stream "r2"
    s:update(mare.ones(3), mare.ones(3)):update(mare.ones(2), mare.ones(2))
    assert.equal(1, s:value "r2")
    s:update(mare.zeros(2), mare.ones(2))
    assert.equal(0, s:value "r2")
  end)

  it("begins again after reset", function()
    local s = feed(metrics.stream { "accuracy", "r2" }, labels, labels, 10)
    assert.equal(1, s:value "accuracy")
    assert.equal("metrics over 103 rows: accuracy, r2", tostring(s))
    s:reset()
    assert.equal(0, #s)
    fails(function() s:value() end, "'value' needs a batch")
    s:update(mare.tensor({ 1, 2 }, "i64"), mare.tensor({ 1, 1 }, "i64"))
    assert.equal(0.5, s:value "accuracy")
  end)

  it("survives scopes and keeps no batch", function()
    local s = metrics.stream { "roc_auc", "r2" }
    local p, t = mare.tensor { 0.2, 0.7 }, mare.tensor({ 1, 2 }, "i64")
    for _ = 1, 2 do
      local _ <close> = mare.scope()
      s:update(p * 1, t * 1)
    end
    assert.equal(1, s:value "roc_auc")
    local plain = metrics.stream { "accuracy", "mse" }
    local before = mare.memory().live
    for _ = 1, 20 do
      local _ <close> = mare.scope()
      plain:update(mare.ones({ 1000 }, "i64"), mare.ones({ 1000 }, "i64"))
    end
    assert.is_true(mare.memory().live - before < 1000)
  end)

  it("stays as it was when a batch is refused", function()
    local s = metrics.stream { "accuracy", "mse" }
    local one = mare.tensor({ 1 }, "i64")
    s:update(one, one)
    fails(function() s:update(mare.tensor { { 0.9, 0.1 } }, one) end, "'mse'", "shapes 1x2 and 1 differ")
    assert.equal(1, #s)
    assert.equal(1, s:value "accuracy")
  end)

  it("says what is wrong", function()
    fails(function() metrics.stream() end, "bad argument #1 to 'stream'", "got nil")
    fails(function() metrics.stream {} end, "an empty one")
    fails(function() metrics.stream { "acuracy" } end, "unknown metric 'acuracy'; known: accuracy")
    fails(function() metrics.stream { "stream" } end, "unknown metric 'stream'")
    fails(function() metrics.stream { { 3 } } end, "unknown metric '3'")
    fails(function() metrics.stream { "f1", "f1" } end, "two metrics 'f1'")
    local s = metrics.stream { "accuracy", "roc_auc" }
    fails(function() s:update(3, labels) end, "bad argument #1 to 'update' (tensor expected, got number)")
    fails(function() s:update(labels, labels:narrow(1, 1, 5)) end, "targets 5 for predictions 103")
    fails(function() s:update(mare.zeros({ 0 }, "i64"), mare.zeros({ 0 }, "i64")) end, "no rows")
    s:update(scores, labels)
    fails(function() s:update(labels, labels) end, "rows of i64 scalar after rows of f64 4")
    fails(function() s:value "f1" end, "unknown metric 'f1'; known: accuracy, roc_auc")
    local r = metrics.stream "r2"
    r:update(values, targets)
    fails(function() r:update(chance, chance) end, "1 columns after batches of 2")
    local zero_one = mare.tensor({ 0, 1, 1 }, "i64") -- a batch of ones alone would be of class 1
    for _, name in ipairs { "brier", "log_loss" } do
      local b = metrics.stream(name)
      fails(function() b:update(mare.tensor { 0.1, 0.7, 0.8 }, zero_one) end,
        "of batches, labels 1 and 2 or a u8 mask expected, got 0")
      b:update(mare.tensor { 0.1 }, zero_one:narrow(1, 1, 1) + 1)
      b:update(mare.tensor { 0.7, 0.8 }, zero_one:narrow(1, 2, 2) + 1)
      assert.near(metrics[name](mare.tensor { 0.1, 0.7, 0.8 }, zero_one), b:value(name), 1e-9)
    end
    fails(function() feed(metrics.stream { { "f1", { avrage = "micro" } } }, labels, labels, 50) end, "'avrage'")
    fails(function() metrics.confusion(labels, labels):merge(3) end, "confusion table expected")
  end)
end)

it("tables of confusions merge", function()
  local a = metrics.confusion(mare.tensor({ 1, 2 }, "i64"), mare.tensor({ 1, 1 }, "i64"))
  local b = metrics.confusion(mare.tensor({ 3 }, "i64"), mare.tensor({ 1 }, "i64"), { names = { "a", "b", "c" } })
  assert.same({ { 1, 1, 1 }, { 0, 0, 0 }, { 0, 0, 0 } }, a:merge(b).counts:totable())
  assert.same({ "a", "b", "c" }, a:merge(b).names)
  assert.same({ "a", "b", "c" }, b:merge(a).names)
end)
