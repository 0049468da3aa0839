/*
** index.c -- picking and placing by position and by mask, as Lua sees it.
** Positions are i64 tensors, 1-based, negative from the end; masks are u8 tensors
** that broadcast to what they mask.  name(...) makes a new tensor and is recorded,
** name_(...) writes into its first argument.
*/
#include <string.h>

#include "bind.h"

/* -- checks -------------------------------------------------------------------------- */

static Object *check_positions(lua_State *L, State *S, int arg, int64_t limit) {
  Object *index = check_dtype(L, S, arg, MARE_I64);
  int64_t bad;
  if (!mare_index_check(&index->t, limit, &bad))
    arg_error(L, arg, "index %I is out of range for size %I%s", (LUAI_UACINT)bad,
              (LUAI_UACINT)limit, counted_from(bad));
  return index;
}

/* the values of the tensor at arg without gaps: itself, or a copy pushed on the stack */
static const mare_Tensor *settle(lua_State *L, State *S, int arg) {
  Object *o = lua_touserdata(L, arg);
  if (mare_is_contiguous(&o->t)) return &o->t;
  Object *copy = new_like(L, S, &o->t);
  mare_copy(&copy->t, &o->t);
  return &copy->t;
}

static int check_table(lua_State *L, Object *x, int arg) {
  if (x->t.ndim == 0) arg_error(L, 1, "a 0-d tensor has no positions");
  return check_dim(L, arg, x->t.ndim);
}

/* index and src (one shape) stay within x, but for dim */
static void check_element_shapes(lua_State *L, Object *x, Object *index, Object *src,
                                 int dim) {
  bool fits = index->t.ndim == x->t.ndim;
  for (int d = 0; fits && d < x->t.ndim; d++)
    fits = d == dim || index->t.shape[d] <= x->t.shape[d];
  if (!fits)
    arg_error(L, 3,
              "an index of shape %s does not fit a tensor of shape %s along dimension %d",
              shape_of(L, &index->t), shape_of(L, &x->t), dim + 1);
  if (src == NULL) return;
  check_same_dtype(L, x, src, 4);
  check_same_shape(L, index, src, 4);
}

/* the mask at arg, seen in the shape of x */
static mare_Tensor check_mask(lua_State *L, State *S, Object *x, int arg) {
  Object *mask = check_dtype(L, S, arg, MARE_U8);
  mare_Tensor v;
  if (!mare_expand(&mask->t, x->t.ndim, x->t.shape, &v))
    arg_error(L, arg, "a mask of shape %s does not fit shape %s", shape_of(L, &mask->t),
              shape_of(L, &x->t));
  return v;
}

/* a mask in the memory that will be written is read from a copy */
static void part_mask(lua_State *L, State *S, const Object *x, mare_Tensor *mask) {
  if (mask->storage != x->t.storage) return;
  Object *copy = new_like(L, S, mask);
  mare_copy(&copy->t, mask);
  *mask = copy->t;
}

/* -- whole slices -------------------------------------------------------------------- */

