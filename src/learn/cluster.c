/*
** cluster.c -- what k-means, nearest neighbours and principal components compute: one
** pass over the rows that finds the nearest center of each and sums the rows of each
** center, exact distances, a scatter matrix times some columns.
*/
#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "../ops/ops.h"
#include "bayes_kernels.h"
#include "models.h"

static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

static const char *row_of(const mare_Tensor *x, int64_t i) {
  return x->data + i * x->stride[0] * (int64_t)mare_sizeof[x->dtype];
}

static double *doubles(const mare_Tensor *t) {
  return t->storage ? (double *)(void *)t->data : NULL;
}

static int64_t *integers(const mare_Tensor *t) {
  return t->storage ? (int64_t *)(void *)t->data : NULL;
}

/* -- the nearest centers ----------------------------------------------------------- */

/*
** Of center c a row x has the score bias_c - 2 x w_c, the squared distance less what is
** the same for all.  A piece takes its rows in blocks whose products stay in the cache,
** and has sums of its own, which are added in order.  Rows that stay with their center
** are in the sums already; with weights, whose sums would not come back to 0, all are
** added anew.
*/
enum { BLOCK = 256 };

typedef struct Pass {
  const mare_BayesKernels *k;
  const mare_Tensor *x, *w; /* (n, d), (k, d) */
  const double *bias, *weights; /* (k); (n) or NULL */
  int64_t *codes;           /* (n) 1..k */
  double *part;             /* of each piece: changed, counts (k), sums (k, d); or NULL */
  char *scores;             /* of each piece: (BLOCK, k) */
  int64_t n, d, centers, share, size;
} Pass;

static int64_t nearest_f32(int64_t k, const float *s, const double *bias) {
  int64_t at = 0;
  double best = bias[0] - 2 * (double)s[0];
  for (int64_t c = 1; c < k; c++) {
    const double v = bias[c] - 2 * (double)s[c];
    if (v < best) best = v, at = c;
  }
  return at;
}

static int64_t nearest_f64(int64_t k, const double *s, const double *bias) {
  int64_t at = 0;
  double best = bias[0] - 2 * s[0];
  for (int64_t c = 1; c < k; c++) {
    const double v = bias[c] - 2 * s[c];
    if (v < best) best = v, at = c;
  }
  return at;
}

/* row i with its weight is now with center c (0-based) */
static void add_row(const Pass *p, double *part, int64_t i, int64_t c, double w) {
  part[1 + c] += w;
  p->k->add(p->d, row_of(p->x, i), w, part + 1 + p->centers + c * p->d);
}

/* row i belongs to center c (0-based) */
static void assign(const Pass *p, double *part, int64_t i, int64_t c) {
  const int64_t before = p->codes[i] - 1;
  p->codes[i] = c + 1;
  if (part == NULL) return;
  if (before != c) part[0]++;
  if (p->weights) add_row(p, part, i, c, p->weights[i]);
  else if (before != c) {
    add_row(p, part, i, c, 1);
    if (before >= 0) add_row(p, part, i, before, -1);
  }
}

/* scores is for a whole block; rows first .. first + rows - 1 */
static void pass_block(const Pass *p, double *part, mare_Tensor *scores, int64_t first,
                       int64_t rows) {
  mare_Tensor x = *p->x, w = *p->w, s = *scores;
  mare_slice(&x, 0, first, rows, 1);
  mare_slice(&s, 0, 0, rows, 1);
  mare_transpose(&w, 0, 1);
  mare_gemm_whole(&x, &w, 0, &s);
  for (int64_t i = 0; i < rows; i++) {
    const void *y = row_of(&s, i);
    assign(p, part, first + i, x.dtype == MARE_F32 ? nearest_f32(p->centers, y, p->bias)
                                                   : nearest_f64(p->centers, y, p->bias));
  }
}

static void pass_piece(void *ctx, int64_t piece) {
  const Pass *p = ctx;
  const int64_t last = at_most(p->n, (piece + 1) * p->share);
  const int64_t shape[2] = {BLOCK, p->centers};
  double *part = p->part ? p->part + piece * p->size : NULL;
  mare_Tensor s;
  mare_shape_set(&s, p->x->dtype, 2, shape);
  s.data = p->scores + piece * BLOCK * p->centers * (int64_t)mare_sizeof[s.dtype];
  if (part) memset(part, 0, (size_t)p->size * sizeof *part);
  for (int64_t i = piece * p->share; i < last; i += BLOCK)
    pass_block(p, part, &s, i, at_most(BLOCK, last - i));
}

