-- linear_classifier.lua -- what classifiers with linear scores share: z = x w' + b, losses
-- of z with their derivatives, penalties, weights of classes, and the function of one flat
-- vector that solvers make small (linear_solvers.lua).
--
-- With row weights s and S = sum s the objective is
--
--     1/S sum_i s_i loss(z_i, y_i) + 1/(C S) (r |w|_1 + (1 - r)/2 |w|^2)
--
-- which is scikit-learn's C sum s_i loss_i + penalty(w), divided by C S.  The bias is not
-- penalised.  w is (r, d): a row for each class, or one for two classes.

local mare_core = require "mare.core"
local check = require "mare.check"

local core, routines, ops = mare_core.functions, mare_core.routines, mare_core.ops
local element = require "mare.ops".ops

local M = {}

-- -- losses ---------------------------------------------------------------------------
-- Each is a row: value(z, t) gives the losses, (n) or (n, r); slope(z, t) their derivatives
-- to z, (n, r); curve(z, t) a function that multiplies u (n, r) by each row's second
-- derivative, where there is one; bend: about how large that is; shifts: the same added to all
-- outputs changes nothing.  t.y are the codes, t.of (n, r) the target: 0 or 1, -1 or 1 for
-- margins.

local losses = {}

losses.softmax = {
  shifts = true,
  value = function(z, t) return ops.cross_entropy(z, t.y, nil, nil, 0, false) end,
  slope = function(z, t) return z:softmax(2):sub_(t.of) end,
  curve = function(z)
    local p = z:softmax(2)
    return function(u) return p * (u - (p * u):sum(2, true)) end
  end,
  bend = function(r) return (r - 1) / r ^ 2 end,
}

losses.logistic = {
  value = function(z, t) return element.bce_logits(z, t.of) end,
  slope = function(z, t) return z:sigmoid():sub_(t.of) end,
  curve = function(z)
    local p = z:sigmoid()
    local h = p * (1 - p)
    return function(u) return u * h end
  end,
  bend = function() return 0.25 end,
}

losses.softmax_square = {
  value = function(z, t) return (z:softmax(2) - t.of):square():sum(2) * 0.5 end,
  slope = function(z, t)
    local p = z:softmax(2)
    local e = p - t.of
    return p * (e - (p * e):sum(2, true))
  end,
  bend = function(r) return (r - 1) / r ^ 2 end,
}

losses.logistic_square = {
  value = function(z, t) return (z:sigmoid() - t.of):square() * 0.5 end,
  slope = function(z, t)
    local p = z:sigmoid()
    return (p - t.of) * p * (1 - p)
  end,
  bend = function() return 0.25 end,
}

losses.hinge = {
  margin = true,
  value = function(z, t) return element.hinge(z, t.of) end,
  slope = function(z, t) return (z * t.of):lt(1):to(z.dtype) * t.of * -1 end,
  bend = function() return 1 end,
}

losses.squared_hinge = {
  margin = true,
  value = function(z, t) return element.squared_hinge(z, t.of) end,
  slope = function(z, t) return (1 - z * t.of):clamp(0, math.huge) * t.of * -2 end,
  -- S. S. Keerthi and D. DeCoste 2005, A modified finite Newton method for fast solution
  -- of large scale linear SVMs
  curve = function(z, t)
    local h = (z * t.of):lt(1):to(z.dtype) * 2
    return function(u) return u * h end
  end,
  bend = function() return 2 end,
}

-- -- data -----------------------------------------------------------------------------

--- The targets of r outputs: { y = codes, of = (n, r) }.
function M.targets(y, r, dtype, margin)
  local of
  if r == 1 then
    of = y:eq(2):to(dtype):unsqueeze(2)
  else
    of = y:unsqueeze(2):eq(core.arange(1, r, "i64")):to(dtype)
  end
  if margin then of = of * 2 - 1 end
  return { y = y, of = of }
end

--- A check for the setting class_weight: "balanced", or { [label] = weight }.
function M.check_class_weight(v)
  if v == "balanced" then return v end
  if type(v) ~= "table" then return nil, "\"balanced\" or { [label] = weight } expected" end
  local out = {}
  for label, w in pairs(v) do
    if not math.tointeger(label) or type(w) ~= "number" or not (w >= 0 and w < math.huge) then
      return nil, ("[%s] = %s is not a label and its weight"):format(check.text(label),
        check.text(w))
    end
    out[math.tointeger(label)] = w
  end
  return out
end

local function balanced(data)
  local w = data.weights or core.ones(data.n, "f64")
  local counts = core.zeros(data.K, "f64"):index_add(1, data.y, w)
  return w:sum() / (counts:clamp(1e-300, math.huge) * data.K)
