-- io.lua -- named tensors in files and strings, in the safetensors format: a
-- header that says where each tensor is, then their bytes.  Nothing in such a file
-- is executed, and nothing it says is believed before it was checked.

local core = require "mare.core".functions
local check = require "mare.check"

local M = {}

local function sorted(t, position, what)
  local names = {}
  for name in pairs(t) do
    if type(name) ~= "string" then
      check.argument(position, "save", "%s %s is a %s, not a string", what, check.text(name),
        type(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function check_tensors(tensors)
  if type(tensors) ~= "table" then
    check.argument(2, "save", "table of tensors expected, got %s",
      core.is_tensor(tensors) and "a tensor" or type(tensors))
  end
  local names, list = sorted(tensors, 2, "the name"), {}
  for i, name in ipairs(names) do
    local t = tensors[name]
    if not core.is_tensor(t) then
      check.argument(2, "save", "'%s' is a %s, not a tensor", name, type(t))
    elseif t:isclosed() then
      check.argument(2, "save", "'%s' is closed", name)
    elseif name == "__metadata__" then
      check.argument(2, "save", "the name '__metadata__' belongs to the format")
    end
    list[i] = t
  end
  return names, list
end

local function check_metadata(metadata)
  if metadata ~= nil and type(metadata) ~= "table" then
    check.argument(3, "save", "table of strings expected, got %s", type(metadata))
  end
  local keys, values = sorted(metadata or {}, 3, "the key"), {}
  for i, key in ipairs(keys) do
    values[i] = metadata[key]
    if type(values[i]) ~= "string" then
      check.argument(3, "save", "'%s' is a %s, not a string", key, type(values[i]))
    end
  end
  return keys, values
end

--- Writes { name = tensor } and a map of strings to a file; returns true, or nil and a
-- message.  The file appears under its name only once it is whole.  Without a path the
-- bytes are returned as a string.
-- ```
-- assert(mare.save("w.safetensors", { w = w, b = b }, { epoch = "3" }))
-- local bytes = mare.save(nil, { w = w })
-- ```
function M.save(path, tensors, metadata)
  if path ~= nil then check.path(1, "save", path) end
  local names, list = check_tensors(tensors)
  return core.write_tensors(path, names, list, check_metadata(metadata))
end

--- Reads a safetensors file, gzipped or not: returns { name = tensor } and { name = string },
-- or nil and a message.  F32, F64, I64 and U8 are our own types; F16 and BF16 become f32, other
-- whole numbers i64 (a U64 past the largest i64 is an error), BOOL becomes u8, all exactly.
-- A string of bytes is given as mare.load{ string = bytes }.
-- With { mmap = true } tensors of our types and of 64 KB and more are not read but mapped: their
-- pages come from the file when they are first used, and are shared with other processes until
-- they are written to; the file never changes.  They do not count in mare.memory().  The file may
-- be replaced meanwhile (as mare.save does), not cut short in place: the system then ends the
-- process.  Gzipped files are read.
-- ```
-- local t, metadata = assert(mare.load "w.safetensors")
-- local same = assert(mare.load{ string = bytes })
-- local large = assert(mare.load("large.safetensors", { mmap = true }))
-- ```
function M.load(from, opts)
  check.options(2, "load", opts, { mmap = true })
  if type(from) == "string" then
    if from:find("\0", 1, true) then
      check.argument(1, "load", "a path has no zero byte; bytes are given as { string = bytes }")
    end
    return core.read_tensors(from, nil, opts and opts.mmap and true or false)
  end
  if type(from) == "table" then check.options(1, "load", from, { string = true }) end
  if type(from) ~= "table" or type(from.string) ~= "string" then
    check.argument(1, "load", "path or { string = bytes } expected, got %s", check.kind(from))
  end
  return core.read_tensors(nil, from.string)
end

return M
