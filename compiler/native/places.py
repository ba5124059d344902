"""Elements at indices as calls of the library: looked up, put and added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...graphs.dtypes import FLOAT32, FLOAT64, is_integer
from ...graphs.ir import CONSTANT, Node, Value
from ...graphs.kernels.shapes.folding import folded
from ...graphs.kernels.shapes.tables import AXES, KEYS, Places
from .buffers import Constant
from .calling import Layouts, LibraryCall, call
from .copies import as_words
from .kernel import Kernel
from .layout import Layout, broadcast, dense_strides, order_of

Strides = tuple[int, ...]


@dataclass
class _Places:
    """How values, an array and indices go together, axis by axis of the values.

    Attributes
    ----------
    shape : tuple of int
        Of the values.
    values, array, indices : tuple of int
        Strides: of the array 0 where indices alone say, of the indices 0 where they do not change.
    type : numpy.dtype
        Of the indices.
    keys : list of (int, int)
        Length and stride of each axis of the array that has indices.
    apart : int
        From the indices of one such axis to those of the next.
    """

    shape: tuple[int, ...]
    values: Strides
    array: Strides
    indices: Strides
    type: np.dtype
    keys: list[tuple[int, int]]
    apart: int = 0

    def described(self, counts_back: bool, ignored: int, count: int) -> Places | None:
        """How C is told; None where the axes are too many."""
        order = self._order()
        sizes = [self.shape[a] for a in order]
        each = [[x[a] for a in order] for x in (self.values, self.array, self.indices)]
        # Elements that follow each other in both are moved together.
        is_row = bool(order) and [x[-1] for x in each] == [1, 1, 0]
        width = sizes.pop() if is_row else 1
        found = folded(sizes, [x[: len(sizes)] for x in each], AXES)
        if found is None:
            return None
        size, (values, array, indices) = found
        lengths, steps = zip(*self.keys)
        return Places(
            size, width, values, array, indices, f"DT_{self.type.name.upper()}",
            len(self.keys), self.apart, lengths, steps, counts_back, ignored, count,
        )  # fmt: skip

    def _order(self) -> list[int]:
        """The axes as they lie in memory, but those that indices go along in their own order: of
        several values for one place the last one counts."""
        steps = [abs(v) or abs(a) for v, a in zip(self.values, self.array)]
        order = sorted(range(len(steps)), key=lambda axis: -steps[axis])
        own = iter(sorted(axis for axis in order if self.array[axis] == 0))
        return [next(own) if self.array[axis] == 0 else axis for axis in order]


def _along(values: Layout, array: Layout, indices: Layout, axis: int) -> _Places:
    """Each value has an index of its own along an axis; other axes go together, or broadcast."""
    steps = broadcast(array, values.shape).strides
    return _Places(
        values.shape,
        values.strides,
        tuple(0 if a == axis else step for a, step in enumerate(steps)),
        broadcast(indices, values.shape).strides,
        indices.dtype,
        [(array.shape[axis], array.strides[axis])],
    )


def _across(
    values: Layout, array: Layout, indices: Layout, axes: Sequence[int], at: int
) -> _Places:
    """Indices in a row for each of several axes; their own axes stand at `at` in the values."""
    own = indices.strides[1:]
    rest = [step for a, step in enumerate(array.strides) if a not in axes]
    nothing = [0] * len(rest)
    return _Places(
        values.shape,
        values.strides,
        (*rest[:at], *[0] * len(own), *rest[at:]),
        (*nothing[:at], *own, *nothing[at:]),
        indices.dtype,
        [(array.shape[a], array.strides[a]) for a in axes],
        indices.strides[0],
    )


# -- which values go with which indices ------------------------------------------------------


def _in_slices(attrs: Any, values: Layout, array: Layout, indices: Layout) -> _Places:
    axis = attrs.get("axis", 0)  # a table has rows
    row = replace(indices, shape=(1, *indices.shape), strides=(0, *indices.strides))
    return _across(values, array, row, (axis,), axis)


def _in_rows(attrs: Any, values: Layout, array: Layout, indices: Layout) -> _Places:
    return _across(values, array, indices, attrs["axes"], attrs["at"])


def _in_lines(attrs: Any, values: Layout, array: Layout, indices: Layout) -> _Places:
    # One index holds for both halves of numbers that are too long for C.
    more = len(array.shape) - len(indices.shape)
    shape, strides = (*indices.shape, *[1] * more), (*indices.strides, *[0] * more)
    # What `one_hot` makes has an axis more than its indices, and these go along it.
    axis = attrs.get("axis", len(indices.shape) - 1)
    return _along(values, array, replace(indices, shape=shape, strides=strides), axis)


def _selected(attrs: Any, array: Layout, indices: Layout) -> tuple[int, ...]:
    """The shape of the values that indices select."""
    if "axes" in attrs:
        rest, at = [n for a, n in enumerate(array.shape) if a not in attrs["axes"]], attrs["at"]
        return (*rest[:at], *indices.shape[1:], *rest[at:])
    axis, more = attrs["axis"], len(array.shape) - len(indices.shape)
    shapes = array.shape, (*indices.shape, *[1] * more)
    others = np.broadcast_shapes(*((*s[:axis], 1, *s[axis + 1 :]) for s in shapes))
    return (*others[:axis], indices.shape[axis], *others[axis + 1 :])


# -- kernels ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Operator:
    """An operator on elements at indices.

    Attributes
    ----------
    places : callable
        From its attributes and the layouts of values, array and indices.
    indices : int
        Which operand these are.
    counts_back : bool
        Whether -1 is the last.
    """

    places: Callable[[Any, Layout, Layout, Layout], _Places]
    indices: int = 1
    counts_back: bool = True


_OPERATORS = {
    "add_along_axis": _Operator(_in_lines),
    "bincount": _Operator(_in_lines, indices=0, counts_back=False),
    "embedding": _Operator(_in_slices, indices=0, counts_back=False),
    "embedding_grad": _Operator(_in_slices, counts_back=False),
    "index": _Operator(_in_rows),
    "index_add": _Operator(_in_rows),
    "index_put": _Operator(_in_rows, indices=2),
    "one_hot": _Operator(_in_lines, indices=0, counts_back=False),
    "put_along_axis": _Operator(_in_lines),
    "scatter_add": _Operator(_in_slices),
    "take": _Operator(_in_slices),
    "take_along_axis": _Operator(_in_lines),
}


def _call(
    node: Node, function: str, values: Layout, array: Layout, indices: Layout, operands: Layouts,
    result: Layout, threads: int, nothing: bool = False, ignored: int = -1,
) -> Kernel | None:  # fmt: skip
    """A call on operands in their order; with `nothing` before them, and an index to ignore."""
    operator = _OPERATORS[node.op.name]
    count = array.size if array is result else 0
    places = operator.places(node.attrs, values, array, indices)
    shape = places.described(operator.counts_back, ignored, count)
    arguments = [*(["0"] if nothing else []), *(f"p{i}" for i in range(len(operands))), "q0"]
    return call(
        node, function, "dt_places", shape, operands, (result,), arguments, waits=count > 0,
        refuses=_refused(node) is not None, threads=threads,
    )  # fmt: skip


def _apart(node: Node, operands: Layouts) -> tuple[Layout, list[Layout]]:
    """The indices, and the others as numbers that C has."""
    at = _OPERATORS[node.op.name].indices
    return operands[at], [as_words(x) for i, x in enumerate(operands) if i != at]


def _bits(layout: Layout) -> int:
    return 8 * layout.dtype.itemsize


def _take(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    indices, [array] = _apart(node, operands)
    values = as_words(results[0])
    return _call(
        node, f"dt_take_{_bits(values)}", values, array, indices, (array, indices), values, threads
    )


def _add(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    indices, [values] = _apart(node, operands)
    [array] = results
    if not _is_whole(array):
        return None
    if node.op.name == "bincount":
        values = broadcast(values, indices.shape)
    kind = {FLOAT32: "float", FLOAT64: "double"}.get(array.dtype, _bits(array))
    padding = node.attrs.get("padding_idx")
    return _call(
        node, f"dt_add_{kind}", values, array, indices, (values, indices), array, threads,
        ignored=-1 if padding is None else padding,
    )  # fmt: skip


def _put(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    indices, [before, values] = _apart(node, operands)
    array = as_words(results[0])
    if not _is_whole(array) or before.strides != array.strides:
        return None
    values = broadcast(values, _selected(node.attrs, array, indices))
    return _call(
        node, f"dt_put_{_bits(array)}", values, array, indices, (before, indices, values), array,
        threads,
    )  # fmt: skip


def _one_hot(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    [given], array = operands, as_words(results[0])
    if not _is_whole(array):
        return None
    indices = replace(given, shape=(*given.shape, 1), strides=(*given.strides, 0))
    one = as_words(_one(results[0].dtype))
    values = broadcast(one, (*indices.shape, *one.shape))
    return _call(
        node, f"dt_put_{_bits(array)}", values, array, indices, (indices, values), array, threads,
        nothing=True,
    )  # fmt: skip


def _one(dtype: np.dtype) -> Layout:
    number = Constant(np.ones((), dtype), "one")
    return Layout(number, dtype, (), ())


def _is_whole(layout: Layout) -> bool:
    """Whether elements follow each other in some order of the axes."""
    return layout.strides == dense_strides(layout.shape, order_of(layout))


# -- data that are refused -------------------------------------------------------------------


def _lengths(node: Node) -> tuple[int, ...]:
    """How many elements the axes have that indices go along."""
    attrs: Any = node.attrs
    for name in ("count", "length", "num_classes"):
        if name in attrs:
            return (attrs[name],)
    shape = attrs["shape"] if "shape" in attrs else node.inputs[node.op.name == "embedding"].shape
    return tuple(shape[a] for a in attrs.get("axes", [attrs.get("axis", 0)]))


def _refused(node: Node) -> Any:
    """The indices, and which are in range; None where they are constants and all of them are."""
    operator, lengths = _OPERATORS[node.op.name], _lengths(node)
    indices = node.inputs[operator.indices]
    if indices.node.op is CONSTANT:
        array = indices.node.attrs["array"]
        rows = array if "axes" in node.attrs else [array]
        least = [-n if operator.counts_back else 0 for n in lengths]
        if all(low <= r.min() and r.max() < n for r, low, n in zip(rows, least, lengths)):
            return None
    return indices, operator.counts_back, lengths


# -- the table -------------------------------------------------------------------------------


def _takes(node: Node) -> bool:
    values = (*node.inputs, *node.outputs)
    return len(_lengths(node)) <= KEYS and all(
        v.device.kind == "cpu" and v.aval.ndim <= AXES and all(v.aval.shape) for v in values
    )


def _takes_sum(node: Node) -> bool:
    dtype = node.outputs[0].dtype
    return _takes(node) and (is_integer(dtype) or dtype in (FLOAT32, FLOAT64))


def _order(value: Value, first: Layout | None) -> tuple[int, ...] | None:
    """As the first operand lies, where the result has as many axes."""
    if first is None or len(first.shape) != value.aval.ndim or value.node.op.name == "index_put":
        return None
    return order_of(first)


PLACES: dict[str, LibraryCall] = {
    name: LibraryCall(takes, kernel, _order, _refused)
    for names, takes, kernel in (
        (("embedding", "index", "take", "take_along_axis"), _takes, _take),
        (("index_put", "put_along_axis"), _takes, _put),
        (("one_hot",), _takes, _one_hot),
        (
            ("add_along_axis", "bincount", "embedding_grad", "index_add", "scatter_add"),
            _takes_sum,
            _add,
        ),
    )
    for name in names
}
