--- Differentiation backwards: gradients, gradients of gradients, the user's own operations.
-- Functions take tensors or nested tables of tensors and give results of the same
-- structure.  They nest, with each other and with those of forward.lua:
-- mare.grad(mare.grad(f)) is the second derivative.

local core = require "mare.core"
local registry = require "mare.ops"
local check = require "mare.check"
local tree = require "mare.tree"

local M = {}

local f = core.functions
local is_tensor, recorded = f.is_tensor, f.recorded
local map = tree.map

-- -- switching the tape off and on -----------------------------------------------------

--- Calls fn(...) without recording; returns what it returns.
--     mare.no_grad(function() w:sub_(w.grad * 0.1) end)
function M.no_grad(fn, ...)
  check.callable(1, "no_grad", fn)
  return recorded(false, fn, ...)
end

--- Calls fn(...) with recording on, as inside a no_grad.
function M.enable_grad(fn, ...)
  check.callable(1, "enable_grad", fn)
  return recorded(true, fn, ...)
end

-- -- one operation -------------------------------------------------------------------------

-- the gradients of a node's arguments, themselves on the tape: {i = tensor}
function M.vjp_of(id, g, y, args)
  local row = registry.by_id[id]
  local grads = {}
  if row.structured then
    if not row.vjp then check.fail("the operation '%s' has no derivative", row.name) end
    local result = table.pack(row.vjp(g, y, table.unpack(args, 1, args.n)))
    for i = 1, args.n do grads[i] = result[i] end
    return grads
  end
  for i = 1, #row.args do
    if row.derivatives[i] and is_tensor(args[i]) and f.taped(args[i]) then
      grads[i] = registry.elementwise_vjp(row, i, g, y, table.unpack(args, 1, args.n))
    end
  end
  return grads
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
      for i, gi in pairs(M.vjp_of(id, gt, t, args)) do
        local a = args[i]
        if is_tensor(a) and f.taped(a) and gi then
          if not f.same_shape(gi, a) then gi = registry.sum_to(gi, a.shape) end
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
      if f.hooked(t) then
        for _, hook in ipairs(f.hooks(t)) do hook(t) end
      end
    end
  end
end

