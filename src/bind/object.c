/*
** object.c -- the tensor as a Lua value: making, checking, closing it, and what
** it answers without computing (shape, dtype, size ...).
*/
#include <ctype.h>
#include <string.h>

#include "bind.h"

State *get_state(lua_State *L) {
  State *S = lua_touserdata(L, lua_upvalueindex(1));
  if (S->heap == NULL) luaL_error(L, "the Lua state is being closed");
  return S;
}

const Op *get_op(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(2)); }

/* -- checks ---------------------------------------------------------------------- */

/* by size and owner, which no other userdata has there: a metatable costs more to read */
Object *test_tensor(lua_State *L, State *S, int arg) {
  Object *o = lua_touserdata(L, arg);
  if (o == NULL || lua_rawlen(L, arg) < sizeof *o) return NULL;
  return o->state == S ? o : NULL;
}

Object *check_tensor(lua_State *L, State *S, int arg) {
  Object *o = test_tensor(L, S, arg);
  if (o == NULL) arg_error(L, arg, "tensor expected, got %s", type_of(L, S, arg));
  else if (o->t.storage == NULL) arg_error(L, arg, "the tensor is closed");
  return o;
}

Object *check_real(lua_State *L, State *S, int arg) {
  Object *o = check_tensor(L, S, arg);
  if (o->t.dtype >= MARE_NREAL)
    arg_error(L, arg, "f32 or f64 tensor expected, got %s; convert it with :to \"f32\"",
              type_of(L, S, arg));
  return o;
}

Object *check_dtype(lua_State *L, State *S, int arg, mare_Dtype dt) {
  Object *o = check_tensor(L, S, arg);
  if (o->t.dtype != dt)
    arg_error(L, arg, "%s tensor expected, got %s", mare_dtype_name[dt],
              type_of(L, S, arg));
  return o;
}

void check_same_dtype(lua_State *L, const Object *a, const Object *b, int arg) {
  if (a->t.dtype != b->t.dtype)
    arg_error(L, arg, "element types %s and %s do not mix; convert one with :to",
              mare_dtype_name[a->t.dtype], mare_dtype_name[b->t.dtype]);
}

void check_same_shape(lua_State *L, const Object *a, const Object *b, int arg) {
  if (!mare_same_shape(&a->t, &b->t))
    arg_error(L, arg, "shapes %s and %s differ", shape_of(L, &a->t), shape_of(L, &b->t));
}

bool relieve(lua_State *L, State *S, mare_Status st) {
  if (st != MARE_NOMEM && st != MARE_LIMIT) return false;
  mare_heap_trim(S->heap);
  lua_gc(L, LUA_GCCOLLECT);
  watch_hook(L); /* finalizers may have run */
  return true;
}

void check_status(lua_State *L, State *S, mare_Status st, size_t nbytes) {
  if (st == MARE_OK) return;
  if (nbytes == 0) user_error(L, "not enough memory for the operation's own work");
  if (st == MARE_NOMEM) st = mare_heap_status(S->heap, nbytes);
  if (st == MARE_LIMIT)
    user_error(L, "not enough memory: %I bytes asked for, %I in use, limit %I",
               (LUAI_UACINT)nbytes, (LUAI_UACINT)(S->heap->live + S->heap->scratch),
               (LUAI_UACINT)S->heap->limit);
  user_error(L, "not enough memory: %I bytes asked for, %I in use", (LUAI_UACINT)nbytes,
             (LUAI_UACINT)S->heap->live);
}

/* -- making ---------------------------------------------------------------------- */

#define INSIDE 128 /* bytes of elements that stand behind their Object */

static size_t node_size(const Args *a) {
  return a ? sizeof(Node) + (size_t)a->nargs * sizeof(Arg) : 0;
}

