/*
** io.c -- files for Lua: IDX, safetensors, batches, seeded permutations.  What a
** file or a disk can do wrong is returned as nil and a message; open files are
** closed by a userdata on the stack, however the function ends.
*/
#include "../io/bytes.h"

#include <limits.h>
#include <string.h>

#include "../io/batch.h"
#include "../io/idx.h"
#include "../io/safetensors.h"
#include "bind.h"

/* -- owners ------------------------------------------------------------------------- */

typedef struct Reader {
  mare_Source s;
  mare_Header h;
} Reader;

typedef struct Writer {
  mare_Sink s;
  mare_Heap *heap;
  char *header; /* scratch memory */
  mare_Entry *entry;
  mare_Entry **order;
  mare_Pair *pair;
} Writer;

static int reader_close(lua_State *L) {
  Reader *r = lua_touserdata(L, 1);
  mare_source_close(&r->s);
  mare_header_free(&r->h);
  return 0;
}

static int writer_close(lua_State *L) {
  Writer *w = lua_touserdata(L, 1);
  mare_sink_close(&w->s);
  if (w->heap == NULL) return 0;
  mare_scratch_free(w->heap, w->header);
  mare_scratch_free(w->heap, w->entry);
  mare_scratch_free(w->heap, w->order);
  mare_scratch_free(w->heap, w->pair);
  w->heap = NULL;
  return 0;
}

void *push_owner(lua_State *L, size_t size, lua_CFunction close) {
  void *p = lua_newuserdatauv(L, size, 0);
  memset(p, 0, size);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, close);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__close");
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_toclose(L, -1);
  return p;
}

int failed(lua_State *L, mare_Status st, const char *message) {
  check_hook(L);
  if (st == MARE_NOMEM || st == MARE_LIMIT) return user_error(L, "%s", message);
  lua_pushnil(L);
  lua_pushstring(L, message);
  return 2;
}

const char *check_path(lua_State *L, int arg) {
  size_t n;
  const char *path;
  if (lua_type(L, arg) != LUA_TSTRING)
    arg_error(L, arg, "path (a string) expected, got %s", type_of(L, get_state(L), arg));
  path = lua_tolstring(L, arg, &n);
  if (strlen(path) != n) arg_error(L, arg, "the path holds a zero byte");
  return path;
}

/* -- IDX ---------------------------------------------------------------------------- */

static int io_idx(lua_State *L) { /* read_idx(path) -> tensor, or nil, message */
  State *S = get_state(L);
  const char *path = check_path(L, 1);
  Reader *r;
  mare_Idx x;
  mare_Status st;
  lua_settop(L, 1);
  r = push_owner(L, sizeof *r, reader_close);
  st = mare_source_open(&r->s, S->heap, path);
  if (st == MARE_OK) st = mare_idx_header(&r->s, &x);
  if (st != MARE_OK) return failed(L, st, r->s.error);
  Object *o = new_like(L, S, &x.t);
  st = mare_idx_data(&r->s, &x, &o->t);
  if (st == MARE_OK) return 1;
  close_tensor(o);
  return failed(L, st, r->s.error);
}

/* -- reading safetensors ------------------------------------------------------------ */

static void push_text(lua_State *L, mare_Text t) {
  lua_pushlstring(L, t.s, t.n);
}

#define MAPPED ((uint64_t)1 << 16) /* bytes of a tensor from which on it is mapped */

/* pushes an entry whose bytes stay in the file; false: it has to be read */
static bool push_mapped(lua_State *L, State *S, Reader *r, const mare_Entry *e,
                        uint64_t at) {
  mare_Tensor t = e->t;
  uint64_t n = e->end - e->begin;
  Object *o;
  if (n < MAPPED || !mare_is_native(e->format) || at % mare_sizeof[t.dtype])
    return false;
  o = new_like(L, S, &(mare_Tensor){.ndim = 1, .dtype = t.dtype}); /* of nothing */
  t.storage = mare_storage_map(S->heap, r->s.fd, at, (size_t)n);
  if (t.storage == NULL) {
    lua_pop(L, 1);
    return false;
  }
  t.data = t.storage->data;
  mare_storage_release(o->t.storage);
  o->t = t;
  return true;
}

/* what is wrong is said of a tensor */
static mare_Status blame(Reader *r, const mare_Entry *e, mare_Status st) {
  char text[MARE_ERRORTEXT];
  size_t before = strlen(r->s.name) + 2; /* "name: " */
  if (st != MARE_FORMAT || before >= sizeof text) return st;
  strcpy(text, r->s.error + before);
  return mare_source_fail(&r->s, st, "tensor '%.*s': %s",
                          (int)(e->name.n < 64 ? e->name.n : 64), e->name.s, text);
}

