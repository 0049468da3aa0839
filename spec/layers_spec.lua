-- layers_spec.lua -- convolutions, pooling, norms, recurrent layers and attention against
-- PyTorch's numbers (spec/fixtures/layers.py), and what they refuse.

local mare = require "mare"
local support = require "spec.support"
local fixture = require "spec.fixtures.layers"

local nn = mare.nn

local function wave(shape, k)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  local list = {}
  for i = 0, n - 1 do list[i + 1] = math.sin(1.3 * i + k) end
  return mare.tensor(list, "f64"):reshape(shape)
end

-- Output and gradients of f at inputs against a case of the fixture.
local function case(name, f, ...)
  local want, xs = fixture[name], { ... }
  for i, x in ipairs(xs) do xs[i] = x:clone():requires_grad() end
  local y = f(table.unpack(xs))
  support.same(support.flat(y:contiguous()), want[1], 1e-9, name)
  y:mul(wave(y.shape, 9)):sum():backward()
  for i, x in ipairs(xs) do
    support.same(support.flat(x.grad:contiguous()), want[i + 1], 1e-9, ("%s, gradient %d"):format(name, i))
  end
  return y
end

-- Parameters as waves: names in PyTorch's order.
local function fill(module, names)
  mare.no_grad(function()
    for k, name in ipairs(names) do
      local at = module
      for part in name:gmatch "[^.]+" do at = at[tonumber(part) or part] end
      at:copy_(wave(at.shape, k) * 0.5)
    end
  end)
  return module
end

local f64 = { dtype = "f64" }

