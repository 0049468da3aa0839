/*
** model.c -- one network in C, used by eight threads at a time, under ThreadSanitizer.
** Lua makes its bytes.  Silent and 0 when all is well.
*/
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/mare.h"

#define THREADS 8
#define CALLS 5
#define ROWS 40
#define INPUTS (3 * 16 * 16)

static const char script[] =
    "local nn = require 'mare'.nn\n"
    "return nn.Sequential { nn.Conv2d(3, 8, 3, { padding = 1 }), nn.BatchNorm2d(8),\n"
    "  nn.GELU(), nn.Residual(nn.Conv2d(8, 8, 1)), nn.MaxPool(2), nn.Flatten(),\n"
    "  nn.Linear(512, 400), nn.LayerNorm(400), nn.Tanh(), nn.Linear(400, 10),\n"
    "  nn.Softmax() }:save()\n";

#include "script.h"

static mare_Model *m;
static float x[ROWS * INPUTS], want[ROWS * 10];

static bool open_model(void) {
  const int64_t shape[] = {3, 16, 16};
  char why[MARE_MESSAGE] = "";
  lua_State *L = run_script("tsan/model.c");
  size_t n;
  if (L == NULL) return false;
  const char *bytes = lua_tolstring(L, -1, &n);
  if (mare_model_open_bytes(&m, bytes, n, why, sizeof why) == MARE_OK)
    mare_model_set_input(m, 3, shape, why, sizeof why);
  if (why[0]) fprintf(stderr, "tsan/model.c: %s\n", why);
  lua_close(L);
  return m != NULL && why[0] == 0;
}

static void *predict(void *arg) {
  bool *good = arg;
  mare_Workspace *ws = mare_workspace_new();
  float *y = malloc(sizeof want);
  *good = true;
  for (int i = 0; i < CALLS; i++)
    *good &= mare_model_predict(m, x, ROWS, y, i % 2 ? ws : NULL) == MARE_OK &&
             memcmp(y, want, sizeof want) == 0;
  free(y);
  mare_workspace_free(ws);
  return NULL;
}

int main(void) {
  pthread_t t[THREADS];
  bool good[THREADS];
  int bad = 0;
  if (!open_model()) return 1;
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (float)(i % 17) / 8 - 1;
  if (mare_model_predict(m, x, ROWS, want, NULL) != MARE_OK) return 1;
  for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, predict, &good[i]);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < THREADS; i++) bad += !good[i];
  if (bad > 0) fprintf(stderr, "tsan/model.c: %d threads differ\n", bad);
  mare_model_close(m);
  return bad > 0;
}
