-- loss.lua -- what training makes small: functions of a prediction and a target to
-- a number.
--
-- All take a last table of options.  Every one knows reduction = "mean" (of all
-- elements or rows; the default) | "sum" | "none" (all of them), and weight, a tensor
-- or number that each element or row is multiplied by first.  Prediction and target
-- must have the same shape: nothing is broadcast in silence.

local mare = require "mare"
local check = require "mare.check"
local core = require "mare.core".functions

local is_tensor, size, dim = core.is_tensor, core.size, core.dim
local entropy, mean = mare.cross_entropy, mare.mean

local M = {}

-- -- arguments -----------------------------------------------------------------------

local function tensor(position, name, t)
  if not is_tensor(t) then
    check.argument(position, name, "tensor expected, got %s", type(t))
  end
  return t
end

local function differ(position, name, x, t)
  tensor(1, name, x)
  tensor(position, name, t)
  if not core.same_shape(x, t) then
    check.argument(position, name, "shape %s does not match the prediction's %s", check.shape(t),
      check.shape(x))
  end
  check.argument(position, name, "%s does not mix with the prediction's %s; convert one with :to",
    t.dtype, x.dtype)
end

-- Refuses a target at this position that has not x's shape and type.
local function same_shape(position, name, x, t)
  if not core.same_shape(x, t, true) then differ(position, name, x, t) end
end

local function matrix(position, name, t)
  if dim(tensor(position, name, t)) ~= 2 then
    check.argument(position, name, "shape (n, classes) expected, got %s", check.shape(t))
  end
end

-- Refuses labels that are not among the classes.
local function among(position, name, t, classes)
  if t:numel() == 0 then return end
  local low, high = t:min():item(), t:max():item()
  if low < 1 or high > classes then
    check.argument(position, name, "label %d is outside 1..%d", low < 1 and low or high, classes)
  end
end

-- i64 labels, one for each row of x.
local function labels(position, name, x, t)
  tensor(position, name, t)
  if t.dtype ~= "i64" or dim(t) ~= 1 or size(t, 1) ~= size(x, 1) then
    check.argument(position, name, "i64 labels of shape %d expected, got %s of shape %s",
      size(x, 1), t.dtype, check.shape(t))
  end
  among(position, name, t, size(x, 2))
end

-- -- options and reductions --------------------------------------------------------------

local reductions = {
  mean = function(y) return mean(y) end,
  sum = function(y) return y:sum() end,
  none = function(y) return y end,
}

local function reduction(position, name, opts)
  local reduce = reductions[opts.reduction or "mean"]
  if not reduce then
    check.argument(position, name, "%s", check.unknown("reduction", opts.reduction, reductions))
  end
  return reduce
end

-- Does w broadcast to y's shape?
local function spreads(w, y)
  local sizes, into = w.shape, y.shape
  local before = #into - #sizes
  for d = #sizes, 1, -1 do
    if before < 0 or sizes[d] ~= 1 and sizes[d] ~= into[before + d] then return false end
  end
  return true
end

-- y times the weight, whose shape must broadcast to y's.
local function weighted(position, name, y, weight)
  if type(weight) ~= "number" then
    if tensor(position, name, weight).dtype ~= y.dtype then
      check.argument(position, name, "weight: %s expected, got %s", y.dtype, weight.dtype)
    elseif not spreads(weight, y) then
      check.argument(position, name, "weight of shape %s for values of shape %s",
        check.shape(weight), check.shape(y))
    end
  end
  return y * weight
end

-- The weight of each label's class, for scores x (n, classes) and labels (n).
local function of_labels(name, weight, x, t)
  local classes = size(x, 2)
  if type(weight) == "number" then return weight end
  if tensor(3, name, weight).dtype ~= x.dtype or check.shape(weight) ~= tostring(classes) then
    check.argument(3, name, "weight: %s of shape %d expected, got %s of shape %s", x.dtype, classes,
      weight.dtype, check.shape(weight))
  end
  return weight:index_select(1, t)
end

local function finish(position, name, y, opts)
  if not opts then return mean(y) end
  if opts.weight then y = weighted(position, name, y, opts.weight) end
  return reduction(position, name, opts)(y)
end

-- The known options of each loss, and the defaults of its own ones; the place of the
-- options among its arguments.
local defaults, places = {}, {}

local function declare(name, own, place)
  local known = { reduction = "mean", weight = "none" }
  for k, v in pairs(own or {}) do known[k] = v end
  defaults[name], places[name] = known, place or 3
