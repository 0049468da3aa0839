/*
** aside.c -- long work that asks nobody, on a thread of its own, on copies: no memory of
** a Lua state is touched by it.  Where there is no thread or no memory it runs in place.
**
** When its caller is told to stop, it leaves, and the work goes on to its end for
** nothing: no thread can be ended from outside without harm.  So few of them may go on
** at a time, others wait.  The process waits for them when it exits, as libraries then
** take down what the work stands on; a fork waits for a while, as the child would find
** locks of those libraries in the hands of a thread that it does not have.
*/
#include "aside.h"

#include <string.h>

#include "pool.h"

static mare_Status run_here(mare_Heap *h, mare_Aside *a) {
  a->room = mare_scratch(h, a->room_bytes);
  if (!a->room) return MARE_NOMEM;
  a->run(a);
  mare_scratch_free(h, a->room);
  return MARE_OK;
}

#ifdef MARE_OMIT_THREADS

mare_Status mare_aside(mare_Heap *h, mare_Aside *a, double operations) {
  (void)operations;
  return run_here(h, a);
}

#else
#include <stdlib.h>
#include <time.h>

#define LONG 1e8                    /* operations: some 10 ms */
#define MOST 4                      /* threads that go on for nothing */
#define FORK_NS INT64_C(1000000000) /* so long a fork waits, at most */
#define STACK ((size_t)4 << 20)
#define PIECE ((size_t)1 << 20)     /* bytes that are copied before somebody is asked */

enum { RUNNING, DONE, LEFT };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the next four, and states */
static pthread_cond_t change;
static int running; /* threads */
static int left;    /* those of them whose callers have gone */
static bool ready;
static _Thread_local mare_Aside *awaited; /* by this thread */

/* -- waiting ------------------------------------------------------------------- */

static struct timespec after(int64_t ns) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  ns += t.tv_nsec;
  t.tv_sec += ns / 1000000000;
  t.tv_nsec = ns % 1000000000;
  return t;
}

static bool crowded(const mare_Aside *a) {
  (void)a;
  return left >= MOST;
}

static bool is_running(const mare_Aside *a) { return a->state == RUNNING; }

/* waits until it is not so any more, and asks: false when told to stop before */
static bool wait_while(bool (*so)(const mare_Aside *), const mare_Aside *a) {
  for (;;) {
    const struct timespec end = after(MARE_ASK_NS);
    pthread_mutex_lock(&lock);
    if (so(a)) pthread_cond_timedwait(&change, &lock, &end);
    const bool still = so(a);
    pthread_mutex_unlock(&lock);
    if (!still) return true;
    if (mare_stopping()) return false;
  }
}

/* -- the end of the process, and forks --------------------------------------------- */

static void new_change(void) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&change, &attr);
  pthread_condattr_destroy(&attr);
}

static void at_exit(void) {
  pthread_mutex_lock(&lock);
  while (running > 0) pthread_cond_wait(&change, &lock);
  pthread_mutex_unlock(&lock);
}

static void before_fork(void) {
  const struct timespec end = after(FORK_NS);
  pthread_mutex_lock(&lock);
  while (running > 0 && pthread_cond_timedwait(&change, &lock, &end) == 0) continue;
}

static void in_parent(void) { pthread_mutex_unlock(&lock); }

/* what a hook has forked in the middle of is lost, unless it was done by then */
static void in_child(void) {
  running = left = 0;
  if (awaited && awaited->state == RUNNING) {
    awaited->state = DONE;
    mare_watch.stop = mare_watch.who;
  }
  new_change();
  pthread_mutex_unlock(&lock);
}

static void prepare(void) {
  mare_stay_loaded();
  new_change();
  ready = pthread_atfork(before_fork, in_parent, in_child) == 0 && atexit(at_exit) == 0;
}

/* -- the thread -------------------------------------------------------------------- */

static void ended(void) { /* holds the lock */
  running--;
  pthread_cond_broadcast(&change);
}

static void drop(mare_Aside *a) {
  mare_Heap *own = a->own;
  mare_scratch_free(own, a);
  mare_heap_close(own);
}

