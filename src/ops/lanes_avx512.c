/* lanes_avx512.c -- lanes.h for AVX-512. */
#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#define ISA(name) name##avx512
#include "lanes.inc.c"
#endif
