/*
** serial.c -- what pool.h asks for, in a build without threads: pieces run one after
** another on the thread that calls.
*/
#ifdef MARE_OMIT_THREADS
#define _GNU_SOURCE
#include "pool.h"

#include <time.h>

_Thread_local mare_Watch mare_watch;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* what runs meanwhile may be anything, work of its own included */
static bool ask(mare_Watch *w) {
  const mare_Watch asked = *w;
  w->odd++;
  const bool stop = asked.ask(asked.who) || w->stop != NULL;
  *w = asked;
  w->next = now() + MARE_ASK_NS;
  if (!stop) return false;
  w->stop = asked.who;
  w->odd++;
  return true;
}

bool mare_stopping(void) {
  mare_Watch *w = &mare_watch;
  return w->stop != NULL || (w->who != NULL && now() >= w->next && ask(w));
}

void mare_go_on(void) {
  if (mare_watch.stop != NULL) mare_watch.odd--;
  mare_watch.stop = NULL;
}

void mare_parallel(int64_t n, mare_Piece *run, void *ctx) {
  for (int64_t i = 0; i < n && !mare_stopping(); i++) run(ctx, i);
}

bool mare_offer(mare_Later *l, int64_t n, mare_Piece *run, void *ctx) {
  (void)l, (void)n, (void)run, (void)ctx;
  return false;
}

bool mare_finish(mare_Later *l, bool rest) {
  (void)l, (void)rest;
  return false;
}

bool mare_awake(void) { return false; }

void mare_thread_alone(void) {}

bool mare_thread_start(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *),
                       void *arg) {
  (void)t, (void)attr, (void)run, (void)arg;
  return false; /* none is to be had: work is done where it is asked for */
}

int mare_threads(void) { return 1; }

void mare_set_threads(int n) { (void)n; }
#endif
