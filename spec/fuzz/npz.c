/* npz.c -- any bytes as an archive of arrays: an error or tensors. */
#include "../../src/base/shape.h"
#include "../../src/io/npy.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void read_member(mare_Source *s, mare_Zip *z, int i) {
  mare_Source part = {0};
  mare_Npy x;
  if (mare_zip_open(s, z, i, &part) == MARE_OK && mare_npy_header(&part, &x) == MARE_OK &&
      mare_tensor_alloc(s->heap, &x.t) == MARE_OK) {
    mare_npy_data(&part, &x, &x.t);
    mare_tensor_release(&x.t);
  }
  mare_source_close(&part);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n) {
  mare_Heap *h = mare_heap_new(NULL, NULL);
  mare_Source s;
  mare_Zip z = {0};
  h->limit = 1 << 26;
  if (mare_source_string(&s, h, "fuzz", bytes, n) == MARE_OK &&
      mare_zip_read(&s, &z) == MARE_OK)
    for (int i = 0; i < z.n && i < 20; i++) read_member(&s, &z, i);
  mare_zip_free(&z);
  mare_source_close(&s);
  if (h->blocks != 0) __builtin_trap(); /* something was not freed */
  mare_heap_close(h);
  return 0;
}
