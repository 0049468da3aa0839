-- knn.lua -- nearest neighbours: what the rows nearest to a new one say of it.
--
-- Candidates are found by products of blocks of rows; their distances are then computed
-- exactly (learn/cluster.c), so a row is at distance 0 from itself in f32 too.

local mare_core = require "mare.core"
local check = require "mare.check"
local cluster = require "mare.models.cluster"
local estimator = require "mare.models.estimator"

local core, routines, ops = mare_core.functions, mare_core.routines, require "mare.ops".ops

local rows = {
  { "k", 5, integer = true, lo = 1 },
  { "weights", "uniform", one_of = { "uniform", "distance" } },
  { "metric", "euclidean", one_of = { "euclidean", "manhattan", "cosine" } },
}

local SPARE = 8        -- more candidates than are wanted, for what rounding confuses
local ROOM = 1 << 22   -- scores at a time that are always allowed
local SQUARES, DIFFERENCES, PRODUCTS = 0, 1, 2

-- -- search -----------------------------------------------------------------------------

-- Sums over the columns of queries q (b, d) with rows index (b, j), or all rows, of x.
local function pair_sums(q, x, index, which)
  local out = core.empty({ q:size(1), index and index:size(2) or x:size(1) }, "f64")
  routines.pair_sums(q, x, index, which, out)
  return out
end

local function norms(x)
  return pair_sums(x, core.zeros({ 1, x:size(2) }, x.dtype), nil, SQUARES):sqrt():select(2, 1)
end

-- The j rows with the least scores (b, n), by their positions (b, j), ascending.
local function candidates(scores, k)
  local _, at = scores:topk(math.min(scores:size(2), k + SPARE), 2, false)
  return (at:sort(2))
end

-- The nearest of some rows: distances (b, k), ascending, and positions (b, k).
local function nearest(distances, at, k)
  local d, order = distances:topk(k, 2, false)
  return d, at and at:gather(2, order) or order
end

local LARGEST = { f32 = 1e17, f64 = 1e150 } -- whose squares and their sums are finite

local function check_size(self, x)
  if math.max(x:max():item(), -x:min():item()) > LARGEST[x.dtype] then
    check.fail("%s: values so large that distances overflow", self.class.name)
  end
end

local search = {} -- (queries, x, k, what is known of x) -> distances, positions

-- |x - q|^2 less what is the same for all x, about the mean of all rows.
function search.euclidean(q, x, k, known)
  local scores = ops.linear((q - known.mean) * -2, x, known.bias)
  local at = candidates(scores, k)
  return nearest(pair_sums(q, x, at, SQUARES):sqrt(), at, k)
end

function search.manhattan(q, x, k)
  return nearest(pair_sums(q, x, nil, DIFFERENCES), nil, k)
end

-- 1 - cosine; a row of zeros is at distance 1 from all.
function search.cosine(q, x, k, known)
  local scores = ops.linear(q, x) * known.scale
  local at = candidates(scores, k)
  local lengths = norms(q):unsqueeze(2) * known.norms:index_select(1, at:reshape(-1))
    :reshape(at.shape)
  local zero = lengths:eq(0):to "f64"
  local cosine = pair_sums(q, x, at, PRODUCTS) / (lengths + zero) * (1 - zero)
  return nearest((1 - cosine):clamp(0, 2), at, k)
end

local prepare = { manhattan = function() return {} end }

function prepare.euclidean(x)
  local mean = cluster.moments(x):to(x.dtype)
  return { mean = mean, bias = pair_sums(x, mean:unsqueeze(1), nil, SQUARES):select(2, 1)
    :to(x.dtype) }
end

function prepare.cosine(x)
  local n = norms(x)
  local zero = n:eq(0):to "f64"
  return { norms = n, scale = ((zero - 1) / (n + zero)):to(x.dtype) }
end

