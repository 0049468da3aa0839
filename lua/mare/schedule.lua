-- schedule.lua -- learning rates as plain functions of the step.
--
-- A schedule is a function from the number of a step, counted from 1, to a
-- rate: give it to an optimizer as lr, plot it, multiply it, put one inside
-- another.  Everywhere below t is the number of steps already made, step - 1,
-- so that the first step uses the rate that is written first.

local check = require "mare.check"

local M = {}

local function positive(position, name, value)
  return check.number(position, name, value, nil, 0)
end

local function is_schedule(f)
  if type(f) == "function" then return true end
  local meta = type(f) == "table" and getmetatable(f)
  return meta and meta.__call ~= nil
end

-- A number stands for a constant schedule.
local function as_schedule(position, name, f)
  if type(f) == "number" then return M.constant(check.number(position, name, f)) end
  if not is_schedule(f) then
    check.argument(position, name, "schedule or number expected, got %s", type(f))
  end
  return f
end

-- f(step), which takes numbers only
local function made(name, f)
  return function(step) return f(check.number(1, name, step, nil, nil, nil, "step")) end
end

--- The same rate at every step.
-- Formula: lr
-- `schedule.constant(0.1)(7) --> 0.1`
function M.constant(lr)
  lr = check.number(1, "constant", lr)
  return function() return lr end
end