/* pushes { name = tensor } in the order of the file; or see r->s.error */
static mare_Status push_tensors(lua_State *L, State *S, Reader *r, bool map) {
  uint64_t begin = r->s.position;
  mare_Status st = MARE_OK;
  map = map && r->s.fd >= 0 && r->s.gz == NULL;
  lua_createtable(L, 0, r->h.nentry);
  for (int i = 0; i < r->h.nentry; i++) {
    const mare_Entry *e = r->h.order[i];
    push_text(L, e->name);
    if (!map || !push_mapped(L, S, r, e, begin + e->begin)) {
      Object *o = new_like(L, S, &e->t);
      if (map) st = mare_source_seek(&r->s, begin + e->begin);
      if (st == MARE_OK) st = mare_read_elements(&r->s, e->format, &o->t);
      if (st != MARE_OK) return blame(r, e, st);
    }
    lua_rawset(L, -3);
  }
  return map ? MARE_OK : mare_source_finish(&r->s);
}

static void push_metadata(lua_State *L, const mare_Header *h) {
  lua_createtable(L, 0, h->npair);
  for (int i = 0; i < h->npair; i++) {
    push_text(L, h->pair[i].key);
    push_text(L, h->pair[i].value);
    lua_rawset(L, -3);
  }
}

/*
** read_tensors(path, nil, map) or read_tensors(nil, string) -> { name = tensor },
** { name = string }; or nil, message
*/
static int io_read(lua_State *L) {
  State *S = get_state(L);
  Reader *r;
  mare_Status st;
  size_t n = 0;
  const char *path = lua_isnil(L, 1) ? NULL : check_path(L, 1);
  const char *bytes = path ? NULL : luaL_checklstring(L, 2, &n);
  bool map = lua_toboolean(L, 3);
  lua_settop(L, 2);
  r = push_owner(L, sizeof *r, reader_close);
  st = path ? mare_source_open(&r->s, S->heap, path)
            : mare_source_string(&r->s, S->heap, "string", bytes, n);
  if (st == MARE_OK) st = mare_header_read(&r->s, &r->h);
  if (st == MARE_OK) st = push_tensors(L, S, r, map);
  if (st != MARE_OK) return failed(L, st, r->s.error);
  push_metadata(L, &r->h);
  return 2;
}

/* -- writing safetensors ------------------------------------------------------------ */

static mare_Text check_text(lua_State *L, const char *what) { /* the value on the top */
  mare_Text t;
  if (lua_type(L, -1) != LUA_TSTRING)
    user_error(L, "%s is a string, not a %s", what, luaL_typename(L, -1));
  t.s = lua_tolstring(L, -1, &t.n);
  if (!mare_is_utf8(t)) user_error(L, "%s '%s' is not UTF-8", what, t.s);
  return t;
}

static void *scratch(lua_State *L, State *S, int n, size_t size) {
  void *p = mare_scratch(S->heap, ((size_t)n + 1) * size);
  if (p == NULL) check_status(L, S, MARE_NOMEM, ((size_t)n + 1) * size);
  return p;
}

/* entries from the lists of names and tensors at 2 and 3; strings stay in the lists */
static int fill_entries(lua_State *L, State *S, Writer *w) {
  int n = (int)luaL_len(L, 2);
  w->entry = scratch(L, S, n, sizeof *w->entry);
  w->order = scratch(L, S, n, sizeof *w->order);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 2, i + 1);
    lua_rawgeti(L, 3, i + 1);
    w->entry[i].t = check_tensor(L, S, -1)->t;
    lua_pop(L, 1);
    w->entry[i].name = check_text(L, "the name of a tensor");
    lua_pop(L, 1);
  }
  return n;
}

static int fill_pairs(lua_State *L, State *S, Writer *w) { /* from the lists at 4 and 5 */
  int n = (int)luaL_len(L, 4);
  w->pair = scratch(L, S, n, sizeof *w->pair);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 4, i + 1);
    w->pair[i].key = check_text(L, "a key of the metadata");
    lua_rawgeti(L, 5, i + 1);
    w->pair[i].value = check_text(L, "a value of the metadata");
    lua_pop(L, 2);
  }
  return n;
}

/* elements of any strides, in order */
static mare_Status write_tensor(mare_Sink *s, const mare_Tensor *t) {
  char block[16384];
  size_t size = mare_sizeof[t->dtype];
  int64_t step = (int64_t)(sizeof block / size);
  mare_Status st = MARE_OK;
  if (mare_is_contiguous(t))
    return mare_sink_write(s, t->data, (size_t)t->numel * size);
  for (int64_t i = 0; st == MARE_OK && i < t->numel; i += step) {
    int64_t n = t->numel - i < step ? t->numel - i : step;
    mare_gather_block(t, i, n, block);
    st = mare_sink_write(s, block, (size_t)n * size);
  }
  return st;
}

