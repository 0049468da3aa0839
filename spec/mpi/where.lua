-- where.lua -- on which host each rank runs, and how fast they exchange a tensor.

local mare = require "mare"
local mpi = require "mare.mpi"

mpi.init()
local file = assert(io.open "/proc/sys/kernel/hostname")
local host = file:read "l"
file:close()
local all = {}
for r = 0, mpi.size() - 1 do all[r + 1] = mpi.broadcast(host, r) end
local x = mare.ones(1 << 20)
mpi.barrier()
local began = mare.clock()
for _ = 1, 10 do mpi.allreduce_(x, "mean") end
if mpi.rank() == 0 then
  print(("ranks on %s; the mean of 4 MB takes %.1f ms"):format(table.concat(all, ", "),
    (mare.clock() - began) * 100))
  assert(all[1] ~= all[3], "the ranks are on one host")
end
mpi.finalize()
