-- traced.lua -- calls a model while every module below it tells what it returned.

local mare = require "mare"

-- The class of a module, whose objects tell record(module, output).
local function telling(class, record)
  local copy = {}
  for key, value in next, class do copy[key] = value end
  copy.__call = function(...)
    local outputs = table.pack(class.__call(...))
    record((...), outputs[1])
    return table.unpack(outputs, 1, outputs.n)
  end
  return copy
end

--- Calls model(...) without a tape, and record(module, output) whenever a module is done, which
-- is after those inside it.  training: the mode of all modules meanwhile; nil: their own.
return function(model, training, record, ...)
  local undo, classes = {}, {}
  for _, m in ipairs(model:modules()) do
    local class = getmetatable(m)
    classes[class] = classes[class] or telling(class, record)
    undo[#undo + 1] = { m, class, rawget(m, "training") }
    if training ~= nil then rawset(m, "training", training) end
    setmetatable(m, classes[class])
  end
  local ok, message = pcall(mare.no_grad, model, ...)
  for _, u in ipairs(undo) do
    setmetatable(u[1], u[2])
    rawset(u[1], "training", u[3])
  end
  if not ok then error(message, 0) end -- it has its place
end
