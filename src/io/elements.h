/* elements.h -- runs of numbers in files, of whatever type and byte order. */
#ifndef MARE_ELEMENTS_H
#define MARE_ELEMENTS_H

#include "bytes.h"

typedef struct mare_Format {
  char kind;  /* 'f', 'i', 'u', 'b' (0 or 1), 'B' (bfloat16) */
  uint8_t size;
  bool big;   /* the highest byte first */
} mare_Format;

/* the type that holds every value of this format; false: there is none */
bool mare_format_dtype(mare_Format f, mare_Dtype *dt);
bool mare_is_native(mare_Format f); /* it is that type as it stands */
/*
** Reads as many as the contiguous t has, whose type is the one of the format.
** MARE_FORMAT when an unsigned one of 64 bits is past the largest i64.
*/
mare_Status mare_read_elements(mare_Source *s, mare_Format f, mare_Tensor *t);

#endif
