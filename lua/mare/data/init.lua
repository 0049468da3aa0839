-- data -- data sets: reading them, cleaning them, cutting them, handing them out in batches.
-- What reads a file returns nil and a message when that cannot be done.

local dataset = require "mare.data.dataset"
local idx = require "mare.data.idx"
local numpy = require "mare.data.numpy"
local shipped = require "mare.data.shipped"
local text = require "mare.data.text"

local M = {
  dataset = dataset.new,
  is_dataset = dataset.is_dataset,
  idx = idx.read,
  npy = numpy.npy,
  npz = numpy.npz,
  save_npy = numpy.save_npy,
  save_npz = numpy.save_npz,
  libsvm = text.libsvm,
  cifar10 = text.cifar10,
  jsonl = text.jsonl,
  save_jsonl = text.save_jsonl,
  fashion_mnist = idx.fashion_mnist,
  digits = shipped.digits,
  iris = shipped.iris,
  source = shipped.source,
}

local later = { -- field = the module and the field of it; loaded when first used
  csv = { "mare.data.frame", "csv" },
  generator = { "mare.data.generator", "new" },
  frame = { "mare.data.frame", "new" }, is_frame = { "mare.data.frame", "is_frame" },
  Standardize = { "mare.data.scale", "Standardize" }, MinMax = { "mare.data.scale", "MinMax" },
  Normalize = { "mare.data.scale", "Normalize" }, PCAWhiten = { "mare.data.scale", "PCAWhiten" },
  OneHot = { "mare.data.encode", "OneHot" }, polynomial = { "mare.data.encode", "polynomial" },
  lags = { "mare.data.encode", "lags" }, load = { "mare.models", "load" },
}

return setmetatable(M, {
  __index = function(t, name)
    local part = later[name]
    if part == nil then return nil end
    local value = require(part[1])[part[2]]
    rawset(t, name, value)
    return value
  end,
})
