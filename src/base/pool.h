/*
** pool.h -- the thread pool.  A job is a list of pieces; idle workers and the
** caller claim them one by one.  Which pieces there are depends on the data
** alone, never on the number of threads, so results do not either.
*/
#ifndef MARE_POOL_H
#define MARE_POOL_H

#include <stdint.h>

typedef void mare_Piece(void *ctx, int64_t piece);

/*
** Runs run(ctx, 0) ... run(ctx, n - 1), in any order, on any thread, and
** returns when all are done.  Callable from any thread and from inside a piece
** (an inner call runs on its own thread).  Never fails: with no thread to be
** had it is a plain loop.
*/
void mare_parallel(int64_t n, mare_Piece *run, void *ctx);

int mare_threads(void);        /* threads of one job, the caller included */
void mare_set_threads(int n);  /* n < 1: the default again: MARE_THREADS, or the cores */
int mare_cores(void);          /* cores this process may use: affinity, cgroup */

#endif
