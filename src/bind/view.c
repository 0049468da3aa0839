/*
** view.c -- tensors that share memory with another one: indexing, slicing,
** reshaping, transposing, expanding; and writing through an index.
*/
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"

/* -- gradients of views ------------------------------------------------------------ */

/* the other way round: g in the shape of x */
static void reshape_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[i].object->t;
  if (!mare_view_as(b->g, x->ndim, x->shape, gx))
    mare_view_as(back_contiguous(b, b->g), x->ndim, x->shape, gx);
}

static void transpose_backward(Back *b, int i, mare_Tensor *gx) {
  (void)i;
  *gx = *b->g;
  mare_transpose(gx, (int)b->node->arg[1].number, (int)b->node->arg[2].number);
}

static void permute_backward(Back *b, int i, mare_Tensor *gx) {
  int inverse[MARE_MAXDIM];
  (void)i;
  for (int d = 0; d < b->g->ndim; d++) inverse[(int)b->node->arg[1 + d].number] = d;
  *gx = *b->g;
  mare_permute(gx, inverse);
}

static void expand_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[i].object->t;
  back_reduce_to(b, b->g, x->ndim, x->shape, gx);
}

/* arguments x, dim, first, length, step (0-based): zeros with g in the slice */
static void slice_backward(Back *b, int i, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[i].object->t;
  const Arg *a = b->node->arg;
  mare_Tensor *t = back_tensor(b, x->dtype, x->ndim, x->shape), part;
  mare_fill(t, 0);
  part = *t;
  mare_slice(&part, (int)a[1].number, (int64_t)a[2].number, (int64_t)a[3].number,
             (int64_t)a[4].number);
  mare_copy(&part, b->g);
  *gx = *t;
}

static void select_backward(Back *b, int i, mare_Tensor *gx) { /* x, dim, index */
  const mare_Tensor *x = &b->node->arg[i].object->t;
  mare_Tensor *t = back_tensor(b, x->dtype, x->ndim, x->shape), part;
  mare_fill(t, 0);
  part = *t;
  mare_select(&part, (int)b->node->arg[1].number, (int64_t)b->node->arg[2].number);
  mare_copy(&part, b->g);
  *gx = *t;
}

/* argument x of unslice: the slice of g that x went into */
static void unslice_backward(Back *b, int i, mare_Tensor *gx) {
  const Arg *a = b->node->arg;
  (void)i;
  *gx = *b->g;
  mare_slice(gx, (int)a[2].number, (int64_t)a[3].number, (int64_t)a[4].number,
             (int64_t)a[5].number);
}

/* -- making views -------------------------------------------------------------------- */

/* these are recorded under 0-based numbers, whatever the user typed */
static const Op op_select = {"select", NULL, select_backward, 0, NULL};
static const Op op_slice = {"slice", NULL, slice_backward, 0, NULL};
static const Op op_transpose = {"transpose", NULL, transpose_backward, 0, NULL};
static const Op op_permute = {"permute", NULL, permute_backward, 0, NULL};
static const Op op_view = {"reshape", NULL, reshape_backward, 0, NULL};
static const Op op_expand = {"expand", NULL, expand_backward, 0, NULL};

/* Pushes the view v of the tensor at index x, recorded with these numbers. */
static Object *push_view(lua_State *L, State *S, const Op *op, int x,
                         const mare_Tensor *v, int n, const int64_t *number) {
  Object *o = lua_touserdata(L, x), *y;
  int first = lua_gettop(L) + 1;
  mare_Tensor to = *v;
  ptrdiff_t at = v->data - o->t.storage->data;
  luaL_checkstack(L, n + 6, NULL);
  own_storage(L, S, x);
  to.storage = o->t.storage;
  to.data = to.storage->data + at;
  if (!wants_grad(S, o)) return new_view(L, S, &to);
  lua_pushvalue(L, x);
  for (int i = 0; i < n; i++) lua_pushinteger(L, number[i]);
  y = new_result_view(L, S, op, first, n + 1, &to);
  lua_replace(L, first);
  lua_settop(L, first);
  return y;
}

