-- idx.lua -- files of the MNIST family.

local core = require "mare.core".functions
local check = require "mare.check"
local dataset = require "mare.data.dataset"

local M = {}

--- Reads an IDX file, gzipped or not, as a tensor: bytes as u8, other integers as i64.
-- Returns nil and a message when it cannot be read.
-- `local images = assert(data.idx "train-images-idx3-ubyte.gz")`
function M.read(path)
  if type(path) ~= "string" then
    check.argument(1, "idx", "path (a string) expected, got %s", check.kind(path))
  end
  return core.read_idx(check.path(1, "idx", path))
end

-- Where Debian's package puts it.
local FASHION = "/usr/share/datasets/fashion-mnist"
local CLASSES = { "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
  "sneaker", "bag", "ankle boot" }

-- The file with or without .gz.
local function read_either(path)
  local t, message = core.read_idx(path .. ".gz")
  if t then return t end
  local plain = core.read_idx(path)
  if plain then return plain end
  return nil, message
end

local function read_part(dir, name)
  local images, labels, message
  images, message = read_either(dir .. "/" .. name .. "-images-idx3-ubyte")
  if not images then return nil, message end
  labels, message = read_either(dir .. "/" .. name .. "-labels-idx1-ubyte")
  if not labels then return nil, message end
  if images:dim() ~= 3 or labels:dim() ~= 1 or images:size(1) ~= labels:size(1) then
    return nil, ("%s/%s: images %s and labels %s do not belong together"):format(dir, name,
      check.shape(images), check.shape(labels))
  end
  return dataset.new(images, labels:to "i64" + 1, { classes = CLASSES })
end

--- Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747): two data sets, train
-- (60,000) and test (10,000), images 28x28 u8, labels 1..10 (the files' 0..9 plus 1).
-- Reads Debian's package dataset-fashion-mnist, or the four IDX files in a directory.
-- `local train, test = assert(data.fashion_mnist())`
function M.fashion_mnist(dir)
  if dir ~= nil and type(dir) ~= "string" then
    check.argument(1, "fashion_mnist", "directory expected, got %s", type(dir))
  end
  local train, test, message
  train, message = read_part(dir or FASHION, "train")
  if train then test, message = read_part(dir or FASHION, "t10k") end
  if test then return train, test end
  if dir then return nil, message end
  return nil, ("%s; install the package dataset-fashion-mnist, or name the directory of its " ..
    "files: data.fashion_mnist(dir)"):format(message)
end

return M
