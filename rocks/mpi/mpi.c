/*
** mpi.c -- mare.mpi.core: collective operations of MPI on the memory of tensors.
**
** Each function starts its operation and returns a request, a userdata; request:test()
** gives it a few milliseconds and says whether it is done.  Waiting is a loop in Lua, so
** that a debug hook, and with it Ctrl-C, can end it.  A request keeps the memory that MPI
** reads and writes; one that is dropped before it is done keeps it for good.
*/
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <mpi.h>

#include "../../src/bind/bridge.h"

#define CHUNK (1 << 28)  /* elements of one call: MPI counts them in an int */
#define SPINS 1000       /* tests without a pause, then with the processor given away ... */
#define PATIENCE 1e-3    /* ... for this many seconds, then with short sleeps ... */
#define LONGEST 5e-3     /* ... until so many have passed */

typedef struct Guard { /* in the registry: what the end of the Lua state finds */
  pid_t owner;         /* the process that called init; 0: none has */
  int rank, size;
} Guard;

static Guard running; /* a copy of it: what the end of the process finds */

typedef struct Request {
  const mare_Bridge *bridge;
  void *storage[2]; /* what MPI reads and writes; NULL: nothing */
  int n;            /* calls of MPI */
  MPI_Request call[]; /* MPI_REQUEST_NULL: done */
} Request;

