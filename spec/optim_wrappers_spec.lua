-- optim_wrappers_spec.lua -- clipping, accumulation and averages: on lists of parameters,
-- around optimizers, around one another; their states and errors.

local mare = require "mare"
local support = require "spec.support"
local optim = mare.optim

local here = "optim_wrappers_spec.lua:"

-- Parameters of these values (lists) and gradients, f64.
local function parameters(values, grads)
  local list = {}
  for i, v in ipairs(values) do
    list[i] = mare.tensor(v, "f64"):requires_grad()
    if grads and grads[i] then list[i].grad = mare.tensor(grads[i], "f64") end
  end
  return list
end

local function grads_of(list)
  local all = {}
  for i, p in ipairs(list) do all[i] = p.grad and support.flat(p.grad) end
  return all
end

describe("clip_norm", function()
  it("scales all gradients by one factor and returns the norm", function()
    local list = parameters({ { 1, 1 }, { 1 }, { 1 } }, { { 3, 0 }, { 4 } })
    assert.near(5, optim.clip_norm(list, 1), 1e-15)
    local got = grads_of(list)
    support.same(got[1], { 3 / (5 + 1e-6), 0 }, 1e-15, "first") -- as PyTorch divides
    support.same(got[2], { 4 / (5 + 1e-6) }, 1e-15, "second")
    assert.is_nil(list[3].grad)
  end)

  it("leaves what is small, and what has no gradient", function()
    local list = parameters({ { 1, 1 } }, { { 3, 4 } })
    assert.equal(5, optim.clip_norm(list, 6))
    support.same(support.flat(list[1].grad), { 3, 4 }, 0, "grad")
    assert.equal(0, optim.clip_norm(parameters { { 1 } }, 1))
    assert.equal(5, optim.clip_norm(list[1], 10))
  end)

  it("takes other norms", function()
    local values = { { 3, -4 }, { 1 } }
    for p, norm in pairs { [1] = 8, [3] = 92 ^ (1 / 3), [math.huge] = 4 } do
      local list = parameters({ { 0, 0 }, { 0 } }, values)
      assert.near(norm, optim.clip_norm(list, 1, { p = p }), 1e-14)
      support.same(support.flat(list[1].grad), { 3 / (norm + 1e-6), -4 / (norm + 1e-6) }, 1e-14,
        "p = " .. p)
    end
  end)

  it("sums large gradients of both types, the same with any number of threads", function()
    local a, b = mare.zeros(100003), mare.zeros({ 300, 200 }, "f64")
    a.grad, b.grad = mare.full({ 100003 }, 0.5), mare.full({ 300, 200 }, 2, "f64")
    local want = math.sqrt(100003 * 0.25 + 60000 * 4)
    local now, first = mare.threads(), nil
    for _, n in ipairs { 1, 2, 4 } do
      mare.threads(n)
      local norm = optim.clip_norm({ a, b }, 1e9)
      first = first or norm
      assert.equal(first, norm)
    end
    mare.threads(now)
    assert.near(want, first, 1e-10 * want)
  end)

  it("does not hide what is not a number", function()
    local nan = 0 / 0
    local list = parameters({ { 1 }, { 1 } }, { { nan }, { 1 } })
    local norm = optim.clip_norm(list, 1)
    assert.is_true(norm ~= norm)
    assert.is_true(list[2].grad:item() ~= list[2].grad:item())
    list[2].grad = mare.ones({ 1 }, "f64")
    support.fails(here, function() optim.clip_norm(list, 1, { error_if_nonfinite = true }) end,
      "clip_norm: the norm of the gradients is")
    assert.equal(1, list[2].grad:item())
    list[1].grad = mare.tensor({ 1 / 0 }, "f64")
    support.fails(here, function() optim.clip_norm(list, 1, { error_if_nonfinite = true }) end,
      "is inf")
    assert.equal(math.huge, optim.clip_norm(list, 1, { p = math.huge }))
  end)

  it("goes around an optimizer", function()
    local list = parameters({ { 10 }, { 10 } }, { { 3 }, { 4 } })
    local opt = optim.clip_norm(optim.sgd(list, { lr = 1 }), 1)
    assert.is_true(optim.is_optimizer(opt))
    opt:step()
    assert.near(5, opt.norm, 1e-15)
    assert.near(10 - 0.6, list[1]:item(), 1e-6)
    assert.equal(1, opt.lr)
    opt.lr = 0.5
    assert.equal(0.5, opt.groups[1].lr)
    assert.equal(1, opt.steps)
    assert.equal("sgd", opt.name)
    assert.truthy(tostring(opt):find("clip_norm (1) of sgd (lr = 0.5", 1, true))
    opt:zero_grad()
    assert.is_nil(list[1].grad)
    local other = optim.clip_norm(optim.sgd(list), 1)
    other:load_state(opt:state())
    assert.equal(0.5, other.lr)
  end)

  it("refuses what it cannot take", function()
    local list = parameters { { 1 } }
    support.fails(here, function() optim.clip_norm(list, -1) end,
      "bad argument #2 to 'clip_norm' (-1 is outside 0 to inf)")
    support.fails(here, function() optim.clip_norm(list, 0 / 0) end, "#2 to 'clip_norm'")
    support.fails(here, function() optim.clip_norm(list, 1, { p = 0 }) end, "p is 0")
    support.fails(here, function() optim.clip_norm(list, 1, { norm = 2 }) end,
      "unknown option 'norm'; known: error_if_nonfinite, p")
    support.fails(here, function() optim.clip_norm(3, 1) end,
      "#1 to 'clip_norm' (list of parameters or optimizer expected, got number)")
    support.fails(here, function() optim.clip_norm({ list[1], 3 }, 1) end,
      "parameter #2 is a number, not a tensor")
    support.fails(here, function() optim.clip_norm(mare.nn.Linear(2, 2), 1) end,
      "pass its parameters()")
  end)
end)

