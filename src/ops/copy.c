/*
** copy.c -- moving elements: between shapes, strides and element types.  A copy
** is an operation of one operand whose kernel converts; mare_apply does the
** walking.
*/
#include <string.h>

#include "turn.h"

#ifndef __clang__
#pragma GCC optimize("O3") /* the loops that convert, gather and scatter */
#endif

/* -- one element ------------------------------------------------------------------ */

/* Conversions saturate; NaN becomes 0.  C leaves them undefined. */
static float to_F32(double v) { return (float)v; }
static double to_F64(double v) { return v; }

static int64_t to_I64(double v) {
  if (v != v) return 0;
  if (v >= 0x1p63) return INT64_MAX;
  return v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

static uint8_t to_U8(double v) {
  return v >= 255 ? 255 : v > 0 ? (uint8_t)v : 0;
}

static float integer_to_F32(int64_t v) { return (float)v; }
static double integer_to_F64(int64_t v) { return (double)v; }
static int64_t integer_to_I64(int64_t v) { return v; }
static uint8_t integer_to_U8(int64_t v) { return v > 255 ? 255 : v < 0 ? 0 : (uint8_t)v; }

double mare_get_real(const mare_Tensor *t, int64_t offset) {
  switch (t->dtype) {
#define X(e, ctype, name) case MARE_##e: return (double)((const ctype *)t->data)[offset];
    MARE_DTYPES(X)
#undef X
    default: return 0;
  }
}

int64_t mare_get_integer(const mare_Tensor *t, int64_t offset) {
  if (t->dtype == MARE_I64) return ((const int64_t *)t->data)[offset];
  return to_I64(mare_get_real(t, offset));
}

void mare_set_real(mare_Tensor *t, int64_t offset, double v) {
  switch (t->dtype) {
#define X(e, ctype, name) case MARE_##e: ((ctype *)t->data)[offset] = to_##e(v); break;
    MARE_DTYPES(X)
#undef X
    default: break;
  }
}

void mare_set_integer(mare_Tensor *t, int64_t offset, int64_t v) {
  switch (t->dtype) {
#define X(e, ctype, name) \
  case MARE_##e: ((ctype *)t->data)[offset] = integer_to_##e(v); break;
    MARE_DTYPES(X)
#undef X
    default: break;
  }
}

/* -- kernels: p[0] is the result, p[1] the source --------------------------------- */

#define CONVERT(from, ftype, to, ttype, how) \
  static void from##_##to (size_t n, void *const *p, const double *c) { \
    ttype *restrict y = p[0]; const ftype *restrict x = p[1]; (void)c; \
    for (size_t i = 0; i < n; i++) y[i] = how(x[i]); \
  }

CONVERT(F32, float, F64, double, (double))
CONVERT(F32, float, I64, int64_t, to_I64)
CONVERT(F32, float, U8, uint8_t, to_U8)
CONVERT(F64, double, F32, float, (float))
CONVERT(F64, double, I64, int64_t, to_I64)
CONVERT(F64, double, U8, uint8_t, to_U8)
CONVERT(I64, int64_t, F32, float, (float))
CONVERT(I64, int64_t, F64, double, (double))
CONVERT(I64, int64_t, U8, uint8_t, integer_to_U8)
CONVERT(U8, uint8_t, F32, float, (float))
CONVERT(U8, uint8_t, F64, double, (double))
CONVERT(U8, uint8_t, I64, int64_t, (int64_t))

static void copy1(size_t n, void *const *p, const double *c) {
  (void)c;
  memmove(p[0], p[1], n);
}

static void copy4(size_t n, void *const *p, const double *c) {
  (void)c;
  memmove(p[0], p[1], n * 4);
}

static void copy8(size_t n, void *const *p, const double *c) {
  (void)c;
  memmove(p[0], p[1], n * 8);
}

static mare_Kernel *const convert[MARE_NDTYPE][MARE_NDTYPE] = { /* [from][to] */
  [MARE_F32] = {copy4, F32_F64, F32_I64, F32_U8},
  [MARE_F64] = {F64_F32, copy8, F64_I64, F64_U8},
  [MARE_I64] = {I64_F32, I64_F64, copy8, I64_U8},
  [MARE_U8] = {U8_F32, U8_F64, U8_I64, copy1},
};

void mare_copy(mare_Tensor *y, const mare_Tensor *x) {
  mare_Tensor source = *x, *op[2] = {y, &source};
  if (x->dtype == y->dtype)
    mare_apply_copy(convert[x->dtype][y->dtype], op);
  else
    mare_apply(convert[x->dtype][y->dtype], mare_run_any, NULL, 2, op);
}

/* c points to the bytes of the value, not to a double */
#define FILL(size, utype) \
  static void fill##size (size_t n, void *const *p, const double *c) { \
    utype *y = p[0], v; \
    memcpy(&v, c, size); \
    for (size_t i = 0; i < n; i++) y[i] = v; \
  }

FILL(1, uint8_t)
FILL(4, uint32_t)
FILL(8, uint64_t)

static mare_Kernel *const fill[MARE_NDTYPE] = {fill4, fill8, fill8, fill1};

static void fill_with(mare_Tensor *y, const double *bytes) {
  mare_Tensor *op[1] = {y};
  mare_apply(fill[y->dtype], mare_run_any, bytes, 1, op);
}

void mare_fill(mare_Tensor *y, double v) {
  double bytes = 0;
  mare_Tensor one = {.dtype = y->dtype, .data = (char *)&bytes};
  mare_set_real(&one, 0, v);
  fill_with(y, &bytes);
}

