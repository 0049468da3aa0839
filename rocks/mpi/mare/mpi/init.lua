--- Several processes, on one machine or on many, that train one model: mare over MPI.
-- Each runs the same script; `mpirun -n 4 lua5.4 train.lua` starts four.  A process is known by
-- its rank, 0 to size - 1, as everywhere in MPI.
--
--     local mare = require "mare"
--     local mpi = require "mare.mpi"
--     mpi.init()
--     local opt = mpi.distribute(mare.optim.adam(model:parameters(), { lr = 0.01 }))
--     for x, y, weight in mpi.shard(train):batches { size = 32, shuffle = true, seed = 1 } do
--       opt:zero_grad()
--       (mare.loss.cross_entropy(model(x), y) * weight):backward()
--       opt:step()
--     end
--     mpi.finalize()
--
-- All ranks must call the same collective functions in the same order; what one of them passes
-- wrongly is an error of all.  An error that nobody catches, or the death of a rank, ends the whole
-- job with a message and a status that is not 0.
-- Message Passing Interface Forum 2012, MPI: A Message-Passing Interface Standard, version 3.0.

local mare = require "mare"
local check = require "mare.check"
local job = require "mare.mpi.job"

local M = {}
for name, f in pairs(require "mare.mpi.collect") do M[name] = f end
M.distribute = require "mare.mpi.distribute"

-- -- beginning and end ------------------------------------------------------------------------

local known = { threads = true, timeout = true }

-- Ranks on one machine share its cores, unless somebody has said how many threads there are.
local function share_threads(share, threads)
  if threads == false or threads == nil and os.getenv "MARE_THREADS" then return end
  mare.threads(threads or share)
end

local function set_patience(seconds)
  if seconds == nil then return end
  if seconds then check.number(1, "init", seconds, nil, 0, nil, "timeout") end
  job.patience = seconds or math.huge
end

-- An mpirun of another MPI than that of mare.mpi starts processes that do not know each other.
local function check_alone()
  local started = tonumber(os.getenv "OMPI_COMM_WORLD_SIZE" or os.getenv "PMI_SIZE")
  if job.size > 1 or not started or started == 1 then return end
  check.fail("'init': mpirun started %d processes, but each is alone; it is not that of %s, for " ..
    "which mare.mpi was built", started, (M.library():match("^[^\n,]*"):gsub("%s+", " ")))
end

--- Begins; returns the rank of this process, 0 to size - 1, and the size: how many there are.
-- Started without mpirun there is one.  Calling it again does no harm.
-- Options: threads, how many this process uses (its share of the cores where several ranks are
-- on a machine; what MARE_THREADS says, where that is set; false: as it is); timeout (1800): the
-- seconds after which waiting for other ranks is an error, false: never.
-- `local rank, size = mpi.init { timeout = 60 }`
function M.init(opts)
  check.options(1, "init", opts, known)
  local threads = opts and opts.threads
  if threads then check.count(1, "init", threads, nil, "threads") end
  set_patience(opts and opts.timeout)
  if job.ended then check.fail "'init': mpi.finalize has been called" end
  if not job.rank then
    local share
    job.rank, job.size, share = job.native.init(mare.threads())
    check_alone()
    share_threads(share, threads)
  end
  return job.rank, job.size
end

--- The number of this process, from 0.
function M.rank()
  job.ready "rank"
  return job.rank
end

--- How many processes there are.
function M.size()
  job.ready "size"
  return job.size
end

--- Waits until all ranks have called it.
function M.barrier()
  job.ready "barrier"
  job.agree "barrier()"
  job.wait(job.native.barrier())
end

--- Ends MPI; the last thing that every rank calls.  A script that ends without it, by an error
-- say, ends all ranks.
function M.finalize()
  if job.ended then return end
  job.ready "finalize"
  job.native.finalize()
  job.rank, job.size, job.ended = nil, nil, true
end

--- Ends all ranks at once with a message on standard error, and mpirun with this status (1).
-- `if not file then mpi.abort(2, "no data") end`
function M.abort(code, message)
  job.ready "abort"
  code = check.count(1, "abort", code or 1, 0)
  if message ~= nil then
    io.stderr:write(("rank %d of %d: %s\n"):format(job.rank, job.size, tostring(message)))
  end
  job.native.abort(code)
end

--- Calls main(rank, size, ...) between init and finalize and returns what it returns.  Where it
-- raises, the message and where it was raised are printed and all ranks end with status 1.
-- `mpi.run(function(rank, size) train(rank, size) end)`
function M.run(main, ...)
  check.callable(1, "run", main)
  M.init()
  local results = table.pack(xpcall(main, debug.traceback, job.rank, job.size, ...))
  if not results[1] then M.abort(1, results[2]) end
  M.finalize()
  return table.unpack(results, 2, results.n)
end

--- The name and version of the MPI library, as it gives them.
function M.library() return (job.native.library():gsub("%z.*", "")) end

-- -- data -------------------------------------------------------------------------------------

--- This rank's part of a data set: see Dataset:shard.  Rank r of n gets rows r + 1, r + 1 + n ...
-- of the order of each epoch, so that batches of `size` on n ranks are one of n * size on one.
-- `for x, y, weight in mpi.shard(train):batches { size = 32, shuffle = true, seed = 1 } do`
function M.shard(dataset)
  job.ready "shard"
  if not mare.data.is_dataset(dataset) then
    check.argument(1, "shard", "data set expected, got %s", check.kind(dataset))
  end
  return dataset:shard(job.rank, job.size)
end

return M
