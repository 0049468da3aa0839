-- 09-generative-classifier.lua -- a Gaussian for each class, and Bayes' rule.
-- ids: M9 M10
-- takes: 1 s
-- expect: 0 1e-10
-- expect: 0.88 0.97
--
-- What is asked.  79 creatures of one kind and 61 of another were measured twice each.
-- Which kind is a new one?  Suppose each kind's measurements are drawn from a Gaussian: the
-- likeliest mean and covariance are the sample's, the priors are 79/140 and 61/140, and
-- Bayes' rule gives the probability of a kind.  It is decided at 0.5.
--
-- What is seen.  The shared covariance is 79/140 S1 + 61/140 S2; its boundary is straight and
-- its posterior a sigmoid of w . x + b.  Own covariances bend the boundary.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local plot, Gaussian = mare.plot, mare.models.GaussianClassifier

local args = lesson.options("09-generative-classifier.lua", "Gaussian classifiers of two classes.",
  { first = { 79, "of the first kind" }, second = { 61, "of the second kind" } })
mare.seed(args.seed)

-- Two clouds of different shape: a mixing matrix turns round ones into ellipses.
local function cloud(n, mix, center)
  return mare.randn({ n, 2 }, "f64"):matmul(mare.tensor(mix, "f64")) + mare.tensor(center, "f64")
end
local function sample(first, second)
  local x = mare.cat({ cloud(first, { { 1.2, 0.5 }, { 0, 0.6 } }, { 0, 0 }),
    cloud(second, { { 0.6, -0.5 }, { 0, 1.0 } }, { 1.8, 1.4 }) }, 1)
  return x, mare.cat({ mare.ones({ first }, "i64"), mare.full({ second }, 2, "i64") }, 1)
end
local x, y = sample(args.first, args.second)
local test_x, test_y = sample(2000, 1544)

lesson.title "a covariance for each class"
local own = Gaussian { covariance = "full" }:fit(x, y)
print(own)
print(("priors %.4f and %.4f; accuracy %.3f, on new ones %.3f"):format(own.priors[1]:item(),
  own.priors[2]:item(), own:score(x, y), own:score(test_x, test_y)))

lesson.title "one covariance, weighted by the counts"
local shared = Gaussian { covariance = "shared" }:fit(x, y)
local n = args.first + args.second
local weighted = own.covariances[1] * (args.first / n) + own.covariances[2] * (args.second / n)
print(("the shared covariance and %d/%d S1 + %d/%d S2:"):format(args.first, n, args.second, n))
print(shared.covariances)
print(weighted)
print(("accuracy %.3f, on new ones %.3f"):format(shared:score(x, y), shared:score(test_x, test_y)))

lesson.title "a straight boundary"
-- With one covariance the squares cancel: the posterior is sigmoid(w . x + b).
local w, b = shared:linear()
local posterior = shared:predict_proba(x):select(2, 2)
local line = (x:matmul(w:reshape(2, 1)):squeeze(2) + b):sigmoid()
local off = (posterior - line):abs():max():item()
print(("w = (%.3f, %.3f), b = %.3f; the posterior differs from sigmoid(w . x + b) by %.1e"):format(
  w:reshape(-1)[1]:item(), w:reshape(-1)[2]:item(), b:reshape(-1)[1]:item(), off))

local names = { "first", "second" }
lesson.picture(plot.grid({
  plot.decision(own, x, y, { title = "own covariances", labels = names,
    xlabel = "first measurement", ylabel = "second measurement" }),
  plot.decision(shared, x, y, { title = "shared covariance", labels = names,
    xlabel = "first measurement", ylabel = "second measurement" }),
}, { columns = 2 }), "09-gaussians", { width = 1000, height = 450 })
local apart = (shared.covariances - weighted):abs():max():item()
lesson.key("largest of both differences", math.max(off, apart))
lesson.key("accuracy on new ones, own covariances", own:score(test_x, test_y))
