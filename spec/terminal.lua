-- terminal.lua -- a program in a pseudo-terminal, driven by specs: `script` of util-linux
-- gives the terminal, its typescript is what was shown.

local M = {}

local Terminal = {}
Terminal.__index = Terminal

local function sleep(seconds) os.execute("sleep " .. seconds) end

--- Is there a `script` that can be used here?
function M.available()
  if os.getenv "ASAN_OPTIONS" then return false end -- the sanitizer's preload is not for it
  return os.execute "command -v script >/dev/null 2>&1" == true
end

--- Starts a shell command in a terminal of 80 columns and 24 lines.
function M.start(command)
  local self = setmetatable({ path = os.tmpname(), seen = 0 }, Terminal)
  -- $SHELL runs it; one like dash would be ended by the Ctrl-C its command answers
  local inner = ("trap : INT; stty cols 80 rows 24; %s; echo status=$?"):format(command)
  local line = ("TERM=xterm exec script -qfc '%s' %s >/dev/null 2>&1"):format(
    inner:gsub("'", "'\\''"), self.path)
  self.pipe = assert(io.popen(line, "w"))
  self.pipe:setvbuf "no"
  return self
end

--- All that was shown, without escape sequences.
function Terminal:screen()
  local file = assert(io.open(self.path, "rb"))
  local text = file:read "a"
  file:close()
  return (text:gsub("\27%[[%d;?]*[%a@]", ""):gsub("\27[=>]", ""):gsub("\r", ""):gsub("\7", ""))
end

--- Types these characters.
function Terminal:type(text) self.pipe:write(text) end

--- Waits until a text is shown after what was waited for before; returns what was shown
-- up to it.  An error after 20 seconds.
function Terminal:wait(text)
  for _ = 1, 400 do
    local all = self:screen()
    local first, last = all:find(text, self.seen + 1, true)
    if first then
      local before = all:sub(self.seen + 1, first - 1)
      self.seen = last
      return before
    end
    sleep(0.05)
  end
  error(("'%s' was not shown, but:\n%s"):format(text, self:screen():sub(self.seen + 1)), 2)
end

--- Types a line, waits for a text.
function Terminal:enter(line, text)
  self:type(line .. "\n")
  return text and self:wait(text)
end

--- Leaves by Ctrl-D; returns the status with which the command ended.
function Terminal:leave()
  self:type "\4"
  self:wait "status="
  sleep(0.05)
  return self:close()
end

--- Ends what still runs; returns the status of the command, if it ended.
function Terminal:close()
  if not self:screen():find "status=" then
    for _ = 1, 6 do
      self:type "\3"
      sleep(0.05)
    end
    self:type "\4"
  end
  self.pipe:close()
  local status = self:screen():match "status=(%d+)"
  os.remove(self.path)
  return tonumber(status)
end

return M
