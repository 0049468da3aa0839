-- dataset.lua -- rows of inputs and targets, and batches of them.
--
-- A data set is a choice of rows (an i64 tensor) from x and y, so that parts of a
-- data set share its memory.  x and y are tensors, or lists of tensors where there are
-- several inputs.  Images stay u8 until they are in a batch, where they become f32 in 0..1.
--
-- What a data set and its iterators keep for themselves is made outside the user's scopes.

local core = require "mare.core".functions
local check = require "mare.check"
local ops = require "mare.ops".ops
local sampling = require "mare.data.sampling"

local M = {}

local Dataset = { __name = "mare.Dataset" }

local function make(x, y, rows, about)
  return setmetatable({ source = x, target = y, rows = rows, classes = about.classes,
    features = about.features, weights = about.weights, augmentation = about.augmentation,
    shard_rank = about.rank or 0, shards = about.shards or 1 }, Dataset)
end

local function check_self(self, call)
  if not M.is_dataset(self) then check.method("a data set", self, "data:" .. call) end
end

-- -- making ---------------------------------------------------------------------------

-- i: the place of t in a list
local function check_rows(position, name, t, i)
  if not core.is_tensor(t) then
    local meta = type(t) == "table" and getmetatable(t)
    check.argument(position, name, "tensor or list of tensors expected, got %s%s",
      meta and meta.__name == "mare.Frame" and "a frame; see f:dataset(inputs, target)" or
      type(t) == "table" and next(t) == nil and "an empty table" or type(t),
      i and " at " .. i or "")
  elseif t:isclosed() then
    check.argument(position, name, "the tensor is closed")
  elseif t:dim() < 1 then
    check.argument(position, name, "tensor with rows expected, got a scalar")
  end
  return t:iscontiguous() and t:detach() or t:contiguous():detach()
end

-- A tensor, or a list of tensors with one number of rows; and that number.
local function check_source(position, name, v)
  if core.is_tensor(v) or type(v) ~= "table" or M.is_dataset(v) or v[1] == nil then
    v = check_rows(position, name, v)
    return v, v:size(1)
  end
  local list = {}
  for i, t in ipairs(v) do
    list[i] = check_rows(position, name, t, i)
    if list[i]:size(1) ~= list[1]:size(1) then
      check.argument(position, name, "tensor %d has %d rows, the first %d", i,
        list[i]:size(1), list[1]:size(1))
    end
  end
  return list, list[1]:size(1)
end

local function new(x, y, opts)
  local n, count
  x, n = check_source(1, "dataset", x)
  if y ~= nil then y, count = check_source(2, "dataset", y) end
  if y and count ~= n then
    check.argument(2, "dataset", "%d rows of targets for %d rows of inputs", count, n)
  end
  return make(x, y, core.arange(1, n, "i64"), { classes = opts.classes, features = opts.features })
end

--- A data set of the rows of x and, with targets, of y: tensors, or lists of them where a model
-- has several inputs (or outputs); a batch then has lists too.  Nothing is copied, so that
-- tensors mapped from a file may be larger than memory.  Options: classes and features, lists
-- of names that go along.
-- `local ds = data.dataset(x, labels)  data.dataset({ images, numbers }, labels)`
function M.new(x, y, opts)
  check.options(3, "dataset", opts, { classes = true, features = true })
  return core.hold(new, x, y, opts or {})
end

--- Is v a data set?
function M.is_dataset(v) return getmetatable(v) == Dataset end

-- -- rows -----------------------------------------------------------------------------

function Dataset:__len() return self.rows:size(1) end

-- Rows first .. first + n - 1 of t (a tensor, a list of them or nil) in the order of `rows`.
local function gather(t, rows, first, n, convert)
  if core.is_tensor(t) then return core.batch(t, rows, first, n, convert) end
  if t == nil then return nil end
  local out = {}
  for i, one in ipairs(t) do out[i] = core.batch(one, rows, first, n, convert) end
  return out
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
  local value = core.hold(whole[key], self)
  rawset(self, key, value)
  return value
end

local function as_rows(name, rows, n)
  if type(rows) == "table" then rows = check.list(1, name, rows, "i64") end
  local kind = check.kind(rows)
  if kind ~= "i64 tensor" or rows:dim() ~= 1 then
    check.argument(1, name, "list of rows or i64 tensor expected, got %s",
      kind:find "^[fiu]%d+ tensor" and rows.dtype .. " " .. check.shape(rows) or kind)
  end
  for i, row in ipairs(rows:totable()) do
    if row < 1 or row > n then check.argument(1, name, "row %d (#%d) of %d", row, i, n) end
  end
  return rows:iscontiguous() and rows or rows:contiguous()
