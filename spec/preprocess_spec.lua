-- preprocess_spec.lua -- what is fitted to training rows and applied to others, against
-- scikit-learn 1.2.1 (fixtures/preprocess.py); polynomial features, lags, splits of frames.

local mare = require "mare"
local support = require "spec.support"
local reference = require "spec.fixtures.preprocess"
local data = mare.data

local here = "preprocess_spec.lua:"

local function fails(f, ...) support.fails(here, f, ...) end

local function f64(list) return mare.tensor(list, "f64") end

local function agree(t, want, what, tolerance)
  support.same(support.flat(t), support.flat(f64(want)), tolerance or 1e-12, what)
end

local x, test = f64(reference.x), f64(reference.test)

-- -- scaling --------------------------------------------------------------------------------

describe("scaling agrees with scikit-learn:", function()
  it("Standardize", function()
    local s = data.Standardize():fit(x)
    agree(s:transform(test), reference.standardize, "z", 1e-11)
    agree(s.center, reference.standardize_mean, "mean")
    agree(s.scale, reference.standardize_scale, "scale", 1e-11)
    agree(data.Standardize({ std = false }):fit(x):transform(test), reference.standardize_only_mean, "mean only")
    agree(data.Standardize({ mean = false }):fit(x):transform(test), reference.standardize_only_std,
      "std only", 1e-11)
    agree(data.Standardize():fit(x, { weights = f64(reference.weights) }):transform(test),
      reference.standardize_weighted, "weighted", 1e-11)
  end)

  it("MinMax", function()
    agree(data.MinMax():fit(x):transform(test), reference.minmax, "0..1")
    agree(data.MinMax({ low = -1, high = 3 }):fit(x):transform(test), reference.minmax_range, "-1..3")
    agree(data.MinMax({ clip = true }):fit(x):transform(test), reference.minmax_clip, "clipped")
  end)

  it("Normalize", function()
    for _, norm in ipairs { "l1", "l2", "max" } do
      agree(data.Normalize({ norm = norm }):fit_transform(x), reference["normalize_" .. norm], norm)
    end
  end)

  it("PCAWhiten, up to the sign of a component", function()
    local y = f64(reference.mixed)
    for name, components in pairs { whiten = false, whiten_two = 2 } do
      local z = data.PCAWhiten({ components = components or nil }):fit_transform(y)
      local want = f64(reference[name])
      local sign = (z * want):sum(1):sign()
      support.same(support.flat(z * sign), support.flat(want), 1e-9, name)
      support.same(support.flat(z:var(1)), support.flat(mare.ones({ want:size(2) }, "f64")), 1e-9, "variance")
    end
    local p = data.PCAWhiten({ components = 2 }):fit(y)
    agree(p:inverse(p:transform(y)), reference.whiten_back, "inverse", 1e-9)
  end)
end)

