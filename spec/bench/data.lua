-- data.lua -- Maré's side of the timings of files and batches: data.lua FOLDER [make].  With
-- "make" it writes the files into the folder; otherwise it prints "row<TAB>seconds", as data.py
-- does for NumPy and pandas.

local mare = require "mare"
local nn, data, clock = mare.nn, mare.data, mare.clock

local folder = arg[1]
local csv, tensors = folder .. "/numbers.csv", folder .. "/large.safetensors"

-- 1,000,000 rows of ten numbers, and 1 GB of weights.
local function make()
  mare.seed(1)
  local block = {}
  for i, row in ipairs(mare.randn({ 10000, 10 }, "f64"):totable()) do
    for k, v in ipairs(row) do row[k] = ("%.6f"):format(v) end
    block[i] = table.concat(row, ",")
  end
  local text = table.concat(block, "\n") .. "\n"
  local f = assert(io.open(csv, "w"))
  f:write "a,b,c,d,e,f,g,h,i,j\n"
  for _ = 1, 100 do f:write(text) end
  f:close()
  local weights = {}
  for i = 1, 16 do weights["w" .. i] = mare.rand(4096, 4096) end
  assert(mare.save(tensors, weights))
end

if arg[2] == "make" then return make() end

local function print_row(name, seconds) print(("%s\t%.6e"):format(name, seconds)) end

-- The shortest time of f() in n runs, each with nothing left of the ones before.
local function timed(name, n, f)
  local best = math.huge
  for _ = 1, n do
    collectgarbage()
    collectgarbage()
    mare.memory_trim()
    local start = clock()
    f()
    best = math.min(best, clock() - start)
  end
  print_row(name, best)
end

timed("csv", 5, function() return assert(data.csv(csv)) end)
timed("load", 5, function() return assert(mare.load(tensors)) end)
timed("map and sum", 5, function()
  local all, sum = assert(mare.load(tensors, { mmap = true })), 0
  for _, t in pairs(all) do sum = sum + t:sum():item() end
  return all
end)

-- Steps on batches of images of u8; on other f32 batches, which lie in memory as they are
-- needed; and on one f32 batch that stays in the caches: in turn, so many of each in a round.  The
-- lowest tenth of the times of each.  What batches of u8 cost is a difference: little of it is
-- time in which they are waited for, the rest is work that other threads do beside the step's.
local function batches(size, rounds, steps)
  local images = mare.randint(0, 255, 60000 * 784):to("u8"):reshape(60000, 28, 28)
  local set = data.dataset(images, mare.randint(1, 10, 60000))
  local ready, labels = mare.rand(20000, 784), mare.randint(1, 10, size)
  local model = nn.Sequential { nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10) }
  local opt = mare.optim.adam(model:parameters(), { lr = 0.001 })
  local first = 0
  local function another()
    first = (first + size) % (20000 - size)
    return ready:narrow(1, first + 1, size), labels
  end
  local one = another()
  local function stay() return one, labels end
  local function run(step, wait, next_batch)
    for _ = 1, steps do
      local _ <close> = mare.scope()
      local start = clock()
      local x, y = next_batch()
      table.insert(wait, clock() - start)
      opt:zero_grad()
      mare.loss.cross_entropy(model(x), y):backward()
      opt:step()
      table.insert(step, clock() - start)
    end
  end
  local times = { {}, {}, {}, {}, {} } -- of the three steps; waiting for u8, for others
  for round = 1, rounds do
    run(times[1], times[4], (set:batches { size = size, shuffle = true, seed = round }))
    run(times[2], times[5], another)
    run(times[3], times[5], stay)
  end
  for _, t in ipairs(times) do table.sort(t) end
  local function low(i) return times[i][#times[i] // 10] end
  print_row("batch " .. size, math.max(low(1) - low(2), 1e-9))
  print_row("batch, none moving " .. size, math.max(low(1) - low(3), 1e-9))
  print_row("waiting " .. size, low(4))
  print_row("step " .. size, low(2))
end

batches(128, 20, 100)
