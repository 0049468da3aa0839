/*
** moments.c -- means, variances and scatter matrices of rows, by class or of all: moments
** in one pass, scatter matrices as products of centred blocks.  Memory beside the data is
** a few blocks.
*/
#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "../ops/ops.h"
#include "bayes_kernels.h"
#include "matrices.h"
#include "models.h"

/* -- moments by class -------------------------------------------------------------- */

typedef struct Moments {
  const mare_BayesKernels *k;
  const mare_Tensor *x;  /* (n, d) */
  const int64_t *codes;  /* (n) 1..classes */
  const double *weights; /* (n) or NULL */
  const double *shift;   /* (d) or NULL: no squares */
  double limit;          /* not NaN: count what is above it instead of adding it */
  int64_t n, d, classes, share;
  double *part;          /* of each piece: counts (k), sums (k, d), squares (k, d) */
  int64_t size;          /* of a part */
  struct Queue *queues;  /* of each piece (k), for squares */
} Moments;

/* rows of a class that wait until they are four: fewer trips over its long sums */
typedef struct Queue {
  int64_t n, row[4];
} Queue;

static double weight_of(const Moments *m, int64_t i) {
  return m->weights ? m->weights[i] : 1;
}

/* the rows that wait go into the sums and squares of their class */
static void add_queue(const Moments *m, Queue *q, double *sums, double *squares) {
  const void *x[4];
  double w[4];
  for (int64_t i = 0; i < q->n; i++) {
    x[i] = row_of(m->x, q->row[i]);
    w[i] = weight_of(m, q->row[i]);
  }
  if (q->n == 4) m->k->add_squares4(m->d, x, m->shift, w, sums, squares);
  for (int64_t i = 0; q->n < 4 && i < q->n; i++)
    m->k->add_squares(m->d, x[i], m->shift, w[i], sums, squares);
  q->n = 0;
}

static void square_rows(const Moments *m, int64_t first, int64_t last, Queue *queue,
                        double *sums) {
  const int64_t d = m->d;
  double *squares = sums + m->classes * d;
  memset(queue, 0, (size_t)m->classes * sizeof *queue);
  for (int64_t i = first; i < last; i++) {
    const int64_t c = m->codes[i] - 1;
    queue[c].row[queue[c].n++] = i;
    if (queue[c].n == 4) add_queue(m, &queue[c], sums + c * d, squares + c * d);
  }
  for (int64_t c = 0; c < m->classes; c++)
    add_queue(m, &queue[c], sums + c * d, squares + c * d);
}

static void moments_piece(void *ctx, int64_t piece) {
  const Moments *m = ctx;
  const int64_t first = piece * m->share, last = at_most(m->n, first + m->share);
  double *counts = m->part + piece * m->size, *sums = counts + m->classes;
  memset(counts, 0, (size_t)m->size * sizeof *counts);
  for (int64_t i = first; i < last; i++) counts[m->codes[i] - 1] += weight_of(m, i);
  if (m->shift) square_rows(m, first, last, m->queues + piece * m->classes, sums);
  for (int64_t i = first; m->shift == NULL && i < last; i++) {
    double *sum = sums + (m->codes[i] - 1) * m->d;
    const double w = weight_of(m, i);
    if (m->limit == m->limit) m->k->add_above(m->d, row_of(m->x, i), m->limit, w, sum);
    else m->k->add(m->d, row_of(m->x, i), w, sum);
  }
}

/* pieces: the parts are small beside the data, their number depends on shapes alone */
static int64_t moments_pieces(const Moments *m) {
  int64_t pieces = m->n * m->d / (8 * m->size + 65536) + 1;
  return at_most(at_most(pieces, 16), m->n);
}

