-- 03-descent.lua -- rolling down a curve, and why one start is not enough.
-- ids: A5 A7
-- takes: 2 s
-- expect: 1 1.000001
-- expect: -4.8145 -4.8144
--
-- What is asked.  Where is a function smallest?  Descent answers with steps against the
-- slope: x <- x - eta f'(x).  On (x - 1)^2 + 1 it comes to rest at the only minimum.
-- x sin x has several valleys between -5 and 7: where descent ends depends on where it
-- began, so it is begun again from other places and the best end is kept.
--
-- What is seen.  (x - 1)^2 + 1 is at its lowest after 1,000 steps.  On x sin x a descent from
-- 1 ends in the shallow valley at 0; other starts find the deep ones, f = -4.8145 at x =
-- 4.913 and -4.913.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local plot, minimize = mare.plot, mare.optim.minimize

local args = lesson.options("03-descent.lua", "Gradient descent on functions of one number.",
  { eta = 0.05, steps = 1000, restarts = { 10, "more starts, drawn at random" },
    numbers = { 100, "numbers of a function of many" } })

-- The places that a descent visited, from its trace.
local function places(trace, most)
  local list = {}
  for k = 0, math.min(#trace, most) do
    local x = trace[k].x
    list[#list + 1] = mare.is_tensor(x) and x:item() or x
  end
  return list
end

lesson.title "(x - 1)^2 + 1 from x = 6"
local function parabola(x) return (x - 1) ^ 2 + 1 end
local x, f, trace = minimize(parabola, 6.0, { method = "gd", lr = args.eta, steps = args.steps,
  trace = true })
local steps = places(trace, 60)
print(("first steps: %g, %g, %g; after %d steps x = %.6f, f = %.6f"):format(steps[2], steps[3],
  steps[4], args.steps, x, f))
lesson.picture(plot.function_steps(parabola, steps, { title = "descent on (x - 1)^2 + 1",
  xlabel = "x", ylabel = "f", x = { -2, 7 } }), "03-descent-parabola")

-- Descent may also stop by itself: when the slope is (nearly) zero, or when the value no
-- longer falls.  The trace says which it was.
local _, _, early = minimize(parabola, 6.0, { method = "gd", lr = args.eta, steps = args.steps,
  tol = 1e-6, trace = true })
print(("with a tolerance of 1e-6 it stops after %d steps, because of the %s"):format(#early,
  early.reason))

lesson.title "x sin x on [-5, 7]"
local function waves(v) return mare.is_tensor(v) and v * v:sin() or v * math.sin(v) end
-- From one start descent ends in the valley it began in.  More starts, drawn at random:
mare.seed(args.seed)
local starts, ends, best, least = { 1.0 }, {}, nil, math.huge
for k = 2, args.restarts + 1 do starts[k] = mare.rand(1, "f64"):item() * 12 - 5 end
for k, start in ipairs(starts) do
  local place, value = minimize(waves, start, { method = "gd", lr = args.eta, steps = args.steps,
    bounds = { -5, 7 } })
  ends[k] = place
  print(("from x = %7.4f descent ends at x = %7.4f, f = %7.4f"):format(start, place, value))
  if value < least then best, least = place, value end
end
print(("the best of %d ends is x = %.4f, f = %.4f"):format(#starts, best, least))
-- minimize does the same with an option; the search beginning is the first of its starts
local _, same = minimize(waves, 1.0, { method = "gd", lr = args.eta, steps = args.steps,
  bounds = { -5, 7 }, restarts = args.restarts, seed = args.seed })
print(("with restarts = %d: f = %.4f"):format(args.restarts, same))
local curve, from, to = mare.linspace(-5, 7, 500, "f64"), mare.tensor(starts, "f64"),
  mare.tensor(ends, "f64")
local function class(k, t) return mare.full({ #t }, k, "i64") end
lesson.picture(plot.scatter(mare.cat({ curve, from, to }, 1),
  mare.cat({ waves(curve), waves(from) + 0.4, waves(to) - 0.4 }, 1), {
    classes = mare.cat({ class(1, curve), class(2, from), class(3, to) }, 1),
    labels = { "x sin x", "starts (above the curve)", "ends (below it)" },
    title = "descents on x sin x", xlabel = "x", ylabel = "f" }), "03-descent-waves")

lesson.title "many numbers"
-- The gradient has a part for each number, and all of them move at once.
local goal = mare.arange(1, args.numbers, "f64")
local far, _, walk = minimize(function(v) return (v - goal):square():sum() end,
  mare.zeros({ args.numbers }, "f64"), { method = "gd", lr = args.eta, steps = args.steps,
    tol = 1e-6, trace = true })
print(("%d numbers, all at once: %d steps, the furthest is %.1e from its place"):format(
  args.numbers, #walk, (far - goal):abs():max():item()))

lesson.title "two numbers: a long valley"
-- Rosenbrock's function: the valley is found at once, its lowest place only slowly.
local function valley(p) return (1 - p[1]) ^ 2 + 10 * (p[2] - p[1] ^ 2) ^ 2 end
local start = mare.tensor({ -1.5, 2 }, "f64")
local p, _, route = minimize(valley, start, { method = "gd", lr = 0.004, steps = args.steps,
  trace = true })
local q, _, quick = minimize(valley, start, { method = "lbfgs", trace = true })
print(("gradient descent, %d steps: (%.3f, %.3f); L-BFGS, %d steps: (%.3f, %.3f)"):format(#route,
  p[1]:item(), p[2]:item(), #quick, q[1]:item(), q[2]:item()))
local function points(t)
  local list = {}
  for k = 0, #t, math.max(1, #t // 100) do list[#list + 1] = t[k].x end
  return mare.stack(list, 1)
end
lesson.picture(plot.contour(function(a, b) return (1 - a) ^ 2 + 10 * (b - a * a) ^ 2 end,
  { x = { -2, 2 }, y = { -1, 3 }, levels = { 0.5, 2, 8, 20, 50, 100, 200 }, points = 120,
    title = "two descents",
    xlabel = "x1", ylabel = "x2",
    paths = { ["gradient descent"] = points(route), ["L-BFGS"] = points(quick) } }),
  "03-descent-valley")

lesson.key("place of the minimum of (x - 1)^2 + 1", x)
lesson.key("minimum of x sin x", least)
