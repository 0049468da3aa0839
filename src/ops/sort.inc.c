/*
** sort.inc.c -- sorting words of ONE unsigned type W, included by sort.c with W and
** K(name) defined.  A word is a key above a position, so that no two are equal and
** every order of words is stable; only the bits of the key need sorting, as the positions
** come in order.
*/

static void K(insertion)(W *p, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    W x = p[i];
    int64_t j = i;
    for (; j > 0 && p[j - 1] > x; j--) p[j] = p[j - 1];
    p[j] = x;
  }
}

/*
** One digit of the words; returns where they are then.  Who stops in the middle leaves
** words that are none: sort_line looks.
*/
static W *K(radix_pass)(W *from, W *to, int64_t n, int shift) {
  int64_t count[DIGIT] = {0}, sum = 0;
  for (int64_t i = 0, end; i < n; i = end) {
    end = n - i < PATIENCE ? n : i + PATIENCE;
    if (mare_stopping()) return from;
    for (int64_t k = i; k < end; k++) count[(size_t)(from[k] >> shift) % DIGIT]++;
  }
  if (count[(size_t)(from[0] >> shift) % DIGIT] == n) return from; /* all alike */
  for (int b = 0; b < DIGIT; b++) {
    int64_t c = count[b];
    count[b] = sum;
    sum += c;
  }
  for (int64_t i = 0, end; i < n && !mare_stopping(); i = end) {
    end = n - i < PATIENCE ? n : i + PATIENCE;
    for (int64_t k = i; k < end; k++)
      to[count[(size_t)(from[k] >> shift) % DIGIT]++] = from[k];
  }
  return to;
}

/* runs of FEW by insertion, then merged two by two; asks where it is long */
static W *K(merge_sort)(W *p, W *spare, int64_t n) {
  for (int64_t i = 0; i < n && (i == 0 || going_on(i)); i += FEW)
    K(insertion)(p + i, n - i < FEW ? n - i : FEW);
  for (int64_t run = FEW; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      int64_t a = i, m = i + run < n ? i + run : n, b = m,
              end = m + run < n ? m + run : n;
      for (int64_t k = i; k < end; k++) {
        bool left = b == end || (a < m && p[a] < p[b]);
        if (k % PATIENCE == PATIENCE - 1 && mare_stopping()) return p;
        spare[k] = left ? p[a] : p[b];
        a += left;
        b += !left;
      }
    }
    W *t = p;
    p = spare;
    spare = t;
  }
  return p;
}

static W *K(sort)(W *p, W *spare, int64_t n, int low, int high) {
  if (n < MANY) return K(merge_sort)(p, spare, n);
  for (int shift = low; shift < high; shift += DIGIT_BITS) {
    W *at = K(radix_pass)(p, spare, n, shift);
    if (at == p) continue;
    spare = p;
    p = at;
  }
  return p;
}

/* moves the k smallest of n words to the front, in any order */
static void K(select)(W *p, int64_t n, int64_t k) {
  int64_t moves = 0;
  for (int64_t lo = 0, hi = n - 1; lo < hi;) {
    W a = p[lo], b = p[lo + (hi - lo) / 2], c = p[hi];
    W pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (p[i] < pivot) i++;
      while (pivot < p[j]) j--;
      if (i > j) break;
      W t = p[i];
      p[i++] = p[j];
      p[j--] = t;
      if (++moves % PATIENCE == 0 && mare_stopping()) return;
    }
    if (k - 1 <= j)
      hi = j;
    else if (k - 1 >= i)
      lo = i;
    else
      return;
  }
}

/* a word for each key, less the least of them */
static void K(make)(W *p, int64_t n, const uint64_t *key, uint64_t least, int low) {
  for (int64_t i = 0, end; i < n && (i == 0 || !mare_stopping()); i = end) {
    end = n - i < PATIENCE ? n : i + PATIENCE;
    for (int64_t k = i; k < end; k++) p[k] = (W)(key[k] - least) << low | (uint64_t)k;
  }
}

/* the k smallest of n words in order */
static const W *K(first)(W *p, W *spare, int64_t n, int64_t k, int low, int high) {
  if (k == n) return K(sort)(p, spare, n, low, high);
  K(select)(p, n, k);
  return K(merge_sort)(p, spare, k);
}
