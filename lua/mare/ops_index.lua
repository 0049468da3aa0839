-- ops_index.lua -- the rows of picking and placing by position and by mask.

local core = require "mare.core"

local function positions(...) return core.functions.tensor({...}, "i64") end

local function mask(...) return core.functions.tensor({...}, "u8") end

return function(registry)
  local define, ops = registry.define, registry.ops

  local extra, leading = registry.extra, registry.leading

  local function zeros_like(x) return core.functions.zeros(x.shape, x.dtype) end

  local function last(x, dim) return dim - x:dim() - 1 end

  -- the positions for each of many tangents
  local function repeated(t, x, index)
    if extra(t, x) == 0 then return index end
    for _ = 1, extra(t, x) do index = index:unsqueeze(1) end
    local shape = index.shape
    for d = 1, extra(t, x) do shape[d] = t:size(d) end
    return index:expand(shape)
  end

  -- the tangents of x and src, zeros for one that is constant
  local function both(t, x, src)
    local some, of = t[1] or t[4], t[1] and x or src
    local function zeros(v) return core.functions.zeros(leading(some, of, v.shape), v.dtype) end
    return t[1] or zeros(x), t[4] or zeros(src)
  end

  -- where a mask of x is set, among all of x's elements
  local function places(x, m) return m:expand(x.shape):reshape(-1):nonzero():reshape(-1) end

  define { name = "index_select", kind = "linear", doc = "slices of a dimension, by position",
    vjp = function(g, _, x, dim, index) return ops.index_add(zeros_like(x), dim, index, g) end,
    jvp = function(t, _, x, dim, index) return t[1]:index_select(last(x, dim), index) end,
    cases = {
      function(sample) return sample(4, 3), 1, positions(2, 2, -1) end,
      function(sample) return sample(2, 3, 2), 2, positions(3, 1) end,
    } }
  define { name = "index_add", doc = "a copy with slices added at positions of a dimension",
    vjp = function(g, _, _, dim, index) return g, nil, nil, g:index_select(dim, index) end,
    jvp = function(t, _, x, dim, index, src)
      local tx, ts = both(t, x, src)
      return ops.index_add(tx, last(x, dim), index, ts)
    end,
    cases = {
      function(sample) return sample(3, 2), 1, positions(2, 2, -1), sample(3, 2) end,
      function(sample) return sample(2, 3), 2, positions(3), sample(2, 1) end,
    } }
  define { name = "index_copy", doc = "a copy with slices put at (different) positions",
    vjp = function(g, _, _, dim, index, src)
      return ops.index_copy(g, dim, index, zeros_like(src)), nil, nil, g:index_select(dim, index)
    end,
    jvp = function(t, _, x, dim, index, src)
      local tx, ts = both(t, x, src)
      return ops.index_copy(tx, last(x, dim), index, ts)
    end,
    cases = {function(sample) return sample(3, 2), 1, positions(3, 1), sample(2, 2) end} }
  define { name = "gather", kind = "linear", doc = "elements by position along a dimension",
    vjp = function(g, _, x, dim, index) return ops.scatter_add(zeros_like(x), dim, index, g) end,
    jvp = function(t, _, x, dim, index)
      return t[1]:gather(last(x, dim), repeated(t[1], x, index))
    end,
    cases = {
      function(sample) return sample(3, 4), 2, positions({1, 4}, {2, 2}, {-1, 3}) end,
      function(sample) return sample(3, 4), 1, positions({1, 2, 3, 3}) end,
    } }
  define { name = "scatter_add", doc = "a copy with elements added at positions of a dimension",
    vjp = function(g, _, _, dim, index) return g, nil, nil, g:gather(dim, index) end,
    jvp = function(t, _, x, dim, index, src)
      local tx, ts = both(t, x, src)
      return ops.scatter_add(tx, last(x, dim), repeated(tx, x, index), ts)
    end,
    cases = {
      function(sample)
        return sample(3, 4), 2, positions({1, 4}, {2, 2}, {-1, 3}), sample(3, 2)
      end,
    } }
  define { name = "scatter", doc = "a copy with elements put at (different) positions",
    vjp = function(g, _, _, dim, index, src)
      return ops.scatter(g, dim, index, zeros_like(src)), nil, nil, g:gather(dim, index)
    end,
    jvp = function(t, _, x, dim, index, src)
      local tx, ts = both(t, x, src)
      return ops.scatter(tx, last(x, dim), repeated(tx, x, index), ts)
    end,
    cases = {
      function(sample)
        return sample(3, 4), 2, positions({1, 4}, {2, 3}, {-1, 3}), sample(3, 2)
      end,
    } }
  define { name = "masked_select", kind = "linear", doc = "the elements that a mask marks, 1-d",
    vjp = function(g, _, x, m) return ops.masked_scatter(zeros_like(x), m, g) end,
    jvp = function(t, _, x, m)
      return t[1]:reshape(leading(t[1], x, {x:numel()})):index_select(-1, places(x, m))
    end,
    cases = {
      function(sample) return sample(2, 3), mask({1, 0, 1}, {0, 0, 1}) end,
      function(sample) return sample(2, 3), mask(0, 1, 1) end,
    } }
  define { name = "masked_scatter", doc = "a copy with values where a mask marks, in order",
    vjp = function(g, _, _, m, src)
      return g:masked_fill(m, 0), nil, g:masked_select(m):reshape(src.shape)
    end,
    jvp = function(t, y, x, m, src)
      local some, of = t[1] or t[3], t[1] and x or src
      local tx = t[1] and ops.where(m, 0, t[1]):reshape(leading(some, of, {x:numel()}))
        or core.functions.zeros(leading(some, of, {x:numel()}), x.dtype)
      if t[3] then
        local at = places(x, m)
        local values = t[3]:reshape(leading(t[3], src, {src:numel()}))
        tx = ops.index_copy(tx, -1, at, values:narrow(-1, 1, #at))
      end
      return tx:reshape(leading(some, of, y.shape))
    end,
    cases = {function(sample) return sample(2, 3), mask({1, 0, 1}, {0, 0, 1}), sample(3) end} }
  define { name = "masked_fill", doc = "a copy with a number where a mask marks",
    vjp = function(g, _, _, m) return g:masked_fill(m, 0) end,
    jvp = function(t, _, _, m) return ops.where(m, 0, t[1]) end,
    cases = {function(sample) return sample(2, 3), mask({1, 0, 1}, {0, 0, 1}), 2 end} }

  for _, name in ipairs {"nonzero", "onehot"} do ops[name] = core.functions[name] end
  for _, name in ipairs {"index_add_", "index_copy_", "scatter_add_", "scatter_",
    "masked_fill_", "masked_scatter_"} do
    core.methods[name] = core.functions[name]
  end
end
