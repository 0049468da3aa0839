/*
** index.c -- picking and placing elements by position and by mask.
**
** Whoever picks or places walks three tensors of one shape together: the positions, what
** lies beside them, and the far side, in which the dimension that the positions belong
** to has stride 0.  What adds up adds in the order of the positions; pieces of a
** parallel job never meet in one element.
*/
#ifndef __clang__
#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic")
#endif

#include <string.h>

#include "../base/pool.h"
#include "ops.h"

#define BLOCK 1024  /* elements of a mask looked at together */
#define PIECE 32768 /* elements of one piece of a parallel job, about */
#define WHOLE 16    /* slices of so many contiguous elements are moved whole */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* -- positions -------------------------------------------------------------------- */

/* 1-based or negative to 0-based */
static int64_t place(int64_t i, int64_t limit) { return i - 1 + (i < 0 ? limit + 1 : 0); }

static bool outside(int64_t i, int64_t limit) {
  return (uint64_t)place(i, limit) >= (uint64_t)limit;
}

bool mare_index_check(const mare_Tensor *index, int64_t limit, int64_t *bad) {
  int64_t block[BLOCK];
  for (int64_t i = 0, n; i < index->numel; i += n) {
    int some = 0;
    if (mare_stopping()) return false;
    n = least(index->numel - i, BLOCK);
    mare_gather_block(index, i, n, block);
    for (int64_t k = 0; k < n; k++) some |= outside(block[k], limit);
    for (int64_t k = 0; k < n && some; k++)
      if (outside(block[k], limit)) {
        *bad = block[k];
        return false;
      }
  }
  return true;
}

/* -- one run: near[i] and far[i] at the position that index[i] says --------------- */

typedef struct Run {
  int64_t n, limit, along; /* along: the stride of the far dimension */
  const int64_t *index;
  char *near, *far;
  int64_t index_step, near_step, far_step;
} Run;

typedef void Mover(const Run *r);

static int64_t far_of(const Run *r, int64_t i) {
  return i * r->far_step + place(r->index[i * r->index_step], r->limit) * r->along;
}

#define FAR(type) ((type *)(void *)r->far)[far_of(r, i)]
#define NEAR(type) ((type *)(void *)r->near)[i * r->near_step]
#define MOVER(name, type, to, from) \
  static void name(const Run *r) { \
    for (int64_t i = 0; i < r->n; i++) to = from; \
  }

MOVER(get_1, uint8_t, NEAR(uint8_t), FAR(uint8_t))
MOVER(get_4, uint32_t, NEAR(uint32_t), FAR(uint32_t))
MOVER(get_8, uint64_t, NEAR(uint64_t), FAR(uint64_t))
MOVER(put_1, uint8_t, FAR(uint8_t), NEAR(uint8_t))
MOVER(put_4, uint32_t, FAR(uint32_t), NEAR(uint32_t))
MOVER(put_8, uint64_t, FAR(uint64_t), NEAR(uint64_t))
MOVER(add_f32, float, FAR(float), FAR(float) + NEAR(float))
MOVER(add_f64, double, FAR(double), FAR(double) + NEAR(double))
MOVER(add_i64, uint64_t, FAR(uint64_t), FAR(uint64_t) + NEAR(uint64_t))
MOVER(add_u8, uint8_t, FAR(uint8_t), (uint8_t)(FAR(uint8_t) + NEAR(uint8_t)))

static Mover *const get[MARE_NDTYPE] = {get_4, get_8, get_8, get_1};
static Mover *const put[MARE_NDTYPE] = {put_4, put_8, put_8, put_1};
static Mover *const add[MARE_NDTYPE] = {add_f32, add_f64, add_i64, add_u8};

/* -- all runs --------------------------------------------------------------------- */

typedef struct Job {
  Mover *move;
  mare_Tensor t[3]; /* index, near, far: one shape */
  int64_t limit, along;
  int split;    /* the dimension that is cut into pieces ... */
  int64_t each; /* ... of so many positions */
} Job;

/* t.data moved to position first of dimension d, n positions long */
static void cut(mare_Tensor *t, int d, int64_t first, int64_t n) {
  t->data += first * t->stride[d] * (int64_t)mare_sizeof[t->dtype];
  t->numel = t->numel / t->shape[d] * n;
  t->shape[d] = n;
}

