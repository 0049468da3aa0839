-- cma_es.lua -- evolution with an adapting covariance matrix (Hansen and Ostermeier 2001,
-- Completely derandomized self-adaptation in evolution strategies; written after Hansen
-- 2016, The CMA evolution strategy: a tutorial, with its default constants and negative
-- weights).  With restarts the population doubles each time (Auger and Hansen 2005, A
-- restart CMA evolution strategy with increasing population size).
--
-- In a box, points outside count as the nearest point inside, from which the
-- distribution learns too.

local core = require "mare.core".functions
local where = require "mare.ops".ops.where
local clip = require "mare.optim.rows".clip

local M = {}

local huge, sqrt, log, max, min = math.huge, math.sqrt, math.log, math.max, math.min

-- -- constants (table 1 of the tutorial) -----------------------------------------------

-- The raw weights ln((k + 1)/2) - ln i, and (sum w)^2/(sum w^2) of w[first..last].
local function raw_weights(k)
  local w = {}
  for i = 1, k do w[i] = log((k + 1) / 2) - log(i) end
  return w
end

local function effective(w, first, last)
  local sum, squares = 0, 0
  for i = first, last do sum, squares = sum + w[i], squares + w[i] ^ 2 end
  return sum ^ 2 / squares, sum
end

local function constants(n, k)
  local c = { n = n, k = k, mu = k // 2 }
  local w = raw_weights(k)
  local mueff, positive = effective(w, 1, c.mu)
  local minus, negative = effective(w, c.mu + 1, k)
  c.mueff = mueff
  c.cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
  c.cs = (mueff + 2) / (n + mueff + 5)
  c.c1 = 2 / ((n + 1.3) ^ 2 + mueff)
  c.cmu = min(1 - c.c1, 2 * (0.25 + mueff + 1 / mueff - 2) / ((n + 2) ^ 2 + mueff))
  c.damps = 1 + 2 * max(0, sqrt((mueff - 1) / (n + 1)) - 1) + c.cs
  c.chi = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))      -- E |N(0, I)|
  local share = min(1 + c.c1 / c.cmu, 1 + 2 * minus / (mueff + 2),
    (1 - c.c1 - c.cmu) / (n * c.cmu))
  c.sum = 0
  for i = 1, k do
    w[i] = w[i] / (i <= c.mu and positive or -negative / max(share, 0))
    if w[i] ~= w[i] then w[i] = 0 end
    c.sum = c.sum + w[i]
  end
  c.w = core.tensor(w, "f64")
  c.parents = c.w:narrow(1, 1, c.mu)
  return c
end

-- -- the distribution --------------------------------------------------------------------

-- C = B diag(D^2) B'
local function decompose(s)
  s.C = (s.C + s.C:t()) / 2
  local w, B = require "mare.linalg".eigh(s.C)
  local least, most = w:min():item(), w:max():item()
  if not (least > 0 and most / least < 1e14) then return "condition" end
  s.B, s.D, s.updated = B, w:sqrt(), s.generation
end

local function new_state(run, x, options)
  local n = x:numel()
  local k = options.population or 4 + math.floor(3 * log(n))
  local s = {
    run = run, c = constants(n, k << run.attempt - 1), generation = 0, updated = 0,
    mean = x:to "f64", sigma = options.sigma or 0.5, dtype = x.dtype,
    ps = core.zeros({ n }, "f64"), pc = core.zeros({ n }, "f64"), B = core.eye(n, "f64"),
    D = core.ones({ n }, "f64"), recent = {},
  }
  if run.lo then
    s.lo, s.hi = run.lo:to "f64", run.hi:to "f64"
    local width = s.hi - s.lo
    -- the box tells how far to go along each axis
    if not options.sigma and width:max():item() < huge then s.sigma, s.D = 0.3, width end
  end
  s.C = s.D * s.D * core.eye(n, "f64")
  s.first_sigma = s.sigma
  return s
end

-- k points: Y are their steps from the mean in units of sigma.
local function sample(s)
  local Z = core.randn({ s.c.k, s.c.n }, "f64")
  local Y = (Z * s.D):matmul(s.B:t())
  local X = Y * s.sigma + s.mean
  if s.lo then
    clip(X, s.lo, s.hi)
    Y = (X - s.mean) / s.sigma
  end
  return X, Y
