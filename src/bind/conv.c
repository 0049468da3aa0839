/*
** conv.c -- convolutions for Lua: shapes checked against each other, results pushed.
** The rows of lua/mare/ops_conv.lua make them differentiable.  A geometry is seven
** numbers: stride, padding and dilation, down and across, and the groups.
*/
#include "../ops/conv.h"

#include "bind.h"

#define MOST 32767 /* of a kernel's side, a stride ...: no product of sizes overflows */

static int64_t number_at(lua_State *L, int arg, int64_t lo, int64_t hi) {
  int64_t n = check_integer(L, arg);
  if (n < lo || n > hi)
    arg_error(L, arg, "%I is outside %I to %I", (LUAI_UACINT)n, (LUAI_UACINT)lo,
              (LUAI_UACINT)hi);
  return n;
}

static int64_t size_at(lua_State *L, int arg, int64_t lo) {
  return number_at(L, arg, lo, MOST);
}

static int64_t side_at(lua_State *L, int arg) { /* of a plane */
  return number_at(L, arg, 1, INT32_MAX);
}

static void read_geometry(lua_State *L, int arg, mare_Conv *g) {
  g->sh = size_at(L, arg, 1), g->sw = size_at(L, arg + 1, 1);
  g->ph = size_at(L, arg + 2, 0), g->pw = size_at(L, arg + 3, 0);
  g->dh = size_at(L, arg + 4, 1), g->dw = size_at(L, arg + 5, 1);
  g->groups = size_at(L, arg + 6, 1);
}

/* (a, b, c, d), contiguous */
static const mare_Tensor *planes(lua_State *L, State *S, int arg) {
  const mare_Tensor *t = &check_real(L, S, arg)->t;
  if (t->ndim != 4 || !mare_is_contiguous(t))
    arg_error(L, arg, "contiguous tensor of 4 dimensions expected, got shape %s",
              shape_of(L, t));
  return t;
}

static void take_x(mare_Conv *g, const mare_Tensor *x) {
  g->n = x->shape[0], g->c = x->shape[1], g->h = x->shape[2], g->w = x->shape[3];
}

static void take_w(lua_State *L, int arg, mare_Conv *g, const mare_Tensor *w) {
  g->o = w->shape[0], g->kh = w->shape[2], g->kw = w->shape[3];
  if (g->c % g->groups || g->o % g->groups || w->shape[1] != g->c / g->groups)
    arg_error(L, arg, "weight %s does not fit %I channels in %I groups", shape_of(L, w),
              (LUAI_UACINT)g->c, (LUAI_UACINT)g->groups);
}

/* Do the columns of a few samples have more bytes than can be counted? */
static bool too_many(const mare_Conv *g) {
  const int64_t factors[] = {g->c, g->kh, g->kw, g->oh, g->ow};
  int64_t bytes = 256; /* 32 samples of f64 at a time */
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
    if (factors[i] > 0 && __builtin_mul_overflow(bytes, factors[i], &bytes)) return true;
  return false;
}

static void fit(lua_State *L, mare_Conv *g) {
  if (g->kh < 1 || g->kw < 1 || g->kh > MOST || g->kw > MOST || !mare_conv_fit(g))
    user_error(L, "a kernel of %Ix%I does not fit into planes of %Ix%I, padding %Ix%I",
               (LUAI_UACINT)g->kh, (LUAI_UACINT)g->kw, (LUAI_UACINT)g->h,
               (LUAI_UACINT)g->w, (LUAI_UACINT)g->ph, (LUAI_UACINT)g->pw);
  if (too_many(g)) user_error(L, "the patches do not fit into memory");
}

static void check_y(lua_State *L, const mare_Conv *g, const mare_Tensor *y) {
  if (y->shape[0] != g->n || y->shape[1] != g->o || y->shape[2] != g->oh ||
      y->shape[3] != g->ow)
    arg_error(L, 1, "shape %s where %Ix%Ix%Ix%I is expected", shape_of(L, y),
              (LUAI_UACINT)g->n, (LUAI_UACINT)g->o, (LUAI_UACINT)g->oh,
              (LUAI_UACINT)g->ow);
}

/* false: it is worth another try, once */
static bool finish(lua_State *L, State *S, mare_Status st, bool *tried) {
  const bool again = !*tried && relieve(L, S, st);
  *tried = true;
  if (!again) check_status(L, S, st, 0);
  return !again;
}

static int conv_forward(lua_State *L) { /* (x, w, bias or nil, geometry) -> y */
  State *S = get_state(L);
  mare_Conv g;
  const mare_Tensor *x = planes(L, S, 1), *w = planes(L, S, 2), *bias = NULL;
  check_same_dtype(L, check_tensor(L, S, 1), check_tensor(L, S, 2), 2);
  read_geometry(L, 4, &g);
  take_x(&g, x);
  take_w(L, 2, &g, w);
  fit(L, &g);
  if (!lua_isnil(L, 3)) {
    bias = &check_dtype(L, S, 3, x->dtype)->t;
    if (bias->ndim != 1 || bias->numel != g.o || !mare_is_contiguous(bias))
      arg_error(L, 3, "bias (%I) expected, got shape %s", (LUAI_UACINT)g.o,
                shape_of(L, bias));
  }
  Object *y = new_tensor(L, S, x->dtype, 4, (int64_t[]){g.n, g.o, g.oh, g.ow});
  bool done = y->t.numel == 0, tried = false;
  while (!done) done = finish(L, S, mare_conv(S->heap, &g, x, w, bias, &y->t), &tried);
  return 1;
}