static void move_line(const Job *j, Run r) {
  const int64_t size = (int64_t)mare_sizeof[j->t[1].dtype], n = r.n;
  for (int64_t i = 0; i < n && !mare_stopping(); i += PIECE) {
    r.n = least(PIECE, n - i);
    j->move(&r);
    r.index += r.n * r.index_step;
    r.near += r.n * r.near_step * size;
    r.far += r.n * r.far_step * size;
  }
}

static void run_piece(void *ctx, int64_t piece) {
  const Job *j = ctx;
  mare_Tensor t[3] = {j->t[0], j->t[1], j->t[2]}, *op[3] = {&t[0], &t[1], &t[2]};
  int64_t at[MARE_MAXDIM] = {0}, last, first = piece * j->each;
  for (int k = 0; k < 3; k++)
    cut(&t[k], j->split, first, least(j->each, j->t[k].shape[j->split] - first));
  if ((last = mare_collapse(3, op) - 1) < 0)
    for (int k = 0; k < 3; k++) t[k].shape[last = 0] = 1, t[k].stride[0] = 0;
  Run r = {t[0].shape[last],  j->limit,          j->along,         NULL, NULL, NULL,
           t[0].stride[last], t[1].stride[last], t[2].stride[last]};
  for (int64_t lines = t[0].numel / r.n; lines > 0; lines--) {
    r.index = (const int64_t *)(const void *)t[0].data;
    r.near = t[1].data, r.far = t[2].data;
    move_line(j, r);
    for (int64_t d = last - 1; d >= 0; d--) { /* on to the next line */
      bool wrap = ++at[d] == t[0].shape[d];
      for (int k = 0; k < 3; k++)
        t[k].data += (wrap ? 1 - t[k].shape[d] : 1) * t[k].stride[d] *
                     (int64_t)mare_sizeof[t[k].dtype];
      if (!wrap) break;
      at[d] = 0;
    }
  }
}

/* The largest dimension but dim, along which pieces do not meet in far. */
static void split(Job *j, int dim) {
  const mare_Tensor *t = &j->t[0];
  int64_t pieces = (t->numel + PIECE - 1) / PIECE;
  j->split = dim == 0 && t->ndim > 1;
  for (int d = 0; d < t->ndim; d++)
    if (d != dim && t->shape[d] > t->shape[j->split]) j->split = d;
  if (j->split == dim) pieces = 1; /* the only one */
  j->each = (t->shape[j->split] + pieces - 1) / pieces;
}

static void walk(Mover *move, int dim, const mare_Tensor *index, const mare_Tensor *near,
                 const mare_Tensor *far) {
  Job j = {.move = move, .t = {*index, *near, *far}};
  if (index->numel == 0) return;
  j.limit = far->shape[dim];
  j.along = far->stride[dim];
  memcpy(j.t[2].shape, index->shape, sizeof index->shape);
  j.t[2].numel = index->numel;
  j.t[2].stride[dim] = 0;
  split(&j, dim);
  mare_parallel((index->shape[j.split] + j.each - 1) / j.each, run_piece, &j);
}

void mare_gather(int dim, const mare_Tensor *x, const mare_Tensor *index,
                 mare_Tensor *y) {
  walk(get[x->dtype], dim, index, y, x);
}

void mare_scatter_add(int dim, mare_Tensor *y, const mare_Tensor *index,
                      const mare_Tensor *x) {
  walk(add[x->dtype], dim, index, x, y);
}

void mare_scatter(int dim, mare_Tensor *y, const mare_Tensor *index,
                  const mare_Tensor *x) {
  walk(put[x->dtype], dim, index, x, y);
}

/* -- whole slices ----------------------------------------------------------------- */

/* the positions (m) along dim, seen in the shape of near */
static mare_Tensor spread(int dim, const mare_Tensor *index, const mare_Tensor *near) {
  mare_Tensor v = *near;
  v.dtype = index->dtype;
  v.data = index->data;
  memset(v.stride, 0, sizeof v.stride);
  v.stride[dim] = index->stride[0];
  return v;
}

typedef void Slice(int64_t n, void *restrict to, const void *restrict from);

#define ADDER(name, type) \
  static void name(int64_t n, void *restrict to, const void *restrict from) { \
    for (int64_t i = 0; i < n; i++) \
      ((type *)to)[i] = (type)(((type *)to)[i] + ((const type *)from)[i]); \
  }

ADDER(slice_f32, float)
ADDER(slice_f64, double)
ADDER(slice_i64, uint64_t)
ADDER(slice_u8, uint8_t)

static Slice *const add_slice[MARE_NDTYPE] = {slice_f32, slice_f64, slice_i64, slice_u8};

