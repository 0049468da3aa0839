/* batch.h -- rows of a data set, picked and converted in one pass. */
#ifndef MARE_BATCH_H
#define MARE_BATCH_H

#include "../base/types.h"

/*
** Row k of y = row index[k] (1-based, checked by the caller) of x; both contiguous,
** shapes equal but for the first dimension.  y has x's type, or it is f32 and x is
** u8: then 0..255 becomes 0..1.
*/
void mare_batch(const mare_Tensor *x, const int64_t *index, mare_Tensor *y);

/* rows first .. last - 1 of y alone, by the thread that calls */
void mare_batch_rows(const mare_Tensor *x, const int64_t *index, mare_Tensor *y,
                     int64_t first, int64_t last);
int64_t mare_batch_row(const mare_Tensor *x); /* bytes */

/* bytes of x that one piece of a job takes, about: some microseconds */
#define MARE_BATCH_PIECE ((int64_t)4096)

#endif
