-- 28-ranking.lua -- learning an order from comparisons.
-- ids: M19
-- takes: 1 s
-- expect: 0.985 1
-- expect: 0.01 0.1
--
-- What is asked.  A search has 20 answers; which come first?  People graded the answers of each
-- search from 0 to 4, but every one of them by a measure of his own: the strict give few points,
-- the kind give many.  Regression learns the grades, measure and all.  A pairwise loss looks
-- only at which of two answers of the same search got more, where the measure cancels.
--
-- What is seen.  Pairs order unseen searches nearly as well as can be (NDCG@10 of 0.99 and
-- more); regression, which learns the measures too, stays behind.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, loss, plot = mare.nn, mare.loss, mare.plot
local args = lesson.options("28-ranking.lua", "Learning to rank from graded searches.",
  { searches = { 120, "searches to learn from" }, epochs = 40,
    kindness = { 2.0, "spread of the measures of those who grade" } })
mare.seed(args.seed)
local answers, features = 20, 10

-- Searches: x (n, answers, features), what each answer is worth, and the grades it was given.
local hidden = mare.randn(features, 6) / math.sqrt(features)
local function searches(n)
  local x = mare.randn(n, answers, features)
  local worth = (x:matmul(hidden) * 2):tanh():sum(3)
  local measure = mare.randn(n, 1) * args.kindness
  local grades = (worth + 2 + measure + 0.3 * mare.randn(n, answers)):round():clamp(0, 4)
  return x, worth, grades
end
local x, _, grades = searches(args.searches)
local train = mare.data.dataset(x, grades)
local tx, worth = searches(500)

-- What the order is judged by (NDCG@k): an answer worth p points, 0 to 4, gains 2^p - 1, divided
-- by the logarithm of its place; the sum over the first k answers over that of the best order
-- (Jarvelin and Kekalainen 2002).
local points = (worth + 2):round():clamp(0, 4)
local function ndcg(scores, k)
  local discount = (mare.arange(1, k, "f32") + 1):log2():reciprocal()
  local gain = mare.exp(points * math.log(2)) - 1
  local function sum(by)
    local _, order = by:topk(k, 2)
    return (gain:gather(2, order) * discount):sum(2)
  end
  local best = sum(points)
  local some = best:gt(0)
  return (sum(scores) / best:clamp(1e-9, math.huge)):masked_select(some):mean():item()
end

-- The differences of the scores of all pairs of a search (n, answers, answers), and for each
-- pair 1, -1 or 0: which of both has the higher grade.
local function pairs_of(scores, t)
  local a, b = scores:unsqueeze(3), scores:unsqueeze(2)
  return a, b, (t:unsqueeze(3) - t:unsqueeze(2)):sign()
end
local losses = {
  { "regression on grades", loss.mse },
  { "margin of pairs", function(s, t)
    local a, b, sign = pairs_of(s, t)
    local shape = sign.shape
    return loss.margin_ranking(a:expand(shape), b:expand(shape), sign, { margin = 1 })
  end },
  { "logistic loss of pairs", function(s, t)
    local a, b, sign = pairs_of(s, t)
    return ((-sign * (a - b)):softplus() * sign:abs()):sum() / sign:abs():sum():clamp(1, math.huge)
  end },
}

lesson.title "unseen searches"
print(("%d searches to learn from; 500 unseen ones"):format(args.searches))
print(("%-24s NDCG@3 %.3f   NDCG@10 %.3f"):format("any order", ndcg(mare.rand(500, answers), 3),
  ndcg(mare.rand(500, answers), 10)))
local curves, labels, found = {}, {}, {}
for i, row in ipairs(losses) do
  mare.seed(args.seed)
  local model = nn.Sequential { nn.Linear(features, 32), nn.Tanh(), nn.Linear(32, 1),
    nn.Lambda(function(v) return v:squeeze(3) end) }
  curves[i], labels[i] = {}, row[1]
  mare.train.fit(model, { data = train, epochs = args.epochs, batch = 10, seed = args.seed,
    loss = row[2], progress = false,
    optimizer = mare.optim.adamw(model:parameters(), { lr = 0.01, weight_decay = 0.01 }),
    on_epoch = function(e)
      curves[i][e.epoch] = mare.no_grad(function() return ndcg(model(tx), 10) end)
    end })
  local scores = mare.no_grad(function() return model(tx) end)
  found[i] = ndcg(scores, 10)
  print(("%-24s NDCG@3 %.3f   NDCG@10 %.3f"):format(row[1], ndcg(scores, 3), found[i]))
end
print "\n1 is the best order there is.  Pairs of one search share the measure of the person who"
print "graded it, so that it does not get into the loss; regression takes it for noise."
lesson.picture(plot.line(curves, { labels = labels, title = "order of unseen searches",
  xlabel = "epoch", ylabel = "NDCG@10" }), "28-ranking")
lesson.key("NDCG@10 of the logistic loss of pairs", found[3])
lesson.key("its lead over regression", found[3] - found[1])
