"""Random programs: every executor, style and subset of passes gives the bits of `reference`."""

import math
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import diptych as dt
from diptych.compiler import PASSES
from diptych.graphs.dtypes import as_dtype
from diptych.graphs.storage import Storage

SHAPES = [(3, 4), (4, 3), (1, 4), (3, 1), (4,), ()]
DTYPES = ["float32", "float32", "float64", "bfloat16", "float16"]

UNARY = [
    dt.tanh, dt.sigmoid, dt.relu, dt.negative, dt.abs, dt.cos, dt.square, dt.floor, dt.erf,
    lambda x: dt.clip(x, -0.5, 1.0), dt.gelu, dt.silu,
]  # fmt: skip
BINARY = [dt.add, dt.subtract, dt.multiply, dt.maximum, dt.minimum, dt.hypot, dt.atan2]
ALONG = [
    dt.softmax, dt.log_softmax, dt.cumulative_sum, dt.sort, dt.flip, dt.prod, dt.max, dt.var,
    dt.logsumexp, lambda x, axis: dt.roll(x, 1, axis=axis),
    lambda x, axis: dt.take_along_axis(x, dt.argsort(x, axis=axis), axis=axis),
]  # fmt: skip
KINDS = ["unary", "along", "binary", "matmul", "sum", "view", "where", "index", "join", "cast"]
CONTROL = ["cond", "scan", "while"]

numbers = st.integers(0, 30)
bodies = st.lists(
    st.tuples(st.sampled_from(["unary", "binary", "along", "cond"]), numbers),
    min_size=1,
    max_size=3,
)


@st.composite
def programs(draw, kinds=KINDS, most=12):
    """A list of instructions, each on earlier values; the first values are inputs."""
    of_input = st.tuples(st.sampled_from(SHAPES), st.sampled_from(DTYPES))
    inputs = draw(st.lists(of_input, min_size=1, max_size=3))
    steps = []
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(kinds))
        body = draw(bodies) if kind in CONTROL else ()
        steps.append((kind, draw(numbers), draw(numbers), draw(numbers), body))
    return inputs, steps


def run(program, values):
    """Apply a program to operands of any style; everything it made, as a list."""
    _, steps = program
    made = list(values)
    for kind, which, i, j, body in steps:
        x, y = made[i % len(made)], made[j % len(made)]
        if kind in CONTROL:
            made += controlled(kind, which, x, y, body)
        else:
            made.append(apply(kind, which, x, y))
    return made[len(values) :]


def apply(kind, which, x, y):
    if kind == "unary":
        return UNARY[which % len(UNARY)](x)
    if kind == "cast":
        return dt.astype(x, DTYPES[which % len(DTYPES)])
    if x.shape:
        axis = which % len(x.shape)
        if kind == "along":
            return ALONG[which % len(ALONG)](x, axis=axis)
        if kind == "sum":
            return dt.sum(x, axis=axis, keepdims=bool(which & 4))
        if kind == "view":
            return x.T if which % 2 else x.reshape(-1)
        if kind == "index":
            return x[1:] if which % 2 and x.shape[0] > 1 else x[0]
        if kind == "matmul" and y.shape and x.shape[-1] == y.shape[-2:][0]:
            return dt.matmul(x, y)
        if kind == "join" and x.shape == y.shape and math.prod(x.shape) < 100:
            return dt.concat([x, y], axis=axis)
    if compatible(x.shape, y.shape):
        if kind == "where":
            return dt.where(x > y, x * 0.5, y)
        return BINARY[which % len(BINARY)](x, y)
    return dt.multiply(x, 2.0 if which % 2 else 1.0)


def compatible(a, b):
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b)))


def controlled(kind, which, x, y, body):
    """Control flow whose functions apply a body, and capture `y`."""
    if kind == "cond":
        return [dt.cond(dt.sum(x) > 0, lambda x: block(body, x, y), lambda x: x * 0.5, x)]
    if kind == "scan" and x.shape:
        step = lambda c, row: (block(body, c, y), block(body, row, c))
        return dt.scan(step, dt.sum(x, axis=0), x, reverse=bool(which % 2))
    small = lambda v: dt.sum(dt.abs(v)) < 20
    if which % 2:
        return [dt.while_loop(small, lambda v: block(body, v, y) + 1, x, max_iterations=which % 5)]
    go_on = lambda carry: (carry[0] < which % 5) & small(carry[1])
    _, last = dt.while_loop(go_on, lambda c: (c[0] + 1, block(body, c[1], y)), (0, x))
    return [last]


def block(body, x, y):
    """Instructions that keep shape and dtype."""
    for kind, which in body:
        if kind == "cond":
            z = dt.cond(dt.sum(x) > 0, dt.tanh, lambda x: x * 2, x)
        else:
            z = apply(kind, which, x, y)
        if z.shape == x.shape:
            x = dt.astype(z, x.dtype)
    return x


def arrays_for(program, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(as_dtype(d)) for s, d in program[0]]


