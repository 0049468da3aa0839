# checks.mk -- the longer checks: lint, sanitizers, failing allocations, mutants, timings.
# Each keeps its own build: the same sources under another B with other flags in SAN.

AGAIN    = +@$(MAKE) --no-print-directory

lint:
	@luacheck --no-color --no-cache -q $(wildcard lua rocks spec examples)
	@$(LUA) spec/tools/rules.lua

# -- memory and races ------------------------------------------------------------------

ASAN     = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover
TSAN     = -g -O1 -fsanitize=thread
RUNTIMES = $(foreach r,asan ubsan,$(shell $(CC) -print-file-name=lib$(r).so))
LSANOPT  = suppressions=spec/tools/leaks.txt:print_suppressions=0
ASANOPT  = detect_leaks=1:allocator_may_return_null=1:intercept_tls_get_addr=0
HOST     = $(SAY) $(CC) -std=gnu11 $(CFLAGS) $(SAN) $(INCLUDE) -o $@ $< $(B)/libmare.a

# All specs under AddressSanitizer and UBSan. Lua itself is not instrumented, so the
# runtimes are loaded before it; leaks of other libraries are named in leaks.txt.
# (With interception of __tls_get_addr the leak checker crashes beside our threads.)
asan:
	$(AGAIN) B=build/asan LDFLAGS=-Wl,-z,nodelete SAN='$(ASAN)' SPECS='$(SPECS)' busted \
	  BEFORE='LD_PRELOAD="$(RUNTIMES)" ASAN_OPTIONS=$(ASANOPT) LSAN_OPTIONS=$(LSANOPT)'

# Every allocation fails in turn; nothing may be left. EVERY=n: each nth only.
oom:
	$(AGAIN) B=build/asan LDFLAGS= SAN='$(ASAN)' build/asan/oom
	@$(ENV) ASAN_OPTIONS=detect_leaks=0 build/asan/oom spec/oom/script.lua $(EVERY)

$(B)/oom: spec/oom/host.c $(B)/libmare.a
	$(HOST) -Wl,--wrap=mare_heap_new,--wrap=mare_storage_new,--wrap=mare_scratch \
	  -llua5.4 $(LDLIBS)

# Programs in C, linked without Lua, but for beside and guest; c_spec.lua and manners_spec.lua
# run them.
programs: $(B)/c/run $(B)/c/oom $(B)/c/beside $(B)/guest
.PHONY: programs

$(B)/c/%: spec/c/%.c src/mare.h $(B)/libmare.a
	@mkdir -p $(@D)
	$(HOST) $(WRAP) $(LDLIBS)
$(B)/c/beside: WRAP = -llua5.4
$(B)/c/oom: WRAP = -Wl,--wrap=mare_heap_new,--wrap=mare_storage_new,--wrap=mare_scratch

# The engine as one file, build/amalgam/mare.c, and its header.
amalgam: $(B)/amalgam/mare.c
$(B)/amalgam/mare.c: $(wildcard src/*.h src/*/*) spec/tools/amalgam.lua
	@mkdir -p $(@D)
	@cp src/mare.h $(@D)/mare.h
	$(SAY) $(LUA) spec/tools/amalgam.lua $(@D) $(CC) -std=gnu11 $(INCLUDE)

# It is built by one line in four variants, by gcc and clang, and each is tried: minutes.
amalgam-check: all amalgam
	@$(LUA) spec/tools/amalgam_check.lua $(B)/amalgam $(B) '$(INCLUDE)'

amalgam-flags:
	@echo '$(INCLUDE)'

.PHONY: amalgam amalgam-check amalgam-flags

