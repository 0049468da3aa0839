/*
** types.h -- what every layer shares: storages, tensors, rows of element-wise
** operations.  Element types and status codes are in mare.h, which programs in C see
** too.  No Lua here.
*/
#ifndef MARE_TYPES_H
#define MARE_TYPES_H

#include "../mare.h"

#define MARE_MAXARGS 4  /* tensor operands of an element-wise row */
#define MARE_MAXPARAM 4 /* number parameters of an element-wise row */

#define MARE_NREAL 2 /* F32 and F64: the types that have derivatives */

/* functions whose loops are worth more code than -O2 makes of them */
#ifdef __clang__
#define MARE_O3
#else
#define MARE_O3 __attribute__((optimize("O3")))
#endif

extern const size_t mare_sizeof[MARE_NDTYPE];
extern const char *const mare_dtype_name[MARE_NDTYPE + 1]; /* ends with NULL */

/* -- storages: refcounted bytes, base/storage.c ----------------------------- */

typedef struct mare_Heap mare_Heap; /* the memory of one Lua state */

typedef struct mare_Storage {
  mare_Heap *heap;  /* NULL: it lies in memory of somebody else */
  char *data;       /* 64-byte aligned, in a heap */
  size_t nbytes;    /* what was asked for */
  size_t capacity;  /* what the block holds; its size class */
  int refcount;     /* touched by the thread of its Lua state only */
  uint32_t version; /* bumped by every in-place write */
  int class;        /* its size class */
  uint32_t place;   /* in the list of all blocks */
  struct mare_Storage *next; /* in the cache of free blocks */
} mare_Storage;

/* -- tensors: a typed, strided window on a storage, base/shape.c ------------ */

typedef struct mare_Tensor {
  mare_Storage *storage; /* NULL: closed */
  char *data;            /* the first element, inside storage->data */
  mare_Dtype dtype;
  int ndim;
  int64_t numel;
  int64_t shape[MARE_MAXDIM];
  int64_t stride[MARE_MAXDIM]; /* in elements; 0 where broadcast */
} mare_Tensor;

/* -- rows: element-wise operations, ops/ops.def ------------------------------ */

/*
** A kernel works on n contiguous elements.  Forward: p[0] is y, p[1..] the
** operands.  Backward to operand i: p[0] is gx, p[1] is g, p[2] is y, p[3..]
** the operands.  c holds the values of the row's parameters.
*/
typedef void mare_Kernel(size_t n, void *const *p, const double *c);

/* Runs a kernel that has nop operands over n elements, where it takes whole blocks. */
typedef void mare_Runner(mare_Kernel *k, size_t n, int nop, void *const *p,
                         const double *c);

typedef enum mare_RowKind {
  MARE_REAL,    /* f32 and f64, differentiable */
  MARE_ARITH,   /* these and i64; differentiable for reals */
  MARE_COMPARE, /* any type to u8 */
  MARE_LOGICAL  /* u8 to u8 */
} mare_RowKind;

typedef struct mare_Row {
  const char *name;
  mare_RowKind kind;
  int nargs;                                /* tensor operands */
  const char *arg[MARE_MAXARGS];            /* their names in the formula */
  int nparam;                               /* number parameters */
  const char *param[MARE_MAXPARAM];         /* their names ... */
  double value[MARE_MAXPARAM];              /* ... and defaults */
  const char *formula;                      /* C and Lua alike */
  const char *derivative[MARE_MAXARGS];     /* NULL: none */
  double lo, hi;                            /* the interval tests draw from */
  const char *kinks;                        /* where the derivative jumps */
  const char *doc;
} mare_Row;

extern const mare_Row mare_rows[]; /* ends with name == NULL */
extern const int mare_nrows;

/* The kernels of one row for one instruction set; NULL where there is none. */
typedef struct mare_Kernels {
  mare_Kernel *forward[MARE_NDTYPE];
  mare_Kernel *backward[MARE_MAXARGS][MARE_NREAL];
} mare_Kernels;

#endif
