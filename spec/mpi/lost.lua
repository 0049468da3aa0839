-- lost.lua -- four processes that train until one is lost: lost.lua killed | error | exit | state
-- | exitcode.  Rank 2 is killed, raises, leaves without a word, or calls mpi.abort.

local mare = require "mare"
local mpi = require "mare.mpi"

local rank = mpi.init()
local w = mare.randn(1000):requires_grad()
local opt = mpi.distribute(mare.optim.sgd({ w }, { lr = 0.01 }))

local ends = {
  killed = function() os.execute "kill -9 $PPID" end,
  error = function() error "no more rows" end,
  run = function() error "no more rows" end,
  exit = function() os.exit(true) end,
  finished = function() os.exit(true, true) end,
  abort = function() mpi.abort(3, "no data here") end,
}

local function train()
  for step = 1, math.huge do
    opt:zero_grad()
    local loss = (w * w):sum()
    loss:backward()
    if step == 50 and rank == 2 then ends[arg[1]]() end
    opt:step()
  end
end

if arg[1] == "run" then mpi.run(train) else train() end
