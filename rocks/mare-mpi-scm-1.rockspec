-- In a checkout: luarocks --lua-version 5.4 make rocks/mare-mpi-scm-1.rockspec
-- after the rock mare, and with an MPI whose mpicc is found: Open MPI (Debian: libopenmpi-dev
-- openmpi-bin) or MPICH (libmpich-dev mpich); MPICC in the environment names another mpicc.
rockspec_format = "3.0"
package = "mare-mpi"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Several processes that train one model: mare over MPI",
  detailed = "Collective operations on tensors, gradients that are averaged while backward " ..
    "still runs, shards of data sets. On one machine or on many.",
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5", "mare" }
build = {
  type = "make",
  build_target = "mpi",
  build_variables = { CFLAGS = "$(CFLAGS)", LUA_INCDIR = "$(LUA_INCDIR)" },
  install_target = "mpi-install",
  install_variables = { LUA_INCDIR = "$(LUA_INCDIR)", LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)" },
}
