-- hook_spec.lua -- long calls of the engine run the hook of their coroutine, and an error
-- of it ends them: nothing of a half-written result is seen, nothing is lost, and the
-- engine goes on as before.

local mare = require "mare"
local support = require "spec.support"

local demand, fails, live = support.demand, support.fails, support.live
local folder = os.tmpname()

--- Is the hook called in the middle of a call of the engine?
local function inside() return debug.getinfo(3, "S").source == "=mare" end

--- Runs f under a hook that raises `why` the nth time that it is called inside; how often
--- it was, and what pcall gave.
local function interrupted(n, why, f, ...)
  local calls = 0
  debug.sethook(function()
    if inside() then calls = calls + 1 end
    if calls == n then
      debug.sethook()
      error(why, 0)
    end
  end, "", 1000)
  local result = table.pack(pcall(f, ...))
  debug.sethook()
  return calls, table.unpack(result, 1, result.n)
end

--- Calls f under such a hook until it was ended: at the second question, in the middle of
--- its work, or at the first where a fast machine has done with it before the second.
--- `before` is called before each time.
local function until_ended(why, f, before)
  local n, ok, got
  for try = 1, 40 do
    if before then before() end
    n, ok, got = interrupted(try <= 5 and 2 or 1, why, f)
    if not ok then break end
  end
  return n, ok, got
end

setup(function()
  os.remove(folder)
  os.execute("mkdir -p " .. folder)
end)

teardown(function() os.execute("rm -r " .. folder) end)

local function csv()
  local path, line = folder .. "/long.csv", {}
  local f = assert(io.open(path, "w"))
  f:write "a,b,c\n"
  for i = 1, 1000 do line[i] = ("%d,%.3f,text %d\n"):format(i, i / 7, i) end
  line = table.concat(line)
  for _ = 1, 250 do f:write(line) end
  f:close()
  return path
end

local function spd(...)
  local a = mare.randn(...)
  return a:matmul(a:transpose(-2, -1)) + 50 * mare.eye(a.shape[a:dim()])
end

--- Each makes its operands and gives a function that takes at least 50 ms.
local long = {
  ["a product"] = function()
    local a = mare.randn(1300, 1300)
    return function() return a:matmul(a) end
  end,
  ["a product with few results"] = function()
    local a = mare.randn(64, 250000)
    return function() return a:matmul(a:t()) end
  end,
  ["many small products"] = function()
    local a, b = mare.randn(100, 1, 40, 40):expand(100, 60, 40, 40), mare.randn(60, 40, 40)
    return function() return a:matmul(b):matmul(b) end
  end,
  ["element by element"] = function()
    local x = mare.randn(3000000)
    return function() return x:to "f64":erf():tan():atan():tanh() end
  end,
  ["a softmax"] = function()
    local x = mare.randn(6000, 4000)
    return function() return x:softmax(1) end
  end,
  ["sums along columns"] = function()
    local x = mare.randn(6000, 4000)
    return function() return x:var(1), x:argmax(1), x:logsumexp(1) end
  end,
  ["sorting"] = function()
    local x = mare.randn(1000000)
    return function() return x:sort(1) end
  end,
  ["the largest"] = function()
    local x = mare.randn(8000000)
    return function() return x:topk(500) end
  end,
  ["the larger half, in order"] = function()
    local x = mare.randn(3000000)
    return function() return x:topk(1500000) end
  end,
  ["a running sum"] = function()
    local x = mare.randn(16000000)
    return function() return x:cumsum(1) end
  end,
  ["a convolution of one image"] = function()
    local x, conv = mare.randn(1, 8, 600, 600), mare.nn.Conv2d(8, 8, 3)
    return function() return conv(x):detach() end
  end,
  ["random numbers"] = function()
    return function()
      mare.seed(3)
      return mare.randn(16000000)
    end
  end,
  ["a permutation"] = function()
    return function()
      mare.seed(3)
      return mare.randperm(8000000)
    end
  end,
  ["picking rows"] = function()
    local x, index = mare.randn(300000, 32), mare.randint(1, 300000, 2000000)
    return function() return x:index_select(1, index) end
  end,
  ["picking by a mask"] = function()
    local mask = mare.randn(8000000):gt(0)
    return function() return mask:nonzero() end
  end,
  ["a convolution"] = function()
    local x, w = mare.randn(32, 16, 96, 96), mare.randn(32, 16, 3, 3)
    local conv = mare.nn.Conv2d(16, 32, 3)
    conv.weight:detach():copy_(w)
    return function() return conv(x) end
  end,
  ["a triangular system"] = function()
    local a, b = mare.randn(1500, 1500) + 100 * mare.eye(1500), mare.randn(1500, 1500)
    return function() return mare.linalg.solve_triangular(a, b) end
  end,
  ["many eigenvalues"] = function()
    local a = spd(1000, 40, 40)
    return function() return mare.linalg.eigvalsh(a) end
  end,
  ["distances"] = function()
    local x = mare.randn(60000, 40)
    local knn = mare.models.KNN { k = 3, metric = "manhattan" }
    knn:fit(x, mare.randint(1, 3, 60000))
    return function() return knn:predict(x[{ { 1, 60 } }]) end
  end,
  ["centers of rows"] = function()
    local x = mare.randn(60000, 40)
    return function()
      return mare.models.KMeans { k = 40, steps = 20, restarts = 1, seed = 1 }:fit(x).centers
    end
  end,
  ["a table of text"] = function()
    local path = csv()
    return function() return mare.data.csv(path).b end
  end,
  ["a table of numbers"] = function()
    local x = mare.randn(2000000)
    return function() return mare.tensor(x:totable()) end
  end,
  ["a range"] = function()
    return function() return mare.arange(1, 8000000) end
  end,
}

