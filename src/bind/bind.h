/*
** bind.h -- what the files that talk to Lua share.
**
** A tensor is a full userdata (Object).  Its user value 1 is the tensor last
** returned as its gradient; when the tape holds how it was computed, a Node stands
** behind the Object in the same block, and the tensors among its arguments are the
** other user values.  The elements of a small result stand there too, until somebody
** wants to share them (own_storage).
** Every function of the module has the State as upvalue 1.
**
** In a function: check all arguments, push all outputs (new_result, or new_tensor
** for what is not differentiable), take raw pointers, compute, return.  Nothing
** raises between the pointers and the return; what is allocated is anchored on
** the stack before it is opened.
*/
#ifndef MARE_BIND_H
#define MARE_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "../base/pool.h"
#include "../base/rng.h"
#include "../base/shape.h"
#include "../base/storage.h"
#include "../base/types.h"
#include "../ops/ops.h"

typedef struct Object Object;
typedef struct Op Op;
typedef struct Node Node;
typedef struct Walk Walk;
typedef struct Feed Feed;
typedef struct Scope Scope;

typedef struct Level Level; /* one forward mode that is going on; forward.c */

typedef struct Mode { /* what is recorded while a function runs */
  struct Mode *outer;
  lua_State *L; /* the coroutine that did it */
  bool on;      /* for backward */
  bool inside;  /* the function is being differentiated backwards */
  bool carry;   /* tangents are carried along ... */
  Level *level; /* ... those of this level and the ones around it; NULL: of none */
} Mode;

enum { /* user values of the State: what it points to */
  STATE_ROWS = 1,
  STATE_WALK,
  STATE_META,   /* the tensors' metatable */
  STATE_NESTED, /* the same without __gc */
  STATE_NEST,   /* the tensors that have this one */
  STATE_SPIN,   /* a function in Lua, for hooks to be called in */
  STATE_ERROR,  /* what a hook has raised while the engine was at work */
  STATE_SCOPE,  /* the scopes' metatable */
  STATE_CLOSED, /* the same without __gc, for those that are closed */
  STATE_VALUES = STATE_CLOSED
};

#define NEST 256          /* so many of them at a time */
#define NEST_BYTES 16384  /* of the elements of one */

typedef struct State { /* one for each Lua state: a userdata, upvalue of every function */
  mare_Heap *heap;
  Scope *scope;     /* the innermost open scope, or NULL */
  mare_Rng rng;     /* what mare.seed sets */
  Op *rowop;        /* an Op for each row of ops.def */
  uint32_t (*rowneeds)[MARE_MAXARGS]; /* what the derivative to each argument reads */
  const mare_Row *add, *mul; /* rows that backward uses itself */
  int nested;       /* entries of the nest in use */
  bool lost;        /* some of them belong to a scope that was never closed */
  bool asking;      /* a hook runs in the middle of a function: no tensors for it */
  Walk *walk;       /* the backward walk that is kept for use */
  Mode *mode;       /* the innermost one; NULL: recording is on */
  Level *levels;    /* all forward modes, the latest first */
  Feed *feeds;      /* the open ones, feed.c */
  uint64_t tag;     /* how many there were */
} State;

struct Scope {   /* a userdata; open while S->scope leads to it */
  Scope *self;   /* tells a scope from other userdata of this size at no cost */
  State *S;
  lua_State *L;  /* the coroutine that opened it: its user value */
  Object *first; /* what was made inside */
  Scope *outer;
  int base;      /* entries of the nest when it was opened */
  bool hold;     /* what is made inside is nobody's */
};

/*
** A small tensor made in a scope has no finalizer, which the collector would pay for
** four times: the nest, a table, holds it until the scope closes it, or gives it one.
*/
struct Object {   /* a tensor */
  State *state;   /* whose it is; tells tensors from other userdata of this size */
  mare_Tensor t;  /* t.storage == NULL: closed */
  Node *node;     /* what computed it: right behind it; NULL for a leaf */
  Walk *walk;     /* the backward walk that is visiting it ... */
  int slot;       /* ... and its place there */
  int nest;       /* its place in the nest; 0: it has a finalizer */
  bool requires_grad;
  bool dual;          /* it may have a tangent */
  bool consumed;      /* backward has cleared its node */
  bool isview;
  bool shown;         /* its gradient has been given out: user value 1 */
  bool hooked;        /* somebody waits for its gradient; backward.c */
  mare_Storage *grad; /* contiguous, of t's shape and type; leaves only */
  Scope *scope;       /* what will close it, or NULL */
  Object **link;      /* what points to it in the list of its scope */
  Object *next;
};

