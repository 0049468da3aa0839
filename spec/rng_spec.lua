-- rng_spec.lua -- random numbers: Philox against its published vectors and, written once
-- more in Lua, against every fill; the same bits whatever the cut; distributions.

local mare = require "mare"
local core = require "mare.core"
local support = require "spec.support"

local flat, near, demand = support.flat, support.near, support.demand

-- -- Philox4x32-10 in Lua --------------------------------------------------------------

--- The four words that belong to a counter of four words under a key of two.
local function philox(c0, c1, c2, c3, k0, k1)
  for _ = 1, 10 do
    local a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
    c0, c1, c2, c3 = (b >> 32) ~ c1 ~ k0, b & 0xffffffff, (a >> 32) ~ c3 ~ k1, a & 0xffffffff
    k0, k1 = k0 + 0x9E3779B9 & 0xffffffff, k1 + 0xBB67AE85 & 0xffffffff
  end
  return c0, c1, c2, c3
end

local function block(key, counter, attempt)
  return philox(counter & 0xffffffff, counter >> 32, attempt or 0, 0, key & 0xffffffff, key >> 32)
end

--- Word r of the groups of sixteen blocks that begin at a counter, from 0 on.
local function words(key, counter, n)
  local list = {}
  for g = 0, (n - 1) // 64 do
    for lane = 0, 15 do
      local w = { block(key, counter + 16 * g + lane) }
      for j = 0, 3 do list[64 * g + 16 * j + lane] = w[j + 1] end
    end
  end
  return list
end

local function hex(...)
  return ("%08x %08x %08x %08x"):format(...)
end

-- -- what a fill should give -------------------------------------------------------------

local expected = {}

function expected.rand_f32(w, i) return (w[i] >> 8) * 2.0 ^ -24 end

local function bits53(hi, lo) return (hi >> 5) * 2.0 ^ 26 + (lo >> 6) end

