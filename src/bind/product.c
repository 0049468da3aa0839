/*
** product.c -- matrix products: matmul for 1-d, 2-d and batched operands, and
** linear, the product with a bias that every layer uses.
*/
#include <string.h>

#include "bind.h"

/* -- matmul ------------------------------------------------------------------------ */

/* a and b as (..., m, k) and (..., k, n); a vector becomes a row or a column */
static void as_matrices(const mare_Tensor *a, const mare_Tensor *b, mare_Tensor *va,
                        mare_Tensor *vb) {
  *va = *a;
  *vb = *b;
  if (va->ndim == 1) mare_unsqueeze(va, 0);
  if (vb->ndim == 1) mare_unsqueeze(vb, 1);
}

/* (..., m, k) to 3-d */
static bool collapse_batch(const mare_Tensor *t, mare_Tensor *v) {
  int64_t shape[3] = {1, t->shape[t->ndim - 2], t->shape[t->ndim - 1]};
  for (int d = 0; d < t->ndim - 2; d++) shape[0] *= t->shape[d];
  return mare_view_as(t, 3, shape, v);
}

/* one product for each index of the leading dimensions */
static void loop_batch(const mare_Tensor *a, const mare_Tensor *b, mare_Tensor *y) {
  if (y->ndim == 2) {
    mare_gemm(a, b, 0, y);
    return;
  }
  for (int64_t i = 0; i < y->shape[0] && !mare_stopping(); i++) {
    mare_Tensor va = *a, vb = *b, vy = *y;
    mare_select(&va, 0, i);
    mare_select(&vb, 0, i);
    mare_select(&vy, 0, i);
    loop_batch(&va, &vb, &vy);
  }
}

/* y (batch.., m, n), contiguous = a (.., m, k) b (.., k, n), batches broadcast */
static void product(const mare_Tensor *a, const mare_Tensor *b, mare_Tensor *y) {
  mare_Tensor va, vb, vy;
  int64_t shape[MARE_MAXDIM];
  int n = y->ndim;
  memcpy(shape, y->shape, sizeof shape);
  shape[n - 2] = a->shape[a->ndim - 2];
  shape[n - 1] = a->shape[a->ndim - 1];
  mare_expand(a, n, shape, &va);
  shape[n - 2] = b->shape[b->ndim - 2];
  shape[n - 1] = b->shape[b->ndim - 1];
  mare_expand(b, n, shape, &vb);
  mare_Tensor ca, cb;
  if (n > 2 && collapse_batch(&va, &ca) && collapse_batch(&vb, &cb) &&
      collapse_batch(y, &vy))
    mare_gemm(&ca, &cb, 0, &vy);
  else loop_batch(&va, &vb, y);
}

/* t (.., c) as (rows, c): a view, or false when the strides do not allow it */
static bool as_rows(const mare_Tensor *t, mare_Tensor *v) {
  if (t->ndim == 2) {
    *v = *t;
    return true;
  }
  int64_t shape[2] = {1, t->shape[t->ndim - 1]};
  for (int d = 0; d < t->ndim - 1; d++) shape[0] *= t->shape[d];
  return mare_view_as(t, 2, shape, v);
}

static void check_inner(lua_State *L, const Object *a, const Object *b) {
  int64_t ka = a->t.shape[a->t.ndim - 1];
  int64_t kb = b->t.shape[b->t.ndim == 1 ? 0 : b->t.ndim - 2];
  if (ka != kb)
    arg_error(L, 2, "shapes %s and %s do not align: %I columns against %I rows",
              shape_of(L, &a->t), shape_of(L, &b->t), (LUAI_UACINT)ka, (LUAI_UACINT)kb);
}

/* the shape of (.., m, n); the batch sizes broadcast */
static int product_shape(lua_State *L, const Object *a, const Object *b,
                         const mare_Tensor *va, const mare_Tensor *vb, int64_t *shape) {
  int n;
  if (!mare_broadcast(va->ndim - 2, va->shape, vb->ndim - 2, vb->shape, &n, shape))
    arg_error(L, 2, "the batch sizes of shapes %s and %s do not broadcast",
              shape_of(L, &a->t), shape_of(L, &b->t));
  shape[n] = va->shape[va->ndim - 2];
  shape[n + 1] = vb->shape[vb->ndim - 1];
  return n + 2;
}

