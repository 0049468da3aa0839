/*
** aside.c -- work on threads of its own under ThreadSanitizer: callers that wait, that are
** told to leave, and that are forked in the middle.  Silent and 0 when all is well.
*/
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/base/aside.h"
#include "../../src/base/pool.h"

#define CALLERS 6
#define CALLS 12
#define FORKS 3

#ifdef __SANITIZE_THREAD__ /* whose children of threaded processes cannot start threads */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "report_thread_leaks=0"; }
#define CHILD_WORKS 0
#else
#define CHILD_WORKS 1
#endif

static atomic_int begun, done, wrong;
static pid_t first;

static void check(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "tsan/aside.c: %s\n", what);
  atomic_fetch_add(&wrong, 1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef struct Work { /* nothing is atomic: the sanitizer sees who else touches it */
  mare_Aside aside;
  int64_t ns, result;
  int64_t cell[100];
} Work;

static void run(mare_Aside *a) {
  Work *w = (Work *)a;
  int64_t *cell = a->part[1];
  atomic_fetch_add(&begun, 1);
  for (int64_t end = now() + w->ns; now() < end;) cell[50]++;
  cell[99] += cell[0];
  memset(a->room, 1, a->room_bytes);
  w->result++;
  atomic_fetch_add(&done, 1);
}

static void open_work(Work *w, int64_t ns) {
  *w = (Work){.ns = ns, .cell = {7}};
  w->aside = (mare_Aside){.run = run, .size = sizeof *w, .room_bytes = 1000};
  w->aside.part[1] = w->cell;
  w->aside.bytes[1] = sizeof w->cell;
}

static bool has_run(const Work *w) { return w->result == 1 && w->cell[99] == 7; }

typedef struct Host { /* whom work asks */
  int questions, stop_at;
} Host;

static bool ask(void *who) {
  Host *h = who;
  return ++h->questions == h->stop_at;
}

static void *call(void *arg) {
  mare_Heap *heap = mare_heap_new(NULL, NULL);
  Host h = {0, 0};
  Work w;
  mare_watch.ask = ask;
  mare_watch.who = &h;
  for (int i = 0; i < CALLS; i++) {
    open_work(&w, (int64_t)(1 + i % 7) * 10000000);
    h = (Host){0, (i + *(int *)arg) % 3 ? 0 : 2};
    const mare_Status st = mare_aside(heap, &w.aside, 1e9);
    check(st == MARE_OK ? has_run(&w) : st == MARE_STOPPED && mare_watch.stop == &h,
          "neither done nor told to stop");
    check(heap->scratch == 0, "it still counts");
    mare_go_on();
  }
  mare_watch.who = NULL;
  mare_heap_close(heap);
  return NULL;
}

/* -- forks in the middle of a call ----------------------------------------------- */

static bool ask_fork(void *who) {
  pid_t *child = who;
  if (*child == -1) *child = fork();
  return false;
}

/* the work ends before the fork, or is lost to the child: that is told to stop */
static void fork_inside(int64_t ns) {
  mare_Heap *heap = mare_heap_new(NULL, NULL);
  pid_t child = -1;
  int status = 0;
  Work w;
  open_work(&w, ns);
  mare_watch.ask = ask_fork;
  mare_watch.who = &child;
  mare_watch.next = now() + 5000000;
  const mare_Status st = mare_aside(heap, &w.aside, 1e9);
  check(st == MARE_OK ? has_run(&w) : child == 0 && st == MARE_STOPPED, "a fork ends it");
  if (child == 0) {
    mare_go_on();
    open_work(&w, ns);
    if (CHILD_WORKS)
      check(mare_aside(heap, &w.aside, 1e9) == MARE_OK && has_run(&w), "no child works");
    _exit(atomic_load(&wrong) != 0);
  }
  mare_watch.who = NULL;
  mare_heap_close(heap);
  if (child > 0) waitpid(child, &status, 0);
  check(child > 0 && status == 0, "the child failed");
}

static void at_end(void) { /* registered before what waits, so called after it */
  if (getpid() != first) return;
  check(atomic_load(&begun) == atomic_load(&done), "work was lost");
  if (atomic_load(&wrong) > 0) _exit(1);
}

int main(void) {
  pthread_t t[CALLERS];
  int number[CALLERS];
  first = getpid();
  atexit(at_end);
  for (int i = 0; i < FORKS; i++) fork_inside(i == 0 ? 1300000000 : 60000000);
  for (int i = 0; i < CALLERS; i++) {
    number[i] = i;
    pthread_create(&t[i], NULL, call, &number[i]);
  }
  for (int i = 0; i < FORKS; i++) {
    const pid_t child = fork();
    int status = 0, zero = 0;
    if (child == 0) {
      if (CHILD_WORKS) call(&zero);
      _exit(atomic_load(&wrong) != 0);
    }
    waitpid(child, &status, 0);
    check(status == 0, "a child among callers failed");
  }
  for (int i = 0; i < CALLERS; i++) pthread_join(t[i], NULL);
  return atomic_load(&wrong) != 0;
}