--- Element i of f64 has its words in the same lane; two elements share a block.
local function place(i) return 64 * (i // 32) + i % 16, i // 16 % 2 end

function expected.rand_f64(w, i)
  local at, half = place(i)
  return bits53(w[at + 32 * half], w[at + 32 * half + 16]) * 2.0 ^ -53
end

--- Box and Muller; the upper two bits of a word are the quadrant.
local function normal(u, quadrant, angle, second)
  local r, t = math.sqrt(-2 * math.log(u)), quadrant * math.pi / 2 + angle
  return r * (second and math.sin(t) or math.cos(t))
end

local function signed(w) return w >= 2 ^ 31 and w - 2 ^ 32 or w end

function expected.randn_f32(w, i)
  local at = i - i // 16 % 2 * 16
  local u, t = (w[at] >> 1) * 2.0 ^ -31 + 2.0 ^ -32, w[at + 16]
  return normal(u, t >> 30, signed(t << 2 & 0xffffffff) * math.pi / 4 * 2.0 ^ -31, at ~= i)
end

function expected.randn_f64(w, i)
  local at, half = place(i)
  local u, t = (bits53(w[at], w[at + 16]) + 0.5) * 2.0 ^ -53, w[at + 32]
  local fine = signed(t << 2 & 0xffffffff) + (w[at + 48] >> 1) * 2.0 ^ -29
  return normal(u, t >> 30, fine * math.pi / 4 * 2.0 ^ -31, half == 1)
end

local function check(name, got, w, tolerance)
  local want = expected[name]
  for i, v in ipairs(flat(got)) do
    local e = want(w, i - 1)
    demand(near(v, e, tolerance), "%s: element %d is %.17g, expected %.17g", name, i, v, e)
  end
end

local seeds = { 0, 42, -1, 0x123456789abcdef0 }

describe("Philox", function()
  it("gives the published numbers", function()
    local f = 0xffffffff
    assert.equal("6627e8d5 e169c58d bc57ac4c 9b00dbd8", hex(philox(0, 0, 0, 0, 0, 0)))
    assert.equal("408f276d 41c83b0e a20bc7c6 6d5451fd", hex(philox(f, f, f, f, f, f)))
    assert.equal("d16cfe09 94fdcceb 5001e420 24126ea1", hex(philox(0x243f6a88, 0x85a308d3,
      0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0)))
  end)

  for _, seed in ipairs(seeds) do
    it(("is behind every fill, seed %d"):format(seed), function()
      local w = words(seed, 0, 1100)
      for _, n in ipairs { 1, 31, 64, 500 } do
        for _, dtype in ipairs { "f32", "f64" } do
          mare.seed(seed)
          check("rand_" .. dtype, mare.rand(n, dtype), w, 0)
          mare.seed(seed)
          check("randn_" .. dtype, mare.randn(n, dtype), w, dtype == "f32" and 5e-6 or 2e-14)
        end
      end
    end)
  end

  it("counts beyond 32 bits", function()
    for _, counter in ipairs { 0xfffffff8, 0xffffffff, 1 << 40 } do
      mare.rng_state(7, counter)
      check("rand_f32", mare.rand(100), words(7, counter, 128), 0)
    end
  end)

  it("goes on where the last draw ended", function()
    mare.rng_state(5, 0)
    local a, b = mare.rand(64), mare.rand(10, "f64")
    check("rand_f32", a, words(5, 0, 64), 0)
    check("rand_f64", b, words(5, 16, 64), 0)
    local key, counter = mare.rng_state()
    assert.same({ 5, 32 }, { key, counter })
  end)

  it("is the same on every instruction set", function()
    local isa = core.functions.isa
    local best, first = isa(), nil
    for _, name in ipairs { "base", "avx2", "avx512" } do
      if pcall(isa, name) then
        mare.seed(9)
        local x = { mare.rand(1001):tobytes(), mare.rand(1001, "f64"):tobytes(),
          mare.randn(1001):tobytes(), mare.randn(1001, "f64"):tobytes(),
          mare.randperm(1001):tobytes(), mare.randint(1, 9, 1001):tobytes() }
        isa(best)
        first = first or x
        assert.same(first, x)
      end
    end
  end)
end)

describe("random integers", function()
  --- Element i tries blocks (counter + i, 0), (counter + i, 1) ...
  local function integer(key, at, lo, span)
    for attempt = 0, 9 do
      local w0, w1 = block(key, at, attempt)
      local u = w1 << 32 | w0
      -- high and low half of the 128-bit product u * span, span below 2^62
      local a, b, c, d = u >> 32, u & 0xffffffff, span >> 32, span & 0xffffffff
      local mid = a * d + (b * d >> 32)
      local mid2 = b * c + (mid & 0xffffffff)
      local high, low = a * c + (mid >> 32) + (mid2 >> 32), u * span
      local reject = math.ult(low, span) and math.ult(low, (-span) % span)
      if not reject then return lo + high end
    end
  end

  it("are Lemire's, without bias", function()
    for _, range in ipairs { { 1, 1 }, { 0, 1 }, { -3, 6 }, { 1, 1 << 40 } } do
      mare.rng_state(11, 3)
      local got = flat(mare.randint(range[1], range[2], 300))
      for i, v in ipairs(got) do
        assert.equal(integer(11, 3 + i - 1, range[1], range[2] - range[1] + 1), v)
      end
    end
  end)

  it("reach every value, the ends included, and all of 64 bits", function()
    mare.seed(1)
    local seen = {}
    for _, v in ipairs(flat(mare.randint(-2, 3, 1000))) do seen[v] = (seen[v] or 0) + 1 end
    for v = -2, 3 do demand(seen[v] and seen[v] > 100, "%d came %s times", v, seen[v]) end
    local low, high = 0, 0
    for _, v in ipairs(flat(mare.randint(math.mininteger, math.maxinteger, 1000))) do
      if v < 0 then low = low + 1 else high = high + 1 end
    end
    demand(low > 400 and high > 400, "%d negative, %d not", low, high)
  end)
end)

describe("Bernoulli numbers", function()
  it("come from one word each, in any element type", function()
    local w = words(3, 0, 300)
    for _, p in ipairs { 0, 1e-9, 0.25, 0.8, 1 } do
      for _, dtype in ipairs { "f32", "f64", "i64", "u8" } do
        mare.seed(3)
        local x = flat(mare.zeros(300, dtype):bernoulli_(p, 2))
        for i, v in ipairs(x) do
          assert.equal(w[i - 1] < p * 2.0 ^ 32 and 2 or 0, v)
        end
      end
    end
  end)
end)

-- -- the cut does not matter -------------------------------------------------------------

describe("long fills", function()
  local n = 200001

  --- The first m elements of a long fill are those of a short one.
  local function prefix(make, m)
    mare.seed(77)
    local long = make(n):tobytes()
    mare.seed(77)
    local short = make(m):tobytes()
    demand(long:sub(1, #short) == short, "%d elements differ from the first of %d", m, n)
  end

  it("begin like short ones", function()
    for _, m in ipairs { 1, 63, 65, 32768, 32769, 100003 } do
      prefix(function(k) return mare.rand(k) end, m)
      prefix(function(k) return mare.rand(k, "f64") end, m)
      prefix(function(k) return mare.randn(k) end, m)
      prefix(function(k) return mare.randn(k, "f64") end, m)
      prefix(function(k) return mare.randint(1, 1000, k) end, m)
      prefix(function(k) return mare.zeros(k):bernoulli_(0.3) end, m)
    end
  end)

  it("are the same for any number of threads", function()
    local before, first = mare.threads(), nil
    for _, threads in ipairs { 1, 2, 4, 7 } do
      mare.threads(threads)
      mare.seed(12)
      local x = { mare.rand(n):tobytes(), mare.randn(n, "f64"):tobytes(),
        mare.randperm(n):tobytes(), mare.randint(0, 99, n):tobytes(),
        mare.zeros(n, "u8"):bernoulli_(0.5):tobytes() }
      first = first or x
      for i = 1, #x do demand(x[i] == first[i], "fill %d with %d threads", i, threads) end
    end
    mare.threads(before)
  end)
end)

-- -- distributions: one fixed seed each, so a failure is never luck ------------------------

--- The largest distance of a sample's distribution from F, times the root of its size
--- (Kolmogorov and Smirnov: above 1.95 one time in a thousand).
local function distance(list, F)
  table.sort(list)
  local n, most = #list, 0
  for i, v in ipairs(list) do
    local f = F(v)
    most = math.max(most, f - (i - 1) / n, i / n - f)
  end
  return most * math.sqrt(n)
end

--- Chi-square of counts that should be alike, as a deviation from its mean in sigmas.
local function unevenness(count, cells, n)
  local x, e = 0, n / cells
  for c = 1, cells do x = x + ((count[c] or 0) - e) ^ 2 / e end
  return (x - (cells - 1)) / math.sqrt(2 * (cells - 1))
end

local function counts(list, cell)
  local count = {}
  for i, v in ipairs(list) do
    local c = cell(v, i)
    count[c] = (count[c] or 0) + 1
  end
  return count
end

--- The normal distribution function (Abramowitz and Stegun 7.1.26, error below 2e-7).
local function phi(x)
  local t = 1 / (1 + 0.3275911 * math.abs(x) / math.sqrt(2))
  local p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027
    + t * 1.061405429)))) * math.exp(-x * x / 2)
  return x < 0 and p / 2 or 1 - p / 2
