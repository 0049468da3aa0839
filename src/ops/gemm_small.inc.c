/*
** gemm_small.inc.c -- the template of the small matrix products.  Included once
** for each real type by a file that fixes BYTES (of a vector), TILE (registers
** for sums), real, NAME, and the loads and stores of the first lanes of a vector.
**
** A product runs in one of two forms.  Outer: columns of c lie across vectors, a
** is read number by number and b row by row, from a packed panel when its rows
** are not contiguous or lie far apart; transposed, the same code does the product
** the other way round.  Dot: vectors run along k, contiguous in a and in b.
*/

#define W ((int)(BYTES / sizeof(real)))
#define ROUNDS (W == 16 ? 4 : W == 8 ? 3 : W == 4 ? 2 : 1) /* log2(W) */
#define WIDE (TILE / 6) /* vectors across a tile where there is room */
#define PANEL (32768 / (int)sizeof(real)) /* numbers in a packed panel: as much as L1 */
#define FAR ((1 << 20) / (int)sizeof(real)) /* b spans more than this: L2 is too small */
#define AHEAD 16 /* rows of a far b that are asked for early */
#define DOT (W == 16 ? 18 : W == 8 ? 14 : W == 4 ? 9 : 3) /* cost of a step of dots */

#define Vec NAME(Vec)
#define Near NAME(Near)
#define Index NAME(Index)
#define Block NAME(Block)
#define Lanes NAME(Lanes)
#define lanes NAME(lanes)
#define part NAME(part)
#define put NAME(put)

typedef real Vec __attribute__((vector_size(BYTES)));
typedef real Near __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef __typeof__((Vec){0} < (Vec){0}) Index; /* integers, for shuffles */

#define load(p) ((Vec) * (const Near *)(p))
#define store(p, v) (*(Near *)(p) = (v))

/* -- tiles: rows x nv vectors of sums stay in registers ------------------------------ */

/* c (rows, cols) = a (rows, k) b (k, cols) + e; b, c and e have contiguous rows */
typedef struct Block {
  int64_t k;
  const real *a, *b, *e; /* e: NULL for none */
  real *c;
  int64_t ai, ap, bp, ei, ci;
  int last; /* lanes in the last vector of a row: all when nv > 3 */
} Block;

/* sum (rows, nv) += one number of each row of a times one row of b */
INLINE NAME(step)(const int rows, const int nv, const real **g, int64_t ai, int64_t ap,
                  const Vec *row, Vec sum[MAXROWS][MAXNV]) {
  EACH(i, rows) {
    const real x = g[i / 3][i % 3 * ai];
    EACH(j, nv) sum[i][j] += x * row[j];
  }
  EACH(i, (rows + 2) / 3) g[i] += ap;
}

/* padded: the rows of b are whole vectors; otherwise they are a part of one */
INLINE NAME(tile)(const int rows, const int nv, const bool padded, const Block *t) {
  const real *a = t->a, *b = t->b, *e = t->e, *g[(MAXROWS + 2) / 3];
  const int64_t ai = t->ai, ap = t->ap, bp = t->bp;
  const Lanes last = lanes(t->last);
  Vec sum[MAXROWS][MAXNV], row[MAXNV];
  EACH(i, rows) EACH(j, nv) sum[i][j] = (Vec){0};
  EACH(i, (rows + 2) / 3) g[i] = a + 3 * i * ai; /* a pointer serves three rows */
  for (int64_t k = t->k; k > 0; k--, b += bp) {
    EACH(j, nv) row[j] = padded ? load(b + j * W) : part(b, last);
    NAME(step)(rows, nv, g, ai, ap, row, sum);
  }
  real *c = t->c;
  if (e)
    EACH(i, rows) {
      EACH(j, nv - 1) sum[i][j] += load(e + i * t->ei + j * W);
      const real *end = e + i * t->ei + (nv - 1) * W;
      sum[i][nv - 1] += nv > 3 ? load(end) : part(end, last);
    }
  EACH(i, rows) {
    EACH(j, nv - 1) store(c + j * W, sum[i][j]);
    if (nv > 3) store(c + (nv - 1) * W, sum[i][nv - 1]);
    else put(c + (nv - 1) * W, last, sum[i][nv - 1]);
    c += t->ci;
  }
}

