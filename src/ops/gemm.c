/*
** gemm.c -- matrix products.  A product is cut into pieces by its shape alone and
** the pool runs them; a piece is one call of BLIS on one thread, or of the small
** kernels where these are faster or BLIS does not take the strides.  The only
** file that knows BLIS.
*/
#include <blis.h>

#include "../base/pool.h"
#include "gemm_small.h"
#include "ops.h"

/*
** What was measured, by instruction set, in multiply-adds: products above blis (f32,
** f64) go to BLIS, if it takes their strides; a piece holds about `piece` (f32, f64),
** or a 64th of the whole if that is more.  Below two pieces the other threads are not
** worth waking.
*/
typedef struct Plan {
  mare_SmallGemm *const *small;
  double blis[MARE_NREAL], piece[MARE_NREAL];
} Plan;

static const Plan plans[] = {
  {mare_gemm_avx512, {2e9, 1e8}, {100000, 50000}},
  {mare_gemm_avx2, {5e7, 5e7}, {100000, 50000}},
  {mare_gemm_base, {2e7, 5e6}, {75000, 40000}},
};

enum {
  PIECES = 64,   /* of one product, about */
  FAR = 250000,  /* b is big: it spans so many numbers */
  NEAR = 130000, /* b is small */
  LARGE = 100000 /* c is large: it has more numbers */
};

#define LONG 5e7 /* multiply-adds of a part: a few milliseconds */

static const Plan *plan(void) {
  const char *isa = mare_isa();
  const Plan *p = &plans[isa[0] == 'b' ? 2 : isa[3] == '5' ? 0 : 1];
  return p->small[0] ? p : &plans[2];
}

/* -- BLIS ---------------------------------------------------------------------------- */

/* BLIS aborts on strides that are 0 or overlap */
static bool sane(int64_t m, int64_t n, int64_t rs, int64_t cs) {
  if (rs <= 0 || cs <= 0) return false;
  return rs >= n * cs || cs >= m * rs;
}

/* the stride of a dimension of size 1 is free: make it one that BLIS takes */
static void mend(int64_t m, int64_t n, int64_t *rs, int64_t *cs) {
  if (n == 1) *cs = 1;
  if (m == 1) *rs = n * *cs;
  else if (n == 1 && *rs > 0) *cs = m * *rs;
}

static bool blis_takes(mare_Product *g) {
  mend(g->m, g->k, &g->ai, &g->ap);
  mend(g->k, g->n, &g->bp, &g->bj);
  mend(g->m, g->n, &g->ci, &g->cj);
  return g->k > 0 && sane(g->m, g->k, g->ai, g->ap) && sane(g->k, g->n, g->bp, g->bj) &&
         sane(g->m, g->n, g->ci, g->cj);
}

/* c = e, so that beta e becomes beta c */
static void place(const mare_Product *g, mare_Dtype dt) {
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      const int64_t to = i * g->ci + j * g->cj, from = i * g->ei + j * g->ej;
      if (dt == MARE_F32) ((float *)g->c)[to] = ((const float *)g->e)[from];
      else ((double *)g->c)[to] = ((const double *)g->e)[from];
    }
}

#define ASIS BLIS_NO_TRANSPOSE

static void blis(const mare_Product *g, mare_Dtype dt) {
  rntm_t one_thread = BLIS_RNTM_INITIALIZER;
  void *a = (void *)g->a, *b = (void *)g->b;
  float one = 1, beta = (float)g->beta;
  double one64 = 1, beta64 = g->beta;
  bli_rntm_set_num_threads(1, &one_thread);
  if (g->beta != 0 && g->e != g->c) place(g, dt);
  if (dt == MARE_F32)
    bli_sgemm_ex(ASIS, ASIS, g->m, g->n, g->k, &one, a, g->ai, g->ap, b, g->bp, g->bj,
                 &beta, g->c, g->ci, g->cj, NULL, &one_thread);
  else
    bli_dgemm_ex(ASIS, ASIS, g->m, g->n, g->k, &one64, a, g->ai, g->ap, b, g->bp, g->bj,
                 &beta64, g->c, g->ci, g->cj, NULL, &one_thread);
}

static double work_of(const mare_Product *g) {
  return (double)g->m * (double)g->n * (double)g->k;
}

/* what computes g: the small kernels, or NULL for BLIS, whose strides g then has */
static mare_SmallGemm *engine(const Plan *p, mare_Product *g, mare_Dtype dt) {
  return work_of(g) > p->blis[dt] && blis_takes(g) ? NULL : p->small[dt];
}

/* -- pieces -------------------------------------------------------------------------- */

