/*
** linalg.c -- linear algebra on LAPACK.  The only file that knows LAPACKE.
**
** A row-major matrix is, to LAPACK, its transpose.  So Cholesky asks for an upper
** factor to get a lower one, QR is an LQ, and the two sides of an SVD change places:
** nothing is copied for the sake of the order.
**
** LAPACK runs its products on whatever BLAS it finds, on one thread or in pools of its
** own; the big work of Cholesky and of triangular systems is therefore done by
** mare_gemm, and LAPACK or plain loops see the blocks on the diagonal only.
**
** A long call of LAPACK is made on a thread of its own, on memory of its own, so that a
** hook can end the wait for it: aside.h.
*/
#include "linalg.h"

#include <math.h>
#include <string.h>

#include "../base/aside.h"
#include "../base/pool.h"
#include "ops.h"

/* -- the library --------------------------------------------------------------------- */

/* X(name): the routines that are used, of LAPACKE_sname_work and LAPACKE_dname_work */
#define ROUTINES(X) \
  X(potrf) X(getrf) X(getrs) X(getri) X(syevd) X(gesdd) X(gelqf) X(orglq) X(gelsd)

#if !defined(MARE_OMIT_LAPACK) && __has_include(<lapacke.h>)
#include <dlfcn.h>
#include <lapacke.h>
#ifndef MARE_OMIT_THREADS
#include <pthread.h>
#endif

