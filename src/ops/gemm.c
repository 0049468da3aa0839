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
** What was measured, by instruction set: above which work (multiply-adds) a piece
** goes to BLIS, for f32 and f64; how much work one piece should hold.
*/
typedef struct Plan {
  const char *isa;
  mare_SmallGemm *const *small;
  int64_t blis[MARE_NREAL];
  int64_t piece;
} Plan;

static const Plan plans[] = {
  {"avx512", mare_gemm_avx512, {INT64_MAX, INT64_MAX}, 500000},
  {"avx2", mare_gemm_avx2, {200000, 200000}, 400000},
  {"base", mare_gemm_base, {20000, 20000}, 200000},
};

static const Plan *plan (void) {
  const char *isa = mare_isa();
  return &plans[isa[0] == 'b' ? 2 : isa[3] == '5' ? 0 : 1];
}

/* -- BLIS -------------------------------------------------------------------------------- */

/* BLIS aborts on strides that are 0 or overlap */
static bool sane (int64_t m, int64_t n, int64_t rs, int64_t cs) {
  if (rs <= 0 || cs <= 0) return false;
  return rs >= n * cs || cs >= m * rs;
}

/* the stride of a dimension of size 1 is free: make it one that BLIS takes */
static void mend (int64_t m, int64_t n, int64_t *rs, int64_t *cs) {
  if (n == 1) *cs = 1;
  if (m == 1) *rs = n * *cs;
  else if (n == 1 && *rs > 0) *cs = m * *rs;
}

static bool blis_takes (mare_Product *g) {
  mend(g->m, g->k, &g->ai, &g->ap);
  mend(g->k, g->n, &g->bp, &g->bj);
  mend(g->m, g->n, &g->ci, &g->cj);
  return g->k > 0 && sane(g->m, g->k, g->ai, g->ap) && sane(g->k, g->n, g->bp, g->bj) &&
         sane(g->m, g->n, g->ci, g->cj);
}

/* c = e, so that beta e becomes beta c */
static void place (const mare_Product *g, mare_Dtype dt) {
  const char *e = g->e;
  char *c = g->c;
  const int64_t size = (int64_t)mare_sizeof[dt];
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      const int64_t to = (i * g->ci + j * g->cj) * size, from = (i * g->ei + j * g->ej) * size;
      if (dt == MARE_F32) *(float *)(c + to) = *(const float *)(e + from);
      else *(double *)(c + to) = *(const double *)(e + from);
    }
}

static void call_blis (const mare_Product *g, mare_Dtype dt) {
  rntm_t one_thread = BLIS_RNTM_INITIALIZER;
  bli_rntm_set_num_threads(1, &one_thread);
  if (dt == MARE_F32) {
    float one = 1, beta = (float)g->beta;
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, g->m, g->n, g->k, &one, (float *)g->a,
                 g->ai, g->ap, (float *)g->b, g->bp, g->bj, &beta, g->c, g->ci, g->cj, NULL,
                 &one_thread);
  }
  else {
    double one = 1, beta = g->beta;
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, g->m, g->n, g->k, &one, (double *)g->a,
                 g->ai, g->ap, (double *)g->b, g->bp, g->bj, &beta, g->c, g->ci, g->cj, NULL,
                 &one_thread);
  }
}

static void blis (const mare_Product *g, mare_Dtype dt) {
  if (g->beta != 0 && g->e != g->c) place(g, dt);
  call_blis(g, dt);
}

/* -- pieces ------------------------------------------------------------------------------ */

typedef struct Job {
  mare_Product g;         /* the first product of the batch */
  mare_Dtype dtype;
  mare_SmallGemm *small;  /* NULL: BLIS */
  int64_t batch;          /* products ... */
  int64_t ab, bb, eb, cb; /* ... so far apart */
  int64_t tm, tn;         /* rows and columns of a piece */
  int64_t down, across;   /* pieces of one product */
  int64_t group;          /* products of a piece, when it is whole products */
} Job;

static const void *at (const void *p, int64_t offset, mare_Dtype dt) {
  return (const char *)p + offset * (int64_t)mare_sizeof[dt];
}

/* rows i .. i + m - 1 and columns j .. j + n - 1 of product b */
static mare_Product part_of (const Job *w, int64_t b, int64_t i, int64_t j) {
  mare_Product g = w->g;
  const mare_Dtype dt = w->dtype;
  g.a = at(g.a, b * w->ab + i * g.ai, dt);
  g.b = at(g.b, b * w->bb + j * g.bj, dt);
  g.e = g.beta == 0 ? g.e : at(g.e, b * w->eb + i * g.ei + j * g.ej, dt);
  g.c = (void *)at(g.c, b * w->cb + i * g.ci + j * g.cj, dt);
  g.m = g.m - i < w->tm ? g.m - i : w->tm;
  g.n = g.n - j < w->tn ? g.n - j : w->tn;
  return g;
}

