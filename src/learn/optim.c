/*
** optim.c -- the table of optimizers, made from optim.def, and the step: one pass
** over the elements of all parameters as if they stood one after another, cut into
** pieces of fixed size.  Rows TENSORWISE take another one before, to measure.
*/
#include "optim.h"

#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#include "../base/pool.h"
#include "../ops/lanes.h"
#include "optim_kernels.h"
#include "optim_rows.h"

#define PIECE 8192 /* elements of a piece; a multiple of what LINE aligns to */
#define SERIAL 65536 /* so many are done before other threads have come to help */
#define LINE 16     /* parameters start at multiples of this many elements */
#define CHUNK 1024  /* elements measured at a time, while they are in the cache */

/* sums of squares: of the parameter, of its gradient, of u */
enum { P = 1, G = 2, U = 4 };

/* -- constants of a step ------------------------------------------------------------ */

/*
** Product of beta*(1 - q^i/2) for i = 1..t: what Nadam's momentum schedule has
** multiplied up to.  Ends early once it no longer shows beside 1.
*/
static double mu_product(double beta, double q, double t) {
  double product = 1, power = 1;
  for (double i = 1; i <= t && product > 1e-20; i++) {
    power *= q;
    product *= beta * (1 - power / 2);
  }
  return product;
}

/*
** x^y for the rows, which take it from 1: what is lost beside 1 need not be
** computed.  x^y <= e^(-(1 - x)y), and pow is a third of a small step's time.
*/
static double power(double x, double y) {
  return (1 - x) * y > 45 ? 0 : pow(x, y);
}

#define INF HUGE_VAL
#define pow(x, y) power(x, y)
#define R(k) (k)
#define where(c, a, b) ((c) ? (a) : (b))
#define gt(a, b) ((a) > (b))
#define eq(a, b) ((a) == (b))
#define max(a, b) where(gt(a, b), a, b)
#define min(a, b) where(gt(b, a), a, b)
#define HYPER(name, value, lo, hi) const double name = *h++; (void)name;
#define FLAG(name, value) const double name = *h++; (void)name;
#define CONSTANT(name, value) const double name = *h++ = (value); (void)name;
#define KNOWN(name, value) const double name = *h++; (void)name;
#define TENSOR(name, value) const double name = *c++ = (value); (void)name;
#define ROW(name, facts, update, doc, source) \
  static void name##_prepare(double *h, double t) { \
    facts##_hyper(HYPER, FLAG) \
    (void)t; \
    facts##_step(CONSTANT) \
  }
#define SUMS(p) \
  const double pp = p->sum[0], gg = p->sum[1], uu = p->sum[2]; \
  const double n = (double)p->numel, rows = (double)p->rows, columns = n / rows; \
  (void)pp, (void)gg, (void)uu, (void)n, (void)columns;
#define TENSORWISE(name, squares, measure, update, doc, source) \
  ROW(name, name, update, doc, source) \
  static void name##_prepare_tensor(const double *h, mare_Param *param) { \
    double *c = param->tensor; \
    SUMS(param) name##_hyper(HYPER, FLAG) name##_step(KNOWN) name##_tensor(TENSOR) \
  }
#include "optim.def"
#undef pow
#undef R
#undef where
#undef gt
#undef eq
#undef max
#undef min
#undef HYPER
#undef FLAG
#undef CONSTANT
#undef KNOWN
#undef TENSOR
#undef SUMS
#undef ROW
#undef TENSORWISE

/* -- the table ---------------------------------------------------------------------- */

