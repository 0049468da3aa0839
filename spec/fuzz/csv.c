/*
** csv.c -- any bytes as a table of text: an error or columns.  The first byte says with
** which options; every text that comes out is looked at.
*/
#include <string.h>

#include "../../src/base/pool.h"
#include "../../src/base/storage.h"
#include "../../src/io/csv.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void look(mare_Csv *c) {
  unsigned sum = 0;
  for (int k = 0; k < c->ncolumn; k++)
    for (int64_t i = 0; c->column[k].kind == MARE_CSV_TEXT && i < c->count; i++) {
      mare_Text t = mare_csv_text(c, &c->column[k], i);
      for (size_t j = 0; j < t.n; j++) sum += (unsigned char)t.s[j];
    }
  if (sum == 0xffffffff) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n) {
  static mare_Csv c; /* large */
  const mare_Text marks[] = {{"", 0}, {"NA", 2}, {"-9", 2}};
  mare_Heap *h = mare_heap_new(NULL, NULL);
  unsigned options = n ? bytes[0] : 0;
  int64_t rows = 0;
  mare_Status st;
  memset(&c, 0, sizeof c);
  h->limit = 1 << 26;
  mare_set_threads(1);
  c.separator = options & 1 ? ';' : ',';
  c.point = options & 2 ? ',' : '.';
  if (c.separator == c.point) c.point = '.';
  c.header = options & 4;
  c.limit = options & 8 ? options >> 4 : INT64_MAX;
  c.mark = marks;
  c.nmark = options & 16 ? 3 : 2;
  c.string = (mare_Text){(const char *)bytes + (n > 0), n - (n > 0)};
  st = mare_csv_open(&c, h);
  for (int k = 0; st == MARE_OK && k < c.ncolumn; k++)
    if (options & 32 && (k + options) % 5 < 4) {
      c.column[k].kind = (mare_CsvKind)((k + options) % 5);
      c.column[k].given = true;
      c.column[k].whole = c.column[k].kind == MARE_CSV_WHOLE;
    }
  while (st == MARE_OK && (st = mare_csv_next(&c)) == MARE_OK && c.count) {
    rows += c.count;
    look(&c);
  }
  if (st == MARE_OK && c.rows > c.limit) __builtin_trap();
  if (st != MARE_OK && c.s.error[0] == '\0') __builtin_trap(); /* nothing was said */
  mare_csv_close(&c);
  if (h->blocks != 0) __builtin_trap(); /* something was not freed */
  mare_heap_close(h);
  return 0;
}
