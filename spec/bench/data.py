"""The other side of data.lua: pandas' C parser, NumPy's reads and copies; data.py FOLDER."""
import sys
import time

import numpy as np
import pandas

folder = sys.argv[1]
weights = folder + "/large.safetensors"


def timed(name, n, f):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        kept = f()
        times.append(time.perf_counter() - start)
        del kept
    print(f"{name}\t{min(times):.6e}", flush=True)


timed("csv", 3, lambda: pandas.read_csv(folder + "/numbers.csv", engine="c"))
timed("fromfile", 5, lambda: np.fromfile(weights, dtype=np.uint8))
source = np.fromfile(weights, dtype=np.uint8)
timed("copy to new memory", 5, source.copy)
target = source.copy()
timed("copy to old memory", 5, lambda: np.copyto(target, source))
