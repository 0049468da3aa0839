/*
** feed.c -- threads that make batches ahead of time.  They touch bytes only: what is
** counted and freed is the business of the thread of the Lua state.
*/
#include "feed.h"

#include <time.h>
#include <unistd.h>

#include "../base/pool.h"
#include "batch.h"

/* -- one batch ---------------------------------------------------------------------- */

/* rows of a piece */
static int64_t step_of(const mare_Job *j) {
  int64_t row = 0; /* bytes that a row is read from */
  for (int i = 0; i < j->n; i++) row += mare_batch_row(&j->x[i]);
  return row > 0 ? MARE_BATCH_PIECE / row + 1 : INT64_MAX;
}

static void job_piece(void *ctx, int64_t piece) {
  mare_Job *j = ctx;
  const int64_t rows = j->y[0].shape[0], step = step_of(j), first = piece * step;
  const int64_t last = rows - first < step ? rows : first + step;
  for (int i = 0; i < j->n; i++)
    mare_batch_rows(&j->x[i], j->index, &j->y[i], first, last);
}

static int64_t pieces_of(const mare_Job *j) {
  return j->n ? (j->y[0].shape[0] - 1) / step_of(j) + 1 : 0;
}

void mare_job_run(mare_Job *j) {
  const int64_t n = pieces_of(j);
  if (n > 1) mare_parallel(n, job_piece, j);
  else if (n == 1) job_piece(j, 0);
}

/* -- the thread ---------------------------------------------------------------------- */

static mare_Job *job_at(mare_Feed *f, int64_t k) {
  return &f->job[k % f->depth];
}

static void *reader(void *arg) {
  mare_Feed *f = arg;
  mare_thread_alone();
  pthread_mutex_lock(&f->lock);
  while (!f->stop) {
    if (f->begun == f->put) {
      pthread_cond_wait(&f->work, &f->lock);
      continue;
    }
    mare_Job *j = job_at(f, f->begun++);
    pthread_mutex_unlock(&f->lock);
    mare_job_run(j);
    pthread_mutex_lock(&f->lock);
    j->done = true;
    pthread_cond_signal(&f->made);
  }
  pthread_mutex_unlock(&f->lock);
  return NULL;
}

static void start(mare_Feed *f) {
  f->started = true;
  f->owner = getpid();
  f->begun = f->put; /* those before were made by the caller */
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->work, NULL);
  pthread_cond_init(&f->made, NULL);
  f->running = mare_thread_start(&f->thread, NULL, reader, f);
}

/* the child of a fork has neither the thread nor, maybe, the lock */
static bool running(mare_Feed *f) {
  if (f->running && f->owner != getpid()) f->running = false;
  return f->running;
}

/* -- jobs ---------------------------------------------------------------------------- */

mare_Job *mare_feed_next(mare_Feed *f) {
  mare_Job *j = job_at(f, f->put);
  j->done = false;
  return j;
}

void mare_feed_put(mare_Feed *f, bool ahead) {
  if (ahead && f->pooled) {
    mare_Job *j = job_at(f, f->put);
    mare_offer(&j->later, pieces_of(j), job_piece, j);
  } else if (ahead && !f->started) {
    start(f);
  }
  if (!running(f)) {
    f->put++;
    return;
  }
  pthread_mutex_lock(&f->lock);
  f->put++;
  pthread_cond_signal(&f->work);
  pthread_mutex_unlock(&f->lock);
}

#define ASK_NS 20000000 /* so long is waited before somebody is asked */

/* waits a little for a job; is it done? */
static bool wait_for(mare_Feed *f, const mare_Job *j) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_nsec += ASK_NS;
  end.tv_sec += end.tv_nsec / 1000000000;
  end.tv_nsec %= 1000000000;
  pthread_mutex_lock(&f->lock);
  int timeout = 0;
  while (!j->done && timeout == 0)
    timeout = pthread_cond_timedwait(&f->made, &f->lock, &end);
  bool done = j->done;
  pthread_mutex_unlock(&f->lock);
  return done;
}

/* is the thread at the next job to be taken, or past it?  If not it is the caller's. */
static bool begun(mare_Feed *f) {
  if (!running(f)) return false;
  pthread_mutex_lock(&f->lock);
  bool begun = f->begun > f->taken;
  if (!begun) f->begun++;
  pthread_mutex_unlock(&f->lock);
  return begun;
}

mare_Job *mare_feed_await(mare_Feed *f) {
  mare_Job *j = job_at(f, f->taken);
  bool theirs = begun(f);
  while (theirs && !wait_for(f, j)) {
    if (mare_stopping()) return j;
    theirs = running(f); /* it may just have been forked */
  }
  if (!theirs && !j->done) {
    if (!mare_finish(&j->later, true)) mare_job_run(j);
    j->done = true;
  }
  return j;
}

void mare_feed_take(mare_Feed *f) { f->taken++; }

void mare_feed_stop(mare_Feed *f) {
  for (int64_t k = f->taken; k < f->put; k++) mare_finish(&job_at(f, k)->later, false);
  if (!running(f)) return;
  pthread_mutex_lock(&f->lock);
  f->stop = true;
  pthread_cond_signal(&f->work);
  pthread_mutex_unlock(&f->lock);
  pthread_join(f->thread, NULL);
  pthread_cond_destroy(&f->work);
  pthread_cond_destroy(&f->made);
  pthread_mutex_destroy(&f->lock);
  f->running = false;
}
