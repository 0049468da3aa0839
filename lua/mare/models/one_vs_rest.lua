-- one_vs_rest.lua -- OneVsRest: a classifier of two classes for each class or each label.

local mare_core = require "mare.core"
local check = require "mare.check"
local estimator = require "mare.models.estimator"

local core, routines = mare_core.functions, mare_core.routines
local stack = require "mare.ops".ops.stack

local function class_of(name)
  local models = require "mare.models"
  local known, class = pcall(function() return models[name] end)
  return estimator.kinds[name] or known and type(class) == "table" and class or nil
end

-- An estimator, or what a file holds of one, as { name =, settings = }.
local function check_estimator(v)
  if estimator.is_estimator(v) then
    if v.class.kind ~= "classifier" then
      return nil, ("a classifier expected, got %s"):format(v.class.name)
    end
    return { name = v.class.name, settings = v.settings }
  end
  local class = type(v) == "table" and type(v.name) == "string" and class_of(v.name)
  if not class or class.kind ~= "classifier" then
    return nil, "a classifier such as models.LogisticRegression() expected"
  end
  return { name = v.name, settings = v.settings or {} }
end

local rows = { { "estimator", nil, check = check_estimator } }

local function make(self)
  local of = self.settings.estimator
  if not of then
    check.fail("OneVsRest: estimator is missing, such as estimator = models.LinearSVM()")
  end
  return class_of(of.name)(of.settings)
end

-- -- targets --------------------------------------------------------------------------

-- Labels of one a row, or 0 and 1 for several, given to `name`: a tensor, and is it a matrix?
local function take_targets(name, y)
  if type(y) == "table" then
    if type(y[1]) ~= "table" then return y, false end
    y = check.list(2, name, y, "f64")
  end
  y = check.tensor(2, name, y):detach()
  if y:dim() ~= 2 then return y, false end
  if y:numel() == 0 then check.argument(2, name, "no values (shape %s)", check.shape(y)) end
  local other = y:ne(0):logical_and(y:ne(1))
  if other:any():item() ~= 0 then
    check.argument(2, name, "a matrix of labels holds 0 and 1; %s is neither",
      ("%g"):format(y[other][1]:item()))
  end
  return y:to "i64", true
end

local function whole_numbers(position, name, list, what)
  for i, v in ipairs(list) do
    if type(v) ~= "number" or not math.tointeger(v) then
      check.argument(position, name, "%s are whole numbers; #%d is %s", what, i,
        type(v) == "number" and check.text(v) or check.kind(v))
    end
  end
  if rawlen(list) == 0 then check.argument(position, name, "there are no %s", what) end
  return check.list(position, name, list, "i64")
end

-- The labels as i64 and the classes, ascending.
local function take_labels(name, y)
  if type(y) == "table" then y = whole_numbers(2, name, y, "labels") end
  if y.dtype ~= "i64" and y.dtype ~= "u8" or y:dim() ~= 1 then
    check.argument(2, name, "labels (n) of whole numbers or a matrix (n, labels) of 0 and 1 " ..
      "expected, got %s of shape %s", check.kind(y), check.shape(y))
  end
  y = y:to "i64":contiguous()
  local values = core.empty(y:size(1), "i64")
  local _, k = routines.distinct_labels(y, values)
  return y, values:narrow(1, 1, math.tointeger(k)):clone()
end

-- -- fitting --------------------------------------------------------------------------

-- What one classifier learns of a target of 0 and 1, or which of them all are.
local function learn_one(self, x, target, opts)
  local first = target[1]:item()
  if target:eq(first):all():item() ~= 0 then return { constant = first } end
  return { learned = make(self):fit(x, target, opts).learned }
end

local function features_of(parts)
  for _, part in ipairs(parts) do
    if part.learned then return part.learned.features end
  end
  check.argument(2, "fit", "every column is all 0 or all 1")
end

