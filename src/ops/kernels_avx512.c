/*
** kernels_avx512.c -- the kernels for AVX-512: 64-byte vectors.  What is exact is
** bound by memory: measured in every cache, those of AVX2 are as fast.
*/
#ifdef __x86_64__
#ifdef __clang__
#define SET "avx512f,avx512vl,avx512dq,avx512bw"
#pragma clang attribute push(__attribute__((target(SET))), apply_to = function)
#else
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "wrapv")
#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")
#endif

#include <immintrin.h>

#define VECTOR 64
#define LANES(n) ((1u << (n)) - 1)
#define ONE(p, size) _mm512_set1_epi##size(*(const int##size##_t *)(p))
#define TAKE(b, p, n) (sizeof *(b) == 4 \
  ? _mm512_store_epi32(b, _mm512_mask_loadu_epi32(ONE(p, 32), LANES(n), p)) \
  : _mm512_store_epi64(b, _mm512_mask_loadu_epi64(ONE(p, 64), LANES(n), p)))
#define PUT(p, b, n) (sizeof *(b) == 4 \
  ? _mm512_mask_storeu_epi32(p, LANES(n), _mm512_load_epi32(b)) \
  : _mm512_mask_storeu_epi64(p, LANES(n), _mm512_load_epi64(b)))
#define TABLE mare_kernels_avx512
#define RUN mare_run_avx512
#define INEXACT
#include "kernels_set.inc.c"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
