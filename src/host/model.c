/*
** model.c -- the functions of mare.h: a network from the bytes that model:save wrote, and
** its values.  The layers of a Sequential stand in one array, what a Residual holds
** behind it; a call computes them in order, with its memory in its own workspace.
*/
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/pool.h"
#include "../base/shape.h"
#include "layers.h"

#define MOST_TEXT ((size_t)1 << 20) /* bytes of the description of a network */
#define PADDING 17                  /* bytes of zero behind it: numbers are read fast */

struct mare_Model {
  mare_Heap *heap;
  mare_Header header;  /* names and metadata */
  mare_Tensor *tensor; /* one for each of header.order */
  bool *used;          /* by some layer */
  int found;           /* the entry that was found last */
  char *text;          /* the description of the network */
  mare_Json *json;
  mare_Layer *layer;
  int nlayer;
  mare_Dtype dtype;
  mare_Sample input, output;
  bool ready;          /* the input is known, all shapes are checked */
};

const char *mare_version(void) { return MARE_VERSION; }

const char *mare_status_text(mare_Status st) {
#define X(e, words) words,
  static const char *const text[MARE_NSTATUS] = {MARE_STATUSES(X)};
#undef X
  return (unsigned)st < MARE_NSTATUS ? text[st] : "an unknown status";
}

/* -- what went wrong ----------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool fail(mare_Note *note, mare_Status st,
                                                       const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(note->text, sizeof note->text, fmt, ap);
  va_end(ap);
  note->st = st;
  return false;
}

bool mare_layer_fail(mare_Note *note, const mare_Layer *l, const char *fmt, ...) {
  char text[MARE_MESSAGE / 2];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (l->place[0])
    return fail(note, MARE_FORMAT, "layer %s (%s): %s", l->place, l->name, text);
  return fail(note, MARE_FORMAT, "%s: %s", l->name, text);
}

static bool no_memory(mare_Note *note) {
  return fail(note, MARE_NOMEM, "not enough memory");
}

/* -- tensors of the file ------------------------------------------------------- */

static bool read_tensors(mare_Model *m, mare_Source *s, mare_Note *note) {
  const size_t n = (size_t)m->header.nentry;
  m->tensor = mare_scratch(m->heap, n * sizeof *m->tensor);
  m->used = mare_scratch(m->heap, n * sizeof *m->used);
  if (m->tensor) memset(m->tensor, 0, n * sizeof *m->tensor);
  if (m->tensor == NULL || m->used == NULL) return no_memory(note);
  memset(m->used, 0, n * sizeof *m->used);
  for (size_t i = 0; i < n; i++) {
    const mare_Entry *e = m->header.order[i];
    mare_Tensor *t = &m->tensor[i];
    *t = e->t;
    if (mare_tensor_alloc(m->heap, t) != MARE_OK) return no_memory(note);
    note->st = mare_read_elements(s, e->format, t);
    if (note->st != MARE_OK) return fail(note, note->st, "%s", s->error);
    if (t->dtype == MARE_F64) m->dtype = MARE_F64;
  }
  note->st = mare_source_finish(s);
  return note->st == MARE_OK || fail(note, note->st, "%s", s->error);
}

/* all weights have the type of the model, as model:to makes them in Lua */
static bool convert(mare_Model *m, mare_Tensor *t, mare_Note *note) {
  mare_Tensor new;
  if (t->dtype == m->dtype || t->dtype >= MARE_NREAL) return true;
  if (mare_tensor_new(m->heap, &new, m->dtype, t->ndim, t->shape) != MARE_OK)
    return no_memory(note);
  mare_copy(&new, t);
  mare_tensor_release(t);
  *t = new;
  return true;
}

/* the place of a name in header.order, or -1; most come in that order */
static int find_tensor(mare_Model *m, const char *name) {
  const int n = m->header.nentry;
  for (int k = 0; k < n; k++) {
    const int i = (m->found + k) % n;
    if (!mare_text_is(m->header.order[i]->name, name)) continue;
    m->found = i;
    return i;
  }
  return -1;
}