describe("scaling", function()
  local makers = { data.Standardize, data.MinMax, data.PCAWhiten,
    function() return data.MinMax { low = 2, high = 5 } end,
    function() return data.Standardize { mean = false } end }

  it("has an inverse", function()
    for i, make in ipairs(makers) do
      local y = f64(reference.mixed)
      local s = make():fit(y)
      support.same(support.flat(s:inverse(s:transform(y))), support.flat(y), 1e-9, "kind " .. i)
      local single = y:to "f32"
      assert.equal("f32", s:transform(single).dtype)
    end
  end)

  it("is saved and read", function()
    for _, make in ipairs { data.Standardize, data.MinMax, data.Normalize, data.PCAWhiten } do
      local y = f64(reference.mixed)
      local s = make():fit(y)
      local again = assert(data.load { string = s:save() })
      assert.equal(tostring(s), tostring(again))
      assert.equal(s:transform(y):tobytes(), again:transform(y):tobytes())
    end
  end)

  it("takes data sets", function()
    local ds = data.dataset(x, mare.arange(1, 12, "i64"))
    local train, unseen = ds:split(8, { seed = 1 })
    local s = data.Standardize():fit(train)
    local out = s:transform(unseen)
    assert.equal(s:transform(unseen.x):tobytes(), out.x:tobytes())
    assert.equal(unseen.y:tobytes(), out.y:tobytes())
    support.same(support.flat(s:inverse(out).x), support.flat(unseen.x), 1e-12, "inverse")
  end)

  it("takes images and gives images, as batches have them", function()
    local images = mare.tensor({ 0, 255, 51, 102, 255, 255, 0, 0 }, "u8"):reshape(2, 2, 2)
    local z = data.MinMax():fit(images):transform(images)
    assert.same({ 2, 2, 2 }, z.shape)
    support.same(support.flat(z), { 0, 0, 1, 1, 1, 0, 0, 0 }, 1e-6, "z")
    assert.same({ 2, 2, 2 }, data.MinMax():fit_transform(data.dataset(images)).x.shape)
  end)

  it("takes frames", function()
    local f = data.frame { { "a", { 1, 2, 3 } }, { "c", { "x", "y", "z" } }, { "b", { 2.5, 2.5, 5 } } }
    local s = data.MinMax():fit(f)
    local g = s:transform(f)
    assert.same({ "a", "c", "b" }, g:names())
    assert.same({ 0, 0.5, 1 }, g.a:totable())
    assert.same({ 0, 0, 1 }, g.b:totable())
    assert.same({ 1, 2, 3 }, s:inverse(g).a:totable())
    local one = data.Standardize({ columns = "b" }):fit(f)
    assert.same({ 1, 2, 3 }, one:transform(f).a:totable())
    local again = assert(data.load { string = one:save() })
    assert.same({ "b" }, again.columns)
    assert.equal(tostring(one:transform(f)), tostring(again:transform(f)))
    local p = data.PCAWhiten({ components = 1 }):fit(f)
    assert.same({ "c", "component_1" }, p:transform(f):names())
    fails(function() s:transform(f:drop "a") end, "'transform'", "the frame has no column 'a'")
    fails(function() data.MinMax({ columns = { "q" } }):fit(f) end, "'fit'", "no column 'q'")
    fails(function() data.MinMax({ columns = { "c" } }):fit(f) end, "column 'c' holds strings")
    fails(function() data.MinMax():fit(f:select "c") end, "no columns of numbers")
    fails(function() data.MinMax():fit(f:with { a = { 1, false, 2 } }) end,
      "column 'a', row 2: the value is missing")
    fails(function() data.MinMax { columns = 3 } end, "columns: list of names expected, got number")
    fails(function() data.MinMax { columns = { 3 } } end, "names are strings; #1 is a number")
  end)

  it("survives the end of a scope", function()
    local s = data.Standardize()
    do
      local _ <close> = mare.scope()
      s:fit(f64(reference.x))
    end
    agree(s:transform(test), reference.standardize, "z", 1e-11)
  end)

  it("says what is wrong", function()
    local s = data.Standardize()
    fails(function() s:transform(x) end, "'transform' needs a fitted model")
    fails(function() s:fit(3) end, "'fit'", "tensor, data set or frame expected, got number")
    fails(function() s:fit(mare.zeros(3)) end, "a matrix (rows, columns) expected, got shape 3")
    fails(function() s:fit(f64 { { 1, 0 / 0 } }) end, "row 1, column 2")
    s:fit(x)
    fails(function() s:transform(mare.zeros(2, 3)) end, "3 columns (shape 2x3); the model was fitted to 4")
    fails(function() s:inverse(mare.zeros(2, 3)) end, "'inverse'", "(n, 4) expected, got f32 tensor 2x3")
    fails(function() data.Standardize { maen = true } end, "did you mean 'mean'?")
    fails(function() data.MinMax({ low = 1 }):fit(x) end, "low = 1 is not below high = 1.0")
    fails(function() data.Normalize { norm = "l3" } end, "norm: unknown value 'l3'")
    fails(function() data.Normalize():fit(x):inverse(x) end, "there is no inverse")
  end)
end)

-- -- encoding -------------------------------------------------------------------------------

