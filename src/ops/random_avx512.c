/* random_avx512.c -- random fills: AVX-512. */
#include "random.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,prefer-vector-width=512")
#include "random.inc.c"

mare_Random *const mare_random_avx512[MARE_NRANDOM] = RANDOM_TABLE;
#else
mare_Random *const mare_random_avx512[MARE_NRANDOM] = {0};
#endif
