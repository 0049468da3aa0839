-- run.lua -- the side-by-side timings: `make bench`, or `make bench-quick`.
--
-- Each round runs every side once, one after the other, so that a noisy minute hits
-- all of them; a figure is the median over the rounds, and PyTorch's is the best of
-- its settings (threads and BLAS). Rows, and what is asked of each, stand in `rows`.
-- With NOISY=1 in the environment, for a machine that others use too, every side takes
-- the lowest tenth of blocks of a millisecond and not the median of long blocks, and the
-- best of its rounds.
-- With MARKDOWN=1 the table is one for a README.  With LEDGER=file what was measured is
-- noted there, row by row: begun again with that file, a run that was cut short goes on.
-- Arguments: quick | full, then the groups wanted (all): networks hessian products
-- elements optimizers models data busy; models and data, which takes 3 GB of memory and 1.2 GB
-- of temporary files, are not part of quick.

local function set(name) -- an empty variable is none
  return (os.getenv(name) or "") ~= ""
end

local quick, noisy = arg[1] == "quick", set "NOISY"
local groups = { "networks", "hessian", "products", "elements", "optimizers", "models", "data", "busy" }
local wanted, slow = {}, { models = true, data = true }
for _, name in ipairs(groups) do wanted[name] = #arg < 2 and not (quick and slow[name]) end
for i = 2, #arg do wanted[arg[i]] = true end

local LUA = os.getenv "LUA" or arg[-1] or "lua5.4"
local PYTHON = os.getenv "PYTHON" or "/usr/bin/python3"
local DIRECT = os.getenv "DIRECT" or "build/bench/direct"
local HERE = arg[0]:match "^(.*)/" or "."

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  return text, pipe:close()
end

local CORES = math.tointeger(tonumber((capture "nproc"))) or 1
local ARCH = capture "gcc -print-multiarch":match "%S*"

-- -- settings of the sides ------------------------------------------------------------

local function torch(blas, threads)
  local env = ("LD_LIBRARY_PATH=/usr/lib/%s/%s OMP_NUM_THREADS=%d OPENBLAS_NUM_THREADS=%d "
    .. "BLIS_NUM_THREADS=%d"):format(ARCH, blas, threads, threads, threads)
  return { name = ("torch %s %d"):format(blas, threads), side = "torch",
    command = ("%s %s %s/torch_side.py"):format(env, PYTHON, HERE) }
end

local mare = { name = "mare", side = "mare", command = ("%s %s/mare_side.lua"):format(LUA, HERE) }
local serial = { name = "serial", side = "serial",
  command = ("MARE_THREADS=1 %s %s/mare_side.lua"):format(LUA, HERE) }
local direct = { name = "direct", side = "direct",
  command = ("OMP_NUM_THREADS=%d %s"):format(CORES, DIRECT) }

