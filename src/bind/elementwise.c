/*
** elementwise.c -- one caller for every row of ops.def: checks, broadcasts, runs
** the kernel, records.  A call makes a new tensor; x:name_() writes into x, and
** mare.out.name(y, ...) into y.
*/
#include <math.h>
#include <string.h>

#include "bind.h"

#define SMALL 2048 /* elements; below, flat operands go straight to the kernel */

typedef struct Call { /* a row's arguments, checked */
  const mare_Row *row;
  mare_Dtype dtype;                   /* of the operands */
  Object *operand[MARE_MAXARGS];      /* NULL: a number */
  double number[MARE_MAXARGS];        /* its bytes, in the type of its operand */
  double param[MARE_MAXPARAM];
  int ndim;
  int64_t shape[MARE_MAXDIM];         /* the broadcast shape */
  int64_t flat;                       /* elements of each operand, when all are tensors
                                         of this shape without gaps; otherwise -1 */
} Call;

/* -- arguments -------------------------------------------------------------------- */

static bool is_mask(const mare_Row *row, int i) { return row->arg[i][0] == 'm'; }

static const char *const kind_types[] = {"f32 or f64", "f32, f64 or i64", "any", "u8"};

static void check_kernel(lua_State *L, State *S, const Call *c, int arg) {
  if (mare_row_kernels(c->row)->forward[c->dtype] == NULL)
    arg_error(L, arg, "%s tensor expected, got %s; convert it with :to",
              kind_types[c->row->kind], type_of(L, S, arg));
}

/* the tensors among the arguments, and the type they share */
static int find_tensors(lua_State *L, State *S, Call *c, int first) {
  int lead = -1;
  for (int i = 0; i < c->row->nargs; i++) {
    Object *o = c->operand[i] = test_tensor(L, S, first + i);
    if (o == NULL && lua_type(L, first + i) != LUA_TNUMBER)
      arg_error(L, first + i, "tensor or number expected, got %s",
                type_of(L, S, first + i));
    if (o == NULL) continue;
    if (o->t.storage == NULL) arg_error(L, first + i, "the tensor is closed");
    if (is_mask(c->row, i)) {
      check_dtype(L, S, first + i, MARE_U8);
    } else if (lead < 0) {
      lead = i;
      c->dtype = o->t.dtype;
      check_kernel(L, S, c, first + i);
    } else {
      check_same_dtype(L, c->operand[lead], o, first + i);
    }
  }
  return lead;
}

static void store_number(lua_State *L, Call *c, int i, int arg) {
  double v = lua_tonumber(L, arg);
  mare_Dtype dt = is_mask(c->row, i) ? MARE_U8 : c->dtype;
  void *p = &c->number[i];
  if (dt == MARE_F64) *(double *)p = v;
  else if (dt == MARE_F32) *(float *)p = (float)v;
  else {
    int64_t n = check_integer(L, arg);
    if (dt == MARE_I64) *(int64_t *)p = n;
    else if (n >= 0 && n <= 255) *(uint8_t *)p = (uint8_t)n;
    else arg_error(L, arg, "%I does not fit into u8", (LUAI_UACINT)n);
  }
}

static void check_params(lua_State *L, Call *c, int first) {
  for (int k = 0; k < c->row->nparam; k++)
    c->param[k] = lua_isnoneornil(L, first + k) ? c->row->value[k]
                                                : check_number(L, first + k);
  if (lua_istable(L, first + c->row->nparam)) /* { out = y }, { alpha = 2 } */
    arg_error(L, first + c->row->nparam, "a table is not among the arguments");
}

static void widen(lua_State *L, Call *c, int seen, int i, int first) {
  const Object *o = c->operand[i];
  char buf[MARE_SHAPETEXT];
  if (!mare_broadcast(c->ndim, c->shape, o->t.ndim, o->t.shape, &c->ndim, c->shape))
    arg_error(L, first + i, "shapes %s and %s do not broadcast",
              shape_of(L, &c->operand[seen]->t),
              mare_shape_text(buf, o->t.ndim, o->t.shape));
}

