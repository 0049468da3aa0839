/*
** core.c -- luaopen_mare_core: the State, the tensors' metatable and the table of
** everything that C offers.  lua/mare/ makes the public module of it.
*/
#include <string.h>
#include <time.h>

#include "../base/pool.h"
#include "bind.h"

/* -- the State -------------------------------------------------------------------- */

/*
** The last finalizer: tensors are gone by now.  What other finalizers of a state that is
** being closed made has none, and goes here.
*/
static int state_gc(lua_State *L) {
  State *S = lua_touserdata(L, 1);
  nest_close(L, 1);
  close_feeds(S);
  if (S->heap) mare_heap_close(S->heap);
  S->heap = NULL;
  return 0;
}

/*
** The memory functions of this Lua state: a host may leave a pointer to such a
** pair in the registry under "mare.alloc" before it opens the module.
*/
typedef struct AllocHook {
  mare_Alloc *alloc;
  void *ud;
} AllocHook;

static mare_Heap *open_heap(lua_State *L) {
  AllocHook hook = {NULL, NULL};
  lua_getfield(L, LUA_REGISTRYINDEX, "mare.alloc");
  if (lua_islightuserdata(L, -1)) hook = *(AllocHook *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  return mare_heap_new(hook.alloc, hook.ud);
}

static uint64_t fresh_seed(const void *p) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000003u ^ (uint64_t)t.tv_nsec << 20 ^
         (uint64_t)(uintptr_t)p;
}

static State *push_state(lua_State *L) {
  State *S = lua_newuserdatauv(L, sizeof *S, STATE_VALUES);
  memset(S, 0, sizeof *S);
  mare_rng_seed(&S->rng, fresh_seed(S));
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, state_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  S->heap = open_heap(L);
  if (S->heap == NULL) luaL_error(L, "not enough memory");
  return S;
}

/* -- plain functions --------------------------------------------------------------- */

static int core_clock(lua_State *L) { /* wall seconds since some fixed moment */
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + 1e-9 * (lua_Number)t.tv_nsec);
  return 1;
}

static int core_threads(lua_State *L) { /* threads() -> n; threads(n) sets; 0: default */
  if (!lua_isnoneornil(L, 1)) {
    int64_t n = check_integer(L, 1);
    if (n < 0 || n > 1024) return arg_error(L, 1, "%I threads", (LUAI_UACINT)n);
#ifdef MARE_OMIT_THREADS
    if (n > 1) return arg_error(L, 1, "this build has no threads (MARE_OMIT_THREADS)");
#endif
    mare_set_threads((int)n);
  }
  lua_pushinteger(L, mare_threads());
  return 1;
}

static int core_source(lua_State *L) { /* source(prefix): files that are not the user's */
  if (lua_isnoneornil(L, 1)) return 0;
  luaL_checkstring(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "mare.source");
  lua_pushvalue(L, 1);
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  return 0;
}

/*
** here() -> the folder of the caller's file as its chunk is named, "@/lib/mare/", or
** nothing.  A host may have no debug library.
*/
static int core_here(lua_State *L) {
  lua_Debug ar;
  const char *slash;
  if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "S", &ar)) return 0;
  slash = strrchr(ar.source, '/');
  if (slash == NULL) return 0;
  lua_pushlstring(L, ar.source, (size_t)(slash + 1 - ar.source));
  return 1;
}

static int core_fail(lua_State *L) { /* fail(message): an error at the user's line */
  return user_error(L, "%s", luaL_checkstring(L, 1));
}

static int core_refuse(lua_State *L) { /* refuse(position, name, message) */
  return named_error(L, (int)luaL_checkinteger(L, 1), luaL_checkstring(L, 2),
                     luaL_checkstring(L, 3));
}

static const Function core_functions[] = {{"clock", core_clock},
                                          {"threads", core_threads},
                                          {"source", core_source},
                                          {"here", core_here},
                                          {"fail", core_fail},
                                          {"refuse", core_refuse},
                                          {NULL, NULL}};

/* -- opening ------------------------------------------------------------------------- */

/* these do not compute, and may be called by a hook at any time */
static const Function *const quick[] = {core_functions, object_functions,
                                        memory_functions, interrupt_functions};

