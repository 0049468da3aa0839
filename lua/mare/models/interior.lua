-- interior.lua -- the support vector machine with hinge loss, exactly: a primal-dual interior
-- point method whose linear systems have the size of the weights, not of the rows.
--
-- With rows a_i = (x_i, 1), t_i = -1 or 1, and 0 <= alpha_i <= c_i the optimality conditions of
-- min 1/2 v' P v + sum c_i max(0, 1 - t_i a_i v) are P v = A' (t alpha), 1 - t A v + z - u = 0,
-- alpha z = 0, (c - alpha) u = 0.  Newton's method on them, the zeros replaced by mu -> 0, needs
-- (P + A' diag(1/theta) A)^-1 with theta = z / alpha + u / (c - alpha).
--
-- M. C. Ferris and T. S. Munson 2002, Interior-point methods for massive support vector
-- machines; S. Mehrotra 1992, On the implementation of a primal-dual interior point method.

local core = require "mare.core".functions

local M = {}

-- A factorisation of P + A' diag(1/theta) A, as a function that solves with it.
local function factor(q, theta)
  local linalg = require "mare.linalg"
  local scaled = q.A / theta:unsqueeze(2)
  local h = q.A:t():matmul(scaled)
  scaled:close()
  h = h + q.P:unsqueeze(1) * core.eye(q.P:size(1), "f64")
  -- what rounding may have taken from the diagonal
  local diagonal = h:reshape(-1)["::" .. q.P:size(1) + 1]
  diagonal:mul_(1 + 1e-13)
  local l = linalg.cholesky(h)
  return function(b)
    return linalg.solve_triangular(l:t(), linalg.solve_triangular(l, b), true)
  end
end

-- The Newton step with targets mu1 for alpha z and mu2 for (c - alpha) u.
local function direction(q, s, solve, theta, mu1, mu2)
  local margin = 1 - q.t * q.A:matmul(s.v)
  local rho = margin + mu1 / s.alpha - mu2 / s.rest
  local rv = q.A:t():matmul(q.t * s.alpha) - q.P * s.v
  local dv = solve(q.A:t():matmul(q.t * rho / theta) + rv)
  local da = (rho - q.t * q.A:matmul(dv)) / theta
  return { v = dv, alpha = da, z = (mu1 - s.z * da) / s.alpha - s.z,
    u = (mu2 + s.u * da) / s.rest - s.u }
end

-- The longest step, at most 1, that leaves x + a d positive.
local function reach(x, d)
  local ratio = (d * -1 / x):max():item()
  return ratio > 0 and math.min(1, 1 / ratio) or 1
end

local function step_length(s, d)
  return math.min(reach(s.alpha, d.alpha), reach(s.rest, d.alpha * -1), reach(s.z, d.z),
    reach(s.u, d.u))
end

local function gap(alpha, rest, z, u) return (alpha:dot(z) + rest:dot(u)):item() end

local function advance(q, s)
  local n = q.t:size(1)
  local mu = gap(s.alpha, s.rest, s.z, s.u) / (2 * n)
  local theta = s.z / s.alpha + s.u / s.rest
  local solve = factor(q, theta)
  local d = direction(q, s, solve, theta, 0, 0)
  local a = step_length(s, d)
  local reached = gap(s.alpha + d.alpha * a, s.rest - d.alpha * a, s.z + d.z * a, s.u + d.u * a)
  local target = (reached / (2 * n) / mu) ^ 3 * mu
  d = direction(q, s, solve, theta, target - d.alpha * d.z, target + d.alpha * d.u)
  a = 0.995 * step_length(s, d)
  local alpha = s.alpha + d.alpha * a
  return { v = s.v + d.v * a, alpha = alpha, rest = s.rest - d.alpha * a, z = s.z + d.z * a,
    u = s.u + d.u * a }
end

-- The value at v, and how far it may be from the least.
local function values(q, s)
  local primal = (s.v:square() * q.P):sum():item() / 2 +
    ((1 - q.t * q.A:matmul(s.v)):clamp(0, math.huge) * q.c):sum():item()
  local force = q.A:t():matmul(q.t * s.alpha)
  local free = q.P:eq(0)
  local off = (force * free:to "f64"):abs():sum():item()
  local dual = s.alpha:sum():item() -
    (force:square() / q.P:masked_fill(free, math.huge)):sum():item() / 2
  return primal, math.max(primal - dual, off)
end

--- Minimizes 1/2 v' P v + sum c max(0, 1 - t A v) over v (p): A (n, p), P (p), t (n) -1 or 1,
-- c (n) above 0, all f64.  note(step, value, gap) is called at each step.  Returns v, the
-- steps, and why it ended: "gap" (at most tol of the value, or 1e-6 of it where
-- rounding allows no less), "steps" or "rounding".
function M.solve(A, P, t, c, tol, most, note)
  local q = { A = A, P = P, t = t, c = c }
  local s = { v = core.zeros(P:size(1), "f64"), alpha = c * 0.5, rest = c * 0.5,
    z = core.ones(t:size(1), "f64"), u = core.ones(t:size(1), "f64") }
  local best, least, failed = s.v, math.huge, 0
  for k = 0, most do
    local scope <close> = core.scope()
    local value, off = values(q, s)
    if note then note(k, value, off) end
    if off < least then best, least, failed = s.v:clone(), off, 0 else failed = failed + 1 end
    if off <= tol * math.max(math.abs(value), 1e-9) then return scope:keep(best), k, "gap" end
    local ok, new = pcall(advance, q, s)
    if ok and new.v:ne(new.v):any():item() == 0 and failed < 5 then s = new
    elseif not ok and not tostring(new):find "positive" then error(new, 0)
    else return scope:keep(best), k, least <= 1e-6 * math.abs(value) and "gap" or "rounding" end
    scope:keep(s)
    scope:keep(best)
  end
  return best, most, "steps"
end

return M
