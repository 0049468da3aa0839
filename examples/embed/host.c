/*
** host.c -- a program in C that learns.  It has Lua, the module and all of its files in
** it; classifier.lua is its own script.  Its points lie around three centers on a ring.
**
**   make lib
**   cc -I/usr/include/lua5.4 -o build/embed examples/embed/host.c build/libmare.a \
**      -llua5.4 -lblis -lz -lm -lpthread -ldl
**   build/embed examples/embed/classifier.lua
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS 600
#define COLUMNS 2
#define CLASSES 3

int luaopen_mare(lua_State *L);

static lua_State *L;
static int train_ref, classify_ref; /* the script's two functions */

static int failed(const char *where) { /* an error message is on the stack */
  fprintf(stderr, "%s: %s\n", where, lua_tostring(L, -1));
  lua_settop(L, 0);
  return -1;
}

static int open_classifier(const char *script) {
  L = luaL_newstate();
  if (L == NULL) return -1;
  luaL_openlibs(L);
  luaL_requiref(L, "mare", luaopen_mare, 0);
  if (luaL_loadfile(L, script) || lua_pcall(L, 0, 2, 0)) return failed("open");
  classify_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  train_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, 0);
  return 0;
}

/* rows is (n, COLUMNS); labels holds n classes from 1 on */
static int train(const float *rows, const int64_t *labels, size_t n) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, train_ref);
  lua_pushlstring(L, (const char *)rows, n * COLUMNS * sizeof *rows);
  lua_pushlstring(L, (const char *)labels, n * sizeof *labels);
  lua_pushinteger(L, COLUMNS);
  return lua_pcall(L, 3, 0, 0) ? failed("train") : 0;
}

/* the class of a row of COLUMNS numbers, from 1 on; -1 after an error */
int classify(const float *row) {
  int class;
  lua_rawgeti(L, LUA_REGISTRYINDEX, classify_ref);
  lua_pushlstring(L, (const char *)row, COLUMNS * sizeof *row);
  if (lua_pcall(L, 1, 1, 0)) return failed("classify");
  class = (int)lua_tointeger(L, -1);
  lua_settop(L, 0);
  return class;
}

static float noise(void) { return 1.6f * (float)rand() / (float)RAND_MAX - 0.8f; }

static void draw(float *rows, int64_t *labels, size_t n) {
  static const float center[CLASSES][COLUMNS] = {{1, 0}, {-0.5f, 0.87f}, {-0.5f, -0.87f}};
  for (size_t i = 0; i < n; i++) {
    labels[i] = (int64_t)(i % CLASSES) + 1;
    for (int k = 0; k < COLUMNS; k++)
      rows[i * COLUMNS + k] = center[i % CLASSES][k] + noise();
  }
}

int main(int argc, char **argv) {
  static float rows[ROWS * COLUMNS];
  static int64_t labels[ROWS];
  int right = 0;
  if (argc < 2 || open_classifier(argv[1])) return 1;
  draw(rows, labels, ROWS);
  if (train(rows, labels, ROWS)) return 1;
  draw(rows, labels, ROWS); /* others */
  for (int i = 0; i < ROWS; i++) right += classify(rows + i * COLUMNS) == labels[i];
  printf("%d of %d unseen rows right\n", right, ROWS);
  lua_close(L);
  return 0;
}
