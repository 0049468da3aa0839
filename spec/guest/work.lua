-- work.lua -- a little of everything, for manners_spec.lua and its host: trains, factorises,
-- groups, sorts, reads and writes.  Returns what came out, bit for bit, as a string.

local mare = require "mare"
local nn = mare.nn

mare.seed(7)
local digest = {}
local function add(t)
  local bits = string.unpack("i8", string.pack("d", t:to("f64"):sum():item()))
  digest[#digest + 1] = ("%016x"):format(bits)
end

local x, y = mare.randn(256, 40), mare.randint(1, 10, 256)
local model = nn.Sequential { nn.Linear(40, 100), nn.ReLU(), nn.Dropout(0.1), nn.Linear(100, 10) }
local opt = mare.optim.adam(model:parameters(), { lr = 0.01 })
for _ = 1, 5 do
  local step <close> = mare.scope() -- luacheck: ignore
  opt:zero_grad()
  mare.loss.cross_entropy(model(x), y):backward()
  opt:step()
end
for _, p in ipairs(model:parameters()) do add(p:detach()) end

local z = mare.randn(120, 120)
add(z:matmul(z:t()):softmax(2))
add(z:sort(2))
add(mare.randperm(70000):narrow(1, 1, 100))
local spd = z:matmul(z:t()) + 120 * mare.eye(120)
add(mare.linalg.cholesky(spd))
add(mare.linalg.eigvalsh(spd))
add(mare.models.KMeans { k = 3, steps = 5, restarts = 1, seed = 1 }:fit(x).centers)
add(mare.models.LogisticRegression { max_steps = 5 }:fit(x, y:gt(5):to "i64"):predict_proba(x))

local csv = mare.data.csv { string = "a,b\n1.5,2\n-0.25,1e3\n" }
add(csv:tensor { "a", "b" })
local saved = mare.save(nil, { w = z }, { note = "0.5" })
add(mare.load { string = saved }.w)
add(mare.data.npy { string = mare.data.save_npy(nil, z) })
-- also where the host reads subnormals as 0: those of f16 are none in f32
local halves = '{"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}'
local h = mare.load { string = ("<s8I2I2I2"):pack(halves, 1, 0x83ff, 0x3c00) }.h:totable()
assert(h[1] == 0x1p-24 and h[2] == -1023 * 0x1p-24 and h[3] == 1, "halves")
digest[#digest + 1] = tostring(pcall(mare.matmul, z, x))
return table.concat(digest, " ")