#define TILE_OF(r, v) \
  static void NAME(tile_##r##_##v) (const Block *t) { \
    NAME(tile)(r, v ? v : 1, v > 0, t); }
#define NAME_OF(r, v) NAME(tile_##r##_##v),
#define UPTO_4(X, v) X(1, v) X(2, v) X(3, v) X(4, v)
#define UPTO_6(X, v) UPTO_4(X, v) X(5, v) X(6, v)
#define UPTO_8(X, v) UPTO_6(X, v) X(7, v) X(8, v)

/* by the vectors across (0: a part of one): the tiles, and the most rows that one has */
#if TILE == 24
static const int8_t NAME(most_rows)[MAXNV + 1] = {8, 8, 8, 8, 6, 0, 4};
UPTO_8(TILE_OF, 0) UPTO_8(TILE_OF, 1) UPTO_8(TILE_OF, 2) UPTO_8(TILE_OF, 3)
UPTO_6(TILE_OF, 4) UPTO_4(TILE_OF, 6)
static void (*const NAME(tiles)[MAXNV + 1][MAXROWS])(const Block *) = {
  {UPTO_8(NAME_OF, 0)}, {UPTO_8(NAME_OF, 1)}, {UPTO_8(NAME_OF, 2)},
  {UPTO_8(NAME_OF, 3)}, {UPTO_6(NAME_OF, 4)}, {0}, {UPTO_4(NAME_OF, 6)}
};
#elif defined(FEW_TILES)
static const int8_t NAME(most_rows)[MAXNV + 1] = {4, 4, 4, 4, 0, 0, 1};
UPTO_4(TILE_OF, 0) UPTO_4(TILE_OF, 1) UPTO_4(TILE_OF, 2) UPTO_4(TILE_OF, 3)
TILE_OF(1, 6)
static void (*const NAME(tiles)[MAXNV + 1][MAXROWS])(const Block *) = {
  {UPTO_4(NAME_OF, 0)}, {UPTO_4(NAME_OF, 1)}, {UPTO_4(NAME_OF, 2)},
  {UPTO_4(NAME_OF, 3)}, {0}, {0}, {NAME_OF(1, 6)}
};
#else /* 12 */
static const int8_t NAME(most_rows)[MAXNV + 1] = {8, 8, 6, 4, 0, 0, 1};
UPTO_8(TILE_OF, 0) UPTO_8(TILE_OF, 1) UPTO_6(TILE_OF, 2) UPTO_4(TILE_OF, 3)
TILE_OF(1, 6)
static void (*const NAME(tiles)[MAXNV + 1][MAXROWS])(const Block *) = {
  {UPTO_8(NAME_OF, 0)}, {UPTO_8(NAME_OF, 1)}, {UPTO_6(NAME_OF, 2)},
  {UPTO_4(NAME_OF, 3)}, {0}, {0}, {NAME_OF(1, 6)}
};
#endif

/* -- shuffles ------------------------------------------------------------------------ */

/* the W x W transpose of t, in log2(W) rounds that interleave halves */
INLINE NAME(transpose)(Vec t[W]) {
  Index low, high;
  for (int i = 0; i < W; i++) {
    low[i] = i / 2 + (i % 2) * W;
    high[i] = low[i] + W / 2;
  }
  EACH(round, ROUNDS) {
    Vec u[W];
    EACH(i, W / 2) {
      SHUFFLE(u[2 * i], W, t[i], t[i + W / 2], low);
      SHUFFLE(u[2 * i + 1], W, t[i], t[i + W / 2], high);
    }
    EACH(i, W) t[i] = u[i];
  }
}

