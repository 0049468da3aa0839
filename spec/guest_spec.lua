-- guest_spec.lua -- hosts are not the lua5.4 program.  One may have set any locale: what is
-- written where numbers have a comma is read where they have a point, and the other way round.
-- One may give its scripts few libraries, and files under names of its own.

local support = require "spec.support"

local run = support.run
local lua = os.getenv "LUA" or "lua5.4"
local folder = os.tmpname()
os.remove(folder)

-- Writes in the first locale of each pair and reads in the second; `dir` is a folder.
local script = [[
  local dir = ...
  local mare, json = require "mare", require "mare.json"
  local iris, nn = mare.data.iris(), mare.nn
  local x = iris.x
  local cases = {}

  function cases.estimator(there, back)
    local m = mare.models.NaiveBayes { var_smoothing = 1.5e-9 }:fit(x, iris.y)
    there(function() assert(m:save(dir .. "/m")) end)
    return back(function() return assert(mare.models.load(dir .. "/m")).var_smoothing == 1.5e-9 end)
  end

  function cases.network(there, back)
    local m = nn.Sequential { nn.Linear(4, 5), nn.Dropout(0.25), nn.LeakyReLU(0.125) }
    there(function() assert(m:save(dir .. "/m")) end)
    return back(function() return tostring(assert(nn.load(dir .. "/m"))) == tostring(m) end)
  end

  function cases.json(there, back)
    local text = there(function() return json.encode { 0.5, 1e-7 } end)
    return back(function() return json.decode(text)[1] == 0.5 end)
  end

  function cases.csv(there, back)
    there(function() assert(mare.data.frame { a = { 0.5, 1.25 } }:csv(dir .. "/f")) end)
    return back(function() return mare.data.csv(dir .. "/f"):tensor { "a" }[{ 2, 1 }]:item() == 1.25 end)
  end

  function cases.training(there, back)
    local function fit(epochs)
      mare.seed(1)
      local m = nn.Linear(4, 3)
      mare.train.fit(m, { data = iris, loss = mare.loss.cross_entropy, epochs = epochs,
        optimizer = mare.optim.adam(m:parameters(), { lr = 0.01 }), checkpoint = dir .. "/ck",
        schedule = mare.schedule.cosine(0.01, 300), progress = false, resume = true })
      return m.weight
    end
    local once = fit(3)
    os.execute("rm " .. dir .. "/ck*")
    there(fit, 2)
    return back(fit, 3):eq(once):all():item() == 1
  end

  local function inside(locale)
    return function(f, ...)
      assert(os.setlocale(locale), locale)
      return f(...)
    end
  end
  local comma, point = inside "de_DE.UTF-8", inside "C"
  for name, f in pairs(cases) do
    for _, pair in ipairs { { comma, point }, { point, comma }, { comma, comma } } do
      local ok, same = pcall(f, pair[1], pair[2])
      print(name, ok and same or "failed: " .. tostring(same))
      os.execute("rm -f " .. dir .. "/ck*")
    end
  end
]]

describe("a locale with a decimal comma", function()
  local there
  setup(function()
    os.execute("mkdir -p " .. folder .. "/data")
    there = select(2, run("localedef -i de_DE -f UTF-8 " .. folder .. "/de_DE.UTF-8"))
    local file = assert(io.open(folder .. "/script.lua", "w"))
    file:write(script)
    file:close()
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  it("changes nothing in what is written and read", function()
    if not there then pending "localedef cannot make de_DE (Debian: locales)" return end
    local text = run(("LOCPATH='%s' %s '%s/script.lua' '%s/data'"):format(folder, lua, folder, folder))
    local count = 0
    for name, what in text:gmatch "(%a+)\t([^\n]*)\n" do
      support.demand(what == "true", "%s: %s", name, what)
      count = count + 1
    end
    support.demand(count == 15, "%s", text)
  end)
end)

-- What lua5.4 prints for a script in a state without some libraries, and whether it ended well.
local function without(libraries, text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  for name in libraries:gmatch "%a+" do
    file:write(("%s, package.loaded.%s = nil, nil "):format(name, name))
  end
  file:write(text)
  file:close()
  local out, ok = run(lua .. " " .. path)
  os.remove(path)
  return (out:gsub(path, "script")), ok
end

describe("a state without debug, io, os and utf8", function()
  it("learns, saves and loads", function()
    local path = os.tmpname()
    local text, ok = without("debug io os utf8", ([[
      local mare = require "mare"
      local nn = mare.nn
      local digits = assert(mare.data.digits())
      local model = nn.Sequential { nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10) }
      mare.train.fit(model, { data = digits, loss = mare.loss.cross_entropy, epochs = 3,
        optimizer = mare.optim.adam(model:parameters(), { lr = 0.01 }), progress = false })
      assert(model:save "%s")
      local again = assert(nn.load "%s")
      local x = digits.x
      assert(mare.no_grad(function() return again(x):eq(model(x)):all():item() end) == 1)
      local m = mare.models.NaiveBayes { kind = "multinomial" }:fit(x, digits.y)
      print(m:score(x, digits.y) > 0.8, mare.hessian(function(v) return v:exp():sum() end, x[1]).shape[2])
    ]]):format(path, path))
    os.remove(path)
    support.demand(ok and text == "true\t64\n", "%s", text)
  end)

  it("has errors at the script's line", function()
    local text = without("debug", "\n\nrequire 'mare'.loss.mse(1, 2)")
    support.demand(text:find "script:3: bad argument #1 to 'mse'", "%s", text)
  end)
end)

describe("modules that a host loads from strings", function()
  it("work under any chunk name", function()
    local text, ok = without("", [[
      table.insert(package.searchers, 2, function(name)
        local path = package.searchpath(name, package.path)
        if not path or not name:find "^mare" then return nil end
        local file = io.open(path)
        local source = file:read "a"
        file:close()
        return assert(load(source, "=" .. name))
      end)
      local mare = require "mare"
      assert(#mare.data.iris() == 150)
      local model = mare.nn.Linear(2, 1)
      print(model(mare.ones(3, 2)).shape[1], pcall(mare.loss.mse, 1, 2))
    ]])
    support.demand(ok and text:find "^3\tfalse\t.*bad argument #1 to 'mse'", "%s", text)
  end)
end)
