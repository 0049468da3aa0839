/*
** direct.c -- what the machine gives without Maré: copy bandwidth, products through
** BLIS and OpenBLAS called directly, and the time that the products of a training
** step of 784-256-10 need, with Adam's bytes at copy bandwidth on top: the bound, with
** BLIS's products and with the fastest known.
**
**   direct SECONDS WHAT...      WHAT: copy gemm small bound; threads: OMP_NUM_THREADS
**
** Prints "row<TAB>seconds for one unit of work".
*/
#include <blis.h>
#include <dlfcn.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/ops/ops.h"

typedef struct Work { /* one product c (m, n) = a (m, k) b (k, n), or a copy */
  long m, n, k;
  bool ta, tb; /* a is stored as (k, m), b as (n, k) */
  float *a, *b, *c;
  mare_Tensor a_, b_, c_; /* the same for Maré */
  int threads;
} Work;

typedef void Run(const Work *w);

static double budget;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/*
** Median time of one run, over blocks of a tenth of the budget; on a noisy machine (see
** run.lua) the lowest tenth of blocks of a millisecond.
*/
static double timed(Run *run, const Work *w) {
  const char *noisy = getenv("NOISY");
  const bool lowest = noisy && *noisy; /* an empty variable is none */
  double block[1000], start, end, length = lowest ? 1e-3 : budget / 10;
  long reps, i;
  int n = 0;
  run(w), run(w);
  start = now();
  run(w);
  reps = 1 + (long)(length / (now() - start + 1e-9));
  for (end = now() + budget; n < 3 || (now() < end && n < 1000); n++) {
    start = now();
    for (i = 0; i < reps; i++) run(w);
    block[n] = (now() - start) / (double)reps;
  }
  qsort(block, (size_t)n, sizeof *block, compare);
  return block[n / (lowest ? 10 : 2)];
}

static float *values(long n) {
  float *x = aligned_alloc(64, ((size_t)n * sizeof *x + 63) / 64 * 64);
  long i;
  for (i = 0; i < n; i++) x[i] = (float)((i * 2654435761u >> 16) % 1000) / 500 - 1;
  return x;
}

/* -- products ------------------------------------------------------------------------ */

static void blis(const Work *w) {
  float one = 1, zero = 0;
  rntm_t r;
  bli_rntm_init(&r);
  bli_rntm_set_num_threads(w->threads, &r);
  bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, w->m, w->n, w->k, &one, w->a,
               w->ta ? 1 : w->k, w->ta ? w->m : 1, w->b, w->tb ? 1 : w->n,
               w->tb ? w->k : 1, &zero, w->c, w->n, 1, NULL, &r);
}

static mare_Tensor matrix(float *x, bool transposed, long rows, long columns) {
  mare_Tensor t = {.data = (char *)x, .dtype = MARE_F32, .ndim = 2};
  t.numel = rows * columns;
  t.shape[0] = rows, t.shape[1] = columns;
  t.stride[0] = transposed ? 1 : columns, t.stride[1] = transposed ? rows : 1;
  return t;
}

static void mare(const Work *w) {
  mare_gemm(&w->a_, &w->b_, 0, (mare_Tensor *)&w->c_);
}

typedef void Cblas(int order, int ta, int tb, int m, int n, int k, float alpha,
                   const float *a, int lda, const float *b, int ldb, float beta, float *c,
                   int ldc);
static Cblas *openblas_sgemm;

static void openblas(const Work *w) {
  openblas_sgemm(101, w->ta ? 112 : 111, w->tb ? 112 : 111, (int)w->m, (int)w->n,
                 (int)w->k, 1, w->a, (int)(w->ta ? w->m : w->k), w->b,
                 (int)(w->tb ? w->k : w->n), 0, w->c, (int)w->n);
}

static bool find_openblas(void) {
  void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  void (*threads)(int) = lib ? dlsym(lib, "openblas_set_num_threads") : NULL;
  openblas_sgemm = lib ? dlsym(lib, "cblas_sgemm") : NULL;
  if (threads) threads(1);
  return openblas_sgemm != NULL;
}

