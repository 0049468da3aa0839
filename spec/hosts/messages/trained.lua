-- trained.lua -- for the checks: makes the model of messages, and says what it should answer.

local mare = require "mare"
local process = require "spec.hosts.process"
local words = require "spec.hosts.messages.words"

local M = {}

local here = io.popen("pwd"):read "l" .. "/spec/hosts/messages"

--- Leaves the model in a folder; returns what train.lua says.
function M.train(folder)
  local text, ok = process.output(("LUA_PATH='%s/?.lua;%s' %s %s/train.lua '%s'"):format(here,
    os.getenv "LUA_PATH", os.getenv "LUA" or "lua5.4", here, folder))
  if not ok then error("train.lua: " .. text, 2) end
  return (text:gsub("%s+$", ""))
end

--- A function from a text to the name of its class and the probability of that.
function M.classifier(folder)
  local model = assert(mare.models.load(folder .. "/classify.safetensors"))
  local vocabulary, n = words.read(folder .. "/classify.words")
  return function(text)
    local p = model:predict_proba(words.counts({ text }, vocabulary, n)):totable()[1]
    return p[2] > p[1] and "spam" or "plain", math.max(p[1], p[2])
  end
end

return M
