-- column.lua -- what a frame is made of.  A column of numbers is a contiguous tensor (n);
-- in f32 and f64 a missing value is nan.  A column of strings is a list; a missing value is
-- false.

local check = require "mare.check"

local core, ops = require "mare.core".functions, require "mare.ops".ops

local M = {}

local function is_real(t) return t.dtype == "f32" or t.dtype == "f64" end

--- Is it a column of numbers?
M.is_numeric = core.is_tensor

-- -- making ---------------------------------------------------------------------------

local function from_tensor(position, fname, name, t)
  if t:isclosed() then
    check.argument(position, fname, "column '%s': the tensor is closed", name)
  elseif t:dim() ~= 1 then
    check.argument(position, fname, "column '%s': a tensor (n) expected, got shape %s", name,
      check.shape(t))
  end
  return t:detach():contiguous()
end

-- The type of what stands in a list: "number", "string" or nil when all is missing; and
-- whether all numbers are whole, and how many are missing.
local function survey(position, fname, name, list)
  local kind, whole, missing = nil, true, 0
  for i = 1, #list do
    local v = list[i]
    local this = type(v)
    if not v then
      missing = missing + 1
    elseif this ~= "number" and this ~= "string" then
      check.argument(position, fname, "column '%s', row %d: number or string expected, got %s " ..
        "(false stands for a missing value)", name, i, check.kind(v))
    elseif kind and kind ~= this then
      check.argument(position, fname, "column '%s', row %d: a %s in a column of %ss", name, i,
        this, kind)
    else
      kind = this
      whole = whole and math.type(v) == "integer"
    end
  end
  return kind, whole, missing
end

local function from_list(position, fname, name, list)
  local kind, whole, missing = survey(position, fname, name, list)
  local out = {}
  if kind == "string" then
    for i = 1, #list do out[i] = list[i] or false end
    return out
  end
  for i = 1, #list do out[i] = list[i] or 0 / 0 end
  if #out == 0 then return core.empty(0, "f64") end
  return core.tensor(out, whole and missing == 0 and "i64" or "f64")
end

--- A column from a tensor (n) or a list of numbers or of strings, in which false is missing.
-- Errors name argument, function and column.
function M.new(position, fname, name, v)
  if core.is_tensor(v) then return from_tensor(position, fname, name, v) end
  if type(v) ~= "table" then
    check.argument(position, fname, "column '%s': list or tensor expected, got %s", name,
      check.kind(v))
  end
  return from_list(position, fname, name, v)
end

-- -- reading --------------------------------------------------------------------------

--- The number of rows.
function M.length(c) return core.is_tensor(c) and c:size(1) or #c end

--- "f64", "i64" ... or "string".
function M.type(c) return core.is_tensor(c) and c.dtype or "string" end

--- A list of the values in which a missing one is false.
function M.list(c)
  if not core.is_tensor(c) then return c end
  local list = c:totable()
  if is_real(c) then
    for i = 1, #list do
      if list[i] ~= list[i] then list[i] = false end
    end
  end
  return list
end

--- A u8 mask (n) of what is missing.
function M.missing(c)
  if core.is_tensor(c) then
    return is_real(c) and c:ne(c) or core.zeros({ c:size(1) }, "u8")
  end
  local mask = {}
  for i = 1, #c do mask[i] = c[i] and 0 or 1 end
  return #c > 0 and core.tensor(mask, "u8") or core.empty(0, "u8")
end

--- How many are missing, and the first row of one.
function M.count_missing(c)
  local mask = M.missing(c)
  local n = mask:numel() > 0 and mask:to("i64"):sum():item() or 0
  return n, n > 0 and mask:argmax():item() or nil
end

--- The column as one of strings when it is one or all its values are missing; otherwise nil.
function M.as_strings(c)
  if not core.is_tensor(c) then return c end
  if M.count_missing(c) < c:size(1) then return nil end
  local out = {}
  for i = 1, c:size(1) do out[i] = false end
  return out
end

