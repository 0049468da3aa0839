/* svm.c -- any bytes as LIBSVM's text: an error, or two tensors. */
#include "../../src/io/svm.h"

#include "../../src/base/shape.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void fill(mare_Heap *h, const mare_Svm *v) {
  mare_Tensor x, y;
  int64_t shape[2] = {v->rows, v->features};
  if (mare_tensor_new(h, &x, MARE_F32, 2, shape) != MARE_OK) return;
  if (mare_tensor_new(h, &y, MARE_F64, 1, shape) == MARE_OK) {
    mare_svm_fill(v, &x, &y);
    mare_tensor_release(&y);
  }
  mare_tensor_release(&x);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n) {
  mare_Heap *h = mare_heap_new(NULL, NULL);
  mare_Source s;
  char *text = NULL;
  mare_Svm v = {0};
  h->limit = 1 << 26;
  if (mare_source_string(&s, h, "fuzz", bytes, n) == MARE_OK &&
      mare_source_all(&s, &text, &v.n) == MARE_OK) {
    v.text = text;
    v.zero = n % 2;
    v.features = n % 3 == 0 ? 1000 : 0;
    if (mare_svm_scan(&s, &v) == MARE_OK) fill(h, &v);
  }
  mare_scratch_free(h, text);
  mare_source_close(&s);
  if (h->blocks != 0) __builtin_trap(); /* something was not freed */
  mare_heap_close(h);
  return 0;
}
