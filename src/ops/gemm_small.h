/*
** gemm_small.h -- matrix products without BLIS: register tiles in plain vector
** C, one set for each instruction set.  For products too small or too narrow for
** BLIS to pay for its packing, and for strides that it does not take.
*/
#ifndef MARE_GEMM_SMALL_H
#define MARE_GEMM_SMALL_H

#include "../base/types.h"

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

/* c' = b' a' + beta e' */
static inline mare_Product mare_product_turn(const mare_Product *g) {
  const mare_Product t = {
    .m = g->n, .n = g->m, .k = g->k, .a = g->b, .b = g->a, .c = g->c, .e = g->e,
    .ai = g->bj, .ap = g->bp, .bp = g->ap, .bj = g->ai, .ei = g->ej, .ej = g->ei,
    .ci = g->cj, .cj = g->ci, .beta = g->beta
  };
  return t;
}

typedef void mare_SmallGemm(const mare_Product *g);

/* For MARE_F32 and MARE_F64; NULL where the compiler or the machine lacks them. */
extern mare_SmallGemm *const mare_gemm_base[MARE_NREAL];
extern mare_SmallGemm *const mare_gemm_avx2[MARE_NREAL];
extern mare_SmallGemm *const mare_gemm_avx512[MARE_NREAL];

/* -- for gemm_small.inc.c ---------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline)) void
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

#ifdef __clang__ /* r = the lanes of a, then b, that the constants in index name */
#define SHUFFLE(r, w, a, b, index) \
  for (int l_ = 0; l_ < w; l_++) r[l_] = index[l_] < w ? a[index[l_]] : b[index[l_] - w]
#else
#define SHUFFLE(r, w, a, b, index) r = __builtin_shuffle(a, b, index)
#endif

#define MAXROWS 8 /* of a tile */
#define MAXNV 6    /* vectors across a tile */

#endif