end

-- Some rows (an i64 tensor, checked) of a data set, outside scopes.
local function cut(self, rows)
  local n = rows:numel()
  return make(self.source, self.target, core.batch(self.rows, rows, 1, n), {
    classes = self.classes, features = self.features, augmentation = self.augmentation,
    weights = self.weights and core.batch(self.weights, rows, 1, n) })
end

local function part(self, rows) return core.hold(cut, self, rows) end

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
  local _, n = check_source(1, "with_inputs", x)
  if n ~= #self then
    check.argument(1, "with_inputs", "%d rows of inputs for %d rows", n, #self)
  end
  local out = M.new(x, self.y, { classes = self.classes, features = self.features })
  out.weights, out.augmentation = self.weights, self.augmentation
  return out
end

-- -- chance ---------------------------------------------------------------------------

local function with(self, about)
  return make(self.source, self.target, self.rows, { classes = self.classes,
    features = self.features, weights = about.weights, augmentation = about.augmentation,
    rank = about.rank, shards = about.shards })
end

-- The targets as labels 1..K, and K; otherwise an error.
local function labels_of(self, position, name)
  local y = self.target
  if not core.is_tensor(y) or y:dim() ~= 1 or y.dtype ~= "i64" and y.dtype ~= "u8" then
    check.argument(position, name, "labels (one whole number a row) are needed; targets are %s",
      not y and "absent" or core.is_tensor(y) and y.dtype .. " " .. check.shape(y) or "a list")
  end
  local labels = self.y:to "i64"
  if labels:numel() == 0 or labels:min():item() < 1 then
    check.argument(position, name, labels:numel() == 0 and "the data set has no rows"
      or "labels begin at 1")
  end
  return labels, math.max(labels:max():item(), self.classes and #self.classes or 0)
end

--- Weights of the classes, f32 (K), that make all count alike: n / (classes * rows of the
-- class); 0 for one that does not occur.
-- `mare.loss.cross_entropy(scores, labels, { weight = train:class_weights() })`
function Dataset:class_weights()
  local labels, classes = labels_of(self, 1, "class_weights")
  local scope <close> = core.scope()
  return scope:keep(sampling.class_weights(labels, classes))
end

--- A data set whose batches draw their rows, with replacement and as many as there are, with a
-- chance in proportion to weights (n): a tensor or a list, or "balanced": every class alike.
-- It shares memory with this one; seed and epoch say what is drawn.
-- `mare.train.fit(model, { data = train:weighted "balanced", ... })`
function Dataset:weighted(weights)
  local w
  if weights == "balanced" then
    local labels, classes = labels_of(self, 1, "weighted")
    w = core.hold(function()
      return sampling.class_weights(labels, classes):to("f64"):index_select(1, labels)
    end)
  else
    w = core.hold(sampling.check_weights, 1, "weighted", weights, #self)
  end
  return with(self, { weights = w, augmentation = self.augmentation, rank = self.shard_rank,
    shards = self.shards })
end

--- A data set whose batches are varied.  Of images (n, h, w) or (n, channels, h, w): shift
-- (pixels, each way; what comes in is `fill`, 0), flip = true (half of them, left to right),
-- noise (standard deviation; also for other inputs).  Or a function (x, y) -> x, y of a batch;
-- mare's random numbers in it depend on seed, epoch and batch, so that a run can be repeated
-- and resumed.  It shares memory with this one; train.evaluate looks at the rows as they are.
-- `local varied = train:augment { shift = 2, flip = true, noise = 0.02 }`
function Dataset:augment(how)
  local f = how
  if type(how) == "table" and getmetatable(how) == nil then
    local x = self.source
    if not core.is_tensor(x) or x.dtype == "i64" then
      check.argument(1, "augment", "one input of u8, f32 or f64 is needed; for %s give a function",
        core.is_tensor(x) and "i64" or "several")
    end
    f = sampling.augmentation(how, x:dim())
  else
    check.callable(1, "augment", how)
  end
  return with(self, { weights = self.weights, augmentation = f, rank = self.shard_rank,
    shards = self.shards })
end

--- The data set without weights and variation, all rows of it.
function Dataset:plain() return with(self, {}) end

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
    check.argument(position, name, "seed is an integer, not %s", check.text(opts.seed))
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
  elseif not core.is_tensor(self.target) or self.target:dim() ~= 1 then
    check.argument(position, name, "stratify needs one label a row; targets are %s",
      core.is_tensor(self.target) and check.shape(self.target) or "a list")
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

-- The rows of `order` (an i64 tensor) in two tensors: n of them, of each label its share, and
-- the rest.
local function split_labels(self, n, order)
  local first, second, taken = {}, {}, {}
  order = order:totable()
  local groups = by_label(self, order)
  local take = shares(groups, n, #order)
  for i, group in ipairs(groups) do
    for k = 1, take[i] do taken[group[k]] = true end
  end
  for _, row in ipairs(order) do
    local list = taken[row] and first or second
    list[#list + 1] = row
  end
  return core.tensor(first, "i64"), core.tensor(second, "i64")
end

local function split_order(self, n, order, stratify)
  if stratify then return split_labels(self, n, order) end
  return order:narrow(1, 1, n), order:narrow(1, n + 1, order:size(1) - n)
end

local function first_part(size, n)
  if type(size) ~= "number" or size ~= size or size <= 0 or
      not (size < 1 or math.tointeger(size)) or size > n then
    check.argument(1, "split", "a fraction below 1 or a number of rows up to %d expected, got %s",
      n, check.text(size))
  end
  return size < 1 and math.floor(size * n + 0.5) or math.tointeger(size)
end

--- Two data sets: a fraction of the rows (or a number of them), and the rest.
-- Options: stratify (every label in the same proportion), shuffle (true), seed.
-- `local train, test = ds:split(0.8, { stratify = true, seed = 1 })`
function Dataset:split(size, opts)
  check_self(self, "split(0.8)")
  opts = check_order(2, "split", opts, { stratify = true })
  local n = #self
  local count = first_part(size, n)
  if opts.stratify then check_labels(self, 2, "split") end
  local order = opts.shuffle == false and core.arange(1, n, "i64") or permutation(n, opts)
  local first, second = split_order(self, count, order, opts.stratify)
  return part(self, first), part(self, second)
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
  check_self(self, "kfold(5)")
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

local SHUFFLE = 0 -- among the numbers of batches, the one that stands for drawing the rows

-- The rows of an epoch in their order.
local function order_of(self, opts)
  local n = #self
  if self.weights and n > 0 then
    local _ <close> = sampling.seeded(opts.seed, opts.epoch or 0, SHUFFLE)
    return core.batch(self.rows, sampling.draw(self.weights, core.rand(n, "f64")), 1, n)
  end
  if opts.shuffle then return core.batch(self.rows, permutation(n, opts), 1, n) end
  return self.rows
end

local function varied(self, opts, number, x, y)
  local _ <close> = sampling.seeded(opts.seed, opts.epoch or 0,
    (number - 1) * self.shards + self.shard_rank + 1)
  return self.augmentation(x, y)
end

--- A data set that takes turns with others at the rows: of each epoch's order the one of this
-- rank (0 to shards - 1) has rows rank + 1, rank + 1 + shards ...  Batches of `size` of all
-- shards together are one batch of shards * size rows.  All shards have as many batches, also
-- where the rows do not come out even: x, y is then followed by a weight for the loss, rows of
-- the batch * shards / rows of all shards' batches, so that the mean of the shards' gradients is
-- that of the rows; a shard without a row gets one of weight 0.  A fourth value is the number of
-- rows of all shards' batches.  Orders drawn by chance need a seed, the same for all shards.
-- What other methods make of a shard has all rows again: subset and split first, then shard.
-- `for x, y, weight in train:shard(0, 4):batches { size = 32, shuffle = true, seed = 1 } do`
function Dataset:shard(rank, shards)
  shards = check.count(2, "shard", shards)
  rank = check.count(1, "shard", rank, 0)
  if rank >= shards then check.argument(1, "shard", "rank %d is not 0 to %d", rank, shards - 1) end
  if self.shards > 1 then check.argument(1, "shard", "this is one of %d shards", self.shards) end
  return make(self.source, self.target, self.rows, { classes = self.classes,
    features = self.features, weights = self.weights, augmentation = self.augmentation,
    rank = rank, shards = shards })
end

local function as_list(t) return t == nil and {} or core.is_tensor(t) and { t } or t end

-- The n tensors of a batch from the first on, as a list or alone, as t is.
local function like(t, list, first, n)
  if t == nil or core.is_tensor(t) then return list[first] end
  return table.move(list, first, first + n - 1, 1, {})
end

-- All tensors of a data set, how many of them are inputs, and a function that makes x and y of
-- those of a batch.
local function tensors_of(self)
  local x, y = as_list(self.source), as_list(self.target)
  local all = table.move(y, 1, #y, #x + 1, { table.unpack(x) })
  local function apart(...)
    if ... == nil then return nil end
    local list = { ... }
    return like(self.source, list, 1, #x), like(self.target, list, #x + 1, #y)
  end
  local alone = x[1] == self.source and (#y == 0 or y[1] == self.target)
  return all, #x, alone and function(...) return ... end or apart
end

-- The weight of batch `number` of a shard, and how many rows all shards' batches have.
local function share_of(self, size, number)
  local all = size * self.shards
  local total = math.min(all, #self - all * (number - 1))
  local own = (total - self.shard_rank + self.shards - 1) // self.shards
  return own * self.shards / total, total
end

-- The rows of a shard in their order; where the last batch has none, one of another shard.
local function own_rows(self, opts, size)
  local rows, n, r = order_of(self, opts), #self, self.shard_rank
  if self.shards == 1 or n == 0 then return rows end
  local own = r < n and rows[("%d::%d"):format(r + 1, self.shards)] or rows:narrow(1, 1, 0)
  local weight = share_of(self, size, -(-n // (size * self.shards)))
  return weight > 0 and own:contiguous() or ops.cat({ own, rows:narrow(1, 1, 1) }, 1)
end

--- Iterates over batches of inputs and targets.  u8 inputs become f32 in 0..1.
-- Options: size (32), shuffle (false), seed, epoch (a number: with the same seed, each
-- epoch has an order of its own), drop_last (false: the last batch may be smaller), skip
-- (0: so many batches are left out at the start), prefetch: how many batches a thread of its
-- own makes ahead of time, in so much more memory; 0: none.  Without it these are 2 where a tensor
-- is mapped from a file; of one in memory the next batch, if it is of some size, is made by threads
-- that would wait for other work.  Batches are the same with and without.  The thread ends with the
-- loop; where the iterator is called by hand, with the collector or by closing its fourth value.
-- Those of a shard have a weight: see shard.
-- `for x, y in train:batches { size = 128, shuffle = true } do ... end`
function Dataset:batches(opts)
  check_self(self, "batches { size = 32 }")
  opts = check_order(1, "batches", opts, { size = true, drop_last = true, epoch = true,
    skip = true, prefetch = true })
  local size = check.count(1, "batches", opts.size or 32, nil, "size")
  if opts.epoch ~= nil then check.count(1, "batches", opts.epoch, 0, "epoch") end
  local number = check.count(1, "batches", opts.skip or 0, 0, "skip")
  local ahead = opts.prefetch == nil and -1 or sampling.check_prefetch(opts.prefetch)
  if self.shards > 1 and (opts.shuffle or self.weights) and opts.seed == nil then
    check.argument(1, "batches", "the shards need a seed to draw the same order")
  end
  local rows = core.hold(own_rows, self, opts, size)
  local n = rows:numel()
  local last = opts.drop_last and #self // (size * self.shards) * size or n
  local list, nx, apart = tensors_of(self)
  local feed = core.feed(list, nx, rows, number > n // size and n + 1 or 1 + size * number, last,
    size, ahead)
  local function next_batch() return apart(core.feed_next(feed)) end
  if not self.augmentation and self.shards == 1 then return next_batch, nil, nil, feed end
  return function()
    local x, y = next_batch()
    if x == nil then return nil end
    number = number + 1
    if self.augmentation then x, y = varied(self, opts, number, x, y) end
    if self.shards == 1 then return x, y end
    return x, y, share_of(self, size, number)
  end, nil, nil, feed
end

-- -- words ----------------------------------------------------------------------------

local describe

function describe(t, n)
  if not core.is_tensor(t) then
    local list = {}
    for i, one in ipairs(t) do list[i] = describe(one, n) end
    return "{ " .. table.concat(list, ", ") .. " }"
  end
  local shape = t.shape
  shape[1] = n
  return ("%s %s"):format(check.shape(shape), t.dtype)
end

function Dataset:__tostring()
  local text = ("data set of %d rows: x %s"):format(#self, describe(self.source, #self))
  if self.target then text = ("%s, y %s"):format(text, describe(self.target, #self)) end
  if self.classes then text = ("%s, %d classes"):format(text, #self.classes) end
  if self.weights then text = text .. ", weighted" end
  if self.augmentation then text = text .. ", varied" end
  if self.shards > 1 then
    text = ("%s, shard %d of 0 to %d"):format(text, self.shard_rank, self.shards - 1)
  end
  return text
end

return M
