/*
** conv.h -- convolutions of planes by products: the patches under a kernel become the
** columns of a matrix.
*/
#ifndef MARE_CONV_H
#define MARE_CONV_H

#include "../base/types.h"

/* x is (n, c, h, w), the weight (o, c / groups, kh, kw), y (n, o, oh, ow) */
typedef struct mare_Conv {
  int64_t n, c, h, w, o, kh, kw, oh, ow, groups;
  int64_t sh, sw, ph, pw, dh, dw; /* stride, padding, dilation; down and across */
} mare_Conv;

/* sets oh and ow; false when the kernel does not fit into the padded plane */
bool mare_conv_fit(mare_Conv *g);

/* All tensors contiguous, of one real type. bias (o), or NULL. */
mare_Status mare_conv(mare_Heap *h, const mare_Conv *g, const mare_Tensor *x,
                      const mare_Tensor *w, const mare_Tensor *bias, mare_Tensor *y);
/* gx from the gradient of y: the transposed convolution */
mare_Status mare_conv_input(mare_Heap *h, const mare_Conv *g, const mare_Tensor *gy,
                            const mare_Tensor *w, mare_Tensor *gx);
mare_Status mare_conv_weight(mare_Heap *h, const mare_Conv *g, const mare_Tensor *gy,
                             const mare_Tensor *x, mare_Tensor *gw);

/* y (n, c kh kw, oh ow) = the patches of x; x = their sum where they came from */
void mare_unfold(const mare_Conv *g, const mare_Tensor *x, mare_Tensor *y);
void mare_fold(const mare_Conv *g, const mare_Tensor *y, mare_Tensor *x);
/* index (n, c, oh, ow), i64: the 1-based place in h w of each patch's largest value */
void mare_pool_index(const mare_Conv *g, const mare_Tensor *x, mare_Tensor *index);

#endif
