-- train.lua -- what the specs of mare.mpi run: a few epochs of a small network at f64, by one
-- process or several.  train.lua BATCH RUN ...: rows of a batch in each process, then runs, words
-- joined by commas; of each rank 0 prints the losses and weights as hexadecimal numbers.  Words:
-- plain, fit, clip, accumulate, small (buckets of 1 KB), uneven (rows that no batch size
-- divides), unused (a parameter that one rank reaches, at times), norm (a batch norm),
-- checkpoint=PATH (with fit, resumed where it is there), stop=N (all ends after N updates).

local mare = require "mare"
local mpi = require "mare.mpi"
local nn = mare.nn

local rank, size = mpi.init()
local batch = tonumber(arg[1])

local function words(text)
  local on = {}
  for word in text:gmatch "[^,]+" do
    local name, value = word:match "^(%w+)=?(.*)$"
    on[name] = value
  end
  return on
end

local function dataset(rows)
  mare.seed(5)
  local x = mare.randn({ rows, 6 }, "f64")
  local y = (x:select(2, 1) * x:select(2, 2)):gt(0):to "i64" + 1
  return mare.data.dataset(x, y)
end

local function network(on)
  mare.seed(rank == 0 and 7 or 100 + rank) -- what the ranks begin with differs ...
  local middle = on.norm and nn.BatchNorm1d(16) or nn.Linear(16, 16)
  local net = nn.Sequential { nn.Linear(6, 16), nn.Tanh(), middle, nn.Tanh(), nn.Linear(16, 2) }
  return net:to "f64"
end

-- ... and is made the same here.
local function optimizer_of(on, params)
  local opt = mare.optim.adam(params, { lr = 0.01 })
  if on.accumulate and not on.fit then opt = mare.optim.accumulate(opt, 2) end
  opt = mpi.distribute(opt, on.small and { bucket = 0.001 } or nil)
  if on.clip and not on.fit then opt = mare.optim.clip_norm(opt, 0.05) end
  return opt
end

local function by_hand(on, net, part, opt, spare)
  for epoch = 1, 3 do
    for x, y, weight in part:batches { size = batch, shuffle = true, seed = 3, epoch = epoch } do
      opt:zero_grad()
      local loss = mare.loss.cross_entropy(net(x), y) * (weight or 1)
      if on.unused and epoch == 2 and rank == size - 1 then loss = loss + spare:sum() * size end
      loss:backward()
      opt:step()
    end
  end
end

local function fitted(on, net, part, opt, set)
  local steps = 0
  local history = mare.train.fit(net, { data = part, loss = mare.loss.cross_entropy,
    optimizer = opt, epochs = 3, batch = batch, seed = 3, validation = set, metrics = { "accuracy" },
    clip_norm = on.clip and 0.05 or nil, accumulate = on.accumulate and 2 or 1,
    checkpoint = on.checkpoint and { path = on.checkpoint, steps = 2 } or nil,
    resume = on.checkpoint and true,
    on_step = function()
      steps = steps + 1
      if steps == tonumber(on.stop) then
        mpi.finalize()
        os.exit(true, true)
      end
    end })
  for _, record in ipairs(history) do
    local same = mpi.broadcast(record)
    assert(record.loss == same.loss and record.validation_loss == same.validation_loss)
    if rank == 0 then print(("%a\n%a"):format(record.loss, record.validation_loss)) end
  end
end

local function run(text)
  local on = words(text)
  local set = dataset(on.uneven and 203 or 192)
  local net = network(on)
  local spare, params = mare.ones({ 3 }, "f64"):requires_grad(), net:parameters()
  if on.unused then params[#params + 1] = spare end
  local opt = optimizer_of(on, params)
  local part = size > 1 and mpi.shard(set) or set
  if rank == 0 then print("run " .. text) end
  if on.fit then fitted(on, net, part, opt, set) else by_hand(on, net, part, opt, spare) end
  local most = mpi.allreduce(params, "max")
  for i, p in ipairs(params) do -- all ranks have the same bits
    assert(p:eq(most[i]):all():item() == 1, "the ranks differ")
    if rank == 0 then
      for _, v in ipairs(p:reshape(-1):totable()) do print(("%a"):format(v)) end
    end
  end
end

for i = 2, #arg do run(arg[i]) end
mpi.finalize()
