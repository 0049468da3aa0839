/*
** npy.h -- the formats of NumPy: an array with a header that is a Python dict, and
** archives (zip) of them.
*/
#ifndef MARE_NPY_H
#define MARE_NPY_H

#include "elements.h"
#include "safetensors.h" /* mare_Text */

typedef struct mare_Npy {
  mare_Tensor t; /* shape and type; no storage */
  mare_Format format;
  bool fortran;  /* the shape is reversed: the first dimension runs fastest */
} mare_Npy;

/* Checks the header and that the elements can be there. */
mare_Status mare_npy_header(mare_Source *s, mare_Npy *x);
/* Reads the elements into t, which has x's shape and type; nothing may follow. */
mare_Status mare_npy_data(mare_Source *s, const mare_Npy *x, mare_Tensor *t);

typedef struct mare_Member { /* a file in an archive */
  mare_Text name;
  uint64_t at, packed, size; /* its header; bytes there and unpacked */
  uint32_t sum;
  bool deflated;
} mare_Member;

typedef struct mare_Zip {
  mare_Heap *heap;
  char *text;  /* the directory */
  char *label; /* "archive/member" for messages */
  uint64_t begin; /* of the directory */
  int n;
  mare_Member *member;
} mare_Zip;

/* Reads and checks the directory.  Free z afterwards in any case. */
mare_Status mare_zip_read(mare_Source *s, mare_Zip *z);
/* A member as a source; s is left with the message if that fails. */
mare_Status mare_zip_open(mare_Source *s, mare_Zip *z, int i, mare_Source *part);
void mare_zip_free(mare_Zip *z);

#endif
