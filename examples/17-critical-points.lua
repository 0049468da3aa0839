-- 17-critical-points.lua -- the gradient is zero, and yet there is a way down.
-- ids: A4
-- takes: 1 s
-- expect: 0 1e-8
-- expect: -2.0001 -1.9999
--
-- What is asked.  Training stops where the gradient vanishes.  Is that a minimum?  The
-- Hessian's eigenvalues tell: all positive, a minimum; of both signs, a saddle, and a
-- direction with a negative one leads further down.  The smallest example is y = w1 w2 x
-- with one point x = 1, y = 1: the loss is (1 - w1 w2)^2.
--
-- What is seen.  The eigenvalues at (0, 0) are -2 and 2, a saddle; along the direction of -2
-- descent leaves it and ends at loss 0.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local args = lesson.options("17-critical-points.lua",
  "Critical points, told apart by their Hessians.", { steps = 60, eta = 0.05 })

local function loss(w) return (1 - w[1] * w[2]) ^ 2 end
local function describe(name, point)
  local c = mare.critical_point(loss, point)
  print(("%-12s gradient norm %.3f, eigenvalues %s: %s"):format(name, c.gradient_norm,
    ("%.3f, %.3f"):format(table.unpack(c.eigenvalues:totable())), c.kind))
  return c
end

lesson.title "four places on the surface"
local origin = mare.zeros({ 2 }, "f64")
local saddle = describe("(0, 0)", origin)
describe("(1, 1)", mare.tensor({ 1, 1 }, "f64"))
describe("(2, 0.5)", mare.tensor({ 2, 0.5 }, "f64"))
describe("(1, 0)", mare.tensor({ 1, 0 }, "f64"))
print("the Hessian at (0, 0):")
print(mare.hessian(loss, origin))

print "Degenerate: along w1 w2 = 1 the loss stays 0, so that one eigenvalue is 0; the other tells"
print "that it is a minimum across."

lesson.title "leaving the saddle"
local direction = saddle.escape
print(("the direction of the negative eigenvalue: (%.4f, %.4f)"):format(direction[1]:item(),
  direction[2]:item()))
local w, value = mare.optim.escape_saddle(loss, origin)
print(("from there descent ends at (%.4f, %.4f) with loss %.2g"):format(w[1]:item(), w[2]:item(),
  value))

-- Descent that begins on the saddle stays; a step along the direction sets it free.
local path = { origin }
local p = (direction * 0.1):clone():requires_grad()
local opt = mare.optim.sgd({ p }, { lr = args.eta })
for _ = 1, args.steps do
  path[#path + 1] = p:detach():clone()
  opt:zero_grad()
  loss(p):backward()
  opt:step()
end
lesson.picture(mare.plot.contour(function(a, b) return (1 - a * b) ^ 2 end,
  { x = { -2, 2 }, y = { -2, 2 }, levels = { 0.05, 0.3, 0.7, 1, 1.5, 3, 6, 12 },
    title = "(1 - w1 w2)^2: a saddle at (0, 0)", xlabel = "w1", ylabel = "w2",
    paths = { ["out of the saddle"] = mare.stack(path, 1) } }), "17-saddle")
lesson.key("loss after leaving the saddle", value)
lesson.key("negative eigenvalue at (0, 0)", saddle.eigenvalues:min():item())
