-- finalizer_spec.lua -- finalizers that the collector runs in the middle of a call: they use
-- what the call works with, or run after a hook has ended it.  Each case is a process of its
-- own, so that the next allocation is the one that calls the collector.

local lua = os.getenv "LUA" or "lua5.4"

local preamble = [[
  local mare = require "mare"
  collectgarbage("incremental", 1000, 100) -- not by itself

  -- Tensors up to just below the bytes from which the collector is called.
  local function fill()
    collectgarbage()
    local list = { mare.zeros({ 1 << 26 }, "u8") } -- past them: they are then twice what is live
    local most = 2 * mare.memory().live
    while mare.memory().live < most - (3 << 19) do list[#list + 1] = mare.zeros({ 1 << 19 }, "u8") end
    return list
  end
]]

local function run(script, ...)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(preamble, script)
  f:close()
  local pipe = io.popen(table.concat({ lua, path, ... }, " ") .. " 2>&1")
  local text = pipe:read "a"
  pipe:close()
  os.remove(path)
  return (text:gsub("%S*lua_%w+:%d+: ", ""))
end

describe("a finalizer in the middle of a call", function()
  it("can neither ask for batches nor end them while one is made", function()
    local script = [[
      local x = mare.arange(1, 1000):reshape(1000, 1):expand(1000, 1000):contiguous()
      local filler, said = fill(), "nothing"
      local batches, _, _, feed = mare.data.dataset(x):batches { size = 100, prefetch = tonumber(arg[1]) }
      setmetatable({}, { __gc = function()
        said = select(2, pcall(batches))
        feed:close()
      end })
      local sums = {}
      for batch in batches do
        sums[#sums + 1] = ("%g"):format(batch:sum():item() / 1e5)
        filler[#filler + 1] = batch
      end
      print(table.concat(sums, " "))
      print(said)
    ]]
    for ahead = 0, 3, 3 do
      assert.equal("50.5 150.5 250.5 350.5 450.5 550.5 650.5 750.5 850.5 950.5\n" ..
        "a finalizer inside a call asks for a batch\n", run(script, ahead))
    end
  end)

  it("does not let it go on where a hook has ended it", function()
    assert.equal("false\tended\n", run [[
      local x, one, filler = mare.ones(1, "u8"):expand(300000000), mare.ones(1), fill()
      local dead = { setmetatable({}, { __gc = function() pcall(one.add, one, one) end }) }
      debug.sethook(function()
        if debug.getinfo(2, "S").source ~= "=mare" then return end
        debug.sethook()
        dead[1] = nil
        error("ended", 0)
      end, "", 1000)
      print(pcall(x.masked_select, x, x))
      filler[1]:close()
    ]])
  end)
end)
