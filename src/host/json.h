/*
** json.h -- the description of a network as a tree: JSON (RFC 8259) in an array of
** values, each of which knows its first part and its next neighbour.
*/
#ifndef MARE_JSON_H
#define MARE_JSON_H

#include "../io/safetensors.h"

typedef enum mare_JsonKind {
  MARE_NULL, MARE_FALSE, MARE_TRUE, MARE_NUMBER, MARE_STRING, MARE_LIST, MARE_OBJECT
} mare_JsonKind;

typedef struct mare_Json {
  mare_JsonKind kind;
  double number;
  mare_Text text; /* of a string: what stands between the quotes, escapes as they are */
  mare_Text key;  /* of a value in an object */
  int count;      /* parts of a list or object */
  const struct mare_Json *first, *next; /* NULL: none */
} mare_Json;

/*
** *root, in scratch memory, is the tree of a text, into which its strings point.  The
** text ends with a byte of zero and 16 more.  MARE_FORMAT: *at is the 1-based place of
** what is wrong.
*/
mare_Status mare_json_read(mare_Heap *h, const char *text, mare_Json **root, size_t *at);

bool mare_text_is(mare_Text t, const char *s);

#endif
