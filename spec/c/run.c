/*
** run.c -- programs in C without Lua, for c_spec.lua: commands on the standard input,
** one line of answer to each.  Linked without Lua.
**   shapes MODEL                       its layers, shapes and types
**   run MODEL X ROWS XTYPE YTYPE Y NDIM SIZES...   file X to file Y, by 8 threads at once
**   refuse MODEL NDIM SIZES...         the status of that input, and the shapes after it
**   damage MODEL                       every cut and every changed byte is read
*/
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/mare.h"

#define THREADS 8
#define CALLS 6 /* of each thread */

static const size_t size_of[MARE_NDTYPE] = {4, 8, 8, 1};

/* -- files ---------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  char *p;
  if (f == NULL) return NULL;
  fseek(f, 0, SEEK_END);
  *n = (size_t)ftell(f);
  rewind(f);
  p = malloc(*n + 1);
  if (fread(p, 1, *n, f) != *n) *n = 0;
  fclose(f);
  return p;
}

static void write_file(const char *path, const void *p, size_t n) {
  FILE *f = fopen(path, "wb");
  if (f == NULL || fwrite(p, 1, n, f) != n) exit(2);
  fclose(f);
}

/* -- shapes --------------------------------------------------------------------------- */

static void print_shape(const char *what, int n, const int64_t *shape) {
  printf("%s%d", what, n);
  for (int d = 0; d < n; d++) printf(" %lld", (long long)shape[d]);
}

static void shapes(const char *path) {
  char why[MARE_MESSAGE];
  const char *place, *name;
  int64_t shape[MARE_MAXDIM];
  mare_Model *m;
  if (mare_model_open(&m, path, why, sizeof why) != MARE_OK) {
    printf("%s\n", why);
    return;
  }
  print_shape("in ", mare_model_input(m, shape), shape);
  print_shape(" out ", mare_model_output(m, shape), shape);
  printf(" of %lld to %lld type %d reads %d", (long long)mare_model_inputs(m),
         (long long)mare_model_outputs(m), (int)mare_model_dtype(m),
         (int)mare_model_input_dtype(m));
  for (int i = 0; (name = mare_model_layer(m, i, &place)); i++)
    printf(" %s=%s", place, name);
  printf(" format=%s\n", mare_model_metadata(m, "format"));
  mare_model_close(m);
}

static void refuse(const char *path, int ndim, const int64_t *sizes) {
  int64_t shape[MARE_MAXDIM];
  mare_Model *m;
  if (mare_model_open(&m, path, NULL, 0) != MARE_OK) exit(4);
  mare_Status st = mare_model_set_input(m, ndim, sizes, NULL, 0);
  print_shape(mare_status_text(st), mare_model_input(m, shape), shape);
  print_shape(" out ", mare_model_output(m, shape), shape);
  printf(" of %lld\n", (long long)mare_model_outputs(m));
  mare_model_close(m);
}

/* -- one model in 8 threads ----------------------------------------------------------- */

typedef struct Job {
  const mare_Model *m;
  mare_Dtype xtype, type;
  const void *x;
  int64_t rows;
  const char *want; /* bytes of the result */
  size_t n;
  mare_Status st;
  bool differs;
} Job;

static void *predict(void *arg) {
  Job *j = arg;
  mare_Workspace *ws = mare_workspace_new();
  char *y = malloc(j->n + 1);
  for (int i = 0; i < CALLS; i++) {
    mare_Status st = mare_model_run(j->m, j->xtype, j->x, j->rows, j->type, y, ws);
    if (st != MARE_OK) j->st = st;
    else if (memcmp(y, j->want, j->n) != 0) j->differs = true;
  }
  free(y);
  mare_workspace_free(ws);
  return NULL;
}

static const char *in_threads(const Job *one) {
  pthread_t t[THREADS];
  Job job[THREADS];
  bool differs = false;
  for (int i = 0; i < THREADS; i++) {
    job[i] = *one;
    pthread_create(&t[i], NULL, predict, &job[i]);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(t[i], NULL);
    differs |= job[i].differs || job[i].st != MARE_OK;
  }
  return differs ? "threads differ" : mare_status_text(MARE_OK);
}

