-- seeds.lua -- small good files for the fuzzers to begin with: seeds.lua FORMAT DIR

local header = [[{"__metadata__":{"a":"b\u00e9"},"w":{"dtype":"F32","shape":[2,1],]]
  .. [["data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}]]
local seeds = {
  safetensors = { string.pack("<s8", header) .. ("\0"):rep(9), string.pack("<s8", "{}") },
  idx = { "\0\0\8\2" .. string.pack(">I4I4", 2, 3) .. "123456",
    "\0\0\13\1" .. string.pack(">I4f", 1, 2) },
}
for i, bytes in ipairs(seeds[arg[1]]) do
  local f = assert(io.open(("%s/seed%d"):format(arg[2], i), "wb"))
  f:write(bytes)
  f:close()
end
