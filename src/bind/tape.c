/*
** tape.c -- recording: which operation and which arguments made a tensor, and the
** gradient that a leaf has gathered.
*/
#include <math.h>
#include <string.h>

#include "bind.h"

/* -- whether operations are recorded ------------------------------------------------ */

/* A coroutine that is suspended, or has died, keeps its switch to itself. */
static const Mode *mode_of(const State *S) {
  static const Mode usual = {.on = true, .carry = true};
  const Mode *m = S->mode;
  while (m && lua_status(m->L) != LUA_OK) m = m->outer;
  return m ? m : &usual;
}

bool grad_on(const State *S) { return S->mode == NULL || mode_of(S)->on; }

/* with the level whose tangents are really carried */
Mode current_mode(const State *S) {
  Mode m = *mode_of(S);
  if (!m.carry) m.level = NULL;
  return m;
}

static bool carrying(const State *S) {
  return S->levels && current_mode(S).level != NULL;
}

bool wants_grad(const State *S, const Object *o) {
  return (o->requires_grad && grad_on(S)) || (o->dual && carrying(S));
}

void enter_mode(lua_State *L, State *S, Mode *m, Mode as) {
  *m = as;
  m->outer = S->mode;
  m->L = L;
  S->mode = m;
}

void enter_silence(lua_State *L, State *S, Mode *m) {
  Mode as = *mode_of(S);
  as.on = as.carry = false;
  enter_mode(L, S, m, as);
}

void leave_mode(State *S, Mode *m) { /* wherever it stands by now */
  for (Mode **p = &S->mode; *p; p = &(*p)->outer)
    if (*p == m) {
      *p = m->outer;
      return;
    }
}

typedef struct Guard { /* a userdata; its user value is the coroutine */
  Mode mode;
  State *S;
} Guard;

static int guard_close(lua_State *L) { /* __close, __gc */
  Guard *g = luaL_checkudata(L, 1, "mare.Guard");
  leave_mode(g->S, &g->mode);
  return 0;
}

static int tape_grad_mode(lua_State *L) { /* grad_mode() -> whether recording is on */
  lua_pushboolean(L, grad_on(get_state(L)));
  return 1;
}

static void push_guard(lua_State *L, State *S, Mode as) {
  Guard *g = lua_newuserdatauv(L, sizeof *g, 1);
  g->S = S;
  if (luaL_newmetatable(L, "mare.Guard")) {
    lua_pushcfunction(L, guard_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, guard_close);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_pushthread(L);
  lua_setiuservalue(L, -2, 1);
  enter_mode(L, S, &g->mode, as);
}

static Mode recording_mode(const State *S, bool on) {
  Mode as = *mode_of(S);
  as.on = as.carry = on;
  return as;
}

static Mode differentiating_mode(const State *S, bool on) {
  Mode as = current_mode(S);
  as.on = as.inside = on;
  as.carry = true;
  return as;
}

/* differentiating(on) -> a value to be closed: until then as in differentiated */
static int tape_differentiating(lua_State *L) {
  State *S = get_state(L);
  push_guard(L, S, differentiating_mode(S, lua_toboolean(L, 1)));
  return 1;
}

/* all that lies above the guard, which is done already: its __close may have a hook */
static int results(lua_State *L, int status, lua_KContext none) {
  Guard *g = lua_touserdata(L, 1);
  (void)status, (void)none;
  leave_mode(g->S, &g->mode);
  return lua_gettop(L) - 1;
}

/*
** Calls the function at index 2 with what follows.  An error, of a hook even, finds the
** guard marked: in Lua one could strike between its making and its <close>.
*/
static int call_in(lua_State *L, State *S, Mode as) {
  luaL_checkany(L, 2);
  push_guard(L, S, as);
  lua_replace(L, 1);
  lua_toclose(L, 1);
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, results);
  return results(L, LUA_OK, 0);
}

/* recorded(on, f, ...): with recording on or off */
static int tape_recorded(lua_State *L) {
  State *S = get_state(L);
  return call_in(L, S, recording_mode(S, lua_toboolean(L, 1)));
}

/*
** differentiated(on, f, ...): f as a function that is being differentiated backwards, or,
** not on, one that is only carried forward
*/
static int tape_differentiated(lua_State *L) {
  State *S = get_state(L);
  return call_in(L, S, differentiating_mode(S, lua_toboolean(L, 1)));
}

