# checks.mk -- the longer checks: lint, sanitizers, failing allocations, mutants, timings.

lint:
	@luacheck --std lua54 --no-color --no-cache -q $(wildcard lua spec examples)
	@$(LUA) spec/tools/rules.lua
