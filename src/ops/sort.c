/*
** sort.c -- sorting along a dimension.  Every element is mapped to an unsigned key of
** the same order (NaN above all) and stands in one word with its position.  Where keys
** and positions of a line fit into 64 bits together, as they do for f32, u8 and labels,
** words are short.
*/
#include <string.h>

#include "../base/pool.h"
#include "ops.h"

#define FEW 16       /* words that insertion sorts */
#define MANY 512     /* words from which radix sort wins over merging */
#define DIGIT_BITS 8 /* of a pass of radix sort */
#define DIGIT 256
#define PATIENCE (1 << 18) /* words, and then it is asked whether to go on */
#define BEST 32   /* so many are kept in order while a line is read */
#define PIECES 64 /* lines are dealt to so many pieces, each with its own memory */
#define MEMORY (64 << 20) /* bytes of it, unless one line needs more */

typedef unsigned __int128 Wide;

/* is it not yet time to ask, or is the answer no?  Words are none when it is yes */
static bool going_on(int64_t i) { return i % PATIENCE != 0 || !mare_stopping(); }

#define W uint64_t
#define K(name) name##_64
#include "sort.inc.c"
#undef W
#undef K
#define W Wide
#define K(name) name##_128
#include "sort.inc.c"

/* -- keys ------------------------------------------------------------------------- */

static uint64_t key_f64(double v) {
  uint64_t u;
  if (v != v) return UINT64_MAX;
  v += 0.0; /* -0 and 0 are equal */
  memcpy(&u, &v, sizeof u);
  return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

static uint64_t key_f32(float v) {
  uint32_t u;
  if (v != v) return UINT32_MAX;
  v += 0.0f;
  memcpy(&u, &v, sizeof u);
  return u >> 31 ? (uint32_t)~u : u | UINT32_C(1) << 31;
}

static uint64_t key_i64(int64_t v) { return (uint64_t)v ^ UINT64_C(1) << 63; }
static uint64_t key_u8(uint8_t v) { return v; }

/* key (n) of a line; flip has a bit for each that is turned over */
#define KEYS(name, type, key) \
  static void name(int64_t n, const char *x, int64_t step, uint64_t flip, \
                   uint64_t *out) { \
    for (int64_t i = 0; i < n; i++) \
      out[i] = key(((const type *)(const void *)x)[i * step]) ^ flip; \
  }

KEYS(keys_f32, float, key_f32)
KEYS(keys_f64, double, key_f64)
KEYS(keys_i64, int64_t, key_i64)
KEYS(keys_u8, uint8_t, key_u8)

typedef void Keys(int64_t n, const char *x, int64_t step, uint64_t flip, uint64_t *out);
static Keys *const keys[MARE_NDTYPE] = {keys_f32, keys_f64, keys_i64, keys_u8};
static const int key_bits[MARE_NDTYPE] = {32, 64, 64, 8};

static int bits_of(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }

/* -- lines ------------------------------------------------------------------------ */

typedef struct Job {
  const mare_Tensor *x;
  mare_Tensor *values, *index;
  int dim;
  int64_t lines, pieces, n, k;
  uint64_t flip; /* all bits of a key for the largest first */
  char *memory;  /* two lines of words for each piece */
} Job;

/* where line l begins in t, in elements */
static int64_t line_start(const mare_Tensor *t, int dim, int64_t l) {
  int64_t offset = 0;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (d == dim) continue;
    offset += l % t->shape[d] * t->stride[d];
    l /= t->shape[d];
  }
  return offset;
}

typedef struct Line { /* where the results of one line go */
  const char *x;
  char *value;
  int64_t *at, size, x_step, value_step, at_step;
} Line;

static Line line_of(const Job *j, int64_t l) {
  int64_t size = (int64_t)mare_sizeof[j->x->dtype];
  Line to = {.size = size,
             .x_step = j->x->stride[j->dim] * size,
             .value_step = j->values->stride[j->dim] * size,
             .at_step = j->index->stride[j->dim]};
  to.x = j->x->data + line_start(j->x, j->dim, l) * size;
  to.value = j->values->data + line_start(j->values, j->dim, l) * size;
  to.at = (int64_t *)(void *)j->index->data + line_start(j->index, j->dim, l);
  return to;
}

/* the next result is element k */
static void store(Line *to, int64_t k) {
  if (to->size == 4)
    memcpy(to->value, to->x + k * to->x_step, 4);
  else if (to->size == 8)
    memcpy(to->value, to->x + k * to->x_step, 8);
  else
    *to->value = to->x[k * to->x_step];
  *to->at = k + 1;
  to->value += to->value_step;
  to->at += to->at_step;
}

