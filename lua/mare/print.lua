-- print.lua -- a tensor as text: its type and shape, then its values in aligned
-- columns.  What is long is shortened with ..., so that a screen holds it.

local check = require "mare.check"

local M = {}

local WIDTH, HEIGHT = 80, 20 -- characters in a line, lines of values: 80 x 24 with a prompt
local SHORTEN = 1000         -- more values than this are always shortened
local EDGE = 3               -- what is then kept at each end of a dimension

local gap = {} -- stands for what is left out

-- -- numbers ----------------------------------------------------------------------

local function special(v)
  if v ~= v then return "nan" end
  if v == math.huge then return "inf" end
  if v == -math.huge then return "-inf" end
end

-- The fewest digits that read back as the same value of this type.
local function shortest(v, dtype)
  local first, last = 6, 17
  if dtype == "f32" then last = 9 end
  for digits = first, last do
    local text = ("%%.%dg"):format(digits):format(v)
    local back = tonumber(text)
    if dtype == "f32" then back = ("f"):unpack(("f"):pack(back)) end
    if back == v then return text end
  end
  return ("%.17g"):format(v)
end

--- One number as it would be written in a program: 784.0, 0.1, 1e-07, nan.
-- `print.number(784.0) --> "784.0"`
function M.number(v, dtype)
  if math.type(v) == "integer" then return ("%d"):format(v) end
  local text = special(v) or shortest(v, dtype)
  return text:find "[%.eni]" and text or text .. ".0"
end

-- Decimals that show every value to four places, or fewer when all agree.
local function decimals(values)
  for places = 1, 3 do
    local exact = true
    for i = 1, #values do
      local short = tonumber(("%%.%df"):format(places):format(values[i]))
      if math.abs(short - values[i]) > 5e-7 * math.max(1, math.abs(values[i])) then
        exact = false
        break
      end
    end
    if exact then return places end
  end
  return 4
end

-- A function from a value to its text that suits all the (finite) values.
local function chooser(values)
  local largest, whole = 0, true
  for i = 1, #values do
    largest = math.max(largest, math.abs(values[i]))
    whole = whole and values[i] % 1 == 0
  end
  if largest >= (whole and 1e9 or 1e5) or (largest < 1e-3 and largest > 0) then
    return function(v) return special(v) or ("%.4e"):format(v) end
  end
  local fixed = ("%%.%df"):format(decimals(values))
  return function(v)
    local name = special(v)
    if name then return name end
    if v ~= 0 and math.abs(v) < 5e-5 then return ("%.0e"):format(v) end -- not a plain zero
    return fixed:format(v)
  end
end

