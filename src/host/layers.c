/*
** layers.c -- reading the arguments of layers, and the layers that know no planes:
** activations, views, Linear, Embedding, Softmax and what halves or joins.
*/
#include "layers.h"

#include <string.h>

#include "../base/shape.h"

#define MOST_SIDE 32767 /* of a kernel, a stride ...: no product of sizes overflows */

/* -- arguments ----------------------------------------------------------------- */

const mare_Json *mare_layer_arg(const mare_Reader *r, int i) {
  const mare_Json *v = r->list->first;
  while (v && i-- > 0) v = v->next;
  return v && v->kind != MARE_NULL ? v : NULL;
}

const mare_Json *mare_layer_option(const mare_Reader *r, int i, const char *key) {
  const mare_Json *v = mare_layer_arg(r, i);
  if (v == NULL || v->kind != MARE_OBJECT) return NULL;
  for (v = v->first; v && !mare_text_is(v->key, key);) v = v->next;
  return v && v->kind != MARE_NULL ? v : NULL;
}

bool mare_layer_whole(mare_Reader *r, mare_Layer *l, const mare_Json *v, const char *what,
                      int64_t lo, int64_t hi, int64_t fallback, int64_t *n) {
  *n = fallback;
  if (v == NULL && fallback >= lo) return true;
  if (v && v->kind == MARE_NUMBER && v->number >= (double)lo && v->number <= (double)hi) {
    *n = (int64_t)v->number;
    if ((double)*n == v->number) return true;
  }
  return mare_layer_fail(r->note, l, "%s: a whole number from %lld to %lld expected",
                         what, (long long)lo, (long long)hi);
}

bool mare_layer_pair(mare_Reader *r, mare_Layer *l, const mare_Json *v, const char *what,
                     int64_t lo, int64_t fallback, int64_t *a, int64_t *b) {
  const mare_Json *first = v, *second = v;
  if (v && v->kind == MARE_LIST) {
    if (v->count != 2)
      return mare_layer_fail(r->note, l, "%s: two numbers expected", what);
    first = v->first, second = first->next;
  }
  return mare_layer_whole(r, l, first, what, lo, MOST_SIDE, fallback, a) &&
         mare_layer_whole(r, l, second, what, lo, MOST_SIDE, fallback, b);
}

/* a size in the file: a layer may not promise more numbers than there can be */
static bool count(mare_Reader *r, mare_Layer *l, int i, const char *what,
                  int64_t fallback, int64_t *n) {
  return mare_layer_whole(r, l, mare_layer_arg(r, i), what, 1, INT32_MAX, fallback, n);
}

/* is this word in a text of words? */
static bool among(const char *words, mare_Text w) {
  for (const char *at = words; *at;) {
    size_t n = strcspn(at, " ");
    if (n == w.n && memcmp(at, w.s, n) == 0) return true;
    at += n + (at[n] == ' ');
  }
  return false;
}

static bool unknown(mare_Reader *r, mare_Layer *l, mare_Text key) {
  return mare_layer_fail(r->note, l, "unknown option '%.*s'",
                         key.n < 64 ? (int)key.n : 64, key.s);
}

static bool too_many(mare_Reader *r, mare_Layer *l, int most) {
  return mare_layer_fail(r->note, l, "%d arguments; at most %d are known",
                         r->list->count - 1, most);
}

static bool check_options(mare_Reader *r, mare_Layer *l, const mare_Json *table) {
  for (const mare_Json *v = table->first; v; v = v->next)
    if (!among(l->kind->options, v->key)) return unknown(r, l, v->key);
  return true;
}

bool mare_layer_read(mare_Reader *r, mare_Layer *l, const mare_Json *list) {
  r->list = list;
  if (list->count - 1 > l->kind->most) return too_many(r, l, l->kind->most);
  for (const mare_Json *v = list->first->next; v; v = v->next)
    if (v->kind == MARE_OBJECT && !l->row && !check_options(r, l, v)) return false;
  return l->kind->read == NULL || l->kind->read(r, l);
}

/* -- pieces of computation ----------------------------------------------------- */

