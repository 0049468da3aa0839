/*
** gemm_small.inc.c -- the template of the small matrix products.  Included once
** for each real type by a file that fixes BYTES (of a vector), TILE (registers
** for sums), real, NAME and the loads and stores of the first lanes of a vector.
**
** A product runs in one of two forms.  Outer: columns of c lie across vectors, a
** is read number by number, b row by row (packed into a panel when its rows are
** not contiguous); the same code does the transposed product when that is
** cheaper.  Dot: a and b are both contiguous along k, and vectors run along k.
*/

#define W ((int)(BYTES / sizeof(real)))
#define Vec NAME(Vec)
#define Near NAME(Near)
#define Lanes NAME(Lanes)
#define ROUNDS (W == 16 ? 4 : W == 8 ? 3 : W == 4 ? 2 : 1) /* log2(W) */
#define MAXROWS 12           /* of a tile */
#define MAXNV 6              /* vectors across a tile */
#define WIDE (TILE / 6)      /* vectors across where there is room */
#define PANEL (32768 / (int)sizeof(real)) /* numbers in a packed panel */

typedef real Vec __attribute__((vector_size(BYTES)));
typedef real Near __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef __typeof__((Vec){0} < (Vec){0}) NAME(Index); /* integers, for shuffles */

#define load(p) ((Vec) * (const Near *)(p))
#define store(p, v) (*(Near *)(p) = (v))
#define lanes NAME(lanes)
#define part NAME(part)
#define put NAME(put)

/* -- tiles: rows x nv vectors of sums stay in registers ------------------------------- */

typedef void NAME(Tile)(int64_t k, const real *a, int64_t ai, int64_t ap, const real *b,
                        int64_t bp, int n, real *c, int64_t ci);

/* sum (rows, nv) += one row of b times one number of each row of a */
static inline __attribute__((always_inline)) void
NAME(step) (const int rows, const int nv, const real **g, int64_t ai, int64_t ap,
            const Vec *row, Vec sum[MAXROWS][MAXNV]) {
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
    const real x = g[i / 3][i % 3 * ai];
#pragma GCC unroll 16
    for (int j = 0; j < nv; j++) sum[i][j] += x * row[j];
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; i += 3) g[i / 3] += ap;
}

/* c (rows, nv vectors) = a b; the last vector of a row of b and c has only n lanes */
static inline __attribute__((always_inline)) void
NAME(tile) (const int rows, const int nv, int64_t k, const real *a, int64_t ai, int64_t ap,
            const real *b, int64_t bp, int n, real *c, int64_t ci) {
  const Lanes last = lanes(n);
  Vec sum[MAXROWS][MAXNV], row[MAXNV];
  const real *g[(MAXROWS + 2) / 3]; /* one pointer for three rows: registers are few */
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
    for (int j = 0; j < nv; j++) sum[i][j] = (Vec){0};
#pragma GCC unroll 16
  for (int i = 0; i < rows; i += 3) g[i / 3] = a + i * ai;
  if (n == W)
    for (; k > 0; k--, b += bp) {
#pragma GCC unroll 16
      for (int j = 0; j < nv; j++) row[j] = load(b + j * W);
      NAME(step)(rows, nv, g, ai, ap, row, sum);
    }
  else
    for (; k > 0; k--, b += bp) {
#pragma GCC unroll 16
      for (int j = 0; j < nv - 1; j++) row[j] = load(b + j * W);
      row[nv - 1] = part(b + (nv - 1) * W, last);
      NAME(step)(rows, nv, g, ai, ap, row, sum);
    }
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++, c += ci) {
#pragma GCC unroll 16
    for (int j = 0; j < nv - 1; j++) store(c + j * W, sum[i][j]);
    put(c + (nv - 1) * W, last, sum[i][nv - 1]);
  }
}

#define TILE_OF(r, v) static void NAME(tile_##r##_##v) (int64_t k, const real *a, int64_t ai, \
    int64_t ap, const real *b, int64_t bp, int n, real *c, int64_t ci) { \
  NAME(tile)(r, v, k, a, ai, ap, b, bp, n, c, ci); }
