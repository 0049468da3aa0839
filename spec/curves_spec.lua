-- curves_spec.lua -- metrics over thresholds, bins and ranks, against scikit-learn 1.2.1.

local mare = require "mare"
local support = require "spec.support"

local metrics = mare.metrics
local s = mare.tensor({ 0.5, 0.7, 0.6, 0.5, 0.4, 0.6, 0.4, 0.9, 1.0, 0.4, 0.8, 0.5 }, "f64")
local y = mare.tensor({ 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 2, 1 }, "i64")
local p = mare.tensor({ 0.118, 0.64, 0.143, 0.945, 0.522, 0.415, 0.265, 0.774, 0.456, 0.568, 0.019,
  0.618, 0.612, 0.617, 0.944, 0.682, 0.36, 0.437, 0.698, 0.06, 0.667, 0.671, 0.21, 0.129, 0.315, 0.364,
  0.57, 0.439, 0.988, 0.102 }, "f64")
local happened = mare.tensor({ 1, 2, 1, 2, 2, 2, 2, 2, 1, 2, 1, 2, 1, 2, 2, 2, 1, 1, 1, 1, 1, 2, 1, 2, 2, 2,
  2, 2, 2, 1 }, "i64")

local function agrees(got, want, what) support.same(support.flat(got), want, 1e-12, what) end

