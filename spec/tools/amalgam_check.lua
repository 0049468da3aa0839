-- amalgam_check.lua DIR CORE FLAGS -- builds mare.c of DIR in its four variants with gcc and, where
-- it is installed, clang, one line each; runs them, and compares bits with CORE, the build of many
-- files (only gcc made that one).  mare.c has the same bytes if clang's preprocessor helps to
-- make it.  Prints one line for each; fails when one of them does.

local dir, normal, flags = arg[1], arg[2], arg[3]
local LIBS = "-lblis -lz -lm -lpthread -ldl"
local here = assert(io.popen "pwd"):read "l"

local function run(command)
  local pipe = io.popen("{ " .. command .. "; } 2>&1")
  local text = pipe:read "a"
  return pipe:close() and true or false, (text:gsub("%s+$", ""))
end

-- A script under a build of the engine.
local function lua(folder, script)
  return run(("LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;' LUA_CPATH='%s/?.so;;' lua5.4 %s"):format(here, here, folder,
    script))
end

local function quoted(code) return "-e '" .. code .. "'" end

local spd = "local mare = require \"mare\" "
local _, bits = lua(normal, "spec/tools/amalgam_bits.lua")

local function same_bits(folder, compiler)
  local ok, text = lua(folder, "spec/tools/amalgam_bits.lua")
  if not ok or not text:find "^%x+$" then return false, text end
  return compiler ~= "gcc" or text == bits, "bits " .. text .. (compiler == "gcc" and " against " .. bits or "")
end

local function says(folder, code, words)
  local _, text = lua(folder, quoted(spd .. code))
  return text:find(words, 1, true) ~= nil, text
end

-- Specs that are many and quick; the modules are those of the checkout.
local SPECS = "spec/gemm_spec.lua spec/nn_spec.lua spec/reduce_spec.lua spec/io_spec.lua"

local function whole(folder, compiler)
  local ok, text = same_bits(folder, compiler)
  if not ok then return ok, text end
  return lua(folder, "/usr/bin/busted -o spec/tools/plain.lua " .. SPECS)
end

local variants = {
  { "all", "", whole },
  { "no-threads", "-DMARE_OMIT_THREADS", function(folder, compiler)
    local ok, text = same_bits(folder, compiler)
    if not ok then return ok, text end
    return says(folder, "assert(mare.threads() == 1 and mare.threads(1) == 1) mare.threads(4)",
      "bad argument #1 to 'threads' (this build has no threads (MARE_OMIT_THREADS))")
  end },
  { "no-lapack", "-DMARE_OMIT_LAPACK", function(folder, compiler)
    local ok, text = same_bits(folder, compiler)
    if not ok then return ok, text end
    return says(folder, "mare.linalg.svd(mare.eye(3))", "this build has no LAPACK (MARE_OMIT_LAPACK)")
  end },
  { "no-lua", "-DMARE_OMIT_LUA", function(folder, compiler)
    local ok, text = run(("%s -std=gnu11 -O1 spec/c/run.c %s/mare.o -o %s/run %s")
      :format(compiler, folder, folder, LIBS))
    if not ok then return ok, text end
    local save = spd .. 'local nn = mare.nn mare.seed(2) local m = nn.Sequential { nn.Linear(50, 40), nn.GELU(), ' ..
      'nn.Linear(40, 3), nn.Softmax() } local x = mare.randn(9, 50) m:save "%s/m" ' ..
      'io.open("%s/x", "wb"):write(x:tobytes()) io.open("%s/want", "wb"):write(m(x):tobytes())'
    ok, text = lua(normal, quoted(save:gsub("%%s", folder)))
    if not ok then return ok, text end
    ok, text = run(("echo run %s/m %s/x 9 0 0 %s/y -1 | %s/run"):format(folder, folder, folder, folder))
    if not ok or text ~= "no error" then return false, text end
    return compiler ~= "gcc" or run(("cmp %s/y %s/want"):format(folder, folder)), "other bits"
  end },
}

local function build(compiler, variant)
  local folder = ("%s/%s-%s"):format(dir, compiler, variant[1])
  local target = variant[1] == "no-lua" and ("-c -o %s/mare.o"):format(folder) or
    ("-shared -fPIC -fvisibility=hidden -o %s/mare/core.so"):format(folder)
  local line = ("%s -std=gnu11 -O2 -Wall -Wextra %s %s %s/mare.c %s %s"):format(compiler, flags, variant[2], dir,
    target, variant[1] == "no-lua" and "" or LIBS)
  os.execute(("mkdir -p %s/mare"):format(folder))
  return folder, io.popen(line .. " 2>&1")
end

local failed = 0
for _, compiler in ipairs { "gcc", "clang" } do
  if not run("command -v " .. compiler) then
    print(compiler .. " is not installed: not tried")
  else
    local started = {}
    for i, variant in ipairs(variants) do started[i] = table.pack(build(compiler, variant)) end
    for i, variant in ipairs(variants) do
      local folder, pipe = started[i][1], started[i][2]
      local text = pipe:read "a"
      local ok = pipe:close() and text == "" -- not even a warning
      if ok then ok, text = variant[3](folder, compiler) end
      print(("%-5s %-10s %s"):format(compiler, variant[1], ok and "good" or "BAD: " .. tostring(text)))
      if not ok then failed = failed + 1 end
    end
  end
end

if run "command -v clang" then
  local other = dir .. "/other"
  local ok, text = run(("make -s amalgam CC=clang B=%s && cmp %s/mare.c %s/amalgam/mare.c"):format(other, dir, other))
  print(("clang %-10s %s"):format("made", ok and "good" or "BAD: " .. text))
  if not ok then failed = failed + 1 end
end
os.exit(failed == 0)
