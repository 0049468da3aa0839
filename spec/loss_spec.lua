-- loss_spec.lua -- the losses, against PyTorch 1.13 where it has them.

local mare = require "mare"
local loss = mare.loss

local x = { { 0.5, -1.2, 2 }, { 1.5, 0.3, -0.7 } }   -- predictions
local t = { { 0, -1, 1.8 }, { 1.1, 0.9, -3 } }       -- targets
local p = { { 0.2, 0.7, 0.9 }, { 0.4, 0.1, 0.6 } }   -- probabilities
local b = { { 0, 1, 1 }, { 1, 0, 1 } }               -- targets 0 and 1
local s = { { -1, 1, 1 }, { 1, -1, 1 } }             -- targets -1 and 1
local v = { { 0.5, 1, 2 }, { 1, 0.1, 0.3 } }         -- variances
local w = { { 1, 2, 0.5 }, { 1, 0, 3 } }             -- weights
local n = { { 0.3, -0.8, 1 }, { -0.2, 0.4, 0.9 } }   -- negatives
local cw = { 0.5, 1, 3 }                             -- weights of classes

-- name = { the loss, its gradient with respect to the prediction }, made in f64 by
--   a = x.clone().requires_grad_(); l = F.NAME(a, target); l.backward(); print(l, a.grad)
-- with torch.nn.functional as F; the names after soft options say which.  Those that
-- PyTorch lacks (quantile, log_cosh, msle, hinge, squared_hinge, focal, dice, tversky,
-- contrastive) come from their formula in PyTorch, differentiated by it.
local expected = {
  mse = { 1.02333333, 0.166666667, -0.0666666667, 0.0666666667, 0.133333333, -0.2, 0.766666667 },
  mae = { 0.7, 0.166666667, -0.166666667, 0.166666667, 0.166666667, -0.166666667, 0.166666667 },
  huber = { 0.370833333,
    0.0833333333, -0.0333333333, 0.0333333333, 0.0666666667, -0.1, 0.166666667 },
  huber_half = { 0.240833333,
    0.0833333333, -0.0333333333, 0.0333333333, 0.0666666667, -0.0833333333, 0.0833333333 },
  smooth_l1 = { 0.370833333,
    0.0833333333, -0.0333333333, 0.0333333333, 0.0666666667, -0.1, 0.166666667 },
  smooth_l1_half = { 0.481666667,
    0.166666667, -0.0666666667, 0.0666666667, 0.133333333, -0.166666667, 0.166666667 },
  bce = { 0.369609314,
    0.208333333, -0.238095238, -0.185185185, -0.416666667, 0.185185185, -0.277777778 },
  bce_logits = { 0.787207006,
    0.103743222, -0.128087464, -0.0198671537, -0.030404254, 0.0957404195, -0.111364629 },
  bce_logits_weight = { 1.24584622,
    0.103743222, -0.256174928, -0.00993357684, -0.030404254, 0, -0.334093886 },
  kl_div = { -0.473275781, -0.0333333333, -0.116666667, -0.15, -0.0666666667, -0.0166666667, -0.1 },
  poisson_nll = { 2.39951746,
    0.241453545, -0.0664676313, 1.08150935, 0.680281512, 0.208309801, -0.0172357827 },
  soft_margin = { 0.787207006,
    0.103743222, -0.128087464, -0.0198671537, -0.030404254, 0.0957404195, -0.111364629 },
  hinge_embedding = { 0.466666667,
    -0.166666667, 0.166666667, 0.166666667, 0.166666667, -0.166666667, 0.166666667 },
  gaussian_nll = { 1.53723129,
    0.166666667, -0.0333333333, 0.0166666667, 0.0666666667, -1, 1.27777778 },
  cross_entropy = { 0.289600707,
    0.0882710294, 0.0161256627, -0.104396692, -0.145891692, 0.106655373, 0.039236319 },
  cross_entropy_sum = { 0.579201414,
    0.176542059, 0.0322513255, -0.208793384, -0.291783384, 0.213310746, 0.0784726379 },
  cross_entropy_weight = { 0.250026014,
    0.151321765, 0.0276439932, -0.178965758, -0.0416833405, 0.0304729637, 0.0112103768 },
  cross_entropy_ignore = { 0.234196137, 0.176542059, 0.0322513255, -0.208793384, 0, 0, 0 },
  cross_entropy_smooth = { 0.424600707,
    0.0716043628, -0.000541003938, -0.0710633588, -0.112558358, 0.0899887062, 0.0225696523 },
  cross_entropy_both = { 0.361751092,
    0.138993772, 0.0167379841, -0.155731756, -0.0119247705, 0.0270437469, -0.0151189764 },
  cross_entropy_prob = { 0.747659677,
    0.0208631176, -0.00867232222, -0.0121907953, 0.0816737929, -0.116395143, 0.0347213502 },
  cross_entropy_prob_weight = { 0.85620358, 0.192602529, 0.0165444812, -0.20914701, 0.127814877,
    -0.143525565, 0.0157106881 },
  cross_entropy_prob_smooth = { 1.16350974, 0.163896665, -0.01526005, -0.148636616, 0.191817727,
    -0.116157174, -0.0756605539 },
  cross_entropy_all = { 0.266375219, 0.1621594, 0.0195276481, -0.181687048, 0, 0, 0 },
  nll = { 0.289600707, 0, 0, -0.5, -0.5, 0, 0 },
  nll_weight = { 0.250026014, 0, 0, -0.857142857, -0.142857143, 0, 0 },
  nll_ignore = { 0.234196137, 0, 0, -1, 0, 0, 0 },
  margin_ranking = { 0.35, 0.166666667, -0.166666667, -0.166666667, -0.166666667, 0, 0 },
  cosine_embedding = { 0.271303966,
    0.0429368241, -0.00125232404, -0.0114856005, -0.0922860341, 0.0424256331, -0.179573373 },
  triplet = { 0.476371015,
    0.343906862, 0.00849708587, -0.282357354, -0.280792474, -0.103062909, 0.819468608 },
  multi_margin = { 1.28333333,
    -0.166666667, 0, 0.166666667, 0.166666667, 0.166666667, -0.333333333 },
  multilabel_soft_margin = { 0.787207006,
    0.103743222, -0.128087464, -0.0198671537, -0.030404254, 0.0957404195, -0.111364629 },
  multilabel_margin = { 0.783333333, 0.166666667, -0.166666667, 0, 0, 0.166666667, -0.166666667 },
  quantile = { 0.436666667, 0.116666667, -0.05, 0.116666667, 0.116666667, -0.05, 0.116666667 },
  log_cosh = { 0.337465649,
    0.0770195262, -0.0328958867, 0.0328958867, 0.063324827, -0.0895082612, 0.163349399 },
  msle = { 0.0413964408,
    0.0506448769, -0.0318664568, -0.00899882358, -0.0849226057, 0.0288818727, -0.0464882399 },
  hinge = { 1.11666667, 0.166666667, -0.166666667, 0, 0, 0.166666667, -0.166666667 },
  squared_hinge = { 1.945, 0.5, -0.733333333, 0, 0, 0.433333333, -0.566666667 },
  focal = { 0.337440942,
    0.0876919703, -0.142337191, -0.000811823366, -0.00283851754, 0.0715844114, -0.104198983 },
  dice = { 0.196646341,
    0.0911458333, -0.1171875, -0.1171875, -0.154669839, 0.0892325996, -0.154669839 },
  tversky = { 0.191522763,
    0.0451200889, -0.124947938, -0.124947938, -0.142897396, 0.0402527875, -0.142897396 },
  contrastive = { 0.169408755,
    0.2500005, -0.0999995, 0.1000005, -0.0489219764, 0.0733826589, -0.281300784 },
  multi_margin_square = { 5.10333333, -0.333333333, 0, 0.333333333, 2.7, 1.5, -4.2 },
}

