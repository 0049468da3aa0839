/*
** index.c -- picking and placing elements by position and by mask.
**
** Operands are contiguous where a line says so; the binding copies others first.
** What adds up adds in the order of the index, one thread to each outer row, so
** that sums do not depend on threads.
*/
#include <string.h>

#include "../base/pool.h"
#include "ops.h"

#define BLOCK 1024 /* elements of a mask looked at together */

/* -- positions ---------------------------------------------------------------------- */

static int64_t place(int64_t i, int64_t limit) { /* 1-based or negative to 0-based */
  return i < 0 ? i + limit : i - 1;
}

bool mare_index_check(const mare_Tensor *index, int64_t limit, int64_t *bad) {
  int64_t block[BLOCK];
  for (int64_t i = 0; i < index->numel; i += BLOCK) {
    int64_t n = index->numel - i < BLOCK ? index->numel - i : BLOCK;
    mare_gather_block(index, i, n, block);
    for (int64_t k = 0; k < n; k++)
      if (block[k] == 0 || block[k] > limit || block[k] < -limit) {
        *bad = block[k];
        return false;
      }
  }
  return true;
}

/* -- whole slices: x is (outer, n, inner), index (m), y (outer, m, inner) ---------------- */

typedef struct Slices {
  const mare_Tensor *x, *index;
  mare_Tensor *y;
  int dim;
  int64_t outer, inner, nx, ny; /* sizes of dim in x and in y */
  bool add;
} Slices;

static Slices slices(int dim, const mare_Tensor *x, const mare_Tensor *index, mare_Tensor *y) {
  Slices s = {x, index, y, dim, 1, 1, x->shape[dim], y->shape[dim], false};
  for (int d = 0; d < dim; d++) s.outer *= x->shape[d];
  for (int d = dim + 1; d < x->ndim; d++) s.inner *= x->shape[d];
  return s;
}

static int64_t index_at(const mare_Tensor *index, int64_t i) { /* index is 1-d */
  return ((const int64_t *)(const void *)index->data)[i * index->stride[0]];
}

static void select_piece(void *ctx, int64_t piece) { /* 256 slices of one outer row */
  const Slices *s = ctx;
  size_t size = mare_sizeof[s->x->dtype], bytes = (size_t)s->inner * size;
  int64_t per = (s->ny + 255) / 256, o = piece / per, first = piece % per * 256;
  int64_t last = first + 256 < s->ny ? first + 256 : s->ny;
  const char *x = s->x->data + (size_t)(o * s->nx) * bytes;
  char *y = s->y->data + (size_t)(o * s->ny) * bytes;
  for (int64_t i = first; i < last; i++)
    memcpy(y + (size_t)i * bytes, x + (size_t)place(index_at(s->index, i), s->nx) * bytes,
           bytes);
}

/* y is contiguous */
void mare_index_select(int dim, const mare_Tensor *x, const mare_Tensor *index,
                       mare_Tensor *y) {
  Slices s = slices(dim, x, index, y);
  if (y->numel == 0) return;
  if (mare_is_contiguous(x)) {
    int64_t pieces = s.outer * ((s.ny + 255) / 256);
    if (y->numel < 1 << 15) for (int64_t i = 0; i < pieces; i++) select_piece(&s, i);
    else mare_parallel(pieces, select_piece, &s);
    return;
  }
  for (int64_t i = 0; i < s.ny; i++) {
    mare_Tensor from = *x, to = *y;
    mare_select(&from, dim, place(index_at(index, i), s.nx));
    mare_select(&to, dim, i);
    mare_copy(&to, &from);
  }
}

