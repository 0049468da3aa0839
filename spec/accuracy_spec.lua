-- accuracy_spec.lua -- f32 against f64: a million arguments, spread over all bit patterns,
-- for every row with one operand; sums of a million terms.  `make accuracy` looks at all
-- 2^32 arguments.

local mare = require "mare"
local core = require "mare.core".functions
local registry = require "mare.ops"
local demand = require "spec.support".demand

local LIMIT = 2              -- units of the last place
local STEP = 4099            -- between bit patterns
local FAR = 2.0 ^ 128        -- stands for infinity, one step above the largest f32

-- -- every row with one operand ----------------------------------------------------------

-- the f32 numbers of every STEP-th bit pattern
local function patterns()
  local bits = mare.arange(0, 2^32 - 1, STEP, "i64")
  return mare.frombytes(bits:tobytes(), "f32", {bits:numel(), 2}):select(2, 1):contiguous()
end

-- one unit of the last place of an f32 number near these f64 ones
local function unit(y)
  local exponent = mare.frombytes(y:abs():tobytes(), "i64"):idiv(1 << 52) - 1023
  return mare.exp2((exponent:maximum(-126) - 23):to "f64")
end

-- the largest error of y (f32) in units of the last place, and the argument it has
local function worst(x, y, want)
  local is_nan = want:ne(want)
  demand(is_nan:eq(y:ne(y)):all():item() == 1, "NaN differs")
  want = mare.where(is_nan, 0, want):clamp(-FAR, FAR)
  local got = mare.where(is_nan, 0, y):to "f64"
  local errors = (got:clamp(-FAR, FAR) - want):abs() / unit(want:clamp(-FAR / 2, FAR / 2))
  local largest, at = errors:max(1)
  return largest:item(), x[at:item()]:item()
end

local sets = {}
for _, name in ipairs {"base", "avx2", "avx512"} do
  local now = core.isa()
  if pcall(core.isa, name) then sets[#sets + 1] = name end
  core.isa(now)
end

-- the rows of one operand, and how many there are
local function rows()
  local list = {}
  for name, row in pairs(registry.rows) do
    if not row.structured and #row.args == 1 and row.kind ~= "logical" then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

describe("f32 is within two units of the last place of f64:", function()
  local x = patterns()
  local wide = x:to "f64"

  it("a million arguments of either sign, with both infinities near", function()
    demand(x:numel() > 1000000, "%d arguments", x:numel())
    demand(#rows() > 60, "%d rows", #rows())
    demand(x:lt(0):any():item() == 1 and x:ne(x):any():item() == 1, "no negative, no NaN")
  end)

  for _, name in ipairs(rows()) do
    it(name, function()
      if os.getenv "ASAN_OPTIONS" then -- the loops are instrumented, and no vectors
        pending "not under sanitizers"
        return
      end
      local now, f = core.isa(), registry.ops[name]
      local want = f(wide)
      for _, isa in ipairs(sets) do
        core.isa(isa)
        local y = f(x)
        core.isa(now)
        local error, at = worst(x, y, want)
        demand(error <= LIMIT, "%s: %.3f units at %.9g", isa, error, at)
      end
    end)
  end
end)

-- -- sums ------------------------------------------------------------------------------------

describe("a million terms", function()
  local N = 1000000

  local function close(got, want)
    demand(math.abs(got - want) <= 1e-6 * math.abs(want), "%.17g, expected %.17g", got, want)
  end

  -- numbers k / 2^20, whose sum is known exactly, in f32 without rounding
  local function terms(dtype)
    local k = mare.arange(1, N, "i64"):mul(7919):mod(1048576)
    local total = k:sum():item()
    return (k:to "f64" * 2.0 ^ -20):to(dtype), total * 2.0 ^ -20
  end

  for _, dtype in ipairs {"f32", "f64"} do
    it("add up in " .. dtype, function()
      local x, total = terms(dtype)
      close(x:sum():item(), total)
      close(x:mean():item(), total / N)
      close(x:reshape(2, N // 2):sum(2):sum():item(), total)
      close(x:reshape(N // 2, 2):sum(1):sum():item(), total)
      close(x:reshape(N // 2, 2):t():sum(2):sum():item(), total)
      close(x:cumsum(1)[-1]:item(), total)
      close(x:norm(1):item(), total)
      close((x * 0):logsumexp(1):item(), math.log(N))
      close((mare.ones({N}, dtype) * 0.1):sum():item(),
        N * (dtype == "f32" and require "spec.support".single(0.1) or 0.1))
    end)

    it("of both signs add up in " .. dtype, function()
      local x, total = terms(dtype)
      local both = mare.cat({x, -x, mare.tensor({1}, dtype)}, 1)
      close(both:sum():item(), 1)
      close((x - x:mean()):square():sum():item(),
        (x:to "f64" - total / N):square():sum():item())
      close(x:var():item(), x:to "f64":var():item())
      close(x:norm():item(), x:to "f64":norm():item())
    end)
  end
end)
