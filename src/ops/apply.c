/*
** apply.c -- the rows of ops.def, the choice of their kernels for this machine,
** and the walk that runs a kernel, which knows contiguous memory only, over
** operands of any strides.
*/
#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "kernels.h"
#include "ops.h"

/* -- rows ----------------------------------------------------------------------------- */

#define ROW1(kind, name, f, d, ...) \
  {#name, kind, 1, {"x"}, 0, {NULL}, {0}, f, {d}, __VA_ARGS__},
#define ROW2(kind, name, a, b, f, da, db, ...) \
  {#name, kind, 2, {a, b}, 0, {NULL}, {0}, f, {da, db}, __VA_ARGS__},

#define ARITH1(name, f, d, ...) ROW1(MARE_ARITH, name, #f, #d, __VA_ARGS__)
#define UNARY(name, f, d, ...) ROW1(MARE_REAL, name, #f, #d, __VA_ARGS__)
#define PARAM1(name, u, u0, f, d, ...) \
  {#name, MARE_REAL, 1, {"x"}, 1, {#u}, {u0}, #f, {#d}, __VA_ARGS__},
#define PARAM2(name, u, u0, v, v0, f, d, ...) \
  {#name, MARE_REAL, 1, {"x"}, 2, {#u, #v}, {u0, v0}, #f, {#d}, __VA_ARGS__},
#define ARITH2(name, f, da, db, ...) \
  ROW2(MARE_ARITH, name, "a", "b", #f, #da, #db, __VA_ARGS__)
#define BINARY(name, f, da, db, ...) \
  ROW2(MARE_REAL, name, "a", "b", #f, #da, #db, __VA_ARGS__)
#define LOSS(name, f, dx, dt, ...) \
  ROW2(MARE_REAL, name, "x", "t", #f, #dx, #dt, __VA_ARGS__)
#define LOSS1(name, u, u0, f, dx, dt, ...) \
  {#name, MARE_REAL, 2, {"x", "t"}, 1, {#u}, {u0}, #f, {#dx, #dt}, __VA_ARGS__},
#define TERNARY(name, f, da, db, dc, ...) \
  {#name, MARE_REAL, 3, {"a", "b", "c"}, 0, {NULL}, {0}, #f, {#da, #db, #dc}, __VA_ARGS__},
#define SELECT(name, f, da, db, ...) \
  {#name, MARE_ARITH, 3, {"mask", "a", "b"}, 0, {NULL}, {0}, #f, {NULL, #da, #db}, __VA_ARGS__},
#define COMPARE(name, f, doc) \
  ROW2(MARE_COMPARE, name, "a", "b", #f, NULL, NULL, -2, 2, "", doc)
#define LOGICAL1(name, f, doc) ROW1(MARE_LOGICAL, name, #f, NULL, 0, 1, "", doc)
#define LOGICAL2(name, f, doc) \
  ROW2(MARE_LOGICAL, name, "a", "b", #f, NULL, NULL, 0, 1, "", doc)

const mare_Row mare_rows[] = {
#include "ops.def"
  {.name = NULL}
};

const int mare_nrows = (int)(sizeof mare_rows / sizeof mare_rows[0]) - 1;

const mare_Row *mare_row_find(const char *name) {
  for (const mare_Row *row = mare_rows; row->name; row++)
    if (strcmp(row->name, name) == 0) return row;
  return NULL;
}

/* -- instruction sets -------------------------------------------------------------------- */

typedef struct Isa {
  const char *name;
  const mare_Kernels *kernels;
  bool (*here)(void); /* has this machine got it? */
} Isa;

#ifdef __x86_64__
static bool has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

static bool has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static bool always(void) {
  return true;
}

static const Isa isas[] = { /* best first */
#ifdef __x86_64__
  {"avx512", mare_kernels_avx512, has_avx512},
  {"avx2", mare_kernels_avx2, has_avx2},
#endif
  {"base", mare_kernels_base, always},
};

static const Isa *chosen;

/* Two threads that race here find the same one. */
static const Isa *isa(void) {
  const Isa *found = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
  if (found) return found;
  for (found = isas; !found->here();) found++;
  __atomic_store_n(&chosen, found, __ATOMIC_RELAXED);
  return found;
}

const char *mare_isa(void) {
  return isa()->name;
}

bool mare_set_isa(const char *name) {
  for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
    if (strcmp(isas[i].name, name) != 0) continue;
    if (!isas[i].here()) return false;
    __atomic_store_n(&chosen, &isas[i], __ATOMIC_RELAXED);
    return true;
  }
  return false;
}

const mare_Kernels *mare_row_kernels(const mare_Row *row) {
  return &isa()->kernels[row - mare_rows];
}

/* -- walking ------------------------------------------------------------------------------- */

#define MAXOPS (MARE_MAXARGS + 3) /* a backward kernel's: gx, g, y, operands */
#define BLOCK 1024                /* elements of a block: it stays in the first cache */
#define PIECE 65536               /* elements that one thread takes at a time */

static void run_flat(mare_Kernel *k, const double *param, int nop, mare_Tensor *const *op,
                      int64_t i, int64_t n) {
  void *p[MAXOPS];
  for (int j = 0; j < nop; j++) p[j] = op[j]->data + i * (int64_t)mare_sizeof[op[j]->dtype];
  k((size_t)n, p, param);
}

void mare_apply(mare_Kernel *k, const double *param, int nop, mare_Tensor *const *op) {
  _Alignas(64) static _Thread_local char buf[MAXOPS][BLOCK * 8];
  int64_t numel = op[0]->numel;
  void *p[MAXOPS];
  bool flat = true;
  for (int j = 0; j < nop && flat; j++) flat = mare_is_contiguous(op[j]);
  if (flat && numel > 0) {
    run_flat(k, param, nop, op, 0, numel);
    return;
  }
  for (int64_t i = 0; i < numel; i += BLOCK) {
    int64_t n = numel - i < BLOCK ? numel - i : BLOCK;
    for (int j = 0; j < nop; j++) p[j] = buf[j];
    for (int j = 1; j < nop; j++) mare_gather_block(op[j], i, n, buf[j]);
    k((size_t)n, p, param);
    mare_scatter_block(op[0], i, n, buf[0]);
  }
}
