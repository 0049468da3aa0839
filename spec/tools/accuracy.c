/*
** accuracy.c -- how far the f32 kernels of the rows are from the truth, in units of the
** last place of f32, for each instruction set.
**
** The truth is the C library's f64 function where there is one, otherwise the row's own
** f64 kernel, which the specs hold to mpmath.  The first operand runs through bit
** patterns; others are scattered, between 2^-12 and 2^12 and of either sign.
** Arguments: -STEP (each STEP-th of the 2^32 patterns; 1: all), then names of rows;
** without names, all with one operand.  Prints the largest error of each and where it
** is; fails above LIMIT.
*/
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/ops/kernels.h"
#include "../../src/ops/ops.h"

#define LIMIT 2.0
#define CHUNK 4096
#define THREADS 4

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static const struct { const char *name; double (*f)(double); } truth[] = {
    {"exp", exp}, {"exp2", exp2}, {"expm1", expm1}, {"log", log}, {"log1p", log1p},
    {"log2", log2}, {"log10", log10}, {"sin", sin}, {"cos", cos}, {"tan", tan},
    {"asin", asin}, {"acos", acos}, {"atan", atan}, {"sinh", sinh}, {"cosh", cosh},
    {"tanh", tanh}, {"asinh", asinh}, {"acosh", acosh}, {"atanh", atanh}, {"erf", erf},
    {"erfc", erfc}, {"sqrt", sqrt}, {"sigmoid", sigmoid},
};

static const char *const sets[] = {"base", "avx2", "avx512"};
#define NSETS 3

typedef struct Worst { /* of one row: the largest error of each set, and its argument */
  double error[NSETS];
  float at[NSETS][MARE_MAXARGS];
} Worst;

typedef struct Job {
  const mare_Row *row;
  const mare_Kernels *kernels[NSETS]; /* NULL: this machine lacks the set */
  double (*f)(double);
  uint64_t step, first, last; /* bit patterns */
  Worst worst;
} Job;

/* the distance of y from the true t, in units of the last place of t as f32 */
static double distance(float y, double t) {
  float rounded = (float)t;
  if (rounded != rounded || y != y) return rounded != rounded && y != y ? 0 : INFINITY;
  if (y == rounded) return 0;
  if (isinf(y)) y = copysignf(FLT_MAX, y), t += copysign(0x1p104, t);
  double size = fabs(t) < FLT_MIN ? FLT_MIN : fmin(fabs(t), FLT_MAX);
  if (isinf(rounded)) t = copysign(0x1p128, t);
  return fabs(y - t) / ldexp(1, ilogb(size) - 23);
}

typedef struct Points { /* operands; in f64 too, and the true values */
  float x[MARE_MAXARGS][CHUNK];
  double wide[MARE_MAXARGS][CHUNK], truth[CHUNK];
} Points;

static void measure(Job *j, int set, Points *v, int n) {
  float y[CHUNK];
  void *p[MARE_MAXARGS + 1] = {y};
  for (int i = 0; i < MARE_MAXARGS; i++) p[i + 1] = v->x[i];
  j->kernels[set]->forward[MARE_F32](CHUNK, p, j->row->value);
  for (int i = 0; i < n; i++) {
    double e = distance(y[i], v->truth[i]);
    if (e > j->worst.error[set]) {
      j->worst.error[set] = e;
      for (int k = 0; k < j->row->nargs; k++) j->worst.at[set][k] = v->x[k][i];
    }
  }
}

static void true_values(const Job *j, Points *v) {
  void *p[MARE_MAXARGS + 1] = {v->truth};
  for (int k = 0; k < j->row->nargs; k++) {
    p[k + 1] = v->wide[k];
    for (int i = 0; i < CHUNK; i++) v->wide[k][i] = v->x[k][i];
  }
  if (j->f == NULL) j->kernels[0]->forward[MARE_F64](CHUNK, p, j->row->value);
  else for (int i = 0; i < CHUNK; i++) v->truth[i] = j->f(v->wide[0][i]);
}

/* the k-th operand beside these bits: spread over exponents and signs */
static float scattered(uint32_t bits, int k) {
  uint64_t h = (bits + UINT64_C(0x9E3779B9) * (uint64_t)k) * UINT64_C(0xD1342543DE82EF95);
  float part = 1 + (float)(h >> 41) * 0x1p-23f;
  return ldexpf(h >> 40 & 1 ? part : -part, (int)(h >> 32 & 255) % 24 - 12);
}

static void *work(void *arg) {
  Job *j = arg;
  Points v = {.x = {{0}}};
  for (uint64_t bits = j->first; bits < j->last;) {
    int n = 0;
    for (; n < CHUNK && bits < j->last; bits += j->step, n++) {
      uint32_t b = (uint32_t)bits;
      memcpy(&v.x[0][n], &b, sizeof b);
      for (int k = 1; k < j->row->nargs; k++) v.x[k][n] = scattered(b, k);
    }
    true_values(j, &v);
    for (int s = 0; s < NSETS; s++)
      if (j->kernels[s]) measure(j, s, &v, n);
  }
  return NULL;
}

static void keep_worst(Worst *w, const Worst *v) {
  for (int s = 0; s < NSETS; s++)
    if (v->error[s] > w->error[s]) {
      w->error[s] = v->error[s];
      memcpy(w->at[s], v->at[s], sizeof w->at[s]);
    }
}

/* runs a row over its bit patterns; the largest error of all sets */
static double check_row(const mare_Row *row, uint64_t step) {
  Job job[THREADS] = {{.row = row, .step = step}};
  pthread_t thread[THREADS];
  double largest = 0;
  for (int s = 0; s < NSETS; s++)
    if (mare_set_isa(sets[s])) job[0].kernels[s] = mare_row_kernels(row);
  for (size_t i = 0; i < sizeof truth / sizeof *truth; i++)
    if (strcmp(truth[i].name, row->name) == 0) job[0].f = truth[i].f;
  for (int i = 0; i < THREADS; i++) {
    uint64_t part = (UINT64_C(1) << 32) / THREADS;
    job[i] = job[0];
    job[i].first = i * part;
    job[i].last = (i + 1) * part;
  }
  for (int i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, work, &job[i]);
  printf("%-14s", row->name);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    keep_worst(&job[0].worst, &job[i].worst);
  }
  for (int s = 0; s < NSETS; s++) {
    if (job[0].kernels[s]) printf("  %-6s %8.3f at", sets[s], job[0].worst.error[s]);
    for (int k = 0; job[0].kernels[s] && k < row->nargs; k++)
      printf(" %.9g", job[0].worst.at[s][k]);
    largest = fmax(largest, job[0].worst.error[s]);
  }
  printf("%s\n", largest > LIMIT ? "  TOO FAR" : "");
  fflush(stdout);
  return largest;
}

int main(int argc, char **argv) {
  int first = 1, bad = 0;
  uint64_t step = 1;
  if (argc > 1 && argv[1][0] == '-') step = strtoull(argv[first++] + 1, NULL, 10);
  for (const mare_Row *row = mare_rows; row->name; row++) {
    bool wanted = first == argc && row->nargs == 1 && row->kind <= MARE_ARITH;
    for (int i = first; i < argc; i++) wanted |= strcmp(argv[i], row->name) == 0;
    if (wanted) bad += check_row(row, step ? step : 1) > LIMIT;
  }
  return bad > 0;
}