#define SLOT(m) {#m, NULL, MARE_FULL},
#define SLOT_OR(m, h) {#m, #h, MARE_FULL},
#define SLOT_V(m, kind) {#m, NULL, MARE_##kind},
#define HYPER(name, value, lo, hi) {#name, value, lo, hi, false},
#define FLAG(name, value) {#name, value, 0, 2, true},
#define TEXT(name, value) #name " = " #value "; "
#define ONE(...) +1
#define FACTS(name, facts, update, doc, source) \
  #name, 0 facts##_slots(ONE, ONE, ONE), 0 facts##_hyper(ONE, ONE), \
  0 facts##_step(ONE), {facts##_slots(SLOT, SLOT_OR, SLOT_V)}, \
  {facts##_hyper(HYPER, FLAG)}, "" facts##_step(TEXT), #update, doc, source, \
  name##_prepare
#define ROW(name, facts, update, doc, source) \
  {FACTS(name, facts, update, doc, source), NULL, NULL, 0, NULL},
#define TENSORWISE(name, squares, measure, update, doc, source) \
  {FACTS(name, name, update, doc, source), name##_tensor(TEXT), #measure, squares, \
   name##_prepare_tensor},
const mare_Optimizer mare_optimizers[] = {
#include "optim.def"
  {.name = NULL}
};

const mare_Optimizer *mare_optimizer_find(const char *name) {
  for (const mare_Optimizer *o = mare_optimizers; o->name; o++)
    if (strcmp(o->name, name) == 0) return o;
  return NULL;
}

const mare_Optimizer *mare_optimizer_matrix(const mare_Optimizer *o) {
  const mare_Optimizer *next = o + 1; /* where optim.def has it */
  return mare_matrix_rows[next - mare_optimizers].scratch ? next : o;
}

int mare_hyper_find(const mare_Optimizer *o, const char *name) {
  for (int i = 0; i < o->nhyper; i++)
    if (strcmp(o->hyper[i].name, name) == 0) return i;
  return -1;
}

bool mare_optim_keeps(const mare_Optimizer *o, int k, const double *hyper) {
  const char *name = o->slot[k].hyper;
  if (o->slot[k].kind >= MARE_WORK) return false;
  return name == NULL || hyper[mare_hyper_find(o, name)] != 0;
}

/* -- one stretch of a parameter ----------------------------------------------------- */

typedef struct Step {
  const mare_Updates *kernel; /* of the row: one for each element type */
  const double *h;
  const mare_Optimizer *row;
  int nparam;
  mare_Param *param;
  bool by_rows; /* slots go by rows and columns */
  unsigned squares;
} Step;

/* The kernels of one row for this machine. */
static const mare_Updates *kernels(const mare_Optimizer *o) {
  ptrdiff_t row = o - mare_optimizers;
#ifdef __x86_64__
  if (mare_isa()[0] == 'a') return mare_optim_avx2[row]; /* "avx2" or "avx512" */
#endif
  return mare_optim_base[row];
}

/*
** Means of gradients that became 0 decay until they are denormal and stay so; each
** arithmetic on one costs as much as a hundred others.  A step takes them for 0.
*/
#ifdef __SSE2__
#define FLUSH 0x8040u /* results (bit 15) and operands (bit 6) */

static unsigned flush_denormals(void) {
  unsigned old = _mm_getcsr();
  _mm_setcsr(old | FLUSH);
  return old;
}

static void restore_denormals(unsigned old) {
  _mm_setcsr(old);
}
#else
#define flush_denormals() 0
#define restore_denormals(old) ((void)(old))
#endif

static Step new_step(const mare_Optimizer *o, const double *h, int n, mare_Param *param) {
  Step s = {kernels(o), h, o, n, param, false, o->squares};
  for (int k = 0; k < o->nslot; k++)
    if (o->slot[k].kind == MARE_ROWS || o->slot[k].kind == MARE_COLUMNS) s.by_rows = true;
  return s;
}

/* where slot k has its value for an element */
static void *slot_at(const Step *s, const mare_Param *p, int k, int64_t element) {
  mare_SlotKind kind = s->row->slot[k].kind;
  if (kind == MARE_ROWS || kind == MARE_WORK_ROWS) element /= p->numel / p->rows;
  if (kind == MARE_COLUMNS || kind == MARE_WORK_COLUMNS) element %= p->numel / p->rows;
  return p->slot[k] ? (char *)p->slot[k] + (size_t)element * mare_sizeof[p->dtype] : NULL;
}

/* a kernel on n elements from first on; within a row, if slots go by rows */
static void run(const Step *s, mare_Update *kernel, const mare_Param *p, int64_t first,
                int64_t n, void *u) {
  size_t at = (size_t)first * mare_sizeof[p->dtype];
  int known = s->row->nhyper + s->row->nstep;
  double h[MARE_MAXHYPER + MARE_MAXSTEP + MARE_MAXTENSOR];
  void *slot[MARE_MAXSLOT + 1];
  slot[MARE_MAXSLOT] = u;
  for (int k = 0; k < s->row->nslot; k++) slot[k] = slot_at(s, p, k, first);
  if (s->row->prepare_tensor) {
    memcpy(h, s->h, (size_t)known * sizeof *h);
    memcpy(h + known, p->tensor, sizeof p->tensor);
  }
  kernel((size_t)n, (char *)p->value + at, (const char *)p->grad + at, slot,
         s->row->prepare_tensor ? h : s->h);
}

/* how many of n elements from first on one call may take */
static int64_t length(const Step *s, const mare_Param *p, int64_t first, int64_t n) {
  int64_t columns;
  if (!s->by_rows) return n;
  columns = p->numel / p->rows;
  return n < columns - first % columns ? n : columns - first % columns;
}

static void update(const Step *s, mare_Param *p, int64_t first, int64_t last) {
  for (int64_t n; first < last; first += n) {
    n = length(s, p, first, last - first);
    run(s, s->kernel[p->dtype].update, p, first, n, NULL);
  }
}

static double squares(mare_Dtype dt, int64_t n, const void *x) {
  mare_Partial s;
  mare_lanes(dt)->squares[dt](n, 1, x, n, 2, &s);
  return s.a;
}

/* the sums of squares that the row asks for, to where this piece's have their place */
static void measure(const Step *s, mare_Param *p, int64_t first, int64_t last) {
  double u[CHUNK], *sum = p->part + 3 * ((p->start + first) / PIECE - p->start / PIECE);
  memset(sum, 0, 3 * sizeof *sum);
  for (int64_t n; first < last; first += n) {
    size_t at = (size_t)first * mare_sizeof[p->dtype];
    n = length(s, p, first, last - first < CHUNK ? last - first : CHUNK);
    if (s->squares & U) run(s, s->kernel[p->dtype].measure, p, first, n, u);
    if (s->squares & P) sum[0] += squares(p->dtype, n, (char *)p->value + at);
    if (s->squares & G) sum[1] += squares(p->dtype, n, (const char *)p->grad + at);
    if (s->squares & U) sum[2] += squares(p->dtype, n, u);
  }
}

/* -- all parameters, in pieces ------------------------------------------------------ */

/* the last parameter that starts at or before an element */
static int find(const Step *s, int64_t element) {
  int lo = 0, hi = s->nparam;
  while (hi - lo > 1) {
    int mid = lo + (hi - lo) / 2;
    if (s->param[mid].start <= element) lo = mid;
    else hi = mid;
  }
  return lo;
}

typedef void Pass(const Step *s, mare_Param *p, int64_t first, int64_t last);

static void piece(const Step *s, int64_t index, Pass *pass) {
  int64_t begin = index * PIECE, end = begin + PIECE;
  unsigned mode = flush_denormals();
  for (int i = find(s, begin); i < s->nparam && s->param[i].start < end; i++) {
    mare_Param *p = &s->param[i];
    int64_t first = begin > p->start ? begin - p->start : 0;
    int64_t last = end - p->start < p->numel ? end - p->start : p->numel;
    if (first < last) pass(s, p, first, last);
  }
  restore_denormals(mode);
}

/* all of a few elements */
static void whole(const Step *s) {
  unsigned mode = flush_denormals();
  for (int i = 0; i < s->nparam; i++) update(s, &s->param[i], 0, s->param[i].numel);
  restore_denormals(mode);
}

static void update_piece(void *s, int64_t index) { piece(s, index, update); }

static void measure_piece(void *s, int64_t index) { piece(s, index, measure); }

/* gives the parameters their places; returns the number of elements */
static int64_t place(int nparam, mare_Param *param) {
  int64_t total = 0;
  for (int i = 0; i < nparam; i++) {
    param[i].start = total;
    total += (param[i].numel + LINE - 1) / LINE * LINE;
  }
  return total;
}

/* pieces that a parameter takes part in; none when it is empty */
static int64_t parts(const mare_Param *p) {
  return p->numel ? (p->start + p->numel - 1) / PIECE - p->start / PIECE + 1 : 0;
}

static void run_pieces(Step *s, int64_t total, mare_Piece *pass) {
  int64_t n = (total + PIECE - 1) / PIECE;
  if (n == 1) pass(s, 0);
  else mare_parallel(n, pass, s);
}

/* the sums of squares of each parameter, its pieces' in order */
static void measure_all(Step *s, int64_t total, double *part) {
  for (int i = 0; i < s->nparam; i++) {
    s->param[i].part = part;
    part += 3 * parts(&s->param[i]);
  }
  run_pieces(s, total, measure_piece);
  for (int i = 0; i < s->nparam; i++) {
    mare_Param *p = &s->param[i];
    memset(p->sum, 0, sizeof p->sum);
    for (int64_t k = 0; k < 3 * parts(p); k++) p->sum[k % 3] += p->part[k];
  }
}

double mare_optim_squares(int nparam, mare_Param *param, void *scratch) {
  Step s = new_step(&mare_optimizers[MARE_ROW_lars], NULL, nparam, param);
  double sum = 0;
  s.squares = P;
  measure_all(&s, place(nparam, param), scratch);
  for (int i = 0; i < nparam; i++) sum += param[i].sum[0];
  return sum;
}

mare_Update *mare_tool(int row, mare_Dtype dt) {
  return kernels(&mare_optimizers[row])[dt].update;
}

void mare_tool_run(int row, mare_Dtype dt, double a, int64_t n, void *p, const void *g) {
  mare_Param param = {.dtype = dt, .numel = n, .rows = 1, .value = p, .grad = g};
  double h[MARE_MAXHYPER + MARE_MAXSTEP] = {a};
  mare_optim_step(&mare_optimizers[row], h, 1, 1, &param, NULL);
}

/* -- the step ----------------------------------------------------------------------- */

static const mare_MatrixRow *matrix_row(const mare_Optimizer *o) {
  const mare_MatrixRow *m = &mare_matrix_rows[o - mare_optimizers];
  return m->scratch ? m : NULL;
}

static size_t partial_bytes(int nparam, const mare_Param *param) {
  size_t n = 0;
  for (int i = 0; i < nparam; i++) n += (size_t)param[i].numel / PIECE + 2;
  return n * 3 * sizeof(double);
}

size_t mare_optim_scratch(const mare_Optimizer *o, int nparam, const mare_Param *param) {
  const mare_MatrixRow *m = matrix_row(o);
  if (!o->prepare_tensor) return 0;
  return partial_bytes(nparam, param) + (m ? m->scratch(param) : 0);
}

/* the first pass of a row TENSORWISE, and what surrounds it */
static void prepare_tensors(Step *s, int64_t total, void *scratch) {
  const mare_MatrixRow *m = matrix_row(s->row);
  char *rest = (char *)scratch + partial_bytes(s->nparam, s->param);
  if (m && m->before) m->before(s->param, s->h, rest);
  for (int i = 0; m && i < s->nparam; i++)
    s->row->prepare_tensor(s->h, &s->param[i]);
  measure_all(s, total, scratch);
  if (m && m->after) m->after(s->param, s->h, rest);
  for (int i = 0; i < s->nparam; i++) s->row->prepare_tensor(s->h, &s->param[i]);
}

void mare_optim_step(const mare_Optimizer *o, double h[MARE_MAXHYPER + MARE_MAXSTEP],
                     int64_t t, int nparam, mare_Param *param, void *scratch) {
  Step s = new_step(o, h, nparam, param);
  int64_t total = place(nparam, param);
  o->prepare(h, (double)t);
  if (o->prepare_tensor) prepare_tensors(&s, total, scratch);
  if (total > SERIAL) run_pieces(&s, total, update_piece);
  else whole(&s);
}
