/*
** gaussian.c -- what Gaussian classifiers compute of moments (moments.c): factors of
** covariances, and log densities as norms of whitened blocks.  Memory beside the data is
** a few blocks.
*/
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "../base/pool.h"
#include "../ops/linalg.h"
#include "../ops/ops.h"
#include "bayes_kernels.h"
#include "matrices.h"
#include "models.h"

const mare_BayesKernels *mare_bayes_kernels(mare_Dtype dt) {
#ifdef __x86_64__
  if (mare_isa()[0] == 'a') return &mare_bayes_avx2[dt];
#endif
  return &mare_bayes_base[dt];
}

/* -- factors ----------------------------------------------------------------------- */

/* c = (1 - reg) scale ((1 - shrinkage) c + shrinkage mean(diagonal) I) + reg I */
static void regularise(int64_t d, double scale, double shrinkage, double reg, double *c) {
  const double keep = (1 - reg) * scale;
  double trace = 0;
  for (int64_t i = 0; i < d; i++) trace += c[i * d + i];
  for (int64_t i = 0; i < d * d; i++) c[i] *= keep * (1 - shrinkage);
  for (int64_t i = 0; i < d; i++)
    c[i * d + i] += keep * shrinkage * trace / (double)d + reg;
}

/* the column whose pivot is nothing beside its variance, from 1, or 0 */
static int64_t weak_pivot(int64_t d, const double *c, const double *l, double tol) {
  for (int64_t i = 0; i < d; i++) {
    const double pivot = l[i * d + i];
    if (!(pivot * pivot > tol * c[i])) return i + 1;
  }
  return 0;
}

/* a (d, d) becomes its factor; diagonal (d) keeps what stood there */
static mare_Status factor(mare_Heap *h, mare_Tensor *a, double *diagonal, double tol,
                          int64_t *column) {
  const int64_t d = a->shape[0];
  int64_t bad[2] = {0, 0};
  for (int64_t i = 0; i < d; i++) diagonal[i] = output(a)[i * d + i];
  const mare_Status st = mare_cholesky(h, a, bad);
  *column = st == MARE_OK ? weak_pivot(d, diagonal, output(a), tol) : bad[1];
  return st == MARE_OK && *column ? MARE_SINGULAR : st;
}

static double log_determinant(int64_t d, const double *l) {
  double s = 0;
  for (int64_t i = 0; i < d; i++) s += 2 * log(l[i * d + i]);
  return s;
}

static void set_identity(int64_t d, double *y) {
  memset(y, 0, (size_t)(d * d) * sizeof *y);
  for (int64_t i = 0; i < d; i++) y[i * d + i] = 1;
}

/*
** The transpose of L^-1 is upper triangular; densities read it in strips of STRIP columns
** down to the diagonal.  They lie one after another, the rows of each next to each other,
** so that they stay in the caches: a panel.
*/
enum { STRIP = 64 };

/* where the strip that begins at column j stands */
static int64_t strip_at(int64_t j) { return j * (j / STRIP + 1) / 2 * STRIP; }

static int64_t panel_size(int64_t d) {
  return strip_at((d - 1) / STRIP * STRIP) + d * at_most(STRIP, d);
}

/* w (k, panel): the strip of class c that begins at column j, (end, end - j) */
static mare_Tensor strip_of(const mare_Tensor *w, int64_t c, int64_t d, int64_t j) {
  const int64_t end = at_most(d, j + STRIP), shape[2] = {end, at_most(STRIP, d)};
  mare_Tensor t;
  mare_shape_set(&t, w->dtype, 2, shape);
  t.data = w->data + (c * panel_size(d) + strip_at(j)) * (int64_t)mare_sizeof[t.dtype];
  return columns_of(&t, 0, end - j);
}

/* y (d, d), upper triangular, into w (1, panel) */
static void pack_strips(const mare_Tensor *y, const mare_Tensor *w) {
  for (int64_t d = y->shape[0], j = 0; j < d; j += STRIP) {
    mare_Tensor to = strip_of(w, 0, d, j);
    const mare_Tensor from = rows_of(columns_of(y, j, at_most(d, j + STRIP)), 0,
                                     to.shape[0]);
    mare_copy(&to, &from);
  }
}

/* d; out: how long a panel is */
static mare_Status gaussian_panel(mare_Heap *h, mare_Values *v) {
  (void)h;
  v->out[v->nout++] = (double)panel_size((int64_t)v->n[0]);
  return MARE_OK;
}

