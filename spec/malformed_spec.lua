-- malformed_spec.lua -- a table of files that are wrong in one way each, and what is said of
-- each: nil and a message that names the file and, in text, the line and the column.  The
-- fuzzers' seeds are read again, whole, cut off and with single bytes changed.

local mare = require "mare"
local csv = require "mare.data.csv"
local support = require "spec.support"

local data = mare.data
local seeds = dofile "spec/fuzz/seeds.lua"

local path
before_each(function() path = os.tmpname() end)
after_each(function() os.remove(path) end)

local function write(bytes)
  local f = assert(io.open(path, "wb"))
  f:write(bytes)
  f:close()
  return path
end

local readers = {
  csv = csv.read, npy = data.npy, npz = data.npz, svm = data.libsvm, jsonl = data.jsonl,
  idx = data.idx, safetensors = mare.load, model = mare.load,
}

local function npy(header, bytes, version)
  return "\x93NUMPY" .. (version or "\1\0") .. string.pack("<s2", header) .. (bytes or "")
end

local function dict(descr, shape, order)
  return ("{'descr': %s, 'fortran_order': %s, 'shape': %s}"):format(descr, order or "False", shape)
end

-- A good archive with the bytes at some place (from the front, or from the end) replaced.
local archive = data.save_npz(nil, { a = mare.tensor({ 1, 2 }, "u8") })
local function patched(at, bytes)
  if at < 0 then at = #archive + at + 1 end
  return archive:sub(1, at - 1) .. bytes .. archive:sub(at + #bytes)
end
local entry = assert(archive:find("PK\1\2", 1, true))

local function tensors(header, bytes) return string.pack("<s8", header) .. (bytes or "") end
local function field(dtype, shape, offsets)
  return ('{"w":{"dtype":%s,"shape":%s,"data_offsets":%s}}'):format(dtype, shape, offsets)
end

-- What is wrong, the reader, the bytes, what is said after the path, options.
local wrong = {
  { "an empty file", "csv", "", ": no line of text in it" },
  { "nothing but newlines", "csv", "\n\r\n\n", ": no line of text in it" },
  { "a picture", "csv", "\x89PNG\r\n\26\n\0\0\0\13IHDR", ":3: column 1: a zero byte: this is no text" },
  { "UTF-16", "csv", "\255\254a\0,\0b\0", ":1: column 1: a zero byte: this is no text" },
  { "a zero byte in a field", "csv", "a,b\n1,2\n3,4\0\n", ":3: column 2: a zero byte: this is no text" },
  { "too few fields", "csv", "a,b,c\n1,2,3\n1,2\n", ":3: column 3 (c): the line ends before this column" },
  { "too many fields", "csv", "a,b\n1,2\n1,2,3\n", ":3: column 3: the line goes on after its last column" },
  { "a quote that stays open", "csv", 'a,b\n1,2\n1,"2\n3,4\n',
    ":3: column 2 (b): the quote that opens here is not closed" },
  { "text after a quote", "csv", 'a,b\n"1"x,2\n', ":2: column 1 (a): something follows the quote that closes it" },
  { "a quote in the header that stays open", "csv", 'a,"b\n1,2\n',
    ":1: column 2: the quote that opens here is not closed" },
  { "text after a quote in the header", "csv", '"a"b,c\n', ":1: column 1: something follows the quote that closes it" },
  { "a name twice", "csv", "a,b,a\n1,2,3\n", ":1: column 3 (a): column 1 has this name already" },
  { "no number", "csv", "a,b\n1,2\n\n1,x1\n", ":4: column 2 (b): 'x1' is no number", { types = { b = "f64" } } },
  { "a number with a tail", "csv", "a\n1.5e\n", ":2: column 1 (a): '1.5e' is no number", { types = { a = "f64" } } },
  { "a decimal comma", "csv", "a;b\n1,5;2\n", ":2: column 1 (a): '1,5' is no number",
    { types = { a = "f64" }, separator = ";" } },
  { "a broken whole number", "csv", "a\n1.5\n", ":2: column 1 (a): '1.5' is no whole number of 64 bits",
    { types = { a = "i64" } } },
  { "a whole number too large", "csv", "a\n-9223372036854775809\n",
    ":2: column 1 (a): '-9223372036854775809' is no whole number of 64 bits", { types = { a = "i64" } } },
  { "a name too few", "csv", "a,b\n", ": 1 names for 2 columns", { names = { "a" } } },
  { "a column that is not there", "csv", "a\n1\n", ": no column 'b'", { columns = { "b" } } },
  { "too many columns", "csv", (","):rep(100000) .. "\n", ":1: column 100001: too many columns" },
  { "a gzip stream cut off", "csv", "\31\139\8\0\0\0\0\0\0\3\75", ": the gzip stream is cut off" },
  { "no gzip stream", "csv", "\31\139zzzzzzzzzzzzz", ": damaged gzip stream (unknown compression method)" },

  { "an empty file", "npy", "", ": cut off after 0 bytes; 10 more expected" },
  { "another format", "npy", "PK\3\4" .. ("\0"):rep(20), ": no .npy file: its first bytes are others" },
  { "a version from the future", "npy", npy("{}", "", "\9\0"), ": version 9 of the format; 1 to 3 are known" },
  { "a header cut off", "npy", npy(dict("'<f4'", "(1,)")):sub(1, 30), ": cut off after 30 bytes; 35 more expected" },
  { "a header of 4 GB", "npy", "\x93NUMPY\2\0\255\255\255\255x", ": a header of 4294967295 bytes; at most 10000" },
  { "a zero byte in the header", "npy", npy "{\0}", ": a zero byte in the header" },
  { "no dict", "npy", npy "__import__('os')", ": the header is no dict: '__import__('os')'" },
  { "Python objects", "npy", npy(dict("'|O'", "(1,)")),
    ": the header names Python objects, which are pickled and never read: " ..
    "'|O', 'fortran_order': False, 'shape': (1'" },
  { "records", "npy", npy(dict("[('a', '<f4')]", "(1,)")),
    ": the header describes records; columns of one type are read: '('a', '<f4')], 'fortran_order': False, ''" },
  { "complex numbers", "npy", npy "{'descr': '<c8'}",
    ": the header names an unknown type (known: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1): '<c8'}'" },
  { "no order", "npy", npy(dict("'<f4'", "(1,)", "None")),
    ": the header has neither True nor False as fortran_order: 'None, 'shape': (1,)}'" },
  { "a negative size", "npy", npy(dict("'<f4'", "(-1,)")), ": the header has a size that is no whole number: '-1,)}'" },
  { "a size of 70 bits", "npy", npy(dict("'<f4'", "(999999999999999999999,)")),
    ": the header has a size that is too large: '999999999999999999999,)}'" },
  { "nine dimensions", "npy", npy(dict("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)")),
    ": the header has more than 8 dimensions: '1)}'" },
  { "a shape that overflows", "npy", npy(dict("'<f4'", "(4294967296, 4294967296)")),
    ": the header promises 4294967296x4294967296 elements of 4 bytes: too many" },
  { "more elements than bytes", "npy", npy(dict("'<f4'", "(2,)"), "1234567"),
    ": the header promises 2 elements of 4 bytes: too many" },
  { "a whole number past i64", "npy", npy(dict("'>u8'", "(1,)"), "\128" .. ("\0"):rep(7)),
    ": 9223372036854775808 is past the largest whole number of i64" },
  { "bfloat16, which has no name there", "npy", npy("{'descr': '<B2'}", "12"),
    ": the header names an unknown type (known: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1): '<B2'}'" },
  { "bytes after the elements", "npy", npy(dict("'|u1'", "(2,)"), "123"), ": more follows after its 67 bytes" },
  { "a key twice", "npy", npy "{'shape': (1,), 'shape': (1,)}",
    ": the header has an unknown key, or one twice: ': (1,)}'" },
  { "a key too few", "npy", npy "{'shape': (1,)}", ": the header lacks descr, fortran_order or shape: ''" },
  { "text after the dict", "npy", npy(dict("'<f4'", "(1,)") .. "()"), ": the header goes on after its dict: '()'" },

  { "an empty file", "npz", "", ": too short for a .npz file" },
  { "another format", "npz", ("x"):rep(100), ": no .npz file: no archive's directory at its end" },
  { "its end cut off", "npz", archive:sub(1, -2), ": no .npz file: no archive's directory at its end" },
  { "a directory elsewhere", "npz", patched(-6, "\1\0\0\0"), ": the directory is damaged" },
  { "a directory of other entries", "npz", patched(entry, "XX"), ": the directory is damaged" },
  { "more entries than there are", "npz", patched(-12, "\2\0"), ": the directory is damaged" },
  { "a member that is encrypted", "npz", patched(entry + 8, "\1"), ": a member is encrypted" },
  { "a member packed by LZMA", "npz", patched(entry + 10, "\14"),
    ": a member is packed in a way other than deflate" },
  { "a member that is not there", "npz", patched(entry + 42, "\1\0\0\0"),
    ": the directory names a member that is not there" },
  { "a member longer than the file", "npz", patched(entry + 20, "\255\255\255\0\255\255\255\0"),
    ": the directory names bytes that are not there" },
  { "a member of two sizes", "npz", patched(entry + 24, "\1\0\0\0"), ": a member that is not packed has two sizes" },
  { "a member with another check sum", "npz", patched(entry + 16, "\0\0\0\0"),
    "/a.npy: damaged: its check sum is another one" },
  { "a member that is no array", "npz", patched(36, "X"), "/a.npy: no .npy file: its first bytes are others" },
  { "4 GB", "npz", patched(entry + 20, "\255\255\255\255"),
    ": a member of 4 GB or more; save it as .npy or safetensors" },

  { "an empty file", "safetensors", "", ": cut off after 0 bytes; 8 more expected" },
  { "a header longer than the file", "safetensors", string.pack("<I8", 3) .. "{}",
    ": not a safetensors file: a header of 3 bytes does not fit" },
  { "no JSON", "safetensors", tensors "[]", ": the header does not begin with '{'" },
  { "an unknown type", "safetensors", tensors(field('"Q4"', "[1]", "[0,4]"), "1234"),
    ": tensor 'w': dtype Q4 is not supported; known: F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL" },
  { "complex numbers", "safetensors", tensors(field('"C64"', "[1]", "[0,8]"), "12345678"),
    ": tensor 'w': dtype C64 is not supported; known: F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL" },
  { "bytes of another type", "safetensors", tensors(field('"F16"', "[1]", "[0,4]"), "1234"),
    ": tensor 'w': data_offsets 0..4 do not span the 2 bytes of shape 1, F16" },
  { "a whole number past i64", "safetensors", tensors(field('"U64"', "[1]", "[0,8]"), ("\255"):rep(8)),
    ": tensor 'w': 18446744073709551615 is past the largest whole number of i64" },
  { "offsets past the end", "safetensors", tensors(field('"F32"', "[2]", "[0,8]"), "1234"),
    ": tensor 'w': data_offsets end at 8; the file holds 4 bytes of data" },
  { "bytes that belong to none", "safetensors", tensors("{}", "1234"), ": 4 bytes of data belong to no tensor" },

  { "an empty file", "idx", "", ": cut off after 0 bytes; 4 more expected" },
  { "another format", "idx", "PK\3\4", ": not an IDX file: it begins with 50 4b 03 04" },
  { "nine dimensions", "idx", "\0\0\8\9" .. ("\0"):rep(36), ": 9 dimensions; at most 8 are supported" },
  { "more elements than bytes", "idx", "\0\0\13\1\0\0\0\2abcd",
    ": the header promises 2 elements of 4 bytes: too many" },
  { "bytes after the elements", "idx", "\0\0\8\1\0\0\0\1ab", ": more follows after its 9 bytes" },

  { "no label", "svm", "1 1:1\nx 1:2\n", ":2: column 1: 'x' is no label" },
  { "several labels", "svm", "1,2 1:1\n", ":1: column 1: '1,2' is no label" },
  { "no colon", "svm", "1 1:1\n1 2\n", ":2: column 2: '2' is no index:value" },
  { "no value", "svm", "1 1:1 2:\n", ":1: column 3: '2:' is no index:value" },
  { "a value with a tail", "svm", "1 1:1x\n", ":1: column 2: '1:1x' is no index:value" },
  { "index 0", "svm", "1 0:1\n", ":1: column 2: '0:1' is below index 1 (see zero_based)" },
  { "indices out of order", "svm", "1 2:1 1:1\n", ":1: column 3: '1:1' is not after the index before it" },
  { "an index twice", "svm", "1 2:1 2:1\n", ":1: column 3: '2:1' is not after the index before it" },
  { "an index past the features", "svm", "1 3:1\n", ":1: column 2: '3:1' is past the last feature",
    { features = 2 } },
  { "a row of a million million", "svm", "1 1000000000000:1\n",
    ": 1 rows of 1000000000000 features would be dense; say features" },
  { "a binary file", "svm", "\127ELF\0\1", ":1: column 1: '\127ELF' is no label" },

  { "no JSON", "jsonl", '{"a":1}\n{a}\n', ":2: JSON: a key expected at byte 2" },
  { "two values on a line", "jsonl", "1\n\n1 2\n", ":3: JSON: unexpected text at byte 3" },
}

describe("a malformed file", function()
  it("is one of at least forty", function() assert.is_true(#wrong >= 40) end)

  for _, case in ipairs(wrong) do
    local what, format, bytes, said, opts = table.unpack(case, 1, 5)
    it(("of %s: %s"):format(format, what), function()
      local got, message = readers[format](write(bytes), opts)
      assert.is_nil(got)
      assert.equal(path .. said, message)
    end)
  end

  it("leaves no memory behind and no file open", function()
    local function all()
      for _, case in ipairs(wrong) do readers[case[2]](write(case[3]), case[5]) end
    end
    all()
    local live, files = support.live(), "ls /proc/self/fd 2>/dev/null | wc -l"
    local open = io.popen(files):read "n"
    all()
    assert.equal(live, support.live())
    assert.equal(open, io.popen(files):read "n")
  end)
end)

describe("every reader", function()
  it("says why a path cannot be read", function()
    os.remove(path)
    for _, read in pairs(readers) do
      for place, said in pairs { [path] = "No such file or directory", ["/"] = "Is a directory",
        ["/dev/null"] = "Not a regular file" } do
        local got, message = read(place)
        assert.is_nil(got)
        assert.equal(place .. ": " .. said, message)
      end
    end
    write ""
  end)

  -- A value, or nil and a message that names the file; what it gave.
  local function survives(format, bytes, opts)
    local got, message = readers[format](write(bytes), opts)
    assert(got or message:find(path, 1, true) == 1, message)
    return got, message
  end

  it("reads the seeds of the fuzzers, and survives them cut off and changed", function()
    local random = support.sequence(3)
    for format, list in pairs(seeds) do
      for _, bytes in ipairs(list) do
        if format == "csv" then bytes = bytes:sub(2) end -- the options
        local whole, why = survives(format, bytes)
        assert.truthy(whole or format == "csv", why)
        for i = 0, #bytes, #bytes // 60 + 1 do
          local byte = string.char(math.floor(random(0, 256)))
          survives(format, bytes:sub(1, i))
          survives(format, bytes:sub(1, i) .. byte .. bytes:sub(i + 2))
        end
      end
    end
  end)

  it("survives what the fuzzers have found", function()
    local count, live = 0, support.live()
    for format, list in pairs(dofile "spec/fuzz/corpus.lua") do
      for _, bytes in ipairs(list) do
        local opts
        if format == "csv" then
          local bits = bytes:byte()
          opts = { separator = bits & 1 == 1 and ";" or ",", header = bits & 4 == 4 }
          bytes = bytes:sub(2)
        end
        survives(format, bytes, opts)
        count = count + 1
      end
    end
    assert.is_true(count > 500)
    assert.equal(live, support.live())
  end)
end)

describe("a line of 100 MB", function()
  local function long(head, opts)
    local f = assert(io.open(path, "wb"))
    f:write(head)
    for _ = 1, 100 do f:write(("x"):rep(1 << 20)) end
    f:close()
    mare.memory_reset_peak()
    local before = mare.memory().live
    local got, message = csv.read(path, opts)
    assert.is_nil(got)
    assert.is_true(mare.memory().peak - before < 50000000)
    return message
  end

  it("is refused with its place", function()
    assert.equal(path .. ":3: column 2 (b): the line has more than 4194304 bytes",
      long "a,b\n1,2\n1,")
    assert.equal(path .. ":1: column 1: the line has more than 4194304 bytes", long "")
    assert.equal(path .. ":2: column 1 (a): the line has more than 4194304 bytes", long 'a\n"')
  end)
end)
