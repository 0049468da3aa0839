/*
** linalg.c -- linear algebra for Lua: operands are checked, their batches broadcast,
** copied (the engine works in place) and the results pushed.  What is differentiable
** becomes a row in lua/mare/linalg.lua.
*/
#include <string.h>

#include "../ops/linalg.h"
#include "bind.h"

/* -- operands ------------------------------------------------------------------------ */

typedef struct Call Call;

struct Call {
  lua_State *L;
  State *S;
  mare_Tensor from[2];  /* the operands, (.., rows, columns), batches broadcast */
  Object *in[2];        /* contiguous copies of them, for the engine to work in */
  Object *out[3];
  const char *singular; /* what MARE_SINGULAR means */
  double number;
  mare_Status (*run)(mare_Heap *h, Call *c, int64_t bad[2]);
};

static int64_t rows(const mare_Tensor *t) { return t->shape[t->ndim - 2]; }
static int64_t columns(const mare_Tensor *t) { return t->shape[t->ndim - 1]; }

static void check_matrix(Call *c, int arg, bool square) {
  const mare_Tensor *t = &check_real(c->L, c->S, arg)->t;
  if (t->ndim < 2)
    arg_error(c->L, arg, "a matrix or a batch of matrices expected, got shape %s",
              shape_of(c->L, t));
  if (square && rows(t) != columns(t))
    arg_error(c->L, arg, "a square matrix expected, got shape %s", shape_of(c->L, t));
  if (rows(t) > MARE_MAXSIDE || columns(t) > MARE_MAXSIDE)
    arg_error(c->L, arg, "shape %s: at most %d rows and columns", shape_of(c->L, t),
              MARE_MAXSIDE);
  c->from[arg - 1] = *t;
}

/* the right side at index 2: a vector stands for a column; returns whether it is one */
static bool check_right(Call *c) {
  const Object *a = lua_touserdata(c->L, 1), *b = check_real(c->L, c->S, 2);
  mare_Tensor *v = &c->from[1];
  check_same_dtype(c->L, a, b, 2);
  *v = b->t;
  if (v->ndim == 1) mare_unsqueeze(v, 1);
  if (v->ndim < 2 || rows(v) != rows(&a->t))
    arg_error(c->L, 2, "%I rows expected for a matrix of shape %s, got shape %s",
              (LUAI_UACINT)rows(&a->t), shape_of(c->L, &a->t), shape_of(c->L, &b->t));
  if (columns(v) > MARE_MAXSIDE)
    arg_error(c->L, 2, "shape %s: at most %d columns", shape_of(c->L, &b->t),
              MARE_MAXSIDE);
  return b->t.ndim == 1;
}

/* t, an operand, with the batch sizes of `shape` */
static void expand_batch(mare_Tensor *t, int ndim, const int64_t *batch) {
  int64_t shape[MARE_MAXDIM];
  memcpy(shape, batch, (size_t)(ndim - 2) * sizeof *shape);
  shape[ndim - 2] = rows(t);
  shape[ndim - 1] = columns(t);
  mare_expand(t, ndim, shape, t);
}

static void broadcast(Call *c) {
  mare_Tensor *a = &c->from[0], *b = &c->from[1];
  int64_t shape[MARE_MAXDIM];
  int n;
  if (!mare_broadcast(a->ndim - 2, a->shape, b->ndim - 2, b->shape, &n, shape))
    arg_error(c->L, 2, "the batch sizes of shapes %s and %s do not broadcast",
              shape_of(c->L, a), shape_of(c->L, b));
  expand_batch(a, n + 2, shape);
  expand_batch(b, n + 2, shape);
}

/* -- results ------------------------------------------------------------------------- */

/* a result of the batch of the first operand and `last` more sizes */
static Object *result(Call *c, int last, int64_t m, int64_t n) {
  const mare_Tensor *a = &c->from[0];
  int64_t shape[MARE_MAXDIM];
  const int d = a->ndim - 2;
  memcpy(shape, a->shape, sizeof shape);
  shape[d] = last == 2 ? m : n;
  shape[d + 1] = n;
  return new_tensor(c->L, c->S, a->dtype, d + last, shape);
}

static void refuse(Call *c, mare_Status st, const int64_t bad[2]) {
  const char *which = "the matrix";
  if (st == MARE_NOLAPACK)
    user_error(c->L, "%s", MARE_MISSING);
  if (c->from[0].ndim > 2)
    which = lua_pushfstring(c->L, "matrix %I of the batch", (LUAI_UACINT)bad[0]);
  if (st == MARE_SINGULAR)
    arg_error(c->L, 1, c->singular, which, (LUAI_UACINT)bad[1]);
  if (st == MARE_NOTFINITE && bad[1])
    arg_error(c->L, 2, "the right side holds NaN or infinity");
  if (st == MARE_NOTFINITE) arg_error(c->L, 1, "%s holds NaN or infinity", which);
  if (st == MARE_DIVERGED) arg_error(c->L, 1, "%s: no convergence", which);
  check_status(c->L, c->S, st, 0);
}

