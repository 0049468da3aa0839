-- problem.lua -- what is minimized, seen as a function of one flat vector: the user's
-- x0 (a number, a tensor, or nested tables of them) is packed into it and unpacked
-- again for every call of the user's function.

local core = require "mare.core".functions
local check = require "mare.check"

local is_tensor, backward_to, recorded = core.is_tensor, core.backward_to, core.recorded

local M = {}

local Problem = {}
Problem.__index = Problem

-- -- the structure of x0 ---------------------------------------------------------------

local function sorted_keys(v)
  local keys = {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    local ta, tb = type(a), type(b)
    if ta ~= tb then return ta < tb end
    if ta == "number" or ta == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

-- how a part of x0 is called in messages: x0, x0.w, x0[1]
local function inner(where, k)
  return where .. (type(k) == "string" and "." .. k or ("[%s]"):format(tostring(k)))
end

local function add_leaf(p, v, where)
  local number = not is_tensor(v)
  if not number and (v:isclosed() or v.dtype ~= "f32" and v.dtype ~= "f64") then
    check.argument(2, p.name, "%s is a %s; f32 or f64 expected", where, check.kind(v))
  end
  local leaf = {
    index = #p.leaves + 1, first = p.n + 1, number = number, value = v,
    shape = number and {} or v.shape, dtype = not number and v.dtype or nil,
    count = number and 1 or v:numel(), where = where,
  }
  p.leaves[leaf.index] = leaf
  p.n = p.n + leaf.count
  return leaf
end

-- The structure of v with leaves for its tensors and numbers.
local function outline(p, v, where, depth)
  if is_tensor(v) or type(v) == "number" then return add_leaf(p, v, where) end
  if type(v) ~= "table" or getmetatable(v) then
    check.argument(2, p.name, "%s is a %s; a number, a tensor or a table of them expected",
      where, v == nil and "nil" or type(v))
  end
  if depth > 100 then check.argument(2, p.name, "x0 nests too deep: a table contains itself") end
  local branch = { keys = sorted_keys(v) }
  if #branch.keys == 0 then check.argument(2, p.name, "%s is an empty table", where) end
  for _, k in ipairs(branch.keys) do branch[k] = outline(p, v[k], inner(where, k), depth + 1) end
  return { branch = branch }
end

-- The structure again, with make(leaf) in the place of each leaf.
local function build(node, make)
  if not node.branch then return make(node) end
  local copy = {}
  for _, k in ipairs(node.branch.keys) do copy[k] = build(node.branch[k], make) end
  return copy
end

-- visit(leaf, part) for each leaf and what v, of the same structure, has there.
local function each(node, v, where, complain, visit)
  if not node.branch then return visit(node, v, where) end
  if type(v) ~= "table" or is_tensor(v) then
    complain(("%s is a %s where x0 has a table"):format(where, check.kind(v)))
  end
  for _, k in ipairs(node.branch.keys) do
    each(node.branch[k], v[k], inner(where, k), complain, visit)
  end
end

-- f64 as soon as one part is, and where there are only numbers
local function flat_type(leaves)
  local single = false
  for _, leaf in ipairs(leaves) do
    if leaf.dtype == "f64" then return "f64" end
    single = single or leaf.dtype == "f32"
  end
  return single and "f32" or "f64"
end

--- f as a function of one vector.  name is what errors call the minimizer; with
-- vectorized, f takes many points at once, as rows of a tensor.
function M.new(name, f, x0, vectorized)
  check.callable(1, name, f)
  local p = setmetatable({ name = name, f = f, n = 0, leaves = {} }, Problem)
  p.root = outline(p, x0, "x0", 0)
  if p.n == 0 then check.argument(2, name, "x0 has no elements") end
  p.dtype = flat_type(p.leaves)
  if vectorized and (#p.leaves > 1 or p.root.branch) then
    check.argument(2, name, "vectorized: x0 is to be one tensor or number")
  end
  p.vectorized = vectorized
  p.x0 = core.empty({ p.n }, p.dtype)
  for _, leaf in ipairs(p.leaves) do
    local part = p:part(p.x0, leaf)
    if leaf.number then part:fill_(leaf.value) else part:copy_(leaf.value:detach()) end
    leaf.value, leaf.dtype = nil, leaf.dtype or p.dtype
  end
  if not M.finite(p.x0) then check.argument(2, name, "x0 holds nan or inf") end
  return p
end

--- Is every element of x a finite number?
function M.finite(x) return (x * 0):sum():item() == 0 end

-- -- packing and unpacking -------------------------------------------------------------

--- The part of the flat vector x that belongs to a leaf, in the leaf's shape: a view.
function Problem:part(x, leaf)      -- luacheck: no self
  return x:narrow(1, leaf.first, leaf.count):reshape(leaf.shape)
end

-- A copy of a leaf's part in its own type.
local function unpacked(self, x, leaf)
  local part = self:part(x, leaf)
  return leaf.dtype == self.dtype and part:clone() or part:to(leaf.dtype)
end

--- The user's structure with the values of x: numbers where x0 has numbers.
function Problem:unpack(x)
  return build(self.root, function(leaf)
    if leaf.number then return x[leaf.first]:item() end
    return unpacked(self, x, leaf)
  end)
end

--- Views of x as a list of tensors, one for each leaf.
function Problem:parts(x)
  local list = {}
  for i, leaf in ipairs(self.leaves) do list[i] = self:part(x, leaf) end
  return list
end

--- The structure with views of x in it, on which f can be differentiated to x.
function Problem:recorded(x)
  return build(self.root, function(leaf)
    local part = self:part(x, leaf)
    return leaf.dtype == self.dtype and part or part:to(leaf.dtype)
  end)
end

-- -- values and gradients --------------------------------------------------------------

local function is_callable_result(y) return type(y) == "number" or is_tensor(y) end

local function scalar(self, y)
  if not is_callable_result(y) then
    check.fail("the function given to '%s' returned a %s, not a number", self.name,
      y == nil and "nil" or type(y))
  elseif type(y) == "number" then
    return y + 0.0
  elseif y:numel() ~= 1 then
    check.fail("the function given to '%s' returned shape %s, not a single number", self.name,
      check.shape(y))
  end
  return y:item() + 0.0
end

--- f at the flat vector x.
function Problem:value(x)
  if self.vectorized then return self:values(x:reshape(1, self.n))[1] end
  return scalar(self, (self.f(build(self.root, function(leaf)
    return unpacked(self, x, leaf)
  end))))
end

-- f at all rows of X by one call of the user's function
local function together(self, X)
  local k, leaf = X.shape[1], self.leaves[1]
  local y = self.f(X:reshape(k, table.unpack(leaf.shape)):to(leaf.dtype))
  if not is_tensor(y) or y:numel() ~= k then
    check.fail("the function given to '%s' is vectorized: %d values expected for %d points, got %s",
      self.name, k, k, is_tensor(y) and "shape " .. check.shape(y) or type(y))
  end
  local list = y:detach():reshape(k):totable()
  for i = 1, k do list[i] = list[i] + 0.0 end
  return list
end

--- f at each row of X, (k, n): a list of k numbers.
function Problem:values(X)
  if self.vectorized then return together(self, X) end
  local list = {}
  for i = 1, X.shape[1] do list[i] = self:value(X[i]) end
  return list
end

-- the gradient that the user returned himself, into the flat g
local function take_given(self, given, g)
  local function complain(message)
    check.fail("the gradient returned by the function given to '%s': %s", self.name, message)
  end
  each(self.root, given, "gradient", complain, function(leaf, v, where)
    local part = self:part(g, leaf)
    if type(v) == "number" and leaf.count == 1 then
      part:fill_(v)
    elseif is_tensor(v) and check.shape(v) == check.shape(leaf.shape) then
      part:copy_(v:detach())
    else
      complain(("%s of %s expected, got %s"):format(where,
        leaf.number and "a number" or "shape " .. check.shape(leaf.shape),
        is_tensor(v) and "shape " .. check.shape(v) or type(v)))
    end
  end)
end

local function take_grads(self, y, variables, g)
  if type(y) == "number" then
    check.fail("the function given to '%s' returned a number without its gradient: return %s",
      self.name, "a tensor, or value and gradient, or take a method without gradients "
      .. "(nelder_mead, cma_es)")
  elseif not y.is_tracked then
    check.fail("the function given to '%s' returned a tensor that was not computed from its %s",
      self.name, "argument by recorded operations")
  end
  local grads = backward_to(y, nil, false, variables)
  for i, leaf in ipairs(self.leaves) do
    local part = self:part(g, leaf)
    if grads[i] then part:copy_(grads[i]) else part:zero_() end
  end
end

-- f with variables for x: what it returned, and the variables
local function record(self, x)
  local variables = {}
  local argument = build(self.root, function(leaf)
    local v = unpacked(self, x, leaf):requires_grad()
    variables[leaf.index] = v
    return self.vectorized and v:reshape(1, table.unpack(leaf.shape)) or v
  end)
  return variables, self.f(argument)
end

--- f as a function of the flat vector that can be differentiated again.
function Problem:on_tape()
  return function(x) return self.f(self:recorded(x)):reshape() end
end

--- Does f give a gradient at x?  Costs a call of f.
function Problem:differentiable(x)
  local _, y, given = recorded(true, record, self, x)
  return given ~= nil or is_tensor(y) and y:numel() == 1 and y.is_tracked
end

local function gradient(self, x, g)
  local variables, y, given = record(self, x)
  local value = scalar(self, y)
  if given ~= nil then
    self.given = true
    take_given(self, given, g)
  else
    take_grads(self, y, variables, g)
  end
  return value
end

--- f at x; its gradient goes into g.
function Problem:gradient(x, g) return recorded(true, gradient, self, x, g) end

-- -- boxes -----------------------------------------------------------------------------

-- one side of a box, into the flat vector side
local function take_side(self, v, side, where, position)
  local function complain(message) check.argument(position, self.name, "%s", message) end
  if type(v) == "number" then return side:fill_(v) end
  each(self.root, v, where, complain, function(leaf, part, name)
    local to = self:part(side, leaf)
    if type(part) == "table" and not is_tensor(part) and #leaf.shape > 0 then
      part = core.tensor(part, self.dtype)
    end
    if type(part) == "number" then
      to:fill_(part)
    elseif is_tensor(part) and check.shape(part) == check.shape(leaf.shape) then
      to:copy_(part:detach())
    else
      complain(("%s: a number or shape %s expected, got %s"):format(name,
        check.shape(leaf.shape),
        is_tensor(part) and "shape " .. check.shape(part) or check.kind(part)))
    end
  end)
end

--- A box { low, high } given as an option: each side a number for all elements, or of
-- the structure of x0.  Returns two flat vectors, or nothing for nil.
function Problem:box(v, option, finite, position)
  if v == nil then return nil end
  position = position or 3
  if type(v) ~= "table" or is_tensor(v) or v[1] == nil or v[2] == nil then
    check.argument(position, self.name, "%s: { low, high } expected, got %s", option,
      type(v) == "table" and "a table without them" or check.kind(v))
  end
  local lo, hi = core.empty({ self.n }, self.dtype), core.empty({ self.n }, self.dtype)
  take_side(self, v[1], lo, option .. "[1]", position)
  take_side(self, v[2], hi, option .. "[2]", position)
  if lo:lt(hi):all():item() == 0 then
    check.argument(position, self.name, "%s: low is not below high everywhere", option)
  elseif finite and not (M.finite(lo) and M.finite(hi)) then
    check.argument(position, self.name, "%s: finite numbers expected", option)
  end
  return lo, hi
end

return M