describe("operations on planes", function()
  local x = wave({ 2, 4, 5, 6 }, 0)

  it("conv2d, conv1d, conv_transpose2d", function()
    case("conv2d", function(a, w, b)
      return mare.conv2d(a, w, b, { stride = { 2, 1 }, padding = { 1, 2 }, dilation = { 1, 2 }, groups = 2 })
    end, x, wave({ 6, 2, 3, 2 }, 1), wave({ 6 }, 2))
    case("conv1d", function(a, w, b)
      return mare.conv1d(a, w, b, { stride = 2, padding = 1, dilation = 2 })
    end, wave({ 2, 3, 9 }, 0), wave({ 4, 3, 3 }, 1), wave({ 4 }, 2))
    case("conv_transpose2d", function(a, w, b)
      return mare.conv_transpose2d(a, w, b, { stride = 2, padding = 1, output_padding = 1, groups = 2 })
    end, wave({ 2, 4, 3, 2 }, 0), wave({ 4, 3, 3, 2 }, 1), wave({ 6 }, 2))
  end)

  it("pooling", function()
    local opts = { stride = { 2, 1 }, padding = 1 }
    case("max_pool2d", function(a) return mare.max_pool2d(a, { 3, 2 }, opts) end, x)
    case("avg_pool2d", function(a) return mare.avg_pool2d(a, { 3, 2 }, opts) end, x)
    case("avg_whole", function(a) return mare.avg_pool2d(a, { 2, 4 }) end, x)
    case("adaptive", function(a) return mare.adaptive_avg_pool2d(a, { 2, 4 }) end, x)
    local y = mare.max_pool2d(mare.tensor { { { 1, 0 / 0 }, { 3, 2 } } }, 2)
    assert.is_true(y:item() ~= y:item())
  end)

  it("resampling", function()
    case("nearest", function(a) return mare.upsample(a, { size = { 7, 9 } }) end, x)
    case("bilinear", function(a) return mare.upsample(a, { size = { 8, 4 }, mode = "bilinear" }) end, x)
  end)

  it("unfold is what a convolution multiplies", function()
    local a, w = mare.randn(2, 3, 5, 4), mare.randn(4, 3, 2, 2)
    local y = w:reshape(4, 12):matmul(mare.unfold(a, 2, { stride = 2, padding = 1 }))
    support.same(support.flat(mare.conv2d(a, w, nil, { stride = 2, padding = 1 })), support.flat(y),
      1e-5, "unfold")
  end)

  it("give the same bits for any number of threads, in f32 and f64", function()
    for _, dtype in ipairs { "f32", "f64" } do
      mare.seed(3)
      local a, w = mare.randn({ 70, 3, 12, 11 }, dtype), mare.randn({ 8, 3, 3, 3 }, dtype):requires_grad()
      local first
      for _, threads in ipairs { 1, 2, 4 } do
        mare.threads(threads)
        w.grad = nil
        local y = mare.conv2d(a, w)
        y:square():sum():backward()
        local bytes = y:tobytes() .. w.grad:tobytes()
        first = first or bytes
        assert.is_true(first == bytes, dtype .. " with " .. threads .. " threads")
      end
      mare.threads(0)
    end
  end)

  it("take single images, views and empty batches", function()
    local w = mare.randn(2, 3, 2, 2)
    local a = mare.randn(4, 5, 3)
    assert.same({ 2, 3, 4 }, mare.conv2d(a:permute(3, 1, 2), w).shape)
    assert.same({ 0, 2, 3, 4 }, mare.conv2d(mare.zeros(0, 3, 4, 5), w).shape)
    assert.same({ 0, 3, 2, 2 }, mare.max_pool2d(mare.zeros(0, 3, 4, 5), 2).shape)
  end)

  it("refuse a bias, planes and windows that have no meaning", function()
    local function refused(text, f, ...)
      local args = table.pack(...)
      support.fails("layers_spec.lua", function() return (f(table.unpack(args, 1, args.n))) end, text)
    end
    local plane = mare.ones(1, 1, 2, 2)
    local w = mare.ones(1, 1, 2, 2)
    refused("#3 to 'conv2d' (tensor expected, got string)", mare.conv2d, plane, w, "b")
    refused("#3 to 'conv_transpose2d' (bias (1) expected, got shape 3)", mare.conv_transpose2d, plane, w,
      mare.ones(3))
    refused("#2 to 'conv_transpose2d' (weight 3x1x2x2 and 2 groups", mare.conv_transpose2d,
      mare.ones(1, 3, 2, 2), mare.ones(3, 1, 2, 2), nil, { groups = 2 })
    refused("got nil", mare.max_pool2d, plane)
    refused("got '2'", mare.max_pool2d, plane, "2")
    refused("#1 to 'max_pool2d' (f32 or f64 tensor expected, got i64", mare.max_pool2d, plane:to "i64", 2)
    refused("#3 to 'avg_pool2d' (table of options expected, got number", mare.avg_pool2d, plane, 2, 2)
    refused("lies wholly in the padding", mare.max_pool2d, plane, 2, { dilation = 3, padding = 1, stride = 1 })
    for _, mode in ipairs { "nearest", "bilinear" } do
      refused("planes of shape 1x1x0x3 have no points", mare.upsample, mare.ones(1, 1, 0, 3),
        { size = 2, mode = mode })
    end
    assert.same({ 0, 1, 2, 2 }, mare.avg_pool2d(mare.ones(0, 1, 3, 3), 2, { stride = 1 }).shape)
  end)

  it("refuse patches of more bytes than can be counted", function()
    local f = require "mare.core".functions
    support.fails("layers_spec.lua", function()
      f.conv2d_input(mare.zeros(1, 0, 16384, 16384), mare.zeros(0, 1 << 20, 16384, 16384), 1, 1,
        1, 1, 16383, 16383, 1, 1, 1)
    end, "the patches do not fit into memory")
    support.fails("layers_spec.lua", function()
      f.unfold(mare.zeros(0, 1 << 58, 1, 1), 32, 1, 1, 1, 31, 0, 1, 1, 1)
    end, "the patches do not fit into memory")
  end)

  it("refuse what does not fit", function()
    local a, w = mare.ones(1, 2, 4, 4), mare.ones(3, 2, 3, 3)
    local function bad(text, f, ...)
      local args = table.pack(...)
      support.fails("layers_spec.lua", function() return (f(table.unpack(args, 1, args.n))) end, text)
    end
    bad("weight 3x2x3x3 and 1 groups do not fit images 1x4x4x4: 4 channels", mare.conv2d, mare.ones(1, 4, 4, 4), w)
    bad("images (n, channels, height, width) expected, got shape 4x4", mare.conv2d, mare.ones(4, 4), w)
    bad("a kernel of 3x3 does not fit into planes of 2x2", mare.conv2d, mare.ones(1, 2, 2, 2), w)
    bad("stride: a whole number from 1 on, or two, expected, got 0", mare.conv2d, a, w, nil, { stride = 0 })
    bad("unknown option 'strides'; did you mean 'stride'? known: dilation, groups, padding, stride",
      mare.conv2d, a, w, nil, { strides = 2 })
    bad("bias (3) expected, got shape 2", mare.conv2d, a, w, mare.ones(2))
    bad("f64", mare.conv2d, a, w:to "f64")
    bad("padding 2, 2 is more than half of the window 2, 2", mare.max_pool2d, a, 2, { padding = 2 })
    bad("output_padding 2, 2 is no smaller than the stride", mare.conv_transpose2d, a, mare.ones(2, 2, 2, 2), nil,
      { output_padding = 2 })
    bad("bad argument #1 to 'max_pool2d' (a kernel of 9x9 does not fit into planes of 4x4, padding 0x0)",
      mare.max_pool2d, a, 9)
    bad("bad argument #1 to 'avg_pool2d' (a kernel of 5x5 does not fit", mare.avg_pool2d, a, 5)
    bad("bad argument #1 to 'unfold' (a kernel of 5x5 does not fit", mare.unfold, a, 5)
    bad("bad argument #1 to 'conv1d' (a kernel of 1x9 does not fit into planes of 1x4", mare.conv1d,
      mare.ones(1, 2, 4), mare.ones(3, 2, 9))
    bad("stride: a whole number from 1 on, or two, expected, got a list of 3", mare.conv2d, a, w, nil,
      { stride = { 1, 2, 3 } })
    bad("mode 'cubic'; known: bilinear, nearest", mare.upsample, a, { scale = 2, mode = "cubic" })
  end)
end)

