/*
** files.c -- files of other programs for Lua: NumPy's arrays and archives, LIBSVM's
** text, whole files, and files put together from strings and tensors.
*/
#include <string.h>
#include <zlib.h>

#include "../io/npy.h"
#include "../io/svm.h"
#include "bind.h"

typedef struct Reader {
  mare_Source s, part;
  mare_Zip zip;
  char *text; /* scratch memory */
} Reader;

static int reader_close(lua_State *L) {
  Reader *r = lua_touserdata(L, 1);
  if (r->s.heap) mare_scratch_free(r->s.heap, r->text);
  r->text = NULL;
  mare_source_close(&r->part);
  mare_zip_free(&r->zip);
  mare_source_close(&r->s);
  return 0;
}

/* the source that (path) or (nil, string) names; its owner is pushed at index 4 */
static Reader *open_reader(lua_State *L, State *S, mare_Status *st) {
  size_t n = 0;
  const char *path = lua_isnil(L, 1) ? NULL : check_path(L, 1);
  const char *bytes = path ? NULL : luaL_checklstring(L, 2, &n);
  Reader *r;
  lua_settop(L, 3);
  r = push_owner(L, sizeof *r, reader_close);
  *st = path ? mare_source_open(&r->s, S->heap, path)
             : mare_source_string(&r->s, S->heap, "string", bytes, n);
  return r;
}

/* -- NumPy --------------------------------------------------------------------------- */

/* pushes the array that s holds, or nothing */
static mare_Status push_array(lua_State *L, State *S, mare_Source *s) {
  mare_Npy x;
  mare_Tensor t;
  Object *o, *view;
  int order[MARE_MAXDIM];
  mare_Status st = mare_npy_header(s, &x);
  if (st != MARE_OK) return st;
  o = new_like(L, S, &x.t);
  st = mare_npy_data(s, &x, &o->t);
  if (st != MARE_OK || !x.fortran) return st;
  t = o->t;
  for (int i = 0; i < t.ndim; i++) order[i] = t.ndim - 1 - i;
  mare_permute(&t, order);
  view = new_view(L, S, &t);
  view->isview = false; /* of nothing else */
  close_tensor(o);
  lua_remove(L, -2);
  return MARE_OK;
}

static int files_npy(lua_State *L) { /* read_npy(path or nil, string) -> tensor */
  State *S = get_state(L);
  mare_Status st;
  Reader *r = open_reader(L, S, &st);
  if (st == MARE_OK) st = push_array(L, S, &r->s);
  return st == MARE_OK ? 1 : failed(L, st, r->s.error);
}

static bool ends_with(mare_Text t, const char *end) {
  size_t n = strlen(end);
  return t.n >= n && memcmp(t.s + t.n - n, end, n) == 0;
}

/* adds a member to the table on the top */
static mare_Status add_member(lua_State *L, State *S, Reader *r, int i) {
  mare_Text name = r->zip.member[i].name;
  mare_Status st;
  lua_pushlstring(L, name.s, name.n - 4);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) != LUA_TNIL)
    return mare_source_fail(&r->s, MARE_FORMAT, "two members '%.100s'",
                            lua_tostring(L, -2));
  lua_pop(L, 1);
  st = mare_zip_open(&r->s, &r->zip, i, &r->part);
  if (st != MARE_OK) return st;
  st = push_array(L, S, &r->part);
  if (st != MARE_OK) memcpy(r->s.error, r->part.error, sizeof r->s.error);
  else lua_rawset(L, -3);
  mare_source_close(&r->part);
  return st;
}

/* read_npz(path or nil, string) -> { name = tensor } */
static int files_npz(lua_State *L) {
  State *S = get_state(L);
  mare_Status st;
  Reader *r = open_reader(L, S, &st);
  if (st == MARE_OK) st = mare_zip_read(&r->s, &r->zip);
  lua_createtable(L, 0, st == MARE_OK ? r->zip.n : 0);
  for (int i = 0; st == MARE_OK && i < r->zip.n; i++)
    if (ends_with(r->zip.member[i].name, ".npy")) st = add_member(L, S, r, i);
  return st == MARE_OK ? 1 : failed(L, st, r->s.error);
}

/* -- text ---------------------------------------------------------------------------- */

