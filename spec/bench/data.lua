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

-- A batch of images and a step on it, in turn: the lowest tenth of the times of each.
local function batches(size, rounds)
  local images = mare.randint(0, 255, 60000 * 784):to("u8"):reshape(60000, 28, 28)
  local set = data.dataset(images, mare.randint(1, 10, 60000))
  local model = nn.Sequential { nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10) }
  local opt = mare.optim.adam(model:parameters(), { lr = 0.001 })
  local batch, step, next_batch = {}, {}, set:batches { size = size, shuffle = true, seed = 1 }
  for i = 1, rounds do
    local _ <close> = mare.scope()
    local start = clock()
    local x, y = next_batch()
    batch[i], start = clock() - start, clock()
    opt:zero_grad()
    mare.loss.cross_entropy(model(x), y):backward()
    opt:step()
    step[i] = clock() - start
  end
  table.sort(batch)
  table.sort(step)
  print_row("batch " .. size, batch[rounds // 10])
  print_row("step " .. size, step[rounds // 10])
end

batches(128, 400)
