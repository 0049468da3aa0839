/*
** predict.c -- a program without Lua that knows handwritten digits: it opens a network that
** a script in Lua trained and saved, and says what each picture of a file shows.
**
**   lua5.4 -e 'local mare, nn = require "mare", require "mare.nn"
**     local x, y = mare.data.digits()
**     ... train model ...
**     model:save "digits.safetensors"'
**   gcc predict.c -lmare -lblis -lz -lm -lpthread -o predict
**   ./predict digits.safetensors < pictures       (numbers, row by row)
*/
#include <mare.h>
#include <stdio.h>
#include <stdlib.h>

/* the numbers of one sample from the standard input; false at its end */
static bool read_sample(float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (scanf("%f", &x[i]) != 1) return false;
  return true;
}

static int64_t largest(const float *y, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (y[i] > y[best]) best = i;
  return best;
}

int main(int argc, char **argv) {
  char why[MARE_MESSAGE];
  mare_Model *m;
  mare_Status st = MARE_OK;
  if (argc != 2) return fprintf(stderr, "usage: predict model.safetensors < numbers\n"), 2;
  if (mare_model_open(&m, argv[1], why, sizeof why) != MARE_OK)
    return fprintf(stderr, "%s\n", why), 1;
  const int64_t in = mare_model_inputs(m), out = mare_model_outputs(m);
  if (in < 0) return fprintf(stderr, "%s does not say how large a sample is\n", argv[1]), 1;
  float *x = malloc((size_t)in * sizeof *x), *y = malloc((size_t)out * sizeof *y);
  mare_Workspace *ws = mare_workspace_new(); /* one for each thread */
  if (x == NULL || y == NULL || ws == NULL) return fprintf(stderr, "no memory\n"), 1;
  while (st == MARE_OK && read_sample(x, in)) {
    st = mare_model_predict(m, x, 1, y, ws);
    if (st == MARE_OK) printf("%lld\n", (long long)largest(y, out));
  }
  if (st != MARE_OK) fprintf(stderr, "%s\n", mare_status_text(st));
  mare_workspace_free(ws);
  free(x);
  free(y);
  mare_model_close(m);
  return st != MARE_OK;
}
