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

static Group *check_group(lua_State *L) {
  Group *G = lua_touserdata(L, 1);
  if (G && lua_rawlen(L, 1) >= sizeof *G && G->self == G) return G;
  return luaL_checkudata(L, 1, GROUP);
}

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

/* the state that the hyper-parameters ask for and that is not there yet: zeros */
static void make_slots(lua_State *L, State *S, Group *G) {
  if (G->ready) return;
  for (int i = 0; i < G->n; i++)
    for (int k = 0; k < G->row->nslot; k++) {
      Member *m = &G->member[i];
      Object *zeros;
      if (m->slot[k] || !mare_optim_keeps(G->row, k, G->h)) continue;
      zeros = new_like(L, S, &m->object->t);
      mare_fill(&zeros->t, 0);
      m->slot[k] = mare_storage_retain(zeros->t.storage);
      close_tensor(zeros);
      lua_pop(L, 1);
    }
  G->ready = true;
}

/* optim_group(name, {parameters}) -> group; the parameters were checked */
static int optim_group(lua_State *L) {
  State *S = get_state(L);
  const mare_Optimizer *row = mare_optimizer_find(luaL_checkstring(L, 1));
  int n = (int)luaL_len(L, 2);
  Group *G;
  if (row == NULL)
    return user_error(L, "no optimizer is called '%s'", lua_tostring(L, 1));
  G = push_group(L, row, n);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 2, i + 1);
    G->member[i].object = check_real(L, S, -1);
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
    user_error(L, "%s: %s = %f is outside %s <= %s < %s", G->row->name, h->name, v,
               bound(L, h->lo), h->name, bound(L, h->hi));
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

static void fill_param(mare_Param *p, const Member *m) {
  const mare_Tensor *t = &m->object->t;
  p->dtype = t->dtype;
  p->numel = t->numel;
  p->value = t->data;
  p->grad = m->object->grad->data;
  for (int k = 0; k < MARE_MAXSLOT; k++)
    p->slot[k] = m->slot[k] ? m->slot[k]->data : NULL;
}

/* the parameters with a gradient, from member i on, that have made the same steps */
static int take_run(Group *G, int *i, int64_t *t) {
  int n = 0;
  for (; *i < G->n; ++*i) {
    Member *m = &G->member[*i];
    if (m->object->grad == NULL) continue;
    if (n > 0 && m->t != *t) break;
    *t = m->t;
    fill_param(&G->param[n++], m);
  }
  return n;
}

static void advance(Group *G) {
  for (int i = 0; i < G->n; i++) {
    Member *m = &G->member[i];
    if (m->object->grad == NULL) continue;
    m->t++;
    written(m->object);
  }
}

/*
** optim_step(group [, lr]): one update of every parameter that has a gradient.
** A parameter's own count of steps is what its bias corrections use.
*/
static int optim_step(lua_State *L) {
  State *S = get_state(L);
  Group *G = check_group(L);
  int64_t t = 0;
  if (!lua_isnoneornil(L, 2)) set_hyper(L, G, 0, lua_tonumber(L, 2));
  for (int i = 0; i < G->n; i++)
    if (G->member[i].object->t.storage == NULL)
      return user_error(L, "parameter #%d of the optimizer is closed", i + 1);
  make_slots(L, S, G);
  for (int i = 0, n; (n = take_run(G, &i, &t)) > 0;)
    mare_optim_step(G->row, G->h, t + 1, n, G->param);
  advance(G);
  return 0;
}

static int optim_zero_grad(lua_State *L) { /* drops the gradients */
  Group *G = check_group(L);
  lua_getiuservalue(L, 1, 1);
  for (int i = 0; i < G->n; i++) {
    Object *o = G->member[i].object;
    if (o->grad == NULL) continue;
    mare_storage_release(o->grad);
    o->grad = NULL;
    lua_rawgeti(L, -1, i + 1);
    lua_pushnil(L);
    lua_setiuservalue(L, -2, 1); /* the tensor that stood for it */
    lua_pop(L, 1);
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
  mare_Tensor v = m->object->t;
  make_slots(L, S, G);
  mare_shape_set(&v, v.dtype, v.ndim, v.shape);
  lua_createtable(L, 0, G->row->nslot);
  for (int k = 0; k < G->row->nslot; k++) {
    if (m->slot[k] == NULL) continue;
    v.storage = m->slot[k];
    v.data = v.storage->data;
    new_view(L, S, &v)->isview = false;
    lua_setfield(L, -2, G->row->slot[k].name);
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
  lua_createtable(L, 0, 7);
  set_string(L, "name", o->name);
  set_string(L, "prelude", o->prelude);
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

static int optim_rows(lua_State *L) { /* a list of what optim.def says */
  lua_createtable(L, 16, 0);
  for (int i = 0; mare_optimizers[i].name; i++) {
    push_row(L, &mare_optimizers[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

const Function optim_functions[] = {
    {"optim_group", optim_group}, {"optim_set", optim_set},
    {"optim_get", optim_get},     {"optim_step", optim_step},
    {"optim_zero_grad", optim_zero_grad}, {"optim_slots", optim_slots},
    {"optim_count", optim_count}, {"optim_rows", optim_rows},
    {NULL, NULL}};
