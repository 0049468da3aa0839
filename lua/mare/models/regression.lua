-- regression.lua -- what linear models of numbers share: moments of the rows in blocks,
-- least squares from them or by QR, and the form of what is learned.
--
-- Targets are (n, k) here, weights W (d, k), biases (k), all f64; the Gram matrix and what
-- goes with it is about the means, divided by the sum of the row weights.  Beside the data
-- stand a block of rows and a few (d, d) matrices.

local mare_core = require "mare.core"
local check = require "mare.check"
local linalg = require "mare.linalg"
local ops = require "mare.ops".ops

local core, routines = mare_core.functions, mare_core.routines

local M = {}

local epsilon = { f32 = 2.0 ^ -23, f64 = 2.0 ^ -52 }

-- -- blocks ---------------------------------------------------------------------------

local VALUES = 1 << 20 -- of a block
local ROWS = 32767     -- of a matrix that LAPACK is given here

--- f(first, count, scope) for blocks of n rows of d values, or of `size` rows; temporaries
-- are freed after each.
function M.blocks(n, d, size, f)
  size = size or math.max(64, VALUES // d)
  for first = 1, n, size do
    local scope <close> = core.scope()
    f(first, math.min(size, n - first + 1), scope)
  end
end

--- The type products are made in: f64 as long as that costs nothing to speak of.
function M.working_type(m) return m.n * m.d <= 4 * VALUES and "f64" or m.x.dtype end

-- -- moments --------------------------------------------------------------------------

--- Refuses sums of squares that are not finite; look() tells of values that were not.
function M.check_sums(position, t, look)
  if not routines.check_finite(t:reshape(-1)) then
    if look then look() end
    check.argument(position, "fit", "values so large that their squares overflow")
  end
end

-- Means (1, d) of the columns, f64, or zeros without an intercept; the sum of the weights.
local function means_of(m, intercept)
  local counts, means = core.empty(1, "f64"), core.empty({ 1, m.d }, "f64")
  m.all, m.variance = core.full({ m.n }, 1, "i64"), core.empty({ 1, m.d }, "f64")
  routines.class_moments(m.x, m.all, m.weights, counts, means, m.variance)
  M.check_sums(1, means, m.look)
  m.raw_mean = means
  return intercept and means or core.zeros({ 1, m.d }, "f64"), counts
end

--- What a fit starts from: n, d, k, sum (of the weights), mean (1, d), y_mean (1, k),
-- y (n, k) less it, yy (1, k) its mean square, w (n, 1) the weights or nil; variance (1, d).
function M.center(data, intercept)
  local m = { n = data.n, d = data.features, x = data.x, single = data.y:dim() == 1,
    intercept = intercept, look = data.check, weights = data.weights,
    w = data.weights and data.weights:unsqueeze(2) }
  m.mean, m.counts = means_of(m, intercept)
  m.sum = m.counts:item()
  local y = data.y:reshape(m.n, -1):to "f64"
  m.k = y:size(2)
  m.y_mean = intercept and (m.w and y * m.w or y):sum(1, true) / m.sum
    or core.zeros({ 1, m.k }, "f64")
  m.y = y - m.y_mean
  local squares = m.y:square()
  m.yy = (m.w and squares * m.w or squares):sum(1, true) / m.sum
  M.check_sums(2, m.yy)
  return m
end

-- x of the type that products are made in.
local function work_of(m)
  m.work = m.work or m.x:to(M.working_type(m))
  return m.work
end

--- The Gram matrix (d, d) of the rows about their means and x' y (d, k), f64, over the sum of
-- the weights, in one pass.
function M.gram(m)
  local out, xy = core.empty({ 1, m.d, m.d }, "f64"), core.empty({ m.d, m.k }, "f64")
  routines.class_covariances(work_of(m), m.all, m.weights, m.counts, m.mean, out, m.y, xy)
  M.check_sums(1, out)
  return out:reshape(m.d, m.d), xy:div_(m.sum)
end

--- Rows of x less their means, (count, d).
function M.rows(m, first, count, dtype)
  local x, mean = m.x:narrow(1, first, count), m.mean:to(dtype)
  if x.dtype == dtype then return x - mean end
  return x:to(dtype):sub_(mean)
end

--- x' (y - x W) (d, k) over the sum of the weights.
function M.slope(m, W)
  local x, out = work_of(m), core.empty({ m.d, m.k }, "f64")
  routines.scatter_times(x, m.weights, m.mean:reshape(-1), W:to(x.dtype):contiguous(), m.y, out)
  return out:div_(m.sum)
end

local function diagonal(a) return a:reshape(-1)[("::%d"):format(a:size(1) + 1)] end

-- -- normal equations -----------------------------------------------------------------

-- Pivots of a correlation matrix below this leave too little of an answer.
local WEAK = { f32 = 1e-5, f64 = 1e-10 }

-- The relative step at which refining an answer has to end.
local SETTLED = { f32 = 1e-4, f64 = 1e-9 }

-- solve(c): the W (d, k) with (gram + penalty I) W = c, or nil if that is too near to
-- singular; and the roots (d, 1) of the diagonal.  Constant columns get the weight 0.
local function factor(gram, penalty, dtype)
  local scope <close> = core.scope()
  local d, v = gram:size(1), diagonal(gram) + penalty
  local flat = v:eq(0)
  local root = ops.where(flat, 1, v:sqrt()):unsqueeze(2)
  local a, l = gram / root, core.empty({ d, d }, "f64")
  a:div_(root:t())
  diagonal(a):fill_(1)
  if not routines.gaussian_factor(a, 1, 0, 0, WEAK[dtype], 0, nil, l) then return nil end
  local upper = l:t():contiguous()
  for _, t in ipairs { l, upper, root } do scope:keep(t) end
  return function(c)
    local z = linalg.solve_triangular(l, c / root)
    return linalg.solve_triangular(upper, z, true) / root
  end, root, d - math.tointeger(flat:to "f64":sum():item())
end

-- Answers of a factor made better with what they leave of the rows themselves, until the
-- next step would be rounding: each is smaller than the one before by what the factor is off.
-- nil where steps do not become small.  A. Bjorck 1987, Stability analysis of the method of
-- seminormal equations.
local function refine(m, xy, solve, root, penalty)
  local W, last = solve(xy), 1
  for _ = 1, 10 do
    local step = solve(M.slope(m, W) - W * penalty)
    W = W + step
    local size = (W * root):norm():item()
    local moved = size > 0 and (step * root):norm():item() / size or 0
    if moved * math.min(1, moved / last) <= epsilon[m.x.dtype] then return W end
    if moved ~= moved or moved >= last / 2 then
      return moved <= SETTLED[m.x.dtype] and W or nil
    end
    last = moved
  end
  return W
end

--- W (d, k) and the rank by the normal equations, with a penalty lambda W^2 / 2 (over the
-- sum of the weights); nil where they lose too much.
function M.normal(m, lambda)
  local penalty, gram, xy = lambda / m.sum, M.gram(m)
  local solve, root, rank = factor(gram, penalty, m.x.dtype)
  if not solve then return nil end
  return refine(m, xy, solve, root, penalty), rank
end

--- What counts as 0 beside the largest singular value.
function M.cut_of(m) return 8 * math.sqrt(m.d) * epsilon[m.x.dtype] end

-- -- QR -------------------------------------------------------------------------------

-- Weighted rows with their targets (count, d + k).
local function row_block(m, first, count)
  local a = ops.cat({ M.rows(m, first, count, "f64"), m.y:narrow(1, first, count) }, 2)
  return m.w and a * m.w:narrow(1, first, count):sqrt() or a
end

-- R (.., d + k) of all rows: that of the first block, then of it and the next one below it.
-- J. Demmel et al. 2012, Communication-optimal parallel and sequential QR and LU.
local function triangle(m)
  local r, c = nil, m.d + m.k
  local size = math.max(1, math.min(math.max(512, 2 * c), ROWS - c)) -- what caches hold
  M.blocks(m.n, m.d, size, function(first, count, scope)
    local a = row_block(m, first, count)
    if r then
      local _ <close> = a
      a = ops.cat({ r, a }, 1)
      r:close()
    end
    r = scope:keep(count < m.n and select(2, linalg.qr(a)) or a)
  end)
  return r
end

-- W and the rank of a W = b with columns scaled alike, where that leaves one answer; nil
-- where it does not, and where their sizes are near enough for none to be lost.
local function one_answer(m, a, b, lambda)
  local size = a:abs():max(1, true)
  local used = size:gt(0)
  size = ops.where(used, size, 1)
  local rank = math.tointeger(used:to "f64":sum():item())
  local least = ops.where(used, size, math.huge):min():item()
  if rank == 0 or size:max():item() <= 16 * least then return nil end
  if lambda > 0 then
    a = ops.cat({ a, core.eye(m.d, "f64") * math.sqrt(lambda) }, 1)
    b = ops.cat({ b, core.zeros({ m.d, m.k }, "f64") }, 1)
    size, rank = a:abs():max(1, true), m.d
  end
  local W, found = linalg.lstsq(a / size, b, M.cut_of(m))
  if found:item() == rank then return W / size:t(), rank end
end

--- W (d, k), the rank and the singular values of the rows, by QR in blocks.  W is the
-- shortest of several answers; singular values that count as 0 are left out.
function M.qr(m, lambda, rcond)
  local r = triangle(m)
  local a, b = r:narrow(2, 1, m.d):contiguous(), r:narrow(2, m.d + 1, m.k):contiguous()
  local only, full
  if not rcond then only, full = one_answer(m, a, b, lambda) end
  if only and lambda > 0 then return only, full end
  if lambda == 0 then
    local W, rank, s = linalg.lstsq(a, b, rcond or M.cut_of(m))
    return only or W, full or math.tointeger(rank:item()), s
  end
  local u, s, vh = linalg.svd(a)
  local keep = s:gt(s:max():item() * M.cut_of(m))
  local part = ops.where(keep, s / (s:square() + lambda), 0):unsqueeze(2)
  return vh:t():matmul(u:t():matmul(b) * part), math.tointeger(keep:to "i64":sum():item()), s
end

-- -- what is learned ------------------------------------------------------------------

-- The declarations of the fields that all have.
local shared = { weight = "real *", bias = "real *" }

--- Further declarations with these.
function M.fields(more)
  for k, v in pairs(shared) do more[k] = v end
  return more
end

--- weight (k, d) and bias (k), of a type, from W (d, k) and b (k), f64; of one list of
-- targets (d) and a scalar.
function M.pack(single, dtype, W, b)
  local weight, bias = W:t():contiguous():to(dtype), b:reshape(-1):to(dtype)
  if not (routines.check_finite(weight:reshape(-1)) and routines.check_finite(bias)) then
    check.fail("'fit': the answer overflows %s; scale the columns or the targets", dtype)
  end
  if single then return weight:reshape(-1), bias:reshape({}) end
  return weight, bias
end

--- Learned fields of a model whose weights W (d, k) are about the means.
function M.result(m, W, more)
  more = more or {}
  more.weight, more.bias = M.pack(m.single, m.x.dtype, W, m.y_mean - m.mean:matmul(W))
  return more
end

--- W (d, k) and b (1, k), f64, that were learned before, if they fit k targets and d columns.
function M.before(learned, d, k, single)
  if not learned or learned.features ~= d then return nil end
  local w = learned.weight
  if single ~= (w:dim() == 1) or not single and w:size(1) ~= k then return nil end
  return w:to "f64":reshape(k, d):t():contiguous(), learned.bias:to "f64":reshape(1, k)
end

--- Predictions (n) or (n, k) of rows x (n, d).
function M.predict(_, x, learned)
  local w, b = learned.weight:to(x.dtype), learned.bias:to(x.dtype)
  if w:dim() == 2 then return ops.linear(x, w, b) end
  return ops.linear(x, w:unsqueeze(1), b:reshape(1)):reshape(x:size(1))
end

--- What a file held: sizes that agree.
function M.verify(_, learned)
  local w, b = learned.weight, learned.bias
  if w:dim() == 1 and b:dim() == 0 and w:size(1) == learned.features then return nil end
  if w:dim() == 2 and b:dim() == 1 and w:size(2) == learned.features and
    w:size(1) == b:size(1) and w.dtype == b.dtype then return nil end
  return ("weight %s, bias %s for %d columns"):format(check.shape(w), check.shape(b),
    learned.features)
end

M.methods = {}

--- The weight (d), or (k, d) for k targets, and the bias, as new tensors.
-- `local w, b = m:linear()`
function M.methods:linear()
  local learned = self:ready "linear"
  return learned.weight:clone(), learned.bias:clone()
end

--- (d) where a weight is not 0, for any target: the columns that the model uses.
-- `x:index_select(2, m:selected():nonzero():reshape(-1))`
function M.methods:selected()
  local w = self:ready "selected".weight
  return (w:dim() == 2 and w:abs():sum(1) or w):ne(0)
end

return M
