-- minimize.lua -- mare.optim.minimize: one entry to every method, with restarts,
-- tolerances, reasons to stop and a trace.

local core = require "mare.core".functions
local check = require "mare.check"
local kinds = require "mare.optim.options"
local problems = require "mare.optim.problem"
local runs = require "mare.optim.run"
local methods = require "mare.optim.methods"

local M = {}

-- -- options ---------------------------------------------------------------------------

local common = {
  method = true, steps = kinds.count(0), target = kinds.number, evaluations = kinds.count(1),
  restarts = kinds.count(0), sample = kinds.box, seed = kinds.integer, trace = kinds.flag,
  callback = kinds.callable,
}

local function find(name, options)
  local method = options.method == nil and "lbfgs" or options.method
  local entry = type(method) == "string" and methods.find(method)
  if not entry then
    check.argument(3, name, "%s", check.unknown("method", method, methods.names()))
  end
  return entry, method
end

local function check_options(name, entry, options)
  local known = {}
  for k, v in pairs(common) do known[k] = v end
  for k, v in pairs(entry.options) do known[k] = v end
  kinds.check(3, name, options, known)
end

-- -- starts ----------------------------------------------------------------------------

local Restore = { __close = function(t) core.rng_state(t.key, t.counter) end }

-- With a seed: random numbers from it, until the result is closed.
local function seeded(seed)
  if seed == nil then return nil end
  local key, counter = core.rng_state()
  core.seed(math.tointeger(seed))
  return setmetatable({ key = key, counter = counter }, Restore)
end

local function draw(problem, box)
  local x = core.rand({ problem.n }, problem.dtype)
  return x * (box.hi - box.lo) + box.lo
end

-- The box that restarts are drawn from.
local function sample_box(problem, options)
  local lo, hi = problem:box(options.sample, "sample", true)
  if not lo and (options.restarts or 0) > 0 then
    if options.bounds == nil then
      check.argument(3, problem.name, "restarts: need sample = { low, high } to draw starts from")
    end
    lo, hi = problem:box(options.bounds, "bounds", true)
  end
  return { lo = lo, hi = hi }
end

local function limits_of(entry, problem, options)
  local limits = setmetatable({}, { __index = options })
  for k, v in pairs(entry.defaults and entry.defaults(problem, options) or {}) do
    if options[k] == nil then limits[k] = v end
  end
  return limits
end

-- One run from x, which becomes its result.
local function run_from(entry, problem, x, options, box, attempt)
  local run = runs.new(problem, limits_of(entry, problem, options))
  run.lo, run.hi, run.attempt = box.lo, box.hi, attempt
  local f, reason = entry.run(run, x, options)
  return { x = x, f = f, reason = reason, run = run }
end

local function better(a, b) return b == nil or a.f < b.f or b.f ~= b.f and a.f == a.f end

-- "lbfgs: 12 steps, 15 evaluations, 15 gradients; ended by tol"
local Trace = { __name = "mare.Trace", __tostring = function(t)
  local starts = #t.starts > 1 and (", the best of %d starts"):format(#t.starts) or ""
  return ("%s: %d steps, %d evaluations, %d gradients%s; ended by %s"):format(t.method, t.steps,
    t.evaluations, t.gradients, starts, t.reason)
end }

-- The result of all starts as the trace that users get.
local function report(method, problem, best, done)
  local trace = setmetatable(best.run.rows or {}, Trace)
  trace.method, trace.reason, trace.steps = method, best.reason, best.run.steps
  trace.evaluations, trace.gradients, trace.starts = 0, 0, {}
  for i, r in ipairs(done) do
    trace.evaluations = trace.evaluations + r.run.evaluations
    trace.gradients = trace.gradients + r.run.gradients
    trace.starts[i] = {
      x = problem:unpack(r.x), f = r.f, reason = r.reason, steps = r.run.steps,
      evaluations = r.run.evaluations, rows = r.run.rows,
    }
  end
  return trace