describe("OneHot", function()
  it("agrees with scikit-learn", function()
    local t = mare.tensor(reference.table, "f32"):to "i64"
    local code = data.OneHot({ unknown = "ignore" }):fit(t)
    agree(code:transform(mare.tensor({ { 7, 5 }, { 1, 9 }, { 3, 1 } }, "i64")), reference.onehot, "unknown")
    agree(data.OneHot({ drop_first = true }):fit_transform(t), reference.onehot_drop, "drop")
    assert.same({ "x1_1", "x1_3", "x1_7", "x2_1", "x2_2", "x2_5" }, code:names())
  end)

  it("gives test rows the columns of the training rows, and back", function()
    local f = data.frame { { "c", { "b", "a", "b", "c" } }, { "n", { 1, 2, 3, 4 } }, { "d", { "x", "x", "y", "y" } } }
    local code = data.OneHot():fit(f)
    local g = code:transform(f:head(1))
    assert.same({ "c_a", "c_b", "c_c", "n", "d_x", "d_y" }, g:names())
    assert.same({ { 0, 1, 0, 1, 1, 0 } }, g:tensor():totable())
    for _, settings in ipairs { {}, { drop_first = true }, { missing = true } } do
      local each = data.OneHot(settings):fit(f)
      local back = each:inverse(each:transform(f))
      assert.same(f.c, back.c)
      assert.same(f.d, back.d)
    end
    local same = data.frame { { "c", { "a", "a" } }, { "d", { "x", "y" } } }
    local one = data.OneHot({ drop_first = true }):fit(same)
    assert.same({ "d_y" }, one:transform(same):names())
    assert.same({ "a", "a" }, one:inverse(one:transform(same)).c)
    assert.same({ "x", "y" }, one:inverse(one:transform(same)).d)
    local again = assert(data.load { string = code:save() })
    assert.equal(tostring(g), tostring(again:transform(f:head(1))))
    assert.equal(tostring(code), tostring(again))
  end)

  it("knows what is missing", function()
    local f = data.frame { { "c", { "b", false, "a" } } }
    local code = data.OneHot({ missing = true }):fit(f)
    assert.same({ { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 0 } }, code:transform(f):tensor():totable())
    assert.same({ "b", false, "a" }, code:inverse(code:transform(f)).c)
    fails(function() data.OneHot():fit(f) end, "column 'c', row 2: the value is missing")
    local plain = data.OneHot():fit(f:dropna())
    fails(function() plain:transform(f) end, "'transform'", "row 2: the value is missing")
    fails(function() plain:transform(data.frame { c = { "z" } }) end, "'z' is not among the categories")
    fails(function() plain:transform(data.frame { d = { "z" } }) end, "there is no column 'c'")
    fails(function() plain:inverse(mare.zeros(2, 5)) end, "(n, 2) expected, got shape 2x5")
    fails(function() data.OneHot():fit(data.frame { n = { 1 } }) end, "no columns of strings")
    fails(function() data.OneHot { unknown = "drop" } end, "unknown value 'drop'")
    fails(function() data.OneHot():transform(f) end, "needs a fitted model")
  end)
end)

describe("polynomial", function()
  local small = f64(reference.small)

  it("agrees with scikit-learn", function()
    local z, names = data.polynomial(small, 3)
    agree(z, reference.polynomial, "degree 3")
    assert.same(reference.polynomial_names, names)
    z, names = data.polynomial(small, 2, { bias = true })
    agree(z, reference.polynomial_bias, "bias")
    assert.same(reference.polynomial_bias_names, names)
    z, names = data.polynomial(small, 3, { interactions = true })
    agree(z, reference.interactions, "interactions")
    assert.same(reference.interactions_names, names)
  end)

  it("takes series and data sets", function()
    assert.same({ { 2, 4, 8 }, { 3, 9, 27 } }, data.polynomial(mare.tensor { 2, 3 }, 3):totable())
    local f = data.frame { { "a", { 1, 2 } }, { "b", { 3, 4 } }, { "y", { 5, 6 } } }
    local ds = data.polynomial(f:dataset(nil, "y"), 2)
    assert.same({ "a", "b", "a^2", "a b", "b^2" }, ds.features)
    assert.same({ { 1, 3, 1, 3, 9 }, { 2, 4, 4, 8, 16 } }, ds.x:totable())
    assert.same({ 5, 6 }, ds.y:totable())
    fails(function() data.polynomial(small, 0) end, "bad argument #2 to 'polynomial'")
    fails(function() data.polynomial(3, 2) end, "tensor expected")
    fails(function() data.polynomial(small, 2, { biass = true }) end, "unknown option 'biass'")
    fails(function() data.polynomial(mare.zeros(2, 2, 2), 2) end, "got shape 2x2x2")
  end)
end)

