/* absent.c -- empty lists, until the files that fill them are there. */
#include "bind.h"
#define WEAK __attribute__((weak))
WEAK const Op index_ops[] = {{0}};
WEAK const Function index_functions[] = {{0}};
WEAK const Function optim_functions[] = {{0}};
WEAK const Function io_functions[] = {{0}};
WEAK const Function view_functions[] = {{0}};
WEAK const Function product_functions[] = {{0}};
WEAK mare_Status mare_sort(mare_Heap *h, int dim, bool descending, const mare_Tensor *x,
                      mare_Tensor *values, mare_Tensor *index) { (void)h, (void)dim, (void)descending, (void)x, (void)values, (void)index; return MARE_NOMEM; }
WEAK mare_Status mare_topk(mare_Heap *h, int dim, int64_t k, bool largest, const mare_Tensor *x,
                      mare_Tensor *values, mare_Tensor *index) { (void)h, (void)dim, (void)k, (void)largest, (void)x, (void)values, (void)index; return MARE_NOMEM; }