static Work product(long m, long n, long k, bool ta, bool tb) {
  Work w = {.m = m, .n = n, .k = k, .ta = ta, .tb = tb, .threads = 1};
  w.a = values(m * k), w.b = values(k * n), w.c = values(m * n);
  w.a_ = matrix(w.a, ta, m, k), w.b_ = matrix(w.b, tb, k, n);
  w.c_ = matrix(w.c, false, m, n);
  return w;
}

static void drop(Work *w) { free(w->a), free(w->b), free(w->c); }

static void gemm_rows(void) {
  static const long sizes[] = {64, 96, 128, 192, 256, 384, 512, 768, 1024};
  size_t i;
  for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    Work w = product(sizes[i], sizes[i], sizes[i], false, false);
    printf("gemm %ld serial\t%.6e\n", sizes[i], timed(blis, &w));
    w.threads = omp_get_max_threads();
    printf("gemm %ld\t%.6e\n", sizes[i], timed(blis, &w));
    fflush(stdout);
    drop(&w);
  }
}

static void small_rows(void) {
  static const long sizes[] = {2, 3, 4, 6, 8, 12, 16};
  size_t i;
  if (!find_openblas()) return;
  for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    Work w = product(sizes[i], sizes[i], sizes[i], false, false);
    printf("openblas %ld\t%.6e\n", sizes[i], timed(openblas, &w));
    printf("product %ld\t%.6e\n", sizes[i], timed(mare, &w));
    drop(&w);
  }
}

/* -- memory --------------------------------------------------------------------------- */

static void copy(const Work *w) { /* m values from a to c */
#pragma omp parallel num_threads(w->threads)
  {
    long n = omp_get_num_threads(), i = omp_get_thread_num();
    long first = w->m * i / n, last = w->m * (i + 1) / n;
    memcpy(w->c + first, w->a + first, (size_t)(last - first) * sizeof(float));
  }
}

/* the best time of a copy of n values, on one core or on all */
static double copy_time(long n) {
  Work w = {.m = n, .a = values(n), .c = values(n), .threads = 1};
  double one = timed(copy, &w), all;
  w.threads = omp_get_max_threads();
  all = timed(copy, &w);
  drop(&w);
  return one < all ? one : all;
}

/* as many bytes read and written as an operation moves: 4, 8 or 12 for each value */
static void copy_rows(void) {
  int moved;
  for (moved = 4; moved <= 12; moved += 4) {
    printf("copy 1e6 %d\t%.6e\n", moved, copy_time(1000000L * moved / 8));
    printf("copy 1e7 %d\t%.6e\n", moved, copy_time(10000000L * moved / 8));
  }
}

/* time[0] += BLIS's for one product, on one core or on all; time[1] += the best, Maré's too */
static void add_product(double time[2], long m, long n, long k, bool ta, bool tb) {
  Work w = product(m, n, k, ta, tb);
  double best = timed(blis, &w), t;
  w.threads = omp_get_max_threads();
  if ((t = timed(blis, &w)) < best) best = t;
  t = timed(mare, &w);
  time[0] += best;
  time[1] += t < best ? t : best;
  drop(&w);
}

/* One step of 784-256-10 with Adam: five products; 4 values read and 3 written. */
static void bound_row(long batch) {
  const long parameters = 784 * 256 + 256 + 256 * 10 + 10;
  double bytes = copy_time(2 * parameters) * 7 / 4; /* a copy of 2 n moves 4 n values */
  double time[2] = {bytes, bytes};
  add_product(time, batch, 256, 784, false, true);
  add_product(time, batch, 10, 256, false, true);
  add_product(time, 10, 256, batch, true, false);
  add_product(time, batch, 256, 10, false, false);
  add_product(time, 256, 784, batch, true, false);
  printf("adam bytes %ld\t%.6e\n", batch, bytes);
  printf("bound %ld\t%.6e\n", batch, time[0]);
  printf("best bound %ld\t%.6e\n", batch, time[1]);
}

int main(int argc, char **argv) {
  int i;
  if (argc < 3) return 2;
  budget = atof(argv[1]);
  for (i = 2; i < argc; i++) {
    if (strcmp(argv[i], "copy") == 0) copy_rows();
    if (strcmp(argv[i], "gemm") == 0) gemm_rows();
    if (strcmp(argv[i], "small") == 0) small_rows();
    if (strcmp(argv[i], "bound") == 0) bound_row(32), bound_row(128);
  }
  return 0;
}