#define TILES_4(v) TILE_OF(1, v) TILE_OF(2, v) TILE_OF(3, v) TILE_OF(4, v)
#define TILES_6(v) TILES_4(v) TILE_OF(5, v) TILE_OF(6, v)
#define TILES_8(v) TILES_6(v) TILE_OF(7, v) TILE_OF(8, v)
#define TILES_12(v) TILES_8(v) TILE_OF(9, v) TILE_OF(10, v) TILE_OF(11, v) TILE_OF(12, v)
#define NAMES_4(v) NAME(tile_1_##v), NAME(tile_2_##v), NAME(tile_3_##v), NAME(tile_4_##v)
#define NAMES_6(v) NAMES_4(v), NAME(tile_5_##v), NAME(tile_6_##v)
#define NAMES_8(v) NAMES_6(v), NAME(tile_7_##v), NAME(tile_8_##v)
#define NAMES_12(v) NAMES_8(v), NAME(tile_9_##v), NAME(tile_10_##v), NAME(tile_11_##v), \
    NAME(tile_12_##v)

/* by the number of vectors across: the tiles, and the most rows that one has */
#if TILE == 24
TILES_12(1) TILES_12(2) TILES_8(3) TILES_6(4) TILES_4(6)
static NAME(Tile) *const NAME(tiles)[MAXNV + 1][MAXROWS] = {
  [1] = {NAMES_12(1)}, [2] = {NAMES_12(2)}, [3] = {NAMES_8(3)}, [4] = {NAMES_6(4)},
  [6] = {NAMES_4(6)}
};
static const int8_t NAME(rows_of)[MAXNV + 1] = {[1] = 12, [2] = 12, [3] = 8, [4] = 6, [6] = 4};
#else /* 12 */
TILES_12(1) TILES_6(2) TILES_4(3) TILE_OF(1, 6)
static NAME(Tile) *const NAME(tiles)[MAXNV + 1][MAXROWS] = {
  [1] = {NAMES_12(1)}, [2] = {NAMES_6(2)}, [3] = {NAMES_4(3)}, [6] = {NAME(tile_1_6)}
};
static const int8_t NAME(rows_of)[MAXNV + 1] = {[1] = 12, [2] = 6, [3] = 4, [6] = 1};
#endif

/* -- from sums to c --------------------------------------------------------------------- */

/* the W x W transpose of t, in log2(W) rounds that interleave halves */
static inline __attribute__((always_inline)) void NAME(transpose) (Vec t[W]) {
  NAME(Index) low, high;
  for (int i = 0; i < W; i++) {
    low[i] = i / 2 + (i % 2) * W;
    high[i] = low[i] + W / 2;
  }
#pragma GCC unroll 4
  for (int round = 0; round < ROUNDS; round++) {
    Vec u[W];
#pragma GCC unroll 16
    for (int i = 0; i < W / 2; i++) {
      u[2 * i] = __builtin_shuffle(t[i], t[i + W / 2], low);
      u[2 * i + 1] = __builtin_shuffle(t[i], t[i + W / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) t[i] = u[i];
  }
}

/* lane i of the result is the sum of the lanes of t[i] */
static inline __attribute__((always_inline)) Vec NAME(sums) (Vec t[W]) {
  NAME(Index) even, odd;
  for (int i = 0; i < W; i++) {
    even[i] = 2 * i;
    odd[i] = 2 * i + 1;
  }
#pragma GCC unroll 4
  for (int round = 0; round < ROUNDS; round++)
#pragma GCC unroll 16
    for (int i = 0; i < W / 2; i++) /* a half of what counts is left each time */
      t[i] = __builtin_shuffle(t[2 * i], t[2 * i + 1], even) +
             __builtin_shuffle(t[2 * i], t[2 * i + 1], odd);
  return t[0];
}

/* n numbers with a stride, n <= W */
static inline Vec NAME(pick) (const real *p, int64_t stride, int n) {
  if (stride == 1) return part(p, lanes(n));
  if (stride == 0) return *p - (Vec){0};
  Vec v = {0};
  for (int i = 0; i < n; i++) v[i] = p[i * stride];
  return v;
}

/* c = s + beta e, for s (rows, cols) with rows pitch apart; c's rows are contiguous */
static void NAME(finish_rows) (const real *s, int64_t pitch, int rows, int cols, real *c,
                               int64_t ci, const real *e, int64_t ei, int64_t ej, real beta) {
  for (int i = 0; i < rows; i++, s += pitch, c += ci, e += ei)
    for (int j = 0; j < cols; j += W) {
      const int n = cols - j < W ? cols - j : W;
      Vec v = part(s + j, lanes(n));
      if (beta != 0) v += beta * NAME(pick)(e + j * ej, ej, n);
      put(c + j, lanes(n), v);
    }
}

/* t = a block of s, h rows and w columns of it */
static inline __attribute__((always_inline)) void
NAME(fetch) (Vec t[W], const real *s, int64_t pitch, int h, int w) {
  if (w == W)
#pragma GCC unroll 16
    for (int l = 0; l < W; l++) t[l] = l < h ? load(s + l * pitch) : (Vec){0};
  else
#pragma GCC unroll 16
    for (int l = 0; l < W; l++) t[l] = l < h ? part(s + l * pitch, lanes(w)) : (Vec){0};
}

/* the same when c's columns are contiguous */
static void NAME(finish_columns) (const real *s, int64_t pitch, int rows, int cols, real *c,
                                  int64_t cj, const real *e, int64_t ei, int64_t ej,
                                  real beta) {
  for (int j = 0; j < cols; j += W)
    for (int i = 0; i < rows; i += W) {
      const int w = cols - j < W ? cols - j : W, h = rows - i < W ? rows - i : W;
      real *y = c + j * cj + i;
      Vec t[W];
      NAME(fetch)(t, s + i * pitch + j, pitch, h, W);
      NAME(transpose)(t);
      if (beta == 0) {
#pragma GCC unroll 16
        for (int l = 0; l < W; l++)
          if (l < w) put(y + l * cj, lanes(h), t[l]);
        continue;
      }
      real out[W * W] __attribute__((aligned(BYTES)));
#pragma GCC unroll 16
      for (int l = 0; l < W; l++) store(out + l * W, t[l]);
      NAME(finish_rows)(out, W, w, h, y, cj, e + j * ej + i * ei, ej, ei, beta);
    }
}

/* c = s + beta e, number by number */
static void NAME(finish_numbers) (const mare_Product *g, int64_t i, int64_t j, const real *s,
                                  int64_t pitch, int rows, int cols) {
  real *c = (real *)g->c + i * g->ci + j * g->cj;
  if (g->beta == 0) {
    for (int r = 0; r < rows; r++)
      for (int q = 0; q < cols; q++) c[r * g->ci + q * g->cj] = s[r * pitch + q];
    return;
  }
  const real beta = (real)g->beta, *e = (const real *)g->e + i * g->ei + j * g->ej;
  for (int r = 0; r < rows; r++)
    for (int q = 0; q < cols; q++)
      c[r * g->ci + q * g->cj] = s[r * pitch + q] + beta * e[r * g->ei + q * g->ej];
}

/* s has at least W - 1 readable numbers after its last one */
static void NAME(finish) (const mare_Product *g, int64_t i, int64_t j, const real *s,
                          int64_t pitch, int rows, int cols) {
  real *c = (real *)g->c + i * g->ci + j * g->cj;
  const real beta = (real)g->beta, *e = beta != 0 ? (const real *)g->e + i * g->ei + j * g->ej : c;
  if (g->cj == 1)
    NAME(finish_rows)(s, pitch, rows, cols, c, g->ci, e, g->ei, g->ej, beta);
  else if (g->ci == 1)
    NAME(finish_columns)(s, pitch, rows, cols, c, g->cj, e, g->ei, g->ej, beta);
  else
    NAME(finish_numbers)(g, i, j, s, pitch, rows, cols);
}

/* -- the outer form ------------------------------------------------------------------------ */

/* panel (k, cols), rows pitch apart = b when b is contiguous along k */
static void NAME(pack_columns) (int64_t k, int cols, const real *b, int64_t bj, real *panel,
                                int pitch) {
  for (int j = 0; j < cols; j += W)
    for (int64_t p = 0; p < k; p += W) {
      const int w = cols - j < W ? cols - j : W, h = k - p < W ? (int)(k - p) : W;
      real *y = panel + p * pitch + j;
      Vec t[W];
      NAME(fetch)(t, b + j * bj + p, bj, w, h);
      NAME(transpose)(t);
#pragma GCC unroll 16
      for (int l = 0; l < W; l++)
        if (l < h) store(y + l * pitch, t[l]);
    }
}

/* the same when b's rows are contiguous */
static void NAME(pack_rows) (int64_t k, int cols, const real *b, int64_t bp, real *panel,
                             int pitch) {
  for (; k > 0; k--, b += bp, panel += pitch) {
    int j = 0;
    for (; j <= cols - W; j += W) store(panel + j, load(b + j));
    if (j < cols) store(panel + j, part(b + j, lanes(cols - j)));
  }
}

static void NAME(pack) (int64_t k, int cols, const real *b, int64_t bp, int64_t bj,
                        real *panel, int pitch) {
  if (bp == 1 && k * cols > 4 * W)
    NAME(pack_columns)(k, cols, b, bj, panel, pitch);
  else if (bj == 1)
    NAME(pack_rows)(k, cols, b, bp, panel, pitch);
  else
    for (int64_t p = 0; p < k; p++)
      for (int j = 0; j < cols; j++) panel[p * pitch + j] = b[p * bp + j * bj];
}

/* columns j .. j + cols - 1 of c, with rows of b at b, bp apart */
static void NAME(slab) (const mare_Product *g, int64_t j, int cols, const real *b, int64_t bp) {
  const int nv = (cols + W - 1) / W, most = NAME(rows_of)[nv];
  const int last = cols - (nv - 1) * W;
  const int64_t blocks = (g->m + most - 1) / most;
  const bool direct = g->cj == 1 && g->beta == 0;
  real sum[TILE * W] __attribute__((aligned(BYTES)));
  int64_t i = 0;
  for (int64_t q = 0; q < blocks; q++) {
    const int rows = (int)((g->m - i) / (blocks - q));
    const real *a = (const real *)g->a + i * g->ai;
    NAME(Tile) *tile = NAME(tiles)[nv][rows - 1];
    if (direct)
      tile(g->k, a, g->ai, g->ap, b, bp, last, (real *)g->c + i * g->ci + j, g->ci);
    else {
      tile(g->k, a, g->ai, g->ap, b, bp, last, sum, nv * W);
      NAME(finish)(g, i, j, sum, nv * W, rows, cols);
    }
    i += rows;
  }
}

/* how many vectors to put across a tile, for this many rows and remaining columns */
static int NAME(across) (int64_t m, int64_t n) {
  const int64_t left = (n + W - 1) / W;
  if (left <= 3) return (int)left;
  if (m <= NAME(rows_of)[6] && left >= 6) return 6;
  return left % WIDE == 0 || left % WIDE == 3 ? WIDE : 3;
}

/* g with k cut to k rows from p on; after the first cut it adds to c */
static mare_Product NAME(cut) (const mare_Product *g, int64_t p, int64_t k) {
  mare_Product h = *g;
  h.k = k;
  h.a = (const real *)g->a + p * g->ap;
  h.b = (const real *)g->b + p * g->bp;
  if (p > 0) {
    h.e = g->c;
    h.ei = g->ci;
    h.ej = g->cj;
    h.beta = 1;
  }
  return h;
}

static void NAME(outer_packed) (const mare_Product *g) {
  real panel[PANEL] __attribute__((aligned(BYTES)));
  for (int64_t j = 0; j < g->n;) {
    const int64_t left = (g->n - j + W - 1) / W;
    const int nv = left <= 3 ? (int)left : 2;
    const int cols = g->n - j < nv * W ? (int)(g->n - j) : nv * W;
    const int64_t most = PANEL / (nv * W), cuts = g->k > most ? (g->k + most - 1) / most : 1;
    int64_t p = 0;
    for (int64_t q = 0; q < cuts; q++) {
      mare_Product h = NAME(cut)(g, p, (g->k - p) / (cuts - q));
      NAME(pack)(h.k, cols, (const real *)h.b + j * g->bj, g->bp, g->bj, panel, nv * W);
      NAME(slab)(&h, j, cols, panel, nv * W);
      p += h.k;
    }
    j += cols;
  }
}

static void NAME(outer) (const mare_Product *g) {
  if (g->bj != 1 && g->n > 1) {
    NAME(outer_packed)(g);
    return;
  }
  for (int64_t j = 0; j < g->n;) {
    const int nv = NAME(across)(g->m, g->n - j);
    const int cols = g->n - j < nv * W ? (int)(g->n - j) : nv * W;
    NAME(slab)(g, j, cols, (const real *)g->b + j, g->bp);
    j += cols;
  }
}

/* -- the dot form --------------------------------------------------------------------------- */

/*
** s[i * cols + j] = row i of a times column j of b, both contiguous along k, for a
** block of rows x cols = W of which m x n count; straight to c when it may
*/
static inline __attribute__((always_inline)) void
NAME(dots) (const int rows, const int cols, int64_t k, const real *a, int64_t ai, int m,
            const real *b, int64_t bj, int n, real *s, real *c, int64_t ci) {
  Vec sum[W];
  const real *x[W], *y[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) sum[i] = (Vec){0};
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) x[i] = a + (i < m ? i : m - 1) * ai;
#pragma GCC unroll 16
  for (int j = 0; j < cols; j++) y[j] = b + (j < n ? j : n - 1) * bj;
  for (; k >= W; k -= W) {
    Vec v[W];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) v[i] = load(x[i]);
#pragma GCC unroll 16
    for (int j = 0; j < cols; j++) {
      const Vec w = load(y[j]);
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) sum[i * cols + j] += v[i] * w;
      y[j] += W;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) x[i] += W;
  }
  if (k > 0) {
    const Lanes some = lanes((int)k);
    Vec v[W];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) v[i] = part(x[i], some);
#pragma GCC unroll 16
    for (int j = 0; j < cols; j++) {
      const Vec w = part(y[j], some);
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) sum[i * cols + j] += v[i] * w;
    }
  }
  store(s, NAME(sums)(sum));
  if (c)
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
      if (i < m) __builtin_memcpy(c + i * ci, s + i * cols, (size_t)cols * sizeof(real));
}

