-- nn.lua -- networks: Module, the layers, the activations, the initialisers.
-- `local model = mare.nn.Sequential { mare.nn.Linear(2, 8), mare.nn.Tanh() }`

local mare = require "mare"
local check = require "mare.check"
local Module = require "mare.nn.module"

local M = { Module = Module, init = require "mare.nn.initial", is_module = Module.is_module }

for _, part in ipairs { "mare.nn.layers", "mare.nn.activations" } do
  for name, class in pairs(require(part)) do M[name] = class end
end

--- Reads the values that model:save(path) wrote into a model of the same layers, and
-- returns it; nil and a message when the file cannot be read.  Options: strict (true).
-- `local model = assert(nn.load(build(), "m.safetensors"))`
function M.load(model, path, opts)
  if not Module.is_module(model) then
    check.argument(1, "load", "module expected, got %s", type(model))
  end
  check.options(3, "load", opts, { strict = true })
  local state, message = mare.load(path)
  if not state then return nil, message end
  local file = type(path) == "string" and path or "the string"
  model:load_state(state, opts, ("'load': %s does not fit the model"):format(file))
  return model
end

return M
