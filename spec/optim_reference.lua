-- optim_reference.lua -- the optimizers once more, in plain Lua on lists of numbers, each
-- written from its paper alone: what the rows of optim.def are compared with.
--
-- reference.NAME(options, rows) gives step(p, g, t), which changes the list p; a tensor
-- with `rows` is a matrix of so many rows, otherwise a vector.

local M = {}

-- A rule for one element that keeps a state of its own: rule(o, state, p, g, t) -> p.
local function each(rule)
  return function(o)
    local states = {}
    return function(p, g, t)
      for i = 1, #p do
        states[i] = states[i] or {}
        p[i] = rule(o, states[i], p[i], g[i], t)
      end
    end
  end
end

local function norm(x)
  local sum = 0
  for i = 1, #x do sum = sum + x[i] * x[i] end
  return math.sqrt(sum)
end

local function sign(x) return x > 0 and 1 or x < 0 and -1 or 0 end

M.sgd = each(function(o, s, p, g, t)
  g = g + o.weight_decay * p
  if o.momentum == 0 then return p - o.lr * g end
  s.b = t == 1 and g or o.momentum * s.b + (1 - o.dampening) * g
  return p - o.lr * (o.nesterov and g + o.momentum * s.b or s.b)
end)

-- The rate of Bottou 2012; the average is compared elsewhere.
M.asgd = each(function(o, _, p, g, t)
  local eta = o.lr / (1 + o.lambd * o.lr * (t - 1)) ^ o.alpha
  return p - eta * (g + o.weight_decay * p) - eta * o.lambd * p
end)

M.adagrad = each(function(o, s, p, g, t)
  g = g + o.weight_decay * p
  s.sum = (s.sum or o.initial_accumulator) + g ^ 2
  return p - o.lr / (1 + (t - 1) * o.lr_decay) * g / (math.sqrt(s.sum) + o.eps)
end)

-- Algorithm 1, with the rate that everybody adds
M.adadelta = each(function(o, s, p, g)
  g = g + o.weight_decay * p
  s.g2 = o.rho * (s.g2 or 0) + (1 - o.rho) * g ^ 2
  local dx = -math.sqrt((s.x2 or 0) + o.eps) / math.sqrt(s.g2 + o.eps) * g
  s.x2 = o.rho * (s.x2 or 0) + (1 - o.rho) * dx ^ 2
  return p + o.lr * dx
end)

-- Graves, equations 38 to 42, with epsilon outside the root as in the lecture's users
M.rmsprop = each(function(o, s, p, g)
  g = g + o.weight_decay * p
  s.n = o.alpha * (s.n or 0) + (1 - o.alpha) * g ^ 2
  s.m = o.alpha * (s.m or 0) + (1 - o.alpha) * g
  local variance = o.centered and s.n - s.m ^ 2 or s.n
  s.d = o.momentum * (s.d or 0) + g / (math.sqrt(variance) + o.eps)
  return p - o.lr * s.d
end)

-- Without going back: after a change of sign an element waits.
M.rprop = each(function(o, s, p, g)
  s.size, s.g = s.size or o.lr, s.g or 0
  if s.g * g > 0 then
    s.size = math.min(s.size * o.eta_plus, o.size_max)
  elseif s.g * g < 0 then
    s.size = math.max(s.size * o.eta_minus, o.size_min)
    g = 0
  end
  s.g = g
  return p - sign(g) * s.size
end)

-- m and v of Kingma and Ba's algorithm 1, corrected for their start
local function moments(o, s, g, t)
  s.m = o.beta1 * (s.m or 0) + (1 - o.beta1) * g
  s.v = o.beta2 * (s.v or 0) + (1 - o.beta2) * g ^ 2
  return s.m / (1 - o.beta1 ^ t), s.v / (1 - o.beta2 ^ t)
end

-- the largest v so far, before the correction, as in the authors' code
local function largest(o, s, t)
  s.max = math.max(s.max or 0, s.v)
  return s.max / (1 - o.beta2 ^ t)
end

