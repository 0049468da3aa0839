/*
** softmax.c -- softmax over one dimension, and cross-entropy on top of it.
**
** A softmax is a lane of c values.  Lanes are handed to the kernels of lanes.h TILE at
** a time; a lane of more than LONG values is cut up and all threads work on it.
*/
#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "lanes.h"

#define TILE MARE_TILE
#define PIECE 16384 /* values of one piece of a parallel job, about */
#define LONG 65536  /* values of a lane that is worth cutting up */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* -- lanes: tensors without the dimension that is normalised ---------------------- */

typedef struct Lanes {
  int nop;
  mare_Tensor t[3];  /* x, y; or y, gx, g: same shape, collapsed */
  int64_t along[3];  /* the stride of the dimension */
  int64_t c, blocks; /* blocks of TILE lanes along the last dimension, per piece */
  bool logarithm;
  mare_TileKernel *kernel;
} Lanes;

static int64_t inner(const mare_Tensor *t) { return t->shape[t->ndim - 1]; }

static char *at(const mare_Tensor *t, int64_t lane) {
  int64_t o = 0;
  for (int d = t->ndim - 1; d >= 0; d--) {
    o += lane % t->shape[d] * t->stride[d];
    lane /= t->shape[d];
  }
  return t->data + o * (int64_t)mare_sizeof[t->dtype];
}

/* lanes that lie side by side in memory come last, so that a tile reads whole lines */
static void closest_last(Lanes *p) {
  int last = p->t[0].ndim - 1, best = last;
  for (int d = 0; d < last; d++)
    if (p->t[0].shape[d] > 1 && p->t[0].stride[d] == 1 && p->t[1].stride[d] == 1)
      best = d;
  if (best != last)
    for (int k = 0; k < p->nop; k++) mare_transpose(&p->t[k], best, last);
}

static void set_lanes(Lanes *p, int dim, int nop, const mare_Tensor *const *op) {
  mare_Tensor *t[3] = {&p->t[0], &p->t[1], &p->t[2]};
  p->nop = nop;
  p->c = op[0]->shape[dim];
  for (int k = 0; k < nop; k++) {
    p->t[k] = *op[k];
    p->along[k] = p->c == 1 ? 1 : op[k]->stride[dim];
    p->t[k].shape[dim] = 1;
    p->t[k].numel /= p->c;
  }
  if (mare_collapse(nop, t) == 0)
    for (int k = 0; k < nop; k++)
      p->t[k].ndim = 1, p->t[k].shape[0] = 1, p->t[k].stride[0] = 0;
  closest_last(p);
}

static void run_blocks(void *ctx, int64_t piece) {
  const Lanes *p = ctx;
  int64_t m = inner(&p->t[0]), across = ceil_div(m, TILE),
          nblock = p->t[0].numel / m * across;
  int64_t end = least((piece + 1) * p->blocks, nblock);
  for (int64_t k = piece * p->blocks; k < end; k++) {
    int64_t j = k % across * TILE, lane = k / across * m + j, last = p->t[0].ndim - 1;
    mare_Tile t = {.c = p->c, .nl = least(TILE, m - j), .logarithm = p->logarithm};
    t.x = at(&p->t[0], lane), t.xs = p->along[0], t.xl = p->t[0].stride[last];
    t.y = at(&p->t[1], lane), t.ys = p->along[1], t.yl = p->t[1].stride[last];
    if (p->nop > 2)
      t.g = at(&p->t[2], lane), t.gs = p->along[2], t.gl = p->t[2].stride[last];
    p->kernel(&t);
  }
}

static void run_lanes(Lanes *p) {
  int64_t m = inner(&p->t[0]), nblock = p->t[0].numel / m * ceil_div(m, TILE), n;
  p->blocks = ceil_div(PIECE, least(m, TILE) * p->c);
  n = ceil_div(nblock, p->blocks);
  if (n == 1)
    run_blocks(p, 0);
  else
    mare_parallel(n, run_blocks, p);
}

/* -- one long lane, all threads --------------------------------------------------- */

#define MOST 1024 /* pieces of it */

typedef struct Long {
  const mare_Lanes *k;
  mare_Dtype dt;
  int64_t c, each; /* values; values of a piece */
  const char *x;
  char *y, *from; /* from: what the last pass reads */
  double m, scale, shift;
  bool logarithm;
  double part[MOST];
} Long;

static int64_t offset(const Long *p, int64_t piece) {
  return piece * p->each * (int64_t)mare_sizeof[p->dt];
}

static void long_max(void *ctx, int64_t i) {
  Long *p = ctx;
  mare_Partial s = {0, 0, 0, 0};
  p->k->chunk[MARE_MAX][p->dt](least(p->each, p->c - i * p->each), 1, p->x + offset(p, i),
                               0, 0, &s);
  p->part[i] = s.a;
}

static void long_exp(void *ctx, int64_t i) {
  Long *p = ctx;
  p->part[i] =
      p->k->exp_sum[p->dt](least(p->each, p->c - i * p->each), p->x + offset(p, i), p->m,
                           p->logarithm ? NULL : p->y + offset(p, i));
}

