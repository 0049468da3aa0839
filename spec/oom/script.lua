-- script.lua -- a little of everything that allocates, for host.c.

local mare = require "mare"
local nn, optim, loss = mare.nn, mare.optim, mare.loss
local function use() end

mare.seed(1)

-- tensors, views, operations
local a, b = mare.randn(4, 4, "f64"), mare.tensor({ { 1, 2, 3, 4 } }, "f64")
local c = (a + b) * 2 - a / 3
c = c:t():reshape(2, 8):contiguous()
c[{ {}, 1 }] = 0
c["1:2, 2"]:fill_(1)
assert(c[{ 1, 2 }]:item() == 1)
use(a:matmul(a), a:sum(1), a:argmax(), a:softmax(2), a:sort(1), a:topk(2, 1), a:cumsum(1))
use(mare.cat({ a, a }, 1):index_select(1, mare.tensor({ 1, 8 }, "i64")))
use(a[a:gt(0)], tostring(a), a:totable(), a:to "f32", a:clone())

-- the tape, and derivatives of a higher order
local w = mare.randn(4, 4, "f64"):requires_grad()
local y = ((w:matmul(w) + b):tanh() * w:exp()):sum()
local off = w:on_gradient(function(t) use(t.grad * 2) end)
y:backward { retain = true }
y:backward()
off()
w.grad = nil
local first = mare.grad(function(z) return (z * z * z):sum() end)
mare.grad(function(x) return first(x):sum() end)(b)

-- forwards, and both ways
local function cubes(x)
  local s <close> = mare.scope()
  return s:keep((x * x * x):tanh() + x:matmul(x))
end
mare.jvp(function(x) return (mare.jvp(cubes, x, a)) end, a, a)
mare.hessian(function(x) return (x * x):sum() ^ 2 end, b)
mare.critical_point(function(x) return x[1] * x[2] end, mare.zeros({ 2 }, "f64"))
for _, method in ipairs { "lbfgs", "nelder_mead" } do
  optim.minimize(function(x) return (x - 1) ^ 2 end, 3, { method = method, steps = 2 })
end

-- linear algebra
local la = mare.linalg
local spd = a:matmul(a:t()) + mare.eye(4, "f64")
use(la.svd(spd), la.qr(spd), la.eigvalsh(spd), la.lstsq(spd, b:t()), la.norm(spd, "nuc"))
local tracked = spd:detach():requires_grad()
local _, vectors = la.eigh(tracked)
local l = la.cholesky(tracked)
local solved = la.solve_triangular(l, la.solve(tracked, b:t()))
;(solved:sum() + la.det(la.inv(tracked)) + vectors[1]:sum()):backward()
assert(not pcall(la.inv, mare.zeros(2, 2)))

-- estimators that group rows
local rows = mare.randn(12, 3)
use(mare.models.KMeans { k = 2, restarts = 2 }:fit(rows):transform(rows))
use(mare.models.KMeans { k = 2, batch = 4, steps = 2 }:fit(rows):predict(rows))
use(mare.models.PCA { components = 2, solver = "randomised", oversample = 1 }:fit(rows):score(rows))
use(mare.models.PCA():fit(rows):transform(rows))
use(mare.models.GaussianMixture { k = 2, steps = 2 }:fit(rows):sample(3))
use(mare.models.KNN { k = 2, metric = "cosine" }:fit(rows, mare.arange(1, 12, "i64")):predict(rows))
for _, m in ipairs { mare.models.LogisticRegression { max_steps = 2 },
  mare.models.SoftmaxRegression { solver = "adam", lr = 0.1, epochs = 1, batch = 5 },
  mare.models.LinearSVM { loss = "hinge", max_steps = 2 }, mare.models.Perceptron { epochs = 1 } } do
  use(m:fit(rows, { 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2 }):predict(rows))
end

-- a user's error in the middle
local ok = pcall(function()
  local s <close> = mare.scope()
  use(a + b, a:matmul(mare.ones(3, 3, "f64")))
  return s
end)
assert(not ok)

-- a model, two optimizers, a loss; saved and loaded
local model = nn.Sequential { nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3) }
local x, labels = mare.randn(6, 4), mare.tensor({ 1, 2, 3, 1, 2, 3 }, "i64")
for _, name in ipairs { "sgd", "adam", "lamb", "adafactor", "muon" } do
  local opt = optim[name](model:parameters(), { lr = 0.01 })
  for _ = 1, 2 do
    local step <close> = mare.scope()
    opt:zero_grad()
    loss.cross_entropy(model(x), labels):backward()
    opt:step()
    step:keep(x)
  end
end
local path = os.tmpname()
local saved, message = pcall(function()
  model:save(path)
  nn.load(model, path)
end)
os.remove(path)
if not saved then error(message, 0) end

-- batches
local data = mare.data.dataset(x, labels)
for xb in data:batches { size = 4, shuffle = true, seed = 1 } do model(xb) end
for xb in data:batches { size = 1, prefetch = 2 } do model(xb) end
local ahead = data:batches { size = 1, prefetch = 3 } -- still open when the state is closed
ahead()

-- scopes that are still open when the state is closed
local forgotten = mare.scope()
use(mare.zeros(2), forgotten)
coroutine.wrap(function()
  local s <close> = mare.scope()
  use(mare.zeros(3), s)
  coroutine.yield()
end)()

-- frames, preprocessing, chance in batches, metrics over batches
local f = mare.data.frame { { "c", { "x", false, "y", "x" } }, { "v", { 1, 2, false, 4 } }, { "t", { 4, 3, 2, 1 } } }
use(tostring(f), tostring(f:describe()), f:csv(), f:fillna("mean"):sort({ "c", "v" }))
use(f:group("c"):mean(), f:join(f:select { "c" }, "c"), f:concat(f), f:split(2, { stratify = "t" }))
local ready = mare.data.OneHot({ missing = true }):fit_transform(f:fillna "median")
ready = mare.data.Standardize():fit_transform(ready:dataset(nil, "t", { labels = true }))
use(mare.data.PCAWhiten { components = 1 }:fit_transform(ready), mare.data.polynomial(ready, 2), mare.data.lags(f.t, 2))
local stream = mare.metrics.stream { "accuracy", "r2", "roc_auc" }
ready = ready:weighted "balanced":augment { noise = 0.1 }
for _, target in ready:batches { size = 2, seed = 1 } do
  stream:update(target:gt(2), target:gt(2))
end

-- readers: tables of text, the second pass too; NumPy's files, LIBSVM, mapped tensors
local csv = require "mare.data.csv"
use(csv.read { string = "a,b,c\n1,2.5,x\n-2,,\"y \"\"z\"\"\"\n3,1e400,\n" })
use(csv.read({ string = "a\n1\nx\n" }, { types = { a = "f64" } }))
local npz = mare.data.save_npz(nil, { a = mare.ones(2, 3), b = mare.ones({ 2 }, "u8") })
use(mare.data.npz { string = npz }, mare.data.npz { string = npz:sub(1, 60) .. "x" .. npz:sub(62) })
use(mare.data.npy { string = mare.data.save_npy(nil, mare.ones(2)) })
use(mare.data.libsvm { string = "1 1:2 4:1.5\n-1 2:1\n" }, mare.data.jsonl { string = '{"a":1}' })
path = os.tmpname()
saved, message = pcall(function()
  mare.save(path, { w = mare.ones(20000), b = mare.ones(2) })
  local mapped = mare.load(path, { mmap = true }) -- nil when a child has removed it
  use(mapped and mapped.w + 1)
end)
os.remove(path)
if not saved then error(message, 0) end
