-- convolution.lua -- layers over planes and sequences: convolutions, pooling, resampling.

local mare = require "mare"
local check = require "mare.check"
local init = require "mare.nn.initial"
local Module = require "mare.nn.module"

local M = {}

local function text(v) return type(v) == "table" and table.concat(v, "x") or check.text(v) end

-- The sides of a kernel: one number for all, or a list of `dims`.
local function sides(position, name, size, dims, what)
  local list = {}
  for d = 1, dims do
    local n = size
    if type(size) == "table" then n = size[d] end
    if type(n) ~= "number" or not math.tointeger(n) or n < 1 then
      check.argument(position, name, "%s: a whole number from 1 on%s expected, got %s",
        what or "size", dims > 1 and ", or two," or "",
        type(n) == "number" and check.text(n) or type(n))
    end
    list[d] = math.tointeger(n)
  end
  return list
end

local function shown(v)
  if type(v) == "string" then return "'" .. v .. "'" end
  if type(v) ~= "table" then return check.text(v) end
  local parts = {}
  for i = 1, #v do parts[i] = shown(v[i]) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local least = { stride = 1, padding = 0, dilation = 1, output_padding = 0 }

-- The options that move a kernel: each a whole number, or one for each of `dims` sides.
local function check_moves(position, name, opts, dims)
  for _, key in ipairs { "stride", "padding", "dilation", "output_padding" } do
    local v, lo = opts[key], least[key]
    for d = 1, v ~= nil and dims or 0 do
      local n = v
      if type(v) == "table" then n = #v <= dims and v[d] end
      if type(n) ~= "number" or not math.tointeger(n) or n < lo or n > 32767 then
        check.argument(position, name, "%s: a whole number from %d on%s expected, got %s", key, lo,
          dims > 1 and ", or two," or "", shown(v))
      end
    end
  end
end

-- Side d of an option.
local function side(v, d, default)
  if v == nil then return default end
  return type(v) == "table" and v[d] or v
end

-- As in PyTorch: uniform within 1 / sqrt(inputs of one output).
local function parameters(self, name, shape, outputs, fan, opts)
  local dtype, bound = opts.dtype or "f32", 1 / math.sqrt(fan)
  local fill = opts.init or init.uniform(bound)
  if type(fill) == "string" then
    if not init[fill] then
      check.argument(4, name, "%s", check.unknown("init", fill, init))
    end
    fill = init[fill]
  end
  self.weight = mare.zeros(shape, dtype)
  fill(self.weight)
  self.weight:requires_grad()
  self.bias = false
  if opts.bias ~= false then
    self.bias = mare.zeros({ outputs }, dtype)
    if not opts.init then self.bias:uniform_(-bound, bound) end
    self.bias:requires_grad()
  end
end

local known = { stride = true, padding = true, dilation = true, groups = true, bias = true,
  init = true, dtype = true }

