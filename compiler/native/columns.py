"""Nests by columns: where the elements that are added up lie far apart in memory.

Threads go through the domain row by row and add each row to sums of their own, one for each
column; then each thread adds up the sums of all, in the order of the threads, and goes on with
them. So memory is read as it lies, and results are the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.core import Bound
from .affine import ZERO, Affine, in_shape
from .layout import Layout
from .nest import (
    FULL,
    ROW,
    Access,
    Axes,
    Kernel,
    Plan,
    Reduce,
    Scalars,
    Store,
    address,
    dense_index,
    described,
    element_loop,
    hull,
    printed,
    product_of,
    reduction,
    share,
    spans_of,
    start_of,
)
from .scalars import C_TYPES

BLOCK = 1024  # elements that are added up in one go, of an array that is one long row


@dataclass
class _Pass:
    element: list[object]
    reduces: list[tuple[Reduce, Node]]
    columns: list[object]  # statements for each column, once its sums are known


class ColumnNest:
    """Writes the nest of a fused node whose reductions go over the slow axes; see `RowNest`."""

    def __init__(
        self, bound: Bound, operands: Sequence[Layout], results: Sequence[Layout], threads: int
    ) -> None:
        attrs = bound.attrs
        self.body: Graph = attrs["bodies"][0]
        self.shape, self.threads = attrs["domain"], threads
        self.reduced: tuple[int, ...] = attrs["reduced"]
        self.plan = Plan(self.body, attrs["kinds"])
        self.operands, self.results = operands, results
        names = [f"v{axis}" for axis in range(len(self.shape))]
        self.sizes = dict(zip(names, self.shape))
        self.index = tuple(map(Affine.of, names))
        self.walked = [v for a, v in enumerate(names) if a in self.reduced]
        self.kept = [v for a, v in enumerate(names) if a not in self.reduced]
        self.column = dense_index(self.kept, self.sizes)
        self.columns = product_of(self.sizes[v] for v in self.kept)
        self.arrays: list[tuple[str, str, int]] = []  # type, name, elements: a thread's own
        self._emit()
        self.outer = Axes(self.sizes, self.walked, self.offsets, "r")
        within = [o for o in self.offsets if o.variables & set(self.kept)]
        self.inner = Axes(self.sizes, self.kept, [*within, self.column], "c")
        self.kernel = self._kernel()

    def _emit(self) -> None:
        pointers = {
            value: (f"p{i}", layout)
            for i, (value, layout) in enumerate(zip(self.body.placeholders.values(), self.operands))
        }
        self.scalars = s = Scalars(self.body, pointers)
        s.outer, s.inner = set(), set(self.sizes)
        self.targets: dict[Value, list[tuple[str, Layout]]] = {}
        for i, (value, layout) in enumerate(zip(self.body.outputs, self.results)):
            self.targets.setdefault(value, []).append((f"q{i}", layout))
        self.stored: dict[str, Affine] = {}
        # Pointers that every thread reads for all columns, and for its share of them.
        self.in_columns: set[str] = set()
        self.in_share: set[str] = set()
        self.passes = [self._pass(number) for number in range(self.plan.passes)]
        seen = len(s.loads)
        self.last = self._finish()
        self.last_loads = s.loads[seen:]
        # What no loop moves is read once, at the beginning, and may be needed in any share.
        self.in_columns |= {x.pointer for x in s.loads if not x.level}
        self.offsets = [
            *self.stored.values(),
            *(x.offset for x in s.loads if x.offset.variables & set(self.walked)),
            *(x.offset for x in s.loads if not x.offset.variables & set(self.walked)),
        ]
        self.offsets.sort(key=lambda o: -len(o.variables))

    def _pass(self, number: int) -> _Pass:
        s, plan = self.scalars, self.plan
        s.forget_elements()
        s.sections[2].statements = []
        reduces = []
        for node in plan.reductions[number]:
            name, _ = s.pull(node.inputs[0], self._index_of(node.inputs[0]))
            how = Reduce(f"own{node.id}", node.op.name, name, self.column)
            reduces.append((how, node))
        stores = []
        for value in plan.stores[number]:
            index = self._index_of(value)
            name, _ = s.pull(value, index)
            for pointer, layout in self.targets[value]:
                self.stored[pointer] = address(index, layout.strides)
                stores.append(Store(pointer, self.stored[pointer], name))
        # A result may lie over an operand: all is read before any is written.
        element = [*s.sections[2].statements, *stores]
        for reduce, node in reduces:
            total = f"total{node.id}"
            self.arrays.append((C_TYPES[node.outputs[0].dtype.name], total, self.columns))
            s.kept[node.outputs[0]] = (total, self.column)
        return _Pass(element, reduces, self._rows_after(number))

    def _rows_after(self, number: int) -> list[object]:
        """What later passes read of each column, once the sums of a pass are known."""
        s = self.scalars
        s.forget_elements()
        s.sections[2].statements = []
        seen = len(s.loads)
        for node in self.body.nodes:
            is_read = any(self.plan.kind[user] is FULL for v in node.outputs for user in v.uses)
            if (
                self.plan.kind[node] is ROW
                and is_read
                and not self.plan.is_reduction(node)
                and self.plan.level[node] == number + 1
            ):
                [value] = node.outputs
                name, _ = s.pull(value, self._column_of(value))
                array = f"column{node.id}"
                s.sections[2].statements.append(Store(array, self.column, name))
                self.arrays.append((C_TYPES[value.dtype.name], array, self.columns))
                s.kept[value] = (array, self.column)
        self.in_columns |= {x.pointer for x in s.loads[seen:]}
        return s.sections[2].statements

    def _finish(self) -> list[object]:
        """What is stored of each column, by one thread."""
        s = self.scalars
        s.forget_elements()
        s.sections[2].statements = []
        seen = len(s.loads)
        stores = []
        for value in self.plan.rows:
            at = self._column_of(value)
            name, _ = s.pull(value, at)
            for pointer, layout in self.targets[value]:
                self.stored[pointer] = address(at, layout.strides)
                self.in_share.add(pointer)
                stores.append(Store(pointer, self.stored[pointer], name))
        s.sections[2].statements += stores
        self.in_share |= {x.pointer for x in s.loads[seen:]}
        return s.sections[2].statements

    def _column_of(self, value: Value) -> tuple[Affine, ...]:
        index = tuple(ZERO if a in self.reduced else i for a, i in enumerate(self.index))
        shape = tuple(1 if a in self.reduced else n for a, n in enumerate(self.shape))
        return in_shape(index, shape, value.aval.shape)

    def _index_of(self, value: Value) -> tuple[Affine, ...]:
        return in_shape(self.index, self.shape, value.aval.shape)

    # -- how it is written -------------------------------------------------------------------

    def _kernel(self) -> Kernel:
        lines = printed(self.scalars.sections[0].statements, {}, "")
        shared = 0
        for one in self.passes:
            for _, node in one.reduces:
                kind, room = C_TYPES[node.outputs[0].dtype.name], self._room(node)
                lines.append(
                    f"{kind} *own{node.id} = ({kind} *)(scratch + {shared} + thread * {room});"
                )
                lines.append(f"const {kind} *all{node.id} = ({kind} *)(scratch + {shared});")
                shared += self.threads * room
        private = 0
        for kind, name, count in self.arrays:
            lines.append(
                f"{kind} *{name} = ({kind} *)(scratch + {shared} + thread * PRIVATE + {private});"
            )
            private += -(-count * 8 // 64) * 64
        lines = [line.replace("PRIVATE", str(private)) for line in lines]
        lines.append("dt_int begin, end;")
        for one in self.passes:
            lines += self._pass_text(one)
        lines += self._last_text()
        accesses = []
        each = self.outer.size // max(self._count, 1)  # numbers of a row
        parts = [share(self._count, t, self.threads) for t in range(self.threads)]
        shares = [(begin * each, end * each) for begin, end in parts]
        for i, layout in enumerate(self.operands):
            offsets = [x.offset for x in self.scalars.loads if x.pointer == f"p{i}"]
            accesses.append(Access(layout, False, self._spans(f"p{i}", layout, offsets, shares)))
        for i, layout in enumerate(self.results):
            pointer = f"q{i}"
            accesses.append(
                Access(layout, True, self._spans(pointer, layout, [self.stored[pointer]], shares))
            )
        kernel = described(self.body, self.shape, self.operands, self.results, lines, accesses)
        kernel.scratch = shared + self.threads * private
        kernel.waits = True
        return kernel

    def _spans(
        self, pointer: str, layout: Layout, offsets: list[Affine], shares: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        if pointer in self.in_columns or (self._is_blocked and pointer not in self.in_share):
            low, high = layout.span
            base = layout.offset * layout.dtype.itemsize
            return [(low - base, high - base)] * self.threads
        if pointer in self.in_share:
            rest = self.columns // max(self._first, 1)
            parts = [share(self._first, t, self.threads) for t in range(self.threads)]
            shares = [(begin * rest, end * rest) for begin, end in parts]
            in_last = [x.offset for x in self.last_loads if x.pointer == pointer] or offsets
            spans = [spans_of(layout, o, self.inner, [], shares) for o in in_last]
            others = [o for o in offsets if o not in in_last]
            if others:
                return [(0, layout.size * layout.dtype.itemsize)] * self.threads
            return hull(spans, self.threads)
        spans = [spans_of(layout, o, self.outer, [self.inner], shares) for o in offsets]
        return hull(spans, self.threads)

    @property
    def _first(self) -> int:
        """What is shared out of the columns: the outermost of their loops."""
        return self.inner.sizes[0] if self.inner.sizes else 1

    @property
    def _is_blocked(self) -> bool:
        """Whether the domain is one long row, which is cut into blocks."""
        return not self.inner.loops and len(self.outer.loops) == 1

    @property
    def _count(self) -> int:
        """Rows to share among the threads."""
        if self._is_blocked:
            return -(-self.outer.size // BLOCK)
        if not self.inner.loops:
            return self.outer.size // self.outer.sizes[-1]
        return self.outer.size

    def _pass_text(self, one: _Pass) -> list[str]:
        lines = []
        for _, node in one.reduces:
            start = start_of(node.op.name, node.outputs[0].dtype)
            lines.append(f"for (dt_int c = 0; c < {self.columns}; ++c) own{node.id}[c] = {start};")
        lines.append(f"end = dt_share(team, thread, {self._count}, &begin);")
        lines.append("for (dt_int row = begin; row < end; ++row) {")
        lines += [
            f"    {line}"
            for line in (self._numbers(one) if not self.inner.loops else self._arrays(one))
        ]
        lines.append("}")
        if not one.reduces:
            return lines
        lines.append("dt_barrier(team);")
        for _, node in one.reduces:
            lines += self._combined(node)
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
        return [*lines, *self.inner.walk(self.last, self.inner.names, first="begin, end")]

    def _numbers(self, one: _Pass) -> list[str]:
        """A row that is added up to one number, in vectors."""
        lines, clauses = [], {}
        names = self.outer.names
        loop, size = self.outer.loops[-1], self.outer.sizes[-1]
        if self._is_blocked:
            lines.append(f"const dt_int from = row * {BLOCK};")
            lines.append(f"const dt_int to = from + {BLOCK} < {size} ? from + {BLOCK} : {size};")
        else:
            lines += self.outer.split_all_but_last("row")
            lines.append(f"const dt_int from = 0, to = {size};")
        sums = []
        for reduce, node in one.reduces:
            local = Reduce(f"sum{node.id}", reduce.how, reduce.name, None, True)
            dtype = node.outputs[0].dtype
            kind = C_TYPES[dtype.name]
            lines.append(f"{kind} {local.target} = {start_of(reduce.how, dtype)};")
            clauses.setdefault(local.clause, []).append(local.target)
            if local.is_extreme:
                lines.append(f"int {local.target}_nan = 0;")
                clauses.setdefault("|", []).append(f"{local.target}_nan")
            sums.append(local)
        marks = "".join(f" reduction({s}:{', '.join(t)})" for s, t in clauses.items())
        lines += element_loop([*one.element, *sums], loop, "from", "to", names, marks)
        for local, (_, node) in zip(sums, one.reduces):
            if local.is_extreme and node.outputs[0].dtype.kind == "f":
                lines.append(f'if ({local.target}_nan) {local.target} = __builtin_nan("");')
            whole = Reduce(f"own{node.id}", local.how, local.target, ZERO)
            lines.append(reduction(whole, {}))
        return lines

    def _arrays(self, one: _Pass) -> list[str]:
        lines = self.outer.split("row") if self.outer.loops else []
        statements = [*one.element, *(r for r, _ in one.reduces)]
        return lines + self.inner.walk(statements, {**self.outer.names, **self.inner.names})

    def _combined(self, node: Node) -> list[str]:
        """Every thread adds up the sums of all of them, for itself."""
        kind = C_TYPES[node.outputs[0].dtype.name]
        step = self._room(node) // node.outputs[0].dtype.itemsize
        return [
            f"for (dt_int c = 0; c < {self.columns}; ++c) {{",
            f"    {kind} total = all{node.id}[c];",
            f"    for (int t = 1; t < {self.threads}; ++t) {{",
            f"        const {kind} other = all{node.id}[c + t * {step}];",
            f"        {reduction(Reduce('total', node.op.name, 'other'), {})}",
            "    }",
            f"    total{node.id}[c] = total;",
            "}",
        ]

    def _room(self, node: Node) -> int:
        """Bytes of one thread's sums: whole cache lines."""
        return max(-(-self.columns * node.outputs[0].dtype.itemsize // 64) * 64, 64)
