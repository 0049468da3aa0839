-- ops_index.lua -- the rows of picking and placing by position and by mask.

local core = require "mare.core"

local function positions(...) return core.functions.tensor({...}, "i64") end

local function mask(...) return core.functions.tensor({...}, "u8") end

return function(registry)
  local define, ops = registry.define, registry.ops

  local function zeros_like(x) return core.functions.zeros(x.shape, x.dtype) end

  define { name = "index_select", kind = "linear", doc = "slices of a dimension, by position",
    vjp = function(g, _, x, dim, index) return ops.index_add(zeros_like(x), dim, index, g) end,
    cases = {
      function(sample) return sample(4, 3), 1, positions(2, 2, -1) end,
      function(sample) return sample(2, 3, 2), 2, positions(3, 1) end,
    } }
  define { name = "index_add", doc = "a copy with slices added at positions of a dimension",
    vjp = function(g, _, _, dim, index) return g, nil, nil, g:index_select(dim, index) end,
    cases = {
      function(sample) return sample(3, 2), 1, positions(2, 2, -1), sample(3, 2) end,
      function(sample) return sample(2, 3), 2, positions(3), sample(2, 1) end,
    } }
  define { name = "index_copy", doc = "a copy with slices put at (different) positions",
    vjp = function(g, _, _, dim, index, src)
      return ops.index_copy(g, dim, index, zeros_like(src)), nil, nil, g:index_select(dim, index)
    end,
    cases = {function(sample) return sample(3, 2), 1, positions(3, 1), sample(2, 2) end} }
  define { name = "gather", kind = "linear", doc = "elements by position along a dimension",
    vjp = function(g, _, x, dim, index) return ops.scatter_add(zeros_like(x), dim, index, g) end,
    cases = {
      function(sample) return sample(3, 4), 2, positions({1, 4}, {2, 2}, {-1, 3}) end,
      function(sample) return sample(3, 4), 1, positions({1, 2, 3, 3}) end,
    } }
  define { name = "scatter_add", doc = "a copy with elements added at positions of a dimension",
    vjp = function(g, _, _, dim, index) return g, nil, nil, g:gather(dim, index) end,
    cases = {
      function(sample)
        return sample(3, 4), 2, positions({1, 4}, {2, 2}, {-1, 3}), sample(3, 2)
      end,
    } }
  define { name = "scatter", doc = "a copy with elements put at (different) positions",
    vjp = function(g, _, _, dim, index, src)
      return ops.scatter(g, dim, index, zeros_like(src)), nil, nil, g:gather(dim, index)
    end,
    cases = {
      function(sample)
        return sample(3, 4), 2, positions({1, 4}, {2, 3}, {-1, 3}), sample(3, 2)
      end,
    } }
  define { name = "masked_select", kind = "linear", doc = "the elements that a mask marks, 1-d",
    vjp = function(g, _, x, m) return ops.masked_scatter(zeros_like(x), m, g) end,
    cases = {
      function(sample) return sample(2, 3), mask({1, 0, 1}, {0, 0, 1}) end,
      function(sample) return sample(2, 3), mask(0, 1, 1) end,
    } }
  define { name = "masked_scatter", doc = "a copy with values where a mask marks, in order",
    vjp = function(g, _, _, m, src)
      return g:masked_fill(m, 0), nil, g:masked_select(m):reshape(src.shape)
    end,
    cases = {function(sample) return sample(2, 3), mask({1, 0, 1}, {0, 0, 1}), sample(3) end} }
  define { name = "masked_fill", doc = "a copy with a number where a mask marks",
    vjp = function(g, _, _, m) return g:masked_fill(m, 0) end,
    cases = {function(sample) return sample(2, 3), mask({1, 0, 1}, {0, 0, 1}), 2 end} }

  for _, name in ipairs {"nonzero", "onehot"} do ops[name] = core.functions[name] end
  for _, name in ipairs {"index_add_", "index_copy_", "scatter_add_", "scatter_",
    "masked_fill_", "masked_scatter_"} do
    core.methods[name] = core.functions[name]
  end
end
