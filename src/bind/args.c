/*
** args.c -- checking what the user passed, and saying what was wrong with it:
** the function, the argument, the values, at the user's line.
*/
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "bind.h"

/* -- where the user is --------------------------------------------------------- */

/* true when the function at this level is one of the module's own Lua files */
static bool own_code(lua_State *L, const lua_Debug *ar) {
  int top = lua_gettop(L);
  bool own = false;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "mare.source") == LUA_TTABLE)
    for (lua_pushnil(L); !own && lua_next(L, top + 1); lua_pop(L, 1))
      own = strncmp(ar->source, lua_tostring(L, -2), lua_rawlen(L, -2)) == 0;
  lua_settop(L, top);
  return own;
}

/* pushes "file:line: " of the innermost Lua function that is not the module's own */
static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0 && !own_code(L, &ar)) {
      lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "");
}

static int raise_message(lua_State *L) { /* message on the top */
  check_hook(L); /* what was computed since is not what it looks like */
  luaL_checkstack(L, 6, NULL);
  push_where(L);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}

int user_error(lua_State *L, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  lua_pushvfstring(L, fmt, ap);
  va_end(ap);
  return raise_message(L);
}

/* add_ in the caller's code for the Op add */
static bool in_place(const char *name, const char *op) {
  size_t n = strlen(op);
  return name && strncmp(name, op, n) == 0 && strcmp(name + n, "_") == 0;
}

/*
** The name under which the running function is known, and whether it was a method:
** its Op's, the one in the caller's code, or its own (upvalue 2).
*/
static const char *running_name(lua_State *L, bool *method) {
  lua_Debug ar;
  const Op *op = lua_touserdata(L, lua_upvalueindex(2));
  *method = false;
  if (!lua_getstack(L, 0, &ar)) return "?";
  lua_getinfo(L, "n", &ar);
  *method = ar.namewhat && strcmp(ar.namewhat, "method") == 0;
  if (op && !in_place(ar.name, op->name)) return op->name;
  if (ar.name && strcmp(ar.name, "?") != 0) return ar.name;
  if (lua_type(L, lua_upvalueindex(2)) == LUA_TSTRING)
    return lua_tostring(L, lua_upvalueindex(2));
  return "?";
}

/* pushes the tensors' method of this name, or nil */
static void push_method(lua_State *L, const char *name) {
  bool known = lua_type(L, lua_upvalueindex(1)) == LUA_TUSERDATA &&
               lua_getiuservalue(L, lua_upvalueindex(1), STATE_META) == LUA_TTABLE &&
               lua_getfield(L, -1, "__index") == LUA_TFUNCTION &&
               lua_getupvalue(L, -1, 2) && lua_istable(L, -1);
  if (known) lua_getfield(L, -1, name);
  else lua_pushnil(L);
}

/*
** Is the tensors' method of this name running, in Lua (1), and called as x:name(...) (2)?
** Its arguments are then counted without x, as those of a method in C are.
*/
static int running_method(lua_State *L, const char *name) {
  lua_Debug ar;
  int top = lua_gettop(L);
  bool found = false, method = false;
  luaL_checkstack(L, 8, NULL);
  push_method(L, name);
  int method_at = lua_gettop(L);
  for (int level = 1; !found && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Snlf", &ar);
    found = lua_rawequal(L, -1, method_at);
    method = ar.namewhat && strcmp(ar.namewhat, "method") == 0;
    if (ar.currentline > 0 && !own_code(L, &ar)) break;
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return found + (found && method);
}

static bool under_method(lua_State *L, const char *name) {
  return running_method(L, name) == 2;
}

/* operations that hand all arguments on to another one, whose messages then name them */
static const char *const handed[][2] = {{"var", "std"}, {"softmax", "softmin"}};

static const char *outer_name(lua_State *L, const char *name, bool *method) {
  for (size_t i = 0; i < sizeof handed / sizeof *handed; i++) {
    if (strcmp(name, handed[i][0]) != 0) continue;
    int how = running_method(L, handed[i][1]);
    if (how == 0) continue;
    *method = how == 2;
    return handed[i][1];
  }
  return name;
}

int named_error(lua_State *L, int arg, const char *name, const char *text) {
  if (under_method(L, name)) arg--;
  if (arg == 0) return user_error(L, "calling '%s' on bad self (%s)", name, text);
  return user_error(L, "bad argument #%d to '%s' (%s)", arg, name, text);
}

int arg_error(lua_State *L, int arg, const char *fmt, ...) {
  va_list ap;
  bool method;
  const char *name = outer_name(L, running_name(L, &method), &method);
  if (!method) method = under_method(L, name);
  va_start(ap, fmt);
  lua_pushvfstring(L, fmt, ap);
  va_end(ap);
  if (method) arg--;
  if (strcmp(name, "newindex") == 0)
    lua_pushfstring(L, "cannot set elements of a tensor (%s)", lua_tostring(L, -1));
  else if (strcmp(name, "index") == 0)
    lua_pushfstring(L, "cannot index a tensor (%s)", lua_tostring(L, -1));
  else if (arg == 0)
    lua_pushfstring(L, "calling '%s' on bad self (%s)", name, lua_tostring(L, -1));
  else
    lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg, name, lua_tostring(L, -1));
  return raise_message(L);
}

