"""Batching rules: `vmap` of every operator is a loop over examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registry import (
    KERNELS,
    assert_close,
    bind,
    call,
    fill,
    in_float64,
    is_array,
    is_float,
    results_of,
)
from samples import SAMPLES, Sample

import diptych as dt
from diptych.graphs import dtypes
from diptych.graphs.ops import FUNCTIONS, Op

pytestmark = pytest.mark.usefixtures("special_values")

# Operators that `vmap` loops over, and why.
LOOPED = {
    "random_uniform": "each key draws a stream of its own",
    "random_normal": "each key draws a stream of its own",
}

MAPPABLE = {name: op for name, op in KERNELS.items() if op.operands}


def halved(array: np.ndarray) -> np.ndarray:
    """The order of the numbers stays."""
    return array // 2 if array.dtype.kind in "iu" else np.asarray(array * array.dtype.type(0.5))


def rows_reversed(array: np.ndarray) -> np.ndarray:
    """Each number stays in its row."""
    return array[..., ::-1] if array.ndim else halved(array)


# How a second example is made where the first one's numbers from last to first are out of range.
OTHERS = {
    "searchsorted": halved,
    "index": rows_reversed,
    "index_put": rows_reversed,
    "index_add": rows_reversed,
}


def another(op: Op, array: np.ndarray) -> np.ndarray:
    """A second example, of numbers that are in the first one's range."""
    if op.name in OTHERS:
        return OTHERS[op.name](array)
    return np.flip(array) if array.ndim else halved(array)


def arrays_of(sample: Sample) -> list[np.ndarray]:
    return [a for a in sample.args if is_array(a)]


def ways_to_map(count: int) -> list[tuple[int | None, ...]]:
    """All operands mapped, and each alone."""
    alone = [tuple(0 if i == j else None for i in range(count)) for j in range(count)]
    return [(0,) * count, *alone] if count > 1 else alone


def applied(op: Op, sample: Sample) -> Any:
    """The operator as a function of the sample's arrays."""
    return lambda *xs: call(op, fill(sample.args, xs), sample.attrs)


def batches_for(op: Op, arrays: list[np.ndarray], axes: Any) -> list[np.ndarray]:
    """Two examples on the axis of each operand that is mapped."""
    return [
        a if axis is None else np.stack([a, another(op, a)], axis) for a, axis in zip(arrays, axes)
    ]


def examples_of(batches: list[np.ndarray], axes: Any) -> list[list[np.ndarray]]:
    """The operands of one example and of the other."""
    return [
        [b if axis is None else b.take(i, axis) for b, axis in zip(batches, axes)] for i in (0, 1)
    ]


def mapped(function: Any, batches: list[np.ndarray], axes: Any) -> list[np.ndarray]:
    found = dt.vmap(function, in_axes=axes)(*map(dt.asarray, batches))
    return [r.array for r in results_of(found)]


def looped(function: Any, batches: list[np.ndarray], axes: Any) -> list[np.ndarray]:
    """The results of the function on each example by itself, stacked."""
    rows = [
        [r.array for r in results_of(function(*map(dt.asarray, given)))]
        for given in examples_of(batches, axes)
    ]
    return [np.stack(column) for column in zip(*rows)]


def assert_same(found: Any, expected: Any, ulp: int, what: Any) -> None:
    for f, e in zip(found, expected, strict=True):
        assert (f.shape, f.dtype) == (e.shape, e.dtype), what
        assert_close(f, e, e.dtype, ulp)


def _sample_of(op: Op, wanted: Any = lambda sample: True) -> Sample | None:
    """The wanted sample with the most axes and elements."""

    def weight(sample: Sample) -> Any:
        arrays = arrays_of(sample)
        return min(a.size > 1 for a in arrays), sum(a.ndim for a in arrays), len(arrays)

    found = [s for s in SAMPLES[op.name].samples if arrays_of(s) and wanted(s)]
    return max(found, key=weight, default=None)


