/*
** sort.c -- sorting along a dimension.  Every element type is mapped to unsigned keys
** of the same order (NaN above all), so that one stable radix sort serves them all.
*/
#include <string.h>

#include "../base/pool.h"
#include "ops.h"

#define FEW 48        /* values below which insertion wins */
#define PIECES 16     /* lines are dealt to so many pieces, each with its own memory */
#define BEST 64       /* topk keeps so many in order; for more it sorts */

typedef struct Pair {
  uint64_t key;
  int64_t at; /* 0-based position in its line */
} Pair;

/* -- keys ------------------------------------------------------------------------------ */

static uint64_t key_f64(double v) {
  uint64_t u;
  if (v != v) return UINT64_MAX;
  v += 0.0; /* -0 and 0 are equal */
  memcpy(&u, &v, sizeof u);
  return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

static uint64_t key_f32(float v) {
  uint32_t u;
  if (v != v) return UINT32_MAX;
  v += 0.0f;
  memcpy(&u, &v, sizeof u);
  return u >> 31 ? (uint32_t)~u : u | UINT32_C(1) << 31;
}

static const int key_bytes[MARE_NDTYPE] = {
    [MARE_F32] = 4, [MARE_F64] = 8, [MARE_I64] = 8, [MARE_U8] = 1};

static uint64_t key_of(mare_Dtype dt, const char *p) {
  switch (dt) {
    case MARE_F32: return key_f32(*(const float *)(const void *)p);
    case MARE_F64: return key_f64(*(const double *)(const void *)p);
    case MARE_I64: return *(const uint64_t *)(const void *)p ^ UINT64_C(1) << 63;
    default: return *(const uint8_t *)p;
  }
}

/* -- one line ------------------------------------------------------------------------------ */

static void insertion(Pair *p, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    Pair x = p[i];
    int64_t j = i;
    for (; j > 0 && p[j - 1].key > x.key; j--) p[j] = p[j - 1];
    p[j] = x;
  }
}

/* one byte of the keys, lowest first; returns where the pairs are then */
static Pair *radix_pass(Pair *from, Pair *to, int64_t n, int shift) {
  int64_t count[256] = {0}, sum = 0;
  for (int64_t i = 0; i < n; i++) count[from[i].key >> shift & 255]++;
  if (count[from[0].key >> shift & 255] == n) return from; /* all alike */
  for (int b = 0; b < 256; b++) {
    int64_t c = count[b];
    count[b] = sum;
    sum += c;
  }
  for (int64_t i = 0; i < n; i++) to[count[from[i].key >> shift & 255]++] = from[i];
  return to;
}

static const Pair *sort_pairs(Pair *p, Pair *spare, int64_t n, int bytes) {
  Pair *at = p;
  if (n <= FEW) {
    insertion(p, n);
    return p;
  }
  for (int b = 0; b < bytes; b++) at = radix_pass(at, at == p ? spare : p, n, 8 * b);
  return at;
}

/* the first k in order among n, when k is small: an insertion into a short list */
static const Pair *best_pairs(Pair *p, Pair *spare, int64_t n, int64_t k) {
  int64_t have = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t j = have;
    if (have == k && p[i].key >= spare[k - 1].key) continue;
    if (have < k) have++;
    else j = k - 1;
    for (; j > 0 && spare[j - 1].key > p[i].key; j--) spare[j] = spare[j - 1];
    spare[j] = p[i];
  }
  return spare;
}

/* -- all lines -------------------------------------------------------------------------------- */

typedef struct Job {
  const mare_Tensor *x;
  mare_Tensor *values, *index;
  int dim;
  int64_t lines, n, k;
  bool falling; /* largest first */
  Pair *pairs;  /* 2 n for each piece */
} Job;

/* where line l begins in t, in elements */
static int64_t line_start(const mare_Tensor *t, int dim, int64_t l) {
  int64_t offset = 0;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (d == dim) continue;
    offset += l % t->shape[d] * t->stride[d];
    l /= t->shape[d];
  }
  return offset;
}

static void load_line(const Job *j, int64_t l, Pair *p) {
  int64_t size = (int64_t)mare_sizeof[j->x->dtype];
  int64_t step = j->x->stride[j->dim] * size;
  const char *from = j->x->data + line_start(j->x, j->dim, l) * size;
  int bits = 8 * key_bytes[j->x->dtype];
  uint64_t flip = !j->falling ? 0 : bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
  for (int64_t i = 0; i < j->n; i++)
    p[i] = (Pair){key_of(j->x->dtype, from + i * step) ^ flip, i};
}

static void store_line(const Job *j, int64_t l, const Pair *p) {
  size_t size = mare_sizeof[j->x->dtype];
  const char *from = j->x->data + line_start(j->x, j->dim, l) * (int64_t)size;
  int64_t v = line_start(j->values, j->dim, l), w = line_start(j->index, j->dim, l);
  for (int64_t i = 0; i < j->k; i++) {
    memcpy(j->values->data + (v + i * j->values->stride[j->dim]) * (int64_t)size,
           from + p[i].at * j->x->stride[j->dim] * (int64_t)size, size);
    mare_set_integer(j->index, w + i * j->index->stride[j->dim], p[i].at + 1);
  }
}

static int64_t pieces_of(int64_t lines) { return lines < PIECES ? lines : PIECES; }

static void sort_piece(void *ctx, int64_t piece) {
  const Job *j = ctx;
  int64_t pieces = pieces_of(j->lines);
  Pair *p = j->pairs + piece * 2 * j->n, *spare = p + j->n;
  for (int64_t l = piece; l < j->lines; l += pieces) {
    load_line(j, l, p);
    bool few = j->k < j->n && j->k <= BEST;
    store_line(j, l, few ? best_pairs(p, spare, j->n, j->k)
                         : sort_pairs(p, spare, j->n, key_bytes[j->x->dtype]));
  }
}

static mare_Status run(mare_Heap *h, Job *j) {
  int64_t pieces;
  j->n = j->x->shape[j->dim];
  if (j->values->numel == 0) return MARE_OK;
  j->lines = j->x->numel / j->n;
  pieces = pieces_of(j->lines);
  if ((size_t)j->n > SIZE_MAX / sizeof(Pair) / 2 / PIECES) return MARE_NOMEM;
  j->pairs = mare_scratch(h, (size_t)(pieces * 2 * j->n) * sizeof(Pair));
  if (j->pairs == NULL) return MARE_NOMEM;
  if (j->x->numel < 1 << 14) for (int64_t i = 0; i < pieces; i++) sort_piece(j, i);
  else mare_parallel(pieces, sort_piece, j);
  mare_scratch_free(h, j->pairs);
  return MARE_OK;
}

mare_Status mare_sort(mare_Heap *h, int dim, bool descending, const mare_Tensor *x,
                      mare_Tensor *values, mare_Tensor *index) {
  Job j = {.x = x, .values = values, .index = index, .dim = dim, .k = x->shape[dim],
           .falling = descending};
  return run(h, &j);
}

mare_Status mare_topk(mare_Heap *h, int dim, int64_t k, bool largest, const mare_Tensor *x,
                      mare_Tensor *values, mare_Tensor *index) {
  Job j = {.x = x, .values = values, .index = index, .dim = dim, .k = k, .falling = largest};
  return run(h, &j);
}