enum { FACTOR, INVERSE, PANEL }; /* what a factor is wanted for */

/* a: scratch with the covariance; w becomes L, its transposed inverse, or its strips */
static mare_Status factor_into(mare_Heap *h, mare_Tensor *a, mare_Tensor *y, int what,
                               double tol, mare_Values *v) {
  const int64_t d = a->shape[0];
  int64_t column = 0, bad[2];
  mare_Status st = factor(h, a, output(y), tol, &column);
  v->nout = 1;
  v->out[0] = st == MARE_OK ? log_determinant(d, output(a)) : (double)column;
  if (st != MARE_OK) return st;
  if (what == FACTOR) {
    mare_copy(&v->t[7], a);
    return MARE_OK;
  }
  set_identity(d, output(y));
  st = mare_solve_triangular(h, false, a, y, bad);
  mare_transpose(y, 0, 1);
  if (st == MARE_OK && what == PANEL) pack_strips(y, &v->t[7]);
  else if (st == MARE_OK) mare_copy(&v->t[7], y);
  return st;
}

/* a = c with rows and columns in an order (1-based), or as they are */
static void reorder(int64_t d, const double *c, const int64_t *order, double *a) {
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++)
      a[i * d + j] = order ? c[(order[i] - 1) * d + order[j] - 1] : c[i * d + j];
}

/*
** covariance (d, d), scale, shrinkage, reg, tol, what, order (d) or nil, w: L (d, d) for
** what 0, the transpose of L^-1 for 1, (1, panel) of it for 2, with L L' the regularised
** covariance of the columns in that order; out: log |L L'|, or the column that makes it
** singular
*/
static mare_Status gaussian_factor(mare_Heap *h, mare_Values *v) {
  const int64_t d = v->t[0].shape[0];
  const int64_t *order = v->t[6].storage ? integers(&v->t[6]) : NULL;
  mare_Tensor a = scratch_matrix(h, MARE_F64, d, d);
  mare_Tensor y = scratch_matrix(h, MARE_F64, d, d);
  const int64_t rows = v->n[5] == PANEL ? 1 : d;
  const int64_t columns = v->n[5] == PANEL ? panel_size(d) : d;
  mare_Status st = MARE_NOMEM;
  if (v->t[7].shape[0] != rows || v->t[7].shape[1] != columns) st = MARE_BADARG;
  else if (a.data && y.data) {
    reorder(d, output(&v->t[0]), order, output(&a));
    regularise(d, v->n[1], v->n[2], v->n[3], output(&a));
    st = factor_into(h, &a, &y, (int)v->n[5], v->n[4], v);
  }
  if (st == MARE_SINGULAR && order) v->out[0] = (double)order[(int64_t)v->out[0] - 1];
  mare_scratch_free(h, a.data);
  mare_scratch_free(h, y.data);
  return st;
}

/* -- log densities ------------------------------------------------------------------- */

/*
** The score of class k is constant_k - |z|^2 / 2 with z = L_k^-1 (x - mean_k).  Rows are
** taken in blocks, z in strips of columns: a strip needs only the columns up to its own,
** and what the strips so far have summed bounds the score from above.  So where only the
** best class is wanted, the first strip guesses it, and a row goes on with another class
** only while that could still win.
*/
enum { ROWS = 1024, LANES = 8, SHARE = 64 };

typedef struct Density {
  const mare_BayesKernels *k;
  const mare_Tensor *x, *w; /* (n, d); (k, panel), see pack_strips */
  const int64_t *order;     /* (d), 1-based: w and means have the columns in this order */
  const char *means, *rests; /* (k, d), (k, d) of x's type: rounded, and what is lost */
  const double *constants, *guess; /* (k), (k): logs of the first strip */
  int64_t n, d, classes;
  mare_Tensor *scores;      /* (n, k), or NULL ... */
  int64_t *codes;           /* ... for the best class alone (n) */
  atomic_llong next;        /* the next block */
  char *scratch;
  size_t lane;              /* bytes of a lane's scratch */
} Density;

typedef struct Lane { /* what works on one block at a time */
  const Density *s;
  mare_Tensor x, y, z;  /* (ROWS, d): the block, rows less a mean; (ROWS, STRIP) */
  double *part, *first; /* (ROWS) of the rows in y; (k, ROWS) of all after a strip */
  double *best;         /* (ROWS) */
  int64_t *list;        /* (ROWS) which rows y holds */
  int64_t *code;        /* (ROWS) 0-based */
  int64_t at, rows;     /* of the block */
} Lane;

