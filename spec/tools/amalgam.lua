-- amalgam.lua OUT COMPILER ... -- joins the sources of the engine in OUT/mare.c, which one
-- compiler line builds.  Names that a file has for itself get its name in front: they are found
-- in what the compiler's preprocessor makes of the file, and renamed by #define, or word by word
-- where a member of a struct has the same name.  Macros of a file end with it.

local out, compiler = arg[1], table.concat(arg, " ", 2)

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command)
  return text
end

local function resolve(from, name) -- "../base/x.h" seen from src/ops/y.c
  local path = from:match "^(.*/)" .. name
  repeat
    local n
    path, n = path:gsub("[%w_]+/%.%./", "", 1)
  until n == 0
  return path
end

-- -- names of a file ------------------------------------------------------------------------

local keywords = {}
for w in ([[auto break case char const continue default do double else enum extern float for goto if
  inline int long register restrict return short signed sizeof static struct switch typedef union
  unsigned void volatile while _Bool _Alignas _Thread_local _Noreturn _Atomic]]):gmatch "%S+" do
  keywords[w] = true
end

-- The tokens that stand in a .c, .inc.c or .def file of ours, macros expanded.  clang is told not
-- to be itself: gcc, which may build the file too, sees more names.
local function tokens(file, targets)
  local list, ours = {}, false
  local flags = (read(file):match 'GCC target%("([^"]*)"' or ""):gsub("[^,]+,?", function(flag)
    return " -m" .. flag:gsub(",", "")
  end)
  local only = read(file):match "^/%*.-%*/\n#ifdef (MARE_OMIT_%u+)"
  if not targets then flags = "" end
  if only then flags = flags .. " -D" .. only end
  for line in output(("%s%s -U__clang__ -E %s"):format(compiler, flags, file)):gmatch "[^\n]+" do
    local from = line:match '^# %d+ "([^"]*)"'
    if from then
      ours = from:find "^src/" and (not from:find "%.h$" or from:find "elementary%.h$")
    elseif ours and not line:find "^#" then
      line = line:gsub('\\.', ""):gsub('"[^"]*"', '""'):gsub("'[^']*'", "0")
      for word, other in line:gmatch "([%a_]?[%w_]*)([^%w_%s]?)" do
        if word ~= "" then list[#list + 1] = word end
        if other ~= "" then list[#list + 1] = other end
      end
    end
  end
  return list
end

local closing = { ["("] = ")", ["["] = "]", ["{"] = "}" }

-- The group that opens at i: the token behind it, and the enumerators when it is an enum's.
local function skip(list, i)
  local open, depth, first = list[i], 0, {}
  local close = closing[open]
  repeat
    if list[i] == open then depth = depth + 1 elseif list[i] == close then depth = depth - 1 end
    if depth == 1 and (list[i] == open or list[i] == ",") then first[#first + 1] = list[i + 1] end
    i = i + 1
  until depth == 0
  return i, first
end

local function is_name(t) return t and t:find "^[%a_]" and not keywords[t] end

-- Adds the names that one declaration, its groups replaced by their brackets, makes.
local function declared(d, names)
  local function add(n) if is_name(n) and not n:find "^mare_" and not n:find "^luaopen" then names[n] = true end end
  local static = d[1] == "typedef"
  for i, t in ipairs(d) do
    static = static or t == "static"
    if (t == "struct" or t == "union" or t == "enum") and is_name(d[i + 1]) and d[i + 2] == "{" then add(d[i + 1]) end
  end
  if not static then return end
  local before
  for i, t in ipairs(d) do
    if t == "(" then add(is_name(before) and before) break end -- a function
    if t == "=" or t == "," or t == ";" then
      add(before)
      if t == "=" then break end
    end
    if is_name(t) and (d[i + 1] == "[" or d[i + 1] == "=" or d[i + 1] == "," or d[i + 1] == ";" or d[i + 1] == "(") then
      before = t
    end
  end
end

local attributes = { __attribute__ = true, _Alignas = true, __typeof__ = true }

-- Does the header of this folder know the type, and the file what is in it?
local function shared(file, name)
  return file:find "^src/bind/" and read "src/bind/bind.h":find(("typedef struct %s %s;"):format(name, name), 1, true)
end

local function add_names(file, names, targets)
  local list, d, i = tokens(file, targets), {}, 1
  while i <= #list do
    local t = list[i]
    if attributes[t] then
      i = skip(list, i + 1)
    elseif closing[t] then
      local enum = d[#d] == "enum" or d[#d - 1] == "enum"
      local body, at = t == "{" and d[#d] == "(", i + 1
      while t == "(" and list[i + 1] == "*" and (list[at] == "*" or list[at] == "const") do at = at + 1 end
      if at > i + 1 and is_name(list[at]) then d[#d + 1] = list[at] end -- (*const name)(...)
      local first
      i, first = skip(list, i)
      for _, name in ipairs(enum and first or {}) do if is_name(name) then names[name] = true end end
      d[#d + 1] = t
      if body then declared(d, names) d = {} end
    else
      d[#d + 1], i = t, i + 1
      if t == ";" then declared(d, names) d = {} end
    end
  end
end

-- With the instruction sets that the file asks for, and as another compiler sees it.
local function own_names(file)
  local names = {}
  add_names(file, names, true)
  if read(file):find "GCC target" then add_names(file, names, false) end
  for name in pairs(names) do
    if name:find "^mare_" or name:find "^MARE_" or shared(file, name) then names[name] = nil end
  end
  return names
end

-- -- text of a file --------------------------------------------------------------------------

local headers, system = {}, {} -- in the order of their first use

local function add_header(path)
  if headers[path] then return end
  headers[path] = true
  local text = read(path):gsub('#include "([^"]+)"[^\n]*\n', function(name)
    local file = resolve(path, name)
    if not file:find "%.h$" then return read(file) end
    add_header(file)
    return ""
  end)
  headers[#headers + 1] = { path = path, text = text }
end

local rows = {} -- the texts of .def files; what they name is never renamed

-- The text with templates in their places, without the includes of headers.
local function flat(path, includes)
  return (read(path):gsub('([ \t]*#include ([<"])([^>"]+)[>"][^\n]*\n)', function(_, kind, name)
    if kind == "<" then
      includes[#includes + 1] = name
      return "\n"
    end
    local file = resolve(path, name)
    if file:find "%.h$" and not file:find "elementary%.h$" then
      add_header(file)
      return "\n"
    end
    if name:find "%.def$" then rows[#rows + 1] = read(file) end
    return (name:find "%.def$" and "/* [ */\n%s/* ] */\n" or "%s"):format(flat(file, includes))
  end))
end

-- Both declare lsame_, each in its own way.
local special = { ["blis.h"] = "#include <blis.h>\n", ["tgmath.h"] = "#include <tgmath.h>\n",
  ["lapacke.h"] = "#if !defined(MARE_OMIT_LAPACK) && __has_include(<lapacke.h>)\n#define lsame_ mare_lsame_\n" ..
    "#include <lapacke.h>\n#undef lsame_\n#endif\n" }

local function members(text) -- names that stand behind a dot or an arrow
  local set = {}
  for name in text:gmatch "%.([%a_][%w_]*)" do set[name] = true end
  for name in text:gmatch "%->([%a_][%w_]*)" do set[name] = true end
  return set
end

-- name -> prefix .. name, unless it is a member.  Strings, includes and comments stay.
local function rename(text, set, prefix)
  local function words(code, inside)
    return (code:gsub("([%.>]?)([%a_][%w_]*)()", function(mark, name, at)
      if mark ~= "" or not set[name] then return end
      if inside and code:find("^%s*[;,%[%)]", at) then return end -- declared as a member
      return prefix .. name
    end))
  end
  local function lines(code, inside)
    return (code:gsub("[^\n]*\n?", function(line)
      if line:find "^%s*#%s*include" or line:find "^%s*%*%*" then return line end
      local parts, at = {}, 1
      for a, s, b in line:gmatch '()("[^"]*")()' do
        parts[#parts + 1] = words(line:sub(at, a - 1), inside) .. s
        at = b
      end
      return table.concat(parts) .. words(line:sub(at), inside)
    end))
  end
  local function structs(code)
    local parts, at = {}, 1
    for a, b in code:gmatch "()struct%s+[%w_]*%s*%b{}()" do
      parts[#parts + 1] = lines(code:sub(at, a - 1)) .. lines(code:sub(a, b - 1), true)
      at = b
    end
    return table.concat(parts) .. lines(code:sub(at))
  end
  local parts, at = {}, 1
  for a, table, b in text:gmatch "()(/%* %[ %*/.-/%* %] %*/)()" do
    parts[#parts + 1] = structs(text:sub(at, a - 1)) .. table
    at = b
  end
  return table.concat(parts) .. structs(text:sub(at))
end

local function sorted(set)
  local list = {}
  for k in pairs(set) do list[#list + 1] = k end
  table.sort(list)
  return list
end

-- One file as a part of the whole: its macros and names are as before behind it.
local function part(file)
  local prefix = file:gsub("^src/", ""):gsub("%.c$", ""):gsub("%W", "_") .. "_"
  local includes, before, defines = {}, {}, {}
  rows = {}
  local text = flat(file, includes)
  local names, used, words, macros = own_names(file), members(text), {}, {}
  for name in table.concat(rows):gmatch "%f[%w_][%u%d]+%(([%l_][%w_]*)" do used[name] = true end
  for _, name in ipairs(includes) do
    system[name] = true
    before[#before + 1] = special[name]
  end
  for name in ("\n" .. text):gmatch "\n%s*#%s*define%s+([%a_][%w_]*)" do
    if name:find "_H$" or not name:find "^MARE_" and name ~= "_GNU_SOURCE" then macros[name] = true end
  end
  for _, name in ipairs(sorted(names)) do
    if used[name] then words[name] = true
    else
      macros[name] = true
      defines[#defines + 1] = ("#define %s %s%s\n"):format(name, prefix, name)
    end
  end
  if next(words) then text = rename(text, words, prefix) end
  local after = {}
  for _, name in ipairs(sorted(macros)) do
    before[#before + 1] = ('#pragma push_macro("%s")\n'):format(name)
    local defined = text:find(("\n%%s*#%%s*define %s%%f[^%%w_]"):format(name))
    local undefined = text:find(("\n#undef %s\n"):format(name), 1, true)
    if not (defined and undefined and undefined < defined) then -- it cares for itself
      before[#before + 1] = ("#undef %s\n"):format(name)
    end
    after[#after + 1] = ('#pragma pop_macro("%s")\n'):format(name)
  end
  return ("\n/* ==== %s */\n%s%s%s\n%s"):format(file, table.concat(before), table.concat(defines), text,
    table.concat(after))
end

-- -- the whole ---------------------------------------------------------------------------------

-- What these define stays; the last ones declare functions of the C library for vectors.
local late = { ["blis.h"] = 1, ["lapacke.h"] = 1, ["tgmath.h"] = 2 }

local function rank(file)
  local worst = 0
  local includes = {}
  flat(file, includes)
  for _, name in ipairs(includes) do worst = math.max(worst, late[name] or 0) end
  return file:find "/kernels_" and 3 or worst
end

local files = {}
for file in output "ls src/*/*.c":gmatch "%S+" do
  if not file:find "%.inc%.c$" then files[#files + 1] = { path = file, rank = rank(file) } end
end
table.sort(files, function(a, b)
  if a.rank ~= b.rank then return a.rank < b.rank end
  return a.path < b.path
end)

local function options(what) return ("\n#ifndef __clang__\n#pragma GCC %s_options\n#endif\n"):format(what) end

local body = {}
for _, f in ipairs(files) do
  local lua = f.path:find "^src/bind/"
  body[#body + 1] = (lua and "\n#ifndef MARE_OMIT_LUA" or "") ..
    options "push" .. part(f.path) .. options "pop" .. (lua and "#endif\n" or "")
end

local guarded = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true }
local top = { [[
/*
** mare.c -- the engine of Maré in one file, made by `make amalgam`; mare.h is beside it.
**   cc -std=gnu11 -O2 -shared -fPIC -fvisibility=hidden mare.c -o mare/core.so -lblis -lz \
**     -lm -lpthread
**   cc -std=gnu11 -O2 -DMARE_OMIT_LUA -c mare.c     the functions of mare.h alone
** -I says where lua.h and blis.h are.  MARE_OMIT_THREADS and MARE_OMIT_LAPACK leave these out.
*/
#define _GNU_SOURCE
]] }
for _, h in ipairs(headers) do
  for name in h.text:gmatch "#include <([^>]+)>" do system[name] = true end
end
-- those that a source asks for under a condition have it here too
local conditions = { ["linux/futex.h"] = "__linux__", ["sys/syscall.h"] = "__linux__",
  ["emmintrin.h"] = "__SSE2__", ["immintrin.h"] = "__x86_64__", ["malloc.h"] = "__GLIBC__",
  ["sanitizer/asan_interface.h"] = "__SANITIZE_ADDRESS__" }
for _, name in ipairs(sorted(system)) do
  if not special[name] then
    local condition = conditions[name]
    local line = ("#include <%s>\n"):format(name)
    if guarded[name] then line = "#ifndef MARE_OMIT_LUA\n" .. line .. "#endif\n"
    elseif condition then line = ("#ifdef %s\n%s#endif\n"):format(condition, line) end
    top[#top + 1] = line
  end
end
for _, h in ipairs(headers) do
  local lua = h.path:find "^src/bind/"
  if h.path == "src/mare.h" then
    top[#top + 1] = '\n#include "mare.h"\n'
  else
    top[#top + 1] = ("\n/* ==== %s */\n%s%s%s"):format(h.path, lua and "#ifndef MARE_OMIT_LUA\n" or "",
      h.text:gsub("[ \t]*#include <[^\n]*\n", ""), lua and "#endif\n" or "")
  end
end

local f = assert(io.open(out .. "/mare.c", "wb"))
f:write(table.concat(top), table.concat(body))
f:close()
