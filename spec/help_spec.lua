-- help_spec.lua -- every public name is documented, help finds it, and the examples in the
-- documentation do what they say.

local mare = require "mare"
local doc = require "mare.doc"
local help = mare.help

local index = doc.index()

describe("documentation", function()
  for _, part in ipairs(doc.parts()) do
    it("covers " .. part, function()
      local bare, n = {}, 0
      for _, entry in ipairs(index) do
        if entry.part == part then
          n = n + 1
          if not entry.text or #entry.text < 4 then bare[#bare + 1] = entry.path end
        end
      end
      assert.is_true(n > 0)
      assert.equal("", table.concat(bare, " "))
    end)
  end

  it("knows every public name", function()
    local known = {}
    for _, entry in ipairs(index) do known[entry.path] = true end
    for _, part in ipairs { "nn", "loss", "optim", "schedule", "metrics", "data", "linalg", "plot", "train" } do
      for name in pairs(mare[part]) do
        if not name:find "^_" and name ~= "rows" and not known["mare." .. part .. "." .. name] then
          assert.equal("init", name)
        end
      end
    end
    for name in pairs(require "mare.core".methods) do assert.is_true(known["Tensor." .. name], name) end
  end)
end)

describe("help", function()
  local function says(name, ...)
    local text = help.text(name)
    for _, what in ipairs { ... } do assert.truthy(text:find(what, 1, true), text) end
    return text
  end

  it("tells of the methods of data sets, frames and modules, and of mare.mpi", function()
    says("batches", "Dataset:batches(opts)\n", "prefetch: how many batches")
    says("Dataset.shard", "Dataset:shard(rank, shards)\n", "a weight for the loss")
    says("Estimator:partial_fit", "Estimator:partial_fit(x, y, opts)\n")
    says("Classifier:predict_proba", "Classifier:predict_proba(x)\n")
    says("Optimizer:load_state", "Optimizer:load_state(state)\n")
    assert.is_nil(help.text "Estimator":find("cached", 1, true))
    says("kfold", "Dataset:kfold(k, opts)\n")
    says("Frame:dropna", "Frame:dropna(list)\n")
    says("Module:summary", "Module:summary(...)\n", "shape of each layer's output")
    says("mpi.allreduce", "mare.mpi.allreduce(v, op)\n", "The sum over all ranks")
    says("mpi.distribute", "mare.mpi.distribute(target, opts)\n", "communicating")
    local bare = {}
    for _, entry in ipairs(doc.methods()) do
      if #entry.text < 4 then bare[#bare + 1] = entry.path end
    end
    assert.equal("", table.concat(bare, " "))
  end)

  it("tells of optimizers, losses, operations and methods", function()
    says("adam", "mare.optim.adam(params, opts)", "Kingma and Ba", "lr = 0.001", "amsgrad = false")
    says("sum", "mare.sum")
    says("cross_entropy", "mare.loss.cross_entropy(logits, target, opts)", "label_smoothing")
    says("Tensor.reshape", "x:reshape(shape ...)\n", "he same elements in another shape")
    says("x:reshape", "x:reshape")
    says("mare.sigmoid", "dy/dx", "logistic")
    says("nn.Linear", "mare.nn.Linear", "(outputs, inputs)")
    says("schedule.cosine", "mare.schedule.cosine(lr, steps, final)", "SGDR")
    says("loss", "mare.loss has ", "mare.loss.huber")
    says("huber", "delta")
    for _, name in ipairs { "Ridge", "ElasticNet", "KMeans", "PCA", "LinearSVM", "LogisticRegression", "Perceptron",
      "LinearRegression", "GaussianClassifier", "NaiveBayes", "HuberRegression", "GaussianMixture" } do
      says(name, "mare.models." .. name, "Setting", "Learned", "mare.models.", "    local m")
    end
    says("Tensor", "Tensor.sum")
  end)

  it("suggests the nearest names", function()
    says("sigmiod", "nothing is named 'sigmiod'", "mare.sigmoid")
    says("crossentropy", "cross_entropy")
    says("nosuch", "nothing is named 'nosuch'; near it:\n  ")
  end)

  it("guesses what a name was meant for, beside others or among methods", function()
    assert.equal("mare.nn.ReLU", help.meant("Relu", "nn"))
    assert.equal("mare.optim.adam", help.meant("Adam", "mare.optim"))
    assert.equal("mare.randn", help.meant("randn", "mare"))
    assert.equal("Module:parameters", help.meant("paramters", "model"))
    assert.is_nil(help.meant("telephone", "nn"))
  end)

  it("searches", function()
    assert.truthy(help.search "Nesterov":find("mare.optim.nadam", 1, true))
    assert.equal("nothing is said about 'qqqq'", help.search "qqqq")
    local _, lines = help.search "e":gsub("\n", "")
    assert.is_true(lines <= 40)
  end)

  it("tells what a variable is", function()
    local env = { m = mare.nn.Linear(2, 3), f = mare.relu, x = mare.ones(2) }
    assert.truthy(help.text("m", env):find("mare.nn.Linear", 1, true))
    assert.truthy(help.text("f", env):find("mare.relu", 1, true))
    assert.truthy(help.text("x", env):find("f32 tensor of shape 2", 1, true))
  end)

  it("prints in plain Lua and refuses what is no name", function()
    local lua = os.getenv "LUA" or "lua5.4"
    local pipe = io.popen(lua .. [[ -e 'require "mare".help "sigmoid"']])
    assert.truthy(pipe:read "a":find "^mare%.sigmoid%(x%)\n")
    pipe:close()
    assert.has_error(function() help.text(3) end)
  end)
end)

