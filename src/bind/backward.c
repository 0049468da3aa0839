/*
** backward.c -- reverse accumulation: walks from a result to the leaves, calling
** the fused backward of each operation, or its row in Lua where there is none.
*/
#include <string.h>

#include "bind.h"

typedef struct Slot { /* one visited tensor */
  Object *object;
  Walk *outer;        /* a walk further out that is visiting it too ... */
  int outer_slot;
  int parent, cursor; /* the search: where it came from, next argument to look at */
  int after;          /* the order of the backward pass: results before arguments */
  bool wanted;        /* somebody asked for this gradient */
  mare_Tensor grad;   /* sum so far; storage NULL: none yet */
} Slot;

#define MAXTEMP 16
#define KEPT 256 /* slots that an idle walk may keep */

/*
** A userdata, closed on any exit.  A state keeps one and uses it again: making
** one costs more than a small backward pass.  Its user value is the root, from which
** user values lead to all that it visits: nothing of that goes before it is closed.
*/
struct Walk {
  State *state;
  Slot *slot;
  int nslot, capacity, first;
  bool busy, finished, retain, in_lua;
  int ntemp;
  mare_Tensor temp[MAXTEMP]; /* what the running fused backward has allocated */
};

/* -- the walk's memory --------------------------------------------------------------- */

static void release_temps(Walk *w) {
  for (int i = 0; i < w->ntemp; i++) mare_tensor_release(&w->temp[i]);
  w->ntemp = 0;
}

static void leave_object(Walk *w, Slot *s) {
  Object *o = s->object;
  mare_tensor_release(&s->grad);
  if (o == NULL) return;
  o->walk = s->outer;
  o->slot = s->outer_slot;
  if (w->finished && !w->retain && o->node) {
    o->node = NULL;
    o->consumed = true;
  }
}

/*
** o goes while walks still know it: they are done, but there was no memory left to
** call what closes them.
*/
void forget_object(Object *o) {
  int i = o->slot;
  for (Walk *w = o->walk; w;) {
    Slot *s = &w->slot[i];
    s->object = NULL;
    w = s->outer;
    i = s->outer_slot;
  }
  o->walk = NULL;
}

static void free_slots(Walk *w) {
  mare_scratch_free(w->state->heap, w->slot);
  w->slot = NULL;
  w->capacity = 0;
}

/* cleared: what the result kept alive goes, but not under a walk further out */
static void drop_arguments(lua_State *L, const Walk *w) {
  const Slot *root = &w->slot[0];
  const Node *n = root->object ? root->object->node : NULL;
  if (n == NULL || root->outer) return;
  lua_getiuservalue(L, 1, 1);
  for (int i = 0; i < n->nargs; i++) {
    if (n->arg[i].slot == 0) continue;
    lua_pushnil(L);
    lua_setiuservalue(L, -2, n->arg[i].slot);
  }
}

static int walk_close(lua_State *L) { /* __close */
  Walk *w = lua_touserdata(L, 1);
  release_temps(w);
  if (w->nslot && w->finished && !w->retain) drop_arguments(L, w);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  for (int i = 0; i < w->nslot; i++) leave_object(w, &w->slot[i]);
  w->nslot = 0;
  if (w != w->state->walk || w->capacity > KEPT) free_slots(w);
  w->busy = false;
  return 0;
}

static int walk_gc(lua_State *L) { /* __gc */
  Walk *w = lua_touserdata(L, 1);
  walk_close(L);
  free_slots(w);
  return 0;
}

static void push_walk_metatable(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, (void *)walk_close) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, walk_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, walk_close);
  lua_setfield(L, -2, "__close");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, (void *)walk_close);
}

static Walk *push_fresh_walk(lua_State *L, State *S) {
  Walk *w = lua_newuserdatauv(L, sizeof *w, 1);
  memset(w, 0, offsetof(Walk, temp));
  w->state = S;
  push_walk_metatable(L);
  lua_setmetatable(L, -2);
  if (S->walk) return w;
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, lua_upvalueindex(1), STATE_WALK);
  S->walk = w;
  return w;
}

static Walk *push_walk(lua_State *L, State *S) { /* from the tensor at index 1 */
  Walk *w = S->walk;
  if (w && !w->busy) lua_getiuservalue(L, lua_upvalueindex(1), STATE_WALK);
  else w = push_fresh_walk(L, S);
  w->first = -1;
  w->finished = w->retain = w->in_lua = false;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_toclose(L, -1);
  w->busy = true;
  return w;
}

