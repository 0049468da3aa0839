/* absent.c -- empty lists, until the files that fill them are there. */
#include "bind.h"
#define WEAK __attribute__((weak))
WEAK const Op reduce_ops[] = {{0}};
WEAK const Op index_ops[] = {{0}};
WEAK const Function reduce_functions[] = {{0}};
WEAK const Function index_functions[] = {{0}};
WEAK const Function optim_functions[] = {{0}};
WEAK const Function io_functions[] = {{0}};
WEAK const Function view_functions[] = {{0}};
WEAK const Function product_functions[] = {{0}};
