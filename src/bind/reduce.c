/*
** reduce.c -- reductions, cumulative sums, sorting, softmax and cross-entropy as
** Lua sees them.  On the tape a reduction's arguments are x, the dimensions as a
** bit set, whether they are kept, and its parameter.
*/
#include <math.h>
#include <string.h>

#include "bind.h"

/* -- rules of the reductions --------------------------------------------------------- */

typedef enum Result { SAME, WIDE, MASK, INDEX } Result; /* element type of the result */

typedef struct Rule {
  mare_Reduction reduction;
  Result result;
  bool real;     /* f32 and f64 only */
  bool nonempty; /* there must be something to reduce */
  double param;  /* default of the parameter */
} Rule;

static const Rule rules[] = { /* in the order of reduce_ops below */
    {MARE_SUM, WIDE, false, false, 0},   {MARE_MEAN, SAME, true, false, 0},
    {MARE_PROD, WIDE, false, false, 0},  {MARE_MAX, SAME, false, true, 0},
    {MARE_MIN, SAME, false, true, 0},    {MARE_ANY, MASK, false, false, 0},
    {MARE_ALL, MASK, false, false, 0},   {MARE_LOGSUMEXP, SAME, true, false, 0},
    {MARE_NORM, SAME, true, false, 2},   {MARE_VAR, SAME, true, false, 1},
    {MARE_ARGMAX, INDEX, false, true, 0}, {MARE_ARGMIN, INDEX, false, true, 0},
};

static mare_Dtype result_type(Result r, mare_Dtype dt) {
  switch (r) {
    case MASK: return MARE_U8;
    case INDEX: return MARE_I64;
    case WIDE: return dt == MARE_U8 ? MARE_I64 : dt;
    default: return dt;
  }
}

/* -- reductions ---------------------------------------------------------------------- */

static int64_t count_reduced(const mare_Tensor *x, unsigned axes) {
  int64_t n = 1;
  for (int d = 0; d < x->ndim; d++)
    if (axes >> d & 1) n *= x->shape[d];
  return n;
}

static void kept_shape(const mare_Tensor *x, unsigned axes, int64_t *shape) {
  for (int d = 0; d < x->ndim; d++) shape[d] = axes >> d & 1 ? 1 : x->shape[d];
}

/* the dimensions of size 1 that were reduced */
static void drop(mare_Tensor *t, unsigned axes) {
  for (int d = t->ndim - 1; d >= 0; d--)
    if (axes >> d & 1) mare_squeeze(t, d);
}

static void set_argument(lua_State *L, int idx, int kind, double v) {
  if (kind == LUA_TBOOLEAN) lua_pushboolean(L, v != 0);
  else if (kind == LUA_TNUMBER && v == floor(v) && fabs(v) < 1e9)
    lua_pushinteger(L, (lua_Integer)v);
  else lua_pushnumber(L, v);
  lua_replace(L, idx);
}

/* a number or a boolean as set_argument would leave it on the stack */
static Arg plain(int kind, double v) {
  bool whole = kind == LUA_TNUMBER && v == floor(v) && fabs(v) < 1e9;
  return (Arg){.number = v, .kind = (uint8_t)(kind + whole)};
}

/* pushes x, at index 1, reduced over these dimensions */
static int run_reduction(lua_State *L, State *S, const Op *op, const Rule *rule,
                         Object *x, unsigned axes, bool keep, double param) {
  const Arg rest[] = {plain(LUA_TNUMBER, axes), plain(LUA_TBOOLEAN, keep),
                      plain(LUA_TNUMBER, param)};
  int64_t shape[MARE_MAXDIM];
  mare_Status st;
  Object *y;
  kept_shape(&x->t, axes, shape);
  y = new_result_of(L, S, op, 4, 1, &x, rest, result_type(rule->result, x->t.dtype),
                    x->t.ndim, shape);
  st = mare_reduce(S->heap, rule->reduction, axes, param, &x->t, &y->t);
  if (relieve(L, S, st))
    st = mare_reduce(S->heap, rule->reduction, axes, param, &x->t, &y->t);
  check_status(L, S, st, 0);
  if (!keep) drop(&y->t, axes);
  return 1;
}

