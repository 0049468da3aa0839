-- collect.lua -- values of all ranks brought together, or those of one given to all.

local check = require "mare.check"
local core = require "mare.core".functions
local tree = require "mare.tree"
local job = require "mare.mpi.job"
local message = require "mare.mpi.message"

local native, wait, collective = job.native, job.wait, job.collective

local M = {}

-- -- what was passed ------------------------------------------------------------------------

local ops = { sum = true, mean = true, prod = true, min = true, max = true }

local function check_op(name, op)
  if op == nil then return "sum" end
  if not ops[op] then
    check.argument(2, name, "sum, mean, prod, min or max expected, got %s", tostring(op))
  end
  return op
end

local function check_root(position, name, root)
  root = check.count(position, name, root or 0, 0)
  if root >= job.size then
    check.argument(position, name, "rank %d is not 0 to %d", root, job.size - 1)
  end
  return root
end

-- The tensors and numbers of a value, in a fixed order: numbers as tensors.
local function parts_of(name, v)
  local list = {}
  local function add(x)
    if core.is_tensor(x) then list[#list + 1] = check.tensor(1, name, x)
    elseif type(x) == "number" then
      list[#list + 1] = core.tensor(x, math.type(x) == "integer" and "i64" or "f64")
    elseif type(x) == "table" then
      for _, k in ipairs(tree.keys(x)) do add(x[k]) end
    else
      check.argument(1, name, "tensor, number or table of these expected, got %s", check.kind(x))
    end
  end
  add(v)
  return list
end

local function describe(list)
  local parts = {}
  for i, t in ipairs(list) do parts[i] = ("%s %s"):format(t.dtype, check.shape(t)) end
  return table.concat(parts, ", ")
end

-- The value v again with these in the places of its tensors and numbers.
local function rebuild(v, list)
  local i = 0
  local function place(x)
    if type(x) == "table" and not core.is_tensor(x) then
      local copy = {}
      for _, k in ipairs(tree.keys(x)) do copy[k] = place(x[k]) end
      return copy
    end
    i = i + 1
    return core.is_tensor(x) and list[i] or list[i]:item()
  end
  return place(v)
end

-- -- several tensors as one -----------------------------------------------------------------

-- Calls f on memory that holds all tensors of a list: one after another, those of each type in
-- a tensor of its own.  What f leaves there is copied back.  A single one is used as it is.
local function together(list, f)
  if #list == 1 and list[1]:iscontiguous() then return f(list[1]:detach()) end
  local types = {}
  for _, t in ipairs(list) do
    local own = types[t.dtype] or { n = 0 }
    types[t.dtype], own.n = own, own.n + t:numel()
    own[#own + 1] = t
  end
  for _, dtype in ipairs { "f32", "f64", "i64", "u8" } do
    local own = types[dtype]
    if own then
      local all, at = core.empty({ own.n }, dtype), 1
      local views = {}
      for i, t in ipairs(own) do
        views[i] = all:narrow(1, at, t:numel()):reshape(t.shape)
        views[i]:copy_(t)
        at = at + t:numel()
      end
      f(all)
      for i, t in ipairs(own) do t:copy_(views[i]) end
    end
  end
end

local function refuse_mean(name, op, list)
  for _, t in ipairs(op == "mean" and list or {}) do
    if not tree.is_real(t) then
      check.argument(2, name, "the mean of %s values is not one; use to \"f64\" or sum", t.dtype)
    end
  end
end

local function silently(f, ...) return core.recorded(false, f, ...) end

-- -- reductions -----------------------------------------------------------------------------

local function reduce_list(name, list, op, start)
  refuse_mean(name, op, list)
  job.agree(("%s(%s of %s)"):format(name, op, describe(list)))
  silently(together, list, function(t)
    if t:numel() > 0 then wait(start(t, op == "mean" and "sum" or op)) end
    if op == "mean" then t:mul_(1 / job.size) end
  end)
end

-- Copies of the tensors of a value, reduced; what is made on the way is freed.
local function reduced(name, v, op, start)
  local scope <close> = core.scope()
  local list = parts_of(name, v)
  for i, t in ipairs(list) do list[i] = silently(function() return t:detach():clone() end) end
  reduce_list(name, list, op, start)
  local result = rebuild(v, list)
  for _, t in ipairs(list) do scope:keep(t) end
  return result
end

local function reduced_for_all(v, op)
  return reduced("allreduce", v, check_op("allreduce", op), native.allreduce)
end

local function check_in_place(name, v)
  if core.is_tensor(v) then return check.tensor(1, name, v) end
  if type(v) ~= "table" then
    check.argument(1, name, "tensor or table of tensors expected, got %s", check.kind(v))
  end
  for _, k in ipairs(tree.keys(v)) do check_in_place(name, v[k]) end
end

--- The sum over all ranks, the same on every one of them: of a tensor (f32, f64, i64 or u8), a
-- number, or a nested table of these; op is "sum" (default), "mean", "prod", "min" or "max".
-- The structure, shapes and types must be the same on all ranks: otherwise an error, on every
-- rank, that says who differs.  The bits depend on the number of ranks, not on their speed.
-- `local loss = mpi.allreduce(loss:item(), "mean")`
function M.allreduce(v, op) return collective("allreduce", reduced_for_all, v, op) end

local function reduced_in_place(v, op)
  check_in_place("allreduce_", v)
  local _ <close> = core.scope()
  reduce_list("allreduce_", parts_of("allreduce_", v), check_op("allreduce_", op),
    native.allreduce)
  return v
end

--- The same in place; returns what it was given, a tensor or a nested table of tensors.
-- `mpi.allreduce_(statistics, "mean")`
function M.allreduce_(v, op) return collective("allreduce_", reduced_in_place, v, op) end

local function reduced_for_root(v, op, root)
  root = check_root(3, "reduce", root)
  local result = reduced("reduce", v, check_op("reduce", op), function(t, kind)
    return native.reduce(t, kind, root)
  end)
  return job.rank == root and result or nil
end

--- Like allreduce, but only rank `root` (0) gets the result; the others get nil.
-- `local total = mpi.reduce(count, "sum", 0)`
function M.reduce(v, op, root) return collective("reduce", reduced_for_root, v, op, root) end

-- -- from one to all ------------------------------------------------------------------------

-- Sends a number, a text and its tensors with `pass`, which is called the same way everywhere.
-- text is nil where they are received.
local function passed(text, tensors, pass)
  local result
  local length = core.tensor({ text and #text or 0 }, "i64")
  pass(length)
  local bytes = text and core.frombytes(text, "u8") or core.empty({ length[1]:item() }, "u8")
  pass(bytes)
  if not text then result, tensors = message.decode(bytes:tobytes()) end
  for _, t in ipairs(tensors) do
    if t:numel() > 0 then pass(t) end
  end
  return result, tensors
end

local function given_out(v, root)
  root = check_root(2, "broadcast", root)
  local scope <close> = core.scope()
  local here, text, tensors = job.rank == root, nil, nil
  if here then text, tensors = silently(message.encode, "broadcast", v) end
  job.agree(("broadcast(from %d)"):format(root))
  local result, parts = silently(passed, text, tensors, function(t)
    wait(native.broadcast(t, root))
  end)
  if here then return v end
  for _, t in ipairs(parts) do scope:keep(t) end
  return result
end

--- The value of rank `root` (0), on every rank: a tensor, number, string, boolean, nil or a
-- nested table of these.  What other ranks pass is not looked at.
-- `local settings = mpi.broadcast(mpi.rank() == 0 and read_settings() or nil)`
function M.broadcast(v, root) return collective("broadcast", given_out, v, root) end

local function given_out_in_place(v, root)
  root = check_root(2, "broadcast_", root)
  check_in_place("broadcast_", v)
  local _ <close> = core.scope()
  local list = parts_of("broadcast_", v)
  job.agree(("broadcast_(from %d, %s)"):format(root, describe(list)))
  silently(together, list, function(t)
    if t:numel() > 0 then wait(native.broadcast(t, root)) end
  end)
  return v
end

--- Writes the tensors of rank `root` (0) into those of the others: a tensor or a nested table
-- of tensors, parameters for instance; returns it.
-- `mpi.broadcast_(model:state())`
function M.broadcast_(v, root) return collective("broadcast_", given_out_in_place, v, root) end

-- -- lists of one value for each rank ---------------------------------------------------------

local function is_number(v) return type(v) == "number" end

-- x (...) as a contiguous tensor, and a place for those of all ranks: (size, ...).
local function own_and_all(name, x)
  if is_number(x) then x = core.tensor(x, math.type(x) == "integer" and "i64" or "f64") end
  local t = check.tensor(1, name, x):detach():contiguous()
  local shape = t.shape
  table.insert(shape, 1, job.size)
  return t, shape
end

local function gathered(name, x, start, here)
  local scope <close> = core.scope()
  return silently(function()
    local own, shape = own_and_all(name, x)
    job.agree(("%s(%s)"):format(name, describe { own }))
    local all = here and core.empty(shape, own.dtype) or nil
    if own:numel() > 0 then wait(start(own, all)) end
    if not here then return nil end
    return is_number(x) and all:totable() or scope:keep(all)
  end)
end

local function gathered_for_all(x) return gathered("allgather", x, native.allgather, true) end

--- The tensors of all ranks, (...) each, as one (size, ...), on every rank; of numbers a list.
-- `local rows = mpi.allgather(#dataset)   -- rows[1] is that of rank 0`
function M.allgather(x) return collective("allgather", gathered_for_all, x) end

local function gathered_for_root(x, root)
  root = check_root(2, "gather", root)
  return gathered("gather", x, function(own, all) return native.gather(own, all, root) end,
    job.rank == root)
end

--- The same on rank `root` (0) only; nil on the others.
-- `local scores = mpi.gather(model(x):detach())`
function M.gather(x, root) return collective("gather", gathered_for_root, x, root) end

local function scattered(x, root)
  root = check_root(2, "scatter", root)
  local here = job.rank == root
  local what = here and core.is_tensor(x) and not core.isclosed(x) and
    { dtype = x.dtype, shape = x.shape } or false
  what = given_out(what, root) -- what is wrong with x is told to all ranks
  if not what or what.shape[1] ~= job.size then
    check.argument(1, "scatter", "tensor with %d rows expected on rank %d, got %s", job.size, root,
      what and "shape " .. check.shape(what.shape) or "none")
  end
  local part = core.empty({ table.unpack(what.shape, 2) }, what.dtype)
  local _ <close> = core.scope()
  silently(function()
    if part:numel() > 0 then
      wait(native.scatter(here and x:detach():contiguous() or nil, part, root))
    end
  end)
  return part
end

--- Rank r gets x[r + 1] of a tensor x (size, ...) on rank `root` (0); the others pass nil.
-- `local part = mpi.scatter(mpi.rank() == 0 and x:reshape(mpi.size(), -1, 10) or nil)`
function M.scatter(x, root) return collective("scatter", scattered, x, root) end

-- -- from one to another ----------------------------------------------------------------------

local TAG = 1

--- Sends a value to another rank, which must receive it: what broadcast takes.
-- `mpi.send({ step = 3, weights = w }, 1)`
function M.send(v, to)
  job.ready "send"
  to = check_root(2, "send", to)
  if to == job.rank then check.argument(2, "send", "rank %d is this one", to) end
  job.doing = ("send(to %d)"):format(to)
  local _ <close> = core.scope()
  silently(function()
    local text, tensors = message.encode("send", v)
    passed(text, tensors, function(t) wait(native.send(t, to, TAG)) end)
  end)
end

--- The next value that rank `from` sends, or anybody where from is nil; and who sent it.
-- `local v, from = mpi.receive()`
function M.receive(from)
  job.ready "receive"
  if from ~= nil then from = check_root(1, "receive", from) end
  job.doing = ("receive(from %s)"):format(from or "anybody")
  local scope <close> = core.scope()
  local v, parts = silently(passed, nil, nil, function(t)
    local source = wait(native.receive(t, from, TAG))
    from = from or source -- the rest is the same rank's
  end)
  for _, t in ipairs(parts) do scope:keep(t) end
  return v, from
end

return M
