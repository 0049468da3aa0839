-- http.lua -- as much of HTTP/1.1 as a test needs: requests on a connection that is kept.

local socket = require "socket"

local M = {}
M.__index = M

function M.connect(port)
  local client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(10)
  client:setoption("tcp-nodelay", true)
  return setmetatable({ client = client, port = port }, M)
end

function M:close() self.client:close() end
M.__close = M.close

local function receive(client)
  local status = assert(client:receive "*l"):match "^HTTP/1%.1 (%d+)"
  local headers = {}
  for line in function() return assert(client:receive "*l") end do
    if line == "" then break end
    local name, value = line:match "^(.-):%s*(.*)$"
    headers[name:lower()] = value
  end
  local body = assert(client:receive(math.tointeger(tonumber(headers["content-length"]))))
  return math.tointeger(tonumber(status)), body, headers
end

--- Status, body and headers; a body makes it a POST.
function M:request(path, body)
  assert(self.client:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"):format(
    body and "POST" or "GET", path, body and ("Content-Length: %d\r\n"):format(#body) or "",
    body or "")))
  local status, text, headers = receive(self.client)
  if headers.connection == "close" then
    self.client:close()
    self.client = M.connect(self.port).client
  end
  return status, text, headers
end

return M