bool mare_layer_weight(mare_Reader *r, mare_Layer *l, int slot, const char *name,
                       int ndim, const int64_t *shape) {
  char full[MARE_PLACE + 32], want[MARE_SHAPETEXT], got[MARE_SHAPETEXT];
  mare_Model *m = r->model;
  mare_Tensor *t;
  int i;
  snprintf(full, sizeof full, "%s%s%s", l->place, l->place[0] ? "." : "", name);
  i = find_tensor(m, full);
  if (i < 0) return mare_layer_fail(r->note, l, "the file has no tensor '%s'", full);
  t = &m->tensor[i];
  if (t->ndim != ndim || memcmp(t->shape, shape, (size_t)ndim * sizeof *shape) != 0)
    return mare_layer_fail(r->note, l, "tensor '%s' is %s; %s expected", full,
                           mare_shape_text(got, t->ndim, t->shape),
                           mare_shape_text(want, ndim, shape));
  if (t->dtype != m->dtype)
    return mare_layer_fail(r->note, l, "tensor '%s' is %s", full,
                           mare_dtype_name[t->dtype]);
  m->used[i] = true;
  l->weight[slot] = *t;
  return true;
}

static bool all_used(const mare_Model *m, mare_Note *note) {
  for (int i = 0; i < m->header.nentry; i++) {
    const mare_Text name = m->header.order[i]->name;
    if (!m->used[i])
      return fail(note, MARE_FORMAT, "tensor '%.*s' belongs to no layer",
                  (int)(name.n < 64 ? name.n : 64), name.s);
  }
  return true;
}

/* -- metadata ------------------------------------------------------------------ */

/* ends keys and values with zeros, where their closing quotes stood */
static void terminate(const mare_Header *h) {
  for (int i = 0; i < h->npair; i++) {
    const mare_Pair *p = &h->pair[i];
    h->text[p->key.s + p->key.n - h->text] = 0;
    h->text[p->value.s + p->value.n - h->text] = 0;
  }
}

static const mare_Text *metadata(const mare_Model *m, const char *key) {
  for (int i = 0; i < m->header.npair; i++)
    if (mare_text_is(m->header.pair[i].key, key)) return &m->header.pair[i].value;
  return NULL;
}

const char *mare_model_metadata(const mare_Model *m, const char *key) {
  const mare_Text *value = metadata(m, key);
  return value ? value->s : NULL;
}

static bool read_network(mare_Model *m, mare_Note *note) {
  const mare_Text *network = metadata(m, "network");
  size_t at = 0;
  mare_Status st;
  if (network == NULL)
    return fail(note, MARE_FORMAT, "it does not say what its network is");
  if (network->n > MOST_TEXT || strlen(network->s) != network->n)
    return fail(note, MARE_FORMAT, "its description of a network is too long or no text");
  m->text = mare_scratch(m->heap, network->n + PADDING);
  if (m->text == NULL) return no_memory(note);
  memset(m->text, 0, network->n + PADDING);
  memcpy(m->text, network->s, network->n);
  st = mare_json_read(m->heap, m->text, &m->json, &at);
  if (st == MARE_FORMAT)
    return fail(note, st, "its description of a network is no JSON at byte %zu", at);
  return st == MARE_OK || no_memory(note);
}

/* -- layers -------------------------------------------------------------------- */

static mare_Status run_residual(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                                mare_Tensor *y);

static const mare_Kind residual = {"Residual", 2, "layer", MARE_FRESH, NULL, NULL,
                                   run_residual, NULL, false};

/* the layer inside { "layer": ... }, or v itself */
static const mare_Json *inner(const mare_Json *v) {
  if (v == NULL || v->kind != MARE_OBJECT) return v;
  return v->first && mare_text_is(v->first->key, "layer") ? v->first : NULL;
}

static int count_layers(const mare_Json *v) {
  int n = 1;
  v = inner(v);
  if (v == NULL || v->kind != MARE_LIST) return 0;
  for (const mare_Json *part = v->first; part; part = part->next) n += count_layers(part);
  return n;
}

static bool build(mare_Reader *r, const mare_Json *list, const char *place);

/* parts of a container are named by their numbers */
static bool build_part(mare_Reader *r, const mare_Json *v, const mare_Layer *l, int i) {
  char place[MARE_PLACE];
  int n = snprintf(place, sizeof place, "%s%s%d", l->place, l->place[0] ? "." : "", i);
  if (n >= MARE_PLACE - 24) return mare_layer_fail(r->note, l, "nested too deep");
  return build(r, inner(v), place);
}

