-- mod_mare_classify: says of a chat message whether it is spam.  A message to a user goes on
-- with a tag <class xmlns="urn:mare:classify" name="spam" probability="0.993"/>; one to the
-- host itself is answered with the same in words.  The model is classify.safetensors in the
-- folder of the configuration, made by train.lua.

local mare = require "mare"
local st = require "util.stanza"
local words = require "words"

local XMLNS = "urn:mare:classify"
local NAMES = { "plain", "spam" }

local base = module:get_option_path("mare_classify_model", "classify", "config")
local model = assert(mare.models.load(base .. ".safetensors"))
local vocabulary, columns = words.read(base .. ".words")

-- The name of a text's class and how probable it is.
local function classify(text)
  local _ <close> = mare.scope()
  local p = model:predict_proba(words.counts({ text }, vocabulary, columns)):totable()[1]
  local best = p[2] > p[1] and 2 or 1
  return NAMES[best], p[best]
end

-- The text of a message of a chat; nil: there is none, or it is an error come back.
local function text_of(stanza)
  return stanza.attr.type ~= "error" and stanza:get_child_text "body" or nil
end

local function tag(event)
  local stanza = event.stanza
  stanza:remove_children("class", XMLNS) -- what a sender claims does not count
  local text = text_of(stanza)
  if not text then return end
  local name, probability = classify(text)
  stanza:add_direct_child(st.stanza("class", { xmlns = XMLNS, name = name,
    probability = ("%.3f"):format(probability) }))
end

local function answer(event)
  local text = text_of(event.stanza)
  if not text then return end
  local name, probability = classify(text)
  module:send(st.reply(event.stanza):text_tag("body",
    ("%s, probability %.3f"):format(name, probability)))
  return true
end

module:hook("message/bare", tag, 10)
module:hook("message/full", tag, 10)
module:hook("message/host", answer, 10)
module:log("info", "classifies by %d words", columns)
