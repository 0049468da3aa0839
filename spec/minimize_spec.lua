-- minimize_spec.lua -- mare.optim.minimize and the methods behind it.

local mare = require "mare"
local support = require "spec.support"
local optim = mare.optim

local flat, demand, fails, near = support.flat, support.demand, support.fails, support.near

-- -- functions to minimize --------------------------------------------------------------

local function rosenbrock(x)
  local a, b = x[{ { 1, -2 } }], x[{ { 2, -1 } }]
  return ((b - a * a) ^ 2 * 100 + (1 - a) ^ 2):sum()
end

local function rastrigin(x) return (x * x - (x * (2 * math.pi)):cos() * 10 + 10):sum() end

local function rastrigin_rows(X)
  return (X * X - (X * (2 * math.pi)):cos() * 10 + 10):sum(2)
end

local function parabola(x) return (x - 1) ^ 2 + 1 end

local function wave(x) return x * x:sin() end

local function f64(v) return mare.tensor(v, "f64") end

local function all_near(x, want, tolerance, what)
  for i, v in ipairs(flat(x)) do
    demand(math.abs(v - want) <= tolerance, "%s: element %d is %.17g, not %g", what, i, v, want)
  end
end

-- -- the documents' examples ------------------------------------------------------------

describe("gradient descent", function()
  it("goes from 6 to 5.5, 5.05 and in 1,000 steps to 1", function()
    local x, f, trace = optim.minimize(parabola, 6,
      { method = "gd", lr = 0.05, steps = 1000, trace = true })
    assert.equal(6, trace[0].x)
    assert.equal(26, trace[0].f)
    demand(near(trace[1].x, 5.5, 1e-15), "first step: %.17g", trace[1].x)
    demand(near(trace[2].x, 5.05, 1e-15), "second step: %.17g", trace[2].x)
    assert.equal(1000, #trace)
    assert.equal(1000, trace.steps)
    assert.equal("steps", trace.reason)
    demand(near(x, 1, 1e-15), "x is %.17g", x)
    assert.equal(1, f)
  end)

  it("takes any optimizer of the table, its options and schedules", function()
    for name in pairs(optim.rows) do
      local x0 = f64 { { 0.5, 0.2 }, { 0.3, 0.9 } }
      local _, f, trace = optim.minimize(function(x) return ((x - 0.25) ^ 2):sum() end, x0,
        { method = name, lr = 0.01, steps = 20 })
      assert.equal(name, trace.method)
      assert.equal(21, trace.gradients)
      demand(f < 0.535, "%s: f is %.17g", name, f)
    end
    local x = optim.minimize(parabola, 6, { method = "sgd", momentum = 0.5, steps = 2, lr = 0.05 })
    demand(near(x, 4.8, 1e-14), "momentum: %.17g", x)      -- 5.5 - 0.05 (9 + 0.5 10)
    local _, _, trace = optim.minimize(parabola, 6,
      { method = "gd", lr = function(step) return 0.1 / step end, steps = 2, trace = true })
    demand(near(trace[1].x, 5, 1e-14) and near(trace[2].x, 4.6, 1e-14), "schedule")
  end)
end)

describe("restarts", function()
  it("find the lower minimum of x sin x on [-5, 7]", function()
    local x, f = optim.minimize(wave, 0.5)
    demand(math.abs(x) < 1e-6 and math.abs(f) < 1e-12, "one start: %.17g", x)
    local x2, f2, trace = optim.minimize(wave, 0.5, { restarts = 8, sample = { -5, 7 }, seed = 3 })
    demand(near(math.abs(x2), 4.913180439434884, 1e-7), "restarts: %.17g", x2)
    demand(near(f2, -4.814469889712269, 1e-12), "restarts: %.17g", f2)
    assert.equal(9, #trace.starts)
    local sum, least = 0, math.huge
    for _, start in ipairs(trace.starts) do
      sum, least = sum + start.evaluations, math.min(least, start.f)
    end
    assert.equal(trace.evaluations, sum)
    assert.equal(f2, least)
  end)

  it("repeat with the same seed and leave the program's random numbers alone", function()
    mare.seed(5)
    local want = flat(mare.rand(4))
    for _, method in ipairs { "lbfgs", "gd", "nelder_mead", "random_search" } do
      local function ends(seed)
        local options = { method = method, restarts = 4, seed = seed, steps = 30,
          bounds = { -5, 7 } }
        if method == "gd" then options.lr = 0.01 end
        local _, _, trace = optim.minimize(wave, 0.5, options)
        local list = {}
        for i, start in ipairs(trace.starts) do list[i] = start.x end
        return list
      end
      mare.seed(5)
      local a, b, c = ends(1), ends(1), ends(2)
      assert.same(a, b)
      assert.not_same(a, c)
      assert.same(want, flat(mare.rand(4)))
    end
    mare.seed(5)
    pcall(optim.minimize, function(x)
      if x:item() < 0 then error "below 0" end
      return x * x
    end, 1, { restarts = 9, seed = 1, sample = { -1, 1 } })
    assert.same(want, flat(mare.rand(4)))
  end)
end)

-- -- methods on known functions -----------------------------------------------------------

describe("line search methods", function()
  for _, method in ipairs { "lbfgs", "cg", "newton" } do
    it(method .. " solves Rosenbrock's function", function()
      local x, f = optim.minimize(rosenbrock, f64 { -1.2, 1 }, { method = method })
      all_near(x, 1, 1e-7, method)
      demand(f < 1e-14, "%g", f)
      x = optim.minimize(rosenbrock, mare.full({ 10 }, -1.2, "f64"), { method = method })
      all_near(x, 1, 1e-5, method)
      x = optim.minimize(rosenbrock, mare.full({ 4 }, -1.2), { method = method })
      assert.equal("f32", x.dtype)
      all_near(x, 1, 0.01, method)
    end)
  end
end)

-- as the fixture has them
local scales = (mare.linspace(0, 6, 10, "f64") * math.log(10)):exp()
local known = {
  rosenbrock2 = { rosenbrock, { -1.2, 1 } },
  rosenbrock10 = { rosenbrock, { -1.2, -1.2, -1.2, -1.2, -1.2, -1.2, -1.2, -1.2, -1.2, -1.2 } },
  quadratic = { function(x) return (scales * x * x):sum() / 2 end, { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
  beale = { function(x)
    local a, b = x[1], x[2]
    return (1.5 - a + a * b) ^ 2 + (2.25 - a + a * b ^ 2) ^ 2 + (2.625 - a + a * b ^ 3) ^ 2
  end, { 1, 1 } },
}

describe("steps and calls of f", function()
  for _, row in ipairs(require "spec.fixtures.minimize_reference") do
    it(("are about scipy's: %s, %s"):format(row.method, row.name), function()
      local f, x0 = table.unpack(known[row.name])
      local _, value, trace = optim.minimize(f, f64(x0), { method = row.method, steps = 5000 })
      demand(value < 1e-12, "f is %g", value)
      demand(trace.steps <= 1.3 * row.steps + 5, "%d steps, scipy %d", trace.steps, row.steps)
      demand(trace.evaluations <= 1.3 * row.evaluations + 10, "%d calls, scipy %d",
        trace.evaluations, row.evaluations)
    end)
  end
end)

describe("lbfgs and cg", function()
  it("take every formula of beta", function()
    for beta in pairs(require "mare.optim.cg".formulas) do
      local x = optim.cg(rosenbrock, f64 { -1.2, 1 }, { beta = beta })
      all_near(x, 1, 1e-6, beta)
      x = optim.cg(rosenbrock, f64 { -1.2, 1 }, { beta = beta, restart = 2 })
      all_near(x, 1, 1e-6, beta .. " restarted")
    end
  end)

  it("solve a quadratic of n variables in n steps when the memory reaches", function()
    local _, f, trace = optim.lbfgs(known.quadratic[1], mare.ones({ 10 }, "f64"),
      { memory = 50, c2 = 0.01 })
    demand(f < 1e-14 and trace.steps <= 20, "%d steps to %g", trace.steps, f)
  end)

  it("lbfgs stays in a box", function()
    local inside = true
    local x, f, trace = optim.lbfgs(function(p)
      inside = inside and p[1]:item() <= 0.5 and p[2]:item() >= -2
      return rosenbrock(p)
    end, f64 { -1.2, 1 }, { bounds = { -2, { 0.5, 2 } } })
    demand(math.abs(x[1]:item() - 0.5) < 1e-12, "x1 is %.17g", x[1]:item())
    demand(math.abs(x[2]:item() - 0.25) < 1e-6 and near(f, 0.25, 1e-12), "f is %.17g", f)
    assert.is_true(inside)
    demand(trace.evaluations < 120, "%d calls", trace.evaluations)
    -- a corner, and a box that does not matter
    local y, g, corner = optim.lbfgs(function(p) return (p + 1):square():sum() end, f64 { 1, 2 },
      { bounds = { 0, math.huge } })
    assert.same({ 0, 0 }, y:totable())
    assert.equal(2, g)
    assert.equal("gradient", corner.reason)
    y = optim.lbfgs(rosenbrock, f64 { -1.2, 1 }, { bounds = { -9, 9 } })
    all_near(y, 1, 1e-6, "wide box")
    y = optim.minimize(parabola, 6, { method = "adam", lr = 0.5, bounds = { 2, 7 } })
    assert.equal(2, y)
  end)

  it("go back from where f is not a number", function()
    -- log barrier: the first full step leaves the domain
    local x, f, trace = optim.lbfgs(function(x) return x - x:log() * 1e-3 end, 5)
    demand(near(x, 1e-3, 1e-5), "%.17g", x)
    demand(f < 0.0080, "%g", f)
    assert.not_equal("nan", trace.reason)
  end)
end)

describe("newton", function()
  it("descends from where f curves down, by both kinds of Hessian", function()
    for _, hessian in ipairs { "full", "products" } do
      for _, start in ipairs { { 0.01, -0.02 }, { 2, -1 }, { 1e-6, 1e-6 } } do
        local x, f = optim.newton(function(w) return (1 - w[1] * w[2]) ^ 2 end, f64(start),
          { hessian = hessian })
        demand(f < 1e-12, "%s from %g: %g at %s", hessian, start[1], f, tostring(x))
      end
      local _, f, trace = optim.newton(known.quadratic[1], mare.ones({ 10 }, "f64"),
        { hessian = hessian })
      demand(f < 1e-15, "%s: %g", hessian, f)
      if hessian == "full" then assert.is_true(trace.steps <= 2) end
    end
  end)

  it("damping shortens the step", function()
    local _, _, plain = optim.newton(parabola, 6, { trace = true })
    local _, _, damped = optim.newton(parabola, 6, { damping = 2, trace = true })
    demand(near(plain[1].x, 1, 1e-14), "%.17g", plain[1].x)
    demand(near(damped[1].x, 3.5, 1e-14), "%.17g", damped[1].x)      -- 6 - 10 / (2 + 2)
  end)

  it("takes gradients from the user, products by differences", function()
    local function given(x)
      local y = x:detach():requires_grad()
      local f = rosenbrock(y)
      f:backward()
      return f:item(), y.grad
    end
    for _, hessian in ipairs { "full", "products" } do
      local x = optim.newton(given, f64 { -1.2, 1 }, { hessian = hessian })
      all_near(x, 1, 1e-6, hessian)
    end
  end)
end)

describe("what x0 may be", function()
  it("a table, nested, with numbers and tensors", function()
    local x0 = { w = mare.tensor { { 1, 2 }, { 3, 4 } }, b = 5, list = { f64 { 1, 1 }, 2 } }
    local function f(p)
      assert.same({ 2, 2 }, p.w.shape)
      assert.same({}, p.b.shape)
      assert.equal("f32", p.w.dtype)
      assert.equal("f64", p.list[1].dtype)
      return (p.w:to "f64" - 1):square():sum() + (p.b - 3) ^ 2 + (p.list[1] * p.list[2] - 6):square():sum()
    end
    for _, method in ipairs { "lbfgs", "cg", "newton", "nelder_mead" } do
      local x, value = optim.minimize(f, x0, { method = method, steps = 3000 })
      demand(value < 1e-5, "%s: %g", method, value)
      assert.equal("number", type(x.b))
      assert.equal("f32", x.w.dtype)
      assert.same({ 2, 2 }, x.w.shape)
      demand(math.abs(x.b - 3) < 0.01, "%s: b is %g", method, x.b)
      demand(math.abs(x.list[1][2]:item() * x.list[2] - 6) < 0.01, "%s: product", method)
    end
    assert.equal(5, x0.b)
    assert.same({ { 1, 2 }, { 3, 4 } }, x0.w:totable())
  end)

  it("gradients come back in the same structure", function()
    local x = optim.lbfgs(function(p)
      local r, s = p.a:item() - 2, p.v - 1
      return r * r + s:square():sum():item(), { a = 2 * r, v = s * 2 }
    end, { a = 0, v = f64 { 3, 4 } })
    demand(near(x.a, 2, 1e-8), "a is %.17g", x.a)
    all_near(x.v, 1, 1e-8, "v")
  end)

  it("f works inside no_grad too", function()
    local x = mare.no_grad(optim.minimize, parabola, 6)
    demand(near(x, 1, 1e-8), "%.17g", x)
  end)

  it("points that f keeps stay what they were", function()
    local points = {}
    local _, _, trace = optim.lbfgs(function(x)
      points[#points + 1] = x
      return rosenbrock(x)
    end, f64 { -1.2, 1 })
    assert.equal(trace.evaluations, #points)
    assert.same({ -1.2, 1 }, points[1]:totable())
    assert.not_same(points[1]:totable(), points[2]:totable())
  end)
end)

describe("reasons to stop", function()
  local function reason(options, f, x0)
    local _, _, trace = optim.minimize(f or rosenbrock, x0 or f64 { -1.2, 1 }, options)
    return trace.reason, trace
  end

  it("are named", function()
    assert.equal("gradient", (reason { tol = 1e-3, value_tol = 0 }))
    assert.equal("value", (reason { tol = 0, value_tol = 1e-3 }))
    assert.equal("step", (reason { tol = 0, value_tol = 0, step_tol = 1e-2 }))
    assert.equal("steps", (reason { steps = 3 }))
    assert.equal("target", (reason { target = 0.5 }))
    assert.equal("evaluations", (reason { evaluations = 7 }))
    assert.equal("callback", (reason { callback = function(row) return row.step == 2 end }))
    assert.equal("spread", (reason { method = "nelder_mead" }))
    assert.equal("nan", (reason({ method = "gd", lr = 10, steps = 2000 }, nil)))
    assert.equal("line search", (reason({ restarts = 0 }, function(x)
      return x:sum():item(), -mare.ones({ 2 }, "f64")      -- a wrong gradient
    end)))
    assert.equal("gradient", (reason({}, function(x) return (x * x):sum() end, f64 { 0, 0 })))
  end)

  it("steps, evaluations and target are kept", function()
    for _, method in ipairs { "lbfgs", "cg", "newton", "nelder_mead", "cma_es" } do
      local _, trace = reason { steps = 4, method = method }
      assert.equal(4, trace.steps)
      local why, limited = reason { evaluations = 20, method = method, steps = 1000 }
      assert.equal("evaluations", why)
      demand(limited.evaluations >= 20 and limited.evaluations < 40, "%d", limited.evaluations)
      local x, f = optim.minimize(rosenbrock, f64 { -1.2, 1 }, { steps = 0, method = method })
      if method ~= "nelder_mead" then assert.same({ -1.2, 1 }, x:totable()) end
      demand(near(f, rosenbrock(x):item(), 1e-14) and f <= 24.2, "%s: %g", method, f)
    end
  end)

  it("minus infinity is no target", function()
    local _, f, trace = optim.nelder_mead(function(x)
      return x:item() > 3 and -math.huge or -x:item()
    end, 1, { steps = 50 })
    assert.equal(-math.huge, f)
    assert.not_equal("target", trace.reason)
  end)

  it("a divergent run ends at its last number", function()
    local x, f, trace = optim.minimize(rosenbrock, f64 { -1.2, 1 }, { method = "gd", lr = 10 })
    assert.equal("nan", trace.reason)
    demand(f - f == 0, "f is %g", f)
    for _, v in ipairs(x:totable()) do demand(v - v == 0, "x is %g", v) end
  end)
end)

describe("the trace", function()
  it("tells every step of every method", function()
    for _, method in ipairs { "lbfgs", "cg", "newton", "adam", "nelder_mead", "cma_es",
        "differential_evolution", "random_search" } do
      local options = { method = method, trace = true, steps = 12, bounds = { -5, 5 }, seed = 2 }
      if method == "cg" or method == "newton" then options.bounds = nil end
      local x, f, trace = optim.minimize(rosenbrock, f64 { -1.2, 1 }, options)
      assert.equal(12, #trace)
      for k = 0, 12 do
        local row = trace[k]
        assert.equal(k, row.step)
        demand(near(row.f, rosenbrock(row.x):item(), 1e-12), "%s: f of row %d", method, k)
        if k > 0 then assert.is_true(row.evaluations > trace[k - 1].evaluations) end
      end
      if method ~= "differential_evolution" then
        assert.same(x:totable(), trace[12].x:totable())
        assert.equal(f, trace[12].f)
      end
    end
  end)

  it("has gradients and the lengths of steps", function()
    local _, _, trace = optim.lbfgs(rosenbrock, f64 { -1.2, 1 }, { trace = true })
    for k = 1, #trace do
      local row, before = trace[k], trace[k - 1]
      local g = mare.grad(rosenbrock)(row.x)
      demand(near(row.gradient_norm, g:abs():max():item(), 1e-10), "gradient of row %d", k)
      demand(near(row.step_size, (row.x - before.x):norm():item(), 1e-10), "length of row %d", k)
      assert.is_true(row.rate > 0)
    end
    assert.equal(trace.steps, #trace)
    assert.is_true(trace[#trace].gradient_norm <= 1e-8)
  end)

  it("is empty unless asked for, and has x of small problems only", function()
    local _, _, trace = optim.minimize(parabola, 6)
    assert.equal(("lbfgs: %d steps, %d evaluations, %d gradients; ended by %s"):format(trace.steps,
      trace.evaluations, trace.gradients, trace.reason), tostring(trace))
    local _, _, several = optim.minimize(parabola, 6, { restarts = 2, sample = { 0, 1 }, seed = 1 })
    assert.truthy(tostring(several):find("gradients, the best of 3 starts; ended by ", 1, true))
    assert.is_nil(trace[0])
    assert.equal(1, #trace.starts)
    local _, _, big = optim.minimize(function(x) return (x * x):sum() end, mare.ones({ 200 }),
      { trace = true })
    assert.is_nil(big[0].x)
    assert.equal(200, big[0].f)
    local seen
    optim.minimize(function(x) return (x * x):sum() end, mare.ones({ 200 }),
      { callback = function(row) seen = row.x end })
    assert.same({ 200 }, seen.shape)
  end)
end)

describe("searches", function()
  it("Nelder and Mead solve Rosenbrock's function", function()
    local x, f, trace = optim.nelder_mead(rosenbrock, f64 { -1.2, 1 })
    all_near(x, 1, 1e-6, "x")
    demand(f < 1e-12, "%g", f)
    assert.equal("spread", trace.reason)
    assert.equal(0, trace.gradients)
  end)

  it("Nelder and Mead stay in a box, adapt to many variables, pass over nan", function()
    local inside = true
    local x, f = optim.nelder_mead(function(p)
      inside = inside and p:le(0.5):all():item() ~= 0
      return rosenbrock(p)
    end, f64 { -1.2, 0.1 }, { bounds = { -2, 0.5 } })
    assert.is_true(inside)
    demand(near(x[1]:item(), 0.5, 1e-7) and near(f, 0.25, 1e-7), "%g", f)
    local function sphere(p) return p:square():sum() end
    local _, _, plain = optim.nelder_mead(sphere, mare.ones({ 24 }, "f64"), { adaptive = false })
    local _, g, trace = optim.nelder_mead(sphere, mare.ones({ 24 }, "f64"))
    demand(g < 1e-12 and trace.evaluations < plain.evaluations, "%g in %d calls, %d", g,
      trace.evaluations, plain.evaluations)
    x = optim.nelder_mead(function(p) return p - p:log() end, 0.01)
    demand(near(x, 1, 1e-7), "%.17g", x)
    x = optim.nelder_mead(function(p) return (p:item() - 2) ^ 2 end, 0, { simplex = 0.5 })
    demand(near(x, 2, 1e-7), "a plain number: %.17g", x)
  end)

  it("Nelder and Mead move a corner in Lua code of one length, for any number of variables", function()
    local function sphere(p) return p:square():sum() end
    local function instructions(n, steps)
      local count = 0
      debug.sethook(function() count = count + 1 end, "", 100)
      local _, _, trace = optim.nelder_mead(sphere, mare.linspace(-1, 2, n, "f64"), { steps = steps })
      debug.sethook()
      demand(trace.evaluations <= n + 1 + 2 * steps, "%d calls: the simplex has shrunk", trace.evaluations)
      return 100 * count
    end
    local function of_a_step(n) return (instructions(n, 600) - instructions(n, 200)) / 400 end
    local few, many = of_a_step(8), of_a_step(128)
    demand(many < 2 * few, "%g instructions for 128 variables, %g for 8", many, few)
  end)

  it("CMA-ES solves Rosenbrock's function in 2 and 10 dimensions", function()
    local x, f, trace = optim.cma_es(rosenbrock, f64 { -1.2, 1 }, { seed = 1 })
    all_near(x, 1, 1e-6, "x")
    demand(f < 1e-12 and trace.evaluations < 1600, "%g in %d calls", f, trace.evaluations)
    assert.equal("spread", trace.reason)
    x, f, trace = optim.cma_es(rosenbrock, mare.zeros({ 10 }, "f64"), { seed = 1 })
    all_near(x, 1, 1e-5, "x")
    demand(f < 1e-10 and trace.evaluations < 9000, "%g in %d calls", f, trace.evaluations)
    local y, _, again = optim.cma_es(rosenbrock, mare.zeros({ 10 }, "f64"), { seed = 1 })
    assert.same(flat(x), flat(y))
    assert.equal(trace.evaluations, again.evaluations)
    x = optim.cma_es(rosenbrock, mare.zeros({ 3 }), { seed = 1 })
    all_near(x, 1, 1e-2, "f32")
  end)

  it("CMA-ES learns axes of very different lengths, and sees order alone", function()
    local f, x0 = known.quadratic[1], mare.ones({ 10 }, "f64")
    local _, value, trace = optim.cma_es(f, x0, { seed = 2 })
    demand(value < 1e-10 and trace.evaluations < 9000, "%g in %d", value, trace.evaluations)
    local _, _, a = optim.cma_es(f, x0, { seed = 2, steps = 50, trace = true })
    local _, _, b = optim.cma_es(function(x) return f(x):log() * 3 + 7 end, x0,
      { seed = 2, steps = 50, trace = true })
    for k = 1, 50 do assert.same(a[k].x:totable(), b[k].x:totable()) end
  end)

  it("CMA-ES doubles its population with every restart, and stays in a box", function()
    local inside = true
    local x, f, trace = optim.cma_es(function(p)
      inside = inside and p:abs():le(5.12):all():item() ~= 0
      return rastrigin(p)
    end, mare.full({ 4 }, 3, "f64"), { bounds = { -5.12, 5.12 }, restarts = 5, seed = 1 })
    assert.is_true(inside)
    all_near(x, 0, 1e-6, "x")
    demand(f < 1e-10, "%g", f)
    for i, start in ipairs(trace.starts) do
      assert.equal(1 + (8 << i - 1) * start.steps, start.evaluations)
    end
    x = optim.cma_es(rosenbrock, f64 { -1.2, 0.1 }, { bounds = { -2, 0.5 }, seed = 3 })
    demand(near(x[1]:item(), 0.5, 1e-6) and near(x[2]:item(), 0.25, 1e-4), "at the bound")
    local y, _, rows = optim.cma_es(rastrigin_rows, mare.full({ 4 }, 3, "f64"),
      { bounds = { -5.12, 5.12 }, restarts = 5, seed = 1, vectorized = true })
    assert.same(trace.evaluations, rows.evaluations)
    all_near(y, 0, 1e-6, "vectorized")
  end)

  it("random search keeps the best of points spread evenly over the box", function()
    local sum, count, low, high = 0, 0, math.huge, -math.huge
    local x, f, trace = optim.random_search(function(v)
      local at = v:item()
      sum, count, low, high = sum + at, count + 1, math.min(low, at), math.max(high, at)
      return (at - 1) ^ 2
    end, 10, { bounds = { -4, 4 }, steps = 600, seed = 1 })
    assert.equal(600, count)
    assert.equal("steps", trace.reason)
    assert.equal((x - 1) ^ 2, f)
    demand(math.abs(x - 1) < 0.05 and math.abs(sum / count) < 0.4, "x is %g", x)
    demand(low >= -4 and low < -3.9 and high <= 4 and high > 3.9, "from %g to %g", low, high)
  end)

  it("differential evolution ends with a polish where there is a gradient", function()
    local options = { bounds = { -5, 5 }, seed = 1, steps = 20, polish = false }
    local _, rough = optim.differential_evolution(rosenbrock, f64 { 9, 9 }, options)
    options.polish = true
    local _, fine, trace = optim.differential_evolution(rosenbrock, f64 { 9, 9 }, options)
    demand(fine < 1e-12 and fine < rough, "%g, %g", fine, rough)
    assert.is_true(trace.gradients > 0)
    local _, plain, none = optim.differential_evolution(function(x) return rosenbrock(x):item() end,
      f64 { 9, 9 }, options)
    assert.equal(rough, plain)
    assert.equal(0, none.gradients)
    options.factor, options.crossover, options.population = 0.8, 0.9, 20
    local _, _, other = optim.differential_evolution(rosenbrock, f64 { 0, 0 }, options)
    assert.equal(20 * 21 + 1, other.starts[1].evaluations - other.gradients)
  end)

  it("differential evolution solves Rastrigin's function, together or one by one", function()
    local options = { bounds = { -5.12, 5.12 }, seed = 1 }
    local x, f = optim.differential_evolution(rastrigin, mare.full({ 5 }, 3, "f64"), options)
    all_near(x, 0, 1e-8, "x")
    demand(f < 1e-12, "%g", f)
    options.vectorized = true
    local y, g, trace = optim.differential_evolution(rastrigin_rows, mare.full({ 5 }, 3, "f64"),
      options)
    assert.same(flat(x), flat(y))
    assert.equal(f, g)
    assert.equal("spread", trace.reason)
  end)

  it("a grid sees every point, and its cells when refined", function()
    local seen = {}
    local x, f, trace = optim.grid(function(x)
      seen[#seen + 1] = x:totable()
      return ((x - 0.3) ^ 2):sum()
    end, f64 { 0, 0 }, { bounds = { { 0, -1 }, { 1, 1 } }, points = { 3, 2 } })
    assert.same({ { 0, -1 }, { 0, 1 }, { 0.5, -1 }, { 0.5, 1 }, { 1, -1 }, { 1, 1 } }, seen)
    assert.same({ 0.5, 1 }, x:totable())
    demand(near(f, 0.53, 1e-15), "%.17g", f)
    assert.equal("complete", trace.reason)
    assert.equal(6, trace.evaluations)
    x = optim.grid(parabola, 0, { bounds = { -4, 5 }, points = 10, refine = 12 })
    demand(math.abs(x - 1) < 1e-6, "refined: %.17g", x)
  end)
end)

-- -- optimizers with step(closure) ---------------------------------------------------------

local function regression()
  mare.seed(4)
  local x = mare.randn({ 30, 3 }, "f64")
  local w, b = mare.zeros({ 3, 2 }, "f64"):requires_grad(), mare.zeros({ 2 }, "f64"):requires_grad()
  local y = x:matmul(f64 { { 1, 2 }, { 3, -1 }, { 0.5, 4 } }) + f64 { 1, -2 }
  local function loss() return mare.loss.mse(x:matmul(w) + b, y) end
  return w, b, loss
end

local function closure_of(opt, loss)
  return function()
    opt:zero_grad()
    local l = loss()
    l:backward()
    return l
  end
end

describe("optimizers with a line search", function()
  for _, name in ipairs { "lbfgs", "cg", "newton" } do
    it(name .. " trains parameters by step(closure)", function()
      local w, b, loss = regression()
      local opt = optim[name]({ w, b }, { iterations = 5 })
      assert.is_true(optim.is_optimizer(opt))
      local first = loss():item()
      local before, after = opt:step(closure_of(opt, loss))
      demand(near(before, first, 1e-14), "%.17g, not %.17g", before, first)
      demand(near(after, loss():item(), 1e-14) and after < before, "after: %.17g", after)
      for _ = 1, 9 do opt:step(closure_of(opt, loss)) end
      assert.equal(10, opt.steps)
      demand(loss():item() < 1e-12, "loss %g", loss():item())
      demand(near(w[{ 2, 1 }]:item(), 3, 1e-5) and near(b[2]:item(), -2, 1e-5), "parameters")
      assert.is_true(w:is_leaf())
    end)

    it(name .. " goes on from its state as if it had not stopped", function()
      local w, b, loss = regression()
      local opt = optim[name]({ w, b }, { iterations = 2 })
      for _ = 1, 2 do opt:step(closure_of(opt, loss)) end
      local bytes = mare.save(nil, opt:state())
      local w0, b0 = w:detach():clone(), b:detach():clone()
      for _ = 1, 2 do opt:step(closure_of(opt, loss)) end
      local want = flat(w)
      mare.no_grad(function() w:copy_(w0); b:copy_(b0) end)
      local again = optim[name]({ w, b }, { iterations = 2 })
      again:load_state(assert(mare.load { string = bytes }))
      assert.equal(2, again.steps)
      for _ = 1, 2 do again:step(closure_of(again, loss)) end
      support.same(flat(w), want, 1e-12, name)
    end)
  end

  it("can be averaged", function()
    local w, b, loss = regression()
    local opt = optim.ema(optim.lbfgs({ w, b }, { iterations = 3 }), 0.5)
    for _ = 1, 20 do opt:step(closure_of(opt, loss)) end
    opt:with(function() demand(loss():item() < 1e-6, "loss %g", loss():item()) end)
  end)

  it("have a rate, a schedule and a text", function()
    local w, b, loss = regression()
    local opt = optim.lbfgs({ w, b }, { lr = function(step) return 1 / step end })
    opt:step(closure_of(opt, loss))
    opt:step(closure_of(opt, loss))
    assert.equal(0.5, opt.lr)
    opt.lr = 0.25
    assert.equal(0.25, opt.lr)
    assert.equal("lbfgs (lr = 0.25): 2 parameters, step 2", tostring(opt))
  end)
end)

-- -- the entry for estimators ---------------------------------------------------------------

describe("lbfgs.minimize", function()
  local lbfgs = require "mare.optim.lbfgs"

  it("works on a flat vector with a gradient that is used again", function()
    local g = mare.empty({ 10 }, "f64")
    local x0 = mare.ones({ 10 }, "f64")
    local x, info = lbfgs.minimize(function(x)
      g:copy_(x * scales)
      return x:dot(g):item() / 2, g
    end, x0, { tol = 1e-6, steps = 900 })
    demand(info.f < 1e-10, "f is %g", info.f)
    assert.same({ 10 }, x.shape)
    demand(info.evaluations >= info.steps and info.steps > 10, "%d", info.steps)
    all_near(x0, 1, 0, "the start")
    assert.is_true(info.reason == "gradient" or info.reason == "value")
  end)

  it("refuses what it cannot take", function()
    local here = "minimize_spec.lua:"
    fails(here, function() lbfgs.minimize(3, f64 { 1 }) end, "'lbfgs' (function expected")
    fails(here, function() lbfgs.minimize(print, 3) end, "tensor expected, got number")
    fails(here, function() lbfgs.minimize(print, f64 { 1 }, { foo = 1 }) end, "unknown option 'foo'")
    fails(here, function() lbfgs.minimize(print, mare.tensor({ 1 }, "i64")) end, "f32 or f64 tensor")
    fails(here, function() lbfgs.minimize(print, f64 { 1 }, { tol = "a" }) end, "tol: a number", "'a'")
    fails(here, function() lbfgs.minimize(function() return 1 end, f64 { 1 }) end,
      "returned number and nil; a number and 1 elements expected")
    fails(here, function()
      lbfgs.minimize(function(x) return 0 / 0, x end, f64 { 1 })
    end, "f is nan at the start")
  end)
end)

-- -- bad input ----------------------------------------------------------------------------

describe("misuse", function()
  local here = "minimize_spec.lua:"
  local function refuses(text, ...)
    local arguments = table.pack(...)
    fails(here, function()
      optim.minimize(table.unpack(arguments, 1, arguments.n))
    end, text)
  end

  it("of options", function()
    refuses("lr: a positive number or a function of the step expected, got -1",
      parabola, 6, { method = "gd", lr = -1 })
    refuses("got nan", parabola, 6, { method = "adam", lr = 0 / 0 })
    refuses("unknown method 'bfgs'; did you mean 'lbfgs'? known: adabelief", parabola, 6, { method = "bfgs" })
    refuses("unknown option 'step'; did you mean 'steps'? known:", parabola, 6, { step = 3 })
    refuses("unknown option 'lr'; known:", parabola, 6, { method = "nelder_mead", lr = 3 })
    refuses("bounds: low is not below high everywhere", parabola, 6, { bounds = { 1, 1 } })
    refuses("bounds: { low, high } expected", parabola, 6, { bounds = { 1 } })
    refuses("bounds[1]: a number or shape 2 expected, got shape 3", rosenbrock, f64 { 0, 0 },
      { bounds = { { 1, 2, 3 }, 9 } })
    refuses("x0 lies outside the bounds", parabola, 6, { bounds = { 1, 2 } })
    refuses("bounds: grid searches", parabola, 6, { method = "grid" })
    refuses("restarts: need sample", parabola, 6, { restarts = 3 })
    refuses("sample: finite numbers expected", parabola, 6, { restarts = 3, sample = { 0, 1 / 0 } })
    refuses("bounds: finite numbers expected", parabola, 6, { method = "grid", bounds = { 0, 1 / 0 } })
    refuses("unknown option 'bounds'", parabola, 6, { method = "cg", bounds = { 0, 9 } })
    refuses("steps: a whole number of at least 0 expected, got 1.5", parabola, 6, { steps = 1.5 })
    refuses("tol: a number of at least 0 expected, got -1", parabola, 6, { tol = -1 })
    refuses("trace: true or false expected, got 'yes'", parabola, 6, { trace = "yes" })
    refuses("callback: a function expected, got 3", parabola, 6, { callback = 3 })
    refuses("beta: one of fletcher_reeves, hestenes_stiefel, polak_ribiere expected, got 'pr'",
      parabola, 6, { method = "cg", beta = "pr" })
    refuses("c1 (0.5) is not below c2 (0.1)", parabola, 6, { method = "cg", c1 = 0.5 })
    refuses("points: ", parabola, 6, { method = "grid", bounds = { 0, 9 }, points = { 0 } })
    refuses("points: 2 counts for 1 variable", parabola, 6,
      { method = "grid", bounds = { 0, 9 }, points = { 2, 2 } })
    refuses("table of options expected, got number", parabola, 6, 3)
    fails(here, function() optim.cg(parabola, 6, { method = "lbfgs" }) end, "'cg'", "method")
    fails(here, function() optim.cma_es(parabola, 6, { sigma = 0 }) end,
      "bad argument #3 to 'cma_es' (sigma: a positive number expected, got 0)")
  end)

  it("of the function and the start", function()
    refuses("bad argument #1 to 'minimize' (function expected, got number)", 3, 6)
    refuses("x0 is a nil", parabola)
    refuses("x0.w is a string", parabola, { w = "w" })
    refuses("x0 is a i64 tensor", parabola, mare.tensor({ 1 }, "i64"))
    refuses("x0 holds nan or inf", parabola, 0 / 0)
    refuses("returned shape 2, not a single number", function(x) return x * 2 end, f64 { 1, 2 })
    refuses("returned a nil, not a number", function() end, 1)
    refuses("returned a number without its gradient", function(x) return x:item() end, 1)
    refuses("f is nan at the start", function(x) return x:log() end, -1)
    refuses("f is inf at the start", function(x) return x:exp() end, 1e5)
    refuses("x0 is an empty table", parabola, {})
    refuses("x0 has no elements", parabola, mare.zeros({ 0 }))
    refuses("not computed from its argument", function() return f64(3) end, 1)
    refuses("gradient of shape 2 expected, got shape 3",
      function(x) return x:sum(), mare.zeros({ 3 }) end, f64 { 1, 2 })
    refuses("vectorized: x0 is to be one tensor", parabola, { 1 },
      { method = "cma_es", vectorized = true })
    refuses("256 values expected for 256 points, got shape 1", function(X) return X:sum():reshape(1) end, f64 { 0, 0 },
      { method = "random_search", vectorized = true, bounds = { 1, 2 } })
    fails(nil, function() optim.minimize(function() error "mine" end, 1) end, "mine")
  end)

  it("of optimizers with a line search", function()
    local w, b, loss = regression()
    local opt = optim.lbfgs({ w, b })
    fails(here, function() optim.lbfgs({ w }, { c1 = 0.95 }) end, "#2 to 'lbfgs'", "not below c2")
    fails(here, function() optim.lbfgs({}) end, "the list of parameters is empty")
    fails(here, function() optim.lbfgs({ w, w }) end, "parameter #2 is the same tensor as parameter #1")
    fails(here, function() optim.lbfgs({ w, mare.zeros({ 1 }) }) end, "parameter #2 is f32 where")
    fails(here, function() optim.lbfgs({ w * 2 }) end, "parameter #1 is computed from others")
    fails(here, function() optim.lbfgs({ 3 }) end, "parameter #1 is a number, not a tensor")
    fails(here, function() optim.lbfgs(mare.nn.Linear(2, 2), {}) end, "model:parameters()")
    fails(here, function() optim.lbfgs({ w }, { lr = -1 }) end, "'lbfgs' (lr: a positive number")
    fails(here, function() optim.cg({ w }, { memory = 3 }) end, "unknown option 'memory'")
    fails(here, function() opt:step() end, "function expected, got no value")
    fails(here, function() opt:step(function() return loss() end) end, "left no gradients")
    fails(here, function() opt:step(function() w.grad = w:detach() end) end, "not the loss")
    fails(here, function()
      opt:step(function() w.grad = w:detach() return 0 / 0 end)
    end, "returned", "nan")
    fails(here, function() opt.lr = -1 end, "lr: a positive number")
    fails(here, function() opt.foo = 1 end, "unknown option 'foo'")
    fails(here, function() opt:load_state({}) end, "state of lbfgs expected")
  end)
end)
