-- mpi_spec.lua -- several processes: `make mpi-test` installs an MPI, builds mare.mpi and runs
-- this; where that was not done it says what is missing.

local mare = require "mare"
local support = require "spec.support"

local demand = support.demand
local lua = os.getenv "LUA" or "lua5.4"
local mpirun = os.getenv "MPIRUN" or "mpirun"
local sanitized = os.getenv "ASAN_OPTIONS" -- its preload is not for mpirun

local function missing()
  if sanitized then return "mpirun is not run under a sanitizer" end
  if not os.execute("command -v " .. mpirun .. " >/dev/null 2>&1") then
    return "no mpirun; Debian: libopenmpi-dev openmpi-bin; `make mpi-test` installs and builds"
  end
  if not package.searchpath("mare.mpi.core", package.cpath) then
    return "mare.mpi is not built: make mpi"
  end
end

local why = missing()

-- As root and with more processes than cores, for these specs; MPICH asks for neither.
local settings = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " ..
  "OMPI_MCA_rmaps_base_oversubscribe=1 LUA_PATH='./?.lua;" .. package.path .. "' " ..
  "LUA_CPATH='" .. package.cpath .. "'"

-- Output, whether it succeeded, seconds.
local function mpi(n, arguments)
  local began = mare.clock()
  local pipe = io.popen(("%s timeout 60 %s -n %d %s %s 2>&1"):format(settings, mpirun, n, lua,
    arguments))
  local text = pipe:read "a"
  local ok, _, code = pipe:close()
  return text, ok, mare.clock() - began, code
end

local function it_with_mpi(name, f)
  it(name, function()
    if why then return pending(why) end
    f()
  end)
end

-- The numbers of each run of train.lua: { run = { numbers } }.
local function numbers(text)
  local runs, list = {}, nil
  for line in text:gmatch "[^\n]+" do
    local name = line:match "^run (.*)"
    if name then
      list = {}
      runs[name] = list
    elseif line:find "^%-?0x%S+$" then list[#list + 1] = tonumber(line) end
  end
  return runs
end

local function train(n, batch, runs)
  local text, ok = mpi(n, ("spec/mpi/train.lua %d %s"):format(batch, runs))
  demand(ok, "%s", text:gsub("%-?0x[%w%.%-%+]+\n", ""))
  return numbers(text), text
end

describe("the rock mare-mpi", function()
  it("names targets that the Makefile has", function()
    local fields = {}
    assert(loadfile("rocks/mare-mpi-scm-1.rockspec", "t", fields))()
    local file <close> = assert(io.open "spec/tools/mpi.mk")
    local text = file:read "a"
    for _, target in ipairs { fields.build.build_target, fields.build.install_target } do
      demand(text:find("\n" .. target .. ":", 1, true), "no target %s", target)
    end
    assert.equal("mare-mpi", fields.package)
  end)

  it("is loaded by mare where it is installed, and no name of mare otherwise", function()
    local names = {}
    for _, name in ipairs(getmetatable(mare).__members()) do names[name] = true end
    assert.truthy(names.train)
    assert.is_nil(names.mpi)
    local ok, message = pcall(function() return mare.mpi end)
    if not ok then
      demand(message:find "mpi_spec.lua:%d+: mare.mpi is ", "%s", message)
    end
    if not why then demand(ok and mare.mpi == require "mare.mpi", "%s", message) end
  end)
end)

describe("mare.mpi", function()
  it_with_mpi("keeps what its functions promise on each of three ranks", function()
    local text, ok = mpi(3, "spec/mpi/checks.lua")
    demand(ok, "%s", text)
    local passed, asked = 0, 0
    for _ in text:gmatch "passed [^\n]+" do passed = passed + 1 end
    for line in io.lines "spec/mpi/checks.lua" do
      if line:find '^check%("' then asked = asked + 1 end
    end
    demand(passed == asked and asked > 15, "%d of %d:\n%s", passed, asked, text)
  end)

  it_with_mpi("trains on 2 and 4 ranks as one process does with their batch", function()
    local runs = "plain small accumulate,small clip uneven unused unused,small fit fit,clip,uneven " ..
      "fit,accumulate,uneven,small"
    local one, two, four = train(1, 32, runs), train(2, 16, runs), train(4, 8, runs)
    for name in runs:gmatch "%S+" do
      demand(#one[name] > 400, "%s: %d numbers", name, #one[name])
      support.same(two[name], one[name], 1e-10, name .. " on 2 ranks")
      support.same(four[name], one[name], 1e-10, name .. " on 4 ranks")
    end
    support.same(one.plain, one.small, 0, "size of the buckets")
    demand(one.plain[1] ~= one.clip[1] and one.fit[1] ~= one["fit,clip,uneven"][1], "all alike")
  end)

  it_with_mpi("gives the same bits again, and when resumed from rank 0's checkpoint", function()
    local folder = os.tmpname()
    os.remove(folder)
    local whole = ("fit,norm,uneven,checkpoint=%s/whole"):format(folder)
    local stopped = ("fit,norm,uneven,checkpoint=%s/part"):format(folder)
    os.execute("mkdir " .. folder)
    local first, text = train(2, 16, whole)
    train(2, 16, stopped .. ",stop=9") -- the last checkpoint is of step 8, in epoch 2
    local second = train(2, 16, stopped)
    os.execute("rm -r " .. folder)
    support.same(second[stopped], first[whole], 0, "resumed")
    local _, lines = text:gsub("[^\n]*epoch%s+%d[^\n]*", "")
    demand(lines == 3, "only rank 0 tells of its epochs:\n%s", text)
  end)

  local messages = {
    killed = "signal 9",
    error = "lost%.lua:%d+: no more rows.*rank 2 of 4 ended without mpi%.finalize%(%)",
    run = "rank 2 of 4: %S*lost%.lua:%d+: no more rows\nstack traceback",
    exit = "finalize",
    finished = "rank 2 of 4 ended without mpi%.finalize%(%)",
    abort = "rank 2 of 4: no data here",
  }
  for how, message in pairs(messages) do
    it_with_mpi("ends all ranks when one is lost: " .. how, function()
      local text, ok, seconds, code = mpi(4, "spec/mpi/lost.lua " .. how)
      demand(not ok, "it succeeded: %s", text)
      demand(seconds < 20, "it took %.1f s", seconds)
      demand(text:find(message), "no message: %s", text)
      demand(how ~= "abort" or code == 3, "status %d", code)
    end)
  end

  it_with_mpi("says that init is missing, and runs alone", function()
    local pipe = io.popen(settings .. " " .. lua .. [[ -e 'local mpi = require "mare.mpi"
      print(pcall(mpi.rank)) print(mpi.init()) print(mpi.allreduce(2)) mpi.finalize()
      print(pcall(mpi.init))' 2>&1]])
    local text = pipe:read "a"
    pipe:close()
    demand(text:find("'rank': mpi.init has not been called", 1, true), "%s", text)
    demand(text:find("\n0\t1\n2\n", 1, true), "%s", text)
    demand(text:find("'init': mpi.finalize has been called", 1, true), "%s", text)
  end)

  it_with_mpi("says when mpirun is that of another MPI", function()
    local pipe = io.popen("PMI_SIZE= OMPI_COMM_WORLD_SIZE=4 " .. settings .. " " .. lua ..
      [[ -e 'require "mare.mpi".init()' 2>&1]])
    local text = pipe:read "a"
    demand(not pipe:close(), "it went on: %s", text)
    demand(text:find("'init': mpirun started 4 processes, but each is alone; it is not that of %S.*, " ..
      "for which mare.mpi was built"), "%s", text)
  end)
end)
