/*
** memory.c -- keeping memory bounded although Lua cannot see it: the pressure
** rule, scopes, limits and counters.
*/
#include "bind.h"

/* -- pressure -------------------------------------------------------------------- */

/*
** Collects when live bytes are beyond what the heap finds right.  A collector that
** the user stopped, or that is running a finalizer right now, is left alone.
*/
void make_room(lua_State *L, State *S, size_t nbytes) {
  mare_Heap *h = S->heap;
  const size_t before = h->live + nbytes;
  if (before <= h->pressure) return;
  if (lua_gc(L, LUA_GCISRUNNING) != 1) return;
  lua_gc(L, LUA_GCCOLLECT);
  watch_hook(L); /* finalizers may have run */
  mare_heap_collected(h, before, h->live + nbytes);
}

/* { live =, peak =, scratch =, cached =, limit = } */
static int memory_counters(lua_State *L) {
  const mare_Heap *h = get_state(L)->heap;
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, (lua_Integer)h->live);
  lua_setfield(L, -2, "live");
  lua_pushinteger(L, (lua_Integer)h->peak);
  lua_setfield(L, -2, "peak");
  lua_pushinteger(L, (lua_Integer)h->scratch);
  lua_setfield(L, -2, "scratch");
  lua_pushinteger(L, (lua_Integer)h->cached);
  lua_setfield(L, -2, "cached");
  if (h->limit != SIZE_MAX) {
    lua_pushinteger(L, (lua_Integer)h->limit);
    lua_setfield(L, -2, "limit");
  }
  return 1;
}

static int memory_limit(lua_State *L) { /* memory_limit(bytes); nil: none */
  State *S = get_state(L);
  int64_t n = opt_integer(L, 1, -1);
  if (n < 0 && !lua_isnoneornil(L, 1))
    return arg_error(L, 1, "a limit is not negative, got %I", (LUAI_UACINT)n);
  mare_heap_limit(S->heap, n < 0 ? SIZE_MAX : (size_t)n);
  return 0;
}

static int memory_trim(lua_State *L) { /* gives cached blocks back to the system */
  mare_heap_trim(get_state(L)->heap);
  return 0;
}

static int memory_reset_peak(lua_State *L) {
  mare_Heap *h = get_state(L)->heap;
  h->peak = h->live;
  return 0;
}

/* -- the nest -------------------------------------------------------------------- */

/* The table has its places from the beginning: nothing here raises. */

bool scope_nests(lua_State *L, const State *S) {
  return S->scope->L == L && !S->scope->hold && S->nested < NEST;
}

void nest_add(lua_State *L, State *S, Object *o) {
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_NEST);
  lua_pushvalue(L, -2);
  o->nest = ++S->nested;
  lua_rawseti(L, -2, o->nest);
  lua_pop(L, 1);
}

static void nest_clear(lua_State *L, int nest, Object *o) {
  lua_pushnil(L);
  lua_rawseti(L, nest, o->nest);
  o->nest = 0;
}

/* pushes the nest and the object; false when o is not in it (pushes nothing) */
static bool push_nested(lua_State *L, Object *o) {
  if (o->nest == 0) return false;
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_NEST);
  lua_rawgeti(L, -1, o->nest);
  if (lua_touserdata(L, -1) == o) return true;
  lua_pop(L, 2); /* it was closed from C, and another has its place */
  return false;
}

void nest_remove(lua_State *L, Object *o) {
  if (!push_nested(L, o)) return;
  nest_clear(L, lua_gettop(L) - 1, o);
  lua_pop(L, 2);
}

/* gives o a finalizer: it goes on without its scope */
static void promote(lua_State *L, Object *o) {
  if (!push_nested(L, o)) return;
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_META);
  lua_setmetatable(L, -2);
  nest_clear(L, lua_gettop(L) - 1, o);
  lua_pop(L, 2);
}

/* what scopes left that were collected without being closed */
static void promote_lost(lua_State *L, State *S) {
  S->lost = false;
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_NEST);
  for (int i = 1; i <= S->nested; i++) {
    lua_rawgeti(L, -1, i);
    Object *o = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (o && o->scope == NULL) promote(L, o);
  }
  lua_pop(L, 1);
  if (S->scope == NULL) S->nested = 0;
}

void nest_close(lua_State *L, int state) {
  const State *S = lua_touserdata(L, state);
  if (lua_getiuservalue(L, state, STATE_NEST) != LUA_TTABLE) return;
  for (int i = 1; i <= S->nested; i++) {
    lua_rawgeti(L, -1, i);
    Object *o = lua_touserdata(L, -1);
    if (o) close_tensor(o);
    lua_pop(L, 1);
  }
}

/* -- scopes ---------------------------------------------------------------------- */

void scope_remove(Object *o) {
  if (o->scope == NULL) return;
  *o->link = o->next;
  if (o->next) o->next->link = o->link;
  o->scope = NULL;
}

static void enter(Scope *s, Object *o) {
  o->next = s->first;
  if (o->next) o->next->link = &o->next;
  s->first = o;
  o->scope = s;
  o->link = &s->first;
}

/* the innermost scope, from s outwards, whose coroutine is not suspended */
static Scope *active(Scope *s) {
  while (s && lua_status(s->L) != LUA_OK) s = s->outer;
  return s;
}

/* into the innermost scope of this coroutine, or of those that wait for it */
void scope_add(lua_State *L, State *S, Object *o) {
  Scope *s = S->scope;
  while (s && s->L != L) s = s->outer;
  if (s == NULL) s = active(S->scope);
  if (s && !s->hold) enter(s, o);
}

