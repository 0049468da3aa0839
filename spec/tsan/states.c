/*
** states.c -- several Lua states train at once, each in a thread of its own.  Each
** must end with the same numbers as one that trains alone.  Run by `make tsan`.
*/
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATES 4

int luaopen_mare_core(lua_State *L);

static const char script[] =
    "local mare = require 'mare'\n"
    "mare.seed(7)\n"
    "local nn = mare.nn\n"
    "local model = nn.Sequential { nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10) }\n"
    "local x, y = mare.randn(128, 64), mare.randint(1, 10, 128)\n"
    "local opt = mare.optim.adam(model:parameters(), { lr = 0.01 })\n"
    "for _ = 1, 8 do\n"
    "  local step <close> = mare.scope()\n"
    "  opt:zero_grad()\n"
    "  mare.loss.cross_entropy(model(x), y):backward()\n"
    "  opt:step()\n"
    "end\n"
    "local big = mare.randn(400, 400)\n"
    "local s = big:matmul(big):softmax(2):sum():item() + big:exp():sum():item()\n"
    "local out = { string.pack('d', s) }\n"
    "for _, p in ipairs(model:parameters()) do out[#out + 1] = p:tobytes() end\n"
    "return table.concat(out)\n";

typedef struct Result {
  char *bytes;
  size_t length;
  const char *error;
} Result;

static void *train(void *p) {
  Result *r = p;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "mare.core", luaopen_mare_core, 0);
  lua_settop(L, 0);
  if (luaL_dostring(L, script) != LUA_OK) {
    r->error = strdup(lua_tostring(L, -1));
  } else {
    const char *s = lua_tolstring(L, -1, &r->length);
    r->bytes = memcpy(malloc(r->length), s, r->length);
  }
  lua_close(L);
  return NULL;
}

int main(void) {
  Result alone = {0}, r[STATES] = {{0}};
  pthread_t thread[STATES];
  int bad = 0;
  train(&alone);
  for (int i = 0; i < STATES; i++) pthread_create(&thread[i], NULL, train, &r[i]);
  for (int i = 0; i < STATES; i++) pthread_join(thread[i], NULL);
  if (alone.error) printf("alone: %s\n", alone.error), bad++;
  for (int i = 0; i < STATES; i++) {
    bool same = !r[i].error && !alone.error && r[i].length == alone.length &&
                memcmp(r[i].bytes, alone.bytes, alone.length) == 0;
    if (!same) bad++, printf("state %d: %s\n", i, r[i].error ? r[i].error : "other numbers");
  }
  printf("%d states, %d differ\n", STATES, bad);
  return bad != 0;
}
