-- shipped.lua -- two small classical data sets that come with the module, each one
-- gzipped safetensors file beside this one, with its origin in the metadata.

local core = require "mare.core".functions
local check = require "mare.check"
local dataset = require "mare.data.dataset"

local M = {}

-- The directory of this file, however the module was found.
local function directory()
  local path = core.here() or package.searchpath("mare.data.shipped", package.path) or ""
  return path:match "^@?(.*[/\\])" or "./"
end

local function read(name) return core.read_tensors(directory() .. name .. ".safetensors.gz") end

--- Optical Recognition of Handwritten Digits: 1,797 digits as 64 columns of f32 in 0..1
-- (an 8x8 image; each the share of ink in a 4x4 block), labels 1..10: the digit plus 1.
-- E. Alpaydin and C. Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0.
-- `local train, test = assert(data.digits()):split(0.8, { stratify = true })`
function M.digits()
  local t, message = read "digits"
  if not t then return nil, message end
  local classes = {}
  for i = 1, 10 do classes[i] = tostring(i - 1) end
  return dataset.new(t.images:to "f32" / 16, t.labels:to "i64" + 1, { classes = classes })
end

--- Iris: 150 flowers as 4 columns of f32 (sepal and petal length and width in cm), labels
-- 1..3: setosa, versicolor, virginica.  R. A. Fisher 1936, The use of multiple measurements
-- in taxonomic problems (measured by E. Anderson).
function M.iris()
  local t, message = read "iris"
  if not t then return nil, message end
  return dataset.new(t.measurements, t.species:to "i64", {
    classes = { "setosa", "versicolor", "virginica" },
    features = { "sepal length", "sepal width", "petal length", "petal width" },
  })
end

--- Where a shipped data set comes from, as the file says: a table of strings.
-- `print(data.source "digits".citation)`
function M.source(name)
  if name ~= "digits" and name ~= "iris" then
    check.argument(1, "source", "'digits' or 'iris' expected, got %s", check.text(name))
  end
  local t, metadata = read(name)
  if not t then return nil, metadata end
  return metadata
end

return M
