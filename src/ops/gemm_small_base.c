/*
** gemm_small_base.c -- small matrix products for any machine: 16-byte vectors
** that the compiler maps to what there is (SSE2, NEON).
*/
#if defined(__x86_64__) && !defined(__clang__)
#define FEW_TILES
#pragma GCC optimize("Os") /* a PC that needs it is old: space counts more than speed */
#endif
#include "gemm_small.h"

#define BYTES 16
#define TILE 12 /* registers for the sums of a tile */

/* the first n lanes of a vector; rarely less than all, so out of line */
typedef float Four __attribute__((vector_size(16)));
typedef float FourNear __attribute__((vector_size(16), aligned(4), may_alias));
typedef double Two __attribute__((vector_size(16)));
typedef double TwoNear __attribute__((vector_size(16), aligned(8), may_alias));

static __attribute__((noinline)) Four few_f32(const float *p, int n) {
  return (Four){p[0], n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, 0};
}

static __attribute__((noinline)) void put_few_f32(float *p, int n, Four v) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}

static inline Four part_f32(const float *p, int n) {
  return n == 4 ? (Four)*(const FourNear *)p : few_f32(p, n);
}

static inline void put_f32(float *p, int n, Four v) {
  if (n == 4) *(FourNear *)p = v;
  else put_few_f32(p, n, v);
}

static inline Two part_f64(const double *p, int n) {
  return n == 2 ? (Two)*(const TwoNear *)p : (Two){p[0], 0};
}

static inline void put_f64(double *p, int n, Two v) {
  if (n == 2) *(TwoNear *)p = v;
  else p[0] = v[0];
}

typedef int Lanes_f32, Lanes_f64;
#define lanes_f32(n) (n)
#define lanes_f64(n) (n)

#define real float
#define NAME(x) x##_f32
#include "gemm_small.inc.c"
#define real double
#define NAME(x) x##_f64
#include "gemm_small.inc.c"

mare_SmallGemm *const mare_gemm_base[MARE_NREAL] = {small_f32, small_f64};