static bool build_residual(mare_Reader *r, const mare_Json *list) {
  mare_Model *m = r->model;
  const int at = m->nlayer++;
  const mare_Json *first = list->first->next;
  mare_Layer *l = &m->layer[at];
  if (first == NULL || list->count > 3)
    return mare_layer_fail(r->note, l, "one layer or two expected");
  if (!build_part(r, first, l, 1)) return false;
  l->middle = m->nlayer;
  if (first->next && first->next->kind != MARE_NULL && !build_part(r, first->next, l, 2))
    return false;
  l->end = m->nlayer;
  return true;
}

static bool build_layers(mare_Reader *r, const mare_Json *list, const mare_Layer *l) {
  const mare_Layer self = *l; /* its place in the array is that of its first layer */
  int i = 0;
  for (const mare_Json *v = list->first->next; v; v = v->next)
    if (!build_part(r, v, &self, ++i)) return false;
  return true;
}

static bool build(mare_Reader *r, const mare_Json *list, const char *place) {
  mare_Model *m = r->model;
  mare_Layer *l = &m->layer[m->nlayer];
  memset(l, 0, sizeof *l);
  l->self = m->nlayer;
  memcpy(l->place, place, strlen(place) + 1);
  if (list == NULL || list->kind != MARE_LIST || list->count == 0 ||
      list->first->kind != MARE_STRING)
    return fail(r->note, MARE_FORMAT, "layer %s: no [name, arguments ...]", place);
  l->name = "Sequential";
  if (mare_text_is(list->first->text, l->name)) return build_layers(r, list, l);
  l->name = residual.name;
  l->kind = &residual;
  if (mare_text_is(list->first->text, l->name)) return build_residual(r, list);
  l->kind = mare_kind_find(list->first->text, l);
  if (l->kind == NULL)
    return fail(r->note, MARE_FORMAT, "layer %s (%.*s) is not known without Lua", place,
                (int)(list->first->text.n < 64 ? list->first->text.n : 64),
                list->first->text.s);
  l->end = ++m->nlayer;
  return mare_layer_read(r, l, list);
}

static bool build_all(mare_Model *m, mare_Note *note) {
  mare_Reader r = {.heap = m->heap, .dtype = m->dtype, .note = note, .model = m};
  const size_t bytes = ((size_t)count_layers(m->json) + 1) * sizeof *m->layer;
  for (int i = 0; i < m->header.nentry; i++)
    if (!convert(m, &m->tensor[i], note)) return false;
  m->layer = mare_scratch(m->heap, bytes);
  if (m->layer == NULL) return no_memory(note);
  return build(&r, m->json, "") && all_used(m, note);
}

const char *mare_model_layer(const mare_Model *m, int i, const char **place) {
  if (i < 0 || i >= m->nlayer) return NULL;
  if (place) *place = m->layer[i].place;
  return m->layer[i].name;
}

/* -- shapes -------------------------------------------------------------------- */

/* the first layer that computes; NULL: there is none */
static const mare_Layer *first_layer(const mare_Model *m) {
  for (int i = 0; i < m->nlayer; i++)
    if (m->layer[i].kind->flow != MARE_VIEW) return &m->layer[i];
  return NULL;
}

static bool positions(const mare_Model *m) {
  const mare_Layer *l = first_layer(m);
  return l && l->kind->positions;
}

/* the sample that the first layers ask for */
static mare_Sample wanted(const mare_Model *m) {
  mare_Sample s = {.ndim = -1};
  for (int i = 0; i < m->nlayer; i++) {
    const mare_Kind *k = m->layer[i].kind;
    s.ndim = k->shape == NULL ? MARE_BEHIND : -1;
    if (k->input) k->input(&m->layer[i], &s);
    if (s.ndim != MARE_BEHIND) break;
  }
  if (s.ndim == MARE_BEHIND) s.ndim = -1;
  return s;
}

static bool same_sample(const mare_Sample *a, const mare_Sample *b) {
  return a->ndim == b->ndim &&
         memcmp(a->size, b->size, (size_t)a->ndim * sizeof *a->size) == 0;
}

static bool follow(mare_Layer *layer, int from, int to, mare_Sample *s, mare_Note *note);

