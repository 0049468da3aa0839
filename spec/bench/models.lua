-- models.lua -- Maré's side of the estimators' timings on Fashion-MNIST: models.lua SECONDS
-- [PATTERN...].  Prints "row<TAB>seconds"; models_sklearn.py has the same rows, and more can
-- be added below.  With ACCURACY=1 in the environment the accuracy on the test set goes to
-- the error output.

local mare = require "mare"
local models, clock = mare.models, mare.clock

local seconds = tonumber(arg[1])
local patterns = { table.unpack(arg, 2) }

local function rows_of(set)
  local n = #set
  return set.x:reshape(n, -1):to "f32" / 255, set.y
end

local train, test = assert(mare.data.fashion_mnist())
local x, y = rows_of(train)
local tx, ty = rows_of(test)

-- The median time of f(), run until the budget is spent, at least once.
local function timed(f)
  local times, finish = {}, clock() + seconds
  repeat
    collectgarbage()
    local start = clock()
    f()
    times[#times + 1] = clock() - start
  until clock() > finish
  table.sort(times)
  return times[#times // 2 + 1]
end

local function wanted(name)
  for _, p in ipairs(patterns) do
    if name:find(p) then return true end
  end
  return #patterns == 0
end

local function print_row(name, time)
  print(("%s\t%.6e"):format(name, time))
  io.stdout:flush()
end

-- A classifier: the time of fit, and of predict on the 60,000 rows.
local function classifier(name, make)
  if not wanted(name) then return end
  local m = make()
  m:fit(x, y)
  print_row(name .. " fit", timed(function() m:fit(x, y) end))
  print_row(name .. " predict", timed(function() m:predict(x):close() end))
  if os.getenv "ACCURACY" then io.stderr:write(("%s %.4f\n"):format(name, m:score(tx, ty))) end
end

classifier("GaussianNB", function() return models.NaiveBayes() end)
classifier("BernoulliNB", function()
  return models.NaiveBayes { kind = "bernoulli", binarize = 0.5 }
end)
classifier("MultinomialNB", function() return models.NaiveBayes { kind = "multinomial" } end)
classifier("LDA", function() return models.GaussianClassifier { covariance = "shared" } end)
classifier("QDA", function() return models.GaussianClassifier { reg = 0.1, unbiased = true } end)

-- Another one: the time of f(m), with what note(m) says of it where ACCURACY is asked for.
local function other(name, m, f, note)
  if not wanted(name) then return end
  print_row(name, timed(function() f(m) end))
  if os.getenv "ACCURACY" then io.stderr:write(("%s %s\n"):format(name, note(m))) end
end

local function fit(m) m:fit(x) end

other("KMeans fit", models.KMeans { k = 10, init = x:narrow(1, 1, 10), steps = 30, tol = 0 }, fit,
  function(m) return m.inertia end)
other("PCA fit", models.PCA { components = 50 }, fit,
  function(m) return m.explained_variance:sum():item() end)
other("KNN predict", models.KNN { k = 5 }:fit(x, y), function(m) m:predict(tx):close() end,
  function(m) return m:score(tx, ty) end)

local label, onehot = y:to "f32", y:unsqueeze(2):eq(mare.arange(1, 10, "i64")):to "f32"
for _, r in ipairs { { models.LinearRegression(), onehot }, { models.Ridge(), onehot },
    { models.Lasso { lambda = 0.01, tol = 1e-4 }, label } } do
  local model, target = table.unpack(r)
  other(model.class.name .. " fit", model, function(m) m:fit(x, target) end,
    function(m) return m:score(x, target) end)
end

-- As many steps as bring the loss below what scikit-learn has after its 100.
other("SoftmaxRegression fit", models.SoftmaxRegression { max_steps = 50 },
  function(m) m:fit(x, y) end,
  function(m) return ("loss %.5f, accuracy %.4f"):format(m.objective, m:score(tx, ty)) end)