/* t[0] = the sum of the lanes of t[0], that of t[1] ... */
INLINE NAME(sums)(Vec t[W]) {
  Index even, odd;
  for (int i = 0; i < W; i++) {
    even[i] = 2 * i;
    odd[i] = 2 * i + 1;
  }
  EACH(round, ROUNDS)
    EACH(i, W / 2) { /* half as many of them count in each round */
      Vec x, y;
      SHUFFLE(x, W, t[2 * i], t[2 * i + 1], even);
      SHUFFLE(y, W, t[2 * i], t[2 * i + 1], odd);
      t[i] = x + y;
    }
}

/* t = a block of s with h rows and w columns; the rest is 0 */
INLINE NAME(fetch)(Vec t[W], const real *s, int64_t pitch, int h, int w) {
  if (w == W)
    EACH(l, W) t[l] = l < h ? load(s + l * pitch) : (Vec){0};
  else
    EACH(l, W) t[l] = l < h ? part(s + l * pitch, lanes(w)) : (Vec){0};
}

/* -- from sums to c: c = s + beta e -------------------------------------------------- */

/* n numbers with a stride, n <= W */
static inline Vec NAME(pick)(const real *p, int64_t stride, int n) {
  if (stride == 1) return part(p, lanes(n));
  if (stride == 0) return *p - (Vec){0};
  Vec v = {0};
  for (int i = 0; i < n; i++) v[i] = p[i * stride];
  return v;
}

/* s (rows, cols) with rows pitch apart; the rows of c are contiguous */
static void NAME(finish_rows)(const mare_Product *g, const real *s, int64_t pitch) {
  const real beta = (real)g->beta, *e = g->e;
  real *c = g->c;
  for (int64_t i = 0; i < g->m; i++, s += pitch, c += g->ci)
    for (int64_t j = 0; j < g->n; j += W) {
      const int n = g->n - j < W ? (int)(g->n - j) : W;
      Vec v = part(s + j, lanes(n));
      if (beta != 0) v += beta * NAME(pick)(e + i * g->ei + j * g->ej, g->ej, n);
      put(c + j, lanes(n), v);
    }
}

/* one W x W block of a product whose c has contiguous columns */
static void NAME(finish_block)(const mare_Product *g, const real *s, int64_t pitch) {
  const int h = (int)g->m, w = (int)g->n;
  Vec t[W];
  NAME(fetch)(t, s, pitch, h, W);
  NAME(transpose)(t);
  if (g->beta == 0 || (g->beta == 1 && g->ei == 1)) {
    const real *e = g->beta != 0 ? g->e : NULL;
    real *c = g->c;
    EACH(l, W)
      if (l < w) {
        if (e) t[l] += part(e + l * g->ej, lanes(h));
        put(c + l * g->cj, lanes(h), t[l]);
      }
    return;
  }
  real turned[W * W] __attribute__((aligned(BYTES)));
  EACH(l, W) store(turned + l * W, t[l]);
  const mare_Product r = mare_product_turn(g);
  NAME(finish_rows)(&r, turned, W);
}

static void NAME(finish_numbers)(const mare_Product *g, const real *s, int64_t pitch) {
  const real beta = (real)g->beta, *e = g->e;
  real *c = g->c;
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      const real add = beta != 0 ? beta * e[i * g->ei + j * g->ej] : 0;
      c[i * g->ci + j * g->cj] = s[i * pitch + j] + add;
    }
}

/* rows i .. i + m - 1 and columns j .. j + n - 1 of g */
static inline mare_Product NAME(window)(const mare_Product *g, int64_t i, int64_t m,
                                        int64_t j, int64_t n) {
  mare_Product h = *g;
  h.m = m;
  h.n = n;
  h.a = (const real *)g->a + i * g->ai;
  h.b = (const real *)g->b + j * g->bj;
  h.c = (real *)g->c + i * g->ci + j * g->cj;
  if (g->beta != 0) h.e = (const real *)g->e + i * g->ei + j * g->ej;
  return h;
}

