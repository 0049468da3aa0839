/* safetensors.c -- any bytes as a safetensors file: an error or entries to read. */
#include "../../src/base/shape.h"
#include "../../src/io/safetensors.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void read_entries(mare_Source *s, mare_Header *head) {
  for (int i = 0; i < head->nentry; i++) {
    mare_Tensor t = head->order[i]->t;
    if (mare_tensor_alloc(head->heap, &t) != MARE_OK) return;
    mare_read_elements(s, head->order[i]->format, &t);
    mare_tensor_release(&t);
  }
  mare_source_finish(s);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n) {
  mare_Heap *h = mare_heap_new(NULL, NULL);
  mare_Source s;
  mare_Header head;
  h->limit = 1 << 26;
  if (mare_source_string(&s, h, "fuzz", bytes, n) == MARE_OK) {
    if (mare_header_read(&s, &head) == MARE_OK) read_entries(&s, &head);
    mare_header_free(&head);
  }
  mare_source_close(&s);
  if (h->blocks != 0) __builtin_trap(); /* something was not freed */
  mare_heap_close(h);
  return 0;
}