/*
** A tensor that is closed, with `room` behind it.  It has its metatable: whatever comes,
** nothing leaks.
*/
static Object *push_closed(lua_State *L, State *S, const Args *a, size_t room,
                           bool nested) {
  Object *o = lua_newuserdatauv(L, sizeof *o + node_size(a) + room, a ? a->nslot : 1);
  o->state = S;
  memset((char *)o + offsetof(Object, node), 0, sizeof *o - offsetof(Object, node));
  o->t.storage = NULL;
  lua_getiuservalue(L, lua_upvalueindex(1),
                    nested || room ? STATE_NESTED : STATE_META);
  lua_setmetatable(L, -2);
  if (nested) nest_add(L, S, o);
  return o;
}

/* the bytes of a small tensor; SIZE_MAX of others */
static size_t small_size(mare_Dtype dt, int ndim, const int64_t *shape) {
  size_t nbytes = mare_sizeof[dt];
  for (int d = 0; d < ndim; d++) {
    if ((uint64_t)shape[d] > NEST_BYTES) return SIZE_MAX;
    nbytes *= (size_t)shape[d];
    if (nbytes > NEST_BYTES) return SIZE_MAX;
  }
  return nbytes;
}

static mare_Status try_alloc(State *S, mare_Tensor *t) {
  mare_Status st = mare_tensor_alloc(S->heap, t);
  if (st != MARE_OK) t->storage = NULL;
  return st;
}

static void open_storage(lua_State *L, State *S, Object *o) {
  size_t nbytes = (size_t)o->t.numel * mare_sizeof[o->t.dtype];
  make_room(L, S, nbytes);
  if (try_alloc(S, &o->t) == MARE_OK) return;
  mare_heap_trim(S->heap);
  lua_gc(L, LUA_GCCOLLECT);
  check_status(L, S, try_alloc(S, &o->t), nbytes);
}

/*
** The few elements of a result stand in the userdata itself, where nobody else has a
** share in them: it needs no finalizer.
*/
static Object *push_open(lua_State *L, State *S, const Args *a, bool result,
                         mare_Dtype dt, int ndim, const int64_t *shape) {
  size_t nbytes = small_size(dt, ndim, shape), room = 0;
  bool nested = S->scope && nbytes != SIZE_MAX && scope_nests(L, S);
  if (result && nbytes <= INSIDE && nested == (S->scope != NULL) &&
      S->heap->limit == SIZE_MAX)
    room = sizeof(mare_Storage) + nbytes;
  Object *o = push_closed(L, S, a, room, nested);
  if (!mare_shape_set(&o->t, dt, ndim, shape)) {
    char buf[MARE_SHAPETEXT];
    user_error(L, "a tensor of shape %s does not fit into memory",
               mare_shape_text(buf, ndim, shape));
  }
  if (room) {
    o->t.storage = mare_storage_inside((char *)(o + 1) + node_size(a), nbytes);
    o->t.data = o->t.storage->data;
  } else {
    open_storage(L, S, o);
  }
  if (S->scope) scope_add(L, S, o);
  watch_hook(L); /* finalizers may have run */
  return o;
}

void own_storage(lua_State *L, State *S, int idx) {
  Object *o = lua_touserdata(L, idx);
  mare_Storage *old = o->t.storage;
  mare_Tensor t = {.dtype = MARE_U8, .numel = (int64_t)old->nbytes};
  if (old->heap) return;
  idx = lua_absindex(L, idx);
  if (try_alloc(S, &t) != MARE_OK) {
    mare_heap_trim(S->heap);
    lua_gc(L, LUA_GCCOLLECT);
    check_status(L, S, try_alloc(S, &t), old->nbytes);
  }
  if (o->t.storage != old) { /* a finalizer has done it, or closed the tensor */
    mare_tensor_release(&t);
    return;
  }
  memcpy(t.data, old->data, old->nbytes);
  t.storage->version = old->version;
  o->t.data = t.data + (o->t.data - old->data);
  o->t.storage = t.storage;
  if (o->nest) return; /* its scope closes it */
  lua_rawgetp(L, LUA_REGISTRYINDEX, S);
  lua_getiuservalue(L, -1, STATE_META);
  lua_setmetatable(L, idx);
  lua_pop(L, 1);
}

