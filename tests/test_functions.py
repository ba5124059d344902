"""Functions that are written in operators: their values in every style, and their errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.errors import ArgumentError, DTypeError, RangeError, ShapeError, StaticValueError

Arrays = tuple[np.ndarray, ...]


def _results(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple | list) else [found]


def _eager(function: Callable[..., Any], arrays: Arrays) -> list[np.ndarray]:
    return [r.array for r in _results(function(*map(dt.tensor, arrays)))]


def _static(function: Callable[..., Any], arrays: Arrays) -> list[np.ndarray]:
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        fetches = _results(function(*fed))
    return g.compile(fetches).run(dict(zip(fed, arrays)))


def _symbolic(function: Callable[..., Any], arrays: Arrays) -> list[np.ndarray]:
    """In a graph that knows of sizes only which are equal."""
    with dt.static.Graph() as g:
        fed = [
            g.placeholder(f"x{i}", tuple(f"n{size}" for size in a.shape), a.dtype)
            for i, a in enumerate(arrays)
        ]
        fetches = _results(function(*fed))
    return g.compile(fetches).run(dict(zip(fed, arrays)))


def _hybrid(function: Callable[..., Any], arrays: Arrays) -> list[np.ndarray]:
    return [r.array for r in _results(dt.compile(function)(*map(dt.tensor, arrays)))]


STYLES = {"eager": _eager, "static": _static, "hybrid": _hybrid}


def assert_values(found: list[np.ndarray], expected: Any) -> None:
    for f, e in zip(found, map(np.asarray, _results(expected)), strict=True):
        assert (f.shape, f.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(f, e, rtol=1e-12)


# -- statistics, sorting, searching, sets ------------------------------------------------------

_ROWS = np.random.default_rng(0).uniform(-2, 2, (3, 4, 5))
_GAPS = np.array([[1.0, math.nan, 2.0], [3.0, math.inf, 5.0], [-math.inf, 1.0, math.inf]])
_WHOLE = np.array([3, 0, 3, 1])

STATISTICS: dict[str, tuple[Any, Arrays, Any]] = {
    "diff": (dt.diff, (_ROWS,), np.diff(_ROWS)),
    "diff twice": (lambda x: dt.diff(x, axis=1, n=2), (_ROWS,), np.diff(_ROWS, 2, 1)),
    "diff never": (lambda x: dt.diff(x, n=0), (_ROWS,), _ROWS),
    "diff to nothing": (lambda x: dt.diff(x, axis=0, n=5), (_ROWS,), _ROWS[:0]),
    "diff with ends": (
        lambda x, y: dt.diff(x, axis=0, prepend=y, append=y[:1]),
        (_ROWS, _ROWS[:2]),
        np.diff(np.concatenate([_ROWS[:2], _ROWS, _ROWS[:1]]), axis=0),
    ),
    "diff of integers": (dt.diff, (_WHOLE,), np.diff(_WHOLE)),
    "median of all": (dt.median, (_ROWS,), np.median(_ROWS)),
    "median of an odd axis": (lambda x: dt.median(x, 0), (_ROWS,), np.median(_ROWS, 0)),
    "median of axes": (
        lambda x: dt.median(x, (0, -1), keepdims=True),
        (_ROWS,),
        np.median(_ROWS, (0, 2), keepdims=True),
    ),
    "median of integers": (dt.median, (_WHOLE,), np.float32(2)),
    "median beside NaN": (
        lambda x: dt.median(x, 1),
        (_GAPS,),
        np.array([math.nan, 5.0, 1.0]),
    ),
    "quantile": (lambda x: dt.quantile(x, 0.3), (_ROWS,), np.quantile(_ROWS, 0.3)),
    "quantiles": (
        lambda x: dt.quantile(x, [[0.0, 0.1], [0.75, 1.0]], axis=1),
        (_ROWS,),
        np.quantile(_ROWS, [[0.0, 0.1], [0.75, 1.0]], axis=1),
    ),
    "quantiles kept": (
        lambda x: dt.quantile(x, (0.25,), axis=(0, 1), keepdims=True),
        (_ROWS,),
        np.quantile(_ROWS, (0.25,), axis=(0, 1), keepdims=True),
    ),
    # Nothing of an infinite neighbour is taken where its share is nothing.
    "quantile beside infinity": (
        lambda x: dt.quantile(x, 0.5, axis=1),
        (np.array([[1.0, 2.0, math.inf], [-math.inf, 2.0, math.inf]]),),
        np.array([2.0, 2.0]),
    ),
    "quantile between infinities": (
        lambda x: dt.quantile(x, 0.5), (np.full(2, math.inf),), np.float64(math.inf)
    ),
    "quantile of no rows": (
        lambda x: dt.quantile(x, 0.5, axis=1), (_ROWS[:0],), np.zeros((0, 5))
    ),
    "topk": (
        lambda x: dt.topk(x, 2, axis=1, largest=False),
        (_ROWS,),
        (np.sort(_ROWS, 1)[:, :2], np.argsort(_ROWS, 1)[:, :2]),
    ),
    "searchsorted": (
        lambda x, y: dt.searchsorted(x, y, side="right"),
        (np.array([1.0, 2.0, 2.0, 4.0]), np.array([[2.0, 5.0]])),
        np.array([[3, 4]]),
    ),
    "searchsorted by a sorter": (
        lambda x, y: dt.searchsorted(x, y, sorter=dt.argsort(x)),
        (np.array([4.0, 1.0, 2.0]), np.array([3.0, 0.0])),
        np.array([2, 0]),
    ),
    "bincount": (lambda x: dt.bincount(x, length=5), (_WHOLE,), np.array([1, 1, 0, 2, 0])),
    "bincount of weights": (
        lambda x, w: dt.bincount(x, w, length=4),
        (_WHOLE, np.array([0.5, 2.0, 0.25, 8.0])),
        np.array([2.0, 8.0, 0.0, 0.75]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name: str, style: str) -> None:
    function, arrays, expected = STATISTICS[name]
    assert_values(STYLES[style](function, arrays), expected)


# Of a size that is not known, five cannot be taken away.
@pytest.mark.parametrize("name", [name for name in STATISTICS if name != "diff to nothing"])
def test_statistics_of_symbolic_sizes(name: str) -> None:
    function, arrays, expected = STATISTICS[name]
    assert_values(_symbolic(function, arrays), expected)


_TWO = np.ones((2, 3))
STATISTICS_ERRORS: list[tuple[Any, Any, type[Exception], str]] = [
    (dt.diff, np.ones(2, bool), DTypeError, "diff: operands must be numbers, got bool"),
    (dt.diff, np.array(1.0), ShapeError, "diff: a 0-d operand has no axis, got -1"),
    (lambda x: dt.diff(x, axis=2), _TWO, ShapeError, "diff: axis must be in -2..1, got 2"),
    (lambda x: dt.diff(x, n=-1), _TWO, ArgumentError,
     "diff: n must be a whole number of at least 0, got -1"),
    (lambda x: dt.diff(x, n=1.5), _TWO, ArgumentError,
     "diff: n must be a whole number of at least 0, got 1.5"),
    (lambda x: dt.diff(x, prepend=x[:1]), _TWO, ShapeError,
     "diff: what is put before or behind must fit but for axis 1, got (1, 3) for (2, 3)"),
    (dt.median, _TWO[:0], ShapeError, "median: reduced axes must not be empty, got (0, 3)"),
    (dt.median, _TWO * 1j, DTypeError, "median: operands must be real, got complex128"),
    (lambda x: dt.median(x, 3), _TWO, ShapeError, "median: axis must be in -2..1, got 3"),
    (lambda x: dt.quantile(x, 0.5, 3), _TWO, ShapeError,
     "quantile: axis must be in -2..1, got 3"),
    (lambda x: dt.quantile(x, 1.5), _TWO, ArgumentError,
     "quantile: q must be known numbers in 0..1, got 1.5"),
    (lambda x: dt.quantile(x, [0.5, math.nan]), _TWO, ArgumentError,
     "quantile: q must be known numbers in 0..1, got [0.5, nan]"),
    (lambda x: dt.quantile(x, "half"), _TWO, ArgumentError,
     "quantile: q must be known numbers in 0..1, got 'half'"),
    (lambda x: dt.topk(x, 4), _TWO, ShapeError, "topk: k must be in 0..3, got 4"),
    (lambda x: dt.searchsorted(x, x), _TWO, ShapeError,
     "searchsorted: the first operand must have one axis, got (2, 3)"),
    (lambda x: dt.searchsorted(x[0], x, sorter=x[0]), _TWO, DTypeError,
     "searchsorted: sorter must hold integers, got float64"),
    (lambda x: dt.searchsorted(x[0], x, sorter=dt.argsort(x)), _TWO, ShapeError,
     "searchsorted: sorter must have the shape of the first operand, one axis, got (2, 3) "
     "for (3,)"),
    (lambda x: dt.bincount(x, length=3), np.array([[1]]), ShapeError,
     "bincount: the first operand must have one axis, got (1, 1)"),
    (lambda x: dt.bincount(x, length=3), np.array([1.0]), DTypeError,
     "bincount: the first operand must hold integers, got float64"),
    (lambda x: dt.bincount(x, np.ones(3), length=3), np.array([1, 0]), ShapeError,
     "bincount: shapes must broadcast, got (3,) and (2,)"),
]  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "function, array, error, message", STATISTICS_ERRORS, ids=[e[-1] for e in STATISTICS_ERRORS]
)
def test_statistics_errors(
    function: Any, array: Any, error: type[Exception], message: str, style: str
) -> None:
    with pytest.raises(error) as caught:
        STYLES[style](function, (array,))
    assert type(caught.value) is error and str(caught.value) == message


def test_what_depends_on_data_is_eager() -> None:
    x = dt.tensor([[0.0, 2.0], [math.nan, 0.0]])
    rows, columns = dt.nonzero(x)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
    found = dt.unique_all(dt.tensor([[3, 1], [3, 2]]))
    assert [field.tolist() for field in found] == [
        [1, 2, 3], [1, 3, 0], [[2, 0], [2, 1]], [1, 1, 2]
    ]  # fmt: skip
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert dt.unique_counts([2, 2, 1]).counts.tolist() == [1, 2]
    assert dt.unique_inverse([2, 2, 1]).inverse_indices.tolist() == [1, 1, 0]
    assert dt.bincount(dt.tensor([2, 2])).tolist() == [0, 0, 2]
    assert dt.bincount(np.array([], int)).tolist() == []
    for function in (
        dt.nonzero, dt.unique_all, dt.unique_counts, dt.unique_inverse, dt.unique_values,
        dt.bincount,
    ):  # fmt: skip
        with pytest.raises(StaticValueError, match="in a graph"):
            _static(function, (np.array([1, 2]),))


def test_bincount_refuses_what_has_no_bin() -> None:
    for wrong in ([-1], [3]):
        with pytest.raises(RangeError, match=r"bincount: indices must be in 0\.\.2, got"):
            dt.bincount(dt.tensor(wrong), dt.tensor([0.5]), length=3)
    with pytest.raises(RangeError, match="bincount: indices must be in"):
        dt.bincount(dt.tensor([2, -1]))
