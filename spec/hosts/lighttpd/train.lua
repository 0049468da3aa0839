-- train.lua PATH -- trains 64-128-10 on the shipped digits and saves it.

local mare = require "mare"
local nn = mare.nn

mare.seed(1)
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = 1 })
local model = nn.Sequential { nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10) }
mare.train.fit(model, { data = train, loss = mare.loss.cross_entropy, epochs = 20, batch = 32,
  optimizer = mare.optim.adam(model:parameters(), { lr = 0.002 }), progress = false })
local accuracy = mare.metrics.accuracy(
  mare.no_grad(function() return model:eval()(test.x) end), test.y)
print(("64-128-10 trained: test accuracy %.3f"):format(accuracy))
assert(model:save(arg[1]))
