-- fork_spec.lua -- processes around the thread pool: children of fork with work to do,
-- states that are closed while workers live, signals that belong to the host.

local mare = require "mare"
local support = require "spec.support"

local demand = support.demand
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p " .. folder)

local cc = os.getenv "CC" or "cc"

--- Runs a command; its output, and whether it succeeded.  Leaks of an interpreter or of
--- a compiler are not the matter here.
local function run(command)
  local pipe = io.popen("ASAN_OPTIONS=detect_leaks=0 " .. command .. " 2>&1")
  local text = pipe:read "a"
  return text, pipe:close()
end

local function compile(line)
  local text, ok = run(("%s -std=gnu11 -O2 %s"):format(cc, line))
  demand(ok, "%s", text)
end

--- Where lua.h is, as the Makefile finds it.
local function include()
  for _, dir in ipairs { "/usr/include/lua5.4", "/usr/include/lua/5.4",
    "/usr/local/include/lua5.4", "/usr/local/include", "/usr/include" } do
    local f = io.open(dir .. "/lua.h")
    if f then f:close() return dir end
  end
end

local helper

setup(function()
  compile(("-shared -fPIC -I%s -o %s/forkhelper.so spec/fork/fork.c"):format(include(), folder))
  helper = assert(package.loadlib(folder .. "/forkhelper.so", "luaopen_forkhelper"))()
end)

teardown(function() os.execute("rm -r " .. folder) end)

--- Work that is cut into pieces; its bits as a short string.
local function work()
  mare.seed(5)
  local x = mare.randn(400, 500)
  local p = mare.randperm(100000)
  local y = x:matmul(x:t()):softmax(2) + x:sum(2):exp()
  return ("%a %a %d"):format(y:sum():item(), y[{ 17, 300 }]:item(), p[77777]:item())
end

local function child(f)
  local got, text = helper.fork(f)
  demand(got, "the child failed: %s", text)
  return got
end

