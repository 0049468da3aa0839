-- forward_spec.lua -- forward mode: levels inside each other and inside reverse mode,
-- memory, what counts as constant, Jacobians and Hessians over nested tables, errors.
-- Each operation's rule is checked where its row is, in ops_spec and structured_spec.

local mare = require "mare"
local registry = require "mare.ops"
local support = require "spec.support"

local flat, same, demand, fails = support.flat, support.same, support.demand, support.fails
local HERE = "forward_spec.lua"

local function number(v) return mare.tensor(v, "f64") end

local function slope(f, x) -- the derivative of a function of a number, forwards
  local _, t = mare.jvp(f, x, mare.ones(x.shape, x.dtype))
  return t
end

describe("perturbations", function()
  -- Siskind and Pearlmutter, "Perturbation confusion and referential transparency", 2005
  it("of the inner and the outer variable stay apart", function()
    local ways = {forward = slope, reverse = function(f, x) return mare.grad(f)(x) end}
    for outer, d1 in pairs(ways) do
      for inner, d2 in pairs(ways) do
        local what = outer .. " over " .. inner
        local one = d1(function(x)      -- d/dx (x d/dy (x + y)) is 1
          return x * d2(function(y) return x + y end, number(1))
        end, number(1))
        same(flat(one), {1}, 0, what .. ", x + y")
        local six = d1(function(x)      -- d/dx (x d/dy (x y)) = 2 x
          return x * d2(function(y) return x * y end, number(5))
        end, number(3))
        same(flat(six), {6}, 0, what .. ", x y")
        local mixed = d1(function(x)    -- d/dx d/dy (x^2 y^3) at y = x: d/dx (3 x^4) = 12 x^3
          return d2(function(y) return x * x * y * y * y end, x)
        end, number(2))
        same(flat(mixed), {12 * 8}, 1e-14, what .. ", at the same point")
      end
    end
  end)

  it("of third order, in all eight ways", function()
    local function f(x) return x:sin() * x * x end
    local want = {}
    for i, v in ipairs {0.3, 1.1, -2} do
      want[i] = 6 * math.cos(v) - 6 * v * math.sin(v) - v * v * math.cos(v)
    end
    local function back(g) return mare.grad(function(x) return g(x):sum() end) end
    local function forth(g) return function(x) return slope(g, x) end end
    local x = number {0.3, 1.1, -2}
    for _, a in ipairs {back, forth} do
      for _, b in ipairs {back, forth} do
        for _, c in ipairs {back, forth} do
          local t = a(b(c(f)))(x)
          same(flat(t), want, 1e-13, "third derivative")
          assert.is_false(t.is_tracked)
        end
      end
    end
  end)

  it("that leak out of their function are forgotten", function()
    local leaked
    slope(function(x)
      leaked = x * 2
      return leaked
    end, number(3))
    assert.is_false(leaked.is_tracked)
    same(flat(slope(function(y) return y * leaked end, number(1))), {6}, 0, "a constant by now")
    same(flat(mare.grad(function(y) return y * leaked end)(number(1))), {6}, 0, "in reverse too")
    assert.is_false((leaked * 2).is_tracked)
  end)

  it("of suspended coroutines are their own", function()
    local inside = coroutine.wrap(function()
      local t = slope(function(x)
        coroutine.yield()
        local y = x * x
        coroutine.yield()
        return y * x
      end, number(2))
      coroutine.yield(t)
    end)
    inside()
    assert.is_false((number(1) * 2).is_tracked)
    local t = slope(function(x)
      inside()
      return x * x * 5
    end, number(3))
    same(flat(t), {30}, 0, "the one outside")
    same(flat(inside()), {12}, 0, "the one inside")
    local reverse = coroutine.wrap(function()
      mare.grad(function(x) coroutine.yield() return x end)(number(1))
    end)
    reverse()
    assert.is_false(mare.grad(function(x) return x * x end)(number(3)).is_tracked)
    for _ = 1, 20 do                  -- abandoned in the middle
      coroutine.wrap(function() slope(function(x) coroutine.yield() return x end, number(1)) end)()
    end
    collectgarbage()
    collectgarbage()
    same(flat(slope(function(x) return x * x end, number(4))), {8}, 0, "afterwards")
  end)
end)

