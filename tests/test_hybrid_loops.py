"""Loops of Python that become loops of the graph."""

import numpy as np
import pytest

import diptych as dt

RNG = np.random.default_rng(0)


def array(*shape):
    return dt.tensor(RNG.standard_normal(shape).astype(np.float32))


def cell(h, x):
    return dt.tanh(x * 0.5 + h)


def rows(xs, h):
    for x in xs:
        h = cell(h, x)
    return h


def by_number(xs, h):
    for t in range(xs.shape[0]):
        h = cell(h, xs[t])
    return h


def by_length(xs, h):
    for t in range(len(xs)):
        h = cell(h, xs[t])
    return h


def unpacked_shape(xs, h):
    steps, width = xs.shape
    h = h + dt.zeros((width,))
    for t in range(steps):
        h = cell(h, xs[t])
    return h


def second_axis(xs, h):
    ys = xs.T
    for t in range(ys.shape[1]):
        h = cell(h, ys[:, t])
    return h


def numbered(xs, h):
    for t, x in enumerate(xs):
        h = cell(h, x) + t
    return h


def numbered_from_1(xs, h):
    for t, x in enumerate(xs, 1):
        h = cell(h, x) / t
    return h


def zipped(xs, h):
    for x, y in zip(xs, xs * 2):
        h = cell(h, x - y)
    return h


def backwards(xs, h):
    for x in reversed(xs):
        h = cell(h, x)
    return h


def backwards_by_number(xs, h):
    for t in reversed(range(xs.shape[0])):
        h = cell(h, xs[t])
    return h


def two_carries(xs, h):
    c = h * 2
    for x in xs:
        h, c = cell(c, x), h
    return h, c


def a_carry_of_containers(xs, h):
    state = {"h": h, "both": (h, h * 2)}
    for x in xs:
        state = {"h": cell(state["h"], x), "both": (state["both"][1], state["h"])}
    return state


def a_sum_from_0(xs, h):
    total = 0.0
    for x in xs:
        total = total + (x * h).sum()
    return total


def a_sum_that_grows(xs, h):
    total = 0
    for x in xs:
        total += x * h
    return total


def counted(xs, h):
    n = 0
    for x in xs:
        n += 1
        h = h + x * n
    return h * n


def temporaries(xs, h):
    for x in xs:
        y = x * 2
        z = y + h
        h = dt.tanh(z)
    return h


def a_temporary_read_later(xs, h):
    for x in xs:
        y = x + h
        h = dt.tanh(y)
    return h * y


def collected(xs, h):
    ys = []
    for x in xs:
        h = cell(h, x)
        ys.append(h)
    return dt.stack(ys), h


def collected_along_another_axis(xs, h):
    ys = []
    for x in xs:
        h = cell(h, x)
        ys.append(h)
    return dt.stack(ys, axis=1)


def collected_twice_a_round(xs, h):
    ys = [h]
    for x in xs:
        h = cell(h, x)
        ys.append(h)
        ys.append(h * 2)
    return dt.stack(ys)


def concatenated(xs, h):
    ys = []
    for x in xs:
        ys.append(x + h)
    return dt.concat(ys, axis=0)


def collected_and_returned(xs, h):
    ys = []
    for x in xs:
        h = cell(h, x)
        ys.append(h)
    return ys, {"all": ys}


def gone_through_again(xs, h):
    ys = []
    for x in xs:
        h = cell(h, x)
        ys.append(h)
    for y in ys:
        h = h + y
    return h


def collected_backwards(xs, h):
    ys = []
    for x in reversed(xs):
        h = cell(h, x)
        ys.append(h)
    return dt.stack(ys)


def nested(xs, h):
    for x in xs:
        for number in x:
            h = cell(h, number)
    return h


def nested_by_number(xs, h):
    for t in range(xs.shape[0]):
        for i in range(xs.shape[1]):
            h = cell(h, xs[t, i])
    return h


def around_a_loop_of_python(xs, h):
    for x in xs:
        for scale in (1.0, 2.0):
            h = cell(h, x * scale)
    return h


def within_a_loop_of_python(xs, h):
    for scale in (1.0, 2.0):
        for x in xs:
            h = cell(h, x * scale)
    return h


def of_the_one_before(xs, h):
    for t in range(1, xs.shape[0]):
        h = cell(h, xs[t - 1] + xs[t])
    return h


def within_a_function(xs, h):
    def run(state):
        for x in xs:
            state = cell(state, x)
        return state

    return run(h) + run(h * 2)


def in_two_steps(xs, h):
    for t in range(0, xs.shape[0], 2):
        h = cell(h, xs[t])
    return h


def deconstructed(xs, h):
    held = [None]
    for held[0] in [1.0, 2.0]:
        h = h * held[0]
    return h


