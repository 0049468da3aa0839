--- Differentiation: gradients, products with Jacobians, gradients of gradients.
-- Functions take tensors or nested tables of tensors and give results of the same
-- structure.  They nest: mare.grad(mare.grad(f)) is the second derivative.

local core = require "mare.core"
local registry = require "mare.ops"
local check = require "mare.check"

local M = {}

local f = core.functions
local is_tensor, recording = f.is_tensor, f.recording
local ops = registry.ops

-- -- switching the tape off and on -----------------------------------------------------

--- Calls fn(...) without recording; returns what it returns.
--     mare.no_grad(function() w:sub_(w.grad * 0.1) end)
function M.no_grad(fn, ...)
  check.callable(1, "no_grad", fn)
  local _ <close> = recording(false)
  return fn(...)
end

--- Calls fn(...) with recording on, as inside a no_grad.
function M.enable_grad(fn, ...)
  check.callable(1, "enable_grad", fn)
  local _ <close> = recording(true)
  return fn(...)
end

-- -- one operation -------------------------------------------------------------------------

-- the gradients of a node's arguments, themselves on the tape: {i = tensor}
local function vjp_of(id, g, y, args)
  local row = registry.by_id[id]
  local grads = {}
  if row.structured then
    if not row.vjp then check.fail("the operation '%s' has no derivative", row.name) end
    local result = table.pack(row.vjp(g, y, table.unpack(args, 1, args.n)))
    for i = 1, args.n do grads[i] = result[i] end
    return grads
  end
  for i = 1, #row.args do
    if row.derivatives[i] and is_tensor(args[i]) and args[i].is_tracked then
      grads[i] = registry.elementwise_vjp(row, i, g, y, table.unpack(args, 1, args.n))
    end
  end
  return grads
end

-- the tangent of a node's result from those of its arguments
local function jvp_of(id, y, args, tangents)
  local row = registry.by_id[id]
  local sum
  local function add(t) sum = sum and sum + t or t end
  if not row.structured then
    for i = 1, #row.args do
      if tangents[i] and row.derivatives[i] then
        add(registry.derivative(row, i)(y, table.unpack(args, 1, args.n)) * tangents[i])
      end
    end
    return sum and sum:expand(y.shape)
  end
  if row.kind == "linear" and row.again then
    return tangents[1] and row.again(tangents[1], y, table.unpack(args, 2, args.n))
  elseif row.kind == "linear" then
    return tangents[1] and row.call(tangents[1], table.unpack(args, 2, args.n))
  elseif row.kind == "bilinear" then
    if tangents[1] then add(row.call(tangents[1], args[2])) end
    if tangents[2] then add(row.call(args[1], tangents[2])) end
    return sum
  end
  return M.transpose_vjp(id, y, args, tangents)
end

-- The vjp is linear in g, so its own gradient to g is the jvp: no rule is needed.
function M.transpose_vjp(id, y, args, tangents)
  return M.enable_grad(function()
    local g = y:detach():clone():requires_grad()
    local grads, s = vjp_of(id, g, y, args), nil
    for i, t in pairs(tangents) do
      if grads[i] then
        local term = (grads[i] * t):sum()
        s = s and s + term or term
      end
    end
    return s and s.is_tracked and M.gradients(s, {g}, true)[1] or y:detach() * 0
  end)
end

-- -- whole graphs ------------------------------------------------------------------------------

-- what made t: the operation and its arguments, {n =, ...}; nothing for a leaf
local function node(t)
  local function split(id, ...)
    if id then return id, table.pack(...) end
  end
  return split(f.node(t))
end

-- backward with a tape of its own: {tensor = gradient}
local function backward_graph(y, g)
  local grads = {[y] = g}
  for _, t in ipairs(f.topo(y)) do
    local id, args = nil, nil
    local gt = grads[t]
    if gt then id, args = node(t) end
    if id then
      for i, gi in pairs(vjp_of(id, gt, t, args)) do
        local a = args[i]
        if is_tensor(a) and a.is_tracked and gi then
          gi = registry.sum_to(gi, a.shape)
          grads[a] = grads[a] and grads[a] + gi or gi
        end
      end
    end
  end
  return grads
end

local function ones_like(y)
  if y:numel() ~= 1 then
    check.argument(1, "backward",
      "a result of shape %s needs a gradient of that shape to start from", check.shape(y))
  end
  return f.full(y.shape, 1, y.dtype)
end

--- Gradients of y to each tensor of a list, or false where y does not depend on it.
-- With create_graph they are on the tape themselves.
function M.gradients(y, inputs, create_graph, g)
  if not create_graph then return f.backward_to(y, g, true, inputs) end
  local grads = backward_graph(y, g or ones_like(y))
  local list = {}
  for i, x in ipairs(inputs) do list[i] = grads[x] or false end
  return list
end

local known = {retain = true, create_graph = true, gradient = true}

