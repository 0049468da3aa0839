-- mare_side.lua -- Maré's side of the timings: mare_side.lua SECONDS [PATTERN...].
-- Prints "row<TAB>seconds for one unit of work", the rows of torch_side.py and more.

local mare = require "mare"
local nn, optim, loss = mare.nn, mare.optim, mare.loss
local clock = mare.clock

local seconds = tonumber(arg[1])
local patterns = { table.unpack(arg, 2) }
local noisy = (os.getenv "NOISY" or "") ~= "" -- see run.lua

-- Median time of one repetition, over blocks of a tenth of the budget; on a noisy
-- machine the lowest tenth of blocks of a millisecond.
local function timed(run)
  run(2)
  local start = clock()
  run(1)
  local block = noisy and 1e-3 or seconds / 10
  local reps = math.max(1, block / math.max(clock() - start, 1e-7) // 1)
  local blocks, finish = {}, clock() + seconds
  while clock() < finish or #blocks < 3 do
    start = clock()
    run(reps)
    blocks[#blocks + 1] = (clock() - start) / reps
  end
  table.sort(blocks)
  return blocks[#blocks // (noisy and 10 or 2) + 1]
end

local function wanted(name)
  for _, p in ipairs(patterns) do
    if name:find(p) then return true end
  end
  return #patterns == 0
end

-- make() gives a function of the number of repetitions.
local function row(name, make, ...)
  if not wanted(name) then return end
  print(("%s\t%.6e"):format(name, timed(make(...))))
  io.stdout:flush()
  collectgarbage()
end

local function times(step)
  return function(reps)
    for _ = 1, reps do step() end
  end
end

-- -- networks ---------------------------------------------------------------------

local function training(model, loss_of, lr)
  local opt = optim.adam(model:parameters(), { lr = lr })
  return times(function()
    local step <close> = mare.scope()
    opt:zero_grad()
    loss_of(model):backward()
    opt:step()
    return step
  end)
end

local function xor()
  local x = mare.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }
  local y = mare.tensor { { 0 }, { 1 }, { 1 }, { 0 } }
  local model = nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1) }
  return training(model, function(m) return loss.bce_logits(m(x), y) end, 0.05)
end

local function mlp56()
  local x, y = mare.randn(16, 56), mare.randn(16, 1)
  local model = nn.Sequential { nn.Linear(56, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(),
    nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 1) }
  return training(model, function(m) return loss.mse(m(x), y) end, 0.001)
end

local function mnist_net()
  return nn.Sequential { nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10) }
end

local function one_sample()
  local model, x = mnist_net(), mare.randn(1, 784)
  return function(reps)
    mare.no_grad(function()
      for _ = 1, reps do model(x) end
    end)
  end
end

local images
local function fashion(batch)
  images = images or mare.data.fashion_mnist()
  local model = mnist_net()
  local opt = optim.adam(model:parameters(), { lr = 0.001 })
  local flat = nn.Flatten()
  local function start() return images:batches { size = batch, shuffle = true } end
  local next_batch = start()
  local function draw()
    local x, y = next_batch()
    if not x or x.shape[1] < batch then
      next_batch = start()
      x, y = next_batch()
    end
    return x, y
  end
  return times(function()
    local x, y = draw() -- outside of the scope, which would close the order of an epoch
    local _ <close> = x
    local step <close> = mare.scope()
    opt:zero_grad()
    loss.cross_entropy(model(flat(x)), y):backward()
    opt:step()
    return step
  end)
end

row("xor", xor)
row("mlp56", mlp56)
row("one sample", one_sample)
for _, batch in ipairs { 32, 128 } do row("fashion " .. batch, fashion, batch) end

-- The Hessian of a loss to the 49 parameters of 4-8-1, tanh, on 16 samples.
local function hessian()
  local x, y = mare.randn(16, 4), mare.randn(16, 1)
  local params = { w = mare.randn(8, 4), b = mare.randn(8), v = mare.randn(1, 8), c = mare.randn(1) }
  local function f(p)
    return loss.mse(mare.linear(mare.linear(x, p.w, p.b):tanh(), p.v, p.c), y)
  end
  return times(function() mare.hessian(f, params) end)
end
row("hessian", hessian)

-- -- single operations --------------------------------------------------------------

local function taped_add()
  local a, b = mare.ones(4):requires_grad(), mare.ones(4):requires_grad()
  return function(reps)
    local c
    for _ = 1, reps do c = a + b end
    return c
  end
