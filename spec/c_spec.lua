-- c_spec.lua -- networks in programs in C without Lua (src/mare.h): results are those of the
-- module, bit for bit, also from eight threads at once; what is said of files that are wrong;
-- nothing is left behind.  spec/c/run.c and oom.c are linked without Lua, beside.c with it.

local mare = require "mare"
local json = require "mare.json"
local support = require "spec.support"

local nn, demand, bytes_of = mare.nn, support.demand, support.read
local module = assert(package.searchpath("mare.core", package.cpath))
local programs = module:gsub("mare/core%.so$", "c/")
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p " .. folder)

teardown(function() os.execute("rm -r " .. folder) end)

local function write(name, bytes)
  return support.write(folder .. "/" .. name, bytes)
end

--- The answers of spec/c/run.c to a list of commands.
local function answers(commands)
  local input = write("commands", table.concat(commands, "\n") .. "\n")
  local pipe = assert(io.popen(programs .. "run < " .. input))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  local ok, _, code = pipe:close()
  demand(ok, "spec/c/run ended with %s after: %s", tostring(code), tostring(list[#list]))
  return list
end

local types = { f32 = 0, f64 = 1, i64 = 2, u8 = 3 }

-- -- the same numbers ------------------------------------------------------------------------

--- Every tensor of a model to numbers that differ; variances are above 0.
local function scatter(model)
  for name, t in pairs(model:state()) do
    t:copy_(mare.randn(t.shape, t.dtype):mul_(0.5))
    if name:find "running_var" then t:abs_():add_(0.1) end
  end
  return model:eval()
end

-- What, a sample's shape, its layers.
local cases = {
  { "a perceptron", { 20 }, { nn.Linear(20, 33), nn.ReLU(), nn.Linear(33, 5), nn.Softmax() } },
  { "one layer alone", { 7 }, nn.Linear(7, 3, { bias = false }) },
  { "784-256-10", { 784 }, { nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10) } },
  { "Sequentials in each other", { 6 },
    { nn.Sequential { nn.Linear(6, 4), nn.Sequential { nn.Tanh() } }, nn.Identity(), nn.Dropout(0.3),
      nn.Sequential {}, nn.Linear(4, 4), nn.LogSoftmax() } },
  { "rows of sequences", { 5, 8 }, { nn.Linear(8, 6), nn.Softmin(), nn.LayerNorm(6), nn.Softmax(2) } },
  { "learned slopes", { 3, 4, 5 }, { nn.PReLU(3), nn.PReLU(1), nn.Flatten(), nn.PReLU(60), nn.RReLU() } },
  { "halves", { 3, 8 }, { nn.CReLU(), nn.GLU(2 + 1), nn.Maxout(4), nn.CReLU(2) } },
  { "views", { 2, 3, 4 }, { nn.Flatten(2, 3), nn.Abs(), nn.Reshape(4, -1), nn.Reshape { 24 } } },
  { "norms of rows", { 4, 6 }, { nn.LayerNorm({ 4, 6 }), nn.RMSNorm(6), nn.LayerNorm(6, { affine = false }),
    nn.LayerNorm(6, { bias = false, eps = 0.1 }), nn.RMSNorm({ 4, 6 }, { affine = false }) } },
  { "norms of batches", { 6 }, { nn.BatchNorm1d(6), nn.Linear(6, 4), nn.BatchNorm1d(4, { affine = false }) } },
  { "norms of channels", { 6, 9 }, { nn.BatchNorm1d(6, { eps = 0.01 }), nn.GroupNorm(3, 6),
    nn.GroupNorm(2, 6, { affine = false }) } },
  { "images", { 3, 13, 11 }, { nn.Conv2d(3, 6, 3, { padding = 1 }), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool(2),
    nn.Conv2d(6, 4, { 3, 2 }, { stride = { 2, 1 }, groups = 2, bias = false }), nn.AvgPool(2), nn.Flatten(),
    nn.Linear(8, 3) } },
  { "pools", { 2, 12, 15 }, { nn.AvgPool(3, { stride = 2, padding = 1 }), nn.MaxPool({ 2, 3 }, { padding = 1,
    dilation = { 1, 2 } }), nn.AvgPool({ 2, 1 }), nn.AdaptiveAvgPool({ 2, 3 }), nn.AdaptiveAvgPool(1) } },
  { "dilated and transposed", { 4, 9, 8 }, { nn.Conv2d(4, 4, 3, { dilation = 2 }), nn.ConvTranspose2d(4, 6, 3,
    { stride = 2, output_padding = 1, groups = 2 }), nn.ConvTranspose2d(6, 2, 2, { bias = false }) } },
  { "sequences", { 4, 30 }, { nn.Conv1d(4, 8, 5, { stride = 2, padding = 2 }), nn.SELU(), nn.Conv1d(8, 3, 1) } },
  { "shortcuts", { 5, 6, 6 }, { nn.Residual(nn.Sequential { nn.Conv2d(5, 5, 3, { padding = 1 }), nn.ReLU() }),
    nn.Residual(nn.Conv2d(5, 8, 3, { stride = 2, padding = 1 }), nn.Conv2d(5, 8, 1, { stride = 2 })),
    nn.Residual(nn.Residual(nn.Tanh())) } },
  { "noise", { 4, 3, 3 }, { nn.Dropout2d(0.2), nn.AlphaDropout(0.1), nn.GaussianNoise(1) } },
}

local activations = {}
for name in pairs(require "mare.nn.activations") do activations[#activations + 1] = name end
table.sort(activations)
for _, name in ipairs(activations) do
  if not ({ PReLU = 1, RReLU = 1, CReLU = 1, GLU = 1, Maxout = 1 })[name] then
    cases[#cases + 1] = { name, { 67 }, { nn[name]() } }
  end
end
cases[#cases + 1] = { "parameters", { 9 }, { nn.LeakyReLU(0.3), nn.ELU { alpha = 0.5 }, nn.Clamp(-0.5, 0.25),
  nn.Hardtanh { lo = -0.4 }, nn.Softplus(2) } }

local function model_of(layers) return nn.is_module(layers) and layers or nn.Sequential(layers) end

--- A command that runs a model, what the module says, and where the result will be.
local function run_case(i, model, x, type, shape)
  local path, input = ("%s/%d.model"):format(folder, i), write(i .. ".x", x:tobytes())
  assert(model:save(path))
  local y = mare.no_grad(function() return model(x) end)
  local result = ("%s/%d.y"):format(folder, i)
  return ("run %s %s %d %d %d %s %d %s"):format(path, input, x:size(1), types[x.dtype], types[type or y.dtype],
    result, shape and #shape or -1, table.concat(shape or {}, " ")), y, result
end

describe("a network in C without Lua", function()
  for _, dtype in ipairs { "f32", "f64" } do
    it("gives the bits of the module, " .. dtype, function()
      mare.seed(7)
      local commands, want, results = {}, {}, {}
      for i, case in ipairs(cases) do
        local model = scatter(model_of(case[3]):to(dtype))
        local n = case[1] == "784-256-10" and 128 or 3
        local x = mare.randn({ n, table.unpack(case[2]) }, dtype)
        commands[i], want[i], results[i] = run_case(i, model, x, nil, case[2])
      end
      local said = answers(commands)
      for i, case in ipairs(cases) do
        demand(said[i] == "no error", "%s: %s", case[1], tostring(said[i]))
        demand(bytes_of(results[i]) == want[i]:contiguous():tobytes(), "%s: other bits", case[1])
      end
    end)
  end

  it("does so for one sample and for many, cut into pieces", function()
    local model = scatter(nn.Sequential { nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10), nn.Softmax() })
    local commands, want, results = {}, {}, {}
    for i, n in ipairs { 1, 2, 31, 1000 } do
      commands[i], want[i], results[i] = run_case(i, model, mare.randn(n, 784))
    end
    assert.same({ "no error", "no error", "no error", "no error" }, answers(commands))
    for i, y in ipairs(want) do demand(bytes_of(results[i]) == y:tobytes(), "batch %d: other bits", i) end
  end)

  it("takes positions before an Embedding, and only these", function()
    local model = scatter(nn.Sequential { nn.Embedding(11, 4), nn.Flatten(), nn.Linear(12, 2) })
    local good = mare.tensor({ { 1, 11, 3 }, { 7, 7, 2 } }, "i64")
    local wrong = mare.tensor({ { 1, 12, 3 } }, "i64")
    local command, want, result = run_case(1, model, good, nil, { 3 })
    local path, input = folder .. "/1.model", write("wrong", wrong:tobytes())
    local floats = write("floats", mare.ones { 1, 3 }:tobytes())
    assert.same({ "no error", "a bad argument", "a bad argument", "its input is open" }, answers { command,
      ("run %s %s 1 2 0 %s/y 1 3"):format(path, input, folder),
      ("run %s %s 1 0 0 %s/y 1 3"):format(path, floats, folder),
      ("run %s %s 1 0 0 %s/y -1"):format(path, floats, folder) })
    assert.equal(want:tobytes(), bytes_of(result))
  end)

  it("converts what it is given and what it gives", function()
    local model = scatter(nn.Linear(4, 3))
    local bytes = mare.tensor({ { 0, 1, 2, 255 } }, "u8")
    local want = mare.no_grad(function() return model(bytes:to "f32") end)
    assert(model:save(folder .. "/m"))
    assert.same({ "no error" }, answers {
      ("run %s/m %s 1 3 1 %s/y -1"):format(folder, write("x", bytes:tobytes()), folder) })
    assert.equal(want:to "f64":tobytes(), bytes_of(folder .. "/y"))
  end)

  it("knows its shapes, as far as the layers say them", function()
    local function shapes(layers)
      assert(nn.Sequential(layers):save(folder .. "/m"))
      return answers { "shapes " .. folder .. "/m" }[1]
    end
    assert.equal("in 1 784 out 1 10 of 784 to 10 type 0 reads 0 1=Dropout 2=Flatten 3=Linear 4=ReLU 5.1=Linear " ..
      "format=mare", shapes { nn.Dropout(), nn.Flatten(), nn.Linear(784, 256), nn.ReLU(),
      nn.Sequential { nn.Linear(256, 10) } })
    assert.equal("in 3 1 -1 -1 out -1 of -1 to -1 type 0 reads 0 1=Conv2d format=mare", shapes { nn.Conv2d(1, 6, 5) })
    assert.equal("in -1 out -1 of -1 to -1 type 0 reads 2 1=Embedding format=mare", shapes { nn.Embedding(4, 2) })
    assert.equal("in -1 out -1 of -1 to -1 type 0 reads 0 1=ReLU format=mare", shapes { nn.ReLU() })
    assert.equal("in 1 784 out 3 2 26 26 of 784 to 1352 type 0 reads 0 1=Reshape 2=Conv2d format=mare",
      shapes { nn.Reshape(1, 28, 28), nn.Conv2d(1, 2, 3) })
  end)
end)

-- -- what is wrong ---------------------------------------------------------------------------

local function bytes(network, tensors)
  if type(network) == "table" then network = assert(json.encode(network)) end
  return mare.save(nil, tensors or {}, { network = network })
end

local w = { weight = mare.zeros { 2, 3 }, bias = mare.zeros { 2 } }
local deep = ('["Sequential",'):rep(60) .. '["Tanh"]' .. ("]"):rep(60)

-- What is wrong, the bytes, what is said after the path.
local wrong = {
  { "no file of this format", "PK\3\4", "cut off after 4 bytes; 4 more expected" },
  { "no description", mare.save(nil, w, { format = "mare" }), "it does not say what its network is" },
  { "no JSON", bytes '["Linear",3,2', "its description of a network is no JSON at byte 14" },
  { "two texts", bytes '["Tanh"]x', "its description of a network is no JSON at byte 9" },
  { "JSON of a thousand levels", bytes(("["):rep(1000)), "its description of a network is no JSON at byte 102" },
  { "a zero byte", bytes '["Tanh"]\0', "its description of a network is too long or no text" },
  { "a number", bytes "3", "layer : no [name, arguments ...]" },
  { "a layer without name", bytes '["Sequential",[]]', "layer 1: no [name, arguments ...]" },
  { "a layer in a thousand others", bytes(deep),
    "layer 1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1 (Sequential): nested too deep" },
  { "a recurrent layer", nn.Sequential({ nn.Linear(3, 4), nn.LSTM(4, 2) }):save(),
    "layer 2 (LSTM) is not known without Lua" },
  { "attention", nn.Sequential({ nn.TransformerEncoderLayer(4, 2) }):save(),
    "layer 1 (TransformerEncoderLayer) is not known without Lua" },
  { "a function", nn.Sequential({ nn.Linear(3, 4), function(x) return x end }):save(),
    "it does not say what its network is" },
  { "a missing tensor", bytes({ "Linear", 3, 2 }, { weight = w.weight }), "Linear: the file has no tensor 'bias'" },
  { "a tensor of another shape", bytes({ "Linear", 2, 2 }, w), "Linear: tensor 'weight' is 2x3; 2x2 expected" },
  { "a tensor of whole numbers", bytes({ "Linear", 3, 2 }, { weight = w.weight:to "i64", bias = w.bias }),
    "Linear: tensor 'weight' is i64" },
  { "a tensor too many", bytes({ "Linear", 3, 2, { bias = false } }, w), "tensor 'bias' belongs to no layer" },
  { "a size of a half", bytes({ "Linear", 3.5, 2 }, w),
    "Linear: inputs: a whole number from 1 to 2147483647 expected" },
  { "a size below 1", bytes({ "Linear", 0, 2 }, w), "Linear: inputs: a whole number from 1 to 2147483647 expected" },
  { "a size that is no number", bytes({ "Linear", "3", 2 }, w),
    "Linear: inputs: a whole number from 1 to 2147483647 expected" },
  { "a size that is missing", bytes '["Linear",null,2]',
    "Linear: inputs: a whole number from 1 to 2147483647 expected" },
  { "an unknown option", bytes({ "Linear", 3, 2, { biass = false } }, w), "Linear: unknown option 'biass'" },
  { "too many arguments", bytes({ "Linear", 3, 2, { bias = true }, 4 }, w),
    "Linear: 4 arguments; at most 3 are known" },
  { "a slope that is no number", bytes '["LeakyReLU",{"slope":"x"}]', "LeakyReLU: slope: a number expected" },
  { "an unknown parameter", bytes '["ELU",{"alpha":1,"slop":2}]', "ELU: unknown option 'slop'" },
  { "a parameter too many", bytes '["ReLU",1]', "ReLU: 1 arguments; at most 0 are known" },
  { "a parameter besides a table", bytes '["ELU",{"alpha":1},2]', "ELU: 2 arguments; at most 1 are known" },
  { "dimension 0", bytes '["Softmax",0]', "Softmax: there is no dimension 0" },
  { "a window of no size", bytes '["MaxPool"]', "MaxPool: size: a whole number from 1 to 32767 expected" },
  { "a window of three sizes", bytes '["MaxPool",[1,2,3]]', "MaxPool: size: two numbers expected" },
  { "padding that is too wide", bytes '["AvgPool",2,{"padding":2}]',
    "AvgPool: padding is more than half of the window" },
  { "groups that do not divide", bytes '["Conv2d",3,4,1,{"groups":2}]', "Conv2d: 2 groups of 3 and 4 channels" },
  { "means that were not kept", nn.Sequential({ nn.BatchNorm1d(3, { track = false }) }):save(),
    "layer 1 (BatchNorm1d): without running means a result depends on the other samples" },
  { "layers that do not fit", nn.Sequential({ nn.Linear(3, 4), nn.Linear(5, 2) }):save(),
    "layer 2 (Linear): 5 inputs expected, got 4" },
  { "sides that differ", nn.Sequential({ nn.Linear(3, 3), nn.Residual(nn.Linear(3, 4)) }):save(),
    "layer 2 (Residual): its two sides have different shapes" },
  { "a Residual of nothing", bytes '["Residual"]', "Residual: one layer or two expected" },
  { "softmax across samples", nn.Sequential({ nn.Linear(3, 4), nn.Softmax(1) }):save(),
    "layer 2 (Softmax): dimension 1 is not one of a sample" },
  { "positions from a layer", nn.Sequential({ nn.Linear(3, 4), nn.Embedding(3, 4) }):save(),
    "layer 2 (Embedding): a layer before it gives no positions" },
  { "a shape that is not filled", nn.Sequential({ nn.Linear(3, 4), nn.Reshape(3, -1) }):save(),
    "layer 2 (Reshape): 4 numbers do not fill the shape" },
  { "results without end", bytes(json.encode { "Sequential", { "Reshape", 2147483647 }, { "Reshape", -1, 1, 1 },
    { "AdaptiveAvgPool", 32767 }, { "AdaptiveAvgPool", 32767 } }),
    "layer 3 (AdaptiveAvgPool): its result does not fit into memory" },
  { "patches without end", bytes(json.encode { "Sequential", { "Reshape", 2147483647 },
    { "Reshape", 1, 65536, -1 } }), "layer 2 (Reshape): 2147483647 numbers do not fill the shape" },
}

describe("a file that is wrong is refused in C:", function()
  it("each with its reason", function()
    local commands = {}
    for i, case in ipairs(wrong) do commands[i] = "shapes " .. write(i .. ".wrong", case[2]) end
    local said = answers(commands)
    for i, case in ipairs(wrong) do
      local expected = ("%s/%d.wrong: %s"):format(folder, i, case[3])
      demand(said[i] == expected, "%s:\n%s where\n%s is expected", case[1], tostring(said[i]), expected)
    end
    assert.same({ "/nowhere/m: No such file or directory" }, answers { "shapes /nowhere/m" })
  end)

  it("an input that its layers do not take", function()
    local m, x = folder .. "/m", write("x", ("\0"):rep(4))
    assert(nn.Sequential({ nn.Conv2d(2, 3, 3), nn.MaxPool(2) }):save(m))
    local function say(shape) return ("run %s %s 1 0 0 %s/y %s"):format(m, x, folder, shape) end
    assert.same({ "layer 1 (Conv2d): 2 channels expected, got 3",
      "layer 1 (Conv2d): samples of 3 dimensions expected, got 2",
      "layer 1 (Conv2d): its window does not fit into planes of 2x9",
      "layer 2 (MaxPool): its window does not fit into planes of 1x7",
      "the shape of a sample has 0 to 7 sizes from 1 on", "the shape of a sample has 0 to 7 sizes from 1 on",
      "the file has another size", "its input is open",
      "layer 1 (Conv2d): the patches do not fit into memory" },
      answers { say "3 3 9 9", say "2 2 9", say "3 2 2 9", say "3 2 3 9", say "3 2 0 9", say "8 1 1 1 1 1 1 1 1",
        say "3 2 9 9", say "-1", say "3 2 67108864 67108864" })
  end)

  it("an input that is refused leaves the one before", function()
    local known, open = folder .. "/known", folder .. "/open"
    assert(nn.Sequential({ nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2) }):save(known))
    assert(nn.Sequential({ nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(147, 5) }):save(open))
    local commands = {}
    for i, said in ipairs { known .. " 1 5", known .. " 2 0 3", known .. " 2 7 3", open .. " 3 2 8 8",
      open .. " 3 2 9 9" } do
      commands[i] = "refuse " .. said
    end
    assert.same({ "a bad argument1 3 out 1 2 of 2", "a bad argument1 3 out 1 2 of 2",
      "no error2 7 3 out 2 7 2 of 14", "a bad argument3 2 -1 -1 out -1 of -1",
      "no error3 2 9 9 out 1 5 of 5" }, answers(commands))
  end)

  it("cut off or changed anywhere, it does no harm", function()
    local files = { nn.Sequential { nn.Conv2d(1, 2, 3, { padding = 1 }), nn.BatchNorm2d(2), nn.MaxPool(2),
      nn.Flatten(), nn.Linear(32, 4), nn.LeakyReLU(0.5), nn.Reshape(2, -1), nn.GLU() },
      nn.Sequential { nn.Embedding(3, 4), nn.LayerNorm(4), nn.Residual(nn.Linear(4, 4)) } }
    for i, model in ipairs(files) do
      assert(model:save(("%s/%d.good"):format(folder, i)))
      assert.same({ "read" }, answers { ("damage %s/%d.good"):format(folder, i) })
    end
  end)
end)

describe("memory that runs out in C", function()
  it("is a status; nothing is left", function()
    local paths = {}
    for i, model in ipairs { nn.Sequential { nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4),
      nn.AvgPool(3, { stride = 2 }), nn.AdaptiveAvgPool(3), nn.MaxPool(2), nn.Flatten(), nn.Softmin(),
      nn.Linear(4, 2) },
      nn.Sequential { nn.Linear(9, 6), nn.Residual(nn.Linear(6, 6)), nn.RMSNorm(6), nn.Maxout(2) }:to "f64" } do
      paths[i] = ("%s/%d.oom"):format(folder, i)
      assert(model:save(paths[i]))
    end
    local pipe = io.popen(programs .. "oom " .. table.concat(paths, " ") .. " 2>&1")
    assert.equal("nothing is left\n", pipe:read "a")
    assert.is_true(pipe:close())
  end)
end)

describe("a model in C beside Lua", function()
  it("asks nobody whom a call that raised has left behind", function()
    local model = folder .. "/beside"
    assert(nn.Sequential({ nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 2) }):save(model))
    local pipe = io.popen(programs .. "beside " .. model .. " 2>&1")
    assert.equal("0 hooks, 0 differ\n", pipe:read "a")
    assert.is_true(pipe:close())
  end)
end)
