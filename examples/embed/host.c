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
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 600, COLUMNS = 2, CLASSES = 3 };
enum { TRAIN = 1, CLASSIFY }; /* where the script's two functions stay on the stack */

int luaopen_mare(lua_State *L);

static lua_State *L;

static int failed(const char *where) { /* an error message is on the stack */
  fprintf(stderr, "%s: %s\n", where, lua_tostring(L, -1));
  return -1;
}

/* learns n rows; labels are their classes, from 1 on */
static int train(float (*rows)[COLUMNS], const int64_t *labels, size_t n) {
  lua_pushvalue(L, TRAIN);
  lua_pushlstring(L, (const char *)rows, n * sizeof *rows);
  lua_pushlstring(L, (const char *)labels, n * sizeof *labels);
  lua_pushinteger(L, COLUMNS);
  return lua_pcall(L, 3, 0, 0) ? failed("train") : 0;
}

/* the class of a row of COLUMNS numbers, from 1 on; -1 after an error */
static int classify(const float *row) {
  lua_settop(L, CLASSIFY);
  lua_pushvalue(L, CLASSIFY);
  lua_pushlstring(L, (const char *)row, COLUMNS * sizeof *row);
  return lua_pcall(L, 1, 1, 0) ? failed("classify") : (int)lua_tointeger(L, -1);
}

static void draw(float (*rows)[COLUMNS], int64_t *labels) {
  static const float center[CLASSES][COLUMNS] = {{1, 0}, {-0.5f, 0.87f}, {-0.5f, -0.87f}};
  for (int i = 0; i < ROWS; i++) {
    labels[i] = i % CLASSES + 1;
    for (int k = 0; k < COLUMNS; k++)
      rows[i][k] = center[i % CLASSES][k] + 1.6f * (float)rand() / (float)RAND_MAX - 0.8f;
  }
}

int main(int argc, char **argv) {
  static float rows[ROWS][COLUMNS];
  static int64_t labels[ROWS];
  int right = 0;
  if (argc < 2 || (L = luaL_newstate()) == NULL) return 1;
  luaL_openlibs(L);
  luaL_requiref(L, "mare", luaopen_mare, 0);
  lua_settop(L, 0);
  if (luaL_loadfile(L, argv[1]) || lua_pcall(L, 0, 2, 0)) return failed("open") != 0;
  draw(rows, labels);
  if (train(rows, labels, ROWS)) return 1;
  draw(rows, labels); /* others */
  for (int i = 0; i < ROWS; i++) right += classify(rows[i]) == labels[i];
  printf("%d of %d unseen rows right\n", right, ROWS);
  lua_close(L);
  return 0;
}
