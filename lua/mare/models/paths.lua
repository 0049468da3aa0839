-- paths.lua -- what estimators share that fit for many penalties at once.

local core = require "mare.core".functions
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local regression = require "mare.models.regression"

local M = {}

local own = { lambdas = true, count = true, least = true, weights = true }

--- The settings of an estimator among the options of its path, and what a fit starts from.
function M.start(class, x, y, opts)
  if opts ~= nil and type(opts) ~= "table" then
    check.argument(3, "path", "table of options expected, got %s", check.kind(opts))
  end
  local given = {}
  for k, v in pairs(opts or {}) do
    if not own[k] then given[k] = v end
  end
  local self = class(given)
  local data = estimator.gather(self, "path", x, y, { weights = opts and opts.weights })
  return self.settings, regression.center(data, self.settings.intercept)
end

local function check_list(list)
  if core.is_tensor(list) and list:dim() == 1 then list = list:to "f64":totable() end
  if type(list) ~= "table" or #list == 0 then
    check.argument(3, "path", "lambdas: list of numbers expected, got %s", check.kind(list))
  end
  for i, v in ipairs(list) do
    if type(v) ~= "number" or v ~= v or v < 0 or v == math.huge then
      check.argument(3, "path", "lambdas: #%d is %s, not a number of at least 0", i, check.text(v))
    end
  end
  list = table.move(list, 1, #list, 1, {})
  table.sort(list, function(a, b) return a > b end)
  return list
end

--- The penalties in descending order: those given, or count of them in equal ratios from
-- largest() to a part of it.
function M.lambdas(opts, part, largest)
  if opts.lambdas ~= nil then return check_list(opts.lambdas) end
  local count = check.count(3, "path", opts.count or 100, 1, "count")
  local least = check.number(3, "path", opts.least, part, 0, 1, "least")
  local list, top = {}, largest()
  for i = 1, count do list[i] = top * least ^ (count > 1 and (i - 1) / (count - 1) or 0) end
  return list
end

--- out with lambdas as a tensor (t), and weight (t, d) and bias (t), or (t, k, d) and (t, k),
-- of x's type, from the weights (t, k, d), f64, about the means.
function M.result(m, weights, out)
  local bias = m.y_mean - weights:matmul(m.mean:reshape(-1))
  if m.single then weights, bias = weights:select(2, 1), bias:reshape(-1) end
  out.lambdas = core.tensor(out.lambdas, "f64")
  out.weight, out.bias = weights:contiguous():to(m.x.dtype), bias:to(m.x.dtype)
  return out
end

return M
