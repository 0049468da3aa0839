-- In a checkout: luarocks --lua-version 5.4 make rocks/mare-scm-1.rockspec
-- The Makefile knows where Lua and BLIS are and which files there are.  Debian: liblua5.4-dev,
-- libblis-openmp-dev, zlib1g-dev, liblapacke-dev; for `luarocks test` lua-busted too.
rockspec_format = "3.0"
package = "mare"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Tensors, differentiation and machine learning for Lua, with an engine in C",
  detailed = "Tensors over BLIS, automatic differentiation, layers, optimizers, estimators, " ..
    "pictures in the terminal, and a prompt with help: the command mare.",
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5" }
build = {
  type = "make",
  build_target = "all",
  build_variables = { CFLAGS = "$(CFLAGS)", LUA_INCDIR = "$(LUA_INCDIR)" },
  install_target = "install",
  install_variables = { LUA_INCDIR = "$(LUA_INCDIR)", LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)", BINDIR = "$(BINDIR)", WRAPPED = "yes" },
}
-- busted as it is installed: the specs run where nothing can be fetched
test = { type = "command", command = "make busted" }