static bool is_nested(lua_State *L, const State *S, size_t nbytes) {
  return S->scope && nbytes <= NEST_BYTES && scope_nests(L, S);
}

static Object *push_sharing(lua_State *L, State *S, const Args *a,
                            const mare_Tensor *v) {
  if (v->storage->heap == NULL) { /* nobody shares this memory */
    Object *copy = push_open(L, S, a, false, v->dtype, v->ndim, v->shape);
    mare_copy(&copy->t, v);
    return copy;
  }
  Object *o = push_closed(L, S, a, 0, is_nested(L, S, v->storage->nbytes));
  o->t = *v;
  mare_storage_retain(v->storage);
  o->isview = true;
  if (S->scope) scope_add(L, S, o);
  return o;
}

Object *new_tensor(lua_State *L, State *S, mare_Dtype dt, int ndim,
                   const int64_t *shape) {
  return push_open(L, S, NULL, false, dt, ndim, shape);
}

Object *new_like(lua_State *L, State *S, const mare_Tensor *t) {
  return push_open(L, S, NULL, false, t->dtype, t->ndim, t->shape);
}

Object *new_owner(lua_State *L, State *S, mare_Tensor *t) {
  Object *o = push_closed(L, S, NULL, 0, is_nested(L, S, t->storage->capacity));
  o->t = *t;
  t->storage = NULL;
  if (S->scope) scope_add(L, S, o);
  return o;
}

Object *new_view(lua_State *L, State *S, const mare_Tensor *v) {
  return push_sharing(L, S, NULL, v);
}

Object *new_result(lua_State *L, State *S, const Op *op, int first, int nargs,
                   mare_Dtype dt, int ndim, const int64_t *shape) {
  Args a;
  Object *o;
  if (dt >= MARE_NREAL) return new_tensor(L, S, dt, ndim, shape);
  read_args(L, S, &a, first, nargs);
  o = push_open(L, S, a.taped ? &a : NULL, true, dt, ndim, shape);
  if (a.taped) fill_node(L, S, o, op, &a);
  return o;
}

Object *new_result_of(lua_State *L, State *S, const Op *op, int nargs, int known,
                      Object *const *x, const Arg *rest, mare_Dtype dt, int ndim,
                      const int64_t *shape) {
  Args a;
  Object *o;
  if (dt >= MARE_NREAL) return new_tensor(L, S, dt, ndim, shape);
  read_known(L, S, &a, nargs, known, x, rest);
  o = push_open(L, S, a.taped ? &a : NULL, true, dt, ndim, shape);
  if (a.taped) fill_node(L, S, o, op, &a);
  return o;
}

Object *new_result_view(lua_State *L, State *S, const Op *op, int first, int nargs,
                        const mare_Tensor *v) {
  Args a;
  Object *o;
  if (v->dtype >= MARE_NREAL) return new_view(L, S, v);
  read_args(L, S, &a, first, nargs);
  o = push_sharing(L, S, a.taped ? &a : NULL, v);
  if (a.taped) fill_node(L, S, o, op, &a);
  return o;
}

const mare_Tensor *push_contiguous(lua_State *L, State *S, const mare_Tensor *t) {
  if (mare_is_contiguous(t)) {
    lua_pushnil(L);
    return t;
  }
  Object *o = new_like(L, S, t);
  mare_copy(&o->t, t);
  return &o->t;
}

/* -- closing ---------------------------------------------------------------------- */

void close_tensor(Object *o) {
  scope_remove(o);
  mare_tensor_release(&o->t);
  mare_storage_release(o->grad);
  o->grad = NULL;
}

