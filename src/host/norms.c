/*
** norms.c -- layers that bring values to zero mean and unit variance, in evaluation.
*/
#include "layers.h"

#include "../base/shape.h"

/* -- weights ------------------------------------------------------------------- */

static bool is_false(const mare_Json *v) { return v && v->kind == MARE_FALSE; }

static bool read_eps(mare_Reader *r, mare_Layer *l, int arg, double fallback) {
  const mare_Json *v = mare_layer_option(r, arg, "eps");
  l->eps = v ? v->number : fallback;
  return v == NULL || v->kind == MARE_NUMBER ||
         mare_layer_fail(r->note, l, "eps: a number expected");
}

/* weight and bias of this shape, unless the table at arg says that there are none */
static bool read_affine(mare_Reader *r, mare_Layer *l, int arg, bool bias) {
  const mare_Sample *s = &l->sizes;
  if (is_false(mare_layer_option(r, arg, "affine"))) return true;
  if (!mare_layer_weight(r, l, MARE_WEIGHT, "weight", s->ndim, s->size)) return false;
  return !bias || is_false(mare_layer_option(r, arg, "bias")) ||
         mare_layer_weight(r, l, MARE_BIAS, "bias", s->ndim, s->size);
}

/* v (c) beside the channels of a batch (n, c, ...) */
static mare_Tensor over_channels(const mare_Tensor *v, const mare_Tensor *y) {
  mare_Tensor t = *v;
  while (t.ndim < y->ndim - 1) mare_unsqueeze(&t, t.ndim);
  return t;
}

/* y = row(y, v), if there is a v */
static void with(const char *row, mare_Tensor *y, const mare_Tensor *v, bool channels) {
  mare_Tensor t;
  if (v->storage == NULL) return;
  t = channels ? over_channels(v, y) : *v;
  mare_layer_apply(row, y, y, &t);
}

/* v = 1 / sqrt(v + eps) */
static void invert(mare_Tensor *v, double eps) {
  double room;
  mare_Tensor e = mare_layer_number(eps, v->dtype, &room);
  mare_layer_apply("add", v, v, &e);
  mare_layer_apply("rsqrt", v, v, NULL);
}

/* -- over the batch ------------------------------------------------------------ */

static bool read_batch(mare_Reader *r, mare_Layer *l) {
  mare_Sample *s = &l->sizes;
  s->ndim = 1;
  if (!mare_layer_whole(r, l, mare_layer_arg(r, 1), "features", 1, INT32_MAX, 0,
                        &s->size[0]) ||
      !read_eps(r, l, 2, 1e-5) || !read_affine(r, l, 2, true))
    return false;
  if (is_false(mare_layer_option(r, 2, "track")))
    return mare_layer_fail(r->note, l, "without running means a result depends on the "
                           "other samples");
  if (!mare_layer_weight(r, l, MARE_CENTER, "running_mean", 1, s->size) ||
      !mare_layer_weight(r, l, MARE_SCALE, "running_var", 1, s->size))
    return false;
  invert(&l->weight[MARE_SCALE], l->eps);
  return true;
}

static bool shape_batch(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  const bool planes = l->name[9] == '2'; /* BatchNorm2d */
  const bool fits = planes ? s->ndim == 3 : s->ndim == 1 || s->ndim == 2;
  if (fits && s->size[0] == l->sizes.size[0]) return true;
  return mare_layer_fail(note, l, "%lld channels of %s expected",
                         (long long)l->sizes.size[0],
                         planes ? "planes" : "numbers or sequences");
}

static mare_Status run_batch(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                             mare_Tensor *y) {
  mare_Tensor mean = over_channels(&l->weight[MARE_CENTER], y);
  (void)h;
  mare_layer_apply("sub", y, x, &mean);
  with("mul", y, &l->weight[MARE_SCALE], true);
  with("mul", y, &l->weight[MARE_WEIGHT], true);
  with("add", y, &l->weight[MARE_BIAS], true);
  return MARE_OK;
}

static void input_batch(const mare_Layer *l, mare_Sample *s) {
  s->ndim = l->name[9] == '2' ? 3 : 1;
  s->size[0] = l->sizes.size[0];
  s->size[1] = s->size[2] = -1;
}

/* -- over the features --------------------------------------------------------- */

/* a number or a list of them, at argument 1 */
static bool read_trailing(mare_Reader *r, mare_Layer *l) {
  const mare_Json *v = mare_layer_arg(r, 1);
  const bool list = v && v->kind == MARE_LIST;
  if (list) v = v->first;
  if (v == NULL) return mare_layer_fail(r->note, l, "a shape expected");
  for (; v; v = list ? v->next : NULL) {
    if (l->sizes.ndim == MARE_MAXDIM - 1)
      return mare_layer_fail(r->note, l, "more than %d dimensions", MARE_MAXDIM);
    if (!mare_layer_whole(r, l, v, "shape", 1, INT32_MAX, 0,
                          &l->sizes.size[l->sizes.ndim++]))
      return false;
  }
  return true;
}

static bool read_layer(mare_Reader *r, mare_Layer *l) {
  return read_trailing(r, l) && read_eps(r, l, 2, 1e-5) && read_affine(r, l, 2, true);
}

static bool read_rms(mare_Reader *r, mare_Layer *l) {
  return read_trailing(r, l) && read_eps(r, l, 2, 1e-6) && read_affine(r, l, 2, false);
}