static int product_matmul(lua_State *L) { /* a:matmul(b) */
  State *S = get_state(L);
  Object *a = check_real(L, S, 1), *b = check_real(L, S, 2), *y;
  mare_Tensor va, vb, flat, vy;
  int64_t shape[MARE_MAXDIM + 2];
  int n;
  lua_settop(L, 2);
  check_same_dtype(L, a, b, 2);
  if (a->t.ndim == 0) return arg_error(L, 1, "a 0-d tensor has no matrix product");
  if (b->t.ndim == 0) return arg_error(L, 2, "a 0-d tensor has no matrix product");
  check_inner(L, a, b);
  as_matrices(&a->t, &b->t, &va, &vb);
  n = product_shape(L, a, b, &va, &vb, shape);
  y = new_result_of(L, S, get_op(L), 2, 2, (Object *[]){a, b}, NULL, a->t.dtype, n,
                    shape);
  if (vb.ndim == 2 && va.ndim > 2 && as_rows(&va, &flat) && as_rows(&y->t, &vy))
    mare_gemm(&flat, &vb, 0, &vy); /* one weight for all batches: a single product */
  else product(&va, &vb, &y->t);
  if (b->t.ndim == 1) mare_squeeze(&y->t, y->t.ndim - 1);
  if (a->t.ndim == 1) mare_squeeze(&y->t, y->t.ndim - 1 - (b->t.ndim > 1));
  return 1;
}

/* g with the dimensions that matmul dropped for vectors */
static mare_Tensor restore(const mare_Tensor *g, bool row, bool column) {
  mare_Tensor v = *g;
  if (column) mare_unsqueeze(&v, v.ndim);
  if (row) mare_unsqueeze(&v, v.ndim - 1);
  return v;
}

/* the weight's gradient when it is shared by all batches: one product */
static bool shared_weight(Back *b, const mare_Tensor *a, const mare_Tensor *g,
                          mare_Tensor *gx) {
  mare_Tensor ra, rg;
  if (!as_rows(a, &ra) || !as_rows(g, &rg)) return false;
  int64_t shape[2] = {ra.shape[1], rg.shape[1]};
  mare_Tensor *t = back_tensor(b, a->dtype, 2, shape);
  mare_transpose(&ra, 0, 1);
  mare_gemm(&ra, &rg, 0, t);
  *gx = *t;
  return true;
}

static void matmul_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[0].object->t, *w = &b->node->arg[1].object->t;
  mare_Tensor vx, vw, g = restore(b->g, x->ndim == 1, w->ndim == 1), *full;
  int64_t shape[MARE_MAXDIM];
  as_matrices(x, w, &vx, &vw);
  const mare_Tensor *self = i == 0 ? &vx : &vw;
  int n = g.ndim;
  if (i == 1 && vw.ndim == 2 && vx.ndim > 2 && shared_weight(b, &vx, &g, gx)) {
    if (w->ndim == 1) mare_squeeze(gx, 1);
    return;
  }
  memcpy(shape, g.shape, sizeof shape);
  shape[n - 2] = self->shape[self->ndim - 2];
  shape[n - 1] = self->shape[self->ndim - 1];
  full = back_tensor(b, g.dtype, n, shape);
  if (i == 0) { /* g w' */
    mare_transpose(&vw, vw.ndim - 2, vw.ndim - 1);
    product(&g, &vw, full);
  } else { /* x' g */
    mare_transpose(&vx, vx.ndim - 2, vx.ndim - 1);
    product(&vx, &g, full);
  }
  back_reduce_to(b, full, self->ndim, self->shape, gx);
  if (i == 0 && x->ndim == 1) mare_squeeze(gx, 0);
  if (i == 1 && w->ndim == 1) mare_squeeze(gx, 1);
}

/* -- linear ------------------------------------------------------------------------- */

enum { LINEAR = 1 };

static void check_linear(lua_State *L, Object *x, Object *w, Object *bias) {
  check_same_dtype(L, x, w, 2);
  if (x->t.ndim == 0) arg_error(L, 1, "a 0-d tensor has no columns");
  if (w->t.ndim != 2)
    arg_error(L, 2, "a matrix (out, in) expected, got shape %s", shape_of(L, &w->t));
  if (x->t.shape[x->t.ndim - 1] != w->t.shape[1])
    arg_error(L, 2, "shapes %s and %s do not align: %I columns against %I inputs",
              shape_of(L, &x->t), shape_of(L, &w->t),
              (LUAI_UACINT)x->t.shape[x->t.ndim - 1], (LUAI_UACINT)w->t.shape[1]);
  if (bias == NULL) return;
  check_same_dtype(L, x, bias, 3);
  if (bias->t.ndim != 1 || bias->t.shape[0] != w->t.shape[0])
    arg_error(L, 3, "a bias of shape %I expected, got %s", (LUAI_UACINT)w->t.shape[0],
              shape_of(L, &bias->t));
}