describe("clip_value", function()
  it("moves values into their bounds", function()
    local list = parameters({ { 0, 0, 0 }, { 0 } }, { { -3, 0.25, 0.75 }, { 0 / 0 } })
    optim.clip_value(list, 0.5)
    support.same(support.flat(list[1].grad), { -0.5, 0.25, 0.5 }, 0, "grad")
    assert.is_true(list[2].grad:item() ~= list[2].grad:item())
  end)

  it("goes around an optimizer", function()
    local list = parameters({ { 1 } }, { { 3 } })
    local opt = optim.clip_value(optim.sgd(list, { lr = 1 }), 0.5)
    opt:step()
    assert.equal(0.5, list[1]:item())
    assert.truthy(tostring(opt):find("clip_value (0.5) of sgd", 1, true))
    support.fails(here, function() optim.clip_value(opt, -1) end, "#2 to 'clip_value'")
  end)
end)

describe("accumulate", function()
  -- one call of the plain loop, with this gradient
  local function micro(opt, p, g)
    opt:zero_grad()
    local loss = (p * g):sum()
    loss:backward()
    return opt:step()
  end

  it("steps at each nth call by the mean gradient", function()
    local p = mare.tensor({ 10 }, "f64"):requires_grad()
    local opt = optim.accumulate(optim.sgd({ p }, { lr = 1 }), 3)
    assert.is_false(micro(opt, p, 1))
    assert.is_false(micro(opt, p, 2))
    assert.equal(10, p:item())
    assert.is_true(micro(opt, p, 6))
    assert.equal(7, p:item())
    assert.equal(1, opt.steps)
    assert.is_false(micro(opt, p, 1)) -- starts again from nothing
    assert.equal(1, p.grad:item())
  end)

  it("steps with the rest", function()
    local p = mare.tensor({ 10 }, "f64"):requires_grad()
    local opt = optim.accumulate(optim.sgd({ p }, { lr = 1 }), 3)
    assert.is_false(opt:flush())
    micro(opt, p, 1)
    micro(opt, p, 2)
    assert.truthy(tostring(opt):find("accumulate (2 of 3) of sgd", 1, true))
    assert.is_true(opt:flush())
    assert.equal(8.5, p:item())
    assert.is_false(opt:flush())
  end)

  it("clips the mean where it goes around clip_norm", function()
    local p = mare.tensor({ 10 }, "f64"):requires_grad()
    local opt = optim.accumulate(optim.clip_norm(optim.sgd({ p }, { lr = 1 }), 1), 2)
    micro(opt, p, 4)
    micro(opt, p, 2)
    assert.equal(3, opt.norm)
    assert.near(9, p:item(), 1e-6)
  end)

  it("is saved and goes on in the middle", function()
    local function run(stop)
      local p = mare.tensor({ 10 }, "f64"):requires_grad()
      local function make() return optim.accumulate(optim.adam({ p }, { lr = 0.1 }), 3) end
      local opt = make()
      for i = 1, 8 do
        micro(opt, p, i)
        if i == stop then
          local bytes = mare.save(nil, opt:state())
          p.grad = nil
          opt = make()
          opt:load_state(assert(mare.load { string = bytes }))
        end
      end
      return p:item()
    end
    local want = run()
    for stop = 1, 7 do assert.equal(want, run(stop)) end
  end)

  it("refuses what does not fit", function()
    local p = mare.tensor({ 10 }, "f64"):requires_grad()
    local opt = optim.accumulate(optim.sgd { p }, 3)
    support.fails(here, function() optim.accumulate({ p }, 2) end,
      "#1 to 'accumulate' (optimizer expected, got table)")
    support.fails(here, function() optim.accumulate(opt, 0) end, "#2 to 'accumulate'")
    local state = opt:state()
    state["accumulate.count"] = mare.tensor(3, "i64")
    support.fails(here, function() opt:load_state(state) end, "count is 3, below 3 expected")
    state["accumulate.count"] = nil
    support.fails(here, function() opt:load_state(state) end, "count is missing")
    state = opt:state()
    state["accumulate.grad.1"] = mare.ones({ 2 }, "f64")
    support.fails(here, function() opt:load_state(state) end, "grad.1 is f64 2, f64 1 expected")
    assert.equal(0, opt.count)
  end)
end)