end

-- Where options make sense; others may be any number.  Those of not_zero are not 0.
local ranges = {
  delta = { 0 }, beta = { 0 }, gamma = { 0 }, q = { 0, 1 }, alpha = { 0 }, smooth = { 0 },
  eps = { 0 }, p = { 0 },
}
local not_zero = { delta = true, eps = true, p = true }

-- A loss's own option, or its default.
local function option(name, opts, key)
  local value = opts and opts[key]
  if value == nil then return defaults[name][key] end
  local range = ranges[key] or {}
  value = check.number(places[name], name, value, nil, range[1], range[2], key)
  if value == 0 and not_zero[key] then
    check.argument(places[name], name, "%s: a number above 0 expected, got 0", key)
  end
  return value
end

-- -- element by element -------------------------------------------------------------------

-- Rows whose loss goes by another name.
local renamed = {
  squared_error = "mse", absolute_error = "mae", squared_log_error = "msle"
}

-- Targets of these are -1 and 1.  A 0 among them is a label of 0 and 1, of which half of the
-- rows would count for nothing.
local signed = { hinge = true, squared_hinge = true, soft_margin = true, hinge_embedding = true }

local function refuse_zero(name)
  check.argument(2, name, "targets are -1 and 1, and a 0 is among them; 2 * y - 1 makes them " ..
    "of 0 and 1")
end

--- One loss for each row of ops.def whose operands are a prediction x and a target t:
-- mse mae msle log_cosh bce bce_logits kl_div poisson_nll hinge squared_hinge
-- soft_margin zero_one, and, with an option of that name, huber(delta = 1)
-- smooth_l1(beta = 1) quantile(q = 0.5) hinge_embedding(margin = 1) focal(gamma = 2).
-- Targets of hinge, squared_hinge, soft_margin and hinge_embedding are -1 and 1, never 0.
-- ```
-- loss.mse(model(x), y)
-- loss.huber(model(x), y, { delta = 0.5, reduction = "sum" })
-- ```
local function from_row(row, name)
  local op, param, signs = row.call, row.params[1], signed[name]
  declare(name, param and { [param] = row.defaults[1] })
  local known, loss = defaults[name], not signs and row.loss
  return function(prediction, target, opts)
    local mean_loss = not opts and loss and loss(prediction, target)
    if mean_loss then return mean_loss end
    same_shape(2, name, prediction, target)
    if signs and target:eq(0):any():item() == 1 then refuse_zero(name) end
    if not opts then return mean(op(prediction, target)) end
    check.options(3, name, opts, known)
    local value = param and option(name, opts, param) or nil
    return finish(3, name, op(prediction, target, value), opts)
  end
end

for _, row in ipairs(core.rows()) do
  if row.args[1] == "x" and row.args[2] == "t" then
    local name = renamed[row.name] or row.name
    M[name] = from_row(row, name)
  end
end

-- the logarithm of what is no probability is NaN, and so is every weight after it
local function probabilities(position, name, x)
  if x:numel() == 0 then return end
  local lowest, highest = x:detach():min():item(), x:detach():max():item()
  if not (lowest < 0 or highest > 1) then return end      -- NaN passes, and stays NaN
  check.argument(position, name, "probabilities expected, found %g; logits go to bce_logits",
    lowest < 0 and lowest or highest)
end

local bce = M.bce

--- Binary cross-entropy of probabilities, -t log x - (1 - t) log(1 - x): what lies outside
-- 0..1 is an error.  From logits bce_logits is exact where this is not.
-- `loss.bce(model(x):sigmoid(), y)`
function M.bce(prediction, target, opts)
  same_shape(2, "bce", prediction, target)
  probabilities(1, "bce", prediction)
  return bce(prediction, target, opts)
end

local msle = M.msle

--- The mean of (log(1 + x) - log(1 + t))^2, for x and t above -1.
-- `loss.msle(mare.tensor { 1, 3 }, mare.tensor { 0, 1 })`
function M.msle(prediction, target, opts)
  check.real(1, "msle", prediction)
  return msle(prediction, target, opts)
end

declare "half_mse"
--- Half the mean squared error: its derivative is the error itself, divided by n.
-- Formula: sum (x - t)^2 / (2 n)
-- `loss.half_mse(mare.tensor { 1, 3 }, mare.tensor { 0, 1 }):item() --> 1.25`
function M.half_mse(prediction, target, opts)
  same_shape(2, "half_mse", prediction, target)
  check.options(3, "half_mse", opts, defaults.half_mse)
  return finish(3, "half_mse", mare.squared_error(prediction, target) * 0.5, opts)
