-- LinearRegression and Ridge against scikit-learn 1.2.1 (fixtures/models_regression.py),
-- against the plain formulas, and with what they must refuse.

local mare = require "mare"
local estimators = require "spec.estimators"
local models = mare.models
local L, R = models.LinearRegression, models.Ridge
local reference = dofile "spec/fixtures/models_regression.lua"

local fails, f64, near, agrees =
  estimators.fails, estimators.f64, estimators.near_all, estimators.agrees

local x, y = f64(reference.diabetes.x), f64(reference.diabetes.y)
local weights = {}
for i = 1, y:size(1) do weights[i] = (i - 1) % 3 + 0.5 end

local digits = assert(mare.data.digits())
local pixels, labels = digits.x:to "f64", (digits.y - 1):to "f64"
local onehot = digits.y:unsqueeze(2):eq(mare.arange(1, 10, "i64")):to "f64"
local iris = assert(mare.data.iris()).x:to "f64"

describe("LinearRegression agrees with scikit-learn", function()
  for _, solver in ipairs { "auto", "qr", "normal" } do
    local function fit(a, b, settings, opts)
      settings = settings or {}
      settings.solver = solver
      return L(settings):fit(a, b, opts)
    end

    it("on diabetes, " .. solver, function()
      agrees(1e-8, fit(x, y), x, y, reference.linear)
      agrees(1e-8, fit(x, y, { intercept = false }), x, y, reference.linear_origin)
      local m = fit(x, y, nil, { weights = weights })
      near(1e-8, m.weight, reference.linear_weighted.weight)
      near(1e-8, m.bias, reference.linear_weighted.bias)
      assert.equal(10, m.rank)
    end)

    it("on iris, in f64 and f32, " .. solver, function()
      local a, b = iris:narrow(2, 1, 3), iris:select(2, 4)
      agrees(1e-8, fit(a, b), a, b, reference.linear_iris)
      agrees(1e-5, fit(a:to "f32", b), a:to "f32", b, reference.linear_iris)
    end)

    it("on the dependent columns of digits, " .. solver, function()
      local want = reference.linear_digits
      local m = fit(pixels, onehot)
      agrees(1e-8, m, pixels, onehot, want)
      assert.equal(want.rank, m.rank)
      m = fit(pixels:to "f32", onehot)
      near(1e-5, m:predict(pixels), want.predictions)
      near(1e-5, m:score(pixels, onehot), want.score)
      assert.same({ { 10, 64 }, { 10 } }, { m.weight.shape, m.bias.shape })
    end)
  end

  it("with fewer rows than columns: the shortest weights", function()
    local a, b = pixels:narrow(1, 1, 30), labels:narrow(1, 1, 30)
    for _, solver in ipairs { "auto", "qr" } do
      local m = L { solver = solver }:fit(a, b)
      near(1e-8, m.weight, reference.linear_wide.weight)
      near(1e-8, m:predict(a), reference.linear_wide.predictions)
    end
    local m = L { solver = "normal" }:fit(a, b)
    near(1e-8, m.weight, reference.linear_wide.weight)
    assert.equal("qr", m.method)
    -- a penalty that is nothing beside the rows
    near(1e-8, R { lambda = 1e-13 }:fit(a, b).weight, reference.linear_wide.weight)
  end)

  it("in the singular values", function()
    local m = L { solver = "qr" }:fit(x, y)
    near(1e-10, m.singular_values, reference.linear.singular)
    assert.equal(10, m.rank)
  end)
end)

