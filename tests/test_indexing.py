"""``x[index]``, read and assigned, against NumPy, in every style, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from every_style import in_every_style
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import diptych as dt
from diptych.errors import (
    DTypeError,
    GraphError,
    RangeError,
    ShapeError,
    StaticValueError,
    TapeError,
)


def numbers(shape: Any) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 2, shape)


def is_array(entry: Any) -> bool:
    return isinstance(entry, np.ndarray)


def is_mask(entry: Any) -> bool:
    return is_array(entry) and entry.dtype == bool


# -- any index ---------------------------------------------------------------------------------


def _bounds(size: int) -> Any:
    return st.none() | st.integers(-size - 1, size + 1)


def _entries(size: int) -> Any:
    slices = st.builds(slice, _bounds(size), _bounds(size), st.sampled_from([None, 1, 2, -1, -3]))
    masks = hnp.arrays(bool, size)
    if not size:
        return slices | masks
    at = st.integers(-size, size - 1)
    shapes = st.sampled_from([(), (1,), (3,), (2, 1), (2, 3), (0,)])
    arrays = shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=at))
    lists = st.lists(at, min_size=3, max_size=3)
    return st.one_of(st.just(slice(None)), slices, at, arrays, arrays, lists, masks)


@st.composite
def cases(draw: Any) -> tuple[tuple[int, ...], Any]:
    """A shape, and an index that mixes all there is."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    entries: list[Any] = []
    axis, last = 0, draw(st.integers(0, len(shape)))
    while axis < last:
        if axis + 2 <= last and draw(st.integers(0, 9)) == 0:
            entries.append(draw(hnp.arrays(bool, shape[axis : axis + 2])))
            axis += 2
        else:
            entries.append(draw(_entries(shape[axis])))
            axis += 1
    for extra in draw(st.lists(st.sampled_from([None, None, True, False]), max_size=2)):
        entries.insert(draw(st.integers(0, len(entries))), extra)
    if draw(st.booleans()):
        # Between the entries it stands for no axis where they take all of them.
        at = draw(st.integers(0, len(entries))) if axis == len(shape) else len(entries)
        entries.insert(at, Ellipsis)
    return shape, entries[0] if len(entries) == 1 and draw(st.booleans()) else tuple(entries)


def parts(index: Any) -> tuple[list[np.ndarray], Any]:
    """The index arrays, but for masks; and from operands in their place to the index."""
    entries = index if isinstance(index, tuple) else (index,)
    arrays = [e for e in entries if is_array(e) and not is_mask(e)]

    def filled(operands: Any) -> Any:
        found = iter(operands)
        new = tuple(next(found) if is_array(e) and not is_mask(e) else e for e in entries)
        return new if isinstance(index, tuple) else new[0]

    return arrays, filled


def selected(x: np.ndarray, index: Any) -> np.ndarray | None:
    """What NumPy selects; None for an index that it refuses."""
    try:
        return np.asarray(x[index])
    except IndexError:
        return None


@given(cases())
def test_reading_selects_what_numpy_selects(case: Any) -> None:
    shape, index = case
    x = numbers(shape)
    expected = selected(x, index)
    arrays, filled = parts(index)
    if expected is None:
        with pytest.raises(ShapeError, match=r"getitem: .* got"):
            dt.tensor(x)[filled(map(dt.tensor, arrays))]
        return
    [found] = in_every_style(lambda x, *at: x[filled(at)], x, *arrays)
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(dt.getitem(x, index), expected, strict=True)


@given(cases(), st.data())
def test_writing_changes_what_numpy_changes(case: Any, data: Any) -> None:
    shape, index = case
    x = numbers(shape)
    target = selected(x, index)
    if target is None:
        return
    # A value of every shape that broadcasts to what is selected.
    sizes = [data.draw(st.sampled_from([1, n])) for n in target.shape]
    value = -numbers(sizes[data.draw(st.integers(0, len(sizes))) :])
    expected = x.copy()
    expected[index] = value
    arrays, filled = parts(index)
    [found] = in_every_style(lambda x, v, *at: dt.setitem(x, v, filled(at)), x, value, *arrays)
    np.testing.assert_array_equal(found, expected, strict=True)
    y = dt.tensor(x)
    y[filled(map(dt.tensor, arrays))] = dt.tensor(value)
    np.testing.assert_array_equal(y.array, expected, strict=True)


