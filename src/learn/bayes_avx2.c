/* bayes_avx2.c -- the loops of bayes.inc.c for AVX2 and FMA. */
#ifdef __x86_64__
#include "bayes_kernels.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#pragma GCC target("avx2,fma")
#endif

#define real float
#define K(name) name##_f32
#include "bayes.inc.c"

#define real double
#define K(name) name##_f64
#include "bayes.inc.c"

#define SET(t) \
  {add_##t, add_above_##t, add_squares_##t, add_squares4_##t, center_##t, \
   shift_##t, gather_##t, flush_##t, norm2_##t, distance4_##t, distance_##t}
const mare_BayesKernels mare_bayes_avx2[MARE_NREAL] = {SET(f32), SET(f64)};
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
