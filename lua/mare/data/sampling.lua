-- sampling.lua -- chance in batches: random numbers that depend on seed, epoch and batch alone,
-- rows drawn by weight, images shifted, turned over and made noisy.

local core, ops = require "mare.core".functions, require "mare.ops".ops
local check = require "mare.check"

local M = {}

-- -- random numbers -----------------------------------------------------------------------

local Restore = { __close = function(t) core.rng_state(t.key, t.counter) end }

--- Until the result is closed, mare's random numbers are those of three whole numbers; without
-- a seed they go on as they were.
function M.seeded(seed, epoch, batch)
  if seed == nil then return nil end
  local key, counter = core.rng_state()
  core.seed(seed * 0x5851f42d4c957f2d + epoch * 0x14057b7ef767814f + batch * 0x2545f4914f6cdd1d)
  return setmetatable({ key = key, counter = counter }, Restore)
end

--- The option prefetch of batches, as the user gave it.
function M.check_prefetch(n)
  if n == nil then return nil end
  if check.count(1, "batches", n, 0, "prefetch") > 1000 then
    check.argument(1, "batches", "prefetch: 0 to 1000 batches expected, got %d", n)
  end
  return n
end

-- -- weights ------------------------------------------------------------------------------

--- Weights (n), f64, as the user gave them for n rows; errors name function and argument.
function M.check_weights(position, name, w, n)
  if type(w) == "table" then w = check.list(position, name, w, "f64") end
  w = check.tensor(position, name, w):detach()
  if w:dim() ~= 1 or w:size(1) ~= n then
    check.argument(position, name, "weights (%d) expected, got shape %s", n, check.shape(w))
  end
  w = w:to "f64":contiguous()
  local bad = w:ge(0):logical_and(w:lt(math.huge)):eq(0)
  if n > 0 and bad:any():item() == 1 then
    local row = bad:argmax():item()
    check.argument(position, name, "the weight of row %d is %s", row, check.text(w[row]:item()))
  elseif n > 0 and w:sum():item() <= 0 then
    check.argument(position, name, "the weights are all zero")
  end
  return w:clone()
end

--- n rows drawn with replacement, each with a chance in proportion to its weight, as an i64
-- tensor; u are n random numbers in 0..1.
function M.draw(weights, u)
  local edges = weights:cumsum(1)
  local sorted, place = (u * edges[-1]:item()):sort(1)
  local limits, values, at, out = edges:totable(), sorted:totable(), 1, {}
  local last = #limits
  while last > 1 and limits[last - 1] == limits[last] do last = last - 1 end
  for k, where in ipairs(place:totable()) do
    while at < last and values[k] >= limits[at] do at = at + 1 end
    out[where] = at
  end
  return #out > 0 and core.tensor(out, "i64") or core.empty(0, "i64")
end

--- For labels (n) of 1..classes: n / (classes that occur * rows of the class), f32 (classes),
-- so that all classes count alike; 0 for one that does not occur.
function M.class_weights(labels, classes)
  local counts = core.zeros({ classes }, "f64")
    :index_add(1, labels, core.ones({ labels:size(1) }, "f64"))
  local some = counts:gt(0)
  local present = some:to("i64"):sum():item()
  local share = labels:size(1) / present
  return (share / ops.where(some, counts, core.ones({ classes }, "f64")) * some:to "f64"):to "f32"
end

-- -- images -------------------------------------------------------------------------------

-- For each of n images: where its column (or row) 1..size comes from in one that has a margin.
local function sources(n, size, shift)
  local at = core.arange(1, size, "i64"):unsqueeze(1)
  if shift == 0 then return at:expand(n, size) end
  return at + core.randint(0, 2 * shift, { n, 1 }, "i64")
end

-- x (n, c, h, w) with each image moved by up to `shift` in both directions and, when flip is
-- set, half of them turned over from left to right.
local function moved(x, shift, flip, fill)
  local n, c, h, w = x:size(1), x:size(2), x:size(3), x:size(4)
  local height, width = h + 2 * shift, w + 2 * shift
  local rows, columns = sources(n, h, shift), sources(n, w, shift)
  if flip then
    local turned = core.randint(0, 1, { n, 1 }, "i64")
    columns = columns + turned * (columns * -2 + (width + 1))
  end
  if shift > 0 then
    local wide = core.full({ n, c, height, width }, fill, x.dtype)
    wide:narrow(3, shift + 1, h):narrow(4, shift + 1, w):copy_(x)
    x = wide
  end
  local at = (rows - 1):unsqueeze(3) * width + columns:unsqueeze(2) -- (n, h, w)
  at = at:reshape(n, 1, h * w):expand(n, c, h * w):contiguous()
  return x:reshape(n, c, height * width):gather(3, at):reshape(n, c, h, w)
end

local function planes(x)
  local shape = x.shape
  local h, w = shape[#shape - 1], shape[#shape]
  return x:reshape(shape[1], #shape == 3 and 1 or shape[2], h, w)
end

local known = { shift = true, flip = true, noise = true, fill = true }

local function check_range(name, v)
  return check.number(1, "augment", v, 0, 0, nil, name)
end

--- A function (x, y) -> x, y that varies a batch of images (n, h, w) or (n, channels, h, w):
-- shift (pixels, up to so many each way; what comes in is `fill`, 0), flip (half of them, left
-- to right), noise (standard deviation, added; also for other inputs).
function M.augmentation(opts, dims)
  check.options(1, "augment", opts, known)
  local shift = check.count(1, "augment", opts.shift or 0, 0, "shift")
  local noise, fill = check_range("noise", opts.noise), opts.fill or 0
  check.number(1, "augment", fill, 0, nil, nil, "fill")
  if opts.flip ~= nil and type(opts.flip) ~= "boolean" then
    check.argument(1, "augment", "flip: true or false expected, got %s", check.kind(opts.flip))
  elseif (shift > 0 or opts.flip) and dims ~= 3 and dims ~= 4 then
    check.argument(1, "augment", "images (n, h, w) or (n, channels, h, w) expected; inputs have " ..
      "%d dimensions", dims)
  end
  return function(x, y)
    local scope <close> = core.scope()
    if shift > 0 or opts.flip then
      x = moved(planes(x), shift, opts.flip, fill):reshape(x.shape)
    end
    if noise > 0 then x = core.randn(x.shape, x.dtype):mul_(noise):add_(x) end
    return scope:keep(x), y
  end
end

return M
