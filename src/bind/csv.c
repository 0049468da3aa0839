/*
** csv.c -- tables of text for Lua.  Columns of numbers become tensors without a copy;
** those of text become lists, chunk by chunk, so that a file is never in memory twice.
*/
#include "../io/csv.h"

#include <string.h>

#include "bind.h"

static const char *const kind_names[] = {"i64", "f64", "string"};

enum { PATH = 1, STRING, OPTIONS, OWNER, RESULT, MARKS }; /* indices */

static int csv_close(lua_State *L) {
  mare_csv_close(lua_touserdata(L, 1));
  return 0;
}

static mare_Text text_at(lua_State *L, int idx) { /* a string that stays in a table */
  mare_Text t = {NULL, 0};
  t.s = lua_tolstring(L, idx, &t.n);
  if (t.s == NULL)
    arg_error(L, OPTIONS, "a list of strings holds a %s", luaL_typename(L, idx));
  return t;
}

static char char_option(lua_State *L, const char *name, char otherwise) {
  if (lua_getfield(L, OPTIONS, name) == LUA_TSTRING) otherwise = *lua_tostring(L, -1);
  lua_pop(L, 1);
  return otherwise;
}

/* the list 'missing'; the array is a userdata at MARKS */
static void read_marks(lua_State *L, mare_Csv *c) {
  int n = 0;
  if (lua_getfield(L, OPTIONS, "missing") == LUA_TTABLE) n = (int)lua_rawlen(L, -1);
  mare_Text *mark = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *mark, 0);
  for (int i = 0; i < n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, -2, i + 1);
    mark[i] = text_at(L, -1);
  }
  lua_replace(L, MARKS);
  c->mark = mark;
  c->nmark = n;
}

static void read_options(lua_State *L, mare_Csv *c) {
  c->separator = char_option(L, "separator", ',');
  c->point = char_option(L, "decimal", '.');
  c->header = lua_getfield(L, OPTIONS, "header") == LUA_TNIL || lua_toboolean(L, -1);
  c->limit = INT64_MAX;
  if (lua_getfield(L, OPTIONS, "rows") != LUA_TNIL)
    c->limit = check_integer(L, lua_gettop(L));
  if (c->limit < 0) c->limit = 0;
  lua_settop(L, RESULT);
  read_marks(L, c);
}

/* -- columns ------------------------------------------------------------------------- */

/* names that the user gives in place of those of the file */
static mare_Status give_names(lua_State *L, mare_Csv *c) {
  int n;
  if (lua_getfield(L, OPTIONS, "names") != LUA_TTABLE) return MARE_OK;
  n = (int)lua_rawlen(L, -1);
  if (n != c->ncolumn)
    return mare_source_fail(&c->s, MARE_FORMAT, "%d names for %d columns", n, c->ncolumn);
  for (int k = 0; k < n; k++, lua_pop(L, 1)) {
    lua_rawgeti(L, -1, k + 1);
    c->column[k].name = text_at(L, -1);
  }
  return MARE_OK;
}

/* pushes { name = number of the column } */
static mare_Status push_numbers(lua_State *L, mare_Csv *c) {
  lua_createtable(L, 0, c->ncolumn);
  for (int k = 0; k < c->ncolumn; k++) {
    mare_Text name = c->column[k].name;
    lua_pushlstring(L, name.s, name.n);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL)
      return mare_csv_fail(c, c->top, k, "column %d has this name already",
                           (int)lua_tointeger(L, -1));
    lua_pop(L, 1);
    lua_pushinteger(L, k + 1);
    lua_rawset(L, -3);
  }
  return MARE_OK;
}

/* the column whose name is at idx, by the table at numbers */
static mare_Status find_column(lua_State *L, mare_Csv *c, int numbers, int idx, int *k) {
  lua_pushvalue(L, idx);
  lua_rawget(L, numbers);
  *k = (int)lua_tointeger(L, -1) - 1;
  lua_pop(L, 1);
  if (*k >= 0) return MARE_OK;
  return mare_source_fail(&c->s, MARE_FORMAT, "no column '%.100s'", text_at(L, idx).s);
}

static mare_Status choose_columns(lua_State *L, mare_Csv *c, int numbers) {
  int n, k;
  mare_Status st = MARE_OK;
  if (lua_getfield(L, OPTIONS, "columns") != LUA_TTABLE) return MARE_OK;
  for (k = 0; k < c->ncolumn; k++) c->column[k].kind = MARE_CSV_SKIP;
  n = (int)lua_rawlen(L, -1);
  for (int i = 0; st == MARE_OK && i < n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, -1, i + 1);
    st = find_column(L, c, numbers, lua_gettop(L), &k);
    if (st == MARE_OK) c->column[k].kind = MARE_CSV_WHOLE;
  }
  return st;
}