/* y[i] += x[i], or y[i] = x[i] */
static void put_run(mare_Dtype dt, bool add, int64_t n, void *y, const void *x) {
  if (!add) memcpy(y, x, (size_t)n * mare_sizeof[dt]);
  else if (dt == MARE_F32) for (int64_t i = 0; i < n; i++) ((float *)y)[i] += ((const float *)x)[i];
  else if (dt == MARE_F64) for (int64_t i = 0; i < n; i++) ((double *)y)[i] += ((const double *)x)[i];
  else if (dt == MARE_I64)
    for (int64_t i = 0; i < n; i++)
      ((int64_t *)y)[i] = (int64_t)((uint64_t)((int64_t *)y)[i] + (uint64_t)((const int64_t *)x)[i]);
  else for (int64_t i = 0; i < n; i++) ((uint8_t *)y)[i] += ((const uint8_t *)x)[i];
}

static void add_piece(void *ctx, int64_t o) { /* one outer row */
  const Slices *s = ctx;
  size_t bytes = (size_t)s->inner * mare_sizeof[s->x->dtype];
  const char *x = s->x->data + (size_t)(o * s->nx) * bytes;
  char *y = s->y->data + (size_t)(o * s->ny) * bytes;
  for (int64_t i = 0; i < s->nx; i++)
    put_run(s->x->dtype, s->add, s->inner,
            y + (size_t)place(index_at(s->index, i), s->ny) * bytes, x + (size_t)i * bytes);
}

/* x and y are contiguous; x is (outer, m, inner) here */
void mare_index_put(int dim, mare_Tensor *y, const mare_Tensor *index, const mare_Tensor *x,
                    bool add) {
  Slices s = slices(dim, x, index, y);
  s.add = add;
  if (x->numel < 1 << 15) for (int64_t o = 0; o < s.outer; o++) add_piece(&s, o);
  else mare_parallel(s.outer, add_piece, &s);
}

void mare_index_add(int dim, mare_Tensor *y, const mare_Tensor *index, const mare_Tensor *x) {
  mare_index_put(dim, y, index, x, true);
}

/* -- element by element: index has the shape of what is moved ---------------------------- */

typedef struct Walker { /* positions of a shape and the offset they have in t */
  const mare_Tensor *shape, *t;
  int dim; /* its coordinate comes from the index */
  int64_t at[MARE_MAXDIM], offset;
} Walker;

static void walk_start(Walker *w, const mare_Tensor *shape, const mare_Tensor *t, int dim) {
  memset(w, 0, sizeof *w);
  w->shape = shape;
  w->t = t;
  w->dim = dim;
}

static void walk_next(Walker *w) {
  for (int d = w->shape->ndim - 1; d >= 0; d--) {
    int64_t stride = d == w->dim ? 0 : w->t->stride[d];
    w->offset += stride;
    if (++w->at[d] < w->shape->shape[d]) return;
    w->offset -= stride * w->shape->shape[d];
    w->at[d] = 0;
  }
}

static int64_t target(const Walker *w, int64_t i) {
  return w->offset + place(i, w->t->shape[w->dim]) * w->t->stride[w->dim];
}

/* index and y are contiguous and of one shape */
void mare_gather(int dim, const mare_Tensor *x, const mare_Tensor *index, mare_Tensor *y) {
  const int64_t *at = (const void *)index->data;
  size_t size = mare_sizeof[x->dtype];
  Walker w;
  walk_start(&w, index, x, dim);
  for (int64_t i = 0; i < index->numel; i++, walk_next(&w))
    memcpy(y->data + (size_t)i * size, x->data + target(&w, at[i]) * (int64_t)size, size);
}

static void scatter(int dim, mare_Tensor *y, const mare_Tensor *index, const mare_Tensor *x,
                    bool add) {
  const int64_t *at = (const void *)index->data;
  int64_t size = (int64_t)mare_sizeof[x->dtype];
  Walker w;
  walk_start(&w, index, y, dim);
  for (int64_t i = 0; i < index->numel; i++, walk_next(&w))
    put_run(x->dtype, add, 1, y->data + target(&w, at[i]) * size, x->data + i * size);
}

