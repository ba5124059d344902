"""How an operator becomes a call of the library of native kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...graphs.ir import Node, Value
from ...graphs.kernels.shapes.structs import Struct
from .kernel import Access, Kernel, Packing, everywhere, parameters, times
from .layout import Layout, order_of
from .scalars import C_TYPES, is_float

Layouts = Sequence[Layout]


@dataclass(frozen=True)
class LibraryCall:
    """How an operator becomes a call.

    Attributes
    ----------
    takes : callable
        Whether the library computes a node, by its avals and attributes.
    kernel : callable
        From the node, the layouts of its operands and results and the number of threads to a
        kernel; None where it cannot read an operand as it lies.
    order : callable
        From a result and the layout of the first operand, where it has one by now, to the axes
        from slow to fast as the kernel likes them; None for any.
    refuses : callable
        From a node to what is said of the data that its kernel refuses: nodes of which the same is
        said refuse the same data, and those of which it is None refuse none.
    packing : callable or None
        From the node, the layout of its second operand and the number of threads to how this
        operand is packed, which is then what the kernel takes.
    over : int or None
        The operand over which the first result can be computed if it lies alike: a thread reads
        what it overwrites itself, before.
    """

    takes: Callable[[Node], bool]
    kernel: Callable[[Node, Layouts, Layouts, int], Kernel | None]
    order: Callable[[Value, Layout | None], tuple[int, ...] | None] = lambda value, first: None
    refuses: Callable[[Node], Any] = lambda node: node
    packing: Callable[[Node, Layout, int], Packing] | None = None
    over: int | None = None


def call(
    node: Node,
    function: str,
    struct: str,
    shape: Struct | str | None,
    operands: Layouts,
    results: Layouts,
    arguments: Sequence[str],
    scratch: int = 0,
    waits: bool = False,
    refuses: bool = False,
    threads: int = 1,
    apart: bool = False,
) -> Kernel | None:
    """A kernel that calls one function of the library, with its shape as a constant; None where
    there is no such shape."""
    if shape is None:
        return None
    reads = [Access(x, False, everywhere(x, threads)) for x in operands]
    writes = [Access(x, True, everywhere(x, threads)) for x in results]
    given = ", ".join(["team", "thread", "&shape", *arguments, *(["scratch"] if scratch else [])])
    text = shape if isinstance(shape, str) else shape.text()
    body = [f"static const {struct} shape = {text};", f"{function}({given});"]
    note = " -> ".join(", ".join(times(x.shape) for x in side) for side in (operands, results))
    return Kernel(
        node.op.name, f"{node.op.name}: {note}", parameters(operands, results), body,
        [*reads, *writes], scratch, waits, refuses, apart,
    )  # fmt: skip


def kind(layout: Layout) -> str:
    """What C calls the dtype of a layout."""
    return C_TYPES[layout.dtype]


def as_first(value: Value, first: Layout | None) -> tuple[int, ...] | None:
    """Axes of a result as those of the first operand lie, which keeps loops over both in order."""
    return None if first is None else order_of(first)


def are_floats(*values: Value) -> bool:
    """Whether all are float32 or all are float64, on the CPU."""
    dtypes = {v.dtype for v in values}
    return len(dtypes) == 1 and is_float(values[0].dtype) and values[0].device.kind == "cpu"