/* op[0] = row(op[1], ...) */
static void run(const mare_Row *row, const double *param, int nop, mare_Tensor **op) {
  const mare_Dtype dt = op[0]->dtype;
  mare_apply(mare_row_kernels(row)->forward[dt], mare_row_runner(row, dt), param, nop,
             op);
}

void mare_layer_apply(const char *row, mare_Tensor *y, const mare_Tensor *a,
                      const mare_Tensor *b) {
  mare_Tensor va = *a, vb;
  mare_Tensor *op[] = {y, &va, &vb};
  if (b) mare_expand(b, y->ndim, y->shape, &vb);
  run(mare_row_find(row), NULL, b ? 3 : 2, op);
}

mare_Tensor mare_layer_number(double v, mare_Dtype dt, double *room) {
  mare_Tensor t;
  mare_shape_set(&t, dt, 0, NULL);
  t.data = (char *)room;
  mare_set_real(&t, 0, v);
  return t;
}

mare_Status mare_layer_scratch(mare_Heap *h, mare_Tensor *t, mare_Dtype dt, int ndim,
                               const int64_t *shape) {
  size_t bytes;
  if (!mare_shape_set(t, dt, ndim, shape)) return MARE_NOMEM;
  bytes = (size_t)t->numel * mare_sizeof[dt];
  t->data = mare_scratch(h, bytes);
  return t->data ? MARE_OK : mare_heap_status(h, bytes);
}

mare_Tensor mare_layer_view(const mare_Tensor *t, int ndim, const int64_t *shape) {
  mare_Tensor v;
  mare_shape_set(&v, t->dtype, ndim, shape);
  v.data = t->data;
  return v;
}

/* -- activations: rows of ops.def ---------------------------------------------- */

static const struct {
  const char *name, *row;
} activations[] = {
  {"ReLU", "relu"}, {"ReLU6", "relu6"}, {"ReLU2", "relu2"}, {"LeakyReLU", "leaky_relu"},
  {"ELU", "elu"}, {"SELU", "selu"}, {"CELU", "celu"}, {"GELU", "gelu"},
  {"GELUTanh", "gelu_tanh"}, {"QuickGELU", "quick_gelu"}, {"SiLU", "silu"},
  {"Hardswish", "hardswish"}, {"Mish", "mish"}, {"Sigmoid", "sigmoid"},
  {"Hardsigmoid", "hardsigmoid"}, {"LogSigmoid", "log_sigmoid"}, {"Tanh", "tanh"},
  {"Hardtanh", "hardtanh"}, {"Clamp", "clamp"}, {"Tanhshrink", "tanhshrink"},
  {"Hardshrink", "hardshrink"}, {"Softshrink", "softshrink"}, {"Softsign", "softsign"},
  {"Softplus", "softplus"}, {"Threshold", "threshold"}, {"TReLU", "trelu"},
  {"Step", "step"}, {"LiSHT", "lisht"}, {"LogCosh", "logcosh"}, {"Sin", "sin"},
  {"Exp", "exp"}, {"Square", "square"}, {"Abs", "abs"},
};

static bool number(mare_Reader *r, mare_Layer *l, const mare_Json *v, const char *what,
                   double *n) {
  if (v && v->kind != MARE_NUMBER)
    return mare_layer_fail(r->note, l, "%s: a number expected", what);
  if (v) *n = v->number;
  return true;
}

static bool check_names(mare_Reader *r, mare_Layer *l, const mare_Json *table) {
  for (const mare_Json *v = table->first; v; v = v->next) {
    int k = 0;
    while (k < l->row->nparam && !mare_text_is(v->key, l->row->param[k])) k++;
    if (k == l->row->nparam) return unknown(r, l, v->key);
  }
  return true;
}

