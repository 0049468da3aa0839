/*
** shape.h -- sizes, strides, broadcasting and views.  Nothing here allocates,
** except mare_tensor_new; a view shares the storage without counting itself.
*/
#ifndef MARE_SHAPE_H
#define MARE_SHAPE_H

#include "types.h"
#include "storage.h"

#define MARE_SHAPETEXT 192 /* room for any shape as text */

/* numel of a shape; false when it does not fit into memory for this dtype */
bool mare_numel(int ndim, const int64_t *shape, mare_Dtype dt, int64_t *numel);

/* t becomes a contiguous tensor of this shape without a storage */
bool mare_shape_set(mare_Tensor *t, mare_Dtype dt, int ndim, const int64_t *shape);

/* gives t, whose shape is set, a fresh storage (refcount 1, not initialised) */
mare_Status mare_tensor_alloc(mare_Heap *h, mare_Tensor *t);
mare_Status mare_tensor_new(mare_Heap *h, mare_Tensor *t, mare_Dtype dt, int ndim,
                            const int64_t *shape);
void mare_tensor_release(mare_Tensor *t); /* releases the storage; t is closed then */

bool mare_is_contiguous(const mare_Tensor *t); /* row-major without gaps */
bool mare_same_shape(const mare_Tensor *a, const mare_Tensor *b);
/* same elements, same order */
bool mare_same_view(const mare_Tensor *a, const mare_Tensor *b);

/* the broadcast of two shapes; false when they do not fit */
bool mare_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *n,
                    int64_t *out);
/* v = t seen as a tensor of this larger shape, with stride 0 where it repeats */
bool mare_expand(const mare_Tensor *t, int ndim, const int64_t *shape, mare_Tensor *v);

/* Views; dimensions and positions are 0-based and already checked. */
void mare_select(mare_Tensor *t, int dim, int64_t index);
void mare_slice(mare_Tensor *t, int dim, int64_t first, int64_t length, int64_t step);
void mare_transpose(mare_Tensor *t, int d1, int d2);
void mare_permute(mare_Tensor *t, const int *order);
void mare_unsqueeze(mare_Tensor *t, int dim);
void mare_squeeze(mare_Tensor *t, int dim); /* shape[dim] is 1 */
/* reshape without a copy; false when the strides do not allow it */
bool mare_view_as(const mare_Tensor *t, int ndim, const int64_t *shape, mare_Tensor *v);

/* drops dimensions of size 1 and merges neighbours where every operand allows */
int mare_collapse(int nop, mare_Tensor *const *op);

/* "3x4", "scalar" */
const char *mare_shape_text(char *buf, int ndim, const int64_t *shape);

#endif
