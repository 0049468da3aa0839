-- linesearch.lua -- how far to go along a direction: a step with the strong Wolfe
-- conditions, found by bracketing and zooming with cubic interpolation (Nocedal and
-- Wright 2006, Numerical Optimization, algorithms 3.5 and 3.6).
--
-- Close to a minimum, differences of f drown in rounding while slopes are still exact;
-- there the approximate conditions of Hager and Zhang 2005, A new conjugate gradient
-- method with guaranteed descent and an efficient line search, take their place.

local check = require "mare.check"

local M = {}

local abs, huge, max, min, sqrt = math.abs, math.huge, math.max, math.min, math.sqrt

-- The minimizer of the cubic through two points with their slopes, nil without one
-- (Nocedal and Wright, equation 3.59).
local function cubic(a, fa, sa, b, fb, sb)
  local d1 = sa + sb - 3 * (fa - fb) / (a - b)
  local square = d1 * d1 - sa * sb
  if not (square >= 0 and square < huge) then return nil end
  local d2 = (b > a and 1 or -1) * sqrt(square)
  local t = b - (b - a) * (sb + d2 - d1) / (sb - sa + 2 * d2)
  return t == t and abs(t) < huge and t or nil
end
M.cubic = cubic

local function finite(f, s) return f - f == 0 and s - s == 0 end

-- Did f fall enough at step a?
local function falls(o, a, f, s)
  return f <= o.f0 + o.c1 * a * o.s0
    or f <= o.f0 + o.noise and s <= (2 * o.c1 - 1) * o.s0 and s >= o.c2 * o.s0
end

local function flat(o, s) return abs(s) <= -o.c2 * o.s0 end

-- Between lo, the best step so far that falls enough, and hi, with a minimum between.
local function zoom(o, lo, hi)
  local slow = false
  while o.calls < o.limit do
    local width = abs(hi.a - lo.a)
    if width <= 1e-16 * max(lo.a, hi.a) then break end
    local t = cubic(lo.a, lo.f, lo.s, hi.a, hi.f, hi.s) or (lo.a + hi.a) / 2
    local left, right = min(lo.a, hi.a), max(lo.a, hi.a)
    -- too near to an end: once is accepted, then a tenth of the way is gone
    if t - left < 0.1 * width or right - t < 0.1 * width then
      if slow or t <= left or t >= right then
        t = t - left < right - t and left + 0.1 * width or right - 0.1 * width
        slow = false
      else
        slow = true
      end
    else
      slow = false
    end
    local f, s = o.phi(t)
    o.calls = o.calls + 1
    local new = { a = t, f = f, s = s }
    local clear = f > o.f0 + o.noise     -- of rounding
    if not finite(f, s) or not falls(o, t, f, s) or f >= lo.f and clear then
      if not finite(f, s) then new.f, new.s = 1e300, 1e300 end
      hi = new
    elseif flat(o, s) then
      return new
    else
      if s * (hi.a - lo.a) >= 0 then hi = lo end
      lo = new
    end
  end
  return lo.a > 0 and lo or nil
end

-- The next, longer step to try.
local function extend(prev, now, wall)
  local t = cubic(prev.a, prev.f, prev.s, now.a, now.f, now.s)
  local least = now.a + 0.01 * (now.a - prev.a)
  t = t and t > now.a and t or 2 * now.a
  return min(max(t, least), 10 * now.a, (now.a + wall) / 2)
end

--- The constants of a search from options, c2 by default as given: 0 < c1 < c2 < 1.
function M.constants(name, position, options, c2)
  local o = { c1 = options.c1 or 1e-4, c2 = options.c2 or c2 }
  if o.c1 >= o.c2 then
    check.argument(position, name, "c1 (%g) is not below c2 (%g)", o.c1, o.c2)
  end
  return o
end

--- A step along a ray.  phi(a) returns f and its slope at step a; f0 and slope0 are
-- those at 0; first is the step to try first.  o has c1, c2, noise (what f may rise by
-- rounding) and limit (of calls of phi).  Returns the point { a =, f =, s = }, which is
-- not always where phi was called last; nil when nothing falls enough.
function M.strong_wolfe(phi, f0, slope0, first, options)
  local o = {
    phi = phi, f0 = f0, s0 = slope0, calls = 0, c1 = options.c1, c2 = options.c2,
    noise = options.noise, limit = options.limit or 25,
  }
  local prev, wall, a = { a = 0, f = f0, s = slope0 }, huge, first
  while o.calls < o.limit do
    local f, s = phi(a)
    o.calls = o.calls + 1
    local now = { a = a, f = f, s = s }
    if not finite(f, s) then      -- f has an edge here: never so far again
      wall = a
      a = prev.a + 0.1 * (a - prev.a)
    elseif not falls(o, a, f, s) or prev.a > 0 and f >= prev.f then
      return zoom(o, prev, now)
    elseif flat(o, s) then
      return now
    elseif s >= 0 then
      return zoom(o, now, prev)
    else
      a, prev = extend(prev, now, wall), now
    end
    if a <= prev.a then break end
  end
  return prev.a > 0 and prev or nil
end

return M
