-- checks.lua -- run by three processes: what each function of mare.mpi gives, and refuses.
-- Prints "passed NAME" on rank 0 for each check that passed on all ranks.

local mare = require "mare"
local mpi = require "mare.mpi"
local job = require "mare.mpi.job"
local support = require "spec.support"

local flat, same, demand = support.flat, support.same, support.demand
local rank, size = mpi.init { threads = 1 }
local only = arg[1]

local function check(name, f)
  if only and name ~= only then return end
  local ok, message = xpcall(f, debug.traceback)
  if not ok then io.stderr:write(("rank %d: %s: %s\n"):format(rank, name, message)) end
  if mpi.allreduce(ok and 0 or 1) == 0 and rank == 0 then print("passed " .. name) end
end

-- What rank r has: values that its sums, products and extremes can be worked out of.
local function own(r, dtype) return mare.tensor({ { r + 1, 2 * r }, { 3, 5 - r } }, dtype) end

local function expected(op, i)
  local v
  for r = 0, size - 1 do
    local x = flat(own(r, "f64"))[i]
    if not v then v = x
    elseif op == "sum" or op == "mean" then v = v + x
    elseif op == "prod" then v = v * x
    else v = math[op](v, x) end
  end
  return op == "mean" and v / size or v
end

local function wanted(op) return { expected(op, 1), expected(op, 2), expected(op, 3), expected(op, 4) } end