describe("lags", function()
  local series = mare.arange(101, 200)

  it("puts the past beside each value", function()
    local ds = data.lags(series, 7)
    assert.equal(93, #ds)
    assert.same({ 107, 106, 105, 104, 103, 102, 101 }, ds.x[1]:totable())
    assert.equal(108, ds.y[1]:item())
    assert.equal(200, ds.y[-1]:item())
    assert.equal("lag 7", ds.features[7])
    assert.same({ { 6, 5 }, { 7, 6 } }, data.lags({ 5, 6, 7, 8 }, 2).x:totable())
  end)

  it("takes lists, a first row and a horizon", function()
    local ds = data.lags(series, { 1, 7, 28, 56 })
    assert.equal(44, #ds)
    assert.same({ 156, 150, 129, 101 }, ds.x[1]:totable())
    assert.equal(157, ds.y[1]:item())
    local same = data.lags(series, 7, { first = 57 })
    assert.equal(ds.y:tobytes(), same.y:tobytes())
    local far = data.lags(series, 2, { horizon = 3 })
    assert.same({ 102, 101 }, far.x[1]:totable())
    assert.equal(105, far.y[1]:item())
    local train, unseen = ds:split(0.75, { shuffle = false })
    assert.equal(unseen.y[1]:item(), train.y[-1]:item() + 1)
  end)

  it("says what is wrong", function()
    fails(function() data.lags(series, 0) end, "bad argument #2 to 'lags'")
    fails(function() data.lags(series, {}) end, "an empty list")
    fails(function() data.lags(series, { 1, 1.5 }) end, "lag #2: whole number of at least 1 expected, got 1.5")
    fails(function() data.lags(mare.zeros(3, 2), 1) end, "a series (n) expected, got shape 3x2")
    fails(function() data.lags(series, 100) end, "100 values; the first row needs 101")
    fails(function() data.lags(series, 7, { first = 7 }) end, "first = 7; 7 values before it are needed")
    fails(function() data.lags(series, 7, { horzon = 7 }) end, "unknown option 'horzon'")
    fails(function() data.lags(mare.tensor { 1, 0 / 0, 3 }, 1) end, "the value at 2 is missing")
  end)
end)

-- -- parts of frames ------------------------------------------------------------------------

describe("frames are split", function()
  local n = 100
  local function rows()
    local kind, group, time = {}, {}, {}
    for i = 1, n do kind[i], group[i], time[i] = i % 5 == 0 and "b" or "a", i % 7, (i * 37) % n end
    return data.frame { { "i", mare.arange(1, n, "i64") }, { "kind", kind }, { "group", group }, { "time", time } }
  end

  local function whole(a, b)
    local all = a:concat(b):sort "i"
    assert.same(mare.arange(1, n, "i64"):totable(), all.i:totable())
  end

  it("at random, by seed", function()
    local a, b = rows():split(0.8, { seed = 1 })
    assert.equal(80, #a)
    whole(a, b)
    assert.same(a.i:totable(), rows():split(80, { seed = 1 }).i:totable())
    assert.are_not.same(a.i:totable(), rows():split(80, { seed = 2 }).i:totable())
    assert.same({ 1, 2, 3 }, rows():split(3, { shuffle = false }).i:totable())
  end)

  it("with proportions", function()
    local a, b = rows():split(0.5, { stratify = "kind", seed = 1 })
    whole(a, b)
    assert.same({ 40, 10 }, a:group("kind"):size().size:totable())
  end)

  it("by groups, which stay together", function()
    local a, b = rows():split(0.6, { group = "group", seed = 3 })
    whole(a, b)
    assert.is_true(#a > 50 and #a < 70)
    assert.equal(0, #a:select("group"):join(b:group("group"):size(), "group"))
  end)

  it("by groups even when none fits: neither part is empty", function()
    local f = data.frame { g = { 1, 1, 1, 2, 2 } }
    for seed = 1, 5 do
      for _, size in ipairs { 1, 4 } do
        local a, b = f:split(size, { group = "g", seed = seed })
        assert.same({ 2, 3 }, { math.min(#a, #b), math.max(#a, #b) })
      end
    end
    fails(function() f:head(2):split(1, { group = "g" }) end, "group: column 'g' has one value")
  end)

  it("by time", function()
    local a, b = rows():split(0.7, { time = "time" })
    whole(a, b)
    assert.equal(70, #a)
    assert.is_true(a:max().time < b:min().time)
    local ties = data.frame { t = { 1, 2, 2, 2, 3 } }
    a, b = ties:split(2, { time = "t" })
    assert.same({ 1, 2, 2, 2 }, a.t:totable())
    assert.same({ 3 }, b.t:totable())
  end)

  it("into folds, as scikit-learn does", function()
    local tests = {}
    local f = data.frame { { "t", mare.arange(1, 14, "i64") }, { "g", mare.tensor(reference.groups, "f32"):to "i64" } }
    for train, later in f:shuffle({ seed = 1 }):kfold(3, { time = "t" }) do
      tests[#tests + 1] = later.t:totable()
      assert.same(mare.arange(1, later.t[1]:item() - 1, "i64"):totable(), train.t:totable())
    end
    for i, want in ipairs(reference.time_test) do support.same(tests[i], want, 0, "time") end
    local sizes, seen = {}, {}
    local ties = data.frame { t = { 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7 } }
    local ends = {}
    for train, later in ties:kfold(3, { time = "t" }) do
      assert.is_true(train.t:max():item() < later.t:min():item())
      ends[#ends + 1] = #train .. "+" .. #later
    end
    assert.same({ "4+2", "6+3", "9+3" }, ends)
    fails(function() data.frame({ t = { 1, 1, 1, 2 } }):kfold(2, { time = "t" }) end,
      "2 folds; too many rows are of one time")
    for train, others in f:kfold(3, { group = "g" }) do
      sizes[#sizes + 1] = #others
      assert.equal(0, #train:join(others:group("g"):size(), "g"))
      for _, t in ipairs(others.t:totable()) do seen[t] = true end
    end
    table.sort(sizes)
    support.same(sizes, reference.group_sizes, 0, "sizes")
    assert.equal(14, #seen)
    local count = 0
    for train, others in rows():kfold(5, { stratify = "kind", seed = 1 }) do
      whole(train, others)
      assert.same({ 16, 4 }, others:group("kind"):size().size:totable())
      count = count + 1
    end
    assert.equal(5, count)
  end)

  it("or it says why not", function()
    local f = rows()
    fails(function() f:split(0) end, "a fraction below 1 or a number of rows up to 100")
    fails(function() f:split(0.5, { stratify = "x" }) end, "unknown column 'x'")
    fails(function() f:split(0.5, { stratify = "kind", time = "i" }) end, "stratify and time do not go together")
    fails(function() f:split(0.5, { seed = "x" }) end, "seed is an integer")
    fails(function() f:split(0.5, { straitfy = "x" }) end, "unknown option 'straitfy'")
    fails(function() f:kfold(1) end, "'kfold'")
    fails(function() f:kfold(101) end, "101 folds of 100 rows")
    fails(function() f:kfold(8, { group = "group" }) end, "8 folds of 7 groups")
    local holes = data.frame { a = { 1, false } }
    fails(function() holes:split(1, { group = "a" }) end, "group: column 'a' has no value in row 2")
  end)
end)
