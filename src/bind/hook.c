/*
** hook.c -- functions of the module as Lua calls them.  While one of them computes for
** long, the hook of its coroutine is called now and then, as it would be in Lua, and an
** error of it ends the call: when the engine has returned, so that nothing is lost.
*/
#include "../base/pool.h"
#include "bind.h"

enum { MOST = 1000000 }; /* instructions that are counted for the time between */

/* A hook that counts is called after as many instructions: these are run for it. */
static const char spin[] = "for _ = 1, ... do end";

static lua_Integer instructions(lua_State *L) {
  const int n = lua_gethookmask(L) & LUA_MASKCOUNT ? lua_gethookcount(L) : 1;
  return n < MOST ? n : MOST;
}

/* calls the hook, if there is one; true when it has raised an error, which is kept */
bool run_hook(void *who) {
  lua_State *L = who;
  State *S = lua_touserdata(L, lua_upvalueindex(1));
  bool raised;
  if (lua_gethook(L) == NULL || !lua_checkstack(L, 4)) return false;
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_SPIN);
  lua_pushinteger(L, instructions(L));
  S->asking = true;
  raised = lua_pcall(L, 1, 0, 0) != LUA_OK;
  S->asking = false;
  if (raised) lua_setiuservalue(L, lua_upvalueindex(1), STATE_ERROR);
  return raised;
}

static int raise(lua_State *L) {
  mare_go_on();
  if (lua_getiuservalue(L, lua_upvalueindex(1), STATE_ERROR) == LUA_TNIL)
    lua_pushliteral(L, "the process was forked by a hook in the middle of a call");
  lua_pushnil(L);
  lua_setiuservalue(L, lua_upvalueindex(1), STATE_ERROR);
  return lua_error(L);
}

void check_hook(lua_State *L) {
  if (mare_watch.stop != NULL) raise(L);
}

void check_time(lua_State *L) {
  if (mare_stopping()) raise(L);
}

/*
** Something is unusual: a hook is at work, of this state or another; or there is an error
** that another one, of no memory say, has overtaken, or that waits for the end of a call
** which a finalizer has interrupted.
*/
void check_odd(lua_State *L) {
  const State *S = lua_touserdata(L, lua_upvalueindex(1));
  if (S->asking) luaL_error(L, "a hook that runs inside a long call cannot use tensors");
  if (mare_watch.stop == NULL) return;
  if (interrupting(L)) luaL_error(L, "a finalizer inside a call that ends: no tensors");
  if (lua_getiuservalue(L, lua_upvalueindex(1), STATE_ERROR) != LUA_TNIL) raise(L);
  lua_pop(L, 1);
  mare_go_on();
}

/* what every function of the module is for Lua; upvalue 3: the function itself */
static int guarded(lua_State *L) {
  const lua_CFunction f = (lua_CFunction)lua_touserdata(L, lua_upvalueindex(3));
  void *outer = begin_call(L);
  return end_call(L, outer, f(L));
}

/* State and another upvalue are on the top of the stack */
void push_guarded(lua_State *L, lua_CFunction f) {
  lua_pushlightuserdata(L, (void *)f);
  lua_pushcclosure(L, guarded, 3);
}

void open_hook(lua_State *L) { /* the State is on the top of the stack */
  if (luaL_loadbuffer(L, spin, sizeof spin - 1, "=mare") != LUA_OK) lua_error(L);
  lua_setiuservalue(L, -2, STATE_SPIN);
}
