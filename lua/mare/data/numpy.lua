-- numpy.lua -- NumPy's files: one array (.npy), or several by name (.npz).

local core = require "mare.core".functions
local check = require "mare.check"

local M = {}

-- path, string: what the argument of a reader names.
local function source(name, from)
  if type(from) == "string" and not from:find("\0", 1, true) then return from, nil end
  if type(from) == "table" then check.options(1, name, from, { string = true }) end
  if type(from) ~= "table" or type(from.string) ~= "string" then
    check.argument(1, name, "path or { string = bytes } expected, got %s",
      type(from) == "string" and "a string with a zero byte" or check.kind(from))
  end
  return nil, from.string
end
M.source = source

--- Reads an array that NumPy wrote (numpy.save), gzipped or not; nil and a message when that
-- cannot be done.  f4, f8, i8, u1 keep their type, f2 becomes f32, the smaller integers i64
-- and b1 (bool) u8, in either byte order.  An array in Fortran order comes with its strides.
-- Nothing is unpickled.
-- `local x = assert(data.npy "x.npy")`
function M.npy(from) return core.read_npy(source("npy", from)) end

--- Reads an archive of arrays (numpy.savez, numpy.savez_compressed): { name = tensor }.
-- `local t = assert(data.npz "train.npz")   -- t.x, t.y`
function M.npz(from) return core.read_npz(source("npz", from)) end

-- -- writing ------------------------------------------------------------------------------

local DESCR = { f32 = "<f4", f64 = "<f8", i64 = "<i8", u8 = "|u1" }
local WIDTH = { f32 = 4, f64 = 8, i64 = 8, u8 = 1 }
local MOST = 0xffffffff - 1 -- bytes of a part of an archive

-- A header and a tensor whose bytes follow it.
local function pieces(t)
  t = t:detach():contiguous()
  local sizes = table.concat(t.shape, ", ")
  if t:dim() == 1 then sizes = sizes .. "," end
  local header = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }"):format(
    DESCR[t.dtype], sizes)
  header = header .. (" "):rep(-(#header + 11) % 64) .. "\n"
  return "\x93NUMPY\1\0" .. string.pack("<s2", header), t
end

--- Writes a tensor for numpy.load; returns true, or nil and a message.  The file appears
-- under its name only once it is whole.  Without a path the bytes are returned.
-- `assert(data.save_npy("x.npy", x))`
function M.save_npy(path, t)
  if path ~= nil then check.path(1, "save_npy", path) end
  return core.write_pieces(path, { pieces(check.tensor(2, "save_npy", t)) })
end

local function sorted(tensors)
  if type(tensors) ~= "table" then
    check.argument(2, "save_npz", "table of tensors expected, got %s", check.kind(tensors))
  end
  local names = {}
  for name, t in pairs(tensors) do
    if type(name) ~= "string" or #name > 65000 then
      check.argument(2, "save_npz", "the name %s is no string, or too long", check.text(name))
    end
    check.tensor(2, "save_npz", t)
    names[#names + 1] = name
  end
  table.sort(names)
  if #names >= 0xffff then check.argument(2, "save_npz", "%d tensors are too many", #names) end
  return names
end

-- What the header of a member and its entry in the directory have in common: version 2.0,
-- UTF-8 names, stored, 1 January 1980, sum, sizes.
local function common(sum, size, name)
  return string.pack("<I2I2I2I2I2I4I4I4I2I2", 20, 0x800, 0, 0, 0x21, sum, size, size, #name, 0)
end

--- Writes tensors by name for numpy.load, as an archive that is not packed: less than 4 GB
-- (mare.save has no limit).  Returns true, or nil and a message; without a path, the bytes.
-- `assert(data.save_npz("train.npz", { x = x, y = y }))`
function M.save_npz(path, tensors)
  if path ~= nil then check.path(1, "save_npz", path) end
  local list, directory, at = {}, {}, 0
  for i, key in ipairs(sorted(tensors)) do
    local header, t = pieces(tensors[key])
    local name = key .. ".npy"
    local size = #header + t:numel() * WIDTH[t.dtype]
    if at + size > MOST then
      check.argument(2, "save_npz", "4 GB and more; use mare.save, which has no limit")
    end
    local both = common(core.crc32 { header, t }, size, name)
    directory[i] = "PK\1\2" .. string.pack("<I2", 20) .. both ..
      string.pack("<I2I2I2I4I4", 0, 0, 0, 0, at) .. name
    list[#list + 1] = "PK\3\4" .. both .. name .. header
    list[#list + 1] = t
    at = at + 30 + #name + size
  end
  local text = table.concat(directory)
  list[#list + 1] = text .. "PK\5\6" .. string.pack("<I2I2I2I2I4I4I2", 0, 0, #directory,
    #directory, #text, at, 0)
  return core.write_pieces(path, list)
end

return M
