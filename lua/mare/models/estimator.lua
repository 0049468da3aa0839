-- estimator.lua -- what every estimator shares: settings at construction, checked inputs,
-- labels of any integers, a fit that either succeeds whole or changes nothing, prediction
-- from one core function, saving, printing.
--
-- An estimator is a table given to define:
--
--     return estimator.define {
--       name = "NearestMean", kind = "classifier",          -- what it does, in a line: doc
--       settings = { { "shrinkage", 0.0, lo = 0, hi = 1 } },  -- rows, see settings.lua
--       learned = { means = "f64 k d" },                    -- what fit returns, see below
--       fit = function(self, data) return { means = ... } end,
--       log_joint = function(self, x, learned) return scores end,
--       methods = { ... },                                  -- more, or instead
--     }
--
-- * kind: "classifier" (y: labels), "regressor" (y: numbers), "plain" (no y).
-- * fit(self, data) gets data = { x, n, features, weights, name (of the method) }; by kind y: codes
--   1..K (i64) with classes (i64) and K, or targets of x's type.  It returns the learned fields
--   and touches nothing else; data.cache may be what it would compute again (see cached).  x is
--   contiguous and finite; weights f64 (n) or nil.
-- * partial(self, data, before) is the same with what was learned before, or nil; a
--   classifier's fields whose first dimension is k have got rows of zeros for new classes
--   (widen(learned, grow) does so for those that stand deeper: t = grow(t)).
-- * A classifier gives log_joint(self, x, learned): (n, K) scores whose softmax are the
--   probabilities; or decision(self, x, learned): (n, K) scores, or (n) for two classes
--   that are positive for the second.  A regressor gives predict(self, x, learned).
-- * learned declares the fields: "f64 k d" a tensor, its type (f64, i64, u8, real: f32 or f64)
--   and sizes (k classes, d features, other letters: any size that agrees; *: any
--   shape); or "number", "string", "boolean", "table"; a ? in front: may be absent.  A loaded
--   file must agree.
--   Where that depends on the settings, learned is a function of them.
-- * integers = "values": u8 and i64 data are the numbers they are (f32, f64).  Without it u8
--   data are images, f32 in 0..1, and i64 data are refused.  A function of the settings says.
-- * lazy = true: x is not looked through for values that are not finite.  A fit whose result is
--   not finite then calls data.check(); scores or predictions that are not finite make predict
--   look.  A function of the settings says.
-- * verify(self, learned) may look closer at what a file held: a message, or nil.
--
-- A classifier may also give codes(self, x, learned) -> (n) i64 codes 1..K, or nil, where the
-- best class alone is less work than all scores.
-- self.settings holds the settings, self.learned what was learned, self.cache what can be
-- made again from it (a fresh table after each fit); m.NAME finds the first two.

local mare_core = require "mare.core"
local check = require "mare.check"
local settings = require "mare.models.settings"
local store = require "mare.models.store"

local core, routines, ops = mare_core.functions, mare_core.routines, mare_core.ops

local M = { kinds = {} }

-- -- inputs ---------------------------------------------------------------------------

local function check_options(position, name, opts, known)
  check.options(position, name, opts, known)
  return opts or {}
end

-- u8 images as rows of f32 in 0..1; integers as they are for what counts them.
local function to_real(self, name, x)
  if x.dtype == "f32" or x.dtype == "f64" then return x end
  local integers = self.class.integers
  if type(integers) == "function" then integers = integers(self.settings) end
  if integers == "values" then return x:to(x.dtype == "u8" and "f32" or "f64") end
  if x.dtype == "u8" then return x:to "f32" / 255 end
  check.argument(1, name, "f32, f64 or u8 tensor expected, got i64; convert it with :to \"f32\"")
end

