/* number.h -- decimal numbers in text, whatever the locale, to the nearest double. */
#ifndef MARE_NUMBER_H
#define MARE_NUMBER_H

#include "../base/types.h"

#define MARE_LEAST10 (-342) /* below it everything is 0 */
#define MARE_MOST10 308     /* above it everything is infinite */

/* the first 64 bits of the powers of ten, rounded down */
typedef struct mare_Powers {
  uint64_t m[MARE_MOST10 - MARE_LEAST10 + 1];
} mare_Powers;

void mare_powers(mare_Powers *t);

/*
** The number at p, with this decimal point: where it ends, or NULL when there is
** none.  Also inf, infinity and nan, in any case.  The text ends with a byte that
** belongs to no number, and 8 more bytes can be read after that.
*/
const char *mare_number(const mare_Powers *t, const char *p, char point, double *v);
/* the same for an integer; NULL too when it does not fit */
const char *mare_whole(const char *p, int64_t *v);

#endif
