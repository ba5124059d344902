"""Random programs for the native executor: what nets are made of, on shapes of every kind.

A program is a list of instructions, each on earlier values; the first values are its inputs. It
runs on operands of any style. Whatever an instruction cannot take in, it takes in by something
simpler.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import diptych as dt

SHAPES = [
    (3, 4), (4, 3), (1, 4), (3, 1), (4,), (), (17,), (2, 3, 4), (2, 1, 4), (5, 16), (2, 16, 3),
    (16, 16), (1, 1), (2, 3, 5, 5), (1, 16, 4, 4), (3, 2, 2, 3), (33, 7), (1,), (2, 0), (40, 33),
]  # fmt: skip
MOST = 4000  # elements of a value

UNARY = [
    dt.tanh, dt.sigmoid, dt.relu, dt.negative, dt.abs, dt.cos, dt.square, dt.erf, dt.gelu, dt.silu,
    lambda x: dt.clip(x, -0.5, 1.0), lambda x: dt.exp(dt.negative(dt.square(x))), dt.softplus,
    lambda x: dt.log(dt.square(x) + 1), lambda x: dt.sqrt(dt.square(x) + 0.5), dt.stop_gradient,
    lambda x: dt.gelu(x, approximate="tanh"), lambda x: x * 0.0 + 1, dt.leaky_relu,
    lambda x: dt.rsqrt(dt.square(x) + 1), lambda x: dt.reciprocal(dt.square(x) + 2), dt.elu,
]  # fmt: skip
BINARY = [
    dt.add, dt.subtract, dt.multiply, dt.maximum, dt.minimum, dt.hypot, dt.logaddexp,
    lambda x, y: x / (dt.square(y) + 1), lambda x, y: dt.where(x > y, x * 0.5, y),
    lambda x, y: dt.accumulate([x + y * 0, y + x * 0]),
]  # fmt: skip
REDUCE = [dt.sum, dt.mean, dt.max, dt.min, dt.prod, dt.var, dt.logsumexp, dt.sum, dt.std]
ALONG = [
    dt.softmax, dt.log_softmax, dt.cumulative_sum, dt.sort, dt.flip,
    lambda x, axis: dt.roll(x, 1, axis=axis),
    lambda x, axis: dt.take(x, np.array([0, -1, 0]), axis=axis),
    lambda x, axis: dt.take_along_axis(x, dt.argsort(dt.stop_gradient(x), axis=axis), axis=axis),
    lambda x, axis: x - dt.mean(x, axis=axis, keepdims=True),
    lambda x, axis: dt.layer_norm(x, *rows(x, 2), x.shape[-1:]),
    lambda x, axis: dt.rms_norm(x, *rows(x, 1), x.shape[-1:]),
]  # fmt: skip
KINDS = [
    "unary", "unary", "binary", "binary", "reduce", "along", "view", "view", "matmul", "join",
    "scale", "batch_norm", "loss", "table", "conv", "attention", "checkpoint",
]  # fmt: skip
LOOPS = ["cond", "scan", "while", "cell"]
WITH_LOOPS = (*KINDS[:11], *LOOPS, *LOOPS, *LOOPS)

numbers = st.integers(0, 60)
bodies = st.lists(
    st.tuples(st.sampled_from([*KINDS[:11], "cond"]), numbers, numbers), min_size=1, max_size=3
)


@st.composite
def programs(draw: Any, kinds: Any = tuple(KINDS), most: int = 10) -> Any:
    """Shapes of inputs, and instructions."""
    inputs = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    steps = []
    for _ in range(draw(st.integers(2, most))):
        kind = draw(st.sampled_from(kinds))
        body = draw(bodies) if kind in (*LOOPS, "checkpoint") else ()
        steps.append((kind, draw(numbers), draw(numbers), draw(numbers), body))
    return inputs, steps


def arrays_for(program: Any, dtype: Any, seed: int = 0) -> list[np.ndarray]:
    """Inputs, from numbers that float32 has."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(np.float32).astype(dtype) for s in program[0]]


def run(program: Any, values: Any) -> list[Any]:
    """Everything that a program makes of its inputs."""
    made = list(values)
    for kind, which, i, j, body in program[1]:
        x, y = made[i % len(made)], made[j % len(made)]
        made += INSTRUCTIONS[kind](which, x, y, body)
    return made[len(values) :]


