/*
** optim.c -- optimizers for Lua.  A Group holds parameters, the state of each and
** the hyper-parameters; its step is one call.  lua/mare/optim.lua makes the
** optimizer of it.
*/
#include <math.h>
#include <string.h>

#include "../learn/optim.h"
#include "bind.h"

#define GROUP "mare.Group"

typedef struct Member {
  Object *object; /* the group's user value 1 is the list of them */
  const mare_Optimizer *row; /* of the group, or its row for matrices */
  int64_t t;      /* steps that it took part in */
  mare_Storage *slot[MARE_MAXSLOT];
} Member;

typedef struct Group {
  struct Group *self; /* tells a group from other userdata at no cost */
  const mare_Optimizer *row;
  double h[MARE_MAXHYPER + MARE_MAXSTEP];
  int n;
  bool ready;        /* the state fits the hyper-parameters */
  mare_Param *param; /* n of them, behind the members: filled by each step */
  Member member[];
} Group;

/* -- making ------------------------------------------------------------------------- */

static Group *group_at(lua_State *L, int arg) {
  Group *G = lua_touserdata(L, arg);
  if (G && lua_rawlen(L, arg) >= sizeof *G && G->self == G) return G;
  return luaL_checkudata(L, arg, GROUP);
}

static Group *check_group(lua_State *L) { return group_at(L, 1); }

static int group_gc(lua_State *L) {
  Group *G = check_group(L);
  for (int i = 0; i < G->n; i++)
    for (int k = 0; k < MARE_MAXSLOT; k++) {
      mare_storage_release(G->member[i].slot[k]);
      G->member[i].slot[k] = NULL;
    }
  return 0;
}

