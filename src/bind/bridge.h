/*
** bridge.h -- what another C module of the same Lua state may ask of mare.core: where a
** tensor's elements are.  The field `bridge` of require "mare.core" is a userdata that
** holds this struct and lives as long as the Lua state.
*/
#ifndef MARE_BRIDGE_H
#define MARE_BRIDGE_H

#include <stdint.h>

struct lua_State;

#define MARE_BRIDGE 1 /* what version must be */

typedef struct mare_View { /* a tensor, as long as it is on the stack and open */
  void *data;              /* the first element */
  void *storage;           /* what retain and release take */
  const char *dtype;       /* "f32" "f64" "i64" "u8" */
  int ndim;
  const int64_t *shape;
  int64_t numel;
  int contiguous; /* row-major without gaps */
} mare_View;

typedef struct mare_Bridge {
  int version;
  void *state;
  /* fills v from the value at idx; 0 when that is no open tensor of this Lua state */
  int (*view)(const struct mare_Bridge *b, struct lua_State *L, int idx, mare_View *v);
  /* before the tensor at idx is written to: raises where the tape holds it */
  void (*write)(const struct mare_Bridge *b, struct lua_State *L, int idx);
  /* keeps the elements although the tensor may go; in the thread of the Lua state */
  void (*retain)(void *storage);
  void (*release)(void *storage);
} mare_Bridge;

#endif
