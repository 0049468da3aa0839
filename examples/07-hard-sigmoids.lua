-- 07-hard-sigmoids.lua -- any curve of straight pieces is a constant plus hard sigmoids.
-- ids: M5 L2
-- takes: 1 s
-- expect: 0 1e-6
-- expect: 0 0.01
-- expect: 0 0.005
--
-- What is asked.  How can a model bend?  A hard sigmoid is flat, then straight, then flat.
-- One for each straight piece of a curve, added up with a constant, is the curve.  A soft
-- sigmoid does nearly the same, and two ReLUs make one hard sigmoid.
--
-- What is seen.  Both constructions are exact, and doubling the corners quarters the error
-- for a smooth curve.  16 ReLUs learn the curve with corners exactly, 8 sigmoids nearly.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("07-hard-sigmoids.lua", "Curves out of hard sigmoids.",
  { steps = 3000, units = { 8, "sigmoids; there are twice as many ReLUs" },
    beginnings = { 4, "first weights to try" } })
mare.seed(args.seed)

-- flat at 0 up to a, flat at 1 from b on: hardsigmoid is clip(0.2 x + 0.5, 0, 1)
local function ramp(x, a, b)
  return ((x - (a + b) / 2) * (5 / (b - a))):hardsigmoid()
end

lesson.title "a curve with corners"
local corners = { { 0, 1 }, { 2, 4 }, { 5, 3 }, { 7, 3.5 }, { 10, 0 } }
local x = mare.linspace(0, 10, 401, "f64")
-- one ramp for each piece, as high as the piece rises
local curve = mare.full({ 401 }, corners[1][2], "f64")
for i = 2, #corners do
  local from, to = corners[i - 1], corners[i]
  curve = curve + ramp(x, from[1], to[1]) * (to[2] - from[2])
end
local worst = 0
for _, c in ipairs(corners) do
  worst = math.max(worst, math.abs(curve[math.floor(c[1] * 40 + 1.5)]:item() - c[2]))
end
print(("%d corners, a constant and %d hard sigmoids; the largest error at a corner is %.1e"):format(
  #corners, #corners - 1, worst))

lesson.title "a smooth curve, by more and more corners"
-- sin x between corners that lie on it; four times as many corners, a sixteenth of the error
local errors, counts = {}, { 2, 4, 8, 16, 32, 64 }
for k, pieces in ipairs(counts) do
  local broken, step = mare.zeros({ 401 }, "f64"), 10 / pieces
  for i = 1, pieces do
    local from, to = (i - 1) * step, i * step
    broken = broken + ramp(x, from, to) * (math.sin(to) - math.sin(from))
  end
  errors[k] = (broken - x:sin()):abs():max():item()
  print(("%2d hard sigmoids: largest distance from sin x %.4f"):format(pieces, errors[k]))
end

lesson.title "two ReLUs make one hard sigmoid"
local z = mare.linspace(-4, 4, 200, "f64")
local two = ((z + 2.5):relu() - (z - 2.5):relu()) * 0.2
local off = (two - z:hardsigmoid()):abs():max():item()
print(("0.2 relu(z + 2.5) - 0.2 relu(z - 2.5) differs from the hard sigmoid by %.1e"):format(off))

lesson.title "the same, learned"
-- Soft sigmoids and ReLUs find the places of the pieces by descent.
local function train(activation, units, seed)
  mare.seed(seed)
  local model = nn.Sequential { nn.Linear(1, units), activation, nn.Linear(units, 1) }
  local opt = mare.optim.adam(model:parameters(), { lr = mare.schedule.cosine(0.03, args.steps) })
  -- x in -2 to 2, and a target without its mean: what remains is to be bent, not to be lifted
  local input, mean = (x:to "f32" / 2.5 - 2):unsqueeze(2), curve:mean():item()
  local target = (curve - mean):to "f32":unsqueeze(2)
  local value
  for _ = 1, args.steps do
    local _ <close> = mare.scope()
    opt:zero_grad()
    local l = mare.loss.mse(model(input), target)
    l:backward()
    opt:step()
    value = l:item()
  end
  return mare.no_grad(function() return model(input):squeeze(2) + mean end), value
end
-- The best of a few beginnings: a ReLU that is 0 at all points gets no gradient and never comes
-- back, so that a corner may be missing.
local function best_of(activation, units)
  local best, least = nil, math.huge
  for k = 1, args.beginnings do
    local found, value = train(activation, units, args.seed + k - 1)
    if value < least then best, least = found, value end
  end
  return best, least
end
local n = args.units
local soft, soft_loss = best_of(nn.Sigmoid(), n)
local relu, relu_loss = best_of(nn.ReLU(), 2 * n)
print(("%d sigmoids: loss %.5f; %d ReLUs: loss %.5f"):format(n, soft_loss, 2 * n, relu_loss))
print "(twice as many ReLUs, since two make one sigmoid)"

lesson.picture(plot.grid({
  plot.line(x, { curve, soft, relu }, { title = "one curve, three ways", xlabel = "x", ylabel = "y",
    labels = { "hard sigmoids", n .. " sigmoids", 2 * n .. " ReLUs" } }),
  plot.line(z, { z:hardsigmoid(), z:sigmoid(), two }, { title = "the pieces", xlabel = "z",
    ylabel = "value", labels = { "hard sigmoid", "sigmoid", "two ReLUs" } }),
  plot.line(counts, { errors }, { xlog = true, ylog = true, marks = true, title = "sin x by pieces",
    xlabel = "hard sigmoids", ylabel = "largest error" }),
}, { columns = 3 }), "07-pieces", { width = 1400, height = 420 })
lesson.key("largest difference of both constructions", math.max(worst, off))
lesson.key("the larger of both learned losses", math.max(soft_loss, relu_loss))
lesson.key("error of 64 pieces for sin x", errors[#errors])