/* Reduces the tensor at index 1; dims are at 2, keepdim at 3, the parameter at 4. */
static int reduce(lua_State *L, const Op *op, const Rule *rule, double param) {
  State *S = get_state(L);
  Object *x = rule->real ? check_real(L, S, 1) : check_tensor(L, S, 1);
  unsigned axes = check_axes(L, 2, x->t.ndim);
  bool keep = opt_boolean(L, 3, false);
  bool index = rule->result == INDEX;
  if (index && (axes & (axes - 1)) && axes + 1 != 1u << x->t.ndim)
    return arg_error(L, 2, "one dimension expected");
  if (rule->nonempty && count_reduced(&x->t, axes) == 0)
    return arg_error(L, 1, "nothing to choose from: shape %s", shape_of(L, &x->t));
  return run_reduction(L, S, op, rule, x, axes, keep, param);
}

int push_mean(lua_State *L) {
  Object *x = lua_touserdata(L, 1);
  return run_reduction(L, x->state, &reduce_ops[MARE_MEAN], &rules[MARE_MEAN], x,
                       (1u << x->t.ndim) - 1, false, 0);
}

static int reduce_plain(lua_State *L) { /* x:sum([dims [, keepdim]]) */
  const Op *op = get_op(L);
  const Rule *rule = &rules[op - reduce_ops];
  return reduce(L, op, rule, rule->param);
}

static int reduce_norm(lua_State *L) { /* x:norm([p [, dims [, keepdim]]]) */
  const Op *op = get_op(L);
  double p = lua_isnoneornil(L, 2) ? 2 : check_number(L, 2);
  if (!(p >= 0)) return arg_error(L, 2, "norms are of order 0 and up, not %f", unsign(p));
  Object *x = check_real(L, get_state(L), 1);
  check_axes(L, 3, x->t.ndim); /* while they stand where the user put them */
  opt_boolean(L, 4, false);
  if (lua_gettop(L) >= 2) lua_remove(L, 2);
  return reduce(L, op, &rules[op - reduce_ops], p);
}

static int reduce_var(lua_State *L) { /* x:var([dims [, keepdim [, correction]]]) */
  const Op *op = get_op(L);
  return reduce(L, op, &rules[op - reduce_ops],
                lua_isnoneornil(L, 4) ? 1 : check_number(L, 4));
}

/* g as x's shape, by repeating */
static void spread(const mare_Tensor *g, const Node *n, mare_Tensor *gx) {
  const mare_Tensor *x = &n->arg[0].object->t;
  unsigned axes = (unsigned)n->arg[1].number;
  mare_Tensor v = *g;
  if (!n->arg[2].number)
    for (int d = 0; d < x->ndim; d++)
      if (axes >> d & 1) mare_unsqueeze(&v, d);
  mare_expand(&v, x->ndim, x->shape, gx);
}

static void sum_backward(Back *b, int i, mare_Tensor *gx) {
  (void)i;
  spread(b->g, b->node, gx);
}

#define FEW 256

/* of few elements all are written: what comes next need not repeat one */
static void mean_of_few(Back *b, const mare_Tensor *x, mare_Tensor *gx) {
  *gx = *back_tensor(b, x->dtype, x->ndim, x->shape);
  mare_Tensor first = *gx;
  first.numel = 1;
  back_scale(b, b->g, 1.0 / (double)x->numel, &first);
  size_t size = mare_sizeof[x->dtype];
  for (int64_t k = 1; k < x->numel; k++)
    memcpy(gx->data + (size_t)k * size, gx->data, size);
}

static void mean_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[i].object->t;
  int64_t n = count_reduced(x, (unsigned)b->node->arg[1].number);
  if (b->g->numel == 1 && n == x->numel && n > 0 && n <= FEW) {
    mean_of_few(b, x, gx);
    return;
  }
  mare_Tensor *t = back_tensor(b, x->dtype, b->g->ndim, b->g->shape);
  back_scale(b, b->g, 1.0 / (double)n, t);
  spread(t, b->node, gx);
}

