-- distribute.lua -- gradients averaged over all ranks while backward still runs.
--
-- Parameters are put in buckets, the last ones first, as backward reaches them.  When it has
-- the gradients of a whole bucket, they are copied together and their sum begins; the notices
-- that follow give MPI a chance to go on.  Before the step, or before anything else reads the
-- gradients, the rest begins, all are awaited and the means are copied back.
--
-- All ranks begin their buckets in one order, whatever backward reaches.  Behind its gradients
-- a bucket has a number for each parameter, 1 where backward has reached it: one that no rank
-- has reached keeps having no gradient.  The last bucket begins when no backward can follow
-- any more; behind all it says whether this rank's gradients have changed since their bucket
-- was begun, by a second backward say: then all ranks sum once more.

local check = require "mare.check"
local core = require "mare.core".functions
local mare = require "mare"
local settle = require "mare.optim.settle"
local collect = require "mare.mpi.collect"
local job = require "mare.mpi.job"

local native = job.native
local MB = 1 << 20

-- -- buckets ----------------------------------------------------------------------------------

local width = { f32 = 4, f64 = 8 }

-- Lists of parameters of one type, from the last on, of up to so many bytes each.
local function cut(params, bytes)
  local lists, size = {}, math.huge
  for i = #params, 1, -1 do
    local p, list = params[i], lists[#lists]
    local own = p:numel() * width[p.dtype]
    if size + own > bytes or list[1].dtype ~= p.dtype then
      list, size = {}, 0
      lists[#lists + 1] = list
    end
    list[#list + 1], size = p, size + own
  end
  return lists
end

-- all: the gradients one after another, then a mark for each parameter, then one for changes.
local function new_bucket(list)
  local n, dtype = 0, list[1].dtype
  for _, p in ipairs(list) do n = n + p:numel() end
  local bucket = { params = list, places = {}, all = core.zeros({ n + #list + 1 }, dtype) }
  local at = 1
  for k, p in ipairs(list) do
    bucket.places[k] = bucket.all:narrow(1, at, p:numel()):reshape(p.shape)
    at = at + p:numel()
  end
  bucket.marks = bucket.all:narrow(1, n + 1, #list)
  bucket.changed = bucket.all:narrow(1, n + #list + 1, 1)
  return bucket
end

-- Copies the gradients in and begins their sum.
local function start(self, bucket, changed)
  local began = mare.clock()
  local marks = {}
  for k, p in ipairs(bucket.params) do
    local g = p.grad
    marks[k] = g and 1 or 0
    if g then bucket.places[k]:copy_(g) else bucket.places[k]:zero_() end
  end
  bucket.marks:copy_(core.tensor(marks, bucket.all.dtype))
  bucket.changed:fill_(changed and 1 or 0)
  bucket.request = native.allreduce(bucket.all, "sum")
  self.communicating = self.communicating + mare.clock() - began
end

local function finish(bucket)
  job.doing = "the sum of gradients"
  job.wait(bucket.request)
  bucket.request = nil
  return bucket.changed[1]:item() > 0
end

-- The means, to the gradients of all parameters that any rank has reached.
local function copy_back(bucket)
  bucket.all:mul_(1 / job.size)
  for k, mark in ipairs(bucket.marks:totable()) do
    local p, g = bucket.params[k], nil
    if mark > 0 then g = p.grad end
    if g then g:copy_(bucket.places[k])
    elseif mark > 0 then p.grad = bucket.places[k]:clone() end
  end
end

-- -- what backward tells ------------------------------------------------------------------------

-- Gives MPI a chance to go on with what was begun.
local function progress(self)
  for i = 1, self.started do
    local request = self.buckets[i].request
    if request and not self.buckets[i].done then
      self.buckets[i].done = request:test(true)
      return
    end
  end
end

-- Begins the buckets whose turn it is, but never the last one.
local function start_ready(self)
  while self.started < #self.buckets - 1 and self.buckets[self.started + 1].missing <= 0 do
    self.started = self.started + 1
    start(self, self.buckets[self.started])
  end
end

-- passes: how often backward reached each parameter before the last step.  A gradient counts
-- as final when it has been reached as often again.
local function notice(self, i, p)
  local bucket, seen = self.buckets[i], self.seen[p] + 1
  self.seen[p], self.settled = seen, false
  if i <= self.started then self.changed = true end
  if seen == self.passes[p] then bucket.missing = bucket.missing - 1 end
  start_ready(self)
  progress(self)
end

-- -- a round: all gradients between two steps -----------------------------------------------------

-- What has never been reached is not waited for; it may still come.
local function expect(self, p)
  local seen = self.seen[p]
  if seen > 0 then
    self.passes[p], self.reached[p] = seen, true
  elseif not self.reached[p] then
    self.passes[p] = 0
  end
  self.seen[p] = 0
  return self.passes[p] > 0 and 1 or 0
end

local function begin_round(self)
  self.started, self.changed = 0, false
  for _, bucket in ipairs(self.buckets) do
    bucket.missing, bucket.done = 0, false
    for _, p in ipairs(bucket.params) do bucket.missing = bucket.missing + expect(self, p) end
  end
end

-- Sums everything that has not been begun, and waits; true when it must be done again.
local function complete(self, changed)
  for i = self.started + 1, #self.buckets do
    start(self, self.buckets[i], i == #self.buckets and changed)
  end
  local again = false
  for i, bucket in ipairs(self.buckets) do
    again = finish(bucket) and i == #self.buckets
  end
  return again
end

local function average(self)
  local began = mare.clock()
  if complete(self, self.changed) then
    self.started = 0
    complete(self, false)
    self.repeated = self.repeated + 1
  end
  for _, bucket in ipairs(self.buckets) do copy_back(bucket) end
  self.communicating = self.communicating + mare.clock() - began
  begin_round(self)
end

-- -- the optimizer --------------------------------------------------------------------------------

local Distributed = { __name = "mare.optimizer" }
local methods = {}

function Distributed:__index(name)
  if methods[name] ~= nil then return methods[name] end
  local inner = rawget(self, "inner")
  if inner then return inner[name] end
end

function Distributed:__newindex(name, value)
  if not self.inner then check.fail("distribute has no '%s'", tostring(name)) end
  self.inner[name] = value
end

function Distributed:__tostring()
  return ("distribute (%d ranks, %d buckets) of %s"):format(self.team.size, #self.buckets,
    self.inner and tostring(self.inner) or #self.params .. " parameters")
end

--- Averages the gradients over all ranks, unless that was done since the last backward.  step
-- does it, and so do clip_norm, clip_value and accumulate: all ranks must come here.
function methods:synchronize()
  if self.settled then return end
  job.ready "synchronize"
  core.hold(function()
    local _ <close> = core.scope()
    core.recorded(false, average, self)
  end)
  self.settled = true
end

--- Averages, then steps with the optimizer inside.
function methods:step(...)
  if not self.inner then check.fail "'step': distribute was given parameters, no optimizer" end
  self:synchronize()
  local stepped = self.inner:step(...)
  self.settled = false -- the ranks agree on steps, not on what backward reaches
  return stepped
end

function methods:zero_grad()
  self.settled = false
  if self.inner then return self.inner:zero_grad() end
  for _, p in ipairs(self.params) do p:zero_grad() end
end

function methods:state() return self.inner and self.inner:state() or {} end

function methods:load_state(state) return self.inner and self.inner:load_state(state) end

-- -- making one ----------------------------------------------------------------------------------

local known = { bucket = true, broadcast = true }

local function parameters_of(target)
  if mare.optim.is_optimizer(target) then
    local list = {}
    for _, group in ipairs(target.groups) do
      table.move(group.params, 1, #group.params, #list + 1, list)
    end
    return list, target
  end
  if type(target) ~= "table" or getmetatable(target) or #target == 0 then
    check.argument(1, "distribute", "optimizer or list of parameters expected, got %s",
      type(target) == "table" and getmetatable(target) and "an object; pass its parameters()" or
      type(target) == "table" and "an empty table" or check.kind(target))
  end
  return table.move(target, 1, #target, 1, {})
end

local function check_parameters(params)
  local texts = {}
  for i, p in ipairs(params) do
    if not core.is_tensor(p) or core.isclosed(p) or not width[p.dtype] then
      check.argument(1, "distribute", "parameter #%d is a %s, f32 or f64 tensor expected", i,
        check.kind(p))
    end
    texts[i] = p.dtype .. " " .. check.shape(p)
  end
  job.agree(("distribute(%s)"):format(table.concat(texts, ", ")))
end

-- What train.fit needs to know of the other ranks.
local function team()
  return {
    rank = job.rank, size = job.size,
    mean = function(v) return collect.allreduce(v, "mean") end,
    broadcast = collect.broadcast, broadcast_ = collect.broadcast_,
  }
end

local function start_alike(params)
  collect.broadcast_(params)
  mare.rng_state(table.unpack(collect.broadcast({ mare.rng_state() })))
end

local listening = setmetatable({}, { __mode = "k" }) -- by parameter: what stops the notices

-- The parameters are this one's from now on; no longer than they are used are they kept by it.
local function listen(self)
  local weak = setmetatable({ self }, { __mode = "v" })
  local function owner()
    if weak[1] then weak[1]:synchronize() end
  end
  for i, bucket in ipairs(self.buckets) do
    for _, p in ipairs(bucket.params) do
      if listening[p] then listening[p]() end
      settle.owner[p] = owner
      listening[p] = p.is_tracked and p:on_gradient(function(x)
        if weak[1] then notice(weak[1], i, x) end
      end)
    end
  end
end

local function new(params, inner, bytes)
  local function by_parameter() return setmetatable({}, { __mode = "k" }) end
  local self = { kind = "distribute", inner = inner or false, params = params, team = team(),
    buckets = {}, seen = by_parameter(), passes = by_parameter(), reached = by_parameter(),
    started = 0, settled = false, changed = false, communicating = 0.0, repeated = 0 }
  for i, list in ipairs(cut(params, bytes)) do self.buckets[i] = new_bucket(list) end
  for _, p in ipairs(params) do
    self.seen[p], self.passes[p], self.reached[p] = 0, p.is_tracked and 1 or 0, p.is_tracked
  end
  begin_round(self)
  for _, p in ipairs(params) do self.reached[p] = false end
  return setmetatable(self, Distributed)
end

local function distribute(target, opts)
  check.options(2, "distribute", opts, known)
  local params, inner = parameters_of(target)
  local size = check.number(2, "distribute", opts and opts.bucket, 4, 0, nil, "bucket")
  check_parameters(params)
  local self = core.hold(new, params, inner, size * MB)
  listen(self)
  if not opts or opts.broadcast ~= false then start_alike(params) end
  return self
end

--- An optimizer whose step uses the mean of all ranks' gradients: with batches of their own, n
-- ranks then train as one process does with a batch n times as large.  Takes an optimizer, or a
-- wrapper of one (clip_norm, accumulate, ema ... go inside or around); or a list of parameters
-- for a loop of one's own: call synchronize() after backward.  Sums begin while backward still
-- runs.  At the start the ranks take over the parameters and the random state of rank 0.
-- Options: bucket (4: megabytes that are sent at a time), broadcast (true).  Fields:
-- communicating, the seconds in which this rank did nothing but send, receive and wait for
-- others; repeated, how often sums had to be made again, as more came after they had begun.
-- `local opt = mpi.distribute(mare.optim.adam(model:parameters()))`
-- Li et al. 2020, PyTorch Distributed: experiences on accelerating data parallel training.
return function(target, opts) return job.collective("distribute", distribute, target, opts) end
