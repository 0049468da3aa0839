--- Maré: machine learning for Lua.
-- `local mare = require "mare"`.  This file is the public table, nothing else:
-- functions come from C and from mare.ops, parts such as mare.nn load on first use.
--
--     local mare = require "mare"
--     local w = mare.randn(3):requires_grad()
--     local y = (w * w):sum()
--     y:backward()
--     print(w.grad)                 -- 2 w

local core = require "mare.core"
core.functions.source(core.functions.here())

local ops = require "mare.ops"

local mare = {version = core.version, out = ops.out}

for name, f in pairs(ops.ops) do mare[name] = f end
for _, name in ipairs {
  "tensor", "empty", "zeros", "ones", "full", "eye", "arange", "linspace", "frombytes",
  "rand", "randn", "randint", "randperm", "seed", "rng_state", "is_tensor",
  "memory", "memory_limit", "memory_trim", "memory_reset_peak", "scope", "clock", "threads",
} do
  mare[name] = core.functions[name]
end

local parts = {     -- field = the module it comes from, or the module and a field of it
  nn = "mare.nn", loss = "mare.loss", optim = "mare.optim", schedule = "mare.schedule",
  metrics = "mare.metrics", data = "mare.data", progress = "mare.progress",
  models = "mare.models", linalg = "mare.linalg", inspect = "mare.inspect",
  train = "mare.train", help = "mare.help", plot = "mare.plot",
  critical_point = {"mare.critical", "critical_point"},
  save = {"mare.io", "save"}, load = {"mare.io", "load"},
}
for _, name in ipairs {
  "grad", "value_and_grad", "vjp", "gradcheck", "no_grad", "enable_grad", "op",
} do
  parts[name] = {"mare.grad", name}
end
for _, name in ipairs {"jvp", "jacobian", "hessian", "hvp"} do
  parts[name] = {"mare.forward", name}
end

local optional = {mpi = "mare.mpi"}     -- rocks of their own, which may not be installed

local function load_rock(name)
  local found, value = pcall(require, name)
  if found then return value end
  local fail = require "mare.check".fail
  if not package.searchpath(name, package.path) then
    fail("%s is a rock of its own and is not installed; in a checkout of mare: " ..
      "luarocks --lua-version 5.4 make rocks/%s-scm-1.rockspec", name, (name:gsub("%.", "-")))
  end
  fail("%s", value)
end

local function names(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  return list
end

return setmetatable(mare, {
  __index = function(t, key)
    local part = parts[key]
    if part == nil and not optional[key] then return nil end
    local value = part == nil and load_rock(optional[key]) or
      type(part) == "table" and require(part[1])[part[2]] or require(part)
    rawset(t, key, value)
    return value
  end,
  __name = "mare",
  __members = function() return names(parts) end,     -- for completion and help
})
