-- Prosody: a module of the server classifies chat messages by a saved naive Bayes.

local process = require "spec.hosts.process"
local trained = require "spec.hosts.messages.trained"
local xmpp = require "spec.hosts.prosody.xmpp"
local demand = require "spec.support".demand

local root = io.popen("pwd"):read "l"
local here, messages = root .. "/spec/hosts/prosody", root .. "/spec/hosts/messages"

local MESSAGES = 2000
local unseen = {
  { "spam", "click here to claim your free prize" },
  { "spam", "Cheap pills, order NOW!" },
  { "plain", "are you coming to lunch on monday?" },
  { "plain", "I changed the parser, please review the patch" },
  { "plain", "" },
}

local function message(to, id, text)
  return ("<message to='%s' type='chat' id='%s'><body>%s</body></message>"):format(to, id, text)
end

-- A message to the server itself comes back with its class in words.
local function answers(ana, classify)
  for i, case in ipairs(unseen) do
    ana:send(message("localhost", "a" .. i, case[2]))
    local stanza = ana:expect "<message.-</message>"
    local name, probability = classify(case[2])
    demand(stanza:find(("id='a%d'"):format(i), 1, true), "another message: %s", stanza)
    demand(stanza:find(("<body>%s, probability %.3f</body>"):format(name, probability), 1, true),
      "'%s' is answered %s", case[2], stanza)
    demand(case[2] == "" or name == case[1], "'%s' was taken for %s", case[2], name)
  end
  return #unseen
end

-- A message from ana to bia arrives with a tag; what ana claims herself is taken away.
local function tags(ana, bia, classify, n)
  local claim = "<class xmlns='urn:mare:classify' name='plain' probability='1.000'/></message>"
  for i = 1, n do
    local text = unseen[i % #unseen + 1][2]
    ana:send((message("bia@localhost", "t" .. i, text):gsub("</message>", claim)))
    local stanza = bia:expect "<message.-</message>"
    local name, probability = classify(text)
    local class, again = stanza:match "<class (.-)/>(.*)"
    demand(class and not again:find "<class", "one tag expected: %s", stanza)
    demand(class:find(("name='%s'"):format(name), 1, true)
      and class:find(("probability='%.3f'"):format(probability), 1, true), "wrong tag: %s", stanza)
    demand(stanza:find("<body", 1, true), "no text: %s", stanza)
  end
  return n
end

local function accounts(folder)
  os.execute(("mkdir -p '%s/localhost/accounts' '%s/certs'"):format(folder, folder))
  for _, name in ipairs { "ana", "bia" } do
    process.write(("%s/localhost/accounts/%s.dat"):format(folder, name),
      'return { ["password"] = "moon" };\n')
  end
end

local function start(folder)
  local port = process.port()
  process.write(folder .. "/prosody.cfg.lua", process.fill(here .. "/prosody.cfg",
    { here = here, folder = folder, port = tostring(port) }))
  local server = process.start({ "/usr/bin/prosody", "-F", "--config", folder .. "/prosody.cfg.lua" },
    { LUA_PATH = messages .. "/?.lua;" .. os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH" })
  return server, port
end

-- Without the model messages pass as they are, and the log names the file.
local function without_model(folder)
  local server <close>, port = start(folder)
  server:listens(port)
  local ana <close> = xmpp.connect(port, "ana", "moon")
  ana:send(message("ana@localhost", "x", "a note to myself"))
  local stanza = ana:expect "<message.-</message>"
  demand(stanza:find "a note to myself" and not stanza:find "<class", "not as it was: %s", stanza)
  local log = process.read(folder .. "/log")
  demand(log:find(folder .. "/classify.safetensors", 1, true) and log:find "mare_classify",
    "the log does not say what is missing:\n%s", log)
end

local function check(say, folder)
  local first = process.output "head -n 1 /usr/bin/prosody"
  demand(first:find "lua5%.4", "it runs with another Lua: %s", first)
  accounts(folder)
  without_model(folder)
  os.remove(folder .. "/log")
  say("messages pass without a model; the log names the file")

  say("%s", trained.train(folder))
  local server <close>, port = start(folder)
  server:listens(port)
  local classify = trained.classifier(folder)
  local ana <close> = xmpp.connect(port, "ana", "moon")
  local bia <close> = xmpp.connect(port, "bia", "moon")
  say("%d messages to the server answered as by the model in plain Lua", answers(ana, classify))
  tags(ana, bia, classify, 200)
  local memory, seconds = process.status(server.pid, "VmRSS"), process.seconds(server.pid)
  tags(ana, bia, classify, MESSAGES)
  say("%d messages from one user to another tagged; %.0f us of the server each", MESSAGES,
    (process.seconds(server.pid) - seconds) / MESSAGES * 1e6)
  local growth = process.status(server.pid, "VmRSS") - memory
  say("memory %d kB, %+d kB since the first 200; %d thread", memory + growth, growth,
    process.status(server.pid, "Threads"))
  demand(growth <= 2048, "memory has grown by %d kB", growth)
  demand(process.status(server.pid, "Threads") == 1, "the server has threads")
  local log = process.read(folder .. "/log")
  demand(not log:find "error\t", "errors in the log:\n%s", log)
end

return { check = check, programs = { ["/usr/bin/prosody"] = "prosody" } }
