-- ops.lua -- the registry of operations.
--
-- An element-wise operation is a row of src/ops/ops.def, read here as a table.  A
-- structured one (matmul, sum, gather ...) is a row given to define, below or in a
-- file of its own:
--   name   what it is called
--   kind   "linear" in its first argument, "bilinear" in its first two, or nil;
--          forward mode is derived from it
--   jvp    function (t, y, arguments ...) -> the tangent of y, where t[i] is that of
--          argument i or nil.  A tangent may have further dimensions in front of its
--          argument's: many tangents at once, which the rule carries along
--   fwd    the function, when it is not in C
--   vjp    function (g, y, arguments ...) -> a gradient for each argument, or nil;
--          written with operations, so that it can be differentiated again
--   doc    one sentence
--   cases  a list of functions (sample) -> arguments ..., from which specs are derived
-- Where C has a fused backward too, the derived specs hold the two together.

local core = require "mare.core"
local check = require "mare.check"
local near = require "mare.near"

local M = {
  ops = {},     -- name -> function that records on the tape
  out = {},     -- name -> function that writes into its first argument
  rows = {},    -- name -> row
  by_id = {},   -- what core.functions.node returns -> row
}
local ops, rows = M.ops, M.rows

local function register(row, id)
  rows[row.name] = row
  M.by_id[id] = row
end

--- Adds a structured operation; see the head of this file.
function M.define(row)
  local id = core.ids[row.name]
  row.structured = true
  if id then
    row.call = row.call or core.ops[row.name]
  else
    id = core.functions.define(row.name)
    local record, recorded = core.functions.record, core.functions.recorded
    row.call = function(...) return record((recorded(false, row.fwd, ...)), id, ...) end
  end
  row.id = id
  core.functions.attach(id, row)
  register(row, id)
  if row.call and not row.internal then ops[row.name] = row.call end
  return row.call
end

-- -- element-wise rows ---------------------------------------------------------------

for _, row in ipairs(core.functions.rows()) do
  register(row, row.op)
  ops[row.name] = row.call
  M.out[row.name] = row.into
  if row.kind ~= "compare" and row.name ~= "where" then
    core.methods[row.name .. "_"] = row.inplace
  end
end

-- -- tangents with further dimensions in front -------------------------------------------

local dim_of, size_of = core.functions.dim, core.functions.size

-- how many dimensions t, a tangent of x, has in front of x's
local function extra(t, x) return dim_of(t) - dim_of(x) end