const char *shape_of(lua_State *L, const mare_Tensor *t) {
  char buf[MARE_SHAPETEXT];
  return lua_pushstring(L, mare_shape_text(buf, t->ndim, t->shape));
}

const char *type_of(lua_State *L, State *S, int arg) {
  Object *o = test_tensor(L, S, arg);
  if (o == NULL) {
    if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
    return luaL_typename(L, arg);
  }
  if (o->t.storage == NULL) return "closed tensor";
  return lua_pushfstring(L, "%s tensor", mare_dtype_name[o->t.dtype]);
}

/* -- numbers and names ----------------------------------------------------------- */

double unsign(double v) { return v == v ? v : (double)NAN; }

int64_t check_integer(lua_State *L, int arg) {
  int exact;
  lua_Integer i = lua_tointegerx(L, arg, &exact);
  if (exact && lua_type(L, arg) == LUA_TNUMBER) return i;
  if (lua_type(L, arg) == LUA_TNUMBER)
    arg_error(L, arg, "integer expected, got %f", unsign(lua_tonumber(L, arg)));
  arg_error(L, arg, "integer expected, got %s", type_of(L, get_state(L), arg));
  return 0;
}

int64_t opt_integer(lua_State *L, int arg, int64_t def) {
  return lua_isnoneornil(L, arg) ? def : check_integer(L, arg);
}

double check_number(lua_State *L, int arg) {
  if (lua_type(L, arg) != LUA_TNUMBER)
    arg_error(L, arg, "number expected, got %s", type_of(L, get_state(L), arg));
  return lua_tonumber(L, arg);
}

double opt_number(lua_State *L, int arg, double def) {
  return lua_isnoneornil(L, arg) ? def : check_number(L, arg);
}

bool opt_boolean(lua_State *L, int arg, bool def) {
  if (lua_isnoneornil(L, arg)) return def;
  if (!lua_isboolean(L, arg))
    arg_error(L, arg, "boolean expected, got %s", type_of(L, get_state(L), arg));
  return lua_toboolean(L, arg);
}

mare_Dtype check_dtype_name(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TSTRING)
    for (int i = 0; i < MARE_NDTYPE; i++)
      if (strcmp(lua_tostring(L, arg), mare_dtype_name[i]) == 0) return (mare_Dtype)i;
  if (lua_type(L, arg) == LUA_TSTRING)
    arg_error(L, arg, "unknown element type '%s'; known: f32 f64 i64 u8",
              lua_tostring(L, arg));
  arg_error(L, arg, "element type (a string) expected, got %s",
            type_of(L, get_state(L), arg));
  return MARE_F32;
}

const char *counted_from(int64_t i) { return i == 0 ? "; it counts from 1" : ""; }