def _cases(wanted: Any) -> Any:
    pairs = [(op, s) for name, op in MAPPABLE.items() for s in SAMPLES[name].samples]
    chosen = [(op, s) for op, s in pairs if arrays_of(s) and wanted(op)]
    return pytest.mark.parametrize(
        "op, sample", chosen, ids=[f"{op.name} {sample}" for op, sample in chosen]
    )


# -- every operator --------------------------------------------------------------------------


def test_only_what_must_be_is_looped_over() -> None:
    without = {name for name, op in MAPPABLE.items() if op.batch is None and not op.dynamic}
    assert without == LOOPED.keys()


@_cases(lambda op: not op.dynamic)
def test_a_map_is_a_loop_over_examples(op: Op, sample: Sample) -> None:
    arrays, function = arrays_of(sample), applied(op, sample)
    for axes in ways_to_map(len(arrays)):
        batches = batches_for(op, arrays, axes)
        expected = looped(function, batches, axes)
        assert_same(mapped(function, batches, axes), expected, SAMPLES[op.name].ulp, axes)


@_cases(lambda op: True)
def test_a_scope_of_autobatch_is_a_loop_over_examples(op: Op, sample: Sample) -> None:
    arrays, function = arrays_of(sample), applied(op, sample)
    for axes in ways_to_map(len(arrays)):
        examples = examples_of(batches_for(op, arrays, axes), axes)
        shared = [dt.asarray(x) for x in examples[0]]
        rows = [
            [shared[i] if axes[i] is None else dt.asarray(x) for i, x in enumerate(given)]
            for given in examples
        ]
        expected = [results_of(function(*row)) for row in rows]
        with dt.autobatch():
            found = [results_of(function(*row)) for row in rows]
        for f, e in zip(found, expected, strict=True):
            assert_same([r.array for r in f], [r.array for r in e], SAMPLES[op.name].ulp, axes)


@_cases(lambda op: op.dynamic)
def test_what_has_a_shape_of_its_data_is_not_mapped(op: Op, sample: Sample) -> None:
    arrays, function = arrays_of(sample), applied(op, sample)
    for axes in ways_to_map(len(arrays)):
        with pytest.raises(dt.errors.StaticValueError, match=f"{op.name}: .* cannot be mapped"):
            mapped(function, batches_for(op, arrays, axes), axes)


RULES = [
    (op, sample)
    for op in MAPPABLE.values()
    if op.batch is not None and (sample := _sample_of(op)) is not None
]


@pytest.mark.parametrize("constants", [False, True], ids=["fed", "constant"])
@pytest.mark.parametrize("op, sample", RULES, ids=[op.name for op, _ in RULES])
def test_a_map_within_a_graph_takes_any_number_of_examples(
    op: Op, sample: Sample, constants: bool
) -> None:
    """What all examples share is fed, too, or a plain array."""
    arrays, function = arrays_of(sample), applied(op, sample)
    for axes in ways_to_map(len(arrays)):
        batches = batches_for(op, arrays, axes)
        feeds = {}
        with dt.static.Graph() as g:
            operands = list(batches)
            for i, (array, axis) in enumerate(zip(arrays, axes)):
                if axis is not None or not constants:
                    shape = array.shape if axis is None else ("n", *array.shape)
                    operands[i] = g.placeholder(f"x{i}", shape, array.dtype)
                    feeds[operands[i]] = batches[i]
            results = results_of(dt.vmap(function, in_axes=axes)(*operands))
        assert all(r.shape[0] == dt.Dim.symbol("n") for r in results)
        found = g.compile(results).run(feeds)
        expected = looped(function, batches, axes)
        assert_same(found, expected, SAMPLES[op.name].ulp, axes)


def test_a_result_may_be_the_same_for_any_number_of_examples() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 3))
        results = dt.vmap(lambda x: (np.arange(2), 0.5, dt.sum(x)))(x)
    array, number, total = g.compile(list(results)).run({"x": np.ones((4, 3), np.float32)})
    np.testing.assert_array_equal(array, [[0, 1]] * 4)
    np.testing.assert_array_equal(number, [0.5] * 4)
    np.testing.assert_array_equal(total, [3] * 4)


# -- gradients -------------------------------------------------------------------------------