@given(cases())
def test_gradients_go_where_the_elements_came_from(case: Any) -> None:
    shape, index = case
    x = numbers(shape)
    target = selected(x, index)
    if target is None:
        return
    weights = np.arange(1.0, target.size + 1).reshape(target.shape)
    expected = np.zeros(shape)
    np.add.at(expected, index, weights)
    leaf = dt.tensor(x, requires_grad=True)
    w = dt.tensor(weights, requires_grad=True)
    (g,) = dt.grad(leaf[index], leaf, w, create_graph=True)
    np.testing.assert_array_equal(g.array, expected)
    (back,) = dt.grad(g, w, dt.tensor(x))
    np.testing.assert_array_equal(back.array, target)


@given(cases())
def test_what_is_overwritten_has_no_gradient_and_what_stayed_has(case: Any) -> None:
    shape, index = case
    x = numbers(shape)
    target = selected(x, index)
    if target is None:
        return
    numbered = np.full(shape, -1)
    numbered[index] = np.arange(target.size).reshape(target.shape)
    weights = np.arange(1.0, x.size + 1).reshape(shape)
    leaf = dt.tensor(x, requires_grad=True)
    value = dt.tensor(-target, requires_grad=True)
    y = dt.setitem(leaf, value, index)
    of_x, of_value = dt.grad(y, [leaf, value], dt.tensor(weights))
    np.testing.assert_array_equal(of_x.array, np.where(numbered < 0, weights, 0))
    # Of values that were written to one place only the last has stayed there.
    stayed = np.zeros(target.size)
    stayed[numbered[numbered >= 0]] = weights[numbered >= 0]
    np.testing.assert_array_equal(of_value.array, stayed.reshape(target.shape))


INDICES: dict[str, Any] = {
    "rows": np.array([2, 0, 2]),
    "columns": (slice(None), np.array([1, 1])),
    "points": (np.array([0, 2, 0]), np.array([1, -1, 1])),
    "separated": (np.array([0, 1]), slice(None), np.array([1, 0])),
    "grid": (np.array([[0], [2]]), np.array([1, 1])),
    "mask": np.arange(24).reshape(3, 4, 2) % 3 == 0,
    "mask of rows": (np.array([True, False, True]), 1),
    "slice and array": (slice(0, 2), None, np.array([3, 3])),
}


@pytest.mark.parametrize("name", INDICES)
def test_gradients_are_slopes_to_second_order(name: str) -> None:
    index, x = INDICES[name], numbers((3, 4, 2))
    v = -numbers(x[index].shape)
    assert dt.gradcheck(lambda x: x[index] ** 2, x, order=2)
    assert dt.gradcheck(lambda x, v: dt.setitem(x, v, index) ** 2, [x, v], order=2)


@pytest.mark.parametrize("name", INDICES)
def test_adding_in_place_is_that_of_numpy(name: str) -> None:
    index, x = INDICES[name], numbers((3, 4, 2))
    y = dt.tensor(x)
    y[index] += 1.5
    x[index] += 1.5
    np.testing.assert_array_equal(y.array, x)


def test_adding_in_place_is_recorded() -> None:
    x = dt.tensor(numbers((3, 2)), requires_grad=True)
    y = x * 1.0
    y[np.array([0, 2])] += x[:1] * 3.0
    (g,) = dt.grad(dt.sum(y), x)
    np.testing.assert_array_equal(g.array, [[7, 7], [1, 1], [1, 1]])


# -- masks in graphs ---------------------------------------------------------------------------

