/* turn_avx512.c -- squares of turn.h in registers of 64 bytes. */
#if defined(__x86_64__)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#endif

#include <immintrin.h>

#include "turn.h"

#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < n; i++)

/* half a line of row i and of row k */
static inline __m512 rows4(const char *p, int64_t across, int i, int k) {
  __m256 a = _mm256_loadu_ps((const float *)(p + i * across));
  return _mm512_insertf32x8(_mm512_castps256_ps512(a),
                            _mm256_loadu_ps((const float *)(p + k * across)), 1);
}

static inline __m512 low4(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

static inline __m512 high4(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

/* columns 0..7 of the sixteen rows: the 4 x 4 squares of each quarter, then quarters */
static inline void turn_half4(float *b, int64_t pitch, const char *p, int64_t across) {
  const __m512i even = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25,
                                         26, 27);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(4));
  __m512 r[8], s[8];
  EACH(i, 8) r[i] = rows4(p, across, i, i + 8);
  EACH(i, 4) {
    s[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    s[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  EACH(i, 4) { /* column i % 2 + 2 (i / 2) of rows 0..3, 8..11; r[4..]: of the others */
    __m512 a = s[i / 2], c = s[i / 2 + 2], d = s[i / 2 + 4], e = s[i / 2 + 6];
    r[i] = i % 2 ? high4(a, c) : low4(a, c);
    r[i + 4] = i % 2 ? high4(d, e) : low4(d, e);
  }
  EACH(i, 4) {
    _mm512_storeu_ps(b + i * pitch, _mm512_permutex2var_ps(r[i], even, r[i + 4]));
    _mm512_storeu_ps(b + (i + 4) * pitch, _mm512_permutex2var_ps(r[i], odd, r[i + 4]));
  }
}

void mare_turn4_avx512(char *b, int64_t pitch, const char *p, int64_t across) {
  turn_half4((float *)b, pitch / 4, p, across);
  turn_half4((float *)(b + 8 * pitch), pitch / 4, p + 32, across);
}

static inline __m512d rows8(const char *p, int64_t across, int i, int k) {
  __m256d a = _mm256_loadu_pd((const double *)(p + i * across));
  return _mm512_insertf64x4(_mm512_castpd256_pd512(a),
                            _mm256_loadu_pd((const double *)(p + k * across)), 1);
}

/* columns 0..3 of the eight rows */
static inline void turn_half8(double *b, int64_t pitch, const char *p, int64_t across) {
  const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i odd = _mm512_add_epi64(even, _mm512_set1_epi64(2));
  __m512d r[4], s[4];
  EACH(i, 4) r[i] = rows8(p, across, i, i + 4);
  EACH(i, 2) {
    s[i] = i ? _mm512_unpackhi_pd(r[0], r[1]) : _mm512_unpacklo_pd(r[0], r[1]);
    s[i + 2] = i ? _mm512_unpackhi_pd(r[2], r[3]) : _mm512_unpacklo_pd(r[2], r[3]);
  }
  EACH(i, 2) {
    _mm512_storeu_pd(b + i * pitch, _mm512_permutex2var_pd(s[i], even, s[i + 2]));
    _mm512_storeu_pd(b + (i + 2) * pitch, _mm512_permutex2var_pd(s[i], odd, s[i + 2]));
  }
}

void mare_turn8_avx512(char *b, int64_t pitch, const char *p, int64_t across) {
  turn_half8((double *)b, pitch / 8, p, across);
  turn_half8((double *)(b + 4 * pitch), pitch / 8, p + 32, across);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
