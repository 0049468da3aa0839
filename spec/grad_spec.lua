-- grad_spec.lua -- the tape and what is built on it: accumulation, retained and cleared
-- graphs, in-place writes that backward notices, gradients of gradients, products with
-- Jacobians, the user's own operations, deep and wide graphs, errors on the way.

local mare = require "mare"
local support = require "spec.support"

local flat, same, demand, fails = support.flat, support.same, support.demand, support.fails

local function var(v, dtype) return mare.tensor(v, dtype or "f64"):requires_grad() end

describe("backward", function()
  it("adds to .grad, call after call", function()
    local x = var {1, 2, 3}
    assert.is_nil(x.grad)
    ;(x * x):sum():backward()
    same(flat(x.grad), {2, 4, 6}, 0, "first")
    ;(x * 3):sum():backward()
    same(flat(x.grad), {5, 7, 9}, 0, "second")
    x:zero_grad()
    assert.is_nil(x.grad)
    x.grad = mare.tensor({1, 1, 1}, "f64")
    x:sum():backward()
    same(flat(x.grad), {2, 2, 2}, 0, "after an assignment")
    x.grad = nil
    assert.is_nil(x.grad)
  end)

  it("adds up the uses of one tensor", function()
    local x = var {0.5, -1, 2}
    local y = x * x + x * 3 - x / x:exp() + x
    y:sum():backward()
    local want = {}
    for i, v in ipairs {0.5, -1, 2} do
      want[i] = 2 * v + 3 - (1 - v) * math.exp(-v) + 1
    end
    same(flat(x.grad), want, 1e-14, "gradient")
    local z = var {3}
    local w = (z + z) + (z + z)
    w:backward()
    same(flat(z.grad), {4}, 0, "z + z + z + z")
    local a = var {2, 3}
    a:add(a):mul(a):sum():backward()      -- the same tensor as both operands
    same(flat(a.grad), {8, 12}, 0, "2 a a")
  end)

  it("a fused kernel does not write where another gradient is read", function()
    local x = var {1, 2}
    local h = x * 2
    local p, q = h:exp(), h + 1         -- both take the gradient of their sum, one in place
    local y = (p + q) * 1
    y:sum():backward()
    same(flat(x.grad), {2 * math.exp(2) + 2, 2 * math.exp(4) + 2}, 1e-14, "gradient")
    local g = mare.ones({2}, "f64")
    local z = var {1, 2}
    z:exp():backward(g)
    same(flat(g), {1, 1}, 0, "the gradient given to backward")
    local a, b = var {1, 2}, var {3, 4}
    local s = a + b
    s:neg():backward(g)
    same(flat(a.grad), {-1, -1}, 0, "a")
    a.grad:mul_(5)
    same(flat(b.grad), {-1, -1}, 0, "gradients of different leaves are different memory")
  end)

  it("undoes broadcasting", function()
    local row, column, one, number = var {1, 2, 3}, var {{1}, {2}}, var {{4}}, var(5)
    ;(row * column * one * number):sum():backward()
    same(flat(row.grad), {60, 60, 60}, 0, "row")
    same(flat(column.grad), {120, 120}, 0, "column")
    same(flat(one.grad), {6 * 3 * 5}, 0, "one")
    same(flat(number.grad), {6 * 3 * 4}, 0, "number")
    assert.same({3}, row.grad.shape)
    assert.same({2, 1}, column.grad.shape)
    assert.same({1, 1}, one.grad.shape)
    assert.same({}, number.grad.shape)
    local e = mare.zeros(0, 3):requires_grad()
    ;(e * mare.ones(3)):sum():backward()
    assert.same({0, 3}, e.grad.shape)
  end)

  it("starts from a gradient where the result is not a single number", function()
    local x = var {{1, 2}, {3, 4}}
    local y = x * x
    y:backward(mare.tensor({{1, 0}, {0, -1}}, "f64"))
    same(flat(x.grad), {2, 0, 0, -8}, 0, "gradient")
    local z = var {1, 2}
    z:exp():backward {gradient = mare.tensor({1, 2}, "f64")}
    same(flat(z.grad), {math.exp(1), 2 * math.exp(2)}, 1e-14, "as an option")
    local column = var {{1}, {2}}
    ;(column * 2):backward(mare.ones(1, 2, "f64"):t())      -- strided
    same(flat(column.grad), {2, 2}, 0, "strided")
    local single = var {{7}}
    ;(single * 2):backward()
    same(flat(single.grad), {2}, 0, "one element in two dimensions")
    local leaf = var(2)
    leaf:backward()
    same(flat(leaf.grad), {1}, 0, "a leaf itself")
  end)

  it("goes to leaves only, and not behind detach", function()
    local x = var {1, 2}
    local h = x * 2
    local d = h:detach()
    assert.is_false(d.is_tracked)
    assert.is_true(h.is_tracked)
    assert.is_false(h:is_leaf())
    ;(h * d):sum():backward()
    same(flat(x.grad), {4, 8}, 0, "x")
    assert.is_nil(h.grad)
    d[1] = 9
    same(flat(h), {9, 4}, 0, "detach shares memory")
    local c = mare.ones({2}, "f64")
    ;(x * c):sum():backward()
    assert.is_nil(c.grad)
    x:requires_grad(false)
    assert.is_false((x * 2).is_tracked)
  end)

  it("clears the tape unless it is retained, and says so", function()
    local x = var {1, 2}
    local y = x:exp():sum()
    y:backward {retain = true}
    y:backward()
    same(flat(x.grad), {2 * math.exp(1), 2 * math.exp(2)}, 1e-14, "twice")
    fails("grad_spec.lua", function() y:backward() end, "earlier backward", "retain")
    local h = x * 2
    local a, b = h:exp():sum(), h:sin():sum()
    a:backward()
    fails("grad_spec.lua", function() b:backward() end, "earlier backward")
    fails("grad_spec.lua", function() (h * 2):sum():backward() end, "earlier backward")
  end)

  it("needs something to differentiate", function()
    fails("grad_spec.lua", function() mare.ones(1):backward() end, "'backward'", "gradient")
    fails("grad_spec.lua", function() var({1, 2}):exp():backward() end, "backward", "shape 2")
    fails("grad_spec.lua", function() var({1, 2}):exp():backward(mare.ones(2)) end, "f32", "f64")
    fails("grad_spec.lua", function() var({1, 2}):exp():backward(mare.ones(3, "f64")) end,
      "2", "3")
    fails("grad_spec.lua", function() var({1}):exp():backward {retian = true} end, "retian",
      "retain")
    fails("grad_spec.lua", function() mare.tensor({1}, "i64"):requires_grad() end, "i64")
  end)
end)

