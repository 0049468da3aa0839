-- module.lua -- what every layer and every model is: a table that holds tensors
-- and other modules, and a function from inputs to outputs.
--
-- A module's tensors are found by walking its fields in a fixed order (numbers
-- first, then names): those that require a gradient are its parameters, the
-- others its buffers.  Plain tables inside are walked too; fields whose names
-- begin with _ are not.  A tensor met twice counts once, under its first name.

local mare = require "mare"
local check = require "mare.check"
local count_text = require "mare.progress".count
local traced = require "mare.nn.traced"

local is_tensor, no_grad = mare.is_tensor, mare.no_grad

local Module = {}
Module.__index = Module
Module.__name = "Module"

-- -- classes ----------------------------------------------------------------------

local function is_module(v)
  local class = type(v) == "table" and getmetatable(v)
  return type(class) == "table" and rawget(class, "is_mare_module") == true
end

local function construct(class, ...)
  local self = setmetatable({ training = true, _made = table.pack(...) }, class)
  self:init(...)
  return self
end

-- m(x) calls the class's forward without anything between: it is kept as the
-- metamethod itself and nowhere else, so that a class can be changed later.
local function class_set(class, key, value)
  rawset(class, key == "forward" and "__call" or key, value)
end

--- A new class of modules.  init(self, ...) receives what the class is called
-- with; forward(self, ...) is what m(...) does; other fields are methods.
-- ```
-- local Net = nn.Module:extend("Net", {
--   init = function(self, n) self.inner = nn.Linear(n, n) end,
--   forward = function(self, x) return x + self.inner(x):tanh() end,
-- })
-- local net = Net(4)
-- ```
function Module:extend(name, methods)
  if type(name) ~= "string" then
    check.argument(1, "extend", "name expected, got %s", type(name))
  elseif methods ~= nil and type(methods) ~= "table" then
    check.argument(2, "extend", "table of methods expected, got %s", type(methods))
  end
  local parent = self
  local class = { __name = name, __call = parent.__call, __tostring = parent.__tostring,
    is_mare_module = true }
  class.__index = class
  setmetatable(class, {
    __call = construct,
    __newindex = class_set,
    __index = function(_, key)
      if key == "forward" then return rawget(class, "__call") end
      return parent[key]
    end,
    __tostring = function() return "module class " .. name end,
    __parent = parent,
  })
  for key, value in pairs(methods or {}) do class[key] = value end
  return class
end

function Module.init() end

Module.is_mare_module = true

function Module:__call()
  check.fail("%s has no forward", self.__name)
end

--- What print shows for one module: the name of its class unless overridden.
function Module:describe() return self.__name end

-- -- walking -----------------------------------------------------------------------

local function key_before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return ta == "number" end
  return a < b
end

local function walked(key)
  if type(key) == "string" then return key:byte() ~= 95 end -- "_"
  return math.type(key) == "integer"
end

