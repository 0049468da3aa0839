/*
** fork.c -- fork for Lua, and a Lua state inside another; built by fork_spec.lua.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int luaopen_forkhelper(lua_State *L);

/*
** fork(f) -> what the child's f returned (a string of some bytes), or nil and why
** not.  A child that hangs is killed after 60 seconds.
*/
static int fork_call(lua_State *L) {
  int fd[2], status = 0;
  char buf[4096];
  ssize_t n;
  size_t total = 0;
  luaL_Buffer b;
  if (pipe(fd) != 0) return luaL_error(L, "no pipe");
  pid_t pid = fork();
  if (pid < 0) return luaL_error(L, "no fork");
  if (pid == 0) {
    alarm(60);
    lua_settop(L, 1);
    int bad = lua_pcall(L, 0, 1, 0) != LUA_OK;
    const char *s = lua_tolstring(L, -1, &total);
    while (total > 0 && (n = write(fd[1], s, total)) > 0) s += n, total -= (size_t)n;
    _exit(bad);
  }
  close(fd[1]);
  luaL_buffinit(L, &b);
  while ((n = read(fd[0], buf, sizeof buf)) > 0) luaL_addlstring(&b, buf, (size_t)n);
  luaL_pushresult(&b);
  close(fd[0]);
  waitpid(pid, &status, 0);
  if (status == 0) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  if (WIFSIGNALED(status)) lua_pushfstring(L, "killed by signal %d", WTERMSIG(status));
  return 2;
}

/* forks(n, f): n children that run f at the same time; their process numbers */
static int fork_many(lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1);
  lua_settop(L, 2);
  for (int i = 0; i < n; i++) {
    pid_t pid = fork();
    if (pid < 0) return luaL_error(L, "no fork");
    if (pid == 0) {
      alarm(120);
      lua_settop(L, 2);
      _exit(lua_pcall(L, 0, 1, 0) != LUA_OK || !lua_toboolean(L, -1));
    }
    lua_pushinteger(L, pid);
  }
  return n;
}

/* ended(child): waits; whether its f returned what is true */
static int fork_ended(lua_State *L) {
  int status = -1;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushboolean(L, status == 0);
  return 1;
}

/* state(code): runs it in a new state, closes that, then waits as long as workers spin */
static int state_call(lua_State *L) {
  const char *code = luaL_checkstring(L, 1);
  lua_State *inner = luaL_newstate();
  luaL_openlibs(inner);
  int bad = luaL_loadstring(inner, code) || lua_pcall(inner, 0, 0, 0);
  if (bad) lua_pushstring(L, lua_tostring(inner, -1));
  lua_close(inner);
  usleep(20000);
  return bad ? lua_error(L) : 0;
}

int luaopen_forkhelper(lua_State *L) {
  static const luaL_Reg list[] = {{"fork", fork_call},   {"forks", fork_many},
                                   {"ended", fork_ended}, {"state", state_call},
                                   {NULL, NULL}};
  luaL_newlib(L, list);
  return 1;
}