/* s is vectors of W: reading up to the end of the last one is fine */
static void NAME(finish)(const mare_Product *g, const real *s, int64_t pitch) {
  if (g->cj == 1)
    NAME(finish_rows)(g, s, pitch);
  else if (g->ci != 1)
    NAME(finish_numbers)(g, s, pitch);
  else
    for (int64_t j = 0; j < g->n; j += W)
      for (int64_t i = 0; i < g->m; i += W) {
        const int64_t h = g->m - i < W ? g->m - i : W, w = g->n - j < W ? g->n - j : W;
        const mare_Product block = NAME(window)(g, i, h, j, w);
        NAME(finish_block)(&block, s + i * pitch + j, pitch);
      }
}

/* -- the outer form ------------------------------------------------------------------ */

/* panel (k, n), rows pitch apart, padded with 0 = b, contiguous along k */
static void NAME(pack_columns)(int64_t k, int n, const real *b, int64_t bj, real *panel,
                               int pitch) {
  for (int j = 0; j < n; j += W)
    for (int64_t p = 0; p < k; p += W) {
      const int w = n - j < W ? n - j : W, h = k - p < W ? (int)(k - p) : W;
      real *y = panel + p * pitch + j;
      Vec t[W];
      NAME(fetch)(t, b + j * bj + p, bj, w, h);
      NAME(transpose)(t);
      EACH(l, W) if (l < h) store(y + l * pitch, t[l]);
    }
}

/* the same when the rows of b are contiguous */
static void NAME(pack_rows)(int64_t k, int n, const real *b, int64_t bp, real *panel,
                            int pitch) {
  for (; k > 0; k--, b += bp, panel += pitch)
    for (int j = 0; j < n; j += W)
      store(panel + j, part(b + j, lanes(n - j < W ? n - j : W)));
}

static void NAME(pack_numbers)(int64_t k, int n, const real *b, int64_t bp, int64_t bj,
                               real *panel, int pitch) {
  for (; k > 0; k--, b += bp, panel += pitch) {
    for (int j = 0; j < n; j++) panel[j] = b[j * bj];
    for (int j = n; j < pitch; j++) panel[j] = 0;
  }
}

/* columns j .. j + n - 1 of b */
static void NAME(pack)(const mare_Product *g, int64_t j, int n, real *panel, int pitch) {
  const real *b = (const real *)g->b + j * g->bj;
  if (g->bp == 1 && g->k * n > 2 * W) NAME(pack_columns)(g->k, n, b, g->bj, panel, pitch);
  else if (g->bj == 1) NAME(pack_rows)(g->k, n, b, g->bp, panel, pitch);
  else NAME(pack_numbers)(g->k, n, b, g->bp, g->bj, panel, pitch);
}

/* rows of the next block where so many are left: no small one at the end */
static inline int64_t NAME(next_rows)(int64_t left, int64_t most) {
  return left <= most ? left : left >= 2 * most ? most : (left + 1) / 2;
}

/* a slab whose sums cannot go straight to c; t knows all but a and c */
static __attribute__((noinline)) void
NAME(slab_finished)(const mare_Product *g, int64_t j, int n, Block *t, int nv) {
  real sum[TILE * W] __attribute__((aligned(BYTES)));
  t->c = sum;
  t->ci = (n + W - 1) / W * W;
  for (int64_t i = 0, rows; i < g->m; i += rows) {
    rows = NAME(next_rows)(g->m - i, NAME(most_rows)[nv]);
    t->a = (const real *)g->a + i * g->ai;
    NAME(tiles)[nv][rows - 1](t);
    const mare_Product h = NAME(window)(g, i, rows, j, n);
    NAME(finish)(&h, sum, t->ci);
  }
}

