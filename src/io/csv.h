/*
** csv.h -- tables of text: fields between separators, lines between newlines, both
** also inside quotes.  A file of any length is read in chunks; the lines of a chunk
** are parsed by all threads.
*/
#ifndef MARE_CSV_H
#define MARE_CSV_H

#include "bytes.h"
#include "number.h"
#include "safetensors.h" /* mare_Text */

#define MARE_CSVPIECES 72 /* of a chunk */

typedef enum mare_CsvKind {
  MARE_CSV_WHOLE, /* i64; the kinds in the order in which they give way */
  MARE_CSV_REAL,  /* f64, missing values are NaN */
  MARE_CSV_TEXT,
  MARE_CSV_SKIP
} mare_CsvKind;

typedef struct mare_CsvColumn {
  mare_Text name;
  mare_CsvKind kind;
  bool given;         /* the kind is not to be found out ... */
  bool whole;         /* ... it is MARE_CSV_WHOLE, unless values are missing */
  int64_t missing;
  mare_Storage *data; /* 8 bytes a row; of text: where it is in the chunk */
  int64_t room;       /* rows of it */
} mare_CsvColumn;

typedef struct mare_CsvPiece { /* some lines of a chunk */
  char *p, *end;
  int64_t row, rows; /* the first in the chunk, how many */
  int64_t first;     /* the line of the file where it begins ... */
  int64_t line;      /* ... and where parsing is */
  const char *what;  /* why it failed, with %.*s for the field, or NULL */
  mare_Text field;
  int column;        /* 0-based */
} mare_CsvPiece;

typedef struct mare_CsvSeen { /* of one column in one piece */
  mare_CsvKind kind;
  int64_t missing;
} mare_CsvSeen;

typedef struct mare_Csv {
  /* what the caller sets before opening */
  char separator, point;
  bool header;
  int64_t limit; /* rows to be read; INT64_MAX: all */
  int nmark;
  const mare_Text *mark; /* what stands for a missing value */
  const char *path;      /* or NULL and a string */
  mare_Text string;
  /* what it finds then */
  int ncolumn;
  mare_CsvColumn *column;
  int64_t rows;  /* before this chunk */
  int64_t count; /* rows of this chunk; 0: there are no more */
  /* its own */
  mare_Source s;
  mare_Heap *heap;
  mare_Powers powers;
  char *buffer, *p, *end; /* what is not parsed yet */
  size_t size;
  char *names;
  int64_t top, line; /* of the file: the first that is not blank; the next */
  int64_t expected;  /* rows of the first pass, -1 in it */
  bool ended, quotes, again;
  bool returns;    /* lines end with \r alone */
  bool marks[256]; /* the first bytes of marks */
  int npiece;
  mare_CsvPiece piece[MARE_CSVPIECES];
  mare_CsvSeen *seen; /* piece by piece */
} mare_Csv;

/* Reads the first line: ncolumn and the columns' names.  Kinds may be set then. */
mare_Status mare_csv_open(mare_Csv *c, mare_Heap *h);
/*
** The next chunk, after whose rows come c->rows + c->count.  A column that turns out
** to be text late makes it begin again, with c->rows 0: what was handed out is void.
*/
mare_Status mare_csv_next(mare_Csv *c);
/* row i of the chunk in a column of text; once only; s == NULL: missing */
mare_Text mare_csv_text(mare_Csv *c, const mare_CsvColumn *column, int64_t i);
/* "name:line: column 3 (age): " before the words */
mare_Status mare_csv_fail(mare_Csv *c, int64_t line, int column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void mare_csv_close(mare_Csv *c); /* at any time, also twice */

#endif
