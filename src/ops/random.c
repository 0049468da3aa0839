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

/* of this processor's instruction set, if this compiler made it for that one */
static mare_Random *maker(mare_RandomKind kind) {
  const char *isa = mare_isa();
  mare_Random *make = NULL;
  if (strcmp(isa, "avx512") == 0) make = mare_random_avx512[kind];
  if (strcmp(isa, "avx2") == 0) make = mare_random_avx2[kind];
  return make ? make : mare_random_base[kind];
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t pieces(int64_t n) {
  return (n + BLOCK - 1) / BLOCK;
}

/* the blocks of Philox behind n elements with size bytes of random bits each */
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
  int64_t i = piece * BLOCK, n = least(f->n - i, BLOCK);
  uint64_t counter = f->counter + blocks(i, f->size);
  f->make(f->key, counter, (size_t)n, f->y + i * f->size, f->a, f->b);
}

static void fill(mare_Rng *r, mare_Tensor *y, mare_RandomKind f32, double a, double b) {
  mare_RandomKind kind = y->dtype == MARE_F64 ? f32 + 1 : f32;
  int64_t size = (int64_t)mare_sizeof[y->dtype];
  Fill f = {maker(kind), r->key, 0, y->data, y->numel, size, a, b};
  f.counter = reserve(r, blocks(f.n, f.size));
  mare_parallel(pieces(f.n), fill_piece, &f);
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
  int64_t chunk = sizeof w / sizeof *w, end = least((piece + 1) * BLOCK, b->y->numel);
  int64_t size = (int64_t)mare_sizeof[b->y->dtype];
  for (int64_t i = piece * BLOCK; i < end; i += chunk) {
    size_t n = (size_t)least(end - i, chunk);
    b->words(b->key, b->counter + blocks(i, 4), n, w, 0, 0);
    choose[b->y->dtype](n, w, b->limit, b->scale, b->y->data + i * size);
  }
}

void mare_rng_bernoulli(mare_Rng *r, mare_Tensor *y, double p, double scale) {
  double limit = p <= 0 ? 0 : p >= 1 ? 0x1p32 : ceil(p * 0x1p32);
  Bernoulli b = {maker(MARE_WORDS), r->key, 0, (uint64_t)limit, y, scale};
  b.counter = reserve(r, blocks(y->numel, 4));
  mare_parallel(pieces(y->numel), bernoulli_piece, &b);
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
    uint64_t low = (uint64_t)p;
    if (low >= f->span || low >= -f->span % f->span) return (uint64_t)(p >> 64);
  }
}

static void integer_piece(void *ctx, int64_t piece) {
  const Integers *f = ctx;
  int64_t end = least((piece + 1) * BLOCK, f->n);
  for (int64_t i = piece * BLOCK; i < end; i++)
    f->y[i] = (int64_t)((uint64_t)f->lo + integer(f, i));
}

void mare_rng_integers(mare_Rng *r, mare_Tensor *y, int64_t lo, int64_t hi) {
  uint64_t span = (uint64_t)hi - (uint64_t)lo + 1;
  Integers f = {r->key, 0, span, y->numel, lo, (int64_t *)y->data};
  f.counter = reserve(r, (uint64_t)f.n);
  mare_parallel(pieces(f.n), integer_piece, &f);
}

/* -- permutations ------------------------------------------------------------------ */

/* a sequence of words; 32 bits are enough for a position in a bucket */
typedef struct Stream {
  mare_Random *words;
  uint64_t key, counter;
  int at; /* of w; what is before it has been used */
  uint32_t w[4 * WORDS];
} Stream;

static void stream_open(Stream *s, uint64_t key, uint64_t counter) {
  s->words = maker(MARE_WORDS);
  s->key = key;
  s->counter = counter;
  s->at = 4 * WORDS;
}

static uint32_t stream_word(Stream *s) {
  if (s->at == 4 * WORDS) {
    s->words(s->key, s->counter, 4 * WORDS, s->w, 0, 0);
    s->counter += 4 * LANES;
    s->at = 0;
  }
  return s->w[s->at++];
}

/* in 0..n - 1 without bias: Lemire's method */
static uint32_t stream_below(Stream *s, uint32_t n) {
  uint64_t p = (uint64_t)stream_word(s) * n;
  while ((uint32_t)p < n && (uint32_t)p < -n % n) p = (uint64_t)stream_word(s) * n;
  return (uint32_t)(p >> 32);
}