/*
** Has a finalizer or a hook interrupted a function in C, which may be at work on any
** tensor?  Then nothing is closed; the collector will do it.
*/
bool interrupting(lua_State *L) {
  lua_Debug ar;
  const State *S = lua_touserdata(L, lua_upvalueindex(1));
  if (S->asking) return true;
  /* it stands still under a finalizer */
  if (lua_gc(L, LUA_GCISRUNNING) == 1) return false;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "n", &ar);
    if (ar.name == NULL || strcmp(ar.name, "__gc") != 0) continue;
    if (lua_getstack(L, level + 1, &ar) && lua_getinfo(L, "S", &ar) && *ar.what == 'C')
      return true;
  }
  return false;
}

static int tensor_close(lua_State *L) { /* __close, t:close() */
  Object *o = test_tensor(L, get_state(L), 1);
  if (o == NULL) return arg_error(L, 1, "tensor expected, got %s", luaL_typename(L, 1));
  /* nor under a running backward */
  if (o->walk == NULL && !interrupting(L)) {
    close_tensor(o);
    nest_remove(L, o);
  }
  return 0;
}

int tensor_gc(lua_State *L) {
  Object *o = test_tensor(L, get_state(L), 1);
  if (o && o->walk) forget_object(o);
  if (o) close_tensor(o);
  return 0;
}

/* -- what a tensor knows ------------------------------------------------------------ */

