--- mare.inspect: what backpropagation computes, layer by layer.
-- With z = w a + b in a layer, the forward pass finds dz/dw = a, the layer's input, and
-- the backward pass dC/dz; their product is dC/dw.

local mare = require "mare"
local check = require "mare.check"
local Module = require "mare.nn.module"
local gradients = require "mare.grad".gradients

local is_tensor, is_module = mare.is_tensor, Module.is_module

-- -- listening to the calls ----------------------------------------------------------

-- The tensors that a module holds itself, by name.
local function own_tensors(m)
  local list = {}
  for name, t in m:named_parameters() do
    if not name:find(".", 1, true) then list[name] = t end
  end
  return list
end

-- What computes: a module without others in it, or with parameters of its own.
local function is_layer(m) return #m:modules() == 1 or next(own_tensors(m)) ~= nil end

local Silence = { __close = function(s)
  for m, class in pairs(s) do setmetatable(m, class) end
end }

-- Until the result is closed, calls of the model's layers are noted in a list.
local function listen(model, calls)
  local classes = {}
  for name, m in model:named_modules() do
    if is_layer(m) then
      local class = getmetatable(m)
      local ear = {}
      for k, v in next, class do
        if type(k) == "string" and k:sub(1, 2) == "__" then ear[k] = v end
      end
      ear.__index, ear.is_mare_module = class, true
      ear.__call = function(self, ...)
        local call = { name = name, module = self, inputs = { ... } }
        calls[#calls + 1] = call
        local results = table.pack(class.__call(self, ...))
        call.results = results
        return table.unpack(results, 1, results.n)
      end
      classes[m] = class
      setmetatable(m, ear)
    end
  end
  return setmetatable(classes, Silence)
end

-- -- what a layer's row holds ----------------------------------------------------------

local function is_real(t) return is_tensor(t) and (t.dtype == "f32" or t.dtype == "f64") end

local function norm(t) return is_real(t) and t:detach():norm():item() or nil end

-- The share of units, the positions within a sample, that are 0 for every sample.
local function zero_units(t)
  return t:detach():eq(0):reshape(t:dim() > 1 and t:size(1) or 1, -1):all(1)
end

local function dead_share(z, dz)
  if not is_real(z) or z:numel() == 0 then return nil end
  local dead = zero_units(z)
  if dz then dead = dead:logical_or(zero_units(dz)) end
  return dead:to "f64":mean():item()
end

local Row = { __name = "layer" }

function Row:__tostring()
  return ("%s  |a| %s  |z| %s  |dC/dz| %s"):format(self.kind, tostring(self.norms.a),
    tostring(self.norms.z), tostring(self.norms.dz))
end

local function first_tensor(list)
  for i = 1, #list do if is_tensor(list[i]) then return list[i] end end
end

local function row_of(call, grads)
  local a, z = first_tensor(call.inputs), first_tensor(call.results)
  local row = setmetatable({ name = call.name, kind = call.module:describe(),
    module = call.module, gradients = {}, norms = {} }, Row)
  row.a, row.z = a and a:detach(), z and z:detach()
  row.dz = z and grads[z] or nil
  row.norms.a, row.norms.z, row.norms.dz = norm(row.a), norm(row.z), norm(row.dz)
  for name, p in pairs(own_tensors(call.module)) do
    row.gradients[name] = grads[p] or nil
    row.norms[name] = norm(row.gradients[name])
  end
  row.dead = dead_share(row.z, row.dz)
  return row
end

-- -- the report -------------------------------------------------------------------------

local Report = { __name = "inspection" }

local function figure(v) return v and ("%.4g"):format(v) or "" end

local columns = {
  { "layer", function(r)
    return r.name == "" and r.kind or r.name .. "  " .. r.kind
  end, left = true },
  { "z", function(r) return r.z and check.shape(r.z) or "" end },
  { "|a|", function(r) return figure(r.norms.a) end },
  { "|z|", function(r) return figure(r.norms.z) end },
  { "|dC/dz|", function(r) return figure(r.norms.dz) end },
  { "|dC/dw|", function(r) return figure(r.norms.weight) end },
  { "|dC/db|", function(r) return figure(r.norms.bias) end },
  { "dead", function(r)
    return r.dead and r.dead > 0 and ("%.0f%%"):format(100 * r.dead) or ""
  end },
}

--- The report as a table, one line for each layer.
function Report:__tostring()
  local lines, cells, width = {}, { {} }, {}
  for i, column in ipairs(columns) do cells[1][i] = column[1] end
  for _, r in ipairs(self) do
    local line = {}
    for i, column in ipairs(columns) do line[i] = column[2](r) end
    cells[#cells + 1] = line
  end
  for _, line in ipairs(cells) do
    for i, text in ipairs(line) do width[i] = math.max(width[i] or 0, #text) end
  end
  for n, line in ipairs(cells) do
    for i, text in ipairs(line) do
      local space = (" "):rep(width[i] - #text)
      line[i] = columns[i].left and text .. space or space .. text
    end
    lines[n] = table.concat(line, "  "):gsub("%s+$", "")
  end
  lines[#lines + 1] = "loss " .. figure(self.loss)
  return table.concat(lines, "\n")
end

local function arguments(model, x, target, loss)
  if not is_module(model) then
    check.argument(1, "inspect", "module expected, got %s", check.kind(model))
  end
  check.tensor(2, "inspect", x)
  if loss == nil and not is_tensor(target) then
    check.callable(3, "inspect", target)
    return target
  end
  check.callable(4, "inspect", loss)
  return function(output) return loss(output, target) end
end

-- The loss of the model at x, with all calls of layers on the tape.
local function run(model, x, loss)
  local calls = {}
  local _ <close> = listen(model, calls)
  return mare.enable_grad(function()
    local input = is_real(x) and x:detach():requires_grad() or x
    local output = model(input)
    local c = loss(output)
    if not is_tensor(c) or c:numel() ~= 1 then
      check.fail("the loss given to 'inspect' returned %s, not a single number",
        is_tensor(c) and "shape " .. check.shape(c) or "a " .. type(c))
    end
    return c, calls, input, output
  end)
end

-- {tensor = gradient} for every result and parameter, and the input
local function all_gradients(c, calls, input)
  local list, seen = {}, {}
  local function add(t)
    if is_real(t) and t.is_tracked and not seen[t] then
      seen[t] = true
      list[#list + 1] = t
    end
  end
  add(input)
  for _, call in ipairs(calls) do
    add(first_tensor(call.results))
    for _, p in pairs(own_tensors(call.module)) do add(p) end
  end
  local by = {}
  if not c.is_tracked then return by end
  for i, g in ipairs(gradients(c, list, false)) do by[list[i]] = g end
  return by
end

--- mare.inspect(model, x, target, loss): the forward and the backward quantity of every
-- layer, in the order of the calls.  loss(prediction, target) returns a single number,
-- as mare.loss.mse does; mare.inspect(model, x, loss) calls loss(prediction).
--     local report = mare.inspect(model, x, y, mare.loss.cross_entropy)
--     print(report)                        -- a table of norms
--     report[1].a                          -- dz/dw: what went into the first layer
--     report[1].dz                         -- dC/dz: the derivative to what came out of it
-- A row has name, kind, module, a, z, dz, gradients (by the parameters' names, such as
-- weight and bias: dC/dw, dC/db, summed over all uses), norms (Euclidean, of a, z, dz and
-- the gradients) and dead: the share of units, positions within a sample, whose z or
-- dC/dz is 0 for every sample of x (the first dimension).  A layer without parameters, an
-- activation, has a row too: its z is what it puts out.  The report has loss, output and
-- input_gradient (dC/dx) besides.  The model runs in the mode it is in (see model:eval());
-- its parameters and their grad stay as they are.
return function(model, x, target, loss)
  local c, calls, input, output = run(model, x, arguments(model, x, target, loss))
  local grads = all_gradients(c, calls, input)
  local report = { loss = c:item(), output = is_tensor(output) and output:detach() or output,
    input_gradient = grads[input] or nil }
  for i, call in ipairs(calls) do report[i] = row_of(call, grads) end
  return setmetatable(report, Report)
end
