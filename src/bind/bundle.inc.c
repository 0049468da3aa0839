/*
** bundle.inc.c -- opens the modules in Lua that libmare.a carries, for hosts that ship
** one file.  It is included by the table of their sources, which the Makefile makes, and
** is no part of core.so.
*/
#include <lauxlib.h>
#include <lua.h>

int luaopen_mare_core(lua_State *L);
int luaopen_mare(lua_State *L);

static int load_module(lua_State *L, size_t i) {
  if (luaL_loadbufferx(L, bundle[i].text, bundle[i].length, bundle[i].file, "t"))
    return lua_error(L);
  return 1;
}

static int open_module(lua_State *L) { /* (name, where): what its chunk returns */
  lua_settop(L, 2);
  load_module(L, (size_t)lua_tointeger(L, lua_upvalueindex(1)));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/*
** For luaL_requiref(L, "mare", luaopen_mare, 0): `require "mare.nn"` and the others find
** what is carried here before they look at package.path.
*/
__attribute__((visibility("default"))) int luaopen_mare(lua_State *L) {
  const size_t n = sizeof bundle / sizeof *bundle;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_mare_core);
  lua_setfield(L, -2, "mare.core");
  for (size_t i = 0; i < n; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushcclosure(L, open_module, 1);
    lua_setfield(L, -2, bundle[i].name);
  }
  lua_getfield(L, -1, "mare");
  lua_pushliteral(L, "mare");
  lua_pushliteral(L, ":libmare:");
  lua_call(L, 2, 1);
  return 1;
}
