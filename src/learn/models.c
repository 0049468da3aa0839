/*
** models.c -- what all estimators need: class labels as codes, a look for values
** that are not finite.
*/
#include "models.h"

#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "../ops/ops.h"

#ifndef __clang__
#pragma GCC optimize("O2", "tree-vectorize")
#endif

#define PIECE 65536

/* -- labels to codes --------------------------------------------------------------- */

enum { RANGE = 4096 }; /* values that a table holds */

/* do all of y (n) lie in RANGE values from *least on? */
static bool near(int64_t n, const int64_t *y, int64_t *least) {
  int64_t lo = n > 0 ? y[0] : 0, hi = lo;
  for (int64_t i = 0; i < n; i++) {
    lo = y[i] < lo ? y[i] : lo;
    hi = y[i] > hi ? y[i] : hi;
  }
  *least = lo;
  return (uint64_t)hi - (uint64_t)lo < RANGE;
}

/* the position (0-based) of y in ascending values, or -1 */
static int64_t find(const int64_t *values, int64_t n, int64_t y) {
  int64_t lo = 0, hi = n;
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (values[mid] < y) lo = mid + 1;
    else hi = mid;
  }
  return lo < n && values[lo] == y ? lo : -1;
}

/* ascending different values of y (n); 0: more than 63, and far apart */
static int64_t distinct(int64_t n, const int64_t *y, int64_t *values) {
  int64_t k = 0, least;
  if (near(n, y, &least)) {
    bool seen[RANGE] = {false};
    for (int64_t i = 0; i < n; i++) seen[y[i] - least] = true;
    for (int64_t v = 0; v < RANGE; v++)
      if (seen[v]) values[k++] = least + v;
    return k;
  }
  for (int64_t i = 0; i < n && (i % PIECE || !mare_stopping()); i++) {
    if (k > 0 && find(values, k, y[i]) >= 0) continue;
    if (k == 64) return 0;
    int64_t at = k++;
    for (; at > 0 && values[at - 1] > y[i]; at--) values[at] = values[at - 1];
    values[at] = y[i];
  }
  return k < 64 ? k : 0;
}

/* the same of sorted values (n), in place */
static int64_t unique(int64_t n, int64_t *values) {
  int64_t k = 1;
  for (int64_t i = 1; i < n; i++)
    if (values[i] != values[k - 1]) values[k++] = values[i];
  return k;
}

/* values = y in order; where they stood is not asked for, but needs room */
static mare_Status sort_labels(mare_Heap *h, mare_Values *v) {
  mare_Tensor index = v->t[0];
  mare_Status st = MARE_NOMEM;
  index.data = mare_scratch(h, (size_t)index.numel * sizeof(int64_t));
  if (index.data) st = mare_sort(h, 0, false, &v->t[0], &v->t[1], &index);
  mare_scratch_free(h, index.data);
  return st;
}

/* values (n) begins with the different values of y (n), ascending; out: how many */
static mare_Status distinct_labels(mare_Heap *h, mare_Values *v) {
  const int64_t n = v->t[0].numel;
  int64_t *values = (int64_t *)v->t[1].data;
  int64_t k = distinct(n, (const int64_t *)v->t[0].data, values);
  mare_Status st = MARE_OK;
  if (k == 0 && n > 0) {
    st = sort_labels(h, v);
    k = st == MARE_OK && !mare_stopping() ? unique(n, values) : 0;
  }
  v->out[0] = (double)k;
  v->nout = 1;
  return st;
}

/* codes (n) = positions, from 1, of y (n) in classes (k); out: the row that has none */
static mare_Status label_codes(mare_Heap *h, mare_Values *v) {
  const int64_t *y = (const int64_t *)v->t[0].data, *c = (const int64_t *)v->t[1].data;
  int64_t *codes = (int64_t *)v->t[2].data, k = v->t[1].numel, least;
  int16_t table[RANGE] = {0};
  const bool tabled = near(k, c, &least);
  (void)h;
  for (int64_t i = 0; tabled && i < k; i++) table[c[i] - least] = (int16_t)(i + 1);
  for (int64_t i = 0; i < v->t[0].numel && (i % PIECE || !mare_stopping()); i++) {
    const uint64_t at = (uint64_t)y[i] - (uint64_t)least;
    codes[i] = !tabled ? find(c, k, y[i]) + 1 : at < RANGE ? table[at] : 0;
    if (codes[i] > 0) continue;
    v->out[0] = (double)(i + 1);
    v->nout = 1;
    return MARE_BADARG;
  }
  return MARE_OK;
}

/* -- finite values ----------------------------------------------------------------- */

typedef struct Look {
  const mare_Tensor *x;
  int64_t *first; /* for each piece: the first position, or -1 */
} Look;

/* the exponent is all ones */
static int64_t bad_f32(const uint32_t *p, int64_t n) {
  uint32_t any = 0;
  for (int64_t i = 0; i < n; i++) any |= (p[i] & 0x7f800000u) == 0x7f800000u;
  if (!any) return -1;
  for (int64_t i = 0;; i++)
    if ((p[i] & 0x7f800000u) == 0x7f800000u) return i;
}

static int64_t bad_f64(const uint64_t *p, int64_t n) {
  const uint64_t ones = (uint64_t)0x7ff << 52;
  uint64_t any = 0;
  for (int64_t i = 0; i < n; i++) any |= (p[i] & ones) == ones;
  if (!any) return -1;
  for (int64_t i = 0;; i++)
    if ((p[i] & ones) == ones) return i;
}

static void look_piece(void *ctx, int64_t piece) {
  const Look *l = ctx;
  const int64_t begin = piece * PIECE, left = l->x->numel - begin;
  const int64_t n = left < PIECE ? left : PIECE;
  const void *p = l->x->data + begin * (int64_t)mare_sizeof[l->x->dtype];
  const int64_t at = l->x->dtype == MARE_F32 ? bad_f32(p, n) : bad_f64(p, n);
  l->first[piece] = at < 0 ? -1 : begin + at;
}

/* false and the position (from 1) of the first value of x that is not finite, or true */
static mare_Status check_finite(mare_Heap *h, mare_Values *v) {
  const int64_t pieces = (v->t[0].numel + PIECE - 1) / PIECE;
  Look l = {&v->t[0], mare_scratch(h, (size_t)pieces * sizeof(int64_t))};
  mare_Status st = MARE_OK;
  if (l.first == NULL) return MARE_NOMEM;
  mare_parallel(pieces, look_piece, &l);
  for (int64_t i = 0; i < pieces && st == MARE_OK; i++)
    if (l.first[i] >= 0) {
      v->out[0] = (double)(l.first[i] + 1);
      v->nout = 1;
      st = MARE_BADARG;
    }
  mare_scratch_free(h, l.first);
  return st;
}

const mare_RoutineRow mare_model_routines[] = {
  {"distinct_labels", "i:n !i:n", distinct_labels},
  {"label_codes", "i:n i:k !i:n", label_codes},
  {"check_finite", "r:n", check_finite},
  {NULL, NULL, NULL}};
