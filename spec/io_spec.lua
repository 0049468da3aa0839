-- io_spec.lua -- safetensors and IDX, there and back, gzipped and not, and everything a
-- damaged or lying file can say.

local mare = require "mare"
local support = require "spec.support"
local demand, read = support.demand, support.read

local here = "io_spec.lua:"

-- A path that nothing stands at; what a test puts there is removed after it.
local paths = {}
local function fresh(ending)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (ending or "")
  paths[#paths + 1] = path
  return path
end

after_each(function()
  for _, path in ipairs(paths) do os.remove(path) end
  paths = {}
end)

local function write(bytes, ending)
  return support.write(fresh(ending), bytes)
end

local function exists(path)
  local f = io.open(path)
  return f ~= nil and f:close()
end

local function gzip(path) -- returns the path of the packed copy
  assert(os.execute(("gzip -9 -n -c %s > %s.gz"):format(path, path)))
  paths[#paths + 1] = path .. ".gz"
  return path .. ".gz"
end

local function same_tensor(a, b)
  assert.equal(a.dtype, b.dtype)
  assert.same(a.shape, b.shape)
  assert.equal(a:tobytes(), b:tobytes())
end

-- -- safetensors: there and back ------------------------------------------------------

local function samples()
  return {
    weight = mare.randn(3, 4), bias = mare.randn({ 5 }, "f64"), empty = mare.zeros(0, 3),
    labels = mare.tensor({ -1, 2 ^ 53 | 0, math.mininteger }, "i64"), scalar = mare.tensor(2.5),
    image = mare.tensor({ { 0, 255 }, { 1, 2 } }, "u8"),
    ["naïve \"name\"\\\1\n"] = mare.ones(1), [""] = mare.ones(2), turned = mare.randn(3, 5):t(),
    special = mare.tensor { 1 / 0, -1 / 0, 0 / 0, -0.0 },
  }
end

local function same_all(want, got)
  local n = 0
  for name, t in pairs(want) do
    assert(got[name], "missing: " .. name)
    same_tensor(t, got[name])
    n = n + 1
  end
  for _ in pairs(got) do n = n - 1 end
  assert.equal(0, n)
end

describe("safetensors", function()
  local metadata = { format = "pt", ["ключ"] = "значение \0 \"\\", empty = "" }

  it("come back from a string", function()
    local want = samples()
    local bytes = mare.save(nil, want, metadata)
    local got, back = mare.load { string = bytes }
    same_all(want, got)
    assert.same(metadata, back)
  end)

  it("come back from a file, packed or not", function()
    local want, path = samples(), fresh ".safetensors"
    assert.is_true(mare.save(path, want, metadata))
    for _, p in ipairs { path, gzip(path) } do
      local got, back = mare.load(p)
      same_all(want, got)
      assert.same(metadata, back)
    end
    same_all(want, (mare.load { string = read(path .. ".gz") }))
    assert.equal(mare.save(nil, want, metadata), read(path))
  end)

  it("may be empty, and have no metadata", function()
    local got, back = mare.load { string = mare.save(nil, {}) }
    assert.same({}, got)
    assert.same({}, back)
  end)

  it("hold what the tape follows, without the tape", function()
    local w = mare.ones(2):requires_grad()
    local got = mare.load { string = mare.save(nil, { w = w, y = w * 2 }) }
    assert.is_false(got.w.is_tracked)
    support.same(support.flat(got.y), { 2, 2 }, 0, "y")
  end)

  it("follow the format byte for byte", function()
    local bytes = mare.save(nil, { b = mare.tensor({ 7 }, "u8"), a = mare.tensor({ 1 }, "f64") },
      { k = "v" })
    local header = [[{"__metadata__":{"k":"v"},]]
      .. [["a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},]]
      .. [["b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}}]]
    header = header .. (" "):rep(-#header % 8)
    assert.equal(string.pack("<s8", header) .. string.pack("<d", 1) .. "\7", bytes)
  end)

  it("that others wrote are read: spaces, escapes, any order of fields", function()
    local header = ([[{ "b" : {"shape":[ ],~"data_offsets":[4, 8],"dtype":"F32" } ,
      "__metadata__" : { "\u00e9\ud83d\ude00\/" : "\n\t\b\f\r\"\\" } ,
      "a\u0041":{"data_offsets" : [0,4],"dtype":"F32","shape":[1,1,1,1,1,1,1,1]}}   ]])
    header = header:gsub("~", "\t")
    local got, back = mare.load { string = string.pack("<s8ff", header, 1.5, 2.5) }
    assert.equal(1.5, got.aA:item())
    assert.equal(2.5, got.b:item())
    assert.same({ ["é😀/"] = "\n\t\b\f\r\"\\" }, back)
  end)

  it("of types that are not ours are converted, value for value", function()
    local function read_as(dtype, format, values)
      local bytes = string.pack(format:rep(#values), table.unpack(values))
      local header = ('{"w":{"dtype":"%s","shape":[%d],"data_offsets":[0,%d]}}'):format(dtype, #values, #bytes)
      bytes = string.pack("<s8", header) .. bytes
      local path = fresh()
      local f = assert(io.open(path, "wb"))
      f:write(bytes)
      f:close()
      local t = assert(mare.load { string = bytes }).w
      for _, opts in ipairs { {}, { mmap = true } } do same_tensor(t, assert(mare.load(path, opts)).w) end
      return t.dtype, support.flat(t)
    end
    local function converted(type, want, ...)
      local dtype, got = read_as(...)
      assert.equal(type, dtype)
      assert.same(want, got)
    end
    converted("i64", { -128, 127, 0 }, "I8", "<i1", { -128, 127, 0 })
    converted("i64", { -32768, 32767 }, "I16", "<i2", { -32768, 32767 })
    converted("i64", { -2147483648, 2147483647 }, "I32", "<i4", { -2147483648, 2147483647 })
    converted("i64", { 0, 65535 }, "U16", "<I2", { 0, 65535 })
    converted("i64", { 0, 4294967295 }, "U32", "<I4", { 0, 4294967295 })
    converted("i64", { 0, math.maxinteger }, "U64", "<I8", { 0, math.maxinteger })
    converted("u8", { 0, 1 }, "BOOL", "B", { 0, 1 })
    converted("f32", { 1, -2, 0x1p-24, 0x1.ff8p-15, 65504, 1 / 0, -1 / 0, 0x1p-14 }, "F16", "<I2",
      { 0x3c00, 0xc000, 1, 0x3ff, 0x7bff, 0x7c00, 0xfc00, 0x400 })
    converted("f32", { 1, -2, 0x1p-133, 0x1.fep127, -1 / 0 }, "BF16", "<I2",
      { 0x3f80, 0xc000, 1, 0x7f7f, 0xff80 })
    for _, dtype in ipairs { "F16", "BF16" } do
      local _, got = read_as(dtype, "<I2", { 0x7fff, 0x8000 })
      assert.is_true(got[1] ~= got[1])
      assert.equal(-1 / 0, 1 / got[2])
    end
    local long = {} -- several blocks
    for i = 1, 70000 do long[i] = (i * 7919) % 65536 - 32768 end
    converted("i64", long, "I16", "<i2", long)
  end)

  it("of many tensors keep their order and alignment", function()
    local want = {}
    for i = 1, 300 do
      want["t" .. i] = mare.rand({ i % 7, 3 }, i % 2 == 0 and "f32" or "f64")
    end
    same_all(want, (mare.load { string = mare.save(nil, want) }))
  end)

  it("are readable by the definition of the format in Python", function()
    if not os.execute "python3 -c '' 2>/dev/null" then return pending "no python3" end
    local path = fresh ".safetensors"
    assert(mare.save(path, { x = mare.tensor { 1.5, -2 }, n = mare.tensor({ 3 }, "i64") },
      { who = "é" }))
    local script = write [[
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
n, = struct.unpack("<Q", raw[:8])
head = json.loads(raw[8:8+n].decode("utf-8"))
assert (8 + n) % 8 == 0 and raw[8:9] == b"{"
assert head.pop("__metadata__") == {"who": "\u00e9"}
data, end = raw[8+n:], 0
for name, e in sorted(head.items(), key=lambda kv: kv[1]["data_offsets"]):
    assert e["data_offsets"][0] == end
    end = e["data_offsets"][1]
assert end == len(data)
b, e = head["x"]["data_offsets"]; assert struct.unpack("<2f", data[b:e]) == (1.5, -2.0)
b, e = head["n"]["data_offsets"]; assert struct.unpack("<q", data[b:e]) == (3,)
]]
    assert.truthy(os.execute(("python3 %s %s"):format(script, path)))
  end)
end)

-- -- safetensors: damaged and lying ---------------------------------------------------

local function packed(header, data) return string.pack("<s8", header) .. (data or "") end

local function refused(bytes, ...)
  local got, message = mare.load { string = bytes }
  assert.is_nil(got)
  for _, part in ipairs { "string: ", ... } do
    assert(message:find(part, 1, true), ("no '%s' in: %s"):format(part, message))
  end
end

local function entry(dtype, shape, offsets)
  return ([[{"dtype":%s,"shape":%s,"data_offsets":%s}]]):format(dtype, shape, offsets)
end

local function one(dtype, shape, offsets) return '{"w":' .. entry(dtype, shape, offsets) .. "}" end

describe("a safetensors file", function()
  it("that is cut off anywhere is refused", function()
    local bytes = mare.save(nil, { a = mare.ones(3), b = mare.ones({ 2 }, "u8") }, { k = "v" })
    for n = 0, #bytes - 1 do
      local got, message = mare.load { string = bytes:sub(1, n) }
      assert(got == nil and message:find("^string: "), "cut at " .. n)
    end
    refused(bytes .. "\0", "1 bytes of data belong to no tensor")
  end)

  it("with a wrong header length is refused before memory is asked for", function()
    refused(string.pack("<I8", math.maxinteger) .. "{}", "does not fit")
    refused(("\255"):rep(8) .. "{}", "a header of 18446744073709551615 bytes does not fit")
    refused(string.pack("<I8", 3) .. "{}", "a header of 3 bytes does not fit")
    refused("", "cut off after 0 bytes; 8 more expected")
  end)

  it("with offsets that do not fit is refused", function()
    local four = ("\0"):rep(4)
    refused(packed(one('"F32"', "[1]", "[0,8]"), four), "tensor 'w'", "do not span the 4 bytes")
    refused(packed(one('"F32"', "[2]", "[0,8]"), four), "the file holds 4 bytes")
    refused(packed(one('"F32"', "[1]", "[4,0]"), four), "data_offsets 4..0")
    refused(packed(one('"F32"', "[1]", "[1,5]"), four .. "\0"), "begin at 1")
    refused(packed(one('"F32"', "[1]", "[0]"), four), "data_offsets holds 1 numbers, not 2")
    refused(packed(one('"F32"', "[1]", "[0,4,8]"), four), "more than 2 numbers")
    refused(packed(one('"F32"', "[1]", "[-4,0]"), four), "not a whole number")
    local big = tostring(math.maxinteger)
    refused(packed(one('"U8"', "[" .. big .. "]", "[0," .. big .. "]"), four), "tensor 'w'")
    refused(packed(one('"F64"', "[4294967296,4294967296]", "[0,0]"), four),
      "shape 4294967296x4294967296 of F64 does not fit into memory")
    refused(packed(one('"F32"', "[99999999999999999999]", "[0,0]"), four), "too large")
    refused(packed(one('"F32"', "[1e3]", "[0,4]"), four), "shape holds something that is not")
    refused(packed(one('"F32"', "[1.0]", "[0,4]"), four), "shape holds something that is not")
    refused(packed(one('"F32"', "[01]", "[0,4]"), four), "shape holds something that is not")
    refused(packed(one('"F32"', "[1,1,1,1,1,1,1,1,1]", "[0,4]"), four), "more than 8 numbers")
  end)

  it("with overlaps, gaps or a name used twice is refused", function()
    local f = '"F32"'
    local function pair(first, second, name)
      return packed(('{"a":%s,"%s":%s}'):format(entry(f, "[1]", first), name or "b",
        entry(f, "[1]", second)), ("\0"):rep(12))
    end
    refused(pair("[0,4]", "[0,4]"), "tensor 'b': data_offsets begin at 0", "end at 4")
    refused(pair("[0,4]", "[2,6]"), "tensor 'b': data_offsets begin at 2")
    refused(pair("[0,4]", "[8,12]"), "tensor 'b': data_offsets begin at 8")
    refused(pair("[0,4]", "[4,8]"), "4 bytes of data belong to no tensor")
    refused(pair("[0,4]", "[4,8]", "a"), "tensor 'a': this name is there twice")
    refused(pair("[0,4]", "[4,8]", "\\u0061"), "tensor 'a': this name is there twice")
  end)

  it("with unknown or missing fields is refused", function()
    local four = ("\0"):rep(4)
    for _, name in ipairs { "F8_E4M3", "F4", "C64", "bool", "f32", "" } do
      refused(packed(one(('"%s"'):format(name), "[1]", "[0,4]"), four),
        "tensor 'w'", name .. " is not supported; known: F64 F32 F16 BF16")
    end
    refused(packed('{"w":{}}', four), "tensor 'w': dtype is missing")
    refused(packed('{"w":{"dtype":"F32","shape":[1]}}', four), "data_offsets is missing")
    refused(packed('{"w":{"dtype":"F32","dtype":"F32"}}', four), "dtype is there twice")
    refused(packed('{"w":{"type":"F32"}}', four), "unknown field 'type'")
    refused(packed('{"__metadata__":{"a":1}}'), "__metadata__: the value of 'a' is not a string")
    refused(packed('{"__metadata__":{"a":"1","a":"2"}}'), "__metadata__: 'a' is there twice")
    refused(packed('{"__metadata__":{},"__metadata__":{}}'), "__metadata__ is there twice")
    refused(packed('{"__metadata__":[]}'), "'{' expected")
  end)

  it("with broken JSON is refused", function()
    for _, header in ipairs { "", " {}", "[]", "{", "{}}", "{},", '{"a"}', '{"a":', '{"a":1}',
      '{"a":{}', "{'a':{}}", '{"a":{},}', '{"__metadata__":{"a":"b",}}', "null", "{}\0",
      '{"w":{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}}' } do
      refused(packed(header, ""))
    end
    for _, text in ipairs { "\\x", "\\u12", "\\u12g4", "\\ud800", "\\ud800\\u0041", "\\udc00", "\\",
      "\1", "\255", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82" } do
      refused(packed('{"__metadata__":{"' .. text .. '":""}}'))
    end
  end)

  it("that is packed badly is refused", function()
    local path = write(mare.save(nil, { w = mare.randn(100) }))
    local bytes = read(gzip(path))
    for n = 2, #bytes - 1, 7 do refused(bytes:sub(1, n)) end
    for _, at in ipairs { 101, #bytes - 6 } do -- among what is packed, in its check sum
      refused(bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1))
    end
    refused(bytes .. "tail", "bytes that are not gzip follow its end")
    assert.truthy(mare.load { string = bytes .. ("\0"):rep(100) })
  end)

  it("that promises more than it can unpack to asks for no memory", function()
    local header = one('"U8"', "[1000000000]", "[0,1000000000]")
    local path = gzip(write(packed(header, "abc")))
    mare.memory_reset_peak()
    local before = mare.memory().live
    local got, message = mare.load(path)
    assert.is_nil(got)
    assert.truthy(message:find("the file holds", 1, true), message)
    assert.is_true(mare.memory().peak - before < 1000000)
  end)

  it("executes nothing and is no Lua", function()
    local got, message = mare.load(write "return { w = os.exit(1) }")
    assert.is_nil(got)
    assert.truthy(message:find("not a safetensors file", 1, true))
  end)
end)

-- -- files ----------------------------------------------------------------------------

describe("a file", function()
  it("that cannot be read gives nil and a message", function()
    for _, f in ipairs { mare.load, mare.data.idx } do
      local path = fresh()
      local got, message = f(path)
      assert.is_nil(got)
      assert.equal(path .. ": No such file or directory", message)
      assert.equal("/: Is a directory", select(2, f "/"))
      assert.equal("/dev/null: Not a regular file", select(2, f "/dev/null"))
    end
  end)

  it("is mapped on request: the same tensors, the file's pages, no live bytes", function()
    local want = samples()
    want.large, want.long = mare.randn(300, 200), mare.randn({ 20000 }, "f64")
    local path = fresh()
    assert(mare.save(path, want, { k = "v" }))
    local live = support.live()
    local got, back = mare.load(path, { mmap = true })
    assert.same({ k = "v" }, back)
    assert.is_true(mare.memory().live - live < 20000)
    same_all(want, got)
    got.large:fill_(7) -- ours alone
    same_all(want, (mare.load(gzip(path), { mmap = true })))
    same_all(want, (mare.load(path)))
    assert.equal(7, got.large:mean():item())
    os.remove(path)
    same_tensor(want.long, got.long)
    got.large:requires_grad()
    got.large:sum():backward()
    assert.equal(1, got.large.grad:mean():item())
    local view = got.long:narrow(1, 5, 3):clone()
    got = nil -- luacheck: ignore
    support.same(support.flat(view), support.flat(want.long:narrow(1, 5, 3)), 0, "view")
    assert.is_nil(mare.load(write "x", { mmap = true }))
    support.fails(here, function() mare.load(path, { map = true }) end, "unknown option 'map'")
  end)

  it("of many megabytes is read by all threads, to the same bytes", function()
    local path, data = fresh(), mare.data
    local want = { a = mare.randint(0, 255, 10000001):to "u8", b = mare.randn(2500, 1000) }
    assert(mare.save(path, want))
    same_all(want, assert(mare.load(path)))
    assert(data.save_npz(path, want)) -- parts of a file
    same_all(want, assert(data.npz(path)))
    assert(data.save_npy(path, want.b))
    same_tensor(want.b, assert(data.npy(path)))
    assert(os.execute(("truncate -s 9000000 %s"):format(path)))
    assert.is_nil(data.npy(path))
  end)

  it("gives its mappings back", function()
    if not io.open "/proc/self/maps" then return pending "no /proc" end
    local path = fresh()
    assert(mare.save(path, { w = mare.ones(100000) }))
    local function mapped()
      collectgarbage()
      collectgarbage()
      return select(2, read "/proc/self/maps":gsub(path, ""))
    end
    local tensors = assert(mare.load(path, { mmap = true }))
    assert.equal(1, mapped())
    tensors.w:close()
    assert.equal(0, mapped())
  end)

  it("that cannot be written gives nil and a message, and leaves nothing", function()
    local dir = fresh()
    local got, message = mare.save(dir .. "/x", { w = mare.ones(1) })
    assert.is_nil(got)
    assert.equal(dir .. "/x: No such file or directory", message)
    assert.equal("/: Is a directory", select(2, mare.save("/", {})))
    assert.equal("/dev/null: Not a regular file", select(2, mare.save("/dev/null", {})))
  end)

  it("is replaced whole or not at all", function()
    local path = write "old"
    assert(os.execute("chmod 640 " .. path))
    assert(mare.save(path, { w = mare.ones(1000) }))
    assert.truthy(mare.load(path).w)
    local mode = io.popen("stat -c %a " .. path .. " 2>/dev/null"):read "l"
    assert.truthy(mode == nil or mode == "640", mode)
    assert.equal("", io.popen("ls " .. path .. ".* 2>/dev/null"):read "a")
  end)

  it("is what a link leads to", function()
    local path, link = write "old", fresh()
    assert(os.execute(("ln -s %s %s"):format(path, link)))
    assert(mare.save(link, { w = mare.ones(3) }))
    assert.truthy(os.execute("test -L " .. link))
    assert.same({ 1, 1, 1 }, mare.load(path).w:totable())
    assert(os.execute(("ln -sfn %s %s"):format(path .. ".none", link)))
    assert(mare.save(link, { w = mare.ones(3) })) -- it leads nowhere
    assert.truthy(mare.load(link).w)
    os.remove(link)
  end)

  it("keeps its old bytes when there is no room for the new ones", function()
    local path = write "old"
    local script = write(([[
      local mare = require "mare"
      local ok, message = mare.save(%q, { w = mare.ones(100000) })
      print(ok, message)]]):format(path))
    local run = io.popen(("sh -c \"trap '' XFSZ; ulimit -f 8; lua5.4 %s\" 2>&1"):format(script))
    assert.equal(("nil\t%s: File too large\n"):format(path), run:read "a")
    assert.equal("old", read(path))
    assert.equal("", io.popen("ls " .. path .. ".* 2>/dev/null"):read "a")
  end)

  local function beside(path)
    local list = {}
    for name in io.popen("ls " .. path .. ".* 2>/dev/null"):lines() do list[#list + 1] = name end
    return list
  end

  it("removes what a killed writer to the same path left, and nothing else", function()
    local path = fresh()
    local others = { ".0123456789~", ".01234567~", ".012345678", ".01234567g~", "x.012345678~" }
    for i, ending in ipairs(others) do
      others[i] = path .. ending
      paths[#paths + 1] = others[i]
      assert(io.open(others[i], "w")):close()
    end
    local script = write(([[
      local mare = require "mare"
      mare.save(%q, { w = mare.ones(100000) })]]):format(path))
    os.execute(("{ (ulimit -f 8; exec lua5.4 %s); true; } >/dev/null 2>&1"):format(script))
    demand(#beside(path) == 5, "no file was left: %s", table.concat(beside(path), " "))
    assert(mare.save(path .. "y", { w = mare.ones(3) }))
    paths[#paths + 1] = path .. "y"
    assert.equal(5, #beside(path))
    assert(mare.save(path, { w = mare.ones(3) }))
    assert.equal(4, #beside(path))
    for _, name in ipairs(others) do demand(exists(name), "%s is gone", name) end
  end)

  it("leaves alone what another process is writing to the same path", function()
    local path, list, ok = fresh(), nil, nil
    local script = write(([[
      local mare = require "mare"
      assert(mare.save(%q, { w = mare.ones(3) }))]]):format(path))
    local x = mare.zeros(24000000)
    for _ = 1, 20 do
      debug.sethook(function()
        if debug.getinfo(2, "S").source ~= "=mare" or #beside(path) == 0 then return end
        debug.sethook()
        assert(os.execute("lua5.4 " .. script))
        list = beside(path)
      end, "", 1000)
      ok = mare.save(path, { w = x })
      debug.sethook()
      if list then break end
    end
    demand(list, "the hook was never called")
    assert.is_true(ok)
    assert.equal(1, #list)
    assert.equal(24000000, mare.load(path, { mmap = true }).w:numel())
    assert.same({}, beside(path))
  end)
end)

-- -- misuse ---------------------------------------------------------------------------

describe("save and load", function()
  it("refuse what they cannot write, at the user's line", function()
    local w = mare.ones(1)
    support.fails(here, function() mare.save(3, {}) end, "#1 to 'save' (path expected, got number)")
    support.fails(here, function() mare.load(3) end,
      "#1 to 'load' (path or { string = bytes } expected, got number)")
    support.fails(here, function() mare.load(mare.save(nil, {})) end,
      "#1 to 'load' (a path has no zero byte; bytes are given as { string = bytes })")
    support.fails(here, function() mare.save("x") end, "#2 to 'save' (table of tensors expected")
    support.fails(here, function() mare.save("x", w) end, "got a tensor")
    support.fails(here, function() mare.save("x", { w }) end, "the name 1 is a number")
    support.fails(here, function() mare.save("x", { w = 1 }) end, "'w' is a number, not a tensor")
    support.fails(here, function() mare.save("x", { __metadata__ = w }) end, "'__metadata__'")
    support.fails(here, function() mare.save("x", { w = w }, { a = 1 }) end,
      "#3 to 'save' ('a' is a number, not a string)")
    support.fails(here, function() mare.save("x", { w = w }, "a") end, "table of strings expected")
    support.fails(here, function() mare.save("x", { ["\255"] = w }) end, "is not UTF-8")
    support.fails(here, function() mare.save("x\0y", { w = w }) end, "zero byte")
    w:close()
    support.fails(here, function() mare.save("x", { w = w }) end, "'w' is closed")
    assert.is_false(exists "x")
  end)

  it("refuse what they cannot read, at the user's line", function()
    support.fails(here, function() mare.load() end, "#1 to 'load' (path or { string = bytes }")
    support.fails(here, function() mare.load(3) end, "#1 to 'load'")
    support.fails(here, function() mare.load { text = "" } end, "unknown option 'text'; known: string")
    support.fails(here, function() mare.load "a\0b" end, "zero byte")
    support.fails(here, function() mare.data.idx() end, "path (a string) expected")
  end)

  it("leave no file open and no memory behind", function()
    local bytes = mare.save(nil, { w = mare.ones(100) })
    collectgarbage()
    local live = mare.memory().live
    local good, bad = write(bytes), write(bytes:sub(1, -2))
    local files = "ls /proc/self/fd 2>/dev/null | wc -l"
    local open = io.popen(files):read "n"
    collectgarbage "stop"
    for _ = 1, 50 do
      mare.load(good)
      mare.load(bad)
      mare.load(fresh())
      mare.data.idx(bad)
    end
    assert.equal(open, io.popen(files):read "n")
    collectgarbage "restart"
    collectgarbage()
    collectgarbage()
    assert.equal(live, mare.memory().live)
  end)
end)

-- -- IDX ------------------------------------------------------------------------------

local function idx(type, sizes, data)
  local bytes = string.pack("BBBB", 0, 0, type, #sizes)
  for _, n in ipairs(sizes) do bytes = bytes .. string.pack(">I4", n) end
  return bytes .. data
end

describe("IDX", function()
  local data = mare.data

  it("is read in each of its types", function()
    for _, case in ipairs {
      { 0x08, "BBB", "u8", { 0, 127, 255 } }, { 0x09, "bbb", "i64", { 0, -128, 127 } },
      { 0x0b, ">i2i2i2", "i64", { 1, -32768, 32767 } },
      { 0x0c, ">i4i4i4", "i64", { 1, -2147483648, 2147483647 } },
      { 0x0d, ">fff", "f32", { 1.5, -2.25, 1 / 0 } }, { 0x0e, ">ddd", "f64", { 0.1, -1e300, 3 } },
    } do
      local path = write(idx(case[1], { 3, 1 }, case[2]:pack(table.unpack(case[4]))))
      for _, p in ipairs { path, gzip(path) } do
        local t = assert(data.idx(p))
        assert.equal(case[3], t.dtype)
        assert.same({ 3, 1 }, t.shape)
        support.same(support.flat(t), case[4], 0, case[3])
      end
    end
  end)

  it("is read in long pieces", function()
    local list = {}
    for i = 1, 10001 do list[i] = string.pack(">i2", i % 30000 - 15000) end
    local t = assert(data.idx(gzip(write(idx(0x0b, { 10001 }, table.concat(list))))))
    assert.equal(10001 % 30000 - 15000, t[10001]:item())
    assert.equal(-14999, t[1]:item())
  end)

  local function refuse(bytes, part)
    local path = write(bytes)
    local t, message = data.idx(path)
    assert.is_nil(t)
    assert(message:find(path, 1, true) and message:find(part, 1, true), message)
  end

  it("that is damaged or lies is refused", function()
    refuse("", "cut off after 0 bytes")
    refuse("\0\0\8", "cut off after 3 bytes")
    refuse("PK\3\4", "not an IDX file: it begins with 50 4b 03 04")
    refuse("\0\0\7\1" .. ("\0"):rep(8), "not an IDX file")
    refuse("\0\0\8\9" .. ("\0"):rep(40), "9 dimensions; at most 8")
    refuse(idx(8, { 2, 2 }, "abc"), "the header promises 2x2 elements of 1 bytes")
    refuse(idx(8, { 2, 2 }, "abcde"), "more follows after its 16 bytes")
    refuse(idx(14, { 0xffffffff, 0xffffffff }, ""), "the header promises 4294967295x4294967295")
    refuse(idx(14, { 0xffffffff, 0xffffffff, 0xffffffff }, "x"), "the header promises")
    refuse(idx(8, { 1000000 }, "")
      , "the header promises 1000000 elements")
  end)

  it("of a scalar and of nothing is read", function()
    assert.same({}, assert(data.idx(write(idx(8, {}, "\7")))).shape)
    assert.same({ 0, 5 }, assert(data.idx(write(idx(13, { 0, 5 }, "")))).shape)
  end)
end)
