"""Nests by rows: each thread goes through rows of its own, several passes over each if need be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.core import Bound
from .affine import ZERO, Affine, in_shape
from .layout import Layout
from .nest import (
    MOST_KEPT,
    VECTOR,
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

    before: list[object]
    element: list[object]
    reduces: list[tuple[Reduce, Node]]
    keeps: list[tuple[str, str]]


class RowNest:
    """Writes the nest of a fused node without a product.

    Parameters
    ----------
    bound : Bound
        Of the node.
    operands, results : sequence of Layout
    threads : int
        How many run the step.

    Attributes
    ----------
    kernel : Kernel
    """

    def __init__(
        self, bound: Bound, operands: Sequence[Layout], results: Sequence[Layout], threads: int
    ) -> None:
        attrs = bound.attrs
        self.body: Graph = attrs["bodies"][0]
        self.shape, self.threads = attrs["domain"], threads
        self.reduced = attrs["reduced"] or ()
        self.plan = Plan(self.body, attrs["kinds"])
        self.operands, self.results = operands, results
        names = [f"v{axis}" for axis in range(len(self.shape))]
        self.sizes = dict(zip(names, self.shape))
        self.index = tuple(map(Affine.of, names))
        outer = [v for a, v in enumerate(names) if a not in self.reduced]
        inner = [v for a, v in enumerate(names) if a in self.reduced]
        self._emit(outer, inner or outer)
        if not self.reduced:  # the last loop is where vectors are
            axes = Axes(self.sizes, outer, self.offsets, "i")
            inner = axes.members[-1] if axes.members else []
            outer = [v for v in outer if v not in inner]
            self._emit(outer, inner)
        self.outer = Axes(self.sizes, outer, self.offsets, "r")
        within = [o for o in self.offsets if o.variables & set(inner)]
        self.inner = Axes(self.sizes, inner, [*within, *self.locals], "c")
        self.kernel = self._kernel()

    # -- what is computed --------------------------------------------------------------------

    def _emit(self, outer: list[str], inner: list[str]) -> None:
        pointers = {
            value: (f"p{i}", layout)
            for i, (value, layout) in enumerate(zip(self.body.placeholders.values(), self.operands))
        }
        self.scalars = s = Scalars(self.body, pointers)
        s.inner, s.outer = set(inner), set(outer)
        self.column = dense_index(inner, self.sizes)
        self.columns = product_of(self.sizes[v] for v in inner)
        self.targets: dict[Value, list[tuple[str, Layout]]] = {}
        for i, (value, layout) in enumerate(zip(self.body.outputs, self.results)):
            self.targets.setdefault(value, []).append((f"q{i}", layout))
        self.stored: dict[str, Affine] = {}
        self.locals: list[Affine] = []
        self.ends: list[tuple[Node, str]] = []
        self.passes = [self._pass(number) for number in range(self.plan.passes)]
        seen = len(s.sections[1].statements)
        self._store_rows()
        self.after = s.sections[1].statements[seen:]
        self.offsets = [*self.stored.values(), *(load.offset for load in s.loads)]
        self.offsets.sort(key=lambda o: -len(o.variables))

    def _pass(self, number: int) -> _Pass:
        s, plan = self.scalars, self.plan
        s.forget_elements()
        s.sections[2].statements = []
        seen = len(s.sections[1].statements)
        reduces = []
        for node in plan.reductions[number]:
            name, _ = s.pull(node.inputs[0], self._index_of(node.inputs[0]))
            reduces.append((Reduce(s.fresh(_short(node)), node.op.name, name, None, True), node))
        for node in plan.ends[number]:
            name, _ = s.pull(node.inputs[0], self._index_of(node.inputs[0]))
            array = f"end{len(self.ends)}"
            self.ends.append((node, array))
            self.locals.append(self.column)
            s.sections[2].statements.append(Reduce(array, node.op.name, name, self.column))
        stores = []
        for value in plan.stores[number]:
            index = self._index_of(value)
            name, _ = s.pull(value, index)
            for pointer, layout in self.targets[value]:
                self.stored[pointer] = address(index, layout.strides)
                stores.append(Store(pointer, self.stored[pointer], name))
        keeps = self._keep(number) if self.reduced and self.columns <= MOST_KEPT else []
        # A result may lie over an operand: all is read before any is written.
        s.sections[2].statements += stores
        before = s.sections[1].statements[seen:]
        for reduce, node in reduces:
            s.made[node.outputs[0]] = (reduce.target, 1)
        return _Pass(before, s.sections[2].statements, reduces, keeps)

    def _keep(self, number: int) -> list[tuple[str, str]]:
        """Keep what later passes need and what is slow to compute, where it is not stored."""
        s, arrays = self.scalars, []
        for value in self.plan.dear_values(number):
            if value in self.targets:
                pointer, _ = self.targets[value][0]
                s.kept[value] = (pointer, self.stored[pointer])
                continue
            name, _ = s.pull(value, self._index_of(value))
            array = s.fresh("row")
            s.sections[2].statements.append(Store(array, self.column, name))
            s.kept[value] = (array, self.column)
            self.locals.append(self.column)
            arrays.append((C_TYPES[value.dtype.name], array))
        return arrays

    def _index_of(self, value: Value) -> tuple[Affine, ...]:
        """The element of a value of the whole domain where the loops are."""
        return in_shape(self.index, self.shape, value.aval.shape)

    def _store_rows(self) -> None:
        index = tuple(ZERO if a in self.reduced else i for a, i in enumerate(self.index))
        shape = tuple(1 if a in self.reduced else n for a, n in enumerate(self.shape))
        stores = []
        for value in self.plan.rows:
            at = in_shape(index, shape, value.aval.shape)
            name, _ = self.scalars.pull(value, at)
            for pointer, layout in self.targets[value]:
                self.stored[pointer] = address(at, layout.strides)
                stores.append(Store(pointer, self.stored[pointer], name))
        self.scalars.sections[1].statements += stores

    # -- how it is written -------------------------------------------------------------------

    def _kernel(self) -> Kernel:
        lines = printed(self.scalars.sections[0].statements, {}, "")
        if not self.outer.sizes and not self.reduced:
            lines += self._one_axis()
            shares = [self._blocks(t) for t in range(self.threads)]
            walked: tuple[Axes, list[Axes]] = (self.inner, [])
        else:
            lines += self._rows()
            shares = [share(self.outer.size, t, self.threads) for t in range(self.threads)]
            walked = (self.outer, [self.inner])
        lines += self._combine()
        accesses = []
        ends = {v: array for node, array in self.ends for v in node.outputs}
        for i, layout in enumerate(self.operands):
            loads = [x.offset for x in self.scalars.loads if x.pointer == f"p{i}"]
            spans = [spans_of(layout, o, *walked, shares) for o in loads]
            accesses.append(Access(layout, False, hull(spans, self.threads)))
        for i, (value, layout) in enumerate(zip(self.body.outputs, self.results)):
            if value in ends:
                low, high = layout.span
                base = layout.offset * layout.dtype.itemsize
                spans_all = [(low - base, high - base)] * self.threads
                accesses.append(Access(layout, True, spans_all))
            else:
                spans = [spans_of(layout, self.stored[f"q{i}"], *walked, shares)]
                accesses.append(Access(layout, True, hull(spans, self.threads)))
        kernel = described(self.body, self.shape, self.operands, self.results, lines, accesses)
        kernel.scratch = self.threads * sum(self._bytes(node) for node, _ in self.ends)
        kernel.waits = bool(self.ends)
        return kernel

    def _blocks(self, thread: int) -> tuple[int, int]:
        """A thread's share of one long axis, in whole vectors."""
        begin, end = share(-(-self.inner.size // VECTOR), thread, self.threads)
        return min(begin * VECTOR, self.inner.size), min(end * VECTOR, self.inner.size)

    def _one_axis(self) -> list[str]:
        [one] = self.passes
        size = self.inner.size
        if not self.inner.loops:  # a single number
            body = printed([*one.before, *one.element], {}, "    ")
            return ["if (thread == team->threads - 1) {", *body, "}"]
        loop = self.inner.loops[0]
        return [
            f"dt_int begin, end = dt_share(team, thread, {-(-size // VECTOR)}, &begin) * {VECTOR};",
            f"begin *= {VECTOR};",
            f"if (end > {size}) end = {size};",
            *element_loop([*one.before, *one.element], loop, "begin", "end", self.inner.names),
        ]

    def _rows(self) -> list[str]:
        lines = []
        offset = 0
        for node, array in self.ends:
            kind, start = (
                C_TYPES[node.outputs[0].dtype.name],
                start_of(node.op.name, node.outputs[0].dtype),
            )
            lines += [
                f"{kind} *{array} = ({kind} *)(scratch + {offset} + thread * {self._bytes(node)});",
                f"for (dt_int c = 0; c < {self.columns}; ++c) {array}[c] = {start};",
            ]
            offset += self.threads * self._bytes(node)
        names = self.outer.names
        inside = [line for one in self.passes for line in self._pass_text(one, names)]
        inside += printed(self.after, names, "")
        split = self.outer.split("row") if self.outer.loops else []
        return [
            *lines,
            f"dt_int begin, end = dt_share(team, thread, {self.outer.size}, &begin);",
            "for (dt_int row = begin; row < end; ++row) {",
            *(f"    {line}" for line in (*split, *inside)),
            "}",
        ]

    def _pass_text(self, one: _Pass, outer: dict[str, str]) -> list[str]:
        lines = printed(one.before, outer, "")
        lines += [f"{kind} {array}[{self.columns}];" for kind, array in one.keeps]
        clauses: dict[str, list[str]] = {}
        for reduce, node in one.reduces:
            dtype = node.outputs[0].dtype
            lines.append(f"{C_TYPES[dtype.name]} {reduce.target} = {start_of(reduce.how, dtype)};")
            clauses.setdefault(reduce.clause, []).append(reduce.target)
            if reduce.is_extreme:
                lines.append(f"int {reduce.target}_nan = 0;")
                clauses.setdefault("|", []).append(f"{reduce.target}_nan")
        names = {**outer, **self.inner.names}
        marks = "".join(f" reduction({s}:{', '.join(t)})" for s, t in clauses.items())
        statements = [*one.element, *(reduce for reduce, _ in one.reduces)]
        lines += self.inner.walk(statements, names, marks)
        for reduce, node in one.reduces:
            if reduce.is_extreme and node.outputs[0].dtype.kind == "f":
                lines.append(f'if ({reduce.target}_nan) {reduce.target} = __builtin_nan("");')
        return lines

    def _combine(self) -> list[str]:
        """Put together what each thread has added up over its rows."""
        if not self.ends:
            return []
        lines = ["dt_barrier(team);", f"end = dt_share(team, thread, {self.columns}, &begin);"]
        offset = 0
        for node, _ in self.ends:
            [value] = node.outputs
            kind, step = C_TYPES[value.dtype.name], self._bytes(node) // value.dtype.itemsize
            lines += [
                "for (dt_int c = begin; c < end; ++c) {",
                f"    const {kind} *part = (const {kind} *)(scratch + {offset});",
                f"    {kind} total = part[c];",
                f"    for (int t = 1; t < {self.threads}; ++t) {{",
                f"        const {kind} other = part[c + t * {step}];",
                f"        {reduction(Reduce('total', node.op.name, 'other', None), {})}",
                "    }",
            ]
            for pointer, layout in self.targets[value]:
                at = in_shape((Affine.of("c"),), (self.columns,), tuple(value.aval.shape))
                text = address(at, layout.strides).text({"c": "c"})
                lines.append(f"    {pointer}[{text}] = total;")
            lines.append("}")
            offset += self.threads * self._bytes(node)
        return lines

    def _bytes(self, node: Node) -> int:
        """Of one thread's sums over all rows: whole cache lines."""
        return max(-(-self.columns * node.outputs[0].dtype.itemsize // 64) * 64, 64)


def _short(node: Node) -> str:
    return "sum" if node.op.name == "sum_to" else node.op.name
