/*
** optim.h -- optimizers: rows of optim.def and one pass over memory for a step.
*/
#ifndef MARE_OPTIM_H
#define MARE_OPTIM_H

#include "../mare.h"

#define MARE_MAXSLOT 4   /* state tensors for each parameter */
#define MARE_MAXHYPER 12 /* hyper-parameters, lr included, and step constants */

/*
** One element type's update of n elements: p the parameter, g its gradient, s
** the state slots; h the hyper-parameters followed by the step's constants.
*/
typedef void mare_Update(size_t n, void *p, const void *g, void *const *s, const double *h);

typedef struct mare_Optimizer {
  const char *name;
  int nslot, nhyper, nstep;
  const char *slot[MARE_MAXSLOT];
  const char *hyper[MARE_MAXHYPER];   /* lr first */
  double value[MARE_MAXHYPER];        /* defaults */
  const char *prelude;                /* constants of a step, C and Lua alike */
  const char *update;                 /* one element, C and Lua alike */
  const char *doc, *source;
} mare_Optimizer;

extern const mare_Optimizer mare_optimizers[]; /* ends with name == NULL */

/* One parameter of a step; all memory contiguous, of one element type. */
typedef struct mare_Param {
  mare_Dtype dtype;
  int64_t numel;
  void *value;
  const void *grad;
  void *slot[MARE_MAXSLOT];
} mare_Param;

const mare_Optimizer *mare_optimizer_find(const char *name);

/*
** Updates every parameter in one pass, in pieces that depend on the sizes alone.
** hyper: the values in the order of the row; t: the number of this step, from 1.
*/
void mare_optim_step(const mare_Optimizer *o, const double *hyper, int64_t t, int nparam,
                     const mare_Param *param);

#endif
