/* predict.c -- times a network in C: for each number of rows on the standard input, the
** microseconds of one call, the median of 200. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../src/mare.h"

#define CALLS 200

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  static float x[1 << 20], y[1 << 16];
  static double took[CALLS];
  char why[MARE_MESSAGE];
  mare_Model *m;
  long rows;
  if (argc < 2 || mare_model_open(&m, argv[1], why, sizeof why) != MARE_OK) return 1;
  mare_Workspace *ws = mare_workspace_new();
  for (int i = 0; i < 1 << 20; i++) x[i] = (float)(i % 13) / 13;
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (scanf("%ld", &rows) == 1) {
    for (int i = 0; i < CALLS; i++) {
      const double start = now();
      mare_model_predict(m, x, rows, y, ws);
      took[i] = now() - start;
    }
    qsort(took, CALLS, sizeof *took, compare);
    printf("%.3f\n", took[CALLS / 2]);
  }
  mare_workspace_free(ws);
  mare_model_close(m);
  return 0;
}
