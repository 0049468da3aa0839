-- kmeans.lua -- k-means: rows in k clusters, each with a center that is the mean of its rows.
--
-- One step is one pass over the rows (learn/cluster.c).  Products are those of the centers
-- less the mean of all rows, so that they lose little to a large mean.

local mare_core = require "mare.core"
local check = require "mare.check"
local cluster = require "mare.models.cluster"
local estimator = require "mare.models.estimator"

local core, routines, ops = mare_core.functions, mare_core.routines, require "mare.ops".ops

-- -- settings -------------------------------------------------------------------------

local function check_init(v)
  if v == "k-means++" or v == "random" then return v end
  if type(v) == "string" then
    return nil, ("unknown value '%s'; known: k-means++, random, a tensor of centers (k, d)")
      :format(v)
  end
  return cluster.matrix(v)
end

local rows = {
  { "k", 8, integer = true, lo = 1 },
  { "init", "k-means++", check = check_init },
  { "restarts", 10, integer = true, lo = 1 },
  { "tol", 1e-4, lo = 0 },
  { "steps", 300, integer = true, lo = 1 },
  { "batch", nil, integer = true, lo = 1 },
  cluster.seed_row,
}

local learned_fields = { centers = "f64 k d", counts = "f64 k", inertia = "number",
  labels = "?i64 n", steps = "number", converged = "boolean", reason = "string" }

-- -- one pass -------------------------------------------------------------------------

-- What nearest_centers takes for centers (k, d): w (k, d), of a type, and bias (k).
local function scorer(centers, dtype)
  local mean = centers:mean(1, true)
  local w = (centers - mean):to(dtype)
  local exact = w:to "f64"
  return w, exact:square():sum(2) + (exact * mean):sum(2) * 2
end

-- Codes of the nearest centers of rows x, into codes; with sums also those of the rows, which
-- were by the codes before (0 for none).
local function assign(x, weights, centers, codes, counts, sums)
  local w, bias = scorer(centers, x.dtype)
  local _, changed = routines.nearest_centers(x, w, bias, weights, codes, counts, sums)
  return changed
end

local function nearest(x, centers)
  local codes = core.zeros({ x:size(1) }, "i64")
  assign(x, nil, centers, codes)
  return codes
end

-- Empty clusters take the rows that are farthest from their centers, in the sums and codes.
local function reseed(x, weights, centers, codes, counts, sums)
  local empty = counts:eq(0):nonzero():reshape(-1)
  local m = math.min(empty:size(1), x:size(1))
  if m == 0 then return end
  local far = cluster.distances_to(x, centers:to(x.dtype), codes)
  if weights then far = far * weights:gt(0):to "f64" end
  local distance, at = far:topk(m)
  for i = 1, m do
    if distance[i]:item() <= 0 then return end -- fewer different rows than clusters
    local row, to = at[i]:item(), empty[i]:item()
    local from, w = codes[row]:item(), weights and weights[row]:item() or 1
    local value = x[row]:to "f64" * w
    sums[from]:sub_(value)
    sums[to]:copy_(value)
    counts[from]:sub_(w)
    counts[to]:fill_(w)
    codes[row]:fill_(to)
  end
end

-- Means of the sums; a cluster without rows keeps its center.
local function means_of(sums, counts, before)
  local filled = counts:gt(0):unsqueeze(2)
  local means = sums / ops.where(filled, counts:unsqueeze(2), 1)
  return ops.where(filled, means, before)
end

-- -- Lloyd's algorithm ----------------------------------------------------------------

local Run = {} -- one start: { x, weights, tol, limit, codes, counts, sums, centers }
Run.__index = Run

-- One step: how many codes changed and how far the centers moved, squared and summed.
function Run:step()
  local _ <close> = core.scope()
  local changed = assign(self.x, self.weights, self.centers, self.codes, self.counts, self.sums)
  reseed(self.x, self.weights, self.centers, self.codes, self.counts, self.sums)
  local centers = means_of(self.sums, self.counts, self.centers)
  local moved = (centers - self.centers):square():sum():item()
  self.centers:copy_(centers)
  return changed, moved
end

local function inertia_of(x, weights, centers, codes)
  local _ <close> = core.scope()
  local d = cluster.distances_to(x, centers:to(x.dtype), codes)
  return (weights and d * weights or d):sum():item()
end

function Run:finish(steps, converged, reason)
  local _ <close> = core.scope()
  if reason ~= "labels" then
    assign(self.x, self.weights, self.centers, self.codes, self.counts, self.sums)
  end
  return { centers = self.centers, counts = self.counts, labels = self.codes,
    inertia = inertia_of(self.x, self.weights, self.centers, self.codes),
    steps = steps, converged = converged, reason = reason }
end

function Run:run()
  for i = 1, self.limit do
    local changed, moved = self:step()
    if changed == 0 then return self:finish(i, true, "labels") end
    if moved <= self.tol then return self:finish(i, true, "tol") end
  end
  return self:finish(self.limit, false, "steps")
end

