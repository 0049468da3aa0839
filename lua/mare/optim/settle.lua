-- settle.lua -- gradients that are not what they should be yet: mare.mpi averages those of
-- all processes, and waits for them only when somebody is about to use them.

local M = {}

--- By parameter: the function to call before its gradient is used.  It may be called again.
M.owner = setmetatable({}, { __mode = "k" })

--- Makes the gradients of these parameters final.
function M.settle(params)
  if next(M.owner) == nil then return end
  for _, p in ipairs(params) do
    local owner = M.owner[p]
    if owner then owner() end
  end
end

return M
