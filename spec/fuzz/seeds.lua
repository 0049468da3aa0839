-- seeds.lua -- small good files for the fuzzers to begin with: seeds.lua FORMAT DIR writes
-- them; as a module it returns { FORMAT = list of bytes }, which a spec reads again.

local header = [[{"__metadata__":{"a":"b\u00e9"},"w":{"dtype":"F32","shape":[2,1],]]
  .. [["data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}]]

local others = [[{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"g":{"dtype":"BF16",]]
  .. [["shape":[1],"data_offsets":[2,4]},"u":{"dtype":"U64","shape":[1],"data_offsets":[4,12]},]]
  .. [["i":{"dtype":"I16","shape":[2],"data_offsets":[12,16]}}]]

local function npy(descr, shape, bytes, order)
  return "\x93NUMPY\1\0" .. string.pack("<s2", ("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }")
    :format(descr, order or "False", shape)) .. bytes
end

-- A zip archive of one member: how it is packed, its bytes so packed, their sum and size.
local function zip(name, method, packed, sum, size)
  local both = string.pack("<I2I2I2I2I2I4I4I4I2I2", 20, 0, method, 0, 33, sum, #packed, size, #name, 0)
  local member = "PK\3\4" .. both .. name .. packed
  local entry = "PK\1\2\20\0" .. both .. string.pack("<I2I2I2I4I4", 0, 0, 0, 0, 0) .. name
  return member .. entry .. "PK\5\6" .. string.pack("<I2I2I2I2I4I4I2", 0, 0, 1, 1, #entry, #member, 0)
end

local small = npy("|u1", "(2,)", "ab")
local stored = "\1" .. string.pack("<I2I2", #small, ~#small & 0xffff) .. small -- deflate, not packed

local function crc32(s)
  local sum = 0xffffffff
  for i = 1, #s do
    sum = sum ~ s:byte(i)
    for _ = 1, 8 do sum = sum >> 1 ~ (sum & 1) * 0xedb88320 end
  end
  return ~sum & 0xffffffff
end

local long = { "a,b,c\n" }
for i = 1, 60 do long[i + 1] = ("%d,%d.5,%d\n"):format(i, i, i) end

-- A network's description and its tensors, all zeros: name, sizes.
local function model(network, ...)
  local parts, at = { ('{"__metadata__":{"network":"%s"}'):format(network:gsub('"', '\\"')) }, 0
  for _, t in ipairs { ... } do
    local n = 4
    for i = 2, #t do n = n * t[i] end
    parts[#parts + 1] = ('"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}')
      :format(t[1], table.concat(t, ",", 2), at, at + n)
    at = at + n
  end
  return string.pack("<s8", table.concat(parts, ",") .. "}") .. ("\0"):rep(at)
end

local seeds = {
  model = {
    model('["Sequential",["Linear",2,3],["LeakyReLU",{"slope":0.5}],["Residual",{"layer":["Tanh"]}],["Softmax",-1]]',
      { "1.weight", 3, 2 }, { "1.bias", 3 }),
    model('["Sequential",["Conv2d",1,2,[2,1],{"padding":1,"stride":2,"bias":false}],["MaxPool",2],' ..
      '["AdaptiveAvgPool",[2,1]],["Flatten"],["GLU"],["Reshape",2,-1]]', { "1.weight", 2, 1, 2, 1 }),
    model('["Sequential",["Embedding",3,2],["LayerNorm",[2],{"bias":false}],["Flatten",2,-1],["Maxout",2]]',
      { "1.weight", 3, 2 }, { "2.weight", 2 }),
  },
  safetensors = { string.pack("<s8", header) .. ("\0"):rep(9), string.pack("<s8", "{}"),
    string.pack("<s8", others) .. ("\1"):rep(16) },
  idx = { "\0\0\8\2" .. string.pack(">I4I4", 2, 3) .. "123456",
    "\0\0\13\1" .. string.pack(">I4f", 1, 2) },
  csv = { '\4a,b,"c ""d"""\n1,2.5e-3,x\n-2,NA,"y\nz"\r\n\n,inf,"1"\n',
    "\5a;b\n1.25;18446744073709551616\n", "\3a;1,5\n", "\49x,y\n1,2\n", "\0\xef\xbb\xbfq\n",
    "\4" .. table.concat(long) .. "x,y,z\n", "\36" .. table.concat(long),
    "\4x\n123456789012345678901234567890e-5\n2.2250738585072011e-308\n" },
  npy = { npy("<f8", "(2, 1)", ("\0"):rep(16)), npy(">i2", "(3,)", "\0\1\0\2\0\3"),
    npy("<f2", "(2, 2)", ("\1"):rep(8), "True"), npy("|b1", "()", "\1") },
  npz = { zip("a.npy", 0, small, crc32(small), #small), zip("b.npy", 8, stored, crc32(small), #small) },
  svm = { "+1 1:0.5 3:2e1 # note\n-1 2:1\r\n\n", "0.5\n1 7:1" },
}

if not arg or not arg[1] or not seeds[arg[1]] then return seeds end
local list = table.move(seeds[arg[1]], 1, #seeds[arg[1]], 1, dofile "spec/fuzz/corpus.lua"[arg[1]])
for i, bytes in ipairs(list) do
  local f = assert(io.open(("%s/seed%d"):format(arg[2], i), "wb"))
  f:write(bytes)
  f:close()
end