/* Fisher and Yates */
static void shuffle(Stream *s, int64_t *v, int64_t n) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = stream_below(s, (uint32_t)i + 1), t = v[i];
    v[i] = v[j];
    v[j] = t;
  }
}

/*
** Long ones, where a random place is a cache miss: every element draws a bucket
** with one byte, buckets are laid out one after the other, and each is shuffled by
** itself (Rao 1961, Sandelius 1962).  The bytes are drawn once to count and again
** to place: that costs less than keeping them.
*/
#define BUCKETS 32   /* as many pages are written at once: a TLB should hold them */
#define CHUNKS 16    /* pieces of the first part */
#define DIRECT 65536 /* elements that are shuffled in one piece */

typedef struct Deal {
  uint64_t key, counter, second; /* of the bytes, and of the shuffles */
  int64_t n, chunk;              /* elements, and those of a chunk */
  int64_t *y;
  int64_t place[CHUNKS][BUCKETS]; /* counts, then where the next one goes */
  int64_t bucket[BUCKETS + 1];    /* where each begins */
} Deal;

/* what is done with the n elements of chunk c from i on; b holds their bytes */
typedef void Dealer(Deal *d, int64_t c, int64_t i, int64_t n, const uint8_t *b);

static void deal(Deal *d, int64_t c, Dealer *with) {
  mare_Random *words = maker(MARE_WORDS);
  uint32_t w[4 * WORDS];
  int64_t block = (int64_t)sizeof w, end = least((c + 1) * d->chunk, d->n);
  for (int64_t i = c * d->chunk; i < end; i += block) {
    words(d->key, d->counter + (uint64_t)(i / 16), 4 * WORDS, w, 0, 0);
    with(d, c, i, least(end - i, block), (const uint8_t *)w);
  }
}

static void count(Deal *d, int64_t c, int64_t i, int64_t n, const uint8_t *b) {
  (void)i;
  for (int64_t k = 0; k < n; k++) d->place[c][b[k] % BUCKETS]++;
}

static void put(Deal *d, int64_t c, int64_t i, int64_t n, const uint8_t *b) {
  for (int64_t k = 0; k < n; k++) d->y[d->place[c][b[k] % BUCKETS]++] = i + k + 1;
}

static void count_piece(void *ctx, int64_t c) { deal(ctx, c, count); }
static void put_piece(void *ctx, int64_t c) { deal(ctx, c, put); }

static void shuffle_piece(void *ctx, int64_t b) {
  const Deal *d = ctx;
  Stream s;
  int64_t first = d->bucket[b];
  stream_open(&s, d->key, d->second + (uint64_t)(first + b * 4 * LANES));
  shuffle(&s, d->y + first, d->bucket[b + 1] - first);
}

/* counts become places: bucket after bucket, chunk after chunk in each */
static void lay_out(Deal *d) {
  int64_t at = 0;
  for (int b = 0; b < BUCKETS; b++) {
    d->bucket[b] = at;
    for (int c = 0; c < CHUNKS; c++) {
      int64_t n = d->place[c][b];
      d->place[c][b] = at;
      at += n;
    }
  }
  d->bucket[BUCKETS] = at;
}

static void permute_short(mare_Rng *r, int64_t *y, int64_t n) {
  Stream s;
  stream_open(&s, r->key, reserve(r, (uint64_t)n + 4 * LANES));
  for (int64_t i = 0; i < n; i++) y[i] = i + 1;
  shuffle(&s, y, n);
}

void mare_rng_permutation(mare_Rng *r, mare_Tensor *y) {
  int64_t n = y->numel, block = 16 * WORDS;
  if (n <= DIRECT) {
    permute_short(r, (int64_t *)y->data, n);
    return;
  }
  Deal d = {.key = r->key, .n = n, .y = (int64_t *)y->data};
  d.chunk = (n + CHUNKS * block - 1) / (CHUNKS * block) * block;
  d.counter = reserve(r, (uint64_t)(d.chunk * CHUNKS / 16));
  d.second = reserve(r, (uint64_t)n + (BUCKETS + 1) * 4 * LANES);
  mare_parallel(CHUNKS, count_piece, &d);
  lay_out(&d);
  mare_parallel(CHUNKS, put_piece, &d);
  mare_parallel(BUCKETS, shuffle_piece, &d);
}