/* parameters in the order of the row, or in one table by name */
static bool read_row(mare_Reader *r, mare_Layer *l) {
  const mare_Json *first = mare_layer_arg(r, 1);
  const bool named = first && first->kind == MARE_OBJECT;
  const int most = named ? 1 : l->row->nparam;
  if (r->list->count - 1 > most) return too_many(r, l, most);
  if (named && !check_names(r, l, first)) return false;
  for (int k = 0; k < l->row->nparam; k++) {
    const char *name = l->row->param[k];
    l->param[k] = l->row->value[k];
    if (!number(r, l, named ? mare_layer_option(r, 1, name) : mare_layer_arg(r, k + 1),
                name, &l->param[k]))
      return false;
  }
  return true;
}

static mare_Status run_row(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                           mare_Tensor *y) {
  mare_Tensor in = *x;
  (void)h;
  run(l->row, l->param, 2, (mare_Tensor *[]){y, &in});
  return MARE_OK;
}

static const mare_Kind activation = {"", MARE_MAXPARAM, "", MARE_WITHIN, read_row, NULL,
                                     run_row, NULL, false};

/* leaky_relu with the mean of the two slopes */
static bool read_rrelu(mare_Reader *r, mare_Layer *l) {
  double lo = 1. / 8, hi = 1. / 3;
  l->row = mare_row_find("leaky_relu");
  if (!number(r, l, mare_layer_arg(r, 1), "lo", &lo) ||
      !number(r, l, mare_layer_arg(r, 2), "hi", &hi))
    return false;
  l->param[0] = (lo + hi) / 2;
  return true;
}

/* -- PReLU: a slope for each channel, or one ----------------------------------- */

static bool read_prelu(mare_Reader *r, mare_Layer *l) {
  int64_t n;
  return count(r, l, 1, "count", 1, &n) &&
         mare_layer_weight(r, l, MARE_WEIGHT, "weight", 1, &n);
}

static bool shape_prelu(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  int64_t n = l->weight[MARE_WEIGHT].numel;
  if (n == 1 || (s->ndim > 0 && s->size[0] == n)) return true;
  return mare_layer_fail(note, l, "slopes for %lld channels do not fit the input",
                         (long long)n);
}

static mare_Status run_prelu(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                             mare_Tensor *y) {
  mare_Tensor w = l->weight[MARE_WEIGHT];
  (void)h;
  for (int d = 2; w.numel > 1 && d < x->ndim; d++) mare_unsqueeze(&w, w.ndim);
  mare_layer_apply("prelu", y, x, &w);
  return MARE_OK;
}

/* -- views --------------------------------------------------------------------- */

/* a dimension of a sample from a 1-based one of the batch; -1: the first, or none */
static int dim_of(int dim, const mare_Sample *s) {
  int d = dim < 0 ? s->ndim + 1 + dim : dim - 1;
  return d >= 1 && d <= s->ndim ? d - 1 : -1;
}

static bool read_dim(mare_Reader *r, mare_Layer *l, int arg, int fallback, int *dim) {
  int64_t n;
  if (!mare_layer_whole(r, l, mare_layer_arg(r, arg), "dimension", -MARE_MAXDIM,
                        MARE_MAXDIM, fallback, &n))
    return false;
  *dim = (int)n;
  return n != 0 || mare_layer_fail(r->note, l, "there is no dimension 0");
}

static bool read_flatten(mare_Reader *r, mare_Layer *l) {
  int last;
  if (!read_dim(r, l, 1, 2, &l->dim) || !read_dim(r, l, 2, -1, &last)) return false;
  l->sizes.size[0] = last;
  return true;
}

static bool shape_flatten(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  int first = dim_of(l->dim, s), last = dim_of((int)l->sizes.size[0], s);
  if (s->ndim == 0 && l->dim == 2 && l->sizes.size[0] == -1) return true;
  if (first < 0 || last < first)
    return mare_layer_fail(note, l, "the input has no dimensions %d to %d besides the "
                           "samples", l->dim, (int)l->sizes.size[0]);
  for (int d = first + 1; d <= last; d++) s->size[first] *= s->size[d];
  for (int d = last + 1; d < s->ndim; d++) s->size[first + d - last] = s->size[d];
  s->ndim -= last - first;
  return true;
}

