/*
** kernels.inc.c -- the element-wise kernels of one element type, made from the
** rows of ops.def.  Included by kernels_set.inc.c with 'real' (the type), K(name),
** WIDEST defined for f64, INTEGER or MASK for i64 and u8.
**
** A kernel works in blocks, which the compiler turns into whole vectors.  What is
** left goes through the same code in a padded block, by K(run): scalar exp and vector
** exp differ in the last bit, and a value must not depend on where it stands in an
** array.  Rows of arithmetic and masks are exact and do the rest one by one.
*/

#ifdef ONE_BY_ONE
#define BLOCK 1
#define BLOCK32 1
#define WIDE 1
#else
#define BLOCK (VECTOR / sizeof(real))
#define BLOCK32 (VECTOR / sizeof(float))
#define WIDE VECTOR /* block of a kernel that mixes bytes with wider elements */
#endif

/* -- vocabulary: see ops.def ------------------------------------------------------ */

INLINE real K(where1)(int c, real a, real b) { return c ? a : b; }
#ifdef INTEGER
INLINE real K(abs1)(real x) { return x < 0 ? -x : x; }
INLINE real K(idiv1)(real a, real b) {
  if (b == 0 || b == -1) return b == 0 ? 0 : -a; /* the processor would trap */
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
INLINE real K(mod1)(real a, real b) { return b == 0 ? a : a - K(idiv1)(a, b) * b; }
#elif !defined(MASK)
INLINE real K(max1)(real a, real b) { return a > b ? a : a != a ? a : b; }
INLINE real K(min1)(real a, real b) { return a < b ? a : a != a ? a : b; }
INLINE real K(sign1)(real x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
INLINE real K(square1)(real x) { return x * x; }
INLINE real K(abs1)(real x) { return fabs(x); }
INLINE real K(clamp1)(real x, real lo, real hi) { return x < lo ? lo : x > hi ? hi : x; }
INLINE real K(sigmoid1)(real x) {
  if (sizeof(real) == sizeof(float)) return sigmoid_float((float)x);
  real e = exp(-fabs(x)), sum = 1 + e, y = (x < 0 ? e : 1) / sum;
  return y - y * (e - (sum - 1)); /* the last: what rounding took from 1 + e */
}
INLINE real K(softplus1)(real x) { return K(max1)(x, 0) + log1p(exp(-fabs(x))); }
INLINE real K(idiv1)(real a, real b) { return floor(a / b); }
INLINE real K(mod1)(real a, real b) {
  real r = fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
#endif

#define R(k) ((real)(k))
#define where(c, a, b) K(where1)(c, a, b)
#define maximum(a, b) K(max1)(a, b)
#define minimum(a, b) K(min1)(a, b)
#define sign(x) K(sign1)(x)
#define square(x) K(square1)(x)
#define abs(x) K(abs1)(x)
#define idiv(a, b) K(idiv1)(a, b)
#define mod(a, b) K(mod1)(a, b)
#define clamp(x, lo, hi) K(clamp1)(x, lo, hi)
#define sigmoid(x) K(sigmoid1)(x)
#define softplus(x) K(softplus1)(x)

/* -- what is left of n elements at the end ---------------------------------------- */

#if !defined(INTEGER) && !defined(MASK)
/* block = the rest elements at from, then the first of them again and again */
INLINE void K(take)(real *block, const real *from, size_t rest) {
#ifdef TAKE
  TAKE(block, from, rest);
#else
  for (size_t i = 0; i < BLOCK; i++) block[i] = *from;
  for (size_t i = 1; i < rest; i++) { block[i] = from[i]; SCALAR }
#endif
}

INLINE void K(put)(real *to, const real *block, size_t rest) {
#ifdef PUT
  PUT(to, block, rest);
#else
  for (size_t i = 0; i < rest; i++) { to[i] = block[i]; SCALAR }
#endif
}

static void K(run)(mare_Kernel *k, size_t n, int nop, void *const *p, const double *c) {
  _Alignas(64) real block[MARE_MAXARGS + 3][BLOCK];
  void *q[MARE_MAXARGS + 3] = {block[0]};
  size_t rest = n % BLOCK, first = n - rest;
  if (first) k(first, p, c);
  if (rest == 0) return;
  for (int i = 1; i < nop; i++) K(take)(q[i] = block[i], (real *)p[i] + first, rest);
  k(BLOCK, q, c);
  K(put)((real *)p[0] + first, block[0], rest);
}
#endif

/* -- kernels: 'in' declares the operands' pointers, 'get' reads one element of each  */

#define START(out, in) out *out_ = p_[0]; in size_t i_ = 0; (void)c_;
#define ONE_BLOCK(out, block, get, f) WHOLE \
  for (size_t j_ = 0; j_ < block; j_++) { get out_[i_ + j_] = (out)(f); }

#define LOOP(name, out, block, in, get, f) \
  static void name(size_t n_, void *const *p_, const double *c_) { \
    START(out, in) \
    do ONE_BLOCK(out, block, get, f) while ((i_ += block) < n_); \
  }
#define KERNEL(name, in, get, f) LOOP(K(name), real, BLOCK, in, get, f)

#define EXACT(name, out, block, in, get, f) \
  static void K(name)(size_t n_, void *const *p_, const double *c_) { \
    START(out, in) \
    for (; i_ + block <= n_; i_ += block) ONE_BLOCK(out, block, get, f) \
    for (size_t j_ = 0; block > 1 && i_ + j_ < n_; j_++) { \
      get out_[i_ + j_] = (out)(f); SCALAR } \
  }

#define IN(type, v, k) const type *v##_in = p_[k];
#define GET(type, v) MAYBE const type v = v##_in[i_ + j_];
#define IN32(v, k) const float *v##_in = p_[k]; /* of an f32 kernel that works in f64 */
#define PARAM(v, k) MAYBE const real v = (real)c_[k];

#define IN_1(x, k) IN(real, x, k)
#define IN_2(a, b, k) IN(real, a, k) IN(real, b, k + 1)
#define IN_3(a, b, c, k) IN_2(a, b, k) IN(real, c, k + 2)
#define IN_MASK(k) IN(uint8_t, mask, k) IN_2(a, b, k + 1)
#define GET_1(x) GET(real, x)
#define GET_2(a, b) GET(real, a) GET(real, b)
#define GET_3(a, b, c) GET_2(a, b) GET(real, c)
#define GET_MASK GET(uint8_t, mask) GET_2(a, b)

#ifdef INEXACT
#undef EXACT
#define EXACT(name, out, block, in, get, f)
#endif

/* the incoming gradient and the result, before the operands of a backward kernel */
#define IN_G IN(real, g, 1) IN(real, y, 2)
#define GET_G GET(real, g) GET(real, y)

#if defined(INTEGER) || defined(MASK)
#define EXACT_BACK(name, block, in, get, d)
#define UNARY(name, f, d, lo, hi, kinks, doc)
#define PARAM1(name, u, u0, f, d, lo, hi, kinks, doc)
#define PARAM2(name, u, u0, v, v0, f, d, lo, hi, kinks, doc)
#define BINARY(name, f, da, db, lo, hi, kinks, doc)
#define ROUNDED1(name, f, d, lo, hi, kinks, doc)
#define ROUNDED1P(name, u, u0, f, d, lo, hi, kinks, doc)
#define ROUNDED2(name, f, da, db, lo, hi, kinks, doc)
#define TERNARY(name, f, da, db, dc, lo, hi, kinks, doc)
#define LOSS(name, f, dx, dt, lo, hi, kinks, doc)
#define LOSS1(name, u, u0, f, dx, dt, lo, hi, kinks, doc)
#else
#define EXACT_BACK(name, block, in, get, d) \
  EXACT(name, real, block, IN_G in, GET_G get, g * (d))
#define BACK(name, in, get, d) KERNEL(name, IN_G in, GET_G get, g * (d))
#ifdef WIDEST /* f64: makes the rounded f32 kernels too */
#define VALUE(name, in, in32, get, f) \
  LOOP(name##_f32, float, BLOCK32, in32, get, f) KERNEL(name, in, get, f)
#else
#define VALUE(name, in, in32, get, f)
#endif
#define ROUNDED1(name, f, d, lo, hi, kinks, doc) \
  VALUE(name, IN_1(x, 1), IN32(x, 1), GET_1(x), f) \
  BACK(name##_0, IN_1(x, 3), GET_1(x), d)
#define ROUNDED1P(name, u, u0, f, d, lo, hi, kinks, doc) \
  VALUE(name, IN_1(x, 1) PARAM(u, 0), IN32(x, 1) PARAM(u, 0), GET_1(x), f) \
  BACK(name##_0, IN_1(x, 3) PARAM(u, 0), GET_1(x), d)
#define ROUNDED2(name, f, da, db, lo, hi, kinks, doc) \
  VALUE(name, IN_2(a, b, 1), IN32(a, 1) IN32(b, 2), GET_2(a, b), f) \
  BACK(name##_0, IN_2(a, b, 3), GET_2(a, b), da) \
  BACK(name##_1, IN_2(a, b, 3), GET_2(a, b), db)
#define UNARY(name, f, d, lo, hi, kinks, doc) \
  KERNEL(name, IN_1(x, 1), GET_1(x), f) \
  BACK(name##_0, IN_1(x, 3), GET_1(x), d)
#define PARAM1(name, u, u0, f, d, lo, hi, kinks, doc) \
  KERNEL(name, IN_1(x, 1) PARAM(u, 0), GET_1(x), f) \
  BACK(name##_0, IN_1(x, 3) PARAM(u, 0), GET_1(x), d)
#define PARAM2(name, u, u0, v, v0, f, d, lo, hi, kinks, doc) \
  KERNEL(name, IN_1(x, 1) PARAM(u, 0) PARAM(v, 1), GET_1(x), f) \
  BACK(name##_0, IN_1(x, 3) PARAM(u, 0) PARAM(v, 1), GET_1(x), d)
#define BINARY(name, f, da, db, lo, hi, kinks, doc) \
  KERNEL(name, IN_2(a, b, 1), GET_2(a, b), f) \
  BACK(name##_0, IN_2(a, b, 3), GET_2(a, b), da) \
  BACK(name##_1, IN_2(a, b, 3), GET_2(a, b), db)
#define TERNARY(name, f, da, db, dc, lo, hi, kinks, doc) \
  KERNEL(name, IN_3(a, b, c, 1), GET_3(a, b, c), f) \
  BACK(name##_0, IN_3(a, b, c, 3), GET_3(a, b, c), da) \
  BACK(name##_1, IN_3(a, b, c, 3), GET_3(a, b, c), db) \
  BACK(name##_2, IN_3(a, b, c, 3), GET_3(a, b, c), dc)
#define LOSS(name, f, dx, dt, lo, hi, kinks, doc) \
  KERNEL(name, IN_2(x, t, 1), GET_2(x, t), f) \
  BACK(name##_0, IN_2(x, t, 3), GET_2(x, t), dx) \
  BACK(name##_1, IN_2(x, t, 3), GET_2(x, t), dt)
#define LOSS1(name, u, u0, f, dx, dt, lo, hi, kinks, doc) \
  KERNEL(name, IN_2(x, t, 1) PARAM(u, 0), GET_2(x, t), f) \
  BACK(name##_0, IN_2(x, t, 3) PARAM(u, 0), GET_2(x, t), dx) \
  BACK(name##_1, IN_2(x, t, 3) PARAM(u, 0), GET_2(x, t), dt)
#endif

#ifdef MASK
#define ARITH1(name, f, d, lo, hi, kinks, doc)
#define ARITH2(name, f, da, db, lo, hi, kinks, doc)
#define LOGICAL1(name, f, doc) EXACT(name, real, BLOCK, IN_1(x, 1), GET_1(x), f)
#define LOGICAL2(name, f, doc) EXACT(name, real, BLOCK, IN_2(a, b, 1), GET_2(a, b), f)
#else
#define ARITH1(name, f, d, lo, hi, kinks, doc) \
  EXACT(name, real, BLOCK, IN_1(x, 1), GET_1(x), f) \
  EXACT_BACK(name##_0, BLOCK, IN_1(x, 3), GET_1(x), d)
#define ARITH2(name, f, da, db, lo, hi, kinks, doc) \
  EXACT(name, real, BLOCK, IN_2(a, b, 1), GET_2(a, b), f) \
  EXACT_BACK(name##_0, BLOCK, IN_2(a, b, 3), GET_2(a, b), da) \
  EXACT_BACK(name##_1, BLOCK, IN_2(a, b, 3), GET_2(a, b), db)
#define LOGICAL1(name, f, doc)
#define LOGICAL2(name, f, doc)
#endif

#define COMPARE(name, f, doc) EXACT(name, uint8_t, WIDE, IN_2(a, b, 1), GET_2(a, b), f)
#define SELECT(name, f, da, db, lo, hi, kinks, doc) \
  EXACT(name, real, WIDE, IN_MASK(1), GET_MASK, f) \
  EXACT_BACK(name##_1, WIDE, IN_MASK(3), GET_MASK, da) \
  EXACT_BACK(name##_2, WIDE, IN_MASK(3), GET_MASK, db)

#include "ops.def"

#undef BLOCK
#undef BLOCK32
#undef WIDE
#undef R
#undef where
#undef maximum
#undef minimum
#undef sign
#undef square
#undef abs
#undef idiv
#undef mod
#undef clamp
#undef sigmoid
#undef softplus
#undef START
#undef ONE_BLOCK
#undef LOOP
#undef KERNEL
#undef VALUE
#undef EXACT
#undef IN
#undef GET
#undef IN32
#undef PARAM
#undef IN_1
#undef IN_2
#undef IN_3
#undef IN_MASK
#undef GET_1
#undef GET_2
#undef GET_3
#undef GET_MASK
#undef IN_G
#undef GET_G
#undef EXACT_BACK
#undef BACK
#undef WIDEST
#undef INTEGER
#undef MASK
#undef real
#undef K
