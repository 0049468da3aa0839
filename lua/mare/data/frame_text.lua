-- frame_text.lua -- frames as text: for a screen, and as comma-separated values.

local core = require "mare.core".functions
local check = require "mare.check"
local column = require "mare.data.column"
local number_format = require "mare.print".number_format

local WIDTH = 80           -- characters in a line
local ROWS, EDGE = 20, 5   -- more rows than ROWS are shortened to EDGE at both ends
local CELL = 24            -- characters of a cell

-- -- cells --------------------------------------------------------------------------------

-- East Asian characters take two columns of a terminal.
local function width_of(s)
  if not s:find "[\x80-\xff]" then return #s end
  if not utf8.len(s) then return #s end
  local width = 0
  for _, c in utf8.codes(s) do
    local wide = c >= 0x1100 and c <= 0x115f or c >= 0x2e80 and c <= 0xa4cf or
      c >= 0xac00 and c <= 0xd7a3 or c >= 0xf900 and c <= 0xfaff or c >= 0xfe30 and c <= 0xfe6f or
      c >= 0xff00 and c <= 0xff60 or c >= 0x1f300 and c <= 0x1faff or c >= 0x20000 and c <= 0x3fffd
    width = width + (wide and 2 or 1)
  end
  return width
end

-- One line of at most CELL columns.
local function shorten(s)
  s = s:gsub("%c", " ")
  if width_of(s) <= CELL then return s end
  if not utf8.len(s) then return s:sub(1, CELL - 3) .. "..." end
  local n = utf8.len(s)
  repeat
    n = n - 1
    s = s:sub(1, utf8.offset(s, n + 1) - 1)
  until width_of(s) <= CELL - 3
  return s .. "..."
end

local function pad(s, width, right)
  local gap = (" "):rep(width - width_of(s))
  return right and gap .. s or s .. gap
end

