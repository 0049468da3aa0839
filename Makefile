# Maré. `make run` trains a network on the shipped digits, `make test` runs the specs.

LUA     = lua5.4
CC      = gcc
OBJCOPY = objcopy
PREFIX  = /usr/local
LUADIR  = $(PREFIX)/share/lua/5.4
LIBDIR  = $(PREFIX)/lib/lua/5.4
BINDIR  = $(PREFIX)/bin
PYTHON  = /usr/bin/python3

B       = build
CFLAGS  = -O2 -Wall -Wextra
# relative relocations packed: 77 KB of tables of pointers become 3
LDFLAGS = -s -Wl,-z,pack-relative-relocs,-z,noseparate-code
LDLIBS  = -lblis -lz -lm -lpthread -ldl
SAN     =

# The headers of Lua and BLIS, wherever the distribution puts them.
ARCH   := $(shell $(CC) -print-multiarch 2>/dev/null)
LUAINC := $(firstword $(patsubst %/lua.h,%,$(wildcard $(addsuffix /lua.h,$(LUA_INCDIR) \
            /usr/include/lua5.4 /usr/include/lua/5.4 /usr/include/$(ARCH)/lua5.4 \
            /usr/local/include/lua5.4 /usr/local/include /usr/include/$(ARCH) \
            /usr/include))) /usr/include/lua5.4)
BLISINC := $(firstword $(patsubst %/blis.h,%,$(wildcard \
            $(addsuffix /blis.h,$(addprefix /usr/include/$(ARCH)/,blis-openmp blis-pthread .) \
            /usr/local/include/blis /usr/include/blis /usr/local/include /usr/include))))

# As many jobs as there are cores, unless make was told; V=1 shows the commands.
CORES  := $(shell nproc 2>/dev/null || echo 1)
ifeq (0,$(MAKELEVEL)$(findstring j,$(MAKEFLAGS)))
MAKEFLAGS += -j$(CORES)
endif
V       =
SAY     = @$(if $(V),,echo "  $@";)

INCLUDE = -I$(LUAINC) $(addprefix -isystem ,$(BLISINC))
# Errors are Lua's longjmp, so no tables to unwind the stack are kept, nor is space
# left between functions: core.so stays below a megabyte.
COMPILE = $(CC) -std=gnu11 -fPIC -fvisibility=hidden -fno-asynchronous-unwind-tables \
          -fno-align-functions $(if $(findstring clang,$(CC)),,-fno-align-labels -fno-align-jumps) \
          $(CFLAGS) $(SAN) $(INCLUDE)