describe("layers over planes", function()
  local function bad(text, layer, ...)
    local args = table.pack(...)
    support.fails("layers_spec.lua", function() return (nn[layer](table.unpack(args, 1, args.n))) end, text)
  end

  it("refuse at construction what no image could fit", function()
    bad("bad argument #4 to 'Conv2d' (stride: a whole number from 1 on, or two, expected, got 0)", "Conv2d", 1, 2,
      3, { stride = 0 })
    bad("bad argument #4 to 'Conv2d' (padding: a whole number from 0 on, or two, expected, got 'same')", "Conv2d",
      1, 2, 3, { padding = "same" })
    bad("padding: a whole number from 0 on, or two, expected, got { 1, true }", "Conv2d", 1, 2, 3,
      { padding = { 1, true } })
    bad("dilation: a whole number from 1 on expected, got { 1, 2 }", "Conv1d", 1, 2, 3, { dilation = { 1, 2 } })
    bad("output_padding 3 is no smaller than the stride 2", "ConvTranspose2d", 1, 2, 3,
      { output_padding = 3, stride = 2 })
    bad("bad argument #2 to 'MaxPool' (stride: a whole number from 1 on, or two, expected, got 0)", "MaxPool", 2,
      { stride = 0 })
    bad("padding 2 is more than half of the window 2", "MaxPool", 2, { padding = 2 })
    bad("unknown option 'dilation'; known: padding, stride", "AvgPool", 2, { dilation = 2 })
    bad("scale: a whole number from 1 on, or two, expected, got 0", "Upsample", { scale = 0 })
    bad("mode 'cubic'; known: bilinear, nearest", "Upsample", { scale = 2, mode = "cubic" })
  end)

  it("take numbers and lists", function()
    local x = mare.ones(1, 1, 8, 8)
    assert.same({ 1, 2, 4, 8 }, nn.Conv2d(1, 2, 3, { stride = { 2, 1 }, padding = { 1, 1 } })(x).shape)
    assert.same({ 1, 2, 17, 17 }, nn.ConvTranspose2d(1, 2, 2, { stride = 2, output_padding = 1 })(x).shape)
    assert.same({ 1, 1, 4, 8 }, nn.MaxPool({ 2, 3 }, { stride = { 2, 1 }, padding = { 0, 1 } })(x).shape)
    assert.same({ 1, 2, 6 }, nn.Conv1d(1, 2, 3, { stride = 1 })(mare.ones(1, 1, 8)).shape)
  end)
end)

