-- wrappers.lua -- what stands between backward and a step, or follows a step: clipping,
-- accumulation, averages of the parameters.
--
-- clip_norm and clip_value work on a list of parameters at once.  Given an optimizer
-- they, accumulate, ema and swa make another one around it, with its step, zero_grad,
-- lr, groups, state and load_state; wrappers may be put around wrappers:
-- `local opt = optim.ema(optim.accumulate(optim.clip_norm(optim.adam(params), 1), 4), 0.999)`

local core = require "mare.core".functions
local check = require "mare.check"
local settle = require "mare.optim.settle".settle

local M = {}

-- -- around an optimizer --------------------------------------------------------------

local Wrapper = { __name = "mare.optimizer" }
local kinds = {} -- the methods of each kind of wrapper, and its defaults for them

--- Is v an optimizer, or a wrapper of one?
function M.is_optimizer(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(meta) == "table" and meta.__name == Wrapper.__name
end

-- What is not the wrapper's own is the optimizer's.
function Wrapper:__index(name)
  local method = kinds[rawget(self, "kind")][name]
  if method ~= nil then return method end
  local inner = rawget(self, "inner")
  if inner then return inner[name] end
end

function Wrapper:__newindex(name, value)
  if not self.inner then check.fail("%s has no '%s'", self.kind, check.text(name)) end
  self.inner[name] = value
end

function Wrapper:__tostring()
  return ("%s of %s"):format(self:describe(),
    self.inner and tostring(self.inner) or #self.params .. " parameters")
end

local function parameters_of(opt)
  local list = {}
  for _, group in ipairs(opt.groups) do
    table.move(group.params, 1, #group.params, #list + 1, list)
  end
  return list
end

-- The parameters that were passed, and the optimizer if it was one.
local function target(name, v, only_optimizer)
  if M.is_optimizer(v) then return parameters_of(v), v end
  if core.is_tensor(v) and not only_optimizer then v = { v } end
  if only_optimizer or type(v) ~= "table" or getmetatable(v) then
    check.argument(1, name, "%s expected, got %s",
      only_optimizer and "optimizer" or "list of parameters or optimizer",
      type(v) == "table" and getmetatable(v) and "an object; pass its parameters()" or type(v))
  end
  local list = {}
  for i, p in ipairs(v) do
    list[i] = core.is_tensor(p) and p or check.argument(1, name,
      "parameter #%d is a %s, not a tensor", i, type(p))
  end
  return list
end

-- A kind of wrapper inside one of the same kind keeps its state under another name.
local function prefix_for(kind, inner)
  local n = 1
  while inner do
    if rawget(inner, "kind") == kind then n = n + 1 end
    inner = rawget(inner, "inner")
  end
  return n == 1 and kind .. "." or kind .. n .. "."
end

local function wrap(kind, inner, fields)
  fields.kind, fields.inner, fields.prefix = kind, inner, prefix_for(kind, inner)
  return setmetatable(fields, Wrapper)
end

-- What every kind has; own_state and load_own are those of kinds with a state.
local function new_kind(name)
  local kind = {}
  kinds[name] = kind
  function kind:zero_grad() self.inner:zero_grad() end
  function kind.own_state() return {} end
  function kind.misfit() return {} end
  function kind.load_own() end

  --- The state of what is inside, and the wrapper's own under names that begin with its
  -- kind.
  function kind:state()
    local state = self.inner and self.inner:state() or {}
    for key, t in pairs(self:own_state()) do state[self.prefix .. key] = t end
    return state
  end

  --- Takes over a state made by state(); an error, and nothing changes, when it does
  -- not fit.
  function kind:load_state(state)
    if type(state) ~= "table" then
      check.argument(1, "load_state", "table of tensors expected, got %s", type(state))
    end
    local own, rest = {}, {}
    for key, t in pairs(state) do
      local mine = type(key) == "string" and key:sub(1, #self.prefix) == self.prefix
      if mine then own[key:sub(#self.prefix + 1)] = t else rest[key] = t end
    end
    local wrong = self:misfit(own)
    if not self.inner and next(rest) ~= nil then
      wrong[#wrong + 1] = tostring(next(rest)) .. " is unexpected"
    end
    if #wrong > 0 then
      check.argument(1, "load_state", "%s: %s", name, table.concat(wrong, "; "))
    end
    if self.inner then self.inner:load_state(rest) end
    self:load_own(own)
  end
  return kind
end

-- What of a state differs from tensors like these; `optional` names may be missing.
local function differences(own, like, optional)
  local wrong = {}
  for key, t in pairs(like) do
    local new = own[key]
    if not core.is_tensor(new) or core.isclosed(new) then
      if new ~= nil or not optional then wrong[#wrong + 1] = key .. " is missing" end
    elseif check.shape(new) ~= check.shape(t) or new.dtype ~= t.dtype then
      wrong[#wrong + 1] = ("%s is %s %s, %s %s expected"):format(key, new.dtype,
        check.shape(new), t.dtype, check.shape(t))
    end
  end
  for key in pairs(own) do
    if like[key] == nil then wrong[#wrong + 1] = key .. " is unexpected" end
  end
  table.sort(wrong)
  return wrong
end

-- -- clipping -------------------------------------------------------------------------

local function gradients(params)
  settle(params)
  local list = {}
  for _, p in ipairs(params) do list[#list + 1] = p.grad end
  return list
end

-- The p-norm of all values of a list of tensors.
local function total_norm(list, p)
  if p == 2 then return core.optim_norm(list) end
  local total = 0
  for _, t in ipairs(list) do
    local norm = t:norm(p):item()
    if p == math.huge then
      total = (norm > total or norm ~= norm) and norm or total
    else
      total = total + norm ^ p
    end
  end
  return p == math.huge and total or total ^ (1 / p)
end

local function clip_to_norm(params, max, p, error_if_nonfinite)
  local list = gradients(params)
  local norm = total_norm(list, p)
  if error_if_nonfinite and (norm ~= norm or norm == math.huge) then
    check.fail("clip_norm: the norm of the gradients is %s", norm)
  end
  local factor = max / (norm + 1e-6)
  if factor < 1 or factor ~= factor then core.optim_tool("scale", factor, list) end
  return norm
end

local clip_norm = new_kind "clip_norm"

function clip_norm:step()
  self.norm = clip_to_norm(self.params, self.max, self.p, self.error_if_nonfinite)
  return self.inner:step()
end

function clip_norm:describe() return ("clip_norm (%g)"):format(self.max) end

--- Scales all gradients by one factor so that their norm together is max at most, and
-- returns the norm that they had (0 without gradients).  Options: p (2; math.huge is the
-- largest absolute value), error_if_nonfinite (false).  Given an optimizer: one whose
-- step does that first; `norm` is the last one.
-- `loss:backward()  optim.clip_norm(model:parameters(), 1)  opt:step()`
-- Pascanu, Mikolov and Bengio 2013, On the difficulty of training recurrent networks.
function M.clip_norm(target_, max, opts)
  local params, inner = target("clip_norm", target_)
  max = check.number(2, "clip_norm", max, nil, 0)
  check.options(3, "clip_norm", opts, { p = true, error_if_nonfinite = true })
  local p = check.number(3, "clip_norm", opts and opts.p, 2, 0, nil, "p")
  local strict = opts and opts.error_if_nonfinite or false
  if p == 0 then check.argument(3, "clip_norm", "p is 0, a number above 0 expected") end
  if not inner then return clip_to_norm(params, max, p, strict) end
  return wrap("clip_norm", inner,
    { params = params, max = max, p = p, error_if_nonfinite = strict, norm = false })
end

local clip_value = new_kind "clip_value"

function clip_value:step()
  core.optim_tool("clip", self.max, gradients(self.params))
  return self.inner:step()
end

function clip_value:describe() return ("clip_value (%g)"):format(self.max) end

--- Moves every value of every gradient into -max .. max.  Given an optimizer: one whose
-- step does that first.
-- `optim.clip_value(model:parameters(), 0.5)`
function M.clip_value(target_, max)
  local params, inner = target("clip_value", target_)
  max = check.number(2, "clip_value", max, nil, 0)
  if inner then return wrap("clip_value", inner, { params = params, max = max }) end
  core.optim_tool("clip", max, gradients(params))
end

-- -- accumulation ---------------------------------------------------------------------

local accumulate = new_kind "accumulate"

function accumulate:describe() return ("accumulate (%d of %d)"):format(self.count, self.every) end

--- Steps with what was gathered, at the end of an epoch say; false when there is nothing.
function accumulate:flush()
  if self.count == 0 then return false end
  core.optim_tool("scale", 1 / self.count, gradients(self.params))
  self.inner:step()
  self.count = 0
  return true
end

function accumulate:step()
  self.count = self.count + 1
  return self.count >= self.every and self:flush()
end

function accumulate:zero_grad()
  if self.count == 0 then self.inner:zero_grad() end
end

-- In the middle of a gathering the gradients are state too.
function accumulate:own_state()
  local state = { count = core.tensor(self.count, "i64") }
  for i, p in ipairs(self.params) do
    if self.count > 0 then state["grad." .. i] = p.grad end
  end
  return state
end

function accumulate:misfit(own)
  local like, count = {}, own.count
  for i, p in ipairs(self.params) do like["grad." .. i] = p end
  own.count = nil
  local wrong = differences(own, like, true)
  own.count = count
  if not core.is_tensor(count) or count.dtype ~= "i64" or count:dim() > 0 then
    wrong[#wrong + 1] = "count is missing"
  elseif count:item() < 0 or count:item() >= self.every then
    wrong[#wrong + 1] = ("count is %d, below %d expected"):format(count:item(), self.every)
  end
  return wrong
end

function accumulate:load_own(own)
  self.count = own.count:item()
  for i, p in ipairs(self.params) do
    local grad = own["grad." .. i]
    p.grad = grad and grad:clone()
  end
end

--- An optimizer that steps at each nth call only, by the mean of the gradients since the
-- last time: batches n times as large in the memory of one.  Meanwhile zero_grad does
-- nothing and step returns false; it returns true when it stepped.  flush() steps with
-- what there is.
-- `local opt = optim.accumulate(optim.adam(params), 4)`
function M.accumulate(opt, n)
  local params, inner = target("accumulate", opt, true)
  n = check.count(2, "accumulate", n)
  return wrap("accumulate", inner, { params = params, every = n, count = 0 })
end

-- -- averages -------------------------------------------------------------------------

-- What ema and swa share; they differ in the weight of what is new.
local function new_average(name)
  local kind = new_kind(name)

  local function refuse_swapped(self, what)
    if self.swapped then
      check.fail("bad call of '%s' (the average is swapped in; call swap() first)", what)
    end
  end

  --- Takes the parameters as they are now into the average; the first are the average.
  function kind:update()
    refuse_swapped(self, "update")
    self.calls = self.calls + 1
    if self.calls <= self.start or (self.calls - self.start) % self.every ~= 0 then return end
    if self.count == 0 then
      core.optim_tool("multiple", 1, self.shadow, self.params)
    else
      core.optim_tool("average", self:weight(), self.shadow, self.params)
    end
    self.count = self.count + 1
  end

  function kind:step(...)
    refuse_swapped(self, "step")
    local stepped = self.inner:step(...)
    if stepped ~= false then self:update() end
    return stepped
  end

  --- Exchanges the values of the parameters and of the average; a second time: back.
  function kind:swap()
    core.optim_tool("exchange", 0, self.params, self.shadow)
    self.swapped = not self.swapped
  end

  --- Calls f(...) while the parameters are the average; back again also after an error.
  -- `local score = opt:with(evaluate, model)`
  function kind:with(f, ...)
    check.callable(1, "with", f)
    refuse_swapped(self, "with")
    self:swap()
    local results = table.pack(pcall(f, ...))
    self:swap()
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end

  function kind:own_state()
    refuse_swapped(self, "state")
    local state = { counts = core.tensor({ self.count, self.calls }, "i64") }
    for i, t in ipairs(self.shadow) do state[tostring(i)] = t end
    return state
  end

  function kind:misfit(own)
    refuse_swapped(self, "load_state")
    return differences(own, self:own_state())
  end

  function kind:load_own(own)
    for i, t in ipairs(self.shadow) do t:copy_(own[tostring(i)]) end
    self.count, self.calls = table.unpack(own.counts:totable())
  end

  kind.zero_grad = function(self)
    if self.inner then self.inner:zero_grad() end
  end
  return kind
end

local function make_average(name, target_, fields)
  local params, inner = target(name, target_)
  if #params == 0 then check.argument(1, name, "the list of parameters is empty") end
  fields.params, fields.shadow = params, {}
  fields.count, fields.calls, fields.swapped = 0, 0, false
  for i, p in ipairs(params) do
    if p.dtype ~= "f32" and p.dtype ~= "f64" then
      check.argument(1, name, "parameter #%d is %s; f32 or f64 expected", i, p.dtype)
    end
    fields.shadow[i] = p:detach():clone()
  end
  return wrap(name, inner, fields)
end

local ema = new_average "ema"

function ema:weight() return 1 - self.decay end

function ema:describe() return ("ema (%g)"):format(self.decay) end

--- A running mean of the parameters: after each step, decay (0.999) of what it was and
-- 1 - decay of what they are; the first values are taken whole.  Around an optimizer, or
-- with a list of parameters and update() after each step.  swap() puts the average in
-- the parameters' place and back, with(f) for a call; `shadow` lists its tensors.
-- `local opt = optim.ema(optim.adam(params), 0.999)  opt:with(evaluate)`
-- Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging.
function M.ema(target_, decay)
  decay = check.number(2, "ema", decay, 0.999, 0, 1)
  return make_average("ema", target_, { decay = decay, start = 0, every = 1 })
end

local swa = new_average "swa"

function swa:weight() return 1 / (self.count + 1) end

function swa:describe() return ("swa (%d averaged)"):format(self.count) end

--- The plain mean of the parameters at the end of steps start + every, start + 2 every ...
-- Options: start (0), every (1), counted in steps, or in calls of update() where a list
-- of parameters was given.  The rest as for ema.  Running statistics of a batch norm are
-- no parameters: measure them again afterwards.
-- `local average = optim.swa(model:parameters(), { start = 10 })`
-- Izmailov et al. 2018, Averaging weights leads to wider optima, arXiv:1803.05407.
function M.swa(target_, opts)
  check.options(2, "swa", opts, { start = true, every = true })
  opts = opts or {}
  return make_average("swa", target_, {
    start = check.count(2, "swa", opts.start or 0, 0, "start"),
    every = check.count(2, "swa", opts.every or 1, nil, "every"),
  })
end

return M
