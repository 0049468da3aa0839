/*
** tape.c -- recording: which operation and which arguments made a tensor, and the
** gradient that a leaf has gathered.
*/
#include <math.h>

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

/* recording(on) -> a value to be closed: until then recording is on or off */
static int tape_recording(lua_State *L) {
  State *S = get_state(L);
  Mode as = *mode_of(S);
  as.on = as.carry = lua_toboolean(L, 1);
  push_guard(L, S, as);
  return 1;
}

/*
** differentiating(on) -> a value to be closed: until then a function that is being
** differentiated backwards runs, or, not on, one that is only carried forward
*/
static int tape_differentiating(lua_State *L) {
  State *S = get_state(L);
  Mode as = current_mode(S);
  as.on = as.inside = lua_toboolean(L, 1);
  as.carry = true;
  push_guard(L, S, as);
  return 1;
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

static void fill_arg(lua_State *L, State *S, Arg *a, int idx) {
  a->object = test_tensor(L, S, idx);
  a->version = a->object && a->object->t.storage ? a->object->t.storage->version : 0;
  a->number = NAN;
  if (a->object) return;
  if (lua_isboolean(L, idx)) a->number = lua_toboolean(L, idx);
  else if (lua_type(L, idx) == LUA_TNUMBER) a->number = lua_tonumber(L, idx);
}

/* what an argument makes of its result; its own tangents are computed by now */
static void inherit(lua_State *L, State *S, Object *o, int idx, Level *level) {
  const Object *a = test_tensor(L, S, idx);
  if (a == NULL) return;
  o->requires_grad |= a->requires_grad;
  if (!a->dual || level == NULL) return;
  if (a->node && a->node->tag) settle_tangents(L, S, idx);
  o->dual |= a->dual;
}

/* o, on the top of the stack, was made with room for nargs arguments */
void fill_node(lua_State *L, State *S, Object *o, const Op *op, int first, int nargs) {
  Node *n = (Node *)(o + 1);
  Level *level = S->levels ? current_mode(S).level : NULL;
  for (int i = 0; i < nargs; i++) inherit(L, S, o, first + i, level);
  o->requires_grad &= grad_on(S);
  if (!o->requires_grad && !o->dual) return; /* a tangent that nobody asks for any more */
  n->op = op;
  n->tag = o->dual ? level_tag(level) : 0;
  n->version = o->t.storage->version;
  n->nargs = nargs;
  for (int i = 0; i < nargs; i++) {
    fill_arg(L, S, &n->arg[i], first + i);
    lua_pushvalue(L, first + i);
    lua_setiuservalue(L, -2, i + 2);
  }
  o->node = n;
}

void record(lua_State *L, State *S, const Op *op, int y, int nargs) {
  Object *o = lua_touserdata(L, y);
  bool isview = o->isview;
  if (!any_wants(L, S, 1, nargs)) return;
  y = lua_absindex(L, y);
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
  o->requires_grad = on;
  lua_settop(L, 1);
  return 1;
}

static int tensor_detach(lua_State *L) { /* shares memory, is not on the tape */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
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
}

static void drop_grad(lua_State *L, Object *o, int idx) {
  mare_storage_release(o->grad);
  o->grad = NULL;
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
  lua_pushvalue(L, value);
  if (!mare_is_contiguous(&g->t) || g->t.data != g->t.storage->data) {
    Object *copy = new_like(L, S, &g->t);
    mare_copy(&copy->t, &g->t);
    g = copy;
  }
  mare_storage_retain(g->t.storage);
  mare_storage_release(o->grad);
  o->grad = g->t.storage;
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
  for (int i = 0; i < o->node->nargs; i++) lua_getiuservalue(L, 1, i + 2);
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
    {"grad_mode", tape_grad_mode},           {"recording", tape_recording},
    {"nesting", tape_nesting},               {"differentiating", tape_differentiating},
    {"node", tape_node},
    {"record", tape_record},                 {"define", tape_define},
    {"attach", tape_attach},                 {NULL, NULL}};
