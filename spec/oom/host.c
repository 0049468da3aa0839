/*
** host.c -- runs a Lua script with its Nth allocation failing, for every N, and
** checks that nothing is left after lua_close.  Lua's allocator is failed, and the
** engine's: the linker hands every heap the allocator below, and every request for a
** storage or for scratch passes here first, so that blocks from the cache fail too.
**
** The script runs once, without a failure.  Before each allocation of that run the
** process forks; in the child this allocation fails and, by mode, its retry or all
** that follow until the script has ended.  So a child costs what comes after N only.
**
**   host SCRIPT [STRIDE]        STRIDE: fails every STRIDEth allocation only
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/base/storage.h"

#define BATCH 4 /* children at a time */

int luaopen_mare_core(lua_State *L);
mare_Heap *__real_mare_heap_new(mare_Alloc *alloc, void *ud);
mare_Heap *__wrap_mare_heap_new(mare_Alloc *alloc, void *ud);
mare_Storage *__real_mare_storage_new(mare_Heap *h, size_t nbytes);
mare_Storage *__wrap_mare_storage_new(mare_Heap *h, size_t nbytes);
void *__real_mare_scratch(mare_Heap *h, size_t nbytes);
void *__wrap_mare_scratch(mare_Heap *h, size_t nbytes);

typedef enum Mode { ONCE, ONWARDS, NMODE } Mode;
static const char *const mode_name[] = {"alone", "and all after it"};

typedef struct Source { /* one of the two allocators */
  const char *name;
  long count;     /* allocations so far, while armed */
  long blocks;    /* that were not freed yet */
  long failing;   /* how many of the next ones fail */
} Source;

static Source lua = {"Lua", 0, 0, 0}, engine = {"engine", 0, 0, 0};
static Source *target; /* the one that fails in this pass; NULL: none */
static Mode mode;
static long stride = 1, children, broken;
static bool child;
static const char *script;

/* -- children -------------------------------------------------------------------- */

static int running;
static struct { pid_t pid; long n; } child_of[BATCH];

static void reap(void) {
  int status, i;
  pid_t pid = wait(&status);
  for (i = 0; i < BATCH && child_of[i].pid != pid;) i++;
  running--;
  if (status != 0) {
    broken++;
    printf("  %s allocation %ld %s: %s %d\n", target->name, child_of[i].n, mode_name[mode],
           WIFSIGNALED(status) ? "signal" : "left blocks, status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  }
  child_of[i].pid = 0;
}

/* Forks; true in the child. */
static bool branch(long n) {
  int i = 0;
  pid_t pid;
  if (running == BATCH) reap();
  fflush(stdout);
  pid = fork();
  if (pid == 0) return child = true;
  if (pid < 0) exit(3);
  while (child_of[i].pid) i++;
  child_of[i].pid = pid;
  child_of[i].n = n;
  running++;
  children++;
  return false;
}

/* -- allocators -------------------------------------------------------------------- */

static bool fails(Source *s) {
  if (s->failing > 0) {
    s->failing--;
    return true;
  }
  if (s != target || child || ++s->count % stride != 0 || !branch(s->count)) return false;
  s->failing = mode == ONCE ? 1 : 1L << 60; /* the retry, or everything */
  return true;
}

static void *lua_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  if (nsize == 0) {
    if (p) lua.blocks--;
    free(p);
    return NULL;
  }
  if ((p == NULL || nsize > osize) && fails(&lua)) return NULL;
  if (p == NULL) lua.blocks++;
  return realloc(p, nsize);
}

static void *engine_alloc(void *ud, void *old, size_t size) {
  void *p;
  (void)ud;
  if (size == 0) {
    if (old) engine.blocks--;
    free(old);
    return NULL;
  }
  engine.blocks++;
  p = aligned_alloc(64, (size + 63) / 64 * 64);
  return p ? memset(p, 0xa5, size) : NULL; /* what was not written is seen at once */
}

mare_Heap *__wrap_mare_heap_new(mare_Alloc *alloc, void *ud) {
  (void)alloc, (void)ud;
  return fails(&engine) ? NULL : __real_mare_heap_new(engine_alloc, NULL);
}

mare_Storage *__wrap_mare_storage_new(mare_Heap *h, size_t nbytes) {
  return fails(&engine) ? NULL : __real_mare_storage_new(h, nbytes);
}

void *__wrap_mare_scratch(mare_Heap *h, size_t nbytes) {
  return fails(&engine) ? NULL : __real_mare_scratch(h, nbytes);
}

/* -- one run ------------------------------------------------------------------------ */

/*
** Pushes the chunk of a file, or an error; it is read at once, by C alone: a child
** that is forked in the middle would move the position of the parent in the file.
*/
static int load_whole(lua_State *L, const char *path) {
  static char text[1 << 20];
  FILE *f = fopen(path, "rb");
  size_t n = f ? fread(text, 1, sizeof text, f) : 0;
  if (f) fclose(f);
  if (n == 0 || n == sizeof text) {
    lua_pushfstring(L, "%s: not read", path);
    return LUA_ERRFILE;
  }
  return luaL_loadbuffer(L, text, n, lua_pushfstring(L, "@%s", path));
}

/* searcher(name): instead of the one that package has for files of Lua */
static int search(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchpath");
  lua_pushvalue(L, 1);
  lua_getfield(L, 2, "path");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; /* why not */
  lua_settop(L, 3);
  if (load_whole(L, lua_tostring(L, 3)) != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 3);
  return 2;
}

static int body(lua_State *L) {
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_pushcfunction(L, search);
  lua_rawseti(L, -2, 2);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_mare_core);
  lua_setfield(L, -2, "mare.core");
  lua_settop(L, 0);
  if (load_whole(L, script) != LUA_OK) return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

/* 0: all was freed. In the parent a failure of the script itself counts too. */
static int run(Source *s) {
  lua_State *L = lua_newstate(lua_alloc, NULL);
  int status;
  lua_pushcfunction(L, body);
  target = s;
  if (s) s->count = 0;
  status = lua_pcall(L, 0, 0, 0);
  if (!child && status != LUA_OK) printf("%s\n", lua_tostring(L, -1));
  lua.failing = engine.failing = 0;
  if (!child) target = NULL;
  lua_close(L);
  if (lua.blocks != 0 || engine.blocks != 0)
    printf("left: %ld blocks of Lua, %ld of the engine\n", lua.blocks, engine.blocks);
  fflush(stdout);
  if (lua.blocks != 0 || engine.blocks != 0) return 1;
  return child ? 0 : status;
}

static int pass(Source *s, Mode m) {
  long before = children;
  int status;
  mode = m;
  status = run(s);
  if (child) _exit(status);
  target = s; /* for the reports */
  while (running) reap();
  target = NULL;
  printf("%6ld failures of the %s allocator, %s: %ld bad\n", children - before, s->name,
         mode_name[m], broken);
  return status;
}

int main(int argc, char **argv) {
  int bad = 0, m;
  if (argc < 2) return 2;
  script = argv[1];
  if (argc > 2) stride = atol(argv[2]);
  setenv("MARE_THREADS", "1", 1); /* a fork keeps only the thread that called it */
  if (run(NULL) != 0) return 1;
  for (m = 0; m < NMODE; m++) {
    bad |= pass(&engine, (Mode)m);
    bad |= pass(&lua, (Mode)m);
  }
  return bad != 0 || broken != 0;
}
