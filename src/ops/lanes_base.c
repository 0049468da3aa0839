/* lanes_base.c -- lanes.h for any machine. */
#define ISA(name) name##base
#include "lanes.inc.c"
