-- metrics.lua -- how good predictions are, as plain Lua numbers.
--
-- Classes are numbered from 1.  Where labels are expected, scores or probabilities
-- of shape (n, classes) do too: the largest of each row is meant.

local mare = require "mare"
local check = require "mare.check"
local scored = require "mare.truth".scored
local count_text = require "mare.progress".count

local is_tensor = mare.is_tensor

local M = {}

-- -- what is accepted ---------------------------------------------------------------

local function tensor(position, name, t)
  if not is_tensor(t) then
    check.argument(position, name, "tensor expected, got %s", type(t))
  end
  return t:detach()
end

local function is_integer(t) return t.dtype == "i64" or t.dtype == "u8" end

-- i64 labels (n) from labels or from scores (n, classes).
local function labels(position, name, t)
  t = tensor(position, name, t)
  if is_integer(t) and t:dim() == 1 then return t:to "i64" end
  if not is_integer(t) and t:dim() == 2 then return t:argmax(2) end
  check.argument(position, name,
    "i64 labels (n) or scores (n, classes) expected, got %s of shape %s", t.dtype, check.shape(t))
end

local function same_shape(name, a, b)
  if check.shape(a) ~= check.shape(b) then
    check.argument(2, name, "shapes %s and %s differ", check.shape(a), check.shape(b))
  elseif a:numel() == 0 then
    check.argument(1, name, "no values (shape %s)", check.shape(a))
  end
end

local function label_pair(name, prediction, target)
  local p, t = labels(1, name, prediction), labels(2, name, target)
  same_shape(name, p, t)
  return p, t
end

local function value_pair(name, prediction, target)
  local p, t = tensor(1, name, prediction), tensor(2, name, target)
  same_shape(name, p, t)
  return p:to "f64", t:to "f64"
end

-- -- classification -------------------------------------------------------------------

--- The part of the predictions that are right, in 0..1.
-- `metrics.accuracy(model(x), labels)`
function M.accuracy(prediction, target)
  local p, t = label_pair("accuracy", prediction, target)
  return p:eq(t):to("f64"):mean():item()
end

--- The part of the rows whose label is among the k (5) highest scores (n, classes).
-- `metrics.top_k(scores, labels, 3)`
function M.top_k(scores, target, k)
  scores = tensor(1, "top_k", scores)
  if scores:dim() ~= 2 then
    check.argument(1, "top_k", "scores (n, classes) expected, got shape %s", check.shape(scores))
  end
  local t = labels(2, "top_k", target)
  k = math.min(check.count(3, "top_k", k or 5), scores:size(2))
  if t:size(1) ~= scores:size(1) then
    check.argument(2, "top_k", "%d labels for %d rows", t:size(1), scores:size(1))
  end
  local _, best = scores:topk(k, 2)
  return best:eq(t:unsqueeze(2)):any(2):to("f64"):mean():item()
end

-- -- confusion ----------------------------------------------------------------------------

local Confusion = {}
Confusion.__index = Confusion

-- counts[t][p], and the number of classes.
local function count_pairs(p, t, classes)
  local predicted, truth = p:totable(), t:totable()
  local largest = math.max(p:max():item(), t:max():item())
  if math.min(p:min():item(), t:min():item()) < 1 then
    check.argument(2, "confusion", "labels begin at 1")
  elseif classes and largest > classes then
    check.argument(2, "confusion", "label %d with %d classes", largest, classes)
  end
  classes = classes or largest
  local counts = {}
  for i = 1, classes do
    counts[i] = {}
    for j = 1, classes do counts[i][j] = 0 end
  end
  for i = 1, #truth do
    local row = counts[truth[i]]
    row[predicted[i]] = row[predicted[i]] + 1
  end
  return counts, classes
end

-- The object from counts[t][p].
local function from_counts(names, counts, classes)
  local self = { table = counts, classes = classes, names = {} }
  for i = 1, classes do self.names[i] = tostring(names and names[i] or i) end
  self.counts = mare.tensor(counts, "i64")
  return setmetatable(self, Confusion)
end

local function confusion_of(name, prediction, target, opts)
  local classes = opts.classes or opts.names and #opts.names
  if classes then check.count(3, name, classes) end
  local p, t = label_pair(name, prediction, target)
  return from_counts(opts.names, count_pairs(p, t, classes))
