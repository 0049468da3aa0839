-- 12-generative-discriminative.lua -- which learns faster from few examples?
-- ids: M13 M14
-- takes: 1 s
-- expect: 0.015 0.08
-- expect: 0.03 0.06
--
-- What is asked.  A generative model supposes how the data arise; a discriminative one only
-- draws the boundary.  Where the supposition is true it replaces data; where it is false it
-- is in the way.  Both are seen here on growing training sets.
--
-- What is seen.  With 160 rows of the supposed kind naive Bayes leads by 3 or 4 points, and
-- with thousands no more.  On digits, where its supposition is wrong, it stays 4 points
-- behind.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local models, plot = mare.models, mare.plot
local args = lesson.options("12-generative-discriminative.lua",
  "Naive Bayes against softmax regression on growing training sets.",
  { folds = { 4, "parts of the data that take turns at being unseen" } })
mare.seed(args.seed)

-- Learning curves of both on the same folds, printed and drawn.
local function compare(title, x, y, sizes, generative, discriminative)
  lesson.title(title)
  local opts = { sizes = sizes, folds = args.folds, seed = args.seed }
  local g = models.learning_curve(generative, x, y, opts).test
  local d = models.learning_curve(discriminative, x, y, opts).test
  print "  rows   naive Bayes   logistic   (accuracy on unseen rows)"
  for i, n in ipairs(sizes) do print(("%6d   %.3f         %.3f"):format(n, g[i], d[i])) end
  return g, d, plot.line(sizes, { g, d }, { labels = { "generative", "discriminative" },
    xlog = true, marks = true, title = title, xlabel = "training rows", ylabel = "accuracy" })
end

-- Two Gaussian classes in 30 dimensions, independent: just what naive Bayes supposes.
local n, dims = 4000, 30
local y = mare.randint(1, 2, n, "i64")
local x = mare.randn({ n, dims }, "f64") + (y:to "f64" - 1.5):unsqueeze(2) * 0.7
local g, d, first = compare("data as supposed", x, y, { 40, 80, 160, 400, 1000, 3000 },
  models.NaiveBayes(), models.LogisticRegression { penalty = "none" })

-- Pictures of digits: points that lie side by side are not independent at all.
local digits = mare.data.digits()
local gd, dd, second = compare("digits", digits.x, digits.y, { 60, 120, 300, 600, 1200 },
  models.NaiveBayes { var_smoothing = 1e-2 }, models.SoftmaxRegression())

print "\nA true supposition is worth many rows; a false one costs more the more rows there are."
lesson.picture(plot.grid({ first, second }, { columns = 2 }), "12-curves",
  { width = 1000, height = 420 })
lesson.key("lead of the generative model with 160 rows", g[3] - d[3])
lesson.key("lead of the discriminative model on all digits", dd[#dd] - gd[#gd])
