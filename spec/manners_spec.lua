-- manners_spec.lua -- Maré in programs that were not written for it: what of a process and
-- of a Lua state it never touches, several states, allocators, coroutines, collectors
-- that do not run, and errors wherever a user's code is called.

local mare = require "mare"
local support = require "spec.support"

local demand, fails, live, run = support.demand, support.fails, support.live, support.run
local sanitized = os.getenv "ASAN_OPTIONS" -- its preload is not for other programs
local folder = os.tmpname()
local core = assert(package.searchpath("mare.core", package.cpath))

local function has(program) return os.execute("command -v " .. program .. " >/dev/null 2>&1") end

setup(function()
  os.remove(folder)
  os.execute("mkdir -p " .. folder)
end)

teardown(function() os.execute("rm -r " .. folder) end)

--- A test of a program of its own.
local function outside(name, f)
  it(name, function()
    if sanitized then pending "the sanitizers are not for other programs" else f() end
  end)
end

--- Runs the host, spec/guest/host.c; what it prints.
local function host(arguments, before)
  local text, ok = run(("%s timeout 120 %s/guest %s"):format(before or "", support.build, arguments))
  demand(ok and text:find "well\n$", "%s", text)
  return text
end

local work = "spec/guest/work.lua"

describe("in a program in C", function()
  outside("eight threads train at once, each in a state: the bits of one alone", function()
    host("threads " .. work)
    host("threads " .. work, "MARE_THREADS=3")
  end)

  outside("states are opened and closed in turn, and memory stays flat", function()
    local n = support.sample(40, 100) -- a quarter of them passes before it is looked at
    local text = host(("states %s %d"):format(work, n))
    local grown = tonumber(text:match "(-?%d+) KB more")
    demand(grown < n * 3 // 4 * 109, "%d KB more after %d states", grown, n * 3 // 4)
  end)

  outside("a host's own allocators give all, and get all back", function() host("alloc " .. work) end)

  outside("what finalizers make while a state is being closed goes with it", function()
    local path = folder .. "/close.lua"
    local f = assert(io.open(path, "w"))
    f:write([[
      local left = {}
      -- older than the module: its finalizer runs when the module's are done
      local old = setmetatable({}, { __gc = function()
        local closing = "the Lua state is being closed"
        for i, act in ipairs {
          function() return left.x + 1 end, function() return left.x:close() end,
          function() return left.x[1] end, function() return left.small:item() end,
          function() return left.batches() end,
        } do
          local ok, message = pcall(act)
          if ok or not message:find(closing, 1, true) then os.exit(10 + i) end
        end
        left.feed:close()
        left.scope:close()
      end })
      local mare = require "mare"
      local path = "]] .. folder .. [[/close.safetensors"
      assert(mare.save(path, { x = mare.rand(300, 200) }))
      local function make()
        left.x, left.small = mare.rand(1000, 300), mare.tensor(1.5)
        left.mapped = assert(mare.load(path, { mmap = true })).x
        left.view = left.x:t()
        local w = mare.rand(20, 30):requires_grad()
        local y = (mare.rand(50, 20):matmul(w)):relu():sum()
        y:backward()
        left.y, left.w = y, w
        left.model = mare.nn.Sequential { mare.nn.Linear(300, 20), mare.nn.ReLU() }
        left.out = left.model(left.x)
        left.inverse = mare.linalg.inv(mare.eye(40) * 2)
        left.batches, _, _, left.feed = mare.data.dataset(left.mapped):batches { size = 10, prefetch = 3 }
        left.batch = left.batches()
        left.scope = mare.scope()
        for i = 1, 100 do left[i] = mare.rand(i) end
      end
      local new = setmetatable({}, { __gc = function()
        local ok, message = pcall(make)
        if not ok then print(message) os.exit(9) end
      end })
      return tostring(old and new and 1) ]])
    f:close()
    host("alloc " .. path)
  end)

  outside("a limit in the allocator is an error, and nothing is left", function()
    host("limit " .. work)
  end)

  outside("nothing of the process is touched by require, work and lua_close", function()
    host("untouched " .. work)
  end)

  outside("a locale with a decimal comma is left alone, and makes no difference", function()
    local text, ok = run(("localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8"):format(folder))
    if not ok then
      pending("no locale can be made: " .. text)
      return
    end
    local plain = host("untouched " .. work)
    local comma = host(("untouched %s de_DE.UTF-8"):format(work), "LOCPATH=" .. folder)
    assert.equal(plain, comma)
  end)

  outside("rounding is the caller's on every thread", function()
    local first = host("untouched " .. work, "MARE_THREADS=1")
    for n = 2, 4 do assert.equal(first, host("untouched " .. work, "MARE_THREADS=" .. n)) end
  end)

  outside("lua_close leaves nothing: valgrind", function()
    if not has "valgrind" then
      pending "valgrind is not installed"
      return
    end
    local text, ok = run("make -s valgrind WORKS=" .. work)
    demand(ok, "%s", text)
  end)
end)

describe("a Lua state", function()
  outside("is left as it was: globals, metatables, packages, its collector", function()
    local script = [[
      local function keys(t, to, name)
        for k, v in pairs(t) do to[name .. tostring(k)] = tostring(v) end
      end
      local function snapshot()
        local s = {}
        keys(_G, s, "_G.")
        for _, lib in ipairs { "string", "table", "math", "io", "os", "coroutine", "debug", "utf8", "package" } do
          keys(_G[lib], s, lib .. ".")
        end
        for k in pairs(package.loaded) do
          if not k:find "^mare" then s["loaded " .. k] = tostring(package.loaded[k]) end
        end
        for k, v in pairs { string = "", number = 1, boolean = true, ["function"] = print,
          thread = coroutine.create(print), ["nil"] = false } do
          local meta = debug.getmetatable(k ~= "nil" and v or nil)
          s["metatable of " .. k] = tostring(meta)
          if meta then keys(meta, s, k .. "'s ") end
        end
        s.hook = tostring(debug.gethook())
        s.running = tostring(collectgarbage "isrunning")
        local mode = collectgarbage "generational"
        s.mode = mode
        collectgarbage(mode)
        s.pause = tostring(collectgarbage("setpause", 200))
        s.input, s.output = tostring(io.input()), tostring(io.output())
        s.random = "" -- math.random has a state of its own: see below
        return s
      end
      math.randomseed(42)
      local want = math.random(1 << 40)
      math.randomseed(42)
      local before = snapshot()
      require "mare"
      dofile "spec/guest/work.lua"
      assert(math.random(1 << 40) == want, "math.random was used")
      local after = snapshot()
      for k, v in pairs(before) do
        if after[k] ~= v then print(k, v, "became", after[k]) end
      end
      for k, v in pairs(after) do if before[k] == nil then print(k, v, "is new") end end
    ]]
    local path = folder .. "/state.lua"
    local f = assert(io.open(path, "w"))
    f:write(script)
    f:close()
    assert.equal("", (run("lua5.4 " .. path)))
  end)
end)

describe("the library", function()
  outside("exports luaopen_* and mare_* alone", function()
    if not has "nm" then pending "nm is not installed" return end
    local text, n = run(("nm -D --defined-only '%s'"):format(core)), 0
    for name in text:gmatch "%x+ %a (%S+)" do
      demand(name:find "^luaopen_" or name:find "^mare_", "'%s' is exported", name)
      n = n + 1
    end
    demand(n > 0 and text:find "luaopen_mare_core", "%s", text)
  end)

  outside("has no other name for who links libmare.a", function()
    if not has "nm" then pending "nm is not installed" return end
    local archive, n = core:gsub("mare/core%.so$", "libmare.a"), 0
    for name in run(("nm -g --defined-only '%s' 2>/dev/null"):format(archive)):gmatch "%x+ %a (%S+)" do
      demand(name:find "^luaopen_" or name:find "^mare_", "'%s' is global", name)
      n = n + 1
    end
    demand(n > 100, "%d names", n)
  end)

  outside("needs BLIS, zlib and the C library, and what these bring", function()
    if not has "readelf" then pending "readelf is not installed" return end
    local n = 0
    for name in run(("readelf -d '%s'"):format(core)):gmatch "NEEDED[^%[]*%[([^%]]+)%]" do
      demand(name:find "^libblis" or name:find "^libz%." or name:find "^libm%."
        or name:find "^libmvec%." or name:find "^libc%." or name:find "^ld%-linux"
        or name:find "^libpthread%." or name:find "^libdl%.", "'%s' is needed", name)
      n = n + 1
    end
    demand(n >= 3, "only %d libraries", n)
    for name in run(("ldd '%s'"):format(core)):gmatch "%s(lib%S+) =>" do
      demand(name:find "^libblis" or name:find "^libz%." or name:find "^libg?omp"
        or name:find "^libm%." or name:find "^libmvec%." or name:find "^libc%."
        or name:find "^libpthread%." or name:find "^libdl%." or name:find "^libgcc_s",
        "'%s' is loaded", name)
    end
  end)

  --- What would end the process, or change what belongs to all of it.
  local never = {}
  for name in ([[exit _exit _Exit quick_exit abort raise kill __assert_fail signal sigaction
    sigprocmask sigaltstack alarm setitimer setlocale uselocale chdir fchdir umask setenv putenv
    unsetenv clearenv setvbuf setbuf setlinebuf printf puts putchar fprintf fputs perror
    fesetround fesetenv feenableexcept system popen fork vfork execve atexit srand srandom rand
    random setrlimit setpriority nice dup2 freopen malloc calloc realloc qsort bsearch_r]]):gmatch "%S+" do
    never[name] = true
  end

  --- But for Ctrl-C at the prompt; and the end of the process waits for work that was left.
  local allowed = { ["bind/interrupt.o signal"] = true, ["bind/interrupt.o sigaction"] = true,
    ["base/aside.o atexit"] = true }

  outside("calls nothing that ends the process or changes what is everybody's", function()
    if not has "nm" then pending "nm is not installed" return end
    local objects, n = core:gsub("mare/core%.so$", "obj"), 0
    for line in run(("nm -A -u '%s'/*/*.o"):format(objects)):gmatch "[^\n]+" do
      local file, name = line:match "/([^/]+/[^/]+%.o):%s+%a ([%w_]+)"
      n = n + 1
      if name and never[name] and not allowed[file .. " " .. name] then
        error(("%s calls %s"):format(file, name))
      end
    end
    demand(n > 100, "no objects in %s", objects)
  end)
end)

describe("a collector", function()
  local function train(n)
    mare.seed(3)
    local w, x = mare.randn(30, 20):requires_grad(), mare.randn(50, 30)
    local opt = mare.optim.adam({ w }, { lr = 0.01 })
    for _ = 1, n do
      opt:zero_grad()
      x:matmul(w):tanh():square():sum():backward()
      opt:step()
    end
    return w:tobytes()
  end

  it("that is stopped, or generational, makes no difference", function()
    local want = train(50)
    collectgarbage "stop"
    local ok, got = pcall(train, 50)
    local running = collectgarbage "isrunning"
    collectgarbage "restart"
    demand(ok, "%s", got)
    assert.equal(want, got)
    assert.is_false(running)
    local mode = collectgarbage "generational"
    ok, got = pcall(train, 200)
    collectgarbage(mode)
    demand(ok, "%s", got)
    assert.equal(train(200), got)
  end)
end)

describe("coroutines", function()
  it("share a forward and a backward pass", function()
    local w = mare.tensor { 1, 2, 3 }:requires_grad()
    local loss
    local forward = coroutine.wrap(function()
      local y = w * w
      coroutine.yield()
      loss = (y * w):sum()
    end)
    forward()
    mare.ones(3):add_(1)
    forward()
    coroutine.wrap(function() loss:backward() end)()
    assert.same({ 3, 12, 27 }, w.grad:totable())
  end)

  it("yield between the steps of two trainings that take turns", function()
    local function training(seed)
      local rng = mare.randn(4, 4)
      rng:fill_(seed)
      local w = rng:clone():requires_grad()
      local opt = mare.optim.sgd({ w }, { lr = 0.01, momentum = 0.9 })
      return coroutine.wrap(function()
        for _ = 1, 20 do
          local s <close> = mare.scope() -- luacheck: ignore
          opt:zero_grad()
          coroutine.yield()
          w:square():sum():backward()
          coroutine.yield()
          opt:step()
        end
        return w:tobytes()
      end)
    end
    local function ended(f)
      local got
      repeat got = f() until got
      return got
    end
    local one, two = ended(training(1)), ended(training(2))
    local a, b, x, y = training(1), training(2), nil, nil
    repeat
      x = x or a()
      y = y or b()
    until x and y
    assert.equal(one, x)
    assert.equal(two, y)
  end)

  it("that are given up inside a scope, a walk, no_grad or a forward mode harm nobody", function()
    local before = live()
    for _, within in ipairs {
      function() local s <close> = mare.scope() mare.ones(50) coroutine.yield(s) end,
      function() mare.no_grad(function() coroutine.yield(mare.ones(5) * 2) end) end,
      function() mare.jvp(function(x) coroutine.yield() return x * x end, mare.ones(2), mare.ones(2)) end,
      function()
        local op = mare.op { name = "guest_yield", forward = function(a) return a * 1 end,
          backward = function(g) pcall(coroutine.yield) return g end }
        op(mare.ones(3):requires_grad()):sum():backward()
      end,
    } do
      local co = coroutine.create(within)
      local ok, why = coroutine.resume(co)
      demand(ok or tostring(why):find "yield", "%s", tostring(why))
      co = nil -- luacheck: ignore
      collectgarbage()
      local w = mare.ones(3):requires_grad()
      w:square():sum():backward()
      assert.same({ 2, 2, 2 }, w.grad:totable())
    end
    live()
    demand(live() <= before + 1024, "%d bytes are left", live() - before)
  end)

  it("may be closed where they stand", function()
    local t
    local co = coroutine.create(function()
      local s <close> = mare.scope() -- luacheck: ignore
      t = mare.ones(3)
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.is_false(t:isclosed())
    coroutine.close(co)
    assert.is_true(t:isclosed())
  end)
end)

describe("an error", function()
  local objects = { { code = 7 }, 42, true, false, print, "text" }

  --- The engine still computes what it should.
  local function sound()
    local w = mare.tensor { 1, 2 }:requires_grad()
    w:square():sum():backward()
    assert.same({ 2, 4 }, w.grad:totable())
    assert.same({ 3, 3 }, (mare.ones(2) * 3):totable())
    assert.is_true(w:square().is_tracked)
  end

  --- f(raise) must raise what raise() does, which may be anything.
  local function passes(f)
    for _, object in ipairs(objects) do
      local ok, got = pcall(f, function() error(object, 0) end)
      assert.is_false(ok)
      demand(got == object or tostring(got):find(tostring(object), 1, true),
        "%s became %s", tostring(object), tostring(got))
      sound()
    end
  end

  it("in a backward of the user's", function()
    passes(function(raise)
      local op = mare.op { name = "guest_raise", forward = function(a) return a + 0 end, backward = raise }
      op(mare.ones(3):requires_grad()):sum():backward()
    end)
  end)

  it("in a forward of the user's, in no_grad, hold and scopes", function()
    passes(function(raise)
      local op = mare.op { name = "guest_raise2", forward = raise, backward = function(g) return g end }
      op(mare.ones(3):requires_grad())
    end)
    passes(function(raise) mare.no_grad(raise) end)
    passes(function(raise)
      local s <close> = mare.scope() -- luacheck: ignore
      mare.ones(3)
      raise()
    end)
  end)

  it("in a function that is differentiated, forwards, backwards or both", function()
    passes(function(raise) mare.grad(raise)(mare.ones(2)) end)
    passes(function(raise) mare.jvp(raise, mare.ones(2), mare.ones(2)) end)
    passes(function(raise) mare.hessian(raise, mare.ones(2)) end)
    passes(function(raise) mare.jacobian(raise, mare.ones(2)) end)
  end)

  it("in what is minimized, by every method", function()
    for _, method in ipairs { "lbfgs", "cg", "newton", "nelder_mead", "cma_es",
      "differential_evolution", "random_search" } do
      local options = { method = method, steps = 3, bounds = { -1, 1 } }
      if method == "lbfgs" or method == "cg" or method == "newton" or method == "nelder_mead" then
        options.bounds = nil
      end
      local n = 0
      fails(nil, function()
        mare.optim.minimize(function(x)
          n = n + 1
          if n > 2 then error "enough of it" end
          return (x * x):sum()
        end, mare.ones(2), options)
      end, "enough of it")
      sound()
    end
  end)

  it("in a generator of data, in a step of training", function()
    local set = mare.data.dataset(mare.ones(10, 2), mare.ones(10))
    passes(function(raise)
      for _ in set:batches { size = 2 } do raise() end
    end)
    passes(function(raise)
      for _ in mare.data.generator(function() return raise end):batches { size = 2 } do sound() end
    end)
    passes(function(raise)
      local model = mare.nn.Linear(2, 1)
      mare.train.fit(model, { data = set, loss = raise, epochs = 1, batch = 5, progress = false,
        optimizer = mare.optim.sgd(model:parameters(), { lr = 0.1 }) })
    end)
  end)

  it("in a finalizer does not escape", function()
    local warned = 0
    for _ = 1, 20 do
      setmetatable({}, { __gc = function()
        warned = warned + 1
        error({})
      end })
    end
    local w = mare.ones(200, 200):requires_grad()
    for _ = 1, 100 do w:matmul(w):sum():backward() end
    collectgarbage()
    assert.equal(20, warned)
    sound()
  end)

  it("in a hook, at whatever instruction it strikes", function()
    local w = mare.ones(3):requires_grad()
    local function everything()
      local s <close> = mare.scope() -- luacheck: ignore
      w.grad = nil
      w:exp():mul(w):sum():backward()
      mare.jvp(function(x) return x * x end, mare.ones(2), mare.ones(2))
      mare.grad(function(x) return (x * x):sum() end)(mare.ones(2))
      mare.no_grad(function() w:detach():add_(0) end)
    end
    --- Is the engine as it was when the nth event has raised an error?
    local function struck(n, mask, count)
      local events = 0
      pcall(function()
        debug.sethook(function()
          events = events + 1
          if events < n then return end
          debug.sethook()
          error { n }
        end, mask, count)
        everything()
        debug.sethook()
      end)
      w.grad = nil
      sound()
    end
    for n = 1, 1000, 2 do struck(1, "", n) end
    for n = 1, 200 do struck(n, "cr") end
  end)

  it("of too deep a recursion, in Lua and in C", function()
    local op
    local function deep(x) return deep(x + 1) + 1 end
    fails(nil, function() deep(mare.ones(1)) end, "stack overflow")
    sound()
    op = mare.op { name = "guest_deep", backward = function(g) return g end,
      forward = function(a) return mare.no_grad(function() return op(a) end) end }
    fails(nil, function() op(mare.ones(1):requires_grad()) end, "overflow")
    sound()
    local x = mare.ones(2):requires_grad()
    local y = x
    for _ = 1, 100000 do y = y + 1 end -- a tape of any length
    y:sum():backward()
    assert.same({ 1, 1 }, x.grad:totable())
    local nested = { 1 }
    for _ = 1, 300 do nested = { nested } end
    fails(nil, function() mare.tensor(nested) end)
    sound()
  end)

  it("of a call in the wrong state of things leaves all else as it was", function()
    local closed = mare.ones(3)
    closed:close()
    fails("manners_spec.lua", function() return closed + 1 end, "closed")
    fails("manners_spec.lua", function() return mare.ones(3) + "x" end)
    fails("manners_spec.lua", function() return mare.ones(3):matmul(mare.ones(2, 2)) end, "align")
    sound()
  end)
end)
