/*
** states.c -- several Lua states at once, each in a thread of its own, training on
** the one pool that they share, under ThreadSanitizer.  Silent and 0 when all is well.
*/
#include <pthread.h>

#define STATES 8
#define ROUNDS 3 /* states that a thread opens and closes */

/* a training run and pieces of everything that is cut; gives a checksum */
static const char script[] =
    "local mare = require 'mare'\n"
    "mare.seed(1)\n"
    "local nn = mare.nn\n"
    "local model = nn.Sequential { nn.Linear(80, 200), nn.ReLU(), nn.Dropout(0.1),\n"
    "  nn.Linear(200, 10) }\n"
    "local opt = mare.optim.adam(model:parameters(), { lr = 0.01 })\n"
    "local x, y = mare.randn(256, 80), mare.randint(1, 10, 256)\n"
    "for _ = 1, 4 do\n"
    "  local loss = mare.loss.cross_entropy(model(x), y)\n"
    "  opt:zero_grad() loss:backward() opt:step()\n"
    "end\n"
    "local data = mare.data.dataset(x, y)\n"
    "for xb, yb in data:batches { size = 32, prefetch = 3, shuffle = true, seed = 1 } do\n"
    "  local loss = mare.loss.cross_entropy(model(xb), yb)\n"
    "  opt:zero_grad() loss:backward() opt:step()\n"
    "end\n"
    "local wide = mare.data.dataset(mare.randint(0, 255, 256, 784):to 'u8', y)\n" /* by the pool */
    "for xb in wide:batches { size = 64 } do (xb:t():matmul(xb)):sum() end\n"
    "for xb in wide:batches { size = 32 } do if xb then break end end\n"
    "for xb in data:batches { size = 8, prefetch = 5 } do if xb then break end end\n"
    "local open = data:batches { size = 8, prefetch = 9 }\n"
    "open() open()\n"
    "local p, z = mare.randperm(70000), mare.randn(200, 300)\n"
    "local sum = model(x):sum():item() + z:matmul(z:t()):softmax(2):sum(1):exp():sum():item()\n"
    "local la, c = mare.linalg, z:matmul(z:t()) + 200 * mare.eye(200)\n"
    "sum = sum + la.solve_triangular(la.cholesky(c), z):sum():item()\n"
    "sum = sum + la.eigvalsh(c):sum():item() + la.inv(c)[1]:sum():item()\n"
    "mare.threads(mare.randint(1, 6, 1):item())\n"
    "return sum + p:index_select(1, p):cumsum(1):sum():item() + z:sort(2):mean():item()\n";

#include "script.h"

static double sums[STATES][ROUNDS];
static const char *failed[STATES];

static double one_state(const char **why) {
  lua_State *L = run_script("tsan/states.c");
  if (L == NULL) {
    *why = "an error";
    return 0;
  }
  double sum = lua_tonumber(L, -1);
  lua_close(L);
  return sum;
}

static void *state(void *arg) {
  const char **why = arg;
  for (int k = 0; k < ROUNDS; k++) sums[why - failed][k] = one_state(why);
  return NULL;
}

int main(void) {
  pthread_t t[STATES];
  int bad = 0;
  double alone = one_state(&failed[0]);
  for (int i = 0; i < STATES; i++) pthread_create(&t[i], NULL, state, &failed[i]);
  for (int i = 0; i < STATES; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < STATES * ROUNDS; i++)
    bad += failed[i / ROUNDS] != NULL || sums[i / ROUNDS][i % ROUNDS] != alone;
  if (bad > 0) fprintf(stderr, "tsan/states.c: %d states differ from one alone\n", bad);
  return bad > 0;
}
