-- critical.lua -- what kind of point of a function this is, by its gradient and the
-- eigenvalues of its Hessian, and the way down from a saddle.

local mare = require "mare"
local check = require "mare.check"
local tree = require "mare.tree"
local second_order = require "mare.forward".second_order

local M = {}

-- -- kinds ------------------------------------------------------------------------------

-- a direction (n) in the structure of x
local function unpacked(v, x)
  local at, made = 0, {}
  for i, leaf in ipairs(tree.leaves(x)) do
    made[i] = v:narrow(1, at + 1, leaf:numel()):reshape(leaf.shape):to(leaf.dtype):clone()
    at = at + leaf:numel()
  end
  return tree.replace(x, made)
end

local function default_tolerance(x)
  for _, leaf in ipairs(tree.leaves(x)) do
    if leaf.dtype == "f32" then return 1e-3 end
  end
  return 1e-6
end

local function finite(v) return v == v and math.abs(v) ~= math.huge end

local function check_finite(name, value, g, H)
  if not (finite(value) and finite(g:abs():sum():item()) and finite(H:abs():sum():item())) then
    check.fail("'%s': f, its gradient or its Hessian is not finite at this point", name)
  end
end

-- the kind of a point without slope; eigenvalues below `flat` count as 0
local function kind_of(lowest, highest, count_flat, flat)
  if lowest < -flat and highest > flat then return "saddle" end
  if count_flat > 0 then return "degenerate" end
  return lowest > 0 and "minimum" or "maximum"
end

local SHOWN = 6 -- eigenvalues in a line of text

local function listed(w)
  if w:isclosed() then return "closed" end
  local list = w:totable()
  for i, v in ipairs(list) do list[i] = ("%.4g"):format(v) end
  local n = #list
  if n > SHOWN then list = { list[1], list[2], list[3], "...", list[n - 1], list[n] } end
  return table.concat(list, " ")
end

-- "saddle: value 1, gradient norm 0, eigenvalues -2 2"
local Point = { __name = "mare.CriticalPoint", __tostring = function(p)
  local text = ("%s: value %.6g, gradient norm %.3g, eigenvalues %s"):format(p.kind, p.value,
    p.gradient_norm, listed(p.eigenvalues))
  if not p.reason then return text end
  return ("%s; %d escape%s, %s"):format(text, p.escapes, p.escapes == 1 and "" or "s", p.reason)
end }

local function analyse(name, fn, x, tolerance)
  local value, g, H = second_order(name, fn, x)
  check_finite(name, value, g, H)
  local w, v = mare.linalg.eigh((H + H:t()) / 2)
  local n, slope = #w, g:norm():item()
  local lowest, highest = w[1]:item(), w[n]:item()
  local flat = tolerance * math.max(1, math.abs(lowest), math.abs(highest))
  local point = setmetatable({ value = value, gradient_norm = slope, eigenvalues = w,
    tolerance = tolerance }, Point)
  if slope > tolerance * math.max(1, math.abs(value)) then
    point.kind = "regular"
  else
    point.kind = kind_of(lowest, highest, w:abs():le(flat):sum():item(), flat)
  end
  if point.kind ~= "regular" and lowest < -flat then
    local down = v[{ {}, 1 }]
    -- on the slope that is left, if there is any to speak of, downhill
    if down:dot(g):item() > 1e-3 * slope and slope > 0 then down = -down end
    point.escape = unpacked(down, x)
  end
  return point
end

local function check_point(name, fn, x, opts, known)
  check.callable(1, name, fn)
  local n = 0
  for _, leaf in ipairs(tree.variables(x, name)) do n = n + leaf:numel() end
  if n == 0 then check.argument(2, name, "there are no elements in it") end
  check.options(3, name, opts, known)
  opts = opts or {}
  return opts, check.number(3, name, opts.tolerance, default_tolerance(x), 0, nil, "tolerance")
end