_MASK = np.array([[True, False, True], [False, False, True]])
CHOICES: dict[str, Any] = {
    "a number": (lambda m: m, -1.0),
    "a value": (lambda m: m, np.array(-1.0)),
    "a value per element behind it": (lambda m: (m[:, 0],), -np.arange(3.0)),
    "a value of size 1": (lambda m: m, np.array([-1.0])),
    "behind a slice": (lambda m: (slice(None), m[0]), -np.arange(2.0)[:, None]),
    "behind a number": (lambda m: (1, m[0]), -1.0),
    "before a number": (lambda m: (m[:, 0], 2), -1.0),
    "separated from a number": (lambda m: (0, slice(None), m[:, 0]), -np.arange(3.0)),
    "beside a new axis": (lambda m: (None, m), -1.0),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_graph_writes_by_a_mask_that_it_is_fed(name: str) -> None:
    index, value = CHOICES[name]
    x = numbers((2, 3, 2)) if name == "separated from a number" else numbers((2, 3))
    expected = x.copy()
    expected[index(_MASK)] = value
    [found] = in_every_style(lambda x, m: dt.setitem(x, value, index(m)), x, _MASK)
    np.testing.assert_array_equal(found, expected, strict=True)


def test_values_are_cast_as_numpy_casts_them() -> None:
    x = np.arange(3)
    for value in (7.75, np.array(7.75), True, np.float32(2.5)):
        for index in (1, [1], x == 1):
            y, expected = dt.tensor(x), x.copy()
            y[index] = value
            expected[index] = value
            np.testing.assert_array_equal(y.array, expected, strict=True)


@pytest.mark.parametrize("index", [lambda x: x > 1.5, lambda x: (x[:, 0] > 1.5, 0)])
def test_a_graph_cannot_read_by_a_mask_that_it_computes(index: Any) -> None:
    for function in (
        lambda x: x[index(x)],
        lambda x: dt.setitem(x, np.array([1.0, 2.0, 3.0]), index(x)),
    ):
        with dt.static.Graph() as g:
            x = g.placeholder("x", (3, 2), "float64")
            with pytest.raises(StaticValueError, match="a shape that depends on data is eager's"):
                function(x)
        with pytest.raises(StaticValueError, match="a shape that depends on data is eager's"):
            dt.compile(function)(dt.tensor(numbers((3, 2))))


# -- numbers that are data ---------------------------------------------------------------------


def test_a_0d_tensor_is_read_when_it_is_used() -> None:
    x, at = dt.tensor(numbers((3, 2))), dt.tensor(0)
    for i in (0, 2, -1):
        at[...] = i
        np.testing.assert_array_equal(x[at].array, x.array[i])
        np.testing.assert_array_equal(x[1:, at % 2].array, x.array[1:, i % 2])
        np.testing.assert_array_equal(x[:, at % 2 : 2].array, x.array[:, i % 2 : 2])


def test_a_graph_takes_an_index_anew_in_each_run() -> None:
    x = numbers((3, 2))
    with dt.static.Graph() as g:
        at = g.placeholder("at", (), "int64")
        program = g.compile([g.constant(x)[at], dt.setitem(x, 0.0, (at, 1))])
    for i in (0, 2, -1):
        read, written = program.run({"at": np.array(i)})
        np.testing.assert_array_equal(read, x[i])
        expected = x.copy()
        expected[i, 1] = 0
        np.testing.assert_array_equal(written, expected)


# -- symbolic axes -----------------------------------------------------------------------------

SYMBOLIC: dict[str, Any] = {
    "from": lambda x: x[1:], "to": lambda x: x[:-1], "last": lambda x: x[-2:],
    "between": lambda x: x[1:-1], "first": lambda x: x[:2], "reversed": lambda x: x[::-1],
    "row": lambda x: x[-1], "rows": lambda x: x[[0, -1, 0]], "whole": lambda x: x[:, 1],
    "written": lambda x: dt.setitem(x, 7.0, slice(1, None)),
    "written rows": lambda x: dt.setitem(x, 7.0, [0, -1]),
    "masked": lambda x: dt.setitem(x, 7.0, x > 1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", SYMBOLIC)
def test_a_symbolic_axis_is_indexed_as_any_other(name: str) -> None:
    function = SYMBOLIC[name]
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 3), "float64")
        y = function(x)
        (slope,) = dt.grad(dt.sum(y * y), x)
    program = g.compile([y, slope])
    for n in (2, 5):
        array = numbers((n, 3))
        leaf = dt.tensor(array, requires_grad=True)
        expected = function(leaf)
        (wanted,) = dt.grad(dt.sum(expected * expected), leaf)
        for found, e in zip(program.run({"x": array}), (expected.array, wanted.array)):
            np.testing.assert_array_equal(found, e, strict=True)


def test_an_axis_that_turns_out_too_short_for_a_slice_is_an_error() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 3))
        program = g.compile(x[:4])
    with pytest.raises(ShapeError, match=r"getitem: .* n=2, got \(2, 3\)"):
        program.run({"x": np.zeros((2, 3), np.float32)})