describe("curves", function()
  it("roc_curve", function()
    local fpr, tpr, at = metrics.roc_curve(s, y)
    agrees(fpr, { 0, 0.125, 0.25, 0.25, 0.375, 0.5, 0.75, 1 }, "fpr")
    agrees(tpr, { 0, 0, 0, 0.25, 0.25, 0.5, 0.75, 1 }, "tpr")
    agrees(at, { math.huge, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4 }, "thresholds")
    local area = 0
    for i = 2, #fpr do
      area = area + (fpr[i]:item() - fpr[i - 1]:item()) * (tpr[i]:item() + tpr[i - 1]:item()) / 2
    end
    assert.near(metrics.roc_auc(s, y), area, 1e-12)
    fpr = metrics.roc_curve(s, y:eq(2))
    agrees(fpr, { 0, 0.125, 0.25, 0.25, 0.375, 0.5, 0.75, 1 }, "fpr of a mask")
  end)

  it("precision_recall_curve and average_precision", function()
    local precision, recall, at = metrics.precision_recall_curve(s, y)
    agrees(precision, { 1 / 3, 1 / 3, 1 / 3, 0.25, 1 / 3, 0, 0, 1 }, "precision")
    agrees(recall, { 1, 0.75, 0.5, 0.25, 0.25, 0, 0, 0 }, "recall")
    agrees(at, { 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1 }, "thresholds")
    assert.near(1 / 3, metrics.average_precision(s, y), 1e-12)
    assert.near(1, metrics.average_precision(mare.tensor { 1, 3, 2 }, mare.tensor({ 1, 2, 2 }, "i64")),
      1e-12)
  end)

  it("calibration_curve and brier", function()
    local share, mean, count = metrics.calibration_curve(p, happened, 5)
    agrees(share, { 1 / 6, 0.6, 5 / 7, 2 / 3, 1 }, "shares")
    agrees(mean, { 0.571 / 6, 0.3028, 3.407 / 7, 0.664333333333333333, 0.959 }, "means")
    agrees(count, { 6, 5, 7, 9, 3 }, "counts")
    assert.near(0.2015493333333333, metrics.brier(p, happened), 1e-12)
    share, mean, count = metrics.calibration_curve(mare.tensor { 1, 0 }, mare.tensor({ 2, 1 }, "i64"))
    agrees(share, { 0, 1 }, "ends")
    agrees(mean, { 0, 1 }, "ends")
    agrees(count, { 1, 1 }, "ends")
  end)

  it("ndcg", function()
    local scores = mare.tensor { { 0.57, 0.27, 0.52, 0.09, 0.58, 0.93 },
      { 0.32, 0.67, 0.13, 0.72, 0.29, 0.18 }, { 0.59, 0.02, 0.83, 0, 0.68, 0.27 } }
    local relevance = mare.tensor({ { 2, 3, 1, 0, 0, 0 }, { 3, 3, 0, 2, 2, 0 }, { 0, 3, 0, 1, 2, 0 } }, "i64")
    assert.near(0.6845508977505014, metrics.ndcg(scores, relevance), 1e-9)
    assert.near(0.4633818494507416, metrics.ndcg(scores, relevance, 3), 1e-9)
    assert.near(1, metrics.ndcg(mare.tensor { 3, 2, 1 }, mare.tensor { 5, 1, 0 }), 1e-12)
    assert.equal(0, metrics.ndcg(mare.tensor { 3, 2, 1 }, mare.tensor { 0, 0, 0 }))
    scores = mare.tensor { { 2, 2, 2, 1, 1, 0 }, { 5, 5, 5, 5, 5, 5 } } -- equal ones share places
    relevance = mare.tensor { { 0, 3, 1, 2, 0, 4 }, { 3, 2, 1, 0, 0, 0 } }
    assert.near(0.6940692147270526, metrics.ndcg(scores, relevance), 1e-12)
    assert.near(0.37585150935254874, metrics.ndcg(scores, relevance, 2), 1e-12)
  end)

  it("take scores and labels of two classes alike, all of them", function()
    local names = { "roc_auc", "log_loss", "average_precision", "brier", "roc_curve",
      "precision_recall_curve", "calibration_curve" }
    local function values(name, target)
      local list = table.pack(metrics[name](s, target))
      for i, v in ipairs(list) do list[i] = mare.is_tensor(v) and v:totable() or v end
      return list
    end
    local low = y:min():item()
    local mask = y:ne(low)
    for _, name in ipairs(names) do
      local wanted = values(name, mask)
      for _, pair in ipairs { { 1, 2 }, { 0, 1 }, { -1, 1 }, { 7, 90 } } do
        local labels = mare.where(mask, mare.full({ 12 }, pair[2], "i64"), mare.full({ 12 }, pair[1], "i64"))
        assert.same(wanted, values(name, labels))
        if pair[1] >= 1 then assert.same(wanted, values(name, labels:to "u8")) end
      end
      local function bad(text, ...)
        local args = { ... }
        support.fails("curves_spec.lua", function() return (metrics[name](table.unpack(args))) end,
          text:format(name))
      end
      bad("bad argument #2 to '%s' (labels of two classes expected, got more)", s, mare.arange(1, 12, "i64"))
      bad("bad argument #2 to '%s' (labels of two classes expected, got only 0; 1 and 2 or a u8 mask " ..
        "say which class it is)", s, mare.zeros({ 12 }, "i64"))
      bad("bad argument #2 to '%s' (11 labels for 12 scores)", s, y:narrow(1, 1, 11))
      bad("bad argument #2 to '%s' (labels or a u8 mask (n) expected, got f64 of shape 12)", s, s)
      bad("bad argument #2 to '%s' (tensor expected, got nil)", s)
      bad("bad argument #1 to '%s' (score 1 is nan)", s * (0 / 0), y)
      bad("bad argument #1 to '%s' (scores (n) ", mare.zeros(0), mare.zeros({ 0 }, "i64"))
    end
    for label = 1, 2 do -- one class alone is the same as a mask of it
      local labels = mare.full({ 12 }, label, "i64")
      assert.equal(metrics.brier(s, labels:eq(2)), metrics.brier(s, labels))
      assert.equal(metrics.log_loss(s, labels:eq(2)), metrics.log_loss(s, labels))
    end
  end)

  it("refuse what they cannot measure", function()
    local function bad(text, f, ...)
      local args = { ... }
      support.fails("curves_spec.lua", function() return (f(table.unpack(args))) end, text)
    end
    bad("'roc_curve' (only one class occurs)", metrics.roc_curve, s, mare.ones({ 12 }, "i64"))
    bad("'roc_curve' (11 labels for 12 scores)", metrics.roc_curve, s, y:narrow(1, 1, 11))
    bad("labels of two classes expected, got more", metrics.roc_curve, s, mare.arange(1, 12, "i64"))
    bad("labels or a u8 mask (n) expected, got f64", metrics.roc_curve, s, s)
    bad("score 1 is nan", metrics.average_precision, s * (0 / 0), y)
    bad("no positive one occurs", metrics.average_precision, s, y:eq(7))
    bad("probabilities between 0 and 1 expected", metrics.calibration_curve, s * 2, y)
    bad("relevances are finite and not negative", metrics.ndcg, s, -s)
    bad("relevances are finite and not negative", metrics.ndcg, s, s * (0 / 0))
    bad("a score is nan", metrics.ndcg, s * (0 / 0), s)
    bad("of one shape expected, got 1x12 and 1x11", metrics.ndcg, s, s:narrow(1, 1, 11))
  end)
end)
