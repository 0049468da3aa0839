/*
** create.c -- tensors from Lua values and back: tables, numbers, strings of
** bytes, ranges, random numbers, copies and conversions.
*/
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"

#define BLOCK 1024             /* elements, and then it is asked whether to go on ... */
#define MANY ((size_t)4 << 20) /* ... or bytes */

static const int64_t no_shape[1];

static mare_Dtype opt_dtype(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? MARE_F32 : check_dtype_name(L, arg);
}

/* -- from tables -------------------------------------------------------------------- */

/* the shape of a nested table on the top of the stack, read along its first entries */
static int table_shape(lua_State *L, int arg, int64_t *shape) {
  int ndim = 0, top = lua_gettop(L);
  lua_pushvalue(L, arg);
  while (lua_istable(L, -1)) {
    if (ndim == MARE_MAXDIM)
      arg_error(L, arg, "table nested deeper than %d dimensions", MARE_MAXDIM);
    luaL_checkstack(L, 4, NULL);
    shape[ndim] = (int64_t)lua_rawlen(L, -1);
    if (shape[ndim++] == 0) break;
    lua_rawgeti(L, -1, 1);
  }
  lua_settop(L, top);
  return ndim;
}

static void bad_entry(lua_State *L, int arg, const int64_t *at, int depth,
                      const char *what) {
  char buf[MARE_SHAPETEXT];
  int n = 0;
  for (int d = 0; d <= depth; d++)
    n += snprintf(buf + n, sizeof buf - (size_t)n, "%s%lld", d ? ", " : "",
                  (long long)at[d] + 1);
  arg_error(L, arg, "%s at [%s]", what, buf);
}

static void store_entry(lua_State *L, mare_Tensor *t, int arg, const int64_t *at,
                        int depth, int64_t offset) {
  int exact;
  lua_Integer i = lua_tointegerx(L, -1, &exact);
  if (lua_isboolean(L, -1) && t->dtype == MARE_U8) {
    mare_set_integer(t, offset, lua_toboolean(L, -1));
    return;
  }
  if (lua_type(L, -1) != LUA_TNUMBER) {
    State *S = get_state(L);
    const char *join = test_tensor(L, S, -1) ? "; mare.stack joins tensors" : "";
    const char *got = type_of(L, S, lua_gettop(L));
    const char *what = lua_pushfstring(L, "number expected, got %s%s", got, join);
    bad_entry(L, arg, at, depth, what);
  }
  if (t->dtype < MARE_NREAL) {
    mare_set_real(t, offset, lua_tonumber(L, -1));
    return;
  }
  if (!exact) bad_entry(L, arg, at, depth, "a number without an integer value");
  if (t->dtype == MARE_U8 && (i < 0 || i > 255))
    bad_entry(L, arg, at, depth, "a number outside 0..255");
  mare_set_integer(t, offset, i);
}

/* copies the table on the top of the stack into t from this offset on */
static void fill_table(lua_State *L, mare_Tensor *t, int arg, int64_t *at, int depth,
                       int64_t offset) {
  if (!lua_istable(L, -1)) bad_entry(L, arg, at, depth - 1, "ragged table: a number");
  int64_t n = (int64_t)lua_rawlen(L, -1);
  if (n != t->shape[depth]) {
    const char *what =
        lua_pushfstring(L, "ragged table: %I entries where %I are expected",
                        (LUAI_UACINT)n, (LUAI_UACINT)t->shape[depth]);
    if (depth == 0) arg_error(L, arg, "%s", what);
    bad_entry(L, arg, at, depth - 1, what);
  }
  luaL_checkstack(L, 4, NULL);
  for (at[depth] = 0; at[depth] < t->shape[depth]; at[depth]++) {
    int64_t here = offset + at[depth] * t->stride[depth];
    if (at[depth] % BLOCK == 0) check_time(L);
    lua_rawgeti(L, -1, at[depth] + 1);
    if (depth + 1 < t->ndim) fill_table(L, t, arg, at, depth + 1, here);
    else store_entry(L, t, arg, at, depth, here);
    lua_pop(L, 1);
  }
}

