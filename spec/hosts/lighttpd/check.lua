-- lighttpd: mod_magnet scores requests with a saved network, in two workers.

local mare = require "mare"
local http = require "spec.hosts.http"
local json = require "mare.json"
local process = require "spec.hosts.process"
local demand = require "spec.support".demand

local root = io.popen("pwd"):read "l"
local here = root .. "/spec/hosts/lighttpd"

local LIGHTTPD, MAGNET, LOAD =
  "/usr/sbin/lighttpd", "/usr/lib/lighttpd/mod_magnet.so", "/usr/bin/h2load"
local ASKED = 15000 -- requests a second
local FIRST, PART = 40000, 40000 -- requests before the memory is looked at; in each run after
-- What may be there after the last requests and was not after the first, in kB.  The server alone
-- grows by 500 in each worker during its first 50,000 requests, so these come before.
local LIVE = 4 -- live values of one worker; 16 bytes lost in each request are 700
local GROWTH = 256 -- resident memory of both (the generational mode keeps more)
local WARM = 100000 -- requests to the server alone
local TENSORS = 40000 -- bytes of tensors in a worker: the model's 9,610 numbers

local function row_text(row)
  local field = {}
  for i, v in ipairs(row) do field[i] = ("%.9g"):format(v) end
  return table.concat(field, ",")
end

local function status(port)
  local client <close> = http.connect(port)
  local _, text = client:request "/status"
  local values = {}
  for name, value in text:gmatch "(%a+) (%d+)\n" do values[name] = tonumber(value) end
  return values
end

-- -- what is asked of it -------------------------------------------------------------------

-- Every digit that ships, by query or in a body, against the model in this process.
local function answers(port, model, rows)
  local client <close> = http.connect(port)
  local want = mare.no_grad(function() return model(mare.tensor(rows)):softmax(2) end):totable()
  for i, row in ipairs(rows) do
    local text = row_text(row)
    local code, body, headers
    if i % 3 == 0 then code, body, headers = client:request("/score", text)
    else code, body, headers = client:request("/score?" .. text) end
    demand(code == 200, "row %d: status %d: %s", i, code, body)
    demand(headers["content-type"] == "application/json", "row %d: no JSON", i)
    local got = json.decode(body)
    local best = 1
    for k, p in ipairs(want[i]) do
      demand(math.abs(got.probabilities[k] - p) < 2e-6, "row %d: %s", i, body)
      if p > want[i][best] then best = k end
    end
    demand(got.digit == best - 1, "row %d: digit %d, expected %d", i, got.digit, best - 1)
  end
  return #rows
end

local function zeros(n, last) return ("0,"):rep(n - 1) .. last end

local wrong = {
  { "/score", "number 1 is ''" },
  { "/score?1,2,3", "64 numbers expected, got 3" },
  { "/score?" .. zeros(65, "0"), "64 numbers expected, got 65" },
  { "/score?" .. zeros(64, "x"), "number 64 is 'x'" },
  { "/score?" .. zeros(64, "nan"), "number 64 is 'nan'" },
  { "/score?" .. zeros(64, "1e999"), "number 64 is '1e999'" },
  { "/score", "64 numbers expected, got 5000", body = zeros(5000, "0") },
  { "/score", "number 1 is ''", body = "" },
}

local function refusals(port)
  local client <close> = http.connect(port)
  for _, case in ipairs(wrong) do
    local code, text = client:request(case[1], case.body)
    demand(code == 400 and text == case[2] .. "\n", "%s: status %d, %s", case[1], code, text)
  end
  return #wrong
end

