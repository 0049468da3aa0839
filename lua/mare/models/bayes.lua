-- bayes.lua -- what the generative classifiers share: priors, and moments merged exactly.

local core = require "mare.core".functions
local check = require "mare.check"

local M = {}

-- -- priors ---

-- A list or tensor of probabilities as a list of numbers that sum to 1.
function M.check_priors(v)
  if core.is_tensor(v) and v:dim() == 1 then v = v:to "f64":totable() end
  if type(v) ~= "table" or #v == 0 then return nil, "list of probabilities expected" end
  local sum, out = 0, {}
  for i, p in ipairs(v) do
    if type(p) ~= "number" or not (p >= 0 and p <= 1) then
      return nil, ("#%d is %s, not a probability"):format(i, check.text(p))
    end
    sum = sum + p
  end
  if math.abs(sum - 1) > 1e-6 then return nil, ("they sum to %g, not 1"):format(sum) end
  for i, p in ipairs(v) do out[i] = p / sum end
  return out
end

-- Priors as a tensor (K): the given ones, or the parts of the counts.
function M.priors_of(self, data, counts)
  local given = self.settings.priors
  if self.settings.fit_prior == false then
    return core.full({ data.K }, 1 / data.K, "f64")
  elseif not given then
    return counts / counts:sum()
  end
  if #given ~= data.K then
    check.fail("%s: %d priors for %d classes (%s)", self.class.name, #given, data.K,
      table.concat(data.classes:totable(), ", ", 1, math.min(data.K, 10)))
  end
  return core.tensor(given, "f64")
end

-- The logarithm of the prior of class k.
function M.log_prior(learned, k)
  local p = learned.priors[k]:item()
  return p > 0 and math.log(p) or -math.huge
end

-- -- merging --------------------------------------------------------------------------
-- Of two sets of rows, with n1 and n2 of a class, means m1 and m2: the mean is m1 + p (m2 - m1)
-- with p = n2 / n, the covariance (1 - p) C1 + p C2 + p (1 - p) (m2 - m1)(m2 - m1)'.
-- T. F. Chan, G. H. Golub and R. J. LeVeque 1983, Algorithms for computing the sample variance.

local merge = {}

function merge.diagonal(a, b, p, delta)
  return a.covariances * (1 - p) + b.covariances * p + delta:square() * p * (1 - p)
end

function merge.full(a, b, p, delta)
  local q = p:unsqueeze(3)
  return a.covariances * (1 - q) + b.covariances * q +
    (delta * (p * (1 - p)):sqrt()):unsqueeze(3) * (delta * (p * (1 - p)):sqrt()):unsqueeze(2)
end

function merge.shared(a, b, p, delta, counts)
  local n, n1 = counts:sum(), a.counts:sum()
  local root = (counts:unsqueeze(2) * p * (1 - p) / n):sqrt() * delta
  return a.covariances * (n1 / n) + b.covariances * (1 - n1 / n) + root:t():matmul(root)
end

-- The moments of both sets of rows, for a kind of covariance.
function M.merge(kind, a, b)
  local counts = a.counts + b.counts
  local p = (b.counts / counts:clamp(1e-300, math.huge)):unsqueeze(2) -- (K, 1)
  local delta = b.means - a.means
  return { counts = counts, means = a.means + delta * p, dtype = b.dtype,
    covariances = merge[kind](a, b, p, delta, counts) }
end

return M
