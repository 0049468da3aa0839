/* kernels_avx512.c -- the kernels for AVX-512: 64-byte vectors. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw"))), \
                             apply_to = function)
#else
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "wrapv", "fp-contract=off")
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")
#endif

#define VECTOR 64
#define TABLE mare_kernels_avx512
#include "kernels_set.inc.c"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
