-- progress.lua -- the line that tells how a long run is doing.  On a terminal
-- it is rewritten in place; anywhere else only the finished lines are written.

local check = require "mare.check"

local M = {}

local Progress = {}
Progress.__index = Progress

--- Is standard output a terminal?  TERM=dumb and NO_PROGRESS count as none.
function M.is_terminal()
  if os.getenv "TERM" == "dumb" or os.getenv "NO_PROGRESS" then return false end
  return os.execute "test -t 1 2>/dev/null" == true
end

--- The width of the terminal in characters: COLUMNS, or what stty says, or 80.
function M.columns()
  local n = math.tointeger(tonumber(os.getenv "COLUMNS"))
  if not n then
    local pipe = io.popen "stty size 2>/dev/null </dev/tty"
    n = pipe and math.tointeger(tonumber((pipe:read "l" or ""):match "%d+$"))
    if pipe then pipe:close() end
  end
  return n and n > 0 and n or 80
end

--- A time in seconds as text: "12ms", "8.3s", "2m05s", "1h02m".
function M.duration(s)
  s = check.number(1, "duration", s ~= s and math.huge or s)
  if s ~= s or s >= 2 ^ 53 then return "?" end
  if s < 0.9995 then return ("%.0fms"):format(1000 * s) end
  if s < 59.95 then return ("%.1fs"):format(s) end
  s = math.floor(s + 0.5)
  if s < 3600 then return ("%dm%02ds"):format(s // 60, s % 60) end
  return ("%dh%02dm"):format(s // 3600, s % 3600 // 60)
end

--- A count with its thousands set apart: 203530 is "203,530".
function M.count(n)
  n = check.number(1, "count", n)
  local digits = ("%.0f"):format(n)
  local head = (#digits - 1) % 3 + 1
  return digits:sub(1, head) .. digits:sub(head + 1):gsub("%d%d%d", ",%0")
end

local function number(v)
  if type(v) ~= "number" then return tostring(v) end
  if math.type(v) == "integer" then return M.count(v) end
  local size = math.abs(v)
  return (size ~= 0 and (size < 1e-3 or size >= 1e5) and "%.3g" or "%.4f"):format(v)
end

-- Named values, in the order of their names, as "accuracy 0.9700, loss 0.1234".
local function describe(values)
  local names, text = {}, {}
  for k in pairs(values) do names[#names + 1] = k end
  table.sort(names)
  for i, k in ipairs(names) do text[i] = k .. " " .. number(values[k]) end
  return table.concat(text, ", ")
end

--- A progress line over `epochs` epochs of `steps` steps.  Options: epochs (1),
-- steps (of one epoch), out (a file; standard output), live (is it a terminal?),
-- columns (its width; a longer line is cut), every (1: an epoch's line stays for every so
-- many epochs, and for the last), unit ("samples"), clock (a function; wall seconds).
-- ```
-- local line = progress.new { epochs = 5, steps = 100 }
-- line:step(32, loss)                       -- after each step: samples seen, their loss
-- line:epoch { ["accuracy"] = 0.97 }        -- after each epoch: one line that stays
-- ```
function M.new(opts)
  check.options(1, "progress.new", opts,
    { epochs = 1, steps = 1, every = 1, out = 1, live = 1, unit = 1, clock = 1, columns = 1 })
  opts = opts or {}
  local self = setmetatable({}, Progress)
  self.epochs = check.count(1, "progress.new", opts.epochs or 1)
  self.steps = check.count(1, "progress.new", opts.steps)
  self.every = check.count(1, "progress.new", opts.every or 1)
  self.out, self.unit = opts.out or io.stdout, opts.unit or "samples"
  self.clock = opts.clock or require "mare".clock
  self.live = opts.live
  if self.live == nil then self.live = opts.out == nil and M.is_terminal() end
  self.columns = self.live and (opts.columns or M.columns())
  self.before, self.done, self.current = 0, 0, 1 -- steps of an earlier run, made; the epoch
  self.began, self.shown = self.clock(), -math.huge
  self:restart()
  return self
end

-- Begins an epoch.
function Progress:restart()
  self.start = self.clock()
  self.seen, self.loss, self.made = 0, 0, 0
end

-- "epoch 2/5" with the numbers right-aligned to each other.
local function heading(self)
  local all = tostring(self.epochs)
  return ("epoch %" .. #all .. "d/%s"):format(self.current, all)
end

-- Rewrites the line in place: clear to the end of the line after the text.
local function rewrite(self, text)
  self.out:write("\r", text, "\27[K")
  self.out:flush()
end

local function show(self, now)
  local left = self.epochs * self.steps - self.before - self.done
  left = left * (now - self.began) / self.done
  local rate = self.seen / (now - self.start)
  local width = 20
  local full = math.min(math.floor(width * self.made / self.steps + 0.5), width)
  local text = ("%s [%s%s] %3d%%  %s %s/s  loss %s  %s left"):format(heading(self),
    ("="):rep(full), (" "):rep(width - full), math.floor(100 * self.made / self.steps),
    M.count(rate), self.unit, number(self.loss / self.seen), M.duration(left))
  rewrite(self, text:sub(1, self.columns - 1)) -- what wraps could not be rewritten
end

--- After each step: the number of samples in it and their mean loss, which may be
-- left out.  Writes at most ten times a second, and only on a terminal.
function Progress:step(samples, loss)
  self.done, self.made = self.done + 1, self.made + 1
  self.seen = self.seen + samples
  self.loss = self.loss + (loss or 0 / 0) * samples
  if not self.live then return end
  local now = self.clock()
  if now - self.shown < 0.1 then return end
  self.shown = now
  show(self, now)
end

--- Marks the end of the epoch's steps, so that what follows (a validation, say)
-- does not count in its rate.  epoch() does it when this was not called.
function Progress:pause()
  self.finish = self.finish or self.clock()
end

--- After each epoch: writes one line that stays, with the mean loss, the rate, the
-- time and the given named values.  Returns the epoch's mean loss.
function Progress:epoch(values)
  self:pause()
  local seconds = self.finish - self.start
  local loss = self.loss / self.seen
  local text = ("%s  loss %s  %s%s%s %s/s  %s"):format(heading(self), number(loss),
    values and describe(values) or "", values and "  " or "", M.count(self.seen / seconds),
    self.unit, M.duration(seconds))
  local stays = self.current % self.every == 0 or self.current >= self.epochs
  if self.live and (stays or self.finish - self.shown >= 0.1) then
    self.shown = self.finish
    rewrite(self, text)
  elseif stays then
    self.out:write(text)
  end
  if stays then self.out:write "\n" end
  self.out:flush()
  self.current, self.finish = self.current + 1, nil
  self:restart()
  return loss
end

return M
