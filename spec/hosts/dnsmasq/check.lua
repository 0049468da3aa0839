-- dnsmasq: a script is told of each lease, here of those that it finds in its file.

local process = require "spec.hosts.process"
local kind_of = require "spec.hosts.dnsmasq.names"
local demand = require "spec.support".demand

local DNSMASQ = "/usr/sbin/dnsmasq"

local leases = { { "printer-3", "printer" }, { "carlas-iphone", "phone" }, { "old-laptop", "laptop" },
  { "laserjet", "printer" }, { "macbook-of-davi", "laptop" } }

local function shell(line, ...)
  local text, ok = process.output(line:format(...))
  demand(ok, "%s: %s", line:format(...), text)
  return text
end

-- A folder outside of the checkout that everybody may read and write.
local function outfit()
  local folder, lines = shell("mktemp -d"):match "%S+", {}
  shell("cp -r lua build/mare spec/hosts/dnsmasq/names.lua spec/hosts/dnsmasq/lease.lua %s", folder)
  for i, lease in ipairs(leases) do
    lines[i] = ("%d 02:00:00:00:00:%02d 127.0.0.%d %s *\n"):format(os.time() + 3600, i, i + 1, lease[1])
  end
  process.write(folder .. "/leases", table.concat(lines))
  shell("chmod -R a+rwX %s", folder)
  return folder
end

local function check(say)
  local linked = shell("ldd %s", DNSMASQ)
  demand(linked:find "liblua5%.4", "it has no Lua 5.4; Debian's package: dnsmasq-base-lua\n%s", linked)
  demand(shell "id -u" == "0\n", "only root may answer DHCP")
  local folder = outfit()
  local _ <close> = setmetatable({}, { __close = function() os.execute("rm -r " .. folder) end })
  local server <close> = process.start({ DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
    "--interface=lo", "--bind-interfaces", "--dhcp-range=127.0.0.2,127.0.0.9,255.0.0.0",
    "--dhcp-alternate-port=" .. process.port(), "--dhcp-leasefile=" .. folder .. "/leases",
    "--dhcp-luascript=" .. folder .. "/lease.lua", "--dhcp-scriptuser=nobody", "--pid-file=",
    "--log-facility=" .. folder .. "/log" }, {})
  process.wait("answer for the last lease", function()
    return process.read(folder .. "/kinds"):find(leases[#leases][1], 1, true)
  end)
  local helper = server:children()[1]
  demand(process.status(helper, "Uid") ~= 0, "the helper has root's rights")
  local kinds = process.read(folder .. "/kinds")
  for _, lease in ipairs(leases) do
    demand(kind_of(lease[1]) == lease[2], "'%s' is taken for a %s", lease[1], kind_of(lease[1]))
    demand(kinds:find(("old %s %s\n"):format(lease[1], lease[2]), 1, true), "%s in:\n%s", lease[1], kinds)
  end
  say("%d leases, each with the kind of device that the model gives in plain Lua", #leases)
end

return { check = check, programs = { [DNSMASQ] = "dnsmasq-base-lua" } }
