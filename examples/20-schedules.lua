-- 20-schedules.lua -- a learning rate that changes while it is used.
-- ids: L7 L8 T9
-- takes: 2 s
-- expect: 0.03 0.2
-- expect: 0.94 1
--
-- What is asked.  A large rate is quick but restless: with noisy gradients the weights never
-- come to rest.  A small rate is calm but slow.  So the rate begins large and falls (decay).
-- And a rate that is large at the very start may throw untrained weights far off, so it may
-- climb first (warm-up).  In Maré a schedule is a function of the step.
--
-- What is seen.  A falling rate ends ten times nearer to the truth than a constant one.  In
-- the deep net decay helps, and warm-up with decay is best: 0.96 to 0.97 right.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot, schedule = mare.nn, mare.plot, mare.schedule
local args = lesson.options("20-schedules.lua", "Decay and warm-up of the learning rate.",
  { steps = { 400, "steps of the schedules that are drawn" }, rate = { 0.1, "their highest rate" },
    epochs = 12, seeds = { 4, "beginnings of the deep net" }, peak = { 0.03, "its highest rate" } })
mare.seed(args.seed)

lesson.title "schedules are functions of the step"
local n, rate = args.steps, args.rate
local function values(f)
  local list = {}
  for step = 1, n do list[step] = f(step) end
  return list
end
-- A panel of named schedules: { name, f }, { name, f } ...
local function panel(title, list)
  local curves, labels = {}, {}
  for i, pair in ipairs(list) do curves[i], labels[i] = values(pair[2]), pair[1] end
  for i, y in ipairs(curves) do
    print(("%-20s first %.4f, halfway %.4f, last %.4f"):format(labels[i], y[1], y[n // 2], y[n]))
  end
  return plot.line(curves, { labels = labels, title = title, xlabel = "step", ylabel = "rate" })
end
local warm = schedule.warmup(n // 10, schedule.cosine(rate, n - n // 10))
lesson.picture(plot.grid({
  panel("decay by stairs", { { "step", schedule.step(rate, n // 4, 0.5) },
    { "multistep", schedule.multistep(rate, { n // 2, n * 3 // 4 }) } }),
  panel("smooth decay", { { "exponential", schedule.exponential(rate, 0.01 ^ (1 / n)) },
    { "inverse_time", schedule.inverse_time(rate, 10 / n) },
    { "polynomial", schedule.polynomial(rate, n, 2) }, { "cosine", schedule.cosine(rate, n) } }),
  panel("warm-up", { { "warmup, cosine", warm }, { "one_cycle", schedule.one_cycle(rate, n) },
    { "warmup_stable_decay", schedule.warmup_stable_decay(rate,
      { warmup = n // 10, stable = n // 2, decay = n - n // 10 - n // 2 }) } }),
  panel("waves", { { "cosine_restarts", schedule.cosine_restarts(rate, n // 7 + 1, 2) },
    { "cyclic", schedule.cyclic(rate / 10, rate, n // 8, { mode = "triangular2" }) } }),
}, { columns = 2 }), "20-schedules", { width = 1000, height = 700 })

lesson.title "decay: noisy gradients come to rest"
-- y = w . x + noise, one example for a step: the distance of w from the truth is known.
local dims, examples = 10, 10 * n
local truth = mare.randn({ dims }, "f64")
local x = mare.randn({ examples, dims }, "f64")
local y = x:matmul(truth) + mare.randn({ examples }, "f64")
local function descend(lr)
  local w, path = mare.zeros({ dims }, "f64"):requires_grad(), {}
  local opt = mare.optim.sgd({ w }, { lr = lr })
  for step = 1, examples do
    opt:zero_grad()
    mare.loss.half_mse(x[step]:dot(w), y[step]):backward()
    opt:step()
    if step % 10 == 0 then path[#path + 1] = (w:detach() - truth):norm():item() end
  end
  return path
end
local function ending(path)
  local sum, part = 0, #path // 10
  for i = #path - part + 1, #path do sum = sum + path[i] end
  return sum / part
end
local runs, names = {}, { "constant 0.05", "constant 0.002", "0.05, inverse_time" }
for i, lr in ipairs { 0.05, 0.002, schedule.inverse_time(0.05, 0.02) } do
  runs[i] = descend(lr)
  print(("%-20s distance from the truth after a tenth %.3f, at the end %.3f"):format(names[i],
    runs[i][#runs[i] // 10], ending(runs[i])))
end
print "The large rate is soon near the truth, but stays restless; the falling one comes to rest."

lesson.title "warm-up: a deep net on digits, Adam with a large rate"
-- Adam's first steps move every weight by the whole rate, whatever the gradient's size.
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })
local updates = -(-#train // 32) * args.epochs
local function fit(lr, seed)
  mare.seed(seed)
  local layers = {}
  for i = 1, 6 do
    layers[2 * i - 1] = nn.Linear(64, 64, { init = nn.init.kaiming_normal() })
    layers[2 * i] = nn.ReLU()
  end
  layers[#layers + 1] = nn.Linear(64, 10)
  local model, highest = nn.Sequential(layers), 0
  local history = mare.train.fit(model, { data = train, validation = test, epochs = args.epochs,
    loss = mare.loss.cross_entropy, metrics = { "accuracy" }, progress = false, seed = seed,
    optimizer = mare.optim.adam(model:parameters(), { lr = lr }),
    on_step = function(e) if e.step <= 20 then highest = math.max(highest, e.loss) end end })
  return history, highest
end
local first = updates // 6
local kinds = { { "constant", args.peak }, { "decay", schedule.cosine(args.peak, updates) },
  { "warm-up", schedule.warmup(first, args.peak) },
  { "warm-up and decay",
    schedule.warmup(first, schedule.cosine(args.peak, updates - first)) } }
local curves, labels, reached = {}, {}, 0
print(("means of %d seeds    unseen accuracy   largest loss in the first 20 steps"):format(
  args.seeds))
for i, kind in ipairs(kinds) do
  local accuracy, jump = 0, 0
  for k = 1, args.seeds do
    local history, highest = fit(kind[2], args.seed + k - 1)
    if k == 1 then curves[i] = history:values "validation_loss" end
    accuracy = accuracy + history[#history].validation_accuracy / args.seeds
    jump = jump + highest / args.seeds
  end
  labels[i], reached = kind[1], accuracy
  print(("%-18s  %16.3f   %34.1f"):format(kind[1], accuracy, jump))
end
print "Without warm-up the first steps throw the loss up.  Warm-up prevents that, but alone it ends"
print "at the peak, where the weights stay restless; together with decay it ends best."
lesson.picture(plot.grid({
  plot.line(runs, { labels = names, ylog = true, title = "decay: distance from the truth",
    xlabel = "ten steps", ylabel = "|w - truth|" }),
  plot.line(curves, { labels = labels, title = "a deep net, peak rate " .. args.peak,
    xlabel = "epoch", ylabel = "unseen loss" }),
}, { columns = 2 }), "20-training", { width = 1000, height = 420 })
lesson.key("distance with decay over that without", ending(runs[3]) / ending(runs[1]))
lesson.key("accuracy with warm-up and decay", reached)