/* the first part becomes the sum of all */
static mare_Status moments_run(mare_Heap *h, Moments *m) {
  m->k = mare_bayes_kernels(m->x->dtype);
  m->n = m->x->shape[0];
  m->d = m->x->shape[1];
  m->size = m->classes * (1 + m->d * (m->shift ? 2 : 1));
  const int64_t pieces = moments_pieces(m);
  m->share = (m->n + pieces - 1) / pieces;
  const size_t parts = (size_t)(pieces * m->size) * sizeof *m->part;
  const size_t queues = (size_t)(pieces * m->classes) * sizeof *m->queues;
  m->part = mare_scratch(h, parts + (m->shift ? queues : 0));
  if (m->part == NULL) return MARE_NOMEM;
  m->queues = (Queue *)(void *)(m->part + pieces * m->size);
  mare_parallel(pieces, moments_piece, m);
  for (int64_t p = 1; p < pieces; p++)
    for (int64_t i = 0; i < m->size; i++) m->part[i] += m->part[p * m->size + i];
  return MARE_OK;
}

/* x, codes, weights, limit (NaN: none), counts (k), sums (k, d) */
static mare_Status class_sums(mare_Heap *h, mare_Values *v) {
  Moments m = {.x = &v->t[0], .codes = integers(&v->t[1]), .weights = doubles(&v->t[2]),
               .limit = v->n[3], .classes = v->t[4].shape[0]};
  const mare_Status st = moments_run(h, &m);
  if (st != MARE_OK) return st;
  memcpy(v->t[4].data, m.part, (size_t)m.classes * sizeof(double));
  memcpy(v->t[5].data, m.part + m.classes, (size_t)(m.classes * m.d) * sizeof(double));
  mare_scratch_free(h, m.part);
  return MARE_OK;
}

/* shift (d) = the first row, about which squares lose nothing to a large mean */
static void take_shift(const mare_Tensor *x, double *shift) {
  for (int64_t j = 0; j < x->shape[1]; j++) shift[j] = mare_get_real(x, j);
}

/* means and variances from sums and squares about the shift */
static void finish_moments(const Moments *m, double *counts, double *means,
                           double *variances) {
  const double *sums = m->part + m->classes, *squares = sums + m->classes * m->d;
  for (int64_t c = 0; c < m->classes; c++) {
    counts[c] = m->part[c];
    for (int64_t j = 0; j < m->d; j++) {
      const int64_t at = c * m->d + j;
      const double mean = counts[c] > 0 ? sums[at] / counts[c] : 0;
      const double v = counts[c] > 0 ? squares[at] / counts[c] - mean * mean : 0;
      means[at] = counts[c] > 0 ? m->shift[j] + mean : 0;
      variances[at] = v > 0 || v != v ? v : 0;
    }
  }
}

/* x, codes, weights, counts (k), means (k, d), variances (k, d) */
static mare_Status class_moments(mare_Heap *h, mare_Values *v) {
  double *shift = mare_scratch(h, (size_t)v->t[0].shape[1] * sizeof *shift);
  Moments m = {.x = &v->t[0], .codes = integers(&v->t[1]), .weights = doubles(&v->t[2]),
               .shift = shift, .limit = NAN, .classes = v->t[3].shape[0]};
  if (shift == NULL) return MARE_NOMEM;
  take_shift(m.x, shift);
  const mare_Status st = moments_run(h, &m);
  if (st == MARE_OK)
    finish_moments(&m, output(&v->t[3]), output(&v->t[4]), output(&v->t[5]));
  if (st == MARE_OK) mare_scratch_free(h, m.part);
  mare_scratch_free(h, shift);
  return st;
}

/* -- blocks of centred rows -------------------------------------------------------- */

enum { BLOCK = 1024, SHARE = 64 }; /* rows; rows of a piece */
enum { TILE = 112, CHUNK = 128 };  /* columns of a tile of a scatter; rows at a time */

typedef struct Block {
  const mare_BayesKernels *k;
  const mare_Tensor *x;   /* (n, d) */
  const int64_t *order;   /* (n) positions, or NULL: as they are */
  const int64_t *codes;   /* (n), or NULL: all of class `one` */
  const double *weights;  /* (n) or NULL; rows are multiplied by their roots */
  const double *means;    /* (k, d) */
  int64_t one;            /* 0-based */
  int64_t first, rows;    /* of the block */
  mare_Tensor y;          /* (BLOCK, d), in scratch */
  const double *targets;  /* (n, m), or NULL ... */
  mare_Tensor t;          /* ... and (BLOCK, m), in scratch */
} Block;

