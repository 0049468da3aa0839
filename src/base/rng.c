/*
** rng.c -- Philox4x32-10.  The fills of whole tensors are in ops/random.c.
*/
#include "rng.h"

/* c becomes the block of random bits that belongs to it */
void mare_philox(const uint32_t key[2], uint32_t c[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)MARE_PHILOX_M0 * c[0];
    uint64_t b = (uint64_t)MARE_PHILOX_M1 * c[2];
    c[0] = (uint32_t)(b >> 32) ^ c[1] ^ k0;
    c[1] = (uint32_t)b;
    c[2] = (uint32_t)(a >> 32) ^ c[3] ^ k1;
    c[3] = (uint32_t)a;
    k0 += MARE_PHILOX_W0;
    k1 += MARE_PHILOX_W1;
  }
}

void mare_rng_seed(mare_Rng *r, uint64_t seed) {
  r->key = seed;
  r->counter = 0;
}