static bool follow_residual(mare_Layer *layer, int i, mare_Sample *s, mare_Note *note) {
  mare_Sample side = *s;
  if (!follow(layer, i + 1, layer[i].middle, s, note) ||
      !follow(layer, layer[i].middle, layer[i].end, &side, note))
    return false;
  return same_sample(s, &side) ||
         mare_layer_fail(note, &layer[i], "its two sides have different shapes");
}

/* s, the sample before layer `from`, becomes that before layer `to` */
static bool follow(mare_Layer *layer, int from, int to, mare_Sample *s, mare_Note *note) {
  for (int i = from; i < to; i = layer[i].end) {
    mare_Layer *l = &layer[i];
    int64_t numel;
    if (l->kind == &residual) {
      if (!follow_residual(layer, i, s, note)) return false;
    } else if (l->kind->shape && !l->kind->shape(l, s, note)) {
      return false;
    }
    if (!mare_numel(s->ndim, s->size, MARE_F64, &numel))
      return mare_layer_fail(note, l, "its result does not fit into memory");
    l->out = *s;
  }
  return true;
}

/* an Embedding reads what the caller gives; no layer gives positions */
static bool check_positions(const mare_Model *m, mare_Note *note) {
  for (int i = 0; i < m->nlayer; i++)
    if (m->layer[i].kind->positions && &m->layer[i] != first_layer(m))
      return mare_layer_fail(note, &m->layer[i], "a layer before it gives no positions");
  return true;
}

static bool set_input(mare_Model *m, mare_Note *note) {
  m->output = m->input;
  m->ready = check_positions(m, note) &&
             follow(m->layer, 0, m->nlayer, &m->output, note);
  return m->ready;
}

static void tell(const mare_Note *note, const char *name, char *message, size_t size) {
  if (message == NULL || size == 0) return;
  if (note->st == MARE_OK) message[0] = 0;
  else if (name) snprintf(message, size, "%s: %s", name, note->text);
  else snprintf(message, size, "%s", note->text);
}

/* the layers have what they need for s, or what they had before */
static void change_input(mare_Model *m, mare_Sample s, mare_Note *note) {
  const mare_Sample before = m->input;
  const bool was = m->ready;
  mare_Note ignored;
  m->input = s;
  if (set_input(m, note)) return;
  note->st = MARE_BADARG;
  m->input = before;
  if (was) set_input(m, &ignored);
}

mare_Status mare_model_set_input(mare_Model *m, int ndim, const int64_t *shape,
                                 char *message, size_t size) {
  mare_Note note = {MARE_OK, ""};
  mare_Sample s = {.ndim = ndim};
  bool good = ndim >= 0 && ndim < MARE_MAXDIM;
  int64_t numel;
  for (int d = 0; good && d < ndim; d++) {
    s.size[d] = shape[d];
    good = shape[d] >= 1 && shape[d] <= INT32_MAX;
  }
  if (!good || !mare_numel(ndim, s.size, MARE_F64, &numel))
    fail(&note, MARE_BADARG, "the shape of a sample has 0 to %d sizes from 1 on",
         MARE_MAXDIM - 1);
  else change_input(m, s, &note);
  tell(&note, NULL, message, size);
  return note.st;
}

static int copy_sample(const mare_Sample *s, int64_t *shape) {
  for (int d = 0; d < s->ndim; d++) shape[d] = s->size[d];
  return s->ndim;
}

int mare_model_input(const mare_Model *m, int64_t shape[MARE_MAXDIM]) {
  return copy_sample(&m->input, shape);
}

int mare_model_output(const mare_Model *m, int64_t shape[MARE_MAXDIM]) {
  return m->ready ? copy_sample(&m->output, shape) : -1;
}

static int64_t numbers(const mare_Model *m, const mare_Sample *s) {
  int64_t n;
  return m->ready && mare_numel(s->ndim, s->size, MARE_F64, &n) ? n : -1;
}

int64_t mare_model_inputs(const mare_Model *m) { return numbers(m, &m->input); }
int64_t mare_model_outputs(const mare_Model *m) { return numbers(m, &m->output); }
mare_Dtype mare_model_dtype(const mare_Model *m) { return m->dtype; }

mare_Dtype mare_model_input_dtype(const mare_Model *m) {
  return positions(m) ? MARE_I64 : m->dtype;
}

