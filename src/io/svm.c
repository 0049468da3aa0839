/* svm.c -- reading LIBSVM's text, in two passes over it: check and count, then fill. */
#include "svm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

#define DENSE 4096 /* elements for each byte of text, unless the caller says features */

typedef struct Scan {
  mare_Source *s; /* for messages; NULL: everything is known to be good */
  mare_Svm *v;
  mare_Powers powers;
  int64_t line, most, last; /* largest index of all; of this line */
  int field;
  float *x; /* the row to be filled, or NULL */
  double *y;
} Scan;

static mare_Status fail(Scan *S, const char *p, const char *what) {
  int n = 0;
  while (n < 40 && p[n] && !strchr(" \t\r\n", p[n])) n++;
  snprintf(S->s->error, MARE_ERRORTEXT, "%.200s:%lld: column %d: '%.*s' is %s",
           S->s->name, (long long)S->line, S->field, n, p, what);
  return MARE_FORMAT;
}

static bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static bool ends(char c) {
  return blank(c) || c == '\n';
}

static mare_Status pair(Scan *S, const char **p) { /* index:value */
  int64_t i;
  double value;
  const char *at = *p, *q = mare_whole(at, &i);
  if (q == NULL || *q != ':') return fail(S, at, "no index:value");
  q = mare_number(&S->powers, q + 1, '.', &value);
  if (q == NULL || !ends(*q)) return fail(S, at, "no index:value");
  i += S->v->zero;
  if (i < 1)
    return fail(S, at, S->v->zero ? "below index 0" : "below index 1 (see zero_based)");
  if (i <= S->last) return fail(S, at, "not after the index before it");
  if (S->v->features && i > S->v->features) return fail(S, at, "past the last feature");
  S->last = i;
  if (i > S->most) S->most = i;
  if (S->x) S->x[i - 1] = (float)value;
  *p = q;
  return MARE_OK;
}

static mare_Status row(Scan *S, const char **p) {
  double label;
  const char *q = mare_number(&S->powers, *p, '.', &label);
  mare_Status st = MARE_OK;
  S->field = 1;
  S->last = 0;
  if (q == NULL || !ends(*q)) return fail(S, *p, "no label");
  if (!(fabs(label) < 1e15 && label == floor(label))) S->v->whole = false;
  if (S->y) *S->y = label;
  while (st == MARE_OK) {
    while (blank(*q)) q++;
    *p = q;
    if (*q == '\n' || *q == '#') break;
    S->field++;
    st = pair(S, &q);
  }
  return st;
}

static mare_Status scan(Scan *S) {
  const char *p = S->v->text, *end = p + S->v->n;
  int64_t rows = 0;
  mare_Status st = MARE_OK;
  for (S->line = 1; st == MARE_OK && p < end; S->line++) {
    while (blank(*p)) p++;
    if (*p != '\n' && *p != '#') {
      st = row(S, &p);
      if (S->y) S->y++, S->x += S->v->features;
      rows++;
    }
    p = memchr(p, '\n', (size_t)(end + 1 - p));
    p++;
  }
  S->v->rows = rows;
  return st;
}

mare_Status mare_svm_scan(mare_Source *s, mare_Svm *v) {
  Scan S = {.s = s, .v = v};
  bool given = v->features > 0;
  mare_Status st;
  mare_powers(&S.powers);
  v->whole = true;
  st = scan(&S);
  if (st != MARE_OK) return st;
  if (!given) v->features = S.most;
  if (!given && v->rows && v->features / DENSE > (int64_t)v->n / v->rows)
    return mare_source_fail(s, MARE_FORMAT,
                            "%lld rows of %lld features would be dense; say features",
                            (long long)v->rows, (long long)v->features);
  return MARE_OK;
}

void mare_svm_fill(const mare_Svm *v, mare_Tensor *x, mare_Tensor *y) {
  mare_Svm copy = *v;
  Scan S = {.v = &copy, .x = (float *)(void *)x->data, .y = (double *)(void *)y->data};
  mare_powers(&S.powers);
  memset(x->data, 0, (size_t)x->numel * sizeof(float));
  scan(&S);
}
