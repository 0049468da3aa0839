"""PyTorch's side of the timings: torch_side.py SECONDS [PATTERN...].

Prints "row<TAB>seconds for one unit of work". Threads and the BLAS come from the
environment (run.lua sets them). Written the way a careful user of PyTorch would:
no DataLoader, gradients set to None, inference mode; and where there is more than
one good way (foreach optimizers or not, images kept as bytes or as floats), each is
timed and the best one counts.
"""

import gzip
import os
import re
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

seconds = float(sys.argv[1])
patterns = [re.compile(p) for p in sys.argv[2:]]
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.manual_seed(1)


def timed(run):
    """Median time of one repetition, over blocks of a tenth of the budget; on a
    noisy machine (see run.lua) the lowest tenth of blocks of a millisecond."""
    noisy = bool(os.environ.get("NOISY"))
    run(2)
    start = time.perf_counter()
    run(1)
    reps = max(1, int((1e-3 if noisy else seconds / 10) / max(time.perf_counter() - start, 1e-7)))
    blocks, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(blocks) < 3:
        start = time.perf_counter()
        run(reps)
        blocks.append((time.perf_counter() - start) / reps)
    return sorted(blocks)[len(blocks) // (10 if noisy else 2)]


def row(name, *ways):
    """A way makes a function of the number of repetitions."""
    if not patterns or any(p.search(name) for p in patterns):
        print(f"{name}\t{min(timed(way()) for way in ways):.6e}", flush=True)


def repeat(step):
    def run(reps):
        for _ in range(reps):
            step()
    return run


# -- networks ------------------------------------------------------------------------


def training(net, loss_of, lr, foreach):
    opt = torch.optim.Adam(net.parameters(), lr=lr, foreach=foreach)

    def step():
        opt.zero_grad(set_to_none=True)
        loss_of(net).backward()
        opt.step()
    return repeat(step)


def xor(foreach):
    x = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])
    y = torch.tensor([[0.], [1.], [1.], [0.]])
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    return training(net, lambda n: F.binary_cross_entropy_with_logits(n(x), y), 0.05, foreach)


def mlp56(foreach):
    x, y = torch.randn(16, 56), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(56, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(),
                        nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 1))
    return training(net, lambda n: F.mse_loss(n(x), y), 0.001, foreach)


def mnist_net():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def one_sample():
    net, x = mnist_net(), torch.randn(1, 784)

    def run(reps):
        with torch.inference_mode():
            for _ in range(reps):
                net(x)
    return run


def read_idx(name, header):
    with gzip.open(f"/usr/share/datasets/fashion-mnist/{name}-ubyte.gz") as f:
        return torch.frombuffer(bytearray(f.read()[header:]), dtype=torch.uint8)


images, labels = None, None


def fashion(batch, foreach, floats):
    """Shuffled batches by indexing; the images stay bytes, or were made floats before."""
    global images, labels
    if images is None:
        images = read_idx("train-images-idx3", 16).view(60000, 784)
        labels = read_idx("train-labels-idx1", 8).long()
    x = images.float().div_(255) if floats else images
    order, at = torch.randperm(60000), 0

    def loss(net):
        nonlocal order, at
        if at + batch > 60000:
            order, at = torch.randperm(60000), 0
        index = order[at:at + batch]
        at += batch
        xb = x[index] if floats else x[index].float().div_(255)
        return F.cross_entropy(net(xb), labels[index])
    return training(mnist_net(), loss, 0.001, foreach)


either = (False, True)
row("xor", *[lambda f=f: xor(f) for f in either])
row("mlp56", *[lambda f=f: mlp56(f) for f in either])
row("one sample", one_sample)
for batch in (32, 128):
    row(f"fashion {batch}", *[lambda f=f, g=g: fashion(batch, f, g) for f in either for g in either])

def hessian():
    """To the 49 parameters of 4-8-1, tanh, on 16 samples."""
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    params = tuple(torch.randn(*shape) for shape in ((8, 4), (8,), (1, 8), (1,)))

    def f(w, b, v, c):
        return F.mse_loss(F.linear(torch.tanh(F.linear(x, w, b)), v, c), y)
    return repeat(lambda: torch.autograd.functional.hessian(f, params))


row("hessian", hessian)

# -- a taped operation -----------------------------------------------------------------


