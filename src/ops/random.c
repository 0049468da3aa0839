/*
** random.c -- tensors of random numbers.  A fill is cut into fixed blocks of
** elements; each begins at a counter of its own, so any thread may make it.
*/
#include "random.h"

#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "../base/rng.h"
#include "ops.h"

#define BLOCK ((int64_t)1 << 15) /* elements of one piece */
#define WORDS MARE_RANDOM_WORDS
#define LANES MARE_RANDOM_LANES

static mare_Random *maker(mare_RandomKind kind) {
  const char *isa = mare_isa();
  if (strcmp(isa, "avx512") == 0) return mare_random_avx512[kind];
  if (strcmp(isa, "avx2") == 0) return mare_random_avx2[kind];
  return mare_random_base[kind];
}

/* The blocks of Philox behind n elements, size bytes of random bits for each. */
static uint64_t blocks(int64_t n, int64_t size) {
  int64_t group = WORDS * 4 / size;
  return (uint64_t)((n + group - 1) / group) * LANES;
}

/* the reserved part of a generator's sequence: r moves on at once */
static uint64_t reserve(mare_Rng *r, uint64_t n) {
  uint64_t first = r->counter;
  r->counter += n;
  return first;
}

/* -- uniform and normal ---------------------------------------------------------- */

typedef struct Fill {
  mare_Random *make;
  uint64_t key, counter;
  char *y;
  int64_t n, size; /* elements, and bytes of one */
  double a, b;
} Fill;

static void fill_piece(void *ctx, int64_t piece) {
  const Fill *f = ctx;
  int64_t i = piece * BLOCK, n = f->n - i < BLOCK ? f->n - i : BLOCK;
  f->make(f->key, f->counter + blocks(i, f->size), (size_t)n, f->y + i * f->size, f->a, f->b);
}

static void fill(mare_Rng *r, mare_Tensor *y, mare_RandomKind f32, double a, double b) {
  mare_RandomKind kind = y->dtype == MARE_F64 ? f32 + 1 : f32;
  Fill f = {maker(kind), r->key, 0, y->data, y->numel, (int64_t)mare_sizeof[y->dtype], a, b};
  f.counter = reserve(r, blocks(f.n, f.size));
  mare_parallel((f.n + BLOCK - 1) / BLOCK, fill_piece, &f);
}

void mare_rng_uniform(mare_Rng *r, mare_Tensor *y, double lo, double hi) {
  fill(r, y, MARE_UNIFORM_F32, lo, hi - lo);
}

void mare_rng_normal(mare_Rng *r, mare_Tensor *y, double mean, double std) {
  fill(r, y, MARE_NORMAL_F32, mean, std);
}

/* -- Bernoulli: one word for an element of any type ------------------------------- */

typedef struct Bernoulli {
  mare_Random *words;
  uint64_t key, counter, limit; /* a word below the limit counts */
  mare_Tensor *y;
  double scale;
} Bernoulli;

/* y[0..n) = scale where the word is below the limit, else 0 */
#define X(e, ctype, name) \
  static void choose_##e(size_t n, const uint32_t *w, uint64_t limit, double scale, \
                         void *out) { \
    ctype *y = out, yes = (ctype)scale; \
    for (size_t i = 0; i < n; i++) y[i] = w[i] < limit ? yes : 0; \
  }
MARE_DTYPES(X)
#undef X

typedef void Choose(size_t n, const uint32_t *w, uint64_t limit, double scale, void *out);

static Choose *const choose[MARE_NDTYPE] = {
#define X(e, ctype, name) choose_##e,
    MARE_DTYPES(X)
#undef X
};

static void bernoulli_piece(void *ctx, int64_t piece) {
  const Bernoulli *b = ctx;
  uint32_t w[16 * WORDS];
  int64_t chunk = sizeof w / sizeof *w, end = (piece + 1) * BLOCK;
  if (end > b->y->numel) end = b->y->numel;
  for (int64_t i = piece * BLOCK; i < end; i += chunk) {
    size_t n = (size_t)(end - i < chunk ? end - i : chunk);
    b->words(b->key, b->counter + blocks(i, 4), n, w, 0, 0);
    choose[b->y->dtype](n, w, b->limit, b->scale,
                        b->y->data + i * (int64_t)mare_sizeof[b->y->dtype]);
  }
}

void mare_rng_bernoulli(mare_Rng *r, mare_Tensor *y, double p, double scale) {
  double limit = p <= 0 ? 0 : p >= 1 ? 0x1p32 : ceil(p * 0x1p32);
  Bernoulli b = {maker(MARE_WORDS), r->key, 0, (uint64_t)limit, y, scale};
  b.counter = reserve(r, blocks(y->numel, 4));
  mare_parallel((y->numel + BLOCK - 1) / BLOCK, bernoulli_piece, &b);
}

/* -- integers --------------------------------------------------------------------- */

typedef struct Integers {
  uint64_t key, counter, span; /* span 0 stands for all 2^64 */
  int64_t n, lo;
  int64_t *y;
} Integers;

/*
** Element i has its own blocks, (counter + i, try, 0): what would be biased is
** drawn again without moving the others (Lemire's method, as in base/rng.c).
*/
static uint64_t integer(const Integers *f, int64_t i) {
  const uint32_t key[2] = {(uint32_t)f->key, (uint32_t)(f->key >> 32)};
  uint64_t at = f->counter + (uint64_t)i;
  for (uint32_t attempt = 0;; attempt++) {
    uint32_t c[4] = {(uint32_t)at, (uint32_t)(at >> 32), attempt, 0};
    mare_philox(key, c);
    uint64_t u = (uint64_t)c[1] << 32 | c[0];
    if (f->span == 0) return u;
    unsigned __int128 p = (unsigned __int128)u * f->span;
    if ((uint64_t)p >= f->span || (uint64_t)p >= -f->span % f->span) return (uint64_t)(p >> 64);
  }
}

static void integer_piece(void *ctx, int64_t piece) {
  const Integers *f = ctx;
  int64_t end = (piece + 1) * BLOCK < f->n ? (piece + 1) * BLOCK : f->n;
  for (int64_t i = piece * BLOCK; i < end; i++)
    f->y[i] = (int64_t)((uint64_t)f->lo + integer(f, i));
}

void mare_rng_integers(mare_Rng *r, mare_Tensor *y, int64_t lo, int64_t hi) {
  Integers f = {r->key, 0, (uint64_t)hi - (uint64_t)lo + 1, y->numel, lo, (int64_t *)y->data};
  f.counter = reserve(r, (uint64_t)f.n);
  mare_parallel((f.n + BLOCK - 1) / BLOCK, integer_piece, &f);
}

/* -- permutations ------------------------------------------------------------------ */

void mare_rng_permutation(mare_Rng *r, mare_Tensor *y) {
  int64_t *v = (int64_t *)y->data;
  for (int64_t i = 0; i < y->numel; i++) {
    int64_t j = (int64_t)mare_rng_below(r, (uint64_t)i + 1);
    v[i] = v[j];
    v[j] = i + 1;
  }
}