static int create_tensor(lua_State *L) { /* tensor(v [, dtype]) */
  State *S = get_state(L);
  int64_t shape[MARE_MAXDIM], at[MARE_MAXDIM];
  if (lua_type(L, 1) == LUA_TNUMBER && lua_type(L, 2) == LUA_TNUMBER)
    return arg_error(L, 1, "several values are given in a table: { 1, 2, 3 }");
  mare_Dtype dt = opt_dtype(L, 2);
  Object *o;
  lua_settop(L, 2);
  if (test_tensor(L, S, 1)) {
    Object *x = check_tensor(L, S, 1);
    o = new_tensor(L, S, lua_isnil(L, 2) ? x->t.dtype : dt, x->t.ndim, x->t.shape);
    mare_copy(&o->t, &x->t);
    return 1;
  }
  if (lua_type(L, 1) == LUA_TNUMBER || lua_isboolean(L, 1)) {
    o = new_tensor(L, S, dt, 0, no_shape);
    lua_pushvalue(L, 1);
    at[0] = 0;
    store_entry(L, &o->t, 1, at, 0, 0);
    lua_pop(L, 1);
    return 1;
  }
  if (!lua_istable(L, 1) || (lua_rawlen(L, 1) == 0 && lua_getmetatable(L, 1)))
    return arg_error(L, 1, "number or table expected, got %s", type_of(L, S, 1));
  check_list(L, 1);
  int ndim = table_shape(L, 1, shape);
  o = new_tensor(L, S, dt, ndim, shape);
  lua_pushvalue(L, 1);
  fill_table(L, &o->t, 1, at, 0, 0);
  lua_pop(L, 1);
  return 1;
}

/* -- filled -------------------------------------------------------------------------- */

static void check_sizes(lua_State *L, int arg, int ndim, const int64_t *shape) {
  for (int i = 0; i < ndim; i++)
    if (shape[i] < 0) arg_error(L, arg, "size %I is negative", (LUAI_UACINT)shape[i]);
}

/* shape from argument `arg` on, then perhaps an element type; pushes the tensor */
static Object *push_shaped(lua_State *L, State *S, int arg) {
  int64_t shape[MARE_MAXDIM];
  int after, ndim = check_shape(L, arg, shape, &after);
  mare_Dtype dt = opt_dtype(L, after);
  check_sizes(L, arg, ndim, shape);
  if (!lua_isnoneornil(L, after + 1))
    arg_error(L, after + 1, "the element type comes last, after the sizes");
  return new_tensor(L, S, dt, ndim, shape);
}

static int create_empty(lua_State *L) { /* not initialised */
  push_shaped(L, get_state(L), 1);
  return 1;
}

static int create_zeros(lua_State *L) {
  mare_fill(&push_shaped(L, get_state(L), 1)->t, 0);
  return 1;
}

static int create_ones(lua_State *L) {
  mare_fill(&push_shaped(L, get_state(L), 1)->t, 1);
  return 1;
}

static int create_full(lua_State *L) { /* full({shape}, v [, dtype]) */
  State *S = get_state(L);
  int64_t shape[MARE_MAXDIM];
  int after, ndim;
  if (!lua_istable(L, 1))
    return arg_error(L, 1, "shape (a table) expected, got %s", type_of(L, S, 1));
  ndim = check_shape(L, 1, shape, &after);
  check_sizes(L, 1, ndim, shape);
  check_number(L, 2); /* before the new tensor stands in its place */
  assign_number(L, &new_tensor(L, S, opt_dtype(L, 3), ndim, shape)->t, 2);
  return 1;
}

static int create_eye(lua_State *L) { /* eye(n [, m] [, dtype]) */
  State *S = get_state(L);
  int64_t shape[2] = {check_integer(L, 1), 0};
  int after = lua_type(L, 2) == LUA_TNUMBER ? 3 : 2;
  shape[1] = after == 3 ? check_integer(L, 2) : shape[0];
  mare_Dtype dt = opt_dtype(L, after);
  check_sizes(L, 1, 2, shape);
  Object *o = new_tensor(L, S, dt, 2, shape);
  mare_fill(&o->t, 0);
  for (int64_t i = 0; i < shape[0] && i < shape[1]; i++)
    mare_set_real(&o->t, i * (shape[1] + 1), 1);
  return 1;
}

