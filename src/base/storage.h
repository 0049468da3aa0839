/* storage.h -- the heap of one Lua state and its refcounted blocks of bytes. */
#ifndef MARE_STORAGE_H
#define MARE_STORAGE_H

#include "types.h"

/*
** Every allocation of the engine goes through one function of this shape:
** size 0 frees, old == NULL allocates (64-byte aligned); there is no resizing.
** NULL means that there is no memory; it never raises.
*/
typedef void *mare_Alloc(void *ud, void *old, size_t size);

#define MARE_NCLASS 256 /* size classes of the cache */

struct mare_Heap {
  mare_Alloc *alloc;
  void *ud;
  size_t live;     /* bytes in storages that somebody refers to */
  size_t peak;     /* highest live so far */
  size_t cached;   /* bytes in free blocks kept for reuse */
  size_t scratch;  /* bytes of working memory that functions hold now */
  size_t pressure; /* live above which the binding runs the collector */
  size_t ease;     /* live below which pressure falls; 0: it is at its least */
  int dips, doubt; /* how often live fell below it; how often it must */
  bool eased;      /* pressure has fallen since the last collection */
  size_t limit;    /* mare.memory_limit on live, scratch and cached; SIZE_MAX: none */
  long blocks;     /* storages and scratch blocks that somebody refers to */
  mare_Storage **all; /* every block, in use or free ... */
  uint32_t count, room; /* ... so many; there is room for so many */
  uint64_t occupied[MARE_NCLASS / 64]; /* classes with a free block */
  mare_Storage *freelist[MARE_NCLASS];
};

mare_Heap *mare_heap_new(mare_Alloc *alloc, void *ud); /* alloc NULL: the system's */
void mare_heap_close(mare_Heap *h);    /* frees it, and all blocks that are left */
void mare_heap_trim(mare_Heap *h);     /* gives the cache back to the system */
void mare_heap_limit(mare_Heap *h, size_t limit);
/* the collector has run; before: live then, what is asked for now included in both */
void mare_heap_collected(mare_Heap *h, size_t before, size_t after);
mare_Status mare_heap_status(const mare_Heap *h, size_t nbytes); /* why one failed */

mare_Storage *mare_storage_new(mare_Heap *h, size_t nbytes); /* refcount 1, or NULL */
/* one in `room`, of sizeof(mare_Storage) + nbytes bytes that somebody else frees */
mare_Storage *mare_storage_inside(void *room, size_t nbytes);
mare_Storage *mare_storage_retain(mare_Storage *s);          /* returns s */
/*
** n > 0 bytes of an open file from 'offset' on, where the system keeps them: private,
** not copied, not counted as live.  NULL when that cannot be done.
*/
mare_Storage *mare_storage_map(mare_Heap *h, int fd, uint64_t offset, size_t n);
bool mare_storage_mapped(const mare_Storage *s);
void mare_storage_release(mare_Storage *s);                  /* NULL is allowed */

void *mare_scratch(mare_Heap *h, size_t nbytes); /* working memory, or NULL */
void mare_scratch_free(mare_Heap *h, void *p);   /* NULL is allowed */
/* working memory that is held for this heap, but elsewhere; false: past the limit */
bool mare_scratch_count(mare_Heap *h, size_t nbytes);
void mare_scratch_uncount(mare_Heap *h, size_t nbytes);

#endif