-- The texts of some rows of a column; a missing value is a dash.
local function texts_of(c, rows)
  local part = column.take(c, rows, function() return rows:totable() end)
  local list, present = column.list(part), {}
  for _, v in ipairs(list) do
    if v then present[#present + 1] = v end
  end
  local numbers = core.is_tensor(c)
  local format = numbers and number_format(c.dtype, present) or shorten
  for i, v in ipairs(list) do list[i] = v and format(v) or "-" end
  return list
end

-- -- layout -------------------------------------------------------------------------------

local function shown_rows(n)
  local list = {}
  for i = 1, n do
    if n <= ROWS or i <= EDGE or i > n - EDGE then list[#list + 1] = i end
  end
  return list
end

local function with_commas(n)
  local s = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (s:gsub("^,", ""))
end

local function plural(n, word)
  return ("%s %s%s"):format(with_commas(n), word, n == 1 and "" or "s")
end

-- A column as a block of lines: head, type, cells.
local function block(name, c, rows)
  local lines = { shorten(name), column.type(c) }
  for _, text in ipairs(texts_of(c, rows)) do lines[#lines + 1] = text end
  local width = 0
  for _, text in ipairs(lines) do width = math.max(width, width_of(text)) end
  return { lines = lines, width = width, right = core.is_tensor(c) }
end

-- The names of the columns that fit, false standing for those left out.
local function fitting(names, block_of, room)
  local left, right, used, lo, hi = {}, {}, 5, 1, #names
  while lo <= hi do
    local from_left = #left <= 2 * #right + 1
    local name = names[from_left and lo or hi]
    local width = block_of(name).width + 2
    if used + width > room and lo + #names - hi > 1 then break end
    used = used + width
    if from_left then left[#left + 1], lo = name, lo + 1
    else table.insert(right, 1, name); hi = hi - 1 end
  end
  if lo <= hi then left[#left + 1] = false end
  return table.move(right, 1, #right, #left + 1, left)
end

local function number_block(rows)
  local lines, width = { "", "" }, 0
  for i, row in ipairs(rows) do lines[i + 2] = ("%d"):format(row) end
  for _, text in ipairs(lines) do width = math.max(width, #text) end
  return { lines = lines, width = width, right = true }
end

local dots = { width = 3, lines = setmetatable({}, { __index = function() return "..." end }) }

local function to_text(names, columns, n)
  local head = ("frame of %s, %s"):format(plural(n, "row"), plural(#names, "column"))
  if #names == 0 then return head end
  local rows = shown_rows(n)
  local positions = #rows > 0 and core.tensor(rows, "i64") or core.empty(0, "i64")
  local made = {}
  local function block_of(name)
    made[name] = made[name] or block(name, columns[name], positions)
    return made[name]
  end
  local blocks, lines = { number_block(rows) }, { head }
  for _, name in ipairs(fitting(names, block_of, WIDTH - blocks[1].width)) do
    blocks[#blocks + 1] = name and block_of(name) or dots
  end
  for i = 1, #rows + 2 do
    local cells = {}
    for k, b in ipairs(blocks) do cells[k] = pad(b.lines[i], b.width, b.right) end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
    if i - 2 == EDGE and #rows < n then lines[#lines + 1] = "  ..." end
  end
  return table.concat(lines, "\n")
end

-- -- comma-separated values -----------------------------------------------------------------

local formats = { f32 = { "%.7g", "%.8g", "%.9g" }, f64 = { "%.15g", "%.16g", "%.17g" } }

-- The fewest digits that read back as the same number; a point whatever the locale says.
local function number_text(v, dtype)
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v == math.huge then return "inf" elseif v == -math.huge then return "-inf" end
  local text
  for _, format in ipairs(formats[dtype]) do
    text = format:format(v)
    local back = tonumber(text)
    if dtype == "f32" then back = string.unpack("f", string.pack("f", back)) end
    if back == v then break end
  end
  return (text:gsub(",", "."))
end

local function quote(s)
  if s == "" or s:find '[,"\r\n]' or s:find "^%s" or s:find "%s$" then
    return '"' .. s:gsub('"', '""') .. '"'
  end
  return s
end

local STEP = 1000 -- rows that are made text at once

-- Writes rows first .. last of the columns through put.
local function write_rows(put, parts, first, last)
  local rows, texts = core.arange(first, last, "i64"), {}
  for k, name in ipairs(parts.names) do
    local c = parts.columns[name]
    local list = column.list(column.take(c, rows, function() return rows:totable() end))
    local dtype, out = core.is_tensor(c) and c.dtype, {}
    for i, v in ipairs(list) do
      out[i] = v and (dtype and number_text(v, dtype) or quote(v)) or ""
    end
    list = out
    texts[k] = list
  end
  local lines, cells = {}, {}
  for i = 1, last - first + 1 do
    for k, list in ipairs(texts) do cells[k] = list[i] end
    local line = table.concat(cells, ",")
    lines[i] = line == "" and '""' or line -- an empty line would be no row
  end
  return put(table.concat(lines, "\n") .. "\n")
end

local function write_all(put, parts)
  local head = {}
  for i, name in ipairs(parts.names) do head[i] = quote(name) end
  local ok, message = put(table.concat(head, ",") .. "\n")
  for first = 1, parts.n, STEP do
    if not ok then break end
    ok, message = write_rows(put, parts, first, math.min(first + STEP - 1, parts.n))
  end
  return ok, message
end

local function write_file(path, parts)
  local file, message = io.open(path .. ".part", "wb")
  if not file then return nil, message end
  local ok
  ok, message = write_all(function(text) return file:write(text) end, parts)
  local closed, closing = file:close()
  if ok and not closed then ok, message = nil, closing end
  if ok then ok, message = os.rename(path .. ".part", path) end
  if ok then return true end
  os.remove(path .. ".part")
  return nil, message
end

return function(Frame, tools)
  --- The frame as a table of at most a screen: names, types, rows; a missing value is "-".
  function Frame:__tostring()
    local parts = self[tools.PARTS]
    return to_text(parts.names, parts.columns, parts.n)
  end

  --- Writes the frame as comma-separated values with a head line; a missing value is empty.
  -- Returns true, or nil and a message; the file appears once it is whole.  Without a path the
  -- text is returned.
  -- `assert(f:csv "clean.csv")`
  function Frame:csv(path)
    if path ~= nil and type(path) ~= "string" then
      check.argument(1, "csv", "path expected, got %s", check.kind(path))
    end
    local parts = self[tools.PARTS]
    if path then return write_file(path, parts) end
    local list = {}
    write_all(function(text)
      list[#list + 1] = text
      return true
    end, parts)
    return table.concat(list)
  end
end
