/* model.c -- any bytes as a network for programs in C: refused, or it computes. */
#include "../../src/mare.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define MOST 4096 /* numbers of a sample */

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n) {
  static float x[2 * MOST], y[2 * MOST];
  char why[MARE_MESSAGE];
  int64_t shape[MARE_MAXDIM];
  mare_Model *m;
  mare_Status st;
  mare_set_threads(1);
  st = mare_model_open_bytes(&m, bytes, n, why, sizeof why);
  if ((st == MARE_OK) != (why[0] == 0) || (st == MARE_OK) != (m != NULL)) __builtin_trap();
  if (st != MARE_OK) return 0;
  if (mare_model_inputs(m) < 0) {
    int ndim = mare_model_input(m, shape);
    for (int d = 0; d < ndim; d++) shape[d] = shape[d] < 0 ? 6 : shape[d];
    mare_model_set_input(m, ndim < 0 ? 0 : ndim, shape, why, sizeof why);
  }
  if (mare_model_inputs(m) <= MOST && mare_model_outputs(m) <= MOST)
    mare_model_predict(m, x, 2, y, NULL);
  mare_model_close(m);
  return 0;
}
