-- notify.lua -- what Dovecot runs when a message is delivered: is it spam, by the words of its
-- subject and its beginning?  The answer goes to a file beside the model.
-- Dovecot empties the environment, so the paths are those beside this file.

local folder = debug.getinfo(1, "S").source:match "^@(.*)/"
package.path = ("%s/?.lua;%s/lua/?.lua;%s/lua/?/init.lua;"):format(folder, folder, folder)
  .. package.path
package.cpath = folder .. "/?.so;" .. package.cpath

local mare = require "mare"
local words = require "words"

local model = assert(mare.models.load(folder .. "/classify.safetensors"))
local vocabulary, columns = words.read(folder .. "/classify.words")

function dovecot_lua_notify_begin_txn(user)
  return user
end

function dovecot_lua_notify_event_message_new(_, event)
  local _ <close> = mare.scope()
  local text = event.subject .. " " .. event.snippet
  local p = model:predict_proba(words.counts({ text }, vocabulary, columns)):totable()[1]
  local log = assert(io.open(folder .. "/classes", "a"))
  log:write(("%s\t%s\t%.3f\n"):format(event.subject, p[2] > p[1] and "spam" or "plain",
    math.max(p[1], p[2])))
  log:close()
end

function dovecot_lua_notify_end_txn() end
