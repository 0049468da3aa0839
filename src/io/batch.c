/*
** batch.c -- rows of a data set.  Images stay bytes until they are in a batch: a
** quarter of the memory, and the conversion costs nothing beside the reading.
*/
#include "batch.h"

#include <string.h>

#include "../base/pool.h"

#define PIECE ((int64_t)6144) /* bytes of x that one piece of a job takes, about */
#define AHEAD 4 /* rows */
#define AHEAD_BYTES ((size_t)4096)

typedef struct Job {
  const char *x;
  char *y;
  const int64_t *index;
  int64_t rows, n;    /* rows of y; elements of a row */
  size_t xsize, ysize; /* bytes of an element */
  int64_t step;       /* rows of a piece */
  void (*convert)(const unsigned char *x, float *y, int64_t n);
} Job;

#define CONVERT \
  for (int64_t i = 0; i < n; i++) y[i] = (float)x[i] * (1 / 255.0f);

MARE_O3 static void to_unit(const unsigned char *restrict x, float *restrict y,
                            int64_t n) {
  CONVERT
}

#ifdef __x86_64__
__attribute__((target("avx2"))) MARE_O3 static void to_unit_avx2(
    const unsigned char *restrict x, float *restrict y, int64_t n) {
  CONVERT
}
#endif

/* row k of y lies anywhere in x: it is asked for while rows before it are converted */
static void prefetch(const Job *j, int64_t k) {
  const size_t n = (size_t)j->n * j->xsize;
  const char *row = j->x + (size_t)(j->index[k] - 1) * n;
  for (size_t i = 0; i < n && i < AHEAD_BYTES; i += 64) __builtin_prefetch(row + i);
}

static void run(void *ctx, int64_t piece) {
  const Job *j = ctx;
  int64_t first = piece * j->step;
  int64_t last = first + j->step < j->rows ? first + j->step : j->rows;
  size_t xrow = (size_t)j->n * j->xsize, yrow = (size_t)j->n * j->ysize;
  for (int64_t k = first; k < last && k < first + AHEAD; k++) prefetch(j, k);
  for (int64_t k = first; k < last; k++) {
    const char *x = j->x + (size_t)(j->index[k] - 1) * xrow;
    char *y = j->y + (size_t)k * yrow;
    if (k + AHEAD < last) prefetch(j, k + AHEAD);
    if (j->convert) j->convert((const unsigned char *)x, (float *)(void *)y, j->n);
    else memcpy(y, x, yrow);
  }
}

void mare_batch(const mare_Tensor *x, const int64_t *index, mare_Tensor *y) {
  Job j = {x->data, y->data, index, y->shape[0], 1, mare_sizeof[x->dtype],
           mare_sizeof[y->dtype], 1, NULL};
  if (y->numel == 0) return;
  j.n = y->numel / j.rows;
  j.step = PIECE / (j.n * (int64_t)j.xsize) + 1;
  if (x->dtype == MARE_U8 && y->dtype == MARE_F32) j.convert = to_unit;
#ifdef __x86_64__
  if (j.convert && __builtin_cpu_supports("avx2")) j.convert = to_unit_avx2;
#endif
  if (j.rows > j.step) mare_parallel((j.rows + j.step - 1) / j.step, run, &j);
  else run(&j, 0);
}
