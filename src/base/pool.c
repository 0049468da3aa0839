/*
** pool.c -- the thread pool: a few static job slots, pieces claimed one by one.
**
** The pieces of a job are dealt out in ranges, one for each thread and the same
** ones every time, so that a thread finds in its own cache what it left there.  It
** takes its own range from the front; then it helps others, from the back of
** theirs.  A range is one word that packs {end, next piece}; whoever changes it by
** compare and swap owns that piece.  The word alone says what is left, so a worker
** that was put to sleep between its load and its swap either fails or claims a
** piece of the job that is there now: slots can be reused at once.  The caller
** claims too, then waits for the pieces that others have claimed, never for threads.
*/
#ifndef MARE_OMIT_THREADS /* then serial.c stands for it */
#define _GNU_SOURCE
#include "pool.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define NSLOT 8                         /* concurrent callers that share the workers */
#define NLATER 4                        /* jobs that have time, at once */
#define MAXTHREADS 256                  /* the most that mare_set_threads gives */
#define MAXRANGES 32                    /* more threads than that begin by helping */
#define ROUND ((int64_t)UINT32_MAX / 2) /* pieces at a time: they fit half a word */
#define SPIN_NS 30000                   /* a worker spins so long before it sleeps */
#define WAIT_SPINS 2000                 /* pauses of a waiting caller before it yields */
#define STACK ((size_t)2 << 20)         /* bytes of stack of a worker */

typedef struct Range { /* a pair of cache lines: they are fetched together */
  _Alignas(128) _Atomic uint64_t word; /* end << 32 | next piece */
} Range;

typedef struct Slot {
  _Alignas(128) atomic_bool taken; /* some caller owns it */
  mare_Piece *run;                /* like the next three stable while pieces run */
  void *ctx;
  unsigned mode;                  /* how its caller rounds */
  int64_t base;                   /* added to the number of a piece */
  atomic_int core;                /* where its caller is */
  atomic_int nrange;
  atomic_bool stop;               /* its caller has been told to */
  _Alignas(128) _Atomic int64_t done; /* pieces that ran */
  Range range[MAXRANGES];
} Slot;

static Slot slots[NSLOT + NLATER];
static _Alignas(64) atomic_uint news;   /* bumped for every job */
static _Alignas(64) atomic_int nsleep;  /* workers that sleep, or are about to */
static atomic_int nwanted = -1;         /* workers there should be; -1: not yet known */
static atomic_bool ready;               /* they were started, as far as possible */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* alive, starting */
static bool alive[MAXTHREADS];
static bool hooked; /* the children of forks are cared for */
static atomic_uint forks; /* that led to this process */
static _Thread_local bool inside; /* this thread runs a piece, or is a worker */
static _Thread_local Slot *job;   /* the one that it has pieces of */
_Thread_local mare_Watch mare_watch;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb" ::: "memory");
#endif
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -- going on or not ---------------------------------------------------------- */

/* the clock of the last tick of the kernel: a few milliseconds old, and cheap */
static int64_t tick(void) {
#ifdef CLOCK_MONOTONIC_COARSE
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
#else
  return now();
#endif
}

/* what runs meanwhile may be anything, work of its own included */
static bool ask(mare_Watch *w) {
  const mare_Watch asked = *w;
  Slot *at = job;
  const bool was = inside;
  w->odd++;
  const bool stop = asked.ask(asked.who) || w->stop != NULL;
  *w = asked;
  w->next = tick() + MARE_ASK_NS;
  job = at;
  inside = was;
  if (!stop) return false;
  w->stop = asked.who;
  w->odd++;
  if (at) atomic_store_explicit(&at->stop, true, memory_order_relaxed);
  return true;
}

bool mare_stopping(void) {
  mare_Watch *w = &mare_watch;
  if (w->stop != NULL) return true;
  if (w->who != NULL) return tick() >= w->next && ask(w);
  return job != NULL && atomic_load_explicit(&job->stop, memory_order_relaxed);
}

void mare_go_on(void) {
  if (mare_watch.stop != NULL) mare_watch.odd--;
  mare_watch.stop = NULL;
}

/* -- pieces ------------------------------------------------------------------- */

/*
** Rounding, and what becomes of denormal numbers, belong to a thread, and a host may set
** them: pieces are computed as their caller would, on whatever thread.
*/
static unsigned mode(void) {
#ifdef __SSE2__
  return __builtin_ia32_stmxcsr() & ~0x3fu; /* without the flags of what has happened */
#else
  return 0;
#endif
}

static void adopt(unsigned m) {
#ifdef __SSE2__
  if (mode() != m) __builtin_ia32_ldmxcsr(m);
#else
  (void)m;
#endif
}

