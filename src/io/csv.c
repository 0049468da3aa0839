/*
** csv.c -- reading tables of text.  The main thread cuts a chunk into lines and these
** into pieces; pieces are parsed by all threads, each into its own rows.  Nothing in
** the chunk is changed by that, so a column whose kind was guessed wrong is parsed
** again; when its earlier rows are gone already, the file is read a second time.
*/
#include "csv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/pool.h"
#include "../base/storage.h"

#ifndef MARE_CSVCHUNK /* the fuzzer makes it small */
#define MARE_CSVCHUNK ((size_t)4 << 20)
#endif
#define CHUNK ((size_t)MARE_CSVCHUNK) /* also the longest line */
#define PIECE ((ptrdiff_t)(CHUNK / 64))
#define PADDING 16
#define MOST_COLUMNS 100000
#define SHOWN 40 /* bytes of a field in a message */

/* -- messages ------------------------------------------------------------------------ */

static int shown(mare_Text t) {
  return (int)(t.n < SHOWN ? t.n : SHOWN);
}

mare_Status mare_csv_fail(mare_Csv *c, int64_t line, int column, const char *fmt, ...) {
  char *out = c->s.error, *end = out + MARE_ERRORTEXT;
  va_list ap;
  out += snprintf(out, MARE_ERRORTEXT / 2, "%.200s:%lld: column %d", c->s.name,
                  (long long)line, column + 1);
  if (c->header && column < c->ncolumn)
    out += snprintf(out, 64, " (%.*s)", shown(c->column[column].name),
                    c->column[column].name.s);
  *out++ = ':', *out++ = ' ';
  va_start(ap, fmt);
  vsnprintf(out, (size_t)(end - out), fmt, ap);
  va_end(ap);
  return MARE_FORMAT;
}

static mare_Status no_memory(mare_Csv *c, size_t n) {
  mare_Status st = mare_heap_status(c->heap, n);
  return mare_source_fail(&c->s, st, st == MARE_LIMIT ? "past mare.memory_limit"
                                                      : "not enough memory");
}

static int64_t count_lines(const char *p, const char *end) {
  int64_t n = 0;
  while ((p = memchr(p, '\n', (size_t)(end - p)))) n++, p++;
  return n;
}

/* -- fields -------------------------------------------------------------------------- */

typedef struct Field {
  char *first, *last; /* without the quotes */
  char *end;          /* the separator or newline behind it */
  bool quoted, doubled; /* in quotes; with quotes in it */
} Field;

/* the quote that ends what begins at p, or NULL; sets *doubled when "" is inside */
static char *close_quote(char *p, char *end, bool *doubled) {
  while ((p = memchr(p, '"', (size_t)(end - p)))) {
    if (p[1] != '"') return p;
    *doubled = true;
    p += 2;
  }
  return NULL;
}

/* the field at p, in lines that end before 'end'; what is wrong, or NULL */
static const char *cut_field(const mare_Csv *c, char *p, char *end, Field *f) {
  char *q = p;
  f->quoted = *p == '"';
  f->doubled = false;
  if (f->quoted) {
    f->first = p + 1;
    f->last = q = close_quote(p + 1, end, &f->doubled);
    if (q == NULL) return "the quote that opens here is not closed";
    q++;
    if (*q == '\r' && q[1] == '\n') q++;
    f->end = q;
    if (*q == c->separator || *q == '\n') return NULL;
    return "something follows the quote that closes it";
  }
  while (*q != c->separator && *q != '\n') q++;
  f->first = p;
  f->end = q;
  f->last = *q == '\n' && q > p && q[-1] == '\r' ? q - 1 : q;
  return NULL;
}

static bool blank_line(const char *p) {
  return *p == '\n' || (*p == '\r' && p[1] == '\n');
}

/* the line after the one at p, or NULL when its end is not here */
static char *row_end(const mare_Csv *c, char *p, char *end) {
  bool doubled;
  char *q = memchr(p, '\n', (size_t)(end - p));
  if (q == NULL) return NULL;
  if (!c->quotes || !memchr(p, '"', (size_t)(q - p))) return q + 1;
  for (bool start = true; p < end; p++) {
    if (start && *p == '"') {
      p = close_quote(p + 1, end, &doubled);
      if (p == NULL) return NULL;
    }
    else if (*p == '\n') return p + 1;
    start = *p == c->separator;
  }
  return NULL;
}

