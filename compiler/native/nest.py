"""Loop nests: the loops of a fused node, from its body, printed as C.

The body says what one element is. Its operands and results have layouts, so an element's address is
an affine function of the loops' variables; axes that lie without gaps in all of them become one.
A value of the whole domain that several passes over a row need is computed again or kept, by what
is quicker. Rows (or, of a sum over rows, partial sums) are spread over the threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...graphs.ir import Graph, Node, Value
from ...graphs.kernels.shapes.structs import LINE, aligned
from ...graphs.ops.core import Bound
from .affine import ZERO, Affine, in_shape
from .axes import address, dense_index
from .elements import Reduce, Store, reduction, start_of
from .extents import most
from .layout import Layout, sizes
from .plan import Plan
from .scalars import C_TYPES
from .sections import Index, Sections


class Nest:
    """What both ways of going through a domain share; see `RowNest` and `ColumnNest`.

    Parameters
    ----------
    bound : Bound
        Of a fused node without a product.
    operands, results : sequence of Layout
    threads : int
        How many run the step.

    Attributes
    ----------
    index : tuple of Affine
        The element of the domain where the loops are.
    column : Affine
        Its number among those of the columns.
    columns : int
        How many these are.
    stored : dict
        From the pointer of each result to the offset at which the loops store.
    """

    column: Affine
    columns: int

    def __init__(
        self, bound: Bound, operands: Sequence[Layout], results: Sequence[Layout], threads: int
    ) -> None:
        attrs = bound.attrs
        self.body: Graph = attrs["bodies"][0]
        self.shape: tuple[int, ...] = attrs["domain"]
        self.reduced: tuple[int, ...] = attrs["reduced"] or ()
        self.plan = Plan(self.body, attrs["kinds"])
        self.operands, self.results, self.threads = operands, results, threads
        names = [f"v{axis}" for axis in range(len(self.shape))]
        self.sizes = dict(zip(names, self.shape))
        self.index: Index = tuple(map(Affine.of, names))
        self.within = [v for axis, v in enumerate(names) if axis in self.reduced]
        self.across = [v for axis, v in enumerate(names) if axis not in self.reduced]
        self.targets: dict[Value, list[tuple[str, Layout]]] = {}
        for i, (value, layout) in enumerate(zip(self.body.outputs, self.results)):
            self.targets.setdefault(value, []).append((f"q{i}", layout))

    def begin(self, outer: Iterable[str], inner: Iterable[str], columns: Sequence[str]) -> None:
        """Begin to pull code, for loops over these variables."""
        self.sections = Sections(self.body, self.operands, outer, inner)
        self.column = dense_index(columns, self.sizes)
        self.columns = math.prod(self.sizes[v] for v in columns)
        self.stored: dict[str, Affine] = {}

    def element_of(self, value: Value) -> Index:
        """The element of a value of the whole domain where the loops are."""
        return in_shape(self.index, self.shape, sizes(value.aval))

    def row_of(self, value: Value) -> Index:
        """The element of a value of one number a row."""
        index = tuple(ZERO if axis in self.reduced else i for axis, i in enumerate(self.index))
        shape = tuple(1 if axis in self.reduced else n for axis, n in enumerate(self.shape))
        return in_shape(index, shape, sizes(value.aval))

    def stores(self, values: Iterable[Value], where: Callable[[Value], Index]) -> list[Store]:
        """What writes results, at the element that `where` says."""
        found = []
        for value in values:
            index = where(value)
            name = self.sections.pull(value, index)
            for pointer, layout in self.targets[value]:
                self.stored[pointer] = address(index, layout.strides)
                found.append(Store(pointer, self.stored[pointer], name))
        return found

    def offsets_of(self, pointer: str) -> list[Affine]:
        """Where the loops read through a pointer."""
        return [load.offset for load in self.sections.loads if load.pointer == pointer]

    def sum_bytes(self, node: Node) -> int:
        """Bytes of one thread's sums for all columns: whole cache lines."""
        return max(aligned(most(self.columns) * node.outputs[0].dtype.itemsize), LINE)

    def sum_of_threads(self, node: Node, parts: str) -> list[str]:
        """Lines that give ``total``: column ``c`` of what all threads have added up at `parts`."""
        dtype = node.outputs[0].dtype
        kind, step = C_TYPES[dtype], self.sum_bytes(node) // dtype.itemsize
        return [
            f"{kind} total = {parts}[c];",
            f"for (int t = 1; t < {self.threads}; ++t) {{",
            f"    const {kind} other = {parts}[c + t * {step}];",
            f"    {reduction(Reduce('total', node.op.name, 'other'), {})}",
            "}",
        ]


@dataclass
class VectorSums:
    """Reductions to numbers, in vectors.

    Attributes
    ----------
    before, after : list of str
        Lines around the loop.
    marks : str
        What the loop's pragma says.
    """

    before: list[str]
    marks: str
    after: list[str]


def vector_sums(reduces: Iterable[tuple[Reduce, np.dtype]]) -> VectorSums:
    """What stands around a loop that reduces elements of some dtypes to numbers."""
    before, after = [], []
    clauses: dict[str, list[str]] = {}
    for reduce, dtype in reduces:
        target = reduce.target
        before.append(f"{C_TYPES[dtype]} {target} = {start_of(reduce.how, dtype)};")
        clauses.setdefault(reduce.clause, []).append(target)
        if reduce.is_extreme:
            before.append(f"int {target}_nan = 0;")
            clauses.setdefault("|", []).append(f"{target}_nan")
            if dtype.kind == "f":
                after.append(f'if ({target}_nan) {target} = __builtin_nan("");')
    marks = "".join(f" reduction({s}:{', '.join(t)})" for s, t in clauses.items())
    return VectorSums(before, marks, after)
