-- 18-batch-size.lua -- one example, a few, or all of them for an update.
-- ids: L4 T9
-- takes: 1 s
-- expect: 0.93 0.99
-- expect: 0.15 0.5
-- expect: 1010 1010
--
-- What is asked.  With N examples and batches of B an epoch has N / B updates.  Small batches
-- make many noisy updates, large ones few good ones.  How long does an update take, how long
-- an epoch, and what is reached in the same number of epochs?
--
-- What is seen.  An update with 32 pictures takes hardly longer than one with a single
-- picture.  In the same number of epochs small batches reach 0.95 to 0.97, all at once 0.7.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("18-batch-size.lua", "Batch sizes compared.", { epochs = 8,
  hidden = 64 })

-- How many updates is an epoch?
local function count(n, size)
  local updates = 0
  for _ in mare.data.dataset(mare.zeros(n, 1), mare.zeros(n)):batches { size = size } do
    updates = updates + 1
  end
  return updates
end
local first, second = count(10000, 10), count(1000, 100)
print(("N = 10,000 with B = 10 is %d updates an epoch; N = 1,000 with B = 100 is %d"):format(first,
  second))
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })

local sizes, accuracy, update, epoch, best = { 1, 8, 32, 128, #train }, {}, {}, {}, 0
print "\n   batch   updates   ms/update   s/epoch   training loss   unseen accuracy"
for i, size in ipairs(sizes) do
  mare.seed(args.seed)
  local model = nn.Sequential { nn.Linear(64, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10) }
  local history = mare.train.fit(model, { data = train, validation = test, batch = size,
    epochs = args.epochs, seed = args.seed, loss = mare.loss.cross_entropy, progress = false,
    metrics = { "accuracy" }, optimizer = mare.optim.sgd(model:parameters(),
      { lr = math.min(0.5, 0.02 * math.sqrt(size)) }) })
  local last, seconds = history[#history], 0
  for _, e in ipairs(history) do seconds = seconds + e.seconds end
  epoch[i] = seconds / #history
  update[i] = seconds / last.steps * 1000
  accuracy[i] = last.validation_accuracy
  best = math.max(best, accuracy[i])
  print(("%8d  %8d   %9.3f   %7.3f   %13.3f   %15.3f"):format(size, last.steps, update[i], epoch[i],
    last.loss, accuracy[i]))
end
print "\nAn update with 32 pictures takes hardly longer than one with a single picture, so that an"
print "epoch is over sooner; but fewer updates in the same number of epochs learn less."
lesson.picture(plot.grid({
  plot.line(sizes, update, { xlog = true, ylog = true, marks = true, title = "time for an update",
    xlabel = "batch", ylabel = "ms" }),
  plot.line(sizes, epoch, { xlog = true, ylog = true, marks = true, title = "time for an epoch",
    xlabel = "batch", ylabel = "s" }),
  plot.line(sizes, accuracy, { xlog = true, marks = true, title = "unseen accuracy",
    xlabel = "batch", ylabel = "accuracy" }),
}, { columns = 3 }), "18-batch-size", { width = 1200, height = 380 })
lesson.key("best unseen accuracy", best)
lesson.key("lead over all examples in an update", best - accuracy[#sizes])
lesson.key("updates of both epochs", first + second)