describe("a hook that raises ends", function()
  for name, make in pairs(long) do
    it(name, function()
      mare.seed(1)
      local f, why = make(), { "late" }
      local want = f():tobytes()
      local before = live()
      local n, ok, got = until_ended(why, f)
      demand(not ok and got == why, "%d calls of the hook, then %s", n, tostring(got))
      got = nil -- luacheck: ignore
      demand(live() <= before, "%d bytes are lost", live() - before)
      assert.equal(want, f():tobytes())
    end)
  end

  it("a backward pass, and no gradient is half of one", function()
    local x, w = mare.randn(3000, 1500), mare.randn(1500, 1500):requires_grad()
    local function loss() return x:matmul(w):tanh():square():sum() end
    loss():backward()
    local whole = w.grad:tobytes()
    local why, y = {}, nil
    local _, ok, got = until_ended(why, function() y:backward() end, function()
      w.grad = nil
      y = loss()
    end)
    demand(not ok and got == why, "not interrupted but: %s", tostring(got))
    assert.is_nil(w.grad)
    loss():backward()
    assert.equal(whole, w.grad:tobytes())
  end)

  it("a step of an optimizer, which goes on from where it is", function()
    local w = mare.ones(12000000):requires_grad()
    w:sum():backward()
    local opt = mare.optim.adam({ w }, { lr = 0.1 })
    opt:step()
    local n, ok = 0, true
    for _ = 1, 20 do
      n, ok = interrupted(1, "late", opt.step, opt)
      if not ok then break end
    end
    demand(not ok, "%d calls of the hook", n)
    opt:step()
    demand(w:max():item() < 1, "some were never updated")
  end)

  it("writing and reading a file: nothing is left of it", function()
    local path, x = folder .. "/w.safetensors", mare.randn(24000000)
    local _, ok, got = until_ended("late", function() mare.save(path, { w = x }) end,
      function() assert(mare.save(path, { w = mare.ones(3) })) end)
    assert.is_false(ok)
    assert.equal("late", got)
    assert.same({ 1, 1, 1 }, mare.load(path).w:totable())
    local list = io.popen("ls " .. folder):read "a"
    demand(not list:find("~", 1, true), "a file is left: %s", list)
    assert(mare.save(path, { w = x }))
    _, ok, got = until_ended("late", function() mare.load(path) end)
    assert.is_false(ok)
    assert.equal("late", got)
    os.remove(path)
  end)
end)