static Object *push_select(lua_State *L, State *S, int x, int dim, int64_t index) {
  mare_Tensor v = ((Object *)lua_touserdata(L, x))->t;
  int64_t number[] = {dim, index};
  mare_select(&v, dim, index);
  return push_view(L, S, &op_select, x, &v, 2, number);
}

static Object *push_slice(lua_State *L, State *S, int x, int dim, int64_t first,
                          int64_t length, int64_t step) {
  mare_Tensor v = ((Object *)lua_touserdata(L, x))->t;
  int64_t number[] = {dim, first, length, step};
  mare_slice(&v, dim, first, length, step);
  return push_view(L, S, &op_slice, x, &v, 4, number);
}

static int view_select(lua_State *L) { /* t:select(dim, index) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int dim = check_dim(L, 2, o->t.ndim);
  push_select(L, S, 1, dim, check_index(L, 3, o->t.shape[dim]));
  return 1;
}

static int view_narrow(lua_State *L) { /* t:narrow(dim, first, length) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int dim = check_dim(L, 2, o->t.ndim);
  int64_t size = o->t.shape[dim], given = check_integer(L, 3),
          length = check_integer(L, 4);
  int64_t first = given < 0 ? given + size : given - 1;
  if (first < 0 || first > size) /* just past the end there are 0 elements */
    return arg_error(L, 3, "index %I is out of range for size %I", (LUAI_UACINT)given,
                     (LUAI_UACINT)size);
  if (length < 0 || length > size - first)
    return arg_error(L, 4, "%I elements from %I on; the size is %I", (LUAI_UACINT)length,
                     (LUAI_UACINT)first + 1, (LUAI_UACINT)size);
  push_slice(L, S, 1, dim, first, length, 1);
  return 1;
}

static int view_transpose(lua_State *L) { /* t:transpose(d1, d2) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int64_t number[] = {check_dim(L, 2, o->t.ndim), check_dim(L, 3, o->t.ndim)};
  mare_Tensor v = o->t;
  mare_transpose(&v, (int)number[0], (int)number[1]);
  push_view(L, S, &op_transpose, 1, &v, 2, number);
  return 1;
}

static int view_t(lua_State *L) { /* t:t(): a matrix transposed */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int64_t number[] = {0, 1};
  mare_Tensor v = o->t;
  if (v.ndim > 2)
    return arg_error(L, 1, "shape %s; :t() is for matrices, see :transpose",
                     shape_of(L, &o->t));
  lua_settop(L, 1);
  if (v.ndim < 2) return 1;
  mare_transpose(&v, 0, 1);
  push_view(L, S, &op_transpose, 1, &v, 2, number);
  return 1;
}

static int view_permute(lua_State *L) { /* t:permute(2, 1, 3) */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int64_t given[MARE_MAXDIM];
  int order[MARE_MAXDIM], after, n = check_shape(L, 2, given, &after);
  unsigned seen = 0;
  mare_Tensor v = o->t;
  if (n != v.ndim)
    return arg_error(L, 2, "%d dimensions named for a tensor with %d", n, v.ndim);
  for (int i = 0; i < n; i++) {
    if (given[i] < 0) given[i] += n + 1;
    if (given[i] < 1 || given[i] > n || (seen & (1u << given[i])))
      return arg_error(L, 2, "not an order of the dimensions 1..%d", n);
    seen |= 1u << given[i];
    order[i] = (int)--given[i];
  }
  mare_permute(&v, order);
  push_view(L, S, &op_permute, 1, &v, n, given);
  return 1;
}

/* replaces a single -1 by what makes the sizes fit; false when nothing does */
static bool infer_size(const mare_Tensor *t, int n, int64_t *shape) {
  int64_t known;
  int unknown = -1;
  for (int i = 0; i < n && unknown < 0; i++)
    if (shape[i] == -1) unknown = i;
  if (unknown >= 0) shape[unknown] = 1;
  bool fits = mare_numel(n, shape, t->dtype, &known);
  if (unknown >= 0) shape[unknown] = -1;
  if (!fits || unknown < 0) return fits && known == t->numel;
  if (known == 0 || t->numel % known != 0) return false;
  shape[unknown] = t->numel / known;
  return true;
}

