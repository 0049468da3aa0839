/*
** reduce.c -- reductions over any set of dimensions.
**
** The dimensions are split into kept and reduced ones and merged.  Where neighbours in
** memory belong to one result, each result is folded run by run (rows); where they
** belong to different results, many results are folded at once (columns, or a
** transposed block where there is no fold of columns).  Long reductions are cut into
** pieces of fixed size whose partial results are joined in order.
*/
#include <math.h>
#include <string.h>

#include "../base/pool.h"
#include "lanes.h"

#define PIECE 65536 /* elements of one piece of a parallel job */
#define RUN 16384   /* elements folded by one call of a kernel ... */
#define CHUNK 2048  /* ... if they must be copied or converted first */
#define GROUP 16    /* results folded by one call of a kernel */
#define WIDTH 512   /* columns folded at once */

/* -- what each reduction is ------------------------------------------------------- */

typedef void Join(mare_Partial *s, const mare_Partial *t, double param); /* s: then t */
typedef double Finish(const mare_Partial *s, int64_t n, double param);

typedef struct Rule {
  bool integer;  /* partials of integers are in v; otherwise in a, b */
  bool by_place; /* positions count: the order of the elements is kept */
  mare_Partial start;
  Join *join;
  Finish *finish;
} Rule;

static void join_sum(mare_Partial *s, const mare_Partial *t, double p) {
  (void)p;
  s->a += t->a;
  s->v = (int64_t)((uint64_t)s->v + (uint64_t)t->v);
}

static void join_prod(mare_Partial *s, const mare_Partial *t, double p) {
  (void)p;
  s->a *= t->a;
  s->v = (int64_t)((uint64_t)s->v * (uint64_t)t->v);
}

/* i: the position, or -1 in a partial of nothing */
static void join_max(mare_Partial *s, const mare_Partial *t, double p) {
  (void)p;
  if (s->i < 0 || (s->a == s->a && (t->a > s->a || t->a != t->a)) || t->v > s->v) *s = *t;
}

static void join_min(mare_Partial *s, const mare_Partial *t, double p) {
  (void)p;
  if (s->i < 0 || (s->a == s->a && (t->a < s->a || t->a != t->a)) || t->v < s->v) *s = *t;
}

static void join_any(mare_Partial *s, const mare_Partial *t, double p) {
  (void)p;
  s->v |= t->v;
}

static void join_all(mare_Partial *s, const mare_Partial *t, double p) {
  (void)p;
  s->v &= t->v;
}

static void join_norm(mare_Partial *s, const mare_Partial *t, double p) {
  if (!isinf(p))
    s->a += t->a;
  else if (t->a != t->a || s->i < 0 || (p > 0 ? t->a > s->a : t->a < s->a))
    s->a = s->a == s->a ? t->a : s->a;
  s->i = 0;
}

/* Chan, Golub and LeVeque: means and sums of squares of two sets as one */
static void join_var(mare_Partial *s, const mare_Partial *t, double p) {
  double n = (double)(s->i + t->i), d = t->a - s->a;
  (void)p;
  if (t->i == 0) return;
  s->a = s->i == 0 ? t->a : s->a + d * ((double)t->i / n);
  s->b += t->b + (s->i == 0 ? 0 : d * d * ((double)s->i * (double)t->i / n));
  s->i += t->i;
}

static void join_logsumexp(mare_Partial *s, const mare_Partial *t, double p) {
  double m = s->a > t->a ? s->a : t->a;
  (void)p;
  if (t->b == 0) return;
  s->b = s->b * (s->a == m ? 1 : exp(s->a - m)) + t->b * (t->a == m ? 1 : exp(t->a - m));
  s->a = m;
}

static double value(const mare_Partial *s, int64_t n, double p) {
  (void)n, (void)p;
  return s->a;
}

static double mean(const mare_Partial *s, int64_t n, double p) {
  (void)p;
  return s->a / (double)n;
}

