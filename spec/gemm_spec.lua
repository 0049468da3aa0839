-- gemm_spec.lua -- matrix products against the triple loop in Lua: every layout, batches,
-- vectors, empty operands, both element types, each instruction set, any number of threads.

local mare = require "mare"
local core = require "mare.core"
local support = require "spec.support"

local flat, same, demand, fails = support.flat, support.same, support.demand, support.fails

local tolerance = { f32 = 2e-5, f64 = 1e-12 }

-- -- the oracle --------------------------------------------------------------------------

--- The product of two 2-d tensors as a list of numbers in row-major order.
local function plain(a, b)
  local m, k, n = a.shape[1], a.shape[2], b.shape[2]
  local x, y, list = flat(a:contiguous()), flat(b:contiguous()), {}
  for i = 0, m - 1 do
    for j = 1, n do
      local sum = 0.0
      for p = 0, k - 1 do sum = sum + x[i * k + p + 1] * y[p * n + j] end
      list[i * n + j] = sum
    end
  end
  return list
end

local function shape_text(t) return table.concat(t.shape, "x") end

local function check(a, b, what)
  local y = a:matmul(b)
  demand(shape_text(y) == a.shape[1] .. "x" .. b.shape[2], "%s: shape %s", what, shape_text(y))
  same(flat(y), plain(a, b), tolerance[a.dtype] * (1 + a.shape[2] / 100),
    ("%s, %s times %s %s"):format(what, shape_text(a), shape_text(b), a.dtype))
end

-- Makers of an (m, n) tensor that differ in where its numbers lie.
local layouts = {
  contiguous = function(m, n, dtype) return mare.randn(m, n, dtype) end,
  transposed = function(m, n, dtype) return mare.randn(n, m, dtype):t() end,
  window = function(m, n, dtype) return mare.randn(m + 3, n + 5, dtype):narrow(1, 2, m):narrow(2, 3, n) end,
  steps = function(m, n, dtype) return mare.randn(2 * m, 3 * n, dtype)["::2, ::3"] end,
  ["transposed steps"] = function(m, n, dtype) return mare.randn(3 * n, 2 * m, dtype)["::3, ::2"]:t() end,
  ["one row repeated"] = function(m, n, dtype) return mare.randn(1, n, dtype):expand(m, n) end,
  ["one column repeated"] = function(m, n, dtype) return mare.randn(m, 1, dtype):expand(m, n) end,
}