check("init", function()
  demand(rank == mpi.rank() and size == mpi.size() and size == 3, "rank %d of %d", rank, size)
  demand(mare.threads() == 1, "%d threads", mare.threads())
  local again, same_size = mpi.init()
  demand(again == rank and same_size == size, "init twice")
  demand(#mpi.library() > 0, "no name")
end)

check("allreduce", function()
  for _, dtype in ipairs { "f32", "f64", "i64", "u8" } do
    for _, op in ipairs { "sum", "prod", "min", "max", "mean" } do
      if op ~= "mean" or dtype:find "f" then
        local x = own(rank, dtype)
        local y = mpi.allreduce(x, op)
        demand(y.dtype == dtype and y:dim() == 2, "%s %s", y.dtype, op)
        same(flat(y), wanted(op), 1e-6, dtype .. " " .. op)
        same(flat(x), flat(own(rank, dtype)), 0, "what was passed stays")
      end
    end
  end
  same(flat(mpi.allreduce(own(rank, "f64"))), wanted "sum", 0, "default")
end)

check("numbers and tables", function()
  demand(mpi.allreduce(rank + 1) == 6 and math.type(mpi.allreduce(1)) == "integer", "integers")
  demand(mpi.allreduce(0.5) == 1.5 and mpi.allreduce(rank + 0.0, "mean") == 1.0, "floats")
  local v = { a = mare.full({ 2 }, rank), b = { rank, mare.full({ 3 }, 1, "f64") }, z = rank * 0.5 }
  local sum = mpi.allreduce(v)
  same(flat(sum.a), { 3, 3 }, 0, "f32")
  same(flat(sum.b[2]), { 3, 3, 3 }, 0, "f64")
  demand(sum.b[1] == 3 and sum.z == 1.5 and v.b[1] == rank, "numbers inside")
end)

check("in place, any strides", function()
  local x = own(rank, "f64")
  local t = x:t()
  demand(mpi.allreduce_(t) == t, "returns what it was given")
  same(flat(x), wanted "sum", 0, "transposed")
  local wide = mare.full({ 2, 4 }, rank + 1)
  mpi.allreduce_(wide["1:2, ::2"], "max")
  same(flat(wide), { 3, rank + 1, 3, rank + 1, 3, rank + 1, 3, rank + 1 }, 0, "every second")
  local empty = mpi.allreduce(mare.zeros(0, 3))
  demand(empty:numel() == 0, "nothing")
  same(flat(mpi.allreduce(mare.tensor(rank, "f64"))), { 3 }, 0, "0-d")
  local leaf = mare.full({ 2 }, rank):requires_grad()
  mpi.broadcast_({ leaf }, 2)
  same(flat(leaf), { 2, 2 }, 0, "a parameter")
  demand(leaf.is_tracked and leaf:is_leaf(), "it stays one")
end)

check("the same bits everywhere and every time", function()
  mare.seed(rank + 1)
  for _, n in ipairs { 7, 1000, 300001 } do
    local x = mare.randn(n)
    local first = mpi.allreduce(x):tobytes()
    demand(mpi.broadcast(first) == first, "the ranks differ at %d", n)
    for _ = 1, 3 do demand(mpi.allreduce(x):tobytes() == first, "another time differs at %d", n) end
  end
end)

check("reduce", function()
  local y = mpi.reduce(own(rank, "f64"), "sum", 1)
  demand((y ~= nil) == (rank == 1), "only rank 1 has it")
  if y then same(flat(y), wanted "sum", 0, "sum") end
  demand(mpi.reduce(2, "prod") == (rank == 0 and 8 or nil), "a number, rank 0")
end)

check("broadcast", function()
  local v = { 1, 2.5, "text\0more", true, t = own(1, "u8"), deep = { x = { own(1, "f64"):t() } } }
  local got = mpi.broadcast(rank == 1 and v or "not looked at", 1)
  demand(got[1] == 1 and math.type(got[1]) == "integer" and got[2] == 2.5, "numbers")
  demand(got[3] == "text\0more" and got[4] == true, "others")
  same(flat(got.t), flat(own(1, "u8")), 0, "u8")
  same(flat(got.deep.x[1]), flat(own(1, "f64"):t()), 0, "strides")
  demand(mpi.broadcast(nil) == nil and mpi.broadcast(rank == 0) == true, "nil, booleans")
  demand(mpi.broadcast(mare.zeros(0)):numel() == 0, "empty")
end)

check("gather, allgather, scatter", function()
  local all = mpi.allgather(own(rank, "i64"))
  same(all.shape, { size, 2, 2 }, 0, "shape")
  for r = 0, size - 1 do same(flat(all[r + 1]), flat(own(r, "i64")), 0, "rows") end
  demand(table.concat(mpi.allgather(rank * rank), " ") == "0 1 4", "numbers")
  local one = mpi.gather(own(rank, "f32"):t(), 2)
  demand((one ~= nil) == (rank == 2), "only rank 2 has it")
  if one then same(flat(one[2]), flat(own(1, "f32"):t()), 0, "gathered") end
  local whole = mare.arange(1, 12, "f64"):reshape(3, 4)
  same(flat(mpi.scatter(rank == 0 and whole or nil)), flat(whole[rank + 1]), 0, "scattered")
  same(flat(mpi.scatter(rank == 1 and whole:t():contiguous():t() or nil, 1)), flat(whole[rank + 1]),
    0, "any strides")
end)

check("send and receive", function()
  if rank == 0 then
    local seen = {}
    for _ = 1, size - 1 do
      local v, from = mpi.receive()
      seen[from] = v
    end
    for r = 1, size - 1 do
      demand(seen[r].name == "rank " .. r, "from %d", r)
      same(flat(seen[r].x), flat(own(r, "f64")), 0, "tensor")
    end
    mpi.send(17, 2)
  else
    mpi.send({ name = "rank " .. rank, x = own(rank, "f64") }, 0)
    if rank == 2 then
      local v, from = mpi.receive(0)
      demand(v == 17 and from == 0, "a number")
    end
  end
end)

-- Every rank raises the same error, which stands here and contains these texts.
local function refused(f, ...)
  local text = support.message(f)
  demand(text:find("checks%.lua:%d+: "), "no place: %s", text)
  for _, part in ipairs { ... } do demand(text:find(part, 1, true), "'%s' is not in: %s", part, text) end
end

check("ranks that differ", function()
  refused(function() mpi.allreduce(mare.zeros(rank == 1 and 3 or 2, 2)) end, "the ranks do not agree: " ..
    "rank 0 calls allreduce(sum of f32 2x2), rank 1 allreduce(sum of f32 3x2)")
  refused(function() mpi.allreduce(mare.zeros({ 2 }, rank == 2 and "f64" or "f32"), "max") end,
    "rank 0 calls allreduce(max of f32 2), rank 2 allreduce(max of f64 2)")
  refused(function() mpi.allreduce(1, rank == 0 and "sum" or "max") end, "allreduce(sum of i64 scalar)",
    "rank 1 allreduce(max", "rank 2 allreduce(max")
  refused(function() if rank == 0 then mpi.barrier() else mpi.allreduce(1) end end, "rank 0 calls barrier()",
    "rank 2 allreduce")
  refused(function() mpi.broadcast(1, rank) end, "broadcast(from 0)", "rank 2 broadcast(from 2)")
  local many = {}
  for i = 1, 300 do many[i] = mare.zeros(2, 2) end
  if rank == 1 then many[250] = mare.zeros(7) end
  refused(function() mpi.broadcast_(many) end, "broadcast_(... ", "rank 1 broadcast_(... ", "f32 7")
  refused(function() mpi.distribute { mare.zeros(2 + rank):requires_grad() } end,
    "distribute(f32 2), rank 1 distribute(f32 3)")
  refused(function() mpi.scatter(rank == 0 and mare.zeros(2, 5) or nil) end,
    "bad argument #1 to 'scatter' (tensor with 3 rows expected on rank 0, got shape 2x5)")
  demand(mpi.allreduce(1) == size, "all goes on")
end)

check("a wrong argument of one rank", function()
  local function wrong(r, v) if rank == r then return v end return 1 end
  for r = 0, size - 1 do
    local place = ("rank %d %%s%%s and raises: "):format(r)
    local function told(name, f, reason)
      local text = support.message(f)
      local start = place:format(r == 0 and "calls " or "", name)
      demand(text:find("checks%.lua:%d+: "), "no place: %s", text)
      demand(text:find(reason, 1, true), "no reason: %s", text)
      demand(rank == r or text:find(start, 1, true), "'%s' is not in: %s", start, text)
    end
    told("allreduce", function() mpi.allreduce(wrong(r, "text")) end, "got string")
    told("allreduce_", function() mpi.allreduce_(rank == r and 1 or own(r)) end, "got number")
    told("reduce", function() mpi.reduce(1, wrong(r, "average") == 1 and "sum" or "average") end,
      "got average")
    told("allgather", function() mpi.allgather(wrong(r, {})) end, "tensor expected, got table")
    told("gather", function() mpi.gather(1, rank == r and 7 or 0) end, "rank 7 is not 0 to 2")
    told("broadcast", function() mpi.broadcast(print, r) end, "a function cannot be sent")
    told("broadcast_", function() mpi.broadcast_(rank == r and 1 or own(r)) end, "got number")
    told("distribute", function() mpi.distribute(rank == r and {} or { mare.ones(2) }) end, "an empty table")
  end
  demand(mpi.allreduce(1) == size, "all goes on")
end)

check("wrong arguments", function()
  refused(function() mpi.allreduce(1, "average") end, "#2 to 'allreduce'", "got average")
  refused(function() mpi.allreduce(1, "mean") end, "#2 to 'allreduce' (the mean of i64 values")
  refused(function() mpi.allreduce("text") end, "#1 to 'allreduce'", "got string")
  refused(function() mpi.allreduce_(1) end, "#1 to 'allreduce_'", "got number")
  refused(function() mpi.broadcast(1, 3) end, "#2 to 'broadcast' (rank 3 is not 0 to 2)")
  refused(function() mpi.broadcast(print, rank) end, "#1 to 'broadcast' (a function cannot be sent")
  refused(function() mpi.send(1, rank) end, "#2 to 'send'", "is this one")
  refused(function() mpi.send(print, (rank + 1) % size) end, "bad argument #1 to 'send' (a function cannot be sent")
  refused(function() mpi.receive "x" end, "#1 to 'receive'")
  refused(function() mpi.gather({}) end, "#1 to 'gather' (tensor expected, got table)")
  refused(function() mpi.shard(mare.zeros(3)) end, "#1 to 'shard' (data set expected")
  refused(function() mpi.init { thread = 1 } end, "unknown option 'thread'")
  refused(function() mpi.init { threads = 0 } end, "(threads: whole number of at least 1 expected, got 0)")
  refused(function() mpi.init { timeout = "1" } end, "(timeout: number expected, got string)")
  refused(function() mpi.distribute(mare.nn.Linear(2, 2)) end, "#1 to 'distribute'", "pass its parameters()")
  refused(function() mpi.distribute {} end, "#1 to 'distribute'")
  refused(function() mpi.distribute { mare.zeros({ 2 }, "i64") } end, "parameter #1 is a i64 tensor")
  local w = mare.ones(2):requires_grad()
  refused(function() mpi.distribute({ w }, { buckets = 1 }) end, "unknown option 'buckets'")
  refused(function() mpi.distribute({ w }):step() end, "no optimizer")
  refused(function() mpi.distribute({ w }).lr = 3 end, "distribute has no 'lr'")
end)

check("a wait that a hook ends", function()
  if rank > 0 then mpi.receive(0) end
  local request = job.native.barrier()
  if rank == 0 then
    local until_ = mare.clock() + 0.05
    debug.sethook(function()
      if mare.clock() > until_ then error("enough", 0) end
    end, "", 100)
    local text = support.message(function() job.wait(request) end)
    debug.sethook()
    demand(text == "enough", "%s", text)
    for r = 1, size - 1 do mpi.send("now", r) end
  end
  job.wait(request)
end)

check("a wait that takes too long", function()
  if rank > 0 then mpi.receive(0) end
  local request = job.native.barrier()
  if rank == 0 then
    mpi.init { timeout = 0.05 }
    refused(function() job.wait(request) end, "rank 0 of 3 has waited 0.05 s for others in allreduce(",
      "(init's option timeout)")
    mpi.init { timeout = false }
    for r = 1, size - 1 do mpi.send("now", r) end
  end
  job.wait(request)
  mpi.init { timeout = 1800 }
end)

-- -- distribute -----------------------------------------------------------------------------------

check("parameters for a loop of one's own", function()
  local w = mare.full({ 2 }, rank, "f64"):requires_grad()
  local left = mare.full({ 3 }, rank, "f64"):requires_grad()
  local all = mpi.distribute { w, left }
  same(flat(w), { 0, 0 }, 0, "as on rank 0")
  local y = ((w + rank) * mare.tensor({ 1, 2 }, "f64") * (rank + 1)):sum()
  y:backward()
  all:synchronize()
  same(flat(w.grad), { 2, 4 }, 0, "the mean")
  all:synchronize()
  same(flat(w.grad), { 2, 4 }, 0, "not twice")
  demand(left.grad == nil, "what no rank reaches has no gradient")
  all:zero_grad()
  demand(w.grad == nil, "zero_grad")
  if rank == 1 then (left * 3):sum():backward() end -- the others reach nothing at all
  all:synchronize()
  same(flat(left.grad), { 1, 1, 1 }, 0, "zeros from the others")
  demand(w.grad == nil, "as before")
end)

check("several backwards, and more after that", function()
  local w = {}
  for i = 1, 6 do w[i] = mare.ones({ 100 }, "f64"):requires_grad() end
  local all = mpi.distribute(w, { bucket = 0.001 })
  demand(#all.buckets == 6, "%d buckets", #all.buckets)
  for step, times in ipairs { 1, 3, 3, 2, 3 } do
    for _ = 1, times do
      local y = 0
      for i = 1, 6 do y = y + (w[i] * (rank + i)):sum() end
      y:backward()
    end
    all:synchronize()
    for i = 1, 6 do same(flat(w[i].grad:narrow(1, 1, 1)), { (1 + i) * times }, 1e-15, "step " .. step) end
    all:zero_grad()
  end
  demand(all.repeated == 2, "%d repeated", all.repeated) -- at the first 3, and after the 2
end)

check("sums begin while backward still runs", function()
  local w, trace, native = {}, {}, job.native.allreduce
  local function tell(what) trace[#trace + 1] = what end
  for i = 1, 3 do
    w[i] = mare.ones({ 100 }, "f64"):requires_grad()
    w[i]:on_gradient(function() tell("w" .. i) end)
  end
  local all = mpi.distribute(w, { bucket = 0.0001 })
  job.native.allreduce = function(...)
    tell "sum"
    return native(...)
  end
  for _ = 1, 2 do
    local y = mare.full({ 100 }, rank + 1, "f64")
    for i = 1, 3 do y = (y * w[i]):tanh() end
    y:sum():backward()
    tell "end"
    all:synchronize()
    all:zero_grad()
  end
  job.native.allreduce = native
  local step = "w3 sum w2 sum w1 end sum"
  demand(table.concat(trace, " ") == step .. " " .. step, "%s", table.concat(trace, " "))
end)

check("clipping reads the mean", function()
  local w = mare.zeros({ 2 }, "f64"):requires_grad()
  local opt = mpi.distribute(mare.optim.sgd({ w }, { lr = 1 }))
  local y = (w * mare.tensor({ 3 * rank, 4 * rank }, "f64")):sum()
  y:backward()
  demand(support.near(mare.optim.clip_norm({ w }, 1), 5, 1e-12), "norm of the mean")
  opt:step()
  same(flat(w), { -0.6, -0.8 }, 1e-6, "step")
  demand(opt.lr == 1 and opt.name == "sgd" and #opt.groups == 1, "the optimizer's fields")
  opt.lr = 0.5
  demand(opt.inner.lr == 0.5 and tostring(opt):find "distribute %(3 ranks, 1 buckets%) of sgd", "lr")
  opt:load_state(opt:state())
end)

check("a second optimizer takes the parameters over", function()
  local w = mare.zeros({ 1 }, "f64"):requires_grad()
  mpi.distribute { w }
  local all = mpi.distribute { w }
  local y = (w * rank):sum()
  y:backward()
  all:synchronize()
  same(flat(w.grad), { 1 }, 0, "once")
end)

check("memory comes back", function()
  local function use()
    local w = mare.zeros(1000):requires_grad()
    local opt = mpi.distribute(mare.optim.adam({ w }))
    for _ = 1, 3 do
      local _ <close> = mare.scope()
      opt:zero_grad()
      local y = (w * rank):sum()
      y:backward()
      opt:step()
    end
  end
  use()
  local before = support.live()
  for _ = 1, 5 do use() end
  demand(support.live() <= before, "%d bytes more", support.live() - before)
end)

mpi.finalize()
demand(support.message(mpi.rank):find("mpi.finalize has been called", 1, true), "after the end")
