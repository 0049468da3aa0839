-- stream.lua -- metrics over batches: the values of all rows, without all rows at once.
--
-- A kind of metric measures a batch and merges two measures into one; what is measured is
-- counts and sums where these are enough, otherwise (areas under curves, ranks) the
-- predictions themselves.

local core, ops = require "mare.core".functions, require "mare.ops".ops
local check = require "mare.check"
local metrics = require "mare.metrics"

local M = {}

-- -- kinds: measure(f, prediction, target, args), merge(a, b), value(measure, f, args) ------

local function add(a, b) return { sum = a.sum + b.sum, n = a.n + b.n } end

local function ratio(m) return m.sum / m.n end

-- A share of the rows: a whole number of them, so that nothing is rounded.
local share = {
  measure = function(f, p, t, args)
    local n = t:size(1)
    return { sum = math.floor(f(p, t, table.unpack(args)) * n + 0.5), n = n }
  end,
  merge = add, value = ratio,
}

-- A mean over rows, or over all values.
local function mean(count)
  return {
    measure = function(f, p, t, args)
      local n = count(p)
      return { sum = f(p, t, table.unpack(args)) * n, n = n }
    end,
    merge = add, value = ratio,
  }
end

local mean_of_rows = mean(function(p) return p:size(1) end)

-- Two classes by plain scores: a batch may have one of them alone, and its label has to say
-- which it is.
local mean_of_scores = {
  measure = function(f, p, t, args)
    local m = mean_of_rows.measure(f, p, t, args)
    if p:dim() == 1 and t.dtype == "i64" and (t:min():item() < 1 or t:max():item() > 2) then
      check.argument(2, "update", "of batches, labels 1 and 2 or a u8 mask expected, got %d",
        t:min():item() < 1 and t:min():item() or t:max():item())
    end
    return m
  end,
  merge = add, value = ratio,
}
local mean_of_values = mean(function(p) return p:numel() end)

-- What follows from the table of confusions.
local function confused(name)
  return {
    measure = function(f, p, t, args)
      local opts = args[1]
      if name ~= "confusion" then
        check.options(3, name, opts, { average = true, classes = true, positive = true })
        opts = { classes = opts and opts.classes }
      end
      return (name == "confusion" and f or metrics.confusion)(p, t, opts)
    end,
    merge = function(a, b) return a:merge(b) end,
    value = function(m, _, args)
      if name == "confusion" then return m end
      return m[name](m, args[1])
    end,
  }
end

-- Means, sums of squares about them and residuals, column by column.
-- T. F. Chan, G. H. Golub and R. J. LeVeque 1979, Updating formulae and a pairwise algorithm
-- for computing sample variances.
local r2 = {
  measure = function(f, p, t, args)
    f(p, t, table.unpack(args)) -- refuses what does not fit
    local n = t:size(1)
    p, t = p:detach():to("f64"):reshape(n, -1), t:detach():to("f64"):reshape(n, -1)
    local middle = t:mean(1)
    return { n = n, mean = middle, total = (t - middle):square():sum(1),
      residual = (p - t):square():sum(1) }
  end,
  merge = function(a, b)
    if a.mean:size(1) ~= b.mean:size(1) then
      check.argument(1, "update", "%d columns after batches of %d", b.mean:size(1), a.mean:size(1))
    end
    local n, apart = a.n + b.n, b.mean - a.mean
    return { n = n, mean = a.mean + apart * (b.n / n), residual = a.residual + b.residual,
      total = a.total + b.total + apart:square() * (a.n * b.n / n) }
  end,
  value = function(m)
    local total, sum = m.total:totable(), 0
    for i, r in ipairs(m.residual:totable()) do
      local best = r == 0 and 1 or 0
      sum = sum + (total[i] == 0 and best or 1 - r / total[i])
    end
    return sum / #total
  end,
}

local function row_text(t)
  local shape = t.shape
  table.remove(shape, 1)
  return t.dtype .. " " .. check.shape(shape)
end