local function describe(self)
  local more = {}
  for _, key in ipairs { "stride", "padding", "dilation", "groups", "output_padding" } do
    local v = self._opts[key]
    if v ~= nil then more[#more + 1] = (", %s %s"):format(key, text(v)) end
  end
  return ("%s(%d -> %d, %s%s%s)"):format(self.__name, self.inputs, self.outputs,
    table.concat(self._size, "x"), table.concat(more), self.bias and "" or ", no bias")
end

local function convolution(name, dims, op, turned, more)
  local all = {}
  for k in pairs(known) do all[k] = true end
  for k in pairs(more or {}) do all[k] = true end
  return Module:extend(name, {
    init = function(self, inputs, outputs, size, opts)
      self.inputs, self.outputs = check.count(1, name, inputs), check.count(2, name, outputs)
      check.options(4, name, opts, all)
      opts = opts or {}
      local groups = opts.groups and check.count(4, name, opts.groups, nil, "groups") or 1
      if inputs % groups ~= 0 or outputs % groups ~= 0 then
        check.argument(4, name, "%d groups of %d and %d channels", groups, inputs, outputs)
      end
      self._size, self._opts = sides(3, name, size, dims), {}
      check_moves(4, name, opts, dims)
      for d = 1, dims do
        local out, stride = side(opts.output_padding, d, 0), side(opts.stride, d, 1)
        if out > 0 and out >= math.max(stride, side(opts.dilation, d, 1)) then
          check.argument(4, name, "output_padding %d is no smaller than the stride %d", out, stride)
        end
      end
      for _, k in ipairs { "stride", "padding", "dilation", "groups", "output_padding" } do
        self._opts[k] = opts[k]
      end
      local first, second = outputs, inputs // groups
      if turned then first, second = inputs, outputs // groups end
      local shape, points = { first, second, table.unpack(self._size) }, 1
      for _, n in ipairs(self._size) do points = points * n end
      parameters(self, name, shape, outputs, second * points, opts)
    end,
    forward = function(self, x) return op(x, self.weight, self.bias or nil, self._opts) end,
    describe = describe,
  })
end

--- Sequences (n, inputs, l) under kernels: Conv1d(inputs, outputs, size, opts), as Conv2d.
M.Conv1d = convolution("Conv1d", 1, mare.conv1d)

--- Images (n, inputs, h, w) under kernels of `size` (a number or { down, across }): (n, outputs,
-- oh, ow).  Options: stride (1), padding (0), dilation (1), each a number or two; groups (1);
-- bias (true), init, dtype ("f32").  The weight is (outputs, inputs / groups, kh, kw).
-- `nn.Conv2d(1, 6, 5, { padding = 2 })`
M.Conv2d = convolution("Conv2d", 2, mare.conv2d)

--- The transposed convolution, which makes planes larger: options as Conv2d, and output_padding.
-- The weight is (inputs, outputs / groups, kh, kw).
M.ConvTranspose2d = convolution("ConvTranspose2d", 2, mare.conv_transpose2d, true,
  { output_padding = true })

-- -- pooling --------------------------------------------------------------------------------

local function pooling(name, op, known_here)
  return Module:extend(name, {
    init = function(self, size, opts)
      self.size = size
      self._opts = opts
      check.options(2, name, opts, known_here)
      local window = sides(1, name, size, 2)
      check_moves(2, name, opts or {}, 2)
      for d = 1, 2 do
        local padding = side(opts and opts.padding, d, 0)
        if padding > window[d] // 2 then
          check.argument(2, name, "padding %d is more than half of the window %s", padding,
            text(size))
        end
      end
    end,
    forward = function(self, x) return op(x, self.size, self._opts) end,
    describe = function(self) return ("%s(%s)"):format(name, text(self.size)) end,
  })
end

--- The largest value of each window of images: MaxPool(size, { stride, padding, dilation }).
M.MaxPool = pooling("MaxPool", mare.max_pool2d, { stride = true, padding = true, dilation = true })

--- The mean of each window of images: AvgPool(size, { stride, padding }).
M.AvgPool = pooling("AvgPool", mare.avg_pool2d, { stride = true, padding = true })

--- The means over as many equal parts of the planes as asked for: AdaptiveAvgPool(1) is the
-- global mean.
M.AdaptiveAvgPool = Module:extend("AdaptiveAvgPool", {
  init = function(self, size) self.size = type(size) == "table" and size or { size, size }
    sides(1, "AdaptiveAvgPool", size, 2)
  end,
  forward = function(self, x) return mare.adaptive_avg_pool2d(x, self.size) end,
  describe = function(self) return ("AdaptiveAvgPool(%s)"):format(text(self.size)) end,
})

--- Planes of another size: Upsample { scale = 2, mode = "nearest" | "bilinear" } or { size = }.
M.Upsample = Module:extend("Upsample", {
  init = function(self, opts)
    check.options(1, "Upsample", opts, { scale = true, size = true, mode = true })
    if not opts or not (opts.scale or opts.size) then
      check.argument(1, "Upsample", "{ scale = } or { size = } expected")
    end
    sides(1, "Upsample", opts.size or opts.scale, 2, opts.size and "size" or "scale")
    if opts.mode ~= nil and opts.mode ~= "nearest" and opts.mode ~= "bilinear" then
      check.argument(1, "Upsample", "mode '%s'; known: bilinear, nearest", check.text(opts.mode))
    end
    self._opts = opts
  end,
  forward = function(self, x) return mare.upsample(x, self._opts) end,
  describe = function(self)
    local o = self._opts
    return ("Upsample(%s%s)"):format(o.size and "to " .. text(o.size) or "x " .. text(o.scale),
      o.mode and ", " .. o.mode or "")
  end,
})

return M
