-- layers.lua -- the layers that are not an activation.

local mare = require "mare"
local check = require "mare.check"
local init = require "mare.nn.initial"
local Module = require "mare.nn.module"

local is_tensor, is_module = mare.is_tensor, Module.is_module
local core = require "mare.core".functions
local linear, fitted, size, reshape = mare.linear, core.layer, core.size, mare.reshape

local M = {}

-- -- helpers ------------------------------------------------------------------------

-- A layer refuses its input: "Linear(784 -> 256): input has 100 columns (shape 32x100)".
local function refuse(layer, message, ...)
  check.fail("%s: %s", layer:describe(), message:format(...))
end

local function check_input(layer, x)
  if not is_tensor(x) then refuse(layer, "tensor expected, got %s", type(x)) end
end

-- A parameter of this shape, filled by a function or by the name of one in nn.init.
local function parameter(name, shape, dtype, fill)
  if type(fill) == "string" then
    if not rawget(init, fill) then      -- gain is none
      check.argument(3, name, "%s", check.unknown("init", fill, init))
    end
    fill = init[fill]
  end
  local t = mare.zeros(shape, dtype)
  fill(t)
  return t:requires_grad()
end

local function text(v) return type(v) == "table" and table.concat(v, ", ") or check.text(v) end

-- -- containers ------------------------------------------------------------------------

local function callable(v)
  if type(v) == "function" then return true end
  local meta = getmetatable(v)
  return type(meta) == "table" and meta.__call ~= nil
end

--- Layers one after another.  Takes a list (or the layers as arguments) of modules and
-- functions; they are model[1], model[2] ...
-- ```
-- local model = nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1) }
-- local y = model(x)
-- ```
M.Sequential = Module:extend("Sequential", {
  init = function(self, first, ...)
    local list = { first, ... }
    if type(first) == "table" and not getmetatable(first) then list = first end
    for i, layer in ipairs(list) do
      if not callable(layer) then
        check.argument(1, "Sequential", "layer %d: module or function expected, got %s", i,
          type(layer))
      elseif type(layer) == "table" and rawget(layer, "is_mare_module") then
        check.argument(1, "Sequential", "layer %d is the class %s; call it: %s(...)", i,
          layer.__name, layer.__name)
      end
      self[i] = is_module(layer) and layer or M.Lambda(layer)
    end
  end,
  forward = function(self, x)
    if x == nil and not is_module(self) then
      check.method("a module", self, "model:forward(x), or model(x)")
    end
    for i = 1, #self do x = self[i](x) end
    return x
  end,
})

--- A function as a layer: nn.Lambda(function(x) return x * 2 end, "Double").
M.Lambda = Module:extend("Lambda", {
  init = function(self, fn, name)
    if not callable(fn) then
      check.argument(1, "Lambda", "function expected, got %s", type(fn))
    end
    self._fn, self._name = fn, name
  end,
  forward = function(self, ...) return self._fn(...) end,
  describe = function(self) return self._name or "Lambda" end,
})

--- Returns what it is given.
M.Identity = Module:extend("Identity", { forward = function(_, x) return x end })

--- Keeps the first dimension and joins the others: (n, a, b, ...) to (n, a b ...).
-- Flatten(first, last) joins the dimensions first (2) to last (-1).
M.Flatten = Module:extend("Flatten", {
  init = function(self, first, last)
    self.first, self.last = first or 2, last or -1
    for i, d in ipairs { self.first, self.last } do
      if not math.tointeger(d) or d == 0 then
        check.argument(i, "Flatten", "dimension expected, got %s", check.text(d))
      end
    end
  end,
  forward = function(self, x)
    check_input(self, x)
    local shape, ndim = x.shape, x:dim()
    local first = self.first < 0 and ndim + 1 + self.first or self.first
    local last = self.last < 0 and ndim + 1 + self.last or self.last
    if first < 1 or last > ndim or first > last then
      if first == ndim + 1 and last == ndim then return x end -- nothing to join
      refuse(self, "input of shape %s has no dimensions %d to %d", check.shape(x), self.first,
        self.last)
    end
    local joined = 1
    for d = first, last do joined = joined * shape[d] end
    local out = table.move(shape, 1, first - 1, 1, {})
    out[first] = joined
    return reshape(x, table.move(shape, last + 1, ndim, first + 1, out))
  end,
})

