/*
** perceptron.c -- Rosenblatt's rule: a row that a weight vector tells wrong is added
** to it, or taken off.
*/
#include "../base/pool.h"
#include "models.h"

static void widen(mare_Dtype dt, int64_t d, const char *x, double *row) {
  if (dt == MARE_F32)
    for (int64_t j = 0; j < d; j++) row[j] = ((const float *)x)[j];
  else
    for (int64_t j = 0; j < d; j++) row[j] = ((const double *)x)[j];
}

static double dot(int64_t d, const double *x, const double *w) {
  double s[4] = {0};
  int64_t j = 0;
  for (; j + 4 <= d; j += 4)
    for (int l = 0; l < 4; l++) s[l] += x[j + l] * w[j + l];
  for (; j < d; j++) s[0] += x[j] * w[j];
  return (s[0] + s[1]) + (s[2] + s[3]);
}

static void add(int64_t d, double a, const double *x, double *w) {
  for (int64_t j = 0; j < d; j++) w[j] += a * x[j];
}

/*
** One pass over the rows of x (n, d), in an order (n), 1-based: w (k, d) and b (k) in
** place, with codes y (n), row weights, the rate, and 0 or 1 for a bias.  k is 1 for two
** codes.  past (k, d + 1) adds up corrections times how many rows had been seen, begun
** with the number given: w minus past over all rows is the average of w.
** Out: the corrections made.
*/
static mare_Status perceptron_epoch(mare_Heap *h, mare_Values *v) {
  const mare_Tensor *x = &v->t[0];
  const int64_t n = x->shape[0], d = x->shape[1], k = v->t[8].numel;
  const int64_t *y = (const int64_t *)v->t[1].data;
  const int64_t *order = (const int64_t *)v->t[3].data;
  const double *weights = v->t[2].storage ? (const double *)v->t[2].data : NULL;
  double *w = (double *)v->t[7].data, *b = (double *)v->t[8].data;
  double *past = (double *)v->t[9].data, seen = v->n[6];
  double *row = mare_scratch(h, (size_t)d * sizeof(double));
  if (row == NULL) return MARE_NOMEM;
  for (int64_t i = 0; i < n && (i % 256 || !mare_stopping()); i++, seen++) {
    const int64_t at = order[i] - 1;
    const double rate = v->n[4] * (weights ? weights[at] : 1);
    if (rate == 0) continue;
    widen(x->dtype, d, x->data + at * d * (int64_t)mare_sizeof[x->dtype], row);
    for (int64_t c = 0; c < k; c++) {
      const double t = y[at] == (k == 1 ? 2 : c + 1) ? 1 : -1;
      if (t * (dot(d, row, w + c * d) + b[c]) > 0) continue;
      add(d, rate * t, row, w + c * d);
      add(d, rate * t * seen, row, past + c * (d + 1));
      b[c] += rate * t * v->n[5];
      past[c * (d + 1) + d] += rate * t * v->n[5] * seen;
      v->out[0]++;
    }
  }
  v->nout = 1;
  mare_scratch_free(h, row);
  return MARE_OK;
}

const mare_RoutineRow mare_perceptron_routines[] = {
  {"perceptron_epoch", "r:nd i:n ?d:n i:n n n n !d:kd !d:k !d:ke", perceptron_epoch},
  {NULL, NULL, NULL}};
