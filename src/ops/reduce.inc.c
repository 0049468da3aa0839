/*
** reduce.inc.c -- folds of ONE element type T, included by lanes.inc.c with T,
** WIDE (the type that sums are kept in), WIDEST (T is it), REAL, ADD, MUL, K(name).
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
  HOT A K(name##_many)(int64_t n, const T *x) { \
    A l[LANES]; \
    int64_t i = 0; \
    for (int j = 0; j < LANES; j++) l[j] = zero; \
    for (; i + LANES <= n; i += LANES) { \
      AHEAD(x + i); \
      for (int j = 0; j < LANES; j++) { \
        T v = x[i + j]; \
        A a = l[j], b = pre; \
        l[j] = join; \
      } \
    } \
    for (int j = 0; i < n; i++, j++) { \
      T v = x[i]; \
      A a = l[j], b = pre; \
      l[j] = join; \
    } \
    for (int w = LANES / 2; w > 0; w /= 2) \
      for (int j = 0; j < w; j++) { \
        A a = l[j], b = l[j + w]; \
        l[j] = join; \
      } \
    return l[0]; \
  } \
  static inline A K(name##_row)(int64_t n, const T *x) { \
    return n < 16 ? K(name##_few)(n, x) : K(name##_many)(n, x); \
  }

/* one row after the other */
#define FOLD(fname, A, X, pre, join) \
  static void K(fname)(int64_t rows, int64_t m, const void *x0, int64_t s, void *acc0) { \
    A *restrict acc = acc0; \
    for (const X *restrict x = x0; rows > 0; rows--, x += s) \
      for (int64_t j = 0; j < m; j++) { \
        X v = x[j]; \
        A a = acc[j], b = pre; \
        acc[j] = join; \
      } \
  }

/* eight rows at a time, as a tree: acc is read and written once for eight */
#define PLUS(A, a, b) ADD((A)x[j + a * s], (A)x[j + b * s])
#define TREE(fname, A, X) \
static void K(fname)(int64_t rows, int64_t m, const void *x0, int64_t s, void *acc0) { \
  A *restrict acc = acc0; \
  const X *restrict x = x0; \
  for (; rows >= 8; rows -= 8, x += 8 * s) \
    for (int64_t j = 0; j < m; j++) { \
      A a = ADD(PLUS(A, 0, 1), PLUS(A, 2, 3)), b = ADD(PLUS(A, 4, 5), PLUS(A, 6, 7)); \
      acc[j] = ADD(acc[j], ADD(a, b)); \
    } \
  for (; rows > 0; rows--, x += s) \
    for (int64_t j = 0; j < m; j++) acc[j] = ADD(acc[j], (A)x[j]); \
}

#define START(name, A, zero) \
static void K(name##_start)(int64_t m, void *acc) { \
  for (int64_t j = 0; j < m; j++) ((A *)acc)[j] = zero; \
}

#if REAL
#define HIGH (T)INFINITY
#define LOW (T)-INFINITY
#define NAN_IN(v) ((v) != (v))
#define LARGER(a, b) ((((b) > (a)) | ((b) != (b))) ? (b) : (a))
#define SMALLER(a, b) ((((b) < (a)) | ((b) != (b))) ? (b) : (a))
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

#if REAL && !WIDEST && defined(__AVX__) && !defined(__clang__)
/*
** The same for floats, PART at a time: of whole registers, halves must first be moved.
** With AVX-512 too: three units add and widen 32 bytes, two of them 64.
*/
#include <immintrin.h>
#define PART 4
#define WIDENED(p) (Wide)_mm256_cvtps_pd(_mm_loadu_ps(p))
typedef double Wide __attribute__((vector_size(PART * 8)));