static bool shape_trailing(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  const int skip = s->ndim - l->sizes.ndim;
  bool fits = skip >= 0;
  for (int d = 0; fits && d < l->sizes.ndim; d++)
    fits = s->size[skip + d] == l->sizes.size[d];
  return fits || mare_layer_fail(note, l, "the input has other last dimensions");
}

static void input_trailing(const mare_Layer *l, mare_Sample *s) { *s = l->sizes; }

/* bits of the last n dimensions of t */
static unsigned last(const mare_Tensor *t, int n) {
  return ((1u << n) - 1) << (t->ndim - n);
}

/* m, in scratch memory, has the dimensions in axes with size 1 */
static mare_Status means(mare_Heap *h, unsigned axes, const mare_Tensor *x,
                         mare_Tensor *m) {
  int64_t shape[MARE_MAXDIM];
  mare_Status st;
  for (int d = 0; d < x->ndim; d++) shape[d] = axes >> d & 1 ? 1 : x->shape[d];
  st = mare_layer_scratch(h, m, x->dtype, x->ndim, shape);
  return st == MARE_OK ? mare_reduce(h, MARE_MEAN, axes, 0, x, m) : st;
}

/* y = x / sqrt(mean of x^2 + eps) over these dimensions; y may be x */
static mare_Status divide(mare_Heap *h, unsigned axes, double eps, const mare_Tensor *x,
                          mare_Tensor *y) {
  mare_Tensor square, m = {0};
  mare_Status st = mare_layer_scratch(h, &square, x->dtype, x->ndim, x->shape);
  if (st == MARE_OK) {
    mare_layer_apply("square", &square, x, NULL);
    st = means(h, axes, &square, &m);
  }
  if (st == MARE_OK) {
    invert(&m, eps);
    mare_layer_apply("mul", y, x, &m);
  }
  mare_scratch_free(h, m.data);
  mare_scratch_free(h, square.data);
  return st;
}

static mare_Status center(mare_Heap *h, unsigned axes, double eps, const mare_Tensor *x,
                          mare_Tensor *y) {
  mare_Tensor m = {0};
  mare_Status st = means(h, axes, x, &m);
  if (st == MARE_OK) mare_layer_apply("sub", y, x, &m);
  mare_scratch_free(h, m.data);
  return st == MARE_OK ? divide(h, axes, eps, y, y) : st;
}

static mare_Status run_layer(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                             mare_Tensor *y) {
  mare_Status st = center(h, last(x, l->sizes.ndim), l->eps, x, y);
  if (st != MARE_OK) return st;
  with("mul", y, &l->weight[MARE_WEIGHT], false);
  with("add", y, &l->weight[MARE_BIAS], false);
  return MARE_OK;
}

static mare_Status run_rms(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                           mare_Tensor *y) {
  mare_Status st = divide(h, last(x, l->sizes.ndim), l->eps, x, y);
  if (st == MARE_OK) with("mul", y, &l->weight[MARE_WEIGHT], false);
  return st;
}

/* -- over groups of channels --------------------------------------------------- */

static bool read_group(mare_Reader *r, mare_Layer *l) {
  int64_t groups;
  l->sizes.ndim = 1;
  if (!mare_layer_whole(r, l, mare_layer_arg(r, 1), "groups", 1, INT32_MAX, 0, &groups) ||
      !mare_layer_whole(r, l, mare_layer_arg(r, 2), "channels", 1, INT32_MAX, 0,
                        &l->sizes.size[0]) ||
      !read_eps(r, l, 3, 1e-5) || !read_affine(r, l, 3, true))
    return false;
  l->conv.groups = groups;
  return l->sizes.size[0] % groups == 0 ||
         mare_layer_fail(r->note, l, "%lld groups of %lld channels", (long long)groups,
                         (long long)l->sizes.size[0]);
}

static bool shape_group(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  if (s->ndim > 0 && s->size[0] == l->sizes.size[0]) return true;
  return mare_layer_fail(note, l, "%lld channels expected", (long long)l->sizes.size[0]);
}

static mare_Status run_group(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                             mare_Tensor *y) {
  const int64_t n = x->shape[0], groups = l->conv.groups;
  const int64_t shape[] = {n, groups, x->numel / n / groups};
  mare_Tensor vx = mare_layer_view(x, 3, shape), vy = mare_layer_view(y, 3, shape);
  mare_Status st = center(h, 1 << 2, l->eps, &vx, &vy);
  if (st != MARE_OK) return st;
  with("mul", y, &l->weight[MARE_WEIGHT], true);
  with("add", y, &l->weight[MARE_BIAS], true);
  return MARE_OK;
}

/* -- the table ----------------------------------------------------------------- */

#define BATCH "eps momentum affine track dtype"

const mare_Kind mare_norm_kinds[] = {
  {"BatchNorm1d", 2, BATCH, MARE_WITHIN, read_batch, shape_batch, run_batch, input_batch,
   false},
  {"BatchNorm2d", 2, BATCH, MARE_WITHIN, read_batch, shape_batch, run_batch, input_batch,
   false},
  {"LayerNorm", 2, "eps affine bias dtype", MARE_WITHIN, read_layer, shape_trailing,
   run_layer, input_trailing, false},
  {"RMSNorm", 2, "eps affine dtype", MARE_WITHIN, read_rms, shape_trailing, run_rms,
   input_trailing, false},
  {"GroupNorm", 3, "eps affine dtype", MARE_WITHIN, read_group, shape_group, run_group,
   NULL, false},
  {NULL, 0, NULL, MARE_FRESH, NULL, NULL, NULL, NULL, false}
};
