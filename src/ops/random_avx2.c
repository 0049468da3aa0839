/* random_avx2.c -- random fills: AVX2. */
#include "random.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2")
#include "random.inc.c"

mare_Random *const mare_random_avx2[MARE_NRANDOM] = RANDOM_TABLE;
#else
mare_Random *const mare_random_avx2[MARE_NRANDOM] = {0};
#endif
