-- descent.lua -- linear regression by going down the gradient of (weight, bias), on all rows
-- or on batches, and by trying every point of a grid.
--
-- What is made least is the half mean square, sum of w (y - x W - b)^2 / (2 sum of w), added
-- up over targets.  On all rows it is a quadratic form of the moments, so that a step costs
-- no more for more rows.  W is (d, k), b (1, k).

local core = require "mare.core".functions
local check = require "mare.check"
local linalg = require "mare.linalg"
local ops = require "mare.ops".ops
local regression = require "mare.models.regression"

local M = {}

-- -- traces ---------------------------------------------------------------------------

-- The points of a path: loss (t), weight (t, k, d), bias (t, k), all f64.
local function new_trace(count, d, k)
  return { loss = core.empty(count, "f64"), weight = core.empty({ count, k, d }, "f64"),
    bias = core.empty({ count, k }, "f64"), length = 0 }
end

local function note(trace, loss, W, b)
  if not trace then return end
  local i = trace.length + 1
  trace.length = i
  trace.loss:narrow(1, i, 1):fill_(loss)
  trace.weight:select(1, i):copy_(W:t())
  trace.bias:narrow(1, i, 1):copy_(b)
end

-- The part that was filled; of one list of targets weight (t, d) and bias (t).
local function finish(trace, single)
  if not trace then return nil end
  local out = {}
  for _, name in ipairs { "loss", "weight", "bias" } do
    local t = trace[name]:narrow(1, 1, trace.length)
    out[name] = (single and name ~= "loss" and t:select(2, 1) or t):clone()
  end
  return out
end

local function start(learned, d, k, single)
  local W, b = regression.before(learned, d, k, single)
  return W or core.zeros({ d, k }, "f64"), b or core.zeros({ 1, k }, "f64")
end

local function diverged(what, step, lr, hint)
  check.fail("LinearRegression: %s diverged at step %d with lr = %g; %s", what, step, lr, hint)
end

-- -- all rows -------------------------------------------------------------------------

-- The loss at (W, b), and G W and how far the means are missed, e (1, k), for its gradient.
local function loss_at(m, gram, c, W, b)
  local e, gw = m.mean:matmul(W) + b - m.y_mean, gram:matmul(W)
  local form = (W * (gw - c * 2)):sum(1, true) + m.yy + e:square()
  return form:sum():item() / 2, gw, e
end

-- The second derivatives to (W, b) of a target.
local function curvature(m, gram)
  if not m.intercept then return gram end
  local top = ops.cat({ gram + m.mean:t():matmul(m.mean), m.mean:t() }, 2)
  return ops.cat({ top, ops.cat({ m.mean, core.ones({ 1, 1 }, "f64") }, 2) }, 1)
end

-- Why to stop after a step, or nil.
local function reason_of(s, step, size)
  if size <= s.tol then return "gradient" end
  return step >= s.steps and "steps" or nil
end

-- One step, in place; returns why to stop instead, or nil, and the loss before.
local function step_down(m, s, state, step)
  local scope <close> = core.scope() -- luacheck: ignore
  local W, b = state.W, state.b
  local loss, gw, e = loss_at(m, state.gram, state.c, W, b)
  local g = gw - state.c + m.mean:t():matmul(e)
  local size = math.max(g:abs():max():item(), m.intercept and e:abs():max():item() or 0)
  if not (size < math.huge and loss < math.huge) then
    diverged("gradient descent", step, state.lr,
      ("a lr below %g converges"):format(2 / state.steep))
  end
  note(state.trace, math.max(loss, 0), W, b)
  local reason = reason_of(s, step, size)
  if not reason then
    W:sub_(g * state.lr)
    if m.intercept then b:sub_(e * state.lr) end
  end
  return reason, math.max(loss, 0)
end

--- Gradient descent on all rows.
function M.all(self, data, before)
  local s, m = self.settings, regression.center(data, self.settings.intercept)
  local state = {}
  state.gram, state.c = regression.gram(m)
  state.W, state.b = start(before, m.d, m.k, m.single)
  if not m.intercept then state.b:zero_() end
  state.steep = linalg.eigvalsh(curvature(m, state.gram)):max():item()
  state.lr = s.lr or (state.steep > 0 and 1 / state.steep or 1)
  state.trace = s.trace and new_trace(s.steps + 1, m.d, m.k)
  local step = -1
  local reason, loss
  repeat
    step = step + 1
    reason, loss = step_down(m, s, state, step)
  until reason
  local weight, bias = regression.pack(m.single, m.x.dtype, state.W, state.b)
  return { weight = weight, bias = bias, steps = step, reason = reason, loss = loss,
    lr = state.lr, converged = reason ~= "steps", trace = finish(state.trace, m.single) }
