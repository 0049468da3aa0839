-- 05-houses.lua -- what is a house worth?  A line through many features at once.
-- ids: M1 L1 L4 T7 A7
-- takes: 1 s
-- expect: 0.96 1.08
--
-- What is asked.  Houses were sold; of each the living area, bedrooms, bathrooms, age and the
-- way to town are known, and the price.  What would another house cost?
--
-- The model.  y = <w, x> + b: a weight for each feature, and a constant.  It is a network with
-- one layer.  The loss is 1/2n sum (y - <w, x> - b)^2, a bowl with one lowest place, so that
-- there is a formula for it; descent gets there, too, and still works where no formula does.
--
-- The data are made: price = 40 + 1.5 area + 12 bedrooms + 18 bathrooms - 0.8 age - 2 way, in
-- thousands, plus noise of spread 25.  The bathrooms follow the bedrooms, these the area.
--
-- What is seen.  The formula finds the weights that were put in.  Descent comes close once
-- the columns are of one size, and in batches with few passes; what is left is the noise.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local plot, loss, linalg = mare.plot, mare.loss, mare.linalg
local args = lesson.options("05-houses.lua", "Linear regression with several features.",
  { rows = 500, noise = 25.0, epochs = 60, batch = 20, eta = 0.1 })
mare.seed(args.seed)

local names = { "area", "bedrooms", "bathrooms", "age", "way" }
local truth, constant = mare.tensor({ 1.5, 12, 18, -0.8, -2 }, "f64"), 40
local function draw(n)
  local function uniform(lo, hi) return mare.rand({ n }, "f64") * (hi - lo) + lo end
  local area = uniform(40, 240)
  local bedrooms = (area / 45 + uniform(-1, 1)):round():clamp(1, 6)
  local bathrooms = (bedrooms / 2 + uniform(-0.5, 0.8)):round():clamp(1, 3)
  local x = mare.stack({ area, bedrooms, bathrooms, uniform(0, 80), uniform(1, 30) }, 2)
  return x, x:matmul(truth) + constant + mare.randn({ n }, "f64") * args.noise
end
local x, y = draw(args.rows)
local unseen_x, unseen_y = draw(1000)

lesson.title "the formula"
-- A column of ones takes b into w.  Where the gradient is 0, X' X w = X' y.
local function with_ones(t) return mare.cat({ t, mare.ones({ #t, 1 }, "f64") }, 2) end
local X = with_ones(x)
local best = linalg.solve(X:t():matmul(X), X:t():matmul(y))
local function half_mse(w) return loss.half_mse(X:matmul(w), y):item() end
print "           put in   found"
for i, name in ipairs(names) do
  print(("%-10s %6.1f  %6.2f"):format(name, truth[i]:item(), best[i]:item()))
end
print(("constant   %6.1f  %6.2f;  loss %.1f (the noise alone: about %.1f)"):format(constant,
  best[6]:item(), half_mse(best), args.noise ^ 2 / 2))
local model = mare.models.LinearRegression():fit(x, y)
print(("mare.models.LinearRegression differs by %.1e"):format(
  (model:predict(x) - X:matmul(best)):abs():max():item()))

lesson.title "descent"
-- Areas are a hundred times larger than numbers of bathrooms: the bowl is a narrow gorge.
local function curvatures(t)
  local e = linalg.eigh(t:t():matmul(t) / #t)
  return e:max():item() / e:min():item()
end
local scale = mare.data.Standardize()
local Z = with_ones(scale:fit_transform(x))
print(("steepest over flattest direction of the bowl: %.0f; with standardised columns %.0f"):format(
  curvatures(X), curvatures(Z)))

-- Every epoch sees all houses once, `batch` of them for an update.
local function descend(inputs, batch, eta)
  local w = mare.zeros({ 6 }, "f64"):requires_grad()
  local opt, path = mare.optim.sgd({ w }, { lr = eta }), {}
  local data, updates = mare.data.dataset(inputs, y), 0
  for epoch = 1, args.epochs do
    for xb, yb in data:batches { size = batch, shuffle = true, seed = args.seed, epoch = epoch } do
      opt:zero_grad()
      loss.half_mse(xb:matmul(w), yb):backward()
      opt:step()
      updates = updates + 1
    end
    path[epoch] = loss.half_mse(inputs:matmul(w:detach()), y):item()
  end
  return w:detach(), path, updates
end
local runs, labels = {}, { "raw columns", "standardised", "in batches" }
local found
for i, run in ipairs { { X, args.rows, 5e-5 }, { Z, args.rows, args.eta },
  { Z, args.batch, args.eta / 2 } } do
  local w, path, updates = descend(run[1], run[2], run[3])
  runs[i] = path
  if i == 3 then found = w end
  print(("%-13s %5d updates of %3d houses: loss %8.1f"):format(labels[i], updates, run[2],
    path[#path]))
end
print "With a larger rate the raw columns throw descent out of the gorge; with this one it crawls."

lesson.title "unseen houses"
local function error_of(guess) return (guess - unseen_y):square():mean():sqrt():item() end
local guess = with_ones(scale:transform(unseen_x)):matmul(found)
local formula = error_of(with_ones(unseen_x):matmul(best))
print(("error of a price (root mean square): the mean price %.1f, the formula %.1f, batches %.1f")
  :format(error_of(mare.full({ 1000 }, y:mean():item(), "f64")), formula, error_of(guess)))

lesson.picture(plot.grid({
  plot.line(runs, { labels = labels, ylog = true, title = "three descents", xlabel = "epoch",
    ylabel = "loss 1/2n sum (y - <w, x> - b)^2" }),
  plot.scatter(unseen_y, guess, { title = "unseen houses", xlabel = "price in thousands",
    ylabel = "predicted price" }),
}, { columns = 2 }), "05-houses", { width = 1000, height = 420 })
lesson.key("unseen error of the batches over the noise", error_of(guess) / args.noise)
