-- predict.lua PROGRAM -- one network, 784-256-10, computed by a program in C (predict.c), by the
-- module and by PyTorch, turn by turn: medians of 15 turns, each the median of 200 calls.

local mare = require "mare"
local nn = mare.nn
local path = os.tmpname()
local clock = require "mare.core".functions.clock
local model = nn.Sequential { nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10) }:eval()
assert(model:save(path))

local python = ([[
import sys, time, statistics, torch
torch.set_grad_enabled(False)
m = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10)).eval()
for line in sys.stdin:
    x, took = torch.rand(int(line), 784), []
    for _ in range(200):
        t = time.perf_counter(); m(x); took.append(time.perf_counter() - t)
    print("%.3f" % (statistics.median(took) * 1e6), flush=True)
]])

local script = os.tmpname()
local f = assert(io.open(script, "w"))
f:write(python)
f:close()

-- A program that answers each line with one: both ways through files that are pipes.
local function partner(command)
  local name = os.tmpname()
  os.remove(name)
  os.execute("mkfifo " .. name)
  local pipe = io.popen(command .. " > " .. name, "w")
  pipe:setvbuf "line"
  local answers = assert(io.open(name))
  os.remove(name)
  return function(rows)
    pipe:write(rows, "\n")
    return answers:read "n"
  end
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function module(rows)
  local x, took = mare.rand { rows, 784 }, {}
  mare.no_grad(function()
    for i = 1, 200 do
      local start = clock()
      local _ <close> = model(x)
      took[i] = (clock() - start) * 1e6
    end
  end)
  return median(took)
end

local sides = { { "in C", partner(arg[1] .. " " .. path) }, { "module", module } }
if os.execute "/usr/bin/python3 -c 'import torch' 2>/dev/null" then
  sides[3] = { "PyTorch", partner("/usr/bin/python3 " .. script) }
end
for _, rows in ipairs { 1, 128 } do
  local all = {}
  for _ = 1, 15 do
    for i, side in ipairs(sides) do
      all[i] = all[i] or {}
      table.insert(all[i], side[2](rows))
    end
  end
  for i, side in ipairs(sides) do
    print(("784-256-10, %3d rows, %-8s %8.1f us"):format(rows, side[1], median(all[i])))
  end
end
os.remove(path)
os.remove(script)
