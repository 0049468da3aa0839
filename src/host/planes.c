/*
** planes.c -- layers over planes and sequences: convolutions and pooling.  x is
** (n, c, h, w); sequences are planes of one row.
*/
#include "layers.h"

#include <string.h>

#include "../base/shape.h"

/* -- geometry ------------------------------------------------------------------ */

/* the options of the table at argument i; stride: when the table has none */
static bool read_geometry(mare_Reader *r, mare_Layer *l, int i, int64_t down,
                          int64_t across) {
  mare_Conv *g = &l->conv;
  const mare_Json *stride = mare_layer_option(r, i, "stride");
  int64_t *const n[] = {&g->sh, &g->sw};
  *n[0] = down, *n[1] = across;
  if (stride && !mare_layer_pair(r, l, stride, "stride", 1, 0, n[0], n[1])) return false;
  return mare_layer_pair(r, l, mare_layer_option(r, i, "padding"), "padding", 0, 0,
                         &g->ph, &g->pw) &&
         mare_layer_pair(r, l, mare_layer_option(r, i, "dilation"), "dilation", 1, 1,
                         &g->dh, &g->dw) &&
         mare_layer_whole(r, l, mare_layer_option(r, i, "groups"), "groups", 1, INT32_MAX,
                          1, &g->groups);
}

/* a sequence is a plane of one row: what is said of it goes across */
static void lay_down(mare_Conv *g) {
  g->kh = g->sh = g->dh = 1;
  g->ph = 0;
}

/* inputs, outputs and the kernel at arguments 1 to 3 */
static bool read_sizes(mare_Reader *r, mare_Layer *l, int dims) {
  mare_Conv *g = &l->conv;
  const mare_Json *size = mare_layer_arg(r, 3);
  if (dims == 1 && size && size->kind == MARE_LIST) size = size->first;
  if (!mare_layer_whole(r, l, mare_layer_arg(r, 1), "inputs", 1, INT32_MAX, 0, &g->c) ||
      !mare_layer_whole(r, l, mare_layer_arg(r, 2), "outputs", 1, INT32_MAX, 0, &g->o) ||
      !mare_layer_pair(r, l, size, "size", 1, 0, &g->kh, &g->kw) ||
      !read_geometry(r, l, 4, 1, 1))
    return false;
  if (dims == 1) lay_down(g);
  return (g->c % g->groups == 0 && g->o % g->groups == 0) ||
         mare_layer_fail(r->note, l, "%lld groups of %lld and %lld channels",
                         (long long)g->groups, (long long)g->c, (long long)g->o);
}

static bool read_weights(mare_Reader *r, mare_Layer *l, int dims, bool turned) {
  const mare_Conv *g = &l->conv;
  const mare_Json *bias = mare_layer_option(r, 4, "bias");
  int64_t shape[4] = {turned ? g->c : g->o, (turned ? g->o : g->c) / g->groups};
  if (dims == 2) shape[2] = g->kh;
  shape[dims + 1] = g->kw;
  return mare_layer_weight(r, l, MARE_WEIGHT, "weight", dims + 2, shape) &&
         ((bias && bias->kind == MARE_FALSE) ||
          mare_layer_weight(r, l, MARE_BIAS, "bias", 1, &g->o));
}

static bool read_conv1d(mare_Reader *r, mare_Layer *l) {
  l->dim = 1;
  return read_sizes(r, l, 1) && read_weights(r, l, 1, false);
}

static bool read_conv2d(mare_Reader *r, mare_Layer *l) {
  l->dim = 2;
  return read_sizes(r, l, 2) && read_weights(r, l, 2, false);
}

/* do the patches of a few samples have more bytes than can be counted? */
static bool too_many(const mare_Conv *g) {
  const int64_t factors[] = {g->c, g->kh, g->kw, g->oh, g->ow};
  int64_t bytes = 256; /* 32 samples of f64 at a time */
  for (int i = 0; i < 5; i++)
    if (__builtin_mul_overflow(bytes, factors[i], &bytes)) return true;
  return false;
}

/* g for samples (c, h, w), or (c, l) */
static bool fit(const mare_Layer *l, const mare_Sample *s, mare_Conv *g,
                mare_Note *note) {
  if (s->ndim != l->dim + 1)
    return mare_layer_fail(note, l, "samples of %d dimensions expected, got %d",
                           l->dim + 1, s->ndim);
  *g = l->conv;
  g->h = l->dim == 1 ? 1 : s->size[1];
  g->w = s->size[l->dim];
  if (!mare_conv_fit(g))
    return mare_layer_fail(note, l, "its window does not fit into planes of %lldx%lld",
                           (long long)g->h, (long long)g->w);
  return !too_many(g) || mare_layer_fail(note, l, "the patches do not fit into memory");
}

