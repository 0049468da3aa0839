/*
** kernels.inc.c -- the element-wise kernels of one element type, made from the
** rows of ops.def.  Included by kernels_set.inc.c with 'real' (the type), K(name),
** and INTEGER or MASK defined for i64 and u8.
**
** A kernel works in blocks of BLOCK elements, which the compiler turns into whole
** vectors.  What is left goes through the same code in a padded buffer: scalar exp
** and vector exp differ in the last bit, and a value must not depend on where in
** an array it stands.
*/

#define BLOCK (VECTOR / sizeof(real))

/* -- vocabulary: see ops.def ------------------------------------------------------- */

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
INLINE real K(sigmoid1)(real x) { return 1 / (1 + exp(-x)); }
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

/* -- what is left of n elements at the end -------------------------------------------- */

/* block = the rest elements at from, then the first of them again and again */
INLINE void K(take)(real *block, const real *from, size_t rest) {
#ifdef TAKE
  if (sizeof(real) > 1) { TAKE(block, from, rest); return; }
#endif
  for (size_t i = 0; i < BLOCK; i++) block[i] = *from;
  for (size_t i = 1; i < rest; i++) { block[i] = from[i]; SCALAR }
}

INLINE void K(put)(real *to, const real *block, size_t rest) {
#ifdef PUT
  if (sizeof(real) > 1) { PUT(to, block, rest); return; }
#endif
  for (size_t i = 0; i < rest; i++) { to[i] = block[i]; SCALAR }
}

/* Operand k of nop has elements of 1 byte when bit k of bytes is set. */
static __attribute__((noinline)) void K(tail)(mare_Kernel *k, size_t n, void *const *p,
                                              const double *c, int nop, unsigned bytes) {
  _Alignas(64) real block[MARE_MAXARGS + 3][BLOCK];
  void *q[MARE_MAXARGS + 3] = {block[0]};
  size_t rest = n % BLOCK, first = n - rest;
  for (int i = 1; i < nop; i++) {
    q[i] = block[i];
    if (bytes >> i & 1) memcpy(block[i], (uint8_t *)p[i] + first, rest);
    else K(take)(block[i], (real *)p[i] + first, rest);
  }
  k(BLOCK, q, c);
  if (bytes & 1) memcpy((uint8_t *)p[0] + first, block[0], rest);
  else K(put)((real *)p[0] + first, block[0], rest);
}

/* -- kernels: 'in' declares the operands' pointers, 'get' reads one element of each ----- */

#define KERNEL(name, out, nop, bytes, in, get, f) \
  static void K(name)(size_t n_, void *const *p_, const double *c_) { \
    out *out_ = p_[0]; in (void)c_; \
    for (size_t i_ = 0; i_ + BLOCK <= n_; i_ += BLOCK) WHOLE \
      for (size_t j_ = 0; j_ < BLOCK; j_++) { get out_[i_ + j_] = (out)(f); } \
    if (n_ % BLOCK) K(tail)(K(name), n_, p_, c_, nop, bytes); \
  }

#define IN(type, v, k) const type *v##_in = p_[k];
#define GET(type, v) MAYBE const type v = v##_in[i_ + j_];
#define PARAM(v, k) MAYBE const real v = (real)c_[k];

#define IN_1(x, k) IN(real, x, k)
#define IN_2(a, b, k) IN(real, a, k) IN(real, b, k + 1)
#define IN_3(a, b, c, k) IN_2(a, b, k) IN(real, c, k + 2)
#define IN_MASK(k) IN(uint8_t, mask, k) IN_2(a, b, k + 1)
#define GET_1(x) GET(real, x)
#define GET_2(a, b) GET(real, a) GET(real, b)
#define GET_3(a, b, c) GET_2(a, b) GET(real, c)
#define GET_MASK GET(uint8_t, mask) GET_2(a, b)

#define FORWARD(name, nin, in, get, f) KERNEL(name, real, nin + 1, 0, in, get, f)

#if defined(INTEGER) || defined(MASK)
#define BACKWARD(name, nin, bytes, in, get, d)
#else /* of y = name(...) to one operand: gx = g d */
#define BACKWARD(name, nin, bytes, in, get, d) \
  KERNEL(name, real, nin + 3, bytes, IN(real, g, 1) IN(real, y, 2) in, \
         GET(real, g) GET(real, y) get, g * (d))
#endif

