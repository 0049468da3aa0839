-- Dovecot: its delivery agent runs a script for each message it has stored.

local process = require "spec.hosts.process"
local trained = require "spec.hosts.messages.trained"
local demand = require "spec.support".demand

local LDA, PLUGIN = "/usr/lib/dovecot/dovecot-lda", "/usr/lib/dovecot/modules/lib01_mail_lua_plugin.so"
local NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups " -- root may have no mail

local unseen = { -- class, subject, text
  { "spam", "Your prize", "Click here to claim your free prize now." },
  { "spam", "best offer", "cheap pills, order today and save money" },
  { "plain", "lunch", "shall we meet on monday?\nI will be late, the train leaves at ten." },
  { "plain", "the parser", "please review my last patch, the build is green" },
}

local function shell(line, ...)
  local text, ok = process.output(line:format(...))
  demand(ok, "%s: %s", line:format(...), text)
  return text
end

-- A folder outside of the checkout with all that is needed, for a user without rights.
local function outfit(as)
  local folder = shell("mktemp -d"):match "%S+"
  shell("cp -r lua build/mare spec/hosts/dovecot/notify.lua spec/hosts/messages/words.lua %s", folder)
  process.write(folder .. "/dovecot.conf",
    process.fill("spec/hosts/dovecot/dovecot.conf", { folder = folder }))
  local line = trained.train(folder)
  if as ~= "" then shell("chown -R 65534:65534 %s", folder) end
  return folder, line
end

local function deliver(folder, as, subject, body)
  process.write(folder .. "/message", ("From: Ana <ana@localhost>\nTo: bia@localhost\nSubject: %s\n\n%s\n")
    :format(subject, body))
  shell("cd / && env -i %s%s -c %s/dovecot.conf -f ana@localhost < %s/message", as, LDA, folder, folder)
end

local function check(say)
  local linked = shell("ldd %s", PLUGIN)
  demand(linked:find "liblua5%.4", "mail_lua has another Lua:\n%s", linked)
  local as = shell "id -u" == "0\n" and NOBODY or ""
  local folder, line = outfit(as)
  local _ <close> = setmetatable({}, { __close = function() os.execute("rm -r " .. folder) end })
  say("%s", line)
  local classify, want = trained.classifier(folder), {}
  for _, m in ipairs(unseen) do
    deliver(folder, as, m[2], m[3])
    local name, probability = classify(m[2] .. " " .. m[3])
    demand(name == m[1], "'%s' was taken for %s", m[3], name)
    want[#want + 1] = ("%s\t%s\t%.3f\n"):format(m[2], name, probability)
  end
  local got, log = process.read(folder .. "/classes"), process.read(folder .. "/log")
  demand(got == table.concat(want), "it wrote:\n%sexpected:\n%s%s", got, table.concat(want), log)
  demand(not log:find "Error", "errors in the log:\n%s", log)
  say("%d messages delivered, each with the class that the model gives in plain Lua", #unseen)
end

return { check = check, programs = { [LDA] = "dovecot-core", [PLUGIN] = "dovecot-core" } }