describe("Ridge agrees with scikit-learn", function()
  for _, solver in ipairs { "auto", "qr", "normal" } do
    it(solver, function()
      local function ridge(lambda, intercept)
        return R { lambda = lambda, solver = solver, intercept = intercept }
      end
      agrees(1e-8, ridge(20):fit(x, y), x, y, reference.ridge)
      agrees(1e-5, ridge(20):fit(x:to "f32", y), x:to "f32", y, reference.ridge)
      agrees(1e-8, ridge(3, false):fit(x, y), x, y, reference.ridge_origin)
      local m = ridge(0.5):fit(x, y, { weights = weights })
      near(1e-8, m.weight, reference.ridge_weighted.weight)
      near(1e-8, m.bias, reference.ridge_weighted.bias)
      agrees(1e-8, ridge(1):fit(pixels, onehot), pixels, onehot, reference.ridge_digits)
      local a, b = pixels:narrow(1, 1, 30), labels:narrow(1, 1, 30)
      agrees(1e-8, ridge(0.3):fit(a, b), a, b, reference.ridge_wide)
      m = ridge(0.3):fit(a, b, { weights = f64(weights):narrow(1, 1, 30) })
      near(1e-8, m.weight, reference.ridge_wide_weighted.weight)
    end)
  end
end)

-- -- what they are by definition ---------------------------------------------------------

local function synthetic(seed, n, d, dtype)
  mare.seed(seed)
  local a = mare.randn({ n, d }, "f64")
  local w = mare.arange(1, d, "f64")
  return a:to(dtype or "f64"), (a:matmul(w) - 2 + mare.randn({ n }, "f64") * 0.1):to(dtype or "f64")
end