describe("no_grad", function()
  it("records nothing, on any way out", function()
    local x = var {1, 2}
    local y = mare.no_grad(function() return x * 2 end)
    assert.is_false(y.is_tracked)
    assert.is_true((x * 2).is_tracked)
    pcall(mare.no_grad, function() error "out" end)
    assert.is_true((x * 2).is_tracked)
    mare.no_grad(function()
      assert.is_true(mare.enable_grad(function() return x * 2 end).is_tracked)
      assert.is_false((x * 2).is_tracked)
    end)
    local a, b, c = mare.no_grad(function(...) return ... end, 1, nil, 3)
    assert.same({1, nil, 3}, {a, b, c})
    mare.no_grad(function() x:sub_(1) end)
    same(flat(x), {0, 1}, 0, "an update")
    assert.is_true(x.is_tracked and x:is_leaf())
  end)
end)

describe("in-place writes", function()
  it("to a value that backward needs are errors that name the operation", function()
    local cases = {
      mul = function(h) return h * h end, exp = function(h) return h:exp() end,
      div = function(h) return 1 / h end, matmul = function(h) return h:matmul(h) end,
      square = function(h) return h:square() end,
    }
    for name, f in pairs(cases) do
      local x = var {1, 2}
      local h = x * 1
      local y = f(h)
      local target = name == "exp" and y or h
      target:detach():fill_(9)
      fails("grad_spec.lua", function() y:sum():backward() end, "'" .. name .. "'", "in place")
      fails("grad_spec.lua", function() y:sum():backward {create_graph = true} end,
        "'" .. name .. "'", "in place")
    end
    local w = var {1, 2}
    local y = (w * w):sum()
    mare.no_grad(function() w:sub_(0.1) end)
    fails("grad_spec.lua", function() y:backward() end, "'mul'", "in place")
    local v = var {1, 2, 3, 4}
    local z = v:sin()
    mare.no_grad(function() v[{ {1, 2} }] = 0 end)       -- through a view
    fails("grad_spec.lua", function() z:sum():backward() end, "'sin'", "in place")
  end)

  it("to a value that backward does not need are fine", function()
    local x = var {1, 2}
    local h = x * 1
    local y = h + 3
    h:detach():fill_(9)
    y:detach():fill_(9)
    y:sum():backward()
    same(flat(x.grad), {1, 1}, 0, "add")
    local e = (x * 1):exp()
    local k = e * 1
    k:detach():zero_()
    k:sum():backward()
    same(flat(x.grad), {1 + math.exp(1), 1 + math.exp(2)}, 1e-14, "exp needs its result only")
  end)

  it("to what the tape holds are refused", function()
    local x = var {1, 2}
    local h = x * 2
    fails("grad_spec.lua", function() x:add_(1) end, "'add_'", "no_grad")
    fails("grad_spec.lua", function() x[1] = 5 end, "no_grad")
    fails("grad_spec.lua", function() h:add_(1) end, "tape")
    fails("grad_spec.lua", function() mare.zeros(2, "f64"):add_(x) end, "not recorded")
    fails("grad_spec.lua", function() mare.zeros(2, "f64"):copy_(h) end, "not recorded")
    fails("grad_spec.lua", function() mare.ones(1):expand(3):add_(1) end, "expand")
  end)

  it("do not matter where a closed or changed tensor is only a shape", function()
    local b = var {{1, 2, 3}, {4, 5, 6}}
    local a = mare.ones({2, 1}, "f64")
    local y = a - b
    a:close()
    y:sum():backward()
    same(flat(b.grad), {-1, -1, -1, -1, -1, -1}, 0, "sub")
    local c = var {{1, 2}, {3, 4}}
    local n = c:t():neg()
    local s = n * 2
    n:close()
    s:sum():backward()
    same(flat(c.grad), {-2, -2, -2, -2}, 0, "neg")
    local d = var {1, 2}
    local p = d * mare.ones({2}, "f64")
    local q = d:exp()
    d:detach():close()
    p:sum():backward()
    q:close()
    fails("grad_spec.lua", function()
      local e = var {1, 2}
      local f = e:exp()
      local g = f * 2
      f:close()
      g:sum():backward()
    end, "'exp'", "closed")
  end)
end)

