-- optim_reference_spec.lua -- every gradient optimizer against optim_reference.lua: 100
-- steps in f64 on a quadratic and on Rosenbrock's function, vectors and matrices; and
-- what they do to a linear problem.

local mare = require "mare"
local support = require "spec.support"
local reference = require "spec.optim_reference"
local optim = mare.optim

-- -- two functions of lists of numbers, by their gradients ------------------------------

local functions = {
  quadratic = function(p)
    local g = {}
    for i = 1, #p do g[i] = (1 + 3 * i % 7) * (p[i] - math.cos(i)) + 0.1 * p[i % #p + 1] end
    return g
  end,
  -- (1 - x)^2 + 100 (y - x^2)^2 of each pair
  Rosenbrock = function(p)
    local g = {}
    for i = 1, #p, 2 do
      local x, y = p[i], p[i + 1]
      g[i] = -2 * (1 - x) - 400 * x * (y - x * x)
      g[i + 1] = 200 * (y - x * x)
    end
    return g
  end,
}

local starts = {
  quadratic = { 1.5, -2, 0.7, 3, -1.1, 0.4, 2.2, -0.3 },
  Rosenbrock = { -1.2, 1, 0.6, 0.2, 1.4, 1.7, -0.4, 0.9 },
}

local function with_defaults(name, options)
  local all = {}
  for _, h in ipairs(optim.rows[name].hyper) do all[h.name] = h.default end
  for k, v in pairs(options) do all[k] = v end
  return all
end