static void run_model(mare_Model *m, Job *j, const char *to) {
  char *y;
  mare_Status st;
  j->m = m;
  j->n = (size_t)(j->rows * mare_model_outputs(m)) * size_of[j->type];
  y = malloc(j->n + 1);
  st = mare_model_run(m, j->xtype, j->x, j->rows, j->type, y, NULL);
  j->want = y;
  puts(st == MARE_OK ? in_threads(j) : mare_status_text(st));
  if (st == MARE_OK) write_file(to, y, j->n);
  free(y);
}

static void run(const char *path, const char *from, const char *to, Job *j, int ndim,
                const int64_t *shape) {
  char why[MARE_MESSAGE];
  mare_Model *m;
  size_t n;
  char *x = read_file(from, &n);
  mare_Status st = mare_model_open(&m, path, why, sizeof why);
  if (st == MARE_OK && ndim >= 0)
    st = mare_model_set_input(m, ndim, shape, why, sizeof why);
  j->x = x;
  if (st != MARE_OK) puts(why);
  else if (mare_model_inputs(m) < 0) puts("its input is open");
  else if ((size_t)(j->rows * mare_model_inputs(m)) * size_of[j->xtype] != n)
    puts("the file has another size");
  else run_model(m, j, to);
  mare_model_close(m);
  free(x);
}

/* -- damaged files --------------------------------------------------------------------- */

static long opened, refused;

static void try(const char *bytes, size_t n) {
  static float x[4096], y[65536];
  char why[MARE_MESSAGE];
  int64_t shape[MARE_MAXDIM];
  mare_Model *m;
  mare_Status st = mare_model_open_bytes(&m, bytes, n, why, sizeof why);
  opened += st == MARE_OK;
  refused += st != MARE_OK;
  if ((st == MARE_OK) != (why[0] == 0) || (st != MARE_OK && m != NULL)) exit(3);
  if (st != MARE_OK) return;
  if (mare_model_inputs(m) < 0) {
    int ndim = mare_model_input(m, shape);
    for (int d = 0; d < ndim; d++) shape[d] = shape[d] < 0 ? 8 : shape[d];
    mare_model_set_input(m, ndim < 0 ? 0 : ndim, shape, NULL, 0);
  }
  if (mare_model_inputs(m) <= 4096 && mare_model_outputs(m) <= 65536)
    mare_model_predict(m, x, 1, y, NULL);
  mare_model_close(m);
}

static void damage(const char *path) {
  static const char with[] = {'0', '9', '"', ']', '{', ',', '-', (char)0xff, 0};
  size_t n, head;
  char *bytes = read_file(path, &n);
  head = 8 + (size_t)(unsigned char)bytes[0] + ((size_t)(unsigned char)bytes[1] << 8);
  for (size_t k = 0; k < n; k += k < head ? 1 : 61) try(bytes, k);
  for (size_t i = 0; i < head && i < n; i++)
    for (size_t k = 0; k < sizeof with; k++) {
      char *copy = malloc(n), old = bytes[i];
      memcpy(copy, bytes, n);
      copy[i] = with[k];
      if (old != with[k]) try(copy, n);
      free(copy);
    }
  free(bytes);
  printf("%s\n", opened > 0 && refused > 0 ? "read" : "nothing was damaged");
}

/* -- commands -------------------------------------------------------------------------- */

int main(void) {
  char line[2048], word[12][256];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    int64_t shape[MARE_MAXDIM];
    int n = 0;
    for (char *w = strtok(line, " \n"); w && n < 12; w = strtok(NULL, " \n"))
      snprintf(word[n++], sizeof word[0], "%s", w);
    if (n == 2 && strcmp(word[0], "shapes") == 0) shapes(word[1]);
    else if (n == 2 && strcmp(word[0], "damage") == 0) damage(word[1]);
    else if (n >= 3 && strcmp(word[0], "refuse") == 0) {
      for (int d = 3; d < n; d++) shape[d - 3] = atoll(word[d]);
      refuse(word[1], atoi(word[2]), shape);
    } else if (n >= 8 && strcmp(word[0], "run") == 0) {
      Job j = {.rows = atoll(word[3]), .xtype = (mare_Dtype)atoi(word[4]),
               .type = (mare_Dtype)atoi(word[5])};
      for (int d = 8; d < n; d++) shape[d - 8] = atoll(word[d]);
      run(word[1], word[2], word[6], &j, atoi(word[7]), shape);
    } else return 2;
  }
  return 0;
}
