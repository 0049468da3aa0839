-- frame.lua -- a table of named columns: what raw data are before they are tensors.
--
--     local f = mare.data.csv "houses.csv"
--     print(f:describe())
--     local ds = f:fillna("mean"):onehot("alley", { missing = true }):dataset(nil, "price")
--
-- A frame does not change: what works on one returns another, which shares the columns that
-- stayed the same.  frame_values.lua fills, groups and joins; frame_text.lua prints.

local core = require "mare.core".functions
local check = require "mare.check"
local column = require "mare.data.column"
local csv = require "mare.data.csv"
local near = require "mare.near"

local M = {}

local Frame = { __name = "mare.Frame" }
local PARTS = {} -- frame[PARTS] = { names = list, columns = { name = column }, n = rows }

-- -- making ---------------------------------------------------------------------------

-- A frame of checked columns of n rows.
local function make(names, columns, n)
  return setmetatable({ [PARTS] = { names = names, columns = columns, n = n } }, Frame)
end

--- Is v a frame?
function M.is_frame(v) return getmetatable(v) == Frame end

-- The pairs { name, values } that the user gave, from any of the forms.
local function pairs_of(t, order)
  if t[1] ~= nil then
    if order ~= nil then
      check.argument(2, "frame", "the pairs of the first argument have an order already")
    end
    return t
  end
  local list = {}
  if order == nil then
    for name in pairs(t) do list[#list + 1] = name end
    table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  elseif type(order) ~= "table" then
    check.argument(2, "frame", "list of names expected, got %s", check.kind(order))
  else
    for i, name in ipairs(order) do list[i] = name end
  end
  for i, name in ipairs(list) do
    if t[name] == nil then check.argument(2, "frame", "no values for '%s'", check.text(name)) end
    list[i] = { name, t[name] }
  end
  return list
end

-- A frame from { name, values } pairs; errors name the function and its argument.
local function build(position, fname, list)
  local names, columns, n = {}, {}, nil
  for i, pair in ipairs(list) do
    local name = type(pair) == "table" and pair[1]
    if type(name) ~= "string" then
      check.argument(position, fname, "column %d: { name, values } expected, got %s", i,
        type(pair) == "table" and "a name that is a " .. type(name) or check.kind(pair))
    elseif columns[name] then
      check.argument(position, fname, "two columns '%s'", name)
    end
    local c = column.new(position, fname, name, pair[2])
    local rows = column.length(c)
    n = n or rows
    if rows ~= n then
      check.argument(position, fname, "column '%s' has %d rows, '%s' has %d (false stands for " ..
        "a missing value)", name, rows, names[1], n)
    end
    names[i], columns[name] = name, c
  end
  return make(names, columns, n or 0)
end

--- A frame of columns: tensors (n), lists of numbers or lists of strings, in which false
-- stands for a missing value (in f32 and f64 tensors it is nan).  Lists of whole numbers
-- become i64, others and those with missing values f64.
-- ```
-- local f = data.frame { { "city", { "Rome", "Oslo" } }, { "rain", { 3.5, false } } }
-- local g = data.frame({ a = { 1, 2 }, b = mare.randn(2) }, { "b", "a" })
-- ```
function M.new(t, order)
  if type(t) ~= "table" or M.is_frame(t) then
    check.argument(1, "frame", "list of { name, values } or table of columns expected, got %s",
      M.is_frame(t) and "a frame" or check.kind(t))
  end
  return build(1, "frame", pairs_of(t, order))
end

--- Reads a table of text (CSV), gzipped or not, as a frame; nil and a message that names file,
-- line and column when it cannot be read.  Text itself is given as { string = text }.  Kinds
-- are found out from all rows: whole numbers are i64, others and those with missing values
-- f64, all else strings.  Options: header (true: the first line has names), names (a list, in
-- place of those), columns (the names to be read), types ({ name = "i64" | "f64" | "string" }),
-- missing (a list of what stands for a missing value: "", "NA", "nan" and the like), separator
-- (","), decimal ("."), rows (so many at most).
-- `local f = assert(mare.data.csv("houses.csv", { missing = { "", "NA" } }))`
function M.csv(from, opts)
  local list, message = csv.read(from, opts)
  if not list then return nil, message end
  local names, columns = {}, {}
  for i, c in ipairs(list) do names[i], columns[c.name] = c.name, c.values end
  return make(names, columns, list[1] and column.length(list[1].values) or 0)
end

-- -- columns --------------------------------------------------------------------------

local MANY = 20 -- more columns than this are not listed in a message

-- What to say when there is no column of this name.
local function unknown(self, name)
  if type(name) ~= "string" then
    return ("name of a column expected, got %s"):format(check.kind(name))
  end
  local names = self[PARTS].names
  if #names <= MANY then return check.unknown("column", name, names) end
  local meant = near.nearest(name, names)
  return ("unknown column '%s'%s; the frame has %d columns"):format(name,
    meant and (", did you mean '%s'?"):format(meant) or "", #names)
end

-- The column of this name; otherwise an error.
local function need(self, position, fname, name)
  local c = self[PARTS].columns[name]
  if c == nil then check.argument(position, fname, "%s", unknown(self, name)) end
  return c
end

-- A list of names from names or lists of them, all of which are there.
local function names_of(self, position, fname, list)
  if type(list) ~= "table" then list = { list } end
  if rawlen(list) == 0 then check.argument(position, fname, "no column is named") end
  local seen = {}
  for _, name in ipairs(list) do
    need(self, position, fname, name)
    if seen[name] then check.argument(position, fname, "'%s' stands there twice", name) end
    seen[name] = true
  end
  return list, seen
end

--- f.age, f["age"]: a column as a tensor (n), or as a list of strings in which a missing
-- value is false.  It is the frame's own: change a copy.  A name that is also a method's
-- is reached by f:column "name".
function Frame:__index(key)
  local method = Frame[key]
  if method ~= nil then return method end
  local parts = rawget(self, PARTS)
  local c = parts.columns[key]
  if c == nil and type(key) == "string" then
    check.fail("%s", unknown(self, key))
  end
  return c
end

function Frame.__newindex(_, key)
  check.fail("a frame does not change; f:with { %s = ... } makes one with that column",
    check.text(key))
end

--- The number of rows.
function Frame:__len() return self[PARTS].n end

--- A list of the names of the columns.
function Frame:names() return table.move(self[PARTS].names, 1, #self[PARTS].names, 1, {}) end

--- A table name -> "f64", "i64", "string" ...
function Frame:types()
  local out = {}
  for name, c in pairs(self[PARTS].columns) do out[name] = column.type(c) end
  return out
end

--- The column of this name, as f.name gives it.
function Frame:column(name) return need(self, 1, "column", name) end

--- Has the frame a column of this name?
function Frame:has(name) return self[PARTS].columns[name] ~= nil end

--- A frame of some columns, in the order given: f:select { "a", "b" }.
function Frame:select(list)
  list = names_of(self, 1, "select", list)
  local columns = {}
  for _, name in ipairs(list) do columns[name] = self[PARTS].columns[name] end
  return make(table.move(list, 1, #list, 1, {}), columns, #self)
end

-- The columns as pairs, but for those in a set.
local function pairs_but(self, left_out)
  local list = {}
  for _, name in ipairs(self[PARTS].names) do
    if not (left_out and left_out[name]) then
      list[#list + 1] = { name, self[PARTS].columns[name] }
    end
  end
  return list
end

--- A frame without some columns: f:drop "id", f:drop { "a", "b" }.
function Frame:drop(list)
  local _, set = names_of(self, 1, "drop", list)
  local left = pairs_but(self, set)
  local names, columns = {}, {}
  for i, pair in ipairs(left) do names[i], columns[pair[1]] = pair[1], pair[2] end
  return make(names, columns, #self)
end

--- A frame with other names for some columns: f:rename { old = "new" }.
function Frame:rename(map)
  if type(map) ~= "table" then
    check.argument(1, "rename", "table { old = \"new\" } expected, got %s", check.kind(map))
  end
  for old in pairs(map) do need(self, 1, "rename", old) end
  local list = pairs_but(self)
  for _, pair in ipairs(list) do
    local new = map[pair[1]]
    if new ~= nil then pair[1] = new end
  end
  return build(1, "rename", list)
end

-- -- rows -----------------------------------------------------------------------------

-- A frame of the rows of an i64 tensor, which are there.
local function take(self, rows)
  local parts, columns, list = self[PARTS], {}, nil
  local function positions()
    list = list or rows:totable()
    return list
  end
  rows = rows:contiguous()
  for name, c in pairs(parts.columns) do columns[name] = column.take(c, rows, positions) end
  return make(parts.names, columns, rows:size(1))
end

local function as_tensor(list)
  return #list > 0 and core.tensor(list, "i64") or core.empty(0, "i64")
end

--- A frame of some rows, in the order given: a list or an i64 tensor of row numbers.
function Frame:subset(rows)
  if type(rows) == "table" then
    rows = #rows > 0 and check.list(1, "subset", rows, "i64") or core.empty(0, "i64")
  end
  if check.kind(rows) ~= "i64 tensor" or rows:dim() ~= 1 then
    check.argument(1, "subset", "list of rows or i64 tensor expected, got %s", check.kind(rows))
  end
  for i, row in ipairs(rows:totable()) do
    if row < 1 or row > #self then
      check.argument(1, "subset", "row %d (#%d) of %d", row, i, #self)
    end
  end
  return take(self, rows)
end

local function range(self, first, last)
  return take(self, last >= first and core.arange(first, last, "i64") or core.empty(0, "i64"))
end

--- The first rows (5).
function Frame:head(n) return range(self, 1, math.min(check.count(1, "head", n or 5, 0), #self)) end

--- The last rows (5).
function Frame:tail(n)
  n = math.min(check.count(1, "tail", n or 5, 0), #self)
  return range(self, #self - n + 1, #self)
end

--- Row i as a table name -> value, without what is missing.
function Frame:row(i)
  local n = #self
  if math.type(i) ~= "integer" or i < 1 or i > n then
    check.argument(1, "row", "row of 1..%d expected, got %s", n, check.text(i))
  end
  local out = {}
  for name, c in pairs(self[PARTS].columns) do
    local v = c[i]
    if core.is_tensor(v) then v = v:item() end
    if v and v == v then out[name] = v end
  end
  return out
end

-- A table through which row after row is read, and a function that moves it to row i.
local function cursor(self)
  local parts, lists, at = self[PARTS], {}, 0
  local row = setmetatable({}, { __index = function(_, name)
    local list = lists[name]
    if not list then
      local c = parts.columns[name]
      if c == nil then check.fail("%s", unknown(self, name)) end
      list = column.list(c)
      lists[name] = list
    end
    return list[at] or nil
  end })
  return row, function(i) at = i end
end

--- Iterates over the rows: for i, row in f:rows() do ... row.age ... end.  A missing value is
-- nil; row is the same table each time.
function Frame:rows()
  local row, move = cursor(self)
  local i, n = 0, #self
  return function()
    i = i + 1
    if i > n then return nil end
    move(i)
    return i, row
  end
end

local function check_mask(self, position, fname, mask)
  if mask.dtype ~= "u8" or mask:dim() ~= 1 or mask:size(1) ~= #self then
    check.argument(position, fname, "a u8 mask (%d) expected, got %s %s", #self, mask.dtype,
      check.shape(mask))
  end
  return mask:nonzero():reshape(-1)
end

--- A frame of the rows for which keep(row) is true, or that a u8 mask (n) marks.
-- `f:filter(function(row) return row.age and row.age >= 18 end)  f:filter(f.age:ge(18))`
function Frame:filter(keep)
  if core.is_tensor(keep) then return take(self, check_mask(self, 1, "filter", keep)) end
  check.callable(1, "filter", keep)
  local list = {}
  for i, row in self:rows() do
    if keep(row) then list[#list + 1] = i end
  end
  return take(self, as_tensor(list))
end

--- A frame of the rows without a missing value, in all columns or in some.
function Frame:dropna(list)
  list = list == nil and self:names() or names_of(self, 1, "dropna", list)
  local missing = core.zeros({ #self }, "u8")
  for _, name in ipairs(list) do
    missing = missing:logical_or(column.missing(self[PARTS].columns[name]))
  end
  return take(self, missing:eq(0):nonzero():reshape(-1))
end

-- What a column is ordered by: a tensor in which nan is missing.
local function sort_key(c)
  if core.is_tensor(c) then return c end
  local codes = column.codes(c)
  for i, k in ipairs(codes) do
    if k == 0 then codes[i] = 0 / 0 end
  end
  return #codes > 0 and core.tensor(codes, "f64") or core.empty(0, "f64")
end

-- `order` sorted by a key, ties left as they are, missing ones last.
local function order_by(order, key, descending)
  key = core.batch(key, order, 1, order:size(1))
  local whole = key.dtype == "i64" or key.dtype == "u8"
  if descending and not whole then key = -key end -- nan stays last
  local _, place = key:sort(1, descending and whole)
  return core.batch(order, place, 1, place:size(1))
end

--- A frame sorted by one column or several, the first being the most important; rows that
-- are equal keep their order, missing values come last.  Option descending: true, or a list
-- with an entry for each column.
-- `f:sort({ "city", "age" }, { descending = { false, true } })`
function Frame:sort(keys, opts)
  keys = names_of(self, 1, "sort", keys)
  check.options(2, "sort", opts, { descending = true })
  local down = opts and opts.descending
  if type(down) == "table" and #down ~= #keys then
    check.argument(2, "sort", "descending: %d entries for %d columns", #down, #keys)
  end
  if #self == 0 then return self end
  local order = core.arange(1, #self, "i64")
  for i = #keys, 1, -1 do
    local descending = down
    if type(down) == "table" then descending = down[i] end
    order = order_by(order, sort_key(self[PARTS].columns[keys[i]]), descending)
  end
  return take(self, order)
end

--- A frame with its rows in random order.  Option seed.
function Frame:shuffle(opts)
  check.options(1, "shuffle", opts, { seed = true })
  local seed = opts and opts.seed
  if seed ~= nil and math.type(seed) ~= "integer" then
    check.argument(1, "shuffle", "seed is an integer, not %s", check.text(seed))
  end
  return take(self, seed and core.permutation(#self, seed, 0) or core.randperm(#self))
end

-- -- new columns ----------------------------------------------------------------------

-- v for all n rows: what f:with was given, made a list or a tensor.
local function spread(self, fname, name, v)
  if type(v) == "number" or type(v) == "string" then
    local list = {}
    for i = 1, #self do list[i] = v end
    return list
  elseif type(v) == "function" then
    local list = {}
    for i, row in self:rows() do list[i] = v(row) or false end
    return list
  elseif not core.is_tensor(v) and type(v) ~= "table" then
    check.argument(1, fname, "column '%s': list, tensor, number, string or function(row) " ..
      "expected, got %s", check.text(name), check.kind(v))
  end
  return v
end

--- A frame with columns added or replaced: lists, tensors, one number or string for all rows,
-- or a function of the row.  New ones follow in the order of their names.
-- `f:with { ratio = function(row) return row.rooms / row.people end, year = 2024 }`
function Frame:with(columns)
  if type(columns) ~= "table" then
    check.argument(1, "with", "table { name = values } expected, got %s", check.kind(columns))
  end
  local list, new = pairs_but(self), {}
  for _, pair in ipairs(list) do
    local v = columns[pair[1]]
    if v ~= nil then pair[2] = spread(self, "with", pair[1], v) end
  end
  for name in pairs(columns) do
    if not self:has(name) then new[#new + 1] = name end
  end
  table.sort(new, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(new) do
    list[#list + 1] = { name, spread(self, "with", name, columns[name]) }
  end
  return build(1, "with", list)
end

--- A frame in which f took the place of each value of a column; a missing value is nil.
-- `f:map("city", function(v) return v and v:lower() end)`
function Frame:map(name, f)
  local c = need(self, 1, "map", name)
  check.callable(2, "map", f)
  local list = {}
  for i, v in ipairs(column.list(c)) do list[i] = f(v or nil) or false end
  local all = pairs_but(self)
  for _, pair in ipairs(all) do
    if pair[1] == name then pair[2] = list end
  end
  return build(1, "map", all)
end

-- -- tensors --------------------------------------------------------------------------

local function numeric(self, position, fname, name, allow)
  local c = self[PARTS].columns[name]
  if not core.is_tensor(c) then
    check.argument(position, fname, "column '%s' holds strings; f:onehot \"%s\" makes numbers " ..
      "of them", name, name)
  end
  local missing, row = column.count_missing(c)
  if missing > 0 and not allow then
    check.argument(position, fname, "column '%s' has %d missing value%s, the first in row %d; " ..
      "see fillna and dropna", name, missing, missing == 1 and "" or "s", row)
  end
  return c
end

local dtypes = { f32 = true, f64 = true, i64 = true, u8 = true }

local function tensor_options(position, fname, opts, known)
  if type(opts) == "string" then opts = { dtype = opts } end
  check.options(position, fname, opts, known)
  opts = opts or {}
  if opts.dtype ~= nil and not dtypes[opts.dtype] then
    check.argument(position, fname, "%s", check.unknown("type", opts.dtype, dtypes))
  end
  return opts
end

-- The columns `list` as a matrix, or one as a vector.
local function tensor_of(self, position, fname, list, opts)
  local dtype = opts.dtype or "f32"
  if type(list) == "string" then
    need(self, position, fname, list)
    return numeric(self, position, fname, list, opts.missing):to(dtype):clone()
  end
  list = list == nil and self:names() or names_of(self, position, fname, list)
  local out = core.empty({ #self, #list }, dtype)
  for i, name in ipairs(list) do
    out:select(2, i):copy_(numeric(self, position, fname, name, opts.missing):to(dtype))
  end
  return out
end

--- Columns as a tensor: f:tensor { "a", "b" } is (n, 2), f:tensor "a" is (n), f:tensor() has
-- all.  The type is f32 unless a second argument says another; missing values are an error
-- unless opts.missing is true: then they are nan.
-- `local x = f:tensor({ "age", "income" }, "f64")`
function Frame:tensor(list, opts)
  opts = tensor_options(2, "tensor", opts, { dtype = true, missing = true })
  return tensor_of(self, 1, "tensor", list, opts)
end

-- The values of a column as numbers of a list of classes.
local function codes_of(name, c, classes)
  local place, codes = {}, {}
  for i, v in ipairs(classes) do place[tostring(v)], place[column.value_text(v)] = i, i end
  for i, v in ipairs(column.list(c)) do
    codes[i] = v and place[tostring(v)] or 0
    if v and codes[i] == 0 then
      check.argument(2, "dataset", "target '%s', row %d: %s is not among the classes", name, i,
        tostring(v))
    end
  end
  return codes, table.move(classes, 1, #classes, 1, {})
end

-- Labels 1..K from a column, and the names of the classes.
local function labels_of(name, c, classes)
  local codes, values
  if classes then codes, values = codes_of(name, c, classes)
  else codes, values = column.codes(c) end
  for i, k in ipairs(codes) do
    if k == 0 then check.argument(2, "dataset", "target '%s' is missing in row %d", name, i) end
  end
  for i, v in ipairs(values) do values[i] = tostring(v) end
  return as_tensor(codes), values
end

-- The names of the columns that are not a target.
local function others(self, target)
  local set, list = {}, {}
  for _, name in ipairs(type(target) == "table" and target or { target }) do set[name] = true end
  for _, name in ipairs(self[PARTS].names) do
    if not set[name] then list[#list + 1] = name end
  end
  return list
end

--- A data set of columns: inputs (all but the target unless named) as a matrix, and a target.
-- A column of strings becomes labels 1..K in the order of the distinct values, which are the
-- data set's classes; so does one of whole numbers with labels = true.  Otherwise a name gives
-- numbers (n), a list of names (n, k).  Options: dtype ("f32"), labels, classes (their order:
-- those of the training rows, where other rows may lack some).
-- `local train = f:dataset({ "age", "income" }, "bought", { labels = true })`
-- `local test = g:dataset({ "age", "income" }, "bought", { classes = train.classes })`
function Frame:dataset(inputs, target, opts)
  opts = tensor_options(3, "dataset", opts, { dtype = true, labels = true, classes = true })
  if opts.classes ~= nil and type(opts.classes) ~= "table" then
    check.argument(3, "dataset", "classes: list of values expected, got %s",
      check.kind(opts.classes))
  end
  local y, classes
  if target ~= nil then
    names_of(self, 2, "dataset", target)
    local c = self[PARTS].columns[target]
    if c and (opts.labels or opts.classes or not core.is_tensor(c)) then
      y, classes = labels_of(target, c, opts.classes)
    else
      y = tensor_of(self, 2, "dataset", target, { dtype = opts.dtype })
    end
  end
  if inputs == nil then inputs = others(self, target) end
  if type(inputs) == "string" then inputs = { inputs } end
  local x = tensor_of(self, 1, "dataset", inputs, { dtype = opts.dtype })
  return require "mare.data.dataset".new(x, y, { classes = classes,
    features = table.move(inputs, 1, #inputs, 1, {}) })
end

--- A frame has no batches: which columns are inputs is not known.
function Frame.batches()
  check.fail("a frame has no batches; f:dataset(inputs, target) makes a data set of it")
end

-- -- the rest of the methods ----------------------------------------------------------

local tools = { PARTS = PARTS, make = make, build = build, need = need, names_of = names_of,
  pairs_but = pairs_but, take = take, as_tensor = as_tensor, is_frame = M.is_frame }

require "mare.data.frame_values" (Frame, tools)
require "mare.data.frame_text" (Frame, tools)
require "mare.data.frame_split" (Frame, tools)

return M
