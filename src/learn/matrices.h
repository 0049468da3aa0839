/*
** matrices.h -- what gaussian.c and moments.c share: matrices in scratch memory and
** parts of them, the values of a routine's arguments.
*/
#ifndef MARE_MATRICES_H
#define MARE_MATRICES_H

#include "../base/shape.h"
#include "../base/types.h"

static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

static inline const char *row_of(const mare_Tensor *x, int64_t i) {
  return x->data + i * x->stride[0] * (int64_t)mare_sizeof[x->dtype];
}

/* NULL for nil */
static inline const double *doubles(const mare_Tensor *t) {
  return t->storage ? (const double *)(const void *)t->data : NULL;
}

static inline const int64_t *integers(const mare_Tensor *t) {
  return (const int64_t *)(const void *)t->data;
}

static inline double *output(const mare_Tensor *t) { return (double *)(void *)t->data; }

/* a matrix in scratch; data NULL: no memory */
static inline mare_Tensor scratch_matrix(mare_Heap *h, mare_Dtype dt, int64_t n,
                                         int64_t d) {
  const int64_t shape[2] = {n, d};
  mare_Tensor t;
  mare_shape_set(&t, dt, 2, shape);
  t.data = mare_scratch(h, (size_t)(n * d) * mare_sizeof[dt]);
  return t;
}

/* columns first .. end - 1 */
static inline mare_Tensor columns_of(const mare_Tensor *t, int64_t first, int64_t end) {
  mare_Tensor v = *t;
  mare_slice(&v, 1, first, end - first, 1);
  return v;
}

/* the same of rows */
static inline mare_Tensor rows_of(mare_Tensor t, int64_t first, int64_t end) {
  mare_slice(&t, 0, first, end - first, 1);
  return t;
}

#endif
