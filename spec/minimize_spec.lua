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
  for _, method in ipairs { "lbfgs", "cg" } do
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

describe("searches", function()
  it("Nelder and Mead solve Rosenbrock's function", function()
    local x, f, trace = optim.nelder_mead(rosenbrock, f64 { -1.2, 1 })
    all_near(x, 1, 1e-6, "x")
    demand(f < 1e-12, "%g", f)
    assert.equal("spread", trace.reason)
    assert.equal(0, trace.gradients)
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
    refuses("unknown method 'bfgs'; known: adabelief", parabola, 6, { method = "bfgs" })
    refuses("unknown option 'step'; known:", parabola, 6, { step = 3 })
    refuses("unknown option 'lr'; known:", parabola, 6, { method = "nelder_mead", lr = 3 })
    refuses("bounds: low is not below high everywhere", parabola, 6, { bounds = { 1, 1 } })
    refuses("bounds: { low, high } expected", parabola, 6, { bounds = { 1 } })
    refuses("bounds[1]: a number or shape 2 expected, got shape 3", rosenbrock, f64 { 0, 0 },
      { bounds = { { 1, 2, 3 }, 9 } })
    refuses("x0 lies outside the bounds", parabola, 6, { bounds = { 1, 2 } })
    refuses("bounds: grid searches", parabola, 6, { method = "grid" })
    refuses("restarts: need sample", parabola, 6, { restarts = 3 })
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
  end)
end)
