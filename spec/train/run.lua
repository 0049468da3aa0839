-- run.lua -- the run that train_spec.lua stops, kills and resumes: dropout, momentum, a rate
-- that falls, early stop.  run.lua CHECKPOINT WEIGHTS [epochs [pause]]

local mare = require "mare"
local nn, train = mare.nn, mare.train

local path, weights, epochs, pause = arg[1], arg[2], tonumber(arg[3] or 6), tonumber(arg[4] or 0)

mare.seed(11)
local digits = mare.data.digits()
local learn, watch = digits:split(0.8, { stratify = true, seed = 1 })
local model = nn.Sequential { nn.Linear(64, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 10) }
local optimizer = mare.optim.adam(model:parameters())
local history = train.fit(model, {
  data = learn, validation = watch, loss = mare.loss.cross_entropy, optimizer = optimizer,
  schedule = mare.schedule.exponential(0.01, 0.999), epochs = epochs, batch = 48, seed = 7,
  metrics = { "accuracy" }, early_stop = { patience = 50, monitor = "validation_accuracy" },
  checkpoint = { path = path, steps = 5 }, resume = true, progress = false,
  on_step = function()
    if pause == 0 then return end
    local till = mare.clock() + pause
    while mare.clock() < till do end
  end,
})
if history.stopped == "epochs" then assert(model:save(weights)) end
print(history.stopped, #history)