/* every value of the range must be one of the element type */
static void check_range(lua_State *L, mare_Dtype dt, double first, double step,
                        double count) {
  double last = first + (count - 1) * step;
  double lo = dt == MARE_U8 ? 0 : -0x1p62, hi = dt == MARE_U8 ? 255 : 0x1p62;
  if (dt < MARE_NREAL) return;
  if (first != floor(first) || step != floor(step))
    arg_error(L, 1, "a range of %s needs an integer start and step", mare_dtype_name[dt]);
  if (count >= 1 && (fmin(first, last) < lo || fmax(first, last) > hi))
    arg_error(L, 2, "the range %f..%f does not fit into %s", unsign(first),
              unsign(last), mare_dtype_name[dt]);
}

static void fill_range(mare_Tensor *t, double first, double step) {
  for (int64_t i = 0; i < t->numel && (i % BLOCK || !mare_stopping()); i++)
    if (t->dtype < MARE_NREAL) mare_set_real(t, i, first + (double)i * step);
    else mare_set_integer(t, i, (int64_t)first + i * (int64_t)step);
}

/* Lua's integers, all digits kept: i64 from argument 1 to 2, where neither is a float */
static bool integer_range(lua_State *L, mare_Dtype dt, int64_t step) {
  int64_t first = lua_tointeger(L, 1), last = lua_tointeger(L, 2), n = 0;
  if (dt != MARE_I64 || !lua_isinteger(L, 1) || !lua_isinteger(L, 2)) return false;
  if (step > 0 ? first <= last : first >= last) n = (last - first) / step + 1;
  mare_Tensor *t = &new_tensor(L, get_state(L), MARE_I64, 1, &n)->t;
  for (int64_t i = 0; i < n && (i % BLOCK || !mare_stopping()); i++)
    mare_set_integer(t, i, first + i * step);
  return true;
}

/* arange(first, last [, step] [, dtype]): last included, as in Lua's for */
static int create_arange(lua_State *L) {
  State *S = get_state(L);
  double first = check_number(L, 1), last = check_number(L, 2), step = 1, count;
  int after = 3;
  if (lua_type(L, 3) == LUA_TNUMBER) step = check_number(L, 3), after = 4;
  mare_Dtype dt = opt_dtype(L, after);
  if (step == 0 || !isfinite(step)) return arg_error(L, 3, "step %f", unsign(step));
  if (!isfinite(first) || !isfinite(last))
    return arg_error(L, 1, "a bound is not finite");
  count = floor((last - first) / step + 1e-9) + 1;
  check_range(L, dt, first, step, count);
  if (count > 9e15) return arg_error(L, 2, "a range of %f elements", count);
  if (integer_range(L, dt, (int64_t)step)) return 1;
  int64_t n = count > 0 ? (int64_t)count : 0;
  fill_range(&new_tensor(L, S, dt, 1, &n)->t, first, step);
  return 1;
}

static int create_linspace(lua_State *L) { /* linspace(first, last, n [, dtype]) */
  State *S = get_state(L);
  double first = check_number(L, 1), last = check_number(L, 2);
  int64_t n = check_integer(L, 3);
  mare_Dtype dt = opt_dtype(L, 4);
  if (n < 1) return arg_error(L, 3, "%I points", (LUAI_UACINT)n);
  if (dt >= MARE_NREAL) return arg_error(L, 4, "f32 or f64 expected");
  Object *o = new_tensor(L, S, dt, 1, &n);
  fill_range(&o->t, first, n > 1 ? (last - first) / (double)(n - 1) : 0);
  if (n > 1) mare_set_real(&o->t, n - 1, last);
  return 1;
}

/* -- random -------------------------------------------------------------------------- */

static Object *push_random(lua_State *L, State *S, int arg) {
  Object *o = push_shaped(L, S, arg);
  if (o->t.dtype >= MARE_NREAL)
    arg_error(L, arg, "random numbers are f32 or f64, not %s",
              mare_dtype_name[o->t.dtype]);
  return o;
}