-- What a loop that sets p to 1, 2, 3 ... gives an average.
local function feed(average, p, from, to)
  for v = from, to do
    p:detach():fill_(v)
    average:update()
  end
end

describe("ema", function()
  it("is a running mean that begins with the first values", function()
    local p, want = mare.zeros({ 2 }, "f64"), nil
    local average = optim.ema({ p }, 0.9)
    for v = 1, 20 do
      feed(average, p, v, v)
      want = want and 0.9 * want + 0.1 * v or v
    end
    support.same(support.flat(average.shadow[1]), { want, want }, 1e-14, "shadow")
    support.same(support.flat(p), { 20, 20 }, 0, "p")
    average:swap()
    support.same(support.flat(p), { want, want }, 1e-14, "p")
    support.fails(here, function() average:update() end,
      "bad call of 'update' (the average is swapped in; call swap() first)")
    support.fails(here, function() average:state() end, "'state'")
    average:swap()
    support.same(support.flat(p), { 20, 20 }, 0, "p")
  end)

  it("follows an optimizer", function()
    local p = mare.tensor({ 8 }):requires_grad()
    local opt = optim.ema(optim.sgd({ p }, { lr = 1 }), 0.5)
    for _ = 1, 3 do
      p.grad = mare.ones(1)
      opt:step()
    end
    assert.equal(5, p:item())
    assert.equal(0.5 * (0.5 * 7 + 0.5 * 6) + 0.5 * 5, opt.shadow[1]:item())
    assert.equal(5.75, opt:with(function(k) return p:item() * k end, 1))
    assert.equal(5, p:item())
    assert.is_false(pcall(opt.with, opt, function() error "no" end))
    assert.equal(5, p:item())
    support.fails(here, function() opt:with(3) end, "#1 to 'with' (function expected")
    opt:swap()
    support.fails(here, function() opt:step() end, "bad call of 'step'")
    opt:swap()
    opt:zero_grad()
    assert.is_nil(p.grad)
    assert.truthy(tostring(opt):find("ema (0.5) of sgd", 1, true))
    assert.equal("ema (0.9) of 1 parameters", tostring(optim.ema({ p }, 0.9)))
  end)

  it("waits for the steps of an accumulation", function()
    local p = mare.tensor({ 8 }):requires_grad()
    local opt = optim.ema(optim.accumulate(optim.sgd({ p }, { lr = 1 }), 2), 0.5)
    for _ = 1, 4 do
      p.grad = mare.ones(1)
      opt:step()
    end
    assert.equal(2, opt.count) -- that of ema
    assert.equal(7.25, opt.shadow[1]:item()) -- p went by halves of 1: 7.5, 7
  end)

  it("is saved with the optimizer, another one inside too", function()
    local function train(steps, bytes, value)
      local p = mare.tensor({ value or 8 }, "f64"):requires_grad()
      local opt = optim.ema(optim.ema(optim.adam({ p }, { lr = 0.1 }), 0.5), 0.9)
      if bytes then opt:load_state(assert(mare.load { string = bytes })) end
      for _ = opt.steps + 1, steps do
        p.grad = mare.tensor({ math.sin(p:item()) }, "f64")
        opt:step()
      end
      return opt, p:item()
    end
    local whole = train(9)
    local half, value = train(4)
    local other = train(9, mare.save(nil, half:state()), value)
    assert.equal(whole.shadow[1]:item(), other.shadow[1]:item())
    assert.equal(whole.inner.shadow[1]:item(), other.inner.shadow[1]:item())
    local state = other:state()
    state["ema.1"] = mare.ones({ 2 }, "f64")
    state.more = mare.ones(1)
    support.fails(here, function() other:load_state(state) end, "load_state",
      "ema: 1 is f64 2, f64 1 expected")
    assert.equal(whole.shadow[1]:item(), other.shadow[1]:item())
    support.fails(here, function() other:load_state(3) end, "table of tensors expected")
    local alone = optim.ema { mare.ones({ 1 }, "f64") }
    support.fails(here, function() alone:load_state { x = 1 } end, "x is unexpected",
      "counts is missing")
  end)

  it("refuses what it cannot take", function()
    local p = mare.ones(1)
    support.fails(here, function() optim.ema({ p }, 1.5) end, "#2 to 'ema'")
    support.fails(here, function() optim.ema({}, 0.5) end, "the list of parameters is empty")
    support.fails(here, function() optim.ema { mare.ones({ 1 }, "i64") } end,
      "parameter #1 is i64; f32 or f64 expected")
    local average = optim.ema { p }
    support.fails(here, function() average.rate = 1 end, "ema has no 'rate'")
    assert.is_nil(average.rate)
  end)
end)

