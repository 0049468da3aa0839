/*
** zip.c -- archives as NumPy writes them (PKWARE, APPNOTE.TXT): members stored or
** deflated, found by the directory at the end.
*/
#include <stdio.h>
#include <string.h>

#include "../base/storage.h"
#include "npy.h"

#define END 22         /* bytes of the record at the end, before its comment */
#define ENTRY 46       /* of an entry of the directory, before the name */
#define LOCAL 30       /* of the header of a member, before the name */
#define COMMENT 65535

static unsigned two(const char *p) {
  const unsigned char *u = (const unsigned char *)p;
  return u[0] | (unsigned)u[1] << 8;
}

static uint32_t four(const char *p) {
  return two(p) | (uint32_t)two(p + 2) << 16;
}

static mare_Status bad(mare_Source *s, const char *what) {
  return mare_source_fail(s, MARE_FORMAT, "%s", what);
}

static mare_Status no_memory(mare_Source *s) {
  return mare_source_fail(s, MARE_NOMEM, "not enough memory");
}

/* the record at the end; sets *at to where it is */
static mare_Status find_end(mare_Source *s, char *end, uint64_t *at) {
  uint64_t first = s->length > END + COMMENT ? s->length - END - COMMENT : 0;
  if (s->gz) return bad(s, "a gzipped archive: unpack it first");
  if (s->length < END) return bad(s, "too short for a .npz file");
  for (*at = s->length - END;; --*at) {
    if (!mare_source_at(s, *at, end, END)) return bad(s, "it cannot be read");
    if (four(end) == 0x06054b50 && *at + END + two(end + 20) == s->length) return MARE_OK;
    if (*at == first) return bad(s, "no .npz file: no archive's directory at its end");
  }
}

static mare_Status read_entry(mare_Source *s, mare_Zip *z, char **p, const char *end,
                              mare_Member *m) {
  const char *e = *p;
  if (end - e < ENTRY || four(e) != 0x02014b50)
    return bad(s, "the directory is damaged");
  m->name = (mare_Text){e + ENTRY, two(e + 28)};
  *p += ENTRY + m->name.n + two(e + 30) + two(e + 32);
  if (*p > end) return bad(s, "the directory is damaged");
  m->deflated = two(e + 10) == 8;
  m->sum = four(e + 16);
  m->packed = four(e + 20);
  m->size = four(e + 24);
  m->at = four(e + 42);
  if (two(e + 8) & 1) return bad(s, "a member is encrypted");
  if (two(e + 10) != 0 && !m->deflated)
    return bad(s, "a member is packed in a way other than deflate");
  if (m->packed == UINT32_MAX || m->size == UINT32_MAX || m->at == UINT32_MAX)
    return bad(s, "a member of 4 GB or more; save it as .npy or safetensors");
  if (m->at > z->begin || m->packed > z->begin - m->at)
    return bad(s, "the directory names bytes that are not there");
  if (!m->deflated && m->packed != m->size)
    return bad(s, "a member that is not packed has two sizes");
  return MARE_OK;
}

mare_Status mare_zip_read(mare_Source *s, mare_Zip *z) {
  char end[END], *p;
  uint64_t at = 0, size;
  mare_Status st;
  memset(z, 0, sizeof *z);
  z->heap = s->heap;
  if ((st = find_end(s, end, &at)) != MARE_OK) return st;
  z->n = (int)two(end + 10);
  size = four(end + 12);
  z->begin = four(end + 16);
  if (z->n == 0xffff || z->begin == UINT32_MAX)
    return bad(s, "an archive of 4 GB or 65,535 members; save parts of it");
  if (two(end + 4) || two(end + 6) || z->begin + size != at)
    return bad(s, "the directory is damaged");
  z->text = mare_scratch(z->heap, size + 1);
  z->member = mare_scratch(z->heap, (size_t)(z->n + 1) * sizeof *z->member);
  z->label = mare_scratch(z->heap, strlen(s->name) + size + 2);
  if (!z->text || !z->member || !z->label) return no_memory(s);
  if (!mare_source_at(s, z->begin, z->text, size)) return bad(s, "it cannot be read");
  p = z->text;
  for (int i = 0; st == MARE_OK && i < z->n; i++)
    st = read_entry(s, z, &p, z->text + size, &z->member[i]);
  if (st == MARE_OK && p != z->text + size) return bad(s, "the directory is damaged");
  return st;
}

mare_Status mare_zip_open(mare_Source *s, mare_Zip *z, int i, mare_Source *part) {
  const mare_Member *m = &z->member[i];
  char head[LOCAL];
  uint64_t begin;
  mare_Status st;
  sprintf(z->label, "%s/%.*s", s->name, (int)m->name.n, m->name.s);
  if (!mare_source_at(s, m->at, head, LOCAL) || four(head) != 0x04034b50)
    return bad(s, "the directory names a member that is not there");
  begin = m->at + LOCAL + two(head + 26) + two(head + 28);
  if (begin > z->begin || m->packed > z->begin - begin)
    return bad(s, "a member reaches into the directory");
  st = mare_source_part(part, s, z->label, begin, m->packed, m->deflated);
  part->size = m->size;
  part->expected = m->sum;
  if (st != MARE_OK) mare_source_fail(s, st, "a member cannot be opened");
  return st;
}

void mare_zip_free(mare_Zip *z) {
  if (z->heap == NULL) return;
  mare_scratch_free(z->heap, z->text);
  mare_scratch_free(z->heap, z->member);
  mare_scratch_free(z->heap, z->label);
  z->heap = NULL;
}