end

local function named(class_weight, classes)
  local list = {}
  for i, label in ipairs(classes:totable()) do list[i] = class_weight[label] or 1 end
  return core.tensor(list, "f64")
end

--- Row weights times those of the classes, f64 (n), or nil where all are 1.
function M.row_weights(self, data)
  local of = self.settings.class_weight
  if not of then return data.weights end
  local by_class = of == "balanced" and balanced(data) or named(of, data.classes)
  local w = by_class:index_select(1, data.y)
  if data.weights then w = w * data.weights end
  if w:sum():item() <= 0 then
    check.fail("%s: class_weight leaves no row a weight", self.class.name)
  end
  return w
end

-- -- classes --------------------------------------------------------------------------

--- What a warm start may go on from: learned from the same classes and columns, or nil.
function M.previous(self, data)
  local before = rawget(self, "learned")
  if not before or before.features ~= data.features or before.classes:size(1) ~= data.K
    or before.classes:ne(data.classes):any():item() ~= 0 then return nil end
  return before
end

--- Refuses a part of a stream with other classes than those that have rows of weights.
function M.check_classes(self, data)
  local before = rawget(self, "learned")
  if data.K < 2 then
    check.argument(2, "partial_fit", "all labels are %d; announce all classes by classes = { ... }",
      data.classes[1]:item())
  elseif before and before.classes:size(1) ~= data.K then
    check.argument(2, "partial_fit", "%d classes instead of %d; the first call announces all " ..
      "by classes = { ... }", data.K, before.classes:size(1))
  end
end

-- -- penalties ------------------------------------------------------------------------

--- The strengths of |w|_1 and |w|^2/2 beside the mean loss of rows that weigh S.
function M.strengths(settings, S)
  local ratio = ({ l1 = 1, l2 = 0, elastic = settings.l1_ratio })[settings.penalty]
  if not ratio then return 0, 0 end
  return ratio / (settings.C * S), (1 - ratio) / (settings.C * S)
end

-- -- the problem ----------------------------------------------------------------------

local Problem = {}
Problem.__index = Problem

-- How columns are shifted and scaled so that none is much steeper than another: solvers see
-- w * scale and b + w . mean.  A constant column beside a bias teaches nothing and gets
-- weight 0.
local function condition(self, weights)
  local x, bend = self.x, self.loss.bend(self.r)
  local d = x:size(2)
  local counts, mean, var = core.empty(1, "f64"), core.empty({ 1, d }, "f64"),
    core.empty({ 1, d }, "f64")
  routines.class_moments(x, core.ones(x:size(1), "i64"), weights, counts, mean, var)
  if not routines.check_finite(var:reshape(-1)) then
    check.argument(1, "fit", "values so large that their squares overflow")
  end
  local square = mean:square()
  local flat
  if self.intercept then
    flat = var:le(square * (x.dtype == "f32" and 1e-13 or 1e-28))
  else
    var, mean, flat = var + square, core.zeros({ 1, d }, "f64"), (var + square):eq(0)
  end
  local scale = (var * bend + self.l2):sqrt()
  self.scale = element.where(flat, core.ones({ 1, d }, "f64"), scale):to(x.dtype)
  self.inverse = element.where(flat, core.zeros({ 1, d }, "f64"), 1 / scale):to(x.dtype)
  self.mean = mean:to(x.dtype)
end

--- The problem of fitting r rows of weights to data: name of the loss, row weights f64 (n) or
-- nil.  conditioned: for solvers that see all rows.
function M.problem(self, data, name, r, conditioned)
  local s, x = self.settings, data.x
  local weights = M.row_weights(self, data)
  local loss = losses[name]
  local p = setmetatable({
    name = self.class.name, loss = loss, x = x, r = r, d = data.features, rows = data.n,
    t = M.targets(data.y, r, x.dtype, loss.margin), intercept = s.fit_intercept,
    weights = weights, S = weights and weights:sum():item() or data.n,
    column = weights and weights:to(x.dtype):unsqueeze(2),
  }, Problem)
  p.n = r * p.d + (s.fit_intercept and r or 0)
  p.l1, p.l2 = M.strengths(s, p.S)
  if p.l1 + p.l2 > (x.dtype == "f32" and 1e30 or 1e290) then
    check.fail("%s: C = %g is too small for %s", p.name, s.C, x.dtype)
  end
  if conditioned then condition(p, weights) end
  return p
end

