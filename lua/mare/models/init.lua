-- models -- estimators: settings at construction, learned fields after fit.
--
--     local m = mare.models.GaussianClassifier { covariance = "shared" }
--     m:fit(x, y)
--     m:predict(x)  m:predict_proba(x)  m:score(x, y)  m:save "m.safetensors"
--
-- Each is made when it is first used; estimator.lua is what they share.

local hold = require "mare.core".functions.hold
local check = require "mare.check"
local store = require "mare.models.store"

local M = {}

local parts = { -- estimator = the module that returns it, or the module and a field of it
  GaussianClassifier = "mare.models.gaussian",
  LogisticRegression = { "mare.models.logistic", "LogisticRegression" },
  SoftmaxRegression = { "mare.models.logistic", "SoftmaxRegression" },
  Perceptron = "mare.models.perceptron",
  LinearSVM = "mare.models.svm",
  OneVsRest = "mare.models.one_vs_rest",
  NaiveBayes = "mare.models.naive_bayes",
  KMeans = "mare.models.kmeans",
  KNN = { "mare.models.knn", "KNN" },
  KNNRegressor = { "mare.models.knn", "KNNRegressor" },
  GaussianMixture = "mare.models.mixture",
  PCA = "mare.models.pca",
  LinearRegression = "mare.models.linear",
  Ridge = "mare.models.ridge",
  Lasso = { "mare.models.lasso", "Lasso" },
  HuberRegression = "mare.models.huber",
  ElasticNet = { "mare.models.lasso", "ElasticNet" },
  Standardize = { "mare.data.scale", "Standardize" }, MinMax = { "mare.data.scale", "MinMax" },
  Normalize = { "mare.data.scale", "Normalize" }, PCAWhiten = { "mare.data.scale", "PCAWhiten" },
  OneHot = { "mare.data.encode", "OneHot" },
}

local tools = { cross_validate = true, grid_search = true, learning_curve = true }

local function part(name)
  local where = parts[name]
  if where == nil then return nil end
  return type(where) == "table" and require(where[1])[where[2]] or require(where)
end

local function names()
  local list = {}
  for name in pairs(parts) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- Reads an estimator that m:save wrote, from a file or { string = bytes }; returns nil and
-- a message when the file is not that of an estimator, or does not hold together.
-- `local m = assert(mare.models.load "model.safetensors")`
function M.load(from)
  local name, tree = hold(store.load, from)
  if not name then return nil, tree end
  local estimator = require "mare.models.estimator"
  local class = part(name) or estimator.kinds[name]
  if not class then return nil, check.unknown("estimator", name, names()) end
  local model, message = estimator.restore(class, tree)
  if not model then return nil, ("%s: %s"):format(name, message) end
  return model
end

--- Is v an estimator?
function M.is_estimator(v) return require "mare.models.estimator".is_estimator(v) end

return setmetatable(M, {
  __index = function(t, name)
    local class = tools[name] and require "mare.models.selection"[name] or part(name)
    if class == nil then
      if type(name) == "string" and name:find "^%u" then
        check.fail("mare.models: %s", check.unknown("estimator", name, names()))
      end
      return nil
    end
    rawset(t, name, class)
    return class
  end,
  __name = "mare.models",
  __members = names,
})