static const mare_Bridge *get_bridge(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

static void check_mpi(lua_State *L, int code) {
  char text[MPI_MAX_ERROR_STRING];
  int n;
  if (code == MPI_SUCCESS) return;
  MPI_Error_string(code, text, &n);
  luaL_error(L, "MPI: %s", text);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- requests ------------------------------------------------------------------------ */

/* pushes a request of n calls that touch the tensors at these indices (0: none) */
static Request *new_request(lua_State *L, int n, int a, int b) {
  const mare_Bridge *bridge = get_bridge(L);
  const int idx[2] = {a, b};
  Request *r = lua_newuserdatauv(L, sizeof *r + (size_t)n * sizeof *r->call, 0);
  *r = (Request){.bridge = bridge, .n = n};
  for (int i = 0; i < n; i++) r->call[i] = MPI_REQUEST_NULL;
  luaL_setmetatable(L, "mare.mpi.Request");
  for (int i = 0; i < 2; i++) {
    mare_View v;
    if (idx[i] == 0 || !bridge->view(bridge, L, idx[i], &v)) continue;
    bridge->retain(v.storage);
    r->storage[i] = v.storage;
  }
  return r;
}

static void let_go(Request *r) {
  for (int i = 0; i < 2; i++)
    if (r->storage[i]) r->bridge->release(r->storage[i]);
  memset(r->storage, 0, sizeof r->storage);
}

static void give_way(int tries, double waited) {
  const struct timespec nap = {0, 50000};
  if (waited > PATIENCE) nanosleep(&nap, NULL);
  else if (tries > SPINS) sched_yield();
}

/* are all calls done?  source: who sent, to the first of them */
static int test_calls(lua_State *L, Request *r, int *source) {
  int all = 1, done;
  MPI_Status status;
  for (int i = 0; i < r->n; i++) {
    const int open = r->call[i] != MPI_REQUEST_NULL;
    check_mpi(L, MPI_Test(&r->call[i], &done, &status));
    all = all && done;
    if (i == 0 && open && done) *source = status.MPI_SOURCE;
  }
  return all;
}

static int request_test(lua_State *L) { /* r:test([briefly]) -> done, source */
  Request *r = luaL_checkudata(L, 1, "mare.mpi.Request");
  double began = now();
  int done = 0, source = -1;
  for (int tries = 1; !done; tries++) {
    done = test_calls(L, r, &source);
    double waited = now() - began;
    if (done || lua_toboolean(L, 2) || waited > LONGEST) break;
    give_way(tries, waited);
  }
  if (done) let_go(r);
  lua_pushboolean(L, done);
  lua_pushinteger(L, source);
  return 2;
}

static int request_gc(lua_State *L) {
  Request *r = luaL_checkudata(L, 1, "mare.mpi.Request");
  for (int i = 0; i < r->n; i++)
    if (r->call[i] != MPI_REQUEST_NULL) return 0;
  let_go(r);
  return 0;
}

/* -- arguments: checked in Lua, but memory is not trusted to that --------------------- */

static const struct {
  const char *name;
  MPI_Datatype type;
  size_t size;
} types[] = {{"f32", MPI_FLOAT, 4},
             {"f64", MPI_DOUBLE, 8},
             {"i64", MPI_INT64_T, 8},
             {"u8", MPI_UINT8_T, 1}};

static int type_of(lua_State *L, const mare_View *v) {
  for (int i = 0; i < 4; i++)
    if (strcmp(v->dtype, types[i].name) == 0) return i;
  return luaL_error(L, "unknown element type %s", v->dtype);
}

static void get_view(lua_State *L, int idx, mare_View *v) {
  const mare_Bridge *b = get_bridge(L);
  if (!b->view(b, L, idx, v)) luaL_argerror(L, idx, "open tensor expected");
  if (!v->contiguous) luaL_argerror(L, idx, "contiguous tensor expected");
}

static void get_writable(lua_State *L, int idx, mare_View *v) {
  const mare_Bridge *b = get_bridge(L);
  get_view(L, idx, v);
  b->write(b, L, idx);
}

static MPI_Op get_op(lua_State *L, int idx) {
  static const char *const names[] = {"sum", "prod", "min", "max", NULL};
  const MPI_Op op[] = {MPI_SUM, MPI_PROD, MPI_MIN, MPI_MAX};
  return op[luaL_checkoption(L, idx, NULL, names)];
}

static int get_rank(lua_State *L, int idx) {
  int size;
  lua_Integer r = luaL_checkinteger(L, idx);
  check_mpi(L, MPI_Comm_size(MPI_COMM_WORLD, &size));
  luaL_argcheck(L, r >= 0 && r < size, idx, "no such rank");
  return (int)r;
}

static int count_of(lua_State *L, int64_t n) { /* for what is not done in chunks */
  if (n > INT32_MAX) luaL_error(L, "more than 2^31 - 1 elements for each rank");
  return (int)n;
}

static int chunks_of(const mare_View *v) {
  return v->numel ? (int)((v->numel - 1) / CHUNK) + 1 : 1;
}

/* chunk i of v: its first element and how many there are */
static void *chunk(lua_State *L, const mare_View *v, int i, int *n) {
  int64_t first = (int64_t)i * CHUNK, rest = v->numel - first;
  *n = rest < CHUNK ? (int)rest : CHUNK;
  return (char *)v->data + (size_t)first * types[type_of(L, v)].size;
}

/* -- collectives ----------------------------------------------------------------------- */

static int mpi_barrier(lua_State *L) { /* barrier() -> request */
  Request *r = new_request(L, 1, 0, 0);
  check_mpi(L, MPI_Ibarrier(MPI_COMM_WORLD, r->call));
  return 1;
}

static int mpi_broadcast(lua_State *L) { /* broadcast(t, root): t in place */
  mare_View v;
  int n, rank, root = get_rank(L, 2);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == root) get_view(L, 1, &v);
  else get_writable(L, 1, &v);
  Request *r = new_request(L, chunks_of(&v), 1, 0);
  for (int i = 0; i < r->n; i++) {
    void *p = chunk(L, &v, i, &n);
    check_mpi(L, MPI_Ibcast(p, n, types[type_of(L, &v)].type, root, MPI_COMM_WORLD,
                            &r->call[i]));
  }
  return 1;
}

static int mpi_allreduce(lua_State *L) { /* allreduce(t, op): t in place */
  mare_View v;
  int n;
  MPI_Op op = get_op(L, 2);
  get_writable(L, 1, &v);
  Request *r = new_request(L, chunks_of(&v), 1, 0);
  for (int i = 0; i < r->n; i++) {
    void *p = chunk(L, &v, i, &n);
    check_mpi(L, MPI_Iallreduce(MPI_IN_PLACE, p, n, types[type_of(L, &v)].type, op,
                                MPI_COMM_WORLD, &r->call[i]));
  }
  return 1;
}

static int mpi_reduce(lua_State *L) { /* reduce(t, op, root): t in place on the root */
  mare_View v;
  int n, rank, root = get_rank(L, 3);
  MPI_Op op = get_op(L, 2);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == root) get_writable(L, 1, &v);
  else get_view(L, 1, &v);
  Request *r = new_request(L, chunks_of(&v), 1, 0);
  for (int i = 0; i < r->n; i++) {
    void *p = chunk(L, &v, i, &n);
    check_mpi(L, MPI_Ireduce(rank == root ? MPI_IN_PLACE : p, p, n,
                             types[type_of(L, &v)].type, op, root, MPI_COMM_WORLD,
                             &r->call[i]));
  }
  return 1;
}

