/*
** layers.h -- the layers that a model in C may have: how each reads its arguments and
** its weights, what it makes of the shape of a sample, and how it computes.  Each does
** what forward of its namesake in lua/mare/nn does in evaluation, by the same kernels.
*/
#ifndef MARE_LAYERS_H
#define MARE_LAYERS_H

#include "../ops/conv.h"
#include "../ops/ops.h"
#include "json.h"

#define MARE_PLACE 56 /* bytes of the place of a layer in its model */

typedef struct mare_Layer mare_Layer;
typedef struct mare_Reader mare_Reader;

/* the shape of one sample; ndim -1: not known, a size of -1: open */
typedef struct mare_Sample {
  int ndim;
  int64_t size[MARE_MAXDIM];
} mare_Sample;

/* the first thing that went wrong */
typedef struct mare_Note {
  mare_Status st;
  char text[MARE_MESSAGE];
} mare_Note;

#define MARE_BEHIND (-2) /* as ndim: the layer behind it says */

typedef enum mare_Flow {
  MARE_FRESH,  /* y is other memory than x */
  MARE_WITHIN, /* y may be x itself */
  MARE_VIEW    /* y is x with another shape: there is no run */
} mare_Flow;

typedef struct mare_Kind {
  const char *name;
  int most;            /* arguments */
  const char *options; /* names that a table among them may hold */
  mare_Flow flow;
  bool (*read)(mare_Reader *r, mare_Layer *l); /* NULL: it has nothing to read */
  /* s becomes the shape of what it gives; NULL: it stays */
  bool (*shape)(const mare_Layer *l, mare_Sample *s, mare_Note *note);
  mare_Status (*run)(const mare_Layer *l, mare_Heap *h, const mare_Tensor *x,
                     mare_Tensor *y);
  /* sets the sample it asks for, if it does; NULL: see MARE_BEHIND if it has no shape */
  void (*input)(const mare_Layer *l, mare_Sample *s);
  bool positions;      /* it reads i64 */
} mare_Kind;

enum { MARE_WEIGHT, MARE_BIAS, MARE_CENTER, MARE_SCALE, MARE_NWEIGHT };

struct mare_Layer {
  const mare_Kind *kind;
  const char *name;       /* of its class in Lua */
  char place[MARE_PLACE]; /* "2.1": the prefix of its tensors' names */
  int self;               /* its number */
  int end;                /* that of the layer behind it and all it holds */
  int middle;             /* of a Residual: the first layer of its shortcut, or end */
  const mare_Row *row;    /* of an activation, with its parameters */
  double param[MARE_MAXPARAM];
  double eps;
  int dim;                /* 1-based, or negative */
  mare_Sample sizes;      /* numbers of its arguments */
  mare_Conv conv;         /* n is 0; h, w, oh and ow when the input is known */
  mare_Tensor weight[MARE_NWEIGHT]; /* closed: it has none */
  mare_Sample out;        /* of what it gives */
};

/* NULL: there is none of this name.  Sets l->name and, of an activation, l->row. */
const mare_Kind *mare_kind_find(mare_Text name, mare_Layer *l);
/* reads what the kind asks for; false: see the note */
bool mare_layer_read(mare_Reader *r, mare_Layer *l, const mare_Json *list);

/* -- what reading needs; model.c ----------------------------------------------- */

struct mare_Reader {
  mare_Heap *heap;
  mare_Dtype dtype;       /* of all weights */
  const mare_Json *list;  /* of the layer that is read: [name, arguments ...] */
  mare_Note *note;
  struct mare_Model *model;
};

/* false, after "layer 2.1 (Linear): ..." */
bool mare_layer_fail(mare_Note *note, const mare_Layer *l, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* the tensor `place.name` of the file, which must have this shape */
bool mare_layer_weight(mare_Reader *r, mare_Layer *l, int slot, const char *name,
                       int ndim, const int64_t *shape);

/* -- arguments; layers.c ------------------------------------------------------- */

/* argument i (1 and up), or NULL when it is not there or null */
const mare_Json *mare_layer_arg(const mare_Reader *r, int i);
/* an option of the table at argument i, or NULL */
const mare_Json *mare_layer_option(const mare_Reader *r, int i, const char *key);
/* a whole number within lo .. hi; v NULL: fallback, unless that is below lo */
bool mare_layer_whole(mare_Reader *r, mare_Layer *l, const mare_Json *v, const char *what,
                      int64_t lo, int64_t hi, int64_t fallback, int64_t *n);
/* one for both, or a list of two */
bool mare_layer_pair(mare_Reader *r, mare_Layer *l, const mare_Json *v, const char *what,
                     int64_t lo, int64_t fallback, int64_t *a, int64_t *b);

/* -- pieces of computation; layers.c ------------------------------------------- */

/* y = row(a, b), with b broadcast to the shape of y; b NULL: row(a) */
void mare_layer_apply(const char *row, mare_Tensor *y, const mare_Tensor *a,
                      const mare_Tensor *b);
/* a tensor of no dimensions whose value is v in this type, kept in *room */
mare_Tensor mare_layer_number(double v, mare_Dtype dt, double *room);
/* a tensor in scratch memory, not initialised; mare_scratch_free(h, t->data) */
mare_Status mare_layer_scratch(mare_Heap *h, mare_Tensor *t, mare_Dtype dt, int ndim,
                               const int64_t *shape);
/* t with other dimensions over the same contiguous elements */
mare_Tensor mare_layer_view(const mare_Tensor *t, int ndim, const int64_t *shape);

extern const mare_Kind mare_plane_kinds[]; /* planes.c; ends with name == NULL */
extern const mare_Kind mare_norm_kinds[];  /* norms.c */

#endif