-- Predictions and targets as they are, for what needs all of them.
local kept = {
  measure = function(_, p, t) return { { p:detach():clone(), t:detach():clone() } } end,
  merge = function(a, b)
    for k = 1, 2 do
      if row_text(a[1][k]) ~= row_text(b[1][k]) then
        check.argument(k, "update", "rows of %s after rows of %s", row_text(b[1][k]),
          row_text(a[1][k]))
      end
    end
    return table.move(b, 1, #b, #a + 1, table.move(a, 1, #a, 1, {}))
  end,
  value = function(m, f, args)
    local p, t = {}, {}
    for i, pair in ipairs(m) do p[i], t[i] = pair[1], pair[2] end
    local values = table.pack(f(ops.cat(p, 1), ops.cat(t, 1), table.unpack(args)))
    return values.n == 1 and values[1] or values
  end,
}

local kinds = {
  accuracy = share, top_k = share, mse = mean_of_values, mae = mean_of_values,
  log_loss = mean_of_scores, brier = mean_of_scores, r2 = r2, confusion = confused "confusion",
  precision = confused "precision", recall = confused "recall", f1 = confused "f1",
}

-- -- the stream ---------------------------------------------------------------------------

local Stream = { __name = "mare.Stream" }
Stream.__index = Stream

local function callable(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(v) == "function" or (meta and meta.__call ~= nil)
end

-- One metric from "f1", { "f1", arguments ... } or a function.
local function entry(label, v)
  local args = {}
  if callable(v) then return { name = label, f = v, kind = kept, args = args } end
  if type(v) == "table" then
    args = table.move(v, 2, #v, 1, {})
    v = v[1]
  end
  if v == "stream" or type(v) ~= "string" or not callable(metrics[v]) then
    check.argument(1, "stream", "unknown metric '%s'; known: %s", check.text(v),
      (check.names(metrics):gsub("stream, ", "")))
  end
  return { name = type(label) == "string" and label or v, f = metrics[v], args = args,
    kind = kinds[v] or kept }
end

--- Metrics of predictions that come in batches: s:update(prediction, target) for each batch,
-- then s:value(), a table name -> value for all rows seen, or s:value "f1"; s:reset() begins
-- again.  The list has names of mare.metrics, or { name, arguments }, under a name of one's own
-- if wanted; or functions (prediction, target).  Values are those of all rows at once (mse, mae,
-- r2 and log_loss up to rounding).  Counts and sums are kept of accuracy, top_k, confusion,
-- precision, recall, f1, mse, mae, r2, log_loss and brier; of the others the predictions.
-- ```
-- local s = mare.metrics.stream { "accuracy", { "f1", { average = "micro" } },
--   top3 = { "top_k", 3 } }
-- for x, y in test:batches { size = 1000 } do s:update(model(x), y) end
-- print(s:value().accuracy, s:value "top3")
-- ```
function M.new(list)
  if type(list) == "string" then list = { list } end
  if type(list) ~= "table" or next(list) == nil then
    check.argument(1, "stream", "a list of metrics expected, got %s",
      type(list) == "table" and "an empty one" or check.kind(list))
  end
  local self, seen, labels = { entries = {}, measures = {}, rows = 0 }, {}, {}
  for i, v in ipairs(list) do self.entries[i] = entry(i, v) end
  for label in pairs(list) do
    if type(label) == "string" then labels[#labels + 1] = label end
  end
  table.sort(labels)
  for _, label in ipairs(labels) do
    self.entries[#self.entries + 1] = entry(label, list[label])
  end
  for i, e in ipairs(self.entries) do
    e.name = type(e.name) == "string" and e.name or ("metric_%d"):format(i)
    if seen[e.name] then check.argument(1, "stream", "two metrics '%s'", e.name) end
    seen[e.name] = true
  end
  return setmetatable(self, Stream)
end

local function check_batch(prediction, target)
  local p, t = check.tensor(1, "update", prediction), check.tensor(2, "update", target)
  if p:dim() == 0 or t:dim() == 0 or p:size(1) ~= t:size(1) then
    check.argument(2, "update", "targets %s for predictions %s", check.shape(t), check.shape(p))
  elseif p:size(1) == 0 then
    check.argument(1, "update", "no rows (shape %s)", check.shape(p))
  end
end

-- What the stream knows after a batch; what it knew stays as it was.
local function measured(self, prediction, target)
  local scope <close> = core.scope()
  local out = {}
  for i, e in ipairs(self.entries) do
    local m = e.kind.measure(e.f, prediction, target, e.args)
    out[i] = self.measures[i] and e.kind.merge(self.measures[i], m) or m
  end
  return scope:keep(out)
end

--- Adds a batch: predictions and targets as the metrics take them.  When one of them refuses
-- it, the stream stays as it was.
function Stream:update(prediction, target)
  check_batch(prediction, target)
  self.measures = core.hold(measured, self, prediction, target)
  self.rows = self.rows + prediction:size(1)
  return self
end

--- The values of all rows so far: a table, or one of them by name.
function Stream:value(name)
  if self.rows == 0 then check.fail("'value' needs a batch; call update first") end
  local out, found = {}, false
  for i, e in ipairs(self.entries) do
    if name == nil or e.name == name then
      found = true
      out[e.name] = e.kind.value(self.measures[i], e.f, e.args)
    end
  end
  if name == nil then return out end
  if not found then
    local names = {}
    for _, e in ipairs(self.entries) do names[e.name] = true end
    check.argument(1, "value", "%s", check.unknown("metric", name, names))
  end
  return out[name]
end

--- Forgets all batches.
function Stream:reset()
  self.measures, self.rows = {}, 0
  return self
end

function Stream:__len() return self.rows end

function Stream:__tostring()
  local list = {}
  for i, e in ipairs(self.entries) do list[i] = e.name end
  return ("metrics over %d rows: %s"):format(self.rows, table.concat(list, ", "))
end

return M