static int write_file(lua_State *L, State *S, Writer *w, int n, size_t length) {
  mare_Status st = mare_sink_open(&w->s, S->heap, lua_tostring(L, 1));
  if (st == MARE_OK) st = mare_sink_write(&w->s, w->header, length);
  for (int i = 0; st == MARE_OK && i < n; i++)
    st = write_tensor(&w->s, &w->order[i]->t);
  if (st == MARE_OK) st = mare_sink_commit(&w->s);
  if (st != MARE_OK) return failed(L, st, w->s.error);
  lua_pushboolean(L, 1);
  return 1;
}

static int write_string(lua_State *L, const Writer *w, int n, size_t length) {
  luaL_Buffer b;
  size_t data = n ? (size_t)w->order[n - 1]->end : 0;
  char *p = luaL_buffinitsize(L, &b, length + data);
  memcpy(p, w->header, length);
  for (int i = 0; i < n; i++) {
    const mare_Entry *e = w->order[i];
    mare_gather_block(&e->t, 0, e->t.numel, p + length + e->begin);
  }
  luaL_pushresultsize(&b, length + data);
  return 1;
}

/*
** write_tensors(path or nil, names, tensors, keys, values) -> true; the bytes
** when there is no path; or nil, message
*/
static int io_write(lua_State *L) {
  State *S = get_state(L);
  Writer *w;
  size_t length = 0;
  if (!lua_isnil(L, 1)) check_path(L, 1);
  lua_settop(L, 5);
  w = push_owner(L, sizeof *w, writer_close);
  w->heap = S->heap;
  int n = fill_entries(L, S, w), npair = fill_pairs(L, S, w);
  mare_Status st = mare_header_make(S->heap, n, w->entry, w->order, npair, w->pair,
                                    &w->header, &length);
  if (st == MARE_BADARG) return user_error(L, "the names and metadata are too long");
  check_status(L, S, st, length);
  if (lua_isnil(L, 1)) return write_string(L, w, n, length);
  return write_file(L, S, w, n, length);
}

/* -- batches ------------------------------------------------------------------------ */

static void check_rows(lua_State *L, const Object *x, const int64_t *index, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (index[i] < 1 || index[i] > x->t.shape[0])
      user_error(L, "row %I of %I", (LUAI_UACINT)index[i], (LUAI_UACINT)x->t.shape[0]);
}

/*
** batch(x, index, first, n, convert) -> the rows index[first .. first + n - 1] of x;
** with convert, u8 becomes f32 in 0..1.  x and index (i64) are contiguous.
*/
static int io_batch(lua_State *L) {
  State *S = get_state(L);
  Object *x = check_tensor(L, S, 1), *index = check_dtype(L, S, 2, MARE_I64), *y;
  int64_t first = check_integer(L, 3), n = check_integer(L, 4), shape[MARE_MAXDIM];
  bool convert = x->t.dtype == MARE_U8 && lua_toboolean(L, 5);
  const int64_t *row;
  if (x->t.ndim < 1 || !mare_is_contiguous(&x->t))
    return arg_error(L, 1, "contiguous tensor of at least one dimension expected");
  if (index->t.ndim != 1 || !mare_is_contiguous(&index->t))
    return arg_error(L, 2, "contiguous tensor of one dimension expected");
  if (first < 1 || n < 0 || n > index->t.numel - first + 1)
    return arg_error(L, 3, "%I rows from %I on of %I", (LUAI_UACINT)n, (LUAI_UACINT)first,
                     (LUAI_UACINT)index->t.numel);
  memcpy(shape, x->t.shape, sizeof shape);
  shape[0] = n;
  y = new_tensor(L, S, convert ? MARE_F32 : x->t.dtype, x->t.ndim, shape);
  row = (const int64_t *)(void *)index->t.data + (first - 1);
  check_rows(L, x, row, n);
  mare_batch(&x->t, row, &y->t);
  return 1;
}

/* permutation(n, seed, epoch) -> 1..n shuffled, as these three numbers say */
static int io_permutation(lua_State *L) {
  State *S = get_state(L);
  int64_t n = check_integer(L, 1), seed = check_integer(L, 2);
  int64_t epoch = check_integer(L, 3);
  mare_Rng r;
  if (n < 0) return arg_error(L, 1, "size %I is negative", (LUAI_UACINT)n);
  mare_rng_seed(&r, (uint64_t)seed);
  r.counter = (uint64_t)epoch << 40;
  mare_rng_permutation(&r, &new_tensor(L, S, MARE_I64, 1, &n)->t);
  return 1;
}

const Function io_functions[] = {
    {"read_idx", io_idx},     {"read_tensors", io_read},
    {"write_tensors", io_write}, {"batch", io_batch},
    {"permutation", io_permutation}, {NULL, NULL}};