local function check_values(name, x)
  local ok, at = routines.check_finite(x:reshape(-1))
  if ok then return end
  at = math.tointeger(at) - 1
  local d = x:size(2)
  check.argument(1, name, "%s in row %d, column %d; finite values expected",
    check.text(x[{ at // d + 1, at % d + 1 }]:item()), at // d + 1, at % d + 1)
end

-- Does the estimator see from its results that a value was not finite?
local function is_lazy(self)
  local lazy = self.class.lazy
  if type(lazy) == "function" then return lazy(self.settings) end
  return lazy
end

-- x as a contiguous f32 or f64 matrix, finite unless the estimator looks itself.
local function check_input(self, name, x, features)
  x = check.tensor(1, name, x):detach()
  if x.dtype == "u8" and x:dim() > 2 and x:numel() > 0 then
    x = x:contiguous():reshape(x:size(1), -1)
  end
  if x:dim() ~= 2 then
    check.argument(1, name, "a matrix (rows, columns) expected, got shape %s", check.shape(x))
  elseif x:size(1) == 0 or x:size(2) == 0 then
    check.argument(1, name, "no values (shape %s)", check.shape(x))
  elseif features and x:size(2) ~= features then
    check.argument(1, name, "%d columns (shape %s); the model was fitted to %d", x:size(2),
      check.shape(x), features)
  end
  x = to_real(self, name, x):contiguous()
  if not is_lazy(self) then check_values(name, x) end
  return x
end

local function whole_list(name, y)
  for i, v in ipairs(y) do
    if type(v) ~= "number" or not math.tointeger(v) then
      check.argument(2, name, "labels are whole numbers; #%d is %s", i,
        type(v) == "number" and check.text(v) or check.kind(v))
    end
  end
  return check.list(2, name, y, "i64")
end

-- Labels as i64 (n) from an i64 or u8 tensor or a list.
local function check_labels(name, y, n)
  if type(y) == "table" then y = whole_list(name, y) end
  y = check.tensor(2, name, y)
  if y.dtype ~= "i64" and y.dtype ~= "u8" then
    check.argument(2, name, "labels are whole numbers (an i64 tensor or a list), got %s; " ..
      "convert them with :to \"i64\"", check.kind(y))
  elseif y:dim() ~= 1 then
    check.argument(2, name, "one label a row (n) expected, got shape %s", check.shape(y))
  elseif y:size(1) ~= n then
    check.argument(2, name, "%d labels for %d rows", y:size(1), n)
  end
  return y:to "i64":contiguous()
end

-- Numbers of one type with x, (n) or (n, targets), from a real or integer tensor or a list.
local function check_targets(name, y, x)
  if type(y) == "table" then y = check.list(2, name, y, x.dtype) end
  y = check.tensor(2, name, y):detach()
  if y:dim() ~= 1 and y:dim() ~= 2 then
    check.argument(2, name, "targets (n) or (n, k) expected, got shape %s", check.shape(y))
  elseif y:size(1) ~= x:size(1) or y:numel() == 0 then
    check.argument(2, name, "targets %s for %d rows", check.shape(y), x:size(1))
  end
  y = y:to(x.dtype):contiguous()
  local ok, at = routines.check_finite(y:reshape(-1))
  if not ok then
    check.argument(2, name, "target %d is not finite", math.tointeger(at))
  end
  return y
end

-- f64 (n), not negative, or nil.
local function check_weights(position, name, w, n)
  if w == nil then return nil end
  if type(w) == "table" then w = check.list(position, name, w, "f64", "weights") end
  if not core.is_tensor(w) or core.isclosed(w) then
    check.argument(position, name, "weights: tensor or list expected, got %s", check.kind(w))
  end
  w = w:detach()
  if w:dim() ~= 1 or w:size(1) ~= n then
    check.argument(position, name, "weights: shape %s for %d rows", check.shape(w), n)
  end
  w = w:to "f64":contiguous()
  local bad = (w * 0):eq(0):logical_and(w:ge(0)):logical_not()
  if bad:any():item() ~= 0 then
    local at = bad:argmax():item()
    check.argument(position, name, "weights are finite and not negative; #%d is %s", at,
      check.text(w[at]:item()))
  elseif w:sum():item() <= 0 then
    check.argument(position, name, "the weights are all zero")
  end
  return w
end

-- -- classes --------------------------------------------------------------------------

local function distinct(y)
  local values = core.empty(y:size(1), "i64")
  local _, k = routines.distinct_labels(y, values)
  return values:narrow(1, 1, math.tointeger(k)):clone()
end

-- y and opts.classes as codes; before: the classes that were there.
local function encode_labels(name, data, y, before, wanted)
  local all = y
  if wanted then
    all = ops.cat({ all, check_labels(name, wanted, type(wanted) == "table" and #wanted
      or core.is_tensor(wanted) and wanted:dim() > 0 and wanted:size(1) or 0) }, 1)
  end
  if before then all = ops.cat({ before, all }, 1) end
  data.classes = distinct(all)
  data.K = data.classes:size(1)
  data.y = core.empty(data.n, "i64")
  routines.label_codes(y, data.classes, data.y)
end

-- -- learned fields -------------------------------------------------------------------

-- What a field declares: type, the letters of its sizes, whether it may be absent.
local function declared(text)
  local optional, kind, sizes = text:match "^(%??)(%w+)%s*(.*)$"
  return kind, sizes, optional == "?"
end

local function wrong_tensor(name, v, kind, sizes, known)
  local dims = {}
  for letter in sizes:gmatch "%a" do dims[#dims + 1] = letter end
  local real = v.dtype == "f32" or v.dtype == "f64"
  if kind == "real" and not real or kind ~= "real" and v.dtype ~= kind or
    sizes ~= "*" and v:dim() ~= #dims then
    return ("%s is %s %s, not %s %s"):format(name, v.dtype, check.shape(v), kind, sizes)
  end
  for d, letter in ipairs(dims) do
    known[letter] = known[letter] or v:size(d)
    if v:size(d) ~= known[letter] then
      return ("%s has shape %s; %s is %d"):format(name, check.shape(v), letter, known[letter])
    end
  end
  if real and v:numel() > 0 and v:ne(v):any():item() ~= 0 then
    return ("%s has values that are nan"):format(name)
  end
end

local function wrong_field(name, v, text, known)
  local kind, sizes, optional = declared(text)
  if v == nil then return not optional and name .. " is missing" or nil end
  if kind == "number" or kind == "string" or kind == "boolean" or kind == "table" then
    return type(v) ~= kind and ("%s is a %s, not a %s"):format(name, check.kind(v), kind) or nil
  elseif not core.is_tensor(v) then
    return ("%s is a %s, not a tensor"):format(name, type(v))
  end
  return wrong_tensor(name, v, kind, sizes, known)
end

local function schema_of(self)
  local learned = self.class.learned
  return type(learned) == "function" and learned(self.settings) or learned
end

local shared_fields = { classifier = { classes = "i64 k" }, regressor = {}, plain = {} }

-- Why learned fields cannot be those of an estimator, or nil.
local function wrong_fields(self, learned)
  local class, schema = self.class, schema_of(self)
  local d = learned.features
  if math.type(d) ~= "integer" or d < 1 then return "the number of features is missing" end
  local known = { d = d }
  for name, text in pairs(shared_fields[class.kind]) do
    local wrong = wrong_field(name, learned[name], text, known)
    if wrong then return wrong end
  end
  for name, text in pairs(schema) do
    local wrong = wrong_field(name, learned[name], text, known)
    if wrong then return wrong end
  end
  for name in pairs(learned) do
    if not (name == "features" or schema[name] or shared_fields[class.kind][name]) then
      return ("%s is unexpected"):format(check.text(name))
    end
  end
  local classes = learned.classes
  if classes and (classes:numel() == 0 or check.shape(distinct(classes)) ~= check.shape(classes)
      or classes:ne(distinct(classes)):any():item() ~= 0) then
    return "the classes do not ascend"
  end
end

local function wrong_model(self, learned)
  local verify = self.class.verify
  return wrong_fields(self, learned) or verify and verify(self, learned)
end

-- Fields by class with rows of zeros for the classes that are new.
local function widen(self, before, classes)
  if not before or before.classes:size(1) == classes:size(1) then return before end
  local at = core.empty(before.classes:size(1), "i64")
  routines.label_codes(before.classes, classes, at)
  local function grow(t)
    local shape = t.shape
    shape[1] = classes:size(1)
    return core.zeros(shape, t.dtype):index_add(1, at, t)
  end
  local out, schema = {}, schema_of(self)
  for name, v in pairs(before) do
    out[name] = v
    if schema[name] and schema[name]:find "^%??%w+ k" and core.is_tensor(v) then
      out[name] = grow(v)
    end
  end
  if self.class.widen then self.class.widen(out, grow) end
  out.classes = classes
  return out
end

-- -- fitting --------------------------------------------------------------------------

local Base = {}

M.base = Base -- for what extends its methods

-- Runs f with what it makes freed at the end, but for its result: tensor, table, number.
local function scoped(f)
  local scope <close> = core.scope()
  return scope:keep(f())
end

-- The same for what the estimator itself keeps: it outlives the user's scopes too.
local function lasting(f) return core.hold(scoped, f) end

local fit_options = {
  classifier = { weights = true, classes = true }, regressor = { weights = true },
  plain = { weights = true },
}

local function check_self(self, call)
  if not M.is_estimator(self) then check.method("an estimator", self, "model:" .. call) end
end

local function gather(self, name, x, y, opts, before)
  local class = self.class
  local plain = class.kind == "plain"
  opts = check_options(plain and 2 or 3, name, opts, fit_options[class.kind])
  x = check_input(self, name, x, before and before.features)
  local data = { x = x, n = x:size(1), features = x:size(2), name = name }
  function data.check() check_values(name, x) end
  data.weights = check_weights(plain and 2 or 3, name, opts.weights, data.n)
  if class.kind == "classifier" then
    encode_labels(name, data, check_labels(name, y, data.n), before and before.classes,
      opts.classes)
  elseif not plain then
    data.y = check_targets(name, y, x)
  end
  return data
end

--- For functions of estimators beside fit: their data, checked in the name of a function,
-- and f() with what it makes freed, but for its result.
M.gather, M.lasting = gather, lasting

local function finish(data, learned, cache)
  learned.features = data.features
  if data.classes then learned.classes = data.classes end
  return { learned = learned, cache = cache or {} }
end

-- A hook may end this between two lines: what was learned never stands beside another's cache.
local function learn(self, result)
  rawset(self, "cache", {})
  rawset(self, "learned", result.learned)
  rawset(self, "cache", result.cache)
  return self
end

--- Learns from rows x (n, d) and y; returns the estimator.  A classifier's y are labels
-- (n): any whole numbers, kept in m.classes; a regressor's are numbers.  x is f32 or f64;
-- u8 images become f32 in 0..1.  Options: weights (n), one for each row.  When something is
-- wrong the error leaves what was learned before as it was.
-- `local m = mare.models.NaiveBayes():fit(train.x, train.y)`
function Base:fit(x, y, opts)
  check_self(self, "fit(x, y)")
  if self.class.kind == "plain" then y, opts = nil, y end
  return learn(self, lasting(function()
    local data = gather(self, "fit", x, y, opts)
    if data.K and data.K < (self.class.min_classes or 2) then
      check.argument(2, "fit", "all labels are %d; %s needs at least two classes",
        data.classes[1]:item(), self.class.name)
    end
    return finish(data, self.class.learn(self, data), data.cache)
  end))
end

--- Goes on learning from more rows, as if they had been there before.  A classifier may
-- meet new labels; those that may come can be announced by classes = { ... }.
-- `for x, y in batches do m:partial_fit(x, y) end`
function Base:partial_fit(x, y, opts)
  check_self(self, "partial_fit(x, y)")
  local class = self.class
  if not class.partial then
    check.fail("%s has no partial_fit: it needs all rows at once", class.name)
  end
  if class.kind == "plain" then y, opts = nil, y end
  return learn(self, lasting(function()
    local before = rawget(self, "learned") or nil
    local data = gather(self, "partial_fit", x, y, opts, before)
    if data.classes then before = widen(self, before, data.classes) end
    return finish(data, class.partial(self, data, before), data.cache)
  end))
end

--- What was learned; raises when nothing was yet, naming the method.
function Base:ready(name)
  local learned = rawget(self, "learned")
  if not learned then
    check.fail("%s: '%s' needs a fitted model; call fit first", self.class.name, name)
  end
  return learned
end

--- For methods of estimators: x checked for the method `name`, as a contiguous matrix.
function Base:input(name, x)
  return check_input(self, name, x, self:ready(name).features)
end

--- For methods of estimators: f(x, learned) with x checked, temporaries freed.
function Base:run(name, x, f)
  local learned = self:ready(name)
  return scoped(function() return f(self:input(name, x), learned) end)
end

--- The same where x must be finite.
function Base:run_finite(name, x, f)
  return self:run(name, x, function(data, learned)
    check_values(name, data)
    return f(data, learned)
  end)
end

--- For methods of estimators: what f() makes of the learned fields, kept until the next fit.
function Base:cached(key, f)
  local cache = self.cache
  if cache[key] == nil then cache[key] = lasting(f) end
  return cache[key]
end

-- -- saving, copying, printing --------------------------------------------------------

--- Writes the fitted estimator to a safetensors file; mare.models.load reads it.  Returns
-- true, or nil and a message; the bytes without a path.
-- `assert(m:save "model.safetensors")`
function Base:save(path)
  local learned = self:ready "save"
  return store.save(path, self.class.name, { settings = self.settings, learned = learned })
end

--- A new estimator with the same settings, or some others, that has learned nothing.
-- `local wide = m:clone { shrinkage = 0.5 }`
function Base:clone(changes)
  local given = {}
  for k, v in pairs(self.settings) do given[k] = v end
  if changes ~= nil and type(changes) ~= "table" then
    check.argument(1, "clone", "table of settings expected, got %s", check.kind(changes))
  end
  for k, v in pairs(changes or {}) do given[k] = v end
  return self.class(given)
end

local function value_text(v)
  if core.is_tensor(v) then return ("%s %s"):format(v.dtype, check.shape(v)) end
  if type(v) ~= "table" then return check.text(v) end
  if v.settings then return v.name end -- another estimator
  local list = {}
  for i = 1, math.min(#v, 8) do list[i] = value_text(v[i]) end
  if #v > 8 then list[9] = "..." end
  return #v > 0 and "{ " .. table.concat(list, ", ") .. " }" or "table"
end

local function lines_of(title, names, values, width, out)
  table.sort(names)
  for i, name in ipairs(names) do
    out[#out + 1] = ("  %-8s  %s%s %s"):format(i == 1 and title or "", name,
      (" "):rep(width - #name), value_text(values[name]))
  end
end

local function keys(t, but)
  local list = {}
  for k in pairs(t) do
    if k ~= but then list[#list + 1] = k end
  end
  return list
end

local function tostring_of(self)
  local learned = rawget(self, "learned")
  local out = { self.class.name .. (learned and
    (", fitted to %d columns"):format(learned.features) or ", not fitted") }
  local given, fields = keys(self.settings), learned and keys(learned, "features") or {}
  local width = 16
  for _, names in ipairs { given, fields } do
    for _, name in ipairs(names) do width = math.max(width, #name) end
  end
  lines_of("settings", given, self.settings, width, out)
  lines_of("learned", fields, learned, width, out)
  return table.concat(out, "\n")
end

-- -- classifiers ----------------------------------------------------------------------

local Classifier = {}

-- Probabilities or their logarithms: none is nan.
local function numbers(name, p)
  local bad = p:ne(p):any(2)
  if bad:any():item() == 0 then return p end
  check.argument(1, name, "row %d is so far from what was learned that its scores overflow",
    bad:argmax():item())
end

local function need_probabilities(self, name)
  if not self.class.log_joint then
    check.fail("%s: '%s' needs probabilities, which this estimator does not have",
      self.class.name, name)
  end
end

-- Scores (n, K) or, for a decision between two, (n).
local function scores_of(self, name, x, learned)
  local class = self.class
  local scores = (class.log_joint or class.decision)(self, x, learned)
  if is_lazy(self) and not routines.check_finite(scores:reshape(-1)) then check_values(name, x) end
  return scores
end

-- (n) codes 1..K.
local function choose(self, scores)
  local threshold = self.settings.threshold
  if scores:dim() == 1 then return scores:gt(0):to "i64" + 1 end
  if threshold and threshold ~= 0.5 and scores:size(2) == 2 then
    local odds = scores:select(2, 2) - scores:select(2, 1)
    return odds:gt(math.log(threshold) - math.log(1 - threshold)):to "i64" + 1
  end
  return scores:argmax(2)
end

local function predict(self, name, x, learned)
  local codes = self.class.codes and self.class.codes(self, x, learned)
    or choose(self, scores_of(self, name, x, learned))
  return learned.classes:index_select(1, codes)
end

--- The labels (n, i64) of rows x (n, d).  With the setting threshold, the second of two
-- classes is chosen where its probability is above that.
function Classifier:predict(x)
  check_self(self, "predict(x)")
  return self:run("predict", x, function(rows, learned)
    return predict(self, "predict", rows, learned)
  end)
end

--- The probabilities (n, K) of the classes, in the order of m.classes.
function Classifier:predict_proba(x)
  check_self(self, "predict_proba(x)")
  need_probabilities(self, "predict_proba")
  return self:run("predict_proba", x, function(rows, learned)
    return numbers("predict_proba", scores_of(self, "predict_proba", rows, learned):softmax(2))
  end)
end

--- The logarithms of the probabilities.
function Classifier:predict_log_proba(x)
  need_probabilities(self, "predict_log_proba")
  return self:run("predict_log_proba", x, function(rows, learned)
    return numbers("predict_log_proba",
      scores_of(self, "predict_log_proba", rows, learned):log_softmax(2))
  end)
end

--- What predict compares.  For two classes (n): positive where the second is more likely,
-- and the logarithm of the odds if there are probabilities; otherwise (n, K) scores.
function Classifier:decision(x)
  return self:run("decision", x, function(rows, learned)
    local s = scores_of(self, "decision", rows, learned)
    if s:dim() == 2 and s:size(2) == 2 then return s:select(2, 2) - s:select(2, 1) end
    return s
  end)
end

--- The part of the rows of x that predict gives the label y.  Option: weights (n).
function Classifier:score(x, y, opts)
  check_self(self, "score(x, y)")
  opts = check_options(3, "score", opts, { weights = true })
  return self:run("score", x, function(rows, learned)
    local n = rows:size(1)
    local labels = check_labels("score", y, n)
    local right = predict(self, "score", rows, learned):eq(labels):to "f64"
    local w = check_weights(3, "score", opts.weights, n)
    return w and (right * w):sum():item() / w:sum():item() or right:mean():item()
  end)
end

-- -- regressors -----------------------------------------------------------------------

local Regressor = {}

local function predictions_of(self, name, x, learned)
  local y = self.class.predict(self, x, learned)
  if is_lazy(self) and not routines.check_finite(y:reshape(-1)) then check_values(name, x) end
  return y
end

--- The predictions of rows x (n, d), of x's type: (n), or (n, k) for k targets.
function Regressor:predict(x)
  check_self(self, "predict(x)")
  return self:run("predict", x, function(rows, learned)
    return predictions_of(self, "predict", rows, learned)
  end)
end

-- 1 - residual / total for each column, averaged.
local function r2(prediction, y, w)
  local n = y:size(1)
  prediction, y = prediction:to "f64":reshape(n, -1), y:to "f64":reshape(n, -1)
  w = w and w:reshape(n, 1) or core.ones(n, 1, "f64")
  local mean = (y * w):sum(1, true) / w:sum()
  local residual = ((y - prediction):square() * w):sum(1):totable()
  local total, sum = ((y - mean):square() * w):sum(1):totable(), 0
  for i, r in ipairs(residual) do
    sum = sum + (total[i] > 0 and 1 - r / total[i] or r == 0 and 1 or 0)
  end
  return sum / #residual
end

--- The coefficient of determination: 1 is perfect, 0 no better than the mean of y, the
-- average over several targets.  Option: weights (n).
function Regressor:score(x, y, opts)
  check_self(self, "score(x, y)")
  opts = check_options(3, "score", opts, { weights = true })
  return self:run("score", x, function(rows, learned)
    local prediction = predictions_of(self, "score", rows, learned)
    local target = check_targets("score", y, prediction)
    if check.shape(target) ~= check.shape(prediction) then
      check.argument(2, "score", "targets %s for predictions %s", check.shape(target),
        check.shape(prediction))
    end
    return r2(prediction, target, check_weights(3, "score", opts.weights, rows:size(1)))
  end)
end

-- -- defining -------------------------------------------------------------------------

local by_kind = { classifier = Classifier, regressor = Regressor, plain = {} }

local function merge(...)
  local out = {}
  for _, t in ipairs { ... } do
    for k, v in pairs(t) do out[k] = v end
  end
  return out
end

local function new(class, given)
  return setmetatable({ class = class, settings = settings.resolve(class.name, class.settings,
    given), cache = {}, learned = false }, class.metatable)
end

local function set(self, name)
  check.fail("%s: '%s' cannot be assigned; settings are given when an estimator is made, " ..
    "m:clone { %s = ... } makes one with others", self.class.name, check.text(name),
    check.text(name))
end

-- The keys of several tables, some of them nil.
local function names_of(...)
  local list = {}
  for i = 1, select("#", ...) do
    for name in pairs((select(i, ...)) or {}) do list[#list + 1] = name end
  end
  return list
end

-- KMeans:fit(x) where KMeans{}:fit(x) was meant.
local function refuse_class(class)
  check.fail("%s is a class; its settings, which may be none, make an estimator of it: " ..
    "%s { ... }:fit(...)", class.name, class.name)
end

--- Makes an estimator's class of its description: a table that is called with settings.
function M.define(class)
  class.learned = class.learned or {}
  local methods = merge(Base, by_kind[class.kind], class.methods or {})
  class.metatable = {
    __name = "mare." .. class.name, __tostring = tostring_of, __newindex = set,
    __members = function(self)
      return names_of(methods, rawget(self, "learned"), rawget(self, "settings"))
    end,
    __index = function(self, key)
      local method = methods[key]
      if method ~= nil then return method end
      local learned, v = rawget(self, "learned"), nil
      if learned then v = learned[key] end
      if v == nil then v = rawget(self, "settings")[key] end
      return v
    end,
  }
  class.learn, class.fit = class.fit, function() refuse_class(class) end
  M.kinds[class.name] = class
  return setmetatable(class, { __call = new })
end

--- For methods of estimators: the option weights, f64 (n), not negative, or nil.
M.weights = check_weights

--- Is v an estimator?
function M.is_estimator(v)
  local class = type(v) == "table" and rawget(v, "class")
  return type(class) == "table" and M.kinds[class.name] == class
end

--- An estimator of a class from the tree that store.load gives, or nil and a message.
function M.restore(class, tree)
  local ok, model = pcall(new, class, tree.settings)
  if not ok then return nil, tostring(model):match "%((.*)%)$" or tostring(model) end
  local wrong = wrong_model(model, tree.learned)
  if wrong then return nil, wrong end
  return learn(model, { learned = tree.learned, cache = {} })
end

return M
