/*
** optim_matrix.c -- what optimizers do to matrices besides passes over their elements:
** Adafactor's second moment from means of rows and columns, Muon's orthogonal steps.
** A parameter of more than two dimensions is the matrix of shape[0] rows.
*/
#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "../ops/lanes.h"
#include "optim_rows.h"

static double get(mare_Dtype dt, const void *x, int64_t i) {
  return dt == MARE_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void set(mare_Dtype dt, void *x, int64_t i, double v) {
  if (dt == MARE_F32) ((float *)x)[i] = (float)v;
  else ((double *)x)[i] = v;
}

/* where a row's options and constants stand in h */
#define PLACE(name, ...) name,

/* -- Adafactor: means of the squared gradient over rows and over columns ------------ */

enum { WIDTH = 4096, ELEMENTS = 65536, HEIGHT = 512, STRIP = 64 };

/* A piece is a block of the gradient; its sums over columns and rows have own places. */
typedef struct Means {
  mare_Dtype dtype;
  int64_t rows, columns;
  int64_t height, width; /* of a block */
  int64_t down, across;  /* blocks */
  const char *g;         /* (rows, columns) */
  double *of_columns;    /* (down, columns), of the gradient's type */
  double *of_rows;       /* (across, rows) */
} Means;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static Means new_means(const mare_Param *p, void *scratch) {
  Means m = {.dtype = p->dtype, .rows = p->rows, .columns = p->numel / p->rows,
             .g = p->grad};
  m.width = least(m.columns, WIDTH);
  m.height = least(ELEMENTS / m.width, HEIGHT);
  m.down = (m.rows + m.height - 1) / m.height;
  m.across = (m.columns + m.width - 1) / m.width;
  m.of_rows = scratch;
  m.of_columns = m.of_rows + m.across * m.rows;
  return m;
}

static size_t means_scratch(const mare_Param *p) {
  Means m;
  if (p->numel == 0) return 0;
  m = new_means(p, NULL);
  return (size_t)(m.across * m.rows + m.down * m.columns + m.rows + m.columns) *
         sizeof(double);
}

static void block_sums(void *ctx, int64_t piece) {
  const Means *m = ctx;
  const size_t size = mare_sizeof[m->dtype];
  int64_t down = piece / m->across, across = piece % m->across;
  int64_t j = across * m->width, w = least(m->width, m->columns - j);
  int64_t i = down * m->height, end = least(i + m->height, m->rows);
  char *sum = (char *)m->of_columns + (size_t)(down * m->columns + j) * size;
  void *none[MARE_MAXSLOT + 1] = {NULL};
  const double a = 0;
  mare_Update *add_square = mare_tool(MARE_ROW_add_square, m->dtype);
  memset(sum, 0, (size_t)w * size);
  for (int64_t n; i < end; i += n) {
    const char *g = m->g + (size_t)(i * m->columns + j) * size;
    mare_Partial s[STRIP];
    n = least(STRIP, end - i);
    mare_lanes(m->dtype)->squares[m->dtype](w, n, g, m->columns, 2, s);
    for (int64_t k = 0; k < n; k++) {
      m->of_rows[across * m->rows + i + k] = s[k].a;
      add_square((size_t)w, sum, g + (size_t)(k * m->columns) * size, none, &a);
    }
  }
}

static double row_mean(const Means *m, int64_t i) {
  double sum = 0;
  for (int64_t b = 0; b < m->across; b++) sum += m->of_rows[b * m->rows + i];
  return sum / (double)m->columns;
}

static double column_mean(const Means *m, int64_t j) {
  double sum = 0;
  for (int64_t b = 0; b < m->down; b++)
    sum += get(m->dtype, m->of_columns, b * m->columns + j);
  return sum / (double)m->rows;
}

/* slot 2 (rows) = sqrt(mean of row / row), slot 3 (columns) = 1 / sqrt(column) */
static void inverse_roots(mare_Param *p, const Means *m, double mean) {
  char *room = (char *)(m->of_columns + m->down * m->columns);
  p->slot[2] = room;
  p->slot[3] = room + (size_t)m->rows * sizeof(double);
  for (int64_t i = 0; i < m->rows; i++)
    set(p->dtype, p->slot[2], i, sqrt(mean / get(p->dtype, p->slot[0], i)));
  for (int64_t j = 0; j < m->columns; j++)
    set(p->dtype, p->slot[3], j, 1 / sqrt(get(p->dtype, p->slot[1], j)));
}

/* row (rows) and column (columns): running means */
static void factor_moment(mare_Param *p, const double *h, void *scratch) {
  enum { adafactor_hyper(PLACE, PLACE) adafactor_step(PLACE) };
  Means m;
  double sum = 0;
  if (p->numel == 0) return;
  m = new_means(p, scratch);
  mare_parallel(m.down * m.across, block_sums, &m);
  for (int64_t i = 0; i < m.rows; i++) {
    double v = h[beta] * get(p->dtype, p->slot[0], i);
    v += h[rest] * (row_mean(&m, i) + h[eps1]);
    set(p->dtype, p->slot[0], i, v);
    sum += v;
  }
  for (int64_t j = 0; j < m.columns; j++)
    set(p->dtype, p->slot[1], j, h[beta] * get(p->dtype, p->slot[1], j) +
                                 h[rest] * (column_mean(&m, j) + h[eps1]));
  inverse_roots(p, &m, sum / (double)m.rows);
}

/* -- Muon: the nearest orthogonal matrix, about -------------------------------------- */

/* five steps from any matrix of norm 1 bring all singular values to 0.7 .. 1.2 */
static const double A = 3.4445, B = -4.7750, C = 2.0315;

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* a parameter as x (k, l) with k <= l, over other memory */
static mare_Tensor wide(const mare_Param *p, void *data) {
  int64_t shape[2] = {p->rows, p->numel / p->rows};
  mare_Tensor t = {0};
  mare_shape_set(&t, p->dtype, 2, shape);
  t.data = data;
  if (shape[0] > shape[1]) mare_transpose(&t, 0, 1);
  return t;
}

static mare_Tensor square(const mare_Tensor *x, char **room) {
  int64_t shape[2] = {x->shape[0], x->shape[0]};
  mare_Tensor t = {0};
  mare_shape_set(&t, x->dtype, 2, shape);
  t.data = *room;
  *room += aligned((size_t)t.numel * mare_sizeof[t.dtype]);
  return t;
}

static size_t muon_scratch(const mare_Param *p) {
  mare_Tensor x = wide(p, NULL);
  size_t size = mare_sizeof[p->dtype];
  return 64 + 2 * aligned((size_t)p->numel * size) +
         3 * aligned((size_t)(x.shape[0] * x.shape[0]) * size);
}

static void give_work(mare_Param *p, const double *h, void *scratch) {
  (void)h;
  p->slot[1] = (void *)aligned((size_t)scratch);
}

static void add_diagonal(mare_Tensor *x, double v) {
  for (int64_t i = 0; i < x->shape[0]; i++) {
    int64_t at = i * (x->shape[0] + 1);
    set(x->dtype, x->data, at, get(x->dtype, x->data, at) + v);
  }
}

/* y = a x + b (x x') x + c (x x')^2 x, all of shape (k, l); s, d, q are (k, k) */
static void newton_schulz(mare_Tensor *x, mare_Tensor *y, mare_Tensor *s, mare_Tensor *d,
                          mare_Tensor *q) {
  mare_Tensor xt = *x;
  mare_transpose(&xt, 0, 1);
  mare_gemm(x, &xt, 0, s);
  mare_tool_run(MARE_ROW_multiple, s->dtype, C, s->numel, d->data, s->data);
  add_diagonal(d, B);
  mare_gemm(s, d, 0, q);
  add_diagonal(q, A);
  mare_gemm(q, x, 0, y);
}

/* o (rows, columns) becomes about u v' of its own singular value decomposition */
static void orthogonalise(mare_Param *p, const double *h, void *scratch) {
  enum { muon_hyper(PLACE, PLACE) };
  mare_Tensor x = wide(p, p->slot[1]), y = x, s, d, q;
  size_t bytes = aligned((size_t)p->numel * mare_sizeof[p->dtype]);
  char *room = x.data + 2 * bytes;
  (void)scratch;
  y.data += bytes;
  s = square(&x, &room), d = square(&x, &room), q = square(&x, &room);
  mare_tool_run(MARE_ROW_scale, p->dtype, 1 / (sqrt(p->sum[2]) + 1e-7), p->numel, x.data,
                x.data);
  for (int i = 0; i < (int)h[ns_steps] && p->numel > 0; i++) {
    mare_Tensor last = x;
    newton_schulz(&x, &y, &s, &d, &q);
    x = y, y = last;
  }
  p->slot[1] = x.data;
}

const mare_MatrixRow mare_matrix_rows[MARE_NOPTIMIZER] = {
  [MARE_ROW_adafactor_matrix] = {means_scratch, factor_moment, NULL},
  [MARE_ROW_muon_matrix] = {muon_scratch, give_work, orthogonalise},
};