end

declare("gaussian_nll", { eps = 1e-6 }, 4)
--- The negative log likelihood of targets under normal distributions with the predicted
-- means and variances: (log v + (t - x)^2 / v) / 2, without the constant.  The variance is
-- a tensor of the same shape, or a number; eps (1e-6) is the least that counts.
-- Formula: (log v + (t - x)^2 / v) / 2, x, t and v alike (n, ...)
-- `loss.gaussian_nll(mean, y, log_variance:exp())`
function M.gaussian_nll(prediction, target, variance, opts)
  same_shape(2, "gaussian_nll", prediction, target)
  check.options(4, "gaussian_nll", opts, defaults.gaussian_nll)
  local eps = option("gaussian_nll", opts, "eps")
  if type(variance) == "number" then
    variance = math.max(check.number(3, "gaussian_nll", variance, nil, 0), eps)
  else
    same_shape(3, "gaussian_nll", prediction, variance)
    variance = mare.clamp(variance, eps)
  end
  return finish(4, "gaussian_nll", mare.gaussian_nll(prediction, target, variance), opts)
end

-- -- distances between two tensors --------------------------------------------------------

declare("margin_ranking", { margin = 0 }, 4)
--- max(0, margin - t (a - b)): t is 1 where a should be above b and -1 where below.
-- Formula: max(0, margin - t (a - b)), all (n)
-- `loss.margin_ranking(score_a, score_b, t, { margin = 0.1 })`
function M.margin_ranking(a, b, target, opts)
  same_shape(2, "margin_ranking", a, b)
  same_shape(3, "margin_ranking", a, target)
  check.options(4, "margin_ranking", opts, defaults.margin_ranking)
  local margin = option("margin_ranking", opts, "margin")
  return finish(4, "margin_ranking", mare.relu(margin - target * (a - b)), opts)
end

-- One number for each row of two (n, c) matrices, and a target (n).
local function check_rows(name, a, b, target)
  matrix(1, name, a)
  same_shape(2, name, a, b)
  if dim(tensor(3, name, target)) ~= 1 or size(target, 1) ~= size(a, 1) then
    check.argument(3, name, "shape %d expected, got %s", size(a, 1), check.shape(target))
  end
end

declare("cosine_embedding", { margin = 0 }, 4)
--- For rows of a and b (n, c): 1 - cos where t (n) is 1, max(0, cos - margin) where -1.
-- Formula: 1 - a.b / (|a| |b|), or max(0, a.b / (|a| |b|) - margin)
-- `loss.cosine_embedding(a, b, t, { margin = 0.5 })`
function M.cosine_embedding(a, b, target, opts)
  check_rows("cosine_embedding", a, b, target)
  check.options(4, "cosine_embedding", opts, defaults.cosine_embedding)
  local margin, tiny = option("cosine_embedding", opts, "margin"), 1e-12
  local lengths = (a:square():sum(2) + tiny) * (b:square():sum(2) + tiny)
  local cosine = (a * b):sum(2) * lengths:rsqrt()
  local y = mare.where(target:gt(0), 1 - cosine, mare.relu(cosine - margin))
  return finish(4, "cosine_embedding", y, opts)
end

-- The p-norm of each row of a - b; the small shift keeps its derivative finite at 0.
local function distance(a, b, p) return (a - b + 1e-6):norm(p, 2) end

declare("triplet", { margin = 1, p = 2 }, 4)
--- max(0, |anchor - positive| - |anchor - negative| + margin) for rows (n, c), with
-- p-norms (2).  Schroff and others, "FaceNet", 2015.
-- Formula: max(0, |anchor - positive|_p - |anchor - negative|_p + margin)
-- `loss.triplet(anchor, positive, negative, { margin = 0.2 })`
function M.triplet(anchor, positive, negative, opts)
  matrix(1, "triplet", anchor)
  same_shape(2, "triplet", anchor, positive)
  same_shape(3, "triplet", anchor, negative)
  check.options(4, "triplet", opts, defaults.triplet)
  local p, margin = option("triplet", opts, "p"), option("triplet", opts, "margin")
  local gap = distance(anchor, positive, p) - distance(anchor, negative, p)
  return finish(4, "triplet", mare.relu(gap + margin), opts)
end

