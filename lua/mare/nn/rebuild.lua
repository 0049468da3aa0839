-- rebuild.lua -- a model made of known layers as a text, and back: what model:save writes beside
-- the weights so that nn.load(path) needs no program.  A layer is [name, arguments ...]; the
-- layers of a Sequential are its arguments.

local json = require "mare.json"

local M = { classes = {} } -- name -> class

local describe

-- An argument of a layer; an initialiser is not wanted again.
local function argument(v, where)
  if v == nil then return json.null end
  local class = type(v) == "table" and getmetatable(v)
  if class and class.is_mare_module then return { layer = describe(v, where) } end
  if type(v) == "table" and not class then
    local t = {}
    for k, e in pairs(v) do
      if k ~= "init" then t[k] = argument(e, where) end
    end
    return next(t) and t or json.null
  elseif type(v) == "function" or type(v) == "userdata" or class then
    error(("%s holds a %s"):format(where, type(v)), 0)
  end
  return v
end

function describe(module, where)
  local class = getmetatable(module)
  local name = rawget(class, "__name")
  if M.classes[name] ~= class then error(("%s is a %s"):format(where, name), 0) end
  local out = { name }
  if name == "Sequential" then
    for i, layer in ipairs(module) do
      out[i + 1] = describe(layer, ("%slayer %d"):format(where == "it" and "" or where .. ", ", i))
    end
    return out
  end
  local made = module._made
  for i = 1, made.n do out[i + 1] = argument(made[i], where) end
  return out
end

--- The text of a model, or nil and what in it has no text: "layer 2 is a Lambda".
function M.describe(model)
  local ok, out = pcall(describe, model, "it")
  if not ok then return nil, out end
  return json.encode(out)
end

local build

local function value_of(v)
  if v == json.null then return nil end
  if type(v) == "table" then
    if v.layer then return build(v.layer) end
    local t = {}
    for k, e in pairs(v) do t[k] = value_of(e) end
    return t
  end
  return v
end

function build(list)
  local class = type(list) == "table" and M.classes[list[1]]
  if not class then
    error(("unknown layer '%s'"):format(type(list) == "table" and tostring(list[1]) or "?"), 0)
  end
  local args = { n = #list - 1 }
  for i = 1, args.n do
    if list[1] == "Sequential" then args[i] = build(list[i + 1])
    else args[i] = value_of(list[i + 1]) end
  end
  if list[1] == "Sequential" then return class(args) end
  return class(table.unpack(args, 1, args.n))
end

--- The model that a text stands for, with new weights; nil and a message when it is none.
function M.build(text)
  local list, message = json.decode(text)
  if list == nil then return nil, message end
  local ok, model = pcall(build, list)
  if ok then return model end
  return nil, (tostring(model):gsub("^[^\n]-:%d+: ", "")) -- the user's line is not to blame
end

return M
