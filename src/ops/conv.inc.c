/*
** conv.inc.c -- patches of planes as columns, of one element type: x is (c, h, w),
** cols (c kh kw, oh ow).  Included by conv.c with 'real' and K(name).
*/

static void K(columns)(const mare_Conv *g, int64_t c, const void *from, void *to) {
  const real *x = from;
  real *y = to;
  int64_t done = 0;
  for (int64_t q = 0; q < c * g->kh * g->kw; q++) {
    if (stopping(&done, g->oh * g->ow)) return;
    const int64_t i = q / g->kw % g->kh * g->dh - g->ph, j = q % g->kw * g->dw - g->pw;
    const real *plane = x + q / (g->kh * g->kw) * g->h * g->w;
    int64_t lo, hi;
    inside(j, g->sw, g->w, g->ow, &lo, &hi);
    for (int64_t r = 0; r < g->oh; r++, y += g->ow) {
      const int64_t row = r * g->sh + i;
      if (row < 0 || row >= g->h) {
        memset(y, 0, (size_t)g->ow * sizeof(real));
        continue;
      }
      const real *p = plane + row * g->w + j;
      for (int64_t o = 0; o < lo; o++) y[o] = 0;
      if (g->sw == 1) memcpy(y + lo, p + lo, (size_t)(hi - lo) * sizeof(real));
      else for (int64_t o = lo; o < hi; o++) y[o] = p[o * g->sw];
      for (int64_t o = hi; o < g->ow; o++) y[o] = 0;
    }
  }
}

/* x = the sum of the columns where they came from */
static void K(planes)(const mare_Conv *g, int64_t c, const void *from, void *to) {
  const real *y = from;
  real *x = to;
  int64_t done = 0;
  memset(x, 0, (size_t)(c * g->h * g->w) * sizeof(real));
  for (int64_t q = 0; q < c * g->kh * g->kw; q++) {
    if (stopping(&done, g->oh * g->ow)) return;
    const int64_t i = q / g->kw % g->kh * g->dh - g->ph, j = q % g->kw * g->dw - g->pw;
    real *plane = x + q / (g->kh * g->kw) * g->h * g->w;
    int64_t lo, hi;
    inside(j, g->sw, g->w, g->ow, &lo, &hi);
    for (int64_t r = 0; r < g->oh; r++, y += g->ow) {
      const int64_t row = r * g->sh + i;
      if (row < 0 || row >= g->h) continue;
      real *p = plane + row * g->w + j;
      if (g->sw == 1) for (int64_t o = lo; o < hi; o++) p[o] += y[o];
      else for (int64_t o = lo; o < hi; o++) p[o * g->sw] += y[o];
    }
  }
}

/* the place of the largest value of a patch; NaN is the largest */
static int64_t K(place)(const mare_Conv *g, const real *x, int64_t top, int64_t left) {
  int64_t best = -1;
  for (int64_t i = 0; i < g->kh; i++)
    for (int64_t j = 0; j < g->kw; j++) {
      const int64_t r = top + i * g->dh, s = left + j * g->dw, at = r * g->w + s;
      if (r < 0 || r >= g->h || s < 0 || s >= g->w) continue;
      if (best < 0 || x[at] > x[best] || (x[at] != x[at] && x[best] == x[best]))
        best = at;
    }
  return best + 1;
}

static void K(largest)(const mare_Conv *g, int64_t c, const void *from, void *to) {
  const real *x = from;
  int64_t *index = to, done = 0;
  for (int64_t k = 0; k < c; k++, x += g->h * g->w)
    for (int64_t r = 0; r < g->oh && !stopping(&done, g->ow * g->kh * g->kw); r++)
      for (int64_t s = 0; s < g->ow; s++)
        *index++ = K(place)(g, x, r * g->sh - g->ph, s * g->sw - g->pw);
}

#undef real
#undef K