static Object *push_reshaped(lua_State *L, State *S, int n, const int64_t *shape) {
  Object *o = lua_touserdata(L, 1);
  mare_Tensor v;
  if (mare_view_as(&o->t, n, shape, &v)) return push_view(L, S, &op_view, 1, &v, 0, NULL);
  Object *y = new_result(L, S, &op_view, 1, 1, o->t.dtype, n, shape);
  mare_view_as(&y->t, o->t.ndim, o->t.shape, &v);
  mare_copy(&v, &o->t);
  return y;
}

static int view_reshape(lua_State *L) { /* t:reshape(2, -1); a copy only where it must */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int64_t shape[MARE_MAXDIM];
  char buf[MARE_SHAPETEXT];
  int after, n = check_shape(L, 2, shape, &after);
  if (!infer_size(&o->t, n, shape))
    return arg_error(L, 2, "shape %s cannot be seen as %s", shape_of(L, &o->t),
                     mare_shape_text(buf, n, shape));
  push_reshaped(L, S, n, shape);
  return 1;
}

/* t:flatten([first [, last]]): these dimensions as one; all by default */
static int view_flatten(lua_State *L) {
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int64_t shape[MARE_MAXDIM];
  int n = 0, ndim = o->t.ndim;
  int from = ndim == 0 || lua_isnoneornil(L, 2) ? 0 : check_dim(L, 2, ndim);
  int to = ndim == 0 || lua_isnoneornil(L, 3) ? ndim - 1 : check_dim(L, 3, ndim);
  if (from > to && ndim > 0)
    return arg_error(L, 3, "dimensions %d..%d", from + 1, to + 1);
  for (int d = 0; d < from; d++) shape[n++] = o->t.shape[d];
  shape[n] = 1;
  for (int d = from; d <= to; d++) shape[n] *= o->t.shape[d];
  n++;
  for (int d = to + 1; d < ndim; d++) shape[n++] = o->t.shape[d];
  push_reshaped(L, S, n, shape);
  return 1;
}

static int view_squeeze(lua_State *L) { /* t:squeeze([dim]): without sizes of 1 */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  mare_Tensor v = o->t;
  unsigned axes = check_axes(L, 2, v.ndim);
  for (int d = v.ndim - 1; d >= 0; d--)
    if ((axes & (1u << d)) && v.shape[d] == 1) mare_squeeze(&v, d);
  push_view(L, S, &op_view, 1, &v, 0, NULL);
  return 1;
}

static int view_unsqueeze(lua_State *L) { /* t:unsqueeze(dim): a new size of 1 there */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  mare_Tensor v = o->t;
  if (v.ndim == MARE_MAXDIM)
    return arg_error(L, 1, "it has %d dimensions already", v.ndim);
  mare_unsqueeze(&v, check_dim(L, 2, v.ndim + 1));
  push_view(L, S, &op_view, 1, &v, 0, NULL);
  return 1;
}

static int view_expand(lua_State *L) { /* t:expand(4, 2, 3); -1 keeps a size */
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1);
  int64_t shape[MARE_MAXDIM];
  char buf[MARE_SHAPETEXT];
  mare_Tensor v;
  int after, n = check_shape(L, 2, shape, &after), extra = n - o->t.ndim;
  for (int i = 0; i < n; i++)
    if (shape[i] == -1 && i >= extra && extra >= 0) shape[i] = o->t.shape[i - extra];
  for (int i = 0; i < n; i++)
    if (shape[i] < 0)
      return arg_error(L, 2, "size %I is negative", (LUAI_UACINT)shape[i]);
  if (!mare_expand(&o->t, n, shape, &v))
    return arg_error(L, 2, "shape %s does not expand to %s", shape_of(L, &o->t),
                     mare_shape_text(buf, n, shape));
  push_view(L, S, &op_expand, 1, &v, 0, NULL);
  return 1;
}

