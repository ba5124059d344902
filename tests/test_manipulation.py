"""Manipulation and creation functions that are written in operators: values, views and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from every_style import in_every_style

import diptych as dt
from diptych.errors import ArgumentError, DTypeError, RangeError, ShapeError, StaticValueError

_X = np.arange(24.0).reshape(2, 3, 4)
_ROW = np.array([3.0, 1.0, 2.0])
_TIMES = np.array([2, 0, 1])


def padded(mode: str, width: Any, **options: Any) -> Any:
    return (lambda x: dt.pad(x, width, mode, **options)), np.pad(_X, width, mode, **options)


# A function of arrays, those arrays, and what NumPy makes of them.
SAME: dict[str, tuple[Any, Any]] = {
    "broadcast_arrays": (
        lambda x: dt.broadcast_arrays(x, x[:, :1], x[0, 0]),
        np.broadcast_arrays(_X, _X[:, :1], _X[0, 0]),
    ),
    "concat flattened": (
        lambda x: dt.concat([x, x[0]], axis=None), np.concatenate([_X, _X[0]], axis=None)
    ),
    "stack": (lambda x: dt.stack([x, 2 * x]), np.stack([_X, 2 * _X])),
    "stack behind": (lambda x: dt.stack([x, x], axis=-1), np.stack([_X, _X], axis=-1)),
    "unstack": (lambda x: dt.unstack(x, axis=1), [_X[:, i] for i in range(3)]),
    "split": (lambda x: dt.split(x, 2, axis=-1), np.split(_X, 2, axis=-1)),
    "split at": (lambda x: dt.split(x, (1, 1, 9), axis=1), np.split(_X, (1, 1, 9), axis=1)),
    "array_split": (lambda x: dt.array_split(x, 2, axis=1), np.array_split(_X, 2, axis=1)),
    "array_split in more": (lambda x: dt.array_split(x, 3), np.array_split(_X, 3)),
    "tile": (lambda x: dt.tile(x, (2, 1)), np.tile(_X, (2, 1))),
    "tile to more axes": (lambda x: dt.tile(x, (2, 1, 1, 3)), np.tile(_X, (2, 1, 1, 3))),
    "tile by a number": (lambda x: dt.tile(x, 2), np.tile(_X, 2)),
    "tile to nothing": (lambda x: dt.tile(x, 0), np.tile(_X, 0)),
    "repeat": (lambda x: dt.repeat(x, 2, axis=1), np.repeat(_X, 2, axis=1)),
    "repeat flattened": (lambda x: dt.repeat(x, 3), np.repeat(_X, 3)),
    "repeat never": (lambda x: dt.repeat(x, 0, axis=0), np.repeat(_X, 0, axis=0)),
    "repeat by a constant": (
        lambda x: dt.repeat(x, _TIMES, axis=1), np.repeat(_X, _TIMES, axis=1)
    ),
    "repeat by a list": (lambda x: dt.repeat(x, [1, 3], axis=0), np.repeat(_X, [1, 3], axis=0)),
    "pad": (lambda x: dt.pad(x, 1), np.pad(_X, 1)),
    "pad with a number": padded("constant", (0, 2), constant_values=-1.5),
    "pad with -0": padded("constant", ((1, 0),) * 3, constant_values=-0.0),
    "pad axes": padded("constant", ((0, 1), (2, 0), (0, 0))),
    "pad edge": padded("edge", ((0, 1), (2, 0), (1, 1))),
    "pad reflect": padded("reflect", ((0, 1), (2, 5), (0, 0))),
    "pad symmetric": padded("symmetric", ((0, 1), (2, 5), (0, 0))),
    "pad wrap": padded("wrap", ((0, 1), (2, 5), (0, 0))),
    "pad by nothing": padded("reflect", 0),
    "moveaxis": (lambda x: dt.moveaxis(x, 0, -1), np.moveaxis(_X, 0, -1)),
    "moveaxis of several": (
        lambda x: dt.moveaxis(x, (2, 0), (0, 1)), np.moveaxis(_X, (2, 0), (0, 1))
    ),
    "swapaxes": (lambda x: dt.swapaxes(x, 0, -1), np.swapaxes(_X, 0, -1)),
    "flatten": (dt.flatten, _X.ravel()),
    "flatten some": (lambda x: dt.flatten(x, 1), _X.reshape(2, 12)),
    "flatten none": (lambda x: dt.flatten(x, 1, 1), _X),
    "flatten a number": (lambda x: dt.flatten(x[0, 0, 0]), _X[0, 0, :1]),
    "flip": (dt.flip, np.flip(_X)),
    "flip axes": (lambda x: dt.flip(x, axis=(0, -1)), np.flip(_X, (0, -1))),
    "roll": (lambda x: dt.roll(x, 5), np.roll(_X, 5)),
    "roll axes": (lambda x: dt.roll(x, (1, -1), axis=(0, 2)), np.roll(_X, (1, -1), (0, 2))),
    "meshgrid": (lambda x: dt.meshgrid(x[0, 0], x[0, :, 0]), np.meshgrid(_X[0, 0], _X[0, :, 0])),
    "meshgrid in order": (
        lambda x: dt.meshgrid(x[0, 0], x[0, :, 0], x[:, 0, 0], indexing="ij"),
        np.meshgrid(_X[0, 0], _X[0, :, 0], _X[:, 0, 0], indexing="ij"),
    ),
    "meshgrid of one": (lambda x: dt.meshgrid(x[0, 0]), np.meshgrid(_X[0, 0])),
    "full_like": (lambda x: dt.full_like(x, 2), np.full_like(_X, 2)),
    "full of a value": (lambda x: dt.full((2, 2), x[0, 0, 1]), np.full((2, 2), 1.0)),
    "empty_like": (lambda x: dt.empty_like(x) * 0, np.zeros_like(_X)),
    "reshape with a copy": (lambda x: dt.reshape(x, (4, 6), copy=True), _X.reshape(4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_values_are_those_of_numpy_in_every_style(name: str) -> None:
    function, expected = SAME[name]
    found = in_every_style(function, _X)
    wanted = list(expected) if isinstance(expected, list | tuple) else [expected]
    for f, e in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(f, e, strict=True)
        np.testing.assert_array_equal(np.signbit(f), np.signbit(e))


@pytest.mark.parametrize("name", [n for n in SAME if not n.endswith(("_like", "nothing", "never"))])
def test_gradients_are_slopes(name: str) -> None:
    function, _ = SAME[name]

    def squared(x: Any) -> Any:
        found = function(x)
        return [y * y for y in found] if isinstance(found, tuple) else found * found

    assert dt.gradcheck(squared, _X, order=2 if name.startswith(("pad", "roll")) else 1)


def test_plain_arrays_and_lists_give_plain_arrays() -> None:
    for found, expected in (
        (dt.flip([1, 2, 3]), [3, 2, 1]), (dt.stack([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (dt.tile(_ROW, 2), np.tile(_ROW, 2)), (dt.repeat([1, 2], 2), [1, 1, 2, 2]),
        (dt.pad([1, 2], 1), [0, 1, 2, 0]), (dt.moveaxis(_X, 0, 1), np.moveaxis(_X, 0, 1)),
    ):  # fmt: skip
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, expected)


# -- sizes that depend on data -----------------------------------------------------------------


def test_repeat_by_an_array_is_eager() -> None:
    x = dt.tensor(_X, requires_grad=True)
    for times in (_TIMES, _TIMES * 0, np.array([2]), np.array(2)):
        y = dt.repeat(x, dt.tensor(times), axis=1)
        np.testing.assert_array_equal(y.array, np.repeat(_X, times, axis=1))
        (g,) = dt.grad(dt.sum(y), x)
        expected = np.broadcast_to(np.broadcast_to(times, 3)[:, None], _X.shape)
        np.testing.assert_array_equal(g.array, expected)
    with dt.static.Graph() as g:
        times = g.placeholder("times", (3,), "int64")
        with pytest.raises(StaticValueError, match="a shape that depends on data is eager's"):
            dt.repeat(g.constant(_X), times, axis=1)


def test_symbolic_sizes() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 3), "float64")
        results = [
            dt.flip(x), dt.tile(x, (2, 1)), dt.repeat(x, 2, axis=0), dt.roll(x, 1, axis=0),
            dt.pad(x, ((1, 2), (0, 1))), dt.stack([x, x]), dt.concat([x, x[:1]]), dt.flatten(x),
            dt.moveaxis(x, 0, 1), dt.tril(x), dt.pad(x, ((0, 0), (1, 1)), "edge"), dt.roll(x, 2),
            dt.expand_dims(x, (0, 1)), dt.reshape(x, (3, -1)),
            *dt.meshgrid(x[:, 0], x[0], indexing="ij"), dt.zeros_like(x), dt.full((x.shape[0],), 1),
        ]  # fmt: skip
    program = g.compile(results)
    for n in (1, 4):
        a = np.arange(3.0 * n).reshape(n, 3)
        expected = [
            np.flip(a), np.tile(a, (2, 1)), np.repeat(a, 2, 0), np.roll(a, 1, 0),
            np.pad(a, ((1, 2), (0, 1))), np.stack([a, a]), np.concatenate([a, a[:1]]), a.ravel(),
            np.moveaxis(a, 0, 1), np.tril(a), np.pad(a, ((0, 0), (1, 1)), "edge"), np.roll(a, 2),
            a[None, None], a.reshape(3, -1), *np.meshgrid(a[:, 0], a[0], indexing="ij"),
            np.zeros_like(a), np.ones(n, int),
        ]  # fmt: skip
        for found, e in zip(program.run({"x": a}), expected, strict=True):
            np.testing.assert_array_equal(found, e, strict=True)


SYMBOLIC_ERRORS: dict[str, Any] = {
    "unstack": dt.unstack,
    "split": lambda x: dt.split(x, 2),
    "array_split": lambda x: dt.array_split(x, 2),
    "pad": lambda x: dt.pad(x, 1, "edge"),
}


@pytest.mark.parametrize("name", SYMBOLIC_ERRORS)
def test_what_needs_a_size_says_so(name: str) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n",))
        with pytest.raises(ShapeError, match=rf"{name}: .* got \(n,\), axis 0"):
            SYMBOLIC_ERRORS[name](x)


# -- creation ----------------------------------------------------------------------------------


def test_zeros_keep_their_sign() -> None:
    for value in (-0.0, 0.0, complex(-0.0, 0.0), complex(0.0, -0.0), 0j):
        for _ in range(2):
            found = dt.full((2,), value).array
            assert (np.signbit(found.real) == (math.copysign(1, complex(value).real) < 0)).all()
            assert (np.signbit(found.imag) == (math.copysign(1, complex(value).imag) < 0)).all()
            assert found.flags.writeable


def test_numbers_decide_the_dtype() -> None:
    for value, dtype in (
        (1, "int64"), (1.0, "float32"), (True, "bool"), (1j, "complex64"),
        (np.float16(1), "float16"), (np.int8(1), "int8"), (dt.tensor(np.float64(2)), "float64"),
    ):  # fmt: skip
        assert dt.full((2,), value).dtype == dtype
    assert dt.full((2,), dt.tensor(2.0), dtype="int32").dtype == "int32"
    assert dt.arange(3).dtype == dt.linspace(0, 1, 3, dtype="int64").dtype == "int64"
    assert dt.arange(0, 1, 0.5).dtype == dt.linspace(0, 1, 3).dtype == dt.eye(2).dtype == "float32"
    assert dt.linspace(0, 1j, 3).dtype == "complex64"


def test_like_takes_dtype_and_device() -> None:
    x = dt.tensor(np.zeros((2, 3), np.int16))
    for function in (dt.zeros_like, dt.ones_like, dt.empty_like, lambda x, **kw: dt.full_like(
        x, 3, **kw
    )):  # fmt: skip
        assert (function(x).dtype, function(x).shape) == ("int16", (2, 3))
        assert function(x, dtype="float64", device="cpu").dtype == "float64"
        assert function(x.array).dtype == "int16"


def test_what_is_created_in_a_graph_is_a_value_of_it() -> None:
    with dt.static.Graph() as g:
        made = [dt.eye(2), dt.linspace(0, 1, 3), dt.empty(2), dt.full((2,), -0.0)]
        assert all(y.graph is g for y in made)
    for found, expected in zip(g.compile(made).run({}), (np.eye(2), [0, 0.5, 1], [0, 0], [0, 0])):
        np.testing.assert_array_equal(found, expected)


# -- copies ------------------------------------------------------------------------------------


def test_reshape_copies_as_it_is_told() -> None:
    x = dt.tensor(_X)
    assert np.shares_memory(dt.reshape(x, -1).array, x.array)
    assert np.shares_memory(dt.reshape(x, -1, copy=False).array, x.array)
    assert not np.shares_memory(dt.reshape(x, -1, copy=True).array, x.array)
    assert not np.shares_memory(dt.reshape(_X, -1, copy=True), _X)
    turned = dt.permute_dims(x)
    assert not np.shares_memory(dt.reshape(turned, -1, copy=True).array, x.array)
    with pytest.raises(ShapeError, match=r"reshape: a view .* got shape \(4, 3, 2\)"):
        dt.reshape(turned, -1, copy=False)


# -- errors ------------------------------------------------------------------------------------

_T = dt.tensor(_X)
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "broadcast_shapes": (
        lambda: dt.broadcast_shapes((2,), (3,)), ShapeError, r"broadcast, got \(2,\) and \(3,\)"
    ),
    "broadcast_shapes of sizes": (
        lambda: dt.broadcast_shapes((2, -1)), ShapeError, "a size must be a whole number"
    ),
    "broadcast_arrays": (
        lambda: dt.broadcast_arrays(_T, _T[0, 0, :3]), ShapeError, "shapes must broadcast, got"
    ),
    "stack of nothing": (lambda: dt.stack([]), ShapeError, "at least one operand is needed"),
    "stack": (lambda: dt.stack([_T, _T[0]]), ShapeError, r"agree, got \(2, 3, 4\) and \(3, 4\)"),
    "stack on": (lambda: dt.stack([_T], axis=4), ShapeError, "axis must be in -4..3, got 4"),
    "stack of text": (lambda: dt.stack(["a"]), DTypeError, "got str"),
    "unstack": (lambda: dt.unstack(_T, axis=3), ShapeError, "axis must be in -3..2, got 3"),
    "unstack of a number": (lambda: dt.unstack(1.0), ShapeError, "a 0-d operand has no axis"),
    "split": (lambda: dt.split(_T, 2, axis=1), ShapeError, "must be of one size, got 2 of 3"),
    "split in none": (lambda: dt.split(_T, 0), ShapeError, "at least one part, got 0"),
    "array_split": (lambda: dt.array_split(_T, -1), ShapeError, "at least one part, got -1"),
    "tile": (lambda: dt.tile(_T, (1, -1)), ShapeError, r"at least 0, got \(1, -1\)"),
    "tile by halves": (lambda: dt.tile(_T, 0.5), ShapeError, "of at least 0, got 0.5"),
    "repeat": (lambda: dt.repeat(_T, -1), ShapeError, "at least 0, got -1"),
    "repeat on": (lambda: dt.repeat(_T, 1, axis=3), ShapeError, "axis must be in -3..2, got 3"),
    "repeat each": (
        lambda: dt.repeat(_T, dt.tensor([1, 2]), axis=1), ShapeError, r"one per element, got \(2,\)"
    ),
    "repeat by halves": (lambda: dt.repeat(_T, [0.5, 1.0], axis=0), DTypeError, "got float32"),
    "repeat less than never": (
        lambda: dt.repeat(_T, dt.tensor([1, -1, 2]), axis=1), RangeError, "at least 0, got -1"
    ),
    "pad": (lambda: dt.pad(_T, (1, -1)), ShapeError, r"at least 0, a pair per axis, got \(1, -1\)"),
    "pad axes": (lambda: dt.pad(_T, ((1, 1),) * 2), ShapeError, "a pair per axis"),
    "pad by halves": (lambda: dt.pad(_T, 0.5), ShapeError, "whole numbers .* got 0.5"),
    "pad in a mode": (lambda: dt.pad(_T, 1, "mirror"), ArgumentError, "mode must be one of consta"),
    "pad of nothing": (lambda: dt.pad(_T[:0], 1, "wrap"), ShapeError, r"got \(0, 3, 4\), axis 0"),
    "moveaxis": (lambda: dt.moveaxis(_T, 3, 0), ShapeError, "axis must be in -3..2, got 3"),
    "moveaxis twice": (lambda: dt.moveaxis(_T, (0, -3), (0, 1)), ShapeError, "axes must differ"),
    "moveaxis to": (lambda: dt.moveaxis(_T, (0, 1), 0), ShapeError, r"got \(0, 1\) to 0"),
    "swapaxes": (lambda: dt.swapaxes(_T, 0, 3), ShapeError, "axis must be in -3..2, got 3"),
    "flatten": (lambda: dt.flatten(_T, 2, 0), ShapeError, "not be after end_axis, got 2 and 0"),
    "flip": (lambda: dt.flip(_T, axis=(0, 0)), ShapeError, r"axes must differ, got \(0, 0\)"),
    "meshgrid": (lambda: dt.meshgrid(_T[0]), ShapeError, r"must have one axis, got \(3, 4\)"),
    "meshgrid in": (lambda: dt.meshgrid(indexing="yx"), ArgumentError, "'xy' or 'ij', got 'yx'"),
    "full": (lambda: dt.full((2,), "a"), DTypeError, "got str"),
    "full of axes": (lambda: dt.full((2,), [1, 2]), ShapeError, r"must have no axes, got \(2,\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused(case: str) -> None:
    call, error, match = REFUSED[case]
    with pytest.raises(error, match=match) as caught:
        call()
    assert str(caught.value).startswith(case.split()[0])
    assert type(caught.value) is error