M.adam = each(function(o, s, p, g, t)
  local m, v = moments(o, s, g + o.weight_decay * p, t)
  if o.amsgrad then v = largest(o, s, t) end
  return p - o.lr * m / (math.sqrt(v) + o.eps)
end)

M.adamw = each(function(o, s, p, g, t)
  local m, v = moments(o, s, g, t)
  if o.amsgrad then v = largest(o, s, t) end
  return p - o.lr * m / (math.sqrt(v) + o.eps) - o.lr * o.weight_decay * p
end)

-- Algorithm 2, with epsilon where division by 0 threatens
M.adamax = each(function(o, s, p, g, t)
  g = g + o.weight_decay * p
  s.m = o.beta1 * (s.m or 0) + (1 - o.beta1) * g
  s.u = math.max(o.beta2 * (s.u or 0), math.abs(g) + o.eps)
  return p - o.lr / (1 - o.beta1 ^ t) * s.m / s.u
end)

M.nadam = each(function(o, s, p, g, t)
  g = g + o.weight_decay * p
  local function mu(k) return o.beta1 * (1 - 0.5 * 0.96 ^ (k * o.momentum_decay)) end
  s.product = (s.product or 1) * mu(t)
  s.m = o.beta1 * (s.m or 0) + (1 - o.beta1) * g
  s.v = o.beta2 * (s.v or 0) + (1 - o.beta2) * g ^ 2
  local m = mu(t + 1) * s.m / (1 - s.product * mu(t + 1)) + (1 - mu(t)) * g / (1 - s.product)
  return p - o.lr * m / (math.sqrt(s.v / (1 - o.beta2 ^ t)) + o.eps)
end)

-- Algorithm 2, with the authors' later bound of 5 for 4
M.radam = each(function(o, s, p, g, t)
  local m = moments(o, s, g + o.weight_decay * p, t)
  local limit, b = 2 / (1 - o.beta2) - 1, o.beta2 ^ t
  local rho = limit - 2 * t * b / (1 - b)
  if rho <= 5 then return p - o.lr * m end
  local r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
  return p - o.lr * m * r * math.sqrt(1 - b) / (math.sqrt(s.v) + o.eps)
end)

M.adabelief = each(function(o, s, p, g, t)
  g = g + o.weight_decay * p
  s.m = o.beta1 * (s.m or 0) + (1 - o.beta1) * g
  s.v = o.beta2 * (s.v or 0) + (1 - o.beta2) * (g - s.m) ^ 2 + o.eps
  local v = o.amsgrad and largest(o, s, t) or s.v / (1 - o.beta2 ^ t)
  return p - o.lr * s.m / (1 - o.beta1 ^ t) / (math.sqrt(v) + o.eps)
end)

M.lion = each(function(o, s, p, g)
  local c = o.beta1 * (s.m or 0) + (1 - o.beta1) * g
  s.m = o.beta2 * (s.m or 0) + (1 - o.beta2) * g
  return p - o.lr * (sign(c) + o.weight_decay * p)
end)

-- -- whole tensors --------------------------------------------------------------------

-- Algorithm 1
function M.lars(o)
  local v = {}
  return function(p, g)
    local below = norm(g) + o.weight_decay * norm(p)
    local ratio = norm(p) > 0 and below > 0 and o.eta * norm(p) / below or 1
    for i = 1, #p do
      v[i] = o.momentum * (v[i] or 0) + o.lr * ratio * (g[i] + o.weight_decay * p[i])
    end
    for i = 1, #p do p[i] = p[i] - v[i] end
  end
end

-- Algorithm 2 with phi(x) = x
function M.lamb(o)
  local states = {}
  return function(p, g, t)
    local u = {}
    for i = 1, #p do
      states[i] = states[i] or {}
      local m, v = moments(o, states[i], g[i], t)
      u[i] = m / (math.sqrt(v) + o.eps) + o.weight_decay * p[i]
    end
    local ratio = norm(p) > 0 and norm(u) > 0 and norm(p) / norm(u) or 1
    for i = 1, #p do p[i] = p[i] - o.lr * ratio * u[i] end
  end
end