/*
** Opened at first use.  Linked, it would cost every `require` 8 ms, 4 MB and, where
** its BLAS is OpenBLAS, the start of its threads; and without it nothing would load.
*/
static struct {
  bool there;
  int (*threads)(void);
  void (*set_threads)(int);
#define X(f) \
  __typeof__(LAPACKE_s##f##_work) *s##f; \
  __typeof__(LAPACKE_d##f##_work) *d##f;
  ROUTINES(X)
#undef X
} lapack;

/*
** OpenBLAS waits for all its threads, so that one busy core makes a 784x784 inverse 20
** times slower, and they gain little; it also divides work by their number, and the
** results with it.  While anybody is inside, it has one thread: who comes second waits
** until that is so.
*/
static int inside, threads_before;

static void pass(int step) {
  if (inside == 0 && lapack.threads() > 1) {
    threads_before = lapack.threads();
    lapack.set_threads(1);
  }
  inside += step;
  if (inside == 0 && threads_before > 1) lapack.set_threads(threads_before);
}

#ifdef MARE_OMIT_THREADS
static void pass_alone(int step) { pass(step); }
static void watch_forks(void) {}
#else
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;

static void pass_alone(int step) {
  pthread_mutex_lock(&door);
  pass(step);
  pthread_mutex_unlock(&door);
}

static void in_child(void) { /* of fork: nobody else is there */
  pthread_mutex_init(&door, NULL);
  inside = 0;
}

static void watch_forks(void) {
  pthread_atfork(NULL, NULL, in_child);
}
#endif

static void open_lapack(void) {
  void *lib = dlopen("liblapacke.so.3", RTLD_NOW | RTLD_LOCAL);
  if (!lib) lib = dlopen("liblapacke.so", RTLD_NOW | RTLD_LOCAL);
  if (!lib) return;
#define X(f) \
  lapack.s##f = (__typeof__(lapack.s##f))dlsym(lib, "LAPACKE_s" #f "_work"); \
  lapack.d##f = (__typeof__(lapack.d##f))dlsym(lib, "LAPACKE_d" #f "_work");
  ROUTINES(X)
#undef X
#define X(f) && lapack.s##f && lapack.d##f
  lapack.there = true ROUTINES(X);
#undef X
  lapack.threads = (int (*)(void))dlsym(lib, "openblas_get_num_threads");
  if (lapack.threads) /* it is OpenBLAS */
    lapack.set_threads = (void (*)(int))dlsym(lib, "openblas_set_num_threads");
  watch_forks();
}

static bool have_lapack(void) {
#ifdef MARE_OMIT_THREADS
  static bool once;
  if (!once) open_lapack();
  once = true;
#else
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_lapack);
#endif
  return lapack.there;
}

static bool enter(mare_Dtype dt) {
  if (lapack.set_threads) pass_alone(1);
  return dt == MARE_F32;
}

static lapack_int leave(lapack_int info) {
  if (lapack.set_threads) pass_alone(-1);
  return info;
}

#define LAPACK(f, dt, ...) \
  leave(enter(dt) ? lapack.s##f(LAPACK_COL_MAJOR, __VA_ARGS__) \
                  : lapack.d##f(LAPACK_COL_MAJOR, __VA_ARGS__))

#else /* built without it, or without its header: everything answers MARE_NOLAPACK */
typedef int lapack_int;
static bool have_lapack(void) { return false; }
static lapack_int unused(mare_Dtype dt, ...) { return (lapack_int)dt; }
#define LAPACK(f, dt, ...) unused(dt, __VA_ARGS__)
#endif

/* -- batches ------------------------------------------------------------------------- */

/* the matrices of a tensor, one by one */
static int64_t rows_of(const mare_Tensor *t) { return t->shape[t->ndim - 2]; }
static int64_t columns_of(const mare_Tensor *t) { return t->shape[t->ndim - 1]; }

static int64_t batch_of(const mare_Tensor *t, int last) {
  int64_t n = 1;
  for (int d = 0; d < t->ndim - last; d++) n *= t->shape[d];
  return n;
}

/* the first number of part q of a contiguous tensor; parts have `last` dimensions */
static void *part(const mare_Tensor *t, int last, int64_t q) {
  int64_t each = 1;
  for (int d = t->ndim - last; d < t->ndim; d++) each *= t->shape[d];
  return t->data + q * each * (int64_t)mare_sizeof[t->dtype];
}

/* matrix q of a tensor of any strides */
static mare_Tensor matrix(const mare_Tensor *t, int64_t q) {
  mare_Tensor v = *t;
  while (v.ndim > 2) {
    const int64_t inner = batch_of(&v, 2) / (v.shape[0] ? v.shape[0] : 1);
    const int64_t i = q / inner;
    mare_select(&v, 0, i);
    q -= i * inner;
  }
  return v;
}

/* a contiguous matrix at p */
static mare_Tensor matrix_at(void *p, mare_Dtype dt, int64_t rows, int64_t columns) {
  mare_Tensor v;
  mare_shape_set(&v, dt, 2, (int64_t[]){rows, columns});
  v.data = p;
  return v;
}

static mare_Tensor block(const mare_Tensor *t, int64_t i, int64_t m, int64_t j,
                         int64_t n) {
  mare_Tensor v = *t;
  mare_slice(&v, 0, i, m, 1);
  mare_slice(&v, 1, j, n, 1);
  return v;
}

static mare_Tensor transposed_of(const mare_Tensor *t) {
  mare_Tensor v = *t;
  mare_transpose(&v, t->ndim - 2, t->ndim - 1);
  return v;
}

static double get(mare_Dtype dt, const void *p, int64_t i) {
  return dt == MARE_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static void put(mare_Dtype dt, void *p, int64_t i, double v) {
  if (dt == MARE_F32) ((float *)p)[i] = (float)v;
  else ((double *)p)[i] = v;
}

static bool finite32(const float *p, int64_t n) {
  float sum = 0; /* NaN when there is one; infinity minus itself is too */
  for (int64_t i = 0; i < n; i++) sum += p[i] - p[i];
  return sum == 0;
}

static bool finite64(const double *p, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += p[i] - p[i];
  return sum == 0;
}

/* of n numbers; asks between the rows of a matrix */
static bool all_finite(const mare_Tensor *a, const char *p) {
  const int64_t m = rows_of(a), n = columns_of(a);
  const int64_t row = n * (int64_t)mare_sizeof[a->dtype];
  for (int64_t i = 0; i < m && (i % 64 || !mare_stopping()); i++, p += row)
    if (!(a->dtype == MARE_F32 ? finite32((const float *)p, n)
                               : finite64((const double *)p, n)))
      return false;
  return true;
}

/* LAPACK is there, and every matrix of a contiguous tensor is finite */
static mare_Status ready(const mare_Tensor *a, int64_t bad[2]) {
  if (!have_lapack()) return MARE_NOLAPACK;
  bad[0] = bad[1] = 0;
  for (int64_t q = 0; q < batch_of(a, 2); q++) {
    if (all_finite(a, part(a, 2, q))) continue;
    bad[0] = q + 1;
    return MARE_NOTFINITE;
  }
  return MARE_OK;
}

static mare_Status failed(mare_Status st, int64_t q, int64_t row, int64_t bad[2]) {
  bad[0] = q + 1;
  bad[1] = row;
  return st;
}

/* between two calls of LAPACK, which nothing ends */
static bool going_on(mare_Status *st) {
  if (*st == MARE_OK && mare_stopping()) *st = MARE_STOPPED;
  return *st == MARE_OK;
}

/* -- triangular systems -------------------------------------------------------------- */

enum {
  TALL = 16, /* rows that a block on the diagonal solves by itself */
  WIDE = 64, /* columns of a piece, a constant so that the loops below are vectors */
  CHOLESKY = 128 /* rows that LAPACK factorises by itself */
};

#define ROWS(name, real, expression) \
  static void name(void *to, const void *from, double factor) { \
    real *y = to; const real *x = from; const real k = (real)factor; \
    for (int c = 0; c < WIDE; c++) y[c] = expression; \
    (void)x; \
  }
ROWS(subtract32, float, y[c] - k * x[c])
ROWS(subtract64, double, y[c] - k * x[c])
ROWS(divide32, float, y[c] / k)
ROWS(divide64, double, y[c] / k)

typedef void RowKernel(void *, const void *, double);
static RowKernel *const subtract[MARE_NREAL] = {subtract32, subtract64};
static RowKernel *const divide[MARE_NREAL] = {divide32, divide64};

/* b (n, k) becomes sign l^-1 b; l (n, n) is lower or, when up, upper triangular */
typedef struct System {
  mare_Tensor l, b;
  bool up;
  double sign;
} System;

/* the rows of a piece, WIDE numbers each, one after the other */
static void substitute(const System *s, char *rows) {
  const int64_t n = s->l.shape[0], size = (int64_t)mare_sizeof[s->l.dtype] * WIDE;
  for (int64_t p = 0; p < n; p++) {
    const int64_t i = s->up ? n - 1 - p : p;
    for (int64_t r = 0; r < p; r++) {
      const int64_t j = s->up ? n - 1 - r : r;
      const double k = mare_get_real(&s->l, i * s->l.stride[0] + j * s->l.stride[1]);
      subtract[s->l.dtype](rows + i * size, rows + j * size, s->sign * k);
    }
    const double d = mare_get_real(&s->l, i * (s->l.stride[0] + s->l.stride[1]));
    divide[s->l.dtype](rows + i * size, NULL, s->sign * d);
  }
}

static void solve_piece(void *ctx, int64_t q) {
  const System *s = ctx;
  _Alignas(64) double rows[TALL * WIDE] = {0};
  const int64_t left = s->b.shape[1] - q * WIDE, n = left < WIDE ? left : WIDE;
  mare_Tensor b = block(&s->b, 0, s->b.shape[0], q * WIDE, n);
  mare_Tensor wide = matrix_at(rows, b.dtype, b.shape[0], WIDE);
  mare_Tensor in = block(&wide, 0, b.shape[0], 0, n);
  mare_copy(&in, &b);
  substitute(s, (char *)rows);
  mare_copy(&b, &in);
}

static void solve_block(System *s) {
  const int64_t pieces = (s->b.shape[1] + WIDE - 1) / WIDE;
  if (pieces > 2) mare_parallel(pieces, solve_piece, s);
  else for (int64_t q = 0; q < pieces; q++) solve_piece(s, q);
}

/* n halved, to whole blocks of `unit` */
static int64_t half(int64_t n, int64_t unit) { return (n / 2 + unit - 1) / unit * unit; }

/*
** Halves: x1 = sign l11^-1 b1, then b2 = l21 x1 - sign b2, which is the right side of
** the rest with its sign changed: mare_gemm adds and does not subtract.
*/
static void solve_system(System *s) {
  const int64_t n = s->l.shape[0], k = s->b.shape[1];
  if (n <= TALL) {
    solve_block(s);
    return;
  }
  const int64_t h = half(n, TALL), first = s->up ? h : 0, second = s->up ? 0 : h;
  const int64_t n1 = s->up ? n - h : h, n2 = n - n1;
  System one = {block(&s->l, first, n1, first, n1), block(&s->b, first, n1, 0, k), s->up,
                s->sign};
  System two = {block(&s->l, second, n2, second, n2), block(&s->b, second, n2, 0, k),
                s->up, -1};
  const mare_Tensor across = block(&s->l, second, n2, first, n1);
  solve_system(&one);
  mare_gemm(&across, &one.b, -s->sign, &two.b);
  solve_system(&two);
}

mare_Status mare_solve_triangular(mare_Heap *h, bool transposed, const mare_Tensor *l,
                                  mare_Tensor *b, int64_t bad[2]) {
  (void)h;
  for (int64_t q = 0; q < batch_of(l, 2) && b->numel > 0; q++) {
    System s = {matrix(l, q), matrix(b, q), transposed, 1};
    for (int64_t i = 0; i < rows_of(l); i++)
      if (mare_get_real(&s.l, i * (s.l.stride[0] + s.l.stride[1])) == 0)
        return failed(MARE_SINGULAR, q, i + 1, bad);
    if (transposed) s.l = transposed_of(&s.l);
    solve_system(&s);
  }
  return MARE_OK;
}

/* -- Cholesky ------------------------------------------------------------------------ */

static void negate(mare_Tensor *t) {
  const mare_Row *neg = mare_row_find("neg");
  mare_apply(mare_row_kernels(neg)->forward[t->dtype], mare_run_any, NULL, 2,
             (mare_Tensor *[]){t, t});
}

/* the lower triangle of c = a a' + beta c, in blocks */
static void update(const mare_Tensor *a, double beta, mare_Tensor *c) {
  const int64_t n = c->shape[0], k = a->shape[1], h = n <= 2 * CHOLESKY ? n : half(n, 64);
  mare_Tensor a1 = block(a, 0, h, 0, k), a2 = block(a, h, n - h, 0, k);
  mare_Tensor c11 = block(c, 0, h, 0, h), c21 = block(c, h, n - h, 0, h);
  mare_Tensor c22 = block(c, h, n - h, h, n - h), right = transposed_of(&a1);
  if (h == n) {
    mare_gemm(&a1, &right, beta, &c11);
    return;
  }
  update(&a1, beta, &c11);
  mare_gemm(&a2, &right, beta, &c21);
  update(&a2, beta, &c22);
}

/* sign a = l l' in place of a's lower triangle; returns the minor that is not positive */
static int64_t factorise(mare_Tensor *a, double sign) {
  const int64_t n = a->shape[0];
  if (mare_stopping()) return 1;
  if (n <= CHOLESKY) {
    if (sign < 0) negate(a);
    return LAPACK(potrf, a->dtype, 'U', (lapack_int)n, (void *)a->data,
                  (lapack_int)a->stride[0]);
  }
  const int64_t h = half(n, 64);
  mare_Tensor a11 = block(a, 0, h, 0, h), a21 = block(a, h, n - h, 0, h);
  mare_Tensor a22 = block(a, h, n - h, h, n - h);
  int64_t minor = factorise(&a11, sign);
  if (minor) return minor;
  System s = {a11, transposed_of(&a21), false, sign}; /* l21 = sign a21 l11'^-1 */
  solve_system(&s);
  update(&a21, -sign, &a22);
  minor = factorise(&a22, -1);
  return minor ? minor + h : 0;
}

static void clear_above(mare_Tensor *a) {
  const int64_t n = a->shape[0], size = (int64_t)mare_sizeof[a->dtype];
  for (int64_t i = 0; i < n; i++)
    memset(a->data + (i * n + i + 1) * size, 0, (size_t)((n - i - 1) * size));
}

mare_Status mare_cholesky(mare_Heap *h, mare_Tensor *a, int64_t bad[2]) {
  (void)h;
  mare_Status st = ready(a, bad);
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2) && a->numel > 0; q++) {
    mare_Tensor m = matrix(a, q);
    const int64_t minor = factorise(&m, 1);
    if (minor) st = failed(MARE_SINGULAR, q, minor, bad);
    else clear_above(&m);
  }
  return st;
}

/* -- calls of the library ------------------------------------------------------------ */

/* what a routine reads and writes: matrices A, B, C and a vector of numbers or pivots */
enum { A, B, C, S };

typedef struct Call {
  mare_Aside aside;
  void (*routine)(struct Call *c);
  mare_Dtype dtype;
  char job;
  lapack_int m, n, k, ld, info, rank;
  double rcond;
  void *part[MARE_ASIDE_PARTS];
  void *numbers; /* room to work in */
  lapack_int *integers, nnumber, ninteger;
} Call;

static void operand(Call *c, int i, void *p, int64_t n) {
  c->aside.part[i] = p;
  c->aside.bytes[i] = (size_t)n * mare_sizeof[c->dtype];
}

static size_t padded(size_t n) { return (n + 63) / 64 * 64; }

static size_t bytes_of_numbers(const Call *c) {
  return padded((size_t)c->nnumber * mare_sizeof[c->dtype]);
}

/* how much room the routine wants; in f32 the number may have lost its last digits */
static void ask_room(Call *c, void (*routine)(Call *)) {
  double asked = 0;
  lapack_int integers = 0;
  Call ask = *c;
  ask.numbers = &asked;
  ask.integers = &integers;
  ask.nnumber = ask.ninteger = -1;
  routine(&ask);
  const lapack_int n = (lapack_int)(get(c->dtype, &asked, 0) * (1 + 1e-6)) + 1;
  if (n > c->nnumber) c->nnumber = n;
  if (integers > c->ninteger) c->ninteger = integers;
}

static void run(mare_Aside *a) {
  Call *c = (Call *)a;
  memcpy(c->part, a->part, sizeof c->part);
  c->numbers = a->room;
  c->integers = (lapack_int *)((char *)a->room + bytes_of_numbers(c));
  c->routine(c);
}

static mare_Status call(mare_Heap *h, Call *c, void (*routine)(Call *),
                        double operations) {
  c->routine = routine;
  c->aside.run = run;
  c->aside.size = sizeof *c;
  c->aside.room_bytes = bytes_of_numbers(c) + (size_t)c->ninteger * sizeof(lapack_int);
  return mare_aside(h, &c->aside, operations);
}

/* -- eigenvalues --------------------------------------------------------------------- */

/* row or column of n numbers, `step` apart: is the largest in size negative? */
static bool points_down(mare_Dtype dt, const void *p, int64_t n, int64_t step) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) {
    const double v = get(dt, p, i * step);
    if (fabs(v) > fabs(most)) most = v;
  }
  return most < 0;
}

