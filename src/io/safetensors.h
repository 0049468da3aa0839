/*
** safetensors.h -- named tensors and a map of strings in one file: the length of
** a JSON header (8 bytes, little-endian), the header, the elements.  Reading
** believes nothing: every number is checked against the file before use.
*/
#ifndef MARE_SAFETENSORS_H
#define MARE_SAFETENSORS_H

#include "elements.h"

typedef struct mare_Text {
  const char *s;
  size_t n;
} mare_Text;

typedef struct mare_Entry {
  mare_Text name;
  mare_Tensor t;       /* reading: shape and type, no storage; writing: the tensor */
  mare_Format format;  /* reading: what is in the file */
  uint64_t begin, end; /* its bytes, counted from the end of the header */
} mare_Entry;

typedef struct mare_Pair {
  mare_Text key, value;
} mare_Pair;

typedef struct mare_Header {
  mare_Heap *heap;
  char *text;         /* what the names point into */
  int nentry, npair;
  mare_Entry *entry;
  mare_Entry **order; /* the entries as their bytes follow one another */
  mare_Pair *pair;
} mare_Header;

/*
** Reads and checks the header: entries lie within the file, one after another,
** without gap, overlap or a name used twice.  Free h afterwards in any case.
*/
mare_Status mare_header_read(mare_Source *s, mare_Header *h);
void mare_header_free(mare_Header *h);

/*
** Makes the header for n tensors, largest elements first, then by name.  The
** caller fills entry[].name and .t; order, begin and end are set.  *text, in
** scratch memory, holds the 8 bytes of the length and the header.
*/
mare_Status mare_header_make(mare_Heap *heap, int n, mare_Entry *entry,
                             mare_Entry **order, int npair, const mare_Pair *pair,
                             char **text, size_t *length);

bool mare_is_utf8(mare_Text t);

#endif
