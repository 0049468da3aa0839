/*
** safetensors.c -- headers of safetensors files: a parser for exactly the JSON that
** the format allows, the checks that a file cannot lie past, and the writer.
*/
#include "safetensors.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/shape.h"
#include "../base/storage.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements are read and written as they stand: a little-endian machine is needed"
#endif

#define MOST_HEADER ((uint64_t)100000000) /* the format's own limit */
#define NAME_SHOWN 64                     /* bytes of a name in a message */
#define SHOWN(t) (int)((t).n < NAME_SHOWN ? (t).n : NAME_SHOWN), (t).s /* for %.*s */

typedef unsigned long long U64; /* for %llu */

static const struct { /* what is read; the types of mare first, which are written too */
  const char *name;
  mare_Format format;
} types[] = {
    {"F32", {'f', 4, 0}},  {"F64", {'f', 8, 0}},  {"I64", {'i', 8, 0}},
    {"U8", {'u', 1, 0}},   {"BF16", {'B', 2, 0}}, {"F16", {'f', 2, 0}},
    {"I32", {'i', 4, 0}},  {"I16", {'i', 2, 0}},  {"I8", {'i', 1, 0}},
    {"U64", {'u', 8, 0}},  {"U32", {'u', 4, 0}},  {"U16", {'u', 2, 0}},
    {"BOOL", {'b', 1, 0}}};

enum { NTYPES = sizeof types / sizeof *types };

/* -- the parser --------------------------------------------------------------------- */

typedef struct Parser {
  mare_Source *s;
  mare_Header *h;
  char *start, *p, *end;
  int entries, pairs; /* room in the arrays */
  bool metadata;      /* has been seen */
  mare_Text name;     /* of the tensor that is being read; s == NULL: none */
  mare_Status st;     /* the first thing that went wrong */
} Parser;

__attribute__((format(printf, 2, 3))) static bool fail (Parser *P, const char *fmt, ...) {
  char text[MARE_ERRORTEXT / 2];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (P->name.s)
    P->st = mare_source_fail(P->s, MARE_FORMAT, "tensor '%.*s': %s",
                             SHOWN(P->name), text);
  else P->st = mare_source_fail(P->s, MARE_FORMAT, "%s", text);
  return false;
}

static bool no_memory(Parser *P) {
  P->st = mare_source_fail(P->s, MARE_NOMEM, "not enough memory");
  return false;
}

static bool space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(Parser *P) {
  while (P->p < P->end && space(*P->p)) P->p++;
}

static bool is_next(Parser *P, char c) { /* skips c if it comes next */
 skip_space(P);
 if (P->p == P->end || *P->p != c) return false;
 P->p++;
 return true;
}

static bool expect(Parser *P, char c) {
  if (is_next(P, c)) return true;
  return fail(P, "byte %lld of the header: '%c' expected",
              (long long)(P->p - P->start) + 1, c);
}

/* -- strings ------------------------------------------------------------------------ */