declare("contrastive", { margin = 1 }, 4)
--- For rows of a and b (n, c) at distance d: d^2 / 2 where t (n) is 1 (they belong
-- together), max(0, margin - d)^2 / 2 elsewhere.  Hadsell, Chopra and LeCun, 2006.
-- Formula: t d^2 / 2 + (1 - t) max(0, margin - d)^2 / 2, d = |a - b|
-- `loss.contrastive(a, b, t)`
function M.contrastive(a, b, target, opts)
  check_rows("contrastive", a, b, target)
  check.options(4, "contrastive", opts, defaults.contrastive)
  local d = distance(a, b, 2)
  local apart = mare.relu(option("contrastive", opts, "margin") - d)
  return finish(4, "contrastive", mare.where(target:gt(0), d, apart):square() * 0.5, opts)
end

-- -- several classes ----------------------------------------------------------------------

-- (n, classes, ...) as rows of classes, and the target to match; scores of one sample too.
local function as_rows(name, x, target)
  local shape, n = x.shape, dim(x)
  if n == 0 then check.argument(1, name, "scores (n, classes) expected, got a scalar") end
  if x.dtype ~= "f32" and x.dtype ~= "f64" then
    check.argument(1, name, "f32 or f64 scores expected, got %s", check.kind(x))
  elseif target.dtype ~= "i64" and dim(target) == n - 1 then
    check.argument(2, name, "i64 labels expected, got %s; convert it with :to \"i64\"",
      check.kind(target))
  end
  if n == 1 then
    if target.dtype == "i64" and target:numel() ~= 1 then
      check.argument(2, name, "one label for the scores of one row expected, got shape %s",
        check.shape(target))
    elseif target.dtype ~= "i64" then
      same_shape(2, name, x, target)
    end
    return x:reshape(1, -1), target:reshape(target.dtype == "i64" and { 1 } or { 1, shape[1] })
  end
  local classes, order = shape[2], { 1 }
  for d = 3, n do order[#order + 1] = d end
  order[#order + 1] = 2
  if target.dtype ~= "i64" then
    same_shape(2, name, x, target)
    target = target:permute(order):reshape(-1, classes)
  else
    table.remove(shape, 2)
    if check.shape(shape) ~= check.shape(target) then
      check.argument(2, name, "labels of shape %s expected, got shape %s", check.shape(shape),
        check.shape(target))
    end
    target = target:reshape(-1)
  end
  return x:permute(order):reshape(-1, classes), target
end

local function reduce_rows(rows, target, how)
  if how == "sum" then return rows:sum() end
  if target.dtype == "i64" then return rows:reshape(target.shape) end
  local shape = target.shape
  table.remove(shape, #shape == 1 and 1 or 2)
  return rows:reshape(shape)
end

-- Checks the options that losses of classes share; returns the reduction's name.
local function class_options(name, opts)
  check.options(3, name, opts, defaults[name])
  reduction(3, name, opts)
  if opts.ignore_index ~= nil then
    local label = check.number(3, name, opts.ignore_index, nil, nil, nil, "ignore_index")
    if label == 0 or not math.tointeger(label) then
      check.argument(3, name, "ignore_index %s: labels to ignore are negative or a class", label)
    end
  end
  return opts.reduction or "mean"
end

declare("cross_entropy", { ignore_index = "none", label_smoothing = 0 })
--- Minus the logarithm of the probability that softmax(logits) gives to the truth, fused
-- and without overflow.  Logits are (n, classes), or (n, classes, ...); the target is i64
-- labels 1..classes of shape (n, ...), or probabilities shaped like the logits.  Options:
-- weight (classes), ignore_index (a label whose rows do not count), label_smoothing (0).
-- The mean divides by the weights of the labels, as PyTorch's does.
-- Formula: log(sum_j e^x_j) - x_label; of probabilities p: -sum_j p_j log softmax(x)_j
-- `loss.cross_entropy(model(x), labels, { label_smoothing = 0.1 })`
function M.cross_entropy(logits, target, opts)
  tensor(1, "cross_entropy", logits)
  tensor(2, "cross_entropy", target)
  local x, t = logits, target
  if dim(logits) ~= 2 then x, t = as_rows("cross_entropy", logits, target) end
  if not opts then return entropy(x, t) end
  local how = class_options("cross_entropy", opts)
  local smoothing = check.number(3, "cross_entropy", opts.label_smoothing, 0, 0, nil,
    "label_smoothing")
  if smoothing >= 1 then
    check.argument(3, "cross_entropy", "label_smoothing: %s is not below 1", check.text(smoothing))
  end
  local y = entropy(x, t, opts.weight, opts.ignore_index, opts.label_smoothing, how == "mean")
  return how == "mean" and y or reduce_rows(y, target, how)
end

declare("nll", { ignore_index = "none" })
--- Minus the log probability of each label: log probabilities are (n, classes, ...), labels
-- i64 (n, ...).  Options: weight (classes), ignore_index.  cross_entropy is this after
-- log_softmax, in one step.
-- Formula: -x_label
-- `loss.nll(model(x):log_softmax(2), labels)`
function M.nll(logp, target, opts)
  tensor(1, "nll", logp)
  if tensor(2, "nll", target).dtype ~= "i64" then
    check.argument(2, "nll", "i64 labels expected, got %s", target.dtype)
  end
  opts = opts or {}
  local how = class_options("nll", opts)
  local x, t = as_rows("nll", logp, target)
  local w = mare.ones({ size(t, 1) }, logp.dtype)
  if opts.ignore_index then
    local counts = t:ne(opts.ignore_index)
    w, t = counts:to(logp.dtype), mare.where(counts, t, mare.full({}, 1, "i64"))
  end
  among(2, "nll", t, size(x, 2))
  if opts.weight then w = w * of_labels("nll", opts.weight, x, t) end
  local rows = -(x:gather(2, t:unsqueeze(2)):squeeze(2) * w)
  if how == "mean" then return rows:sum() / w:sum() end
  return reduce_rows(rows, target, how)
end

declare("multi_margin", { p = 1, margin = 1 })
--- The sum over the wrong classes j of max(0, margin - x_label + x_j)^p, divided by the
-- number of classes: x is (n, classes), labels i64 (n).  weight is (classes).
-- Formula: sum_(j is not label) max(0, margin - x_label + x_j)^p / classes
-- `loss.multi_margin(scores, labels)`
function M.multi_margin(prediction, target, opts)
  matrix(1, "multi_margin", prediction)
  labels(2, "multi_margin", prediction, target)
  check.options(3, "multi_margin", opts, defaults.multi_margin)
  local p, margin = option("multi_margin", opts, "p"), option("multi_margin", opts, "margin")
  local own = prediction:gather(2, target:unsqueeze(2))
  local above = mare.relu(prediction - own + margin)
  if p ~= 1 then above = above ^ p end
  local y = (above:sum(2) - margin ^ p) / size(prediction, 2) -- less the label's own term
  if not opts then return mean(y) end
  if opts.weight then y = y * of_labels("multi_margin", opts.weight, prediction, target) end
  return reduction(3, "multi_margin", opts)(y)
end

declare "multilabel_margin"
--- The sum over pairs of a label j and a class i that is none of max(0, 1 - x_j + x_i),
-- divided by the number of classes: x is (n, classes), the target a u8 mask like it.
-- Formula: sum_(j in, i not in) max(0, 1 - x_j + x_i) / classes
-- `loss.multilabel_margin(scores, mask)`
function M.multilabel_margin(prediction, target, opts)
  matrix(1, "multilabel_margin", prediction)
  check.real(1, "multilabel_margin", prediction)
  if not core.same_shape(prediction, target) then
    differ(2, "multilabel_margin", prediction, target)
  end
  check.options(3, "multilabel_margin", opts, defaults.multilabel_margin)
  local is = target:ne(0):to(prediction.dtype)
  local pairs_of = is:unsqueeze(3) * (1 - is):unsqueeze(2) -- (n, j, i)
  local above = mare.relu(1 - prediction:unsqueeze(3) + prediction:unsqueeze(2))
  local y = (above * pairs_of):sum { 2, 3 } / size(prediction, 2)
  return finish(3, "multilabel_margin", y, opts)
end

declare "multilabel_soft_margin"
--- The mean over the classes of bce_logits: x and the target of 0 and 1 are (n, classes).
-- weight is (classes).
-- Formula: -mean_j (t_j log sigmoid(x_j) + (1 - t_j) log sigmoid(-x_j))
-- `loss.multilabel_soft_margin(scores, mask:to "f32")`
function M.multilabel_soft_margin(prediction, target, opts)
  matrix(1, "multilabel_soft_margin", prediction)
  same_shape(2, "multilabel_soft_margin", prediction, target)
  check.options(3, "multilabel_soft_margin", opts, defaults.multilabel_soft_margin)
  local y = mare.bce_logits(prediction, target)
  if not opts then return mean(y) end
  if opts.weight then y = weighted(3, "multilabel_soft_margin", y, opts.weight) end
  return reduction(3, "multilabel_soft_margin", opts)(y:mean(2))
end

-- -- overlap of regions -------------------------------------------------------------------

-- Sums over all but the first dimension: what both have, only x, only t.
local function overlap(x, t)
  local n = size(x, 1)
  local a, b = x:reshape(n, -1), t:reshape(n, -1)
  local both = (a * b):sum(2)
  return both, a:sum(2) - both, b:sum(2) - both
end

local function overlap_loss(name, prediction, target, opts, alpha, beta)
  same_shape(2, name, prediction, target)
  if dim(prediction) < 2 then
    check.argument(1, name, "shape (n, ...) expected, got %s", check.shape(prediction))
  end
  local both, only_x, only_t = overlap(prediction, target)
  local smooth = option(name, opts, "smooth")
  local y = 1 - (both + smooth) / (both + only_x * alpha + only_t * beta + smooth)
  return finish(3, name, y, opts)
end

declare("dice", { smooth = 1 })
--- 1 - (2 x.t + s) / (sum x + sum t + s) for each sample of (n, ...): x are probabilities,
-- t is 0 or 1, s is the option smooth (1).  Milletari and others, "V-Net", 2016.
-- Formula: 1 - (2 sum x t + smooth) / (sum x + sum t + smooth)
-- `loss.dice(model(x):sigmoid(), mask)`
function M.dice(prediction, target, opts)
  check.options(3, "dice", opts, defaults.dice)
  local o = { smooth = option("dice", opts, "smooth") / 2, weight = opts and opts.weight,
    reduction = opts and opts.reduction }
  return overlap_loss("dice", prediction, target, o, 0.5, 0.5)
end

declare("tversky", { alpha = 0.5, beta = 0.5, smooth = 1 })
--- 1 - (TP + s) / (TP + alpha FP + beta FN + s) for each sample of (n, ...).  Options:
-- alpha, beta (0.5), smooth (1).  Salehi and others, 2017.
-- Formula: 1 - (TP + s) / (TP + alpha FP + beta FN + s), TP = sum x t, FP = sum x (1 - t)
-- `loss.tversky(model(x):sigmoid(), mask, { alpha = 0.3, beta = 0.7 })`
function M.tversky(prediction, target, opts)
  check.options(3, "tversky", opts, defaults.tversky)
  return overlap_loss("tversky", prediction, target, opts or {}, option("tversky", opts, "alpha"),
    option("tversky", opts, "beta"))
end

-- -- penalties ----------------------------------------------------------------------------

-- The sum of f over a tensor, the tensors of a list, or the parameters of a module.
local function total(name, params, f)
  if is_tensor(params) then return f(check.real(1, name, params)) end
  if type(params) ~= "table" then
    check.argument(1, name, "tensor, list of tensors or module expected, got %s", type(params))
  end
  if rawget(params, "__index") == params then
    check.argument(1, name, "tensor, list of tensors or module expected, got a class")
  end
  local list = params.parameters and params:parameters() or params
  if #list == 0 then check.argument(1, name, "no tensors") end
  local sum
  for _, p in ipairs(list) do
    local part = f(check.real(1, name, p))
    sum = sum and sum + part or part
  end
  return sum
end

--- The sum of |w| over a tensor, a list of tensors or a module's parameters.
-- Formula: sum |w|, w of any shape
-- `local l = loss.mse(model(x), y) + 1e-4 * loss.l1(model)`
function M.l1(params)
  return total("l1", params, function(p) return p:abs():sum() end)
end

--- The sum of w^2.
-- Formula: sum w^2, w of any shape
-- `loss.l2(mare.tensor { 3, 4 }):item() --> 25`
function M.l2(params)
  return total("l2", params, function(p) return p:square():sum() end)
end

--- ratio l1 + (1 - ratio) l2 / 2, ratio 0.5 unless given.  Zou and Hastie, 2005.
-- Formula: ratio sum |w| + (1 - ratio) sum w^2 / 2, w of any shape
-- `loss.elastic(mare.tensor { 3, 4 }):item() --> 9.75`
function M.elastic(params, ratio)
  ratio = check.number(2, "elastic", ratio, 0.5, 0, 1)
  return total("elastic", params, function(p)
    return ratio * p:abs():sum() + (1 - ratio) / 2 * p:square():sum()
  end)
end

return M
