-- selection_spec.lua -- cross-validation, search over settings, learning curves.

local mare = require "mare"
local support = require "spec.support"

local models = mare.models
local iris = mare.data.iris()
local x, y = iris.x:to "f64", iris.y

local function classifier(settings) return models.GaussianClassifier(settings or {}) end

describe("cross_validate", function()
  it("judges every row once, by a model that has not seen it", function()
    local seen, fitted = {}, 0
    local cv = models.cross_validate(classifier(), x, y, { folds = 4, scoring = function(m, rows, labels)
      if #rows < 75 then
        for _, row in ipairs(rows:totable()) do
          local key = table.concat(row, " ")
          seen[key] = (seen[key] or 0) + 1
        end
      else
        fitted = fitted + #rows
      end
      return m:score(rows, labels)
    end })
    local rows = 0
    for _, n in pairs(seen) do rows = rows + n end
    assert.equal(150, rows)
    assert.equal(450, fitted)
    assert.equal(4, #cv.scores)
    local mean = (cv.scores[1] + cv.scores[2] + cv.scores[3] + cv.scores[4]) / 4
    assert.near(mean, cv.mean, 1e-12)
    assert.is_true(cv.mean > 0.94 and cv.train_mean >= cv.mean and cv.std < 0.05)
  end)

  it("is the loop by hand", function()
    local cv = models.cross_validate(classifier { covariance = "shared" }, x, y, { folds = 3, seed = 8 })
    local scores = {}
    for train, test in mare.data.dataset(x, y):kfold(3, { stratify = true, seed = 8 }) do
      local m = classifier { covariance = "shared" }:fit(train.x, train.y)
      scores[#scores + 1] = m:score(test.x, test.y)
    end
    assert.same(scores, cv.scores)
  end)

  it("leaves the estimator as it was, and scores by any metric", function()
    local m = classifier()
    local cv = models.cross_validate(m, x, y:totable(), { scoring = "log_loss" })
    assert.is_false(rawget(m, "learned"))
    assert.is_true(cv.mean < 0 and cv.mean > -0.3)
    assert.is_true(models.cross_validate(m, x, y, { scoring = "f1" }).mean > 0.9)
  end)

  it("refuses what it cannot use", function()
    local function bad(text, ...)
      local args = { ... }
      support.fails("selection_spec.lua", function() models.cross_validate(table.unpack(args)) end, text)
    end
    bad("bad argument #1 to 'cross_validate' (estimator expected, got table)", {}, x, y)
    bad("bad argument #3 to 'cross_validate' (GaussianClassifier needs y)", classifier(), x)
    bad("unknown option 'fold'; did you mean 'folds'? known: folds", classifier(), x, y, { fold = 3 })
    bad("whole number of at least 2 expected, got 1", classifier(), x, y, { folds = 1 })
    local known = "; known: accuracy, average_precision, brier, f1, log_loss, mae, mse, ndcg, precision, " ..
      "r2, recall, roc_auc, top_k)"
    local expected = "bad argument #4 to 'cross_validate' (scoring: function(model, x, y) or a metric " ..
      "expected, got "
    for _, name in ipairs { "acc", "confusion", "roc_curve", "stream" } do
      bad(expected .. "'" .. name .. "'" .. known, classifier(), x, y, { scoring = name })
      bad(expected .. "'" .. name .. "'" .. known, classifier(), x, y, { scoring = { name, 3 } })
    end
    bad(expected .. "number" .. known, classifier(), x, y, { scoring = 3 })
    bad(expected .. "nil" .. known, classifier(), x, y, { scoring = {} })
    for _, name in ipairs { "accuracy", "log_loss", "roc_auc", "top_k" } do
      bad("(scoring: '" .. name .. "' is for classifiers, not for Ridge)", models.Ridge(), x, y:to "f64",
        { scoring = name })
    end
    bad("'top_k' (whole number of at least 1 expected, got 0)", classifier(), x, y,
      { scoring = { "top_k", 0 } })
    bad("table of options expected, got number", classifier(), x, y, 5)
  end)

  it("takes labels of any whole numbers, whatever the metric", function()
    for _, scoring in ipairs { "roc_auc", "log_loss", "accuracy", "f1", "precision", "recall" } do
      local function scores(labels)
        return models.cross_validate(classifier(), x, labels, { folds = 3, scoring = scoring }).scores
      end
      assert.same(scores(y), scores(y * (1 << 40) - 20))
    end
    local rare = y:clone()
    rare[7] = 9
    local ok, message = pcall(models.cross_validate, models.NaiveBayes(), x, rare,
      { stratify = false, scoring = "log_loss" })
    assert.is_false(ok)
    assert.truthy(message:find("no row that the model was fitted to has the label 9", 1, true), message)
  end)

  it("counts the labels among the k best, and takes what else a metric does", function()
    local function scores(m, labels, scoring)
      return models.cross_validate(m, x, labels, { folds = 3, scoring = scoring }).scores
    end
    local weak = classifier { covariance = "diagonal", shrinkage = 0.99 }
    local function among(k)
      return function(m, rows, t) return mare.metrics.top_k(m:predict_proba(rows), t, k) end
    end
    for k = 1, 3 do assert.same(scores(weak, y, among(k)), scores(weak, y * 7 - 9, { "top_k", k })) end
    assert.same(scores(weak, y), scores(weak, y, { "top_k", 1 }))
    assert.is_true(scores(weak, y, { "top_k", 1 })[1] < 1)
    assert.same({ 1, 1, 1 }, scores(weak, y, "top_k"))
    local two = y:gt(1):to "i64" + 1
    for _, m in ipairs { models.LinearSVM(), models.OneVsRest { estimator = models.LinearSVM() }, weak } do
      assert.same(scores(m, two), scores(m, two, { "top_k", 1 })) -- without probabilities, too
      assert.same(scores(m, y), scores(m, y, { "top_k", 1 }))
    end
    local function micro(m, rows, t) return mare.metrics.f1(m:predict(rows), t, { average = "micro" }) end
    assert.same(scores(weak, y, micro), scores(weak, y, { "f1", { average = "micro" } }))
  end)

  it("scores ranks and probabilities by what the metric judges", function()
    local rest = y:gt(1) -- versicolor against virginica
    local a, b = x:index_select(1, mare.arange(51, 150, 1, "i64")), y:masked_select(rest) - 1
    local function scores(scoring)
      return models.cross_validate(classifier(), a, b, { seed = 1, scoring = scoring }).scores
    end
    local metrics = mare.metrics
    local function second(m, rows) return m:predict_proba(rows):select(2, 2) end
    local areas, briers = scores "roc_auc", scores "brier"
    for i, v in ipairs(scores(function(m, rows, t) return metrics.roc_auc(second(m, rows), t) end)) do
      assert.near(v, areas[i], 1e-12)
    end
    for i, v in ipairs(scores(function(m, rows, t) return -metrics.brier(second(m, rows), t) end)) do
      assert.near(v, briers[i], 1e-12)
      assert.is_true(v < 0 and v > -0.2)
    end
  end)
end)

describe("grid_search", function()
  it("finds the best settings and fits them to all rows", function()
    local found = models.grid_search(classifier(), { covariance = { "full", "diagonal" },
      shrinkage = { 0, 0.5, 1 } }, x, y, { seed = 3 })
    assert.equal(6, #found.table)
    for i = 2, 6 do assert.is_true(found.table[i - 1].mean >= found.table[i].mean) end
    assert.same(found.table[1].settings, found.settings)
    assert.equal(found.table[1].mean, found.score)
    local again = models.cross_validate(classifier(found.settings), x, y, { seed = 3 })
    assert.equal(again.mean, found.score)
    local m = classifier(found.settings):fit(x, y)
    assert.same(m:predict(x):totable(), found.model:predict(x):totable())
  end)

  it("refuses misspelt settings before any work", function()
    local function bad(text, grid)
      support.fails("selection_spec.lua", function() models.grid_search(classifier(), grid, x, y) end, text)
    end
    bad("covarianse", { covarianse = { "full" } })
    bad("covariance: a list of values expected, got string", { covariance = "full" })
    bad("table of settings expected, got an empty one", {})
  end)

  it("puts settings whose score is nan last", function()
    local found = models.grid_search(classifier(), { shrinkage = { 0, 0.25, 0.5, 0.75, 1 } }, x, y,
      { scoring = function(m) return m.shrinkage < 0.5 and 0 / 0 or m.shrinkage end })
    assert.equal(1, found.settings.shrinkage)
    assert.equal(1, found.score)
    local tail = {}
    for i = 4, 5 do tail[#tail + 1] = found.table[i].settings.shrinkage end
    assert.same({ 0, 0.25 }, tail)
  end)
end)

describe("learning_curve", function()
  it("gains from more rows", function()
    local curve = models.learning_curve(classifier { covariance = "shared" }, x, y,
      { sizes = { 12, 0.5, 1.0 }, seed = 1 })
    assert.same({ 12, 60, 120 }, curve.sizes)
    assert.is_true(curve.test[3] > curve.test[1])
    assert.is_true(curve.train[1] >= curve.test[1])
    local cv = models.cross_validate(classifier { covariance = "shared" }, x, y, { seed = 1 })
    assert.near(cv.mean, curve.test[3], 1e-12)
    assert.near(cv.train_mean, curve.train[3], 1e-12)
  end)

  it("refuses sizes that are not there", function()
    for _, size in ipairs { 0, 1.5, 121, "a" } do
      support.fails("selection_spec.lua", function()
        models.learning_curve(classifier(), x, y, { sizes = { size } })
      end, "fractions up to 1 or numbers up to 120 expected, got " .. size)
    end
  end)
end)