describe("norms", function()
  local function norm(name, module, shape)
    fill(module, { "weight", "bias" })
    case(name, module, wave(shape, 0))
    if module.running_mean then case(name .. "_eval", module:eval(), wave(shape, 5)) end
  end

  it("are PyTorch's", function()
    norm("batch1", nn.BatchNorm1d(3, f64), { 5, 3 })
    norm("batch1l", nn.BatchNorm1d(3, f64), { 4, 3, 5 })
    norm("batch2", nn.BatchNorm2d(3, f64), { 2, 3, 2, 4 })
    norm("layer", nn.LayerNorm({ 3, 4 }, f64), { 2, 3, 4 })
    norm("group", nn.GroupNorm(2, 6, f64), { 2, 6, 3 })
  end)

  it("RMSNorm divides by the root of the mean square", function()
    local x = mare.tensor({ { 3, 4 } }, "f64")
    local y = nn.RMSNorm(2, { eps = 0, dtype = "f64" })(x)
    support.same(support.flat(y), { 3 / math.sqrt(12.5), 4 / math.sqrt(12.5) }, 1e-12, "rms")
  end)

  it("refuse other shapes", function()
    support.fails("layers_spec.lua", function() nn.BatchNorm2d(3)(mare.ones(2, 4, 2, 2)) end,
      "BatchNorm2d(3): input of shape 2x4x2x2")
    support.fails("layers_spec.lua", function() nn.LayerNorm(3)(mare.ones(2, 4)) end,
      "LayerNorm(3): input of shape 2x4")
    support.fails("layers_spec.lua", function() nn.MaxPool() end, "bad argument #1 to 'MaxPool' (size")
    support.fails("layers_spec.lua", function() nn.Conv2d(1, 2, { 3 }) end,
      "bad argument #3 to 'Conv2d' (size", "got nil")
    support.fails("layers_spec.lua", function() nn.Parallel(3) end, "list of layers expected, got number")
    support.fails("layers_spec.lua", function() nn.LayerNorm() end, "bad argument #1 to 'LayerNorm'")
    support.fails("layers_spec.lua", function() nn.RMSNorm {} end, "the list of dimensions is empty")
    support.fails("layers_spec.lua", function() nn.BatchNorm1d(3)(mare.ones(1, 3)) end,
      "one value for each channel has no variance")
    support.fails("layers_spec.lua", function() nn.GroupNorm(4, 6) end, "4 groups of 6 channels")
  end)
end)

