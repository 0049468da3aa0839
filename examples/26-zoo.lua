-- 26-zoo.lua -- all activations, all losses of one element, all optimizers.
-- ids: L8 L1 L2
-- takes: 2 s
-- expect: 16 17
-- expect: 40 40
--
-- What is asked.  Which shapes are there to choose from, and does the choice matter?  Every
-- activation is drawn with its derivative, which the tape finds; every loss of a prediction
-- and a target is drawn; every optimizer trains the same small net, with the rate that suits
-- it best.
--
-- What is seen.  All 40 derivatives agree with differences.  Each of the 17 optimizers learns
-- with a rate of its own; the best rates differ by a factor of a thousand.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot, loss = mare.nn, mare.plot, mare.loss
local args = lesson.options("26-zoo.lua", "Activations, losses and optimizers.", { epochs = 3 })
mare.seed(args.seed)

lesson.title "activations"
-- a name, or a name with parameters; those of clamp, threshold and prelu have to be chosen
local activations = { "identity", "relu", "leaky_relu", { "prelu", 0.25 }, "rrelu", "elu", "celu",
  "selu", "relu6", "relu2", "trelu", { "threshold", -1, -2 }, "gelu", "gelu_tanh", "quick_gelu",
  "silu", "mish", "hardswish", "softplus", "lisht", "sigmoid", "hardsigmoid", "log_sigmoid", "tanh",
  "hardtanh", { "clamp", -2, 1 }, "softsign", "step", "tanhshrink", "hardshrink", "softshrink",
  "logcosh", "exp", "expm1", "sin", "cos", "atan", "erf", "square", "abs" }
local function called(entry)
  if type(entry) == "string" then return entry, mare[entry] end
  local name, a, b = table.unpack(entry)
  if name == "prelu" then a = mare.tensor({ a }, "f64") end
  return name, function(x) return mare[name](x, a, b) end
end
local figures, good = {}, 0
-- between the corners that some have, a derivative agrees with differences
local points = mare.tensor({ -3.3, -1.7, -0.7, -0.21, 0.21, 0.7, 1.7, 3.3 }, "f64")
local at = mare.linspace(-4, 4, 300, "f64")
print "name          f(-2)    f(-1)     f(0)     f(1)     f(2)   f'(-2)    f'(0)    f'(2)"
for _, entry in ipairs(activations) do
  local name, f = called(entry)
  if mare.gradcheck(f, points) then good = good + 1 end
  local slope = mare.grad(function(x) return f(x):sum() end)
  local v = f(mare.tensor({ -2, -1, 0, 1, 2 }, "f64")):totable()
  local d = slope(mare.tensor({ -2, 0, 2 }, "f64")):totable()
  print(("%-11s" .. (" %8.3f"):rep(8)):format(name, v[1], v[2], v[3], v[4], v[5], d[1], d[2], d[3]))
  figures[#figures + 1] = plot.line(at, { f(at), slope(at) }, { title = name, ylim = { -2.5, 4 },
    labels = { "f", "f'" }, xlabel = "x", ylabel = "y" })
end
print(("%d of %d derivatives agree with differences"):format(good, #activations))
print "Others join elements: crelu, glu, maxout, softmax, softmin, log_softmax, logsumexp."
for part = 1, 2 do
  local half = #figures // 2
  lesson.picture(plot.grid(table.move(figures, (part - 1) * half + 1, part * half, 1, {}),
    { columns = 5 }), "26-activations-" .. part, { width = 1500, height = 1000 })
end

lesson.title "losses of a prediction x and a target t"
local function drawn(title, lo, hi, t, list, more)
  local x = mare.linspace(lo, hi, 301, "f64")
  local target, curves, labels = mare.full({ 301 }, t, "f64"), {}, {}
  for i, name in ipairs(list) do
    local y = loss[name](x, target, { reduction = "none" })
    curves[i], labels[i] = y, name
    print(("%-17s t = %2g: from %.3f at x = %g to %.3f at x = %g, least %.3f"):format(name, t,
      y[1]:item(), lo, y[301]:item(), hi, y:min():item()))
  end
  return plot.line(x, curves, { labels = labels, title = title, xlabel = "x", ylabel = "loss",
    ylim = more })
end
lesson.picture(plot.grid({
  drawn("numbers, t = 0", -3, 3, 0, { "mse", "half_mse", "mae", "huber", "smooth_l1", "log_cosh",
    "quantile" }, { 0, 4 }),
  drawn("margins, t = 1", -3, 3, 1, { "hinge", "squared_hinge", "soft_margin",
    "hinge_embedding" }, { -3, 5 }),
  drawn("logits, t = 1", -4, 4, 1, { "bce_logits", "focal" }, { 0, 4 }),
  drawn("probabilities, t = 1", 0.01, 0.99, 1, { "bce" }, { 0, 4 }),
  drawn("logarithms of rates and probabilities, t = 1", -3, 2, 1, { "poisson_nll", "kl_div" }),
  drawn("ratios, t = 1", 0, 5, 1, { "msle" }),
}, { columns = 3 }), "26-losses", { width = 1300, height = 800 })
print "huber and smooth_l1 are the same where their parameter is 1, and half_mse near 0."
print "zero_one only counts what is not equal; gaussian_nll has a variance too; cross_entropy and"
print "others look at whole rows."

lesson.title "optimizers"
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })
local rates = { 3, 1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003 }
local function fit(name, rate)
  mare.seed(args.seed)
  local model = nn.Sequential { nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10) }
  local ok, history = pcall(mare.train.fit, model, { data = train, batch = 64,
    epochs = args.epochs, seed = args.seed, loss = loss.cross_entropy, progress = false,
    optimizer = mare.optim[name](model:parameters(), { lr = rate }) })
  if not ok and not history:find "is not finite" then error(history, 0) end
  if not ok then return math.huge end
  return mare.train.evaluate(model, train, { loss = loss.cross_entropy }).loss, model, history
end
local names, skilled, lowest, highest = {}, 0, math.huge, 0
for name in pairs(mare.optim.rows) do names[#names + 1] = name end
table.sort(names)
print(("%d optimizers, %d epochs, the best of %d rates by the training loss"):format(#names,
  args.epochs, #rates))
print "optimizer    rate   loss of epoch 1   loss at the end   unseen accuracy   loss at rate 0.01"
for _, name in ipairs(names) do
  local least, rate, best, history, common = math.huge, nil, nil, nil, nil
  for _, r in ipairs(rates) do
    local value, model, h = fit(name, r)
    if r == 0.01 then common = value end
    if value < least then least, rate, best, history = value, r, model, h end
  end
  local accuracy = mare.train.evaluate(best, test, { metrics = { "accuracy" } }).accuracy
  lowest, highest = math.min(lowest, rate), math.max(highest, rate)
  if accuracy > 0.8 then skilled = skilled + 1 end
  print(("%-10s %6g   %15.3f   %15.3f   %15.3f   %17.3f"):format(name, rate, history[1].loss,
    least, accuracy, common))
end
print(("The best rates reach from %g to %g.  With its own rate each learns, and most come"):format(
  lowest, highest))
print "about equally far; with one rate for all, some have hardly begun."
lesson.key("optimizers with more than 0.8 unseen accuracy", skilled)
lesson.key("derivatives that agree with differences", good)