/* the operands' common shape */
static void check_broadcast(lua_State *L, Call *c, int first) {
  int seen = -1;
  bool flat = true;
  for (int i = 0; i < c->row->nargs; i++) {
    const Object *o = c->operand[i];
    flat = flat && o && mare_is_contiguous(&o->t);
    if (o == NULL) continue;
    if (seen < 0) {
      c->ndim = o->t.ndim;
      memcpy(c->shape, o->t.shape, sizeof c->shape);
      c->flat = o->t.numel;
    } else if (!flat || !mare_same_shape(&c->operand[seen]->t, &o->t)) {
      flat = false;
      widen(L, c, seen, i, first);
    }
    seen = i;
  }
  if (!flat) c->flat = -1;
}

/* false when there is no tensor among them */
static bool check_call(lua_State *L, State *S, Call *c, int first) {
  int lead = find_tensors(L, S, c, first);
  bool masked = c->row->nargs > 0 && is_mask(c->row, 0) && c->operand[0];
  c->ndim = 0;
  c->flat = -1;
  if (lead < 0) {
    c->dtype = c->row->kind == MARE_LOGICAL ? MARE_U8 : masked ? MARE_F32 : MARE_F64;
  }
  for (int i = 0; i < c->row->nargs; i++)
    if (c->operand[i] == NULL) store_number(L, c, i, first + i);
  check_params(L, c, first + c->row->nargs);
  if (lead < 0 && !masked) return false;
  check_broadcast(L, c, first);
  return true;
}

static mare_Dtype result_type(const Call *c) {
  return c->row->kind == MARE_COMPARE || c->row->kind == MARE_LOGICAL ? MARE_U8
                                                                      : c->dtype;
}

/* -- running ------------------------------------------------------------------------ */

/* all operands flat, and y too: no walk over strides is needed */
static bool run_flat(mare_Kernel *k, mare_Runner *run, const Call *c, mare_Tensor *y) {
  void *p[MARE_MAXARGS + 1] = {y->data};
  if (y->numel != c->flat || y->numel > SMALL || !mare_is_contiguous(y)) return false;
  for (int i = 0; i < c->row->nargs; i++) p[i + 1] = c->operand[i]->t.data;
  run(k, (size_t)y->numel, 1 + c->row->nargs, p, c->param);
  return true;
}

static void expand_operand(const Call *c, int i, const mare_Tensor *y, mare_Tensor *v) {
  static const int64_t none[1];
  mare_Tensor number;
  if (c->operand[i]) {
    mare_expand(&c->operand[i]->t, y->ndim, y->shape, v);
    return;
  }
  mare_shape_set(&number, is_mask(c->row, i) ? MARE_U8 : c->dtype, 0, none);
  number.data = (char *)&c->number[i];
  mare_expand(&number, y->ndim, y->shape, v);
}

static void run_call(const Call *c, mare_Tensor *y) {
  mare_Kernel *k = mare_row_kernels(c->row)->forward[c->dtype];
  mare_Runner *run = mare_row_runner(c->row, c->dtype);
  mare_Tensor v[MARE_MAXARGS], out;
  mare_Tensor *op[MARE_MAXARGS + 1] = {&out};
  if (run_flat(k, run, c, y)) return;
  out = *y;
  for (int i = 0; i < c->row->nargs; i++) {
    expand_operand(c, i, y, &v[i]);
    op[i + 1] = &v[i];
  }
  mare_apply(k, run, c->param, 1 + c->row->nargs, op);
}

/* numbers in, number out: mare.sigmoid(0.5) */
static int run_numbers(lua_State *L, const Call *c) {
  double y = 0;
  void *p[MARE_MAXARGS + 1] = {&y};
  for (int i = 0; i < c->row->nargs; i++) p[i + 1] = (void *)&c->number[i];
  mare_row_runner(c->row, c->dtype)(mare_row_kernels(c->row)->forward[c->dtype], 1,
                                   1 + c->row->nargs, p, c->param);
  lua_pushnumber(L, result_type(c) == MARE_U8 ? *(uint8_t *)(void *)&y : y);
  return 1;
}

/* the tape keeps the parameters beside the operands */
static void settle_args(lua_State *L, const Call *c) {
  lua_settop(L, c->row->nargs + c->row->nparam);
  for (int k = 0; k < c->row->nparam; k++)
    if (lua_isnil(L, c->row->nargs + 1 + k)) {
      lua_pushnumber(L, c->param[k]);
      lua_replace(L, c->row->nargs + 1 + k);
    }
}

