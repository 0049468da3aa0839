-- optim_spec.lua -- optimizers: each row's kernels against its own text run in Lua, against
-- values from PyTorch and against the papers; groups, options, state, memory.

local mare = require "mare"
local support = require "spec.support"
local core = require "mare.core".functions
local optim = mare.optim

-- -- a row's text, run on numbers -----------------------------------------------------

local function number(c) return c and 1 or 0 end

local vocabulary = {
  R = function(k) return k end,
  where = function(c, a, b) if c ~= 0 then return a end return b end,
  gt = function(a, b) return number(a > b) end,
  eq = function(a, b) return number(a == b) end,
  max = function(a, b) return a > b and a or b end,
  min = function(a, b) return b > a and a or b end,
  abs = math.abs,
  sqrt = math.sqrt,
  pow = function(x, y) return x ^ y end,
  sign = function(x) return number(x > 0) - number(x < 0) end,
  mu_product = function(beta, q, t)
    local product = 1
    for i = 1, t do product = product * beta * (1 - q ^ i / 2) end
    return product
  end,
}

local function chunk(text, env) return text and load(text, "text", "t", env) end

-- What a row's measurement tells its constants of a tensor.
local function sum_squares(env, elements)
  env.pp, env.gg, env.uu, env.n = 0, 0, 0, #elements
  for _, e in ipairs(elements) do
    env.pp, env.gg, env.uu = env.pp + e.p ^ 2, env.gg + e.g ^ 2, env.uu + e.u ^ 2
  end
end

-- Runs a text for each element, whose variables are those in `names`.
local function for_each(elements, text, env, names)
  for _, e in ipairs(elements) do
    for name in pairs(names) do env[name] = e[name] end
    text()
    for name in pairs(names) do e[name] = env[name] end
  end
end

-- A tensor of n elements after some steps; gradient(i)(t) is element i's gradient at step t.
local function run_text(row, options, n, start, gradient, steps)
  local env = setmetatable({}, { __index = vocabulary })
  for _, h in ipairs(row.hyper) do
    local v = options[h.name]
    if v == nil then v = h.default end
    env[h.name] = type(v) == "boolean" and number(v) or v
  end
  local prelude, update = chunk(row.prelude, env), chunk(row.update, env)
  local measure, tensor = chunk(row.measure, env), chunk(row.tensor, env)
  local names, elements = { p = true, g = true, u = true }, {}
  for i = 1, n do elements[i] = { p = start(i) } end
  for _, slot in ipairs(row.slots) do names[slot.name] = true end
  for t = 1, steps do
    for i, e in ipairs(elements) do
      e.g, e.u = gradient(i)(t), 0
      for _, slot in ipairs(row.slots) do
        local keep = slot.when == nil or env[slot.when] ~= 0
        e[slot.name] = keep and e[slot.name] or 0
      end
    end
    env.t = t
    prelude()
    if tensor then
      for_each(elements, measure, env, names)
      sum_squares(env, elements)
      tensor()
    end
    for_each(elements, update, env, names)
  end
  local list = {}
  for i, e in ipairs(elements) do list[i] = e.p end
  return list
end

-- -- the same by the kernels ----------------------------------------------------------

local function gradient(i) return function(t) return math.cos(0.7 * t + 1.3 * i) end end

local function start(i) return math.sin(2.1 * i) * 2 end

local function column(n, f, dtype)
  local list = {}
  for i = 1, n do list[i] = f(i) end
  return mare.tensor(list, dtype)
end

local function run_kernels(name, options, sizes, dtype, steps)
  local params = {}
  for k, n in ipairs(sizes) do params[k] = column(n, start, dtype) end
  local opt = optim[name](params, options)
  for t = 1, steps do
    for k, n in ipairs(sizes) do
      params[k].grad = column(n, function(i) return gradient(i)(t) end, dtype)
    end
    opt:step()
  end
  return params, opt
end