static void turn(mare_Dtype dt, void *p, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; i++) put(dt, p, i * step, -get(dt, p, i * step));
}

/* the eigenvectors stand in the rows; spare is a matrix of room */
static void columns_of_rows(mare_Tensor *v, void *spare) {
  const int64_t n = v->shape[0], size = (int64_t)mare_sizeof[v->dtype];
  for (int64_t i = 0; i < n && !mare_stopping(); i++) {
    char *row = v->data + i * n * size;
    if (points_down(v->dtype, row, n, 1)) turn(v->dtype, row, n, 1);
  }
  mare_Tensor from = matrix_at(spare, v->dtype, n, n);
  mare_copy(&from, v);
  from = transposed_of(&from);
  mare_copy(v, &from);
}

static void syevd(Call *c) {
  c->info = LAPACK(syevd, c->dtype, c->job, 'U', c->n, c->part[A], c->n, c->part[S],
                   c->numbers, c->nnumber, c->integers, c->ninteger);
}

static mare_Status eigen(mare_Heap *h, char job, mare_Tensor *a, mare_Tensor *w,
                         int64_t bad[2]) {
  const int64_t n = columns_of(a);
  Call c = {.dtype = a->dtype, .job = job, .n = (lapack_int)n};
  mare_Status st = ready(a, bad);
  if (st != MARE_OK || a->numel == 0) return st;
  void *spare = mare_scratch(h, job == 'V' ? (size_t)(n * n) * mare_sizeof[a->dtype] : 0);
  if (!spare) return MARE_NOMEM;
  ask_room(&c, syevd);
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2); q++) {
    mare_Tensor m = matrix(a, q);
    operand(&c, A, m.data, n * n);
    operand(&c, S, part(w, 1, q), n);
    st = call(h, &c, syevd, 9.0 * (double)(n * n * n));
    if (st == MARE_OK && c.info) st = failed(MARE_DIVERGED, q, 0, bad);
    else if (st == MARE_OK && job == 'V') columns_of_rows(&m, spare);
  }
  mare_scratch_free(h, spare);
  return st;
}

