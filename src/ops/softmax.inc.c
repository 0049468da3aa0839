/*
** softmax.inc.c -- softmax for ONE real type T, included by lanes.inc.c after
** reduce.inc.c.  Long contiguous lanes go row by row; short or strided ones TILE at a
** time with the lanes side by side, which keeps the vectors full and needs no
** horizontal sums.
*/

#define TILE MARE_TILE
#define SHORT 64 /* lanes up to this length are gathered into a block first */

/* -- one contiguous lane ---------------------------------------------------------- */

OUTLINE void K(softmax_row)(int64_t c, const T *x, T *y, bool logarithm, double scale) {
  T m = K(max_row)(c, x);
  double s = K(exp_row)(c, x, m, logarithm ? NULL : y);
  T k = (T)(logarithm ? log(s) : scale / s);
  if (logarithm)
    for (int64_t i = 0; i < c; i++) y[i] = (x[i] - m) - k;
  else
    for (int64_t i = 0; i < c; i++) y[i] *= k;
}

static double K(dot_row)(int64_t n, const T *a, const T *b) {
  double l[16] = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; j++) l[j] += (double)a[i + j] * (double)b[i + j];
  for (int j = 0; i < n; i++, j++) l[j] += (double)a[i] * (double)b[i];
  for (int w = 8; w > 0; w /= 2)
    for (int j = 0; j < w; j++) l[j] += l[j + w];
  return l[0];
}

/* gx = y (g - sum g y), or g - exp(y) sum g */
OUTLINE void K(softmax_back_row)(int64_t c, const T *y, const T *g, T *gx,
                                 bool logarithm) {
  T e[16], s = (T)(logarithm ? K(sum_row)(c, g) : K(dot_row)(c, g, y));
  if (!logarithm) {
    for (int64_t i = 0; i < c; i++) gx[i] = y[i] * (g[i] - s);
    return;
  }
  for (int64_t i = 0; i < c; i += 16) {
    int64_t r = c - i < 16 ? c - i : 16;
    if (r == 16)
      K(exps)(y + i, 0, e, 16);
    else
      K(exps_tail)(r, y + i, 0, e);
    for (int64_t j = 0; j < r; j++) gx[i + j] = g[i + j] - e[j] * s;
  }
}

/* -- TILE lanes side by side ------------------------------------------------------ */

/* one value of each lane; the lanes past nl repeat the first */
INLINE void K(load)(T *t, const T *x, int64_t xl, int64_t nl) {
  if (xl == 1 && nl == TILE) {
    for (int j = 0; j < TILE; j++) t[j] = x[j];
    return;
  }
  for (int64_t j = 0; j < nl; j++) t[j] = x[j * xl];
  for (int64_t j = nl; j < TILE; j++) t[j] = x[0];
}

INLINE void K(store)(T *y, int64_t yl, int64_t nl, const T *t) {
  if (yl == 1 && nl == TILE) {
    for (int j = 0; j < TILE; j++) y[j] = t[j];
    return;
  }
  for (int64_t j = 0; j < nl; j++) y[j * yl] = t[j];
}

INLINE void K(exp_lanes)(const T *restrict x, const T *restrict m, T *restrict e) {
  for (int j = 0; j < TILE; j++) {
    T d = x[j] - m[j], y = EXP(d < LOWEST ? LOWEST : d);
    e[j] = d < LOWEST ? 0 : y;
  }
}

OUTLINE void K(max_lanes)(int64_t c, int64_t nl, const T *x, int64_t xs, int64_t xl,
                          T *m) {
  T t[TILE], top[TILE];
  K(load)(top, x, xl, nl);
  for (int64_t i = 1; i < c; i++) {
    K(load)(t, x + i * xs, xl, nl);
    for (int j = 0; j < TILE; j++) {
      T a = top[j], b = t[j];
      top[j] = ((b > a) | (b != b)) ? b : a;
    }
  }
  for (int j = 0; j < TILE; j++) m[j] = top[j];
}

