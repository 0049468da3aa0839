-- data -- data sets: reading them, cleaning them, cutting them, handing them out in batches.
-- What reads a file returns nil and a message when that cannot be done.

local dataset = require "mare.data.dataset"
local idx = require "mare.data.idx"
local shipped = require "mare.data.shipped"

local M = {
  dataset = dataset.new,
  is_dataset = dataset.is_dataset,
  idx = idx.read,
  fashion_mnist = idx.fashion_mnist,
  digits = shipped.digits,
  iris = shipped.iris,
  source = shipped.source,
}

local later = { -- field = the module and the field of it; loaded when first used
  csv = { "mare.data.frame", "csv" },
  npy = { "mare.data.numpy", "npy" }, save_npy = { "mare.data.numpy", "save_npy" },
  npz = { "mare.data.numpy", "npz" }, save_npz = { "mare.data.numpy", "save_npz" },
  libsvm = { "mare.data.text", "libsvm" }, cifar10 = { "mare.data.text", "cifar10" },
  jsonl = { "mare.data.text", "jsonl" }, save_jsonl = { "mare.data.text", "save_jsonl" },
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
  __members = function()      -- for completion and help
    local list = {}
    for name in pairs(later) do list[#list + 1] = name end
    return list
  end,
})