void mare_fill_integer(mare_Tensor *y, int64_t v) {
  double bytes = 0;
  mare_Tensor one = {.dtype = y->dtype, .data = (char *)&bytes};
  mare_set_integer(&one, 0, v);
  fill_with(y, &bytes);
}

/* -- grids: rows and columns of strided memory, to and from a contiguous buffer --- */

#define EACH_ROW(g, b, p) \
  for (int64_t r = 0; r < (g)->rows; r++, p += (g)->down, b += (g)->columns) \
    for (int64_t c = 0; c < (g)->columns; c++)

#define MOVERS(size, utype) \
  static void gather##size(utype *restrict b, const char *p, const mare_Grid *g) \
    { EACH_ROW(g, b, p) b[c] = *(const utype *)(p + c * g->across); } \
  static void repeat##size(utype *restrict b, const char *p, const mare_Grid *g) \
    { EACH_ROW(g, b, p) b[c] = *(const utype *)p; }

#define PUTTERS(size, utype) \
  static void scatter##size(const utype *restrict b, char *p, const mare_Grid *g) \
    { EACH_ROW(g, b, p) *(utype *)(p + c * g->across) = b[c]; }

MOVERS(1, uint8_t)
MOVERS(4, uint32_t)
MOVERS(8, uint64_t)
PUTTERS(1, uint8_t)
PUTTERS(4, uint32_t)
PUTTERS(8, uint64_t)

static void rows_to(char *b, const char *p, const mare_Grid *g, int64_t size) {
  for (int64_t r = 0; r < g->rows; r++)
    memcpy(b + r * g->columns * size, p + r * g->down, (size_t)(g->columns * size));
}

static void rows_from(const char *b, char *p, const mare_Grid *g, int64_t size) {
  for (int64_t r = 0; r < g->rows; r++)
    memcpy(p + r * g->down, b + r * g->columns * size, (size_t)(g->columns * size));
}

#define PICK(how, size, b, p, g) \
  ((size) == 4 ? how##4((void *)(b), p, g) : (size) == 8 ? how##8((void *)(b), p, g) \
                                                         : how##1((void *)(b), p, g))

void mare_gather_grid(void *b, const char *p, const mare_Grid *g, int64_t size) {
  if (g->across == size && g->columns >= 16) rows_to(b, p, g, size);
  else if (g->across == 0) PICK(repeat, size, b, p, g);
  else if (g->down == size && g->rows >= 4)
    mare_turn(b, g->columns * size, p, g, size, true);
  else PICK(gather, size, b, p, g);
}

void mare_scatter_grid(const void *b, char *p, const mare_Grid *g, int64_t size) {
  if (g->across == size) rows_from(b, p, g, size);
  else PICK(scatter, size, b, p, g);
}

/* -- blocks: a run of elements in row-major order --------------------------------- */

/* A position in a collapsed tensor, moved run by run along the last dimension. */
typedef struct Cursor {
  mare_Tensor t;
  int64_t at[MARE_MAXDIM];
  char *p;
} Cursor;

static void cursor_set(Cursor *u, const mare_Tensor *t, int64_t i) {
  mare_Tensor *op[1] = {&u->t};
  u->t = *t;
  if (mare_collapse(1, op) == 0) {
    u->t.ndim = 1;
    u->t.shape[0] = u->t.stride[0] = 1;
  }
  u->p = t->data;
  for (int d = u->t.ndim - 1; d >= 0; d--) {
    u->at[d] = i % u->t.shape[d];
    i /= u->t.shape[d];
    u->p += u->at[d] * u->t.stride[d] * (int64_t)mare_sizeof[t->dtype];
  }
}

/* elements left in this run, n at most */
static int64_t cursor_run(const Cursor *u, int64_t n) {
  int last = u->t.ndim - 1;
  int64_t left = u->t.shape[last] - u->at[last];
  return left < n ? left : n;
}

static void cursor_move(Cursor *u, int64_t n) {
  int64_t size = (int64_t)mare_sizeof[u->t.dtype];
  int d = u->t.ndim - 1;
  u->at[d] += n;
  u->p += n * u->t.stride[d] * size;
  for (; d > 0 && u->at[d] == u->t.shape[d]; d--) {
    u->p += (u->t.stride[d - 1] - u->t.shape[d] * u->t.stride[d]) * size;
    u->at[d] = 0;
    u->at[d - 1]++;
  }
}

void mare_gather_block(const mare_Tensor *t, int64_t i, int64_t n, void *out) {
  int64_t size = (int64_t)mare_sizeof[t->dtype];
  Cursor u;
  if (n <= 0) return;
  for (cursor_set(&u, t, i); n > 0;) {
    int64_t run = cursor_run(&u, n);
    mare_Grid g = {1, run, 0, u.t.stride[u.t.ndim - 1] * size};
    mare_gather_grid(out, u.p, &g, size);
    cursor_move(&u, run);
    out = (char *)out + run * size;
    n -= run;
  }
}

void mare_scatter_block(mare_Tensor *t, int64_t i, int64_t n, const void *in) {
  int64_t size = (int64_t)mare_sizeof[t->dtype];
  Cursor u;
  if (n <= 0) return;
  for (cursor_set(&u, t, i); n > 0;) {
    int64_t run = cursor_run(&u, n);
    mare_Grid g = {1, run, 0, u.t.stride[u.t.ndim - 1] * size};
    mare_scatter_grid(in, u.p, &g, size);
    cursor_move(&u, run);
    in = (const char *)in + run * size;
    n -= run;
  }
}
