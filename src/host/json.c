/*
** json.c -- JSON to a tree, in one pass over the text.  An array with room for every
** value there can be is asked for at once; lists go no deeper than DEEPEST.
*/
#include "json.h"

#include <string.h>

#include "../base/storage.h"
#include "../io/number.h"

#define DEEPEST 100

typedef struct Parser {
  const char *start, *p; /* ends with a zero */
  mare_Json *node;       /* the next free one */
  mare_Powers powers;
} Parser;

bool mare_text_is(mare_Text t, const char *s) {
  return t.n == strlen(s) && memcmp(t.s, s, t.n) == 0;
}

static void skip_space(Parser *P) {
  while (*P->p && strchr(" \t\r\n", *P->p)) P->p++;
}

static bool is_next(Parser *P, char c) { /* skips c if it comes next */
  skip_space(P);
  if (*P->p != c) return false;
  P->p++;
  return true;
}

static bool string(Parser *P, mare_Text *t) {
  if (!is_next(P, '"')) return false;
  t->s = P->p;
  for (; *P->p != '"'; P->p++) {
    if (*P->p == '\\') P->p++;
    if ((unsigned char)*P->p < 0x20) return false;
  }
  t->n = (size_t)(P->p++ - t->s);
  return true;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

static bool number(Parser *P, mare_Json *v) {
  const char *first = P->p + (*P->p == '-');
  const char *end;
  if (!digit(*first) || (*first == '0' && digit(first[1]))) return false;
  end = mare_number(&P->powers, P->p, '.', &v->number);
  if (end == NULL) return false;
  P->p = end;
  return true;
}

static bool word(Parser *P, const char *w) {
  size_t n = strlen(w);
  if (strncmp(P->p, w, n) != 0) return false;
  P->p += n;
  return true;
}

static bool value(Parser *P, mare_Json *v, int depth);

/* the parts of a list or an object, after its bracket, up to `close` */
static bool parts(Parser *P, mare_Json *v, char close, int depth) {
  const mare_Json **link = &v->first;
  if (depth > DEEPEST) return false;
  if (is_next(P, close)) return true;
  do {
    mare_Json *part = P->node++;
    if (close == '}' && (!string(P, &part->key) || !is_next(P, ':'))) return false;
    if (!value(P, part, depth)) return false;
    *link = part;
    link = &part->next;
    v->count++;
  } while (is_next(P, ','));
  return is_next(P, close);
}

static const struct {
  char first;
  const char *word;
  mare_JsonKind kind;
} words[] = {
  {'n', "null", MARE_NULL}, {'f', "false", MARE_FALSE}, {'t', "true", MARE_TRUE}
};

static bool value(Parser *P, mare_Json *v, int depth) {
  skip_space(P);
  for (int i = 0; i < 3; i++)
    if (*P->p == words[i].first) {
      v->kind = words[i].kind;
      return word(P, words[i].word);
    }
  v->kind = *P->p == '[' ? MARE_LIST : *P->p == '{' ? MARE_OBJECT :
            *P->p == '"' ? MARE_STRING : MARE_NUMBER;
  if (v->kind == MARE_NUMBER) return number(P, v);
  if (v->kind == MARE_STRING) return string(P, &v->text);
  P->p++;
  return parts(P, v, v->kind == MARE_LIST ? ']' : '}', depth + 1);
}

/* there are no more values than commas and opening brackets, and one */
static size_t most_values(const char *s) {
  size_t n = 1;
  for (; *s; s++) n += *s == ',' || *s == '[' || *s == '{';
  return n;
}

mare_Status mare_json_read(mare_Heap *h, const char *text, mare_Json **root, size_t *at) {
  size_t bytes = most_values(text) * sizeof **root;
  Parser P = {.start = text, .p = text};
  *root = mare_scratch(h, bytes);
  if (*root == NULL) return mare_heap_status(h, bytes);
  memset(*root, 0, bytes);
  mare_powers(&P.powers);
  P.node = *root + 1;
  if (value(&P, *root, 0)) {
    skip_space(&P);
    if (*P.p == 0) return MARE_OK;
  }
  *at = (size_t)(P.p - P.start) + 1;
  mare_scratch_free(h, *root);
  *root = NULL;
  return MARE_FORMAT;
}
