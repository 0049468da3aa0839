-- 33-clusters.lua -- what is found without labels: clusters and directions.
-- ids: M19
-- takes: 2 s
-- expect: 0.77 0.82
--
-- What is asked.  1,797 pictures of digits, and nobody says which is which.  k-means looks for
-- k centers such that every picture is near one.  Principal component analysis looks for the
-- directions in which the pictures differ most.  The labels are only used at the end, to judge.
--
-- What is seen.  Four of five pictures lie in a cluster of their own digit.  Ten of 64
-- directions hold three quarters of the variance, and suffice for the same clusters.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local models, plot = mare.models, mare.plot
local args = lesson.options("33-clusters.lua", "k-means and principal components of digits.",
  { k = { 10, "clusters" }, restarts = { 10, "beginnings of k-means" } })
mare.seed(args.seed)
local digits = mare.data.digits()
local x, y = digits.x, digits.y
local n = #digits

-- The part of the rows whose cluster mostly holds their own digit.
local function purity(clusters, k)
  local table_ = mare.zeros(k * 10):index_add(1, (clusters - 1) * 10 + y, mare.ones(n))
  local most, digit = table_:reshape(k, 10):max(2)
  return most:sum():item() / n, digit:to "i64"
end

lesson.title "k-means"
local km = models.KMeans { k = args.k, restarts = args.restarts, seed = args.seed }:fit(x)
local clusters = km:predict(x)
local pure, digit = purity(clusters, args.k)
print(("%d clusters after %d steps; %.1f%% of the pictures lie in a cluster of their own digit"):
  format(args.k, km.steps, 100 * pure))
local chance = purity(mare.randint(1, args.k, n, "i64"), args.k)
print(("(with clusters drawn at random it would be %.1f%%)"):format(100 * chance))
local images, titles = {}, {}
for k = 1, args.k do
  images[k] = km.centers[k]:reshape(8, 8)
  titles[k] = ("%d (%d)"):format(digit[k]:item() - 1, km.counts[k]:item())
end
lesson.picture(plot.image(images, { columns = 5, titles = titles,
  title = "centers: most frequent digit (pictures)" }), "33-centers", { width = 900, height = 420 })

lesson.title "how many clusters?"
local ks, inertia, pures = { 2, 5, 10, 15, 20, 30, 40, 60 }, {}, {}
for i, k in ipairs(ks) do
  local m = models.KMeans { k = k, restarts = args.restarts, seed = args.seed }:fit(x)
  inertia[i], pures[i] = m.inertia / n, purity(m:predict(x), k)
  print(("k = %2d: mean squared distance %.3f, own digit %.1f%%"):format(k, inertia[i],
    100 * pures[i]))
end
print "More clusters are always nearer to the pictures; no bend tells that there are ten digits."

lesson.title "principal components"
local pca = models.PCA { components = 64 }:fit(x)
local explained = pca.explained_variance_ratio:cumsum(1)
local counts, errors = { 1, 2, 5, 10, 20, 30, 40, 64 }, {}
local shown = {}
for i, c in ipairs(counts) do
  local some = models.PCA { components = c }:fit(x)
  local back = some:inverse(some:transform(x))
  errors[i] = (back - x):square():sum(2):mean():item()
  shown[i] = back[1]:reshape(8, 8)
  print(("%2d directions: %5.1f%% of the variance, mean squared distance %.3f"):format(c,
    100 * explained[c]:item(), errors[i]))
end
lesson.picture(plot.image(shown, { columns = 4, titles = counts,
  title = "the first picture from so many directions" }), "33-directions",
  { width = 800, height = 450 })

local z = models.PCA { components = 2 }:fit(x):transform(x)
local names, some = {}, y:le(8) -- 0 to 7: eight colours can be told apart
for d = 0, 7 do names[d + 1] = tostring(d) end
lesson.picture(plot.scatter(z:select(2, 1):masked_select(some), z:select(2, 2):masked_select(some),
  { classes = y:masked_select(some), labels = names, title = "digits 0 to 7 in two directions",
  xlabel = "first component", ylabel = "second component" }), "33-map")

-- Both together: a few directions are enough to find much the same clusters.
local ten = models.PCA { components = 10 }:fit(x):transform(x)
local few = models.KMeans { k = args.k, restarts = args.restarts, seed = args.seed }:fit(ten)
print(("k-means in 10 directions instead of 64 pixels: own digit %.1f%%"):format(
  100 * purity(few:predict(ten), args.k)))
lesson.picture(plot.grid({
  plot.line(ks, { inertia }, { marks = true, title = "k-means", xlabel = "clusters",
    ylabel = "mean squared distance" }),
  plot.line(counts, { errors }, { marks = true, title = "principal components",
    xlabel = "directions", ylabel = "mean squared distance" }),
}, { columns = 2 }), "33-how-many", { width = 1000, height = 400 })
lesson.key("part in a cluster of their own digit", pure)