/*
** A slab: all rows of c, n of its columns from j on, no more than a tile has.  The rows
** of these columns of b are bp apart, and padded if it is a panel.
*/
static void NAME(slab)(const mare_Product *g, int64_t j, int n, const real *b,
                       int64_t bp, bool padded) {
  const int wide = (n + W - 1) / W, last = n - (wide - 1) * W;
  const int nv = last < W && !padded ? 0 : wide;
  Block t = {
    .k = g->k, .a = g->a, .b = b, .e = NULL, .c = (real *)g->c + j, .ai = g->ai,
    .ap = g->ap, .bp = bp, .ei = 0, .ci = g->ci, .last = last
  };
  if (g->beta == 1 && g->ej == 1) {
    t.e = (const real *)g->e + j;
    t.ei = g->ei;
  }
  if (g->cj != 1 || (g->beta != 0 && t.e == NULL)) {
    t.e = NULL;
    NAME(slab_finished)(g, j, n, &t, nv);
    return;
  }
  for (int64_t left = g->m, rows; left > 0; left -= rows) {
    rows = NAME(next_rows)(left, NAME(most_rows)[nv]);
    NAME(tiles)[nv][rows - 1](&t);
    t.a += rows * t.ai;
    t.c += rows * t.ci;
    if (t.e) t.e += rows * t.ei;
  }
}

/* how many vectors to put across a tile, for this many rows and remaining columns */
static int NAME(across)(int64_t m, int64_t n) {
  const int64_t left = n / W; /* what is no whole vector comes last and alone */
  if (left <= 3) return left > 0 ? (int)left : 1;
  if (m <= NAME(most_rows)[6] && left >= 6) return 6;
  return left % WIDE == 0 || left % WIDE == 3 ? WIDE : 3;
}