/* nesting() -> inside a function that is differentiated backwards?  forwards? */
static int tape_nesting(lua_State *L) {
  Mode m = current_mode(get_state(L));
  lua_pushboolean(L, m.inside && m.on);
  lua_pushboolean(L, m.level != NULL);
  return 2;
}

/* -- recording -------------------------------------------------------------------- */

bool any_wants(lua_State *L, State *S, int first, int nargs) {
  for (int i = 0; i < nargs; i++) {
    const Object *o = test_tensor(L, S, first + i);
    if (o && (o->requires_grad || o->dual) && wants_grad(S, o)) return true;
  }
  return false;
}

#define MOSTARGS 60000 /* Lua counts user values in 16 bits */

/* integers that a double holds */
static bool exact(lua_Integer i) { return i >= -(1LL << 53) && i <= 1LL << 53; }

static const Object *read_arg(lua_State *L, State *S, Arg *a, int idx, int *nslot) {
  *a = (Arg){.kind = (uint8_t)lua_type(L, idx), .number = NAN};
  if (a->kind == LUA_TNIL) return NULL;
  if (a->kind == LUA_TUSERDATA) {
    a->object = test_tensor(L, S, idx);
    if (a->object && a->object->t.storage) a->version = a->object->t.storage->version;
  } else if (a->kind == LUA_TBOOLEAN) {
    a->number = lua_toboolean(L, idx);
    return NULL;
  } else if (a->kind == LUA_TNUMBER) {
    a->number = lua_tonumber(L, idx);
    if (!lua_isinteger(L, idx)) return NULL;
    a->kind++;
    if (exact(lua_tointeger(L, idx))) return NULL;
  }
  a->slot = (uint16_t)++*nslot;
  return a->object;
}

/* of many arguments pushes what holds them */
void read_args(lua_State *L, State *S, Args *a, int first, int nargs) {
  bool dual = false;
  a->taped = a->grad = false;
  a->first = first;
  a->nargs = nargs;
  a->nslot = 1; /* the gradient's */
  a->arg = a->few;
  if (nargs > FEWARGS) {
    if (nargs > MOSTARGS) user_error(L, "%d arguments; at most %d", nargs, MOSTARGS);
    if (!any_wants(L, S, first, nargs)) return;
    a->arg = lua_newuserdatauv(L, (size_t)nargs * sizeof(Arg), 0);
  }
  for (int i = 0; i < nargs; i++) {
    const Object *o = read_arg(L, S, &a->arg[i], first + i, &a->nslot);
    if (o == NULL) continue;
    a->grad |= o->requires_grad;
    dual |= o->dual;
  }
  if (a->grad) a->grad = grad_on(S);
  a->taped = a->grad || (dual && carrying(S));
}

/* the same of few arguments at 1 .. nargs; see new_result_of */
void read_known(lua_State *L, State *S, Args *a, int nargs, int known, Object *const *x,
                const Arg *rest) {
  bool grad = false, dual = false;
  for (int i = 0; i < known; i++)
    if (x[i]) {
      grad |= x[i]->requires_grad;
      dual |= x[i]->dual;
    }
  a->grad = grad && grad_on(S);
  a->taped = a->grad || (dual && carrying(S));
  if (!a->taped) return;
  a->first = a->nslot = 1; /* the gradient's */
  a->nargs = nargs;
  a->arg = a->few;
  for (int i = 0; i < nargs; i++) {
    if (i < known && x[i])
      a->arg[i] = (Arg){x[i], NAN, x[i]->t.storage->version, (uint16_t)++a->nslot,
                        LUA_TUSERDATA};
    else if (rest) a->arg[i] = rest[i - known];
    else read_arg(L, S, &a->arg[i], 1 + i, &a->nslot);
  }
}

/* what the arguments' tangents make of their result; they are computed by now */
static void inherit(lua_State *L, State *S, Object *o, const Args *a, Level *level) {
  for (int i = 0; i < a->nargs && level; i++) {
    const Object *x = a->arg[i].object;
    if (x == NULL || !x->dual) continue;
    if (x->node && x->node->tag) settle_tangents(L, S, a->first + i);
    o->dual |= x->dual;
  }
}