/* rows of a block of W sums */
static int NAME(dot_rows) (int64_t m) {
  return m == 1 ? 1 : m == 2 || W < 16 ? 2 : 4;
}

static void NAME(dot) (const mare_Product *g) {
  const int rows = NAME(dot_rows)(g->m), cols = W / rows;
  const bool direct = g->cj == 1 && g->beta == 0;
  for (int64_t j = 0; j < g->n; j += cols)
    for (int64_t i = 0; i < g->m; i += rows) {
      const int h = g->m - i < rows ? (int)(g->m - i) : rows;
      const int w = g->n - j < cols ? (int)(g->n - j) : cols;
      const real *a = (const real *)g->a + i * g->ai, *b = (const real *)g->b + j * g->bj;
      real *c = direct && w == cols ? (real *)g->c + i * g->ci + j : NULL;
      real s[2 * W] __attribute__((aligned(BYTES)));
      if (rows == 1) NAME(dots)(1, W, g->k, a, 0, 1, b, g->bj, w, s, c, 0);
      else if (rows == 2) NAME(dots)(2, W / 2, g->k, a, g->ai, h, b, g->bj, w, s, c, g->ci);
      else NAME(dots)(4, W / 4, g->k, a, g->ai, h, b, g->bj, w, s, c, g->ci);
      if (!c) NAME(finish_numbers)(g, i, j, s, cols, h, w);
    }
}