/* the number of a piece of r that is now this thread's, or -1 */
static int64_t claim(Range *r, bool own) {
  uint64_t w = atomic_load_explicit(&r->word, memory_order_relaxed);
  while ((uint32_t)w < w >> 32) {
    uint64_t left = own ? w + 1 : w - ((uint64_t)1 << 32);
    if (atomic_compare_exchange_weak_explicit(&r->word, &w, left, memory_order_acquire,
                                              memory_order_relaxed))
      return (int64_t)(own ? (uint32_t)w : left >> 32);
  }
  return -1;
}

/* runs one piece of a range, if one can be claimed */
static bool run_one(Slot *s, Range *r, bool own) {
  int64_t i = claim(r, own);
  if (i < 0) return false;
  adopt(s->mode);
  if (!mare_stopping()) s->run(s->ctx, s->base + i);
  return true;
}

/* runs what can be claimed of one range; true if that was anything */
static bool empty(Slot *s, Range *r, bool own) {
  int64_t n = 0;
  while (run_one(s, r, own)) n++;
  if (n > 0) atomic_fetch_add_explicit(&s->done, n, memory_order_release);
  return n > 0;
}

/* runs what can be claimed of one job, a thread's own range first */
static bool work(Slot *s, int thread) {
  int n = atomic_load_explicit(&s->nrange, memory_order_relaxed);
  bool any = false;
  job = s;
  for (int i = 0; i < n; i++)
    any |= empty(s, &s->range[(thread + i) % n], i == 0 && thread < n);
  job = NULL;
  return any;
}

/* runs one piece of one job that has time */
static bool work_a_little(Slot *s, int thread) {
  int n = atomic_load_explicit(&s->nrange, memory_order_relaxed);
  bool any = false;
  job = s;
  for (int i = 0; i < n && !any; i++)
    any = run_one(s, &s->range[(thread + i) % n], i == 0 && thread < n);
  job = NULL;
  if (any) atomic_fetch_add_explicit(&s->done, 1, memory_order_release);
  return any;
}

/* -- sleep -------------------------------------------------------------------- */

