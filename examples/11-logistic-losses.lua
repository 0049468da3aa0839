-- 11-logistic-losses.lua -- why logistic regression is not trained by square error.
-- ids: M12 M8 L1
-- expect: 50 1e6
--
-- What is asked.  sigmoid(w . x + b) is to be 1 or 0.  Square error looks natural.  But far
-- from the target the sigmoid is flat, and square error's gradient carries its slope: it
-- vanishes where it is needed most.  Cross-entropy's gradient is the error itself.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, loss, plot = mare.nn, mare.loss, mare.plot
local args = lesson.options("11-logistic-losses.lua", "Cross-entropy against square error.",
  { points = 200, steps = 150 })
mare.seed(args.seed)

local half = args.points // 2
local x = mare.cat({ mare.randn(half, 2) - 1, mare.randn(half, 2) + 1 }, 1):to "f64"
local t = mare.cat({ mare.zeros({ half, 1 }, "f64"), mare.ones({ half, 1 }, "f64") }, 1)

lesson.title "the gradient at a point that is far off"
-- one point with target 1, and the output z = w . x + b
local z = mare.linspace(-10, 10, 200, "f64")
local square = mare.grad(function(v) return ((v:sigmoid() - 1) ^ 2):sum() end)(z)
local entropy = mare.grad(function(v) return (-v:log_sigmoid()):sum() end)(z)
print(("z = -10, target 1: the gradient is %.5f by square error, %.5f by cross-entropy"):format(
  square[1]:item(), entropy[1]:item()))

lesson.title "two descents from the same bad start"
local function train(name, criterion)
  local model = nn.Linear(2, 1, { dtype = "f64" })
  mare.no_grad(function()
    model.weight:fill_(-4)
    model.bias:fill_(-6)
  end)
  local opt, path = mare.optim.sgd(model:parameters(), { lr = 0.5 }), {}
  for step = 1, args.steps do
    path[step] = loss.bce_logits(model(x), t):item()
    opt:zero_grad()
    criterion(model(x)):backward()
    opt:step()
  end
  local right = model(x):gt(0):eq(t:gt(0.5)):to("f64"):mean():item()
  print(("%-14s after %d steps: accuracy %.3f"):format(name, args.steps, right))
  return path, model
end
local a = train("cross-entropy", function(v) return loss.bce_logits(v, t) end)
local b = train("square error", function(v) return loss.mse(v:sigmoid(), t) end)

lesson.title "classification as regression"
-- A line through the targets -1 and 1 is pulled aside by points that are "too right".
local far = mare.cat({ x, mare.randn({ half, 2 }, "f64") * 0.5 + 12 }, 1)
local ft = mare.cat({ t, mare.ones({ half, 1 }, "f64") }, 1)
local fit = mare.models.LinearRegression():fit(far, ft:squeeze(2) * 2 - 1)
local logistic = mare.models.LogisticRegression():fit(far, ft:squeeze(2):to "i64")
local truth = ft:squeeze(2):gt(0.5)
print "The ideal loss counts errors and nothing else; with far points of class 1"
print(("a regression on -1 and 1 gets %.3f right, logistic regression %.3f"):format(
  fit:predict(far):gt(0):eq(truth):to("f64"):mean():item(),
  logistic:score(far, ft:squeeze(2):to "i64")))

lesson.picture(plot.grid({
  plot.line(z, { square, entropy }, { labels = { "square error", "cross-entropy" },
    title = "gradient, target 1", xlabel = "z", ylabel = "dL/dz" }),
  plot.line({ a, b }, { labels = { "by cross-entropy", "by square error" },
    title = "cross-entropy during both", xlabel = "step", ylabel = "loss" }),
}, { columns = 2 }), "11-losses", { width = 1000, height = 400 })
lesson.key("gradient of cross-entropy over that of square error at z = -10",
  entropy[1]:item() / square[1]:item())
