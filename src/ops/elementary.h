/*
** elementary.h -- exp, log and sigmoid of f32, inlined into the kernels of every
** instruction set.  Included by kernels_set.inc.c.  exp and log of libmvec err by up to
** 2.7 and 3.8 units of the last place; these by less than 1, in about the same time, and
** sigmoid by less than 2 (`make accuracy` looks at all 2^32 arguments).
*/
#ifndef MARE_ELEMENTARY_H
#define MARE_ELEMENTARY_H

typedef union Bits {
  float f;
  int32_t i;
} Bits;

/* log 2 in two parts: a product of the first with a small integer is exact */
#define LOG2_HIGH 0.693359375f
#define LOG2_LOW (-2.12194440e-4f)

/* a b + c, rounded once where the processor has it */
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
#define MADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif

/*
** x = k log 2 + r; e^r = 1 + r + r^2 q(r), q fitted for the least relative error.  What
** rounding takes from r and from 1 + r is added last: sigmoid needs it.  The result is
** e^r; *power holds k + bias in its low bits.
*/
INLINE float exp_part(float x, float bias, int32_t *power) {
  const float shift = 0x1.8p23f + bias;
  Bits t = {MADD(x, 1.44269504f, shift)};
  float n = t.f - shift, high = MADD(n, -LOG2_HIGH, x);
  float r = MADD(n, -LOG2_LOW, high), sum = 1 + r;
  float rest = MADD(n, -LOG2_LOW, high - r) + ((1 - sum) + r);
  float q = 1.3814539877e-3f;
  q = MADD(q, r, 8.3687451272e-3f);
  q = MADD(q, r, 4.1668390790e-2f);
  q = MADD(q, r, 1.6666520399e-1f);
  q = MADD(q, r, 4.9999993432e-1f);
  *power = t.i;
  return sum + MADD(q, r * r, rest);
}

INLINE float power_of_two(int32_t biased) {
  Bits b = {.i = (int32_t)((uint32_t)biased << 23)};
  return b.f;
}

INLINE float exp_float(float x) {
  int32_t k, half; /* 2^k alone may leave the range */
  float y = exp_part(x, 254, &k);
  half = k >> 1;
  y = y * power_of_two(half) * power_of_two(k - half);
  y = x > 88.8f ? INFINITY : y;
  return x < -104 ? 0 : y;
}

/*
** e = e^-|x|, 2^32 times as large: no denormal number until the end.  What rounding took
** from 1 + e is put back.
*/
INLINE float sigmoid_float(float x) {
  int32_t k;
  float a = fabsf(x), e = exp_part(-(a > 104 ? 104 : a), 127 + 32, &k) * power_of_two(k);
  float sum = MADD(e, 0x1p-32f, 1), lost = MADD(e, 0x1p-32f, 1 - sum);
  float y = (x < 0 ? e : 0x1p32f) / sum;
  return MADD(-lost, y, y) * 0x1p-32f;
}

/* x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) = f - f^2/2 + f^3 q(f) */
INLINE float log_float(float x) {
  int small = x < 0x1p-126f;
  Bits b = {small ? x * 0x1p23f : x};
  int32_t k = (b.i - 0x3f3504f3) >> 23;
  b.i -= k * (1 << 23);
  float n = (float)(k - (small ? 23 : 0)), f = b.f - 1, z = f * f;
  float q = 7.0376836292e-2f;
  q = MADD(q, f, -1.1514610310e-1f);
  q = MADD(q, f, 1.1676998740e-1f);
  q = MADD(q, f, -1.2420140846e-1f);
  q = MADD(q, f, 1.4249322787e-1f);
  q = MADD(q, f, -1.6668057665e-1f);
  q = MADD(q, f, 2.0000714765e-1f);
  q = MADD(q, f, -2.4999993993e-1f);
  q = MADD(q, f, 3.3333331174e-1f);
  float low = MADD(q, f * z, MADD(n, LOG2_LOW, -0.5f * z));
  float y = MADD(n, LOG2_HIGH, f + low);
  y = x < INFINITY ? y : x; /* inf and NaN are themselves */
  return x > 0 || x != x ? y : x == 0 ? -INFINITY : NAN;
}

#endif
