/*
** conv.c -- convolutions: patches to columns, one product for each sample and group.
** Samples are dealt out to a number of pieces that depends on the shape alone; each has
** its own columns, and its own sum of a weight's gradient, added up in order.
*/
#include "conv.h"

#include <string.h>

#include "../base/pool.h"
#include "../base/storage.h"
#include "ops.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t span(int64_t k, int64_t dilation) { return (k - 1) * dilation + 1; }

bool mare_conv_fit(mare_Conv *g) {
  const int64_t down = g->h + 2 * g->ph - span(g->kh, g->dh);
  const int64_t across = g->w + 2 * g->pw - span(g->kw, g->dw);
  if (down < 0 || across < 0) return false;
  g->oh = down / g->sh + 1;
  g->ow = across / g->sw + 1;
  return true;
}

/* -- patches and columns ------------------------------------------------------------- */

/* the outputs ox in [*lo, *hi) whose input ox stride + from lies within 0 .. n - 1 */
static void inside(int64_t from, int64_t stride, int64_t n, int64_t outputs, int64_t *lo,
                   int64_t *hi) {
  *lo = from >= 0 ? 0 : least((-from + stride - 1) / stride, outputs);
  *hi = from >= n ? 0 : least((n - 1 - from) / stride + 1, outputs);
  if (*hi < *lo) *hi = *lo;
}

#define PATIENCE 65536 /* elements, and then it is asked whether to go on */

/* n more are about to be done: is it time to ask, and to stop? */
static bool stopping(int64_t *done, int64_t n) {
  if ((*done += n) < PATIENCE) return false;
  *done = 0;
  return mare_stopping();
}

#define real float
#define K(name) name##_f32
#include "conv.inc.c"
#define real double
#define K(name) name##_f64
#include "conv.inc.c"

typedef void Columns(const mare_Conv *g, int64_t c, const void *x, void *cols);
typedef void Planes(const mare_Conv *g, int64_t c, const void *cols, void *x);

static Columns *const to_columns[MARE_NREAL] = {columns_f32, columns_f64};
static Planes *const to_planes[MARE_NREAL] = {planes_f32, planes_f64};
static Planes *const largest[MARE_NREAL] = {largest_f32, largest_f64};

/* -- products ------------------------------------------------------------------------ */

#define PIECES 32 /* samples and groups are dealt out to so many, at most */

typedef struct Job {
  const mare_Conv *g;
  mare_Dtype dtype;
  int64_t size;               /* of an element */
  const char *x, *w, *bias, *gy;
  char *y, *gx, *gw;
  char *cols, *sums;          /* of all pieces */
  int64_t pieces, k, l;       /* rows and columns of a matrix of columns */
  bool plain;                 /* a 1 x 1 kernel: x is its own columns */
} Job;

static mare_Tensor matrix(const Job *j, const void *data, int64_t m, int64_t n) {
  mare_Tensor t = {.data = (char *)(uintptr_t)data, .dtype = j->dtype, .ndim = 2,
                   .numel = m * n, .shape = {m, n}, .stride = {n, 1}};
  return t;
}

static mare_Tensor turned(mare_Tensor t) {
  const int64_t shape = t.shape[0], stride = t.stride[0];
  t.shape[0] = t.shape[1], t.stride[0] = t.stride[1];
  t.shape[1] = shape, t.stride[1] = stride;
  return t;
}

static const char *weight_of(const Job *j, const char *w, int64_t group) {
  return w + group * (j->g->o / j->g->groups) * j->k * j->size;
}

/* the place of a group's part in a sample of x, or of y */
static int64_t in_x(const Job *j, int64_t i, int64_t group) {
  const mare_Conv *g = j->g;
  return (i * g->c + group * (g->c / g->groups)) * g->h * g->w * j->size;
}

static int64_t in_y(const Job *j, int64_t i, int64_t group) {
  return (i * j->g->o + group * (j->g->o / j->g->groups)) * j->l * j->size;
}

static const char *columns_of(const Job *j, char *cols, int64_t i, int64_t group) {
  const char *x = j->x + in_x(j, i, group);
  if (j->plain) return x;
  to_columns[j->dtype](j->g, j->g->c / j->g->groups, x, cols);
  return cols;
}

static void forward(const Job *j, char *cols, char *sum, int64_t i, int64_t group) {
  const int64_t o = j->g->o / j->g->groups;
  mare_Tensor w = matrix(j, weight_of(j, j->w, group), o, j->k);
  mare_Tensor x = matrix(j, columns_of(j, cols, i, group), j->k, j->l);
  mare_Tensor y = matrix(j, j->y + in_y(j, i, group), o, j->l);
  (void)sum;
  if (j->bias) {
    mare_Tensor b = matrix(j, j->bias + group * o * j->size, o, j->l);
    b.stride[0] = 1, b.stride[1] = 0;
    mare_copy(&y, &b);
  }
  mare_gemm(&w, &x, j->bias != NULL, &y);
}

static void backward(const Job *j, char *cols, char *sum, int64_t i, int64_t group) {
  const int64_t o = j->g->o / j->g->groups;
  mare_Tensor w = turned(matrix(j, weight_of(j, j->w, group), o, j->k));
  mare_Tensor gy = matrix(j, j->gy + in_y(j, i, group), o, j->l);
  char *gx = j->gx + in_x(j, i, group);
  mare_Tensor t = matrix(j, j->plain ? gx : cols, j->k, j->l);
  (void)sum;
  mare_gemm(&w, &gy, 0, &t);
  if (!j->plain) to_planes[j->dtype](j->g, j->g->c / j->g->groups, cols, gx);
}

