-- 14-xor.lua -- a question that no line can answer, answered in three ways.
-- ids: M15 A5
-- takes: 1 s
-- expect: 1 1
-- expect: 0.5 0.75
--
-- What is asked.  (0,0) and (1,1) are one class, (0,1) and (1,0) the other.  Logistic
-- regression draws a line, and no line parts them.  Either somebody finds better features
-- by hand (the distances to (0,0) and to (1,1)), or a layer of logistic units finds them.
--
-- What is seen.  The likeliest line says a half to all four points.  Distances part them, and
-- so do two logistic units that were learned, but not from every beginning.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot

local args = lesson.options("14-xor.lua", "The exclusive or.", { steps = 2000, hidden = 2,
  beginnings = { 5, "first weights to try" } })
mare.seed(args.seed)
local x = mare.tensor({ { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }, "f64")
local y = mare.tensor({ 1, 2, 2, 1 }, "i64")

lesson.title "logistic regression"
local line = mare.models.LogisticRegression():fit(x, y)
print(("accuracy %.2f; P(class 2) of the four points: %s"):format(line:score(x, y),
  table.concat(line:predict_proba(x):select(2, 2):totable(), " ")))
print "No line gets more than three of four right, and the likeliest one says a half to all."

lesson.title "features made by hand"
local function distances(p)
  local from_zero = p:square():sum(2):sqrt()
  local from_one = (p - 1):square():sum(2):sqrt()
  return mare.stack({ from_zero, from_one }, 2)
end
print("distances to (0, 0) and to (1, 1):")
print(distances(x))
-- (0,0) is (0, 1.4) now and (1,1) is (1.4, 0); the others are both (1, 1): a line parts them.
local by_hand = mare.models.LogisticRegression():fit(distances(x), y)
print(("accuracy %.2f"):format(by_hand:score(distances(x), y)))

lesson.title "features that are learned: logistic units in a row"
local target = mare.tensor({ { 0 }, { 1 }, { 1 }, { 0 } }, "f64")
local function train(seed)
  mare.seed(seed)
  local model = nn.Sequential { nn.Linear(2, args.hidden, { dtype = "f64" }), nn.Sigmoid(),
    nn.Linear(args.hidden, 1, { dtype = "f64" }) }
  local opt = mare.optim.adam(model:parameters(), { lr = 0.05 })
  local value
  for _ = 1, args.steps do
    local _ <close> = mare.scope()
    opt:zero_grad()
    local l = mare.loss.bce_logits(model(x), target)
    l:backward()
    opt:step()
    value = l:item()
  end
  return model, value
end
-- Two hidden units are just enough, and some beginnings end in a bad place: try a few.
local best, least
for k = 0, args.beginnings - 1 do
  local model, value = train(args.seed + k)
  print(("beginning %d: loss %.4f"):format(k + 1, value))
  if not least or value < least then best, least = model, value end
end
local right = best(x):gt(0):eq(target:gt(0)):to("f64"):mean():item()
print(("accuracy %.2f"):format(right))
print("what the hidden units make of the four points:")
print(best[2](best[1](x)):detach())

local function regions(title, model)
  return plot.decision(model, x, y, { title = title, xlabel = "x1", ylabel = "x2",
    x = { -0.5, 1.5 }, y = { -0.5, 1.5 }, labels = { "class 1", "class 2" } })
end
lesson.picture(plot.grid({
  regions("a line", line),
  regions("distances", function(p) return by_hand:predict(distances(p)) end),
  regions("learned", best),
}, { columns = 3 }), "14-xor", { width = 1200, height = 400 })
lesson.key("accuracy of the learned features", right)
lesson.key("accuracy of a line", line:score(x, y))