#if defined(INTEGER) || defined(MASK)
#define UNARY(name, f, d, lo, hi, kinks, doc)
#define PARAM1(name, u, u0, f, d, lo, hi, kinks, doc)
#define PARAM2(name, u, u0, v, v0, f, d, lo, hi, kinks, doc)
#define BINARY(name, f, da, db, lo, hi, kinks, doc)
#define TERNARY(name, f, da, db, dc, lo, hi, kinks, doc)
#define LOSS(name, f, dx, dt, lo, hi, kinks, doc)
#define LOSS1(name, u, u0, f, dx, dt, lo, hi, kinks, doc)
#else
#define UNARY(name, f, d, lo, hi, kinks, doc) \
  FORWARD(name, 1, IN_1(x, 1), GET_1(x), f) \
  BACKWARD(name##_0, 1, 0, IN_1(x, 3), GET_1(x), d)
#define PARAM1(name, u, u0, f, d, lo, hi, kinks, doc) \
  FORWARD(name, 1, IN_1(x, 1) PARAM(u, 0), GET_1(x), f) \
  BACKWARD(name##_0, 1, 0, IN_1(x, 3) PARAM(u, 0), GET_1(x), d)
#define PARAM2(name, u, u0, v, v0, f, d, lo, hi, kinks, doc) \
  FORWARD(name, 1, IN_1(x, 1) PARAM(u, 0) PARAM(v, 1), GET_1(x), f) \
  BACKWARD(name##_0, 1, 0, IN_1(x, 3) PARAM(u, 0) PARAM(v, 1), GET_1(x), d)
#define BINARY(name, f, da, db, lo, hi, kinks, doc) \
  FORWARD(name, 2, IN_2(a, b, 1), GET_2(a, b), f) \
  BACKWARD(name##_0, 2, 0, IN_2(a, b, 3), GET_2(a, b), da) \
  BACKWARD(name##_1, 2, 0, IN_2(a, b, 3), GET_2(a, b), db)
#define TERNARY(name, f, da, db, dc, lo, hi, kinks, doc) \
  FORWARD(name, 3, IN_3(a, b, c, 1), GET_3(a, b, c), f) \
  BACKWARD(name##_0, 3, 0, IN_3(a, b, c, 3), GET_3(a, b, c), da) \
  BACKWARD(name##_1, 3, 0, IN_3(a, b, c, 3), GET_3(a, b, c), db) \
  BACKWARD(name##_2, 3, 0, IN_3(a, b, c, 3), GET_3(a, b, c), dc)
#define LOSS(name, f, dx, dt, lo, hi, kinks, doc) \
  FORWARD(name, 2, IN_2(x, t, 1), GET_2(x, t), f) \
  BACKWARD(name##_0, 2, 0, IN_2(x, t, 3), GET_2(x, t), dx) \
  BACKWARD(name##_1, 2, 0, IN_2(x, t, 3), GET_2(x, t), dt)
#define LOSS1(name, u, u0, f, dx, dt, lo, hi, kinks, doc) \
  FORWARD(name, 2, IN_2(x, t, 1) PARAM(u, 0), GET_2(x, t), f) \
  BACKWARD(name##_0, 2, 0, IN_2(x, t, 3) PARAM(u, 0), GET_2(x, t), dx) \
  BACKWARD(name##_1, 2, 0, IN_2(x, t, 3) PARAM(u, 0), GET_2(x, t), dt)
#endif

#ifdef MASK
#define ARITH1(name, f, d, lo, hi, kinks, doc)
#define ARITH2(name, f, da, db, lo, hi, kinks, doc)
#define LOGICAL1(name, f, doc) FORWARD(name, 1, IN_1(x, 1), GET_1(x), f)
#define LOGICAL2(name, f, doc) FORWARD(name, 2, IN_2(a, b, 1), GET_2(a, b), f)
#else
#define ARITH1(name, f, d, lo, hi, kinks, doc) \
  FORWARD(name, 1, IN_1(x, 1), GET_1(x), f) \
  BACKWARD(name##_0, 1, 0, IN_1(x, 3), GET_1(x), d)
#define ARITH2(name, f, da, db, lo, hi, kinks, doc) \
  FORWARD(name, 2, IN_2(a, b, 1), GET_2(a, b), f) \
  BACKWARD(name##_0, 2, 0, IN_2(a, b, 3), GET_2(a, b), da) \
  BACKWARD(name##_1, 2, 0, IN_2(a, b, 3), GET_2(a, b), db)
#define LOGICAL1(name, f, doc)
#define LOGICAL2(name, f, doc)
#endif

#define COMPARE(name, f, doc) KERNEL(name, uint8_t, 3, 1u, IN_2(a, b, 1), GET_2(a, b), f)
#define SELECT(name, f, da, db, lo, hi, kinks, doc) \
  KERNEL(name, real, 4, 2u, IN_MASK(1), GET_MASK, f) \
  BACKWARD(name##_1, 3, 8u, IN_MASK(3), GET_MASK, da) \
  BACKWARD(name##_2, 3, 8u, IN_MASK(3), GET_MASK, db)

#include "ops.def"

#undef BLOCK
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
#undef KERNEL
#undef IN
#undef GET
#undef PARAM
#undef IN_1
#undef IN_2
#undef IN_3
#undef IN_MASK
#undef GET_1
#undef GET_2
#undef GET_3
#undef GET_MASK
#undef FORWARD
#undef BACKWARD
#undef INTEGER
#undef MASK
#undef real
#undef K