describe("jvp", function()
  it("keeps nothing of a long chain", function()
    local peak = 0
    local function chain(n)
      return function(x)
        for i = 1, n do
          x = i % 2 == 0 and x * 1.00001 or (x + 0.001):sin()
          if i % 1000 == 0 then
            collectgarbage()
            peak = math.max(peak, collectgarbage "count" * 1024 + mare.memory().live)
          end
        end
        return x
      end
    end
    local x = mare.rand({16}, "f64")
    mare.jvp(chain(2000), x, x)
    local short = peak
    peak = 0
    local _, t = mare.jvp(chain(100000), x, x)
    demand(peak < short + 100000, "%d bytes in 2,000 steps, %d in 100,000", short, peak)
    assert.same({16}, t.shape)
  end)

  it("leaves nothing behind", function()
    local function run()
      mare.jvp(function(x)
        return slope(function(y) return (y * x):exp() end, x):sum() + mare.grad(function(y)
          return (y * x):sum()
        end)(x):sum()
      end, mare.rand({8}, "f64"), mare.ones({8}, "f64"))
      pcall(mare.jvp, function(x) error(x:exp():sum()) end, mare.ones(3), mare.ones(3))
    end
    run()
    local before = support.live()
    for _ = 1, 5 do run() end
    assert.same(before, support.live())
  end)

  it("takes f's constants as constants", function()
    local x = number {1, 2}
    local w = number({3, 4}):requires_grad()
    same(flat(slope(function(v) return v * w end, x)), {3, 4}, 0, "a variable of others")
    assert.is_nil(w.grad)
    same(flat(slope(function(v) return v * v:detach() end, x)), {1, 2}, 0, "detach")
    same(flat(slope(function(v) return v * mare.no_grad(function() return v * 3 end) end, x)),
      {3, 6}, 0, "no_grad")
    same(flat(slope(function(v)
      return mare.no_grad(function() return mare.enable_grad(function() return v * 3 end) end)
    end, x)), {3, 3}, 0, "enable_grad in it")
    same(flat(slope(function() return w end, x)), {0, 0}, 0, "nothing depends on it")
    same(flat(slope(function(v) return v:gt(1):to "f64" end, x)), {0, 0}, 0, "a step")
    local y, t = mare.jvp(function(v) return v * w end, x, x)
    assert.is_false(y.is_tracked or t.is_tracked)
  end)

  it("shares no memory with what it is given", function()
    local x, v = number {1, 2}, number {3, 4}
    local y, t = mare.jvp(function(a) return a end, x, v)
    t:mul_(5)
    same(flat(v), {3, 4}, 0, "v")
    same(flat(y), {1, 2}, 0, "y")
    local _, u = mare.jvp(function(a) return a:t() + 1 end, number {{1, 2}}, number {{3, 4}})
    same(flat(u), {3, 4}, 0, "a view")
  end)

  it("goes through tables in and out", function()
    local x = {a = number {1, 2}, b = {number(3)}, n = 7, labels = mare.tensor({1}, "i64")}
    local v = {a = number {1, 0}, b = {number(2)}, n = 0, labels = mare.tensor({0}, "i64")}
    local y, t = mare.jvp(function(p)
      assert.same(7, p.n)
      return {sum = p.a * p.b[1], deep = {p.b[1]:square()}, which = p.labels}
    end, x, v)
    same(flat(y.sum), {3, 6}, 0, "y.sum")
    same(flat(t.sum), {3 + 2, 4}, 0, "t.sum")
    same(flat(t.deep[1]), {12}, 0, "t.deep")
    same(flat(t.which), {1}, 0, "labels stay")
  end)

  it("uses a jvp of the user's own", function()
    local calls = 0
    local cube = mare.op {
      name = "cube", forward = function(a, k) return a * a * a * k end,
      backward = function(g, _, a, k) return g * 3 * k * a * a end,
      jvp = function(t, y, a, k)
        calls = calls + 1
        demand(t[2] == nil and y.shape[1] == 2, "arguments of jvp")
        return t[1] * 3 * k * a * a
      end,
    }
    local x = number {1, 2}
    same(flat(slope(function(v) return cube(v, 2) end, x)), {6, 24}, 0, "jvp")
    assert.same(1, calls)
    same(flat(slope(function(v) return slope(function(w) return cube(w, 2) end, v) end, x)),
      {12, 24}, 0, "twice")
    same(flat(mare.jacobian(function(v) return cube(v, 2) end, x)), {6, 0, 0, 24}, 0, "jacobian")
    local function broken(jvp, ...)
      local op = mare.op {name = "odd", forward = function(a) return a * 2 end,
        backward = function(g) return g * 2 end, jvp = jvp}
      fails(HERE, function() slope(function(v) return op(v) * 1 end, x) end, "'odd'", ...)
    end
    broken(function() return 3 end, "number")
    broken(function() return mare.ones(3, "f64") end, "shape 3", "shape 2")
    broken(function(t) return t[1]:to "f32" end, "f32", "f64")
    broken(function() error "no rule 'odd' today" end, "today")
    fails(HERE, function()
      mare.op {name = "x", forward = print, backward = print, jvp = 3}
    end, "jvp", "not a function")
  end)

  it("an error in a rule that the user catches does not make a constant", function()
    local fail = true
    local op = mare.op {name = "odd", forward = function(a) return a * 2 end,
      backward = function(g) return g * 2 end,
      jvp = function(t) if fail then error "once" end return t[1] * 2 end}
    same(flat(slope(function(v)
      local y = op(v)
      assert.is_false(pcall(function() return y * 3 end))
      fail = false
      return y * 3
    end, number {1})), {6}, 0, "tangent")
  end)

  it("refuses writes in place and what was closed", function()
    local x = number {1, 2}
    fails(HERE, function() slope(function(v) return v:mul_(2) end, x) end, "'mul_'", "detach")
    fails(HERE, function() slope(function(v) v[1] = 3 return v end, x) end, "tangent")
    fails(HERE, function()
      slope(function(v)
        local y = v:exp()
        y:detach():zero_()
        return y * 2
      end, x)
    end, "'exp'", "in place")
    fails(HERE, function()
      slope(function(v)
        local y = v:sin()
        v:close()
        return y * 2
      end, x)
    end, "'sin'", "closed")
    same(flat(x), {1, 2}, 0, "x itself is untouched")
  end)

  it("refuses tangents of another shape, type or structure", function()
    local function f(v) return v.a * 2 end
    local x = {a = number {1, 2}}
    fails(HERE, function() mare.jvp(f, x, {a = number {1}}) end, "#3 to 'jvp'", "shape 2", "shape 1")
    fails(HERE, function() mare.jvp(f, x, {a = mare.ones(2)}) end, "f64", "f32")
    fails(HERE, function() mare.jvp(f, x, {}) end, "shape 2", "no value")
    fails(HERE, function() mare.jvp(f, x, {a = 3}) end, "shape 2", "number")
    fails(HERE, function() mare.jvp(f, x, x.a) end, "table", "a tensor")
    fails(HERE, function() mare.jvp(f, x) end, "table", "no value")
    fails(HERE, function() mare.jvp(f, x, {a = x.a, c = x.a}) end, "'c'")
    fails(HERE, function() mare.jvp(f, 3, 3) end, "'jvp'", "number")
    fails(HERE, function() mare.jvp(function() end, x, x) end, "'jvp'", "nothing")
    fails(HERE, function() mare.jvp(function() return 3 end, x, x) end, "'jvp'", "number")
    fails(HERE, function() mare.hvp(function(v) return v.a:sum() end, x, {a = number {1}}) end,
      "#3 to 'hvp'", "shape 2")
    fails(HERE, function() mare.hvp(f, x, x) end, "'hvp'", "shape 2", "single number")
    fails(HERE, function() mare.hvp(3, x, x) end, "'hvp'", "function")
  end)
end)

