/* lanes_base.c -- lanes.h for any machine. */
#define LANES 16
#define ISA(name) name##base
#include "lanes.inc.c"