/* -- which form ------------------------------------------------------------------------------ */

/*
** The work of each form in halves of a cycle, fitted to timings of one machine;
** only the order of the three matters.
*/
static int64_t NAME(outer_cost) (int64_t m, int64_t n, int64_t k, bool pack, bool turn) {
  const int64_t nv = (n + W - 1) / W, flow = m * nv < 8 ? 8 : m * nv;
  return flow * k + (pack ? nv * ((k + W - 1) / W) * 14 * W : 0) +
         (turn ? nv * ((m + 11) / 12) * 19 * W : 0);
}

static int64_t NAME(dot_cost) (int64_t m, int64_t n, int64_t k) {
  const int rows = NAME(dot_rows)(m < n ? m : n), cols = W / rows;
  const int64_t few = m < n ? m : n, many = m < n ? n : m;
  const int64_t blocks = ((few + rows - 1) / rows) * ((many + cols - 1) / cols);
  return blocks * ((k + W - 1) / W * (W + W / 8) + 7 * W);
}

static mare_Product NAME(transposed) (const mare_Product *g) {
  const mare_Product t = {
    .m = g->n, .n = g->m, .k = g->k, .a = g->b, .b = g->a, .c = g->c, .e = g->e,
    .ai = g->bj, .ap = g->bp, .bp = g->ap, .bj = g->ai, .ei = g->ej, .ej = g->ei,
    .ci = g->cj, .cj = g->ci, .beta = g->beta
  };
  return t;
}

