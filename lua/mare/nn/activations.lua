-- activations.lua -- a module for each element-wise activation of ops.def, made
-- from its row; and the few that are more than a function of one element.

local mare = require "mare"
local check = require "mare.check"
local Module = require "mare.nn.module"

local is_tensor = mare.is_tensor

local M = {}

-- The rows that get a module.  All else (parameters, defaults, words) is the row's.
local names = {
  relu = "ReLU", relu6 = "ReLU6", relu2 = "ReLU2", leaky_relu = "LeakyReLU", elu = "ELU",
  selu = "SELU", celu = "CELU", gelu = "GELU", gelu_tanh = "GELUTanh", quick_gelu = "QuickGELU",
  silu = "SiLU", hardswish = "Hardswish", mish = "Mish", sigmoid = "Sigmoid",
  hardsigmoid = "Hardsigmoid", log_sigmoid = "LogSigmoid", tanh = "Tanh", hardtanh = "Hardtanh",
  clamp = "Clamp", tanhshrink = "Tanhshrink", hardshrink = "Hardshrink",
  softshrink = "Softshrink", softsign = "Softsign", softplus = "Softplus",
  threshold = "Threshold", trelu = "TReLU", step = "Step", lisht = "LiSHT",
  logcosh = "LogCosh", sin = "Sin", exp = "Exp", square = "Square", abs = "Abs",
}

-- -- from rows ---------------------------------------------------------------------

-- The parameters of a row from arguments in its order, or from one table by name.
local function settings(class, row, first, ...)
  local given = { first, ... }
  if type(first) == "table" then
    local known = {}
    for _, p in ipairs(row.params) do known[p] = true end
    check.options(1, class, first, known)
    given = {}
    for i, p in ipairs(row.params) do given[i] = first[p] end
  end
  for i = #row.params + 1, select("#", first, ...) do
    if given[i] ~= nil then
      check.argument(i, class, #row.params == 0 and "it has no parameters" or
        "%d parameter%s at most", #row.params, #row.params == 1 and "" or "s")
    end
  end
  for i, default in ipairs(row.defaults) do
    given[i] = check.number(i, class, given[i], default)
  end
  return given
end

local function describe(self)
  local values = {}
  for i, p in ipairs(self._params) do values[i] = ("%g"):format(self[p]) end
  if #values == 0 then return self.__name end
  return ("%s(%s)"):format(self.__name, table.concat(values, ", "))
end

-- forward for a row of 0, 1 and 2 parameters
local forward = {
  [0] = function(op) return function(_, x) return op(x) end end,
  function(op, p) return function(self, x) return op(x, self[p]) end end,
  function(op, p, q) return function(self, x) return op(x, self[p], self[q]) end end,
}

--- The class of modules for a row with one operand: its parameters are arguments in
-- their order, or one table by name, and fields of the module.
-- `nn.LeakyReLU(0.1)  nn.LeakyReLU { slope = 0.1 }`
local function from_row(row, class)
  return Module:extend(class, {
    init = function(self, ...)
      for i, value in ipairs(settings(class, row, ...)) do self[row.params[i]] = value end
    end,
    forward = forward[#row.params](row.call, table.unpack(row.params)),
    describe = describe,
    doc = row.doc,
    _params = row.params,
  })
end

for _, row in ipairs(require "mare.core".functions.rows()) do
  local class = names[row.name]
  if class then M[class] = from_row(row, class) end
end

-- -- more than one element, or a learned or random slope ------------------------------

local function tensor_input(layer, x)
  if not is_tensor(x) then
    check.fail("%s: tensor expected, got %s", layer:describe(), type(x))
  end
end

-- Refuses x unless the size of its dimension dim is a multiple of k.
local function multiple(layer, x, dim, k)
  tensor_input(layer, x)
  local n = x:size(dim)
  if n % k ~= 0 then
    check.fail("%s: dimension %d of the input is %d, no multiple of %d (shape %s)",
      layer:describe(), dim, n, k, check.shape(x))
  end
end

--- x above 0, w x below, with learned slopes w: one, or one for each of `count`
-- channels (the second dimension).  PReLU(count = 1, start = 0.25).  He and others, 2015.
M.PReLU = Module:extend("PReLU", {
  init = function(self, count, start, dtype)
    self.channels = check.count(1, "PReLU", count or 1)
    self.weight = check.within(3, "PReLU", mare.full, { self.channels },
      check.number(2, "PReLU", start, 0.25), dtype or "f32"):requires_grad()
  end,
  forward = function(self, x)
    tensor_input(self, x)
    if self.channels == 1 or x:dim() <= 2 then return mare.prelu(x, self.weight) end
    local shape = { self.channels }
    for d = 2, x:dim() - 1 do shape[d] = 1 end
    return mare.prelu(x, self.weight:reshape(shape))
  end,
  describe = function(self) return ("PReLU(%d)"):format(self.channels) end,
})

--- Leaky ReLU whose slope is drawn for each element in training, between lo (1/8) and
-- hi (1/3), and is their mean in evaluation.  Xu and others, 2015.
M.RReLU = Module:extend("RReLU", {
  init = function(self, lo, hi)
    self.lo, self.hi = check.number(1, "RReLU", lo, 1 / 8), check.number(2, "RReLU", hi, 1 / 3)
    if self.lo > self.hi then check.argument(2, "RReLU", "%g is below %g", self.hi, self.lo) end
  end,
  forward = function(self, x)
    tensor_input(self, x)
    return mare.rrelu(x, self.lo, self.hi, self.training)
  end,
  describe = function(self) return ("RReLU(%.3g, %.3g)"):format(self.lo, self.hi) end,
})

--- relu(x) and relu(-x) side by side along a dimension (the last), which doubles it.
-- Shang and others, 2016.
M.CReLU = Module:extend("CReLU", {
  init = function(self, dim) self.dim = dim or -1 end,
  forward = function(self, x)
    tensor_input(self, x)
    return mare.crelu(x, self.dim)
  end,
})

--- The first half of a dimension (the last) times sigmoid of the second half.
-- Dauphin and others, 2017.
M.GLU = Module:extend("GLU", {
  init = function(self, dim) self.dim = dim or -1 end,
  forward = function(self, x)
    multiple(self, x, self.dim, 2)
    return mare.glu(x, self.dim)
  end,
})

--- The largest of each k neighbours along the last dimension, which shrinks k times.
-- Goodfellow and others, 2013.  `nn.Maxout(2)(x)  -- (n, 8) to (n, 4)`
M.Maxout = Module:extend("Maxout", {
  init = function(self, k) self.pieces = check.count(1, "Maxout", k) end,
  forward = function(self, x)
    multiple(self, x, -1, self.pieces)
    return mare.maxout(x, self.pieces)
  end,
  describe = function(self) return ("Maxout(%d)"):format(self.pieces) end,
})

return M
