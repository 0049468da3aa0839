-- metrics_spec.lua -- metrics, against scikit-learn's definitions worked out by hand.

local mare = require "mare"
local metrics = mare.metrics

local function labels(v) return mare.tensor(v, "i64") end

local truth = labels { 1, 1, 1, 2, 2, 3, 3, 3, 3, 1 }
local guess = labels { 1, 2, 1, 2, 2, 3, 1, 3, 2, 1 }
-- counts, rows true:   1: 3 1 0   2: 0 2 0   3: 1 1 2
local precision = { 3 / 4, 2 / 4, 2 / 2 }
local recall = { 3 / 4, 2 / 2, 2 / 4 }
local f1 = { 6 / 8, 4 / 6, 4 / 6 }

local function mean(t) return (t[1] + t[2] + t[3]) / 3 end

describe("metrics of classes", function()
  it("accuracy counts from labels and from scores", function()
    assert.near(0.7, metrics.accuracy(guess, truth), 1e-12)
    local scores = mare.tensor { { 0.1, 0.9 }, { 0.8, 0.2 }, { 0.3, 0.7 }, { 0.6, 0.4 } }
    assert.equal(0.75, metrics.accuracy(scores, labels { 2, 1, 1, 1 }))
    local onehot = mare.tensor { { 0, 1 }, { 1, 0 }, { 1, 0 }, { 1, 0 } }
    assert.equal(0.75, metrics.accuracy(scores, onehot))
    assert.equal("float", math.type(metrics.accuracy(guess, guess)))
  end)

  it("top_k looks at the k highest", function()
    local scores = mare.tensor { { 5, 4, 3, 2 }, { 1, 2, 3, 4 }, { 1, 9, 8, 2 } }
    local y = labels { 2, 1, 3 }
    assert.near(0, metrics.top_k(scores, y, 1), 1e-12)
    assert.near(2 / 3, metrics.top_k(scores, y, 2), 1e-12)
    assert.near(1, metrics.top_k(scores, y), 1e-12)
  end)

  it("confusion counts", function()
    local c = metrics.confusion(guess, truth)
    assert.same({ { 3, 1, 0 }, { 0, 2, 0 }, { 1, 1, 2 } }, c.counts:totable())
    assert.equal("i64", c.counts.dtype)
    assert.near(0.7, c:accuracy(), 1e-12)
    assert.same({ 4, 4 }, metrics.confusion(guess, truth, { classes = 4 }).counts.shape)
  end)

  it("confusion prints as a table", function()
    local c = metrics.confusion(guess, truth, { names = { "cat", "dog", "owl" } })
    assert.equal(table.concat({
      "    truth  cat  dog  owl   recall   (columns: predicted)",
      "      cat    3    1    .    0.750",
      "      dog    .    2    .    1.000",
      "      owl    1    1    2    0.500",
      "precision 0.75 0.50 1.00    0.700 accuracy",
    }, "\n"), tostring(c))
  end)

  it("precision, recall and f1 average over classes in four ways", function()
    assert.near(mean(precision), metrics.precision(guess, truth), 1e-12)
    assert.near(mean(recall), metrics.recall(guess, truth), 1e-12)
    assert.near(mean(f1), metrics.f1(guess, truth), 1e-12)
    assert.near(0.7, metrics.f1(guess, truth, { average = "micro" }), 1e-12)
    local weighted = (4 * f1[1] + 2 * f1[2] + 4 * f1[3]) / 10
    assert.near(weighted, metrics.f1(guess, truth, { average = "weighted" }), 1e-12)
    assert.same(precision, metrics.precision(guess, truth, { average = "none" }):totable())
    assert.near(precision[2], metrics.precision(guess, truth, { positive = 2 }), 1e-12)
  end)

  it("0/0 counts as 0", function()
    assert.equal(0, metrics.precision(labels { 1, 1 }, labels { 2, 1 }, { positive = 2 }))
    assert.equal(0, metrics.f1(labels { 1, 1 }, labels { 1, 1 }, { positive = 3, classes = 3 }))
  end)
end)

