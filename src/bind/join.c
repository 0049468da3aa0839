/*
** join.c -- several tensors side by side in one.
*/
#include <string.h>

#include "bind.h"

#define MAXJOIN 4096 /* tensors in one call */

/* the tensors of the table at index 1, each at its own stack index from `first` on */
static int push_all(lua_State *L, State *S) {
  lua_Unsigned n = lua_istable(L, 1) ? lua_rawlen(L, 1) : 0;
  if (!lua_istable(L, 1))
    arg_error(L, 1, "table of tensors expected, got %s", type_of(L, S, 1));
  if (n == 0 || n > MAXJOIN)
    arg_error(L, 1, "a table of 1 to %d tensors expected", MAXJOIN);
  luaL_checkstack(L, (int)n + 8, NULL);
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i);
    Object *o = test_tensor(L, S, -1);
    if (o == NULL)
      arg_error(L, 1, "entry %I is %s, not a tensor", (LUAI_UACINT)i, type_of(L, S, -1));
    else if (o->t.storage == NULL) arg_error(L, 1, "entry %I is closed", (LUAI_UACINT)i);
  }
  return (int)n;
}

static Object *object_at(lua_State *L, int first, int i) {
  return lua_touserdata(L, first + i);
}

/* all sizes but that of dim agree; the sum of those is shape[dim] */
static void joined_shape(lua_State *L, int first, int n, int dim, int64_t *shape) {
  const Object *a = object_at(L, first, 0);
  memcpy(shape, a->t.shape, sizeof a->t.shape);
  for (int i = 1; i < n; i++) {
    const Object *o = object_at(L, first, i);
    bool fits = o->t.ndim == a->t.ndim;
    for (int d = 0; fits && d < a->t.ndim; d++)
      fits = d == dim || o->t.shape[d] == a->t.shape[d];
    if (!fits)
      arg_error(L, 1,
                "entry 1 has shape %s and entry %d has shape %s: they do not join"
                " along dimension %d",
                shape_of(L, &a->t), i + 1, shape_of(L, &o->t), dim + 1);
    if (o->t.dtype != a->t.dtype)
      arg_error(L, 1, "entries 1 and %d are %s and %s", i + 1,
                mare_dtype_name[a->t.dtype], mare_dtype_name[o->t.dtype]);
    shape[dim] += o->t.shape[dim];
  }
}

/* the part of y (or of its gradient) that argument i is */
static void part_of(const mare_Tensor *y, int dim, int64_t before, int64_t size,
                    mare_Tensor *part) {
  *part = *y;
  mare_slice(part, dim, before, size, 1);
}

static int join_cat(lua_State *L) { /* cat({a, b, ...} [, dim]) */
  State *S = get_state(L);
  int64_t shape[MARE_MAXDIM], before = 0;
  int n, dim, first = 3;
  Object *y;
  lua_settop(L, 2);
  n = push_all(L, S);
  y = object_at(L, first, 0);
  if (y->t.ndim == 0) return arg_error(L, 1, "0-d tensors do not join; see stack");
  dim = lua_isnil(L, 2) ? 0 : check_dim(L, 2, y->t.ndim);
  joined_shape(L, first, n, dim, shape);
  lua_pushinteger(L, dim); /* the last argument on the tape */
  y = new_result(L, S, get_op(L), first, n + 1, y->t.dtype, y->t.ndim, shape);
  for (int i = 0; i < n; i++) {
    const mare_Tensor *x = &object_at(L, first, i)->t;
    mare_Tensor part;
    part_of(&y->t, dim, before, x->shape[dim], &part);
    mare_copy(&part, x);
    before += x->shape[dim];
  }
  return 1;
}

static void cat_backward(Back *b, int i, mare_Tensor *gx) {
  const Arg *a = b->node->arg;
  int dim = (int)a[b->node->nargs - 1].number;
  int64_t before = 0;
  for (int k = 0; k < i; k++) before += a[k].object->t.shape[dim];
  part_of(b->g, dim, before, a[i].object->t.shape[dim], gx);
}

const Op join_ops[] = {{"cat", join_cat, cat_backward, 0, NULL},
                       {NULL, NULL, NULL, 0, NULL}};
