-- doc.lua -- what is documented about every public name, from where the name is defined:
-- the rows of operations and optimizers, and the `---` comments of the Lua sources.  What C
-- offers beside its rows is worded in mare.doc.words, shapes and examples of rows in
-- mare.doc.operations.

local core = require "mare.core"

local M = {}

-- -- comments of a source ------------------------------------------------------------------

-- The name that a line of code defines, and its parameters.
local function defined(code)
  local name, args = code:match "^%s*function%s+([%w_.:]+)%s*(%b())"
  if not name then name, args = code:match "^%s*local%s+function%s+([%w_]+)%s*(%b())" end
  name = name or code:match "^%s*([%w_.]+)%s*=" or
    code:match '^%s*%l[%w_]*%("([%w_]+)"' or code:match "^(return) estimator%.define"
  return name and name:match "([%w_]+)$", args
end

local files = {}

-- The comments of a file: by the line they stand above, and by the name defined there.
local function comments(path)
  if files[path] then return files[path] end
  local found = { line = {}, name = {} }
  files[path] = found
  local file = io.open(path)
  if not file then return found end
  local n, block = 0, nil
  for line in file:lines() do
    n = n + 1
    local first, more = line:match "^%s*%-%-%-%s?(.*)$", line:match "^%s*%-%-%s?(.*)$"
    if first then block = block or {} block[#block + 1] = first
    elseif block and more then block[#block + 1] = more
    elseif block then
      local name, args = defined(line)
      local owner, mark = line:match "^%s*function%s+([%w_]+)([.:])[%w_]+%s*%("
      local entry = { text = table.concat(block, "\n"), args = args, name = name, file = path,
        number = n, owner = owner, mark = mark, returned = line:match "^return function%s*(%b())" }
      found.line[n] = entry
      if name and not found.name[name] then found.name[name] = entry end
      block = nil
    end
  end
  file:close()
  return found
end

local function comment_of(value, name, path)
  if type(value) == "function" then
    local info = debug.getinfo(value, "S")
    local at = info.source:match "^@(.*)$"
    if at then
      local all = comments(at)
      return all.line[info.linedefined] or all.name[name]
    end
  end
  return path and comments(path).name[name]
end

local operations = require "mare.doc.operations"

-- -- rows -----------------------------------------------------------------------------------

local function defaults_of(row)
  local list = table.move(row.args, 1, #row.args, 1, {})
  for i, name in ipairs(row.params) do
    list[#list + 1] = ("%s = %g"):format(name, row.defaults[i])
  end
  return "(" .. table.concat(list, ", ") .. ")"
end

local elementwise

local function elementwise_row(name)
  if not elementwise then
    elementwise = {}
    for _, row in ipairs(core.functions.rows()) do elementwise[row.name] = row end
  end
  return elementwise[name]
end

-- `call --> value`, computed at once; nil where the call fails.
local function example(call)
  local f = load("local mare = require 'mare' return mare." .. call)
  local ok, v = pcall(f)
  return ok and v == v and ("`mare.%s --> %.7g`"):format(call, v) or nil
end

-- An operation of one tensor, or of one and a number, at a point of its domain.
local function example_of(row)
  if #row.args > 2 then return nil end
  local at = row.lo < 0.5 and row.hi > 0.5 and 0.5 or ("%.1f"):format((row.lo + row.hi) / 2)
  local second = row.args[2] and ", 0.25" or ""
  return example(("%s(mare.tensor { %s }%s):item()"):format(row.name, at, second))
end

-- A structured operation, which may have a formula and an example.
local function structured_entry(row)
  local args, more, example_text = table.unpack(operations[row.name] or {})
  local lines = { row.doc .. ".", row.formula and "Formula: " .. row.formula }
  lines[#lines + 1] = more
  example_text = row.example or example_text
  lines[#lines + 1] = example_text and "`" .. example_text .. "`"
  return { text = table.concat(lines, "\n"), args = args, row = row }
end

local function row_entry(row)
  local derivatives = {}
  for i, text in ipairs(row.derivatives) do
    if text then derivatives[i] = ("dy/d%s = %s"):format(row.args[i], text) end
  end
  local lines = { row.doc, "Formula: " .. row.formula }
  if #derivatives > 0 then lines[3] = "Derivative: " .. table.concat(derivatives, ", ") end
  lines[#lines + 1] = "Element by element; operands broadcast."
  lines[#lines + 1] = example_of(row)
  return { text = table.concat(lines, "\n"), args = defaults_of(row), row = row }
end

local function optimizer_entry(row)
  local lines, options = { row.doc .. ".", "Source: " .. (row.source or "") }, {}
  for i, h in ipairs(row.hyper) do
    options[i] = ("%s = %s"):format(h.name, tostring(h.default))
  end
  lines[3] = "Options and defaults: " .. table.concat(options, ", ")
  if row.update then lines[4] = "Update: " .. row.update end
  return { text = table.concat(lines, "\n"), args = "(params, opts)", row = row }
end

-- -- the public names -------------------------------------------------------------------------

local words = require "mare.doc.words"

local renamed = { mse = "squared_error", mae = "absolute_error", msle = "squared_log_error" }

local function plain_loss(name)
  local row = elementwise_row(renamed[name] or name)
  if not row or row.args[1] ~= "x" or row.args[2] ~= "t" then return nil end
  local entry = row_entry(row)
  local param = row.params[1] and (", %s = %g"):format(row.params[1], row.defaults[1]) or ""
  entry.args = "(prediction, target, { reduction = \"mean\", weight" .. param .. " })"
  local signs = name:find "hinge" or name == "soft_margin"
  local call = "loss.%s(mare.tensor { 0.5, 0.25 }, mare.tensor { 1, %d }):item()"
  local shown = example(call:format(name, signs and -1 or 0))
  entry.text = entry.text .. (shown and "\n" .. shown or "")
  return entry
end

-- Where a part's own rows are looked up: path -> function (name, value) -> entry or nil.
local special = {
  ["mare"] = function(name)
    local registry = require "mare.ops"
    local row = elementwise_row(name)
    if row then return row_entry(row) end
    row = registry.rows[name]
    if row and row.doc and not words[name] then return structured_entry(row) end
  end,
  ["mare.optim"] = function(name)
    local row = require "mare.optim".rows[name]
    return row and optimizer_entry(row)
  end,
  ["mare.loss"] = plain_loss,
  ["mare.linalg"] = function(name)
    local row = require "mare.ops".rows[name]
    return row and row.doc and { text = row.doc .. ".", row = row }
  end,
  ["mare.nn"] = function(_, value)
    local text = type(value) == "table" and rawget(value, "doc")
    return text and { text = text .. "; a module of the operation of that name" }
  end,
}

local skipped = { ["mare.out"] = true, ["mare.optim.rows"] = true, ["mare.version"] = true }

local function keys_of(t)
  local names = {}
  for name in next, t do names[name] = true end
  local meta = getmetatable(t)
  if type(meta) == "table" and meta.__members then
    for _, name in ipairs(meta.__members(t)) do names[name] = true end
  end
  local list = {}
  for name in pairs(names) do
    if type(name) == "string" and not name:find "^_" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- The entry of one name of a part; its text is nil where nothing is documented.
local function entry_of(part, name, value, module)
  local path = module and package.searchpath(module, package.path)
  local entry = special[part] and special[part](name, value) or nil
  local comment = comment_of(value, name, path)
  if comment and (not entry or part == "mare.loss") then
    entry = entry and { text = entry.text .. "\n\n" .. comment.text, args = entry.args,
      row = entry.row }
      or { text = comment.text, args = comment.args, file = comment.file, number = comment.number }
  end
  local own = words[part:gsub("^mare%.?", "") .. (part == "mare" and "" or ".") .. name] or
    part == "Tensor" and words[name]
  if own then
    entry = entry or {}
    entry.args = own.args or entry.args
    entry.text = own[1] .. (entry.text and "\n" .. entry.text or "")
  end
  entry = entry or {}
  entry.part, entry.name, entry.path, entry.value = part, name, part .. "." .. name, value
  return entry
end

local parts = {
  { "mare", "mare" }, { "mare.nn", "mare.nn", "mare.nn.layers", "mare.nn.activations",
    "mare.nn.convolution", "mare.nn.normalization", "mare.nn.recurrent", "mare.nn.attention" },
  { "mare.nn.init", "mare.nn.initial" }, { "mare.loss", "mare.loss" },
  { "mare.optim", "mare.optim", "mare.optim.minimize", "mare.optim.wrappers" },
  { "mare.schedule", "mare.schedule" }, { "mare.metrics", "mare.metrics" },
  { "mare.data", "mare.data" }, { "mare.models", "mare.models" },
  { "mare.linalg", "mare.linalg" }, { "mare.train", "mare.train" },
  { "mare.plot", "mare.plot" }, { "mare.progress", "mare.progress" },
}

local function part_table(path)
  local t = require "mare"
  for name in path:gmatch "%.([%w_]+)" do t = t[name] end
  return t
end

local function add_part(list, part)
  local path, t = part[1], part_table(part[1])
  for _, name in ipairs(keys_of(t)) do
    local value = t[name]
    local is_part = false
    for _, other in ipairs(parts) do is_part = is_part or other[1] == path .. "." .. name end
    if not is_part and not skipped[path .. "." .. name] then
      local entry = { }
      for i = 2, #part do
        entry = entry_of(path, name, value, part[i])
        if entry.text then break end
      end
      list[#list + 1] = entry
    end
  end
end

-- The comment at the head of a module, without its name.
local function header_of(path)
  local lines = {}
  for line in io.lines(path) do
    local text = line:match "^%-%-%-?%s?(.*)$"
    if not text then break end
    lines[#lines + 1] = text
  end
  return (table.concat(lines, "\n"):gsub("^[%w_.]+ %-%- ", ""))
end

-- The file where the functions of an estimator's class are.
local function class_file(class)
  for _, value in next, class do
    local path
    if type(value) == "function" then
      local source = debug.getinfo(value, "S").source
      path = not source:find "estimator%.lua$" and source:match "^@(.*)$"
    elseif type(value) == "table" and not getmetatable(value) and value ~= class then
      path = class_file(value)
    end
    if path then return path end
  end
end

-- The comment above the definition of an estimator's class, in the module that returns the
-- class or has it as a field.
local function class_comment(class, name)
  for module, value in pairs(package.loaded) do
    local path = type(module) == "string" and module:find "^mare%." and
      package.searchpath(module, package.path)
    local found
    if path and value == class then found = comments(path).name["return"]
    elseif path and type(value) == "table" and rawget(value, name) == class then
      found = comments(path).name[name]
    end
    if found then return found end
  end
end

-- Where a table or a closure has no comment of its own: the words of its class and its file.
local function from_file(entry)
  local value = entry.value
  if entry.part == "mare.optim" then
    local module = "mare.optim." .. entry.name
    module = package.searchpath(module, package.path) and module or "mare.optim.search"
    return header_of(package.searchpath(module, package.path))
  elseif type(value) ~= "table" then return nil end
  local file, doc = class_file(value), rawget(value, "doc")
  local comment = class_comment(value, entry.name) or file and comments(file).name[entry.name]
  local text = comment and comment.text or file and header_of(file)
  return doc and doc .. "." .. (text and "\n" .. text or "") or text
end

local function add_tensor(list)
  local mare = require "mare"
  for _, name in ipairs(keys_of(core.methods)) do
    local value = core.methods[name]
    local entry
    if mare[name] ~= nil and words["Tensor." .. name] == nil then
      entry = entry_of("mare", name, value, "mare.ops")
      entry.part, entry.path = "Tensor", "Tensor." .. name
    elseif name:find "_$" and elementwise_row(name:sub(1, -2)) then
      local row = elementwise_row(name:sub(1, -2))
      entry = { text = "In place: " .. row.doc .. ".  Refused where backward needs the old value.",
        args = defaults_of(row), row = row, part = "Tensor", name = name,
        path = "Tensor." .. name, value = value }
    else
      entry = entry_of("Tensor", name, value, "mare.ops")
    end
    entry.method = true
    list[#list + 1] = entry
  end
end

local index

--- The entries of all public names, in order: { path, part, name, text, args, row, value }.
-- text is nil where nothing is documented.
function M.index()
  if index then return index end
  local list = {}
  for _, part in ipairs(parts) do add_part(list, part) end
  for _, entry in ipairs(list) do entry.text = entry.text or from_file(entry) end
  add_tensor(list)
  index = list
  return list
end

-- Objects that functions return, and rocks of their own: the name, that of the table in their
-- sources, these, and the name of what a source returns; hidden: what is not for users.
local objects = {
  { "Dataset", "Dataset", "mare.data.dataset" },
  { "Frame", "Frame", "mare.data.frame", "mare.data.frame_split" },
  { "Generator", "Generator", "mare.data.generator" },
  { "Module", "Module", "mare.nn.module" },
  { "Optimizer", "Optimizer", "mare.optim" },
  { "Estimator", "Base", "mare.models.estimator", hidden = " ready input run run_finite cached " },
  { "Classifier", "Classifier", "mare.models.estimator" },
  { "Regressor", "Regressor", "mare.models.estimator" },
  { "mare.mpi", "M", "mare.mpi.init", "mare.mpi.collect", "mare.mpi.distribute",
    returned = "distribute" },
}

local function add_object(list, object, path)
  local found = {}
  for _, comment in pairs(comments(path).line) do
    if comment.owner == object[2] or comment.returned then found[#found + 1] = comment end
  end
  table.sort(found, function(a, b) return a.number < b.number end)
  for _, comment in ipairs(found) do
    local name = comment.name or comment.returned and object.returned
    local callable = object[2] == "M" or comment.mark == ":"
    local hidden = object.hidden and name and object.hidden:find(" " .. name .. " ", 1, true)
    if name and callable and not hidden and not name:find "^_" then
      list[#list + 1] = { part = object[1], name = name, text = comment.text,
        args = comment.args or comment.returned, path = object[1] .. (comment.mark or ".") .. name }
    end
  end
end

--- The entries of the methods of data sets, frames, modules, optimizers and estimators, and of
-- mare.mpi where that is installed, as far as their sources are there.
function M.methods()
  local list = {}
  for _, object in ipairs(objects) do
    for i = 3, #object do
      local path = package.searchpath(object[i], package.path)
      if path then add_object(list, object, path) end
    end
  end
  return list
end

--- The parts: the paths of the public tables.
function M.parts()
  local list = {}
  for i, part in ipairs(parts) do list[i] = part[1] end
  list[#list + 1] = "Tensor"
  return list
end

return M