describe("gradients of gradients", function()
  it("by create_graph", function()
    local x = var {1, 2, -1}
    local y = (x * x * x):sum()
    y:backward {create_graph = true}
    local g = x.grad
    same(flat(g), {3, 12, 3}, 1e-15, "first")
    assert.is_true(g.is_tracked)
    x.grad = nil
    g:sum():backward()
    same(flat(x.grad), {6, 12, -6}, 1e-15, "second")
    local z = var {1, 2}
    z:sum():square():backward {create_graph = true}      -- an expanded gradient
    local h = z.grad
    same(flat(h), {6, 6}, 0, "first")
    z.grad = nil
    h:sum():backward()
    same(flat(z.grad), {4, 4}, 0, "second")
  end)

  it("by mare.grad of mare.grad, three deep", function()
    local function f(x) return (x:sin() * x * x):sum() end
    local x = mare.tensor({0.3, 1.1, -2}, "f64")
    local d3 = mare.grad(function(a)
      return mare.grad(function(b) return mare.grad(f)(b):sum() end)(a):sum()
    end)(x)
    local want = {}
    for i, v in ipairs {0.3, 1.1, -2} do
      want[i] = 6 * math.cos(v) - 6 * v * math.sin(v) - v * v * math.cos(v)
    end
    same(flat(d3), want, 1e-13, "third derivative")
    assert.is_false(d3.is_tracked)
    assert.is_false(x.is_tracked)
  end)

  it("keep the inner and the outer variable apart", function()
    -- d/dx (x d/dy (x + y)) = d/dx x = 1
    local x = mare.tensor(1.0, "f64")
    local g = mare.grad(function(a)
      return a * mare.grad(function(b) return a + b end)(mare.tensor(1.0, "f64"))
    end)(x)
    assert.same(1, g:item())
    -- d/dx (x d/dy (x y)) = d/dx x^2 = 2 x
    g = mare.grad(function(a)
      return a * mare.grad(function(b) return a * b end)(mare.tensor(5.0, "f64"))
    end)(mare.tensor(3.0, "f64"))
    assert.same(6, g:item())
  end)
end)

