-- ops_conv.lua -- convolutions, pooling and resampling of planes.  An image is (channels,
-- height, width), a batch has a dimension in front.

local core = require "mare.core"
local check = require "mare.check"
local f = core.functions

-- -- arguments ------------------------------------------------------------------------------

local function shown(v) return type(v) == "string" and ("'%s'"):format(v) or check.text(v) end

-- One whole number or two, { down, across }.
local function pair(position, name, what, v, default, lo)
  if v == nil then v = default end
  local a, b = v, v
  if type(v) == "table" then a, b = v[1], v[2] end
  if type(v) == "table" and #v > 2 then
    check.argument(position, name,
      "%s: a whole number from %d on, or two, expected, got a list of %d", what, lo, #v)
  end
  local both = { a, b }
  for i = 1, 2 do
    local n = both[i]
    if type(n) ~= "number" or not math.tointeger(n) or n < lo or n > 32767 then
      check.argument(position, name, "%s: a whole number from %d on, or two, expected, got %s",
        what, lo, shown(n))
    end
  end
  return math.tointeger(a), math.tointeger(b)
end

local known = { stride = true, padding = true, dilation = true, groups = true }

-- The seven numbers of a geometry, as a list.
local function geometry(position, name, opts, stride, more)
  local all = { stride = true, padding = true, dilation = true }
  for k in pairs(more or {}) do all[k] = true end
  check.options(position, name, opts, all)
  opts = opts or {}
  local sh, sw = pair(position, name, "stride", opts.stride, stride or 1, 1)
  local ph, pw = pair(position, name, "padding", opts.padding, 0, 0)
  local dh, dw = pair(position, name, "dilation", opts.dilation, 1, 1)
  local groups = opts.groups == nil and 1 or check.count(position, name, opts.groups)
  return { sh, sw, ph, pw, dh, dw, groups }
end

-- x (n, c, h, w), or one image: then the result loses its first dimension too.
local function images(name, x)
  check.tensor(1, name, x)
  if x:dim() == 3 then return x:unsqueeze(1), true end
  if x:dim() ~= 4 then
    check.argument(1, name, "images (n, channels, height, width) expected, got shape %s",
      check.shape(x))
  end
  return x, false
end

local function kernel(position, name, w, dims)
  check.tensor(position, name, w)
  if w:dim() ~= dims then
    check.argument(position, name, "weight of %d dimensions expected, got shape %s", dims,
      check.shape(w))
  end
  return w
end

local function check_channels(name, x, w, groups)
  if x:size(2) ~= w:size(2) * groups or w:size(1) % groups ~= 0 then
    check.argument(2, name, "weight %s and %d groups do not fit images %s: %d channels",
      check.shape(w), groups, check.shape(x), x:size(2))
  end
end

-- A kernel of kh x kw must fit into the padded planes of the images; g is their geometry.
local function check_fit(name, x, kh, kw, g)
  local h, w = x:size(3), x:size(4)
  if g[5] * (kh - 1) + 1 > h + 2 * g[3] or g[6] * (kw - 1) + 1 > w + 2 * g[4] then
    check.argument(1, name, "a kernel of %dx%d does not fit into planes of %dx%d, padding %dx%d",
      kh, kw, h, w, g[3], g[4])
  end
end

-- bias is nil or (channels)
local function check_bias(name, bias, channels)
  if bias == nil then return end
  check.tensor(3, name, bias)
  if bias:dim() ~= 1 or bias:size(1) ~= channels then
    check.argument(3, name, "bias (%d) expected, got shape %s", channels, check.shape(bias))
  end
end

return function(registry)
  local define, ops = registry.define, registry.ops
  local unpack = table.unpack

  local function own(t) return t and t:contiguous() end

  -- a sample's geometry for the derived specs: stride, padding, dilation, groups
  local plain, odd = { 1, 1, 0, 0, 1, 1, 1 }, { 2, 1, 1, 2, 1, 2, 2 }

  local conv = define { name = "conv2d", internal = true,
    doc = "planes under a sliding kernel: y = sum of w times the patch below, + bias",
    fwd = function(x, w, bias, ...) return f.conv2d(own(x), own(w), own(bias), ...) end,
    vjp = function(g, _, x, w, bias, ...)
      return ops.conv2d_input(g, w, x:size(3), x:size(4), ...),
        ops.conv2d_weight(g, x, w:size(3), w:size(4), ...), bias and g:sum { 1, 3, 4 }
    end,
    cases = {
      function(sample) return sample(2, 2, 4, 5), sample(3, 2, 2, 3), sample(3), unpack(plain) end,
      function(sample) return sample(2, 2, 5, 4), sample(4, 1, 3, 2), nil, unpack(odd) end,
      function(sample) return sample(2, 3, 2, 2), sample(2, 3, 1, 1), nil, unpack(plain) end,
    } }
  define { name = "conv2d_input", kind = "bilinear",
    doc = "the gradient of conv2d to its images: the transposed convolution",
    fwd = function(g, w, ...)
      check.tensor(1, "conv2d_input", g)
      return f.conv2d_input(own(g), own(check.tensor(2, "conv2d_input", w)), ...)
    end,
    vjp = function(t, _, g, w, _, _, ...)
      return conv(t, w, nil, ...), ops.conv2d_weight(g, t, w:size(3), w:size(4), ...)
    end,
    cases = {
      function(sample) return sample(2, 3, 3, 3), sample(3, 2, 2, 3), 4, 5, unpack(plain) end,
      function(sample) return sample(1, 4, 3, 6), sample(4, 1, 3, 2), 5, 4, unpack(odd) end,
    } }
  define { name = "conv2d_weight", kind = "bilinear",
    doc = "the gradient of conv2d to its weight",
    fwd = function(g, x, ...)
      check.tensor(1, "conv2d_weight", g)
      return f.conv2d_weight(own(g), own(check.tensor(2, "conv2d_weight", x)), ...)
    end,
    vjp = function(t, _, g, x, _, _, ...)
      return conv(x, t, nil, ...), ops.conv2d_input(g, t, x:size(3), x:size(4), ...)
    end,
    cases = {
      function(sample) return sample(2, 3, 3, 3), sample(2, 2, 4, 5), 2, 3, unpack(plain) end,
      function(sample) return sample(1, 4, 3, 6), sample(1, 2, 5, 4), 3, 2, unpack(odd) end,
    } }
  local unfold = define { name = "unfold", kind = "linear", internal = true,
    doc = "the patches of planes as columns",
    fwd = function(x, ...) return f.unfold(own(x), ...) end,
    vjp = function(g, _, x, ...) return ops.fold(g, x:size(3), x:size(4), ...) end,
    cases = {
      function(sample) return sample(2, 2, 4, 3), 2, 2, unpack(plain) end,
      function(sample) return sample(1, 2, 4, 5), 2, 3, 2, 1, 1, 0, 1, 2, 1 end,
    } }
  define { name = "fold", kind = "linear", doc = "columns summed where their patches were",
    fwd = function(y, ...) return f.fold(own(check.tensor(1, "fold", y)), ...) end,
    vjp = function(g, _, _, _, _, ...) return unfold(g, ...) end,
    cases = {
      function(sample) return sample(2, 8, 6), 4, 3, 2, 2, unpack(plain) end,
    } }

  -- -- convolutions -------------------------------------------------------------------------

  --- mare.conv2d(x, w, bias, opts): images (n, c, h, w) under kernels w (o, c / groups, kh, kw)
  -- with bias (o) or nil: (n, o, oh, ow), oh = (h + 2 padding - dilation (kh - 1) - 1) // stride
  -- + 1.  A single image may do without n.  Options, each a number or { down, across }: stride (1),
  -- padding (0), dilation (1); groups (1).  LeCun and others 1989.
  -- `mare.conv2d(x, w, nil, { padding = 1 })`
  function ops.conv2d(x, w, bias, opts)
    local batch, single = images("conv2d", x)
    local g = geometry(4, "conv2d", opts, 1, known)
    check_channels("conv2d", batch, kernel(2, "conv2d", w, 4), g[7])
    check_bias("conv2d", bias, w:size(1))
    check_fit("conv2d", batch, w:size(3), w:size(4), g)
    local y = conv(batch, w, bias, unpack(g))
    return single and y:squeeze(1) or y
  end

  --- mare.conv1d(x, w, bias, opts): sequences (n, c, l) under kernels w (o, c / groups, k), as
  -- conv2d.
  function ops.conv1d(x, w, bias, opts)
    check.tensor(1, "conv1d", x)
    local single = x:dim() == 2
    if single then x = x:unsqueeze(1) end
    if x:dim() ~= 3 then
      check.argument(1, "conv1d", "sequences (n, channels, length) expected, got shape %s",
        check.shape(x))
    end
    local g = geometry(4, "conv1d", opts, 1, known)
    check_channels("conv1d", x, kernel(2, "conv1d", w, 3), g[7])
    check_bias("conv1d", bias, w:size(1))
    local rows = x:unsqueeze(3) -- planes of one row
    g[1], g[3], g[5] = 1, 0, 1
    check_fit("conv1d", rows, 1, w:size(3), g)
    local y = conv(rows, w:unsqueeze(3), bias, unpack(g))
    y = y:squeeze(3)
    return single and y:squeeze(1) or y
  end

  local transposed = { stride = true, padding = true, dilation = true, groups = true,
    output_padding = true }

  --- mare.conv_transpose2d(x, w, bias, opts): the gradient of a conv2d to its images as an
  -- operation: x (n, c, h, w), w (c, o / groups, kh, kw), the result (n, o, oh, ow) with
  -- oh = (h - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.
  -- Zeiler and others 2010, Deconvolutional networks.
  function ops.conv_transpose2d(x, w, bias, opts)
    local name = "conv_transpose2d"
    local batch, single = images(name, x)
    local g = geometry(4, name, opts, 1, transposed)
    local ah, aw = pair(4, name, "output_padding", opts and opts.output_padding, 0, 0)
    if ah >= math.max(g[1], g[5]) or aw >= math.max(g[2], g[6]) then
      check.argument(4, name, "output_padding %d, %d is no smaller than the stride", ah, aw)
    end
    kernel(2, name, w, 4)
    if batch:size(2) ~= w:size(1) or w:size(1) % g[7] ~= 0 then
      check.argument(2, name, "weight %s and %d groups do not fit images %s: %d channels",
        check.shape(w), g[7], check.shape(x), batch:size(2))
    end
    check_bias(name, bias, w:size(2) * g[7])
    local h = (batch:size(3) - 1) * g[1] - 2 * g[3] + g[5] * (w:size(3) - 1) + ah + 1
    local width = (batch:size(4) - 1) * g[2] - 2 * g[4] + g[6] * (w:size(4) - 1) + aw + 1
    if h < 1 or width < 1 then
      check.argument(4, name, "padding leaves nothing of the result: %dx%d", h, width)
    end
    local y = ops.conv2d_input(batch, w, h, width, unpack(g))
    if bias then y = y + bias:reshape(-1, 1, 1) end
    return single and y:squeeze(1) or y
  end

  --- mare.unfold(x, size, opts): the patches of images (n, c, h, w) under a window as columns,
  -- (n, c kh kw, patches).  Options: stride (1), padding, dilation.
  function ops.unfold(x, size, opts)
    local batch = images("unfold", x)
    local kh, kw = pair(2, "unfold", "size", size, nil, 1)
    local g = geometry(3, "unfold", opts, 1)
    check_fit("unfold", batch, kh, kw, g)
    return unfold(batch, kh, kw, unpack(g))
  end

  -- -- pooling ------------------------------------------------------------------------------

  local function window(name, x, size, opts)
    local batch, single = images(name, x)
    if x.dtype ~= "f32" and x.dtype ~= "f64" then
      check.argument(1, name, "f32 or f64 tensor expected, got %s tensor", x.dtype)
    end
    local kh, kw = pair(2, name, "size", size, nil, 1)
    local g = geometry(3, name, opts, { kh, kw })
    if g[3] > kh // 2 or g[4] > kw // 2 then
      check.argument(3, name, "padding %d, %d is more than half of the window %d, %d", g[3], g[4],
        kh, kw)
    end
    check_fit(name, batch, kh, kw, g)
    return batch, single, kh, kw, g
  end

  --- mare.max_pool2d(x, size, opts): the largest value of each window of images (n, c, h, w).
  -- Options: stride (the size), padding (0), dilation (1).
  -- `mare.max_pool2d(x, 2)  -- halves height and width`
  function ops.max_pool2d(x, size, opts)
    local batch, single, kh, kw, g = window("max_pool2d", x, size, opts)
    local index = f.pool_index(own(batch:detach()), kh, kw, unpack(g))
    if g[5] * g[6] > 1 and g[3] + g[4] > 0 and index:numel() > 0 and index:min():item() == 0 then
      check.argument(3, "max_pool2d", "a window with padding %d, %d and dilation %d, %d lies " ..
        "wholly in the padding", g[3], g[4], g[5], g[6])
    end
    local n, c, h, w = unpack(batch.shape)
    local places = index:size(3) * index:size(4)
    local y = batch:reshape(n * c, h * w):gather(2, index:reshape(n * c, places))
    y = y:reshape(index.shape)
    return single and y:squeeze(1) or y
  end

  --- mare.avg_pool2d(x, size, opts): the mean of each window; padding counts as zeros.
  -- Options as for max_pool2d, without dilation.
  function ops.avg_pool2d(x, size, opts)
    if type(opts) == "table" and opts.dilation then
      check.argument(3, "avg_pool2d", "unknown option 'dilation'; known: padding, stride")
    end
    local batch, single, kh, kw, g = window("avg_pool2d", x, size, opts)
    local n, c, h, w = unpack(batch.shape)
    local y
    if g[1] == kh and g[2] == kw and g[3] + g[4] == 0 and h >= kh and w >= kw then
      local oh, ow = h // kh, w // kw
      local whole = batch:narrow(3, 1, oh * kh):narrow(4, 1, ow * kw)
      y = whole:reshape(n, c, oh, kh, ow, kw):mean { 4, 6 }
    else
      local oh, ow = (h + 2 * g[3] - kh) // g[1] + 1, (w + 2 * g[4] - kw) // g[2] + 1
      y = unfold(batch, kh, kw, unpack(g)):reshape(n, c, kh * kw, oh * ow):mean(3)
      y = y:reshape(n, c, oh, ow)
    end
    return single and y:squeeze(1) or y
  end

  -- -- resampling: one matrix for each direction ----------------------------------------------

  -- (to, from): row i is the mean of the places that make up place i
  local function averages(from, to, dtype)
    local rows = {}
    for i = 0, to - 1 do
      local row, first, last = {}, i * from // to, ((i + 1) * from + to - 1) // to
      for j = 0, from - 1 do
        row[j + 1] = j >= first and j < last and 1 / (last - first) or 0
      end
      rows[i + 1] = row
    end
    return f.tensor(rows, dtype)
  end

  -- (to, from): linear interpolation between the centres of the places
  local function interpolation(from, to, dtype)
    local rows = {}
    for i = 0, to - 1 do
      local row = {}
      for j = 1, from do row[j] = 0 end
      local at = math.max(0, (i + 0.5) * from / to - 0.5)
      local low = math.min(math.floor(at), from - 1)
      local high, part = math.min(low + 1, from - 1), math.min(at - low, 1)
      row[low + 1] = row[low + 1] + 1 - part
      row[high + 1] = row[high + 1] + part
      rows[i + 1] = row
    end
    return f.tensor(rows, dtype)
  end

  local function nearest(from, to)
    local list = {}
    for i = 0, to - 1 do list[i + 1] = i * from // to + 1 end
    return f.tensor(list, "i64")
  end

  local function check_planes(name, x)
    if x:size(3) * x:size(4) == 0 then
      check.argument(1, name, "planes of shape %s have no points", check.shape(x))
    end
  end

  local function resample(x, make, h, w)
    local left, right = make(x:size(3), h, x.dtype), make(x:size(4), w, x.dtype)
    return left:matmul(x:matmul(right:t()))
  end

  --- mare.adaptive_avg_pool2d(x, size): the mean over as many equal parts of the planes as size
  -- says (a number or { down, across }).  `mare.adaptive_avg_pool2d(x, 1)  -- global mean`
  function ops.adaptive_avg_pool2d(x, size)
    local batch, single = images("adaptive_avg_pool2d", x)
    local h, w = pair(2, "adaptive_avg_pool2d", "size", size, nil, 1)
    check_planes("adaptive_avg_pool2d", batch)
    local y
    if h == 1 and w == 1 then y = batch:mean({ 3, 4 }, true)
    else y = resample(batch, averages, h, w) end
    return single and y:squeeze(1) or y
  end

  --- mare.upsample(x, opts): planes of another size.  Options: scale (a number or two) or size;
  -- mode: "nearest" (default) or "bilinear" (between the centres of the points).
  -- `mare.upsample(x, { scale = 2 })`
  function ops.upsample(x, opts)
    local name = "upsample"
    check.options(2, name, opts, { scale = true, size = true, mode = true })
    opts = opts or {}
    local batch, single = images(name, x)
    check_planes(name, batch)
    local h, w
    if opts.size then
      h, w = pair(2, name, "size", opts.size, nil, 1)
    else
      local sh, sw = pair(2, name, "scale", opts.scale, nil, 1)
      h, w = batch:size(3) * sh, batch:size(4) * sw
    end
    local y
    if opts.mode == nil or opts.mode == "nearest" then
      y = batch:index_select(3, nearest(batch:size(3), h))
      y = y:index_select(4, nearest(batch:size(4), w))
    elseif opts.mode == "bilinear" then
      y = resample(batch, interpolation, h, w)
    else
      check.argument(2, name, "mode '%s'; known: bilinear, nearest", check.text(opts.mode))
    end
    return single and y:squeeze(1) or y
  end
end
