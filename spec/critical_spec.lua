-- critical_spec.lua -- kinds of points whose Hessians are known by hand, and the way
-- down from saddles.

local mare = require "mare"
local support = require "spec.support"

local flat, same, demand, fails = support.flat, support.same, support.demand, support.fails
local HERE = "critical_spec.lua"

local function vector(...) return mare.tensor({...}, "f64") end

local function product(w) return (1 - w[1] * w[2]) ^ 2 end

describe("critical_point", function()
  local function form(...) -- x -> sum of c_i x_i^2 / 2
    local c = vector(...)
    return function(x) return (c * x * x):sum() * 0.5 end
  end

  it("tells (1 - w1 w2)^2 at (0, 0) to be a saddle", function()
    for _, dtype in ipairs {"f32", "f64"} do
      local p = mare.critical_point(product, mare.zeros(2, dtype))
      assert.same("saddle", p.kind)
      same(flat(p.eigenvalues), {-2, 2}, 1e-12, "eigenvalues")
      same({p.gradient_norm, p.value}, {0, 1}, 0, "gradient and value")
      assert.same(dtype, p.escape.dtype)
      same(flat(p.escape), {math.sqrt(0.5), math.sqrt(0.5)}, 1e-7, "escape along (1, 1)")
    end
    local q = mare.critical_point(product, vector(2, 0.5))     -- a valley of minima
    assert.same("degenerate", q.kind)
    assert.is_nil(q.escape)
  end)

  it("knows every kind", function()
    local x = vector(0, 0, 0)
    local cases = {
      minimum = {1, 2, 3}, maximum = {-1, -2, -3}, saddle = {1, -1, 0}, degenerate = {1, 0, 2},
    }
    for kind, c in pairs(cases) do
      local p = mare.critical_point(form(table.unpack(c)), x)
      assert.same(kind, p.kind)
      table.sort(c)
      same(flat(p.eigenvalues), c, 1e-14, "eigenvalues of the " .. kind)
      assert.same(kind == "maximum" or kind == "saddle", p.escape ~= nil)
    end
    local down = mare.critical_point(form(-1, 0, 0), x)
    assert.same("degenerate", down.kind)
    same(flat(down.escape), {1, 0, 0}, 0, "a way down all the same")
    local regular = mare.critical_point(form(1, 2, 3), vector(1, 0, 1))
    assert.same("regular", regular.kind)
    same({regular.gradient_norm}, {math.sqrt(10)}, 1e-15, "gradient norm")
    assert.is_nil(regular.escape)
    assert.same("degenerate", mare.critical_point(function(v) return (v ^ 4):sum() end, x).kind)
  end)

  it("has a tolerance", function()
    local f, x = form(1, 1e-4), vector(1e-5, 0)
    assert.same("regular", mare.critical_point(f, x).kind)
    assert.same("minimum", mare.critical_point(f, x, {tolerance = 2e-5}).kind)
    assert.same("degenerate", mare.critical_point(f, x, {tolerance = 1e-3}).kind)
    assert.same("degenerate", mare.critical_point(f, mare.zeros(2, "f64"), {tolerance = 1e-3}).kind)
  end)

  it("goes over nested tables", function()
    local x = {a = vector(0), b = {mare.zeros(1, 1, "f64")}, name = "x"}
    local p = mare.critical_point(function(v) return (1 - v.a[1] * v.b[1][{1, 1}]) ^ 2 end, x)
    assert.same("saddle", p.kind)
    assert.same({1, 1}, p.escape.b[1].shape)
    same({p.escape.a:item(), p.escape.b[1]:item()}, {math.sqrt(0.5), math.sqrt(0.5)}, 1e-14, "escape")
    assert.same("x", p.escape.name)
  end)

  it("is shown in a line", function()
    assert.same("saddle: value 1, gradient norm 0, eigenvalues -2 2",
      tostring(mare.critical_point(product, vector(0, 0))))
    assert.same("minimum: value 0, gradient norm 0, eigenvalues 2 2 2 ... 2 2",
      tostring(mare.critical_point(function(v) return (v * v):sum() end, mare.zeros(9))))
    local report = select(3, mare.optim.escape_saddle(product, vector(0, 0)))
    assert.truthy(tostring(report):find("; 1 escape, " .. report.reason, 1, true))
    local point = mare.critical_point(product, vector(0, 0))
    point.eigenvalues:close()
    assert.same("saddle: value 1, gradient norm 0, eigenvalues closed", tostring(point))
  end)

  it("refuses what has no kind", function()
    fails(HERE, function() mare.critical_point(3, vector(1)) end, "#1 to 'critical_point'", "number")
    fails(HERE, function() mare.critical_point(product, 3) end, "'critical_point'", "number")
    fails(HERE, function() mare.critical_point(function(v) return v end, vector(1, 2)) end,
      "'critical_point'", "shape 2")
    fails(HERE, function() mare.critical_point(product, vector(1, 2), {tol = 1}) end, "tol", "tolerance")
    fails(HERE, function() mare.critical_point(product, vector(1, 2), {tolerance = -1}) end, "-1")
    fails(HERE, function() mare.critical_point(function(v) return v:log():sum() end, vector(0)) end,
      "'critical_point'", "not finite")
    fails(HERE, function() mare.critical_point(function(v) return v:sum() end, mare.zeros(0)) end,
      "no elements")
  end)
end)

describe("escape_saddle", function()
  it("leaves (0, 0) of (1 - w1 w2)^2 along (1, 1), for the bottom", function()
    local start = mare.zeros(2, "f64")
    local w, loss, report = mare.optim.escape_saddle(product, start)
    demand(loss < 1e-10, "loss %g", loss)
    local a, b = w[1]:item(), w[2]:item()
    same({a, b}, {1, 1}, 1e-4, "w")
    assert.same(1, report.escapes)
    assert.same("degenerate", report.reason)
    same(flat(start), {0, 0}, 0, "the start itself")
  end)

  it("goes on until a minimum, from saddles and maxima, over tables", function()
    -- sum of (x^2 - 1)^2: a maximum at 0, saddles where some are 0, minima at +-1
    local function f(p) return ((p.x * p.x - 1) ^ 2):sum() end
    for _, at in ipairs {{0, 0, 0}, {1, 0, -1}, {0, 1, 1}} do
      local p, value, report = mare.optim.escape_saddle(f, {x = mare.tensor(at, "f64")})
      assert.same("minimum", report.kind)
      assert.same("minimum", report.reason)
      demand(value < 1e-9 and report.escapes >= 1, "value %g, %d escapes", value, report.escapes)
      same(flat(p.x:abs()), {1, 1, 1}, 1e-4, "x")
    end
    local x, _, report = mare.optim.escape_saddle(function(v) return (v * v):sum() end, vector(3, 4))
    same(flat(x), {0, 0}, 1e-6, "from a slope")
    assert.same(0, report.escapes)
  end)

  it("says why it stopped", function()
    local _, _, report = mare.optim.escape_saddle(function(v) return v[1] ^ 2 - v[2] ^ 2 end, vector(0, 0))
    assert.same("unbounded", report.reason)
    _, _, report = mare.optim.escape_saddle(product, vector(0, 0), {escapes = 0})
    assert.same("escapes", report.reason)
    assert.same("saddle", report.kind)
    fails(HERE, function() mare.optim.escape_saddle(product, vector(0, 0), {stepp = 1}) end, "stepp", "step")
    fails(HERE, function() mare.optim.escape_saddle(product, vector(0, 0), {step = 0}) end, "step")
    fails(HERE, function() mare.optim.escape_saddle(product) end, "'escape_saddle'", "no value")
  end)
end)