/* s = sum exp(x - m); y = exp(x - m), unless NULL */
OUTLINE void K(sum_lanes)(int64_t c, int64_t nl, const T *x, int64_t xs, int64_t xl, T *y,
                          int64_t ys, int64_t yl, const T *m, double *s) {
  T t[TILE], e[TILE];
  for (int j = 0; j < TILE; j++) s[j] = 0;
  for (int64_t first = 0; first < c; first += 256) { /* short chains of additions */
    double sum[TILE] = {0};
    for (int64_t i = first; i < c && i < first + 256; i++) {
      K(load)(t, x + i * xs, xl, nl);
      K(exp_lanes)(t, m, e);
      for (int j = 0; j < TILE; j++) sum[j] += (double)e[j];
      if (y) K(store)(y + i * ys, yl, nl, e);
    }
    for (int j = 0; j < TILE; j++) s[j] += sum[j];
  }
}

OUTLINE void K(softmax_lanes)(const mare_Tile *p, int64_t nl, const T *x, int64_t xs,
                              int64_t xl, T *y, int64_t ys, int64_t yl) {
  T m[TILE], k[TILE], t[TILE];
  double s[TILE], f[TILE];
  K(max_lanes)(p->c, nl, x, xs, xl, m);
  K(sum_lanes)(p->c, nl, x, xs, xl, p->logarithm ? NULL : y, ys, yl, m, s);
  for (int j = 0; j < TILE; j++) f[j] = 1;
  if (p->scale) memcpy(f, p->scale, (size_t)p->nl * sizeof *f);
  if (p->logarithm)
    for (int j = 0; j < TILE; j++) f[j] = LOG(s[j]);
  else
    for (int j = 0; j < TILE; j++) f[j] /= s[j];
  for (int j = 0; j < TILE; j++) k[j] = (T)f[j];
  for (int64_t i = 0; i < p->c; i++) {
    K(load)(t, p->logarithm ? x + i * xs : y + i * ys, p->logarithm ? xl : yl, nl);
    if (p->logarithm)
      for (int j = 0; j < TILE; j++) t[j] = (t[j] - m[j]) - k[j];
    else
      for (int j = 0; j < TILE; j++) t[j] *= k[j];
    K(store)(y + i * ys, yl, nl, t);
  }
}

/* copies between lanes anywhere and a block (c, TILE) */
OUTLINE void K(gather)(int64_t c, int64_t nl, const T *x, int64_t xs, int64_t xl, T *b) {
  for (int64_t i = 0; i < c; i++, x += xs, b += TILE) {
#pragma GCC unroll 8
    for (int64_t j = 0; j < nl; j++) b[j] = x[j * xl];
    for (int64_t j = nl; j < TILE; j++) b[j] = x[0];
  }
}

OUTLINE void K(scatter)(int64_t c, int64_t nl, T *y, int64_t ys, int64_t yl, const T *b) {
  for (int64_t i = 0; i < c; i++, y += ys, b += TILE) {
#pragma GCC unroll 8
    for (int64_t j = 0; j < nl; j++) y[j * yl] = b[j];
  }
}

static void K(softmax)(const mare_Tile *p) {
  T *y = p->y, b[SHORT * TILE];
  const T *x = p->x;
  if (p->xs == 1 && p->ys == 1 && (p->c > SHORT || p->nl < 4)) {
    for (int64_t j = 0; j < p->nl; j++)
      K(softmax_row)
      (p->c, x + j * p->xl, y + j * p->yl, p->logarithm, p->scale ? p->scale[j] : 1);
  } else if (p->c <= SHORT && p->xl != 1) {
    K(gather)(p->c, p->nl, x, p->xs, p->xl, b);
    K(softmax_lanes)(p, TILE, b, TILE, 1, b, TILE, 1);
    K(scatter)(p->c, p->nl, y, p->ys, p->yl, b);
  } else {
    K(softmax_lanes)(p, p->nl, x, p->xs, p->xl, y, p->ys, p->yl);
  }
}

OUTLINE void K(softmax_back_lanes)(const mare_Tile *p, int64_t nl, const T *y, int64_t ys,
                                   int64_t yl, const T *g, int64_t gs, int64_t gl, T *gx,
                                   int64_t os, int64_t ol) {
  T t[TILE], u[TILE], e[TILE], k[TILE], zero[TILE] = {0};
  double s[TILE] = {0};
  for (int64_t i = 0; i < p->c; i++) {
    K(load)(u, g + i * gs, gl, nl);
    if (!p->logarithm) K(load)(t, y + i * ys, yl, nl);
    for (int j = 0; j < TILE; j++)
      s[j] += (double)u[j] * (p->logarithm ? 1 : (double)t[j]);
  }
  for (int j = 0; j < TILE; j++) k[j] = (T)s[j];
  for (int64_t i = 0; i < p->c; i++) {
    K(load)(u, g + i * gs, gl, nl);
    K(load)(t, y + i * ys, yl, nl);
    if (p->logarithm) {
      K(exp_lanes)(t, zero, e);
      for (int j = 0; j < TILE; j++) u[j] -= e[j] * k[j];
    } else
      for (int j = 0; j < TILE; j++) u[j] = t[j] * (u[j] - k[j]);
    K(store)(gx + i * os, ol, nl, u);
  }
}