static bool is_mark(const mare_Csv *c, const char *p, size_t n) {
  if (n && !c->marks[(unsigned char)*p]) return false;
  for (int i = 0; i < c->nmark; i++)
    if (c->mark[i].n == n && memcmp(c->mark[i].s, p, n) == 0) return true;
  return false;
}

/* -- parsing a piece ----------------------------------------------------------------- */

static bool field_ends(const mare_Csv *c, const char *p) {
  return *p == c->separator || *p == '\n' || (*p == '\r' && p[1] == '\n');
}

static void trim(Field *f) {
  while (f->first < f->last && (*f->first == ' ' || *f->first == '\t')) f->first++;
  while (f->last > f->first && (f->last[-1] == ' ' || f->last[-1] == '\t')) f->last--;
}

static void to_real(int64_t *slot, int64_t n) { /* i64 to f64 where they are */
  for (int64_t i = 0; i < n; i++) {
    double v = (double)slot[i];
    memcpy(&slot[i], &v, sizeof v);
  }
}

static void put_real(int64_t *slot, double v) {
  memcpy(slot, &v, sizeof v);
}

static bool piece_fails(mare_CsvPiece *P, int k, const Field *f, const char *what) {
  P->what = what;
  P->column = k;
  P->field = (mare_Text){f->first, (size_t)(f->last - f->first)};
  return false;
}

/* Where the first row of the chunk stands in a column. */
static int64_t *slots(const mare_Csv *c, const mare_CsvColumn *column) {
  int64_t *data = (int64_t *)(void *)column->data->data;
  return column->kind == MARE_CSV_TEXT ? data : data + c->rows;
}

/*
** The number in f, which is no plain one that is followed by a separator.  It may
** make the column real, or text: then the piece goes on without it.
*/
static bool odd_number(const mare_Csv *c, mare_CsvPiece *P, int k, Field *f,
                       mare_CsvSeen *seen, int64_t *slot, int64_t done) {
  const mare_CsvColumn *column = &c->column[k];
  double v = __builtin_nan("");
  const char *end = f->last;
  Field whole = *f;
  bool missing = is_mark(c, f->first, (size_t)(f->last - f->first));
  trim(f);
  missing = missing || is_mark(c, f->first, (size_t)(f->last - f->first));
  if (!missing) {
    if (seen->kind == MARE_CSV_WHOLE || column->whole) {
      bool good = mare_whole(f->first, slot) == f->last;
      if (good && seen->kind == MARE_CSV_REAL) to_real(slot, 1);
      if (good) return true;
      if (column->whole)
        return piece_fails(P, k, &whole, "'%.*s' is no whole number of 64 bits");
    }
    end = f->first < f->last ? mare_number(&c->powers, f->first, c->point, &v) : NULL;
  }
  if (end != f->last && column->given)
    return piece_fails(P, k, &whole, "'%.*s' is no number");
  if (seen->kind == MARE_CSV_WHOLE) to_real(slot - done, done);
  seen->kind = end == f->last ? MARE_CSV_REAL : MARE_CSV_TEXT;
  seen->missing += v != v;
  put_real(slot, v);
  return true;
}

/* where the field at p is in the chunk: offset, length, whether quotes are doubled */
static int64_t pack(const mare_Csv *c, const Field *f) {
  return (int64_t)(f->first - c->buffer) << 32 | (f->last - f->first) << 1 | f->doubled;
}

