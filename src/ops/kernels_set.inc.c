/*
** kernels_set.inc.c -- all kernels of one instruction set and their table.
** Included by kernels_base.c and its sisters after the pragmas that choose the
** set, with VECTOR (bytes of a block), TABLE and RUN (names) defined; and
** INEXACT, to leave out the rows of arithmetic and masks.
*/
#include "kernels.h"

#include <math.h>
#include <string.h>

/* Without errno sqrt is one instruction; GCC does not take that from a pragma. */
#ifndef __clang__
__attribute__((const)) double (sqrt)(double);
__attribute__((const)) float sqrtf(float);
#endif

/*
** Vector versions of the C library's functions, which glibc itself declares for
** -ffast-math only.
*/
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35)
#define VECTOR1(name) OF_VECTOR(double, name)(double); OF_VECTOR(float, name##f)(float);
#define VECTOR2(name) \
  OF_VECTOR(double, name)(double, double); OF_VECTOR(float, name##f)(float, float);
#define OF_VECTOR(type, name) __attribute__((simd("notinbranch"), const)) type (name)
VECTOR1(exp) VECTOR1(exp2) VECTOR1(expm1) VECTOR1(log) VECTOR1(log1p) VECTOR1(log2)
VECTOR1(log10) VECTOR1(sin) VECTOR1(cos) VECTOR1(tan) VECTOR1(asin) VECTOR1(acos)
VECTOR1(atan) VECTOR1(sinh) VECTOR1(cosh) VECTOR1(tanh) VECTOR1(asinh) VECTOR1(acosh)
VECTOR1(atanh) VECTOR1(erf) VECTOR1(erfc) VECTOR2(pow) VECTOR2(hypot) VECTOR2(atan2)
#endif
#endif

#include <tgmath.h> /* exp(x) is expf for float */

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#define WHOLE
#else
#define WHOLE _Pragma("GCC ivdep") _Pragma("GCC unroll 1")
#endif
#define SCALAR __asm__ volatile(""); /* in a loop too short to be worth vectors */
/* WHOLE: a block becomes whole vectors; peeled into scalars first, it would not. */
#define INLINE static inline __attribute__((always_inline, unused))
#define MAYBE __attribute__((unused))
#define eq(a, b) ((a) == (b))
#define ne(a, b) ((a) != (b))
#define lt(a, b) ((a) < (b))
#define le(a, b) ((a) <= (b))
#define gt(a, b) ((a) > (b))
#define ge(a, b) ((a) >= (b))
#undef round
#define round(x) rint(x) /* halves to even */
#include "elementary.h"
#undef exp
#define exp(x) _Generic((x), float: exp_float, default: (exp))(x)
#undef log
#define log(x) _Generic((x), float: log_float, default: (log))(x)

/* the C library's scalar ones miss 2 units of the last place */
#if VECTOR == 16 || !defined(VECTOR1)
#undef tanh
#define tanh(x) _Generic((x), float: (float)(tanh)(x), default: (tanh)(x))
#undef erfc
#define erfc(x) _Generic((x), float: (float)(erfc)(x), default: (erfc)(x))
#endif

#define real float
#define K(name) name##_f32
#include "kernels.inc.c"

#define WIDEST
#define real double
#define K(name) name##_f64
#include "kernels.inc.c"

#define INTEGER
#define real int64_t
#define K(name) name##_i64
#include "kernels.inc.c"

#define MASK
#define real uint8_t
#define K(name) name##_u8
#include "kernels.inc.c"

#define REALS(name) {name##_f32, name##_f64}
#define ROW1(name) {REALS(name), {REALS(name##_0)}},
#define ROW2(name) {REALS(name), {REALS(name##_0), REALS(name##_1)}},
#define UNARY(name, ...) ROW1(name)
#define ROUNDED1(name, ...) ROW1(name)
#define ROUNDED1P(name, ...) ROW1(name)
#define ROUNDED2(name, ...) ROW2(name)
#define PARAM1(name, ...) ROW1(name)
#define PARAM2(name, ...) ROW1(name)
#define BINARY(name, ...) ROW2(name)
#define LOSS(name, ...) ROW2(name)
#define LOSS1(name, ...) ROW2(name)
#define TERNARY(name, ...) \
  {REALS(name), {REALS(name##_0), REALS(name##_1), REALS(name##_2)}},
#ifdef INEXACT
#define ARITH1(name, ...) {{NULL}, {{NULL}}},
#define ARITH2(name, ...) {{NULL}, {{NULL}}},
#define SELECT(name, ...) {{NULL}, {{NULL}}},
#define COMPARE(name, ...) {{NULL}, {{NULL}}},
#define LOGICAL1(name, ...) {{NULL}, {{NULL}}},
#define LOGICAL2(name, ...) {{NULL}, {{NULL}}},
#else
#define ARITH1(name, ...) {{name##_f32, name##_f64, name##_i64}, {REALS(name##_0)}},
#define ARITH2(name, ...) \
  {{name##_f32, name##_f64, name##_i64}, {REALS(name##_0), REALS(name##_1)}},
#define ANY(name) {name##_f32, name##_f64, name##_i64, name##_u8}
#define SELECT(name, ...) {ANY(name), {{NULL}, REALS(name##_1), REALS(name##_2)}},
#define COMPARE(name, ...) {ANY(name), {{NULL}}},
#define LOGICAL1(name, ...) {{[MARE_U8] = name##_u8}, {{NULL}}},
#define LOGICAL2(name, ...) {{[MARE_U8] = name##_u8}, {{NULL}}},
#endif

mare_Runner *const RUN[MARE_NREAL] = {run_f32, run_f64};

const mare_Kernels TABLE[] = {
#include "ops.def"
};
