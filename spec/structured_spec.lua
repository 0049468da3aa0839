-- structured_spec.lua -- every structured row (matmul, sum, gather, views ...) from the
-- cases that stand in it: fused backward against differences and against its vjp, the
-- gradient of the gradient, forward mode, other layouts, the other real type.

local mare = require "mare"
local registry = require "mare.ops"
require "mare.linalg"
local gradients = require "mare.grad".gradients
local support = require "spec.support"

local flat, same, demand = support.flat, support.same, support.demand
local unpack = table.unpack

-- rows whose cases the row cannot state: name -> function that calls it and its cases
local extra = {
  slice = {
    {function(x) return x[{ {}, {1, 4, 2} }] end, function(s) return s(2, 5) end},
    {function(x) return x[{ {2, 3} }] end, function(s) return s(4, 2) end},
    {function(x) return x:narrow(2, 2, 0) end, function(s) return s(2, 3) end},
  },
  select = {{function(x) return x[-1] end, function(s) return s(3, 2) end}},
  unslice = {
    {function(x) return registry.ops.unslice(x, 5, 1, 1, 2, 2) end, function(s) return s(3, 2) end},
  },
  contiguous = {{function(x) return x:t():contiguous() end, function(s) return s(2, 3) end}},
  to = {{function(x) return x:to "f32":to "f64" end, function(s) return s(2, 3) end, coarse = true}},
  reshape = {{function(x) return x:t():reshape(6) end, function(s) return s(2, 3) end}},
  transpose = {{function(x) return x:t() end, function(s) return s(2, 3) end}},
  cat = {{function(a, b) return mare.stack({a, b, a}, 2) end,
    function(s) return s(2, 3), s(2, 3) end}},
  max = {{function(x) return (mare.max(x, 2)) end, function(s) return s(3, 4) end}},
  gather = {{function(x) return (x:sort(2, true)) end, function(s) return s(3, 4) end},
    {function(x) return (x:topk(2, 1)) end, function(s) return s(4, 3) end},
    {function(x) return x:median() end, function(s) return s(3, 3) end},
    {function(x) return (x:median(1)) end, function(s) return s(4, 3) end}},
  var = {{function(x) return x:std(2) end, function(s) return s(3, 4) end},
    {function(x) return x:var({1, 2}, false, 0) end, function(s) return s(3, 4) end}},
  softmax = {{function(x) return mare.softmin(x, 1) end, function(s) return s(3, 2) end}},
  cross_entropy = {{function(x)
    return mare.cross_entropy(x, mare.tensor({2, 1}, "i64"), nil, nil, nil, false)
  end, function(s) return s(2, 3) end}},
  matmul = {{function(a, b) return a:dot(b) end, function(s) return s(4), s(4) end},
    {function(a, b) return a:outer(b) end, function(s) return s(4), s(3) end}},
  prod = {{function(x) return x:mul(mare.tensor({{0, 1, 1}, {1, 1, 1}}, x.dtype)):prod(2) end,
    function(s) return s(2, 3) end}},
  masked_select = {{function(x) return x[x:gt(0)] end, function(s) return s(3, 4) end}},
}