-- Of a matrix, algorithm 4: sums over its rows and columns, and their product over the
-- total; of a vector, algorithm 5.
local function adafactor_moment(o, s, g, t, rows)
  local keep = 1 - t ^ -o.decay
  local columns = #g // rows
  s.r, s.c, s.v = s.r or {}, s.c or {}, s.v or {}
  local function mix(list, i, new) list[i] = keep * (list[i] or 0) + (1 - keep) * new end
  local total = 0
  for i = 1, rows do
    local sum = 0
    for j = 1, columns do sum = sum + g[(i - 1) * columns + j] ^ 2 + o.eps1 end
    mix(s.r, i, sum)
    total = total + s.r[i]
  end
  for j = 1, columns do
    local sum = 0
    for i = 1, rows do sum = sum + g[(i - 1) * columns + j] ^ 2 + o.eps1 end
    mix(s.c, j, sum)
  end
  for i = 1, #g do mix(s.v, i, g[i] ^ 2 + o.eps1) end
  return function(k, matrix)
    if not matrix then return s.v[k] end
    return s.r[(k - 1) // columns + 1] * s.c[(k - 1) % columns + 1] / total
  end
end

function M.adafactor(o, rows)
  local s = {}
  return function(p, g, t)
    local v, u = adafactor_moment(o, s, g, t, rows or 1), {}
    for i = 1, #p do u[i] = g[i] / math.sqrt(v(i, rows ~= nil)) end
    local rms_p, rms_u = norm(p) / math.sqrt(#p), norm(u) / math.sqrt(#p)
    local alpha = math.max(o.eps2, rms_p) * math.min(o.lr, 1 / math.sqrt(t))
    for i = 1, #p do
      p[i] = p[i] - o.lr * o.weight_decay * p[i] - alpha * u[i] / math.max(1, rms_u / o.clip)
    end
  end
end

-- matrices as lists of rows
local function product(a, b)
  local c = {}
  for i = 1, #a do
    c[i] = {}
    for j = 1, #b[1] do
      local sum = 0
      for k = 1, #b do sum = sum + a[i][k] * b[k][j] end
      c[i][j] = sum
    end
  end
  return c
end

local function transposed(a)
  local c = {}
  for j = 1, #a[1] do
    c[j] = {}
    for i = 1, #a do c[j][i] = a[i][j] end
  end
  return c
end

local function newton_schulz(x, steps)
  for _ = 1, steps do
    local a = product(x, transposed(x))
    local a2 = product(a, a)
    for i = 1, #a do
      for j = 1, #a do a[i][j] = -4.7750 * a[i][j] + 2.0315 * a2[i][j] end
    end
    local ax = product(a, x)
    for i = 1, #x do
      for j = 1, #x[1] do x[i][j] = 3.4445 * x[i][j] + ax[i][j] end
    end
  end
  return x
end

local function muon_matrix(o, rows)
  local b = {}
  return function(p, g)
    local columns, x, u = #p // rows, {}, {}
    for i = 1, #p do
      b[i] = o.momentum * (b[i] or 0) + (1 - o.momentum) * g[i]
      u[i] = o.nesterov and (1 - o.momentum) * g[i] + o.momentum * b[i] or b[i]
    end
    local size = norm(u) + 1e-7
    for i = 1, rows do
      x[i] = {}
      for j = 1, columns do x[i][j] = u[(i - 1) * columns + j] / size end
    end
    if rows > columns then
      x = transposed(newton_schulz(transposed(x), o.ns_steps))
    else
      x = newton_schulz(x, o.ns_steps)
    end
    local rate = o.lr * math.sqrt(math.max(1, rows / columns))
    for k = 1, #p do
      local new = x[(k - 1) // columns + 1][(k - 1) % columns + 1]
      p[k] = (1 - o.lr * o.weight_decay) * p[k] - rate * new
    end
  end
end

function M.muon(o, rows)
  if rows then return muon_matrix(o, rows) end
  return M.adamw { lr = o.lr * o.adam_scale, beta1 = o.beta1, beta2 = o.beta2, eps = o.eps,
    weight_decay = o.weight_decay }
end

return M