static void block_piece(void *ctx, int64_t piece) {
  const Block *b = ctx;
  const int64_t d = b->x->shape[1], last = at_most(b->rows, (piece + 1) * SHARE);
  mare_Tensor t = b->t;
  for (int64_t r = piece * SHARE; r < last; r++) {
    const int64_t i = b->order ? b->order[b->first + r] : b->first + r;
    const int64_t c = b->codes ? b->codes[i] - 1 : b->one;
    const double w = b->weights ? sqrt(b->weights[i]) : 1;
    b->k->center(d, row_of(b->x, i), b->means + c * d, w, (void *)row_of(&b->y, r));
    for (int64_t j = r * t.shape[1], at = i * t.shape[1]; j < (r + 1) * t.shape[1]; j++)
      mare_set_real(&t, j, w * b->targets[at++]);
  }
}

/* y holds rows first .. first + rows - 1, less their means */
static void block_fill(Block *b, int64_t first, int64_t rows) {
  b->first = first;
  b->rows = rows;
  b->y.shape[0] = b->t.shape[0] = rows;
  b->y.numel = rows * b->y.shape[1];
  b->t.numel = rows * b->t.shape[1];
  mare_parallel((rows + SHARE - 1) / SHARE, block_piece, b);
}

/* -- scatter ----------------------------------------------------------------------- */

/*
** What a block y adds to sum (d, d), in tiles of its upper triangle, and y't to slope
** (d, m); a piece is a tile.  Rows are taken CHUNK at a time, so few that their columns
** stay in the caches.
*/
typedef struct Scatter {
  const Block *b;
  double *sum, *slope;
  int64_t across, beside; /* tiles of sum, and of slope to the right of it */
} Scatter;

/* out = a' b for rows of them: a block's columns of one tile */
static void tile_product(mare_Tensor a, mare_Tensor b, mare_Tensor *out) {
  for (int64_t p = 0; p < a.shape[0]; p += CHUNK) {
    const int64_t end = at_most(a.shape[0], p + CHUNK);
    mare_Tensor left = rows_of(a, p, end), right = rows_of(b, p, end);
    mare_transpose(&left, 0, 1);
    mare_gemm_whole(&left, &right, p > 0, out);
  }
}

/* sum += y' z for columns i .. of y and j .. of z; sum has those of z */
static void add_tile(const Scatter *s, int64_t i, const mare_Tensor *z, int64_t j,
                     double *sum) {
  _Alignas(64) char tile[TILE * TILE * sizeof(double)];
  const mare_Tensor *y = &s->b->y;
  const int64_t across = z->shape[1];
  const int64_t shape[2] = {at_most(TILE, y->shape[1] - i), at_most(TILE, across - j)};
  mare_Tensor out;
  mare_shape_set(&out, y->dtype, 2, shape);
  out.data = tile;
  tile_product(columns_of(y, i, i + shape[0]), columns_of(z, j, j + shape[1]), &out);
  for (int64_t r = 0; r < shape[0]; r++)
    s->b->k->flush(shape[1], row_of(&out, r), sum + (i + r) * across + j);
}

static void tile_piece(void *ctx, int64_t q) {
  const Scatter *s = ctx;
  int64_t i = 0, left = s->across; /* the row of tiles, and how many of sum it has */
  for (; q >= left + s->beside; i++) q -= left-- + s->beside;
  if (q < left) add_tile(s, i * TILE, &s->b->y, (i + q) * TILE, s->sum);
  else add_tile(s, i * TILE, &s->b->t, (q - left) * TILE, s->slope);
}

/*
** sum (d, d) = the products of rows first .. last - 1 of the order, above the diagonal;
** slope (d, m) or NULL = those with the targets
*/
static void scatter_rows(Block *b, int64_t first, int64_t last, double *sum,
                         double *slope) {
  const int64_t d = b->x->shape[1], m = b->t.shape[1], across = (d + TILE - 1) / TILE;
  Scatter s = {b, sum, slope, across, (m + TILE - 1) / TILE};
  const int64_t tiles = across * (across + 1) / 2 + across * s.beside;
  memset(sum, 0, (size_t)(d * d) * sizeof *sum);
  if (slope) memset(slope, 0, (size_t)(d * m) * sizeof *slope);
  for (int64_t i = first; i < last; i += BLOCK) {
    block_fill(b, i, at_most(BLOCK, last - i));
    mare_parallel(tiles, tile_piece, &s);
  }
}

