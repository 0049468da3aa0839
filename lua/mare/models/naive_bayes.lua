-- naive_bayes.lua -- Bayes' rule with features that are independent within a class.
--
-- A part is a set of columns of one kind; its fields are sums over rows, so that more rows
-- only add to them.  With one kind for all columns the part's fields are the model's own.

local mare_core = require "mare.core"
local check = require "mare.check"
local bayes = require "mare.models.bayes"
local estimator = require "mare.models.estimator"

local core, routines, ops = mare_core.functions, mare_core.routines, mare_core.ops

local TINY = 1e-300 -- what a probability of 0 counts as, so that its logarithm is a number
local LOG2PI = math.log(2 * math.pi)

-- -- gaussian -------------------------------------------------------------------------

local kinds = {}

kinds.gaussian = { fields = { means = "f64 k d", variances = "f64 k d" } }

function kinds.gaussian.learn(_, data, x, before)
  local K, d = data.K, x:size(2)
  local counts, means = core.empty(K, "f64"), core.empty({ K, d }, "f64")
  local variances = core.empty({ K, d }, "f64")
  routines.class_moments(x, data.y, data.weights, counts, means, variances)
  if not routines.check_finite(variances:reshape(-1)) then
    data.check()
    check.argument(1, data.name, "values so large that their squares overflow")
  end
  if not before then return { means = means, variances = variances } end
  local all = bayes.merge("diagonal",
    { counts = data.before.counts, means = before.means, covariances = before.variances },
    { counts = counts, means = means, covariances = variances })
  return { means = all.means, variances = all.covariances }
end

-- var_smoothing times the largest variance of a column over all rows.
local function epsilon_of(self, learned, part)
  local p = (learned.counts / learned.counts:sum()):unsqueeze(2)
  local center = (part.means * p):sum(1, true)
  local total = ((part.variances + (part.means - center):square()) * p):sum(1):max():item()
  return self.settings.var_smoothing * (total > 0 and total or 1)
end

function kinds.gaussian.prepare(self, learned, part)
  local v = part.variances + epsilon_of(self, learned, part)
  local bad = v:le(0):nonzero()
  if bad:size(1) > 0 then
    check.fail("NaiveBayes: column %d is constant in class %d; give var_smoothing",
      bad[{ 1, 2 }]:item(), learned.classes[bad[{ 1, 1 }]:item()]:item())
  end
  return { means = part.means, scales = 1 / v, constants = (v:log() + LOG2PI):sum(2) * -0.5 }
end

function kinds.gaussian.scores(_, x, ready)
  local out = core.empty({ x:size(1), ready.means:size(1) }, x.dtype)
  routines.diagonal_scores(x, ready.means, ready.scales, ready.constants, out)
  return out
end

-- -- counted features -----------------------------------------------------------------

local function logs(t) return t:clamp(TINY, math.huge):log() end

-- Sums by class of x, or of where it is above a limit.
local function sums_of(data, x, limit)
  local counts, sums = core.empty(data.K, "f64"), core.empty({ data.K, x:size(2) }, "f64")
  routines.class_sums(x, data.y, data.weights, limit or 0 / 0, counts, sums)
  return sums
end

local function not_negative(name, x)
  if x:min():item() < 0 then
    check.argument(1, name, "%g is negative; counts are expected", x:min():item())
  end
end

local function learn_counts(_, data, x, before)
  not_negative(data.name, x)
  local sums = sums_of(data, x)
  if not routines.check_finite(sums:reshape(-1)) then
    data.check()
    check.argument(1, data.name, "values so large that their sums overflow")
  end
  if before then sums = sums + before.feature_counts end
  return { feature_counts = sums }
end

-- Scores x w' + b; what all classes have in common is taken away before, for f32 has few digits.
local function linear(w, b)
  return { w = w - w:mean(1, true), b = b and b - b:mean() or core.zeros(w:size(1), "f64") }
end

local function linear_scores(_, x, ready)
  return ops.linear(x, ready.w:to(x.dtype), ready.b:to(x.dtype))