static double norm(const mare_Partial *s, int64_t n, double p) {
  (void)n;
  return p == 2 ? sqrt(s->a) : p == 0 || p == 1 || isinf(p) ? s->a : pow(s->a, 1 / p);
}

static double var(const mare_Partial *s, int64_t n, double correction) {
  double d = (double)n - correction;
  return s->b / (d > 0 ? d : 0);
}

static double logsumexp(const mare_Partial *s, int64_t n, double p) {
  (void)n, (void)p;
  return s->a + log(s->b);
}

static const Rule rules[MARE_NREDUCTION] = {
    [MARE_SUM] = {false, false, {0, 0, 0, 0}, join_sum, value},
    [MARE_MEAN] = {false, false, {0, 0, 0, 0}, join_sum, mean},
    [MARE_PROD] = {false, false, {1, 0, 1, 0}, join_prod, value},
    [MARE_MAX] = {false, false, {-INFINITY, 0, INT64_MIN, -1}, join_max, value},
    [MARE_MIN] = {false, false, {INFINITY, 0, INT64_MAX, -1}, join_min, value},
    [MARE_ANY] = {true, false, {0, 0, 0, 0}, join_any, NULL},
    [MARE_ALL] = {true, false, {0, 0, 1, 0}, join_all, NULL},
    [MARE_LOGSUMEXP] = {false, false, {-INFINITY, 0, 0, 0}, join_logsumexp, logsumexp},
    [MARE_NORM] = {false, false, {0, 0, 0, -1}, join_norm, norm},
    [MARE_VAR] = {false, false, {0, 0, 0, 0}, join_var, var},
    [MARE_ARGMAX] = {true, true, {-INFINITY, 0, INT64_MIN, -1}, join_max, NULL},
    [MARE_ARGMIN] = {true, true, {INFINITY, 0, INT64_MAX, -1}, join_min, NULL},
};

/* -- the plan of one call --------------------------------------------------------- */

typedef struct Plan {
  const mare_Lanes *lanes;
  const Rule *rule;
  double param;
  mare_Chunk *chunk;
  const mare_Columns *columns;
  void (*widen)(int64_t n, const void *x, void *y); /* to the type of chunk, or NULL */
  bool integer;                                     /* the kernels work on integers */
  bool mean;
  size_t size;      /* bytes of an element of x */
  mare_Tensor kept; /* x along its kept dimensions: numel results ... */
  mare_Tensor part; /* ... of part.numel elements each */
  mare_Tensor *y;
  bool side_by_side;     /* elements of different results are neighbours */
  int64_t group;         /* results folded together */
  int64_t each;          /* results (or tables of columns) of one piece ... */
  int64_t npart;         /* ... or pieces of one result */
  int64_t rows;          /* of a piece of columns */
  mare_Partial *partial; /* (results, npart) */
  char *table;           /* columns: (outer, npart, inner) */
} Plan;

static int64_t reach(int64_t stride) {
  return stride == 0 ? INT64_MAX : stride < 0 ? -stride : stride;
}

/* the largest stride first: memory is read in its own order */
static void by_reach(mare_Tensor *t) {
  for (int i = 1; i < t->ndim; i++)
    for (int k = i; k > 0 && reach(t->stride[k - 1]) < reach(t->stride[k]); k--) {
      int64_t n = t->shape[k], s = t->stride[k];
      t->shape[k] = t->shape[k - 1], t->stride[k] = t->stride[k - 1];
      t->shape[k - 1] = n, t->stride[k - 1] = s;
    }
}

