/*
** optim.h -- optimizers: rows of optim.def and one pass over memory for a step.
*/
#ifndef MARE_OPTIM_H
#define MARE_OPTIM_H

#include "../mare.h"

#define MARE_MAXSLOT 4   /* state tensors for each parameter */
#define MARE_MAXHYPER 8  /* hyper-parameters, lr included */
#define MARE_MAXSTEP 8   /* constants of a step */

/*
** One element type's update of n elements: p the parameter, g its gradient, s
** the state slots; h the hyper-parameters followed by the step's constants.
*/
typedef void mare_Update(size_t n, void *p, const void *g, void *const *s,
                         const double *h);

typedef struct mare_Hyper {
  const char *name;
  double value;  /* the default */
  double lo, hi; /* lo <= value < hi */
  bool flag;     /* 0 or 1; true or false for Lua */
} mare_Hyper;

typedef struct mare_Slot {
  const char *name;
  const char *hyper; /* kept only while this hyper-parameter is not 0; NULL: always */
} mare_Slot;

typedef struct mare_Optimizer {
  const char *name;
  int nslot, nhyper, nstep;
  mare_Slot slot[MARE_MAXSLOT];
  mare_Hyper hyper[MARE_MAXHYPER]; /* lr first */
  const char *step[MARE_MAXSTEP];  /* names of the constants of a step */
  const char *prelude;             /* their values, C and Lua alike: "a = ...;" */
  const char *update;              /* one element, C and Lua alike */
  const char *doc, *source;
  void (*prepare)(double *h, double t); /* h[nhyper..] = the step's constants */
} mare_Optimizer;

extern const mare_Optimizer mare_optimizers[]; /* ends with name == NULL */

/* One parameter of a step; all memory contiguous, of one element type. */
typedef struct mare_Param {
  mare_Dtype dtype;
  int64_t numel;
  void *value;
  const void *grad;
  void *slot[MARE_MAXSLOT]; /* zeros before step 1; NULL where the slot is not kept */
  int64_t start;            /* set by mare_optim_step: its place among all elements */
} mare_Param;

const mare_Optimizer *mare_optimizer_find(const char *name);
int mare_hyper_find(const mare_Optimizer *o, const char *name); /* its index, or -1 */

/* whether slot k is kept with these hyper-parameters */
bool mare_optim_keeps(const mare_Optimizer *o, int k, const double *hyper);

/*
** Updates every parameter in one pass, in pieces that depend on the sizes alone.
** h holds the hyper-parameters in the order of the row, and has room for the
** constants of the step behind them; t is the number of this step, from 1.
*/
void mare_optim_step(const mare_Optimizer *o, double h[MARE_MAXHYPER + MARE_MAXSTEP],
                     int64_t t, int nparam, mare_Param *param);

#endif