static int new_row(lua_State *L) {
  State *S = get_state(L);
  const Op *op = get_op(L);
  Call c;
  Object *y;
  c.row = op->row;
  if (!check_call(L, S, &c, 1)) return run_numbers(L, &c);
  settle_args(L, &c);
  y = new_result_of(L, S, op, c.row->nargs + c.row->nparam, c.row->nargs, c.operand,
                    NULL, result_type(&c), c.ndim, c.shape);
  run_call(&c, &y->t);
  return 1;
}

static int row_call(lua_State *L) { /* x:name(...) */
  void *outer = begin_call(L);
  return end_call(L, outer, new_row(L));
}

/* one open tensor and another of its shape and type? */
static bool alike(const Object *a, const Object *b) {
  return a && b && a->t.storage && b->t.storage && a->t.dtype == b->t.dtype &&
         mare_same_shape(&a->t, &b->t);
}

/* loss(x, t): the mean of the row; nothing when x and t are not alike */
static int row_loss(lua_State *L) {
  State *S = get_state(L);
  void *outer = begin_call(L);
  if (!alike(test_tensor(L, S, 1), test_tensor(L, S, 2))) return end_call(L, outer, 0);
  lua_settop(L, 2);
  new_row(L);
  lua_replace(L, 1);
  return end_call(L, outer, push_mean(L));
}

/* -- into a given tensor ------------------------------------------------------------- */

/* operands that share memory with y in another arrangement are copied first */
static void part_overlaps(lua_State *L, State *S, Call *c, const Object *y) {
  for (int i = 0; i < c->row->nargs; i++) {
    Object *o = c->operand[i], *copy;
    if (o == NULL || o->t.storage != y->t.storage || mare_same_view(&o->t, &y->t))
      continue;
    copy = new_like(L, S, &o->t);
    mare_copy(&copy->t, &o->t);
    c->operand[i] = copy;
  }
}

static void check_result(lua_State *L, const Call *c, const Object *y) {
  char buf[MARE_SHAPETEXT];
  int64_t shape[MARE_MAXDIM];
  int n;
  if (y->t.dtype != result_type(c))
    arg_error(L, 1, "a %s result does not go into a %s tensor",
              mare_dtype_name[result_type(c)], mare_dtype_name[y->t.dtype]);
  if (!mare_broadcast(c->ndim, c->shape, y->t.ndim, y->t.shape, &n, shape) ||
      n != y->t.ndim || memcmp(shape, y->t.shape, sizeof *shape * (size_t)n) != 0)
    arg_error(L, 1, "a result of shape %s does not go into shape %s",
              mare_shape_text(buf, c->ndim, c->shape), shape_of(L, &y->t));
}

static int run_into(lua_State *L, int first) {
  State *S = get_state(L);
  Call c;
  Object *y = check_tensor(L, S, 1);
  c.row = get_op(L)->row;
  if (!check_call(L, S, &c, first)) {
    c.ndim = 0;
    if (y->t.dtype != result_type(&c)) arg_error(L, first, "tensor expected, got number");
  }
  for (int i = 0; i < c.row->nargs; i++)
    if (c.operand[i] && wants_grad(S, c.operand[i]) && c.operand[i] != y)
      arg_error(L, first + i,
                "a write in place is not recorded; use '%s' without out or _,"
                " or mare.no_grad",
                c.row->name);
  check_writable(L, S, y, 1);
  check_result(L, &c, y);
  part_overlaps(L, S, &c, y);
  run_call(&c, &y->t);
  written(y);
  lua_pushvalue(L, 1);
  return 1;
}

static int row_inplace(lua_State *L) { /* x:name_(...) */
  void *outer = begin_call(L);
  return end_call(L, outer, run_into(L, 1));
}

static int row_into(lua_State *L) { /* mare.out.name(y, ...) */
  void *outer = begin_call(L);
  return end_call(L, outer, run_into(L, 2));
}

/* -- the rows as Lua sees them ------------------------------------------------------- */