static void grow(lua_State *L, State *S, Walk *w) {
  int capacity = w->capacity ? 2 * w->capacity : 32;
  size_t nbytes = (size_t)capacity * sizeof(Slot);
  Slot *slot = mare_scratch(S->heap, nbytes);
  if (slot == NULL) check_status(L, S, MARE_NOMEM, nbytes);
  if (w->nslot) memcpy(slot, w->slot, (size_t)w->nslot * sizeof(Slot));
  mare_scratch_free(S->heap, w->slot);
  w->slot = slot;
  w->capacity = capacity;
}

mare_Tensor *back_tensor(Back *b, mare_Dtype dt, int ndim, const int64_t *shape) {
  Walk *w = b->walk;
  mare_Tensor *t = &w->temp[w->ntemp];
  size_t nbytes;
  if (w->ntemp == MAXTEMP) luaL_error(b->L, "backward of '%s' needs too many tensors",
                                      b->node->op->name);
  if (!mare_shape_set(t, dt, ndim, shape)) luaL_error(b->L, "gradient too large");
  nbytes = (size_t)t->numel * mare_sizeof[dt];
  make_room(b->L, b->S, nbytes);
  if (mare_tensor_alloc(b->S->heap, t) != MARE_OK) {
    mare_heap_trim(b->S->heap);
    lua_gc(b->L, LUA_GCCOLLECT);
    mare_Status st = mare_tensor_alloc(b->S->heap, t);
    if (st != MARE_OK) t->storage = NULL;
    check_status(b->L, b->S, st, nbytes);
  }
  watch_hook(b->L);
  w->ntemp++;
  return t;
}

static const mare_Tensor *back_copy(Back *b, const mare_Tensor *t) {
  mare_Tensor *copy = back_tensor(b, t->dtype, t->ndim, t->shape);
  mare_copy(copy, t);
  return copy;
}

const mare_Tensor *back_contiguous(Back *b, const mare_Tensor *t) {
  return mare_is_contiguous(t) ? t : back_copy(b, t);
}

void back_scale(Back *b, const mare_Tensor *g, double k, mare_Tensor *y) {
  static const int64_t none[1];
  if (y->numel == 1) { /* what a mean is mostly given */
    if (y->dtype == MARE_F32) *(float *)y->data = (float)k * *(float *)g->data;
    else *(double *)y->data = k * *(double *)g->data;
    return;
  }
  double value = k;
  float narrow = (float)k;
  mare_Tensor number, v, x = *g;
  mare_Tensor *op[3] = {y, &x, &v};
  mare_shape_set(&number, g->dtype, 0, none);
  number.data = g->dtype == MARE_F32 ? (char *)&narrow : (char *)&value;
  mare_expand(&number, y->ndim, y->shape, &v);
  mare_apply(mare_row_kernels(b->S->mul)->forward[y->dtype], mare_run_any, NULL, 3, op);
}

/* -- the order of the pass ----------------------------------------------------------- */

static void check_whole(lua_State *L, const Object *o) {
  if (o->node == NULL && o->consumed)
    user_error(L, "backward through a result that an earlier backward has cleared;"
                  " call that one with {retain = true}");
}

static int visit(lua_State *L, State *S, Walk *w, Object *o, int parent) {
  Slot *s;
  check_whole(L, o);
  if (w->nslot == w->capacity) grow(L, S, w);
  s = &w->slot[w->nslot];
  s->object = o;
  s->outer = o->walk;
  s->outer_slot = o->slot;
  s->parent = parent;
  s->cursor = 0;
  s->wanted = false;
  s->grad.storage = NULL;
  o->walk = w;
  o->slot = w->nslot;
  if (o->node ? !o->node->op->vjp && !o->node->op->row : o->hooked) w->in_lua = true;
  return w->nslot++;
}

/* depth first, the stack threaded through the slots: any depth */
static void order(lua_State *L, State *S, Walk *w, Object *root) {
  int at = visit(L, S, w, root, -1);
  while (at >= 0) {
    Slot *s = &w->slot[at];
    const Node *n = s->object->node;
    if (n && s->cursor < n->nargs) {
      Object *a = n->arg[s->cursor++].object;
      if (a && a->requires_grad && a->walk != w) at = visit(L, S, w, a, at);
    } else {
      s->after = w->first;
      w->first = at;
      at = s->parent;
    }
  }
}

