/*
** turn.c -- transposed blocks.  Squares whose sides are a cache line go through
** registers; what they cannot cover is moved one by one.  The last square of a row
** or column overlaps the one before: it writes the same again.
*/
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "turn.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* -- squares ---------------------------------------------------------------------- */

#define ONE_BY_ONE(type) \
  for (int64_t r = 0; r < g->rows; r++) \
    for (int64_t c = 0; c < g->columns; c++) \
      ((type *)(b + r * pitch))[c] = *(const type *)(p + c * g->across + r * size);

static void turn_small(char *b, int64_t pitch, const char *p, const mare_Grid *g,
                       int64_t size) {
  if (size == 4) ONE_BY_ONE(uint32_t)
  else if (size == 8) ONE_BY_ONE(uint64_t)
  else ONE_BY_ONE(uint8_t)
}

#ifdef __SSE2__
static void turn16x1(char *b, int64_t pitch, const char *p, int64_t across) {
  __m128i a[16], t[16];
  for (int i = 0; i < 16; i++) a[i] = _mm_loadu_si128((const void *)(p + i * across));
  for (int round = 0; round < 4; round++) { /* four times both halves are interleaved */
    for (int i = 0; i < 8; i++) {
      t[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
      t[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
    }
    memcpy(a, t, sizeof a);
  }
  for (int i = 0; i < 16; i++) _mm_storeu_si128((void *)(b + i * pitch), a[i]);
}

static void turn4x4(char *b, int64_t pitch, const char *p, int64_t across) {
  __m128 a0 = _mm_loadu_ps((const float *)p);
  __m128 a1 = _mm_loadu_ps((const float *)(p + across));
  __m128 a2 = _mm_loadu_ps((const float *)(p + 2 * across));
  __m128 a3 = _mm_loadu_ps((const float *)(p + 3 * across));
  _MM_TRANSPOSE4_PS(a0, a1, a2, a3);
  _mm_storeu_ps((float *)b, a0);
  _mm_storeu_ps((float *)(b + pitch), a1);
  _mm_storeu_ps((float *)(b + 2 * pitch), a2);
  _mm_storeu_ps((float *)(b + 3 * pitch), a3);
}

static void turn2x8(char *b, int64_t pitch, const char *p, int64_t across) {
  __m128d a0 = _mm_loadu_pd((const double *)p);
  __m128d a1 = _mm_loadu_pd((const double *)(p + across));
  _mm_storeu_pd((double *)b, _mm_unpacklo_pd(a0, a1));
  _mm_storeu_pd((double *)(b + pitch), _mm_unpackhi_pd(a0, a1));
}

#define SQUARE(name, n, side, size, part) \
  static void name(char *b, int64_t pitch, const char *p, int64_t across) { \
    for (int r = 0; r < n; r += side) \
      for (int c = 0; c < n; c += side) \
        part(b + r * pitch + c * size, pitch, p + c * across + r * size, across); \
  }

SQUARE(turn16x4, 16, 4, 4, turn4x4)
SQUARE(turn8x8, 8, 2, 8, turn2x8)
SQUARE(turn4x8, 4, 2, 8, turn2x8)
#else
#define PLAIN(name, n, bytes) \
  static void name(char *b, int64_t pitch, const char *p, int64_t across) { \
    turn_small(b, pitch, p, &(mare_Grid){n, n, bytes, across}, bytes); \
  }

PLAIN(turn16x1, 16, 1)
PLAIN(turn16x4, 16, 4)
PLAIN(turn8x8, 8, 8)
PLAIN(turn4x4, 4, 4)
PLAIN(turn4x8, 4, 8)
#define _mm_sfence() ((void)0)
#endif

static mare_Square *square_of(int64_t size) {
  if (size == 1) return turn16x1;
#ifdef __x86_64__
  if (strcmp(mare_isa(), "avx512") == 0)
    return size == 4 ? mare_turn4_avx512 : mare_turn8_avx512;
#endif
  return size == 4 ? turn16x4 : turn8x8;
}

/* -- grids ------------------------------------------------------------------------ */

#define FURTHER 256 /* bytes ahead of what is read */
#define BELOW 32    /* rows below what is written */

typedef enum Fetch { NOTHING, SOURCE, RESULT } Fetch;

static void fetch(const char *p, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; i++) __builtin_prefetch(p + i * step);
}

/* in squares of n x n, where there is room for one */
static void turn_by(mare_Square *square, int64_t n, char *b, int64_t pitch, const char *p,
                    const mare_Grid *g, int64_t size, Fetch ahead) {
  for (int64_t i = 0; i < g->rows; i += n)
    for (int64_t k = 0; k < g->columns; k += n) {
      int64_t r = least(i, g->rows - n), c = least(k, g->columns - n);
      char *to = b + r * pitch + c * size;
      const char *from = p + c * g->across + r * size;
      if (ahead == SOURCE) fetch(from + FURTHER, g->across, n);
      if (ahead == RESULT) fetch(to + BELOW * pitch, pitch, n);
      square(to, pitch, from, g->across);
    }
}

static void turn(char *b, int64_t pitch, const char *p, const mare_Grid *g, int64_t size,
                 Fetch ahead) {
  int64_t n = size == 8 ? 8 : 16, room = least(g->rows, g->columns);
  if (room >= n) turn_by(square_of(size), n, b, pitch, p, g, size, ahead);
  else if (room >= 4 && size == 4) turn_by(turn4x4, 4, b, pitch, p, g, size, NOTHING);
  else if (room >= 4 && size == 8) turn_by(turn4x8, 4, b, pitch, p, g, size, NOTHING);
  else turn_small(b, pitch, p, g, size);
}

void mare_turn(char *b, int64_t pitch, const char *p, const mare_Grid *g, int64_t size,
               bool alone) {
  turn(b, pitch, p, g, size, alone && pitch != g->columns * size ? RESULT : NOTHING);
}

/* -- past the caches -------------------------------------------------------------- */

static int64_t to_line(const char *p) {
  return -(uintptr_t)p % MARE_LINE;
}

/* to = n bytes at b; ordinary stores would first read the lines that they overwrite */
static void put_row(char *to, const char *b, int64_t n) {
  int64_t i = least(to_line(to), n);
  memcpy(to, b, (size_t)i);
#ifdef __SSE2__
  for (; i + MARE_LINE <= n; i += MARE_LINE)
    for (int k = 0; k < MARE_LINE; k += 16)
      _mm_stream_si128((void *)(to + i + k), _mm_loadu_si128((const void *)(b + i + k)));
#endif
  memcpy(to + i, b + i, (size_t)(n - i));
}

#define HEIGHT 16 /* rows of the buffer */

void mare_turn_past(char *b, int64_t pitch, const char *p, const mare_Grid *g,
                    int64_t size, bool first, int64_t more) {
  _Alignas(MARE_LINE) char rows[HEIGHT][MARE_TURN_WIDTH + MARE_LINE];
  int64_t n = g->columns * size; /* bytes of a row */
  bool whole = n % MARE_LINE == 0 && pitch % MARE_LINE == 0 && to_line(b) == 0;
  more = whole ? 0 : least(more, MARE_LINE / size - 1);
  for (int64_t i = 0; i < g->rows; i += HEIGHT, b += HEIGHT * pitch, p += HEIGHT * size) {
    mare_Grid part = {least(HEIGHT, g->rows - i), g->columns + more, size, g->across};
    turn(rows[0], sizeof rows[0], p, &part, size, SOURCE);
    for (int64_t r = 0; r < part.rows; r++) {
      char *to = b + r * pitch;
      int64_t skip = first ? 0 : to_line(to);
      int64_t end = n + least(to_line(to + n), more * size);
      if (skip < end) put_row(to + skip, rows[r] + skip, end - skip);
    }
  }
  _mm_sfence();
}
