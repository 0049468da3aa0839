/*
** lanes.h -- the inner loops of reduce.c and softmax.c, compiled once for each
** instruction set.  A contiguous run of n values is folded in LANES lanes that are
** combined in a fixed order, so a result depends on n alone.
*/
#ifndef MARE_LANES_H
#define MARE_LANES_H

#include "ops.h"

/* What is known of a set of elements; the meaning is the reduction's affair. */
typedef struct mare_Partial {
  double a, b; /* of real elements */
  int64_t v;   /* of integers, and truth */
  int64_t i;   /* a position or a count */
} mare_Partial;

/* s (rows) = the partials of n > 0 contiguous values each, stride apart */
typedef void mare_Chunk(int64_t n, int64_t rows, const void *x, int64_t stride,
                        double param, mare_Partial *s);

/*
** Folds of columns: x is (rows, m) with unit stride in its rows and stride between
** them; acc (m) has the type of the sums.  join takes rows of that type instead.
*/
typedef void mare_Fold(int64_t rows, int64_t m, const void *x, int64_t stride, void *acc);

typedef struct mare_Columns {
  mare_Fold *fold, *join;
  void (*start)(int64_t m, void *acc);
  mare_Dtype acc;
} mare_Columns;

/*
** Softmax of nl lanes of c values each: value i of lane j of x stands at
** x[i * xs + j * xl].  scale (nl) multiplies the results, or is NULL.
*/
typedef struct mare_Tile {
  int64_t c, nl;
  const void *x, *g; /* g: backward only; x is the result of softmax then */
  void *y;
  int64_t xs, xl, gs, gl, ys, yl;
  const double *scale;
  bool logarithm;
} mare_Tile;

typedef void mare_TileKernel(const mare_Tile *t);

#define MARE_TILE 32 /* lanes of one call, at most */

/* m (nl) = the largest value of each lane, l (nl) = log sum exp(x - m) */
typedef void mare_TileStats(const mare_Tile *t, double *m, double *l);

/* The weights q_k = w_k (keep t_k + spread) of c classes; t NULL is 0, w NULL is 1. */
typedef struct mare_Mix {
  int64_t c, ts, ws;
  const void *t, *w;
  double keep, spread;
} mare_Mix;

typedef struct mare_Carry { /* the sums of 16 lanes so far */
  int64_t bits[16]; /* of double or int64_t */
} mare_Carry;

typedef struct mare_Lanes {
  mare_Chunk *chunk[MARE_NREDUCTION][MARE_NDTYPE];    /* NULL: widen first */
  mare_Chunk *squares[MARE_NREAL]; /* norm 2 */
  mare_Columns columns[MARE_NREDUCTION][MARE_NDTYPE]; /* fold NULL: there is none */
  /* [from][to] */
  void (*widen[MARE_NDTYPE][MARE_NDTYPE])(int64_t n, const void *x, void *y);
  void (*divide[MARE_NREAL])(int64_t m, const double *acc, double by, void *y);
  void (*cumsum[MARE_NDTYPE])(int64_t n, int64_t m, const void *x, int64_t xs, int64_t xl,
                              void *y, int64_t ys, int64_t yl, mare_Carry *carry);
  mare_TileKernel *softmax[MARE_NREAL], *softmax_backward[MARE_NREAL];
  mare_TileStats *stats[MARE_NREAL];
  /* sum exp(x - m) over n contiguous values; y = exp(x - m), unless NULL */
  double (*exp_sum[MARE_NREAL])(int64_t n, const void *x, double m, void *y);
  /* y = (x - a) k - b, n contiguous values */
  void (*affine[MARE_NREAL])(int64_t n, const void *x, double a, double k, double b,
                             void *y);
  /* sum q_k (x_k - a - b), without the classes where q is 0; *sum = sum q_k */
  double (*mix_dot[MARE_NREAL])(const mare_Mix *q, const void *x, int64_t xs, double a,
                                double b, double *sum);
  void (*mix_subtract[MARE_NREAL])(const mare_Mix *q, double g, void *gx); /* gx -= g q */
} mare_Lanes;

extern const mare_Lanes mare_lanes_base, mare_lanes_avx2, mare_lanes_avx512;

/* for mare_isa() and elements of this type; reduce.c */
const mare_Lanes *mare_lanes(mare_Dtype dt);

#endif