/* g for k rows of b from p on; after the first rows it adds to c */
static mare_Product NAME(rows_of_b)(const mare_Product *g, int64_t p, int64_t k) {
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

static int64_t NAME(cuts)(int64_t k, int64_t most) {
  return k > most ? (k + most - 1) / most : 1;
}

static void NAME(outer_packed)(const mare_Product *g) {
  real panel[PANEL] __attribute__((aligned(BYTES)));
  for (int64_t j = 0; j < g->n;) {
    const int64_t left = (g->n - j + W - 1) / W;
    const int nv = left <= 3 ? (int)left : 2;
    const int n = g->n - j < nv * W ? (int)(g->n - j) : nv * W;
    const int64_t cuts = NAME(cuts)(g->k, PANEL / (nv * W));
    int64_t p = 0;
    for (int64_t q = 0; q < cuts; q++) {
      const mare_Product h = NAME(rows_of_b)(g, p, (g->k - p) / (cuts - q));
      NAME(pack)(&h, j, n, panel, nv * W);
      NAME(slab)(&h, j, n, panel, nv * W, true);
      p += h.k;
    }
    j += n;
  }
}

/* all columns, where b is contiguous along them */
static void NAME(sweep)(const mare_Product *g) {
  for (int64_t j = 0; j < g->n;) {
    const int most = NAME(across)(g->m, g->n - j) * W;
    const int n = g->n - j < most ? (int)(g->n - j) : most;
    NAME(slab)(g, j, n, (const real *)g->b + j, g->bp, false);
    j += n;
  }
}

/*
** panels (k, width), one for each width columns = b from column j on.  Row after row,
** so that few pages of b are in use at a time.
*/
static void NAME(pack_wide)(const mare_Product *g, int64_t j, int n, real *panel,
                            int width) {
  const real *b = (const real *)g->b + j;
  for (int64_t p = 0; p < g->k; p++, b += g->bp, panel += width)
    for (int i = 0; i < n; i += W) {
      const int whole = i / width * width;
      __builtin_prefetch(b + AHEAD * g->bp + i);
      store(panel + whole * g->k + i - whole, part(b + i, lanes(n - i < W ? n - i : W)));
    }
}

static void NAME(outer_far)(const mare_Product *g) {
  enum { WIDTH = 2 * W, ROWS = 64, COLUMNS = 2 * PANEL / ROWS };
  real panel[ROWS * COLUMNS] __attribute__((aligned(BYTES)));
  const int64_t cuts = NAME(cuts)(g->k, ROWS);
  for (int64_t j = 0; j < g->n; j += COLUMNS) {
    const int n = g->n - j < COLUMNS ? (int)(g->n - j) : COLUMNS;
    int64_t p = 0;
    for (int64_t q = 0; q < cuts; q++) {
      const mare_Product h = NAME(rows_of_b)(g, p, (g->k - p) / (cuts - q));
      NAME(pack_wide)(&h, j, n, panel, WIDTH);
      for (int i = 0; i < n; i += WIDTH) {
        const int wide = n - i < WIDTH ? n - i : WIDTH;
        NAME(slab)(&h, j + i, wide, panel + i * h.k, WIDTH, true);
      }
      p += h.k;
    }
  }
}

/* all of c for a few rows of a far b at a time, or all of b for a few rows of c */
static void NAME(outer_near)(const mare_Product *g, bool far) {
  const int64_t cuts = NAME(cuts)(g->k, far ? 32 : 1024);
  const int64_t rows = g->k * g->n <= FAR ? 3 * MAXROWS : g->m;
  int64_t p = 0;
  for (int64_t q = 0; q < cuts; q++) {
    const mare_Product r = NAME(rows_of_b)(g, p, (g->k - p) / (cuts - q));
    for (int64_t i = 0; i < g->m; i += rows) {
      const int64_t m = g->m - i < rows ? g->m - i : rows;
      const mare_Product h = NAME(window)(&r, i, m, 0, g->n);
      NAME(sweep)(&h);
    }
    p += r.k;
  }
}

static void NAME(outer)(const mare_Product *g) {
  const bool far = g->k * g->bp > FAR;
  if (g->bj != 1 && g->n > 1) NAME(outer_packed)(g);
  else if (far && g->m >= 24) NAME(outer_far)(g);
  else NAME(outer_near)(g, far);
}

/* -- the dot form -------------------------------------------------------------------- */

/*
** s[i * cols + j] = row i of a times column j of b, both contiguous along k, for a
** block of rows x cols = W of which m x n count; g tells the strides
*/
INLINE NAME(dots)(const int rows, const int cols, const mare_Product *g, const real *a,
                  int64_t m, const real *b, int64_t n, real *s) {
  const real *x[W], *y[W];
  Vec sum[W], v[W];
  int64_t k = g->k;
  EACH(i, W) sum[i] = (Vec){0};
  EACH(i, rows) x[i] = a + (i < m ? i : m - 1) * g->ai;
  EACH(j, cols) y[j] = b + (j < n ? j : n - 1) * g->bj;
  for (; k >= W; k -= W) {
    EACH(i, rows) v[i] = load(x[i]);
    EACH(j, cols) {
      const Vec w = load(y[j]);
      EACH(i, rows) sum[i * cols + j] += v[i] * w;
      y[j] += W;
    }
    EACH(i, rows) x[i] += W;
  }
  if (k > 0) {
    EACH(i, rows) v[i] = part(x[i], lanes((int)k));
    EACH(j, cols) {
      const Vec w = part(y[j], lanes((int)k));
      EACH(i, rows) sum[i * cols + j] += v[i] * w;
    }
  }
  NAME(sums)(sum);
  store(s, sum[0]);
}

/* a whole block goes to c with a bias, if there is one; rows of c and e are contiguous */
INLINE NAME(put_dots)(const int rows, const int cols, const mare_Product *g, int64_t i,
                      int64_t j, const real *s) {
  real *c = (real *)g->c + i * g->ci + j;
  const real *e = (const real *)g->e + i * g->ei + j;
  EACH(r, rows) {
    Vec v = part(s + r * cols, lanes(cols));
    if (g->beta != 0) v += part(e + r * g->ei, lanes(cols));
    put(c + r * g->ci, lanes(cols), v);
  }
}

/* all of g in blocks of rows x cols = W sums */
INLINE NAME(dot_blocks)(const int rows, const int cols, const mare_Product *g) {
  real s[W] __attribute__((aligned(BYTES)));
  const bool plain = g->cj == 1 && (g->beta == 0 || (g->beta == 1 && g->ej == 1));
  for (int64_t j = 0; j < g->n; j += cols)
    for (int64_t i = 0; i < g->m; i += rows) {
      const int64_t m = g->m - i < rows ? g->m - i : rows;
      const int64_t n = g->n - j < cols ? g->n - j : cols;
      const real *a = (const real *)g->a + i * g->ai, *b = (const real *)g->b + j * g->bj;
      NAME(dots)(rows, cols, g, a, m, b, n, s);
      if (plain && m == rows && n == cols) {
        NAME(put_dots)(rows, cols, g, i, j, s);
        continue;
      }
      const mare_Product h = NAME(window)(g, i, m, j, n);
      NAME(finish_numbers)(&h, s, cols);
    }
}

/* rows of a block, for a product of m rows */
static int NAME(dot_rows)(int64_t m) { return m == 1 ? 1 : m == 2 || W < 16 ? 2 : 4; }

static void NAME(dot)(const mare_Product *g) {
  const int rows = NAME(dot_rows)(g->m);
  if (rows == 1) NAME(dot_blocks)(1, W, g);
  else if (rows == 2) NAME(dot_blocks)(2, W / 2, g);
  else NAME(dot_blocks)(4, W / 4, g);
}

/* -- which form ---------------------------------------------------------------------- */

/*
** The work of a form in halves of a cycle, fitted to timings; only the order of the
** forms matters.  Rows of b that are not contiguous must be packed; those of c cost a
** transpose of every tile.
*/
static int64_t NAME(outer_cost)(int64_t m, int64_t n, int64_t k, int64_t bj,
                                int64_t cj) {
  const int64_t nv = (n + W - 1) / W, flow = m * nv < 8 ? 8 : m * nv;
  const bool pack = bj != 1 && n > 1, turn = cj != 1 && n > 1;
  const int64_t packing = pack ? nv * ((k + W - 1) / W) * 14 * W : 0;
  const int64_t cuts = pack ? NAME(cuts)(k, PANEL / (2 * W)) : 1;
  const int64_t turning = turn ? nv * (m + (m + 11) / 12 * 8) * W * cuts : 0;
  return flow * k * 7 / 6 + packing + turning;
}

static int64_t NAME(dot_cost)(int64_t m, int64_t n, int64_t k) {
  const int64_t few = m < n ? m : n, many = m < n ? n : m;
  const int rows = NAME(dot_rows)(few), cols = W / rows;
  const int64_t blocks = ((few + rows - 1) / rows) * ((many + cols - 1) / cols);
  return blocks * ((k + W - 1) / W * DOT + 7 * W);
}

/* too little work to think about: k and n up to W, rows of c contiguous */
static void NAME(tiny)(const mare_Product *g) {
  real panel[W * W] __attribute__((aligned(BYTES)));
  if (g->bj == 1 || g->n == 1)
    NAME(slab)(g, 0, (int)g->n, g->b, g->bp, false);
  else {
    NAME(pack)(g, 0, (int)g->n, panel, W);
    NAME(slab)(g, 0, (int)g->n, panel, W, true);
  }
}

static void NAME(small)(const mare_Product *g) {
  const int64_t m = g->m, n = g->n, k = g->k;
  if (m <= 2 * MAXROWS && n <= W && k <= W && g->cj == 1) {
    NAME(tiny)(g);
    return;
  }
  const int64_t here = NAME(outer_cost)(m, n, k, g->bj, g->cj);
  const int64_t there = NAME(outer_cost)(n, m, k, g->ai, g->ci);
  bool dot = g->ap == 1 && g->bp == 1, turn = there < here;
  if (dot) dot = NAME(dot_cost)(m, n, k) < (turn ? there : here);
  if (dot) turn = m > n;
  if (!turn) {
    (dot ? NAME(dot) : NAME(outer))(g);
    return;
  }
  const mare_Product t = mare_product_turn(g);
  (dot ? NAME(dot) : NAME(outer))(&t);
}

#undef W
#undef ROUNDS
#undef WIDE
#undef PANEL
#undef AHEAD
#undef FAR
#undef DOT
#undef Vec
#undef Near
#undef Index
#undef Block
#undef Lanes
#undef lanes
#undef part
#undef put
#undef load
#undef store
#undef TILE_OF
#undef NAME_OF
#undef UPTO_4
#undef UPTO_6
#undef UPTO_8
#undef real
#undef NAME
