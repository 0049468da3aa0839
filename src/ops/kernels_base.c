/* kernels_base.c -- the kernels for any processor of the architecture. */
#ifndef __clang__
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "wrapv")
#pragma GCC optimize("fp-contract=off")
#endif

#define VECTOR 16
#define TABLE mare_kernels_base
#include "kernels_set.inc.c"
