-- repl.lua -- mare at a prompt: the command `mare`, or `lua5.4 -l mare.repl`.
--
-- Lines are read by mare.repl.input, compiled by mare.repl.chunk, shown by mare.repl.show.

local mare = require "mare"
local core = require "mare.core".functions
local chunk = require "mare.repl.chunk"
local show = require "mare.repl.show"

local M = {}

local usage = [==[
usage: mare [options] [script.lua [arguments]]
  mare                  a prompt; in a pipe, runs what comes from it
  mare script.lua ...   runs a script, its arguments in `arg`
  mare -i [script.lua]  ... and then a prompt
  mare -e code          runs code; `mare` and `nn` are there
  mare -                runs standard input
  mare --no-readline    plain input, without lua-readline
  mare --version
  mare --help
]==]

local words = [[
At the prompt
  1 + 1            an expression is printed, without print; `_` is the last value
  x = mare.ones(3); ends with `;`: nothing is printed
  local x = 1      lives on to the next command, and is no global
  ?adam            help: ?name, ?Tensor.reshape, ?x:sum; ??word searches all help
  Tab              completes names, fields, methods, and file names in strings
  Ctrl-C           ends what runs, or forgets what is being typed; Ctrl-D leaves
  :time code       runs code and tells how long it took; :time on, :time off for all
  :quit            leaves
A command may take several lines; it is asked for more until it is complete.
A figure of mare.plot is drawn where it is printed.  mare and mare.nn are there as
`mare` and `nn`.  History: MARE_HISTORY, $XDG_STATE_HOME/mare/history or ~/.mare_history.
]]

local function write(...) io.write(...) end

local function complain(...)
  io.stdout:flush()
  io.stderr:write(...)
  io.stderr:flush()
end

-- -- errors ------------------------------------------------------------------------------

local own = debug.getinfo(1, "S").source:match "^(.*)repl%.lua$"

