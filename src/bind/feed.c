/*
** feed.c -- batches for Lua: rows of several tensors in a given order, those of the next
** batches made ahead of time.  The tensors that a batch will be are allocated, counted
** and given out here; the thread of io/feed.c only fills them.
*/
#include "../io/batch.h"
#include "../io/feed.h"

#include <string.h>

#include "bind.h"

/*
** What is in memory is there as soon as it is asked for: a thread would take a core from
** the step for little.  It pays for what is still on a disk; for the rest those of the
** pool find time, where a batch is worth more than one of them.
*/
#define AHEAD 2
#define SHARED (2 * MARE_BATCH_PIECE)

struct Feed { /* a userdata; x, y and indices stand behind it */
  mare_Feed f;
  Feed *next, **link; /* in the list of those that are open */
  mare_Heap *heap;   /* NULL: closed */
  mare_Tensor rows;  /* i64: the rows of x in their order */
  mare_Tensor *x;
  int n;             /* of x */
  int64_t first, last, size; /* rows of the first batch from .. on; of all; of one */
  uint64_t *stamp;   /* of each job */
};

/* grows with every write to what is read */
static uint64_t stamp(const Feed *f) {
  uint64_t sum = f->rows.storage->version;
  for (int i = 0; i < f->n; i++) sum += f->x[i].storage->version;
  return sum;
}

static void enlist(State *S, Feed *f) {
  f->heap = S->heap;
  f->next = S->feeds;
  f->link = &S->feeds;
  if (f->next) f->next->link = &f->next;
  S->feeds = f;
}

static void stop(Feed *f) {
  mare_feed_stop(&f->f);
  *f->link = f->next;
  if (f->next) f->next->link = f->link;
  for (int k = 0; k < f->f.depth; k++)
    for (int i = 0; i < f->n; i++) mare_tensor_release(&f->f.job[k].y[i]);
  for (int i = 0; i < f->n; i++) mare_tensor_release(&f->x[i]);
  mare_tensor_release(&f->rows);
  f->heap = NULL;
}

void close_feeds(State *S) {
  while (S->feeds) stop(S->feeds);
}

static int feed_gc(lua_State *L) {
  Feed *f = luaL_checkudata(L, 1, "mare.Feed");
  if (f->heap) stop(f);
  return 0;
}

static int feed_close(lua_State *L) { /* __close, close: not while a batch is made */
  return interrupting(L) ? 0 : feed_gc(L);
}

/* -- opening ------------------------------------------------------------------------- */

static void own(mare_Tensor *t, const mare_Tensor *from) {
  *t = *from;
  mare_storage_retain(t->storage);
}

/* the shapes of batches of x; of the first `convert` tensors u8 becomes f32 */
static void shape_batch(Feed *f, mare_Job *j, int convert) {
  for (int i = 0; i < f->n; i++) {
    j->y[i] = f->x[i];
    j->y[i].storage = NULL;
    if (i < convert && f->x[i].dtype == MARE_U8) j->y[i].dtype = MARE_F32;
  }
}

