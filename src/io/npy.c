/*
** npy.c -- NumPy's array files.  The header is the text of a Python dict; of Python,
** this knows strings, True and False, and tuples of whole numbers, and runs nothing.
*/
#include "npy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/shape.h"

#define MOST_HEADER 10000 /* NumPy's own limit */

typedef struct Parser {
  mare_Source *s;
  mare_Npy *x;
  const char *p; /* ends with a zero */
  int ndim;
  int64_t shape[MARE_MAXDIM];
  unsigned seen; /* keys */
} Parser;

static bool fail(Parser *P, const char *what) {
  mare_source_fail(P->s, MARE_FORMAT, "the header %s: '%.40s'", what, P->p);
  return false;
}

static bool is_next(Parser *P, char c) {
  while (*P->p == ' ' || *P->p == '\n') P->p++;
  if (*P->p != c) return false;
  P->p++;
  return true;
}

/* a string in quotes of either kind, without escapes */
static bool string(Parser *P, mare_Text *t) {
  char quote = is_next(P, '\'') ? '\'' : is_next(P, '"') ? '"' : 0;
  const char *end = quote ? strchr(P->p, quote) : NULL;
  if (end == NULL) return fail(P, "has no string where one should be");
  *t = (mare_Text){P->p, (size_t)(end - P->p)};
  P->p = end + 1;
  return true;
}

static bool read_type(Parser *P) {
  mare_Format *f = &P->x->format;
  mare_Dtype dt;
  mare_Text t;
  if (is_next(P, '[')) return fail(P, "describes records; columns of one type are read");
  if (!string(P, &t)) return false;
  if (t.n == 3 && strchr("<>|=", t.s[0]) && t.s[1] != 'B') {
    *f = (mare_Format){t.s[1], (uint8_t)(t.s[2] - '0'), t.s[0] == '>'};
    if (mare_format_dtype(*f, &dt)) {
      P->x->t.dtype = dt;
      return true;
    }
  }
  P->p = t.s;
  return fail(P, t.n > 1 && t.s[1] == 'O'
                     ? "names Python objects, which are pickled and never read"
                     : "names an unknown type (known: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 "
                       "b1)");
}

static bool read_order(Parser *P) {
  is_next(P, ' ');
  P->x->fortran = strncmp(P->p, "True", 4) == 0;
  if (!P->x->fortran && strncmp(P->p, "False", 5) != 0)
    return fail(P, "has neither True nor False as fortran_order");
  P->p += P->x->fortran ? 4 : 5;
  return true;
}

static bool read_shape(Parser *P) {
  if (!is_next(P, '(')) return fail(P, "has no shape (a tuple)");
  while (!is_next(P, ')')) {
    int64_t n = 0;
    const char *first = P->p;
    if (P->ndim == MARE_MAXDIM) return fail(P, "has more than 8 dimensions");
    for (; *P->p >= '0' && *P->p <= '9'; P->p++)
      if (__builtin_mul_overflow(n, 10, &n) ||
          __builtin_add_overflow(n, *P->p - '0', &n)) {
        P->p = first;
        return fail(P, "has a size that is too large");
      }
    if (P->p == first) return fail(P, "has a size that is no whole number");
    P->shape[P->ndim++] = n;
    if (*P->p == 'L') P->p++; /* Python 2 */
    if (!is_next(P, ',') && *P->p != ')') return fail(P, "has a shape that does not end");
  }
  return true;
}

static bool read_dict(Parser *P) {
  static const struct {
    const char *name;
    bool (*read)(Parser *P);
  } keys[] = {{"descr", read_type}, {"fortran_order", read_order}, {"shape", read_shape}};
  if (!is_next(P, '{')) return fail(P, "is no dict");
  while (!is_next(P, '}')) {
    mare_Text t;
    unsigned k = 0;
    if (!string(P, &t)) return false;
    while (k < 3 && (strlen(keys[k].name) != t.n || memcmp(keys[k].name, t.s, t.n))) k++;
    if (k == 3 || P->seen & 1u << k) return fail(P, "has an unknown key, or one twice");
    P->seen |= 1u << k;
    if (!is_next(P, ':')) return fail(P, "has a key without a value");
    if (!keys[k].read(P)) return false;
    if (!is_next(P, ',') && *P->p != '}') return fail(P, "goes on without a comma");
  }
  is_next(P, ' ');
  if (*P->p == '\0')
    return P->seen == 7 || fail(P, "lacks descr, fortran_order or shape");
  return fail(P, "goes on after its dict");
}

/* the bytes of the header as a string */
static mare_Status read_text(mare_Source *s, char *text) {
  unsigned char head[12] = {0};
  unsigned n;
  mare_Status st = mare_source_read(s, head, 10);
  if (st != MARE_OK) return st;
  if (memcmp(head, "\x93NUMPY", 6) != 0)
    return mare_source_fail(s, MARE_FORMAT, "no .npy file: its first bytes are others");
  if (head[6] < 1 || head[6] > 3)
    return mare_source_fail(s, MARE_FORMAT, "version %d of the format; 1 to 3 are known",
                            head[6]);
  if (head[6] > 1) st = mare_source_read(s, head + 10, 2);
  if (st != MARE_OK) return st;
  n = head[8] | head[9] << 8 | head[10] << 16 | (unsigned)head[11] << 24;
  if (n > MOST_HEADER)
    return mare_source_fail(s, MARE_FORMAT, "a header of %u bytes; at most %d", n,
                            MOST_HEADER);
  memset(text, 0, MOST_HEADER + 1);
  st = mare_source_read(s, text, n);
  if (st == MARE_OK && memchr(text, 0, n))
    return mare_source_fail(s, MARE_FORMAT, "a zero byte in the header");
  return st;
}

static void reverse(int n, int64_t *v) {
  for (int i = 0; i < n / 2; i++) {
    int64_t x = v[i];
    v[i] = v[n - 1 - i];
    v[n - 1 - i] = x;
  }
}

mare_Status mare_npy_header(mare_Source *s, mare_Npy *x) {
  char text[MOST_HEADER + 1], shape[MARE_SHAPETEXT];
  Parser P = {.s = s, .x = x, .p = text};
  mare_Status st = read_text(s, text);
  memset(x, 0, sizeof *x);
  if (st != MARE_OK) return st;
  if (!read_dict(&P)) return MARE_FORMAT;
  mare_shape_text(shape, P.ndim, P.shape);
  if (x->fortran) reverse(P.ndim, P.shape);
  if (!mare_shape_set(&x->t, x->t.dtype, P.ndim, P.shape) ||
      (uint64_t)x->t.numel > mare_source_room(s) / x->format.size)
    return mare_source_fail(s, MARE_FORMAT,
                            "the header promises %s elements of %d bytes: too many",
                            shape, x->format.size);
  return MARE_OK;
}

mare_Status mare_npy_data(mare_Source *s, const mare_Npy *x, mare_Tensor *t) {
  mare_Status st = mare_read_elements(s, x->format, t);
  return st == MARE_OK ? mare_source_finish(s) : st;
}