CAPTURED = [
    rows, by_number, by_length, unpacked_shape, second_axis, numbered, numbered_from_1, zipped,
    backwards, backwards_by_number, two_carries, a_carry_of_containers, a_sum_from_0, temporaries,
    a_temporary_read_later, collected,
    collected_along_another_axis, collected_twice_a_round, concatenated, collected_and_returned,
    gone_through_again, collected_backwards, nested, nested_by_number, around_a_loop_of_python,
    within_a_loop_of_python, of_the_one_before, within_a_function, in_two_steps,
]  # fmt: skip


def flat(tree):
    from diptych.graphs.trees import flatten

    return [x for x in flatten(tree)[0] if isinstance(x, dt.Tensor)]


def gradients(f, xs, h):
    xs, h = (dt.tensor(v.numpy(), requires_grad=True) for v in (xs, h))
    found = flat(f(xs, h))
    total = sum((y * y).sum() for y in found)
    return [y.detach().numpy() for y in found], [
        g.numpy() for g in dt.grad(total, [xs, h], allow_unused=True) if g is not None
    ]


NATIVE = [by_number, second_axis, backwards, a_sum_from_0, collected_twice_a_round, nested]
CASES = [(f, executor) for f in CAPTURED for executor in ("reference", "planned")]


@pytest.mark.parametrize(
    ("f", "executor"),
    [*CASES, *((f, "native") for f in NATIVE)],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_a_loop_is_captured(f, executor):
    passes = ["roll"] if executor == "reference" else None
    compiled = dt.compile(f, executor=executor, passes=passes)
    for steps in (4, 1):
        xs, h = array(steps, 3), array(3)
        if f in (of_the_one_before, concatenated) and steps == 1:
            continue
        wanted, wanted_gradients = gradients(f, xs, h)
        found, found_gradients = gradients(compiled, xs, h)
        for a, b in zip(wanted + wanted_gradients, found + found_gradients, strict=True):
            assert np.allclose(a, b, rtol=1e-5, atol=1e-6)
    assert "unrolls" not in compiled.explain()
    assert "scan" in str(compiled._all()[0].function.graph)


@pytest.mark.parametrize("f", [rows, by_number, collected, second_axis], ids=lambda f: f.__name__)
def test_a_trace_does_not_grow_with_the_rounds(f):
    sizes = set()
    for steps in (5, 50):
        compiled = dt.compile(f)
        compiled(array(steps, 3), array(3))
        sizes.add(len(compiled._all()[0].function.graph.nodes))
    assert len(sizes) == 1


@pytest.mark.parametrize("f", [rows, collected, nested], ids=lambda f: f.__name__)
def test_the_reference_runs_what_eager_code_runs(f):
    xs, h = array(4, 3), array(3)
    compiled = dt.compile(f, executor="reference")
    wanted, found = gradients(f, xs, h), gradients(compiled, xs, h)
    for a, b in zip(wanted[0] + wanted[1], found[0] + found[1], strict=True):
        assert np.array_equal(a, b)
    assert "scan" not in str(compiled._all()[0].function.graph)


def asks_for_the_number(xs, h):
    for t in range(xs.shape[0]):
        if t % 2 == 0:
            h = cell(h, xs[t])
    return h


def chooses_by_the_number(xs, h):
    scales = [1.0, 2.0, 3.0, 4.0]
    for t in range(xs.shape[0]):
        h = cell(h, xs[t]) * scales[t]
    return h


def ends_early(xs, h):
    for t in range(xs.shape[0]):
        if t == 2:
            break
        h = cell(h, xs[t])
    return h


def fills_a_dict(xs, h):
    held = {}
    for t in range(xs.shape[0]):
        held[t] = cell(h, xs[t])
    return held[0] + held[3]


def grows(xs, h):
    for x in xs:
        h = dt.concat([h, x])
    return h


def appends_unevenly(xs, h):
    held = {"ys": []}
    for x in xs:
        held["ys"].append(x)
    return dt.stack(held["ys"]) + h


def reads_what_it_appends_to(xs, h):
    ys = []
    for x in xs:
        h = cell(h, x) if ys else x
        ys.append(h * (1 + len(ys)))
    return dt.stack(ys)


def counts_in_a_function(xs, h):
    n = 0

    def count():
        nonlocal n
        n += 1

    for x in xs:
        count()
        h = cell(h, x)
    return h * n


def is_read_by_a_function(xs, h):
    def doubled():
        return h * 2

    for x in xs:
        h = cell(doubled(), x)
    return h


def goes_through_an_iterator(xs, h):
    numbers = iter([1.0, 2.0, 3.0, 4.0])
    for x in xs:
        h = cell(h, x) * next(numbers)
    return h


def asks_what_kind_of_number(xs, h):
    for t in range(xs.shape[0]):
        h = cell(h, xs[t]) * (2.0 if isinstance(t, int) else 3.0)
    return h


def looks_the_number_up(xs, h):
    for t in range(xs.shape[0]):
        h = cell(h, xs[t]) * {0: 2.0, 2: 3.0}.get(t, 1.0)
        h = h + 1 if t in {1, 3} else h
    return h


def changes_an_array(xs, h):
    counts = np.zeros(1, np.float32)
    for x in xs:
        counts += 1
        h = cell(h, x)
    return h * float(counts[0])


def multiplies_a_number(xs, h):
    scale = 1
    for x in xs:
        scale *= 3
        h = cell(h, x) * scale
    return h


def fills_a_list_of_another_name(xs, h):
    ys = []
    held = {"ys": ys}
    for x in xs:
        h = cell(h, x)
        ys.append(h)
    return dt.stack(held["ys"])


def fills_the_callers_list(xs, h):
    def fill(ys):
        for x in xs:
            ys.append(x + h)

    ys = []
    fill(ys)
    return dt.stack(ys)


def an_enumeration_of_a_name(xs, h):
    pairs = enumerate(xs)
    for t, x in pairs:
        h = cell(h, x) + t
    for _, x in pairs:
        h = h + x * 100
    return h


@pytest.mark.parametrize("f", [fills_a_list_of_another_name, fills_the_callers_list,
                               an_enumeration_of_a_name], ids=lambda f: f.__name__)  # fmt: skip
def test_what_goes_by_other_names_is_right(f):
    xs, h = array(4, 3), array(3)
    for a, b in zip(gradients(f, xs, h)[0], gradients(dt.compile(f), xs, h)[0], strict=True):
        assert np.allclose(a, b, rtol=1e-5)


def test_the_loops_own_names_after_it():
    @dt.compile
    def f(xs):
        x, total = xs[0] * 100, 0.0
        for x in xs:
            total = total + x
        for t in range(xs.shape[0]):  # noqa: B007 - it is read when the loop has ended
            total = total * 1.0
        return total + x, t

    xs = array(4, 3)
    found, last = f(xs)
    assert np.allclose(found.numpy(), xs.numpy().sum(0) + xs.numpy()[-1], rtol=1e-5)
    assert last == 3


def test_numbers_of_rounds_are_as_weak_as_pythons():
    def f(xs):
        ys = []
        for t, x in enumerate(xs):
            ys.append(x * t + (t + 1) * x)
        return dt.stack(ys)

    for dtype in (np.int32, np.float32, np.float64):
        xs = dt.tensor(np.arange(12).reshape(4, 3).astype(dtype))
        found, wanted = dt.compile(f)(xs), f(xs)
        assert found.dtype == wanted.dtype == dtype
        assert np.array_equal(found.numpy(), wanted.numpy())


def test_a_list_is_a_list_after_the_loop():
    def f(xs):
        ys = []
        for x in xs:
            ys.append(x * 2)
        ys.append(xs[0])
        last = ys[-2]
        ys.reverse()
        for x in xs:
            ys.append(x)
        return [*ys, last], ys[1:3] + [xs[1]], len(ys)

    xs = array(4, 3)
    for a, b in zip(flat(f(xs)), flat(dt.compile(f)(xs)), strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


UNROLLED = [
    reads_what_it_appends_to, counts_in_a_function, goes_through_an_iterator,
    asks_what_kind_of_number, looks_the_number_up, changes_an_array, multiplies_a_number,
    a_sum_that_grows, counted,
    asks_for_the_number, chooses_by_the_number, fills_a_dict, grows, appends_unevenly,
]  # fmt: skip


@pytest.mark.parametrize(
    "f", [*UNROLLED, is_read_by_a_function, ends_early, deconstructed], ids=lambda f: f.__name__
)
def test_a_loop_that_cannot_be_traced_once_is_unrolled(f):
    xs, h = array(4, 3), array(3)
    compiled = dt.compile(f)
    wanted, wanted_gradients = gradients(f, xs, h)
    found, found_gradients = gradients(compiled, xs, h)
    for a, b in zip(wanted + wanted_gradients, found + found_gradients, strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)
    if f in UNROLLED:
        assert "unrolls: " in compiled.explain() and "test_hybrid_loops.py" in compiled.explain()


def test_state_of_modules_in_a_loop():
    norm, drop = dt.nn.BatchNorm1d(3), dt.nn.Dropout(0.5)
    twin = dt.nn.BatchNorm1d(3)

    def run(norm, xs):
        total = 0.0
        for x in xs:
            total = total + (norm(x) ** 2).sum()
        return total

    xs = array(4, 5, 3)
    compiled = dt.compile(lambda xs: run(norm, xs))
    a, b = run(twin, xs), compiled(xs)
    assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)
    assert np.allclose(norm.running_mean.array, twin.running_mean.array, rtol=1e-5)
    assert "unrolls" not in compiled.explain()

    @dt.compile
    def dropped(xs):
        ys = []
        for x in xs:
            ys.append(drop(x))
        return dt.stack(ys)

    ones = dt.ones((4, 50))
    masks = dropped(ones).numpy()
    assert len({row.tobytes() for row in masks}) == 4
    assert not np.array_equal(masks, dropped(ones).numpy())
