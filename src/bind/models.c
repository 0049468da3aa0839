/*
** models.c -- the routines of src/learn for Lua: one function calls them all, with
** arguments checked from the routine's signature (learn/models.h).
*/
#include <string.h>

#include "../learn/models.h"
#include "../ops/linalg.h"
#include "bind.h"

typedef struct Call {
  lua_State *L;
  State *S;
  const mare_RoutineRow *row;
  const char *at;              /* where the signature is being read */
  mare_Values v;
  Object *written[MARE_MAXVALUES];
  int nwritten;
  int real;                    /* the element type of all r, or -1 */
  int64_t size['z' + 1];       /* of each dimension's letter, or -1 */
} Call;

static void refuse(Call *c, int i, const char *what) {
  user_error(c->L, "%s: argument %d: %s (signature %s)", c->row->name, i + 1, what,
             c->row->signature);
}

static bool type_fits(Call *c, char type, mare_Dtype dt) {
  if (type == 'a') return true;
  if (type == 'd') return dt == MARE_F64;
  if (type != 'r') return dt == (type == 'i' ? MARE_I64 : MARE_U8);
  if (c->real < 0) c->real = (int)dt;
  return dt < MARE_NREAL && c->real == (int)dt;
}

/* the dimensions after the colon */
static void take_shape(Call *c, int i, const mare_Tensor *t) {
  int d = 0;
  for (; *c->at && *c->at != ' '; c->at++, d++) {
    int64_t *size = &c->size[(unsigned char)*c->at];
    if (d == t->ndim) refuse(c, i, "too few dimensions");
    if (*size < 0) *size = t->shape[d];
    if (*size != t->shape[d])
      refuse(c, i, lua_pushfstring(c->L, "shape %s, %c is %I", shape_of(c->L, t), *c->at,
                                   (LUAI_UACINT)*size));
  }
  if (d < t->ndim) refuse(c, i, "too many dimensions");
}

static void take_tensor(Call *c, int i, char type, bool write) {
  const Object *o = check_tensor(c->L, c->S, i + 1);
  if (!type_fits(c, type, o->t.dtype)) refuse(c, i, type_of(c->L, c->S, i + 1));
  if (!mare_is_contiguous(&o->t)) refuse(c, i, "not contiguous");
  c->at++; /* the colon */
  take_shape(c, i, &o->t);
  c->v.t[i] = o->t;
  if (write) c->written[c->nwritten++] = (Object *)o;
}

static void skip(Call *c) {
  while (*c->at && *c->at != ' ') c->at++;
}

static void take(Call *c, int i) {
  const bool write = *c->at == '!';
  if (write) c->at++;
  const bool optional = *c->at == '?';
  if (optional) c->at++;
  const char type = *c->at++;
  if (optional && lua_isnoneornil(c->L, i + 1)) skip(c);
  else if (type == 'n') c->v.n[i] = check_number(c->L, i + 1);
  else take_tensor(c, i, type, write);
  if (*c->at == ' ') c->at++;
}

/* routine(arguments) -> true or false, numbers */
static int call(lua_State *L) {
  Call c = {.L = L, .S = get_state(L), .row = lua_touserdata(L, lua_upvalueindex(2)),
            .real = -1};
  mare_Status st;
  c.at = c.row->signature;
  memset(c.size, -1, sizeof c.size);
  for (int i = 0; *c.at; i++) take(&c, i);
  st = c.row->run(c.S->heap, &c.v);
  if (relieve(L, c.S, st)) st = c.row->run(c.S->heap, &c.v);
  if (st == MARE_NOMEM || st == MARE_LIMIT) check_status(L, c.S, st, 0);
  if (st == MARE_NOLAPACK) return user_error(L, "%s", MARE_MISSING);
  for (int i = 0; i < c.nwritten; i++) written(c.written[i]);
  lua_pushboolean(L, st == MARE_OK);
  for (int i = 0; i < c.v.nout; i++) lua_pushnumber(L, c.v.out[i]);
  return 1 + c.v.nout;
}

void push_routines(lua_State *L) {
  static const mare_RoutineRow *const lists[] = {mare_model_routines,
                                                mare_moment_routines,
                                                mare_gaussian_routines,
                                                mare_cluster_routines,
                                                mare_coordinate_routines,
                                                mare_perceptron_routines};
  lua_createtable(L, 0, 32);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    for (const mare_RoutineRow *r = lists[i]; r->name; r++) {
      lua_pushvalue(L, 1);
      lua_pushlightuserdata(L, (void *)r);
      push_guarded(L, call);
      lua_setfield(L, -2, r->name);
    }
}