static int hex(char c) { /* the value of a digit, or -1 */
 char low = (char)(c | 0x20);
 if (c >= '0' && c <= '9') return c - '0';
 return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static bool hex4(Parser *P, unsigned *v) {
  *v = 0;
  if (P->end - P->p < 4) return fail(P, "a \\u escape is cut off");
  for (int i = 0; i < 4; i++) {
    int digit = hex(*P->p++);
    if (digit < 0) return fail(P, "a \\u escape has no four hexadecimal digits");
    *v = *v << 4 | (unsigned)digit;
  }
  return true;
}

static char *put_utf8(char *out, unsigned v) {
  if (v < 0x80) *out++ = (char)v;
  else if (v < 0x800) *out++ = (char)(0xc0 | v >> 6);
  else if (v < 0x10000) *out++ = (char)(0xe0 | v >> 12);
  else *out++ = (char)(0xf0 | v >> 18), *out++ = (char)(0x80 | (v >> 12 & 0x3f));
  if (v >= 0x800) *out++ = (char)(0x80 | (v >> 6 & 0x3f));
  if (v >= 0x80) *out++ = (char)(0x80 | (v & 0x3f));
  return out;
}

static bool half_pair(Parser *P) {
  return fail(P, "half a surrogate pair in a string");
}

static bool unicode_escape(Parser *P, char **out) { /* after \u */
 unsigned v, low;
 if (!hex4(P, &v)) return false;
 if (v >= 0xd800 && v < 0xdc00) {
    if (P->end - P->p < 2 || P->p[0] != '\\' || P->p[1] != 'u') return half_pair(P);
    P->p += 2;
    if (!hex4(P, &low)) return false;
    if (low < 0xdc00 || low > 0xdfff) return half_pair(P);
    v = 0x10000 + ((v & 0x3ff) << 10) + (low & 0x3ff);
  }
  else if (v >= 0xdc00 && v <= 0xdfff) return half_pair(P);
  *out = put_utf8(*out, v);
  return true;
}

static bool escape(Parser *P, char **out) { /* after the backslash */
 static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
 const char *at;
 if (P->p == P->end) return fail(P, "a string does not end");
 if (*P->p == 'u') {
    P->p++;
    return unicode_escape(P, out);
  }
  at = *P->p ? strchr(from, *P->p) : NULL;
  if (at == NULL) return fail(P, "unknown escape in a string");
  *(*out)++ = to[at - from];
  P->p++;
  return true;
}

/* A string, decoded where it stands: that never makes it longer. */
static bool string(Parser *P, mare_Text *t) {
  char *out;
  if (!expect(P, '"')) return false;
  t->s = out = P->p;
  while (P->p < P->end && *P->p != '"') {
    if ((unsigned char)*P->p < 0x20) return fail(P, "a control character in a string");
    if (*P->p != '\\') *out++ = *P->p++;
    else if (P->p++, !escape(P, &out)) return false;
  }
  if (P->p == P->end) return fail(P, "a string does not end");
  P->p++;
  t->n = (size_t)(out - t->s);
  return mare_is_utf8(*t) || fail(P, "a string is not UTF-8");
}

static bool equal(mare_Text t, const char *s) {
  return t.n == strlen(s) && memcmp(t.s, s, t.n) == 0;
}

/* -- numbers and lists of them ------------------------------------------------------ */

static bool number(Parser *P, const char *field, int64_t *v) {
  const char *first;
  skip_space(P);
  first = P->p;
  *v = 0;
  for (; P->p < P->end && *P->p >= '0' && *P->p <= '9'; P->p++)
    if (__builtin_mul_overflow(*v, 10, v) || __builtin_add_overflow(*v, *P->p - '0', v))
      return fail(P, "%s holds a number that is too large", field);
  if (P->p == first || (*first == '0' && P->p - first > 1) ||
      (P->p < P->end && strchr(".eE+-", *P->p)))
    return fail(P, "%s holds something that is not a whole number from 0 up", field);
  return true;
}

/* [n, n, ...] of at most 'most' numbers */
static bool numbers(Parser *P, const char *field, int most, int64_t *v, int *count) {
  *count = 0;
  if (!expect(P, '[')) return false;
  if (is_next(P, ']')) return true;
  do {
    if (*count == most) return fail(P, "%s holds more than %d numbers", field, most);
    if (!number(P, field, &v[(*count)++])) return false;
  } while (is_next(P, ','));
  return expect(P, ']');
}

/* -- fields of an entry ------------------------------------------------------------- */

typedef struct Fields {
  bool seen[3];
  int type;
  int ndim, noffset;
  int64_t shape[MARE_MAXDIM], offset[2];
} Fields;

static const char *const field_names[] = {"dtype", "shape", "data_offsets"};

static bool read_dtype(Parser *P, Fields *f) {
  mare_Text t;
  if (!string(P, &t)) return false;
  for (f->type = 0; f->type < NTYPES; f->type++)
    if (equal(t, types[f->type].name)) return true;
  return fail(P, "dtype %.*s is not supported; known: F64 F32 F16 BF16 I64 I32 I16 I8 "
                 "U64 U32 U16 U8 BOOL", SHOWN(t));
}

static bool read_field(Parser *P, Fields *f) {
  mare_Text key;
  int k = 0;
  if (!string(P, &key)) return false;
  while (k < 3 && !equal(key, field_names[k])) k++;
  if (k == 3)
    return fail(P, "unknown field '%.*s'", SHOWN(key));
  if (f->seen[k]) return fail(P, "%s is there twice", field_names[k]);
  f->seen[k] = true;
  if (!expect(P, ':')) return false;
  if (k == 0) return read_dtype(P, f);
  if (k == 1) return numbers(P, "shape", MARE_MAXDIM, f->shape, &f->ndim);
  return numbers(P, "data_offsets", 2, f->offset, &f->noffset);
}

static bool read_fields(Parser *P, Fields *f) {
  memset(f, 0, sizeof *f);
  if (!expect(P, '{')) return false;
  if (!is_next(P, '}')) {
    do {
      if (!read_field(P, f)) return false;
    } while (is_next(P, ','));
    if (!expect(P, '}')) return false;
  }
  for (int k = 0; k < 3; k++)
    if (!f->seen[k]) return fail(P, "%s is missing", field_names[k]);
  return true;
}

/* the shape fits into memory, and the offsets span exactly its bytes */
static bool check_fields(Parser *P, const Fields *f, mare_Entry *e) {
  char text[MARE_SHAPETEXT];
  const char *type = types[f->type].name;
  uint64_t nbytes;
  mare_Dtype dtype = MARE_F32;
  if (f->noffset != 2) return fail(P, "data_offsets holds %d numbers, not 2", f->noffset);
  e->format = types[f->type].format;
  mare_format_dtype(e->format, &dtype);
  if (!mare_shape_set(&e->t, dtype, f->ndim, f->shape))
    return fail(P, "shape %s of %s does not fit into memory",
                mare_shape_text(text, f->ndim, f->shape), type);
  e->begin = (uint64_t)f->offset[0];
  e->end = (uint64_t)f->offset[1];
  nbytes = (uint64_t)e->t.numel * e->format.size;
  if (e->end < e->begin || e->end - e->begin != nbytes)
    return fail(P, "data_offsets %llu..%llu do not span the %llu bytes of shape %s, %s",
                (U64)e->begin, (U64)e->end,
                (U64)nbytes, mare_shape_text(text, f->ndim, f->shape), type);
  return true;
}

/* -- the object of the header ------------------------------------------------------- */

/* room for one more element of an array in scratch memory */
static bool grow(Parser *P, void **array, int n, int *room, size_t size) {
  void *bigger;
  if (n < *room) return true;
  if (*room > INT_MAX / 2) return no_memory(P);
  bigger = mare_scratch(P->h->heap, (size_t)(*room ? 2 * *room : 16) * size);
  if (bigger == NULL) return no_memory(P);
  if (n) memcpy(bigger, *array, (size_t)n * size);
  mare_scratch_free(P->h->heap, *array);
  *array = bigger;
  *room = *room ? 2 * *room : 16;
  return true;
}

static bool read_entry(Parser *P, mare_Text name) {
  mare_Header *h = P->h;
  mare_Entry *e;
  Fields f;
  void *array = h->entry;
  bool good = grow(P, &array, h->nentry, &P->entries, sizeof *e);
  h->entry = array;
  if (!good) return false;
  e = &h->entry[h->nentry++];
  memset(e, 0, sizeof *e);
  e->name = P->name = name;
  good = read_fields(P, &f) && check_fields(P, &f, e);
  P->name.s = NULL;
  return good;
}

static bool read_pair(Parser *P) {
  mare_Header *h = P->h;
  mare_Pair pair;
  void *array = h->pair;
  bool good = grow(P, &array, h->npair, &P->pairs, sizeof pair);
  h->pair = array;
  if (!good || !string(P, &pair.key) || !expect(P, ':')) return false;
  skip_space(P);
  if (P->p == P->end || *P->p != '"')
    return fail(P, "__metadata__: the value of '%.*s' is not a string",
                SHOWN(pair.key));
  if (!string(P, &pair.value)) return false;
  h->pair[h->npair++] = pair;
  return true;
}

static bool read_metadata(Parser *P) {
  if (P->metadata) return fail(P, "__metadata__ is there twice");
  P->metadata = true;
  if (!expect(P, '{')) return false;
  if (is_next(P, '}')) return true;
  do {
    if (!read_pair(P)) return false;
  } while (is_next(P, ','));
  return expect(P, '}');
}

static bool read_object(Parser *P) {
  mare_Text key;
  if (P->p == P->end || *P->p != '{')
    return fail(P, "the header does not begin with '{'");
  P->p++;
  if (!is_next(P, '}')) {
    do {
      if (!string(P, &key) || !expect(P, ':')) return false;
      if (!(equal(key, "__metadata__") ? read_metadata(P) : read_entry(P, key)))
        return false;
    } while (is_next(P, ','));
    if (!expect(P, '}')) return false;
  }
  skip_space(P);
  if (P->p == P->end) return true;
  return fail(P, "byte %lld of the header: nothing should follow its object",
              (long long)(P->p - P->start) + 1);
}

/* -- sorting ------------------------------------------------------------------------ */

static int compare_text(mare_Text a, mare_Text b) {
  int c = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
  return c ? c : (a.n > b.n) - (a.n < b.n);
}

typedef int Compare(const void *a, const void *b);

static int by_name(const void *a, const void *b) {
  const mare_Entry *x = a, *y = b;
  return compare_text(x->name, y->name);
}

static int by_place(const void *a, const void *b) { /* the empty first, then by name */
 const mare_Entry *x = a, *y = b;
 if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
 if (x->end != y->end) return x->end < y->end ? -1 : 1;
 return by_name(a, b);
}

static int by_size(const void *a, const void *b) { /* large elements first */
 const mare_Entry *x = a, *y = b;
 size_t m = mare_sizeof[x->t.dtype], n = mare_sizeof[y->t.dtype];
 if (m != n) return m > n ? -1 : 1;
 if (x->t.dtype != y->t.dtype) return x->t.dtype < y->t.dtype ? -1 : 1;
 return by_name(a, b);
}

static int by_key(const void *a, const void *b) {
  const mare_Pair *x = a, *y = b;
  return compare_text(x->key, y->key);
}

static void sift(void **v, int at, int n, Compare *compare) {
  for (int child; (child = 2 * at + 1) < n; at = child) {
    void *moved = v[at];
    if (child + 1 < n && compare(v[child], v[child + 1]) < 0) child++;
    if (compare(moved, v[child]) >= 0) return;
    v[at] = v[child];
    v[child] = moved;
  }
}

/* Heapsort: neither memory nor a slow case. */
static void sort(void **v, int n, Compare *compare) {
  for (int i = n / 2 - 1; i >= 0; i--) sift(v, i, n, compare);
  for (int i = n - 1; i > 0; i--) {
    void *top = v[0];
    v[0] = v[i];
    v[i] = top;
    sift(v, 0, i, compare);
  }
}

/* -- checks of the whole ------------------------------------------------------------ */

static bool check_names(Parser *P) {
  mare_Entry **order = P->h->order;
  sort((void **)order, P->h->nentry, by_name);
  for (int i = 1; i < P->h->nentry; i++)
    if (by_name(order[i - 1], order[i]) == 0) {
      P->name = order[i]->name;
      return fail(P, "this name is there twice");
    }
  return true;
}

static bool check_keys(Parser *P, mare_Pair **order) {
  int n = P->h->npair;
  for (int i = 0; i < n; i++) order[i] = &P->h->pair[i];
  sort((void **)order, n, by_key);
  for (int i = 1; i < n; i++)
    if (by_key(order[i - 1], order[i]) == 0)
      return fail(P, "__metadata__: '%.*s' is there twice",
                  SHOWN(order[i]->key));
  return true;
}

/* one after another from 0 on, and all of it within the file */
static bool check_places(Parser *P) {
  mare_Header *h = P->h;
  uint64_t at = 0, room = mare_source_room(P->s);
  sort((void **)h->order, h->nentry, by_place);
  for (int i = 0; i < h->nentry; i++) {
    const mare_Entry *e = h->order[i];
    P->name = e->name;
    if (e->begin != at)
      return fail(P, "data_offsets begin at %llu; the tensors before end at %llu",
                  (U64)e->begin, (U64)at);
    if (e->end > room)
      return fail(P, "data_offsets end at %llu; the file holds %llu bytes of data",
                  (U64)e->end, (U64)room);
    at = e->end;
  }
  P->name.s = NULL;
  if (P->s->gz == NULL && at != room)
    return fail(P, "%llu bytes of data belong to no tensor", (U64)(room - at));
  return true;
}

static bool check_whole(Parser *P) {
  mare_Header *h = P->h;
  int most = h->nentry > h->npair ? h->nentry : h->npair;
  h->order = mare_scratch(h->heap, (size_t)(most + 1) * sizeof *h->order);
  if (h->order == NULL) return no_memory(P);
  if (!check_keys(P, (mare_Pair **)(void *)h->order)) return false;
  for (int i = 0; i < h->nentry; i++) h->order[i] = &h->entry[i];
  return check_names(P) && check_places(P);
}

/* -- reading ------------------------------------------------------------------------ */

static mare_Status read_text(mare_Source *s, mare_Header *h, uint64_t *length) {
  unsigned char size[8];
  mare_Status st = mare_source_read(s, size, sizeof size);
  if (st != MARE_OK) return st;
  *length = 0;
  for (int i = 7; i >= 0; i--) *length = *length << 8 | size[i];
  if (*length > MOST_HEADER || *length > mare_source_room(s))
    return mare_source_fail(s, MARE_FORMAT,
                            "not a safetensors file: a header of %llu bytes does not fit",
                            (U64)*length);
  h->text = mare_scratch(h->heap, (size_t)*length + 1);
  if (h->text == NULL) return mare_source_fail(s, MARE_NOMEM, "not enough memory");
  return mare_source_read(s, h->text, (size_t)*length);
}

mare_Status mare_header_read(mare_Source *s, mare_Header *h) {
  uint64_t length = 0;
  Parser P = {.s = s, .h = h};
  memset(h, 0, sizeof *h);
  h->heap = s->heap;
  P.st = read_text(s, h, &length);
  if (P.st != MARE_OK) return P.st;
  P.start = P.p = h->text;
  P.end = h->text + length;
  if (read_object(&P)) check_whole(&P);
  return P.st;
}

void mare_header_free(mare_Header *h) {
  if (h->heap == NULL) return;
  mare_scratch_free(h->heap, h->text);
  mare_scratch_free(h->heap, h->entry);
  mare_scratch_free(h->heap, h->order);
  mare_scratch_free(h->heap, h->pair);
  memset(h, 0, sizeof *h);
}

/* -- writing ------------------------------------------------------------------------ */

typedef struct Writer { /* out == NULL: only counts */
  char *out;
  size_t n;
} Writer;

static void put(Writer *w, const char *s, size_t n) {
  if (w->out) memcpy(w->out + w->n, s, n);
  w->n += n;
}

static void put_string(Writer *w, mare_Text t) {
  char code[8];
  put(w, "\"", 1);
  for (size_t i = 0; i < t.n; i++) {
    unsigned char c = (unsigned char)t.s[i];
    if (c == '"' || c == '\\') put(w, "\\", 1);
    if (c >= 0x20) put(w, &t.s[i], 1);
    else put(w, code, (size_t)snprintf(code, sizeof code, "\\u%04x", c));
  }
  put(w, "\"", 1);
}

static void put_pairs(Writer *w, int n, const mare_Pair *pair) {
  put(w, "\"__metadata__\":{", 16);
  for (int i = 0; i < n; i++) {
    if (i) put(w, ",", 1);
    put_string(w, pair[i].key);
    put(w, ":", 1);
    put_string(w, pair[i].value);
  }
  put(w, "}", 1);
}

static void put_entry(Writer *w, const mare_Entry *e) {
  char text[96];
  put_string(w, e->name);
  put(w, text, (size_t)snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":[",
                                types[e->t.dtype].name));
  for (int d = 0; d < e->t.ndim; d++)
    put(w, text, (size_t)snprintf(text, sizeof text, d ? ",%lld" : "%lld",
                                  (long long)e->t.shape[d]));
  put(w, text, (size_t)snprintf(text, sizeof text, "],\"data_offsets\":[%llu,%llu]}",
                                (U64)e->begin, (U64)e->end));
}