/*
** Nobody is asked whether to go on.  The thread may run Lua as well, and what a call that
** raised has left there to be asked may be closed by now.
*/
static mare_Watch ask_nobody(void) {
  const mare_Watch before = mare_watch;
  mare_watch = (mare_Watch){0};
  return before;
}

/* -- opening and closing ------------------------------------------------------- */

void mare_model_close(mare_Model *m) {
  if (m == NULL) return;
  mare_Heap *h = m->heap;
  for (int i = 0; m->tensor && i < m->header.nentry; i++)
    mare_tensor_release(&m->tensor[i]);
  mare_scratch_free(h, m->tensor);
  mare_scratch_free(h, m->used);
  mare_scratch_free(h, m->text);
  mare_scratch_free(h, m->json);
  mare_scratch_free(h, m->layer);
  mare_header_free(&m->header);
  mare_scratch_free(h, m);
  mare_heap_close(h);
}

static mare_Model *new_model(void) {
  mare_Heap *h = mare_heap_new(NULL, NULL);
  mare_Model *m = h ? mare_scratch(h, sizeof *m) : NULL;
  if (h && m == NULL) mare_heap_close(h);
  if (m == NULL) return NULL;
  memset(m, 0, sizeof *m);
  m->heap = h;
  return m;
}

/* what the layers say of a sample is enough, or the caller must say the rest */
static bool first_input(mare_Model *m, mare_Note *note) {
  m->input = wanted(m);
  for (int d = 0; d < m->input.ndim; d++)
    if (m->input.size[d] < 0) return check_positions(m, note);
  return m->input.ndim < 0 ? check_positions(m, note) : set_input(m, note);
}

static bool read_model(mare_Model *m, mare_Source *s, mare_Note *note) {
  note->st = mare_header_read(s, &m->header);
  if (note->st != MARE_OK) return fail(note, note->st, "%s", s->error);
  terminate(&m->header);
  return read_tensors(m, s, note) && read_network(m, note) && build_all(m, note) &&
         first_input(m, note);
}

/* path NULL: n bytes */
static mare_Status open_source(mare_Model **out, const char *path, const void *bytes,
                               size_t n, char *message, size_t size) {
  mare_Note note = {MARE_NOMEM, "not enough memory"};
  const char *name = path ? path : "the bytes";
  mare_Source s;
  mare_Model *m = new_model();
  *out = NULL;
  if (m == NULL) {
    tell(&note, name, message, size);
    return note.st;
  }
  const mare_Watch before = ask_nobody();
  note.st = path ? mare_source_open(&s, m->heap, path)
                 : mare_source_string(&s, m->heap, name, bytes, n);
  if (note.st != MARE_OK) fail(&note, note.st, "%s", s.error);
  else read_model(m, &s, &note);
  /* what a source says begins with its name */
  tell(&note, s.error[0] ? NULL : name, message, size);
  mare_source_close(&s);
  mare_watch = before;
  if (note.st == MARE_OK) *out = m;
  else mare_model_close(m);
  return note.st;
}

mare_Status mare_model_open(mare_Model **m, const char *path, char *message,
                            size_t size) {
  return open_source(m, path, NULL, 0, message, size);
}

mare_Status mare_model_open_bytes(mare_Model **m, const void *bytes, size_t n,
                                  char *message, size_t size) {
  return open_source(m, NULL, bytes, n, message, size);
}

/* -- computing ----------------------------------------------------------------- */

mare_Workspace *mare_workspace_new(void) { return mare_heap_new(NULL, NULL); }

void mare_workspace_free(mare_Workspace *ws) {
  if (ws) mare_heap_close(ws);
}

typedef struct Value { /* what the layers have made so far */
  mare_Tensor t;
  void *block; /* of it, in the workspace; NULL: somebody else's */
} Value;

/* t is the batch of samples s, without memory */
static bool batch(mare_Tensor *t, mare_Dtype dt, int64_t rows, const mare_Sample *s) {
  int64_t shape[MARE_MAXDIM] = {rows};
  memcpy(shape + 1, s->size, (size_t)s->ndim * sizeof *shape);
  return mare_shape_set(t, dt, s->ndim + 1, shape);
}

