-- evaluate.lua -- a model over a whole data set: predictions, losses, metrics.

local mare = require "mare"
local check = require "mare.check"

local M = {}

-- -- metrics -----------------------------------------------------------------------------

local function callable(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(v) == "function" or (meta and meta.__call ~= nil)
end

--- A list of { name, function } from metrics given as names of mare.metrics or as
-- { name = function(prediction, target) }; in the order given, then by name.
function M.metrics(name, metrics)
  local position = name == "fit" and 2 or 3
  local list, known = {}, mare.metrics
  if metrics == nil then return list end
  if type(metrics) ~= "table" then
    check.argument(position, name, "metrics: a list of names expected, got %s", type(metrics))
  end
  for i, entry in ipairs(metrics) do
    if not callable(known[entry]) then
      check.argument(position, name, "metrics: unknown metric '%s' (entry %d); known: %s",
        check.text(entry), i, check.names(known))
    end
    list[i] = { name = entry, fn = known[entry], each = true }
  end
  local others = {}
  for key, fn in pairs(metrics) do
    if type(key) == "string" then
      if not callable(fn) then
        check.argument(position, name, "metrics: '%s' is a %s, not a function", key, type(fn))
      end
      others[#others + 1] = { name = key, fn = fn }
    end
  end
  table.sort(others, function(a, b) return a.name < b.name end)
  return table.move(others, 1, #others, #list + 1, list)
end

-- -- batches ------------------------------------------------------------------------------

--- Is data a data set (or something else with batches)?
function M.has_batches(data)
  return type(data) == "table" and callable(data.batches)
end

--- An iterator over batches of data: a data set, or a function(epoch) that returns one.
function M.batches(name, data, options)
  if M.has_batches(data) then return data:batches(options) end
  if not callable(data) then
    check.argument(2, name, "data set%s or function that returns an iterator expected, got %s",
      name == "predict" and ", tensor, list of tensors" or "", check.kind(data))
  end
  local next_batch, state, control, closing = data(options.epoch)
  if not callable(next_batch) then
    check.argument(2, name, "the function of data returned a %s, not an iterator",
      type(next_batch))
  end
  return function()
    local x, y, weight, total = next_batch(state, control)
    control = x
    return x, y, weight, total
  end, nil, nil, closing
end

-- -- passes -------------------------------------------------------------------------------

-- Runs fn in evaluation mode and without a tape; the modes come back, error or not.
local function quietly(model, fn)
  local modes = {}
  if mare.nn.is_module(model) then
    for _, m in ipairs(model:modules()) do modes[m] = m.training end
    model:eval()
  end
  local _ <close> = setmetatable({}, { __close = function()
    for m, training in pairs(modes) do m.training = training end
  end })
  return mare.no_grad(fn)
end

local function check_model(name, model)
  if not callable(model) then
    check.argument(1, name, "module or function expected, got %s", check.kind(model))
  end
end

--- The rows of a batch: of a tensor, or of the first in a list.
function M.rows_of(x)
  return mare.is_tensor(x) and x:size(1) or type(x) == "table" and #x > 0 and M.rows_of(x[1]) or 1
end

-- Batches as one: tensors, or lists of tensors where there are several in a batch.
local function together(list)
  if type(list[1]) ~= "table" then return list[1] ~= nil and mare.cat(list, 1) or nil end
  local all = {}
  for k = 1, #list[1] do
    local parts = {}
    for i, batch in ipairs(list) do parts[i] = batch[k] end
    all[k] = mare.cat(parts, 1)
  end
  return all
end

-- The outputs of model over data, as a list of batches, the targets, and how many rows each has.
local function outputs(name, model, data, size)
  local predictions, targets, rows = {}, {}, {}
  if mare.data.is_dataset(data) then data = data:plain() end
  for x, y in M.batches(name, data, { size = size }) do
    local piece <close> = mare.scope()
    local prediction = model(x)
    if mare.is_tensor(prediction) and prediction:dim() == 0 then
      check.argument(1, name, "the model returned a scalar, not a row for each input")
    end
    predictions[#predictions + 1] = piece:keep(prediction)
    targets[#predictions], rows[#predictions] = y, M.rows_of(x)
  end
  if #predictions == 0 then check.argument(2, name, "the data have no rows") end
  return predictions, targets, rows
end

local function as_number(v) return mare.is_tensor(v) and v:numel() == 1 and v:item() or v end

-- A metric of everything into seen.  One of mare.metrics sees each output with its target.
local function measure(name, metric, p, t, seen)
  if not metric.each or type(p) ~= "table" and type(t) ~= "table" then
    seen[metric.name] = as_number(metric.fn(p, t))
    return
  end
  local outs, wants = type(p) == "table" and #p or 1, type(t) == "table" and #t or 1
  if outs ~= wants or type(p) ~= type(t) then
    check.fail("'%s': metrics: '%s' compares each output with its target, and there are %d and " ..
      "%d; give { name = function(outputs, targets) }", name, metric.name, outs, wants)
  end
  for k = 1, outs do
    seen[("%s_%d"):format(metric.name, k)] = as_number(metric.fn(p[k], t[k]))
  end
end

--- The model's outputs for all rows of a data set (or a tensor of inputs, or a list of them), as
-- one tensor, or a list where the model has several, in evaluation mode and without a tape,
-- `batch` (1000) rows at a time.
-- `local scores = train.predict(model, test)`
function M.predict(model, data, batch)
  check_model("predict", model)
  batch = check.count(3, "predict", batch or 1000)
  if mare.is_tensor(data) or type(data) == "table" and mare.is_tensor(data[1]) then
    data = check.within(2, "predict", mare.data.dataset, data)
  end
  return quietly(model, function()
    return together((outputs("predict", model, data, batch)))
  end)
end

--- The loss and the metrics of a model over a data set: { loss =, accuracy = ... }.  Metrics see
-- all rows at once; where there are several outputs and targets, those named by a string give a
-- number for each (accuracy_1, accuracy_2 ...), functions see the lists.  Options: loss (a
-- function), metrics, batch (1000).
-- ```
-- local seen = train.evaluate(model, test, { loss = mare.loss.cross_entropy,
--   metrics = { "accuracy" } })
-- print(seen.loss, seen.accuracy)
-- ```
function M.evaluate(model, data, opts)
  check_model("evaluate", model)
  check.options(3, "evaluate", opts, { loss = true, metrics = true, batch = true })
  opts = opts or {}
  local batch = check.count(3, "evaluate", opts.batch or 1000, nil, "batch")
  local metrics = M.metrics("evaluate", opts.metrics)
  if opts.loss ~= nil and not callable(opts.loss) then
    check.argument(3, "evaluate", "loss: function(prediction, target) expected, got %s",
      check.kind(opts.loss))
  end
  return quietly(model, function()
    local _ <close> = mare.scope()
    local predictions, targets, rows = outputs("evaluate", model, data, batch)
    local seen, sum, count = {}, 0, 0
    if opts.loss then
      for i, p in ipairs(predictions) do
        sum, count = sum + opts.loss(p, targets[i]):item() * rows[i], count + rows[i]
      end
      seen.loss = sum / count
    end
    if #metrics > 0 then
      local p, t = together(predictions), together(targets)
      for _, m in ipairs(metrics) do measure("evaluate", m, p, t, seen) end
    end
    return seen
  end)
end

return M
