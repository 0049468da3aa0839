--- Differentiation forwards: products with Jacobians, Jacobians, Hessians.
-- Tangents go along with the values (src/bind/forward.c): nothing is kept of a step
-- once it is done.  Many tangents go at once, as a further dimension in front, so
-- that a matrix of derivatives is one run of the function and not one for each column.

local core = require "mare.core"
local registry = require "mare.ops"
local check = require "mare.check"
local tree = require "mare.tree"
local grad = require "mare.grad"

local M = {}

local f = core.functions
local ops = registry.ops
local is_tensor = f.is_tensor
local narrow, reshape, contiguous = core.methods.narrow, core.methods.reshape,
  core.methods.contiguous
local extra, leading, padded, plus = registry.extra, registry.leading, registry.padded,
  registry.plus

-- -- one operation -------------------------------------------------------------------------

local function elementwise(row, t, y, args)
  local sum
  for i = 1, #row.args do
    local d = t[i] and row.derivatives[i]
    if d and d ~= "0" then
      local part = padded(t[i], args[i], y:dim())
      if d ~= "1" then
        part = part * registry.derivative(row, i)(y, table.unpack(args, 1, args.n))
      end
      if part:dim() - y:dim() < extra(t[i], args[i]) or not f.same_shape(part, y) then
        part = part:expand(leading(t[i], args[i], y.shape))
      end
      sum = plus(sum, part)
    end
  end
  return sum
end

-- The vjp is linear in g, so its own gradient to g is the jvp: no rule is needed.
local function transposed(id, t, y, args)
  local taped, carried = f.nesting()
  local g, sum = f.zeros(y.shape, y.dtype):requires_grad(), nil
  do
    local _ <close> = f.differentiating(true)
    local grads = grad.vjp_of(id, g, y, args)
    for i = 1, args.n do
      if t[i] and grads[i] then sum = plus(sum, (grads[i] * t[i]):sum()) end
    end
  end
  if not sum or not f.taped(sum) then return nil end
  return f.differentiated(taped, grad.gradients, sum, {g}, taped or carried)[1] or nil
end

local function check_tangent(row, t, y)
  local fits = is_tensor(t) and f.same_shape(t, y) and t.dtype == y.dtype
  if t ~= nil and not fits then
    check.fail("jvp of '%s' gave %s where the tangent of a %s tensor of shape %s was expected",
      row.name, is_tensor(t) and ("%s of shape %s"):format(t.dtype, check.shape(t)) or
      "a " .. type(t), y.dtype, check.shape(y))
  end
  return t
end

-- a single tangent, for an operation without a rule for many
local function single(id, row, t, y, args)
  if row.user_jvp then
    return check_tangent(row, row.user_jvp(t, y, table.unpack(args, 1, args.n)), y)
  elseif row.kind == "linear" and row.call then
    return t[1] and row.call(t[1], table.unpack(args, 2, args.n))
  elseif row.kind == "bilinear" and row.call then
    return plus(t[1] and row.call(t[1], table.unpack(args, 2, args.n)),
      t[2] and row.call(args[1], t[2], table.unpack(args, 3, args.n)))
  end
  return transposed(id, t, y, args)
end

-- the same for many tangents: one after the other
local function each(id, row, t, y, args)
  local count, parts = nil, {}
  for i = 1, args.n do
    if t[i] and extra(t[i], args[i]) > 0 then count = t[i]:size(1) end
  end
  if not count then return single(id, row, t, y, args) end
  for k = 1, count do
    local one = {}
    for i = 1, args.n do one[i] = t[i] and t[i]:select(1, k) end
    parts[k] = each(id, row, one, y, args)
    if not parts[k] then return nil end
  end
  return ops.stack(parts, 1)
end

-- what C calls for the tangent of y = id(arguments ...): n tangents, n arguments
f.forward_rule(function(id, y, n, ...)
  local row, t = registry.by_id[id], {...}
  local args = table.move(t, n + 1, 2 * n, 1, {n = n})
  if not row then return nil end
  if not row.structured then return elementwise(row, t, y, args) end
  if row.jvp then return row.jvp(t, y, table.unpack(args, 1, n)) end
  return each(id, row, t, y, args)
end)

-- -- a function ------------------------------------------------------------------------------

-- t as a variable of its own, on the tapes and with the tangents of the functions around
local function variable(t, taped, carried)
  if not tree.is_real(t) then return t end
  if not taped and not carried then return t:detach() end
  return f.differentiated(taped, t.reshape, t, t.shape)
end