static void *thread(void *arg) {
  mare_Aside *a = arg;
  a->run(a);
  pthread_mutex_lock(&lock);
  if (a->state == LEFT) {
    left--;
    drop(a);
  } else {
    a->state = DONE;
  }
  ended();
  pthread_mutex_unlock(&lock);
  return NULL;
}

static bool start(mare_Aside *a) {
  pthread_attr_t attr;
  pthread_t t;
  if (!ready || pthread_attr_init(&attr) != 0) return false;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK);
  pthread_mutex_lock(&lock);
  a->state = RUNNING;
  running++;
  const bool ok = mare_thread_start(&t, &attr, thread, a);
  if (!ok) ended();
  pthread_mutex_unlock(&lock);
  pthread_attr_destroy(&attr);
  return ok;
}

/* told to stop: true when it is done by now */
static bool leave(mare_Aside *a) {
  pthread_mutex_lock(&lock);
  const bool done = a->state == DONE;
  if (!done) {
    a->state = LEFT;
    left++;
  }
  pthread_mutex_unlock(&lock);
  return done;
}

static bool await(mare_Aside *a) {
  mare_Aside *outer = awaited;
  awaited = a;
  const bool mine = wait_while(is_running, a) || leave(a);
  awaited = outer;
  return mine;
}

/* true: it is the caller's again, and has run unless mare_stopping says so */
static bool run_away(mare_Aside *a) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, prepare);
  if (mare_stopping() || !wait_while(crowded, a)) return true;
  if (start(a)) return await(a);
  a->run(a);
  return true;
}

/* -- copies ------------------------------------------------------------------------ */

static size_t padded(size_t n) { return (n + 63) / 64 * 64; }

static void copy(char *to, const char *from, size_t n) {
  for (size_t i = 0; i < n && !mare_stopping(); i += PIECE)
    memcpy(to + i, from + i, n - i < PIECE ? n - i : PIECE);
}

/* the same on copies, all in one block, in a heap of its own; NULL: no memory */
static mare_Aside *copy_of(const mare_Aside *a, size_t bytes) {
  mare_Heap *own = mare_heap_new(NULL, NULL);
  mare_Aside *b = own ? mare_scratch(own, bytes) : NULL;
  if (!b) {
    if (own) mare_heap_close(own);
    return NULL;
  }
  char *p = (char *)b + padded(a->size);
  memcpy(b, a, a->size);
  b->own = own;
  for (int i = 0; i < MARE_ASIDE_PARTS; p += padded(a->bytes[i++])) {
    if (!a->part[i]) continue;
    copy(p, a->part[i], a->bytes[i]);
    b->part[i] = p;
  }
  b->room = p;
  return b;
}

static void take_back(mare_Aside *a, mare_Aside *b) {
  const mare_Aside mine = *a;
  memcpy(a, b, a->size);
  *a = mine;
  for (int i = 0; i < MARE_ASIDE_PARTS; i++)
    if (a->part[i]) copy(a->part[i], b->part[i], a->bytes[i]);
  drop(b);
}

static mare_Status run_copy(mare_Heap *h, mare_Aside *a) {
  size_t bytes = padded(a->size) + a->room_bytes;
  for (int i = 0; i < MARE_ASIDE_PARTS; i++) bytes += padded(a->bytes[i]);
  if (!mare_scratch_count(h, bytes)) return MARE_NOMEM;
  mare_Aside *b = copy_of(a, bytes);
  mare_Status st = b ? MARE_STOPPED : MARE_NOMEM;
  if (b && run_away(b)) {
    take_back(a, b);
    st = mare_stopping() ? MARE_STOPPED : MARE_OK;
  }
  mare_scratch_uncount(h, bytes);
  return st;
}

mare_Status mare_aside(mare_Heap *h, mare_Aside *a, double operations) {
  mare_Status st = MARE_NOMEM;
  if (operations >= LONG && mare_watch.who != NULL) st = run_copy(h, a);
  return st == MARE_NOMEM ? run_here(h, a) : st;
}
#endif
