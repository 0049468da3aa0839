/*
** mare.h -- Maré for programs in C: a network that model:save wrote in Lua is opened
** and computes here without Lua.  Link libmare.a, BLIS, zlib and the system's libm and
** pthread; Lua only for luaopen_mare.
**
**   char why[MARE_MESSAGE];
**   mare_Model *m;
**   if (mare_model_open(&m, "digits.safetensors", why, sizeof why) != MARE_OK)
**     return fprintf(stderr, "%s\n", why);
**   mare_Workspace *ws = mare_workspace_new();
**   mare_model_predict(m, x, rows, y, ws);
**   mare_workspace_free(ws);
**   mare_model_close(m);
**
** Samples stand one after another, each row-major, as in Lua.  Nothing here exits,
** prints or keeps what it was given; a model does not change once its input is known,
** so any number of threads may use it at a time, each with a workspace of its own.
** The numbers are those of model:eval() in Lua, bit for bit on one machine.
*/
#ifndef MARE_H
#define MARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MARE_VERSION "0.1.0"
#define MARE_MAXDIM 8    /* dimensions of a tensor, or of a batch of samples */
#define MARE_MESSAGE 512 /* bytes that hold any message */

/* X(enum, C type, Lua name): the only list of element types, real ones first. */
#define MARE_DTYPES(X) \
  X(F32, float, "f32") X(F64, double, "f64") X(I64, int64_t, "i64") X(U8, uint8_t, "u8")

typedef enum mare_Dtype {
#define X(e, ctype, name) MARE_##e,
  MARE_DTYPES(X)
#undef X
  MARE_NDTYPE
} mare_Dtype;

/* X(enum, words): what functions return that can fail. */
#define MARE_STATUSES(X) \
  X(OK, "no error") X(NOMEM, "not enough memory") X(LIMIT, "past the limit of memory") \
  X(BADARG, "a bad argument") X(IO, "the system could not read or write") \
  X(FORMAT, "the bytes are not of this format") X(SINGULAR, "a singular matrix") \
  X(NOTFINITE, "NaN or infinity") X(DIVERGED, "an iteration did not end") \
  X(NOLAPACK, "LAPACK is not on this machine") X(STOPPED, "stopped on request")

typedef enum mare_Status {
#define X(e, words) MARE_##e,
  MARE_STATUSES(X)
#undef X
  MARE_NSTATUS
} mare_Status;

const char *mare_version(void);                /* of the library: MARE_VERSION */
const char *mare_status_text(mare_Status st);  /* in a few words; never NULL */

/*
** Threads of one large call, the caller included; they are shared by all callers.
** n < 1: as MARE_THREADS in the environment says, or as many as there are cores.
*/
int mare_threads(void);
void mare_set_threads(int n);

/* -- models ----------------------------------------------------------------------- */

typedef struct mare_Model mare_Model;

/*
** Reads a safetensors file, gzipped or not, that model:save wrote.  *m is NULL after a
** failure, and `message` (size bytes, or NULL) says which file, which layer and why:
** MARE_IO; MARE_FORMAT for a file that is damaged, has no description of its network,
** or a layer that is not known here; MARE_NOMEM.
*/
mare_Status mare_model_open(mare_Model **m, const char *path, char *message,
                            size_t size);
/* the same from n bytes in memory, which are not needed afterwards */
mare_Status mare_model_open_bytes(mare_Model **m, const void *bytes, size_t n,
                                  char *message, size_t size);
void mare_model_close(mare_Model *m); /* NULL is allowed; nobody may use it any more */

/*
** The shape of one sample: returns the number of dimensions, which may be 0.  A size
** that the layers leave open is -1 (height and width before a Conv2d); returns -1 when
** nothing is known.  Then mare_model_set_input must be called once before anybody
** predicts; it checks the shapes of all layers.  MARE_BADARG, with a message: they do not
** fit, and the model is as it was.
*/
int mare_model_input(const mare_Model *m, int64_t shape[MARE_MAXDIM]);
mare_Status mare_model_set_input(mare_Model *m, int ndim, const int64_t *shape,
                                 char *message, size_t size);
/* the same of the result; -1 while the input is open */
int mare_model_output(const mare_Model *m, int64_t shape[MARE_MAXDIM]);
/* numbers of one sample of the input, of the output; -1 while open */
int64_t mare_model_inputs(const mare_Model *m);
int64_t mare_model_outputs(const mare_Model *m);

/* of its weights, F32 or F64; it computes in this type, without weights in that of x */
mare_Dtype mare_model_dtype(const mare_Model *m);
/* What it reads: its dtype, or I64 before an Embedding (positions from 1 on). */
mare_Dtype mare_model_input_dtype(const mare_Model *m);
/* What layer i (0 and up) is, "Linear"; *place is its name in the file, "2.1", unless
** NULL.  NULL when there are no more. */
const char *mare_model_layer(const mare_Model *m, int i, const char **place);
/* a value of the file's metadata, or NULL */
const char *mare_model_metadata(const mare_Model *m, const char *key);

/* -- computing -------------------------------------------------------------------- */

/*
** Memory for what lies between the layers, kept from call to call.  One thread at a
** time may use it, for any model.  NULL when there is no memory.
*/
typedef struct mare_Heap mare_Workspace;
mare_Workspace *mare_workspace_new(void);
void mare_workspace_free(mare_Workspace *ws); /* NULL is allowed */

/*
** out (rows, outputs) from x (rows, inputs).  ws NULL: memory is taken and given back.
** MARE_BADARG: the input is still open, rows < 0, or a position that an Embedding has
** not; MARE_NOMEM.  out is not to overlap x.
*/
mare_Status mare_model_predict(const mare_Model *m, const float *x, int64_t rows,
                               float *out, mare_Workspace *ws);
/* the same for other types of elements; before an Embedding I64 is needed */
mare_Status mare_model_run(const mare_Model *m, mare_Dtype xtype, const void *x,
                           int64_t rows, mare_Dtype type, void *out,
                           mare_Workspace *ws);

/* -- with Lua --------------------------------------------------------------------- */

/* luaL_requiref(L, "mare", luaopen_mare, 0) in a host that loads no modules; the other
** is the engine alone, "mare.core" */
struct lua_State;
int luaopen_mare(struct lua_State *L);
int luaopen_mare_core(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
