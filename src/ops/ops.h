/*
** ops.h -- operations on tensors.  Outputs are allocated by the caller with the
** right shape and type; operands were checked.  Inputs may have any strides;
** outputs too unless a line says "contiguous".  An output never overlaps an
** input unless it is the same view.
*/
#ifndef MARE_OPS_H
#define MARE_OPS_H

#include "../base/shape.h"
#include "../base/types.h"

/* -- apply.c: rows of ops.def ------------------------------------------------ */

const mare_Row *mare_row_find(const char *name);
const mare_Kernels *mare_row_kernels(const mare_Row *row); /* for this machine */
mare_Runner *mare_row_runner(const mare_Row *row, mare_Dtype dt); /* of its kernels */
mare_Runner mare_run_any; /* of a kernel that takes any number of elements */
/* "avx512", "avx2" or "base" */
const char *mare_isa(void);
bool mare_set_isa(const char *name); /* tests: false when this machine lacks it */

/*
** Runs a kernel over operands of one shape (op[0] is the result; inputs were
** expanded by mare_expand).  Element types may differ; the kernel knows them.
*/
void mare_apply(mare_Kernel *k, mare_Runner *run, const double *param, int nop,
                mare_Tensor *const *op);
/* The same for a kernel that copies op[1] to op[0]: it may not be needed. */
void mare_apply_copy(mare_Kernel *k, mare_Tensor *const *op);

/* -- copy.c ------------------------------------------------------------------ */

void mare_copy(mare_Tensor *y, const mare_Tensor *x); /* same shape; converts the type */
void mare_fill(mare_Tensor *y, double v);
void mare_fill_integer(mare_Tensor *y, int64_t v);
/* offset in elements from data */
double mare_get_real(const mare_Tensor *t, int64_t offset);
int64_t mare_get_integer(const mare_Tensor *t, int64_t offset);
void mare_set_real(mare_Tensor *t, int64_t offset, double v); /* i64, u8: truncates */
void mare_set_integer(mare_Tensor *t, int64_t offset, int64_t v);
/* copies n elements of t from row-major position i, to and from contiguous memory */
void mare_gather_block(const mare_Tensor *t, int64_t i, int64_t n, void *out);
void mare_scatter_block(mare_Tensor *t, int64_t i, int64_t n, const void *in);

typedef struct mare_Grid { /* elements in strided memory */
  int64_t rows, columns;
  int64_t down, across; /* bytes to the next row, to the next column */
} mare_Grid;

/* between a grid of elements of size 1, 4 or 8 at p and a contiguous buffer b */
void mare_gather_grid(void *b, const char *p, const mare_Grid *g, int64_t size);
void mare_scatter_grid(const void *b, char *p, const mare_Grid *g, int64_t size);

/* -- reduce.c: bit k of axes set means that dimension k is reduced ----------- */

typedef enum mare_Reduction {
  MARE_SUM, MARE_MEAN, MARE_PROD, MARE_MAX, MARE_MIN, MARE_ANY, MARE_ALL,
  MARE_LOGSUMEXP, MARE_NORM, MARE_VAR, MARE_ARGMAX, MARE_ARGMIN, MARE_NREDUCTION
} mare_Reduction;

/*
** y is contiguous with the reduced dimensions kept as size 1.  param: the p of
** norm, the correction of var (1: unbiased).  Element types of y: x's for sum,
** mean, prod, max, min, norm, var, logsumexp (sum and prod of u8: i64); u8 for
** any, all; i64 for argmax, argmin (1-based; over one dimension or all).
** Sums add in a fixed chunked order with a double accumulator (f32), pairwise
** (f64), or in int64, so they do not depend on the number of threads.
** NaN: max and min return NaN when there is one; argmax its position.
*/
mare_Status mare_reduce(mare_Heap *h, mare_Reduction r, unsigned axes, double param,
                        const mare_Tensor *x, mare_Tensor *y);
void mare_cumsum(int dim, const mare_Tensor *x, mare_Tensor *y); /* y like x */

/* -- sort.c ------------------------------------------------------------------ */

/* stable; values like x and index i64 (1-based); NaN last (first when descending) */
mare_Status mare_sort(mare_Heap *h, int dim, bool descending, const mare_Tensor *x,
                      mare_Tensor *values, mare_Tensor *index);
/* the k largest (or smallest), ordered; ties by lower position first */
mare_Status mare_topk(mare_Heap *h, int dim, int64_t k, bool largest,
                      const mare_Tensor *x, mare_Tensor *values, mare_Tensor *index);

