/*
** idx.h -- the IDX format of the MNIST family: a magic number that holds the
** element type and the number of dimensions, sizes, elements, all big-endian.
*/
#ifndef MARE_IDX_H
#define MARE_IDX_H

#include "bytes.h"

typedef struct mare_Idx {
  int type;        /* the format's code: 8 is u8 */
  mare_Tensor t;   /* shape and type of the tensor that will hold it; no storage */
} mare_Idx;

/* Checks the header and that the elements can be there. */
mare_Status mare_idx_header(mare_Source *s, mare_Idx *x);
/* Reads the elements into t, which has x's shape and type; nothing may follow. */
mare_Status mare_idx_data(mare_Source *s, const mare_Idx *x, mare_Tensor *t);

#endif
