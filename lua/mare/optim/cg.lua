-- cg.lua -- nonlinear conjugate gradients (Fletcher and Reeves 1964, Function minimization
-- by conjugate gradients; Polak and Ribiere 1969, Note sur la convergence de methodes de
-- directions conjuguees; Hestenes and Stiefel 1952, Methods of conjugate gradients for
-- solving linear systems; section 5.2 of Nocedal and Wright 2006).

local core = require "mare.core".functions
local out = require "mare.ops".out
local descent = require "mare.optim.descent"

local sub = out.sub
local dot, axpy = descent.dot, descent.axpy

local M = {}

--- The formulas of beta, from new gradient g1, old gradient g, y = g1 - g, direction d.
-- Polak and Ribiere's and Hestenes and Stiefel's are cut off at 0, which restarts.
M.formulas = {
  polak_ribiere = function(g1, g, y) return math.max(0, dot(g1, y) / dot(g, g)) end,
  fletcher_reeves = function(g1, g) return dot(g1, g1) / dot(g, g) end,
  hestenes_stiefel = function(g1, _, y, d) return math.max(0, dot(g1, y) / dot(d, y)) end,
}

-- -- the method: see descent.lua -------------------------------------------------------

local Method = {}
Method.__index = Method

--- beta: the name of a formula; restart: after how many steps steepest descent comes
-- again (never by default); lr: the first step, of the length 1.
function M.method(options)
  return setmetatable({
    beta = M.formulas[options.beta or "polak_ribiere"], lr = options.lr or 1,
    restart = options.restart, count = 0, factor = 0,
  }, Method)
end

function Method:direction(_, g, d)
  local last = self.last
  if not last then
    last = core.zeros(g.shape, g.dtype)
    self.last, self.spare = last, core.empty(g.shape, g.dtype)
  end
  out.mul(d, g, -1)
  if self.factor ~= 0 then axpy(d, self.factor, last, self.spare) end
end

function Method:update(_, _, g, g1, d, a)
  local y = self.spare
  sub(y, g1, g)
  self.count = self.count + 1
  local beta = self.beta(g1, g, y, d)
  -- neighbouring gradients far from orthogonal, or long enough on the way: start anew
  if math.abs(dot(g1, g)) >= 0.2 * dot(g1, g1) and self.beta == M.formulas.fletcher_reeves
      or self.count == self.restart or beta ~= beta then
    self.count, beta = 0, 0
  end
  self.factor = beta
  self.last:copy_(d)
  self.change = a * dot(g, d)
end

-- What changes f as much as the step before is a good guess (equation 3.60).
function Method:first(_, g, _, slope)
  if self.change then return self.change / slope end
  return math.min(1, 1 / g:norm():item()) * self.lr
end

function Method:forget()
  local any = self.factor ~= 0
  self.factor, self.count, self.change = 0, 0, nil
  return any
end

function Method:save()
  return self.last and { last = self.last,
    scalars = core.tensor({ { self.factor, self.count, self.change or 0 } }, "f64") } or {}
end

function Method:restore(state)
  if not state.last then return end
  local s = state.scalars:totable()[1]
  self.last, self.spare = state.last:clone(), state.last:clone()
  self.factor, self.count, self.change = s[1], s[2], s[3] ~= 0 and s[3] or nil
end

return M
