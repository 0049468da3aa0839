/* svm.h -- the text format of LIBSVM: a label, then index:value of what is not 0. */
#ifndef MARE_SVM_H
#define MARE_SVM_H

#include "bytes.h"

typedef struct mare_Svm {
  const char *text;     /* ends with a newline and 16 bytes of zero */
  size_t n;             /* without these */
  bool zero;            /* indices begin at 0 */
  int64_t features;     /* columns, or 0: as many as the largest index says */
  int64_t rows;         /* found by the scan */
  bool whole;           /* all labels are whole numbers */
} mare_Svm;

/* Checks everything; rows, whole and, if it is 0, features are set. */
mare_Status mare_svm_scan(mare_Source *s, mare_Svm *v);
/* x is (rows, features) f32, y (rows) f64, of what was scanned. */
void mare_svm_fill(const mare_Svm *v, mare_Tensor *x, mare_Tensor *y);

#endif