static size_t lane_bytes(const Density *s) {
  const size_t size = mare_sizeof[s->x->dtype];
  const size_t reals = (size_t)ROWS * (size_t)(2 * s->d + STRIP);
  return (reals * size + (size_t)ROWS * (size_t)(s->classes + 4) * 8 + 4 * 64) / 64 * 64;
}

static mare_Tensor lane_matrix(const Density *s, char **at, int64_t columns) {
  const int64_t shape[2] = {ROWS, columns};
  mare_Tensor t;
  mare_shape_set(&t, s->x->dtype, 2, shape);
  t.data = *at;
  *at += (size_t)(ROWS * columns) * mare_sizeof[t.dtype];
  return t;
}

static Lane lane_open(const Density *s, int64_t i) {
  char *at = s->scratch + (size_t)i * s->lane;
  Lane l = {.s = s};
  l.x = lane_matrix(s, &at, s->d);
  l.y = lane_matrix(s, &at, s->d);
  l.z = lane_matrix(s, &at, STRIP);
  l.part = (double *)(void *)at;
  l.best = l.part + ROWS;
  l.list = (int64_t *)(void *)(l.best + ROWS);
  l.code = l.list + ROWS;
  l.first = (double *)(void *)(l.code + ROWS);
  return l;
}

static void lane_load(Lane *l, int64_t block) {
  const Density *s = l->s;
  l->at = block * ROWS;
  l->rows = at_most(ROWS, s->n - l->at);
  for (int64_t r = 0; r < l->rows; r++)
    s->k->gather(s->d, row_of(s->x, l->at + r), s->order, (void *)row_of(&l->x, r));
}

/* columns from j up to end in y: of the m rows of the list, less the mean of class c */
static void lane_center(Lane *l, int64_t c, int64_t m, int64_t j, int64_t end) {
  const Density *s = l->s;
  const int64_t size = (int64_t)mare_sizeof[l->y.dtype], at = j * size;
  const char *mean = s->means + c * s->d * size + at;
  const char *rest = s->rests + c * s->d * size + at;
  end = at_most(end, s->d);
  for (int64_t i = 0; i < m; i++)
    s->k->shift(end - j, row_of(&l->x, l->list[i]) + at, mean, rest,
                (void *)(row_of(&l->y, i) + at));
}

/* part += |z|^2 over the strip that begins at column j */
static void lane_strip(Lane *l, int64_t c, int64_t j, int64_t m) {
  const int64_t end = at_most(l->s->d, j + STRIP);
  const mare_Tensor w = strip_of(l->s->w, c, l->s->d, j);
  mare_Tensor left = rows_of(columns_of(&l->y, 0, end), 0, m);
  mare_Tensor out = rows_of(columns_of(&l->z, 0, end - j), 0, m);
  mare_gemm_whole(&left, &w, 0, &out);
  for (int64_t i = 0; i < m; i++) l->part[i] += l->s->k->norm2(end - j, row_of(&out, i));
}

static double score_of(const Lane *l, int64_t c, int64_t i) {
  const double s = l->s->constants[c] - l->part[i] / 2;
  return s == s ? s : -INFINITY; /* so far away that it overflows */
}

/* takes the rows out of y that class c can no longer win; returns how many stay */
static int64_t lane_prune(Lane *l, int64_t c, int64_t m, int64_t end) {
  const size_t bytes = (size_t)at_most(end, l->s->d) * mare_sizeof[l->y.dtype];
  int64_t kept = 0;
  for (int64_t i = 0; i < m; i++) {
    if (score_of(l, c, i) < l->best[l->list[i]]) continue;
    if (kept < i) {
      memcpy((void *)row_of(&l->y, kept), row_of(&l->y, i), bytes);
      l->list[kept] = l->list[i];
      l->part[kept] = l->part[i];
    }
    kept++;
  }
  return kept;
}

/* class c goes on after the first strip with the m rows of the list */
static void lane_compete(Lane *l, int64_t c, int64_t m, bool prune) {
  lane_center(l, c, m, 0, STRIP);
  for (int64_t i = 0; i < m; i++) l->part[i] = l->first[c * ROWS + l->list[i]];
  for (int64_t j = STRIP; j < l->s->d && m > 0; j += STRIP) {
    lane_center(l, c, m, j, j + STRIP);
    lane_strip(l, c, j, m);
    if (prune) m = lane_prune(l, c, m, j + STRIP);
  }
  for (int64_t i = 0; i < m; i++) {
    const int64_t r = l->list[i];
    const double v = score_of(l, c, i);
    if (prune && (v < l->best[r] || (v == l->best[r] && c > l->code[r]))) continue;
    l->best[r] = v;
    l->code[r] = c;
  }
}

