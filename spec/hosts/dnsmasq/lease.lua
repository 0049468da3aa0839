-- lease.lua -- what dnsmasq calls for each lease, in a process that it forks for this and
-- that gives up root's rights: the kind of the device goes to a file beside this one.

local folder = debug.getinfo(1, "S").source:match "^@(.*)/"
package.path = ("%s/?.lua;%s/lua/?.lua;%s/lua/?/init.lua;"):format(folder, folder, folder)
  .. package.path
package.cpath = folder .. "/?.so;" .. package.cpath

local kind_of

function init()
  kind_of = require "names"
end

function lease(action, about)
  local file = assert(io.open(folder .. "/kinds", "a"))
  file:write(("%s %s %s\n"):format(action, about.hostname, kind_of(about.hostname)))
  file:close()
end