mare_Status mare_eigh(mare_Heap *h, mare_Tensor *a, mare_Tensor *w, int64_t bad[2]) {
  return eigen(h, 'V', a, w, bad);
}

mare_Status mare_eigvalsh(mare_Heap *h, mare_Tensor *a, mare_Tensor *w, int64_t bad[2]) {
  return eigen(h, 'N', a, w, bad);
}

/* -- singular values ----------------------------------------------------------------- */

/* u is (m, k), vh is (k, n) */
static void point_up(mare_Dtype dt, void *u, void *vh, int64_t m, int64_t k, int64_t n) {
  const int64_t size = (int64_t)mare_sizeof[dt];
  for (int64_t j = 0; j < k && !mare_stopping(); j++) {
    char *column = (char *)u + j * size;
    if (!points_down(dt, column, m, k)) continue;
    turn(dt, column, m, k);
    turn(dt, (char *)vh + j * n * size, n, 1);
  }
}

/* to LAPACK a is (n, m): its left side, B, is vh and its right side, C, is u */
static void gesdd(Call *c) {
  c->info = LAPACK(gesdd, c->dtype, c->job, c->n, c->m, c->part[A], c->n, c->part[S],
                   c->part[B], c->n, c->part[C], c->k, c->numbers, c->nnumber,
                   c->integers);
}

