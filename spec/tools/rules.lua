-- rules.lua -- the rules of the sources that a machine can check.
-- Run at the top of a checkout; prints one line for each breach and fails.

local MAXLINES, MAXCOLUMNS, MAXMACRO = 800, 90, 6

-- Who may include what; a pattern of the file against a pattern of the include.
local only = {
  { include = "blis%.h$", file = "^src/ops/gemm%.c$" },
  { include = "lapacke%.h$", file = "^src/ops/linalg%.c$" },
  { include = "^lua%.h$", file = "^src/bind/" },
  { include = "^lauxlib%.h$", file = "^src/bind/" },
  { include = "^lualib%.h$", file = "^src/bind/" },
}

-- The layers, lowest first; an include points to the same layer or a lower one.
local layer = { base = 1, ops = 2, learn = 3, io = 3, host = 4, bind = 4 }

-- Calls that belong to the host, or to the heap; the files that are the exception.
local calls = {
  exit = {}, abort = {}, _exit = {}, printf = {}, fprintf = {}, puts = {}, putchar = {},
  perror = {}, setlocale = {},
  signal = { "^src/bind/interrupt%.c$" }, sigaction = { "^src/bind/interrupt%.c$" },
  longjmp = {}, assert = {},
  malloc = { "^src/base/storage%.c$" }, calloc = { "^src/base/storage%.c$" },
  realloc = { "^src/base/storage%.c$" }, free = { "^src/base/storage%.c$" },
  posix_memalign = { "^src/base/storage%.c$" }, aligned_alloc = { "^src/base/storage%.c$" },
}

local breaches = 0
local function breach(file, line, ...)
  breaches = breaches + 1
  print(("%s:%d: %s"):format(file, line, (...):format(select(2, ...))))
end

local function allowed(file, patterns)
  for _, pattern in ipairs(patterns) do
    if file:find(pattern) then return true end
  end
  return false
end

local function check_include(file, n, name)
  for _, rule in ipairs(only) do
    if name:find(rule.include) and not file:find(rule.file) then
      breach(file, n, "%s is included here", name)
    end
  end
  local here, there = file:match "^src/(%w+)/", name:match "^%.%./(%w+)/"
  if here and there and (layer[there] or 0) > (layer[here] or 0) then
    breach(file, n, "%s is in a higher layer", name)
  end
end

-- A line without its comments and strings; `inside` tells that a comment is open.
local function strip(line, inside)
  if inside then
    local rest = line:match "%*/(.*)"
    if not rest then return "", true end
    line = rest
  end
  line = line:gsub('\\"', ""):gsub('"[^"]*"', '""'):gsub("/%*.-%*/", " "):gsub("//.*", "")
  local before = line:match "^(.-)/%*"
  return before or line, before ~= nil
end

local function check_calls(file, n, code)
  for name in code:gmatch "([%a_][%w_]*)%s*%(" do
    local exceptions = calls[name]
    if exceptions and not allowed(file, exceptions) then
      breach(file, n, "%s is called here", name)
    end
  end
end

local function check_c(file)
  local n, inside, macro = 0, false, 0
  local template = file:find "%.inc%.c$" or file:find "%.def$"
  for line in io.lines(file) do
    n = n + 1
    local include = line:match '^%s*#%s*include%s*[<"]([^>"]+)'
    if include then check_include(file, n, include) end
    if #line:gsub("[\128-\191]", "") > MAXCOLUMNS and not file:find "%.def$" then
      breach(file, n, "over %d columns", MAXCOLUMNS)
    end
    local code
    code, inside = strip(line, inside)
    check_calls(file, n, code)
    local within = macro > 0 or code:find "^%s*#%s*define"
    macro = within and code:find "\\%s*$" and macro + 1 or 0
    if macro == MAXMACRO and not template then breach(file, n, "a macro of over %d lines", MAXMACRO) end
  end
end

local function check_text(file)
  local n = 0
  for line in io.lines(file) do
    n = n + 1
    if line:find "\t" then breach(file, n, "a tab") end
    if line:find "%s$" then breach(file, n, "a space at the end") end
  end
  if n > MAXLINES then breach(file, n, "over %d lines", MAXLINES) end
end

local function check_exports(so)
  local nm = io.popen("nm -D --defined-only " .. so .. " 2>/dev/null")
  for line in nm:lines() do
    local symbol = line:match "(%S+)$"
    if not symbol:find "^luaopen_" then breach(so, 0, "exports %s", symbol) end
  end
  nm:close()
end

local files = io.popen "find src lua rocks spec examples -type f 2>/dev/null"
for file in files:lines() do
  local kind = file:match "%.(%w+)$"
  if kind == "c" or kind == "h" or kind == "def" or kind == "lua" then check_text(file) end
  if file:find "^src/" and (kind == "c" or kind == "h" or kind == "def") then check_c(file) end
end
files:close()
check_exports "build/mare/core.so"

if breaches > 0 then
  io.stderr:write(("%d breaches of the rules\n"):format(breaches))
  os.exit(1)
end