def build(program):
    """The graph of a program: its last values, and the gradients of their sum."""
    with dt.static.Graph() as g:
        feeds = [g.placeholder(f"x{i}", *of_input) for i, of_input in enumerate(program[0])]
        made = run(program, feeds)
        loss = dt.accumulate([dt.sum(v) for v in made[-3:]])
        gradients = g.grad(loss, feeds, allow_unused=True)
    return g, [*made[-3:], *(v for v in gradients if v is not None)]


def same_bits(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert a.tobytes() == b.tobytes()


def check_executors(program, passes):
    """Run a program as a graph in every executor; what `reference` gives."""
    arrays = arrays_for(program)
    graph, fetches = build(program)
    feeds = {f"x{i}": a for i, a in enumerate(arrays)}
    wanted = graph.compile(fetches, executor="reference", passes=()).run(feeds)
    for executor in ("reference", "planned"):
        compiled = graph.compile(fetches, executor=executor, passes=passes)
        same_bits(compiled.run(feeds), wanted)
        same_bits(compiled.run(feeds), wanted)
    return arrays, wanted


def check_styles(program, passes, arrays, wanted, gradients=True):
    """Run a program eagerly and compiled."""
    tensors = [dt.tensor(a, requires_grad=True) for a in arrays]

    def eager(*operands):
        made = run(program, operands)
        return [*made[-3:], dt.accumulate([dt.sum(v) for v in made[-3:]])]

    for function in (eager, dt.compile(eager, passes=passes)):
        *found, loss = function(*tensors)
        if gradients and loss.requires_grad:
            slopes = dt.grad(loss, tensors, allow_unused=True)
            found += [g for g in slopes if g is not None]
        same_bits(
            [t.detach().numpy() for t in found], wanted if gradients else wanted[: len(found)]
        )


@given(programs(), st.sets(st.sampled_from(list(PASSES))))
def test_random_programs_agree_in_every_executor_and_style(program, passes):
    with np.errstate(all="ignore"):
        check_styles(program, passes, *check_executors(program, tuple(passes)))


@given(programs(KINDS[:3] + CONTROL, most=6), st.sets(st.sampled_from(list(PASSES))))
def test_random_control_flow_agrees_in_every_executor_and_style(program, passes):
    """Gradients in the executors alone: a region adds up what flows to its captures by itself."""
    with np.errstate(all="ignore"):
        arrays, wanted = check_executors(program, tuple(passes))
        check_styles(program, passes, arrays, wanted, gradients=False)


@st.composite
def updates(draw):
    """Instructions on storages and feeds: compute, assign, read again."""
    kinds = st.sampled_from(["add", "scale", "view", "flip", "set", "sum", "assign", "read"])
    index = st.integers(0, 20)
    return draw(st.lists(st.tuples(kinds, index, index), min_size=3, max_size=16))


def build_updates(steps):
    """A graph on fresh storages of odd layouts; fetches are its last values and all updates."""
    layouts = (
        np.arange(6.0, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3)),
        np.arange(12.0, dtype=np.float32).reshape(2, 6)[:, ::2],
    )
    storages = [Storage(a.copy(order="K") if i < 2 else a) for i, a in enumerate(layouts)]
    assigned = []
    with dt.static.Graph() as g:
        made = [g.variable(s) for s in storages] + [g.placeholder("x", (2, 3))]
        for kind, i, j in steps:
            x, y = made[i % len(made)], made[j % len(made)]
            storage = storages[j % len(storages)]
            if kind == "assign":
                if x.shape == storage.shape:
                    assigned.append(g.assign(storage, x))
            elif kind == "read":
                made.append(g.read(storage))
            elif kind == "view":
                made.append(x.T)
            elif kind == "flip":
                made.append(x[::-1])
            elif kind == "sum":
                made.append(x + x.sum())
            elif kind == "set" and x.shape == y.shape:
                made.append(dt.setitem(x, y, (slice(None, None, -1),)))
            elif kind == "add" and x.shape == y.shape:
                made.append(x + y)
            else:
                made.append(x * 0.5)
    return g, storages, [made[-3:], assigned]


@given(updates(), st.sets(st.sampled_from(list(PASSES))))
def test_random_updates_agree_in_every_executor(steps, passes):
    found = []
    for executor, chosen in (("reference", ()), ("reference", passes), ("planned", passes)):
        graph, storages, fetches = build_updates(steps)
        program = graph.compile(fetches, executor=executor, passes=tuple(chosen))
        state = []
        for run_number in range(2):
            # The second feed lies in a storage's own memory.
            feed = np.ones((2, 3), np.float32) if not run_number else storages[0].array
            outputs, _ = program.run({"x": feed})
            state += [a.copy() for a in (*outputs, *(s.array for s in storages))]
        found.append(state)
    same_bits(found[1], found[0])
    same_bits(found[2], found[0])


def test_threads_may_run_one_program_at_once():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (50, 50))
        y = x
        for _ in range(20):
            y = dt.tanh(y @ x) + 1
    program = g.compile(y)
    feeds = [np.full((50, 50), i / 100, np.float32) for i in range(8)]
    wanted = [program.run({"x": f}) for f in feeds]
    wrong = []

    def work(i):
        for _ in range(30):
            if program.run({"x": feeds[i]}).tobytes() != wanted[i].tobytes():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
