-- scorer.lua -- the model of a worker, and the text of its answers.  Loaded by `require`,
-- so once in each Lua state: MODEL in the environment names the file.

local mare = require "mare"

local M = {}

local WIDTH = 64
local ANSWER = '{"digit": %d, "probabilities": [' .. ("%.6g, "):rep(9) .. "%.6g]}\n"
local model = assert(mare.nn.load(os.getenv "MODEL")):eval()
local loads, requests = 1, 0
local pid = io.open("/proc/self/stat"):read "n"

-- The numbers of "0.5,0,1 ...", or nil and what is wrong.
local function parse(text)
  local row, n = {}, 0
  for field in (text .. ","):gmatch "([^,]*)," do
    n = n + 1
    local value = tonumber(field)
    if not value or value - value ~= 0 then return nil, ("number %d is '%s'"):format(n, field) end
    row[n] = value
  end
  if n ~= WIDTH then return nil, ("%d numbers expected, got %d"):format(WIDTH, n) end
  return row
end

--- The ten probabilities of a row of numbers.
function M.probabilities(row)
  local _ <close> = mare.scope()
  return mare.no_grad(function()
    return model(mare.tensor { row }):softmax(2):totable()[1]
  end)
end

--- '{"digit": 7, "probabilities": [...]}', or nil and a message.
function M.score(text)
  requests = requests + 1
  local row, message = parse(text)
  if not row then return nil, message end
  local p = M.probabilities(row)
  local best = 1
  for k = 2, #p do
    if p[k] > p[best] then best = k end
  end
  return ANSWER:format(best - 1, table.unpack(p))
end

--- Who answers, how often a model was loaded here, how many rows were scored, and what is
-- alive: bytes of tensors and of Lua.
function M.status()
  collectgarbage()
  collectgarbage()
  return ("pid %d\nloads %d\nrequests %d\ntensors %d\nlua %d\n"):format(pid, loads, requests,
    mare.memory().live, collectgarbage "count" * 1024 // 1)
end

return M