def _is_differentiable(op: Op, sample: Sample) -> bool:
    if not sample.smooth or not any(map(is_float, sample.args)):
        return False
    bound, _ = bind(op, in_float64(sample).args, sample.attrs)
    floats = [aval for aval in bound.outs if dtypes.is_float(aval.dtype)]
    return bound.differentiable and all(aval.dtype == np.float64 for aval in floats)


DIFFERENTIABLE = [
    (op, in_float64(sample))
    for op in MAPPABLE.values()
    if op.vjp and (sample := _sample_of(op, lambda s, op=op: _is_differentiable(op, s)))
]
_differentiable = pytest.mark.parametrize(
    "op, sample", DIFFERENTIABLE, ids=[op.name for op, _ in DIFFERENTIABLE]
)


def floats_of(found: Any) -> list[Any]:
    return [r for r in results_of(found) if r.dtype == np.float64]


def _cotangents(results: list[Any]) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.uniform(-1, 1, r.shape) for r in results]


def _gradients(function: Any, arrays: list[np.ndarray], cotangents: Any) -> list[np.ndarray]:
    """With respect to every float, zeros where nothing flows."""
    tensors = [dt.tensor(a, requires_grad=is_float(a)) for a in arrays]
    wanted = [t for t in tensors if t.requires_grad]
    seeds = [dt.asarray(c) for c in cotangents]
    found = dt.grad(floats_of(function(*tensors)), wanted, seeds, allow_unused=True)
    return [np.zeros(t.shape) if g is None else g.array for t, g in zip(wanted, found)]


def _assert_near(found: Any, expected: Any, what: Any) -> None:
    for f, e in zip(found, expected, strict=True):
        scale = np.max(np.abs(e), initial=1.0)
        np.testing.assert_allclose(f, e, 1e-10, 1e-10 * scale, err_msg=str(what))


def _each(function: Any, op: Op, arrays: list[np.ndarray], axes: Any) -> Any:
    """Batches, cotangents of a whole batch, and the gradients of each example by itself."""
    batches = batches_for(op, arrays, axes)
    examples = examples_of(batches, axes)
    cotangents = _cotangents(floats_of(dt.vmap(function, in_axes=axes)(*map(dt.asarray, batches))))
    rows = [
        _gradients(function, given, [c[i] for c in cotangents]) for i, given in enumerate(examples)
    ]
    return batches, cotangents, rows


@_differentiable
def test_gradients_flow_through_a_map(op: Op, sample: Sample) -> None:
    arrays, function = arrays_of(sample), applied(op, sample)
    for axes in ways_to_map(len(arrays)):
        batches, cotangents, rows = _each(function, op, arrays, axes)
        found = _gradients(dt.vmap(function, in_axes=axes), batches, cotangents)
        mapped_floats = [axis == 0 for axis, a in zip(axes, arrays) if is_float(a)]
        expected = [
            np.stack(column) if is_mapped else column[0] + column[1]
            for is_mapped, column in zip(mapped_floats, zip(*rows))
        ]
        _assert_near(found, expected, axes)


@_differentiable
def test_each_example_has_gradients_of_its_own(op: Op, sample: Sample) -> None:
    arrays, function = arrays_of(sample), applied(op, sample)

    def pulled(*operands: Any) -> Any:
        *xs, seeds = operands
        value, pullback = dt.vjp(lambda *xs: tuple(floats_of(function(*xs))), *xs)
        assert len(value) == len(seeds)
        return tuple(g for g, a in zip(pullback(tuple(seeds)), arrays) if is_float(a))

    for axes in ways_to_map(len(arrays)):
        batches, cotangents, rows = _each(function, op, arrays, axes)
        found = dt.vmap(pulled, in_axes=(*axes, 0))(
            *map(dt.asarray, batches), [dt.asarray(c) for c in cotangents]
        )
        _assert_near([g.array for g in found], [np.stack(c) for c in zip(*rows)], axes)


# -- where the batch stands ------------------------------------------------------------------

AXES = [
    ("add", (1, -1)), ("matmul", (1, 2)), ("sum", (2,)), ("where", (-1, 0, 1)), ("sort", (1,)),
    ("getitem", (-1,)), ("concat", (1, -1)), ("softmax", (1,)), ("cumulative_sum", (2,)),
]  # fmt: skip


