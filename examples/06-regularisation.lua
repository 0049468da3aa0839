-- 06-regularisation.lua -- smooth curves lose less on what they have not seen.
-- ids: M4 L3 M3 M17
-- takes: 1 s
-- expect: 0 0.8
-- expect: 0.9 1
--
-- What is asked.  A polynomial of degree 12 through 30 noisy points swings wildly.  Adding
-- lambda |w|^2 to the loss makes large weights costly and the curve smooth.  How much of it
-- is right?  Features for conditions ("is it summer?") are another way to help a line.
--
-- What is seen.  Without a penalty the curve is far off between the points; with too much of
-- it, everywhere.  A line for each group explains 98 % where one line explains a third.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local models, plot = mare.models, mare.plot
local args = lesson.options("06-regularisation.lua", "Penalties on weights, and conditions.",
  { points = 30, degree = 12, noise = 0.25 })
mare.seed(args.seed)

local function truth(x) return (x * 2.5):sin() + x * 0.3 end
local function powers(x)
  local columns = {}
  for d = 1, args.degree do columns[d] = x ^ d end
  return mare.stack(columns, 2)
end
local function draw(n)
  local x = mare.rand({ n }, "f64") * 2 - 1
  return x, truth(x) + mare.randn({ n }, "f64") * args.noise
end
local x, y = draw(args.points)
local unseen_x, unseen_y = draw(2000)
local function mse(m, a, b) return (m:predict(powers(a)) - b):square():mean():item() end

lesson.title "a sweep of lambda"
local lambdas, train, test, best = { 1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100 }, {}, {}, 1
print "    lambda   training   unseen"
for i, lambda in ipairs(lambdas) do
  local m = models.Ridge { lambda = lambda }:fit(powers(x), y)
  train[i], test[i] = mse(m, x, y), mse(m, unseen_x, unseen_y)
  if test[i] < test[best] then best = i end
  print(("%10g   %.4f     %.4f"):format(lambda, train[i], test[i]))
end
print(("best on unseen points: lambda = %g"):format(lambdas[best]))

local at = mare.linspace(-1, 1, 200, "f64")
local curves, labels = { truth(at) }, { "truth" }
for _, lambda in ipairs { 1e-9, lambdas[best], 100 } do
  curves[#curves + 1] = models.Ridge { lambda = lambda }:fit(powers(x), y):predict(powers(at))
  labels[#labels + 1] = ("lambda %g"):format(lambda)
end

lesson.title "the penalty with corners leaves features out"
local lasso = models.Lasso { lambda = 0.01 }:fit(powers(x), y)
local kept = {}
for d, w in ipairs(lasso.weight:reshape(-1):totable()) do
  if w ~= 0 then kept[#kept + 1] = ("x^%d"):format(d) end
end
print(("of %d powers the L1 penalty keeps %d: %s"):format(args.degree, #kept,
  table.concat(kept, ", ")))

lesson.title "conditions: one line for each group"
-- y = b_g + w_g x: columns that are 1 or x in their group and 0 elsewhere.
local n, groups = 300, 3
local g = mare.randint(1, groups, n, "i64")
local u = mare.rand({ n }, "f64") * 4
local slopes, offsets = mare.tensor({ 1, -0.5, 2 }, "f64"), mare.tensor({ 0, 3, -1 }, "f64")
local v = offsets:index_select(1, g) + slopes:index_select(1, g) * u
  + mare.randn({ n }, "f64") * 0.2
local indicator = mare.onehot(g, groups):to "f64"
local conditions = mare.cat({ indicator, indicator * u:unsqueeze(2) }, 2)
local one = models.LinearRegression():fit(u:unsqueeze(2), v)
local each = models.LinearRegression { intercept = false }:fit(conditions, v)
print(("one line for all: R2 %.3f; a line for each group: R2 %.3f"):format(
  one:score(u:unsqueeze(2), v), each:score(conditions, v)))

lesson.picture(plot.grid({
  plot.line(at, curves, { labels = labels, title = "degree " .. args.degree, ylim = { -2, 2 },
    xlabel = "x", ylabel = "y" }),
  plot.line(lambdas, { train, test }, { labels = { "training", "unseen" }, xlog = true,
    ylog = true, marks = true, title = "loss against lambda", xlabel = "lambda",
    ylabel = "mean square error" }),
  plot.scatter(mare.cat({ u, u }, 1), mare.cat({ v, each:predict(conditions) }, 1), {
    classes = mare.cat({ g, g + groups }, 1), title = "a line for each group", xlabel = "u",
    ylabel = "v", labels = { "group 1", "group 2", "group 3", "line 1", "line 2", "line 3" } }),
}, { columns = 3 }), "06-regularisation", { width = 1400, height = 420 })
lesson.key("unseen loss at the best lambda over that without", test[best] / test[1])
lesson.key("R2 of a line for each group", each:score(conditions, v))