--- Gives every sample a shape: Reshape(1, 28, 28) makes (n, 784) into (n, 1, 28, 28).
-- One size may be -1; the first dimension stays.
M.Reshape = Module:extend("Reshape", {
  init = function(self, first, ...)
    self.sizes = type(first) == "table" and table.move(first, 1, #first, 1, {}) or { first, ... }
    for i, n in ipairs(self.sizes) do
      if not math.tointeger(n) or n < -1 then
        check.argument(i, "Reshape", "size expected, got %s", check.text(n))
      end
    end
  end,
  forward = function(self, x)
    check_input(self, x)
    return reshape(x, { size(x, 1), table.unpack(self.sizes) })
  end,
  describe = function(self) return ("Reshape(%s)"):format(text(self.sizes)) end,
})

-- -- layers with weights ------------------------------------------------------------------

local linear_options = { bias = true, init = true, dtype = true }

-- x did not fit: says why, or what is wrong with the weights.
local function misfit(self, x)
  check.tensor(1, "Linear", x)
  if x:dim() == 0 then
    refuse(self, "input is a scalar")
  elseif size(x, -1) ~= self.inputs then
    refuse(self, "input has %d columns (shape %s)", size(x, -1), check.shape(x))
  elseif x.dtype ~= self.weight.dtype then
    refuse(self, "input is %s, weights are %s; convert it with :to", x.dtype, self.weight.dtype)
  end
  return linear(x, self.weight, self.bias or nil)
end

--- y = x w' + b: x is (..., inputs), the weight (outputs, inputs), y (..., outputs).
-- Options: bias (true), init (an initialiser or its name), dtype ("f32").  Without init
-- the weight and the bias are uniform within 1/sqrt(inputs).
-- `nn.Linear(784, 256, { init = "xavier_uniform" })(x)`
M.Linear = Module:extend("Linear", {
  init = function(self, inputs, outputs, opts)
    self.inputs = check.count(1, "Linear", inputs)
    self.outputs = check.count(2, "Linear", outputs)
    check.options(3, "Linear", opts, linear_options)
    opts = opts or {}
    local dtype, bound = opts.dtype or "f32", 1 / math.sqrt(inputs)
    local small = init.uniform(bound) -- kaiming_uniform(sqrt(5)) is the same interval
    self.weight = parameter("Linear", { outputs, inputs }, dtype, opts.init or small)
    if opts.bias ~= false then
      self.bias = parameter("Linear", { outputs }, dtype, opts.init and init.zeros or small)
    else
      self.bias = false
    end
  end,
  forward = function(self, x)
    return fitted(x, self.weight, self.bias) or misfit(self, x)
  end,
  describe = function(self)
    return ("Linear(%d -> %d%s)"):format(self.inputs, self.outputs, self.bias and "" or ", no bias")
  end,
})

--- y_k = a' W_k b + c_k: a is (n, in1), b (n, in2), the weight (outputs, in1, in2).
-- Options: bias (true), init, dtype ("f32").
-- `nn.Bilinear(3, 4, 2)(a, b) -- (n, 2)`
M.Bilinear = Module:extend("Bilinear", {
  init = function(self, in1, in2, outputs, opts)
    self.in1, self.in2 = check.count(1, "Bilinear", in1), check.count(2, "Bilinear", in2)
    self.outputs = check.count(3, "Bilinear", outputs)
    check.options(4, "Bilinear", opts, linear_options)
    opts = opts or {}
    local dtype, small = opts.dtype or "f32", init.uniform(1 / math.sqrt(in1))
    self.weight = parameter("Bilinear", { outputs, in1, in2 }, dtype, opts.init or small)
    self.bias = opts.bias ~= false and parameter("Bilinear", { outputs }, dtype,
      opts.init and init.zeros or small)
  end,
  forward = function(self, a, b)
    check_input(self, a)
    check_input(self, b)
    if a:dim() ~= 2 or b:dim() ~= 2 or a:size(2) ~= self.in1 or b:size(2) ~= self.in2
      or a:size(1) ~= b:size(1) then
      refuse(self, "inputs have shapes %s and %s", check.shape(a), check.shape(b))
    end
    -- (n, in1) against (in1, outputs in2), then the sum over in2 for each output
    local w = self.weight:permute(2, 1, 3):reshape(self.in1, self.outputs * self.in2)
    local left = a:matmul(w):reshape(-1, self.outputs, self.in2)
    local y = (left * b:unsqueeze(2)):sum(3)
    return self.bias and y + self.bias or y
  end,
  describe = function(self)
    return ("Bilinear(%d, %d -> %d)"):format(self.in1, self.in2, self.outputs)
  end,
})

--- A learned row for each of `count` things: i64 positions 1..count of any shape
-- (...) to (..., width).  Options: init (standard normal), dtype ("f32").
-- `nn.Embedding(1000, 16)(mare.tensor({ 3, 7 }, "i64"))  -- (2, 16)`
M.Embedding = Module:extend("Embedding", {
  init = function(self, count, width, opts)
    self.entries = check.count(1, "Embedding", count)
    self.width = check.count(2, "Embedding", width)
    check.options(3, "Embedding", opts, { init = true, dtype = true })
    opts = opts or {}
    self.weight = parameter("Embedding", { count, width }, opts.dtype or "f32",
      opts.init or init.normal)
  end,
  forward = function(self, index)
    check_input(self, index)
    if index.dtype ~= "i64" then refuse(self, "i64 positions expected, got %s", index.dtype) end
    local shape = index.shape
    shape[#shape + 1] = self.width
    return self.weight:index_select(1, index:reshape(-1)):reshape(shape)
  end,
  describe = function(self) return ("Embedding(%d x %d)"):format(self.entries, self.width) end,
})

-- -- noise -----------------------------------------------------------------------------------

--- In training, zeroes each value with probability p (0.5) and multiplies the others
-- by 1 / (1 - p); in evaluation returns its input.  Srivastava and others, "Dropout", 2014.
M.Dropout = Module:extend("Dropout", {
  init = function(self, p)
    self.p = check.number(1, "Dropout", p, 0.5, 0, 1)
  end,
  forward = function(self, x)
    check_input(self, x)
    if not self.training or self.p == 0 then return x end
    local keep = 1 - self.p
    return x * mare.empty(x.shape, x.dtype):bernoulli_(keep, keep > 0 and 1 / keep or 1)
  end,
  describe = function(self) return ("Dropout(%g)"):format(self.p) end,
})

-- -- over one dimension -------------------------------------------------------------------------

-- A layer around an operation over a dimension, the last one unless given.
local function over_dimension(name, op)
  return Module:extend(name, {
    init = function(self, dim) self.dim = dim or -1 end,
    forward = function(self, x)
      check_input(self, x)
      return op(x, self.dim)
    end,
    describe = function(self)
      return self.dim == -1 and name or ("%s(%d)"):format(name, self.dim)
    end,
  })
end

--- e^x_i / sum_j e^x_j over a dimension (the last): Softmax(dim).
M.Softmax = over_dimension("Softmax", mare.softmax)

--- The logarithm of Softmax, without its overflow: LogSoftmax(dim).
M.LogSoftmax = over_dimension("LogSoftmax", mare.log_softmax)

--- Softmax of -x: Softmin(dim).
M.Softmin = over_dimension("Softmin", function(x, dim) return mare.softmax(-x, dim) end)

return M