/* closed, with room for everything; pushed */
static Feed *push_feed(lua_State *L, int n, int depth, int64_t size) {
  static const luaL_Reg methods[] = {
      {"__gc", feed_gc}, {"__close", feed_close}, {"close", feed_close}, {NULL, NULL}};
  size_t tensors = (size_t)n * sizeof(mare_Tensor), jobs = (size_t)depth;
  size_t room = sizeof(Feed) + tensors + jobs * (sizeof(mare_Job) + sizeof(uint64_t)) +
                jobs * (tensors + (size_t)size * sizeof(int64_t));
  Feed *f = lua_newuserdatauv(L, room, 0);
  memset(f, 0, room);
  f->n = n;
  f->size = size;
  f->f.depth = depth;
  f->x = (mare_Tensor *)(f + 1);
  f->f.job = (mare_Job *)(f->x + n);
  mare_Tensor *y = (mare_Tensor *)(f->f.job + depth);
  int64_t *index = (int64_t *)(y + n * depth);
  for (int k = 0; k < depth; k++)
    f->f.job[k] =
        (mare_Job){.x = f->x, .y = y + k * n, .n = n, .index = index + k * size};
  f->stamp = (uint64_t *)(index + depth * size);
  luaL_newmetatable(L, "mare.Feed"); /* it may be there, half made */
  lua_pushvalue(L, lua_upvalueindex(1));
  luaL_setfuncs(L, methods, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return f;
}

/* tensor i of the list at 1, which is pushed */
static Object *check_source(lua_State *L, State *S, int i) {
  lua_rawgeti(L, 1, i + 1);
  Object *o = test_tensor(L, S, -1);
  if (o == NULL || o->t.storage == NULL || o->t.ndim < 1 || !mare_is_contiguous(&o->t))
    arg_error(L, 1, "open, contiguous tensors with rows expected");
  own_storage(L, S, -1);
  return o;
}

/*
** feed(list of tensors, convert, rows, first, last, size, ahead) -> a feed of batches: of
** the rows[first .. last] of each tensor, size at a time, so many of them ahead of time
** (-1: as many as pay).  In the first `convert` tensors u8 becomes f32 in 0..1.
*/
static int feed_open(lua_State *L) {
  State *S = get_state(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  int n = (int)lua_rawlen(L, 1), convert = (int)check_integer(L, 2);
  Object *rows = check_dtype(L, S, 3, MARE_I64);
  int64_t first = check_integer(L, 4), last = check_integer(L, 5);
  int64_t size = check_integer(L, 6), ahead = check_integer(L, 7);
  if (rows->t.ndim != 1 || !mare_is_contiguous(&rows->t) || last > rows->t.numel)
    return arg_error(L, 3, "contiguous tensor of %I rows expected", (LUAI_UACINT)last);
  if (first < 1) return arg_error(L, 4, "a row of at least 1 expected");
  if (size < 1) return arg_error(L, 6, "a size of at least 1 expected");
  if (ahead < -1 || ahead > 1000) return arg_error(L, 7, "0 to 1000 batches expected");
  bool mapped = false;
  int64_t row = 0; /* bytes of a row of all of them */
  for (int i = 0; i < n; i++, lua_pop(L, 1)) {
    const mare_Tensor *t = &check_source(L, S, i)->t;
    mapped |= mare_storage_mapped(t->storage);
    row += mare_batch_row(t);
  }
  if (last < first) last = first - 1;
  if (size > last - first + 1) size = last - first + 1;
  bool pooled = ahead < 0 && !mapped && row > 0 && size > SHARED / row;
  if (ahead < 0) ahead = mapped ? AHEAD : pooled;
  Feed *f = push_feed(L, n, (int)ahead + 1, size);
  f->f.pooled = pooled;
  enlist(S, f);
  f->first = first - 1;
  f->last = last;
  own(&f->rows, &rows->t);
  for (int i = 0; i < n; i++, lua_pop(L, 1)) own(&f->x[i], &check_source(L, S, i)->t);
  for (int k = 0; k <= ahead; k++) shape_batch(f, &f->f.job[k], convert);
  return 1;
}

/* -- batches ------------------------------------------------------------------------- */

static int64_t start_of(const Feed *f, int64_t k) { /* batch k, 0-based */
  return f->first + k * f->size;
}

static int64_t rows_of(const Feed *f, int64_t k) {
  int64_t left = f->last - start_of(f, k);
  return left < f->size ? left : f->size;
}

/* which rows batch k has; false: one of them is not there */
static bool set_rows(const Feed *f, mare_Job *j, int64_t k) {
  int64_t n = rows_of(f, k);
  const int64_t *rows = (const int64_t *)(void *)f->rows.data + start_of(f, k);
  memcpy(j->index, rows, (size_t)n * sizeof *rows);
  for (int i = 0; i < f->n; i++)
    for (int64_t r = 0; r < n; r++)
      if (j->index[r] < 1 || j->index[r] > f->x[i].shape[0]) return false;
  return true;
}

/* memory for what j lacks; *nbytes are those of a failure */
static mare_Status set_room(lua_State *L, State *S, const Feed *f, mare_Job *j,
                            int64_t k, size_t *nbytes) {
  for (int i = 0; i < f->n; i++) {
    mare_Tensor *y = &j->y[i];
    int64_t shape[MARE_MAXDIM];
    if (y->storage) continue;
    memcpy(shape, y->shape, sizeof shape);
    shape[0] = rows_of(f, k);
    if (!mare_shape_set(y, y->dtype, y->ndim, shape)) return MARE_NOMEM;
    *nbytes = (size_t)y->numel * mare_sizeof[y->dtype];
    make_room(L, S, *nbytes);
    mare_Status st = mare_tensor_alloc(f->heap, y);
    if (st == MARE_OK) continue;
    y->storage = NULL;
    return st;
  }
  return MARE_OK;
}

static mare_Status fill(lua_State *L, State *S, Feed *f, mare_Job *j, int64_t k,
                        size_t *nbytes) {
  f->stamp[k % f->f.depth] = stamp(f);
  if (!set_rows(f, j, k)) return MARE_BADARG;
  return set_room(L, S, f, j, k, nbytes);
}

/* the same; or raises */
static void must_fill(lua_State *L, State *S, Feed *f, mare_Job *j, int64_t k) {
  size_t nbytes = 0;
  mare_Status st = fill(L, S, f, j, k, &nbytes);
  if (st == MARE_BADARG) user_error(L, "the data set names rows that are not there");
  if (relieve(L, S, st)) st = fill(L, S, f, j, k, &nbytes);
  check_status(L, S, st, nbytes);
}

/* batches that the thread makes; one that there is no memory for waits to be asked for */
static void put_ahead(lua_State *L, State *S, Feed *f) {
  mare_Feed *q = &f->f;
  size_t nbytes;
  while (q->put - q->taken < q->depth - 1 && start_of(f, q->put) < f->last) {
    mare_Job *j = mare_feed_next(q);
    if (fill(L, S, f, j, q->put, &nbytes) != MARE_OK) {
      for (int i = 0; i < f->n; i++) mare_tensor_release(&j->y[i]);
      return;
    }
    mare_feed_put(q, true);
  }
}

/* a job that was done on what has changed since, or whose tensors are partly gone */
static bool is_stale(const Feed *f, const mare_Job *j) {
  bool stale = stamp(f) != f->stamp[f->f.taken % f->f.depth];
  for (int i = 0; i < f->n; i++) stale |= j->y[i].storage == NULL;
  return stale;
}

/* the next job, done; or j, done again.  What was broken off will be stale. */
static mare_Job *get(lua_State *L, Feed *f, mare_Job *j) {
  watch_hook(L); /* finalizers may have run */
  if (j) mare_job_run(j);
  else j = mare_feed_await(&f->f);
  if (mare_watch.stop) f->stamp[f->f.taken % f->f.depth] = UINT64_MAX;
  check_hook(L);
  return j;
}

/* feed_next(feed) -> the tensors of a batch, or nothing */
static int feed_next(lua_State *L) {
  State *S = get_state(L);
  Feed *f = luaL_checkudata(L, 1, "mare.Feed");
  mare_Feed *q = &f->f;
  if (interrupting(L)) return user_error(L, "a finalizer inside a call asks for a batch");
  if (f->heap == NULL || start_of(f, q->taken) >= f->last) return 0;
  luaL_checkstack(L, f->n + 8, "too many tensors in a batch");
  if (q->taken == q->put) {
    must_fill(L, S, f, mare_feed_next(q), q->put);
    mare_feed_put(q, false);
  }
  mare_Job *j = get(L, f, NULL);
  if (is_stale(f, j)) {
    must_fill(L, S, f, j, q->taken);
    get(L, f, j);
  }
  for (int i = 0; i < f->n; i++) new_owner(L, S, &j->y[i]);
  mare_feed_take(q);
  put_ahead(L, S, f);
  return f->n;
}

const Function feed_functions[] = {
    {"feed", feed_open}, {"feed_next", feed_next}, {NULL, NULL}};
