/*
** interrupt.c -- Ctrl-C for mare.repl.  lua5.4 catches the first one of a command only
** and then lets the next kill the process.  Nothing of this happens unless these
** functions are called, which only a program that owns process and terminal may do.
*/
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "bind.h"

enum { PATIENCE = 5 }; /* so many unanswered ones end the process after all */

static lua_State *watched[2]; /* what is to be interrupted: the loop, a coroutine of it */
static volatile sig_atomic_t pending;

static void unhook(void) {
  for (int i = 0; i < 2; i++)
    if (watched[i]) lua_sethook(watched[i], NULL, 0, 0);
}

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  unhook();
  lua_sethook(L, NULL, 0, 0); /* a coroutine made meanwhile has inherited it */
  pending = 0;
  luaL_error(L, "interrupted!");
}

/* the first one stops the main thread, the second also a coroutine that stays away */
static void on_signal(int sig) {
  const int events = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  int n = ++pending;
  if (n >= PATIENCE) signal(sig, SIG_DFL);
  for (int i = 0; i < 2 && i < n; i++)
    if (watched[i]) lua_sethook(watched[i], stop, events, 1);
}

/* L: what Ctrl-C stops, and reads go on; NULL: it is noted, and breaks off a read */
static void watch(lua_State *L) {
  struct sigaction act = {.sa_handler = on_signal, .sa_flags = L ? SA_RESTART : 0};
  sigaction(SIGINT, &act, NULL);
  unhook();
  watched[0] = L;
  watched[1] = NULL;
}

/* interruptible(handler, f, ...): xpcall(f, handler, ...) that Ctrl-C ends */
static int core_interruptible(lua_State *L) {
  int ok;
  luaL_checkany(L, 2);
  pending = 0;
  watch(L);
  ok = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1) == LUA_OK;
  watch(NULL);
  lua_pushboolean(L, ok);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* interrupted(wait): was Ctrl-C noted?  With wait, until it is or there is input */
static int core_interrupted(lua_State *L) {
  struct pollfd input = {0, POLLIN, 0};
  bool noted;
  watch(NULL);
  if (lua_toboolean(L, 1))
    while (!pending && poll(&input, 1, -1) < 0 && errno == EINTR) continue;
  noted = pending != 0;
  pending = 0;
  lua_pushboolean(L, noted);
  return 1;
}

/* interrupt_inside(thread or nil): the coroutine that runs inside of that call */
static int core_interrupt_inside(lua_State *L) {
  watched[1] = lua_tothread(L, 1);
  return 0;
}

const Function interrupt_functions[] = {{"interruptible", core_interruptible},
                                        {"interrupted", core_interrupted},
                                        {"interrupt_inside", core_interrupt_inside},
                                        {NULL, NULL}};
