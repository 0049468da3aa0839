-- optim.lua -- optimizers: what makes parameters follow their gradients.
--
-- Each is a block of src/learn/optim.def; its options, their defaults and bounds
-- come from there.  mare.optim.rows lists them.

local core = require "mare.core".functions
local check = require "mare.check"

local step, zero_grad, unpack = core.optim_step, core.optim_zero_grad, table.unpack

local M = { rows = {} }

-- -- groups of parameters -------------------------------------------------------------

local Group, Optimizer = {}, { __name = "mare.optimizer" }
-- keys that no option's name can be; pending: the schedule has not been asked yet
local handle, schedule, pending, owner = {}, {}, {}, {}

local function is_schedule(v)
  if type(v) == "function" then return true end
  local meta = type(v) == "table" and getmetatable(v)
  return meta and meta.__call ~= nil
end

-- Options that do not go together: what is wrong, or nil.
local rules = {
  sgd = function(get)
    if get "nesterov" and (get "momentum" == 0 or get "dampening" ~= 0) then
      return "nesterov needs momentum above 0 and dampening 0"
    end
  end,
  rprop = function(get)
    if get "size_min" > get "size_max" then return "size_min is above size_max" end
  end,
}

local function breaks_rule(row, get) return rules[row.name] and rules[row.name](get) end

local function group_rule(row, group)
  return breaks_rule(row, function(name) return core.optim_get(group[handle], name) end)
end

local function set_option(group, name, value)
  local scheduled = name == "lr" and is_schedule(value)
  if not scheduled then core.optim_set(group[handle], name, value) end
  if name == "lr" then
    rawset(group, schedule, scheduled and value or false)
    rawset(group, pending, scheduled)
  end
end

-- A rate that is a function: the last one it gave, before the first step the first.
function Group:__index(name)
  if name == "lr" and self[pending] then
    core.optim_set(self[handle], "lr", self[schedule](self[owner].steps + 1))
    self[pending] = false
  end
  return core.optim_get(self[handle], name)
end

function Group:__newindex(name, value)
  local row, old = self[owner].row, core.optim_get(self[handle], name)
  set_option(self, name, value)
  local broken = group_rule(row, self)
  if broken then
    core.optim_set(self[handle], name, old)
    check.fail("%s: %s", row.name, broken)
  end
end

-- -- checking what was passed ---------------------------------------------------------

local function check_parameter(row, p, where, seen)
  if not core.is_tensor(p) then
    check.argument(1, row.name, "%s is a %s, not a tensor", where, type(p))
  elseif p:isclosed() then
    check.argument(1, row.name, "%s is closed", where)
  elseif p.dtype ~= "f32" and p.dtype ~= "f64" then
    check.argument(1, row.name, "%s is %s; f32 or f64 expected", where, p.dtype)
  elseif not p:is_leaf() then
    check.argument(1, row.name, "%s was computed from others: only leaves are trained", where)
  elseif not p:iscontiguous() then
    check.argument(1, row.name, "%s is not contiguous", where)
  elseif seen[p] then
    check.argument(1, row.name, "%s is the same tensor as %s", where, seen[p])
  end
  seen[p] = where
end

local function known_options(row)
  local known = {}
  for _, h in ipairs(row.hyper) do known[h.name] = true end
  return known
end