end

-- The box that x stays in: two vectors, or none.
local function search_box(problem, entry, method, options)
  local box, x0, name = {}, problem.x0, problem.name
  box.lo, box.hi = problem:box(options.bounds, "bounds", entry.needs_box)
  if entry.needs_box and not box.lo then
    check.argument(3, name, "bounds: %s searches { low, high }, which is missing", method)
  end
  if box.lo and not entry.needs_box
      and x0:lt(box.lo):logical_or(x0:gt(box.hi)):any():item() ~= 0 then
    check.argument(2, name, "x0 lies outside the bounds")
  end
  return box
end

local function minimize(name, f, x0, options)
  if options ~= nil and type(options) ~= "table" then
    check.argument(3, name, "table of options expected, got %s", type(options))
  end
  options = options or {}
  local entry, method = find(name, options)
  check_options(name, entry, options)
  local problem = problems.new(name, f, x0, options.vectorized)
  local box = search_box(problem, entry, method, options)
  local sample = sample_box(problem, options)
  local _ <close> = seeded(options.seed)
  local best, done = nil, {}
  for i = 1, 1 + (options.restarts or 0) do
    local x = i == 1 and problem.x0:clone() or draw(problem, sample)
    local result = run_from(entry, problem, x, options, box, i)
    done[i] = result
    if better(result, best) then best = result end
    if result.reason == "callback" or result.reason == "target" then break end
  end
  return problem:unpack(best.x), best.f, report(method, problem, best, done)
end

--- The x at which f is least, near x0 or in a box.  Returns x, f(x) and a trace.
--
--     local x, fx, trace = mare.optim.minimize(function(x)
--       return (1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2
--     end, mare.tensor({-1.2, 1}, "f64"), { trace = true })
--
-- x0 is a number, an f32 or f64 tensor, or a table of them, nested at will; f gets the
-- same structure with tensors in it (0-d for a number) and returns a tensor of one
-- element, from which the gradient is computed, or the value and its gradient in the
-- structure of x0; for methods without gradients a number will do.  The result has the
-- structure of x0, numbers where x0 has numbers.
--
-- Options: method ("lbfgs"; "cg", "newton", "gd", any of mare.optim.rows such as "adam",
-- "nelder_mead", "cma_es", "differential_evolution", "random_search", "grid"), steps,
-- tol, value_tol, step_tol, target, evaluations (see run.lua for these), restarts = n
-- (the best of n + 1 starts; the others are drawn from the box `sample`, or `bounds`;
-- steps and evaluations are limits for each),
-- bounds = { low, high } (numbers or the structure of x0), seed (of the random numbers
-- of this call; those of the program go on as if nothing had been drawn), trace,
-- callback(row) (true stops), and those of the method, which its file names.
--
-- trace has reason, steps, evaluations, gradients, method, starts (x, f, reason, steps,
-- evaluations, rows of every start) and, with trace = true, trace[k] after step k of the best
-- start, trace[0] being the start: { step, f, x (up to 100 elements), gradient_norm
-- (largest element), step_size (length), rate, evaluations }.
function M.minimize(f, x0, options) return minimize("minimize", f, x0, options) end

-- mare.optim.nelder_mead(f, x0, options) ...: minimize by that method.
local function by_name(method)
  return function(f, x0, options)
    if options ~= nil and type(options) ~= "table" then
      check.argument(3, method, "table of options expected, got %s", type(options))
    end
    local own = {}
    for k, v in pairs(options or {}) do own[k] = v end
    if own.method ~= nil then
      check.argument(3, method, "method: only 'minimize' takes one")
    end
    own.method = method
    return minimize(method, f, x0, own)
  end
end

for method, entry in pairs(methods.list) do
  local call = by_name(method)
  local construct = entry.optimizer
  M[method] = not construct and call or function(first, ...)
    if select("#", ...) == 2 or type(first) ~= "table" then return call(first, ...) end
    return construct(first, ...)
  end
end
return M
