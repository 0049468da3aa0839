-- near.lua -- names that were probably meant: for "did you mean", and for help.

local M = {}

--- How many letters must change, come, go or be exchanged to make b of a.
-- F. J. Damerau, A Technique for Computer Detection and Correction of Spelling Errors, 1964.
-- `near.distance("tanh", "thna") --> 2`
function M.distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local last = row
    row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before = last
  end
  return row[#b]
end

--- The name of a list that was probably meant, or nil: at most a third of its letters (one
-- of a short name) differ, and one is the same; upper and lower case are alike.
-- `near.nearest("covarience", { "covariance", "priors" }) --> "covariance"`
function M.nearest(name, names)
  local best, least
  for _, known in ipairs(names) do
    local d = M.distance(name:lower(), known:lower())
    if (not least or d < least) and d <= math.max(1, #known // 3) and d < #known then
      best, least = known, d
    end
  end
  return best
end

return M