static int tensor_shape(lua_State *L) { /* t.shape */
  Object *o = check_tensor(L, get_state(L), 1);
  lua_createtable(L, o->t.ndim, 0);
  for (int i = 0; i < o->t.ndim; i++) {
    lua_pushinteger(L, o->t.shape[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int tensor_size(lua_State *L) { /* t:size() or t:size(dim) */
  Object *o = check_tensor(L, get_state(L), 1);
  if (lua_isnoneornil(L, 2)) return tensor_shape(L);
  lua_pushinteger(L, o->t.shape[check_dim(L, 2, o->t.ndim)]);
  return 1;
}

static int tensor_dim(lua_State *L) {
  lua_pushinteger(L, check_tensor(L, get_state(L), 1)->t.ndim);
  return 1;
}

static int tensor_numel(lua_State *L) {
  lua_pushinteger(L, check_tensor(L, get_state(L), 1)->t.numel);
  return 1;
}

static int tensor_stride(lua_State *L) { /* the strides, in elements */
  Object *o = check_tensor(L, get_state(L), 1);
  lua_createtable(L, o->t.ndim, 0);
  for (int i = 0; i < o->t.ndim; i++) {
    lua_pushinteger(L, o->t.stride[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int tensor_len(lua_State *L) { /* #t: the size of the first dimension */
  Object *o = check_tensor(L, get_state(L), 1);
  if (o->t.ndim == 0) return user_error(L, "a 0-d tensor has no length");
  lua_pushinteger(L, o->t.shape[0]);
  return 1;
}

static int tensor_isview(lua_State *L) {
  lua_pushboolean(L, check_tensor(L, get_state(L), 1)->isview);
  return 1;
}

static int tensor_isclosed(lua_State *L) {
  Object *o = test_tensor(L, get_state(L), 1);
  lua_pushboolean(L, o == NULL || o->t.storage == NULL);
  return 1;
}

static int tensor_iscontiguous(lua_State *L) {
  lua_pushboolean(L, mare_is_contiguous(&check_tensor(L, get_state(L), 1)->t));
  return 1;
}

/* same_shape(a, b [, typed]): open tensors of one shape, and of one type if typed? */
static int same_shape(lua_State *L) {
  State *S = get_state(L);
  const Object *a = test_tensor(L, S, 1), *b = test_tensor(L, S, 2);
  lua_pushboolean(L, a && b && a->t.storage && b->t.storage &&
                         mare_same_shape(&a->t, &b->t) &&
                         (a->t.dtype == b->t.dtype || !lua_toboolean(L, 3)));
  return 1;
}

static int is_tensor(lua_State *L) { /* mare.is_tensor(v) */
  lua_pushboolean(L, test_tensor(L, get_state(L), 1) != NULL);
  return 1;
}

/* -- fields and methods -------------------------------------------------------------- */

typedef int Getter(lua_State *L, State *S, Object *o);

static int get_shape(lua_State *L, State *S, Object *o) {
  (void)S, (void)o;
  return tensor_shape(L);
}

static int get_dtype(lua_State *L, State *S, Object *o) {
  (void)S;
  lua_pushstring(L, mare_dtype_name[o->t.dtype]);
  return 1;
}

static int get_grad(lua_State *L, State *S, Object *o) {
  push_grad(L, S, o, 1);
  return 1;
}

static int get_requires(lua_State *L, State *S, Object *o) {
  lua_pushboolean(L, o->requires_grad || (o->dual && wants_grad(S, o)));
  return 1;
}

static const struct {
  const char *name;
  Getter *get;
} fields[] = {{"shape", get_shape}, {"dtype", get_dtype}, {"grad", get_grad},
              {"is_tracked", get_requires}, {NULL, NULL}};

/* "; did you mean 'shape'?" for the key at 2: what the methods' metatable knows to say */
static const char *meant(lua_State *L) {
  if (luaL_getmetafield(L, lua_upvalueindex(2), "__meant") == LUA_TNIL) return "";
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  return lua_tostring(L, -1);
}

static int get_field(lua_State *L, State *S, Object *o) {
  const char *key = lua_tostring(L, 2);
  for (int i = 0; fields[i].name; i++)
    if (strcmp(key, fields[i].name) == 0) return fields[i].get(L, S, o);
  return user_error(L, "a tensor has no field or method '%s'%s", key, meant(L));
}

/* other strings are indices, "1:2, -1" */
static bool is_name(const char *s) {
  return *s == '\0' || *s == '_' || isalpha((unsigned char)*s);
}

/*
** One past the end, asked for by a function in C: ipairs stops there, as at the end of
** a table.  From Lua code it is an index out of range like any other.
*/
static bool past_end(lua_State *L, const Object *o) {
  lua_Debug ar;
  return lua_isinteger(L, 2) && o->t.ndim > 0 &&
         lua_tointeger(L, 2) == o->t.shape[0] + 1 && lua_getstack(L, 1, &ar) &&
         lua_getinfo(L, "S", &ar) && *ar.what == 'C';
}

int tensor_index(lua_State *L) { /* upvalue 2: the methods */
  State *S = get_state(L);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
    Object *o = test_tensor(L, S, 1);
    if (o == NULL || o->t.storage == NULL) return user_error(L, "the tensor is closed");
    const char *s = lua_tostring(L, 2);
    if (is_name(s)) return get_field(L, S, o);
    return index_value(L, S, o, 2);
  }
  Object *o = test_tensor(L, S, 1);
  if (o == NULL || o->t.storage == NULL) return user_error(L, "the tensor is closed");
  if (past_end(L, o)) lua_pushnil(L);
  else index_value(L, S, o, 2);
  return 1;
}

int tensor_newindex(lua_State *L) {
  State *S = get_state(L);
  Object *o = test_tensor(L, S, 1);
  if (o == NULL || o->t.storage == NULL) return user_error(L, "the tensor is closed");
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *s = lua_tostring(L, 2);
    if (strcmp(s, "grad") == 0) {
      set_grad(L, S, o, 1, 3);
      return 0;
    }
    if (is_name(s))
      return user_error(L, "the field '%s' of a tensor cannot be set", s);
  }
  assign_value(L, S, o, 2, 3);
  return 0;
}

const Function object_functions[] = {
    {"close", tensor_close},       {"size", tensor_size},
    {"dim", tensor_dim},           {"numel", tensor_numel},
    {"stride", tensor_stride},     {"isview", tensor_isview},
    {"isclosed", tensor_isclosed}, {"iscontiguous", tensor_iscontiguous},
    {"is_tensor", is_tensor},      {"same_shape", same_shape},
    {"len", tensor_len},           {NULL, NULL}};
