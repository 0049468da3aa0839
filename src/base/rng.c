/*
** rng.c -- Philox4x32-10 and single numbers of it.  The fills of whole tensors
** are in ops/random.c.
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

void mare_rng_block(uint64_t key, uint64_t counter, uint32_t out[4]) {
  const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
  out[0] = (uint32_t)counter;
  out[1] = (uint32_t)(counter >> 32);
  out[2] = out[3] = 0;
  mare_philox(k, out);
}

void mare_rng_seed(mare_Rng *r, uint64_t seed) {
  r->key = seed;
  r->counter = 0;
}

uint64_t mare_rng_u64(mare_Rng *r) {
  uint32_t w[4];
  mare_rng_block(r->key, r->counter++, w);
  return (uint64_t)w[1] << 32 | w[0];
}

double mare_rng_double(mare_Rng *r) {
  return (double)(mare_rng_u64(r) >> 11) * 0x1p-53;
}

/*
** The high half of a 128-bit product; the few products that would make some
** numbers likelier than others are drawn again (Lemire 2019, "Fast random
** integer generation in an interval").
*/
uint64_t mare_rng_below(mare_Rng *r, uint64_t n) {
  if (n == 0) return 0;
  unsigned __int128 p;
  do
    p = (unsigned __int128)mare_rng_u64(r) * n;
  while ((uint64_t)p < n && (uint64_t)p < -n % n);
  return (uint64_t)(p >> 64);
}
