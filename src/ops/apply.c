/*
** apply.c -- the rows of ops.def, the choice of their kernels for this machine,
** and the walk that runs a kernel, which knows contiguous memory only, over
** operands of any strides.
*/
#include <math.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "../base/pool.h"
#include "kernels.h"
#include "turn.h"

/* -- rows ------------------------------------------------------------------------- */

#define ROW1(kind, name, f, d, ...) \
  {#name, kind, 1, {"x"}, 0, {NULL}, {0}, f, {d}, __VA_ARGS__},
#define ROW2(kind, name, a, b, f, da, db, ...) \
  {#name, kind, 2, {a, b}, 0, {NULL}, {0}, f, {da, db}, __VA_ARGS__},

#define ARITH1(name, f, d, ...) ROW1(MARE_ARITH, name, #f, #d, __VA_ARGS__)
#define UNARY(name, f, d, ...) ROW1(MARE_REAL, name, #f, #d, __VA_ARGS__)
#define ROUNDED1 UNARY
#define ROUNDED1P PARAM1
#define ROUNDED2 BINARY
#define PARAM1(name, u, u0, f, d, ...) \
  {#name, MARE_REAL, 1, {"x"}, 1, {#u}, {u0}, #f, {#d}, __VA_ARGS__},
#define PARAM2(name, u, u0, v, v0, f, d, ...) \
  {#name, MARE_REAL, 1, {"x"}, 2, {#u, #v}, {u0, v0}, #f, {#d}, __VA_ARGS__},
#define ARITH2(name, f, da, db, ...) \
  ROW2(MARE_ARITH, name, "a", "b", #f, #da, #db, __VA_ARGS__)
#define BINARY(name, f, da, db, ...) \
  ROW2(MARE_REAL, name, "a", "b", #f, #da, #db, __VA_ARGS__)
#define LOSS(name, f, dx, dt, ...) \
  ROW2(MARE_REAL, name, "x", "t", #f, #dx, #dt, __VA_ARGS__)
#define LOSS1(name, u, u0, f, dx, dt, ...) \
  {#name, MARE_REAL, 2, {"x", "t"}, 1, {#u}, {u0}, #f, {#dx, #dt}, __VA_ARGS__},
#define TERNARY(name, f, da, db, dc, ...) \
  {#name, MARE_REAL, 3, {"a", "b", "c"}, 0, {NULL}, {0}, #f, {#da, #db, #dc}, \
   __VA_ARGS__},
#define SELECT(name, f, da, db, ...) \
  {#name, MARE_ARITH, 3, {"mask", "a", "b"}, 0, {NULL}, {0}, #f, {NULL, #da, #db}, \
   __VA_ARGS__},
#define COMPARE(name, f, doc) \
  ROW2(MARE_COMPARE, name, "a", "b", #f, NULL, NULL, -2, 2, "", doc)
#define LOGICAL1(name, f, doc) ROW1(MARE_LOGICAL, name, #f, NULL, 0, 1, "", doc)
#define LOGICAL2(name, f, doc) \
  ROW2(MARE_LOGICAL, name, "a", "b", #f, NULL, NULL, 0, 1, "", doc)

const mare_Row mare_rows[] = {
#include "ops.def"
  {.name = NULL}
};

const int mare_nrows = (int)(sizeof mare_rows / sizeof mare_rows[0]) - 1;

const mare_Row *mare_row_find(const char *name) {
  for (const mare_Row *row = mare_rows; row->name; row++)
    if (strcmp(row->name, name) == 0) return row;
  return NULL;
}

/* -- instruction sets ------------------------------------------------------------- */

typedef struct Isa {
  const char *name;
  const mare_Kernels *real, *exact; /* of rows of kind MARE_REAL, of the others */
  mare_Runner *const *run;          /* of those of kind MARE_REAL */
  bool (*here)(void); /* has this machine got it? */
} Isa;

#ifdef __x86_64__
static bool has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw");
}
#endif

static bool always(void) {
  return true;
}

static const Isa isas[] = { /* best first */
#ifdef __x86_64__
  {"avx512", mare_kernels_avx512, mare_kernels_avx2, mare_run_avx512, has_avx512},
  {"avx2", mare_kernels_avx2, mare_kernels_avx2, mare_run_avx2, has_avx2},
#endif
  {"base", mare_kernels_base, mare_kernels_base, mare_run_base, always},
};

static const Isa *chosen;

/* Two threads that race here find the same one. */
static const Isa *isa(void) {
  const Isa *found = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
  if (found) return found;
  for (found = isas; !found->here();) found++;
  __atomic_store_n(&chosen, found, __ATOMIC_RELAXED);
  return found;
}

const char *mare_isa(void) {
  return isa()->name;
}

bool mare_set_isa(const char *name) {
  for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
    if (strcmp(isas[i].name, name) != 0) continue;
    if (!isas[i].here()) return false;
    __atomic_store_n(&chosen, &isas[i], __ATOMIC_RELAXED);
    return true;
  }
  return false;
}

const mare_Kernels *mare_row_kernels(const mare_Row *row) {
  const Isa *set = isa();
  return &(row->kind == MARE_REAL ? set->real : set->exact)[row - mare_rows];
}

void mare_run_any(mare_Kernel *k, size_t n, int nop, void *const *p, const double *c) {
  (void)nop;
  k(n, p, c);
}

mare_Runner *mare_row_runner(const mare_Row *row, mare_Dtype dt) {
  return row->kind == MARE_REAL ? isa()->run[dt] : mare_run_any;
}

/* -- running a kernel ------------------------------------------------------------- */

#define MAXOPS (MARE_MAXARGS + 3) /* a backward kernel's: gx, g, y, operands */
#define SHARED 32768              /* elements that are worth a second thread ... */
#define PIECE 16384               /* ... that takes so many of them at a time */
#define AWAKE 16384               /* the same for threads that are not asleep */
#define SHORTER 8192
#define BUFFER 8192               /* bytes of each operand held in the first cache */
#define RUN (BUFFER / 8)          /* elements of a buffer, whatever their type */
#define STREAM (8 << 20)          /* bytes of a result that no core's cache holds ... */
#define SHORT 512                 /* ... elements of its buffer ... */
#define AHEAD 4096                /* ... and bytes that its operands are fetched ahead */

typedef struct Job {
  mare_Kernel *kernel;
  mare_Runner *run;
  const double *param;
  int nop;
  mare_Tensor *const *op;
  unsigned buffered; /* bit k: operand k has one value; bit 0: the result is streamed */
  bool copies;       /* all that the kernel does */
  int64_t piece;     /* elements that a thread takes at a time */
} Job;

static int64_t at_most(int64_t n, int64_t max) {
  return n < max ? n : max;
}

static char *element(const mare_Tensor *t, int64_t i) {
  return t->data + i * (int64_t)mare_sizeof[t->dtype];
}

/* -- flat operands: contiguous, or one value -------------------------------------- */

static void fill(char *b, const mare_Tensor *t, int64_t n) {
  mare_Grid g = {1, n, 0, 0};
  mare_gather_grid(b, t->data, &g, (int64_t)mare_sizeof[t->dtype]);
}

static void run_flat(const Job *j, int64_t i, int64_t n) {
  void *p[MAXOPS];
  for (int k = 0; k < j->nop; k++) p[k] = element(j->op[k], i);
  j->run(j->kernel, (size_t)n, j->nop, p, j->param);
}

/*
** A result larger than the caches is computed in a buffer and stored past them:
** ordinary stores would first read what they overwrite.
*/
#ifdef __SSE2__
static size_t stream16(char *to, const char *b, size_t i, size_t end) {
  for (; i + 16 <= end; i += 16)
    _mm_stream_si128((__m128i *)(to + i), _mm_load_si128((const __m128i *)(b + i)));
  return i;
}

#ifdef __x86_64__ /* whole lines, which is a tenth faster */
__attribute__((target("avx512f"))) static size_t stream64(char *to, const char *b,
                                                          size_t i, size_t end) {
  for (; i + MARE_LINE <= end; i += MARE_LINE)
    _mm512_stream_si512((void *)(to + i), _mm512_loadu_si512(b + i));
  return i;
}
#endif

static void stream(char *to, const char *b, size_t nbytes) {
  size_t i = 0;
#ifdef __x86_64__
  if (isa()->real == mare_kernels_avx512) {
    i = stream16(to, b, 0, at_most(-(uintptr_t)to % MARE_LINE, (int64_t)nbytes));
    i = stream64(to, b, i, nbytes);
  }
#endif
  i = stream16(to, b, i, nbytes);
  memcpy(to + i, b + i, nbytes - i);
}

static bool streams(const Job *j) {
  const mare_Tensor *y = j->op[0];
  if (y->numel * (int64_t)mare_sizeof[y->dtype] < STREAM) return false;
  for (int k = 1; k < j->nop; k++)
    if (j->op[k]->data == y->data) return false; /* in place it is read anyway */
  return (uintptr_t)y->data % 16 == 0;
}
#else
#define stream(to, b, nbytes) memcpy(to, b, nbytes)
#define streams(j) false
#define _mm_sfence() ((void)0)
#endif

/* stores past the caches come between, and no processor foresees what is read next */
static void fetch(const Job *j, int64_t i, int64_t n) {
  for (int k = 1; k < j->nop; k++) {
    const char *p = element(j->op[k], i) + AHEAD;
    int64_t nbytes = n * (int64_t)mare_sizeof[j->op[k]->dtype];
    if (j->buffered >> k & 1) continue;
    for (int64_t o = 0; o < nbytes; o += MARE_LINE) __builtin_prefetch(p + o);
  }
}

static void run_streamed(const Job *j, int64_t i, int64_t n, void **p) {
  fetch(j, i, n);
  j->run(j->kernel, (size_t)n, j->nop, p, j->param);
  stream(element(j->op[0], i), p[0], (size_t)n * mare_sizeof[j->op[0]->dtype]);
}

static void run_buffered(const Job *j, int64_t i, int64_t n) {
  _Alignas(64) char buffer[MAXOPS][BUFFER];
  void *p[MAXOPS];
  const int64_t most = j->buffered & 1 ? SHORT : RUN;
  int used = 0;
  for (int k = 0; k < j->nop; k++)
    if (j->buffered >> k & 1) {
      p[k] = buffer[used++];
      if (k > 0) fill(p[k], j->op[k], at_most(n, most));
    }
  for (int64_t end = i + n; i < end; i += most) {
    n = at_most(end - i, most);
    for (int k = 0; k < j->nop; k++)
      if (!(j->buffered >> k & 1)) p[k] = element(j->op[k], i);
    if (j->buffered & 1) run_streamed(j, i, n, p);
    else j->run(j->kernel, (size_t)n, j->nop, p, j->param);
  }
  if (j->buffered & 1) _mm_sfence();
}

static void run_part(const Job *j, int64_t i, int64_t n) {
  if (j->buffered) run_buffered(j, i, n);
  else run_flat(j, i, n);
}

static void flat_piece(void *ctx, int64_t piece) {
  const Job *j = ctx;
  int64_t i = piece * j->piece;
  run_part(j, i, at_most(j->op[0]->numel - i, j->piece));
}

static inline bool contiguous(const mare_Tensor *t) {
  int64_t step = 1;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (t->stride[d] != step && t->shape[d] != 1) return false;
    step *= t->shape[d];
  }
  return true;
}

static bool one_value(const mare_Tensor *t) {
  for (int d = 0; d < t->ndim; d++)
    if (t->stride[d] != 0 && t->shape[d] != 1) return false;
  return true;
}

/* Is every operand flat?  Finds the constant ones too. */
static bool all_flat(Job *j) {
  for (int k = 0; k < j->nop; k++) {
    if (contiguous(j->op[k])) continue;
    if (k == 0 || !one_value(j->op[k])) return false;
    j->buffered |= 1u << k;
  }
  return true;
}

/* -- tiles of strided operands ---------------------------------------------------- */

/*
** The result is walked in tiles of rows x columns of its last two dimensions.  An
** operand whose rows are contiguous is used where it lies; others are gathered
** into a buffer that stays in the first cache.  A tile that is contiguous in every
** operand is one run of the kernel, otherwise each of its rows is.
*/
#define BUFFERS 65536  /* bytes of all buffers of a tile */
#define JUMPING 32768  /* bytes of an operand gathered across its rows */
#define LINE MARE_LINE
#define NARROW 64      /* rows shorter than this are gathered, so that runs are long */
#define SCATTERED (2 << 20) /* bytes of a transposed copy that goes past the cache ... */
#define HELD (1152 << 10)   /* ... of one thread; what each of several keeps in its own */
#define SQUARE 8       /* rows and columns that are worth a transposed copy */

typedef struct Operand {
  char *data;
  int64_t size;                /* of an element */
  int64_t step[MARE_MAXDIM];   /* bytes */
  bool gathered;
  int64_t buffer;              /* where its buffer begins */
} Operand;

typedef struct Walk {
  mare_Kernel *kernel;
  mare_Runner *run;
  const double *param;
  int nop, ndim;
  int64_t shape[MARE_MAXDIM];
  int64_t rows, columns;       /* of a tile */
  int64_t down, across;        /* tiles in a plane */
  bool downward;               /* the next tile is the one below */
  bool turns, past;            /* tiles are copied transposed; past the caches */
  bool alone;                  /* one thread does it all */
  int64_t ntile, share;        /* in all; in a piece */
  Operand op[MAXOPS];
} Walk;

typedef struct Tile {
  int64_t plane, r, c;         /* its plane, the row and column where it begins */
  int64_t rows, columns;
  char *base[MAXOPS];          /* the first element of the plane, of each operand */
  char *at[MAXOPS];            /* the first element of the tile */
} Tile;

static mare_Grid grid(const Walk *w, const Tile *t, int k) {
  const int64_t *step = &w->op[k].step[w->ndim - 2];
  return (mare_Grid){t->rows, t->columns, step[0], step[1]};
}

static void enter_plane(const Walk *w, Tile *t) {
  int64_t i = t->plane;
  for (int k = 0; k < w->nop; k++) t->base[k] = w->op[k].data;
  for (int d = w->ndim - 3; d >= 0; d--) {
    int64_t at = i % w->shape[d];
    i /= w->shape[d];
    for (int k = 0; k < w->nop; k++) t->base[k] += at * w->op[k].step[d];
  }
}

static void enter_tile(const Walk *w, Tile *t) {
  int row = w->ndim - 2, column = row + 1;
  t->rows = at_most(w->shape[row] - t->r, w->rows);
  t->columns = at_most(w->shape[column] - t->c, w->columns);
  for (int k = 0; k < w->nop; k++)
    t->at[k] = t->base[k] + t->r * w->op[k].step[row] + t->c * w->op[k].step[column];
}

static void first_tile(const Walk *w, int64_t i, Tile *t) {
  int64_t n = w->downward ? w->down : w->across, m = w->downward ? w->across : w->down;
  int64_t inner = i % n, outer = i / n % m;
  t->c = (w->downward ? outer : inner) * w->columns;
  t->r = (w->downward ? inner : outer) * w->rows;
  t->plane = i / (n * m);
  enter_plane(w, t);
  enter_tile(w, t);
}

/* Moves a coordinate; true when it begins again. */
static bool step(int64_t *at, int64_t by, int64_t end) {
  *at += by;
  if (*at < end) return false;
  *at = 0;
  return true;
}

static void next_tile(const Walk *w, Tile *t) {
  int64_t rows = w->shape[w->ndim - 2], columns = w->shape[w->ndim - 1];
  bool end = w->downward
    ? step(&t->r, w->rows, rows) && step(&t->c, w->columns, columns)
    : step(&t->c, w->columns, columns) && step(&t->r, w->rows, rows);
  if (end) {
    t->plane++;
    enter_plane(w, t);
  }
  enter_tile(w, t);
}

/* Runs the kernel from p; down: bytes from row to row of each operand. */
static void run_tile(const Walk *w, const Tile *t, void **p, const int64_t *down) {
  bool whole = true;
  for (int k = 0; k < w->nop; k++) whole &= down[k] == t->columns * w->op[k].size;
  if (whole || t->rows == 1) {
    w->run(w->kernel, (size_t)(t->rows * t->columns), w->nop, p, w->param);
    return;
  }
  for (int64_t r = 0; r < t->rows; r++) {
    w->run(w->kernel, (size_t)t->columns, w->nop, p, w->param);
    for (int k = 0; k < w->nop; k++) p[k] = (char *)p[k] + down[k];
  }
}

/* Gathers what must be; held: what each buffer holds since the tile before. */
static void prepare(const Walk *w, const Tile *t, char *buffers, const char **held,
                    void **p, int64_t *down) {
  for (int k = 0; k < w->nop; k++) {
    const Operand *o = &w->op[k];
    mare_Grid g = grid(w, t, k);
    p[k] = o->gathered ? buffers + o->buffer : t->at[k];
    down[k] = o->gathered ? t->columns * o->size : g.down;
    if (k == 0 || !o->gathered || held[k] == t->at[k]) continue;
    mare_gather_grid(p[k], t->at[k], &g, o->size);
    held[k] = t->at[k];
  }
}

static void finish(const Walk *w, const Tile *t, const char *buffers) {
  mare_Grid g = grid(w, t, 0);
  if (w->op[0].gathered)
    mare_scatter_grid(buffers + w->op[0].buffer, t->at[0], &g, w->op[0].size);
}

static void turn_tile(const Walk *w, const Tile *t) {
  mare_Grid g = grid(w, t, 1);
  int64_t pitch = w->op[0].step[w->ndim - 2], size = w->op[0].size;
  int64_t more = w->shape[w->ndim - 1] - t->c - t->columns;
  if (w->past) mare_turn_past(t->at[0], pitch, t->at[1], &g, size, t->c == 0, more);
  else mare_turn(t->at[0], pitch, t->at[1], &g, size, w->alone);
}

static void turn_piece(void *ctx, int64_t piece) {
  const Walk *w = ctx;
  int64_t i = piece * w->share, n = at_most(w->ntile - i, w->share);
  Tile t;
  for (first_tile(w, i, &t); n-- > 0; next_tile(w, &t)) turn_tile(w, &t);
}

static void walk_piece(void *ctx, int64_t piece) {
  _Alignas(64) char buffers[BUFFERS];
  const Walk *w = ctx;
  const char *held[MAXOPS] = {NULL};
  int64_t i = piece * w->share, n = at_most(w->ntile - i, w->share);
  int64_t rows = 0, columns = 0;
  Tile t;
  for (first_tile(w, i, &t); n-- > 0; next_tile(w, &t)) {
    void *p[MAXOPS];
    int64_t down[MAXOPS];
    if (t.rows != rows || t.columns != columns) memset(held, 0, sizeof held);
    rows = t.rows;
    columns = t.columns;
    prepare(w, &t, buffers, held, p, down);
    run_tile(w, &t, p, down);
    finish(w, &t, buffers);
  }
}

/* -- which tiles ------------------------------------------------------------------ */

static int64_t magnitude(int64_t v) {
  return v < 0 ? -v : v;
}

/* the result's largest strides come first: elements in memory order */
static void sort_dims(int nop, mare_Tensor *const *op) {
  for (int d = 1; d < op[0]->ndim; d++)
    for (int e = d; e > 0; e--) {
      if (magnitude(op[0]->stride[e - 1]) >= magnitude(op[0]->stride[e])) break;
      for (int k = 0; k < nop; k++) mare_transpose(op[k], e - 1, e);
    }
}

/*
** The dimension of the rows: where the operand that jumps along a row (if there is
** one) takes its shortest steps.
*/
static int row_dim(int nop, mare_Tensor *const *op) {
  int last = op[0]->ndim - 1, best = last - 1;
  for (int k = 0; k < nop; k++) {
    const int64_t *stride = op[k]->stride;
    if (magnitude(stride[last]) <= 1) continue;
    for (int d = last - 1; d >= 0; d--)
      if (stride[d] != 0 && magnitude(stride[d]) < magnitude(stride[best])) best = d;
    break;
  }
  return best;
}

static void set_operand(Walk *w, Operand *o, const mare_Tensor *t) {
  o->data = t->data;
  o->size = (int64_t)mare_sizeof[t->dtype];
  for (int d = 0; d < w->ndim; d++) o->step[d] = t->stride[d] * o->size;
}

/* At least two dimensions, the rows in the last but one. */
static void set_dims(Walk *w, mare_Tensor *const *op) {
  sort_dims(w->nop, op);
  mare_collapse(w->nop, op);
  for (int k = 0; k < w->nop; k++)
    while (op[k]->ndim < 2) mare_unsqueeze(op[k], 0);
  int rows = row_dim(w->nop, op);
  for (int k = 0; k < w->nop; k++) mare_transpose(op[k], rows, op[k]->ndim - 2);
  w->ndim = op[0]->ndim;
  for (int d = 0; d < w->ndim; d++) w->shape[d] = op[0]->shape[d];
  for (int k = 0; k < w->nop; k++) set_operand(w, &w->op[k], op[k]);
}

static void cut(Walk *w, int64_t rows, int64_t columns) {
  const int64_t *shape = &w->shape[w->ndim - 2];
  w->rows = at_most(shape[0], rows);
  w->columns = at_most(shape[1], columns);
  w->down = (shape[0] + w->rows - 1) / w->rows;
  w->across = (shape[1] + w->columns - 1) / w->columns;
  w->ntile = w->down * w->across;
  for (int d = 0; d < w->ndim - 2; d++) w->ntile *= w->shape[d];
  w->share = 1 + SHARED / (w->rows * w->columns);
}

/*
** A tile with an operand that jumps along its rows (jumping: bytes of its elements)
** takes whole cache lines of it and as many columns as fit; otherwise RUN elements,
** in rows as long as they are.
*/
static void set_tiles(Walk *w, int64_t jumping, int64_t gathered) {
  const int64_t *shape = &w->shape[w->ndim - 2];
  int64_t elements = RUN, columns;
  if (jumping)
    elements = at_most(JUMPING / jumping, (BUFFERS - MAXOPS * LINE) / gathered);
  columns = at_most(shape[1], jumping ? elements * jumping / LINE : RUN);
  w->downward = jumping && shape[0] < shape[1];
  cut(w, elements / columns, columns);
}

/*
** The tiles of a transposed copy of so many bytes.  Past the caches only whole lines
** count, and the source is read in long runs, few at a time: more streams than 64 no
** processor foresees.  Several threads that keep their parts in their caches do best
** with low tiles; one alone, whose cache holds less, with squarer ones.
*/
static void cut_turns(Walk *w, int64_t bytes, int64_t size) {
  const int64_t n = bytes / size, threads = mare_threads();
  w->alone = threads == 1 || n <= (mare_awake() ? AWAKE : SHARED);
  w->past = w->downward = bytes >= (threads == 1 ? SCATTERED : threads * HELD);
  if (w->past) cut(w, 4096 / size, MARE_TURN_WIDTH / size);
  else if (w->alone) cut(w, 256 / size, 1024 / size);
  else cut(w, LINE / size, 2048 / size);
  if (!w->past) w->share = w->alone ? w->ntile : 1 + SHORTER / (w->rows * w->columns);
}

/* Can tiles be copied transposed, from memory to memory? */
static bool set_turns(Walk *w) {
  const Operand *y = &w->op[0], *x = &w->op[1];
  int row = w->ndim - 2, column = row + 1;
  int64_t size = y->size, bytes = size;
  if (x->step[row] != size || y->step[column] != size) return false;
  if (w->shape[row] < SQUARE || w->shape[column] < SQUARE) return false;
  for (int d = 0; d < w->ndim; d++) bytes *= w->shape[d];
  w->turns = true;
  cut_turns(w, bytes, size);
  return true;
}

/* Decides what is gathered; sets the tiles and the buffers. */
static void set_buffers(Walk *w) {
  int last = w->ndim - 1;
  int64_t jumping = 0, gathered = 0, begin = 0; /* bytes of an element of each sort */
  for (int k = 0; k < w->nop; k++) {
    Operand *o = &w->op[k];
    bool narrow = w->shape[last] < NARROW &&
                  o->step[last - 1] != w->shape[last] * o->size;
    bool jumps = o->step[last] != o->size && o->step[last] != 0;
    o->gathered = o->step[last] != o->size || narrow;
    if (o->gathered) gathered += o->size;
    if (jumps && o->size > jumping) jumping = o->size;
  }
  set_tiles(w, jumping, gathered);
  for (int k = 0; k < w->nop; k++) {
    w->op[k].buffer = begin;
    if (w->op[k].gathered)
      begin += (w->rows * w->columns * w->op[k].size + LINE - 1) / LINE * LINE;
  }
}

static void apply_strided(const Job *j) {
  mare_Tensor copy[MAXOPS], *op[MAXOPS];
  Walk w = {.kernel = j->kernel, .run = j->run, .param = j->param, .nop = j->nop};
  int k = 0;
  do *(op[k] = &copy[k]) = *j->op[k];
  while (++k < j->nop);
  set_dims(&w, op);
  if (!j->copies || !set_turns(&w)) set_buffers(&w);
  mare_parallel((w.ntile + w.share - 1) / w.share, w.turns ? turn_piece : walk_piece, &w);
}

static void apply(Job *j) {
  int64_t n = j->op[0]->numel;
  if (n == 0) return;
  if (!all_flat(j)) {
    apply_strided(j);
  } else if (n > AWAKE && (n > SHARED || mare_awake())) {
    j->buffered |= streams(j);
    j->piece = n > SHARED ? PIECE : SHORTER;
    mare_parallel((n + j->piece - 1) / j->piece, flat_piece, j);
  } else {
    run_part(j, 0, n);
  }
}

void mare_apply(mare_Kernel *k, mare_Runner *run, const double *param, int nop,
                mare_Tensor *const *op) {
  Job j = {k, run, param, nop, op, 0, false, 0};
  apply(&j);
}

void mare_apply_copy(mare_Kernel *k, mare_Tensor *const *op) {
  Job j = {k, mare_run_any, NULL, 2, op, 0, true, 0};
  apply(&j);
}