-- -- examples -----------------------------------------------------------------------------------

-- What examples take as given.
local function givens()
  local env = { mare = mare, x = mare.arange(1, 6):reshape(2, 3) }
  for _, part in ipairs { "nn", "loss", "optim", "schedule", "metrics", "data", "linalg", "plot" } do
    env[part] = mare[part]
  end
  return setmetatable(env, { __index = _G })
end

local function shown(v)
  if math.type(v) == "float" then return require "mare.print".number(v, "f64") end
  return tostring(v)
end

local function agree(got, want)
  if tonumber(got) and tonumber(want) then
    return math.abs(tonumber(got) - tonumber(want)) <= 1e-6 * math.max(1, math.abs(tonumber(want)))
  end
  return got == want
end

describe("an example", function()
  local count = 0
  for _, entry in ipairs(index) do
    for code, want in (entry.text or ""):gmatch "`([^`\n]-)%s*%-%->%s*([^`\n]-)%s*`" do
      count = count + 1
      it(("of %s: %s"):format(entry.path, code), function()
        local env = givens()
        local head, tail = code:match "^(.*%S)%s%s+(%S.*)$"
        local f = load("return " .. code, "=example", "t", env)
        if not f and head then f = load(head:gsub("%s%s+", "\n") .. "\nreturn " .. tail, "=example", "t", env) end
        assert.truthy(f, code)
        local got = shown((f()))
        assert.is_true(agree(got, want), ("%s, not %s"):format(got, want))
      end)
    end
  end

  it("stands in many places", function() assert.is_true(count > 20, tostring(count)) end)
end)

