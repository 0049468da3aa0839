-- reduce_spec.lua -- reductions, sorting, softmax, cross-entropy, picking and placing,
-- against plain Lua over random shapes, dimensions, layouts and element types; then the
-- values that are special.

local mare = require "mare"
local support = require "spec.support"

local flat, same, demand = support.flat, support.same, support.demand
local count, positions, offset = support.count, support.positions, support.offset
local unpack = table.unpack

local random = support.sequence(23)
local function int(lo, hi) return lo + math.floor(random() * (hi - lo + 1)) end

local function random_shape(least)
  local shape = {}
  for d = 1, int(least or 0, 4) do shape[d] = random() < 0.15 and 1 or int(2, 6) end
  return shape
end

-- values, a tensor of them (perhaps strided) and its shape
local function random_tensor(dtype, shape, lo, hi)
  local v = {}
  for i = 1, count(shape) do
    v[i] = dtype:sub(1, 1) == "f" and support.single(random(lo or -3, hi or 3))
      or int(lo or (dtype == "u8" and 0 or -9), hi or 9)
  end
  local t = support.tensor(v, dtype, shape)
  if #shape > 1 and random() < 0.5 then
    local order = {}
    for d = 1, #shape do table.insert(order, int(1, d), d) end
    local back = {}
    for d, o in ipairs(order) do back[o] = d end
    t = t:permute(order):contiguous():permute(back)
  end
  return v, t
end

