-- recurrent.lua -- layers over sequences (n, time, features): RNN, LSTM, GRU and their cells.
-- Weights stand as in PyTorch: weight_ih (gates hidden, inputs), weight_hh (gates hidden, hidden).

local mare = require "mare"
local check = require "mare.check"
local init = require "mare.nn.initial"
local Module = require "mare.nn.module"

local is_tensor, linear = mare.is_tensor, mare.linear
local M = {}

local function refuse(layer, message, ...)
  check.fail("%s: %s", layer:describe(), message:format(...))
end

-- -- one step -------------------------------------------------------------------------------

-- step(gi, gh, state, nonlinearity) -> state: gi and gh are the gates' inputs from x and from
-- the hidden state, with their biases.
local kinds = {
  RNN = { gates = 1, step = function(gi, gh, _, f) return { f(gi + gh) } end },
  LSTM = { gates = 4, cell = true, step = function(gi, gh, state)
    local i, f, g, o = table.unpack((gi + gh):chunk(4, 2))
    local c = f:sigmoid() * state[2] + i:sigmoid() * g:tanh()
    return { o:sigmoid() * c:tanh(), c }
  end },
  GRU = { gates = 3, step = function(gi, gh, state)
    local ir, iz, inew = table.unpack(gi:chunk(3, 2))
    local hr, hz, hnew = table.unpack(gh:chunk(3, 2))
    local z = (iz + hz):sigmoid()
    local new = (inew + (ir + hr):sigmoid() * hnew):tanh()
    return { new + z * (state[1] - new) }
  end },
}

local functions = { tanh = mare.tanh, relu = mare.relu }

local function nonlinearity(name, opts)
  local f = functions[opts.activation or "tanh"]
  if not f then
    check.argument(3, name, "activation '%s'; known: relu, tanh", check.text(opts.activation))
  end
  return f
end

-- The parameters of one cell as fields of `at`.
local function parameters(at, inputs, hidden, gates, opts)
  if hidden > math.maxinteger // gates then
    check.fail("a tensor of %d x %d rows does not fit into memory", gates, hidden)
  end
  local dtype, bound = opts.dtype or "f32", 1 / math.sqrt(hidden)
  local fill = init.uniform(bound)
  local function new(shape)
    local t = mare.zeros(shape, dtype)
    fill(t)
    return t:requires_grad()
  end
  at.weight_ih, at.weight_hh = new { gates * hidden, inputs }, new { gates * hidden, hidden }
  at.bias_ih, at.bias_hh = false, false
  if opts.bias ~= false then
    at.bias_ih, at.bias_hh = new { gates * hidden }, new { gates * hidden }
  end
  return at
end

local function zeros(kind, n, hidden, dtype)
  local h = mare.zeros({ n, hidden }, dtype)
  return kind.cell and { h, mare.zeros({ n, hidden }, dtype) } or { h }
end

-- A state as the user gives and gets it: a tensor, or { h, c } of an LSTM.
local function open_state(layer, kind, state, shape)
  local list = kind.cell and state or { state }
  if type(list) ~= "table" or #list ~= (kind.cell and 2 or 1) then
    refuse(layer, "state: %s expected", kind.cell and "{ h, c }" or "a tensor")
  end
  for _, t in ipairs(list) do
    if not is_tensor(t) or check.shape(t) ~= check.shape(shape) then
      refuse(layer, "state of shape %s; %s expected", is_tensor(t) and check.shape(t) or type(t),
        check.shape(shape))
    end
  end
  return list
end

local function closed_state(kind, state) return kind.cell and state or state[1] end

-- -- cells ----------------------------------------------------------------------------------

-- Only plain networks have a choice: the gates of the others are made of sigmoid and tanh.
local function options_of(kind, more)
  local list = { bias = true, dtype = true, activation = kind == kinds.RNN or nil }
  for _, name in ipairs(more or {}) do list[name] = true end
  return list
end

local function cell(base)
  local kind, name = kinds[base], base .. "Cell"
  return Module:extend(name, {
    init = function(self, inputs, hidden, opts)
      self.inputs, self.hidden = check.count(1, name, inputs), check.count(2, name, hidden)
      check.options(3, name, opts, options_of(kind))
      opts = opts or {}
      self._f = nonlinearity(name, opts)
      parameters(self, inputs, hidden, kind.gates, opts)
    end,
    forward = function(self, x, state)
      if not is_tensor(x) or x:dim() ~= 2 or x:size(2) ~= self.inputs then
        refuse(self, "input (n, %d) expected, got shape %s", self.inputs,
          is_tensor(x) and check.shape(x) or type(x))
      end
      state = state == nil and zeros(kind, x:size(1), self.hidden, x.dtype)
        or open_state(self, kind, state, { x:size(1), self.hidden })
      local gi = linear(x, self.weight_ih, self.bias_ih or nil)
      local gh = linear(state[1], self.weight_hh, self.bias_hh or nil)
      return closed_state(kind, kind.step(gi, gh, state, self._f))
    end,
    describe = function(self) return ("%s(%d -> %d)"):format(name, self.inputs, self.hidden) end,
  })
end

