-- initial.lua -- the values that weights begin with.
--
-- Each function can be used in two ways: nn.init.normal(0.01) is an initialiser,
-- a function that fills a tensor (what nn.Linear takes as init); with a tensor as
-- first argument, nn.init.normal(w, 0.01), it fills that tensor at once and
-- returns it.  A weight is (outputs, inputs, ...): the sizes after the second
-- belong to both.

local mare = require "mare"
local check = require "mare.check"

local is_tensor = mare.is_tensor

local M = {}

local shift = 0     -- 1 while the tensor stands before the arguments that are counted

-- An argument of the initialiser, counted without the tensor.
local function number(position, ...) return check.number(position + shift, ...) end

-- fill(t, ...) writes into t; the function made of it has both uses.
local function initialiser(name, fill)
  local function run(t, ...)
    if t.dtype ~= "f32" and t.dtype ~= "f64" then
      check.argument(1, name, "f32 or f64 tensor expected, got %s", t.dtype)
    end
    local args, n = { ... }, select("#", ...)
    check.within(1, name, mare.no_grad, function() fill(t, table.unpack(args, 1, n)) end)
    return t
  end
  M[name] = function(first, ...)
    if is_tensor(first) then
      shift = 1
      return run(first, ...)
    end
    local args = table.pack(first, ...)
    return function(t)
      if not is_tensor(t) then check.argument(1, name, "tensor expected, got %s", type(t)) end
      shift = 0
      return run(t, table.unpack(args, 1, args.n))
    end
  end
end

-- What keeps the variance through each activation, for its row's own parameter.
local gains = {
  linear = 1, identity = 1, sigmoid = 1, tanh = 5 / 3, relu = math.sqrt(2), selu = 3 / 4,
}

--- The factor by which weights before an activation are enlarged: 1 for linear, identity
-- and sigmoid, 5/3 for tanh, sqrt 2 for relu, sqrt(2 / (1 + slope^2)) for leaky_relu
-- (slope 0.01), 3/4 for selu.  PyTorch's calculate_gain.
-- `nn.init.gain "tanh"`, for `nn.init.xavier_uniform(w, nn.init.gain "tanh")`
local function gain_of(activation, slope)
  if activation == "leaky_relu" then
    slope = check.number(2, "gain", slope, 0.01)
    return math.sqrt(2 / (1 + slope * slope))
  end
  local gain = gains[activation]
  if not gain then
    check.argument(1, "gain", "unknown activation '%s'; known: leaky_relu, %s",
      check.text(activation), check.names(gains))
  end
  return gain
end

setmetatable(M, { __index = { gain = gain_of } })     -- not among the initialisers by name

local function fill_uniform(t, lo, hi)
  t:copy_(mare.rand(t.shape, t.dtype):mul_(hi - lo):add_(lo))
end

local function fill_normal(t, mean, std)
  t:copy_(mare.randn(t.shape, t.dtype):mul_(std):add_(mean))
end

-- The numbers of inputs and outputs of one unit of a weight.
local function fans(t, name)
  if t:dim() < 2 then
    check.argument(1, name, "tensor of two or more dimensions expected, got shape %s",
      check.shape(t))
  end
  local field = t:numel() // math.max(1, t:size(1) * t:size(2))
  return math.max(1, t:size(2) * field), math.max(1, t:size(1) * field)
end

--- Zeros.
initialiser("zeros", function(t) t:zero_() end)

--- Ones.
initialiser("ones", function(t) t:fill_(1) end)

--- One value: constant(0.1).
initialiser("constant", function(t, value) t:fill_(number(1, "constant", value)) end)

--- Normal: normal(std = 1, mean = 0).
initialiser("normal", function(t, std, mean)
  fill_normal(t, number(2, "normal", mean, 0), number(1, "normal", std, 1, 0))
end)

--- Uniform: uniform(hi = 1) between -hi and hi, uniform(lo, hi) between the two.
initialiser("uniform", function(t, lo, hi)
  lo = number(1, "uniform", lo, 1, hi == nil and 0 or nil)
  if hi == nil then lo, hi = -lo, lo end
  fill_uniform(t, lo, number(2, "uniform", hi, nil, lo))
end)