--- A function from a value to its text that suits all the values (a list) of this type.
function M.number_format(dtype, values)
  if dtype == "i64" or dtype == "u8" then
    return function(v) return ("%d"):format(v) end
  end
  local finite = {}
  for i = 1, #values do
    local v = values[i]
    if not special(v) then finite[#finite + 1] = v end
  end
  return chooser(finite)
end

-- -- what is shown -------------------------------------------------------------------

-- How many positions are kept at the ends of each dimension: { first, last }, or
-- false for all.  The last two dimensions are the rows and columns of a matrix.
local function choose_ends(t)
  local shape, ndim, ends = t.shape, t:dim(), {}
  local many = t:numel() > SHORTEN
  local outer = many and math.huge or 1 -- matrices
  for d = 1, ndim - 2 do outer = outer * shape[d] end
  local height = ndim > 1 and shape[ndim - 1] or 1
  local fits = outer * (height + (ndim > 2 and 1 or 0)) <= HEIGHT
  for d = 1, ndim - 2 do ends[d] = not fits and { 1, d == ndim - 2 and 1 or 0 } end
  if ndim > 1 then ends[ndim - 1] = height > (fits and HEIGHT or 2 * EDGE) and { EDGE, EDGE } end
  ends[ndim] = many and { EDGE, EDGE }
  return ends
end

-- t as nested lists from dimension d on, with gaps; a list of numbers at the end.
local function gather(t, ends, d)
  local n, last = t:size(1), t:dim() == 1
  local keep = ends[d]
  if not keep or n <= keep[1] + keep[2] then keep = { n, 0 } end
  local out = {}
  local function take(first, count)
    if last and count > 0 then
      table.move(t:narrow(1, first, count):totable(), 1, count, #out + 1, out)
    else
      for i = first, first + count - 1 do out[#out + 1] = gather(t:select(1, i), ends, d + 1) end
    end
  end
  take(1, keep[1])
  if keep[1] + keep[2] < n then
    out[#out + 1] = gap
    take(n - keep[2] + 1, keep[2])
  end
  return out
end

-- Calls f(list, i) for each number in nested lists.
local function each_number(list, f)
  for i, v in ipairs(list) do
    if type(v) == "number" then f(list, i)
    elseif v ~= gap then each_number(v, f) end
  end
end

-- Replaces numbers and gaps by texts of one width, which is returned.
local function to_texts(list, dtype)
  local values, width = {}, 1
  each_number(list, function(at, i) values[#values + 1] = at[i] end)
  local format = M.number_format(dtype, values)
  each_number(list, function(at, i)
    at[i] = format(at[i])
    width = math.max(width, #at[i])
  end)
  return width
end

-- -- layout -----------------------------------------------------------------------------

local function joined(cells, width)
  local out = {}
  for i, text in ipairs(cells) do
    if text == gap then text = "..." end
    out[i] = (" "):rep(width - #text) .. text
  end
  return "  " .. table.concat(out, "  ")
end

-- At most `room` cells: the first ones, a gap, the last ones.
local function shorten(cells, room)
  if #cells <= room then return cells end
  local keep = math.max(room - 1, 2)
  local last = keep // 2
  local out = table.move(cells, 1, keep - last, 1, {})
  out[#out + 1] = gap
  return table.move(cells, #cells - last + 1, #cells, #out + 1, out)
end

-- A vector over as many lines as it needs.
local function vector_lines(cells, width, lines)
  local each = math.max(1, (WIDTH - 2) // (width + 2))
  if #cells > each * HEIGHT then cells = shorten(cells, 2 * EDGE + 1) end
  for i = 1, #cells, each do
    lines[#lines + 1] = joined({ table.unpack(cells, i, math.min(i + each - 1, #cells)) }, width)
  end
end

local function matrix_lines(rows, width, lines)
  for _, row in ipairs(rows) do
    lines[#lines + 1] = row == gap and "  ..."
      or joined(shorten(row, (WIDTH - 2) // (width + 2)), width)
  end
end

-- The positions that the entries of a gathered list stand for.
local function position(list, i, n)
  for k = 1, i do
    if list[k] == gap then return n - #list + i end
  end
  return i
end

-- Three and more dimensions: matrices, each headed by its place, "[1, 2, :, :]".
local function block_lines(list, width, lines, shape, d, place)
  if d == #shape - 1 then
    lines[#lines + 1] = ("[%s:, :]"):format(place)
    return matrix_lines(list, width, lines)
  end
  for i, part in ipairs(list) do
    if part == gap then
      lines[#lines + 1] = "..."
    else
      local at = ("%s%d, "):format(place, position(list, i, shape[d]))
      block_lines(part, width, lines, shape, d + 1, at)
    end
  end
end

--- A tensor as text.  At most a screen: more than 1000 values, or more lines than
-- fit, are shortened to the ends of each dimension.
-- ```
-- > mare.tensor { {1, 2.5}, {3, 4} }
-- f32 tensor of shape 2x2
--   1.0  2.5
--   3.0  4.0
-- ```
function M.format(t)
  if t:isclosed() then return "closed tensor" end
  local dtype, dims = t.dtype, t:dim()
  local tracked = t.is_tracked and ", requires grad" or ""
  if dims == 0 then
    return ("%s (%s scalar%s)"):format(M.number(t:item(), dtype), dtype, tracked)
  end
  local lines = { ("%s tensor of shape %s%s"):format(dtype, check.shape(t), tracked) }
  if t:numel() == 0 then return lines[1] end
  local list = gather(t:detach(), choose_ends(t), 1)
  local width = to_texts(list, dtype)
  if dims == 1 then vector_lines(list, width, lines)
  elseif dims == 2 then matrix_lines(list, width, lines)
  else block_lines(list, width, lines, t.shape, 1, "") end
  return table.concat(lines, "\n")
end

--- The module itself is what tostring(t) calls.
return setmetatable(M, { __call = function(_, t) return M.format(t) end })
