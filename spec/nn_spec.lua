-- nn_spec.lua -- modules, layers, activations and initial values.

local mare = require "mare"
local nn = mare.nn

local function f64(values) return mare.tensor(values, "f64") end

local function near_list(want, t, eps)
  local got = t:reshape(-1):totable()
  assert.equal(#want, #got)
  for i, v in ipairs(want) do assert.near(v, got[i], eps or 1e-9, ("value %d"):format(i)) end
end

-- the error of f at this file's line, without its position
local function refuses(want, f, ...)
  local args = table.pack(...)
  local ok, text = pcall(function() return (f(table.unpack(args, 1, args.n))) end)
  assert.is_false(ok)
  assert.truthy(text:find("nn_spec", 1, true), text)
  assert.equal(want, text:match ":%d+: (.*)$")
end

local function names_of(model)
  local list = {}
  for name in model:named_parameters() do list[#list + 1] = name end
  return table.concat(list, " ")
end

local Pair = nn.Module:extend("Pair", {
  init = function(self) self.b, self.a = nn.Linear(2, 2), nn.Linear(2, 2) end,
  forward = function(self, x) return self.a(x) + self.b(x) end,
})

-- -- modules ------------------------------------------------------------------------

describe("Module", function()
  it("finds parameters in a fixed order, with dotted names", function()
    assert.equal("a.bias a.weight b.bias b.weight", names_of(Pair()))
    local deep = nn.Sequential { nn.Linear(2, 2), nn.ReLU(), nn.Sequential { Pair() } }
    assert.equal("1.bias 1.weight 3.1.a.bias 3.1.a.weight 3.1.b.bias 3.1.b.weight",
      names_of(deep))
    assert.equal(6, #deep:parameters())
    assert.equal(3 * 6, deep:count())
  end)

  it("orders numbers before names and 10 after 9", function()
    local layers = {}
    for i = 1, 11 do layers[i] = nn.Linear(1, 1, { bias = false }) end
    local m = nn.Sequential(layers)
    m.tail = mare.ones(1):requires_grad()
    assert.equal("1.weight 2.weight 3.weight 4.weight 5.weight 6.weight 7.weight 8.weight "
      .. "9.weight 10.weight 11.weight tail", names_of(m))
  end)

  it("walks plain tables, not private fields nor other objects", function()
    local Odd = nn.Module:extend("Odd", { init = function(self)
      self.list = { nn.Linear(1, 1), { w = mare.ones(1):requires_grad() } }
      self._hidden = nn.Linear(1, 1)
      self.object = setmetatable({ w = mare.ones(1):requires_grad() }, { __name = "else" })
      self.word = "text"
    end })
    assert.equal("list.1.bias list.1.weight list.2.w", names_of(Odd()))
  end)

  it("counts what is shared once, and survives cycles", function()
    local m = Pair()
    m.b.weight = m.a.weight
    m.self, m.a.parent = m, m
    m.again = m.a
    assert.equal("a.bias a.weight b.bias", names_of(m))
    assert.equal(8, m:count())
    assert.truthy(tostring(m):find("shared", 1, true))
    m:train():eval():to "f64"
    assert.equal(m.a.weight, m.b.weight)
    assert.equal("f64", m.b.weight.dtype)
  end)

  it("tells parameters from buffers by whether they require a gradient", function()
    local m = nn.Linear(2, 3)
    m.running = mare.zeros(3)
    assert.equal(1, #m:buffers())
    assert.equal(m.running, m:buffers()[1])
    m.weight:requires_grad(false)
    assert.equal("bias", names_of(m))
    local list = {}
    for name in m:named_buffers() do list[#list + 1] = name end
    assert.same({ "running", "weight" }, list)
  end)

  it("ignores results that forward left in a field, and closed tensors", function()
    local m = nn.Linear(2, 2)
    m.last = m(mare.rand(1, 2))
    m.gone = mare.ones(1)
    m.gone:close()
    assert.equal("bias weight", names_of(m))
    assert.equal(0, #m:buffers())
  end)

  it("calls the class's forward, also when it is defined later or again", function()
    local Net = nn.Module:extend "Net"
    refuses("Net has no forward", Net(), 1)
    function Net:forward(x) return x + (self.n or 1) end
    local net = Net()
    assert.equal(2, net(1))
    function Net.forward(_, x) return x + 2 end
    assert.equal(3, net(1))
    assert.equal(3, net:forward(1))
    local Sub = Net:extend("Sub", { twice = function(m, x) return m(m(x)) end })
    assert.equal(5, Sub():twice(1))
  end)

  it("inherits init and methods", function()
    local Named = Pair:extend("Named", { hello = function() return "hello" end })
    assert.equal("a.bias a.weight b.bias b.weight", names_of(Named()))
    assert.equal("hello", Named():hello())
    assert.is_true(nn.is_module(Named()))
    assert.is_false(nn.is_module {})
    assert.is_false(nn.is_module(3))
    assert.equal("module class Named", tostring(Named))
  end)

  it("switches between training and evaluation below", function()
    local m = nn.Sequential { nn.Sequential { nn.Dropout(0.5) } }
    assert.is_true(m[1][1].training)
    assert.equal(m, m:eval())
    assert.is_false(m[1][1].training)
    assert.is_true(m:train()[1][1].training)
    assert.is_false(m:train(false)[1][1].training)
  end)

  it("applies a function to all modules, inner ones first", function()
    local seen = {}
    local m = nn.Sequential { Pair(), nn.ReLU() }
    assert.equal(m, m:apply(function(x) seen[#seen + 1] = x.__name end))
    assert.equal("ReLU Linear Linear Pair Sequential", table.concat(seen, " "))
    local names = {}
    for name in m:named_modules() do names[#names + 1] = name end
    assert.same({ "", "1", "1.a", "1.b", "2" }, names)
  end)

  it("forgets gradients", function()
    local m = nn.Linear(2, 1)
    m(mare.rand(3, 2)):sum():backward()
    assert.truthy(m.weight.grad)
    m:zero_grad()
    assert.is_nil(m.weight.grad)
    assert.is_nil(m.bias.grad)
  end)

  it("converts its real tensors", function()
    local m = nn.Sequential { nn.Linear(2, 2) }
    m.steps = mare.tensor(3, "i64")
    assert.equal(m, m:to "f64")
    assert.equal("f64", m[1].weight.dtype)
    assert.is_true(m[1].weight.is_tracked)
    assert.is_true(m[1].weight:is_leaf())
    assert.equal("i64", m.steps.dtype)
    assert.equal("f64", m(mare.rand({ 1, 2 }, "f64")).dtype)
    refuses("bad argument #1 to 'to' ('f32' or 'f64' expected, got i64)", m.to, m, "i64")
  end)

  it("prints as a table of layers", function()
    local m = nn.Sequential { nn.Linear(784, 256), nn.LeakyReLU(0.1), nn.Dropout(0.2),
      nn.Sequential { nn.Linear(256, 10, { bias = false }) } }
    m.seen = mare.zeros(3)
    assert.equal(table.concat({
      "Sequential                                   seen 3 (buffer)",
      "  1  Linear(784 -> 256)            200,960   bias 256, weight 256x784",
      "  2  LeakyReLU(0.1)",
      "  3  Dropout(0.2)",
      "  4  Sequential",
      "    1  Linear(256 -> 10, no bias)    2,560   weight 10x256",
      "203,520 parameters, 814,080 bytes",
    }, "\n"), tostring(m))
    assert.equal("ReLU", tostring(nn.ReLU()))
  end)

  it("prints modules in plain tables under their whole name, below their owner", function()
    local Net = nn.Module:extend("Net")
    local m = Net()
    m.a, m.list = nn.Tanh(), { nn.Linear(2, 1), { nn.Sequential { nn.ReLU() } } }
    assert.equal(table.concat({
      "Net",
      "  a  Tanh",
      "  list.1  Linear(2 -> 1)  3   bias 1, weight 1x2",
      "  list.2.1  Sequential",
      "    1  ReLU",
      "3 parameters, 12 bytes",
    }, "\n"), tostring(m))
  end)

  it("refuses a class where a layer belongs", function()
    refuses("bad argument #1 to 'Sequential' (layer 2 is the class ReLU; call it: ReLU(...))",
      nn.Sequential, { nn.Linear(2, 2), nn.ReLU })
  end)

  it("asks for a colon", function()
    local m = nn.Linear(2, 2)
    refuses("a module expected before the name, got nil: write model:name(...)", m.parameters)
    refuses("a module expected before the name, got table: write model:name(...)", m.train, {})
  end)

  it("refuses classes without a name", function()
    refuses("bad argument #1 to 'extend' (name expected, got nil)", nn.Module.extend, nn.Module)
    refuses("bad argument #2 to 'extend' (table of methods expected, got function)",
      nn.Module.extend, nn.Module, "Net", print)
  end)
end)

-- -- saving ------------------------------------------------------------------------------

describe("state", function()
  it("is what load_state takes", function()
    local a, b = Pair(), Pair()
    local x = mare.rand(3, 2)
    b:load_state(a:state())
    assert.same(a(x):totable(), b(x):totable())
    assert.is_true(b.a.weight.is_tracked)
  end)

  it("shares its values with the model", function()
    local m = nn.Linear(1, 1)
    m:state().weight:fill_(7)
    assert.equal(7, m.weight:item())
  end)

  it("refuses what does not fit, all at once, and writes nothing then", function()
    local m = nn.Linear(2, 3)
    local before = m.weight:totable()
    local state = { weight = mare.zeros(3, 2), scale = mare.ones(1) }
    refuses("bad argument #1 to 'load_state' (missing: bias; unexpected: scale)",
      m.load_state, m, state)
    refuses("bad argument #1 to 'load_state' (bias is a number; weight is 2x3, 3x2 expected)",
      m.load_state, m, { weight = mare.zeros(2, 3), bias = 3 })
    refuses("bad argument #1 to 'load_state' (table of tensors expected, got nil)",
      m.load_state, m)
    refuses("bad argument #2 to 'load_state' (unknown option 'strcit'; did you mean 'strict'? known: strict)",
      m.load_state, m, {}, { strcit = true })
    assert.same(before, m.weight:totable())
    local missing, unexpected = m:load_state(state, { strict = false })
    assert.same({ "bias" }, missing)
    assert.same({ "scale" }, unexpected)
    assert.same({ { 0, 0 }, { 0, 0 }, { 0, 0 } }, m.weight:totable())
  end)

  it("converts the type of what it reads", function()
    local m = nn.Linear(1, 1)
    m:load_state { weight = f64 { { 0.5 } }, bias = f64 { 2 } }
    assert.equal("f32", m.weight.dtype)
    assert.equal(0.5, m.weight:item())
  end)

  it("goes through a file", function()
    local path = os.tmpname()
    local a, b = nn.Sequential { nn.Linear(3, 2), Pair() }, nn.Sequential { nn.Linear(3, 2), Pair() }
    assert(a:save(path))
    assert.equal(b, assert(nn.load(b, path)))
    local x = mare.rand(4, 3)
    assert.same(a(x):totable(), b(x):totable())
    refuses("'load': " .. path .. " does not fit the model "
      .. "(missing: a.bias, a.weight, b.bias, b.weight; "
      .. "unexpected: 1.bias, 1.weight, 2.a.bias, 2.a.weight, 2.b.bias, 2.b.weight)",
      nn.load, Pair(), path)
    refuses("bad argument #3 to 'load' (unknown option 'strcit'; did you mean 'strict'? known: strict)",
      nn.load, b, path, { strcit = true })
    os.remove(path)
    local none, message = nn.load(b, path)
    assert.is_nil(none)
    assert.truthy(message:find(path, 1, true))
    refuses("bad argument #1 to 'load' (module expected, got string)", nn.load, path, path)
    refuses("bad argument #1 to 'load' (module expected, got number)", nn.load, 3)
  end)

  it("is enough to make the model again, when it is of known layers", function()
    local model = nn.Sequential { nn.Flatten(), nn.Linear(4, 3, { bias = false, init = "zeros" }),
      nn.LeakyReLU { slope = 0.2 }, nn.Sequential { nn.Linear(3, 2, { init = nn.init.ones }),
      nn.PReLU(2) }, nn.Dropout(0.5), nn.Reshape(2, 1), nn.Softmax(-2) }
    local x = mare.randn(5, 2, 2)
    for _, dtype in ipairs { "f32", "f64" } do
      model:to(dtype):eval()
      for _, p in ipairs(model:parameters()) do mare.no_grad(function() p:normal_(0, 1) end) end
      local same = assert(nn.load { string = model:save(nil) }):eval()
      assert.equal(tostring(model), tostring(same))
      assert.same(model(x:to(dtype)):totable(), same(x:to(dtype)):totable())
    end
  end)

  it("may hold less or more than the model, when that is allowed", function()
    local big, small = nn.Linear(2, 3), nn.Linear(2, 3, { bias = false })
    local model, missing, unexpected = nn.load(big, { string = small:save(nil) }, { strict = false })
    assert.equal(big, model)
    assert.same({ { "bias" }, {} }, { missing, unexpected })
    assert.same(small.weight:totable(), big.weight:totable())
    model, missing, unexpected = nn.load(small, { string = big:save(nil) }, { strict = false })
    assert.equal(small, model)
    assert.same({ {}, { "bias" } }, { missing, unexpected })
  end)

  it("that does not say or lies about its network makes none", function()
    local function message(metadata, tensors)
      local model, text = nn.load { string = mare.save(nil, tensors or {}, metadata) }
      assert.is_nil(model)
      return text
    end
    assert.truthy(message {}:find "does not say what its network is: pass the model")
    local net = nn.Sequential { nn.Linear(2, 2), function(x) return x end }
    assert.truthy(select(2, nn.load { string = net:save(nil) }):find "does not say")
    local function made(text) return message { network = text } end
    assert.truthy(made('["os.exit"]'):find("unknown layer 'os.exit'", 1, true))
    assert.truthy(made('["Linear"'):find("JSON: ',' or ']' expected at byte 10", 1, true))
    assert.truthy(made('{"a": 1}'):find("unknown layer", 1, true))
    assert.truthy(made('["Linear", 0, 3]'):find("whole number of at least 1 expected, got 0", 1, true))
    assert.truthy(made('["Linear", 100000, 30000]'):find("12000000000 bytes asked for", 1, true))
    assert.is_nil(mare.memory().limit)
    assert.equal("the string: its tensors do not fit the network that it describes (missing: " ..
      "bias, weight)", made '["Linear", 2, 3]')
    assert.equal("the string: its tensors do not fit the network that it describes (weight is 2, " ..
      "3x2 expected)", message({ network = '["Linear", 2, 3]' },
      { weight = mare.ones(2), bias = mare.ones(3) }))
  end)

  it("is refused or made, whatever byte is another", function()
    local model = nn.Sequential { nn.Linear(2, 2), nn.Residual(nn.Linear(2, 2)), nn.Dropout(0.5) }
    local bytes, made = model:save(nil), 0
    for i = 1, #bytes do
      for _, mask in ipairs { 1, 0x80, 0xff } do
        local other, message = nn.load { string = bytes:sub(1, i - 1) ..
          string.char(bytes:byte(i) ~ mask) .. bytes:sub(i + 1) }
        if other then made = made + 1
        else assert(type(message) == "string" and message:find "string", message) end
      end
    end
    assert.is_true(made > 3 * 48) -- the values, at least
  end)
end)

-- -- layers ------------------------------------------------------------------------------

describe("Linear", function()
  it("and Tanh give PyTorch's values and gradients", function()
    -- net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)) with these weights in
    -- f64; y = net(x); y.pow(2).sum().backward()
    local net = nn.Sequential { nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1) }:to "f64"
    net:load_state {
      ["1.weight"] = f64 { { 0.1, -0.2, 0.3 }, { 0.4, 0.5, -0.6 } },
      ["1.bias"] = f64 { 0.05, -0.1 },
      ["3.weight"] = f64 { { 0.7, -0.8 } }, ["3.bias"] = f64 { 0.2 },
    }
    local y = net(f64 { { 1, 2, 3 }, { -1, 0.5, 0.25 } })
    near_list({ 0.9698627021, 0.4515573863 }, y)
    y:square():sum():backward()
    near_list({ 0.2854296865, 2.142453421, 2.899361322, -0.6022020951, -2.749884246,
      -3.815730358 }, net[1].weight.grad, 2e-9)
    near_list({ 1.542704925, -1.83858614 }, net[1].bias.grad)
    near_list({ 1.041275863, -1.23951791 }, net[3].weight.grad)
    near_list({ 2.842840177 }, net[3].bias.grad)
  end)

  it("keeps leading dimensions", function()
    local m = nn.Linear(3, 5)
    assert.same({ 5 }, m(mare.rand(3)).shape)
    assert.same({ 2, 4, 5 }, m(mare.rand(2, 4, 3)).shape)
    assert.same({ 0, 5 }, m(mare.rand(0, 3)).shape)
  end)

  it("begins within 1/sqrt(inputs)", function()
    mare.seed(1)
    local m = nn.Linear(100, 200)
    for _, p in ipairs(m:parameters()) do
      local top = p:abs():max():item()
      assert.is_true(top <= 0.1 and top > 0.09, top)
    end
    assert.near(0.1 / math.sqrt(3), m.weight:detach():std():item(), 0.002)
  end)

  it("takes an initialiser, a type, and no bias", function()
    local m = nn.Linear(2, 3, { init = nn.init.constant(0.5), dtype = "f64" })
    assert.equal("f64", m.weight.dtype)
    near_list({ 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 }, m.weight:detach())
    near_list({ 0, 0, 0 }, m.bias:detach())
    near_list({ 1, 1, 1, 1 }, nn.Linear(2, 2, { init = nn.init.ones }).weight:detach())
    local plain = nn.Linear(2, 3, { bias = false, init = "ones" })
    near_list({ 3, 3, 3 }, plain(mare.tensor { { 1, 2 } }):detach())
    assert.equal("weight", names_of(plain))
  end)

  it("refuses by name, at the user's line", function()
    local m = nn.Linear(784, 256)
    local model = nn.Sequential { nn.Flatten(), m }
    refuses("Linear(784 -> 256): input has 100 columns (shape 32x100)", m, mare.rand(32, 100))
    refuses("Linear(784 -> 256): input has 100 columns (shape 32x100)", model,
      mare.rand(32, 10, 10))
    refuses("bad argument #1 to 'Linear' (tensor expected, got number)", m, 3)
    refuses("Linear(784 -> 256): input is f64, weights are f32; convert it with :to", m,
      mare.rand({ 2, 784 }, "f64"))
    refuses("Linear(784 -> 256): input is a scalar", m, mare.tensor(1))
    refuses("bad argument #1 to 'Linear' (whole number of at least 1 expected, got 0)",
      nn.Linear, 0, 3)
    refuses("bad argument #2 to 'Linear' (whole number of at least 1 expected, got string)",
      nn.Linear, 3, "4")
    refuses("bad argument #3 to 'Linear' (unknown option 'bais'; did you mean 'bias'? known: bias, dtype, init)",
      nn.Linear, 3, 4, { bais = false })
    refuses("bad argument #3 to 'Linear' (unknown init 'xavier'; known: constant, "
      .. "kaiming_normal, kaiming_uniform, lecun_normal, normal, ones, orthogonal, "
      .. "trunc_normal, uniform, xavier_normal, xavier_uniform, zeros)",
      nn.Linear, 3, 4, { init = "xavier" })
  end)
end)

describe("Sequential", function()
  it("takes a list or arguments, modules or functions", function()
    local double = function(x) return x * 2 end
    assert.equal(8, nn.Sequential { double, nn.Identity(), double }(2))
    assert.equal(8, nn.Sequential(double, double)(2))
    assert.equal(2, nn.Sequential {}(2))
    assert.equal("Double", tostring(nn.Lambda(double, "Double")))
  end)

  it("refuses what cannot be called", function()
    refuses("bad argument #1 to 'Sequential' (layer 2: module or function expected, got number)",
      nn.Sequential, { nn.ReLU(), 3 })
    refuses("bad argument #1 to 'Lambda' (function expected, got nil)", nn.Lambda)
  end)

  it("costs no table for a call", function()
    local m = nn.Sequential { nn.Identity(), nn.Identity(), nn.Identity() }
    m(1)
    collectgarbage()
    collectgarbage "stop"
    local before = collectgarbage "count"
    for _ = 1, 1000 do m(1) end
    local grown = collectgarbage "count" - before
    collectgarbage "restart"
    assert.is_true(grown < 1, grown)
  end)
end)

describe("summary", function()
  local m = nn.Sequential { nn.Conv2d(1, 6, 5, { padding = 2 }), nn.ReLU(), nn.MaxPool(2), nn.Flatten(),
    nn.BatchNorm1d(1176), nn.Linear(1176, 10), nn.Dropout(0.5) }

  it("has the shape of each layer's output", function()
    local before = m[5]:state()
    local text = m:summary(mare.ones(2, 1, 28, 28))
    for _, line in ipairs { "Sequential  +2x10\n", "Conv2d%(.-%) +156   2x6x28x28  bias 6, weight 6x1x5x5\n",
      "2  ReLU +2x6x28x28\n", "3  MaxPool%(2%) +2x6x14x14\n", "4  Flatten +2x1176\n",
      "Linear%(1176 %-> 10%) +11,770   2x10 +bias 10, weight 10x1176\n", "Dropout%(0.5%) +2x10\n",
      "parameters, [%d,]+ bytes$" } do
      assert.truthy(text:find(line), text)
    end
    for name, value in pairs(before) do assert.same(value:totable(), m[5]:state()[name]:totable()) end
  end)

  it("leaves the model as it was, after an error too", function()
    local class = getmetatable(m[1])
    m[7]:eval()
    refuses("bad argument #1 to 'conv2d' (images (n, channels, height, width) expected, got shape 2x3)",
      function() m:summary(mare.ones(2, 3)) end)
    assert.equal(class, getmetatable(m[1]))
    assert.is_true(m[1].training)
    assert.is_false(m[7].training)
    assert.same({ 1, 10 }, m:eval()(mare.ones(1, 1, 28, 28)).shape)
    refuses("a module expected before the name, got number: write model:name(...)", nn.Module.summary, 3)
    -- what a forward of the user's own raises is passed on as it is
    local what
    local Broken = nn.Module:extend("Broken", { forward = function() error(what) end })
    what = "mine"
    local line = debug.getinfo(Broken.forward, "S").linedefined
    local _, message = pcall(function() return Broken():summary(1) end)
    assert.truthy(message:find(("nn_spec.lua:%d: mine"):format(line), 1, true), message)
    what = {}
    assert.equal(what, select(2, pcall(function() return Broken():summary(1) end)))
  end)
end)

describe("shapes", function()
  it("Flatten joins all but the first dimension, or those that are named", function()
    local x = mare.rand(2, 3, 4, 5)
    assert.same({ 2, 60 }, nn.Flatten()(x).shape)
    assert.same({ 120 }, nn.Flatten(1)(x).shape)
    assert.same({ 2, 12, 5 }, nn.Flatten(2, 3)(x).shape)
    assert.same({ 2, 3, 20 }, nn.Flatten(-2)(x).shape)
    assert.same({ 3 }, nn.Flatten()(mare.rand(3)).shape)
    refuses("Flatten: input of shape 2x3 has no dimensions 4 to -1", nn.Flatten(4),
      mare.rand(2, 3))
    refuses("Flatten: tensor expected, got nil", nn.Flatten())
    refuses("bad argument #1 to 'Flatten' (dimension expected, got 1.5)", nn.Flatten, 1.5)
  end)

  it("Reshape keeps the samples apart", function()
    assert.same({ 2, 1, 3, 4 }, nn.Reshape(1, 3, 4)(mare.rand(2, 12)).shape)
    assert.same({ 2, 3, 4 }, nn.Reshape({ 3, -1 })(mare.rand(2, 12)).shape)
    assert.equal("Reshape(3, -1)", tostring(nn.Reshape(3, -1)))
    refuses("bad argument #2 to 'Reshape' (size expected, got -2)", nn.Reshape, 3, -2)
  end)
end)

describe("Bilinear", function()
  it("gives PyTorch's values", function()
    -- b = nn.Bilinear(2, 3, 2); b.weight = arange(12).reshape(2, 2, 3) / 10; b.bias = 0.5, -0.5
    local m = nn.Bilinear(2, 3, 2):to "f64"
    m:load_state { weight = f64 { { { 0, 0.1, 0.2 }, { 0.3, 0.4, 0.5 } },
      { { 0.6, 0.7, 0.8 }, { 0.9, 1, 1.1 } } }, bias = f64 { 0.5, -0.5 } }
    local y = m(f64 { { 1, 2 }, { -1, 0.5 } }, f64 { { 1, 0, -1 }, { 2, 1, 0.5 } })
    near_list({ -0.1, -1.1, 0.925, -1.125 }, y)
    refuses("Bilinear(2, 3 -> 2): inputs have shapes 4x2 and 5x3", m, mare.rand(4, 2),
      mare.rand(5, 3))
  end)
end)

describe("Embedding", function()
  it("looks rows up and gathers their gradients", function()
    local m = nn.Embedding(4, 2)
    local y = m(mare.tensor({ { 1, 3 }, { 3, 3 } }, "i64"))
    assert.same({ 2, 2, 2 }, y.shape)
    assert.same(m.weight[3]:totable(), y[{ 2, 1 }]:totable())
    y:sum():backward()
    assert.same({ { 1, 1 }, { 0, 0 }, { 3, 3 }, { 0, 0 } }, m.weight.grad:totable())
    refuses("Embedding(4 x 2): i64 positions expected, got f32", m, mare.ones(2))
    assert.has_error(function() m(mare.tensor({ 5 }, "i64")) end)
  end)
end)

describe("Dropout", function()
  it("drops and scales in training only", function()
    mare.seed(3)
    local m, x = nn.Dropout(0.25), mare.ones(200, 100)
    local y = m(x)
    local dropped = y:eq(0):to("f64"):mean():item()
    assert.near(0.25, dropped, 0.02)
    assert.near(1, y:to("f64"):mean():item(), 0.02)
    assert.near(1 / 0.75, y:max():item(), 1e-6)
    assert.equal(x, m:eval()(x))
    assert.equal(x, nn.Dropout(0)(x))
    assert.equal(0, nn.Dropout(1)(x):max():item())
  end)

  it("passes the gradient where it passed the value", function()
    local x = mare.ones(50):requires_grad()
    local y = nn.Dropout(0.5)(x)
    y:sum():backward()
    assert.same(y:totable(), x.grad:totable())
  end)

  it("refuses what is no probability", function()
    refuses("bad argument #1 to 'Dropout' (1.5 is outside 0 to 1)", nn.Dropout, 1.5)
    refuses("bad argument #1 to 'Dropout' (number expected, got string)", nn.Dropout, "half")
  end)
end)

-- -- activations ------------------------------------------------------------------------------

-- torch.nn.NAME(...)(x) in f64
local at = { -2.5, -1, -0.3, 0, 0.4, 1, 2.6 }
local activations = {
  { nn.ReLU(), 0, 0, 0, 0, 0.4, 1, 2.6 },
  { nn.ReLU6(), 0, 0, 0, 0, 0.4, 1, 2.6 },
  { nn.LeakyReLU(0.1), -0.25, -0.1, -0.03, 0, 0.4, 1, 2.6 },
  { nn.ELU(), -0.9179150014, -0.6321205588, -0.2591817793, 0, 0.4, 1, 2.6 },
  { nn.SELU(), -1.613785759, -1.111330738, -0.4556673154, 0, 0.4202803949, 1.050700987,
    2.731822567 },
  { nn.CELU(2), -1.426990406, -0.7869386806, -0.2785840471, 0, 0.4, 1, 2.6 },
  { nn.GELU(), -0.01552416331, -0.1586552539, -0.1146265733, 0, 0.2621686966, 0.8413447461,
    2.587880911 },
  { nn.GELUTanh(), -0.01508426609, -0.1588080094, -0.1146290765, 0, 0.2621611694,
    0.8411919906, 2.588346082 },
  { nn.SiLU(), -0.1896454501, -0.2689414214, -0.127667245, 0, 0.239475064, 0.7310585786,
    2.420240107 },
  { nn.Hardswish(), -0.2083333333, -0.3333333333, -0.135, 0, 0.2266666667, 0.6666666667,
    2.426666667 },
  { nn.Mish(), -0.1968162039, -0.3034014614, -0.1511331771, 0, 0.2890305341, 0.8650983883,
    2.575261622 },
  { nn.Sigmoid(), 0.07585818002, 0.2689414214, 0.4255574832, 0.5, 0.5986876601, 0.7310585786,
    0.9308615797 },
  { nn.LogSigmoid(), -2.578889734, -1.313261688, -0.8543552445, -0.6931471806, -0.5130152524,
    -0.3132616875, -0.07164469197 },
  { nn.Tanh(), -0.9866142982, -0.761594156, -0.2913126125, 0, 0.3799489623, 0.761594156,
    0.9890274022 },
  { nn.Hardtanh(-2, 0.5), -2, -1, -0.3, 0, 0.4, 0.5, 0.5 },
  { nn.Hardtanh { hi = 0.5, lo = -2 }, -2, -1, -0.3, 0, 0.4, 0.5, 0.5 },
  { nn.Tanhshrink(), -1.513385702, -0.238405844, -0.008687387548, 0, 0.02005103774,
    0.238405844, 1.610972598 },
  { nn.Hardshrink(), -2.5, -1, 0, 0, 0, 1, 2.6 },
  { nn.Softshrink(), -2, -0.5, 0, 0, 0, 0.5, 2.1 },
  { nn.Softsign(), -0.7142857143, -0.5, -0.2307692308, 0, 0.2857142857, 0.5, 0.7222222222 },
  { nn.Softplus(2), 0.003357674245, 0.06346400552, 0.2187439752, 0.3465735903, 0.585550333,
    1.063464006, 2.602750702 },
  { nn.Threshold(0.2, -1), -1, -1, -1, -1, 0.4, 1, 2.6 },
}

describe("activations", function()
  for _, case in ipairs(activations) do
    it(tostring(case[1]):match "^%a+%d?" .. " has PyTorch's values", function()
      near_list(table.move(case, 2, #case, 1, {}), case[1](f64(at)), 1e-8)
    end)
  end

  it("are modules of the operations of the same rows", function()
    local count = 0
    for name, class in pairs(require "mare.nn.activations") do
      if class._params then
        count = count + 1
        local m = class()
        assert.equal(name, m:describe():match "^%w+")
        assert.same({ 7 }, m(f64(at)).shape)
      end
    end
    assert.is_true(count >= 30, count)
  end)

  it("take parameters in their order or by name, and refuse others", function()
    assert.equal("Hardtanh(-1, 3)", tostring(nn.Hardtanh { hi = 3 }))
    assert.equal(0.2, nn.LeakyReLU(0.2).slope)
    refuses("bad argument #1 to 'ReLU' (it has no parameters)", nn.ReLU, 1)
    refuses("bad argument #2 to 'LeakyReLU' (1 parameter at most)", nn.LeakyReLU, 1, 2)
    refuses("bad argument #1 to 'LeakyReLU' (unknown option 'slop'; did you mean 'slope'? known: slope)",
      nn.LeakyReLU, { slop = 1 })
    refuses("bad argument #1 to 'LeakyReLU' (number expected, got string)", nn.LeakyReLU, "a")
    refuses("bad argument #1 to 'relu' (tensor or number expected, got string)", nn.ReLU(), "a")
  end)

  it("PReLU learns its slopes", function()
    local m = nn.PReLU()
    local y = m(mare.tensor { -2, 3 })
    near_list({ -0.5, 3 }, y:detach())
    y:sum():backward()
    near_list({ -2 }, m.weight.grad)
    local wide = nn.PReLU(3, 0.5)
    assert.same({ 2, 3, 4, 5 }, wide(mare.randn(2, 3, 4, 5)).shape)
    near_list({ -0.5, -1, -1.5 }, wide(mare.tensor { { -1, -2, -3 } }):detach())
  end)

  it("RReLU draws slopes in training and averages in evaluation", function()
    local m, x = nn.RReLU(0.1, 0.3), mare.full({ 1000 }, -1)
    local y = m(x)
    assert.is_true(y:max():item() <= -0.1 and y:min():item() >= -0.3)
    assert.near(-0.2, y:mean():item(), 0.02)
    near_list({ -0.4, 2 }, m:eval()(mare.tensor { -2, 2 }), 1e-6)
    refuses("bad argument #2 to 'RReLU' (0.1 is below 0.2)", nn.RReLU, 0.2, 0.1)
  end)

  it("CReLU, GLU and Maxout work along a dimension", function()
    near_list({ 0, 2, 1, 0 }, nn.CReLU()(mare.tensor { { -1, 2 } }))
    -- torch.nn.GLU()([[1, 2, -1, 0.5]])
    near_list({ 0.2689414214, 1.244918662 }, nn.GLU()(f64 { { 1, 2, -1, 0.5 } }))
    near_list({ 2, 7 }, nn.Maxout(2)(mare.tensor { { 1, 2, 7, -3 } }))
    refuses("Maxout(3): dimension -1 of the input is 4, no multiple of 3 (shape 1x4)",
      nn.Maxout(3), mare.rand(1, 4))
    refuses("GLU: dimension -1 of the input is 3, no multiple of 2 (shape 3)", nn.GLU(),
      mare.rand(3))
  end)

  it("Softmax, LogSoftmax and Softmin work over the last dimension or a given one", function()
    local x = f64 { { 1, 2, 3 }, { 0, 0, 0 } }
    near_list({ 1, 1 }, nn.Softmax()(x):sum(2))
    near_list({ 1, 1, 1 }, nn.Softmax(1)(x):sum(1))
    near_list({ 0.0900305732, 0.2447284711, 0.6652409558, 1 / 3, 1 / 3, 1 / 3 }, nn.Softmax()(x))
    near_list({ 0.0900305732, 0.2447284711, 0.6652409558, 1 / 3, 1 / 3, 1 / 3 },
      nn.LogSoftmax()(x):exp())
    near_list({ 0.6652409558, 0.2447284711, 0.0900305732 }, nn.Softmin()(x)[1])
    assert.equal("Softmax(1)", tostring(nn.Softmax(1)))
    refuses("Softmax: tensor expected, got number", nn.Softmax(), 3)
  end)
end)

-- -- initial values ------------------------------------------------------------------------------

describe("nn.init", function()
  local function filled(fill, shape)
    mare.seed(5)
    local t = mare.empty(shape or { 200, 100 }, "f64")
    assert.equal(t, fill(t))
    return t
  end

  local function spread(fill, std, shape)
    local t = filled(fill, shape)
    assert.near(std, t:std():item(), 0.03 * std)
    assert.near(0, t:mean():item(), 0.03 * std)
    return t
  end

  it("fills with the spread that each promises", function()
    local init = nn.init
    spread(init.normal(0.01), 0.01)
    spread(init.normal, 1)
    assert.near(3, filled(init.normal(0.1, 3)):mean():item(), 0.01)
    spread(init.uniform(2), 2 / math.sqrt(3))
    local between = filled(init.uniform(1, 3))
    assert.is_true(between:min():item() >= 1 and between:max():item() < 3)
    spread(init.xavier_uniform(), math.sqrt(2 / 300))
    spread(init.xavier_normal(2), 2 * math.sqrt(2 / 300))
    spread(init.kaiming_uniform(), math.sqrt(2 / 100))
    spread(init.kaiming_uniform(0, "out"), math.sqrt(2 / 200))
    spread(init.kaiming_normal(math.sqrt(5)), math.sqrt(1 / 300))
    spread(init.lecun_normal, math.sqrt(1 / 100))
    spread(init.kaiming_normal(), math.sqrt(2 / (10 * 9)), { 200, 10, 3, 3 })
    assert.equal(1, filled(init.ones):min():item())
    assert.equal(0, filled(init.zeros):max():item())
    assert.equal(0.25, filled(init.constant(0.25)):max():item())
  end)

  it("trunc_normal stays inside its cut", function()
    local t = filled(nn.init.trunc_normal(0.5))
    assert.is_true(t:abs():max():item() <= 1)
    assert.near(0.5 * 0.8796, t:std():item(), 0.01) -- of a normal one cut at 2
  end)

  it("orthogonal has orthonormal rows or columns", function()
    for _, shape in ipairs { { 5, 8 }, { 8, 5 }, { 6, 6 }, { 4, 3, 2 } } do
      local t = filled(nn.init.orthogonal(2), shape):reshape(shape[1], -1)
      if t:size(1) > t:size(2) then t = t:t() end
      local want = mare.eye(t:size(1), "f64") * 4
      assert.near(0, (t:matmul(t:t()) - want):abs():max():item(), 1e-12)
    end
  end)

  it("fills at once when it is given a tensor, also a parameter", function()
    local m = nn.Linear(3, 4)
    assert.equal(m.weight, nn.init.constant(m.weight, 2))
    assert.equal(2, m.weight:detach():min():item())
    assert.is_true(m.weight.is_tracked)
    m:apply(function(layer) nn.init.zeros(layer.bias) end)
    assert.equal(0, m.bias:detach():max():item())
  end)

  it("gives the same numbers for the same seed", function()
    mare.seed(9)
    local a = nn.Linear(5, 5)
    mare.seed(9)
    local b = nn.Linear(5, 5)
    assert.same(a.weight:totable(), b.weight:totable())
  end)

  it("refuses what it cannot fill", function()
    refuses("bad argument #1 to 'normal' (tensor expected, got table)", nn.init.normal(1), {})
    refuses("bad argument #1 to 'xavier_normal' (tensor of two or more dimensions expected, "
      .. "got shape 3)", nn.init.xavier_normal, mare.zeros(3))
    refuses("bad argument #3 to 'kaiming_normal' ('in' or 'out' expected, got fan_in)",
      nn.init.kaiming_normal, mare.zeros(3, 3), 0, "fan_in")
    refuses("bad argument #2 to 'kaiming_normal' ('in' or 'out' expected, got fan_in)",
      nn.init.kaiming_normal(0, "fan_in"), mare.zeros(3, 3))
    refuses("bad argument #3 to 'uniform' (1 is outside 2 to inf)", nn.init.uniform,
      mare.zeros(3), 2, 1)
    refuses("bad argument #1 to 'uniform' (-2 is outside 0 to inf)", nn.init.uniform(-2),
      mare.zeros(3))
    refuses("bad argument #1 to 'zeros' (f32 or f64 tensor expected, got i64)", nn.init.zeros,
      mare.zeros({ 3 }, "i64"))
  end)
end)