/* -- cumulative sums ----------------------------------------------------------------- */

static int reduce_cumsum(lua_State *L) { /* x:cumsum(dim) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *y;
  if (x->t.dtype == MARE_U8) return arg_error(L, 1, "u8 sums overflow; convert it first");
  int dim = check_dim(L, 2, x->t.ndim);
  lua_settop(L, 2);
  y = new_result(L, S, get_op(L), 1, 2, x->t.dtype, x->t.ndim, x->t.shape);
  mare_cumsum(dim, &x->t, &y->t);
  return 1;
}

/* -- sorting ------------------------------------------------------------------------- */

static int sort_sort(lua_State *L) { /* sort(x [, dim [, descending]]) -> values, index */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *values, *index;
  if (x->t.ndim == 0) return arg_error(L, 1, "a 0-d tensor has nothing to sort");
  int dim = lua_isnoneornil(L, 2) ? x->t.ndim - 1 : check_dim(L, 2, x->t.ndim);
  bool descending = opt_boolean(L, 3, false);
  values = new_like(L, S, &x->t);
  index = new_tensor(L, S, MARE_I64, x->t.ndim, x->t.shape);
  mare_Status st = mare_sort(S->heap, dim, descending, &x->t, &values->t, &index->t);
  if (relieve(L, S, st))
    st = mare_sort(S->heap, dim, descending, &x->t, &values->t, &index->t);
  check_status(L, S, st, 0);
  return 2;
}

static int sort_topk(lua_State *L) { /* topk(x, k [, dim [, largest]]) -> values, index */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *values, *index;
  int64_t k = check_integer(L, 2), shape[MARE_MAXDIM];
  if (x->t.ndim == 0) return arg_error(L, 1, "a 0-d tensor has nothing to choose from");
  int dim = lua_isnoneornil(L, 3) ? x->t.ndim - 1 : check_dim(L, 3, x->t.ndim);
  bool largest = opt_boolean(L, 4, true);
  if (k < 0 || k > x->t.shape[dim])
    return arg_error(L, 2, "%I of %I places", (LUAI_UACINT)k,
                     (LUAI_UACINT)x->t.shape[dim]);
  memcpy(shape, x->t.shape, sizeof shape);
  shape[dim] = k;
  values = new_tensor(L, S, x->t.dtype, x->t.ndim, shape);
  index = new_tensor(L, S, MARE_I64, x->t.ndim, shape);
  mare_Status st = mare_topk(S->heap, dim, k, largest, &x->t, &values->t, &index->t);
  if (relieve(L, S, st))
    st = mare_topk(S->heap, dim, k, largest, &x->t, &values->t, &index->t);
  check_status(L, S, st, 0);
  return 2;
}

/* -- softmax ------------------------------------------------------------------------- */

static int softmax(lua_State *L, bool logarithm) {
  State *S = get_state(L);
  Object *x = check_real(L, S, 1), *y;
  if (x->t.ndim == 0) return arg_error(L, 1, "a 0-d tensor has no dimension");
  int dim = lua_isnoneornil(L, 2) ? x->t.ndim - 1 : check_dim(L, 2, x->t.ndim);
  lua_settop(L, 2);
  set_argument(L, 2, LUA_TNUMBER, dim + 1);
  y = new_result(L, S, get_op(L), 1, 2, x->t.dtype, x->t.ndim, x->t.shape);
  mare_softmax(dim, logarithm, &x->t, &y->t);
  return 1;
}

static int softmax_plain(lua_State *L) {
  return softmax(L, false);
} /* x:softmax([dim]) */

static int softmax_log(lua_State *L) {
  return softmax(L, true);
} /* x:log_softmax([dim]) */

static void softmax_back(Back *b, bool logarithm, mare_Tensor *gx) {
  const mare_Tensor *y = &b->y->t;
  mare_Tensor *t = back_tensor(b, y->dtype, y->ndim, y->shape);
  mare_softmax_backward((int)b->node->arg[1].number - 1, logarithm, b->g, y, t);
  *gx = *t;
}

static void softmax_plain_backward(Back *b, int i, mare_Tensor *gx) {
  (void)i;
  softmax_back(b, false, gx);
}

static void softmax_log_backward(Back *b, int i, mare_Tensor *gx) {
  (void)i;
  softmax_back(b, true, gx);
}

/* -- cross-entropy ------------------------------------------------------------------- */

/*
** cross_entropy(logits, target, weight, ignore, smoothing, mean): logits (n, c); target
** i64 labels (n) or probabilities (n, c); weight (c) or nil; a label to ignore or 0.
** mean false: the losses of the rows (n); true: their sum over the sum of weights.
** Public options, and logits of other shapes, are the business of mare.loss.
*/
static void check_target(lua_State *L, State *S, const Object *x, mare_CrossEntropy *ce) {
  Object *t = check_tensor(L, S, 2);
  if (x->t.ndim != 2)
    arg_error(L, 1, "logits (rows, classes) expected, got shape %s", shape_of(L, &x->t));
  ce->logits = &x->t;
  ce->labels = ce->target = NULL;
  if (t->t.dtype == MARE_I64) {
    if (t->t.ndim != 1 || t->t.shape[0] != x->t.shape[0])
      arg_error(L, 2, "%I labels expected for logits of shape %s, got shape %s",
                (LUAI_UACINT)x->t.shape[0], shape_of(L, &x->t), shape_of(L, &t->t));
    ce->labels = &t->t;
    return;
  }
  if (t->t.dtype >= MARE_NREAL)
    arg_error(L, 2, "labels are i64 and probabilities are f32 or f64, got %s",
              type_of(L, S, 2));
  if (t->t.ndim == 1)
    arg_error(L, 2, "i64 labels expected, got %s; convert it with :to \"i64\"",
              type_of(L, S, 2));
  check_same_dtype(L, x, t, 2);
  check_same_shape(L, x, t, 2);
  ce->target = &t->t;
}

static void check_entropy(lua_State *L, State *S, const Object *x,
                          mare_CrossEntropy *ce) {
  check_target(L, S, x, ce);
  ce->weight = NULL;
  ce->ignore = opt_integer(L, 4, 0);
  ce->smoothing = opt_number(L, 5, 0);
  if (!(ce->smoothing >= 0 && ce->smoothing < 1))
    arg_error(L, 5, "label smoothing %f is outside [0, 1)", unsign(ce->smoothing));
  if (lua_isnoneornil(L, 3)) return;
  Object *w = check_real(L, S, 3);
  check_same_dtype(L, x, w, 3);
  if (w->t.ndim != 1 || w->t.shape[0] != x->t.shape[1])
    arg_error(L, 3, "%I weights expected, got shape %s", (LUAI_UACINT)x->t.shape[1],
              shape_of(L, &w->t));
  ce->weight = &w->t;
}

static void bad_label(lua_State *L, const mare_CrossEntropy *ce, int64_t row) {
  int64_t label = mare_get_integer(ce->labels, (row - 1) * ce->labels->stride[0]);
  arg_error(L, 2, "label %I at %I is outside 1..%I", (LUAI_UACINT)label, (LUAI_UACINT)row,
            (LUAI_UACINT)ce->logits->shape[1]);
}

static int entropy_call(lua_State *L) {
  State *S = get_state(L);
  Object *x = check_real(L, S, 1), *losses, *y;
  bool mean = opt_boolean(L, 6, true);
  mare_CrossEntropy ce;
  double total = 0;
  int64_t bad = 0;
  mare_Status st;
  lua_settop(L, 6);
  check_entropy(L, S, x, &ce);
  if (wants_grad(S, lua_touserdata(L, 2)))
    return arg_error(L, 2, "the target has no gradient; detach it, or use log_softmax");
  if (ce.weight && wants_grad(S, lua_touserdata(L, 3)))
    return arg_error(L, 3,
                     "the weights have no gradient; detach them, or use log_softmax");
  set_argument(L, 6, LUA_TBOOLEAN, mean);
  lua_pushnumber(L, 0); /* argument 7 on the tape: what the mean divided by */
  losses = mean ? new_tensor(L, S, x->t.dtype, 1, x->t.shape) : NULL;
  y = new_result(L, S, get_op(L), 1, 7, x->t.dtype, mean ? 0 : 1, x->t.shape);
  if (!mean) losses = y;
  st = mare_cross_entropy(&ce, &losses->t, &total, &bad);
  if (st == MARE_BADARG) bad_label(L, &ce, bad);
  check_status(L, S, st, 0);
  if (mean && !(total > 0))
    return arg_error(L, 2, "no row is left to take the mean of");
  if (mean) {
    check_status(L, S, mare_reduce(S->heap, MARE_SUM, 1, 0, &losses->t, &(mare_Tensor){
        .storage = y->t.storage, .data = y->t.data, .dtype = y->t.dtype, .ndim = 1,
        .numel = 1, .shape = {1}, .stride = {1}}), 0);
    mare_set_real(&y->t, 0, mare_get_real(&y->t, 0) / total);
    close_tensor(losses);
  }
  if (y->node) y->node->arg[6].number = total;
  return 1;
}

static void entropy_backward(Back *b, int i, mare_Tensor *gx) {
  const Arg *a = b->node->arg;
  if (i > 0) user_error(b->L, "cross_entropy has a gradient to its logits only");
  const mare_Tensor *x = &a[i].object->t, *t = &a[1].object->t;
  mare_CrossEntropy ce = {x,
                          t->dtype == MARE_I64 ? t : NULL,
                          t->dtype == MARE_I64 ? NULL : t,
                          a[2].object ? &a[2].object->t : NULL,
                          isnan(a[3].number) ? 0 : (int64_t)a[3].number,
                          isnan(a[4].number) ? 0 : a[4].number};
  mare_Tensor *out = back_tensor(b, x->dtype, 2, x->shape), g = *b->g;
  if (a[5].number) { /* one number for all rows */
    mare_Tensor *scaled = back_tensor(b, x->dtype, 0, x->shape);
    back_scale(b, b->g, 1 / a[6].number, scaled);
    mare_expand(scaled, 1, x->shape, &g);
  }
  mare_cross_entropy_backward(&ce, &g, out);
  *gx = *out;
}

const Op reduce_ops[] = {
    {"sum", reduce_plain, sum_backward, 0, NULL},
    {"mean", reduce_plain, mean_backward, 0, NULL},
    {"prod", reduce_plain, NULL, NEEDS(0) | NEEDS_Y, NULL},
    {"max", reduce_plain, NULL, NEEDS(0) | NEEDS_Y, NULL},
    {"min", reduce_plain, NULL, NEEDS(0) | NEEDS_Y, NULL},
    {"any", reduce_plain, NULL, 0, NULL},
    {"all", reduce_plain, NULL, 0, NULL},
    {"logsumexp", reduce_plain, NULL, NEEDS(0) | NEEDS_Y, NULL},
    {"norm", reduce_norm, NULL, NEEDS(0) | NEEDS_Y, NULL},
    {"var", reduce_var, NULL, NEEDS(0), NULL},
    {"argmax", reduce_plain, NULL, 0, NULL},
    {"argmin", reduce_plain, NULL, 0, NULL},
    {"cumsum", reduce_cumsum, NULL, 0, NULL},
    {"softmax", softmax_plain, softmax_plain_backward, NEEDS_Y, NULL},
    {"log_softmax", softmax_log, softmax_log_backward, NEEDS_Y, NULL},
    {"cross_entropy", entropy_call, entropy_backward, NEEDS(0) | NEEDS(1) | NEEDS(2),
     NULL},
    {NULL, NULL, NULL, 0, NULL}};

const Function reduce_functions[] = {
    {"sort", sort_sort}, {"topk", sort_topk}, {NULL, NULL}};
