/*
** storage.c -- the heap of one Lua state: refcounted blocks of bytes, each one
** allocation with its header in the first 64 bytes, and a bounded cache of free
** blocks by size class.  Fresh pages cost more than most operations do; a block
** reused while it is warm costs nothing.
*/
#include "storage.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define UNIT ((size_t)64)            /* alignment, header size, smallest class */
#define CACHE ((size_t)64 << 20)     /* the cache may always hold this much */
#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_BLOCK (2 * HUGE_PAGE)   /* from here on blocks ask for huge pages */

_Static_assert(sizeof(mare_Storage) <= 64, "the header fits before the data");

/* -- the system's memory ---------------------------------------------------------- */

static void *aligned(size_t to, size_t size) {
  void *p;
  return posix_memalign(&p, to, size) == 0 ? p : NULL;
}

static void *huge_alloc(size_t size) {
  void *p = aligned(HUGE_PAGE, size);
#ifdef __linux__
  if (p) madvise(p, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
  return p;
}

static void *system_alloc(void *ud, void *old, size_t size) {
  (void)ud;
  if (size == 0) { free(old); return NULL; }
  return size >= HUGE_BLOCK ? huge_alloc(size) : aligned(UNIT, size);
}

/* -- poison: AddressSanitizer sees the uses of free and of spare bytes ------------ */

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define hide(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define show(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define hide(p, n) ((void)(p), (void)(n))
#define show(p, n) ((void)(p), (void)(n))
#endif

/* -- size classes ----------------------------------------------------------------- */

static int top_bit(uint64_t x) {
  return 63 - __builtin_clzll(x);
}

/*
** Eight classes to each doubling: units 1, 2, ... 16, 18, ... 32, 36, ...
** Sets *capacity to the bytes that a block of the class holds.
*/
static int size_class(size_t nbytes, size_t *capacity) {
  size_t last = nbytes ? (nbytes - 1) / UNIT : 0; /* units - 1 */
  int shift = last < 16 ? 0 : top_bit(last) - 3;
  *capacity = ((last >> shift) + 1) * UNIT << shift;
  return shift * 8 + (int)(last >> shift);
}

/* -- blocks ----------------------------------------------------------------------- */

/* room in the list of all blocks for one more; false: no memory */
static bool list_grow(mare_Heap *h) {
  if (h->count < h->room) return true;
  if (h->room > UINT32_MAX / 2) return false;
  uint32_t room = h->room ? 2 * h->room : 64;
  mare_Storage **all = h->alloc(h->ud, NULL, room * sizeof *all);
  if (!all) return false;
  if (h->all) memcpy(all, h->all, h->count * sizeof *all);
  if (h->all) h->alloc(h->ud, h->all, 0);
  h->all = all;
  h->room = room;
  return true;
}

static void list_add(mare_Heap *h, mare_Storage *s) {
  s->place = h->count;
  h->all[h->count++] = s;
}

static void block_destroy(mare_Heap *h, mare_Storage *s) {
  mare_Storage *last = h->all[--h->count];
  h->all[last->place = s->place] = last;
  show(s->data, s->capacity);
  h->alloc(h->ud, s, 0);
}

static void cache_push(mare_Heap *h, int class, mare_Storage *s) {
  s->next = h->freelist[class];
  h->freelist[class] = s;
  h->occupied[class / 64] |= UINT64_C(1) << class % 64;
  h->cached += s->capacity;
}

static mare_Storage *cache_pop(mare_Heap *h, int class) {
  mare_Storage *s = h->freelist[class];
  h->freelist[class] = s->next;
  if (!s->next) h->occupied[class / 64] &= ~(UINT64_C(1) << class % 64);
  h->cached -= s->capacity;
  return s;
}

/* the largest class with a free block, except 'spare'; or -1 */
static int largest_class(const mare_Heap *h, int spare) {
  for (int w = MARE_NCLASS / 64 - 1; w >= 0; w--) {
    uint64_t bits = h->occupied[w];
    if (spare / 64 == w) bits &= ~(UINT64_C(1) << spare % 64);
    if (bits) return w * 64 + top_bit(bits);
  }
  return -1;
}

/* gives back free blocks, those of this class last, until all hold no more than bound */
static void cache_shrink(mare_Heap *h, int class, size_t bound) {
  while (h->cached > bound) {
    int other = largest_class(h, class);
    block_destroy(h, cache_pop(h, other >= 0 ? other : class));
  }
}

/*
** Room in the cache for one more block of this class.  What was released last
** is what the program works with now, so blocks of other classes go first.
*/
static bool cache_room(mare_Heap *h, int class, size_t capacity) {
  if (capacity <= CACHE && h->cached <= CACHE - capacity) return true;
  size_t bound = h->live > CACHE ? h->live : CACHE;
  bool fits = capacity <= bound;
  cache_shrink(h, class, fits ? bound - capacity : bound);
  return fits;
}

/* bytes that are neither in storages nor in scratch; capacity is within the limit */
static size_t spare(const mare_Heap *h, size_t capacity) {
  return h->limit == SIZE_MAX ? SIZE_MAX : h->limit - h->live - h->scratch - capacity;
}

static mare_Storage *block_fresh(mare_Heap *h, size_t capacity) {
  cache_shrink(h, MARE_NCLASS, spare(h, capacity));
  if (!list_grow(h)) return NULL;
  mare_Storage *s = h->alloc(h->ud, NULL, UNIT + capacity);
  if (!s && h->cached) {
    mare_heap_trim(h);
    s = h->alloc(h->ud, NULL, UNIT + capacity);
  }
  if (s) list_add(h, s);
  return s;
}

static mare_Storage *block_take(mare_Heap *h, size_t nbytes, int class, size_t capacity) {
  mare_Storage *s;
  if (class < MARE_NCLASS && h->freelist[class]) s = cache_pop(h, class);
  else if (!(s = block_fresh(h, capacity))) return NULL;
  s->heap = h;
  s->data = (char *)s + UNIT;
  s->nbytes = nbytes;
  s->capacity = capacity;
  s->refcount = 1;
  s->version = 0;
  s->class = class;
  s->next = NULL;
  h->blocks++;
  show(s->data, capacity);
  hide(s->data + nbytes, capacity - nbytes);
  return s;
}

static void block_give(mare_Heap *h, mare_Storage *s) {
  int class = s->class;
  h->blocks--;
  if (class < MARE_NCLASS && cache_room(h, class, s->capacity)) {
    hide(s->data, s->capacity);
    cache_push(h, class, s);
    return;
  }
  block_destroy(h, s);
}

/* -- heaps ------------------------------------------------------------------------ */

mare_Heap *mare_heap_new(mare_Alloc *alloc, void *ud) {
  if (!alloc) alloc = system_alloc;
  mare_Heap *h = alloc(ud, NULL, sizeof(mare_Heap));
  if (!h) return NULL;
  memset(h, 0, sizeof *h);
  h->alloc = alloc;
  h->ud = ud;
  h->pressure = CACHE;
  h->doubt = 1;
  h->limit = SIZE_MAX;
  return h;
}

static void cache_empty(mare_Heap *h) {
  for (int class; (class = largest_class(h, MARE_NCLASS)) >= 0;)
    block_destroy(h, cache_pop(h, class));
}

void mare_heap_trim(mare_Heap *h) {
  cache_empty(h);
#ifdef __GLIBC__
  if (h->alloc == system_alloc) malloc_trim(0);
#endif
}

/*
** Twice what is live after a collection is garbage enough for the next one.  When the
** program has given back most of that itself, the bound falls, or garbage could pile up
** to a peak of long ago.  Where that was wrong, and the next collection finds little, as
** with steps that each go up and down, more such steps are awaited before the next time.
*/
static void set_pressure(mare_Heap *h, size_t bytes) {
  h->pressure = bytes > CACHE ? bytes : CACHE;
  h->ease = bytes > CACHE ? bytes / 4 : 0;
  h->dips = 0;
}

void mare_heap_collected(mare_Heap *h, size_t before, size_t after) {
  if (h->eased) h->doubt = after <= before / 2 ? 1 : h->doubt < 64 ? 2 * h->doubt : 64;
  h->eased = false;
  set_pressure(h, 2 * after);
}

static void dip(mare_Heap *h) {
  if (++h->dips < h->doubt) return;
  h->eased = true;
  set_pressure(h, h->pressure / 2);
}

void mare_heap_limit(mare_Heap *h, size_t limit) {
  const size_t used = h->live + h->scratch;
  h->limit = limit;
  cache_shrink(h, MARE_NCLASS, limit > used ? limit - used : 0);
}

static bool past_limit(const mare_Heap *h, size_t capacity) {
  const size_t used = h->live + h->scratch;
  if (h->limit == SIZE_MAX) return false; /* there is none */
  return used > h->limit || capacity > h->limit - used;
}

mare_Status mare_heap_status(const mare_Heap *h, size_t nbytes) {
  size_t capacity = nbytes;
  if (nbytes <= PTRDIFF_MAX / 2) size_class(nbytes, &capacity);
  return past_limit(h, capacity) ? MARE_LIMIT : MARE_NOMEM;
}

/* -- storages --------------------------------------------------------------------- */

mare_Storage *mare_storage_new(mare_Heap *h, size_t nbytes) {
  if (nbytes > PTRDIFF_MAX / 2) return NULL; /* classes are computed without overflow */
  size_t capacity;
  int class = size_class(nbytes, &capacity);
  if (past_limit(h, capacity)) return NULL;
  mare_Storage *s = block_take(h, nbytes, class, capacity);
  if (!s) return NULL;
  h->live += capacity;
  if (h->live > h->peak) h->peak = h->live;
  return s;
}

mare_Storage *mare_storage_inside(void *room, size_t nbytes) {
  mare_Storage *s = room;
  *s = (mare_Storage){.data = (char *)(s + 1), .nbytes = nbytes, .capacity = nbytes,
                      .refcount = 1};
  return s;
}

mare_Storage *mare_storage_retain(mare_Storage *s) {
  s->refcount++;
  return s;
}

/* -- storages whose bytes are a file's: the block holds the header alone ------------ */

static size_t page_offset(uint64_t at) { /* of a byte in its page */
  return (size_t)(at & ((uint64_t)sysconf(_SC_PAGESIZE) - 1));
}

mare_Storage *mare_storage_map(mare_Heap *h, int fd, uint64_t offset, size_t n) {
  size_t before = page_offset(offset);
  mare_Storage *s = mare_storage_new(h, 1);
  char *p;
  if (!s) return NULL;
  p = mmap(NULL, before + n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
           (off_t)(offset - before));
  if (p == MAP_FAILED) {
    mare_storage_release(s);
    return NULL;
  }
  s->data = p + before;
  s->nbytes = n;
  return s;
}

bool mare_storage_mapped(const mare_Storage *s) { return s->data != (char *)s + UNIT; }

static void unmap(mare_Storage *s) {
  size_t before = page_offset((uintptr_t)s->data);
  munmap(s->data - before, before + s->nbytes);
  s->data = (char *)s + UNIT;
}

void mare_storage_release(mare_Storage *s) {
  if (!s || --s->refcount > 0) return;
  mare_Heap *h = s->heap;
  if (h == NULL) return; /* it lies in memory of somebody else */
  const bool high = h->live >= h->ease;
  if (mare_storage_mapped(s)) unmap(s);
  h->live -= s->capacity;
  if (high && h->live < h->ease) dip(h);
  block_give(h, s);
}

void mare_heap_close(mare_Heap *h) {
  while (h->count) {
    mare_Storage *s = h->all[h->count - 1];
    if (mare_storage_mapped(s)) unmap(s);
    block_destroy(h, s);
  }
  if (h->all) h->alloc(h->ud, h->all, 0);
  h->alloc(h->ud, h, 0);
}

/* -- scratch: a block whose header only this file sees ---------------------------- */

void *mare_scratch(mare_Heap *h, size_t nbytes) {
  if (nbytes > PTRDIFF_MAX / 2) return NULL;
  size_t capacity;
  int class = size_class(nbytes, &capacity);
  if (past_limit(h, capacity)) return NULL;
  mare_Storage *s = block_take(h, nbytes, class, capacity);
  if (!s) return NULL;
  h->scratch += capacity;
  return s->data;
}

void mare_scratch_free(mare_Heap *h, void *p) {
  if (p == NULL) return;
  mare_Storage *s = (mare_Storage *)(void *)((char *)p - UNIT);
  h->scratch -= s->capacity;
  block_give(h, s);
}

bool mare_scratch_count(mare_Heap *h, size_t nbytes) {
  if (past_limit(h, nbytes)) return false;
  cache_shrink(h, MARE_NCLASS, spare(h, nbytes));
  h->scratch += nbytes;
  return true;
}

void mare_scratch_uncount(mare_Heap *h, size_t nbytes) { h->scratch -= nbytes; }