/* -- sums of gradients --------------------------------------------------------------- */

static void add_tensors(const State *S, mare_Tensor *y, const mare_Tensor *a,
                        const mare_Tensor *b) {
  mare_Tensor x = *a, z = *b;
  mare_Tensor *op[3] = {y, &x, &z};
  mare_apply(mare_row_kernels(S->add)->forward[y->dtype], mare_run_any, NULL, 3, op);
}

static bool own(const mare_Tensor *t) { /* nobody else sees this memory */
  return t->storage->refcount == 1 && mare_is_contiguous(t);
}

/* adds c to what the argument has got so far */
static void accumulate(Back *b, Slot *s, const mare_Tensor *c) {
  if (s->grad.storage == NULL) {
    if (c->storage->heap == NULL) c = back_copy(b, c); /* it goes with its userdata */
    s->grad = *c;
    mare_storage_retain(c->storage);
  } else if (own(&s->grad)) {
    add_tensors(b->S, &s->grad, &s->grad, c);
  } else {
    mare_Tensor *sum = back_tensor(b, c->dtype, c->ndim, c->shape);
    add_tensors(b->S, sum, &s->grad, c);
    mare_tensor_release(&s->grad);
    s->grad = *sum;
    mare_storage_retain(sum->storage);
  }
}

/* into x.grad: takes the memory when nobody else has it */
static void accumulate_leaf(Back *b, Slot *s) {
  Object *o = s->object;
  mare_Tensor old = s->grad;
  if (o->grad) {
    mare_shape_set(&old, o->t.dtype, o->t.ndim, o->t.shape);
    old.storage = o->grad;
    old.data = o->grad->data;
    add_tensors(b->S, &old, &old, &s->grad);
    o->grad->version++;
  } else if (own(&s->grad) && s->grad.data == s->grad.storage->data) {
    o->grad = s->grad.storage;
    s->grad.storage = NULL;
  } else {
    mare_Tensor *copy = back_tensor(b, old.dtype, old.ndim, old.shape);
    mare_copy(copy, &s->grad);
    o->grad = mare_storage_retain(copy->storage);
    release_temps(b->walk);
  }
}

#define FEW 256

/* y (k) = the sums of the columns of g (n, k), when they are few and contiguous */
static bool sum_few(const mare_Tensor *g, unsigned axes, mare_Tensor *y) {
  if (g->ndim != 2 || axes != 1 || g->numel > FEW || !mare_is_contiguous(g)) return false;
  for (int64_t j = 0; j < y->numel; j++) {
    double sum = 0;
    for (int64_t i = j; i < g->numel; i += y->numel)
      sum += g->dtype == MARE_F32 ? ((float *)g->data)[i] : ((double *)g->data)[i];
    if (y->dtype == MARE_F32) ((float *)y->data)[j] = (float)sum;
    else ((double *)y->data)[j] = sum;
  }
  return true;
}

/* undoes broadcasting */
void back_reduce_to(Back *b, const mare_Tensor *g, int ndim, const int64_t *shape,
                    mare_Tensor *gx) {
  unsigned axes = 0;
  int extra = g->ndim - ndim;
  int64_t kept[MARE_MAXDIM];
  if (extra == 0 && memcmp(shape, g->shape, (size_t)ndim * sizeof *shape) == 0) {
    *gx = *g;
    return;
  }
  for (int d = 0; d < g->ndim; d++) {
    bool summed = d < extra || (shape[d - extra] == 1 && g->shape[d] != 1);
    if (summed) axes |= 1u << d;
    kept[d] = summed ? 1 : g->shape[d];
  }
  *gx = *g;
  if (axes) {
    mare_Tensor *sum = back_tensor(b, g->dtype, g->ndim, kept);
    mare_Status st = MARE_OK;
    if (!sum_few(g, axes, sum)) st = mare_reduce(b->S->heap, MARE_SUM, axes, 0, g, sum);
    if (relieve(b->L, b->S, st)) st = mare_reduce(b->S->heap, MARE_SUM, axes, 0, g, sum);
    check_status(b->L, b->S, st, 0);
    *gx = *sum;
  }
  while (gx->ndim > ndim) mare_squeeze(gx, 0);
}

