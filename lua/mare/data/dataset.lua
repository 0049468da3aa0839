-- dataset.lua -- rows of inputs and targets, and batches of them.
--
-- A data set is a choice of rows (an i64 tensor) from x and y, so that parts of a
-- data set share its memory.  Images stay u8 until they are in a batch, where they
-- become f32 in 0..1.

local core = require "mare.core".functions
local check = require "mare.check"

local M = {}

local Dataset = {}

local function make(x, y, rows, about)
  return setmetatable({ source = x, target = y, rows = rows, classes = about.classes,
    features = about.features }, Dataset)
end

-- -- making ---------------------------------------------------------------------------

local function check_rows(position, t)
  if not core.is_tensor(t) then
    check.argument(position, "dataset", "tensor expected, got %s", type(t))
  elseif t:isclosed() then
    check.argument(position, "dataset", "the tensor is closed")
  elseif t:dim() < 1 then
    check.argument(position, "dataset", "tensor with rows expected, got a scalar")
  end
  return t:iscontiguous() and t:detach() or t:contiguous():detach()
end

--- A data set of the rows of x and, with targets, of y.  Options: classes and
-- features, lists of names that go along.
-- `local ds = data.dataset(x, labels)`
function M.new(x, y, opts)
  check.options(3, "dataset", opts, { classes = true, features = true })
  x = check_rows(1, x)
  y = y ~= nil and check_rows(2, y) or nil
  local n = x:size(1)
  if y and y:size(1) ~= n then
    check.argument(2, "dataset", "%d rows of targets for %d rows of inputs", y:size(1), n)
  end
  return make(x, y, core.arange(1, n, "i64"), opts or {})
end

--- Is v a data set?
function M.is_dataset(v) return getmetatable(v) == Dataset end

-- -- rows -----------------------------------------------------------------------------

function Dataset:__len() return self.rows:size(1) end

-- Rows first .. first + n - 1 of t in the order of `rows`.
local function gather(t, rows, first, n, convert)
  return t and core.batch(t, rows, first, n, convert)
end

