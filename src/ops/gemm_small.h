/*
** gemm_small.h -- matrix products without BLIS: register tiles in plain vector
** C, one set for each instruction set.  For products too small or too narrow for
** BLIS to pay for its packing, and for strides that it does not take.
*/
#ifndef MARE_GEMM_SMALL_H
#define MARE_GEMM_SMALL_H

#include "../mare.h"

/*
** c (m, n) = a (m, k) b (k, n) + beta e (m, n).  Strides are in elements, any
** value, 0 included; e is often c itself; with beta 0 it is not read.
*/
typedef struct mare_Product {
  int64_t m, n, k;
  const void *a, *b, *e;
  void *c;
  int64_t ai, ap; /* strides of a: along m, along k */
  int64_t bp, bj; /* of b: along k, along n */
  int64_t ei, ej; /* of e */
  int64_t ci, cj; /* of c */
  double beta;
} mare_Product;

typedef void mare_SmallGemm(const mare_Product *g);

/* For MARE_F32 and MARE_F64; NULL where the compiler or the machine lacks them. */
extern mare_SmallGemm *const mare_gemm_base[MARE_NREAL];
extern mare_SmallGemm *const mare_gemm_avx2[MARE_NREAL];
extern mare_SmallGemm *const mare_gemm_avx512[MARE_NREAL];

#endif
