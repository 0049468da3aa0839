-- selection.lua -- choosing between models by data that they have not seen: cross-validation,
-- search over settings, learning curves.  All work on any estimator and leave the one that
-- they are given as it was.

local mare = require "mare"
local routines = require "mare.core".routines
local check = require "mare.check"
local estimator = require "mare.models.estimator"

local M = {}

-- -- arguments ----------------------------------------------------------------------------

local function check_model(name, model)
  if not estimator.is_estimator(model) then
    check.argument(1, name, "estimator expected, got %s", check.kind(model))
  end
end

-- The rows as a data set.
local function dataset(name, position, model, x, y)
  x = check.tensor(position, name, x)
  if y == nil and model.class.kind ~= "plain" then
    check.argument(position + 1, name, "%s needs y", model.class.name)
  end
  if type(y) == "table" then
    y = check.list(position + 1, name, y, model.class.kind == "classifier" and "i64" or "f64")
  end
  return mare.data.dataset(x, y)
end

local known = { folds = true, stratify = true, shuffle = true, seed = true, scoring = true }

local function options(name, position, opts, more)
  local all = {}
  for k in pairs(known) do all[k] = true end
  for k in pairs(more or {}) do all[k] = true end
  check.options(position, name, opts, all)
  local out = { folds = 5, seed = 0 }
  for k, v in pairs(opts or {}) do out[k] = v end
  check.count(position, name, out.folds, 2)
  return out
end

local lower_is_better = { mse = true, mae = true, log_loss = true, brier = true }

-- What metrics judge: what this method of a model gives.
local guesses = {
  accuracy = "predict", precision = "predict", recall = "predict", f1 = "predict",
  top_k = "decision", roc_auc = "decision", average_precision = "decision",
  log_loss = "predict_proba", brier = "predict_proba",
  mse = "predict", mae = "predict", r2 = "predict", ndcg = "predict",
}

local of_numbers = { mse = true, mae = true, r2 = true, ndcg = true } -- the others: of classes

-- Labels (n) as positions among some classes, which is what metrics take; of a label that is
-- none of these an error.
local function codes_of(name, classes, y)
  y = y:to "i64":contiguous()
  local codes = mare.zeros(y:size(1), "i64")
  local ok, at = routines.label_codes(y, classes, codes)
  if ok then return codes end
  check.fail("'%s': no row that the model was fitted to has the label %d", name,
    y[math.tointeger(at)]:item())
end

-- The classes of a model and those of y, ascending.
local function all_classes(model, y)
  local all = mare.cat({ model.classes, y:to "i64" }, 1)
  local values = mare.zeros(all:size(1), "i64")
  local _, k = routines.distinct_labels(all, values)
  return values:narrow(1, 1, math.tointeger(k)):contiguous()
end

-- What a metric takes: labels of a classifier, any whole numbers, as 1..K.
local function judged(name, model, guess, y, by_label)
  if not model.classes or y:dim() ~= 1 then return guess, y end
  if not by_label then return guess, codes_of(name, model.classes, y) end
  local classes = all_classes(model, y)
  return codes_of(name, classes, guess), codes_of(name, classes, y)
end

-- What a metric judges, in the shape that it takes.
local function guess_of(metric, model, x)
  local guess = model[guesses[metric]](model, x)
  if metric == "brier" then return guess:select(2, 2) end
  if metric == "top_k" and guess:dim() == 1 then return mare.stack({ -guess, guess }, 2) end
  return guess
end