static void put_header(Writer *w, int n, mare_Entry *const *order, int npair,
                       const mare_Pair *pair) {
  put(w, "{", 1);
  if (npair) put_pairs(w, npair, pair);
  for (int i = 0; i < n; i++) {
    if (i || npair) put(w, ",", 1);
    put_entry(w, order[i]);
  }
  put(w, "}", 1);
}

static void place(int n, mare_Entry *entry, mare_Entry **order) {
  uint64_t at = 0;
  for (int i = 0; i < n; i++) order[i] = &entry[i];
  sort((void **)order, n, by_size);
  for (int i = 0; i < n; i++) {
    order[i]->begin = at;
    at += (uint64_t)order[i]->t.numel * mare_sizeof[order[i]->t.dtype];
    order[i]->end = at;
  }
}

mare_Status mare_header_make(mare_Heap *heap, int n, mare_Entry *entry,
                             mare_Entry **order, int npair, const mare_Pair *pair,
                             char **text, size_t *length) {
  Writer w = {NULL, 0};
  size_t size;
  place(n, entry, order);
  put_header(&w, n, order, npair, pair);
  size = (w.n + 7) / 8 * 8; /* spaces up to there, so that the elements are aligned */
  if (size > MOST_HEADER) return MARE_BADARG;
  *text = mare_scratch(heap, 8 + size);
  if (*text == NULL) return MARE_NOMEM;
  for (int i = 0; i < 8; i++) (*text)[i] = (char)(size >> 8 * i & 0xff);
  memset(*text + 8, ' ', size);
  w = (Writer){*text + 8, 0};
  put_header(&w, n, order, npair, pair);
  *length = 8 + size;
  return MARE_OK;
}

/* -- UTF-8 -------------------------------------------------------------------------- */

/* bytes of the code point at s, or 0: no surrogates, nothing longer than need be */
static size_t code_length(const unsigned char *s, size_t n) {
  static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned c = s[0], v;
  size_t k = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
  v = k < 2 ? c : c & (0xffu >> (k + 1));
  if (k == 0 || k > n) return 0;
  for (size_t i = 1; i < k; i++) {
    if (s[i] >> 6 != 2) return 0;
    v = v << 6 | (s[i] & 0x3fu);
  }
  if (v < least[k] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) return 0;
  return k;
}

bool mare_is_utf8(mare_Text t) {
  const unsigned char *s = (const unsigned char *)t.s;
  for (size_t i = 0, k; i < t.n; i += k)
    if ((k = code_length(s + i, t.n - i)) == 0) return false;
  return true;
}
