-- linalg_spec.lua -- mare.linalg against numpy (fixtures/linalg.lua), against itself in
-- sizes that cross the blocks of the engine, and what it refuses.  Its derivatives are
-- checked with those of the other rows, in structured_spec.lua.

local mare = require "mare"
local support = require "spec.support"

local la = mare.linalg
local flat, same, demand, fails = support.flat, support.same, support.demand, support.fails
local huge = math.huge

local function tensor(v, dtype)
  if type(v) ~= "table" or not v.shape then return v end
  return mare.tensor(#v > 0 and {table.unpack(v)} or v[1], dtype):reshape(v.shape)
end

local function T(x) return x:transpose(-1, -2) end

-- a matrix product is what it should be, to `tolerance` of its largest element
local function near(got, want, tolerance, what)
  demand(table.concat(got.shape, "x") == table.concat(want.shape, "x"), "%s: shape %s", what,
    table.concat(got.shape, "x"))
  if want:numel() == 0 then return end
  local apart = (got - want):abs():max():item()
  demand(apart <= tolerance * (1 + want:abs():max():item()), "%s: %g apart", what, apart)
end

local function identity(n, dtype) return mare.eye(n, dtype) end

describe("linalg agrees with numpy:", function()
  local tolerance = {f64 = 1e-11, f32 = 2e-4}
  local runs = {}
  for i, entry in ipairs(dofile "spec/fixtures/linalg.lua") do
    local name = entry[1]
    runs[name] = runs[name] or {}
    table.insert(runs[name], {i, table.unpack(entry, 2)})
  end

  local function check(name, dtype, i, n, args, want)
    local given = {}
    for k = 1, n do given[k] = tensor(args[k], dtype) end
    local got = {la[name](table.unpack(given, 1, n))}
    for k, w in ipairs(want) do
      local what = ("%s, entry %d, result %d in %s"):format(name, i, k, dtype)
      demand(got[k].dtype == "i64" or got[k].dtype == dtype, "%s: %s", what, got[k].dtype)
      if type(w) == "table" then
        demand(table.concat(got[k].shape, "x") == table.concat(w.shape, "x"), "%s: shape", what)
      end
      same(flat(got[k]), type(w) == "table" and {table.unpack(w)} or {w}, tolerance[dtype], what)
    end
  end

  for name, list in pairs(runs) do
    it(name, function()
      for _, run in ipairs(list) do
        check(name, "f64", table.unpack(run))
        check(name, "f32", table.unpack(run))
      end
    end)
  end

  it("every function is there", function()
    for name in pairs(la) do demand(runs[name], "%s has no fixture", name) end
  end)
end)

describe("linalg in sizes across its blocks:", function()
  local function each(f)
    for _, n in ipairs {1, 2, 31, 32, 33, 64, 65, 127, 128, 129, 192, 257, 300} do
      for dtype, tolerance in pairs {f64 = 1e-12, f32 = 5e-5} do f(n, dtype, tolerance) end
    end
  end

  setup(function() mare.seed(7) end)

  local function positive(n, dtype)
    local x = mare.randn(n, n, dtype)
    return x:matmul(x:t()) / n + identity(n, dtype)
  end

  it("cholesky", function()
    each(function(n, dtype, tolerance)
      local a = positive(n, dtype)
      local l = la.cholesky(a)
      near(l:matmul(l:t()), a, tolerance, "l l', " .. n)
      for i = 1, n - 1, 13 do
        demand(l[i]:narrow(1, i + 1, n - i):abs():sum():item() == 0, "%d: above the diagonal", n)
      end
    end)
  end)

  it("cholesky reads the lower triangle only", function()
    for _, n in ipairs {5, 300} do
      local a = positive(n, "f64")
      local i = mare.arange(1, n, "i64")
      local spoilt = mare.where(i:unsqueeze(2):ge(i), a, 7)
      same(flat(la.cholesky(spoilt)), flat(la.cholesky(a)), 0, "cholesky")
    end
  end)

  it("solve_triangular, with one and many right sides", function()
    each(function(n, dtype, tolerance)
      local l = la.cholesky(positive(n, dtype))
      local i = mare.arange(1, n, "i64")
      local junk = mare.where(i:unsqueeze(2):lt(i), 5, l)      -- what is not read
      for _, k in ipairs {1, 3, 64, 65, 130} do
        local b = mare.randn(n, k, dtype)
        near(l:matmul(la.solve_triangular(junk, b)), b, tolerance, "lower " .. n)
        near(T(l):matmul(la.solve_triangular(T(junk), b, true)), b, tolerance, "upper " .. n)
      end
    end)
  end)

  it("solve and inv", function()
    each(function(n, dtype, tolerance)
      local a = mare.randn(n, n, dtype) + identity(n, dtype) * (3 * n ^ 0.5)
      local b = mare.randn(n, 3, dtype)
      near(a:matmul(la.solve(a, b)), b, tolerance, "solve")
      near(a:matmul(la.inv(a)), identity(n, dtype), tolerance, "inv")
    end)
  end)

  it("eigh, svd and qr", function()
    each(function(n, dtype, tolerance)
      local a = mare.randn(n, n, dtype)
      a = a + a:t()
      local w, v = la.eigh(a)
      near((v * w):matmul(v:t()), a, tolerance, "eigh")
      near(v:t():matmul(v), identity(n, dtype), tolerance, "v'v")
      near(la.eigvalsh(a), w, tolerance, "eigvalsh")
      local tall = mare.randn(n + 20, n, dtype)
      for _, x in ipairs {tall, T(tall)} do
        local u, s, vh = la.svd(x)
        near((u * s):matmul(vh), x, tolerance, "svd")
        near(T(u):matmul(u), identity(n, dtype), tolerance, "u'u")
        near(vh:matmul(T(vh)), identity(n, dtype), tolerance, "vh vh'")
        near(la.svdvals(x), s, tolerance, "svdvals")
        local q, r = la.qr(x)
        near(q:matmul(r), x, tolerance, "qr")
        near(T(q):matmul(q), identity(n, dtype), tolerance, "q'q")
      end
    end)
  end)

  it("the bits do not depend on the number of threads", function()
    local before = mare.threads()
    local a, b = positive(300, "f32"), mare.randn(300, 200)
    local first
    for _, n in ipairs {1, 2, 5} do
      mare.threads(n)
      local l = la.cholesky(a)
      local w, v = la.eigh(a)
      local bytes = l:tobytes() .. la.solve_triangular(l, b):tobytes() .. w:tobytes()
        .. v:tobytes() .. la.inv(a):tobytes()
      first = first or bytes
      demand(bytes == first, "other bits with %d threads", n)
    end
    mare.threads(before)
  end)
end)

describe("linalg and shapes:", function()
  it("operands of any strides", function()
    local a = mare.randn(4, 4, "f64") + identity(4, "f64") * 5
    local wide = mare.zeros(4, 8, "f64")
    wide[{{}, {2, 8, 2}}] = a
    local part = wide[{{}, {2, 8, 2}}]
    same(flat(la.inv(part)), flat(la.inv(a)), 0, "inv")
    same(flat(la.solve(a:t():contiguous():t(), part)), flat(la.solve(a, a)), 0, "solve")
    same(flat(la.solve_triangular(part, part:t())), flat(la.solve_triangular(a, a:t())), 0,
      "solve_triangular")
    same(flat(la.inv(a:expand(3, 4, 4))[3]), flat(la.inv(a)), 0, "an expanded batch")
  end)

  it("the operands stay as they were", function()
    local a, b = mare.tensor({{4, 1}, {1, 3}}, "f64"), mare.tensor({1, 2}, "f64")
    for _, name in ipairs {"cholesky", "inv", "det", "slogdet", "eigh", "eigvalsh", "svd",
      "svdvals", "qr", "pinv"} do
      la[name](a)
    end
    la.solve(a, b) la.solve_triangular(a, b) la.lstsq(a, b)
    same(flat(a), {4, 1, 1, 3}, 0, "a")
    same(flat(b), {1, 2}, 0, "b")
  end)

  it("empty matrices and empty batches", function()
    for _, dtype in ipairs {"f32", "f64"} do
      local none, batch = mare.zeros(0, 0, dtype), mare.zeros(0, 3, 3, dtype)
      local function shaped(x, want) assert.equal(want, table.concat(x.shape, "x")) end
      for _, name in ipairs {"cholesky", "inv", "pinv"} do
        shaped(la[name](none), "0x0")
        shaped(la[name](batch), "0x3x3")
      end
      assert.equal(1, la.det(none):item())
      shaped(la.det(batch), "0")
      local sign, log = la.slogdet(none)
      assert.equal(1, sign:item())
      assert.equal(0, log:item())
      local w, v = la.eigh(none)
      shaped(w, "0")
      shaped(v, "0x0")
      shaped(la.eigvalsh(batch), "0x3")
      local u, s, vh = la.svd(mare.zeros(4, 0, dtype))
      shaped(u, "4x0")
      shaped(s, "0")
      shaped(vh, "0x0")
      local q, r = la.qr(mare.zeros(0, 3, dtype))
      shaped(q, "0x0")
      shaped(r, "0x3")
      shaped(la.solve(none, mare.zeros(0, 2, dtype)), "0x2")
      shaped(la.solve(identity(3, dtype), mare.zeros(3, 0, dtype)), "3x0")
      shaped(la.solve_triangular(identity(3, dtype), mare.zeros(3, 0, dtype)), "3x0")
      shaped(la.pinv(mare.zeros(4, 0, dtype)), "0x4")
      assert.equal(0, la.matrix_rank(none):item())
      local x, rank, s2 = la.lstsq(mare.zeros(0, 2, dtype), mare.zeros(0, 3, dtype))
      same(flat(x), {0, 0, 0, 0, 0, 0}, 0, "the smallest solution")
      assert.equal(0, rank:item())
      shaped(s2, "0")
      shaped((la.lstsq(identity(3, dtype), mare.zeros(3, 0, dtype))), "3x0")
      shaped((la.lstsq(batch, mare.zeros(3, dtype))), "0x3")
    end
  end)

  it("a stack of a thousand small matrices", function()
    local a = mare.randn(1000, 3, 3, "f64")
    a = a + T(a)
    local w, v = la.eigh(a)
    near((v * w:unsqueeze(2)):matmul(T(v)), a, 1e-13, "eigh")
  end)
end)

describe("linalg at its edges:", function()
  local function f64(t) return mare.tensor(t, "f64") end

  it("a singular matrix has determinant 0 and log -infinity", function()
    local a = f64 {{1, 2}, {2, 4}}
    assert.equal(0, la.det(a):item())
    local sign, log = la.slogdet(a)
    assert.equal(0, sign:item())
    assert.equal(-huge, log:item())
    assert.equal(huge, la.cond(f64 {{1, 0}, {0, 0}}):item())
  end)

  it("determinants beyond the range of numbers have a logarithm", function()
    local a = mare.eye(200, "f64") * 1e10
    assert.equal(huge, la.det(a):item())
    local sign, log = la.slogdet(-a)
    assert.equal(1, sign:item())
    demand(support.near(log:item(), 2000 * math.log(10), 1e-14), "log %.17g", log:item())
  end)

  it("the gradient of det where there is no inverse is the cofactors", function()
    local a = f64({{1, 2, 3}, {4, 5, 6}, {7, 8, 9.0}}):requires_grad()
    la.det(a * 1.0):backward()
    same(flat(a.grad), {-3, 6, -3, 6, -12, 6, -3, 6, -3}, 1e-12, "cofactors")
    local zero = mare.zeros(2, 2, 2, "f64"):requires_grad()
    la.det(zero):sum():backward()
    same(flat(zero.grad), {0, 0, 0, 0, 0, 0, 0, 0}, 0, "of rank 0")
  end)

  it("equal eigenvalues and singular values leave sums of them differentiable", function()
    local a = mare.eye(3, "f64"):requires_grad()
    la.eigvalsh(a):sum():backward()
    same(flat(a.grad), flat(mare.eye(3, "f64")), 1e-15, "trace")
    local g = mare.grad(function(x) return (la.eigh(x)):sum() end)(mare.eye(3, "f64"))
    same(flat(g), flat(mare.eye(3, "f64")), 1e-15, "trace from eigh")
    g = mare.grad(function(x) return select(2, la.eigh(x))[1]:sum() end)(mare.eye(3, "f64"))
    demand(g:sum():item() ~= g:sum():item(), "a finite derivative of eigenvectors that have none")
    local s = mare.grad(function(x) return la.norm(x, "nuc") end)(mare.eye(3, "f64"))
    same(flat(s), flat(mare.eye(3, "f64")), 1e-15, "nuclear norm")
  end)

  it("norms have gradients", function()
    local x = f64 {{1, -2, 0.5}, {3, 0.25, -1}}
    for _, ord in ipairs {"fro", "nuc", 1, -1, 2, -2, huge, -huge} do
      local ok, why = mare.gradcheck(function(a) return la.norm(a, ord) end, x)
      demand(ok, "norm %s: %s", tostring(ord), why)
      local square = x:narrow(2, 1, 2)
      ok, why = mare.gradcheck(function(a) return la.cond(a, ord) end, square)
      demand(ok, "cond %s: %s", tostring(ord), why)
    end
  end)

  it("several results have gradients together", function()
    local x = f64 {{2, 1, 0}, {1, -1, 0.5}, {0, 0.5, 4}}
    local ok, why = mare.gradcheck(function(a)
      local s = (a + T(a)) / 2
      local w, v = la.eigh(s)
      local u, d, vh = la.svd(a)
      local q, r = la.qr(a)
      local y, rank, values = la.lstsq(a, a:narrow(2, 1, 1) + 1)
      local sign, log = la.slogdet(a)
      demand(not rank.is_tracked and not values.is_tracked and not sign.is_tracked, "tracked")
      return w:sum() + v[1]:sum() + u[2]:sum() + (d * d):sum() + vh[3]:sum() + q[1]:sum()
        + r[2]:sum() + y:sum() + log
    end, x)
    demand(ok, "%s", why)
  end)

  it("NaN on a right side comes out of solve, not out of other columns", function()
    local b = f64 {{1, 0 / 0}, {2, 1}}
    for _, name in ipairs {"solve", "solve_triangular"} do
      local x = la[name](f64 {{1, 0}, {0, 2}}, b)
      same(flat(x), {1, 0 / 0, 1, x[{2, 2}]:item()}, 0, name)
    end
  end)

  it("det of whole numbers is whole", function()
    assert.equal(-2, la.det(f64 {{1, 2}, {3, 4}}):item())
  end)
end)

describe("linalg refuses:", function()
  local here = "linalg_spec.lua:"
  local function f64(t) return mare.tensor(t, "f64") end
  local square = f64 {{1, 2}, {3, 4}}
  local matrices = {"cholesky", "inv", "det", "slogdet", "eigh", "eigvalsh"}
  local any = {"svd", "svdvals", "qr", "pinv", "matrix_rank", "lstsq"}

  it("what is no matrix", function()
    for _, list in ipairs {matrices, any} do
      for _, name in ipairs(list) do
        local function call(x) return function() la[name](x, square) end end
        fails(here, function() la[name](f64 {1, 2}, name == "lstsq" and square or nil) end,
          "bad argument #1 to '" .. name .. "'", "a matrix or a batch of matrices expected, got shape 2")
        fails(here, call(3), "bad argument #1 to '" .. name .. "'", "tensor expected, got number")
        local closed = f64 {{1}}
        closed:close()
        fails(here, call(closed), "closed")
        fails(here, function()
          la[name](mare.tensor({{1}}, "i64"), name == "lstsq" and square or nil)
        end, "bad argument #1 to '" .. name .. "'", "i64")
      end
    end
  end)

  it("what is not square", function()
    for _, name in ipairs(matrices) do
      fails(here, function() la[name](mare.zeros(2, 3)) end, "bad argument #1 to '" .. name .. "'",
        "a square matrix expected, got shape 2x3")
    end
    fails(here, function() la.solve(mare.zeros(2, 3), mare.zeros(2)) end, "square", "2x3")
    fails(here, function() la.solve_triangular(mare.zeros(2, 3), mare.zeros(2)) end, "square", "2x3")
    fails(here, function() la.eigh(mare.zeros(2, 3):requires_grad()) end, "'eigh'", "2x3")
  end)

  it("sides that do not fit", function()
    for _, name in ipairs {"solve", "solve_triangular", "lstsq"} do
      fails(here, function() la[name](square, mare.zeros(3, 1, "f64")) end,
        "bad argument #2 to '" .. name .. "'", "2 rows expected for a matrix of shape 2x2, got shape 3x1")
      fails(here, function() la[name](square, mare.zeros({}, "f64")) end, "got shape scalar")
      fails(here, function() la[name](square, mare.zeros(2)) end, "f64 and f32 do not mix")
      fails(here, function() la[name](mare.zeros(2, 2, 2), mare.zeros(3, 2, 1)) end,
        "the batch sizes of shapes 2x2x2 and 3x2x1 do not broadcast")
      fails(here, function() la[name](square) end, "bad argument #2 to '" .. name .. "'",
        "tensor expected, got nil")
    end
    fails(here, function() la.svd(mare.zeros(1):expand(1, 40000)) end,
      "shape 1x40000: at most 32767 rows and columns")
    fails(here, function() la.solve(mare.ones(1, 1), mare.zeros(1, 40000)) end, "at most 32767 columns")
  end)

  it("singular matrices, by number and pivot", function()
    local third = f64 {{{1, 0}, {0, 1}}, {{2, 1}, {1, 2}}, {{1, 2}, {2, 4}}}
    fails(here, function() la.inv(third) end,
      "bad argument #1 to 'inv' (matrix 3 of the batch is singular: pivot 2 is 0)")
    fails(here, function() la.inv(third[3]) end, "(the matrix is singular: pivot 2 is 0)")
    fails(here, function() la.solve(third, f64 {1, 2}) end, "'solve' (matrix 3 of the batch is singular")
    fails(here, function() la.solve_triangular(f64 {{1, 0}, {5, 0}}, f64 {1, 2}) end,
      "(the matrix is singular: element 2 of its diagonal is 0)")
    fails(here, function() la.cholesky(third) end,
      "(matrix 3 of the batch is not positive definite: its leading minor of order 2 is not)")
    local big = mare.eye(300, "f64")
    big[{290, 290}] = -1
    fails(here, function() la.cholesky(big) end, "its leading minor of order 290 is not")
    big[{290, 290}] = 1
    big[{70, 70}] = 0
    fails(here, function() la.cholesky(big) end, "its leading minor of order 70 is not")
    fails(here, function() la.cond(third[3], 1) end, "singular")
  end)

  it("NaN and infinity", function()
    for _, list in ipairs {matrices, any} do
      for _, name in ipairs(list) do
        for _, v in ipairs {0 / 0, huge} do
          for _, dtype in ipairs {"f32", "f64"} do
            fails(here, function()
              la[name](mare.tensor({{1, 0}, {v, 1}}, dtype), name == "lstsq" and mare.ones(2, dtype) or nil)
            end, "bad argument #1 to '" .. name .. "' (the matrix holds NaN or infinity)")
          end
        end
      end
    end
    fails(here, function() la.inv(f64 {{{1}}, {{0 / 0}}}) end, "matrix 2 of the batch holds NaN")
    fails(here, function() la.solve(f64 {{0 / 0}}, f64 {1}) end, "'solve' (the matrix holds NaN")
    fails(here, function() la.lstsq(square, f64 {0 / 0, 1}) end,
      "bad argument #2 to 'lstsq' (the right side holds NaN or infinity)")
  end)

  it("wrong options", function()
    fails(here, function() la.solve_triangular(square, square, 1) end, "#3", "boolean expected")
    fails(here, function() la.pinv(square, "x") end, "#2", "'pinv'", "number expected, got string")
    fails(here, function() la.lstsq(square, square, -1) end, "#3", "'lstsq'", "outside 0")
    fails(here, function() la.matrix_rank(square, 0 / 0) end, "#2", "'matrix_rank'")
    fails(here, function() la.norm(square, "max") end, "#2", "unknown norm of matrices: max")
    fails(here, function() la.norm(square, 3) end, "#2", "unknown norm of matrices: 3")
    fails(here, function() la.norm(square[1], "fro") end, "#2", "number expected for vectors, got fro")
    fails(here, function() la.norm(mare.zeros(2, 2, 2), 2) end, "#2", "which dimensions of shape 2x2x2")
    fails(here, function() la.norm(square, 2, {1, 1}) end, "#3", "dimension 1 is named twice")
    fails(here, function() la.norm(square, 2, {1, 3}) end, "#3", "dimension 3 is out of range")
    fails(here, function() la.norm(square, 2, {}) end, "#3", "one dimension for vectors or two")
    fails(here, function() la.norm(7) end, "#1", "tensor expected, got number")
    fails(here, function() la.cond(square, "x") end, "unknown norm of matrices: x")
  end)

  it("everything but triangular systems where there is no LAPACK", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute(("mkdir %s && touch %s/liblapacke.so.3 %s/liblapacke.so"):format(folder, folder, folder))
    local script = folder .. "/script.lua"
    local file = assert(io.open(script, "w"))
    file:write [[
      local mare = require "mare"
      local a = mare.tensor {{2, 0}, {0, 4}}
      print(mare.linalg.solve_triangular(a, mare.ones(2))[2]:item())
      print(select(2, pcall(mare.linalg.inv, a)))
      print(select(2, pcall(mare.linalg.lstsq, a, a)))]]
    file:close()
    local pipe = io.popen(("LD_LIBRARY_PATH=%s lua5.4 %s 2>&1"):format(folder, script))
    local text = pipe:read "a"
    pipe:close()
    os.execute("rm -r " .. folder)
    demand(text:find "^0%.25\n", "%s", text)
    local _, times = text:gsub("linear algebra needs LAPACK, and liblapacke%.so%.3 was not found"
      .. " %(Debian: liblapacke", "")
    demand(times == 2, "%s", text)
  end)
end)

describe("linalg and memory:", function()
  it("leaves nothing behind, whether it works or fails", function()
    local a = mare.randn(50, 50, "f64")
    local before = support.live()
    for _ = 1, 3 do
      la.svd(a) la.qr(a) la.lstsq(a, a) la.inv(a) la.det(a) la.eigh(a)
      pcall(la.cholesky, a)
      pcall(la.inv, a * 0)
    end
    assert.equal(before, support.live())
  end)

  it("a limit is an error that can be survived", function()
    local a = mare.randn(200, 200, "f64")
    mare.memory_limit(mare.memory().live + 100000)
    local text = support.message(la.inv, a)
    mare.memory_limit()
    demand(text:find "not enough memory", "%s", text)
    la.inv(a)
  end)
end)
