/*
** forward.c -- forward accumulation: tangents beside tensors, and no graph.
**
** A Level is one forward mode that is going on.  It maps tensors to their tangents
** in a table with weak keys, so that a tangent goes with its tensor.  A result is
** recorded like one for backward; its tangent is computed when the result is used
** (its value is known by then), and what it was computed from is forgotten.
**
** Levels nest: the tangents of a level are computed by operations that carry the
** tangents of the levels around it, and no others; that keeps perturbations apart.
** A tangent has the shape of its tensor, or further dimensions in front of it:
** those are many tangents at once.
*/
#include <string.h>

#include "bind.h"

struct Level { /* a userdata; user values: its coroutine, its table */
  Mode mode;
  State *S;
  Level *next;  /* in the list of all, the one before */
  Level *outer; /* the one that was going on */
  uint64_t tag;
  bool open, taped; /* taped: its tangents are themselves recorded for backward */
};

uint64_t level_tag(const Level *l) { return l->tag; }

/* -- levels ----------------------------------------------------------------------- */

static void forget_level(State *S, Level *l) {
  for (Mode *m = S->mode; m; m = m->outer)
    if (m->level == l) m->level = l->outer;
  for (Level **p = &S->levels; *p;) {
    if ((*p)->outer == l) (*p)->outer = l->outer;
    if (*p == l) *p = l->next;
    else p = &(*p)->next;
  }
}

static void end_level(lua_State *L, Level *l) {
  if (!l->open) return;
  l->open = false;
  leave_mode(l->S, &l->mode);
  forget_level(l->S, l);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, l);
}

static int level_close(lua_State *L) { /* __close, __gc */
  end_level(L, luaL_checkudata(L, 1, "mare.Level"));
  return 0;
}

static void push_level_metatable(lua_State *L) {
  if (luaL_newmetatable(L, "mare.Level")) {
    lua_pushcfunction(L, level_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, level_close);
    lua_setfield(L, -2, "__gc");
  }
}

static void push_weak_table(lua_State *L) {
  lua_createtable(L, 0, 0);
  if (luaL_newmetatable(L, "mare.weak")) {
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
  }
  lua_setmetatable(L, -2);
}

static void push_level(lua_State *L, State *S) {
  Mode as = current_mode(S);
  Level *l = lua_newuserdatauv(L, sizeof *l, 1);
  memset(l, 0, sizeof *l);
  push_level_metatable(L);
  lua_setmetatable(L, -2);
  lua_pushthread(L);
  lua_setiuservalue(L, -2, 1);
  push_weak_table(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, l);
  l->S = S;
  l->tag = ++S->tag;
  l->outer = as.level;
  l->next = S->levels;
  l->taped = as.on = as.on && as.inside;
  l->open = as.carry = true;
  as.level = S->levels = l;
  enter_mode(L, S, &l->mode, as);
}

/* all that lies above the level, which has ended already: its __close may have a hook */
static int results(lua_State *L, int status, lua_KContext none) {
  (void)status, (void)none;
  end_level(L, lua_touserdata(L, 1));
  return lua_gettop(L) - 1;
}

/* forward(f, ...): f(level, ...), and tangents of this level are carried meanwhile */
static int forward_call(lua_State *L) {
  luaL_checkany(L, 1);
  push_level(L, get_state(L));
  lua_pushvalue(L, -1);
  lua_insert(L, 1);
  lua_insert(L, 3);
  lua_toclose(L, 1);
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, results);
  return results(L, LUA_OK, 0);
}

/* -- the tangent of one result ---------------------------------------------------- */

typedef struct Carry { /* stack: y; from `first` on each argument's tangent or nil */
  lua_State *L;
  State *S;
  Object *y;
  int index, first;
} Carry;

/* pushes the arguments' tangents; false when there is none */
static bool push_tangents(Carry *c, int map) {
  lua_State *L = c->L;
  const Node *n = c->y->node;
  bool any = false;
  luaL_checkstack(L, 3 * n->nargs + 12, NULL);
  c->first = lua_gettop(L) + 1;
  for (int i = 0; i < n->nargs; i++) {
    push_arg(L, c->index, &n->arg[i]);
    if (n->arg[i].object && n->arg[i].object->dual) {
      lua_rawget(L, map);
      any |= !lua_isnil(L, -1);
    } else {
      lua_pop(L, 1);
      lua_pushnil(L);
    }
  }
  return any;
}

static Object *tangent_at(const Carry *c, int i) {
  return lua_touserdata(c->L, c->first + i);
}

