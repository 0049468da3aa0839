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
#define FLAG(name) const bool name = *h++ != 0; (void)name;
#define CONSTANT(name, value) const real name = (real)*h++; (void)name;

#define NOTHING(m)
#define INDEX(m) slot_##m,
#define INDEX_OR(m, h) slot_##m,
#define BIT(m, h) | 1u << slot_##m
#define IS_ABSENT(m, h) | (unsigned)(s[slot_##m] == NULL) << slot_##m
#define POINTER(m) real *restrict m##s = s[slot_##m];
#define POINTER_OR(m, h) POINTER(m)
#define LOAD(m) real m = m##s[i];
#define LOAD_OR(m, h) real m = absent & 1u << slot_##m ? 0 : m##s[i];
#define STORE(m) m##s[i] = m;
#define STORE_OR(m, h) if (!(absent & 1u << slot_##m)) m##s[i] = m;

#define OPTIMIZER(name, update, doc, source) \
  static inline __attribute__((always_inline)) void K(name##_body)( \
    const unsigned absent, size_t n, void *P, const void *G, void *const *s, \
    const double *h) { \
    enum { name##_slots(INDEX, INDEX_OR) nslot }; \
    name##_hyper(HYPER, FLAG) name##_step(CONSTANT) \
    name##_slots(POINTER, POINTER_OR) \
    real *restrict ps = P; \
    const real *restrict gs = G; \
    (void)absent; \
    _Pragma("GCC ivdep") /* the arrays do not overlap */ \
    for (size_t i = 0; i < n; i++) { \
      real p = ps[i], g = gs[i], u = 0; \
      (void)u; \
      name##_slots(LOAD, LOAD_OR) \
      update \
      ps[i] = p; \
      name##_slots(STORE, STORE_OR) \
    } \
  } \
  static void K(name)(size_t n, void *p, const void *g, void *const *s, \
                      const double *h) { \
    enum { name##_slots(INDEX, INDEX_OR) nslot }; \
    const unsigned optional = 0 name##_slots(NOTHING, BIT); /* at most two bits */ \
    const unsigned low = optional & (~optional + 1), high = optional & ~low; \
    const unsigned absent = 0 name##_slots(NOTHING, IS_ABSENT); \
    if (high && absent == optional) K(name##_body)(optional, n, p, g, s, h); \
    else if (high && absent == high) K(name##_body)(high, n, p, g, s, h); \
    else if (low && absent == low) K(name##_body)(low, n, p, g, s, h); \
    else K(name##_body)(0, n, p, g, s, h); \
  }

#include "optim.def"

#undef OPTIMIZER
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
#undef INDEX_OR
#undef BIT
#undef IS_ABSENT
#undef POINTER
#undef POINTER_OR
#undef LOAD
#undef LOAD_OR
#undef STORE
#undef STORE_OR
#undef real
#undef K