describe("swa", function()
  it("is the mean of every nth after a start", function()
    local p = mare.zeros({ 2 }, "f64")
    local average = optim.swa({ p }, { start = 3, every = 2 })
    feed(average, p, 1, 11) -- 5, 7, 9, 11
    assert.equal(4, average.count)
    support.same(support.flat(average.shadow[1]), { 8, 8 }, 1e-15, "shadow")
    assert.truthy(tostring(average):find("swa (4 averaged)", 1, true))
  end)

  it("follows an optimizer and is saved", function()
    local p = mare.tensor({ 8 }):requires_grad()
    local opt = optim.swa(optim.sgd({ p }, { lr = 1 }))
    for _ = 1, 3 do
      p.grad = mare.ones(1)
      opt:step()
    end
    assert.near(6, opt.shadow[1]:item(), 1e-6)
    local other = optim.swa(optim.sgd { p })
    other:load_state(opt:state())
    assert.equal(3, other.count)
    assert.equal(opt.shadow[1]:item(), other.shadow[1]:item())
  end)

  it("refuses what it cannot take", function()
    local p = mare.ones(1)
    support.fails(here, function() optim.swa({ p }, { every = 0 }) end, "#2 to 'swa'")
    support.fails(here, function() optim.swa({ p }, { begin = 0 }) end, "unknown option 'begin'")
    support.fails(here, function() optim.swa(p:reshape(1, 1):expand(3, 3)):update() end,
      "not contiguous")
  end)
end)