/* -- element-wise operations: the row's kernels -------------------------------------- */

/* argument k as an operand of y's shape; a number stands in buf */
static void operand(const mare_Row *row, int k, const mare_Tensor *y, const Arg *a,
                    double *buf, mare_Tensor *v) {
  static const int64_t none[1];
  mare_Tensor number;
  if (a->object) {
    mare_expand(&a->object->t, y->ndim, y->shape, v);
    return;
  }
  mare_Dtype dt = row->arg[k][0] == 'm' /* mask */ ? MARE_U8 : y->dtype;
  mare_shape_set(&number, dt, 0, none);
  number.data = (char *)buf;
  if (dt == MARE_F64) *buf = a->number;
  else if (dt == MARE_F32) *(float *)buf = (float)a->number;
  else *(uint8_t *)buf = (uint8_t)a->number;
  mare_expand(&number, y->ndim, y->shape, v);
}

/* gradients of later arguments still need g */
static bool last_wanted(const Node *n, int i) {
  for (int j = i + 1; j < n->nargs; j++)
    if (n->arg[j].object && n->arg[j].object->requires_grad) return false;
  return true;
}

static mare_Tensor *place_for(Back *b, int i, const Slot *s) {
  const mare_Tensor *y = &b->y->t;
  if (!s->wanted && own(b->g) && last_wanted(b->node, i)) return (mare_Tensor *)b->g;
  return back_tensor(b, y->dtype, y->ndim, y->shape);
}

#define SMALL 2048 /* elements; below, flat operands go straight to the kernel */

/* the elements of t, one for each of g's in the same order; or NULL */
static char *flat(const mare_Tensor *t, const mare_Tensor *g) {
  return t->numel == g->numel && mare_is_contiguous(t) ? t->data : NULL;
}

/* the same as row_derivative, when no walk over strides is needed */
static bool derive_flat(const Object *o, int i, uint32_t needs, const mare_Tensor *g,
                        mare_Tensor *out, const double *param) {
  const mare_Row *row = o->node->op->row;
  void *p[MARE_MAXARGS + 3] = {out->data, g->data, g->data};
  if (g->numel > SMALL || !flat(g, g) || !flat(out, g)) return false;
  if (needs & NEEDS_Y && (p[2] = flat(&o->t, g)) == NULL) return false;
  for (int k = 0; k < row->nargs; k++) {
    const Object *x = o->node->arg[k].object;
    p[3 + k] = g->data;
    if (needs & NEEDS(k) && (x == NULL || (p[3 + k] = flat(&x->t, g)) == NULL))
      return false;
  }
  mare_row_runner(row, g->dtype)(mare_row_kernels(row)->backward[i][g->dtype],
                                 (size_t)g->numel, 3 + row->nargs, p, param);
  return true;
}

/* what the derivative does not read may be closed by now: g stands for it */
void row_derivative(State *S, const Object *o, int i, const mare_Tensor *given,
                    mare_Tensor *out) {
  const Op *rowop = o->node->op;
  const mare_Row *row = rowop->row;
  const Arg *arg = o->node->arg;
  uint32_t needs = S->rowneeds[rowop - S->rowop][i];
  mare_Tensor v[MARE_MAXARGS], y = *given, g = *given;
  mare_Tensor *op[MARE_MAXARGS + 3] = {out, &g, &y};
  double buf[MARE_MAXARGS], param[MARE_MAXPARAM];
  for (int k = 0; k < row->nparam; k++) param[k] = arg[row->nargs + k].number;
  if (derive_flat(o, i, needs, given, out, param)) return;
  if (needs & NEEDS_Y) mare_expand(&o->t, g.ndim, g.shape, &y);
  for (int k = 0; k < row->nargs; k++) {
    if (needs & NEEDS(k)) operand(row, k, &g, &arg[k], &buf[k], &v[k]);
    else v[k] = g;
    op[3 + k] = &v[k];
  }
  mare_apply(mare_row_kernels(row)->backward[i][g.dtype], mare_row_runner(row, g.dtype),
             param, 3 + row->nargs, op);
}