static Group *push_group(lua_State *L, const mare_Optimizer *row, int n) {
  size_t members = (size_t)n * sizeof(Member), params = (size_t)n * sizeof(mare_Param);
  Group *G = lua_newuserdatauv(L, sizeof *G + members + params, 1);
  memset(G, 0, sizeof *G + members);
  G->self = G;
  G->row = row;
  G->param = (mare_Param *)(void *)((char *)G->member + members);
  for (int i = 0; i < row->nhyper; i++) G->h[i] = row->hyper[i].value;
  if (luaL_newmetatable(L, GROUP)) {
    lua_pushcfunction(L, group_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return G;
}

/* the shape of slot k: that of the parameter, or a value for each row or column */
static mare_Tensor slot_tensor(const Member *m, int k) {
  mare_Tensor v = m->object->t;
  mare_SlotKind kind = m->row->slot[k].kind;
  int64_t rows = v.ndim ? v.shape[0] : 1, columns = rows ? v.numel / rows : 0;
  if (kind == MARE_ROWS || kind == MARE_COLUMNS)
    mare_shape_set(&v, v.dtype, 1, kind == MARE_ROWS ? &rows : &columns);
  else mare_shape_set(&v, v.dtype, v.ndim, v.shape);
  return v;
}

/* the state that the hyper-parameters ask for and that is not there yet: zeros */
static void make_slots(lua_State *L, State *S, Group *G) {
  if (G->ready) return;
  for (int i = 0; i < G->n; i++) {
    Member *m = &G->member[i];
    for (int k = 0; k < m->row->nslot; k++) {
      mare_Tensor v = slot_tensor(m, k);
      Object *zeros;
      if (m->slot[k] || !mare_optim_keeps(m->row, k, G->h)) continue;
      zeros = new_like(L, S, &v);
      mare_fill(&zeros->t, 0);
      m->slot[k] = mare_storage_retain(zeros->t.storage);
      close_tensor(zeros);
      lua_pop(L, 1);
    }
  }
  G->ready = true;
}

/* slot k, NULL while the hyper-parameters do not ask for it */
static mare_Storage *kept_slot(const Group *G, const Member *m, int k) {
  return m->slot[k] && mare_optim_keeps(m->row, k, G->h) ? m->slot[k] : NULL;
}

/* optim_group(name, {parameters}) -> group; the parameters were checked */
static int optim_group(lua_State *L) {
  State *S = get_state(L);
  const mare_Optimizer *row = mare_optimizer_find(luaL_checkstring(L, 1));
  int n = (int)luaL_len(L, 2);
  Group *G;
  if (row == NULL || row->doc == NULL)
    return user_error(L, "no optimizer is called '%s'", lua_tostring(L, 1));
  G = push_group(L, row, n);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  for (int i = 0; i < n; i++) {
    Member *m = &G->member[i];
    lua_rawgeti(L, 2, i + 1);
    m->object = check_real(L, S, -1);
    m->row = m->object->t.ndim > 1 ? mare_optimizer_matrix(row) : row;
    G->n = i + 1;
    lua_pop(L, 1);
  }
  return 1;
}

/* -- hyper-parameters --------------------------------------------------------------- */

static int check_hyper(lua_State *L, const Group *G) {
  int i = mare_hyper_find(G->row, luaL_checkstring(L, 2));
  if (i < 0) user_error(L, "%s has no '%s'", G->row->name, lua_tostring(L, 2));
  return i;
}

static const char *bound(lua_State *L, double v) {
  return isinf(v) ? (v < 0 ? "-inf" : "inf") : lua_pushfstring(L, "%f", v);
}

static void set_hyper(lua_State *L, Group *G, int i, double v) {
  const mare_Hyper *h = &G->row->hyper[i];
  if (!(v >= h->lo && v < h->hi))
    user_error(L, "%s: %s = %f is outside %s <= %s < %s", G->row->name, h->name,
               unsign(v), bound(L, h->lo), h->name, bound(L, h->hi));
  G->h[i] = v;
}

/* optim_set(group, name, value): a number, or true or false for a flag */
static int optim_set(lua_State *L) {
  Group *G = check_group(L);
  int i = check_hyper(L, G);
  const char *name = G->row->hyper[i].name;
  G->ready = false;
  if (G->row->hyper[i].flag) {
    if (!lua_isboolean(L, 3))
      return user_error(L, "%s: %s is true or false, not a %s", G->row->name, name,
                        luaL_typename(L, 3));
    G->h[i] = lua_toboolean(L, 3);
  }
  else {
    if (lua_type(L, 3) != LUA_TNUMBER)
      return user_error(L, "%s: %s is a number, not a %s", G->row->name, name,
                        luaL_typename(L, 3));
    set_hyper(L, G, i, lua_tonumber(L, 3));
  }
  return 0;
}

static int optim_get(lua_State *L) { /* optim_get(group, name) -> value */
  const Group *G = check_group(L);
  int i = check_hyper(L, G);
  if (G->row->hyper[i].flag) lua_pushboolean(L, G->h[i] != 0);
  else lua_pushnumber(L, G->h[i]);
  return 1;
}

/* -- the step ----------------------------------------------------------------------- */

/* In place: copies of a structure of this size cost more than a small update. */
static void plain_param(const mare_Tensor *t, mare_Param *p) {
  p->dtype = t->dtype;
  p->numel = t->numel;
  p->rows = t->ndim && t->shape[0] ? t->shape[0] : 1;
  p->value = t->data;
  p->grad = t->data;
  memset(p->slot, 0, sizeof p->slot);
  memset(p->sum, 0, sizeof p->sum);
}

static void member_param(const Group *G, const Member *m, mare_Param *p) {
  plain_param(&m->object->t, p);
  p->grad = m->object->grad ? m->object->grad->data : NULL;
  for (int k = 0; k < m->row->nslot; k++) {
    mare_Storage *slot = kept_slot(G, m, k);
    if (slot) p->slot[k] = slot->data;
  }
}

/*
** The parameters with a gradient, from member i on, that are one call: they have one
** row and made the same steps.  A matrix with a row of its own is alone.
*/
static int take_run(Group *G, int *i, const Member **first) {
  int n = 0;
  for (; *i < G->n; ++*i) {
    Member *m = &G->member[*i];
    if (m->object->grad == NULL) continue;
    if (n > 0 && (m->t != (*first)->t || m->row != G->row || (*first)->row != G->row))
      break;
    if (n == 0) *first = m;
    member_param(G, m, &G->param[n++]);
  }
  return n;
}

/* working memory for any run of a group */
static size_t group_scratch(const Group *G) {
  size_t together = 0, alone = 0;
  if (!G->row->prepare_tensor && mare_optimizer_matrix(G->row) == G->row) return 0;
  for (int i = 0; i < G->n; i++) {
    const Member *m = &G->member[i];
    if (m->row->prepare_tensor == NULL) continue; /* an element at a time */
    mare_Param p;
    member_param(G, m, &p);
    size_t need = mare_optim_scratch(m->row, 1, &p);
    if (m->row == G->row) together += need;
    else if (need > alone) alone = need;
  }
  return together > alone ? together : alone;
}

static void step_group(Group *G, void *scratch) {
  const Member *first;
  for (int i = 0, n; (n = take_run(G, &i, &first)) > 0;)
    mare_optim_step(first->row, G->h, first->t + 1, n, G->param, scratch);
  for (int i = 0; i < G->n; i++) {
    Member *m = &G->member[i];
    if (m->object->grad == NULL) continue;
    m->t++;
    written(m->object);
  }
}

static Object *new_scratch(lua_State *L, State *S, size_t need) {
  int64_t bytes = (int64_t)need;
  return need ? new_tensor(L, S, MARE_U8, 1, &bytes) : NULL;
}

/* the number of parameters with a gradient; none may be closed */
static int check_members(lua_State *L, const Group *G, int before) {
  int given = 0;
  for (int i = 0; i < G->n; i++) {
    if (G->member[i].object->t.storage == NULL)
      user_error(L, "parameter #%d of the optimizer is closed", before + i + 1);
    given += G->member[i].object->grad != NULL;
  }
  return given;
}

/*
** optim_step(group ...): one update of every parameter that has a gradient.
** A parameter's own count of steps is what its bias corrections use.
*/
static int optim_step(lua_State *L) {
  State *S = get_state(L);
  int ngroup = lua_gettop(L), given = 0, n = 0;
  size_t need = 0;
  Object *scratch;
  for (int i = 1; i <= ngroup; i++) {
    Group *G = group_at(L, i);
    size_t bytes;
    make_slots(L, S, G);
    bytes = group_scratch(G);
    if (bytes > need) need = bytes;
  }
  scratch = new_scratch(L, S, need);
  for (int i = 1; i <= ngroup; i++) {
    const Group *G = lua_touserdata(L, i);
    given += check_members(L, G, n);
    n += G->n;
  }
  if (given == 0)
    return user_error(L, "bad call of 'step' (no parameter has a gradient: call backward "
                         "on a loss first)");
  for (int i = 1; i <= ngroup; i++)
    step_group(lua_touserdata(L, i), scratch ? scratch->t.data : NULL);
  if (scratch) close_tensor(scratch);
  return 0;
}

/* the tensor that stood for the gradient of parameter i */
static void forget_shown(lua_State *L, Object *o, int i) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, i + 1);
  lua_pushnil(L);
  lua_setiuservalue(L, -2, 1);
  lua_pop(L, 2);
  o->shown = false;
}

