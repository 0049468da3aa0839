-- 04-error-surface.lua -- a line through points: brute force, a formula, and three descents.
-- ids: A6 M1 L4
-- takes: 1 s
-- expect: 0.999 1.001
-- expect: 1 1.1
--
-- What is asked.  Points lie near y = b + w x.  Which w and b lose least?  The loss is a
-- function of two numbers, so it has a surface that can be drawn; four ways lead to its
-- lowest place: trying a grid, the closed form, gradient descent, and descent on batches.
--
-- What is seen.  All ways end at nearly the same line.  With all points the path is straight, with
-- single ones it wanders about the lowest place, with batches a little.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local plot, loss = mare.plot, mare.loss

local args = lesson.options("04-error-surface.lua", "A straight line, found in four ways.",
  { points = 100, noise = 0.3, eta = 0.2, batch = 10,
    steps = { 60, "updates with all points" } })

mare.seed(args.seed)
local x = mare.rand({ args.points }, "f64") * 4 - 1
local y = 0.5 + 1.0 * x + mare.randn({ args.points }, "f64") * args.noise
local function error_of(w, b) return loss.mse(x * w + b, y) end

lesson.title "brute force: a grid over (w, b)"
local place, least = mare.optim.minimize(function(p) return error_of(p[1], p[2]) end,
  mare.zeros({ 2 }, "f64"), { method = "grid", bounds = { { -1, -2 }, { 3, 3 } }, points = 41 })
print(("w = %.3f, b = %.3f, loss %.5f"):format(place[1]:item(), place[2]:item(), least))

lesson.title "the closed form"
local model = mare.models.LinearRegression():fit(x:reshape(-1, 1), y)
local guess = model:predict(mare.tensor({ { 0 }, { 1 } }, "f64"))
local b, w = guess[1]:item(), guess[2]:item() - guess[1]:item()
print(("w = %.3f, b = %.3f, loss %.5f"):format(w, b, error_of(w, b):item()))

lesson.title "gradient descent, all points in a step"
local function descend(batch, eta)
  local p = mare.tensor({ -0.8, 2.5 }, "f64"):requires_grad()
  local opt, path = mare.optim.sgd({ p }, { lr = eta }), { p:detach():clone() }
  local data = mare.data.dataset(x, y)
  for epoch = 1, args.steps do
    for xb, yb in data:batches { size = batch, shuffle = true, seed = args.seed, epoch = epoch } do
      opt:zero_grad()
      loss.mse(xb * p[1] + p[2], yb):backward()
      opt:step()
      path[#path + 1] = p:detach():clone()
    end
    if #path > 4 * args.steps then break end
  end
  return p:detach(), mare.stack(path, 1)
end
local whole, whole_path = descend(args.points, args.eta)
print(("w = %.3f, b = %.3f after %d updates"):format(whole[1]:item(), whole[2]:item(),
  #whole_path - 1))

lesson.title "descent on single points"
local single, single_path = descend(1, args.eta / 5)
print(("w = %.3f, b = %.3f after %d updates: it goes about the lowest place"):format(
  single[1]:item(), single[2]:item(), #single_path - 1))

lesson.title "descent on batches, the way between"
local some, some_path = descend(args.batch, args.eta / 2)
print(("w = %.3f, b = %.3f after %d updates of %d points: less of both"):format(some[1]:item(),
  some[2]:item(), #some_path - 1, args.batch))

lesson.picture(plot.contour(function(wi, bi) return error_of(wi, bi):item() end,
  { x = { -1, 3 }, y = { -2, 3 }, points = 100, levels = { 0.1, 0.3, 1, 2, 4, 8, 12 },
    title = "the loss of y = b + w x", xlabel = "w", ylabel = "b",
    paths = { ["all points"] = whole_path, ["single points"] = single_path,
      ["in batches"] = some_path } }),
  "04-error-surface")
lesson.key("w of gradient descent over that of the closed form", whole[1]:item() / w)
lesson.key("loss of the batches over the least", error_of(some[1], some[2]):item()
  / error_of(w, b):item())