def test_a_symbolic_axis_takes_no_other_steps() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 3))
        with pytest.raises(ShapeError, match="a symbolic axis takes start:stop and ::-1 slices"):
            x[::2]


# -- errors ------------------------------------------------------------------------------------

_WIDE = np.array([0, 5])
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "too many": ((0, _WIDE, 0), ShapeError, "too many indices for 2 axes, got 3"),
    "too many of a mask": (
        (np.ones((2, 3), bool), _WIDE), ShapeError, "too many indices for 2 axes, got 3"
    ),
    "two ellipses": ((..., [0], ...), ShapeError, "at most one ellipsis, got 2"),
    "shapes": (([0, 1], [0, 1, 2]), ShapeError, r"must broadcast, got \(2,\) and \(3,\)"),
    "floats": (([0.5],), DTypeError, "must be integers or bools, got float32"),
    "text": (("a", [0]), ShapeError, "an index must be whole numbers, .* got str"),
    "ragged": (([[0], [0, 1]],), DTypeError, "nested lists must be of equal length"),
    "mask": (np.ones(3, bool), ShapeError, r"axes it selects from, got \(3,\) for \(2,\)"),
    "mask behind": (
        (slice(None), np.ones(2, bool)), ShapeError, r"selects from, got \(2,\) for \(3,\)"
    ),
    "number": ((5, [0]), ShapeError, "an index must be in -2..1 on axis 0, got 5"),
    "array": (([0], _WIDE), RangeError, "must be in -3..2 on axis 1 of size 3, got 5"),
    "array below": (-_WIDE, RangeError, "must be in -2..1 on axis 0 of size 2, got -5"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_index_is_refused_by_every_style(name: str) -> None:
    index, error, match = REFUSED[name]
    x = numbers((2, 3))
    for function in (lambda x: dt.getitem(x, index), lambda x: dt.setitem(x, 0.0, index)):
        for run in (
            function,
            lambda x, f=function: f(dt.tensor(x)),
            lambda x, f=function: dt.compile(f)(dt.tensor(x)),
            lambda x, f=function: _in_graph(f, x),
        ):
            with pytest.raises(error, match=match):
                run(x)


def _in_graph(function: Any, x: np.ndarray) -> Any:
    with dt.static.Graph() as g:
        y = function(g.placeholder("x", x.shape, x.dtype))
    return g.compile(y).run({"x": x})


def test_an_index_error_is_one() -> None:
    x = dt.tensor(numbers((2, 3)))
    for index in (5, (0, 0, 0), [5], np.ones(3, bool)):
        with pytest.raises(IndexError):
            x[index]


UNFIT: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "values": ([0, 1], np.zeros(2), ShapeError, "must broadcast"),
    "values with an axis too many": ([0, 1], np.zeros((1, 2, 3)), ShapeError, r"got \(1, 2, 3\)"),
    "chosen values": (
        np.array([True, False]), np.zeros((1, 2)), ShapeError, r"setitem: .* got \(2,\) and \(3,\)"
    ),
    "imaginary": (np.array([True, False]), 1j, DTypeError, "setitem: value must be real"),
    "imaginary values": ([0], np.zeros(3, complex), DTypeError, "value must be real"),
    "text": ([0], "a", DTypeError, "setitem: operands must be tensors, arrays or numbers, got str"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_a_wrong_value_is_refused(name: str) -> None:
    index, value, error, match = UNFIT[name]
    x = dt.tensor(numbers((2, 3)))
    before = x.array.copy()
    with pytest.raises(error, match=match):
        x[index] = value
    np.testing.assert_array_equal(x.array, before)


def test_a_number_must_fit() -> None:
    x = dt.tensor(np.zeros(2, np.uint8))
    for index in (0, [0], np.array([True, False])):
        with pytest.raises(DTypeError, match="a number must fit the dtype uint8, got 300"):
            x[index] = 300


def test_only_what_can_change_is_assigned_to() -> None:
    leaf = dt.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TapeError, match="setitem: a leaf that records must not change"):
        leaf[[0]] = 0.0
    with pytest.raises(TapeError, match="setitem: only writeable memory"):
        dt.broadcast_to(dt.tensor(1.0), (2,))[[0]] = 0.0
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        with pytest.raises(GraphError, match="setitem: a static value cannot change in place"):
            x[[0]] = 0.0
        state = dt.Parameter(np.zeros(2), requires_grad=False)
        for index in (0, [0], slice(None)):
            with pytest.raises(GraphError, match=r"cannot change while a graph is built of it"):
                state[index] = 1.0
        with pytest.raises(GraphError, match=r"cannot change while a graph is built of it"):
            state += 1.0


# -- views -------------------------------------------------------------------------------------

VIEWS: dict[str, Any] = {
    "basic": lambda x: x[1:, ::-1, None],
    "flip": lambda x: dt.flip(x, axis=0),
    "unstack": lambda x: dt.unstack(x, axis=1)[0],
    "split": lambda x: dt.split(x, 3)[1],
    "moveaxis": lambda x: dt.moveaxis(x, 0, 1),
    "swapaxes": lambda x: dt.swapaxes(x, 0, 1),
    "flatten": dt.flatten,
    "expand_dims": lambda x: dt.expand_dims(x, (0, 2)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_changes_in_a_view_changes_in_its_base(name: str) -> None:
    x = dt.tensor(np.zeros((3, 4)))
    view = VIEWS[name](x)
    assert np.shares_memory(view.array, x.array)
    view[...] = 1.0
    assert x.array.sum() == view.size
    assert x.storage.version == 1


def test_index_arrays_copy() -> None:
    x = dt.tensor(np.zeros((3, 4)))
    for index in ([0], (slice(None), [1, 2]), np.ones((3, 4), bool), dt.tensor(1)):
        y = x[index]
        y[...] = 1.0
    assert not x.array.any()


# -- recorded changes of views -----------------------------------------------------------------


def _rows(y: Any, x: Any) -> Any:
    y[0] += x[1]
    return y, y[0]


def _part(y: Any, x: Any) -> Any:
    view = y[:, 1:3]
    view[...] = x[:, :2]
    view += x[:, 2:]
    return y, view


def _turned(y: Any, x: Any) -> Any:
    view = dt.permute_dims(y)
    view[0] += 1.0
    row = view[1]
    row *= 3.0
    return y, row, view


def _reshaped(y: Any, x: Any) -> Any:
    view = dt.squeeze(dt.reshape(y, (2, 1, 6))[None], axis=2)
    view[0, 1, 2:4] -= x[0, 0]
    return y, view


def _of_constants(y: Any, x: Any) -> Any:
    base = dt.zeros(y.shape, dtype="float64")
    view = base[1:]
    view += x[1:]
    return base, view


CHANGES = {f.__name__: f for f in (_rows, _part, _turned, _reshaped, _of_constants)}


@pytest.mark.parametrize("name", CHANGES)
def test_a_recorded_change_of_a_view_is_one_of_its_base(name: str) -> None:
    change, x = CHANGES[name], numbers((3, 4))
    assert dt.gradcheck(lambda x: [y * y for y in change(x * 2.0, x)], x, order=2)
    base, *views = change(dt.tensor(x) * 2.0, dt.tensor(x))
    assert all(np.shares_memory(base.array, view.array) for view in views)


def test_what_cannot_change_through_a_view_says_so() -> None:
    x = dt.tensor(numbers((2, 3)), requires_grad=True)
    row = x[0]
    with pytest.raises(TapeError, match="add: a leaf that records must not change in place"):
        row += 1.0
    cut = dt.stop_gradient(x * 2.0)
    with pytest.raises(TapeError, match=r"recorded change .* got a view by stop_gradient; assign"):
        cut += x
    y = x * 2.0
    one, other = y[0], y[1]
    one += 1.0
    with pytest.raises(TapeError, match="view: its base must not change in place after"):
        other += 1.0
