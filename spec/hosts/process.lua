-- process.lua -- programs in the background: started with a given environment and nothing
-- else, looked at through /proc, ended when the value goes out of scope.

local socket = require "socket"

local M = {}
M.__index = M

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

--- What a command prints, and whether it succeeded.
function M.output(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  return text, pipe:close() == true
end

function M.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a" or ""
  if file then file:close() end
  return text
end

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- The text of a template of this folder with ${name} replaced.
function M.fill(path, values)
  return (M.read(path):gsub("%${(%w+)}", function(name)
    return assert(values[name], "no value for " .. name)
  end))
end

--- A port of the loopback that nobody listens on.
function M.port()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  server:close()
  return math.tointeger(tonumber(port))
end

--- Starts argv with these variables and no others (neither HOME nor PATH), with closed
-- input and output, in the folder / and a session of its own (lighttpd ends its whole group).
function M.start(argv, env)
  local words = { "cd / && exec setsid env -i" }
  for name, value in pairs(env) do words[#words + 1] = name .. "=" .. quote(value) end
  for _, word in ipairs(argv) do words[#words + 1] = quote(word) end
  local line = table.concat(words, " ") .. " <&- >&- 2>&-"
  local pipe = assert(io.popen("(" .. line .. ") & echo $!"))
  local pid = pipe:read "n"
  pipe:close()
  return setmetatable({ pid = pid, name = argv[1] }, M)
end

--- Waits until f() is true, for some seconds; fails with what was waited for.
function M.wait(what, f, seconds)
  local last = socket.gettime() + (seconds or 10)
  while not f() do
    if socket.gettime() > last then error("no " .. what, 2) end
    socket.sleep(0.05)
  end
end

function M:alive()
  local state = M.read(("/proc/%d/stat"):format(self.pid)):match "%) (%a)"
  return state ~= nil and state ~= "Z"
end

--- Waits until somebody listens on a port of the loopback.
function M:listens(port)
  M.wait(("%s on port %d"):format(self.name, port), function()
    if not self:alive() then error(self.name .. " ended at once", 0) end
    local client = socket.connect("127.0.0.1", port)
    if client then client:close() end
    return client ~= nil
  end)
end

function M:children()
  local list = {}
  local text = M.read(("/proc/%d/task/%d/children"):format(self.pid, self.pid))
  for pid in text:gmatch "%d+" do list[#list + 1] = math.tointeger(tonumber(pid)) end
  return list
end

--- A number of /proc/PID/status: status(pid, "VmRSS") in kB, status(pid, "Threads").
function M.status(pid, field)
  return tonumber(M.read(("/proc/%d/status"):format(pid)):match(field .. ":%s*(%d+)"))
end

--- Seconds that a process has computed.
function M.seconds(pid)
  local text = M.read(("/proc/%d/stat"):format(pid)):match "%) (.*)"
  local field = {}
  for word in text:gmatch "%S+" do field[#field + 1] = word end
  return (tonumber(field[12]) + tonumber(field[13])) / 100 -- utime, stime
end

function M:signal(name) os.execute(("kill -%s %d 2>&-"):format(name, self.pid)) end

function M:__close()
  self:signal "TERM"
  if not pcall(M.wait, "end", function() return not self:alive() end, 5) then
    self:signal "KILL"
  end
end

return M