local function train(self, x, y, opts)
  local matrix, multilabel = take_targets("fit", y)
  local parts, classes = {}, nil
  if multilabel then
    for k = 1, matrix:size(2) do
      parts[k] = learn_one(self, x, matrix:select(2, k):contiguous(), opts)
    end
  else
    local labels
    labels, classes = take_labels("fit", matrix)
    local K = classes:size(1)
    if K == 0 then check.argument(2, "fit", "there are no labels") end
    if K == 1 then
      check.argument(2, "fit", "all labels are %d; OneVsRest needs at least two classes",
        classes[1]:item())
    end
    for k = K == 2 and 2 or 1, K do
      parts[#parts + 1] = learn_one(self, x, labels:eq(classes[k]:item()):to "i64", opts)
    end
  end
  return { parts = parts, classes = classes, multilabel = multilabel,
    features = features_of(parts) }
end

-- The classifiers of what was learned; false for those of a constant.
local function models_of(self, learned)
  if self.cache.models then return self.cache.models end
  local of, list = self.settings.estimator, {}
  for k, part in ipairs(learned.parts) do
    list[k] = part.learned and assert(estimator.restore(class_of(of.name),
      { settings = of.settings, learned = part.learned })) or false
  end
  self.cache.models = list
  return list
end

-- -- more rows ------------------------------------------------------------------------

local function known_classes(labels, classes, given)
  if not classes then
    classes = labels
    if given ~= nil then
      if type(given) ~= "table" then
        check.argument(3, "partial_fit", "classes: a list of labels expected, got %s",
          check.kind(given))
      end
      classes = select(2, take_labels("partial_fit",
        whole_numbers(3, "partial_fit", given, "classes")))
    end
    if classes:size(1) < 2 then
      check.argument(2, "partial_fit", "the first labels are all %d; name those that may come, " ..
        "as in classes = { 1, 2, 3 }", classes[1]:item())
    end
  end
  for _, label in ipairs(labels:totable()) do
    if classes:eq(label):any():item() == 0 then
      check.argument(2, "partial_fit", "label %d is not among the classes; name all that may " ..
        "come at the first call, as in classes = { 1, 2, 3 }", label)
    end
  end
  return classes
end

-- The targets of 0 and 1 of each part, and the classes of labels.
local function targets_of(y, before, given)
  local matrix, multilabel = take_targets("partial_fit", y)
  if before and before.multilabel ~= multilabel then
    check.argument(2, "partial_fit", "%s expected, as before",
      before.multilabel and "a matrix of labels" or "labels (n)")
  end
  local list = {}
  if multilabel then
    if before and #before.parts ~= matrix:size(2) then
      check.argument(2, "partial_fit", "%d columns of labels; there were %d", matrix:size(2),
        #before.parts)
    end
    for k = 1, matrix:size(2) do list[k] = matrix:select(2, k):contiguous() end
    return list, nil, true
  end
  local labels, values = take_labels("partial_fit", matrix)
  local classes = known_classes(values, before and before.classes, given)
  for k = classes:size(1) == 2 and 2 or 1, classes:size(1) do
    list[#list + 1] = labels:eq(classes[k]:item()):to "i64"
  end
  return list, classes, false
end

-- A classifier that went on from what m had learned; m stays as it was.
local function gone_on(self, m, x, target, weights)
  local new = make(self)
  if m then
    rawset(new, "learned", m.learned)
    rawset(new, "cache", m.cache)
  end
  return new:partial_fit(x, target, { weights = weights, classes = { 0, 1 } })
end

local function train_more(self, x, y, opts)
  local before = rawget(self, "learned") or nil
  local targets, classes, multilabel = targets_of(y, before, opts.classes)
  local old, new, parts = before and models_of(self, before) or {}, {}, {}
  for k, target in ipairs(targets) do
    new[k] = gone_on(self, old[k], x, target, opts.weights)
    parts[k] = { learned = new[k].learned }
  end
  return { parts = parts, classes = classes, multilabel = multilabel,
    features = features_of(parts) }, new
end

local function verify(self, learned)
  local of, n = self.settings.estimator, #learned.parts
  if not of or n == 0 then return "the estimator is missing" end
  for k, part in ipairs(learned.parts) do
    if type(part) ~= "table" or not (part.learned or part.constant == 0 or part.constant == 1) then
      return ("part %d is missing"):format(k)
    elseif part.learned then
      local m, message = estimator.restore(class_of(of.name),
        { settings = of.settings, learned = part.learned })
      if not m then return ("part %d: %s"):format(k, message) end
      if m.features ~= learned.features then return ("part %d has other columns"):format(k) end
    end
  end
  local K = learned.classes and learned.classes:size(1)
  if not learned.multilabel and (not K or n ~= (K == 2 and 1 or K)) then
    return ("%d parts for %s classes"):format(n, tostring(K))
  end
end

-- -- predicting -----------------------------------------------------------------------

-- (n, parts) of what f(m, x) gives for each; low or high for a constant.
local function columns(self, name, x, f, low, high)
  local learned = self:ready(name)
  local scope <close> = core.scope()
  x = self:input(name, x)
  local list = {}
  for k, m in ipairs(models_of(self, learned)) do
    list[k] = m and f(m, x) or core.full({ x:size(1) },
      learned.parts[k].constant == 1 and high or low, x.dtype)
  end
  return scope:keep(stack(list, 2))
end

local methods = {}

--- One classifier for each class of labels y (n), or for each column of a matrix y (n, labels)
-- of 0 and 1.  Option: weights (n).
function methods:fit(x, y, opts)
  check.options(3, "fit", opts, { weights = true })
  local learned = core.hold(function()
    local scope <close> = core.scope()
    return scope:keep(train(self, x, y, opts))
  end)
  rawset(self, "learned", learned)
  rawset(self, "cache", {})
  return self
end

--- Goes on learning from more rows, where the estimator's class has partial_fit.  Options:
-- weights (n); classes, a list of all labels that may come, at the first call unless its rows
-- have them all.  A column that was constant for fit is learned from here on.
-- `for x, y in batches do m:partial_fit(x, y, { classes = { 1, 2, 3 } }) end`
function methods:partial_fit(x, y, opts)
  if not estimator.is_estimator(self) then
    check.method("an estimator", self, "model:partial_fit(x, y)")
  end
  opts = opts or {}
  check.options(3, "partial_fit", opts, { weights = true, classes = true })
  local models
  local learned = core.hold(function()
    local scope <close> = core.scope()
    local result
    result, models = train_more(self, x, y, opts)
    return scope:keep(result)
  end)
  rawset(self, "learned", learned)
  rawset(self, "cache", { models = models })
  return self
end

--- The scores (n, classes or labels), positive for the class; (n) for two classes.
function methods:decision(x)
  local z = columns(self, "decision", x, function(m, v) return m:decision(v) end, -math.huge,
    math.huge)
  if not self.multilabel and z:size(2) == 1 then return z:reshape(-1) end
  return z
end

--- The labels (n, i64), of the class with the largest score; for a matrix of labels 0 and 1
-- (n, labels), i64.
function methods:predict(x)
  local learned = self:ready "predict"
  if learned.multilabel then
    return columns(self, "predict", x, function(m, v) return m:predict(v):to(v.dtype) end, 0, 1)
      :to "i64"
  end
  local z = self:decision(x)
  local codes = z:dim() == 1 and z:gt(0):to "i64" + 1 or z:argmax(2)
  return learned.classes:index_select(1, codes)
end

--- The probability of each label (n, labels), on its own; for classes (n, K), scaled so that
-- rows sum to 1.
function methods:predict_proba(x)
  local p = columns(self, "predict_proba", x, function(m, v)
    return m:predict_proba(v):select(2, 2)
  end, 0, 1)
  if self.multilabel then return p end
  if p:size(2) == 1 then return mare_core.ops.cat({ 1 - p, p }, 2) end
  local sum = p:sum(2, true)
  return (p + sum:eq(0):to(p.dtype)) / (sum + sum:eq(0):to(p.dtype) * p:size(2))
end

--- The logarithms of the probabilities.
function methods:predict_log_proba(x) return self:predict_proba(x):log() end

--- The part of the rows that predict gets right, of several labels all of them.  Option:
-- weights (n).
function methods:score(x, y, opts)
  check.options(3, "score", opts, { weights = true })
  local got = self:predict(x)
  y = take_targets("score", y)
  if type(y) == "table" then y = whole_numbers(2, "score", y, "labels") end
  if check.shape(y) ~= check.shape(got) then
    check.argument(2, "score", "shape %s for predictions %s", check.shape(y), check.shape(got))
  end
  local right = got:eq(y:to "i64")
  right = (right:dim() == 2 and right:all(2) or right):to "f64"
  local w = estimator.weights(3, "score", opts and opts.weights, right:size(1))
  return w and (right * w):sum():item() / w:sum():item() or right:mean():item()
end

--- A classifier of two classes, made into one of several, or of several labels a row.
--
-- Setting: estimator, a classifier, of which one is fitted for each class against the rest, or
-- for each column of a matrix of 0 and 1.  A column that is constant is predicted to be so.
-- Learned: parts, a list of { learned = what one learned } or { constant = 0 or 1 };
-- classes; multilabel.
--
--     local m = mare.models.OneVsRest { estimator = mare.models.LogisticRegression { C = 10 } }
--     m:fit(x, y)     -- y (n) classes, or (n, labels) of 0 and 1: { 1, 0, 1 } is labels 1 and 3
--     print(m:predict(x))
--
-- R. Rifkin and A. Klautau 2004, In defense of one-vs-all classification.
return estimator.define {
  name = "OneVsRest", kind = "plain", doc = "a classifier for each class or label",
  settings = rows, verify = verify, methods = methods,
  learned = { parts = "table", classes = "?i64 k", multilabel = "boolean" },
}
