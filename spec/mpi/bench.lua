-- bench.lua -- one row of a scaling table: steps of a network whose batch is divided among the
-- ranks, how fast they are, and what part of the time went into communication that nothing
-- else hid: sending, receiving and waiting for the slowest rank.

local mare = require "mare"
local mpi = require "mare.mpi"
local nn = mare.nn

local rank, size = mpi.init()
local ROWS, STEPS = 1024, 25

-- The middle fifth of the steps by time; with NOISY=1, where others use the machine, the fastest.
local function middle(steps)
  table.sort(steps, function(a, b) return a.seconds < b.seconds end)
  local n, first = #steps // 5, os.getenv "NOISY" and 1 or 2 * #steps // 5 + 1
  local seconds, communicating = 0, 0
  for i = first, first + n - 1 do
    seconds, communicating = seconds + steps[i].seconds, communicating + steps[i].communicating
  end
  return seconds / n, communicating / seconds
end

-- Seconds of a step and the share of communication.
local function measure(widths, bucket)
  mare.seed(1)
  local layers = {}
  for i = 1, #widths - 1 do
    layers[#layers + 1] = nn.Linear(widths[i], widths[i + 1])
    layers[#layers + 1] = i < #widths - 1 and nn.ReLU() or nil
  end
  local net = nn.Sequential(layers)
  local opt = mpi.distribute(mare.optim.sgd(net:parameters(), { lr = 0.01 }), { bucket = bucket })
  local x = mare.randn(ROWS // size, widths[1])
  local y = mare.randint(1, widths[#widths], ROWS // size, "i64")
  local function step()
    local _ <close> = mare.scope()
    opt:zero_grad()
    mare.loss.cross_entropy(net(x), y):backward()
    opt:step()
  end
  for _ = 1, 5 do step() end
  local steps = {}
  for i = 1, STEPS do
    local began, before = mare.clock(), opt.communicating
    step()
    steps[i] = { seconds = mare.clock() - began, communicating = opt.communicating - before }
  end
  local seconds, share = middle(steps)
  return mpi.allreduce(seconds, "max"), mpi.allreduce(share, "mean"), #opt.buckets
end

local function row(name, widths, bucket)
  local seconds, share, buckets = measure(widths, bucket)
  if rank == 0 then
    print(("%-24s %5d %7d %8d %10.2f %11.0f %9.1f %%"):format(name, size, mare.threads(), buckets,
      seconds * 1000, ROWS / seconds, share * 100))
  end
end

if rank == 0 and size == 1 then
  print(("batch of %d rows, divided among the ranks; SGD\n"):format(ROWS))
  print(("%-24s %5s %7s %8s %10s %11s %11s"):format("network", "ranks", "threads", "buckets", "step, ms",
    "samples/s", "communication"))
end
row("784-256-10", { 784, 256, 10 })
row("784-1024-1024-1024-10", { 784, 1024, 1024, 1024, 10 })
row("the same, one bucket", { 784, 1024, 1024, 1024, 10 }, 1000)
mpi.finalize()