static int as_dim(lua_State *L, int arg, lua_Integer given, int ndim) {
  lua_Integer d = given < 0 ? given + ndim + 1 : given;
  if (d < 1 || d > ndim)
    arg_error(L, arg, "dimension %I is out of range for %d dimension%s%s",
              (LUAI_UACINT)given, ndim, ndim == 1 ? "" : "s", counted_from(given));
  return (int)d - 1;
}

int check_dim(lua_State *L, int arg, int ndim) {
  return as_dim(L, arg, check_integer(L, arg), ndim);
}

int64_t check_index(lua_State *L, int arg, int64_t size) {
  int64_t i = check_integer(L, arg);
  if (i < 0) i += size + 1;
  if (i < 1 || i > size)
    arg_error(L, arg, "index %I is out of range for size %I%s",
              (LUAI_UACINT)lua_tointeger(L, arg), (LUAI_UACINT)size,
              counted_from(lua_tointeger(L, arg)));
  return i - 1;
}

/* the number on the top of the stack as a dimension; arg is named in errors */
static int table_dim(lua_State *L, int arg, int ndim) {
  int exact;
  lua_Integer d = lua_tointegerx(L, -1, &exact);
  if (!exact || lua_type(L, -1) != LUA_TNUMBER)
    arg_error(L, arg, "dimensions must be integers");
  lua_pop(L, 1);
  return as_dim(L, arg, d, ndim);
}

void check_list(lua_State *L, int arg) {
  if (lua_rawlen(L, arg) > 0) return;
  lua_pushnil(L);
  if (lua_next(L, arg))
    arg_error(L, arg, "list expected, got a table with the key '%s'",
              lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2)
                                             : luaL_typename(L, -2));
}

unsigned check_axes(lua_State *L, int arg, int ndim) {
  unsigned axes = 0;
  if (lua_isnoneornil(L, arg)) return (1u << ndim) - 1;
  if (!lua_istable(L, arg)) return 1u << check_dim(L, arg, ndim);
  check_list(L, arg);
  for (lua_Unsigned i = 1; i <= lua_rawlen(L, arg); i++) {
    lua_rawgeti(L, arg, (lua_Integer)i);
    unsigned bit = 1u << table_dim(L, arg, ndim);
    if (axes & bit) arg_error(L, arg, "a dimension is named twice");
    axes |= bit;
  }
  return axes;
}

static int64_t shape_entry(lua_State *L, int idx, int arg) {
  int exact;
  lua_Integer n = lua_tointegerx(L, idx, &exact);
  if (lua_type(L, idx) != LUA_TNUMBER)
    arg_error(L, arg, "size expected, got %s", luaL_typename(L, idx));
  if (!exact)
    arg_error(L, arg, "size %f is not an integer", unsign(lua_tonumber(L, idx)));
  return n;
}

static int table_shape(lua_State *L, int arg, int64_t *shape) {
  lua_Unsigned n = lua_rawlen(L, arg);
  check_list(L, arg);
  if (n > MARE_MAXDIM)
    arg_error(L, arg, "%d dimensions; at most %d are possible", (int)n, MARE_MAXDIM);
  for (int i = 0; i < (int)n; i++) {
    lua_rawgeti(L, arg, i + 1);
    shape[i] = shape_entry(L, -1, arg);
    lua_pop(L, 1);
  }
  return (int)n;
}

int check_shape(lua_State *L, int arg, int64_t *shape, int *after) {
  int n = 0;
  if (lua_istable(L, arg)) {
    *after = arg + 1;
    return table_shape(L, arg, shape);
  }
  while (lua_type(L, arg + n) == LUA_TNUMBER) {
    if (n == MARE_MAXDIM) arg_error(L, arg + n, "more than %d dimensions", MARE_MAXDIM);
    shape[n] = shape_entry(L, arg + n, arg + n);
    n++;
  }
  if (n == 0 && !lua_isnoneornil(L, arg) && lua_type(L, arg) != LUA_TSTRING)
    arg_error(L, arg, "shape (numbers or a table) expected, got %s",
              type_of(L, get_state(L), arg));
  *after = arg + n;
  return n;
}
