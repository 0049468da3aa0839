/* optim_rows.h -- what optim.c and optim_matrix.c share. */
#ifndef MARE_OPTIM_ROWS_H
#define MARE_OPTIM_ROWS_H

#include "optim.h"

/* the place of a row in the table */
enum {
#define ROW(name, ...) MARE_ROW_##name,
#define TENSORWISE(name, ...) MARE_ROW_##name,
#include "optim.def"
#undef ROW
#undef TENSORWISE
  MARE_NOPTIMIZER
};

/*
** A tool of optim.def over n contiguous elements, in pieces: p from g (p where it
** takes none) and a.
*/
void mare_tool_run(int row, mare_Dtype dt, double a, int64_t n, void *p, const void *g);
/* its kernel */
mare_Update *mare_tool(int row, mare_Dtype dt);

/* what a row for matrices does besides its passes over the elements */
typedef struct mare_MatrixRow {
  size_t (*scratch)(const mare_Param *p);
  /* before and after the measurement; h as for a step, behind it its constants */
  void (*before)(mare_Param *p, const double *h, void *scratch);
  void (*after)(mare_Param *p, const double *h, void *scratch);
} mare_MatrixRow;

extern const mare_MatrixRow mare_matrix_rows[MARE_NOPTIMIZER];

#endif