/*
** A futex, because it has no mutex: on a busy machine a worker is put to sleep
** with the mutex of its condition in hand, and then the caller waits for it.
*/
#ifdef SYS_futex
static void doze(unsigned seen) {
  syscall(SYS_futex, &news, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void rouse(int n) {
  syscall(SYS_futex, &news, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void reset_sleep(void) {}
#else
static pthread_mutex_t bed = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static void doze(unsigned seen) {
  pthread_mutex_lock(&bed);
  while (atomic_load(&news) == seen) pthread_cond_wait(&wake, &bed);
  pthread_mutex_unlock(&bed);
}

static void rouse(int n) {
  pthread_mutex_lock(&bed);
  while (n-- > 0) pthread_cond_signal(&wake);
  pthread_mutex_unlock(&bed);
}

static void reset_sleep(void) {
  static const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static const pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  memcpy(&bed, &mutex, sizeof bed);
  memcpy(&wake, &cond, sizeof wake);
}
#endif

/* -- workers ------------------------------------------------------------------ */

/* the core that this thread is on, or -1 */
static int here(void) {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

/* somebody's job; not on the core of its caller: that is only kept from its work */
static bool open_to(Slot *s, int core, bool *aside) {
  if (!atomic_load_explicit(&s->taken, memory_order_acquire)) return false;
  *aside = core >= 0 && core == atomic_load_explicit(&s->core, memory_order_relaxed);
  return !*aside;
}

/*
** Helps wherever it can; true if that was anywhere.  *aside: this worker was given the
** core of a caller.  Of jobs that have time it runs one piece: then others may have come.
*/
static bool help(int id, bool *aside) {
  int core = here();
  bool any = false, by = false;
  *aside = false;
  for (int i = 0; i < NSLOT; i++, *aside |= by) {
    Slot *s = &slots[(id + i) % NSLOT];
    if (open_to(s, core, &by)) any |= work(s, id + 1);
  }
  for (int i = 0; i < NLATER && !any; i++) {
    Slot *s = &slots[NSLOT + (id + i) % NLATER];
    any = open_to(s, core, &by) && work_a_little(s, id + 1);
  }
  return any;
}

static bool spin(unsigned seen) {
  int64_t end = now() + SPIN_NS;
  do {
    for (int i = 0; i < 32; i++) {
      if (atomic_load_explicit(&news, memory_order_acquire) != seen) return true;
      relax();
    }
  } while (now() < end);
  return false;
}

static void rest(unsigned seen, bool aside) {
  if (!aside && spin(seen)) return;
  atomic_fetch_add(&nsleep, 1);
  while (atomic_load(&news) == seen) doze(seen);
  atomic_fetch_sub(&nsleep, 1);
}

/* lets as many workers know as a job has pieces for */
static void call(int64_t n) {
  atomic_fetch_add(&news, 1);
  if (atomic_load(&nsleep) > 0) rouse(n < MAXTHREADS ? (int)n : MAXTHREADS);
}

/* a worker that is not wanted any more leaves, unless that has just changed */
static bool leave(int id) {
  pthread_mutex_lock(&lock);
  bool gone = id >= atomic_load(&nwanted);
  if (gone) alive[id] = false;
  pthread_mutex_unlock(&lock);
  return gone;
}

/*
** A worker that wakes up must not push its own caller off the core, to which it
** is often sent when others keep the machine busy.  Batch threads never do; they
** wait for a core to be free, and nobody waits for them.
*/
void mare_thread_alone(void) {
  inside = true;
#ifdef SCHED_BATCH
  struct sched_param p = {0};
  pthread_setschedparam(pthread_self(), SCHED_BATCH, &p); /* may fail: then not */
#endif
}

static void *worker(void *arg) {
  int id = (int)(intptr_t)arg;
  bool aside;
  mare_thread_alone();
  for (;;) {
    unsigned seen = atomic_load(&news);
    if (id >= atomic_load(&nwanted) && leave(id)) return NULL;
    if (!help(id, &aside)) rest(seen, aside);
  }
}

bool mare_thread_start(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *),
                       void *arg) {
  static const int fault[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  sigset_t all, old;
  sigfillset(&all);
  for (size_t i = 0; i < sizeof fault / sizeof *fault; i++) sigdelset(&all, fault[i]);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool ok = pthread_create(t, attr, run, arg) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return ok;
}

static bool start_one(int id, const pthread_attr_t *attr) {
  pthread_t t;
  return mare_thread_start(&t, attr, worker, (void *)(intptr_t)id);
}

/*
** The child of a fork has no workers, and locks may be held by nobody.  Where it was
** asked in the middle of a job, the pieces that workers had are lost.
*/
static void after_fork(void) {
  static const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  memcpy(&lock, &mutex, sizeof lock);
  reset_sleep();
  memset(alive, 0, sizeof alive);
  for (int i = 0; i < NSLOT + NLATER; i++) {
    for (int r = 0; r < MAXRANGES; r++) atomic_store(&slots[i].range[r].word, 0);
    atomic_store(&slots[i].taken, false);
  }
  atomic_store(&nsleep, 0);
  atomic_store(&ready, false);
  atomic_fetch_add(&forks, 1);
  if (job != NULL) mare_watch.stop = mare_watch.who;
}

/*
** lua_close unloads the libraries it has loaded, and workers would lose the code
** they stand on: from the first of them on this library stays in memory.
*/
void mare_stay_loaded(void) {
  Dl_info me;
  if (dladdr((void *)&slots, &me) != 0 && me.dli_fname != NULL)
    dlopen(me.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/*
** Before the lock is ever taken: a fork at any later time resets it in the child.
** pthread_once itself is made for forks in the middle of it.
*/
static void hook(void) {
  mare_stay_loaded();
  hooked = pthread_atfork(NULL, NULL, after_fork) == 0;
}

static void enter(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, hook);
  pthread_mutex_lock(&lock);
}

static void start(void) {
  pthread_attr_t attr;
  enter();
  if (hooked && pthread_attr_init(&attr) == 0) {
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    for (int id = 0; id < atomic_load(&nwanted); id++)
      if (!alive[id] && !(alive[id] = start_one(id, &attr))) break;
    pthread_attr_destroy(&attr);
  }
  atomic_store(&ready, true);
  pthread_mutex_unlock(&lock);
}

/* -- jobs --------------------------------------------------------------------- */

/* one of the slots from first up to end */
static Slot *take(int first, int end) {
  for (int i = first; i < end; i++)
    if (!atomic_load_explicit(&slots[i].taken, memory_order_relaxed) &&
        !atomic_exchange_explicit(&slots[i].taken, true, memory_order_acquire))
      return &slots[i];
  return NULL;
}

static void await(Slot *s, int64_t n) {
  for (int i = 0; atomic_load_explicit(&s->done, memory_order_acquire) < n &&
                  atomic_load_explicit(&s->taken, memory_order_relaxed); i++)
    if (i < WAIT_SPINS)
      relax();
    else
      sched_yield();
}

/* the pieces from n r / count on: each thread the same part of the data every time */
static void deal(Slot *s, int64_t n) {
  int count = mare_threads();
  if (count > MAXRANGES) count = MAXRANGES;
  if (count > n) count = (int)n;
  atomic_store_explicit(&s->nrange, count, memory_order_relaxed);
  for (int r = count - 1; r >= 0; r--) {
    uint64_t first = (uint64_t)(n * r / count), end = (uint64_t)(n * (r + 1) / count);
    atomic_store_explicit(&s->range[r].word, end << 32 | first, memory_order_release);
  }
}

/* what a job is, for those who will find pieces of it */
static void set(Slot *s, int64_t n, int64_t base, mare_Piece *run, void *ctx) {
  s->run = run;
  s->ctx = ctx;
  s->mode = mode();
  s->base = base;
  atomic_store_explicit(&s->core, here(), memory_order_relaxed);
  atomic_store_explicit(&s->stop, false, memory_order_relaxed);
  atomic_store_explicit(&s->done, 0, memory_order_relaxed);
  deal(s, n);
}

/* calls for help, takes part, and waits until n pieces are done */
static void share(Slot *s, int64_t n) {
  call(n - 1);
  inside = true;
  work(s, 0);
  inside = false;
  await(s, n);
}

void mare_parallel(int64_t n, mare_Piece *run, void *ctx) {
  Slot *s = NULL;
  if (mare_stopping()) return;
  if (n > 1 && !inside && mare_threads() > 1) {
    if (!atomic_load_explicit(&ready, memory_order_acquire)) start();
    s = take(0, NSLOT);
  }
  if (s == NULL) {
    for (int64_t i = 0; i < n && !(i > 0 && mare_stopping()); i++) run(ctx, i);
    return;
  }
  for (int64_t base = 0; base < n && !mare_watch.stop; base += ROUND) {
    int64_t some = n - base < ROUND ? n - base : ROUND;
    set(s, some, base, run, ctx);
    share(s, some);
  }
  atomic_store_explicit(&s->taken, false, memory_order_release);
}

bool mare_awake(void) {
  return atomic_load_explicit(&ready, memory_order_relaxed) &&
         atomic_load_explicit(&nsleep, memory_order_relaxed) < mare_threads() - 1;
}

/* -- jobs that have time ------------------------------------------------------ */

bool mare_offer(mare_Later *l, int64_t n, mare_Piece *run, void *ctx) {
  Slot *s = NULL;
  if (n > 1 && n <= ROUND && !inside && mare_threads() > 1 &&
      atomic_load_explicit(&ready, memory_order_acquire))
    s = take(NSLOT, NSLOT + NLATER);
  if (s != NULL) set(s, n, 0, run, ctx);
  *l = (mare_Later){s, atomic_load(&forks), n};
  return s != NULL;
}

/* the pieces that nobody has claimed are nobody's; how many */
static int64_t withdraw(Slot *s) {
  int64_t left = 0;
  for (int r = 0; r < atomic_load_explicit(&s->nrange, memory_order_relaxed); r++) {
    uint64_t w = atomic_exchange_explicit(&s->range[r].word, 0, memory_order_relaxed);
    left += (int64_t)(w >> 32) - (int64_t)(uint32_t)w;
  }
  return left;
}

bool mare_finish(mare_Later *l, bool rest) {
  const unsigned own = mode(); /* not what it was when the job was offered */
  Slot *s = l->slot;
  l->slot = NULL;
  if (s == NULL || l->forks != atomic_load(&forks)) return false;
  atomic_store_explicit(&s->core, here(), memory_order_relaxed);
  if (!rest) await(s, l->n - withdraw(s));
  else if (atomic_load_explicit(&s->done, memory_order_acquire) < l->n) share(s, l->n);
  adopt(own);
  atomic_store_explicit(&s->taken, false, memory_order_release);
  return rest;
}

/* -- how many threads --------------------------------------------------------- */

static int default_threads(void) {
  const char *s = getenv("MARE_THREADS");
  long n = s ? strtol(s, NULL, 10) : 0;
  if (n < 1) n = mare_cores();
  return n < MAXTHREADS ? (int)n : MAXTHREADS;
}

int mare_threads(void) {
  int n = atomic_load_explicit(&nwanted, memory_order_relaxed);
  if (n < 0) {
    atomic_compare_exchange_strong(&nwanted, &n, default_threads() - 1);
    n = atomic_load(&nwanted);
  }
  return n + 1;
}

void mare_set_threads(int n) {
  if (n < 1) n = default_threads();
  if (n > MAXTHREADS) n = MAXTHREADS;
  enter();
  atomic_store(&nwanted, n - 1);
  atomic_store(&ready, false);
  pthread_mutex_unlock(&lock);
  call(MAXTHREADS);
}
#endif