static mare_Status give_types(lua_State *L, mare_Csv *c, int numbers) {
  int k;
  if (lua_getfield(L, OPTIONS, "types") != LUA_TTABLE) return MARE_OK;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    const char *name = lua_tostring(L, -1);
    int kind = 0;
    mare_Status st = find_column(L, c, numbers, lua_gettop(L) - 1, &k);
    if (st != MARE_OK) return st;
    while (kind < 3 && (name == NULL || strcmp(name, kind_names[kind]) != 0)) kind++;
    if (kind == 3) arg_error(L, OPTIONS, "a type is 'i64', 'f64' or 'string'");
    if (c->column[k].kind == MARE_CSV_SKIP) continue;
    c->column[k].kind = (mare_CsvKind)kind;
    c->column[k].given = true;
    c->column[k].whole = kind == MARE_CSV_WHOLE;
  }
  return MARE_OK;
}

static mare_Status set_columns(lua_State *L, mare_Csv *c) {
  int top = lua_gettop(L);
  mare_Status st = give_names(L, c);
  if (st == MARE_OK) st = push_numbers(L, c);
  if (st == MARE_OK) st = choose_columns(L, c, top + 2);
  if (st == MARE_OK) st = give_types(L, c, top + 2);
  return st;
}

/* -- values -------------------------------------------------------------------------- */

/* appends the texts of this chunk to the lists, by column, in the table at RESULT */
static void take_texts(lua_State *L, mare_Csv *c) {
  for (int k = 0; k < c->ncolumn; k++) {
    if (c->column[k].kind != MARE_CSV_TEXT) continue;
    if (lua_rawgeti(L, RESULT, k + 1) == LUA_TNIL) {
      lua_createtable(L, (int)c->count, 0);
      lua_pushvalue(L, -1);
      lua_rawseti(L, RESULT, k + 1);
    }
    for (int64_t i = 0; i < c->count; i++) {
      if (i % 1024 == 0) check_time(L);
      mare_Text t = mare_csv_text(c, &c->column[k], i);
      if (t.s) lua_pushlstring(L, t.s, t.n);
      else lua_pushboolean(L, 0);
      lua_rawseti(L, -2, c->rows + i + 1);
    }
    lua_settop(L, MARKS);
  }
}

static void push_values(lua_State *L, State *S, mare_Csv *c, int k) {
  mare_CsvColumn *column = &c->column[k];
  mare_Tensor t;
  if (column->kind == MARE_CSV_TEXT) {
    if (lua_rawgeti(L, RESULT, k + 1) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 0);
    return;
  }
  if (c->rows == 0 && !column->given) column->kind = MARE_CSV_REAL;
  mare_shape_set(&t, column->kind == MARE_CSV_REAL ? MARE_F64 : MARE_I64, 1, &c->rows);
  if (column->data == NULL || column->room - c->rows > c->rows / 8) {
    Object *o = new_like(L, S, &t);
    if (c->rows) memcpy(o->t.data, column->data->data, (size_t)c->rows * 8);
    mare_storage_release(column->data);
    column->data = NULL;
    return;
  }
  t.storage = column->data;
  t.data = column->data->data;
  new_view(L, S, &t)->isview = false; /* nobody else has the rest of it */
}

static void push_column(lua_State *L, State *S, mare_Csv *c, int k) {
  const mare_CsvColumn *column = &c->column[k];
  lua_createtable(L, 0, 4);
  push_values(L, S, c, k);
  lua_setfield(L, -2, "values");
  lua_pushlstring(L, column->name.s, column->name.n);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, kind_names[column->kind]);
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, column->missing);
  lua_setfield(L, -2, "missing");
}

static int push_columns(lua_State *L, State *S, mare_Csv *c) {
  int n = 0;
  lua_createtable(L, c->ncolumn, 0);
  for (int k = 0; k < c->ncolumn; k++) {
    if (c->column[k].kind == MARE_CSV_SKIP) continue;
    push_column(L, S, c, k);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/*
** read_csv(path or nil, string or nil, options) -> a list of { name =, kind = "i64" |
** "f64" | "string", values = tensor or list with false for missing, missing = number };
** or nil, message.  Options: header, separator, decimal, missing, types, columns, names,
** rows.
*/
static int csv_read(lua_State *L) {
  State *S = get_state(L);
  mare_Csv *c;
  mare_Status st;
  const char *path = lua_isnil(L, PATH) ? NULL : check_path(L, PATH);
  mare_Text string = {NULL, 0};
  if (path == NULL) string.s = luaL_checklstring(L, STRING, &string.n);
  if (!lua_isnoneornil(L, OPTIONS)) luaL_checktype(L, OPTIONS, LUA_TTABLE);
  lua_settop(L, OPTIONS);
  if (lua_isnil(L, OPTIONS)) lua_createtable(L, 0, 0), lua_replace(L, OPTIONS);
  c = push_owner(L, sizeof *c, csv_close);
  lua_createtable(L, 0, 0); /* RESULT */
  read_options(L, c);
  c->path = path;
  c->string = string;
  st = mare_csv_open(c, S->heap);
  if (st == MARE_OK) st = set_columns(L, c);
  lua_settop(L, MARKS);
  while (st == MARE_OK && (st = mare_csv_next(c)) == MARE_OK && c->count)
    take_texts(L, c);
  if (st != MARE_OK) return failed(L, st, c->s.error);
  return push_columns(L, S, c);
}

const Function csv_functions[] = {{"read_csv", csv_read}, {NULL, NULL}};