/* read_all(path or nil, string) -> string, unpacked */
static int files_all(lua_State *L) {
  State *S = get_state(L);
  mare_Status st;
  size_t n = 0;
  Reader *r = open_reader(L, S, &st);
  if (st == MARE_OK) st = mare_source_all(&r->s, &r->text, &n);
  if (st != MARE_OK) return failed(L, st, r->s.error);
  lua_pushlstring(L, r->text, n);
  return 1;
}

/*
** read_svm(path or nil, string, features or 0, zero_based) -> x (n, features) f32,
** labels (n) f64, whether these are whole numbers
*/
static int files_svm(lua_State *L) {
  State *S = get_state(L);
  mare_Svm v = {.features = check_integer(L, 3), .zero = lua_toboolean(L, 4)};
  mare_Status st;
  Reader *r = open_reader(L, S, &st);
  if (st == MARE_OK) st = mare_source_all(&r->s, &r->text, &v.n);
  v.text = r->text;
  if (st == MARE_OK) st = mare_svm_scan(&r->s, &v);
  if (st != MARE_OK) return failed(L, st, r->s.error);
  int64_t shape[2] = {v.rows, v.features};
  Object *x = new_tensor(L, S, MARE_F32, 2, shape);
  Object *y = new_tensor(L, S, MARE_F64, 1, shape);
  mare_svm_fill(&v, &x->t, &y->t);
  lua_pushboolean(L, v.whole);
  return 3;
}

/* -- writing ------------------------------------------------------------------------- */

/* the bytes of element i of the list at idx: a string or a contiguous tensor */
static mare_Text piece(lua_State *L, State *S, int idx, int i) {
  mare_Text t;
  lua_rawgeti(L, idx, i);
  if (lua_type(L, -1) == LUA_TSTRING) t.s = lua_tolstring(L, -1, &t.n);
  else {
    const mare_Tensor *x = &check_tensor(L, S, lua_gettop(L))->t;
    if (!mare_is_contiguous(x)) arg_error(L, idx, "contiguous tensors expected");
    t = (mare_Text){x->data, (size_t)x->numel * mare_sizeof[x->dtype]};
  }
  lua_pop(L, 1); /* it stays in the list */
  return t;
}

static int writer_close(lua_State *L) {
  mare_sink_close(lua_touserdata(L, 1));
  return 0;
}

static int files_string(lua_State *L, State *S, int n) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    mare_Text t = piece(L, S, 2, i);
    luaL_addlstring(&b, t.s, t.n);
  }
  luaL_pushresult(&b);
  return 1;
}

/* write_pieces(path or nil, list of strings and tensors) -> true, or all as a string */
static int files_write(lua_State *L) {
  State *S = get_state(L);
  mare_Status st;
  luaL_checktype(L, 2, LUA_TTABLE);
  int n = (int)lua_rawlen(L, 2);
  if (lua_isnil(L, 1)) return files_string(L, S, n);
  const char *path = check_path(L, 1);
  mare_Sink *w = push_owner(L, sizeof *w, writer_close);
  for (int i = 1; i <= n; i++) piece(L, S, 2, i); /* all of them are good */
  st = mare_sink_open(w, S->heap, path);
  for (int i = 1; st == MARE_OK && i <= n; i++) {
    mare_Text t = piece(L, S, 2, i);
    st = mare_sink_write(w, t.s, t.n);
  }
  if (st == MARE_OK) st = mare_sink_commit(w);
  if (st != MARE_OK) return failed(L, st, w->error);
  lua_pushboolean(L, 1);
  return 1;
}

static int files_sum(lua_State *L) { /* crc32(list of strings and tensors) -> integer */
  State *S = get_state(L);
  uLong sum = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  int n = (int)lua_rawlen(L, 1);
  for (int i = 1; i <= n; i++) {
    mare_Text t = piece(L, S, 1, i);
    sum = crc32_z(sum, (const void *)t.s, t.n);
  }
  lua_pushinteger(L, (lua_Integer)sum);
  return 1;
}

const Function files_functions[] = {
    {"read_npy", files_npy}, {"read_npz", files_npz},       {"read_all", files_all},
    {"read_svm", files_svm}, {"write_pieces", files_write}, {"crc32", files_sum},
    {NULL, NULL}};