static void give(const mare_Layer *l, mare_Sample *s, int64_t c, int64_t h, int64_t w) {
  s->size[0] = c;
  s->size[1] = h;
  s->size[l->dim] = w;
}

static bool channels(const mare_Layer *l, const mare_Sample *s, mare_Note *note) {
  if (s->ndim > 0 && s->size[0] == l->conv.c) return true;
  return mare_layer_fail(note, l, "%lld channels expected, got %lld",
                         (long long)l->conv.c, s->ndim ? (long long)s->size[0] : 0LL);
}

/* the geometry of a batch whose shapes were checked */
static mare_Conv geometry(const mare_Layer *l, const mare_Tensor *x) {
  mare_Conv g = l->conv;
  g.n = x->shape[0];
  g.c = x->shape[1];
  g.h = l->dim == 1 ? 1 : x->shape[2];
  g.w = x->shape[x->ndim - 1];
  mare_conv_fit(&g);
  return g;
}

/* -- convolutions -------------------------------------------------------------- */

static bool shape_conv(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  mare_Conv g;
  if (!channels(l, s, note) || !fit(l, s, &g, note)) return false;
  give(l, s, g.o, g.oh, g.ow);
  return true;
}

static const mare_Tensor *bias_of(const mare_Layer *l) {
  return l->weight[MARE_BIAS].storage ? &l->weight[MARE_BIAS] : NULL;
}

static mare_Status run_conv(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                            mare_Tensor *y) {
  mare_Conv g = geometry(l, x);
  return mare_conv(h, &g, x, &l->weight[MARE_WEIGHT], bias_of(l), y);
}

static void input_conv(const mare_Layer *l, mare_Sample *s) {
  s->ndim = l->dim + 1;
  s->size[0] = l->conv.c;
  for (int d = 1; d < s->ndim; d++) s->size[d] = -1;
}

/* -- the transposed convolution: x is the gradient of a conv2d's result -------- */

static bool read_turned(mare_Reader *r, mare_Layer *l) {
  const mare_Json *more = mare_layer_option(r, 4, "output_padding");
  int64_t *add = l->sizes.size;
  mare_Conv *g = &l->conv;
  l->dim = 2;
  if (!read_sizes(r, l, 2) || !read_weights(r, l, 2, true) ||
      !mare_layer_pair(r, l, more, "output_padding", 0, 0, &add[0], &add[1]))
    return false;
  return (add[0] < (g->sh > g->dh ? g->sh : g->dh) &&
          add[1] < (g->sw > g->dw ? g->sw : g->dw)) ||
         mare_layer_fail(r->note, l, "output_padding is no smaller than the stride");
}

/* the convolution of which this is the transpose: its planes are the larger ones */
static mare_Conv turn(const mare_Layer *l, int64_t n, int64_t h, int64_t w) {
  mare_Conv g = l->conv;
  g.n = n, g.c = l->conv.o, g.o = l->conv.c;
  g.h = (h - 1) * g.sh - 2 * g.ph + g.dh * (g.kh - 1) + l->sizes.size[0] + 1;
  g.w = (w - 1) * g.sw - 2 * g.pw + g.dw * (g.kw - 1) + l->sizes.size[1] + 1;
  return g;
}

static bool shape_turned(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  mare_Conv g;
  if (!channels(l, s, note)) return false;
  if (s->ndim != 3)
    return mare_layer_fail(note, l, "samples of 3 dimensions expected, got %d", s->ndim);
  g = turn(l, 1, s->size[1], s->size[2]);
  if (g.h < 1 || g.w < 1 || !mare_conv_fit(&g))
    return mare_layer_fail(note, l, "padding leaves nothing of the result");
  if (too_many(&g)) return mare_layer_fail(note, l, "the patches do not fit into memory");
  give(l, s, g.c, g.h, g.w);
  return true;
}

