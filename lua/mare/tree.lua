-- tree.lua -- nested tables of tensors: parameters, gradients, tangents.

local core = require "mare.core".functions
local check = require "mare.check"

local is_tensor = core.is_tensor

local M = {}

local function key_before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return ta < tb end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function sorted_keys(v)
  local keys, plain = {}, true
  for k in pairs(v) do
    keys[#keys + 1] = k
    plain = plain and type(k) == "string"
  end
  if plain then table.sort(keys) else table.sort(keys, key_before) end
  return keys
end

--- The keys of a table in the order in which its tensors are taken.
M.keys = sorted_keys

local DEEP = 100     -- tables that nest deeper have a cycle

-- the depth of a table in one that is at `depth`
local function below(depth)
  if depth == DEEP then check.fail("tables nest more than %d deep: one contains itself", DEEP) end
  return depth + 1
end

-- map over one structure, the common case
local function map_one(fn, v, depth)
  if is_tensor(v) then return fn(v) end
  if type(v) ~= "table" then return v end
  local keys, copy = sorted_keys(v), {}
  depth = below(depth)
  for i = 1, #keys do copy[keys[i]] = map_one(fn, v[keys[i]], depth) end
  return copy
end

local function map_along(fn, v, depth, ...)
  if is_tensor(v) then return fn(v, ...) end
  if type(v) ~= "table" then return v end
  local others, copy, inner = table.pack(...), {}, {}
  depth = below(depth)
  for _, k in ipairs(sorted_keys(v)) do
    for i = 1, others.n do
      inner[i] = type(others[i]) == "table" and others[i][k] or nil
    end
    copy[k] = map_along(fn, v[k], depth, table.unpack(inner, 1, others.n))
  end
  return copy
end

--- fn(tensor, ...) over every tensor of a structure, in a fixed order, as the same
-- structure; further structures are walked along.  What is no tensor stays.
function M.map(fn, v, ...)
  if select("#", ...) == 0 then return map_one(fn, v, 0) end
  return map_along(fn, v, 0, ...)
end

--- Is t of a type that can be differentiated by?
function M.is_real(t)
  local dtype = t.dtype
  return dtype == "f32" or dtype == "f64"
end

local is_real = M.is_real

local function add_leaves(list, v, depth)
  if is_tensor(v) then
    if is_real(v) then list[#list + 1] = v end
  elseif type(v) == "table" then
    local keys = sorted_keys(v)
    depth = below(depth)
    for i = 1, #keys do add_leaves(list, v[keys[i]], depth) end
  end
  return list
end

--- The f32 and f64 tensors of a structure, as a list in the order of map.
function M.leaves(v) return add_leaves({}, v, 0) end

--- The structure of v with these in the places of its leaves.
function M.replace(v, list)
  local i = 0
  return M.map(function(t)
    if not M.is_real(t) then return t end
    i = i + 1
    return list[i]
  end, v)
end

--- The leaves of v; an error names the function where there is none.
function M.variables(v, name)
  local list = M.leaves(v)
  if #list == 0 then
    check.fail("'%s': f32 or f64 tensors to differentiate by expected, got %s", name,
      v == nil and "no value" or check.kind(v))
  end
  return list
end

return M