typedef struct Slices { /* near is (outer, m, inner), far (outer, n, inner), contiguous */
  bool fetch;           /* near = far; otherwise far = or += near */
  Slice *add;           /* or NULL */
  const mare_Tensor *index;
  char *near, *far;
  int64_t size, outer, m, n, inner;
  int64_t rows, columns; /* of a piece: positions, or elements of the slices */
} Slices;

static void move_slices(void *ctx, int64_t piece) {
  const Slices *s = ctx;
  int64_t across = (s->inner + s->columns - 1) / s->columns,
          c = piece % across * s->columns;
  int64_t down = (s->m + s->rows - 1) / s->rows, o = piece / across / down;
  int64_t i = piece / across % down * s->rows, end = least(i + s->rows, s->m);
  int64_t run = least(s->columns, s->inner - c), step = s->index->stride[0];
  const int64_t *index = (const void *)s->index->data;
  for (; i < end; i++) {
    if (i % 4096 == 0 && mare_stopping()) return;
    char *near = s->near + ((o * s->m + i) * s->inner + c) * s->size;
    char *far =
        s->far + ((o * s->n + place(index[i * step], s->n)) * s->inner + c) * s->size;
    if (s->fetch)
      memcpy(near, far, (size_t)(run * s->size));
    else if (s->add)
      s->add(run, far, near);
    else
      memcpy(far, near, (size_t)(run * s->size));
  }
}

/* Slices of many elements are moved whole. */
static bool whole_slices(bool fetch, Slice *sum, int dim, const mare_Tensor *index,
                         const mare_Tensor *near, const mare_Tensor *far) {
  Slices s = {.fetch = fetch,
              .add = sum,
              .index = index,
              .near = near->data,
              .far = far->data,
              .size = (int64_t)mare_sizeof[far->dtype],
              .outer = 1,
              .inner = 1,
              .m = near->shape[dim],
              .n = far->shape[dim]};
  for (int d = 0; d < dim; d++) s.outer *= far->shape[d];
  for (int d = dim + 1; d < far->ndim; d++) s.inner *= far->shape[d];
  if (s.inner < WHOLE || !mare_is_contiguous(near) || !mare_is_contiguous(far))
    return false;
  s.rows = fetch ? (PIECE + s.inner - 1) / s.inner : s.m;
  s.columns = fetch ? s.inner : 256; /* others might meet in one slice */
  if (near->numel < PIECE) s.rows = s.m, s.columns = s.inner;
  mare_parallel(s.outer * ((s.m + s.rows - 1) / s.rows) *
                    ((s.inner + s.columns - 1) / s.columns),
                move_slices, &s);
  return true;
}

void mare_index_select(int dim, const mare_Tensor *x, const mare_Tensor *index,
                       mare_Tensor *y) {
  mare_Tensor positions;
  if (y->numel == 0 || whole_slices(true, NULL, dim, index, y, x)) return;
  positions = spread(dim, index, y);
  mare_gather(dim, x, &positions, y);
}

void mare_index_put(int dim, mare_Tensor *y, const mare_Tensor *index,
                    const mare_Tensor *x, bool sum) {
  Slice *slice = sum ? add_slice[x->dtype] : NULL;
  mare_Tensor positions;
  if (x->numel == 0 || whole_slices(false, slice, dim, index, x, y)) return;
  positions = spread(dim, index, x);
  walk(sum ? add[x->dtype] : put[x->dtype], dim, &positions, x, y);
}

void mare_index_add(int dim, mare_Tensor *y, const mare_Tensor *index,
                    const mare_Tensor *x) {
  mare_index_put(dim, y, index, x, true);
}

/* -- masks: u8, of the shape of what they mask ------------------------------------ */

int64_t mare_count_true(const mare_Tensor *mask) {
  uint8_t block[BLOCK];
  int64_t count = 0;
  for (int64_t i = 0, n; i < mask->numel && !mare_stopping(); i += n) {
    int some = 0;
    n = least(mask->numel - i, BLOCK);
    mare_gather_block(mask, i, n, block);
    for (int64_t k = 0; k < n; k++) some += block[k] != 0;
    count += some;
  }
  return count;
}

/* Keeps the elements of v that the mask marks, without a branch; returns how many. */
#define KEEPER(name, type) \
  static int64_t name(int64_t n, const uint8_t *m, const type *v, type *kept) { \
    int64_t k = 0; \
    for (int64_t i = 0; i < n; k += m[i++] != 0) kept[k] = v[i]; \
    return k; \
  }