-- the sizes of those dimensions, followed by a shape
local function leading(t, x, shape)
  local sizes, n = {}, extra(t, x)
  for d = 1, n do sizes[d] = size_of(t, d) end
  return table.move(shape, 1, #shape, n + 1, sizes)
end

-- t so that it broadcasts against what x broadcasts with: of this many dimensions
local function padded(t, x, ndim)
  if extra(t, x) == 0 or dim_of(x) >= ndim then return t end
  local shape = x.shape
  for _ = #shape + 1, ndim do table.insert(shape, 1, 1) end
  return t:reshape(leading(t, x, shape))
end

local function plus(a, b)
  if a and b then return a + b end
  return a or b
end

M.extra, M.leading, M.padded, M.plus = extra, leading, padded, plus

-- -- views: what the tape holds is 0-based, as C recorded it ---------------------------

local define = M.define

-- every step-th place of a dimension (0-based, as on the tape)
local function sliced(t, dim, first, length, step)
  local index = {}
  for d = 1, dim do index[d] = {} end
  index[dim + 1] = {first + 1, first + (length - 1) * step + 1, step}
  return length > 0 and t[index] or t:narrow(dim + 1, 1, 0)
end

define { name = "reshape", kind = "linear", doc = "the same elements in another shape",
  vjp = function(g, _, x) return g:reshape(x.shape) end,
  jvp = function(t, y, x) return t[1]:reshape(leading(t[1], x, y.shape)) end,
  cases = {function(sample) return sample(2, 3), {3, 2} end} }
define { name = "transpose", kind = "linear", doc = "two dimensions exchanged",
  vjp = function(g, _, _, d1, d2) return g:transpose(d1 + 1, d2 + 1) end,
  jvp = function(t, _, x, d1, d2)
    local n = extra(t[1], x) + 1
    return t[1]:transpose(d1 + n, d2 + n)
  end,
  cases = {function(sample) return sample(2, 3, 2), 1, 3 end} }
define { name = "permute", kind = "linear", doc = "the dimensions in another order",
  vjp = function(g, _, _, ...)
    local order = {...}
    local inverse = {}
    for i, d in ipairs(order) do inverse[d + 1] = i end
    return g:permute(inverse)
  end,
  jvp = function(t, _, x, ...)
    local order, n = {}, extra(t[1], x)
    for i = 1, n do order[i] = i end
    for i = 1, select("#", ...) do order[n + i] = select(i, ...) + n + 1 end
    return t[1]:permute(order)
  end,
  cases = {function(sample) return sample(2, 3, 2), {3, 1, 2} end} }
define { name = "expand", kind = "linear", doc = "sizes of 1 repeated, without a copy",
  vjp = function(g, _, x) return M.sum_to(g, x.shape) end,
  jvp = function(t, y, x)
    return padded(t[1], x, y:dim()):expand(leading(t[1], x, y.shape))
  end,
  cases = {function(sample) return sample(2, 1, 3), {2, 4, 3} end,
           function(sample) return sample(3), {2, 3} end} }
define { name = "slice", kind = "linear", internal = true,
  doc = "every step-th place of a dimension",
  vjp = function(g, _, x, dim, first, length, step)
    return ops.unslice(g, x.shape[dim + 1], dim, first, length, step)
  end,
  jvp = function(t, _, x, dim, ...) return sliced(t[1], dim + extra(t[1], x), ...) end }
define { name = "unslice", kind = "linear", doc = "zeros with x in a slice of them",
  vjp = function(g, _, _, _, ...) return sliced(g, ...) end,
  jvp = function(t, _, x, size, dim, ...)
    return ops.unslice(t[1], size, dim + extra(t[1], x), ...)
  end }
define { name = "select", kind = "linear", doc = "one place of a dimension, which goes",
  vjp = function(g, _, x, dim, index)
    return ops.unslice(g:unsqueeze(dim + 1), x.shape[dim + 1], dim, index, 1, 1)
  end,
  jvp = function(t, _, x, dim, index)
    return t[1]:select(dim + extra(t[1], x) + 1, index + 1)
  end,
  cases = {function(sample) return sample(2, 3, 2), 2, 3 end} }

for _, name in ipairs {"narrow", "t", "flatten", "squeeze", "unsqueeze"} do
  ops[name] = core.ops[name]      -- recorded as one of the above
end

local function same(g) return g end

-- what does not look at dimensions takes many tangents as it takes one
local function itself(name)
  return function(t, _, _, ...) return ops[name](t[1], ...) end
end

define { name = "clone", kind = "linear", doc = "a copy", vjp = same, jvp = itself "clone",
  cases = {function(sample) return sample(2, 3) end} }
define { name = "contiguous", kind = "linear", doc = "itself, or a copy without gaps", vjp = same,
  jvp = itself "contiguous" }
define { name = "to", kind = "linear", doc = "the elements in another type",
  vjp = function(g, _, x) return g:to(x.dtype) end, jvp = itself "to" }

-- -- products --------------------------------------------------------------------------

-- a vector as the row or the column that it stands for
local function matrices(a, b)
  return #a.shape == 1 and a:unsqueeze(1) or a, #b.shape == 1 and b:unsqueeze(2) or b
end

local function swapped(x) return x:transpose(-1, -2) end

define { name = "matmul", kind = "bilinear", doc = "matrix product; vectors, matrices, batches",
  vjp = function(g, _, a, b)
    local ma, mb = matrices(a, b)
    if #b.shape == 1 then g = g:unsqueeze(-1) end
    if #a.shape == 1 then g = g:unsqueeze(-2) end
    local ga = M.sum_to(ops.matmul(g, swapped(mb)), ma.shape):reshape(a.shape)
    return ga, M.sum_to(ops.matmul(swapped(ma), g), mb.shape):reshape(b.shape)
  end,
  jvp = function(t, y, a, b)
    if dim_of(a) == 2 and dim_of(b) == 2 then
      return plus(t[1] and ops.matmul(t[1], b), t[2] and ops.matmul(a, t[2]))
    end
    local ma, mb = matrices(a, b)
    local ndim = math.max(ma:dim(), mb:dim())
    -- a product with t, the tangent of v, in the place of m
    local function part(v, m, t_v, multiply)
      local tm = padded(t_v:reshape(leading(t_v, v, m.shape)), m, ndim)
      return multiply(tm):reshape(leading(t_v, v, y.shape))
    end
    return plus(
      t[1] and part(a, ma, t[1], function(ta) return ops.matmul(ta, mb) end),
      t[2] and part(b, mb, t[2], function(tb) return ops.matmul(ma, tb) end))
  end,
  cases = {
    function(sample) return sample(2, 3), sample(3, 4) end,
    function(sample) return sample(3), sample(3) end,
    function(sample) return sample(3), sample(3, 2) end,
    function(sample) return sample(2, 3), sample(3) end,
    function(sample) return sample(2, 3, 2), sample(2, 2, 3) end,
    function(sample) return sample(2, 3, 2), sample(2, 3) end,
    function(sample) return sample(2, 1, 3, 2), sample(3, 2, 2) end,
    function(sample) return sample(3), sample(2, 3, 2) end,
  } }

define { name = "linear", doc = "x w' + bias, with w (out, in) and bias (out) or none",
  vjp = function(g, _, x, w, bias)
    local rows_g, rows_x = g, x
    if dim_of(x) ~= 2 then
      rows_g, rows_x = g:reshape(-1, size_of(g, -1)), x:reshape(-1, size_of(x, -1))
    end
    return ops.matmul(g, w), ops.matmul(rows_g:t(), rows_x),
      bias and M.sum_to(rows_g, bias.shape)
  end,
  jvp = function(t, y, x, w, bias)
    local from_w, from_bias
    if t[2] then
      local columns = swapped(t[2])
      from_w = ops.matmul(x:dim() == 2 and x or x:reshape(-1, x:size(-1)), columns)
      if x:dim() ~= 2 then from_w = from_w:reshape(leading(t[2], w, y.shape)) end
    end
    if t[3] then
      from_bias = padded(t[3], bias, y:dim()):expand(leading(t[3], bias, y.shape))
    end
    return plus(plus(t[1] and ops.linear(t[1], w), from_w), from_bias)
  end,
  cases = {
    function(sample) return sample(4, 3), sample(2, 3), sample(2) end,
    function(sample) return sample(4, 3), sample(2, 3) end,
    function(sample) return sample(2, 4, 3), sample(5, 3), sample(5) end,
    function(sample) return sample(3), sample(2, 3), sample(2) end,
  } }

local function check_vectors(name, a, b)
  check.tensor(1, name, a)
  check.tensor(2, name, b)
  if #a.shape ~= 1 or #b.shape ~= 1 then
    check.fail("'%s' takes two vectors, not shapes %s and %s", name, check.shape(a),
      check.shape(b))
  end
end

--- a:dot(b): the sum of the products of two vectors of one size.
function ops.dot(a, b)
  check_vectors("dot", a, b)
  if #a ~= #b then check.argument(2, "dot", "sizes %d and %d differ", #a, #b) end
  check.real(1, "dot", a)
  if a.dtype ~= b.dtype then
    check.argument(2, "dot", "element types %s and %s do not mix; convert one with :to", a.dtype,
      b.dtype)
  end
  return ops.matmul(a, b)
end

--- a:outer(b): the matrix of all products of two vectors' elements.
function ops.outer(a, b)
  check_vectors("outer", a, b)
  if a.dtype ~= b.dtype then
    check.argument(2, "outer", "element types %s and %s do not mix; convert one with :to", a.dtype,
      b.dtype)
  end
  return a:unsqueeze(2) * b:unsqueeze(1)
end

-- -- joining and splitting ----------------------------------------------------------------

define { name = "cat", kind = nil, doc = "tensors side by side along a dimension",
  vjp = function(g, _, ...)
    local n = select("#", ...) - 1
    local dim, before, grads = select(n + 1, ...) + 1, 0, {}
    for i = 1, n do
      local size = (select(i, ...)).shape[dim]
      grads[i] = g:narrow(dim, before + 1, size)
      before = before + size
    end
    return table.unpack(grads, 1, n)
  end,
  jvp = function(t, _, ...)
    local n, parts, some, of = select("#", ...) - 1, {}, nil, nil
    for i = 1, n do
      if t[i] then some, of = t[i], (select(i, ...)) end
    end
    for i = 1, n do
      local x = select(i, ...)
      parts[i] = t[i] or core.functions.zeros(leading(some, of, x.shape), x.dtype)
    end
    return ops.cat(parts, select(n + 1, ...) + 1 + extra(some, of))
  end,
  cases = {
    function(sample) return {sample(2, 3), sample(1, 3)}, 1 end,
    function(sample) return {sample(2, 3), sample(2, 1), sample(2, 2)}, 2 end,
  } }

local function check_entry(list, i)
  local kind = check.kind(list[i])
  if not core.functions.is_tensor(list[i]) or kind == "closed tensor" then
    check.argument(1, "stack", "entry %d is a %s", i, kind)
  elseif check.shape(list[i]) ~= check.shape(list[1]) then
    check.argument(1, "stack", "entry 1 has shape %s and entry %d has shape %s",
      check.shape(list[1]), i, check.shape(list[i]))
  end
end

-- cat takes up to 4,096 tensors in a call; more of them are joined in parts.
local most = 4096
local function joined(parts, dim)
  if #parts <= most then return ops.cat(parts, dim) end
  local joins = {}
  for i = 1, #parts, most do
    local part = table.move(parts, i, math.min(i + most - 1, #parts), 1, {})
    joins[#joins + 1] = ops.cat(part, dim)
  end
  return joined(joins, dim)
end

--- mare.stack({a, b, ...}, dim): tensors of one shape along a new dimension (1).
function ops.stack(list, dim)
  if type(list) ~= "table" or #list == 0 then
    check.argument(1, "stack", "table of tensors expected, got %s",
      type(list) == "table" and "an empty one" or check.kind(list))
  end
  local parts = {}
  for i = 1, #list do
    check_entry(list, i)
    dim = check.dimension(2, "stack", dim or 1, #list[1].shape + 1)
    parts[i] = list[i]:unsqueeze(dim)
  end
  return joined(parts, dim)
end

--- x:split(n, dim): a list of parts of n places along dim (1); the last may be smaller.
function ops.split(x, n, dim)
  check.tensor(1, "split", x)
  check.count(2, "split", n, 1)
  dim = check.dimension(3, "split", dim or 1, #x.shape)
  local size, parts = x.shape[dim], {}
  for first = 1, size, n do
    parts[#parts + 1] = x:narrow(dim, first, math.min(n, size - first + 1))
  end
  return parts
end

--- x:chunk(n, dim): the same in n parts of one size, as far as it goes.
function ops.chunk(x, n, dim)
  check.tensor(1, "chunk", x)
  check.count(2, "chunk", n, 1)
  dim = check.dimension(3, "chunk", dim or 1, #x.shape)
  return ops.split(x, math.max(1, -(-x.shape[dim] // n)), dim)
end

-- -- undoing a broadcast -----------------------------------------------------------------

--- g summed over the dimensions along which this shape was broadcast.
function M.sum_to(g, shape)
  local from, dims = g.shape, {}
  local before = #from - #shape
  for d = 1, #from do
    if d <= before or (shape[d - before] == 1 and from[d] ~= 1) then dims[#dims + 1] = d end
  end
  if #dims > 0 then g = g:sum(dims, true) end
  return before > 0 and g:reshape(shape) or g
end

-- -- derivatives of element-wise rows, from their text ------------------------------------

local current = "f32"      -- the element type of the formula that runs

local env = setmetatable({R = function(k) return k end, INFINITY = math.huge},
  {__index = function(_, name) return ops[name] end})

local is_tensor = core.functions.is_tensor

-- numbers stay numbers; two numbers under a mask need the type of what they meet
function env.where(mask, a, b)
  if not is_tensor(mask) then
    if mask ~= 0 then return a else return b end
  end
  if not is_tensor(a) and not is_tensor(b) then a = core.functions.full({}, a, current) end
  return ops.where(mask, a, b)
end

local function compile(row, text)
  local names = {"y", table.unpack(row.args)}
  for _, name in ipairs(row.params) do names[#names + 1] = name end
  local code = ("local %s = ...; return %s"):format(table.concat(names, ", "), text)
  return assert(load(code, "=ops.def:" .. row.name, "t", env))
end

--- The derivative of a row to its argument i as a function (y, arguments ...).
function M.derivative(row, i)
  row.compiled = row.compiled or {}
  if not row.compiled[i] then row.compiled[i] = compile(row, row.derivatives[i]) end
  return function(y, ...)
    current = y.dtype
    return row.compiled[i](y, ...)
  end
end

--- A row's formula as a Lua function of tensors or numbers.
function M.formula(row)
  local f = compile(row, row.formula)
  return function(...)
    local first = ...
    current = is_tensor(first) and first.dtype or "f64"
    return f(nil, ...)
  end
end

--- The gradient of a row to its argument i, in the shape of that argument.
function M.elementwise_vjp(row, i, g, y, ...)
  local text = row.derivatives[i]
  if text == "-1" then g = -g elseif text ~= "1" then g = g * M.derivative(row, i)(y, ...) end
  return M.sum_to(g, (select(i, ...)).shape)
end

-- -- the other structured operations --------------------------------------------------------

for _, part in ipairs {"reduce", "index", "activation", "conv"} do
  require("mare.ops_" .. part)(M)
end

-- -- methods and operators ---------------------------------------------------------------------

local methods, meta = core.methods, core.metatable

for name, f in pairs(ops) do methods[name] = f end
for _, name in ipairs {
  "close", "size", "dim", "numel", "stride", "isview", "isclosed", "iscontiguous",
  "requires_grad", "detach", "is_leaf", "zero_grad", "item", "totable", "tobytes",
  "copy_", "fill_", "zero_", "uniform_", "normal_", "bernoulli_",
} do
  methods[name] = core.functions[name]
end

for event, name in pairs {
  __add = "add", __sub = "sub", __mul = "mul", __div = "div", __pow = "pow", __unm = "neg",
  __mod = "mod", __idiv = "idiv",
} do
  meta[event] = ops[name]
end
meta.__len = core.functions.len
meta.__tostring = function(t) return require "mare.print" (t) end

local function unordered()
  check.fail("tensors are not compared by < and >: x:lt(y), x:gt(y) ... give masks, x:item() " ..
    "the number of a tensor that has one")
end
meta.__lt, meta.__le = unordered, unordered

function meta.__concat()
  check.fail("a tensor is not joined by ..: x:item() is the number of a tensor that has one, " ..
    "tostring(x) its text")
end

-- the words of other libraries
local elsewhere = {
  view = "reshape", T = "t", mm = "matmul", bmm = "matmul", numpy = "totable",
  tolist = "totable", type = "to", astype = "to", float = "to", double = "to", long = "to",
  ndim = "dim", copy = "clone",
}

-- Ends the message for a field that a tensor has not.
local function meant(name)
  local names = { "shape", "dtype", "grad", "is_tracked" }
  for method in pairs(methods) do names[#names + 1] = method end
  table.sort(names)
  local found = elsewhere[name] or near.nearest(name, names)
  return found and ("; did you mean '%s'?"):format(found) or ""
end
setmetatable(methods, { __meant = meant })

-- what scopes close needs no finalizer; no other difference is to be seen
for event, f in pairs(meta) do
  if event ~= "__gc" then core.nested[event] = f end
end
core.nested.__metatable = meta

function methods.backward(y, options)     -- no tail calls: errors look for this function
  if options == nil then core.functions.backward(y)
  else require "mare.grad".backward(y, options) end
end

function methods.on_gradient(x, f)
  local off = require "mare.grad".on_gradient(x, f)
  return off
end

return M