static void row_backward(Back *b, int i, const Slot *s, mare_Tensor *gx) {
  const mare_Tensor *x = &b->node->arg[i].object->t;
  const State *S = b->S;
  mare_Tensor *out;
  if (S->rowneeds[b->node->op - S->rowop][i] & NEEDS_NOTHING) {
    back_reduce_to(b, b->g, x->ndim, x->shape, gx);
    return;
  }
  out = place_for(b, i, s);
  row_derivative(b->S, b->y, i, b->g, out);
  back_reduce_to(b, out, x->ndim, x->shape, gx);
}

/* -- operations whose backward is in Lua --------------------------------------------- */

/* pushes a table: light userdata of each visited tensor -> the tensor */
static int push_anchors(lua_State *L, Walk *w, int root) {
  int map, top = lua_gettop(L) + 1;
  lua_createtable(L, 0, w->nslot);
  map = top;
  lua_pushvalue(L, root);
  lua_rawsetp(L, map, lua_touserdata(L, root));
  for (int at = w->first; at >= 0; at = w->slot[at].after) {
    Object *o = w->slot[at].object;
    if (o->node == NULL) continue;
    lua_rawgetp(L, map, o);
    for (int i = 0; i < o->node->nargs; i++)
      if (o->node->arg[i].object) {
        push_arg(L, map + 1, &o->node->arg[i]);
        lua_rawsetp(L, map, o->node->arg[i].object);
      }
    lua_settop(L, map);
  }
  return map;
}

static void push_vjp(lua_State *L, const Op *op) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "mare.rows") == LUA_TTABLE &&
      lua_rawgetp(L, -1, op) == LUA_TTABLE && lua_getfield(L, -1, "vjp") == LUA_TFUNCTION)
    return;
  luaL_error(L, "the operation '%s' has no derivative", op->name);
}

/* pcall without recording; raises what it raised */
static void call_silently(lua_State *L, State *S, int nargs, int nresults) {
  Mode off;
  int status;
  enter_silence(L, S, &off);
  status = lua_pcall(L, nargs, nresults, 0);
  leave_mode(S, &off);
  if (status != LUA_OK) lua_error(L);
  watch_hook(L);
}

/* calls vjp(g, y, arguments ...); its results are left on the stack from `base` on */
static void call_vjp(Back *b, int map) {
  lua_State *L = b->L;
  const Node *n = b->node;
  int y;
  luaL_checkstack(L, n->nargs + 8, NULL);
  lua_rawgetp(L, map, b->y);
  y = lua_gettop(L);
  push_vjp(L, n->op);
  new_view(L, b->S, b->g);
  lua_pushvalue(L, y);
  for (int i = 0; i < n->nargs; i++) push_arg(L, y, &n->arg[i]);
  call_silently(L, b->S, 2 + n->nargs, n->nargs);
}

static void check_result(Back *b, int idx, const Object *x, mare_Tensor *gx) {
  Object *o = test_tensor(b->L, b->S, idx);
  int64_t shape[MARE_MAXDIM];
  int ndim;
  const char *name = b->node->op->name;
  if (o == NULL || o->t.storage == NULL)
    user_error(b->L, "backward of '%s' gave %s where a tensor was expected", name,
               type_of(b->L, b->S, idx));
  if (o->t.dtype != x->t.dtype)
    user_error(b->L, "backward of '%s' gave a %s gradient for a %s tensor", name,
               mare_dtype_name[o->t.dtype], mare_dtype_name[x->t.dtype]);
  if (!mare_broadcast(o->t.ndim, o->t.shape, x->t.ndim, x->t.shape, &ndim, shape) ||
      ndim != o->t.ndim || memcmp(shape, o->t.shape, sizeof *shape * (size_t)ndim) != 0)
    user_error(b->L, "backward of '%s' gave a gradient of shape %s for shape %s", name,
               shape_of(b->L, &o->t), shape_of(b->L, &x->t));
  back_reduce_to(b, &o->t, x->t.ndim, x->t.shape, gx);
}

static void lua_backward(Back *b, int map) {
  const Node *n = b->node;
  int top = lua_gettop(b->L);
  call_vjp(b, map);
  for (int i = 0; i < n->nargs; i++) {
    Object *x = n->arg[i].object;
    int idx = lua_gettop(b->L) - n->nargs + 1 + i;
    mare_Tensor gx;
    if (x == NULL || x->walk != b->walk || lua_isnil(b->L, idx)) continue;
    int before = lua_gettop(b->L);
    check_result(b, idx, x, &gx);
    check_hook(b->L);
    accumulate(b, &b->walk->slot[x->slot], &gx);
    release_temps(b->walk);
    lua_settop(b->L, before);
  }
  lua_settop(b->L, top);
}