static void weight(const Job *j, char *cols, char *sum, int64_t i, int64_t group) {
  const int64_t o = j->g->o / j->g->groups;
  mare_Tensor gy = matrix(j, j->gy + in_y(j, i, group), o, j->l);
  mare_Tensor x = turned(matrix(j, columns_of(j, cols, i, group), j->k, j->l));
  mare_Tensor gw = matrix(j, weight_of(j, sum, group), o, j->k);
  mare_gemm(&gy, &x, 1, &gw);
}

/* -- pieces -------------------------------------------------------------------------- */

typedef void Step(const Job *j, char *cols, char *sum, int64_t i, int64_t group);

typedef struct Work {
  Job j;
  Step *step;
} Work;

static int64_t weights(const Job *j) { return j->g->o * j->k * j->size; }

static void piece(void *ctx, int64_t p) {
  const Work *w = ctx;
  const Job *j = &w->j;
  const int64_t n = j->g->n, first = n * p / j->pieces, end = n * (p + 1) / j->pieces;
  char *cols = j->cols ? j->cols + p * j->k * j->l * j->size : NULL;
  char *sum = j->sums ? j->sums + p * weights(j) : NULL;
  if (sum) memset(sum, 0, (size_t)weights(j));
  for (int64_t i = first; i < end; i++)
    for (int64_t group = 0; group < j->g->groups; group++)
      w->step(j, cols, sum, i, group);
}

static Work work(const mare_Conv *g, mare_Dtype dt, Step *step) {
  Work w = {.step = step, .j = {.g = g, .dtype = dt, .size = (int64_t)mare_sizeof[dt],
    .k = g->c / g->groups * g->kh * g->kw, .l = g->oh * g->ow,
    .plain = g->kh * g->kw == 1 && g->sh * g->sw == 1 && g->ph + g->pw == 0}};
  w.j.pieces = least(g->n, PIECES);
  return w;
}

static mare_Status run(mare_Heap *h, Work *w) {
  Job *j = &w->j;
  const size_t bytes = j->plain ? 0 : (size_t)(j->pieces * j->k * j->l * j->size);
  if (bytes > 0) {
    j->cols = mare_scratch(h, bytes);
    if (j->cols == NULL) return mare_heap_status(h, bytes);
  }
  mare_parallel(j->pieces, piece, w);
  mare_scratch_free(h, j->cols);
  return MARE_OK;
}

mare_Status mare_conv(mare_Heap *h, const mare_Conv *g, const mare_Tensor *x,
                      const mare_Tensor *w, const mare_Tensor *bias, mare_Tensor *y) {
  Work job = work(g, y->dtype, forward);
  job.j.x = x->data, job.j.w = w->data, job.j.y = y->data;
  job.j.bias = bias ? bias->data : NULL;
  return run(h, &job);
}

mare_Status mare_conv_input(mare_Heap *h, const mare_Conv *g, const mare_Tensor *gy,
                            const mare_Tensor *w, mare_Tensor *gx) {
  Work job = work(g, gx->dtype, backward);
  job.j.gy = gy->data, job.j.w = w->data, job.j.gx = gx->data;
  return run(h, &job);
}

mare_Status mare_conv_weight(mare_Heap *h, const mare_Conv *g, const mare_Tensor *gy,
                             const mare_Tensor *x, mare_Tensor *gw) {
  Work job = work(g, gw->dtype, weight);
  Job *j = &job.j;
  const size_t bytes = (size_t)(j->pieces * weights(j));
  mare_Status st;
  j->gy = gy->data, j->x = x->data;
  mare_fill(gw, 0);
  if (bytes == 0) return MARE_OK;
  j->sums = mare_scratch(h, bytes);
  if (j->sums == NULL) return mare_heap_status(h, bytes);
  st = run(h, &job);
  const mare_Kernels *add = mare_row_kernels(mare_row_find("add"));
  mare_Tensor all = matrix(j, gw->data, g->o, j->k);
  for (int64_t p = 0; st == MARE_OK && p < j->pieces; p++) {
    mare_Tensor part = matrix(j, j->sums + p * weights(j), g->o, j->k);
    mare_apply(add->forward[gw->dtype], mare_run_any, NULL, 3,
               (mare_Tensor *[]){&all, &all, &part});
  }
  mare_scratch_free(h, j->sums);
  return st;
}

/* -- patches themselves -------------------------------------------------------------- */

typedef struct Patches {
  const mare_Conv *g;
  mare_Dtype dtype;
  int64_t from, to; /* bytes of a sample on both sides */
  const char *x;
  char *y;
  void (*fn)(const mare_Conv *g, int64_t c, const void *from, void *to);
} Patches;

static void sample(void *ctx, int64_t i) {
  const Patches *p = ctx;
  p->fn(p->g, p->g->c, p->x + i * p->from, p->y + i * p->to);
}

static void each_sample(const mare_Conv *g, const mare_Tensor *x, mare_Tensor *y,
                        void (*fn)(const mare_Conv *, int64_t, const void *, void *)) {
  if (x->numel == 0 || y->numel == 0) return;
  Patches p = {.g = g, .dtype = x->dtype, .x = x->data, .y = y->data, .fn = fn,
               .from = x->numel / g->n * (int64_t)mare_sizeof[x->dtype],
               .to = y->numel / g->n * (int64_t)mare_sizeof[y->dtype]};
  mare_parallel(g->n, sample, &p);
}

void mare_unfold(const mare_Conv *g, const mare_Tensor *x, mare_Tensor *y) {
  each_sample(g, x, y, to_columns[x->dtype]);
}

void mare_fold(const mare_Conv *g, const mare_Tensor *y, mare_Tensor *x) {
  each_sample(g, y, x, to_planes[x->dtype]);
}

void mare_pool_index(const mare_Conv *g, const mare_Tensor *x, mare_Tensor *index) {
  each_sample(g, x, index, largest[x->dtype]);
}