-- Distances (m, k), f64, of the k rows nearest to each query, and their positions.
local function neighbours(self, queries, k, learned)
  local x, metric = learned.x, self.settings.metric
  local known = self:cached("search", function() return prepare[metric](x) end)
  local q = queries:to(x.dtype)
  local m = q:size(1)
  check_size(self, q)
  local distances, at = core.empty({ m, k }, "f64"), core.empty({ m, k }, "i64")
  local size = math.max(1, math.min(1024, math.max(x:size(2) // 8, ROOM // x:size(1))))
  for first = 1, m, size do
    local _ <close> = core.scope()
    local n = math.min(size, m - first + 1)
    local d, i = search[metric](q:narrow(1, first, n), x, k, known)
    distances:narrow(1, first, n):copy_(d)
    at:narrow(1, first, n):copy_(i)
  end
  return distances, at
end

-- What the neighbours count (m, k): 1, or one over their distances; where there are some at
-- distance 0 only these.
local function parts_of(self, distances)
  if self.settings.weights == "uniform" then return distances * 0 + 1 end
  local here = distances:eq(0)
  local at_it = here:any(2, true):to "f64"
  here = here:to "f64"
  return here * at_it + (1 - at_it) / (distances + here)
end

-- -- fitting --------------------------------------------------------------------------

local function remember(self, data, y)
  if data.weights then
    check.argument(3, "fit", "weights: neighbours have none; the setting weights says how " ..
      "they count")
  elseif self.settings.k > data.n then
    check.argument(1, "fit", "%d rows for k = %d neighbours", data.n, self.settings.k)
  end
  check_size(self, data.x)
  data.cache = { search = prepare[self.settings.metric](data.x) }
  return { x = data.x, y = y }
end

local function log_joint(self, x, learned)
  local distances, at = neighbours(self, x, self.settings.k, learned)
  local parts, m = parts_of(self, distances), x:size(1)
  local codes = learned.y:index_select(1, at:reshape(-1)):reshape(m, -1)
  local votes = core.zeros({ m, learned.classes:size(1) }, "f64"):scatter_add(2, codes, parts)
  return (votes / votes:sum(2, true)):log():to(x.dtype)
end

local function predict(self, x, learned)
  local distances, at = neighbours(self, x, self.settings.k, learned)
  local parts, m, t = parts_of(self, distances), x:size(1), learned.y:size(2)
  parts = parts / parts:sum(2, true)
  local y = learned.y:index_select(1, at:reshape(-1)):to "f64":reshape(m, -1, t)
  local out = (y * parts:unsqueeze(3)):sum(2):to(x.dtype)
  return learned.flat and out:reshape(m) or out
end

local methods = {}

--- The rows of fit nearest to rows x (m, d): their distances (m, k), f64, ascending, and their
-- positions (m, k).  k is the setting's without another.
-- `local distances, positions = m:kneighbors(x, 3)`
function methods:kneighbors(x, k)
  local learned = self:ready "kneighbors"
  k = check.count(2, "kneighbors", k == nil and self.settings.k or k)
  if k > learned.x:size(1) then
    check.argument(2, "kneighbors", "%d neighbours of %d rows", k, learned.x:size(1))
  end
  local out = self:run("kneighbors", x, function(q)
    return { neighbours(self, q, k, learned) }
  end)
  return out[1], out[2]
end

local M = {}

--- Classification by the k nearest rows: each has a vote, and the probabilities are the
-- classes' parts of the votes.  Of classes with the same votes the first is predicted.
--
-- Settings:
-- * k (5): neighbours.
-- * weights: "uniform", or "distance": a vote counts one over the distance; rows at distance 0
--   outvote all others.
-- * metric: "euclidean", "manhattan" or "cosine" (1 - cosine).
--
-- Learned: x (n, d), the rows themselves and not a copy: what is written into them later
-- changes the model; y (n, i64), the classes' codes; classes.
--
--     local m = mare.models.KNN { k = 3 }:fit(train.x, train.y)
--     print(m:score(test.x, test.y))
--     local distances, positions = m:kneighbors(test.x)
--
-- T. M. Cover and P. E. Hart 1967, Nearest neighbor pattern classification.
M.KNN = estimator.define {
  name = "KNN", kind = "classifier", doc = "the votes of the k nearest rows", min_classes = 1,
  settings = rows, learned = { x = "real n d", y = "i64 n" }, methods = methods,
  fit = function(self, data) return remember(self, data, data.y) end, log_joint = log_joint,
  verify = function(self, learned)
    local y = learned.y
    if y:size(1) < self.settings.k then return "fewer rows than neighbours" end
    if y:min():item() < 1 or y:max():item() > learned.classes:size(1) then
      return "y has codes of no class"
    end
  end,
}

--- Regression by the k nearest rows: the mean of their targets, (n) or (n, t).
--
-- Settings and metric are those of KNN; with weights = "distance" a target counts one over the
-- distance of its row, and rows at distance 0 count alone.
--
--     local m = mare.models.KNNRegressor { k = 3, weights = "distance" }:fit(x, y)
M.KNNRegressor = estimator.define {
  name = "KNNRegressor", kind = "regressor", doc = "the mean of the k nearest rows",
  settings = rows, learned = { x = "real n d", y = "real n t", flat = "boolean" },
  methods = methods, predict = predict,
  fit = function(self, data)
    local learned = remember(self, data, data.y:reshape(data.n, -1):clone())
    learned.flat = data.y:dim() == 1
    return learned
  end,
  verify = function(self, learned)
    return learned.y:size(1) < self.settings.k and "fewer rows than neighbours" or nil
  end,
}

return M
