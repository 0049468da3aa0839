/*
** coordinate.c -- coordinate descent on a quadratic form with a penalty: lasso and
** elastic net from the Gram matrix.
**
** f(w) = (yy - 2 c.w + w G w) / 2 + l1 |w|_1 + l2 |w|^2 / 2, for one coordinate at a
** time.
** J. Friedman, T. Hastie and R. Tibshirani 2010, Regularization paths for generalized
** linear models via coordinate descent.
*/
#include <math.h>

#include "../base/pool.h"
#include "models.h"

typedef struct Form {
  const double *gram, *c; /* (d, d), (d) */
  double *w, *q;          /* (d); q = c - G w */
  int64_t d;
  double l1, l2, yy;
  bool positive;          /* w >= 0 */
} Form;

/* the best value of coordinate j, the others as they are */
static double best(const Form *f, int64_t j) {
  const double g = f->gram[j * f->d + j], r = f->q[j] + g * f->w[j];
  if (g <= 0) return 0;
  if (r > f->l1) return (r - f->l1) / (g + f->l2);
  return r < -f->l1 && !f->positive ? (r + f->l1) / (g + f->l2) : 0;
}

/* every coordinate once; has any changed? */
static bool sweep(Form *f) {
  bool changed = false;
  for (int64_t j = 0; j < f->d; j++) {
    const double w = best(f, j), step = w - f->w[j], *row = f->gram + j * f->d;
    if (step == 0) continue;
    if (j % 64 == 0 && mare_stopping()) break;
    for (int64_t i = 0; i < f->d; i++) f->q[i] -= step * row[i];
    f->w[j] = w;
    changed = true;
  }
  return changed;
}

/* how far f is above its least value: the duality gap; without l1, what single steps
** would win */
static double gap_of(const Form *f) {
  double largest = 0, gain = 0, wc = 0, wq = 0, norm1 = 0, norm2 = 0;
  for (int64_t j = 0; j < f->d; j++) {
    const double w = f->w[j], g = f->q[j] - f->l2 * w, h = f->gram[j * f->d + j] + f->l2;
    const double up = f->positive && w == 0 ? fmax(g, 0) : g;
    largest = fmax(largest, f->positive ? g : fabs(g));
    if (h > 0) gain += up * up / (2 * h);
    wc += w * f->c[j];
    wq += w * f->q[j];
    norm1 += fabs(w);
    norm2 += w * w;
  }
  if (f->l1 == 0) return gain;
  const double r2 = fmax(f->yy - wc - wq, 0), k = largest > f->l1 ? f->l1 / largest : 1;
  return r2 * (1 + k * k) / 2 + f->l1 * norm1 - k * (f->yy - wc) +
         f->l2 * (1 + k * k) / 2 * norm2;
}

/*
** gram (d, d), c (d), w (d), q (d), yy, l1, l2, positive (0 or 1), tol, sweeps; true when
** the gap is at most tol, out: the sweeps that were made, the gap
*/
static mare_Status coordinate_descent(mare_Heap *h, mare_Values *v) {
  Form f = {.gram = (const double *)v->t[0].data, .c = (const double *)v->t[1].data,
            .w = (double *)v->t[2].data, .q = (double *)v->t[3].data,
            .d = v->t[1].numel, .yy = v->n[4], .l1 = v->n[5], .l2 = v->n[6],
            .positive = v->n[7] != 0};
  const int64_t most = (int64_t)v->n[9];
  bool changed = true;
  int64_t n = 0;
  double gap = INFINITY;
  (void)h;
  while (n < most && changed && gap > v->n[8] && !mare_stopping()) {
    changed = sweep(&f);
    gap = gap_of(&f);
    n++;
  }
  v->out[0] = (double)n;
  v->out[1] = gap;
  v->nout = 2;
  return changed && gap > v->n[8] ? MARE_BADARG : MARE_OK;
}

const mare_RoutineRow mare_coordinate_routines[] = {
  {"coordinate_descent", "d:dd d:d !d:d !d:d n n n n n n", coordinate_descent},
  {NULL, NULL, NULL}};
