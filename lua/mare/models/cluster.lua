-- cluster.lua -- what KMeans, GaussianMixture, KNN and PCA share: random numbers of a seed,
-- distances, centers that lie apart, settings.

local mare_core = require "mare.core"
local check = require "mare.check"

local core, routines, ops = mare_core.functions, mare_core.routines, require "mare.ops".ops

local M = {}

-- -- settings -------------------------------------------------------------------------

local function check_seed(v)
  local seed = type(v) == "number" and math.tointeger(v)
  if not seed then return nil, ("whole number expected, got %s"):format(check.text(v)) end
  return seed
end

--- The setting seed: a whole number, or nil for the random numbers of mare.seed.
M.seed_row = { "seed", nil, check = check_seed }

local function matrix(v)
  if type(v) == "table" and #v > 0 then
    local ok, t = pcall(core.tensor, v, "f64")
    if not ok then return nil, "rows of numbers of one length expected" end
    v = t
  end
  if not core.is_tensor(v) or core.isclosed(v) or v:dim() ~= 2 or v:numel() == 0 then
    return nil, "matrix (rows, columns) expected"
  end
  v = core.detach(v):to "f64":contiguous():clone()
  if not routines.check_finite(v:reshape(-1)) then return nil, "finite values expected" end
  return v
end

--- A tensor or a list of rows as a finite f64 matrix that outlives the user's scopes, or nil
-- and why not.
function M.matrix(v) return core.hold(matrix, v) end

--- Closes the tensors of a table, where what replaces them is there.
function M.close(t)
  for _, v in pairs(t or {}) do
    if core.is_tensor(v) then v:close() end
  end
end

-- -- random numbers -------------------------------------------------------------------

local Restore = { __close = function(t) core.rng_state(t.key, t.counter) end }

--- With a seed: random numbers from it, until the result is closed.
function M.seeded(seed)
  if seed == nil then return nil end
  local key, counter = core.rng_state()
  core.seed(seed)
  return setmetatable({ key = key, counter = counter }, Restore)
end

--- m positions drawn with replacement, each with a chance in proportion to p (n), f64.
function M.draw(p, m)
  local edges = p:cumsum(1)
  local u = core.rand(m, "f64") * edges[-1]
  local inner = edges:narrow(1, 1, p:size(1) - 1)
  return inner:unsqueeze(1):le(u:unsqueeze(2)):sum(2) + 1
end

-- -- distances ------------------------------------------------------------------------

M.sums = { euclidean = 0, manhattan = 1, cosine = 2 }

--- Squared Euclidean distances (n, m), f64, of rows x (n, d) from all rows of y (m, d).
function M.squared_distances(x, y)
  local out = core.empty({ x:size(1), y:size(1) }, "f64")
  routines.pair_sums(x, y, nil, 0, out)
  return out
end

--- The same of row i from row index[i] alone (n).
function M.distances_to(x, y, index)
  local n = x:size(1)
  local out = core.empty({ n, 1 }, "f64")
  routines.pair_sums(x, y, index:reshape(n, 1), 0, out)
  return out:reshape(n)
end

--- Means (d) and variances (d), f64, of rows x, and the sum of their weights.  Where these
-- are not finite, look() is to find the value that is the reason.
function M.moments(x, weights, look)
  local d = x:size(2)
  local count, mean = core.empty(1, "f64"), core.empty({ 1, d }, "f64")
  local variance = core.empty({ 1, d }, "f64")
  routines.class_moments(x, core.ones({ x:size(1) }, "i64"), weights, count, mean, variance)
  local far = x.dtype == "f32" and variance:max():item() > 1e36
  if far or not routines.check_finite(variance:reshape(-1)) then
    if look then look() end
    check.argument(1, "fit", "values so large that their squares overflow")
  end
  return mean:reshape(d), variance:reshape(d), count:item()
end

-- -- first centers --------------------------------------------------------------------

--- k different rows of x as centers (k, d).
function M.random_rows(x, k)
  return x:index_select(1, core.randperm(x:size(1)):narrow(1, 1, k))
end

-- Squared distances below this part of the sizes are those of equal rows.
local TOLERANCE = { f32 = 1e-5, f64 = 1e-12 }

--- What plus_plus knows of rows x: their mean (d), and squared distances from it (n, 1), f64.
function M.about(x)
  local mean = x:mean(1)
  return { mean = mean, squares = M.squared_distances(x, mean:unsqueeze(1)) }
end

-- Squared distances (n, m), f64, from rows (m, d), by a product.
local function apart(x, rows, about)
  local w = rows - about.mean
  local exact = w:to "f64"
  local squares = exact:square():sum(2)
  local d = ops.linear(x, w):to "f64" * -2 + about.squares +
    (squares + exact:matmul(about.mean:to "f64") * 2)
  return ops.relu(d - (about.squares + squares) * TOLERANCE[x.dtype])
end

-- The best of some candidate rows, and how far all rows then are from their nearest center.
local function best_candidate(x, weights, at, nearest, about)
  local rows = x:index_select(1, at)
  local with = apart(x, rows, about)
  if nearest then with = ops.minimum(with, nearest:unsqueeze(2)) end
  local total = (weights and with * weights:unsqueeze(2) or with):sum(1)
  local best = total:argmin():item()
  return rows:narrow(1, best, 1):clone(), with:select(2, best):clone()
end

-- What the next center is drawn by: never one that is there already while others are left.
local function chances(x, weights, nearest)
  local chance = nearest and (weights and nearest * weights or nearest)
  if chance and chance:max():item() > 0 then return chance end
  return weights or core.ones({ x:size(1) }, "f64")
end

--- k rows of x far from each other: each is drawn with a chance in proportion to its squared
-- distance from those there are, and is the best of a few such draws.  about: M.about(x).
-- D. Arthur and S. Vassilvitskii 2007, k-means++: the advantages of careful seeding.
function M.plus_plus(x, k, weights, about)
  local trials = 2 + math.floor(math.log(k))
  local rows, nearest = {}, nil
  for c = 1, k do
    local scope <close> = core.scope()
    local at = M.draw(chances(x, weights, nearest), c == 1 and 1 or trials)
    local row, near = best_candidate(x, weights, at, nearest, about)
    if nearest then nearest:close() end
    rows[c], nearest = scope:keep(row), scope:keep(near)
  end
  return ops.cat(rows, 1)
end

return M
