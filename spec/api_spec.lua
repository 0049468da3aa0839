-- api_spec.lua -- every name that the interface promises exists and does something:
-- activations and functions as operation and method, activations as modules, losses with
-- their options, penalties, schedules, initializers.

local mare = require "mare"
local core = require "mare.core"
local registry = require "mare.ops"
local support = require "spec.support"

local demand, fails = support.demand, support.fails

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local activations = words [[identity relu relu6 relu2 crelu leaky_relu prelu rrelu elu selu celu
  gelu gelu_tanh quick_gelu silu hardswish mish sigmoid hardsigmoid log_sigmoid tanh hardtanh
  clamp tanhshrink hardshrink softshrink softsign softplus threshold trelu step lisht logcosh glu
  maxout softmax log_softmax softmin]]

local functions = words [[exp expm1 log log1p log2 sin cos tan asin acos atan sinh cosh sqrt rsqrt
  square abs pow erf sign floor ceil round reciprocal]]

local second = {prelu = 0.25, maxout = 2, pow = 2}     -- the argument they cannot do without

describe("operation and method", function()
  local lists = {activations, functions}
  for _, list in ipairs(lists) do
    for _, name in ipairs(list) do
      it(name, function()
        local x = mare.tensor({{0.5, 0.25}, {0.75, 0.125}}, "f64"):requires_grad()
        local op, method = mare[name], core.methods[name]
        demand(op ~= nil, "no mare.%s", name)
        demand(method ~= nil, "no method '%s'", name)
        local y = op(x, second[name])
        support.same(support.flat(method(x, second[name])), support.flat(y), 0, name)
        y:sum():backward()
        demand(x.grad and x.grad:ne(x.grad):any():item() == 0, "no gradient")
        demand(not (registry.rows[name] and #registry.rows[name].doc == 0), "no words")
      end)
    end
  end
end)

describe("module", function()
  local by_name = {}
  for name, class in pairs(mare.nn) do
    if mare.nn.is_module(class) or type(class) == "table" then by_name[name:lower()] = class end
  end

  for _, name in ipairs(activations) do
    it(name, function()
      local class = by_name[name:gsub("_", "")]
      demand(class ~= nil, "no module for '%s'", name)
      local layer = class(name == "maxout" and 2 or nil)
      layer:eval()
      local x = mare.tensor({{0.5, 1.25}, {-0.75, 2}}, "f32")
      local dim = name:find "soft[m]" and 2 or second[name]
      support.same(support.flat(layer(x)), support.flat(mare[name](x, dim)), 1e-7, name)
    end)
  end
end)

describe("activations along a dimension", function()
  local x = mare.tensor({{1, -2, 3, -4}, {5, 6, -7, 8}}, "f64")

  it("crelu puts relu of x and of -x side by side", function()
    support.same(support.flat(x:crelu()), {1, 0, 3, 0, 0, 2, 0, 4, 5, 6, 0, 8, 0, 0, 7, 0}, 0, "last")
    assert.same({4, 4}, x:crelu(1).shape)
  end)

  it("glu gates one half by the other", function()
    local function gate(a, b) return a / (1 + math.exp(-b)) end
    support.same(support.flat(x:glu()), {gate(1, 3), gate(-2, -4), gate(5, -7), gate(6, 8)}, 1e-14,
      "last")
    support.same(support.flat(x:glu(1)), {gate(1, 5), gate(-2, 6), gate(3, -7), gate(-4, 8)}, 1e-14,
      "first")
  end)

  it("maxout takes the largest of neighbours", function()
    support.same(support.flat(x:maxout(2)), {1, 3, 6, 8}, 0, "last")
    support.same(support.flat(x:maxout(2, 1)), {5, 6, 3, 8}, 0, "first")
    assert.same({2, 1}, x:maxout(4).shape)
  end)

  it("rrelu draws slopes in training and takes their mean otherwise", function()
    local y = support.flat(x:rrelu(0.1, 0.3))
    demand(math.abs(y[2] + 0.4) < 1e-12 and y[1] == 1, "mean")
    for k, v in ipairs(support.flat(x:rrelu(0.1, 0.3, true))) do
      local own = support.flat(x)[k]
      demand(own > 0 and v == own or own < 0 and v <= 0.1 * own and v >= 0.3 * own, "%g of %g", v, own)
    end
  end)

  it("refuse what they cannot divide, at the user's line", function()
    local line = debug.getinfo(1, "l").currentline
    fails(("api_spec.lua:%d:"):format(line + 2), function()
      return (mare.glu(mare.ones(2, 3)))
    end, "bad argument #1 to 'glu' (size 3 of dimension 2 is no multiple of 2 (shape 2x3))")
    fails(nil, function() mare.maxout(x, 3) end, "'maxout'", "no multiple of 3")
    fails(nil, function() mare.maxout(x) end, "bad argument #2 to 'maxout'")
    fails(nil, function() mare.crelu(x, 3) end, "dimension 3 is out of range")
    fails(nil, function() mare.rrelu(x, 0.5, 0.25) end, "bad argument #3 to 'rrelu' (0.25 is below 0.5)")
    fails(nil, function() mare.rrelu(3) end, "tensor expected, got number")
  end)
end)

-- -- losses ----------------------------------------------------------------------------------

local probability = mare.tensor({{0.2, 0.7, 0.9}, {0.4, 0.1, 0.6}}, "f64")
local score = mare.tensor({{0.5, -1.2, 2}, {1.5, 0.3, -0.7}}, "f64")
local bits = mare.tensor({{0, 1, 1}, {1, 0, 1}}, "f64")
local labels = mare.tensor({3, 1}, "i64")
local signs = bits * 2 - 1

-- name -> prediction and what follows it
local arguments = {
  cross_entropy = {score, labels}, nll = {score:log_softmax(2), labels}, bce = {probability, bits},
  bce_logits = {score, bits}, focal = {score, bits}, kl_div = {score, probability},
  poisson_nll = {score, bits}, gaussian_nll = {score, bits, 2}, hinge = {score, signs},
  squared_hinge = {score, signs}, soft_margin = {score, signs}, multi_margin = {score, labels},
  multilabel_margin = {score, bits:to "u8"}, multilabel_soft_margin = {score, bits},
  margin_ranking = {score, probability, signs}, hinge_embedding = {probability, signs},
  cosine_embedding = {score, probability, mare.tensor({1, -1}, "f64")},
  triplet = {score, probability, signs}, contrastive = {score, probability, mare.tensor({1, 0}, "f64")},
  dice = {probability, bits}, tversky = {probability, bits}, msle = {probability, bits},
}

local with_classes = {cross_entropy = 3, nll = 3, multi_margin = 3, multilabel_soft_margin = 3}

describe("loss", function()
  for _, name in ipairs(words [[mse half_mse mae huber smooth_l1 log_cosh quantile msle cross_entropy
    nll bce bce_logits focal kl_div poisson_nll gaussian_nll hinge squared_hinge multi_margin
    soft_margin multilabel_margin multilabel_soft_margin margin_ranking hinge_embedding
    cosine_embedding triplet contrastive dice tversky zero_one]]) do
    it(name .. " reduces and weighs", function()
      local f = mare.loss[name]
      demand(f ~= nil, "no mare.loss.%s", name)
      local args = {table.unpack(arguments[name] or {score, probability})}
      local function call(opts)
        local all = {table.unpack(args)}
        all[#all + 1] = opts
        return f(table.unpack(all))
      end
      local each, total = call {reduction = "none"}, call {reduction = "sum"}:item()
      demand(each:numel() > 1, "one value only")
      assert.near(total, each:sum():item(), 1e-12)
      assert.near(each:mean():item(), call():item(), 1e-12)
      assert.near(call():item(), call {reduction = "mean"}:item(), 1e-14)
      local weight = with_classes[name] and mare.full({with_classes[name]}, 3, "f64") or 3
      assert.near(3 * total, call {reduction = "sum", weight = weight}:item(), 1e-11)
      local k = #args + 1
      fails(nil, function() call {reduction = "all"} end,
        ("bad argument #%d to '%s' (unknown reduction 'all'; known: mean, none, sum)"):format(k, name))
      fails(nil, function() call {nothing = 1} end,
        ("bad argument #%d to '%s' (unknown option 'nothing'"):format(k, name))
    end)
  end

  it("penalties l1, l2, elastic", function()
    local w = mare.tensor({1, -2}, "f64")
    assert.equal(3, mare.loss.l1(w):item())
    assert.equal(5, mare.loss.l2(w):item())
    assert.near(0.25 * 3 + 0.375 * 5, mare.loss.elastic(w, 0.25):item(), 1e-15)
  end)
end)

-- -- schedules and initializers ----------------------------------------------------------------

describe("schedule", function()
  local schedule = mare.schedule
  local made = {
    constant = {0.1}, step = {0.1, 3}, multistep = {0.1, {2, 4}}, exponential = {0.1, 0.9},
    inverse_time = {0.1, 0.5}, polynomial = {0.1, 10}, linear = {0.1, 0, 10}, warmup = {3, 0.1},
    cosine = {0.1, 10}, cosine_restarts = {0.1, 4}, cyclic = {0, 0.1, 3}, one_cycle = {0.1, 10},
    plateau = {0.1}, sequence = {{{0.1, 2}, 0.05}},
    warmup_stable_decay = {0.1, {warmup = 2, stable = 3, decay = 4}},
  }
  for name, args in pairs(made) do
    it(name .. " is a function of the step", function()
      local f = schedule[name](table.unpack(args))
      for step = 1, 12 do
        local lr = f(step)
        demand(lr >= 0 and lr <= 0.1 + 1e-15, "%g at step %d", lr, step)
      end
    end)
  end

  it("warm-up then decay is one expression", function()
    local f = schedule.warmup(5, schedule.cosine(1, 10))
    assert.near(0.2, f(1), 1e-15)
    assert.near(1, f(5), 1e-15)
    assert.near(0.5, f(11), 1e-15)
    assert.near(0, f(16), 1e-15)
  end)
end)

describe("initializer", function()
  for _, name in ipairs(words [[zeros normal uniform xavier_uniform xavier_normal kaiming_uniform
    kaiming_normal orthogonal trunc_normal lecun_normal]]) do
    it(name .. " fills a weight", function()
      local init = mare.nn.init[name]
      local w = mare.full({8, 6}, 9)
      demand(rawequal(init(w), w), "another tensor")
      demand(w:lt(9):all():item() == 1, "not all filled")
      demand(w:ne(w):any():item() == 0, "NaN")
    end)
  end

  it("gain is PyTorch's", function()
    local gain = mare.nn.init.gain
    for name, want in pairs {linear = 1, identity = 1, sigmoid = 1, tanh = 5 / 3,
      relu = 1.4142135623730951, selu = 0.75, leaky_relu = 1.4141428569978354} do
      assert.near(want, gain(name), 1e-15)
    end
    assert.near(1.3719886811400708, gain("leaky_relu", 0.25), 1e-15)
    fails(nil, function() gain "mystery" end, "unknown activation 'mystery'", "tanh")
  end)

  it("takes gains", function()
    mare.seed(5)
    local w = mare.nn.init.xavier_normal(mare.zeros({200, 300}), mare.nn.init.gain "tanh")
    assert.near(5 / 3 * math.sqrt(2 / 500), w:std():item(), 2e-3)
    local q = mare.nn.init.orthogonal(mare.zeros({4, 6}, "f64"), 2)
    support.same(support.flat(q:matmul(q:t())), support.flat(mare.eye(4, "f64") * 4), 1e-12, "q q'")
  end)
end)

describe("whole numbers", function()
  it("keep all digits in arange and masked_fill", function()
    local big = (1 << 53) + 1
    support.same(support.flat(mare.arange(big, big + 4, 2, "i64")), {big, big + 2, big + 4}, 0, "up")
    support.same(support.flat(mare.arange(big, big - 2, -1, "i64")), {big, big - 1, big - 2}, 0, "down")
    local filled = mare.zeros({2}, "i64"):masked_fill(mare.tensor({1, 0}, "u8"), big)
    demand(filled[1]:item() == big and filled[2]:item() == 0, "masked_fill")
    local x = mare.zeros({2}, "i64")
    x:masked_fill_(mare.tensor({0, 1}, "u8"), -big)
    demand(x[2]:item() == -big and x[1]:item() == 0, "masked_fill_")
    demand(mare.arange(3, 1, "i64"):numel() == 0, "empty")
  end)
end)