FEW(sum, WIDE, 0, (WIDE)v, ADD(a, b))
HOT double sum_many(int64_t n, const float *x) {
  Wide s[LANES / PART] = {{0}};
  double l[LANES];
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    AHEAD(x + i);
    for (int j = 0; j < LANES / PART; j++) s[j] += WIDENED(x + i + j * PART);
  }
  memcpy(l, s, sizeof l);
  for (int j = 0; i < n; i++, j++) l[j] += (double)x[i];
  for (int w = LANES / 2; w > 0; w /= 2)
    for (int j = 0; j < w; j++) l[j] += l[j + w];
  return l[0];
}

static inline double sum_row_f32(int64_t n, const float *x) {
  return n < 16 ? sum_few_f32(n, x) : sum_many(n, x);
}
#else
RUNS(sum, WIDE, 0, (WIDE)v, ADD(a, b))
#endif
RUNS(max, T, LOW, v, LARGER(a, b))
RUNS(min, T, HIGH, v, SMALLER(a, b))
#if REAL
TREE(sum_columns, WIDE, T)
TREE(sum_join, WIDE, WIDE)
#else
FOLD(sum_columns, WIDE, T, (WIDE)v, ADD(a, b))
FOLD(sum_join, WIDE, WIDE, v, ADD(a, b))
#endif
FOLD(max_columns, T, T, v, LARGER(a, b))
FOLD(min_columns, T, T, v, SMALLER(a, b))
START(sum, WIDE, 0)
START(max, T, LOW)
START(min, T, HIGH)
FEW(any, int, 0, v != 0, a | b)
FEW(all, int, 1, v != 0, a & b)

#define TRUTH(s, x) ((s)->v = (x))
#define CHUNK(name, how, put) \
  static void K(name##_chunk)(int64_t n, int64_t rows, const void *x, int64_t stride, \
                              double c, mare_Partial *s) { \
    (void)c; \
    for (int64_t i = 0; i < rows; i++) put(&s[i], K(how)(n, (const T *)x + i * stride)); \
  }

CHUNK(max, max_row, PUT)
CHUNK(min, min_row, PUT)
CHUNK(any, any_few, TRUTH)
CHUNK(all, all_few, TRUTH)

/* blocks keep the chains of additions short: the error of pairwise summation */
static WIDE K(sum_blocks)(int64_t n, const T *x) {
  WIDE sum = 0;
  if (n <= BLOCK) return K(sum_row)(n, x);
  for (int64_t i = 0; i < n; i += BLOCK)
    sum = ADD(sum, K(sum_row)(n - i < BLOCK ? n - i : BLOCK, x + i));
  return sum;
}

CHUNK(sum, sum_blocks, PUT)

/* -- the position of the largest -------------------------------------------------- */

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

