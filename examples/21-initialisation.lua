-- 21-initialisation.lua -- how large should the first weights be?
-- ids: M18 L8
-- takes: 2 s
-- expect: 0.8 0.9
--
-- What is asked.  Weights begin as random numbers; all the same would make all units alike.
-- 0.01 x normal is a common choice for a small net.  In a deep one every layer multiplies the
-- values by some factor, and so it does with the gradients on their way back.  A factor below
-- one leaves nothing after ten layers, one above one explodes.
--
-- What is seen.  0.01 x normal learns nothing in ten layers, 0.5 x normal explodes; what
-- keeps the size of the values (Kaiming's, orthogonal) learns.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("21-initialisation.lua", "First weights of a deep network.",
  { depth = { 10, "hidden layers" }, width = { 64, "units of each" }, epochs = 10 })
mare.seed(args.seed)
local init = nn.init

local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })
local scale = mare.data.Standardize():fit(train)
train, test = scale:transform(train), scale:transform(test)

-- depth hidden layers with the same initialiser, biases 0.
local function net(activation, fill)
  mare.seed(args.seed)
  local layers, size = {}, 64
  for _ = 1, args.depth do
    layers[#layers + 1] = nn.Linear(size, args.width, { init = fill })
    layers[#layers + 1] = nn[activation]()
    size = args.width
  end
  layers[#layers + 1] = nn.Linear(size, 10, { init = fill })
  return nn.Sequential(layers)
end

-- The spread of what comes out of each activation, and that of the gradient there.
local function sizes(model)
  local report = mare.inspect(model, train.x, train.y, mare.loss.cross_entropy)
  local values, gradients = {}, {}
  for i = 2, #report - 1, 2 do
    local root = math.sqrt(report[i].z:numel())
    values[#values + 1] = report[i].norms.z / root
    gradients[#gradients + 1] = report[i].norms.dz / root * #train
  end
  return values, gradients
end

-- The losses of the epochs and the accuracy; nothing where the loss is soon not finite.
local function fit(model)
  local ok, history = pcall(mare.train.fit, model, { data = train, validation = test,
    epochs = args.epochs, loss = mare.loss.cross_entropy, metrics = { "accuracy" },
    progress = false, seed = args.seed,
    optimizer = mare.optim.sgd(model:parameters(), { lr = 0.02, momentum = 0.9 }) })
  if not ok then return nil, history:match "the loss is %w+ at step %d+" or error(history, 0) end
  return history:values "loss", history[#history].validation_accuracy
end

-- One activation with several beginnings: a table and three panels.
local function compare(activation, beginnings)
  lesson.title(("%d layers of %d %s"):format(args.depth, args.width, activation))
  print "                 values: layer 1      last   gradients: layer 1    last   unseen accuracy"
  local values, gradients, curves, labels, trained, last = {}, {}, {}, {}, {}, {}
  for i, pair in ipairs(beginnings) do
    local model = net(activation, pair[2])
    values[i], gradients[i] = sizes(model)
    local curve
    curve, last[i] = fit(model)
    labels[i] = pair[1]
    if curve then curves[#curves + 1], trained[#trained + 1] = curve, pair[1] end
    local v, g = values[i], gradients[i]
    print(("%-16s  %14.2g  %8.2g  %19.2g  %6.2g  %16s"):format(pair[1], v[1], v[#v], g[1], g[#g],
      curve and ("%.3f"):format(last[i]) or last[i]))
  end
  local function panel(title, list, names, xlabel, ylabel, ylog)
    return plot.line(list, { labels = names, title = activation .. ": " .. title, marks = ylog,
      xlabel = xlabel, ylabel = ylabel, ylog = ylog })
  end
  return last, { panel("values", values, labels, "layer", "root mean square", true),
    panel("gradients", gradients, labels, "layer", "root mean square", true),
    panel("training", curves, trained, "epoch", "loss", false) }
end

local small, large = { "0.01 x normal", init.normal(0.01) }, { "0.5 x normal", init.normal(0.5) }
local relu, first = compare("ReLU", { small, { "Xavier", init.xavier_normal() },
  { "Kaiming", init.kaiming_normal() }, { "orthogonal", init.orthogonal(2 ^ 0.5) }, large })
local _, second = compare("Tanh", { small, { "Xavier", init.xavier_normal() },
  { "Kaiming", init.kaiming_normal() }, { "orthogonal", init.orthogonal() }, large })
print "\nEach ReLU throws half of its input away: Kaiming's factor sqrt 2 makes up for it, Xavier's"
print "1 does not.  An orthogonal matrix keeps the length of every vector, not only on average."
print "0.01 x normal leaves nothing of the values and the gradients: that net learns nothing."

local figures = {}
for _, list in ipairs { first, second } do
  for _, fig in ipairs(list) do figures[#figures + 1] = fig end
end
lesson.picture(plot.grid(figures, { columns = 3 }), "21-initialisation",
  { width = 1300, height = 800 })
lesson.key("lead of Kaiming over 0.01 x normal in unseen accuracy", relu[3] - relu[1])