static void long_end(void *ctx, int64_t i) {
  Long *p = ctx;
  p->k->affine[p->dt](least(p->each, p->c - i * p->each), p->from + offset(p, i),
                      p->logarithm ? p->m : 0, p->scale, p->shift, p->y + offset(p, i));
}

static void long_lane(Long *p) {
  int64_t n = ceil_div(p->c, p->each = ceil_div(p->c, MOST) > PIECE ? ceil_div(p->c, MOST)
                                                                    : PIECE);
  double s = 0;
  mare_parallel(n, long_max, p);
  p->m = p->part[0];
  for (int64_t i = 1; i < n; i++)
    if (p->part[i] > p->m || p->part[i] != p->part[i]) p->m = p->part[i];
  mare_parallel(n, long_exp, p);
  for (int64_t i = 0; i < n; i++) s += p->part[i];
  p->scale = p->logarithm ? 1 : 1 / s;
  p->shift = p->logarithm ? log(s) : 0;
  p->from = p->logarithm ? (char *)(uintptr_t)p->x : p->y;
  mare_parallel(n, long_end, p);
}

static void run_long(const Lanes *p) {
  for (int64_t i = 0; i < p->t[0].numel; i++) {
    Long q = {.k = mare_lanes(p->t[0].dtype),
              .dt = p->t[0].dtype,
              .c = p->c,
              .logarithm = p->logarithm};
    q.x = at(&p->t[0], i);
    q.y = at(&p->t[1], i);
    long_lane(&q);
  }
}

/* -- softmax ---------------------------------------------------------------------- */

void mare_softmax(int dim, bool logarithm, const mare_Tensor *x, mare_Tensor *y) {
  const mare_Tensor *op[2] = {x, y};
  Lanes p = {.logarithm = logarithm};
  mare_Tensor v = *x, w = *y;
  if (x->numel == 0) return;
  if (x->ndim == 0) {
    mare_unsqueeze(&v, 0);
    mare_unsqueeze(&w, 0);
    op[0] = &v, op[1] = &w;
  }
  p.kernel = mare_lanes(x->dtype)->softmax[x->dtype];
  set_lanes(&p, dim, 2, op);
  if (p.c > LONG && p.t[0].numel < 16 && p.along[0] == 1 && p.along[1] == 1)
    run_long(&p);
  else
    run_lanes(&p);
}

void mare_softmax_backward(int dim, bool logarithm, const mare_Tensor *g,
                           const mare_Tensor *y, mare_Tensor *gx) {
  const mare_Tensor *op[3] = {y, gx, g};
  Lanes p = {.logarithm = logarithm};
  mare_Tensor v[3] = {*y, *gx, *g};
  if (y->numel == 0) return;
  if (y->ndim == 0)
    for (int k = 0; k < 3; k++) {
      mare_unsqueeze(&v[k], 0);
      op[k] = &v[k];
    }
  p.kernel = mare_lanes(y->dtype)->softmax_backward[y->dtype];
  set_lanes(&p, dim, 3, op);
  run_lanes(&p);
}

/* -- cross-entropy ---------------------------------------------------------------- */

/*
** Row i pays -sum_k q_k log softmax(x)_k with q_k = w_k (keep t_k + spread): t is 1 at
** the label, or given; keep = 1 - smoothing, spread = smoothing / c.
*/
typedef struct Rows {
  const mare_CrossEntropy *ce;
  const mare_Lanes *k;
  mare_Dtype dt;
  int64_t n, c, each;
  double keep, spread, weights; /* weights: their sum */
  mare_Tensor *loss, *gx;
  const mare_Tensor *g;
} Rows;

static void *element(const mare_Tensor *t, int64_t i) {
  return t->data + i * (int64_t)mare_sizeof[t->dtype];
}

static int64_t label_of(const Rows *p, int64_t i) {
  const mare_Tensor *t = p->ce->labels;
  return ((const int64_t *)t->data)[i * t->stride[0]];
}

static bool ignored(const Rows *p, int64_t i) {
  return p->ce->labels && p->ce->ignore != 0 && label_of(p, i) == p->ce->ignore;
}

static double weight_of(const Rows *p, int64_t k) {
  const mare_Tensor *w = p->ce->weight;
  return w ? mare_get_real(w, (k - 1) * w->stride[0]) : 1;
}

/* the part of q that is spread over all classes */
static mare_Mix mix_of(const Rows *p, int64_t i) {
  const mare_Tensor *t = p->ce->target, *w = p->ce->weight;
  mare_Mix q = {.c = p->c, .keep = p->keep, .spread = p->spread};
  if (t) q.t = element(t, i * t->stride[0]), q.ts = t->stride[1];
  if (w) q.w = w->data, q.ws = w->stride[0];
  return q;
}

static bool is_mixed(const Rows *p) { return p->ce->target || p->spread != 0; }

