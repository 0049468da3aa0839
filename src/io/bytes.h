/*
** bytes.h -- where bytes come from and go to.  A source is a file or a string,
** unpacked on the way when it is gzipped; a sink is a file that appears under its
** name only when it is whole.  Both say what went wrong in 'error'.
*/
#ifndef MARE_BYTES_H
#define MARE_BYTES_H

#include "../base/types.h"

#define MARE_ERRORTEXT 512

typedef struct mare_Source {
  mare_Heap *heap;
  const char *name;           /* what messages call it; the caller keeps it alive */
  int fd;                     /* -1: a string */
  const unsigned char *bytes; /* of a string */
  uint64_t length, taken;     /* bytes of the file or string; read so far */
  struct z_stream_s *gz;      /* NULL: not packed */
  unsigned char *buffer;      /* packed bytes of a file */
  bool ended;                 /* the packed stream is over */
  uint64_t position;          /* bytes handed out, unpacked */
  bool part;                  /* a piece of another source, with a length and a sum: */
  uint64_t size;              /* of its unpacked bytes */
  uint32_t sum, expected;     /* CRC-32 so far, and at the end */
  char error[MARE_ERRORTEXT]; /* "name: what is wrong" */
} mare_Source;

/* Closing is allowed at any time, also twice or after a failed opening. */
mare_Status mare_source_open(mare_Source *s, mare_Heap *h, const char *path);
mare_Status mare_source_string(mare_Source *s, mare_Heap *h, const char *name,
                               const void *bytes, size_t n);
void mare_source_close(mare_Source *s);
/*
** n bytes of a source that is not packed from 'offset' on, as a source of its own: as
** they stand, or deflated.  The caller sets size and expected.
*/
mare_Status mare_source_part(mare_Source *s, const mare_Source *whole, const char *name,
                             uint64_t offset, uint64_t n, bool deflated);
/* what is read next stands at this offset; of a source that is not packed, nor a part */
mare_Status mare_source_seek(mare_Source *s, uint64_t offset);
/* n bytes from 'offset' on of a source that is not packed; false: they are not there */
bool mare_source_at(const mare_Source *s, uint64_t offset, void *out, size_t n);
/* all of it and a newline, with 16 bytes of zero behind, in scratch memory */
mare_Status mare_source_all(mare_Source *s, char **text, size_t *n);

/* exactly n bytes; fewer are MARE_FORMAT */
mare_Status mare_source_read(mare_Source *s, void *out, size_t n);
/* up to n bytes; *got is less than n at the end only */
mare_Status mare_source_some(mare_Source *s, char *out, size_t n, size_t *got);
/* MARE_FORMAT when anything follows; checks the sums of a packed stream */
mare_Status mare_source_finish(mare_Source *s);
/* no more than this can still come: ask before asking for memory */
uint64_t mare_source_room(const mare_Source *s);

/* writes the message and returns st */
mare_Status mare_source_fail(mare_Source *s, mare_Status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

typedef struct mare_Sink {
  mare_Heap *heap;
  const char *path; /* the caller keeps it alive */
  char *target;     /* the file that this leads to */
  char *temporary;  /* where the bytes go first */
  int fd;
  char error[MARE_ERRORTEXT];
} mare_Sink;

mare_Status mare_sink_open(mare_Sink *s, mare_Heap *h, const char *path);
mare_Status mare_sink_write(mare_Sink *s, const void *bytes, size_t n);
mare_Status mare_sink_commit(mare_Sink *s); /* on the disk, then renamed to path */
void mare_sink_close(mare_Sink *s);         /* without a commit: nothing stays behind */

#endif