mare_Status mare_svd(mare_Heap *h, mare_Tensor *a, mare_Tensor *u, mare_Tensor *s,
                     mare_Tensor *vh, int64_t bad[2]) {
  const int64_t m = rows_of(a), n = columns_of(a), k = m < n ? m : n;
  Call c = {.dtype = a->dtype, .job = u ? 'S' : 'N', .m = (lapack_int)m,
            .n = (lapack_int)n, .k = (lapack_int)k, .ninteger = 8 * (lapack_int)k};
  mare_Status st = ready(a, bad);
  if (st != MARE_OK || a->numel == 0) return st;
  ask_room(&c, gesdd);
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2); q++) {
    operand(&c, A, part(a, 2, q), m * n);
    operand(&c, S, part(s, 1, q), k);
    if (u) operand(&c, B, part(vh, 2, q), k * n);
    if (u) operand(&c, C, part(u, 2, q), m * k);
    st = call(h, &c, gesdd, 10.0 * (double)(m * n * k));
    if (st == MARE_OK && c.info) st = failed(MARE_DIVERGED, q, 0, bad);
    else if (st == MARE_OK && u)
      point_up(a->dtype, part(u, 2, q), part(vh, 2, q), m, k, n);
  }
  return st;
}

/* -- QR ------------------------------------------------------------------------------ */