def drawn(x: Any, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Numbers of the dtype of `x`, the same in every run."""
    rng = np.random.default_rng((seed, *shape))
    return rng.uniform(-1, 1, shape).astype(np.float32).astype(str(x.dtype))


def rows(x: Any, count: int) -> list[Any]:
    return [drawn(x, x.shape[-1:], seed) for seed in range(count)]


def apply(kind: str, which: int, x: Any, y: Any) -> Any:
    """One instruction without control flow."""
    return INSTRUCTIONS[kind](which, x, y, ())[0]


def unary(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    return [UNARY[which % len(UNARY)](x)]


def compatible(a: Any, b: Any) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b)))


def binary(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if not compatible(x.shape, y.shape) or math.prod(x.shape) * math.prod(y.shape) > MOST**2:
        y = dt.sum(y) * 0.01
    return [BINARY[which % len(BINARY)](x, y)]


def some_axes(which: int, x: Any) -> tuple[int, ...]:
    """Any axes but none."""
    count = len(x.shape)
    chosen = which % (2**count - 1) + 1
    return tuple(axis for axis in range(count) if chosen >> axis & 1)


def reduce(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if not x.shape or 0 in x.shape:
        return unary(which, x, y, body)
    function = REDUCE[which % len(REDUCE)]
    return [function(x, axis=some_axes(which // len(REDUCE), x), keepdims=bool(which & 1))]


def along(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if not x.shape or 0 in x.shape:
        return unary(which, x, y, body)
    return [ALONG[which % len(ALONG)](x, axis=which % len(x.shape))]


def view(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    count = len(x.shape)
    if not count:
        return [dt.expand_dims(x, 0)]
    axis = which // 9 % count
    whole = (slice(None),) * axis
    if which % 9 == 0:
        return [dt.permute_dims(x, (*range(1, count), 0))]
    if which % 9 == 1:
        return [dt.permute_dims(x, tuple(reversed(range(count))))]
    if which % 9 == 2:
        return [x.reshape(tuple(reversed(x.shape)))]
    if which % 9 == 3:
        return [x[(*whole, slice(None, None, -1))]]
    if which % 9 == 4:
        return [x[(*whole, slice(which % 2, None, 2))]]
    if which % 9 == 5:
        return [x[(*whole, which % x.shape[axis])] if x.shape[axis] else x]
    if which % 9 == 6 and count < 4:
        return [dt.expand_dims(x, axis)]
    if which % 9 == 7 and math.prod(x.shape) < 200:
        return [dt.broadcast_to(x, (3, *(n if n != 1 else 2 for n in x.shape)))]
    return [x.reshape((math.prod(x.shape),))]


def matmul(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if not x.shape:
        return unary(which, x, y, body)
    if which % 3 == 0 and len(x.shape) > 1 and x.shape == y.shape:
        return [dt.matmul(x, dt.matrix_transpose(y))]
    if which % 3 == 1 and len(x.shape) == 2 == len(y.shape) and x.shape[0] == y.shape[0]:
        return [dt.matmul(x.T, y)]
    if y.shape and x.shape[-1] == y.shape[-2:][0] and compatible(x.shape[:-2], y.shape[:-2]):
        return [dt.matmul(x, y)]
    columns = (1, 3, 16, 33, 64)[which % 5]
    return [dt.matmul(x, drawn(x, (x.shape[-1], columns), which)) * 0.3]


def join(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    y = y if y.shape == x.shape else dt.cos(x)
    if math.prod(x.shape) > MOST // 2:
        return unary(which, x, y, body)
    if which % 2 or not x.shape:
        return [dt.stack([dt.tanh(x), y, x][: 2 + which % 2], axis=which // 4 % (len(x.shape) + 1))]
    return [dt.concat([x, y * 2.0, x], axis=which // 4 % len(x.shape))]


def scale(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    return [x * dt.tanh(dt.sum(y)) if which % 2 else x * (which / 16) - 1.0]


def batch_norm(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if len(x.shape) < 2 or 0 in x.shape or math.prod(x.shape) <= 2 * x.shape[1]:
        return scale(which, x, y, body)
    channels = x.shape[1:2]
    normal = dt.batch_norm(x, drawn(x, channels), drawn(x, channels, 1))
    return [normal[0] * 0.5, normal[which % 2 + 1]]


def loss(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if len(x.shape) < 2 or 0 in x.shape:
        return scale(which, x, y, body)
    labels = np.random.default_rng(which).integers(0, x.shape[-1], x.shape[:-1])
    options: dict[str, Any] = {"reduction": ("mean", "sum", "none")[which % 3]}
    if which % 2:
        options["ignore_index"] = 0
    if which % 3 != 0 or (labels != 0).any():
        options["label_smoothing"] = which % 5 / 10
        return [dt.cross_entropy(x, labels.astype("int32"), **options)]
    return [dt.nll_loss(dt.log_softmax(x, axis=-1), labels, reduction="sum")]


def table(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if len(x.shape) != 2 or 0 in x.shape:
        return scale(which, x, y, body)
    shape = ((7,), (3, 2), (2, 2, 2))[which % 3]
    indices = np.random.default_rng(which).integers(0, x.shape[0], shape)
    return [dt.embedding(indices, x, padding_idx=0 if which % 4 == 0 else None)]


def conv(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if len(x.shape) not in (3, 4) or 0 in x.shape:
        return scale(which, x, y, body)
    channels, size = x.shape[1], min(x.shape[2:])
    kernel = min(size, 1 + which % 3)
    filters = (1, 2, 5, 16)[which % 4]
    weight = drawn(x, (filters, channels, *[kernel] * (len(x.shape) - 2)), which) * 0.3
    options = {"stride": 1 + which % 2, "padding": which // 3 % 2}
    function = dt.conv1d if len(x.shape) == 3 else dt.conv2d
    slope = dt.mean(y) if y.shape and 0 not in y.shape else 1.0
    return [function(x, (dt.add(weight, slope * 0.1)), **options)]


def attention(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    if len(x.shape) < 2 or 0 in x.shape:
        return scale(which, x, y, body)
    keys = y if y.shape == x.shape else dt.sin(x)
    mask: Any = True
    if which % 3 == 1:
        mask = np.random.default_rng(which).random((x.shape[-2], x.shape[-2])) > 0.4
        mask |= np.eye(x.shape[-2], dtype=bool)
    causal = which % 2 == 0
    return [dt.scaled_dot_product_attention(x, keys, dt.tanh(x) + keys, mask, is_causal=causal)]


def checkpoint(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    return [dt.checkpoint(lambda a, b: block(body, a, b), x, y)]


def cond(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    """Whatever decides is unlikely to be near its limit, which sums of differences may be to 0."""
    return [dt.cond(dt.sum(x) > which - 30.37, lambda v: block(body, v, y), lambda v: v * 0.5, x)]


def scan(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    """Carries that swap, or a body of any kind."""
    if not x.shape:
        return cond(which, x, y, body)
    reverse = bool(which % 2)
    start = dt.sum(x, axis=0)
    if which % 3 == 0:
        swap = lambda c, row: ((c[1], dt.tanh(c[0] + row)), c[0] * row)
        (a, b), stacked = dt.scan(swap, (start, start * 0.5), x, reverse=reverse)
        return [a, b, stacked]
    step = lambda c, row: (block(body, c, y), block(body, row, c))
    return list(dt.scan(step, start, x, reverse=reverse))


def cell(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    """A recurrent net: its last state and all states, over rows or over a part of them."""
    if len(x.shape) not in (2, 3) or 0 in x.shape:
        return scan(which, x, y, body)
    width = (1, 4, 16)[which % 3]
    weight, own = drawn(x, (x.shape[-1], width), which), drawn(x, (width, width), which)
    if len(x.shape) == 2:
        x = dt.expand_dims(x, 1)
    start = dt.sum(x, axis=(0, 2)).reshape((x.shape[1], 1)) * drawn(x, (1, width), 3)
    gate = lambda h, row: dt.sigmoid(dt.matmul(row, weight) - dt.matmul(h, own))

    def step(h: Any, row: Any) -> Any:
        new = dt.tanh(dt.matmul(row, weight) + dt.matmul(h, own) + drawn(x, (width,)))
        new = gate(h, row) * h + new if which % 4 else new
        return new, (new if which % 5 else new * h)

    return list(dt.scan(step, start, x, reverse=bool(which % 2)))


def while_(which: int, x: Any, y: Any, body: Any) -> list[Any]:
    small = lambda v: dt.sum(dt.abs(v)) < 19.63
    if which % 2:
        step = lambda v: block(body, v, y) + 1
        return [dt.while_loop(small, step, x, max_iterations=which % 5)]
    go_on = lambda carry: (carry[0] < which % 5) & small(carry[1])
    _, last = dt.while_loop(go_on, lambda c: (c[0] + 1, block(body, c[1], y)), (0, x))
    return [last]


def block(body: Any, x: Any, y: Any) -> Any:
    """Instructions that keep shape and dtype."""
    for kind, which, other in body:
        operand = x if other % 3 == 0 else y
        if kind == "cond":
            z = dt.cond(dt.sum(x) > 0.37, dt.tanh, lambda v: v * 2, x)
        else:
            z = apply(kind, which, x, operand)
        if z.shape != x.shape and z.shape == tuple(reversed(x.shape)):
            z = dt.permute_dims(z, tuple(reversed(range(len(z.shape)))))
        if z.shape != x.shape:
            z = x + dt.tanh(dt.sum(z))
        x = z
    return x


INSTRUCTIONS: dict[str, Any] = {
    "unary": unary, "binary": binary, "reduce": reduce, "along": along, "view": view,
    "matmul": matmul, "join": join, "scale": scale, "batch_norm": batch_norm, "loss": loss,
    "table": table, "conv": conv, "attention": attention, "checkpoint": checkpoint, "cond": cond,
    "scan": scan, "while": while_, "cell": cell,
}  # fmt: skip
