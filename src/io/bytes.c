/*
** bytes.c -- sources and sinks.
*/
#include "bytes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "../base/pool.h"
#include "../base/storage.h"

#define BUFFER ((size_t)128 << 10)
#define CHUNK ((size_t)8 << 20) /* of one call of read, write or inflate */
#define PIECE ((size_t)4 << 20) /* of a large read, for one thread */
#define DEFLATE_MOST 1032       /* bytes that one packed byte can stand for */

/* -- messages ----------------------------------------------------------------------- */

static void describe(char *error, const char *name, const char *fmt, va_list ap) {
  int n = snprintf(error, MARE_ERRORTEXT, "%s: ", name);
  if (n >= 0 && n < MARE_ERRORTEXT)
    vsnprintf(error + n, (size_t)(MARE_ERRORTEXT - n), fmt, ap);
}

mare_Status mare_source_fail(mare_Source *s, mare_Status st, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  describe(s->error, s->name, fmt, ap);
  va_end(ap);
  return st;
}

static mare_Status no_memory(mare_Source *s) {
  return mare_source_fail(s, MARE_NOMEM, "not enough memory");
}

static size_t least(uint64_t a, uint64_t b) {
  return (size_t)(a < b ? a : b);
}

/* -- opening a source --------------------------------------------------------------- */

#define GZIP (15 + 16) /* a gzip header, nothing else */
#define DEFLATE (-15)  /* no header */

static void *gz_alloc(void *heap, unsigned n, unsigned size) {
  return mare_scratch(heap, (size_t)n * size); /* 32 bits each: fits */
}

static void gz_free(void *heap, void *p) {
  mare_scratch_free(heap, p);
}

static mare_Status open_gz(mare_Source *s, int bits) {
  z_stream *z = mare_scratch(s->heap, sizeof *z);
  if (z == NULL) return no_memory(s);
  memset(z, 0, sizeof *z);
  z->zalloc = gz_alloc;
  z->zfree = gz_free;
  z->opaque = s->heap;
  if (inflateInit2(z, bits) != Z_OK) {
    mare_scratch_free(s->heap, z);
    return no_memory(s);
  }
  s->gz = z;
  if (s->fd >= 0) s->buffer = mare_scratch(s->heap, BUFFER);
  return s->fd < 0 || s->buffer ? MARE_OK : no_memory(s);
}

static bool packed(const unsigned char *magic) {
  return magic[0] == 0x1f && magic[1] == 0x8b;
}

