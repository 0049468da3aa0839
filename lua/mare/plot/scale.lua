-- scale.lua -- numbers for pictures: ranges that leave out what is not finite, round ticks,
-- and fewer points where a picture cannot show them all.

local mare = require "mare"

local M = {}

local function finite(v) return v == v and v ~= math.huge and v ~= -math.huge end
M.finite = finite

--- The least and the largest finite value of lists of numbers; nil when there is none.
-- With `log`, of those above 0.
function M.range(lists, log)
  local lo, hi = math.huge, -math.huge
  for _, list in ipairs(lists) do
    for i = 1, #list do
      local v = list[i]
      if finite(v) and (not log or v > 0) then
        if v < lo then lo = v end
        if v > hi then hi = v end
      end
    end
  end
  if lo > hi then return nil end
  return lo, hi
end

--- A range with some room around it; constant data and no data get one too.
function M.padded(lo, hi, log, part)
  if not lo then return log and 0.1 or 0, log and 10 or 1 end
  if log then
    if lo == hi then return lo / 10, hi * 10 end
    local room = (hi / lo) ^ (part or 0.04)
    return lo / room, hi * room
  end
  if lo == hi then
    local room = lo == 0 and 1 or math.abs(lo) / 10
    return lo - room, hi + room
  end
  local room, most = (hi / 2 - lo / 2) * (2 * (part or 0.04)), 1.7e308
  return math.max(lo - room, math.min(lo, -most)), math.min(hi + room, math.max(hi, most))
end

-- The multiples of 1, 2 or 5 times a power of ten between lo and hi, at least two where the
-- range has them, and the step between them.
local function linear_ticks(lo, hi, count)
  local ticks, step
  local span = hi / 2 - lo / 2
  if span < 1e-12 * math.max(math.abs(lo), math.abs(hi)) or span < 1e-305 -- of last digits
      or not finite(span) then
    return { lo, hi }, math.max(hi - lo, 1e-305)
  end
  repeat
    local raw = step and step * 0.4 or hi / count - lo / count -- the next smaller one: 5, 2, 1
    local power = 10.0 ^ math.floor(math.log(raw, 10))
    step = power * 10
    for _, k in ipairs { 1, 2, 5 } do
      if raw <= k * power * (1 + 1e-9) then
        step = k * power
        break
      end
    end
    ticks = {}
    for k = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9) do
      ticks[#ticks + 1] = k * step
    end
  until #ticks >= 2
  return ticks, step
end

-- Powers of ten; over less than two decades 1, 2 and 5 times them, over less than one also
-- round numbers at equal steps.
local function log_ticks(lo, hi, count)
  local from, to = math.log(lo, 10), math.log(hi, 10)
  local ticks = {}
  if to - from < 2 then
    for k = math.floor(from), math.ceil(to) do
      for _, m in ipairs { 1, 2, 5 } do
        local v = m * 10.0 ^ k
        if v >= lo * (1 - 1e-9) and v <= hi * (1 + 1e-9) then ticks[#ticks + 1] = v end
      end
    end
    if #ticks >= 3 then return ticks end
    return linear_ticks(lo, hi, count)
  end
  local first, last = math.ceil(from - 1e-9), math.floor(to + 1e-9)
  local each = math.max(1, math.ceil((last - first + 1) / count))
  for k = first, last, each do ticks[#ticks + 1] = 10.0 ^ k end
  return ticks
end

local function tidy(text) return (text:gsub("e([+-])0*(%d)", "e%1%2"):gsub("e%+", "e")) end

-- A tick's number, in as many digits as the step between ticks needs.
local function label(v, step)
  if v == 0 then return "0" end
  local size = math.abs(v)
  local digits = step and math.max(0, -math.floor(math.log(step, 10) + 1e-9)) or 0
  if size >= 1e5 or size < 1e-3 then
    local more = step and math.log(size, 10) // 1 - (math.log(step, 10) + 1e-9) // 1 or 0
    if more < 3 then return tidy(("%.3g"):format(v)) end
    local plain = size < 1e15 and ("%%.%df"):format(math.min(digits, 20)):format(v)
    if plain and #plain <= 12 then return plain end
    return tidy(("%%.%de"):format(math.min(more // 1 | 0, 16)):format(v))
  end
  if not step then return ("%g"):format(v) end
  return ("%." .. digits .. "f"):format(v)
end

--- About `count` round values between lo and hi, and their texts.
function M.ticks(lo, hi, count, log)
  local values, step
  values, step = (log and log_ticks or linear_ticks)(lo, hi, math.max(count, 1))
  local texts = {}
  for i, v in ipairs(values) do texts[i] = label(v, step) end
  return values, texts
end

--- The places of small ticks between those of a log axis of at most eight decades.
function M.small_ticks(lo, hi)
  local from, to, list = math.floor(math.log(lo, 10)), math.ceil(math.log(hi, 10)), {}
  for k = from, to - from <= 9 and to or from - 1 do
    for m = 1, 9 do
      local v = m * 10.0 ^ k
      if v >= lo and v <= hi then list[#list + 1] = v end
    end
  end
  return list
end

-- -- fewer points ---------------------------------------------------------------------------

local MOST = 20000 -- points of a series that a picture gets

--- Points of which no two fall on the same spot of a fine raster: tensors (n) in, lists out.
function M.thin_points(x, y)
  local n = x:numel()
  if n <= MOST then return x:totable(), y:totable() end
  local W, H = 400, 300
  local function spread(t, size)
    local ok = t:sub(t):eq(0)
    local some = t:masked_select(ok)
    if some:numel() == 0 then return t * 0, ok end
    local lo, hi = some:min():item(), some:max():item()
    local scaled = (t - lo) / (hi > lo and hi - lo or 1) * (size - 1)
    return mare.where(ok, scaled, scaled * 0 + 0), ok
  end
  local px, okx = spread(x:to "f64", W)
  local py, oky = spread(y:to "f64", H)
  local ok = okx:logical_and(oky)
  local cell = mare.where(ok, py:floor() * W + px:floor(), mare.full({}, -1, "f64"))
  local sorted, order = cell:sort(1)
  local first = mare.ones({ n }, "u8")
  first:narrow(1, 2, n - 1):copy_(sorted:narrow(1, 2, n - 1):ne(sorted:narrow(1, 1, n - 1)))
  local keep = order:masked_select(first:logical_and(sorted:ge(0)))
  return x:index_select(1, keep):totable(), y:index_select(1, keep):totable()
end

--- A long line as the least and the largest finite value of each of its parts.
function M.thin_line(x, y)
  local n = x:numel()
  if n <= MOST then return x:totable(), y:totable() end
  local parts = 2000
  local m = n // parts
  local function cut(t) return t:narrow(1, 1, parts * m):reshape(parts, m) end
  local xs, ys = cut(x:to "f64"), cut(y:to "f64")
  local good = ys:sub(ys):eq(0)
  local function all(v) return mare.full({}, v, "f64") end
  local low = mare.where(good, ys, all(math.huge)):min(2):totable()
  local high = mare.where(good, ys, all(-math.huge)):max(2):totable()
  local at = xs:select(2, 1):totable()
  local px, py = {}, {}
  for i = 1, parts do
    px[2 * i - 1], py[2 * i - 1] = at[i], low[i]
    px[2 * i], py[2 * i] = at[i], high[i]
  end
  for i = parts * m + 1, n do
    px[#px + 1], py[#py + 1] = x[i]:item(), y[i]:item()
  end
  return px, py
end

return M