--- y:backward { gradient = g, retain = true, create_graph = true }, or y:backward(g).
-- Adds the gradient of y to the .grad of every leaf.  retain keeps the tape for a
-- second call; create_graph (which retains) puts the gradients on the tape too.
function M.backward(y, options)
  if is_tensor(options) then return f.backward(y, options) end
  check.options(2, "backward", options, known)
  if not options.create_graph then return f.backward(y, options.gradient, options.retain) end
  local grads = backward_graph(y, options.gradient or ones_like(y))
  for t, g in pairs(grads) do
    if t:is_leaf() then
      local old = t.grad
      t.grad = old and old + g or g:contiguous()     -- a copy would leave the tape
    end
  end
end

-- -- nested tables -------------------------------------------------------------------------------

-- fn over every tensor of a structure, in a fixed order
local function map(fn, v, ...)
  if is_tensor(v) then return fn(v, ...) end
  if type(v) ~= "table" then return v end
  local keys, copy = {}, {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  for _, k in ipairs(keys) do
    local others = table.pack(...)
    for i = 1, others.n do others[i] = type(others[i]) == "table" and others[i][k] or nil end
    copy[k] = map(fn, v[k], table.unpack(others, 1, others.n))
  end
  return copy
end

local depth = 0     -- of functions that are being differentiated around this one

local Depth = {__close = function() depth = depth - 1 end}

local function deeper()
  depth = depth + 1
  return setmetatable({}, Depth)
end

-- the structure with fresh variables in it, and a list of them
local function variables(v, name)
  local list = {}
  local copy = map(function(t)
    if t.dtype ~= "f32" and t.dtype ~= "f64" then return t end
    local x = t.is_tracked and t:reshape(t.shape) or t:detach():requires_grad()
    list[#list + 1] = x
    return x
  end, v)
  if #list == 0 then
    check.fail("'%s': f32 or f64 tensors to differentiate by expected, got %s", name,
      v == nil and "no value" or check.kind(v))
  end
  return copy, list
end

local function check_scalar(y, name)
  if not is_tensor(y) then
    check.fail("the function given to '%s' returned a %s, not a tensor", name, type(y))
  elseif y:numel() ~= 1 then
    check.fail("the function given to '%s' returned shape %s, not a single number", name,
      check.shape(y))
  end
end

-- gradients in the structure of xs; zeros where y does not depend on them
local function pull(y, xs, list, g, nested)
  local grads = y.is_tracked and M.gradients(y, list, nested, g) or {}
  local by = {}
  for i, x in ipairs(list) do by[x] = grads[i] or f.zeros(x.shape, x.dtype) end
  return map(function(x) return by[x] or x end, xs)
end

--- A function that returns f(...) and its gradient to the first argument.
--     local loss, g = mare.value_and_grad(f)(params, x, y)
-- The first argument is a tensor or a nested table of tensors, and so is the
-- gradient; f returns a single number as a tensor.
function M.value_and_grad(fn)
  check.callable(1, "value_and_grad", fn)
  return function(x, ...)
    local _ <close> = recording(true)
    local nested = depth > 0
    local y, xs, list
    do
      local _ <close> = deeper()
      xs, list = variables(x, "grad")
      y = fn(xs, ...)
    end
    check_scalar(y, "grad")
    local g = pull(y, xs, list, nil, nested)
    return nested and y or y:detach(), g
  end
end

--- A function that returns the gradient of f to its first argument.
--     mare.grad(function(x) return (x * x):sum() end)(x)       --> 2 x
function M.grad(fn)
  check.callable(1, "grad", fn)
  local both = M.value_and_grad(fn)
  return function(...)
    local _, g = both(...)
    return g
  end
end

--- y, pullback = mare.vjp(f, x): pullback(g) is g times the Jacobian of f at x.
function M.vjp(fn, x)
  check.callable(1, "vjp", fn)
  local _ <close> = recording(true)
  local nested = depth > 0
  local y, xs, list
  do
    local _ <close> = deeper()
    xs, list = variables(x, "vjp")
    y = fn(xs)
  end
  if not is_tensor(y) then check_scalar(y, "vjp") end
  return nested and y or y:detach(), function(g)
    local _ <close> = recording(true)
    return pull(y, xs, list, g, nested or depth > 0)
  end
end

--- y, t = mare.jvp(f, x, v): t is the Jacobian of f at x times v, by forward
-- accumulation along the tape of f.  v has the structure of x.
function M.jvp(fn, x, v)
  check.callable(1, "jvp", fn)
  local _ <close> = recording(true)
  local nested = depth > 0
  local tangent = {}
  local y
  do
    local _ <close> = deeper()
    local xs = variables(x, "jvp")
    map(function(leaf, t)
      if not is_tensor(t) or check.shape(t) ~= check.shape(leaf) then
        check.argument(3, "jvp", "a tangent of shape %s expected", check.shape(leaf))
      end
      if leaf.is_tracked then tangent[leaf] = t end
    end, xs, v)
    y = fn(xs)
  end
  if not is_tensor(y) then check_scalar(y, "jvp") end
  local _ <close> = recording(nested)
  local order = y.is_tracked and f.topo(y) or {}
  for i = #order, 1, -1 do
    local t = order[i]
    local id, args = node(t)
    if id and not tangent[t] then
      local given, any = {}, false
      for k = 1, args.n do
        given[k] = args[k] ~= nil and tangent[args[k]] or nil
        any = any or given[k] ~= nil
      end
      if any then tangent[t] = jvp_of(id, t, args, given) end
    end
  end
  return nested and y or y:detach(), tangent[y] or f.zeros(y.shape, y.dtype)
end

--- The Jacobian of f at x: shape of f(x) followed by the shape of x.
function M.jacobian(fn, x)
  check.callable(1, "jacobian", fn)
  check.tensor(2, "jacobian", x)
  local y, pullback = M.vjp(fn, x)
  local n, blocks = y:numel(), {}
  for i = 1, n do
    local g = f.zeros({n}, y.dtype)
    g[i] = 1
    blocks[i] = pullback(g:reshape(y.shape))
  end
  local shape = y.shape
  table.move(x.shape, 1, #x.shape, #shape + 1, shape)
  return ops.stack(blocks, 1):reshape(shape)
end

--- The matrix of second derivatives of a function of one tensor.
function M.hessian(fn, x)
  check.callable(1, "hessian", fn)
  check.tensor(2, "hessian", x)
  return M.jacobian(M.grad(fn), x)
end

--- The Hessian of f at x times v, without forming it.
function M.hvp(fn, x, v)
  check.callable(1, "hvp", fn)
  check.tensor(2, "hvp", x)
  if check.shape(check.tensor(3, "hvp", v)) ~= check.shape(x) then
    check.argument(3, "hvp", "shape %s expected, got %s", check.shape(x), check.shape(v))
  end
  local _, t = M.jvp(M.grad(fn), x, v)
  return t
end

-- -- user's own operations and checks ------------------------------------------------------------

--- An operation of the user's own.
--     local cube = mare.op { name = "cube",
--       forward = function(x) return x * x * x end,
--       backward = function(g, y, x) return g * 3 * x * x end }
-- forward is not recorded; backward returns a gradient (or nil) for each argument,
-- written with operations, so that it can be differentiated again.
function M.op(row)
  if type(row) ~= "table" then check.argument(1, "op", "table expected, got %s", type(row)) end
  check.options(1, "op", row, {name = true, forward = true, backward = true, doc = true})
  for _, key in ipairs {"forward", "backward"} do
    if type(row[key]) ~= "function" then
      check.argument(1, "op", "'%s' is not a function", key)
    end
  end
  if row.name ~= nil and type(row.name) ~= "string" then
    check.argument(1, "op", "'name' is not a string")
  end
  local id = f.define(row.name or "op")
  local made = {name = row.name or "op", structured = true, vjp = row.backward}
  local record, forward = f.record, row.forward
  f.attach(id, made)
  registry.by_id[id] = made
  return function(...)
    local y = M.no_grad(forward, ...)
    if not is_tensor(y) then
      check.fail("forward of '%s' returned a %s, not a tensor", made.name, type(y))
    end
    for i = 1, select("#", ...) do      -- an argument handed back is not a new result
      if rawequal(y, (select(i, ...))) then y = y:detach() end
    end
    return record(y, id, ...)
  end
end

--- Compares the gradients of f at x with central differences.
-- x is f64 (a tensor or a nested table); returns true, or false and what differed.
-- options: eps (1e-6), tolerance (1e-5, relative to 1 + |value|).
function M.gradcheck(fn, x, options)
  options = options or {}
  check.callable(1, "gradcheck", fn)
  check.options(3, "gradcheck", options, {eps = true, tolerance = true})
  local eps, tolerance = options.eps or 1e-6, options.tolerance or 1e-5
  local copy = map(function(t)
    if t.dtype ~= "f64" then
      check.argument(2, "gradcheck", "f64 tensors expected, got %s", t.dtype)
    end
    return t:detach():clone()
  end, x)
  if x == nil then check.argument(2, "gradcheck", "f64 tensors expected, got no value") end
  local y = fn(copy)
  if not is_tensor(y) then check_scalar(y, "gradcheck") end
  local weight = f.rand(y.shape, "f64"):add_(0.5)
  local function value(v) return (fn(v) * weight):sum() end
  local g = M.grad(value)(copy)
  local problem
  map(function(t, gt)
    local flat, flat_g = t:reshape(-1), gt:reshape(-1)
    for i = 1, t:numel() do
      local old = flat[i]:item()
      flat[i] = old + eps
      local above = M.no_grad(value, copy):item()
      flat[i] = old - eps
      local below = M.no_grad(value, copy):item()
      flat[i] = old
      local want, got = (above - below) / (2 * eps), flat_g[i]:item()
      local fits = math.abs(want - got) <= tolerance * (1 + math.abs(want))    -- NaN does not
      if not fits then
        problem = problem or ("element %d: gradient %.9g, differences %.9g"):format(i, got, want)
      end
    end
  end, copy, g)
  return problem == nil, problem
end

return M
