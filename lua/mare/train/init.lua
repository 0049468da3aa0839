-- train -- the training loop, with what a long run needs: progress, validation, early stop,
-- checkpoints, resumption.  The loop itself is a dozen lines (see step below); a script may
-- as well write its own, as examples/25-fashion-mnist.lua does.

local mare = require "mare"
local check = require "mare.check"
local progress = require "mare.progress"
local sampling = require "mare.data.sampling"
local traced = require "mare.nn.traced"
local checkpoint = require "mare.train.checkpoint"
local evaluate = require "mare.train.evaluate"
local history = require "mare.train.history"

local rows_of = evaluate.rows_of

local M = { predict = evaluate.predict, evaluate = evaluate.evaluate }

-- -- options ------------------------------------------------------------------------------

local known = {
  data = true, validation = true, loss = true, optimizer = true, epochs = true, batch = true,
  shuffle = true, seed = true, steps = true, metrics = true, schedule = true, clip_norm = true,
  clip_value = true, accumulate = true, early_stop = true, checkpoint = true, resume = true,
  on_step = true, on_epoch = true, progress = true, drop_last = true, penalty = true,
  prefetch = true,
}

local function option(name, value, kind)
  if value ~= nil and type(value) ~= kind then
    check.argument(2, "fit", "%s: %s expected, got %s", name, kind, check.kind(value))
  end
  return value
end

local function count(name, value, default, lo)
  if value == nil then return default end
  local n = type(value) == "number" and math.tointeger(value)
  if not n or n < (lo or 1) then
    check.argument(2, "fit", "%s: whole number of at least %d expected, got %s", name, lo or 1,
      type(value) == "number" and check.text(value) or check.kind(value))
  end
  return n
end

local function positive(name, value)
  if option(name, value, "number") and (value ~= value or value <= 0) then
    check.argument(2, "fit", "%s: number above 0 expected, got %s", name, check.text(value))
  end
  return value
end