/* the number of pieces depends on shapes alone; their sums are small beside the data */
static int64_t pass_pieces(const Pass *p) {
  const int64_t pieces = p->n * p->d / (8 * p->size + 65536) + 1;
  return at_most(at_most(pieces, 32), (p->n + BLOCK - 1) / BLOCK);
}

static void finish_pass(const Pass *p, int64_t pieces, mare_Values *v) {
  const int64_t k = p->centers, kd = k * p->d;
  double *counts = doubles(&v->t[5]), *sums = doubles(&v->t[6]);
  for (int64_t i = 1; i < pieces; i++)
    for (int64_t j = 0; j < p->size; j++) p->part[j] += p->part[i * p->size + j];
  for (int64_t j = 0; j < k; j++)
    counts[j] = (p->weights ? 0 : counts[j]) + p->part[1 + j];
  for (int64_t j = 0; j < kd; j++)
    sums[j] = (p->weights ? 0 : sums[j]) + p->part[1 + k + j];
  v->out[v->nout++] = p->part[0];
}

/*
** x (n, d), w (k, d), bias (k), weights (n), codes (n): those before, 0 for none, and
** then the nearest; counts (k) and sums (k, d) of the rows by center, which go by codes
** before and after, or nil for neither; out: how many codes changed
*/
static mare_Status nearest_centers(mare_Heap *h, mare_Values *v) {
  const mare_Tensor *x = &v->t[0];
  Pass p = {.k = mare_bayes_kernels(x->dtype), .x = x, .w = &v->t[1],
            .bias = doubles(&v->t[2]), .weights = doubles(&v->t[3]),
            .codes = integers(&v->t[4]), .n = x->shape[0], .d = x->shape[1],
            .centers = v->t[1].shape[0]};
  const bool sums = v->t[5].storage && v->t[6].storage;
  if (p.n == 0 || p.centers == 0) return MARE_BADARG;
  p.size = 1 + p.centers * (1 + p.d);
  const int64_t pieces = pass_pieces(&p);
  p.share = (p.n + pieces - 1) / pieces;
  const size_t reals = (size_t)(pieces * BLOCK * p.centers);
  p.scores = mare_scratch(h, reals * mare_sizeof[x->dtype]);
  if (sums) p.part = mare_scratch(h, (size_t)(pieces * p.size) * sizeof *p.part);
  const bool ok = p.scores && (p.part || !sums);
  if (ok) mare_parallel(pieces, pass_piece, &p);
  if (ok && sums) finish_pass(&p, pieces, v);
  mare_scratch_free(h, p.part);
  mare_scratch_free(h, p.scores);
  return ok ? MARE_OK : MARE_NOMEM;
}

/* -- distances --------------------------------------------------------------------- */

/*
** Rows of x are taken SHARE at a time and CHUNK columns of them, as doubles, so that a
** row of y is converted once for all of them.  A piece goes through SPAN rows of y.
*/
enum { SHARE = 16, CHUNK = 256, SPAN = 1024, LANES = 8 };

typedef double Partial(int64_t d, const double *a, const double *b);

#ifndef __clang__
#pragma GCC push_options
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#endif

static double total(const double *part) {
  double s = 0;
  for (int l = 0; l < LANES; l++) s += part[l];
  return s;
}

static double manhattan(int64_t d, const double *a, const double *b) {
  double part[LANES] = {0};
  for (int64_t j = 0; j < d; j += LANES)
    for (int l = 0; l < LANES; l++) part[l] += fabs(a[j + l] - b[j + l]);
  return total(part);
}

static double product(int64_t d, const double *a, const double *b) {
  double part[LANES] = {0};
  for (int64_t j = 0; j < d; j += LANES)
    for (int l = 0; l < LANES; l++) part[l] += a[j + l] * b[j + l];
  return total(part);
}

#ifndef __clang__
#pragma GCC pop_options
#endif

static Partial *const partials[] = {NULL, manhattan, product};
static const double ones[CHUNK] = {[0 ... CHUNK - 1] = 1};

typedef struct Pairs {
  const mare_BayesKernels *k;
  const mare_Tensor *x, *y; /* (n, d), (m, d) */
  const int64_t *index;     /* (n, j): rows of y, from 1; or NULL: all of them */
  Partial *partial;         /* NULL: squared differences */
  double *out;              /* (n, j) */
  int64_t j, span, spans;   /* columns of out in a piece; how many times that */
} Pairs;

/* a = d columns of a row from the first as doubles, and zeros up to whole LANES */
static void load(const Pairs *p, const mare_Tensor *t, int64_t row, int64_t first,
                 int64_t d, double *a) {
  memset(a, 0, (size_t)((d + LANES - 1) / LANES * LANES) * sizeof *a);
  p->k->flush(d, row_of(t, row) + first * (int64_t)mare_sizeof[t->dtype], a);
}