static int index_select(lua_State *L) { /* x:index_select(dim, index) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *index, *y;
  int64_t shape[MARE_MAXDIM];
  int dim = check_table(L, x, 2);
  lua_settop(L, 3);
  index = check_positions(L, S, 3, x->t.shape[dim]);
  if (index->t.ndim != 1)
    return arg_error(L, 3, "an index with one dimension expected, got shape %s",
                     shape_of(L, &index->t));
  lua_pushinteger(L, dim + 1);
  lua_replace(L, 2);
  memcpy(shape, x->t.shape, sizeof shape);
  shape[dim] = index->t.shape[0];
  y = new_result(L, S, get_op(L), 1, 3, x->t.dtype, x->t.ndim, shape);
  mare_index_select(dim, &x->t, &index->t, &y->t);
  return 1;
}

static mare_Tensor *zeros_like(Back *b, const mare_Tensor *x) {
  mare_Tensor *t = back_tensor(b, x->dtype, x->ndim, x->shape);
  mare_fill(t, 0);
  return t;
}

static int dim_of(const Back *b) { return (int)b->node->arg[1].number - 1; }

static const mare_Tensor *value_of(const Back *b, int i) {
  return &b->node->arg[i].object->t;
}

static void index_select_backward(Back *b, int i, mare_Tensor *gx) {
  mare_Tensor *t = zeros_like(b, value_of(b, i));
  mare_index_add(dim_of(b), t, value_of(b, 2), back_contiguous(b, b->g));
  *gx = *t;
}

static void check_slices(lua_State *L, Object *x, Object *index, Object *src, int dim) {
  bool fits = src->t.ndim == x->t.ndim && index->t.ndim == 1 &&
              src->t.shape[dim] == index->t.shape[0];
  for (int d = 0; fits && d < x->t.ndim; d++)
    fits = d == dim || src->t.shape[d] == x->t.shape[d];
  check_same_dtype(L, x, src, 4);
  if (!fits)
    arg_error(L, 4, "shape %s does not go into shape %s at %I positions of dimension %d",
              shape_of(L, &src->t), shape_of(L, &x->t), (LUAI_UACINT)index->t.numel,
              dim + 1);
}

/* -- into a copy or in place --------------------------------------------------------- */

typedef void Put(int dim, mare_Tensor *y, const mare_Tensor *index,
                 const mare_Tensor *src);

static void put_slices_add(int dim, mare_Tensor *y, const mare_Tensor *index,
                           const mare_Tensor *src) {
  mare_index_put(dim, y, index, src, true);
}

static void put_slices(int dim, mare_Tensor *y, const mare_Tensor *index,
                       const mare_Tensor *src) {
  mare_index_put(dim, y, index, src, false);
}

typedef struct PutRule {
  Put *put;
  bool slices;
} PutRule;

static const PutRule put_rules[] = { /* in the order of index_ops */
    {put_slices_add, true}, {put_slices, true}, {mare_scatter_add, false},
    {mare_scatter, false}};

static void check_put(lua_State *L, State *S, bool whole, int *dim) {
  Object *x = check_tensor(L, S, 1), *src, *index;
  *dim = check_table(L, x, 2);
  lua_settop(L, 4);
  index = check_positions(L, S, 3, x->t.shape[*dim]);
  src = check_tensor(L, S, 4);
  if (whole) check_slices(L, x, index, src, *dim);
  else check_element_shapes(L, x, index, src, *dim);
  lua_pushinteger(L, *dim + 1);
  lua_replace(L, 2);
}

/* y = the tensor at 1, changed at positions */
static void put_into(lua_State *L, State *S, const PutRule *rule, int dim,
                     mare_Tensor *y) {
  const mare_Tensor *index = settle(L, S, 3), *src = settle(L, S, 4);
  rule->put(dim, y, index, src);
}

static int put_new(lua_State *L, const PutRule *rule) {
  State *S = get_state(L);
  int dim, result;
  check_put(L, S, rule->slices, &dim);
  Object *x = lua_touserdata(L, 1);
  Object *y = new_result(L, S, get_op(L), 1, 4, x->t.dtype, x->t.ndim, x->t.shape);
  result = lua_gettop(L);
  mare_copy(&y->t, &x->t);
  put_into(L, S, rule, dim, &y->t);
  lua_settop(L, result);
  return 1;
}

static int put_inplace(lua_State *L, const PutRule *rule) {
  State *S = get_state(L);
  int dim;
  check_put(L, S, rule->slices, &dim);
  Object *x = lua_touserdata(L, 1), *src = lua_touserdata(L, 4);
  check_writable(L, S, x, 1);
  if (wants_grad(S, src))
    return arg_error(L, 4, "a write in place is not recorded; detach it first");
  Object *y = new_like(L, S, &x->t); /* they may overlap, x may have gaps */
  mare_copy(&y->t, &x->t);
  put_into(L, S, rule, dim, &y->t);
  mare_copy(&x->t, &y->t);
  written(x);
  lua_settop(L, 1);
  return 1;
}

static int index_put_new(lua_State *L) {
  return put_new(L, &put_rules[get_op(L) - index_ops]);
}
static int index_add_into(lua_State *L) { return put_inplace(L, &put_rules[0]); }
static int index_copy_into(lua_State *L) { return put_inplace(L, &put_rules[1]); }
static int scatter_add_into(lua_State *L) { return put_inplace(L, &put_rules[2]); }
static int scatter_into(lua_State *L) { return put_inplace(L, &put_rules[3]); }

/* of x + (src at positions): g itself, and g at the positions */
static void index_add_backward(Back *b, int i, mare_Tensor *gx) {
  *gx = *b->g;
  if (i == 0) return;
  const mare_Tensor *src = value_of(b, 3);
  mare_Tensor *t = back_tensor(b, src->dtype, src->ndim, src->shape);
  mare_index_select(dim_of(b), b->g, value_of(b, 2), t);
  *gx = *t;
}

static void scatter_add_backward(Back *b, int i, mare_Tensor *gx) {
  *gx = *b->g;
  if (i == 0) return;
  const mare_Tensor *src = value_of(b, 3);
  mare_Tensor *t = back_tensor(b, src->dtype, src->ndim, src->shape);
  mare_gather(dim_of(b), b->g, back_contiguous(b, value_of(b, 2)), t);
  *gx = *t;
}

/* -- element by element -------------------------------------------------------------- */

static int index_gather(lua_State *L) { /* x:gather(dim, index) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *index, *y;
  int dim = check_table(L, x, 2), result;
  lua_settop(L, 3);
  index = check_positions(L, S, 3, x->t.shape[dim]);
  check_element_shapes(L, x, index, NULL, dim);
  lua_pushinteger(L, dim + 1);
  lua_replace(L, 2);
  y = new_result(L, S, get_op(L), 1, 3, x->t.dtype, index->t.ndim, index->t.shape);
  result = lua_gettop(L);
  mare_gather(dim, &x->t, settle(L, S, 3), &y->t);
  lua_settop(L, result);
  return 1;
}

static void gather_backward(Back *b, int i, mare_Tensor *gx) {
  mare_Tensor *t = zeros_like(b, value_of(b, i));
  mare_scatter_add(dim_of(b), t, back_contiguous(b, value_of(b, 2)),
                   back_contiguous(b, b->g));
  *gx = *t;
}

/* -- masks --------------------------------------------------------------------------- */

/* how many elements a mask marks: what is made of that size needs the whole count */
static int64_t count_marked(lua_State *L, const mare_Tensor *mask) {
  const int64_t n = mare_count_true(mask);
  check_hook(L);
  return n;
}

static int masked_select(lua_State *L) { /* x:masked_select(mask): 1-d, in order */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *y;
  mare_Tensor mask = check_mask(L, S, x, 2);
  int64_t n = count_marked(L, &mask);
  lua_settop(L, 2);
  y = new_result(L, S, get_op(L), 1, 2, x->t.dtype, 1, &n);
  mare_masked_select(&x->t, &mask, &y->t);
  return 1;
}

static mare_Tensor mask_of(const Back *b) {
  const mare_Tensor *x = value_of(b, 0);
  mare_Tensor v;
  mare_expand(value_of(b, 1), x->ndim, x->shape, &v);
  return v;
}

static void masked_select_backward(Back *b, int i, mare_Tensor *gx) {
  mare_Tensor *t = zeros_like(b, value_of(b, i)), mask = mask_of(b);
  mare_masked_scatter(t, &mask, back_contiguous(b, b->g));
  *gx = *t;
}

static void check_count(lua_State *L, State *S, const mare_Tensor *mask,
                        const Object *x) {
  Object *src = check_tensor(L, S, 3);
  int64_t n = count_marked(L, mask);
  check_same_dtype(L, x, src, 3);
  if (src->t.numel != n)
    arg_error(L, 3, "%I elements for a mask that marks %I", (LUAI_UACINT)src->t.numel,
              (LUAI_UACINT)n);
}

static int masked_scatter(lua_State *L) { /* x:masked_scatter(mask, values) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *y;
  mare_Tensor mask = check_mask(L, S, x, 2);
  int result;
  lua_settop(L, 3);
  check_count(L, S, &mask, x);
  y = new_result(L, S, get_op(L), 1, 3, x->t.dtype, x->t.ndim, x->t.shape);
  result = lua_gettop(L);
  mare_copy(&y->t, &x->t);
  mare_masked_scatter(&y->t, &mask, settle(L, S, 3));
  lua_settop(L, result);
  return 1;
}

static int masked_scatter_into(lua_State *L) { /* x:masked_scatter_(mask, values) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *src;
  mare_Tensor mask = check_mask(L, S, x, 2);
  check_writable(L, S, x, 1);
  lua_settop(L, 3);
  check_count(L, S, &mask, x);
  src = lua_touserdata(L, 3);
  if (wants_grad(S, src))
    return arg_error(L, 3, "a write in place is not recorded; detach it first");
  part_mask(L, S, x, &mask);
  Object *copy = new_like(L, S, &src->t); /* they may overlap */
  mare_copy(&copy->t, &src->t);
  mare_masked_scatter(&x->t, &mask, &copy->t);
  written(x);
  lua_settop(L, 1);
  return 1;
}

static void masked_scatter_backward(Back *b, int i, mare_Tensor *gx) {
  mare_Tensor mask = mask_of(b), *t;
  if (i == 0) {
    t = back_tensor(b, b->g->dtype, b->g->ndim, b->g->shape);
    mare_copy(t, b->g);
    mare_masked_fill(t, &mask, 0);
  } else {
    const mare_Tensor *src = value_of(b, 2);
    t = back_tensor(b, src->dtype, 1, &src->numel);
    mare_masked_select(b->g, &mask, t);
    mare_view_as(t, src->ndim, src->shape, gx);
    return;
  }
  *gx = *t;
}

/* the bytes of a number in x's type */
static uint64_t check_value(lua_State *L, const Object *x, int arg) {
  uint64_t bits = 0;
  mare_Tensor one = {.data = (char *)&bits, .dtype = x->t.dtype, .numel = 1};
  double v = check_number(L, arg);
  if (x->t.dtype < MARE_NREAL) {
    mare_set_real(&one, 0, v);
    return bits;
  }
  int64_t n = check_integer(L, arg);
  if (x->t.dtype == MARE_U8 && (n < 0 || n > 255))
    arg_error(L, arg, "%I does not fit into u8", (LUAI_UACINT)n);
  mare_set_integer(&one, 0, n);
  return bits;
}

static int masked_fill(lua_State *L) { /* x:masked_fill(mask, v) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *y;
  mare_Tensor mask = check_mask(L, S, x, 2);
  uint64_t v = check_value(L, x, 3);
  lua_settop(L, 3);
  y = new_result(L, S, get_op(L), 1, 3, x->t.dtype, x->t.ndim, x->t.shape);
  mare_copy(&y->t, &x->t);
  mare_masked_fill(&y->t, &mask, v);
  return 1;
}

static int masked_fill_into(lua_State *L) { /* x:masked_fill_(mask, v) */
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1);
  mare_Tensor mask = check_mask(L, S, x, 2);
  uint64_t v = check_value(L, x, 3);
  check_writable(L, S, x, 1);
  part_mask(L, S, x, &mask);
  mare_masked_fill(&x->t, &mask, v);
  written(x);
  lua_settop(L, 1);
  return 1;
}

static int mask_nonzero(lua_State *L) { /* mask:nonzero(): (count, ndim) positions */
  State *S = get_state(L);
  Object *mask = check_dtype(L, S, 1, MARE_U8);
  int64_t shape[] = {count_marked(L, &mask->t), mask->t.ndim};
  mare_nonzero(&mask->t, &new_tensor(L, S, MARE_I64, 2, shape)->t);
  return 1;
}

static int index_onehot(lua_State *L) { /* labels:onehot([classes [, dtype]]) */
  State *S = get_state(L);
  Object *labels = check_dtype(L, S, 1, MARE_I64), *y;
  int64_t shape[MARE_MAXDIM], classes = opt_integer(L, 2, 0), bad;
  mare_Dtype dt = lua_isnoneornil(L, 3) ? MARE_U8 : check_dtype_name(L, 3);
  if (labels->t.ndim == MARE_MAXDIM)
    return arg_error(L, 1, "it has %d dimensions already", MARE_MAXDIM);
  lua_settop(L, 3);
  const mare_Tensor *t = settle(L, S, 1);
  if (lua_isnil(L, 2))
    for (int64_t i = 0; i < t->numel; i++)
      if (mare_get_integer(t, i) > classes) classes = mare_get_integer(t, i);
  if (classes < 0) return arg_error(L, 2, "%I classes", (LUAI_UACINT)classes);
  if (!mare_index_check(t, classes, &bad) )
    return arg_error(L, 1, "label %I is outside 1..%I", (LUAI_UACINT)bad,
                     (LUAI_UACINT)classes);
  memcpy(shape, t->shape, sizeof shape);
  shape[t->ndim] = classes;
  y = new_tensor(L, S, dt, t->ndim + 1, shape);
  mare_onehot(t, &y->t);
  return 1;
}

const Op index_ops[] = {
    {"index_add", index_put_new, index_add_backward, NEEDS(2), NULL},
    {"index_copy", index_put_new, NULL, NEEDS(2), NULL},
    {"scatter_add", index_put_new, scatter_add_backward, NEEDS(2), NULL},
    {"scatter", index_put_new, NULL, NEEDS(2), NULL},
    {"index_select", index_select, index_select_backward, NEEDS(2), NULL},
    {"gather", index_gather, gather_backward, NEEDS(2), NULL},
    {"masked_select", masked_select, masked_select_backward, NEEDS(1), NULL},
    {"masked_scatter", masked_scatter, masked_scatter_backward, NEEDS(1), NULL},
    {"masked_fill", masked_fill, NULL, NEEDS(1), NULL},
    {NULL, NULL, NULL, 0, NULL}};

const Function index_functions[] = {
    {"index_add_", index_add_into},       {"index_copy_", index_copy_into},
    {"scatter_add_", scatter_add_into},   {"scatter_", scatter_into},
    {"masked_fill_", masked_fill_into},   {"masked_scatter_", masked_scatter_into},
    {"nonzero", mask_nonzero},            {"onehot", index_onehot},
    {NULL, NULL}};