local function callable(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(v) == "function" or (meta and meta.__call ~= nil)
end

local function check_run(model, opts)
  if not mare.nn.is_module(model) then
    check.argument(1, "fit", "module expected, got %s", check.kind(model))
  end
  if opts == nil then check.argument(2, "fit", "table of options expected, got nothing") end
  if mare.data.is_dataset(opts) then
    check.argument(2, "fit", "table of options expected, got a data set: write { data = ... }")
  end
  check.options(2, "fit", opts, known)
  if opts.data == nil then check.argument(2, "fit", "data is missing") end
  if not callable(opts.loss) then
    check.argument(2, "fit", "loss: function(prediction, target) expected, got %s; " ..
      "mare.loss.mse is one", check.kind(opts.loss))
  elseif not mare.optim.is_optimizer(opts.optimizer) then
    check.argument(2, "fit", "optimizer: one of mare.optim expected, got %s; " ..
      "mare.optim.adam(model:parameters()) is one", check.kind(opts.optimizer))
  end
end

-- What early_stop remembers, with its options.
local function stopper(opts)
  if opts == nil then return {} end
  option("early_stop", opts, "table")
  check.options(2, "fit", opts, { patience = true, monitor = true, mode = true, min_delta = true,
    restore = true })
  if opts.mode ~= nil and opts.mode ~= "min" and opts.mode ~= "max" then
    check.argument(2, "fit", "early_stop.mode: 'min' or 'max' expected, got %s",
      check.text(opts.mode))
  end
  return { waited = 0 }, {
    patience = count("early_stop.patience", opts.patience, 3, 0),
    monitor = option("early_stop.monitor", opts.monitor, "string"),
    mode = opts.mode, restore = opts.restore ~= false,
    min_delta = option("early_stop.min_delta", opts.min_delta, "number") or 0,
  }
end

-- { path =, steps =, epochs = } from what the user gave.
local function keeper(opts)
  if opts == nil then return nil end
  if type(opts) == "string" then opts = { path = opts } end
  option("checkpoint", opts, "table")
  check.options(2, "fit", opts, { path = true, steps = true, epochs = true })
  if type(opts.path) ~= "string" then
    check.argument(2, "fit", "checkpoint: a path expected, got %s", check.kind(opts.path))
  end
  local path = opts.path:find "%.safetensors$" and opts.path or opts.path .. ".safetensors"
  return { path = path, steps = count("checkpoint.steps", opts.steps),
    epochs = count("checkpoint.epochs", opts.epochs, 1) }
end

-- How many batches an epoch has, where that can be known.
local function steps_of(opts, size)
  local n = count("steps", opts.steps)
  if n or not evaluate.has_batches(opts.data) then return n end
  local meta = getmetatable(opts.data)
  if not (meta and meta.__len) then return nil end
  local rows = #opts.data
  if mare.data.is_dataset(opts.data) then size = size * opts.data.shards end
  if opts.drop_last and rows < size then
    check.argument(2, "fit", "drop_last leaves none of %d rows in batches of %d", rows, size)
  end
  return opts.drop_last and rows // size or -(-rows // size)
end

-- What an optimizer, or one inside it, knows of other processes that train the same model
-- (mare.mpi): rank, size, mean, broadcast ...
local function team_of(optimizer)
  while type(optimizer) == "table" do
    local team = rawget(optimizer, "team")
    if team then return team end
    optimizer = rawget(optimizer, "inner")
  end
end

-- Everything a run knows.  at: the position, which checkpoints hold; batch counts the
-- batches of the epoch that were used, step the updates of the whole run.
local function new_run(model, opts)
  local size = count("batch", opts.batch, 32)
  local run = {
    model = model, optimizer = opts.optimizer, loss = opts.loss, data = opts.data,
    validation = opts.validation, epochs = count("epochs", opts.epochs, 1),
    shuffle = option("shuffle", opts.shuffle, "boolean") ~= false,
    drop_last = option("drop_last", opts.drop_last, "boolean"), seeded = opts.seed ~= nil,
    metrics = evaluate.metrics("fit", opts.metrics), schedule = opts.schedule,
    clip_norm = positive("clip_norm", opts.clip_norm),
    clip_value = positive("clip_value", opts.clip_value),
    accumulate = count("accumulate", opts.accumulate, 1), penalty = opts.penalty,
    keep = keeper(opts.checkpoint), on_step = option("on_step", opts.on_step, "function"),
    on_epoch = option("on_epoch", opts.on_epoch, "function"), history = history.new(),
    steps = steps_of(opts, size), limit = count("steps", opts.steps),
    live = option("progress", opts.progress, "boolean"),
    own = mare.data.is_dataset(opts.data), prefetch = count("prefetch", opts.prefetch, nil, 0),
    team = team_of(opts.optimizer),
    at = { epoch = 1, step = 0, batch = 0, size = size, loss = 0.0, rows = 0,
      seed = opts.seed or mare.randint(1, 1 << 31, 1, "i64"):item() },
  }
  run.stop, run.stopping = stopper(opts.early_stop)
  if math.type(run.at.seed) ~= "integer" then
    check.argument(2, "fit", "seed: integer expected, got %s", check.text(opts.seed))
  end
  if opts.penalty ~= nil and not callable(opts.penalty) then
    check.argument(2, "fit", "penalty: function expected, got %s", check.kind(opts.penalty))
  end
  if opts.prefetch ~= nil and not run.own then
    check.argument(2, "fit", "prefetch: only the batches of a data set are made ahead of time")
  end
  if option("resume", opts.resume, "boolean") and not run.keep then
    check.argument(2, "fit", "resume needs checkpoint = path")
  end
  return run
end

-- -- what is not finite ---------------------------------------------------------------------

local function finite(t) return t:sub(t):eq(0):all():item() == 1 end

-- The first layer whose output is not finite, by running the model once more.
local function broken_layer(model, x)
  local broken
  traced(model, nil, function(layer, y)
    if not broken and mare.is_tensor(y) and not finite(y) then broken = layer end
  end, x)
  for name, layer in model:named_modules() do
    if layer == broken then
      local what = name == "" and "the model" or "layer " .. name
      return ("the output of %s (%s)"):format(what, layer:describe())
    end
  end
end

local function blame(run, x)
  for name, p in run.model:named_parameters() do
    if not finite(p) then return ("parameter %s"):format(name) end
  end
  for i, t in ipairs(type(x) == "table" and x or { x }) do
    if mare.is_tensor(t) and t.dtype ~= "i64" and not finite(t) then
      return type(x) == "table" and ("input %d"):format(i) or "the input"
    end
  end
  return broken_layer(run.model, x) or "the loss of finite predictions"
end

local function refuse_loss(run, value, x)
  check.fail("'fit': the loss is %s at step %d (epoch %d): %s is not finite",
    check.text(value),
    run.at.step + 1, run.at.epoch, blame(run, x))
end

-- -- one update -----------------------------------------------------------------------------

-- The loss of one batch, checked; its gradient is added to the parameters'.
local function learn(run, x, y, share)
  local value = run.loss(run.model(x), y)
  if run.penalty then value = value + run.penalty(run.model:parameters()) end
  if not mare.is_tensor(value) or value:numel() ~= 1 then
    check.fail("'fit': the loss is a scalar, not %s", mare.is_tensor(value) and
      "a tensor of shape " .. check.shape(value) or "a " .. type(value))
  end
  local number = value:item()
  if number ~= number or number == math.huge or number == -math.huge then
    refuse_loss(run, number, x)
  end
  if share ~= 1 then value = value * share end
  value:backward()
  return number * share
end

local function collect(run, fetch)
  local batches, rows = {}, 0
  for i = 1, math.min(run.accumulate, (run.limit or math.huge) - run.at.batch) do
    local x, y, weight, total = fetch()
    if x == nil then break end
    if not run.own then weight, total = nil, nil end -- what else a user's function returns
    batches[i] = { x = x, y = y, rows = total or rows_of(x), weight = weight or 1 }
    rows = rows + batches[i].rows
  end
  return batches, rows
end

-- One update from up to `accumulate` batches, whose losses count by their rows (those of all
-- shards where there are several); false when the epoch has no more.
local function step(run, fetch)
  local batches, rows
  if not run.own then batches, rows = collect(run, fetch) end
  local _ <close> = mare.scope()
  if run.own then batches, rows = collect(run, fetch) end
  if #batches == 0 then return false end
  local at, loss = run.at, 0
  run.optimizer:zero_grad()
  for _, b in ipairs(batches) do
    loss = loss + learn(run, b.x, b.y, b.rows / rows * b.weight)
  end
  if run.clip_value then mare.optim.clip_value(run.parameters, run.clip_value) end
  if run.clip_norm then mare.optim.clip_norm(run.parameters, run.clip_norm) end
  run.optimizer:step()
  at.step, at.batch = at.step + 1, at.batch + #batches
  at.loss, at.rows = at.loss + loss * rows, at.rows + rows
  run.line:step(rows, loss)
  return true, loss
end

-- -- epochs ---------------------------------------------------------------------------------

-- A function that calls another, in which mare's random numbers depend on seed, epoch and call
-- alone: what the user's functions draw for a batch, a run that is resumed draws again.
local function repeatable(run)
  local number, at = 0, run.at
  local rank, size = run.team and run.team.rank or 0, run.team and run.team.size or 1
  return function(f, ...)
    local _ <close> = sampling.seeded(at.seed, at.epoch, number * size + rank)
    number = number + 1
    return f(...)
  end
end

local function open_data(run)
  local at = run.at
  return evaluate.batches("fit", run.data, { size = at.size, shuffle = run.shuffle,
    seed = at.seed, epoch = at.epoch, drop_last = run.drop_last,
    skip = run.own and at.batch or nil, prefetch = run.prefetch })
end

-- The batches of an epoch, from where the run is.  Only those of a data set are made and freed
-- in the scope of a step; a function's tensors are its own.
local function open_epoch(run)
  if run.own then
    local fetch, _, _, feed = open_data(run)
    return fetch, feed
  end
  local call = repeatable(run)
  local fetch, _, _, feed = call(open_data, run)
  for _ = 1, run.at.batch do call(fetch) end
  return function() return call(fetch) end, feed
end

-- Is value better than the best one so far?  What is no number never is.
local function better(stopping, best, value, monitor)
  if best == nil or value ~= value then return value == value end
  local mode = stopping.mode
  if not mode then
    local lower = monitor:find "loss" or monitor:find "mse" or monitor:find "mae"
    mode = lower and "min" or "max"
  end
  if mode == "min" then return value < best - stopping.min_delta end
  return value > best + stopping.min_delta
end

local function stop_early(run)
  if run.stopping and run.stop.waited >= math.max(run.stopping.patience, 1) then
    run.stopped = "early stop"
  end
end

local function watch(run, record)
  local stopping, stop = run.stopping, run.stop
  if not stopping then return end
  local monitor = stopping.monitor or (run.validation and "validation_loss" or "loss")
  local value = record[monitor]
  if value == nil then
    check.argument(2, "fit", "early_stop.monitor: no value '%s'; known: %s", monitor,
      check.names(record))
  end
  if better(stopping, stop.best, value, monitor) then
    stop.best, stop.best_epoch, stop.waited = value, record.epoch, 0
    if stopping.restore then
      stop.weights = {}
      for name, t in pairs(run.model:state()) do stop.weights[name] = t:clone() end
    end
  else
    stop.waited = stop.waited + 1
    stop_early(run)
  end
end

-- The values that the progress line shows beside the loss.
local function shown(record)
  local values = {}
  for name, v in pairs(record) do
    if name:find "^validation_" or name == "accuracy" then
      values[name:gsub("_", " ")] = v
    end
  end
  return next(values) and values
end

-- What is evaluated at the end of an epoch: a function of data is asked for the same epoch, and
-- for no more batches than were learnt from.
local function seen_again(run, data, limit)
  if evaluate.has_batches(data) then return data end
  return function()
    local fetch, used = evaluate.batches("fit", data, { epoch = run.at.epoch }), 0
    return function()
      used = used + 1
      if limit and used > limit then return nil end
      return fetch()
    end
  end
end

local function take_over(record, seen, prefix)
  for name, v in pairs(seen) do
    if type(v) ~= "number" then
      check.argument(2, "fit", "metrics: '%s' gave a %s, not a number", name, check.kind(v))
    end
    record[prefix .. name] = v
  end
end

-- What the processes of a team measure each for itself becomes the same on all: the loss so far
-- is their mean, running statistics (of a batch norm, say) are those of the first.
local function agree(run)
  if not run.team then return end
  run.at.loss = run.team.mean(run.at.loss)
  local buffers, state = {}, run.model:state()
  for name, t in pairs(state) do buffers[name] = t end
  for name in run.model:named_parameters() do buffers[name] = nil end
  run.team.broadcast_(buffers)
end

-- Validation, history, schedule, early stop, callback.
local function close_epoch(run)
  local at = run.at
  if at.rows == 0 then check.argument(2, "fit", "the data have no rows in epoch %d", at.epoch) end
  agree(run)
  run.line:pause()
  local record = { epoch = at.epoch, steps = at.step, loss = at.loss / at.rows,
    lr = run.optimizer.lr, seconds = mare.clock() - run.began }
  if run.validation then
    local seen = evaluate.evaluate(run.model, seen_again(run, run.validation),
      { loss = run.loss, metrics = run.named, batch = math.max(at.size, 256) })
    take_over(record, seen, "validation_")
  elseif #run.metrics > 0 then
    local seen = evaluate.evaluate(run.model, seen_again(run, run.data, run.limit),
      { metrics = run.named })
    take_over(record, seen, "")
  end
  if run.team then record = run.team.broadcast(record) end
  run.history[at.epoch] = record
  run.line:epoch(shown(record))
  if type(run.schedule) == "table" and run.schedule.report then
    run.schedule:report(record.validation_loss or record.loss)
  end
  watch(run, record)
  at.epoch, at.batch, at.loss, at.rows = at.epoch + 1, 0, 0.0, 0
  run.began = mare.clock()
  if run.on_epoch and run.on_epoch(record, run.model) == false then run.stopped = "callback" end
  if run.team and run.team.mean(run.stopped and 1.0 or 0.0) > 0 and not run.stopped then
    run.stopped = "callback" -- of another process
  end
end

local function keep(run)
  local place = ("%d %d"):format(run.at.epoch, run.at.step)
  if run.kept == place then return end
  if run.team and run.stopped ~= "interrupted" then agree(run) end
  run.kept = place
  if run.team and run.team.rank > 0 then return end
  local ok, message = checkpoint.write(run, run.keep.path)
  if not ok then
    check.fail("'fit': the checkpoint could not be written (%s); the model keeps its weights",
      message)
  end
end

local function due(run, every, n) return run.keep and every and n % every == 0 end

-- -- the run --------------------------------------------------------------------------------

local boundary = {} -- what the loop yields between two steps

local function one_step(run, fetch)
  local more, loss = step(run, fetch)
  if not more then return false end
  local at = run.at
  if run.on_step and
      run.on_step({ epoch = at.epoch, step = at.step, loss = loss }, run.model) == false then
    run.stopped = "callback"
  elseif due(run, run.keep and run.keep.steps, at.step) then
    keep(run)
  end
  return true
end

local function learn_epoch(run)
  local fetch, feed = open_epoch(run)
  local _ <close> = feed
  while not run.stopped and one_step(run, fetch) do coroutine.yield(boundary) end
end

local function loop(run)
  while run.at.epoch <= run.epochs and not run.stopped do
    learn_epoch(run)
    if run.stopped then break end
    close_epoch(run)
    if due(run, run.keep and run.keep.epochs, run.at.epoch - 1) and not run.stopped then
      keep(run)
    end
    coroutine.yield(boundary)
  end
  if run.keep then keep(run) end
end

-- Resumes the loop until it ends.  What the user's functions yield is passed on.
local function drive(thread, run)
  local ok, what = coroutine.resume(thread, run)
  while coroutine.status(thread) ~= "dead" do
    local back = what ~= boundary and coroutine.yield(what) or nil
    ok, what = coroutine.resume(thread, back)
  end
  if not ok then error(what, 0) end
end

-- lua's own Ctrl-C raises "interrupted!" in the main thread as soon as that runs again; the
-- loop runs in a coroutine, so that is between two steps, where the state is whole.
local function interrupted(message)
  return type(message) == "string" and message:find "interrupted!$" ~= nil
end

-- An error of the user's code has its place already; one of ours gets that of the call of fit.
local function rethrow(message)
  if type(message) ~= "string" or message:find "^[^\n]-:%d+: " then error(message, 0) end
  check.fail("%s", message)
end

local function run_all(run)
  local thread = coroutine.create(loop)
  local ok, message = pcall(drive, thread, run)
  if ok then return end
  local between = coroutine.status(thread) == "suspended"
  coroutine.close(thread)
  if not (between and interrupted(message)) then rethrow(message) end
  run.stopped = "interrupted"
  if run.keep then keep(run) end
end

local function prepare(run, opts)
  run.parameters, run.named = run.model:parameters(), opts.metrics
  if run.schedule then run.optimizer.lr = run.schedule end
  if run.keep and not (run.team and run.team.rank > 0) then checkpoint.try(run.keep.path) end
  run.resumed = opts.resume and checkpoint.read(run, run.keep.path) or false
  if run.team then
    run.team.broadcast_(run.model:state())
    run.at.seed = run.team.broadcast(run.at.seed)
  end
  local silent = run.live == false or (run.team ~= nil and run.team.rank > 0)
  run.line = progress.new { epochs = run.epochs, steps = run.steps or 1,
    live = (silent or not run.steps) and false or nil,
    out = silent and { write = function() end, flush = function() end } or nil }
  run.line.current = run.at.epoch
  run.line.before = (run.at.epoch - 1) * (run.steps or 0) + run.at.batch
  run.began = mare.clock()
  if run.resumed then stop_early(run) end
end

--- Trains a model; returns its history, a list of records { epoch, steps, loss, lr, seconds,
-- validation_loss, validation_accuracy ... } for each epoch, and history.stopped: "epochs",
-- "early stop", "callback" or "interrupted".  Options:
--
-- * data: a data set, or a function(epoch) that returns an iterator of x, y; loss: a function of
--   prediction and target; optimizer.  These are needed.  mare's random numbers in a function of
--   data depend on seed, epoch and batch, so that a run that is resumed draws the same.
-- * epochs (1), batch (32), shuffle (true), seed (drawn), drop_last, and prefetch of a data set's
--   batches; steps: batches of an epoch.
-- * validation: a data set; metrics: names of mare.metrics, or { name = function }, of the
--   validation set, or of the training data where there is none.
-- * Where the data set has several inputs or targets (lists), model, loss and functions of metrics
--   are given the lists; a metric named by a string compares each output with its target, and
--   accuracy_1, accuracy_2 ... are what it gives.
-- * schedule: the rate as a function of the step; one with report (plateau) is told the
--   validation loss.  accumulate: batches for one update.  clip_norm, clip_value.
-- * penalty: a function of the parameters, added to the loss.
-- * early_stop = { patience = 3, monitor = "validation_loss", mode, min_delta, restore = true }.
-- * checkpoint: a path, or { path =, steps =, epochs = 1 }; resume = true goes on from it when
--   it is there, and ends with the same bits as a run that was never stopped.
-- * on_step(e, model), on_epoch(record, model): false stops.  progress = false: no output.
--
-- With an optimizer of mare.mpi.distribute and a shard as data, all processes run this.  The
-- first writes the output and the checkpoint, from which all of them resume; records are the
-- same everywhere, with the loss of all shards.  on_step must stop on all ranks or on none.
--
-- Ctrl-C in a program run by `lua` stops after the step that is being made, with a checkpoint.  A
-- loss that is not finite is an error that names the step and the layer.
-- ```
-- local history = mare.train.fit(model, { data = train, validation = test, epochs = 5,
--   loss = mare.loss.cross_entropy, optimizer = mare.optim.adam(model:parameters()),
--   metrics = { "accuracy" }, checkpoint = "run/ck", resume = true })
-- ```
function M.fit(model, opts)
  check_run(model, opts)
  local run = new_run(model, opts)
  prepare(run, opts)
  model:train()
  run_all(run)
  if run.stop.weights and run.stopped ~= "interrupted" then model:load_state(run.stop.weights) end
  run.history.stopped = run.stopped or "epochs"
  return run.history
end

return M