-- The keys of a table that a walk follows, in its order.
local function sorted_keys(t)
  local keys = {}
  for key, value in next, t do
    local kind = type(value)
    if (kind == "userdata" or kind == "table") and walked(key) then keys[#keys + 1] = key end
  end
  table.sort(keys, key_before)
  return keys
end

-- Calls visit(value, name, holder, key) for every open tensor and every module
-- below holder, each once; the module before what is in it.
local function walk(holder, prefix, seen, visit)
  seen[holder] = true
  for _, key in ipairs(sorted_keys(holder)) do
    local value = rawget(holder, key)
    if not seen[value] then
      local name = prefix .. key
      if is_tensor(value) then
        seen[value] = true
        if not value:isclosed() then visit(value, name, holder, key) end
      elseif is_module(value) or (type(value) == "table" and not getmetatable(value)) then
        if is_module(value) then visit(value, name, holder, key) end
        walk(value, name .. ".", seen, visit)
      end
    end
  end
end

local function check_self(self)
  if not is_module(self) then
    check.method("a module", self, "model:name(...)")
  end
end

-- The tensors (kind true: parameters, false: buffers, nil: both) below a module,
-- and their names, as two lists.
local function tensors(self, kind)
  local list, names = {}, {}
  check_self(self)
  walk(self, "", {}, function(value, name)
    if is_tensor(value) and value:is_leaf() and (kind == nil or value.is_tracked == kind) then
      list[#list + 1], names[#names + 1] = value, name
    end
  end)
  return list, names
end

local function named(list, names)
  local i = 0
  return function()
    i = i + 1
    return names[i], list[i]
  end
end

--- The parameters, as a list: the tensors that require a gradient.
-- `local opt = mare.optim.adam(model:parameters())`
function Module:parameters() return (tensors(self, true)) end

--- Iterates over names and parameters: "layer1.weight"; in a Sequential "1.weight".
-- `for name, p in model:named_parameters() do print(name, p:numel()) end`
function Module:named_parameters() return named(tensors(self, true)) end

--- The buffers, as a list: tensors that are kept and saved but not trained.
function Module:buffers() return (tensors(self, false)) end

--- Iterates over names and buffers.
function Module:named_buffers() return named(tensors(self, false)) end

-- The module itself (name "") and all modules below it, as two lists.
local function modules(self)
  local list, names = { self }, { "" }
  check_self(self)
  walk(self, "", {}, function(value, name)
    if is_module(value) then list[#list + 1], names[#names + 1] = value, name end
  end)
  return list, names
end

--- The module and all modules below it, as a list, each before what is in it.
function Module:modules() return (modules(self)) end

--- Iterates over names and modules; the module's own name is "".
function Module:named_modules() return named(modules(self)) end

--- How many numbers the parameters hold.
function Module:count()
  local n = 0
  for _, p in ipairs(self:parameters()) do n = n + p:numel() end
  return n
end

--- Calls fn with every module below, then with the module itself; returns it.
-- `model:apply(function(m) if m.weight then nn.init.zeros(m.weight) end end)`
function Module:apply(fn)
  check.callable(1, "apply", fn)
  local list = modules(self)
  for i = #list, 1, -1 do fn(list[i]) end
  return self
end

-- -- modes ----------------------------------------------------------------------------

--- Training mode (Dropout drops), or evaluation mode with false; returns the module.
function Module:train(flag)
  flag = flag ~= false
  for _, m in ipairs(modules(self)) do m.training = flag end
  return self
end

--- Evaluation mode: train(false).
function Module:eval() return self:train(false) end

--- Forgets the gradients of all parameters.
function Module:zero_grad()
  for _, p in ipairs(self:parameters()) do p.grad = nil end
  return self
end

--- Converts the parameters and buffers of real type to "f32" or "f64"; returns the
-- module.  They become new tensors: make the optimizer afterwards.
function Module:to(dtype)
  if dtype ~= "f32" and dtype ~= "f64" then
    check.argument(1, "to", "'f32' or 'f64' expected, got %s", check.text(dtype))
  end
  local new = {}
  local function convert(t)
    if t.dtype == dtype or (t.dtype ~= "f32" and t.dtype ~= "f64") then return t end
    local copy = t:detach():to(dtype)
    return t.is_tracked and copy:requires_grad() or copy
  end
  -- a tensor may be held in several places: every table is visited here
  local function visit(holder, seen)
    seen[holder] = true
    for _, key in ipairs(sorted_keys(holder)) do
      local value = rawget(holder, key)
      if is_tensor(value) then
        if not value:isclosed() then
          new[value] = new[value] or convert(value)
          holder[key] = new[value]
        end
      elseif not seen[value] and (is_module(value) or not getmetatable(value)) then
        visit(value, seen)
      end
    end
  end
  visit(self, {})
  return self
end

-- -- saving ------------------------------------------------------------------------------

--- The parameters and buffers by name.  They share their values with the model:
-- clone the ones that are to stay as they are.
function Module:state()
  local state = {}
  local list, names = tensors(self)
  for i, t in ipairs(list) do state[names[i]] = t:detach() end
  return state
end

-- Compares names and shapes; returns what is missing, left over and misshapen.
local function compare(own, state)
  local missing, unexpected, misshapen = {}, {}, {}
  for name, t in pairs(own) do
    local new = state[name]
    if new == nil then
      missing[#missing + 1] = name
    elseif not is_tensor(new) then
      misshapen[#misshapen + 1] = ("%s is a %s"):format(name, type(new))
    elseif check.shape(new) ~= check.shape(t) then
      misshapen[#misshapen + 1] = ("%s is %s, %s expected"):format(name, check.shape(new),
        check.shape(t))
    end
  end
  for name in pairs(state) do
    if own[name] == nil then unexpected[#unexpected + 1] = check.text(name) end
  end
  table.sort(missing)
  table.sort(unexpected)
  table.sort(misshapen)
  return missing, unexpected, misshapen
end

local function complain(what, missing, unexpected, misshapen)
  local parts = {}
  local function add(label, list)
    if #list > 0 then parts[#parts + 1] = label .. table.concat(list, ", ") end
  end
  add("missing: ", missing)
  add("unexpected: ", unexpected)
  if #misshapen > 0 then parts[#parts + 1] = table.concat(misshapen, "; ") end
  if #parts > 0 then
    check.fail("%s (%s)", what, table.concat(parts, "; "))
  end
end

--- Copies values into the parameters and buffers, by name.  Every name must be there
-- and no other, unless { strict = false }; shapes must agree in any case.  Nothing is
-- written when something is wrong.  Returns the missing and the unexpected names.
-- `model:load_state(other:state())`
function Module:load_state(state, opts, what)
  what = type(what) == "string" and what or "bad argument #1 to 'load_state'" -- nn.load: the file
  if type(state) ~= "table" then
    check.argument(1, "load_state", "table of tensors expected, got %s", type(state))
  end
  check.options(2, "load_state", opts, { strict = true })
  local own = self:state()
  local missing, unexpected, misshapen = compare(own, state)
  if opts and opts.strict == false then
    complain(what, {}, {}, misshapen)
  else
    complain(what, missing, unexpected, misshapen)
  end
  no_grad(function()
    for name, t in pairs(own) do
      if state[name] then t:copy_(state[name]) end
    end
  end)
  return missing, unexpected
end

--- Writes the parameters and buffers to a safetensors file; returns true, or nil and
-- a message when it cannot be written.  nn.load(model, path) reads it; nn.load(path) alone
-- too, when the model is made of mare's own layers.  Without a path the bytes are returned.
function Module:save(path)
  local network = require "mare.nn.rebuild".describe(self)
  return mare.save(path, self:state(),
    { format = "mare", model = self:describe(), network = network })
end

-- -- printing -------------------------------------------------------------------------------

-- The tensors that a module holds itself, not in modules below it.
local function own_tensors(m, seen)
  local n, shapes = 0, {}
  local function visit(holder, prefix)
    for _, key in ipairs(sorted_keys(holder)) do
      local value = rawget(holder, key)
      if is_tensor(value) and not value:isclosed() and value:is_leaf() then
        local note = seen[value] and " (shared)" or value.is_tracked and "" or " (buffer)"
        if value.is_tracked and not seen[value] then n = n + value:numel() end
        seen[value] = true
        shapes[#shapes + 1] = ("%s%s %s%s"):format(prefix, key, check.shape(value), note)
      elseif type(value) == "table" and not getmetatable(value) and not seen[value] then
        seen[value] = true
        visit(value, prefix .. key .. ".")
      end
    end
  end
  visit(m, "")
  return n, table.concat(shapes, ", ")
end

-- The name of the nearest module that holds what has this name, "" for the top.
local function owner(name, depths)
  repeat
    name = name:match "^(.*)%.[^.]*$" or ""
  until depths[name]
  return name
end

local function table_rows(self)
  local list, names = modules(self)
  local seen, rows, depths = {}, {}, { [""] = 0 }
  for i, m in ipairs(list) do
    local name, label = names[i], ""
    if i > 1 then
      local above = owner(name, depths)
      depths[name] = depths[above] + 1
      label = name:sub(above == "" and 1 or #above + 2) .. "  "
    end
    local n, shapes = own_tensors(m, seen)
    rows[i] = { ("  "):rep(depths[name]) .. label .. m:describe(),
      n > 0 and count_text(n) or "", shapes }
  end
  return rows
end

-- Rows of texts as lines of columns; the second one stands right.
local function aligned(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for k, text in ipairs(row) do widths[k] = math.max(widths[k] or 0, utf8.len(text) or #text) end
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k, text in ipairs(row) do
      local room = (" "):rep(widths[k] - (utf8.len(text) or #text))
      cells[k] = k == 2 and room .. text .. " " or text .. room
    end
    lines[i] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return lines
end

local function with_totals(self, lines)
  if #self:parameters() == 0 then return table.concat(lines, "\n") end
  local values, bytes = 0, 0
  for _, p in ipairs(self:parameters()) do
    values, bytes = values + p:numel(), bytes + p:numel() * (p.dtype == "f64" and 8 or 4)
  end
  lines[#lines + 1] = ("%s parameters, %s bytes"):format(count_text(values), count_text(bytes))
  return table.concat(lines, "\n")
end

--- A table of the layers with the shapes of their parameters, and the totals.
function Module:__tostring() return with_totals(self, aligned(table_rows(self))) end

local function shape_text(v)
  if is_tensor(v) then return check.shape(v) end
  return type(v) == "table" and "table" or type(v)
end

--- What print shows, with the shape of each layer's output: the model is called once with x
-- (and what follows it), in evaluation and without a tape.
-- `print(model:summary(mare.zeros(1, 784)))`
function Module:summary(...)
  check_self(self)
  local shapes = {}
  traced(self, false, function(m, output) shapes[m] = shape_text(output) end, ...)
  local rows, list = table_rows(self), modules(self)
  for i, row in ipairs(rows) do table.insert(row, 2, shapes[list[i]] or "") end
  for _, row in ipairs(rows) do row[2], row[3] = row[3], row[2] end
  return with_totals(self, aligned(rows))
end

--- Is v a module?
function Module.is_module(v) return is_module(v) end

return Module
