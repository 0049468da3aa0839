-- memory_spec.lua -- memory that Lua's collector cannot see stays bounded: the pressure
-- rule in both modes of the collector, scopes however they are left, limits, failed
-- allocations, and finalizers that use tensors.

local mare = require "mare"
local support = require "spec.support"

local fails, demand, live = support.fails, support.demand, support.live
local MB = 1 << 20

local function peak_of(f)
  collectgarbage()
  collectgarbage()
  mare.memory_trim()
  mare.memory_reset_peak()
  f()
  return mare.memory().peak
end

local function in_mode(mode, f)
  local old = collectgarbage(mode)
  local ok, why = pcall(f)
  collectgarbage(old)
  if not ok then error(why, 0) end
end

describe("pressure", function()
  for _, mode in ipairs {"incremental", "generational"} do
    it("20,000 dropped tensors of 64 KB keep the peak low, " .. mode, function()
      in_mode(mode, function()
        local peak = peak_of(function()
          for _ = 1, 20000 do mare.zeros(128, 128) end
        end)
        demand(peak < 200 * MB, "a peak of %d MB", peak // MB)
        demand(peak > 16 * MB, "a peak of %d MB: the collector ran all the time", peak // MB)
      end)
    end)

    it("a training loop that never collects stays flat, " .. mode, function()
      in_mode(mode, function()
        local w = mare.randn(200, 100):requires_grad()
        local x = mare.randn(500, 200)
        local function train(n)
          for _ = 1, n do
            local y = x:matmul(w):tanh()
            local loss = (y * y):mean()
            w:zero_grad()
            loss:backward()
            mare.no_grad(function() w:sub_(w.grad * 0.01) end)
          end
        end
        train(50)
        local peak = peak_of(function() train(600) end)
        demand(peak < 200 * MB, "a peak of %d MB", peak // MB)
        local before = live()
        train(50)
        demand(live() <= before + MB, "%d bytes more after 50 steps", live() - before)
      end)
    end)
  end

  it("what is live is not collected, and the limit grows with it", function()
    local kept = {}
    for i = 1, 300 do kept[i] = mare.full({64, 1024}, i) end     -- 75 MB
    for i = 1, 300 do assert.same(i, kept[i][{64, 1024}]:item()) end
    kept = nil      -- luacheck: ignore
  end)

  it("falls when a peak is over", function()
    local big = {}
    for i = 1, 24 do big[i] = mare.empty(4 * MB) end     -- 384 MB
    for _, t in ipairs(big) do t:close() end
    local peak = peak_of(function()
      for _ = 1, 6000 do mare.empty(128, 128) end     -- 375 MB of garbage
    end)
    demand(peak < 160 * MB, "a peak of %d MB", peak // MB)
  end)

  it("stays where steps go up and down again and again", function()
    live()
    local runs, pause = 0, collectgarbage("incremental", 1000)
    local function arm()
      setmetatable({}, { __gc = function()
        runs = runs + 1
        if runs >= 0 then arm() end
      end })
    end
    arm()
    for _ = 1, 300 do
      local s <close>, held = mare.scope(), {}     -- luacheck: ignore
      for i = 1, 16 do held[i] = mare.empty(4 * MB) end     -- 256 MB
    end
    collectgarbage("incremental", 200)
    if pause == "generational" then collectgarbage "generational" end
    demand(runs < 40, "%d collections in 300 steps", runs)
    runs = math.mininteger
    live()
  end)

  it("a stopped collector is left alone", function()
    live()
    collectgarbage "stop"
    local collected = false
    setmetatable({}, {__gc = function() collected = true end})
    for _ = 1, 1200 do mare.zeros(64, 1024) end     -- 300 MB
    local stopped = not collectgarbage "isrunning"
    local held, early = mare.memory().live, collected
    collectgarbage "restart"
    assert.is_true(stopped)
    assert.is_false(early)
    demand(held >= 300 * MB, "only %d MB are held", held // MB)
    live()
    assert.is_true(collected)
    mare.memory_trim()
  end)

  it("counters tell what is held", function()
    local before = live()
    local x = mare.zeros(1000, 100)
    local now = mare.memory().live - before
    demand(now >= 400000 and now < 500000, "%d bytes for 400,000", now)
    local view = x[1]
    assert.same(before + now, mare.memory().live)
    x:close()
    assert.same(before + now, mare.memory().live)      -- the view holds it
    view:close()
    assert.same(before, mare.memory().live)
    demand(mare.memory().cached >= 400000, "freed blocks are kept")
    mare.memory_trim()
    assert.same(0, mare.memory().cached)
  end)
end)

-- Its elements stand in the userdata until somebody else wants them.
describe("a small result", function()
  local function result() return mare.tensor({ 1, 2, 3, 4 }) + 1 end

  it("is no storage, and is gone when it is dropped", function()
    local before = live()
    local x, y = mare.ones(4):requires_grad(), nil
    local held = mare.memory().live
    for _ = 1, 1000 do y = x + x end
    assert.same(held, mare.memory().live)
    assert.same({ 2, 2, 2, 2 }, y:totable())
    y:close()
    assert.is_true(y:isclosed())
    x, y = nil, nil     -- luacheck: ignore
    assert.same(before, live())
  end)

  it("shares its elements with every view, whichever goes first", function()
    for _, way in ipairs {
      function(x) return x["1:4"] end, function(x) return x:reshape(2, 2):reshape(4) end,
      function(x) return x:detach() end, function(x) return x:narrow(1, 1, 4) end,
      function(x) return x:unsqueeze(1):squeeze(1) end,
    } do
      local x = result()
      local view = way(x)
      view:fill_(7)
      assert.same({ 7, 7, 7, 7 }, x:totable())
      x:add_(1)
      x:close()
      collectgarbage()
      assert.same({ 8, 8, 8, 8 }, view:totable())
    end
    local x = result()
    x[2]:fill_(0)
    assert.same({ 2, 0, 4, 5 }, x:totable())
  end)

  it("can become a parameter, a gradient, a gradient to start from", function()
    local before = live()
    do
      local w, g = result():requires_grad(), result()
      local y = w * w
      y:backward(g)
      assert.same({ 8, 18, 32, 50 }, w.grad:totable())
      w.grad = g
      g:zero_()
      assert.same({ 0, 0, 0, 0 }, w.grad:totable())
      w.grad = nil
      (w * 2):sum():backward()
      assert.same({ 2, 2, 2, 2 }, w.grad:totable())
    end
    assert.same(before, live())
  end)

  it("is copied when a derivative in Lua returns it", function()
    local junk = {}
    local function times(k)
      return mare.op { forward = function(x) return x * k end, backward = function(g)
        collectgarbage()
        for i = 1, 200 do junk[i] = g * 9 end
        return g * k
      end }
    end
    local w = mare.ones(4):requires_grad()
    local x = w * 1
    ;(times(2)(x) + times(3)(x) + times(4)(x)):sum():backward()
    assert.same({ 9, 9, 9, 9 }, w.grad:totable())
    assert.equal(200, #junk)
  end)

  it("keeps its version when its elements move", function()
    local w = mare.ones(4):requires_grad()
    local x = result()
    local y = (w * x):sum()
    local view = x:detach()
    y:backward { retain = true }
    view:add_(1)
    fails("which was changed in place since", function() y:backward() end)
  end)

  it("made in a scope is closed by it, or kept", function()
    local x, y, z
    do
      local s <close> = mare.scope()
      x, y = result(), s:keep(result())
      z = result()
      s:keep(z["1:2"])
    end
    assert.is_true(x:isclosed() and z:isclosed())
    y:requires_grad()
    y:sum():backward()
    assert.same({ 1, 1, 1, 1 }, y.grad:totable())
  end)

  it("counts where memory is limited", function()
    mare.memory_limit(live() + 100 * MB)
    local before = mare.memory().live
    local x = result()
    local counted = mare.memory().live - before
    mare.memory_limit()
    assert.is_true(counted >= 16 and not x:isclosed())
  end)

  it("feeds batches", function()
    local x = mare.zeros(4, 1) + 3
    local n = 0
    local ds = mare.data.dataset(x)
    x = nil     -- luacheck: ignore
    collectgarbage()
    for b in ds:batches { size = 2 } do n = n + b:sum():item() end
    assert.equal(12, n)
  end)
end)

describe("scopes", function()
  it("close what was made inside", function()
    local before = live()
    local x, y, v
    do
      local s <close> = mare.scope()     -- luacheck: ignore
      x = mare.zeros(100)
      y = x + 1
      v = x[{ {1, 10} }]
      assert.is_false(x:isclosed())
    end
    assert.is_true(x:isclosed() and y:isclosed() and v:isclosed())
    assert.same(before, mare.memory().live)
    assert.is_false(mare.zeros(1):isclosed())
  end)

  it("on errors too", function()
    local x
    local ok = pcall(function()
      local s <close> = mare.scope()     -- luacheck: ignore
      x = mare.zeros(3)
      error "out"
    end)
    assert.is_false(ok)
    assert.is_true(x:isclosed())
    local y = mare.zeros(3)
    assert.is_false(y:isclosed())
  end)

  it("keep what is asked for", function()
    local x, t, n
    do
      local s <close> = mare.scope()
      x = s:keep(mare.ones(3))
      t = s:keep {a = mare.ones(1), {mare.ones(2)}, 7, "text"}
      n = mare.zeros(1)
      assert.same(5, s:keep(5))
      assert.is_nil(s:keep(nil))
      local cycle = {mare.ones(1)}
      cycle.self = cycle
      assert.is_true(rawequal(cycle, s:keep(cycle)))
      t.cycle = cycle
    end
    assert.same({1, 1, 1}, x:totable())
    assert.same({1}, t.a:totable())
    assert.same({1, 1}, t[1][1]:totable())
    assert.same({1}, t.cycle[1]:totable())
    assert.is_true(n:isclosed())
  end)

  it("nest", function()
    local inner, kept, outer
    do
      local s <close> = mare.scope()     -- luacheck: ignore
      outer = mare.zeros(1)
      do
        local c <close> = mare.scope()
        inner = mare.zeros(1)
        kept = c:keep(mare.zeros(1))
        c:keep(outer)
      end
      assert.is_true(inner:isclosed())
      assert.is_false(kept:isclosed() or outer:isclosed())
    end
    assert.is_true(kept:isclosed() and outer:isclosed())
    local a <close> = mare.scope()        -- keeping is not for the scopes between
    local x = mare.zeros(1)
    do
      local b <close> = mare.scope()      -- luacheck: ignore
      do
        local c <close> = mare.scope()
        c:keep(x)
      end
    end
    assert.is_false(x:isclosed())
    local deep
    do
      local b <close> = mare.scope()
      do
        local c <close> = mare.scope()     -- luacheck: ignore
        deep = b:keep(mare.zeros(1))       -- made inside c, kept by b
      end
      assert.is_false(deep:isclosed())
    end
    assert.is_false(deep:isclosed())
    a:close()
    assert.is_true(x:isclosed() and deep:isclosed())
  end)

  it("may be closed out of order, twice, or never", function()
    local a = mare.scope()
    local x = mare.zeros(1)
    local b = mare.scope()
    local y = mare.zeros(1)
    a:close()
    assert.is_true(x:isclosed())
    assert.is_false(y:isclosed())
    local z = mare.zeros(1)
    b:close()
    b:close()
    a:close()
    assert.is_true(y:isclosed() and z:isclosed())
    local free = mare.zeros(1)
    b:keep(free)
    assert.is_false(free:isclosed())
    local forgotten = mare.scope()
    local w = mare.zeros(1)
    assert.is_truthy(forgotten)
    forgotten = nil     -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_false(w:isclosed())
    local c <close> = mare.scope()     -- luacheck: ignore
    w:close()                          -- by hand, before the scope does
    x:close()
  end)

  it("of a coroutine hold what it makes, not what others make", function()
    local inside, between, again
    local step = coroutine.wrap(function()
      local s <close> = mare.scope()     -- luacheck: ignore
      inside = mare.zeros(1)
      coroutine.yield()
      again = mare.zeros(1)
      coroutine.yield()
    end)
    step()
    between = mare.zeros(1)
    step()
    assert.is_false(inside:isclosed() or again:isclosed())
    step()
    assert.is_true(inside:isclosed() and again:isclosed())
    assert.is_false(between:isclosed())
    local own
    step = coroutine.wrap(function()
      local s <close> = mare.scope()     -- luacheck: ignore
      coroutine.yield()
      own = mare.zeros(1)
      coroutine.yield()
    end)
    step()
    do     -- opened later, but the coroutine's own scope is nearer to it
      local s <close> = mare.scope()     -- luacheck: ignore
      step()
    end
    assert.is_false(own:isclosed())
    step()
    assert.is_true(own:isclosed())
    local made
    do     -- a coroutine that runs inside a scope is inside it
      local s <close> = mare.scope()     -- luacheck: ignore
      coroutine.wrap(function() made = mare.zeros(1) end)()
    end
    assert.is_true(made:isclosed())
    local dropped = coroutine.wrap(function()
      local s <close> = mare.scope()     -- luacheck: ignore
      coroutine.yield(mare.zeros(1))
    end)
    local t = dropped()
    dropped = nil     -- luacheck: ignore
    local after = mare.zeros(1)
    live()
    assert.is_false(t:isclosed() or after:isclosed())
  end)

  it("and backward: gradients of variables outside survive", function()
    local w = mare.ones(3):requires_grad()
    do
      local s <close> = mare.scope()     -- luacheck: ignore
      local loss = (w * w):sum()
      loss:backward()
    end
    assert.same({2, 2, 2}, w.grad:totable())
    do
      local s <close> = mare.scope()     -- luacheck: ignore
      ;(w * w):sum():backward()
      assert.same({4, 4, 4}, w.grad:totable())
    end
    assert.same({4, 4, 4}, w.grad:totable())
    local loss
    do
      local s <close> = mare.scope()
      loss = s:keep(w:exp():sum())
    end
    fails("memory_spec.lua", function() loss:backward() end, "closed")
  end)

  it("hold any number of tensors, small and large", function()
    local before, list, kept = live(), {}, {}
    do
      local s <close> = mare.scope()
      for i = 1, 1000 do
        list[i] = mare.full({ i % 7 == 0 and 5000 or 3 }, i)
        if i % 10 == 0 then kept[#kept + 1] = s:keep(list[i]) end
        if i % 10 == 1 then list[i]:close() end
      end
      assert.is_true(rawequal(getmetatable(list[2]), getmetatable(kept[1])))
      assert.is_true(rawequal(getmetatable(list[2]), getmetatable(list[999])))
    end
    for i = 1, 1000 do assert.same(i % 10 ~= 0, list[i]:isclosed()) end
    for i, t in ipairs(kept) do assert.same(10 * i, t:sum():item() / t:numel()) end
    list, kept = nil, nil     -- luacheck: ignore
    assert.same(before, live())
  end)

  it("give back what is dropped inside, as soon as it is much", function()
    local s <close> = mare.scope()     -- luacheck: ignore
    local before = live()
    for _ = 1, 5000 do mare.zeros(1000) end
    live()
    demand(live() - before <= 257 * 4096, "%d bytes held", live() - before)
  end)

  it("that were never closed leave nothing behind", function()
    local before = live()
    local held = {}
    for i = 1, 300 do
      local s = mare.scope()     -- luacheck: ignore
      held[i] = mare.full({ 2 }, i)
      mare.zeros(2)
      if i % 50 == 0 then collectgarbage() end
    end
    live()
    do local _ <close> = mare.scope() end
    live()
    for i, t in ipairs(held) do assert.same({ i, i }, t:totable()) end
    held = nil     -- luacheck: ignore
    assert.same(before, live())
  end)

  it("closed while a backward runs", function()
    local s = mare.scope()
    local op = mare.op {
      name = "closer", forward = function(v) return v * 2 end,
      backward = function(g)
        s:close()
        return g * 2
      end,
    }
    local w = mare.ones(3):requires_grad()
    local ok = pcall(function() op((w * w):exp()):sum():backward() end)
    s:close()
    assert.is_true(ok or w.grad == nil)
    local v = mare.ones(3):requires_grad()
    ;(v * v):sum():backward()
    assert.same({2, 2, 2}, v.grad:totable())
  end)
end)

describe("hold", function()
  local hold = require "mare.core".functions.hold

  it("outlives a scope that ends inside it", function()
    local co = coroutine.create(function()
      local _ <close> = mare.scope()
      coroutine.yield()
    end)
    coroutine.resume(co)
    hold(function()
      coroutine.close(co)
      co = nil
      collectgarbage()
      collectgarbage()
    end)
    for i = 1, 100 do assert.same({i}, mare.full({1}, i):totable()) end
  end)

  it("keeps what is made inside out of the scopes around it", function()
    local t
    do
      local _ <close> = mare.scope()
      t = hold(function() return mare.ones(2) end)
      assert.is_false((mare.ones(2) + t):isclosed())
    end
    assert.same({1, 1}, t:totable())
  end)
end)

describe("limit", function()
  local function limited(bytes, f)
    live()
    mare.memory_trim()
    mare.memory_limit(mare.memory().live + bytes)
    local ok, why = pcall(f)
    mare.memory_limit()
    if not ok then error(why, 0) end
  end

  it("is an error that says how much, and all goes on", function()
    limited(10 * MB, function()
      fails("memory_spec.lua", function() mare.zeros(1024, 10240) end, "not enough memory",
        tostring(40 * MB), "limit")
      local x = mare.zeros(1024, 1024)
      assert.same(0, x:sum():item())
      fails("memory_spec.lua", function() return x:add(1):mul(x):add(x) + x:exp() * x:exp() end,
        "not enough memory")
      assert.same({2, 2}, (mare.ones(2) * 2):totable())
    end)
    assert.is_nil(mare.memory().limit)
    assert.same(1024 * 10240, mare.zeros(1024, 10240):numel())
  end)

  it("collects what was dropped before it gives up", function()
    limited(10 * MB, function()
      for _ = 1, 100 do mare.zeros(1024, 1024) end
      local x = mare.ones(512, 1024):requires_grad()
      for _ = 1, 50 do
        x:zero_grad()
        ;(x * 2):sum():backward()
      end
      assert.same(2, x.grad[{1, 1}]:item())
    end)
  end)

  it("collects for the working memory of functions, too", function()
    local x, w = mare.randn(4, 8, 64, 64), mare.randn(8, 8, 3, 3):requires_grad()
    local y = x:conv2d(w)
    local want = y:detach():tobytes()
    local calls = {
      conv2d = function() return x:conv2d(w) end,
      backward = function() x:conv2d(w):sum():backward() end,
      sort = function() return x:reshape(-1):sort() end,
      topk = function() return x:reshape(2, -1):topk(40000) end,
      svd = function() return mare.linalg.svd(x[{ 1, 1 }]) end,
    }
    collectgarbage()
    for name, call in pairs(calls) do
      -- Garbage is left in the way of what comes after it.
      for room = 4, 16, 6 do
        limited(room * MB, function()
          if pcall(call) then
            collectgarbage()
            for i = 1, 20 do
              local ok, why = pcall(call)
              demand(ok, "%s, %d MB, call %d: %s", name, room, i, tostring(why))
            end
          end
        end)
      end
    end
    assert.equal(want, x:conv2d(w):detach():tobytes())
  end)

  it("counts free blocks that are kept, and gives them back", function()
    live()
    mare.memory_trim()
    mare.empty(8 * MB):close()
    demand(mare.memory().cached >= 32 * MB, "%d bytes are kept", mare.memory().cached)
    local limit = mare.memory().live + 8 * MB
    mare.memory_limit(limit)
    local function held()
      local m = mare.memory()
      return m.live + m.scratch + m.cached
    end
    local ok, why = pcall(function()
      demand(held() <= limit, "%d bytes are held", held())
      for n = 1, 60 do
        mare.empty(n * 30000):close()
        demand(held() <= limit, "%d bytes are held, the limit is %d", held(), limit)
      end
    end)
    mare.memory_limit()
    if not ok then error(why, 0) end
  end)

  it("counts the working memory of functions", function()
    local x = mare.randn(MB)     -- results of 12 MB, 16 MB to work with
    limited(20 * MB, function()
      fails("memory_spec.lua", function() x:sort(1) end, "not enough memory")
    end)
    assert.same(0, mare.memory().scratch // MB)
    limited(40 * MB, function() assert.same(MB, x:sort(1):numel()) end)
    limited(40 * MB, function()
      fails(nil, function() mare.linalg.svd(mare.eye(1500, "f64")) end, "not enough memory")
    end)
  end)

  it("inside backward leaves everything usable", function()
    local x = mare.ones(256, 1024):requires_grad()
    limited(5 * MB, function()
      local y = (x * x * x * x * x):sum()
      local ok, why = pcall(y.backward, y)
      demand(ok or tostring(why):find("not enough memory", 1, true), "%s", why)
      if ok then error "the limit of this test is too high" end
    end)
    x:zero_grad()
    ;(x * x):sum():backward()
    assert.same(2, x.grad[{256, 1024}]:item())
  end)

  it("refuses nonsense", function()
    fails("memory_spec.lua", function() mare.memory_limit(-1) end, "'memory_limit'", "negative")
    fails("memory_spec.lua", function() mare.memory_limit(1.5) end, "'memory_limit'", "integer")
    fails("memory_spec.lua", function() mare.memory_limit "x" end, "'memory_limit'", "integer")
    mare.memory_limit()
  end)

  it("sizes that no machine has are errors before memory is asked for", function()
    local before = live()
    fails("memory_spec.lua", function() mare.zeros(2^40, 2^40) end,
      "1099511627776x1099511627776")
    fails("memory_spec.lua", function() mare.zeros(2^30, 2^30, 2^30, 2^30) end, "1073741824x")
    fails("memory_spec.lua", function() mare.empty(math.maxinteger) end)
    fails("memory_spec.lua", function() mare.empty(math.maxinteger // 8, "u8") end)
    fails("memory_spec.lua", function() mare.zeros(0, 2^62, 2^62) end)
    assert.same(before, live())
  end)
end)

describe("finalizers", function()
  it("may use tensors", function()
    local done, grad = 0, nil
    for i = 1, 50 do
      local t = mare.full({10}, i)
      setmetatable({}, {__gc = function()
        local s = (t + 1):sum()
        if s:item() == 10 * (i + 1) then done = done + 1 end
        t:close()
        local x = mare.ones(2):requires_grad()
        ;(x * x):sum():backward()
        grad = x.grad
      end})
    end
    for _ = 1, 400 do mare.zeros(64, 1024) end     -- pressure runs some of them
    live()
    assert.same(50, done)
    assert.same({2, 2}, grad:totable())
  end)

  it("that collect and close inside an operation do no harm", function()
    local x = mare.ones(64, 1024):requires_grad()
    local closed = 0
    local function trap()
      local victim = mare.zeros(64, 1024)
      setmetatable({}, {__gc = function()
        victim:close()
        collectgarbage()
        closed = closed + 1
        if closed < 30 then trap() end
      end})
    end
    trap()
    for _ = 1, 400 do
      local y = (x * 2):exp():sum()
      x:zero_grad()
      y:backward()
    end
    assert.is_true(math.abs(x.grad[{1, 1}]:item() - 2 * math.exp(2)) < 1e-4)
    live()
    assert.is_true(closed > 0)
    closed = 30
  end)

  it("cannot close what an operation is working on", function()
    for _ = 1, 300 do
      local x, w = mare.ones(64, 64), mare.ones(64, 64):requires_grad()
      setmetatable({x}, {__gc = function(t) t[1]:close() end})
      for _ = 1, 20 do
        local ok = pcall(function()
          local y = (x + 1):sum()
          ;(x * w):sum():backward()
          return x:t():matmul(w) + y
        end)
        if not ok then break end
      end
    end
  end)

  it("a tensor kept by one lives on", function()
    local saved
    do
      local t = mare.full({3}, 7)
      setmetatable({}, {__gc = function() saved = t end})
    end
    live()
    live()
    local ok, v = pcall(function() return saved:totable() end)
    assert.is_true(not ok or v[1] == 7)      -- closed or whole, never rubbish
  end)

  it("that run after the module's own find it closed", function()
    local code = "T = setmetatable({}, {__gc = function() io.write(tostring(" ..
      "pcall(require 'mare'.zeros, 3))) end}) ; require 'mare'.zeros(2)"
    local file = os.tmpname()
    local f = assert(io.open(file, "w"))
    f:write(code)
    f:close()
    local out = io.popen(("%s %s 2>&1; echo $?"):format(arg and arg[-1] or "lua5.4", file)):read "a"
    os.remove(file)
    assert.same("false0\n", out)
  end)
end)

describe("the module loaded twice", function()
  it("gives back what the first one makes", function()
    local loaded = {}
    for name, part in pairs(package.loaded) do
      if name == "mare" or name:find "^mare%." then loaded[name] = part end
    end
    for name in pairs(loaded) do package.loaded[name] = nil end
    local again = require "mare"
    for name in pairs(package.loaded) do
      if name == "mare" or name:find "^mare%." then package.loaded[name] = nil end
    end
    for name, part in pairs(loaded) do package.loaded[name] = part end
    local before = live()
    for _ = 1, 100 do mare.zeros(1000) end
    assert.same(before, live())
    assert.same({0, 0}, again.zeros(2):totable())
  end)
end)