static mare_Status run_turned(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                              mare_Tensor *y) {
  mare_Conv g = turn(l, x->shape[0], x->shape[2], x->shape[3]);
  mare_Tensor bias = l->weight[MARE_BIAS];
  mare_Status st;
  mare_conv_fit(&g);
  st = mare_conv_input(h, &g, x, &l->weight[MARE_WEIGHT], y);
  if (st != MARE_OK || bias.storage == NULL) return st;
  mare_unsqueeze(&bias, 1);
  mare_unsqueeze(&bias, 2);
  mare_layer_apply("add", y, y, &bias);
  return MARE_OK;
}

/* -- pooling ------------------------------------------------------------------- */

static bool read_pool(mare_Reader *r, mare_Layer *l) {
  mare_Conv *g = &l->conv;
  l->dim = 2;
  if (!mare_layer_pair(r, l, mare_layer_arg(r, 1), "size", 1, 0, &g->kh, &g->kw) ||
      !read_geometry(r, l, 2, g->kh, g->kw))
    return false;
  return (g->ph <= g->kh / 2 && g->pw <= g->kw / 2) ||
         mare_layer_fail(r->note, l, "padding is more than half of the window");
}

/*
** Does some window lie wholly in the padding?  One that begins i stride - padding places
** before the first would have to step over all n of them.
*/
static bool empty_window(int64_t n, int64_t out, int64_t stride, int64_t padding,
                         int64_t dilation) {
  for (int64_t i = 0; i < out && i * stride < padding; i++) {
    const int64_t over = (padding - i * stride) % dilation;
    if (over && dilation - over >= n) return true;
  }
  return false;
}

static bool shape_pool(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  mare_Conv g;
  if (!fit(l, s, &g, note)) return false;
  g.c = s->size[0];
  if (too_many(&g)) return mare_layer_fail(note, l, "the patches do not fit into memory");
  if (empty_window(g.h, g.oh, g.sh, g.ph, g.dh) ||
      empty_window(g.w, g.ow, g.sw, g.pw, g.dw))
    return mare_layer_fail(note, l, "a window lies wholly in the padding");
  give(l, s, g.c, g.oh, g.ow);
  return true;
}

static mare_Status run_max_pool(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                                mare_Tensor *y) {
  mare_Conv g = geometry(l, x);
  mare_Tensor index, vx = mare_layer_view(x, 2, (int64_t[]){g.n * g.c, g.h * g.w});
  mare_Tensor vy = mare_layer_view(y, 2, (int64_t[]){g.n * g.c, g.oh * g.ow}), vi;
  mare_Status st = mare_layer_scratch(h, &index, MARE_I64, y->ndim, y->shape);
  if (st != MARE_OK) return st;
  mare_pool_index(&g, x, &index);
  vi = mare_layer_view(&index, 2, vy.shape);
  mare_gather(1, &vx, &vi, &vy);
  mare_scratch_free(h, index.data);
  return MARE_OK;
}

/* means of windows that lie side by side: x is seen as (n, c, oh, kh, ow, kw) */
static mare_Status tiles(const mare_Conv *g, mare_Heap *h, const mare_Tensor *x,
                         mare_Tensor *y) {
  const int64_t six[] = {g->n, g->c, g->oh, g->kh, g->ow, g->kw};
  const int64_t means[] = {g->n, g->c, g->oh, 1, g->ow, 1};
  mare_Tensor v = *x, vy = mare_layer_view(y, 6, means);
  mare_slice(&v, 2, 0, g->oh * g->kh, 1);
  mare_slice(&v, 3, 0, g->ow * g->kw, 1);
  mare_view_as(&v, 6, six, &v);
  return mare_reduce(h, MARE_MEAN, 1 << 3 | 1 << 5, 0, &v, &vy);
}

static mare_Status run_avg_pool(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                                mare_Tensor *y) {
  mare_Conv g = geometry(l, x);
  const int64_t shape[] = {g.n, g.c, g.kh * g.kw, g.oh * g.ow};
  mare_Tensor patches, vy = mare_layer_view(y, 4, (int64_t[]){g.n, g.c, 1, g.oh * g.ow});
  mare_Status st;
  if (g.sh == g.kh && g.sw == g.kw && g.ph + g.pw == 0) return tiles(&g, h, x, y);
  st = mare_layer_scratch(h, &patches, x->dtype, 4, shape);
  if (st != MARE_OK) return st;
  mare_unfold(&g, x, &patches);
  st = mare_reduce(h, MARE_MEAN, 1 << 2, 0, &patches, &vy);
  mare_scratch_free(h, patches.data);
  return st;
}

/* -- means over as many parts as asked for ------------------------------------- */

