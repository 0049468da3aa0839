-- 15-hidden-neurons.lua -- what 1, 2, 3 and 10 hidden neurons can draw.
-- ids: M16 M5 L2
-- expect: 0.97 1
--
-- What is asked.  Points of one class lie inside a ring of the other.  A hidden neuron is a
-- bent line; how many of them does it take to close the ring?

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot

local args = lesson.options("15-hidden-neurons.lua", "Decision regions of small networks.",
  { epochs = 150, points = 400 })
mare.seed(args.seed)
local x = mare.randn(args.points, 2)
local radius = x:square():sum(2):sqrt()
local y = radius:gt(1.1):to "i64" + 1
-- a gap between the classes, so that they can be told apart
x = x * (1 + 0.25 * (y:to "f32" - 1)):unsqueeze(2)
local data = mare.data.dataset(x, y)

local figures, last = {}, nil
for _, hidden in ipairs { 1, 2, 3, 10 } do
  mare.seed(args.seed)
  local model = nn.Sequential { nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 2) }
  local history = mare.train.fit(model, { data = data, epochs = args.epochs, batch = 32,
    loss = mare.loss.cross_entropy, seed = args.seed, progress = false,
    optimizer = mare.optim.adam(model:parameters(), { lr = 0.03 }) })
  last = mare.train.evaluate(model, data, { metrics = { "accuracy" } }).accuracy
  print(("%2d hidden: loss %.4f, accuracy %.3f"):format(hidden, history[#history].loss, last))
  figures[#figures + 1] = plot.decision(model, x, y, { title = hidden .. " hidden",
    labels = { "inside", "outside" } })
end
lesson.picture(plot.grid(figures, { columns = 2 }), "15-hidden", { width = 900, height = 800 })
lesson.key("accuracy with ten hidden neurons", last)