end

local function multinomial_logs(self, part)
  local c = part.feature_counts + self.settings.alpha
  return logs(c) - logs(c:sum(2, true))
end

kinds.multinomial = {
  fields = { feature_counts = "f64 k d" }, integers = true, learn = learn_counts,
  log_probs = multinomial_logs, scores = linear_scores,
  prepare = function(self, _, part) return linear(multinomial_logs(self, part)) end,
}

local function complement_logs(self, part)
  local counts = part.feature_counts
  local c = counts:sum(1, true) - counts + self.settings.alpha
  local w = logs(c) - logs(c:sum(2, true))
  return self.settings.norm and w / w:sum(2, true) or -w
end

kinds.complement = {
  fields = { feature_counts = "f64 k d" }, integers = true, learn = learn_counts,
  log_probs = complement_logs, scores = linear_scores,
  prepare = function(self, _, part) return linear(complement_logs(self, part)) end,
}

-- -- bernoulli ------------------------------------------------------------------------

kinds.bernoulli = { fields = { feature_counts = "f64 k d" } }

local function check_bits(name, x)
  if x:eq(0):logical_or(x:eq(1)):all():item() == 0 then
    check.argument(1, name, "values 0 and 1 expected with binarize = false")
  end
end

function kinds.bernoulli.learn(self, data, x, before)
  local limit = self.settings.binarize
  if not limit then check_bits(data.name, x) end
  local sums = sums_of(data, x, limit or 0.5)
  if before then sums = sums + before.feature_counts end
  return { feature_counts = sums }
end

-- log p and log (1 - p) of a feature being present.
local function bernoulli_logs(self, learned, part)
  local alpha, n = self.settings.alpha, learned.counts:unsqueeze(2)
  local all = logs(n + 2 * alpha)
  return logs(part.feature_counts + alpha) - all, logs(n - part.feature_counts + alpha) - all
end

function kinds.bernoulli.log_probs(self, part, learned)
  return (bernoulli_logs(self, learned, part))
end

function kinds.bernoulli.prepare(self, learned, part)
  local present, absent = bernoulli_logs(self, learned, part)
  return linear(present - absent, absent:sum(2))
end

local BLOCK = 4096 -- rows that are bits at a time

function kinds.bernoulli.scores(self, x, ready)
  local w, b, limit = ready.w:to(x.dtype), ready.b:to(x.dtype), self.settings.binarize
  if not limit then check_bits("predict", x) end
  local out = core.empty({ x:size(1), w:size(1) }, x.dtype)
  for first = 1, x:size(1), BLOCK do
    local n = math.min(BLOCK, x:size(1) - first + 1)
    local mask <close> = x:narrow(1, first, n):gt(limit or 0.5)
    local bits <close> = mask:to(x.dtype)
    local part <close> = ops.linear(bits, w, b)
    out:narrow(1, first, n):copy_(part)
  end
  return out
end

-- -- categorical ----------------------------------------------------------------------
-- Column j has values 0 .. sizes[j] - 1; their counts stand side by side in (K, total).

kinds.categorical = { integers = true, fields = { category_counts = "f64 k t", sizes = "i64 d" } }

local function categories(name, x)
  local codes = x:to "i64"
  if x:ne(codes:to(x.dtype)):any():item() ~= 0 or codes:min():item() < 0 then
    check.argument(1, name, "categories are whole numbers from 0")
  elseif codes:max():item() >= 1 << 24 then
    check.argument(1, name, "category %d; at most %d", codes:max():item(), (1 << 24) - 1)
  end
  return codes
end

-- Where column j begins, for sizes as a list.
local function starts_of(sizes)
  local starts, at = {}, 0
  for j, n in ipairs(sizes) do starts[j], at = at, at + n end
  return starts, at
end

