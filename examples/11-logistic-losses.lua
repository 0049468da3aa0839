-- 11-logistic-losses.lua -- why logistic regression is not trained by square error.
-- ids: M12 L1 A6
-- takes: 1 s
-- expect: 11000 11030
-- expect: 0.3 0.6
--
-- What is asked.  sigmoid(w x + b) is the probability of class 1, and is to be 1 or 0.  Square
-- error looks natural as a loss.  But far from the target the sigmoid is flat, and the gradient
-- of square error carries its slope: it vanishes where it is needed most.  The gradient of
-- cross-entropy to z = w x + b is the error itself, sigmoid(z) - target.
--
-- What is seen.  At z = -10 the gradient of square error is 11,000 times smaller.  From the
-- same bad start cross-entropy gets to the data, while square error crawls over a plain.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local loss, plot = mare.loss, mare.plot
local args = lesson.options("11-logistic-losses.lua", "Cross-entropy against square error.",
  { points = 200, steps = 300, lr = 0.5 })
mare.seed(args.seed)

-- Class 0 about -1, class 1 about 1.
local half = args.points // 2
local x = mare.cat({ mare.randn({ half }, "f64") - 1, mare.randn({ half }, "f64") + 1 }, 1)
local t = mare.cat({ mare.zeros({ half }, "f64"), mare.ones({ half }, "f64") }, 1)
local losses = {
  { "cross-entropy", function(z) return loss.bce_logits(z, t) end },
  { "square error", function(z) return loss.mse(z:sigmoid(), t) end },
}

lesson.title "the gradient of one point, target 1"
local z = mare.linspace(-10, 10, 201, "f64")
local square = mare.grad(function(v) return ((v:sigmoid() - 1) ^ 2):sum() end)(z)
local entropy = mare.grad(function(v) return (-v:log_sigmoid()):sum() end)(z)
print "     z   sigmoid(z)   by square error   by cross-entropy"
for _, k in ipairs { 1, 51, 101, 151, 201 } do
  print(("%6g   %10.5f   %15.5f   %16.5f"):format(z[k]:item(), z[k]:sigmoid():item(),
    square[k]:item(), entropy[k]:item()))
end
print "At z = -10 the answer is quite wrong, and square error hardly sees a slope; at 10 it is"
print "right.  By square error both look alike: a small gradient does not tell far from near."

lesson.title "two descents from the same bad start, w = -6 and b = -4"
local function descend(criterion)
  local p = mare.tensor({ -6, -4 }, "f64"):requires_grad()
  local opt, path, values = mare.optim.sgd({ p }, { lr = args.lr }), {}, {}
  for step = 1, args.steps do
    path[step] = p:detach():clone()
    values[step] = loss.bce_logits(x * p[1] + p[2], t):item()
    opt:zero_grad()
    criterion(x * p[1] + p[2]):backward()
    opt:step()
  end
  return p:detach(), mare.stack(path, 1), values
end
local right, curves, maps = {}, {}, {}
local function gradient_size(criterion)
  local slope = mare.grad(function(p) return criterion(x * p[1] + p[2]) end)
  return function(w, b) return slope(mare.tensor({ w, b }, "f64")):norm():item() end
end
for i, pair in ipairs(losses) do
  local name, criterion = table.unpack(pair)
  local p, path, values = descend(criterion)
  right[i] = (x * p[1] + p[2]):gt(0):eq(t:gt(0.5)):to("f64"):mean():item()
  curves[i] = values
  print(("%-14s gradient at the start %.4f; after %d steps w = %6.3f, b = %6.3f, accuracy %.3f")
    :format(name, gradient_size(criterion)(-6, -4), args.steps, p[1]:item(), p[2]:item(), right[i]))
  maps[2 * i - 1] = plot.contour(function(w, b)
    return criterion(x * w + b):item()
  end, { x = { -8, 8 }, y = { -8, 8 }, points = 50, paths = { descent = path }, xlabel = "w",
    ylabel = "b", title = name .. ": the loss",
    levels = i == 1 and { 0.4, 0.7, 1, 2, 3, 4, 6, 8 } or { 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7 } })
  maps[2 * i] = plot.contour(gradient_size(criterion), { x = { -8, 8 }, y = { -8, 8 }, points = 50,
    paths = { descent = path }, xlabel = "w", ylabel = "b",
    title = name .. ": size of the gradient",
    levels = { 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1 } })
end
print "Cross-entropy is steep wherever much is wrong.  Square error lies on a high plain there."

lesson.picture(plot.grid({
  plot.line(z, { square, entropy }, { labels = { "square error", "cross-entropy" },
    title = "gradient of one point, target 1", xlabel = "z", ylabel = "dL/dz" }),
  plot.line(curves, { labels = { "by cross-entropy", "by square error" },
    title = "cross-entropy during both descents", xlabel = "step", ylabel = "loss" }),
}, { columns = 2 }), "11-losses", { width = 1000, height = 400 })
lesson.picture(plot.grid(maps, { columns = 2 }), "11-maps", { width = 1000, height = 800 })
lesson.key("gradient of cross-entropy over that of square error at z = -10",
  entropy[1]:item() / square[1]:item())
lesson.key("accuracy gained by cross-entropy", right[1] - right[2])