/* takes the scope out of the chain of open ones, wherever it stands */
static void leave(Scope *s) {
  for (Scope **p = &s->S->scope; *p; p = &(*p)->outer)
    if (*p == s) {
      *p = s->outer;
      s->outer = NULL;
      return;
    }
}

/* the places in the nest of a scope that was the innermost one */
static void leave_nest(const Scope *s, bool innermost) {
  State *S = s->S;
  if (S->lost) return; /* some are not free */
  if (S->scope == NULL) S->nested = 0;
  else if (innermost && s->base < S->nested) S->nested = s->base;
}

static Scope *check_scope(lua_State *L) {
  Scope *s = lua_touserdata(L, 1);
  if (s == NULL || lua_rawlen(L, 1) != sizeof *s || s->self != s)
    arg_error(L, 1, "scope expected, got %s", luaL_typename(L, 1));
  return s;
}

static int scope_new(lua_State *L) {
  State *S = get_state(L);
  Scope *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->self = s;
  s->S = S;
  s->L = L;
  s->first = NULL;
  s->hold = false;
  if (S->lost) promote_lost(L, S);
  s->base = S->nested;
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_SCOPE);
  lua_setmetatable(L, -2);
  lua_pushthread(L);
  lua_setiuservalue(L, -2, 1);
  s->outer = S->scope;
  S->scope = s;
  return 1;
}

static int scope_close(lua_State *L) { /* s:close(), __close */
  Scope *s = check_scope(L);
  bool innermost = s == s->S->scope, all = !interrupting(L);
  if (s->S->heap == NULL) return 0; /* what is in it has gone with the heap */
  leave(s);
  lua_settop(L, 1);
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_NEST); /* index 2 */
  for (Object *o = s->first, *next; o; o = next) {
    next = o->next;
    if (o->walk == NULL && all) {
      close_tensor(o);
      if (o->nest) nest_clear(L, 2, o);
    } else { /* a running function still reads it */
      scope_remove(o);
      promote(L, o);
    }
  }
  leave_nest(s, innermost);
  lua_getiuservalue(L, lua_upvalueindex(1), STATE_CLOSED);
  lua_setmetatable(L, 1);
  return 0;
}

static int scope_gc(lua_State *L) { /* never closed: forget, but close nothing */
  Scope *s = check_scope(L);
  leave(s);
  while (s->first) {
    if (s->first->nest) s->S->lost = true;
    scope_remove(s->first);
  }
  return 0;
}

/* will o be closed no later than s? */
static bool within(const Scope *s, const Object *o) {
  if (o->scope == NULL) return false;
  for (const Scope *p = s->S->scope; p && p != s; p = p->outer)
    if (p == o->scope) return true;
  return o->scope == s;
}

/* the tensor on the top of the stack, and its tangents, and theirs */
static void keep_tensor(lua_State *L, Scope *s) {
  Object *o = lua_touserdata(L, -1);
  Scope *outer = active(s->outer);
  for (int n = push_tangents_of(L, s->S, -1); n > 0; n--) {
    keep_tensor(L, s);
    lua_pop(L, 1);
  }
  if (!within(s, o)) return;
  scope_remove(o);
  promote(L, o);
  if (outer && !outer->hold) enter(outer, o);
}

/* the tensors in the table at idx; seen (a table at index 3) ends cycles */
static void keep_table(lua_State *L, Scope *s, int idx) {
  luaL_checkstack(L, 6, "table nested too deeply");
  lua_pushvalue(L, idx);
  if (lua_rawget(L, 3) == LUA_TNIL) {
    lua_pushvalue(L, idx);
    lua_pushboolean(L, 1);
    lua_rawset(L, 3);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
      if (test_tensor(L, s->S, -1)) keep_tensor(L, s);
      else if (lua_istable(L, -1)) keep_table(L, s, lua_gettop(L));
    }
  }
  lua_pop(L, 1);
}

/* s:keep(v): v, a tensor or a table of tensors, outlives the scope; returns it */
static int scope_keep(lua_State *L) {
  Scope *s = check_scope(L);
  lua_settop(L, 2);
  if (test_tensor(L, s->S, 2)) keep_tensor(L, s);
  if (lua_istable(L, 2)) {
    lua_createtable(L, 0, 0);
    keep_table(L, s, 2);
    lua_settop(L, 2);
  }
  return 1;
}

/* hold(f, ...): calls f outside all scopes, so that what it makes stays */
static int scope_hold(lua_State *L) {
  State *S = get_state(L);
  Scope hold = {&hold, S, L, NULL, S->scope, S->nested, true};
  int status;
  S->scope = &hold;
  status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  leave(&hold);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

void open_scopes(lua_State *L) { /* the State is on the top of the stack */
  static const luaL_Reg methods[] = {{"keep", scope_keep},   {"close", scope_close},
                                     {"__close", scope_close}, {"__gc", scope_gc},
                                     {NULL, NULL}};
  for (int k = STATE_SCOPE; k <= STATE_CLOSED; k++) {
    lua_createtable(L, 0, 6);
    lua_pushliteral(L, "mare.Scope");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushnil(L);
    if (k == STATE_CLOSED) lua_setfield(L, -2, "__gc");
    else lua_pop(L, 1);
    lua_setiuservalue(L, -2, k);
  }
}

const Function memory_functions[] = {
    {"memory", memory_counters}, {"memory_limit", memory_limit},
    {"memory_trim", memory_trim}, {"memory_reset_peak", memory_reset_peak},
    {"scope", scope_new},        {"hold", scope_hold},
    {NULL, NULL}};