static mare_Status open_file(mare_Source *s) {
  struct stat st;
  unsigned char magic[2];
  s->fd = open(s->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (s->fd < 0) return mare_source_fail(s, MARE_IO, "%s", strerror(errno));
  if (fstat(s->fd, &st) != 0) return mare_source_fail(s, MARE_IO, "%s", strerror(errno));
  if (S_ISDIR(st.st_mode)) return mare_source_fail(s, MARE_IO, "Is a directory");
  if (!S_ISREG(st.st_mode)) return mare_source_fail(s, MARE_IO, "Not a regular file");
  s->length = (uint64_t)st.st_size;
  if (pread(s->fd, magic, 2, 0) == 2 && packed(magic)) return open_gz(s, GZIP);
  return MARE_OK;
}

mare_Status mare_source_open(mare_Source *s, mare_Heap *h, const char *path) {
  mare_Status st;
  memset(s, 0, sizeof *s);
  s->heap = h;
  s->name = path;
  st = open_file(s);
  if (st != MARE_OK) mare_source_close(s);
  return st;
}

mare_Status mare_source_string(mare_Source *s, mare_Heap *h, const char *name,
                               const void *bytes, size_t n) {
  mare_Status st;
  memset(s, 0, sizeof *s);
  s->heap = h;
  s->name = name;
  s->fd = -1;
  s->bytes = bytes;
  s->length = n;
  st = n >= 2 && packed(bytes) ? open_gz(s, GZIP) : MARE_OK;
  if (st != MARE_OK) mare_source_close(s);
  return st;
}

mare_Status mare_source_part(mare_Source *s, const mare_Source *whole, const char *name,
                             uint64_t offset, uint64_t n, bool deflated) {
  mare_Status st = MARE_OK;
  memset(s, 0, sizeof *s);
  s->heap = whole->heap;
  s->name = name;
  s->part = true;
  s->length = n;
  s->fd = whole->fd < 0 ? -1 : fcntl(whole->fd, F_DUPFD_CLOEXEC, 0);
  s->bytes = whole->fd < 0 ? whole->bytes + offset : NULL;
  if (whole->fd >= 0 && (s->fd < 0 || lseek(s->fd, (off_t)offset, SEEK_SET) < 0))
    st = mare_source_fail(s, MARE_IO, "%s", strerror(errno));
  if (st == MARE_OK && deflated) st = open_gz(s, DEFLATE);
  if (st != MARE_OK) mare_source_close(s);
  return st;
}

static bool read_at(int fd, uint64_t offset, char *p, size_t n) {
  while (n) {
    if (mare_stopping()) return false;
    ssize_t r = pread(fd, p, least(n, CHUNK), (off_t)offset);
    if (r < 0 && errno == EINTR) continue;
    if (r <= 0) return false;
    p += r, offset += (uint64_t)r, n -= (size_t)r;
  }
  return true;
}

bool mare_source_at(const mare_Source *s, uint64_t offset, void *out, size_t n) {
  if (s->gz || offset > s->length || n > s->length - offset) return false;
  if (s->fd >= 0) return read_at(s->fd, offset, out, n);
  memcpy(out, s->bytes + offset, n);
  return true;
}

mare_Status mare_source_seek(mare_Source *s, uint64_t offset) {
  if (s->fd >= 0 && lseek(s->fd, (off_t)offset, SEEK_SET) < 0)
    return mare_source_fail(s, MARE_IO, "%s", strerror(errno));
  s->taken = s->position = offset;
  return MARE_OK;
}

void mare_source_close(mare_Source *s) {
  if (s->heap == NULL) return;
  if (s->gz) inflateEnd(s->gz);
  mare_scratch_free(s->heap, s->gz);
  mare_scratch_free(s->heap, s->buffer);
  if (s->fd >= 0) close(s->fd);
  s->heap = NULL;
}

/* -- reading ------------------------------------------------------------------------ */

/*
** Much of a file is read in pieces by all threads: what takes the time is not the disk,
** but fresh pages and the copy into them.
*/
typedef struct Pieces {
  int fd;
  uint64_t offset;
  char *out;
  size_t n;
  _Atomic bool failed;
} Pieces;

static void read_piece(void *ctx, int64_t i) {
  Pieces *p = ctx;
  size_t first = (size_t)i * PIECE;
  if (!read_at(p->fd, p->offset + first, p->out + first, least(p->n - first, PIECE)))
    p->failed = true;
}

/* false: it has to be tried from here on in order, which tells what is wrong */
static bool read_pieces(const mare_Source *s, char *out, size_t n) {
  Pieces p = {.fd = s->fd, .out = out, .n = n};
  off_t at = lseek(s->fd, 0, SEEK_CUR);
  if (at < 0) return false;
  p.offset = (uint64_t)at;
  mare_parallel((int64_t)((n + PIECE - 1) / PIECE), read_piece, &p);
  return !p.failed && !mare_stopping() && lseek(s->fd, (off_t)n, SEEK_CUR) >= 0;
}

/* up to n bytes of the file or string as it stands; *got is 0 at the end only */
static mare_Status read_raw(mare_Source *s, void *out, size_t n, size_t *got) {
  ssize_t r;
  n = least(n, s->length - s->taken);
  if (s->fd < 0) {
    *got = n = least(n, CHUNK);
    if (*got) memcpy(out, s->bytes + s->taken, *got);
  }
  else if (n >= 2 * PIECE && read_pieces(s, out, n)) *got = n;
  else {
    do r = read(s->fd, out, least(n, CHUNK)); while (r < 0 && errno == EINTR);
    if (r < 0) return mare_source_fail(s, MARE_IO, "%s", strerror(errno));
    *got = (size_t)r;
  }
  s->taken += *got;
  return MARE_OK;
}

/* more packed bytes for zlib, if it has none left; those of a string where they are */
static mare_Status refill(mare_Source *s) {
  size_t got;
  if (s->gz->avail_in) return MARE_OK;
  if (s->fd < 0) {
    got = least(s->length - s->taken, CHUNK);
    s->gz->next_in = (unsigned char *)s->bytes + s->taken;
    s->taken += got;
  }
  else {
    mare_Status st = read_raw(s, s->buffer, BUFFER, &got);
    if (st != MARE_OK) return st;
    s->gz->next_in = s->buffer;
  }
  s->gz->avail_in = (unsigned)got;
  return MARE_OK;
}

/* after the end of one packed stream: another may follow, or zeros that pad */
static mare_Status next_member(mare_Source *s) {
  for (;;) {
    mare_Status st = refill(s);
    if (st != MARE_OK) return st;
    if (s->gz->avail_in == 0 || s->part) {
      s->ended = true;
      return MARE_OK;
    }
    if (*s->gz->next_in == 0x1f)
      return inflateReset(s->gz) == Z_OK ? MARE_OK : no_memory(s);
    if (*s->gz->next_in != 0)
      return mare_source_fail(s, MARE_FORMAT, "bytes that are not gzip follow its end");
    s->gz->next_in++;
    s->gz->avail_in--;
  }
}

static mare_Status inflate_some(mare_Source *s, void *out, size_t n, size_t *got) {
  z_stream *z = s->gz;
  int r;
  mare_Status st = refill(s);
  if (st != MARE_OK) return st;
  z->next_out = out;
  z->avail_out = (unsigned)least(n, CHUNK);
  r = inflate(z, Z_NO_FLUSH);
  *got = (size_t)(z->next_out - (unsigned char *)out);
  if (r == Z_STREAM_END) return next_member(s);
  if (r == Z_MEM_ERROR) return no_memory(s);
  if (r == Z_BUF_ERROR && z->avail_in == 0)
    return mare_source_fail(s, MARE_FORMAT, "the gzip stream is cut off");
  if (r != Z_OK)
    return mare_source_fail(s, MARE_FORMAT, "damaged gzip stream (%s)",
                            z->msg ? z->msg : "no detail");
  return MARE_OK;
}

mare_Status mare_source_some(mare_Source *s, char *out, size_t n, size_t *got) {
  *got = 0;
  while (*got < n && !s->ended) {
    size_t now = 0;
    if (mare_stopping()) return MARE_STOPPED;
    mare_Status st = s->gz ? inflate_some(s, out + *got, n - *got, &now)
                           : read_raw(s, out + *got, n - *got, &now);
    if (st != MARE_OK) return st;
    if (s->gz == NULL && now == 0) break;
    if (s->part) s->sum = (uint32_t)crc32_z(s->sum, (const void *)(out + *got), now);
    *got += now;
  }
  s->position += *got;
  return MARE_OK;
}

mare_Status mare_source_read(mare_Source *s, void *out, size_t n) {
  size_t got;
  mare_Status st = mare_source_some(s, out, n, &got);
  if (st == MARE_OK && got < n)
    return mare_source_fail(s, MARE_FORMAT, "cut off after %llu bytes; %zu more expected",
                            (unsigned long long)s->position, n - got);
  return st;
}

mare_Status mare_source_finish(mare_Source *s) {
  char extra;
  size_t got;
  mare_Status st = mare_source_some(s, &extra, 1, &got);
  if (st == MARE_OK && got)
    return mare_source_fail(s, MARE_FORMAT, "more follows after its %llu bytes",
                            (unsigned long long)s->position - 1);
  if (st == MARE_OK && s->part && (s->position != s->size || s->sum != s->expected))
    return mare_source_fail(s, MARE_FORMAT, "damaged: its check sum is another one");
  return st;
}

mare_Status mare_source_all(mare_Source *s, char **text, size_t *n) {
  size_t size = least(mare_source_room(s), s->length + BUFFER), got;
  *n = 0;
  for (;;) {
    char *bigger = mare_scratch(s->heap, size + 17);
    if (bigger == NULL) return no_memory(s);
    if (*text) memcpy(bigger, *text, *n);
    mare_scratch_free(s->heap, *text);
    *text = bigger;
    mare_Status st = mare_source_some(s, *text + *n, size - *n, &got);
    if (st != MARE_OK) return st;
    *n += got;
    if (*n < size || mare_source_room(s) == 0) break;
    size = 2 * size;
  }
  memset(*text + *n, 0, 17);
  (*text)[*n] = '\n';
  return mare_source_finish(s);
}

uint64_t mare_source_room(const mare_Source *s) {
  uint64_t rest = s->length > s->taken ? s->length - s->taken : 0;
  if (s->gz == NULL) return rest;
  if (s->ended) return 0;
  rest += s->gz->avail_in;
  if (rest > UINT64_MAX / 2 / DEFLATE_MOST) rest = UINT64_MAX / 2;
  else rest = (rest + 64) * DEFLATE_MOST;
  return s->part && s->size - s->position < rest ? s->size - s->position : rest;
}

/* -- sinks -------------------------------------------------------------------------- */

static mare_Status sink_fail(mare_Sink *s, mare_Status st, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  describe(s->error, s->path, fmt, ap);
  va_end(ap);
  return st;
}

/*
** The bytes go to a file beside the target, named as it with "." and nine hexadecimal
** digits and "~" behind, that its writer holds a lock on.  The lock ends with the
** process, so that the next writer to the same target can tell what to remove.
*/

#define DIGITS 9

/* the folder of a path; copy has room for the path */
static const char *folder_of(const char *path, char *copy) {
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  memcpy(copy, path, n);
  copy[n] = '\0';
  return n ? copy : slash ? "/" : ".";
}

/* is it the name of a temporary file for the target of this name? */
static bool is_temporary(const char *name, const char *target, size_t n) {
  return strncmp(name, target, n) == 0 && name[n] == '.' &&
         strspn(name + n + 1, "0123456789abcdef") == DIGITS &&
         strcmp(name + n + 1 + DIGITS, "~") == 0;
}

/* removes the file unless its writer lives */
static void remove_dead(int folder, const char *name) {
  int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(folder, name, 0);
  close(fd);
}

/* removes what writers to the same target left when they were killed */
static void remove_leftovers(const mare_Sink *s) {
  const char *slash = strrchr(s->target, '/'), *name = slash ? slash + 1 : s->target;
  DIR *folder = opendir(folder_of(s->target, s->temporary));
  struct dirent *e;
  if (folder == NULL) return;
  while ((e = readdir(folder)) != NULL && !mare_stopping())
    if (is_temporary(e->d_name, name, strlen(name)))
      remove_dead(dirfd(folder), e->d_name);
  closedir(folder);
}

/* false: another writer took it for a leftover before it had its lock */
static bool lock_temporary(const mare_Sink *s) {
  if (flock(s->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  return access(s->temporary, F_OK) == 0;
}

/* a name that nobody else has; umask applies as to any new file */
static mare_Status open_temporary(mare_Sink *s, size_t size) {
  struct timespec t;
  for (int i = 0; i < 100; i++) {
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(s->temporary, size, "%s.%06lx%03x~", s->target,
             ((unsigned long)t.tv_nsec ^ (unsigned long)getpid() << 8) & 0xffffff, i);
    s->fd = open(s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (s->fd < 0 && errno != EEXIST) break;
    if (s->fd >= 0 && lock_temporary(s)) return MARE_OK;
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
  }
  return sink_fail(s, MARE_IO, "%s", strerror(errno));
}

/* where the bytes go: what a link leads to is replaced, not the link */
static mare_Status find_target(mare_Sink *s) {
  size_t n = strlen(s->path) + 1;
  s->target = mare_scratch(s->heap, n > PATH_MAX ? n : PATH_MAX);
  if (s->target == NULL) return sink_fail(s, MARE_NOMEM, "not enough memory");
  if (realpath(s->path, s->target) == NULL) memcpy(s->target, s->path, n);
  return MARE_OK;
}

static mare_Status open_sink(mare_Sink *s) {
  struct stat st;
  mare_Status status = find_target(s);
  size_t size;
  bool exists = status == MARE_OK && stat(s->target, &st) == 0;
  if (status != MARE_OK) return status;
  if (exists && S_ISDIR(st.st_mode)) return sink_fail(s, MARE_IO, "Is a directory");
  if (exists && !S_ISREG(st.st_mode)) return sink_fail(s, MARE_IO, "Not a regular file");
  size = strlen(s->target) + 16;
  s->temporary = mare_scratch(s->heap, size);
  if (s->temporary == NULL) return sink_fail(s, MARE_NOMEM, "not enough memory");
  remove_leftovers(s);
  status = open_temporary(s, size);
  if (status == MARE_OK && exists && fchmod(s->fd, st.st_mode & 07777) != 0)
    errno = 0; /* then the mode of a new file will do */
  return status;
}

mare_Status mare_sink_open(mare_Sink *s, mare_Heap *h, const char *path) {
  mare_Status st;
  memset(s, 0, sizeof *s);
  s->heap = h;
  s->path = path;
  s->fd = -1;
  st = open_sink(s);
  if (st != MARE_OK) mare_sink_close(s);
  return st;
}

mare_Status mare_sink_write(mare_Sink *s, const void *bytes, size_t n) {
  const char *p = bytes;
  while (n) {
    if (mare_stopping()) return MARE_STOPPED;
    ssize_t w = write(s->fd, p, least(n, CHUNK));
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return sink_fail(s, MARE_IO, "%s", strerror(errno));
    p += w;
    n -= (size_t)w;
  }
  return MARE_OK;
}

/* the new name is on the disk too once its folder is; where that can be asked for */
static void sync_folder(const char *path, char *copy) {
  int fd = open(folder_of(path, copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

/* closed, and so unlocked, only under its own name: nobody takes it for a leftover */
mare_Status mare_sink_commit(mare_Sink *s) {
  if (fsync(s->fd) != 0 && errno != EINVAL && errno != EROFS)
    return sink_fail(s, MARE_IO, "%s", strerror(errno));
  if (rename(s->temporary, s->target) != 0)
    return sink_fail(s, MARE_IO, "%s", strerror(errno));
  close(s->fd);
  s->fd = -1;
  sync_folder(s->target, s->temporary);
  return MARE_OK;
}

void mare_sink_close(mare_Sink *s) {
  if (s->heap == NULL) return;
  if (s->fd >= 0) {
    close(s->fd);
    unlink(s->temporary);
  }
  s->fd = -1;
  mare_scratch_free(s->heap, s->temporary);
  mare_scratch_free(s->heap, s->target);
  s->heap = NULL;
}