/* copies the operands and runs; where memory is short once more after a collection */
static void compute(Call *c) {
  int64_t bad[2] = {0, 0};
  mare_Status st;
  bool again = false;
  do {
    for (int i = 0; i < 2; i++)
      if (c->in[i]) mare_copy(&c->in[i]->t, &c->from[i]);
    st = c->run(c->S->heap, c, bad);
    again = !again && relieve(c->L, c->S, st);
  } while (again);
  if (st != MARE_OK) refuse(c, st, bad);
}

static Call open_call(lua_State *L, int top) {
  lua_settop(L, top);
  return (Call){.L = L, .S = get_state(L),
                .singular = "%s is singular: pivot %I is 0"};
}

static Object *copy_of(Call *c, int i) {
  const mare_Tensor *t = &c->from[i];
  return c->in[i] = new_tensor(c->L, c->S, t->dtype, t->ndim, t->shape);
}

/* -- one matrix ---------------------------------------------------------------------- */

static mare_Status run_cholesky(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_cholesky(h, &c->in[0]->t, bad);
}

static int linalg_cholesky(lua_State *L) { /* cholesky(a) -> l */
  Call c = open_call(L, 1);
  c.run = run_cholesky;
  c.singular = "%s is not positive definite: its leading minor of order %I is not";
  check_matrix(&c, 1, true);
  copy_of(&c, 0);
  compute(&c);
  return 1;
}

static mare_Status run_inv(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_inverse(h, &c->in[0]->t, bad);
}

static int linalg_inv(lua_State *L) { /* inv(a) */
  Call c = open_call(L, 1);
  c.run = run_inv;
  check_matrix(&c, 1, true);
  copy_of(&c, 0);
  compute(&c);
  return 1;
}

static mare_Status run_det(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_det(h, &c->in[0]->t, &c->out[0]->t, bad);
}

/* det(a) (.., 1), or slogdet(a) (.., 2) */
static int determinant(lua_State *L, int64_t values) {
  Call c = open_call(L, 1);
  c.run = run_det;
  check_matrix(&c, 1, true);
  copy_of(&c, 0);
  c.out[0] = result(&c, 1, 0, values);
  compute(&c);
  close_tensor(c.in[0]);
  return 1;
}

static int linalg_det(lua_State *L) { return determinant(L, 1); }

static int linalg_slogdet(lua_State *L) { return determinant(L, 2); }

static mare_Status run_eigh(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_eigh(h, &c->in[0]->t, &c->out[0]->t, bad);
}

static mare_Status run_eigvalsh(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_eigvalsh(h, &c->in[0]->t, &c->out[0]->t, bad);
}

static int linalg_eigh(lua_State *L) { /* eigh(a) -> w, v */
  Call c = open_call(L, 1);
  c.run = run_eigh;
  check_matrix(&c, 1, true);
  c.out[0] = result(&c, 1, 0, columns(&c.from[0]));
  copy_of(&c, 0);
  compute(&c);
  return 2;
}

static int linalg_eigvalsh(lua_State *L) { /* eigvalsh(a) -> w */
  Call c = open_call(L, 1);
  c.run = run_eigvalsh;
  check_matrix(&c, 1, true);
  copy_of(&c, 0);
  c.out[0] = result(&c, 1, 0, columns(&c.from[0]));
  compute(&c);
  close_tensor(c.in[0]);
  return 1;
}

static mare_Status run_svd(mare_Heap *h, Call *c, int64_t bad[2]) {
  Object *const *o = c->out;
  return mare_svd(h, &c->in[0]->t, o[1] ? &o[0]->t : NULL, &o[o[1] ? 1 : 0]->t,
                  o[1] ? &o[2]->t : NULL, bad);
}

static mare_Status run_qr(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_qr(h, &c->in[0]->t, &c->out[0]->t, &c->out[1]->t, bad);
}

/* k is the smaller side */
static int64_t open_factors(Call *c) {
  check_matrix(c, 1, false);
  copy_of(c, 0);
  const mare_Tensor *a = &c->from[0];
  return rows(a) < columns(a) ? rows(a) : columns(a);
}

static int close_factors(Call *c, int results) {
  compute(c);
  close_tensor(c->in[0]);
  return results;
}