/* the upper triangle of the first rows of a (m, n) */
static void take_upper(const mare_Tensor *a, mare_Tensor *r) {
  const mare_Tensor top = block(a, 0, r->shape[0], 0, r->shape[1]);
  const int64_t n = r->shape[1], size = (int64_t)mare_sizeof[r->dtype];
  mare_copy(r, &top);
  for (int64_t i = 1; i < r->shape[0]; i++)
    memset(r->data + i * n * size, 0, (size_t)(i * size));
}

static void gelqf(Call *c) {
  c->info = LAPACK(gelqf, c->dtype, c->n, c->m, c->part[A], c->n, c->part[S], c->numbers,
                   c->nnumber);
}

static void orglq(Call *c) {
  c->info = LAPACK(orglq, c->dtype, c->k, c->m, c->k, c->part[A], c->n, c->part[S],
                   c->numbers, c->nnumber);
}

/* to LAPACK a is (n, m), and its LQ is r' q' */
mare_Status mare_qr(mare_Heap *h, mare_Tensor *a, mare_Tensor *q, mare_Tensor *r,
                    int64_t bad[2]) {
  const int64_t m = rows_of(a), n = columns_of(a), k = m < n ? m : n;
  const double operations = 2.0 * (double)(m * n * k);
  Call c = {.dtype = a->dtype, .m = (lapack_int)m, .n = (lapack_int)n,
            .k = (lapack_int)k};
  mare_Status st = ready(a, bad);
  if (st != MARE_OK || a->numel == 0) return st;
  void *scales = mare_scratch(h, (size_t)k * mare_sizeof[a->dtype]);
  if (!scales) return MARE_NOMEM;
  ask_room(&c, gelqf);
  ask_room(&c, orglq);
  operand(&c, S, scales, k);
  for (int64_t i = 0; going_on(&st) && i < batch_of(a, 2); i++) {
    mare_Tensor ai = matrix(a, i), qi = matrix(q, i), ri = matrix(r, i);
    const mare_Tensor left = block(&ai, 0, m, 0, k);
    operand(&c, A, ai.data, m * n);
    st = call(h, &c, gelqf, operations);
    if (!going_on(&st)) break;
    take_upper(&ai, &ri);
    st = call(h, &c, orglq, operations);
    mare_copy(&qi, &left);
  }
  mare_scratch_free(h, scales);
  return st;
}