static bool parse_field(const mare_Csv *c, mare_CsvPiece *P, int k, char **p,
                        mare_CsvSeen *seen, int64_t row) {
  const mare_CsvColumn *column = &c->column[k];
  int64_t *slot = column->data ? slots(c, column) + P->row + row : NULL;
  const char *end = NULL, *what;
  double v = 0;
  Field f;
  if (seen->kind <= MARE_CSV_REAL && !c->marks[(unsigned char)**p]) {
    if (seen->kind == MARE_CSV_WHOLE) end = mare_whole(*p, slot);
    else if (!column->whole) {
      end = mare_number(&c->powers, *p, c->point, &v);
      if (v == v) put_real(slot, v);
      else end = NULL;
    }
    if (end && field_ends(c, end)) {
      *p += end - *p;
      *p += **p == '\r';
      return true;
    }
  }
  what = cut_field(c, *p, P->end, &f);
  if (what) {
    f.first = f.last = *p;
    return piece_fails(P, k, &f, what);
  }
  *p = f.end;
  if (f.quoted) P->line += count_lines(f.first, f.last);
  if (seen->kind <= MARE_CSV_REAL)
    return odd_number(c, P, k, &f, seen, slot, row);
  if (seen->kind == MARE_CSV_SKIP || column->kind != MARE_CSV_TEXT) return true;
  bool missing = is_mark(c, f.first, (size_t)(f.last - f.first));
  *slot = missing ? -1 : pack(c, &f);
  seen->missing += missing;
  return true;
}

static bool parse_row(const mare_Csv *c, mare_CsvPiece *P, mare_CsvSeen *seen, char **p,
                      int64_t row) {
  for (int k = 0; k < c->ncolumn; k++) {
    Field f = {*p, *p, NULL, false, false};
    if (!parse_field(c, P, k, p, &seen[k], row)) return false;
    bool last = k + 1 == c->ncolumn;
    if (!last && **p == '\n')
      return piece_fails(P, k + 1, &f, "the line ends before this column");
    if (last && **p != '\n')
      return piece_fails(P, k + 1, &f, "the line goes on after its last column");
    ++*p;
  }
  return true;
}

static void parse_piece(void *ctx, int64_t i) {
  const mare_Csv *c = ctx;
  mare_CsvPiece *P = &((mare_Csv *)ctx)->piece[i];
  mare_CsvSeen *seen = &c->seen[i * c->ncolumn];
  char *p = P->p;
  for (int64_t row = 0; row < P->rows; P->line++) {
    if (blank_line(p)) p += *p == '\r' ? 2 : 1;
    else if (!parse_row(c, P, seen, &p, row++)) return;
  }
}

/* -- chunks -------------------------------------------------------------------------- */

/* new bytes: where the first ones hold no newline at all, lines end with \r alone */
static void end_lines(mare_Csv *c, char *p, size_t n) {
  char *end = p + n;
  if (c->s.position == n) c->returns = memchr(p, '\n', n) == NULL;
  while (c->returns && (p = memchr(p, '\r', (size_t)(end - p)))) *p++ = '\n';
}

/* more bytes behind those that are left; the last line of a file gets its newline */
static mare_Status fill(mare_Csv *c) {
  size_t left = (size_t)(c->end - c->p), got = 0;
  mare_Status st = MARE_OK;
  memmove(c->buffer, c->p, left);
  c->p = c->buffer;
  if (!c->ended) st = mare_source_some(&c->s, c->buffer + left, c->size - left, &got);
  end_lines(c, c->buffer + left, got);
  c->end = c->buffer + left + got;
  if (st == MARE_OK && !c->ended && left + got < c->size) {
    c->ended = true;
    if (c->end > c->p && c->end[-1] != '\n') *c->end++ = '\n';
  }
  memset(c->end, 0, PADDING);
  return st;
}

static mare_Status zero_byte(mare_Csv *c, const char *p, const char *zero) {
  int64_t line = c->line + count_lines(p, zero);
  int column = 0;
  for (const char *q = zero; q > p && q[-1] != '\n'; q--) column += *q == c->separator;
  return mare_csv_fail(c, line, column, "a zero byte: this is no text");
}

/* a line that does not end in the buffer, or at all */
static mare_Status long_line(mare_Csv *c) {
  Field f;
  int k = 0;
  *c->end = '\n'; /* fields end there */
  for (char *p = c->p; cut_field(c, p, c->end, &f) == NULL && f.end < c->end; k++)
    p = f.end + 1;
  return mare_csv_fail(c, c->line, k, c->ended ? "the quote that opens here is not closed"
                       : "the line has more than %zu bytes", CHUNK);
}

