/*
** host.c -- a program that Maré is a guest of, built by manners_spec.lua.
**
**   host threads WORK     eight threads with a state each, at once; the results of one
**   host states WORK N    N states, one after the other; how memory grew, in KB
**   host alloc WORK       a state and an engine with allocators of the host's own
**   host limit WORK       an allocator of Lua with less and less to give
**   host untouched WORK [LOCALE]    what of the process is another after the work
**
** WORK is a file that returns a string.  Prints "well" at the end when all is.
*/
#define _GNU_SOURCE
#include <fcntl.h>
#include <fenv.h>
#include <lauxlib.h>
#include <locale.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define THREADS 8
#define TEXT 65536

static const char *work;

/* -- one state ----------------------------------------------------------------------- */

static int body(lua_State *L) {
  luaL_openlibs(L);
  if (luaL_dofile(L, work) != LUA_OK) return lua_error(L);
  return 1;
}

/* what the work returns, into out; false and the message after an error */
static bool run_in(lua_State *L, char *out, size_t size) {
  lua_pushcfunction(L, body);
  bool ok = lua_pcall(L, 0, 1, 0) == LUA_OK;
  const char *s = lua_tostring(L, -1);
  snprintf(out, size, "%s", s ? s : "no string");
  return ok;
}

static bool run(char *out, size_t size) {
  lua_State *L = luaL_newstate();
  bool ok = run_in(L, out, size);
  lua_close(L);
  return ok;
}

static int fail(const char *what, const char *text) {
  printf("%s: %s\n", what, text);
  return 1;
}

/* -- threads ------------------------------------------------------------------------- */

static char results[THREADS][4096];

static void *thread(void *out) {
  if (!run(out, sizeof *results)) fail("a thread", out);
  return NULL;
}

static int threads(void) {
  char alone[sizeof *results];
  pthread_t t[THREADS];
  if (!run(alone, sizeof alone)) return fail("alone", alone);
  for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, thread, results[i]);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < THREADS; i++)
    if (strcmp(alone, results[i]) != 0) return fail("another result", results[i]);
  return 0;
}

/* -- one after the other --------------------------------------------------------------- */

static long resident(void) { /* KB */
  long pages = 0, all;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL) return 0;
  if (fscanf(f, "%ld %ld", &all, &pages) != 2) pages = 0;
  fclose(f);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int states(int n) {
  char first[4096], out[4096];
  long before = 0;
  if (!run(first, sizeof first)) return fail("the first", first);
  for (int i = 0; i < n; i++) {
    if (!run(out, sizeof out)) return fail("a state", out);
    if (strcmp(first, out) != 0) return fail("another result", out);
    if (i == n / 4) before = resident();
  }
  printf("%ld KB more\n", resident() - before);
  return 0;
}

/* -- allocators ------------------------------------------------------------------------ */

typedef struct Count {
  size_t used, most, limit;
  long blocks;
} Count;

static void *lua_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  Count *c = ud;
  if (p == NULL) osize = 0;
  if (nsize > osize && c->used + (nsize - osize) > c->limit) return NULL;
  void *q = nsize ? realloc(p, nsize) : NULL;
  if (nsize == 0) free(p);
  else if (q == NULL) return NULL;
  c->blocks += (nsize > 0) - (p != NULL);
  c->used += nsize - osize;
  if (c->used > c->most) c->most = c->used;
  return q;
}

/* the engine's: size 0 frees; a pair of it and its data is left in the registry */
static void *engine_alloc(void *ud, void *old, size_t size) {
  Count *c = ud;
  void *p;
  c->blocks += size ? 1 : old ? -1 : 0;
  if (size == 0) {
    free(old);
    return NULL;
  }
  c->used += size;
  return posix_memalign(&p, 64, size) == 0 ? p : NULL;
}

typedef struct Hook {
  void *(*alloc)(void *ud, void *old, size_t size);
  void *ud;
} Hook;

static int allocators(void) {
  char usual[4096], out[4096];
  Count lua = {.limit = SIZE_MAX}, engine = {0};
  Hook hook = {engine_alloc, &engine};
  lua_State *L = lua_newstate(lua_alloc, &lua);
  lua_pushlightuserdata(L, &hook);
  lua_setfield(L, LUA_REGISTRYINDEX, "mare.alloc");
  bool ok = run_in(L, out, sizeof out);
  lua_close(L);
  if (!ok) return fail("with allocators", out);
  if (!run(usual, sizeof usual) || strcmp(usual, out) != 0) return fail("differs", out);
  if (engine.used == 0) return fail("the engine", "did not use its allocator");
  if (lua.blocks || engine.blocks)
    return printf("%ld blocks of Lua and %ld of the engine are left\n", lua.blocks,
                  engine.blocks), 1;
  return 0;
}

static int limit(void) {
  char usual[4096], out[4096];
  Count all = {.limit = SIZE_MAX};
  lua_State *L = lua_newstate(lua_alloc, &all);
  bool ok = run_in(L, usual, sizeof usual);
  int failures = 0;
  lua_close(L);
  if (!ok) return fail("without a limit", usual);
  for (int i = 1; i <= 40; i++) { /* from a fortieth of what it takes up to all */
    Count c = {.limit = all.most / 40 * (size_t)i};
    if ((L = lua_newstate(lua_alloc, &c)) == NULL) continue;
    ok = run_in(L, out, sizeof out);
    lua_close(L);
    if (c.blocks) return printf("%ld blocks are left\n", c.blocks), 1;
    if (ok && strcmp(usual, out) != 0) return fail("differs", out);
    failures += !ok;
    if (!ok && strstr(out, "not enough memory") == NULL && strstr(out, "error loading") == NULL)
      return fail("another error", out);
  }
  printf("%d of 40 failed\n", failures);
  return failures == 0;
}

