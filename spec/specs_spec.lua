-- specs_spec.lua -- the runner of the specs: what came of each file is told and counted, and
-- one that fails, crashes, ends early, holds nothing or does not end makes all of it fail.

local support = require "spec.support"

local demand = support.demand
local sanitized = os.getenv "ASAN_OPTIONS" -- its preload is not for other programs
local lua = os.getenv "LUA" or "lua5.4"
local folder = os.tmpname()

setup(function()
  os.remove(folder)
  os.execute("mkdir -p " .. folder)
end)
teardown(function() os.execute("rm -r " .. folder) end)

local function write(name, text)
  return support.write(("%s/%s_spec.lua"):format(folder, name), text)
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

--- The shell command that runs files, two at a time.
local function command(files)
  return ("ONE='%s /usr/bin/busted -o spec/tools/plain.lua' LUA=%s exec sh spec/tools/specs.sh 2 %s 2>&1"):format(
    lua, lua, table.concat(files, " "))
end

--- Runs files with these texts, { name = text }; what is printed, and whether all was well.
local function run(texts)
  local files = {}
  for name, text in pairs(texts) do files[#files + 1] = write(name, text) end
  table.sort(files)
  return support.run(command(files))
end

local good = "it('is right', function() end)\nit('is right again', function() end)\n"

local function it_can(what, f)
  it(what, function()
    if sanitized then pending "the sanitizers are not for other programs" else f() end
  end)
end

describe("the runner of the specs", function()
  it_can("adds up what passed, and tells what is pending", function()
    local said, ok = run { a = good, b = good .. "it('waits', function() pending 'for rain' end)" }
    demand(ok, "%s", said)
    demand(said:find "for rain" and said:find "\n2 files, 1 pending\n", "%s", said)
    demand(said:find "\n4 passed, 0 failed\n$", "%s", said)
  end)

  -- What is wrong, a file, what is said of it, how many passed and failed with a good file.
  local wrong = {
    { "a test fails", good .. "it('is wrong', function() error 'no such luck' end)", "1 failed", 4, 1,
      "no such luck" },
    { "an assertion fails", "it('is wrong', function() assert.equal(41, 42) end)", "1 failed", 2, 1,
      "Expected objects to be equal" },
    { "a setup fails", "setup(function() error 'not set up' end)\n" .. good, "1 failed", 2, 1, "not set up" },
    { "it does not compile", "it(", "1 failed", 2, 1, "unexpected symbol" },
    { "it fails when it is loaded", "error 'not today'", "1 failed", 2, 1, "not today" },
    { "it crashes", "it('is gone', function() os.execute 'kill -SEGV $PPID' end)",
      "ended by signal 11", 2, 1 },
    { "it is killed", "it('is gone', function() os.execute 'kill -KILL $PPID' end)",
      "ended by signal 9", 2, 1 },
    { "it leaves before the end", "it('is gone', function() os.exit(0) end)",
      "ended with status 0 without a count", 2, 1 },
    { "it crashes when all is done", good ..
      "debug.getregistry().last = setmetatable({}, { __gc = function() os.execute 'kill -ABRT $PPID' end })",
      "ended by signal 6", 4, 1 },
    { "it ends in failure when all is done", good ..
      "debug.getregistry().last = setmetatable({}, { __gc = function() os.exit(3) end })",
      "ended with status 3", 4, 1 },
    { "there is no test in it", "local nothing = 1", "no test in it", 2, 1 },
    { "it is empty", "", "no test in it", 2, 1 },
  }

  for _, case in ipairs(wrong) do
    local what, text, why, passed, failed, told = table.unpack(case, 1, 6)
    it_can("notices that " .. what, function()
      local said, ok = run { good = good, wrong = text }
      assert.is_false(ok)
      local line = ("BAD %s/wrong_spec.lua: %s\n"):format(folder, why)
      demand(select(2, said:gsub(line:gsub("%p", "%%%0"), "")) == 2, "not '%s' but: %s", line, said)
      demand(said:find(told or why, 1, true), "%s", said)
      demand(said:find(("\n%d passed, %d failed\n$"):format(passed, failed)), "%s", said)
    end)
  end

  it_can("notices a file that is not there", function()
    local pipe = io.popen(command { folder .. "/nowhere_spec.lua", write("good", good) })
    local said = pipe:read "a"
    assert.is_nil((pipe:close()))
    demand(said:find("BAD " .. folder .. "/nowhere_spec.lua: ", 1, true), "%s", said)
  end)

  --- Has this process ended within ten seconds?
  local function gone(pid)
    for _ = 1, 100 do
      if not exists(("/proc/%d/stat"):format(pid)) then return true end
      os.execute "sleep 0.1"
    end
    return false
  end

  it_can("ends all that it has started when it is ended", function()
    local mark = folder .. "/began"
    -- in a process group of its own, as `timeout` makes one
    local slow = ("it('is slow', function() os.execute [[timeout 60 sh -c 'echo $$ >> %s; exec sleep 50']] end)")
      :format(mark)
    local files = { write("slow", slow), write("tardy", slow), write("waiting", good) }
    local pipe = io.popen(([[(%s) & n=0
      while [ "$(cat %s 2>/dev/null | wc -l)" != 2 ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
      kill -TERM $!; wait $!; echo status $?]]):format(command(files), mark))
    local said = pipe:read "a"
    pipe:close()
    demand(said:find "slow_spec.lua: did not end" and said:find "tardy_spec.lua: did not end" and
      said:find "not run: %S+/waiting_spec.lua\n", "%s", said)
    demand(said:find "\n0 passed, 3 failed\n" and said:find "status 143\n", "%s", said)
    local n = 0
    for line in io.lines(mark) do
      demand(gone(math.tointeger(line)), "%s goes on", line)
      n = n + 1
    end
    assert.equal(2, n)
  end)
end)

describe("make busted", function()
  it("begins with files that there are", function()
    local file = assert(io.open "Makefile")
    local list = file:read "a":match "\nLONG%s*= $%(patsubst %%,spec/%%_spec.lua,([%l_ ]+)%)\n"
    file:close()
    for name in list:gmatch "%S+" do assert.is_true(exists(("spec/%s_spec.lua"):format(name)), name) end
  end)
end)