end
row("taped add", taped_add)

local function product(n)
  local a, b = mare.randn(n, n), mare.randn(n, n)
  return times(function() a:matmul(b) end)
end
for _, n in ipairs { 2, 3, 4, 6, 8, 12, 16 } do row("matmul " .. n, product, n) end
for _, n in ipairs { 64, 96, 128, 192, 256, 384, 512, 768, 1024 } do
  row("gemm " .. n, product, n)
end

-- Into a new tensor, closed after use (a count of references does that for PyTorch);
-- into one that is there.
local into = mare.out
local operations = {
  { "add", function(x, y) return x + y end, function(z, x, y) into.add(z, x, y) end },
  { "mul", function(x, y) return x * y end, function(z, x, y) into.mul(z, x, y) end },
  { "exp", function(x) return x:exp() end, function(z, x) into.exp(z, x) end },
  { "tanh", function(x) return x:tanh() end, function(z, x) into.tanh(z, x) end },
  { "sigmoid", function(x) return x:sigmoid() end, function(z, x) into.sigmoid(z, x) end },
  { "relu", function(x) return x:relu() end, function(z, x) into.relu(z, x) end },
  { "sum", function(x) return x:sum() end },
  { "argmax", function(x) return x:argmax() end },
  { "softmax", function(x) return x:softmax(2) end,
    into.softmax and function(z, x) into.softmax(z, x, 2) end },
  { "transpose", function(x) return x:t():contiguous() end,
    function(z, x) z:reshape(x:size(2), x:size(1)):copy_(x:t()) end },
  { "randn", function(x) return mare.randn(x.shape) end, function(z) z:normal_() end },
  { "copy", function(x) return x:clone() end, function(z, x) z:copy_(x) end },
}

local function operation(run, rows, columns, given)
  local x, y = mare.randn(rows, columns), mare.ones(rows, columns)
  local out = given and mare.zeros(rows, columns)
  if given then return times(function() run(out, x, y) end) end
  return times(function() local _ <close> = run(x, y) end)
end

for _, shape in ipairs { { "1e6", 1000, 1000 }, { "1e7", 10000, 1000 } } do
  local size, rows, columns = table.unpack(shape)
  for _, o in ipairs(operations) do
    local name, new, given = table.unpack(o)
    row(("%s %s new"):format(name, size), operation, new, rows, columns)
    if given then
      row(("%s %s given"):format(name, size), operation, given, rows, columns, true)
    end
  end
end

-- On what the caches of a few cores hold: the computing alone, 5e5 values.
for _, o in ipairs(operations) do
  local name, new, given = table.unpack(o)
  row(name .. " cached", operation, given or new, 500, 1000, given ~= nil)
end

-- -- optimizers on many parameters -----------------------------------------------------

local function with_gradient(...)
  local p = mare.randn(...):requires_grad()
  p.grad = mare.randn(...)
  return p
end

local function optimizer(kind, options, ...)
  local opt = optim[kind]({ with_gradient(...) }, options)
  opt.lr = 0.001
  return times(function() opt:step() end)
end

for _, o in ipairs { { "sgd" }, { "sgd momentum", { momentum = 0.9 } }, { "asgd" }, { "adagrad" },
  { "adadelta" }, { "rmsprop" }, { "rmsprop centered", { centered = true } }, { "rprop" },
  { "adam" }, { "adam amsgrad", { amsgrad = true } }, { "adamw" }, { "adamax" }, { "nadam" },
  { "radam" }, { "adabelief" }, { "lion" }, { "lars" }, { "lamb" } } do
  row("optimizer " .. o[1], optimizer, o[1]:match "%w+", o[2], 10000000)
end
row("optimizer adafactor", optimizer, "adafactor", nil, 10000, 1000)
row("optimizer muon", optimizer, "muon", nil, 1000, 1000)

-- What a step of muon multiplies: five times x x', a product of its square, one with x.
row("muon products", function()
  local x = mare.randn(1000, 1000)
  return times(function()
    for _ = 1, 5 do
      local s <close> = x:matmul(x:t())
      local q <close> = s:matmul(s)
      local _ <close> = q:matmul(x)
    end
  end)
end)

row("optimizer clip_norm", function()
  local params = { with_gradient(10000000) }
  return times(function() optim.clip_norm(params, 1) end)
end)
row("optimizer ema", function()
  local average = optim.ema({ with_gradient(10000000) }, 0.99)
  return times(function() average:update() end)
end)
