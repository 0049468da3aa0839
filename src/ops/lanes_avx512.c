/* lanes_avx512.c -- lanes.h for AVX-512; integers are as fast with AVX2. */
#ifdef __x86_64__
#ifndef __clang__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#endif
#define ISA(name) name##avx512
#define REAL_ONLY
#include "lanes.inc.c"
#endif