/* the same numbers, flat, as the layer behind it says */
static void input_flatten(const mare_Layer *l, mare_Sample *s) {
  if (l->dim == 2 && l->sizes.size[0] == -1) s->ndim = MARE_BEHIND;
}

static int64_t points(const mare_Sample *s) {
  int64_t n = 1;
  for (int d = 0; d < s->ndim; d++) n *= s->size[d];
  return n;
}

/* Reshape(1, 28, 28) and Reshape { 1, 28, 28 } */
static bool read_reshape(mare_Reader *r, mare_Layer *l) {
  const mare_Json *v = mare_layer_arg(r, 1);
  int open = 0;
  if (v && v->kind == MARE_LIST) v = v->first;
  for (; v; v = v->next) {
    if (l->sizes.ndim == MARE_MAXDIM - 1)
      return mare_layer_fail(r->note, l, "more than %d dimensions", MARE_MAXDIM);
    int64_t *n = &l->sizes.size[l->sizes.ndim++];
    if (!mare_layer_whole(r, l, v, "size", -1, INT32_MAX, -2, n)) return false;
    open += *n == -1;
  }
  return open < 2 || mare_layer_fail(r->note, l, "more than one size is -1");
}

static bool shape_reshape(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  int64_t n = points(s), known = 1, whole;
  mare_Sample to = l->sizes;
  int open = -1;
  for (int d = 0; d < to.ndim; d++) {
    if (to.size[d] < 0) open = d;
    else if (__builtin_mul_overflow(known, to.size[d], &known)) known = INT64_MAX;
  }
  whole = open >= 0 && known > 0 ? n / known * known : known;
  if (whole != n || (open >= 0 && known == 0))
    return mare_layer_fail(note, l, "%lld numbers do not fill the shape", (long long)n);
  if (open >= 0) to.size[open] = n / known;
  *s = to;
  return true;
}

static void input_reshape(const mare_Layer *l, mare_Sample *s) {
  int64_t n = 1;
  for (int d = 0; d < l->sizes.ndim; d++)
    if (l->sizes.size[d] < 0 || __builtin_mul_overflow(n, l->sizes.size[d], &n)) return;
  s->ndim = 1;
  s->size[0] = n;
}

/* -- Linear -------------------------------------------------------------------- */

static bool is_false(const mare_Json *v) { return v && v->kind == MARE_FALSE; }

static bool read_linear(mare_Reader *r, mare_Layer *l) {
  int64_t shape[2];
  l->sizes.ndim = 2;
  if (!count(r, l, 1, "inputs", 0, &shape[1]) || !count(r, l, 2, "outputs", 0, &shape[0]))
    return false;
  return mare_layer_weight(r, l, MARE_WEIGHT, "weight", 2, shape) &&
         (is_false(mare_layer_option(r, 3, "bias")) ||
          mare_layer_weight(r, l, MARE_BIAS, "bias", 1, shape));
}

static bool shape_linear(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  const int64_t *w = l->weight[MARE_WEIGHT].shape;
  if (s->ndim < 1 || s->size[s->ndim - 1] != w[1])
    return mare_layer_fail(note, l, "%lld inputs expected, got %lld", (long long)w[1],
                           s->ndim < 1 ? 0LL : (long long)s->size[s->ndim - 1]);
  s->size[s->ndim - 1] = w[0];
  return true;
}

/* x is (.., c), y (.., k) */
static mare_Status run_linear(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                              mare_Tensor *y) {
  const mare_Tensor *w = &l->weight[MARE_WEIGHT], *bias = &l->weight[MARE_BIAS];
  const int64_t rows = x->numel / w->shape[1];
  mare_Tensor vx = mare_layer_view(x, 2, (int64_t[]){rows, w->shape[1]});
  mare_Tensor vy = mare_layer_view(y, 2, (int64_t[]){rows, w->shape[0]});
  (void)h;
  mare_linear(&vx, w, bias->storage ? bias : NULL, &vy);
  return MARE_OK;
}

static void input_linear(const mare_Layer *l, mare_Sample *s) {
  s->ndim = 1;
  s->size[0] = l->weight[MARE_WEIGHT].shape[1];
}

