-- frame_spec.lua -- frames: making, choosing, filling, indicator columns, groups, joins, text,
-- tensors.  The numbers expected were worked out by hand.

local mare = require "mare"
local support = require "spec.support"
local data = mare.data

local here = "frame_spec.lua:"

local function fails(f, ...) support.fails(here, f, ...) end

local function cities()
  return data.frame {
    { "city", { "Rome", "Oslo", false, "Oslo", "Bonn" } },
    { "rain", { 3.5, false, 1, 2, 8 } },
    { "n", { 1, 2, 3, 4, 5 } },
  }
end

-- A column with false where a value is missing.
local function list(f, name)
  local c = f:column(name)
  if not mare.is_tensor(c) then return c end
  local out = c:totable()
  for i, v in ipairs(out) do
    if v ~= v then out[i] = false end
  end
  return out
end

-- -- making -------------------------------------------------------------------------------

describe("a frame is made", function()
  it("of pairs, in their order", function()
    local f = cities()
    assert.same({ "city", "rain", "n" }, f:names())
    assert.equal(5, #f)
    assert.same({ city = "string", rain = "f64", n = "i64" }, f:types())
    assert.same({ "Rome", "Oslo", false, "Oslo", "Bonn" }, f.city)
    assert.same({ 1, 2, 3, 4, 5 }, f["n"]:totable())
    assert.same({ 3.5, false, 1, 2, 8 }, list(f, "rain"))
    assert.is_true(data.is_frame(f))
    assert.is_false(data.is_frame {})
  end)

  it("of a table, by name or in an order", function()
    assert.same({ "a", "b" }, data.frame({ b = { 1 }, a = { "x" } }):names())
    assert.same({ "b", "a" }, data.frame({ b = { 1 }, a = { "x" } }, { "b", "a" }):names())
  end)

  it("of tensors of any type", function()
    local f = data.frame { { "a", mare.tensor({ 1, 2 }, "u8") }, { "b", mare.tensor { 1, 0 / 0 } } }
    assert.same({ a = "u8", b = "f32" }, f:types())
    assert.same({ 1, false }, list(f, "b"))
  end)

  it("of nothing", function()
    local f = data.frame {}
    assert.equal(0, #f)
    assert.equal("frame of 0 rows, 0 columns", tostring(f))
    local g = data.frame { { "a", {} } }
    assert.equal(0, #g)
    assert.same({}, list(g:filter(function() return true end):sort("a"), "a"))
    assert.same({ 0, 0, 0 }, { table.unpack(g:describe().a:totable(), 1, 3) })
    assert.same({ 0, 1 }, g:tensor { "a" }.shape)
  end)

  it("with whole numbers as f64 when one is missing", function()
    assert.same({ a = "f64", b = "f64" },
      data.frame({ a = { 1, false }, b = { false, false } }):types())
  end)

  it("and says what is wrong", function()
    fails(function() data.frame(3) end, "bad argument #1 to 'frame'", "number")
    fails(function() data.frame(cities()) end, "got a frame")
    fails(function() data.frame { 3 } end, "column 1: { name, values } expected, got number")
    fails(function() data.frame { { 1, {} } } end, "a name that is a number")
    fails(function() data.frame { { "a", { 1 } }, { "a", { 2 } } } end, "two columns 'a'")
    fails(function() data.frame { { "a", { 1, 2 } }, { "b", { 1 } } } end,
      "column 'b' has 1 rows, 'a' has 2")
    fails(function() data.frame { { "a", { 1, "x" } } } end,
      "column 'a', row 2: a string in a column of numbers")
    fails(function() data.frame { { "a", { "x", 2 } } } end, "row 2: a number in a column of strings")
    fails(function() data.frame { { "a", { true } } } end, "column 'a', row 1", "got boolean")
    fails(function() data.frame { { "a", 7 } } end, "column 'a': list or tensor expected, got number")
    fails(function() data.frame { { "a", mare.zeros(2, 2) } } end, "column 'a'", "got shape 2x2")
    fails(function() data.frame({ a = {} }, { "a", "b" }) end, "no values for 'b'")
    fails(function() data.frame({ a = {} }, "a") end, "bad argument #2 to 'frame'")
    fails(function()
      local t = mare.zeros(2)
      t:close()
      data.frame { { "a", t } }
    end, "column 'a': the tensor is closed")
  end)
end)

-- -- columns and rows -----------------------------------------------------------------------

describe("columns", function()
  it("are selected, dropped, renamed", function()
    local f = cities()
    assert.same({ "n", "city" }, f:select({ "n", "city" }):names())
    assert.same({ "n" }, f:select("n"):names())
    assert.same({ "rain" }, f:drop({ "city", "n" }):names())
    assert.same({ "city", "mm", "n" }, f:rename({ rain = "mm" }):names())
    assert.same({ "n", "city", "rain" }, f:rename({ rain = "city", city = "n", n = "rain" })
      :select({ "n", "city", "rain" }):names())
    assert.same({ "city", "rain", "n" }, f:names())
    assert.is_true(f:has "n")
    assert.is_false(f:has "N")
  end)

  it("of a method's name are reached by column", function()
    local f = data.frame { { "select", { 1, 2 } }, { "names", { "a", "b" } } }
    assert.same({ 1, 2 }, f:column("select"):totable())
    assert.same({ "a", "b" }, f:column "names")
    assert.same({ "select", "names" }, f:names())
  end)

  it("are added and changed", function()
    local f = cities()
    local g = f:with { year = 2024, z = "x", twice = function(row) return row.rain and row.rain * 2 end,
      n = mare.ones(5) }
    assert.same({ "city", "rain", "n", "twice", "year", "z" }, g:names())
    assert.same({ 7, false, 2, 4, 16 }, list(g, "twice"))
    assert.same({ 2024, 2024, 2024, 2024, 2024 }, list(g, "year"))
    assert.same({ "x", "x", "x", "x", "x" }, g.z)
    assert.equal("f32", g.n.dtype)
    assert.same({ 1, 2, 3, 4, 5 }, list(f, "n"))
    assert.same({ "rome", "oslo", "-", "oslo", "bonn" },
      f:map("city", function(v) return v and v:lower() or "-" end).city)
    assert.same({ false, 2, false, 4, false },
      list(f:map("n", function(v) return v % 2 == 0 and v or nil end), "n"))
  end)

  it("that are not there are errors", function()
    local f = cities()
    fails(function() return f.rian end, "unknown column 'rian'; did you mean 'rain'?")
    fails(function() f:column "x" end, "bad argument #1 to 'column'")
    fails(function() f:select { "n", "x" } end, "'select'", "unknown column 'x'")
    fails(function() f:select { "n", "n" } end, "'n' stands there twice")
    fails(function() f:select {} end, "no column is named")
    fails(function() f:select { 3 } end, "name of a column expected, got number")
    fails(function() f:drop "x" end, "'drop'")
    fails(function() f:rename { x = "y" } end, "'rename'", "'x'")
    fails(function() f:rename { n = "city" } end, "two columns 'city'")
    fails(function() f:rename "n" end, "table { old = \"new\" } expected")
    fails(function() f.n = 1 end, "a frame does not change", "f:with { n = ... }")
    fails(function() f:with(3) end, "'with'")
    fails(function() f:with { a = true } end, "column 'a'", "got boolean")
    fails(function() f:with { a = { 1 } } end, "column 'a' has 1 rows, 'city' has 5")
    fails(function() f:with { a = function(row) return row.nn end } end, "unknown column 'nn'")
    fails(function() f:map("n", 3) end, "bad argument #2 to 'map'")
    local wide = {}
    for i = 1, 30 do wide["column" .. i] = { i } end
    fails(function() return data.frame(wide).colum7 end, "did you mean 'column7'?; the frame has 30")
  end)
end)

describe("rows", function()
  it("are cut", function()
    local f = cities()
    assert.same({ 1, 2 }, list(f:head(2), "n"))
    assert.same({ 4, 5 }, list(f:tail(2), "n"))
    assert.equal(5, #f:head())
    assert.equal(5, #f:tail(99))
    assert.equal(0, #f:head(0))
    assert.equal(0, #f:tail(0))
    assert.same({ 5, 1, 5 }, list(f:subset { 5, 1, 5 }, "n"))
    assert.same({ "Bonn", "Rome" }, f:subset(mare.tensor({ 5, 1 }, "i64")).city)
    assert.same({ city = "Oslo", n = 2 }, f:row(2))
  end)

  it("are gone through", function()
    local seen = {}
    for i, row in cities():rows() do seen[i] = (row.city or "?") .. (row.rain or "-") end
    assert.same({ "Rome3.5", "Oslo-", "?1.0", "Oslo2.0", "Bonn8.0" }, seen)
  end)

  it("are filtered by a function or a mask", function()
    local f = cities()
    assert.same({ 1, 4, 5 }, list(f:filter(function(row) return row.rain and row.rain > 1.5 end), "n"))
    assert.same({ "Bonn" }, f:filter(f.n:gt(4)).city)
    assert.equal(0, #f:filter(function() end))
    assert.same({ 1, 4, 5 }, list(f:dropna(), "n"))
    assert.same({ 1, 2, 4, 5 }, list(f:dropna "city", "n"))
  end)

  it("are sorted by several keys, missing ones last, equal ones as they were", function()
    local f = cities()
    assert.same({ 5, 2, 4, 1, 3 }, list(f:sort "city", "n"))
    assert.same({ 1, 2, 4, 5, 3 }, list(f:sort("city", { descending = true }), "n"))
    assert.same({ 3, 4, 1, 5, 2 }, list(f:sort "rain", "n"))
    assert.same({ 5, 1, 4, 3, 2 }, list(f:sort("rain", { descending = true }), "n"))
    assert.same({ 5, 4, 2, 1, 3 }, list(f:sort({ "city", "n" }, { descending = { false, true } }), "n"))
    assert.same({ 5, 4, 3, 2, 1 }, list(f:sort("n", { descending = true }), "n"))
  end)

  it("are shuffled by seed", function()
    local f = data.frame { { "a", mare.arange(1, 50, "i64") } }
    local a = list(f:shuffle { seed = 3 }, "a")
    assert.same(a, list(f:shuffle { seed = 3 }, "a"))
    assert.are_not.same(a, list(f:shuffle { seed = 4 }, "a"))
    table.sort(a)
    assert.same(list(f, "a"), a)
  end)

  it("that cannot be are errors", function()
    local f = cities()
    fails(function() f:head(-1) end, "'head'")
    fails(function() f:tail "x" end, "'tail'")
    fails(function() f:subset { 1, 9 } end, "row 9 (#2) of 5")
    fails(function() f:subset(mare.ones(2)) end, "'subset'", "f32 tensor")
    fails(function() f:row(0) end, "row of 1..5 expected, got 0")
    fails(function() f:filter(3) end, "bad argument #1 to 'filter'")
    fails(function() f:filter(mare.zeros(2, "u8")) end, "a u8 mask (5) expected, got u8 2")
    fails(function() f:sort("n", { descnding = true }) end, "unknown option 'descnding'")
    fails(function() f:sort("n", { descending = { true, false } }) end, "2 entries for 1 columns")
    fails(function() f:shuffle { seed = 1.5 } end, "seed is an integer")
    fails(function() f:dropna "x" end, "unknown column 'x'")
  end)
end)

-- -- values -----------------------------------------------------------------------------------

describe("statistics", function()
  it("leave out what is missing", function()
    local f = cities()
    assert.same({ rain = 14.5 / 4, n = 3 }, f:mean())
    assert.same({ rain = 2.75, n = 3 }, f:median())
    assert.same({ rain = 14.5, n = 15 }, f:sum())
    assert.same({ rain = 1, n = 1 }, f:min())
    assert.same({ rain = 8, n = 5 }, f:max())
    assert.near(math.sqrt((0.125 ^ 2 + 2.625 ^ 2 + 1.625 ^ 2 + 4.375 ^ 2) / 3), f:std().rain, 1e-12)
  end)

  it("of whole numbers are exact where they are whole", function()
    local large = (1 << 53) + 1
    local f = data.frame { { "t", mare.tensor({ large, -3, large - 1 }, "i64") },
      { "k", { "a", "b", "a" } } }
    assert.same({ t = large }, f:max())
    assert.same({ t = -3 }, f:min())
    assert.same({ t = 2 * large - 4 }, f:sum())
    local g = f:group "k"
    assert.same({ 2 * large - 1, -3 }, list(g:sum(), "t"))
    assert.equal("i64", g:max():types().t)
    local past = data.frame { t = mare.tensor({ math.maxinteger, math.maxinteger }, "i64") }
    assert.equal(0x1p64, past:sum().t)
  end)

  it("describe every column", function()
    local d = cities():describe()
    assert.same({ "statistic", "city", "rain", "n" }, d:names())
    assert.same({ "count", "missing", "distinct", "mean", "std", "min", "25%", "median", "75%", "max" },
      d.statistic)
    assert.same({ 4, 1, 3, false, false, false, false, false, false, false }, list(d, "city"))
    local rain = list(d, "rain")
    assert.same({ 4, 1, 4, 3.625 }, { table.unpack(rain, 1, 4) })
    assert.same({ 1, 1.75, 2.75, 4.625, 8 }, { table.unpack(rain, 6) })
  end)
end)

describe("fillna", function()
  it("fills by a rule for all", function()
    local f = cities()
    assert.same({ 3.5, 3.625, 1, 2, 8 }, list(f:fillna "mean", "rain"))
    assert.same({ 3.5, 2.75, 1, 2, 8 }, list(f:fillna "median", "rain"))
    assert.same({ "Rome", "Oslo", false, "Oslo", "Bonn" }, f:fillna("mean").city)
    assert.same({ "Rome", "Oslo", "Oslo", "Oslo", "Bonn" }, f:fillna("mode").city)
    assert.same({ "Rome", "Oslo", "Oslo", "Oslo", "Bonn" }, f:fillna("forward").city)
    assert.same({ 3.5, 1, 1, 2, 8 }, list(f:fillna "backward", "rain"))
    assert.same({ 3.5, -1, 1, 2, 8 }, list(f:fillna(-1), "rain"))
    assert.same({ 3.5, false, 1, 2, 8 }, list(f, "rain"))
    assert.same({ 1, 2, 3, 4, 5 }, list(f:fillna "forward", "n"))
  end)

  it("fills by column", function()
    local g = cities():fillna { city = "?", rain = "median" }
    assert.same({ "Rome", "Oslo", "?", "Oslo", "Bonn" }, g.city)
    assert.same({ 3.5, 2.75, 1, 2, 8 }, list(g, "rain"))
    assert.equal("mean", cities():fillna({ city = { value = "mean" } }).city[3])
  end)

  it("leaves what nothing stands before", function()
    local f = data.frame { { "a", { false, 1, false } } }
    assert.same({ false, 1, 1 }, list(f:fillna "forward", "a"))
    assert.same({ 1, 1, false }, list(f:fillna "backward", "a"))
  end)

  it("keeps f32", function()
    local f = data.frame { { "a", mare.tensor { 0.5, 0 / 0 } } }
    for _, how in ipairs { "mean", "forward", 3 } do assert.equal("f32", f:fillna(how).a.dtype) end
  end)

  it("fills one frame by what another has", function()
    local train, test = cities(), data.frame { { "city", { false } }, { "rain", { false } }, { "n", { 1 } } }
    assert.same({ 3.625 }, list(test:fillna(train:fills "mean"), "rain"))
    local g = test:fillna(train:fills { city = "mode", rain = 2 })
    assert.same({ "Oslo" }, g.city)
    assert.same({ 2 }, list(g, "rain"))
    assert.same({ "Oslo" }, test:fillna(train:fills "mode").city)
  end)

  it("says what is wrong", function()
    local f = cities()
    fails(function() f:fillna "maen" end, "unknown way to fill 'maen'; did you mean 'mean'?")
    fails(function() f:fillna(true) end, "got boolean")
    fails(function() f:fillna { x = 1 } end, "unknown column 'x'")
    fails(function() f:fillna { city = 1 } end, "column 'city' holds strings; 1 is a number")
    fails(function() f:fillna { rain = "x" } end, "column 'rain' holds numbers; x is a string")
    fails(function() f:fillna { city = "mean" } end, "column 'city' holds strings; there is no mean")
    fails(function() data.frame({ a = { false } }):fillna "mean" end, "column 'a' has no values")
    fails(function() f:fills "forward" end, "'forward' has no value of its own")
  end)
end)

describe("onehot", function()
  it("makes a column for each value, and one for missing ones", function()
    local g = cities():onehot("city", { missing = true })
    assert.same({ "city_Bonn", "city_Oslo", "city_Rome", "city_nan", "rain", "n" }, g:names())
    assert.same({ 0, 0, 0, 0, 1 }, list(g, "city_Bonn"))
    assert.same({ 0, 1, 0, 1, 0 }, list(g, "city_Oslo"))
    assert.same({ 1, 0, 0, 0, 0 }, list(g, "city_Rome"))
    assert.same({ 0, 0, 1, 0, 0 }, list(g, "city_nan"))
    assert.equal("u8", g.city_nan.dtype)
  end)

  -- what the notes show: houses with NumRooms and Alley, the numbers filled by their mean
  it("does what the documents do", function()
    local houses = data.frame { { "NumRooms", { false, 2, 4, false } },
      { "Alley", { "Pave", false, false, false } }, { "Price", { 127500, 106000, 178100, 140000 } } }
    local inputs = houses:select({ "NumRooms", "Alley" }):fillna("mean"):onehot(nil, { missing = true })
    assert.same({ "NumRooms", "Alley_Pave", "Alley_nan" }, inputs:names())
    assert.same({ { 3, 1, 0 }, { 2, 0, 1 }, { 4, 0, 1 }, { 3, 0, 1 } }, inputs:tensor():totable())
    assert.same({ 127500, 106000, 178100, 140000 }, houses:tensor("Price"):totable())
  end)

  it("takes numbers, leaves out the first, and follows other rows", function()
    local f = data.frame { { "k", { 3, 1, 3 } }, { "c", { "b", "a", "b" } } }
    assert.same({ "k_1", "k_3", "c" }, f:onehot("k"):names())
    assert.same({ "k", "c_b" }, f:onehot(nil, { drop_first = true }):names())
    assert.same({ "k_1", "k_3", "c_a", "c_b" }, f:onehot({ "k", "c" }):names())
    assert.same({ c = { "a", "b" } }, f:categories())
    assert.same({ k = { 1, 3 } }, f:categories "k")
    local test = data.frame { { "k", { 1 } }, { "c", { "b" } } }
    assert.same({ "k", "c_a", "c_b" }, test:onehot(nil, { categories = f:categories() }):names())
    local odd = data.frame { { "c", { "b", "z" } } }
    local g = odd:onehot(nil, { categories = { c = { "a", "b" } }, unknown = "ignore" })
    assert.same({ { 0, 1 }, { 0, 0 } }, g:tensor():totable())
    fails(function() odd:onehot(nil, { categories = { c = { "a", "b" } } }) end,
      "column 'c', row 2: 'z' is not among the categories")
    fails(function() odd:onehot(nil, { categories = { d = {} } }) end, "unknown column 'd'")
    fails(function() odd:onehot("c", { mising = true }) end, "unknown option 'mising'")
    fails(function() odd:onehot("c", { unknown = "drop" }) end, "unknown: 'ignore' expected")
    fails(function() odd:onehot("c", { categories = 3 }) end, "categories: table")
    fails(function() odd:onehot "d" end, "unknown column 'd'")
  end)
end)

describe("groups", function()
  it("have statistics", function()
    local g = cities():group "city"
    assert.equal("3 groups of 5 rows by city", tostring(g))
    local mean = g:mean()
    assert.same({ "city", "rain", "n" }, mean:names())
    assert.same({ "Bonn", "Oslo", "Rome" }, mean.city)
    assert.same({ 8, 2, 3.5 }, list(mean, "rain"))
    assert.same({ 5, 3, 1 }, list(mean, "n"))
    assert.same({ 5, 6, 1 }, list(g:sum(), "n"))
    assert.same({ 5, 4, 1 }, list(g:max(), "n"))
    assert.same({ 5, 2, 1 }, list(g:min(), "n"))
    assert.same({ 5, 3, 1 }, list(g:median(), "n"))
    assert.same({ false, math.sqrt(2), false }, list(g:std(), "n"))
    assert.same({ 1, 1, 1 }, list(g:count(), "rain"))
    assert.same({ 1, 2, 1 }, list(g:size(), "size"))
  end)

  it("come from several columns", function()
    local f = data.frame { { "a", { 2, 1, 2, 1, 2 } }, { "b", { "x", "y", "x", false, "y" } },
      { "v", { 1, 2, 3, 4, 5 } } }
    local sum = f:group({ "a", "b" }):sum()
    assert.same({ 1, 2, 2 }, list(sum, "a"))
    assert.same({ "y", "x", "y" }, sum.b)
    assert.same({ 2, 4, 5 }, list(sum, "v"))
    local seen = {}
    for key, part in f:group({ "a", "b" }):each() do
      seen[#seen + 1] = ("%d%s%d"):format(key[1], key[2], #part)
    end
    assert.same({ "1y1", "2x2", "2y1" }, seen)
    for key, part in f:group("b"):each() do assert.equal(part.b[1], key) end
  end)

  it("without a value have none", function()
    local f = data.frame { { "a", { "x", "y" } }, { "v", { false, 1 } } }
    assert.same({ false, 1 }, list(f:group("a"):mean(), "v"))
    assert.same({ 0, 1 }, list(f:group("a"):sum(), "v"))
    fails(function() f:group "z" end, "'group'", "unknown column 'z'")
  end)
end)

describe("frames together", function()
  it("are put one below the other", function()
    local f = cities()
    local all = f:concat(f:head(1):with { n = 0.5 }, f:tail(1))
    assert.equal(7, #all)
    assert.same({ 1, 2, 3, 4, 5, 0.5, 5 }, list(all, "n"))
    assert.equal("Bonn", all.city[7])
    local bytes = data.frame({ a = mare.tensor({ 1 }, "u8") })
    assert.equal("i64", bytes:concat(data.frame { a = { 300 } }).a.dtype)
    local empty = data.frame { a = { false } }
    assert.same({ false, "x" }, empty:concat(data.frame { a = { "x" } }).a)
    assert.same({ "x", false }, data.frame({ a = { "x" } }):concat(empty).a)
    fails(function() f:concat(3) end, "frame expected, got number")
    fails(function() f:concat(f:drop "n") end, "unknown column 'n'")
    fails(function() f:drop("n"):concat(f) end, "unknown column 'n'")
    fails(function() f:concat(f, f:with { n = "x" }) end, "bad argument #2", "column 'n' is i64 in one frame")
  end)

  it("are joined by keys", function()
    local land = data.frame { { "city", { "Oslo", "Rome", "Oslo" } }, { "land", { "NO", "IT", "N" } },
      { "id", { 1, 2, 3 } } }
    local inner = cities():join(land, "city")
    assert.same({ "city", "rain", "n", "land", "id" }, inner:names())
    assert.same({ 1, 2, 2, 4, 4 }, list(inner, "n"))
    assert.same({ "IT", "NO", "N", "NO", "N" }, inner.land)
    assert.equal("i64", inner.id.dtype)
    local left = cities():join(land, "city", { how = "left" })
    assert.same({ 1, 2, 2, 3, 4, 4, 5 }, list(left, "n"))
    assert.same({ 2, 1, 3, false, 1, 3, false }, list(left, "id"))
    assert.same({ "IT", "NO", "N", false, "NO", "N", false }, left.land)
    local a = data.frame { { "k", { 1, 2 } }, { "l", { 1, 1 } }, { "u", { 5, 6 } } }
    local b = data.frame { { "k", { 2.0, 1.5 } }, { "l", { 1, 1 } }, { "w", { 7, 8 } } }
    local both = a:join(b, { "k", "l" })
    assert.same({ 6 }, list(both, "u"))
    assert.same({ 7 }, list(both, "w"))
  end)

  it("that do not fit are errors", function()
    local f = cities()
    fails(function() f:join(3, "city") end, "frame expected")
    fails(function() f:join(f, "x") end, "bad argument #2 to 'join'", "unknown column 'x'")
    fails(function() f:join(f, "city") end, "column 'rain' is in both frames")
    fails(function() f:join(f, "city", { how = "outer" }) end,
      "how: 'inner' or 'left' expected, got outer")
    fails(function() f:join(data.frame { city = { 1 } }, "city") end,
      "column 'city' is string in one frame and i64 in the other")
  end)
end)

-- -- out ----------------------------------------------------------------------------------------

describe("tensors", function()
  it("come from columns", function()
    local f = cities()
    local t = f:fillna(0):tensor { "n", "rain" }
    assert.equal("f32", t.dtype)
    assert.same({ { 1, 3.5 }, { 2, 0 }, { 3, 1 }, { 4, 2 }, { 5, 8 } }, t:totable())
    assert.same({ 5 }, f:tensor("n").shape)
    assert.equal("i64", f:tensor("n", "i64").dtype)
    local holes = f:tensor("rain", { missing = true, dtype = "f64" })
    assert.is_true(holes[2]:item() ~= holes[2]:item())
    f:tensor("n", "i64"):fill_(0)
    assert.same({ 1, 2, 3, 4, 5 }, list(f, "n"))
  end)

  it("make data sets", function()
    local f = cities():fillna { rain = 0, city = "Oslo" }
    local ds = f:dataset({ "rain" }, "city")
    assert.same({ "Bonn", "Oslo", "Rome" }, ds.classes)
    assert.same({ "rain" }, ds.features)
    assert.same({ 3, 2, 2, 2, 1 }, ds.y:totable())
    assert.equal("i64", ds.y.dtype)
    local all = f:drop("city"):dataset(nil, "n")
    assert.same({ { 3.5 }, { 0 }, { 1 }, { 2 }, { 8 } }, all.x:totable())
    assert.equal("f32", all.y.dtype)
    assert.same({ 5, 1 }, f:dataset({ "rain" }, { "n" }).y.shape)
    local k = data.frame({ a = { 1, 2 }, b = { 7, 5 } }):dataset("a", "b", { labels = true })
    assert.same({ 2, 1 }, k.y:totable())
    assert.same({ "5", "7" }, k.classes)
    assert.is_nil(f:dataset({ "n" }).y)
  end)

  it("make data sets with the classes of others", function()
    local other = data.frame { { "n", { 1, 2 } }, { "city", { "Rome", "Bonn" } }, { "k", { 7, 6 } } }
    local ds = other:dataset({ "n" }, "city", { classes = { "Bonn", "Oslo", "Rome" } })
    assert.same({ 3, 1 }, ds.y:totable())
    assert.same({ "Bonn", "Oslo", "Rome" }, ds.classes)
    assert.same({ 2, 1 }, other:dataset({ "n" }, "k", { classes = { "6", "7" } }).y:totable())
    assert.same({ 1, 2 }, other:dataset({ "n" }, "k", { classes = { 7.0, 6 } }).y:totable())
    support.fails("frame_spec.lua", function()
      other:dataset({ "n" }, "city", { classes = { "Rome" } })
    end, "target 'city', row 2: Bonn is not among the classes")
    support.fails("frame_spec.lua", function() other:dataset({ "n" }, "k", { classes = true }) end,
      "classes: list of values expected, got")
  end)

  it("need values", function()
    local f = cities()
    fails(function() f:tensor { "n", "rain" } end,
      "column 'rain' has 1 missing value, the first in row 2; see fillna and dropna")
    fails(function() f:tensor "city" end, "column 'city' holds strings; f:onehot \"city\"")
    fails(function() f:tensor { "x" } end, "unknown column 'x'")
    fails(function() f:tensor("n", "f16") end, "unknown type 'f16'")
    fails(function() f:tensor("n", { typ = "f32" }) end, "unknown option 'typ'")
    fails(function() f:dataset({ "n" }, "city") end, "bad argument #2",
      "target 'city' is missing in row 3")
    fails(function() f:dataset({ "n" }, "rain") end, "bad argument #2 to 'dataset'", "column 'rain'")
    fails(function() f:dataset({ "rain" }, "n") end, "bad argument #1 to 'dataset'", "column 'rain'")
    fails(function() f:dataset(nil, "x") end, "unknown column 'x'")
    fails(function() data.dataset(f) end, "a frame; see f:dataset(inputs, target)")
    fails(function()
      local model = mare.nn.Linear(1, 1)
      mare.train.fit(model, { data = f, loss = mare.loss.mse, progress = false,
        optimizer = mare.optim.sgd(model:parameters(), { lr = 1 }) })
    end, "a frame has no batches; f:dataset(inputs, target)")
  end)

  it("outlive a scope when they are kept", function()
    local f
    do
      local s <close> = mare.scope()
      f = s:keep(cities():fillna "mean")
    end
    assert.same({ 3.5, 3.625, 1, 2, 8 }, list(f, "rain"))
  end)
end)

describe("as text", function()
  it("is aligned, with types, a dash for what is missing", function()
    assert.equal([[
frame of 5 rows, 3 columns
   city    rain    n
   string   f64  i64
1  Rome     3.5    1
2  Oslo       -    2
3  -        1.0    3
4  Oslo     2.0    4
5  Bonn     8.0    5]], tostring(cities()))
  end)

  it("is at most a screen", function()
    local wide = {}
    for i = 1, 60 do wide[i] = { ("column%02d"):format(i), mare.arange(1, 100000, "i64") } end
    local text = tostring(data.frame(wide))
    assert.truthy(text:find "^frame of 100,000 rows, 60 columns\n")
    local lines = 0
    for line in (text .. "\n"):gmatch "(.-)\n" do
      lines = lines + 1
      assert.is_true(#line <= 80, line)
    end
    assert.equal(14, lines)
    assert.truthy(text:find("column01", 1, true))
    assert.truthy(text:find("column60", 1, true))
    assert.falsy(text:find("column30", 1, true))
    assert.truthy(text:find("\n100000  ", 1, true))
  end)

  it("shortens long cells and counts wide letters as two", function()
    local f = data.frame { { "s", { ("x"):rep(100), "北京", "a\nb" } }, { "n", { 1, 2, 3 } } }
    assert.equal(("frame of 3 rows, 2 columns\n   s%s    n\n   string%s  i64\n" ..
      "1  %s...    1\n2  北京%s    2\n3  a b%s    3"):format((" "):rep(23), (" "):rep(18),
      ("x"):rep(21), (" "):rep(20), (" "):rep(21)), tostring(f))
  end)

  it("is written as comma-separated values", function()
    local f = data.frame { { "a,b", { "x", 'say "hi"', false, "two\nlines" } },
      { "v", { 0.1, false, 1e300, -3 } }, { "f", mare.tensor { 0.1, 1 / 3, 2, math.huge } },
      { "i", { 1, 2, 3, math.maxinteger } } }
    local text = '"a,b",v,f,i\nx,0.1,0.1,1\n"say ""hi""",,0.33333334,2\n,1e+300,2,3\n' ..
      '"two\nlines",-3,inf,9223372036854775807\n'
    assert.equal(text, f:csv())
    local path = os.tmpname()
    assert.is_true(f:csv(path))
    local file = io.open(path)
    assert.equal(text, file:read "a")
    file:close()
    os.remove(path)
    assert.equal('a\n1\n""\n', data.frame({ a = { 1, false } }):csv())
    local ok, message = f:csv "/nowhere/at/all.csv"
    assert.is_nil(ok)
    assert.truthy(message:find("/nowhere/at/all.csv", 1, true))
    fails(function() f:csv(3) end, "bad argument #1 to 'csv'")
  end)

  it("is written in pieces", function()
    local f = data.frame { { "a", mare.arange(1, 2500, "i64") } }
    local n = 0
    for line in f:csv():gmatch "(.-)\n" do
      if n > 0 then assert.equal(tostring(n), line) end
      n = n + 1
    end
    assert.equal(2501, n)
  end)
end)

-- -- from a file to a model ---------------------------------------------------------------------

-- 300 houses; a third of the numbers of rooms, some ages and many alleys are missing
local function write_houses(path)
  local lines, sequence = { "id,rooms,age,alley,price" }, support.sequence(7)
  for i = 1, 300 do
    local rooms, age = math.floor(sequence(2, 8)), math.floor(sequence(0, 100))
    local alley = ({ "Pave", "Grvl", "NA" })[i % 3 + 1]
    local price = 50 * rooms - age + (alley == "Pave" and 80 or 0) + sequence(-5, 5)
    lines[i + 1] = ("%d,%s,%s,%s,%.2f"):format(i, i % 11 == 0 and "NA" or rooms,
      i % 17 == 0 and "" or age, alley, price)
  end
  local file = assert(io.open(path, "w"))
  assert(file:write(table.concat(lines, "\n"), "\n"))
  assert(file:close())
end

describe("a file with holes", function()
  local csv, saved = os.tmpname(), os.tmpname()
  write_houses(csv)
  teardown(function()
    os.remove(csv)
    os.remove(saved)
  end)

  it("is read", function()
    local f = assert(data.csv(csv))
    assert.same({ id = "i64", rooms = "f64", age = "f64", alley = "string", price = "f64" }, f:types())
    assert.equal(300, #f)
    local missing = f:describe():row(2)
    assert.same({ 27, 17, 100 }, { missing.rooms, missing.age, missing.alley })
    assert.equal(f:csv(), assert(data.csv { string = f:csv() }):csv())
    local none, message = data.csv "/nowhere/x.csv"
    assert.is_nil(none)
    assert.truthy(message:find("/nowhere/x.csv", 1, true))
    assert.same({ "age", "id" }, data.csv(csv, { columns = { "age", "id" } }):select({ "age", "id" }):names())
    fails(function() data.csv(csv, { heder = true }) end, "bad argument #2 to 'csv'", "'heder'")
  end)

  it("becomes a saved model in twenty lines", function()
    -- what a user writes begins here
    mare.seed(1)
    local f = assert(data.csv(csv, { missing = { "", "NA" } }))
    local train, test = f:drop("id"):split(0.8, { seed = 1 })
    local fill = train:fills "mean"
    local code = data.OneHot({ missing = true }):fit(train)
    local function prepare(part) return code:transform(part:fillna(fill)):dataset(nil, { "price" }) end
    train, test = prepare(train), prepare(test)
    local scale = data.Standardize():fit(train)
    train, test = scale:transform(train), scale:transform(test)
    local model = mare.nn.Sequential { mare.nn.Linear(train.x:size(2), 1) }
    mare.train.fit(model, { data = train, validation = test, loss = mare.loss.mse, epochs = 60, seed = 1,
      optimizer = mare.optim.adam(model:parameters(), { lr = 1 }), progress = false })
    assert(model:save(saved))
    -- and ends here
    local again = assert(mare.nn.load(saved))
    assert.equal(mare.train.predict(model, test):tobytes(), mare.train.predict(again, test):tobytes())
    assert.is_true(mare.metrics.r2(mare.train.predict(again, test), test.y) > 0.8)
    assert.same({ "rooms", "age", "alley_Grvl", "alley_Pave", "alley_nan" }, train.features)
  end)
end)