describe("a forked child", function()
  local before
  before_each(function() before = mare.threads() end)
  after_each(function() mare.threads(before) end)

  it("works like its parent, before and after", function()
    for _, n in ipairs { 4, 1, 3 } do
      mare.threads(n)
      local first = work()
      for _ = 1, 5 do assert.equal(first, child(work)) end
      assert.equal(first, work())
    end
  end)

  --- Trains a little; the bits of what came out.
  local function train()
    mare.seed(11)
    local nn = mare.nn
    local model = nn.Sequential { nn.Linear(60, 200), nn.ReLU(), nn.Dropout(0.1), nn.Linear(200, 5) }
    local opt = mare.optim.adam(model:parameters(), { lr = 0.01 })
    local x, y = mare.randn(400, 60), mare.randint(1, 5, 400)
    for _ = 1, 15 do
      local step <close> = mare.scope() -- luacheck: ignore
      opt:zero_grad()
      mare.loss.cross_entropy(model(x), y):backward()
      opt:step()
    end
    return model[1].weight:tobytes() .. model[4].weight:tobytes()
  end

  it("is one of four that train at the same time, and the parent goes on", function()
    for _, used in ipairs { true, false } do
      mare.threads(3)
      local want = used and train() -- with threads from before the fork, and without
      local function same()
        local got = train()
        want = want or got
        return got == want
      end
      local children = { helper.forks(4, same) }
      demand(same(), "the parent's results are others")
      for i, one in ipairs(children) do demand(helper.ended(one), "child %d differs", i) end
      demand(same(), "the parent's results are others afterwards")
    end
  end)

  it("works where threads are first used after the fork", function()
    local script = ([[
      local h = package.loadlib('%s/forkhelper.so', 'luaopen_forkhelper')()
      local mare = require 'mare'
      mare.threads(3)
      local want
      local function work()
        mare.seed(2)
        local x = mare.randn(500, 500)
        local got = x:matmul(x):exp():sum():item()
        want = want or got
        return got == want
      end
      local children = { h.forks(4, function() return work() and work() end) }
      assert(work())
      for _, child in ipairs(children) do assert(h.ended(child)) end
      children = { h.forks(2, work) }
      for _, child in ipairs(children) do assert(h.ended(child)) end
      io.write "well"
    ]]):format(folder)
    local path = folder .. "/prefork.lua"
    local f = assert(io.open(path, "w"))
    f:write(script)
    f:close()
    assert.equal("well", (run("lua5.4 " .. path)))
  end)

  it("finds LAPACK as its parent left it", function()
    mare.seed(3)
    local a = mare.randn(300, 300)
    local function values() return ("%a"):format(mare.linalg.svdvals(a)[1]:item()) end
    local first = values()
    assert.equal(first, child(values))
    assert.equal(first, values())
  end)

  it("works while its parent's LAPACK goes on with a call that was left", function()
    mare.seed(3)
    local a = mare.randn(1600, 1600)
    local function value() return ("%a"):format(mare.linalg.inv(a)[{ 3, 7 }]:item()) end
    local first, left = value(), 0
    for _ = 1, 4 do
      local asked = 0
      debug.sethook(function()
        asked = asked + 1
        if debug.getinfo(2, "S").source == "=mare" and asked > 3 then error("left", 0) end
      end, "", 1000)
      local ok = pcall(mare.linalg.inv, a)
      debug.sethook()
      left = left + (ok and 0 or 1)
      assert.equal(first, child(value))
    end
    demand(left > 0, "no call was left")
    assert.equal(first, value())
  end)

  it("has threads of its own, and as many as it sets", function()
    mare.threads(4)
    local first = work()
    local function threads()
      work()
      local count = 0
      for line in io.lines "/proc/self/status" do
        count = tonumber(line:match "^Threads:%s*(%d+)") or count
      end
      return tostring(count)
    end
    if io.open "/proc/self/status" then
      local before_mare = tonumber(child(function() mare.threads(1) return threads() end))
      assert.equal(before_mare + 3, tonumber(child(threads)))
      assert.equal(before_mare + 1, tonumber(child(function() mare.threads(2) return threads() end)))
    end
    assert.equal(first, child(function() mare.threads(2) return work() end))
    assert.equal(4, mare.threads())
  end)

  it("goes on with batches whose thread stayed behind", function()
    local ds = mare.data.dataset(mare.arange(1, 40000):reshape(400, 100))
    for _, used in ipairs { 1, 3 } do
      local next_batch, _, _, feed = ds:batches { size = 10, prefetch = 5, shuffle = true, seed = 2 }
      for _ = 1, used do next_batch() end
      local function rest()
        local bits = {}
        for x in next_batch do bits[#bits + 1] = ("%a"):format((x * x):sum():item()) end
        feed:close()
        return table.concat(bits, " ")
      end
      local first = child(rest)
      assert.equal(40 - used, select(2, first:gsub("0x", "")))
      assert.equal(first, child(function()
        collectgarbage()
        return assert(helper.fork(rest))
      end))
      assert.equal(first, rest())
    end
    assert.equal("true", child(function() -- and may have one of its own
      local n = 0
      for x in ds:batches { size = 10, prefetch = 3 } do n = n + x:size(1) end
      return tostring(n == 400)
    end))
  end)

  it("goes on with batches that the pool had begun", function()
    mare.threads(4)
    local rows = mare.randn(600, 500)
    local ds = mare.data.dataset(rows)
    for used = 1, 3 do
      local next_batch = ds:batches { size = 50, shuffle = true, seed = 2 }
      for _ = 1, used do next_batch() end
      local function rest()
        local bits = {}
        for x in next_batch do
          bits[#bits + 1] = ("%a"):format((x * x):sum():item())
          rows:matmul(rows:t())
        end
        return table.concat(bits, " ")
      end
      local first = child(rest)
      assert.equal(12 - used, select(2, first:gsub("0x", "")))
      assert.equal(first, child(function() return assert(helper.fork(rest)) end))
      assert.equal(first, rest())
    end
  end)

  it("may fork again", function()
    mare.threads(4)
    local first = work()
    assert.equal(first, child(function()
      local inner = helper.fork(work)
      return inner == work() and inner or "the grandchild differs"
    end))
  end)

  it("may be the first to work", function()
    local script = ("local h = package.loadlib('%s/forkhelper.so', 'luaopen_forkhelper')() "
      .. "local mare = require 'mare' mare.threads(4) "
      .. "local function f() return tostring(mare.ones(500, 500):sum():item()) end "
      .. "assert(h.fork(f) == f()) io.write(f())"):format(folder)
    assert.equal("250000.0", (run(('lua5.4 -e "%s"'):format(script))))
  end)

  it("does not care what other threads were doing", function()
    compile("-o " .. folder .. "/pool spec/tsan/pool.c src/base/pool.c src/base/cores.c -lpthread")
    for _ = 1, 3 do
      local text, ok = run(folder .. "/pool")
      demand(ok, "%s", text)
    end
    compile("-o " .. folder .. "/aside spec/tsan/aside.c src/base/aside.c "
      .. "src/base/storage.c src/base/pool.c src/base/cores.c -lpthread")
    local text, ok = run(folder .. "/aside")
    demand(ok, "%s", text)
  end)
end)

describe("a state that is closed", function()
  it("leaves workers that can live on", function()
    local script = ("local h = package.loadlib('%s/forkhelper.so', 'luaopen_forkhelper')() "
      .. "for i = 1, 5 do h.state [[ local mare = require 'mare' mare.threads(2 + %s %% 3) "
      .. "mare.randn(500, 500):exp():sum() ]] end io.write 'alive'"):format(folder, "os.time()")
    local text, ok = run(('lua5.4 -e "%s"'):format(script))
    demand(ok and text == "alive", "%s", text)
  end)

  it("ends the threads that make its batches, and so does the process", function()
    local inner = "local mare = require 'mare' local ds = mare.data.dataset(mare.zeros(4000, 100)) "
      .. "local a, b = ds:batches { size = 1000, prefetch = 3 }, ds:batches { size = 9, prefetch = 20 } a() b() "
    local script = ("local h = package.loadlib('%s/forkhelper.so', 'luaopen_forkhelper')() "
      .. "for i = 1, 5 do h.state [[ %s kept = { a, b } ]] end io.write 'alive'"):format(folder, inner)
    for _, ending in ipairs { "", " os.exit(0)", " os.exit(0, true)" } do
      local text, ok = run(('lua5.4 -e "%s %s"'):format(script, inner .. ending))
      demand(ok and text == "alive", "%s", text)
    end
  end)

  it("does not hold up the end of the process", function()
    for _ = 1, 10 do
      local text, ok = run "lua5.4 -e \"local m = require 'mare' m.threads(4) m.randn(300000):sum()\""
      demand(ok, "%s", text)
    end
  end)
end)

describe("signals", function()
  --- The signals that each thread of this process blocks, except for the first one's.
  local function masks()
    local tasks, list = io.popen "ls /proc/$PPID/task 2>/dev/null", {}
    for id in tasks:lines() do
      local f = io.open(("/proc/self/task/%s/status"):format(id))
      local text = f and f:read "a" or ""
      if f then f:close() end
      local mask = text:match "SigBlk:%s*(%x+)"
      if mask and text:match "Tgid:%s*(%d+)" ~= id then list[#list + 1] = tonumber(mask, 16) end
    end
    tasks:close()
    return list
  end

  it("are never delivered to a worker", function()
    local before = mare.threads()
    mare.threads(4)
    work()
    for _, mask in ipairs(masks()) do
      for _, signal in ipairs { 1, 2, 3, 10, 12, 13, 14, 15, 17, 20, 27 } do
        demand(mask >> (signal - 1) & 1 == 1, "signal %d reaches a worker", signal)
      end
      for _, fault in ipairs { 4, 5, 7, 8, 11 } do
        demand(mask >> (fault - 1) & 1 == 0, "fault %d is hidden", fault)
      end
    end
    mare.threads(before)
  end)
end)