--- lr times factor (0.1) after each `every` steps: lr factor^floor(t / every).
-- Formula: lr factor^floor(t / every), t = step - 1
-- `schedule.step(0.1, 30, 0.5)(31) --> 0.05`
function M.step(lr, every, factor)
  lr, every = positive(1, "step", lr), check.count(2, "step", every)
  factor = check.number(3, "step", factor, 0.1, 0)
  return made("step", function(step) return lr * factor ^ ((step - 1) // every) end)
end

--- lr times factor (0.1) after each of the listed numbers of steps.
-- Formula: lr factor^(how many of the milestones are at most t), t = step - 1
-- `schedule.multistep(0.1, {30, 80})(31) --> 0.01`
function M.multistep(lr, milestones, factor)
  lr = positive(1, "multistep", lr)
  if type(milestones) ~= "table" then
    check.argument(2, "multistep", "list of steps expected, got %s", type(milestones))
  end
  factor = check.number(3, "multistep", factor, 0.1, 0)
  local at = {}
  for i, step in ipairs(milestones) do at[i] = check.number(2, "multistep", step, nil, 0) end
  table.sort(at)
  return made("multistep", function(step)
    local passed = 0
    while at[passed + 1] and step > at[passed + 1] do passed = passed + 1 end
    return lr * factor ^ passed
  end)
end

--- lr factor^t.
-- Formula: lr factor^t, t = step - 1
-- `schedule.exponential(1, 0.5)(3) --> 0.25`
function M.exponential(lr, factor)
  lr, factor = positive(1, "exponential", lr), positive(2, "exponential", factor)
  return made("exponential", function(step) return lr * factor ^ (step - 1) end)
end

--- lr / (1 + rate t)^power, power 1 unless given: the classical condition of
-- Robbins and Monro (1951) holds for powers above 1/2 and up to 1.
-- Formula: lr / (1 + rate t)^power, t = step - 1
-- `schedule.inverse_time(1, 0.5)(3) --> 0.5`
function M.inverse_time(lr, rate, power)
  lr, rate = positive(1, "inverse_time", lr), positive(2, "inverse_time", rate)
  power = check.number(3, "inverse_time", power, 1)
  return made("inverse_time", function(step) return lr / (1 + rate * (step - 1)) ^ power end)
end

--- From lr to final (0) in `steps` steps along (1 - t/steps)^power (1), then final.
-- Formula: final + (lr - final) (1 - min(t / steps, 1))^power, t = step - 1
-- `schedule.polynomial(1, 10, 2)(6) --> 0.25`
function M.polynomial(lr, steps, power, final)
  lr, steps = positive(1, "polynomial", lr), check.count(2, "polynomial", steps)
  power = check.number(3, "polynomial", power, 1)
  final = check.number(4, "polynomial", final, 0)
  return made("polynomial", function(step)
    return final + (lr - final) * (1 - math.min((step - 1) / steps, 1)) ^ power
  end)
end

--- A straight line from one rate to another in `steps` steps, then the last one.
-- Formula: from + (to - from) min(t / steps, 1), t = step - 1
-- `schedule.linear(0, 1, 10)(6) --> 0.5`
function M.linear(from, to, steps)
  from, to = check.number(1, "linear", from), check.number(2, "linear", to)
  steps = check.count(3, "linear", steps)
  return made("linear", function(step)
    return from + (to - from) * math.min((step - 1) / steps, 1)
  end)
end

--- A straight climb in `steps` steps to the first rate of `after` (a schedule or
-- a number), which then runs as if it began there.  from (0) is the part of that
-- rate where the climb begins; step k uses from + (1 - from) k / steps of it.
-- Formula: after(1) (from + (1 - from) step / steps), then after(step - steps)
-- `schedule.warmup(4, 0.1)(1) --> 0.025`
function M.warmup(steps, after, from)
  steps = check.count(1, "warmup", steps, 0)
  after = as_schedule(2, "warmup", after)
  from = check.number(3, "warmup", from, 0)
  return made("warmup", function(step)
    if step > steps then return after(step - steps) end
    return after(1) * (from + (1 - from) * step / steps)
  end)
end

local function half_cosine(high, low, progress)
  return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2
end

--- Half a cosine wave from lr to final (0) in `steps` steps, then final.
-- Loshchilov and Hutter, "SGDR", 2017.
-- Formula: final + (lr - final) (1 + cos(pi min(t / steps, 1))) / 2, t = step - 1
-- `schedule.cosine(1, 10)(6) --> 0.5`
function M.cosine(lr, steps, final)
  lr, steps = positive(1, "cosine", lr), check.count(2, "cosine", steps)
  final = check.number(3, "cosine", final, 0)
  return made("cosine", function(step)
    return half_cosine(lr, final, math.min((step - 1) / steps, 1))
  end)
end

--- Cosine waves that start again at lr: the first takes `period` steps, each
-- following one `mult` (1) times as long.  Loshchilov and Hutter, "SGDR", 2017.
-- Formula: final + (lr - final) (1 + cos(pi u)) / 2, u the part of the period that is over
-- `schedule.cosine_restarts(1, 10, 2)(11) --> 1`
function M.cosine_restarts(lr, period, mult, final)
  lr, period = positive(1, "cosine_restarts", lr), check.count(2, "cosine_restarts", period)
  mult = check.number(3, "cosine_restarts", mult, 1, 1)
  final = check.number(4, "cosine_restarts", final, 0)
  return made("cosine_restarts", function(step)
    local t, length = step - 1, period
    if mult == 1 then
      t = t % period
    else
      while t >= length do t, length = t - length, length * mult end
    end
    return half_cosine(lr, final, t / length)
  end)
end

local cyclic_scale = {
  triangular = function() return 1 end,
  triangular2 = function(cycle) return 0.5 ^ cycle end,
  exponential = function(_, t, factor) return factor ^ t end,
}

--- Up from low to high in `half` steps and down again, for ever.  Options:
-- mode = "triangular" | "triangular2" (each cycle half as high) | "exponential"
-- (the height times factor^t).  Smith, "Cyclical learning rates", 2017.
-- Formula: low + (high - low) h max(0, 1 - |t / half - 2 cycle - 1|), h the height of the cycle
-- `schedule.cyclic(0, 1, 10)(11) --> 1`
function M.cyclic(low, high, half, opts)
  low, high = check.number(1, "cyclic", low), check.number(2, "cyclic", high)
  half = check.count(3, "cyclic", half)
  check.options(4, "cyclic", opts, { mode = true, factor = true })
  local mode = opts and opts.mode or "triangular"
  local factor = check.number(4, "cyclic", opts and opts.factor, 1, 0, nil, "factor")
  local scale = cyclic_scale[mode]
  if not scale then
    check.argument(4, "cyclic", "%s", check.unknown("mode", mode, cyclic_scale))
  end
  return made("cyclic", function(step)
    local t = step - 1
    local cycle, phase = t // (2 * half), t % (2 * half)
    local height = 1 - math.abs(phase / half - 1)
    return low + (high - low) * height * scale(cycle, t, factor)
  end)
end

--- One long cycle: a cosine from high / start (25) up to high during the first
-- part warm (0.3) of the steps, then a cosine down to high / start / final (1e4).
-- Smith and Topin, "Super-convergence", 2018.
-- Formula: a + (b - a) (1 - cos(pi u)) / 2 from a to b, u the part of the way
-- `schedule.one_cycle(1, 100)(30) --> 1`
function M.one_cycle(high, steps, opts)
  high, steps = positive(1, "one_cycle", high), check.count(2, "one_cycle", steps)
  check.options(3, "one_cycle", opts, { warm = true, start = true, final = true })
  opts = opts or {}
  local function option(name, default, lo, hi)
    return check.number(3, "one_cycle", opts[name], default, lo, hi, name)
  end
  local first = high / option("start", 25, 1)
  local last = first / option("final", 1e4, 1)
  local peak = option("warm", 0.3, 0, 1) * steps - 1
  return made("one_cycle", function(step)
    local t = math.min(step, steps) - 1
    if t <= peak then return half_cosine(first, high, peak > 0 and t / peak or 1) end
    return half_cosine(high, last, (t - peak) / (steps - 1 - peak))
  end)
end

--- One schedule after another: { {f, 100}, {g, 500}, h } runs f for 100 steps, g
-- for 500 and h from there on, each counting its own steps from 1.
-- Formula: f_k(step - the steps of the parts before)
-- `schedule.sequence { {0.1, 10}, 0.01 } (11) --> 0.01`
function M.sequence(parts)
  if type(parts) ~= "table" or #parts == 0 then
    check.argument(1, "sequence", "list of schedules expected")
  end
  local fs, lengths = {}, {}
  for i, part in ipairs(parts) do
    local paired = type(part) == "table" and not is_schedule(part)
    fs[i] = as_schedule(1, "sequence", paired and part[1] or part)
    if i < #parts then lengths[i] = check.count(1, "sequence", paired and part[2] or nil) end
  end
  return made("sequence", function(step)
    local i = 1
    while lengths[i] and step > lengths[i] do step, i = step - lengths[i], i + 1 end
    return fs[i](step)
  end)
end

--- A climb of `warmup` steps, `stable` steps at lr, a straight descent of `decay`
-- steps to final (0).  Hu and others, "MiniCPM", 2024.
-- Formula: lr step / warmup; lr; lr + (final - lr) u, u the part of the descent
-- `schedule.warmup_stable_decay(1, { warmup = 2, stable = 5, decay = 4 })(10) --> 0.5`
function M.warmup_stable_decay(lr, opts)
  lr = positive(1, "warmup_stable_decay", lr)
  check.options(2, "warmup_stable_decay", opts or {},
    { warmup = true, stable = true, decay = true, final = true })
  opts = opts or {}
  local stable = check.count(2, "warmup_stable_decay", opts.stable, 0, "stable")
  local final = check.number(2, "warmup_stable_decay", opts.final, 0, 0, nil, "final")
  local decay = M.linear(lr, final, check.count(2, "warmup_stable_decay", opts.decay, nil, "decay"))
  return M.warmup(opts.warmup or 0, M.sequence { { lr, stable }, decay })
end

--- The product of schedules and numbers, step by step.
-- Formula: f_1(step) f_2(step) ...
-- `schedule.product(0.1, schedule.linear(1, 0, 10))(6) --> 0.05`
function M.product(...)
  local fs = { ... }
  for i = 1, select("#", ...) do fs[i] = as_schedule(i, "product", fs[i]) end
  return made("product", function(step)
    local p = 1
    for i = 1, #fs do p = p * fs[i](step) end
    return p
  end)
end

-- -- plateau: a rate that answers to a measurement ------------------------------

local Plateau = {}
Plateau.__index = Plateau

function Plateau.__call(self) return self.lr end

-- Is value better than the best one by more than the threshold?
local function better(self, value)
  if not self.best then return true end
  local margin = self.threshold * math.abs(self.best)
  if self.mode == "min" then return value < self.best - margin end
  return value > self.best + margin
end

--- Tells the schedule a measured value (a validation loss, say); returns true
-- when this lowered the rate.
function Plateau:report(value)
  check.number(1, "report", value)
  if better(self, value) then
    self.best, self.waited = value, 0
  else
    self.waited = self.waited + 1
  end
  if self.resting > 0 then self.resting, self.waited = self.resting - 1, 0 end
  if self.waited <= self.patience then return false end
  local lowered = math.max(self.lr * self.factor, self.min)
  local changed = lowered < self.lr
  self.lr, self.waited, self.resting = lowered, 0, self.cooldown
  return changed
end

local plateau_defaults = {
  factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0, min = 0
}

local plateau_options = { mode = "min" }
for k, v in pairs(plateau_defaults) do plateau_options[k] = v end

--- A schedule object: its rate is lowered by `factor` when more than `patience`
-- reports in a row brought nothing better.  Options (default): mode "min" or "max"
-- ("min"), factor (0.1), patience (10), threshold (1e-4, relative), cooldown (0)
-- reports after a change that are not counted, min (0) rate.
-- Formula: lr factor^(how often it was lowered), at least min
-- `local lr = schedule.plateau(0.1, { patience = 2 })  lr:report(0.5)  lr() --> 0.1`
function M.plateau(lr, opts)
  lr = positive(1, "plateau", lr)
  check.options(2, "plateau", opts, plateau_options)
  opts = opts or {}
  local self = { lr = lr, waited = 0, resting = 0, mode = opts.mode or "min" }
  for k, default in pairs(plateau_defaults) do
    self[k] = check.number(2, "plateau", opts[k], default, 0, k == "factor" and 1 or nil, k)
  end
  if self.mode ~= "min" and self.mode ~= "max" then
    check.argument(2, "plateau", "mode '%s'; known: max, min", check.text(self.mode))
  end
  return setmetatable(self, Plateau)
end

return M
