/*
** kernels_base.c -- the kernels for any processor of the architecture.  A PC that needs
** them is older than AVX2: there they go one element at a time, which takes a third of
** the space.
*/
#if defined(__x86_64__) && !defined(__clang__)
#define ONE_BY_ONE
#pragma GCC optimize("Os", "no-math-errno", "no-trapping-math", "wrapv")
#pragma GCC optimize("fp-contract=off")
#elif !defined(__clang__)
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "wrapv")
#pragma GCC optimize("fp-contract=off")
#endif

#define VECTOR 16
#define TABLE mare_kernels_base
#define RUN mare_run_base
#include "kernels_set.inc.c"
