"""Nests by rows: each thread goes through rows of its own, several passes over each if need be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...graphs.ir import Node, Value
from ...graphs.kernels.shapes.structs import share
from ...graphs.ops.core import Bound
from .affine import Affine, in_shape
from .axes import Axes, address, spans_of
from .elements import Element, Reduce, Store, element_loop, printed, start_of
from .extents import Extent, most, parts
from .kernel import Access, Kernel, Shares, described, everywhere, hull, shares_of
from .layout import Layout, sizes
from .nest import Nest, vector_sums
from .scalars import C_TYPES, IN_MEMORY
from .sections import ONCE, PER_ROW

VECTOR = 16  # elements: what a thread's share of one long axis is rounded to
MOST_KEPT = 8192  # elements of a row that are kept between passes


@dataclass
class _Pass:
    """One pass over a row.

    Attributes
    ----------
    before : list
        Statements of the row that it needs.
    element : list
    reduces : list of (Reduce, Node)
        To numbers of the row.
    keeps : list of (str, str)
        Arrays with elements for later passes: type and name.
    """

    before: list[Element]
    element: list[Element]
    reduces: list[tuple[Reduce, Node]]
    keeps: list[tuple[str, str]]


class RowNest(Nest):
    """Writes the nest of a fused node without a product, row by row; see `Nest`.

    Attributes
    ----------
    kernel : Kernel
    """

    def __init__(
        self, bound: Bound, operands: Sequence[Layout], results: Sequence[Layout], threads: int
    ) -> None:
        super().__init__(bound, operands, results, threads)
        outer, inner = self.across, self.within
        self._emit(outer, inner or outer)
        if not self.reduced:  # the last loop is where vectors are
            axes = Axes(self.sizes, outer, self.offsets, "i")
            inner = axes.members[-1] if axes.members else []
            outer = [v for v in outer if v not in inner]
            self._emit(outer, inner)
        self.outer = Axes(self.sizes, outer, self.offsets, "r")
        moving = [o for o in self.offsets if o.variables & set(inner)]
        # Rows that are kept, and sums over all rows, lie without gaps.
        local = [self.column] if self.has_arrays else []
        self.inner = Axes(self.sizes, inner, [*moving, *local], "c")
        self.kernel = self._kernel()

    # -- what is computed --------------------------------------------------------------------

    def _emit(self, outer: list[str], inner: list[str]) -> None:
        self.begin(outer, inner, inner)
        per_row = self.sections.statements[PER_ROW]
        self.ends: list[tuple[Node, str]] = []
        self.passes = [self._pass(number) for number in range(self.plan.passes)]
        self.has_arrays = bool(self.ends) or any(one.keeps for one in self.passes)
        seen = len(per_row)
        per_row += self.stores(self.plan.rows, self.row_of)
        self.after = per_row[seen:]
        self.offsets = [*self.stored.values(), *(load.offset for load in self.sections.loads)]
        self.offsets.sort(key=lambda o: -len(o.variables))

    def _pass(self, number: int) -> _Pass:
        s, plan = self.sections, self.plan
        s.begin_pass()
        seen = len(s.statements[PER_ROW])
        reduces = []
        for node in plan.reductions[number]:
            name = s.pull(node.inputs[0], self.element_of(node.inputs[0]))
            reduces.append((Reduce(s.fresh(_short(node)), node.op.name, name, None, True), node))
        for node in plan.ends[number]:
            name = s.pull(node.inputs[0], self.element_of(node.inputs[0]))
            array = f"end{len(self.ends)}"
            self.ends.append((node, array))
            s.element.append(Reduce(array, node.op.name, name, self.column))
        stores = self.stores(plan.stores[number], self.element_of)
        keeps = self._keep(number) if self.reduced and most(self.columns) <= MOST_KEPT else []
        # A result may lie over an operand: all is read before any is written.
        s.element.extend(stores)
        before = s.statements[PER_ROW][seen:]
        for reduce, node in reduces:
            s.made[node.outputs[0]] = (reduce.target, PER_ROW)
        return _Pass(before, s.element, reduces, keeps)

    def _keep(self, number: int) -> list[tuple[str, str]]:
        """Keep what later passes need and what is slow to compute, where it is not stored."""
        s, arrays = self.sections, []
        for value in self.plan.dear_values(number):
            if value in self.targets:
                pointer, _ = self.targets[value][0]
                s.kept[value] = (pointer, self.stored[pointer])
                continue
            name = s.pull(value, self.element_of(value))
            array = s.fresh("row")
            s.element.append(Store(array, self.column, name))
            s.kept[value] = (array, self.column)
            arrays.append((IN_MEMORY[value.dtype], array))
        return arrays

    # -- how it is written -------------------------------------------------------------------

    def _kernel(self) -> Kernel:
        if not self.outer.sizes and not self.reduced:
            shares = self._blocks()
            walked: tuple[Axes, list[Axes]] = (self.inner, [])
            lines = self._one_axis(self._once(shares))
        else:
            shares = shares_of(self.outer.size, self.threads)
            walked = (self.outer, [self.inner])
            lines = self._rows(self._once(shares))
        lines += self._combine()
        ends = {node.outputs[0] for node, _ in self.ends}
        accesses = []
        for i, layout in enumerate(self.operands):
            spans = [spans_of(layout, o, *walked, shares) for o in self.offsets_of(f"p{i}")]
            if self.ends and f"p{i}" in self._read_once:
                spans.append(everywhere(layout, self.threads))
            accesses.append(Access(layout, False, hull(spans, self.threads)))
        for i, (value, layout) in enumerate(zip(self.body.outputs, self.results)):
            if value in ends:
                touched = everywhere(layout, self.threads)
            else:
                touched = spans_of(layout, self.stored[f"q{i}"], *walked, shares)
            accesses.append(Access(layout, True, touched))
        scratch = self.threads * sum(self.sum_bytes(node) for node, _ in self.ends)
        return described(
            self.body, self.shape, self.operands, self.results, lines, accesses, scratch,
            waits=bool(self.ends),
        )  # fmt: skip

    def _once(self, shares: Shares) -> list[str]:
        """What is read and computed before the loops, by threads that have something to do: what
        the others would read may still be written. Where all must wait for each other, all do."""
        lines = printed(self.sections.statements[ONCE], {}, "")
        if self.ends or all(one is not None and one[0] < one[1] for one in shares):
            return lines
        if not self.outer.loops and not self.inner.loops:  # a single number
            return ["if (thread < team->threads - 1) return;", *lines]
        return ["if (begin >= end) return;", *lines] if self._read_once else lines

    @property
    def _read_once(self) -> set[str]:
        """The pointers that are read before the loops."""
        return {load.pointer for load in self.sections.loads if load.level == ONCE}

    def _blocks(self) -> Shares:
        """Per thread its share of one long axis, in whole vectors."""
        size = self.inner.size
        if isinstance(size, Extent):
            return [None] * self.threads
        vectors = (share(parts(size, VECTOR), t, self.threads) for t in range(self.threads))
        return [(min(begin * VECTOR, size), min(end * VECTOR, size)) for begin, end in vectors]

    def _one_axis(self, once: list[str]) -> list[str]:
        [one] = self.passes
        size, vectors = self.inner.size, parts(self.inner.size, VECTOR)
        if not self.inner.loops:
            return [*once, *printed([*one.before, *one.element], {}, "")]
        loop = self.inner.loops[0]
        return [
            f"dt_int begin, end = dt_share(team, thread, {vectors}, &begin) * {VECTOR};",
            f"begin *= {VECTOR};",
            f"if (end > {size}) end = {size};",
            *once,
            *element_loop([*one.before, *one.element], loop, "begin", "end", self.inner.names),
        ]

    def _rows(self, once: list[str]) -> list[str]:
        lines = []
        offset = 0
        for node, array in self.ends:
            dtype, room = node.outputs[0].dtype, self.sum_bytes(node)
            kind, start = C_TYPES[dtype], start_of(node.op.name, dtype)
            lines += [
                f"{kind} *{array} = ({kind} *)(scratch + {offset} + thread * {room});",
                f"for (dt_int c = 0; c < {self.columns}; ++c) {array}[c] = {start};",
            ]
            offset += self.threads * room
        names = self.outer.names
        inside = [line for one in self.passes for line in self._pass_text(one, names)]
        inside += printed(self.after, names, "")
        split = self.outer.split("row") if self.outer.loops else []
        return [
            *lines,
            f"dt_int begin, end = dt_share(team, thread, {self.outer.size}, &begin);",
            *once,
            "for (dt_int row = begin; row < end; ++row) {",
            *(f"    {line}" for line in (*split, *inside)),
            "}",
        ]

    def _pass_text(self, one: _Pass, outer: dict[str, str]) -> list[str]:
        sums = vector_sums((reduce, node.outputs[0].dtype) for reduce, node in one.reduces)
        statements = [*one.element, *(reduce for reduce, _ in one.reduces)]
        return [
            *printed(one.before, outer, ""),
            *(f"{kind} {array}[{most(self.columns)}];" for kind, array in one.keeps),
            *sums.before,
            *self.inner.walk(statements, {**outer, **self.inner.names}, sums.marks),
            *sums.after,
        ]

    def _combine(self) -> list[str]:
        """Put together what each thread has added up over its rows."""
        if not self.ends:
            return []
        lines = ["dt_barrier(team);", f"end = dt_share(team, thread, {self.columns}, &begin);"]
        offset = 0
        for node, _ in self.ends:
            [value] = node.outputs
            kind = C_TYPES[value.dtype]
            lines += [
                "for (dt_int c = begin; c < end; ++c) {",
                f"    const {kind} *part = (const {kind} *)(scratch + {offset});",
                *(f"    {line}" for line in self.sum_of_threads(node, "part")),
                *(f"    {line}" for line in self._stored_column(value)),
                "}",
            ]
            offset += self.threads * self.sum_bytes(node)
        return lines

    def _stored_column(self, value: Value) -> list[str]:
        at = in_shape((Affine.of("c"),), (self.columns,), sizes(value.aval))
        return [
            f"{pointer}[{address(at, layout.strides).text({'c': 'c'})}] = total;"
            for pointer, layout in self.targets[value]
        ]


def _short(node: Node) -> str:
    return "sum" if node.op.name == "sum_to" else node.op.name
