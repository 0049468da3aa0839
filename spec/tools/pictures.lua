-- pictures.lua -- what the reference draws beside activations, losses and schedules: a list
-- of figures for a name, each a function that makes it.

local mare = require "mare"

local M = {}

local plot, loss = mare.plot, mare.loss

local function row(...) return mare.tensor({ { ... } }, "f64") end

-- f at n numbers between lo and hi as a figure.
local function curve(name, f, lo, hi, xlabel)
  local x, y = mare.linspace(lo, hi, 161, "f64"), {}
  for i, v in ipairs(x:totable()) do y[i] = f(v) end
  return plot.line(x, mare.tensor(y, "f64"), { title = name, xlabel = xlabel or "x" })
end

-- -- activations -----------------------------------------------------------------------------

local wide = {
  prelu = function(v) return mare.prelu(row(v), 0.25):sum():item() end,
  rrelu = function(v) return mare.rrelu(row(v)):sum():item() end,
  crelu = function(v) return mare.crelu(row(v)):sum():item() end,
  glu = function(v) return mare.glu(row(v, 1)):sum():item() end,
  maxout = function(v) return mare.maxout(row(v, -v / 2), 2):sum():item() end,
  softmax = function(v) return mare.softmax(row(v, 0), 2)[{ 1, 1 }]:item() end,
  log_softmax = function(v) return mare.log_softmax(row(v, 0), 2)[{ 1, 1 }]:item() end,
  softmin = function(v) return mare.softmin(row(v, 0), 2)[{ 1, 1 }]:item() end,
}

M.activations = {}
for name in ([[identity relu relu6 relu2 crelu leaky_relu prelu rrelu elu selu celu gelu gelu_tanh
  quick_gelu silu hardswish mish sigmoid hardsigmoid log_sigmoid tanh hardtanh clamp tanhshrink
  hardshrink softshrink softsign softplus threshold trelu step lisht logcosh glu maxout softmax
  log_softmax softmin]]):gmatch "%S+" do
  M.activations[name] = function()
    if wide[name] then return curve(name, wide[name], -4, 4) end
    return plot.activation(name)
  end
end

-- -- losses --------------------------------------------------------------------------------------

local label = mare.tensor({ 1 }, "i64")
local one = mare.tensor({ 1 }, "f64")

local function against(name, target, lo, hi)
  return function()
    return curve(name, function(v) return loss[name](row(v), row(target)):item() end, lo or -3, hi or 3,
      ("prediction, target %g"):format(target))
  end
end

local function of(name, f, lo, hi, xlabel)
  return function() return curve(name, function(v) return f(v):item() end, lo or -3, hi or 3, xlabel) end
end

M.losses = {
  cross_entropy = of("cross_entropy", function(v) return loss.cross_entropy(row(v, 0), label) end, -4, 4,
    "logit of the truth, the other 0"),
  nll = of("nll", function(v) return loss.nll(row(v, -1), label) end, -4, 0, "log probability of the truth"),
  multi_margin = of("multi_margin", function(v) return loss.multi_margin(row(v, 0), label) end, -3, 3,
    "score of the truth, the other 0"),
  multilabel_margin = of("multilabel_margin", function(v)
    return loss.multilabel_margin(row(v, 0), row(1, 0):to "u8")
  end, -3, 3, "score of what is there, the other 0"),
  multilabel_soft_margin = against("multilabel_soft_margin", 1),
  margin_ranking = of("margin_ranking", function(v) return loss.margin_ranking(row(v), row(0), row(1)) end,
    -3, 3, "a - b, a should be above"),
  cosine_embedding = of("cosine_embedding", function(v)
    return loss.cosine_embedding(row(math.cos(v), math.sin(v)), row(1, 0), one)
  end, -3, 3, "angle, together"),
  triplet = of("triplet", function(v) return loss.triplet(row(0), row(v), row(1)) end, -3, 3,
    "positive, anchor 0, negative 1"),
  contrastive = of("contrastive", function(v) return loss.contrastive(row(v), row(0), mare.zeros(1):to "f64") end,
    -3, 3, "distance, apart"),
  gaussian_nll = of("gaussian_nll", function(v) return loss.gaussian_nll(row(v), row(0), 1) end, -3, 3,
    "prediction, target 0, variance 1"),
  dice = against("dice", 1, 0, 1), tversky = against("tversky", 1, 0, 1),
  bce = against("bce", 1, 0.01, 1), kl_div = against("kl_div", 0.5), msle = against("msle", 1, 0, 3),
  l1 = of("l1", function(v) return loss.l1(row(v)) end), l2 = of("l2", function(v) return loss.l2(row(v)) end),
  elastic = of("elastic", function(v) return loss.elastic(row(v)) end),
}
for name in ([[mse half_mse mae huber smooth_l1 log_cosh quantile bce_logits focal poisson_nll hinge
  squared_hinge soft_margin hinge_embedding zero_one]]):gmatch "%S+" do
  M.losses[name] = against(name, name:find "bce" and 1 or name:find "m[sa]e" and 0 or 1)
end

-- -- schedules -----------------------------------------------------------------------------------------

local settings = {
  constant = { 0.1 }, step = { 0.1, 30, 0.5 }, multistep = { 0.1, { 30, 80 } }, exponential = { 0.1, 0.97 },
  inverse_time = { 0.1, 0.05 }, polynomial = { 0.1, 100, 2 }, linear = { 0.1, 0, 100 },
  warmup = { 20, 0.1 }, cosine = { 0.1, 100 }, cosine_restarts = { 0.1, 20, 2 }, cyclic = { 0, 0.1, 15 },
  one_cycle = { 0.1, 100 }, plateau = { 0.1, { patience = 5 } }, sequence = { { { 0.1, 40 }, 0.02 } },
  warmup_stable_decay = { 0.1, { warmup = 20, stable = 50, decay = 30 } },
  product = { 0.1, mare.schedule.linear(1, 0, 100) },
}

M.schedules = {}
for name, args in pairs(settings) do
  M.schedules[name] = function()
    local f, y = mare.schedule[name](table.unpack(args)), {}
    for step = 1, 120 do
      y[step] = f(step)
      if name == "plateau" then f:report(math.max(1, 3 - step / 20)) end
    end
    return plot.line(mare.arange(1, 120, "f64"), mare.tensor(y, "f64"), { title = name, xlabel = "step" })
  end
end

--- The figure for an entry of mare.doc, or nil.
function M.of(entry)
  local list = entry.part == "mare" and M.activations or entry.part == "mare.loss" and M.losses
    or entry.part == "mare.schedule" and M.schedules
  return list and list[entry.name]
end

return M
