-- encode.lua -- columns made of others: OneHot, polynomial features, lags of a series.

local check = require "mare.check"
local column = require "mare.data.column"
local dataset = require "mare.data.dataset"
local estimator = require "mare.models.estimator"
local frame = require "mare.data.frame"

local core, ops = require "mare.core".functions, require "mare.ops".ops

local M = {}

-- -- OneHot -------------------------------------------------------------------------------

-- What is encoded, as a frame: that which was given, or one with a column x1, x2 ... for each
-- of a tensor (n, d) or (n).
local function as_frame(name, v)
  if frame.is_frame(v) then return v end
  if dataset.is_dataset(v) then v = v.x end
  v = check.tensor(1, name, v):detach()
  if v:dim() == 1 then v = v:unsqueeze(2) end
  if v:dim() ~= 2 or v:numel() == 0 then
    check.argument(1, name, "a tensor (n, columns) expected, got shape %s", check.shape(v))
  end
  local list = {}
  for i = 1, v:size(2) do list[i] = { ("x%d"):format(i), v:select(2, i) } end
  return frame.new(list)
end

-- The columns to encode: those in the settings, or all of strings; of a tensor all.
local function chosen(self, name, v, f)
  local wanted = self.settings.columns
  if not wanted and not frame.is_frame(v) then return f:names() end
  local list = {}
  for _, key in ipairs(wanted or f:names()) do
    if not f:has(key) then check.argument(1, name, "there is no column '%s'", key) end
    if wanted or not core.is_tensor(f:column(key)) then list[#list + 1] = key end
  end
  if #list == 0 then check.argument(1, name, "the frame has no columns of strings; " ..
    "the setting columns names others") end
  return list
end

local encoder = {}

