/* random_base.c -- random fills: what every machine has. */
#include "random.inc.c"

mare_Random *const mare_random_base[MARE_NRANDOM] = RANDOM_TABLE;
