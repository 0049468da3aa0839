-- ops_spec.lua -- every row of ops.def against differences, against its own text, against
-- values from textbook definitions, and against itself in other layouts, element types,
-- lengths and instruction sets.
--
-- No row is named here: a new one is tested because it is there, and fails until
-- spec/fixtures/ops_reference.py knows its values.  MARE_ROW=name tests one row.

local mare = require "mare"
local core = require "mare.core"
local registry = require "mare.ops"
local gradients = require "mare.grad".gradients
local support = require "spec.support"
local reference = require "spec.fixtures.ops_reference"

local flat, near, same, demand = support.flat, support.near, support.same, support.demand
local unpack = table.unpack
local only = os.getenv "MARE_ROW"

local list = {}     -- the rows, in order
for _, row in pairs(registry.rows) do
  if not row.structured and (only == nil or only == row.name) then list[#list + 1] = row end
end
table.sort(list, function(a, b) return a.name < b.name end)

-- -- what rows are like ------------------------------------------------------------------

local function is_mask(row, i) return row.args[i] == "mask" end

local function has_gradient(row)
  for i = 1, #row.args do if row.derivatives[i] then return true end end
  return false
end

local function parameter_sets(row)
  if #row.params == 0 then return {{}} end
  local other = {}
  for i, v in ipairs(row.defaults) do
    other[i] = math.abs(v) == math.huge and (v > 0 and 0.7 or -0.7) or 0.7 * v + 0.1
  end
  return {row.defaults, other}
end

-- fn(arguments, parameters) -> the values of the kink expressions
local function kinks_of(row)
  local names = {unpack(row.args)}
  for _, name in ipairs(row.params) do names[#names + 1] = name end
  local env = setmetatable({R = function(k) return k end}, {__index = math})
  local f = assert(load(("local %s = ...; return {%s}"):format(table.concat(names, ", "),
    row.kinks), row.name, "t", env))
  return function(args, params)
    local all = {unpack(args)}
    for _, v in ipairs(params) do all[#all + 1] = v end
    return f(unpack(all))
  end
end

-- -- points --------------------------------------------------------------------------------

local function draw(row, random)
  local args = {}
  for i = 1, #row.args do
    local v = random(row.lo, row.hi)
    if is_mask(row, i) or row.kind == "logical" then v = math.floor(random(0, 2.999)) end
    if row.kind == "compare" then v = math.floor(2 * v) / 2 end
    args[i] = v
  end
  return args
end

-- a point with all finite kinks at least this far, and one of them on a side and near
local function draw_at(row, params, random, kinks, away, index, side)
  for _ = 1, 20000 do
    local args = draw(row, random)
    local k, fits = kinks(args, params), true
    for i = 1, #k do
      if i == index then fits = fits and k[i] * side > 1e-3 and k[i] * side < 0.1
      else fits = fits and math.abs(k[i]) > away end
    end
    if fits then return args end
  end
  error(("no point of %s beside kink %s"):format(row.name, tostring(index)))
end

-- columns of arguments: points away from the kinks, and two on each side of each
local function columns(row, params, seed)
  local random, kinks = support.sequence(seed or 1), kinks_of(row)
  local points = {}
  for i = 1, 13 do points[i] = draw_at(row, params, random, kinks, 0.02) end
  for index, k in ipairs(kinks(points[1], params)) do
    for copy = 1, math.abs(k) < math.huge and 4 or 0 do
      points[#points + 1] =
        draw_at(row, params, random, kinks, 1e-3, index, copy % 2 == 0 and 1 or -1)
    end
  end
  local cols = {}
  for i = 1, #row.args do
    cols[i] = {}
    for n, args in ipairs(points) do cols[i][n] = args[i] end
  end
  return cols, #points
end

local function numbers(n, seed, lo, hi)
  local random, t = support.sequence(seed), {}
  for i = 1, n do t[i] = random(lo or 0.5, hi or 1.5) end
  return t
end

local function type_of(row, i, dtype)
  return (is_mask(row, i) or row.kind == "logical") and "u8" or dtype
end

local function operands(row, cols, dtype, shape)
  local args = {}
  for i = 1, #row.args do args[i] = support.tensor(cols[i], type_of(row, i, dtype), shape) end
  return args
end

-- -- calling a row -----------------------------------------------------------------------------

local function with(args, params)
  local all = {unpack(args)}
  for _, v in ipairs(params) do all[#all + 1] = v end
  return all
end

local function call(row, args, params) return row.call(unpack(with(args, params))) end

-- variables of the arguments that have a derivative, the others as they are
local function variables(row, args)
  local vars = {}
  for i, a in ipairs(args) do
    vars[i] = row.derivatives[i] and mare.is_tensor(a) and a:detach():requires_grad() or a
  end
  return vars
end

-- the result and the gradients from the fused kernels
local function fused(row, args, params, seed)
  local vars = variables(row, args)
  local y = call(row, vars, params)
  y:backward(seed)
  local grads = {}
  for i = 1, #vars do
    if row.derivatives[i] and mare.is_tensor(vars[i]) then grads[i] = vars[i].grad end
  end
  return y:detach(), grads
end

local checked = {}      -- name -> how many tests have looked at the row

-- one test for each row (that passes a filter) and each set of parameters
local function each(title, filter, test)
  for _, row in ipairs(list) do
    if not filter or filter(row) then
      it(row.name .. ": " .. title, function()
        for _, params in ipairs(parameter_sets(row)) do test(row, params) end
        checked[row.name] = (checked[row.name] or 0) + 1
      end)
    end
  end
end

-- -- values -------------------------------------------------------------------------------------

describe("value", function()
  local LARGEST = 3.4028234663852886e38

  local function representable(x)
    for _, v in ipairs(x) do
      if math.abs(v) > LARGEST and math.abs(v) < math.huge then return false end
    end
    return true
  end

  -- relative: small values count as much as large ones
  local function agree(got, want, tolerance, floor, what, point)
    if got == want or (got ~= got and want ~= want) then return end
    demand(math.abs(got - want) <= tolerance * math.abs(want) + floor,
      "%s at %s (%s) is %.17g, expected %.17g", what, table.concat(point.x, ", "),
      table.concat(point.p or {}, ", "), got, want)
  end

  -- where small arguments may cancel; otherwise small values count too
  local function floor_of(x, eps, least)
    local largest = 0
    for _, v in ipairs(x) do largest = math.max(largest, math.abs(v)) end
    return largest < 1 and eps * largest or least
  end

  local function check_point(row, point, dtype, tolerance, eps, least)
    local cols = {}
    for i, v in ipairs(point.x) do cols[i] = {v} end
    local args = operands(row, cols, dtype)
    local y = call(row, args, point.p or {})
    local function as(v)
      return dtype == "f32" and math.abs(v) > LARGEST and math.huge * v or v
    end
    agree(flat(y)[1], as(point.y), tolerance, floor_of(point.x, eps, least), dtype .. " value",
      point)
    if not point.d or not has_gradient(row) then return end
    local _, grads = fused(row, args, point.p or {}, mare.ones({1}, dtype))
    local n = 0
    for i = 1, #row.args do
      if row.derivatives[i] then
        n = n + 1
        agree(flat(grads[i])[1], as(point.d[n]), 10 * tolerance, 4 * eps,
          ("%s derivative to %s"):format(dtype, row.args[i]), point)
      end
    end
  end

  for _, row in ipairs(list) do
    it(row.name .. ": as defined, in both element types", function()
      local points = reference.reals[row.name]
      demand(points and #points >= 3, "no reference values")
      for _, point in ipairs(points) do
        check_point(row, point, "f64", 1e-13, 2^-52, 1e-300)
        if representable(point.x) then check_point(row, point, "f32", 2e-6, 2^-23, 1e-37) end
      end
      checked[row.name] = (checked[row.name] or 0) + 1
    end)
  end

  each("of plain numbers too", nil, function(row, params)
    local cols, n = columns(row, params)
    local y = flat(call(row, operands(row, cols, "f64"), params))
    for k = 1, n do
      local args = {}
      for i = 1, #row.args do
        args[i] = type_of(row, i, "f64") == "u8" and math.tointeger(cols[i][k]) or cols[i][k]
      end
      local got = call(row, args, params)
      demand(got == y[k], "%.17g of numbers, %.17g of a tensor", got, y[k])
    end
  end)

  each("from its text", function(row) return row.kind ~= "logical" end, function(row, params)
    local args = operands(row, (columns(row, params)), "f64")
    local y = registry.formula(row)(unpack(with(args, params)))
    same(flat(y), flat(call(row, args, params)), 1e-14, row.formula)
  end)

  local function is_arith(row) return row.kind == "arith" end

  each("of integers", is_arith, function(row)
    local points = reference.integers[row.name]
    demand(points, "no reference values for integers")
    local cols, want = {}, {}
    for k, point in ipairs(points) do
      for i = 1, #row.args do
        cols[i] = cols[i] or {}
        cols[i][k] = point[i]
      end
      want[k] = point[#row.args + 1]
    end
    local args = operands(row, cols, "i64")
    local y = call(row, args, {})
    demand(y.dtype == "i64", "a result of type %s", y.dtype)
    same(flat(y), want, 0, "i64")
    for k = 1, #want do     -- a number beside a tensor
      local some = {}
      for i = 1, #args do some[i] = i == #args and args[i] or cols[i][k] end
      demand(flat(call(row, some, {}))[k] == want[k], "i64 with numbers, point %d", k)
    end
  end)

  local truth = {
    eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end,
    lt = function(a, b) return a < b end, le = function(a, b) return a <= b end,
    gt = function(a, b) return a > b end, ge = function(a, b) return a >= b end,
  }

  local function is_comparison(row) return row.kind == "compare" end

  each("of every element type", is_comparison, function(row)
    local values = {
      f32 = {0, -0.0, 1.5, -2, math.huge, -math.huge, 0/0},
      f64 = {0, -0.0, 1 + 2^-52, 1, math.huge, -math.huge, 0/0},
      i64 = {0, 1, -1, 2^53 | 0, (2^53 | 0) + 1, math.maxinteger, math.mininteger},
      u8 = {0, 1, 2, 127, 128, 254, 255},
    }
    for dtype, v in pairs(values) do
      local n, a, b, want = #v, {}, {}, {}
      for i = 1, n * n do
        a[i], b[i] = v[(i - 1) // n + 1], v[(i - 1) % n + 1]
        want[i] = truth[row.name](a[i], b[i]) and 1 or 0
      end
      local y = row.call(mare.tensor(a, dtype), mare.tensor(b, dtype))
      demand(y.dtype == "u8", "a result of type %s", y.dtype)
      same(flat(y), want, 0, dtype)
    end
  end)
end)

-- -- derivatives ----------------------------------------------------------------------------------

-- (f(x_i + eps) - f(x_i - eps)) / 2 eps for each element; f(columns) -> list
local function differences(f, cols, i, eps)
  local function at(delta)
    local moved = {unpack(cols)}
    moved[i] = {}
    for k, v in ipairs(cols[i]) do moved[i][k] = v + delta end
    return f(moved)
  end
  local up, down, d = at(eps), at(-eps), {}
  for k = 1, #up do d[k] = (up[k] - down[k]) / (2 * eps) end
  return d
end

local function product(a, b)
  local t = {}
  for k = 1, #a do t[k] = a[k] * b[k] end
  return t
end

describe("derivative", function()
  each("fused kernel against differences", has_gradient, function(row, params)
    local cols, n = columns(row, params)
    local seed = numbers(n, 5)
    local _, grads = fused(row, operands(row, cols, "f64"), params, mare.tensor(seed, "f64"))
    local function value(c) return flat(call(row, operands(row, c, "f64"), params)) end
    for i, g in pairs(grads) do
      same(flat(g), product(seed, differences(value, cols, i, 1e-6)), 1e-7,
        "gradient of " .. row.args[i])
    end
  end)

  each("text against the fused kernel", has_gradient, function(row, params)
    local cols, n = columns(row, params)
    local seed = mare.tensor(numbers(n, 5), "f64")
    local args = operands(row, cols, "f64")
    local y, grads = fused(row, args, params, seed)
    for i, g in pairs(grads) do
      local d = registry.derivative(row, i)(y, unpack(with(args, params)))
      local values = mare.is_tensor(d) and flat(d:expand(n)) or {}
      for k = 1, n do values[k] = values[k] or d end
      same(product(values, flat(seed)), flat(g), 1e-14, row.derivatives[i])
    end
  end)

  each("of the gradient, against differences", has_gradient, function(row, params)
    local cols, n = columns(row, params)
    local seed, v = mare.tensor(numbers(n, 5), "f64"), numbers(n, 6)
    local args = operands(row, cols, "f64")
    local vars = variables(row, args)
    local inputs = {}
    for i = 1, #vars do if row.derivatives[i] then inputs[#inputs + 1] = vars[i] end end
    local first = gradients(call(row, vars, params), inputs, true, seed)
    local _, want = fused(row, args, params, seed)
    local at = 0
    for i = 1, #vars do
      if row.derivatives[i] then
        at = at + 1
        local g = first[at]
        same(flat(g), flat(want[i]), 1e-14, "taped gradient of " .. row.args[i])
        local second = g.is_tracked and gradients(g, inputs, false, mare.tensor(v, "f64"))
        local function gradient(c)
          local _, grads = fused(row, operands(row, c, "f64"), params, seed)
          return flat(grads[i])
        end
        local place = 0
        for j = 1, #vars do
          if row.derivatives[j] then
            place = place + 1
            local got = second and second[place] and flat(second[place]) or numbers(n, 1, 0, 0)
            same(got, product(v, differences(gradient, cols, j, 1e-5)), 2e-6,
              ("second derivative to %s and %s"):format(row.args[i], row.args[j]))
          end
        end
      end
    end
  end)

  each("forward against reverse", has_gradient, function(row, params)
    local cols, n = columns(row, params)
    local seed = numbers(n, 5)
    local args = operands(row, cols, "f64")
    local y0, grads = fused(row, args, params, mare.tensor(seed, "f64"))
    local tangents, want = {}, numbers(n, 1, 0, 0)
    for i, a in ipairs(args) do
      local v = numbers(n, 10 + i, -1, 1)
      tangents[i] = grads[i] and mare.tensor(v, "f64") or a
      for k, w in ipairs(grads[i] and product(flat(grads[i]), v) or {}) do
        want[k] = want[k] + w
      end
    end
    local y, t = mare.jvp(function(x) return call(row, x, params) end, args, tangents)
    same(flat(y), flat(y0), 0, "value")
    same(product(seed, flat(t)), want, 1e-13, "<g, Jv> against <J'g, v>")
  end)
end)

-- -- layouts ----------------------------------------------------------------------------------------

-- the same matrix (r, c) from memory in another order
local layouts = {
  function(values, dtype, r, c)      -- transposed
    local t = {}
    for k = 0, r * c - 1 do t[k + 1] = values[k % r * c + k // r + 1] end
    return support.tensor(t, dtype, {c, r}):t()
  end,
  function(values, dtype, r, c)      -- every second column of a wider one
    local t = {}
    for k = 0, r * c - 1 do
      t[2 * k + 1], t[2 * k + 2] = 1, values[k + 1]
    end
    return support.tensor(t, dtype, {r, 2 * c})[{ {}, {2, 2 * c, 2} }]
  end,
  function(values, dtype, r, c) return support.tensor(values, dtype, {r, c}) end,
}

local function shortened(cols, n)
  local out = {}
  for i, col in ipairs(cols) do out[i] = {unpack(col, 1, n)} end
  return out
end

describe("layout", function()
  each("strided operands", nil, function(row, params)
    local cols, n = columns(row, params)
    local r, c = 3, n // 3
    cols = shortened(cols, r * c)
    local seed = support.tensor(numbers(r * c, 5), "f64", {r, c})
    local args = operands(row, cols, "f64", {r, c})
    local want, wanted = call(row, args, params), {}
    if has_gradient(row) then want, wanted = fused(row, args, params, seed) end
    for turn = 0, 2 do
      local strided = {}
      for i = 1, #args do
        local make = layouts[(turn + i) % 3 + 1]
        strided[i] = make(cols[i], args[i].dtype, r, c)
      end
      local g = layouts[turn % 2 + 1](flat(seed), "f64", r, c)
      local y, grads = call(row, strided, params), {}
      demand(y:iscontiguous(), "a result with gaps")
      if has_gradient(row) then y, grads = fused(row, strided, params, g) end
      same(flat(y), flat(want), 0, "value")
      for i in pairs(wanted) do
        same(flat(grads[i]), flat(wanted[i]), 0, "gradient of " .. row.args[i])
      end
    end
  end)

  local function several(row) return #row.args > 1 end

  each("broadcast operands", several, function(row, params)
    local cols = columns(row, params)
    local r, c = 3, 4
    local shapes = {{r, 1}, {1, c}, {}}
    local small, full = {}, {}
    for i = 1, #row.args do
      local s, values, all = shapes[i], {}, {}
      for k = 1, (s[1] or 1) * (s[2] or 1) do values[k] = cols[i][k] end
      for k = 0, r * c - 1 do
        all[k + 1] = values[s[1] == r and k // c + 1 or s[2] == c and k % c + 1 or 1]
      end
      small[i] = support.tensor(values, type_of(row, i, "f64"), s)
      full[i] = support.tensor(all, type_of(row, i, "f64"), {r, c})
    end
    same(flat(call(row, small, params)), flat(call(row, full, params)), 0, "value")
    if not has_gradient(row) then return end
    local seed = support.tensor(numbers(r * c, 5), "f64", {r, c})
    local _, grads = fused(row, small, params, seed)
    local _, whole = fused(row, full, params, seed)
    for i, g in pairs(grads) do
      local sums, w = numbers(g:numel(), 1, 0, 0), flat(whole[i])
      for k = 0, r * c - 1 do
        local at = g.shape[1] == r and k // c + 1 or g.shape[2] == c and k % c + 1 or 1
        sums[at] = sums[at] + w[k + 1]
      end
      same(flat(g), sums, 1e-14, "gradient of " .. row.args[i])
    end
  end)

  each("a number among operands", several, function(row, params)
    local cols, n = columns(row, params)
    local seed = mare.tensor(numbers(n, 5), "f64")
    for place = 1, #row.args do
      local value = cols[place][1]
      if type_of(row, place, "f64") == "u8" then value = math.tointeger(value) end
      local mixed = operands(row, cols, "f64")
      local whole = {unpack(mixed)}
      whole[place] = mare.full({n}, value, type_of(row, place, "f64"))
      mixed[place] = value
      same(flat(call(row, mixed, params)), flat(call(row, whole, params)), 0, "value")
      if has_gradient(row) then
        local _, got = fused(row, mixed, params, seed)
        local _, want = fused(row, whole, params, seed)
        for i, g in pairs(got) do
          same(flat(g), flat(want[i]), 0, "gradient of " .. row.args[i])
        end
      end
    end
  end)

  each("in place and into a given tensor", nil, function(row, params)
    local cols, n = columns(row, params)
    local args = operands(row, cols, "f64")
    local want = call(row, args, params)
    local result = mare.zeros({n}, want.dtype)
    local back = mare.out[row.name](result, unpack(with(args, params)))
    demand(rawequal(back, result), "out does not return its tensor")
    same(flat(result), flat(want), 0, "out")
    local wide = mare.full({2, 2 * n}, 9, want.dtype)     -- a strided target
    mare.out[row.name](wide[{ 2, {2, 2 * n, 2} }], unpack(with(args, params)))
    local all = flat(wide)
    for k = 1, 4 * n do
      local w = 9
      if k > 2 * n and k % 2 == 0 then w = flat(want)[(k - 2 * n) // 2] end
      demand(all[k] == w, "element %d of a strided target", k)
    end
    local inplace = core.methods[row.name .. "_"]
    if row.kind == "compare" or is_mask(row, 1) then return end
    local x = args[1]:clone()
    demand(rawequal(inplace(x, unpack(with({unpack(args, 2)}, params))), x),
      "the method does not return its tensor")
    same(flat(x), flat(want), 0, "in place")
  end)

  each("operands that overlap the target", nil, function(row, params)
    local cols, n = columns(row, params)
    if row.kind == "compare" then return end
    local args = operands(row, cols, "f64")
    local last = #args
    local memory = mare.zeros({n + 1}, args[last].dtype)
    memory:narrow(1, 1, n):copy_(args[last])
    local want = call(row, args, params)
    args[last] = memory:narrow(1, 1, n)
    mare.out[row.name](memory:narrow(1, 2, n), unpack(with(args, params)))
    same(flat(memory:narrow(1, 2, n)), flat(want), 0, "shifted")
  end)
end)

-- -- element types, positions, instruction sets ---------------------------------------------------------

local function everything(row, cols, params, dtype, repeats, n)
  local args, seed = {}, numbers(#cols[1], 5)
  local function make(values, kind)
    local bytes = mare.tensor(values, kind):tobytes()
    return mare.frombytes(bytes:rep(repeats), kind):narrow(1, 1, n or #values * repeats)
  end
  for i = 1, #row.args do args[i] = make(cols[i], type_of(row, i, dtype)) end
  if not has_gradient(row) then return {call(row, args, params)} end
  local y, grads = fused(row, args, params, make(seed, dtype))
  local all = {y}
  for i = 1, #row.args do all[#all + 1] = grads[i] end
  return all
end

describe("kernel", function()
  each("f32 against f64", nil, function(row, params)
    local cols, single = columns(row, params), {}
    for _, col in ipairs(cols) do
      for k, v in ipairs(col) do col[k] = support.single(v) end
    end
    for k, v in ipairs(params) do single[k] = support.single(v) end
    local small, large = everything(row, cols, params, "f32", 1),
      everything(row, cols, single, "f64", 1)
    for i = 1, #large do same(flat(small[i]), flat(large[i]), 3e-6, "result " .. i) end
  end)

  each("the same wherever an element stands", nil, function(row, params)
    local cols, n = columns(row, params)
    for _, dtype in ipairs {"f32", "f64"} do
      local repeats = 71 // n + 1
      local base = everything(row, cols, params, dtype, repeats)
      local bytes = {}
      for i, t in ipairs(base) do bytes[i] = t:tobytes() end
      for length = 1, 70 do
        for i, t in ipairs(everything(row, cols, params, dtype, repeats, length)) do
          local b = t:tobytes()
          demand(b == bytes[i]:sub(1, #b), "%s: result %d of length %d differs", dtype, i, length)
        end
      end
      local many = dtype == "f32" and 140000 // (n * repeats) or 1
      for i, t in ipairs(everything(row, cols, params, dtype, repeats * many)) do
        demand(t:tobytes() == bytes[i]:rep(many), "%s: result %d of many elements", dtype, i)
      end
    end
  end)

  local sets = {}
  for _, name in ipairs {"base", "avx2", "avx512"} do
    local now = core.functions.isa()
    if pcall(core.functions.isa, name) then sets[#sets + 1] = name end
    core.functions.isa(now)
  end

  each("every instruction set", nil, function(row, params)
    local cols = columns(row, params)
    local now = core.functions.isa()
    for dtype, tolerance in pairs {f32 = 1e-6, f64 = 2e-15} do
      local first
      for _, name in ipairs(sets) do
        core.functions.isa(name)
        local ok, results = pcall(everything, row, cols, params, dtype, 1)
        core.functions.isa(now)
        if not ok then error(results, 0) end
        first = first or results
        for i, t in ipairs(results) do
          same(flat(t), flat(first[i]), tolerance, ("%s %s, result %d"):format(name, dtype, i))
        end
      end
    end
  end)
end)

-- -- nothing left out ---------------------------------------------------------------------------------------

if not only then
  describe("all", function()
    it("have checks, values and words", function()
      demand(#list >= 100, "only %d rows", #list)
      for _, row in ipairs(list) do
        local kinds = 8 + (has_gradient(row) and 4 or 0) + (#row.args > 1 and 2 or 0)
          + (row.kind == "logical" and 0 or row.kind == "real" and 1 or 2)
        demand(checked[row.name] == kinds, "%s: %d kinds of checks, not %d", row.name,
          checked[row.name] or 0, kinds)
        demand(#row.doc > 0 and not row.doc:find "%.$", "%s: its sentence", row.name)
        demand(row.lo < row.hi, "%s: its interval", row.name)
      end
    end)

    it("reference values belong to rows", function()
      for _, part in pairs(reference) do
        for name in pairs(part) do
          demand(registry.rows[name], "no row is called '%s'", name)
        end
      end
      demand(near(1, 1 + 1e-9, 1e-8) and not near(1, 1.1, 1e-8) and not near(1, 0/0, 1),
        "near")
    end)
  end)
end
