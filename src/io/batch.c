/*
** batch.c -- rows of a data set.  Images stay bytes until they are in a batch: a
** quarter of the memory, and the conversion costs nothing beside the reading.
*/
#include "batch.h"

#include <string.h>

#include "../base/pool.h"

#define AHEAD 4 /* rows */
#define AHEAD_BYTES ((size_t)4096)

typedef void Convert(const unsigned char *restrict x, float *restrict y, int64_t n);

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

static Convert *converter(const mare_Tensor *x, const mare_Tensor *y) {
  if (x->dtype != MARE_U8 || y->dtype != MARE_F32) return NULL;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return to_unit_avx2;
#endif
  return to_unit;
}

int64_t mare_batch_row(const mare_Tensor *x) {
  int64_t n = 1;
  for (int d = 1; d < x->ndim; d++) n *= x->shape[d];
  return n * (int64_t)mare_sizeof[x->dtype];
}

/* -- rows --------------------------------------------------------------------------- */

/* a row lies anywhere in x: it is asked for while those before it are converted */
static void prefetch(const char *row, size_t nbytes) {
  for (size_t i = 0; i < nbytes && i < AHEAD_BYTES; i += 64) __builtin_prefetch(row + i);
}

/* rows of a few bytes: the processor has many on their way by itself */
#define PICK(size) \
  for (int64_t k = first; k < last; k++) \
    memcpy(y + k * (size), x + (index[k] - 1) * (size), size)

static bool pick(const char *x, const int64_t *index, char *y, int64_t row,
                 int64_t first, int64_t last) {
  if (row == 8) PICK(8);
  else if (row == 4) PICK(4);
  else return false;
  return true;
}

void mare_batch_rows(const mare_Tensor *x, const int64_t *index, mare_Tensor *y,
                     int64_t first, int64_t last) {
  Convert *convert = converter(x, y);
  const int64_t xrow = mare_batch_row(x), yrow = mare_batch_row(y);
  if (!convert && pick(x->data, index, y->data, xrow, first, last)) return;
  for (int64_t next = first; next < last + AHEAD; next++) {
    const int64_t k = next - AHEAD;
    if (next < last) prefetch(x->data + (index[next] - 1) * xrow, (size_t)xrow);
    if (k < first) continue;
    const char *from = x->data + (index[k] - 1) * xrow;
    char *to = y->data + k * yrow;
    if (convert) convert((const unsigned char *)from, (float *)(void *)to, xrow);
    else memcpy(to, from, (size_t)yrow);
  }
}

typedef struct Job {
  const mare_Tensor *x;
  const int64_t *index;
  mare_Tensor *y;
  int64_t step; /* rows of a piece */
} Job;

static void run(void *ctx, int64_t piece) {
  const Job *j = ctx;
  const int64_t first = piece * j->step, n = j->y->shape[0];
  mare_batch_rows(j->x, j->index, j->y, first, first + j->step < n ? first + j->step : n);
}

void mare_batch(const mare_Tensor *x, const int64_t *index, mare_Tensor *y) {
  Job j = {x, index, y, 0};
  if (y->numel == 0) return;
  j.step = MARE_BATCH_PIECE / mare_batch_row(x) + 1;
  if (y->shape[0] > j.step) mare_parallel((y->shape[0] + j.step - 1) / j.step, run, &j);
  else mare_batch_rows(x, index, y, 0, y->shape[0]);
}