/* index and x are contiguous and of one shape */
void mare_scatter_add(int dim, mare_Tensor *y, const mare_Tensor *index,
                      const mare_Tensor *x) {
  scatter(dim, y, index, x, true);
}

void mare_scatter(int dim, mare_Tensor *y, const mare_Tensor *index, const mare_Tensor *x) {
  scatter(dim, y, index, x, false);
}

/* -- masks: u8, of the shape of what they mask ---------------------------------------------- */

int64_t mare_count_true(const mare_Tensor *mask) {
  uint8_t block[BLOCK];
  int64_t count = 0;
  for (int64_t i = 0; i < mask->numel; i += BLOCK) {
    int64_t n = mask->numel - i < BLOCK ? mask->numel - i : BLOCK;
    mare_gather_block(mask, i, n, block);
    for (int64_t k = 0; k < n; k++) count += block[k] != 0;
  }
  return count;
}

/* y is 1-d and contiguous */
void mare_masked_select(const mare_Tensor *x, const mare_Tensor *mask, mare_Tensor *y) {
  uint8_t m[BLOCK];
  _Alignas(8) char v[BLOCK * 8];
  size_t size = mare_sizeof[x->dtype];
  char *out = y->data;
  for (int64_t i = 0; i < x->numel; i += BLOCK) {
    int64_t n = x->numel - i < BLOCK ? x->numel - i : BLOCK;
    mare_gather_block(mask, i, n, m);
    mare_gather_block(x, i, n, v);
    for (int64_t k = 0; k < n; k++)
      if (m[k]) memcpy(out, v + (size_t)k * size, size), out += size;
  }
}

/* puts the next element of from (step bytes on each time) where the mask is not 0 */
static void put_masked(mare_Tensor *y, const mare_Tensor *mask, const char *from, size_t step) {
  uint8_t m[BLOCK];
  _Alignas(8) char v[BLOCK * 8];
  size_t size = mare_sizeof[y->dtype];
  for (int64_t i = 0; i < y->numel; i += BLOCK) {
    int64_t n = y->numel - i < BLOCK ? y->numel - i : BLOCK;
    mare_gather_block(mask, i, n, m);
    mare_gather_block(y, i, n, v);
    for (int64_t k = 0; k < n; k++)
      if (m[k]) memcpy(v + (size_t)k * size, from, size), from += step;
    mare_scatter_block(y, i, n, v);
  }
}

/* x is 1-d and contiguous, with as many elements as the mask marks */
void mare_masked_scatter(mare_Tensor *y, const mare_Tensor *mask, const mare_Tensor *x) {
  put_masked(y, mask, x->data, mare_sizeof[x->dtype]);
}

void mare_masked_fill(mare_Tensor *y, const mare_Tensor *mask, double v) {
  _Alignas(8) char value[8];
  mare_Tensor one = {.data = value, .dtype = y->dtype, .numel = 1};
  mare_set_real(&one, 0, v);
  put_masked(y, mask, value, 0);
}

/* y (count, ndim) is contiguous */
void mare_nonzero(const mare_Tensor *mask, mare_Tensor *y) {
  int64_t *out = (void *)y->data;
  Walker w;
  walk_start(&w, mask, mask, -1);
  for (int64_t i = 0; i < mask->numel; i++, walk_next(&w)) {
    if (!mask->data[w.offset]) continue;
    for (int d = 0; d < mask->ndim; d++) *out++ = w.at[d] + 1;
  }
}

/* labels and y are contiguous; the labels lie in 1..classes */
void mare_onehot(const mare_Tensor *labels, mare_Tensor *y) {
  const int64_t *label = (const void *)labels->data;
  int64_t classes = y->shape[y->ndim - 1];
  mare_fill(y, 0);
  for (int64_t i = 0; i < labels->numel; i++)
    mare_set_integer(y, i * classes + place(label[i], classes), 1);
}