static double row_loss(const Rows *p, int64_t i, double m, double l) {
  const mare_Tensor *x = p->ce->logits;
  mare_Mix q;
  double loss = 0, sum;
  if (ignored(p, i)) return 0;
  if (is_mixed(p)) {
    q = mix_of(p, i);
    loss =
        -p->k->mix_dot[p->dt](&q, element(x, i * x->stride[0]), x->stride[1], m, l, &sum);
  }
  if (p->ce->labels) {
    int64_t k = label_of(p, i);
    double d = mare_get_real(x, i * x->stride[0] + (k - 1) * x->stride[1]) - m - l;
    loss -= p->keep * weight_of(p, k) * d;
  }
  return loss;
}

static mare_Tile tile_of(const Rows *p, int64_t i, int64_t end) {
  const mare_Tensor *x = p->ce->logits;
  mare_Tile t = {.c = p->c, .nl = least(TILE, end - i)};
  t.x = element(x, i * x->stride[0]);
  t.xs = x->stride[1], t.xl = x->stride[0];
  return t;
}

static void forward_rows(void *ctx, int64_t piece) {
  const Rows *p = ctx;
  int64_t end = least((piece + 1) * p->each, p->n);
  double m[TILE], l[TILE];
  for (int64_t i = piece * p->each; i < end; i += TILE) {
    mare_Tile t = tile_of(p, i, end);
    p->k->stats[p->dt](&t, m, l);
    for (int64_t j = 0; j < t.nl; j++)
      mare_set_real(p->loss, (i + j) * p->loss->stride[0],
                    row_loss(p, i + j, m[j], l[j]));
  }
}

/* the sum of q of row i: what its softmax is multiplied by */
static double row_weight(const Rows *p, int64_t i) {
  mare_Mix q;
  double sum;
  if (ignored(p, i)) return 0;
  if (p->ce->labels)
    return p->keep * weight_of(p, label_of(p, i)) + p->spread * p->weights;
  q = mix_of(p, i);
  p->k->mix_dot[p->dt](&q, q.t, q.ts, 0, 0, &sum);
  return sum;
}

/* gx_i, which holds g_i softmax(x)_i sum q, minus g_i q */
static void subtract_target(const Rows *p, int64_t i, double g) {
  void *gx = element(p->gx, i * p->c);
  mare_Mix q;
  if (ignored(p, i)) {
    memset(gx, 0, (size_t)p->c * mare_sizeof[p->dt]);
    return;
  }
  if (is_mixed(p)) {
    q = mix_of(p, i);
    p->k->mix_subtract[p->dt](&q, g, gx);
  }
  if (p->ce->labels) {
    int64_t k = label_of(p, i), o = i * p->c + k - 1;
    mare_set_real(p->gx, o, mare_get_real(p->gx, o) - g * p->keep * weight_of(p, k));
  }
}

static void backward_rows(void *ctx, int64_t piece) {
  const Rows *p = ctx;
  int64_t end = least((piece + 1) * p->each, p->n);
  double g[TILE], scale[TILE];
  for (int64_t i = piece * p->each; i < end; i += TILE) {
    mare_Tile t = tile_of(p, i, end);
    t.y = element(p->gx, i * p->c), t.ys = 1, t.yl = p->c;
    t.scale = scale;
    for (int64_t j = 0; j < t.nl; j++) {
      g[j] = mare_get_real(p->g, (i + j) * p->g->stride[0]);
      scale[j] = g[j] * row_weight(p, i + j);
    }
    p->k->softmax[p->dt](&t);
    for (int64_t j = 0; j < t.nl; j++) subtract_target(p, i + j, g[j]);
  }
}

static Rows rows_of(const mare_CrossEntropy *ce) {
  Rows p = {.ce = ce,
            .k = mare_lanes(ce->logits->dtype),
            .dt = ce->logits->dtype,
            .n = ce->logits->shape[0],
            .c = ce->logits->shape[1]};
  p.keep = 1 - ce->smoothing;
  p.spread = ce->smoothing / (double)p.c;
  for (int64_t k = 1; k <= p.c && p.spread != 0; k++) p.weights += weight_of(&p, k);
  p.each = ceil_div(ceil_div(PIECE, p.c + 1), TILE) * TILE;
  return p;
}

static void run_rows(Rows *p, mare_Piece *run) {
  int64_t n = ceil_div(p->n, p->each);
  if (n == 1)
    run(p, 0);
  else
    mare_parallel(n, run, p);
}

mare_Status mare_cross_entropy(const mare_CrossEntropy *ce, mare_Tensor *loss,
                               double *total, int64_t *bad) {
  Rows p = rows_of(ce);
  p.loss = loss;
  *total = ce->labels ? 0 : (double)p.n;
  for (int64_t i = 0; ce->labels && i < p.n; i++) {
    int64_t k = label_of(&p, i);
    if (ignored(&p, i)) continue;
    if (k < 1 || k > p.c) {
      *bad = i + 1;
      return MARE_BADARG;
    }
    *total += weight_of(&p, k);
  }
  run_rows(&p, forward_rows);
  return MARE_OK;
}

void mare_cross_entropy_backward(const mare_CrossEntropy *ce, const mare_Tensor *g,
                                 mare_Tensor *gx) {
  Rows p = rows_of(ce);
  p.g = g;
  p.gx = gx;
  if (p.c > 0) run_rows(&p, backward_rows);
}