/* -- what belongs to the process -------------------------------------------------------- */

static char *put(char *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static char *put(char *p, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  p += vsprintf(p, fmt, ap);
  va_end(ap);
  return p;
}

static char *put_bytes(char *p, const void *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) p = put(p, "%02x", ((const unsigned char *)bytes)[i]);
  return p;
}

static char *put_signals(char *p) {
  sigset_t mask;
  stack_t stack;
  for (int i = 1; i < NSIG; i++) {
    struct sigaction act;
    memset(&act, 0, sizeof act);
    if (sigaction(i, NULL, &act) != 0) continue;
    p = put(p, "signal %d: %p flags %x mask ", i, (void *)act.sa_handler, act.sa_flags);
    p = put_bytes(p, &act.sa_mask, 8);
    p = put(p, "\n");
  }
  sigemptyset(&mask);
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  p = put_bytes(put(p, "blocked "), &mask, 8);
  sigaltstack(NULL, &stack);
  return put(p, "\nstack of signals %p\n", stack.ss_sp);
}

static char *put_numbers(char *p) {
  p = put(p, "rounding %d exceptions %d\n", fegetround(), fegetexcept());
#ifdef __SSE2__ /* the flags of what has happened are results, the rest is the mode */
  p = put(p, "mxcsr %x\n", __builtin_ia32_stmxcsr() & ~0x3fu);
#endif
#if defined(__x86_64__) || defined(__i386__)
  unsigned short word;
  __asm__ volatile("fnstcw %0" : "=m"(word));
  p = put(p, "x87 %x\n", word);
#endif
  return p;
}

static char *put_files(char *p) {
  FILE *const all[] = {stdin, stdout, stderr};
  for (int i = 0; i < 3; i++)
    p = put(p, "file %d: buffer %zu by lines %d flags %x\n", i, __fbufsize(all[i]),
            __flbf(all[i]), fcntl(i, F_GETFL));
  for (int fd = 3; fd < 100; fd++)
    if (fcntl(fd, F_GETFD) >= 0) p = put(p, "file %d is open\n", fd);
  return p;
}

/* one thing on each line */
static void snapshot(char *p) {
  char cwd[4096];
  struct rlimit r;
  cpu_set_t set;
  struct sched_param param;
  mode_t mask = umask(0);
  umask(mask);
  p = put_files(put_numbers(put_signals(p)));
  for (int i = 0; i <= LC_IDENTIFICATION; i++)
    p = put(p, "locale %d: %s\n", i, setlocale(i, NULL));
  p = put(p, "thread's locale %p\n", (void *)uselocale((locale_t)0));
  p = put(p, "folder %s\numask %o\n", getcwd(cwd, sizeof cwd), mask);
  for (char **e = environ; *e; e++)
    if (strlen(*e) < 500) p = put(p, "environment %s\n", *e);
  for (int i = 0; i < RLIMIT_NLIMITS; i++)
    if (getrlimit(i, &r) == 0)
      p = put(p, "limit %d: %lu %lu\n", i, (unsigned long)r.rlim_cur, (unsigned long)r.rlim_max);
  sched_getaffinity(0, sizeof set, &set);
  p = put_bytes(put(p, "cores "), &set, 16);
  sched_getparam(0, &param);
  put(p, "\nscheduling %d %d %d\n", sched_getscheduler(0), param.sched_priority,
      getpriority(PRIO_PROCESS, 0));
}

/* prints the lines of a that differ from those of b */
static int compare(const char *when, const char *a, const char *b) {
  int bad = 0;
  while (*a || *b) {
    size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
    if (n != m || memcmp(a, b, n) != 0) {
      printf("%s: '%.*s' became '%.*s'\n", when, (int)n, a, (int)m, b);
      bad = 1;
    }
    a += n + (a[n] == '\n');
    b += m + (b[m] == '\n');
  }
  return bad;
}

static char before[TEXT], after[TEXT];

/* under a mode and handlers that are not the usual ones */
static void on_signal(int sig) { (void)sig; }

static int untouched(const char *name) {
  char out[4096];
  lua_State *L = luaL_newstate();
  if (name && setlocale(LC_ALL, name) == NULL) return fail("no such locale", name);
  signal(SIGUSR1, on_signal);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGFPE, on_signal);
  fesetround(FE_UPWARD);
#ifdef __SSE2__
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040); /* denormals are zero */
#endif
  setvbuf(stdout, NULL, _IOFBF, 5000);
  snapshot(before);
  luaL_openlibs(L);
  if (luaL_dostring(L, "require 'mare'") != LUA_OK) return fail("require", lua_tostring(L, -1));
  snapshot(after);
  if (compare("require", before, after)) return 1;
  if (!run_in(L, out, sizeof out)) return fail("work", out);
  snapshot(after);
  if (compare("work", before, after)) return 1;
  lua_close(L);
  snapshot(after);
  if (compare("lua_close", before, after)) return 1;
  fesetround(FE_TONEAREST);
#ifdef __SSE2__
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~0x8040u);
#endif
  if (!run(out, sizeof out)) return fail("work", out);
  puts(out);
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 2 ? argv[1] : "";
  int status = 2;
  work = argv[argc > 2 ? 2 : 0];
  if (strcmp(what, "threads") == 0) status = threads();
  if (strcmp(what, "states") == 0) status = states(argc > 3 ? atoi(argv[3]) : 100);
  if (strcmp(what, "alloc") == 0) status = allocators();
  if (strcmp(what, "limit") == 0) status = limit();
  if (strcmp(what, "untouched") == 0) status = untouched(argv[3]);
  if (status == 0) puts("well");
  return status;
}