typedef struct Job {
  mare_Product g;         /* the first product of the batch */
  mare_Dtype dtype;
  mare_SmallGemm *small;  /* NULL: BLIS */
  int64_t batch;          /* products ... */
  int64_t ab, bb, cb;     /* ... so far apart */
  int64_t tm, tn;         /* rows and columns of a piece */
  int64_t down, across;   /* pieces of one product */
  int64_t group;          /* products of a piece, when it is whole products */
  bool turned;            /* pieces are counted column by column */
} Job;

static const void *at(const void *p, int64_t offset, mare_Dtype dt) {
  return (const char *)p + offset * (int64_t)mare_sizeof[dt];
}

/* a piece of product b: rows from i on and columns from j on */
static mare_Product part_of(const Job *w, int64_t b, int64_t i, int64_t j) {
  mare_Product g = w->g;
  const mare_Dtype dt = w->dtype;
  g.a = at(g.a, b * w->ab + i * g.ai, dt);
  g.b = at(g.b, b * w->bb + j * g.bj, dt);
  if (g.beta != 0) g.e = at(g.e, b * w->cb + i * g.ei + j * g.ej, dt);
  g.c = (void *)at(g.c, b * w->cb + i * g.ci + j * g.cj, dt);
  g.m = g.m - i < w->tm ? g.m - i : w->tm;
  g.n = g.n - j < w->tn ? g.n - j : w->tn;
  return g;
}

/*
** Long ones in parts along k, so that they can be ended: c is written once more for
** each, and nothing is packed twice.
*/
static void multiply(const Job *w, mare_Product g) {
  const double across = (double)g.m * (double)g.n;
  const int64_t part = (int64_t)(LONG / across) / 256 * 256 + 256, k = g.k;
  for (int64_t p = 0; p == 0 || (p < k && !mare_stopping()); p += part) {
    g.k = k - p < part ? k - p : part;
    if (w->small) w->small(&g);
    else blis(&g, w->dtype);
    g.a = at(g.a, part * g.ap, w->dtype);
    g.b = at(g.b, part * g.bp, w->dtype);
    g.beta = 1;
    g.e = g.c;
    g.ei = g.ci;
    g.ej = g.cj;
  }
}