/* -- operations on the tape (tape.c, backward.c) ------------------------------ */

/*
** What a fused backward sees.  Tensors that it needs come from back_tensor; the
** walk owns them.  The result may also be a view of g.
*/
typedef struct Back {
  lua_State *L;
  State *S;
  Walk *walk;
  const Object *y;
  const Node *node;
  const mare_Tensor *g; /* the gradient of y; any strides */
} Back;

/* gx = gradient of argument i (0-based) */
typedef void Vjp(Back *b, int i, mare_Tensor *gx);

#define NEEDS(i) (1u << (i)) /* backward reads the value of argument i */
#define NEEDS_Y (1u << 31)   /* ... of the result */
#define NEEDS_NOTHING (1u << 30) /* an element-wise derivative that is 1 */
#define NEEDS_ALL (~0u)

struct Op {
  const char *name;
  lua_CFunction call;  /* upvalues: State, this Op */
  Vjp *vjp;            /* NULL: the row in Lua has it, or it is element-wise */
  uint32_t needs;
  const mare_Row *row; /* element-wise ops only */
};

typedef struct Arg {
  Object *object; /* NULL: not a tensor */
  double number;  /* its value, when it is a number or a boolean */
  uint32_t version; /* of its storage then */
  uint16_t slot;  /* the user value that holds it; 0: number says all ... */
  uint8_t kind;   /* ... of a nil, a boolean, an integer (LUA_TNUMBER + 1), a number */
} Arg;

#define FEWARGS 8

typedef struct Args { /* the arguments of a function, as the tape will keep them */
  bool taped;  /* the result is recorded ... */
  bool grad;   /* ... for backward */
  int first, nargs;
  int nslot;   /* user values up to that of the last one */
  Arg *arg;    /* few, or in a userdata on the stack */
  Arg few[FEWARGS];
} Args;

struct Node { /* behind its Object */
  const Op *op;
  uint64_t tag;     /* the latest forward mode that asks for a tangent yet; 0: none */
  uint32_t version; /* of the result's storage */
  int nargs;
  Arg arg[];
};

/*
** Pushes a new tensor, contiguous and not initialised, as the result of
** op(arguments at first .. first + nargs - 1); it is on the tape if any of them
** requires a gradient.  Arguments are tensors, numbers and booleans; other values
** are kept for a backward in Lua.
*/
Object *new_result(lua_State *L, State *S, const Op *op, int first, int nargs,
                   mare_Dtype dt, int ndim, const int64_t *shape);
/*
** The same of a few arguments at 1 .. nargs; the open tensors among them are x[0] ..
** x[known - 1], where NULL is something else.  Those that follow are rest[0] and up, or
** stand on the stack when that is NULL.
*/
Object *new_result_of(lua_State *L, State *S, const Op *op, int nargs, int known,
                      Object *const *x, const Arg *rest, mare_Dtype dt, int ndim,
                      const int64_t *shape);
/* The same for a result that shares v's storage. */
Object *new_result_view(lua_State *L, State *S, const Op *op, int first, int nargs,
                        const mare_Tensor *v);
/* Replaces the tensor at index y by one on the tape, if any argument requires it. */
void record(lua_State *L, State *S, const Op *op, int y, int nargs);
bool wants_grad(const State *S, const Object *o);
bool grad_on(const State *S); /* is recording on? */
Mode current_mode(const State *S);
void enter_mode(lua_State *L, State *S, Mode *m, Mode as);
void enter_silence(lua_State *L, State *S, Mode *m); /* nothing is recorded */
void leave_mode(State *S, Mode *m);
/* backward may run through y */
void check_versions(lua_State *L, State *S, const Object *y);
bool any_wants(lua_State *L, State *S, int first, int nargs);
void read_args(lua_State *L, State *S, Args *a, int first, int nargs);
void read_known(lua_State *L, State *S, Args *a, int nargs, int known, Object *const *x,
                const Arg *rest);
void fill_node(lua_State *L, State *S, Object *o, const Op *op, const Args *a);
void push_arg(lua_State *L, int idx, const Arg *a); /* of the tensor at idx */