static bool read_adaptive(mare_Reader *r, mare_Layer *l) {
  l->dim = 2;
  return mare_layer_pair(r, l, mare_layer_arg(r, 1), "size", 1, 0, &l->sizes.size[0],
                         &l->sizes.size[1]);
}

static bool shape_adaptive(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  if (s->ndim != 3)
    return mare_layer_fail(note, l, "samples of 3 dimensions expected, got %d", s->ndim);
  give(l, s, s->size[0], l->sizes.size[0], l->sizes.size[1]);
  return true;
}

/* m (to, from): row i is the mean of the places that make up place i */
static void averages(mare_Tensor *m) {
  const int64_t to = m->shape[0], from = m->shape[1];
  for (int64_t i = 0; i < to; i++) {
    const int64_t first = i * from / to, end = ((i + 1) * from + to - 1) / to;
    for (int64_t j = 0; j < from; j++)
      mare_set_real(m, i * from + j,
                    j >= first && j < end ? 1 / (double)(end - first) : 0);
  }
}

static mare_Status average(mare_Heap *h, mare_Dtype dt, int64_t to, int64_t from,
                           mare_Tensor *m) {
  mare_Status st = mare_layer_scratch(h, m, dt, 2, (int64_t[]){to, from});
  if (st == MARE_OK) averages(m);
  return st;
}

/* y = left x right', plane by plane: first all rows, then all columns */
static void both(const mare_Tensor *left, mare_Tensor *right, const mare_Tensor *x,
                 mare_Tensor *t, mare_Tensor *y) {
  const int64_t planes = x->shape[0] * x->shape[1], hi = x->shape[2], wi = x->shape[3];
  const int64_t ho = y->shape[2], wo = y->shape[3];
  mare_Tensor vx = mare_layer_view(x, 2, (int64_t[]){planes * hi, wi});
  mare_Tensor rows = mare_layer_view(t, 2, (int64_t[]){planes * hi, wo}), vl;
  mare_Tensor vt = mare_layer_view(t, 3, (int64_t[]){planes, hi, wo});
  mare_Tensor vy = mare_layer_view(y, 3, (int64_t[]){planes, ho, wo});
  mare_transpose(right, 0, 1);
  mare_gemm(&vx, right, 0, &rows);
  mare_expand(left, 3, (int64_t[]){planes, ho, hi}, &vl);
  mare_gemm(&vl, &vt, 0, &vy);
}

static mare_Status run_adaptive(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                                mare_Tensor *y) {
  const int64_t *in = x->shape, *out = y->shape;
  mare_Tensor left = {0}, right = {0}, t = {0};
  mare_Status st;
  (void)l;
  if (out[2] == 1 && out[3] == 1)
    return mare_reduce(h, MARE_MEAN, 1 << 2 | 1 << 3, 0, x, y);
  st = average(h, x->dtype, out[2], in[2], &left);
  if (st == MARE_OK) st = average(h, x->dtype, out[3], in[3], &right);
  if (st == MARE_OK)
    st = mare_layer_scratch(h, &t, x->dtype, 4, (int64_t[]){in[0], in[1], in[2], out[3]});
  if (st == MARE_OK) both(&left, &right, x, &t, y);
  mare_scratch_free(h, left.data);
  mare_scratch_free(h, right.data);
  mare_scratch_free(h, t.data);
  return st;
}

/* -- the table ----------------------------------------------------------------- */

#define CONV "stride padding dilation groups bias init dtype"
#define TURNED CONV " output_padding"

const mare_Kind mare_plane_kinds[] = {
  {"Conv1d", 4, CONV, MARE_FRESH, read_conv1d, shape_conv, run_conv, input_conv, false},
  {"Conv2d", 4, CONV, MARE_FRESH, read_conv2d, shape_conv, run_conv, input_conv, false},
  {"ConvTranspose2d", 4, TURNED, MARE_FRESH, read_turned, shape_turned, run_turned,
   input_conv, false},
  {"MaxPool", 2, "stride padding dilation", MARE_FRESH, read_pool, shape_pool,
   run_max_pool, NULL, false},
  {"AvgPool", 2, "stride padding", MARE_FRESH, read_pool, shape_pool, run_avg_pool, NULL,
   false},
  {"AdaptiveAvgPool", 1, "", MARE_FRESH, read_adaptive, shape_adaptive, run_adaptive,
   NULL, false},
  {NULL, 0, NULL, MARE_FRESH, NULL, NULL, NULL, NULL, false}
};