local function f64(values) return mare.tensor(values, "f64") end
local function labels(values) return mare.tensor(values, "i64") end

-- name = function of the prediction; the prediction is x unless given beside it
local cases = {
  mse = { function(a) return loss.mse(a, f64(t)) end },
  mae = { function(a) return loss.mae(a, f64(t)) end },
  huber = { function(a) return loss.huber(a, f64(t)) end },
  huber_half = { function(a) return loss.huber(a, f64(t), { delta = 0.5 }) end },
  smooth_l1 = { function(a) return loss.smooth_l1(a, f64(t)) end },
  smooth_l1_half = { function(a) return loss.smooth_l1(a, f64(t), { beta = 0.5 }) end },
  quantile = { function(a) return loss.quantile(a, f64(t), { q = 0.3 }) end },
  log_cosh = { function(a) return loss.log_cosh(a, f64(t)) end },
  msle = { function(a) return loss.msle(a, f64(b)) end, p },
  bce = { function(a) return loss.bce(a, f64(b)) end, p },
  bce_logits = { function(a) return loss.bce_logits(a, f64(b)) end },
  bce_logits_weight = { function(a) return loss.bce_logits(a, f64(b), { weight = f64(w) }) end },
  kl_div = { function(a) return loss.kl_div(a, f64(p)) end },
  poisson_nll = { function(a) return loss.poisson_nll(a, f64(p)) end },
  hinge = { function(a) return loss.hinge(a, f64(s)) end },
  squared_hinge = { function(a) return loss.squared_hinge(a, f64(s)) end },
  soft_margin = { function(a) return loss.soft_margin(a, f64(s)) end },
  hinge_embedding = { function(a) return loss.hinge_embedding(a, f64(s)) end },
  focal = { function(a) return loss.focal(a, f64(b)) end },
  gaussian_nll = { function(a) return loss.gaussian_nll(a, f64(t), f64(v)) end },
  cross_entropy = { function(a) return loss.cross_entropy(a, labels { 3, 1 }) end },
  cross_entropy_sum = { function(a)
    return loss.cross_entropy(a, labels { 3, 1 }, { reduction = "sum" })
  end },
  cross_entropy_weight = { function(a)
    return loss.cross_entropy(a, labels { 3, 1 }, { weight = f64(cw) })
  end },
  cross_entropy_ignore = { function(a)
    return loss.cross_entropy(a, labels { 3, 1 }, { ignore_index = 1 })
  end },
  cross_entropy_smooth = { function(a)
    return loss.cross_entropy(a, labels { 3, 1 }, { label_smoothing = 0.1 })
  end },
  cross_entropy_both = { function(a)
    return loss.cross_entropy(a, labels { 3, 1 }, { weight = f64(cw), label_smoothing = 0.1 })
  end },
  cross_entropy_prob = { function(a) return loss.cross_entropy(a, f64(t):softmax(2)) end },
  cross_entropy_prob_weight = { function(a)
    return loss.cross_entropy(a, f64(t):softmax(2), { weight = f64(cw) })
  end },
  cross_entropy_prob_smooth = { function(a)
    return loss.cross_entropy(a, f64(t):softmax(2), { weight = f64(cw), label_smoothing = 0.2 })
  end },
  cross_entropy_all = { function(a)
    return loss.cross_entropy(a, labels { 3, 1 }, { weight = f64(cw), label_smoothing = 0.1,
      ignore_index = 1 })
  end },
  nll = { function(a) return loss.nll(a, labels { 3, 1 }) end, "log_softmax" },
  nll_weight = { function(a)
    return loss.nll(a, labels { 3, 1 }, { weight = f64(cw) })
  end, "log_softmax" },
  nll_ignore = { function(a)
    return loss.nll(a, labels { 3, 1 }, { ignore_index = 1 })
  end, "log_softmax" },
  margin_ranking = { function(a)
    return loss.margin_ranking(a, f64(t), f64(s), { margin = 0.5 })
  end },
  cosine_embedding = { function(a)
    return loss.cosine_embedding(a, f64(t), f64 { 1, -1 }, { margin = 0.2 })
  end },
  triplet = { function(a) return loss.triplet(a, f64(t), f64(n), { margin = 0.7 }) end },
  contrastive = { function(a)
    return loss.contrastive(a, f64(t), f64 { 1, 0 }, { margin = 3 })
  end },
  multi_margin = { function(a) return loss.multi_margin(a, labels { 1, 3 }) end },
  multi_margin_square = { function(a)
    return loss.multi_margin(a, labels { 1, 3 }, { p = 2, margin = 0.5, weight = f64(cw) })
  end },
  multilabel_margin = { function(a)
    return loss.multilabel_margin(a, mare.tensor({ { 0, 1, 1 }, { 1, 0, 1 } }, "u8"))
  end },
  multilabel_soft_margin = { function(a) return loss.multilabel_soft_margin(a, f64(b)) end },
  dice = { function(a) return loss.dice(a, f64(b)) end, p },
  tversky = { function(a)
    return loss.tversky(a, f64(b), { alpha = 0.3, beta = 0.7 })
  end, p },
}

