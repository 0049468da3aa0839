/*
** shape.c -- sizes, strides, broadcasting and views.  A tensor is a window: all
** of this is arithmetic on its sizes and strides, no element is touched.
*/
#include "shape.h"

#include <stdio.h>
#include <string.h>

#define X(e, ctype, name) sizeof(ctype),
const size_t mare_sizeof[MARE_NDTYPE] = {MARE_DTYPES(X)};
#undef X

#define X(e, ctype, name) name,
const char *const mare_dtype_name[MARE_NDTYPE + 1] = {MARE_DTYPES(X) NULL};
#undef X

/* -- sizes ------------------------------------------------------------------------ */

/* A size of 0 makes everything 0, but the others must still fit as strides. */
bool mare_numel(int ndim, const int64_t *shape, mare_Dtype dt, int64_t *numel) {
  int64_t n = 1, bytes = (int64_t)mare_sizeof[dt];
  bool empty = false;
  for (int d = 0; d < ndim; d++) {
    if (shape[d] < 0) return false;
    if (shape[d] == 0) empty = true;
    else if (__builtin_mul_overflow(n, shape[d], &n)) return false;
  }
  if (n > (int64_t)(PTRDIFF_MAX / 2) / bytes) return false;
  *numel = empty ? 0 : n;
  return true;
}

/* sizes and strides of a few short dimensions, which cannot overflow; or false */
static bool set_short(mare_Tensor *t, int ndim, const int64_t *shape) {
  uint64_t n = 1;
  if ((unsigned)ndim > 3) return false;
  for (int d = ndim - 1; d >= 0; d--) {
    uint64_t size = (uint64_t)shape[d];
    if (size - 1 >= 1 << 16) return false; /* 0 and negative ones, too */
    t->shape[d] = shape[d];
    t->stride[d] = (int64_t)n;
    n *= size;
  }
  t->numel = (int64_t)n;
  return true;
}

static void row_major(int ndim, const int64_t *shape, int64_t *stride) {
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    stride[d] = step;
    if (shape[d] > 1) step *= shape[d];
  }
}

bool mare_shape_set(mare_Tensor *t, mare_Dtype dt, int ndim, const int64_t *shape) {
  t->storage = NULL;
  t->data = NULL;
  t->dtype = dt;
  t->ndim = ndim;
  if (set_short(t, ndim, shape)) return true;
  if (ndim < 0 || ndim > MARE_MAXDIM) return false;
  if (!mare_numel(ndim, shape, dt, &t->numel)) return false;
  for (int d = 0; d < ndim; d++) t->shape[d] = shape[d];
  row_major(ndim, t->shape, t->stride);
  return true;
}

mare_Status mare_tensor_alloc(mare_Heap *h, mare_Tensor *t) {
  size_t nbytes = (size_t)t->numel * mare_sizeof[t->dtype];
  mare_Storage *s = mare_storage_new(h, nbytes);
  if (!s) return mare_heap_status(h, nbytes);
  t->storage = s;
  t->data = s->data;
  return MARE_OK;
}

mare_Status mare_tensor_new(mare_Heap *h, mare_Tensor *t, mare_Dtype dt, int ndim,
                             const int64_t *shape) {
  if (!mare_shape_set(t, dt, ndim, shape)) return MARE_BADARG;
  return mare_tensor_alloc(h, t);
}

void mare_tensor_release(mare_Tensor *t) {
  mare_storage_release(t->storage);
  t->storage = NULL;
  t->data = NULL;
}

/* -- questions -------------------------------------------------------------------- */

bool mare_is_contiguous(const mare_Tensor *t) {
  int64_t step = 1;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (t->shape[d] == 1) continue;
    if (t->stride[d] != step) return t->numel == 0;
    step *= t->shape[d];
  }
  return true;
}

bool mare_same_shape(const mare_Tensor *a, const mare_Tensor *b) {
  if (a->ndim != b->ndim) return false;
  for (int d = 0; d < a->ndim; d++)
    if (a->shape[d] != b->shape[d]) return false;
  return true;
}

bool mare_same_view(const mare_Tensor *a, const mare_Tensor *b) {
  if (a->data != b->data || a->dtype != b->dtype || !mare_same_shape(a, b)) return false;
  for (int d = 0; d < a->ndim; d++)
    if (a->shape[d] > 1 && a->stride[d] != b->stride[d]) return false;
  return true;
}

const char *mare_shape_text(char *buf, int ndim, const int64_t *shape) {
  int used = 0;
  if (ndim == 0) return strcpy(buf, "scalar");
  for (int d = 0; d < ndim; d++)
    used += snprintf(buf + used, MARE_SHAPETEXT - (size_t)used, d ? "x%lld" : "%lld",
                     (long long)shape[d]);
  return buf;
}

/* -- broadcasting ----------------------------------------------------------------- */

/* size of dimension d of out, seen from a shape of na dimensions aligned at the end */
static int64_t size_at(int na, const int64_t *a, int n, int d) {
  int k = d - (n - na);
  return k < 0 ? 1 : a[k];
}

bool mare_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *n,
                    int64_t *out) {
  int nd = na > nb ? na : nb;
  int64_t shape[MARE_MAXDIM];
  for (int d = 0; d < nd; d++) {
    int64_t sa = size_at(na, a, nd, d), sb = size_at(nb, b, nd, d);
    if (sa != sb && sa != 1 && sb != 1) return false;
    shape[d] = sa == 1 ? sb : sa;
  }
  memcpy(out, shape, (size_t)nd * sizeof *out);
  *n = nd;
  return true;
}