/*
** unslice(x, size, dim, first, length, step), 0-based: zeros with `size` places
** along dim and x in the slice; what the gradient of a slice is.
*/
static int view_unslice(lua_State *L) {
  State *S = get_state(L);
  Object *o = check_tensor(L, S, 1), *y;
  int dim = (int)check_integer(L, 3);
  int64_t first = check_integer(L, 4), length = check_integer(L, 5);
  int64_t step = check_integer(L, 6), shape[MARE_MAXDIM];
  mare_Tensor part;
  if (dim < 0 || dim >= o->t.ndim) return arg_error(L, 3, "dimension %d", dim);
  memcpy(shape, o->t.shape, sizeof shape);
  shape[dim] = check_integer(L, 2);
  if (first < 0 || step < 1 || length != o->t.shape[dim] ||
      (length > 0 &&
       (shape[dim] <= first || (shape[dim] - 1 - first) / step < length - 1)))
    return arg_error(L, 4, "the slice does not fit");
  lua_settop(L, 6);
  y = new_result(L, S, get_op(L), 1, 6, o->t.dtype, o->t.ndim, shape);
  mare_fill(&y->t, 0);
  part = y->t;
  mare_slice(&part, dim, first, length, step);
  mare_copy(&part, &o->t);
  return 1;
}

/* -- indices ------------------------------------------------------------------------- */

typedef struct Range { /* one dimension of an index, 1-based as typed */
  enum { ALL, ONE, SPAN } kind;
  int64_t first, last, step;
} Range;