local function run(self, data, centers, tol)
  local k, d = centers:size(1), data.features
  return setmetatable({ x = data.x, weights = data.weights, limit = self.settings.steps,
    tol = tol, centers = centers:to "f64":clone(), codes = core.zeros({ data.n }, "i64"),
    counts = core.zeros(k, "f64"), sums = core.zeros({ k, d }, "f64") }, Run):run()
end

-- -- first centers --------------------------------------------------------------------

local function check_k(self, data, name)
  local s = self.settings
  local k = core.is_tensor(s.init) and s.init:size(1) or s.k
  if core.is_tensor(s.init) and s.init:size(2) ~= data.features then
    check.argument(1, name, "%d columns; the setting init has %d (shape %s)", data.features,
      s.init:size(2), check.shape(s.init))
  elseif data.n < k then
    check.argument(1, name, "%d rows for k = %d clusters", data.n, k)
  end
  return k
end

-- What all starts may know of the rows.
local function about(self, x)
  return self.settings.init == "k-means++" and cluster.about(x) or nil
end

local function first_centers(self, x, weights, k, known)
  local init = self.settings.init
  if core.is_tensor(init) then return init end
  if init == "random" then return cluster.random_rows(x, k):to "f64" end
  return cluster.plus_plus(x, k, weights, known):to "f64"
end

local function restarts_of(self)
  return core.is_tensor(self.settings.init) and 1 or self.settings.restarts
end

-- The best of some results of f(): that of the least inertia.
local function best_of(count, f)
  local best
  for _ = 1, count do
    local scope <close> = core.scope()
    local result = f()
    if not best or result.inertia < best.inertia then
      cluster.close(best)
      best = scope:keep(result)
    end
  end
  return best
end

local function fit_whole(self, data, k)
  local _, variance = cluster.moments(data.x, data.weights, data.check)
  local tol = self.settings.tol * variance:mean():item()
  local known = about(self, data.x)
  return best_of(restarts_of(self), function()
    return run(self, data, first_centers(self, data.x, data.weights, k, known), tol)
  end)
end

-- -- mini-batches ---------------------------------------------------------------------
-- Each center moves towards the mean of its rows of a batch by the part that they are of all
-- rows it has had.  D. Sculley 2010, Web-scale k-means clustering.

-- centers and counts after a batch, and its inertia before.
local function batch_step(x, weights, centers, counts)
  local k, codes = centers:size(1), core.zeros({ x:size(1) }, "i64")
  local more, sums = core.zeros(k, "f64"), core.zeros({ k, x:size(2) }, "f64")
  assign(x, weights, centers, codes, more, sums)
  local inertia = inertia_of(x, weights, centers, codes)
  local total = counts + more
  return means_of(sums + centers * counts:unsqueeze(2), total, centers), total, inertia
end