local network_settings = { torch("openblas-pthread", 1), torch("openblas-openmp", CORES) }
if not quick then
  for _, blas in ipairs { "openblas-pthread", "openblas-openmp", "blis-openmp" } do
    for _, threads in ipairs { 1, CORES } do
      network_settings[#network_settings + 1] = torch(blas, threads)
    end
  end
  table.remove(network_settings, 1)
  table.remove(network_settings, 1)
end
local plain_settings = { torch("openblas-openmp", 1), torch("openblas-openmp", CORES) }

local function sklearn(dtype, threads)
  local env = ("DTYPE=%s OMP_NUM_THREADS=%d OPENBLAS_NUM_THREADS=%d"):format(dtype, threads, threads)
  return { name = ("sklearn %s %d"):format(dtype, threads), side = "sklearn",
    command = ("%s %s %s/models_sklearn.py"):format(env, PYTHON, HERE) }
end

local mare_models = { name = "mare models", side = "mare models",
  command = ("%s %s/models.lua"):format(LUA, HERE) }
local model_settings = { sklearn("f4", 1), sklearn("f4", CORES), sklearn("f8", 1),
  sklearn("f8", CORES) }

-- -- rows -------------------------------------------------------------------------------

local SIZES = { "1e6", "1e7" }

-- bytes moved for one value
local bytes = { add = 12, mul = 12, exp = 8, sigmoid = 8, relu = 8, sum = 4, transpose = 8,
  copy = 8 }

local rows = {}
local function row(r) rows[#rows + 1] = r end

-- times: the other side's seconds over Maré's
row { "XOR 2-8-1, Adam, step", "xor", "torch", "xor", 50 }
row { "56-100-100-100-1, batch 16, Adam, step", "mlp56", "torch", "mlp56", 10 }
row { "784-256-10, one sample", "one sample", "torch", "one sample", 7 }
row { "784-256-10, batch 32, Adam, step", "fashion 32", "torch", "fashion 32", 2.5 }
row { "784-256-10, batch 128, Adam, step", "fashion 128", "torch", "fashion 128", 2 }
for _, batch in ipairs { 32, 128 } do
  local id = "fashion " .. batch
  row { ("  of the bound, batch %d: BLIS's products, Adam's bytes"):format(batch), id, "direct",
    "bound " .. batch, 0.75 }
  row { "  the same with Maré's own products", id, "direct", "best bound " .. batch }
end
row { "Hessian of 49 parameters, tanh", "hessian", "torch", "hessian", 10 }
row { "taped add of 4 + 4 values", "taped add", "fixed", 400e-9, 1 }
row { "  against PyTorch", "taped add", "torch", "taped add" }
for _, n in ipairs { 64, 96, 128, 192, 256, 384, 512, 768, 1024 } do
  local name = "gemm " .. n
  row { ("product %d, against threaded BLIS"):format(n), name, "direct", name, 0.95 }
end
for _, n in ipairs { 2, 3, 4, 6, 8, 12, 16 } do
  row { ("product %d in C, against OpenBLAS"):format(n), "product " .. n, "direct",
    "openblas " .. n, 0.9, from = "direct" }
  row { ("product %d from Lua, against PyTorch"):format(n), "matmul " .. n, "torch", "matmul " .. n, 0.9 }
end
for _, size in ipairs(SIZES) do
  for _, name in ipairs { "add", "mul", "exp", "tanh", "sigmoid", "relu", "sum", "argmax",
    "softmax", "transpose", "randn", "copy" } do
    for _, where in ipairs { "new", "given" } do
      local id = ("%s %s %s"):format(name, size, where)
      row { id, id, "torch", id, 1 }
      -- a copy of as many bytes, or the same operation on what the caches hold: what is slower
      if bytes[name] and (where == "given" or name == "sum") then
        row { "  of copy bandwidth", id, "direct", ("copy %s %d"):format(size, bytes[name]), 0.8,
          or_slower = name .. " cached", times = tonumber(size) / 5e5 }
      end
    end
  end
end
-- A step on 10^7 values: bytes moved for one of them (muon's products are not memory's
-- affair), whether PyTorch 1.13 has it.
for _, o in ipairs { { "sgd", 12, true }, { "sgd momentum", 20, true }, { "asgd", 20, true },
  { "adagrad", 20, true }, { "adadelta", 28, true }, { "rmsprop", 20, true },
  { "rmsprop centered", 28, true }, { "rprop", 28, true }, { "adam", 28, true },
  { "adam amsgrad", 36, true }, { "adamw", 28, true }, { "adamax", 28, true },
  { "nadam", 28, true }, { "radam", 28, true }, { "adabelief", 28 }, { "lion", 20 },
  { "lars", 28 }, { "lamb", 40 }, { "adafactor", 28 }, { "clip_norm", 12, true },
  { "ema", 12, true } } do
  local id, moved = "optimizer " .. o[1], o[2]
  if o[3] then row { id, id, "torch", id, 1 } end
  row { o[3] and "  of copy bandwidth" or id .. ", of copy bandwidth", id, "direct", "copy 1e7 8",
    0.8, scale = moved / 8 }
end
row { "optimizer muon, of its products' time", "optimizer muon", "mare", "muon products", 0.8 }

-- estimators on Fashion-MNIST, 60,000 x 784, against scikit-learn
for _, r in ipairs { { "SoftmaxRegression fit", 5 },
    { "LDA fit", 10 }, { "LDA predict" }, { "QDA fit", 10 }, { "QDA predict", 10 },
    { "GaussianNB fit", 20 }, { "GaussianNB predict", 20 }, { "BernoulliNB fit", 10 },
    { "BernoulliNB predict", 10 }, { "MultinomialNB fit", 4 }, { "MultinomialNB predict", 4 },
    { "KMeans fit", 2 }, { "PCA fit", 8 }, { "KNN predict", 1 },
    { "LinearRegression fit", 8 }, { "Ridge fit", 8 }, { "Lasso fit" } } do
  row { r[1] .. ", against scikit-learn", r[1], "sklearn", r[1], r[2], from = "mare models" }
end

-- files and batches
row { "CSV of 1,000,000 x 10, against pandas", "csv", "python data", "csv", 3, from = "mare data" }
row { "safetensors of 1 GB, read, against a copy", "load", "python data", "copy to new memory", 1,
  from = "mare data" }
row { "  against a copy to old memory", "load", "python data", "copy to old memory",
  from = "mare data" }
row { "  against NumPy's fromfile", "load", "python data", "fromfile", 1, from = "mare data" }
row { "  mapped and summed, against a copy", "map and sum", "python data", "copy to new memory", 1,
  from = "mare data" }
local function cost(title, name, target)
  row { title, name, "mare data", "step 128", target, scale = 0.05, from = "mare data" }
end
cost("u8 images, batch 128, of 5 % of a step", "batch 128", 1)
cost("  waiting for them", "waiting 128", 1)
cost("  against steps on one hot batch", "batch, none moving 128")

-- with one core kept busy by another process
row { "busy core: batch 32, of the quiet speed", "fashion 32", "mare quiet", "fashion 32", 0.6,
  from = "mare busy" }
row { "busy core: batch 128, of the quiet speed", "fashion 128", "mare quiet", "fashion 128", 0.6,
  from = "mare busy" }
for _, n in ipairs { 64, 128, 256, 512, 1024 } do
  local name = "gemm " .. n
  row { ("busy core: product %d, against one thread"):format(n), name, "serial busy", name, 1,
    from = "mare busy" }
  row { "  threaded BLIS, against one thread", name, "direct busy", name .. " serial",
    from = "direct busy" }
end
row { "busy core: batch 128, against PyTorch", "fashion 128", "torch busy", "fashion 128",
  from = "mare busy" }

-- -- measuring ----------------------------------------------------------------------------

local figures = {} -- [setting's name][row] = list of seconds

local function note(setting, text)
  local list = figures[setting.name] or { side = setting.side }
  figures[setting.name] = list
  for name, seconds in text:gmatch "([^\t\n]+)\t(%S+)\n" do
    list[name] = list[name] or {}
    table.insert(list[name], tonumber(seconds))
  end
end

-- What was measured before: the text that a process printed, by which of them it was.
local LEDGER = os.getenv "LEDGER"
local known, turn = {}, {}

local function read_ledger()
  local f = LEDGER and io.open(LEDGER)
  if not f then return end
  for key, text in f:read "a":gmatch "%[([^\n]*)%]\n([^%[]*)end\n" do known[key] = text end
  f:close()
end

local function note_in_ledger(key, text)
  local f = LEDGER and assert(io.open(LEDGER, "a"))
  if not f then return end
  f:write("[", key, "]\n", text, "end\n")
  f:close()
end

-- The n-th time that a setting measures a family is one process, and one entry.
local function measure_family(setting, seconds, pattern)
  local which = setting.name .. " " .. pattern
  turn[which] = (turn[which] or 0) + 1
  local key = which .. " " .. turn[which]
  if known[key] then return note(setting, known[key]) end
  local text, ok = capture(("%s %g '%s'"):format(setting.command, seconds, pattern))
  if ok then note_in_ledger(key, text)
  else io.stderr:write("\n", setting.name, " failed at ", pattern, "\n") end
  note(setting, text)
end

-- Each family of rows in a process of its own: what rows before have left in the heap
-- and in the caches costs small ones up to a factor of two.
local function measure(setting, seconds, ...)
  io.stderr:write("\r\27[K  ", setting.name, " ")
  for _, pattern in ipairs { ... } do measure_family(setting, seconds, pattern) end
end

local function as(setting, name)
  return { name = name, side = name, command = setting.command }
end

-- A process that only counts; it ends by itself should this one be killed.
local function while_busy(run)
  local pid = capture "timeout 300 sh -c 'while :; do :; done' >/dev/null & echo $!":match "%d+"
  local ok, message = pcall(run)
  os.execute("kill " .. pid)
  if not ok then error(message, 0) end
end

-- What `require "mare"` costs: time, memory, and the module's own size.
local function measure_loading()
  local script = [[local start = os.clock()
    require "mare"
    local ms = (os.clock() - start) * 1e3
    local kb = io.open "/proc/self/status":read "a":match "VmHWM:%s*(%d+)"
    print(ms, kb / 1024, io.open(package.searchpath("mare.core", package.cpath)):seek "end" / 2^20)]]
  local all = { {}, {}, {} }
  for _ = 1, 9 do
    local i = 0
    for figure in capture(("%s -e '%s'"):format(LUA, script)):gmatch "%S+" do
      i = i + 1
      table.insert(all[i], tonumber(figure))
    end
  end
  return all
end

-- -- groups: one round of each -------------------------------------------------------------

local round = {}

function round.networks(seconds)
  local names = { "^xor", "^mlp", "^one", "^fashion", "^taped", "^matmul" }
  for i, setting in ipairs(network_settings) do
    measure(setting, seconds, table.unpack(names))
    if i % 2 == 1 then measure(mare, seconds / (quick and 1 or 2), table.unpack(names)) end
  end
  measure(direct, seconds / 2, "bound")
end

function round.hessian(seconds)
  for _, setting in ipairs(network_settings) do measure(setting, seconds, "^hessian") end
  measure(mare, seconds, "^hessian")
end

function round.products(seconds)
  measure(direct, seconds / 2, "gemm", "small")
  measure(mare, seconds / 2, "^gemm")
end

function round.elements(seconds)
  local names = quick and { " 1e6 ", " cached" } or { " 1e6 ", " 1e7 ", " cached" }
  for _, setting in ipairs(plain_settings) do
    measure(setting, seconds / 2, table.unpack(names))
    measure(mare, seconds / 4, table.unpack(names))
  end
  measure(direct, seconds / 2, "copy")
end

function round.optimizers(seconds)
  measure(direct, seconds / 2, "copy")
  measure(mare, seconds / 2, "^optimizer", "^muon")
  for _, setting in ipairs(plain_settings) do measure(setting, seconds, "^optimizer") end
end

-- scikit-learn takes minutes for these: once is enough
function round.models(_, i)
  if i > 1 then return end
  for _, family in ipairs { "^LDA", "^QDA", "NB$", "^KMeans", "^PCA", "^KNN",
    "^LinearRegression", "^Ridge", "^Lasso", "^SoftmaxRegression" } do
    for _, setting in ipairs(model_settings) do
      measure(setting, 1, family)
      measure(mare_models, 0.5, family)
    end
  end
end

function round.data()
  local folder = os.tmpname()
  os.remove(folder)
  capture(("mkdir %s && %s %s/data.lua %s make"):format(folder, LUA, HERE, folder))
  for name, command in pairs { ["mare data"] = LUA .. " %s/data.lua %s",
    ["python data"] = PYTHON .. " %s/data.py %s" } do
    io.stderr:write("\r\27[K  ", name, " ")
    local text, ok = capture(command:format(HERE, folder))
    if not ok then io.stderr:write("\n", name, " failed\n") end
    note({ name = name, side = name }, text)
  end
  os.execute("rm -r " .. folder)
end

function round.busy(seconds)
  measure(as(mare, "mare quiet"), seconds, "^fashion")
  while_busy(function()
    measure(as(mare, "mare busy"), seconds, "^gemm", "^fashion")
    measure(as(serial, "serial busy"), seconds, "^gemm")
    measure(as(direct, "direct busy"), seconds / 2, "gemm")
    measure(as(network_settings[2], "torch busy"), seconds, "^fashion 128")
  end)
end

-- -- the table --------------------------------------------------------------------------

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return sorted[#sorted // 2 + 1]
end

-- what a setting needs for a row: on a noisy machine the best of its processes, as cores differ
-- by what others do on them
local function time_of(list) return noisy and math.min(table.unpack(list)) or median(list) end

-- the best of a side's settings, and the setting's name
local function best(side, name)
  local seconds, which
  for setting, list in pairs(figures) do
    if (list.side == side or setting == side) and list[name] then
      local m = time_of(list[name])
      if not seconds or m < seconds then seconds, which = m, setting end
    end
  end
  return seconds, which
end

local units = { { 1, "s" }, { 1e-3, "ms" }, { 1e-6, "us" }, { 0, "ns" } }
local function human(seconds)
  for _, u in ipairs(units) do
    if seconds >= u[1] then
      return ("%.3g %s"):format(seconds / (u[1] > 0 and u[1] or 1e-9), u[2])
    end
  end
end

local passed, failed, absent = 0, 0, 0
local function show(r)
  local title, name, side, other, target = table.unpack(r)
  local ours = best(r.from or "mare", name)
  local theirs, which
  if side == "fixed" then theirs, which = other, "" else theirs, which = best(side, other) end
  if not ours or not theirs then
    absent = absent + (target and 1 or 0)
    return
  end
  local within = r.or_slower and best("mare", r.or_slower)
  if within and within * r.times > theirs then
    theirs, which, title = within * r.times, "mare", "  of its speed in the caches"
  end
  local ratio = theirs * (r.scale or 1) / ours
  local verdict = ""
  if target then
    verdict = ratio >= target and "ok" or "MISSED"
    if ratio >= target then passed = passed + 1 else failed = failed + 1 end
  end
  if set "MARKDOWN" then
    return print(("| %s | %s | %s | %.2f | %s |"):format(title, human(ours),
      human(theirs * (r.scale or 1)), ratio, target and ("%g"):format(target) or ""))
  end
  print(("%-44s %10s %10s  %6.2f  %6s  %-6s %s"):format(title, human(ours),
    human(theirs * (r.scale or 1)), ratio, target and ("%g"):format(target) or "", verdict,
    which:gsub("^torch ", "")))
end

read_ledger()
local rounds, seconds = quick and 1 or 3, quick and 0.06 or 0.3
local started = os.time()
for i = 1, rounds do
  io.stderr:write(("\r\27[Kround %d of %d\n"):format(i, rounds))
  for _, group in ipairs(groups) do
    if wanted[group] then round[group](seconds, i) end
  end
end
io.stderr:write "\r\27[K"

local function show_loading()
  local limits = { { "require \"mare\"", "ms", 15 }, { "  memory after it", "MB", 25 },
    { "  core.so", "MB", 1 } }
  for i, list in ipairs(measure_loading()) do
    local title, unit, limit = table.unpack(limits[i])
    local figure = median(list)
    local ok = figure < limit
    if ok then passed = passed + 1 else failed = failed + 1 end
    print(("%-44s %7.3g %s %10s  %6s  %6s  %s"):format(title, figure, unit, "", "",
      "< " .. limit, ok and "ok" or "MISSED"))
  end
end

if set "MARKDOWN" then
  print "| | Maré | other | times | asked |\n|---|---|---|---|---|"
else
  print(("%-44s %10s %10s  %6s  %6s"):format("", "Maré", "other", "times", "target"))
end
for _, r in ipairs(rows) do show(r) end
show_loading()
print(("\n%d targets met, %d missed, %d not measured; %d cores, %d rounds, %d s"):format(passed,
  failed, absent, CORES, rounds, os.time() - started))