# A file *.inc.c is included by another and not compiled by itself.
SRC     = $(filter-out %.inc.c,$(wildcard src/*/*.c))
OBJ     = $(SRC:src/%.c=$(B)/obj/%.o)
# src/host, models for programs in C, is in the archive only
MODULE  = $(filter-out $(B)/obj/host/%,$(OBJ))
BINDING = $(filter $(B)/obj/bind/%,$(OBJ))
LUASRC  = $(shell find lua -type f 2>/dev/null)

# what stands before a command: the paths, and BEFORE what the sanitizers need
BEFORE  =
FROM    = $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/rocks/mpi/?/init.lua;$(CURDIR)/rocks/mpi/?.lua;;
ENV     = $(BEFORE) LUA_PATH='$(FROM)' \
          LUA_CPATH='$(CURDIR)/$(B)/?.so;;'
BUSTED  = $(ENV) $(LUA) /usr/bin/busted -o spec/tools/plain.lua
SPECS   = spec

.PHONY: all lib deps deps-run deps-bench run test busted bench bench-quick lint asan oom \
        tsan mutants accuracy doc coverage fuzz install install-c uninstall clean env

all: $(B)/mare/core.so
lib: $(B)/libmare.a

$(B)/mare/core.so: $(MODULE)
	@mkdir -p $(@D)
	$(SAY) $(CC) -shared $(CFLAGS) $(SAN) $(LDFLAGS) -o $@ $(MODULE) $(LDLIBS)

# For hosts that cannot load a module: link this, then luaL_requiref "mare", luaopen_mare,
# which has the modules in Lua too; or "mare.core", luaopen_mare_core, which has not.
$(B)/libmare.a: $(filter-out $(BINDING),$(OBJ)) $(B)/binding.o
	$(SAY) rm -f $@ && $(AR) rcs $@ $^

# What knows Lua is one object there, whose short names no program sees.
$(B)/binding.o: $(BINDING) $(B)/bundle.o
	$(SAY) $(CC) -r -nostdlib -o $@ $^ && $(OBJCOPY) --wildcard --keep-global-symbol='mare_*' \
	  --keep-global-symbol='luaopen_*' $@

$(B)/bundle.c: $(filter %.lua,$(LUASRC)) spec/tools/bundle.lua
	$(SAY) $(LUA) spec/tools/bundle.lua $(sort $(filter %.lua,$(LUASRC))) > $@.new && mv $@.new $@

$(B)/bundle.o: $(B)/bundle.c src/bind/bundle.inc.c Makefile
	$(SAY) $(COMPILE) -I. -c -o $@ $<

# What a program calls once in a while is compiled for size.
COLD = bind/conv bind/create bind/core bind/csv bind/feed bind/files bind/index \
       bind/interrupt bind/io bind/join bind/linalg bind/memory bind/models host/json host/layers \
       host/model host/norms host/planes io/batch io/bytes io/csv io/feed io/idx \
       io/npy io/safetensors io/svm io/zip ops/linalg learn/models
$(COLD:%=$(B)/obj/%.o): CFLAGS := $(CFLAGS:-O2=-Os)

$(B)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(SAY) $(COMPILE) -MMD -MP -c -o $@ $<

-include $(OBJ:.o=.d)

# -- what it needs -----------------------------------------------------------------

deps:
	@sh spec/tools/deps.sh run test
deps-run:
	@sh spec/tools/deps.sh run
deps-bench:
	@sh spec/tools/deps.sh run bench

# -- using it ----------------------------------------------------------------------

# `make deps` may have brought the headers: the build is a new make that looks again.
run: deps-run
	$(AGAIN) all
	$(ENV) $(LUA) examples/01-digits.lua

test: deps
	$(AGAIN) all
	$(AGAIN) lint examples-quick
	$(AGAIN) busted

busted: all lib programs
	@[ -f /usr/bin/busted ] || { echo "the specs need busted (Debian: lua-busted)" >&2; exit 1; }
	@$(if $(word 2,$(FILES)),$(TOGETHER),$(BUSTED) $(SPECS))

# Of several files each runs in a process of its own, as many at a time as there are CORES
# (CORES=1: one after the other); LONG ones begin, so that none is left to the end.
LONG     = $(patsubst %,spec/%_spec.lua,amalgam manners linear csv accuracy repl readers hook memory)
ALL     := $(shell find $(SPECS) -name '*_spec.lua' | sort)
FILES    = $(filter $(ALL),$(LONG)) $(filter-out $(LONG),$(ALL))
TOGETHER = LUA=$(LUA) sh spec/tools/specs.sh $(CORES) $(FILES)
busted: export ONE = $(BUSTED)

# In a checkout: eval "$(make -s env)"
env:
	@echo "export LUA_PATH='$(FROM)'"
	@echo "export LUA_CPATH='$(CURDIR)/$(B)/?.so;;'"

# What editors read: made from the documentation, installed beside the modules.
$(B)/annotations.lua: $(B)/mare/core.so $(LUASRC) spec/tools/annotations.lua
	@$(ENV) $(LUA) spec/tools/annotations.lua > $@.new && mv $@.new $@

# The command is told where the modules are, unless it is WRAPPED by one that tells (luarocks).
install: all $(B)/annotations.lua
	install -d $(DESTDIR)$(LIBDIR)/mare
	install -m 755 $(B)/mare/core.so $(DESTDIR)$(LIBDIR)/mare/core.so
	@for f in $(LUASRC:lua/%=%); do \
	  install -D -m 644 lua/$$f $(DESTDIR)$(LUADIR)/$$f || exit 1; done
	install -D -m 644 $(B)/annotations.lua $(DESTDIR)$(LUADIR)/mare/meta/mare.lua
	install -d $(DESTDIR)$(BINDIR)
	sed $(if $(WRAPPED),-e '',\
	  -e '2a package.path = "$(LUADIR)/?.lua;$(LUADIR)/?/init.lua;" .. package.path' \
	  -e '2a package.cpath = "$(LIBDIR)/?.so;" .. package.cpath') \
	  rocks/mare > $(DESTDIR)$(BINDIR)/mare
	chmod 755 $(DESTDIR)$(BINDIR)/mare
	@echo "installed in $(DESTDIR)$(LUADIR)/mare and $(DESTDIR)$(LIBDIR)/mare"

# For programs in C: #include <mare.h>, and `pkg-config --libs mare`.
define PKGCONFIG
prefix=$(PREFIX)
Name: mare
Description: networks trained in Lua compute in C
Version: $(shell sed -n 's/^.define MARE_VERSION "\(.*\)"/\1/p' src/mare.h)
Cflags: -I$${prefix}/include
Libs: -L$${prefix}/lib -lmare $(LDLIBS)
endef
export PKGCONFIG
install-c: lib
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 src/mare.h $(DESTDIR)$(PREFIX)/include/mare.h
	install -m 644 $(B)/libmare.a $(DESTDIR)$(PREFIX)/lib/libmare.a
	@echo "$$PKGCONFIG" > $(DESTDIR)$(PREFIX)/lib/pkgconfig/mare.pc
	@echo "installed $(DESTDIR)$(PREFIX)/include/mare.h and $(DESTDIR)$(PREFIX)/lib/libmare.a"

uninstall:
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/mare/,core.so mpi/core.so)
	rmdir $(addprefix $(DESTDIR)$(LIBDIR)/,mare/mpi mare) 2>/dev/null || true
	rm -rf $(DESTDIR)$(LUADIR)/mare $(DESTDIR)$(BINDIR)/mare
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,include/mare.h lib/libmare.a lib/pkgconfig/mare.pc)

clean:
	rm -rf build

include spec/tools/checks.mk
include spec/tools/mpi.mk