describe("a scope", function()
  local x = number {0.5, -1, 2}

  it("keeps the tangents of what is kept, at all levels", function()
    local function f(t)
      local s <close> = mare.scope()
      local u = t * t
      return s:keep(u:sin() * u)
    end
    local function plain(t) return (t * t):sin() * (t * t) end
    local v = number {1, -2, 0.5}
    local y, dy = mare.jvp(f, x, v)
    local want, dwant = mare.jvp(plain, x, v)
    same(flat(y), flat(want), 0, "value")
    same(flat(dy), flat(dwant), 1e-15, "tangent")
    local function second(g)
      local _, d2 = mare.jvp(function(t)
        local _, d = mare.jvp(g, t, v)
        return d
      end, x, v)
      return flat(d2)
    end
    same(second(f), second(plain), 1e-14, "second order")
    same(flat(mare.jacobian(f, x)), flat(mare.jacobian(plain, x)), 1e-15, "many at once")
  end)

  it("keeps those of the tensors in a table, and no others", function()
    local made, kept
    local _, d = mare.jvp(function(t)
      do
        local s <close> = mare.scope()
        made = t:exp()
        kept = s:keep {a = t:cos(), {t * 2}}
      end
      return kept.a + kept[1][1]
    end, x, mare.ones({3}, "f64"))
    same(flat(d), flat(2 - x:sin()), 1e-15, "tangent")
    demand(not pcall(made.sum, made), "what was not kept is open")
  end)
end)

