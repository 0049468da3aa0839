-- attention.lua -- attention, transformer layers and positions of sequences (n, time, width).

local mare = require "mare"
local check = require "mare.check"
local Module = require "mare.nn.module"
local layers = require "mare.nn.layers"
local norms = require "mare.nn.normalization"

local is_tensor = mare.is_tensor
local M = {}

local function refuse(layer, message, ...)
  check.fail("%s: %s", layer:describe(), message:format(...))
end

local function check_heads(layer, name, width, heads)
  layer.width = check.count(1, name, width)
  if width % check.count(2, name, heads) ~= 0 then
    check.argument(2, name, "width %d is no multiple of %d heads", width, heads)
  end
  return heads
end

local function check_sequence(layer, x, width, what)
  if not is_tensor(x) or x:dim() ~= 3 or x:size(3) ~= width then
    refuse(layer, "%s (n, time, %d) expected, got shape %s", what, width,
      is_tensor(x) and check.shape(x) or type(x))
  end
end

-- -- attention ------------------------------------------------------------------------------

-- (n, time, width) as (n, heads, time, width / heads)
local function split(x, heads)
  return x:reshape(x:size(1), x:size(2), heads, -1):transpose(2, 3)
end

-- A u8 mask of what may be seen, broadcast to (n, heads, to, from), or nil.
local function seen(layer, opts, q, k)
  if opts ~= nil and (type(opts) ~= "table" or getmetatable(opts)) then
    refuse(layer, "table of options expected, got %s", check.kind(opts))
  end
  for key in pairs(opts or {}) do
    if key ~= "mask" and key ~= "causal" then
      refuse(layer, "unknown option '%s'; known: causal, mask", check.text(key))
    end
  end
  local mask = opts and opts.mask
  if mask ~= nil then
    if not is_tensor(mask) or mask.dtype ~= "u8" or mask:dim() < 2 or mask:dim() > 3 then
      refuse(layer, "mask: u8 (to, from) or (n, to, from) expected, 1 where may be seen, got %s",
        is_tensor(mask) and mask.dtype .. " of shape " .. check.shape(mask) or check.kind(mask))
    end
    local sizes, want = mask.shape, { q:size(1), q:size(2), k:size(2) }
    for d = #sizes, 1, -1 do
      local n = want[3 - #sizes + d]
      if sizes[d] ~= n and sizes[d] ~= 1 then
        refuse(layer, "mask of shape %s; (%d, %d) or (%d, %d, %d) expected", check.shape(mask),
          want[2], want[3], want[1], want[2], want[3])
      end
    end
    if mask:dim() == 3 then mask = mask:unsqueeze(2) end
  end
  if opts and opts.causal then
    local to, from = mare.arange(1, q:size(2)):unsqueeze(2), mare.arange(1, k:size(2))
    local past = from:le(to + (k:size(2) - q:size(2)))
    mask = mask and mask:logical_and(past) or past
  end
  return mask
end

-- key and value have one length, all three one n.
local function check_fit(layer, query, key, value)
  if key:size(1) ~= query:size(1) or value:size(1) ~= query:size(1)
      or value:size(2) ~= key:size(2) then
    refuse(layer, "query %s, key %s and value %s do not go together", check.shape(query),
      check.shape(key), check.shape(value))
  end
end

--- Attention of several heads: att(query, key, value, { mask =, causal = true }); key is query
-- and value is key unless given.  All are (n, time, width); the result too, and the weights
-- (n, heads, to, from).  mask is u8, 1 where may be seen, (to, from) or (n, to, from); a
-- row that sees nothing gives zeros.  MultiheadAttention(width, heads, { dropout = 0, bias,
-- dtype }).  Vaswani and others 2017.
-- `local y = nn.MultiheadAttention(32, 4)(x, nil, nil, { causal = true })`
M.MultiheadAttention = Module:extend("MultiheadAttention", {
  init = function(self, width, heads, opts)
    local name = "MultiheadAttention"
    self.heads = check_heads(self, name, width, heads)
    check.options(3, name, opts, { dropout = true, bias = true, dtype = true })
    opts = opts or {}
    self.dropout = check.number(3, name, opts.dropout, 0, 0, 1, "dropout")
    for _, part in ipairs { "query", "key", "value", "out" } do
      self[part] = layers.Linear(width, width, { bias = opts.bias, dtype = opts.dtype,
        init = "xavier_uniform" })
    end
  end,
  forward = function(self, query, key, value, opts)
    key = key or query
    value = value or key
    check_sequence(self, query, self.width, "query")
    check_sequence(self, key, self.width, "key")
    check_sequence(self, value, self.width, "value")
    check_fit(self, query, key, value)
    local q, k, v = split(self.query(query), self.heads), split(self.key(key), self.heads),
      split(self.value(value), self.heads)
    local scores = q:matmul(k:transpose(3, 4)) / math.sqrt(self.width / self.heads)
    local mask = seen(self, opts, query, key)
    if mask then scores = mare.where(mask, scores, mare.full({}, -1e30, scores.dtype)) end
    local weights = scores:softmax(4)
    if mask then weights = mare.where(mask, weights, mare.zeros({}, weights.dtype)) end
    local kept = weights
    if self.training and self.dropout > 0 then
      local keep = 1 - self.dropout
      kept = weights * mare.empty(weights.shape, weights.dtype):bernoulli_(keep,
        keep > 0 and 1 / keep or 1)
    end
    local y = kept:matmul(v):transpose(2, 3):reshape(query.shape)
    return self.out(y), weights
  end,
  describe = function(self)
    return ("MultiheadAttention(%d, %d heads)"):format(self.width, self.heads)
  end,
})

-- -- transformers ---------------------------------------------------------------------------

local encoder_options = { hidden = true, dropout = true, activation = true, norm_first = true,
  dtype = true }

--- Attention and two linear layers, each with a shortcut, dropout and layer norm: (n, time,
-- width) to the same shape; layer(x, { mask =, causal = }).  TransformerEncoderLayer(width, heads,
-- { hidden = 4 width, dropout = 0.1, activation = "relu" (an operation's name), norm_first = false,
-- dtype }).
-- Vaswani and others 2017; norm_first: Xiong and others 2020.
M.TransformerEncoderLayer = Module:extend("TransformerEncoderLayer", {
  init = function(self, width, heads, opts)
    local name = "TransformerEncoderLayer"
    check_heads(self, name, width, heads)
    check.options(3, name, opts, encoder_options)
    opts = opts or {}
    local p = check.number(3, name, opts.dropout, 0.1, 0, 1, "dropout")
    local hidden = check.count(3, name, opts.hidden or 4 * width, nil, "hidden")
    self._f = mare[opts.activation or "relu"]
    if type(self._f) ~= "function" then
      check.argument(3, name, "activation: the name of an operation expected, got %s",
        check.text(opts.activation))
    end
    self.norm_first = opts.norm_first == true
    self.attention = M.MultiheadAttention(width, heads, { dropout = p, dtype = opts.dtype })
    self.up = layers.Linear(width, hidden, { dtype = opts.dtype })
    self.down = layers.Linear(hidden, width, { dtype = opts.dtype })
    self.norm1 = norms.LayerNorm(width, { dtype = opts.dtype })
    self.norm2 = norms.LayerNorm(width, { dtype = opts.dtype })
    self.drop = layers.Dropout(p)
  end,
  forward = function(self, x, opts)
    check_sequence(self, x, self.width, "input")
    local function attend(v) return self.drop((self.attention(v, nil, nil, opts))) end
    local function think(v) return self.drop(self.down(self.drop(self._f(self.up(v))))) end
    if self.norm_first then
      x = x + attend(self.norm1(x))
      return x + think(self.norm2(x))
    end
    x = self.norm1(x + attend(x))
    return self.norm2(x + think(x))
  end,
  describe = function(self) return ("TransformerEncoderLayer(%d)"):format(self.width) end,
})

-- -- positions ------------------------------------------------------------------------------

--- Adds to (n, time, width) sines and cosines of the time, of wavelengths from 2 pi to 10000 2 pi:
-- SinusoidalPositions(width, longest = 5000).  Vaswani and others 2017.
M.SinusoidalPositions = Module:extend("SinusoidalPositions", {
  init = function(self, width, longest, dtype)
    self.width = check.count(1, "SinusoidalPositions", width)
    self.longest = check.count(2, "SinusoidalPositions", longest or 5000)
    local time = mare.arange(0, self.longest - 1, "f64"):unsqueeze(2)
    local places = check.within(1, "SinusoidalPositions", mare.arange, 0, width - 1, 2, "f64")
    local rate = (places * (-math.log(10000) / width)):exp()
    local angles = time * rate
    local both = mare.stack({ angles:sin(), angles:cos() }, 3):reshape(self.longest, -1)
    both = both:narrow(2, 1, width)
    self._table = check.within(3, "SinusoidalPositions", both.to, both, dtype or "f32")
  end,
  forward = function(self, x)
    check_sequence(self, x, self.width, "input")
    if x:size(2) > self.longest then
      refuse(self, "%d places of time; at most %d", x:size(2), self.longest)
    end
    return x + self._table:narrow(1, 1, x:size(2)):to(x.dtype)
  end,
  describe = function(self) return ("SinusoidalPositions(%d)"):format(self.width) end,
})

--- Adds a learned row for each place of time: LearnedPositions(width, longest).
M.LearnedPositions = Module:extend("LearnedPositions", {
  init = function(self, width, longest, dtype)
    self.width = check.count(1, "LearnedPositions", width)
    self.longest = check.count(2, "LearnedPositions", longest)
    self.weight = check.within(3, "LearnedPositions", mare.randn, { longest, width },
      dtype or "f32"):mul_(0.02):requires_grad()
  end,
  forward = function(self, x)
    check_sequence(self, x, self.width, "input")
    if x:size(2) > self.longest then
      refuse(self, "%d places of time; at most %d", x:size(2), self.longest)
    end
    return x + self.weight:narrow(1, 1, x:size(2))
  end,
  describe = function(self)
    return ("LearnedPositions(%d x %d)"):format(self.longest, self.width)
  end,
})

return M