@pytest.mark.parametrize("name, axes", AXES, ids=[name for name, _ in AXES])
def test_any_axis_may_be_the_batch(name: str, axes: tuple[int, ...]) -> None:
    op = KERNELS[name]

    def has_these_axes(sample: Sample) -> bool:
        arrays = arrays_of(sample)
        least = [axis if axis >= 0 else -axis - 1 for axis in axes]
        return len(arrays) == len(axes) and all(a.ndim >= n for a, n in zip(arrays, least))

    sample = _sample_of(op, has_these_axes)
    arrays, function = arrays_of(sample), applied(op, sample)
    batches = batches_for(op, arrays, axes)
    expected = looped(function, batches, axes)
    assert_same(mapped(function, batches, axes), expected, SAMPLES[name].ulp, axes)
    last = dt.vmap(function, in_axes=axes, out_axes=-1)(*map(dt.asarray, batches))
    found = [np.moveaxis(r.array, -1, 0) for r in results_of(last)]
    assert_same(found, expected, SAMPLES[name].ulp, axes)


NESTED = ["add", "matmul", "where", "take", "concat", "sort", "solve", "conv2d", "logsumexp"]


@pytest.mark.parametrize("name", NESTED)
def test_maps_nest(name: str) -> None:
    """Every operand varies with the outer map, the first alone with the inner one, too."""
    op = KERNELS[name]
    sample = _sample_of(op)
    arrays, function = arrays_of(sample), applied(op, sample)
    inner_axes = (0, *[None] * (len(arrays) - 1))
    inner = batches_for(op, arrays, inner_axes)
    outer_axes = (0,) * len(arrays)
    outer = batches_for(op, inner, outer_axes)
    found = mapped(dt.vmap(function, in_axes=inner_axes), outer, outer_axes)
    rows = [looped(function, given, inner_axes) for given in examples_of(outer, outer_axes)]
    expected = [np.stack(column) for column in zip(*rows)]
    assert_same(found, expected, SAMPLES[name].ulp, inner_axes)


# -- functions that are composed of operators ------------------------------------------------

# Of attributes alone, or of a shape that depends on data.
UNMAPPED = {
    "arange", "broadcast_shapes", "empty", "empty_like", "eye", "fftfreq", "full", "linspace",
    "nonzero", "ones", "rfftfreq", "unique_all", "unique_counts", "unique_inverse", "zeros",
}  # fmt: skip


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng([3, *shape]).uniform(-1, 1, shape)


V, M, S = _draw(4), _draw(3, 4), _draw(3, 3)
AT = np.array([2, 0])

