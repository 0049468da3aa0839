-- text.lua -- LIBSVM's text and JSON lines; CIFAR-10's records.

local core = require "mare.core".functions
local check = require "mare.check"
local dataset = require "mare.data.dataset"
local json = require "mare.json"
local numpy = require "mare.data.numpy"

local M = {}

-- -- LIBSVM --------------------------------------------------------------------------------

local function label_text(v) return math.tointeger(v) and ("%d"):format(v) or tostring(v) end

-- The labels in ascending order, as text.
local function names_in(list)
  local seen, values, names = {}, {}, {}
  for _, v in ipairs(list) do
    if not seen[v] then seen[v], values[#values + 1] = true, v end
  end
  table.sort(values)
  for i, v in ipairs(values) do names[i] = label_text(v) end
  return names
end

-- The labels as 1..K by their names; nil and what is wrong when one has none.
local function as_classes(labels, names)
  local list, place = labels:totable(), {}
  names = names or names_in(list)
  for i, name in ipairs(names) do place[tostring(name)] = i end
  for i, v in ipairs(list) do
    local text = label_text(v)
    list[i] = place[text]
    if not list[i] then
      return nil, ("row %d: the label %s is not among the classes"):format(i, text)
    end
  end
  return core.tensor(list, "i64"), names
end

local function check_classes(classes)
  if classes == nil or classes == false then return nil end
  if type(classes) ~= "table" or #classes == 0 then
    check.argument(2, "libsvm", "classes: false or a list of labels expected, got %s",
      check.kind(classes))
  end
  return table.move(classes, 1, #classes, 1, {})
end

--- Reads LIBSVM's text (label index:value ...), gzipped or not, as a dense data set: x (rows,
-- features) f32; nil and a message that names line and field when that cannot be done.
-- Labels that are whole numbers become classes 1..K in ascending order (ds.classes has the
-- file's labels as strings); others, and all with classes = false, stay numbers: y f32.
-- Options: features (the columns, so that train and test agree; else the largest index),
-- zero_based (indices begin at 0), classes (the labels in order, so that train and test agree
-- where one of them lacks some).
-- `local train = assert(data.libsvm("a9a.txt", { features = 123 }))`
-- `local test = assert(data.libsvm("a9a.t", { features = 123, classes = train.classes }))`
function M.libsvm(from, opts)
  check.options(2, "libsvm", opts, { features = true, zero_based = true, classes = true })
  opts = opts or {}
  local features = opts.features and check.count(2, "libsvm", opts.features, nil, "features") or 0
  local classes, path, text = check_classes(opts.classes), numpy.source("libsvm", from)
  local x, y, whole = core.read_svm(path, text, features, opts.zero_based and true or false)
  if not x then return nil, y end
  if opts.classes == false or not whole and not classes then return dataset.new(x, y:to "f32") end
  local labels, names = as_classes(y, classes)
  if not labels then return nil, ("%s: %s"):format(path or "string", names) end
  return dataset.new(x, labels, { classes = names })
end

-- -- CIFAR-10 ------------------------------------------------------------------------------

local RECORD = 3073 -- bytes: a label, then 32x32 of red, of green and of blue
local CLASSES = { "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
  "truck" }

local function read_records(path)
  local bytes, message = core.read_all(path .. ".bin")
  if not bytes then
    bytes = core.read_all(path .. ".bin.gz")
    if not bytes then return nil, message end
  end
  if #bytes == 0 or #bytes % RECORD ~= 0 then
    return nil, ("%s.bin: %d bytes are no records of %d"):format(path, #bytes, RECORD)
  end
  local n = #bytes // RECORD
  local records = core.frombytes(bytes, "u8", { n, RECORD })
  local labels = records:select(2, 1):to "i64"
  if labels:max():item() > 9 then
    local i = labels:argmax():item()
    return nil, ("%s.bin: record %d: label %d; 0 to 9 expected"):format(path, i, labels[i]:item())
  end
  return records:narrow(2, 2, RECORD - 1):reshape(n, 3, 32, 32), labels + 1
end

--- CIFAR-10 in its binary version (A. Krizhevsky 2009, Learning multiple layers of features from
-- tiny images): two data sets, train (five files of 10,000) and test, images 3x32x32 u8, labels
-- 1..10 (the files' 0..9 plus 1).  Reads data_batch_1.bin ... data_batch_5.bin and
-- test_batch.bin in a directory, gzipped or not.
-- `local train, test = assert(data.cifar10 "cifar-10-batches-bin")`
function M.cifar10(dir)
  if type(dir) ~= "string" then
    check.argument(1, "cifar10", "directory expected, got %s", check.kind(dir))
  end
  check.path(1, "cifar10", dir)
  local images, labels = {}, {}
  for i = 1, 5 do
    images[i], labels[i] = read_records(("%s/data_batch_%d"):format(dir, i))
    if not images[i] then return nil, labels[i] end
  end
  local x, y = read_records(dir .. "/test_batch")
  if not x then return nil, y end
  local opts = { classes = CLASSES }
  local mare = require "mare"
  return dataset.new(mare.cat(images, 1), mare.cat(labels, 1), opts), dataset.new(x, y, opts)
end

-- -- JSON lines ----------------------------------------------------------------------------

--- Reads JSON lines, gzipped or not: a list of what each line holds (null is mare.json's null),
-- or nil and a message that names the line.  Empty lines are left out.
-- `for _, e in ipairs(assert(data.jsonl "run/history.jsonl")) do print(e.epoch, e.loss) end`
function M.jsonl(from)
  local path, text = numpy.source("jsonl", from)
  local bytes, message = core.read_all(path, text)
  if not bytes then return nil, message end
  local list, n = {}, 0
  for line in bytes:gmatch "([^\n]*)\n?" do
    n = n + 1
    if line:find "%S" then
      local value, wrong = json.decode(line)
      if value == nil then return nil, ("%s:%d: %s"):format(path or "string", n, wrong) end
      list[#list + 1] = value
    end
  end
  return list
end

--- Writes a list of values, each as JSON on a line of its own; returns true, or nil and a
-- message.  Without a path the text is returned.
-- `assert(data.save_jsonl("history.jsonl", { { epoch = 1, loss = 0.5 } }))`
function M.save_jsonl(path, list)
  if path ~= nil then check.path(1, "save_jsonl", path) end
  if type(list) ~= "table" then
    check.argument(2, "save_jsonl", "list expected, got %s", check.kind(list))
  end
  local lines = {}
  for i, value in ipairs(list) do
    local text, wrong = json.encode(value)
    if not text then check.argument(2, "save_jsonl", "#%d: %s", i, wrong) end
    lines[i] = text .. "\n"
  end
  return core.write_pieces(path, { table.concat(lines) })
end

return M