/* large is (size, ...) of what small is on one rank */
static void check_parts(lua_State *L, const mare_View *small, const mare_View *large) {
  int size;
  check_mpi(L, MPI_Comm_size(MPI_COMM_WORLD, &size));
  if (large->numel != small->numel * size || strcmp(large->dtype, small->dtype) != 0)
    luaL_error(L, "the two tensors do not fit each other");
}

static int mpi_allgather(lua_State *L) { /* allgather(x, y): y (size, ...) */
  mare_View x, y;
  get_view(L, 1, &x);
  get_writable(L, 2, &y);
  check_parts(L, &x, &y);
  int n = count_of(L, x.numel);
  MPI_Datatype t = types[type_of(L, &x)].type;
  Request *r = new_request(L, 1, 1, 2);
  check_mpi(L, MPI_Iallgather(x.data, n, t, y.data, n, t, MPI_COMM_WORLD, r->call));
  return 1;
}

static int mpi_gather(lua_State *L) { /* gather(x, y or nil, root): y (size, ...) there */
  mare_View x, y = {.data = NULL};
  int rank, root = get_rank(L, 3);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  get_view(L, 1, &x);
  if (rank == root) {
    get_writable(L, 2, &y);
    check_parts(L, &x, &y);
  }
  int n = count_of(L, x.numel);
  MPI_Datatype t = types[type_of(L, &x)].type;
  Request *r = new_request(L, 1, 1, rank == root ? 2 : 0);
  check_mpi(L, MPI_Igather(x.data, n, t, y.data, n, t, root, MPI_COMM_WORLD, r->call));
  return 1;
}

static int mpi_scatter(lua_State *L) { /* scatter(x or nil, y, root): x (size, ...) there */
  mare_View x = {.data = NULL}, y;
  int rank, root = get_rank(L, 3);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  get_writable(L, 2, &y);
  if (rank == root) {
    get_view(L, 1, &x);
    check_parts(L, &y, &x);
  }
  int n = count_of(L, y.numel);
  MPI_Datatype t = types[type_of(L, &y)].type;
  Request *r = new_request(L, 1, rank == root ? 1 : 0, 2);
  check_mpi(L, MPI_Iscatter(x.data, n, t, y.data, n, t, root, MPI_COMM_WORLD, r->call));
  return 1;
}

/* -- from one to another ----------------------------------------------------------------- */

static int mpi_send(lua_State *L) { /* send(t, to, tag) */
  mare_View v;
  int n, to = get_rank(L, 2), tag = (int)luaL_checkinteger(L, 3);
  get_view(L, 1, &v);
  Request *r = new_request(L, chunks_of(&v), 1, 0);
  for (int i = 0; i < r->n; i++) {
    void *p = chunk(L, &v, i, &n);
    check_mpi(L, MPI_Isend(p, n, types[type_of(L, &v)].type, to, tag, MPI_COMM_WORLD,
                           &r->call[i]));
  }
  return 1;
}

static int mpi_receive(lua_State *L) { /* receive(t, from or nil: anybody, tag) */
  mare_View v;
  int n, from = lua_isnil(L, 2) ? MPI_ANY_SOURCE : get_rank(L, 2);
  int tag = (int)luaL_checkinteger(L, 3);
  get_writable(L, 1, &v);
  Request *r = new_request(L, chunks_of(&v), 1, 0);
  for (int i = 0; i < r->n; i++) {
    void *p = chunk(L, &v, i, &n);
    check_mpi(L, MPI_Irecv(p, n, types[type_of(L, &v)].type, from, tag, MPI_COMM_WORLD,
                           &r->call[i]));
  }
  return 1;
}

/* -- the job ------------------------------------------------------------------------------ */

/*
** The share of this rank in the n threads that it would start by itself, on a machine
** whose cores it may share with other ranks: n, divided by how many ranks there are to a
** core on average.
*/
static int fair_share(lua_State *L, int n) {
  cpu_set_t mine, all;
  MPI_Comm local;
  int total;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) return n;
  int own = CPU_COUNT(&mine);
  check_mpi(L, MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                                   &local));
  check_mpi(L, MPI_Allreduce(&mine, &all, sizeof mine, MPI_BYTE, MPI_BOR, local));
  check_mpi(L, MPI_Allreduce(&own, &total, 1, MPI_INT, MPI_SUM, local));
  MPI_Comm_free(&local);
  int share = (int)((double)n * CPU_COUNT(&all) / total);
  return share < 1 ? 1 : share;
}