static void compute (const Job *w, const mare_Product *g) {
  if (w->small) w->small(g);
  else blis(g, w->dtype);
}

static void piece (void *ctx, int64_t q) {
  const Job *w = ctx;
  const int64_t tiles = w->down * w->across;
  const int64_t first = q / tiles * w->group, t = q % tiles;
  const int64_t end = first + w->group < w->batch ? first + w->group : w->batch;
  for (int64_t b = first; b < end; b++) {
    const mare_Product g = part_of(w, b, t / w->across * w->tm, t % w->across * w->tn);
    compute(w, &g);
  }
}

static int64_t ceil_div (int64_t a, int64_t b) { return (a + b - 1) / b; }

/* halves the longer side until a piece holds little enough work */
static void cut (Job *w, int64_t work) {
  const mare_Product *g = &w->g;
  w->tm = g->m;
  w->tn = g->n;
  while ((double)w->tm * (double)w->tn * (double)g->k > (double)work) {
    if (w->tn > 32 && w->tn >= w->tm) w->tn = ceil_div(ceil_div(w->tn, 2), 32) * 32;
    else if (w->tm > 24) w->tm = ceil_div(ceil_div(w->tm, 2), 12) * 12;
    else if (w->tn > 32) w->tn = ceil_div(ceil_div(w->tn, 2), 32) * 32;
    else break;
  }
}

static void plan_pieces (Job *w) {
  const Plan *p = plan();
  const double work = (double)w->g.m * (double)w->g.n * (double)(w->g.k + 1);
  const bool big = work > (double)p->blis[w->dtype];
  w->small = big && blis_takes(&w->g) ? NULL : p->small[w->dtype];
  cut(w, p->piece);
  w->down = ceil_div(w->g.m, w->tm);
  w->across = ceil_div(w->g.n, w->tn);
  w->group = w->down * w->across > 1 ? 1 : (int64_t)((double)p->piece / work);
  if (w->group < 1) w->group = 1;
}

static void run (Job *w) {
  if (w->batch == 0 || w->g.m == 0 || w->g.n == 0) return;
  plan_pieces(w);
  const int64_t n = ceil_div(w->batch, w->group) * w->down * w->across;
  if (n > 1) mare_parallel(n, piece, w);
  else piece(w, 0);
}

/* -- tensors ------------------------------------------------------------------------------ */

/* one product with more rows instead of a batch, where b repeats and the rest follows on */
static void merge (Job *w) {
  mare_Product *g = &w->g;
  if (g->m == 1) { /* the stride of one row is free */
    g->ai = w->ab;
    g->ci = g->ei = w->cb;
  }
  if (w->bb != 0 || w->ab != g->m * g->ai || w->cb != g->m * g->ci) return;
  g->m *= w->batch;
  w->batch = 1;
}

void mare_gemm (const mare_Tensor *a, const mare_Tensor *b, double beta, mare_Tensor *c) {
  const int d = c->ndim - 2; /* where the matrices begin */
  Job w = {
    .g = {.m = c->shape[d], .n = c->shape[d + 1], .k = a->shape[d + 1],
          .a = a->data, .b = b->data, .c = c->data, .e = c->data,
          .ai = a->stride[d], .ap = a->stride[d + 1], .bp = b->stride[d],
          .bj = b->stride[d + 1], .ei = c->stride[d], .ej = c->stride[d + 1],
          .ci = c->stride[d], .cj = c->stride[d + 1], .beta = beta},
    .dtype = c->dtype, .batch = 1
  };
  if (d == 1) {
    w.batch = c->shape[0];
    w.ab = a->stride[0];
    w.bb = b->stride[0];
    w.cb = w.eb = c->stride[0];
    if (w.batch > 1) merge(&w);
  }
  run(&w);
}

/* x is (n, c), w is (k, c), bias is (k); y = x w' + bias is (n, k) */
void mare_linear (const mare_Tensor *x, const mare_Tensor *w, const mare_Tensor *bias,
                  mare_Tensor *y) {
  Job j = {
    .g = {.m = y->shape[0], .n = y->shape[1], .k = x->shape[1],
          .a = x->data, .b = w->data, .c = y->data, .e = bias ? bias->data : NULL,
          .ai = x->stride[0], .ap = x->stride[1], .bp = w->stride[1], .bj = w->stride[0],
          .ei = 0, .ej = bias ? bias->stride[0] : 0,
          .ci = y->stride[0], .cj = y->stride[1], .beta = bias ? 1 : 0},
    .dtype = y->dtype, .batch = 1
  };
  run(&j);
}

/* -- the plain product ---------------------------------------------------------------------- */

void mare_gemm_plain (const mare_Tensor *a, const mare_Tensor *b, double beta,
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
