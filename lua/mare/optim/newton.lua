-- newton.lua -- Newton's method with a line search, in two ways.
--
-- "full": the Hessian and its eigenvalues, each taken by its size and at least a small
-- fraction of the largest, so that the step descends where the function curves down
-- (Greenstadt 1967, On the relative efficiencies of gradient methods; section 3.4 of
-- Nocedal and Wright 2006).  "products": conjugate gradients on H d = -g, cut off at
-- negative curvature (Dembo and Steihaug 1983, Truncated-Newton algorithms for large-scale
-- unconstrained optimization; algorithm 7.1 of Nocedal and Wright), from products H v
-- alone.  `damping` adds to the diagonal of H in both (Levenberg 1944, A method for the
-- solution of certain non-linear problems in least squares).
--
-- H comes from the tape; where f returns its gradient itself, and in step(closure),
-- from differences of gradients.

local core = require "mare.core".functions
local out = require "mare.ops".out
local descent = require "mare.optim.descent"

local mul, sub = out.mul, out.sub
local dot, axpy, largest = descent.dot, descent.axpy, descent.largest

local M = {}

local SMALL = 200     -- variables up to which the full Hessian is the default

M.hessians = { full = true, products = true }

-- -- products with the Hessian ---------------------------------------------------------

-- H v by a difference of gradients along v; each costs a call of f.
local function difference(run, x, g, v)
  local h = descent.epsilon[x.dtype] ^ 0.5 * (1 + largest(x)) / largest(v)
  local there, moved = x + v * h, core.empty(x.shape, x.dtype)
  run:gradient(there, moved)
  return (moved - g) / h
end

local function on_tape(run)
  local problem = run.problem
  return problem.recorded and not problem.given and not problem.vectorized
end

local function product(run, x, g, v)
  if not on_tape(run) then return difference(run, x, g, v) end
  run.gradients = run.gradients + 1
  return require "mare.forward".hvp(run.problem:on_tape(), x, v)
end

-- H, made symmetric where it comes from differences
local function hessian(run, x, g)
  if on_tape(run) then
    run.gradients = run.gradients + 1
    return require "mare.forward".hessian(run.problem:on_tape(), x)
  end
  local n = x:numel()
  local H, v = core.empty({ n, n }, x.dtype), core.zeros({ n }, x.dtype)
  for i = 1, n do
    v[i] = 1
    H[i] = difference(run, x, g, v)
    v[i] = 0
  end
  return (H + H:t()) / 2
end

-- -- directions ------------------------------------------------------------------------

-- d = -V |W|^-1 V' g
local function full(self, x, g, d)
  local H = hessian(self.run, x, g)
  local w, V = require "mare.linalg".eigh(H)
  w = (w + self.damping):abs()
  local least = math.max(w:max():item() * self.floor, 1e-300)
  d:copy_(V:matmul(V:t():matmul(g) / w:clamp(least, math.huge)))
  d:neg_()
end

-- Conjugate gradients on H d = -g, as far as g's size makes it worth while.
local function truncated(self, x, g, d)
  d:zero_()
  local r, p, spare = g:clone(), g * -1, core.empty(g.shape, g.dtype)
  local rr = dot(r, r)
  local norm = math.sqrt(rr)
  local enough = math.min(0.5, math.sqrt(norm)) * norm
  for i = 1, math.max(20, 2 * g:numel()) do
    local hp = product(self.run, x, g, p)
    axpy(hp, self.damping, p, spare)
    local curve = dot(p, hp)
    local convex = curve > descent.epsilon[x.dtype] * dot(p, p)
    if not convex then
      if i == 1 then mul(d, g, -1) end
      return
    end
    local a = rr / curve
    axpy(d, a, p, spare)
    axpy(r, a, hp, spare)
    local next_rr = dot(r, r)
    if next_rr <= enough * enough then return end
    mul(p, p, next_rr / rr)
    sub(p, p, r)
    rr = next_rr
  end
end

-- -- the method: see descent.lua -------------------------------------------------------

local Method = {}
Method.__index = Method

--- hessian: "full" (up to 200 variables) or "products"; damping (0); lr (1: the first
-- step tried, of a full one).
function M.method(options)
  return setmetatable({ lr = options.lr or 1, damping = options.damping or 0, floor = 1e-8,
    kind = options.hessian }, Method)
end

function Method:direction(x, g, d)
  if self.plain then return mul(d, g, -1) end
  local kind = self.kind or (x:numel() <= SMALL and "full" or "products")
  return (kind == "full" and full or truncated)(self, x, g, d)
end

function Method:update() self.plain = false end

function Method:first(_, g)
  return self.plain and math.min(1, 1 / g:norm():item()) or self.lr
end

function Method:forget()
  local was = self.plain
  self.plain = true
  return not was
end

function Method:save() return {} end      -- luacheck: no self
function Method:restore() end             -- luacheck: no self

return M