/* cuts the chunk into lines, and these into pieces; c->p moves behind them */
static mare_Status cut_lines(mare_Csv *c) {
  char *p = c->p, *next, *zero = memchr(p, 0, (size_t)(c->end - p));
  mare_CsvPiece *P = NULL;
  int64_t left = c->limit - c->rows;
  if (zero) return zero_byte(c, p, zero);
  c->npiece = 0;
  c->count = 0;
  c->quotes = memchr(p, '"', (size_t)(c->end - p)) != NULL;
  for (; c->count < left && p < c->end && (next = row_end(c, p, c->end)); p = next) {
    if (P == NULL || (p - P->p >= PIECE && c->npiece < MARE_CSVPIECES)) {
      P = &c->piece[c->npiece++];
      memset(P, 0, sizeof *P);
      P->p = p;
      P->row = c->count;
      P->first = c->line;
    }
    c->line += c->quotes ? count_lines(p, next) : 1;
    if (!blank_line(p)) c->count++, P->rows++;
    P->end = next;
  }
  if (c->count == left) c->ended = true, p = c->end;
  else if (p == c->p && p < c->end) return long_line(c);
  c->p = p;
  return MARE_OK;
}

/* how many rows there may be in all, now that this chunk is known */
static int64_t estimate(const mare_Csv *c, int64_t needed) {
  double rows = (double)needed * (double)c->s.length / ((double)c->s.position + 1);
  if (c->p == c->end && c->ended) return needed;
  if (c->expected >= 0) rows = (double)c->expected;
  else if (c->s.gz) rows = 2 * (double)needed;
  else rows *= 1.02;
  if (rows > (double)c->limit) rows = (double)c->limit;
  return rows > (double)needed ? (int64_t)rows : needed;
}

/* room for n rows, the first 'used' of which are there */
static mare_Status reserve(mare_Csv *c, mare_CsvColumn *column, int64_t n, int64_t used) {
  mare_Storage *s;
  int64_t room = column->kind == MARE_CSV_TEXT ? n : estimate(c, n);
  if (column->kind == MARE_CSV_SKIP || n <= column->room) return MARE_OK;
  s = mare_storage_new(c->heap, (size_t)room * 8);
  if (s == NULL) return no_memory(c, (size_t)room * 8);
  if (used) memcpy(s->data, column->data->data, (size_t)used * 8);
  mare_storage_release(column->data);
  column->data = s;
  column->room = room;
  return MARE_OK;
}

static mare_Status reserve_all(mare_Csv *c) {
  mare_Status st = MARE_OK;
  for (int k = 0; st == MARE_OK && k < c->ncolumn; k++) {
    mare_CsvColumn *column = &c->column[k];
    bool text = column->kind == MARE_CSV_TEXT;
    st = reserve(c, column, c->count + (text ? 0 : c->rows), text ? 0 : c->rows);
  }
  return st;
}

static mare_Status first_failure(mare_Csv *c) {
  for (int i = 0; i < c->npiece; i++) {
    const mare_CsvPiece *P = &c->piece[i];
    if (P->what)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
      return mare_csv_fail(c, P->line, P->column, P->what, shown(P->field), P->field.s);
#pragma GCC diagnostic pop
  }
  return MARE_OK;
}

/* the kind of a column after this chunk; true when it was parsed as another one */
static bool settle(mare_Csv *c, int k) {
  mare_CsvColumn *column = &c->column[k];
  mare_CsvKind kind = column->kind;
  int64_t missing = 0;
  for (int i = 0; i < c->npiece; i++) {
    const mare_CsvSeen *seen = &c->seen[i * c->ncolumn + k];
    if (seen->kind > kind) kind = seen->kind;
    missing += seen->missing;
  }
  if (kind == MARE_CSV_TEXT && column->kind != kind) {
    column->kind = kind;
    mare_storage_release(column->data);
    column->data = NULL;
    column->room = 0;
    return true;
  }
  if (kind == MARE_CSV_REAL && column->kind == MARE_CSV_WHOLE) {
    int64_t *slot = slots(c, column);
    to_real(slot - c->rows, c->rows);
    for (int i = 0; i < c->npiece; i++)
      if (c->seen[i * c->ncolumn + k].kind == MARE_CSV_WHOLE)
        to_real(slot + c->piece[i].row, c->piece[i].rows);
    column->kind = kind;
  }
  column->missing += missing;
  return false;
}