uint64_t level_tag(const Level *l);
/* y's tangents, computed when somebody uses it; forward.c */
void settle_tangents(lua_State *L, State *S, int y);
int push_tangents_of(lua_State *L, State *S, int x);
/* out = g times the derivative of y's row to argument i; g and out may have leading
** dimensions that y has not: several g at once */
void row_derivative(State *S, const Object *y, int i, const mare_Tensor *g,
                    mare_Tensor *out);

mare_Tensor *back_tensor(Back *b, mare_Dtype dt, int ndim, const int64_t *shape);
const mare_Tensor *back_contiguous(Back *b, const mare_Tensor *t); /* t or a copy */
void back_scale(Back *b, const mare_Tensor *g, double k, mare_Tensor *y); /* y = k g */
/* gx = g summed over the dimensions along which shape was broadcast */
void back_reduce_to(Back *b, const mare_Tensor *g, int ndim, const int64_t *shape,
                    mare_Tensor *gx);

/* -- long calls and hooks (hook.c) ----------------------------------------------- */

void push_guarded(lua_State *L, lua_CFunction f); /* State and upvalue 2 are on the top */
void open_hook(lua_State *L);  /* the State is on the top of the stack */
bool run_hook(void *L); /* what the engine asks with */

/* at the beginning, and after calls into Lua: L is the one to ask */
static inline void watch_hook(lua_State *L) {
  mare_watch.ask = run_hook;
  mare_watch.who = L;
}

void check_time(lua_State *L); /* the same in the middle of loops that may raise */
/* raises what a hook has raised; the engine has returned */
void check_hook(lua_State *L);
void check_odd(lua_State *L);

/* around a function of the module: what guarded does, for those that cannot wait */
static inline void *begin_call(lua_State *L) {
  void *outer = mare_watch.who;
  if (mare_watch.odd) check_odd(L);
  watch_hook(L);
  return outer;
}

static inline int end_call(lua_State *L, void *outer, int n) {
  mare_watch.who = outer;
  if (mare_watch.stop != NULL) check_hook(L);
  return n;
}

/* -- tensors (object.c) --------------------------------------------------------- */

State *get_state(lua_State *L); /* from upvalue 1 */
const Op *get_op(lua_State *L); /* from upvalue 2 */

/* NULL when it is none; may be closed */
Object *test_tensor(lua_State *L, State *S, int arg);
Object *check_tensor(lua_State *L, State *S, int arg); /* open */
Object *check_real(lua_State *L, State *S, int arg);   /* open, f32 or f64 */
Object *check_dtype(lua_State *L, State *S, int arg, mare_Dtype dt);
void check_same_dtype(lua_State *L, const Object *a, const Object *b, int arg);
void check_same_shape(lua_State *L, const Object *a, const Object *b, int arg);

/* Pushes a new tensor, contiguous and not initialised. */
Object *new_tensor(lua_State *L, State *S, mare_Dtype dt, int ndim, const int64_t *shape);
Object *new_like(lua_State *L, State *S, const mare_Tensor *t); /* same shape and type */
/* Pushes a tensor that takes t's storage over: t is closed then. */
Object *new_owner(lua_State *L, State *S, mare_Tensor *t);
/* Pushes a tensor that shares v's storage. */
Object *new_view(lua_State *L, State *S, const mare_Tensor *v);
/*
** To be called before the elements of the open tensor at idx are shared, or it gets a
** gradient: moves them out of the userdata, which has a finalizer from then on.
*/
void own_storage(lua_State *L, State *S, int idx);
/* t itself when contiguous (pushes nil), otherwise a pushed copy */
const mare_Tensor *push_contiguous(lua_State *L, State *S, const mare_Tensor *t);
void close_tensor(Object *o);
int tensor_gc(lua_State *L);        /* __gc */
void forget_object(Object *o);      /* walks that know it forget it; backward.c */
bool interrupting(lua_State *L);    /* a finalizer, in the middle of a function in C */
void written(Object *o); /* after an in-place write */
/* before an in-place write to the tensor at arg: refuses what the tape still needs */
void check_writable(lua_State *L, State *S, Object *o, int arg);

void make_room(lua_State *L, State *S, size_t nbytes); /* the pressure rule */
/* after a failure for want of memory: collects; true when another try is worth it */
bool relieve(lua_State *L, State *S, mare_Status st);
/* raises unless MARE_OK; nbytes is what was asked for, 0 when that is not known */
void check_status(lua_State *L, State *S, mare_Status st, size_t nbytes);
/* dst = src, broadcast and converted; arg names src in errors */
void assign_tensor(lua_State *L, State *S, mare_Tensor *dst, Object *src, int arg);
void assign_number(lua_State *L, mare_Tensor *dst, int arg); /* dst = the number at arg */

