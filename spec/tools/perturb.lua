-- perturb.lua -- a helper of busted for mutants.lua: MARE_VJP="row argument" makes that
-- gradient of the row's Lua text a hundredth too large, and says so when it is used.

local name, argument = os.getenv("MARE_VJP"):match "(%S+) (%d+)"
local row = require "mare.ops".rows[name]
local vjp = row.vjp
local told = false

function row.vjp(...)
  local gradients = table.pack(vjp(...))
  local i = tonumber(argument)
  if gradients[i] then
    gradients[i] = gradients[i] * 1.01
    if not told then print "PERTURBED" end
    told = true
  end
  return table.unpack(gradients, 1, gradients.n)
end