static int optim_zero_grad(lua_State *L) { /* drops the gradients */
  Group *G = check_group(L);
  for (int i = 0; i < G->n; i++) {
    Object *o = G->member[i].object;
    mare_storage_release(o->grad);
    o->grad = NULL;
    if (o->shown) forget_shown(L, o, i);
  }
  return 0;
}

/* -- the state as tensors ----------------------------------------------------------- */

static Member *check_member(lua_State *L, Group *G) {
  int64_t i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && i <= G->n, 2, "no such parameter");
  return &G->member[i - 1];
}

/* optim_slots(group, i) -> { name = tensor }, which share the state's memory */
static int optim_slots(lua_State *L) {
  State *S = get_state(L);
  Group *G = check_group(L);
  const Member *m = check_member(L, G);
  make_slots(L, S, G);
  lua_createtable(L, 0, m->row->nslot);
  for (int k = 0; k < m->row->nslot; k++) {
    mare_Tensor v = slot_tensor(m, k);
    v.storage = kept_slot(G, m, k);
    if (v.storage == NULL) continue;
    v.data = v.storage->data;
    new_view(L, S, &v)->isview = false;
    lua_setfield(L, -2, m->row->slot[k].name);
  }
  return 1;
}

static int optim_count(lua_State *L) { /* optim_count(group, i [, t]) -> t */
  Group *G = check_group(L);
  Member *m = check_member(L, G);
  if (!lua_isnoneornil(L, 3)) m->t = check_integer(L, 3);
  lua_pushinteger(L, m->t);
  return 1;
}

/* -- the rows, for Lua -------------------------------------------------------------- */

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void push_hyper(lua_State *L, const mare_Hyper *h) {
  lua_createtable(L, 0, 5);
  set_string(L, "name", h->name);
  if (h->flag) lua_pushboolean(L, h->value != 0);
  else lua_pushnumber(L, h->value);
  lua_setfield(L, -2, "default");
  lua_pushnumber(L, h->lo);
  lua_setfield(L, -2, "lo");
  lua_pushnumber(L, h->hi);
  lua_setfield(L, -2, "hi");
  lua_pushboolean(L, h->flag);
  lua_setfield(L, -2, "flag");
}

static void push_slots(lua_State *L, const mare_Optimizer *o) {
  lua_createtable(L, o->nslot, 0);
  for (int k = 0; k < o->nslot; k++) {
    lua_createtable(L, 0, 2);
    set_string(L, "name", o->slot[k].name);
    set_string(L, "when", o->slot[k].hyper);
    lua_rawseti(L, -2, k + 1);
  }
  lua_setfield(L, -2, "slots");
}