static int linalg_svd(lua_State *L) { /* svd(a) -> u, s, vh */
  Call c = open_call(L, 1);
  const int64_t k = open_factors(&c);
  c.run = run_svd;
  c.out[0] = result(&c, 2, rows(&c.from[0]), k);
  c.out[1] = result(&c, 1, 0, k);
  c.out[2] = result(&c, 2, k, columns(&c.from[0]));
  return close_factors(&c, 3);
}

static int linalg_svdvals(lua_State *L) { /* svdvals(a) -> s */
  Call c = open_call(L, 1);
  const int64_t k = open_factors(&c);
  c.run = run_svd;
  c.out[0] = result(&c, 1, 0, k);
  return close_factors(&c, 1);
}

static int linalg_qr(lua_State *L) { /* qr(a) -> q, r */
  Call c = open_call(L, 1);
  const int64_t k = open_factors(&c);
  c.run = run_qr;
  c.out[0] = result(&c, 2, rows(&c.from[0]), k);
  c.out[1] = result(&c, 2, k, columns(&c.from[0]));
  return close_factors(&c, 2);
}

/* -- a matrix and a right side ------------------------------------------------------ */

static mare_Status run_solve(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_solve(h, &c->in[0]->t, &c->in[1]->t, bad);
}

static int linalg_solve(lua_State *L) { /* solve(a, b) -> a^-1 b */
  Call c = open_call(L, 2);
  c.run = run_solve;
  check_matrix(&c, 1, true);
  const bool vector = check_right(&c);
  broadcast(&c);
  copy_of(&c, 0);
  Object *x = copy_of(&c, 1);
  compute(&c);
  close_tensor(c.in[0]);
  if (vector) mare_squeeze(&x->t, x->t.ndim - 1);
  return 1;
}

static mare_Status run_triangular(mare_Heap *h, Call *c, int64_t bad[2]) {
  mare_Tensor l = c->from[0];
  const bool upper = c->number != 0; /* it is the transpose of a lower one */
  if (upper) mare_transpose(&l, l.ndim - 2, l.ndim - 1);
  return mare_solve_triangular(h, upper, &l, &c->in[1]->t, bad);
}

/* solve_triangular(a, b [, upper]) -> a^-1 b; the other triangle of a is not read */
static int linalg_solve_triangular(lua_State *L) {
  Call c = open_call(L, 3);
  c.run = run_triangular;
  c.singular = "%s is singular: element %I of its diagonal is 0";
  check_matrix(&c, 1, true);
  const bool vector = check_right(&c);
  c.number = opt_boolean(L, 3, false);
  broadcast(&c);
  Object *x = copy_of(&c, 1);
  compute(&c);
  if (vector) mare_squeeze(&x->t, x->t.ndim - 1);
  return 1;
}

static mare_Status run_lstsq(mare_Heap *h, Call *c, int64_t bad[2]) {
  return mare_lstsq(h, &c->in[0]->t, &c->in[1]->t, c->number, &c->out[0]->t,
                    &c->out[1]->t, &c->out[2]->t, bad);
}

static int linalg_lstsq(lua_State *L) { /* lstsq(a, b, rcond) -> x, s, rank */
  Call c = open_call(L, 3);
  c.run = run_lstsq;
  check_matrix(&c, 1, false);
  const bool vector = check_right(&c);
  c.number = check_number(L, 3);
  broadcast(&c);
  const mare_Tensor *a = &c.from[0];
  const int64_t n = columns(a), k = rows(a) < n ? rows(a) : n;
  copy_of(&c, 0);
  copy_of(&c, 1);
  c.out[0] = result(&c, 2, n, columns(&c.from[1]));
  c.out[1] = result(&c, 1, 0, k);
  c.out[2] = new_tensor(L, c.S, MARE_I64, a->ndim - 2, a->shape);
  compute(&c);
  close_tensor(c.in[0]);
  close_tensor(c.in[1]);
  if (vector) mare_squeeze(&c.out[0]->t, c.out[0]->t.ndim - 1);
  return 3;
}

const Function linalg_functions[] = {
    {"cholesky", linalg_cholesky}, {"inv", linalg_inv},
    {"det", linalg_det},           {"slogdet", linalg_slogdet},
    {"eigh", linalg_eigh},         {"eigvalsh", linalg_eigvalsh},
    {"svd", linalg_svd},           {"svdvals", linalg_svdvals},
    {"qr", linalg_qr},             {"solve", linalg_solve},
    {"lstsq", linalg_lstsq},       {"solve_triangular", linalg_solve_triangular},
    {NULL, NULL}};
