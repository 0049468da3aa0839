/* bayes_base.c -- the loops of bayes.inc.c for every machine. */
#include "bayes_kernels.h"

#ifndef __clang__
#pragma GCC optimize("O2", "tree-vectorize", "no-math-errno", "no-trapping-math")
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
const mare_BayesKernels mare_bayes_base[MARE_NREAL] = {SET(f32), SET(f64)};
