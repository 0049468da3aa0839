/*
** pool.h -- the thread pool.  A job is a list of pieces; idle workers and the
** caller claim them one by one.  Which pieces there are depends on the data
** alone, never on the number of threads, so results do not either.
*/
#ifndef MARE_POOL_H
#define MARE_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../mare.h"

typedef void mare_Piece(void *ctx, int64_t piece);

/*
** Runs run(ctx, 0) ... run(ctx, n - 1), in any order, on any thread, and
** returns when all are done.  Callable from any thread and from inside a piece
** (an inner call runs on its own thread).  Never fails: with no thread to be
** had it is a plain loop.  Once mare_stopping says so, no further piece is run:
** what they would have written is not to be relied on.
*/
void mare_parallel(int64_t n, mare_Piece *run, void *ctx);

/*
** A job that has time: pieces of it are run by threads that would else wait for another.
** run and ctx stay valid until mare_finish, which runs what is left of it (with rest) or
** sees to it that no more is run, and returns when nobody is at it any more.  False, of
** either: not all has been done; with no thread to be had, or in the child of a fork.
*/
typedef struct mare_Later {
  void *slot; /* where it waits, or NULL */
  unsigned forks; /* before it was offered */
  int64_t n;
} mare_Later;

bool mare_offer(mare_Later *l, int64_t n, mare_Piece *run, void *ctx);
bool mare_finish(mare_Later *l, bool rest);

/* are there threads that wait for work, so that a job of some microseconds pays, too? */
bool mare_awake(void);

#ifndef MARE_ASK_NS
#define MARE_ASK_NS 20000000 /* long work asks so often whether to go on */
#endif

/*
** Whom long work asks whether to go on: one for each thread.  The binding names the
** one to ask before it calls the engine, and raises what was answered when all the
** engine's functions have returned, and with them all that they hold.
*/
typedef struct mare_Watch {
  void *who;               /* NULL: nobody is asked */
  bool (*ask)(void *who);  /* true: stop */
  void *stop;              /* who said so; mare_go_on clears it */
  int odd;                 /* 0: nothing of this is so, and nobody is being asked */
  int64_t next;            /* when to ask again, in nanoseconds */
} mare_Watch;

#ifdef __GLIBC__ /* it has room for the variables of libraries that are loaded late */
#define MARE_NEAR __attribute__((tls_model("initial-exec")))
#else
#define MARE_NEAR
#endif

extern _Thread_local mare_Watch mare_watch MARE_NEAR;

/*
** To be called between parts of long work, of some milliseconds or less, on any
** thread: asks when it is time.  True: what is computed will not be used, return.
*/
bool mare_stopping(void);
void mare_go_on(void); /* the answer has been dealt with */

/* a thread to which no signal of the host is delivered, except for its own faults */
bool mare_thread_start(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *),
                       void *arg);
void mare_stay_loaded(void); /* before the first: this library stays in memory */
/* this one runs all pieces of its jobs itself, and keeps no caller from a core */
void mare_thread_alone(void);

/* mare_threads and mare_set_threads are in mare.h */
int mare_cores(void);          /* cores this process may use: affinity, cgroup */

#endif