/* first = |z|^2 of the first strip, for all rows and classes */
static void lane_start(Lane *l) {
  for (int64_t r = 0; r < l->rows; r++) l->list[r] = r;
  for (int64_t c = 0; c < l->s->classes; c++) {
    memset(l->part, 0, (size_t)l->rows * sizeof *l->part);
    lane_center(l, c, l->rows, 0, STRIP);
    lane_strip(l, c, 0, l->rows);
    memcpy(l->first + c * ROWS, l->part, (size_t)l->rows * sizeof *l->part);
  }
}

/* code = the best class by the first strip */
static void lane_guess(Lane *l) {
  for (int64_t r = 0; r < l->rows; r++) {
    double best = -INFINITY;
    l->code[r] = 0;
    for (int64_t c = 0; c < l->s->classes; c++) {
      const double v = l->s->guess[c] - l->first[c * ROWS + r] / 2;
      if (!(v > best)) continue;
      best = v;
      l->code[r] = c;
    }
    l->best[r] = -INFINITY;
  }
}

static void block_classes(Lane *l) {
  const Density *s = l->s;
  lane_start(l);
  lane_guess(l);
  for (int64_t c = 0; c < s->classes; c++) { /* the guessed ones in full */
    int64_t m = 0;
    for (int64_t r = 0; r < l->rows; r++)
      if (l->best[r] == -INFINITY && l->code[r] == c) l->list[m++] = r;
    lane_compete(l, c, m, false);
  }
  for (int64_t c = 0; c < s->classes; c++) {
    int64_t m = 0;
    for (int64_t r = 0; r < l->rows; r++)
      if (l->code[r] != c && s->constants[c] - l->first[c * ROWS + r] / 2 >= l->best[r])
        l->list[m++] = r;
    lane_compete(l, c, m, true);
  }
  for (int64_t r = 0; r < l->rows; r++) s->codes[l->at + r] = l->code[r] + 1;
}

static void block_scores(Lane *l) {
  const Density *s = l->s;
  for (int64_t r = 0; r < l->rows; r++) l->list[r] = r;
  for (int64_t c = 0; c < s->classes; c++) {
    memset(l->part, 0, (size_t)l->rows * sizeof *l->part);
    lane_center(l, c, l->rows, 0, s->d);
    for (int64_t j = 0; j < s->d; j += STRIP) lane_strip(l, c, j, l->rows);
    for (int64_t r = 0; r < l->rows; r++)
      mare_set_real(s->scores, (l->at + r) * s->classes + c, score_of(l, c, r));
  }
}

static void density_lane(void *ctx, int64_t i) {
  Density *s = ctx;
  Lane l = lane_open(s, i);
  for (int64_t b; (b = atomic_fetch_add(&s->next, 1)) * ROWS < s->n;) {
    if (mare_stopping()) return;
    lane_load(&l, b);
    if (s->scores) block_scores(&l);
    else block_classes(&l);
  }
}

/* the means in x's type, with what rounding takes off them, in one scratch */
static mare_Status split_means(mare_Heap *h, const mare_Tensor *means, Density *s) {
  const mare_Dtype dt = s->x->dtype;
  const int64_t n = means->numel;
  mare_Tensor whole = scratch_matrix(h, dt, 2, n), half[2];
  if (whole.data == NULL) return MARE_NOMEM;
  half[0] = rows_of(whole, 0, 1);
  half[1] = rows_of(whole, 1, 2);
  for (int64_t i = 0; i < n; i++) {
    const double mean = doubles(means)[i];
    mare_set_real(&half[0], i, mean);
    mare_set_real(&half[1], i, mean - mare_get_real(&half[0], i));
  }
  s->means = half[0].data;
  s->rests = half[1].data;
  return MARE_OK;
}