bool mare_expand(const mare_Tensor *t, int ndim, const int64_t *shape, mare_Tensor *v) {
  mare_Tensor old = *t;
  int lead = ndim - old.ndim;
  if (lead < 0 || ndim > MARE_MAXDIM) return false;
  if (v != t) *v = old;
  if (!mare_numel(ndim, shape, old.dtype, &v->numel)) return false;
  v->ndim = ndim;
  for (int d = 0; d < ndim; d++) {
    int64_t size = d < lead ? 1 : old.shape[d - lead];
    if (size != 1 && size != shape[d]) return false;
    v->stride[d] = d >= lead && size == shape[d] ? old.stride[d - lead] : 0;
    v->shape[d] = shape[d];
  }
  return true;
}

/* -- views ------------------------------------------------------------------------ */

static void remove_dim(mare_Tensor *t, int dim) {
  t->ndim--;
  for (int d = dim; d < t->ndim; d++) {
    t->shape[d] = t->shape[d + 1];
    t->stride[d] = t->stride[d + 1];
  }
}

static void count(mare_Tensor *t) {
  t->numel = 1;
  for (int d = 0; d < t->ndim; d++) t->numel *= t->shape[d];
}

static void advance(mare_Tensor *t, int64_t elements) {
  t->data += elements * (int64_t)mare_sizeof[t->dtype];
}

void mare_select(mare_Tensor *t, int dim, int64_t index) {
  advance(t, index * t->stride[dim]);
  remove_dim(t, dim);
  count(t);
}

void mare_slice(mare_Tensor *t, int dim, int64_t first, int64_t length, int64_t step) {
  if (length > 0) advance(t, first * t->stride[dim]);
  if (length > 1) t->stride[dim] *= step;
  t->shape[dim] = length;
  count(t);
}

static void swap(int64_t *v, int i, int j) {
  int64_t old = v[i];
  v[i] = v[j];
  v[j] = old;
}

void mare_transpose(mare_Tensor *t, int d1, int d2) {
  swap(t->shape, d1, d2);
  swap(t->stride, d1, d2);
}

void mare_permute(mare_Tensor *t, const int *order) {
  mare_Tensor old = *t;
  for (int d = 0; d < t->ndim; d++) {
    t->shape[d] = old.shape[order[d]];
    t->stride[d] = old.stride[order[d]];
  }
}

void mare_unsqueeze(mare_Tensor *t, int dim) {
  for (int d = t->ndim; d > dim; d--) {
    t->shape[d] = t->shape[d - 1];
    t->stride[d] = t->stride[d - 1];
  }
  bool last = dim == t->ndim++;
  t->shape[dim] = 1;
  t->stride[dim] = last ? 1 : t->shape[dim + 1] * t->stride[dim + 1];
}

void mare_squeeze(mare_Tensor *t, int dim) {
  remove_dim(t, dim);
}

/* -- reshaping -------------------------------------------------------------------- */

static bool mergeable(int nop, mare_Tensor *const *op, int outer, int inner) {
  for (int k = 0; k < nop; k++)
    if (op[k]->stride[outer] != op[k]->stride[inner] * op[k]->shape[inner]) return false;
  return true;
}

static void set_dim(int nop, mare_Tensor *const *op, int to, int from) {
  for (int k = 0; k < nop; k++) {
    op[k]->shape[to] = op[k]->shape[from];
    op[k]->stride[to] = op[k]->stride[from];
  }
}

static void merge_into(int nop, mare_Tensor *const *op, int outer, int inner) {
  for (int k = 0; k < nop; k++) {
    op[k]->shape[outer] *= op[k]->shape[inner];
    op[k]->stride[outer] = op[k]->stride[inner];
  }
}

int mare_collapse(int nop, mare_Tensor *const *op) {
  int n = 0, ndim = op[0]->ndim;
  for (int d = 0; d < ndim; d++) {
    if (op[0]->shape[d] == 1) continue;
    if (n > 0 && mergeable(nop, op, n - 1, d)) merge_into(nop, op, n - 1, d);
    else set_dim(nop, op, n++, d);
  }
  for (int k = 0; k < nop; k++) op[k]->ndim = n;
  return n;
}

/*
** Collapsed, t is a list of runs; each must be a product of new sizes, taken
** from the last on.
*/
static bool view_strides(const mare_Tensor *t, int ndim, const int64_t *shape,
                          int64_t *stride) {
  mare_Tensor run = *t, *op[1] = {&run};
  int d = ndim - 1;
  row_major(ndim, shape, stride);
  for (int k = mare_collapse(1, op) - 1; k >= 0; k--) {
    int64_t rest = run.shape[k], step = run.stride[k];
    for (; rest > 1; d--) {
      if (d < 0 || rest % shape[d] != 0) return false;
      stride[d] = step;
      step *= shape[d];
      rest /= shape[d];
    }
  }
  return true;
}

bool mare_view_as(const mare_Tensor *t, int ndim, const int64_t *shape, mare_Tensor *v) {
  int64_t numel, stride[MARE_MAXDIM];
  if (ndim > MARE_MAXDIM || !mare_numel(ndim, shape, t->dtype, &numel)) return false;
  if (numel != t->numel) return false;
  if (numel == 0) row_major(ndim, shape, stride);
  else if (!view_strides(t, ndim, shape, stride)) return false;
  if (v != t) *v = *t;
  v->ndim = ndim;
  for (int d = 0; d < ndim; d++) v->shape[d] = shape[d];
  memcpy(v->stride, stride, (size_t)ndim * sizeof *stride);
  return true;
}
