/*
** number.c -- text to the nearest double in three steps, each exact where it answers.
** Up to 53 bits times a small power of ten is one rounded operation (W. D. Clinger,
** How to read floating point numbers accurately, 1990); then a product of 64 by 64
** bits, believed where its error cannot change the rounding; else whole numbers of
** any length.
*/
#include "number.h"

#include <math.h>
#include <string.h>

#define MOST_DIGITS 770 /* more never change the rounding, except that they are there */
#define LIMBS 128       /* of 32 bits; 2,730 bits occur */

/* -- powers of ten ------------------------------------------------------------------- */

/* 128 bits, the highest set; every step rounds down by less than 2^-124 of the value */
typedef struct Wide {
  uint64_t hi, lo;
} Wide;

static Wide normal(Wide a) {
  int k = __builtin_clzll(a.hi);
  if (k) a.hi = a.hi << k | a.lo >> (64 - k), a.lo <<= k;
  return a;
}

static Wide times5(Wide a) {
  Wide b = {a.hi >> 3, a.hi << 61 | a.lo >> 3};
  unsigned __int128 low = (unsigned __int128)b.lo * 5;
  return normal((Wide){b.hi * 5 + (uint64_t)(low >> 64), (uint64_t)low});
}

static Wide fifth(Wide a) { /* 2^64 is 5 * 3689348814741910323 + 1 */
  uint64_t r = a.hi % 5;
  return normal((Wide){a.hi / 5, r * UINT64_C(3689348814741910323) + a.lo / 5 +
                                     (a.lo % 5 + r) / 5});
}

void mare_powers(mare_Powers *t) {
  const Wide one = {UINT64_C(1) << 63, 0};
  Wide a = one;
  for (int e = 0; e <= MARE_MOST10; e++, a = times5(a)) t->m[e - MARE_LEAST10] = a.hi;
  a = one;
  for (int e = -1; e >= MARE_LEAST10; e--)
    a = fifth(a), t->m[e - MARE_LEAST10] = a.hi;
}

/* -- whole numbers of any length ----------------------------------------------------- */

typedef struct Big {
  int n;
  uint32_t limb[LIMBS]; /* the lowest first */
} Big;

static void times(Big *a, uint32_t k, uint32_t add) { /* a = k a + add */
  uint64_t carry = add;
  for (int i = 0; i < a->n; i++, carry >>= 32) {
    carry += (uint64_t)a->limb[i] * k;
    a->limb[i] = (uint32_t)carry;
  }
  if (carry && a->n < LIMBS) a->limb[a->n++] = (uint32_t)carry;
}

static void times_power(Big *a, uint32_t k, int64_t n) { /* a = a k^n; k is 2 or 5 */
  uint32_t k4 = k * k * k * k;
  for (; n >= 8; n -= 8) times(a, k4 * k4, 0);
  while (n-- > 0) times(a, k, 0);
}

static int compare(const Big *a, const Big *b) {
  if (a->n != b->n) return a->n < b->n ? -1 : 1;
  for (int i = a->n - 1; i >= 0; i--)
    if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
  return 0;
}

/* -- the digits ---------------------------------------------------------------------- */

typedef struct Decimal { /* a number is w 10^e, or a little more when it is cut */
  uint64_t w;
  int64_t e;
  bool cut;
  const char *p, *end; /* its digits, and the point */
  int64_t exponent;    /* of the last of them */
} Decimal;

static bool digit(char c) {
  return (unsigned char)(c - '0') < 10;
}

static bool eight(uint64_t x) { /* are all of eight bytes digits? */
  return ((x & UINT64_C(0xf0f0f0f0f0f0f0f0)) |
          ((x + UINT64_C(0x0606060606060606)) & UINT64_C(0xf0f0f0f0f0f0f0f0)) >> 4) ==
         UINT64_C(0x3333333333333333);
}

static uint32_t eight_value(uint64_t x) {
  x = (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) * 2561 >> 8;
  x = (x & UINT64_C(0x00ff00ff00ff00ff)) * 6553601 >> 16;
  return (uint32_t)((x & UINT64_C(0x0000ffff0000ffff)) * UINT64_C(42949672960001) >> 32);
}

static const char *digits(const char *p, uint64_t *w) {
  uint64_t x;
  while (memcpy(&x, p, 8), eight(x)) *w = *w * 100000000 + eight_value(x), p += 8;
  while (digit(*p)) *w = *w * 10 + (uint64_t)(*p++ - '0');
  return p;
}

/* the first digits that count, up to 'most' of them, one by one into a */
static void first_digits(Decimal *d, int most, Big *a) {
  int n = 0;
  d->e = d->exponent;
  d->cut = false;
  for (const char *p = d->p; p < d->end; p++) {
    if (!digit(*p)) continue;
    if (n < most) times(a, 10, (uint32_t)(*p - '0')), n += n || *p != '0';
    else d->e++, d->cut |= *p != '0';
  }
}

