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
    bad(function() data.dataset(3) end, "#1 to 'dataset' (tensor or list of tensors expected, got number)")
    bad(function() data.dataset(mare.tensor(3)) end, "got a scalar")
    bad(function() data.dataset(x, mare.ones(3)) end, "3 rows of targets for 4 rows of inputs")
    bad(function() data.dataset(x, y, { names = {} }) end, "unknown option 'names'; known: classes")
    bad(function() ds:batches { siez = 3 } end,
      "#1 to 'batches' (unknown option 'siez'; did you mean 'size'? known: drop_last, epoch, prefetch, seed, shuffle, "
        .. "size, skip)")
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

-- -- chance, several inputs, generators ---------------------------------------------------

describe("several inputs", function()
  local a, b = mare.arange(1, 6):reshape(6, 1), mare.arange(1, 12, "f64"):reshape(6, 2)
  local y = mare.tensor({ 1, 2, 1, 2, 1, 2 }, "i64")

  it("come as lists", function()
    local ds = data.dataset({ a, b }, y)
    assert.equal(6, #ds)
    assert.equal("data set of 6 rows: x { 6x1 f32, 6x2 f64 }, y 6 i64", tostring(ds))
    local seen = {}
    for x, labels in ds:batches { size = 4, shuffle = true, seed = 1 } do
      for i = 1, labels:size(1) do
        local k = x[1][{ i, 1 }]:item()
        assert.same({ 2 * k - 1, 2 * k }, x[2][i]:totable())
        assert.equal((k - 1) % 2 + 1, labels[i]:item())
        seen[#seen + 1] = math.tointeger(k)
      end
    end
    assert.same(range(6), sorted(seen))
    local train, test = ds:split(4, { stratify = true, seed = 1 })
    assert.equal(4, #train)
    assert.same({ 2, 2 }, test.x[2].shape)
    local both = data.dataset(a, { y, b })
    local _, targets = both:batch { 3 }
    assert.same({ { 5, 6 } }, targets[2]:totable())
  end)

  it("train a model", function()
    local nn = mare.nn
    local Sum = nn.Module:extend("Sum", {
      init = function(self) self.left, self.right = nn.Linear(1, 1), nn.Linear(2, 1) end,
      forward = function(self, x) return self.left(x[1]) + self.right(x[2]) end,
    })
    mare.seed(1)
    local model = Sum()
    local ds = data.dataset({ a / 6, (b / 12):to "f32" }, a / 6 + 1)
    local history = mare.train.fit(model, { data = ds, loss = mare.loss.mse, epochs = 200, batch = 3,
      optimizer = mare.optim.adam(model:parameters(), { lr = 0.05 }), progress = false, validation = ds,
      seed = 1 })
    assert.is_true(history[200].validation_loss < 1e-3)
    assert.is_true(history[200].validation_loss < history[1].validation_loss)
  end)

  it("are refused when they do not fit", function()
    support.fails(here, function() data.dataset({ a, mare.zeros(5) }, y) end, "tensor 2 has 5 rows, the first 6")
    support.fails(here, function() data.dataset({ a, 3 }, y) end, "expected, got number at 2)")
    support.fails(here, function() data.dataset({}, y) end, "expected, got an empty table)")
    support.fails(here, function() data.dataset(a, { y }):split(3, { stratify = true }) end, "targets are a list")
    support.fails(here, function() data.dataset({ a, b }):augment { noise = 1 } end, "for several give a function")
  end)
end)

describe("a scope", function()
  it("frees no batch iterator, no part, no whole tensor of a data set", function()
    local ds = numbered(20)
    local it, part, folds
    do
      local _ <close> = mare.scope()
      it = ds:batches { size = 8, shuffle = true, seed = 1 }
      part = ds:split(0.5, { seed = 1 }):subset { 3, 1 }
      folds = ds:kfold(4, { seed = 1 })
      assert.equal(20, ds.x:size(1))
      assert.equal(2, part.y:numel())
      it()
    end
    local n = 0
    for x in it do n = n + x:size(1) end
    assert.equal(12, n)
    assert.same({ 2, 2 }, part.x.shape)
    assert.equal(2, part.y:numel())
    assert.same({ 20, 2 }, ds.x.shape)
    for train, test in folds do assert.equal(20, #train + #test) end
  end)

  it("frees no weighted or varied one, and frees the batches", function()
    local ds = numbered(20):weighted "balanced":augment { noise = 1 }
    local it
    do
      local _ <close> = mare.scope()
      it = ds:batches { size = 8, seed = 1 }
    end
    local before, n = mare.memory().live, 0
    for _ = 1, 2 do
      local _ <close> = mare.scope()
      n = n + it():size(1)
    end
    assert.equal(16, n)
    assert.is_true(mare.memory().live - before < 4096)
    assert.equal(4, it():size(1))
    assert.is_nil(it())
  end)
end)

it("a data set copies nothing", function()
  local x = mare.zeros(1000, 1000)
  local before = mare.memory().live
  local ds = data.dataset(x)
  local train = ds:split(0.5)
  assert.is_true(mare.memory().live - before < 100000)
  x:fill_(3)
  assert.equal(3, train:batch({ 1 })[{ 1, 1 }]:item())
end)

describe("weights", function()
  local n = 4000
  local labels = mare.arange(1, n, "i64"):gt(n * 3 // 4):to "i64" + 1 -- a quarter is of class 2
  local ds = data.dataset(mare.arange(1, n):reshape(n, 1), labels)

  local function drawn(of, opts)
    local count, rows = 0, {}
    for x, y in of:batches(opts) do
      count = count + y:eq(2):to("i64"):sum():item()
      for _, row in ipairs(x:totable()) do rows[#rows + 1] = row[1] end
    end
    return count, rows
  end

  it("of classes are n / (classes * rows of the class)", function()
    support.same(support.flat(ds:class_weights()), { 4 / 6, 2 }, 1e-6, "weights")
    local some = data.dataset(mare.zeros(3, 1), mare.tensor({ 1, 1, 4 }, "i64"),
      { classes = { "a", "b", "c", "d", "e" } })
    support.same(support.flat(some:class_weights()), { 0.75, 0, 0, 1.5, 0 }, 1e-6, "absent ones")
  end)

  it("draw rows in their proportion", function()
    local count, rows = drawn(ds:weighted "balanced", { seed = 1, size = 100 })
    assert.equal(n, #rows)
    assert.near(n / 2, count, 150) -- 4.7 standard deviations
    local w = {}
    for i = 1, n do w[i] = i == 7 and 3 or i == 4000 and 1 or 0 end
    local _, only = drawn(ds:weighted(w), { seed = 2 })
    local sevens = 0
    for _, row in ipairs(only) do
      assert.is_true(row == 7 or row == 4000)
      if row == 7 then sevens = sevens + 1 end
    end
    assert.near(0.75 * n, sevens, 130)
  end)

  it("draw by seed and epoch; skip leaves the rest as it was", function()
    local of = ds:weighted(mare.rand(n))
    local _, a = drawn(of, { seed = 5 })
    assert.same(a, select(2, drawn(of, { seed = 5 })))
    assert.are_not.same(a, select(2, drawn(of, { seed = 6 })))
    assert.are_not.same(a, select(2, drawn(of, { seed = 5, epoch = 1 })))
    local _, rest = drawn(of, { seed = 5, size = 100, skip = 30 })
    assert.same({ table.unpack(a, 3001) }, rest)
    mare.seed(3)
    local u = mare.rand(1):item()
    mare.seed(3)
    drawn(of, { seed = 5 })
    assert.equal(u, mare.rand(1):item())
  end)

  it("go with the rows, and plain forgets them", function()
    local w = mare.zeros(n)
    w[{ { 1, 2 } }] = 1
    local part = ds:weighted(w):subset { 1, 2, 3 }
    for x in part:batches { size = 3 } do assert.is_true(x:max():item() <= 2) end
    assert.equal(n, #sorted(select(2, drawn(ds:weighted(w):plain(), {}))))
    assert.same(range(3), rows_of(numbered(3):weighted { 1, 0, 0 }:plain()))
    local other = numbered(3):weighted { 0, 1, 0 }:with_inputs(mare.arange(1, 3))
    assert.same({ 2, 2, 2 }, (other:batches {}()):totable())
  end)

  it("are refused when they cannot be", function()
    local function bad(f, ...) support.fails(here, f, ...) end
    bad(function() ds:weighted(mare.ones(3)) end, "#1 to 'weighted' (weights (4000) expected, got shape 3)")
    bad(function() numbered(2):weighted { 1, -1 } end, "the weight of row 2 is -1.0")
    bad(function() numbered(2):weighted { 0 / 0, 1 } end, "the weight of row 1 is")
    bad(function() numbered(2):weighted { 0, 0 } end, "the weights are all zero")
    bad(function() numbered(2):weighted "equal" end, "got string")
    bad(function() data.dataset(mare.zeros(2)):weighted "balanced" end, "targets are absent")
    bad(function() data.dataset(mare.zeros(2), mare.zeros(2)):class_weights() end, "targets are f32 2")
    bad(function() data.dataset(mare.zeros(2), mare.zeros({ 2 }, "i64")):class_weights() end, "labels begin at 1")
  end)
end)

describe("augmentation", function()
  local images = mare.arange(1, 12):reshape(1, 3, 4):expand(50, 3, 4):contiguous()

  local function one(ds, opts) return (ds:batches(opts)()) end

  it("moves images, and what comes in is the fill", function()
    local seen = {}
    local ds = data.dataset(images):augment { shift = 1, fill = -1 }
    for _, image in ipairs(one(ds, { size = 50, seed = 1 }):totable()) do
      local dy, dx -- where the value 6 (row 2, column 2) went
      for r = 1, 3 do
        for c = 1, 4 do if image[r][c] == 6 then dy, dx = r - 2, c - 2 end end
      end
      assert.is_true(math.abs(dy) <= 1 and math.abs(dx) <= 1)
      for r = 1, 3 do
        for c = 1, 4 do
          local y, x = r - dy, c - dx
          local inside = y >= 1 and y <= 3 and x >= 1 and x <= 4
          assert.equal(inside and (y - 1) * 4 + x or -1, image[r][c])
        end
      end
      seen[dy * 3 + dx] = true
    end
    for k = -4, 4 do assert.is_true(seen[k], k) end
  end)

  it("turns half of them over, all channels alike", function()
    local three = mare.stack({ images, images * 2 }, 2)
    local turned, ds = 0, data.dataset(three):augment { flip = true }
    for _, image in ipairs(one(ds, { size = 50, seed = 1 }):totable()) do
      local back = image[1][1][1] == 4
      turned = turned + (back and 1 or 0)
      for r = 1, 3 do
        for c = 1, 4 do
          local want = (r - 1) * 4 + (back and 5 - c or c)
          assert.equal(want, image[1][r][c])
          assert.equal(2 * want, image[2][r][c])
        end
      end
    end
    assert.is_true(turned > 10 and turned < 40)
  end)

  it("adds noise, of bytes as f32", function()
    local flat = data.dataset(mare.full({ 500, 20 }, 51, "u8")):augment { noise = 0.5 }
    local x = one(flat, { size = 500, seed = 1 })
    assert.equal("f32", x.dtype)
    assert.near(0.2, x:mean():item(), 0.03)
    assert.near(0.5, x:std():item(), 0.03)
  end)

  it("depends on seed, epoch and batch alone", function()
    local ds = data.dataset(images):augment { shift = 1, flip = true, noise = 0.1 }
    local function bytes(opts)
      local list = {}
      opts.size = 20
      for x in ds:batches(opts) do list[#list + 1] = x:tobytes() end
      return list
    end
    local a = bytes { seed = 1 }
    assert.are_not.equal(a[1], a[2])
    assert.same(a, bytes { seed = 1 })
    assert.are_not.same(a, bytes { seed = 1, epoch = 2 })
    assert.are_not.same(a, bytes { seed = 2 })
    assert.same({ a[2], a[3] }, bytes { seed = 1, skip = 1 })
    assert.equal(images[1]:tobytes(), one(ds:plain(), {})[1]:tobytes())
    local f = data.dataset(images):augment(function(x, y) return x + mare.rand(1), y end)
    assert.equal(one(f, { seed = 1 }):tobytes(), one(f, { seed = 1 }):tobytes())
    assert.are_not.equal(one(f, { seed = 1 }):tobytes(), one(f, { seed = 2 }):tobytes())
  end)

  it("is refused where it makes no sense", function()
    local function bad(f, ...) support.fails(here, f, ...) end
    local ds = data.dataset(images)
    bad(function() ds:augment { shfit = 1 } end, "unknown option 'shfit'")
    bad(function() ds:augment { shift = -1 } end, "'augment'", "got -1")
    bad(function() ds:augment { noise = -1 } end, "noise: -1")
    bad(function() ds:augment { fill = "x" } end, "fill: number expected")
    bad(function() ds:augment { flip = 1 } end, "flip: true or false expected, got number")
    bad(function() ds:augment(3) end, "function expected")
    bad(function() numbered(3):augment { shift = 1 } end, "images (n, h, w)", "inputs have 2 dimensions")
    bad(function() data.dataset(mare.zeros({ 2 }, "i64")):augment { noise = 1 } end, "for i64 give a function")
  end)
end)

it("a weighted, varied run that is resumed ends with the same bits", function()
  local path = os.tmpname()
  os.remove(path)
  local x = mare.randn(60, 1, 4, 4)
  local labels = mare.randint(1, 3, { 60 }, "i64")
  local ds = data.dataset(x, labels):weighted "balanced":augment { shift = 1, flip = true, noise = 0.1 }
  local function run(shuffle, opts)
    mare.seed(9)
    local model = mare.nn.Sequential { mare.nn.Flatten(), mare.nn.Linear(16, 3) }
    local all = { data = ds, loss = mare.loss.cross_entropy, epochs = 3, batch = 8, seed = 4, shuffle = shuffle,
      optimizer = mare.optim.adam(model:parameters()), progress = false, metrics = { "accuracy" } }
    for k, v in pairs(opts or {}) do all[k] = v end
    mare.train.fit(model, all)
    return model:parameters()[1]:tobytes()
  end
  for _, shuffle in ipairs { true, false } do
    local whole = run(shuffle)
    run(shuffle, { checkpoint = path, on_step = function(s) return s.step < 11 end })
    assert.equal(whole, run(shuffle, { checkpoint = path, resume = true }))
    os.remove(path .. ".safetensors")
  end
end)

describe("a generator", function()
  local function counting(n, opts)
    return data.generator(function(epoch)
      local i = 0
      return function()
        i = i + 1
        if i <= n then return { i, epoch }, i % 3 + 1 end
      end
    end, opts)
  end

  local function rows(g, opts)
    local list, sizes = {}, {}
    for x, y in g:batches(opts) do
      sizes[#sizes + 1] = x:size(1)
      assert.equal("f32", x.dtype)
      assert.equal("i64", y.dtype)
      for i, row in ipairs(x:totable()) do
        list[#list + 1] = math.tointeger(row[1])
        assert.equal(row[1] % 3 + 1, y[i]:item())
        assert.equal(opts.epoch or 1, row[2])
      end
    end
    return list, sizes
  end

  it("makes batches", function()
    local list, sizes = rows(counting(10), { size = 4 })
    assert.same(range(10), list)
    assert.same({ 4, 4, 2 }, sizes)
    assert.same({ 4, 4 }, select(2, rows(counting(10), { size = 4, drop_last = true })))
    assert.same({ 9, 10 }, rows(counting(10), { size = 4, skip = 2, epoch = 3 }))
    assert.equal("generator of samples", tostring(counting(3)))
    assert.equal("generator of 3 samples", tostring(counting(3, { length = 3 })))
    assert.equal(3, #counting(3, { length = 3 }))
  end)

  it("mixes blocks by seed and epoch", function()
    local g = counting(50, { buffer = 20 })
    local a = rows(g, { shuffle = true, seed = 1 })
    assert.same(range(50), sorted(a))
    assert.same(range(20), sorted { table.unpack(a, 1, 20) })
    assert.are_not.same(range(20), { table.unpack(a, 1, 20) })
    assert.same(a, rows(g, { shuffle = true, seed = 1, size = 7 }))
    assert.are_not.same(a, rows(g, { shuffle = true, seed = 2 }))
    assert.are_not.same(a, rows(g, { shuffle = true, seed = 1, epoch = 2 }))
  end)

  it("takes tensors, numbers and several inputs", function()
    local g = data.generator(function()
      local i = 0
      return function()
        i = i + 1
        if i <= 2 then return { mare.full({ 2, 2 }, 255, "u8"), mare.ones(3) }, i / 2 end
      end
    end)
    local x, y = g:batches {}()
    assert.same({ 2, 2, 2 }, x[1].shape)
    assert.equal("f32", x[1].dtype)
    assert.equal(1, x[1]:max():item())
    assert.same({ 2, 3 }, x[2].shape)
    assert.same({ 0.5, 1 }, y:totable())
  end)

  it("trains a model", function()
    mare.seed(1)
    local model = mare.nn.Sequential { mare.nn.Linear(1, 1) }
    local g = data.generator(function()
      local i = 0
      return function()
        i = i + 1
        if i <= 64 then return { i / 64 }, { i / 32 } end
      end
    end, { length = 64 })
    local history = mare.train.fit(model, { data = g, loss = mare.loss.mse, epochs = 100, batch = 16, seed = 1,
      optimizer = mare.optim.adam(model:parameters(), { lr = 0.05 }), progress = false, validation = g })
    assert.equal(400, history[100].steps)
    assert.is_true(history[100].validation_loss < 1e-3)
  end)

  it("mixes no two blocks alike, and takes iterators with a state", function()
    local g = counting(200, { buffer = 20 })
    local seen = {}
    for epoch = 1, 3 do
      local order = rows(g, { shuffle = true, seed = 1, epoch = epoch })
      for block = 0, 9 do
        local words = {}
        for i = 1, 20 do words[i] = order[block * 20 + i] - block * 20 end
        local text = table.concat(words, " ")
        assert.is_nil(seen[text], text)
        seen[text] = true
      end
    end
    local pairs_of = data.generator(function() return ipairs { 5, 6, 7 } end)
    local x, y = pairs_of:batches {}()
    assert.same({ 1, 2, 3 }, x:totable())
    assert.same({ 5, 6, 7 }, y:totable())
  end)

  it("says which sample is wrong", function()
    local function of(...)
      local list = { ... }
      return data.generator(function()
        local i = 0
        return function()
          i = i + 1
          if list[i] then return list[i], 1 end
        end
      end)
    end
    local function bad(f, ...) support.fails(here, f, ...) end
    bad(function() of(1, "x"):batches {}() end, "x of sample 2 is a string")
    bad(function() of({ 1 }, { 1, 2 }):batches {}() end, "x of sample 2 is f32 2, that of sample 1 f32 1")
  end)

  it("refuses misuse", function()
    local function bad(f, ...) support.fails(here, f, ...) end
    bad(function() data.generator(3) end, "'generator'", "function expected")
    bad(function() counting(3, { lenght = 3 }) end, "unknown option 'lenght'")
    bad(function() counting(3):batches { size = 0 } end, "'batches'")
    bad(function() counting(3):batches { seed = "x" } end, "seed is an integer")
    bad(function() counting(3):batches { epoch = 1.5 } end, "'batches'", "got 1.5")
    bad(function() data.generator(function() end):batches {} end, "function expected, got no value")
  end)
end)
