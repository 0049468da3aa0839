-- feed_spec.lua -- batches that a thread makes ahead of time: the same as those that are made
-- when they are asked for, whatever happens meanwhile, and a thread that ends with its loop.

local mare = require "mare"
local support = require "spec.support"
local data = mare.data

local here = "feed_spec.lua:"

local function same_tensor(a, b)
  assert.equal(a.dtype, b.dtype)
  assert.same(a.shape, b.shape)
  assert.is_true(a:tobytes() == b:tobytes())
end

-- Two parts of batches: tensors, lists of tensors or nothing.
local function same_part(a, b)
  if mare.is_tensor(a) or a == nil then
    if a == nil then return assert.is_nil(b) end
    return same_tensor(a, b)
  end
  assert.equal(#a, #b)
  for i = 1, #a do same_tensor(a[i], b[i]) end
end

local function with(opts, prefetch)
  local all = { prefetch = prefetch }
  for k, v in pairs(opts) do all[k] = v end
  return all
end

local function all_batches(ds, opts)
  local list = {}
  for x, y in ds:batches(opts) do list[#list + 1] = { x, y } end
  return list
end

-- Batches are the same for every number of them that is made ahead.
local function same_batches(ds, opts)
  local want = all_batches(ds, with(opts, 0))
  for _, ahead in ipairs { 1, 2, 7, 1000 } do
    local got = all_batches(ds, with(opts, ahead))
    assert.equal(#want, #got)
    for i, batch in ipairs(want) do
      same_part(batch[1], got[i][1])
      same_part(batch[2], got[i][2])
    end
  end
  return want
end

local function images(n)
  return mare.randint(0, 255, n * 12):to("u8"):reshape(n, 3, 4), mare.randint(1, 4, n)
end

-- The threads of this process, once they are as many as expected or a second has gone.
local function threads(expected)
  local count
  for _ = 1, 100 do
    for line in io.lines "/proc/self/status" do
      count = tonumber(line:match "^Threads:%s*(%d+)") or count
    end
    if count == expected then return count end
    os.execute "sleep 0.01"
  end
  return count
end

-- Ten batches of 100 rows of 1,000 values come where there is room for so many of them.
local function fits(ds, prefetch, room)
  local next_batch, _, _, feed = ds:batches { size = 100, prefetch = prefetch }
  mare.memory_limit(support.live() + room * 450000)
  for _ = 1, 10 do
    local one <close> = next_batch()
    assert.same({ 100, 1000 }, one.shape)
  end
  assert.is_nil(next_batch())
  mare.memory_limit(nil)
  feed:close()
end

describe("batches made ahead of time", function()
  it("are those that are made when they are asked for", function()
    local x, y = images(103)
    local ds = data.dataset(x, y)
    for _, opts in ipairs { { size = 10 }, { size = 10, shuffle = true, seed = 3 }, { size = 1 },
      { size = 103 }, { size = 1000 }, { size = 10, drop_last = true }, { size = 10, skip = 4 },
      { size = 10, skip = 11 }, { size = 10, skip = 1 << 60 }, { size = 200, drop_last = true } } do
      same_batches(ds, opts)
    end
    assert.equal(11, #same_batches(ds:subset(mare.randint(1, 103, 110)), { size = 10 }))
    same_batches(ds:weighted "balanced", { size = 9, seed = 1, epoch = 2 })
    same_batches(ds:augment { shift = 1, flip = true, noise = 0.1 }, { size = 9, seed = 1, shuffle = true })
    same_batches(data.dataset(x), { size = 10 })
    same_batches(data.dataset({ x, y }), { size = 10 })
    local several = data.dataset({ x, mare.randn(103, 2), y }, { y, mare.randn(103) })
    same_batches(several, { size = 10, shuffle = true, seed = 1 })
    same_batches(data.dataset({ x }, y), { size = 10 })
    same_batches(data.dataset(x, { y }), { size = 10 })
    assert.equal(0, #same_batches(ds:subset(mare.empty(0, "i64")), {}))
    assert.equal(3, #same_batches(data.dataset(mare.zeros(5, 0)), { size = 2 }))
  end)

  it("may be of tensors that stay in a file", function()
    local x, y = images(20000)
    local path = os.tmpname()
    assert(mare.save(path, { x = x, y = y }))
    local t = assert(mare.load(path, { mmap = true }))
    local opts = { size = 1000, shuffle = true, seed = 1 }
    local want = same_batches(data.dataset(x, y), opts)
    local got = all_batches(data.dataset(t.x, t.y), opts)
    for i, batch in ipairs(want) do same_part(batch[1], got[i][1]) end
    os.remove(path)
  end)

  it("show what is written meanwhile, like all others", function()
    for _, ahead in ipairs { 0, 1, 3 } do
      local x = mare.zeros(8, 2)
      local next_batch = data.dataset(x):batches { size = 2, prefetch = ahead }
      assert.equal(0, next_batch():sum():item())
      x:fill_(1)
      assert.equal(4, next_batch():sum():item())
      x[{ { 5, 6 }, {} }] = 3
      assert.equal(12, next_batch():sum():item())
      assert.equal(4, next_batch():sum():item())
      assert.is_nil(next_batch())
    end
  end)

  it("belong to the scope in which they are asked for", function()
    local x, y = images(100)
    local next_batch = data.dataset(x, y):batches { size = 10, prefetch = 3 }
    local kept
    do
      local scope <close> = mare.scope()
      local first = next_batch()
      kept = scope:keep(next_batch())
      assert.is_false(first:isclosed())
      scope:close()
      assert.is_true(first:isclosed())
    end
    assert.is_false(kept:isclosed())
    assert.is_false(next_batch():isclosed())
  end)

  it("are counted, freed, and never more than there is memory for", function()
    local x = mare.zeros(1000, 1000)
    local ds, live = data.dataset(x), support.live()
    local next_batch, _, _, feed = ds:batches { size = 100, prefetch = 4 }
    local batch = next_batch()
    assert.is_true(mare.memory().live - live >= 5 * 400000)
    feed:close()
    assert.is_nil(next_batch())
    batch:close()
    assert.equal(live, support.live())
    finally(function() mare.memory_limit(nil) end)
    for room = 1, 3 do fits(ds, 4, room) end
    next_batch = ds:batches { size = 100, prefetch = 4 }
    mare.memory_limit(support.live() + 1000)
    support.fails(here, function() next_batch() end, "not enough memory: 400000 bytes asked for")
    mare.memory_limit(nil)
    local n = 0
    for one in next_batch do n = n + one:size(1) end
    assert.equal(1000, n)
    n = nil -- luacheck: ignore
    next_batch, feed = nil, nil -- luacheck: ignore
    assert.equal(live, support.live())
  end)

  it("come from a thread that ends with the loop", function()
    if not io.open "/proc/self/status" then return pending "no /proc" end
    local x, y = images(1000)
    local ds, opts = data.dataset(x, y), { size = 10, prefetch = 2 }
    mare.ones(500, 500):sum() -- the pool has its threads
    all_batches(ds, opts)
    collectgarbage()
    local before, during = threads(), nil
    local function look() during = threads(before + 1) end
    local function ended()
      assert.equal(before + 1, during)
      assert.equal(before, threads(before))
      during = nil
    end
    for _ in ds:batches(opts) do if not during then look() end end
    ended()
    for i in ds:batches(opts) do
      look()
      if i then break end
    end
    ended()
    assert.is_false(pcall(function()
      for _ in ds:batches(opts) do look() error "x" end
    end))
    ended()
    local function wait()
      for _ in ds:batches(opts) do look() coroutine.yield() end
    end
    local thread = coroutine.create(wait)
    coroutine.resume(thread)
    coroutine.close(thread)
    ended()
    coroutine.wrap(wait)()
    collectgarbage()
    collectgarbage()
    ended()
    local next_batch = ds:batches(opts)
    next_batch()
    look()
    next_batch = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    ended()
  end)

  it("are whole after a hook has broken one off", function()
    local x = mare.randint(0, 255, 1000):to("u8"):reshape(1, 1000):expand(50000, 1000):contiguous()
    local ds = data.dataset(x)
    local want = ds:batch { 1 }
    for _, ahead in ipairs { 0, 1, false } do -- false: by the pool
      local next_batch, _, _, feed = ds:batches { size = 25000, prefetch = ahead or nil }
      local count, tries = 0, 0
      repeat
        local asked = false
        tries = tries + 1
        if tries <= 3 then debug.sethook(function()
          if debug.getinfo(2, "S").source ~= "=mare" and debug.getinfo(3, "S").source ~= "=mare" then return end
          debug.sethook()
          asked = true
          feed:close() -- is not closed under the call
          error("enough", 0)
        end, "", 1000) end
        local ok, batch = pcall(next_batch)
        debug.sethook()
        assert.equal(not asked, ok)
        if ok and batch then
          count = count + 1
          assert.equal(1, batch:eq(want):all():item())
          batch:close()
        elseif not ok then assert.equal("enough", batch) end
      until ok and not batch
      assert.equal(2, count)
    end
  end)

  it("are refused where the option makes no sense", function()
    local ds = data.dataset(images(10))
    for _, bad in ipairs { -1, 1.5, "x", true } do
      support.fails(here, function() ds:batches { prefetch = bad } end,
        "bad argument #1 to 'batches' (prefetch: whole number of at least 0 expected, got ")
    end
    support.fails(here, function() ds:batches { prefetch = 1001 } end,
      "bad argument #1 to 'batches' (prefetch: 0 to 1000 batches expected, got 1001)")
    local rows = data.generator(function() return function() end end)
    support.fails(here, function() rows:batches { prefetch = 1 } end, "unknown option 'prefetch'")
    local model = mare.nn.Linear(2, 1)
    local run = { data = rows, loss = mare.loss.mse, optimizer = mare.optim.sgd(model:parameters()), prefetch = 1 }
    support.fails(here, function() mare.train.fit(model, run) end,
      "prefetch: only the batches of a data set are made ahead of time")
    run.prefetch = "x"
    support.fails(here, function() mare.train.fit(model, run) end,
      "prefetch: whole number of at least 0 expected, got string")
  end)

  it("train a model to the same bits", function()
    local x, y = images(200)
    local function trained(prefetch)
      mare.seed(4)
      local nn = mare.nn
      local model = nn.Sequential { nn.Flatten(), nn.Linear(12, 4) }
      mare.train.fit(model, { data = data.dataset(x, y):augment { noise = 0.1 }, epochs = 3, seed = 7,
        loss = mare.loss.cross_entropy, optimizer = mare.optim.adam(model:parameters()),
        progress = false, prefetch = prefetch, accumulate = 2 })
      return model[2].weight:tobytes()
    end
    local want = trained(0)
    for _, ahead in ipairs { 1, 4 } do assert.equal(want, trained(ahead)) end
    assert.equal(want, trained())
  end)
end)

-- Those of data in memory are made by the pool, if they are large enough to be worth it.
describe("batches made between other jobs", function()
  local function wide(n)
    return mare.randint(0, 255, n * 300):to("u8"):reshape(n, 300), mare.randint(1, 9, n)
  end

  -- Batches as they come while the pool is given other work, and those made when asked for.
  local function same(ds, opts)
    local a, n = mare.randn(150, 150), 0
    local want = all_batches(ds, with(opts, 0))
    for x, y in ds:batches(opts) do
      n = n + 1
      a:matmul(a):exp():sum()
      same_part(want[n][1], x)
      same_part(want[n][2], y)
    end
    assert.equal(#want, n)
  end

  it("are those that are made when they are asked for", function()
    local x, y = wide(1010)
    local ds, before = data.dataset(x, y), mare.threads()
    finally(function() mare.threads(before) end)
    for _, threads_here in ipairs { 1, 4 } do
      mare.threads(threads_here)
      for _, opts in ipairs { { size = 100 }, { size = 100, shuffle = true, seed = 3 }, { size = 28 },
        { size = 100, drop_last = true }, { size = 100, skip = 9 }, { size = 5000 } } do
        same(ds, opts)
      end
      same(ds:weighted "balanced", { size = 64, seed = 1, epoch = 2 })
      same(data.dataset({ x, mare.randn(1010, 20), y }, { y, mare.randn(1010, "f64") }),
        { size = 64, shuffle = true, seed = 1 })
      same(data.dataset(mare.randn({ 1010, 40 }, "f64"), y), { size = 64 })
      same(data.dataset(mare.randint(0, 9, 1010 * 30):reshape(1010, 30)), { size = 64 })
    end
  end)

  it("show what is written meanwhile", function()
    local x = mare.zeros(400, 200)
    local next_batch = data.dataset(x):batches { size = 100 }
    for k = 1, 4 do
      x:fill_(k)
      assert.equal(k * 20000, next_batch():sum():item())
    end
    assert.is_nil(next_batch())
  end)

  it("may be left at any time, and are freed", function()
    local x, y = wide(2000)
    local ds = data.dataset(x, y)
    mare.ones(500, 500):sum() -- the pool has its threads
    collectgarbage()
    collectgarbage()
    local live = support.live()
    for k = 1, 40 do
      local next_batch, _, _, feed = ds:batches { size = 100 + k }
      for _ = 1, k % 5 do next_batch() end
      if k % 2 == 0 then feed:close() end
    end
    for batch in ds:batches { size = 100 } do if batch then break end end
    collectgarbage()
    collectgarbage()
    assert.equal(live, support.live())
    local open = {} -- more at once than the pool has room for
    for k = 1, 12 do
      open[k] = ds:batches { size = 100, shuffle = true, seed = k }
      open[k]()
    end
    for k = 1, 12 do
      local want = all_batches(ds, { size = 100, shuffle = true, seed = k, prefetch = 0 })
      for i = 2, #want do same_part(want[i][1], (open[k]())) end
      assert.is_nil(open[k]())
    end
  end)

  it("need no more memory than there is", function()
    local x = mare.zeros(1000, 1000)
    local ds = data.dataset(x)
    finally(function() mare.memory_limit(nil) end)
    for room = 1, 2 do fits(ds, nil, room) end
  end)
end)