end

--- Mean, variance, skewness and kurtosis.
local function moments(list)
  local n, m, v, s, k = #list, 0, 0, 0, 0
  for _, x in ipairs(list) do m = m + x / n end
  for _, x in ipairs(list) do
    local d = x - m
    v, s, k = v + d * d / n, s + d ^ 3 / n, k + d ^ 4 / n
  end
  return m, v, s / v ^ 1.5, k / v ^ 2
end

describe("distributions", function()
  local n = 100000

  local function within(what, value, target, error)
    demand(math.abs(value - target) < error, "%s: %g, expected %g", what, value, target)
  end

  for _, dtype in ipairs { "f32", "f64" } do
    it("uniform, " .. dtype, function()
      mare.seed(2024)
      local x = flat(mare.rand(n, dtype))
      local m, v = moments(x)
      within("mean", m, 1 / 2, 4 * math.sqrt(1 / 12 / n))
      within("variance", v, 1 / 12, 4 * math.sqrt(1 / 180 / n))
      within("pairs", unevenness(counts(x, function(u, i)
        return (u * 32 // 1) * 32 + (x[i % n + 1] * 32 // 1) + 1
      end), 1024, n), 0, 4)
      within("distance", distance(x, function(u) return u end), 0, 1.95)
      demand(x[1] >= 0 and x[n] < 1, "from %g to %g", x[1], x[n])
    end)

    it("normal, " .. dtype, function()
      mare.seed(2025)
      local x = flat(mare.randn(n, dtype))
      local m, v, s, k = moments(x)
      within("mean", m, 0, 4 / math.sqrt(n))
      within("variance", v, 1, 4 * math.sqrt(2 / n))
      within("skewness", s, 0, 4 * math.sqrt(6 / n))
      within("kurtosis", k, 3, 4 * math.sqrt(24 / n))
      within("pairs", unevenness(counts(x, function(z, i)
        return (phi(z) * 32 // 1) * 32 + (phi(x[(i + 15) % n + 1]) * 32 // 1) + 1
      end), 1024, n), 0, 4)
      within("distance", distance(x, phi), 0, 1.95)
    end)
  end

  it("normal has tails", function()
    mare.seed(5)
    local x = mare.randn(4000000)
    within("beyond 4", x:abs():gt(4):sum():item(), 4e6 * 6.334e-5, 4 * math.sqrt(253))
    within("beyond 5", x:abs():gt(5):sum():item(), 4e6 * 5.733e-7, 5)
  end)

  it("scaled and shifted, and never the upper end", function()
    mare.seed(6)
    local u = mare.empty(n):uniform_(1, 1 + 2 ^ -20)
    demand(u:min():item() >= 1 and u:max():item() < 1 + 2 ^ -20, "%g", u:max():item())
    local x = flat(mare.empty(n, "f64"):normal_(3, 0.5))
    local m, v = moments(x)
    within("mean", m, 3, 2 / math.sqrt(n))
    within("variance", v, 0.25, math.sqrt(2 / n))
  end)

  it("integers are even", function()
    mare.seed(8)
    local x = flat(mare.randint(1, 100, n))
    within("chi-square", unevenness(counts(x, function(v) return v end), 100, n), 0, 4)
  end)
end)

describe("permutations", function()
  it("hold every number once", function()
    for _, n in ipairs { 0, 1, 2, 10, 1000, 65536, 65537, 100000, 300001 } do
      local p = mare.randperm(n)
      assert.equal("i64", p.dtype)
      assert.same({ n }, p.shape)
      if n > 0 then
        demand(p:sort():eq(mare.arange(1, n, "i64")):all():item() == 1, "%d numbers", n)
      end
    end
  end)

  it("of four come equally often", function()
    mare.seed(31)
    local count, number, k = {}, {}, 0
    for _ = 1, 24000 do
      local key = table.concat(flat(mare.randperm(4)), " ")
      if not number[key] then k = k + 1 number[key] = k end
      count[number[key]] = (count[number[key]] or 0) + 1
    end
    assert.equal(24, k)
    demand(math.abs(unevenness(count, 24, 24000)) < 4, "uneven")
  end)

  it("bring any place to any place, short and long", function()
    for _, n in ipairs { 60000, 70000, 1000000 } do
      mare.seed(32)
      local p = flat(mare.randperm(n))
      local count = counts(p, function(v, i)
        return (i - 1) * 32 // n * 32 + (v - 1) * 32 // n + 1
      end)
      local off = unevenness(count, 1024, n)
      demand(math.abs(off) < 4, "%d: %g sigmas", n, off)
      local fixed, rising = 0, 0
      for i = 1, n do
        if p[i] == i then fixed = fixed + 1 end
        if i > 1 and p[i] > p[i - 1] then rising = rising + 1 end
      end
      demand(fixed <= 6, "%d: %d fixed points", n, fixed)
      demand(math.abs(rising - n / 2) < 4 * math.sqrt(n / 12), "%d: %d rise", n, rising)
    end
  end)
end)