/* -- softmax.c: over one dimension; f32 and f64 ------------------------------- */

void mare_softmax(int dim, bool logarithm, const mare_Tensor *x, mare_Tensor *y);
/* gx from the incoming g and the result y; all of one shape */
void mare_softmax_backward(int dim, bool logarithm, const mare_Tensor *g,
                           const mare_Tensor *y, mare_Tensor *gx);

typedef struct mare_CrossEntropy {
  const mare_Tensor *logits; /* (n, c) */
  const mare_Tensor *labels; /* i64 (n), 1..c; or NULL */
  const mare_Tensor *target; /* (n, c) probabilities; or NULL */
  const mare_Tensor *weight; /* (c), or NULL */
  int64_t ignore;            /* a label without loss; 0: none */
  double smoothing;          /* label smoothing in [0, 1) */
} mare_CrossEntropy;

/*
** loss is (n): the loss of each row, times its weight; *total is the sum of the
** weights (what "mean" divides by).  A label out of range: MARE_BADARG, its
** 1-based row in *bad.
*/
mare_Status mare_cross_entropy(const mare_CrossEntropy *ce, mare_Tensor *loss,
                               double *total, int64_t *bad);
/* gx (n, c), contiguous = d(sum_i g_i loss_i)/d logits; g is (n) */
void mare_cross_entropy_backward(const mare_CrossEntropy *ce, const mare_Tensor *g,
                                 mare_Tensor *gx);

/* -- index.c: positions are 1-based i64; negative ones count from the end ----- */

/* every position in 1..limit or -limit..-1; otherwise the first bad one in *bad */
bool mare_index_check(const mare_Tensor *index, int64_t limit, int64_t *bad);
void mare_index_select(int dim, const mare_Tensor *x, const mare_Tensor *index,
                       mare_Tensor *y);
/* y[.., index[i], ..] += (or =) x[.., i, ..], in the order of index; both contiguous */
void mare_index_put(int dim, mare_Tensor *y, const mare_Tensor *index,
                    const mare_Tensor *x, bool add);
void mare_index_add(int dim, mare_Tensor *y, const mare_Tensor *index,
                    const mare_Tensor *x);
/* index is contiguous, and so is y or x, which has its shape */
void mare_gather(int dim, const mare_Tensor *x, const mare_Tensor *index, mare_Tensor *y);
void mare_scatter_add(int dim, mare_Tensor *y, const mare_Tensor *index,
                      const mare_Tensor *x);
void mare_scatter(int dim, mare_Tensor *y, const mare_Tensor *index,
                  const mare_Tensor *x);
int64_t mare_count_true(const mare_Tensor *mask);                 /* u8 */
/* 1-d, contiguous */
void mare_masked_select(const mare_Tensor *x, const mare_Tensor *mask, mare_Tensor *y);
/* x 1-d */
void mare_masked_scatter(mare_Tensor *y, const mare_Tensor *mask, const mare_Tensor *x);
/* bits: the first bytes of it are the number, in y's type */
void mare_masked_fill(mare_Tensor *y, const mare_Tensor *mask, uint64_t bits);
/* (count, ndim) i64, 1-based */
void mare_nonzero(const mare_Tensor *mask, mare_Tensor *y);
/* y is labels' shape + (classes) */
void mare_onehot(const mare_Tensor *labels, mare_Tensor *y);

/* -- gemm.c: the only file that knows BLIS ------------------------------------ */

/*
** c (m, n) = a (m, k) b (k, n) + beta c, any strides, f32 or f64; 2-d or batched
** 3-d with one common leading size (stride 0 where a batch repeats).  The pieces
** depend on the shape alone.  k == 0 gives beta c.
*/
void mare_gemm(const mare_Tensor *a, const mare_Tensor *b, double beta, mare_Tensor *c);
/* the same for two dimensions, uncut on this thread: for the pieces of another job */
void mare_gemm_whole(const mare_Tensor *a, const mare_Tensor *b, double beta,
                     mare_Tensor *c);
/* y (n, k) = x (n, c) w' + bias, with w (k, c) and bias (k) or NULL */
void mare_linear(const mare_Tensor *x, const mare_Tensor *w, const mare_Tensor *bias,
                 mare_Tensor *y);
/* the triple loop: the oracle of the specs */
void mare_gemm_plain(const mare_Tensor *a, const mare_Tensor *b, double beta,
                     mare_Tensor *c);

#endif
