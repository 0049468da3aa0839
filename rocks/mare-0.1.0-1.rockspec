-- A release: `make dist` packs the source it names and writes a copy with its MD5 beside it.
-- Else as mare-scm-1.rockspec; a spec compares the two.
rockspec_format = "3.0"
package = "mare"
version = "0.1.0-1"
source = { url = "file://build/dist/mare-0.1.0.tar.gz", dir = "mare-0.1.0" }
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
