-- calls_spec.lua -- every public function with arguments at random, in a process of its own:
-- spec/fuzz/calls.lua has what must hold.  MARE_CALLS=n: n rounds, each of one call of
-- every function (1), MARE_SEED another sequence.

describe("every public function", function()
  local function run(rounds, seed)
    local here = os.getenv "PWD"
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local command = "cd %s && MARE_THREADS=1 LOG=call lua5.4 %s/spec/fuzz/calls.lua %d %d " ..
      "2>&1 </dev/null"
    local pipe = assert(io.popen(command:format(folder, here, seed, rounds)))
    local text = pipe:read "a"
    local ended = pipe:close()
    local last = io.open(folder .. "/call")
    local call = last and last:read "l"
    if last then last:close() end
    os.execute("rm -r " .. folder)
    return text, ended, call
  end

  it("refuses nonsense by its name, at the line of the call", function()
    local rounds = tonumber(os.getenv "MARE_CALLS") or 1
    local text, ended, call = run(rounds, tonumber(os.getenv "MARE_SEED") or 1)
    local count = tonumber(text:match "(%d+) calls\n$")
    if not (ended and count) then error("ended in the call " .. tostring(call) .. "\n" .. text) end
    assert.is_true(count >= 1200 * rounds)
    local found = text:match "\n(%l[%l ]*: .*)"
    if found then error(found) end
  end)
end)
