# checks.mk -- the longer checks: lint, sanitizers, failing allocations, mutants, timings.

lint:
	@luacheck --std lua54 --no-color --no-cache -q $(wildcard lua spec examples)
	@$(LUA) spec/tools/rules.lua

# -- timings -------------------------------------------------------------------------

$(B)/bench/direct: spec/bench/direct.c $(B)/libmare.a
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(CFLAGS) -fopenmp $(INCLUDE) -o $@ $< $(B)/libmare.a -ldl $(LDLIBS)

bench bench-quick: deps-bench
	@$(MAKE) --no-print-directory all $(B)/bench/direct
	@$(ENV) LUA=$(LUA) PYTHON=$(PYTHON) DIRECT=$(B)/bench/direct \
	  $(LUA) spec/bench/run.lua $(if $(filter bench,$@),full,quick) $(ROWS)