describe("functions of functions", function()
  local x = mare.tensor({0.5, -1.5, 2}, "f64")
  local function f(v) return (v:exp() * v):sum() end

  it("grad and value_and_grad", function()
    local value, g = mare.value_and_grad(f)(x)
    local want, sum = {}, 0
    for i, v in ipairs {0.5, -1.5, 2} do
      want[i] = (1 + v) * math.exp(v)
      sum = sum + v * math.exp(v)
    end
    same({value:item()}, {sum}, 1e-14, "value")
    same(flat(g), want, 1e-14, "gradient")
    same(flat(mare.grad(f)(x)), want, 1e-14, "grad")
    assert.is_nil(x.grad)
    assert.is_false(value.is_tracked or g.is_tracked)
    same(flat(mare.no_grad(mare.grad(f), x)), want, 1e-14, "inside no_grad")
    local w = var {1, 2}
    same(flat(mare.grad(function(v) return (v * w):sum() end)(mare.ones({2}, "f64"))), {1, 2}, 0,
      "beside a variable")
    assert.is_nil(w.grad)
    same(flat(mare.grad(function(v) return (v * 2):sum() end)(w)), {2, 2}, 0, "of a variable")
    assert.is_nil(w.grad)
  end)

  it("over nested tables, in their structure", function()
    local params = {
      w = mare.tensor({{1, 2}, {3, 4}}, "f64"), b = {mare.tensor({5, 6}, "f64"), name = "bias"},
      unused = mare.ones({3}, "f64"), labels = mare.tensor({1, 2}, "i64"), rate = 0.5,
    }
    local value, g = mare.value_and_grad(function(p, input)
      return (input:matmul(p.w) + p.b[1] * p.rate):sum()
    end)(params, mare.tensor({1, 10}, "f64"))
    same({value:item()}, {1 + 30 + 2 + 40 + 5.5}, 1e-15, "value")
    same(flat(g.w), {1, 1, 10, 10}, 0, "w")
    same(flat(g.b[1]), {0.5, 0.5}, 0, "b")
    same(flat(g.unused), {0, 0, 0}, 0, "unused")
    assert.same("bias", g.b.name)
    assert.same(0.5, g.rate)
  end)

  it("vjp, jvp, jacobian, hessian, hvp", function()
    local function h(v) return mare.stack({v:sum(), (v * v):sum(), v[1] * v[2]}, 1) end
    local J = {{1, 1, 1}, {1, -3, 4}, {-1.5, 0.5, 0}}
    local u, t = {1, 2, 3}, {-1, 0.5, 2}
    local y, pullback = mare.vjp(h, x)
    same(flat(y), {1, 0.25 + 2.25 + 4, -0.75}, 1e-15, "value")
    local want, forward = {0, 0, 0}, {0, 0, 0}
    for i = 1, 3 do
      for k = 1, 3 do
        want[k] = want[k] + u[i] * J[i][k]
        forward[i] = forward[i] + J[i][k] * t[k]
      end
    end
    same(flat(pullback(mare.tensor(u, "f64"))), want, 1e-14, "vjp")
    same(flat(pullback(mare.tensor(u, "f64"))), want, 1e-14, "vjp again")
    local y2, jv = mare.jvp(h, x, mare.tensor(t, "f64"))
    same(flat(y2), flat(y), 0, "value of jvp")
    same(flat(jv), forward, 1e-14, "jvp")
    local jacobian = mare.jacobian(h, x)
    assert.same({3, 3}, jacobian.shape)
    same(flat(jacobian), {1, 1, 1, 1, -3, 4, -1.5, 0.5, 0}, 1e-14, "jacobian")
    local H = mare.hessian(f, x)
    local v = mare.tensor(t, "f64")
    local hv = mare.hvp(f, x, v)
    local product = {}
    for i, a in ipairs {0.5, -1.5, 2} do
      product[i] = (2 + a) * math.exp(a) * t[i]
      same({H[{i, i}]:item()}, {(2 + a) * math.exp(a)}, 1e-14, "hessian")
      same({H[{i, i % 3 + 1}]:item()}, {0}, 0, "hessian off the diagonal")
    end
    same(flat(hv), product, 1e-14, "hvp")
    local matrix = mare.jacobian(function(m) return m:t() * 2 end, mare.ones(2, 3, "f64"))
    assert.same({3, 2, 2, 3}, matrix.shape)
    same({matrix[{3, 1, 1, 3}]:item(), matrix[{3, 1, 2, 3}]:item()}, {2, 0}, 0, "of a matrix")
  end)

  it("jvp over tables, through operations of every kind", function()
    local p = {a = mare.tensor({{1, 2}, {3, 4}}, "f64"), b = mare.tensor({0.5, -1}, "f64")}
    local function g(q)
      return (q.a:matmul(q.b):reshape(2, 1):expand(2, 3):t() + q.b):sum(1):exp()
    end
    local t = {a = mare.tensor({{1, 0}, {-1, 2}}, "f64"), b = mare.tensor({2, 1}, "f64")}
    local _, forward = mare.jvp(g, p, t)
    local eps, moved = 1e-6, {}
    for sign = -1, 1, 2 do
      moved[sign] = flat(g {a = p.a + t.a * (sign * eps), b = p.b + t.b * (sign * eps)})
    end
    local want = {}
    for i = 1, 2 do want[i] = (moved[1][i] - moved[-1][i]) / (2 * eps) end
    same(flat(forward), want, 1e-6, "jvp")
  end)

  it("gradcheck finds a wrong gradient", function()
    assert.is_true(mare.gradcheck(f, x))
    assert.is_true(mare.gradcheck(function(t) return t.a * t.b:exp() end,
      {a = mare.rand(2, 2, "f64"), b = mare.rand({2}, "f64")}))
    local wrong = mare.op {
      name = "wrong", forward = function(v) return v * v end,
      backward = function(g, _, v) return g * v * 2.001 end,
    }
    local ok, why = mare.gradcheck(function(v) return wrong(v) end, x)
    assert.is_false(ok)
    assert.is_truthy(why:find "element")
    fails("grad_spec.lua", function() mare.gradcheck(f, mare.ones(2)) end, "f64")
    fails("grad_spec.lua", function() mare.gradcheck(f, x, {epsilon = 1}) end, "epsilon")
  end)

  it("refuse what they cannot differentiate", function()
    fails("grad_spec.lua", function() mare.grad(function() return 3 end)(x) end, "number")
    fails("grad_spec.lua", function() mare.grad(function(v) return v * 2 end)(x) end, "shape 3")
    fails("grad_spec.lua", function() mare.grad(f)(mare.ones(2, "i64")) end, "f32 or f64")
    fails("grad_spec.lua", function() mare.grad(f)(3) end, "f32 or f64")
    fails("grad_spec.lua", function() mare.grad(3) end, "'grad'", "function", "number")
    fails("grad_spec.lua", function() mare.value_and_grad() end, "'value_and_grad'", "function")
    fails("grad_spec.lua", function() mare.jvp(f, x, mare.ones(2)) end, "'jvp'", "shape 3")
    fails("grad_spec.lua", function() mare.jvp(f, x) end, "'jvp'")
    fails("grad_spec.lua", function() mare.vjp({}, x) end, "'vjp'")
    fails("grad_spec.lua", function() mare.no_grad(1) end, "'no_grad'", "function")
    fails("grad_spec.lua", function() mare.jacobian(f, 5) end, "'jacobian': f32", "got number")
    fails("grad_spec.lua", function() mare.hessian(f, {5}) end, "'hessian': f32", "got table")
    fails("grad_spec.lua", function() mare.hvp(f, x, {x}) end, "'hvp' (a tangent of shape 3")
    fails("grad_spec.lua", function() mare.grad(f)(5) end, "'grad': f32 or f64", "got number")
    fails("grad_spec.lua", function() mare.jvp(f, {a = {x}}, {a = x}) end, "'jvp' (a table with the structure")
    fails("grad_spec.lua", function() mare.gradcheck(5, x) end, "'gradcheck' (function expected")
    fails("grad_spec.lua", function() mare.gradcheck(f) end, "#2 to 'gradcheck'", "no value")
    fails("grad_spec.lua", function() mare.gradcheck(function() return 3 end, x) end,
      "'gradcheck' returned a number")
  end)
end)