describe("an example in a line, without a result", function()
  it("is Lua", function()
    local bad, count = {}, 0
    for _, entry in ipairs(index) do
      for code in (entry.text or ""):gsub("```.-```", ""):gmatch "`([^`\n]+)`" do
        if code:find "[(={:]" and not code:find "%-%->" then
          count = count + 1
          local lines = code:gsub("%s%s+", "\n")
          if not (load("return " .. code) or load(code) or load(lines)) then
            bad[#bad + 1] = entry.path .. ": " .. code
          end
        end
      end
    end
    assert.equal("", table.concat(bad, "\n"))
    assert.is_true(count > 60, tostring(count))
  end)
end)

-- -- blocks of code, run in a folder of their own ---------------------------------------------

local lfs = require "lfs"

-- Where the blocks read and write; made before the first, gone after the last.
local folder, home

local function quiet() end

local function classes(n) return mare.arange(0, n - 1, "i64") % 2 + 1 end

-- What a block takes as given, by the name that it explains.
local given = {}

given["mare.nn.Sequential"] = function() return { x = mare.ones(4, 2) } end
given["mare.data.OneHot"] = function()
  local columns = mare.tensor({ { 1 }, { 2 }, { 3 }, { 1 } }, "i64")
  return { train = columns, test = columns }
end
given["mare.models.OneHot"] = given["mare.data.OneHot"]
given["mare.data.lags"] = function() return { counts = mare.arange(1, 30) } end
given["mare.load"] = function()
  local some = { w = mare.ones(3) }
  assert(mare.save("w.safetensors", some))
  assert(mare.save("large.safetensors", some))
  return { bytes = mare.save(nil, some) }
end
given["mare.save"] = function() return { w = mare.ones(3), b = mare.zeros(1) } end
given["mare.nn.load"] = function()
  local function build() return mare.nn.Sequential { mare.nn.Linear(2, 1) } end
  assert(build():save "m.safetensors")
  return { build = build }
end
given["mare.train.evaluate"] = function()
  return { train = mare.train, test = mare.data.digits(), model = mare.nn.Linear(64, 10) }
end
given["mare.train.fit"] = function()
  lfs.mkdir "run"
  local data = mare.data.digits():split(64)
  return { model = mare.nn.Linear(64, 10), train = data, test = data }
end
given["mare.data.libsvm"] = function()
  for _, name in ipairs { "a9a.txt", "a9a.t" } do
    local f <close> = assert(io.open(name, "w"))
    f:write("+1 3:1 11:1 123:1\n-1 5:1 7:1\n")
  end
end
given["mare.progress.new"] = function() return { progress = mare.progress, loss = 0.5 } end

-- Data for the kinds of estimators: x (40, 2), y, and as train, test, other ...
local function for_estimator(class)
  local x = mare.randn(40, 2, "f64")
  local y = class.kind == "regressor" and x:sum(2) or classes(40)
  if class.kind ~= "regressor" then x = x + 3 * y:to "f64":unsqueeze(2) end
  local data = mare.data.dataset(x, y)
  local batches = data:batches { size = 20 }
  return { x = x, y = y, train = data, test = data, other = x, rows = x, x1 = x, y1 = y, x2 = x, y2 = y,
    batches = batches }
end

-- The blocks of a text: between ``` or, in the words on an estimator, indented.
local function blocks(entry)
  local list, text = {}, entry.text or ""
  for code in text:gmatch "```%l*\n(.-)```" do list[#list + 1] = code end
  local last -- the indented paragraph before this one
  for paragraph in (entry.part == "mare.models" and text .. "\n\n" or ""):gmatch "(.-)\n%s*\n" do
    local indented = paragraph:find "^    "
    if indented and last then list[#list] = list[#list] .. "\n\n" .. paragraph
    elseif indented and paragraph:find "mare%." then list[#list + 1] = paragraph end
    last = indented
  end
  return list
end

describe("a block of code", function()
  setup(function()
    folder, home = os.tmpname(), lfs.currentdir()
    os.remove(folder)
    assert(lfs.mkdir(folder))
  end)
  teardown(function() os.execute(("rm -r '%s'"):format(folder)) end)
  local out
  before_each(function()
    assert(lfs.chdir(folder))
    out, io.stdout = io.stdout, io.tmpfile() -- luacheck: ignore
  end)
  after_each(function()
    io.stdout = out -- luacheck: ignore
    assert(lfs.chdir(home))
  end)

  local count = 0
  for _, entry in ipairs(index) do
    for k, code in ipairs(blocks(entry)) do
      count = count + 1
      it(("%d of %s runs"):format(k, entry.path), function()
        local env = givens()
        env.print, env.io = quiet, setmetatable({ write = quiet }, { __index = io })
        local make = given[entry.path] or (entry.part == "mare.models" and for_estimator)
        for name, value in pairs(make and make(entry.value) or {}) do env[name] = value end
        mare.seed(1)
        assert(load(code, "=example", "t", env))()
      end)
    end
  end

  it("stands in many places", function() assert.is_true(count > 30, tostring(count)) end)
end)
