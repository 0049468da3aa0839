/*
** rng.h -- counter-based random numbers (Philox4x32-10; Salmon, Moraes, Dror
** and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").  Element i of a
** draw depends on (key, counter, i) alone: any thread may produce it.
*/
#ifndef MARE_RNG_H
#define MARE_RNG_H

#include "types.h"

typedef struct mare_Rng {
  uint64_t key;     /* the seed */
  uint64_t counter; /* blocks of four 32-bit numbers used so far */
} mare_Rng;

/* the constants of Philox4x32 */
#define MARE_PHILOX_M0 0xD2511F53u
#define MARE_PHILOX_M1 0xCD9E8D57u
#define MARE_PHILOX_W0 0x9E3779B9u
#define MARE_PHILOX_W1 0xBB67AE85u

/* the bare function: c becomes the block that belongs to it */
void mare_philox(const uint32_t key[2], uint32_t c[4]);

void mare_rng_seed(mare_Rng *r, uint64_t seed);


/*
** Fills; y is contiguous (any number of elements), and r moves on.  f32 and f64:
** uniform in [lo, hi), normal.  Any type: scale with probability p, else 0.  i64:
** integers lo..hi, and 1..n shuffled.
*/
void mare_rng_uniform(mare_Rng *r, mare_Tensor *y, double lo, double hi);
void mare_rng_normal(mare_Rng *r, mare_Tensor *y, double mean, double std);
void mare_rng_bernoulli(mare_Rng *r, mare_Tensor *y, double p, double scale);
void mare_rng_integers(mare_Rng *r, mare_Tensor *y, int64_t lo, int64_t hi);
void mare_rng_permutation(mare_Rng *r, mare_Tensor *y);

#endif
