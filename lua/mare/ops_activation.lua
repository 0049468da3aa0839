-- ops_activation.lua -- activations that are more than a function of one element: they
-- join, halve or choose along a dimension, or draw random slopes.

local core = require "mare.core"
local check = require "mare.check"

-- The dimension (the last unless given), and its size, a multiple of k.
local function along(name, x, dim, k)
  check.tensor(1, name, x)
  dim = check.dimension(2, name, dim or -1, #x.shape)
  local n = x.shape[dim]
  if n % k ~= 0 then
    check.argument(1, name, "size %d of dimension %d is no multiple of %d (shape %s)", n, dim, k,
      check.shape(x))
  end
  return dim, n
end

return function(registry)
  local ops = registry.ops

  --- mare.crelu(x, dim): relu(x) and relu(-x) side by side along a dimension (the last),
  -- which doubles it.  Shang and others, 2016.
  -- Formula: (max(x, 0), max(-x, 0)); (n, c) to (n, 2 c)
  -- `mare.crelu(mare.tensor { -1, 2 })[4]:item() --> 0`
  function ops.crelu(x, dim)
    dim = along("crelu", check.real(1, "crelu", x), dim, 1)
    return ops.cat({ops.relu(x), ops.relu(-x)}, dim)
  end

  --- mare.glu(x, dim): the first half of a dimension (the last) times sigmoid of the
  -- second half.  Dauphin and others, 2017.
  -- Formula: a sigmoid(b), x = (a, b); (n, 2 c) to (n, c)
  -- `mare.glu(mare.tensor { 2, 0 }):item() --> 1`
  function ops.glu(x, dim)
    local d, n = along("glu", check.real(1, "glu", x), dim, 2)
    return x:narrow(d, 1, n // 2) * ops.sigmoid(x:narrow(d, n // 2 + 1, n // 2))
  end

  --- mare.maxout(x, k, dim): the largest of each k neighbours along a dimension (the
  -- last), which shrinks k times.  Goodfellow and others, 2013.
  -- Formula: max(x_(k i + 1), ..., x_(k i + k)); (n, k c) to (n, c)
  -- `mare.maxout(x, 2)  -- (n, 8) to (n, 4)`
  function ops.maxout(x, k, dim)
    check.tensor(1, "maxout", x)
    check.count(2, "maxout", k)
    local d, n = along("maxout", x, dim, k)
    local shape = x.shape
    shape[d] = n // k
    table.insert(shape, d + 1, k)
    return (x:reshape(shape):max(d + 1))
  end

  --- mare.rrelu(x, lo, hi, training): leaky_relu whose slope is drawn for each element
  -- between lo (1/8) and hi (1/3) when training is true, and is their mean otherwise.
  -- Xu and others, 2015.
  -- Formula: x where x > 0, else a x; (n, ...) to the same
  -- `mare.rrelu(mare.tensor { -48 }):item() --> -11`
  function ops.rrelu(x, lo, hi, training)
    check.real(1, "rrelu", x)
    lo = check.number(2, "rrelu", lo, 1 / 8)
    hi = check.number(3, "rrelu", hi, 1 / 3)
    if lo > hi then check.argument(3, "rrelu", "%g is below %g", hi, lo) end
    if not training then return ops.leaky_relu(x, (lo + hi) / 2) end
    local slope = core.functions.empty(x.shape, x.dtype)
    return ops.prelu(x, core.functions.uniform_(slope, lo, hi))
  end
end
