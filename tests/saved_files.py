"""Files that hold one of everything, for the tests that save, load and damage them."""

import math

import numpy as np

import diptych as dt
from diptych.graphs.dtypes import DTYPES


def numbers(shape, dtype, seed=0):
    """Every bit pattern that the dtype allows."""
    rng = np.random.default_rng(seed)
    size = math.prod(shape) * dtype.itemsize
    data = rng.integers(0, 2 if dtype.kind == "b" else 256, size, np.uint8)
    return data.view(dtype).reshape(shape)


def training_graph():
    """A graph with all that a file must keep, its fetches, and feeds for it."""
    dt.manual_seed(3)
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 4))
        sign = g.placeholder("sign", ())
        model = dt.nn.Sequential(dt.nn.Linear(4, 6), dt.nn.Dropout(0.5), dt.nn.Linear(6, 2))
        optimizer = dt.optim.Adam(model.parameters(), lr=0.05)
        count = g.variable(np.array(0, np.int64), "count")
        mask = g.constant(np.array([True, False]))
        fixed = g.constant(np.asfortranarray(np.arange(4.0, dtype=np.float32).reshape(2, 2)))
        h = dt.where(mask, model(x) @ fixed, 0.5)
        h = dt.cond(sign > 0, lambda h: h * 2, lambda h: dt.tanh(h), h)
        h = dt.checkpoint(lambda h: dt.exp(dt.sin(h)), h)
        total, sums = dt.scan(lambda c, row: (c + row, c * row), h[0], h)
        grown = dt.while_loop(
            lambda v: (v * v).sum() < 50, lambda v: v * dt.sqrt(v * v + 2) + 1, total
        )
        loss = (grown * grown).sum() + sums.sum()
        step = optimizer.minimize(loss)
        with dt.no_grad():
            after = model(x)  # reads what was assigned
        counted = g.assign(count, count + x.shape[0])
        (gradient,) = dt.grad(loss, x, create_graph=True)
        (second,) = dt.grad((gradient * gradient).sum(), x)
        spare = dt.exp(x) + g.variable(np.ones(1000, np.float32), "spare")[0]
    fetches = {"loss": loss, "step": (step, counted), "more": [after, second, gradient, count]}
    rng = np.random.default_rng(0)
    feeds = [
        {"x": rng.standard_normal((n, 4)).astype(np.float32), "sign": np.float32(s)}
        for n, s in ((3, 1), (5, -1), (3, -1), (1, 1))
    ]
    return g, fetches, [{k: np.asarray(v) for k, v in f.items()} for f in feeds], spare


def state_file(path):
    arrays = {name: numbers((2, 3), dtype) for name, dtype in DTYPES.items()}
    state = {
        "model": arrays, "empty": np.zeros((2, 0)), "scalar": np.array(1.5),
        "plain": [1, 2.5, None, "text", (1, 2**60)], "dim": dt.Dim.symbol("n") + 1,
    }  # fmt: skip
    dt.save(path, state)
    return path.read_bytes()


def graph_file(path):
    graph, fetches, _, _ = training_graph()
    graph.save(path, fetches)
    return path.read_bytes()


FILES = {"state": (state_file, dt.load), "graph": (graph_file, dt.static.load)}
