/*
** lanes.inc.c -- the kernels of lanes.h for one instruction set, included with ISA(name)
** defined after the target was chosen.  Loops are written for the vectoriser: L lanes in
** an array, a trip count it knows, no early exit.
*/
#ifdef __clang__
#elif defined(SMALL)
#pragma GCC optimize("Os", "no-math-errno", "no-trapping-math")
#else
#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic", "no-math-errno", \
                     "no-trapping-math")
/* 128 bytes are not worth a memcpy, nor are second versions of loops their space */
#pragma GCC optimize("no-tree-loop-distribute-patterns", "no-unswitch-loops", \
                     "no-peel-loops", "no-split-loops", "no-version-loops-for-strides")
#endif

#include <math.h>
#include <string.h>

#include "lanes.h"

/* glibc has vector versions of these; elsewhere the calls stay scalar.  const: errno
** is on when the compiler makes its builtins, and would keep the loops scalar */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define VECTOR __attribute__((const, simd("notinbranch")))
extern VECTOR double exp(double);
extern VECTOR double log(double);
#endif

#ifndef LANES
#define LANES 32 /* as many registers of doubles as there are, about */
#endif
#define INLINE static inline __attribute__((always_inline))

/* from memory to cache before it is wanted: a third more of one core's bandwidth */
#define AHEAD(p) \
  for (size_t o = 0; o < LANES * sizeof *(p); o += 64) \
    __builtin_prefetch((const char *)(p) + 4096 + o)

/* -O3 doubles the code and helps few loops: those in which the lanes stay in registers */
#ifdef __clang__
#define OUTLINE static __attribute__((noinline))
#else
#define OUTLINE static __attribute__((noinline, noclone))
#endif
#ifdef SMALL
#define HOT OUTLINE
#else
#define HOT OUTLINE MARE_O3
#endif

/*
** e^x for -87.3 <= x <= 0 and NaN: x = n log 2 + r, e^r = 1 + r + r^2 q(r) with q fitted
** for the least relative error.  Within 1 ulp; twice as fast as libmvec's, which
** must be called, and everywhere.
*/
INLINE float exp_f32(float x) {
  union { float f; uint32_t u; } t = {x * 1.44269504f + 0x1.8p23f}, power;
  float n = t.f - 0x1.8p23f, r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float q = 1.3814539877e-3f;
  q = q * r + 8.3687451272e-3f;
  q = q * r + 4.1668390790e-2f;
  q = q * r + 1.6666520399e-1f;
  q = q * r + 4.9999993432e-1f;
  power.u = (t.u << 23) + 0x3f800000u; /* the low bits of t are n */
  return (q * (r * r) + r + 1) * power.f;
}

#define REAL 1
#define ADD(a, b) ((a) + (b))
#define MUL(a, b) ((a) * (b))
#define WIDE double
#define LOG log

#define WIDEST 0
#define T float
#define K(name) name##_f32
#define BLOCK INT64_MAX
#define EXP exp_f32
#define LOWEST -87.3f
#include "reduce.inc.c"
#include "softmax.inc.c"
#undef T
#undef WIDEST
#undef K
#undef BLOCK
#undef EXP
#undef LOWEST

#define WIDEST 1
#define T double
#define K(name) name##_f64
#define BLOCK 1024
#define EXP exp
#define LOWEST -708.0
#include "reduce.inc.c"
#include "softmax.inc.c"
#undef T
#undef WIDEST
#undef K
#undef BLOCK
#undef WIDE
#undef ADD
#undef MUL
#undef REAL

#ifndef REAL_ONLY
/* integers wrap, as Lua's do */
#define REAL 0
#define ADD(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define MUL(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#define WIDE int64_t
#define BLOCK INT64_MAX

#define WIDEST 1
#define T int64_t
#define K(name) name##_i64
#define LEAST INT64_MIN
#define MOST INT64_MAX
#include "reduce.inc.c"
#undef T
#undef WIDEST
#undef K
#undef LEAST
#undef MOST

#define WIDEST 0
#define T uint8_t
#define K(name) name##_u8
#define LEAST 0
#define MOST 255
#include "reduce.inc.c"
#endif

/* -- what has no kernel of its own goes through f64 or i64 ------------------------ */

#define WIDEN(name, from, to) \
static void name(int64_t n, const void *x, void *y) { \
  for (int64_t i = 0; i < n; i++) ((to *)y)[i] = (to)((const from *)x)[i]; \
}

