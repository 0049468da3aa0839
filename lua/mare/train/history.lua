-- history.lua -- what a training run has seen: a list of epochs, each a table of named
-- numbers.

local core = require "mare.core".functions
local check = require "mare.check"
local json = require "mare.json"

local M = {}

local History = {}
History.__index = History

--- A history: h[i] is the record of epoch i ({ epoch, steps, loss, seconds, ... }), h.stopped
-- says why the run ended.
function M.new() return setmetatable({}, History) end

-- The columns of a table of records: the known ones first, then the others by name.
local first = { "epoch", "steps", "loss" }

local function columns(records)
  local names, seen = {}, {}
  for _, name in ipairs(first) do
    if records[1] and records[1][name] ~= nil then names[#names + 1] = name end
    seen[name] = true
  end
  local others = {}
  for _, record in ipairs(records) do
    for name in pairs(record) do
      if not seen[name] then seen[name], others[#others + 1] = true, name end
    end
  end
  table.sort(others)
  return table.move(others, 1, #others, #names + 1, names)
end

-- A number as any program reads it, whatever the locale.
local function number(v)
  if v == nil then return "" end
  if math.type(v) == "integer" then return ("%d"):format(v) end
  return (("%.17g"):format(v):gsub(",", "."))
end

-- A file appears under its name once it is whole; what is no file (a pipe, say) is written to.
local function write(path, text)
  local done, message = core.write_pieces(path, { text })
  if done or not message:find "Not a regular file$" then return done, message end
  local file
  file, message = io.open(path, "w")
  if not file then return nil, message end
  local ok, problem = file:write(text)
  local closed, late = file:close()
  if not ok or not closed then return nil, ("%s: %s"):format(path, problem or late) end
  return true
end

--- The values of one name, one for each epoch; nil where an epoch has none.
-- `history:values "loss"`
function History:values(name)
  local list = {}
  for i = 1, #self do list[i] = self[i][name] end
  return list
end

--- The names of the values that the epochs hold, in the order of the columns.
function History:names() return columns(self) end

--- Writes a table with a line for each epoch; returns true, or nil and a message.
-- `assert(history:csv "run/history.csv")`
function History:csv(path)
  if type(path) ~= "string" then
    check.argument(1, "csv", "path expected, got %s", type(path))
  end
  local names, lines = columns(self), {}
  lines[1] = table.concat(names, ",")
  for i, record in ipairs(self) do
    local cells = {}
    for k, name in ipairs(names) do cells[k] = number(record[name]) end
    lines[i + 1] = table.concat(cells, ",")
  end
  return write(path, table.concat(lines, "\n") .. "\n")
end

--- Writes one JSON object a line for each epoch; returns true, or nil and a message.
function History:jsonl(path)
  if type(path) ~= "string" then
    check.argument(1, "jsonl", "path expected, got %s", type(path))
  end
  local names, lines = columns(self), {}
  for i, record in ipairs(self) do
    local cells = {}
    for _, name in ipairs(names) do
      local v = record[name]
      if v ~= nil then
        local finite = v == v and v ~= math.huge and v ~= -math.huge
        cells[#cells + 1] = ("%s: %s"):format(json.encode(name), finite and number(v) or "null")
      end
    end
    lines[i] = "{" .. table.concat(cells, ", ") .. "}\n"
  end
  return write(path, table.concat(lines))
end

--- A figure of the losses and metrics against the epochs; see mare.plot.series.
-- `history:plot():show()`
function History:plot(opts) return require "mare.plot".series(self, opts) end

local function cell(v)
  if v == nil then return "" end
  if math.type(v) == "integer" then return ("%d"):format(v) end
  local size = math.abs(v)
  return (size ~= 0 and (size < 1e-3 or size >= 1e5) and "%.3e" or "%.4f"):format(v)
end

--- The epochs as a table, the last twenty of them.
function History:__tostring()
  local names, rows, width = columns(self), {}, {}
  local from = math.max(1, #self - 19)
  rows[1] = names
  for i = from, #self do
    local row = {}
    for k, name in ipairs(names) do row[k] = cell(self[i][name]) end
    rows[#rows + 1] = row
  end
  for k in ipairs(names) do
    width[k] = 0
    for _, row in ipairs(rows) do width[k] = math.max(width[k], #row[k]) end
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k, text in ipairs(row) do cells[k] = (" "):rep(width[k] - #text) .. text end
    rows[i] = table.concat(cells, "  ")
  end
  rows[#rows + 1] = self.stopped and "stopped: " .. self.stopped
  return table.concat(rows, "\n")
end

return M