-- The inputs and targets as whole tensors of their own type, made when first asked for.
local whole = {
  x = function(self) return gather(self.source, self.rows, 1, #self, false) end,
  y = function(self) return gather(self.target, self.rows, 1, #self, false) end,
}

function Dataset:__index(key)
  local method = Dataset[key]
  if method ~= nil then return method end
  if whole[key] == nil then return nil end
  local value = whole[key](self)
  rawset(self, key, value)
  return value
end

local function as_rows(name, rows, n)
  if type(rows) == "table" then rows = core.tensor(rows, "i64") end
  if not core.is_tensor(rows) or rows.dtype ~= "i64" or rows:dim() ~= 1 then
    check.argument(1, name, "list of rows or i64 tensor expected, got %s",
      core.is_tensor(rows) and rows.dtype .. " " .. check.shape(rows) or type(rows))
  end
  for i, row in ipairs(rows:totable()) do
    if row < 1 or row > n then check.argument(1, name, "row %d (#%d) of %d", row, i, n) end
  end
  return rows:iscontiguous() and rows or rows:contiguous()
end

-- The part of a data set that these rows of it are (an i64 tensor, checked).
local function part(self, rows)
  return make(self.source, self.target, core.batch(self.rows, rows, 1, rows:numel()), self)
end

--- A data set of some of the rows, in the order given: a list or an i64 tensor.
-- It shares memory with this one.
function Dataset:subset(rows) return part(self, as_rows("subset", rows, #self)) end

--- The inputs and targets of some rows, as a batch has them.
function Dataset:batch(rows)
  local of = part(self, as_rows("batch", rows, #self))
  return gather(of.source, of.rows, 1, #of, true), gather(of.target, of.rows, 1, #of, false)
end

--- A data set with other inputs for the same rows, x (n, ...), and the same targets.
-- `ds:with_inputs(scale:transform(ds.x))`
function Dataset:with_inputs(x)
  if core.is_tensor(x) and x:dim() > 0 and x:size(1) ~= #self then
    check.argument(1, "with_inputs", "%d rows of inputs for %d rows", x:size(1), #self)
  end
  return M.new(x, self.y, { classes = self.classes, features = self.features })
end

-- -- order ----------------------------------------------------------------------------

-- 1..n shuffled; without a seed by the random numbers that mare.seed sets.
local function permutation(n, opts)
  if opts.seed == nil then return core.randperm(n) end
  return core.permutation(n, opts.seed, opts.epoch or 0)
end

local function check_order(position, name, opts, known)
  for _, k in ipairs { "shuffle", "seed" } do known[k] = true end
  check.options(position, name, opts, known)
  opts = opts or {}
  if opts.seed ~= nil and math.type(opts.seed) ~= "integer" then
    check.argument(position, name, "seed is an integer, not %s", tostring(opts.seed))
  end
  return opts
end

-- Lists of the positions in `order` (a list) by label, the labels ascending.
local function by_label(self, order)
  local labels, groups, names = self.y:totable(), {}, {}
  for _, row in ipairs(order) do
    local label = labels[row]
    if groups[label] == nil then groups[label], names[#names + 1] = {}, label end
    table.insert(groups[label], row)
  end
  table.sort(names)
  for i, label in ipairs(names) do names[i] = groups[label] end
  return names
end

local function check_labels(self, position, name)
  if not self.target then
    check.argument(position, name, "stratify needs targets; this data set has none")
  elseif self.target:dim() ~= 1 then
    check.argument(position, name, "stratify needs one label a row; targets are %s",
      check.shape(self.target))
  end
end

-- -- splitting ------------------------------------------------------------------------

-- How many of each group go into the first part, so that they are n in all: by the
-- largest remainders.
local function shares(groups, n, total)
  local take, rest, left = {}, {}, n
  for i, group in ipairs(groups) do
    local exact = #group * n / total
    take[i] = math.floor(exact)
    rest[i] = { i = i, part = exact - take[i] }
    left = left - take[i]
  end
  table.sort(rest, function(a, b) return a.part > b.part or (a.part == b.part and a.i < b.i) end)
  for k = 1, left do take[rest[k].i] = take[rest[k].i] + 1 end
  return take
end

local function split_order(self, n, order, stratify)
  local first, second, taken = {}, {}, {}
  if stratify then
    local groups = by_label(self, order)
    local take = shares(groups, n, #order)
    for i, group in ipairs(groups) do
      for k = 1, take[i] do taken[group[k]] = true end
    end
  else
    for k = 1, n do taken[order[k]] = true end
  end
  for _, row in ipairs(order) do
    local list = taken[row] and first or second
    list[#list + 1] = row
  end
  return first, second
end

local function first_part(size, n)
  if type(size) ~= "number" or size ~= size or size <= 0 or
      not (size < 1 or math.tointeger(size)) or size > n then
    check.argument(1, "split", "a fraction below 1 or a number of rows up to %d expected, got %s",
      n, tostring(size))
  end
  return size < 1 and math.floor(size * n + 0.5) or math.tointeger(size)
end

--- Two data sets: a fraction of the rows (or a number of them), and the rest.
-- Options: stratify (every label in the same proportion), shuffle (true), seed.
-- `local train, test = ds:split(0.8, { stratify = true, seed = 1 })`
function Dataset:split(size, opts)
  opts = check_order(2, "split", opts, { stratify = true })
  local n = #self
  local count = first_part(size, n)
  if opts.stratify then check_labels(self, 2, "split") end
  local order = opts.shuffle == false and core.arange(1, n, "i64") or permutation(n, opts)
  local first, second = split_order(self, count, order:totable(), opts.stratify)
  return part(self, core.tensor(first, "i64")), part(self, core.tensor(second, "i64"))
end

-- The number of the fold that each row tests: order dealt out in turn.
local function deal(order, k)
  local fold = {}
  for i, row in ipairs(order) do fold[row] = (i - 1) % k + 1 end
  return fold
end

local function without_fold(order, fold, f)
  local train, test = {}, {}
  for _, row in ipairs(order) do
    local list = fold[row] == f and test or train
    list[#list + 1] = row
  end
  return core.tensor(train, "i64"), core.tensor(test, "i64")
end

--- Iterates over k pairs of data sets: all but a k-th of the rows, and that k-th.
-- Options: stratify, shuffle (true), seed.
-- `for train, test in ds:kfold(5, { seed = 1 }) do ... end`
function Dataset:kfold(k, opts)
  opts = check_order(2, "kfold", opts, { stratify = true })
  local n = #self
  k = check.count(1, "kfold", k, 2)
  if k > n then check.argument(1, "kfold", "%d folds of %d rows", k, n) end
  if opts.stratify then check_labels(self, 2, "kfold") end
  local order = (opts.shuffle == false and core.arange(1, n, "i64") or
    permutation(n, opts)):totable()
  local dealt = order
  if opts.stratify then
    dealt = {}
    for _, group in ipairs(by_label(self, order)) do
      table.move(group, 1, #group, #dealt + 1, dealt)
    end
  end
  local fold, f = deal(dealt, k), 0
  return function()
    f = f + 1
    if f > k then return nil end
    local train, test = without_fold(order, fold, f)
    return part(self, train), part(self, test)
  end
end

-- -- batches --------------------------------------------------------------------------

--- Iterates over batches of inputs and targets.  u8 inputs become f32 in 0..1.
-- Options: size (32), shuffle (false), seed, epoch (a number: with the same seed, each
-- epoch has an order of its own), drop_last (false: the last batch may be smaller), skip
-- (0: so many batches are left out at the start).
-- `for x, y in train:batches { size = 128, shuffle = true } do ... end`
function Dataset:batches(opts)
  opts = check_order(1, "batches", opts, { size = true, drop_last = true, epoch = true,
    skip = true })
  local size = check.count(1, "batches", opts.size or 32)
  if opts.epoch ~= nil then check.count(1, "batches", opts.epoch, 0) end
  local n, source, target, rows = #self, self.source, self.target, self.rows
  if opts.shuffle then rows = core.batch(rows, permutation(n, opts), 1, n) end
  local first, batch = 1 + size * check.count(1, "batches", opts.skip or 0, 0), core.batch
  return function()
    local count = n - first + 1
    if count > size then count = size end
    if count <= 0 or (opts.drop_last and count < size) then return nil end
    local x, y = batch(source, rows, first, count, true), nil
    if target then y = batch(target, rows, first, count, false) end
    first = first + count
    return x, y
  end
end

-- -- words ----------------------------------------------------------------------------

local function describe(t, n)
  local shape = t.shape
  shape[1] = n
  return ("%s %s"):format(check.shape(shape), t.dtype)
end

function Dataset:__tostring()
  local text = ("data set of %d rows: x %s"):format(#self, describe(self.source, #self))
  if self.target then text = ("%s, y %s"):format(text, describe(self.target, #self)) end
  if self.classes then text = ("%s, %d classes"):format(text, #self.classes) end
  return text
end

return M
