/*
** mare.h -- what programs in C may see: element types and status codes.  What only the
** engine shares is in base/types.h.
*/
#ifndef MARE_H
#define MARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARE_VERSION "0.1.0"
#define MARE_MAXDIM 8   /* dimensions of a tensor */

/* X(enum, C type, Lua name): the only list of element types, real ones first. */
#define MARE_DTYPES(X) \
  X(F32, float, "f32") X(F64, double, "f64") X(I64, int64_t, "i64") X(U8, uint8_t, "u8")

typedef enum mare_Dtype {
#define X(e, ctype, name) MARE_##e,
  MARE_DTYPES(X)
#undef X
  MARE_NDTYPE
} mare_Dtype;

/* What the layers without Lua return; only bind/ turns one into an error. */
typedef enum mare_Status {
  MARE_OK,
  MARE_NOMEM,  /* the allocator had no memory to give */
  MARE_LIMIT,  /* past the limit set by mare.memory_limit */
  MARE_BADARG, /* a value that the binding lets through only by mistake */
  MARE_IO,     /* the system could not read or write */
  MARE_FORMAT, /* the bytes are not what the format asks for */
  MARE_SINGULAR,  /* the matrix has no inverse, or is not positive definite */
  MARE_NOTFINITE, /* NaN or infinity where numbers are needed */
  MARE_DIVERGED,  /* an iteration that did not end */
  MARE_NOLAPACK,  /* LAPACK is not on this machine */
  MARE_STOPPED    /* mare_stopping said so */
} mare_Status;

#endif