COMPOSED: dict[str, tuple[Any, list[np.ndarray]]] = {
    "allclose": (dt.allclose, [M, M]),
    "array_split": (lambda x: dt.array_split(x, 3, axis=-1), [M]),
    "astype": (lambda x: dt.astype(x, "float32"), [M]),
    "bincount": (lambda x, w: dt.bincount(x, w, length=4), [AT, V[:2]]),
    "broadcast_arrays": (dt.broadcast_arrays, [M, V]),
    "clip": (lambda x: dt.clip(x, max=0.5), [M]),
    "concat": (lambda x, y: dt.concat([x, y], axis=None), [M, V]),
    "diag": (lambda x: (dt.diag(x), dt.diag(dt.diag(x), k=1)), [S]),
    "diff": (lambda x, y: dt.diff(x, axis=0, prepend=y), [M, M[:1]]),
    "eig": (dt.linalg.eig, [S]),
    "eigh": (dt.linalg.eigh, [S + S.T]),
    "einsum": (lambda x, y: dt.einsum("ij,kj->i", x, y), [M, M]),
    "elu": (dt.elu, [M]),
    "fftshift": (dt.fft.fftshift, [M]),
    "flatten": (dt.flatten, [M]),
    "flip": (dt.flip, [M]),
    "full_like": (lambda x: dt.full_like(x, 2.0), [M]),
    "gelu": (lambda x: dt.gelu(x, approximate="tanh"), [M]),
    "getitem": (lambda x, i: (x[i], x[..., None, i], x[:, 1]), [M, AT]),
    "ifftshift": (lambda x: dt.fft.ifftshift(x, axes=-1), [M]),
    "leaky_relu": (dt.leaky_relu, [M]),
    "matrix_norm": (lambda x: dt.linalg.matrix_norm(x, ord="nuc"), [M]),
    "matrix_power": (lambda x: dt.linalg.matrix_power(x, -3), [S]),
    "matrix_rank": (dt.linalg.matrix_rank, [M]),
    "matrix_transpose": (dt.matrix_transpose, [M]),
    "median": (lambda x: dt.median(x, axis=-1), [M]),
    "meshgrid": (dt.meshgrid, [V, V[:3]]),
    "moveaxis": (lambda x: dt.moveaxis(x, -1, 0), [M]),
    "ones_like": (dt.ones_like, [M]),
    "outer": (dt.outer, [V, V[:2]]),
    "pad": (lambda x: dt.pad(x, ((1, 0), (0, 2)), mode="reflect"), [M]),
    "pinv": (dt.linalg.pinv, [M]),
    "pow": (dt.pow, [np.abs(M), V]),
    "qr": (dt.linalg.qr, [M]),
    "quantile": (lambda x: dt.quantile(x, 0.3, axis=0), [M]),
    "repeat": (lambda x: dt.repeat(x, 2), [M]),
    "reshape": (lambda x: dt.reshape(x, (2, -1)), [M]),
    "roll": (lambda x: dt.roll(x, 2), [M]),
    "searchsorted": (lambda x, y: dt.searchsorted(x, y, sorter=dt.argsort(x)), [V, M]),
    "setitem": (lambda x, y, i: dt.setitem(x, y, (i, slice(1, 3))), [M, V[:2], AT]),
    "slogdet": (dt.linalg.slogdet, [S]),
    "split": (lambda x: dt.split(x, [1], axis=1), [M]),
    "svd": (lambda x: dt.linalg.svd(x, full_matrices=False), [M]),
    "swapaxes": (lambda x: dt.swapaxes(x, 0, 1), [M]),
    "tensordot": (lambda x, y: dt.tensordot(x, y, axes=((1,), (0,))), [M, V]),
    "tile": (lambda x: dt.tile(x, (2, 1, 2)), [M]),
    "topk": (lambda x: dt.topk(x, 2, axis=0), [M]),
    "trace": (lambda x: dt.trace(x, offset=1), [M]),
    "unstack": (dt.unstack, [M]),
    "zeros_like": (dt.zeros_like, [M]),
}


def test_every_composed_function_is_mapped() -> None:
    spaces = (dt.linalg, dt.fft)
    known = FUNCTIONS | {name: getattr(s, name) for s in spaces for name in s.__all__}
    composed = {
        name for name, f in known.items() if not isinstance(f, type) and not hasattr(f, "op")
    }
    assert COMPOSED.keys() | UNMAPPED == composed


@pytest.mark.parametrize("style", ["eager", "static"])
@pytest.mark.parametrize("name", COMPOSED)
def test_a_map_of_a_composed_function_is_a_loop(name: str, style: str) -> None:
    function, arrays = COMPOSED[name]
    flat = lambda *xs: tuple(results_of(function(*xs)))
    for axes in ways_to_map(len(arrays)):
        batches = [
            a if axis is None else np.stack([a, np.flip(a)]) for a, axis in zip(arrays, axes)
        ]
        expected = looped(flat, batches, axes)
        if style == "eager":
            found = mapped(flat, batches, axes)
        else:
            with dt.static.Graph() as g:
                fed = [
                    g.placeholder(f"x{i}", a.shape if axis is None else ("n", *a.shape), a.dtype)
                    for i, (a, axis) in enumerate(zip(arrays, axes))
                ]
                results = dt.vmap(flat, in_axes=axes)(*fed)
            found = g.compile(list(results)).run(dict(zip(fed, batches)))
        assert_same(found, expected, 64, axes)