-- The name of a metric and what it takes besides, from "f1" or { "top_k", 3 }.
local function metric_of(name, position, model, scoring)
  local metric, args = scoring, {}
  if type(scoring) == "table" then
    metric, args = scoring[1], table.move(scoring, 2, #scoring, 1, {})
  end
  if guesses[metric] == nil then
    check.argument(position, name,
      "scoring: function(model, x, y) or a metric expected, got %s; known: %s",
      type(metric) == "string" and "'" .. metric .. "'" or type(metric), check.names(guesses))
  elseif not of_numbers[metric] and not model.decision then
    check.argument(position, name, "scoring: '%s' is for classifiers, not for %s", metric,
      model.class.name)
  end
  return metric, args
end

-- A function (model, x, y) -> number, the higher the better, from what was asked for.
local function scorer(name, position, model, opts)
  local scoring = type(opts) == "table" and opts.scoring or nil
  if scoring == nil then return function(m, x, y) return m:score(x, y) end end
  if type(scoring) == "function" then return scoring end
  local metric, args = metric_of(name, position, model, scoring)
  return function(m, x, y)
    local guess, target = judged(name, m, guess_of(metric, m, x), y,
      guesses[metric] == "predict")
    local value = mare.metrics[metric](guess, target, table.unpack(args))
    return lower_is_better[metric] and -value or value
  end
end

-- -- statistics ---------------------------------------------------------------------------

local function mean_and_std(list)
  local sum, squares = 0, 0
  for _, v in ipairs(list) do sum = sum + v end
  local mean = sum / #list
  for _, v in ipairs(list) do squares = squares + (v - mean) ^ 2 end
  return mean, math.sqrt(squares / #list)
end

-- Calls visit(train, test) for each fold.
local function each_fold(model, ds, opts, visit)
  local stratify = opts.stratify
  if stratify == nil then stratify = model.class.kind == "classifier" end
  for train, test in ds:kfold(opts.folds, { stratify = stratify, shuffle = opts.shuffle,
    seed = opts.seed }) do
    local _ <close> = mare.scope()
    visit(train, test)
  end
end

-- The scores of a fresh copy of the model in each fold, and on the rows it was fitted to.
local function fold_scores(model, ds, opts, score, settings)
  local scores, own = {}, {}
  each_fold(model, ds, opts, function(train, test)
    local copy = model:clone(settings):fit(train.x, train.y)
    scores[#scores + 1] = score(copy, test.x, test.y)
    own[#own + 1] = score(copy, train.x, train.y)
  end)
  return scores, own
end

-- -- cross-validation ---------------------------------------------------------------------

--- How well an estimator does on rows that it was not fitted to: the rows are dealt out into
-- folds (5), and each fold is judged by a copy fitted to the others.  Returns { scores, mean,
-- std, train_scores, train_mean }.  Options: folds; stratify (true for classifiers); shuffle
-- (true); seed (0); scoring: a metric, such as "f1" or { "top_k", 3 }, or function(model, x, y),
-- the estimator's own score unless given.  Metrics of classes: accuracy, precision, recall, f1,
-- top_k, roc_auc, average_precision, log_loss, brier; of numbers: mse, mae, r2, ndcg.  Of mse,
-- mae, log_loss and brier it is the negative: higher is better.
-- ```
-- local cv = mare.models.cross_validate(mare.models.Ridge { lambda = 1 }, x, y)
-- print(cv.mean, cv.std)
-- ```
-- Stone 1974, Cross-validatory choice and assessment of statistical predictions.
function M.cross_validate(model, x, y, opts)
  check_model("cross_validate", model)
  local score = scorer("cross_validate", 4, model, opts)
  opts = options("cross_validate", 4, opts)
  local scores, own = fold_scores(model, dataset("cross_validate", 2, model, x, y), opts, score)
  local mean, std = mean_and_std(scores)
  return { scores = scores, mean = mean, std = std, train_scores = own,
    train_mean = (mean_and_std(own)) }
end

-- -- search over settings -----------------------------------------------------------------

-- All combinations of { name = { values } } as a list of settings, the last name fastest.
local function combinations(grid)
  if type(grid) ~= "table" or next(grid) == nil then
    check.argument(2, "grid_search", "table of settings expected, got %s",
      type(grid) == "table" and "an empty one" or check.kind(grid))
  end
  local names, list = {}, { {} }
  for name, values in pairs(grid) do
    if type(values) ~= "table" or #values == 0 then
      check.argument(2, "grid_search", "%s: a list of values expected, got %s", check.text(name),
        check.kind(values))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local longer = {}
    for _, settings in ipairs(list) do
      for _, value in ipairs(grid[name]) do
        local more = { [name] = value }
        for k, v in pairs(settings) do more[k] = v end
        longer[#longer + 1] = more
      end
    end
    list = longer
  end
  return list
end

local function ranked(score) return score == score and score or -math.huge end -- nan is last

--- Tries every combination of some settings by cross-validation.  Returns { model, settings,
-- score, table }: the best settings, an estimator with them fitted to all rows, and a list of
-- { settings, mean, std, scores, train_mean }, the best first.  Options as for cross_validate.
-- ```
-- local found = mare.models.grid_search(mare.models.Ridge(), { lambda = { 0.1, 1, 10 } }, x, y)
-- print(found.settings.lambda, found.score)
-- ```
function M.grid_search(model, grid, x, y, opts)
  check_model("grid_search", model)
  local score = scorer("grid_search", 5, model, opts)
  opts = options("grid_search", 5, opts)
  local list = combinations(grid)
  for _, settings in ipairs(list) do model:clone(settings) end -- misspelt ones before any work
  local ds, rows = dataset("grid_search", 3, model, x, y), {}
  for i, settings in ipairs(list) do
    local scores, own = fold_scores(model, ds, opts, score, settings)
    local mean, std = mean_and_std(scores)
    rows[i] = { settings = settings, mean = mean, std = std, scores = scores, place = i,
      train_mean = (mean_and_std(own)) }
  end
  table.sort(rows, function(a, b)
    local first, second = ranked(a.mean), ranked(b.mean)
    return first > second or (first == second and a.place < b.place)
  end)
  for _, row in ipairs(rows) do row.place = nil end
  local best = rows[1]
  return { settings = best.settings, score = best.mean, table = rows,
    model = model:clone(best.settings):fit(x, y) }
end

-- -- learning curves ----------------------------------------------------------------------

-- The numbers of rows to fit to: fractions of the n there are, or numbers.
local function sizes_of(sizes, n)
  local out = {}
  for i, size in ipairs(sizes) do
    local rows = type(size) == "number" and (math.tointeger(size) and size > 1 and size
      or size <= 1 and size > 0 and math.floor(size * n + 0.5))
    if not rows or rows < 1 or rows > n then
      check.argument(4, "learning_curve", "sizes: fractions up to 1 or numbers up to %d " ..
        "expected, got %s (entry %d)", n, check.text(size), i)
    end
    out[i] = math.tointeger(rows)
  end
  return out
end

--- Scores against the number of rows fitted to: for each size, copies are fitted to so many of
-- the training rows of every fold.  Returns { sizes, train, test, train_std, test_std }, lists
-- of one entry for each size.  Options as for cross_validate, and sizes: fractions of a fold's
-- training rows or numbers of them ({ 0.1, 0.33, 0.55, 0.78, 1 }).
-- `local curve = mare.models.learning_curve(mare.models.NaiveBayes(), x, y)`
function M.learning_curve(model, x, y, opts)
  check_model("learning_curve", model)
  local score = scorer("learning_curve", 4, model, opts)
  opts = options("learning_curve", 4, opts, { sizes = true })
  local ds = dataset("learning_curve", 2, model, x, y)
  local fewest = #ds - (#ds + opts.folds - 1) // opts.folds
  local sizes = sizes_of(opts.sizes or { 0.1, 0.33, 0.55, 0.78, 1 }, fewest)
  local out = { sizes = sizes, train = {}, test = {}, train_std = {}, test_std = {} }
  local stratify = opts.stratify
  if stratify == nil then stratify = model.class.kind == "classifier" end
  for i, size in ipairs(sizes) do
    local train_scores, test_scores = {}, {}
    each_fold(model, ds, opts, function(train, test)
      if size < #train then
        train = train:split(size, { seed = opts.seed, stratify = stratify })
      end
      local copy = model:clone():fit(train.x, train.y)
      train_scores[#train_scores + 1] = score(copy, train.x, train.y)
      test_scores[#test_scores + 1] = score(copy, test.x, test.y)
    end)
    out.train[i], out.train_std[i] = mean_and_std(train_scores)
    out.test[i], out.test_std[i] = mean_and_std(test_scores)
  end
  return out
end

return M