end

-- Order of the values from best to worst; nan comes last.
local function ranking(values)
  local order = {}
  for i = 1, #values do
    if values[i] ~= values[i] then values[i] = huge end
    order[i] = i
  end
  table.sort(order, function(a, b)
    if values[a] ~= values[b] then return values[a] < values[b] end
    return a < b
  end)
  return order
end

local function whiten(s, Y) return Y:matmul(s.B) / s.D end     -- rows of Y by C^-1/2, turned

-- Paths, covariance and step size after the sorted steps Y, (k, n).
local function adapt(s, Y)
  local c, n = s.c, s.c.n
  local step = c.parents:matmul(Y:narrow(1, 1, c.mu))
  s.mean = s.mean + step * s.sigma
  local white = s.B:matmul(whiten(s, step:reshape(1, n)):reshape(n))
  s.ps = s.ps * (1 - c.cs) + white * sqrt(c.cs * (2 - c.cs) * c.mueff)
  local length = s.ps:norm():item()
  local h = length / sqrt(1 - (1 - c.cs) ^ (2 * s.generation)) < (1.4 + 2 / (n + 1)) * c.chi
  s.pc = s.pc * (1 - c.cc)
  if h then s.pc = s.pc + step * sqrt(c.cc * (2 - c.cc) * c.mueff) end
  local lost = h and 0 or c.c1 * c.cc * (2 - c.cc)
  -- steps with negative weights count with one length, so that C stays positive
  local lengths = whiten(s, Y):square():sum(2)
  local weights = where(c.w:lt(0), c.w * n / (lengths + 1e-300), c.w)
  s.C = s.C * (1 + lost - c.c1 - c.cmu * c.sum) + s.pc:outer(s.pc) * c.c1
    + Y:t():matmul(Y * weights:unsqueeze(2)) * c.cmu
  s.sigma = s.sigma * math.exp(min(1, c.cs / c.damps * (length / c.chi - 1)))
end

-- -- when to stop ------------------------------------------------------------------------

-- Have the best values of the last generations, and all of this one, become equal?
local function equal(s, best, worst)
  local span = 10 + math.ceil(30 * s.c.n / s.c.k)
  table.insert(s.recent, best)
  if #s.recent > span then table.remove(s.recent, 1) end
  if #s.recent < span then return false end
  local low, high = best, worst
  for _, v in ipairs(s.recent) do low, high = min(low, v), max(high, v) end
  return high - low <= s.run.value_tol * (1 + math.abs(low))
end

local function small(s)
  local spread = s.C:square():sum():sqrt():item() ^ 0.5
  local limit = s.run.step_tol * (1 + s.mean:norm(huge):item())
  return s.sigma * max(spread, s.pc:norm(huge):item()) <= limit
end

local function generation(s, x, best)
  local run = s.run
  s.generation = s.generation + 1
  local X, Y = sample(s)
  local values = run:values(s.dtype == "f64" and X or X:to(s.dtype))
  local order = ranking(values)
  local first, last = values[order[1]], values[order[#order]]
  if first < best then
    best = first
    x:copy_(X[order[1]]:to(s.dtype))
  end
  local before = s.mean
  adapt(s, Y:index_select(1, core.tensor(order, "i64")))
  local reason
  if s.sigma - s.sigma ~= 0 then return best, "nan" end
  if (s.generation - s.updated) * (s.c.c1 + s.c.cmu) * s.c.n * 10 > 1 then reason = decompose(s) end
  run.steps = run.steps + 1
  return best, run:note(x, best, nil, (s.mean - before):norm():item(), s.sigma) or reason
    or (equal(s, first, last) or small(s)) and "spread" or nil
end

--- Minimizes from x, which becomes the best point seen.  Options: population
-- (4 + 3 ln n), sigma (0.5, or 0.3 of the widths of the box: how far the first points
-- are from x).
function M.run(run, x, options)
  local s = new_state(run, x, options)
  local best = run:check_start(run:value(x), true)
  local reason = run:note(x, best, nil, nil, s.sigma)
  while not reason do best, reason = generation(s, x, best) end
  return best, reason
end

return M