-- Counts (K, total) in the layout of other sizes, none smaller.
local function spread(counts, sizes, wider, total)
  local from, to = starts_of(sizes), starts_of(wider)
  local out = core.zeros({ counts:size(1), total }, "f64")
  for j, n in ipairs(sizes) do
    out:narrow(2, to[j] + 1, n):copy_(counts:narrow(2, from[j] + 1, n))
  end
  return out
end

function kinds.categorical.learn(self, data, x, before)
  local codes = categories(data.name, x)
  local sizes, old = (codes:max(1) + 1):totable(), before and before.sizes:totable()
  for j, n in ipairs(sizes) do
    sizes[j] = math.max(n, old and old[j] or 0, self.settings.min_categories)
  end
  local starts, total = starts_of(sizes)
  local counts = before and spread(before.category_counts, old, sizes, total)
    or core.zeros({ data.K, total }, "f64")
  local flat, w = counts:reshape(-1), data.weights or core.ones(data.n, "f64")
  local row = (data.y - 1) * total + 1
  for j, start in ipairs(starts) do flat:index_add_(1, row + codes:select(2, j) + start, w) end
  return { category_counts = flat:reshape(data.K, total), sizes = core.tensor(sizes, "i64") }
end

-- The log probabilities (K, total + d): after those of column j stands that of a new value.
local function categorical_logs(self, learned, part)
  local alpha, out = self.settings.alpha, {}
  local sizes = part.sizes:totable()
  local K, starts = learned.counts:size(1), (starts_of(sizes))
  for j, n in ipairs(sizes) do
    local c = ops.cat({ part.category_counts:narrow(2, starts[j] + 1, n),
      core.zeros({ K, 1 }, "f64") }, 2) + alpha
    out[j] = logs(c) - logs(learned.counts + n * alpha):unsqueeze(2)
  end
  return ops.cat(out, 2), starts, sizes
end

function kinds.categorical.log_probs(self, part, learned)
  return (categorical_logs(self, learned, part))
end

function kinds.categorical.prepare(self, learned, part)
  local table_, starts, sizes = categorical_logs(self, learned, part)
  return { logs = table_, starts = starts, sizes = sizes }
end

function kinds.categorical.scores(_, x, ready)
  local codes, sum = categories("predict", x), nil
  for j, n in ipairs(ready.sizes) do
    local at = codes:select(2, j):clone()
    at[at:gt(n)] = n -- a category that is new
    local column = ready.logs:index_select(2, at + (ready.starts[j] + j))
    sum = sum and sum:add_(column) or column
  end
  return sum:t():to(x.dtype):contiguous()
end

-- -- settings -------------------------------------------------------------------------

local kind_names = { "gaussian", "bernoulli", "multinomial", "complement", "categorical" }

local function check_kind(v)
  local list = type(v) == "table" and v or { v }
  if #list == 0 then return nil, "a kind, or a list of one for each column, expected" end
  for _, name in ipairs(list) do
    if not kinds[name] then return nil, check.unknown("kind", name, kind_names) end
    if name == "complement" and #list > 1 then
      return nil, "complement does not go together with other kinds"
    end
  end
  return v
end

local rows = {
  { "kind", "gaussian", check = check_kind },
  { "alpha", 1.0, lo = 0 },
  { "var_smoothing", 1e-9, lo = 0 },
  { "binarize", 0.0, check = function(v)
    if v == false then return v end
    if type(v) ~= "number" or v ~= v then return nil, "a number, or false, expected" end
    return v
  end },
  { "norm", false },
  { "min_categories", 0, integer = true, lo = 0, hi = 1 << 24 },
  { "fit_prior", true },
  { "priors", nil, check = bayes.check_priors },
  { "threshold", 0.5, lo = 0, hi = 1 },
}

local function integers(settings)
  local list = type(settings.kind) == "table" and settings.kind or { settings.kind }
  for _, name in ipairs(list) do
    if kinds[name].integers then return "values" end
  end
end

-- Bits and categories hide what is not finite.
local function lazy(settings)
  return settings.kind ~= "bernoulli" and settings.kind ~= "categorical" and
    type(settings.kind) == "string"
end

