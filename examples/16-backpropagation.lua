-- 16-backpropagation.lua -- what goes forwards through a network and what comes back.
-- ids: A1 A2 A3 L2
-- takes: 1 s
-- expect: 0 1e-9
-- expect: 3.9 4.1
--
-- What is asked.  How does a weight deep in a network know how to change?  The derivative of
-- the loss to a weight w that feeds z = w a + ... is a product: dz/dw = a, seen on the way
-- forwards, times dC/dz, which comes backwards from the layers above.
--
-- What is seen.  By hand, backwards and forwards give the same derivatives.  The way back
-- needs all the values in between, so that its memory grows with the length of the chain.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, loss = mare.nn, mare.loss

local args = lesson.options("16-backpropagation.lua", "Forward pass and backward pass, by hand.",
  { hidden = 3 })
mare.seed(args.seed)

local model = nn.Sequential { nn.Linear(2, args.hidden), nn.Sigmoid(), nn.Linear(args.hidden, 2),
  nn.Sigmoid(), nn.Linear(2, 1) }:to "f64"
local x, y = mare.tensor({ { 1, -1 } }, "f64"), mare.tensor({ { 0.5 } }, "f64")

lesson.title "a graph of four steps: z = (<x, w> - y)^2"
local u, w, target = mare.tensor({ 1, 2 }, "f64"), mare.tensor({ 3, -1 }, "f64"), 2
w:requires_grad()
local a = u:dot(w)
local b = a - target
local z = b ^ 2
z:backward()
-- dz/db = 2 b; db/da = 1; da/dw = x: multiplied from the end to the beginning
local by_hand = u * (2 * b:item())
print(("a = %g, b = a - y = %g, z = b^2 = %g; dz/dw = 2 b x = (%g, %g); backward: (%g, %g)"):format(
  a:item(), b:item(), z:item(), by_hand[1]:item(), by_hand[2]:item(), w.grad[1]:item(),
  w.grad[2]:item()))

lesson.title "the network laid open"
local seen = mare.inspect(model, x, y, loss.mse)
print(seen)

lesson.title "the same by hand"
-- Forwards: each layer keeps what went into it.
local w1, b1, w2, b2, w3, b3 = model[1].weight:detach(), model[1].bias:detach(),
  model[3].weight:detach(), model[3].bias:detach(), model[5].weight:detach(), model[5].bias:detach()
local z1 = x:matmul(w1:t()) + b1
local a1 = z1:sigmoid()
local z2 = a1:matmul(w2:t()) + b2
local a2 = z2:sigmoid()
local z3 = a2:matmul(w3:t()) + b3
-- Backwards: dC/dz of the last layer from the loss, the others from the layer above.
local d3 = 2 * (z3 - y)
local d2 = d3:matmul(w3) * a2 * (1 - a2)
local d1 = d2:matmul(w2) * a1 * (1 - a1)
-- dC/dw = dC/dz times a.
local g1, g2, g3 = d1:t():matmul(x), d2:t():matmul(a1), d3:t():matmul(a2)
print("dC/dz of layer 1:")
print(d1)

lesson.title "against automatic differentiation"
model:zero_grad()
loss.mse(model(x), y):backward()
local worst = (by_hand - w.grad):abs():max():item()
for i, pair in ipairs { { g1, model[1] }, { g2, model[3] }, { g3, model[5] } } do
  local off = (pair[1] - pair[2].weight.grad):abs():max():item()
  print(("layer %d: the largest difference of a gradient is %.1e"):format(2 * i - 1, off))
  worst = math.max(worst, off)
end

lesson.title "forward accumulation: one direction at a time"
-- A derivative can also be carried forwards beside the values, without keeping a graph: one
-- run for each input, where reverse accumulation takes one run for each output.
local function output(v) return model(v):sum() end
local _, forward = mare.jvp(output, x, mare.tensor({ { 1, 0 } }, "f64"))
local reverse = mare.grad(output)(x)
print(("d output / d x1: %.6f forwards, %.6f backwards"):format(forward:item(),
  reverse[{ 1, 1 }]:item()))
worst = math.max(worst, math.abs(forward:item() - reverse[{ 1, 1 }]:item()))

-- What each way costs: backwards, all values in between are kept until they have been used.
local long = mare.ones({ 100000 }, "f64"):requires_grad()
local memory = {}
for i, steps in ipairs { 5, 10, 20 } do
  local before = mare.memory().live
  local _ <close> = mare.scope() -- gives back what was kept
  local v = long
  for _ = 1, steps do v = v:sin() end
  memory[i] = (mare.memory().live - before) / 1e6
end
print(("a chain of 5, 10, 20 steps keeps %.1f, %.1f, %.1f MB for the way back: O(n)"):format(
  memory[1], memory[2], memory[3]))

lesson.picture(mare.plot.grid({ mare.plot.activation "sigmoid", mare.plot.activation "tanh",
  mare.plot.activation "relu", mare.plot.activation "hardsigmoid" }, { columns = 2,
  title = "activations and their derivatives" }), "16-activations", { width = 1000, height = 800 })
lesson.key("largest difference between both ways", worst)
lesson.key("memory of a chain of 20 steps over that of 5", memory[3] / memory[1])
