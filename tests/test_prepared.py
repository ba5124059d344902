"""Kernels worked out for shapes and attributes give what the kernels as they are written give."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.avals import aval_of
from diptych.graphs.compiled import loop, speedups
from diptych.graphs.ops import REGISTRY

pytestmark = pytest.mark.skipif(not dt.is_compiled(), reason="the extension is not built")

VIEWS: list[tuple[str, tuple[int, ...], tuple[Any, ...]]] = [
    ("getitem", (4, 6), (((None, None, None), (1, 3, None)),)),
    ("getitem", (4, 6), ((2,),)),
    ("getitem", (4, 6), ((-1, 3),)),
    ("getitem", (5, 6), (((None, None, -2), None, (4, 1, -1)),)),
    ("getitem", (5, 6), (((3, 3, None), 0),)),
    ("getitem", (5,), ((None, Ellipsis, None),)),
    ("getitem", (2, 3, 4), ((Ellipsis, (1, None, 2)),)),
    ("getitem", (1, 1), (((0, 1, None), 0),)),
    ("permute_dims", (2, 3, 4), ((2, 0, 1),)),
    ("permute_dims", (2, 3), (None,)),
    ("squeeze", (1, 3, 1), (None,)),
    ("squeeze", (1, 3, 1), (2,)),
    ("expand_dims", (3, 2), (1,)),
    ("expand_dims", (3, 2), ((0, -1),)),
    ("reshape", (3, 4), ((2, -1),)),
    ("reshape", (), ((1, 1),)),
    ("reshape", (0, 3), ((3, 0),)),
    ("broadcast_to", (3, 1), ((2, 3, 4),)),
    ("broadcast_to", (1, 3), ((1, 3),)),
    ("broadcast_to", (), ((2, 2),)),
]  # fmt: skip


def _spread(x: np.ndarray) -> np.ndarray:
    wide = np.zeros([2 * n for n in x.shape], x.dtype)
    found = wide[(*[slice(0, 2 * n, 2) for n in x.shape], ...)]
    found[...] = x
    return found


def _backwards(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.flip(np.flip(x).copy()))


def _readonly(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = [np.ascontiguousarray, np.asfortranarray, _spread, _backwards, _readonly]


def _numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    found = np.random.default_rng(0).normal(0, 2, shape)
    found[np.abs(found) < 0.3] = -0.0
    return found.astype(dtype)


def _both(op: str, arrays: list[np.ndarray], attrs: tuple[Any, ...]) -> list[Callable[..., Any]]:
    """The kernel that is bound, and the one that is written."""
    bound = REGISTRY[op].bind(tuple([tuple(_fields(x)) for x in arrays]), attrs)
    written = partial(REGISTRY[op].kernel, np, **bound.attrs)
    assert type(bound.kernel) is not partial
    return [bound.kernel, written]


def _fields(array: np.ndarray) -> tuple[Any, ...]:
    aval = aval_of(array)
    return aval.shape, aval.dtype, aval.device


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("op", "shape", "attrs"), VIEWS)
def test_views_lie_as_numpys(op: str, shape: Any, attrs: Any, layout: Any) -> None:
    x = layout(_numbers(*shape))
    ours, theirs = [kernel(x) for kernel in _both(op, [x], attrs)]
    assert (ours.shape, ours.strides) == (theirs.shape, theirs.strides)
    assert ours.flags.writeable == theirs.flags.writeable
    if theirs.base is not None and op != "reshape":
        assert ours.ctypes.data == theirs.ctypes.data
    assert ours.tobytes() == theirs.tobytes()


def test_a_view_of_another_shape_is_left_to_numpy() -> None:
    kernel, written = _both("getitem", [_numbers(4, 6)], ((1,),))
    other = _numbers(3, 2)
    assert kernel(other).tobytes() == written(other).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("op", "shape", "attrs"),
    [
        ("sum", (3, 40), (0, False, None)),
        ("sum", (3, 300), (1, False, None)),
        ("sum", (3, 300), (None, True, None)),
        ("sum", (5, 7, 130), ((0, 2), True, None)),
        ("sum", (5, 1, 9), ((0, 1), False, None)),
        ("sum_to", (5, 7), ((7,),)),
        ("sum_to", (5, 7), ((5, 1),)),
        ("sum_to", (5, 7, 3), ((7, 1),)),
        ("sum_to", (16, 2000), ((2000,),)),
    ],
)
def test_sums_have_the_bits_of_numpys(
    op: str, shape: Any, attrs: Any, layout: Any, dtype: str
) -> None:
    x = layout(_numbers(*shape, dtype=dtype))
    ours, theirs = _both(op, [x], attrs)
    expected = np.asarray(theirs(x))
    found = ours(x)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.flags.c_contiguous and found.tobytes() == expected.tobytes()
    assert np.asarray(ours(x, out=np.empty_like(expected))).tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("op", "shapes", "axis"),
    [
        ("concat", ((3,), (2,)), 0),
        ("concat", ((2, 3), (2, 0), (2, 4)), 1),
        ("concat", ((2, 3, 4), (2, 1, 4)), 1),
        ("stack", ((2, 3), (2, 3)), 0),
        ("stack", ((2, 3), (2, 3), (2, 3)), 2),
        ("stack", ((), ()), 0),
    ],
)
def test_joined_arrays(op: str, shapes: Any, axis: int, layout: Any, dtype: str) -> None:
    arrays = [layout(_numbers(*shape, dtype=dtype)) for shape in shapes]
    ours, theirs = [kernel(*arrays) for kernel in _both(op, arrays, (axis,))]
    assert ours.flags.c_contiguous and ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["sigmoid", "relu"])
def test_functions_of_numpys_loops_have_their_bits(name: str, layout: Any, dtype: str) -> None:
    x = _numbers(40, 70, dtype=dtype) * 60
    x.reshape(-1)[:5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    x = layout(x)
    one, zero = np.ones((), dtype), np.zeros((), dtype)
    if name == "relu":
        expected = loop(np.maximum)(x, zero)
    else:
        below = loop(np.exp)(loop(np.negative)(x))
        expected = loop(np.reciprocal)(loop(np.add)(below, one))
    for kernel in _both(name, [x], ()):
        assert kernel(x).tobytes() == expected.tobytes()
        out = np.empty_like(expected)
        assert kernel(x, out=out) is out and out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_with_vectors_have_the_bits_of_matmul(dtype: str) -> None:
    shapes = [
        ((9,), (9, 5)), ((4, 9), (9,)), ((1, 9), (9, 5)), ((4, 9), (9, 1)), ((7, 1), (1, 6)),
        ((1,), (1, 6)), ((7, 1), (1,)), ((200,), (200, 300)),
    ]  # fmt: skip
    for x, y in shapes:
        for layout in LAYOUTS:
            a, b = layout(_numbers(*x, dtype=dtype)), layout(_numbers(*y, dtype=dtype))
            found = loop(np.matmul)(a, b)
            expected = np.matmul(a, b)
            assert found.shape == expected.shape and found.tobytes() == expected.tobytes()


def test_refuses_what_does_not_lie_within() -> None:
    view = speedups.View
    for places in [
        ((0,), (0,), (2,)),
        ((3,), (0,), (1,)),
        ((0,), (1,), (1,)),
        ((0, 0), (0,), (1,)),
    ]:
        with pytest.raises(ValueError, match="View: must lie within the operand"):
            view(np.negative, (4,), (3,), *places)
    with pytest.raises(ValueError, match="View: must lie within the operand"):
        view(np.negative, (4,), (3,))
    with pytest.raises(ValueError, match="at most 8 sizes"):
        view(np.negative, (1,) * 9, (1,))
    with pytest.raises(ValueError, match="Join: pieces must make up the shape"):
        speedups.Join(np.negative, (4,), 1, (2, 1))
    with pytest.raises(ValueError, match="Sum: must be of add, and all elements"):
        speedups.Sum(np.add, np.negative, (4,), (2,), (1, 1, 1, 4))
