-- amalgam_spec.lua -- the engine as one file compiles without a warning, whole and with
-- each part left out once.  `make amalgam-check` builds and tries all variants: minutes.

local support = require "spec.support"

local demand, run = support.demand, support.run
local sanitized = os.getenv "ASAN_OPTIONS" -- its preload is not for gcc

-- What is left out, and flags. Whether lines are indented as they are nested takes gcc longer
-- than all else; the whole file is asked that, and has the same lines.
local variants = { { "", "" }, { "-DMARE_OMIT_LUA -DMARE_OMIT_THREADS", "-Wno-misleading-indentation" },
  { "-DMARE_OMIT_LAPACK", "-Wno-misleading-indentation" } }

describe("the engine as one file", function()
  it("compiles with one line, also without Lua, threads and LAPACK", function()
    if sanitized then return pending "the sanitizers are not for other programs" end
    if not select(2, run "command -v gcc") then return pending "gcc is not installed" end
    local folder = os.tmpname()
    os.remove(folder)
    local flags, made = run("make -s amalgam B=" .. folder .. " && make -s amalgam-flags")
    demand(made, "%s", flags)
    local pipes = {}
    for i, variant in ipairs(variants) do
      pipes[i] = io.popen(("gcc -std=gnu11 -fsyntax-only -Wall -Wextra %s %s %s %s/amalgam/mare.c 2>&1"):format(
        variant[1], variant[2], flags:match "(%-I[^\n]*)", folder))
    end
    for _, pipe in ipairs(pipes) do
      local text = pipe:read "a"
      demand(pipe:close() and text == "", "%s", text)
    end
    os.execute("rm -r " .. folder)
  end)
end)