describe("a hook inside a call", function()
  local x = mare.randn(1200, 1200)

  --- Calls act() inside, once; true when there was an inside.
  local function act_inside(act)
    local done = false
    for _ = 1, 20 do
      debug.sethook(function()
        if not inside() or done then return end
        done = true
        act()
      end, "", 100)
      local y = x:matmul(x)
      debug.sethook()
      if done then return y end
    end
    error "the hook was not called"
  end

  it("may be one for calls, lines or instructions, of any number", function()
    for mask, count in pairs { c = 0, r = 0, l = 0, [""] = 1, [" "] = 900000 } do
      local calls, start = 0, mare.clock()
      debug.sethook(function() calls = calls + (inside() and 1 or 0) end, mask:gsub(" ", ""), count)
      while calls == 0 and mare.clock() < start + 10 do x:matmul(x) end
      debug.sethook()
      demand(calls > 0, "'%s' %d was never called", mask, count)
    end
  end)

  it("that returns changes nothing", function()
    local want = x:matmul(x):tobytes()
    assert.equal(want, act_inside(function() collectgarbage() end):tobytes())
  end)

  it("cannot use tensors, but the clock and the counters", function()
    local ok, message, closed
    local t = mare.ones(3)
    act_inside(function()
      ok, message = pcall(function() return x + 1 end)
      mare.clock()
      closed = mare.memory().live > 0
      t:close()
    end)
    assert.is_false(ok)
    demand(message:find("a hook that runs inside a long call cannot use tensors", 1, true),
      "%s", message)
    assert.is_true(closed)
    assert.same({ 1, 1, 1 }, t:totable()) -- nothing is closed under a running call
    assert.same({ 2, 2, 2 }, (t + 1):totable())
  end)

  it("sees an error object of any kind raised where the call stands", function()
    for _, why in ipairs { "text", 7, true, { 1 }, print } do
      local ok, got
      for _ = 1, 20 do
        _, ok, got = interrupted(1, why, function() return x:matmul(x) end)
        if not ok then break end
      end
      assert.is_false(ok)
      assert.equal(why, got)
    end
  end)

  it("of a coroutine is its own", function()
    local why = {}
    local co = coroutine.create(function()
      for _ = 1, 20 do x:matmul(x) end
      return "done"
    end)
    debug.sethook(co, function() if debug.getinfo(2, "S").source == "=mare" then error(why, 0) end end, "", 1000)
    local ok, got = coroutine.resume(co)
    assert.is_false(ok)
    assert.equal(why, got)
    co = coroutine.create(function() -- the hook of the main one is not called in it
      for _ = 1, 5 do x:matmul(x) end
      return "done"
    end)
    debug.sethook(co)
    assert.same({ true, "done" }, { coroutine.resume(co) })
  end)

  it("leaves backward written in Lua as it was", function()
    local square = mare.op { name = "guest_square",
      forward = function(a) return a * a end,
      backward = function(g, _, a) return x:matmul(x)[{ 1, 1 }] * 0 + g * a * 2 end }
    local w, why, ok, got = mare.ones(3):requires_grad(), {}, true, nil
    for _ = 1, 20 do
      w.grad = nil
      local y = square(w):sum()
      _, ok, got = interrupted(1, why, y.backward, y)
      if not ok then break end
    end
    demand(not ok and got == why, "not interrupted but: %s", tostring(got))
    assert.is_nil(w.grad)
    square(w):sum():backward()
    assert.same({ 2, 2, 2 }, w.grad:totable())
  end)

  it("that is not there is not asked", function()
    fails(nil, function() x:matmul(mare.ones(3, 3)) end, "do not align")
    assert.equal(x:matmul(x):tobytes(), x:matmul(x):tobytes())
  end)
end)