static Object *check_open(const Carry *c, int i) {
  Object *t = tangent_at(c, i);
  if (t && t->t.storage == NULL)
    user_error(c->L, "the derivative of '%s' needs a tangent, which was closed",
               c->y->node->op->name);
  return t;
}

/* does something else differentiate what the tangent is computed from? */
static bool plain(const Carry *c) {
  const Node *n = c->y->node;
  for (int i = 0; i < n->nargs; i++) {
    const Object *t = tangent_at(c, i);
    if (t && wants_grad(c->S, t)) return false;
    if (n->arg[i].object && wants_grad(c->S, n->arg[i].object)) return false;
  }
  return true;
}

/* t, a tangent of x, seen in the shape of y's */
static void spread(const Carry *c, const Object *x, const mare_Tensor *t,
                   mare_Tensor *v) {
  const mare_Tensor *y = &c->y->t;
  int lead = t->ndim - x->t.ndim, n = lead + y->ndim;
  int64_t shape[2 * MARE_MAXDIM];
  mare_Tensor padded = *t;
  if (n > MARE_MAXDIM)
    user_error(c->L, "tangents of '%s' with more than %d dimensions",
               c->y->node->op->name, MARE_MAXDIM);
  memcpy(shape, t->shape, sizeof *shape * (size_t)lead);
  memcpy(shape + lead, y->shape, sizeof *shape * (size_t)y->ndim);
  while (padded.ndim < n) mare_unsqueeze(&padded, lead);
  mare_expand(&padded, n, shape, v);
}

/* pushes the part of the tangent that comes from argument i */
static Object *push_term(const Carry *c, int i) {
  const Node *n = c->y->node;
  const char *derivative = n->op->row->derivative[i];
  mare_Tensor v;
  Object *term;
  if (derivative == NULL || strcmp(derivative, "0") == 0) return NULL;
  spread(c, n->arg[i].object, &check_open(c, i)->t, &v);
  if (strcmp(derivative, "1") == 0) return new_view(c->L, c->S, &v);
  term = new_tensor(c->L, c->S, v.dtype, v.ndim, v.shape);
  row_derivative(c->S, c->y, i, &v, &term->t);
  return term;
}

/* pushes the tangent of an element-wise result, or nil */
static void push_row_tangent(const Carry *c) {
  mare_Tensor a, b;
  mare_Tensor *op[3] = {NULL, &a, &b};
  Object *sum = NULL;
  for (int i = 0; i < c->y->node->op->row->nargs; i++) {
    Object *term = tangent_at(c, i) ? push_term(c, i) : NULL;
    if (term == NULL) continue;
    if (sum) {
      a = sum->t;
      b = term->t;
      op[0] = &new_like(c->L, c->S, &a)->t;
      mare_apply(mare_row_kernels(c->S->add)->forward[a.dtype], mare_run_any, NULL, 3,
                 op);
      term = lua_touserdata(c->L, -1);
    }
    sum = term;
  }
  if (sum == NULL) lua_pushnil(c->L);
}

/* pushes what the rule in Lua gives: rule(op, y, n, n tangents, n arguments) */
static int call_rule(const Carry *c) {
  lua_State *L = c->L;
  int n = c->y->node->nargs;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "mare.forward") != LUA_TFUNCTION)
    luaL_error(L, "forward mode has no rules");
  lua_pushlightuserdata(L, (void *)c->y->node->op);
  lua_pushvalue(L, c->index);
  lua_pushinteger(L, n);
  for (int i = 0; i < n; i++) lua_pushvalue(L, c->first + i);
  for (int i = 0; i < n; i++) push_arg(L, c->index, &c->y->node->arg[i]);
  return lua_pcall(L, 3 + 2 * n, 1, 0);
}

/* pushes y's tangent of this level, or nil; without memory the mode is left, too */
static void push_tangent(const Carry *c, const Level *l) {
  Mode m = {.on = l->taped, .inside = l->taped, .carry = true, .level = l->outer};
  uint64_t tag = c->y->node->tag;
  int status = LUA_OK;
  enter_mode(c->L, c->S, &m, m);
  bool simple = c->y->node->op->row && plain(c);
  if (!simple) {
    c->y->node->tag = 0; /* y itself is among the operands of its derivative */
    status = call_rule(c);
    c->y->node->tag = tag;
  }
  leave_mode(c->S, &m);
  if (status != LUA_OK) lua_error(c->L);
  watch_hook(c->L);
  if (simple) push_row_tangent(c);
}

