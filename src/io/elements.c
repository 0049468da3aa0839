/* elements.c -- numbers of files become elements of tensors. */
#include "elements.h"

#include <math.h>
#include <string.h>

#define BLOCK 4096 /* elements converted at a time */

bool mare_format_dtype(mare_Format f, mare_Dtype *dt) {
  static const struct {
    char kind, size;
    mare_Dtype dtype;
  } known[] = {{'f', 2, MARE_F32}, {'f', 4, MARE_F32}, {'f', 8, MARE_F64},
               {'i', 1, MARE_I64}, {'i', 2, MARE_I64}, {'i', 4, MARE_I64},
               {'i', 8, MARE_I64}, {'u', 1, MARE_U8},  {'u', 2, MARE_I64},
               {'u', 4, MARE_I64}, {'b', 1, MARE_U8}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].kind == f.kind && known[i].size == f.size) {
      *dt = known[i].dtype;
      return true;
    }
  return false;
}

static uint64_t bits(const unsigned char *p, mare_Format f) {
  uint64_t v = 0;
  for (int i = 0; i < f.size; i++) v = v << 8 | p[f.big ? i : f.size - 1 - i];
  return v;
}

static float half(uint64_t h) {
  int e = h >> 10 & 31, m = h & 1023;
  float v = e == 31 ? m ? NAN : HUGE_VALF
                    : ldexpf((float)(e ? m + 1024 : m), e ? e - 25 : -24);
  return h >> 15 ? -v : v;
}

static void convert(mare_Format f, size_t n, const unsigned char *in, char *out) {
  for (size_t i = 0; i < n; i++, in += f.size) {
    uint64_t v = bits(in, f);
    if (f.kind == 'f' && f.size < 8) {
      float x = half(v);
      uint32_t single = (uint32_t)v;
      memcpy(out + 4 * i, f.size == 2 ? (void *)&x : &single, 4);
      continue;
    }
    if (f.kind == 'i') { /* extends the sign */
      int spare = 64 - 8 * f.size;
      v = (uint64_t)((int64_t)(v << spare) >> spare);
    }
    memcpy(out + 8 * i, &v, 8);
  }
}

mare_Status mare_read_elements(mare_Source *s, mare_Format f, mare_Tensor *t) {
  unsigned char block[BLOCK * 8];
  size_t left = (size_t)t->numel, width = mare_sizeof[t->dtype];
  mare_Status st = MARE_OK;
  if (width == f.size && (!f.big || width == 1))
    return mare_source_read(s, t->data, left * width);
  for (char *out = t->data; st == MARE_OK && left > 0;) {
    size_t n = left < BLOCK ? left : BLOCK;
    st = mare_source_read(s, block, n * f.size);
    if (st == MARE_OK) convert(f, n, block, out);
    out += n * width;
    left -= n;
  }
  return st;
}
