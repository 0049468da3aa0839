-- mutants.lua -- perturbs every formula and derivative of ops.def and optim.def, and
-- every gradient of a structured operation (its text in Lua and its fused form in C),
-- runs the specs of that row and lists the mutants that no spec noticed.
--
-- Rows that do not use one another are perturbed in the same build, each judged by the
-- failed tests that bear its name ("value exp: ...", "adam finds ..."). Only the plain
-- kernels are built, hardly optimized; other instruction sets are linked to them.
-- Arguments: patterns of row names. JOBS: builds at a time. Fails below 99 %.

local NEEDED = 0.99
local JOBS = tonumber(os.getenv "JOBS") or tonumber(io.popen("nproc"):read "a") or 2
local DIR = "build/mutants"
local CC = os.getenv "CC" or "gcc"

local function read(path)
  local f = assert(io.open(path))
  local text = f:read "a"
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end

local function shell(format, ...)
  local command = format:format(...)
  return assert(os.execute(command), command)
end

-- -- rows and their places in the text ------------------------------------------------

-- The arguments of a macro call whose parenthesis opens at `open`: list of {first, last}.
local function arguments(text, open)
  local list, depth, first, i = {}, 0, open + 1, open
  while true do
    local c = text:sub(i, i)
    if c == '"' then
      i = text:find('[^\\]"', i) + 1
    elseif c == "(" then
      depth = depth + 1
    elseif c == ")" or c == "," then
      depth = depth - (c == ")" and 1 or 0)
      if depth == 0 or (depth == 1 and c == ",") then
        list[#list + 1] = { first, i - 1 }
        first = i + 1
      end
      if depth == 0 then return list, i end
    end
    i = i + 1
  end
end

local function blank_comments(text)
  return (text:gsub("/%*.-%*/", function(c) return (c:gsub("[^\n]", " ")) end))
end

-- For each macro: arguments before the formulas (the name, parameters), after them.
local shape = {
  UNARY = { 1, 4 }, ARITH1 = { 1, 4 }, BINARY = { 1, 4 }, ARITH2 = { 1, 4 }, LOSS = { 1, 4 },
  TERNARY = { 1, 4 }, SELECT = { 1, 4 }, PARAM1 = { 3, 4 }, LOSS1 = { 3, 4 }, PARAM2 = { 5, 4 },
  ROUNDED1 = { 1, 4 },
  ROUNDED2 = { 1, 4 }, ROUNDED1P = { 3, 4 }, COMPARE = { 1, 1 }, LOGICAL1 = { 1, 1 }, LOGICAL2 = { 1, 1 },
}

-- What is done to a formula; `truth` formulas are 0 or 1.
local perturbations = {
  { "times 1.01", function(e) return ("((%s)*R(1.01))"):format(e) end },
  { "plus 0.01", function(e) return ("((%s) + R(0.01))"):format(e) end },
}
local truth = { { "turned round", function(e) return ("where((%s), 0, 1)"):format(e) end } }

-- The mutants of one formula at text[first..last].
local function mutate(list, file, row, what, text, first, last, ways)
  local formula = text:sub(first, last):match "^%s*(.-)%s*$"
  for _, way in ipairs(ways or perturbations) do
    local same = formula == "0" and way[1] == "times 1.01" -- 0 stays 0
    if not same then
      list[#list + 1] = { file = file, row = row, what = ("%s %s"):format(what, way[1]),
        first = first, last = last, text = way[2](formula) }
    end
  end
end

local function ops_mutants(list, uses)
  local file = "src/ops/ops.def"
  local text = blank_comments(read(file))
  local position = 1
  while true do
    local _, open, macro = text:find("\n([A-Z]+[12]?P?)%(", position)
    if not open then break end
    local args, close = arguments(text, open)
    position = close
    local name = text:sub(args[1][1], args[1][2])
    local before, after = table.unpack(shape[macro] or error("unknown macro " .. macro))
    for i = before + 1, #args - after do
      local what = i == before + 1 and "formula" or "derivative " .. i - before - 1
      mutate(list, file, name, what, text, args[i][1], args[i][2], after == 1 and truth or nil)
    end
    uses[name] = {}
    for word in text:sub(args[before + 1][1], args[#args - after][2]):gmatch "[%a_][%w_]*" do
      uses[name][word] = true
    end
  end
end

local function optim_mutants(list, uses)
  local file = "src/learn/optim.def"
  local text = blank_comments(read(file))
  -- what a row does to matrices is judged by the tests of the row
  local function judged(name) return (name:gsub("_matrix$", "")) end
  for _, kind in ipairs { "step", "tensor" } do
    for name, start in text:gmatch("#define ([%w_]+)_" .. kind .. "%(C%)()") do
      local stop = text:find("\n%f[%w][%w_]*", start) or #text
      for open in text:sub(1, stop):gmatch("%f[%w_]C()%(", start) do
        local args = arguments(text, open)
        if args[2] then
          mutate(list, file, judged(name), "constant " .. text:sub(args[1][1], args[1][2]), text,
            args[2][1], args[2][2])
        end
      end
    end
  end
  for macro, open in text:gmatch "\n([A-Z]+)()%(" do
    local args = arguments(text, open)
    local name = judged(text:sub(args[1][1], args[1][2]))
    uses[name] = uses[name] or {}
    for i = 2, macro == "TENSORWISE" and 4 or macro == "OPTIMIZER" and 2 or 1 do
      local position = args[i][1]
      while true do
        local _, last, variable, first = text:find("([%w_]+) =()[^;]*;", position)
        if not last or last > args[i][2] then break end
        mutate(list, file, name, "update of " .. variable, text, first, last - 1)
        position = last + 1
      end
    end
  end
end

-- -- batches: rows that do not touch one another ----------------------------------------

-- Rows that the specs themselves compute with: each is perturbed alone.
local alone = {}
for name in ([[add sub mul div neg abs maximum minimum where eq ne lt le gt ge square sqrt
  logical_and logical_or logical_not pow exp log]]):gmatch "%S+" do alone[name] = true end

local function closure(uses, name, seen)
  for word in pairs(uses[name] or {}) do
    if uses[word] and not seen[word] and word ~= name then
      seen[word] = true
      closure(uses, word, seen)
    end
  end
  return seen
end

local function fits(batch, mutant, reach)
  for _, other in ipairs(batch) do
    if other.row == mutant.row or alone[other.row] or alone[mutant.row]
      or other.file ~= mutant.file or reach[other.row][mutant.row]
      or reach[mutant.row][other.row] then
      return false
    end
  end
  return true
end

local function batches_of(list, uses)
  local reach, batches = {}, {}
  for name in pairs(uses) do reach[name] = closure(uses, name, {}) end
  for _, mutant in ipairs(list) do
    local placed
    for _, batch in ipairs(batches) do
      if fits(batch, mutant, reach) then
        batch[#batch + 1] = mutant
        placed = true
        break
      end
    end
    if not placed then batches[#batches + 1] = { mutant } end
  end
  return batches
end

-- -- building and judging -----------------------------------------------------------------

-- What is rebuilt for a file of rows, and the other instruction sets' tables.
local parts = {
  ["src/ops/ops.def"] = {
    sources = { "src/ops/apply.c", "src/ops/kernels_base.c" },
    left_out = { "ops/apply", "ops/kernels_base", "ops/kernels_avx2", "ops/kernels_avx512" },
    tables = { "mare_kernels", "mare_run" }, level = "-O0", after = ":",
    specs = "spec/ops_spec.lua spec/limits_spec.lua",
  },
  ["src/learn/optim.def"] = {
    sources = { "src/learn/optim.c", "src/learn/optim_base.c" },
    left_out = { "learn/optim", "learn/optim_base", "learn/optim_avx2" },
    tables = { "mare_optim" }, level = "-O1", after = "%f[^%w_]",
    specs = "spec/optim_spec.lua spec/optim_reference_spec.lua spec/optim_wrappers_spec.lua",
  },
}

local function objects_without(names)
  local gone = {}
  for _, name in ipairs(names) do gone["build/obj/" .. name .. ".o"] = true end
  local kept = {}
  for source in io.popen "find src -name '*.c' ! -name '*.inc.c'":lines() do
    local object = source:gsub("^src", "build/obj"):gsub("c$", "o")
    if not gone[object] then kept[#kept + 1] = object end
  end
  return table.concat(kept, " ")
end

-- A tree of links to the sources in which one file of rows is changed.
local function write_tree(dir, file, batch)
  shell("rm -rf %s && mkdir -p %s/mare && cp -rs \"$PWD/src\" %s/src && rm %s/%s", dir, dir, dir,
    dir, file)
  local text = blank_comments(read(file))
  table.sort(batch, function(a, b) return a.first > b.first end)
  for _, m in ipairs(batch) do
    text = text:sub(1, m.first - 1) .. " " .. m.text .. text:sub(m.last + 1)
  end
  write(dir .. "/" .. file, text)
  for _, source in ipairs(parts[file].sources) do
    local plain = read(source):gsub("#pragma GCC optimize[^\n]*", "")
    os.remove(dir .. "/" .. source)
    write(dir .. "/" .. source, plain)
  end
end

-- The command that builds the tree and runs the specs of its rows.
local function command(dir, file, batch)
  local part = parts[file]
  local c = { "exec 2>&1" }
  local function add(...) c[#c + 1] = string.format(...) end
  for i, source in ipairs(part.sources) do
    add("%s -std=gnu11 -fPIC -fvisibility=hidden %s -fwrapv -c -o %s/%d.o %s/%s || exit 9", CC,
      part.level, dir, i, dir, source)
  end
  local defsym = {}
  for _, name in ipairs(part.tables) do
    for _, isa in ipairs { "avx2", "avx512" } do
      defsym[#defsym + 1] = ("-Wl,--defsym=%s_%s=%s_base"):format(name, isa, name)
    end
  end
  add("%s -shared -o %s/mare/core.so %s/*.o %s %s -lblis -lz -lm -lpthread || exit 9", CC, dir, dir,
    objects_without(part.left_out), table.concat(defsym, " "))
  local filters = {}
  for i, m in ipairs(batch) do filters[i] = ("--filter='%%f[%%w_]%s%s'"):format(m.row, part.after) end
  add("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='%s/?.so;;' timeout 120 lua5.4 "
    .. "/usr/bin/busted -o spec/tools/failures.lua %s %s", dir, table.concat(filters, " "),
    part.specs)
  add("echo status $?; rm -rf %s", dir)
  return table.concat(c, "\n")
end

local red = {}      -- names of specs that failed before anything was changed
local serial = 0
local function start(batch, file)
  serial = serial + 1
  local dir = ("%s/%d"):format(DIR, serial)
  file = file or batch[1].file
  write_tree(dir, file, batch)
  write(dir .. ".sh", command(dir, file, batch))
  return { batch = batch, pipe = io.popen("sh " .. dir .. ".sh"), name = dir }
end

-- Marks the mutants that a failed test names; false when the run itself broke.
local function judge(job)
  local output = job.pipe:read "a"
  job.pipe:close()
  os.remove(job.name .. ".sh")
  local status = tonumber(output:match "status (%d+)")
  local finished = output:find "\nfinished"
  if not status then
    io.stderr:write(output)
    error("a mutant did not build: " .. job.batch[1].row .. ", " .. job.batch[1].what)
  end
  for _, m in ipairs(job.batch) do
    m.killed = false
    for name in output:gmatch "FAILED ([^\n]*)" do
      if not red[name] and name:find("%f[%w_]" .. m.row .. parts[m.file].after) then
        m.killed = true
      end
    end
  end
  if finished then return true end
  if #job.batch == 1 then job.batch[1].killed = true end -- a crash is noticed too
  return #job.batch == 1
end

-- Without a mutant the specs must load and run to their end, built in the same way; tests
-- that are red then are named, and count for nothing later.
local function check_green()
  for file in pairs(parts) do
    local job = start({}, file)
    local output = job.pipe:read "a"
    job.pipe:close()
    if not output:find "\nfinished" or output:find "FAILED suite " then
      io.stderr:write(output)
      error("the specs of " .. file .. " break before anything was changed", 0)
    end
    for name in output:gmatch "FAILED ([^\n]*)" do
      print("red without a mutant: " .. name)
      red[name] = true
    end
  end
end

local function run(queue)
  local running, again, done = {}, {}, 0
  while #queue > 0 or #running > 0 do
    while #queue > 0 and #running < JOBS do running[#running + 1] = start(table.remove(queue)) end
    local job = table.remove(running, 1)
    if not judge(job) then
      for _, m in ipairs(job.batch) do again[#again + 1] = { m } end
    end
    done = done + 1
    io.stderr:write(("\r%d builds done, %d to do "):format(done, #queue + #running))
  end
  if #again > 0 then run(again) end
end

-- -- structured operations: one build, told by its environment what to perturb ----------------

local MOST_ARGUMENTS = 4

-- backward.c with a hook behind the fused gradients
local hook = [[
#include <stdio.h>
#include <stdlib.h>
static void perturb(Back *b, int i, mare_Tensor *gx) {
  const char *m = getenv("MARE_FUSED");
  char name[64];
  snprintf(name, sizeof name, "%s %d", b->node->op->name, i + 1);
  if (m == NULL || strcmp(m, name) != 0) return;
  mare_Tensor *t = back_tensor(b, gx->dtype, gx->ndim, gx->shape);
  mare_copy(t, gx);
  for (int64_t k = 0; k < t->numel; k++)
    if (t->dtype == MARE_F32) ((float *)t->data)[k] *= 1.01f;
    else ((double *)t->data)[k] *= 1.01;
  *gx = *t;
  fprintf(stderr, "PERTURBED\n");
}
]]

local function build_hooked(dir)
  local text = read "src/bind/backward.c"
  local found
  text, found = text:gsub("else n%->op%->vjp%(b, i, &gx%);",
    "else { n->op->vjp(b, i, &gx); perturb(b, i, &gx); }")
  assert(found == 1, "backward.c calls its fused gradients in another way now")
  text = text:gsub("\nstatic void step%(", function(head) return "\n" .. hook .. head end)
  shell("mkdir -p %s/mare && cp -rs \"$PWD/src\" %s/src && rm %s/src/bind/backward.c", dir, dir, dir)
  write(dir .. "/src/bind/backward.c", text)
  shell("%s -std=gnu11 -fPIC -fvisibility=hidden -O1 -I/usr/include/lua5.4 -c -o %s/backward.o "
    .. "%s/src/bind/backward.c", CC, dir, dir)
  shell("%s -shared -o %s/mare/core.so %s/backward.o %s -lblis -lz -lm -lpthread", CC, dir, dir,
    objects_without { "bind/backward" })
end

local function start_structured(m, dir)
  local helper = m.variable == "MARE_VJP" and "--helper=spec/tools/perturb.lua" or ""
  return io.popen(("exec 2>&1; %s='%s %d' LUA_PATH='lua/?.lua;lua/?/init.lua;;' "
    .. "LUA_CPATH='%s/?.so;;' timeout 60 lua5.4 /usr/bin/busted -o spec/tools/failures.lua %s "
    .. "--filter='structured %s ' spec/structured_spec.lua"):format(m.variable, m.row, m.argument,
      dir, helper, m.row))
end

-- Appends the mutants that exist: those that say they were used.
local function run_structured(list)
  local dir = DIR .. "/structured"
  build_hooked(dir)
  package.path, package.cpath = "lua/?.lua;lua/?/init.lua;" .. package.path, dir .. "/?.so"
  local queue, running = {}, {}
  for name, row in pairs(require "mare.ops".rows) do
    for argument = 1, row.structured and row.vjp and MOST_ARGUMENTS or 0 do
      for variable, what in pairs { MARE_VJP = "gradient %d", MARE_FUSED = "fused gradient %d" } do
        queue[#queue + 1] = { row = name, argument = argument, variable = variable,
          what = what:format(argument) }
      end
    end
  end
  while #queue > 0 or #running > 0 do
    while #queue > 0 and #running < JOBS do
      local m = table.remove(queue)
      m.pipe = start_structured(m, dir)
      running[#running + 1] = m
    end
    local m = table.remove(running, 1)
    local output = m.pipe:read "a"
    m.pipe:close()
    m.killed = output:find "FAILED" ~= nil
    if output:find "PERTURBED" then list[#list + 1] = m end
  end
end

-- -- the report -------------------------------------------------------------------------

local list, uses = {}, {}
ops_mutants(list, uses)
optim_mutants(list, uses)
local function only_wanted(all)
  if not arg[1] then return all end
  local kept = {}
  for _, m in ipairs(all) do
    for _, pattern in ipairs(arg) do
      if m.row:find(pattern) then kept[#kept + 1] = m break end
    end
  end
  return kept
end

list = only_wanted(list)
shell("rm -rf %s && mkdir -p %s", DIR, DIR)
local batches = batches_of(list, uses)
io.stderr:write(("%d mutants in %d builds\n"):format(#list, #batches))
check_green()
run(batches)
io.stderr:write "\rstructured operations              \n"
if not arg[1] or arg[1] == "structured" then run_structured(list) end

local killed = 0
for _, m in ipairs(list) do
  if m.killed then killed = killed + 1 else print(("survived: %s, %s"):format(m.row, m.what)) end
end
print(("%d of %d mutants turned a spec red: %.1f %%"):format(killed, #list,
  100 * killed / math.max(#list, 1)))
os.exit(killed >= NEEDED * #list)
