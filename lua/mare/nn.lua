-- nn.lua -- networks: Module, the layers, the activations, the initialisers.
-- `local model = mare.nn.Sequential { mare.nn.Linear(2, 8), mare.nn.Tanh() }`

local mare = require "mare"
local check = require "mare.check"
local Module = require "mare.nn.module"

local M = { Module = Module, init = require "mare.nn.initial", is_module = Module.is_module }

local known = require "mare.nn.rebuild".classes

for _, part in ipairs { "layers", "activations", "convolution", "normalization", "recurrent",
  "attention" } do
  for name, class in pairs(require("mare.nn." .. part)) do M[name], known[name] = class, class end
end

-- -- loading -------------------------------------------------------------------------------

-- fn(...) with little more memory than a model of so many bytes can want: a file may lie.
local function frugally(bytes, fn, ...)
  local now = mare.memory()
  local _ <close> = setmetatable({}, { __close = function() mare.memory_limit(now.limit) end })
  mare.memory_limit(math.min(now.live + 4 * bytes + (1 << 20), now.limit or math.maxinteger))
  return fn(...)
end

-- The model that a file describes, in the element type of its values; or nil and a message.
local function rebuild(file, state, metadata)
  if not metadata.network then
    return nil, file .. " does not say what its network is: pass the model, nn.load(model, path)"
  end
  local bytes, dtype = 0, "f32"
  for _, t in pairs(state) do
    bytes = bytes + t:numel() * 8
    if t.dtype == "f64" then dtype = "f64" end
  end
  local model, message = frugally(bytes, require "mare.nn.rebuild".build, metadata.network)
  if not model then return nil, ("%s: its network cannot be made: %s"):format(file, message) end
  return dtype == "f64" and model:to "f64" or model
end

-- The model that a file describes, with its values: what is wrong is all the file's.
local function fill(file, state, metadata, opts)
  local model, message = rebuild(file, state, metadata)
  if not model then return nil, message end
  local what = file .. ": its tensors do not fit the network that it describes"
  local fits, missing, unexpected = pcall(model.load_state, model, state, opts, what)
  if fits then return model, missing, unexpected end
  return nil, missing:sub(missing:find(what, 1, true) or 1)
end

--- Reads the values that model:save(path) wrote into a model of the same layers, and
-- returns it; nil and a message when the file cannot be read.  Options: strict (true);
-- with false, what is missing keeps its value, and the lists of missing and unexpected
-- names are returned too.  Without a model one is made as the file says: of mare's own
-- layers only, and nothing in the file is executed.  In place of a path, { string = bytes }.
-- ```
-- local model = assert(nn.load(build(), "m.safetensors"))
-- local same = assert(nn.load "m.safetensors")
-- ```
function M.load(model, path, opts)
  local alone = type(model) == "string" or
    (type(model) == "table" and type(model.string) == "string")
  if alone then
    if path ~= nil then check.argument(1, "load", "module expected, got %s", type(model)) end
    model, path = nil, model
  elseif not Module.is_module(model) then
    check.argument(1, "load", "module expected, got %s", type(model))
  end
  check.options(3, "load", opts, { strict = true })
  local state, metadata = mare.load(path)
  if not state then return nil, metadata end
  local file = type(path) == "string" and path or "the string"
  if alone then return fill(file, state, metadata, opts) end
  local missing, unexpected = model:load_state(state, opts,
    ("'load': %s does not fit the model"):format(file))
  return model, missing, unexpected
end

return M
