/*
** random.inc.c -- the vector fills, compiled once for each instruction set.
** Contraction into fused multiply-adds is off and logarithm, sine and cosine are
** polynomials of our own: the numbers of a seed are the same on every machine.
*/
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3,fp-contract=off,no-trapping-math")
#elif defined(__clang__)
#pragma clang fp contract(off)
#endif

#include <math.h>
#include <string.h>

#include "../base/rng.h"
#include "random.h"

/* errno is nobody's business here; only then is it one vector instruction */
float sqrtf(float x) __attribute__((const));
double sqrt(double x) __attribute__((const));

#define LANES MARE_RANDOM_LANES
#define WORDS MARE_RANDOM_WORDS
#define GROUP (WORDS * sizeof(uint32_t))

/* -- 64-bit lanes of which the low halves count --------------------------------- */

#if defined(__AVX512F__)
#include <immintrin.h>
typedef uint64_t Wide __attribute__((vector_size(64)));
static Wide mul(Wide x, uint32_t m) {
  return (Wide)_mm512_mul_epu32((__m512i)x, _mm512_set1_epi64(m));
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef uint64_t Wide __attribute__((vector_size(32)));
static Wide mul(Wide x, uint32_t m) {
  return (Wide)_mm256_mul_epu32((__m256i)x, _mm256_set1_epi64x(m));
}
#elif defined(__SSE2__)
#include <emmintrin.h>
typedef uint64_t Wide __attribute__((vector_size(16)));
static Wide mul(Wide x, uint32_t m) {
  return (Wide)_mm_mul_epu32((__m128i)x, _mm_set1_epi64x(m));
}
#else
typedef uint64_t Wide __attribute__((vector_size(16)));
static Wide mul(Wide x, uint32_t m) {
  return (x & 0xffffffffu) * m;
}
#endif

#define PER ((int)(sizeof(Wide) / sizeof(uint64_t))) /* lanes of one vector */
typedef uint32_t Narrow __attribute__((vector_size(sizeof(Wide) / 2)));

static void put(uint32_t *w, Wide x) {
  Narrow v = __builtin_convertvector(x, Narrow);
  memcpy(w, &v, sizeof v);
}

/* w is (4, LANES): word j of the block at counter + i is w[j * LANES + i] */
static void philox(uint64_t key, uint64_t counter, uint32_t *w) {
  static const uint64_t lane[] = {0, 1, 2, 3, 4, 5, 6, 7};
  Wide first;
  memcpy(&first, lane, sizeof first);
  for (int i = 0; i < LANES; i += PER) {
    Wide c0 = first + (counter + (uint64_t)i), c1 = c0 >> 32, c2 = {0}, c3 = {0};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
      Wide a = mul(c0, MARE_PHILOX_M0), b = mul(c2, MARE_PHILOX_M1);
      c0 = (b >> 32) ^ c1 ^ k0;
      c1 = b;
      c2 = (a >> 32) ^ c3 ^ k1;
      c3 = a;
      k0 += MARE_PHILOX_W0;
      k1 += MARE_PHILOX_W1;
    }
    put(w + i, c0);
    put(w + i + LANES, c1);
    put(w + i + 2 * LANES, c2);
    put(w + i + 3 * LANES, c3);
  }
}

/* -- f32 ------------------------------------------------------------------------ */

typedef union { float f; uint32_t u; int32_t i; } Bits32;
typedef union { double f; uint64_t u; int64_t i; } Bits64;

#define SQRT_HALF_32 0x3f3504f3u /* bits of sqrt(1/2) */
#define LN2 0.693147180559945309417
#define PI 3.14159265358979323846

/*
** ln x = e ln 2 + ln m with m in [sqrt(1/2), sqrt 2), and
** ln m = 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1)/(m + 1)
*/
static inline float log_f32(float x) {
  Bits32 b = {.f = x};
  b.u += 0x3f800000u - SQRT_HALF_32;
  float e = (float)((int32_t)(b.u >> 23) - 127);
  b.u = (b.u & 0x7fffffu) + SQRT_HALF_32;
  float s = (b.f - 1) / (b.f + 1), z = s * s;
  float p = z * (1.f / 3 + z * (1.f / 5 + z * (1.f / 7 + z * (1.f / 9))));
  return e * (float)LN2 + 2 * (s + s * p);
}

/* the top two bits of w are the quadrant, the others an angle of -pi/4 to pi/4 in it */
static inline void sincos_f32(uint32_t w, float *sine, float *cosine) {
  float x = (float)(int32_t)(w << 2) * (float)(PI / 4 * 0x1p-31), z = x * x;
  float ps = z * (-1.f / 6 + z * (1.f / 120 + z * (-1.f / 5040 + z * (1.f / 362880))));
  float pc = z * (-1.f / 2 + z * (1.f / 24 + z * (-1.f / 720 + z * (1.f / 40320))));
  Bits32 s = {.f = x + x * ps}, c = {.f = 1 + pc};
  uint32_t swap = 0u - (w >> 30 & 1), flip = (s.u ^ c.u) & swap;
  s.u ^= flip ^ (w & 0x80000000u);
  c.u ^= flip ^ ((w + 0x40000000u) & 0x80000000u);
  *sine = s.f;
  *cosine = c.f;
}

static void uniform_f32(const uint32_t *w, void *out, double a, double b) {
  float *y = out;
  float lo = (float)a, span = (float)b, last = nextafterf((float)(a + b), (float)a);
  for (int i = 0; i < WORDS; i++) {
    float v = lo + (float)(int32_t)(w[i] >> 8) * 0x1p-24f * span;
    y[i] = v < last ? v : last;
  }
}

