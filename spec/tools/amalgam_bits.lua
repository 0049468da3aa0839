-- amalgam_bits.lua -- prints a digest of what the engine computes: operations of every kind over
-- rows of many lengths, and two training runs.  Two builds of the same sources agree.

local mare = require "mare"
local nn = mare.nn
local sum = 0

local function add(t)
  local bytes = t:contiguous():tobytes()
  for i = 1, #bytes do sum = (sum * 31 + bytes:byte(i)) & 0xffffffffffff end
end

mare.seed(1)
for _, dtype in ipairs { "f32", "f64" } do
  for _, row in ipairs(require "mare.core".functions.rows()) do
    for _, n in ipairs { 3, 67 } do
      local args = {}
      for i = 1, #row.args do
        args[i] = mare.rand({ n }, dtype):mul_(row.hi - row.lo):add_(row.lo)
        if row.args[i] == "mask" or row.kind == "logical" then args[i] = args[i]:gt(0) end
      end
      local ok, y = pcall(row.call, table.unpack(args))
      if ok and mare.is_tensor(y) then add(y) end
    end
  end
  local x = mare.randn({ 70, 90 }, dtype)
  for _, name in ipairs { "sum", "mean", "var", "logsumexp", "norm", "prod", "softmax", "cumsum" } do
    add(x[name](x, 2))
  end
  add(x:matmul(x:t()))
  add((x:sort(2)))
  add(mare.randn({ 5, 3, 20, 20 }, dtype))
end

local function train(model, x, y)
  local opt = mare.optim.adam(model:parameters(), { lr = 0.01 })
  for _ = 1, 20 do
    local _ <close> = mare.scope()
    local loss = mare.loss.cross_entropy(model(x), y)
    opt:zero_grad()
    loss:backward()
    opt:step()
  end
  for _, p in ipairs(model:parameters()) do add(p) end
end

train(nn.Sequential { nn.Linear(64, 100), nn.GELU(), nn.Dropout(0.1), nn.Linear(100, 10) }, mare.randn(128, 64),
  mare.randint(1, 10, 128))
train(nn.Sequential { nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool(2), nn.Flatten(), nn.Linear(36, 3) },
  mare.randn(32, 1, 8, 8), mare.randint(1, 3, 32))
print(("%012x"):format(sum))