--- Normal, drawn again while farther than `cut` (2) standard deviations from the mean:
-- trunc_normal(std = 1, mean = 0, cut = 2).
initialiser("trunc_normal", function(t, std, mean, cut)
  std, mean = number(1, "trunc_normal", std, 1, 0), number(2, "trunc_normal", mean, 0)
  cut = number(3, "trunc_normal", cut, 2, 0.01)
  local z = mare.randn(t.shape, t.dtype)
  local outside = z:abs():gt(cut)
  while outside:any():item() ~= 0 do
    z = mare.where(outside, mare.randn(t.shape, t.dtype), z)
    outside = z:abs():gt(cut)
  end
  t:copy_(z:mul_(std):add_(mean))
end)

--- Uniform within gain sqrt(6 / (inputs + outputs)): xavier_uniform(gain = 1).
-- Glorot and Bengio, "Understanding the difficulty of training deep feedforward
-- neural networks", 2010.
initialiser("xavier_uniform", function(t, gain)
  local inputs, outputs = fans(t, "xavier_uniform")
  local bound = number(1, "xavier_uniform", gain, 1, 0) * math.sqrt(6 / (inputs + outputs))
  fill_uniform(t, -bound, bound)
end)

--- Normal with standard deviation gain sqrt(2 / (inputs + outputs)).  Same source.
initialiser("xavier_normal", function(t, gain)
  local inputs, outputs = fans(t, "xavier_normal")
  local std = number(1, "xavier_normal", gain, 1, 0) * math.sqrt(2 / (inputs + outputs))
  fill_normal(t, 0, std)
end)

-- sqrt(2 / ((1 + a^2) fan)): keeps the variance through leaky_relu of slope a.
local function kaiming_std(t, name, a, mode)
  local inputs, outputs = fans(t, name)
  if mode ~= nil and mode ~= "in" and mode ~= "out" then
    check.argument(2 + shift, name, "'in' or 'out' expected, got %s", check.text(mode))
  end
  a = number(1, name, a, 0)
  return math.sqrt(2 / ((1 + a * a) * (mode == "out" and outputs or inputs)))
end

--- Uniform with the variance that a layer before a (leaky) ReLU keeps:
-- kaiming_uniform(slope = 0, fan = "in" | "out").  He and others, "Delving deep into
-- rectifiers", 2015.
initialiser("kaiming_uniform", function(t, a, mode)
  local bound = math.sqrt(3) * kaiming_std(t, "kaiming_uniform", a, mode)
  fill_uniform(t, -bound, bound)
end)

--- Normal with the same variance: kaiming_normal(slope = 0, fan = "in" | "out").
initialiser("kaiming_normal", function(t, a, mode)
  fill_normal(t, 0, kaiming_std(t, "kaiming_normal", a, mode))
end)

--- Normal with standard deviation sqrt(1 / inputs).  LeCun and others, "Efficient
-- BackProp", 1998.
initialiser("lecun_normal", function(t)
  fill_normal(t, 0, math.sqrt(1 / (fans(t, "lecun_normal"))))
end)

-- The rows of q, (m, n) with m <= n, made orthonormal one after another; each is
-- cleared of the ones before it twice, which keeps full accuracy.
local function orthonormal_rows(q)
  for i = 1, q:size(1) do
    local row = q:select(1, i)
    for _ = 1, i > 1 and 2 or 0 do
      local above = q:narrow(1, 1, i - 1)
      row:copy_(row - above:t():matmul(above:matmul(row)))
    end
    row:div_(row:norm():item())
  end
  return q
end

--- Orthonormal rows or columns, whichever are fewer, times a gain (1).  Saxe and
-- others, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
-- networks", 2014.
initialiser("orthogonal", function(t, gain)
  gain = number(1, "orthogonal", gain, 1)
  fans(t, "orthogonal")
  local rows = t:size(1)
  local columns = t:numel() // math.max(rows, 1)
  local few, many = math.min(rows, columns), math.max(rows, columns)
  local q = orthonormal_rows(mare.randn({ few, many }, "f64"))
  if rows > columns then q = q:t() end
  t:copy_(q:mul_(gain):reshape(t.shape))
end)

return M