static const char *read_exponent(const char *p, int64_t *e) {
  const char *q = p + 1;
  int64_t x = 0;
  bool negative = *q == '-';
  if ((*p | 0x20) != 'e') return p;
  q += negative || *q == '+';
  if (!digit(*q)) return p;
  for (; digit(*q); q++)
    if (x < INT64_C(1000000000000000)) x = x * 10 + (*q - '0');
  *e += negative ? -x : x;
  return q;
}

/* -- rounding ------------------------------------------------------------------------ */

/* between m 2^q and (m + 2) 2^q: which multiple of 2^q, by comparing with the middles */
static double exact(Decimal *d, uint64_t m, int q) {
  for (;; m++) {
    Big a = {0, {0}}, b = {0, {0}};
    first_digits(d, MOST_DIGITS, &a);
    times(&b, 1, (uint32_t)((2 * m + 1) >> 32));
    times_power(&b, 65536, 2);
    times(&b, 1, (uint32_t)(2 * m + 1));
    times_power(&a, 5, d->e);
    times_power(&b, 5, -d->e);
    times_power(&a, 2, d->e - (q - 1));
    times_power(&b, 2, (q - 1) - d->e);
    int side = compare(&a, &b);
    if (side < 0 || (side == 0 && !d->cut && m % 2 == 0)) return ldexp((double)m, q);
  }
}

static double from_bits(uint64_t bits) {
  double v;
  memcpy(&v, &bits, 8);
  return v;
}

static double near(const mare_Powers *t, Decimal *d) {
  int shift = __builtin_clzll(d->w), p, drop;
  unsigned error = d->cut ? 40 : 5, low;
  unsigned __int128 y =
      (unsigned __int128)(d->w << shift) * t->m[d->e - MARE_LEAST10];
  uint64_t hi = (uint64_t)(y >> 64);
  p = (int)((d->e * 217706) >> 16) + 1 - shift; /* the value is hi 2^p, or a bit more */
  if (hi >> 63 == 0) hi = (uint64_t)(y >> 63), p--;
  low = hi & 2047;
  drop = p + 11 >= -1074 ? 11 : -1074 - p;
  if (drop > 11 || (low <= 1024 && low + error >= 1024))
    return exact(d, drop < 64 ? hi >> drop : 0, p + drop);
  if (p + 63 > 1023) return HUGE_VAL;
  return from_bits((hi >> 11) + (low > 1024) + ((uint64_t)(p + 63 + 1022) << 52));
}

static double value(const mare_Powers *t, Decimal *d, int64_t n) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (n > 19) {
    Big a = {0, {0}};
    first_digits(d, 19, &a);
    d->w = (uint64_t)a.limb[1] << 32 | a.limb[0];
  }
  if (!d->cut && d->w >> 53 == 0 && d->e >= -22 && d->e <= 22)
    return d->e < 0 ? (double)d->w / power[-d->e] : (double)d->w * power[d->e];
  if (d->w == 0 || d->e < MARE_LEAST10) return 0;
  return d->e > MARE_MOST10 ? HUGE_VAL : near(t, d);
}

/* -- numbers ------------------------------------------------------------------------- */

static const char *word(const char *p, double *v) {
  static const struct {
    const char *name;
    double value;
  } words[] = {{"infinity", HUGE_VAL}, {"inf", HUGE_VAL}, {"nan", NAN}};
  for (size_t i = 0; i < 3; i++) {
    size_t n = 0;
    while (words[i].name[n] && (p[n] | 0x20) == words[i].name[n]) n++;
    *v = words[i].value;
    if (words[i].name[n] == '\0') return p + n;
  }
  return NULL;
}

const char *mare_number(const mare_Powers *t, const char *p, char point, double *v) {
  bool negative = *p == '-';
  Decimal d = {0};
  int64_t n;
  p += negative || *p == '+';
  d.p = p;
  p = digits(p, &d.w);
  n = p - d.p;
  if (*p == point) {
    const char *q = digits(p + 1, &d.w);
    n += d.e = q - (p + 1);
    if (n) p = q;
  }
  d.end = p;
  d.exponent = d.e = -d.e;
  if (n == 0) p = word(p, v);
  else {
    p = read_exponent(p, &d.e);
    d.exponent = d.e;
    *v = value(t, &d, n);
  }
  if (negative) *v = -*v;
  return p;
}

const char *mare_whole(const char *p, int64_t *v) {
  bool negative = *p == '-';
  uint64_t w = 0;
  const char *first = p += negative || *p == '+', *end;
  while (*p == '0' && digit(p[1])) p++;
  end = digits(p, &w);
  *v = negative ? (int64_t)(0 - w) : (int64_t)w;
  if (end == first || end - p > 19 || w > (uint64_t)INT64_MAX + negative) return NULL;
  return end;
}