/* divides, and copies the upper triangle to the lower one */
static void finish_scatter(int64_t d, double count, double *sum) {
  const double f = count > 0 ? 1 / count : 0;
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = i; j < d; j++) sum[j * d + i] = sum[i * d + j] *= f;
}

/* order (n): the rows by class; start (k + 1): where each class begins */
static void order_rows(int64_t n, const int64_t *codes, int64_t k, int64_t *order,
                       int64_t *start) {
  memset(start, 0, (size_t)(k + 1) * sizeof *start);
  for (int64_t i = 0; i < n; i++) start[codes[i]]++;
  for (int64_t c = 0; c < k; c++) start[c + 1] += start[c];
  for (int64_t i = n; i-- > 0;) order[--start[codes[i]]] = i;
  for (int64_t c = 0; c < k; c++) start[c] = start[c + 1];
  start[k] = n;
}

/* covariances (c, d, d): c is k, one for each class, or 1; slope is not divided */
static void scatter_all(Block *b, const double *counts, int64_t k, int64_t *order,
                        int64_t *start, mare_Tensor *out, double *slope) {
  const int64_t n = b->x->shape[0], d = b->x->shape[1];
  double total = 0, *sum = output(out);
  if (out->shape[0] == 1) {
    for (int64_t c = 0; c < k; c++) total += counts[c];
    scatter_rows(b, 0, n, sum, slope);
    finish_scatter(d, total, sum);
    return;
  }
  order_rows(n, b->codes, k, order, start);
  b->order = order;
  for (int64_t c = 0; c < k; c++, sum += d * d) {
    scatter_rows(b, start[c], start[c + 1], sum, NULL);
    finish_scatter(d, counts[c], sum);
  }
}

/*
** x, codes, weights, counts (k), means (k, d), covariances (c, d, d); with c = 1 maybe
** targets (n, m), slope (d, m): the sums of their products with the centred rows
*/
static mare_Status class_covariances(mare_Heap *h, mare_Values *v) {
  const mare_Tensor *x = &v->t[0];
  const int64_t n = x->shape[0], d = x->shape[1], k = v->t[3].shape[0];
  const bool targets = v->t[6].storage && v->t[7].storage;
  if (v->t[5].shape[0] != 1 && (v->t[5].shape[0] != k || targets)) return MARE_BADARG;
  Block b = {.k = mare_bayes_kernels(x->dtype), .x = x, .codes = integers(&v->t[1]),
             .weights = doubles(&v->t[2]), .means = doubles(&v->t[4])};
  b.y = scratch_matrix(h, x->dtype, at_most(BLOCK, n), d);
  b.targets = targets ? doubles(&v->t[6]) : NULL;
  if (targets) b.t = scratch_matrix(h, x->dtype, b.y.shape[0], v->t[7].shape[1]);
  int64_t *order = mare_scratch(h, (size_t)(n + k + 1) * sizeof *order);
  const bool ok = b.y.data && order && (b.t.data || !targets);
  if (ok)
    scatter_all(&b, doubles(&v->t[3]), k, order, order + n, &v->t[5],
                targets ? output(&v->t[7]) : NULL);
  mare_scratch_free(h, b.t.data);
  mare_scratch_free(h, b.y.data);
  mare_scratch_free(h, order);
  return ok ? MARE_OK : MARE_NOMEM;
}

const mare_RoutineRow mare_moment_routines[] = {
  {"class_sums", "r:nd i:n ?d:n n !d:k !d:kd", class_sums},
  {"class_moments", "r:nd i:n ?d:n !d:k !d:kd !d:kd", class_moments},
  {"class_covariances", "r:nd i:n ?d:n d:k d:kd !d:cdd ?d:nm !?d:dm",
   class_covariances},
  {NULL, NULL, NULL}};