static bool is_quick(const Function *f) {
  for (size_t i = 0; i < sizeof quick / sizeof *quick; i++)
    if (quick[i] == f) return true;
  return false;
}

/* adds closures (State, name) of a list to the table on the top; State is at index 1 */
static void add_functions(lua_State *L, const Function *f) {
  const bool plain = is_quick(f);
  for (; f->name; f++) {
    lua_pushvalue(L, 1);
    lua_pushstring(L, f->name);
    if (plain) lua_pushcclosure(L, f->call, 2);
    else push_guarded(L, f->call);
    lua_setfield(L, -2, f->name);
  }
}

/* the same for operations (State, Op); a second table maps names to Ops */
static void add_ops(lua_State *L, int ops, int ids, const Op *op) {
  for (; op->name; op++) {
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, (void *)op);
    push_guarded(L, op->call);
    lua_setfield(L, ops, op->name);
    lua_pushlightuserdata(L, (void *)op);
    lua_setfield(L, ids, op->name);
  }
}

static void push_functions(lua_State *L) {
  static const Function *const lists[] = {
      core_functions,  object_functions,   create_functions,      memory_functions,
      tape_functions,  backward_functions, elementwise_functions, reduce_functions,
      index_functions, product_functions,  optim_functions,       io_functions,
      forward_functions, linalg_functions, csv_functions, feed_functions, files_functions,
      conv_functions, interrupt_functions};
  lua_createtable(L, 0, 64);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) add_functions(L, lists[i]);
}

static void push_ops(lua_State *L) { /* pushes ops, ids */
  static const Op *const lists[] = {copy_ops,   view_ops,  product_ops,
                                    reduce_ops, index_ops, join_ops};
  int ops = lua_gettop(L) + 1, ids = ops + 1;
  lua_createtable(L, 0, 64);
  lua_createtable(L, 0, 64);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    add_ops(L, ops, ids, lists[i]);
  for (const Op *const *v = recorded_views; *v; v++) { /* what the tape names */
    lua_pushlightuserdata(L, (void *)*v);
    lua_setfield(L, ids, (*v)->name);
  }
}

static void push_metatable(lua_State *L, int methods) {
  const luaL_Reg ends[] = {
      {"__gc", tensor_gc}, {"__close", object_functions[0].call}, {NULL, NULL}};
  lua_createtable(L, 0, 24);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, STATE_META);
  lua_pushliteral(L, "mare.Tensor");
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, 1);
  luaL_setfuncs(L, ends, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, methods);
  lua_pushcclosure(L, tensor_index, 2); /* the methods that it calls are guarded */
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, 1);
  lua_pushvalue(L, methods);
  push_guarded(L, tensor_newindex);
  lua_setfield(L, -2, "__newindex");
}

__attribute__((visibility("default"))) int luaopen_mare_core(lua_State *L);

/*
** Returns { functions, routines, ops, ids, methods, metatable, bridge, version }: plain
** functions, those of the estimators, differentiable ones, the Ops that the tape names,
** what a tensor answers to, and what other modules in C may use.
*/
int luaopen_mare_core(lua_State *L) {
  State *S;
  lua_settop(L, 0);
  S = push_state(L); /* index 1 */
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, S);
  open_rows(L, S);
  open_scopes(L);
  open_hook(L);
  lua_createtable(L, 0, 8); /* index 2: the result */
  lua_createtable(L, 0, 256); /* index 3: methods */
  push_functions(L);
  lua_setfield(L, 2, "functions");
  push_routines(L);
  lua_setfield(L, 2, "routines");
  push_ops(L);
  lua_setfield(L, 2, "ids");
  lua_setfield(L, 2, "ops");
  push_metatable(L, 3);
  lua_setfield(L, 2, "metatable");
  lua_createtable(L, 0, 24);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, STATE_NESTED);
  lua_setfield(L, 2, "nested");
  lua_createtable(L, NEST, 0);
  lua_setiuservalue(L, 1, STATE_NEST);
  lua_setfield(L, 2, "methods");
  push_bridge(L, 1);
  lua_setfield(L, 2, "bridge");
  lua_pushliteral(L, MARE_VERSION);
  lua_setfield(L, 2, "version");
  return 1;
}