describe("operations of the user", function()
  local function cube()
    return mare.op {
      name = "cube", forward = function(x) return x * x * x end,
      backward = function(g, _, x) return g * 3 * x * x end,
    }
  end

  it("have gradients, of any order, and forward mode", function()
    local op = cube()
    local x = var {1, 2, -3}
    op(x):sum():backward()
    same(flat(x.grad), {3, 12, 27}, 0, "gradient")
    local d = mare.tensor({1, 2, -3}, "f64")
    assert.is_true(mare.gradcheck(function(v) return op(v) end, d))
    local second = mare.grad(function(v) return mare.grad(function(w) return op(w):sum() end)(v):sum() end)
    same(flat(second(d)), {6, 12, -18}, 0, "second")
    local _, t = mare.jvp(op, d, mare.ones({3}, "f64"))
    same(flat(t), {3, 12, 27}, 1e-14, "jvp")
    assert.is_false(mare.no_grad(op, x).is_tracked)
  end)

  it("with several arguments, numbers and nil gradients", function()
    local seen
    local op = mare.op {
      name = "scaled", forward = function(a, k, b) return a * k + b end,
      backward = function(g, y, a, k, b)
        seen = {y, a, k, b}
        return g * k, nil, g
      end,
    }
    local a, b = var {1, 2}, var {3, 4}
    local y = op(a, 5, b)
    y:sum():backward()
    same(flat(a.grad), {5, 5}, 0, "a")
    same(flat(b.grad), {1, 1}, 0, "b")
    assert.is_true(rawequal(seen[2], a) and seen[3] == 5 and rawequal(seen[4], b))
    same(flat(seen[1]), {8, 14}, 0, "the result is handed over")
    local broadcast = mare.op {
      name = "plus", forward = function(p, q) return p + q end,
      backward = function(g) return g, g end,
    }
    local row = var {{1, 2, 3}}
    local m = var {{1}, {2}}
    broadcast(row, m):sum():backward()
    assert.same({1, 3}, row.grad.shape)
    same(flat(m.grad), {3, 3}, 0, "summed to the argument's shape")
    local identity = mare.op {
      name = "same", forward = function(p) return p end, backward = function(g) return g * 7 end,
    }
    local z = var {1}
    identity(z):backward()
    same(flat(z.grad), {7}, 0, "an argument handed back")
    assert.is_true(z:is_leaf())
  end)

  it("may run a backward of their own, over the same leaf", function()
    local x = var {1, 2}
    local inner = mare.op {
      name = "inner", forward = function(v) return v * 2 end,
      backward = function(g, _, v)
        local again = mare.enable_grad(function()
          local w = v:detach():requires_grad()
          ;(w * w):sum():backward()
          ;(x * 10):sum():backward()
          return w.grad
        end)
        return g * 2 + again * 0
      end,
    }
    ;(inner(x) + x):sum():backward()
    same(flat(x.grad), {13, 13}, 0, "both walks")
  end)

  it("errors in them leave everything usable and nothing behind", function()
    local bad = mare.op {
      name = "bad", forward = function(v) return v * 2 end,
      backward = function() error "no gradient today" end,
    }
    local function attempt()
      local x = var {1, 2}
      local y = (bad(x:exp()):sin() + x):sum()
      fails(nil, function() y:backward() end, "no gradient today")
      x.grad = nil
      ;(x * x):sum():backward()
      same(flat(x.grad), {2, 4}, 0, "afterwards")
      assert.is_true((x * 2).is_tracked)
    end
    attempt()
    local before = support.live()
    attempt()
    attempt()
    assert.same(before, support.live())
  end)

  it("are checked", function()
    local x = var {1, 2}
    local function broken(name, backward, ...)
      local op = mare.op {name = name, forward = function(v) return v * 2 end, backward = backward}
      fails("grad_spec.lua", function() op(x):sum():backward() end, "'" .. name .. "'", ...)
    end
    broken("number", function() return 3 end, "number")
    broken("table", function() return {} end, "table")
    broken("shape", function() return mare.ones(3, "f64") end, "3", "2")
    broken("type", function() return mare.ones(2) end, "f32", "f64")
    broken("closed", function(g)
      g:close()
      return g
    end, "closed")
    fails("grad_spec.lua", function() mare.op {name = "x", forward = print} end, "backward")
    fails("grad_spec.lua", function() mare.op {forwards = print} end, "forwards", "forward")
    fails("grad_spec.lua", function() mare.op(3) end, "'op'", "number")
    fails("grad_spec.lua", function() mare.op() end, "'op'")
    fails("grad_spec.lua", function()
      mare.op {name = 3, forward = print, backward = print}
    end, "name")
    local none = mare.op {name = "none", forward = function() end, backward = function() end}
    fails("grad_spec.lua", function() none(x) end, "'none'", "nil")
  end)

  it("cannot change a gradient that others read", function()
    local op = mare.op {
      name = "greedy", forward = function(v) return v * 1 end,
      backward = function(g) return g:clone() end,
    }
    local x, z = var {1, 2}, var {1, 2}
    ;(op(x) + z):sum():backward()
    same(flat(x.grad), {1, 1}, 0, "x")
    same(flat(z.grad), {1, 1}, 0, "z")
  end)
end)

