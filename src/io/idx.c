/*
** idx.c -- reading IDX.  Bytes and floats keep their type; the other integers
** become i64.
*/
#include "idx.h"

#include <string.h>

#include "../base/shape.h"

#define BLOCK 4096 /* elements converted at a time */

typedef struct Type {
  int code;
  size_t size; /* bytes in the file */
  mare_Dtype dtype;
} Type;

static const Type types[] = {{0x08, 1, MARE_U8},  {0x09, 1, MARE_I64},
                             {0x0b, 2, MARE_I64}, {0x0c, 4, MARE_I64},
                             {0x0d, 4, MARE_F32}, {0x0e, 8, MARE_F64}};

static const Type *find_type(int code) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].code == code) return &types[i];
  return NULL;
}

static uint64_t big_endian(const unsigned char *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
  return v;
}

static mare_Status read_magic(mare_Source *s, int *type, int *ndim) {
  unsigned char magic[4];
  mare_Status st = mare_source_read(s, magic, sizeof magic);
  if (st != MARE_OK) return st;
  if (magic[0] || magic[1] || find_type(magic[2]) == NULL)
    return mare_source_fail(s, MARE_FORMAT,
                            "not an IDX file: it begins with %02x %02x %02x %02x",
                            magic[0], magic[1], magic[2], magic[3]);
  if (magic[3] > MARE_MAXDIM)
    return mare_source_fail(s, MARE_FORMAT, "%d dimensions; at most %d are supported",
                            magic[3], MARE_MAXDIM);
  *type = magic[2];
  *ndim = magic[3];
  return MARE_OK;
}

mare_Status mare_idx_header(mare_Source *s, mare_Idx *x) {
  unsigned char size[4];
  int64_t shape[MARE_MAXDIM];
  char text[MARE_SHAPETEXT];
  int ndim = 0;
  const Type *type;
  mare_Status st = read_magic(s, &x->type, &ndim);
  for (int i = 0; st == MARE_OK && i < ndim; i++) {
    st = mare_source_read(s, size, sizeof size);
    shape[i] = (int64_t)big_endian(size, sizeof size);
  }
  if (st != MARE_OK) return st;
  type = find_type(x->type);
  if (!mare_shape_set(&x->t, type->dtype, ndim, shape) ||
      (uint64_t)x->t.numel > mare_source_room(s) / type->size)
    return mare_source_fail(s, MARE_FORMAT,
                            "the header promises %s elements of %d bytes: too many",
                            mare_shape_text(text, ndim, shape), (int)type->size);
  return MARE_OK;
}

/* n big-endian elements to the machine's order or to i64 */
static void convert(const Type *type, size_t n, const unsigned char *in, char *out) {
  for (size_t i = 0; i < n; i++, in += type->size) {
    uint64_t v = big_endian(in, type->size);
    if (type->dtype == MARE_F32) {
      uint32_t half = (uint32_t)v;
      memcpy(out + 4 * i, &half, 4);
    }
    else {
      int spare = type->dtype == MARE_I64 ? 64 - 8 * (int)type->size : 0;
      int64_t full = (int64_t)(v << spare) >> spare; /* extends the sign */
      memcpy(out + 8 * i, &full, 8);
    }
  }
}

mare_Status mare_idx_data(mare_Source *s, const mare_Idx *x, mare_Tensor *t) {
  const Type *type = find_type(x->type);
  unsigned char block[BLOCK * 8];
  size_t left = (size_t)t->numel, width = mare_sizeof[t->dtype];
  mare_Status st = MARE_OK;
  if (type->dtype == MARE_U8) {
    st = mare_source_read(s, t->data, left);
    left = 0;
  }
  for (char *out = t->data; st == MARE_OK && left > 0;) {
    size_t n = left < BLOCK ? left : BLOCK;
    st = mare_source_read(s, block, n * type->size);
    if (st == MARE_OK) convert(type, n, block, out);
    out += n * width;
    left -= n;
  }
  return st == MARE_OK ? mare_source_finish(s) : st;
}