--- One step of a recurrent network: h' = tanh(x W_ih' + h W_hh' + biases), x (n, inputs), h
-- (n, hidden) or nil for zeros.  RNNCell(inputs, hidden, { bias, activation = "tanh" | "relu",
-- dtype }).
M.RNNCell = cell "RNN"

--- One step of long short-term memory: cell(x, { h, c }) gives { h', c' }, (n, hidden) each.
-- LSTMCell(inputs, hidden, { bias, dtype }).  Hochreiter and Schmidhuber 1997.
M.LSTMCell = cell "LSTM"

--- One step of a gated recurrent unit: cell(x, h) gives h', (n, hidden).
-- GRUCell(inputs, hidden, { bias, dtype }).  Cho and others 2014.
M.GRUCell = cell "GRU"

-- -- layers ---------------------------------------------------------------------------------

-- One direction of one layer: the hidden states at every time as a list, and the last state.
local function run(self, kind, at, x, state, backwards)
  local n, time = x:size(1), x:size(2)
  local all = linear(x, at.weight_ih, at.bias_ih or nil):transpose(1, 2):contiguous()
  local outputs = {}
  state = state or zeros(kind, n, self.hidden, x.dtype)
  for k = 1, time do
    local t = backwards and time + 1 - k or k
    local gh = linear(state[1], at.weight_hh, at.bias_hh or nil)
    state = kind.step(all[t], gh, state, self._f)
    outputs[t] = state[1]
  end
  return mare.stack(outputs, 2), state
end

local function start_of(given, k)
  if not given then return nil end
  local state = {}
  for i, t in ipairs(given) do state[i] = t[k] end
  return state
end

local function forward(self, kind, x, state)
  if not is_tensor(x) or x:dim() ~= 3 or x:size(3) ~= self.inputs or x:size(2) < 1 then
    refuse(self, "input (n, time, %d) expected, got shape %s", self.inputs,
      is_tensor(x) and check.shape(x) or type(x))
  end
  local directions = self.bidirectional and 2 or 1
  local given = state ~= nil and open_state(self, kind, state,
    { self.layers * directions, x:size(1), self.hidden })
  local last = {}
  for layer = 1, self.layers do
    local parts = {}
    for d = 1, directions do
      local k = (layer - 1) * directions + d
      local ends
      parts[d], ends = run(self, kind, self.cells[k], x, start_of(given, k), d == 2)
      for i, t in ipairs(ends) do
        last[i] = last[i] or {}
        last[i][k] = t
      end
    end
    x = directions == 2 and mare.cat(parts, 3) or parts[1]
    if layer < self.layers and self.training and self.dropout > 0 then
      local keep = 1 - self.dropout
      x = x * mare.empty(x.shape, x.dtype):bernoulli_(keep, keep > 0 and 1 / keep or 1)
    end
  end
  for i, list in ipairs(last) do last[i] = mare.stack(list, 1) end
  return x, closed_state(kind, last)
end

local function layer(name)
  local kind = kinds[name]
  return Module:extend(name, {
    init = function(self, inputs, hidden, opts)
      self.inputs, self.hidden = check.count(1, name, inputs), check.count(2, name, hidden)
      check.options(3, name, opts, options_of(kind, { "layers", "bidirectional", "dropout" }))
      opts = opts or {}
      self.layers = check.count(3, name, opts.layers or 1, nil, "layers")
      self.bidirectional = opts.bidirectional == true
      self.dropout = check.number(3, name, opts.dropout, 0, 0, 1, "dropout")
      self._f = nonlinearity(name, opts)
      local directions = self.bidirectional and 2 or 1
      self.cells = {}
      for k = 1, self.layers * directions do
        local from = k <= directions and inputs or hidden * directions
        self.cells[k] = parameters({}, from, hidden, kind.gates, opts)
      end
    end,
    forward = function(self, x, state) return forward(self, kind, x, state) end,
    describe = function(self)
      return ("%s(%d -> %d%s%s)"):format(name, self.inputs, self.hidden,
        self.layers > 1 and (", %d layers"):format(self.layers) or "",
        self.bidirectional and ", both ways" or "")
    end,
  })
end

--- A recurrent network over sequences x (n, time, inputs): returns the hidden states (n, time,
-- hidden) and the last state (layers, n, hidden).  RNN(inputs, hidden, { layers = 1, bidirectional
-- = false, dropout = 0 (between layers), bias, activation = "tanh" | "relu", dtype }).  Both ways,
-- the hidden states are (n, time, 2 hidden) and the states of a layer stand one after the other.
-- Elman 1990.  `local y, h = nn.RNN(8, 16)(x)  y, h = rnn(x2, h)`
M.RNN = layer "RNN"

--- Long short-term memory: as RNN, without activation; the state is { h, c }.  Hochreiter and
-- Schmidhuber 1997.  `local y, state = nn.LSTM(8, 16, { layers = 2 })(x)`
M.LSTM = layer "LSTM"

--- Gated recurrent units: as RNN, without activation.  Cho and others 2014.
-- `local y, h = nn.GRU(8, 16)(x)`
M.GRU = layer "GRU"

return M