describe("Least squares", function()
  it("in many blocks equals that in one, for all solvers", function()
    local n, d = 70000, 70 -- above one block, rows left over
    for dtype, tolerance in pairs { f64 = 1e-9, f32 = 1e-5 } do
      local a, b = synthetic(1, n, d, dtype)
      local c = mare.cat({ a, mare.ones({ n, 1 }, dtype) }, 2):to "f64"
      local exact = mare.linalg.solve(c:t():matmul(c), c:t():matmul(b:to "f64"))
      for _, solver in ipairs { "auto", "qr", "normal" } do
        local m = L { solver = solver }:fit(a, b)
        near(tolerance, m.weight, exact:narrow(1, 1, d):totable())
        near(tolerance, m.bias, exact[d + 1]:item())
      end
      local row = L():fit(a, b)
      assert.equal("normal", row.method)
      near(1e-12, R { lambda = 0 }:fit(a, b).weight, row.weight:to "f64":totable())
    end
  end)

  it("keeps its digits far from the origin", function()
    local a, b = synthetic(2, 500, 3)
    for dtype, tolerance in pairs { f64 = 1e-7, f32 = 2e-3 } do
      local far = (a + 4096):to(dtype)
      for _, solver in ipairs { "qr", "normal" } do
        near(tolerance, L { solver = solver }:fit(far, b).weight, L():fit(a, b).weight:totable())
      end
    end
  end)

  it("gives the same predictions whatever the units of the columns", function()
    local a, b = synthetic(18, 60, 5)
    local units = mare.tensor({ 1e-6, 1e-3, 1, 1e3, 1e6 }, "f64")
    local plain = L():fit(a, b):predict(a)
    local penalised = a:t():matmul(a) -- of columns in their units, without an intercept
    for dtype, tolerance in pairs { f64 = 1e-12, f32 = 1e-5 } do
      local c = (a * units):to(dtype)
      for _, solver in ipairs { "auto", "qr", "normal" } do
        local m = L { solver = solver }:fit(c, b)
        near(tolerance, m:predict(c), plain:totable())
        assert.equal(5, m.rank)
      end
      local wide = penalised * (units:unsqueeze(2) * units) + mare.eye(5, "f64") * 2
      local W = mare.linalg.solve(wide / (units:unsqueeze(2) * units),
        a:t():matmul(b)):reshape(-1) -- for a's own columns
      for _, solver in ipairs { "auto", "qr", "normal" } do
        local m = R { lambda = 2, solver = solver, intercept = false }:fit(c, b)
        near(tolerance, m:predict(c), a:matmul(W):totable())
      end
    end
    local c = mare.cat({ a * units, a:narrow(2, 5, 1) * 1e6 }, 2) -- two columns are equal
    assert.equal(5, L { solver = "qr" }:fit(c, b).rank)
  end)

  it("counts a row as often as its weight says", function()
    local a, b = synthetic(3, 30, 4)
    local w = mare.arange(1, 30, "i64") % 3
    local list = {}
    for i = 1, 30 do
      for _ = 1, w[i]:item() do list[#list + 1] = i end
    end
    local at = mare.tensor(list, "i64")
    for _, make in ipairs { L, R, function() return L { solver = "normal" } end,
      function() return L { solver = "gd" } end } do
      local one = make():fit(a, b, { weights = w:to "f64" })
      local two = make():fit(a:index_select(1, at), b:index_select(1, at))
      near(1e-9, one.weight, two.weight:totable())
      near(1e-9, one.bias, two.bias:item())
    end
  end)

  it("gives constant columns no weight, and shares among equal ones", function()
    local a, b = synthetic(4, 40, 2)
    local c = mare.cat({ a, mare.full({ 40, 1 }, 0.1, "f64"), a:narrow(2, 1, 1) }, 2)
    for _, solver in ipairs { "auto", "qr", "normal" } do
      local m = L { solver = solver }:fit(c, b)
      local w, plain = m.weight:totable(), L():fit(a, b).weight:totable()
      assert.is_true(math.abs(w[3]) < 1e-9)
      assert.is_true(math.abs(w[1] - plain[1] / 2) < 1e-8 and math.abs(w[4] - w[1]) < 1e-8)
      assert.equal(2, m.rank)
      local all = L { solver = solver }:fit(mare.ones({ 5, 2 }), { 1, 2, 3, 4, 5 })
      assert.same({ { 0, 0 }, 3 }, { all.weight:totable(), all.bias:item() })
    end
    near(1e-12, R():fit(c, b).weight[3] + 1, 1)
  end)

  it("has one answer for many targets and for each", function()
    local a, b = synthetic(5, 60, 3)
    local both = mare.stack({ b, b:square() }, 2)
    local m, second = L():fit(a, both), L():fit(a, b:square())
    near(1e-12, m.weight[2], second.weight:totable())
    near(1e-12, m.bias[2], second.bias:item())
    assert.same({ 60, 2 }, m:predict(a).shape)
    local w, bias = m:linear()
    near(1e-12, a:matmul(w:t()) + bias, m:predict(a):totable())
  end)

  it("begins with sums of products, in blocks of rows and tiles of columns and targets", function()
    local regression = require "mare.models.regression"
    for dtype, tolerance in pairs { f64 = 1e-12, f32 = 1e-5 } do
      for _, size in ipairs { { 2100, 130, 230 }, { 40, 3, 120 }, { 1030, 113, 1 } } do
        local n, d, k = table.unpack(size)
        local a, b = mare.randn({ n, d }, dtype) + 3, mare.randn({ n, k }, dtype)
        local w = mare.rand(n, "f64")
        local m = regression.center({ x = a, y = b, n = n, features = d, weights = w }, true)
        local gram, xy = regression.gram(m)
        local c = a:to "f64" - m.mean
        local rows = c:t() * w / w:sum()
        assert.is_true((gram - rows:matmul(c)):abs():max():item() < tolerance)
        assert.is_true((xy - rows:matmul(m.y)):abs():max():item() < tolerance)
      end
    end
  end)

  it("is saved and loaded", function()
    local a, b = synthetic(6, 20, 3, "f32")
    for _, m in ipairs { L():fit(a, b), R { lambda = 3 }:fit(a, b),
      L { solver = "gd", trace = true }:fit(a, b),
      L { solver = "grid", grid = { weight = { { 0, 1 }, { 0, 2 }, { 0, 3 } }, points = 3 } }
        :fit(a, b), L():fit(a, mare.stack({ b, b }, 2)) } do
      local back = assert(models.load { string = m:save() })
      assert.same(m:predict(a):totable(), back:predict(a):totable())
      assert.equal(tostring(m), tostring(back))
    end
  end)

  it("overflows with an error, not with infinite weights", function()
    local a, b = synthetic(6, 20, 3, "f32")
    local m = L()
    fails("'fit': the answer overflows f32", m.fit, m, a * 1e-30, b * 1e30)
  end)

  it("has the same bits for any number of threads, and little memory beside the data", function()
    local a, b = synthetic(22, 100000, 128, "f32")
    local bytes, count = 100000 * 128 * 4, mare.threads()
    for _, make in ipairs { L, R, function() return L { solver = "qr" } end,
      function() return L { solver = "gd", steps = 10 } end,
      function() return L { solver = "sgd", epochs = 1 } end,
      function() return models.Lasso { lambda = 0.1 } end,
      function() return models.HuberRegression { steps = 4 } end } do
      local bits = {}
      for _, threads in ipairs { 1, 3 } do
        collectgarbage()
        collectgarbage()
        mare.threads(threads)
        mare.seed(1)
        mare.memory_reset_peak()
        local before = mare.memory().live
        local m = make():fit(a, b)
        mare.threads(count)
        assert.is_true(mare.memory().peak - before < bytes / 2)
        bits[#bits + 1] = m.weight:tobytes() .. m.bias:tobytes()
      end
      assert.is_true(bits[1] == bits[2])
    end
  end)

  it("refuses files whose sizes do not agree", function()
    local a, b = synthetic(6, 20, 3)
    local m = L():fit(a, b)
    local store = require "mare.models.store"
    local function load(weight, bias)
      local learned = { features = 3, weight = weight, bias = bias }
      return models.load { string = store.save(nil, "LinearRegression",
        { settings = m.settings, learned = learned }) }
    end
    assert.truthy(load(mare.ones(3), mare.zeros({})))
    for _, t in ipairs { { mare.ones(4), mare.zeros({}) }, { mare.ones(2, 3), mare.zeros(3) },
      { mare.ones(3), mare.zeros(1) }, { mare.ones(1, 1, 3), mare.zeros(1) } } do
      local none, message = load(table.unpack(t))
      assert.is_nil(none)
      assert.truthy(message:find("for 3 columns", 1, true), message)
    end
  end)
end)

describe("Ridge.path", function()
  it("is what single fits give", function()
    local a, b = synthetic(18, 40, 5)
    local w = mare.arange(1, 40, "f64")
    for _, targets in ipairs { b, mare.stack({ b, b:square() }, 2) } do
      for _, opts in ipairs { {}, { weights = w }, { intercept = false } } do
        opts.lambdas = { 0.1, 100, 0 }
        local p = R.path(a, targets, opts)
        assert.same({ 100, 0.1, 0 }, p.lambdas:totable())
        for i, lambda in ipairs(p.lambdas:totable()) do
          local m = R { lambda = lambda, intercept = opts.intercept }
          m:fit(a, targets, { weights = opts.weights })
          near(1e-9, p.weight[i], m.weight:totable())
          near(1e-9, p.bias[i] + 1, targets:dim() == 1 and m.bias:item() + 1 or (m.bias + 1):totable())
        end
      end
    end
  end)

  it("begins near no weights and has no NaN where columns depend on each other", function()
    local a, b = synthetic(19, 40, 5, "f32")
    local p = R.path(mare.cat({ a, a }, 2), b, { count = 7 })
    assert.same({ { 7, 10 }, { 7 }, "f32" }, { p.weight.shape, p.bias.shape, p.weight.dtype })
    assert.is_true(p.weight[1]:abs():max():item() < 1)
    assert.equal(0, p.weight:ne(p.weight):any():item())
    p = R.path(mare.cat({ a, a }, 2), b, { lambdas = { 0 } })
    near(1e-4, p.weight[1], L():fit(mare.cat({ a, a }, 2), b).weight:totable())
    p = R.path(mare.ones(5, 2), { 1, 2, 3, 4, 5 })
    assert.equal(0, p.weight:abs():max():item())
  end)

  it("refuses what makes no sense", function()
    local a, b = synthetic(20, 20, 2)
    fails("lambdas: #1 is -1, not a number of at least 0", R.path, a, b, { lambdas = { -1 } })
    fails("unknown setting 'lamdas'", R.path, a, b, { lamdas = { 1 } })
    fails("bad argument #2 to 'path' (targets 19 for 20 rows)", R.path, a, b:narrow(1, 1, 19))
  end)
end)

describe("Gradient descent", function()
  it("follows the path of the plain steps", function()
    local a, b = synthetic(7, 25, 2)
    local m = L { solver = "gd", lr = 0.1, steps = 4, trace = true }:fit(a, b)
    local w, c = mare.zeros({ 2 }, "f64"), 0
    for step = 1, 5 do
      local r = a:matmul(w) + c - b
      near(1e-12, m.trace.loss[step], r:square():mean():item() / 2)
      near(1e-12, m.trace.weight[step] + 1, (w + 1):totable())
      near(1e-12, m.trace.bias[step] + 1, c + 1)
      w = w - a:t():matmul(r) * (0.1 / 25)
      c = c - 0.1 * r:mean():item()
    end
    assert.same({ 4, false, "steps", 0.1 }, { m.steps, m.converged, m.reason, m.lr })
    assert.same({ { 5 }, { 5, 2 }, { 5 } },
      { m.trace.loss.shape, m.trace.weight.shape, m.trace.bias.shape })
  end)

  it("comes to least squares", function()
    local want = reference.linear_iris
    local a, b = iris:narrow(2, 1, 3), iris:select(2, 4)
    local m = L { solver = "gd", steps = 200000, tol = 1e-12 }:fit(a, b)
    near(1e-7, m.weight, want.weight)
    assert.same({ true, "gradient" }, { m.converged, m.reason })
    m = L { solver = "gd", steps = 100000, tol = 1e-12, intercept = false }:fit(a, b)
    near(1e-7, m.weight, L { intercept = false }:fit(a, b).weight:totable())
    assert.equal(0, m.bias:item())
  end)

  it("goes on from what it learned", function()
    local a, b = synthetic(8, 25, 2)
    local m = L { solver = "gd", steps = 5, warm_start = true }
    m:fit(a, b):fit(a, b)
    near(1e-12, m.weight, L { solver = "gd", steps = 10, lr = m.lr }:fit(a, b).weight:totable())
    m:fit(a:narrow(2, 1, 1), b) -- other columns: from 0
    assert.same({ 1 }, m.weight.shape)
  end)

  it("says when it diverges", function()
    local a, b = synthetic(9, 25, 2)
    local m = L { solver = "gd", lr = 100 }
    fails("LinearRegression: gradient descent diverged at step", m.fit, m, a, b)
    fails("with lr = 100; a lr below", m.fit, m, a, b)
    m = L { solver = "sgd", lr = 100 }
    fails("stochastic gradient descent diverged at step", m.fit, m, a, b)
  end)
end)

describe("Stochastic gradient descent", function()
  it("comes near least squares, whatever the type", function()
    for _, dtype in ipairs { "f32", "f64" } do
      local a, b = synthetic(10, 2000, 4, dtype)
      mare.seed(3)
      local m = L { solver = "sgd", epochs = 60, decay = 0.01, tol = 0, trace = true }:fit(a, b)
      near(2e-2, m.weight, { 1, 2, 3, 4 })
      assert.same({ 60 * 63, "epochs" }, { m.steps, m.reason })
      assert.same({ { 60 }, { 60, 4 } }, { m.trace.loss.shape, m.trace.weight.shape })
      assert.equal(dtype, m.weight.dtype)
      mare.seed(3)
      assert.same(m.weight:totable(), m:clone():fit(a, b).weight:totable())
    end
  end)

  it("with all rows in a batch is gradient descent", function()
    local a, b = synthetic(11, 30, 3)
    local w = mare.arange(1, 30, "f64")
    local one = L { solver = "sgd", batch = 100, epochs = 7, lr = 0.05, tol = 0 }
    local two = L { solver = "gd", steps = 7, lr = 0.05 }
    near(1e-12, one:fit(a, b, { weights = w }).weight,
      two:fit(a, b, { weights = w }).weight:totable())
    assert.is_true(math.abs(one.bias:item() - two.bias:item()) < 1e-12)
  end)

  it("takes rows as they come", function()
    local a, b = synthetic(12, 96, 3)
    local whole = L { solver = "sgd", shuffle = false, epochs = 1, lr = 0.1 }:fit(a, b)
    local m = L { solver = "sgd", lr = 0.1 }
    for first = 1, 96, 32 do m:partial_fit(a:narrow(1, first, 32), b:narrow(1, first, 32)) end
    near(1e-12, m.weight, whole.weight:totable())
    assert.same({ 3, "rows" }, { m.steps, m.reason })
    fails("targets 96x2; the model was fitted to (n)", m.partial_fit, m, a,
      mare.ones({ 96, 2 }, "f64"))
    fails("2 columns", m.partial_fit, m, a:narrow(2, 1, 2), b)
    m = L()
    fails("partial_fit needs solver = \"sgd\", not \"auto\"", m.partial_fit, m, a, b)
  end)

  it("stops when an epoch changes little", function()
    local a, b = synthetic(13, 64, 2)
    local m = L { solver = "sgd", tol = 0.5 }:fit(a, b)
    assert.same({ true, "value" }, { m.converged, m.reason })
  end)
end)

describe("A grid", function()
  it("holds the loss at every point", function()
    local a, b = synthetic(14, 20, 1)
    local m = L { solver = "grid", grid = { weight = { -1, 3 }, bias = { -4, 0 }, points = 9 } }
    m:fit(a, b)
    assert.same({ 9, 9 }, m.losses.shape)
    for i = 1, 9 do
      for j = 1, 9 do
        local w, c = m.axes[1][i]:item(), m.axes[2][j]:item()
        near(1e-10, m.losses[{ i, j }], (a:reshape(-1) * w + c - b):square():mean():item() / 2)
      end
    end
    assert.same({ { 1 }, -2, "complete" }, { m.weight:totable(), m.bias:item(), m.reason })
    near(1e-12, m.loss, m.losses:min():item())
  end)

  it("has an axis for each column", function()
    local a, b = synthetic(15, 20, 2)
    local m = L { solver = "grid", intercept = false,
      grid = { weight = { { 0, 2 }, { 0, 4 } }, points = 5 } }:fit(a, b + 2)
    assert.same({ { 5, 5 }, { 1, 2 }, 0 }, { m.losses.shape, m.weight:totable(), m.bias:item() })
  end)

  it("is refused where it makes no sense", function()
    local a, b = synthetic(16, 20, 2)
    local function grid(g) return L { solver = "grid", grid = g } end
    fails("grid: weight: { lo, hi } expected", grid, { bias = { 0, 1 } })
    fails("grid: weight: { lo, hi } expected", grid, { weight = { 0, 1 / 0 } })
    fails("grid: bias: { lo, hi } expected", grid, { weight = { 0, 1 }, bias = 3 })
    fails("grid: unknown 'wieght'", grid, { wieght = { 0, 1 } })
    fails("grid: points: whole number", grid, { weight = { 0, 1 }, points = 0.5 })
    fails("grid: table expected", grid, 3)
    local m = grid { weight = { 0, 1 } }
    fails("ranges for 1 weights; the data have 2 columns", m.fit, m, a, b)
    m = L { solver = "grid" }
    fails("needs the setting grid", m.fit, m, a, b)
    m = grid { weight = { { 0, 1 }, { 0, 1 } }, points = 1000 }
    fails("a grid of 1e+09 points; at most 10000000", m.fit, m, a, b)
    fails("a grid is for one target; got 2", m.fit, m, a, mare.ones({ 20, 2 }, "f64"))
  end)
end)

describe("Linear models refuse", function()
  local a, b = synthetic(17, 20, 3)

  it("settings that make no sense", function()
    fails("lambda: -1 is not at least 0", R, { lambda = -1 })
    fails("lambda: number expected, got string", R, { lambda = "1" })
    fails("unknown setting 'lamda'; did you mean 'lambda'?", R, { lamda = 1 })
    fails("unknown value 'newton'; known: auto, qr, normal, gd, sgd, grid", L, { solver = "newton" })
    fails("lr: 0 is not above 0", L, { lr = 0 })
  end)

  it("data that make no sense, and keep what they had learned", function()
    for _, class in ipairs { L, R } do
      local m = class():fit(a, b)
      local before = m.weight:totable()
      fails("rows, columns", m.fit, m, b, b)
      fails("no values", m.fit, m, mare.zeros({ 0, 3 }), {})
      fails("targets 19 for 20 rows", m.fit, m, a, b:narrow(1, 1, 19))
      local bad = a:clone()
      bad[{ 2, 3 }] = 0 / 0
      fails("nan in row 2, column 3", m.fit, m, bad, b)
      bad[{ 2, 3 }] = 1 / 0
      fails("inf in row 2, column 3", m.fit, m, bad, b)
      for _, method in ipairs { "predict", "score" } do
        fails(("'%s' (inf in row 2, column 3"):format(method), m[method], m, bad, b)
        fails(("'%s' (nan in row 2, column 3"):format(method), m[method], m, bad * 0, b)
      end
      local target = b:clone()
      target[4] = 0 / 0
      fails("target 4 is not finite", m.fit, m, a, target)
      if class == R then fails("overflow", m.fit, m, a * 1e200, b) end
      fails("overflow", m.fit, m, a, b * 1e200)
      fails("4 columns", m.predict, m, mare.ones(2, 4))
      fails("needs a fitted model", class().predict, class(), a)
      assert.same(before, m.weight:totable())
    end
  end)

  it("nothing of one row", function()
    for _, make in ipairs { L, R, function() return L { solver = "normal" } end } do
      local m = make():fit(a:narrow(1, 1, 1), b:narrow(1, 1, 1))
      near(1e-12, m:predict(a:narrow(1, 1, 1)), { b[1]:item() })
      assert.same({ 0, 0, 0 }, m.weight:totable())
    end
  end)
end)

describe("A fit that is broken off", function()
  local function all(a, b)
    local list = {}
    for _, settings in ipairs { {}, { solver = "qr" }, { solver = "normal" },
      { solver = "gd", steps = 50, trace = true }, { solver = "sgd" } } do
      list[#list + 1] = L(settings):fit(a, b)
    end
    for _, make in ipairs { R, models.Lasso, models.ElasticNet, models.HuberRegression } do
      list[#list + 1] = make { lambda = 0.5 }:fit(a, b)
    end
    return list
  end
  local a, b = synthetic(21, 200, 6)
  local a2, b3 = a * 2, b * 3

  it("by the user leaves what was learned, and nothing else", function()
    for _, m in ipairs(all(a, b)) do
      local before, stopped = m.weight:totable(), 0
      collectgarbage()
      collectgarbage()
      local live = mare.memory().live
      for _, count in ipairs { 50, 300, 600, 1500 } do
        local done = false
        local _, message = pcall(function()
          debug.sethook(function()
            debug.sethook()
            error "interrupted"
          end, "", count)
          m:fit(a2, b3)
          done = true
          debug.sethook()
        end)
        debug.sethook()
        if not done then
          stopped = stopped + 1
          assert.truthy(message:find("interrupted", 1, true), message)
          assert.same(before, m.weight:totable())
        end
      end
      assert.is_true(stopped > 0)
      m:fit(a, b)
      near(0.05, m.weight, before)
      collectgarbage()
      collectgarbage()
      assert.is_true(mare.memory().live <= live + 20000)
    end
  end)

  it("by a lack of memory does the same", function()
    for _, m in ipairs(all(a, b)) do
      local before, failed = m.weight:totable(), 0
      for extra = 1000, 40000, 3000 do
        collectgarbage()
        mare.memory_limit(mare.memory().live + extra)
        local ok, message = pcall(m.fit, m, a, b)
        mare.memory_limit()
        if not ok then
          failed = failed + 1
          assert.truthy(message:find("memory", 1, true), message)
          assert.same(before, m.weight:totable())
        end
      end
      assert.is_true(failed > 0)
    end
  end)
end)
