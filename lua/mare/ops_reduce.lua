-- ops_reduce.lua -- reductions, sorting, softmax and cross-entropy: their rows and
-- what is composed of them.  The tape's arguments of a reduction are x, the reduced
-- dimensions as a bit set, whether they are kept, and the parameter.

local core = require "mare.core"
local check = require "mare.check"
local is_tensor = core.functions.is_tensor

-- t, a result or its gradient, with the reduced dimensions as sizes of 1 again
local function kept(t, x, axes, keep)
  if keep then return t end
  local shape = x.shape
  for d = 1, #shape do
    if axes >> (d - 1) & 1 == 1 then shape[d] = 1 end
  end
  return t:reshape(shape)
end

-- the number of elements behind each element of the result
local function count(x, axes)
  local n = 1
  for d, size in ipairs(x.shape) do
    if axes >> (d - 1) & 1 == 1 then n = n * size end
  end
  return n
end

-- the bit set as a list of dimensions
local function dims_of(axes)
  local dims = {}
  for d = 1, 8 do
    if axes >> (d - 1) & 1 == 1 then dims[#dims + 1] = d end
  end
  return dims
end

-- the same dimensions counted from the end, past any that a tangent has in front
local function from_end(x, axes)
  local dims, n = dims_of(axes), x:dim()
  for i, d in ipairs(dims) do dims[i] = d - n - 1 end
  return dims
end

local function dim_from_end(x, dim) return dim < 0 and dim or dim - x:dim() - 1 end

return function(registry)
  local define, ops = registry.define, registry.ops

  -- each element of the result depends on the elements behind it alone: the sum of the
  -- derivatives to them, times their tangents
  local function summed(row)
    return function(t, y, x, axes, keep, ...)
      local d = row.vjp(core.functions.full(y.shape, 1, y.dtype), y, x, axes, keep, ...)
      return (t[1] * d):sum(from_end(x, axes), keep)
    end
  end

  local function reduction(row)
    row.jvp = row.jvp or summed(row)
    row.cases = row.cases or {
      function(sample) return sample(3, 4) end,
      function(sample) return sample(3, 4), 1 end,
      function(sample) return sample(2, 3, 4), {1, 3}, true end,
    }
    define(row)
  end

  -- a reduction again, of a tangent, with the arguments of the tape
  local function again(name)
    return function(t, _, x, axes, keep) return ops[name](t[1], from_end(x, axes), keep) end
  end

  reduction { name = "sum", kind = "linear", doc = "sum over all or some dimensions",
    jvp = again "sum",
    vjp = function(g, _, x, axes, keep) return kept(g, x, axes, keep):expand(x.shape) end }
  reduction { name = "mean", kind = "linear", doc = "mean over all or some dimensions",
    jvp = again "mean",
    vjp = function(g, _, x, axes, keep)
      return (kept(g, x, axes, keep) / count(x, axes)):expand(x.shape)
    end }
  reduction { name = "prod", doc = "product over all or some dimensions",
    vjp = function(g, _, x, axes, keep)
      -- with one 0 only that element has a gradient, with more none has
      local zero = x:eq(0)
      local others = ops.where(zero, 1, x)
      local p = ops.prod(others, dims_of(axes), true)
      local zeros = zero:sum(dims_of(axes), true):expand(x.shape)
      local d = ops.where(zeros:eq(0), p / others,
        ops.where(zeros:eq(1):logical_and(zero), p:expand(x.shape), others * 0))
      return kept(g, x, axes, keep) * d
    end }

  -- the elements that are the extreme one share the gradient
  local function extreme_vjp(g, y, x, axes, keep)
    local here = x:eq(kept(y, x, axes, keep)):to(x.dtype)
    return kept(g, x, axes, keep) * (here / here:sum(dims_of(axes), true))
  end
  reduction { name = "max", doc = "largest element; NaN when there is one", vjp = extreme_vjp }
  reduction { name = "min", doc = "smallest element; NaN when there is one", vjp = extreme_vjp }

  reduction { name = "logsumexp", doc = "log of the sum of e^x, without overflow",
    vjp = function(g, y, x, axes, keep)
      return kept(g, x, axes, keep) * (x - kept(y, x, axes, keep)):exp()
    end }
  reduction { name = "norm", doc = "(sum of |x|^p)^(1/p); p = 2; largest |x| for p = inf",
    cases = {
      function(sample) return sample(3, 4) end,
      function(sample) return sample(3, 4), 1, 2 end,
      function(sample) return sample(3, 4), 3, {1, 2}, true end,
      function(sample) return sample(3, 4), math.huge, 1 end,
    },
    vjp = function(g, y, x, axes, keep, p)
      local gk, yk = kept(g, x, axes, keep), kept(y, x, axes, keep)
      if p == 0 then return x * 0 end
      if p == 1 then return gk * x:sign() end
      if p == math.huge then
        local here = x:abs():eq(yk):to(x.dtype)
        return gk * x:sign() * (here / here:sum(dims_of(axes), true))
      end
      local zero = yk:eq(0)
      local safe = ops.where(zero, 1, yk)
      local d = p == 2 and x / safe or x:sign() * (x:abs() / safe) ^ (p - 1)
      return gk * ops.where(zero:expand(x.shape), x * 0, d)
    end }
  reduction { name = "var", doc = "variance; the divisor is the count less a correction (1)",
    vjp = function(g, _, x, axes, keep, correction)
      local centred = x - x:mean(dims_of(axes), true)
      return kept(g, x, axes, keep) * centred * (2 / (count(x, axes) - correction))
    end,
    jvp = function(t, _, x, axes, keep, correction)
      local centred = x - x:mean(dims_of(axes), true)
      return (t[1] * centred):sum(from_end(x, axes), keep) * (2 / (count(x, axes) - correction))
    end }
  for name, doc in pairs {
    any = "1 where any element is not 0", all = "1 where no element is 0",
    argmax = "position of the largest element", argmin = "position of the smallest element",
  } do
    define { name = name, kind = "nondiff", doc = doc }
  end

  define { name = "cumsum", kind = "linear", doc = "running sum along a dimension",
    vjp = function(g, _, _, dim)
      return g:sum(dim, true) - g:cumsum(dim) + g
    end,
    jvp = function(t, _, x, dim) return t[1]:cumsum(dim_from_end(x, dim)) end,
    cases = {function(sample) return sample(3, 4), 2 end,
             function(sample) return sample(3, 4), 1 end} }

  define { name = "softmax", doc = "e^x over its sum along a dimension (the last)",
    formula = "e^x_i / sum_j e^x_j; (n, c) to the same",
    example = "mare.softmax(mare.tensor { 0, 0 })[1]:item() --> 0.5",
    vjp = function(g, y, _, dim) return y * (g - (g * y):sum(dim, true)) end,
    jvp = function(t, y, x, dim) return y * (t[1] - (t[1] * y):sum(dim_from_end(x, dim), true)) end,
    cases = {function(sample) return sample(3, 4) end,
             function(sample) return sample(3, 4, 2), 2 end} }
  define { name = "log_softmax", doc = "logarithm of softmax, without overflow",
    formula = "x_i - log(sum_j e^x_j); (n, c) to the same",
    example = "mare.log_softmax(mare.tensor { 0, -1e4 })[1]:item() --> 0",
    vjp = function(g, y, _, dim) return g - y:exp() * g:sum(dim, true) end,
    jvp = function(t, y, x, dim)
      return t[1] - (t[1] * y:exp()):sum(dim_from_end(x, dim), true)
    end,
    cases = {function(sample) return sample(3, 4) end,
             function(sample) return sample(3, 4, 2), 2 end} }

  --- mare.softmin(x, dim): softmax of -x.
  -- Formula: e^-x_i / sum_j e^-x_j; (n, c) to the same
  -- `mare.softmin(mare.tensor { 0, 0 })[1]:item() --> 0.5`
  function ops.softmin(x, dim) return ops.softmax(-check.real(1, "softmin", x), dim) end

  --- x:std(dims, keepdim, correction): the square root of the variance.
  function ops.std(x, ...) return ops.var(x, ...):sqrt() end

  -- the weights with which the log-probabilities enter the loss: (n, c)
  local function entropy_target(x, target, weight, ignore, smoothing)
    local classes = x.shape[2]
    local t = target
    if target.dtype == "i64" then
      local safe = ignore and ignore ~= 0 and
        ops.where(target:eq(ignore), 1, target) or target
      t = safe:onehot(classes):to(x.dtype)
      if ignore and ignore ~= 0 then
        t = t * target:ne(ignore):to(x.dtype):unsqueeze(2)
      end
    end
    local kept_rows = t:sum(2, true)
    local mass = weight and t * weight or t
    local total = target.dtype == "i64" and mass:sum() or core.functions.full({}, #x, x.dtype)
    if smoothing and smoothing > 0 then
      local spread = weight and weight:unsqueeze(1) * kept_rows or kept_rows:expand(t.shape)
      mass = mass * (1 - smoothing) + spread * (smoothing / classes)
    end
    return mass, total
  end

  -- the derivative of each row's loss to its logits: (n, c); and the divisor of the mean
  local function entropy_slope(x, target, weight, ignore, smoothing)
    local mass, total = entropy_target(x, target, weight, ignore, smoothing)
    return x:softmax(2) * mass:sum(2, true) - mass, total
  end

  define { name = "cross_entropy",
    doc = "-log softmax(logits) at the label, or against probabilities; rows of (n, c)",
    vjp = function(g, _, x, target, weight, ignore, smoothing, mean)
      local slope, total = entropy_slope(x, target, weight, ignore, smoothing)
      return mean and slope * (g / total) or slope * g:unsqueeze(2)
    end,
    jvp = function(t, _, x, target, weight, ignore, smoothing, mean)
      local slope, total = entropy_slope(x, target, weight, ignore, smoothing)
      local rows = (t[1] * slope):sum(-1)
      return mean and rows:sum(-1) / total or rows
    end,
    cases = {
      function(sample) return sample(4, 3), core.functions.tensor({1, 3, 2, 3}, "i64") end,
      function(sample)
        return sample(4, 3), core.functions.tensor({1, 3, 2, 3}, "i64"),
          core.functions.tensor({0.5, 1, 2}, sample(1).dtype), 2, 0.1, false
      end,
      function(sample)
        return sample(4, 3), core.functions.full({4, 3}, 1 / 3, sample(1).dtype), nil, nil, 0.2
      end,
    } }

  -- -- choosing along a dimension: the values come back through gather -----------------

  local function along(x, dim)
    local n = #x.shape
    dim = dim or n
    if math.type(dim) == "integer" and dim < 0 then dim = dim + n + 1 end
    return dim
  end

  --- x:sort([dim [, descending]]) -> values, positions.  Stable; NaN counts as the largest.
  function ops.sort(x, dim, descending)
    local values, index = core.functions.sort(x, dim, descending)
    if x.is_tracked then values = x:gather(along(x, dim), index) end
    return values, index
  end

  --- x:topk(k [, dim [, largest]]) -> values, positions; the largest k, in order.
  function ops.topk(x, k, dim, largest)
    local values, index = core.functions.topk(x, k, dim, largest)
    if x.is_tracked then values = x:gather(along(x, dim), index) end
    return values, index
  end

  -- x:max() is one value; x:max(dim) is values and their positions
  for name, position in pairs {max = "argmax", min = "argmin"} do
    local whole = ops[name]
    ops[name] = function(x, dim, keepdim)
      if type(dim) ~= "number" or not is_tensor(x) then return whole(x, dim, keepdim) end
      dim = check.dimension(2, name, dim, #check.tensor(1, name, x).shape)
      local index = ops[position](x, dim, true)
      local values = x.is_tracked and x:gather(along(x, dim), index) or whole(x, dim, true)
      if keepdim then return values, index end
      return values:squeeze(dim), index:squeeze(dim)
    end
  end

  -- values and positions in order along d: the middle, or the last where it is NaN
  local function middle_of(values, index, d)
    local n = values.shape[d]
    local value, place = values:narrow(d, (n + 1) // 2, 1), index:narrow(d, (n + 1) // 2, 1)
    local last = values:narrow(d, n, 1)
    local nan = last:ne(last)
    if nan:any():item() == 0 then return value, place end
    return ops.where(nan, last, value), ops.where(nan, index:narrow(d, n, 1), place)
  end

  --- x:median([dim [, keepdim]]): the middle element, the lower of two; with a
  -- dimension also its position.  NaN when there is one.
  function ops.median(x, dim, keepdim)
    local whole = dim == nil
    check.tensor(1, "median", x)
    if whole then x, dim = x:reshape(-1), 1 end
    local d = check.dimension(2, "median", dim, #x.shape)
    if x.shape[d] == 0 then
      check.argument(1, "median", "nothing to choose from: shape %s", check.shape(x))
    end
    local values, index = ops.sort(x, d)
    values, index = middle_of(values, index, d)
    if whole then return values:reshape {} end
    if keepdim then return values, index end
    return values:squeeze(d), index:squeeze(d)
  end
end
