/*
** aside.h -- work of other libraries, which ask nobody whether to go on: when it is long
** it is done on a thread of its own, on copies, while the caller asks in its place.
*/
#ifndef MARE_ASIDE_H
#define MARE_ASIDE_H

#include "storage.h"

#define MARE_ASIDE_PARTS 4

typedef struct mare_Aside { /* the beginning of all that the work has to know */
  void (*run)(struct mare_Aside *a);
  size_t size;                    /* of all that; what run changes of it is the result */
  void *part[MARE_ASIDE_PARTS];   /* what it reads and writes besides; NULL: none */
  size_t bytes[MARE_ASIDE_PARTS];
  void *room;                     /* to work in; there when it runs */
  size_t room_bytes;
  mare_Heap *own;                 /* the last two are aside.c's: where it has memory */
  int state;
} mare_Aside;

/*
** Runs it; operations: about how many it takes.  MARE_STOPPED: mare_stopping says so, and
** nothing of the result is to be relied on; MARE_NOMEM.
*/
mare_Status mare_aside(mare_Heap *h, mare_Aside *a, double operations);

#endif