/* t = the dimensions of x whose bit of axes is on; never none */
static void take(mare_Tensor *t, const mare_Tensor *x, unsigned axes, bool sort) {
  mare_Tensor *op[1] = {t};
  *t = *x;
  t->ndim = 0;
  t->numel = 1;
  for (int d = 0; d < x->ndim; d++)
    if (axes >> d & 1) {
      t->shape[t->ndim] = x->shape[d];
      t->stride[t->ndim++] = x->stride[d];
      t->numel *= x->shape[d];
    }
  if (sort) by_reach(t);
  if (t->numel != 0) mare_collapse(1, op);
  if (t->ndim > 0) return;
  t->ndim = 1;
  t->shape[0] = 1;
  t->stride[0] = 0;
}

/* where result o starts in x */
static const char *start(const Plan *p, const mare_Tensor *kept, int64_t o) {
  const char *x = p->kept.data;
  for (int d = kept->ndim - 1; d >= 0; d--) {
    x += o % kept->shape[d] * kept->stride[d] * (int64_t)p->size;
    o /= kept->shape[d];
  }
  return x;
}

static int64_t inner(const mare_Tensor *t) { return t->shape[t->ndim - 1]; }
static int64_t step(const mare_Tensor *t) { return t->stride[t->ndim - 1]; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* results o .. o + n - 1 from their partials */
static void put(const Plan *p, int64_t o, int64_t n, const mare_Partial *s) {
  mare_Tensor *y = p->y;
  if (p->rule->by_place)
    for (int64_t j = 0; j < n; j++) ((int64_t *)y->data)[o + j] = s[j].i + 1;
  else if (p->rule->integer || p->integer)
    for (int64_t j = 0; j < n; j++) mare_set_integer(y, o + j, s[j].v);
  else if (y->dtype == MARE_F32 && p->rule->finish == value)
    for (int64_t j = 0; j < n; j++) ((float *)y->data)[o + j] = (float)s[j].a;
  else if (y->dtype == MARE_F32)
    for (int64_t j = 0; j < n; j++)
      ((float *)y->data)[o + j] = (float)p->rule->finish(&s[j], p->part.numel, p->param);
  else
    for (int64_t j = 0; j < n; j++)
      mare_set_real(y, o + j, p->rule->finish(&s[j], p->part.numel, p->param));
}

/* -- rows: results whose own elements are neighbours, or a group that is transposed  */

/* s (g) = n elements each, stride apart */
static void set_runs(const Plan *p, int64_t g, int64_t n, const void *x, int64_t stride,
                     mare_Partial *s) {
  memset(s, 0, (size_t)g * sizeof *s);
  p->chunk(n, g, x, stride, p->param, s);
}

/* s (g) = s and n elements each, of which the first is number i */
static void add_runs(const Plan *p, int64_t g, int64_t i, int64_t n, const void *x,
                     mare_Partial *s) {
  mare_Partial t[GROUP];
  set_runs(p, g, n, x, n, t);
  for (int64_t j = 0; j < g; j++) {
    if (p->rule->by_place) t[j].i += i;
    p->rule->join(&s[j], &t[j], p->param);
  }
}

/* the same for CHUNK elements at most, in the type of x */
static void widen_and_add(const Plan *p, int64_t g, int64_t i, int64_t n, const void *x,
                          mare_Partial *s) {
  double wide[CHUNK];
  if (p->widen) p->widen(g * n, x, wide);
  add_runs(p, g, i, n, p->widen ? wide : x, s);
}

/* s = elements i .. end - 1 of the result that starts at x */
static void fold_row(const Plan *p, const char *x, int64_t i, int64_t end,
                     mare_Partial *s) {
  mare_Tensor part = p->part;
  double block[CHUNK];
  bool plain = part.ndim == 1 && (part.stride[0] == 1 || part.numel == 1);
  part.data = (char *)(uintptr_t)x;
  for (int64_t n; i < end; i += n) {
    n = least(end - i, plain && !p->widen ? RUN : CHUNK);
    if (!plain) mare_gather_block(&part, i, n, block);
    widen_and_add(p, 1, i, n, plain ? x + i * (int64_t)p->size : (const char *)block, s);
  }
}

#define TRANSPOSE(type) \
  for (int64_t i = 0; i < n; i++, x = (const type *)x + rs) \
    for (int64_t j = 0; j < g; j++) ((type *)b)[j * n + i] = ((const type *)x)[j * ks]

/* b (g, n) = x (n, g) with these strides */
static void transpose(size_t size, int64_t n, int64_t g, const void *x, int64_t rs,
                      int64_t ks, void *b) {
  if (size == 4)
    TRANSPOSE(float);
  else if (size == 8)
    TRANSPOSE(double);
  else
    TRANSPOSE(char);
}

/* the same for g results, each a step of kept after the other */
static void fold_group(const Plan *p, const char *x, int64_t g, int64_t i, int64_t end,
                       mare_Partial *s) {
  mare_Tensor t = p->part;
  double a[CHUNK], b[CHUNK];
  t.data = (char *)(uintptr_t)x;
  t.shape[t.ndim] = g;
  t.stride[t.ndim++] = step(&p->kept);
  t.numel *= g;
  for (int64_t n; i < end; i += n) {
    n = least(end - i, CHUNK / GROUP);
    if (t.ndim == 2) {
      transpose(p->size, n, g, x + i * t.stride[0] * (int64_t)p->size, t.stride[0],
                t.stride[1], b);
    } else {
      mare_gather_block(&t, i * g, n * g, a);
      transpose(p->size, n, g, a, g, 1, b);
    }
    widen_and_add(p, g, i, n, b, s);
  }
}

/* elements i .. end - 1 of g results from x on; they lie along the last kept dimension */
static void fold(const Plan *p, const char *x, int64_t g, int64_t i, int64_t end,
                 mare_Partial *s) {
  bool plain = !p->widen && p->part.ndim == 1 && p->part.stride[0] == 1;
  if (plain && !(p->side_by_side && g > 1) && i == 0 && end > 0 && end <= RUN) {
    set_runs(p, g, end, x, step(&p->kept), s);
    return;
  }
  for (int64_t j = 0; j < g; j++) s[j] = p->rule->start;
  if (p->side_by_side && g > 1) {
    fold_group(p, x, g, i, end, s);
    return;
  }
  for (int64_t j = 0; j < g; j++)
    fold_row(p, x + j * step(&p->kept) * (int64_t)p->size, i, end, s + j);
}

static void whole_results(void *ctx, int64_t piece) {
  const Plan *p = ctx;
  int64_t o = piece * p->each, end = least(o + p->each, p->kept.numel);
  mare_Partial s[GROUP];
  while (o < end) {
    int64_t run = least(inner(&p->kept) - o % inner(&p->kept), end - o);
    const char *x = start(p, &p->kept, o);
    for (int64_t g; run > 0;
         run -= g, o += g, x += g * step(&p->kept) * (int64_t)p->size) {
      g = least(run, GROUP);
      fold(p, x, g, 0, p->part.numel, s);
      put(p, o, g, s);
    }
  }
}

/* group and part of a result that is too long for one piece */
static void part_of_results(void *ctx, int64_t piece) {
  const Plan *p = ctx;
  int64_t across = ceil_div(inner(&p->kept), p->group), k = piece / p->npart;
  int64_t j = k % across * p->group, o = k / across * inner(&p->kept) + j;
  int64_t q = piece % p->npart, g = least(p->group, inner(&p->kept) - j);
  mare_Partial s[GROUP];
  fold(p, start(p, &p->kept, o), g, q * p->rows, least((q + 1) * p->rows, p->part.numel),
       s);
  for (int64_t r = 0; r < g; r++) p->partial[(o + r) * p->npart + q] = s[r];
}

/* as a tree, in order: s[0] = s[0] .. s[n - 1] */
static void join_all_of(const Plan *p, mare_Partial *s, int64_t n) {
  if (n < 2) return;
  join_all_of(p, s, n / 2);
  join_all_of(p, s + n / 2, n - n / 2);
  p->rule->join(s, s + n / 2, p->param);
}

static void run_pieces(int64_t n, mare_Piece *run, Plan *p) {
  if (n == 1)
    run(p, 0);
  else
    mare_parallel(n, run, p);
}

static mare_Status reduce_rows(mare_Heap *h, Plan *p) {
  int64_t n = p->part.numel, nout = p->kept.numel;
  p->side_by_side =
      reach(step(&p->kept)) < reach(step(&p->part)) && inner(&p->kept) > 1 && n > 1;
  p->group = p->side_by_side ? GROUP : 1;
  p->rows = PIECE / p->group;
  p->npart = ceil_div(n, p->rows);
  if (p->npart <= 1) {
    p->each = n == 0 ? nout : ceil_div(PIECE / n, p->group) * p->group;
    run_pieces(ceil_div(nout, p->each), whole_results, p);
    return MARE_OK;
  }
  p->partial = mare_scratch(h, (size_t)(nout * p->npart) * sizeof(mare_Partial));
  if (!p->partial)
    return mare_heap_status(h, (size_t)(nout * p->npart) * sizeof(mare_Partial));
  run_pieces(nout / inner(&p->kept) * ceil_div(inner(&p->kept), p->group) * p->npart,
             part_of_results, p);
  for (int64_t o = 0; o < nout; o++) {
    join_all_of(p, p->partial + o * p->npart, p->npart);
    put(p, o, 1, p->partial + o * p->npart);
  }
  mare_scratch_free(h, p->partial);
  return MARE_OK;
}

/* -- columns: a table (outer, rows, inner) is folded over its rows ---------------- */

/* acc (m) = acc and the rows of x; narrow tables are folded as wide ones, then across */
static void fold_table(const Plan *p, int64_t rows, int64_t m, const char *x,
                       int64_t stride, void *acc) {
  const mare_Columns *c = p->columns;
  double wide[WIDTH];
  int64_t g = stride == m ? WIDTH / m : 0, w;
  while (g > 1 && g * m % 16 != 0 && g * m > WIDTH / 2) g--; /* whole vectors */
  w = g * m;
  if (g > 1 && rows >= 8 * g) {
    c->start(w, wide);
    c->fold(rows / g, w, x, w, wide);
    c->join(g, m, wide, m, acc);
    x += rows / g * w * (int64_t)p->size;
    rows %= g;
  }
  c->fold(rows, m, x, stride, acc);
}

/* rows i .. end - 1 of m columns that start at x, where they do not lie side by side */
static void fold_strided(const Plan *p, int64_t i, int64_t end, int64_t m, const char *x,
                         void *acc) {
  mare_Tensor t = p->part;
  double block[CHUNK];
  t.data = (char *)(uintptr_t)x;
  t.shape[t.ndim] = m;
  t.stride[t.ndim++] = step(&p->kept);
  t.numel *= m;
  for (int64_t n; i < end; i += n) {
    n = least(end - i, CHUNK / m);
    mare_gather_block(&t, i * m, n * m, block);
    fold_table(p, n, m, (char *)block, m, acc);
  }
}

/* the same where they do: run by run along the last reduced dimension */
static void fold_runs(const Plan *p, int64_t i, int64_t end, int64_t m, const char *x,
                      void *acc) {
  int64_t length = inner(&p->part);
  while (i < end) {
    int64_t run = least(length - i % length, end - i);
    fold_table(p, run, m, start(p, &p->part, i) - p->kept.data + x, step(&p->part), acc);
    i += run;
  }
}

static void finish_columns(const Plan *p, int64_t o, int64_t m, const void *acc) {
  mare_Tensor *y = p->y;
  char *to = y->data + (size_t)o * mare_sizeof[y->dtype];
  if (p->columns->acc == MARE_F64 && y->dtype == MARE_F32)
    p->lanes->divide[MARE_F32](m, acc, p->mean ? (double)p->part.numel : 1, to);
  else if (p->mean)
    p->lanes->divide[MARE_F64](m, acc, (double)p->part.numel, to);
  else
    memcpy(to, acc, (size_t)m * mare_sizeof[y->dtype]);
}

/* A piece is some blocks of WIDTH columns, or some rows of one block. */
static void fold_columns(void *ctx, int64_t piece) {
  const Plan *p = ctx;
  double acc[WIDTH];
  int64_t m = inner(&p->kept), across = ceil_div(m, WIDTH), q = piece % p->npart;
  int64_t k = piece / p->npart * p->each, nblock = p->kept.numel / m * across;
  for (int64_t end = least(k + p->each, nblock); k < end; k++) {
    int64_t j = k % across * WIDTH, w = least(WIDTH, m - j), o = k / across * m + j;
    int64_t i = q * p->rows, last = least(i + p->rows, p->part.numel);
    const char *x = start(p, &p->kept, o);
    p->columns->start(w, acc);
    if (w == 1 || step(&p->kept) == 1)
      fold_runs(p, i, last, w, x, acc);
    else
      fold_strided(p, i, last, w, x, acc);
    if (p->npart == 1)
      finish_columns(p, o, w, acc);
    else
      memcpy(p->table + ((k / across * p->npart + q) * m + j) * 8, acc, (size_t)w * 8);
  }
}

static void join_columns(void *ctx, int64_t k) {
  const Plan *p = ctx;
  double acc[WIDTH];
  int64_t m = inner(&p->kept), across = ceil_div(m, WIDTH);
  int64_t j = k % across * WIDTH, w = least(WIDTH, m - j);
  p->columns->start(w, acc);
  for (int64_t q = 0; q < p->npart; q++)
    p->columns->join(1, w, p->table + ((k / across * p->npart + q) * m + j) * 8, w, acc);
  finish_columns(p, k / across * m + j, w, acc);
}

static mare_Status reduce_columns(mare_Heap *h, Plan *p) {
  int64_t m = inner(&p->kept), n = p->part.numel, w = least(m, WIDTH);
  int64_t nblock = p->kept.numel / m * ceil_div(m, WIDTH);
  size_t bytes;
  p->rows = PIECE / w;
  p->npart = ceil_div(n, p->rows);
  p->each = p->npart > 1 ? 1 : ceil_div(p->rows, n);
  if (p->npart == 1) {
    run_pieces(ceil_div(nblock, p->each), fold_columns, p);
    return MARE_OK;
  }
  bytes = (size_t)(p->kept.numel * p->npart) * 8;
  if (!(p->table = mare_scratch(h, bytes))) return mare_heap_status(h, bytes);
  run_pieces(nblock * p->npart, fold_columns, p);
  run_pieces(nblock, join_columns, p);
  mare_scratch_free(h, p->table);
  return MARE_OK;
}

/* -- the interface ---------------------------------------------------------------- */

const mare_Lanes *mare_lanes(mare_Dtype dt) {
#ifdef __x86_64__
  const char *isa = mare_isa();
  if (strcmp(isa, "avx512") == 0)
    return dt < MARE_NREAL ? &mare_lanes_avx512 : &mare_lanes_avx2;
  if (strcmp(isa, "avx2") == 0) return &mare_lanes_avx2;
#else
  (void)dt;
#endif
  return &mare_lanes_base;
}

/* a kernel for elements of type *dt, or of the type that *dt becomes */
static mare_Chunk *chunk_for(const mare_Lanes *k, mare_Reduction r, double param,
                             mare_Dtype *dt) {
  bool squares = r == MARE_NORM && param == 2;
  if (squares && *dt < MARE_NREAL) return k->squares[*dt];
  if (!squares && k->chunk[r][*dt]) return k->chunk[r][*dt];
  *dt = *dt == MARE_U8 && k->chunk[r][MARE_I64] ? MARE_I64 : MARE_F64;
  return squares ? k->squares[*dt] : k->chunk[r][*dt];
}

static void choose_kernels(Plan *p, mare_Reduction r, mare_Dtype from) {
  mare_Dtype to = from;
  p->lanes = mare_lanes(from);
  p->rule = &rules[r];
  p->chunk = chunk_for(p->lanes, r, p->param, &to);
  p->columns = &p->lanes->columns[r][from];
  p->widen = p->lanes->widen[from][to];
  p->integer = to == MARE_I64 || to == MARE_U8;
  p->mean = r == MARE_MEAN;
}

mare_Status mare_reduce(mare_Heap *h, mare_Reduction r, unsigned axes, double param,
                        const mare_Tensor *x, mare_Tensor *y) {
  Plan p = {.param = param, .y = y, .size = mare_sizeof[x->dtype]};
  choose_kernels(&p, r, x->dtype);
  take(&p.kept, x, ~axes, false);
  take(&p.part, x, axes, !p.rule->by_place);
  if (p.kept.numel == 0) return MARE_OK;
  if (p.columns->fold && p.part.numel > 0 && inner(&p.kept) > 1 &&
      reach(step(&p.kept)) < reach(step(&p.part)))
    return reduce_columns(h, &p);
  return reduce_rows(h, &p);
}

/* -- running sums ----------------------------------------------------------------- */

typedef struct Running {
  const mare_Lanes *lanes;
  mare_Tensor x, y; /* without the dimension that is summed along */
  int64_t n, xs, ys, each;
} Running;

/* m <= 16 lanes from x and y on, PIECE numbers at a time, between which it asks */
static void running_lanes(const Running *p, int64_t m, const char *x, char *y) {
  const int64_t size = (int64_t)mare_sizeof[p->x.dtype], part = ceil_div(PIECE, m);
  mare_Carry carry = {{0}};
  for (int64_t i = 0; i < p->n && (i == 0 || !mare_stopping()); i += part)
    p->lanes->cumsum[p->x.dtype](least(part, p->n - i), m, x + i * p->xs * size, p->xs,
                                 step(&p->x), y + i * p->ys * size, p->ys, step(&p->y),
                                 &carry);
}

static void running(void *ctx, int64_t piece) {
  const Running *p = ctx;
  int64_t k = piece * p->each, end = least(k + p->each, p->x.numel), m = inner(&p->x);
  const int64_t size = (int64_t)mare_sizeof[p->x.dtype];
  Plan from = {.kept = p->x, .size = (size_t)size},
       to = {.kept = p->y, .size = (size_t)size};
  while (k < end) {
    const int64_t run = least(m - k % m, end - k);
    const char *x = start(&from, &p->x, k);
    char *y = (char *)(uintptr_t)start(&to, &p->y, k);
    for (int64_t l = 0; l < run; l += 16)
      running_lanes(p, least(run - l, 16), x + l * step(&p->x) * size,
                    y + l * step(&p->y) * size);
    k += run;
  }
}

static void drop(mare_Tensor *t, int dim) {
  t->numel = t->shape[dim] ? t->numel / t->shape[dim] : 0;
  t->shape[dim] = 1;
}

void mare_cumsum(int dim, const mare_Tensor *x, mare_Tensor *y) {
  Running p = {.lanes = mare_lanes(x->dtype),
               .x = *x,
               .y = *y,
               .n = x->shape[dim],
               .xs = x->stride[dim],
               .ys = y->stride[dim]};
  mare_Tensor *op[2] = {&p.x, &p.y};
  if (x->numel == 0) return;
  drop(&p.x, dim);
  drop(&p.y, dim);
  if (mare_collapse(2, op) == 0) p.x.ndim = p.y.ndim = 1, p.x.shape[0] = p.y.shape[0] = 1;
  p.each = ceil_div(ceil_div(PIECE, p.n), 16) * 16;
  mare_parallel(ceil_div(p.x.numel, p.each), running, &p);
}
