/*
** models.h -- what estimators compute in C: routines over tensors, each a row of a
** list with a signature from which the binding checks its arguments.
**
** A signature names the arguments, separated by spaces: a letter for the type (r: f32
** or f64, the same for all r of a call; d: f64; i: i64; u: u8; a: any; n: a number),
** then for tensors a colon and a letter for each dimension.  A dimension that occurs
** twice has one size.  In front, ! is written to and ? may be nil.  All tensors are
** contiguous.
**
**   "r:nd i:n ?d:n !d:kd"    x (n, d), codes (n), maybe weights (n); means (k, d)
*/
#ifndef MARE_MODELS_H
#define MARE_MODELS_H

#include "../base/shape.h"
#include "../base/types.h"

#define MARE_MAXVALUES 16 /* arguments of a routine */
#define MARE_MAXOUT 4     /* numbers it returns */

typedef struct mare_Values {
  mare_Tensor t[MARE_MAXVALUES]; /* argument i, if a tensor; storage NULL: nil */
  double n[MARE_MAXVALUES];      /* argument i, if a number */
  double out[MARE_MAXOUT];       /* what Lua gets after true, or after false */
  int nout;
} mare_Values;

/*
** MARE_OK gives true and the numbers out; MARE_NOMEM is tried again after a collection,
** so a routine asks for all its memory before it writes; another status gives false and
** the numbers out, which say where the trouble is.
*/
typedef mare_Status mare_Routine(mare_Heap *h, mare_Values *v);

typedef struct mare_RoutineRow {
  const char *name, *signature;
  mare_Routine *run;
} mare_RoutineRow;

/* each list ends with name == NULL; bind/models.c has the list of lists */
extern const mare_RoutineRow mare_model_routines[], mare_moment_routines[],
    mare_gaussian_routines[], mare_cluster_routines[], mare_coordinate_routines[],
    mare_perceptron_routines[];

#endif