local function learned_fields(settings)
  local out = { counts = "f64 k", priors = "f64 k" }
  if type(settings.kind) == "table" then
    out.parts = "table"
    return out
  end
  for name, text in pairs(kinds[settings.kind].fields) do out[name] = text end
  if settings.kind ~= "gaussian" then out.feature_log_probs = "?f64 k c" end
  return out
end

-- -- parts ----------------------------------------------------------------------------

-- The columns of each kind, in the order of kind_names: { { kind =, columns = i64 } }.
local function parts_of(self, d)
  local kind, parts = self.settings.kind, {}
  if type(kind) ~= "table" then return { { kind = kind } } end
  if #kind ~= d then check.fail("NaiveBayes: %d kinds for %d columns", #kind, d) end
  for _, name in ipairs(kind_names) do
    local columns = {}
    for j, k in ipairs(kind) do
      if k == name then columns[#columns + 1] = j end
    end
    if #columns > 0 then
      parts[#parts + 1] = { kind = name, columns = core.tensor(columns, "i64") }
    end
  end
  return parts
end

local function columns_of(x, part)
  return part.columns and x:index_select(2, part.columns) or x
end

-- Each part with its fields.
local function learned_parts(self, learned)
  if learned.parts then return learned.parts end
  local part = { kind = self.settings.kind }
  for name in pairs(kinds[part.kind].fields) do part[name] = learned[name] end
  return { part }
end

local function counts_of(data)
  local ones = data.weights or core.ones(data.n, "f64")
  return core.zeros(data.K, "f64"):index_add(1, data.y, ones)
end

local function learn(self, data, before)
  local parts, old = parts_of(self, data.features), before and learned_parts(self, before)
  data.before = before
  local learned = { counts = counts_of(data) }
  if before then learned.counts = learned.counts + before.counts end
  learned.priors = bayes.priors_of(self, data, learned.counts)
  for i, part in ipairs(parts) do
    local fields = kinds[part.kind].learn(self, data, columns_of(data.x, part), old and old[i])
    for name, t in pairs(fields) do part[name] = t end
  end
  if type(self.settings.kind) == "table" then
    learned.parts = parts
    return learned
  end
  for name in pairs(kinds[parts[1].kind].fields) do learned[name] = parts[1][name] end
  local log_probs = kinds[parts[1].kind].log_probs
  if log_probs then learned.feature_log_probs = log_probs(self, parts[1], learned) end
  return learned
end

-- New classes have rows of zeros in every part.
local function widen(learned, grow)
  if not learned.parts then return end
  local parts = {}
  for i, part in ipairs(learned.parts) do
    parts[i] = {}
    for name, v in pairs(part) do
      local by_class = kinds[part.kind].fields[name] and name ~= "sizes"
      parts[i][name] = by_class and grow(v) or v
    end
  end
  learned.parts = parts
end

-- -- predicting -----------------------------------------------------------------------

local function log_priors(self, learned)
  if self.settings.kind == "complement" then
    return core.zeros(learned.priors:size(1), "f64") -- its scores weigh classes already
  end
  local list = {}
  for k = 1, learned.priors:size(1) do list[k] = bayes.log_prior(learned, k) end
  return core.tensor(list, "f64")
end

local function prepared(self, learned)
  return self:cached("parts", function()
    local out = { priors = log_priors(self, learned) }
    for i, part in ipairs(learned_parts(self, learned)) do
      out[i] = kinds[part.kind].prepare(self, learned, part)
    end
    return out
  end)
end

local function log_joint(self, x, learned)
  local ready, sum = prepared(self, learned), nil
  for i, part in ipairs(learned_parts(self, learned)) do
    local scores = kinds[part.kind].scores(self, columns_of(x, part), ready[i])
    sum = sum and sum + scores or scores
  end
  return sum + ready.priors:to(x.dtype)
end

local function fit(self, data)
  local learned = learn(self, data)
  for _, part in ipairs(learned_parts(self, learned)) do -- refuses what has no answer
    learned.classes = data.classes
    if part.kind == "gaussian" then kinds.gaussian.prepare(self, learned, part) end
  end
  return learned
end

-- What a file may hold beside the fields: parts that fit the settings, sizes that add up.
local function verify(self, learned)
  local K, d = learned.classes:size(1), learned.features
  local kind = self.settings.kind
  if type(kind) == "table" and #kind ~= d then return "the kinds are not one for each column" end
  local parts = parts_of(self, d)
  for i, part in ipairs(learned_parts(self, learned)) do
    local want = parts[i]
    if not want or type(part) ~= "table" or part.kind ~= want.kind then return "wrong parts" end
    local n = want.columns and want.columns:size(1) or d
    if want.columns and not (core.is_tensor(part.columns) and part.columns.dtype == "i64" and
        check.shape(part.columns) == check.shape(want.columns) and
        part.columns:ne(want.columns):any():item() == 0) then return "wrong columns" end
    for name, text in pairs(kinds[part.kind].fields) do
      local t, dtype, sizes = part[name], text:match "^(%w+) (.*)$"
      local shape = { k = K, d = n }
      shape.t = core.is_tensor(part.sizes) and part.sizes.dtype == "i64" and
        part.sizes:sum():item() or nil
      local dims = {}
      for letter in sizes:gmatch "%a" do dims[#dims + 1] = shape[letter] or -1 end
      if not core.is_tensor(t) or t.dtype ~= dtype or check.shape(t) ~= check.shape(dims) then
        return ("%s of the %s columns does not fit"):format(name, part.kind)
      end
    end
    if part.sizes and part.sizes:min():item() < 1 then return "sizes below 1" end
  end
  return #learned_parts(self, learned) ~= #parts and "wrong parts" or nil
end

--- Naive Bayes: given its class, the features of a row are independent; the class with the
-- largest posterior is predicted.
--
-- Settings:
-- * kind: what the features are, one for all columns or a list with one for each:
--   "gaussian", real numbers; "bernoulli", present where above binarize (0; false: data are 0
--   and 1 already); "multinomial", counts, all such columns one text; "complement", counts,
--   each class judged by what the others hold; "categorical", whole numbers from 0.
-- * alpha (1): added to every count (Lidstone, Laplace).  With 0, a probability of 0 counts as
--   1e-300, so that scores stay numbers.
-- * var_smoothing (1e-9): this part of the largest variance of a column is added to all.
-- * norm (false): complement's weights are divided by their sum.
-- * min_categories (0): a categorical column has at least so many.
-- * priors: a probability for each class in ascending order of the labels; otherwise the parts
--   of the counts, or equal ones with fit_prior = false.  complement uses none.
-- * threshold (0.5): of two classes the second is predicted where its probability is above.
--
-- Learned, all f64: counts (K), priors (K), and means, variances (K, d), before smoothing;
-- feature_counts (K, d); category_counts (K, all categories) with sizes (d); feature_log_probs.
-- With several kinds these stand in parts, each with its kind and columns.
--
-- u8 and i64 data are counts and categories as they are; where no kind counts, u8 images become
-- f32 in 0..1.  A category that was never seen has the probability of one without rows.
-- partial_fit(x, y) adds rows: the result is that of one fit of all.
--
--     local m = mare.models.NaiveBayes { kind = "bernoulli", binarize = 0.5 }
--     m:fit(train.x, train.y)
--     print(m:score(test.x, test.y))
--
-- J. D. M. Rennie et al. 2003, Tackling the Poor Assumptions of Naive Bayes Text Classifiers
-- (complement); C. D. Manning, P. Raghavan and H. Schuetze 2008, Introduction to Information
-- Retrieval, 13 (multinomial, Bernoulli).
return estimator.define {
  name = "NaiveBayes", kind = "classifier", doc = "Bayes' rule with independent features",
  settings = rows, learned = learned_fields, integers = integers,
  lazy = lazy, fit = fit, partial = learn, log_joint = log_joint, widen = widen, verify = verify,
}