local function make_group(row, params, opts, where, seen)
  local own = {}
  for i = 1, rawlen(params) do
    own[i] = params[i]
    check_parameter(row, own[i], ("%sparameter #%d"):format(where, i), seen)
  end
  local group = setmetatable({
    params = own,
    [handle] = core.optim_group(row.name, table.move(own, 1, #own, 1, {})),
    [schedule] = false, [pending] = false, [owner] = { row = row, steps = 0 },
  }, Group)
  for _, h in ipairs(row.hyper) do
    if opts[h.name] ~= nil then set_option(group, h.name, opts[h.name]) end
  end
  local broken = group_rule(row, group)
  if broken then check.argument(2, row.name, "%s%s", where, broken) end
  return group
end

-- The options of a group over those of the optimizer.
local function group_options(row, entry, opts, where)
  local own = {}
  for k, v in pairs(opts) do own[k] = v end
  local known = known_options(row)
  known.params = true
  for k, v in pairs(entry) do
    if known[k] == nil then
      check.argument(1, row.name, "%s%s", where, check.unknown("option", k, known))
    end
    if k ~= "params" then own[k] = v end
  end
  return own
end

local function make_groups(row, params, opts)
  local seen, groups = {}, {}
  if type(params) ~= "table" then
    check.argument(1, row.name, "list of parameters expected, got %s",
      core.is_tensor(params) and "a tensor" or type(params))
  elseif getmetatable(params) and type(params.parameters) == "function" then
    check.argument(1, row.name, "list of parameters expected, got a module; pass %s",
      "model:parameters()")
  elseif rawlen(params) == 0 then
    check.argument(1, row.name, "the list of parameters is empty")
  elseif type(params[1]) ~= "table" then
    return { make_group(row, params, opts, "", seen) }
  end
  for i, entry in ipairs(params) do
    local where = ("group #%d: "):format(i)
    if type(entry) ~= "table" or type(entry.params) ~= "table" then
      check.argument(1, row.name, "%s{ params = {...}, options } expected", where)
    end
    groups[i] = make_group(row, entry.params, group_options(row, entry, opts, where), where, seen)
  end
  return groups
end

-- -- optimizers -----------------------------------------------------------------------

-- What a training loop calls stands in the object itself, where Lua looks first.
local function construct(row, params, opts)
  check.options(2, row.name, opts, known_options(row))
  local self = {
    name = row.name, row = row, steps = 0, groups = make_groups(row, params, opts or {}),
    handles = {}, step = Optimizer.step, zero_grad = Optimizer.zero_grad,
  }
  for i, group in ipairs(self.groups) do
    self.handles[i] = group[handle]
    group[owner] = self
  end
  return setmetatable(self, Optimizer)
end

--- One update of every parameter that has a gradient; an error when none has.  A rate
-- given as a function is called with the number of the step, from 1.
function Optimizer:step()
  if self == nil then check.method("an optimizer", self, "opt:step()") end
  local steps, groups = self.steps + 1, self.groups
  for i = 1, #groups do
    local group = groups[i]
    local rate = group[schedule]
    if rate then
      core.optim_set(group[handle], "lr", rate(steps))
      group[pending] = false
    end
  end
  local handles = self.handles
  if groups[2] then step(unpack(handles)) else step(handles[1]) end
  self.steps = steps
end

--- Forgets the gradients of all parameters.
function Optimizer:zero_grad()
  if self == nil then check.method("an optimizer", self, "opt:zero_grad()") end
  local groups = self.groups
  for i = 1, #groups do zero_grad(groups[i][handle]) end
end

-- opt.lr, opt.momentum ...: read from the first group, written to all.
function Optimizer:__index(name)
  local method = Optimizer[name]
  if method ~= nil then return method end
  return self.groups[1][name]
end

function Optimizer:__newindex(name, value)
  for _, group in ipairs(self.groups) do group[name] = value end
end

function Optimizer:__tostring()
  local parts = {}
  for i, h in ipairs(self.row.hyper) do
    parts[i] = ("%s = %s"):format(h.name, self.groups[1][h.name])
  end
  local count, values = 0, 0
  for _, group in ipairs(self.groups) do
    for _, p in ipairs(group.params) do count, values = count + 1, values + p:numel() end
  end
  return ("%s (%s): %d parameters, %d values, step %d"):format(self.name,
    table.concat(parts, ", "), count, values, self.steps)
end

-- -- state ----------------------------------------------------------------------------

-- Numbers are kept as tensors too, so that mare.save takes the whole state.
local function group_state(state, group, prefix, row)
  local hyper, counts = {}, {}
  for i, h in ipairs(row.hyper) do
    local v = group[h.name]
    hyper[i] = type(v) == "boolean" and (v and 1 or 0) or v
  end
  for i = 1, #group.params do
    counts[i] = core.optim_count(group[handle], i)
    for name, t in pairs(core.optim_slots(group[handle], i)) do
      state[("%s%d.%s"):format(prefix, i, name)] = t
    end
  end
  state[prefix .. "hyper"] = core.tensor(hyper, "f64")
  state[prefix .. "steps"] = core.tensor(counts, "i64")
end

--- The state as named tensors, for mare.save and load_state: "1.2.m" is slot m of
-- parameter 2 of group 1, "1.hyper" the group's options in the order of the row,
-- "1.steps" the steps that each parameter made, "steps" those of the optimizer.
-- The slots share their values with the optimizer: clone what is to stay as it is.
function Optimizer:state()
  local state = { steps = core.tensor(self.steps, "i64") }
  for i, group in ipairs(self.groups) do group_state(state, group, i .. ".", self.row) end
  return state
end

-- The options first: they decide which slots there are.
local function restore_options(self, states)
  for i, hyper in pairs(states) do
    local group = self.groups[i]
    for k, h in ipairs(self.row.hyper) do
      local v = hyper[k]
      if h.flag then v = v ~= 0 end
      core.optim_set(group[handle], h.name, v)
    end
    group[pending] = false
  end
end

-- The options in a state, as lists of numbers, of the groups where they can be read.
local function options_of(self, state, wrong)
  local lists = {}
  for i in ipairs(self.groups) do
    local name = i .. ".hyper"
    local t, hyper = state[name], self.row.hyper
    if core.is_tensor(t) and t.dtype == "f64" and check.shape(t) == tostring(#hyper) then
      local values, named, good = t:totable(), {}, true
      for k, h in ipairs(hyper) do
        named[h.name] = h.flag and values[k] ~= 0 or not h.flag and values[k]
        if not (values[k] >= h.lo and values[k] < h.hi) then
          wrong[#wrong + 1] = ("%s: %s is %s"):format(name, h.name, values[k])
          good = false
        end
      end
      local broken = good and breaks_rule(self.row, function(key) return named[key] end)
      if broken then wrong[#wrong + 1] = ("%s: %s"):format(name, broken) end
      if good and not broken then lists[i] = values end
    end
  end
  return lists
end

local function compare(own, state, wrong)
  for name, t in pairs(own) do
    local new = state[name]
    if not core.is_tensor(new) or core.isclosed(new) then
      wrong[#wrong + 1] = name .. " is missing"
    elseif check.shape(new) ~= check.shape(t) or new.dtype ~= t.dtype then
      wrong[#wrong + 1] = ("%s is %s %s, %s %s expected"):format(name, new.dtype,
        check.shape(new), t.dtype, check.shape(t))
    end
  end
  for name in pairs(state) do
    if own[name] == nil then wrong[#wrong + 1] = check.text(name) .. " is unexpected" end
  end
end

--- Takes over a state made by state(), of the same optimizer with parameters of the
-- same shapes; an error, and nothing changes, when it does not fit.  A rate that is a
-- function stays one.
-- `opt:load_state(assert(mare.load "opt.safetensors"))`
function Optimizer:load_state(state)
  if type(state) ~= "table" then
    check.argument(1, "load_state", "table of tensors expected, got %s", type(state))
  end
  local wrong, old = {}, options_of(self, self:state(), {})
  restore_options(self, options_of(self, state, wrong))
  local made, own = pcall(self.state, self)
  if made then compare(own, state, wrong) end
  if not made or #wrong > 0 then
    restore_options(self, old)
    if not made then error(own, 0) end
    table.sort(wrong)
    check.argument(1, "load_state", "%s", table.concat(wrong, "; "))
  end
  for name, t in pairs(own) do t:copy_(state[name]) end
  for i, group in ipairs(self.groups) do
    for k, t in ipairs(state[i .. ".steps"]:totable()) do
      core.optim_count(group[handle], k, t)
    end
  end
  self.steps = state.steps:item()
end

-- -- the table ------------------------------------------------------------------------

for _, row in ipairs(core.optim_rows()) do
  M.rows[row.name] = row
  M[row.name] = function(params, opts) return construct(row, params, opts) end
end

-- minimize and the methods behind it: lbfgs, cg, nelder_mead ...
for name, f in pairs(require "mare.optim.minimize") do M[name] = f end

for name, f in pairs(require "mare.optim.wrappers") do M[name] = f end

--- Downhill from saddle points, to a minimum; see mare.critical.
function M.escape_saddle(...) return require "mare.critical".escape_saddle(...) end

return M