-- Calls f(what a worker says of itself, its pid) for both workers; returns their pids.
local function workers(server, port, f)
  local pids, said = server:children(), {}
  demand(#pids == 2, "%d workers", #pids)
  process.wait("answer from both workers", function()
    local s = status(port)
    said[s.pid] = s
    return said[pids[1]] and said[pids[2]]
  end)
  for _, pid in ipairs(pids) do f(said[pid], pid) end
  return pids
end

local function settled(s, pid)
  demand(s.loads == 1, "worker %d has loaded the model %d times", pid, s.loads)
  demand(process.status(pid, "Threads") == 1, "worker %d has threads", pid)
end

-- Live bytes of Lua in both workers; the only tensors are the model's.
local function live(server, port)
  local bytes = {}
  workers(server, port, function(s, pid)
    demand(s.tensors <= TENSORS, "worker %d has %d bytes of tensors", pid, s.tensors)
    bytes[#bytes + 1] = s.lua
  end)
  return bytes
end

-- -- load ----------------------------------------------------------------------------------

local function total(pids, f, ...)
  local sum = 0
  for _, pid in ipairs(pids) do sum = sum + f(pid, ...) end
  return sum
end

-- Requests a second of n requests on 16 kept connections; all must succeed.
local function load_run(n, uris)
  local text = process.output(("%s --h1 -n %d -c 16 -t 1 -i '%s'"):format(LOAD, n, uris))
  local rate = text:match "([%d.]+) req/s"
  local good = text:match "status codes: (%d+) 2xx, 0 3xx, 0 4xx, 0 5xx"
  demand(tonumber(good) == n and text:find(" 0 failed, 0 errored, 0 timeout", 1, true),
    "of %d requests: %s", n, text:match "requests: [^\n]*\nstatus codes: [^\n]*" or text)
  return tonumber(rate)
end

local function under_load(say, server, port, uris)
  local pids = server:children()
  local alone = load_run(WARM, uris.echo)
  uris = uris.score
  load_run(FIRST, uris)
  local first = live(server, port)
  load_run(FIRST, uris) -- live has collected all: the collector takes its usual pace again
  local memory, seconds = total(pids, process.status, "VmRSS"), total(pids, process.seconds)
  local rates = {}
  for i = 1, 3 do rates[i] = load_run(PART, uris) end
  table.sort(rates)
  seconds = total(pids, process.seconds) - seconds
  local growth = total(pids, process.status, "VmRSS") - memory
  say("%d requests, no error; %.0f requests/s (median of 3 x %d: %.0f %.0f %.0f)",
    2 * FIRST + 3 * PART, rates[2], PART, rates[1], rates[2], rates[3])
  say("%d requests that are only echoed: %.0f requests/s", WARM, alone)
  say("a request takes %.1f us of a worker: 2 cores to themselves make %.0f/s",
    seconds / (3 * PART) * 1e6, 6 * PART / seconds)
  say("memory of both workers after %d: %d kB; after %d more: %+d kB", 2 * FIRST, memory, 3 * PART,
    growth)
  demand(growth <= GROWTH, "memory has grown by %d kB", growth)
  for i, bytes in ipairs(live(server, port)) do
    local more = (bytes - first[i]) / 1024
    say("live values of worker %d: %.0f kB, %+.1f kB since", i, bytes / 1024, more)
    demand(more <= LIVE, "live values have grown by %.1f kB", more)
  end
  -- On a machine that others use, what the workers computed tells more than the clock.
  local rate = (os.getenv "NOISY" or "") ~= "" and 6 * PART / seconds or rates[2]
  demand(rate >= ASKED, "%.0f requests/s, %d are asked (NOISY=1: by processor time)",
    rate, ASKED)
end

-- -- the check -------------------------------------------------------------------------------

-- A file of a hundred requests to a path; its name.
local function uris(folder, port, path, rows)
  local list, name = {}, folder .. "/" .. path
  for i = 1, 100 do
    list[i] = ("http://127.0.0.1:%d/%s?%s\n"):format(port, path, row_text(rows[i]))
  end
  process.write(name, table.concat(list))
  return name
end

local function check(say, folder)
  local linked = process.output("ldd " .. MAGNET)
  demand(linked:find "liblua5%.4", "mod_magnet has another Lua:\n%s", linked)
  local saved = folder .. "/digits.safetensors"
  local text, ok = process.output(("%s %s/train.lua '%s'"):format(
    os.getenv "LUA" or "lua5.4", here, saved))
  demand(ok, "train.lua: %s", text)
  say("%s", text:gsub("%s+$", ""))

  local port = process.port()
  local conf = folder .. "/lighttpd.conf"
  process.write(conf, process.fill(here .. "/lighttpd.conf",
    { folder = folder, port = tostring(port) }))
  local script = process.read(here .. "/score.lua")
  process.write(folder .. "/score.lua", script)
  local server <close> = process.start({ LIGHTTPD, "-D", "-f", conf }, { MODEL = saved,
    LUA_PATH = here .. "/?.lua;" .. os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH" })
  server:listens(port)

  local model = assert(mare.nn.load(saved)):eval()
  local rows = mare.data.digits().x:totable()
  say("%d digits answered as by the model in plain Lua", answers(port, model, rows))
  say("%d wrong requests refused with 400 and a message", refusals(port))
  local pids = workers(server, port, settled)
  say("2 workers, each with the model loaded once and no thread of its own")
  under_load(say, server, port,
    { echo = uris(folder, port, "echo", rows), score = uris(folder, port, "score", rows) })
  say("%d wrong requests refused again", refusals(port))

  process.write(folder .. "/score.lua", script .. "-- edited\n") -- it is compiled again
  say("%d digits answered after the script was edited", answers(port, model, rows))
  server:signal "USR1" -- all Lua states are closed, then everything starts again
  process.wait("new workers", function()
    for _, pid in ipairs(server:children()) do
      if pid == pids[1] or pid == pids[2] then return false end
    end
    return #server:children() == 2
  end)
  say("%d digits answered after a restart of the workers", answers(port, model, rows))
end

return { check = check,
  programs = { [LIGHTTPD] = "lighttpd", [MAGNET] = "lighttpd-modules-lua",
    [LOAD] = "nghttp2-client" } }