--- Calls fn(x) whenever backward has added to the .grad of x, a leaf that requires one; it is
-- the whole of what that pass gives x, while tensors further up may still wait for theirs.
-- What fn computes is not recorded.  Several functions are called in the order given.  Returns
-- a function that takes fn off again.
--     w:on_gradient(function() print("gradient of w", w.grad:norm():item()) end)
function M.on_gradient(x, fn)
  check.tensor(1, "on_gradient", x)
  if not tree.is_real(x) then
    check.argument(1, "on_gradient", "f32 or f64 tensor expected, got %s", check.kind(x))
  end
  check.callable(2, "on_gradient", fn)
  local list = f.hooks(x)
  local entry = function(t) fn(t) end
  list[#list + 1] = entry
  return function()
    for i = #list, 1, -1 do
      if list[i] == entry then table.remove(list, i) end
    end
  end
end

-- -- functions of functions ----------------------------------------------------------------------
--
-- They nest.  `taped` says that a function around this one is being differentiated
-- backwards: results go on its tape.  `carried` says that one is being differentiated
-- forwards: results keep their tangents.

-- t as a variable of its own: what is computed from it is recorded
local function variable(t)
  if not tree.is_real(t) then return t end
  if f.taped(t) then return t:reshape(t.shape) end
  if f.has_tangent(t) then return f.settled(t:reshape(t.shape)):requires_grad() end
  return t:detach():requires_grad()
end

local function variables(v, name)
  tree.variables(v, name)
  local copy = map(variable, v)
  return copy, tree.leaves(copy)
end

--- y for the caller: off the tapes that nobody differentiates along any more.
function M.released(y, taped, carried)
  if taped or not is_tensor(y) then return y end
  if not carried then return y:detach() end
  return f.differentiated(false, y.reshape, y, y.shape)
end

local function check_tensor(y, name)
  if not is_tensor(y) then
    check.fail("the function given to '%s' returned %s, not a tensor", name,
      y == nil and "nothing" or "a " .. type(y))
  end
end

local function check_scalar(y, name)
  check_tensor(y, name)
  if y:numel() ~= 1 then
    check.fail("the function given to '%s' returned shape %s, not a single number", name,
      check.shape(y))
  end
end

M.check_result = check_tensor

local function taped_run(name, fn, x, ...)
  local xs, list = variables(x, name)
  return fn(xs, ...), xs, list
end

-- fn(xs, ...) on the tape, with variables for x: y, xs, the list of them
local function run(...) return f.differentiated(true, taped_run, ...) end

-- gradients in the structure of xs; zeros where y does not depend on them
local function pull(y, xs, list, g, taped, carried)
  local grads = f.taped(y) and
    f.differentiated(taped, M.gradients, y, list, taped or carried, g) or {}
  local by = {}
  for i, x in ipairs(list) do by[x] = grads[i] or f.zeros(x.shape, x.dtype) end
  return map(function(x) return by[x] or x end, xs)
end

--- y and its gradient to x, where name is what the user called.
function M.gradient(name, fn, x, ...)
  local taped, carried = f.nesting()
  local y, xs, list = run(name, fn, x, ...)
  check_scalar(y, name)
  local g = pull(y, xs, list, nil, taped, carried)
  return M.released(y, taped, carried), g
end

--- A function that returns f(...) and its gradient to the first argument.
--     local loss, g = mare.value_and_grad(f)(params, x, y)
-- The first argument is a tensor or a nested table of tensors, and so is the
-- gradient; f returns a single number as a tensor.
function M.value_and_grad(fn)
  check.callable(1, "value_and_grad", fn)
  return function(x, ...) return M.gradient("grad", fn, x, ...) end
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

-- f(x) as fn left it, and a function (one tensor of it, g) -> gradients of the leaves
-- of x, in the structure of x
function M.taped(name, fn, x)
  local taped, carried = f.nesting()
  local y, xs, list = run(name, fn, x)
  if type(y) ~= "table" then check_tensor(y, name) end
  local function pull_one(part, g)
    local t, c = f.nesting()
    return pull(part, xs, list, g, taped or t, carried or c)
  end
  return y, pull_one, map(function(v) return M.released(v, taped, carried) end, y)
end

local function check_gradient(y, g)
  if not is_tensor(g) or check.shape(g) ~= check.shape(y) or g.dtype ~= y.dtype then
    check.argument(1, "pullback", "%s tensor of shape %s expected, got %s", y.dtype,
      check.shape(y), is_tensor(g) and g.dtype .. " of shape " .. check.shape(g)
      or g == nil and "no value" or type(g))
  end
end

--- y, pullback = mare.vjp(f, x): pullback(g) is g times the Jacobian of f at x.
-- x and what f returns are tensors or nested tables of them; g has the structure of y.
--     local y, pullback = mare.vjp(f, x)
--     local gx = pullback(mare.ones(y.shape))
function M.vjp(fn, x)
  check.callable(1, "vjp", fn)
  local y, pull_one, released = M.taped("vjp", fn, x)
  return released, function(g)
    local total
    map(function(part, gp)
      if not tree.is_real(part) then return end
      check_gradient(part, gp)
      local more = pull_one(part, gp)
      total = total and map(function(a, b) return tree.is_real(a) and a + b or a end, total, more)
        or more
    end, y, g)
    return total
  end
end

-- -- user's own operations and checks ------------------------------------------------------------

--- An operation of the user's own.
--     local cube = mare.op { name = "cube",
--       forward = function(x) return x * x * x end,
--       backward = function(g, y, x) return g * 3 * x * x end,
--       jvp = function(t, y, x) return t[1] * 3 * x * x end }
-- forward is not recorded; backward returns a gradient (or nil) for each argument,
-- written with operations, so that it can be differentiated again.  jvp, for forward
-- mode, returns the tangent of y, where t[i] is that of argument i, or nil when it is
-- constant; without a jvp the tangent comes from backward, at several times the cost.
function M.op(row)
  if type(row) ~= "table" then check.argument(1, "op", "table expected, got %s", type(row)) end
  check.options(1, "op", row, {name = true, forward = true, backward = true, jvp = true,
    doc = true})
  for _, key in ipairs {"forward", "backward"} do
    if type(row[key]) ~= "function" then
      check.argument(1, "op", "'%s' is not a function", key)
    end
  end
  if row.jvp ~= nil and type(row.jvp) ~= "function" then
    check.argument(1, "op", "'jvp' is not a function")
  end
  if row.name ~= nil and type(row.name) ~= "string" then
    check.argument(1, "op", "'name' is not a string")
  end
  local id = f.define(row.name or "op")
  local made = {name = row.name or "op", structured = true, vjp = row.backward,
    user_jvp = row.jvp}
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
  tree.variables(x, "gradcheck")
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