/* a: d columns of row i of x; b: those of a row of y */
static double pair(const Pairs *p, int64_t i, int64_t first, int64_t d, const double *a,
                   const double *b) {
  const char *x = row_of(p->x, i) + first * (int64_t)mare_sizeof[p->x->dtype];
  if (p->partial == NULL) return p->k->distance(d, x, b, ones);
  return p->partial((d + LANES - 1) / LANES * LANES, a, b);
}

/* a tile of out: rows i ... and columns j ... */
typedef struct Tile {
  int64_t i, rows, j, end;
} Tile;

/* the tile += the sums over d columns of the rows in a with rows of y */
static void add_chunk(const Pairs *p, const Tile *t, double (*a)[CHUNK], int64_t first,
                      int64_t d) {
  double b[CHUNK], *out = p->out + t->i * p->j;
  for (int64_t j = t->j; p->index == NULL && j < t->end; j++) {
    load(p, p->y, j, first, d, b);
    for (int64_t r = 0; r < t->rows; r++)
      out[r * p->j + j] += pair(p, t->i + r, first, d, a[r], b);
  }
  for (int64_t at = 0; p->index && at < t->rows * p->j; at++) {
    load(p, p->y, p->index[t->i * p->j + at] - 1, first, d, b);
    out[at] += pair(p, t->i + at / p->j, first, d, a[at / p->j], b);
  }
}

static void pairs_piece(void *ctx, int64_t piece) {
  const Pairs *p = ctx;
  const int64_t d = p->x->shape[1], i = piece / p->spans * SHARE;
  const int64_t j = piece % p->spans * p->span;
  const Tile t = {i, at_most(SHARE, p->x->shape[0] - i), j, at_most(p->j, j + p->span)};
  double a[SHARE][CHUNK];
  for (int64_t r = 0; r < t.rows; r++)
    memset(p->out + (i + r) * p->j + j, 0, (size_t)(t.end - j) * sizeof *p->out);
  for (int64_t first = 0; first < d; first += CHUNK) {
    const int64_t columns = at_most(CHUNK, d - first);
    for (int64_t r = 0; p->partial && r < t.rows; r++)
      load(p, p->x, i + r, first, columns, a[r]);
    add_chunk(p, &t, a, first, columns);
  }
}

/*
** x (n, d), y (m, d), index (n, j) or nil: all rows of y, which: 0 squared differences,
** 1 absolute ones, 2 products; out (n, j): their sums over the columns
*/
static mare_Status pair_sums(mare_Heap *h, mare_Values *v) {
  const int64_t n = v->t[0].shape[0], m = v->t[1].shape[0], j = v->t[4].shape[1];
  const int64_t *index = integers(&v->t[2]);
  const int which = (int)v->n[3];
  (void)h;
  if (which < 0 || which > 2 || (index == NULL && j != m) || j == 0) return MARE_BADARG;
  for (int64_t i = 0; index && i < n * j; i++)
    if (index[i] < 1 || index[i] > m) return MARE_BADARG;
  Pairs p = {mare_bayes_kernels(v->t[0].dtype), &v->t[0], &v->t[1], index,
             partials[which], doubles(&v->t[4]), j, j, 1};
  if (index == NULL) p.span = at_most(j, SPAN);
  p.spans = (j + p.span - 1) / p.span;
  mare_parallel((n + SHARE - 1) / SHARE * p.spans, pairs_piece, &p);
  return MARE_OK;
}

/* -- a scatter matrix times some columns ------------------------------------------- */

/*
** z = sum w (x - mean)(x - mean)' q, both products of a block of rows while it is in
** the cache; or, given targets, sum w (x - mean) (target - (x - mean)' q).  A piece has a
** block of centred rows y (BLOCK, d), t = y q or what that leaves of the targets
** (BLOCK, m), what a block gives u (d, m), all of x's type, and its sum (d, m).
*/
typedef struct Scatter {
  const mare_BayesKernels *k;
  const mare_Tensor *x, *q;     /* (n, d), (d, m); q without a storage: 0 */
  const double *weights, *mean; /* (n) or NULL, (d) */
  const double *target;         /* (n, m) or NULL */
  char *scratch;
  double *part;
  int64_t n, d, m, share;
  size_t reals;                 /* of a piece's scratch */
} Scatter;

