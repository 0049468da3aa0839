/* lanes_avx2.c -- lanes.h for AVX2 and FMA. */
#ifdef __x86_64__
#ifndef __clang__
#pragma GCC target("avx2,fma")
#endif
#define ISA(name) name##avx2
#include "lanes.inc.c"
#endif
