/*
** oom.c -- every allocation of a program in C fails in turn, alone and with all after it:
** a status says so, nothing is left, and the next call succeeds.  oom MODEL ...
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/base/storage.h"

mare_Heap *__real_mare_heap_new(mare_Alloc *alloc, void *ud);
mare_Heap *__wrap_mare_heap_new(mare_Alloc *alloc, void *ud);
mare_Storage *__real_mare_storage_new(mare_Heap *h, size_t nbytes);
mare_Storage *__wrap_mare_storage_new(mare_Heap *h, size_t nbytes);
void *__real_mare_scratch(mare_Heap *h, size_t nbytes);
void *__wrap_mare_scratch(mare_Heap *h, size_t nbytes);

static long count, failing, blocks; /* failing: the one that does; 0: none */
static bool onwards;

static bool fails(void) {
  count++;
  return failing > 0 && (onwards ? count >= failing : count == failing);
}

static void *alloc(void *ud, void *old, size_t size) {
  (void)ud;
  if (size == 0) {
    blocks -= old != NULL;
    free(old);
    return NULL;
  }
  void *p = aligned_alloc(64, (size + 63) / 64 * 64);
  blocks++;
  return p ? memset(p, 0xa5, size) : NULL; /* what was not written is seen at once */
}

mare_Heap *__wrap_mare_heap_new(mare_Alloc *a, void *ud) {
  (void)a, (void)ud;
  return fails() ? NULL : __real_mare_heap_new(alloc, NULL);
}

mare_Storage *__wrap_mare_storage_new(mare_Heap *h, size_t nbytes) {
  return fails() ? NULL : __real_mare_storage_new(h, nbytes);
}

void *__wrap_mare_scratch(mare_Heap *h, size_t nbytes) {
  return fails() ? NULL : __real_mare_scratch(h, nbytes);
}

static float x[100000], y[100000], first[100000];

static mare_Status once(const char *path, float *out) {
  char why[MARE_MESSAGE] = "";
  mare_Workspace *ws;
  mare_Model *m;
  int64_t shape[MARE_MAXDIM];
  mare_Status st = mare_model_open(&m, path, why, sizeof why);
  if (st != MARE_OK && !strstr(why, "memory")) printf("%s: '%s'\n", path, why), exit(1);
  if (st != MARE_OK) return st;
  if (mare_model_inputs(m) < 0) {
    int ndim = mare_model_input(m, shape);
    for (int d = 0; d < ndim; d++) shape[d] = shape[d] < 0 ? 12 : shape[d];
    st = mare_model_set_input(m, ndim, shape, why, sizeof why);
    if (st != MARE_OK) printf("%s: %s\n", path, why), exit(1);
  }
  ws = mare_workspace_new();
  st = mare_model_predict(m, x, 2, out, ws); /* without one when that has failed */
  mare_workspace_free(ws);
  mare_model_close(m);
  return st;
}

static void every(const char *path) {
  long n, total;
  count = failing = 0;
  if (once(path, first) != MARE_OK) printf("%s: does not run\n", path), exit(1);
  total = count;
  for (onwards = false;; onwards = true) {
    for (n = 1; n <= total; n++) {
      count = 0, failing = n;
      mare_Status st = once(path, y);
      if ((st != MARE_NOMEM && st != MARE_OK) || (onwards && st == MARE_OK))
        printf("%s: allocation %ld: %s\n", path, n, mare_status_text(st)), exit(1);
      if (blocks != 0) printf("%s: allocation %ld: %ld left\n", path, n, blocks), exit(1);
      failing = 0;
    }
    if (onwards) break;
  }
  if (once(path, y) != MARE_OK || memcmp(y, first, sizeof y) != 0)
    printf("%s: other results afterwards\n", path), exit(1);
}

int main(int argc, char **argv) {
  for (int i = 0; i < 100000; i++) x[i] = (float)(i % 7) / 8 - 0.25f;
  for (int i = 1; i < argc; i++) every(argv[i]);
  printf("nothing is left\n");
  return 0;
}