/* -- Embedding ----------------------------------------------------------------- */

static bool read_embedding(mare_Reader *r, mare_Layer *l) {
  int64_t shape[2];
  return count(r, l, 1, "count", 0, &shape[0]) && count(r, l, 2, "width", 0, &shape[1]) &&
         mare_layer_weight(r, l, MARE_WEIGHT, "weight", 2, shape);
}

static bool shape_embedding(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  if (s->ndim == MARE_MAXDIM - 1)
    return mare_layer_fail(note, l, "more than %d dimensions", MARE_MAXDIM);
  s->size[s->ndim++] = l->weight[MARE_WEIGHT].shape[1];
  return true;
}

/* x is (..), i64; y (.., width) */
static mare_Status run_embedding(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                                 mare_Tensor *y) {
  const mare_Tensor *w = &l->weight[MARE_WEIGHT];
  mare_Tensor index = mare_layer_view(x, 1, (int64_t[]){x->numel});
  mare_Tensor vy = mare_layer_view(y, 2, (int64_t[]){x->numel, w->shape[1]});
  int64_t bad;
  (void)h;
  if (!mare_index_check(&index, w->shape[0], &bad)) return MARE_BADARG;
  mare_index_select(0, w, &index, &vy);
  return MARE_OK;
}

/* -- over one dimension -------------------------------------------------------- */

static bool read_over(mare_Reader *r, mare_Layer *l) {
  return read_dim(r, l, 1, -1, &l->dim);
}

static bool shape_over(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  if (dim_of(l->dim, s) >= 0) return true;
  return mare_layer_fail(note, l, "dimension %d is not one of a sample", l->dim);
}

/* the 0-based dimension of the batch */
static int over(const mare_Layer *l, const mare_Tensor *x) {
  return l->dim < 0 ? x->ndim + l->dim : l->dim - 1;
}

static mare_Status run_softmax(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                               mare_Tensor *y) {
  (void)h;
  mare_softmax(over(l, x), false, x, y);
  return MARE_OK;
}

static mare_Status run_log_softmax(const mare_Layer *l, mare_Heap *h,
                                   const mare_Tensor *x, mare_Tensor *y) {
  (void)h;
  mare_softmax(over(l, x), true, x, y);
  return MARE_OK;
}

static mare_Status run_softmin(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                               mare_Tensor *y) {
  mare_Tensor t;
  mare_Status st = mare_layer_scratch(h, &t, x->dtype, x->ndim, x->shape);
  if (st != MARE_OK) return st;
  mare_layer_apply("neg", &t, x, NULL);
  mare_softmax(over(l, x), false, &t, y);
  mare_scratch_free(h, t.data);
  return MARE_OK;
}

/* the first or second half of t along a dimension */
static mare_Tensor half(const mare_Tensor *t, int dim, int which) {
  mare_Tensor v = *t;
  int64_t n = t->shape[dim] / 2;
  mare_slice(&v, dim, which * n, n, 1);
  return v;
}

/* relu(x) and relu(-x) side by side */
static bool shape_crelu(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  if (!shape_over(l, s, note)) return false;
  s->size[dim_of(l->dim, s)] *= 2;
  return true;
}

static mare_Status run_crelu(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                             mare_Tensor *y) {
  mare_Tensor left = half(y, over(l, x), 0), right = half(y, over(l, x), 1);
  (void)h;
  mare_layer_apply("relu", &left, x, NULL);
  mare_layer_apply("neg", &right, x, NULL);
  mare_layer_apply("relu", &right, &right, NULL);
  return MARE_OK;
}

/* the size of l's dimension becomes 1 / k of itself */
static bool divide(const mare_Layer *l, mare_Sample *s, int64_t k, mare_Note *note) {
  int d = dim_of(l->dim, s);
  if (!shape_over(l, s, note)) return false;
  if (s->size[d] % k)
    return mare_layer_fail(note, l, "%lld is no multiple of %lld", (long long)s->size[d],
                           (long long)k);
  s->size[d] /= k;
  return true;
}