/* pushes the result; its arguments are at 1 .. 3 */
static int run_linear(lua_State *L, State *S, const Op *op, Object *x, Object *w,
                      Object *bias) {
  mare_Tensor vx, vy;
  const mare_Tensor *in = &x->t;
  Object *y;
  int64_t shape[MARE_MAXDIM];
  memcpy(shape, x->t.shape, sizeof shape);
  shape[x->t.ndim - 1] = w->t.shape[0];
  if (!as_rows(in, &vx)) {
    in = push_contiguous(L, S, in);
    as_rows(in, &vx);
  }
  y = new_result_of(L, S, op, 3, 3, (Object *[]){x, w, bias}, NULL, x->t.dtype,
                    x->t.ndim, shape);
  as_rows(&y->t, &vy);
  mare_linear(&vx, &w->t, bias ? &bias->t : NULL, &vy);
  return 1;
}

/* linear(x, w [, bias]): x (.., c), w (k, c), bias (k) -> x w' + bias (.., k) */
static int product_linear(lua_State *L) {
  State *S = get_state(L);
  Object *x = check_real(L, S, 1), *w = check_real(L, S, 2);
  Object *bias = lua_isnoneornil(L, 3) ? NULL : check_real(L, S, 3);
  lua_settop(L, 3);
  check_linear(L, x, w, bias);
  return run_linear(L, S, get_op(L), x, w, bias);
}

static bool is_open(const Object *o, const Object *like) {
  return o && o->t.storage && o->t.dtype < MARE_NREAL && o->t.dtype == like->t.dtype;
}

/* are they what check_linear lets through? */
static bool fits(const Object *x, const Object *w, const Object *bias, bool biased) {
  return is_open(x, x) && is_open(w, x) && x->t.ndim > 0 && w->t.ndim == 2 &&
         x->t.shape[x->t.ndim - 1] == w->t.shape[1] &&
         (!biased || (is_open(bias, x) && bias->t.ndim == 1 &&
                      bias->t.shape[0] == w->t.shape[0]));
}

/*
** layer(x, w, bias or false): the same, or nothing where they do not fit; a layer says
** in its own words what is wrong.
*/
static int product_layer(lua_State *L) {
  State *S = get_state(L);
  Object *x = test_tensor(L, S, 1), *w = test_tensor(L, S, 2), *bias;
  bool biased = lua_toboolean(L, 3);
  bias = biased ? test_tensor(L, S, 3) : NULL;
  if (!fits(x, w, bias, biased)) return 0;
  lua_settop(L, biased ? 3 : 2);
  if (!biased) lua_pushnil(L);
  return run_linear(L, S, &product_ops[LINEAR], x, w, bias);
}

static void rows_of(Back *b, const mare_Tensor *t, mare_Tensor *v) {
  if (!as_rows(t, v)) as_rows(back_contiguous(b, t), v);
}

/* gx = g w, gw = g' x, gbias = sum of g */
static void linear_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[0].object->t, *w = &b->node->arg[1].object->t;
  mare_Tensor g, rows, out, *t;
  rows_of(b, b->g, &g);
  if (i == 2) {
    back_reduce_to(b, &g, 1, &w->shape[0], gx);
    return;
  }
  if (i == 0) {
    t = back_tensor(b, x->dtype, x->ndim, x->shape);
    as_rows(t, &out);
    mare_gemm(&g, w, 0, &out);
  } else {
    t = back_tensor(b, w->dtype, 2, w->shape);
    rows_of(b, x, &rows);
    mare_transpose(&g, 0, 1);
    mare_gemm(&g, &rows, 0, t);
  }
  *gx = *t;
}

/* matmul_plain(a, b): two matrices by the triple loop, for comparison */
static int product_plain(lua_State *L) {
  State *S = get_state(L);
  Object *a = check_real(L, S, 1), *b = check_real(L, S, 2);
  check_same_dtype(L, a, b, 2);
  if (a->t.ndim != 2 || b->t.ndim != 2) return arg_error(L, 1, "two matrices expected");
  check_inner(L, a, b);
  int64_t shape[] = {a->t.shape[0], b->t.shape[1]};
  mare_gemm_plain(&a->t, &b->t, 0, &new_tensor(L, S, a->t.dtype, 2, shape)->t);
  return 1;
}

const Op product_ops[] = { /* LINEAR is the place of linear */
    {"matmul", product_matmul, matmul_backward, NEEDS(0) | NEEDS(1), NULL},
    {"linear", product_linear, linear_backward, NEEDS(0) | NEEDS(1), NULL},
    {NULL, NULL, NULL, 0, NULL}};

const Function product_functions[] = {
    {"matmul_plain", product_plain}, {"layer", product_layer}, {NULL, NULL}};
