/* kernels_avx2.c -- the kernels for AVX2: 32-byte vectors. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "wrapv", "fp-contract=off")
#pragma GCC target("avx2,fma")
#endif

#define VECTOR 64
#define TABLE mare_kernels_avx2
#include "kernels_set.inc.c"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