/* true when y has a tangent of this level now */
static bool carry(Carry *c, const Level *l) {
  lua_State *L = c->L;
  int top = lua_gettop(L);
  bool any;
  lua_rawgetp(L, LUA_REGISTRYINDEX, l);
  any = push_tangents(c, top + 1);
  if (any) {
    push_tangent(c, l);
    check_hook(L);
    any = !lua_isnil(L, -1);
  }
  if (any) {
    lua_pushvalue(L, c->index);
    lua_insert(L, -2);
    lua_rawset(L, top + 1);
  }
  lua_settop(L, top);
  return any;
}

/* the level with the lowest tag above this one */
static const Level *level_after(const State *S, uint64_t tag) {
  const Level *found = NULL;
  for (const Level *l = S->levels; l && l->tag > tag; l = l->next) found = l;
  return found;
}

static void drop_node(lua_State *L, Object *o, int index) {
  for (int i = 0; i < o->node->nargs; i++) {
    if (o->node->arg[i].slot == 0) continue;
    lua_pushnil(L);
    lua_setiuservalue(L, index, o->node->arg[i].slot);
  }
  o->node = NULL;
}

/* the tensor at index y: from the outermost level inwards */
void settle_tangents(lua_State *L, State *S, int y) {
  Object *o = lua_touserdata(L, y);
  Carry c = {L, S, o, lua_absindex(L, y), 0};
  uint64_t last = o->node->tag;
  bool any = false;
  luaL_checkstack(L, 8, NULL);
  check_versions(L, S, o);
  for (const Level *l = level_after(S, 0); l && l->tag <= last;) {
    uint64_t tag = l->tag;
    any |= carry(&c, l);
    l = level_after(S, tag);
  }
  o->node->tag = 0;
  o->dual = any;
  if (!o->requires_grad) drop_node(L, o, c.index);
}

/* pushes the tangents of the tensor at index x, of all levels; returns how many */
int push_tangents_of(lua_State *L, State *S, int x) {
  const Object *o = lua_touserdata(L, x);
  int n = 0;
  if (S->levels == NULL || o->t.storage == NULL) return 0;
  x = lua_absindex(L, x);
  if (o->node && o->node->tag) settle_tangents(L, S, x);
  for (const Level *l = S->levels; l && o->dual; l = l->next) {
    luaL_checkstack(L, 2, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, l);
    lua_pushvalue(L, x);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) lua_pop(L, 1);
    else n++;
  }
  return n;
}

/* -- from Lua --------------------------------------------------------------------- */

static Level *check_level(lua_State *L) {
  Level *l = luaL_checkudata(L, 1, "mare.Level");
  if (!l->open) luaL_error(L, "the forward mode has ended");
  lua_rawgetp(L, LUA_REGISTRYINDEX, l);
  return l;
}

static int forward_tangent(lua_State *L) { /* tangent(level, x) -> its tangent or nil */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 2);
  check_level(L);
  if (x->node && x->node->tag) settle_tangents(L, S, 2);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int forward_set_tangent(lua_State *L) { /* set_tangent(level, x, t) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 2);
  check_tensor(L, S, 3);
  if (x->node && x->node->tag) settle_tangents(L, S, 2);
  lua_settop(L, 3);
  check_level(L);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  x->dual = true;
  return 0;
}

static int forward_settled(lua_State *L) { /* settled(x) -> x, its tangents computed */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1);
  if (x->node && x->node->tag) settle_tangents(L, S, 1);
  lua_settop(L, 1);
  return 1;
}

/* has_tangent(x): at any level that is carried now */
static int forward_has(lua_State *L) {
  State *S = get_state(L);
  const Object *x = check_tensor(L, S, 1);
  lua_pushboolean(L, x->dual && current_mode(S).level != NULL);
  return 1;
}

static int forward_taped(lua_State *L) { /* taped(x): will backward find it? */
  State *S = get_state(L);
  lua_pushboolean(L, check_tensor(L, S, 1)->requires_grad);
  return 1;
}

static int forward_rule(lua_State *L) { /* forward_rule(f): what call_rule calls */
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "mare.forward");
  return 0;
}

const Function forward_functions[] = {
    {"forward", forward_call},       {"tangent", forward_tangent},
    {"set_tangent", forward_set_tangent}, {"settled", forward_settled},
    {"has_tangent", forward_has},    {"taped", forward_taped},
    {"forward_rule", forward_rule},  {NULL, NULL}};