end

--- How often each class was taken for each: an object whose .counts is (classes,
-- classes) i64 with a row for each true class and a column for each predicted one.
-- print shows it as a table.  Options: classes (the largest label), names (a list).
-- `print(metrics.confusion(model(x), labels, { names = { "cat", "dog" } }))`
function M.confusion(prediction, target, opts)
  check.options(3, "confusion", opts, { classes = true, names = true })
  return confusion_of("confusion", prediction, target, opts or {})
end

--- The counts of this table and of another one together; the larger number of classes.
function Confusion:merge(other)
  if getmetatable(other) ~= Confusion then
    check.argument(1, "merge", "confusion table expected, got %s", check.kind(other))
  end
  local counts, classes = {}, math.max(self.classes, other.classes)
  for i = 1, classes do
    local a, b = self.table[i] or {}, other.table[i] or {}
    counts[i] = {}
    for j = 1, classes do counts[i][j] = (a[j] or 0) + (b[j] or 0) end
  end
  return from_counts(self.classes == classes and self.names or other.names, counts, classes)
end

-- For one class: right, predicted as it, truly it.
local function tallies(self, class)
  local predicted, truth = 0, 0
  for i = 1, self.classes do
    predicted = predicted + self.table[i][class]
    truth = truth + self.table[class][i]
  end
  return self.table[class][class], predicted, truth
end

local function ratio(a, b) return b == 0 and 0.0 or a / b end

--- The part of all that was right.
function Confusion:accuracy()
  local right, all = 0, 0
  for i = 1, self.classes do
    local hit, _, truth = tallies(self, i)
    right, all = right + hit, all + truth
  end
  return ratio(right, all)
end

local function pad(s, width) return (" "):rep(width - utf8.len(s)) .. s end

local function widest(list)
  local width = 0
  for i = 1, #list do width = math.max(width, utf8.len(list[i])) end
  return width
end