static mare_Status begin_pieces(mare_Csv *c) {
  int n = c->npiece * c->ncolumn;
  c->seen = mare_scratch(c->heap, (size_t)n * sizeof *c->seen);
  if (c->seen == NULL) return no_memory(c, 0);
  for (int i = 0; i < n; i++)
    c->seen[i] = (mare_CsvSeen){c->column[i % c->ncolumn].kind, 0};
  for (int i = 0; i < c->npiece; i++) c->piece[i].line = c->piece[i].first;
  return MARE_OK;
}

static mare_Status parse_chunk(mare_Csv *c, bool *wrong) {
  mare_Status st = reserve_all(c);
  *wrong = false;
  if (st == MARE_OK) st = begin_pieces(c);
  if (st != MARE_OK) return st;
  mare_parallel(c->npiece, parse_piece, c);
  st = mare_stopping() ? MARE_STOPPED : first_failure(c);
  for (int k = 0; st == MARE_OK && k < c->ncolumn; k++) *wrong |= settle(c, k);
  mare_scratch_free(c->heap, c->seen);
  c->seen = NULL;
  return st;
}

static void forget_missing(mare_Csv *c) {
  for (int k = 0; k < c->ncolumn; k++) c->column[k].missing = 0;
}

/* -- a pass through the file --------------------------------------------------------- */

static mare_Status open_source(mare_Csv *c) {
  if (c->path) return mare_source_open(&c->s, c->heap, c->path);
  return mare_source_string(&c->s, c->heap, "string", c->string.s, c->string.n);
}

/* c->p is at the first line that is not blank, *next behind it */
static mare_Status first_line(mare_Csv *c, char **next) {
  mare_Status st;
  char *zero;
  c->p = c->end = c->buffer;
  c->ended = false;
  c->line = 1;
  if ((st = fill(c)) != MARE_OK) return st;
  if (c->end - c->p >= 3 && memcmp(c->p, "\xef\xbb\xbf", 3) == 0) c->p += 3;
  zero = memchr(c->p, 0, (size_t)(c->end - c->p));
  if (zero) return zero_byte(c, c->p, zero);
  for (; c->p < c->end && blank_line(c->p); c->line++) c->p += *c->p == '\r' ? 2 : 1;
  if (c->p == c->end)
    return mare_source_fail(&c->s, MARE_FORMAT, "no line of text in it");
  c->top = c->line;
  c->quotes = true;
  *next = row_end(c, c->p, c->end);
  return *next ? MARE_OK : long_line(c);
}

static void skip_line(mare_Csv *c, char *next) {
  c->line += count_lines(c->p, next);
  c->p = next;
}

static mare_Status again(mare_Csv *c) { /* the second pass */
  char *next;
  mare_Status st;
  c->again = false;
  c->expected = c->rows;
  c->rows = 0;
  forget_missing(c);
  mare_source_close(&c->s);
  st = open_source(c);
  if (st == MARE_OK) st = first_line(c, &next);
  if (st == MARE_OK && c->header) skip_line(c, next);
  return st;
}

static mare_Status changed(mare_Csv *c) {
  return mare_source_fail(&c->s, MARE_FORMAT, "it was changed while it was read");
}

static mare_Status next_chunk(mare_Csv *c) {
  bool wrong = false;
  mare_Status st = fill(c);
  if (st == MARE_OK) st = cut_lines(c);
  if (st != MARE_OK || c->count == 0) return st;
  st = parse_chunk(c, &wrong);
  if (st == MARE_OK && wrong && c->expected >= 0) return changed(c);
  if (st == MARE_OK && wrong && c->rows == 0) {
    forget_missing(c);
    return parse_chunk(c, &wrong);
  }
  c->again |= wrong;
  return st;
}