local function prediction(of, dtype)
  local a = f64(of == "log_softmax" and x or of or x)
  if of == "log_softmax" then a = a:log_softmax(2) end
  return a:to(dtype):detach():requires_grad()
end

describe("losses", function()
  for name, want in pairs(expected) do
    it(name .. " has PyTorch's value and gradient", function()
      local case = assert(cases[name], "no case for " .. name)
      local a = prediction(case[2], "f64")
      local l = case[1](a)
      l:backward()
      assert.near(want[1], l:item(), 1e-8)
      for i, g in ipairs(a.grad:reshape(-1):totable()) do
        assert.near(want[i + 1], g, 1e-8, ("gradient %d"):format(i))
      end
    end)
  end

  it("has a case for each expectation and the other way round", function()
    for name in pairs(cases) do assert.is_table(expected[name], name) end
  end)

  it("half_mse is half of mse", function()
    assert.near(expected.mse[1] / 2, loss.half_mse(f64(x), f64(t)):item(), 1e-8)
  end)

  it("zero_one counts the values that differ", function()
    assert.equal(0.5, loss.zero_one(f64 { 1, 2, 3, 4 }, f64 { 1, 2, 4, 3 }):item())
  end)

  it("work in f32", function()
    local a, c = mare.tensor(x), mare.tensor(t)
    assert.near(expected.mse[1], loss.mse(a, c):item(), 1e-5)
    assert.near(expected.cross_entropy[1], loss.cross_entropy(a, labels { 3, 1 }):item(), 1e-6)
  end)

  it("reduce to a mean, a sum or nothing", function()
    local none = loss.mse(f64(x), f64(t), { reduction = "none" })
    assert.same({ 2, 3 }, none.shape)
    assert.near(expected.mse[1] * 6, none:sum():item(), 1e-7)
    assert.near(expected.mse[1] * 6, loss.mse(f64(x), f64(t), { reduction = "sum" }):item(), 1e-7)
    assert.near(expected.mse[1], loss.mse(f64(x), f64(t), { reduction = "mean" }):item(), 1e-8)
    local rows = loss.cross_entropy(f64(x), labels { 3, 1 }, { reduction = "none" })
    assert.same({ 2 }, rows.shape)
  end)

  it("take numbers and broadcast tensors as weights", function()
    local plain = loss.mse(f64(x), f64(t)):item()
    assert.near(3 * plain, loss.mse(f64(x), f64(t), { weight = 3 }):item(), 1e-8)
    local column = loss.mse(f64(x), f64(t), { weight = f64 { { 1 }, { 0 } }, reduction = "none" })
    assert.same({ 0, 0, 0 }, column[2]:totable())
  end)

  it("cross_entropy of more dimensions keeps classes second", function()
    local big = mare.randn({ 2, 3, 4 }, "f64")
    local y = labels { { 1, 2, 3, 1 }, { 3, 3, 2, 1 } }
    local flat = big:permute(1, 3, 2):reshape(8, 3)
    local want = loss.cross_entropy(flat, y:reshape(8)):item()
    assert.near(want, loss.cross_entropy(big, y):item(), 1e-12)
    assert.same({ 2, 4 }, loss.cross_entropy(big, y, { reduction = "none" }).shape)
  end)

  it("cross_entropy stays finite for large scores", function()
    local l = loss.cross_entropy(f64 { { 1e4, -1e4, 0 } }, labels { 2 })
    assert.near(2e4, l:item(), 1e-6)
  end)

  it("gaussian_nll takes a number as variance and keeps it above eps", function()
    local a = loss.gaussian_nll(f64(x), f64(t), 1):item()
    assert.near(expected.mse[1] / 2, a, 1e-8)
    assert.is_true(loss.gaussian_nll(f64(x), f64(x), 0):item() > -1e3)
  end)

  it("penalties add over tensors, lists and models", function()
    local a, c = f64 { 1, -2 }, f64 { { 3 } }
    assert.equal(6, loss.l1({ a, c }):item())
    assert.equal(14, loss.l2({ a, c }):item())
    assert.equal(3, loss.l1(a):item())
    assert.near(0.5 * 6 + 0.25 * 14, loss.elastic({ a, c }):item(), 1e-12)
    local model = mare.nn.Linear(3, 2)
    local sum = model.weight:abs():sum():item() + model.bias:abs():sum():item()
    assert.near(sum, loss.l1(model):item(), 1e-5)
  end)
end)