/* v becomes what l makes of it */
static mare_Status step(const mare_Layer *l, mare_Dtype dt, mare_Heap *h, Value *v) {
  const mare_Kind *k = l->kind;
  const bool view = k->flow == MARE_VIEW;
  mare_Tensor y;
  mare_Status st;
  if (!batch(&y, view ? v->t.dtype : dt, v->t.shape[0], &l->out)) return MARE_NOMEM;
  if (view || (k->flow == MARE_WITHIN && v->block)) {
    y.data = v->t.data;
    st = view ? MARE_OK : k->run(l, h, &v->t, &y);
    v->t = y;
    return st;
  }
  st = mare_layer_scratch(h, &y, y.dtype, y.ndim, y.shape);
  if (st != MARE_OK) return st;
  st = k->run(l, h, &v->t, &y);
  mare_scratch_free(h, v->block);
  v->t = y;
  v->block = y.data;
  return st;
}

static mare_Status forward(const mare_Layer *first, const mare_Layer *end,
                           const mare_Layer *layer, mare_Dtype dt, mare_Heap *h,
                           Value *v) {
  mare_Status st = MARE_OK;
  while (st == MARE_OK && first < end) {
    st = step(first, dt, h, v);
    first = layer + first->end;
  }
  return st;
}

/* y = shortcut(x) + layer(x); what it holds stands behind it */
static mare_Status run_residual(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                                mare_Tensor *y) {
  const mare_Layer *layer = l - l->self;
  Value a = {*x, NULL}, b = {*x, NULL};
  mare_Status st = forward(l + 1, layer + l->middle, layer, y->dtype, h, &a);
  if (st == MARE_OK)
    st = forward(layer + l->middle, layer + l->end, layer, y->dtype, h, &b);
  if (st == MARE_OK) mare_layer_apply("add", y, &b.t, &a.t);
  mare_scratch_free(h, a.block);
  mare_scratch_free(h, b.block);
  return st;
}

/* the type of the computation: without weights it is that of x */
static mare_Dtype type_for(const mare_Model *m, mare_Dtype x) {
  return m->header.nentry == 0 && x < MARE_NREAL ? x : m->dtype;
}

/* the caller's samples, converted if need be */
static mare_Status take(const mare_Model *m, const mare_Tensor *x, mare_Heap *h,
                        Value *v) {
  const mare_Dtype need = positions(m) ? MARE_I64 : type_for(m, x->dtype);
  mare_Status st;
  *v = (Value){*x, NULL};
  if (x->dtype == need) return MARE_OK;
  if (need == MARE_I64) return MARE_BADARG;
  st = mare_layer_scratch(h, &v->t, need, x->ndim, x->shape);
  if (st != MARE_OK) return st;
  v->block = v->t.data;
  mare_copy(&v->t, x);
  return MARE_OK;
}

static mare_Status compute(const mare_Model *m, const mare_Tensor *x, mare_Tensor *y,
                           mare_Heap *h) {
  Value v;
  mare_Status st = take(m, x, h, &v);
  if (st == MARE_OK)
    st = forward(m->layer, m->layer + m->nlayer, m->layer, type_for(m, x->dtype), h, &v);
  if (st == MARE_OK) mare_copy(y, &v.t);
  mare_scratch_free(h, v.block);
  return st;
}

mare_Status mare_model_run(const mare_Model *m, mare_Dtype xtype, const void *x,
                           int64_t rows, mare_Dtype type, void *out,
                           mare_Workspace *ws) {
  mare_Heap *h = ws;
  mare_Tensor vx, vy;
  mare_Status st;
  if (!m->ready || rows < 0 || (unsigned)xtype >= MARE_NDTYPE ||
      (unsigned)type >= MARE_NDTYPE)
    return MARE_BADARG;
  if (rows == 0) return MARE_OK;
  if (!batch(&vx, xtype, rows, &m->input) || !batch(&vy, type, rows, &m->output))
    return MARE_NOMEM;
  if (h == NULL && (h = mare_workspace_new()) == NULL) return MARE_NOMEM;
  vx.data = (char *)(uintptr_t)x;
  vy.data = out;
  const mare_Watch before = ask_nobody();
  st = compute(m, &vx, &vy, h);
  mare_watch = before;
  if (ws == NULL) mare_workspace_free(h);
  return st;
}

mare_Status mare_model_predict(const mare_Model *m, const float *x, int64_t rows,
                               float *out, mare_Workspace *ws) {
  return mare_model_run(m, MARE_F32, x, rows, MARE_F32, out, ws);
}
