-- 35-several-processes.lua -- one model, several processes: who sees which rows, what is told.
-- ids: T9 L4
-- takes: 2 s
-- expect: 0 1e-12
-- expect: 0.93 0.99
--
-- What is asked.  A batch of 64 digits is divided among four processes: each takes every fourth
-- row and computes the gradient of its own 16.  Is the mean of the four gradients that of the
-- batch?  Then nothing else has to be told, and four processes, on one machine or on four, train
-- the very network that one process would have trained.  After Li et al. 2020, PyTorch
-- Distributed, arXiv:2006.15704.
--
-- Started by `mpirun -n 4 lua5.4 examples/35-several-processes.lua` it needs the rock mare-mpi
-- (in a checkout: make mpi-deps mpi); alone it runs without.
--
-- What is seen.  The mean of the four gradients is that of the batch, to rounding.  So four
-- processes end with the accuracy that the same script has alone, 0.96 to 0.97.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn = mare.nn
local args = lesson.options("35-several-processes.lua", "A network trained by several processes.",
  { epochs = { 15, "passes over the data" }, batch = { 64, "rows of a batch, of all processes" } })

local found, mpi = pcall(require, "mare.mpi")
local rank, size = 0, 1
if found then rank, size = mpi.init() end
local function say(...) -- one process speaks for all
  if rank == 0 then print(...) end
end

mare.seed(args.seed)
local train, test = mare.data.digits():split(0.8, { seed = args.seed, stratify = true })
local function network()
  return nn.Sequential { nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10) }
end

-- -- the mean of the gradients is the gradient of the mean ----------------------------------

local function gradients(model, x, y, weight)
  for _, p in ipairs(model:parameters()) do p:zero_grad() end
  local loss = mare.loss.cross_entropy(model(x:to "f64"), y) * weight
  loss:backward()
  local list = {}
  for i, p in ipairs(model:parameters()) do list[i] = p.grad:clone() end
  return list
end

-- The first batch of `set`, in the order that all processes know by its seed.
local function first_batch(set, rows)
  local x, y, weight = set:batches { size = rows, shuffle = true, seed = args.seed }()
  return x, y, weight or 1
end

local model = network():to "f64"
local whole = gradients(model, first_batch(train, args.batch))
local mean = {}
for r = 0, 3 do
  for i, g in ipairs(gradients(model, first_batch(train:shard(r, 4), args.batch // 4))) do
    mean[i] = mean[i] and mean[i] + g / 4 or g / 4
  end
end
local difference = 0
for i, g in ipairs(whole) do difference = math.max(difference, (g - mean[i]):abs():max():item()) end
say(("a batch of %d rows and the mean of its four shards: gradients differ by %.2g at most")
  :format(args.batch, difference))
if rank == 0 then lesson.key("largest difference of the gradients", difference) end

-- -- training, by as many as there are ---------------------------------------------------------

model = network()
local opt = mare.optim.adam(model:parameters(), { lr = 0.01 })
if size > 1 then opt = mpi.distribute(opt) end -- all begin as rank 0 does

local part = train:shard(rank, size)
local began, rows, path = mare.clock(), 0, {}
local function accuracy_of(net)
  return mare.metrics.accuracy(mare.train.predict(net, test), test.y)
end
for epoch = 1, args.epochs do
  for x, y, weight in part:batches { size = math.max(args.batch // size, 1), shuffle = true,
    seed = args.seed, epoch = epoch } do
    local _ <close> = mare.scope()
    opt:zero_grad()
    local loss = mare.loss.cross_entropy(model(x), y) * (weight or 1)
    loss:backward()                               -- sums begin while this still runs
    opt:step()                                    -- by the mean of all processes' gradients
    rows = rows + #y
  end
  path[epoch] = rank == 0 and accuracy_of(model) or 0
end
local seconds = mare.clock() - began

-- -- who did what --------------------------------------------------------------------------------

local seen = size > 1 and mpi.allgather(rows) or { rows }
for r = 1, size do say(("rank %d of %d saw %d rows"):format(r - 1, size, seen[r])) end
say(("%.2f s, %.0f %% of it for communication"):format(seconds,
  size > 1 and 100 * opt.communicating / seconds or 0))

if rank == 0 then
  lesson.picture(mare.plot.line(path, { title = "digits, rows shared out", xlabel = "epoch",
    labels = { size .. (size > 1 and " processes" or " process") },
    ylabel = "unseen accuracy" }), "35-training")
  lesson.key("accuracy on unseen digits", path[#path])
end
if found then mpi.finalize() end