describe("a result that backward has cleared", function()
  it("is still no leaf", function()
    local h = var {1, 2} * 2
    h:sum():backward()
    assert.is_false(h:is_leaf())
  end)
end)

describe("a backward inside a derivative", function()
  it("that clears what the outer one still needs is an error", function()
    local x = var {1, 2, 3}
    local h = x * 2
    local z = h:sum()
    local op = mare.op { name = "odd", forward = function(a) return a * 1 end,
      backward = function(g) z:backward() return g end }
    local y = op(h):sum()
    fails("grad_spec.lua", function() y:backward() end, "cleared")
  end)

  it("may ask for gradients that nobody else wants", function()
    local x, c = var {1, 2, 3}, mare.ones(1000, "f64")
    local op = mare.op { name = "odd", forward = function(a) return a * 1 end,
      backward = function(g, _, _, k) return g, k:requires_grad() * 1 end }
    op(x, c):sum():backward()
    same(flat(x.grad), {1, 1, 1}, 0, "x")
    assert.is_nil(c.grad)
  end)
end)

describe("gradients handed to the user", function()
  it("share no memory with each other, and can be written", function()
    local a, b, c = mare.ones(3), mare.ones(3), mare.tensor {1, 2, 3}
    local g = mare.grad(function(p) return ((p.a + p.b) * c):sum() end) {a = a, b = b}
    g.a:mul_(10)
    same(flat(g.a), {10, 20, 30}, 0, "a")
    same(flat(g.b), {1, 2, 3}, 0, "b")
    same(flat(mare.grad(function(w) return w:sum() end)(a):mul_(2)), {2, 2, 2}, 0, "sum")
  end)
end)

