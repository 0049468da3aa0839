/*
** feed.h -- batches made ahead of time: a thread of their own picks and converts the
** rows of the next ones while the program works on those it has, or the threads of the
** pool do, when they would wait for other work.
*/
#ifndef MARE_FEED_H
#define MARE_FEED_H

#include <pthread.h>
#include <sys/types.h>

#include "../base/pool.h"
#include "../base/types.h"

typedef struct mare_Job { /* one batch; its maker's from being put to being done */
  const mare_Tensor *x;   /* what rows are taken from ... */
  mare_Tensor *y;         /* ... and where they go; as mare_batch has it */
  int n;                  /* of both */
  int64_t *index;
  bool done;
  mare_Later later;       /* where the pool has it */
} mare_Job;

/*
** Jobs are put and taken in order by one thread, number k at job[k % depth].  None of
** these functions fails: with no thread to be had, and in the child of a fork, jobs are
** done when they are taken.
*/
typedef struct mare_Feed {
  mare_Job *job;
  int depth;
  int64_t put, begun, taken; /* how many so far */
  bool pooled;               /* jobs are for the pool, not for a thread of their own */
  bool started, running, stop;
  pid_t owner;               /* the process that has the thread */
  pthread_t thread;
  pthread_mutex_t lock;      /* begun, put, stop, done of the jobs */
  pthread_cond_t work, made;
} mare_Feed;

mare_Job *mare_feed_next(mare_Feed *f);         /* the one to be filled and put */
void mare_feed_put(mare_Feed *f, bool ahead);   /* ahead: not for the caller */
/* the next to be taken; done, unless mare_stopping said so */
mare_Job *mare_feed_await(mare_Feed *f);
void mare_feed_take(mare_Feed *f);
void mare_feed_stop(mare_Feed *f);              /* jobs are nobody's afterwards */
void mare_job_run(mare_Job *j);

#endif
