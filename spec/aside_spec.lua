-- aside_spec.lua -- long calls of LAPACK, which asks nobody: they run on a thread of their
-- own, so that a hook is called meanwhile and its error ends the call, not the work.

local mare = require "mare"
local support = require "spec.support"

local demand, live = support.demand, support.live
local linalg = mare.linalg

local function inside() return debug.getinfo(3, "S").source == "=mare" end

--- Runs f under a hook.  The longest time between two calls of it, as a part of the whole.
local function silence(f)
  local last = mare.clock()
  local start, most = last, 0
  local function heard()
    local now = mare.clock()
    last, most = now, math.max(most, now - last)
  end
  debug.sethook(heard, "", 1000)
  f()
  debug.sethook()
  heard()
  return most / (last - start)
end

--- Runs f under a hook that raises when it is called inside for the nth time: what pcall gave,
--- the time from there to the end, and that from the beginning.
local function interrupted(n, f)
  local start, raised = mare.clock(), nil
  debug.sethook(function()
    if inside() then n = n - 1 end
    if n > 0 then return end
    debug.sethook()
    raised = mare.clock()
    error("late", 0)
  end, "", 1000)
  local ok, got = pcall(f)
  debug.sethook()
  local now = mare.clock()
  return not ok and got == "late", now - (raised or now), now - start
end

--- The least of up to six measurements, or one that is small enough: others use the machine.
local function least(enough, measure)
  local best = math.huge
  for _ = 1, 6 do
    best = math.min(best, measure())
    if best < enough then break end
  end
  return best
end

local function spd(n)
  local a = mare.randn(n, n)
  return a:matmul(a:t()) + n * mare.eye(n)
end

--- Each makes operands of the size n and gives a function of them.
local long = {
  inv = function(n)
    local a = spd(n)
    return function() return linalg.inv(a) end
  end,
  solve = function(n)
    local a, b = spd(n), mare.randn(n, n // 3)
    return function() return linalg.solve(a, b) end
  end,
  slogdet = function(n)
    local a = mare.randn(n, n)
    return function() return (select(2, linalg.slogdet(a))) end
  end,
  eigh = function(n)
    local a = spd(n):to "f64"
    return function()
      local w, v = linalg.eigh(a)
      return mare.cat({ w, v:reshape(-1) }, 1)
    end
  end,
  eigvalsh = function(n)
    local a = spd(n)
    return function() return linalg.eigvalsh(a) end
  end,
  svd = function(n)
    local a = mare.randn(n, n * 4 // 5)
    return function()
      local u, s, vh = linalg.svd(a)
      return mare.cat({ u:reshape(-1), s, vh:reshape(-1) }, 1)
    end
  end,
  svdvals = function(n)
    local a = mare.randn(n, n + 100)
    return function() return linalg.svdvals(a) end
  end,
  qr = function(n)
    local a = mare.randn(n, n * 4 // 5)
    return function()
      local q, r = linalg.qr(a)
      return mare.cat({ q, r }, 1)
    end
  end,
  lstsq = function(n)
    local a, b = mare.randn(3 * n, n), mare.randn(3 * n, 3)
    return function() return linalg.lstsq(a, b) end
  end,
}

--- A call that takes 0.15 s or more here, and the bytes of what it gives.
local function long_call(make)
  local n = 400
  while true do
    mare.seed(1)
    local f = make(n)
    local start = mare.clock()
    local bytes = f():tobytes()
    if mare.clock() - start > 0.15 or n > 3000 then return f, bytes end
    n = n * 13 // 10
  end
end

describe("a long call of", function()
  for name, make in pairs(long) do
    it(name .. " asks, ends when told to, and gives the same afterwards", function()
      local f, want = long_call(make)
      local before = live()
      local part = least(0.6, function() return silence(f) end)
      demand(part < 0.7, "%.0f %% of it was silent", part * 100)
      local ended, rest, whole = false, nil, nil
      part = least(0.5, function()
        local this
        this, rest, whole = interrupted(2, f)
        ended = ended or this
        return this and rest / whole or 1
      end)
      demand(ended, "it was never interrupted")
      demand(part < 0.6, "it went on for %.0f ms of %.0f", rest * 1000, whole * 1000)
      demand(live() <= before, "%d bytes are lost", live() - before)
      assert.equal(0, mare.memory().scratch)
      assert.equal(want, f():tobytes())
    end)
  end

  it("an estimator", function()
    local x = mare.randn(3000, 500)
    local function fit() return mare.models.PCA { components = 20 }:fit(x) end
    fit()
    local ended
    for _ = 1, 10 do
      ended = interrupted(2, fit)
      if ended then break end
    end
    demand(ended, "it was never interrupted")
    fit()
  end)
end)

describe("work that was left", function()
  local a = spd(1500)
  local want = linalg.inv(a):tobytes()

  local function leave() return (interrupted(2, function() linalg.inv(a) end)) end

  it("is not waited for but by the fifth, and all have the same results", function()
    local n = 0
    for _ = 1, 12 do n = n + (leave() and 1 or 0) end
    demand(n > 0, "it was never interrupted")
    assert.equal(want, linalg.inv(a):tobytes())
    assert.equal(0, mare.memory().scratch)
  end)

  it("counts while it runs, and where the limit leaves no room is done in place", function()
    local most = 0
    live()
    debug.sethook(function() most = math.max(most, mare.memory().scratch) end, "", 1000)
    linalg.inv(a)
    debug.sethook()
    demand(most >= a:numel() * 4, "%d bytes were counted", most)
    mare.memory_trim()
    mare.memory_limit(mare.memory().live + a:numel() * 4 * 3 // 2)
    local ok, got = pcall(function() return linalg.inv(a):tobytes() end)
    mare.memory_limit()
    demand(ok, "%s", got)
    assert.equal(want, got)
  end)

  --- What a script in a process of its own prints, and how that ends.
  local function run(script)
    local path = os.tmpname()
    local f = assert(io.open(path, "w"))
    f:write(script)
    f:close()
    local pipe = io.popen("lua5.4 " .. path .. " 2>&1")
    local text = pipe:read "a"
    local _, how, code = pipe:close()
    os.remove(path)
    return text, how .. " " .. code
  end

  it("outlives its state, and the process ends in order", function()
    for _, last in ipairs { "", "os.exit(true, true)", "os.exit(0)", "error 'why'" } do
      local text, how = run(([[
        local mare = require "mare"
        local a, n = mare.randn(1500, 1500), 0
        for _ = 1, 2 do
          debug.sethook(function()
            if debug.getinfo(2, "S").source ~= "=mare" then return end
            n = n + 1
            if n %% 5 == 0 then error("late", 0) end
          end, "", 1000)
          local ok, got = pcall(mare.linalg.inv, a)
          debug.sethook()
          if not ok then io.write(got, " ") end
        end
        io.write "well"
        %s
      ]]):format(last))
      demand(text:find "late .*well", "%s", text)
      assert.equal(last:find "error" and "exit 1" or "exit 0", how)
    end
  end)
end)