/* x, means, w, constants, order: the arguments of both routines */
static mare_Status density_run(mare_Heap *h, mare_Values *v, Density *s) {
  s->x = &v->t[0];
  s->w = &v->t[2];
  s->k = mare_bayes_kernels(s->x->dtype);
  s->constants = doubles(&v->t[3]);
  s->order = integers(&v->t[4]);
  s->n = s->x->shape[0];
  s->d = s->x->shape[1];
  s->classes = s->w->shape[0];
  s->lane = lane_bytes(s);
  const int64_t lanes = at_most(at_most(mare_threads(), LANES), (s->n + ROWS - 1) / ROWS);
  if (s->w->shape[1] != panel_size(s->d)) return MARE_BADARG;
  s->scratch = mare_scratch(h, (size_t)lanes * s->lane);
  const mare_Status st = s->scratch ? split_means(h, &v->t[1], s) : MARE_NOMEM;
  if (st == MARE_OK) mare_parallel(lanes, density_lane, s);
  mare_scratch_free(h, (void *)s->means);
  mare_scratch_free(h, s->scratch);
  return st;
}

/*
** x (n, d), means (k, d) and w (k, panel), transposes of L^-1 in strips, with the columns
** in an order (d), constants (k), order, scores (n, k)
*/
static mare_Status gaussian_scores(mare_Heap *h, mare_Values *v) {
  Density s = {.scores = &v->t[5]};
  return density_run(h, v, &s);
}

/* the same, and codes (n) of the best classes */
static mare_Status gaussian_classes(mare_Heap *h, mare_Values *v) {
  const int64_t k = v->t[2].shape[0], d = v->t[0].shape[1];
  double *guess = mare_scratch(h, (size_t)k * sizeof *guess);
  Density s = {.codes = (int64_t *)(void *)v->t[5].data, .guess = guess};
  if (guess == NULL) return MARE_NOMEM;
  for (int64_t c = 0; c < k; c++) { /* 1 / L is the diagonal of L^-1 */
    guess[c] = doubles(&v->t[3])[c] > -INFINITY ? 0 : -INFINITY;
    const mare_Tensor diagonal = strip_of(&v->t[2], c, d, 0);
    for (int64_t j = 0; j < diagonal.shape[0]; j++)
      guess[c] += log(mare_get_real(&diagonal, j * diagonal.stride[0] + j));
  }
  const mare_Status st = density_run(h, v, &s);
  mare_scratch_free(h, guess);
  return st;
}

typedef struct Distances {
  const mare_BayesKernels *k;
  const mare_Tensor *x;
  const double *means, *scales, *constants;
  int64_t n, d, classes;
  mare_Tensor *scores;
} Distances;

static void distance_piece(void *ctx, int64_t piece) {
  const Distances *s = ctx;
  const int64_t last = at_most(s->n, (piece + 1) * SHARE), d = s->d;
  for (int64_t i = piece * SHARE; i < last; i += 4)
    for (int64_t c = 0; c < s->classes; c++) {
      const double *mean = s->means + c * d, *scale = s->scales + c * d;
      double y[4];
      const int64_t rows = at_most(4, last - i);
      if (rows == 4) s->k->distance4(d, row_of(s->x, i), mean, scale, y);
      else
        for (int64_t r = 0; r < rows; r++)
          y[r] = s->k->distance(d, row_of(s->x, i + r), mean, scale);
      for (int64_t r = 0; r < rows; r++)
        mare_set_real(s->scores, (i + r) * s->classes + c, s->constants[c] - y[r] / 2);
    }
}

/* x (n, d), means (k, d), scales (k, d): 1 / variance, constants (k), scores (n, k) */
static mare_Status diagonal_scores(mare_Heap *h, mare_Values *v) {
  Distances s = {mare_bayes_kernels(v->t[0].dtype), &v->t[0], doubles(&v->t[1]),
                 doubles(&v->t[2]), doubles(&v->t[3]), v->t[0].shape[0],
                 v->t[0].shape[1], v->t[1].shape[0], &v->t[4]};
  (void)h;
  mare_parallel((s.n + SHARE - 1) / SHARE, distance_piece, &s);
  return MARE_OK;
}

const mare_RoutineRow mare_gaussian_routines[] = {
  {"gaussian_factor", "d:dd n n n n n ?i:d !r:pq", gaussian_factor},
  {"gaussian_panel", "n", gaussian_panel},
  {"gaussian_scores", "r:nd d:kd r:kp d:k i:d !r:nk", gaussian_scores},
  {"gaussian_classes", "r:nd d:kd r:kp d:k i:d !i:n", gaussian_classes},
  {"diagonal_scores", "r:nd d:kd d:kd d:k !r:nk", diagonal_scores},
  {NULL, NULL, NULL}};
