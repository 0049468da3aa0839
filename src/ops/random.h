/* random.h -- the vector fills of one instruction set, made by random.inc.c. */
#ifndef MARE_RANDOM_H
#define MARE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/*
** Elements come in groups: 16 blocks of Philox, side by side as 16 lanes.  Word j
** of the block in lane i is word 16 j + i of the group.  A fill makes n elements
** from the group at this counter on; the bits are the same on every machine.
*/
#define MARE_RANDOM_LANES 16
#define MARE_RANDOM_WORDS (4 * MARE_RANDOM_LANES)

typedef enum mare_RandomKind {
  MARE_WORDS,       /* uint32_t */
  MARE_UNIFORM_F32, /* a + u b, less than a + b */
  MARE_UNIFORM_F64, /* two words for an element, as for normal ones */
  MARE_NORMAL_F32,  /* a + z b */
  MARE_NORMAL_F64,
  MARE_NRANDOM
} mare_RandomKind;

typedef void mare_Random(uint64_t key, uint64_t counter, size_t n, void *y, double a,
                         double b);

extern mare_Random *const mare_random_base[MARE_NRANDOM];
extern mare_Random *const mare_random_avx2[MARE_NRANDOM];
extern mare_Random *const mare_random_avx512[MARE_NRANDOM];

#endif