/* for a few values: only the comparison is a chain, without branches */
#define WHERE(name, of, op) \
  static T K(name##_few)(int64_t n, const T *x, int64_t *at) { \
    T a = x[0]; \
    int64_t k = 0; \
    int nan = 0; \
    for (int64_t i = 0; i < n; i++) { \
      a = x[i] op a ? x[i] : a; \
      nan |= NAN_IN(x[i]); \
    } \
    if (nan) a = K(of##_few)(n, x); \
    for (int64_t i = n; i-- > 0;) k = (x[i] == a) | (nan & NAN_IN(x[i])) ? i : k; \
    *at = k; \
    return a; \
  } \
  static void K(name##_chunk)(int64_t n, int64_t rows, const void *x0, int64_t stride, \
                              double c, mare_Partial *s) { \
    (void)c; \
    for (int64_t i = 0; i < rows; i++) { \
      const T *x = (const T *)x0 + i * stride; \
      T v = n < 16 ? K(name##_few)(n, x, &s[i].i) : K(of##_row)(n, x); \
      if (n >= 16) s[i].i = K(find)(n, x, v); \
      PUT(&s[i], v); \
    } \
  }

WHERE(argmax, max, >)
WHERE(argmin, min, <)

#if REAL

/* sum (x - m)^2 */
HOT double K(deviations_few)(int64_t n, const T *x, double m) {
  double l[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    AHEAD(x + i);
    for (int j = 0; j < LANES; j++) {
      double d = (double)x[i + j] - m;
      l[j] += d * d;
    }
  }
  for (int j = 0; i < n; i++, j++) l[j] += ((double)x[i] - m) * ((double)x[i] - m);
  for (int w = LANES / 2; w > 0; w /= 2)
    for (int j = 0; j < w; j++) l[j] += l[j + w];
  return l[0];
}

static double K(deviations)(int64_t n, const T *x, double m) {
  double sum = 0;
  for (int64_t i = 0; i < n; i += BLOCK)
    sum += K(deviations_few)(n - i < BLOCK ? n - i : BLOCK, x + i, m);
  return sum;
}

static void K(squares_chunk)(int64_t n, int64_t rows, const void *x, int64_t stride,
                             double c, mare_Partial *s) {
  (void)c;
  for (int64_t i = 0; i < rows; i++)
    s[i].a = K(deviations)(n, (const T *)x + i * stride, 0);
}

/* a = mean, b = sum of (x - mean)^2, i = n */
static void K(var_chunk)(int64_t n, int64_t rows, const void *x0, int64_t stride,
                         double c, mare_Partial *s) {
  (void)c;
  for (int64_t i = 0; i < rows; i++) {
    const T *x = (const T *)x0 + i * stride;
    s[i].a = K(sum_blocks)(n, x) / (double)n;
    s[i].b = K(deviations)(n, x, s[i].a);
    s[i].i = n;
  }
}

/*
** exp(d) for d <= 0; below LOWEST it is 0, not the last small numbers: they have no fast
** path.  NaN stays NaN.
*/
static inline __attribute__((always_inline)) void K(exps)(const T *x, T m, T *e,
                                                          const int L) {
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

HOT double K(exp_few)(int64_t n, const T *x, T m, T *y) {
  double l[LANES] = {0};
  T e[LANES];
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    K(exps)(x + i, m, e, LANES);
    for (int j = 0; j < LANES; j++) l[j] += (double)e[j];
    if (y)
      for (int j = 0; j < LANES; j++) y[i + j] = e[j];
  }
  for (; i < n; i += 16) {
    int64_t r = n - i < 16 ? n - i : 16;
    if (r == 16) K(exps)(x + i, m, e, 16);
    else K(exps_tail)(r, x + i, m, e);
    for (int64_t j = 0; j < r; j++) l[j] += (double)e[j];
    if (y)
      for (int64_t j = 0; j < r; j++) y[i + j] = e[j];
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
static void K(logsumexp_chunk)(int64_t n, int64_t rows, const void *x0, int64_t stride,
                               double c, mare_Partial *s) {
  (void)c;
  for (int64_t i = 0; i < rows; i++) {
    const T *x = (const T *)x0 + i * stride, m = K(max_row)(n, x);
    s[i].a = (double)m;
    s[i].b = isinf(m) ? 1 : K(exp_row)(n, x, m, NULL);
  }
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

/* -- running sums along a dimension, up to 16 lanes at a time, carried on ---------- */

static void K(cumsum)(int64_t n, int64_t m, const void *x0, int64_t xs, int64_t xl,
                      void *y0, int64_t ys, int64_t yl, mare_Carry *carry) {
  const T *x = x0;
  T *y = y0;
  WIDE sum[16];
  memcpy(sum, carry, sizeof sum);
  for (int64_t i = 0; i < n; i++, x += xs, y += ys)
    for (int64_t j = 0; j < m; j++) y[j * yl] = (T)(sum[j] = ADD(sum[j], x[j * xl]));
  memcpy(carry, sum, sizeof sum);
}

#undef RUNS
#undef HIGH
#undef LOW
#undef NAN_IN
#undef LARGER
#undef SMALLER
#undef PUT
