/* optim_kernels.h -- the kernels of optim.def, a row of the table for each block. */
#ifndef MARE_OPTIM_KERNELS_H
#define MARE_OPTIM_KERNELS_H

#include <math.h>

#include "optim.h"

/*
** Without errno a root is one instruction and its loop becomes vectors.  GCC's
** pragma optimize("no-math-errno") does not reach built-in functions; this does.
*/
extern float sqrtf(float x) __attribute__((const));
extern double sqrt(double x) __attribute__((const));

#ifdef __clang__
#define APART /* restrict tells it */
#else
#define APART _Pragma("GCC ivdep")
#endif

typedef struct mare_Updates {
  mare_Update *update;
  mare_Update *measure; /* rows TENSORWISE: what runs over all elements before */
} mare_Updates;

/* What memory bounds AVX-512 does not speed up: there are no kernels for it. */
extern const mare_Updates mare_optim_base[][MARE_NREAL];
extern const mare_Updates mare_optim_avx2[][MARE_NREAL]; /* x86-64 only */

#endif
