/*
** linalg.h -- factorisations and what is solved with them.  Matrices are contiguous
** and row-major, f32 or f64, with any number of leading batch dimensions, which the
** operands of a call share; a side has at most MARE_MAXSIDE rows.  bad, where it is a
** parameter, receives {the matrix of the batch, the row of it} of a failure, 1-based.
** MARE_NOTFINITE: NaN or infinity in a matrix (*bad: which).  MARE_NOLAPACK: there is
** no LAPACK on this machine; mare_solve_triangular needs none.
*/
#ifndef MARE_LINALG_H
#define MARE_LINALG_H

#include "../base/shape.h"
#include "../base/types.h"

#ifdef MARE_OMIT_LAPACK
#define MARE_MISSING "this build has no LAPACK (MARE_OMIT_LAPACK)"
#else
#define MARE_MISSING \
  "linear algebra needs LAPACK, and liblapacke.so.3 was not found" \
  " (Debian: liblapacke; to build, liblapacke-dev)"
#endif

#define MARE_MAXSIDE 32767 /* LAPACK counts its working memory with 32 bits */

/*
** a (.., n, n), of which the lower triangle is read, becomes L, a = L L', with zeros
** above.  MARE_SINGULAR: not positive definite; bad[1] is the order of the minor.
*/
mare_Status mare_cholesky(mare_Heap *h, mare_Tensor *a, int64_t bad[2]);

/*
** b (.., n, k) becomes l^-1 b, or l'^-1 b when transposed; l (.., n, n) is lower
** triangular, what is above is not read.  Either may have any strides.
** MARE_SINGULAR: a 0 on the diagonal.
*/
mare_Status mare_solve_triangular(mare_Heap *h, bool transposed, const mare_Tensor *l,
                                  mare_Tensor *b, int64_t bad[2]);

/*
** a (.., n, n) symmetric, of which the lower triangle is read: its columns become the
** eigenvectors, the largest element of each positive; w (.., n) the eigenvalues, in
** ascending order.  MARE_DIVERGED: no convergence.
*/
mare_Status mare_eigh(mare_Heap *h, mare_Tensor *a, mare_Tensor *w, int64_t bad[2]);
/* the eigenvalues alone; a is lost */
mare_Status mare_eigvalsh(mare_Heap *h, mare_Tensor *a, mare_Tensor *w, int64_t bad[2]);

/*
** a (.., m, n) = u diag(s) vh, with u (.., m, k), s (.., k) descending, vh (.., k, n)
** and k the smaller of m and n; a is lost.  The largest element of each column of u
** is positive.  u and vh may be NULL.
*/
mare_Status mare_svd(mare_Heap *h, mare_Tensor *a, mare_Tensor *u, mare_Tensor *s,
                     mare_Tensor *vh, int64_t bad[2]);

/* a (.., m, n) = q r, with q (.., m, k) and r (.., k, n) upper triangular; a is lost */
mare_Status mare_qr(mare_Heap *h, mare_Tensor *a, mare_Tensor *q, mare_Tensor *r,
                    int64_t bad[2]);

/* b (.., n, k) becomes a^-1 b; a (.., n, n) is lost.  MARE_SINGULAR: a pivot is 0. */
mare_Status mare_solve(mare_Heap *h, mare_Tensor *a, mare_Tensor *b, int64_t bad[2]);
mare_Status mare_inverse(mare_Heap *h, mare_Tensor *a, int64_t bad[2]); /* in place */
/* y (.., 1): the determinant; y (.., 2): its sign and log |det|; a is lost */
mare_Status mare_det(mare_Heap *h, mare_Tensor *a, mare_Tensor *y, int64_t bad[2]);

/*
** x (.., n, k): of all x that make |a x - b| least, the smallest, by a singular value
** decomposition; a (.., m, n), b (.., m, k).  Singular values below rcond times the
** largest count as 0.  s (.., min(m, n)) receives them, rank (..), i64, how many count.
** MARE_NOTFINITE in b: bad[1] is 2.
*/
mare_Status mare_lstsq(mare_Heap *h, const mare_Tensor *a, const mare_Tensor *b,
                       double rcond, mare_Tensor *x, mare_Tensor *s, mare_Tensor *rank,
                       int64_t bad[2]);

#endif