/* the k first when they are few: an insertion into a short list */
static void store_best(const Job *j, const uint64_t *key, Line to) {
  uint64_t best[BEST];
  int64_t at[BEST], have = 0, k = j->k;
  for (int64_t i = 0; i < j->n; i++) {
    int64_t b = have;
    if (!going_on(i)) return;
    if (have == k && key[i] >= best[k - 1]) continue;
    if (have < k)
      have++;
    else
      b = k - 1;
    for (; b > 0 && best[b - 1] > key[i]; b--) best[b] = best[b - 1], at[b] = at[b - 1];
    best[b] = key[i], at[b] = i;
  }
  for (int64_t i = 0; i < k; i++) store(&to, at[i]);
}

/* do keys and positions of all lines fit into short words? */
static bool always_short(const Job *j) {
  return key_bits[j->x->dtype] + bits_of((uint64_t)j->n - 1) <= 64;
}

/* Keys are made where the words will be moved to, long after they were read. */
static void sort_line(const Job *j, int64_t l, char *memory) {
  int64_t n = j->n;
  uint64_t least = UINT64_MAX, most = 0, *word = (uint64_t *)(void *)memory;
  uint64_t *key = word + (always_short(j) ? n : 2 * n);
  Wide *wide = (Wide *)(void *)memory;
  Line to = line_of(j, l);
  for (int64_t i = 0; i < n && (i == 0 || !mare_stopping()); i += PATIENCE)
    keys[j->x->dtype](n - i < PATIENCE ? n - i : PATIENCE, to.x + i * to.x_step,
                      j->x->stride[j->dim], j->flip, key + i);
  if (j->k < n && j->k <= BEST) {
    store_best(j, key, to);
    return;
  }
  for (int64_t i = 0; i < n && going_on(i); i++) {
    least = key[i] < least ? key[i] : least;
    most = key[i] > most ? key[i] : most;
  }
  int low = bits_of((uint64_t)n - 1), high = low + bits_of(most - least);
  uint64_t mask = (UINT64_C(1) << low) - 1;
  if (high <= 64) {
    make_64(word, n, key, least, low);
    const uint64_t *p = first_64(word, word + n, n, j->k, low, high);
    for (int64_t i = 0; i < j->k && going_on(i); i++) store(&to, (int64_t)(p[i] & mask));
  } else {
    make_128(wide, n, key, least, low);
    const Wide *p = first_128(wide, wide + n, n, j->k, low, high);
    for (int64_t i = 0; i < j->k && going_on(i); i++)
      store(&to, (int64_t)((uint64_t)p[i] & mask));
  }
}

static size_t memory_of(const Job *j) { /* of one piece */
  return 2 * (size_t)j->n * (always_short(j) ? sizeof(uint64_t) : sizeof(Wide));
}

static void sort_piece(void *ctx, int64_t piece) {
  const Job *j = ctx;
  int64_t l = piece * j->lines / j->pieces, end = (piece + 1) * j->lines / j->pieces;
  for (; l < end && !mare_stopping(); l++)
    sort_line(j, l, j->memory + (size_t)piece * memory_of(j));
}

static mare_Status run(mare_Heap *h, Job *j) {
  size_t each;
  j->n = j->x->shape[j->dim];
  if (j->values->numel == 0) return MARE_OK;
  if ((size_t)j->n > SIZE_MAX / 64) return MARE_NOMEM;
  each = memory_of(j);
  j->lines = j->x->numel / j->n;
  j->pieces = j->x->numel >> 12 < PIECES ? (j->x->numel >> 12) + 1 : PIECES;
  if (j->pieces > j->lines) j->pieces = j->lines;
  if ((size_t)j->pieces > MEMORY / each + 1) j->pieces = (int64_t)(MEMORY / each + 1);
  j->memory = mare_scratch(h, (size_t)j->pieces * each);
  if (j->memory == NULL) return mare_heap_status(h, (size_t)j->pieces * each);
  mare_parallel(j->pieces, sort_piece, j);
  mare_scratch_free(h, j->memory);
  return MARE_OK;
}

mare_Status mare_sort(mare_Heap *h, int dim, bool descending, const mare_Tensor *x,
                      mare_Tensor *values, mare_Tensor *index) {
  return mare_topk(h, dim, x->shape[dim], descending, x, values, index);
}

mare_Status mare_topk(mare_Heap *h, int dim, int64_t k, bool largest,
                      const mare_Tensor *x, mare_Tensor *values, mare_Tensor *index) {
  Job j = {.x = x, .values = values, .index = index, .dim = dim, .k = k};
  if (largest) j.flip = UINT64_MAX >> (64 - key_bits[x->dtype]);
  return run(h, &j);
}
