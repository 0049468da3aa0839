-- limits_spec.lua -- every element-wise row and its derivatives where numbers end: at 0, at
-- kinks, at +-1e4, at the smallest numbers, at infinity and NaN, in f32 and f64.
--
-- What is right is derived: the value at infinity is where the values at 1e60, 1e90 and 1e120
-- lead to; at 0 and at a kink it lies between those on both sides; f32 is f64 rounded.
-- Where this cannot tell, `stated` says it by hand.

local mare = require "mare"
local registry = require "mare.ops"
local support = require "spec.support"

local flat, demand = support.flat, support.demand
local unpack, huge, nan = table.unpack, math.huge, 0/0

local list = {}
for _, row in pairs(registry.rows) do
  if not row.structured and (row.kind == "real" or row.kind == "arith") then list[#list + 1] = row end
end
table.sort(list, function(a, b) return a.name < b.name end)

-- -- points ------------------------------------------------------------------------------

local SPECIAL = {0, -0.0, 2.0^-149, -2.0^-149, 2.0^-140, 0.5, -0.5, 1, -1, 3, -3, 1e4, -1e4, huge,
  -huge, nan}

local function is_mask(row, i) return row.args[i] == "mask" end

-- The operands that make sense where not every number does: targets, variances, slopes.
local any_target = {0, 0.5, 1, -1, 3, -3, 1e4, -1e4, nan}
local domain = {
  bce = {x = {0, 2.0^-149, 2.0^-140, 0.25, 0.5, 1, nan}, t = {0, 0.5, 1, nan}},
  bce_logits = {t = {0, 0.5, 1, nan}}, focal = {t = {0, 1, nan}},
  hinge = {t = {-1, 1, nan}}, squared_hinge = {t = {-1, 1, nan}}, soft_margin = {t = {-1, 1, nan}},
  hinge_embedding = {t = {-1, 1, nan}}, kl_div = {t = {0, 0.5, 1, 3, nan}},
  poisson_nll = {t = {0, 1, 3, 1e4, nan}}, squared_log_error = {t = {0, 0.5, 1, 3, 1e4, nan}},
  gaussian_nll = {c = {2.0^-140, 0.5, 1, 3, 1e4, huge, nan}},
  prelu = {b = any_target}, lerp = {c = {0, 0.5, 1, -1, 3, nan}},
  idiv = {b = {0.5, -0.5, 1, -1, 3, 1e4, huge, nan}}, mod = {b = {0.5, -0.5, 1, -1, 3, 1e4, nan}},
}

local function values_of(row, i, values)
  if is_mask(row, i) then return {0, 1, 2} end
  return domain[row.name] and domain[row.name][row.args[i]] or values
end

-- all points whose coordinates are among these
local function grid(row, values)
  local points = {{}}
  for i = 1, #row.args do
    local longer = {}
    for _, p in ipairs(points) do
      for _, v in ipairs(values_of(row, i, values)) do
        longer[#longer + 1] = {v, unpack(p)}
      end
    end
    points = longer
  end
  for k, p in ipairs(points) do     -- operands in their order
    local q = {}
    for i = 1, #p do q[i] = p[#p + 1 - i] end
    points[k] = q
  end
  return points
end

-- the values and the derivatives of a row at points: lists by "value", 1, 2 ...
local function evaluate(row, points, dtype)
  local args, results = {}, {}
  for i = 1, #row.args do
    local column = {}
    for k, p in ipairs(points) do column[k] = p[i] end
    args[i] = mare.tensor(column, is_mask(row, i) and "u8" or dtype)
    if not is_mask(row, i) then args[i] = args[i]:requires_grad() end
  end
  local y = row.call(unpack(args))
  y:backward(mare.ones(y.shape, dtype))
  results.value = flat(y:detach())
  for i = 1, #row.args do
    if row.derivatives[i] then results[i] = flat(args[i].grad) end
  end
  return results
end

local function text(row, point, what, dtype)
  local words = {}
  for i, v in ipairs(point) do words[i] = ("%s = %.9g"):format(row.args[i], v) end
  local of = what == "value" and "value" or "derivative to " .. row.args[what]
  return ("%s %s at %s"):format(dtype, of, table.concat(words, ", "))
end

local function any(point, test)
  for _, v in ipairs(point) do if test(v) then return true end end
  return false
end

local function is_nan(v) return v ~= v end

local function is_tiny(v) return v ~= 0 and math.abs(v) < 2.0^-126 end

-- -- NaN -----------------------------------------------------------------------------------

-- Where IEEE 754 defines a value in spite of a NaN, or only one operand counts.
local defined = {
  prelu = function(a) return a > 0 end,
  pow = function(a, b) return a == 1 or b == 0 end,
  hypot = function(a, b) return math.abs(a) == huge or math.abs(b) == huge end,
  where = function(mask, a, b)
    if mask ~= 0 then return a == a end
    return b == b
  end,
}

describe("NaN in gives NaN out:", function()
  for _, row in ipairs(list) do
    it(row.name .. ": holds", function()
      local points = grid(row, SPECIAL)
      for _, dtype in ipairs {"f32", "f64"} do
        local y = evaluate(row, points, dtype).value
        for k, p in ipairs(points) do
          if any(p, is_nan) and not (defined[row.name] and defined[row.name](unpack(p))) then
            demand(y[k] ~= y[k], "%s is %g", text(row, p, "value", dtype), y[k])
          end
        end
      end
    end)
  end
end)

-- -- infinity --------------------------------------------------------------------------------

-- No limit: they oscillate, jump for ever, or have no infinite operand.
local wild = {sin = true, cos = true, tan = true, mod = true, lerp = true, bce = true}

-- Values at infinity in two operands, or where the way there is too slow to see.
local stated = {
  add = {{huge, huge, value = huge, 1, 1}, {-huge, -huge, value = -huge}},
  sub = {{huge, -huge, value = huge}},
  mul = {{huge, -huge, value = -huge}},
  maximum = {{huge, huge, value = huge}, {-huge, huge, value = huge}},
  minimum = {{huge, huge, value = huge}, {-huge, huge, value = -huge}},
  hypot = {{huge, huge, value = huge}, {-huge, huge, value = huge}},
  atan2 = {{huge, huge, value = math.pi / 4}, {-huge, -huge, value = -3 * math.pi / 4},
    {0, 1, value = 0}, {0, -1, value = math.pi}},
  logaddexp = {{huge, huge, value = huge}, {-huge, -huge, value = -huge},
    {huge, -huge, value = huge}, {-huge, 0, value = 0}},
  log_cosh = {{huge, -huge, value = huge}},
  hinge = {{huge, -huge, value = huge}},
  squared_error = {{huge, -huge, value = huge}},
  pow = {{0, 0, value = 1}, {huge, huge, value = huge}, {huge, -huge, value = 0}},
  bce = {{0, 0, value = 0}, {1, 1, value = 0}, {0, 1, value = 100}, {1, 0, value = 100}},
  bce_logits = {{huge, 1, value = 0}, {-huge, 0, value = 0}, {huge, 0, value = huge},
    {-huge, 1, value = huge}},
  kl_div = {{-huge, 0, value = 0}, {-huge, 1, value = huge}, {0, 0, value = 0}},
  focal = {{huge, 1, value = 0}, {-huge, 0, value = 0}, {-huge, 1, value = huge},
    {huge, 0, value = huge}},
  poisson_nll = {{-huge, 0, value = 0}, {-huge, 2, value = huge}, {huge, 2, value = huge}},
}

-- where a, b, c (values on the way to infinity) lead to; nil when they do not tell
local function limit(a, b, c)
  if a ~= a or b ~= b or c ~= c then return nil end
  if c == b or math.abs(c - b) <= 1e-9 * (1 + math.abs(c)) then return c end
  local step = c - b
  if step * (b - a) > 0 and math.abs(step) >= 0.5 * math.abs(b - a) then
    return step > 0 and huge or -huge
  end
  return nil
end

-- Points without a limit: 0 times infinity is NaN in IEEE 754, and so on.
local open = {
  mul = function(_, a, b) return a == 0 or b == 0 end,
  lerp = function() return true end,
  prelu = function(_, a, b) return a == -huge and b == 0 end,
  mod = function() return true end,
  pow = function(what, _, b)      -- towards infinity slower than can be seen, or 0 times it
    return math.abs(b) < 1e-30 and b ~= 0 or what ~= "value" and math.abs(b) == huge
  end,
  idiv = function(_, _, b) return math.abs(b) == huge end,
}

local LARGEST = 3.4028235e38

local function agrees(got, want, dtype)
  if dtype == "f32" and math.abs(want) > LARGEST then want = want * huge end
  return got == want or math.abs(got - want) <= 1e-6 * (1 + math.abs(want))
end

local function to(p, far)
  local q = {}
  for i, v in ipairs(p) do q[i] = math.abs(v) == huge and (v > 0 and far or -far) or v end
  return q
end

describe("infinity is the limit:", function()
  for _, row in ipairs(list) do
    it(row.name .. ": holds", function()
      local points, told = {}, 0
      for _, p in ipairs(grid(row, SPECIAL)) do
        local infinite = 0
        for _, v in ipairs(p) do infinite = infinite + (math.abs(v) == huge and 1 or 0) end
        if infinite == 1 and not any(p, is_nan) then points[#points + 1] = p end
      end
      local ways = {}
      for n, far in ipairs {1e60, 1e90, 1e120} do
        local near = {}
        for k, p in ipairs(points) do near[k] = to(p, far) end
        ways[n] = evaluate(row, near, "f64")
      end
      for _, dtype in ipairs {"f32", "f64"} do
        for what, got in pairs(evaluate(row, points, dtype)) do
          for k, p in ipairs(points) do
            local want = limit(ways[1][what][k], ways[2][what][k], ways[3][what][k])
            if want and not (open[row.name] and open[row.name](what, unpack(p))) then
              told = told + 1
              demand(agrees(got[k], want, dtype), "%s is %g, the limit %g", text(row, p, what, dtype),
                got[k], want)
            end
          end
        end
      end
      demand(told > 0 or wild[row.name] or row.lo > -1 and #row.args == 1 and row.hi < 1,
        "no limit was found")
      for _, point in ipairs(stated[row.name] or {}) do
        for _, dtype in ipairs {"f32", "f64"} do
          local got = evaluate(row, {{unpack(point)}}, dtype).value[1]
          demand(agrees(got, point.value), "%s is %g, not %g", text(row, {unpack(point, 1, #row.args)},
            "value", dtype), got, point.value)
        end
      end
    end)
  end
end)

-- -- 0, kinks and +-1e4 ----------------------------------------------------------------------------

-- the numbers at which one operand meets a kink when the others are these
local function kinks_of(row)
  local values = {0, 1, -1, 6, 3, -3, 2.5, -2.5, 0.5, -0.5}
  for _, v in ipairs(row.defaults) do
    if math.abs(v) < huge then values[#values + 1] = v end
  end
  return values
end

-- Left of or at the point is no number, or the function jumps to infinity there.
local function between(got, left, right)
  local lo, hi = math.min(left, right), math.max(left, right)
  local slack = 1e-6 * (1 + math.max(math.abs(lo), math.abs(hi)))
  return got >= lo - slack and got <= hi + slack
end

-- Rows and points whose derivative is a convention, not a limit.
local convention = {
  pow = function(_, a) return a == 0 end,           -- 0^b
  hypot = function(_, a, b) return a == 0 and b == 0 end,
  atan2 = function(_, a, b) return a == 0 and b <= 0 or a == 0 and b == 0 end,
  kl_div = function(what, _, t) return t == 0 and what == 2 end,
  div = function(_, _, b) return b == 0 end,
  zero_one = function(what) return what == "value" end,
  bce = function() return true end,                 -- cut at -100: stated above
}

describe("0 and kinks lie between both sides:", function()
  for _, row in ipairs(list) do
    it(row.name .. ": holds", function()
      local points, left, right, moved = {}, {}, {}, {}
      for _, p in ipairs(grid(row, kinks_of(row))) do
        for i = 1, #p do
          if not is_mask(row, i) then
            local function beside(step)
              local q = {unpack(p)}
              q[i] = q[i] + step
              return q
            end
            points[#points + 1], moved[#moved + 1] = p, i
            left[#left + 1], right[#right + 1] = beside(-1e-9), beside(1e-9)
          end
        end
      end
      local here = evaluate(row, points, "f64")
      local before, after = evaluate(row, left, "f64"), evaluate(row, right, "f64")
      for what, got in pairs(here) do
        for k, p in ipairs(points) do
          local l, r = before[what][k], after[what][k]
          local steep = math.max(math.abs(l), math.abs(r)) > 1e3
          local free = convention[row.name] and convention[row.name](what, unpack(p))
          if l == l and r == r and not steep and not free then
            demand(got[k] == got[k] and between(got[k], l, r), "%s is %.9g, beside it %.9g and %.9g",
              text(row, p, what, "f64"), got[k], l, r)
          end
        end
      end
    end)
  end
end)

-- the smallest f32 numbers have too few bits for these
local coarse = {hypot = true, pow = true, idiv = true, mod = true}

describe("f32 is f64 rounded:", function()
  for _, row in ipairs(list) do
    it(row.name .. ": holds", function()
      local points = {}
      for _, p in ipairs(grid(row, SPECIAL)) do
        local fits = not (coarse[row.name] and any(p, is_tiny))
        if fits and not any(p, is_nan) then points[#points + 1] = p end
      end
      local small, large = evaluate(row, points, "f32"), evaluate(row, points, "f64")
      for what, got in pairs(small) do
        for k, p in ipairs(points) do
          local g, w = got[k], large[what][k]
          local same = g == w or g ~= g and w ~= w
            or math.abs(g - w) <= 1e-5 * (1e-33 + math.abs(w)) + 1e-6
            or math.abs(w) > LARGEST and (g == (w > 0 and huge or -huge) or math.abs(g) > 1e38)
          demand(same, "%s is %.9g, in f64 %.9g", text(row, p, what, "f32"), g, w)
        end
      end
    end)
  end
end)