-- Centers that had less than a hundredth of the rows of the largest begin anew at rows of x.
local function revive(x, centers, counts)
  local poor = counts:lt(counts:max() * 0.01):nonzero():reshape(-1)
  local m = math.min(poor:size(1), x:size(1) // 2)
  if m == 0 then return centers, counts end
  poor = poor:narrow(1, 1, m)
  local least = ops.where(counts:lt(counts:max() * 0.01), math.huge, counts):min()
  return centers:index_copy(1, poor, cluster.random_rows(x, m):to "f64"),
    counts:index_copy(1, poor, core.ones(m, "f64") * least)
end

local PATIENCE = 10 -- batches without a smaller smoothed inertia

-- Follows the smoothed inertia of a row: true when it is time to stop.
local function watcher(n, batch)
  local alpha = math.min(1, 2 * batch / (n + 1))
  local smooth, least, since = nil, math.huge, 0
  return function(inertia)
    smooth = smooth and smooth * (1 - alpha) + inertia * alpha or inertia
    since = smooth < least and 0 or since + 1
    least = math.min(least, smooth)
    return since >= PATIENCE
  end
end

-- A batch of rows by their positions.
local function take(data, at)
  local w = data.weights and data.weights:index_select(1, at)
  return data.x:index_select(1, at), w and w:sum():item() > 0 and w or nil
end

-- Goes through the rows in random order, `steps` times at most.
local function batches(self, data, centers)
  local size = math.min(self.settings.batch, data.n)
  local counts, stop = core.zeros(centers:size(1), "f64"), watcher(data.n, size)
  local number = 0
  centers = centers:clone() -- a setting stays as it is
  for _ = 1, self.settings.steps do
    local order = core.randperm(data.n)
    for first = 1, data.n - size + 1, size do
      local scope <close> = core.scope()
      local x, w = take(data, order:narrow(1, first, size))
      local c, n, inertia = batch_step(x, w, centers, counts)
      number = number + 1
      if number % 10 == 0 then c, n = revive(x, c, n) end
      cluster.close { centers, counts }
      centers, counts = scope:keep(c), scope:keep(n)
      if stop(inertia / size) then return centers, number, true end
    end
  end
  return centers, number, false
end

-- Starts are compared by what a sample of the rows makes of them.
local function best_start(self, data, k)
  local at = core.randperm(data.n):narrow(1, 1, math.min(data.n,
    math.max(3 * self.settings.batch, 3 * k)))
  local x, w = take(data, at)
  local known = about(self, x)
  return best_of(restarts_of(self), function()
    local centers = first_centers(self, x, w, k, known)
    return { centers = centers, inertia = inertia_of(x, w, centers, nearest(x, centers)) }
  end).centers
end

local function fit_batches(self, data, k)
  data.check()
  local centers, steps, converged = batches(self, data, best_start(self, data, k))
  local codes, counts = core.zeros({ data.n }, "i64"), core.zeros(k, "f64")
  assign(data.x, data.weights, centers, codes, counts, core.zeros(centers.shape, "f64"))
  return { centers = centers, counts = counts, labels = codes, steps = steps,
    inertia = inertia_of(data.x, data.weights, centers, codes), converged = converged,
    reason = converged and "inertia" or "steps" }
end

-- -- fitting --------------------------------------------------------------------------

local function fit(self, data)
  local k = check_k(self, data, "fit")
  local _ <close> = cluster.seeded(self.settings.seed)
  return (self.settings.batch and fit_batches or fit_whole)(self, data, k)
end

local function partial(self, data, before)
  data.check()
  local _ <close> = cluster.seeded(not before and self.settings.seed or nil)
  local centers, counts = before and before.centers, before and before.counts
  if not before then
    local k = check_k(self, data, "partial_fit")
    centers = first_centers(self, data.x, data.weights, k, about(self, data.x))
    counts = core.zeros(k, "f64")
  end
  local inertia
  centers, counts, inertia = batch_step(data.x, data.weights, centers, counts)
  return { centers = centers, counts = counts, inertia = inertia, converged = false,
    steps = (before and before.steps or 0) + 1, reason = "partial_fit" }
end

-- -- methods --------------------------------------------------------------------------

local methods = {}

--- The clusters 1..k (n, i64) whose centers are nearest to rows x (n, d).
function methods:predict(x)
  return self:run_finite("predict", x, function(data, learned)
    return nearest(data, learned.centers)
  end)
end

--- The distances (n, k) of rows x (n, d) from the centers, of x's type.
function methods:transform(x)
  return self:run_finite("transform", x, function(data, learned)
    return cluster.squared_distances(data, learned.centers:to(data.dtype)):sqrt():to(data.dtype)
  end)
end

--- Minus the inertia of rows x (n, d): the sum of their squared distances from the nearest
-- centers.  Option: weights (n).
function methods:score(x, opts)
  check.options(2, "score", opts, { weights = true })
  return self:run_finite("score", x, function(data, learned)
    local w = estimator.weights(2, "score", opts and opts.weights, data:size(1))
    return -inertia_of(data, w, learned.centers, nearest(data, learned.centers))
  end)
end

--- fit(x, opts), then the clusters (n, i64) of its rows.
function methods:fit_predict(x, opts)
  return self:fit(x, opts).labels:clone()
end

--- fit(x, opts), then transform(x).
function methods:fit_transform(x, opts)
  return self:fit(x, opts):transform(x)
end

--- Clustering by k-means: k centers such that the sum of the squared distances of all rows
-- from their nearest centers, the inertia, is small.  Centers become the means of the rows
-- that are nearest to them, again and again (Lloyd's algorithm).
--
-- Settings:
-- * k (8): how many clusters.
-- * init: "k-means++", first centers that lie far from each other; "random", random rows; or
--   a tensor (k, d), or list, of centers, from which there is one start.
-- * restarts (10): starts, of which the one with the least inertia is kept.
-- * tol (1e-4): stop when the squared moves of the centers sum to no more than tol times the
--   mean variance of a column.
-- * steps (300): at most that many passes over the rows, in each start.
-- * batch (nil): instead of all rows take that many at a time (mini-batch k-means); restarts
--   then counts first centers, of which the best for a sample of the rows is taken.
-- * seed: of the random numbers; without it those of mare.seed.
--
-- Learned: centers (k, d) and counts (k), the summed weights of each cluster, f64; labels
-- (n, i64) in 1..k; inertia; steps, the number of passes (batches); converged; reason:
-- "labels" (none changed), "tol", "inertia" (of batches: no longer less) or "steps".
--
-- A cluster that loses all its rows takes the row farthest from its center.  When there are
-- fewer different rows than clusters some centers coincide and some counts are 0.
-- fit(x, { weights = w }) counts row i w_i times.  partial_fit(x) is one step with a batch.
--
--     local m = mare.models.KMeans { k = 10, seed = 1 }:fit(x)
--     print(m.inertia, m.centers)
--     local clusters = m:predict(other)
--
-- S. P. Lloyd 1982, Least squares quantization in PCM.
return estimator.define {
  name = "KMeans", kind = "plain", doc = "k clusters around means",
  settings = rows, learned = learned_fields, lazy = true,
  fit = fit, partial = partial, methods = methods,
}
