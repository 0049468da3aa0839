/*
** turn.h -- transposed blocks: a grid of elements of 1, 4 or 8 bytes whose columns are
** contiguous in memory, to rows that are.
*/
#ifndef MARE_TURN_H
#define MARE_TURN_H

#include "ops.h"

#define MARE_LINE 64 /* bytes of a cache line */

/*
** b (g->rows, g->columns), its rows pitch bytes apart, = the grid at p, where
** g->down == size.  alone: no other thread is at what lies below b, so that it can be
** fetched.
*/
void mare_turn(char *b, int64_t pitch, const char *p, const mare_Grid *g, int64_t size,
               bool alone);

/*
** The same past the caches, for a part of rows that go on: of each row the whole cache
** lines that begin in it are written.  first: the rows begin here; more: columns of the
** grid that follow.  A row has MARE_TURN_WIDTH bytes at most.
*/
#define MARE_TURN_WIDTH 256
void mare_turn_past(char *b, int64_t pitch, const char *p, const mare_Grid *g,
                    int64_t size, bool first, int64_t more);

/* b = a square of p transposed: 16 x 16, or 8 x 8 elements of 8 bytes */
typedef void mare_Square(char *b, int64_t pitch, const char *p, int64_t across);
mare_Square mare_turn4_avx512, mare_turn8_avx512; /* x86-64 only */

#endif
