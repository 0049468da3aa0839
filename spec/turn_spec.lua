-- turn_spec.lua -- transposed copies against the same elements picked by their positions:
-- odd shapes, steps, views, permutations, all element types and instruction sets; results
-- that go past the caches, whose rows begin anywhere in a cache line.

local mare = require "mare"
local core = require "mare.core".functions
local demand = require "spec.support".demand

-- the positions in memory, from 1, of the elements of a view of these sizes and steps
local function positions(shape, steps, start)
  local at = mare.full({1}, start, "i64")
  for d, n in ipairs(shape) do
    at = at:reshape(-1, 1) + mare.arange(0, n - 1, 1, "i64"):reshape(1, n) * steps[d]
  end
  return at:reshape(-1)
end

local function numbers(n, dtype)
  return (mare.arange(1, n, 1, "i64") % (dtype == "u8" and 251 or 1 << 24)):to(dtype)
end

-- what: for messages; picked: contiguous, one dimension
local function same(got, picked, what)
  demand(got:tobytes() == picked:tobytes(), "%s", what)
end

local function on_each_set(run)
  local now = core.isa()
  for _, name in ipairs {"base", "avx2", "avx512"} do
    if pcall(core.isa, name) then
      local ok, message = pcall(run)
      core.isa(now)
      demand(ok, "%s: %s", name, message)
    end
  end
end

-- rows x columns at `from`, every `by`-th row: transposed into a new tensor and a given one
local function check_matrix(rows, columns, dtype, from, by)
  local what = ("%s %dx%d from %d, every %d"):format(dtype, rows, columns, from, by)
  local x = numbers(from - 1 + rows * by * columns, dtype)
  local view = x:narrow(1, from, rows * by * columns):reshape(rows, by * columns):narrow(2, 1, columns)
  local picked = x:index_select(1, positions({columns, rows}, {1, by * columns}, from))
  same(view:t():contiguous(), picked, what)
  local memory = numbers(from + 2 + rows * columns, dtype)
  local given = memory:narrow(1, from, rows * columns):reshape(columns, rows)
  given:copy_(view:t())
  same(given, picked, what .. ", given")
  same(memory:narrow(1, from + rows * columns, 2),
    numbers(from + 2 + rows * columns, dtype):narrow(1, from + rows * columns, 2), what .. ", behind")
end

describe("a transposed copy", function()
  it("has the bits of the elements, for all types and sizes around those of squares", function()
    on_each_set(function()
      for _, dtype in ipairs {"f32", "f64", "i64", "u8"} do
        for _, s in ipairs {{7, 9}, {8, 8}, {15, 40}, {16, 16}, {17, 16}, {33, 100}, {300, 31}} do
          check_matrix(s[1], s[2], dtype, 1, 1)
          check_matrix(s[1], s[2], dtype, 4, 2)
        end
      end
    end)
  end)

  it("goes past the caches with rows that begin anywhere in a line", function()
    on_each_set(function()
      check_matrix(1000, 600, "f32", 1, 1)
      check_matrix(1023, 521, "f32", 2, 1)
      check_matrix(77, 7001, "f32", 3, 1)
      check_matrix(30001, 18, "f32", 1, 2)
      check_matrix(521, 509, "f64", 4, 1)
      check_matrix(1203, 1801, "u8", 6, 1)
    end)
  end)

  it("takes planes of more dimensions", function()
    for _, c in ipairs {{{5, 9, 20}, {3, 2, 1}}, {{5, 9, 20}, {1, 3, 2}}, {{3, 4, 9, 17}, {1, 3, 4, 2}},
        {{9, 2, 3, 19}, {4, 2, 3, 1}}, {{40, 33, 30, 20}, {1, 4, 2, 3}}} do
      local shape, order = table.unpack(c)
      local steps, n = {}, 1
      for d = #shape, 1, -1 do steps[d], n = n, n * shape[d] end
      local to, by = {}, {}
      for d, k in ipairs(order) do to[d], by[d] = shape[k], steps[k] end
      local x = numbers(n, "f32")
      same(x:reshape(shape):permute(table.unpack(order)):contiguous(),
        x:index_select(1, positions(to, by, 1)), table.concat(order, " "))
    end
  end)

  it("fills results with gaps, and no gaps", function()
    local x = numbers(60 * 50, "f32")
    local wide = mare.zeros(50, 70)
    wide:narrow(2, 5, 60):copy_(x:reshape(60, 50):t())
    same(wide:narrow(2, 5, 60):contiguous(), x:index_select(1, positions({50, 60}, {1, 50}, 1)), "gaps")
    demand(wide:narrow(2, 1, 4):abs():sum():item() == 0 and
      wide:narrow(2, 65, 6):abs():sum():item() == 0, "the gaps are written to")
  end)
end)

-- A result that no cache holds is stored past them, by lines where it begins in the middle of one.
describe("a result of more than 8 MB", function()
  it("is the one of its parts, wherever it begins", function()
    local now = core.isa()
    finally(function() core.isa(now) end)
    local n, part = 2200003, 100000
    for _, isa in ipairs { "base", "avx2", "avx512" } do
      local x = pcall(core.isa, isa) and core.isa() == isa and mare.randn(n)
      for _, first in ipairs(x and { 1, 2, 5, 9, 14 } or {}) do
        local y, want = mare.zeros(n + 20), mare.zeros(n + 20)
        mare.out.mul(y:narrow(1, first, n), x, x)
        for i = 1, n, part do
          local m = math.min(part, n - i + 1)
          local some = x:narrow(1, i, m)
          mare.out.mul(want:narrow(1, first + i - 1, m), some, some)
        end
        assert.is_true(y:tobytes() == want:tobytes(), isa .. " from " .. first)
      end
    end
  end)
end)