-- The heads of rows and columns: the names, or numbered names when these are long.
local function heads(self)
  if widest(self.names) <= 6 then return self.names, self.names end
  local rows, columns = {}, {}
  for i, name in ipairs(self.names) do
    columns[i] = tostring(i)
    rows[i] = ("%s %" .. #tostring(self.classes) .. "d"):format(name, i)
  end
  return rows, columns
end

function Confusion:__tostring()
  local rows, columns = heads(self)
  local width, left = math.max(4, widest(columns)), math.max(#"precision", widest(rows))
  for i = 1, self.classes do
    for j = 1, self.classes do width = math.max(width, #count_text(self.table[i][j])) end
  end
  local head, lines = { pad("truth", left) }, {}
  for i = 1, self.classes do head[i + 1] = pad(columns[i], width) end
  lines[1] = table.concat(head, " ") .. "   recall   (columns: predicted)"
  local last = { pad("precision", left) }
  for i = 1, self.classes do
    local hit, predicted, truth = tallies(self, i)
    local row = { pad(rows[i], left) }
    for j = 1, self.classes do
      local n = self.table[i][j]
      row[j + 1] = pad(n == 0 and "." or count_text(n), width)
    end
    lines[i + 1] = table.concat(row, " ") .. ("   %6.3f"):format(ratio(hit, truth))
    last[i + 1] = pad(("%.2f"):format(ratio(hit, predicted)), width)
  end
  lines[#lines + 1] = table.concat(last, " ") .. ("   %6.3f accuracy"):format(self:accuracy())
  return table.concat(lines, "\n")
end

-- -- precision, recall, f1 ----------------------------------------------------------------

-- From right, predicted and true counts to a value.
local kinds = {
  precision = function(hit, predicted, _) return ratio(hit, predicted) end,
  recall = function(hit, _, truth) return ratio(hit, truth) end,
  f1 = function(hit, predicted, truth) return ratio(2 * hit, predicted + truth) end,
}

-- How the values of the classes become one.
local averages = {
  none = function(values) return mare.tensor(values, "f64") end,
  macro = function(values)
    local sum = 0
    for _, v in ipairs(values) do sum = sum + v end
    return sum / #values
  end,
  weighted = function(values, truths)
    local sum, all = 0, 0
    for i, v in ipairs(values) do sum, all = sum + v * truths[i], all + truths[i] end
    return ratio(sum, all)
  end,
  micro = function(_, truths, kind, confusion)
    local hits, all = 0, 0
    for i = 1, #truths do hits, all = hits + confusion.table[i][i], all + truths[i] end
    return kind(hits, all, all)
  end,
}

local function class_options(position, name, opts)
  check.options(position, name, opts, { average = true, classes = true, positive = true })
  opts = opts or {}
  if not averages[opts.average or "macro"] then
    check.argument(position, name, "%s", check.unknown("average", opts.average, averages))
  end
  return opts
end

for name, kind in pairs(kinds) do
  --- c:precision(opts), c:recall(opts), c:f1(opts): as the metrics of these names.
  Confusion[name] = function(self, opts)
    opts = class_options(1, name, opts)
    local values, truths = {}, {}
    for i = 1, self.classes do
      local hit, predicted, truth = tallies(self, i)
      values[i], truths[i] = kind(hit, predicted, truth), truth
    end
    if opts.positive then return values[opts.positive] or 0.0 end
    return averages[opts.average or "macro"](values, truths, kind, self)
  end
end

local function class_metric(name)
  return function(prediction, target, opts)
    opts = class_options(3, name, opts)
    local confusion = confusion_of(name, prediction, target, { classes = opts.classes })
    return confusion[name](confusion, opts)
  end
end

--- Of what was predicted as a class, the part that is.  Options: average = "macro" (the
-- mean over classes) | "micro" | "weighted" (by true counts) | "none" (an f64 tensor with
-- a value for each class); positive = k gives class k alone; classes.  0/0 counts as 0.
-- Formula: TP / (TP + FP) of a class
-- `metrics.precision(model(x), labels, { positive = 2 })`
M.precision = class_metric "precision"

--- Of what is of a class, the part that was predicted so.  Options as for precision.
-- Formula: TP / (TP + FN) of a class
-- `metrics.recall(model(x), labels, { average = "none" })`
M.recall = class_metric "recall"

--- The harmonic mean of precision and recall.  Options as for precision.
-- Formula: 2 TP / (2 TP + FP + FN) of a class
-- `metrics.f1(model(x), labels, { average = "micro" })`
M.f1 = class_metric "f1"

-- -- probabilities ------------------------------------------------------------------------

local function rows_match(name, p, t)
  if p:size(1) ~= t:size(1) then
    check.argument(2, name, "%d labels for %d rows", t:size(1), p:size(1))
  elseif p:size(1) == 0 then
    check.argument(1, name, "no rows")
  end
end

local function check_range(name, t, classes)
  if t:min():item() >= 1 and t:max():item() <= classes then return end
  check.argument(2, name, "label %d; scores are of %d classes",
    t:masked_select(t:lt(1):logical_or(t:gt(classes)))[1]:item(), classes)
end

--- The mean of -log p(true class): probabilities are (n, classes), or (n) for the
-- second of two classes, with labels as for roc_auc.  Probabilities below 1e-15 count as that.
-- `metrics.log_loss(model(x):softmax(2), labels)`
function M.log_loss(probability, target)
  local p = tensor(1, "log_loss", probability):to "f64"
  if p:dim() == 1 then
    local positive
    p, positive = scored("log_loss", p, target)
    return -mare.where(positive, p, 1 - p):clamp(1e-15, math.huge):log():mean():item()
  elseif p:dim() ~= 2 then
    check.argument(1, "log_loss", "probabilities (n, classes) expected, got shape %s",
      check.shape(p))
  end
  local t = labels(2, "log_loss", target)
  rows_match("log_loss", p, t)
  check_range("log_loss", t, p:size(2))
  return -p:gather(2, t:unsqueeze(2)):clamp(1e-15, 1):log():mean():item()
end

-- The area from scores (n) and a mask (n): each positive one wins against the negative ones
-- below it, and half against those of its own score.  nil when only one class occurs.
local function area(scores, positive)
  local _ <close> = mare.scope()
  local odd = scores:ne(scores)
  if odd:any():item() == 1 then
    check.argument(1, "roc_auc", "score %d is nan", odd:argmax():item())
  end
  local s, order = scores:to "f64":sort(1)
  local up = positive:to "f64":index_select(1, order):cumsum(1)
  local n, total = s:size(1), up[-1]:item()
  if total == 0 or total == n then return nil end
  local last = mare.ones({ n }, "u8") -- of a run of one score
  last:narrow(1, 1, n - 1):copy_(s:narrow(1, 1, n - 1):ne(s:narrow(1, 2, n - 1)))
  local down = mare.arange(1, n, "f64") - up
  up, down = up:masked_select(last), down:masked_select(last)
  local zero, runs = mare.zeros({ 1 }, "f64"), up:size(1)
  local up_before = mare.cat({ zero, up:narrow(1, 1, runs - 1) }, 1)
  local down_before = mare.cat({ zero, down:narrow(1, 1, runs - 1) }, 1)
  local won = ((up - up_before) * (down + down_before)):sum():item() / 2
  return won / (total * (n - total))
end

--- The area under the ROC curve: the probability that a positive one scores above a
-- negative one.  Scores are (n) with a u8 mask or with labels 1 and 2 or any two whole
-- numbers, the larger being positive; or (n, classes) with labels, each class against the
-- rest, averaged over the classes that occur.
-- `metrics.roc_auc(scores, labels)`
function M.roc_auc(scores, target)
  local s = tensor(1, "roc_auc", scores)
  if s:dim() == 1 then
    local value = area(scored("roc_auc", s, target))
    if not value then check.argument(2, "roc_auc", "only one class occurs") end
    return value
  elseif s:dim() ~= 2 then
    check.argument(1, "roc_auc", "scores (n) or (n, classes) expected, got shape %s",
      check.shape(s))
  end
  local t = labels(2, "roc_auc", target)
  rows_match("roc_auc", s, t)
  check_range("roc_auc", t, s:size(2))
  local sum, classes = 0, 0
  for c = 1, s:size(2) do
    local value = area(s:select(2, c), t:eq(c))
    if value then sum, classes = sum + value, classes + 1 end
  end
  if classes == 0 then check.argument(2, "roc_auc", "only one class occurs") end
  return sum / classes
end

-- -- regression ---------------------------------------------------------------------------

--- The mean of (prediction - target)^2 over all elements of two tensors of one shape.
-- Formula: sum (p - t)^2 / n
-- `metrics.mse(mare.tensor { 1, 3 }, mare.tensor { 0, 1 }) --> 2.5`
function M.mse(prediction, target)
  local p, t = value_pair("mse", prediction, target)
  return (p - t):square():mean():item()
end

--- The mean of |prediction - target| over all elements of two tensors of one shape.
-- Formula: sum |p - t| / n
-- `metrics.mae(mare.tensor { 1, 3 }, mare.tensor { 0, 1 }) --> 1.5`
function M.mae(prediction, target)
  local p, t = value_pair("mae", prediction, target)
  return (p - t):abs():mean():item()
end

--- 1 - residual sum of squares / total sum of squares: 1 is perfect, 0 no better than
-- the mean.  For (n, k), the mean over columns.  A constant target gives 1 when it is
-- met and 0 otherwise.
-- Formula: 1 - sum (p - t)^2 / sum (t - mean t)^2
-- `metrics.r2(mare.tensor { 1, 2, 6 }, mare.tensor { 1, 2, 3 }) --> -3.5`
function M.r2(prediction, target)
  local p, t = value_pair("r2", prediction, target)
  local n = p:size(1)
  p, t = p:reshape(n, -1), t:reshape(n, -1)
  local residual = (p - t):square():sum(1):totable()
  local total = (t - t:mean(1, true)):square():sum(1):totable()
  local sum = 0
  for i, r in ipairs(residual) do
    local best = r == 0 and 1 or 0
    sum = sum + (total[i] == 0 and best or 1 - r / total[i])
  end
  return sum / #residual
end

for name, f in pairs(require "mare.curves") do M[name] = f end

--- Metrics of what comes in batches: see stream.lua.
function M.stream(list) return require "mare.stream".new(list) end

return M