describe("element-wise rows", function()
  it("with many tangents, broadcast, inside each other", function()
    local checked = 0
    for name, row in pairs(registry.rows) do
      if not row.structured and #row.args == 2 and row.derivatives[1] and row.args[1] ~= "mask"
        and row.kinks == "" then
        local random = support.sequence(5)
        local function draw(...)
          local t = mare.zeros({...}, "f64")
          for i = 1, t:numel() do t:reshape(-1)[i] = random(row.lo, row.hi) end
          return t
        end
        for _, x in ipairs {{draw(3), draw(2, 3)}, {draw(2, 1), draw(3)}, {draw(2, 3), draw()}} do
          local function f(p) return row.call(p[1], p[2]) end
          local J = mare.jacobian(f, x, {mode = "reverse"})
          local K = mare.jacobian(f, x, {mode = "forward"})
          local function value(p) return (f(p) * f(p)):sum() end
          local H = mare.hessian(value, x)
          local G = mare.jacobian(mare.grad(value), x, {mode = "forward", chunk = 2})
          for i = 1, 2 do
            same(flat(K[i]), flat(J[i]), 1e-13, name)
            for j = 1, 2 do
              same(flat(H[i][j]), flat(H[j][i]:reshape(x[j]:numel(), -1):t()), 1e-11,
                name .. ": symmetry")
              same(flat(G[i][j]), flat(H[i][j]), 0, name .. ": Jacobian of the gradient")
            end
          end
        end
        checked = checked + 1
      end
    end
    demand(checked >= 8, "%d rows", checked)
  end)
end)

-- -- matrices of derivatives --------------------------------------------------------------

-- a tanh network with 49 parameters (4-8-1) and its loss on 16 samples
local function network()
  local random = support.sequence(11)
  local function draw(...)
    local t = mare.zeros({...}, "f64")
    for i = 1, t:numel() do t:reshape(-1)[i] = random(-1, 1) end
    return t
  end
  local x, y = draw(16, 4), draw(16, 1)
  local params = {w = draw(8, 4), b = draw(8), out = {v = draw(1, 8), c = draw(1)}}
  local function f(p)
    local hidden = mare.linear(x, p.w, p.b):tanh()
    return mare.loss.mse(mare.linear(hidden, p.out.v, p.out.c), y)
  end
  return f, params
end

local function pieces(p) return {p.w, p.b, p.out.v, p.out.c} end