static int random_uniform(lua_State *L) {
  State *S = get_state(L);
  mare_rng_uniform(&S->rng, &push_random(L, S, 1)->t, 0, 1);
  return 1;
}

static int random_normal(lua_State *L) {
  State *S = get_state(L);
  mare_rng_normal(&S->rng, &push_random(L, S, 1)->t, 0, 1);
  return 1;
}

/* the element type of positions and the like: i64 or nothing may be named */
static void check_i64(lua_State *L, int arg) {
  if (!lua_isnoneornil(L, arg) && check_dtype_name(L, arg) != MARE_I64)
    arg_error(L, arg, "the result is i64; convert it with :to");
}

static int random_integers(lua_State *L) { /* randint(lo, hi, shape ... [, "i64"]) */
  State *S = get_state(L);
  int64_t lo = check_integer(L, 1), hi = check_integer(L, 2), shape[MARE_MAXDIM];
  int after, ndim = check_shape(L, 3, shape, &after);
  if (hi < lo) return arg_error(L, 2, "interval %I..%I is empty", (LUAI_UACINT)lo,
                                (LUAI_UACINT)hi);
  check_sizes(L, 3, ndim, shape);
  check_i64(L, after);
  mare_rng_integers(&S->rng, &new_tensor(L, S, MARE_I64, ndim, shape)->t, lo, hi);
  return 1;
}

static int random_permutation(lua_State *L) { /* randperm(n [, "i64"]) */
  State *S = get_state(L);
  int64_t n = check_integer(L, 1);
  if (n < 0) return arg_error(L, 1, "size %I is negative", (LUAI_UACINT)n);
  check_i64(L, 2);
  mare_rng_permutation(&S->rng, &new_tensor(L, S, MARE_I64, 1, &n)->t);
  return 1;
}

/* a number for a tensor of integers */
static int64_t check_whole(lua_State *L, int arg, mare_Dtype dt) {
  int64_t i = check_integer(L, arg);
  if (dt == MARE_U8 && (i < 0 || i > 255))
    arg_error(L, arg, "%I does not fit into u8", (LUAI_UACINT)i);
  return i;
}

static Object *check_target(lua_State *L, State *S) {
  Object *o = check_real(L, S, 1);
  check_writable(L, S, o, 1);
  if (!mare_is_contiguous(&o->t)) arg_error(L, 1, "a contiguous tensor is needed");
  return o;
}

static int random_uniform_into(lua_State *L) { /* t:uniform_([lo, hi]) */
  State *S = get_state(L);
  Object *o = check_target(L, S);
  double lo = opt_number(L, 2, 0), hi = opt_number(L, 3, 1);
  double width = o->t.dtype == MARE_F32 ? (float)(hi - lo) : hi - lo;
  if (!(lo <= hi && isfinite(width)))
    return arg_error(L, 3, "interval %f..%f", unsign(lo), unsign(hi));
  mare_rng_uniform(&S->rng, &o->t, lo, hi);
  written(o);
  lua_settop(L, 1);
  return 1;
}

static int random_normal_into(lua_State *L) { /* t:normal_([mean, std]) */
  State *S = get_state(L);
  Object *o = check_target(L, S);
  double mean = opt_number(L, 2, 0), std = opt_number(L, 3, 1);
  if (!(std >= 0)) return arg_error(L, 3, "standard deviation %f", unsign(std));
  mare_rng_normal(&S->rng, &o->t, mean, std);
  written(o);
  lua_settop(L, 1);
  return 1;
}