static int64_t table_number(lua_State *L, int table, int i, int64_t def) {
  int exact;
  lua_Integer v;
  if (lua_rawgeti(L, table, i) == LUA_TNIL) {
    lua_pop(L, 1);
    return def;
  }
  v = lua_tointegerx(L, -1, &exact);
  if (!exact || lua_type(L, -1) != LUA_TNUMBER) {
    if (lua_type(L, -1) == LUA_TNUMBER)
      user_error(L, "index %f is not an integer", unsign(lua_tonumber(L, -1)));
    user_error(L, "an index is a number, not a %s", luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return v;
}

/* the entry on the top of the stack: 3, {}, {1, 2}, {1, 9, 2} */
static void parse_entry(lua_State *L, Range *r) {
  int exact, top = lua_gettop(L);
  *r = (Range){ALL, 1, -1, 1};
  if (lua_istable(L, top)) {
    if (lua_rawlen(L, top) == 0) return;
    r->kind = SPAN;
    r->first = table_number(L, top, 1, 1);
    r->last = table_number(L, top, 2, r->first);
    r->step = table_number(L, top, 3, 1);
    return;
  }
  r->kind = ONE;
  r->first = lua_tointegerx(L, top, &exact);
  if (lua_type(L, top) != LUA_TNUMBER)
    user_error(L, "an index is a number, a range {first, last [, step]} or {}, not %s",
               type_of(L, get_state(L), top));
  if (!exact) user_error(L, "index %f is not an integer", unsign(lua_tonumber(L, top)));
}

static int parse_table(lua_State *L, int key, Range *r) {
  lua_Unsigned n = lua_rawlen(L, key);
  if (n > MARE_MAXDIM) user_error(L, "an index of %d entries", (int)n);
  for (int i = 0; i < (int)n; i++) {
    lua_rawgeti(L, key, i + 1);
    parse_entry(L, &r[i]);
    lua_pop(L, 1);
  }
  return (int)n;
}

static const char *skip_space(const char *s) {
  while (isspace((unsigned char)*s)) s++;
  return s;
}

/* an integer at s, if there is one */
static const char *parse_number(const char *s, int64_t *v) {
  char *end;
  s = skip_space(s);
  if (!isdigit((unsigned char)*s) && *s != '-') return s;
  *v = strtoll(s, &end, 10);
  return skip_space(end);
}

static const char *parse_range(const char *s, Range *r) { /* "3", "1:2", "::2", ":" */
  const char *start = skip_space(s);
  *r = (Range){ONE, 1, -1, 1};
  s = parse_number(s, &r->first);
  if (*s != ':') return s == start ? NULL : s;
  r->kind = SPAN;
  s = parse_number(s + 1, &r->last);
  if (*s == ':') s = parse_number(s + 1, &r->step);
  return s;
}

static int parse_string(lua_State *L, const char *text, Range *r) { /* "1:2, :" */
  int n = 0;
  for (const char *s = text;; s++) {
    if (n == MARE_MAXDIM) user_error(L, "an index of more than %d entries", n);
    s = parse_range(s, &r[n++]);
    if (s == NULL || (*s != ',' && *s != '\0'))
      user_error(L, "index \"%s\" is not of the form \"1:2, :, -1\"", text);
    if (*s == '\0') return n;
  }
}

static int parse_key(lua_State *L, int key, Range *r) {
  switch (lua_type(L, key)) {
    case LUA_TTABLE: return parse_table(L, key, r);
    case LUA_TSTRING: return parse_string(L, lua_tostring(L, key), r);
    default:
      lua_pushvalue(L, key);
      parse_entry(L, r);
      lua_pop(L, 1);
      return 1;
  }
}

/* a 1-based or negative position of this dimension to a 0-based one */
static int64_t position(lua_State *L, const mare_Tensor *t, int dim, int64_t i) {
  int64_t size = t->shape[dim], p = i < 0 ? i + size + 1 : i;
  if (p < 1 || p > size)
    user_error(L, "index %I is out of range for size %I of dimension %d (shape %s)%s",
               (LUAI_UACINT)i, (LUAI_UACINT)size, dim + 1, shape_of(L, t),
               counted_from(i));
  return p - 1;
}

/* first and length of a span; {n + 1, n} and an empty dimension give none */
static void span(lua_State *L, const mare_Tensor *t, int dim, const Range *r,
                 int64_t *first, int64_t *length) {
  int64_t size = t->shape[dim], last = r->last < 0 ? r->last + size + 1 : r->last;
  int64_t from = r->first < 0 ? r->first + size + 1 : r->first;
  if (r->step < 1) user_error(L, "step %I of an index; it must be positive",
                              (LUAI_UACINT)r->step);
  *first = *length = 0;
  if (from - 1 == last && from >= 1 && last <= size) return;
  *first = position(L, t, dim, r->first);
  last = position(L, t, dim, r->last);
  if (last < *first)
    user_error(L, "range %I..%I runs backwards", (LUAI_UACINT)r->first,
               (LUAI_UACINT)r->last);
  *length = (last - *first) / r->step + 1;
}

static void check_count(lua_State *L, const mare_Tensor *t, int n) {
  if (n > t->ndim)
    user_error(L, "an index of %d dimension%s for a tensor of shape %s", n,
               n == 1 ? "" : "s", shape_of(L, t));
}

/* the part of t that a key names, as a plain view */
static mare_Tensor resolve(lua_State *L, const mare_Tensor *t, int key) {
  Range r[MARE_MAXDIM];
  mare_Tensor v = *t;
  int n = parse_key(L, key, r), dim = 0;
  check_count(L, t, n);
  for (int i = 0; i < n; i++) {
    int64_t first, length;
    if (r[i].kind == ONE) {
      int64_t p = position(L, t, i, r[i].first);
      mare_select(&v, dim, p);
      continue;
    }
    if (r[i].kind == SPAN) {
      span(L, t, i, &r[i], &first, &length);
      mare_slice(&v, dim, first, length, r[i].step);
    }
    dim++;
  }
  return v;
}

/* the same on the tape: one recorded view for each dimension that changes */
static void push_recorded(lua_State *L, State *S, const mare_Tensor *t, int key) {
  Range r[MARE_MAXDIM];
  int n = parse_key(L, key, r), dim = 0, top = lua_gettop(L);
  check_count(L, t, n);
  lua_pushvalue(L, 1);
  for (int i = 0; i < n; i++) {
    int64_t first, length;
    if (r[i].kind == ALL) dim++;
    if (r[i].kind == ALL) continue;
    if (r[i].kind == ONE) {
      push_select(L, S, top + 1, dim, position(L, t, i, r[i].first));
    } else {
      span(L, t, i, &r[i], &first, &length);
      push_slice(L, S, top + 1, dim++, first, length, r[i].step);
    }
    lua_replace(L, top + 1);
  }
}

/* calls a method of the tensor at index 1 with the values at these indices */
static void call_method(lua_State *L, const char *name, int a, int b) {
  lua_pushvalue(L, lua_upvalueindex(2)); /* the methods */
  lua_getfield(L, -1, name);
  lua_pushvalue(L, 1);
  if (strcmp(name, "index_select") == 0) lua_pushinteger(L, 1);
  lua_pushvalue(L, a);
  if (b) lua_pushvalue(L, b);
  lua_call(L, b ? 3 : strcmp(name, "index_select") == 0 ? 3 : 2, 1);
}

int index_value(lua_State *L, State *S, Object *o, int key) {
  Object *index = test_tensor(L, S, key);
  mare_Tensor v;
  if (index && index->t.dtype == MARE_U8) {
    call_method(L, "masked_select", key, 0);
  } else if (index) {
    call_method(L, "index_select", key, 0);
  } else if (wants_grad(S, o)) {
    push_recorded(L, S, &o->t, key);
  } else {
    own_storage(L, S, 1);
    v = resolve(L, &o->t, key);
    new_view(L, S, &v);
  }
  return 1;
}

/* x[index] = value at each position of the first dimension */
static void assign_rows(lua_State *L, State *S, Object *o, Object *index, int value) {
  int64_t bad, shape[MARE_MAXDIM], n = index->t.numel;
  mare_Tensor v;
  if (index->t.dtype != MARE_I64 || index->t.ndim != 1 || o->t.ndim == 0)
    user_error(L, "a tensor is indexed by a u8 mask or by one dimension of i64 positions,"
                  " not by shape %s of %s", shape_of(L, &index->t),
               mare_dtype_name[index->t.dtype]);
  if (!mare_index_check(&index->t, o->t.shape[0], &bad))
    user_error(L, "index %I is out of range for size %I", (LUAI_UACINT)bad,
               (LUAI_UACINT)o->t.shape[0]);
  memcpy(shape, o->t.shape, sizeof shape);
  shape[0] = n;
  Object *rows = new_tensor(L, S, o->t.dtype, o->t.ndim, shape);
  if (test_tensor(L, S, value))
    assign_tensor(L, S, &rows->t, check_tensor(L, S, value), value);
  else assign_number(L, &rows->t, value);
  for (int64_t i = 0; i < n; i++) {
    int64_t at = mare_get_integer(&index->t, i * index->t.stride[0]);
    mare_Tensor to = o->t;
    v = rows->t;
    mare_select(&to, 0, at < 0 ? at + o->t.shape[0] : at - 1);
    mare_select(&v, 0, i);
    mare_copy(&to, &v);
  }
  written(o);
}

void assign_value(lua_State *L, State *S, Object *o, int key, int value) {
  Object *index = test_tensor(L, S, key), *x = test_tensor(L, S, value);
  mare_Tensor part;
  if (index && index->t.dtype == MARE_U8) {
    call_method(L, x ? "masked_scatter_" : "masked_fill_", key, value);
    return;
  }
  if (x == NULL && lua_type(L, value) != LUA_TNUMBER)
    user_error(L, "number or tensor expected as the new value, got %s%s",
               type_of(L, S, value),
               lua_istable(L, value) ? "; mare.tensor makes one of a table" : "");
  check_writable(L, S, o, 1);
  if (index) {
    assign_rows(L, S, o, check_tensor(L, S, key), value);
    return;
  }
  part = resolve(L, &o->t, key);
  if (x) assign_tensor(L, S, &part, check_tensor(L, S, value), value);
  else assign_number(L, &part, value);
  written(o);
}

const Op view_ops[] = {{"select", view_select, NULL, 0, NULL},
                       {"narrow", view_narrow, NULL, 0, NULL},
                       {"transpose", view_transpose, NULL, 0, NULL},
                       {"t", view_t, NULL, 0, NULL},
                       {"permute", view_permute, NULL, 0, NULL},
                       {"reshape", view_reshape, NULL, 0, NULL},
                       {"flatten", view_flatten, NULL, 0, NULL},
                       {"squeeze", view_squeeze, NULL, 0, NULL},
                       {"unsqueeze", view_unsqueeze, NULL, 0, NULL},
                       {"expand", view_expand, NULL, 0, NULL},
                       {"unslice", view_unslice, unslice_backward, 0, NULL},
                       {NULL, NULL, NULL, 0, NULL}};

/* what the tape records for a view, so that Lua rows can be attached */
const Op *const recorded_views[] = {&op_select, &op_slice, &op_transpose, &op_permute,
                                    &op_view, &op_expand, NULL};
