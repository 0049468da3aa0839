# mpi.mk -- the rock mare-mpi: mare.mpi over an installed MPI (Open MPI or MPICH).

# MPICC=mpicc.mpich MPIRUN=mpirun.mpich B=build/mpich: another MPI than the machine's first.
MPICC   ?= mpicc
MPIRUN  ?= mpirun
MPILUA   = $(wildcard rocks/mpi/mare/mpi/*.lua)

.PHONY: mpi mpi-deps mpi-test mpi-bench mpi-hosts mpi-install

# Into build/, beside core.so; the modules in Lua are found where they are.
mpi: $(B)/mare/mpi/core.so

$(B)/mare/mpi/core.so: rocks/mpi/mpi.c src/bind/bridge.h
	@command -v $(MPICC) >/dev/null || { echo "$(MPICC) is missing: make mpi-deps, or install" \
	  "Open MPI or MPICH with its headers (Debian: libopenmpi-dev openmpi-bin)" >&2; exit 1; }
	@mkdir -p $(@D)
	$(SAY) $(MPICC) -std=gnu11 -shared -fPIC -fvisibility=hidden $(CFLAGS) -I$(LUAINC) -o $@ $<

mpi-deps:
	@sh spec/tools/deps.sh run test mpi

mpi-test: mpi-deps
	$(AGAIN) all mpi
	$(AGAIN) busted SPECS=spec/mpi

# Two runs in network namespaces of their own, as two hosts would be; needs root and ip.
mpi-hosts: all mpi
	@$(ENV) MPIRUN=$(MPIRUN) LUA=$(LUA) sh spec/mpi/hosts.sh

# Times of 1, 2 and 4 ranks, and how much of them was spent on communication.
mpi-bench: all mpi
	@$(ENV) MPIRUN=$(MPIRUN) LUA=$(LUA) sh spec/mpi/bench.sh

mpi-install: mpi
	install -d $(DESTDIR)$(LIBDIR)/mare/mpi $(DESTDIR)$(LUADIR)/mare/mpi
	install -m 755 $(B)/mare/mpi/core.so $(DESTDIR)$(LIBDIR)/mare/mpi/core.so
	install -m 644 $(MPILUA) $(DESTDIR)$(LUADIR)/mare/mpi
