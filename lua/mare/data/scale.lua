-- scale.lua -- preprocessing that learns from the training rows and is then applied to others:
-- Standardize, MinMax, Normalize, PCAWhiten.  They are estimators (models/estimator.lua), so
-- mare.models.load reads what they save.
--
--     local scale = mare.data.Standardize():fit(train)
--     train, test = scale:transform(train), scale:transform(test)
--
-- What is given may be a tensor (n, d), a data set (its inputs; the result is a data set with
-- the same targets) or a frame (its columns of numbers, or those named in the setting
-- `columns`; the result is a frame with the others as they were).

local check = require "mare.check"
local cluster = require "mare.models.cluster"
local dataset = require "mare.data.dataset"
local estimator = require "mare.models.estimator"
local frame = require "mare.data.frame"

local core, ops = require "mare.core".functions, require "mare.ops".ops

local M = {}

-- -- tensors, data sets, frames -----------------------------------------------------------

local function numeric_names(f)
  local list = {}
  for _, name in ipairs(f:names()) do
    if core.is_tensor(f:column(name)) then list[#list + 1] = name end
  end
  return list
end

-- The columns of a frame that an estimator is about.
local function columns_of(self, name, f)
  local learned = rawget(self, "learned")
  local list = learned and name ~= "fit" and learned.columns or self.settings.columns
  for _, column in ipairs(list or {}) do
    if not f:has(column) then check.argument(1, name, "the frame has no column '%s'", column) end
  end
  return list or numeric_names(f)
end

-- The columns as a matrix, f64.
local function matrix_of(name, f, list)
  for _, column in ipairs(list) do
    local c = f:column(column)
    if not core.is_tensor(c) then
      check.argument(1, name, "column '%s' holds strings", column)
    elseif c:ne(c):any():item() ~= 0 then
      check.argument(1, name, "column '%s', row %d: the value is missing; see fillna", column,
        c:ne(c):argmax():item())
    end
  end
  if #list == 0 then check.argument(1, name, "the frame has no columns of numbers") end
  return f:tensor(list, "f64")
end

-- A frame whose columns `list` are those of z; where there are other columns, these follow.
local function put_back(f, list, z)
  local columns = {}
  if z:size(2) == #list then
    for i, name in ipairs(list) do columns[name] = z:select(2, i):contiguous() end
    return f:with(columns)
  end
  for i = 1, z:size(2) do columns[("component_%d"):format(i)] = z:select(2, i):contiguous() end
  return f:drop(list):with(columns)
end

-- z as rows of the shape that these had, when it has as many values.
local function shaped(z, shape)
  if #shape == 2 then return z end
  shape[1] = z:size(1)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n == z:numel() and z:reshape(shape) or z
end

-- v as what the estimator takes, and a function that gives a result the form of v.
local function opened(self, name, v)
  if dataset.is_dataset(v) then
    return v.x, function(z) return v:with_inputs(shaped(z, v.x.shape)) end
  elseif core.is_tensor(v) and not v:isclosed() then
    return v, function(z) return shaped(z, v.shape) end
  elseif not frame.is_frame(v) then
    check.argument(1, name, "tensor, data set or frame expected, got %s", check.kind(v))
  end
  local list = columns_of(self, name, v)
  return matrix_of(name, v, list), function(z) return put_back(v, list, z) end, list
end

-- -- what they share ----------------------------------------------------------------------

local shared = {}

--- Learns from rows: a tensor (n, d), a data set or a frame.  Returns itself.
-- `local scale = mare.data.Standardize():fit(train)`
function shared:fit(v, opts)
  local x, _, list = opened(self, "fit", v)
  list = list and table.move(list, 1, #list, 1, {})
  estimator.base.fit(self, x, opts)
  self.learned.columns = list
  return self
end

--- The same kind of thing as v (a tensor, a data set, a frame), transformed.
function shared:transform(v)
  local x, close = opened(self, "transform", v)
  return close(self:run("transform", x, function(rows, learned)
    return self.class.forward(self, rows, learned)
  end))
end

--- What transform came from.
function shared:inverse(v)
  local z, close = opened(self, "inverse", v)
  local learned = self:ready "inverse"
  local width = self.class.width and self.class.width(learned) or learned.features
  z = check.tensor(1, "inverse", z):detach()
  if z:dim() ~= 2 or z:size(2) ~= width or z.dtype ~= "f32" and z.dtype ~= "f64" then
    check.argument(1, "inverse", "f32 or f64 tensor (n, %d) expected, got %s %s", width,
      check.kind(z), check.shape(z))
  end
  return close(self.class.backward(self, z, learned))
end

--- fit(v), then transform(v).
function shared:fit_transform(v, opts) return self:fit(v, opts):transform(v) end

-- What the setting columns may be.
function M.check_columns(v)
  if type(v) == "string" then v = { v } end
  if type(v) ~= "table" or #v == 0 then
    return nil, ("list of names expected, got %s"):format(check.kind(v))
  end
  for i, name in ipairs(v) do
    if type(name) ~= "string" then
      return nil, ("names are strings; #%d is a %s"):format(i, check.kind(name))
    end
  end
  return v
end

-- An estimator's class with these methods and the setting columns.
local function define(class)
  class.kind = "plain"
  class.settings[#class.settings + 1] = { "columns", nil, check = M.check_columns }
  class.learned.columns = "?table"
  class.methods = class.methods or {}
  for name, f in pairs(shared) do class.methods[name] = class.methods[name] or f end
  return estimator.define(class)
end

-- (x - shift) / scale, both (d) of f64, in x's type.
local function shrink(x, shift, scale) return (x - shift:to(x.dtype)) / scale:to(x.dtype) end

local function stretch(z, shift, scale) return z * scale:to(z.dtype) + shift:to(z.dtype) end

-- -- Standardize --------------------------------------------------------------------------

-- The standard deviation (over n), 1 where a variance is no more than rounding leaves.
local function spread_of(x, mean, variance)
  local n, eps = x:size(1), 2.0 ^ -52
  local bound = variance * (n * eps) + (mean * (n * eps)):square()
  return ops.where(variance:gt(bound), variance, core.ones(variance.shape, "f64")):sqrt()
end

--- Columns with mean 0 and variance 1 (over n): (x - mean) / std.  A constant column becomes 0.
-- Settings: mean = false leaves the mean where it is, std = false the spread; columns.  Learns
-- mean and scale (d), f64.
-- `local z = mare.data.Standardize():fit_transform(x)`
M.Standardize = define {
  name = "Standardize",
  settings = { { "mean", true }, { "std", true } },
  learned = { center = "f64 d", scale = "f64 d" },
  fit = function(self, data)
    local mean, variance = cluster.moments(data.x, data.weights)
    local s, d = self.settings, data.features
    return { center = s.mean and mean or core.zeros({ d }, "f64"),
      scale = s.std and spread_of(data.x, mean, variance) or core.ones({ d }, "f64") }
  end,
  forward = function(_, x, learned) return shrink(x, learned.center, learned.scale) end,
  backward = function(_, z, learned) return stretch(z, learned.center, learned.scale) end,
}

-- -- MinMax -------------------------------------------------------------------------------

--- Columns moved and stretched so that the training rows lie between low (0) and high (1); a
-- constant column becomes low.  Settings: low, high; clip = true keeps other rows inside too;
-- columns.  Learns min and max (d), f64.
-- `local z = mare.data.MinMax { low = -1 }:fit_transform(x)`
M.MinMax = define {
  name = "MinMax",
  settings = { { "low", 0.0 }, { "high", 1.0 }, { "clip", false } },
  learned = { min = "f64 d", max = "f64 d" },
  fit = function(self, data)
    local s = self.settings
    if s.low >= s.high then
      check.fail("MinMax: low = %s is not below high = %s", check.text(s.low), check.text(s.high))
    end
    return { min = data.x:min(1):to "f64", max = data.x:max(1):to "f64" }
  end,
  forward = function(self, x, learned)
    local s = self.settings
    local shift, scale = M.min_max(s, learned)
    local z = shrink(x, shift, scale)
    return s.clip and z:clamp(s.low, s.high) or z
  end,
  backward = function(self, z, learned)
    return stretch(z, M.min_max(self.settings, learned))
  end,
}

-- What makes (x - shift) / scale run from low to high.
function M.min_max(s, learned)
  local range = learned.max - learned.min
  local scale = ops.where(range:gt(0), range, core.ones(range.shape, "f64")) / (s.high - s.low)
  return learned.min - scale * s.low, scale
end

-- -- Normalize ----------------------------------------------------------------------------

local norms = {
  l1 = function(x) return x:abs():sum(2, true) end,
  l2 = function(x) return x:square():sum(2, true):sqrt() end,
  max = function(x) return x:abs():max(2, true) end,
}

--- Rows of length 1: x / |x|, each row by itself; rows of zeros stay.  Setting: norm = "l2" |
-- "l1" | "max" (the largest absolute value); columns.  There is no inverse: the lengths are not
-- kept.
-- `local z = mare.data.Normalize():fit_transform(x)`
M.Normalize = define {
  name = "Normalize",
  settings = { { "norm", "l2", one_of = { "l2", "l1", "max" } } },
  learned = {},
  fit = function() return {} end,
  forward = function(self, x)
    local length = norms[self.settings.norm](x:to "f64")
    local safe = ops.where(length:gt(0), length, core.ones(length.shape, "f64"))
    return x / safe:to(x.dtype)
  end,
  methods = { inverse = function()
    check.fail("Normalize: there is no inverse; the lengths of the rows are not kept")
  end },
}

-- -- PCAWhiten ----------------------------------------------------------------------------

local PCA = require "mare.models.pca"

local function whitening_settings()
  local list = {}
  for _, row in ipairs(PCA.settings) do
    if row[1] ~= "whiten" then list[#list + 1] = row end
  end
  list[#list + 1] = { "whiten", true }
  return list
end

local function learned_with_columns()
  local out = {}
  for name, text in pairs(PCA.learned) do out[name] = text end
  return out
end

--- Principal components with variance 1 each: columns that are uncorrelated on the training
-- rows.  Settings and learned fields are those of mare.models.PCA; inverse leads back to the
-- columns, but for what components that were left out held.
-- `local z = mare.data.PCAWhiten { components = 0.99 }:fit_transform(x)`
M.PCAWhiten = define {
  name = "PCAWhiten",
  settings = whitening_settings(),
  learned = learned_with_columns(),
  fit = PCA.learn,
  forward = function(self, x) return PCA.methods.transform(self, x) end,
  backward = function(self, z) return PCA.methods.inverse(self, z) end,
  width = function(learned) return learned.components:size(1) end,
}

return M