/* -- LU ------------------------------------------------------------------------------ */

static void getrf(Call *c) { /* S: the pivots */
  c->info = LAPACK(getrf, c->dtype, c->n, c->n, c->part[A], c->n, c->part[S]);
}

static void getrs(Call *c) { /* B is a right side (k, n) */
  c->info = LAPACK(getrs, c->dtype, 'T', c->n, c->k, c->part[A], c->n, c->part[S],
                   c->part[B], c->n);
}

static void getri(Call *c) {
  c->info = LAPACK(getri, c->dtype, c->n, c->part[A], c->n, c->part[S], c->numbers,
                   c->nnumber);
}

static mare_Status factors(mare_Heap *h, Call *c, void *a, void *pivots) {
  const int64_t n = c->n;
  operand(c, A, a, n * n);
  operand(c, S, pivots, n); /* an integer takes no more than a number */
  return call(h, c, getrf, (double)(n * n * n));
}

mare_Status mare_solve(mare_Heap *h, mare_Tensor *a, mare_Tensor *b, int64_t bad[2]) {
  const int64_t n = columns_of(a), k = columns_of(b);
  const size_t size = mare_sizeof[a->dtype], right = padded((size_t)(n * k) * size);
  Call c = {.dtype = a->dtype, .n = (lapack_int)n, .k = (lapack_int)k};
  mare_Status st = ready(a, bad);
  if (st != MARE_OK || a->numel == 0) return st;
  char *own = mare_scratch(h, right + (size_t)n * size);
  if (!own) return MARE_NOMEM;
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2); q++) {
    mare_Tensor bq = matrix(b, q), x = matrix_at(own, a->dtype, k, n);
    mare_Tensor xt = transposed_of(&x);
    operand(&c, B, NULL, 0);
    st = factors(h, &c, part(a, 2, q), own + right);
    if (st == MARE_OK && c.info > 0) st = failed(MARE_SINGULAR, q, c.info, bad);
    if (k == 0 || !going_on(&st)) continue;
    mare_copy(&xt, &bq);
    operand(&c, B, own, n * k);
    st = call(h, &c, getrs, 2.0 * (double)(n * n * k));
    mare_copy(&bq, &xt);
  }
  mare_scratch_free(h, own);
  return st;
}

mare_Status mare_inverse(mare_Heap *h, mare_Tensor *a, int64_t bad[2]) {
  const int64_t n = columns_of(a);
  Call c = {.dtype = a->dtype, .n = (lapack_int)n};
  mare_Status st = ready(a, bad);
  if (st != MARE_OK || a->numel == 0) return st;
  void *pivots = mare_scratch(h, (size_t)n * mare_sizeof[a->dtype]);
  if (!pivots) return MARE_NOMEM;
  ask_room(&c, getri);
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2); q++) {
    st = factors(h, &c, part(a, 2, q), pivots);
    if (c.info == 0 && going_on(&st)) st = call(h, &c, getri, 2.0 * (double)(n * n * n));
    if (st == MARE_OK && c.info > 0) st = failed(MARE_SINGULAR, q, c.info, bad);
  }
  mare_scratch_free(h, pivots);
  return st;
}