# The pool, and several Lua states at a time, under ThreadSanitizer.
TSANTESTS = $(patsubst spec/tsan/%.c,build/tsan/%,$(wildcard spec/tsan/*.c))
tsan:
	$(AGAIN) B=build/tsan LDFLAGS= SAN='$(TSAN)' $(TSANTESTS)
	@for t in $(TSANTESTS); do echo $$t; \
	  $(ENV) TSAN_OPTIONS=halt_on_error=1 $$t || exit 1; done

build/tsan/%: spec/tsan/%.c spec/tsan/script.h build/tsan/libmare.a
	$(HOST) -llua5.4 $(LDLIBS)

# What is left after lua_close, in a program that only runs the work; other libraries'
# leftovers are named in valgrind.supp.
WORKS    = spec/guest/work.lua spec/oom/script.lua
VALGRIND = valgrind -q --leak-check=full --show-leak-kinds=all --error-exitcode=9 \
           --errors-for-leak-kinds=all --suppressions=spec/tools/valgrind.supp
valgrind: $(B)/mare/core.so $(B)/guest
	@for w in $(WORKS); do \
	  $(ENV) MARE_THREADS=2 $(VALGRIND) $(B)/guest states $$w 0 || exit 1; done

$(B)/guest: spec/guest/host.c
	$(SAY) $(CC) -std=gnu11 $(CFLAGS) $(INCLUDE) -o $@ $< -llua5.4 -lpthread -lm

.PHONY: valgrind

# -- do the specs notice? -----------------------------------------------------------------

# Every formula and derivative perturbed. ONLY='pattern ...': of these rows.
mutants: all
	@CC=$(CC) $(LUA) spec/tools/mutants.lua $(ONLY)

# All specs, with all of the samples of which `make busted` takes a part.
thorough:
	$(AGAIN) busted THOROUGH=1
.PHONY: thorough

# -- are the numbers right? ---------------------------------------------------------------

# All 2^32 arguments of the rows that matter most, 4 million of every other one.
ACCURATE = exp log tanh sigmoid
accuracy: $(B)/accuracy
	@$(B)/accuracy -1 $(ACCURATE)
	@$(B)/accuracy -1021
	@$(B)/accuracy -1021 atan2 hypot pow logaddexp

$(B)/accuracy: spec/tools/accuracy.c $(B)/libmare.a
	$(HOST) $(LDLIBS)

# -- coverage of the C sources by the specs ----------------------------------------------

GCOV     = -O1 -g --coverage
coverage:
	$(AGAIN) B=build/coverage LDFLAGS= SAN='$(GCOV)' clean-counts
	-$(AGAIN) B=build/coverage LDFLAGS= SAN='$(GCOV)' busted
	@$(LUA) spec/tools/coverage.lua build/coverage/obj

.PHONY: clean-counts
clean-counts: all
	@find $(B)/obj -name '*.gcda' -delete

# -- the reference: Markdown, HTML, and annotations for editors ----------------------------

doc: all $(B)/annotations.lua
	@$(ENV) $(LUA) spec/tools/reference.lua build/doc
	@echo build/doc/index.html build/doc/index.md $(B)/annotations.lua

# -- the numbered examples -----------------------------------------------------------------

# Each runs, and its key number must lie in the range of its header. ONLY=pattern: some;
# SEEDS=n: with the seeds 1 to n. Two run at a time (JOBS), each on two threads.
JOBS    = 2
SEEDS   = 1
EXAMPLES = $(ENV) LUA=$(LUA) JOBS=$(JOBS) SEEDS=$(SEEDS) $(LUA) spec/tools/examples.lua
examples: all
	@$(EXAMPLES) check $(ONLY)

# Those that take a second: `make test` runs them.
examples-quick: all
	@$(EXAMPLES) quick

# Runs them for their pictures, large ones in examples/out and small ones for the index.
gallery: all
	@rm -f examples/small/*.svg
	@MARE_SMALL=1 $(EXAMPLES) check
	@$(EXAMPLES) index > examples/README.new && mv examples/README.new examples/README.md

.PHONY: examples examples-quick gallery

# -- programs with Lua inside ---------------------------------------------------------

# Real programs on the loopback, see spec/hosts. ONLY=lighttpd: of these only; NOISY=1: on
# a machine that others use, rates are counted in processor time.
hosts: deps
	-@sh spec/tools/deps.sh hosts
	$(AGAIN) all
	@$(ENV) LUA=$(LUA) NOISY=$(NOISY) $(LUA) spec/hosts/run.lua $(ONLY)

.PHONY: hosts

# -- timings -------------------------------------------------------------------------

$(B)/bench/direct: spec/bench/direct.c $(B)/libmare.a
	@mkdir -p $(@D)
	$(HOST) -fopenmp -ldl $(LDLIBS)

# A network in C, by the module and by PyTorch, side by side.
$(B)/bench/predict: spec/bench/predict.c $(B)/libmare.a
	@mkdir -p $(@D)
	$(HOST) $(LDLIBS)
bench-c: deps-bench
	$(AGAIN) all $(B)/bench/predict
	@$(ENV) $(LUA) spec/bench/predict.lua $(B)/bench/predict
.PHONY: bench-c

# GROUPS='networks products elements optimizers models data busy': some of these only.
bench bench-quick: deps-bench
	$(AGAIN) all $(B)/bench/direct
	@$(ENV) LUA=$(LUA) PYTHON=$(PYTHON) DIRECT=$(B)/bench/direct \
	  $(LUA) spec/bench/run.lua $(if $(filter bench,$@),full,quick) $(GROUPS)

# -- readers against arbitrary bytes -------------------------------------------------

# SECONDS for each reader. The engine is built again by clang, without BLIS or Lua, and
# tables of text are cut into chunks of 256 bytes.
CLANG   = clang
SECONDS = 60
FUZZED  = $(patsubst spec/fuzz/%.c,build/fuzz/%,$(wildcard spec/fuzz/*.c))
fuzz: $(FUZZED)
	@for f in $(FUZZED); do \
	  mkdir -p $$f.corpus && $(LUA) spec/fuzz/seeds.lua $$(basename $$f) $$f.corpus; \
	  $$f -verbosity=0 -print_final_stats=1 -max_total_time=$(SECONDS) -max_len=4096 -artifact_prefix=$$f. $$f.corpus || exit 1; done

# Networks compute: all but the binding is built, and BLIS is linked.
ENGINE   = $(filter-out %.inc.c,$(foreach d,base ops io host,$(wildcard src/$d/*.c)))
build/fuzz/model: spec/fuzz/model.c $(ENGINE:src/%.c=build/fuzz/obj/%.o)
	$(SAY) $(CLANG) $(FUZZING),fuzzer -o $@ $^ $(LDLIBS)
build/fuzz/obj/%.o: src/%.c $(wildcard src/*.h src/*/*.h src/*/*.inc.c src/*/*.def)
	@mkdir -p $(@D)
	$(SAY) $(CLANG) $(FUZZING),fuzzer-no-link -c -o $@ $<
FUZZING  = -std=gnu11 -g -O1 -w $(INCLUDE) -fsanitize=address,undefined

build/fuzz/%: spec/fuzz/%.c $(wildcard src/io/*.c src/base/*.c)
	@mkdir -p $(@D)
	$(SAY) $(CLANG) -std=gnu11 -g -O1 -Wno-unknown-attributes -DMARE_CSVCHUNK=256 \
	  -fsanitize=fuzzer,address,undefined -o $@ $^ -lz -lm -lpthread

# -- a release -----------------------------------------------------------------------------

# The tarball of HEAD (the same bytes each time: git gives the time, gzip -n none), the
# rockspec that names it with its MD5, and the checksums of both. URL: where it will be.
VERSION = $(shell sed -n 's/.*MARE_VERSION "\(.*\)"/\1/p' src/mare.h)
NAME    = mare-$(VERSION)
D       = $(B)/dist
URL     = file://$(abspath $D)/$(NAME).tar.gz
dist:
	@git diff --quiet HEAD || echo "what is not committed is not in it" >&2
	@mkdir -p $D
	@git -c tar.umask=0022 archive --format=tar --prefix=$(NAME)/ HEAD | gzip -9n > $D/$(NAME).tar.gz
	@md5=$$(md5sum < $D/$(NAME).tar.gz) && sed -e '/^--/d' \
	  -e "s|^source = .*|source = { url = \"$(URL)\", md5 = \"$${md5%% *}\", dir = \"$(NAME)\" }|" \
	  rocks/$(NAME)-1.rockspec > $D/$(NAME)-1.rockspec
	@cd $D && sha256sum $(NAME).tar.gz $(NAME)-1.rockspec > SHA256SUMS && cat SHA256SUMS

# It builds and works where there is no git and no checkout; so does the rock, if luarocks is here.
dist-check: dist
	@cd $D && sha256sum --quiet -c SHA256SUMS
	@sh spec/tools/dist-check.sh $D $(NAME)

.PHONY: dist dist-check