end

-- -- batches --------------------------------------------------------------------------

-- What batches need of the data, in its type.
local function batch_state(self, data, before)
  local s, n, x = self.settings, data.n, data.x
  local y = data.y:reshape(n, -1)
  local state = { x = x, y = y, n = n, single = data.y:dim() == 1, steps = 0, s = s }
  local W, b = start(before, data.features, y:size(2), state.single)
  state.W, state.b = W:to(x.dtype):clone(), b:to(x.dtype):clone()
  state.usual = y:to "f64":square():sum():item() / n
  if not s.intercept then state.b:zero_() end
  if data.weights then
    state.w = (data.weights * (n / data.weights:sum())):to(x.dtype):unsqueeze(2)
  end
  return state
end

-- Half of what keeps a step on a row of the usual length stable.
local function usual_rate(x)
  local total = 0
  regression.blocks(x:size(1), x:size(2), nil, function(first, count)
    total = total + x:narrow(1, first, count):to "f64":square():sum():item()
  end)
  return 0.5 / (1 + total / x:size(1))
end

-- A step on some rows; returns the sum of their losses before it.
local function batch_step(state, x, y, w)
  local scope <close> = core.scope() -- luacheck: ignore
  local s = state.s
  local r = x:matmul(state.W) + state.b - y
  local g = w and r * w or r
  local loss = (g * r):sum():item() / 2
  local rate = state.lr / (1 + s.decay * state.steps) / x:size(1)
  state.W:sub_(x:t():matmul(g) * rate)
  if s.intercept then state.b:sub_(g:sum(1, true) * rate) end
  state.steps = state.steps + 1
  return loss
end

-- All rows once, in an order or as they are; returns the mean loss on the way.
local function epoch(state, order)
  local total, size = 0, math.min(state.s.batch, state.n)
  for first = 1, state.n, size do
    local scope <close> = core.scope() -- luacheck: ignore
    local count = math.min(size, state.n - first + 1)
    local at = order and order:narrow(1, first, count)
    local function part(t)
      return at and t:index_select(1, at) or t:narrow(1, first, count)
    end
    total = total + batch_step(state, part(state.x), part(state.y), state.w and part(state.w))
  end
  if total ~= total or total / state.n > 1e6 * state.usual then
    diverged("stochastic gradient descent", state.steps, state.lr, "try a smaller one")
  end
  return total / state.n
end

local function batch_result(state, more)
  more.weight, more.bias = regression.pack(state.single, state.x.dtype, state.W:to "f64",
    state.b:to "f64")
  more.steps, more.lr = state.steps, state.lr
  return more
end

--- Stochastic gradient descent: a step on each batch of rows, drawn in a new order every
-- epoch.
function M.batches(self, data, before)
  local s, state = self.settings, batch_state(self, data, before)
  state.lr = s.lr or usual_rate(data.x)
  local trace = s.trace and new_trace(s.epochs, data.features, state.y:size(2))
  local last, loss, reason = math.huge, nil, nil
  for _ = 1, s.epochs do
    local scope <close> = core.scope() -- luacheck: ignore
    loss = epoch(state, s.shuffle and core.randperm(state.n) or nil)
    note(trace, loss, state.W:to "f64", state.b:to "f64")
    if math.abs(last - loss) <= s.tol * loss then reason = "value" break end
    last = loss
  end
  return batch_result(state, { loss = loss, reason = reason or "epochs",
    converged = reason ~= nil, trace = finish(trace, state.single) })
end

--- Goes on with more rows: once, in their order.
function M.more(self, data, before)
  local s = self.settings
  if s.solver ~= "sgd" then
    check.fail("LinearRegression: partial_fit needs solver = \"sgd\", not \"%s\"", s.solver)
  end
  local state = batch_state(self, data, before)
  if before and not regression.before(before, data.features, state.y:size(2), state.single) then
    local was = before.weight
    check.argument(2, "partial_fit", "targets %s; the model was fitted to %s",
      check.shape(data.y), was:dim() == 1 and "(n)" or ("(n, %d)"):format(was:size(1)))
  end
  state.lr = s.lr or before and before.lr or usual_rate(data.x)
  state.steps = before and before.steps or 0
  local loss = epoch(state)
  return batch_result(state, { loss = loss, reason = "rows", converged = false })