static int mpi_init(lua_State *L) { /* init(threads) -> rank, size, share of the threads */
  Guard *g = lua_touserdata(L, lua_upvalueindex(2));
  int began, level, threads = (int)luaL_checkinteger(L, 1);
  check_mpi(L, MPI_Initialized(&began));
  if (!began) {
    check_mpi(L, MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level));
    g->owner = getpid();
  }
  check_mpi(L, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  check_mpi(L, MPI_Comm_rank(MPI_COMM_WORLD, &g->rank));
  check_mpi(L, MPI_Comm_size(MPI_COMM_WORLD, &g->size));
  if (g->owner) running = *g;
  lua_pushinteger(L, g->rank);
  lua_pushinteger(L, g->size);
  lua_pushinteger(L, fair_share(L, threads));
  return 3;
}

static int mpi_finalize(lua_State *L) {
  Guard *g = lua_touserdata(L, lua_upvalueindex(2));
  if (g->owner == getpid()) check_mpi(L, MPI_Finalize());
  g->owner = running.owner = 0;
  return 0;
}

/* ends all ranks, when mpirun has had the time to read what this one said */
static void stop_all(int code) {
  const struct timespec nap = {0, 200000000};
  running.owner = 0;
  fflush(NULL);
  nanosleep(&nap, NULL);
  MPI_Abort(MPI_COMM_WORLD, code);
}

static int mpi_abort(lua_State *L) { /* abort(code) */
  stop_all((int)luaL_checkinteger(L, 1));
  return 0;
}

/*
** The Lua state ends without finalize, most likely by an error, or the process does, by
** os.exit: others would wait for this rank for ever, so the job ends.
*/
static void check_end(const Guard *g) {
  if (g->owner == 0 || g->owner != getpid()) return;
  fprintf(stderr, "mare.mpi: rank %d of %d ended without mpi.finalize(); all ranks stop\n",
          g->rank, g->size);
  stop_all(1);
}

static int guard_gc(lua_State *L) {
  check_end(lua_touserdata(L, 1));
  return 0;
}

__attribute__((destructor)) static void process_ends(void) { check_end(&running); }

static int mpi_library(lua_State *L) { /* library() -> its name and version */
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int n;
  check_mpi(L, MPI_Get_library_version(text, &n));
  lua_pushlstring(L, text, (size_t)n);
  return 1;
}

/* -- opening -------------------------------------------------------------------------------- */

static const luaL_Reg functions[] = {
    {"init", mpi_init},           {"finalize", mpi_finalize},   {"abort", mpi_abort},
    {"library", mpi_library},     {"barrier", mpi_barrier},     {"broadcast", mpi_broadcast},
    {"allreduce", mpi_allreduce}, {"reduce", mpi_reduce},       {"allgather", mpi_allgather},
    {"gather", mpi_gather},       {"scatter", mpi_scatter},     {"send", mpi_send},
    {"receive", mpi_receive},     {NULL, NULL}};

static void push_bridge(lua_State *L) {
  const mare_Bridge *b;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "mare.core") != LUA_TTABLE ||
      lua_getfield(L, -1, "bridge") != LUA_TUSERDATA)
    luaL_error(L, "mare.mpi needs mare, and one that offers its tensors to other modules");
  b = lua_touserdata(L, -1);
  if (b->version != MARE_BRIDGE)
    luaL_error(L, "mare.mpi was built for version %d of mare's bridge, not %d", MARE_BRIDGE,
               b->version);
}

static void push_guard(lua_State *L) {
  Guard *g = lua_newuserdatauv(L, sizeof *g, 0);
  *g = (Guard){0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, guard_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

static void make_request_metatable(lua_State *L) {
  luaL_newmetatable(L, "mare.mpi.Request");
  lua_pushcfunction(L, request_gc);
  lua_setfield(L, -2, "__gc");
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, request_test);
  lua_setfield(L, -2, "test");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

__attribute__((visibility("default"))) int luaopen_mare_mpi_core(lua_State *L);

int luaopen_mare_mpi_core(lua_State *L) {
  lua_settop(L, 0);
  make_request_metatable(L);
  luaL_newlibtable(L, functions);
  push_bridge(L);
  push_guard(L);
  lua_pushvalue(L, 1);
  lua_rotate(L, -3, 1); /* library, bridge, guard */
  luaL_setfuncs(L, functions, 2);
  return 1;
}