local names = {}
for name in pairs(layouts) do names[#names + 1] = name end
table.sort(names)

local shapes = {
  { 1, 1, 1 }, { 2, 2, 2 }, { 4, 8, 2 }, { 1, 9, 33 }, { 33, 1, 9 }, { 3, 5, 7 }, { 13, 17, 16 },
  { 16, 31, 15 }, { 5, 65, 40 }, { 40, 6, 70 }, { 25, 50, 3 }, { 2, 3, 600 },
}

-- -- 2-d -----------------------------------------------------------------------------------

describe("matmul of matrices", function()
  for _, dtype in ipairs { "f32", "f64" } do
    for _, left in ipairs(names) do
      it(("agrees with the triple loop, %s, left operand %s"):format(dtype, left), function()
        for _, right in ipairs(names) do
          for _, s in ipairs(shapes) do
            local a, b = layouts[left](s[1], s[3], dtype), layouts[right](s[3], s[2], dtype)
            check(a, b, left .. " by " .. right)
          end
        end
      end)
    end
  end

  it("agrees for sizes that are cut into pieces", function()
    for _, s in ipairs { { 130, 140, 70 }, { 300, 37, 64 }, { 20, 300, 130 }, { 64, 300, 33 } } do
      for _, dtype in ipairs { "f32", "f64" } do
        check(mare.randn(s[1], s[3], dtype), mare.randn(s[3], s[2], dtype), "contiguous")
        check(layouts.transposed(s[1], s[3], dtype), layouts.steps(s[3], s[2], dtype), "strided")
        check(layouts.window(s[1], s[3], dtype), layouts.transposed(s[3], s[2], dtype), "strided")
      end
    end
  end)

  it("agrees on every instruction set", function()
    local isa = core.functions.isa
    local best = isa()
    for _, name in ipairs { "base", "avx2", "avx512" } do
      if pcall(isa, name) then
        local ok, message = pcall(function()
          for _, s in ipairs(shapes) do
            for _, layout in ipairs { "contiguous", "transposed", "window" } do
              for _, dtype in ipairs { "f32", "f64" } do
                check(layouts[layout](s[1], s[3], dtype), layouts.contiguous(s[3], s[2], dtype), name)
                check(layouts.contiguous(s[1], s[3], dtype), layouts[layout](s[3], s[2], dtype), name)
              end
            end
          end
          check(mare.randn(70, 80), mare.randn(80, 90), name)
          check(mare.randn(70, 80, "f64"), mare.randn(90, 80, "f64"):t(), name)
        end)
        isa(best)
        demand(ok, "%s: %s", name, message)
      end
    end
  end)

  it("is empty or zero when a size is zero", function()
    for _, dtype in ipairs { "f32", "f64" } do
      assert.same({ 0, 3 }, mare.zeros(0, 4, dtype):matmul(mare.zeros(4, 3, dtype)).shape)
      assert.same({ 3, 0 }, mare.zeros(3, 4, dtype):matmul(mare.zeros(4, 0, dtype)).shape)
      local y = mare.zeros(2, 0, dtype):matmul(mare.zeros(0, 3, dtype))
      assert.same({ 0, 0, 0, 0, 0, 0 }, flat(y))
      assert.same({ 0, 2, 3 }, mare.zeros(0, 2, 4, dtype):matmul(mare.zeros(4, 3, dtype)).shape)
    end
  end)

  it("lets NaN and infinity through, and only where they belong", function()
    for _, n in ipairs { 3, 20, 100 } do
      local a, b = mare.ones(n, n), mare.ones(n, n)
      a[{ 2, 3 }] = 0 / 0
      b[{ 1, 2 }] = math.huge
      local y = flat(a:matmul(b))
      for i = 1, n do
        for j = 1, n do
          local v = y[(i - 1) * n + j]
          if i == 2 then demand(v ~= v, "%d,%d is %g", i, j, v)
          else demand(v == (j == 2 and math.huge or n), "%d,%d is %g", i, j, v) end
        end
      end
    end
  end)
end)

-- -- vectors and batches --------------------------------------------------------------------

describe("matmul of vectors", function()
  it("is a number, a row or a column", function()
    for _, n in ipairs { 1, 5, 100, 1000 } do
      local a, b, w = mare.randn(n), mare.randn(n), mare.randn(n, 7)
      local dot = a:matmul(b)
      assert.same({}, dot.shape)
      same({ dot:item() }, plain(a:reshape(1, n), b:reshape(n, 1)), 1e-4, "dot")
      local row = a:matmul(w)
      assert.same({ 7 }, row.shape)
      same(flat(row), plain(a:reshape(1, n), w), 1e-4, "row")
      local column = w:t():matmul(b)
      assert.same({ 7 }, column.shape)
      same(flat(column), plain(w:t(), b:reshape(n, 1)), 1e-4, "column")
    end
  end)
end)

describe("matmul of batches", function()
  local function each(a, b, what)
    local y = a:matmul(b)
    local n = y.shape[1]
    for i = 1, n do
      local x = a:dim() == 3 and a[a.shape[1] == 1 and 1 or i] or a
      local w = b:dim() == 3 and b[b.shape[1] == 1 and 1 or i] or b
      same(flat(y[i]), plain(x, w), tolerance[a.dtype], ("%s, product %d"):format(what, i))
    end
  end

  for _, dtype in ipairs { "f32", "f64" } do
    it("is one product for each index, " .. dtype, function()
      for _, s in ipairs { { 1, 1, 1 }, { 3, 4, 5 }, { 20, 30, 16 } } do
        local m, n, k = s[1], s[2], s[3]
        each(mare.randn(4, m, k, dtype), mare.randn(4, k, n, dtype), "same batch")
        each(mare.randn(4, m, k, dtype), mare.randn(1, k, n, dtype), "right repeated")
        each(mare.randn(1, m, k, dtype), mare.randn(4, k, n, dtype), "left repeated")
        each(mare.randn(4, m, k, dtype), mare.randn(k, n, dtype), "matrix on the right")
        each(mare.randn(m, k, dtype), mare.randn(4, k, n, dtype), "matrix on the left")
        each(mare.randn(4, k, m, dtype):transpose(2, 3), mare.randn(4, n, k, dtype):transpose(2, 3), "transposed")
        each(mare.randn(k, 4, m, dtype):permute(2, 3, 1), mare.randn(k, n, 4, dtype):permute(3, 1, 2), "permuted")
      end
    end)
  end

  it("has as many leading dimensions as wanted", function()
    local a, b = mare.randn(2, 3, 4, 5), mare.randn(3, 5, 6)
    local y = a:matmul(b)
    assert.same({ 2, 3, 4, 6 }, y.shape)
    for i = 1, 2 do
      for j = 1, 3 do same(flat(y[i][j]), plain(a[i][j], b[j]), 1e-5, "product") end
    end
  end)

  it("takes a batch long enough for several pieces", function()
    local a, b = mare.randn(100, 32, 24), mare.randn(100, 24, 32)
    local y = a:matmul(b)
    for _, i in ipairs { 1, 50, 99, 100 } do same(flat(y[i]), plain(a[i], b[i]), 1e-5, "product") end
  end)
end)

-- -- linear ---------------------------------------------------------------------------------

describe("linear", function()
  it("is x w' plus the bias in every row", function()
    for _, dtype in ipairs { "f32", "f64" } do
      for _, s in ipairs { { 1, 3, 2 }, { 1, 10, 256 }, { 16, 100, 56 }, { 5, 1, 8 }, { 130, 70, 90 } } do
        local n, k, c = s[1], s[2], s[3]
        local x, w, bias = mare.randn(n, c, dtype), mare.randn(k, c, dtype), mare.randn(k, dtype)
        local want, added = plain(x, w:t()), flat(bias)
        same(flat(mare.linear(x, w)), want, tolerance[dtype] * (1 + c / 100), "without bias")
        for i = 1, #want do want[i] = want[i] + added[(i - 1) % k + 1] end
        same(flat(mare.linear(x, w, bias)), want, tolerance[dtype] * (1 + c / 100), "with bias")
      end
    end
  end)
end)

-- -- threads ----------------------------------------------------------------------------------

describe("a product", function()
  it("has the same bits for any number of threads", function()
    local before = mare.threads()
    local a, b, c = mare.randn(300, 500), mare.randn(500, 260), mare.randn(260, 500)
    local x, w, bias = mare.randn(128, 784), mare.randn(256, 784), mare.randn(256)
    local d, e = mare.randn(40, 60, 50, "f64"), mare.randn(40, 50, 60, "f64")
    local tall, deep = mare.randn(2000, 12), mare.randn(2000, 10)
    local first
    for _, threads in ipairs { 1, 2, 4, 3 } do
      mare.threads(threads)
      local bits = table.concat {
        a:matmul(b):tobytes(), a:matmul(c:t()):tobytes(), mare.linear(x, w, bias):tobytes(),
        d:matmul(e):tobytes(), tall:t():matmul(deep):tobytes(),
      }
      first = first or bits
      demand(bits == first, "%d threads give other bits", threads)
    end
    mare.threads(before)
  end)
end)

describe("a large product", function()
  local by_loop = require "mare.core".functions.matmul_plain

  -- sizes around the edges of tiles and of the pieces that threads take
  for _, size in ipairs { {97, 131, 257}, {256, 784, 32}, {33, 10, 1000}, {300, 301, 302} } do
    it(("%dx%d from %d equals the triple loop"):format(table.unpack(size)), function()
      local m, n, k = table.unpack(size)
      for dtype, allowed in pairs { f32 = 2e-5, f64 = 1e-13 } do
        local a, b = mare.randn(k, m, dtype):t(), mare.randn(k, n, dtype)
        local want = by_loop(a, b)
        local worst = (a:matmul(b) - want):abs():max():item()
        assert.is_true(worst <= allowed * want:abs():max():item(), dtype .. ": " .. worst)
      end
    end)
  end
end)

-- -- errors -----------------------------------------------------------------------------------

describe("a wrong product", function()
  it("names both shapes and the sizes that do not align", function()
    local a, b = mare.zeros(3, 4), mare.zeros(5, 6)
    fails("gemm_spec.lua:", function() a:matmul(b) end, "matmul", "3x4", "5x6", "do not align", "4", "5")
    fails(nil, function() a:matmul(mare.zeros(3)) end, "matmul", "3x4")
    fails(nil, function() mare.zeros(3):matmul(a:t()) end, "matmul", "4x3")
    fails(nil, function() mare.linear(a, b) end, "linear", "3x4", "5x6")
    fails(nil, function() mare.linear(a, mare.zeros(2, 4), mare.zeros(3)) end, "linear")
  end)

  it("names batches that do not broadcast", function()
    fails(nil, function() mare.zeros(2, 3, 4):matmul(mare.zeros(3, 4, 5)) end, "matmul", "2x3x4", "3x4x5")
  end)

  it("names element types that differ", function()
    fails(nil, function() mare.zeros(2, 2):matmul(mare.zeros(2, 2, "f64")) end, "matmul", "f32", "f64")
    fails(nil, function() mare.zeros(2, 2, "i64"):matmul(mare.zeros(2, 2, "i64")) end, "matmul", "i64")
    fails(nil, function() mare.zeros(2, 2):matmul(3) end, "matmul")
    fails(nil, function() mare.tensor(1.5):matmul(mare.zeros(2, 2)) end, "matmul")
  end)
end)
