/*
** idx.c -- reading IDX.  Bytes and floats keep their type; the other integers
** become i64.
*/
#include "idx.h"

#include "../base/shape.h"
#include "elements.h"

typedef struct Type {
  int code;
  mare_Format format;
} Type;

static const Type types[] = {{0x08, {'u', 1, true}}, {0x09, {'i', 1, true}},
                             {0x0b, {'i', 2, true}}, {0x0c, {'i', 4, true}},
                             {0x0d, {'f', 4, true}}, {0x0e, {'f', 8, true}}};

static const Type *find_type(int code) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].code == code) return &types[i];
  return NULL;
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
  mare_Dtype dt = MARE_U8;
  mare_Format f;
  mare_Status st = read_magic(s, &x->type, &ndim);
  for (int i = 0; st == MARE_OK && i < ndim; i++) {
    st = mare_source_read(s, size, sizeof size);
    shape[i] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
  }
  if (st != MARE_OK) return st;
  f = find_type(x->type)->format;
  mare_format_dtype(f, &dt);
  if (!mare_shape_set(&x->t, dt, ndim, shape) ||
      (uint64_t)x->t.numel > mare_source_room(s) / f.size)
    return mare_source_fail(s, MARE_FORMAT,
                            "the header promises %s elements of %d bytes: too many",
                            mare_shape_text(text, ndim, shape), f.size);
  return MARE_OK;
}

mare_Status mare_idx_data(mare_Source *s, const mare_Idx *x, mare_Tensor *t) {
  mare_Status st = mare_read_elements(s, find_type(x->type)->format, t);
  return st == MARE_OK ? mare_source_finish(s) : st;
}