--- mare.critical_point(f, x, opts) -> what kind of point x is for f, which takes a tensor
-- or nested table of tensors and returns a single number:
--   kind           "regular" where the gradient is not 0; otherwise, by the eigenvalues of
--                  the Hessian, "minimum" (all positive), "maximum" (all negative), "saddle"
--                  (of both signs), "degenerate" (some are 0, the others of one sign:
--                  second derivatives do not tell)
--   value, gradient_norm    f(x), and the Euclidean norm of its gradient
--   eigenvalues    of the Hessian, ascending, f64
--   escape         a direction of length 1 in the structure of x along which f falls: that
--                  of the lowest eigenvalue, where x is critical and that is negative
-- tolerance (1e-6; 1e-3 where x has f32) says what counts as 0: a gradient norm up to
-- tolerance max(1, |f|), an eigenvalue up to tolerance max(1, the largest |eigenvalue|).
--     mare.critical_point(function(w) return (1 - w[1] * w[2]) ^ 2 end, mare.zeros(2))
--     --> { kind = "saddle", eigenvalues = -2, 2, escape = 0.7071, 0.7071, ... }
-- The whole Hessian is computed: n^2 numbers for n elements of x.
function M.critical_point(fn, x, opts)
  local _, tolerance = check_point("critical_point", fn, x, opts, { tolerance = true })
  return analyse("critical_point", fn, x, tolerance)
end

-- -- escaping ---------------------------------------------------------------------------

local function moved(x, v, t)
  return tree.map(function(leaf, d)
    return tree.is_real(leaf) and leaf:detach() + d * t or leaf
  end, x, v)
end

-- The step t along v, or against it, at which f is lower than here: halved until it is,
-- then doubled while that helps.  nil when f falls nowhere.
local function descend(fn, x, v, value, step)
  local function at(t) return mare.no_grad(fn, moved(x, v, t)):item() end
  for _ = 1, 60 do
    local ahead, back = at(step), at(-step)
    local t = ahead <= back and step or -step
    local best = math.min(ahead, back)
    if best < value then
      for _ = 1, 60 do
        local further = at(2 * t)
        if further >= best or further ~= further then break end
        t, best = 2 * t, further
      end
      return t, best
    end
    step = step / 2
  end
end

local known = { tolerance = true, step = true, escapes = true, method = true, steps = true }

local function unbounded(value, x)
  local size = 0
  for _, leaf in ipairs(tree.leaves(x)) do size = size + leaf:detach():abs():sum():item() end
  return not finite(value) or not finite(size) or size > 1e15
end

-- Why to stop at this point, if f was `last` before; nil: go on.
local function stopping(point, escapes, limit, last)
  if point.kind == "regular" then
    local gained = last - point.value
    return gained <= 1e-12 * math.max(1, math.abs(point.value)) and "stuck" or nil
  end
  if not point.escape then return point.kind end
  return escapes >= limit and "escapes" or nil
end

--- mare.optim.escape_saddle(f, x, opts) -> x', f(x'), report.  From x downhill to a
-- minimum: at a saddle (or a maximum) a step along the eigenvector of the most negative
-- eigenvalue, as long as f falls, then mare.optim.minimize, and so on until a minimum.
-- x itself is not changed.  Options: tolerance (as for mare.critical_point), step (0.1, the
-- first length tried along a direction), escapes (10, at most), method ("lbfgs") and steps
-- of the minimization.  The report is mare.critical_point's of x', with escapes (their
-- number) and reason: "minimum", "degenerate" (no direction in which f falls to second
-- order), "escapes" (there were too many), "unbounded" (f falls without end) or "stuck".
--     local w, loss, report = mare.optim.escape_saddle(f, mare.zeros(2))
-- Y. Dauphin and others, "Identifying and attacking the saddle point problem", 2014.
function M.escape_saddle(fn, x, opts)
  local tolerance
  opts, tolerance = check_point("escape_saddle", fn, x, opts, known)
  local step = check.number(3, "escape_saddle", opts.step, 0.1, 0, nil, "step")
  if step == 0 then check.argument(3, "escape_saddle", "step: 0") end
  local limit = check.count(3, "escape_saddle", opts.escapes or 10, 0, "escapes")
  local options = { method = opts.method, steps = opts.steps }
  local point, escapes, last = analyse("escape_saddle", fn, x, tolerance), 0, math.huge
  local reason, value = stopping(point, escapes, limit, last), nil
  while not reason do
    last = point.value
    if point.escape then
      local t = descend(fn, x, point.escape, point.value, step)
      if not t then reason = "stuck" break end
      x, escapes = moved(x, point.escape, t), escapes + 1
    end
    if unbounded(last, x) then reason = "unbounded" break end
    x, value = mare.optim.minimize(fn, x, options)
    if unbounded(value, x) then reason = "unbounded" break end
    point = analyse("escape_saddle", fn, x, tolerance)
    reason = stopping(point, escapes, limit, last)
  end
  point.escapes, point.reason = escapes, reason
  return x, reason == "unbounded" and value or point.value, point
end

return M