local function follow(name, options, f, shape)
  local rows = shape[2] and shape[1]
  local want = table.move(starts[f], 1, #starts[f], 1, {})
  local p = mare.tensor(want, "f64"):reshape(shape)
  local opt = optim[name]({ p }, options)
  local step = reference[name](with_defaults(name, options), rows)
  for t = 1, 100 do
    step(want, functions[f](want), t)
    p.grad = mare.tensor(functions[f](support.flat(p)), "f64"):reshape(shape)
    opt:step()
  end
  support.same(support.flat(p), want, 1e-12, ("%s on %s, %d dimensions"):format(name, f, #shape))
end

-- The options of each case.  Rates are small enough for a smooth path: once an optimizer
-- jumps from side to side of a valley, roundings grow at every step.
local cases = {
  sgd = { { lr = 0.002 }, { lr = 0.0005, momentum = 0.9, dampening = 0.1, weight_decay = 0.01 },
    { lr = 0.0005, momentum = 0.8, nesterov = true } },
  asgd = { { lr = 0.001 }, { lr = 0.001, lambd = 0.1, alpha = 0.5, weight_decay = 0.1 } },
  adagrad = { { lr = 0.1 },
    { lr = 0.1, lr_decay = 0.01, initial_accumulator = 0.1, weight_decay = 0.1 } },
  adadelta = { {}, { lr = 0.5, rho = 0.8, weight_decay = 0.1 } },
  rmsprop = { {}, { lr = 0.0005, centered = true, momentum = 0.5, weight_decay = 0.1, alpha = 0.9 } },
  rprop = { {}, { lr = 0.1, eta_minus = 0.4, eta_plus = 1.1, size_min = 0.01, size_max = 0.15 } },
  adam = { { lr = 0.01 }, { lr = 0.01, amsgrad = true, weight_decay = 0.1, beta1 = 0.8 } },
  adamw = { { lr = 0.01 }, { lr = 0.01, amsgrad = true, weight_decay = 0.2, beta2 = 0.9 } },
  adamax = { { lr = 0.01 }, { lr = 0.01, weight_decay = 0.1 } },
  nadam = { { lr = 0.01 }, { lr = 0.01, weight_decay = 0.1, momentum_decay = 0.1 } },
  radam = { { lr = 0.01 }, { lr = 0.01, weight_decay = 0.1, beta2 = 0.9 } },
  adabelief = { { lr = 0.01 }, { lr = 0.01, amsgrad = true, weight_decay = 0.1, eps = 1e-4 } },
  lion = { { lr = 0.01 }, { lr = 0.01, weight_decay = 0.1, beta1 = 0.8 } },
  lars = { {}, { lr = 2, momentum = 0, weight_decay = 0.1, eta = 0.01 } },
  lamb = { { lr = 0.01 }, { lr = 0.01, weight_decay = 0, beta1 = 0.8, eps = 1e-3 } },
  adafactor = { { lr = 0.002 }, { lr = 0.002, decay = 0.6, clip = 0.5, weight_decay = 0.1, eps2 = 0.1 },
    { lr = 0.002, eps1 = 0.1 } },
  muon = { { lr = 0.005 }, { lr = 0.005, momentum = 0.8, nesterov = false, weight_decay = 0.1, ns_steps = 4 } },
}

describe("100 steps", function()
  for name in pairs(optim.rows) do
    it(name .. " is what its paper says", function()
      support.demand(cases[name] and reference[name], "%s has no reference", name)
      for _, options in ipairs(cases[name]) do
        for f in pairs(functions) do
          for _, shape in ipairs { { 8 }, { 4, 2 }, { 2, 4 }, { 2, 2, 2 } } do
            follow(name, options, f, shape)
          end
        end
      end
    end)
  end
end)

-- -- a linear problem -------------------------------------------------------------------

local rates = { sgd = 0.02, asgd = 0.02, adagrad = 0.5, adadelta = 1, rmsprop = 0.02, rprop = 0.01,
  adam = 0.05, adamw = 0.05, adamax = 0.1, nadam = 0.05, radam = 0.1, adabelief = 0.05,
  lion = 0.01, lars = 50, lamb = 0.05, adafactor = 0.1, muon = 0.05 }

describe("ten equations of ten unknowns", function()
  for name in pairs(optim.rows) do
    for _, dtype in ipairs { "f32", "f64" } do
      it(("%s lowers their loss a hundredfold in %s"):format(name, dtype), function()
        local a, w = {}, {}
        for i = 1, 10 do
          a[i], w[i] = {}, { math.sin(3 * i) }
          for j = 1, 10 do a[i][j] = math.cos(i * j) + (i == j and 3 or 0) end
        end
        a = mare.tensor(a, dtype)
        local y = a:matmul(mare.tensor(w, dtype))
        local x = mare.full({ 10, 1 }, 0.5, dtype):requires_grad()
        local opt = optim[name]({ x }, { lr = rates[name], eps = name == "adadelta" and 1e-5 or nil })
        local first, last
        for _ = 1, 300 do
          opt:zero_grad()
          local loss = (a:matmul(x) - y):square():mean()
          loss:backward()
          opt:step()
          first, last = first or loss:item(), loss:item()
        end
        support.demand(last < first / 100, "%s: from %g to %g", name, first, last)
      end)
    end
  end
end)

-- -- matrices beside other tensors ------------------------------------------------------

describe("matrices", function()
  it("adafactor keeps a value for each row and column", function()
    local a, b, c = mare.zeros(5, 7), mare.zeros(4), mare.zeros(2, 3, 4)
    local opt = optim.adafactor { a, b, c }
    a.grad, b.grad, c.grad = mare.ones(5, 7), mare.ones(4), mare.ones(2, 3, 4)
    opt:step()
    local state = opt:state()
    assert.same({ 5 }, state["1.1.row"].shape)
    assert.same({ 7 }, state["1.1.column"].shape)
    assert.same({ 4 }, state["1.2.v"].shape)
    assert.same({ 2 }, state["1.3.row"].shape)
    assert.same({ 12 }, state["1.3.column"].shape)
    assert.is_nil(state["1.1.v"])
    support.same(support.flat(state["1.1.column"]), { 1, 1, 1, 1, 1, 1, 1 }, 1e-6, "column")
  end)

  -- shapes of one block and of several, narrow, flat, and with rows shorter than a vector
  for _, shape in ipairs { { 70, 1000 }, { 1500, 3 }, { 3, 9001 }, { 1, 5 }, { 5, 1 }, { 130, 4100 } } do
    it(("adafactor takes %d x %d in blocks"):format(shape[1], shape[2]), function()
      mare.seed(shape[1])
      local p, g = mare.randn(shape, "f64"), mare.randn(shape, "f64")
      local want, grad = p:reshape(-1):totable(), g:reshape(-1):totable()
      local step = reference.adafactor(with_defaults("adafactor", {}), shape[1])
      local opt = optim.adafactor { p }
      for t = 1, 2 do
        step(want, grad, t)
        p.grad = g
        opt:step()
      end
      support.same(support.flat(p), want, 1e-12, "p")
    end)
  end

  it("the same bits with 1, 2 and 4 threads", function()
    local now = mare.threads()
    for _, name in ipairs { "lars", "lamb", "adafactor", "muon" } do
      local bytes
      for _, n in ipairs { 1, 2, 4 } do
        mare.threads(n)
        mare.seed(7)
        local list = { mare.randn(300, 257), mare.randn(70001), mare.randn(5, 4, 3) }
        local opt = optim[name](list)
        for _ = 1, 2 do
          for _, p in ipairs(list) do p.grad = mare.randn(p.shape) end
          opt:step()
        end
        local got = list[1]:tobytes() .. list[2]:tobytes() .. list[3]:tobytes()
        bytes = bytes or got
        support.demand(bytes == got, "%s differs with %d threads", name, n)
      end
    end
    mare.threads(now)
  end)

  it("muon's step is near an orthogonal matrix", function()
    mare.seed(3)
    for _, shape in ipairs { { 40, 60 }, { 60, 40 } } do
      local p = mare.zeros(shape)
      p.grad = mare.randn(shape)
      optim.muon({ p }, { lr = 1 }):step()
      local q = shape[1] > shape[2] and p:t():matmul(p) / (shape[1] / shape[2]) or p:matmul(p:t())
      for i = 1, 40 do
        local size = q[{ i, i }]:item()
        support.demand(size > 0.4 and size < 1.5, "%g", size)
      end
    end
  end)

  it("gradients of 0 and parameters of 0 move nothing to where no number is", function()
    for _, name in ipairs { "lars", "lamb", "adafactor", "muon" } do
      for _, shape in ipairs { { 3, 4 }, { 5 }, { 0, 3 }, { 3, 0 }, { 0 }, {} } do
        local p, q = mare.ones(shape), mare.zeros(shape)
        p.grad, q.grad = mare.zeros(shape), mare.ones(shape)
        optim[name]({ p, q }):step()
        for _, t in ipairs { p, q } do
          for _, v in ipairs(support.flat(t)) do
            support.demand(v == v and math.abs(v) <= 2, "%s: %g", name, v)
          end
        end
      end
    end
  end)

  it("gives its memory back", function()
    local function train()
      for _, name in ipairs { "lars", "lamb", "adafactor", "muon" } do
        local p = mare.zeros(30, 20)
        local opt = optim[name] { p }
        p.grad = mare.ones(30, 20)
        opt:step()
      end
    end
    train()
    local before = support.live()
    train()
    assert.equal(before, support.live())
  end)
end)
