-- data_spec.lua -- data sets: what is shipped, splitting, folds, batches, conversion.

local mare = require "mare"
local support = require "spec.support"
local data = mare.data

local here = "data_spec.lua:"

-- n rows whose inputs tell the row: x[i] = { i, -i }, y[i] = i % classes + 1
local function numbered(n, classes)
  local x, y = {}, {}
  for i = 1, n do
    x[i], y[i] = { i, -i }, i % (classes or 3) + 1
  end
  return data.dataset(mare.tensor(x), mare.tensor(y, "i64"))
end

-- The rows that batches deliver, in order.
local function rows_of(ds, opts)
  local list, sizes = {}, {}
  for x, y in ds:batches(opts or {}) do
    sizes[#sizes + 1] = x:size(1)
    for i, row in ipairs(x:totable()) do
      list[#list + 1] = math.tointeger(row[1])
      assert.equal(-row[1], row[2])
      assert.equal(y[i]:item(), list[#list] % 3 + 1)
    end
  end
  return list, sizes
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- -- batches ---------------------------------------------------------------------------

describe("batches", function()
  it("hand out every row once, in order, the last batch smaller", function()
    local list, sizes = rows_of(numbered(10), { size = 4 })
    assert.same(range(10), list)
    assert.same({ 4, 4, 2 }, sizes)
    assert.same({ 4, 4 }, select(2, rows_of(numbered(10), { size = 4, drop_last = true })))
    assert.same({ 32, 3 }, select(2, rows_of(numbered(35))))
    assert.same({}, rows_of(numbered(3), { size = 4, drop_last = true }))
  end)

  it("shuffle by seed and epoch", function()
    local ds = numbered(100)
    local a = rows_of(ds, { shuffle = true, seed = 1 })
    assert.same(range(100), sorted(a))
    assert.are_not.same(range(100), a)
    assert.same(a, rows_of(ds, { shuffle = true, seed = 1, size = 7 }))
    assert.are_not.same(a, rows_of(ds, { shuffle = true, seed = 2 }))
    local second = rows_of(ds, { shuffle = true, seed = 1, epoch = 2 })
    assert.are_not.same(a, second)
    assert.same(range(100), sorted(second))
  end)

  it("shuffle by mare.seed when no seed is given", function()
    local ds = numbered(50)
    mare.seed(7)
    local a, b = rows_of(ds, { shuffle = true }), rows_of(ds, { shuffle = true })
    mare.seed(7)
    assert.same(a, rows_of(ds, { shuffle = true }))
    assert.are_not.same(a, b)
  end)

  it("turn bytes into f32 in 0..1, and leave the data set alone", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = i end
    local images = mare.tensor(bytes, "u8"):reshape(4, 8, 8)
    local ds = data.dataset(images)
    for x, y in ds:batches { size = 3 } do
      assert.equal("f32", x.dtype)
      assert.same({ x:size(1), 8, 8 }, x.shape)
      assert.is_nil(y)
    end
    local x = ds:batch { 4, 1 }
    local got = support.flat(x)
    for i = 1, 64 do
      assert.near((191 + i) / 255, got[i], 1e-7)
      assert.near((i - 1) / 255, got[64 + i], 1e-7)
    end
    assert.equal(1, got[64])
    assert.equal("u8", ds.x.dtype)
    assert.equal(images:tobytes(), ds.x:tobytes())
  end)

  it("convert long rows alike on any number of threads", function()
    local now, n = mare.threads(), 100003
    local x = mare.frombytes(string.char(0, 1, 127, 128, 255, 254, 3):rep(n), "u8", { 7, n })
    local bytes
    for _, threads in ipairs { 1, 2, 4 } do
      mare.threads(threads)
      local got = data.dataset(x):batch({ 7, 1, 3, 3 }):tobytes()
      assert.equal(bytes or got, got)
      bytes = got
    end
    mare.threads(now)
  end)

  it("keep the type of other inputs and of targets", function()
    local x = mare.randn({ 6, 2 }, "f64")
    local y = mare.randn({ 6, 3 }, "f64")
    local a, b = data.dataset(x, y):batch { 6, 2 }
    assert.equal(x[{ { 6, 6 } }]:tobytes() .. x[{ { 2, 2 } }]:tobytes(), a:tobytes())
    assert.equal(y[{ { 6, 6 } }]:tobytes() .. y[{ { 2, 2 } }]:tobytes(), b:tobytes())
    local _, labels = data.dataset(x, mare.tensor({ 1, 2, 3, 4, 5, 6 }, "u8")):batch { 3 }
    assert.equal("u8", labels.dtype)
  end)

  it("are copies: writing to one changes nothing", function()
    local ds = numbered(4)
    for x in ds:batches {} do x:fill_(0) end
    assert.same(range(4), rows_of(ds))
  end)

  it("take inputs with strides", function()
    local ds = data.dataset(mare.tensor { { 1, 2, 3 }, { -1, -2, -3 } }:t(),
      mare.tensor({ 2, 3, 1 }, "i64"))
    assert.same(range(3), rows_of(ds))
  end)
end)

-- -- parts -------------------------------------------------------------------------------

describe("split", function()
  local function counts(ds)
    local n = {}
    for _, label in ipairs(ds.y:totable()) do n[label] = (n[label] or 0) + 1 end
    return n
  end

  it("gives every row to one of two parts", function()
    local a, b = numbered(11):split(0.8, { seed = 3 })
    assert.equal(9, #a)
    assert.equal(2, #b)
    local list, other = rows_of(a), rows_of(b)
    table.move(other, 1, #other, #list + 1, list)
    assert.same(range(11), sorted(list))
    assert.same(rows_of(a), rows_of((numbered(11):split(9, { seed = 3 }))))
    assert.are_not.same(rows_of(a), rows_of((numbered(11):split(9, { seed = 4 }))))
  end)

  it("may leave the order as it is", function()
    local a, b = numbered(5):split(3, { shuffle = false })
    assert.same({ 1, 2, 3 }, rows_of(a))
    assert.same({ 4, 5 }, rows_of(b))
  end)

  it("keeps the proportions of the labels", function()
    local ds = data.dataset(mare.zeros(100, 1),
      mare.cat({ mare.full({ 60 }, 1, "i64"), mare.full({ 30 }, 2, "i64"),
        mare.full({ 10 }, 3, "i64") }, 1))
    local a, b = ds:split(0.75, { stratify = true, seed = 1 })
    assert.equal(75, #a)
    assert.same({ 45, 23, 7 }, counts(a))
    assert.same({ 15, 7, 3 }, counts(b))
  end)

  it("can be split again", function()
    local train, rest = numbered(30):split(0.5, { seed = 1 })
    local a, b = rest:split(0.4, { stratify = true, seed = 2 })
    local all = rows_of(train)
    for _, part in ipairs { a, b } do
      local list = rows_of(part)
      table.move(list, 1, #list, #all + 1, all)
    end
    assert.same(range(30), sorted(all))
  end)
end)

describe("kfold", function()
  for _, stratify in ipairs { false, true } do
    it("tests every row once" .. (stratify and ", label by label" or ""), function()
      local tested, folds = {}, 0
      for train, test in numbered(20, 3):kfold(3, { seed = 1, stratify = stratify }) do
        folds = folds + 1
        local a, b = rows_of(train), rows_of(test)
        assert.equal(20, #a + #b)
        assert.is_true(#b == 6 or #b == 7)
        table.move(b, 1, #b, #tested + 1, tested)
        table.move(b, 1, #b, #a + 1, a)
        assert.same(range(20), sorted(a))
        if stratify then
          for label = 1, 3 do
            local n = 0
            for _, y in ipairs(test.y:totable()) do n = n + (y == label and 1 or 0) end
            assert.is_true(n == 2 or n == 3)
          end
        end
      end
      assert.equal(3, folds)
      assert.same(range(20), sorted(tested))
    end)
  end
end)

describe("a data set", function()
  it("knows its size, parts and words", function()
    local ds = data.dataset(mare.zeros(5, 2), mare.ones({ 5 }, "i64"), { classes = { "a", "b" } })
    assert.equal(5, #ds)
    assert.same({ 5, 2 }, ds.x.shape)
    assert.same({ 5 }, ds.y.shape)
    assert.same({ "a", "b" }, ds:subset({ 1 }).classes)
    assert.equal("data set of 5 rows: x 5x2 f32, y 5 i64, 2 classes", tostring(ds))
    assert.is_true(data.is_dataset(ds))
    assert.is_false(data.is_dataset(5))
    assert.is_nil(ds.nothing)
    assert.same({ 3, 3, 1 }, rows_of(numbered(5):subset(mare.tensor({ 3, 3, 1 }, "i64"))))
  end)

  it("shares memory with its parts", function()
    local ds = data.dataset(mare.zeros(1000, 1000))
    local before = mare.memory().live
    local a, b = ds:split(0.5)
    assert.is_true(#a + #b == 1000 and mare.memory().live - before < 100000)
  end)

  it("refuses misuse at the user's line", function()
    local x, y = mare.zeros(4, 2), mare.ones({ 4 }, "i64")
    local ds = data.dataset(x, y)
    local function bad(f, ...) support.fails(here, f, ...) end
    bad(function() data.dataset(3) end, "#1 to 'dataset' (tensor expected, got number)")
    bad(function() data.dataset(mare.tensor(3)) end, "got a scalar")
    bad(function() data.dataset(x, mare.ones(3)) end, "3 rows of targets for 4 rows of inputs")
    bad(function() data.dataset(x, y, { names = {} }) end, "unknown option 'names'; known: classes")
    bad(function() ds:batches { siez = 3 } end,
      "#1 to 'batches' (unknown option 'siez'; known: drop_last, epoch, seed, shuffle, size, "
        .. "skip)")
    bad(function() ds:batches { size = 0 } end, "whole number of at least 1 expected, got 0")
    bad(function() ds:batches { size = 1.5 } end, "got 1.5")
    bad(function() ds:batches { seed = "a" } end, "seed is an integer, not a")
    bad(function() ds:split(0) end, "#1 to 'split' (a fraction below 1 or a number of rows up to 4")
    bad(function() ds:split(5) end, "got 5")
    bad(function() ds:split(1.5) end, "got 1.5")
    bad(function() ds:split(0 / 0) end, "'split'")
    bad(function() ds:split(0.5, { stratified = true }) end, "unknown option 'stratified'")
    bad(function() data.dataset(x):split(0.5, { stratify = true }) end, "stratify needs targets")
    bad(function() data.dataset(x, x):split(0.5, { stratify = true }) end, "one label a row")
    bad(function() ds:kfold(1) end, "whole number of at least 2")
    bad(function() ds:kfold(5) end, "5 folds of 4 rows")
    bad(function() ds:subset { 5 } end, "row 5 (#1) of 4")
    bad(function() ds:subset { 0 } end, "row 0 (#1) of 4")
    bad(function() ds:batch(mare.ones(2)) end, "list of rows or i64 tensor expected, got f32 2")
    bad(function() data.source "x" end, "'digits' or 'iris' expected, got x")
  end)
end)

-- -- what is shipped, and Fashion-MNIST -----------------------------------------------------

describe("digits", function()
  it("are 1,797 rows of 64 columns in 0..1, labels 1..10", function()
    local ds = assert(data.digits())
    assert.equal(1797, #ds)
    assert.same({ 1797, 64 }, ds.x.shape)
    assert.equal("f32", ds.x.dtype)
    local counts, ink = {}, 0
    for _, y in ipairs(ds.y:totable()) do counts[y] = (counts[y] or 0) + 1 end
    assert.same({ 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 }, counts)
    for _, v in ipairs(support.flat(ds.x)) do
      assert.is_true(v >= 0 and v <= 1 and v * 16 % 1 == 0)
      ink = ink + v * 16
    end
    assert.equal(561718, ink) -- what the original table adds up to
    assert.equal("0", ds.classes[ds.y[1]:item()])
    assert.same({ 0, 0, 5, 13, 9, 1, 0, 0 }, (ds.x[1] * 16)[{ { 1, 8 } }]:totable())
    assert.truthy(data.source "digits".citation:find "Alpaydin")
    assert.equal("CC BY 4.0", data.source "digits".license)
  end)
end)

describe("iris", function()
  it("is 150 rows of 4 columns, labels 1..3", function()
    local ds = assert(data.iris())
    assert.same({ 150, 4 }, ds.x.shape)
    assert.equal("setosa", ds.classes[ds.y[1]:item()])
    support.same(support.flat(ds.x[1]), { 5.1, 3.5, 1.4, 0.2 }, 1e-7, "row 1")
    support.same(support.flat(ds.x[150]), { 5.9, 3, 5.1, 1.8 }, 1e-7, "row 150")
    assert.equal(3, ds.y[150]:item())
    assert.equal(4, #ds.features)
  end)
end)

describe("fashion_mnist", function()
  it("is two data sets of 28x28 bytes, or a message that names the package", function()
    local train, test = data.fashion_mnist()
    if not train then
      assert.truthy(test:find("dataset-fashion-mnist", 1, true))
      return
    end
    assert.equal("data set of 60000 rows: x 60000x28x28 u8, y 60000 i64, 10 classes",
      tostring(train))
    assert.equal(10000, #test)
    local counts = {}
    for _, y in ipairs(test.y:totable()) do counts[y] = (counts[y] or 0) + 1 end
    for label = 1, 10 do assert.equal(1000, counts[label]) end
    assert.equal("ankle boot", train.classes[train.y[1]:item()])
  end)

  it("reads a directory, with or without .gz, and says what is wrong with it", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
    local function put(name, sizes, bytes)
      local f = assert(io.open(dir .. "/" .. name, "wb"))
      f:write("\0\0\8", string.char(#sizes))
      for _, n in ipairs(sizes) do f:write(string.pack(">I4", n)) end
      f:write(bytes)
      f:close()
    end
    assert.truthy(select(2, data.fashion_mnist(dir)):find("No such file", 1, true))
    for _, part in ipairs { "train", "t10k" } do
      put(part .. "-images-idx3-ubyte", { 2, 1, 1 }, "\0\255")
      put(part .. "-labels-idx1-ubyte", { 2 }, "\0\9")
    end
    assert(os.execute("gzip " .. dir .. "/train-images-idx3-ubyte"))
    local train, test = data.fashion_mnist(dir)
    assert.same({ 1, 10 }, train.y:totable())
    assert.same({ 1, 10 }, test.y:totable())
    put("t10k-labels-idx1-ubyte", { 3 }, "\0\9\1")
    assert.truthy(select(2, data.fashion_mnist(dir)):find("do not belong together", 1, true))
    assert(os.execute("rm -r " .. dir))
    support.fails(here, function() data.fashion_mnist(3) end, "directory expected, got number")
    support.fails(here, function() data.idx() end, "#1 to 'idx' (path (a string) expected, got nil)")
  end)
end)
