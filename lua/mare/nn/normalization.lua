-- normalization.lua -- layers that bring values to zero mean and unit variance, and noise.

local mare = require "mare"
local check = require "mare.check"
local Module = require "mare.nn.module"

local is_tensor = mare.is_tensor
local M = {}

local function refuse(layer, message, ...)
  check.fail("%s: %s", layer:describe(), message:format(...))
end

local function check_input(layer, x)
  if not is_tensor(x) then refuse(layer, "tensor expected, got %s", type(x)) end
end

-- An input of another shape than the layer works on, which is described as "(n, %d)".
local function refuse_shape(layer, x, form, ...)
  refuse(layer, "input of shape %s; %s expected", is_tensor(x) and check.shape(x) or check.kind(x),
    form:format(...))
end

local function affine(self, shape, opts)
  local dtype = opts.dtype or "f32"
  self.weight, self.bias = false, false
  if opts.affine ~= false then
    self.weight = mare.ones(shape, dtype):requires_grad()
    if opts.bias ~= false then self.bias = mare.zeros(shape, dtype):requires_grad() end
  end
end

-- weight and bias (c) beside the channels of x (n, c, ...)
local function over_channels(x, v)
  if x:dim() == 2 then return v end
  local shape = { v:size(1) }
  for d = 2, x:dim() - 1 do shape[d] = 1 end
  return v:reshape(shape)
end

local function scaled(x, weight, bias)
  if weight then x = x * weight end
  return bias and x + bias or x
end

-- -- over the batch -------------------------------------------------------------------------

local batch_options = { eps = true, momentum = true, affine = true, track = true, dtype = true }

