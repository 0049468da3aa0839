/*
** reduce.inc.c -- folds of ONE element type T, included by lanes.inc.c with T,
** WIDE (the type that sums are kept in), WIDEST (T is it), REAL, ADD, MUL and K(name) defined.
**
** Each fold is an associative join of pre(v).  A run is folded in lanes, a table of
** rows column by column.  What is not here is computed in f64 or i64.
*/

#define FEW(name, A, zero, pre, join) \
static A K(name##_few)(int64_t n, const T *x) { \
  A a = zero; \
  for (int64_t i = 0; i < n; i++) { T v = x[i]; A b = pre; a = join; } \
  return a; \
}

/* the lanes of a contiguous run, then halves onto each other */
#define ROWS(name, A, zero, pre, join) \
FEW(name, A, zero, pre, join) \
static A K(name##_row)(int64_t n, const T *x) { \
  A l[LANES]; \
  int64_t i = 0; \
  if (n < 16) return K(name##_few)(n, x); \
  for (int j = 0; j < LANES; j++) l[j] = zero; \
  for (; i + LANES <= n; i += LANES) \
    for (int j = 0; j < LANES; j++) { T v = x[i + j]; A a = l[j], b = pre; l[j] = join; } \
  for (int j = 0; i < n; i++, j++) { T v = x[i]; A a = l[j], b = pre; l[j] = join; } \
  for (int w = LANES / 2; w > 0; w /= 2) \
    for (int j = 0; j < w; j++) { A a = l[j], b = l[j + w]; l[j] = join; } \
  return l[0]; \
}

/* eight rows at a time, as a tree: acc is read and written once for eight */
#define FOLD(fname, A, X, zero, pre, join) \
static inline A K(fname##_1)(X v) { return pre; } \
static inline A K(fname##_2)(A a, A b) { return join; } \
static void K(fname)(int64_t rows, int64_t m, const void *x0, int64_t s, void *acc0) { \
  A *restrict acc = acc0; \
  const X *restrict x = x0; \
  for (; rows >= 8; rows -= 8, x += 8 * s) \
    for (int64_t j = 0; j < m; j++) { \
      A a = K(fname##_2)(K(fname##_1)(x[j]), K(fname##_1)(x[j + s])); \
      A b = K(fname##_2)(K(fname##_1)(x[j + 2 * s]), K(fname##_1)(x[j + 3 * s])); \
      A d = K(fname##_2)(K(fname##_1)(x[j + 4 * s]), K(fname##_1)(x[j + 5 * s])); \
      A e = K(fname##_2)(K(fname##_1)(x[j + 6 * s]), K(fname##_1)(x[j + 7 * s])); \
      acc[j] = K(fname##_2)(acc[j], K(fname##_2)(K(fname##_2)(a, b), K(fname##_2)(d, e))); \
    } \
  for (; rows > 0; rows--, x += s) \
    for (int64_t j = 0; j < m; j++) acc[j] = K(fname##_2)(acc[j], K(fname##_1)(x[j])); \
}

#define COLUMNS(name, A, zero, pre, join) \
FOLD(name##_columns, A, T, zero, pre, join) \
FOLD(name##_join, A, A, zero, v, join) \
static void K(name##_start)(int64_t m, void *acc) { \
  for (int64_t j = 0; j < m; j++) ((A *)acc)[j] = zero; \
}

#if REAL
#define HIGH (T)INFINITY
#define LOW (T)-INFINITY
#define NAN_IN(v) ((v) != (v))
#define LARGER(a, b) (((b) > (a)) | ((b) != (b)) ? (b) : (a))
#define SMALLER(a, b) (((b) < (a)) | ((b) != (b)) ? (b) : (a))
#define PUT(s, x) ((s)->a = (double)(x))
#else
#define HIGH MOST
#define LOW LEAST
#define NAN_IN(v) 0
#define LARGER(a, b) ((b) > (a) ? (b) : (a))
#define SMALLER(a, b) ((b) < (a) ? (b) : (a))
#define PUT(s, x) ((s)->v = (int64_t)(x))
#endif

#if REAL
#define RUNS ROWS
#else
#define RUNS(name, A, zero, pre, join) \
FEW(name, A, zero, pre, join) \
static A K(name##_row)(int64_t n, const T *x) { return K(name##_few)(n, x); }
#endif

RUNS(sum, WIDE, 0, (WIDE)v, ADD(a, b))
RUNS(max, T, LOW, v, LARGER(a, b))
RUNS(min, T, HIGH, v, SMALLER(a, b))
COLUMNS(sum, WIDE, 0, (WIDE)v, ADD(a, b))
COLUMNS(max, T, LOW, v, LARGER(a, b))
COLUMNS(min, T, HIGH, v, SMALLER(a, b))
FEW(any, int, 0, v != 0, a | b)
FEW(all, int, 1, v != 0, a & b)

#define TRUTH(s, x) ((s)->v = (x))
#define CHUNK(name, how, put) \
static void K(name##_chunk)(int64_t n, const void *x, double c, mare_Partial *s) { \
  (void)c; \
  put(s, K(how)(n, x)); \
}

CHUNK(max, max_row, PUT)
CHUNK(min, min_row, PUT)
CHUNK(any, any_few, TRUTH)
CHUNK(all, all_few, TRUTH)

/* blocks keep the chains of additions short: the error of pairwise summation */
static void K(sum_chunk)(int64_t n, const void *x0, double c, mare_Partial *s) {
  const T *x = x0;
  WIDE sum = 0;
  (void)c;
  for (int64_t i = 0; i < n; i += BLOCK)
    sum = ADD(sum, K(sum_row)(n - i < BLOCK ? n - i : BLOCK, x + i));
  PUT(s, sum);
}

/* -- the position of the largest --------------------------------------------------- */

/* the first i with x[i] == v, or x[i] NaN when v is */
static int64_t K(find)(int64_t n, const T *x, T v) {
  const bool nan = NAN_IN(v);
  int64_t i = 0;
  (void)nan;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    int hit = 0;
    for (int j = 0; j < 4 * LANES; j++)
      hit |= (x[i + j] == v) | (nan & NAN_IN(x[i + j]));
    if (hit) break;
  }
  while (i < n - 1 && x[i] != v && !(nan && NAN_IN(x[i]))) i++;
  return i;
}

#define WHERE(name, of) \
static void K(name##_chunk)(int64_t n, const void *x, double c, mare_Partial *s) { \
  T v = K(of##_row)(n, x); \
  (void)c; \
  PUT(s, v); \
  s->i = K(find)(n, x, v); \
}

WHERE(argmax, max)
WHERE(argmin, min)

#if REAL

/*
** exp(d) for d <= 0; below LOWEST it is 0, which keeps libmvec off its slow path for
** results that are not normal numbers.  NaN stays NaN.
*/
static inline __attribute__((always_inline)) void K(exps)(const T *x, T m, T *e, const int L) {
  for (int j = 0; j < L; j++) {
    T d = x[j] - m, y = EXP(d < LOWEST ? LOWEST : d);
    e[j] = d < LOWEST ? 0 : y;
  }
}

/* the last r < 16 values, through the same vector code */
static void K(exps_tail)(int64_t r, const T *x, T m, T *e) {
  T t[16];
  for (int64_t j = 0; j < 16; j++) t[j] = j < r ? x[j] : m;
  K(exps)(t, m, e, 16);
}

static double K(exp_few)(int64_t n, const T *x, T m, T *y) {
  double l[LANES] = {0};
  T e[LANES];
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    K(exps)(x + i, m, e, LANES);
    for (int j = 0; j < LANES; j++) l[j] += (double)e[j];
    if (y) memcpy(y + i, e, sizeof e);
  }
  for (; i < n; i += 16) {
    int64_t r = n - i < 16 ? n - i : 16;
    if (r == 16) K(exps)(x + i, m, e, 16);
    else K(exps_tail)(r, x + i, m, e);
    for (int64_t j = 0; j < r; j++) l[j] += (double)e[j];
    if (y) memcpy(y + i, e, (size_t)r * sizeof(T));
  }
  for (int w = n < LANES ? 8 : LANES / 2; w > 0; w /= 2)
    for (int j = 0; j < w; j++) l[j] += l[j + w];
  return l[0];
}

/* sum exp(x - m); y (n) = exp(x - m), unless NULL */
static double K(exp_row)(int64_t n, const T *x, T m, T *y) {
  double s = 0;
  for (int64_t i = 0; i < n; i += BLOCK)
    s += K(exp_few)(n - i < BLOCK ? n - i : BLOCK, x + i, m, y ? y + i : NULL);
  return s;
}

/* a = max, b = sum exp(x - max); an infinite max counts as one term */
static void K(logsumexp_chunk)(int64_t n, const void *x, double c, mare_Partial *s) {
  T m = K(max_row)(n, x);
  (void)c;
  s->a = (double)m;
  s->b = isinf(m) ? 1 : K(exp_row)(n, x, m, NULL);
}

static void K(divide)(int64_t m, const double *acc, double by, void *y0) {
  T *y = y0;
  for (int64_t j = 0; j < m; j++) y[j] = (T)(acc[j] / by);
}

#endif

#if WIDEST
RUNS(prod, WIDE, 1, (WIDE)v, MUL(a, b))
CHUNK(prod, prod_row, PUT)
#endif

/* -- running sums along a dimension, 16 lanes at a time ------------------------------- */

static void K(cumsum)(int64_t n, int64_t m, const void *x0, int64_t xs, int64_t xl, void *y0,
                      int64_t ys, int64_t yl) {
  for (int64_t k = 0; k < m; k += 16) {
    const T *x = (const T *)x0 + k * xl;
    T *y = (T *)y0 + k * yl;
    WIDE sum[16] = {0};
    int64_t w = m - k < 16 ? m - k : 16;
    for (int64_t i = 0; i < n; i++, x += xs, y += ys)
      for (int64_t j = 0; j < w; j++) y[j * yl] = (T)(sum[j] = ADD(sum[j], x[j * xl]));
  }
}

#undef RUNS
#undef HIGH
#undef LOW
#undef NAN_IN
#undef LARGER
#undef SMALLER
#undef PUT
