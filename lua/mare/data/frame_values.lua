-- frame_values.lua -- methods of frames that look at values: describing them, filling what is
-- missing, indicator columns, groups, joining.

local core = require "mare.core".functions
local check = require "mare.check"
local column = require "mare.data.column"

return function(Frame, tools)
  local PARTS, make, build = tools.PARTS, tools.make, tools.build
  local need, names_of, as_tensor = tools.need, tools.names_of, tools.as_tensor

  -- -- statistics ---------------------------------------------------------------------

  -- Calls f(name, column) for the columns of numbers, in order.
  local function each_numeric(self, f)
    for _, name in ipairs(self[PARTS].names) do
      local c = self[PARTS].columns[name]
      if core.is_tensor(c) then f(name, c) end
    end
  end

  for _, name in ipairs { "mean", "sum", "std", "min", "max", "median" } do
    --- f:mean(), f:sum(), f:std(), f:min(), f:max(), f:median(): a table name -> number of
    -- what is not missing in the columns of numbers; std divides by n - 1.  Sums, minima and
    -- maxima of whole numbers are exact.
    Frame[name] = function(self)
      local out = {}
      each_numeric(self, function(key, c) out[key] = column.statistic(c, name) end)
      return out
    end
  end

  --- What is in each column: a frame with a row for each statistic: count (of what is not
  -- missing), missing, distinct, mean, std (over n - 1), min, quartiles, max; the last seven
  -- are missing for strings.
  -- `print(f:describe())`
  function Frame:describe()
    local list = { { "statistic", column.described } }
    for _, name in ipairs(self[PARTS].names) do
      if name == "statistic" then list[1][1] = "(statistic)" end
      local values = column.describe(self[PARTS].columns[name])
      for i, v in ipairs(values) do values[i] = v or 0 / 0 end
      list[#list + 1] = { name, core.tensor(values, "f64") }
    end
    return build(1, "describe", list)
  end

  -- -- what is missing ------------------------------------------------------------------

  local computed = { -- the value that stands for what is missing in a column
    mean = function(c) return column.statistic(c, "mean") end,
    median = function(c) return column.statistic(c, "median") end,
    mode = column.mode,
  }
  local carried = { forward = true, backward = true }
  local ways = { "mean", "median", "mode", "forward", "backward" }

  local function fill_from(c, backward)
    local list, out, last = column.list(c), {}, false
    local first, final, step = 1, #list, 1
    if backward then first, final, step = #list, 1, -1 end
    for i = first, final, step do
      last = list[i] or last
      out[i] = last
    end
    return out
  end

  -- c with v where a value was missing.  A column without any value takes strings too.
  local function put(position, fname, name, c, v)
    if type(v) == "string" then c = column.as_strings(c) or c end
    local numbers = core.is_tensor(c)
    if type(v) ~= (numbers and "number" or "string") then
      check.argument(position, fname, "column '%s' holds %s; %s is a %s", name,
        numbers and "numbers" or "strings", check.text(v), type(v))
    end
    if numbers then
      return column.count_missing(c) > 0 and c:masked_fill(column.missing(c), v) or c
    end
    local out = {}
    for i = 1, #c do out[i] = c[i] or v end
    return out
  end

  -- The value for a column, computed where it is asked for by name.
  local function value_of(position, fname, name, c, how)
    if type(how) == "table" then return how.value end
    local f = computed[how]
    if not f then return how end
    if how ~= "mode" and not core.is_tensor(c) then
      check.argument(position, fname, "column '%s' holds strings; there is no %s of them", name,
        how)
    end
    local v = f(c)
    if v == nil then
      check.argument(position, fname, "column '%s' has no values to take the %s of", name, how)
    end
    return v
  end

  -- name -> how, for the columns that `how` speaks of.
  local function plan(self, fname, how)
    local out = {}
    if type(how) == "table" then
      for name, v in pairs(how) do
        need(self, 1, fname, name)
        out[name] = v
      end
      return out
    end
    if type(how) == "string" and not computed[how] and not carried[how] then
      check.argument(1, fname, "%s; a string for a column is given as { name = \"%s\" }",
        check.unknown("way to fill", how, ways), how)
    elseif type(how) ~= "string" and type(how) ~= "number" then
      check.argument(1, fname, "a way to fill, a number or a table of columns expected, got %s",
        check.kind(how))
    end
    local all = carried[how] or how == "mode"
    for _, name in ipairs(self[PARTS].names) do
      local c = self[PARTS].columns[name]
      if (all or core.is_tensor(c)) and column.count_missing(c) > 0 then out[name] = how end
    end
    return out
  end

  --- A frame in which what was missing is filled: "mean", "median" (columns of numbers), "mode"
  -- (the most frequent value), "forward" or "backward" (the value before or after), a number
  -- (columns of numbers), or a table that says it for each column.  A string that is itself one
  -- of these words is given as { value = "mean" }.
  -- `f:fillna("mean")  f:fillna { age = "median", city = "unknown", rain = 0 }`
  function Frame:fillna(how)
    local hows, parts, columns = plan(self, "fillna", how), self[PARTS], {}
    for name, c in pairs(parts.columns) do
      local this = hows[name]
      columns[name] = c
      if carried[this] then
        columns[name] = column.new(1, "fillna", name, fill_from(c, this == "backward"))
        if core.is_tensor(c) and c.dtype ~= "i64" then columns[name] = columns[name]:to(c.dtype) end
      elseif this ~= nil then
        columns[name] = put(1, "fillna", name, c, value_of(1, "fillna", name, c, this))
      end
    end
    return make(parts.names, columns, parts.n)
  end

  --- What fillna would put into each column, as a table to give to another frame's fillna: so
  -- what is computed from the training rows fills the test rows.  It has all columns of numbers
  -- (for "mode" all columns), since other rows may lack what these have, or those of a table.
  -- `local fill = train:fills "mean"; train, test = train:fillna(fill), test:fillna(fill)`
  function Frame:fills(how)
    if carried[how] then check.argument(1, "fills", "'%s' has no value of its own", how) end
    local hows = plan(self, "fills", how)
    if type(how) == "string" then -- other rows may lack what these have
      for name, c in pairs(self[PARTS].columns) do
        if how == "mode" or core.is_tensor(c) then hows[name] = how end
      end
    end
    local out = {}
    for name, this in pairs(hows) do
      local v = value_of(1, "fills", name, self[PARTS].columns[name], this)
      if type(v) == "string" then v = { value = v } end
      out[name] = v
    end
    return out
  end

  -- -- indicator columns --------------------------------------------------------------

  -- Codes of a column among given categories, 0 where missing or (when allowed) unknown.
  local function codes_among(name, c, categories, ignore)
    local place, codes = {}, {}
    for i, v in ipairs(categories) do place[v] = i end
    for i, v in ipairs(column.list(c)) do
      codes[i] = v and place[v] or 0
      if v and not place[v] and not ignore then
        check.argument(1, "onehot", "column '%s', row %d: '%s' is not among the categories; " ..
          "unknown = \"ignore\" leaves such rows without any", name, i, check.text(v))
      end
    end
    return codes, categories
  end

  -- The indicator columns of one column, as pairs.
  local function indicators(name, c, opts, categories)
    local codes, values
    if categories then codes, values = codes_among(name, c, categories, opts.unknown)
    else codes, values = column.codes(c) end
    local out, t = {}, as_tensor(codes)
    for k = opts.drop_first and 2 or 1, #values do
      out[#out + 1] = { ("%s_%s"):format(name, column.value_text(values[k])), t:eq(k) }
    end
    if opts.missing then out[#out + 1] = { name .. "_nan", column.missing(c) } end
    return out
  end

  local function onehot_options(opts)
    check.options(2, "onehot", opts, { missing = true, drop_first = true, categories = true,
      unknown = true })
    opts = opts or {}
    if opts.unknown ~= nil and opts.unknown ~= "ignore" then
      check.argument(2, "onehot", "unknown: 'ignore' expected, got %s", check.text(opts.unknown))
    elseif opts.categories ~= nil and type(opts.categories) ~= "table" then
      check.argument(2, "onehot", "categories: table { column = list } expected, got %s",
        check.kind(opts.categories))
    end
    return opts
  end

  --- A frame with columns (of strings, unless named) replaced by one u8 column for each
  -- distinct value, "city_Rome", in ascending order: 1 where the row has it.  Options: missing
  -- = true adds "city_nan" for rows without a value (otherwise these are 0 everywhere);
  -- drop_first leaves out the first value; categories = { city = list } says the values, so
  -- that test rows get the columns of the training rows (see f:categories); one that is not
  -- among them is an error unless unknown = "ignore".
  -- `f:onehot("city", { missing = true })`
  function Frame:onehot(list, opts)
    opts = onehot_options(opts)
    local parts, set, out = self[PARTS], {}, {}
    if list == nil then
      for name, c in pairs(parts.columns) do set[name] = not core.is_tensor(c) end
    else
      local _, named = names_of(self, 1, "onehot", list)
      set = named
    end
    local known = opts.categories or {}
    for name in pairs(known) do need(self, 2, "onehot", name) end
    for _, name in ipairs(parts.names) do
      local c = parts.columns[name]
      local new = set[name] and indicators(name, c, opts, known[name]) or { { name, c } }
      table.move(new, 1, #new, #out + 1, out)
    end
    return build(1, "onehot", out)
  end

  --- The distinct values of columns (of strings, unless named) as { name = list }, ascending:
  -- what onehot takes as categories.
  -- `test:onehot(nil, { categories = train:categories() })`
  function Frame:categories(list)
    local out = {}
    if list ~= nil then list = names_of(self, 1, "categories", list) end
    for _, name in ipairs(list or self[PARTS].names) do
      local c = self[PARTS].columns[name]
      if list or not core.is_tensor(c) then
        local _, values = column.codes(c)
        out[name] = values
      end
    end
    return out
  end

  -- -- groups -----------------------------------------------------------------------------

  local Group = { __name = "mare.Group" }
  Group.__index = Group

  -- Codes of the combinations of several columns, in order; 0 where one is missing.
  local function combined(self, names)
    local codes, count = nil, 0
    for _, name in ipairs(names) do
      local own, values = column.codes(self[PARTS].columns[name])
      if codes then
        for i, k in ipairs(own) do
          codes[i] = k > 0 and codes[i] > 0 and (codes[i] - 1) * #values + k or 0 / 0
        end
        local distinct
        codes, distinct = column.codes(core.tensor(codes, "f64"))
        count = #distinct
      else
        codes, count = own, #values
      end
    end
    return codes, count
  end

  --- The rows in groups of equal values in one column or several; rows in which one of these
  -- is missing are in none.  g:mean(), sum, std, min, max, median are frames with a row for
  -- each group, ascending, of the columns of numbers; g:count() has how many values are there
  -- in each column, g:size() how many rows; for key, part in g:each() goes through them.
  -- `print(f:group("city"):mean())`
  function Frame:group(list)
    list = names_of(self, 1, "group", list)
    local codes, count = combined(self, list)
    local members, firsts = {}, {}
    for k = 1, count do members[k] = {} end
    for i, k in ipairs(codes) do
      if k > 0 then members[k][#members[k] + 1] = i end
    end
    for k = 1, count do firsts[k] = members[k][1] end
    local keys = {}
    for i, name in ipairs(list) do keys[i], keys[name] = name, true end
    return setmetatable({ frame = self, keys = keys, members = members, firsts = firsts }, Group)
  end

  -- The columns of the keys, a row for each group, as pairs.
  local function key_pairs(g)
    local out, rows = {}, as_tensor(g.firsts)
    for i, name in ipairs(g.keys) do
      out[i] = { name, column.take(g.frame[PARTS].columns[name], rows,
        function() return g.firsts end) }
    end
    return out
  end

  -- A frame with f(column, rows) of each group for each column that `of` takes.
  local function aggregate(g, of, f)
    local out, rows = key_pairs(g), {}
    for k, list in ipairs(g.members) do rows[k] = as_tensor(list) end
    for _, name in ipairs(g.frame[PARTS].names) do
      local c = g.frame[PARTS].columns[name]
      if not g.keys[name] and of(c) then
        local values = {}
        for k, t in ipairs(rows) do values[k] = f(c, t, g.members[k]) end
        out[#out + 1] = { name, values }
      end
    end
    return build(1, "group", out)
  end

  for _, name in ipairs { "mean", "sum", "std", "min", "max", "median" } do
    Group[name] = function(g)
      return aggregate(g, core.is_tensor, function(c, rows)
        return column.statistic(column.take(c, rows), name) or (name == "sum" and 0.0 or 0 / 0)
      end)
    end
  end

  function Group:count()
    return aggregate(self, function() return true end, function(c, rows, list)
      return #list - column.count_missing(column.take(c, rows, function() return list end))
    end)
  end

  function Group:size()
    local out, sizes = key_pairs(self), {}
    for k, list in ipairs(self.members) do sizes[k] = #list end
    out[#out + 1] = { "size", sizes }
    return build(1, "size", out)
  end

  --- Iterates over the groups: the key (a list when there are several) and a frame.
  function Group:each()
    local k, keys = 0, key_pairs(self)
    for i, pair in ipairs(keys) do keys[i] = column.list(pair[2]) end
    return function()
      k = k + 1
      if k > #self.members then return nil end
      local key = {}
      for i, list in ipairs(keys) do key[i] = list[k] end
      return #key == 1 and key[1] or key, tools.take(self.frame, as_tensor(self.members[k]))
    end
  end

  function Group:__tostring()
    return ("%d groups of %d rows by %s"):format(#self.members, #self.frame,
      table.concat(self.keys, ", "))
  end

  -- -- joining --------------------------------------------------------------------------

  local function need_frame(position, fname, v)
    if not tools.is_frame(v) then
      check.argument(position, fname, "frame expected, got %s", check.kind(v))
    end
    return v[PARTS]
  end

  -- An error unless columns of one name hold the same kind of thing.
  local function same_kind(position, fname, name, a, b)
    if core.is_tensor(a) ~= core.is_tensor(b) then
      check.argument(position, fname, "column '%s' is %s in one frame and %s in the other", name,
        column.type(a), column.type(b))
    end
  end

  --- A frame with the rows of this one and then those of others, which have the same columns.
  -- `local all = january:concat(february, march)`
  function Frame:concat(...)
    local mine, lists, n = self[PARTS], {}, #self
    for name, c in pairs(mine.columns) do lists[name] = { c } end
    for i, other in ipairs { ... } do
      local parts = need_frame(i, "concat", other)
      for _, name in ipairs(parts.names) do need(self, i, "concat", name) end
      for _, name in ipairs(mine.names) do
        local c = need(other, i, "concat", name)
        local list = lists[name]
        if not core.is_tensor(c) then list[1] = column.as_strings(list[1]) or list[1]
        elseif not core.is_tensor(list[1]) then c = column.as_strings(c) or c end
        same_kind(i, "concat", name, list[1], c)
        list[i + 1] = c
      end
      n = n + parts.n
    end
    local columns = {}
    for name, list in pairs(lists) do columns[name] = column.concat(list) end
    return make(mine.names, columns, n)
  end

  -- For each row a text that is the same for equal values of the keys; false: one is missing.
  local function row_keys(self, keys)
    local out, lists = {}, {}
    for k, name in ipairs(keys) do lists[k] = column.list(self[PARTS].columns[name]) end
    for i = 1, #self do
      local words, whole = {}, true
      for k, list in ipairs(lists) do
        local v = list[i]
        if type(v) == "number" then v = math.tointeger(v) or ("%a"):format(v) end
        whole = whole and v
        words[k] = ("%d:%s"):format(#tostring(v), v)
      end
      out[i] = whole ~= false and table.concat(words, " ")
    end
    return out
  end

  -- Pairs of rows that belong together; 0 for a row that has none, when those are kept.
  local function match(self, other, keys, left)
    local where, mine, theirs = {}, {}, {}
    for i, key in ipairs(row_keys(other, keys)) do
      if key then
        where[key] = where[key] or {}
        table.insert(where[key], i)
      end
    end
    for i, key in ipairs(row_keys(self, keys)) do
      for _, row in ipairs(key and where[key] or left and { 0 } or {}) do
        mine[#mine + 1], theirs[#theirs + 1] = i, row
      end
    end
    return mine, theirs
  end

  local hows = { inner = true, left = true }

  --- A frame with the columns of this one and those of another, rows put together where the
  -- key columns are equal: all pairs of such rows, in the order of this frame.  Rows without a
  -- partner are left out (how = "inner") or kept with missing values ("left").
  -- `orders:join(customers, "customer", { how = "left" })`
  function Frame:join(other, keys, opts)
    need_frame(1, "join", other)
    local list, set = names_of(self, 2, "join", keys)
    names_of(other, 2, "join", keys)
    check.options(3, "join", opts, { how = true })
    local how = opts and opts.how or "inner"
    if not hows[how] then
      check.argument(3, "join", "how: 'inner' or 'left' expected, got %s", check.text(how))
    end
    for _, name in ipairs(list) do
      same_kind(2, "join", name, self[PARTS].columns[name], other[PARTS].columns[name])
    end
    local mine, theirs = match(self, other, list, how == "left")
    local out = tools.pairs_but(tools.take(self, as_tensor(mine)))
    for _, name in ipairs(other[PARTS].names) do
      if not set[name] then
        if self:has(name) then
          check.argument(1, "join", "column '%s' is in both frames; rename or drop one", name)
        end
        out[#out + 1] = { name, column.take_some(other[PARTS].columns[name], theirs) }
      end
    end
    return build(1, "join", out)
  end
end