static void piece(void *ctx, int64_t q) {
  const Job *w = ctx;
  const int64_t tiles = w->down * w->across, t = q % tiles;
  const int64_t i = w->turned ? t % w->down : t / w->across;
  const int64_t j = w->turned ? t / w->down : t % w->across;
  const int64_t first = q / tiles * w->group;
  const int64_t end = first + w->group < w->batch ? first + w->group : w->batch;
  for (int64_t b = first; b < end; b++)
    multiply(w, part_of(w, b, i * w->tm, j * w->tn));
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t halve(int64_t n, int64_t unit) {
  return ceil_div(ceil_div(n, 2), unit) * unit;
}

/*
** Halves the side that is longer for its kind until a piece holds little enough
** work: long rows and columns first, short ones only if that was not enough.  Where
** b is contiguous along its rows, a big one is read in long stretches, and with a
** small one whole rows of c are written.
*/
static void cut(Job *w, double work) {
  static const struct { int tm, tn; } least[] = {{96, 64}, {32, 32}};
  const mare_Product *g = &w->g;
  const bool rows = g->bj == 1, far = rows && (double)g->k * (double)g->bp > FAR;
  const bool whole = rows && (double)g->k * (double)g->n < NEAR &&
                     (double)g->m * (double)g->n > LARGE;
  w->tm = g->m;
  w->tn = g->n;
  for (int q = 0; q < 2; q++) {
    const int64_t tm = far ? 96 : least[q].tm;
    const int64_t tn = whole ? g->n : far ? 256 : least[q].tn;
    while ((double)w->tm * (double)w->tn * (double)g->k > work &&
           (w->tm > tm || w->tn > tn)) {
      const bool wider = !far && w->tn * tm >= w->tm * tn;
      if (w->tn > tn && (wider || w->tm <= tm)) w->tn = halve(w->tn, 32);
      else w->tm = halve(w->tm, 8);
    }
  }
}

/*
** Threads take pieces in ranges (pool.c), and the larger operand should be split among
** them: a layer's weights then stay in the caches of the threads that update them.
*/
static void run(Job *w, const Plan *p) {
  const double work = work_of(&w->g), all = work * (double)w->batch;
  const double least = p->piece[w->dtype];
  const double share = all / PIECES > least ? all / PIECES : least;
  w->small = engine(p, &w->g, w->dtype);
  cut(w, share);
  w->down = ceil_div(w->g.m, w->tm);
  w->across = ceil_div(w->g.n, w->tn);
  w->turned = w->g.n > w->g.m;
  w->group = w->down * w->across == 1 && work < share ? (int64_t)(share / (work + 1)) : 1;
  if (w->group < 1) w->group = 1;
  mare_parallel(ceil_div(w->batch, w->group) * w->down * w->across, piece, w);
}

static void run_whole(mare_Product *g, mare_Dtype dt) {
  if (g->m == 0 || g->n == 0) return;
  mare_SmallGemm *small = engine(plan(), g, dt);
  if (small) small(g);
  else blis(g, dt);
}

/* one product; most are too small to cut */
static void run_one(mare_Product *g, mare_Dtype dt) {
  const Plan *p = plan();
  if (work_of(g) <= 2 * p->piece[dt]) {
    run_whole(g, dt);
    return;
  }
  Job w = {.g = *g, .dtype = dt, .batch = 1};
  run(&w, p);
}

/* -- tensors ------------------------------------------------------------------------- */

/* the matrices of a, b and c; the last two dimensions of a batch */
static mare_Product product(const mare_Tensor *a, const mare_Tensor *b, double beta,
                            const mare_Tensor *c) {
  const int i = c->ndim - 2, j = c->ndim - 1;
  const mare_Product g = {
    .m = c->shape[i], .n = c->shape[j], .k = a->shape[j],
    .a = a->data, .b = b->data, .c = c->data, .e = c->data,
    .ai = a->stride[i], .ap = a->stride[j], .bp = b->stride[i], .bj = b->stride[j],
    .ci = c->stride[i], .cj = c->stride[j], .ei = c->stride[i], .ej = c->stride[j],
    .beta = beta
  };
  return g;
}

/* one product with more rows instead of a batch: b repeats and a and c follow on */
static bool merge(Job *w) {
  mare_Product *g = &w->g;
  if (g->m == 1) { /* the stride of one row is free */
    g->ai = w->ab;
    g->ci = g->ei = w->cb;
  }
  if (w->bb != 0 || w->ab != g->m * g->ai || w->cb != g->m * g->ci) return false;
  g->m *= w->batch;
  return true;
}

void mare_gemm(const mare_Tensor *a, const mare_Tensor *b, double beta, mare_Tensor *c) {
  mare_Product g = product(a, b, beta, c);
  if (c->ndim == 2) {
    run_one(&g, c->dtype);
    return;
  }
  Job w = {.g = g, .dtype = c->dtype, .batch = c->shape[0], .ab = a->stride[0],
           .bb = b->stride[0], .cb = c->stride[0]};
  if (w.batch == 1 || merge(&w)) run_one(&w.g, c->dtype);
  else if (c->numel > 0) run(&w, plan());
}

void mare_gemm_whole(const mare_Tensor *a, const mare_Tensor *b, double beta,
                     mare_Tensor *c) {
  mare_Product g = product(a, b, beta, c);
  run_whole(&g, c->dtype);
}

/* x is (n, c), w is (k, c), bias is (k); y = x w' + bias is (n, k) */
void mare_linear(const mare_Tensor *x, const mare_Tensor *w, const mare_Tensor *bias,
                 mare_Tensor *y) {
  mare_Product g = {
    .m = y->shape[0], .n = y->shape[1], .k = x->shape[1],
    .a = x->data, .b = w->data, .c = y->data, .e = bias ? bias->data : NULL,
    .ai = x->stride[0], .ap = x->stride[1], .bp = w->stride[1], .bj = w->stride[0],
    .ci = y->stride[0], .cj = y->stride[1], .ei = 0, .ej = bias ? bias->stride[0] : 0,
    .beta = bias ? 1 : 0
  };
  run_one(&g, y->dtype);
}

/* -- the plain product --------------------------------------------------------------- */

void mare_gemm_plain(const mare_Tensor *a, const mare_Tensor *b, double beta,
                     mare_Tensor *c) {
  const int d = c->ndim - 2;
  const int64_t batch = d == 1 ? c->shape[0] : 1, as = d == 1 ? a->stride[0] : 0;
  const int64_t bs = d == 1 ? b->stride[0] : 0, cs = d == 1 ? c->stride[0] : 0;
  for (int64_t q = 0; q < batch; q++)
    for (int64_t i = 0; i < c->shape[d]; i++)
      for (int64_t j = 0; j < c->shape[d + 1]; j++) {
        const int64_t to = q * cs + i * c->stride[d] + j * c->stride[d + 1];
        double sum = beta == 0 ? 0 : beta * mare_get_real(c, to);
        for (int64_t p = 0; p < a->shape[d + 1]; p++)
          sum += mare_get_real(a, q * as + i * a->stride[d] + p * a->stride[d + 1]) *
                 mare_get_real(b, q * bs + p * b->stride[d] + j * b->stride[d + 1]);
        mare_set_real(c, to, sum);
      }
}
