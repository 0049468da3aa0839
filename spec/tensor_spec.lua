-- tensor_spec.lua -- making tensors, looking at parts of them, writing through an index,
-- converting, computing with numbers and with each other: all of it against a model in
-- plain Lua over many random cases, then the corners by hand.

local mare = require "mare"
local support = require "spec.support"

local flat, demand, same = support.flat, support.demand, support.same
local count, positions, offset = support.count, support.positions, support.offset
local unpack = table.unpack

local random = support.sequence(11)
local function int(lo, hi) return lo + math.floor(random() * (hi - lo + 1)) end
local function pick(t) return t[int(1, #t)] end

-- -- the model: a view is a shape and, in row-major order, the places of a shared array ------

local function model_of(shape)
  local m = {shape = shape, at = {}, memory = {}}
  for i = 1, count(shape) do m.at[i], m.memory[i] = i, i end
  return m
end

local function values(m)
  local v = {}
  for i, place in ipairs(m.at) do v[i] = m.memory[place] end
  return v
end

-- the view of m with this shape whose element p is m's element at(p)
local function view(m, shape, at)
  local v = {shape = shape, at = {}, memory = m.memory}
  positions(shape, function(p) v.at[#v.at + 1] = m.at[offset(m.shape, at(p))] end)
  return v
end

local function copied(m)
  local c = {shape = m.shape, at = {}, memory = values(m)}
  for i = 1, #m.at do c.at[i] = i end
  return c
end

local function agree(t, m, what)
  demand(table.concat(t.shape, "x") == table.concat(m.shape, "x"), "%s: shape %s, expected %s",
    what, table.concat(t.shape, "x"), table.concat(m.shape, "x"))
  same(flat(t), values(m), 0, what)
end

-- -- random views -------------------------------------------------------------------------------

-- one dimension of an index: what the user types, as a table entry and as text, and the
-- places it means (nil: the dimension goes)
local function random_entry(size)
  local function either(i) return random() < 0.5 and i or i - size - 1 end
  local kind = size == 0 and 1 or int(1, 5)
  local all = {}
  if kind == 1 then
    for i = 1, size do all[i] = i end
    return {}, ":", all
  elseif kind == 2 then
    local i = int(1, size)
    local typed = either(i)
    return typed, tostring(typed), i
  end
  local first = int(1, size)
  local last = int(first, size)
  local step = kind == 3 and 1 or int(1, 3)
  for i = first, last, step do all[#all + 1] = i end
  local a, b = either(first), either(last)
  local text = ("%d:%d"):format(a, b)
  if kind == 3 then return {a, b}, text, all end
  if last == size and first == 1 then text = ":" end
  return {a, b, step}, text .. ":" .. step, all
end

local function random_index(m)
  local key, texts, lists, shape = {}, {}, {}, {}
  for d = 1, int(1, #m.shape) do key[d], texts[d], lists[d] = random_entry(m.shape[d]) end
  for d = 1, #m.shape do
    if not lists[d] then
      lists[d] = {}
      for i = 1, m.shape[d] do lists[d][i] = i end
    end
    if type(lists[d]) == "table" then shape[#shape + 1] = #lists[d] end
  end
  local result = view(m, shape, function(p)
    local q, k = {}, 0
    for d, l in ipairs(lists) do
      if type(l) == "table" then
        k = k + 1
        q[d] = l[p[k]]
      else
        q[d] = l
      end
    end
    return q
  end)
  if #key == 1 and type(key[1]) == "number" and random() < 0.5 then return key[1], result end
  if random() < 0.4 then return table.concat(texts, pick {",", ", "}), result end
  return key, result
end

local function random_order(n)
  local order = {}
  for i = 1, n do table.insert(order, int(1, i), i) end
  return order
end

local function divisors(n)
  local shape = {}
  while n > 1 and #shape < 5 do
    local d = int(1, n)
    if n % d == 0 then
      shape[#shape + 1] = d
      n = n // d
    end
  end
  shape[#shape + 1] = n
  return shape
end

-- each takes a tensor and its model and returns a view of both, or nothing
local steps = {}

function steps.index(t, m)
  if #m.shape == 0 then return end
  local key, result = random_index(m)
  return t[key], result
end

function steps.permute(t, m)
  local order = random_order(#m.shape)
  if #order == 0 then return end
  local shape = {}
  for d, from in ipairs(order) do shape[d] = m.shape[from] end
  return t:permute(order), view(m, shape, function(p)
    local q = {}
    for d, from in ipairs(order) do q[from] = p[d] end
    return q
  end)
end

function steps.transpose(t, m)
  local n = #m.shape
  if n < 2 then return end
  local a, b = int(1, n), int(1, n)
  local shape = {unpack(m.shape)}
  shape[a], shape[b] = shape[b], shape[a]
  return t:transpose(a, b - n - 1), view(m, shape, function(p)
    local q = {unpack(p, 1, n)}
    q[a], q[b] = q[b], q[a]
    return q
  end)
end

function steps.narrow(t, m)
  local d = int(1, #m.shape)
  if #m.shape == 0 or m.shape[d] == 0 then return end
  local first = int(1, m.shape[d])
  local length = int(0, m.shape[d] - first + 1)
  local shape = {unpack(m.shape)}
  shape[d] = length
  return t:narrow(d, first, length), view(m, shape, function(p)
    local q = {unpack(p, 1, #shape)}
    q[d] = q[d] + first - 1
    return q
  end)
end

function steps.select(t, m)
  local d = int(1, #m.shape)
  if #m.shape == 0 or m.shape[d] == 0 then return end
  local i = int(1, m.shape[d])
  local shape = {unpack(m.shape)}
  table.remove(shape, d)
  return t:select(d, i), view(m, shape, function(p)
    local q = {unpack(p, 1, #shape)}
    table.insert(q, d, i)
    return q
  end)
end

function steps.squeeze(t, m)
  local d, shape, kept = int(1, #m.shape), {}, {}
  local one = #m.shape > 0 and random() < 0.5
  for k, s in ipairs(m.shape) do
    if s ~= 1 or (one and k ~= d) then
      shape[#shape + 1] = s
      kept[#kept + 1] = k
    end
  end
  local y = one and t:squeeze(d) or nil
  return y or t:squeeze(), view(m, shape, function(p)
    local q = {}
    for k = 1, #m.shape do q[k] = 1 end
    for k, from in ipairs(kept) do q[from] = p[k] end
    return q
  end)
end

function steps.unsqueeze(t, m)
  if #m.shape > 5 then return end
  local d = int(1, #m.shape + 1)
  local shape = {unpack(m.shape)}
  table.insert(shape, d, 1)
  return t:unsqueeze(d), view(m, shape, function(p)
    local q = {unpack(p, 1, #shape)}
    table.remove(q, d)
    return q
  end)
end

-- a view where the strides allow one, otherwise a copy
local function reshaped(t, m, y, shape)
  local from = y:isview() and m or copied(m)
  demand(y:isview() or not t:iscontiguous(), "a contiguous tensor was copied by reshape")
  return y, {shape = shape, at = from.at, memory = from.memory}
end

function steps.reshape(t, m)
  if count(m.shape) == 0 then return end
  local shape = divisors(count(m.shape))
  local typed = {unpack(shape)}
  if random() < 0.3 then typed[int(1, #typed)] = -1 end
  return reshaped(t, m, random() < 0.5 and t:reshape(typed) or t:reshape(unpack(typed)), shape)
end

function steps.flatten(t, m)
  return reshaped(t, m, t:flatten(), {count(m.shape)})
end

local step_names = {}
for name in pairs(steps) do step_names[#step_names + 1] = name end
table.sort(step_names)

local function random_shape()
  local shape = {}
  for d = 1, int(0, 4) do shape[d] = random() < 0.06 and 0 or random() < 0.2 and 1 or int(2, 5) end
  return shape
end

-- -- writing ------------------------------------------------------------------------------------------

local function write(t, m)
  if #m.shape == 0 then
    t:fill_(-3)
    m.memory[m.at[1]] = -3
    return
  end
  local key, part = random_index(m)
  if random() < 0.5 then
    local v = int(-99, -1)
    t[key] = v
    for _, place in ipairs(part.at) do m.memory[place] = v end
    return
  end
  local shape = {unpack(part.shape, #part.shape > 0 and int(1, #part.shape + 1) or 1)}
  for d = 1, #shape do if random() < 0.2 then shape[d] = 1 end end     -- broadcast
  local source = {}
  for i = 1, count(shape) do source[i] = int(100, 200) end
  t[key] = support.tensor(source, pick {"f32", "f64", "i64", "u8"}, shape)
  positions(part.shape, function(p)
    local q, lead = {}, #part.shape - #shape
    for d = 1, #shape do q[d] = shape[d] == 1 and 1 or p[d + lead] end
    m.memory[part.at[offset(part.shape, p)]] = source[offset(shape, q)]
  end)
end

describe("views", function()
  it("read what the model reads, over random chains", function()
    for case = 1, 1500 do
      local m = model_of(random_shape())
      local t = support.tensor(m.memory, pick {"f32", "f64", "i64", #m.at < 256 and "u8" or "f32"},
        m.shape)
      local chain = {}
      for _ = 1, int(1, 5) do
        local name = pick(step_names)
        local y, v = steps[name](t, m)
        if y then
          chain[#chain + 1] = name
          t, m = y, v
          agree(t, m, ("case %d: %s"):format(case, table.concat(chain, " ")))
        end
      end
    end
  end)

  it("share memory: what is written through one is seen in all", function()
    for case = 1, 600 do
      local m = model_of(random_shape())
      local t = support.tensor(m.memory, pick {"f32", "f64", "i64"}, m.shape)
      local all = {{t, m}}
      for _ = 1, 3 do
        local from = pick(all)
        local y, v = steps[pick(step_names)](from[1], from[2])
        if y then all[#all + 1] = {y, v} end
      end
      for _ = 1, 2 do
        local at = pick(all)
        write(at[1], at[2])
        for k, pair in ipairs(all) do
          agree(pair[1], pair[2], ("case %d, view %d"):format(case, k))
        end
      end
    end
  end)

  it("expand repeats without a copy", function()
    for case = 1, 200 do
      local shape, small = random_shape(), {}
      local lead = int(0, 2)
      for d, s in ipairs(shape) do small[d] = random() < 0.5 and 1 or s end
      local m = model_of(small)
      local t = support.tensor(m.memory, "f32", small)
      for _ = 1, lead do table.insert(shape, 1, int(1, 3)) end
      local typed = {}
      for d, s in ipairs(shape) do typed[d] = d > lead and s == small[d - lead] and -1 or s end
      local y = t:expand(typed)
      agree(y, view(m, shape, function(p)
        local q = {}
        for d = 1, #small do q[d] = small[d] == 1 and 1 or p[d + lead] end
        return q
      end), "case " .. case)
      demand(y:isview(), "a copy")
    end
  end)

  it("every form of an index", function()
    local x = mare.tensor {{1, 2, 3}, {4, 5, 6}}
    assert.same({1, 2, 3}, x[1]:totable())
    assert.same({4, 5, 6}, x[-1]:totable())
    assert.same(6, x[{2, 3}]:item())
    assert.same({}, x[{2, 3}].shape)
    assert.same({{1, 2, 3}, {4, 5, 6}}, x[{ {1, 2}, {} }]:totable())
    assert.same({{2, 3}, {5, 6}}, x[{ {}, {2, 3} }]:totable())
    assert.same({{1, 3}, {4, 6}}, x[{ {}, {1, 3, 2} }]:totable())
    assert.same({{1, 2, 3}, {4, 5, 6}}, x["1:2, :"]:totable())
    assert.same({{1, 3}, {4, 6}}, x[":, ::2"]:totable())
    assert.same({3, 6}, x[":, -1"]:totable())
    assert.same({{5, 6}}, x["-1:-1, 2:"]:totable())
    assert.same({4, 5}, x["2, :2"]:totable())
    assert.same({{1, 2, 3}, {4, 5, 6}}, x[{}]:totable())
    assert.same({{4, 5, 6}}, x[{ {2} }]:totable())
    assert.same({{4, 5, 6}}, x["2:2"]:totable())
    assert.same({0, 3}, x[{ {2, 1} }].shape)       -- an empty range
    assert.same({2, 0}, x["1:2, 4:3"].shape)
    assert.same({1, 2, 3}, x[1.0]:totable())
    x[{ {}, 2 }] = 0
    assert.same({{1, 0, 3}, {4, 0, 6}}, x:totable())
    x[1] = mare.tensor {7, 8, 9}
    x["2, ::2"] = 5
    assert.same({{7, 8, 9}, {5, 0, 5}}, x:totable())
    x[{2, 2}] = mare.tensor(4)
    assert.same({{7, 8, 9}, {5, 4, 5}}, x:totable())
  end)

  it("masks read and write", function()
    for case = 1, 100 do
      local n = int(0, 20)
      local v, bits, chosen, filled, scattered = {}, {}, {}, {}, {}
      for i = 1, n do v[i], bits[i] = int(1, 50), int(0, 2) end
      for i = 1, n do
        if bits[i] ~= 0 then chosen[#chosen + 1] = v[i] end
        filled[i] = bits[i] ~= 0 and -1 or v[i]
        scattered[i] = bits[i] ~= 0 and 100 + #chosen or v[i]
      end
      local shape = n % 2 == 0 and n > 0 and {2, n // 2} or {n}
      local x, mask = support.tensor(v, "f32", shape), support.tensor(bits, "u8", shape)
      same(flat(x[mask]), chosen, 0, "x[mask], case " .. case)
      same(flat(x:masked_select(mask)), chosen, 0, "masked_select")
      local y, z = x:clone(), x:clone()
      y[mask] = -1
      same(flat(y), filled, 0, "x[mask] = number")
      local new = {}
      for i = 1, #chosen do new[i] = 100 + i end
      z[mask] = mare.tensor(new)
      same(flat(z), scattered, 0, "x[mask] = tensor")
      same(flat(x), v, 0, "x itself")
    end
    local x = mare.arange(1, 6):reshape(2, 3)
    x[x:gt(4)] = 0
    assert.same({{1, 2, 3}, {4, 0, 0}}, x:totable())
  end)

  it("tensors of positions choose rows", function()
    local x = mare.arange(1, 6):reshape(3, 2)
    assert.same({{5, 6}, {1, 2}, {5, 6}}, x[mare.tensor({3, 1, -1}, "i64")]:totable())
  end)
end)

-- -- making ----------------------------------------------------------------------------------------------

describe("making", function()
  it("from tables, numbers and tensors", function()
    local x = mare.tensor {{1, 2, 3}, {4, 5, 6}}
    assert.same({2, 3}, x.shape)
    assert.same("f32", x.dtype)
    assert.same({{1, 2, 3}, {4, 5, 6}}, x:totable())
    assert.same({{{1}, {2}}}, mare.tensor({{{1}, {2}}}, "i64"):totable())
    assert.same("integer", math.type(mare.tensor({7}, "i64"):totable()[1]))
    assert.same("float", math.type(mare.tensor({7}, "f64"):totable()[1]))
    assert.same(3.5, mare.tensor(3.5):item())
    assert.same({}, mare.tensor(3.5).shape)
    assert.same({0}, mare.tensor({}).shape)
    assert.same({2, 0}, mare.tensor({{}, {}}).shape)
    assert.same({1, 0, 1}, mare.tensor({true, false, true}, "u8"):totable())
    assert.same(math.mininteger, mare.tensor({math.mininteger}, "i64"):totable()[1])
    local y = mare.tensor(x, "f64")
    assert.same("f64", y.dtype)
    y[1] = 0
    assert.same({1, 2, 3}, x[1]:totable())
    assert.same("f32", mare.tensor(x).dtype)
  end)

  it("with a value", function()
    assert.same({{0, 0, 0}, {0, 0, 0}}, mare.zeros(2, 3):totable())
    assert.same({{1, 1}}, mare.ones{1, 2}:totable())
    assert.same("i64", mare.ones(2, "i64").dtype)
    assert.same("u8", mare.zeros({3}, "u8").dtype)
    assert.same({{7, 7}}, mare.full({1, 2}, 7):totable())
    assert.same(math.maxinteger, mare.full({1}, math.maxinteger, "i64"):item())
    assert.same({{1, 0}, {0, 1}}, mare.eye(2):totable())
    assert.same({{1, 0, 0}, {0, 1, 0}}, mare.eye(2, 3, "i64"):totable())
    assert.same({}, mare.zeros().shape)
    assert.same({}, mare.zeros{}.shape)
    assert.same({0, 3}, mare.zeros(0, 3).shape)
    assert.same({4, 5}, mare.empty(4, 5).shape)
  end)

  it("ranges, with the last included", function()
    assert.same({1, 2, 3, 4, 5}, mare.arange(1, 5):totable())
    assert.same({1, 3, 5}, mare.arange(1, 6, 2):totable())
    assert.same({3, 2, 1}, mare.arange(3, 1, -1, "i64"):totable())
    assert.same({0}, mare.arange(2, 1).shape)
    assert.same(11, mare.arange(0, 1, 0.1):numel())
    assert.same({0, 0.25, 0.5, 0.75, 1}, mare.linspace(0, 1, 5):totable())
    assert.same({2}, mare.linspace(2, 9, 1):totable())
    local l = mare.linspace(-1, 3, 4096, "f64")
    assert.same(-1, l[1]:item())
    assert.same(3, l[-1]:item())
    assert.same(0.1, mare.linspace(0, 0.1, 12, "f64")[-1]:item())     -- 11 * (0.1 / 11) is not
  end)

  it("random numbers: repeatable, and in their intervals", function()
    mare.seed(42)
    local a, b, c = mare.rand(1000), mare.randn({10, 10}, "f64"), mare.randperm(50)
    local i = mare.randint(-2, 3, 500)
    mare.seed(42)
    assert.same(a:tobytes(), mare.rand(1000):tobytes())
    assert.same(b:tobytes(), mare.randn({10, 10}, "f64"):tobytes())
    assert.same(c:tobytes(), mare.randperm(50):tobytes())
    assert.same(i:tobytes(), mare.randint(-2, 3, 500):tobytes())
    assert.not_same(a:tobytes(), mare.rand(1000):tobytes())
    for _, v in ipairs(flat(a)) do assert.is_true(v >= 0 and v < 1) end
    local seen = {}
    for _, v in ipairs(flat(i)) do seen[v] = true end
    assert.same({[-2] = true, [-1] = true, [0] = true, [1] = true, [2] = true, [3] = true}, seen)
    local order = flat(c)
    table.sort(order)
    for k = 1, 50 do assert.same(k, order[k]) end
    local key, counter = mare.rng_state()
    local d = mare.rand(5):tobytes()
    mare.rng_state(key, counter)
    assert.same(d, mare.rand(5):tobytes())
    local lowest, highest = mare.randint(math.mininteger, math.maxinteger, 64), mare.randint(5, 5, 3)
    assert.same(64, lowest:numel())
    assert.same({5, 5, 5}, highest:totable())
  end)

  it("bytes there and back", function()
    for _, dtype in ipairs {"f32", "f64", "i64", "u8"} do
      local x = mare.arange(1, 6, dtype):reshape(2, 3)
      local y = mare.frombytes(x:tobytes(), dtype, {2, 3})
      assert.same(x:totable(), y:totable())
      assert.same(x:t():contiguous():tobytes(), x:t():tobytes())
      assert.same({6}, mare.frombytes(x:tobytes(), dtype).shape)
    end
    assert.same({0, 2}, mare.frombytes("", "f32", 0, 2).shape)
    assert.same("\1\2\3", mare.frombytes("\1\2\3", "u8", 3):tobytes())
  end)
end)

-- -- element types ---------------------------------------------------------------------------------------------

describe("element types", function()
  it("convert", function()
    local v = {0, 1, 2, 100, 255}
    for _, from in ipairs {"f32", "f64", "i64", "u8"} do
      local x = mare.tensor(v, from)
      for _, to in ipairs {"f32", "f64", "i64", "u8"} do
        assert.same(to, x:to(to).dtype)
        assert.same(v, x:to(to):totable())
        demand(rawequal(x:to(to), x) == (from == to), "%s to %s is%s a copy", from, to,
          from == to and "" or " not")
      end
    end
    assert.same({1, -1, 0}, mare.tensor({1.9, -1.9, 0.5}):to "i64":totable())
    assert.same({2^53 | 0}, mare.tensor({2^53}, "f64"):to "i64":totable())
  end)

  it("convert what does not fit without trouble", function()
    for _, from in ipairs {"f32", "f64"} do
      local x = mare.tensor({0/0, math.huge, -math.huge, 1e30, -1e30, 256, -1}, from)
      for _, to in ipairs {"i64", "u8"} do
        local first = x:to(to):tobytes()
        assert.same(first, x:to(to):tobytes())
        assert.same(first, mare.stack({x, x}, 2)[":, 1"]:to(to):tobytes())    -- strided
      end
    end
    assert.same(math.huge, mare.tensor({1e300}, "f64"):to "f32":totable()[1])
  end)

  it("keep NaN, infinities and the sign of zero", function()
    local x = mare.tensor({0/0, math.huge, -0.0}, "f64")
    local y = x:to "f32":to "f64":totable()
    assert.is_true(y[1] ~= y[1] and y[2] == math.huge and 1 / y[3] == -math.huge)
  end)
end)

-- -- computing with operators ----------------------------------------------------------------------------------

local operators = {
  {"+", function(a, b) return a + b end}, {"-", function(a, b) return a - b end},
  {"*", function(a, b) return a * b end}, {"/", function(a, b) return a / b end},
  {"^", function(a, b) return a ^ b end}, {"%", function(a, b) return a % b end},
  {"//", function(a, b) return a // b end},
}

describe("operators", function()
  it("broadcast as the model does", function()
    for case = 1, 300 do
      local shape = random_shape()
      local parts = {}
      for k = 1, 2 do
        local s = {unpack(shape, #shape > 0 and int(1, #shape + (k - 1)) or 1)}
        if k == 1 then s = {unpack(shape)} end
        for d = 1, #s do if random() < 0.3 and s[d] > 0 then s[d] = 1 end end
        local v = {}
        for i = 1, count(s) do v[i] = int(1, 9) end
        parts[k] = {shape = s, v = v, t = support.tensor(v, "f64", s)}
      end
      local a, b = parts[1], parts[2]
      local out, want = {}, {}
      for d = 1, math.max(#a.shape, #b.shape) do
        local n = math.max(#a.shape, #b.shape)
        local sa, sb = a.shape[d - n + #a.shape] or 1, b.shape[d - n + #b.shape] or 1
        out[d] = sa == 1 and sb or sa
      end
      local function at(part, p)
        local q, lead = {}, #out - #part.shape
        for d = 1, #part.shape do q[d] = part.shape[d] == 1 and 1 or p[d + lead] end
        return part.v[offset(part.shape, q)]
      end
      local op = pick(operators)
      positions(out, function(p) want[#want + 1] = op[2](at(a, p), at(b, p)) end)
      local y = op[2](a.t, b.t)
      assert.same(out, y.shape)
      same(flat(y), want, 1e-14, ("case %d: %s"):format(case, op[1]))
    end
  end)

  it("take numbers on either side", function()
    local v = {1, -2, 3.5, 0.25}
    for _, dtype in ipairs {"f32", "f64"} do
      for _, op in ipairs(operators) do
        local left, right = {}, {}
        for i, x in ipairs(v) do
          left[i], right[i] = op[2](2, x), op[2](x, 2)
        end
        local t = mare.tensor(v, dtype)
        same(flat(op[2](2, t)), left, 1e-6, "2 " .. op[1] .. " t")
        same(flat(op[2](t, 2)), right, 1e-6, "t " .. op[1] .. " 2")
        assert.same(dtype, op[2](2, t).dtype)
      end
      same(flat(-mare.tensor(v, dtype)), {-1, 2, -3.5, -0.25}, 0, "minus")
    end
    local i = mare.tensor({7, -7}, "i64")
    assert.same({9, -5}, (i + 2):totable())
    assert.same({-2, 1}, (i // -4):totable())
    assert.same({2, 3}, (i % 5):totable())
  end)

  it("are right at the edges: 0-d, empty, eight dimensions", function()
    local s = mare.tensor(2) * mare.tensor(3)
    assert.same({}, s.shape)
    assert.same(6, s:item())
    assert.same({2, 2}, (mare.ones(2, 2) + mare.tensor(1)).shape)
    assert.same({0, 3}, (mare.zeros(0, 3) + mare.ones(3)).shape)
    assert.same({0}, (mare.zeros(0) * 2).shape)
    assert.same({0}, (mare.zeros(0) + mare.ones(1)).shape)
    local shape = {2, 1, 2, 1, 2, 1, 2, 1}
    local other = {1, 2, 1, 2, 1, 2, 1, 2}
    local y = mare.ones(shape) + mare.ones(other):permute(8, 7, 6, 5, 4, 3, 2, 1)
    assert.same({2, 1, 2, 1, 2, 1, 2, 1}, y.shape)
    y = mare.arange(1, 16):reshape(shape) + mare.arange(1, 16):reshape(other)
    assert.same({2, 2, 2, 2, 2, 2, 2, 2}, y.shape)
    assert.same(32, y[{2, 2, 2, 2, 2, 2, 2, 2}]:item())
    assert.same(1 + 16, y["1, 2, 1, 2, 1, 2, 1, 2"]:item())
  end)

  it("compare into masks", function()
    local a, b = mare.tensor {1, 2, 3}, mare.tensor {3, 2, 1}
    assert.same({1, 0, 0}, a:lt(b):totable())
    assert.same({0, 1, 1}, a:ge(b):totable())
    assert.same("u8", a:eq(2).dtype)
    assert.same({1, 0, 1}, a:ne(2):totable())
    assert.same({0, 0, 1}, a:gt(1):logical_and(b:lt(2)):totable())
    assert.same({1, 2, 1}, mare.where(a:lt(b), a, b):totable())
  end)
end)

-- -- changing ---------------------------------------------------------------------------------------------------

describe("in place", function()
  it("methods with _ change the tensor and return it", function()
    local x = mare.tensor {1, 2, 3}
    local v = x[{ {2, 3} }]
    assert.is_true(rawequal(x, x:add_(mare.tensor {1, 1, 1})))
    assert.same({3, 4}, v:totable())
    x:mul_(2):sub_(1)
    assert.same({3, 5, 7}, x:totable())
    v:zero_()
    assert.same({3, 0, 0}, x:totable())
    x:fill_(4)
    v:copy_(mare.tensor({8}, "i64"))
    assert.same({4, 8, 8}, x:totable())
    x:clamp_(0, 5)
    assert.same({4, 5, 5}, x:totable())
    v:add_(x[{ {1, 2} }])      -- overlapping
    assert.same({4, 9, 10}, x:totable())
    x[{ {2, 3} }] = x[{ {1, 2} }]
    assert.same({4, 4, 9}, x:totable())
    x:t():neg_()
    assert.same({-4, -4, -9}, x:totable())
    local v2, n = {}, 100
    for i = 1, n * n do v2[i] = i end
    local m = support.tensor(v2, "f64", {n, n})
    m[{}] = m:t()                 -- every element moves
    for i = 1, n do
      for j = 1, n do v2[(i - 1) * n + j] = (j - 1) * n + i end
    end
    same(flat(m), v2, 0, "a matrix onto its transpose")
    m:copy_(m:t())
    m:reshape(-1)["2:"] = m:reshape(-1)[{ {1, n * n - 1} }]
    same({m[{1, 2}]:item(), m[{n, n}]:item()}, {1, n * n - 1}, 0, "shifted")
  end)

  it("random targets", function()
    mare.seed(3)
    local x = mare.zeros(200):uniform_(2, 3)
    for _, v in ipairs(flat(x)) do assert.is_true(v >= 2 and v < 3) end
    local mean = 0
    for _, v in ipairs(flat(mare.zeros(4000):normal_(5, 0.5))) do mean = mean + v / 4000 end
    assert.is_true(math.abs(mean - 5) < 0.05)
    local ones = 0
    for _, v in ipairs(flat(mare.zeros(4000):bernoulli_(0.25))) do ones = ones + v end
    assert.is_true(math.abs(ones - 1000) < 120)
  end)

  it("a mask in the memory that is written is read first", function()
    for _, put in ipairs {
      function(x, mask) x:masked_fill_(mask, 1) end,
      function(x, mask) x:masked_scatter_(mask, mare.ones(1, "u8")) end,
    } do
      local s = mare.zeros(3001, "u8")
      s[1024] = 1
      put(s:narrow(1, 2, 3000), s:narrow(1, 1, 3000))
      assert.same(2, s:sum():item())
    end
  end)

  it("clone and contiguous", function()
    local x = mare.arange(1, 6):reshape(2, 3)
    local c, t = x:clone(), x:t()
    c[1] = 0
    assert.same({1, 2, 3}, x[1]:totable())
    assert.is_true(rawequal(x, x:contiguous()))
    assert.is_false(t:iscontiguous())
    assert.is_true(t:contiguous():iscontiguous())
    assert.same(t:totable(), t:contiguous():totable())
    assert.is_true(t:isview() and not x:clone():isview())
  end)

  it("closing", function()
    local x = mare.zeros(3)
    local v = x[1]
    x:close()
    x:close()
    assert.is_true(x:isclosed())
    assert.same(0, v:item())
    do local y <close> = v end     -- luacheck: ignore
    assert.is_true(v:isclosed())
  end)
end)

-- -- several tensors ----------------------------------------------------------------------------------------------

describe("joining and splitting", function()
  it("cat and stack agree with the model", function()
    for case = 1, 100 do
      local shape = random_shape()
      if #shape == 0 then shape = {2} end
      local d, n = int(1, #shape), int(1, 4)
      local parts, total = {}, 0
      for k = 1, n do
        local s = {unpack(shape)}
        s[d] = int(0, 3)
        local v = {}
        for i = 1, count(s) do v[i] = 100 * k + i end
        parts[k] = {shape = s, v = v, t = support.tensor(v, "f64", s), first = total}
        total = total + s[d]
      end
      local out, want, tensors = {unpack(shape)}, {}, {}
      out[d] = total
      for k, part in ipairs(parts) do tensors[k] = part.t end
      positions(out, function(p)
        for _, part in ipairs(parts) do
          local i = p[d] - part.first
          if i >= 1 and i <= part.shape[d] then
            local q = {unpack(p, 1, #shape)}
            q[d] = i
            want[#want + 1] = part.v[offset(part.shape, q)]
            return
          end
        end
      end)
      local y = mare.cat(tensors, d)
      assert.same(out, y.shape)
      same(flat(y), want, 0, "cat, case " .. case)
      local first = 1
      for _, part in ipairs(parts) do
        same(flat(y:narrow(d, first, part.shape[d])), part.v, 0, "part")
        first = first + part.shape[d]
      end
    end
    local a, b = mare.tensor {1, 2}, mare.tensor {3, 4}
    assert.same({{1, 2}, {3, 4}}, mare.stack({a, b}, 1):totable())
    assert.same({{1, 3}, {2, 4}}, mare.stack({a, b}, 2):totable())
  end)

  it("split and chunk give all parts as views", function()
    local x = mare.arange(1, 10)
    local parts = {x:split(4, 1)}
    if type(parts[1]) == "table" then parts = parts[1] end
    local shapes = {}
    for k, p in ipairs(parts) do shapes[k] = p.shape[1] end
    assert.same({4, 4, 2}, shapes)
    parts[3]:zero_()
    assert.same({7, 8, 0, 0}, x[{ {7, 10} }]:totable())
    parts = {x:chunk(3, 1)}
    if type(parts[1]) == "table" then parts = parts[1] end
    local total = 0
    for _, p in ipairs(parts) do total = total + #p end
    assert.same(10, total)
    assert.same(3, #parts)
  end)
end)

describe("questions", function()
  it("answer", function()
    local x = mare.zeros(2, 3)
    assert.same(2, #x)
    assert.same(3, x:size(2))
    assert.same(3, x:size(-1))
    assert.same({2, 3}, x:size())
    assert.same(2, x:dim())
    assert.same(6, x:numel())
    assert.same({3, 1}, x:stride())
    assert.same(0, mare.zeros(0, 5):numel())
    assert.same(1, mare.tensor(1):numel())
    assert.is_true(mare.is_tensor(x))
    assert.is_false(mare.is_tensor({}))
    assert.is_nil(x.grad)
    assert.is_truthy(tostring(x):find("2x3", 1, true))
  end)
end)
