-- luacheck runs under Lua 5.1, so the language is named here.
std = "lua54"
max_line_length = 100
files["spec"].max_line_length = 120
files["spec/**/*_spec.lua"].std = "lua54+busted"
files["spec/tools"].std = "lua54+busted"
files["lua/mare/doc/words.lua"].max_line_length = 120
files["spec/hosts"].globals = { "lighty", "module" } -- what the hosts give
files["spec/hosts/dovecot"].ignore = { "111" } -- it calls functions by their global names
files["spec/hosts/dnsmasq"].ignore = { "111", "131" }
