-- generator.lua -- rows that are made one after the other, by a function: what does not fit
-- into memory, or never ends.

local core, ops = require "mare.core".functions, require "mare.ops".ops
local check = require "mare.check"

local M = {}

local Generator = { __name = "mare.Generator" }
Generator.__index = Generator

local Counted = { __name = "mare.Generator", __index = Generator } -- with a known length

local known = { length = true, buffer = true }

--- Rows from a function: make(epoch) returns an iterator of samples x, y.  x and y are tensors,
-- numbers (whole ones become i64, others f32), lists of numbers (f32), or lists of tensors
-- where there are several inputs.  g:batches takes the options of a data set's; shuffle mixes
-- the rows in blocks of `buffer` (1000).  Options: buffer; length: how many samples an epoch
-- has, where that is known (train.fit then shows how far it is).
-- ```
-- local g = data.generator(function(epoch)
--   local i = 0
--   return function()
--     i = i + 1
--     if i <= 1000 then return mare.randn(3), i % 2 + 1 end
--   end
-- end, { length = 1000 })
-- ```
function M.new(make, opts)
  check.callable(1, "generator", make)
  check.options(2, "generator", opts, known)
  opts = opts or {}
  local self = { make = make,
    buffer = check.count(2, "generator", opts.buffer or 1000, nil, "buffer") }
  if opts.length ~= nil then
    self.length = check.count(2, "generator", opts.length, 0, "length")
  end
  return setmetatable(self, opts.length and Counted or Generator)
end

-- -- samples to batches -------------------------------------------------------------------

-- One sample's part as a tensor.
local function as_tensor(v, what, i)
  if core.is_tensor(v) then
    if v:isclosed() then check.fail("generator: %s of sample %d is closed", what, i) end
    return v:detach()
  elseif math.type(v) == "integer" then return core.tensor(v, "i64")
  elseif type(v) == "number" then return core.tensor(v)
  elseif type(v) == "table" and type(v[1]) == "number" then return core.tensor(v, "f32") end
  check.fail("generator: %s of sample %d is a %s; tensor, number or list of them expected", what, i,
    check.kind(v))
end

local function stacked(list, what, first)
  local parts = {}
  for i, v in ipairs(list) do
    local t = as_tensor(v, what, first + i - 1)
    if i > 1 and (check.shape(t) ~= check.shape(parts[1]) or t.dtype ~= parts[1].dtype) then
      check.fail("generator: %s of sample %d is %s %s, that of sample %d %s %s", what,
        first + i - 1, t.dtype, check.shape(t), first, parts[1].dtype, check.shape(parts[1]))
    end
    parts[i] = t
  end
  local out = ops.stack(parts, 1)
  return out.dtype == "u8" and what == "x" and out:to "f32" / 255 or out
end

-- The parts of samples as a tensor, or a list of tensors where each is a list of tensors.
local function together(list, what, first)
  local v = list[1]
  if v == nil then return nil end
  if type(v) ~= "table" or not core.is_tensor(v[1]) then return stacked(list, what, first) end
  local out = {}
  for k = 1, #v do
    local column = {}
    for i, sample in ipairs(list) do column[i] = type(sample) == "table" and sample[k] or false end
    out[k] = stacked(column, what, first)
  end
  return out
end

-- An iterator over samples { x, y } in blocks that are mixed when `shuffle` is set.
local function mixed(self, draw, opts)
  local block, at, count = {}, 0, 0
  local function fill()
    block, at, count = {}, 0, count + 1
    while #block < self.buffer do
      local x, y = draw()
      if x == nil then break end
      block[#block + 1] = { x, y }
    end
    local number = (opts.epoch or 0) + (count << 20)
    local order = opts.seed and core.permutation(#block, opts.seed, number)
      or core.randperm(#block)
    local old = block
    block = {}
    for i, k in ipairs(order:totable()) do block[i] = old[k] end
  end
  return function()
    if at == #block then core.hold(fill) end
    at = at + 1
    if block[at] then return block[at][1], block[at][2] end
    at = #block
  end
end

local batch_options = { size = true, shuffle = true, seed = true, epoch = true, drop_last = true,
  skip = true }

local function check_batches(opts)
  check.options(1, "batches", opts, batch_options)
  opts = opts or {}
  if opts.seed ~= nil and math.type(opts.seed) ~= "integer" then
    check.argument(1, "batches", "seed is an integer, not %s", check.text(opts.seed))
  end
  if opts.epoch ~= nil then check.count(1, "batches", opts.epoch, 0, "epoch") end
  return opts, check.count(1, "batches", opts.size or 32, nil, "size"),
    check.count(1, "batches", opts.skip or 0, 0, "skip")
end

-- The iterator that the user's function returns, as a function without arguments.
local function samples(self, epoch)
  local step, state, control = self.make(epoch)
  check.callable(1, "generator", step)
  return function()
    local x, y = step(state, control)
    control = x
    return x, y
  end
end

--- Iterates over batches; the options are those of a data set's batches, but for prefetch: a
-- function in Lua makes its rows when they are asked for.
-- `for x, y in g:batches { size = 32, shuffle = true, seed = 1 } do ... end`
function Generator:batches(opts)
  local size, skip
  opts, size, skip = check_batches(opts)
  local draw = samples(self, opts.epoch or 1)
  if opts.shuffle then draw = mixed(self, draw, opts) end
  local seen, over = 0, false
  local function collect()
    local xs, ys = {}, {}
    while #xs < size and not over do
      local x, y = draw()
      over = x == nil
      if not over then xs[#xs + 1], ys[#ys + 1] = x, y end
    end
    seen = seen + #xs
    if #xs == 0 or (opts.drop_last and #xs < size) then return nil end
    return xs, ys
  end
  for _ = 1, skip do collect() end
  return function()
    local xs, ys = collect()
    if xs == nil then return nil end
    local first = seen - #xs + 1
    if #ys > 0 and #ys < #xs then check.fail("generator: some samples have no y") end
    return together(xs, "x", first), together(ys, "y", first)
  end
end

function Counted:__len() return self.length end

local function text(self)
  return self.length and ("generator of %d samples"):format(self.length) or "generator of samples"
end

Generator.__tostring, Counted.__tostring = text, text

return M
