-- specs.lua FOLDER FILE... -- the report of specs.sh, which says on standard input which file
-- begins, "+ FILE", and which has ended, "STATUS FILE"; FOLDER has what each printed. A file
-- is good when it ended well and its last line counts at least one test and no failure. One
-- line for each, all that a bad one printed, and at the end "N passed, N failed".

local dir = arg[1]
local left = {} -- what has not ended: "waits" or "runs"
for i = 2, #arg do left[arg[i]] = "waits" end

local total = { passed = 0, failed = 0, pending = 0 }
local bad = {}

local function read(name)
  local file = io.open(dir .. "/" .. name:gsub("/", "_"), "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

-- What busted says at the end; nil where it did not come to that.
local function counts(text)
  local pending, seconds, rest, passed, failed = text:match(
    "\n%d+ %l+ / %d+ %l+ / %d+ %l+ / (%d+) pending : ([%d.]+) seconds\n(.*)\n(%d+) passed, (%d+) failed\n")
  return pending and { passed = tonumber(passed), failed = tonumber(failed),
    pending = tonumber(pending), seconds = tonumber(seconds), rest = rest }
end

-- Why a file is bad, if it is.
local function reason(status, count)
  if status > 128 then return "ended by signal " .. status - 128 end
  if not count then return "ended with status " .. status .. " without a count" end
  if count.failed > 0 then return count.failed .. " failed" end
  if status ~= 0 then return "ended with status " .. status end
  if count.passed + count.pending == 0 then return "no test in it" end
end

local function red(name, why)
  bad[#bad + 1] = name .. ": " .. why
  io.write("BAD ", name, ": ", why, "\n")
end

local function ended(name, status)
  local text = read(name)
  local count = counts(text)
  local why = reason(status, count)
  for key, sum in pairs(total) do total[key] = sum + (count and count[key] or 0) end
  if why then
    if not count or count.failed == 0 then total.failed = total.failed + 1 end
    red(name, why)
    io.write(text, "\n")
  else
    io.write(("%5.1f s %5d  %s\n"):format(count.seconds, count.passed, name))
    io.write(count.rest) -- what is pending
  end
  io.flush()
end

for line in io.lines() do
  local what, name = line:match "^(%S+) (.*)$"
  if what == "+" then left[name] = "runs"
  else
    left[name] = nil
    ended(name, tonumber(what))
  end
end

local waits = {}
for i = 2, #arg do
  local name = arg[i]
  if left[name] then total.failed = total.failed + 1 end
  if left[name] == "waits" then waits[#waits + 1] = name end
  if left[name] == "runs" then
    red(name, "did not end")
    io.write(read(name), "\n")
  end
end
if #waits > 0 then bad[#bad + 1] = "not run: " .. table.concat(waits, " ") end

io.write(("\n%d files, %d pending\n"):format(#arg - 1, total.pending))
for _, line in ipairs(bad) do io.write("BAD ", line, "\n") end
io.write(("\n%d passed, %d failed\n"):format(total.passed, total.failed))
os.exit(#bad == 0)
