-- run.lua [HOST ...] -- starts real programs that have Lua inside, on the loopback, with the
-- module in them, and checks what they answer.  Prints a line for each fact and says at the
-- end which host failed, and why.
--
-- A host is a folder with a check.lua, which returns
--   programs = { path = Debian package }    what must be there
--   check = function(say, folder)           raises what is wrong

local HOSTS = { "lighttpd", "prosody", "clingo", "dovecot", "dnsmasq" }

-- Debian's packages of what is missing.
local function missing(programs)
  local list, named = {}, {}
  for path, package in pairs(programs) do
    local file = io.open(path)
    if file then file:close()
    elseif not named[package] then named[package], list[#list + 1] = true, package end
  end
  table.sort(list)
  return #list > 0 and table.concat(list, " ") or nil
end

local function run(name, folder)
  local host = require("spec.hosts." .. name .. ".check")
  local packages = missing(host.programs)
  if packages then return false, "not installed; Debian's packages: " .. packages end
  assert(os.execute(("rm -rf '%s' && mkdir -p '%s'"):format(folder, folder)))
  return xpcall(host.check, function(e) return debug.traceback(tostring(e), 2) end,
    function(...) print(("%-10s %s"):format(name, (...):format(select(2, ...)))) end, folder)
end

io.stdout:setvbuf "line"
local names = #arg > 0 and arg or HOSTS
local root = io.popen("pwd"):read "l"
if not pcall(require, "socket") then
  io.stderr:write "hosts: no LuaSocket for Lua 5.4; Debian's package: lua-socket\n"
  os.exit(1)
end
local failed = {}
for _, name in ipairs(names) do
  local folder = ("%s/build/hosts/%s"):format(root, name)
  local ok, message = run(name, folder)
  if not ok then
    failed[#failed + 1] = name
    io.stderr:write(("%-10s FAILED: %s\n"):format(name, message))
  end
end
print(("%d of %d hosts failed%s"):format(#failed, #names,
  #failed > 0 and ": " .. table.concat(failed, " ") or ""))
os.exit(#failed == 0)
