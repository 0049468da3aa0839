/*
** optim.inc.c -- the update kernels of optim.def for ONE element type and one
** instruction set.  Included with 'real' and K(name) defined.
**
** body is compiled once for each set of absent optional slots, so that a slot
** that is not kept costs neither memory traffic nor a test in the loop.
*/
#define R(k) ((real)(k))
#define where(c, a, b) ((c) ? (a) : (b))
#define gt(a, b) ((a) > (b))
#define eq(a, b) ((a) == (b))
#define max(a, b) where(gt(a, b), a, b)
#define min(a, b) where(gt(b, a), a, b)
#define abs(a) fabs(a)
#define sign(a) ((real)gt(a, 0) - (real)gt(0, a))

#define HYPER(name, value, lo, hi) const real name = (real)*h++; (void)name;
#define FLAG(name, value) const bool name = *h++ != 0; (void)name;
#define CONSTANT(name, value) const real name = (real)*h++; (void)name;

#define NOTHING(...)
#define INDEX(m, ...) slot_##m,
#define BIT(m, h) | 1u << slot_##m
#define IS_ABSENT(m, h) | (unsigned)(s[slot_##m] == NULL) << slot_##m
#define POINTER(m, ...) real *restrict m##s = s[slot_##m];
#define LOAD(m) real m = m##s[i];
#define LOAD_OR(m, h) real m = absent & 1u << slot_##m ? 0 : m##s[i];
#define OF_A_ROW(kind) (kind == MARE_ROWS || kind == MARE_WORK_ROWS)
#define LOAD_V(m, kind) real m = m##s[OF_A_ROW(MARE_##kind) ? 0 : i]; (void)m;
#define STORE(m) m##s[i] = m;
#define STORE_OR(m, h) if (!(absent & 1u << slot_##m)) m##s[i] = m;
#define STORE_V(m, kind) if (MARE_##kind == MARE_WORK) m##s[i] = m;

/* n elements; out takes p after the update, u after the measurement */
#define BODY(name, facts, tensor, statements, out, result) \
  static inline __attribute__((always_inline)) void K(name##_body)( \
    const unsigned absent, size_t n, void *P, const void *G, void *const *s, \
    const double *h) { \
    enum { facts##_slots(INDEX, INDEX, INDEX) nslot }; \
    facts##_hyper(HYPER, FLAG) facts##_step(CONSTANT) tensor(CONSTANT) \
    facts##_slots(POINTER, POINTER, POINTER) \
    real *restrict ps = P, *restrict us = s[MARE_MAXSLOT]; \
    const real *restrict gs = G; \
    (void)absent; \
    (void)us; \
    APART /* the arrays do not overlap */ \
    for (size_t i = 0; i < n; i++) { \
      real p = ps[i], g = gs[i], u = 0; \
      (void)p; \
      (void)g; \
      (void)u; \
      facts##_slots(LOAD, LOAD_OR, LOAD_V) \
      statements \
      out[i] = result; \
      facts##_slots(STORE, STORE_OR, STORE_V) \
    } \
  } \
  static void K(name)(size_t n, void *p, const void *g, void *const *s, \
                      const double *h) { \
    enum { facts##_slots(INDEX, INDEX, INDEX) nslot }; \
    const unsigned optional = 0 facts##_slots(NOTHING, BIT, NOTHING); /* at most two */ \
    const unsigned low = optional & (~optional + 1), high = optional & ~low; \
    const unsigned absent = 0 facts##_slots(NOTHING, IS_ABSENT, NOTHING); \
    if (high && absent == optional) K(name##_body)(optional, n, p, g, s, h); \
    else if (high && absent == high) K(name##_body)(high, n, p, g, s, h); \
    else if (low && absent == low) K(name##_body)(low, n, p, g, s, h); \
    else K(name##_body)(0, n, p, g, s, h); \
  }

#define ROW(name, facts, update, doc, source) \
  BODY(name, facts, NOTHING, update, ps, p)
#define TENSORWISE(name, squares, measure, update, doc, source) \
  BODY(name##_measure, name, name##_tensor, measure, us, u) \
  BODY(name, name, name##_tensor, update, ps, p)

#include "optim.def"

#undef ROW
#undef TENSORWISE
#undef BODY
#undef R
#undef where
#undef gt
#undef eq
#undef max
#undef min
#undef abs
#undef sign
#undef HYPER
#undef FLAG
#undef CONSTANT
#undef NOTHING
#undef INDEX
#undef BIT
#undef IS_ABSENT
#undef POINTER
#undef LOAD
#undef LOAD_OR
#undef LOAD_V
#undef OF_A_ROW
#undef STORE
#undef STORE_OR
#undef STORE_V
#undef real
#undef K
