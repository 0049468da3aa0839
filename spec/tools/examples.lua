-- examples.lua -- runs the numbered examples and compares the key number that each prints with
-- the range in its header; writes the index of them.  examples.lua [check | index] [PATTERN]
--
-- A header names the ids of the mission that an example covers, `-- ids: A5 A7`, and the range
-- of its key number, `-- expect: LO HI`.  The number is in its last line "key: WHAT = NUMBER".

local lua = os.getenv "LUA" or "lua5.4"
local mode, pattern = arg[1] or "check", arg[2] or ""

local function examples()
  local pipe, list = io.popen "ls examples", {}
  for name in pipe:lines() do
    if name:find "^%d%d%-.*%.lua$" and name:find(pattern) then list[#list + 1] = name end
  end
  pipe:close()
  return list
end

local function header(name)
  local about = { name = name, ids = {} }
  for line in io.lines("examples/" .. name) do
    if not line:find "^%-%-" then break end
    about.title = about.title or line:match "^%-%- [%w%-%.]+ %-%- (.*)"
    for id in (line:match "^%-%- ids: (.*)" or ""):gmatch "%u%d+" do table.insert(about.ids, id) end
    local lo, hi = line:match "^%-%- expect: (%S+) (%S+)"
    if lo then about.lo, about.hi = tonumber(lo), tonumber(hi) end
  end
  return about
end

local function run(name)
  local pipe = io.popen(("NO_COLOR=1 timeout 120 %s examples/%s 2>&1"):format(lua, name))
  local start = os.time()
  local text = pipe:read "a"
  local ok = pipe:close()
  return ok, text, os.time() - start
end

-- What is wrong with an example, or nil; its key number and the seconds it took.
local function check(about)
  local ok, text, seconds = run(about.name)
  if not ok then return "it failed:\n" .. text, nil, seconds end
  local what, value = text:match ".*key: (.*) = (%S+)"
  about.what, about.value = what, value
  if not about.lo then return nil, value, seconds end
  value = tonumber(value)
  if not value then return "it prints no key number", nil, seconds end
  if not (value >= about.lo and value <= about.hi) then
    return ("%s is %s, outside %s to %s"):format(what, value, about.lo, about.hi), value, seconds
  end
  return seconds > 60 and ("it took %d s"):format(seconds) or nil, value, seconds
end

local failed = 0
local rows = {}
for _, name in ipairs(examples()) do
  local about = header(name)
  rows[#rows + 1] = about
  if mode == "check" then
    local wrong, value, seconds = check(about)
    print(("%-34s %3d s  %s"):format(name, seconds, wrong and "WRONG: " .. wrong
      or about.what and ("%s = %s"):format(about.what, value) or "ran"))
    io.stdout:flush()
    if wrong then failed = failed + 1 end
  end
end

-- Every id of the mission stands in at least one example.
local ids = {}
for letter, last in pairs { T = 9, A = 7, M = 20, L = 8 } do
  for k = 1, last do ids[#ids + 1] = letter .. k end
end
local covered = {}
for _, about in ipairs(rows) do
  for _, id in ipairs(about.ids) do covered[id] = true end
end
local missing = {}
table.sort(ids)
for _, id in ipairs(ids) do
  if not covered[id] then missing[#missing + 1] = id end
end

if mode == "index" then
  print("# Examples\n\nMade by `make gallery`; `make examples` runs all of them.\n")
  print("| example | what is asked | ids | key number within | pictures |")
  print("|---|---|---|---|---|")
  for _, about in ipairs(rows) do
    local stem, pictures = about.name:match "^(%d%d)", {}
    local pipe = io.popen("ls examples/out 2>/dev/null")
    for file in pipe:lines() do
      if file:find("^" .. stem .. ".*%.svg$") then
        pictures[#pictures + 1] = ("![%s](out/%s)"):format(file:gsub("%.svg$", ""), file)
      end
    end
    pipe:close()
    print(("| [%s](%s) | %s | %s | %s | %s |"):format(about.name, about.name, about.title or "",
      table.concat(about.ids, " "), about.lo and ("%g to %g"):format(about.lo, about.hi) or "",
      table.concat(pictures, " ")))
  end
end
if pattern == "" and mode == "check" and #missing > 0 then
  print("no example for: " .. table.concat(missing, " "))
end
os.exit(failed == 0)
