-- regressors.lua -- what the specs of regressors share: their numbers against a fixture's.

local mare = require "mare"
local demand = require "spec.support".demand

local M = {}

function M.f64(t) return mare.tensor(t, "f64") end

--- The first values of a tensor (or a number) agree with those of a list, relative to the
--- largest that is expected.
function M.near(tolerance, got, expected)
  if type(expected) == "number" then expected = { expected } end
  if type(got) == "number" then got = M.f64 { got } end
  expected = M.f64(expected)
  if got:dim() == 0 then got = got:reshape(1) end
  got = got:to "f64":narrow(1, 1, expected:size(1))
  local off = (got - expected):abs():max():item() / math.max(1e-300, expected:abs():max():item())
  demand(off < tolerance, "off by %g", off)
end

--- A fitted model has the weight, bias, predictions and score of a fixture.
function M.agrees(tolerance, m, x, y, want)
  M.near(tolerance, m.weight, want.weight)
  M.near(tolerance, m.bias, want.bias)
  M.near(tolerance, m:predict(x), want.predictions)
  M.near(tolerance, m:score(x, y), want.score)
  demand(m:predict(x).dtype == x.dtype, "predictions are %s", m:predict(x).dtype)
end

return M
