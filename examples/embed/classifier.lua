-- classifier.lua -- what host.c runs: it gives back two functions, of which one learns from
-- the host's rows and the other names the class of a row.  Rows come as the bytes of float
-- arrays, labels as those of int64_t, from 1 on.

local mare = require "mare"
local nn = mare.nn

mare.seed(1)
local model, width

local function train(rows, labels, columns)
  width = columns
  local x = mare.frombytes(rows, "f32", { #rows // (4 * width), width })
  local y = mare.frombytes(labels, "i64", { #labels // 8 })
  model = nn.Sequential { nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, y:max():item()) }
  mare.train.fit(model, { data = mare.data.dataset(x, y), loss = mare.loss.cross_entropy,
    optimizer = mare.optim.adam(model:parameters(), { lr = 0.01 }),
    epochs = 30, batch = 32, progress = false })
  model:eval()
end

local function classify(row)
  local _ <close> = mare.scope()
  return mare.no_grad(function()
    return model(mare.frombytes(row, "f32", { 1, width })):argmax(2):item()
  end)
end

return train, classify
