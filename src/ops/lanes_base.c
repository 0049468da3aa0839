/*
** lanes_base.c -- lanes.h for any machine.  A PC that needs it is older than AVX2, and
** space counts there more than speed.
*/
#ifdef __x86_64__
#define SMALL
#endif
#define ISA(name) name##base
#include "lanes.inc.c"