-- The text of a line of a command or of a file.
local function line_of(self, source, number)
  local text = self.sources[source]
  if not text and source:find "^@" then
    local file = io.open(source:sub(2))
    if not file then return nil end
    text = file:read "a"
    file:close()
  end
  local n = 0
  for line in ((text or "") .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    if n == number then return line end
  end
end

-- The lines of the user's code that run now, the innermost first.
local function frames(self, level)
  local list = {}
  while true do
    local info = debug.getinfo(level, "Slf")
    if not info or info.func == core.interruptible or info.func == M.main then
      return list
    end
    local users = self.sources[info.source]
      or info.source:find "^@" and info.source:sub(1, #own) ~= own
    if users and info.currentline > 0 then
      list[#list + 1] = { place = ("%s:%d"):format(info.short_src, info.currentline),
        line = line_of(self, info.source, info.currentline) }
    end
    level = level + 1
  end
end

-- What may help beyond Lua's own message; line is the user's.
local function hint(message, line)
  if message:find "nil value %(local 'self'%)" then
    return "\n  a method is called with a colon: x:name()"
  end
  local name = message:match "attempt to call a nil value %(%a+ '([%a_][%w_]*)'%)"
  if not name then return "" end
  local holder = line and line:match("([%a_][%w_.]*)[.:]" .. name) or "mare"
  local ok, meant = pcall(function() return mare.help.meant(name, holder) end)
  return ok and meant and ("\n  did you mean %s?"):format(meant) or ""
end

local MOST = 8

-- The user's line, what went wrong there, and what called it.
local function report(message, list)
  local out = {}
  local first = list[1]
  if first and first.line then out[1] = "  " .. first.line:match "^%s*(.-)%s*$" end
  if first and message:sub(1, #first.place + 1) == first.place .. ":" then
    message = message:sub(#first.place + 3)
  end
  out[#out + 1] = (first and first.place .. ": " or "") .. message
  for i = 2, math.min(#list, MOST) do
    local text = list[i].line and list[i].line:match "^%s*(.-)%s*$" or ""
    out[#out + 1] = ("  called from %s: %s"):format(list[i].place, text)
  end
  if #list > MOST then out[#out + 1] = ("  ... %d more"):format(#list - MOST) end
  return table.concat(out, "\n")
end

local function handler(self)
  return function(problem)
    local text = type(problem) == "string" and problem or show.text(problem)
    if text:find "interrupted!$" then text = "interrupted!" end
    local ok, list = pcall(frames, self, 3)
    list = ok and list or {}
    return { text = report(text, list) .. hint(text, list[1] and list[1].line) }
  end
end

-- What a message of load says, after the line that it is about.
local function syntax(self, message, name)
  local place, number, what = message:match "^(.-):(%d+): (.*)$"
  if not place then return message end
  local line = line_of(self, name, tonumber(number))
  return (line and "  " .. line:match "^%s*(.-)%s*$" .. "\n" or "") ..
    ("%s:%s: %s"):format(place, number, what)
end

-- -- running ------------------------------------------------------------------------------

-- So that a second Ctrl-C reaches a coroutine that does not come back: coroutine.resume and
-- coroutine.wrap tell which one runs.  Returns a function that forgets it.
local function follow_coroutines()
  local resume, create, inside = coroutine.resume, coroutine.create, nil
  local function enter(thread)
    inside = thread
    core.interrupt_inside(thread)
  end
  local function back(previous, ...)
    enter(previous)
    return ...
  end
  local function followed(thread, ...)
    local previous = inside
    enter(thread)
    return back(previous, resume(thread, ...))
  end
  local function values(ok, ...)
    if ok then return ... end
    error((...), 0)
  end
  rawset(coroutine, "resume", followed)
  rawset(coroutine, "wrap", function(f)
    local thread = create(f)
    return function(...) return values(followed(thread, ...)) end
  end)
  return function() inside = nil end
end

local function duration(seconds)
  if seconds < 1e-3 then return ("%.3g us"):format(seconds * 1e6) end
  if seconds < 1 then return ("%.3g ms"):format(seconds * 1e3) end
  return ("%.3g s"):format(seconds)
end

local function print_values(n, values)
  for i = 1, n do write(show.text(values[i]), "\n") end
end

-- Runs a function so that Ctrl-C ends it; shows its results when it is an expression.
local function execute(self, f, expression, silent, timed)
  self.forget()
  local function all(...)
    local start = mare.clock()
    local results = table.pack(f(...))
    local seconds = mare.clock() - start
    if expression and results.n > 0 then
      self.session.declare("_", results[1])
      self.session.values._ = results[1]
      if not silent then print_values(results.n, results) end
    end
    if timed then write(duration(seconds), "\n") end
  end
  local ok, problem = core.interruptible(handler(self), all)
  io.flush()
  if not ok then
    complain(type(problem) == "table" and problem.text or tostring(problem), "\n")
  end
  return ok
end

-- -- commands -----------------------------------------------------------------------------

local commands = {}

function commands.time(self, rest)
  if rest == "on" or rest == "off" then
    self.timed = rest == "on"
  elseif rest == "" then
    complain(":time code, :time on or :time off\n")
  else
    return self:evaluate(rest, true)
  end
end

function commands.help() write(words) end
function commands.quit(self) self.over = true end
commands.q, commands.exit, commands.h = commands.quit, commands.quit, commands.help

local function command(self, text)
  local name, rest = text:match "^:%s*(%a*)%s*(.-)%s*$"
  if not commands[name] then
    complain((":%s is no command; :help lists them\n"):format(name))
    return
  end
  return commands[name](self, rest)
end

local function help(self, text)
  local search = text:match "^%?%?%s*(.-)%s*$"
  local name = search or text:match "^%?%s*(.-)%s*$"
  if name == "" then
    write(words)
    return
  end
  execute(self, function()
    local found = search and mare.help.search(name) or mare.help.text(name, self.session.env)
    write(found, "\n")
  end)
end

-- Would more lines make a command of this text?
local function incomplete(self, text)
  local f, _, more = chunk.compile(text, "=" .. self.name, self.session)
  return not f and more
end

--- Evaluates a command that is complete.
function M.evaluate(self, text, timed)
  local name = "=" .. self.name
  self.sources[name] = text
  local code, silent = chunk.silenced(text)
  if code:find "^%s*=[^=]" then code = code:gsub("=", " ", 1) end
  local f, expression = chunk.compile(code, name, self.session)
  if not f then
    complain(syntax(self, expression, name), "\n")
    return false
  end
  return execute(self, f, expression, silent, timed or self.timed)
end

-- One line more; runs what has become complete.
local function feed(self, line)
  local text = self.buffer and self.buffer .. "\n" .. line or line
  local first = text:match "^%s*(.)"
  if not first then
    self.buffer = nil
    return
  end
  if not self.buffer then
    if first == "?" then return help(self, text:match "^%s*(.-)%s*$") end
    self.count = self.count + 1
    self.name = "in " .. self.count
    if first == ":" and not text:find "^%s*::" then
      return command(self, text:match "^%s*(.-)%s*$")
    end
  end
  if incomplete(self, (chunk.silenced(text))) and incomplete(self, text) then
    self.buffer = text
    return
  end
  self.buffer = nil
  self:evaluate(text)
end

-- -- the loop -------------------------------------------------------------------------------

--- A session: what a prompt knows.
function M.new()
  local self = { sources = {}, session = chunk.environment(), count = 0, name = "in 0",
    evaluate = M.evaluate }
  self.session.declare("mare", mare)
  self.session.declare("nn", mare.nn)
  return self
end

local function banner()
  write(("Maré %s on %s.  ?name helps, :help says more, Ctrl-D leaves.\n"):format(mare.version,
    _VERSION))
end

--- Reads and runs commands until the end of input.
function M.loop(self, plain)
  local complete = require "mare.repl.complete".complete
  local terminal = os.execute "test -t 0 2>/dev/null" == true
  local input = require "mare.repl.input".new(function(line)
    return complete(self.session.env, line)
  end, terminal and not plain)
  self.forget = follow_coroutines()
  banner()
  while not self.over do
    local line, reason = input:read(self.buffer and ">> " or "> ")
    if line then feed(self, line)
    elseif reason == "interrupted" or self.buffer then self.buffer = nil
    else break end
  end
end

-- -- the command -------------------------------------------------------------------------------

local function refuse(message)
  complain("mare: ", message, "\n", usage)
  os.exit(1)
end

-- Options before the script: what is asked for, and where the script stands in args.
local function parse(args)
  local asked, i = { code = {} }, 1
  while args[i] and args[i]:find "^%-" and args[i] ~= "-" do
    local a = args[i]
    if a == "--" then i = i + 1 break
    elseif a == "-i" then asked.prompt = true
    elseif a == "-e" then
      i = i + 1
      if not args[i] then refuse "-e needs code" end
      table.insert(asked.code, args[i])
    elseif a:find "^%-e" then table.insert(asked.code, a:sub(3))
    elseif a == "--no-readline" then asked.plain = true
    elseif a == "--version" or a == "-v" then asked.version = true
    elseif a == "--help" or a == "-h" then asked.help = true
    else refuse("unknown option '" .. a .. "'") end
    i = i + 1
  end
  return asked, args[i] and i
end

-- arg as lua5.4 sets it: the script is arg[0]
local function shift(args, at)
  local list = {}
  for i, v in pairs(args) do list[i - at] = v end
  return list
end

local function fail_with(problem)
  complain("mare: ", type(problem) == "table" and problem.text or tostring(problem), "\n")
  return false
end

local function run_code(self, code)
  local f, message = load(code, "=(command line)", "t", self.session.env)
  if not f then return fail_with(message) end
  self.sources["=(command line)"] = code
  local ok, problem = xpcall(f, handler(self))
  return ok or fail_with(problem)
end

-- The script of a path, or standard input, whose text errors are to find.
local function script(self, path)
  if path ~= "-" then return loadfile(path) end
  local text = io.read "a":gsub("^#[^\n]*", "")
  self.sources["=stdin"] = text
  return load(text, "=stdin")
end

local function run_script(self, args, at)
  local path = args[at]
  local f, message = script(self, path)
  if not f then return fail_with(message) end
  _G.arg = shift(args, at)
  local ok, problem = xpcall(f, handler(self), table.unpack(args, at + 1))
  return ok or fail_with(problem)
end

--- What the command `mare` does with its arguments.  Ends the process.
function M.main(args)
  local asked, at = parse(args)
  if asked.help then write(usage) os.exit(true, true) end
  if asked.version then write("Maré ", mare.version, " (", _VERSION, ")\n") os.exit(true, true) end
  local self, ok = M.new(), true
  for _, code in ipairs(asked.code) do
    ok = ok and run_code(self, code)
  end
  if ok and at then ok = run_script(self, args, at) end
  local nothing = #asked.code == 0 and not at
  if nothing and not asked.prompt and os.execute "test -t 0 2>/dev/null" ~= true then
    ok = run_script(self, { "-" }, 1)
  elseif asked.prompt or nothing then
    M.loop(self, asked.plain)
  end
  os.exit(ok, true)
end

-- lua5.4 -l mare.repl
local function asked_for()
  local args = rawget(_G, "arg")
  for i = 1, type(args) == "table" and #args or 0 do
    local at = args[i] == "-l" and args[i + 1] or args[i]
    if at == "-lmare.repl" or args[i] == "-l" and at == "mare.repl" then return true end
  end
  return false
end

if asked_for() then
  package.loaded["mare.repl"] = M
  M.loop(M.new())
  os.exit(true, true)
end

return M
