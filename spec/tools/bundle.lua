-- bundle.lua FILE ... -- writes to standard output the source in C of all modules in Lua, as
-- libmare.a carries them; src/bind/bundle.inc.c opens them.

local escape = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["?"] = "\\?" }

-- Bytes above 126 go in octal, three digits always: what follows may be a digit.
local function literal(line)
  return '"' .. line:gsub('["\\\n\r?]', escape):gsub("[^ -~]", function(c)
    return ("\\%03o"):format(c:byte())
  end) .. '"\n'
end

print "/* made by spec/tools/bundle.lua */\n#include <stddef.h>\n"
print "static const struct { const char *name, *file, *text; size_t length; } bundle[] = {"
for _, path in ipairs(arg) do
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  print(('{"%s", "@(mare)/%s",'):format(name, (path:gsub("^lua/mare/", ""))))
  for line in text:gmatch "[^\n]*\n?" do
    if line ~= "" then io.write(literal(line)) end
  end
  print((", %d},"):format(#text))
end
print '};\n#include "src/bind/bundle.inc.c"'
