-- csv_spec.lua -- tables of text: kinds, quotes, missing values, exact numbers, and
-- what is said of tables that are none.

local mare = require "mare"
local support = require "spec.support"
local csv = require "mare.data.csv"

local here = "csv_spec.lua:"

local paths = {}
local function write(bytes, ending)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (ending or ".csv")
  paths[#paths + 1] = path
  return support.write(path, bytes)
end

after_each(function()
  for _, path in ipairs(paths) do os.remove(path) end
  paths = {}
end)

-- Columns as lists, kinds and numbers of missing values by name.
local function parse(text, opts)
  local columns = assert(csv.read({ string = text }, opts))
  local values, kinds, missing = {}, {}, {}
  for _, c in ipairs(columns) do
    values[c.name] = c.kind == "string" and c.values or support.flat(c.values)
    kinds[c.name], missing[c.name] = c.kind, c.missing
    if c.kind ~= "string" then assert.equal(c.kind, c.values.dtype) end
  end
  return values, kinds, missing
end

local function refused(text, message, opts)
  local got, said = csv.read({ string = text }, opts)
  assert.is_nil(got)
  assert.equal("string:" .. message, said)
end

describe("columns", function()
  it("are whole numbers, numbers or strings, as all their rows say", function()
    local v, kinds, missing = parse(
      "a,b,c,d\n1,1,x,2\n-2,2.5,3,9223372036854775807\n+03,1e3,,-9223372036854775808\n")
    assert.same({ a = "i64", b = "f64", c = "string", d = "i64" }, kinds)
    assert.same({ a = 0, b = 0, c = 1, d = 0 }, missing)
    assert.same({ 1, -2, 3 }, v.a)
    assert.same({ 1, 2.5, 1000 }, v.b)
    assert.same({ "x", "3", false }, v.c)
    assert.same({ 2, math.maxinteger, math.mininteger }, v.d)
  end)

  it("with missing values are f64 with NaN, or strings with false", function()
    local v, kinds, missing = parse("a,b\n1,x\nNA,NA\n3,\n,y\n")
    assert.same({ a = "f64", b = "string" }, kinds)
    assert.same({ a = 2, b = 2 }, missing)
    support.same(v.a, { 1, 0 / 0, 3, 0 / 0 }, 0, "a")
    assert.same({ "x", false, false, "y" }, v.b)
  end)

  it("of nothing but missing values are f64", function()
    local _, kinds, missing = parse("a,b\n,\n,\n")
    assert.same({ a = "f64", b = "f64" }, kinds)
    assert.same({ a = 2, b = 2 }, missing)
  end)

  it("take the marks that are given, numbers too, and no others", function()
    local v, kinds, missing = parse("a,b\n-999,NA\n2,?\n-3,z\n", { missing = { "-999", "?" } })
    assert.same({ a = "f64", b = "string" }, kinds)
    assert.same({ a = 1, b = 1 }, missing)
    support.same(v.a, { 0 / 0, 2, -3 }, 0, "a")
    assert.same({ "NA", false, "z" }, v.b)
  end)

  it("of given types are checked", function()
    local v, kinds = parse("a,b,c\n1,2,3\n4,5,\n", { types = { a = "f64", b = "string", c = "i64" } })
    assert.same({ a = "f64", b = "string", c = "f64" }, kinds)
    assert.same({ "2", "5" }, v.b)
    assert.same({ 1, 4 }, v.a)
    refused("a,b\n1,2\n3,x1\n", "3: column 2 (b): 'x1' is no number", { types = { b = "f64" } })
    refused("a\n1\n\n2.5\n", "4: column 1 (a): '2.5' is no whole number of 64 bits",
      { types = { a = "i64" } })
    refused("a\n\"\"\n2.5\n", "3: column 1 (a): '2.5' is no whole number of 64 bits",
      { types = { a = "i64" } })
    refused("a\n9223372036854775808\n",
      "2: column 1 (a): '9223372036854775808' is no whole number of 64 bits",
      { types = { a = "i64" } })
  end)

  it("can be chosen, and named anew", function()
    local columns = assert(csv.read({ string = "a,b,c\n1,x,3\n" }, { columns = { "c", "a" } }))
    assert.equal("a c", columns[1].name .. " " .. columns[2].name)
    local v = parse("1,x\n2,y\n", { header = false })
    assert.same({ column1 = { 1, 2 }, column2 = { "x", "y" } }, v)
    v = parse("1,x\n2,y\n", { header = false, names = { "n", "s" }, types = { n = "string" } })
    assert.same({ n = { "1", "2" }, s = { "x", "y" } }, v)
    assert.same({ p = { 1 }, q = { 2 } }, (parse("a,a\n1,2\n", { names = { "p", "q" } })))
    assert.same({ column1 = { 1 }, b = { 2 } }, (parse(",b\n1,2\n")))
  end)

  it("can have no rows, or fewer than the file", function()
    local v, kinds = parse("a,b\n", { types = { b = "string" } })
    assert.same({ a = {}, b = {} }, v)
    assert.same({ a = "f64", b = "string" }, kinds)
    assert.same({ a = { 1, 2 } }, (parse("a\n1\n2\n3\nx\n", { rows = 2 })))
    assert.same({ a = {} }, (parse("a\n1\n", { rows = 0 })))
    assert.same({ a = { 1 } }, (parse("a\n1", { rows = 9 })))
  end)
end)

describe("fields", function()
  it("in quotes hold separators, newlines and quotes", function()
    local v = parse('a,"b ""x"""\n"1","x,y"\r\n2,"line\nfeed\r\n"\r\n"3 ","say ""hi"""\n')
    assert.same({ 1, 2, 3 }, v.a)
    assert.same({ "x,y", "line\nfeed\r\n", 'say "hi"' }, v['b "x"'])
  end)

  it("may have quotes inside that are no quotes", function()
    assert.same({ '5"', 'a"b"' }, (parse('s\n5"\na"b"\n')).s)
  end)

  it("end with \\n, \\r\\n or the file", function()
    for _, text in ipairs { "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\n1,2", "a,b\r\n1,2\r\n\r\n",
      "\n\r\na,b\n\n1,2\n\n", "\xef\xbb\xbfa,b\n1,2\n" } do
      assert.same({ a = { 1 }, b = { 2 } }, (parse(text)))
    end
  end)

  it("may all end with \\r alone", function()
    for _, text in ipairs { "a,b\r1,2\r", "a,b\r1,2", "\r\ra,b\r\r1,2\r\r" } do
      assert.same({ a = { 1 }, b = { 2 } }, (parse(text)))
    end
    assert.same({ "x\ny", "z" }, (parse 'a\r"x\ry"\rz\r').a)
    refused("a,b\r1,2\r3\r", "3: column 2 (b): the line ends before this column")
    refused("a,b\r\n1,2\r3,4\n", "2: column 3: the line goes on after its last column")
  end)

  it("stand between other separators, with other decimal points", function()
    local v = parse("a;b\n1,5;x,y\n-2;z\n", { separator = ";", decimal = "," })
    assert.same({ a = { 1.5, -2 }, b = { "x,y", "z" } }, v)
    assert.same({ a = { 1.5 }, b = { 2 } }, (parse("a\tb\n1.5\t2\n", { separator = "\t" })))
    assert.same({ a = { 1 }, b = { 2 } }, (parse("a|b\n 1 |\t2 \n", { separator = "|" })))
  end)

  it("may be inf and nan, in any case", function()
    local v, _, missing = parse("a\ninf\n-Infinity\n+INF\nNaN\n-nan\n1\n")
    support.same(v.a, { 1 / 0, -1 / 0, 1 / 0, 0 / 0, 0 / 0, 1 }, 0, "a")
    assert.equal(2, missing.a)
    assert.equal("string", select(2, parse "a\ninfinit\n").a)
  end)
end)

-- -- numbers ------------------------------------------------------------------------------

-- Lua's tonumber is strtod in the C locale.
local function exactly(texts)
  local v = parse("x\n" .. table.concat(texts, "\n") .. "\n", { types = { x = "f64" } }).x
  assert.equal(#texts, #v)
  for i, text in ipairs(texts) do
    local want = tonumber(text) * 1.0
    if v[i] ~= want or 1 / v[i] ~= 1 / want then
      error(("%s is read as %.17g, not %.17g"):format(text, v[i], want))
    end
  end
end

describe("numbers", function()
  local random = support.sequence(5)
  local function integer(lo, hi) return math.floor(random(lo, hi + 1)) end

  it("are the nearest doubles: ties, limits, long tails", function()
    local texts = { "0", "0.0", "-0.0e9", ".5", "5.", "1e23", "9007199254740993",
      "9007199254740992.9999999999999999", "9007199254740993.00000000000000000000000000001",
      "2.2250738585072011e-308", "2.2250738585072014e-308", "4.9e-324", "2.4703282292062327e-324",
      "2.4703282292062328e-324", "2.4703282292062327208051355101253e-324", "1.7976931348623157e308",
      "1.7976931348623158e308", "1.7976931348623159e308", "1e309", "-1e400", "1e-400",
      "123456789012345678901234567890", "0.000000000000000000000000000000000000001e50",
      "1" .. ("0"):rep(400) .. "e-400", "0." .. ("0"):rep(400) .. "1e401", "1e99999999999999999999",
      "1e-99999999999999999999", "0e99999999", "6.02214076E+23", "00000000000000000000001.5",
      "89255.0e-22", "104110013277974872254e-225", "3.1415926535897932384626433832795",
      "0.5000000000000000277555756156289135105907917022705078125",
      "1.00000000000000011102230246251565404236316680908203125",
      "1.00000000000000011102230246251565404236316680908203124999",
      "1.00000000000000011102230246251565404236316680908203125" .. ("0"):rep(900) .. "1" }
    exactly(texts)
  end)

  -- every number is a test of its own
  local many = support.sample(100000, 500000)

  it("are the nearest doubles: many of any length and exponent", function()
    local texts = {}
    for i = 1, many do
      local digits = ("%d"):format(integer(0, 10 ^ integer(1, 18)))
      if i % 7 == 0 then digits = digits .. ("%d"):format(integer(0, 10 ^ 15)) end
      local point = integer(0, #digits)
      local text = digits:sub(1, point) .. "." .. digits:sub(point + 1)
      if i % 3 == 0 then text = text .. "e" .. integer(-340, 310)
      elseif i % 3 == 1 then text = text .. "e" .. integer(-30, 30) end
      texts[i] = i % 2 == 0 and "-" .. text or text
    end
    exactly(texts)
  end)

  it("are the nearest doubles: many random doubles, written with 17 digits", function()
    local texts = {}
    while #texts < many do
      local bits = integer(0, 0xffffffff) << 32 | integer(0, 0xffffffff)
      local v = string.unpack("d", string.pack("i8", bits))
      if v == v and math.abs(v) < math.huge then
        texts[#texts + 1] = ("%.17g"):format(v)
      end
    end
    exactly(texts)
  end)
end)

-- -- large files ------------------------------------------------------------------------------

describe("a long file", function()
  -- several chunks of 4 MB, so that kinds change after rows are gone
  local function long(n, last)
    local lines = { "i,x,s,t" }
    for i = 1, n do
      lines[i + 1] = i % 1000 == 0 and ('%d,%d.5,"a\n%d",%d'):format(i, i, i, i)
        or ("%d,%d,name%d,%d"):format(i, i, i, i)
    end
    lines[#lines + 1] = last
    return table.concat(lines, "\n")
  end

  local function check_long(columns, n)
    local i, x, s, t = columns[1], columns[2], columns[3], columns[4]
    assert.equal("i64 f64 string string", ("%s %s %s %s"):format(i.kind, x.kind, s.kind, t.kind))
    assert.same({ n + 1 }, i.values.shape)
    local list = support.flat(i.values)
    local reals = support.flat(x.values)
    for k = 1, n do
      assert(list[k] == k and s.values[k] == (k % 1000 == 0 and "a\n" or "name") .. k and
        t.values[k] == tostring(k) and reals[k] == (k % 1000 == 0 and k + 0.5 or k), k)
    end
    assert.equal(n + 1, #s.values)
    assert.equal(-5, list[n + 1])
    assert.equal("late", t.values[n + 1])
    assert.is_false(s.values[n + 1])
    assert.equal(1, s.missing)
    assert.equal(1, x.missing)
  end

  local function same_columns(a, b)
    for k = 1, 4 do
      local x, y = a[k], b[k]
      assert.same({ x.name, x.kind, x.missing, #x.values }, { y.name, y.kind, y.missing, #y.values })
      if x.kind ~= "string" then assert.is_true(x.values:tobytes() == y.values:tobytes())
      else for i = 1, #x.values do assert(x.values[i] == y.values[i], i) end end
    end
  end

  it("is read in chunks; a column that is text at the end is read again", function()
    local n = 400000
    local path = write(long(n, "-5,,,late\n"))
    local plain = assert(csv.read(path))
    check_long(plain, n)
    assert(os.execute("gzip -1 " .. path))
    paths[#paths + 1] = path .. ".gz"
    same_columns(plain, assert(csv.read(path .. ".gz")))
  end)

  it("may have lines that end with \\r alone", function()
    local text = long(150000, "-5,,,late\n")
    local want = assert(csv.read { string = text })
    local got = assert(csv.read { string = text:gsub("\n", "\r") })
    assert.equal(want[2].values:tobytes(), got[2].values:tobytes())
    assert.same(want[3].values, got[3].values)
  end)

  it("is the same for every number of threads", function()
    local text = { string = long(100000, "-5,,,late\n") }
    local threads = mare.threads()
    mare.threads(1)
    local one = csv.read(text)
    mare.threads(4)
    local four = csv.read(text)
    mare.threads(threads)
    assert.same(one[3].values, four[3].values)
    assert.equal(one[2].values:tobytes(), four[2].values:tobytes())
  end)

  it("names the line of a mistake far inside", function()
    local n = 300000
    local path = write(long(n, "1,2,3"))
    local got, message = csv.read(path)
    assert.is_nil(got)
    assert.equal(("%s:%d: column 4 (t): the line ends before this column"):format(path,
      n + n // 1000 + 2), message)
  end)

  it("frees what it made when it fails", function()
    local path = write(long(100000, "1,2,3"))
    local live = support.live()
    for _ = 1, 3 do assert.is_nil((csv.read(path))) end
    assert.equal(live, support.live())
  end)
end)

-- -- misuse ---------------------------------------------------------------------------------

describe("data.csv", function()
  it("refuses options it does not know, at the user's line", function()
    local function fails(opts, ...) support.fails(here, function() csv.read("x", opts) end, ...) end
    fails({ sep = "," }, "unknown option 'sep'", "separator")
    fails({ separator = ",," }, "separator is one character")
    fails({ separator = "." }, "separator is one character")
    fails({ decimal = "1" }, "decimal is one character")
    fails({ missing = "NA" }, "missing is a list of strings, not a string")
    fails({ columns = { 1 } }, "columns is a list of strings; it holds a number")
    fails({ types = { a = "int" } }, "types: 'a' is int; 'i64', 'f64' or 'string' expected")
    fails({ rows = -1 }, "whole number of at least 0")
    support.fails(here, function() csv.read(3) end, "path or { string = text } expected, got number")
    support.fails(here, function() csv.read "a\0" end, "zero byte")
  end)

  it("says which column there is not", function()
    refused("a,b\n", " no column 'c'", { columns = { "c" } })
    refused("a,b\n", " no column 'c'", { types = { c = "f64" } })
    refused("a,b\n", " 1 names for 2 columns", { names = { "c" } })
  end)
end)
