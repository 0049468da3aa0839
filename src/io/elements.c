/* elements.c -- numbers of files become elements of tensors. */
#include "elements.h"

#include <string.h>

#define BLOCK 4096 /* elements converted at a time */

bool mare_format_dtype(mare_Format f, mare_Dtype *dt) {
  static const struct {
    char kind, size;
    mare_Dtype dtype;
  } known[] = {{'f', 2, MARE_F32}, {'f', 4, MARE_F32}, {'f', 8, MARE_F64},
               {'i', 1, MARE_I64}, {'i', 2, MARE_I64}, {'i', 4, MARE_I64},
               {'i', 8, MARE_I64}, {'u', 1, MARE_U8},  {'u', 2, MARE_I64},
               {'u', 4, MARE_I64}, {'u', 8, MARE_I64}, {'b', 1, MARE_U8},
               {'B', 2, MARE_F32}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].kind == f.kind && known[i].size == f.size) {
      *dt = known[i].dtype;
      return true;
    }
  return false;
}

bool mare_is_native(mare_Format f) {
  if (f.size == 1) return f.kind != 'i';
  return !f.big && ((f.kind == 'f' && f.size >= 4) || (f.kind == 'i' && f.size == 8));
}

/* the element at p, with zeros or copies of its sign before it; 8 bytes are read */
static uint64_t bits(const unsigned char *p, mare_Format f) {
  int spare = 64 - 8 * f.size;
  uint64_t v;
  memcpy(&v, p, 8);
  v = f.big ? __builtin_bswap64(v) : v << spare;
  return f.kind == 'i' ? (uint64_t)((int64_t)v >> spare) : v >> spare;
}

/*
** The bits of the f32 that has the value of an f16: the exponents differ by 112.  No
** number on the way is subnormal: a host may have told the processor to take these for 0.
*/
static uint32_t half(uint32_t h) {
  const uint32_t exponent = h & 0x7c00, bias = 112u << 23;
  const float small = (float)(int32_t)(h & 0x3ff) * 0x1p-24f;
  uint32_t v;
  memcpy(&v, &small, 4);
  if (exponent) v = ((h & 0x7fff) << 13) + bias;
  if (exponent == 0x7c00) v += bias; /* infinity, NaN */
  return v | (h & 0x8000) << 16;
}

MARE_O3 static void halves(size_t n, const unsigned char *in, char *out) {
  for (size_t i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, in + 2 * i, 2);
    uint32_t v = half(h);
    memcpy(out + 4 * i, &v, 4);
  }
}

static void to_f32(mare_Format f, size_t n, const unsigned char *in, char *out) {
  if (f.kind == 'f' && f.size == 2 && !f.big) {
    halves(n, in, out);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t v = (uint32_t)bits(in + i * f.size, f);
    if (f.size == 2) v = f.kind == 'B' ? v << 16 : half(v);
    memcpy(out + 4 * i, &v, 4);
  }
}

/* the number of the first that is no i64, or n */
static size_t to_64(mare_Format f, size_t n, const unsigned char *in, char *out) {
  for (size_t i = 0; i < n; i++) {
    uint64_t v = bits(in + i * f.size, f);
    if (f.kind == 'u' && v > INT64_MAX) return i;
    memcpy(out + 8 * i, &v, 8);
  }
  return n;
}

static mare_Status convert(mare_Source *s, mare_Format f, size_t n,
                           const unsigned char *in, char *out, bool single) {
  size_t done = n;
  if (single) to_f32(f, n, in, out);
  else done = to_64(f, n, in, out);
  if (done == n) return MARE_OK;
  return mare_source_fail(s, MARE_FORMAT, "%llu is past the largest whole number of i64",
                          (unsigned long long)bits(in + done * f.size, f));
}

mare_Status mare_read_elements(mare_Source *s, mare_Format f, mare_Tensor *t) {
  unsigned char block[BLOCK * 8 + 8];
  size_t left = (size_t)t->numel, width = mare_sizeof[t->dtype];
  mare_Status st = MARE_OK;
  if (mare_is_native(f)) return mare_source_read(s, t->data, left * width);
  for (char *out = t->data; st == MARE_OK && left > 0;) {
    size_t n = left < BLOCK ? left : BLOCK;
    st = mare_source_read(s, block, n * f.size);
    if (st == MARE_OK) st = convert(s, f, n, block, out, t->dtype == MARE_F32);
    out += n * width;
    left -= n;
  }
  return st;
}
