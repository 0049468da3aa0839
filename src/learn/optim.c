/*
** optim.c -- the table of optimizers, made from optim.def, and the step: one pass
** over the elements of all parameters as if they stood one after another, cut into
** pieces of fixed size.
*/
#include "optim.h"

#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#include "../base/pool.h"
#include "../ops/ops.h"
#include "optim_kernels.h"

#define PIECE 16384 /* elements of a piece; a multiple of what LINE aligns to */
#define LINE 16     /* parameters start at multiples of this many elements */

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
#define HYPER(name, value, lo, hi) const double name = *h++; (void)name;
#define FLAG(name) const double name = *h++; (void)name;
#define CONSTANT(name, value) const double name = *h++ = (value); (void)name;
#define OPTIMIZER(name, update, doc, source) \
  static void name##_prepare(double *h, double t) { \
    name##_hyper(HYPER, FLAG) \
    (void)t; \
    name##_step(CONSTANT) \
  }
#include "optim.def"
#undef pow
#undef R
#undef where
#undef gt
#undef eq
#undef max
#undef HYPER
#undef FLAG
#undef CONSTANT
#undef OPTIMIZER

/* -- the table ---------------------------------------------------------------------- */

#define SLOT(m) {#m, NULL},
#define SLOT_OR(m, h) {#m, #h},
#define HYPER(name, value, lo, hi) {#name, value, lo, hi, false},
#define FLAG(name) {#name, 0, 0, 2, true},
#define NAME(name, value) #name,
#define TEXT(name, value) #name " = " #value "; "
#define ONE(...) +1
#define OPTIMIZER(name, update, doc, source) \
  {#name, 0 name##_slots(ONE, ONE), 0 name##_hyper(ONE, ONE), 0 name##_step(ONE), \
   {name##_slots(SLOT, SLOT_OR)}, {name##_hyper(HYPER, FLAG)}, {name##_step(NAME)}, \
   name##_step(TEXT), #update, doc, source, name##_prepare},
const mare_Optimizer mare_optimizers[] = {
#include "optim.def"
  {.name = NULL}
};

const mare_Optimizer *mare_optimizer_find(const char *name) {
  for (const mare_Optimizer *o = mare_optimizers; o->name; o++)
    if (strcmp(o->name, name) == 0) return o;
  return NULL;
}

int mare_hyper_find(const mare_Optimizer *o, const char *name) {
  for (int i = 0; i < o->nhyper; i++)
    if (strcmp(o->hyper[i].name, name) == 0) return i;
  return -1;
}

bool mare_optim_keeps(const mare_Optimizer *o, int k, const double *hyper) {
  const char *name = o->slot[k].hyper;
  return name == NULL || hyper[mare_hyper_find(o, name)] != 0;
}

/* -- the step ----------------------------------------------------------------------- */

/* The kernels of one row for this machine. */
static mare_Update *const *kernels(const mare_Optimizer *o) {
  ptrdiff_t row = o - mare_optimizers;
#ifdef __x86_64__
  const char *isa = mare_isa(); /* "base", "avx2" or "avx512" */
  if (isa[3] == '5') return mare_optim_avx512[row];
  if (isa[3] == '2') return mare_optim_avx2[row];
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

typedef struct Step {
  mare_Update *const *kernel;
  const double *h;
  const mare_Optimizer *row;
  int nparam;
  const mare_Param *param;
} Step;

/* elements first .. last - 1 of one parameter */
static void update(const Step *s, const mare_Param *p, int64_t first, int64_t last) {
  size_t at = (size_t)first * mare_sizeof[p->dtype];
  void *slot[MARE_MAXSLOT];
  for (int k = 0; k < s->row->nslot; k++)
    slot[k] = p->slot[k] ? (char *)p->slot[k] + at : NULL;
  s->kernel[p->dtype]((size_t)(last - first), (char *)p->value + at,
                      (const char *)p->grad + at, slot, s->h);
}

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

static void piece(void *ctx, int64_t index) {
  const Step *s = ctx;
  int64_t begin = index * PIECE, end = begin + PIECE;
  unsigned mode = flush_denormals();
  for (int i = find(s, begin); i < s->nparam && s->param[i].start < end; i++) {
    const mare_Param *p = &s->param[i];
    int64_t first = begin > p->start ? begin - p->start : 0;
    int64_t last = end - p->start < p->numel ? end - p->start : p->numel;
    if (first < last) update(s, p, first, last);
  }
  restore_denormals(mode);
}

/* all of a few elements */
static void whole(const Step *s) {
  unsigned mode = flush_denormals();
  for (int i = 0; i < s->nparam; i++) update(s, &s->param[i], 0, s->param[i].numel);
  restore_denormals(mode);
}

void mare_optim_step(const mare_Optimizer *o, double h[MARE_MAXHYPER + MARE_MAXSTEP],
                     int64_t t, int nparam, mare_Param *param) {
  Step s = {kernels(o), h, o, nparam, param};
  int64_t total = 0;
  o->prepare(h, (double)t);
  for (int i = 0; i < nparam; i++) {
    param[i].start = total;
    total += (param[i].numel + LINE - 1) / LINE * LINE;
  }
  if (total > PIECE) mare_parallel((total + PIECE - 1) / PIECE, piece, &s);
  else whole(&s);
}