local function tangent_of(level, y, lead)
  local t = f.tangent(level, y)
  if t then return t end
  return f.zeros(table.move(y.shape, 1, #y.shape, #lead + 1, {table.unpack(lead)}), y.dtype)
end

-- fn's value and its tangent at this level
local function pushed(level, name, fn, xs, tangents, lead)
  for i, leaf in ipairs(tree.leaves(xs)) do
    if tangents[i] then f.set_tangent(level, leaf, tangents[i]) end
  end
  local y = fn(xs)
  if type(y) ~= "table" then grad.check_result(y, name) end
  return y, tree.map(function(v)
    return tree.is_real(v) and tangent_of(level, v, lead) or v
  end, y)
end

-- runs fn forwards; tangents are those of the leaves of x, or false, and lead the
-- sizes of the dimensions that they have in front.  Returns fn's value and its tangent.
local function push(name, fn, x, tangents, lead)
  local taped, carried = f.nesting()
  local xs = tree.map(function(t) return variable(t, taped, carried) end, x)
  local y, t = f.forward(pushed, name, fn, xs, tangents, lead)
  return tree.map(function(v) return grad.released(v, taped, carried) end, y), t
end

-- v has the structure of x, and its shapes and types
local function check_tangents(name, x, v)
  if is_tensor(x) then
    if not tree.is_real(x) then return end
    if not is_tensor(v) or check.shape(v) ~= check.shape(x) or v.dtype ~= x.dtype then
      check.argument(3, name, "a tangent of shape %s (%s) expected, got %s", check.shape(x),
        x.dtype, is_tensor(v) and ("shape %s (%s)"):format(check.shape(v), v.dtype)
        or v == nil and "no value" or "a " .. type(v))
    end
  elseif type(x) == "table" then
    if type(v) ~= "table" then
      check.argument(3, name, "a table with the structure of argument #2 expected, got %s",
        is_tensor(v) and "a tensor" or v == nil and "no value" or "a " .. type(v))
    end
    for k in pairs(v) do
      if x[k] == nil then
        check.argument(3, name, "'%s' is not in argument #2", check.text(k))
      end
    end
    for k in pairs(x) do check_tangents(name, x[k], v[k]) end
  end
end

-- the tangents of x's leaves; copies, so that a result shares no memory with v
local function given_tangents(name, x, v)
  local list = tree.variables(x, name)
  check_tangents(name, x, v)
  local taped, carried = f.nesting()
  local tangents = {}
  tree.map(function(t, tangent)
    if not tree.is_real(t) then return end
    tangents[#tangents + 1] = (taped or carried) and tangent or tangent:detach():clone()
  end, x, v)
  assert(#tangents == #list)
  return tangents
end

--- y, t = mare.jvp(f, x, v): y is f(x), and t the Jacobian of f at x times v.
-- By forward accumulation: the tangents are computed beside the values, no graph is
-- built, and memory does not grow with the number of steps.  x is a tensor or a nested
-- table of tensors, v has its structure; so have y and t that of what f returns.
--     local y, t = mare.jvp(function(x) return x:sin() end, x, v)     --> t = cos(x) v
-- What f computes inside mare.no_grad or from :detach() counts as constant, as it does
-- for mare.grad.  Outside of other derivatives y and t are on no tape.
-- R. E. Wengert, "A simple automatic derivative evaluation program", 1964.
function M.jvp(fn, x, v)
  check.callable(1, "jvp", fn)
  return push("jvp", fn, x, given_tangents("jvp", x, v), {})
end

--- The Hessian of f at x times v, without forming it: the gradient, carried forwards.
-- x and v are tensors or nested tables of tensors; f returns a single number.
--     mare.hvp(function(x) return (x ^ 3):sum() end, x, v)     --> 6 x v
-- B. A. Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
function M.hvp(fn, x, v)
  check.callable(1, "hvp", fn)
  local _, t = push("hvp", function(xs)
    local _, g = grad.gradient("hvp", fn, xs)
    return g
  end, x, given_tangents("hvp", x, v), {})
  return t
end

-- -- matrices of derivatives ----------------------------------------------------------------

local CHUNK = 64      -- tangents that go at once

-- the places of a list of tensors in the row of all their elements: offsets, total
local function offsets(list)
  local at, total = {}, 0
  for i, t in ipairs(list) do
    at[i] = total
    total = total + f.numel(t)
  end
  return at, total
end

-- the tangents of the leaves for columns first + 1 .. first + count; false for none
local function unit_tangents(list, at, first, count)
  local tangents = {}
  for i, x in ipairs(list) do
    local from, to = math.max(first, at[i]), math.min(first + count, at[i] + x:numel())
    tangents[i] = false
    if from < to then
      local t = f.zeros({count, x:numel()}, x.dtype)
      local here = {{from - first + 1, to - first}, {from - at[i] + 1, to - at[i]}}
      t[here] = f.eye(to - from, x.dtype)
      tangents[i] = t:reshape(table.move(x.shape, 1, x:dim(), 2, {count}))
    end
  end
  return tangents
end

-- all columns, by forward mode: for each leaf of the result a tensor (n, its size), and
-- the result
local function columns(name, fn, x, list, chunk)
  local at, n = offsets(list)
  local parts, y = {}, nil
  for first = 0, math.max(n - 1, 0), chunk do
    local count = math.min(chunk, n - first)
    local t
    y, t = push(name, fn, x, unit_tangents(list, at, first, count), {count})
    for i, v in ipairs(tree.leaves(t)) do
      parts[i] = parts[i] or {}
      table.insert(parts[i], v:reshape(count, v:numel() // math.max(count, 1)))
    end
  end
  for i, p in ipairs(parts) do parts[i] = #p == 1 and p[1] or ops.cat(p, 1) end
  return parts, y
end

local function joined(a, b)
  return table.move(b, 1, #b, #a + 1, table.move(a, 1, #a, 1, {}))
end

-- J (m, n), the derivatives of y's elements to those of the leaves, in the structure
-- of x: each block has the shape of y and that of its leaf
local function blocks(J, y, x, list)
  local at, made, shape = offsets(list), {}, y.shape
  for i, leaf in ipairs(list) do
    local block = narrow(J, 2, at[i] + 1, f.numel(leaf))
    made[i] = contiguous(reshape(block, joined(shape, leaf.shape)))
  end
  return tree.replace(x, made)
end

-- all rows of one tensor of the result, by one backward for each: J (m, n)
local function rows(y, pull_one, n)
  local m, parts = y:numel(), {}
  if m * n == 0 then return f.zeros({m, n}, y.dtype) end
  for i = 1, m do
    local g = f.zeros({m}, y.dtype)
    g[i] = 1
    local row = {}
    local grads = tree.leaves(pull_one(y, g:reshape(y.shape)))
    for k, gx in ipairs(grads) do row[k] = gx:reshape(-1) end
    parts[i] = #row == 1 and row[1] or ops.cat(row, 1)
  end
  return ops.stack(parts, 1)
end

local known = {chunk = true, mode = true}

local function options(name, opts)
  check.options(3, name, opts, known)
  opts = opts or {}
  local mode = opts.mode
  if mode ~= nil and mode ~= "forward" and mode ~= "reverse" then
    check.argument(3, name, "mode: 'forward' or 'reverse' expected, got %s", check.text(mode))
  end
  return check.count(3, name, opts.chunk or CHUNK, nil, "chunk"), mode
end

local function by_columns(name, fn, x, list, chunk)
  local parts, y = columns(name, fn, x, list, chunk)
  local made = {}
  for i, v in ipairs(tree.leaves(y)) do made[i] = blocks(parts[i]:t(), v, x, list) end
  return tree.replace(y, made)
end

--- The Jacobian of f at x: the shape of f(x) followed by the shape of x.
-- x may be a nested table of tensors; so is the Jacobian then, in the structure of x.
-- Where f returns a table, there is such a Jacobian in the place of each of its tensors.
-- Where x has no more elements than f(x) it is computed forwards, `chunk` (64) columns
-- at once, otherwise backwards, row by row; f runs once more to find that out, unless
-- mode = "forward" or "reverse" says it.
--     mare.jacobian(function(x) return x:t() * 2 end, mare.ones(2, 3)).shape   --> 3 2 2 3
function M.jacobian(fn, x, opts)
  check.callable(1, "jacobian", fn)
  local list = tree.variables(x, "jacobian")
  local chunk, mode = options("jacobian", opts)
  local _, n = offsets(list)
  if mode == "forward" or n == 1 and not mode then
    return by_columns("jacobian", fn, x, list, chunk)
  end
  local y, pull_one = grad.taped("jacobian", fn, x)
  local _, m = offsets(tree.leaves(y))
  local forward = n <= m and n > 0 and not mode
  if forward then return by_columns("jacobian", fn, x, list, chunk) end
  return tree.map(function(v)
    return tree.is_real(v) and blocks(rows(v, pull_one, n), v, x, list) or v
  end, y)
end

--- The matrix of second derivatives of f at x, where f returns a single number: the
-- shape of x twice.  For a nested table of tensors H[a][b] has the shape of x[a]
-- followed by that of x[b].  The gradient is carried forwards, `chunk` (64) columns
-- at once.
--     mare.hessian(function(x) return (x * x):sum() end, mare.ones(2))   --> 2 0, 0 2
function M.hessian(fn, x, opts)
  check.callable(1, "hessian", fn)
  local list = tree.variables(x, "hessian")
  local chunk = options("hessian", opts)
  return by_columns("hessian", function(xs)
    local _, g = grad.gradient("hessian", fn, xs)
    return g
  end, x, list, chunk)
end

--- The gradient of f at x, (n), and its Hessian, (n, n), over all elements of x's leaves
-- in their order; in f64.  name is what the user called.
function M.second_order(name, fn, x)
  local list = tree.variables(x, name)
  local y, g = grad.gradient(name, fn, x)
  local parts = columns(name, function(xs)
    local _, gx = grad.gradient(name, fn, xs)
    return gx
  end, x, list, CHUNK)
  local slope = tree.leaves(g)
  for i, part in ipairs(parts) do
    parts[i], slope[i] = part:to "f64", slope[i]:reshape(-1):to "f64"
  end
  return y:item(), ops.cat(slope, 1), ops.cat(parts, 2):t()
end

return M