static int random_bernoulli_into(lua_State *L) { /* t:bernoulli_(p [, value]) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  double p = check_number(L, 2), v = opt_number(L, 3, 1);
  if (!(p >= 0 && p <= 1)) return arg_error(L, 2, "probability %f", unsign(p));
  if (o->t.dtype >= MARE_NREAL && !lua_isnoneornil(L, 3)) check_whole(L, 3, o->t.dtype);
  check_writable(L, S, o, 1);
  if (!mare_is_contiguous(&o->t)) return arg_error(L, 1, "a contiguous tensor is needed");
  mare_rng_bernoulli(&S->rng, &o->t, p, v);
  written(o);
  lua_settop(L, 1);
  return 1;
}

static int random_seed(lua_State *L) {
  mare_rng_seed(&get_state(L)->rng, (uint64_t)check_integer(L, 1));
  return 0;
}

/* rng_state() -> key, counter; rng_state(key, counter) restores */
static int random_state(lua_State *L) {
  State *S = get_state(L);
  if (!lua_isnoneornil(L, 1)) {
    uint64_t key = (uint64_t)check_integer(L, 1);
    S->rng.counter = (uint64_t)check_integer(L, 2);
    S->rng.key = key;
  }
  lua_pushinteger(L, (lua_Integer)S->rng.key);
  lua_pushinteger(L, (lua_Integer)S->rng.counter);
  return 2;
}

/* -- copies and conversions ---------------------------------------------------------- */

static void clone_backward(Back *b, int i, mare_Tensor *gx) {
  (void)i;
  *gx = *b->g;
}

static int tensor_clone(lua_State *L) {
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  lua_settop(L, 1);
  mare_copy(&new_result(L, S, get_op(L), 1, 1, o->t.dtype, o->t.ndim, o->t.shape)->t,
            &o->t);
  return 1;
}

static int tensor_contiguous(lua_State *L) { /* itself, or a copy without gaps */
  Object *o = check_tensor(L, get_state(L), 1);
  lua_settop(L, 1);
  return mare_is_contiguous(&o->t) ? 1 : tensor_clone(L);
}

/* gradients go back through a conversion between f32 and f64 */
static void to_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[i].object->t;
  mare_Tensor *t = back_tensor(b, x->dtype, x->ndim, x->shape);
  mare_copy(t, b->g);
  *gx = *t;
}

static int tensor_to(lua_State *L) { /* t:to(dtype); t itself when it has that type */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1), *y;
  mare_Dtype dt = check_dtype_name(L, 2);
  lua_settop(L, 2);
  if (o->t.dtype == dt) {
    lua_settop(L, 1);
    return 1;
  }
  y = new_result(L, S, get_op(L), 1, 2, dt, o->t.ndim, o->t.shape);
  mare_copy(&y->t, &o->t);
  return 1;
}

void assign_tensor(lua_State *L, State *S, mare_Tensor *dst, Object *src, int arg) {
  mare_Tensor v;
  char buf[MARE_SHAPETEXT];
  if (wants_grad(S, src))
    arg_error(L, arg, "a write in place is not recorded; detach the value first");
  if (src->t.storage == dst->storage) { /* they may overlap */
    Object *copy = new_like(L, S, &src->t);
    mare_copy(&copy->t, &src->t);
    src = copy;
  }
  if (!mare_expand(&src->t, dst->ndim, dst->shape, &v))
    arg_error(L, arg, "shape %s does not go into shape %s", shape_of(L, &src->t),
              mare_shape_text(buf, dst->ndim, dst->shape));
  mare_copy(dst, &v);
}

void assign_number(lua_State *L, mare_Tensor *dst, int arg) {
  double v = check_number(L, arg);
  if (dst->dtype < MARE_NREAL) {
    mare_fill(dst, v);
    return;
  }
  mare_fill_integer(dst, check_whole(L, arg, dst->dtype));
}

static int tensor_copy_into(lua_State *L) { /* t:copy_(x), x broadcast and converted */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1), *x = check_tensor(L, S, 2);
  check_writable(L, S, o, 1);
  assign_tensor(L, S, &o->t, x, 2);
  written(o);
  lua_settop(L, 1);
  return 1;
}

static int tensor_fill(lua_State *L) { /* t:fill_(v) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  check_writable(L, S, o, 1);
  assign_number(L, &o->t, 2);
  written(o);
  lua_settop(L, 1);
  return 1;
}

static int tensor_zero(lua_State *L) { /* t:zero_() */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  check_writable(L, S, o, 1);
  mare_fill(&o->t, 0);
  written(o);
  lua_settop(L, 1);
  return 1;
}

