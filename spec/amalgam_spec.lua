-- amalgam_spec.lua -- the engine as one file compiles without a warning, whole and with
-- each part left out once.  `make amalgam-check` builds and tries all variants: minutes.

local support = require "spec.support"
local demand = support.demand

local function run(command)
  local pipe = io.popen("{ " .. command .. "; } 2>&1")
  local text = pipe:read "a"
  return pipe:close(), text
end

describe("the engine as one file", function()
  it("compiles with one line, also without Lua, threads and LAPACK", function()
    if not run "command -v gcc" then return pending "gcc is not installed" end
    local folder = os.tmpname()
    os.remove(folder)
    local made, flags = run("make -s amalgam B=" .. folder .. " && make -s amalgam-flags")
    demand(made, "%s", flags)
    local pipes = {}
    for i, variant in ipairs { "", "-DMARE_OMIT_LUA -DMARE_OMIT_THREADS",
      "-DMARE_OMIT_LAPACK" } do
      pipes[i] = io.popen(("gcc -std=gnu11 -fsyntax-only -Wall -Wextra %s %s %s/amalgam/mare.c 2>&1"):format(variant,
        flags:match "(%-I[^\n]*)", folder))
    end
    for _, pipe in ipairs(pipes) do
      local text = pipe:read "a"
      demand(pipe:close() and text == "", "%s", text)
    end
    os.execute("rm -r " .. folder)
  end)
end)
