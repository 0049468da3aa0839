/*
** optim.h -- optimizers: rows of optim.def and one pass over memory for a step.
*/
#ifndef MARE_OPTIM_H
#define MARE_OPTIM_H

#include "../base/types.h"

#define MARE_MAXSLOT 4   /* state tensors for each parameter */
#define MARE_MAXHYPER 10 /* hyper-parameters, lr included */
#define MARE_MAXSTEP 8   /* constants of a step ... */
#define MARE_MAXTENSOR 3 /* ... and of one parameter */

/*
** One element type's update of n elements: p the parameter, g its gradient, s
** the state slots and what takes u; h the hyper-parameters followed by the constants.
*/
typedef void mare_Update(size_t n, void *p, const void *g, void *const *s,
                         const double *h);

typedef struct mare_Hyper {
  const char *name;
  double value;  /* the default */
  double lo, hi; /* lo <= value < hi */
  bool flag;     /* 0 or 1; true or false for Lua */
} mare_Hyper;

typedef enum mare_SlotKind {
  MARE_FULL,    /* like the parameter */
  MARE_ROWS,    /* a value for each row of a matrix ... */
  MARE_COLUMNS, /* ... for each column */
  MARE_WORK,    /* like the parameter, during a step only */
  MARE_WORK_ROWS, MARE_WORK_COLUMNS /* for each row or column, during a step only */
} mare_SlotKind;

typedef struct mare_Slot {
  const char *name;
  const char *hyper; /* kept only while this hyper-parameter is not 0; NULL: always */
  mare_SlotKind kind;
} mare_Slot;

typedef struct mare_Param mare_Param;
typedef struct mare_Optimizer mare_Optimizer;

struct mare_Optimizer {
  const char *name;
  int nslot, nhyper, nstep;
  mare_Slot slot[MARE_MAXSLOT];
  mare_Hyper hyper[MARE_MAXHYPER]; /* lr first */
  const char *prelude; /* constants of a step, C and Lua alike: "a = ...;" */
  const char *update;  /* one element, C and Lua alike */
  const char *doc, *source; /* NULL: not for users */
  void (*prepare)(double *h, double t); /* h[nhyper..] = the step's constants */
  /* rows TENSORWISE only */
  const char *tensor, *measure; /* constants of a parameter, and what comes before */
  unsigned squares;             /* which sums of squares are asked for */
  void (*prepare_tensor)(const double *h, mare_Param *p);
};

extern const mare_Optimizer mare_optimizers[]; /* ends with name == NULL */

/* One parameter of a step; all memory contiguous, of one element type. */
struct mare_Param {
  mare_Dtype dtype;
  int64_t numel, rows; /* rows: of a matrix; 1 */
  void *value;
  const void *grad;
  void *slot[MARE_MAXSLOT]; /* zeros before step 1; NULL where the slot is not kept */
  /* set by mare_optim_step */
  int64_t start; /* its place among all elements ... */
  double *part;  /* ... and where its pieces' sums of squares go, three for each */
  double sum[3];
  double tensor[MARE_MAXTENSOR];
};

const mare_Optimizer *mare_optimizer_find(const char *name);
/* the row for matrices, or o itself */
const mare_Optimizer *mare_optimizer_matrix(const mare_Optimizer *o);
int mare_hyper_find(const mare_Optimizer *o, const char *name); /* its index, or -1 */

/* whether slot k is kept with these hyper-parameters, from step to step */
bool mare_optim_keeps(const mare_Optimizer *o, int k, const double *hyper);

/* bytes of working memory that a step of these parameters needs; often 0 */
size_t mare_optim_scratch(const mare_Optimizer *o, int nparam, const mare_Param *param);

/*
** Updates every parameter in one pass, in pieces that depend on the sizes alone.
** h holds the hyper-parameters in the order of the row, and has room for the
** constants of the step behind them; t is the number of this step, from 1.
** A row for matrices takes one parameter at a time.
*/
void mare_optim_step(const mare_Optimizer *o, double h[MARE_MAXHYPER + MARE_MAXSTEP],
                     int64_t t, int nparam, mare_Param *param, void *scratch);

/* The sum of the squares of all values; scratch as for a step of lars. */
double mare_optim_squares(int nparam, mare_Param *param, void *scratch);

#endif