static bool shape_glu(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  return divide(l, s, 2, note);
}

static mare_Status run_glu(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                           mare_Tensor *y) {
  mare_Tensor left = half(x, over(l, x), 0), right = half(x, over(l, x), 1);
  (void)h;
  mare_layer_apply("sigmoid", y, &right, NULL);
  mare_layer_apply("mul", y, &left, y);
  return MARE_OK;
}

static bool read_maxout(mare_Reader *r, mare_Layer *l) {
  l->dim = -1;
  return count(r, l, 1, "pieces", 0, &l->sizes.size[0]);
}

static bool shape_maxout(const mare_Layer *l, mare_Sample *s, mare_Note *note) {
  return divide(l, s, l->sizes.size[0], note);
}

static mare_Status run_maxout(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                              mare_Tensor *y) {
  const int64_t k = l->sizes.size[0], n = x->numel / k;
  mare_Tensor vx = mare_layer_view(x, 2, (int64_t[]){n, k});
  mare_Tensor vy = mare_layer_view(y, 2, (int64_t[]){n, 1});
  return mare_reduce(h, MARE_MAX, 2, 0, &vx, &vy);
}

/* -- the table ----------------------------------------------------------------- */

static const mare_Kind kinds[] = {
  {"Linear", 3, "bias init dtype", MARE_FRESH, read_linear, shape_linear, run_linear,
   input_linear, false},
  {"Embedding", 3, "init dtype", MARE_FRESH, read_embedding, shape_embedding,
   run_embedding, NULL, true},
  {"Identity", 0, "", MARE_VIEW, NULL, NULL, NULL, NULL, false},
  {"Dropout", 1, "", MARE_VIEW, NULL, NULL, NULL, NULL, false},
  {"Dropout2d", 1, "", MARE_VIEW, NULL, NULL, NULL, NULL, false},
  {"AlphaDropout", 1, "", MARE_VIEW, NULL, NULL, NULL, NULL, false},
  {"GaussianNoise", 1, "", MARE_VIEW, NULL, NULL, NULL, NULL, false},
  {"Flatten", 2, "", MARE_VIEW, read_flatten, shape_flatten, NULL, input_flatten, false},
  {"Reshape", MARE_MAXDIM, "", MARE_VIEW, read_reshape, shape_reshape, NULL,
   input_reshape, false},
  {"RReLU", 2, "", MARE_WITHIN, read_rrelu, NULL, run_row, NULL, false},
  {"PReLU", 3, "", MARE_WITHIN, read_prelu, shape_prelu, run_prelu, NULL, false},
  {"Softmax", 1, "", MARE_FRESH, read_over, shape_over, run_softmax, NULL, false},
  {"LogSoftmax", 1, "", MARE_FRESH, read_over, shape_over, run_log_softmax, NULL, false},
  {"Softmin", 1, "", MARE_FRESH, read_over, shape_over, run_softmin, NULL, false},
  {"CReLU", 1, "", MARE_FRESH, read_over, shape_crelu, run_crelu, NULL, false},
  {"GLU", 1, "", MARE_FRESH, read_over, shape_glu, run_glu, NULL, false},
  {"Maxout", 1, "", MARE_FRESH, read_maxout, shape_maxout, run_maxout, NULL, false},
  {NULL, 0, NULL, MARE_FRESH, NULL, NULL, NULL, NULL, false}
};

/* is this the layer's name?  Then it gets it */
static bool is_called(mare_Layer *l, mare_Text name, const char *candidate) {
  const bool same = mare_text_is(name, candidate);
  if (same) l->name = candidate;
  return same;
}

const mare_Kind *mare_kind_find(mare_Text name, mare_Layer *l) {
  static const mare_Kind *const tables[] = {kinds, mare_plane_kinds, mare_norm_kinds};
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
    for (const mare_Kind *k = tables[t]; k->name; k++)
      if (is_called(l, name, k->name)) return k;
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
    if (is_called(l, name, activations[i].name)) {
      l->row = mare_row_find(activations[i].row);
      return &activation;
    }
  return NULL;
}