/* v = fill where the mask marks */
#define FILLER(name, type) \
  static void name(int64_t n, const uint8_t *m, const void *fill, void *v) { \
    type f = *(const type *)fill; \
    for (int64_t i = 0; i < n; i++) ((type *)v)[i] = m[i] ? f : ((type *)v)[i]; \
  }

KEEPER(keep_1, uint8_t)
KEEPER(keep_4, uint32_t)
KEEPER(keep_8, uint64_t)
FILLER(fill_1, uint8_t)
FILLER(fill_4, uint32_t)
FILLER(fill_8, uint64_t)

static int64_t keep(size_t size, int64_t n, const uint8_t *m, const void *v, void *kept) {
  if (size == 1) return keep_1(n, m, v, kept);
  return size == 4 ? keep_4(n, m, v, kept) : keep_8(n, m, v, kept);
}

/* y is 1-d and contiguous */
void mare_masked_select(const mare_Tensor *x, const mare_Tensor *mask, mare_Tensor *y) {
  uint8_t m[BLOCK];
  uint64_t v[BLOCK], kept[BLOCK];
  size_t size = mare_sizeof[x->dtype];
  char *out = y->data;
  for (int64_t i = 0, n; i < x->numel && !mare_stopping(); i += n) {
    n = least(x->numel - i, BLOCK);
    mare_gather_block(mask, i, n, m);
    mare_gather_block(x, i, n, v);
    size_t bytes = (size_t)keep(size, n, m, v, kept) * size;
    memcpy(out, kept, bytes);
    out += bytes;
  }
}

/* x is 1-d and contiguous, with as many elements as the mask marks */
void mare_masked_scatter(mare_Tensor *y, const mare_Tensor *mask, const mare_Tensor *x) {
  uint8_t m[BLOCK];
  uint64_t v[BLOCK];
  size_t size = mare_sizeof[y->dtype];
  const char *from = x->data;
  for (int64_t i = 0, n; i < y->numel && !mare_stopping(); i += n) {
    n = least(y->numel - i, BLOCK);
    mare_gather_block(mask, i, n, m);
    mare_gather_block(y, i, n, v);
    for (int64_t k = 0; k < n; k++)
      if (m[k]) memcpy((char *)v + (size_t)k * size, from, size), from += size;
    mare_scatter_block(y, i, n, v);
  }
}

void mare_masked_fill(mare_Tensor *y, const mare_Tensor *mask, uint64_t bits) {
  uint8_t m[BLOCK];
  uint64_t v[BLOCK];
  size_t size = mare_sizeof[y->dtype];
  for (int64_t i = 0, n; i < y->numel && !mare_stopping(); i += n) {
    n = least(y->numel - i, BLOCK);
    mare_gather_block(mask, i, n, m);
    mare_gather_block(y, i, n, v);
    (size == 1 ? fill_1 : size == 4 ? fill_4 : fill_8)(n, m, &bits, v);
    mare_scatter_block(y, i, n, v);
  }
}

/* y (count, ndim) is contiguous */
void mare_nonzero(const mare_Tensor *mask, mare_Tensor *y) {
  uint8_t m[BLOCK];
  uint64_t at[BLOCK], kept[BLOCK];
  int64_t *out = (void *)y->data;
  for (int64_t i = 0, n; i < mask->numel && !mare_stopping(); i += n) {
    n = least(mask->numel - i, BLOCK);
    mare_gather_block(mask, i, n, m);
    for (int64_t k = 0; k < n; k++) at[k] = (uint64_t)(i + k);
    for (int64_t k = 0, some = keep(8, n, m, at, kept); k < some; k++, out += mask->ndim)
      for (int d = mask->ndim - 1; d >= 0; d--) {
        out[d] = (int64_t)(kept[k] % (uint64_t)mask->shape[d]) + 1;
        kept[k] /= (uint64_t)mask->shape[d];
      }
  }
}

/* labels and y are contiguous; the labels lie in 1..classes */
void mare_onehot(const mare_Tensor *labels, mare_Tensor *y) {
  const int64_t *label = (const void *)labels->data;
  int64_t classes = y->shape[y->ndim - 1];
  mare_fill(y, 0);
  for (int64_t i = 0; i < labels->numel && (i % BLOCK || !mare_stopping()); i++)
    mare_set_integer(y, i * classes + place(label[i], classes), 1);
}