static void push_element(lua_State *L, const mare_Tensor *t, int64_t offset) {
  if (t->dtype < MARE_NREAL) lua_pushnumber(L, mare_get_real(t, offset));
  else lua_pushinteger(L, mare_get_integer(t, offset));
}

static int tensor_item(lua_State *L) { /* the only element, as a number */
  Object *o = check_tensor(L, get_state(L), 1);
  if (o->t.numel != 1)
    return arg_error(L, 1, "shape %s has %I elements, not one", shape_of(L, &o->t),
                     (LUAI_UACINT)o->t.numel);
  push_element(L, &o->t, 0);
  return 1;
}

static void push_table(lua_State *L, const mare_Tensor *t, int depth, int64_t offset) {
  if (depth == t->ndim) {
    push_element(L, t, offset);
    return;
  }
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, t->shape[depth] < INT_MAX ? (int)t->shape[depth] : 0, 0);
  for (int64_t i = 0; i < t->shape[depth]; i++) {
    if (i % BLOCK == 0) check_time(L);
    push_table(L, t, depth + 1, offset + i * t->stride[depth]);
    lua_rawseti(L, -2, i + 1);
  }
}

static int tensor_totable(lua_State *L) { /* nested tables; a number for 0-d */
  push_table(L, &check_tensor(L, get_state(L), 1)->t, 0, 0);
  return 1;
}

/* the elements in row-major order, this machine's bytes */
static int tensor_tobytes(lua_State *L) {
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  const mare_Tensor *t = push_contiguous(L, S, &o->t);
  lua_pushlstring(L, t->data, (size_t)t->numel * mare_sizeof[t->dtype]);
  return 1;
}

static int create_frombytes(lua_State *L) { /* frombytes(s, dtype, shape ...) */
  State *S = get_state(L);
  size_t len;
  int64_t shape[MARE_MAXDIM], numel;
  int after, ndim;
  if (lua_type(L, 1) != LUA_TSTRING)
    return arg_error(L, 1, "string expected, got %s", type_of(L, S, 1));
  const char *s = lua_tolstring(L, 1, &len);
  mare_Dtype dt = check_dtype_name(L, 2);
  ndim = check_shape(L, 3, shape, &after);
  check_sizes(L, 3, ndim, shape);
  if (ndim == 0 && lua_isnoneornil(L, 3)) {
    ndim = 1;
    shape[0] = (int64_t)(len / mare_sizeof[dt]);
  }
  if (!mare_numel(ndim, shape, dt, &numel) || (size_t)numel * mare_sizeof[dt] != len) {
    char buf[MARE_SHAPETEXT];
    return arg_error(L, 1, "%I bytes do not make a %s tensor of shape %s",
                     (LUAI_UACINT)len, mare_dtype_name[dt],
                     mare_shape_text(buf, ndim, shape));
  }
  char *to = new_tensor(L, S, dt, ndim, shape)->t.data;
  for (size_t i = 0; i < len && !mare_stopping(); i += MANY)
    memcpy(to + i, s + i, len - i < MANY ? len - i : MANY);
  return 1;
}

const Op copy_ops[] = {{"clone", tensor_clone, clone_backward, 0, NULL},
                       {"contiguous", tensor_contiguous, clone_backward, 0, NULL},
                       {"to", tensor_to, to_backward, 0, NULL},
                       {NULL, NULL, NULL, 0, NULL}};

const Function create_functions[] = {
    {"tensor", create_tensor},     {"empty", create_empty},
    {"zeros", create_zeros},       {"ones", create_ones},
    {"full", create_full},         {"eye", create_eye},
    {"arange", create_arange},     {"linspace", create_linspace},
    {"frombytes", create_frombytes}, {"rand", random_uniform},
    {"randn", random_normal},      {"randint", random_integers},
    {"randperm", random_permutation}, {"seed", random_seed},
    {"rng_state", random_state},   {"uniform_", random_uniform_into},
    {"normal_", random_normal_into}, {"bernoulli_", random_bernoulli_into},
    {"copy_", tensor_copy_into},   {"fill_", tensor_fill},
    {"zero_", tensor_zero},        {"item", tensor_item},
    {"totable", tensor_totable},   {"tobytes", tensor_tobytes},
    {NULL, NULL}};