/* o, on the top of the stack, was made with room for the arguments */
void fill_node(lua_State *L, State *S, Object *o, const Op *op, const Args *a) {
  Node *n = (Node *)(o + 1);
  Level *level = S->levels ? current_mode(S).level : NULL;
  inherit(L, S, o, a, level);
  if (a->grad || o->dual) { /* otherwise a tangent that nobody asks for any more */
    o->requires_grad = a->grad;
    n->op = op;
    n->tag = o->dual ? level_tag(level) : 0;
    n->version = o->t.storage->version;
    n->nargs = a->nargs;
    memcpy(n->arg, a->arg, (size_t)a->nargs * sizeof(Arg));
    for (int i = 0; i < a->nargs; i++) {
      if (n->arg[i].slot == 0) continue;
      lua_pushvalue(L, a->first + i);
      lua_setiuservalue(L, -2, n->arg[i].slot);
    }
    o->node = n;
  }
  if (a->arg != a->few) lua_remove(L, -2);
}

void push_arg(lua_State *L, int idx, const Arg *a) {
  if (a->slot) lua_getiuservalue(L, idx, a->slot);
  else if (a->kind == LUA_TNIL) lua_pushnil(L);
  else if (a->kind == LUA_TBOOLEAN) lua_pushboolean(L, a->number != 0);
  else if (a->kind == LUA_TNUMBER) lua_pushnumber(L, a->number);
  else lua_pushinteger(L, (lua_Integer)a->number);
}

void record(lua_State *L, State *S, const Op *op, int y, int nargs) {
  Object *o = lua_touserdata(L, y);
  bool isview = o->isview;
  if (!any_wants(L, S, 1, nargs)) return;
  y = lua_absindex(L, y);
  own_storage(L, S, y);
  new_result_view(L, S, op, 1, nargs, &o->t)->isview = isview;
  lua_replace(L, y);
}

/* -- in-place writes ----------------------------------------------------------------- */

void written(Object *o) { o->t.storage->version++; }

static bool repeats(const mare_Tensor *t) { /* several elements share one place */
  for (int i = 0; i < t->ndim; i++)
    if (t->shape[i] > 1 && t->stride[i] == 0) return true;
  return false;
}

void check_writable(lua_State *L, State *S, Object *o, int arg) {
  if (o->dual && wants_grad(S, o))
    arg_error(L, arg, "forward mode carries this tensor's tangent; use the operation that"
                      " makes a new tensor, or write to x:detach()");
  if (wants_grad(S, o) && o->node == NULL && !o->consumed)
    arg_error(L, arg, "a leaf that requires a gradient is written in place only inside"
                      " mare.no_grad");
  if (wants_grad(S, o))
    arg_error(L, arg, "the tape holds this tensor; use the operation that makes a new"
                      " tensor, or write to x:detach()");
  if (repeats(&o->t))
    arg_error(L, arg, "an expanded tensor is not written in place; clone it first");
}

/* -- flags and gradients ------------------------------------------------------------- */

static int tensor_requires_grad(lua_State *L) { /* t:requires_grad([on]) -> t */
  State *S = get_state(L);
  Object *o = check_real(L, S, 1);
  bool on = opt_boolean(L, 2, true);
  if (!on && o->node)
    return arg_error(L, 1, "only a leaf can stop requiring a gradient; use :detach()");
  own_storage(L, S, 1);
  o->requires_grad = on;
  lua_settop(L, 1);
  return 1;
}

static int tensor_detach(lua_State *L) { /* shares memory, is not on the tape */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  own_storage(L, S, 1);
  new_view(L, S, &o->t)->isview = o->isview;
  return 1;
}

static int tensor_is_leaf(lua_State *L) {
  const Object *o = check_tensor(L, get_state(L), 1);
  lua_pushboolean(L, o->node == NULL && !o->consumed);
  return 1;
}

void push_grad(lua_State *L, State *S, Object *o, int idx) {
  mare_Tensor v;
  Object *last;
  idx = lua_absindex(L, idx);
  if (o->grad == NULL) {
    lua_pushnil(L);
    return;
  }
  lua_getiuservalue(L, idx, 1);
  last = test_tensor(L, S, -1);
  if (last && last->t.storage == o->grad) return;
  lua_pop(L, 1);
  mare_shape_set(&v, o->t.dtype, o->t.ndim, o->t.shape);
  v.storage = o->grad;
  v.data = o->grad->data;
  new_view(L, S, &v)->isview = false;
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, 1);
  o->shown = true;
}