describe("shape of the graph", function()
  it("a chain of 100,000 nodes", function()
    local x = var {1}
    local y = x
    for _ = 1, 100000 do y = y + 1 end
    y:backward()
    same(flat(x.grad), {1}, 0, "gradient")
    y = x
    for _ = 1, 100000 do y = y:neg() end
    x.grad = nil
    y:backward {create_graph = true}
    same(flat(x.grad), {1}, 0, "create_graph")
    local op = mare.op {name = "twice", forward = function(v) return v * 1 end,
      backward = function(g) return g end}
    y = x:detach():requires_grad()
    local leaf = y
    for _ = 1, 2000 do y = op(y) end
    y:backward()
    same(flat(leaf.grad), {1}, 0, "through Lua")
  end)

  it("a long chain is dropped without a deep stack", function()
    local y = var {1}
    for _ = 1, 300000 do y = y + 1 end
    y = nil     -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)

  it("a diamond of depth 60 is walked once", function()
    local x = var {1}
    local y = x
    for _ = 1, 60 do y = (y + y) * 0.5 end
    y:backward()
    same(flat(x.grad), {1}, 1e-12, "gradient")
    local a, b = x, x
    for _ = 1, 60 do a, b = (a + b) * 0.5, (a - b) * 0.5 + b end
    x.grad = nil
    ;(a + b):backward {create_graph = true}
    same(flat(x.grad), {2}, 1e-12, "crossed")
    local _, t = mare.jvp(function(v)
      for _ = 1, 60 do v = (v + v) * 0.5 end
      return v
    end, mare.ones({1}, "f64"), mare.ones({1}, "f64"))
    same(flat(t), {1}, 1e-12, "forward")
  end)

  it("hundreds of arguments", function()
    local parts, list = {}, {}
    for i = 1, 300 do
      parts[i] = var {i, i}
      list[i] = parts[i]:detach()
    end
    mare.cat(parts, 1):square():sum():backward()
    same(flat(parts[300].grad), {600, 600}, 0, "cat")
    local g = mare.grad(function(t) return mare.cat(t, 1):square():sum() end)(list)
    same(flat(g[7]), {14, 14}, 0, "grad")
    mare.stack(parts, 1):square():sum():backward {create_graph = true}
    same(flat(parts[2].grad), {8, 8}, 0, "create_graph")
  end)

  it("views on the tape", function()
    local x = var {{1, 2, 3}, {4, 5, 6}}
    ;(x[{ {}, {1, 3, 2} }] * 2 + x["2, ::2"] + x[1][3]):sum():backward()
    same(flat(x.grad), {2, 0, 2 + 4, 2 + 2, 0, 2 + 2}, 0, "slices")
    x.grad = nil
    x:t():reshape(-1)[{ {2, 5} }]:backward(mare.tensor({1, 2, 3, 4}, "f64"))
    same(flat(x.grad), {0, 2, 4, 1, 3, 0}, 0, "reshape of a transposed one")
    x.grad = nil
    x:permute(2, 1):unsqueeze(1):flatten(2, 3):squeeze():narrow(1, 3, 2):sum():backward()
    same(flat(x.grad), {0, 1, 0, 0, 1, 0}, 0, "a chain")
  end)
end)

