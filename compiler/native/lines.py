"""What goes along one axis as calls of the library: running sums, recurrences, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...graphs.dtypes import FLOAT32, FLOAT64, INT64
from ...graphs.ir import Node
from ...graphs.kernels.shapes.folding import folded
from ...graphs.kernels.shapes.structs import aligned, text_of
from .calling import Layouts, LibraryCall, as_first, call
from .kernel import Kernel
from .layout import Layout, order_of
from .scalars import C_TYPES, HALVES, is_float

AXES = 6  # DT_LINE_AXES in C
_ITEM_BYTES = 16  # of a key and where it is from
_CARRIED = {FLOAT32: "float", FLOAT64: "double", INT64: "64"}


def _lines(x: Layout, y: Layout, z: Layout, axis: int) -> tuple[Any, ...] | None:
    """The fields of the struct `dt_lines`; None where the other axes are too many."""
    others = [a for a in order_of(x) if a != axis]
    strides = [[layout.strides[a] for a in others] for layout in (x, y, z)]
    found = folded([x.shape[a] for a in others], strides, AXES)
    if found is None:
        return None
    steps = (layout.strides[axis] for layout in (x, y, z))
    return (found[0], x.shape[axis], *found[1], *steps)


def _takes(node: Node) -> bool:
    values = (*node.inputs, *node.outputs)
    return all(
        v.device.kind == "cpu" and 0 < v.aval.ndim <= AXES + 1 and all(v.aval.shape) for v in values
    )


# -- what is carried -------------------------------------------------------------------------


def _takes_carried(node: Node) -> bool:
    dtypes = {v.dtype for v in (*node.inputs, *node.outputs)}
    return _takes(node) and len(dtypes) == 1 and dtypes <= _CARRIED.keys()


def _running(function: str) -> Callable[[Node, Layouts, Layouts, int], Kernel | None]:
    def kernel(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
        [x], [y] = operands, results
        lines = _lines(x, y, y, node.attrs["axis"])
        initial = str(int(node.attrs["include_initial"]))
        return call(
            node, f"dt_{function}_{_CARRIED[x.dtype]}", "dt_lines",
            None if lines is None else text_of(*lines), operands, results,
            (initial, "p0", "q0"), threads=threads,
        )  # fmt: skip

    return kernel


def _recurrence(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    [a, b], [y] = operands, results
    lines = _lines(b, y, a, node.attrs["axis"])
    return call(
        node, f"dt_recurrence_{_CARRIED[y.dtype]}", "dt_lines",
        None if lines is None else text_of(*lines), operands, results, ("p0", "p1", "q0"),
        threads=threads,
    )  # fmt: skip


# -- order -----------------------------------------------------------------------------------


def _takes_order(node: Node) -> bool:
    [x] = node.inputs
    known = x.dtype in C_TYPES and x.dtype not in HALVES
    return _takes(node) and known and x.aval.shape[node.attrs["axis"]] < 1 << 32


def _sorted(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    [x], attrs = operands, node.attrs
    axis = attrs["axis"]
    y, z = (results[0], results[-1]) if node.op.name != "argsort" else (results[0], results[0])
    lines = _lines(x, y, z, axis)
    if lines is None:
        return None
    kind = "FLOATING" if is_float(x.dtype) else "SIGNED" if x.dtype.kind == "i" else "UNSIGNED"
    room = aligned(2 * _ITEM_BYTES * x.shape[axis])
    descending = attrs["largest"] if node.op.name == "topk" else attrs["descending"]
    shape = text_of(lines, f"DT_{kind}", y.shape[axis], int(descending), room)
    given = {"sort": ("q0", "0"), "argsort": ("0", "q0"), "topk": ("q0", "q1")}[node.op.name]
    return call(
        node, f"dt_sort_{8 * x.dtype.itemsize}", "dt_order", shape, operands, results,
        ("p0", *given), room * threads, threads=threads,
    )  # fmt: skip


LINES: dict[str, LibraryCall] = {
    "argsort": LibraryCall(_takes_order, _sorted, as_first),
    "cumulative_prod": LibraryCall(_takes_carried, _running("running_product"), as_first),
    "cumulative_sum": LibraryCall(_takes_carried, _running("running_sum"), as_first),
    "linear_recurrence": LibraryCall(_takes_carried, _recurrence, as_first),
    "sort": LibraryCall(_takes_order, _sorted, as_first),
    "topk": LibraryCall(_takes_order, _sorted, as_first),
}
