-- estimators.lua -- what the specs of estimators share: errors at the caller's file, and numbers
-- against those of a fixture.

local mare = require "mare"
local demand = require "spec.support".demand

local M = {}

function M.f64(t) return mare.tensor(t, "f64") end

--- f(...) raises an error that contains a text, and stands at the line that called: here, or
--- where a spec has the function f.
function M.fails(text, f, ...)
  local ok, message = pcall(f, ...)
  demand(not ok, "an error was expected: %s", text)
  demand(message:find(text, 1, true), "%s\n  should contain: %s", message, text)
  local at = message:match "([%w_]+)%.lua:%d+:"
  demand(at == "estimators" or at and at:find "_spec$", "not at the caller's line: %s", message)
end

--- The largest difference, relative to values of at least 1.
function M.off(got, expected)
  if type(expected) == "table" then expected = M.f64(expected) end
  expected = expected:to "f64"
  return ((got:to "f64" - expected):abs() / expected:abs():clamp(1, math.huge)):max():item()
end

function M.near(tolerance, got, expected)
  local off = M.off(got, expected)
  demand(off < tolerance, "off by %g", off)
end

--- The same of logarithms of probabilities, of the first rows, where the reference cut off at the
--- smallest number.
function M.near_logs(tolerance, got, expected)
  if type(expected) == "table" then expected = M.f64(expected) end
  M.near(tolerance, got:narrow(1, 1, expected:size(1)):to "f64":clamp(-700, math.huge),
    expected:clamp(-700, math.huge))
end

--- The first values of a tensor (or a number) agree with those of a list, relative to the
--- largest that is expected.
function M.near_all(tolerance, got, expected)
  if type(expected) == "number" then expected = { expected } end
  if type(got) == "number" then got = M.f64 { got } end
  expected = M.f64(expected)
  if got:dim() == 0 then got = got:reshape(1) end
  got = got:to "f64":narrow(1, 1, expected:size(1))
  local off = (got - expected):abs():max():item() / math.max(1e-300, expected:abs():max():item())
  demand(off < tolerance, "off by %g", off)
end

--- bytes() is the same string with one thread and with four, on any number of cores.
function M.same_bits(bytes)
  local threads = mare.threads()
  mare.threads(4)
  local many = bytes()
  mare.threads(1)
  local one = bytes()
  mare.threads(threads)
  demand(one == many, "four threads give other bits than one")
end

--- A fitted model has the weight, bias, predictions and score of a fixture.
function M.agrees(tolerance, m, x, y, want)
  M.near_all(tolerance, m.weight, want.weight)
  M.near_all(tolerance, m.bias, want.bias)
  M.near_all(tolerance, m:predict(x), want.predictions)
  M.near_all(tolerance, m:score(x, y), want.score)
  demand(m:predict(x).dtype == x.dtype, "predictions are %s", m:predict(x).dtype)
end

return M
