/*
** script.h -- for the programs beside it: a Lua state with the engine linked in runs the
** text that the program has in `script`, and its result is left on the stack.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

int luaopen_mare_core(lua_State *L);

static int run(lua_State *L) {
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_mare_core);
  lua_setfield(L, -2, "mare.core");
  if (luaL_loadstring(L, script) != LUA_OK) return lua_error(L);
  lua_call(L, 0, 1);
  return 1;
}

/* a state to be closed; NULL when the error has been printed */
static lua_State *run_script(const char *program) {
  lua_State *L = luaL_newstate();
  lua_pushcfunction(L, run);
  if (lua_pcall(L, 0, 1, 0) == LUA_OK) return L;
  fprintf(stderr, "%s: %s\n", program, lua_tostring(L, -1));
  lua_close(L);
  return NULL;
}