describe("recurrent layers", function()
  local function names(count)
    local list = {}
    for k = 1, count do
      for _, part in ipairs { "weight_ih", "weight_hh", "bias_ih", "bias_hh" } do
        list[#list + 1] = ("cells.%d.%s"):format(k, part)
      end
    end
    return list
  end

  local function check_layer(name, module, count)
    fill(module, names(count))
    local x = wave({ 2, 4, 3 }, 0)
    case(name, function(a) return (module(a)) end, x)
    local _, state = module(x)
    for k, s in ipairs(mare.is_tensor(state) and { state } or state) do
      support.same(support.flat(s), fixture[("%s_state%d"):format(name, k)][1], 1e-9, name .. " state")
    end
  end

  it("are PyTorch's", function()
    check_layer("rnn", nn.RNN(3, 4, f64), 1)
    check_layer("rnn_relu", nn.RNN(3, 4, { activation = "relu", dtype = "f64" }), 1)
    check_layer("lstm", nn.LSTM(3, 4, { layers = 2, dtype = "f64" }), 2)
    check_layer("gru", nn.GRU(3, 4, { layers = 2, bidirectional = true, dtype = "f64" }), 4)
  end)

  it("are their cells, step by step, and go on from a state", function()
    for _, kind in ipairs { "RNN", "LSTM", "GRU" } do
      local layer, cell = nn[kind](3, 5), nn[kind .. "Cell"](3, 5)
      mare.no_grad(function()
        for name, p in pairs(layer.cells[1]) do if p then cell[name]:copy_(p) end end
      end)
      local x = mare.randn(2, 4, 3)
      local y, last = layer(x)
      local state
      for t = 1, 4 do state = cell(x[{ {}, t }], state) end
      local h = kind == "LSTM" and state[1] or state
      support.same(support.flat(y[{ {}, 4 }]:contiguous()), support.flat(h), 1e-6, kind)
      local half, middle = layer(x:narrow(2, 1, 2))
      local rest, ends = layer(x:narrow(2, 3, 2), middle)
      support.same(support.flat(mare.cat({ half, rest }, 2)), support.flat(y), 1e-6, kind .. " in two")
      support.same(support.flat(kind == "LSTM" and ends[2] or ends),
        support.flat(kind == "LSTM" and last[2] or last), 1e-6, kind .. " state")
    end
  end)

  it("go through thousands of steps, with gradients", function()
    local layer, x = nn.RNN(1, 2), mare.randn(1, 4500, 1):requires_grad()
    local y = layer(x)
    assert.same({ 1, 4500, 2 }, y.shape)
    local half, middle = layer(x:narrow(2, 1, 4400))
    local rest = layer(x:narrow(2, 4401, 100), middle)
    support.same(support.flat(mare.cat({ half, rest }, 2)), support.flat(y), 1e-6, "in two")
    y:narrow(2, 4500, 1):sum():backward()
    local last = x.grad:clone()
    assert.is_true(last[{ 1, 4500, 1 }]:item() ~= 0)
    x:zero_grad()
    layer(x:narrow(2, 4001, 500)):narrow(2, 500, 1):sum():backward()
    support.same(support.flat(last:narrow(2, 4401, 100):contiguous()),
      support.flat(x.grad:narrow(2, 4401, 100):contiguous()), 1e-6, "gradients of the end")
  end)

  it("refuse other shapes", function()
    support.fails("layers_spec.lua", function() nn.LSTM(3, 4)(mare.ones(2, 3)) end,
      "LSTM(3 -> 4): input (n, time, 3) expected, got shape 2x3")
    support.fails("layers_spec.lua", function() nn.LSTM(3, 4)(mare.ones(2, 5, 3), mare.ones(1)) end,
      "state: { h, c } expected")
    support.fails("layers_spec.lua", function() nn.GRU(3, 4)(mare.ones(2, 5, 3), mare.ones(2, 4)) end,
      "state of shape 2x4; 1x2x4 expected")
    for _, name in ipairs { "LSTM", "GRU", "LSTMCell", "GRUCell" } do
      support.fails("layers_spec.lua", function() nn[name](3, 4, { activation = "relu" }) end,
        ("bad argument #3 to '%s' (unknown option 'activation'; known: bias,"):format(name))
    end
    support.fails("layers_spec.lua", function() nn.RNN(3, 4, { activation = "sin" }) end,
      "activation 'sin'; known: relu, tanh")
  end)
end)

describe("stack", function()
  it("takes more tensors than one call of cat, with gradients", function()
    local list = {}
    for i = 1, 5000 do list[i] = mare.tensor({ i, -i }, "f64"):requires_grad() end
    local y = mare.stack(list, 2)
    assert.same({ 2, 5000 }, y.shape)
    local rows = y:totable()
    for i = 1, 5000 do
      assert.equal(i, rows[1][i])
      assert.equal(-i, rows[2][i])
    end
    y:square():sum():backward()
    for _, i in ipairs { 1, 4096, 4097, 5000 } do
      assert.same({ 2 * i, -2 * i }, list[i].grad:totable())
    end
  end)
end)

describe("attention", function()
  -- PyTorch keeps query, key and value in one weight
  local function share(att, k, prefix)
    mare.no_grad(function()
      local w, b = wave({ 12, 4 }, k) * 0.5, wave({ 12 }, k + 1) * 0.5
      for i, part in ipairs { "query", "key", "value" } do
        att[part].weight:copy_(w:narrow(1, 4 * i - 3, 4))
        att[part].bias:copy_(b:narrow(1, 4 * i - 3, 4))
      end
      att.out.weight:copy_(wave({ 4, 4 }, k + 2) * 0.5)
      att.out.bias:copy_(wave({ 4 }, k + 3) * 0.5)
    end)
    return att, prefix
  end

  local x = wave({ 2, 5, 4 }, 0)

  it("is PyTorch's", function()
    local att = share(nn.MultiheadAttention(4, 2, f64), 1)
    case("attention", function(q, k) return (att(q, k)) end, x, wave({ 2, 3, 4 }, 4))
    case("causal", function(q) return (att(q, nil, nil, { causal = true })) end, x)
    local mask = mare.arange(1, 5):le(mare.arange(1, 5):unsqueeze(2))
    case("causal", function(q) return (att(q, nil, nil, { mask = mask })) end, x)
    local _, weights = att(x)
    support.same(support.flat(weights:sum(4)), support.flat(mare.ones({ 2, 2, 5 }, "f64")), 1e-12, "sums")
    local y = att(x, nil, nil, { mask = mare.zeros({ 5, 5 }, "u8") })
    assert.equal(0, y:ne(y):any():item())
  end)

  it("makes encoder layers", function()
    for name, first in pairs { encoder = false, encoder_first = true } do
      local layer = nn.TransformerEncoderLayer(4, 2, { hidden = 6, dropout = 0, norm_first = first, dtype = "f64" })
      share(layer.attention, 1)
      mare.no_grad(function()
        for k, part in ipairs { "up.weight", "up.bias", "down.weight", "down.bias", "norm1.weight", "norm1.bias",
          "norm2.weight", "norm2.bias" } do
          local a, b = part:match "(%w+)%.(%w+)"
          layer[a][b]:copy_(wave(layer[a][b].shape, k + 4) * 0.5)
        end
      end)
      case(name, layer, x)
    end
  end)

  it("knows positions", function()
    local y = nn.SinusoidalPositions(4, 10)(mare.zeros(1, 3, 4))
    support.same(support.flat(y), { 0, 1, 0, 1, math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01),
      math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02) }, 1e-6, "positions")
    assert.same({ 1, 3, 4 }, nn.LearnedPositions(4, 5)(mare.zeros(1, 3, 4)).shape)
    support.fails("layers_spec.lua", function() nn.LearnedPositions(4, 2)(mare.zeros(1, 3, 4)) end,
      "3 places of time; at most 2")
  end)

  it("refuses other shapes", function()
    support.fails("layers_spec.lua", function() nn.MultiheadAttention(5, 2) end, "width 5 is no multiple of 2 heads")
    local att = nn.MultiheadAttention(8, 2)
    local function bad(text, ...)
      local args = table.pack(...)
      support.fails("layers_spec.lua", function() return (att(table.unpack(args, 1, 4))) end,
        "MultiheadAttention(8, 2 heads): " .. text)
    end
    local q = mare.ones(2, 3, 8)
    bad("mask of shape 4x4; (3, 3) or (2, 3, 3) expected", q, nil, nil, { mask = mare.ones({ 4, 4 }, "u8") })
    bad("mask of shape 5x3x3; (3, 3) or (2, 3, 3) expected", q, nil, nil, { mask = mare.ones({ 5, 3, 3 }, "u8") })
    bad("mask: u8 (to, from) or (n, to, from) expected, 1 where may be seen, got f32 of shape 3x3", q, nil, nil,
      { mask = mare.ones(3, 3) })
    bad("query 2x3x8, key 2x4x8 and value 2x5x8 do not go together", q, mare.ones(2, 4, 8), mare.ones(2, 5, 8))
    bad("query 2x3x8, key 3x4x8 and value 3x4x8 do not go together", q, mare.ones(3, 4, 8))
    assert.same({ 2, 3, 8 }, (att(q, mare.ones(2, 4, 8), nil, { mask = mare.ones({ 2, 1, 4 }, "u8") })).shape)
    support.fails("layers_spec.lua", function()
      nn.MultiheadAttention(4, 2)(mare.ones(2, 3, 4), nil, nil, { casual = true })
    end, "unknown option 'casual'; known: causal, mask")
    support.fails("layers_spec.lua", function() nn.MultiheadAttention(4, 2)(mare.ones(2, 4)) end,
      "query (n, time, 4) expected, got shape 2x4")
  end)