-- Every way to use a row: defaults, each flag, everything that defaults to 0 turned on.
local function ways(row)
  local list, all = { {} }, {}
  for _, h in ipairs(row.hyper) do
    if h.flag then
      list[#list + 1] = { [h.name] = not h.default }
      all[h.name] = not h.default
    elseif h.default == 0 then
      list[#list + 1] = { [h.name] = 0.3 }
      all[h.name] = 0.3
    elseif h.name ~= "lr" and h.name ~= "t0" and h.name ~= "ns_steps" and h.name:sub(1, 4) ~= "size" then
      list[#list + 1] = { [h.name] = h.default * 0.9 + (h.lo == 1 and 0.3 or 0) }
    end
  end
  list[#list + 1] = all
  for _, way in ipairs(list) do way.lr = 0.05 end
  if row.name == "asgd" then all.t0 = 3 end
  if row.name == "sgd" then
    for _, way in ipairs(list) do
      if way.nesterov then way.momentum, way.dampening = 0.3, nil end
    end
  end
  if row.name == "rprop" then all.size_min, all.size_max = 0.04, 0.06 end
  return list
end

local function isas()
  local now, list = core.isa(), {}
  for _, name in ipairs { "base", "avx2", "avx512" } do
    if pcall(core.isa, name) then list[#list + 1] = name end
  end
  core.isa(now)
  return list, now
end

local function shown(options)
  local list = {}
  for k, v in pairs(options) do list[#list + 1] = k .. "=" .. tostring(v) end
  table.sort(list)
  return table.concat(list, " ")
end

local function compare_with_text(row, dtype, tolerance)
  local sizes, steps = { 1, 3, 8, 17, 33 }, 10
  for _, way in ipairs(ways(row)) do
    local params = run_kernels(row.name, way, sizes, dtype, steps)
    for k, n in ipairs(sizes) do
      local want = run_text(row, way, n, start, gradient, steps)
      support.same(support.flat(params[k]), want, tolerance,
        ("%s %s size %d"):format(row.name, shown(way), n))
    end
  end
end

for name, row in pairs(optim.rows) do
  describe("the list of parameters", function()
  local function weights()
    local list = {mare.ones(3):requires_grad(), mare.ones(3):requires_grad()}
    ;(list[1] * list[2]):sum():backward()
    return list
  end

  it("may change afterwards: the optimizer keeps its own", function()
    local list = weights()
    local opt = mare.optim.adam(list)
    local kept = setmetatable({list[1], list[2]}, {__mode = "v"})
    list[1], list[2] = nil, nil
    opt.groups[1].params = {}
    collectgarbage()
    collectgarbage()
    assert.is_true(mare.is_tensor(kept[1]) and mare.is_tensor(kept[2]))
    opt:step()
    assert.is_true(kept[2][1]:item() < 1)
  end)

  it("is a plain one without holes", function()
    local w = weights()
    local ok, why = pcall(mare.optim.sgd, {w[1], nil, w[2]}, {lr = 1})
    assert(not ok and why:find("parameter #2 is a nil", 1, true), why)
    ok, why = pcall(mare.optim.sgd, setmetatable({}, {__len = function() return 1 << 40 end}),
      {lr = 1})
    assert(not ok and why:find("is empty", 1, true), why)
  end)
end)

describe(name, function()
    it(name .. " does what its text says, in f64 and f32, on every instruction set", function()
      local list, now = isas()
      for _, isa in ipairs(list) do
        core.isa(isa)
        local ok, message = pcall(function()
          compare_with_text(row, "f64", 1e-12)
          compare_with_text(row, "f32", 5e-5)
        end)
        core.isa(now)
        assert(ok, isa .. ": " .. tostring(message))
      end
    end)

    it(name .. " finds the minimum of a bowl", function()
      local p = mare.tensor({ 1, -2, 0.5 }, "f64"):requires_grad()
      local rates = { adadelta = 1, lars = 50, muon = 5 }
      local opt = optim[name]({ p }, { lr = rates[name] or 0.05 })
      local first = 5.25
      for _ = 1, 200 do
        p.grad = p:detach() * 2
        opt:step()
      end
      local last = 0
      for _, v in ipairs(p:totable()) do last = last + v * v end
      assert.is_true(last < (name == "adadelta" and 0.95 or 0.2) * first, name .. ": " .. last)
    end)

    it(name .. " explains itself", function()
      assert.truthy(#row.doc > 20 and #row.source > 10)
      assert.equal("lr", row.hyper[1].name)
    end)
  end)
end

-- -- PyTorch --------------------------------------------------------------------------

-- { name, options, parameter p and state after 10 steps } from p = { 0.5, -1, 2 } with the
-- gradient cos(0.7 t + i) for element i, in f64, made by torch.optim of PyTorch 1.13:
--   p.grad = torch.tensor([math.cos(.7*t + i) for i in (1, 2, 3)]); opt.step()
-- NAdam with foreach=True: without it 1.13 multiplies mu_product twice.
local pytorch = {
  { "sgd", { lr = 0.1 },
    { p = { 0.514033169388, -0.9071494409476, 2.086301572926 } } },
  { "sgd", { lr = 0.1, momentum = 0.9, dampening = 0.3, weight_decay = 0.01 },
    { p = { 1.035392758189, -0.420002935405, 1.981355709266 },
      velocity = { 0.5126411678086, -0.4261917123105, -0.8079164405805 } } },
  { "sgd", { lr = 0.1, dampening = 0.3, weight_decay = 0.01 },
    { p = { 0.5077840251986, -0.8981210709706, 2.066661467518 } } },
  { "sgd", { lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 0.01 },
    { p = { 1.153306867884, -0.3911032040926, 1.83758651771 },
      velocity = { 0.7678392266553, -0.4521920735751, -1.028062678175 } } },
  { "asgd", { lr = 0.1, t0 = 4, lambd = 0.01, alpha = 0.5, weight_decay = 0.1 },
    { p = { 0.4489772173329, -0.8122284519796, 1.879796962697 },
      average = { 0.5364722189603, -0.9047472905924, 1.764157461425 } } },
  { "adagrad", { lr = 0.1, lr_decay = 0.1, initial_accumulator = 0.2, weight_decay = 0.1 },
    { p = { 0.6031514308073, -0.8594512255084, 1.959660803361 },
      sum = { 4.768783535883, 5.815689730888, 5.5020768428 } } },
  { "adadelta", { rho = 0.8, weight_decay = 0.1 },
    { p = { 0.5006668604828, -0.9957724899024, 1.997579719226 },
      v = { 0.3875296237485, 0.4795831348819, 0.4458616303194 },
      delta = { 6.725016844979e-06, 3.649638287814e-06, 4.640370600224e-06 } } },
  { "rmsprop", {},
    { p = { 0.6994429041656, -0.8819851879678, 2.057101436598 },
      v = { 0.0430429530701, 0.05077798306803, 0.05010387488338 } } },
  { "rmsprop", { centered = true },
    { p = { 0.7021526822816, -0.8804653176977, 2.057543581088 },
      v = { 0.0430429530701, 0.05077798306803, 0.05010387488338 },
      mean = { -0.0001790585463259, -0.008406123747478, -0.008904637542025 } } },
  { "rmsprop", { momentum = 0.9 },
    { p = { 2.088482409531, -0.2227097188238, 2.098360434918 },
      v = { 0.0430429530701, 0.05077798306803, 0.05010387488338 },
      velocity = { -4.510518134725, -4.476198212727, -5.251710345159 } } },
  { "rmsprop", { momentum = 0.9, centered = true, weight_decay = 0.1 },
    { p = { 1.939865340697, -0.13836935139, 1.618935446912 },
      v = { 0.05011965455121, 0.05408348989744, 0.05272399884342 },
      mean = { 0.0127298992335, -0.01278522260242, 0.009993849265807 },
      velocity = { -0.5795981791521, -5.602699385308, 1.653183295356 } } },
  { "rprop", { lr = 0.02 },
    { p = { 0.57335296, -0.9920576, 2.0317696 },
      previous = { 0, -0.9111302618847, -0.8390715290765 },
      size = { 0.01492992, 0.0124416, 0.0124416 } } },
  { "adam", {},
    { p = { 0.50477602311, -0.9965037690893, 2.000828657544 },
      m = { 0.06911341545377, -0.04237586233559, -0.1149049677199 },
      v = { 0.004488326895381, 0.005304307033987, 0.005194843318496 } } },
  { "adam", { lr = 0.1, beta1 = 0.8, beta2 = 0.95, weight_decay = 0.1, amsgrad = true },
    { p = { 0.8319107145071, -0.6722996556505, 1.853165286361 },
      m = { 0.2633129781223, -0.1450262315072, -0.1013793753928 },
      v = { 0.1908911923114, 0.2214742430558, 0.2162485455086 },
      v_max = { 0.2007601976203, 0.2214742430558, 0.2162485455086 } } },
  { "adamw", { lr = 0.1, weight_decay = 0.1 },
    { p = { 0.8965416198482, -0.5822834800628, 1.880325219806 },
      m = { 0.06911341545377, -0.04237586233559, -0.1149049677199 },
      v = { 0.004488326895381, 0.005304307033987, 0.005194843318496 } } },
  { "adamw", { lr = 0.1, amsgrad = true },
    { p = { 0.9692068977099, -0.6432603499136, 2.061781664159 },
      m = { 0.06911341545377, -0.04237586233559, -0.1149049677199 },
      v = { 0.004488326895381, 0.005304307033987, 0.005194843318496 },
      v_max = { 0.004488326895381, 0.005304307033987, 0.005194843318496 } } },
  { "adamax", { weight_decay = 0.1 },
    { p = { 0.5066697017105, -0.9923590540389, 1.999054759476 },
      m = { 0.1020593136542, -0.107105750129, 0.01541614102819 },
      norm = { 0.9989962363782, 1.058095222056, 1.170976235569 } } },
  { "nadam", { lr = 0.1, weight_decay = 0.1, momentum_decay = 0.1 },
    { p = { 0.648877051889, -0.7987386552165, 1.903074493251 },
      m = { 0.1180037385651, -0.0980260563205, 0.009210373988404 },
      v = { 0.004587748143001, 0.005602444213555, 0.005309054161418 } } },
  { "radam", { lr = 0.1, weight_decay = 0.1 },
    { p = { 0.7213764533376, -0.6127364080163, 2.011443080443 },
      m = { 0.1126912801777, -0.08660020143501, 0.01766308227186 },
      v = { 0.004605155807282, 0.005608627713699, 0.005294408764703 } } },
}

-- The scalars that PyTorch 1.13 keeps in f32.
local loose = { asgd = 1e-8, nadam = 1e-8 }

for _, case in ipairs(pytorch) do
  local name, options, want = case[1], case[2], case[3]
  it(("%s { %s } is PyTorch's"):format(name, shown(options)), function()
    local p = mare.tensor({ 0.5, -1, 2 }, "f64")
    local opt = optim[name]({ p }, options)
    for t = 1, 10 do
      p.grad = column(3, function(i) return math.cos(0.7 * t + i) end, "f64")
      opt:step()
    end
    local state = opt:state()
    for slot, values in pairs(want) do
      local got = slot == "p" and p or state["1.1." .. slot]
      support.same(support.flat(got), values, loose[name] or 2e-12, name .. " " .. slot)
    end
  end)
end

-- -- the papers, for what PyTorch 1.13 lacks ------------------------------------------

describe("by its paper", function()
  local function compare(name, options, step)
    local want, m = {}, {}
    for i = 1, 3 do
      local p, state = start(i), { m = 0, v = 0, v_max = 0 }
      for t = 1, 12 do p = step(p, gradient(i)(t), t, state) end
      want[i], m[i] = p, state.m
    end
    local params, opt = run_kernels(name, options, { 3 }, "f64", 12)
    support.same(support.flat(params[1]), want, 1e-12, name)
    support.same(support.flat(opt:state()["1.1.m"]), m, 1e-12, name .. " m")
  end

  it("lion: Chen et al. 2023, algorithm 2", function()
    local lr, b1, b2, decay = 0.01, 0.9, 0.99, 0.1
    compare("lion", { lr = lr, weight_decay = decay }, function(p, g, _, s)
      local c = b1 * s.m + (1 - b1) * g
      s.m = b2 * s.m + (1 - b2) * g
      return p - lr * ((c > 0 and 1 or c < 0 and -1 or 0) + decay * p)
    end)
  end)

  it("adabelief: Zhuang et al. 2020, algorithm 2", function()
    local lr, b1, b2, eps = 0.01, 0.9, 0.999, 1e-3
    compare("adabelief", { lr = lr, eps = eps, amsgrad = true, weight_decay = 0.1 },
      function(p, g, t, s)
        g = g + 0.1 * p
        s.m = b1 * s.m + (1 - b1) * g
        s.v = b2 * s.v + (1 - b2) * (g - s.m) ^ 2 + eps
        s.v_max = math.max(s.v_max, s.v)
        return p - lr * s.m / (1 - b1 ^ t) / (math.sqrt(s.v_max / (1 - b2 ^ t)) + eps)
      end)
  end)
end)

-- -- memory and pieces ----------------------------------------------------------------

describe("the step", function()
  it("is the same for one large parameter as for its elements alone", function()
    for _, dtype in ipairs { "f32", "f64" } do
      local large = run_kernels("adam", {}, { 80001 }, dtype, 3)[1]
      local many = run_kernels("adam", {}, { 5, 16384, 3, 63609 }, dtype, 3)
      assert.equal(large[{ { 1, 5 } }]:tobytes(), many[1]:tobytes())
      assert.equal(large[{ { 1, 16384 } }]:tobytes(), many[2]:tobytes())
      assert.equal(large[{ { 1, 63609 } }]:tobytes(), many[4]:tobytes())
    end
  end)

  it("gives the same bits with 1, 2 and 4 threads", function()
    local now, bytes = mare.threads(), nil
    for _, n in ipairs { 1, 2, 4 } do
      mare.threads(n)
      local params = run_kernels("adamw", { amsgrad = true }, { 30000, 7, 70001 }, "f32", 3)
      local got = params[1]:tobytes() .. params[2]:tobytes() .. params[3]:tobytes()
      assert.equal(bytes or got, got)
      bytes = got
    end
    mare.threads(now)
  end)

  it("mixes f32 and f64 parameters", function()
    local a, b = mare.ones(3), mare.ones({ 3 }, "f64")
    local opt = optim.sgd({ a, b }, { lr = 0.5 })
    a.grad, b.grad = mare.ones(3), mare.ones({ 3 }, "f64")
    opt:step()
    support.same(support.flat(a), { 0.5, 0.5, 0.5 }, 0, "f32")
    support.same(support.flat(b), { 0.5, 0.5, 0.5 }, 0, "f64")
  end)

  it("keeps a slot only where an option asks for it", function()
    local p = mare.zeros(1000)
    local function live(options)
      collectgarbage()
      local before = mare.memory().live
      local opt = optim.sgd({ p }, options)
      p.grad = mare.ones(1000)
      opt:step()
      opt:zero_grad()
      collectgarbage()
      return mare.memory().live - before, opt
    end
    assert.equal(0, (live {}))
    assert.is_true((live { momentum = 0.9 }) >= 4000)
  end)

  it("gives its memory back", function()
    collectgarbage()
    local before = mare.memory().live
    for _ = 1, 20 do run_kernels("adam", { amsgrad = true }, { 100, 10 }, "f32", 2) end
    collectgarbage()
    collectgarbage()
    assert.equal(before, mare.memory().live)
  end)

  it("lets means of gradients that became 0 end at 0, in all sizes", function()
    for _, n in ipairs { 5, 90000 } do
      local p = mare.zeros(n):requires_grad()
      local opt = optim.sgd({ p }, { lr = 0.1, momentum = 0.5 })
      p.grad = mare.ones(n)
      opt:step()
      p.grad:zero_()
      for _ = 1, 120 do opt:step() end          -- 2^-120 is a normal number
      assert.is_true(opt:state()["1.1.velocity"]:gt(0):all():item() == 1)
      for _ = 1, 30 do opt:step() end           -- 2^-150 is not even denormal
      p.grad:fill_(2 ^ -149)                    -- the least denormal counts as 0
      opt:step()
      assert.is_true(opt:state()["1.1.velocity"]:eq(0):all():item() == 1)
      assert.is_true(mare.full({ 1 }, 2 ^ -140):mul(0.5):item() > 0)   -- elsewhere it counts
    end
  end)

  it("passes over parameters without a gradient, which count their own steps", function()
    local a, b = mare.tensor({ 1 }, "f64"), mare.tensor({ 1 }, "f64")
    local opt = optim.adam({ a, b }, { lr = 0.1 })
    a.grad = mare.tensor({ 1 }, "f64")
    opt:step()
    opt:step()
    assert.equal(1, b:item())
    b.grad = mare.tensor({ 1 }, "f64")
    opt:step()
    assert.near(0.9, b:item(), 1e-7) -- the first step of b: lr, whatever the gradient
    assert.near(0.7, a:item(), 1e-7)
  end)

  it("makes an earlier recording unusable rather than wrong", function()
    local w = mare.tensor { 2 }:requires_grad()
    local y = w * w
    local opt = optim.sgd { w }
    w.grad = mare.ones(1)
    opt:step()
    assert.is_false(pcall(y.backward, y))
  end)

  it("works on a gradient that is a view or was assigned", function()
    local p, g = mare.zeros(2, 2), mare.tensor { { 1, 2 }, { 3, 4 } }
    p.grad = g:t()
    optim.sgd({ p }, { lr = 1 }):step()
    support.same(support.flat(p), { -1, -3, -2, -4 }, 0, "p")
  end)
end)

-- -- the optimizer as an object -------------------------------------------------------

describe("an optimizer", function()
  local function two()
    local a, b = mare.tensor { 1, 2 }, mare.tensor { 3 }
    return a, b, function()
      a.grad, b.grad = mare.tensor { 1, 1 }, mare.tensor { 1 }
    end
  end

  it("has options to read and write", function()
    local a, b = two()
    local opt = optim.sgd({ a, b }, { lr = 0.5, nesterov = true, momentum = 0.5 })
    assert.equal(0.5, opt.lr)
    assert.is_true(opt.nesterov)
    opt.lr = 0.25
    support.fails("optim_spec.lua:", function() opt.momentum = 0 end,
      "sgd: nesterov needs momentum above 0 and dampening 0")
    assert.equal(0.5, opt.momentum)
    opt.nesterov = false
    opt.momentum = 0
    assert.equal(0.25, opt.groups[1].lr)
    assert.equal("sgd", opt.name)
    assert.truthy(tostring(opt):find("2 parameters, 3 values, step 0", 1, true))
    assert.is_true(optim.is_optimizer(opt))
    assert.is_false(optim.is_optimizer(optim))
  end)

  it("takes groups with options of their own", function()
    local a, b, give = two()
    local opt = optim.sgd({ { params = { a } }, { params = { b }, lr = 2 } }, { lr = 0.5 })
    give()
    opt:step()
    support.same(support.flat(a), { 0.5, 1.5 }, 0, "a")
    support.same(support.flat(b), { 1 }, 0, "b")
    opt.groups[1].lr = 0
    give()
    opt:step()
    support.same(support.flat(a), { 0.5, 1.5 }, 0, "a")
    support.same(support.flat(b), { -1 }, 0, "b")
    opt.lr = 1
    assert.equal(1, opt.groups[2].lr)
  end)

  it("calls a rate that is a function with the number of the step", function()
    local a, b, give = two()
    local seen = {}
    local opt = optim.sgd({ a, b }, { lr = function(t) seen[#seen + 1] = t return 1 / t end })
    for _ = 1, 3 do give() opt:step() end
    assert.same({ 1, 2, 3 }, seen)
    assert.near(1 / 3, opt.lr, 1e-15)
    support.same(support.flat(b), { 3 - 1 - 1 / 2 - 1 / 3 }, 1e-6, "b")
    opt.lr = mare.schedule.constant(0)
    give()
    opt:step()
    assert.equal(0, opt.lr)
  end)

  it("shows the rate that a schedule gives, from the beginning", function()
    local a, b, give = two()
    local opt = optim.sgd({ a, b }, { lr = mare.schedule.exponential(0.25, 0.5) })
    assert.truthy(tostring(opt):find("sgd (lr = 0.25,", 1, true))
    for _ = 1, 2 do give() opt:step() end
    assert.truthy(tostring(opt):find("sgd (lr = 0.125,", 1, true))
    local other = optim.sgd({ a, b }, { lr = mare.schedule.exponential(0.25, 0.5) })
    other:load_state(opt:state())
    assert.equal(0.125, other.lr)
    give()
    other:step()
    assert.equal(0.0625, other.lr)
  end)

  it("moves no group when one of them cannot", function()
    local a, b, give = two()
    local opt = optim.sgd({ { params = { a } }, { params = { b } } }, { lr = 1 })
    give()
    b:close()
    support.fails("optim_spec.lua:", function() opt:step() end, "parameter #2 of the optimizer")
    support.same(support.flat(a), { 1, 2 }, 0, "a")
  end)

  it("forgets a largest moment that is asked for no more", function()
    local a, _, give = two()
    local opt = optim.adam({ a }, { amsgrad = true })
    give()
    opt:step()
    opt.amsgrad = false
    assert.is_nil(opt:state()["1.1.v_max"])
  end)

  it("drops gradients", function()
    local a, b, give = two()
    local opt = optim.adam { a, b }
    give()
    assert.truthy(a.grad)
    opt:zero_grad()
    assert.is_nil(a.grad)
    assert.is_nil(b.grad)
    support.fails("optim_spec.lua:", function() opt:step() end,
      "bad call of 'step' (no parameter has a gradient")
    assert.equal(0, opt.steps)
    support.same(support.flat(a), { 1, 2 }, 0, "a")
  end)

  it("can be stopped and go on bit for bit, for every row", function()
    for name in pairs(optim.rows) do
      local function train(steps, state, values)
        local p, q = column(5, start), column(2, start)
        if values then
          p:copy_(values.p)
          q:copy_(values.q)
        end
        local opt = optim[name]({ p, q }, { lr = 0.01 })
        if optim.rows[name].hyper[4].name == "momentum" then opt.momentum = 0.5 end
        if state then opt:load_state(state) end
        for t = opt.steps + 1, steps do
          p.grad = column(5, function(i) return gradient(i)(t) end)
          if t ~= 2 then q.grad = column(2, function(i) return gradient(i + 9)(t) end) end
          opt:step()
          opt:zero_grad()
        end
        return p, q, opt
      end
      local p, q = train(9)
      local p4, q4, opt4 = train(4)
      local bytes = mare.save(nil, opt4:state())
      local p9, q9, opt9 = train(9, assert(mare.load { string = bytes }), { p = p4, q = q4 })
      assert.equal(p:tobytes(), p9:tobytes(), name)
      assert.equal(q:tobytes(), q9:tobytes(), name)
      assert.equal(9, opt9.steps)
    end
  end)

  it("takes over the options that a state holds", function()
    local a, b = two()
    local opt = optim.adam({ a, b }, { lr = 0.5, amsgrad = true, beta1 = 0.7 })
    local other = optim.adam { a, b }
    other:load_state(opt:state())
    assert.equal(0.5, other.lr)
    assert.equal(0.7, other.beta1)
    assert.is_true(other.amsgrad)
    assert.truthy(other:state()["1.1.v_max"])
  end)

  it("refuses a state that is not its own, and stays as it was", function()
    local a, b, give = two()
    local opt = optim.adam({ a, b }, { lr = 0.5 })
    give()
    opt:step()
    local state = opt:state()
    state["1.1.m"] = mare.zeros(3)
    state["1.2.v"] = nil
    state.extra = mare.zeros(1)
    state["1.hyper"] = mare.tensor({ 9, 0, 0, 1, 0, 1 }, "f64")
    support.fails("optim_spec.lua:", function() opt:load_state(state) end, "load_state",
      "1.1.m is f32 3, f32 2 expected", "1.2.v is missing", "extra is unexpected")
    assert.equal(0.5, opt.lr)
    assert.is_false(opt.amsgrad)
    state = opt:state()
    state["1.hyper"] = mare.tensor({ 0 / 0, 0.9, 1.5, 1e-8, 0, 0 }, "f64")
    support.fails("optim_spec.lua:", function() opt:load_state(state) end,
      "1.hyper: beta2 is 1.5", "1.hyper: lr is ")
    assert.equal(0.5, opt.lr)
    support.fails("optim_spec.lua:", function() opt:load_state(3) end,
      "bad argument #1 to 'load_state' (table of tensors expected, got number)")
  end)
end)

-- -- errors ---------------------------------------------------------------------------

describe("an error", function()
  local p = mare.ones(2)
  local here = "optim_spec.lua:"

  it("names the option and lists the known ones", function()
    support.fails(here, function() optim.sgd({ p }, { learning_rate = 1 }) end,
      "bad argument #2 to 'sgd' (unknown option 'learning_rate'; known: dampening, lr, momentum, "
      .. "nesterov, weight_decay)")
    support.fails(here, function() optim.adam({ { params = { p }, momentum = 1 } }) end,
      "group #1: unknown option 'momentum'; known: amsgrad, beta1")
  end)

  it("names values out of bounds", function()
    support.fails(here, function() optim.adam({ p }, { lr = -1 }) end, "adam: lr = -1")
    support.fails(here, function() optim.adam({ p }, { beta1 = 1 }) end,
      "adam: beta1 = 1.0 is outside 0.0 <= beta1 < 1.0")
    support.fails(here, function() optim.adam({ p }, { lr = 0 / 0 }) end, "lr = ")
    support.fails(here, function() optim.adam({ p }, { lr = 1 / 0 }) end, "lr = inf")
    support.fails(here, function() optim.sgd({ p }, { nesterov = 1 }) end,
      "sgd: nesterov is true or false, not a number")
    support.fails(here, function() optim.sgd({ p }, { momentum = "0.9" }) end,
      "sgd: momentum is a number, not a string")
    support.fails(here, function() optim.sgd({ p }, { nesterov = true }) end,
      "bad argument #2 to 'sgd' (nesterov needs momentum above 0 and dampening 0)")
    support.fails(here, function() optim.rprop({ p }, { size_min = 60 }) end,
      "size_min is above size_max")
    local opt = optim.sgd { p }
    support.fails(here, function() opt.lr = -2 end, "lr = -2")
    support.fails(here, function() opt.speed = 1 end, "sgd has no 'speed'")
    support.fails(here, function() return opt.speed end, "sgd has no 'speed'")
    opt.lr = function() return 0 / 0 end
    support.fails(here, function() opt:step() end, "lr = ")
    opt.lr = function() return "fast" end
    support.fails(here, function() opt:step() end, "lr is a number")
  end)

  it("names parameters that cannot be trained", function()
    support.fails(here, function() optim.sgd() end, "#1 to 'sgd' (list of parameters expected")
    support.fails(here, function() optim.sgd(p) end, "list of parameters expected, got a tensor")
    support.fails(here, function() optim.sgd {} end, "the list of parameters is empty")
    support.fails(here, function() optim.sgd(mare.nn.Linear(2, 2)) end, "model:parameters()")
    support.fails(here, function() optim.sgd { p, 3 } end, "parameter #2 is a number, not a tensor")
    support.fails(here, function() optim.sgd { p, p } end,
      "parameter #2 is the same tensor as parameter #1")
    support.fails(here, function() optim.sgd { mare.ones({ 2 }, "i64") } end,
      "parameter #1 is i64; f32 or f64 expected")
    support.fails(here, function() optim.sgd { mare.ones(2, 3):t() } end, "is not contiguous")
    local leaf = mare.ones(2):requires_grad()
    support.fails(here, function() optim.sgd { leaf * 2 } end, "only leaves are trained")
    support.fails(here, function() optim.sgd { { params = { p } }, { p } } end,
      "group #2: { params = {...}, options } expected")
    local gone = mare.ones(2)
    gone:close()
    support.fails(here, function() optim.sgd { gone } end, "parameter #1 is closed")
  end)

  it("tells that a parameter was closed meanwhile, and nothing has moved", function()
    local a, b = mare.ones(1), mare.ones(1)
    local opt = optim.sgd({ a, b }, { lr = 1 })
    a.grad, b.grad = mare.ones(1), mare.ones(1)
    b:close()
    support.fails(here, function() opt:step() end, "parameter #2 of the optimizer is closed")
    assert.equal(1, a:item())
  end)
end)
