-- readers_spec.lua -- NumPy's files, LIBSVM, CIFAR-10 and JSON lines, there and back; what
-- is written here is read by NumPy and PyTorch where these are installed, and theirs here.

local mare = require "mare"
local support = require "spec.support"

local data = mare.data
local here = "readers_spec.lua:"

local dir
before_each(function()
  dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir " .. dir))
end)
after_each(function() os.execute("rm -r " .. dir) end)

local function write(name, bytes)
  return support.write(dir .. "/" .. name, bytes)
end

local function same_tensor(a, b)
  assert.equal(a.dtype, b.dtype)
  assert.same(a.shape, b.shape)
  assert.equal(a:tobytes(), b:tobytes())
end

local function samples()
  return { m = mare.randn(3, 4), v = mare.randn({ 5 }, "f64"), none = mare.zeros(0, 3),
    i = mare.tensor({ -1, math.mininteger, 2 ^ 53 | 0 }, "i64"), s = mare.tensor(2.5),
    b = mare.tensor({ { 0, 255 }, { 1, 2 } }, "u8"), t = mare.randn(2, 3, 4):permute(3, 1, 2),
    odd = mare.tensor { 1 / 0, -1 / 0, 0 / 0, -0.0 } }
end

local PYTHON = "/usr/bin/python3"
local function has(module)
  return os.execute(("%s -c 'import %s' 2>/dev/null"):format(PYTHON, module))
end

local function python(text, ...)
  local script = write("script.py", text)
  local said, ok = support.run(("cd %s && %s %s %s"):format(dir, PYTHON, script,
    table.concat({ ... }, " ")))
  assert.truthy(ok, said)
  return said
end

-- -- NumPy ----------------------------------------------------------------------------------

