-- 15-hidden-neurons.lua -- what 1, 2, 3 and 10 hidden neurons can draw.
-- ids: M16 M5 L2
-- takes: 1 s
-- expect: 0.5 0.72
-- expect: 0.75 0.95
-- expect: 0.99 1
--
-- What is asked.  Points of one class lie inside a ring of the other.  A hidden neuron is a
-- bent line; how many of them does it take to close the ring?
--
-- What is seen.  One neuron gets two of three points right, two get 85 of 100, and three
-- close the ring.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot

local args = lesson.options("15-hidden-neurons.lua", "Decision regions of small networks.",
  { epochs = 150, points = 400, beginnings = { 3, "first weights to try" } })
mare.seed(args.seed)
local x = mare.randn(args.points, 2)
local radius = x:square():sum(2):sqrt()
local y = radius:gt(1.1):to "i64" + 1
-- a gap between the classes, so that they can be told apart
x = x * (1 + 0.25 * (y:to "f32" - 1)):unsqueeze(2)
local data = mare.data.dataset(x, y)

-- The model: `hidden` neurons tanh(w . x + b), and a score for each class from them.
local function train(hidden, seed)
  mare.seed(seed)
  local model = nn.Sequential { nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 2) }
  local history = mare.train.fit(model, { data = data, epochs = args.epochs, batch = 32,
    loss = mare.loss.cross_entropy, seed = seed, progress = false,
    optimizer = mare.optim.adam(model:parameters(), { lr = 0.03 }) })
  return model, history
end

local figures, curves, labels, accuracy = {}, {}, {}, {}
print "hidden   loss     accuracy (the best of a few beginnings)"
for _, hidden in ipairs { 1, 2, 3, 10 } do
  local model, history
  for k = 0, args.beginnings - 1 do
    local m, h = train(hidden, args.seed + k)
    if not history or h[#h].loss < history[#history].loss then model, history = m, h end
  end
  accuracy[hidden] = mare.train.evaluate(model, data, { metrics = { "accuracy" } }).accuracy
  print(("%6d   %.4f   %.3f"):format(hidden, history[#history].loss, accuracy[hidden]))
  figures[#figures + 1] = plot.decision(model, x, y, { title = hidden .. " hidden",
    labels = { "inside", "outside" }, xlabel = "x1", ylabel = "x2" })
  curves[#curves + 1], labels[#labels + 1] = history:values "loss", hidden .. " hidden"
end
print "One neuron draws one line, two draw a strip, three close the ring; more make it rounder."
lesson.picture(plot.grid(figures, { columns = 2 }), "15-hidden", { width = 900, height = 800 })
lesson.picture(plot.line(curves, { labels = labels, title = "training of the four",
  xlabel = "epoch", ylabel = "loss" }), "15-loss")
lesson.key("accuracy with one hidden neuron", accuracy[1])
lesson.key("accuracy with two", accuracy[2])
lesson.key("accuracy with three", accuracy[3])
