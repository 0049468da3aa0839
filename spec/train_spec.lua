-- train_spec.lua -- mare.train: the loop, what stops it, and runs that are killed.

local mare = require "mare"
local support = require "spec.support"

local nn, train, demand = mare.nn, mare.train, support.demand
local bytes = support.read

local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p " .. folder)

teardown(function() os.execute("rm -r " .. folder) end)

-- Points of two classes that a line separates.
local function points(n, seed)
  mare.seed(seed or 1)
  local x = mare.randn(n, 2)
  local y = x:select(2, 1):gt(x:select(2, 2)):to "i64" + 1
  return mare.data.dataset(x, y)
end

local function network() return nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2) } end

local function options(model, more)
  local opts = { data = points(200), loss = mare.loss.cross_entropy, seed = 5, progress = false,
    optimizer = mare.optim.sgd(model:parameters(), { lr = 0.5 }) }
  for k, v in pairs(more or {}) do opts[k] = v end
  return opts
end

local function fit(more, seed)
  mare.seed(seed or 2)
  local model = network()
  return train.fit(model, options(model, more)), model
end

local function bits(model)
  local list = {}
  for name, p in model:named_parameters() do list[#list + 1] = name .. p:tobytes() end
  return table.concat(list)
end

describe("train.fit", function()
  it("is the plain loop", function()
    local _, model = fit { epochs = 3, batch = 30 }
    mare.seed(2)
    local plain = network()
    local opt = mare.optim.sgd(plain:parameters(), { lr = 0.5 })
    for epoch = 1, 3 do
      for x, y in points(200):batches { size = 30, shuffle = true, seed = 5, epoch = epoch } do
        opt:zero_grad()
        mare.loss.cross_entropy(plain(x), y):backward()
        opt:step()
      end
    end
    assert.equal(bits(plain), bits(model))
  end)

  it("records losses, rates and metrics", function()
    local test = points(100, 9)
    local history, model = fit { epochs = 4, validation = test, metrics = { "accuracy",
      wrong = function(p, y) return 1 - mare.metrics.accuracy(p, y) end } }
    assert.equal(4, #history)
    assert.equal("epochs", history.stopped)
    assert.is_true(history[4].loss < history[1].loss)
    assert.same({ 7, 14, 21, 28 }, history:values "steps")
    local seen = train.evaluate(model, test, { loss = mare.loss.cross_entropy,
      metrics = { "accuracy" }, batch = 100 })
    support.same({ history[4].validation_loss, history[4].validation_accuracy },
      { seen.loss, seen.accuracy }, 1e-6, "the last record")
    support.same({ history[4].validation_wrong }, { 1 - seen.accuracy }, 1e-12, "own metric")
    assert.equal(0.5, history[1].lr)
    assert.truthy(tostring(history):find "validation_accuracy")
  end)

  it("writes its history", function()
    local history = fit { epochs = 2, metrics = { "accuracy" } }
    assert(history:csv(folder .. "/h.csv"))
    local lines = {}
    for line in io.lines(folder .. "/h.csv") do lines[#lines + 1] = line end
    assert.equal("epoch,steps,loss,accuracy,lr,seconds", lines[1])
    assert.equal(history[2].loss, tonumber(lines[3]:match "^2,14,([^,]*),"))
    assert(history:jsonl(folder .. "/h.jsonl"))
    assert.truthy(io.lines(folder .. "/h.jsonl")():find('{"epoch": 1, "steps": 7, "loss": ', 1, true))
    local ok, message = history:csv(folder .. "/nowhere/h.csv")
    assert.is_nil(ok)
    assert.truthy(message:find "No such file")
    for _, write in ipairs { history.csv, history.jsonl } do
      ok, message = write(history, "/dev/full")
      assert.is_nil(ok)
      assert.truthy(message:find "No space left")
      ok, message = write(history, folder)
      assert.is_nil(ok)
      assert.truthy(message:find "Is a directory")
    end
  end)

  it("accumulates batches into the gradient of their union", function()
    local function run(more)
      more.shuffle = false
      local _, model = fit(more)
      return support.flat(model:parameters()[2])
    end
    local whole, parts = run { batch = 60, epochs = 2 }, run { batch = 20, accumulate = 3, epochs = 2 }
    support.same(parts, whole, 1e-6, "weights")
  end)

  it("clips, and adds a penalty", function()
    local history, model = fit { epochs = 1, clip_value = 1e-3 }
    assert.equal(1, #history)
    for _, p in ipairs(model:parameters()) do
      assert.is_true(p.grad:abs():max():item() <= support.single(1e-3))
    end
    local plain = fit { epochs = 1 }
    local with = fit { epochs = 1, penalty = function(ps) return mare.loss.l2(ps) * 0.1 end }
    assert.is_true(with[1].loss > plain[1].loss)
  end)

  it("takes functions that return iterators, and a number of steps", function()
    local epochs = {}
    local function data(epoch)
      epochs[#epochs + 1] = epoch
      return function() return mare.ones(4, 2), mare.ones(4, "i64") end
    end
    local history = fit { data = data, steps = 5, epochs = 3 }
    assert.same({ 1, 2, 3 }, epochs)
    assert.same({ 5, 10, 15 }, history:values "steps")
  end)

  it("measures a function's data by as many batches of the same epoch", function()
    local asked = {}
    local function data(epoch)
      asked[#asked + 1] = epoch
      return function() return mare.ones(4, 2), mare.ones(4, "i64") end
    end
    local rows = 0
    local history = fit { data = data, steps = 3, epochs = 2,
      metrics = { rows = function(p) rows = p:size(1) return rows end } }
    assert.same({ 1, 1, 2, 2 }, asked)
    assert.same({ 12, 12 }, history:values "rows")
    asked = {}
    fit { epochs = 2, validation = function(epoch)
      asked[#asked + 1] = epoch
      return points(8):batches { size = 4 }
    end }
    assert.same({ 1, 2 }, asked)
  end)

  it("takes metrics that are tensors of one value, and no tables", function()
    local history = fit { metrics = { mean = function(p) return p:mean() end } }
    assert.equal("float", math.type(history[1].mean))
    support.fails("train_spec.lua", function() fit { metrics = { "confusion" } } end,
      "bad argument #2 to 'fit' (metrics: 'confusion' gave a table, not a number")
    support.fails("train_spec.lua", function() fit { drop_last = true, batch = 201 } end,
      "drop_last leaves none of 200 rows in batches of 201")
    support.fails("train_spec.lua", function() fit { data = mare.ones(3, 2) } end,
      "data set or function that returns an iterator expected, got f32 tensor")
    support.fails("train_spec.lua", function() train.predict(nil, points(3)) end,
      "bad argument #1 to 'predict' (module or function expected, got nil)")
  end)

  it("stops early with the best weights", function()
    local best, seen = nil, {}
    mare.seed(2)
    local model = network()
    local history = train.fit(model, options(model, { epochs = 50,
      metrics = { bad = function()
        seen[#seen + 1] = #seen < 3 and 10 - #seen or 20
        return seen[#seen]
      end },
      early_stop = { patience = 2, monitor = "bad", mode = "min" },
      on_epoch = function(e) if e.epoch == 3 then best = bits(model) end end }))
    assert.equal("early stop", history.stopped)
    assert.equal(5, #history)
    assert.equal(best, bits(model))
  end)

  it("takes no nan for the best value", function()
    local epoch, best = 0, nil
    local history, model = fit { epochs = 50,
      metrics = { bad = function()
        epoch = epoch + 1
        return epoch == 2 and 5 or epoch == 3 and 6 or 0 / 0
      end },
      early_stop = { patience = 2, monitor = "bad", mode = "min" },
      on_epoch = function(e, m) if e.epoch == 2 then best = bits(m) end end }
    assert.equal(4, #history)
    assert.equal(best, bits(model))
  end)

  it("tells a plateau schedule the loss, and counts steps for others", function()
    local rate = mare.schedule.plateau(0.1, { patience = 0, threshold = 1e9 })
    local history = fit { epochs = 3, schedule = rate }
    support.same(history:values "lr", { 0.1, 0.1, 0.01 }, 1e-12, "rates")
    history = fit { epochs = 2, schedule = function(step) return 1 / step end }
    support.same(history:values "lr", { 1 / 7, 1 / 14 }, 1e-12, "rates")
  end)

  it("stops when a callback says so", function()
    local history = fit { epochs = 9, on_epoch = function(e) return e.epoch < 2 end }
    assert.equal(2, #history)
    assert.equal("callback", history.stopped)
    local steps = 0
    fit { epochs = 9, on_step = function(e) steps = e.step return e.step < 3 end }
    assert.equal(3, steps)
  end)

  it("passes on what callbacks yield", function()
    local yielded = {}
    local thread = coroutine.wrap(function()
      fit { epochs = 1, on_step = function(e) coroutine.yield(e.step) end }
      return "done"
    end)
    for _ = 1, 8 do yielded[#yielded + 1] = thread() end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, "done" }, yielded)
  end)

  it("leaves the modes of modules and no memory behind", function()
    local data = points(500)
    local function run()
      local model = network()
      train.fit(model, options(model, { data = data, validation = data, epochs = 3 }))
      assert.is_true(model.training)
    end
    run()
    local before = support.live()
    run()
    assert.equal(before, support.live())
  end)

  it("names the step and the layer when a loss is not finite", function()
    local model = network()
    local place = "train_spec.lua:" .. debug.getinfo(1, "l").currentline + 2
    support.fails(place, function()
      train.fit(model, options(model, { loss = function(p, y)
        return mare.loss.cross_entropy(p / 0, y)
      end }))
    end, "'fit': the loss is nan at step 1 (epoch 1)")
    local count = 0
    model[2] = nn.Lambda(function(x)
      count = count + 1
      return count > 2 and x * math.huge or x
    end, "Grow")
    support.fails(nil, function() train.fit(model, options(model)) end,
      "at step 3 (epoch 1): the output of layer 2 (Grow) is not finite")
    local Block = nn.Module:extend("Block", {
      init = function(self) self.inner = { nn.Linear(2, 2), nn.Lambda(mare.log, "Log") } end,
      forward = function(self, x) return self.inner[2](self.inner[1](x)) end,
    })
    local Net = nn.Module:extend("Net", {
      init = function(self, block) self.block, self.last = block, nn.Linear(2, 2) end,
      forward = function(self, x) return self.last(self.block and self.block(x) or x / 0) end,
    })
    model = Net(Block())
    support.fails(nil, function() train.fit(model, options(model)) end,
      "the output of layer block.inner.2 (Log) is not finite")
    assert.equal("Net", getmetatable(model).__name)
    model = Net()
    support.fails(nil, function() train.fit(model, options(model)) end,
      "the output of layer last (Linear(2 -> 2)) is not finite")
    model = network()
    mare.no_grad(function() model[3].bias:fill_(0 / 0) end)
    support.fails(nil, function() train.fit(model, options(model)) end, "parameter 3.bias is not finite")
  end)

  it("refuses what it cannot use", function()
    local model = network()
    local function bad(text, more, m)
      support.fails("train_spec.lua", function() train.fit(m or model, options(model, more)) end, text)
    end
    bad("bad argument #1 to 'fit' (module expected, got number)", {}, 3)
    bad("unknown option 'epoch'; did you mean 'epochs'? known: accumulate, batch", { epoch = 3 })
    bad("epochs: whole number of at least 1 expected, got 0", { epochs = 0 })
    bad("batch: whole number of at least 1 expected, got 1.5", { batch = 1.5 })
    bad("loss: function(prediction, target) expected, got string", { loss = "mse" })
    bad("optimizer: one of mare.optim expected, got string", { optimizer = "adam" })
    bad("metrics: unknown metric 'acuracy' (entry 1); known: accuracy", { metrics = { "acuracy" } })
    bad("clip_norm: number above 0 expected, got -1", { clip_norm = -1 })
    bad("clip_norm: number above 0 expected, got nan", { clip_norm = 0 / 0 })
    bad("resume needs checkpoint = path", { resume = true })
    for _, name in ipairs { "shuffle", "progress", "drop_last", "resume" } do
      bad(name .. ": boolean expected, got string", { [name] = "yes" })
    end
    bad("early_stop.mode: 'min' or 'max' expected, got up", { early_stop = { mode = "up" } })
    bad("early_stop.monitor: no value 'acc'; known: epoch, loss, lr, seconds, steps",
      { early_stop = { monitor = "acc" } })
    bad("the loss is a scalar, not a tensor of shape 32", { loss = function(p, y)
      return mare.loss.cross_entropy(p, y, { reduction = "none" }) end })
    bad("data set or function that returns an iterator expected, got number", { data = 3 })
    bad("the data have no rows in epoch 1", { data = function() return function() end end })
    support.fails("train_spec.lua", function() train.fit(model) end, "table of options expected")
    support.fails("train_spec.lua:" .. debug.getinfo(1, "l").currentline + 1, function()
      train.fit(model, options(model, { loss = function() error "mine" end })) end, "mine")
  end)
end)

-- -- several inputs and targets ------------------------------------------------------------

local Twins = nn.Module:extend("Twins", {
  init = function(self)
    self.left, self.right, self.sum = nn.Linear(2, 4), nn.Linear(3, 4), nn.Linear(4, 1)
    self.class = nn.Linear(4, 3)
  end,
  forward = function(self, x)
    local h = (self.left(x[1]) + self.right(x[2])):tanh()
    return { self.class(h), self.sum(h):squeeze(2) }
  end,
})

local function pairs_of(n)
  mare.seed(6)
  local a, b = mare.randn(n, 2), mare.randn(n, 3)
  local class = mare.cat({ a, b }, 2):narrow(2, 2, 3):argmax(2)
  return mare.data.dataset({ a, b }, { class, a:sum(2) - b:sum(2) }), { a, b }, class
end

local function both(p, t) return mare.loss.cross_entropy(p[1], t[1]) + mare.loss.mse(p[2], t[2]) end

describe("a model of several inputs and targets", function()
  local data, inputs, class = pairs_of(120)

  local function run(model, more)
    local opts = { data = data, loss = both, seed = 3, batch = 16, epochs = 4, progress = false,
      optimizer = mare.optim.adam(model:parameters(), { lr = 0.02 }) }
    for k, v in pairs(more or {}) do opts[k] = v end
    return train.fit(model, opts)
  end

  it("is trained, measured for each target, and stopped by one of them", function()
    local model = Twins()
    local history = run(model, { epochs = 30, validation = data,
      metrics = { size = function(p, t) return #p * 10 + #t end },
      early_stop = { monitor = "validation_loss", patience = 30 } })
    assert.is_true(history[#history].validation_loss < 0.6 * history[1].validation_loss)
    assert.equal(22, history[1].validation_size)
    local seen = train.evaluate(model, data, { loss = both, batch = 50,
      metrics = { first = function(p, t) return mare.metrics.accuracy(p[1], t[1]) end } })
    local p = train.predict(model, data, 50)
    assert.near(both(p, { class, data.y[2] }):item(), seen.loss, 1e-5)
    assert.equal(mare.metrics.accuracy(p[1], class), seen.first)
    local q = train.predict(model, inputs)
    for k = 1, 2 do
      assert.same({ 120, k == 1 and 3 or nil }, p[k].shape)
      assert.equal(p[k]:tobytes(), q[k]:tobytes())
    end
  end)

  it("has a number of each metric named by a string for each output", function()
    local twice = mare.data.dataset({ inputs[1], inputs[2] }, { class, class })
    local Classes = Twins:extend("Classes", { forward = function(self, x)
      local h = (self.left(x[1]) + self.right(x[2])):tanh()
      return { self.class(h), self.class(h) * -1 }
    end })
    local model = Classes()
    local seen = train.evaluate(model, twice, { metrics = { "accuracy", "top_k" } })
    local p = train.predict(model, twice)
    assert.equal(mare.metrics.accuracy(p[1], class), seen.accuracy_1)
    assert.equal(mare.metrics.accuracy(p[2], class), seen.accuracy_2)
    assert.equal(1, seen.top_k_2)
    assert.is_nil(seen.accuracy)
    local history = train.fit(model, { data = twice, validation = twice, progress = false, epochs = 2,
      loss = function(a, t) return mare.loss.cross_entropy(a[1], t[1]) end, metrics = { "accuracy" },
      optimizer = mare.optim.sgd(model:parameters()),
      early_stop = { monitor = "validation_accuracy_2", patience = 5 } })
    assert.is_true(history[2].validation_accuracy_1 >= 0)
    local single = mare.data.dataset(inputs, class)
    support.fails("train_spec.lua", function()
      train.evaluate(model, single, { metrics = { "accuracy" } })
    end, "metrics: 'accuracy' compares each output with its target, and there are 2 and 1; give { name = ")
  end)

  it("goes on from a checkpoint with the same bits, and is rebuilt from what it saved", function()
    mare.seed(8)
    local whole = Twins()
    run(whole)
    mare.seed(8)
    run(Twins(), { checkpoint = folder .. "/twins", on_step = function(e) return e.step < 13 end })
    local model = Twins()
    run(model, { checkpoint = folder .. "/twins", resume = true, prefetch = 2 })
    assert.equal(bits(whole), bits(model))
    assert(model:save(folder .. "/twins-model.safetensors"))
    local again = Twins()
    assert(nn.load(again, folder .. "/twins-model.safetensors"))
    assert.equal(bits(whole), bits(again))
  end)

  it("is told which input is not finite", function()
    local broken = inputs[2]:clone()
    broken[{ 1, 1 }] = 0 / 0
    support.fails("train_spec.lua", function()
      run(Twins(), { data = mare.data.dataset({ inputs[1], broken }, data.y), batch = 120 })
    end, "the loss is nan at step 1 (epoch 1): input 2 is not finite")
  end)
end)

-- -- checkpoints -----------------------------------------------------------------------

local function resumed(model, more)
  more.checkpoint = folder .. "/ck"
  return train.fit(model, options(model, more))
end

describe("a checkpoint", function()
  before_each(function() os.remove(folder .. "/ck.safetensors") end)

  it("goes on with the same bits in the middle of an epoch", function()
    local _, want = fit { epochs = 3, accumulate = 2 }
    mare.seed(2)
    local first = resumed(network(), { epochs = 3, accumulate = 2,
      on_step = function(e) return e.step < 5 end })
    assert.equal("callback", first.stopped)
    mare.seed(99)
    local model = network()
    local history = resumed(model, { epochs = 3, accumulate = 2, resume = true })
    assert.equal(bits(want), bits(model))
    assert.equal(3, #history)
  end)

  it("goes on with the same bits where functions draw their batches by chance", function()
    local rows = points(64)
    local function noisy()
      local order, at = mare.randperm(64), 0
      return function()
        at = at + 8
        if at > 64 then return nil end
        local x, y = rows:batch(order:narrow(1, at - 7, 8))
        return x + mare.randn(x.shape), y
      end
    end
    local sources = { noisy, mare.data.generator(function()
      local i = 0
      return function()
        i = i + 1
        if i <= 64 then return rows.x[i] + mare.randn(2), rows.y[i]:item() end
      end
    end, { buffer = 10 }) }
    for k, source in ipairs(sources) do
      local function run(path, upto)
        mare.seed(2)
        local model = nn.Sequential { nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 2) }
        train.fit(model, options(model, { data = source, batch = 8, epochs = 3, checkpoint = path,
          resume = path ~= nil, on_step = upto and function(e) return e.step < upto end }))
        return bits(model)
      end
      local whole, path = run(), ("%s/drawn%d"):format(folder, k)
      run(path, 4)
      run(path, 13)
      assert.equal(whole, run(path))
    end
  end)

  it("goes on with the same bits under wrappers, from functions and with a plateau", function()
    local optim = mare.optim
    local function run(path, upto, plateau)
      mare.seed(2)
      local model, data = network(), points(64)
      local opt = optim.adam(model:parameters(), { lr = 0.05 })
      if not plateau then opt = optim.ema(optim.accumulate(optim.clip_norm(opt, 0.1), 3), 0.9) end
      train.fit(model, options(model, { optimizer = opt, epochs = 4, batch = 8, checkpoint = path,
        resume = path ~= nil, data = function(epoch) return data:batches { size = 8, seed = epoch } end,
        schedule = plateau and mare.schedule.plateau(0.05, { patience = 0 }),
        on_step = upto and function(e) return e.step < upto end }))
      local average = {}
      for i, t in ipairs(plateau and {} or opt.shadow) do average[i] = t:tobytes() end
      return bits(model) .. table.concat(average), opt.lr
    end
    for _, plateau in ipairs { false, true } do
      local whole, rate = run(nil, nil, plateau)
      for _, upto in ipairs { 1, 8, 13 } do
        local path = ("%s/wrapped-%s-%d"):format(folder, plateau, upto)
        run(path, upto, plateau)
        local again, last = run(path, nil, plateau)
        assert.equal(whole, again)
        assert.equal(rate, last)
      end
    end
  end)

  it("of another optimizer's state leaves the model as it was", function()
    local model = network()
    local opt = mare.optim.adam(model:parameters())
    train.fit(model, options(model, { optimizer = opt, checkpoint = folder .. "/other" }))
    local other = network()
    local before = bits(other)
    assert.is_false(pcall(train.fit, other, options(other, { checkpoint = folder .. "/other",
      optimizer = mare.optim.ema(mare.optim.adam(other:parameters())), resume = true })))
    assert.equal(before, bits(other))
  end)

  it("is refused when it does not fit", function()
    resumed(network(), { epochs = 1 })
    local function bad(text, model, more)
      more.resume = true
      support.fails("train_spec.lua", function() resumed(model, more) end, text)
    end
    local other = nn.Sequential { nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2) }
    local before = bits(other)
    bad("does not fit the model (1.bias is 8, 4 expected", other, {})
    assert.equal(before, bits(other))
    bad("was made with batches of 32, not 16", network(), { batch = 16 })
    bad("was made with the seed 5, not 6", network(), { seed = 6 })
    local model = network()
    bad("was made with the optimizer sgd, not adam", model,
      { optimizer = mare.optim.adam(model:parameters()) })
    assert(mare.save(folder .. "/ck.safetensors", { a = mare.ones(1) }))
    bad("is no checkpoint of a training run", network(), {})
    local file = assert(io.open(folder .. "/ck.safetensors", "wb"))
    file:write(("\255"):rep(100))
    file:close()
    bad("cannot be read", network(), {})
  end)

  it("that cannot be written is an error, and the model keeps its weights", function()
    local model, steps = network(), 0
    local before = bits(model)
    support.fails("train_spec.lua", function()
      train.fit(model, options(model, { checkpoint = folder .. "/nowhere/ck",
        on_step = function() steps = steps + 1 end }))
    end, "the checkpoint could not be written (" .. folder ..
      "/nowhere/ck.safetensors: No such file or directory)")
    assert.equal(0, steps)
    assert.equal(before, bits(model))
  end)

  it("that cannot be opened is no reason to begin again", function()
    local link = folder .. "/loop.safetensors"
    os.execute(("ln -s loop.safetensors %s"):format(link))
    support.fails("train_spec.lua", function()
      local model = network()
      train.fit(model, options(model, { checkpoint = folder .. "/loop", resume = true }))
    end, "cannot be read: " .. link)
    os.remove(link)
  end)
end)

-- -- other processes -------------------------------------------------------------------

local script = "lua5.4 spec/train/run.lua"

local function shell(command)
  local pipe = io.popen("ASAN_OPTIONS=detect_leaks=0 sh -c '" .. command .. "' 2>&1")
  local text = pipe:read "a"
  pipe:close()
  return text
end

describe("a run in a process of its own", function()
  local want

  setup(function()
    local text = shell(("mkdir -p %s/w; %s %s/a %s/w/a.safetensors"):format(folder, script, folder, folder))
    demand(text:find "epochs\t6", "%s", text)
    want = bytes(folder .. "/w/a.safetensors")
  end)

  it("ends with the same bits when it was killed at forty moments", function()
    local random = support.sequence(4)
    local killed = 0
    for i = 1, 40 do
      local text = shell(("%s %s/k %s/k.w 6 0.002 & pid=$!; sleep %.3f; kill -9 $pid && wait $pid")
        :format(script, folder, folder, random(0.02, 0.12)))
      if not text:find "epochs" then killed = killed + 1 end
      demand(not text:find "lua5.4:", "run %d: %s", i, text)
    end
    demand(killed >= 5, "only %d runs were killed", killed)
    local text = shell(("%s %s/k %s/k.w"):format(script, folder, folder))
    demand(text:find "epochs\t6", "%s", text)
    assert.equal(want, bytes(folder .. "/k.w"))
  end)

  it("stops at Ctrl-C after a step, with a checkpoint", function()
    local text = shell(("%s %s/c %s/c.w 100000 0.001 & pid=$!; sleep 0.7; kill -INT $pid; wait $pid")
      :format(script, folder, folder))
    demand(text:find "^interrupted", "%s", text)
    local _, metadata = assert(mare.load(folder .. "/c.safetensors"))
    assert.is_true(tonumber(metadata["at.step"]) > 0)
  end)

  it("keeps the old checkpoint when the disk is full", function()
    shell(("%s %s/d %s/d.w 1"):format(script, folder, folder))
    local before = bytes(folder .. "/d.safetensors")
    local text = shell(('trap "" XFSZ; ulimit -f 1; %s %s/d %s/d.w 3'):format(script, folder, folder))
    demand(text:find "the checkpoint could not be written", "%s", text)
    assert.equal(before, bytes(folder .. "/d.safetensors"))
  end)
end)