end)

describe("layers", function()
  it("train: a small LeNet learns the digits", function()
    mare.seed(2)
    local model = nn.Sequential { nn.Reshape(1, 8, 8), nn.Conv2d(1, 8, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool(2),
      nn.Conv2d(8, 16, 3, { padding = 1 }), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool(2), nn.Flatten(),
      nn.Linear(64, 10) }
    local learn, test = mare.data.digits():split(0.8, { seed = 1, stratify = true })
    mare.train.fit(model, { data = learn, loss = mare.loss.cross_entropy, epochs = 6, progress = false, seed = 1,
      optimizer = mare.optim.adam(model:parameters(), { lr = 0.01 }) })
    local seen = mare.train.evaluate(model, test, { metrics = { "accuracy" } })
    assert.is_true(seen.accuracy > 0.94, tostring(seen.accuracy))
  end)

  it("come back from a file without a program", function()
    local model = nn.Sequential { nn.Conv2d(1, 4, { 3, 2 }, { stride = 2, bias = false }),
      nn.MaxPool(2, { stride = 1 }),
      nn.GroupNorm(2, 4), nn.Residual(nn.Conv2d(4, 4, 1)), nn.Concat { nn.Identity(), nn.Dropout2d(0.1) },
      nn.AvgPool(2), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 3) }:eval()
    local x = mare.randn(2, 1, 9, 11)
    local y = model(x)
    local same = assert(nn.load { string = model:save(nil) }):eval()
    assert.same(y:totable(), same(x):totable())
    assert.equal(tostring(model), tostring(same))
  end)

  it("put noise where it is asked for", function()
    mare.seed(7)
    local x = mare.randn(200, 50)
    local y = nn.AlphaDropout(0.3)(x:selu())
    assert.is_true(math.abs(y:mean():item()) < 0.05 and math.abs(y:std():item() - 1) < 0.05)
    local dropped = nn.Dropout2d(0.5)(mare.ones(40, 10, 3, 3))
    local planes = dropped:sum { 3, 4 }
    assert.equal(400, planes:eq(0):logical_or(planes:eq(18)):to("i64"):sum():item())
    assert.is_true(math.abs((nn.GaussianNoise(0.5)(x) - x):std():item() - 0.5) < 0.02)
    for _, layer in ipairs { nn.AlphaDropout(), nn.Dropout2d(), nn.GaussianNoise() } do
      assert.equal(x, layer:eval()(x))
    end
    local outputs = nn.Parallel { nn.Identity(), nn.ReLU() }(x)
    assert.equal(x, outputs[1])
    assert.same(x:relu():totable(), outputs[2]:totable())
  end)
end)