static mare_Tensor matrix_at(mare_Dtype dt, char *data, int64_t rows, int64_t columns) {
  const int64_t shape[2] = {rows, columns};
  mare_Tensor t;
  mare_shape_set(&t, dt, 2, shape);
  t.data = data;
  return t;
}

static double root_of(const Scatter *s, int64_t i) {
  return s->weights ? sqrt(s->weights[i]) : 1;
}

/* t (rows, m) = the targets of rows first .., times the roots of their weights, less t */
static void residuals(const Scatter *s, int64_t first, mare_Tensor *t) {
  for (int64_t i = 0; i < t->shape[0]; i++) {
    const double *target = s->target + (first + i) * s->m, w = root_of(s, first + i);
    for (int64_t j = 0, at = i * s->m; j < s->m; j++, at++)
      mare_set_real(t, at, w * target[j] - (s->q->storage ? mare_get_real(t, at) : 0));
  }
}

static void scatter_block(const Scatter *s, char *scratch, double *sum, int64_t first,
                          int64_t rows) {
  const size_t size = mare_sizeof[s->x->dtype];
  mare_Tensor y = matrix_at(s->x->dtype, scratch, rows, s->d);
  mare_Tensor t = matrix_at(y.dtype, y.data + size * (size_t)(BLOCK * s->d), rows, s->m);
  mare_Tensor u = matrix_at(y.dtype, t.data + size * (size_t)(BLOCK * s->m), s->d, s->m);
  for (int64_t i = 0; i < rows; i++)
    s->k->center(s->d, row_of(s->x, first + i), s->mean, root_of(s, first + i),
                 (void *)row_of(&y, i));
  if (s->q->storage) mare_gemm_whole(&y, s->q, 0, &t);
  if (s->target) residuals(s, first, &t);
  mare_transpose(&y, 0, 1);
  mare_gemm_whole(&y, &t, 0, &u);
  s->k->flush(s->d * s->m, u.data, sum);
}

static void scatter_piece(void *ctx, int64_t piece) {
  const Scatter *s = ctx;
  const int64_t last = at_most(s->n, (piece + 1) * s->share);
  double *sum = s->part + piece * s->d * s->m;
  char *scratch = s->scratch + (size_t)piece * s->reals * mare_sizeof[s->x->dtype];
  memset(sum, 0, (size_t)(s->d * s->m) * sizeof *sum);
  for (int64_t i = piece * s->share; i < last && !mare_stopping(); i += BLOCK)
    scatter_block(s, scratch, sum, i, at_most(BLOCK, last - i));
}

/* x (n, d), weights (n) or nil, mean (d), q (d, m), target (n, m): either, z (d, m) */
static mare_Status scatter_times(mare_Heap *h, mare_Values *v) {
  const mare_Tensor *x = &v->t[0];
  Scatter s = {.k = mare_bayes_kernels(x->dtype), .x = x, .q = &v->t[3],
               .weights = doubles(&v->t[1]), .mean = doubles(&v->t[2]),
               .target = doubles(&v->t[4]), .n = x->shape[0], .d = x->shape[1],
               .m = v->t[5].shape[1]};
  const int64_t pieces = at_most(16, (s.n + 2 * BLOCK - 1) / (2 * BLOCK));
  const int64_t dm = s.d * s.m;
  if (s.n == 0 || !(s.q->storage || s.target)) return MARE_BADARG;
  double *z = doubles(&v->t[5]);
  s.share = (s.n + pieces - 1) / pieces;
  s.reals = (size_t)(BLOCK * (s.d + s.m) + dm);
  s.scratch = mare_scratch(h, (size_t)pieces * s.reals * mare_sizeof[x->dtype]);
  s.part = mare_scratch(h, (size_t)(pieces * dm) * sizeof *s.part);
  const bool ok = s.scratch && s.part;
  if (ok) mare_parallel(pieces, scatter_piece, &s);
  if (ok) memcpy(z, s.part, (size_t)dm * sizeof *z);
  for (int64_t i = 1; ok && i < pieces; i++)
    for (int64_t j = 0; j < dm; j++) z[j] += s.part[i * dm + j];
  mare_scratch_free(h, s.part);
  mare_scratch_free(h, s.scratch);
  return ok ? MARE_OK : MARE_NOMEM;
}

const mare_RoutineRow mare_cluster_routines[] = {
  {"nearest_centers", "r:nd r:kd d:k ?d:n !i:n !?d:k !?d:kd", nearest_centers},
  {"pair_sums", "r:nd r:md ?i:nj n !d:nj", pair_sums},
  {"scatter_times", "r:nd ?d:n d:d ?r:dm ?d:nm !d:dm", scatter_times},
  {NULL, NULL, NULL}};