end

-- -- grid -----------------------------------------------------------------------------

local MOST = 10000000 -- points

local function is_range(v)
  return type(v) == "table" and #v == 2 and type(v[1]) == "number" and type(v[2]) == "number"
    and v[1] - v[1] == 0 and v[2] - v[2] == 0
end

--- The setting grid: { weight = { lo, hi } or a list of these, bias = { lo, hi }, points = }.
function M.check_grid(v)
  if type(v) ~= "table" then return nil, "table expected" end
  for k in pairs(v) do
    if k ~= "weight" and k ~= "bias" and k ~= "points" then
      return nil, ("unknown '%s'; known: bias, points, weight"):format(check.text(k))
    end
  end
  local points = v.points or 101
  if math.type(points) ~= "integer" or points < 1 then
    return nil, "points: whole number of at least 1 expected"
  end
  local weight = is_range(v.weight) and { v.weight } or v.weight
  for i = 1, math.max(1, type(weight) == "table" and #weight or 0) do
    if type(weight) ~= "table" or not is_range(weight[i]) then
      return nil, "weight: { lo, hi } expected, or a list of these, one for each column"
    end
  end
  if v.bias ~= nil and not is_range(v.bias) then return nil, "bias: { lo, hi } expected" end
  return { weight = weight, bias = v.bias, points = points }
end

-- The values along each axis: the columns', then the bias's.
local function axes_of(self, d)
  local grid, list = self.settings.grid, {}
  if not grid then check.fail("LinearRegression: solver \"grid\" needs the setting grid") end
  if #grid.weight ~= d then
    check.fail("LinearRegression: grid has ranges for %d weights; the data have %d columns",
      #grid.weight, d)
  end
  local bias = self.settings.intercept and (grid.bias or { 0, 0 }) or nil
  for i, r in ipairs(grid.weight) do list[i] = core.linspace(r[1], r[2], grid.points, "f64") end
  if bias then list[d + 1] = core.linspace(bias[1], bias[2], grid.points, "f64") end
  if grid.points ^ #list > MOST then
    check.fail("LinearRegression: a grid of %g points; at most %d", grid.points ^ #list, MOST)
  end
  return list
end

-- All points (count, axes), the last axis fastest.
local function points_of(axes)
  local shape, columns = {}, {}
  for i, t in ipairs(axes) do shape[i] = t:size(1) end
  for i, t in ipairs(axes) do
    local own = {}
    for j = 1, #axes do own[j] = j == i and t:size(1) or 1 end
    columns[i] = t:reshape(own):expand(shape):reshape(-1, 1)
  end
  return ops.cat(columns, 2), shape
end

--- Every point of a grid over (weight, bias); the losses are kept.
function M.grid(self, data)
  local m = regression.center(data, self.settings.intercept)
  if m.k ~= 1 then check.argument(2, "fit", "a grid is for one target; got %d", m.k) end
  local gram, c = regression.gram(m)
  local axes = axes_of(self, m.d)
  local points, shape = points_of(axes)
  local W = points:narrow(2, 1, m.d)
  local losses = (W:matmul(gram) * W):sum(2) - W:matmul(c):reshape(-1) * 2 + m.yy:reshape(1)
  if m.intercept then
    local e = W:matmul(m.mean:t()) + points:narrow(2, m.d + 1, 1) - m.y_mean
    losses = losses + e:reshape(-1):square()
  end
  losses = losses:div_(2):clamp(0, math.huge)
  local at = losses:argmin():item()
  local best = points:narrow(1, at, 1)
  local b = m.intercept and best:narrow(2, m.d + 1, 1) or core.zeros(1, "f64")
  local weight, bias = regression.pack(m.single, m.x.dtype, best:narrow(2, 1, m.d):t(), b)
  return { weight = weight, bias = bias, loss = losses[at]:item(), losses = losses:reshape(shape),
    axes = axes, reason = "complete", converged = true }
end

return M
