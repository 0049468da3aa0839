/* npy.c -- any bytes as an array of NumPy's: an error or a tensor. */
#include "../../src/io/npy.h"

#include "../../src/base/shape.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n) {
  mare_Heap *h = mare_heap_new(NULL, NULL);
  mare_Source s;
  mare_Npy x;
  h->limit = 1 << 26;
  if (mare_source_string(&s, h, "fuzz", bytes, n) == MARE_OK &&
      mare_npy_header(&s, &x) == MARE_OK && mare_tensor_alloc(h, &x.t) == MARE_OK) {
    mare_npy_data(&s, &x, &x.t);
    mare_tensor_release(&x.t);
  }
  mare_source_close(&s);
  if (h->blocks != 0) __builtin_trap(); /* something was not freed */
  mare_heap_close(h);
  return 0;
}
