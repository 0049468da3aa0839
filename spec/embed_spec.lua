-- embed_spec.lua -- the program in C of examples/embed, built by the line in its header: it
-- needs no file but its script, learns, and has all modules in it.

local support = require "spec.support"

local demand, run, build, read = support.demand, support.run, support.build, support.read
local cc = os.getenv "CC" or "cc"
local folder = os.tmpname()
os.remove(folder)

-- The line of the header comment that calls the compiler, with this build and this machine.
local function line_of(source)
  local line = read(source):match "%*%*   cc (.-)\n%*%*   build/embed":gsub("\\\n%*%*", "")
  local lua = io.open "/usr/include/lua5.4/lua.h" and "/usr/include/lua5.4" or "/usr/include"
  return cc .. " -Wall -Wextra -Werror " .. line:gsub("%-I%S+", "-I" .. lua)
    :gsub("build/embed", folder .. "/embed"):gsub("build/libmare", build .. "/libmare")
end

-- Runs the host with a script, in another folder and without an environment.
local function host(script)
  return run(("cd / && env -i %s/embed '%s'"):format(folder, script))
end

local function with_script(text)
  return host(support.write(folder .. "/script.lua", text))
end

describe("examples/embed", function()
  local sanitized = os.getenv "ASAN_OPTIONS"

  setup(function()
    os.execute("mkdir -p " .. folder)
    if sanitized then return end
    local text, ok = run(line_of "examples/embed/host.c")
    demand(ok and text == "", "%s", text)
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  local function it_can(what, f)
    it(what, function()
      if sanitized then pending "the sanitizers are not for other programs" else f() end
    end)
  end

  it_can("learns rows of C and answers through a function of C", function()
    local text, ok = host(io.popen("pwd"):read "l" .. "/examples/embed/classifier.lua")
    demand(ok, "%s", text)
    local right = tonumber(text:match "^(%d+) of 600 unseen rows right\n$")
    demand(right and right >= 540, "%s", text)
  end)

  it_can("has every module in it, and no path is searched", function()
    local names = {}
    for path in io.popen "find lua/mare -name '*.lua'":lines() do
      local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
      if name ~= "mare.repl" then names[#names + 1] = ("%q"):format(name) end
    end
    demand(#names > 80, "%d modules", #names)
    local text, ok = with_script(([[
      package.path, package.cpath = "", ""
      for _, name in ipairs { %s } do assert(require(name), name) end
      local mare = require "mare"
      assert(mare == package.loaded["mare"])
      local image = mare.ones(1, 1, 4, 4)
      io.write(mare.conv2d(image, mare.ones(1, 1, 3, 3)):sum():item(), "\n")
      return function() end, function() end
    ]]):format(table.concat(names, ", ")))
    demand(ok and text == "36\n0 of 600 unseen rows right\n", "%s", text)
  end)

  it_can("names the line of the script in errors", function()
    local text = with_script "\n\nrequire 'mare'.ones(2):matmul('x')\n"
    demand(text:find "^open: .*script%.lua:3: bad argument #1 to 'matmul'", "%s", text)
    local _, ok = host "/no/such/script.lua"
    assert.is_false(ok)
  end)
end)
