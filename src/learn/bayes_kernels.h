/*
** bayes_kernels.h -- innermost loops of the generative classifiers, by element type;
** one set for each instruction set.  Sums are double.
*/
#ifndef MARE_BAYES_KERNELS_H
#define MARE_BAYES_KERNELS_H

#include "../base/types.h"

typedef struct mare_BayesKernels {
  /* s += w x over d values */
  void (*add)(int64_t d, const void *x, double w, double *s);
  /* s += w where x > limit */
  void (*add_above)(int64_t d, const void *x, double limit, double w, double *s);
  /* s += w (x - shift), q += w (x - shift)^2 */
  void (*add_squares)(int64_t d, const void *x, const double *shift, double w, double *s,
                      double *q);
  /* the same for the 4 rows that x points to, which then pass the sums by once */
  void (*add_squares4)(int64_t d, const void *const *x, const double *shift,
                       const double *w, double *s, double *q);
  /* y = w (x - mean) */
  void (*center)(int64_t d, const void *x, const double *mean, double w, void *y);
  /* y = x - mean - rest, all of x's type: mean is rounded, and that is the rest */
  void (*shift)(int64_t d, const void *x, const void *mean, const void *rest, void *y);
  /* y = x[order], 1-based */
  void (*gather)(int64_t d, const void *x, const int64_t *order, void *y);
  /* s += x, all of type double but x */
  void (*flush)(int64_t d, const void *x, double *s);
  double (*norm2)(int64_t d, const void *x);
  /* y[i] = sum of scale (x_i - mean)^2 for 4 rows that lie one after another */
  void (*distance4)(int64_t d, const void *x, const double *mean, const double *scale,
                    double *y);
  double (*distance)(int64_t d, const void *x, const double *mean, const double *scale);
} mare_BayesKernels;

extern const mare_BayesKernels mare_bayes_base[MARE_NREAL];
#ifdef __x86_64__
extern const mare_BayesKernels mare_bayes_avx2[MARE_NREAL];
#endif

const mare_BayesKernels *mare_bayes_kernels(mare_Dtype dt); /* gaussian.c */

#endif
