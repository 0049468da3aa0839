-- truth.lua -- scores of rows and which of two classes each is of, as every metric of two
-- classes takes them.

local check = require "mare.check"

local M = {}

-- A u8 mask (n) of the positive ones.  Of two labels the larger is positive; one that stands
-- alone says what it is only as 1 or 2.
local function positives(name, t)
  local low, high = t:min():item(), t:max():item()
  if t.dtype == "u8" and high <= 1 then return t end
  if t:eq(low):logical_or(t:eq(high)):all():item() == 0 then
    check.argument(2, name, "labels of two classes expected, got more")
  elseif low == high and low ~= 1 and low ~= 2 then
    check.argument(2, name, "labels of two classes expected, got only %d; 1 and 2 or a u8 mask " ..
      "say which class it is", low)
  end
  return t:eq(low < high and high or 2)
end

--- Scores (n) as f64, none of them nan, and a u8 mask (n) of the positive ones: of a mask those
-- that are not 0; of labels 1 and 2, or any two whole numbers, the larger.
function M.scored(name, scores, target)
  local s = check.tensor(1, name, scores):detach()
  local t = check.tensor(2, name, target):detach()
  if s:dim() ~= 1 or s:numel() == 0 then
    check.argument(1, name, "scores (n) expected, got shape %s", check.shape(s))
  elseif t.dtype ~= "i64" and t.dtype ~= "u8" or t:dim() ~= 1 then
    check.argument(2, name, "labels or a u8 mask (n) expected, got %s of shape %s", t.dtype,
      check.shape(t))
  elseif t:size(1) ~= s:size(1) then
    check.argument(2, name, "%d labels for %d scores", t:size(1), s:size(1))
  end
  s = s:to "f64"
  local odd = s:ne(s)
  if odd:any():item() == 1 then
    check.argument(1, name, "score %d is nan", odd:argmax():item())
  end
  return s, positives(name, t)
end

return M