static int conv_input(lua_State *L) { /* (gy, w, h, w, geometry) -> gx */
  State *S = get_state(L);
  mare_Conv g;
  const mare_Tensor *gy = planes(L, S, 1), *w = planes(L, S, 2);
  check_same_dtype(L, check_tensor(L, S, 1), check_tensor(L, S, 2), 2);
  read_geometry(L, 5, &g);
  if (w->shape[1] > INT32_MAX)
    arg_error(L, 2, "weight %s has too many channels", shape_of(L, w));
  g.n = gy->shape[0], g.c = w->shape[1] * g.groups;
  g.h = side_at(L, 3), g.w = side_at(L, 4);
  take_w(L, 2, &g, w);
  fit(L, &g);
  check_y(L, &g, gy);
  Object *gx = new_tensor(L, S, gy->dtype, 4, (int64_t[]){g.n, g.c, g.h, g.w});
  bool done = gx->t.numel == 0, tried = false;
  while (!done) done = finish(L, S, mare_conv_input(S->heap, &g, gy, w, &gx->t), &tried);
  return 1;
}

static int conv_weight(lua_State *L) { /* (gy, x, kh, kw, geometry) -> gw */
  State *S = get_state(L);
  mare_Conv g;
  const mare_Tensor *gy = planes(L, S, 1), *x = planes(L, S, 2);
  check_same_dtype(L, check_tensor(L, S, 1), check_tensor(L, S, 2), 2);
  read_geometry(L, 5, &g);
  take_x(&g, x);
  g.o = gy->shape[1], g.kh = size_at(L, 3, 1), g.kw = size_at(L, 4, 1);
  if (g.c % g.groups || g.o % g.groups)
    arg_error(L, 2, "%I and %I channels in %I groups", (LUAI_UACINT)g.c,
              (LUAI_UACINT)g.o, (LUAI_UACINT)g.groups);
  fit(L, &g);
  check_y(L, &g, gy);
  int64_t shape[] = {g.o, g.c / g.groups, g.kh, g.kw};
  Object *gw = new_tensor(L, S, x->dtype, 4, shape);
  bool done = false, tried = false;
  while (!done) done = finish(L, S, mare_conv_weight(S->heap, &g, gy, x, &gw->t), &tried);
  return 1;
}

/* the kernel's sizes at arg, then a geometry without groups */
static void read_patches(lua_State *L, int arg, mare_Conv *g) {
  g->kh = size_at(L, arg, 1), g->kw = size_at(L, arg + 1, 1);
  read_geometry(L, arg + 2, g);
  fit(L, g);
}

static int patches_unfold(lua_State *L) { /* (x, kh, kw, geometry) -> (n, c kh kw, l) */
  State *S = get_state(L);
  mare_Conv g;
  const mare_Tensor *x = planes(L, S, 1);
  take_x(&g, x);
  read_patches(L, 2, &g);
  int64_t shape[] = {g.n, g.c * g.kh * g.kw, g.oh * g.ow};
  mare_unfold(&g, x, &new_tensor(L, S, x->dtype, 3, shape)->t);
  return 1;
}

static int patches_fold(lua_State *L) { /* (y, h, w, kh, kw, geometry) -> x */
  State *S = get_state(L);
  mare_Conv g;
  const mare_Tensor *y = &check_real(L, S, 1)->t;
  g.c = 1; /* until the window is known */
  g.h = side_at(L, 2), g.w = side_at(L, 3);
  read_patches(L, 4, &g);
  if (y->ndim != 3 || !mare_is_contiguous(y) || y->shape[1] % (g.kh * g.kw) != 0 ||
      y->shape[2] != g.oh * g.ow)
    return arg_error(L, 1, "(n, c %I, %I) contiguous expected, got shape %s",
                     (LUAI_UACINT)(g.kh * g.kw), (LUAI_UACINT)(g.oh * g.ow),
                     shape_of(L, y));
  g.n = y->shape[0], g.c = y->shape[1] / (g.kh * g.kw);
  Object *x = new_tensor(L, S, y->dtype, 4, (int64_t[]){g.n, g.c, g.h, g.w});
  mare_fold(&g, y, &x->t);
  return 1;
}

static int pool_index(lua_State *L) { /* (x, kh, kw, geometry) -> i64 (n, c, oh, ow) */
  State *S = get_state(L);
  mare_Conv g;
  const mare_Tensor *x = planes(L, S, 1);
  take_x(&g, x);
  read_patches(L, 2, &g);
  if (g.ph >= g.kh || g.pw >= g.kw)
    return user_error(L, "padding %Ix%I is no smaller than the window %Ix%I",
                      (LUAI_UACINT)g.ph, (LUAI_UACINT)g.pw, (LUAI_UACINT)g.kh,
                      (LUAI_UACINT)g.kw);
  Object *y = new_tensor(L, S, MARE_I64, 4, (int64_t[]){g.n, g.c, g.oh, g.ow});
  mare_pool_index(&g, x, &y->t);
  return 1;
}

const Function conv_functions[] = {
    {"conv2d", conv_forward},         {"conv2d_input", conv_input},
    {"conv2d_weight", conv_weight},   {"unfold", patches_unfold},
    {"fold", patches_fold},           {"pool_index", pool_index}, {NULL, NULL}};