--- The flat vector of weights (r, d) and bias (r).
function Problem:pack(weights, bias)
  local v = weights:to(self.x.dtype) * self.scale
  if not self.intercept then return v:reshape(-1) end
  local c = bias:to(self.x.dtype) + (weights:to(self.x.dtype) * self.mean):sum(2)
  return ops.cat({ v:reshape(-1), c }, 1)
end

--- The weights (r, d) and bias (r) of a flat vector, as a problem does for minimizers.
function Problem:unpack(v)
  local w = v:narrow(1, 1, self.r * self.d):reshape(self.r, self.d) * self.inverse
  if not self.intercept then return w, core.zeros(self.r, self.x.dtype) end
  return w, v:narrow(1, self.r * self.d + 1, self.r) - (w * self.mean):sum(2)
end

-- A gradient to weights and bias as one to the flat vector.
function Problem:flat(gw, gb)
  if not self.intercept then return (gw * self.inverse):reshape(-1) end
  return ops.cat({ ((gw - gb:unsqueeze(2) * self.mean) * self.inverse):reshape(-1), gb }, 1)
end

--- The sum of s_i loss_i over rows x with targets t, column (n, 1) their weights or nil, and
-- its derivatives to w (r, d) and b (r).
function Problem:evaluate(x, t, column, w, b)
  local z = ops.linear(x, w, b)
  local value, g = self.loss.value(z, t), self.loss.slope(z, t)
  if column then
    g:mul_(column)
    value = value:dim() == 2 and value * column or value * column:reshape(-1)
  end
  return value:to "f64":sum():item(), g:t():matmul(x), g:sum(1)
end

--- The smooth part of the objective at a flat vector; its gradient goes into g.
function Problem:gradient(v, g)
  local _ <close> = core.scope()
  local w, b = self:unpack(v)
  local value, gw, gb = self:evaluate(self.x, self.t, self.column, w, b)
  gw = gw:mul_(1 / self.S)
  if self.l2 > 0 then gw:add_(w * self.l2) end
  g:copy_(self:flat(gw, gb * (1 / self.S)))
  return value / self.S + self.l2 / 2 * w:to "f64":square():sum():item()
end

--- |w|_1 times its strength, and that strength for each element of a flat vector.
function Problem:l1_weights()
  local each = (self.inverse * self.l1):expand(self.r, self.d):reshape(-1)
  if not self.intercept then return each end
  return ops.cat({ each, core.zeros(self.r, self.x.dtype) }, 1)
end

--- A function that multiplies a flat vector by the matrix of second derivatives at v.
function Problem:curvature(v)
  local w, b = self:unpack(v)
  local turn = self.loss.curve(ops.linear(self.x, w, b), self.t)
  return function(u)
    local scope <close> = core.scope()
    local uw, ub = self:unpack(u)
    local h = turn(ops.linear(self.x, uw, ub))
    if self.column then h:mul_(self.column) end
    local gw = h:t():matmul(self.x):mul_(1 / self.S)
    if self.l2 > 0 then gw:add_(uw * self.l2) end
    return scope:keep(self:flat(gw, h:sum(1) * (1 / self.S)))
  end
end

--- The whole objective at weights and bias, a number.
function Problem:objective(w, b)
  local _ <close> = core.scope()
  local value = self:evaluate(self.x, self.t, self.column, w, b)
  local W = w:to "f64"
  value = value / self.S + self.l1 * W:abs():sum():item() + self.l2 / 2 * W:square():sum():item()
  return value
end

-- By how much z prefers each row's class, at least and at most: two numbers.  A row of weight
-- 0 does not count.
local function margins(self, z)
  local low, high
  if self.r == 1 then
    low = (z * (self.t.of * 2 - 1)):reshape(-1)
    high = low
  else
    local own = z:gather(2, self.t.y:unsqueeze(2))
    local others = z - self.t.of * 1e30
    low = own:reshape(-1) - others:max(2)
    high = own:reshape(-1) - z:min(2)
  end
  if self.weights then
    local kept = self.weights:gt(0):nonzero():reshape(-1)
    low, high = low:index_select(1, kept), high:index_select(1, kept)
  end
  return low:min():item(), high:max():item()
end

--- Do the scores tell every row's class?
function Problem:separates(w, b)
  local _ <close> = core.scope()
  return (margins(self, ops.linear(self.x, w, b))) > 0
end

--- Is the way from w0, b0 to w1, b1 one on which no row gets worse, and some much better?
function Problem:recedes(w0, b0, w1, b1)
  local _ <close> = core.scope()
  local low, high = margins(self, ops.linear(self.x, w1 - w0, b1 - b0))
  return high > 0.01 and low > -1e-3 * high
end

return M
