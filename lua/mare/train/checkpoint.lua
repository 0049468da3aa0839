-- checkpoint.lua -- all that a run needs to go on as if nothing had happened, in one
-- safetensors file: the model's and the optimizer's tensors, the best weights seen, and in
-- the metadata the position, the random state, the history and what the schedule and the
-- early stop remember.  The file appears under its name only when it is whole.

local mare = require "mare"
local check = require "mare.check"

local M = {}

local VERSION = "1"

-- -- numbers as text ----------------------------------------------------------------------

-- Integers in decimal; other numbers in hexadecimal, to the last bit and in any locale.
local function to_text(v)
  if type(v) == "boolean" then return tostring(v) end
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v ~= v then return "nan" end
  if v == math.huge or v == -math.huge then return v > 0 and "inf" or "-inf" end
  return (("%a"):format(v):gsub(",", "."))
end

local special = { ["true"] = true, ["false"] = false, nan = 0 / 0, inf = math.huge,
  ["-inf"] = -math.huge }

local function from_text(text)
  if special[text] ~= nil then return special[text] end
  return tonumber(text)
end

-- The numbers and booleans of a table under a prefix: "stop.waited" = "2".
local function write_fields(metadata, prefix, t)
  for k, v in pairs(t) do
    if type(k) == "string" and (type(v) == "number" or type(v) == "boolean") then
      metadata[prefix .. k] = to_text(v)
    end
  end
end

local function read_fields(metadata, prefix, t)
  for k, text in pairs(metadata) do
    if k:sub(1, #prefix) == prefix then t[k:sub(#prefix + 1)] = from_text(text) end
  end
end

local function write_tensors(tensors, prefix, from)
  for name, t in pairs(from) do tensors[prefix .. name] = t end
end

local function read_tensors(tensors, prefix)
  local own = {}
  for name, t in pairs(tensors) do
    if name:sub(1, #prefix) == prefix then own[name:sub(#prefix + 1)] = t end
  end
  return own
end

-- -- histories ----------------------------------------------------------------------------

local function write_history(metadata, history)
  metadata["history"] = to_text(#history)
  for i, record in ipairs(history) do
    write_fields(metadata, ("history.%d."):format(i), record)
  end
end

local function read_history(metadata, history)
  for i = 1, from_text(metadata.history) or 0 do
    history[i] = {}
    read_fields(metadata, ("history.%d."):format(i), history[i])
  end
end

-- -- checkpoints --------------------------------------------------------------------------

--- Writes the state of a run to its checkpoint; returns true, or nil and a message.
function M.write(run, path)
  local tensors, metadata = {}, { format = "mare checkpoint", version = VERSION }
  write_tensors(tensors, "model.", run.model:state())
  write_tensors(tensors, "optimizer.", run.optimizer:state())
  if run.stop.weights then write_tensors(tensors, "best.", run.stop.weights) end
  local key, counter = mare.rng_state()
  metadata["rng.key"], metadata["rng.counter"] = to_text(key), to_text(counter)
  metadata["optimizer"] = run.optimizer.name
  write_fields(metadata, "at.", run.at)
  write_fields(metadata, "stop.", run.stop)
  if type(run.schedule) == "table" then write_fields(metadata, "schedule.", run.schedule) end
  write_history(metadata, run.history)
  return mare.save(path, tensors, metadata)
end

local function refuse(path, message, ...)
  check.fail("'fit': the checkpoint %s %s", path, message:format(...))
end

local NONE = 2 -- ENOENT: there is no such file

-- Is there a file?  One that cannot be opened is no reason to begin again.
local function exists(path)
  local file, message, code = io.open(path, "rb")
  if file then file:close() end
  if not file and code ~= NONE then refuse(path, "cannot be read: %s", message) end
  return file ~= nil
end

--- An error unless a file can be made beside the checkpoint: before the first step, not after
-- hours of them.
function M.try(path)
  local beside = path .. ".try~"
  local file, message = io.open(beside, "ab")
  if not file then
    check.fail("'fit': the checkpoint could not be written (%s)",
      (message:gsub("%.try~", "", 1)))
  end
  file:close()
  os.remove(beside)
end

-- The tensors and metadata of a file; nothing when there is none.  Of a team the first process
-- reads it, for all.
local function load(run, path)
  local team = run.team
  if not team then
    if not exists(path) then return nil end
    return mare.load(path)
  end
  local bytes
  if team.rank == 0 and exists(path) then
    local file = assert(io.open(path, "rb"))
    bytes = file:read "a"
    file:close()
  end
  bytes = team.broadcast(bytes)
  if bytes == nil then return nil end
  return mare.load { string = bytes }
end

local function check_kind(run, path, metadata)
  if metadata.format ~= "mare checkpoint" then
    refuse(path, "is no checkpoint of a training run")
  elseif metadata.version ~= VERSION then
    refuse(path, "has version %s; this is version %s", tostring(metadata.version), VERSION)
  elseif metadata.optimizer ~= run.optimizer.name then
    refuse(path, "was made with the optimizer %s, not %s", tostring(metadata.optimizer),
      run.optimizer.name)
  end
end

-- The position, checked against the options of this run.
local function read_position(run, path, metadata)
  local at = {}
  read_fields(metadata, "at.", at)
  for _, name in ipairs { "epoch", "step", "batch", "seed", "size" } do
    if math.type(at[name]) ~= "integer" then refuse(path, "does not say its %s", name) end
  end
  if at.size ~= run.at.size then
    refuse(path, "was made with batches of %d, not %d", at.size, run.at.size)
  elseif run.seeded and at.seed ~= run.at.seed then
    refuse(path, "was made with the seed %d, not %d", at.seed, run.at.seed)
  end
  return at
end

--- Takes over the state that a checkpoint holds; false when there is no such file.  What
-- does not fit is an error before anything was changed.
function M.read(run, path)
  local tensors, metadata = load(run, path)
  if not tensors and not metadata then return false end
  if not tensors then refuse(path, "cannot be read: %s", metadata) end
  check_kind(run, path, metadata)
  local at = read_position(run, path, metadata)
  local key, counter = from_text(metadata["rng.key"]), from_text(metadata["rng.counter"])
  if math.type(key) ~= "integer" or math.type(counter) ~= "integer" then
    refuse(path, "holds no random state")
  end
  local before = {}
  for name, t in pairs(run.model:state()) do before[name] = t:clone() end
  run.model:load_state(read_tensors(tensors, "model."), nil,
    ("'fit': the checkpoint %s does not fit the model"):format(path))
  local ok, message = pcall(run.optimizer.load_state, run.optimizer,
    read_tensors(tensors, "optimizer."))
  if not ok then
    run.model:load_state(before)
    error(message, 0)
  end
  run.at = at
  read_fields(metadata, "stop.", run.stop)
  local best = read_tensors(tensors, "best.")
  run.stop.weights = next(best) and best or nil
  if type(run.schedule) == "table" then read_fields(metadata, "schedule.", run.schedule) end
  read_history(metadata, run.history)
  mare.rng_state(key, counter)
  return true
end

return M
