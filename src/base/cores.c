/* cores.c -- how many cores this process may use: affinity, then the cgroup's quota. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"

#define PATH 1024       /* room for a path below /sys/fs/cgroup */
#define UNLIMITED 1e9   /* cores where nothing sets a quota */

static int affinity(void) {
#ifdef __linux__
  cpu_set_t set[64]; /* 65,536 processors: more than a kernel can have */
  if (sched_getaffinity(0, sizeof set, set) == 0) return CPU_COUNT_S(sizeof set, set);
#endif
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* the beginning of a small file as a string; false when there is none */
static bool slurp(const char *path, char *buf, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, buf, size - 1);
  close(fd);
  buf[n > 0 ? n : 0] = '\0';
  return n > 0;
}

/* version 2: "quota period" or "max period" */
static double quota2(const char *dir) {
  char path[PATH + 32], text[64];
  double quota, period;
  snprintf(path, sizeof path, "%s/cpu.max", dir);
  if (!slurp(path, text, sizeof text)) return UNLIMITED;
  return sscanf(text, "%lf %lf", &quota, &period) == 2 ? quota / period : UNLIMITED;
}

/* version 1: a file for each; a quota of -1 is none */
static double quota1(const char *dir) {
  char path[PATH + 32], quota[64], period[64];
  snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
  if (!slurp(path, quota, sizeof quota)) return UNLIMITED;
  snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
  if (!slurp(path, period, sizeof period)) return UNLIMITED;
  double q = atof(quota), p = atof(period);
  return q > 0 && p > 0 ? q / p : UNLIMITED;
}

/* the least quota of a group and of those it is in, up to the mount point */
static double least(const char *mount, const char *group, double (*quota)(const char *)) {
  char dir[PATH];
  double best = UNLIMITED;
  int top = (int)strlen(mount);
  if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir) dir[top] = '\0';
  for (;;) {
    double q = quota(dir);
    if (q < best) best = q;
    char *slash = strrchr(dir + top, '/');
    if (slash == NULL) return best;
    *slash = '\0';
  }
}

/* is name one of the words of a comma-separated list? */
static bool listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *p = list; (p = strstr(p, name)) != NULL; p += n)
    if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == '\0')) return true;
  return false;
}

/* lines of /proc/self/cgroup are "id:controllers:/group"; version 2 has no controllers */
static double quota(void) {
  char text[8192], *rest = text, *line;
  double best = UNLIMITED;
  if (!slurp("/proc/self/cgroup", text, sizeof text)) return best;
  while ((line = strsep(&rest, "\n")) != NULL) {
    strsep(&line, ":");
    const char *kinds = strsep(&line, ":");
    if (line == NULL) continue;
    double q = UNLIMITED;
    if (*kinds == '\0')
      q = least("/sys/fs/cgroup", line, quota2);
    else if (listed(kinds, "cpu"))
      q = least("/sys/fs/cgroup/cpu", line, quota1);
    if (q < best) best = q;
  }
  return best;
}

/* a quota is rounded down: past it the whole process is put to sleep */
int mare_cores(void) {
  int n = affinity();
  double q = quota();
  if (q < n) n = (int)q;
  return n < 1 ? 1 : n;
}
