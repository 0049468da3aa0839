/* optim_base.c -- the kernels of optim.def for every machine. */
#include "optim_kernels.h"

#include <tgmath.h> /* sqrt is sqrtf for float */

#pragma GCC optimize("no-math-errno", "no-trapping-math")

#define real float
#define K(name) name##_f32
#include "optim.inc.c"

#define real double
#define K(name) name##_f64
#include "optim.inc.c"

#define OPTIMIZER(name, update, doc, source) {name##_f32, name##_f64},
mare_Update *const mare_optim_base[][MARE_NREAL] = {
#include "optim.def"
};