static void push_row(lua_State *L, const mare_Optimizer *o) {
  lua_createtable(L, 0, 10);
  set_string(L, "name", o->name);
  set_string(L, "prelude", o->prelude);
  set_string(L, "tensor", o->tensor);
  set_string(L, "measure", o->measure);
  set_string(L, "update", o->update);
  set_string(L, "doc", o->doc);
  set_string(L, "source", o->source);
  push_slots(L, o);
  lua_createtable(L, o->nhyper, 0);
  for (int i = 0; i < o->nhyper; i++) {
    push_hyper(L, &o->hyper[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "hyper");
}

/* -- tools --------------------------------------------------------------------------- */

static mare_Tensor *list_tensor(lua_State *L, State *S, int list, int i) {
  Object *o;
  lua_rawgeti(L, list, i + 1);
  o = check_real(L, S, -1);
  if (!mare_is_contiguous(&o->t)) user_error(L, "tensor #%d is not contiguous", i + 1);
  lua_pop(L, 1);
  return &o->t;
}

/* Pushes n parameters for the engine: the tensors of the list at index `list`. */
static mare_Param *push_params(lua_State *L, State *S, int list, int *n) {
  mare_Param *p;
  luaL_checktype(L, list, LUA_TTABLE);
  *n = (int)luaL_len(L, list);
  p = lua_newuserdatauv(L, (size_t)*n * sizeof *p + 1, 0);
  for (int i = 0; i < *n; i++) plain_param(list_tensor(L, S, list, i), &p[i]);
  return p;
}

static void tell_written(lua_State *L, State *S, int list, int n) {
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, list, i + 1);
    written(check_real(L, S, -1));
    lua_pop(L, 1);
  }
}

/* optim_tool(name, a, {p ...} [, {g ...}]): a tool of optim.def on each pair p, g */
static int optim_tool(lua_State *L) {
  State *S = get_state(L);
  const mare_Optimizer *row = mare_optimizer_find(luaL_checkstring(L, 1));
  double h[MARE_MAXHYPER + MARE_MAXSTEP] = {luaL_checknumber(L, 2)};
  int n;
  mare_Param *p;
  lua_settop(L, 4);
  p = push_params(L, S, 3, &n);
  luaL_argcheck(L, row && !row->doc && !row->measure, 1, "no tool has this name");
  for (int i = 0; i < n && !lua_isnil(L, 4); i++) {
    mare_Tensor *g = list_tensor(L, S, 4, i);
    if (g->dtype != p[i].dtype || g->numel != p[i].numel)
      return user_error(L, "tensors #%d of two lists differ", i + 1);
    p[i].grad = p[i].slot[0] = g->data;
  }
  mare_optim_step(row, h, 1, n, p, NULL);
  tell_written(L, S, 3, n);
  if (row->nslot) tell_written(L, S, 4, n); /* an exchange */
  return 0;
}

static int optim_norm(lua_State *L) { /* optim_norm({t ...}) -> 2-norm of all values */
  State *S = get_state(L);
  int n;
  mare_Param *p = push_params(L, S, 1, &n);
  size_t bytes = mare_optim_scratch(mare_optimizer_find("lars"), n, p);
  void *scratch = lua_newuserdatauv(L, bytes + 1, 0);
  for (int i = 0; i < n; i++) plain_param(list_tensor(L, S, 1, i), &p[i]);
  lua_pushnumber(L, sqrt(mare_optim_squares(n, p, scratch)));
  return 1;
}

static int optim_rows(lua_State *L) { /* a list of what optim.def says */
  lua_createtable(L, 16, 0);
  for (const mare_Optimizer *o = mare_optimizers; o->name; o++) {
    if (o->doc == NULL) continue;
    push_row(L, o);
    if (mare_optimizer_matrix(o) != o) {
      push_row(L, mare_optimizer_matrix(o));
      lua_setfield(L, -2, "matrix");
    }
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  return 1;
}

const Function optim_functions[] = {
    {"optim_group", optim_group}, {"optim_set", optim_set},
    {"optim_get", optim_get},     {"optim_step", optim_step},
    {"optim_zero_grad", optim_zero_grad}, {"optim_slots", optim_slots},
    {"optim_count", optim_count}, {"optim_rows", optim_rows},
    {"optim_tool", optim_tool},   {"optim_norm", optim_norm},
    {NULL, NULL}};