/* Box and Muller: two normal numbers from two words */
static void normal_f32(const uint32_t *w, void *out, double a, double b) {
  float *y = out;
  float mean = (float)a, std = (float)b;
  for (int h = 0; h < WORDS; h += 2 * LANES)
    for (int i = h; i < h + LANES; i++) {
      float s, c, u = (float)(int32_t)(w[i] >> 1) * 0x1p-31f + 0x1p-32f;
      float r = sqrtf(-2 * log_f32(u));
      sincos_f32(w[i + LANES], &s, &c);
      y[i] = mean + std * (r * c);
      y[i + LANES] = mean + std * (r * s);
    }
}

/* -- f64 ------------------------------------------------------------------------ */

#define SQRT_HALF_64 0x3fe6a09e667f3bcdu

static inline double log_f64(double x) {
  Bits64 b = {.f = x};
  b.u += 0x3ff0000000000000u - SQRT_HALF_64;
  double e = (double)((int32_t)(b.u >> 52) - 1023);
  b.u = (b.u & 0xfffffffffffffu) + SQRT_HALF_64;
  double s = (b.f - 1) / (b.f + 1), z = s * s, p = 0;
  for (int k = 19; k >= 3; k -= 2) p = z * (1. / k + p);
  return e * LN2 + 2 * (s + s * p);
}

/* the series of sine and cosine: 1/3!, 1/5!, ... and 1/2!, 1/4!, ... */
static const double odd[] = {
    1. / 6, 1. / 120, 1. / 5040, 1. / 362880, 1. / 39916800, 1. / 6227020800,
    1. / 1307674368000, 1. / 355687428096000,
};
static const double even[] = {
    1. / 2, 1. / 24, 1. / 720, 1. / 40320, 1. / 3628800, 1. / 479001600,
    1. / 87178291200, 1. / 20922789888000,
};
#define NTERM ((int)(sizeof odd / sizeof *odd))

/* w is the quadrant and the angle's upper bits, low the lower ones */
static inline void sincos_f64(uint32_t w, uint32_t low, double *sine, double *cosine) {
  double t = (double)(int32_t)(w << 2) + (double)(int32_t)(low >> 1) * 0x1p-29;
  double x = t * (PI / 4 * 0x1p-31), z = x * x, ps = 0, pc = 0;
  for (int k = NTERM - 1; k >= 0; k--) {
    ps = -z * (odd[k] + ps);
    pc = -z * (even[k] + pc);
  }
  Bits64 s = {.f = x + x * ps}, c = {.f = 1 + pc};
  uint64_t swap = 0u - (uint64_t)(w >> 30 & 1), flip = (s.u ^ c.u) & swap;
  s.u ^= flip ^ (uint64_t)(w & 0x80000000u) << 32;
  c.u ^= flip ^ (uint64_t)((w + 0x40000000u) & 0x80000000u) << 32;
  *sine = s.f;
  *cosine = c.f;
}

/* 53 random bits as an integer */
static inline double bits53(uint32_t hi, uint32_t lo) {
  return (double)(int32_t)(hi >> 5) * 0x1p26 + (double)(int32_t)(lo >> 6);
}

static void uniform_f64(const uint32_t *w, void *out, double a, double b) {
  double *y = out;
  double last = nextafter(a + b, a);
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < LANES; i++) {
      const uint32_t *p = w + 2 * h * LANES + i;
      double v = a + bits53(p[0], p[LANES]) * 0x1p-53 * b;
      y[h * LANES + i] = v < last ? v : last;
    }
}

static void normal_f64(const uint32_t *w, void *out, double a, double b) {
  double *y = out;
  for (int i = 0; i < LANES; i++) {
    double s, c, u = (bits53(w[i], w[i + LANES]) + 0.5) * 0x1p-53;
    double r = sqrt(-2 * log_f64(u));
    sincos_f64(w[i + 2 * LANES], w[i + 3 * LANES], &s, &c);
    y[i] = a + b * (r * c);
    y[i + LANES] = a + b * (r * s);
  }
}

/* -- whole fills ---------------------------------------------------------------- */

static void copy_words(const uint32_t *w, void *y, double a, double b) {
  (void)a, (void)b;
  memcpy(y, w, GROUP);
}

typedef void Make(const uint32_t *w, void *y, double a, double b);

/* a group has GROUP bytes of any type; the last one is cut after it was made */
static inline __attribute__((always_inline)) void
fill(uint64_t key, uint64_t counter, size_t nbytes, char *y, double a, double b,
     Make *make) {
  uint32_t w[WORDS];
  char last[GROUP];
  for (; nbytes >= GROUP; nbytes -= GROUP, y += GROUP, counter += LANES) {
    philox(key, counter, w);
    make(w, y, a, b);
  }
  if (nbytes == 0) return;
  philox(key, counter, w);
  make(w, last, a, b);
  memcpy(y, last, nbytes);
}

#define FILL(name, make, size) \
  static void name(uint64_t k, uint64_t c, size_t n, void *y, double a, double b) { \
    fill(k, c, n * size, y, a, b, make); \
  }
FILL(fill_words, copy_words, 4)
FILL(fill_uniform_f32, uniform_f32, 4)
FILL(fill_uniform_f64, uniform_f64, 8)
FILL(fill_normal_f32, normal_f32, 4)
FILL(fill_normal_f64, normal_f64, 8)

#define RANDOM_TABLE \
  {fill_words, fill_uniform_f32, fill_uniform_f64, fill_normal_f32, fill_normal_f64}
