-- 19-paths.lua -- ways down a bent valley: momentum, Adagrad, RMSProp, Adam.
-- ids: L5 L6 L8 A6
-- takes: 1 s
-- expect: 0.85 0.9
-- expect: 0 1e-6
-- expect: 6 6
--
-- What is asked.  Plain descent swings across a narrow valley and hardly moves along it.
-- Momentum remembers where it was going; Adagrad, RMSProp and Adam give each number a rate
-- of its own.  On a crescent-shaped valley and on Rosenbrock's function all start alike.
--
-- What is seen.  Plain descent is beaten by the others except by Adagrad on Rosenbrock's
-- function, whose rate has shrunk too soon.  Momentum swings, and arrives.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local args = lesson.options("19-paths.lua", "Optimizers on their way down.", { steps = 200 })

-- The lowest places lie on a bent line; the walls are steep across it and flat along it.
local function crescent(p)
  local r = (p[1] ^ 2 + p[2] ^ 2 + 1e-9) ^ 0.5
  return 5 * (r - 1.5) ^ 2 + 0.3 * (p[2] - 1.5) ^ 2
end
local function rosenbrock(p) return (1 - p[1]) ^ 2 + 10 * (p[2] - p[1] ^ 2) ^ 2 end

local optimizers = {
  { "sgd", "sgd", { lr = 0.01 } },
  { "momentum", "sgd", { lr = 0.01, momentum = 0.9 } },
  { "adagrad", "adagrad", { lr = 0.3 } },
  { "rmsprop", "rmsprop", { lr = 0.02 } },
  { "adam", "adam", { lr = 0.05 } },
}

local function descend(f, start, name, options)
  local p = mare.tensor(start, "f64"):requires_grad()
  local opt, path = mare.optim[name]({ p }, options), {}
  for step = 1, args.steps do
    path[step] = p:detach():clone()
    opt:zero_grad()
    f(p):backward()
    opt:step()
  end
  return mare.stack(path, 1), f(p:detach()):item()
end

local best, least = 0, math.huge
for _, ground in ipairs {
  { "crescent", crescent, { -1.4, -0.9 }, { -2.2, 2.2 }, { -2.2, 2.2 },
    { 0.1, 0.5, 1, 2, 4, 8, 12 } },
  { "rosenbrock", rosenbrock, { -1.5, 2 }, { -2, 2 }, { -1, 3 }, { 0.5, 2, 8, 20, 50, 100 } },
} do
  local title, f, start, x, y, levels = table.unpack(ground)
  lesson.title(title)
  local paths, values = {}, {}
  for _, o in ipairs(optimizers) do
    paths[o[1]], values[o[1]] = descend(f, start, o[2], o[3])
    print(("%-9s after %d steps: loss %.4g"):format(o[1], args.steps, values[o[1]]))
  end
  local numbers = mare.zeros({ 2 }, "f64")
  lesson.picture(mare.plot.contour(function(a, b)
    numbers[1], numbers[2] = a, b
    return f(numbers):item()
  end, { x = x, y = y, levels = levels, points = 50, paths = paths, title = title,
    xlabel = "w1", ylabel = "w2" }), "19-" .. title)
  local beaten = 0
  for name, v in pairs(values) do
    if name ~= "sgd" and v < values.sgd then beaten = beaten + 1 end
  end
  best, least = best + beaten / 8, values.momentum
end

lesson.title "methods that need no rate"
-- Given a function, not only a gradient, they choose their steps themselves; the last five look at
-- values alone.
print "on Rosenbrock's function   values asked for   ended because of   loss"
local box, reached = { { -2, -1 }, { 2, 3 } }, 0
for _, entry in ipairs { { "lbfgs" }, { "cg" }, { "newton" }, { "nelder_mead" },
  { "cma_es", seed = args.seed }, { "differential_evolution", seed = args.seed, bounds = box },
  { "random_search", seed = args.seed, bounds = box }, { "grid", bounds = box } } do
  local _, value, trace = mare.optim.minimize(rosenbrock, mare.tensor({ -1.5, 2 }, "f64"),
    { method = entry[1], seed = entry.seed, bounds = entry.bounds, trace = true })
  if value < 1e-8 then reached = reached + 1 end
  print(("%-26s %16d   %16s   %.1e"):format(entry[1], trace.evaluations, trace.reason, value))
end
print "With curvature (newton, lbfgs, cg) a dozen steps do; trying places costs the more of them,"
print "the more numbers there are."
lesson.key("share of the others that end below plain descent", best)
lesson.key("momentum on Rosenbrock's function", least)
lesson.key("methods that reach the minimum", reached)
