/*
** kernels.h -- the tables of kernels that kernels_base.c, kernels_avx2.c and
** kernels_avx512.c define, in the order of ops.def, and what runs those of kind
** MARE_REAL, which take whole blocks only.
*/
#ifndef MARE_KERNELS_H
#define MARE_KERNELS_H

#include "../base/types.h"

extern const mare_Kernels mare_kernels_base[];
extern const mare_Kernels mare_kernels_avx2[];   /* x86-64 only */
extern const mare_Kernels mare_kernels_avx512[]; /* x86-64 only */
extern mare_Runner *const mare_run_base[MARE_NREAL];
extern mare_Runner *const mare_run_avx2[MARE_NREAL];
extern mare_Runner *const mare_run_avx512[MARE_NREAL];

#endif
