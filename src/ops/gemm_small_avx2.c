/* gemm_small_avx2.c -- small matrix products: 32-byte vectors, 16 registers. */
#include "gemm_small.h"

#ifdef __x86_64__
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define BYTES 32
#define TILE 12 /* registers for the sums of a tile */

typedef __m256i Lanes_f32;
typedef __m256i Lanes_f64;

static const int32_t on_off[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define lanes_f32(n) _mm256_loadu_si256((const __m256i *)(on_off + 8 - (n)))
#define lanes_f64(n) _mm256_loadu_si256((const __m256i *)(on_off + 8 - 2 * (n)))
#define part_f32(p, l) ((Vec_f32)_mm256_maskload_ps(p, l))
#define part_f64(p, l) ((Vec_f64)_mm256_maskload_pd(p, l))
#define put_f32(p, l, v) _mm256_maskstore_ps(p, l, (__m256)(v))
#define put_f64(p, l, v) _mm256_maskstore_pd(p, l, (__m256d)(v))

#define real float
#define NAME(x) x##_f32
#include "gemm_small.inc.c"
#define real double
#define NAME(x) x##_f64
#include "gemm_small.inc.c"

mare_SmallGemm *const mare_gemm_avx2[MARE_NREAL] = {small_f32, small_f64};

#ifdef __clang__
#pragma clang attribute pop
#endif
#else
mare_SmallGemm *const mare_gemm_avx2[MARE_NREAL] = {NULL, NULL};
#endif