describe("metrics of probabilities", function()
  it("log_loss", function()
    local p = mare.tensor({ { 0.7, 0.2, 0.1 }, { 0.1, 0.1, 0.8 } }, "f64")
    assert.near(-(math.log(0.2) + math.log(0.8)) / 2, metrics.log_loss(p, labels { 2, 3 }), 1e-12)
    local one = mare.tensor({ 0.9, 0.2, 1 }, "f64")
    local want = -(math.log(0.9) + math.log(0.8) + 0) / 3
    assert.near(want, metrics.log_loss(one, labels { 2, 1, 2 }), 1e-12)
    assert.near(want, metrics.log_loss(one, mare.tensor({ 1, 0, 1 }, "u8")), 1e-12)
    assert.near(-math.log(1e-15), metrics.log_loss(mare.tensor({ 0 }, "f64"), labels { 2 }), 1e-9)
  end)

  it("roc_auc counts pairs, ties as a half", function()
    local s = mare.tensor { 0.1, 0.4, 0.35, 0.8 }
    assert.equal(0.75, metrics.roc_auc(s, labels { 1, 1, 2, 2 }))
    assert.equal(0.75, metrics.roc_auc(s, mare.tensor({ 0, 0, 1, 1 }, "u8")))
    assert.equal(0.5, metrics.roc_auc(mare.zeros(4), labels { 1, 2, 2, 1 }))
    local ties = mare.tensor { 1, 2, 2, 3 } -- pairs: 2>1, 3>1, 2=2 (half), 3>2
    assert.equal(3.5 / 4, metrics.roc_auc(ties, labels { 1, 1, 2, 2 }))
  end)

  it("roc_auc of several classes is the mean of each against the rest", function()
    local s = mare.tensor { { 0.9, 0.1, 0 }, { 0.2, 0.7, 0.1 }, { 0.3, 0.3, 0.4 },
      { 0.5, 0.2, 0.3 } }
    local y = labels { 1, 2, 3, 3 }
    local each = 0
    for c = 1, 3 do each = each + metrics.roc_auc(s:select(2, c), y:eq(c)) end
    assert.near(each / 3, metrics.roc_auc(s, y), 1e-12)
  end)
end)

describe("metrics of values", function()
  local p, t = mare.tensor { 2.5, 0, 2, 8 }, mare.tensor { 3, -0.5, 2, 7 }

  it("mse, mae and r2 (scikit-learn's examples)", function()
    assert.near(0.375, metrics.mse(p, t), 1e-12)
    assert.near(0.5, metrics.mae(p, t), 1e-12)
    assert.near(0.9486081370449679, metrics.r2(p, t), 1e-12)
  end)

  it("r2 is the mean over columns", function()
    local a = mare.tensor { { 0, 2 }, { -1, 2 }, { 8, -5 } }
    local b = mare.tensor { { 0.5, 1 }, { -1, 1 }, { 7, -6 } }
    assert.near(0.9368005266622779, metrics.r2(a, b), 1e-12)
  end)

  it("r2 of a constant target", function()
    assert.equal(1, metrics.r2(mare.ones(3), mare.ones(3)))
    assert.equal(0, metrics.r2(mare.zeros(3), mare.ones(3)))
  end)
end)

describe("metrics refuse", function()
  local function refuses(want, f, ...)
    local args = table.pack(...)
    local ok, text = pcall(function() return (f(table.unpack(args, 1, args.n))) end)
    assert.is_false(ok)
    assert.truthy(text:find("metrics_spec", 1, true), text)
    assert.equal(want, text:match ":%d+: (.*)$")
  end

  it("what does not fit", function()
    refuses("bad argument #2 to 'accuracy' (shapes 10 and 2 differ)", metrics.accuracy, guess,
      labels { 1, 2 })
    refuses("bad argument #1 to 'accuracy' (i64 labels (n) or scores (n, classes) expected, "
      .. "got f32 of shape 10)", metrics.accuracy, mare.zeros(10), truth)
    refuses("bad argument #1 to 'accuracy' (tensor expected, got nil)", metrics.accuracy)
    refuses("bad argument #1 to 'mse' (no values (shape 0))", metrics.mse, mare.zeros(0),
      mare.zeros(0))
    refuses("bad argument #2 to 'confusion' (labels begin at 1)", metrics.confusion,
      labels { 0, 1 }, labels { 1, 1 })
    refuses("bad argument #2 to 'confusion' (label 3 with 2 classes)", metrics.confusion, guess,
      truth, { classes = 2 })
    refuses("bad argument #3 to 'f1' (unknown average 'all'; known: macro, micro, none, "
      .. "weighted)", metrics.f1, guess, truth, { average = "all" })
    refuses("bad argument #3 to 'f1' (unknown option 'avg'; known: average, classes, positive)",
      metrics.f1, guess, truth, { avg = "macro" })
    refuses("bad argument #2 to 'roc_auc' (only one class occurs)", metrics.roc_auc,
      mare.rand(3), labels { 2, 2, 2 })
    refuses("bad argument #2 to 'roc_auc' (label 0; scores are of 2 classes)", metrics.roc_auc,
      mare.rand(3, 2), labels { 0, 1, 1 })
    refuses("bad argument #1 to 'roc_auc' (score 2 is nan)", metrics.roc_auc,
      mare.tensor { 1, 0 / 0 }, labels { 1, 2 })
    refuses("bad argument #2 to 'log_loss' (labels of two classes expected, got more)",
      metrics.log_loss, mare.rand(3), labels { 1, 2, 3 })
    refuses("bad argument #2 to 'top_k' (3 labels for 2 rows)", metrics.top_k, mare.rand(2, 3),
      labels { 1, 2, 3 })
  end)
end)