static void K(softmax_backward)(const mare_Tile *p) {
  T *gx = p->y, b[SHORT * TILE], d[SHORT * TILE];
  const T *y = p->x, *g = p->g;
  if (p->xs == 1 && p->gs == 1 && p->ys == 1 && (p->c > SHORT || p->nl < 4)) {
    for (int64_t j = 0; j < p->nl; j++) K(softmax_back_row)
    (p->c, y + j * p->xl, g + j * p->gl, gx + j * p->yl, p->logarithm);
  } else if (p->c <= SHORT && p->xl != 1) {
    K(gather)(p->c, p->nl, y, p->xs, p->xl, b);
    K(gather)(p->c, p->nl, g, p->gs, p->gl, d);
    K(softmax_back_lanes)(p, TILE, b, TILE, 1, d, TILE, 1, d, TILE, 1);
    K(scatter)(p->c, p->nl, gx, p->ys, p->yl, d);
  } else {
    K(softmax_back_lanes)(p, p->nl, y, p->xs, p->xl, g, p->gs, p->gl, gx, p->ys, p->yl);
  }
}

/* -- for cross-entropy: what normalises each lane --------------------------------- */

static void K(stats)(const mare_Tile *p, double *m, double *l) {
  T b[SHORT * TILE], top[TILE];
  double sum[TILE];
  const T *x = p->x;
  if (p->xs == 1 && (p->c > SHORT || p->nl < 4)) {
    for (int64_t j = 0; j < p->nl; j++) {
      top[j] = K(max_row)(p->c, x + j * p->xl);
      sum[j] = K(exp_row)(p->c, x + j * p->xl, top[j], NULL);
    }
  } else if (p->c <= SHORT) {
    K(gather)(p->c, p->nl, x, p->xs, p->xl, b);
    K(max_lanes)(p->c, TILE, b, TILE, 1, top);
    K(sum_lanes)(p->c, TILE, b, TILE, 1, NULL, 0, 1, top, sum);
  } else {
    K(max_lanes)(p->c, p->nl, x, p->xs, p->xl, top);
    K(sum_lanes)(p->c, p->nl, x, p->xs, p->xl, NULL, 0, 1, top, sum);
  }
  for (int64_t j = p->nl; j < TILE; j++) top[j] = 0, sum[j] = 1;
  for (int j = 0; j < TILE; j++) sum[j] = LOG(sum[j]);
  for (int j = 0; j < TILE; j++) m[j] = (double)top[j];
  for (int j = 0; j < TILE; j++) l[j] = sum[j];
}

INLINE double K(mix)(const mare_Mix *q, int64_t k) {
  double t = q->t ? q->keep * (double)((const T *)q->t)[k * q->ts] : 0;
  return (q->w ? (double)((const T *)q->w)[k * q->ws] : 1) * (t + q->spread);
}

static double K(mix_dot)(const mare_Mix *q, const void *x, int64_t xs, double a, double b,
                         double *sum) {
  double dot = 0, s = 0;
  for (int64_t k = 0; k < q->c; k++) {
    double w = K(mix)(q, k);
    s += w;
    dot += w == 0 ? 0 : w * ((double)((const T *)x)[k * xs] - a - b);
  }
  *sum = s;
  return dot;
}

static void K(mix_subtract)(const mare_Mix *q, double g, void *gx) {
  for (int64_t k = 0; k < q->c; k++)
    ((T *)gx)[k] = (T)((double)((T *)gx)[k] - g * K(mix)(q, k));
}

/* -- pieces of one long lane ------------------------------------------------------ */

static double K(exp_sum)(int64_t n, const void *x, double m, void *y) {
  return K(exp_row)(n, x, (T)m, y);
}

static void K(affine)(int64_t n, const void *x, double a, double k, double b, void *y) {
  for (int64_t i = 0; i < n; i++) ((T *)y)[i] = (((const T *)x)[i] - (T)a) * (T)k - (T)b;
}