describe("losses refuse", function()
  local a = mare.tensor(x)

  -- the error of f at the line of the call, without its position
  local function message(f, ...)
    local args = table.pack(...)
    local ok, text = pcall(function() return (f(table.unpack(args, 1, args.n))) end)
    assert.is_false(ok)
    local where, rest = text:match "^(.-):%d+: (.*)$"
    assert.truthy(where and where:find "loss_spec", text)
    return rest
  end

  local function refuses(want, f, ...) assert.equal(want, message(f, ...)) end

  it("another shape, instead of broadcasting", function()
    refuses("bad argument #2 to 'mse' (shape 2x1 does not match the prediction's 2x3)",
      loss.mse, a, mare.zeros(2, 1))
    refuses("bad argument #2 to 'mse' (shape 3 does not match the prediction's 2x3)",
      loss.mse, a, mare.zeros(3))
    refuses("bad argument #2 to 'huber' (shape scalar does not match the prediction's 2x3)",
      loss.huber, a, mare.tensor(1))
    refuses("bad argument #3 to 'triplet' (shape 2x2 does not match the prediction's 2x3)",
      loss.triplet, a, a, mare.zeros(2, 2))
  end)

  it("what is no tensor", function()
    refuses("bad argument #2 to 'mse' (tensor expected, got number)", loss.mse, a, 3)
    refuses("bad argument #1 to 'mse' (tensor expected, got nil)", loss.mse, nil, a)
    refuses("bad argument #2 to 'cross_entropy' (tensor expected, got table)",
      loss.cross_entropy, a, { 1, 2 })
  end)

  it("unknown options and reductions, and name the known ones", function()
    refuses("bad argument #3 to 'mse' (unknown option 'reductoin'; did you mean 'reduction'? known: reduction, weight)",
      loss.mse, a, a, { reductoin = "sum" })
    refuses("bad argument #3 to 'huber' (unknown option 'd'; known: delta, reduction, weight)",
      loss.huber, a, a, { d = 1 })
    refuses("bad argument #3 to 'mse' (unknown reduction 'avg'; known: mean, none, sum)",
      loss.mse, a, a, { reduction = "avg" })
    refuses("bad argument #3 to 'mse' (table of options expected, got string)",
      loss.mse, a, a, "sum")
    refuses("bad argument #4 to 'triplet' "
      .. "(unknown option 'm'; known: margin, p, reduction, weight)",
      loss.triplet, a, a, a, { m = 1 })
  end)

  it("parameters outside their range", function()
    refuses("bad argument #3 to 'huber' (delta: -1 is outside 0 to inf)", loss.huber, a, a,
      { delta = -1 })
    refuses("bad argument #3 to 'quantile' (q: 1.5 is outside 0 to 1)", loss.quantile, a, a,
      { q = 1.5 })
    refuses("bad argument #3 to 'cross_entropy' (label_smoothing: 1.0 is not below 1)",
      loss.cross_entropy, a, labels { 1, 2 }, { label_smoothing = 1.0 })
    refuses("bad argument #3 to 'huber' (delta: number expected, got string)", loss.huber, a, a,
      { delta = "1" })
  end)

  it("labels that do not fit", function()
    refuses("bad argument #2 to 'cross_entropy' "
      .. "(2 labels expected for logits of shape 2x3, got shape 3)",
      loss.cross_entropy, a, labels { 1, 2, 3 })
    refuses("bad argument #2 to 'cross_entropy' (label 4 at 2 is outside 1..3)",
      loss.cross_entropy, a, labels { 1, 4 })
    refuses("bad argument #2 to 'cross_entropy' (label 0 at 1 is outside 1..3)",
      loss.cross_entropy, a, labels { 0, 1 })
    local real = "bad argument #2 to 'cross_entropy' "
      .. "(i64 labels expected, got f32 tensor; convert it with :to \"i64\")"
    refuses(real, loss.cross_entropy, a, mare.tensor { 1, 2 })
    refuses(real, loss.cross_entropy, mare.ones(2, 3, 4), mare.ones(2, 4))
    refuses("bad argument #1 to 'cross_entropy' (f32 or f64 scores expected, got i64 tensor)",
      loss.cross_entropy, labels { 1, 2 }, a)
    refuses("bad argument #2 to 'multi_margin' "
      .. "(i64 labels of shape 2 expected, got f32 of shape 2x3)",
      loss.multi_margin, a, a)
  end)

  it("weights that do not fit", function()
    refuses("bad argument #3 to 'mse' (weight of shape 4x2x3 for values of shape 2x3)",
      loss.mse, a, a, { weight = mare.ones(4, 2, 3) })
    refuses("bad argument #3 to 'cross_entropy' (3 weights expected, got shape 2)",
      loss.cross_entropy, a, labels { 1, 2 }, { weight = mare.ones(2) })
  end)

  it("targets and weights that want a gradient", function()
    local learned = mare.ones(3):requires_grad()
    refuses("bad argument #3 to 'cross_entropy' "
      .. "(the weights have no gradient; detach them, or use log_softmax)",
      loss.cross_entropy, a, labels { 1, 2 }, { weight = learned })
    local target = mare.full({ 2, 3 }, 1 / 3)
    local y = loss.cross_entropy(mare.ones(2, 3):requires_grad(), target)
    target:requires_grad()
    refuses("cross_entropy has a gradient to its logits only", y.backward, y)
  end)

  it("element types and weights, by the name of the loss", function()
    local y, scores = mare.ones(2, 3), f64(x)
    refuses("bad argument #2 to 'mse' (f32 does not mix with the prediction's f64; "
      .. "convert one with :to)", loss.mse, scores, y)
    refuses("bad argument #3 to 'triplet' (f32 does not mix with the prediction's f64; "
      .. "convert one with :to)", loss.triplet, scores, scores, y)
    refuses("bad argument #3 to 'mse' (weight: f32 expected, got f64)", loss.mse, y, y,
      { weight = f64 { 1, 2, 3 } })
    for _, shape in ipairs { { 2 }, { 1, 2, 3 }, { 4, 1 } } do
      refuses("bad argument #3 to 'mse' (weight of shape " .. table.concat(shape, "x")
        .. " for values of shape 2x3)", loss.mse, y, y, { weight = mare.ones(shape) })
    end
    refuses("bad argument #3 to 'nll' (weight: f32 of shape 3 expected, got f32 of shape 2)",
      loss.nll, y, labels { 1, 2 }, { weight = mare.ones(2) })
    refuses("bad argument #3 to 'multi_margin' "
      .. "(weight: f64 of shape 3 expected, got f32 of shape 3)",
      loss.multi_margin, scores, labels { 1, 2 }, { weight = mare.ones(3) })
    assert.near(3 * loss.multi_margin(scores, labels { 1, 2 }):item(),
      loss.multi_margin(scores, labels { 1, 2 }, { weight = 3 }):item(), 1e-14)
  end)

  it("labels that are no class", function()
    refuses("bad argument #2 to 'multi_margin' (label 4 is outside 1..3)", loss.multi_margin, a,
      labels { 1, 4 })
    refuses("bad argument #2 to 'nll' (label 0 is outside 1..3)", loss.nll, a, labels { 0, 1 })
    refuses("bad argument #3 to 'nll' (ignore_index 1.5: labels to ignore are negative or a class)",
      loss.nll, a, labels { 3, 1 }, { ignore_index = 1.5 })
  end)

  it("labels of 0 and 1 where signs are expected", function()
    for _, name in ipairs { "hinge", "squared_hinge", "soft_margin", "hinge_embedding" } do
      refuses(("bad argument #2 to '%s' (targets are -1 and 1, and a 0 is among them; "
        .. "2 * y - 1 makes them of 0 and 1)"):format(name), loss[name], mare.ones(3),
        mare.tensor { 1, 0, 1 })
      assert.equal(0, loss[name](mare.zeros(0), mare.zeros(0), { reduction = "sum" }):item())
    end
  end)

  it("options out of their range, in every loss that has some", function()
    local y = mare.ones(2, 3)
    refuses("bad argument #3 to 'huber' (delta: a number above 0 expected, got 0)", loss.huber, y, y,
      { delta = 0 })
    refuses("bad argument #4 to 'triplet' (p: a number above 0 expected, got 0)", loss.triplet,
      y, y, y, { p = 0 })
    refuses("bad argument #4 to 'triplet' (margin: number expected, got string)", loss.triplet,
      y, y, y, { margin = "1" })
    refuses("bad argument #3 to 'tversky' (alpha: -1 is outside 0 to inf)", loss.tversky, y, y,
      { alpha = -1 })
    refuses("bad argument #3 to 'dice' (smooth: number expected, got boolean)", loss.dice, y, y,
      { smooth = true })
    refuses("bad argument #3 to 'gaussian_nll' (-1 is outside 0 to inf)", loss.gaussian_nll, y, y, -1)
    refuses("bad argument #4 to 'gaussian_nll' (eps: a number above 0 expected, got 0)",
      loss.gaussian_nll, y, y, 1, { eps = 0 })
  end)

  it("no NaN: it stays", function()
    local y = loss.bce(mare.tensor { 0.5, 0 / 0 }, mare.ones(2)):item()
    assert.is_true(y ~= y)
  end)

  it("empty penalties", function()
    refuses("bad argument #1 to 'l1' (no tensors)", loss.l1, {})
    refuses("bad argument #1 to 'l2' "
      .. "(tensor, list of tensors or module expected, got nil)", loss.l2)
  end)

  it("what would be NaN", function()
    refuses("bad argument #1 to 'bce' (probabilities expected, found 1.5; logits go to bce_logits)",
      loss.bce, mare.tensor { 0.5, 1.5 }, mare.ones(2))
    refuses("bad argument #2 to 'cross_entropy' (no row is left to take the mean of)",
      loss.cross_entropy, a, labels { 2, 2 }, { ignore_index = 2 })
    refuses("bad argument #2 to 'cross_entropy' (no row is left to take the mean of)",
      loss.cross_entropy, mare.zeros(0, 3), mare.zeros({ 0 }, "i64"))
    assert.equal(0, loss.cross_entropy(a, labels { 2, 2 },
      { ignore_index = 2, reduction = "sum" }):item())
  end)
end)
