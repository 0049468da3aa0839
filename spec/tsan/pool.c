/*
** pool.c -- the thread pool under ThreadSanitizer: concurrent and nested jobs, jobs that
** have time, changing numbers of threads, forks in the middle of it all.  Silent and 0 when
** all is well.  `make tsan`, or:
**   gcc -std=gnu11 -g -O1 -fsanitize=thread spec/tsan/pool.c src/base/pool.c
**       src/base/cores.c -o build/tsan-pool -lpthread && build/tsan-pool
*/
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/base/pool.h"

#define CALLERS 12 /* more than the pool has slots */
#define JOBS 300
#define FORKS 20
#define PIECES 64

static atomic_bool over;
static atomic_int wrong;

static void check(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "tsan/pool.c: %s\n", what);
  atomic_fetch_add(&wrong, 1);
}

/* -- a job: every piece writes its own plain place, once ---------------------------- */

typedef struct Job {
  int64_t n, first;
  int64_t cell[PIECES]; /* not atomic: the sanitizer sees a piece that runs twice */
} Job;

static void piece(void *ctx, int64_t i) {
  Job *j = ctx;
  j->cell[i] += j->first + i;
}

static void nested_piece(void *ctx, int64_t i) {
  Job inner = {.n = 8, .first = i};
  mare_parallel(inner.n, piece, &inner);
  for (int64_t k = 0; k < inner.n; k++) check(inner.cell[k] == i + k, "nested piece");
  piece(ctx, i);
}

/* a job that lies on the stack is gone at once, and its place used again */
static void one_job(int64_t n, int64_t first, mare_Piece *run) {
  Job j = {.n = n, .first = first};
  mare_parallel(n, run, &j);
  for (int64_t i = 0; i < n; i++) check(j.cell[i] == first + i, "piece lost or run twice");
}

/* pieces of the one run while others are waited for; dropped, some may never */
static void late_job(int64_t n, int64_t first) {
  Job j = {.n = n, .first = first};
  mare_Later later;
  int64_t ran = 0;
  bool offered = mare_offer(&later, n, piece, &j), rest = first % 3 != 0;
  for (int k = 0; k < 3; k++) one_job(k + 1, first, piece);
  bool all = mare_finish(&later, rest);
  check(all == (offered && rest), "an offer was answered wrongly");
  for (int64_t i = 0; i < n; i++) {
    check(j.cell[i] == first + i || j.cell[i] == 0, "late piece run twice");
    ran += j.cell[i] == first + i;
  }
  check(!all || ran == n, "late piece lost");
  check(!mare_finish(&later, rest), "finished twice");
}

static void jobs(int count) {
  for (int k = 0; k < count; k++) late_job(k % PIECES + 1, k + 1);
  for (int k = 0; k < count; k++) one_job(k % PIECES + 1, k, k % 5 ? piece : nested_piece);
}

/* -- threads ------------------------------------------------------------------------- */

static void *caller(void *arg) {
  (void)arg;
  jobs(JOBS);
  return NULL;
}

static void *changer(void *arg) {
  (void)arg;
  for (int k = 0; !atomic_load(&over); k++) {
    mare_set_threads(k % 9); /* 0: the default again */
    usleep(500);
  }
  return NULL;
}

/*
** A child that hangs is killed by its alarm.  The sanitizer itself hangs when a
** child of a threaded process starts threads, so there it only leaves;
** spec/fork_spec.lua runs this program without it.
*/
static void child(void) {
#ifndef __SANITIZE_THREAD__
  alarm(60);
  jobs(50);
  mare_set_threads(3);
  jobs(50);
#endif
  _exit(atomic_load(&wrong) != 0);
}

static void *forker(void *arg) {
  (void)arg;
  for (int k = 0; k < FORKS; k++) {
    Job j = {.n = PIECES, .first = 1};
    mare_Later later;
    int status = -1;
    mare_offer(&later, j.n, piece, &j);
    pid_t pid = fork();
    if (pid == 0) check(!mare_finish(&later, true), "a job of the parent in its child");
    if (pid == 0) child();
    check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "a child failed");
    mare_finish(&later, false);
    jobs(3);
  }
  return NULL;
}

int main(void) {
  pthread_t t[CALLERS], change, split;
  alarm(300);
  pthread_create(&change, NULL, changer, NULL);
  pthread_create(&split, NULL, forker, NULL);
  for (int i = 0; i < CALLERS; i++) pthread_create(&t[i], NULL, caller, NULL);
  for (int i = 0; i < CALLERS; i++) pthread_join(t[i], NULL);
  pthread_join(split, NULL);
  atomic_store(&over, 1);
  pthread_join(change, NULL);
  return atomic_load(&wrong) != 0;
}
