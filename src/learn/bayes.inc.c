/* bayes.inc.c -- bayes_kernels.h for one element type: real, K(name). */

#define LANES 8 /* partial sums, so that additions need not wait for each other */

static void K(add)(int64_t d, const void *p, double w, double *restrict s) {
  const real *restrict x = p;
  for (int64_t j = 0; j < d; j++) s[j] += w * (double)x[j];
}

static void K(add_above)(int64_t d, const void *p, double limit, double w,
                         double *restrict s) {
  const real *restrict x = p;
  for (int64_t j = 0; j < d; j++) s[j] += (double)x[j] > limit ? w : 0;
}

static void K(add_squares)(int64_t d, const void *p, const double *restrict shift,
                           double w, double *restrict s, double *restrict q) {
  const real *restrict x = p;
  for (int64_t j = 0; j < d; j++) {
    const double v = (double)x[j] - shift[j];
    s[j] += w * v;
    q[j] += w * v * v;
  }
}

static void K(add_squares4)(int64_t d, const void *const *p,
                            const double *restrict shift, const double *w,
                            double *restrict s, double *restrict q) {
  const real *restrict x0 = p[0], *restrict x1 = p[1];
  const real *restrict x2 = p[2], *restrict x3 = p[3];
  for (int64_t j = 0; j < d; j++) {
    const double a = (double)x0[j] - shift[j], b = (double)x1[j] - shift[j];
    const double e = (double)x2[j] - shift[j], f = (double)x3[j] - shift[j];
    s[j] += (w[0] * a + w[1] * b) + (w[2] * e + w[3] * f);
    q[j] += (w[0] * a * a + w[1] * b * b) + (w[2] * e * e + w[3] * f * f);
  }
}

static void K(center)(int64_t d, const void *p, const double *restrict mean, double w,
                      void *out) {
  const real *restrict x = p;
  real *restrict y = out;
  for (int64_t j = 0; j < d; j++) y[j] = (real)(w * ((double)x[j] - mean[j]));
}

static void K(shift)(int64_t d, const void *p, const void *mean, const void *rest,
                     void *out) {
  const real *restrict x = p, *restrict m = mean, *restrict r = rest;
  real *restrict y = out;
  for (int64_t j = 0; j < d; j++) y[j] = x[j] - m[j] - r[j];
}

static void K(gather)(int64_t d, const void *p, const int64_t *restrict order,
                      void *out) {
  const real *restrict x = p;
  real *restrict y = out;
  for (int64_t j = 0; j < d; j++) y[j] = x[order[j] - 1];
}

static void K(flush)(int64_t d, const void *p, double *restrict s) {
  const real *restrict x = p;
  for (int64_t j = 0; j < d; j++) s[j] += (double)x[j];
}

static double K(total)(const double *part) {
  double s = 0;
  for (int l = 0; l < LANES; l++) s += part[l];
  return s;
}

static double K(norm2)(int64_t d, const void *p) {
  const real *restrict x = p;
  double part[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= d; j += LANES)
    for (int l = 0; l < LANES; l++) part[l] += (double)x[j + l] * (double)x[j + l];
  for (; j < d; j++) part[0] += (double)x[j] * (double)x[j];
  return K(total)(part);
}

static double K(distance)(int64_t d, const void *p, const double *restrict mean,
                          const double *restrict scale) {
  const real *restrict x = p;
  double part[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= d; j += LANES)
    for (int l = 0; l < LANES; l++) {
      const double v = (double)x[j + l] - mean[j + l];
      part[l] += v * v * scale[j + l];
    }
  for (int l = 0; j < d; j++, l++) {
    const double v = (double)x[j] - mean[j];
    part[l] += v * v * scale[j];
  }
  return K(total)(part);
}

static void K(distance4)(int64_t d, const void *p, const double *restrict mean,
                         const double *restrict scale, double *y) {
  const real *restrict x = p;
  double part[4][LANES] = {{0}};
  int64_t j = 0;
  for (; j + LANES <= d; j += LANES)
    for (int i = 0; i < 4; i++)
      for (int l = 0; l < LANES; l++) {
        const double v = (double)x[i * d + j + l] - mean[j + l];
        part[i][l] += v * v * scale[j + l];
      }
  for (int i = 0; i < 4; i++) {
    for (int64_t k = j; k < d; k++) {
      const double v = (double)x[i * d + k] - mean[k];
      part[i][k - j] += v * v * scale[k];
    }
    y[i] = K(total)(part[i]);
  }
}

#undef LANES
#undef real
#undef K