static void NAME(small) (const mare_Product *g) {
  const int64_t m = g->m, n = g->n, k = g->k;
  const bool pack_b = g->bj != 1 && n > 1, pack_a = g->ai != 1 && m > 1;
  const bool turn = g->cj != 1 && n > 1, turned = g->ci != 1 && m > 1;
  const int64_t as_is = NAME(outer_cost)(m, n, k, pack_b, turn);
  const int64_t other = NAME(outer_cost)(n, m, k, pack_a, turned);
  const bool dot = g->ap == 1 && g->bp == 1 && NAME(dot_cost)(m, n, k) < (as_is < other ? as_is : other);
  void (*const form)(const mare_Product *) = dot ? NAME(dot) : NAME(outer);
  if (dot ? m <= n : as_is <= other) {
    form(g);
    return;
  }
  const mare_Product t = NAME(transposed)(g);
  form(&t);
}

#undef W
#undef Vec
#undef Near
#undef Lanes
#undef ROUNDS
#undef MAXROWS
#undef MAXNV
#undef WIDE
#undef PANEL
#undef load
#undef store
#undef lanes
#undef part
#undef put
#undef TILE_OF
#undef TILES_4
#undef TILES_6
#undef TILES_8
#undef TILES_12
#undef NAMES_4
#undef NAMES_6
#undef NAMES_8
#undef NAMES_12