-- a random set of dimensions: as the user types it, and {d = true}
local function random_dims(n)
  local set = {}
  if n == 0 or random() < 0.25 then
    for d = 1, n do set[d] = true end
    return nil, set
  end
  if random() < 0.5 then
    local d = int(1, n)
    set[d] = true
    return random() < 0.5 and d or d - n - 1, set
  end
  local dims = {}
  for d = 1, n do
    if random() < 0.5 then
      set[d] = true
      dims[#dims + 1] = random() < 0.5 and d or d - n - 1
    end
  end
  return dims, set
end

-- for each element of the result the list of what it is made of, and the two shapes
local function groups(v, shape, set)
  local kept, short = {}, {}
  for d, s in ipairs(shape) do
    kept[d] = set[d] and 1 or s
    if not set[d] then short[#short + 1] = s end
  end
  local list = {}
  for i = 1, count(kept) do list[i] = {} end
  positions(shape, function(p)
    local q = {}
    for d = 1, #shape do q[d] = set[d] and 1 or p[d] end
    local g = list[offset(kept, q)]
    g[#g + 1] = v[offset(shape, p)]
  end)
  return list, kept, short
end

local function sum(g)
  local s = 0
  for _, x in ipairs(g) do s = s + x end
  return s
end

local function mean(g) return sum(g) / #g end

local function norm(p)
  return function(g)
    local s = 0
    for _, x in ipairs(g) do
      if p == math.huge then s = math.max(s, math.abs(x))
      elseif p == 0 then s = s + (x ~= 0 and 1 or 0)
      else s = s + math.abs(x) ^ p end
    end
    return (p == math.huge or p == 0) and s or s ^ (1 / p)
  end
end

local function variance(correction)
  return function(g)
    local m, s = mean(g), 0
    for _, x in ipairs(g) do s = s + (x - m) ^ 2 end
    return s / (#g - correction)
  end
end

local function place(better)
  return function(g)
    local best = 1
    for i, x in ipairs(g) do if better(x, g[best]) then best = i end end
    return best
  end
end

local models = {
  sum = sum, mean = mean, norm = norm(2), var = variance(1),
  prod = function(g)
    local s = 1
    for _, x in ipairs(g) do s = s * x end
    return s
  end,
  max = function(g) return math.max(unpack(g)) end,
  min = function(g) return math.min(unpack(g)) end,
  any = function(g)
    for _, x in ipairs(g) do if x ~= 0 then return 1 end end
    return 0
  end,
  all = function(g)
    for _, x in ipairs(g) do if x == 0 then return 0 end end
    return 1
  end,
  argmax = place(function(a, b) return a > b end), argmin = place(function(a, b) return a < b end),
  logsumexp = function(g)
    local s = 0
    for _, x in ipairs(g) do s = s + math.exp(x) end
    return math.log(s)
  end,
}

local real_only = {mean = true, norm = true, var = true, logsumexp = true}

describe("reductions", function()
  for name, model in pairs(models) do
    it(name .. " over random dimensions", function()
      for case = 1, 150 do
        local dtype = ({"f64", "f32", "i64", "u8"})[int(1, real_only[name] and 2 or 4)]
        local shape = random_shape()
        local lo, hi
        if name == "prod" then lo, hi = 1, dtype == "u8" and 2 or 1 end
        if name == "prod" and dtype ~= "u8" then lo = -1 end
        if name == "any" or name == "all" then lo, hi = 0, 1 end
        local v, t = random_tensor(dtype, shape, lo, hi)
        if dtype:find "f" and (name == "any" or name == "all") then
          for i = 1, #v do v[i] = math.floor(v[i] + 0.5) end
          t = support.tensor(v, dtype, shape)
        end
        local typed, set = random_dims(#shape)
        local keep = random() < 0.5
        if name:find "^arg" and type(typed) == "table" then typed, set = nil, {true, true, true, true} end
        local g, kept, short = groups(v, shape, set)
        if name == "var" and #g[1] < 2 then goto continue end
        do
          local args = {typed, keep}
          local y = name == "norm" and t:norm(2, typed, keep) or nil
          if not y then y = (t[name](t, args[1], args[2])) end
          local want = {}
          for i, group in ipairs(g) do want[i] = model(group) end
          demand(table.concat(y.shape, "x") == table.concat(keep and kept or short, "x"),
            "case %d: shape %s", case, table.concat(y.shape, "x"))
          same(flat(y), want, dtype == "f32" and 2e-6 or 1e-13,
            ("case %d: %s of %s"):format(case, dtype, table.concat(shape, "x")))
        end
        ::continue::
      end
    end)
  end

  it("parameters", function()
    local v, t = random_tensor("f64", {3, 5})
    local rows, columns = groups(v, {3, 5}, {false, true}), groups(v, {3, 5}, {true})
    for _, p in ipairs {0, 0.5, 1, 2, 3, math.huge} do
      local want = {}
      for i, g in ipairs(rows) do want[i] = norm(p)(g) end
      same(flat(t:norm(p, 2)), want, 1e-13, "norm " .. p)
    end
    for _, c in ipairs {0, 1, 2} do
      local want, deviation = {}, {}
      for i, g in ipairs(columns) do
        want[i] = variance(c)(g)
        deviation[i] = math.sqrt(want[i])
      end
      same(flat(t:var(1, false, c)), want, 1e-13, "var, correction " .. c)
      same(flat(t:std(1, false, c)), deviation, 1e-13, "std, correction " .. c)
    end
  end)

  it("with a dimension max and min give positions too", function()
    local t = mare.tensor {{3, 9, 2}, {8, 1, 8}}
    local v, i = t:max(2)
    assert.same({9, 8}, v:totable())
    assert.same({2, 1}, i:totable())
    v, i = t:min(1, true)
    assert.same({{3, 1, 2}}, v:totable())
    assert.same({{1, 2, 1}}, i:totable())
    assert.same("i64", i.dtype)
  end)

  it("over many elements, for every length", function()
    local n = 100003
    local v = {}
    for i = 1, n do v[i] = support.single(random(-1, 1)) end
    for _, dtype in ipairs {"f32", "f64"} do
      local t = mare.tensor(v, dtype)
      local total, best = 0, 1
      for i = 1, n do
        total = total + v[i]
        if v[i] > v[best] then best = i end
        if i <= 70 or i == 1000 or i == 4097 or i == 65537 or i == n then
          local part = t:narrow(1, 1, i)
          demand(math.abs(part:sum():item() - total) <= (dtype == "f32" and 1e-5 or 1e-10),
            "sum of %d: %.9g, expected %.9g", i, part:sum():item(), total)
          demand(part:max():item() == v[best], "max of %d", i)
          demand(part:argmax():item() == best, "argmax of %d", i)
          demand(support.near(part:mean():item(), total / i, 1e-6), "mean of %d", i)
        end
      end
      local strided = mare.stack({t, t * 0}, 2)
      assert.same(t:sum():item(), strided[":, 1"]:sum():item())
      same(flat(strided:sum(1)), {total, 0}, 1e-6, "columns")
    end
    local tenths = mare.full({1000000}, 0.1)      -- a naive f32 sum is off by 1 %
    demand(math.abs(tenths:sum():item() - 100000.0015) < 0.02, "sum is %.9g", tenths:sum():item())
    local far = mare.rand(100000, "f64") + 1e8     -- a naive variance cancels
    demand(math.abs(far:var():item() - 1 / 12) < 1e-3, "var is %.9g", far:var():item())
  end)

  it("of nothing, and with NaN and infinities", function()
    local e, nan = mare.zeros(0, 3), 0/0
    assert.same({0, 0, 0}, e:sum(1):totable())
    assert.same({1, 1, 1}, e:prod(1):totable())
    assert.same(0, e:sum():item())
    assert.same({0}, e:sum(2).shape)
    assert.same(0, e:any():item())
    assert.same(1, e:all():item())
    assert.is_true(e:mean():item() ~= e:mean():item())
    assert.same(-math.huge, e:logsumexp():item())
    local x = mare.tensor {1, nan, 3}
    assert.is_true(x:max():item() ~= x:max():item())
    assert.is_true(x:min():item() ~= x:min():item())
    assert.same(2, x:argmax():item())
    assert.same(math.huge, mare.tensor({1, math.huge}):logsumexp():item())
    assert.same(-math.huge, mare.tensor({-math.huge, -math.huge}):logsumexp():item())
    same({mare.tensor({1e4, 1e4 - 1}, "f64"):logsumexp():item()}, {1e4 + math.log(1 + math.exp(-1))},
      1e-15, "logsumexp far out")
    same({mare.tensor({1e30, 1e30}):norm():item()}, {math.sqrt(2) * 1e30}, 1e-6, "norm in f32")
    assert.same(math.mininteger, mare.tensor({math.mininteger, 5}, "i64"):min():item())
    assert.same(510, mare.tensor({255, 255}, "u8"):sum():item())
    assert.same("i64", mare.tensor({255, 255}, "u8"):sum().dtype)
  end)
end)

-- -- along one dimension ------------------------------------------------------------------------

-- the lists of v along dimension d, and how to put lists back
local function lanes(v, shape, d)
  local list, index = {}, {}
  positions(shape, function(p)
    local q = {unpack(p)}
    q[d] = 1
    local key = offset(shape, q)
    if not index[key] then
      index[key] = #list + 1
      list[#list + 1] = {}
    end
    local l = list[index[key]]
    l[#l + 1] = v[offset(shape, p)]
  end)
  local function join(results, length)
    local out, s = {}, {unpack(shape)}
    s[d] = length
    positions(s, function(p)
      local q = {unpack(p)}
      q[d] = 1
      out[#out + 1] = results[index[offset(shape, q)]][p[d]]
    end)
    return out, s
  end
  return list, join
end

local function each_lane(times, test)
  for case = 1, times do
    local dtype = ({"f64", "f32"})[int(1, 2)]
    local shape = random_shape(1)
    local v, t = random_tensor(dtype, shape)
    local d = int(1, #shape)
    local list, join = lanes(v, shape, d)
    test(t, d, list, join, dtype == "f32" and 2e-6 or 1e-13, "case " .. case)
  end
end

local function map(list, f)
  local out = {}
  for i, l in ipairs(list) do out[i] = f(l) end
  return out
end

local function order_of(l, before)
  local order = {}
  for i = 1, #l do order[i] = i end
  table.sort(order, function(a, b)
    if l[a] == l[b] then return a < b end
    return before(l[a], l[b])
  end)
  return order
end

describe("along a dimension", function()
  it("cumsum", function()
    each_lane(80, function(t, d, list, join, tolerance, what)
      same(flat(t:cumsum(d)), join(map(list, function(l)
        local s, out = 0, {}
        for i, x in ipairs(l) do
          s = s + x
          out[i] = s
        end
        return out
      end), t.shape[d]), tolerance, what)
    end)
    assert.same({1, 3, 6}, mare.tensor({1, 2, 3}, "i64"):cumsum(1):totable())
  end)

  it("softmax, log_softmax and softmin", function()
    each_lane(80, function(t, d, list, join, tolerance, what)
      local function soft(l, sign)
        local s = 0
        for _, x in ipairs(l) do s = s + math.exp(sign * x) end
        local out = {}
        for i, x in ipairs(l) do out[i] = math.exp(sign * x) / s end
        return out
      end
      local want = join(map(list, function(l) return soft(l, 1) end), t.shape[d])
      same(flat(t:softmax(d)), want, tolerance, what)
      same(flat(t:softmin(d)), join(map(list, function(l) return soft(l, -1) end), t.shape[d]),
        tolerance, what)
      for i = 1, #want do want[i] = math.log(want[i]) end
      same(flat(t:log_softmax(d)), want, 2 * tolerance, what)
    end)
    for _, dtype in ipairs {"f32", "f64"} do
      same(flat(mare.tensor({1e4, 0, -1e4}, dtype):softmax()), {1, 0, 0}, 0, "far")
      same(flat(mare.tensor({1e4, 0}, dtype):log_softmax()), {0, -1e4}, 0, "far")
      same(flat(mare.tensor({-math.huge, 1}, dtype):softmax()), {0, 1}, 0, "masked")
      for n = 1, 70 do
        same(flat(mare.zeros({3, n}, dtype):softmax(2):sum(2)), {1, 1, 1}, 1e-6, "length " .. n)
      end
    end
  end)

  it("sort, topk and median", function()
    each_lane(120, function(x, d, _, _, _, what)
      local t = (x * 2):round()                 -- with ties
      local list, join = lanes(flat(t), t.shape, d)
      local descending = random() < 0.5
      local before = function(a, b) if descending then return a > b end return a < b end
      local orders = map(list, function(l) return order_of(l, before) end)
      local sorted = {}
      for k, l in ipairs(list) do sorted[k] = map(orders[k], function(i) return l[i] end) end
      local values, index = t:sort(d, descending)
      same(flat(values), join(sorted, t.shape[d]), 0, what)
      same(flat(index), join(orders, t.shape[d]), 0, what .. " positions")
      local k = int(0, t.shape[d])
      values, index = t:topk(k, d, descending)
      same(flat(values), join(sorted, k), 0, what .. " topk")
      same(flat(index), join(orders, k), 0, what .. " positions of topk")
      local up = map(list, function(l) return order_of(l, function(a, b) return a < b end) end)
      local middle = (t.shape[d] + 1) // 2
      local medians = {}
      for i, l in ipairs(list) do medians[i] = {l[up[i][middle]]} end
      same(flat((t:median(d))), join(medians, 1), 0, what .. " median")
    end)
    assert.same({3, 2, 1}, mare.tensor({2, 3, 1}, "i64"):sort(1, true):totable())
    local v = flat((mare.tensor {1, 0/0, -1}:sort()))
    assert.is_true(v[1] == -1 and v[2] == 1 and v[3] ~= v[3])
    assert.same(2, mare.tensor({5, 1, 2, 9}):median():item())
    local values, index = mare.tensor({{5, 0 / 0, 2}, {3, 1, 2}}):median(2)
    assert.is_true(values[1]:item() ~= values[1]:item())
    assert.same({2, 2, 3}, {index[1]:item(), values[2]:item(), index[2]:item()})
    mare.seed(5)
    local many = mare.randn(50000)
    local s = flat((many:sort()))
    for i = 2, #s do if s[i - 1] > s[i] then error "not sorted" end end
    same(flat((many:topk(100))), flat((many:sort(1, true)):narrow(1, 1, 100)), 0, "topk of many")
  end)
end)

-- -- cross-entropy ---------------------------------------------------------------------------------

describe("cross_entropy", function()
  local function log_softmax(row)
    local m, s = math.max(unpack(row)), 0
    for _, x in ipairs(row) do s = s + math.exp(x - m) end
    local out = {}
    for i, x in ipairs(row) do out[i] = x - m - math.log(s) end
    return out
  end

  it("from labels, weights, smoothing and ignored labels", function()
    for case = 1, 60 do
      local n, c = int(1, 7), int(1, 9)
      local v, t = random_tensor("f64", {n, c})
      local labels, weights = {}, {}
      for i = 1, n do labels[i] = int(1, c) end
      for k = 1, c do weights[k] = random(0.5, 2) end
      local weighted, smoothing = random() < 0.5, random() < 0.5 and 0.1 or 0
      local ignore = random() < 0.5 and n > 1 and labels[1] or 0
      local losses, total = {}, 0
      for i = 1, n do
        local ls = log_softmax {unpack(v, (i - 1) * c + 1, i * c)}
        local w = weighted and weights or map(weights, function() return 1 end)
        losses[i] = 0
        if labels[i] ~= ignore then
          total = total + w[labels[i]]
          losses[i] = -(1 - smoothing) * w[labels[i]] * ls[labels[i]]
          for k = 1, c do losses[i] = losses[i] - smoothing / c * w[k] * ls[k] end
        end
      end
      local target = mare.tensor(labels, "i64")
      local w = weighted and mare.tensor(weights, "f64") or nil
      same(flat(mare.cross_entropy(t, target, w, ignore, smoothing, false)), losses, 1e-13,
        "case " .. case)
      if total > 0 then
        same(flat(mare.cross_entropy(t, target, w, ignore, smoothing)), {sum(losses) / total}, 1e-13,
          "mean, case " .. case)
      end
    end
  end)

  it("from probabilities, and far out", function()
    local v, t = random_tensor("f64", {3, 4})
    local p, probabilities = random_tensor("f64", {3, 4}, 0, 1)
    local want = 0
    for i = 1, 3 do
      local ls = log_softmax {unpack(v, 4 * i - 3, 4 * i)}
      for k = 1, 4 do want = want - p[4 * i - 4 + k] * ls[k] / 3 end
    end
    same({mare.cross_entropy(t, probabilities):item()}, {want}, 1e-13, "probabilities")
    local far = mare.tensor({{1e4, -1e4, 0}}, "f32"):requires_grad()
    local loss = mare.cross_entropy(far, mare.tensor({2}, "i64"))
    assert.same(2e4, loss:item())
    loss:backward()
    same(flat(far.grad), {1, -1, 0}, 0, "gradient")
  end)
end)

-- -- products -----------------------------------------------------------------------------------------

describe("products", function()
  it("matmul and linear over random shapes and layouts", function()
    for case = 1, 120 do
      local m, k, n = int(1, 9), int(0, 9), int(1, 9)
      local dtype = ({"f32", "f64"})[int(1, 2)]
      local a, ta = random_tensor(dtype, {m, k})
      local b, tb = random_tensor(dtype, {k, n})
      local want = {}
      for i = 1, m do
        for j = 1, n do
          local s = 0
          for l = 1, k do s = s + a[(i - 1) * k + l] * b[(l - 1) * n + j] end
          want[#want + 1] = s
        end
      end
      same(flat(ta:matmul(tb)), want, 2e-6, "case " .. case)
      local bias, tbias = random_tensor(dtype, {n})
      for i = 1, #want do want[i] = want[i] + bias[(i - 1) % n + 1] end
      same(flat(mare.linear(ta, tb:t(), tbias)), want, 2e-6, "linear, case " .. case)
    end
  end)

  it("vectors and batches", function()
    local v = mare.tensor({1, 2, 3}, "f64")
    local m = mare.tensor({{1, 2, 3}, {4, 5, 6}}, "f64")
    assert.same(14, v:matmul(v):item())
    assert.same({}, v:matmul(v).shape)
    assert.same(14, v:dot(v):item())
    assert.same({14, 32}, m:matmul(v):totable())
    assert.same({9, 12, 15}, mare.tensor({1, 2}, "f64"):matmul(m):totable())
    assert.same({{1, 2, 3}, {2, 4, 6}, {3, 6, 9}}, v:outer(v):totable())
    local _, a = random_tensor("f64", {2, 1, 3, 4})
    local _, b = random_tensor("f64", {5, 4, 2})
    local y = a:matmul(b)
    assert.same({2, 5, 3, 2}, y.shape)
    for i = 1, 2 do
      for j = 1, 5 do
        same(flat(y[{i, j}]), flat(a[{i, 1}]:matmul(b[j])), 1e-14, "batch")
      end
    end
    assert.same({2, 0}, mare.zeros(2, 3):matmul(mare.zeros(3, 0)).shape)
    assert.same({{0, 0}}, mare.zeros(1, 0):matmul(mare.zeros(0, 2)):totable())
  end)
end)

-- -- picking and placing ----------------------------------------------------------------------------------

describe("positions", function()
  local function position(size) return random() < 0.3 and -int(1, size) or int(1, size) end

  it("index_select, index_add, index_copy", function()
    for case = 1, 80 do
      local dtype = ({"f32", "f64", "i64"})[int(1, 3)]
      local shape = random_shape(1)
      local v, t = random_tensor(dtype, shape)
      local d = int(1, #shape)
      local list, out = {}, {unpack(shape)}
      for i = 1, int(0, 5) do list[i] = position(shape[d]) end
      out[d] = #list
      local function from(i) return i < 0 and i + shape[d] + 1 or i end
      local want = {}
      positions(out, function(p)
        local q = {unpack(p)}
        q[d] = from(list[p[d]])
        want[#want + 1] = v[offset(shape, q)]
      end)
      local index = mare.tensor(list, "i64")
      same(flat(t:index_select(d, index)), want, 0, "select " .. case)
      local u, src = random_tensor(dtype, out)
      local added, copied = {unpack(v)}, {unpack(v)}
      local k = 0
      positions(out, function(p)
        k = k + 1
        local q = {unpack(p)}
        q[d] = from(list[p[d]])
        added[offset(shape, q)] = added[offset(shape, q)] + u[k]
        copied[offset(shape, q)] = u[k]
      end)
      same(flat(t:index_add(d, index, src)), added, 2e-6, "add " .. case)
      same(flat(t:index_copy(d, index, src)), copied, 0, "copy " .. case)
      same(flat(t), v, 0, "the tensor itself")
      local w = t:clone()
      demand(rawequal(w:index_add_(d, index, src), w), "index_add_ returns something else")
      same(flat(w), added, 2e-6, "in place " .. case)
    end
  end)

  it("gather, scatter, scatter_add", function()
    for case = 1, 80 do
      local dtype = ({"f32", "f64", "i64"})[int(1, 3)]
      local shape = random_shape(1)
      local v, t = random_tensor(dtype, shape)
      local d, out = int(1, #shape), {}
      for k, s in ipairs(shape) do out[k] = k == d and int(0, 6) or int(1, s) end
      local list = {}
      for i = 1, count(out) do list[i] = position(shape[d]) end
      local index = support.tensor(list, "i64", out)
      local want, added = {}, {unpack(v)}
      local u, src = random_tensor(dtype, out)
      local k, scattered = 0, {unpack(v)}
      positions(out, function(p)
        k = k + 1
        local q = {unpack(p)}
        q[d] = list[k] < 0 and list[k] + shape[d] + 1 or list[k]
        local at = offset(shape, q)
        want[k] = v[at]
        added[at] = added[at] + u[k]
        scattered[at] = u[k]
      end)
      same(flat(t:gather(d, index)), want, 0, "gather " .. case)
      same(flat(t:scatter_add(d, index, src)), added, 2e-6, "scatter_add " .. case)
      same(flat(t:scatter(d, index, src)), scattered, 0, "scatter " .. case)
    end
  end)

  it("masked_fill, masked_scatter, nonzero, onehot", function()
    local x = mare.arange(1, 6):reshape(2, 3)
    local row = mare.tensor({1, 0, 1}, "u8")
    assert.same({{0, 2, 0}, {0, 5, 0}}, x:masked_fill(row, 0):totable())
    assert.same({{9, 2, 8}, {7, 5, 6}}, x:masked_scatter(row, mare.tensor {9, 8, 7, 6}):totable())
    assert.same({1, 3, 4, 6}, x:masked_select(row):totable())
    assert.same({{1, 1}, {1, 3}, {2, 2}}, mare.tensor({{1, 0, 2}, {0, 1, 0}}, "u8"):nonzero():totable())
    assert.same({0, 1}, mare.zeros(3, "u8"):nonzero().shape)
    local labels = mare.tensor({2, 1, 3}, "i64")
    assert.same({{0, 1, 0}, {1, 0, 0}, {0, 0, 1}}, labels:onehot():totable())
    assert.same({3, 5}, labels:onehot(5).shape)
    assert.same("f32", labels:onehot(3, "f32").dtype)
  end)
end)
