-- linear_solvers.lua -- how the weights of linear classifiers are found.  A solver takes a
-- problem (linear_classifier.lua), a start (weights and bias) and the settings, and returns
-- weights, bias and { steps, reason, converged, trace }.

local core = require "mare.core".functions
local where = require "mare.ops".ops.where
local check = require "mare.check"
local descent = require "mare.optim.descent"
local lbfgs = require "mare.optim.lbfgs"
local runs = require "mare.optim.run"
local search = require "mare.optim.linesearch"

local dot, axpy, largest = descent.dot, descent.axpy, descent.largest

local M = {}

-- -- what solvers tell ----------------------------------------------------------------

-- Reasons that mean: this is the minimum.
local good = { gradient = true, value = true, step = true }

local function limits_of(problem, settings)
  local eps = descent.epsilon[problem.x.dtype]
  return { steps = settings.max_steps, tol = settings.tol, value_tol = eps / 4,
    step_tol = eps / 16 }
end

-- A list that fills with { step, loss, gradient_norm }, and what to call at each step.
local function tracing(settings)
  if not settings.trace then return nil end
  local trace = {}
  return trace, function(step, loss, norm)
    trace[#trace + 1] = { step = step, loss = loss, gradient_norm = norm }
  end
end

local function told(steps, reason, trace)
  return { steps = steps, reason = reason, converged = good[reason] or false, trace = trace }
end

-- -- smooth objectives ----------------------------------------------------------------

-- Newton's method by conjugate gradients on products with the matrix of second derivatives,
-- cut off when exact enough: each step is the weighted least squares of IRLS.  C.-J. Lin,
-- R. C. Weng and S. S. Keerthi 2008, Trust region Newton method for logistic regression;
-- R. S. Dembo and T. Steihaug 1983, Truncated-Newton algorithms.
local Newton = {}
Newton.__index = Newton

function Newton:direction(x, g, d)
  local product = self.problem:curvature(x)
  d:zero_()
  local r, p, spare = g:clone(), g * -1, core.empty(g.shape, g.dtype)
  local rr, norm = dot(r, r), g:norm():item()
  local enough = (norm * math.min(0.1, norm)) ^ 2
  for _ = 1, 20 + 2 * g:numel() do
    local hp = product(p)
    local curve = dot(p, hp)
    if curve <= 1e-14 * dot(p, p) or curve ~= curve then break end
    local alpha = rr / curve
    axpy(d, alpha, p, spare)
    axpy(r, alpha, hp, spare)
    local new = dot(r, r)
    hp:close()
    if new <= enough or new ~= new then break end
    p:mul_(new / rr):sub_(r)
    rr = new
  end
  if dot(d, d) == 0 then d:sub_(g) end
end

function Newton.update() end
function Newton.first() return 1 end
function Newton.forget() return false end

local function method_of(problem, name)
  if name == "newton" then return setmetatable({ problem = problem }, Newton), 0.9 end
  return lbfgs.method {}, 0.9
end

-- L-BFGS or Newton's method with a line search.
local function smooth(problem, w, b, settings, name)
  local trace, note = tracing(settings)
  local limits = limits_of(problem, settings)
  limits.callback = note and function(row) note(row.step, row.f, row.gradient_norm) end
  local run = runs.new(problem, limits)
  local x = problem:pack(w, b):clone()
  local method, c2 = method_of(problem, name)
  local _, reason = descent.run(run, x, method, search.constants("fit", 1, {}, c2))
  w, b = problem:unpack(x)
  if name == "newton" and problem.loss.shifts then -- rounding alone moves all classes alike
    w, b = w - w:mean(1, true), b - b:mean()
  end
  return w, b, told(run.steps, reason, trace)
end

-- -- with |w|_1 -----------------------------------------------------------------------
-- OWL-QN: L-BFGS within the orthant that the steepest descent of the whole objective points
-- into.  G. Andrew and J. Gao 2007, Scalable training of L1-regularized log-linear models.

-- The element of the subdifferential of f + l |x| that is nearest to 0.
local function pseudo_gradient(x, g, l)
  local inside = (g:abs() - l):clamp(0, math.huge) * g:sign()
  return where(x:eq(0), inside, g + l * x:sign())
end

-- x + a d, at 0 where that leaves the orthant.
local function stay(x, d, a, orthant)
  local y = x + d * a
  return y * (y * orthant):gt(0):to(y.dtype)
end

-- A step along d that makes the objective fall, or nil.
local function backtrack(run, at, d, first, orthant, l)
  local a, eps = first, 4 * descent.epsilon[at.x.dtype] * math.abs(at.f)
  for _ = 1, 40 do
    local x = stay(at.x, d, a, orthant)
    local g = core.empty(x.shape, x.dtype)
    local smooth_part = run:gradient(x, g)
    local f = smooth_part + dot(x:abs(), l)
    local fall = dot(at.pg, x - at.x)
    if f - f == 0 and f <= at.f + 1e-4 * fall + eps then return { x = x, g = g, f = f } end
    a = a / 2
  end
end

local function owlqn_direction(method, at, free)
  local d = core.empty(at.x.shape, at.x.dtype)
  method:direction(at.x, at.pg * free, d)
  -- only where it agrees with steepest descent
  d = d * (d * at.pg):lt(0):to(d.dtype)
  return d
end

local function owlqn_step(run, method, at, l)
  local orthant = where(at.x:eq(0), at.pg * -1, at.x):sign()
  local free = at.pg:ne(0):to(at.x.dtype)
  local d = owlqn_direction(method, at, free)
  local new = backtrack(run, at, d, method:first(nil, at.pg), orthant, l)
  if not new then return nil end
  method:update(at.x, new.x, at.g, new.g)
  return new
end

local function owlqn_loop(run, method, at, l)
  local reason
  repeat
    at.pg = pseudo_gradient(at.x, at.g, l)
    reason = run:note(at.x, at.f, largest(at.pg))
    if reason then break end
    local new = owlqn_step(run, method, at, l)
    if new then
      run.steps = run.steps + 1
      reason = run:settled(at.f, new.f, largest(new.x - at.x), largest(new.x))
      at = new
    elseif not method:forget() then
      reason = "line search"
    end
  until reason
  return at, reason
end

local function sparse(problem, w, b, settings)
  local trace, note = tracing(settings)
  local limits = limits_of(problem, settings)
  limits.value_tol = 0
  limits.callback = note and function(row) note(row.step, row.f, row.gradient_norm) end
  local run, l = runs.new(problem, limits), problem:l1_weights()
  local x = problem:pack(w, b):clone()
  local at = { x = x, g = core.empty(x.shape, x.dtype) }
  at.f = run:gradient(x, at.g) + dot(x:abs(), l)
  local reason
  at, reason = owlqn_loop(run, lbfgs.method {}, at, l)
  w, b = problem:unpack(at.x)
  return w, b, told(run.steps, reason, trace)
end

-- -- optimizers of mare.optim, with mini-batches ---------------------------------------

local function soft_threshold(w, by)
  w:copy_((w:abs() - by):clamp(0, math.huge) * w:sign())
end

-- Gradients of the objective on some rows, into those of the parameters; the loss.
local function batch_gradient(problem, rows, params, proximal)
  local x, t, column = problem.x, problem.t, problem.column
  if rows then
    x, t = x:index_select(1, rows), { y = t.y:index_select(1, rows),
      of = t.of:index_select(1, rows) }
    column = column and column:index_select(1, rows)
  end
  local share = problem.rows / (problem.S * x:size(1))
  local w, b = params[1], params[2] or core.zeros(problem.r, x.dtype)
  local value, gw, gb = problem:evaluate(x, t, column, w, b)
  gw:mul_(share)
  if problem.l2 > 0 then gw:add_(w * problem.l2) end
  if problem.l1 > 0 and not proximal then gw:add_(w:sign() * problem.l1) end
  params[1].grad:copy_(gw)
  if params[2] then params[2].grad:copy_(gb * share) end
  return value * problem.rows / problem.S
end

-- One pass over the rows; the mean loss on the way.
local function epoch(problem, opt, params, settings)
  local n, size = problem.rows, math.min(settings.batch, problem.rows)
  local order = size < n and (settings.shuffle and core.randperm(n) or core.arange(1, n, "i64"))
  local sum, proximal = 0, settings.solver == "sgd"
  for first = 1, n, size do
    local _ <close> = core.scope()
    local rows = order and order:narrow(1, first, math.min(size, n - first + 1))
    sum = sum + batch_gradient(problem, rows, params, proximal)
    opt:step()
    if proximal and problem.l1 > 0 then soft_threshold(params[1], opt.lr * problem.l1) end
  end
  return sum / n
end

local function penalty(problem, w)
  local W = w:to "f64"
  return problem.l1 * W:abs():sum():item() + problem.l2 / 2 * W:square():sum():item()
end

--- The optimizer that the settings name, for parameters that get room for gradients.
function M.optimizer(problem, w, b, settings, state)
  local params = { w:to(problem.x.dtype):clone(), problem.intercept
    and b:to(problem.x.dtype):clone() or nil }
  for _, p in ipairs(params) do p.grad = core.zeros(p.shape, p.dtype) end
  local opts = { lr = settings.lr }
  for k, v in pairs(settings.options or {}) do opts[k] = v end
  local opt = require "mare.optim"[settings.solver](params, opts)
  if state then opt:load_state(state) end
  return opt, params
end

local function diverged(problem, k)
  check.fail("%s: the loss is no longer finite after epoch %d; a smaller lr helps",
    problem.name, k)
end

-- What a full-batch step saw, or an epoch's mean.
local function gradient_norm(params)
  local g = largest(params[1].grad:reshape(-1))
  return params[2] and math.max(g, largest(params[2].grad)) or g
end

--- Epochs of an optimizer; `most` of them.  Stops when the loss has for five epochs not
-- fallen by tol, with all rows in a batch when the gradient is at most tol.
function M.descend(problem, opt, params, settings, most)
  local trace, note = tracing(settings)
  local best, waited, whole = math.huge, 0, settings.batch >= problem.rows
  for k = 1, most do
    local before = whole and penalty(problem, params[1])
    local loss = epoch(problem, opt, params, settings)
    loss = loss + (before or penalty(problem, params[1]))
    local norm = gradient_norm(params)
    if loss - loss ~= 0 or norm - norm ~= 0 then diverged(problem, k) end
    if note then note(k, loss, norm) end
    if whole and problem.l1 == 0 and norm <= settings.tol then return told(k, "gradient", trace) end
    waited = loss > best - settings.tol * math.max(1, math.abs(best)) and waited + 1 or 0
    best = math.min(best, loss)
    if waited >= 5 and not whole then return told(k, "value", trace) end
  end
  return told(most, "epochs", trace)
end

local function gradual(problem, w, b, settings)
  local opt, params = M.optimizer(problem, w, b, settings)
  local info = M.descend(problem, opt, params, settings, settings.epochs)
  return params[1], params[2] or core.zeros(problem.r, problem.x.dtype), info
end

-- -- choosing -------------------------------------------------------------------------

--- The names of all solvers, those given first.
function M.names(...)
  local list = { ... }
  local rows = {}
  for name, row in pairs(require "mare.optim".rows) do
    rows[#rows + 1] = type(row) == "table" and row.name or name
  end
  table.sort(rows)
  table.move(rows, 1, #rows, #list + 1, list)
  return list
end

--- Is it the name of an optimizer?
function M.is_optimizer(name) return require "mare.optim".rows[name] ~= nil end

--- Weights, bias, { steps, reason, converged, trace }.
function M.solve(problem, w, b, settings)
  local name = settings.solver
  if M.is_optimizer(name) then return gradual(problem, w, b, settings) end
  if problem.l1 > 0 then return sparse(problem, w, b, settings) end
  return smooth(problem, w, b, settings, name)
end

return M
