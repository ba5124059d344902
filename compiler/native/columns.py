"""Nests by columns: where the elements that are added up lie far apart in memory.

Threads go through the domain row by row and add each row to sums of their own, one for each
column; then each thread adds up the sums of all, in the order of the threads, and goes on with
them. So memory is read as it lies, and results are the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...graphs.ir import Node
from ...graphs.kernels.shapes.structs import aligned, share
from ...graphs.ops.core import Bound
from .affine import ZERO, Affine
from .axes import Axes, spans_of
from .elements import Element, Reduce, Store, element_loop, printed, reduction, start_of
from .extents import are_open, most, parts
from .kernel import Access, Kernel, Span, described, everywhere, hull
from .layout import Layout
from .nest import Nest, vector_sums
from .plan import FULL, ROW
from .scalars import C_TYPES, IN_MEMORY
from .sections import ONCE

BLOCK = 1024  # elements that are added up in one go, of an array that is one long row


@dataclass
class _Pass:
    """One pass over all rows.

    Attributes
    ----------
    element : list
    reduces : list of (Reduce, Node)
        To a thread's own sums.
    columns : list
        Statements for each column, once its sums are known.
    """

    element: list[Element]
    reduces: list[tuple[Reduce, Node]]
    columns: list[Element]


class ColumnNest(Nest):
    """Writes the nest of a fused node whose reductions go over the slow axes; see `Nest`.

    Attributes
    ----------
    kernel : Kernel
    """

    def __init__(
        self, bound: Bound, operands: Sequence[Layout], results: Sequence[Layout], threads: int
    ) -> None:
        super().__init__(bound, operands, results, threads)
        self.arrays: list[tuple[str, str, int]] = []  # a thread's own: type, name, bytes
        self._emit()
        self.outer = Axes(self.sizes, self.within, self.offsets, "r")
        moving = [o for o in self.offsets if o.variables & set(self.across)]
        self.inner = Axes(self.sizes, self.across, [*moving, self.column], "c")
        self.kernel = self._kernel()

    # -- what is computed --------------------------------------------------------------------

    def _emit(self) -> None:
        self.begin((), self.sizes, self.across)
        # Pointers that every thread reads for all columns, and for its share of them.
        self.in_columns: set[str] = set()
        self.in_share: set[str] = set()
        self.passes = [self._pass(number) for number in range(self.plan.passes)]
        loads = self.sections.loads
        seen = len(loads)
        self.last = self._finish()
        self.last_loads = loads[seen:]
        self.in_share |= {load.pointer for load in self.last_loads}
        # What no loop moves is read once, at the beginning, and may be needed in any share.
        self.in_columns |= {load.pointer for load in loads if load.level == ONCE}
        by_rows = [x.offset for x in loads if x.offset.variables & set(self.within)]
        once = [x.offset for x in loads if not x.offset.variables & set(self.within)]
        self.offsets = [*self.stored.values(), *by_rows, *once]
        self.offsets.sort(key=lambda o: -len(o.variables))

    def _pass(self, number: int) -> _Pass:
        s = self.sections
        s.begin_pass()
        reduces = []
        for node in self.plan.reductions[number]:
            name = s.pull(node.inputs[0], self.element_of(node.inputs[0]))
            reduces.append((Reduce(f"own{node.id}", node.op.name, name, self.column), node))
        stores = self.stores(self.plan.stores[number], self.element_of)
        # A result may lie over an operand: all is read before any is written.
        element = [*s.element, *stores]
        for _, node in reduces:
            self._keep(node, f"total{node.id}")
        return _Pass(element, reduces, self._columns_after(number))

    def _keep(self, node: Node, array: str) -> None:
        """Give each thread an array of its own for a number of each column."""
        [value] = node.outputs
        nbytes = aligned(most(self.columns) * 8)
        self.arrays.append((IN_MEMORY[value.dtype], array, nbytes))
        self.sections.kept[value] = (array, self.column)

    def _columns_after(self, number: int) -> list[Element]:
        """What later passes read of each column, once the sums of a pass are known."""
        s, plan = self.sections, self.plan
        s.begin_pass()
        seen = len(s.loads)
        for node in self.body.nodes:
            is_read = any(plan.kind[user] == FULL for v in node.outputs for user in v.uses)
            is_next = plan.kind[node] == ROW and plan.level[node] == number + 1
            if is_next and is_read and not plan.is_row_sum(node):
                [value] = node.outputs
                name, array = s.pull(value, self.row_of(value)), f"column{node.id}"
                s.element.append(Store(array, self.column, name))
                self._keep(node, array)
        self.in_columns |= {load.pointer for load in s.loads[seen:]}
        return s.element

    def _finish(self) -> list[Element]:
        """What is stored of each column, by one thread."""
        s = self.sections
        s.begin_pass()
        stores = self.stores(self.plan.rows, self.row_of)
        self.in_share |= {store.pointer for store in stores}
        return [*s.element, *stores]

    # -- how it is written -------------------------------------------------------------------

    def _kernel(self) -> Kernel:
        lines = printed(self.sections.statements[ONCE], {}, "")
        shared = 0
        for one in self.passes:
            for _, node in one.reduces:
                kind, room = C_TYPES[node.outputs[0].dtype], self.sum_bytes(node)
                own, all_ = f"scratch + {shared} + thread * {room}", f"scratch + {shared}"
                lines.append(f"{kind} *own{node.id} = ({kind} *)({own});")
                lines.append(f"const {kind} *all{node.id} = ({kind} *)({all_});")
                shared += self.threads * room
        each = sum(nbytes for _, _, nbytes in self.arrays)
        offset = 0
        for kind, name, nbytes in self.arrays:
            place = f"scratch + {shared} + thread * {each} + {offset}"
            lines.append(f"{kind} *{name} = ({kind} *)({place});")
            offset += nbytes
        lines.append("dt_int begin, end;")
        for one in self.passes:
            lines += self._pass_text(one)
        lines += self._last_text()
        return described(
            self.body, self.shape, self.operands, self.results, lines, self._accesses(),
            shared + self.threads * each, waits=True,
        )  # fmt: skip

    def _pass_text(self, one: _Pass) -> list[str]:
        lines = []
        for _, node in one.reduces:
            start = start_of(node.op.name, node.outputs[0].dtype)
            lines.append(f"for (dt_int c = 0; c < {self.columns}; ++c) own{node.id}[c] = {start};")
        row = self._arrays(one) if self.inner.loops else self._numbers(one)
        lines += [
            f"end = dt_share(team, thread, {self._count}, &begin);",
            "for (dt_int row = begin; row < end; ++row) {",
            *(f"    {line}" for line in row),
            "}",
        ]
        if not one.reduces:
            return lines
        lines.append("dt_barrier(team);")
        for _, node in one.reduces:
            # Every thread adds up the sums of all of them, for itself.
            lines += [
                f"for (dt_int c = 0; c < {self.columns}; ++c) {{",
                *(f"    {line}" for line in self.sum_of_threads(node, f"all{node.id}")),
                f"    total{node.id}[c] = total;",
                "}",
            ]
        if one.columns:
            lines += self.inner.walk(one.columns, self.inner.names)
        return lines

    def _last_text(self) -> list[str]:
        if not self.last:
            return []
        read = {x.buffer for i, x in enumerate(self.operands) if f"p{i}" in self.in_columns}
        lines = []
        if any(x.buffer in read for i, x in enumerate(self.results) if f"q{i}" in self.in_share):
            lines.append("dt_barrier(team);")  # others may still read what is written now
        lines.append(f"end = dt_share(team, thread, {self._first}, &begin);")
        if not self.inner.loops:
            return [*lines, "if (begin < end) {", *printed(self.last, {}, "    "), "}"]
        return [*lines, *self.inner.walk(self.last, self.inner.names, share=("begin", "end"))]

    def _numbers(self, one: _Pass) -> list[str]:
        """A row that is added up to one number, in vectors."""
        loop, size = self.outer.loops[-1], self.outer.sizes[-1]
        if self._is_blocked:
            lines = [
                f"const dt_int from = row * {BLOCK};",
                f"const dt_int to = from + {BLOCK} < {size} ? from + {BLOCK} : {size};",
            ]
        else:
            lines = self.outer.split_all_but_last("row")
            lines.append(f"const dt_int from = 0, to = {size};")
        local = [
            (Reduce(f"sum{node.id}", reduce.how, reduce.name, None, True), node.outputs[0].dtype)
            for reduce, node in one.reduces
        ]
        sums = vector_sums(local)
        statements = [*one.element, *(reduce for reduce, _ in local)]
        totals = [
            reduction(Reduce(whole.target, whole.how, part.target, ZERO), {})
            for (whole, _), (part, _) in zip(one.reduces, local)
        ]
        return [
            *lines,
            *sums.before,
            *element_loop(statements, loop, "from", "to", self.outer.names, sums.marks),
            *sums.after,
            *totals,
        ]

    def _arrays(self, one: _Pass) -> list[str]:
        """A row that is added to an array of sums."""
        lines = self.outer.split("row") if self.outer.loops else []
        statements = [*one.element, *(reduce for reduce, _ in one.reduces)]
        return lines + self.inner.walk(statements, {**self.outer.names, **self.inner.names})

    # -- how it is shared out ----------------------------------------------------------------

    @property
    def _is_blocked(self) -> bool:
        """Whether the domain is one long row, which is cut into blocks."""
        return not self.inner.loops and len(self.outer.loops) == 1

    @property
    def _count(self) -> Any:
        """Rows to share among the threads; what is open may be a text."""
        if self._is_blocked:
            return parts(self.outer.size, BLOCK)
        if not self.inner.loops:
            return self.outer.size // self.outer.sizes[-1]
        return self.outer.size

    @property
    def _first(self) -> int:
        """What is shared out of the columns: the outermost of their loops."""
        return self.inner.sizes[0] if self.inner.sizes else 1

    def _accesses(self) -> list[Access]:
        if are_open(self.shape):
            reads = [Access(x, False, everywhere(x, self.threads)) for x in self.operands]
            return reads + [Access(x, True, everywhere(x, self.threads)) for x in self.results]
        each = self.outer.size // max(self._count, 1)  # elements of a row
        shares = self._shares(self._count, each)
        accesses = []
        for i, layout in enumerate(self.operands):
            pointer = f"p{i}"
            spans = self._spans(pointer, layout, self.offsets_of(pointer), shares)
            accesses.append(Access(layout, False, spans))
        for i, layout in enumerate(self.results):
            pointer = f"q{i}"
            spans = self._spans(pointer, layout, [self.stored[pointer]], shares)
            accesses.append(Access(layout, True, spans))
        return accesses

    def _shares(self, count: int, each: int) -> list[tuple[int, int]]:
        """Per thread its share of so many things, in their elements."""
        shares = (share(count, thread, self.threads) for thread in range(self.threads))
        return [(begin * each, end * each) for begin, end in shares]

    def _spans(
        self, pointer: str, layout: Layout, offsets: list[Affine], shares: list[tuple[int, int]]
    ) -> list[Span]:
        """Per thread the bytes that it touches through a pointer."""
        if pointer in self.in_columns:
            return everywhere(layout, self.threads)
        if pointer not in self.in_share:
            if self._is_blocked:
                return everywhere(layout, self.threads)
            spans = [spans_of(layout, o, self.outer, [self.inner], shares) for o in offsets]
            return hull(spans, self.threads)
        in_last = [x.offset for x in self.last_loads if x.pointer == pointer] or offsets
        if any(o not in in_last for o in offsets):  # it is read with the rows, too
            return everywhere(layout, self.threads)
        shares = self._shares(self._first, self.columns // max(self._first, 1))
        spans = [spans_of(layout, o, self.inner, [], shares) for o in in_last]
        return hull(spans, self.threads)