WIDEN(f32_f64, float, double)
#ifndef REAL_ONLY
WIDEN(i64_f64, int64_t, double)
WIDEN(u8_f64, uint8_t, double)
WIDEN(u8_i64, uint8_t, int64_t)
#endif

/* t = what norm p adds up for each value; norm 2 has its own kernel */
static void powers(int64_t n, const double *x, double p, double *t) {
  for (int64_t i = 0; i < n; i++) t[i] = p == 0 ? x[i] != 0 : fabs(x[i]);
  if (p != 0 && p != 1 && !isinf(p))
    for (int64_t i = 0; i < n; i++) t[i] = pow(t[i], p);
}

static double largest(double a, double b) { return b > a || b != b ? b : a; }
static double smallest(double a, double b) { return b < a || b != b ? b : a; }

static double norm_row(int64_t n, const double *x, double p) {
  double t[256], a = p == -INFINITY ? INFINITY : 0;
  for (int64_t i = 0; i < n; i += 256) {
    int64_t r = n - i < 256 ? n - i : 256;
    powers(r, x + i, p, t);
    if (p == INFINITY) a = largest(a, max_row_f64(r, t));
    else if (p == -INFINITY) a = smallest(a, min_row_f64(r, t));
    else a += sum_row_f64(r, t);
  }
  return a;
}

static void norm_chunk(int64_t n, int64_t rows, const void *x, int64_t stride, double p,
                       mare_Partial *s) {
  for (int64_t i = 0; i < rows; i++)
    s[i].a = norm_row(n, (const double *)x + i * stride, p);
}

#define REALS(f) {f##_f32, f##_f64}
#define COLUMN(f, j, t, acc) {f##_columns_##t, f##_##j##_##t, f##_start_##t, acc}
#ifdef REAL_ONLY
#define EACH(f) REALS(f)
#define INTEGER(f) NULL
#define OWN(f) {COLUMN(f, columns, f32, MARE_F32), COLUMN(f, columns, f64, MARE_F64)}
#define SUMS {COLUMN(sum, join, f32, MARE_F64), COLUMN(sum, join, f64, MARE_F64)}
#else
#define EACH(f) {f##_f32, f##_f64, f##_i64, f##_u8}
#define INTEGER(f) f
#define OWN(f) {COLUMN(f, columns, f32, MARE_F32), COLUMN(f, columns, f64, MARE_F64), \
                COLUMN(f, columns, i64, MARE_I64), COLUMN(f, columns, u8, MARE_U8)}
#define SUMS {COLUMN(sum, join, f32, MARE_F64), COLUMN(sum, join, f64, MARE_F64), \
              COLUMN(sum, join, i64, MARE_I64), COLUMN(sum, join, u8, MARE_I64)}
#endif

const mare_Lanes ISA(mare_lanes_) = {
    .chunk =
        {
            [MARE_SUM] = EACH(sum_chunk),
            [MARE_MEAN] = REALS(sum_chunk),
            [MARE_PROD] = {NULL, prod_chunk_f64, INTEGER(prod_chunk_i64)},
            [MARE_MAX] = EACH(max_chunk),
            [MARE_MIN] = EACH(min_chunk),
            [MARE_ANY] = EACH(any_chunk),
            [MARE_ALL] = EACH(all_chunk),
            [MARE_LOGSUMEXP] = REALS(logsumexp_chunk),
            [MARE_NORM] = {NULL, norm_chunk},
            [MARE_VAR] = REALS(var_chunk),
            [MARE_ARGMAX] = EACH(argmax_chunk),
            [MARE_ARGMIN] = EACH(argmin_chunk),
        },
    .columns =
        {
            [MARE_SUM] = SUMS,
            [MARE_MEAN] = {COLUMN(sum, join, f32, MARE_F64),
                           COLUMN(sum, join, f64, MARE_F64)},
            [MARE_MAX] = OWN(max),
            [MARE_MIN] = OWN(min),
        },
    .widen =
        {
            [MARE_F32] = {[MARE_F64] = f32_f64},
            [MARE_I64] = {[MARE_F64] = INTEGER(i64_f64)},
            [MARE_U8] = {[MARE_F64] = INTEGER(u8_f64), [MARE_I64] = INTEGER(u8_i64)},
        },
    .squares = REALS(squares_chunk),
  .divide = REALS(divide),
    .cumsum = EACH(cumsum),
    .softmax = REALS(softmax),
    .softmax_backward = REALS(softmax_backward),
    .stats = REALS(stats),
    .exp_sum = REALS(exp_sum),
    .affine = REALS(affine),
    .mix_dot = REALS(mix_dot),
    .mix_subtract = REALS(mix_subtract),
};
