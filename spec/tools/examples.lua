-- examples.lua -- runs the numbered examples and compares the key number that each prints with
-- the range in its header; writes the index of them.
--
--     examples.lua check [PATTERN]     all, or those whose names hold PATTERN
--     examples.lua quick               those that take a second
--     examples.lua index               examples/README.md, with what the last check found
--
-- A header names the ids of the mission that an example covers, `-- ids: A5 A7`, the range of
-- its key number, `-- expect: LO HI`, and the seconds it takes on two cores, `-- takes: 1 s`.
-- The number stands in the line "key: WHAT = NUMBER".  Where there are several key numbers, there
-- is a range for each, in their order.  From the environment: JOBS (2), how many
-- run at a time; SEEDS (1): every example runs with --seed 1 to SEEDS.

local lua = os.getenv "LUA" or "lua5.4"
local mode, pattern = arg[1] or "check", arg[2] or ""
local jobs, seeds = tonumber(os.getenv "JOBS") or 2, tonumber(os.getenv "SEEDS") or 1
local results, most = "build/examples", 60

local function lines_of(command)
  local pipe, list = io.popen(command), {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function content(path)
  local file = io.open(path)
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

local function header(name)
  local about = { name = name, stem = name:gsub("%.lua$", ""), ids = {}, takes = 1, ranges = {} }
  for line in io.lines("examples/" .. name) do
    if not line:find "^%-%-" then break end
    if about.seen then about.seen = about.seen .. line:gsub("^%-%-%s*", " ") end
    about.seen = about.seen or line:match "^%-%- What is seen%.%s+(.*)"
    about.title = about.title or line:match "^%-%- [%w%-%.]+ %-%- (.*)"
    for id in (line:match "^%-%- ids: (.*)" or ""):gmatch "%u%d+" do table.insert(about.ids, id) end
    local lo, hi = line:match "^%-%- expect: (%S+) (%S+)"
    if lo then table.insert(about.ranges, { tonumber(lo), tonumber(hi) }) end
    about.takes = tonumber(line:match "^%-%- takes: (%d+) s") or about.takes
  end
  return about
end

local list, by_name = {}, {}
for _, name in ipairs(lines_of "ls examples") do
  if name:find "^%d%d%-.*%.lua$" then
    list[#list + 1] = header(name)
    by_name[list[#list].stem] = list[#list]
  end
end

-- The ids of the mission that no example names.
local function missing()
  local covered, ids = {}, {}
  for _, about in ipairs(list) do
    for _, id in ipairs(about.ids) do covered[id] = true end
  end
  for _, kind in ipairs { { "T", 9 }, { "A", 7 }, { "M", 20 }, { "L", 8 } } do
    for k = 1, kind[2] do
      if not covered[kind[1] .. k] then ids[#ids + 1] = kind[1] .. k end
    end
  end
  return ids
end

-- -- running --------------------------------------------------------------------------------

-- One shell starts all of them, a few at a time, and says "NAME SEED STATUS SECONDS" as each ends.
local each = [[
set -- $1; out=%s/$1.$2.txt; start=$(date +%%s)
NO_COLOR=1 timeout 120 %s examples/$1.lua --seed $2 >$out 2>&1 </dev/null
echo $1 $2 $? $(($(date +%%s) - start))]]

local function start(chosen)
  os.execute("mkdir -p " .. results)
  local input = os.tmpname()
  local file = assert(io.open(input, "w"))
  for _, about in ipairs(chosen) do
    for seed = 1, seeds do file:write(about.stem, " ", seed, "\n") end
  end
  file:close()
  local threads = os.getenv "MARE_THREADS" and "" or "MARE_THREADS=2 "
  return io.popen(("%sxargs -P %d -I{} sh -c '%s' sh '{}' < %s; rm -f %s"):format(threads, jobs,
    each:format(results, lua), input, input))
end

-- The key numbers that a run printed: a list of { what, number as text }.
local function keys_of(text)
  local found = {}
  for what, value in text:gmatch "key: ([^\n]*) = (%S+)" do found[#found + 1] = { what, value } end
  return found
end

-- What is wrong with a key number, or nil.
local function outside(key, range)
  local v = tonumber(key[2])
  if v and v >= range[1] and v <= range[2] then return nil end
  return ("%s = %s, outside %g to %g"):format(key[1], key[2], range[1], range[2])
end

-- What a run showed: what is wrong, or nil, and what it printed for its key numbers.
local function judge(about, seed, status, seconds)
  local text = content(("%s/%s.%s.txt"):format(results, about.stem, seed)) or ""
  if status ~= 0 then return "it failed:\n" .. text end
  local skipped = text:match "skipped: ([^\n]*)"
  if skipped then return nil, "skipped: " .. skipped end
  local keys = keys_of(text)
  if #keys == 0 or #keys ~= #about.ranges then
    return ("%d key numbers, and ranges for %d"):format(#keys, #about.ranges)
  end
  local shown = {}
  for i, key in ipairs(keys) do
    local wrong = outside(key, about.ranges[i])
    if wrong then return wrong end
    shown[i] = key[1] .. " = " .. key[2]
  end
  return seconds > most and ("it took %d s"):format(seconds) or nil, table.concat(shown, "; ")
end

local function check(chosen)
  local failed, pipe = 0, start(chosen)
  for line in pipe:lines() do
    local stem, seed, status, seconds = line:match "^(%S+) (%d+) (%d+) (%d+)$"
    local wrong, found = judge(by_name[stem], seed, tonumber(status), tonumber(seconds))
    print(("%-30s %s%3d s  %s"):format(stem, seeds > 1 and seed .. " " or "", seconds,
      wrong and "WRONG: " .. wrong or found))
    io.stdout:flush()
    if wrong then failed = failed + 1 end
  end
  pipe:close()
  return failed
end

-- -- the index ------------------------------------------------------------------------------

local function pictures(about)
  local found = {}
  for _, file in ipairs(lines_of "ls examples/small 2>/dev/null") do
    if file:sub(1, 3) == about.stem:sub(1, 3) then
      found[#found + 1] = ("![%s](small/%s)"):format(file:gsub("%.svg$", ""), file)
    end
  end
  return table.concat(found, " ")
end

local function key_numbers(about)
  local text = content(("%s/%s.1.txt"):format(results, about.stem)) or ""
  local shown, keys = {}, keys_of(text)
  for i, range in ipairs(about.ranges) do
    local bounds = range[1] == range[2] and ("%g"):format(range[1])
      or ("%g to %g"):format(range[1], range[2])
    shown[i] = keys[i] and ("%s: **%.4g** (%s)"):format(keys[i][1]:gsub("|", "\\|"),
      tonumber(keys[i][2]), bounds) or bounds
  end
  return table.concat(shown, "; ")
end

local function index()
  print((content "spec/tools/examples.md":gsub("\n$", "")))
  print "\n| example | what is seen | ids | key number (its range) | pictures |\n|---|---|---|---|---|"
  for _, about in ipairs(list) do
    print(("| [%s](%s) | *%s* %s | %s | %s | %s |"):format(about.stem, about.name,
      about.title:gsub("^%l", string.upper), about.seen or "",
      table.concat(about.ids, " "), key_numbers(about), pictures(about)))
  end
  print "\n| id | examples |\n|---|---|"
  for _, kind in ipairs { { "T", 9 }, { "A", 7 }, { "M", 20 }, { "L", 8 } } do
    for k = 1, kind[2] do
      local id, where = kind[1] .. k, {}
      for _, about in ipairs(list) do
        if (" " .. table.concat(about.ids, " ") .. " "):find(" " .. id .. " ", 1, true) then
          where[#where + 1] = ("[%s](%s)"):format(about.stem:sub(1, 2), about.name)
        end
      end
      print(("| %s | %s |"):format(id, table.concat(where, " ")))
    end
  end
end

if mode == "index" then
  index()
  os.exit(true)
end
local chosen = {}
for _, about in ipairs(list) do
  local wanted = about.stem:find(pattern) and (mode ~= "quick" or about.takes <= 1)
  if wanted then chosen[#chosen + 1] = about end
end
local failed, lacking = check(chosen), missing()
if #lacking > 0 then print("no example for: " .. table.concat(lacking, " ")) end
print(("%d runs of %d examples, %d wrong"):format(#chosen * seeds, #chosen, failed))
os.exit(failed == 0 and #lacking == 0)