-- form: the inputs it takes, as messages describe them
local function batch_norm(name, dims, form)
  return Module:extend(name, {
    init = function(self, features, opts)
      self.features = check.count(1, name, features)
      check.options(2, name, opts, batch_options)
      opts = opts or {}
      self.eps = check.number(2, name, opts.eps, 1e-5, 0, math.huge, "eps")
      self.momentum = check.number(2, name, opts.momentum, 0.1, 0, 1, "momentum")
      affine(self, { features }, opts)
      self.running_mean, self.running_var = false, false
      if opts.track ~= false then
        self.running_mean = mare.zeros({ features }, opts.dtype or "f32")
        self.running_var = mare.ones({ features }, opts.dtype or "f32")
      end
    end,
    forward = function(self, x)
      if not is_tensor(x) or not dims[x:dim()] or x:size(2) ~= self.features then
        refuse_shape(self, x, form, self.features, self.features)
      end
      local mean, var
      if self.training or not self.running_mean then
        local over, n = { 1 }, x:size(1)
        for d = 3, x:dim() do over[#over + 1], n = d, n * x:size(d) end
        if n < 2 then refuse(self, "one value for each channel has no variance") end
        mean, var = x:mean(over, true), x:var(over, true, 0)
        if self.training and self.running_mean then self:remember(mean, var, n) end
      else
        mean, var = over_channels(x, self.running_mean), over_channels(x, self.running_var)
      end
      x = (x - mean) * (var + self.eps):rsqrt()
      return scaled(x, self.weight and over_channels(x, self.weight),
        self.bias and over_channels(x, self.bias))
    end,
    -- the running mean and (unbiased) variance, without a tape
    remember = function(self, mean, var, n)
      mare.no_grad(function()
        local keep = 1 - self.momentum
        self.running_mean:mul_(keep):add_(mean:detach():reshape(-1) * self.momentum)
        self.running_var:mul_(keep):add_(var:detach():reshape(-1) * (self.momentum * n / (n - 1)))
      end)
    end,
    describe = function(self) return ("%s(%d)"):format(name, self.features) end,
  })
end

--- In training, each channel of (n, c) or (n, c, l) to zero mean and unit variance over the batch,
-- then times weight plus bias; running means and variances are kept and used in evaluation.
-- BatchNorm1d(features, { eps = 1e-5, momentum = 0.1, affine = true, track = true, dtype }).
-- Ioffe and Szegedy 2015.
M.BatchNorm1d = batch_norm("BatchNorm1d", { [2] = true, [3] = true },
  "(n, %d) or (n, %d, length)")

--- The same for images (n, c, h, w).
M.BatchNorm2d = batch_norm("BatchNorm2d", { [4] = true }, "(n, %d, height, width)")

-- -- over the features ----------------------------------------------------------------------

local function trailing(name, shape)
  if type(shape) ~= "table" then shape = { check.count(1, name, shape) } end
  if #shape == 0 then check.argument(1, name, "the list of dimensions is empty") end
  local sizes = {}
  for i = 1, #shape do sizes[i] = check.count(1, name, shape[i]) end
  return sizes
end

-- The last dimensions of x, which are those of shape; the mean over them is asked for.
local function check_trailing(layer, x, shape)
  local dims = {}
  for i = 1, #shape do
    local d = is_tensor(x) and x:dim() - #shape + i or 0
    if d < 1 or x:size(d) ~= shape[i] then
      refuse_shape(layer, x, "(..., %s)", table.concat(shape, ", "))
    end
    dims[i] = d
  end
  return dims
end

--- Each sample to zero mean and unit variance over its last dimensions, `shape` (a number or a
-- list), then times weight plus bias.  LayerNorm(shape, { eps = 1e-5, affine = true, bias = true,
-- dtype }).  Ba, Kiros and Hinton 2016.
M.LayerNorm = Module:extend("LayerNorm", {
  init = function(self, shape, opts)
    self._shape = trailing("LayerNorm", shape)
    check.options(2, "LayerNorm", opts, { eps = true, affine = true, bias = true, dtype = true })
    opts = opts or {}
    self.eps = check.number(2, "LayerNorm", opts.eps, 1e-5, 0, math.huge, "eps")
    affine(self, self._shape, opts)
  end,
  forward = function(self, x)
    local dims = check_trailing(self, x, self._shape)
    x = x - x:mean(dims, true)
    x = x * (x:square():mean(dims, true) + self.eps):rsqrt()
    return scaled(x, self.weight, self.bias)
  end,
  describe = function(self) return ("LayerNorm(%s)"):format(check.shape(self._shape)) end,
})

--- Each sample divided by the root of its mean square over its last dimensions, then times weight.
-- RMSNorm(shape, { eps = 1e-6, affine = true, dtype }).  Zhang and Sennrich 2019.
M.RMSNorm = Module:extend("RMSNorm", {
  init = function(self, shape, opts)
    self._shape = trailing("RMSNorm", shape)
    check.options(2, "RMSNorm", opts, { eps = true, affine = true, dtype = true })
    opts = opts or {}
    self.eps = check.number(2, "RMSNorm", opts.eps, 1e-6, 0, math.huge, "eps")
    affine(self, self._shape, { affine = opts.affine, bias = false, dtype = opts.dtype })
  end,
  forward = function(self, x)
    local dims = check_trailing(self, x, self._shape)
    return scaled(x * (x:square():mean(dims, true) + self.eps):rsqrt(), self.weight)
  end,
  describe = function(self) return ("RMSNorm(%s)"):format(check.shape(self._shape)) end,
})

--- Groups of the channels of (n, c, ...) to zero mean and unit variance within each sample, then
-- each channel times weight plus bias.  GroupNorm(groups, channels, { eps, affine, dtype }).
-- Wu and He 2018.
M.GroupNorm = Module:extend("GroupNorm", {
  init = function(self, groups, channels, opts)
    self.groups, self.channels = check.count(1, "GroupNorm", groups),
      check.count(2, "GroupNorm", channels)
    if channels % groups ~= 0 then
      check.argument(1, "GroupNorm", "%d groups of %d channels", groups, channels)
    end
    check.options(3, "GroupNorm", opts, { eps = true, affine = true, dtype = true })
    opts = opts or {}
    self.eps = check.number(3, "GroupNorm", opts.eps, 1e-5, 0, math.huge, "eps")
    affine(self, { channels }, opts)
  end,
  forward = function(self, x)
    if not is_tensor(x) or x:dim() < 2 or x:size(2) ~= self.channels then
      refuse_shape(self, x, "(n, %d, ...)", self.channels)
    end
    local g = x:reshape(x:size(1), self.groups, -1)
    g = g - g:mean(3, true)
    g = g * (g:square():mean(3, true) + self.eps):rsqrt()
    x = g:reshape(x.shape)
    return scaled(x, self.weight and over_channels(x, self.weight),
      self.bias and over_channels(x, self.bias))
  end,
  describe = function(self) return ("GroupNorm(%d of %d)"):format(self.groups, self.channels) end,
})

-- -- noise ----------------------------------------------------------------------------------

--- In training, zeroes whole channels of (n, c, ...) with probability p (0.5) and multiplies the
-- others by 1 / (1 - p).  Tompson and others 2015.
M.Dropout2d = Module:extend("Dropout2d", {
  init = function(self, p) self.p = check.number(1, "Dropout2d", p, 0.5, 0, 1) end,
  forward = function(self, x)
    if not self.training or self.p == 0 then return x end
    if not is_tensor(x) or x:dim() < 3 then
      refuse_shape(self, x, "(n, channels, ...) of 3 dimensions or more")
    end
    local shape, keep = { x:size(1), x:size(2) }, 1 - self.p
    for d = 3, x:dim() do shape[d] = 1 end
    return x * mare.empty(shape, x.dtype):bernoulli_(keep, keep > 0 and 1 / keep or 1)
  end,
  describe = function(self) return ("Dropout2d(%g)"):format(self.p) end,
})

local LOWEST = -1.7580993408473766 -- what selu goes to: -scale alpha

--- Dropout that keeps mean and variance of what goes through selu: values are set to its lower
-- limit with probability p (0.5), then all are scaled.  Klambauer and others 2017.
M.AlphaDropout = Module:extend("AlphaDropout", {
  init = function(self, p) self.p = check.number(1, "AlphaDropout", p, 0.5, 0, 1) end,
  forward = function(self, x)
    check_input(self, x)
    if not self.training or self.p == 0 then return x end
    local keep = 1 - self.p
    if keep == 0 then return x * 0 end
    local mask = mare.empty(x.shape, x.dtype):bernoulli_(keep, 1)
    local a = (keep + LOWEST * LOWEST * keep * self.p) ^ -0.5
    return (x * mask + (1 - mask) * LOWEST) * a - a * self.p * LOWEST
  end,
  describe = function(self) return ("AlphaDropout(%g)"):format(self.p) end,
})

--- In training, adds normal noise of this standard deviation (0.1).
M.GaussianNoise = Module:extend("GaussianNoise", {
  init = function(self, std) self.std = check.number(1, "GaussianNoise", std, 0.1, 0) end,
  forward = function(self, x)
    check_input(self, x)
    if not self.training or self.std == 0 then return x end
    return x + mare.empty(x.shape, x.dtype):normal_(0, self.std)
  end,
  describe = function(self) return ("GaussianNoise(%g)"):format(self.std) end,
})

-- -- containers -----------------------------------------------------------------------------

local function gather(self, name, list)
  if type(list) ~= "table" then
    check.argument(1, name, "list of layers expected, got %s", check.kind(list))
  end
  for i, layer in ipairs(list) do
    if not Module.is_module(layer) then
      check.argument(1, name, "layer %d: module expected, got %s", i, check.kind(layer))
    end
    self[i] = layer
  end
  if #list == 0 then check.argument(1, name, "no layers") end
end

--- x + layer(x): Residual(layer), or Residual(layer, shortcut) for shortcut(x) + layer(x).
-- He and others 2016.
M.Residual = Module:extend("Residual", {
  init = function(self, layer, shortcut)
    gather(self, "Residual", { layer, shortcut })
  end,
  forward = function(self, x) return (self[2] and self[2](x) or x) + self[1](x) end,
})

--- The same input through several layers: a list of their outputs.  Parallel { a, b }.
M.Parallel = Module:extend("Parallel", {
  init = function(self, list) gather(self, "Parallel", list) end,
  forward = function(self, x)
    local out = {}
    for i, layer in ipairs(self) do out[i] = layer(x) end
    return out
  end,
})

--- The same input through several layers, their outputs joined along a dimension (2).
-- Concat({ a, b }, dim).
M.Concat = Module:extend("Concat", {
  init = function(self, list, dim)
    self.dim = dim or 2
    gather(self, "Concat", list)
  end,
  forward = function(self, x)
    local out = {}
    for i, layer in ipairs(self) do out[i] = layer(x) end
    return mare.cat(out, self.dim)
  end,
})

return M