static void drop_grad(lua_State *L, Object *o, int idx) {
  mare_storage_release(o->grad);
  o->grad = NULL;
  o->shown = false;
  lua_pushnil(L);
  lua_setiuservalue(L, idx, 1);
}

/* x.grad = value: shares a whole contiguous tensor, otherwise copies */
void set_grad(lua_State *L, State *S, Object *o, int idx, int value) {
  Object *g = test_tensor(L, S, value);
  if (lua_isnil(L, value)) {
    drop_grad(L, o, idx);
    return;
  }
  if (o->t.dtype >= MARE_NREAL)
    user_error(L, "a %s has no grad", type_of(L, S, idx));
  if (g == NULL || g->t.storage == NULL || g->t.dtype != o->t.dtype)
    user_error(L, "the grad of a %s tensor is one too, or nil, not a %s",
               mare_dtype_name[o->t.dtype], type_of(L, S, value));
  if (!mare_same_shape(&o->t, &g->t))
    user_error(L, "the grad of a tensor of shape %s has not shape %s", shape_of(L, &o->t),
               shape_of(L, &g->t));
  own_storage(L, S, idx);
  own_storage(L, S, value);
  lua_pushvalue(L, value);
  if (!mare_is_contiguous(&g->t) || g->t.data != g->t.storage->data) {
    Object *copy = new_like(L, S, &g->t);
    mare_copy(&copy->t, &g->t);
    g = copy;
  }
  mare_storage_retain(g->t.storage);
  mare_storage_release(o->grad);
  o->grad = g->t.storage;
  o->shown = true;
  lua_setiuservalue(L, idx, 1);
}

static int tensor_zero_grad(lua_State *L) { /* forgets the gradient */
  Object *o = check_tensor(L, get_state(L), 1);
  drop_grad(L, o, 1);
  return 0;
}

/* -- looking at the tape from Lua ---------------------------------------------------- */

static int tape_node(lua_State *L) { /* node(t) -> op (light userdata), arguments ... */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  if (o->node == NULL) return 0;
  check_versions(L, S, o);
  lua_pushlightuserdata(L, (void *)o->node->op);
  luaL_checkstack(L, o->node->nargs, NULL);
  for (int i = 0; i < o->node->nargs; i++) push_arg(L, 1, &o->node->arg[i]);
  return 1 + o->node->nargs;
}

/*
** record(y, op, arguments ...) -> y: puts y on the tape as the result of an
** operation defined in Lua; op is what define() returned.
*/
static int tape_record(lua_State *L) {
  State *S = get_state(L);
  const Op *op = lua_touserdata(L, 2);
  check_tensor(L, S, 1);
  lua_pushvalue(L, 1);
  lua_remove(L, 1);
  lua_remove(L, 1); /* arguments ..., y */
  if (lua_gettop(L) > 200) return arg_error(L, 3, "too many arguments");
  record(L, S, op, lua_gettop(L), lua_gettop(L) - 1);
  return 1;
}

/* define(name) -> a new Op for record; lives as long as the Lua state */
static int tape_define(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  Op *op = lua_newuserdatauv(L, sizeof *op, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* keeps the name's bytes */
  *op = (Op){.name = name, .needs = NEEDS_ALL};
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "mare.defined");
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, op);
  lua_pushlightuserdata(L, op);
  return 1;
}

/* attach(op, row): the Lua table that says how to differentiate op */
static int tape_attach(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "mare.rows");
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, lua_touserdata(L, 1));
  return 0;
}

const Function tape_functions[] = {
    {"requires_grad", tensor_requires_grad}, {"detach", tensor_detach},
    {"is_leaf", tensor_is_leaf},             {"zero_grad", tensor_zero_grad},
    {"grad_mode", tape_grad_mode},           {"recorded", tape_recorded},
    {"differentiated", tape_differentiated},
    {"nesting", tape_nesting},               {"differentiating", tape_differentiating},
    {"node", tape_node},
    {"record", tape_record},                 {"define", tape_define},
    {"attach", tape_attach},                 {NULL, NULL}};
