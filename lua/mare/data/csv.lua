-- csv.lua -- tables of text: names and columns.

local core = require "mare.core".functions
local check = require "mare.check"

local M = {}

local OPTIONS = { header = true, separator = true, decimal = true, missing = true, types = true,
  columns = true, names = true, rows = true }
local KINDS = { i64 = true, f64 = true, string = true }

--- What stands for a missing value unless the option `missing` says otherwise.
M.missing = { "", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null" }

local function check_strings(name, list)
  if type(list) ~= "table" then
    check.argument(2, "csv", "%s is a list of strings, not a %s", name, check.kind(list))
  end
  for _, v in ipairs(list) do
    if type(v) ~= "string" then
      check.argument(2, "csv", "%s is a list of strings; it holds a %s", name, check.kind(v))
    end
  end
end

-- One byte that no number and no line has.
local function check_byte(name, v, but)
  if type(v) ~= "string" or #v ~= 1 or v:find '[%w+%-"\r\n%z]' or v == but then
    check.argument(2, "csv", "%s is one character such as ',' or ';', not %q", name, tostring(v))
  end
end

local function check_types(types)
  if type(types) ~= "table" then
    check.argument(2, "csv", "types is a table { name = 'i64' | 'f64' | 'string' }, not a %s",
      check.kind(types))
  end
  for name, kind in pairs(types) do
    if type(name) ~= "string" or not KINDS[kind] then
      check.argument(2, "csv", "types: '%s' is %s; 'i64', 'f64' or 'string' expected",
        check.text(name), check.text(kind))
    end
  end
end

local function checked(opts)
  check.options(2, "csv", opts, OPTIONS)
  local o = {}
  for k, v in pairs(opts or {}) do o[k] = v end
  for _, name in ipairs { "missing", "columns", "names" } do
    if o[name] ~= nil then check_strings(name, o[name]) end
  end
  o.decimal = o.decimal or "."
  check_byte("decimal", o.decimal)
  o.separator = o.separator or ","
  check_byte("separator", o.separator, o.decimal)
  if o.types ~= nil then check_types(o.types) end
  if o.rows ~= nil then check.count(2, "csv", o.rows, 0) end
  o.missing = o.missing or M.missing
  return o
end

--- Reads a table of text (RFC 4180), gzipped or not: a list of columns { name =, kind =
-- "i64" | "f64" | "string", values = a tensor or a list with false for missing, missing =
-- how many }, in the order of the file; or nil and a message that names file, line and
-- column.  A string of text is given as { string = text }.
-- Kinds are found out from all rows: whole numbers, else numbers, else strings; missing
-- values are NaN and make whole numbers f64.  Numbers have no locale: 1, -2.5, 1e-3, inf.
-- Options: header (true: the first line has names), separator (","; also ";", "\t"),
-- decimal ("."), missing (a list of marks), types { name = kind }, columns (a list of the
-- names to be read), names (a list, in place of the file's), rows (so many at most).
-- Lines may end with \r\n (or all with \r), empty ones are left out, all others have the same
-- number of fields; fields in quotes may hold separators, newlines and "" for a quote.
-- mare.data.csv makes a frame of them.
-- `local columns = assert(csv.read("houses.csv", { missing = { "", "NA" } }))`
function M.read(from, opts)
  local string = type(from) == "table" and from.string or nil
  if type(from) == "table" then check.options(1, "csv", from, { string = true }) end
  if type(from) ~= "string" and type(string) ~= "string" then
    check.argument(1, "csv", "path or { string = text } expected, got %s", check.kind(from))
  elseif not string and from:find("\0", 1, true) then
    check.argument(1, "csv", "a path has no zero byte; text is given as { string = text }")
  end
  return core.read_csv(not string and from or nil, string, checked(opts))
end

return M