mare_Status mare_csv_next(mare_Csv *c) {
  mare_Status st = MARE_OK;
  do {
    c->rows += c->count;
    c->count = 0;
    if (!c->ended || c->p < c->end) st = next_chunk(c);
    else if (c->again) st = again(c);
    else return c->expected >= 0 && c->rows != c->expected ? changed(c) : MARE_OK;
  } while (st == MARE_OK && (c->count == 0 || c->again));
  return st;
}

/* -- the first line ------------------------------------------------------------------ */

static size_t unquote(char *out, const char *p, const char *end) { /* "" is one quote */
  char *start = out;
  for (; p < end; p++) {
    *out++ = *p;
    p += *p == '"';
  }
  return (size_t)(out - start);
}

mare_Text mare_csv_text(mare_Csv *c, const mare_CsvColumn *column, int64_t i) {
  int64_t slot = ((const int64_t *)(const void *)column->data->data)[i];
  char *p = c->buffer + (slot >> 32);
  size_t n = (size_t)(slot & 0xffffffff) >> 1;
  if (slot < 0) return (mare_Text){NULL, 0};
  return (mare_Text){p, slot & 1 ? unquote(p, p, p + n) : n};
}

static mare_Status make_columns(mare_Csv *c, size_t length) {
  c->column = mare_scratch(c->heap, (size_t)c->ncolumn * sizeof *c->column);
  c->names = mare_scratch(c->heap, length + (size_t)c->ncolumn * 16);
  if (c->column == NULL || c->names == NULL) {
    c->ncolumn = 0;
    return no_memory(c, 0);
  }
  memset(c->column, 0, (size_t)c->ncolumn * sizeof *c->column);
  return MARE_OK;
}

static void name_columns(mare_Csv *c, char *p, char *next) {
  char *out = c->names;
  Field f;
  for (int k = 0; k < c->ncolumn; k++, p = f.end + 1) {
    mare_Text *name = &c->column[k].name;
    cut_field(c, p, next, &f);
    name->s = out;
    name->n = (size_t)(f.last - f.first);
    if (!c->header || name->n == 0) name->n = (size_t)sprintf(out, "column%d", k + 1);
    else if (f.doubled) name->n = unquote(out, f.first, f.last);
    else memcpy(out, f.first, name->n);
    out += name->n;
  }
}

static mare_Status read_columns(mare_Csv *c) {
  char *next;
  Field f = {0};
  mare_Status st = first_line(c, &next);
  if (st != MARE_OK) return st;
  int n = 0;
  for (char *p = c->p; p < next; p = f.end + 1, n++) {
    const char *what = n < MOST_COLUMNS ? cut_field(c, p, next, &f) : "too many columns";
    if (what) return mare_csv_fail(c, c->line, n, "%s", what);
  }
  c->ncolumn = n;
  st = make_columns(c, (size_t)(next - c->p));
  if (st != MARE_OK) return st;
  name_columns(c, c->p, next);
  if (c->header) skip_line(c, next);
  return MARE_OK;
}

mare_Status mare_csv_open(mare_Csv *c, mare_Heap *h) {
  mare_Status st;
  uint64_t room;
  c->heap = h;
  c->expected = -1;
  for (int i = 0; i < c->nmark; i++)
    if (c->mark[i].n) c->marks[(unsigned char)c->mark[i].s[0]] = true;
  mare_powers(&c->powers);
  st = open_source(c);
  if (st != MARE_OK) return st;
  room = mare_source_room(&c->s);
  c->size = room < CHUNK ? (size_t)room + 1 : CHUNK;
  c->buffer = mare_scratch(h, c->size + 1 + PADDING);
  return c->buffer ? read_columns(c) : no_memory(c, c->size);
}

void mare_csv_close(mare_Csv *c) {
  if (c->heap == NULL) return;
  for (int k = 0; k < c->ncolumn; k++) mare_storage_release(c->column[k].data);
  mare_scratch_free(c->heap, c->column);
  mare_scratch_free(c->heap, c->names);
  mare_scratch_free(c->heap, c->buffer);
  mare_scratch_free(c->heap, c->seen);
  mare_source_close(&c->s);
  c->heap = NULL;
}