/* -- arguments and errors (args.c) ---------------------------------------------- */

/* "bad argument #2 to 'name' (...)", at the user's line */
int arg_error(lua_State *L, int arg, const char *fmt, ...);
/* the same of an argument of the function of this name, which may be one in Lua */
int named_error(lua_State *L, int arg, const char *name, const char *text);
int user_error(lua_State *L, const char *fmt, ...); /* at the user's line */
const char *shape_of(lua_State *L, const mare_Tensor *t); /* "3x4"; pushes the string */
const char *type_of(lua_State *L, State *S, int arg);     /* for messages */

double unsign(double v); /* for messages: NaN without a sign */

int64_t check_integer(lua_State *L, int arg);              /* exact, otherwise an error */
int64_t opt_integer(lua_State *L, int arg, int64_t def);
double check_number(lua_State *L, int arg);
double opt_number(lua_State *L, int arg, double def);
bool opt_boolean(lua_State *L, int arg, bool def);
mare_Dtype check_dtype_name(lua_State *L, int arg);
/* 1-based or negative to 0-based */
int check_dim(lua_State *L, int arg, int ndim);

/* refuses { dim = 1 }: a table with names alone is no list, though it looks empty */
void check_list(lua_State *L, int arg);

/* for messages about a position out of range: what to know where it is 0 */
const char *counted_from(int64_t given);
int64_t check_index(lua_State *L, int arg, int64_t size);  /* the same for positions */
/* none: all; a number or a table */
unsigned check_axes(lua_State *L, int arg, int ndim);
/* numbers from arg on, or one table; returns ndim and the index after the shape */
int check_shape(lua_State *L, int arg, int64_t *shape, int *after);

/* -- files (io.c) --------------------------------------------------------------- */

/* pushes zeroed memory that close() gives back at the end of the calling function */
void *push_owner(lua_State *L, size_t size, lua_CFunction close);
/* returns nil and the message; memory that ran out is an error instead */
int failed(lua_State *L, mare_Status st, const char *message);
const char *check_path(lua_State *L, int arg);

/* -- what each file adds to the module ------------------------------------------- */

typedef struct Function { /* a plain function of the core table */
  const char *name;
  lua_CFunction call;
} Function;

/* each list ends with name == NULL */
extern const Function object_functions[], create_functions[], memory_functions[],
    tape_functions[], backward_functions[], forward_functions[],
    elementwise_functions[], reduce_functions[], index_functions[],
    product_functions[], optim_functions[], io_functions[], linalg_functions[],
    csv_functions[], feed_functions[], files_functions[], conv_functions[],
    interrupt_functions[];

int push_mean(lua_State *L); /* of all elements of the tensor at index 1 */

extern const Op copy_ops[], view_ops[], product_ops[], reduce_ops[], index_ops[],
    join_ops[];

/* what the tape records for a view; ends with NULL */
extern const Op *const recorded_views[];

int tensor_index(lua_State *L);    /* __index */
int tensor_newindex(lua_State *L); /* __newindex */
int index_value(lua_State *L, State *S, Object *o, int key); /* x[key], view.c */
void assign_value(lua_State *L, State *S, Object *o, int key, int value);
void push_grad(lua_State *L, State *S, Object *o, int idx); /* x.grad, tape.c */
void set_grad(lua_State *L, State *S, Object *o, int idx, int value);
void scope_add(lua_State *L, State *S, Object *o); /* memory.c */
void scope_remove(Object *o);
bool scope_nests(lua_State *L, const State *S); /* does a scope take small tensors? */
void nest_add(lua_State *L, State *S, Object *o); /* o is on the top of the stack */
void nest_remove(lua_State *L, Object *o);
void nest_close(lua_State *L, int state); /* at the end of the Lua state */
void close_feeds(State *S);
void open_scopes(lua_State *L); /* makes the metatables of scopes and guards */
void open_rows(lua_State *L, State *S); /* elementwise.c: S->rowop */
void push_routines(lua_State *L); /* models.c: what estimators compute; State at 1 */
void push_bridge(lua_State *L, int state); /* bridge.c */

#endif