def taped_add():
    a, b = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    return repeat(lambda: a + b)


row("taped add", taped_add)



def small_product(n):
    a, b = torch.randn(n, n), torch.randn(n, n)

    def run(reps):
        with torch.inference_mode():
            for _ in range(reps):
                torch.mm(a, b)
    return run


for n in (2, 3, 4, 6, 8, 12, 16):
    row(f"matmul {n}", lambda: small_product(n))

# -- element-wise, reductions, movement -------------------------------------------------


def new(make):
    """make(x, y) into a new tensor; the one before is dropped first, as in a loop."""
    def way(rows, columns):
        x, y = torch.randn(rows, columns), torch.randn(rows, columns)
        return repeat(lambda: make(x, y))
    return way


def given(fill):
    """fill(out, x, y) into a tensor that is there."""
    def way(rows, columns):
        x, y, out = (torch.randn(rows, columns) for _ in range(3))
        return repeat(lambda: fill(out, x, y))
    return way


operations = {
    "add": (lambda x, y: x + y, lambda out, x, y: torch.add(x, y, out=out)),
    "mul": (lambda x, y: x * y, lambda out, x, y: torch.mul(x, y, out=out)),
    "exp": (lambda x, y: x.exp(), lambda out, x, y: torch.exp(x, out=out)),
    "tanh": (lambda x, y: x.tanh(), lambda out, x, y: torch.tanh(x, out=out)),
    "sigmoid": (lambda x, y: x.sigmoid(), lambda out, x, y: torch.sigmoid(x, out=out)),
    "relu": (lambda x, y: x.relu(), lambda out, x, y: torch.clamp_min(x, 0, out=out)),
    "sum": (lambda x, y: x.sum(), None),
    "argmax": (lambda x, y: x.argmax(), None),
    "softmax": (lambda x, y: x.softmax(1), lambda out, x, y: torch.softmax(x, 1, out=out)),
    "transpose": (lambda x, y: x.t().contiguous(), lambda out, x, y: out.view(x.shape[::-1]).copy_(x.t())),
    "randn": (lambda x, y: torch.randn(x.shape), lambda out, x, y: out.normal_()),
    "copy": (lambda x, y: x.clone(), lambda out, x, y: out.copy_(x)),
}

shapes = {"1e6": (1000, 1000), "1e7": (10000, 1000)}
with torch.no_grad():
    for size, (rows, columns) in shapes.items():
        for name, (make, fill) in operations.items():
            row(f"{name} {size} new", lambda: new(make)(rows, columns))
            if fill:
                row(f"{name} {size} given", lambda: given(fill)(rows, columns))

# -- optimizers on many parameters --------------------------------------------------------


def with_gradient():
    p = torch.randn(10_000_000, requires_grad=True)
    p.grad = torch.randn(10_000_000)
    return p


def optimizer(kind, **options):
    return repeat(kind([with_gradient()], lr=1e-3, **options).step)


def clip_norm():
    params = [with_gradient()]
    return repeat(lambda: torch.nn.utils.clip_grad_norm_(params, 1))


def ema():
    """The rule that users of AveragedModel give it, in one pass."""
    p = with_gradient().detach()
    shadow = p.clone()
    return repeat(lambda: shadow.lerp_(p, 0.01))


for name, kind, options in (
        ("sgd", torch.optim.SGD, {}), ("sgd momentum", torch.optim.SGD, {"momentum": 0.9}),
        ("asgd", torch.optim.ASGD, {}), ("adagrad", torch.optim.Adagrad, {}),
        ("adadelta", torch.optim.Adadelta, {}), ("rmsprop", torch.optim.RMSprop, {}),
        ("rmsprop centered", torch.optim.RMSprop, {"centered": True}),
        ("rprop", torch.optim.Rprop, {}), ("adam", torch.optim.Adam, {}),
        ("adam amsgrad", torch.optim.Adam, {"amsgrad": True}),
        ("adamw", torch.optim.AdamW, {}), ("adamax", torch.optim.Adamax, {}),
        ("nadam", torch.optim.NAdam, {}), ("radam", torch.optim.RAdam, {})):
    row(f"optimizer {name}",
        *[lambda f=f: optimizer(kind, foreach=f, **options) for f in either])
row("optimizer clip_norm", clip_norm)
row("optimizer ema", ema)
