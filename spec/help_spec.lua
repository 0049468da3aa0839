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
    says("Tensor", "Tensor.sum")
  end)

  it("suggests the nearest names", function()
    says("sigmiod", "nothing is named 'sigmiod'", "mare.sigmoid")
    says("crossentropy", "cross_entropy")
    says("nosuch", "nothing is named 'nosuch'; near it:\n  ")
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

-- What a block of code takes as given, by the name that it explains; no block of these
-- reads or writes files.
local columns = mare.tensor({ { 1 }, { 2 }, { 3 }, { 1 } }, "i64")
local given = {
  ["mare.nn.Sequential"] = { x = mare.ones(4, 2) },
  ["mare.data.OneHot"] = { train = columns, test = columns },
  ["mare.data.lags"] = { counts = mare.arange(1, 30) },
  ["mare.train.evaluate"] = { train = mare.train, test = mare.data.digits(),
    model = mare.nn.Linear(64, 10), print = function() end },
}

describe("a block of code", function()
  for _, entry in ipairs(index) do
    for code in (entry.text or ""):gmatch "```%l*\n(.-)```" do
      it("of " .. entry.path .. " is Lua" .. (given[entry.path] and " and runs" or ""), function()
        local env = givens()
        for name, value in pairs(given[entry.path] or {}) do env[name] = value end
        local f = assert(load(code, "=example", "t", env))
        if given[entry.path] then f() end
      end)
    end
  end
end)