local list = {}
for name, row in pairs(registry.rows) do
  if row.structured and row.kind ~= "nondiff" and row.vjp and registry.rows[name] == row
    and name:find "^%l[%w_]*$" then
    list[#list + 1] = row
  end
end
table.sort(list, function(a, b) return a.name < b.name end)

-- -- inputs ----------------------------------------------------------------------------------

local function count(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end

-- the shapes that a case draws, and their values: distinct, away from 0
local function inputs_of(case)
  local random, inputs, used = support.sequence(17), {}, {}
  case(function(...)
    local shape, values = {...}, {}
    for i = 1, count(shape) do
      local v
      repeat
        v = support.single(random(-2, 2))
      until math.abs(v) > 0.15 and not used[math.floor(v * 50)]
      used[math.floor(v * 50)] = true
      values[i] = v
    end
    inputs[#inputs + 1] = {shape = shape, values = values}
    return mare.zeros(shape, "f64")
  end)
  return inputs
end

local function tensors(inputs, dtype)
  local t = {}
  for i, input in ipairs(inputs) do t[i] = support.tensor(input.values, dtype, input.shape) end
  return t
end

-- calls f with the arguments of a case in which these tensors stand for the drawn ones
local function apply(f, case, given)
  local n = 0
  return f(case(function()
    n = n + 1
    return given[n]
  end))
end

local function fused(f, case, given, seed)
  local vars = {}
  for i, t in ipairs(given) do vars[i] = t:detach():requires_grad() end
  local y = apply(f, case, vars)
  local g = seed(y)
  if y.is_tracked then y:backward(g) end
  local grads = {}
  for i, v in ipairs(vars) do grads[i] = v.grad or mare.zeros(v.shape, v.dtype) end
  return y:detach(), grads, g
end

local function seeded(number)
  return function(y)
    local random, v = support.sequence(number), {}
    for i = 1, y:numel() do v[i] = support.single(random(0.5, 1.5)) end
    return support.tensor(v, y.dtype, y.shape)
  end
end

local function dot(a, b)
  local s, x, y = 0, flat(a), flat(b)
  for i = 1, #x do s = s + x[i] * y[i] end
  return s
end

-- f at inputs with one element moved by +eps and -eps
local function moved(inputs, i, k, eps, f)
  local old = inputs[i].values[k]
  inputs[i].values[k] = old + eps
  local up = f(tensors(inputs, "f64"))
  inputs[i].values[k] = old - eps
  local down = f(tensors(inputs, "f64"))
  inputs[i].values[k] = old
  return (up - down) / (2 * eps)
end

-- -- the checks of one case ---------------------------------------------------------------------

local function against_differences(f, case, inputs, coarse)
  local _, grads, g = fused(f, case, tensors(inputs, "f64"), seeded(3))
  for i, input in ipairs(inputs) do
    local got = flat(grads[i])
    for k = 1, #input.values do
      local want = moved(inputs, i, k, coarse and 1e-2 or 1e-6, function(t)
        return dot(apply(f, case, t), g)
      end)
      demand(support.near(got[k], want, coarse and 1e-4 or 1e-7),
        "gradient of input %d, element %d is %.12g, differences %.12g", i, k, got[k], want)
    end
  end
end

local function against_vjp(f, case, inputs, coarse)
  local given = tensors(inputs, "f64")
  local _, want, g = fused(f, case, given, seeded(3))
  local vars = {}
  for i, t in ipairs(given) do vars[i] = t:detach():requires_grad() end
  local first = gradients(apply(f, case, vars), vars, true, g)
  for i in ipairs(vars) do
    same(first[i] and flat(first[i]) or flat(given[i] * 0), flat(want[i]), 1e-13,
      "taped gradient of input " .. i)
  end
  for i in ipairs(vars) do       -- the gradient of <v, gradient>
    local v = seeded(4)(given[i])
    local second = first[i] and first[i].is_tracked and gradients(first[i], vars, false, v) or {}
    for j, input in ipairs(inputs) do
      local got = second[j] and flat(second[j]) or flat(given[j] * 0)
      for k = 1, #input.values do
        local want2 = coarse and 0 or moved(inputs, j, k, 1e-5, function(t)
          local _, grads = fused(f, case, t, function() return g end)
          return dot(grads[i], v)
        end)
        demand(support.near(got[k], want2, 1e-6),
          "second derivative to inputs %d, %d, element %d is %.12g, differences %.12g", i, j, k,
          got[k], want2)
      end
    end
  end
end

local function forward_mode(f, case, inputs)
  local given = tensors(inputs, "f64")
  local y, grads, g = fused(f, case, given, seeded(3))
  local tangents, want = {}, 0
  for i, t in ipairs(given) do
    tangents[i] = seeded(20 + i)(t)
    want = want + dot(grads[i], tangents[i])
  end
  local y2, t = mare.jvp(function(x) return apply(f, case, x) end, given, tangents)
  same(flat(y2), flat(y), 0, "value of jvp")
  demand(support.near(dot(g, t), want, 1e-12), "<g, Jv> is %.15g, <J'g, v> %.15g", dot(g, t), want)
end

-- many tangents at once, and tangents of tangents, against rows of reverse mode
local function many_tangents(f, case, inputs, coarse)
  local given = tensors(inputs, "f64")
  local function run(x) return apply(f, case, x) end
  local function compare(a, b, tolerance, what)
    for i in ipairs(given) do same(flat(a[i]), flat(b[i]), tolerance, what .. i) end
  end
  local J = mare.jacobian(run, given, {mode = "reverse"})
  compare(mare.jacobian(run, given, {mode = "forward"}), J, 1e-12, "forward Jacobian to input ")
  compare(mare.jacobian(run, given, {mode = "forward", chunk = 3}), J, 1e-12, "in threes, to input ")
  if coarse then return end
  local g, v = seeded(3)(run(given)), {}
  for i, t in ipairs(given) do v[i] = seeded(20 + i)(t) end
  local function value(x) return (run(x) * g):sum() end
  local function along(x)
    local _, t = mare.jvp(value, x, v)
    return t
  end
  local function backward(x)
    local s = 0
    for i, gx in ipairs(mare.grad(value)(x)) do s = s + (gx * v[i]):sum() end
    return s
  end
  local want = mare.grad(backward)(given)                       -- H v, backwards twice
  compare(mare.hvp(value, given, v), want, 1e-11, "forward over reverse, input ")
  compare(mare.grad(along)(given), want, 1e-11, "reverse over forward, input ")
  compare(mare.jacobian(along, given, {mode = "forward"}), want, 1e-11, "forward twice, input ")
end

-- the same values from memory in another order
local layouts = {
  function(t)
    local n, order = #t.shape, {}
    for d = 1, n do order[d] = n + 1 - d end
    return t:permute(order):contiguous():permute(order)
  end,
  function(t)
    local n = #t.shape
    if n == 0 or t:numel() == 0 then return t end
    local wide = {unpack(t.shape)}
    wide[n] = 2 * wide[n]
    local part = mare.full(wide, 7, t.dtype)
    local key = {}
    for d = 1, n - 1 do key[d] = {} end
    key[n] = {2, wide[n], 2}
    part[key] = t
    return part[key]
  end,
}

local function other_layouts(f, case, inputs)
  local given = tensors(inputs, "f64")
  local y, grads, g = fused(f, case, given, seeded(3))
  for which, layout in ipairs(layouts) do
    local strided = {}
    for i, t in ipairs(given) do strided[i] = layout(t) end
    local y2, grads2 = fused(f, case, strided, function() return layout(g) end)
    same(flat(y2), flat(y), 1e-14, "value in layout " .. which)
    for i in ipairs(given) do
      same(flat(grads2[i]), flat(grads[i]), 1e-14, ("gradient %d in layout %d"):format(i, which))
    end
  end
  if y:numel() > 0 then      -- a repeated gradient, as sum gives
    local _, repeated = fused(f, case, given, function(r) return mare.ones({}, "f64"):expand(r.shape) end)
    local _, whole = fused(f, case, given, function(r) return mare.ones(r.shape, "f64") end)
    for i in ipairs(given) do
      same(flat(repeated[i]), flat(whole[i]), 1e-14, "gradient from an expanded one")
    end
  end
end

local function other_type(f, case, inputs)
  local y, grads = fused(f, case, tensors(inputs, "f64"), seeded(3))
  local y32, grads32 = fused(f, case, tensors(inputs, "f32"), seeded(3))
  demand(y32.dtype == "f32" or y.dtype == y32.dtype, "a result of type %s", y32.dtype)
  same(flat(y32), flat(y), 2e-5, "f32 value")
  for i in ipairs(inputs) do same(flat(grads32[i]), flat(grads[i]), 2e-5, "f32 gradient " .. i) end
end

-- -- for each row -----------------------------------------------------------------------------------

local checked = {}

for _, row in ipairs(list) do
  local runs = {}
  for _, case in ipairs(row.cases or {}) do
    runs[#runs + 1] = {row.call or registry.ops[row.name], case}
  end
  for _, run in ipairs(extra[row.name] or {}) do runs[#runs + 1] = run end

  describe("structured " .. row.name, function()
    local function each(title, check)
      it(title, function()
        demand(#runs > 0, "the row has no cases")
        for n, run in ipairs(runs) do
          local ok, why = pcall(check, run[1], run[2], inputs_of(run[2]), run.coarse)
          if not ok then error(("case %d: %s"):format(n, tostring(why)), 0) end
        end
        checked[row.name] = (checked[row.name] or 0) + 1
      end)
    end
    each("against differences", against_differences)
    each("fused against its vjp, and the next order", against_vjp)
    each("forward against reverse", forward_mode)
    each("many tangents, and tangents of tangents", many_tangents)
    each("in other layouts", other_layouts)
    if not (extra[row.name] and extra[row.name][1].coarse) then each("in f32", other_type) end

    it("is not recorded without need", function()
      for _, run in ipairs(runs) do
        local given = tensors(inputs_of(run[2]), "f64")
        demand(not apply(run[1], run[2], given).is_tracked, "recorded")
        for i, t in ipairs(given) do given[i] = t:requires_grad() end
        demand(not mare.no_grad(apply, run[1], run[2], given).is_tracked, "recorded in no_grad")
      end
    end)
  end)
end

describe("structured rows", function()
  it("are all checked, and have words", function()
    demand(#list >= 30, "only %d rows", #list)
    for _, row in ipairs(list) do
      demand((checked[row.name] or 0) >= 4, "%s: %d checks", row.name, checked[row.name] or 0)
      demand(row.doc and #row.doc > 0 and not row.doc:find "%.$", "%s: its sentence", row.name)
    end
    for name in pairs(extra) do demand(registry.rows[name], "no row is called '%s'", name) end
    for name, row in pairs(registry.rows) do
      if row.structured and not row.vjp then
        demand(row.kind == "nondiff", "%s has neither a vjp nor the kind nondiff", name)
      end
    end
  end)
end)