/* from the factors in place of a: its determinant, or the sign and the logarithm */
static void determinant(mare_Dtype dt, const void *lu, const lapack_int *pivot, int64_t n,
                        bool logarithm, void *y) {
  double det = 1, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = get(dt, lu, i * n + i);
    if (pivot[i] != i + 1) d = -d;
    sum += log(fabs(d));
    det *= logarithm ? (d > 0) - (d < 0) : d;
  }
  put(dt, y, 0, det);
  if (logarithm) put(dt, y, 1, sum);
}

mare_Status mare_det(mare_Heap *h, mare_Tensor *a, mare_Tensor *y, int64_t bad[2]) {
  const int64_t n = columns_of(a);
  Call c = {.dtype = a->dtype, .n = (lapack_int)n};
  mare_Status st = ready(a, bad);
  if (st != MARE_OK || y->numel == 0) return st;
  void *pivots = mare_scratch(h, (size_t)n * mare_sizeof[a->dtype]);
  if (!pivots) return MARE_NOMEM;
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2); q++) {
    void *p = part(a, 2, q);
    if (n > 0) st = factors(h, &c, p, pivots);
    if (st == MARE_OK)
      determinant(a->dtype, p, pivots, n, columns_of(y) == 2, part(y, 1, q));
  }
  mare_scratch_free(h, pivots);
  return st;
}

/* -- least squares ------------------------------------------------------------------- */

static void gelsd(Call *c) {
  c->info = LAPACK(gelsd, c->dtype, c->m, c->n, c->k, c->part[A], c->m, c->part[B], c->ld,
                   c->part[S], c->rcond, &c->rank, c->numbers, c->nnumber, c->integers);
}

/* LAPACK's own order: at is a' (n, m) and bt is b' (k, the larger of m and n) */
mare_Status mare_lstsq(mare_Heap *h, const mare_Tensor *a, const mare_Tensor *b,
                       double rcond, mare_Tensor *x, mare_Tensor *s, mare_Tensor *rank,
                       int64_t bad[2]) {
  const int64_t m = rows_of(a), n = columns_of(a), least = m < n ? m : n;
  const int64_t k = columns_of(b) ? columns_of(b) : 1; /* LAPACK solves for something */
  const int64_t ld = m > n ? m : n;
  const mare_Dtype dt = a->dtype;
  Call c = {.dtype = dt, .m = (lapack_int)m, .n = (lapack_int)n, .k = (lapack_int)k,
            .ld = (lapack_int)ld, .rcond = rcond};
  mare_Status st = ready(a, bad);
  if (st == MARE_OK && (st = ready(b, bad)) == MARE_NOTFINITE) bad[1] = 2;
  if (st == MARE_OK && a->numel == 0) {
    mare_fill(x, 0);
    mare_fill(rank, 0);
  }
  if (st != MARE_OK || a->numel == 0) return st;
  ask_room(&c, gelsd);
  char *own = mare_scratch(h, (size_t)(m * n + ld * k) * mare_sizeof[dt]);
  if (!own) return MARE_NOMEM;
  mare_Tensor at = matrix_at(own, dt, n, m), bt = matrix_at(own, dt, k, ld);
  bt.data += at.numel * (int64_t)mare_sizeof[dt];
  mare_Tensor ta = transposed_of(&at), tb = transposed_of(&bt);
  mare_Tensor right = block(&tb, 0, m, 0, columns_of(b));
  const mare_Tensor result = block(&tb, 0, n, 0, columns_of(b));
  operand(&c, A, at.data, m * n);
  operand(&c, B, bt.data, ld * k);
  mare_fill(&bt, 0);
  for (int64_t q = 0; going_on(&st) && q < batch_of(a, 2); q++) {
    const mare_Tensor aq = matrix(a, q), bq = matrix(b, q);
    mare_Tensor xq = matrix(x, q);
    mare_copy(&ta, &aq);
    mare_copy(&right, &bq);
    operand(&c, S, part(s, 1, q), least);
    st = call(h, &c, gelsd, 10.0 * (double)(least * m * n));
    if (st == MARE_OK && c.info) st = failed(MARE_DIVERGED, q, 0, bad);
    mare_copy(&xq, &result);
    mare_set_integer(rank, q, c.rank);
  }
  mare_scratch_free(h, own);
  return st;
}