--- Learns the distinct values of the columns: of strings in a frame (or those in the setting
-- columns), of all columns of a tensor (n, d) or (n).
function encoder:fit(v)
  local f = as_frame("fit", v)
  local list, categories = chosen(self, "fit", v, f), {}
  for i, name in ipairs(list) do
    local missing, row = column.count_missing(f:column(name))
    if missing > 0 and not self.settings.missing then
      check.argument(1, "fit", "column '%s', row %d: the value is missing; the setting missing " ..
        "= true gives it a column", name, row)
    end
    local _, values = column.codes(f:column(name))
    categories[i] = { name = name, values = values }
  end
  rawset(self, "learned", { categories = categories, features = #list })
  return self
end

-- What f:onehot needs for a frame.
local function options_of(self, learned)
  local s, known = self.settings, {}
  for _, c in ipairs(learned.categories) do known[c.name] = c.values end
  return { missing = s.missing, drop_first = s.drop_first, categories = known,
    unknown = s.unknown == "ignore" and "ignore" or nil }
end

local function names_of(learned)
  local list = {}
  for i, c in ipairs(learned.categories) do list[i] = c.name end
  return list
end

--- The columns as indicators: a frame with the others as they were, or of a tensor an f32
-- tensor (n, number of values).
function encoder:transform(v)
  local learned, f = self:ready "transform", as_frame("transform", v)
  local list = names_of(learned)
  for _, name in ipairs(list) do
    if not f:has(name) then check.argument(1, "transform", "there is no column '%s'", name) end
    local missing, row = column.count_missing(f:column(name))
    if missing > 0 and not self.settings.missing then
      check.argument(1, "transform", "column '%s', row %d: the value is missing", name, row)
    end
  end
  local out = f:onehot(list, options_of(self, learned))
  return frame.is_frame(v) and out or out:tensor()
end

--- The names of the indicator columns, in the order of transform.
function encoder:names()
  local learned, out, s = self:ready "names", {}, self.settings
  for _, c in ipairs(learned.categories) do
    for k = s.drop_first and 2 or 1, #c.values do
      out[#out + 1] = ("%s_%s"):format(c.name, column.value_text(c.values[k]))
    end
    if s.missing then out[#out + 1] = c.name .. "_nan" end
  end
  return out
end

-- The values of one column from its indicators z (n, k): false where there is none.
local function decoded(z, values, drop_first)
  local out = {}
  if z:numel() == 0 then -- one value, whose column was dropped
    for i = 1, z:size(1) do out[i] = values[1] or false end
    return out
  end
  local top_list, place_list = z:max(2):totable(), z:argmax(2):totable()
  for i, k in ipairs(place_list) do
    if top_list[i] > 0 then out[i] = values[drop_first and k + 1 or k] or false
    else out[i] = drop_first and values[1] or false end
  end
  return out
end

--- A frame of the columns that were encoded, from indicators (n, k) or a frame that has them;
-- the largest of each group counts, and a value is missing where none is above 0.
function encoder:inverse(z)
  local learned, s = self:ready "inverse", self.settings
  local names = self:names()
  if frame.is_frame(z) then z = z:tensor(names) end
  z = check.tensor(1, "inverse", z):detach()
  if z:dim() ~= 2 or z:size(2) ~= #names then
    check.argument(1, "inverse", "a tensor (n, %d) expected, got shape %s", #names, check.shape(z))
  end
  local list, at = {}, 1
  for i, c in ipairs(learned.categories) do
    local width = #c.values + (s.missing and 1 or 0) - (s.drop_first and 1 or 0)
    list[i] = { c.name, decoded(z:narrow(2, at, width), c.values, s.drop_first) }
    at = at + width
  end
  return frame.new(list)
end

--- fit(v), then transform(v).
function encoder:fit_transform(v) return self:fit(v):transform(v) end

local function wrong_categories(_, learned)
  for i = 1, learned.features do
    local c = learned.categories[i]
    if type(c) ~= "table" or type(c.name) ~= "string" or type(c.values) ~= "table" then
      return ("the categories of column %d cannot be read"):format(i)
    end
    for k = 1, #c.values do
      local v = c.values[k]
      if type(v) ~= "number" and type(v) ~= "string" then
        return ("category %d of column %d is a %s"):format(k, i, type(v))
      end
    end
  end
end

--- Indicator columns, one for each value that the training rows have.  Settings: columns (of
-- strings, unless named); missing = true: a column for missing values; drop_first: none for the
-- first value; unknown = "error" | "ignore" (0 everywhere): what a new value is.
-- ```
-- local code = mare.data.OneHot():fit(train)
-- train, test = code:transform(train), code:transform(test)
-- ```
M.OneHot = estimator.define {
  name = "OneHot", kind = "plain",
  settings = { { "columns", nil, check = require "mare.data.scale".check_columns },
    { "missing", false }, { "drop_first", false },
    { "unknown", "error", one_of = { "error", "ignore" } } },
  learned = { categories = "table" },
  methods = encoder, verify = wrong_categories,
}

-- -- polynomial features --------------------------------------------------------------------

-- Lists of column numbers, ascending, for all products of `degree` columns of d.
local function products(d, degree, distinct)
  local out = {}
  local function extend(list, first)
    if #list == degree then
      out[#out + 1] = list
      return
    end
    for i = first, d do
      local longer = table.move(list, 1, #list, 1, {})
      longer[#longer + 1] = i
      extend(longer, distinct and i + 1 or i)
    end
  end
  extend({}, 1)
  return out
end

-- "a^2 b" for { 1, 1, 2 }.
local function product_name(list, names)
  local words, i = {}, 1
  while i <= #list do
    local j = i
    while list[j + 1] == list[i] do j = j + 1 end
    words[#words + 1] = j > i and ("%s^%d"):format(names[list[i]], j - i + 1) or names[list[i]]
    i = j + 1
  end
  return #list > 0 and table.concat(words, " ") or "1"
end

local function real_matrix(name, x)
  x = check.tensor(1, name, x):detach()
  if x:dim() == 1 then x = x:unsqueeze(2) end
  if x:dim() ~= 2 or x:size(2) == 0 then
    check.argument(1, name, "a tensor (n, d) expected, got shape %s", check.shape(x))
  elseif x.dtype == "i64" or x.dtype == "u8" then
    x = x:to "f32"
  end
  return x
end

local function expand(x, degree, opts, names)
  local columns, out_names, made = {}, {}, {}
  for k = opts.bias and 0 or 1, degree do
    for _, list in ipairs(products(x:size(2), k, opts.interactions)) do
      local key = table.concat(list, " ", 1, #list - (#list > 0 and 1 or 0))
      local value
      if k == 0 then value = core.ones({ x:size(1) }, x.dtype)
      elseif k == 1 then value = x:select(2, list[1])
      else value = made[key] * x:select(2, list[k]) end
      made[table.concat(list, " ")] = value
      columns[#columns + 1], out_names[#out_names + 1] = value, product_name(list, names)
    end
  end
  return ops.stack(columns, 2), out_names
end

--- All products of up to `degree` columns of x, (n, d) or (n): of a, b and degree 2: a, b, a^2,
-- a b, b^2; and their names.  Of a data set, a data set with them as inputs.  Options: bias =
-- true puts a column of ones first; interactions = true leaves out powers of one column.
-- `local z, names = mare.data.polynomial(x, 3)`
function M.polynomial(x, degree, opts)
  degree = check.count(2, "polynomial", degree)
  check.options(3, "polynomial", opts, { bias = true, interactions = true })
  local ds = dataset.is_dataset(x) and x
  x = real_matrix("polynomial", ds and ds.x or x)
  local names = {}
  for i = 1, x:size(2) do names[i] = ds and ds.features and ds.features[i] or ("x%d"):format(i) end
  local scope <close> = core.scope()
  local z, out_names = expand(x, degree, opts or {}, names)
  scope:keep(z)
  if not ds then return z, out_names end
  local out = core.hold(ds.with_inputs, ds, z)
  out.features = out_names
  return out, out_names
end

-- -- lags ---------------------------------------------------------------------------------

-- Whole numbers 1.. from a number of lags or a list of them.
local function lag_list(lags, n)
  local list = {}
  if type(lags) == "number" then
    if check.count(2, "lags", lags) >= n then
      check.argument(1, "lags", "%d values; the first row needs %d", n, lags + 1)
    end
    for i = 1, lags do list[i] = i end
    return list
  elseif type(lags) ~= "table" or rawlen(lags) == 0 then
    check.argument(2, "lags", "a number of lags or a list of them expected, got %s",
      type(lags) == "table" and "an empty list" or check.kind(lags))
  end
  for i, lag in ipairs(lags) do
    list[i] = type(lag) == "number" and math.tointeger(lag)
    if not list[i] or list[i] < 1 then
      check.argument(2, "lags", "lag #%d: whole number of at least 1 expected, got %s", i,
        check.text(lag))
    end
  end
  return list
end

local function series_of(series)
  if type(series) == "table" then series = check.list(1, "lags", series) end
  series = check.tensor(1, "lags", series):detach()
  if series:dim() ~= 1 then
    check.argument(1, "lags", "a series (n) expected, got shape %s", check.shape(series))
  end
  if series.dtype == "i64" or series.dtype == "u8" then series = series:to "f32" end
  local missing, row = column.count_missing(series)
  if missing > 0 then
    check.argument(1, "lags", "the value at %d is missing; see fillna of frames", row)
  end
  return series
end

--- A series, (n) or a list, as rows to be predicted from its past: a data set whose target is
-- the value at t and whose inputs are the values lag steps before, one column for each.  lags
-- is a number (7: the values 1 to 7 steps before) or a list ({ 1, 7, 28, 56 }).  Rows begin
-- where all lags are there, in the order of time.  Options: first, the t of the first row
-- (so that sets of different lags predict the same values); horizon (1): predict so many steps
-- ahead, that is lags count from horizon - 1 steps before t.
-- ```
-- local ds = mare.data.lags(counts, 7)
-- local train, unseen = ds:split(0.8, { shuffle = false })
-- ```
function M.lags(series, lags, opts)
  check.options(3, "lags", opts, { first = true, horizon = true })
  opts = opts or {}
  series = series_of(series)
  local n = series:size(1)
  lags = lag_list(lags, n)
  local ahead = check.count(3, "lags", opts.horizon or 1, nil, "horizon") - 1
  local longest = math.max(table.unpack(lags)) + ahead
  local first = check.count(3, "lags", opts.first or longest + 1, nil, "first")
  if first <= longest then
    check.argument(3, "lags", "first = %d; %d values before it are needed", first, longest)
  elseif first > n then
    check.argument(1, "lags", "%d values; the first row needs %d", n, first)
  end
  local count, columns, names = n - first + 1, {}, {}
  for i, lag in ipairs(lags) do
    columns[i] = series:narrow(1, first - ahead - lag, count)
    names[i] = ("lag %d"):format(lag)
  end
  return dataset.new(ops.stack(columns, 2), series:narrow(1, first, count), { features = names })
end

return M