static bool is_word(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

/* does the formula read this name? */
static bool mentions(const char *text, const char *name) {
  size_t n = strlen(name);
  for (const char *p = text; (p = strstr(p, name)) != NULL; p += n)
    if ((p == text || !is_word(p[-1])) && !is_word(p[n])) return true;
  return false;
}

/* what the derivative to argument d reads */
static uint32_t needs_of(const mare_Row *row, int d) {
  uint32_t needs = 0;
  if (row->derivative[d] == NULL) return 0;
  if (strcmp(row->derivative[d], "1") == 0) return NEEDS_NOTHING;
  if (mentions(row->derivative[d], "y")) needs |= NEEDS_Y;
  for (int i = 0; i < row->nargs; i++)
    if (mentions(row->derivative[d], row->arg[i])) needs |= NEEDS(i);
  return needs;
}

void open_rows(lua_State *L, State *S) { /* the State is on the top of the stack */
  size_t n = (size_t)mare_nrows;
  S->add = mare_row_find("add");
  S->mul = mare_row_find("mul");
  S->rowop = lua_newuserdatauv(L, n * (sizeof *S->rowop + sizeof *S->rowneeds), 0);
  S->rowneeds = (void *)(S->rowop + n);
  lua_setiuservalue(L, -2, STATE_ROWS);
  for (size_t i = 0; i < n; i++) {
    const mare_Row *row = &mare_rows[i];
    S->rowop[i] = (Op){row->name, row_call, NULL, 0, row};
    for (int d = 0; d < row->nargs; d++) S->rowneeds[i][d] = needs_of(row, d);
  }
}

static void push_strings(lua_State *L, int n, const char *const *s) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushstring(L, s[i]);
    if (s[i] == NULL) {
      lua_pop(L, 1);
      lua_pushboolean(L, false);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void push_closure(lua_State *L, State *S, int i, lua_CFunction f,
                         const char *key) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushlightuserdata(L, &S->rowop[i]);
  lua_pushcclosure(L, f, 2); /* guarded by themselves */
  lua_setfield(L, -2, key);
}

static void push_row(lua_State *L, State *S, int i) {
  static const char *const kinds[] = {"real", "arith", "compare", "logical"};
  const mare_Row *row = &mare_rows[i];
  lua_createtable(L, 0, 16);
  set_string(L, "name", row->name);
  set_string(L, "kind", kinds[row->kind]);
  set_string(L, "formula", row->formula);
  set_string(L, "kinks", row->kinks);
  set_string(L, "doc", row->doc);
  lua_pushnumber(L, row->lo);
  lua_setfield(L, -2, "lo");
  lua_pushnumber(L, row->hi);
  lua_setfield(L, -2, "hi");
  push_strings(L, row->nargs, row->arg);
  lua_setfield(L, -2, "args");
  push_strings(L, row->nargs, row->derivative);
  lua_setfield(L, -2, "derivatives");
  push_strings(L, row->nparam, row->param);
  lua_setfield(L, -2, "params");
  lua_createtable(L, row->nparam, 0);
  for (int k = 0; k < row->nparam; k++) {
    lua_pushnumber(L, row->value[k]);
    lua_rawseti(L, -2, k + 1);
  }
  lua_setfield(L, -2, "defaults");
  lua_pushlightuserdata(L, &S->rowop[i]);
  lua_setfield(L, -2, "op");
  push_closure(L, S, i, row_call, "call");
  push_closure(L, S, i, row_loss, "loss");
  push_closure(L, S, i, row_inplace, "inplace");
  push_closure(L, S, i, row_into, "into");
}

static int core_rows(lua_State *L) { /* rows() -> the rows of ops.def as tables */
  State *S = get_state(L);
  lua_createtable(L, mare_nrows, 0);
  for (int i = 0; i < mare_nrows; i++) {
    push_row(L, S, i);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int core_isa(lua_State *L) { /* isa() -> name; isa(name): tests choose one */
  if (!lua_isnoneornil(L, 1) && !mare_set_isa(luaL_checkstring(L, 1)))
    return arg_error(L, 1, "this machine has no %s", lua_tostring(L, 1));
  lua_pushstring(L, mare_isa());
  return 1;
}

const Function elementwise_functions[] = {
    {"rows", core_rows}, {"isa", core_isa}, {NULL, NULL}};
