-- data -- data sets: reading them, cutting them, handing them out in batches.
-- What reads a file returns nil and a message when that cannot be done.

local csv = require "mare.data.csv"
local dataset = require "mare.data.dataset"
local frame = require "mare.data.frame"
local idx = require "mare.data.idx"
local shipped = require "mare.data.shipped"

return {
  dataset = dataset.new,
  is_dataset = dataset.is_dataset,
  frame = frame.new,
  is_frame = frame.is_frame,
  csv = csv.read,
  idx = idx.read,
  fashion_mnist = idx.fashion_mnist,
  digits = shipped.digits,
  iris = shipped.iris,
  source = shipped.source,
}
