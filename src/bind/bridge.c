/* bridge.c -- the struct of bridge.h, made once for each Lua state. */
#include "bridge.h"

#include "bind.h"

static int view(const mare_Bridge *b, lua_State *L, int idx, mare_View *v) {
  const Object *o = test_tensor(L, b->state, idx);
  if (o == NULL || o->t.storage == NULL) return 0;
  own_storage(L, b->state, idx);
  *v = (mare_View){.data = o->t.data, .storage = o->t.storage,
                   .dtype = mare_dtype_name[o->t.dtype], .ndim = o->t.ndim,
                   .shape = o->t.shape, .numel = o->t.numel,
                   .contiguous = mare_is_contiguous(&o->t)};
  return 1;
}

static int bridge_write(lua_State *L) { /* write(tensor) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  check_writable(L, S, o, 1);
  written(o);
  return 0;
}

/* as a function of its own: what names functions in errors looks at its upvalues */
static void before_write(const mare_Bridge *b, lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lua_pushlightuserdata(L, b->state);
  lua_pushliteral(L, "write");
  lua_pushcclosure(L, bridge_write, 2);
  lua_pushvalue(L, idx);
  lua_call(L, 1, 0);
}

static void retain(void *storage) { mare_storage_retain(storage); }
static void release(void *storage) { mare_storage_release(storage); }

void push_bridge(lua_State *L, int state) {
  mare_Bridge *b = lua_newuserdatauv(L, sizeof *b, 1);
  *b = (mare_Bridge){.version = MARE_BRIDGE, .state = lua_touserdata(L, state),
                     .view = view, .write = before_write,
                     .retain = retain, .release = release};
  lua_pushvalue(L, state); /* the State lives as long */
  lua_setiuservalue(L, -2, 1);
}
