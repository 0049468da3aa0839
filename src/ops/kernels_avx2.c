/* kernels_avx2.c -- the kernels for AVX2: 32-byte vectors. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "wrapv")
#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx2,fma")
#endif

#include <immintrin.h>

#define VECTOR 32
#define LANES32(n) _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n)), \
                                      _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define LANES64(n) _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)(n)), \
                                      _mm256_setr_epi64x(0, 1, 2, 3))
#define TAKE_AS(type, set, size, b, p, n) \
  _mm256_store_si256((__m256i *)(b), _mm256_blendv_epi8( \
    set(*(const type *)(p)), \
    _mm256_maskload_epi##size((const type *)(p), LANES##size(n)), LANES##size(n)))
#define PUT_AS(type, size, p, b, n) \
  _mm256_maskstore_epi##size((type *)(p), LANES##size(n), \
                             _mm256_load_si256((const __m256i *)(b)))
#define TAKE(b, p, n) \
  (sizeof *(b) == 4 ? TAKE_AS(int, _mm256_set1_epi32, 32, b, p, n) \
                    : TAKE_AS(long long, _mm256_set1_epi64x, 64, b, p, n))
#define PUT(p, b, n) \
  (sizeof *(b) == 4 ? PUT_AS(int, 32, p, b, n) : PUT_AS(long long, 64, p, b, n))
#define TABLE mare_kernels_avx2
#define RUN mare_run_avx2
#include "kernels_set.inc.c"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