describe("coroutines", function()
  it("take part in one graph", function()
    local x = var {1, 2}
    local step = coroutine.wrap(function()
      local h = x * x
      while true do
        coroutine.yield(h)
        h = h * 2
      end
    end)
    step()
    step()
    step():sum():backward()
    same(flat(x.grad), {8, 16}, 0, "gradient")
    local y = (x * 3):sum()
    x.grad = nil
    coroutine.wrap(function() y:backward() end)()
    same(flat(x.grad), {3, 3}, 0, "backward inside")
    local ok, why = coroutine.wrap(function()
      return pcall(function() mare.ones(2):backward() end)
    end)()
    assert.is_false(ok)
    assert.is_truthy(why:find("grad_spec.lua", 1, true))
  end)

  it("cannot yield out of a backward", function()
    local op = mare.op {
      name = "yielding", forward = function(v) return v * 2 end,
      backward = function(g)
        coroutine.yield()
        return g
      end,
    }
    local x = var {1, 2}
    local ok, why = coroutine.resume(coroutine.create(function() op(x):sum():backward() end))
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find "yield")
    ;(x * x):sum():backward()
    same(flat(x.grad), {2, 4}, 0, "afterwards")
  end)

  it("do not carry no_grad out of a yield", function()
    local x = var {1, 2}
    local step = coroutine.wrap(function()
      mare.no_grad(function()
        coroutine.yield((x * 2).is_tracked)
        coroutine.yield((x * 2).is_tracked)
      end)
      coroutine.yield((x * 2).is_tracked)
    end)
    assert.is_false(step())
    demand((x * 2).is_tracked, "no_grad of a suspended coroutine is on outside it")
    assert.is_false(step())
    assert.is_true(step())
    assert.is_true((x * 2).is_tracked)
  end)
end)