/* -- hooks: functions that wait for the gradient of a leaf ------------------------- */

/* pushes the list of the functions that wait for the tensor at x */
static void push_hooks(lua_State *L, int x) {
  x = lua_absindex(L, x);
  if (!luaL_getsubtable(L, LUA_REGISTRYINDEX, "mare.hooks")) { /* forgets dead tensors */
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  lua_pushvalue(L, x);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, x);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

static int backward_hooks(lua_State *L) { /* hooks(x) -> its list, for Lua to change */
  Object *o = check_real(L, get_state(L), 1);
  if (!o->requires_grad || o->node || o->consumed)
    return named_error(L, 1, "on_gradient", "not a leaf that requires a gradient");
  push_hooks(L, 1);
  o->hooked = true;
  return 1;
}

static int backward_hooked(lua_State *L) { /* hooked(x) -> has it a list? */
  lua_pushboolean(L, check_tensor(L, get_state(L), 1)->hooked);
  return 1;
}

/* x.grad is what this pass makes of it: calls f(x) for each of the hooks */
static void notify(Back *b, Object *x, int map) {
  lua_State *L = b->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_rawgetp(L, map, x);
  push_hooks(L, top + 1);
  for (lua_Integer i = 1; lua_rawgeti(L, top + 2, i) != LUA_TNIL; i++) {
    lua_pushvalue(L, top + 1);
    call_silently(L, b->S, 1, 0);
  }
  lua_settop(L, top);
}

/* -- one step of the pass ------------------------------------------------------------ */

static void check_value(lua_State *L, const Op *op, const Object *o, uint32_t version,
                        const char *what) {
  if (o->t.storage == NULL)
    user_error(L, "the derivative of '%s' needs %s, which was closed", op->name, what);
  if (o->t.storage->version != version)
    user_error(L, "the derivative of '%s' needs %s, which was changed in place since",
               op->name, what);
}

/* what the derivatives that are asked for read */
static uint32_t needed(const State *S, const Node *n) {
  uint32_t needs = 0;
  if (n->op->row == NULL) return n->op->needs;
  for (int i = 0; i < n->op->row->nargs; i++)
    if (n->arg[i].object && (n->arg[i].object->requires_grad || n->arg[i].object->dual))
      needs |= S->rowneeds[n->op - S->rowop][i];
  return needs;
}

void check_versions(lua_State *L, State *S, const Object *y) {
  static const char *const names[] = {"its argument #1", "its argument #2",
                                      "its argument #3", "a later argument"};
  const Node *n = y->node;
  uint32_t needs = needed(S, n);
  for (int i = 0; i < n->nargs; i++)
    if (n->arg[i].object && (needs & NEEDS(i < 31 ? i : 30)))
      check_value(L, n->op, n->arg[i].object, n->arg[i].version, names[i < 3 ? i : 3]);
  if (needs & NEEDS_Y) check_value(L, n->op, y, n->version, "its result");
}

static void step(Back *b, Slot *s, int map) {
  const Node *n = b->node;
  check_versions(b->L, b->S, b->y);
  if (!n->op->vjp && !n->op->row) {
    lua_backward(b, map);
    return;
  }
  for (int i = 0; i < n->nargs; i++) {
    Object *x = n->arg[i].object;
    mare_Tensor gx;
    if (x == NULL || x->walk != b->walk) continue;
    if (n->op->row) row_backward(b, i, s, &gx);
    else n->op->vjp(b, i, &gx);
    check_hook(b->L);
    accumulate(b, &b->walk->slot[x->slot], &gx);
    release_temps(b->walk);
  }
}

static void run(lua_State *L, State *S, Walk *w, int root, bool to_leaves) {
  int map = w->in_lua ? push_anchors(L, w, root) : 0;
  for (int at = w->first; at >= 0; at = w->slot[at].after) {
    Slot *s = &w->slot[at];
    Back b = {L, S, w, s->object, s->object->node, &s->grad};
    if (s->grad.storage == NULL) continue;
    /* a derivative in Lua may have run a backward of its own */
    check_whole(L, s->object);
    if (b.node) step(&b, s, map);
    else if (to_leaves) {
      accumulate_leaf(&b, s);
      if (s->object->hooked) notify(&b, s->object, map);
    }
    check_hook(L);
    if (!s->wanted) mare_tensor_release(&s->grad);
  }
  w->finished = true;
}

/* -- from Lua ------------------------------------------------------------------------ */

/* the gradient of the result itself: argument 2, or 1 for a single value */
static void seed(lua_State *L, State *S, Object *y, Walk *w) {
  Slot *s = &w->slot[0];
  if (!lua_isnoneornil(L, 2)) {
    Object *g = check_real(L, S, 2);
    check_same_dtype(L, y, g, 2);
    check_same_shape(L, y, g, 2);
    own_storage(L, S, 2);
    s->grad = g->t;
    mare_storage_retain(g->t.storage);
    return;
  }
  if (y->t.numel != 1)
    arg_error(L, 1, "a result of shape %s needs a gradient of that shape to start from",
              shape_of(L, &y->t));
  Back b = {L, S, w, y, y->node, NULL};
  s->grad = *back_tensor(&b, y->t.dtype, y->t.ndim, y->t.shape);
  mare_storage_retain(s->grad.storage);
  release_temps(w);
  mare_fill(&s->grad, 1);
}

static Object *check_root(lua_State *L, State *S) {
  Object *y = check_real(L, S, 1);
  if (!y->requires_grad)
    arg_error(L, 1, "nothing it was computed from requires a gradient");
  return y;
}

static int backward_leaves(lua_State *L) { /* backward(y [, g [, retain]]) */
  State *S = get_state(L);
  Object *y = check_root(L, S);
  Walk *w;
  lua_settop(L, 3);
  w = push_walk(L, S);
  w->retain = lua_toboolean(L, 3);
  order(L, S, w, y);
  seed(L, S, y, w);
  run(L, S, w, 1, true);
  return 0;
}

/* g as a tensor of the user's own: no other gradient shares its memory */
static void push_gradient(lua_State *L, State *S, const mare_Tensor *g) {
  if (own(g)) new_view(L, S, g)->isview = false;
  else mare_copy(&new_like(L, S, g)->t, g);
}

/* backward_to(y, g, retain, {inputs}) -> { gradient or false for each input } */
static int backward_to(lua_State *L) {
  State *S = get_state(L);
  Object *y = check_root(L, S);
  Walk *w;
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  w = push_walk(L, S);
  w->retain = lua_toboolean(L, 3);
  order(L, S, w, y);
  seed(L, S, y, w);
  for (lua_Unsigned i = 1; i <= lua_rawlen(L, 4); i++) {
    lua_rawgeti(L, 4, (lua_Integer)i);
    Object *x = test_tensor(L, S, -1);
    if (x && x->walk == w) w->slot[x->slot].wanted = true;
    lua_pop(L, 1);
  }
  run(L, S, w, 1, false);
  lua_createtable(L, (int)lua_rawlen(L, 4), 0);
  for (lua_Unsigned i = 1; i <= lua_rawlen(L, 4); i++) {
    lua_rawgeti(L, 4, (lua_Integer)i);
    Object *x = test_tensor(L, S, -1);
    lua_pop(L, 1);
    if (x && x->walk == w && w->slot[x->slot].grad.storage)
      push_gradient(L, S, &w->slot[x->slot].grad);
    else lua_pushboolean(L, false);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  return 1;
}

/* topo(y) -> all tensors with gradients that y came from, results before arguments */
static int backward_topo(lua_State *L) {
  State *S = get_state(L);
  Object *y = check_root(L, S);
  Walk *w;
  int map, n = 0;
  lua_settop(L, 1);
  w = push_walk(L, S);
  order(L, S, w, y);
  map = push_anchors(L, w, 1);
  lua_createtable(L, w->nslot, 0);
  for (int at = w->first; at >= 0; at = w->slot[at].after) {
    lua_rawgetp(L, map, w->slot[at].object);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

const Function backward_functions[] = {{"backward", backward_leaves},
                                       {"backward_to", backward_to},
                                       {"topo", backward_topo},
                                       {"hooks", backward_hooks},
                                       {"hooked", backward_hooked},
                                       {NULL, NULL}};
