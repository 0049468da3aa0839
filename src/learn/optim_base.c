/* optim_base.c -- the kernels of optim.def for every machine. */
#include "optim_kernels.h"

#include <tgmath.h> /* sqrt is sqrtf for float */

#ifndef __clang__
#pragma GCC optimize("no-math-errno", "no-trapping-math")
#endif

#define real float
#define K(name) name##_f32
#include "optim.inc.c"

#define real double
#define K(name) name##_f64
#include "optim.inc.c"

#define ROW(name, ...) {{name##_f32, NULL}, {name##_f64, NULL}},
#define TENSORWISE(name, ...) \
  {{name##_f32, name##_measure_f32}, {name##_f64, name##_measure_f64}},
const mare_Updates mare_optim_base[][MARE_NREAL] = {
#include "optim.def"
};