describe("hessian", function()
  it("of a tanh network with 49 parameters, against differences of gradients", function()
    local f, params = network()
    local H = mare.hessian(f, params)
    local rows, names, count = pieces(H), pieces(params), 0
    for j, p in ipairs(names) do
      local flat_p = p:reshape(-1)
      for k = 1, p:numel() do
        local old, eps, g = flat_p[k]:item(), 1e-5, {}
        for sign = -1, 1, 2 do
          flat_p[k] = old + sign * eps
          g[sign] = pieces(mare.grad(f)(params))
        end
        flat_p[k] = old
        count = count + 1
        for i, q in ipairs(names) do
          local want = flat((g[1][i] - g[-1][i]) * (1 / (2 * eps)))
          local block = pieces(rows[i])[j]
          assert.same(#q.shape + #p.shape, #block.shape)
          same(flat(block:reshape(q:numel(), p:numel())[{{}, k}]), want, 1e-8,
            ("block %d, %d, column %d"):format(i, j, k))
        end
      end
    end
    assert.same(49, count)
    for _, chunk in ipairs {1, 7, 48} do
      local other = pieces(mare.hessian(f, params, {chunk = chunk}))
      for i = 1, 4 do
        for j = 1, 4 do
          same(flat(pieces(other[i])[j]), flat(pieces(rows[i])[j]), 1e-12, "chunk " .. chunk)
        end
      end
    end
  end)

  it("keeps up with 49 separate gradients", function()    -- one run, not one for each column
    local f, params = network()
    local function seconds(run)
      local best = math.huge
      for _ = 1, 7 do
        local start = mare.clock()
        run()
        best = math.min(best, mare.clock() - start)
      end
      return best
    end
    local whole = seconds(function() mare.hessian(f, params) end)
    local gradient = seconds(function() mare.grad(f)(params) end)
    demand(whole < 49 * gradient, "%.0f us, %.0f us a gradient", whole * 1e6, gradient * 1e6)
  end)

  it("of functions of one tensor, of any shape, that may be differentiated again", function()
    local x = number {{1, 2}, {3, 4}}
    local H = mare.hessian(function(v) return (v * v * v):sum() end, x)
    assert.same({2, 2, 2, 2}, H.shape)
    same({H[{2, 1, 2, 1}]:item(), H[{2, 1, 1, 1}]:item()}, {18, 0}, 0, "H")
    assert.is_false(H.is_tracked)
    local third = mare.grad(function(v)
      return mare.hessian(function(w) return (w * w * w):sum() end, v):sum()
    end)(x)
    same(flat(third), {6, 6, 6, 6}, 0, "the sum of third derivatives")
    local scalar = mare.hessian(function(v) return v:sin() end, number(0.5))
    assert.same({}, scalar.shape)
    same(flat(scalar), {-math.sin(0.5)}, 1e-15, "0-d")
    same(flat(mare.hessian(function(v) return v:sum() end, number {1, 2})), {0, 0, 0, 0}, 0, "linear")
    same(flat(mare.hessian(function(v) return v:square():sum() end, mare.tensor {1, 2})),
      {2, 0, 0, 2}, 0, "f32")
    local w = number({5}):requires_grad()
    same(flat(mare.hessian(function(v) return (v * v * w):sum() end, number {1})), {10}, 0, "w")
    assert.same({0, 0}, mare.hessian(function(v) return v:sum() end, mare.zeros(0)).shape)
  end)

  it("refuses what has none", function()
    local x = number {1, 2}
    fails(HERE, function() mare.hessian(function(v) return v * 2 end, x) end, "'hessian'", "shape 2",
      "single number")
    fails(HERE, function() mare.hessian(function() end, x) end, "'hessian'", "nothing")
    fails(HERE, function() mare.hessian(function() return 1 end, x) end, "'hessian'", "number")
    fails(HERE, function() mare.hessian(3, x) end, "'hessian'", "function")
    fails(HERE, function() mare.hessian(print, "x") end, "'hessian'", "string")
    fails(HERE, function() mare.hessian(print, x, {chunks = 1}) end, "chunks", "chunk")
    fails(HERE, function() mare.hessian(print, x, {chunk = 0}) end, "#3 to 'hessian'", "0")
    fails(HERE, function() mare.jacobian(print, x, {mode = "both"}) end, "mode", "both")
    fails(HERE, function() mare.hessian(function(v) return v:mul_(2):sum() end, x) end, "'mul_'")
  end)
end)

describe("jacobian", function()
  it("over nested tables in and out, in either direction", function()
    local x = {a = number {1, 2}, b = {number {{3, 4}}}, k = 2}
    local function f(p) return {sum = p.a * p.b[1] * p.k, p.a:sum()} end
    for _, mode in ipairs {"forward", "reverse"} do
      local J = mare.jacobian(f, x, {mode = mode})
      assert.same({1, 2, 2}, J.sum.a.shape)
      assert.same({1, 2, 1, 2}, J.sum.b[1].shape)
      same(flat(J.sum.a), {6, 0, 0, 8}, 0, mode)
      same(flat(J.sum.b[1]), {2, 0, 0, 4}, 0, mode)
      same(flat(J[1].a), {1, 1}, 0, mode)
      same(flat(J[1].b[1]), {0, 0}, 0, mode)
      assert.same(2, J.sum.k)
    end
  end)

  it("runs forwards when x is the smaller side, backwards otherwise", function()
    local small, wide = number {1, 2}, mare.rand({300}, "f64")
    local runs = 0
    local m = mare.rand(300, 2, "f64")
    local function tall(v) runs = runs + 1 return m:matmul(v) end
    same(flat(mare.jacobian(tall, small)), flat(m), 1e-15, "tall")
    assert.same(2, runs)
    local function flat_one(v) runs = runs + 1 return m:t():matmul(v) end
    runs = 0
    same(flat(mare.jacobian(flat_one, wide)), flat(m:t():contiguous()), 1e-15, "wide")
    assert.same(1, runs)
    same(flat(mare.jacobian(flat_one, wide, {mode = "forward"})), flat(m:t():contiguous()), 1e-14,
      "in several parts")
    assert.same({2, 0}, mare.jacobian(function() return small end, mare.zeros(0)).shape)
    assert.same({0, 2}, mare.jacobian(function(v) return v:narrow(1, 1, 0) end, small).shape)
  end)

  it("and vjp of tables", function()
    local x = number {1, 2}
    local y, pullback = mare.vjp(function(v) return {v * 2, deep = {v:sum()}} end, x)
    same(flat(y[1]), {2, 4}, 0, "y")
    same(flat(pullback {number {1, 10}, deep = {number(100)}}), {102, 120}, 0, "pullback")
    fails(HERE, function() pullback {number {1, 10}} end, "pullback", "no value")
    fails(HERE, function() pullback {number {1}, deep = {number(1)}} end, "shape 2")
  end)
end)
