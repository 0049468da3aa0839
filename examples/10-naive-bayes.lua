-- 10-naive-bayes.lua -- features that are taken to be independent.
-- ids: M11
-- takes: 1 s
-- expect: 0.428571 0.428572
-- expect: 0.86 0.93
--
-- What is asked.  A Gaussian with a whole covariance has many numbers; taking the features
-- to be independent within a class leaves few.  It often works, and sometimes it is wrong:
-- thirteen rows of two yes-or-no features show how.
--
-- What is seen.  (1, 1) was only ever class 1, and yet its probability is 3/7, below a half.
-- On digits, where pixels are anything but independent, nine of ten are right all the same.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local plot, NaiveBayes = mare.plot, mare.models.NaiveBayes
local args = lesson.options("10-naive-bayes.lua", "Naive Bayes classifiers.",
  { rows = { 1257, "digits to learn from" } })
mare.seed(args.seed)

lesson.title "thirteen rows"
-- Class 1 is seen once, as (1, 1); class 2 four times each as (1, 0), (0, 1) and (0, 0).
local rows, labels = { { 1, 1 } }, { 1 }
for _, row in ipairs { { 1, 0 }, { 0, 1 }, { 0, 0 } } do
  for _ = 1, 4 do
    rows[#rows + 1], labels[#labels + 1] = row, 2
  end
end
local x = mare.tensor(rows, "f64")
local small = NaiveBayes { kind = "bernoulli", alpha = 0 }:fit(x, labels)
local p = small:predict_proba(x)[{ 1, 1 }]:item()
print(("(1, 1) was only ever class 1, and yet P(class 1 | (1, 1)) = %.6f, below a half:"):format(p))
print("P(C1) 1 * 1 = 1/13 against P(C2) 1/3 * 1/3 = 12/13 / 9 = 4/39, so 3/7 for class 1.")
print("Independence makes up rows of class 2 that nobody saw: a third of them has each feature.")

lesson.title "the kinds"
local learn, test = mare.data.digits():split(args.rows, { seed = args.seed, stratify = true })
local accuracy = {}
for _, kind in ipairs { "gaussian", "bernoulli", "multinomial", "complement" } do
  local m = NaiveBayes { kind = kind, binarize = kind == "bernoulli" and 0.5 or nil }
  m:fit(learn.x, learn.y)
  accuracy[#accuracy + 1] = m:score(test.x, test.y)
  print(("%-12s accuracy on unseen digits %.3f"):format(kind, accuracy[#accuracy]))
end
lesson.picture(plot.bar(accuracy, {
  labels = { "gaussian", "bernoulli", "multinomial", "complement" },
  title = "naive Bayes on unseen digits", xlabel = "kind of distribution",
  ylabel = "accuracy" }), "10-naive-bayes")

lesson.title "learning from a stream"
local stream = NaiveBayes()
for xb, yb in learn:batches { size = 100 } do
  stream:partial_fit(xb, yb, { classes = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } })
end
local whole = NaiveBayes():fit(learn.x, learn.y)
print(("means after %d batches and after one fit differ by %.1e"):format(-(-#learn // 100),
  (stream.means - whole.means):abs():max():item()))
lesson.key("P(C1 | x)", p)
lesson.key("accuracy of the multinomial kind on unseen digits", accuracy[3])