describe("npy", function()
  it("comes back, from a file, packed or not, and from a string", function()
    for _, t in pairs(samples()) do
      same_tensor(t, assert(data.npy { string = data.save_npy(nil, t) }))
      local path = dir .. "/x.npy"
      assert.is_true(data.save_npy(path, t))
      same_tensor(t, assert(data.npy(path)))
      assert(os.execute("gzip -kf " .. path))
      same_tensor(t, assert(data.npy(path .. ".gz")))
    end
  end)

  it("follows the format byte for byte", function()
    local bytes = data.save_npy(nil, mare.tensor({ { 1, 2 } }, "f64"))
    local header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }"
    assert.equal(0, (#bytes - 16) % 64)
    assert.equal("\x93NUMPY\1\0", bytes:sub(1, 8))
    assert.equal(header, bytes:sub(11, 10 + #header))
    assert.equal(string.pack("<dd", 1, 2), bytes:sub(-16))
    assert.truthy(data.save_npy(nil, mare.ones(3)):find("'shape': (3,), }", 1, true))
    assert.truthy(data.save_npy(nil, mare.tensor(1)):find("'shape': (), }", 1, true))
  end)

  local function array(descr, shape, bytes, fortran)
    return "\x93NUMPY\1\0" .. string.pack("<s2", ("{'descr': '%s', 'fortran_order': %s, 'shape': %s}")
      :format(descr, fortran and "True" or "False", shape)) .. bytes
  end

  it("is read in every type, of either byte order", function()
    for _, case in ipairs {
      { "f4", "f", "f32", { 1.5, -2, 1e30 } }, { "f8", "d", "f64", { 0.1, -1e300, 3 } },
      { "i8", "i8", "i64", { 1, -2, math.mininteger } }, { "i4", "i4", "i64", { 1, -2 ^ 31 | 0, 3 } },
      { "i2", "i2", "i64", { 1, -32768, 3 } }, { "i1", "i1", "i64", { 1, -128, 3 } },
      { "u4", "I4", "i64", { 1, 2 ^ 32 - 1 | 0, 3 } }, { "u2", "I2", "i64", { 1, 65535, 3 } },
      { "u1", "I1", "u8", { 1, 255, 3 } }, { "b1", "I1", "u8", { 1, 0, 1 } } } do
      for _, order in ipairs { "<", ">" } do
        local format = order .. case[2]:rep(3)
        local t = assert(data.npy { string = array(order .. case[1], "(3,)",
          format:pack(table.unpack(case[4]))) })
        assert.equal(case[3], t.dtype)
        local want = {}
        for i, v in ipairs(case[4]) do want[i] = case[3] == "f32" and support.single(v) or v end
        support.same(support.flat(t), want, 0, order .. case[1])
      end
    end
  end)

  it("of half precision is read exactly", function()
    local codes, want = {}, {}
    for _, case in ipairs { { 0, 0 }, { 0x3c00, 1 }, { 0xc000, -2 }, { 0x7bff, 65504 }, { 1, 2 ^ -24 },
      { 0x03ff, 1023 * 2 ^ -24 }, { 0x0400, 2 ^ -14 }, { 0x7c00, 1 / 0 }, { 0xfc00, -1 / 0 },
      { 0x7e00, 0 / 0 }, { 0x3555, 0.333251953125 } } do
      codes[#codes + 1], want[#want + 1] = string.pack("<I2", case[1]), case[2]
    end
    local t = assert(data.npy { string = array("<f2", "(11,)", table.concat(codes)) })
    assert.equal("f32", t.dtype)
    support.same(support.flat(t), want, 0, "f2")
  end)

  it("in Fortran order has the shape that it says", function()
    local t = assert(data.npy { string = array("<i8", "(2, 3)",
      ("<i8i8i8i8i8i8"):pack(1, 4, 2, 5, 3, 6), true) })
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, t:totable())
    assert.is_false(t:isview())
  end)

  it("is read by the rules of a dict: order, quotes, spaces, Python 2", function()
    local header = [[ {"shape" : (2L, 1L,),'fortran_order':False , "descr":"|u1"} ]]
    for version, pack in pairs { "<s2", "<s4", "<s4" } do
      local t = assert(data.npy { string = "\x93NUMPY" .. string.char(version, 0) ..
        pack:pack(header) .. "ab" })
      assert.same({ { 97 }, { 98 } }, t:totable())
    end
  end)
end)

describe("npz", function()
  it("comes back, from a file and a string", function()
    local want, path = samples(), dir .. "/x.npz"
    assert.is_true(data.save_npz(path, want))
    local bytes = data.save_npz(nil, want)
    for _, got in ipairs { assert(data.npz(path)), assert(data.npz { string = bytes }) } do
      for name, t in pairs(want) do same_tensor(t, got[name]) end
      for name in pairs(got) do assert.truthy(want[name], name) end
    end
    assert.same({}, (data.npz { string = data.save_npz(nil, {}) }))
  end)

  it("leaves no file open and no memory behind", function()
    local path = dir .. "/x.npz"
    assert(data.save_npz(path, samples()))
    local live = support.live()
    local files = "ls /proc/self/fd 2>/dev/null | wc -l"
    local open = io.popen(files):read "n"
    collectgarbage "stop"
    for _ = 1, 20 do data.npz(path) end
    assert.equal(open, io.popen(files):read "n")
    collectgarbage "restart"
    assert.equal(live, support.live())
  end)
end)

describe("NumPy", function()
  it("reads what is written here, and the other way round, every type", function()
    if not has "numpy" then return pending "no numpy" end
    local all = samples()
    assert(data.save_npz(dir .. "/ours.npz", all))
    for name, t in pairs(all) do assert(data.save_npy(("%s/%s.npy"):format(dir, name), t)) end
    python [==[
import numpy as np
z = np.load("ours.npz")
out = {}
for name in z.files:
    a = np.load(name + ".npy")
    assert a.dtype == z[name].dtype and a.shape == z[name].shape and a.tobytes() == z[name].tobytes()
    out[name] = a
np.savez("theirs.npz", **out)
np.savez_compressed("packed.npz", **out)
np.savez("fortran.npz", **{k: np.asfortranarray(a) if a.ndim else a for k, a in out.items()})
np.save("big.npy", out["v"].astype(">f8"))
more = {"f2": np.arange(-5, 5, dtype="f2"), "u2": np.arange(65530, 65536, dtype="u2"),
        "u4": np.array([0, 2**32 - 1], "u4"), "u8": np.array([0, 2**63 - 1], "u8"), "i2": np.arange(-3, 3, dtype="i2"),
        "i4": np.arange(-3, 3, dtype=">i4"), "i1": np.arange(-3, 3, dtype="i1"),
        "b1": np.array([True, False]), "big": np.arange(100000.0).reshape(1000, 100)}
np.savez_compressed("more.npz", **more)]==]
    for _, file in ipairs { "theirs", "packed", "fortran" } do
      local got = assert(data.npz(("%s/%s.npz"):format(dir, file)))
      for name, t in pairs(all) do same_tensor(t, got[name]) end
    end
    same_tensor(all.v, assert(data.npy(dir .. "/big.npy")))
    local more = assert(data.npz(dir .. "/more.npz"))
    support.same(support.flat(more.f2), { -5, -4, -3, -2, -1, 0, 1, 2, 3, 4 }, 0, "f2")
    assert.same({ 65530, 65531, 65532, 65533, 65534, 65535 }, support.flat(more.u2))
    assert.same({ 0, 2 ^ 32 - 1 | 0 }, support.flat(more.u4))
    assert.same({ 0, math.maxinteger }, support.flat(more.u8))
    for _, name in ipairs { "i1", "i2", "i4" } do
      assert.same({ -3, -2, -1, 0, 1, 2 }, support.flat(more[name]))
    end
    assert.same({ 1, 0 }, support.flat(more.b1))
    assert.same({ 1000, 100 }, more.big.shape)
    assert.equal(99999, more.big[{ -1, -1 }]:item())
  end)
end)

describe("PyTorch", function()
  it("reads what is written here, and the other way round, every type", function()
    if not has "torch" then return pending "no torch" end
    local all = samples()
    assert(mare.save(dir .. "/ours.safetensors", all))
    assert(data.save_npz(dir .. "/ours.npz", all))
    python [==[
import json, struct, torch, numpy as np
types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}
raw = open("ours.safetensors", "rb").read()
n, = struct.unpack("<Q", raw[:8])
head, data = json.loads(raw[8:8+n]), raw[8+n:]
arrays, entries, parts, at = np.load("ours.npz"), {}, [], 0
for name, e in head.items():
    b, f = e["data_offsets"]
    t = torch.frombuffer(bytearray(data[b:f]), dtype=types[e["dtype"]]) if f > b else \
        torch.empty(0, dtype=types[e["dtype"]])
    t = t.reshape(e["shape"])
    assert torch.from_numpy(arrays[name]).numpy().tobytes() == t.numpy().tobytes()
    part = t.contiguous().numpy().tobytes()
    entries[name] = {"dtype": e["dtype"], "shape": list(t.shape), "data_offsets": [at, at + len(part)]}
    at += len(part); parts.append(part)
text = json.dumps(entries).encode()
open("theirs.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + b"".join(parts))]==]
    local got = assert(mare.load(dir .. "/theirs.safetensors"))
    for name, t in pairs(all) do same_tensor(t, got[name]) end
  end)

  it("has types that are not ours: they are read as its own conversions say", function()
    if not has "torch" then return pending "no torch" end
    python [==[
import json, struct, torch, numpy as np
torch.manual_seed(0)
types = {"F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "I16": torch.int16,
         "I8": torch.int8, "BOOL": torch.bool}
entries, parts, at = {}, [], 0
for name, dtype in types.items():
    if name in ("F16", "BF16"): t = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(dtype)
    elif name == "BOOL": t = torch.rand(5, 7) > 0.5
    else: t = torch.randint(torch.iinfo(dtype).min, torch.iinfo(dtype).max, (300, 40), dtype=dtype)
    flat = t.contiguous()
    raw = bytes(flat.view(torch.int16).numpy() if name in ("F16", "BF16") else flat.numpy())
    entries[name] = {"dtype": name, "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
    at += len(raw); parts.append(raw)
    want = t.to(torch.float32 if name in ("F16", "BF16") else torch.uint8 if name == "BOOL" else torch.int64)
    np.save("want_" + name + ".npy", want.numpy())
text = json.dumps(entries).encode()
open("types.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + b"".join(parts))]==]
    local got = assert(mare.load(dir .. "/types.safetensors"))
    for _, name in ipairs { "F16", "BF16", "I32", "I16", "I8", "BOOL" } do
      local want = assert(data.npy(("%s/want_%s.npy"):format(dir, name)))
      assert.equal(want.dtype, got[name].dtype)
      local same = want:eq(got[name]):logical_or(want:ne(want):logical_and(got[name]:ne(got[name])))
      assert.equal(1, same:all():item())
    end
  end)
end)

-- -- LIBSVM ------------------------------------------------------------------------------------

describe("libsvm", function()
  it("is read as a dense data set, its labels as classes", function()
    local ds = assert(data.libsvm { string = "+1 1:0.5 3:-2e1 # note\n-1 2:1\r\n\n# all\n+1\n" })
    assert.same({ { 0.5, 0, -20 }, { 0, 1, 0 }, { 0, 0, 0 } }, ds.x:totable())
    assert.same({ 2, 1, 2 }, ds.y:totable())
    assert.same({ "-1", "1" }, ds.classes)
    assert.equal("f32", ds.x.dtype)
  end)

  it("has as many features as are asked for, and numbers for targets", function()
    local path = write("x.txt", "1.5 0:1\n-2 4:3\n")
    assert(os.execute("gzip -k " .. path))
    for _, p in ipairs { path, path .. ".gz" } do
      local ds = assert(data.libsvm(p, { features = 6, zero_based = true }))
      assert.same({ { 1, 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 3, 0 } }, ds.x:totable())
      assert.same({ 1.5, -2 }, ds.y:totable())
      assert.is_nil(ds.classes)
    end
    assert.same({ 3, 7 }, assert(data.libsvm({ string = "3 1:1\n7 1:2" }, { classes = false })).y:totable())
    local some = { classes = { "-1", "0", "1" } }
    local ds = assert(data.libsvm({ string = "1 1:1\n-1 1:1" }, some))
    assert.same({ 3, 1 }, ds.y:totable())
    assert.same(some.classes, ds.classes)
    for label, said in pairs { ["2"] = "2", ["0.5"] = "0.5", ["nan"] = "nan" } do
      local none, message = data.libsvm({ string = "1 1:1\n" .. label .. " 1:1" }, some)
      assert.is_nil(none)
      assert.equal(("string: row 2: the label %s is not among the classes"):format(said),
        (message:gsub("%-nan", "nan")))
    end
    support.fails(here, function() data.libsvm(path, { classes = true }) end,
      "classes: false or a list of labels expected")
    support.fails(here, function() data.libsvm(path, { n = 1 }) end, "unknown option 'n'")
    support.fails(here, function() data.libsvm(path, { features = 0 }) end, "at least 1")
    support.fails(here, function() data.libsvm() end, "path or { string = bytes } expected, got nil")
  end)
end)

-- -- CIFAR-10 ------------------------------------------------------------------------------------

describe("cifar10", function()
  local function record(label, seed)
    local bytes = {}
    for i = 1, 3072 do bytes[i] = string.char((i * seed) % 251) end
    return string.char(label) .. table.concat(bytes)
  end

  it("is read as two data sets", function()
    for i = 1, 5 do write(("data_batch_%d.bin"):format(i), record(i, i) .. record(9 - i, 2 * i)) end
    write("test_batch.bin", record(0, 7))
    assert(os.execute("gzip " .. dir .. "/data_batch_3.bin"))
    local train, test = assert(data.cifar10(dir))
    assert.same({ 10, 3, 32, 32 }, train.x.shape)
    assert.same({ 2, 9, 3, 8, 4, 7, 5, 6, 6, 5 }, train.y:totable())
    assert.same({ 1 }, test.y:totable())
    assert.equal("u8", train.x.dtype)
    assert.equal(3 * (1024 + 32 + 2) % 251, train.x[{ 5, 2, 2, 2 }]:item())
    assert.equal("airplane", train.classes[1])
  end)

  it("says what is missing or wrong", function()
    local function refused(...)
      local got, message = data.cifar10(dir)
      assert.is_nil(got)
      assert.equal(table.concat { dir, "/data_batch_1.bin: ", ... }, message)
    end
    refused "No such file or directory"
    write("data_batch_1.bin", "abc")
    refused "3 bytes are no records of 3073"
    write("data_batch_1.bin", record(1, 1) .. record(10, 1))
    refused "record 2: label 10; 0 to 9 expected"
  end)
end)

-- -- JSON lines ------------------------------------------------------------------------------------

describe("jsonl", function()
  it("comes back", function()
    local list = { { epoch = 1, loss = 0.5 }, { epoch = 2, loss = 0.25, names = { "a", "é" } } }
    local path = dir .. "/h.jsonl"
    assert.is_true(data.save_jsonl(path, list))
    assert.same(list, assert(data.jsonl(path)))
    assert(os.execute("gzip " .. path))
    assert.same(list, assert(data.jsonl(path .. ".gz")))
    assert.same({ 1, "x", false }, assert(data.jsonl { string = '1\n\n"x"\r\nfalse' }))
    assert.same({}, assert(data.jsonl { string = "" }))
  end)

  it("names the line that is wrong", function()
    local got, message = data.jsonl { string = '{"a":1}\n\n{"a":}\n' }
    assert.is_nil(got)
    assert(message:find("^string:3: JSON: "), message)
    support.fails(here, function() data.save_jsonl("x", { print }) end, "#1: JSON has no function")
    support.fails(here, function() data.save_jsonl("x", 1) end, "list expected, got number")
  end)
end)

describe("save_npy and save_npz", function()
  it("refuse what they cannot write, at the user's line", function()
    support.fails(here, function() data.save_npy("x", 1) end, "tensor expected, got number")
    support.fails(here, function() data.save_npy(1, mare.ones(1)) end, "path expected, got number")
    support.fails(here, function() data.save_npz("x", { mare.ones(1) }) end, "the name 1 is no string")
    support.fails(here, function() data.save_npz("x", mare.ones(1)) end, "table of tensors expected")
    local got, message = data.save_npy(dir .. "/no/x.npy", mare.ones(1))
    assert.is_nil(got)
    assert.equal(dir .. "/no/x.npy: No such file or directory", message)
  end)
end)
