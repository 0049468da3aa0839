-- xmpp.lua -- as much of XMPP as a test needs: a client that signs in and sends stanzas.

local mime = require "mime"
local socket = require "socket"

local M = {}
M.__index = M

local PATIENCE = 5 -- seconds

local STREAM = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' "
  .. "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
local BIND = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
  .. "<resource>%s</resource></bind></iq>"

function M:send(text) assert(self.client:send(text)) end

--- What comes until a pattern is found: its captures.  What came before it is dropped.
function M:expect(pattern)
  while true do
    local first, last = self.text:find(pattern)
    if first then
      local found = self.text:sub(first, last)
      self.text = self.text:sub(last + 1)
      return found:match(pattern)
    end
    if #socket.select({ self.client }, nil, PATIENCE) == 0 then
      error(("nothing came for '%s'; there was: %s"):format(pattern, self.text), 2)
    end
    local whole, message, part = self.client:receive(65536)
    self.text = self.text .. (whole or part)
    if message == "closed" then error("closed after: " .. self.text, 2) end
  end
end

function M:close()
  self.client:send "</stream:stream>"
  self.client:close()
end
M.__close = M.close

--- user@localhost/test, signed in and present.
function M.connect(port, user, password)
  local self = setmetatable({ client = assert(socket.connect("127.0.0.1", port)), text = "" }, M)
  self.client:settimeout(0)
  self.client:setoption("tcp-nodelay", true)
  self:send(STREAM)
  self:expect "</stream:features>"
  self:send(("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>"):format(
    mime.b64(("\0%s\0%s"):format(user, password))))
  self:expect "<success"
  self:send(STREAM)
  self:expect "</stream:features>"
  self:send(BIND:format "test")
  self:expect "<jid>[^<]*</jid>"
  self:send "<presence/>"
  return self
end

return M
