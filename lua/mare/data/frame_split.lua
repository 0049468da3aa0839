-- frame_split.lua -- rows for training and rows for testing: at random, with every value of a
-- column in the same proportion, with the rows of a group kept together, or by time.

local core = require "mare.core".functions
local check = require "mare.check"
local column = require "mare.data.column"
local dataset = require "mare.data.dataset"

return function(Frame, tools)
  local PARTS, as_tensor, take = tools.PARTS, tools.as_tensor, tools.take

  local known = { stratify = true, group = true, time = true, shuffle = true, seed = true }
  local ways = { "stratify", "group", "time" }

  -- The options, of which at most one names a column; that column's codes 1..K, and which it is.
  local function options(self, fname, opts)
    check.options(2, fname, opts, known)
    opts = opts or {}
    local way
    for _, name in ipairs(ways) do
      if opts[name] ~= nil then
        if way then check.argument(2, fname, "%s and %s do not go together", way, name) end
        tools.need(self, 2, fname, opts[name])
        way = name
      end
    end
    if opts.seed ~= nil and math.type(opts.seed) ~= "integer" then
      check.argument(2, fname, "seed is an integer, not %s", check.text(opts.seed))
    end
    if not way then return opts end
    local c = self[PARTS].columns[opts[way]]
    local missing, row = column.count_missing(c)
    if missing > 0 then
      check.argument(2, fname, "%s: column '%s' has no value in row %d", way, opts[way], row)
    end
    local codes, values = column.codes(c)
    return opts, way, codes, #values
  end

  -- A data set that holds row numbers, and the labels by which it is cut.
  local function rows_of(self, codes)
    return dataset.new(core.arange(1, #self, "i64"), codes and as_tensor(codes))
  end

  local function part_size(self, fname, size)
    local n = #self
    if type(size) ~= "number" or size ~= size or size <= 0 or size > n or
        not (size < 1 or math.tointeger(size)) then
      check.argument(1, fname, "a fraction below 1 or a number of rows up to %d expected, got %s",
        n, check.text(size))
    end
    return size < 1 and math.floor(size * n + 0.5) or math.tointeger(size)
  end

  -- The rows by time, equal times in their order, as a list.
  local function by_time(codes)
    local order = {}
    for i = 1, #codes do order[i] = i end
    table.sort(order, function(a, b)
      return codes[a] < codes[b] or codes[a] == codes[b] and a < b
    end)
    return order
  end

  -- Frames of the rows in two lists.
  local function both(self, first, second)
    return take(self, as_tensor(first)), take(self, as_tensor(second))
  end

  -- The end of the rows of the n-th one's time.
  local function end_of_time(codes, order, n)
    while n > 0 and n < #order and codes[order[n]] == codes[order[n + 1]] do n = n + 1 end
    return n
  end

  -- Cuts a list of rows after n of them, but not between rows of one time.
  local function cut_time(self, codes, n)
    local order, first, second = by_time(codes), {}, {}
    n = end_of_time(codes, order, n)
    table.move(order, 1, n, 1, first)
    table.move(order, n + 1, #order, 1, second)
    return both(self, first, second)
  end

  -- Groups 1..count in random order.
  local function group_order(count, opts)
    if opts.shuffle == false then return core.arange(1, count, "i64"):totable() end
    local order = opts.seed and core.permutation(count, opts.seed, 0) or core.randperm(count)
    return order:totable()
  end

  -- The first groups, in random order, that together come nearest to n rows: at least one,
  -- and not all.
  local function cut_groups(self, codes, count, n, opts)
    if count < 2 then check.argument(2, "split", "group: column '%s' has one value", opts.group) end
    local sizes, chosen, rows = {}, {}, 0
    for g = 1, count do sizes[g] = 0 end
    for _, g in ipairs(codes) do sizes[g] = sizes[g] + 1 end
    for i, g in ipairs(group_order(count, opts)) do
      local worse = math.abs(rows + sizes[g] - n) > math.abs(rows - n)
      if i == count or i > 1 and worse then break end
      chosen[g], rows = true, rows + sizes[g]
    end
    local first, second = {}, {}
    for i, g in ipairs(codes) do table.insert(chosen[g] and first or second, i) end
    return both(self, first, second)
  end

  --- Two frames: a fraction of the rows (or a number of them), and the rest.  Options: shuffle
  -- (true), seed; and one of stratify = "c" (every value of the column in the same proportion),
  -- group = "c" (rows of one value stay together: as near to the fraction as these allow), time
  -- = "c" (the earlier rows first; rows of one time stay together).
  -- `local train, test = f:split(0.8, { time = "date" })`
  function Frame:split(size, opts)
    local n = part_size(self, "split", size)
    local way, codes, count
    opts, way, codes, count = options(self, "split", opts)
    if way == "time" then return cut_time(self, codes, n) end
    if way == "group" then return cut_groups(self, codes, count, n, opts) end
    local first, second = rows_of(self, codes):split(n, { stratify = way ~= nil,
      shuffle = opts.shuffle, seed = opts.seed })
    return take(self, first.x), take(self, second.x)
  end

  -- Group by group, the largest first, into the fold that has the fewest rows.
  local function group_folds(codes, count, k)
    local sizes, order, load, fold = {}, {}, {}, {}
    for g = 1, count do sizes[g], order[g] = 0, g end
    for f = 1, k do load[f] = 0 end
    for _, g in ipairs(codes) do sizes[g] = sizes[g] + 1 end
    table.sort(order, function(a, b)
      return sizes[a] > sizes[b] or sizes[a] == sizes[b] and a < b
    end)
    for _, g in ipairs(order) do
      local best = 1
      for f = 2, k do if load[f] < load[best] then best = f end end
      fold[g], load[best] = best, load[best] + sizes[g]
    end
    return fold
  end

  local function by_group(self, codes, count, k)
    if count < k then check.argument(1, "kfold", "%d folds of %d groups", k, count) end
    local fold, f = group_folds(codes, count, k), 0
    return function()
      f = f + 1
      if f > k then return nil end
      local train, test = {}, {}
      for i, g in ipairs(codes) do table.insert(fold[g] == f and test or train, i) end
      return both(self, train, test)
    end
  end

  -- Fold f tests the f-th of k stretches at the end and trains on all that was before it; rows
  -- of one time are in one stretch.
  local function forward_in_time(self, codes, k)
    local order, n = by_time(codes), #self
    local size, f, ends = n // (k + 1), 0, {}
    for i = 0, k do
      ends[i] = end_of_time(codes, order, n - (k - i) * size)
      if ends[i] == ends[i - 1] then
        check.argument(1, "kfold", "%d folds; too many rows are of one time", k)
      end
    end
    return function()
      f = f + 1
      if f > k then return nil end
      local train, test, first = {}, {}, ends[f - 1]
      table.move(order, 1, first, 1, train)
      table.move(order, first + 1, ends[f], 1, test)
      return both(self, train, test)
    end
  end

  --- Iterates over k pairs of frames: rows to train on, rows to test.  Options: shuffle (true),
  -- seed; and one of stratify = "c", group = "c" (no group is in both), time = "c" (the tests
  -- are k stretches of time one after the other, trained on what was before each).
  -- `for train, test in f:kfold(5, { group = "patient" }) do ... end`
  function Frame:kfold(k, opts)
    k = check.count(1, "kfold", k, 2)
    local way, codes, count
    opts, way, codes, count = options(self, "kfold", opts)
    if k + (way == "time" and 1 or 0) > #self then
      check.argument(1, "kfold", "%d folds of %d rows", k, #self)
    end
    if way == "group" then return by_group(self, codes, count, k) end
    if way == "time" then return forward_in_time(self, codes, k) end
    local folds = rows_of(self, codes):kfold(k, { stratify = way ~= nil, shuffle = opts.shuffle,
      seed = opts.seed })
    return function()
      local train, test = folds()
      if train == nil then return nil end
      return take(self, train.x), take(self, test.x)
    end
  end
end
