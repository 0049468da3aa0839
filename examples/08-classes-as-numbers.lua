-- 08-classes-as-numbers.lua -- why a class is not a number to be predicted.
-- ids: M8 M12 L1
-- takes: 1 s
-- expect: 0.1 0.3
-- expect: 0.94 1
-- expect: 0.06 0.2
--
-- What is asked.  Things have two measurements and a class.  Could one call the first class 1 and
-- the second -1, fit a line as for prices, and look at the sign?  Sometimes.  But square error
-- also punishes answers that are "too right": a point at 5 on the side of 1 is 4 off, and the
-- boundary moves towards it.  What is meant is another loss: count the wrong signs.  That loss is
-- ideal and useless for descent, because it is flat nearly everywhere.  Losses that can be
-- descended on and leave points in peace that are right are the way out (lesson 11).
--
-- What is seen.  Easy points far away cost the regression a tenth of its answers and logistic
-- regression none; three classes as numbers lose a fifth against a score for each.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local models, plot = mare.models, mare.plot
local args = lesson.options("08-classes-as-numbers.lua", "Classification as regression.",
  { points = { 100, "points of each class" }, far = { 100, "points far on the right side" } })
mare.seed(args.seed)

local function cloud(n, x, y, spread)
  return mare.randn({ n, 2 }, "f64") * spread + mare.tensor({ x, y }, "f64")
end
-- Rows and classes of clouds { n, x, y, spread, class }.
local function clouds(list)
  local rows, classes = {}, {}
  for i, c in ipairs(list) do
    rows[i] = cloud(c[1], c[2], c[3], c[4])
    classes[i] = mare.full({ c[1] }, c[5], "i64")
  end
  return mare.cat(rows, 1), mare.cat(classes, 1)
end

-- The regression: targets -1 for class 1 and 1 for class 2; the sign decides.
local function regression(x, y)
  local m = models.LinearRegression():fit(x, y:to "f64" * 2 - 3)
  return function(points) return m:predict(points):gt(0):to "i64" + 1 end
end
local function accuracy(decide, x, y) return decide(x):eq(y):to("f64"):mean():item() end
local function logistic(x, y)
  local m = models.LogisticRegression():fit(x, y)
  return function(points) return m:predict(points) end
end

lesson.title "two classes, and then some points that are easy"
local n = args.points
local x, y = clouds { { n, -1, -1, 0.8, 1 }, { n, 1, 1, 0.8, 2 } }
local more_x, more_y = clouds { { args.far, 9, 6, 0.8, 2 } }
local far_x, far_y = mare.cat({ x, more_x }, 1), mare.cat({ y, more_y }, 1)
print "                        fitted without far points   with them"
local lost
for _, row in ipairs { { "logistic regression", logistic },
  { "regression on -1, 1", regression } } do
  local without, with = accuracy(row[2](x, y), x, y), accuracy(row[2](far_x, far_y), x, y)
  print(("%-22s  %25.3f   %9.3f"):format(row[1], without, with))
  lost = without - with
end
print "(the part of the near points that is right; the far ones lie where both models are right"
print "anyway, and yet they turn the boundary of the regression)"

lesson.title "the ideal loss"
-- the part of the signs that are wrong, as a function of the model's numbers
local signs = y:to "f64" * 2 - 3
local function wrong(w) return (x:matmul(w) * signs):le(0):to("f64"):mean() end
local w = mare.tensor({ 1, -0.3 }, "f64")
local slope = mare.grad(function(v) return (1 - (x:matmul(v) * signs):step()):mean() end)(w)
print(("w = (1, -0.3): %.3f of the signs are wrong; the gradient of this loss is (%g, %g)"):format(
  wrong(w):item(), slope[1]:item(), slope[2]:item()))
local better, least = mare.optim.minimize(wrong, w, { method = "grid", points = 41,
  bounds = { { -1, -1 }, { 1, 1 } } })
print(("brute force finds (%.2f, %.2f) with %.3f wrong; descent would not have moved"):format(
  better[1]:item(), better[2]:item(), least))

lesson.title "three classes as 1, 2, 3"
-- Numbers say that class 2 lies between 1 and 3, and that 3 is further from 1 than from 2.
local x3, y3 = clouds { { n, -2, 0, 0.7, 1 }, { n, 0, 2.5, 0.7, 2 }, { n, 2, 0, 0.7, 3 } }
local order = mare.tensor({ 2, 1, 3 }, "i64") -- which class got which number
local numbers = order:index_select(1, y3)
local m3 = models.LinearRegression():fit(x3, numbers:to "f64")
local function rounded(points) return m3:predict(points):round():clamp(1, 3):to "i64" end
local soft = models.SoftmaxRegression():fit(x3, numbers)
local by_numbers, by_softmax = accuracy(rounded, x3, numbers), soft:score(x3, numbers)
print(("rounding a predicted number gets %.3f right, a score for each class (softmax) %.3f"):format(
  by_numbers, by_softmax))

local names, axes = { "class 1", "class 2", "class 3" }, { "first", "second" }
local function regions(title, decide, px, py)
  return plot.decision(decide, px, py, { title = title, labels = names, xlabel = axes[1],
    ylabel = axes[2] })
end
local z = mare.linspace(-3, 5, 401, "f64")
lesson.picture(plot.grid({
  regions("regression", regression(far_x, far_y), far_x, far_y),
  regions("logistic regression", logistic(far_x, far_y), far_x, far_y),
  plot.line(z, { z:le(0):to "f64", (z - 1):square(), (1 - z):relu(), (-z):softplus() }, {
    labels = { "wrong or right", "square error", "hinge", "cross-entropy" }, ylim = { 0, 4 },
    title = "losses", xlabel = "answer, where 1 is right", ylabel = "loss" }),
  regions("1, 2, 3 as numbers", rounded, x3, numbers),
  regions("a score for each", function(p) return soft:predict(p) end, x3, numbers),
}, { columns = 3 }), "08-classes-as-numbers", { width = 1300, height = 800 })
lesson.key("lead of softmax over numbers for three classes", by_softmax - by_numbers)
lesson.key("accuracy of softmax", by_softmax)
lesson.key("accuracy that far points take from the regression", lost)
