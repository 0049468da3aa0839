/*
** beside.c -- a thread that runs Lua and a model in C, for c_spec.lua: what a call in Lua
** that raised has left behind is nothing to the model, also when its state is closed.
**   beside MODEL    prints the hooks that ran in calls of the model, and what differs
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "../../src/mare.h"

#define MOST 4096 /* numbers */

static const char *path;
static float x[MOST], want[MOST];
static int hooks, differ;

static void hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  hooks++;
  luaL_error(L, "hooked");
}

/* opens the model and calls it; y is (1, outputs) */
static int predict(float *y) {
  char why[MARE_MESSAGE];
  mare_Model *m;
  mare_Status st = mare_model_open(&m, path, why, sizeof why);
  if (st == MARE_OK && mare_model_outputs(m) > 0 && mare_model_inputs(m) <= MOST &&
      mare_model_outputs(m) <= MOST)
    st = mare_model_predict(m, x, 1, y, NULL);
  if (st != MARE_OK) printf("%s ", mare_status_text(st));
  mare_model_close(m);
  return st == MARE_OK;
}

static void again(void) {
  float y[MOST] = {0};
  if (!predict(y) || memcmp(y, want, sizeof y) != 0) differ++;
}

/* a state whose last call of the module raised, in a coroutine or not */
static lua_State *failed(const char *script) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "mare", luaopen_mare, 0);
  lua_settop(L, 0);
  if (luaL_dostring(L, script) == LUA_OK) printf("no error ");
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  return L;
}

int main(int argc, char **argv) {
  static const char *const scripts[] = {
      "local m = require 'mare'; return m.ones(3, 4):matmul(m.ones(5, 6))",
      "local m = require 'mare'\n"
      "local co = coroutine.wrap(function() m.ones(3, 4):matmul(m.ones(5, 6)) end)\n"
      "local ok, why = pcall(co); co = nil; collectgarbage(); error(why)"};
  path = argv[argc - 1];
  for (int i = 0; i < MOST; i++) x[i] = (float)(i % 7) - 3;
  if (!predict(want)) return 1;
  for (int i = 0; i < 2; i++) {
    lua_State *L = failed(scripts[i]);
    again();
    lua_sethook(L, NULL, 0, 0);
    lua_close(L);
    again();
  }
  printf("%d hooks, %d differ\n", hooks, differ);
  return 0;
}