--- What is not missing, as a column.
function M.present(c)
  if core.is_tensor(c) then return is_real(c) and c:masked_select(c:eq(c)) or c end
  local out = {}
  for i = 1, #c do
    if c[i] then out[#out + 1] = c[i] end
  end
  return out
end

-- -- rearranging ----------------------------------------------------------------------

--- The rows (an i64 tensor and the same as a function that returns a list) of a column.
function M.take(c, rows, list)
  if core.is_tensor(c) then return core.batch(c, rows, 1, rows:size(1)) end
  local out = {}
  for i, row in ipairs(list()) do out[i] = c[row] end
  return out
end

-- The type that holds numbers of both.
local function common(a, b)
  if a == b then return a end
  local whole = { i64 = true, u8 = true }
  return whole[a] and whole[b] and "i64" or "f64"
end

--- The same, a row 0 being a missing value.
function M.take_some(c, list)
  local source, out = M.list(c), {}
  for i, row in ipairs(list) do out[i] = row > 0 and source[row] or false end
  if not core.is_tensor(c) then return out end
  local some = false
  for i, v in ipairs(out) do
    if not v then out[i], some = 0 / 0, true end
  end
  if #out == 0 then return core.empty(0, c.dtype) end
  return core.tensor(out, some and not is_real(c) and "f64" or c.dtype)
end

--- Columns one below the other, all of numbers or all of strings.
function M.concat(list)
  if core.is_tensor(list[1]) then
    local dtype, parts = list[1].dtype, {}
    for _, c in ipairs(list) do dtype = common(dtype, c.dtype) end
    for i, c in ipairs(list) do parts[i] = c:to(dtype) end
    return ops.cat(parts, 1)
  end
  local out = {}
  for _, c in ipairs(list) do table.move(c, 1, #c, #out + 1, out) end
  return out
end

-- Numbers in ascending order, where each stands, and a u8 mask of those that differ from the
-- one before; without what is missing.
local function ordered(t)
  local sorted, place = t:sort(1)
  local n = t:size(1) - M.count_missing(t)
  sorted, place = sorted:narrow(1, 1, n), place:narrow(1, 1, n)
  local new = core.ones({ n }, "u8")
  if n > 1 then
    new:narrow(1, 2, n - 1):copy_(sorted:narrow(1, 2, n - 1):ne(sorted:narrow(1, 1, n - 1)))
  end
  return sorted, place, new
end

local function number_codes(t)
  if t:size(1) == 0 then return {}, {} end
  local _ <close> = core.scope()
  local sorted, place, new = ordered(t)
  local codes = core.zeros({ t:size(1) }, "i64")
  if place:numel() > 0 then codes = codes:index_copy(1, place, new:to("i64"):cumsum(1)) end
  return codes:totable(), sorted:masked_select(new):totable()
end

--- For each row the number of its value among the distinct ones, 0 where it is missing; and the
-- distinct values in ascending order.
function M.codes(c)
  if core.is_tensor(c) then return number_codes(c) end
  local place, values, codes = {}, {}, {}
  for _, v in ipairs(c) do
    if v and not place[v] then place[v], values[#values + 1] = 0, v end
  end
  table.sort(values)
  for i, v in ipairs(values) do place[v] = i end
  for i, v in ipairs(c) do codes[i] = v and place[v] or 0 end
  return codes, values
end

--- A value as part of a name: 3.0 is "3".
function M.value_text(v)
  if math.type(v) == "float" and v % 1 == 0 then return ("%.0f"):format(v) end
  return tostring(v)
end

-- -- statistics of what is not missing ----------------------------------------------------

-- The q-quantile of sorted values (n), between two of them in proportion.
local function quantile(sorted, q)
  local at = (sorted:size(1) - 1) * q
  local low = math.floor(at)
  local a = sorted[low + 1]:item()
  return at == low and a or a + (sorted[low + 2]:item() - a) * (at - low)
end

local function sorted(t) return (t:sort(1)) end

--- One number from a tensor of f64 (n) that is not empty.
M.statistics = {
  mean = function(t) return t:mean():item() end,
  sum = function(t) return t:sum():item() end,
  std = function(t) return t:numel() > 1 and t:std():item() or 0 / 0 end,
  min = function(t) return t:min():item() end,
  max = function(t) return t:max():item() end,
  median = function(t) return quantile(sorted(t), 0.5) end,
}

--- The rows of describe.
M.described = { "count", "missing", "distinct", "mean", "std", "min", "25%", "median", "75%",
  "max" }

local quartiles = { min = 0, ["25%"] = 0.25, median = 0.5, ["75%"] = 0.75, max = 1 }

--- The most frequent value, the least of several; nil when there is none.
function M.mode(c)
  local codes, values = M.codes(c)
  local count, best = {}, nil
  for _, k in ipairs(codes) do count[k] = (count[k] or 0) + 1 end
  for k in ipairs(values) do
    if not best or count[k] > count[best] then best = k end
  end
  return values[best]
end

--- What stands in a column, in the order of M.described: numbers, false where there is none.
function M.describe(c)
  local missing = M.count_missing(c)
  local count = M.length(c) - missing
  if not core.is_tensor(c) then
    local _, values = M.codes(c)
    return { count, missing, #values, false, false, false, false, false, false, false }
  elseif count == 0 then
    return { 0, missing, 0, false, false, false, false, false, false, false }
  end
  local _ <close> = core.scope()
  local all, _, new = ordered(c)
  all = all:to "f64"
  local out = { count, missing, new:to("i64"):sum():item() }
  for i = 4, #M.described do
    local q = quartiles[M.described[i]]
    out[i] = q and quantile(all, q) or M.statistics[M.described[i]](all)
  end
  return out
end

local whole = { sum = true, min = true, max = true } -- of whole numbers

--- A statistic of a column of numbers, or nil when all are missing.  A sum past 2^62 is
-- a float.
function M.statistic(c, name)
  local t = M.present(c)
  if t:numel() == 0 then return nil end
  local v = M.statistics[name](t:to "f64")
  if is_real(t) or not whole[name] or name == "sum" and math.abs(v) >= 0x1p62 then return v end
  return M.statistics[name](t:to "i64")
end

return M
