/* gemm_small_avx512.c -- small matrix products: 64-byte vectors, 32 registers. */
#include "gemm_small.h"

#ifdef __x86_64__
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512vl,avx512dq,avx512bw,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")
#endif

#define BYTES 64
#define TILE 24 /* registers for the sums of a tile */

typedef __mmask16 Lanes_f32;
typedef __mmask8 Lanes_f64;
#define lanes_f32(n) ((__mmask16)((1u << (n)) - 1))
#define lanes_f64(n) ((__mmask8)((1u << (n)) - 1))
#define part_f32(p, l) ((Vec_f32)_mm512_maskz_loadu_ps(l, p))
#define part_f64(p, l) ((Vec_f64)_mm512_maskz_loadu_pd(l, p))
#define put_f32(p, l, v) _mm512_mask_storeu_ps(p, l, (__m512)(v))
#define put_f64(p, l, v) _mm512_mask_storeu_pd(p, l, (__m512d)(v))

#define real float
#define NAME(x) x##_f32
#include "gemm_small.inc.c"
#define real double
#define NAME(x) x##_f64
#include "gemm_small.inc.c"

mare_SmallGemm *const mare_gemm_avx512[MARE_NREAL] = {small_f32, small_f64};

#ifdef __clang__
#pragma clang attribute pop
#endif
#else
mare_SmallGemm *const mare_gemm_avx512[MARE_NREAL] = {NULL, NULL};
#endif
