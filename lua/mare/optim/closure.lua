-- closure.lua -- methods with a line search as optimizer objects: step(closure) calls
-- the closure as often as it needs to.

local core = require "mare.core".functions
local check = require "mare.check"
local kinds = require "mare.optim.options"
local descent = require "mare.optim.descent"
local search = require "mare.optim.linesearch"
local runs = require "mare.optim.run"

local M = {}

local Optimizer = { __name = "mare.optimizer" }      -- as those of optim.lua

-- -- parameters as one vector ----------------------------------------------------------

local function check_parameters(name, params)
  local seen = {}
  if type(params) ~= "table" then
    check.argument(1, name, "a list of parameters or a function expected, got %s",
      check.kind(params))
  end
  if #params == 0 then
    check.argument(1, name, type(params.parameters) == "function"
      and "list of parameters expected, got a module; pass model:parameters()"
      or "the list of parameters is empty")
  end
  for i, p in ipairs(params) do
    local what = not core.is_tensor(p) and "a " .. type(p) .. ", not a tensor"
      or p:isclosed() and "closed"
      or p.dtype ~= "f32" and p.dtype ~= "f64" and p.dtype .. "; f32 or f64 expected"
      or p.dtype ~= params[1].dtype and p.dtype .. " where the first is " .. params[1].dtype
      or not p:is_leaf() and "computed from others: only leaves are trained"
      or seen[p] and "the same tensor as parameter #" .. seen[p]
    if what then check.argument(1, name, "parameter #%d is %s", i, what) end
    seen[p] = i
  end
end

-- visit(parameter, its part of the flat vector)
local function each(params, flat, visit)
  local first = 1
  for _, p in ipairs(params) do
    visit(p, flat:narrow(1, first, p:numel()):reshape(p.shape))
    first = first + p:numel()
  end
end

-- writes the flat vector into the parameters
local function scatter(params, flat)
  core.recorded(false, each, params, flat, function(p, part) p:copy_(part) end)
end

-- -- the problem that a run sees -------------------------------------------------------

local Problem = {}
Problem.__index = Problem

local function loss_of(name, y)
  if core.is_tensor(y) and y:numel() == 1 then return y:item() + 0.0 end
  if type(y) == "number" then return y + 0.0 end
  check.fail("the closure given to 'step' of %s returned %s, not the loss", name,
    core.is_tensor(y) and "shape " .. check.shape(y) or "a " .. type(y))
end

function Problem:gradient(x, g)
  scatter(self.params, x)
  local y = loss_of(self.name, core.recorded(true, self.closure))
  local any = false
  each(self.params, g, function(p, part)
    local grad = p.grad
    any = any or grad ~= nil
    if grad then part:copy_(grad) else part:zero_() end
  end)
  if not any then
    check.fail("the closure given to 'step' of %s left no gradients: it has to call %s", self.name,
      "opt:zero_grad(), loss:backward() and to return the loss")
  end
  return y
end

-- a loss that is no number stops training rather than spoiling the parameters
local function check_start(run, f)
  if f - f ~= 0 then
    check.fail("the closure given to 'step' of %s returned %s", run.name, check.text(f))
  end
  return f
end

-- -- the object ------------------------------------------------------------------------

--- One call of the method: up to `iterations` line searches.  closure() clears the
-- gradients, computes the loss, calls backward and returns the loss, as PyTorch's does;
-- the parameters are left at the best point.  Returns the loss before the step, the loss
-- after it and the reason to stop (see run.lua).
--     opt:step(function()
--       opt:zero_grad()
--       local loss = mare.loss.mse(model(x), y)
--       loss:backward()
--       return loss
--     end)
function Optimizer:step(closure)
  check.callable(1, "step", closure)
  local params, state = self.params, self.own
  local problem = setmetatable({ name = self.name, params = params, closure = closure, n = 0 },
    Problem)
  for _, p in ipairs(params) do problem.n = problem.n + p:numel() end
  local x = core.empty({ problem.n }, params[1].dtype)
  each(params, x, function(p, part) part:copy_(p:detach()) end)
  local run = runs.new(problem, state.limits)
  run.check_start = check_start
  local first
  function run.note(r, at, f, norm)
    first = first or f
    return runs.note(r, at, f, norm)
  end
  rawset(self, "steps", self.steps + 1)
  if state.schedule then state.method.lr = state.schedule(self.steps) end
  local f, reason = descent.run(run, x, state.method, state.wolfe)
  scatter(params, x)
  return first, f, reason
end

--- Forgets the gradients of all parameters.
function Optimizer:zero_grad()
  for _, p in ipairs(self.params) do p:zero_grad() end
end

--- What the method remembers, as named tensors for mare.save and load_state.
function Optimizer:state()
  local state = self.own.method:save()
  state.steps = core.tensor(self.steps, "i64")
  return state
end

--- Takes over a state made by state(), of the same method and parameters.
function Optimizer:load_state(state)
  if type(state) ~= "table" or not core.is_tensor(state.steps) then
    check.argument(1, "load_state", "state of %s expected", self.name)
  end
  local n = 0
  for _, p in ipairs(self.params) do n = n + p:numel() end
  for name, t in pairs(state) do
    if not core.is_tensor(t) or t:dim() == 1 and (t:numel() ~= n or t.dtype ~= self.params[1].dtype)
    then
      check.argument(1, "load_state", "%s is %s, %s %d expected", check.text(name),
        core.is_tensor(t) and t.dtype .. " " .. check.shape(t) or check.kind(t),
        self.params[1].dtype, n)
    end
  end
  self.own.method:restore(state)
  rawset(self, "steps", state.steps:item())
end

local function set_rate(self, lr)
  local own = self.own
  if type(lr) == "number" then own.method.lr, own.schedule = lr, nil else own.schedule = lr end
end

function Optimizer:__index(name)
  if name == "lr" then return self.own.method.lr end
  return Optimizer[name]
end

function Optimizer:__newindex(name, value)
  kinds.check(1, self.name, { [name] = value }, { lr = kinds.rate })
  set_rate(self, value)
end

function Optimizer:__tostring()
  return ("%s (lr = %s): %d parameters, step %d"):format(self.name, self.lr, #self.params,
    self.steps)
end

--- The constructor of a method: make(options) gives the method (see descent.lua), known
-- are its options, c2 the second constant of the line search.
function M.constructor(name, make, known, c2)
  local own = { lr = kinds.rate, iterations = kinds.count(1), tol = kinds.tolerance,
    value_tol = kinds.tolerance }
  for k, v in pairs(known) do own[k] = own[k] or v end
  return function(params, options)
    check_parameters(name, params)
    kinds.check(2, name, options, own)
    options = setmetatable({}, { __index = options })
    local lr = options.lr
    if type(lr) ~= "number" then options.lr = 1 end
    local list = table.move(params, 1, #params, 1, {})
    local self = setmetatable({
      name = name, steps = 0, params = list, groups = { { params = list } },
      own = {
        method = make(options),
        wolfe = search.constants(name, 2, options, c2),
        limits = { steps = options.iterations or 20, tol = options.tol or 1e-7,
          value_tol = options.value_tol or 1e-9 },
      },
    }, Optimizer)
    if lr then set_rate(self, lr) end
    return self
  end
end

return M
