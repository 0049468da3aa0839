"""scikit-learn's side of the estimators' timings: models_sklearn.py SECONDS [PATTERN...].

The rows of models.lua; the element type is DTYPE (f4 or f8) of the environment.
"""
import gc
import gzip
import os
import re
import sys
import time
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (LinearDiscriminantAnalysis,
                                           QuadraticDiscriminantAnalysis)
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier

warnings.filterwarnings("ignore")
seconds, patterns = float(sys.argv[1]), sys.argv[2:]


def read_idx(name, header):
    with gzip.open(f"/usr/share/datasets/fashion-mnist/{name}-ubyte.gz") as f:
        return np.frombuffer(f.read()[header:], dtype=np.uint8)


def rows_of(part):
    x = read_idx(f"{part}-images-idx3", 16).reshape(-1, 784) / 255
    return x.astype(os.environ.get("DTYPE", "f4")), read_idx(f"{part}-labels-idx1", 8) + 1


x, y = rows_of("train")
tx, ty = rows_of("t10k")


def timed(f):
    """The median time of f(), run until the budget is spent, at least once."""
    times, finish = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < finish:
        gc.collect()
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def wanted(name):
    return not patterns or any(re.search(p, name) for p in patterns)


def print_row(name, took):
    print(f"{name}\t{took:.6e}", flush=True)


def classifier(name, model):
    """The time of fit, and of predict on the 60,000 rows."""
    if not wanted(name):
        return
    print_row(name + " fit", timed(lambda: model.fit(x, y)))
    print_row(name + " predict", timed(lambda: model.predict(x)))
    if os.environ.get("ACCURACY"):
        print(name, model.score(tx, ty), file=sys.stderr)


classifier("GaussianNB", GaussianNB())
classifier("BernoulliNB", BernoulliNB(binarize=0.5))
classifier("MultinomialNB", MultinomialNB())
classifier("LDA", LinearDiscriminantAnalysis())
classifier("QDA", QuadraticDiscriminantAnalysis(reg_param=0.1))


def other(name, model, f, note):
    """Another one: the time of f(model), and what note(model) says of it."""
    if not wanted(name):
        return
    print_row(name, timed(lambda: f(model)))
    if os.environ.get("ACCURACY"):
        print(name, note(model), file=sys.stderr)


other("KMeans fit", KMeans(10, init=x[:10], n_init=1, max_iter=30, tol=0),
      lambda m: m.fit(x), lambda m: m.inertia_)
other("PCA fit", PCA(50), lambda m: m.fit(x), lambda m: m.explained_variance_.sum())
other("KNN predict", KNeighborsClassifier(5, algorithm="brute").fit(x, y),
      lambda m: m.predict(tx), lambda m: m.score(tx, ty))

label, onehot = y.astype(x.dtype), np.eye(10, dtype=x.dtype)[y - 1]
for name, model, target in [("LinearRegression", LinearRegression(), onehot),
                            ("Ridge", Ridge(alpha=1.0), onehot),
                            ("Lasso", Lasso(alpha=0.01, tol=1e-4), label)]:
    other(name + " fit", model, lambda m: m.fit(x, target), lambda m: m.score(x, target))


def softmax_loss(m):
    """The objective that Maré shows: over C and the number of rows."""
    log_p = m.predict_log_proba(x)[np.arange(len(y)), y - 1].astype("f8")
    loss = -log_p.mean() + (m.coef_.astype("f8") ** 2).sum() / 2 / len(y)
    return f"loss {loss:.5f}, accuracy {m.score(tx, ty):.4f}"


other("SoftmaxRegression fit", LogisticRegression(max_iter=100), lambda m: m.fit(x, y),
      softmax_loss)
