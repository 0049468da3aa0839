/* optim_avx512.c -- the kernels of optim.def for AVX-512. */
#ifdef __x86_64__
#include "optim_kernels.h"

#include <tgmath.h> /* sqrt is sqrtf for float */

#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic")
#pragma GCC optimize("no-math-errno", "no-trapping-math")
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")

#define real float
#define K(name) name##_f32
#include "optim.inc.c"

#define real double
#define K(name) name##_f64
#include "optim.inc.c"

#define OPTIMIZER(name, update, doc, source) {name##_f32, name##_f64},
mare_Update *const mare_optim_avx512[][MARE_NREAL] = {
#include "optim.def"
};
#endif
