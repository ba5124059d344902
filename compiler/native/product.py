"""Products of matrices: register tiles, and around each tile what was fused with the product.

A thread takes rows or columns of the result, whichever reads less. It goes through panels of
columns as wide as a tile; in each it goes through its rows, a tile at a time, and computes what
follows the product while the tile is in the first cache. Operands are read where they lie if tiles
can, or from packed panels; a transposed operand costs nothing but other strides.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.core import Bound
from .affine import Affine, in_shape
from .layout import Layout
from .nest import (
    Access,
    Kernel,
    Let,
    Scalars,
    Store,
    address,
    described,
    hull,
    printed,
    product_of,
    share,
)
from .scalars import C_TYPES

WIDTH = 128  # bytes of a tile's row at most; the headers say what it is
ROWS = 12
FEW_ROWS = 3  # so many rows read the second operand without tiles
PACKS_FROM = 40  # rows of a thread from which on packing the second operand pays
PAGE = 4096  # bytes after which addresses fall on the same places of the first cache
FAR = 64  # elements between numbers that tiles read after each other from which on packing pays


class Product:
    """Writes a fused node that holds a product; see `RowNest` for the parameters.

    `in_loop` says that the node runs in a loop whose other nodes go by rows, `packed` where the
    second operand lies in panels, if it does.
    """

    def __init__(
        self,
        bound: Bound,
        operands: Sequence[Layout],
        results: Sequence[Layout],
        threads: int,
        in_loop: bool = False,
        packed: Layout | None = None,
    ) -> None:
        self.body: Graph = bound.attrs["bodies"][0]
        self.operands, self.results, self.threads = list(operands), results, threads
        self.node: Node = next(n for n in self.body.nodes if n.op.name == "matmul")
        places = {v: i for i, v in enumerate(self.body.placeholders.values())}
        self.a, self.b = (places[v] for v in self.node.inputs)
        self.is_packed = packed is not None
        if packed is not None:
            self.operands = [packed if i == self.b else x for i, x in enumerate(operands)]
        self.shape: tuple[int, ...] = self.node.outputs[0].aval.shape
        *batch, self.rows, self.columns = self.shape
        self.depth = self.node.bound.ins[0].shape[-1]
        self.batch = product_of(batch)
        self.dtype = self.node.outputs[0].dtype
        self.type = C_TYPES[self.dtype.name]
        self.width = WIDTH // self.dtype.itemsize
        self.by_rows = self._goes_by_rows(in_loop)
        self._emit()
        self.kernel = self._kernel()

    def _goes_by_rows(self, in_loop: bool) -> bool:
        if self.threads == 1 or self.batch >= self.threads:
            return True
        panels = -(-self.columns // self.width)
        enough_rows = self.rows >= 4 * self.threads
        if panels < self.threads:
            return True
        if enough_rows and (in_loop or self.is_packed or self.rows >= self.columns):
            return True
        return enough_rows and panels % self.threads != 0 and panels < 4 * self.threads

    # -- what follows a tile -----------------------------------------------------------------

    def _emit(self) -> None:
        placeholders = self.body.placeholders.values()
        pointers = {v: (f"p{i}", x) for i, (v, x) in enumerate(zip(placeholders, self.operands))}
        self.index = tuple(Affine.of(f"v{axis}") for axis in range(len(self.shape)))
        self.scalars = s = Scalars(self.body, pointers)
        *outer, last = (f"v{axis}" for axis in range(len(self.shape)))
        s.outer, s.inner = set(outer), {last}
        [value] = self.node.outputs
        s.made[value] = ("product", 2)
        self.stored: dict[str, Affine] = {}
        stores: list[Store] = []
        for i, (out, layout) in enumerate(zip(self.body.outputs, self.results)):
            at = in_shape(self.index, self.shape, out.aval.shape)
            name, _ = s.pull(out, at)
            self.stored[f"q{i}"] = address(at, layout.strides)
            stores.append(Store(f"q{i}", self.stored[f"q{i}"], name))
        s.sections[2].statements += stores

    @property
    def _is_plain(self) -> bool:
        """Whether the tile itself is the result, where rows of it are dense."""
        if len(self.body.outputs) != 1 or self.body.outputs[0] is not self.node.outputs[0]:
            return False
        return self.results[0].strides[-1] == 1 and self.columns % self.width == 0

    @property
    def _names(self) -> dict[str, str]:
        names = [f"b{axis}" for axis in range(len(self.shape) - 2)] + ["m", "n"]
        return {f"v{axis}": name for axis, name in enumerate(names) if self.shape[axis] != 1}

    def _strides(self, layout: Layout) -> tuple[dict[int, int], int, int]:
        """Of an operand of the product: per batch axis, of its rows and of its columns."""
        *batch, row, column = layout.strides
        extra = len(self.shape) - len(layout.shape)
        steps = {extra + i: s for i, (s, n) in enumerate(zip(batch, layout.shape)) if n != 1 and s}
        return steps, row, column

    # -- how it is written -------------------------------------------------------------------

    def _kernel(self) -> Kernel:
        lines = printed(self.scalars.sections[0].statements, {}, "")
        a_steps, self.a_row, self.a_depth = self._strides(self.operands[self.a])
        b_steps, self.b_depth, self.b_column = (
            ({}, 1, 1) if self.is_packed else self._strides(self.operands[self.b])
        )
        lines += self._ranges()
        indent = ""
        if self.batch != 1:
            lines.append("for (dt_int batch = batch_begin; batch < batch_end; ++batch) {")
            rest = self.batch
            for axis, size in enumerate(self.shape[:-2]):
                rest //= size
                lines.append(f"    const dt_int b{axis} = batch / {rest} % {size};")
            indent = "    "
        lines.append(f"{indent}const {self.type} *a = p{self.a}{self._moved(a_steps)};")
        lines.append(f"{indent}const {self.type} *b = p{self.b}{self._moved(b_steps)};")
        self.scratch = 0
        few = self.rows <= FEW_ROWS and not self.is_packed
        inner = self._few_rows() if few else self._tiles()
        lines += [indent + line for line in inner]
        if indent:
            lines.append("}")
        kernel = described(
            self.body,
            (*self.shape, self.depth),
            self.operands,
            self.results,
            lines,
            self._accesses(),
        )
        kernel.scratch = self.scratch * self.threads
        return kernel

    @staticmethod
    def _moved(steps: dict[int, int]) -> str:
        return "".join(f" + b{axis} * {step}" for axis, step in steps.items())

    def _ranges(self) -> list[str]:
        """The thread's share of batches, rows and columns."""
        batch, rows, columns = self._shared
        panels = -(-self.columns // self.width)
        lines = []
        if self.batch != 1:
            lines.append(
                f"dt_int batch_begin; const dt_int batch_end = dt_share(team, thread, {self.batch}, "
                "&batch_begin);"
                if batch
                else f"const dt_int batch_begin = 0, batch_end = {self.batch};"
            )
        if rows:
            lines.append("dt_int m_begin;")
            lines.append(f"const dt_int m_end = dt_share(team, thread, {self.rows}, &m_begin);")
        else:
            lines.append(f"const dt_int m_begin = 0, m_end = {self.rows};")
        if columns:
            lines.append("dt_int n_begin;")
            lines.append(
                f"dt_int n_end = dt_share(team, thread, {panels}, &n_begin) * {self.width};"
            )
            lines.append(f"n_begin *= {self.width};")
            lines.append(f"if (n_end > {self.columns}) n_end = {self.columns};")
        else:
            lines.append(f"const dt_int n_begin = 0, n_end = {self.columns};")
        return lines

    @property
    def _shared(self) -> tuple[bool, bool, bool]:
        """What is spread over the threads: batches, rows or columns."""
        if self.batch >= self.threads and self.batch > 1:
            return True, False, False
        return False, self.by_rows, not self.by_rows

    def _shares(self, thread: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        batch, rows, columns = self._shared
        panels = -(-self.columns // self.width)
        begin, end = share(panels, thread, self.threads) if columns else (0, panels)
        return (
            share(self.batch, thread, self.threads) if batch else (0, self.batch),
            share(self.rows, thread, self.threads) if rows else (0, self.rows),
            (begin * self.width, min(end * self.width, self.columns)),
        )

    def _few_rows(self) -> list[str]:
        """Row by row, with the second operand read as it lies."""
        straight = 1 in (self.b_column, self.b_depth) and self.depth > 0
        if not straight:
            return self._tiles()
        at = f"a + m * {self.a_row}, {self.a_depth}"
        b = f"b + n0 * {self.b_column}, {self.b_depth}, {self.b_column}"
        return [
            "for (dt_int m = m_begin; m < m_end; ++m)",
            "for (dt_int n0 = n_begin; n0 < n_end; n0 += 256) {",
            "    const dt_int columns = n_end - n0 < 256 ? n_end - n0 : 256;",
            f"    {self.type} strip[256];",
            f"    dt_row_{self.type}({self.depth}, columns, {at}, {b}, strip);",
            *(
                f"    {line}"
                for line in printed(self.scalars.sections[1].statements, self._names, "")
            ),
            *(f"    {line}" for line in self._columns("strip[j]", "columns")),
            "}",
        ]

    def _columns(self, product: str, count: str) -> list[str]:
        """The innermost loop of what follows."""
        names = self._names
        return [
            "#pragma omp simd",
            f"for (dt_int j = 0; j < {count}; ++j) {{",
            *(["    const dt_int n = n0 + j;"] if "n" in names.values() else []),
            *printed([Let("product", self.type, product)], {}, "    "),
            *printed(self.scalars.sections[2].statements, names, "    "),
            "}",
        ]

    def _tiles(self) -> list[str]:
        half = 2 * self.columns <= self.width and not self.is_packed  # panels have whole widths
        width = f"(DT_WIDTH_{self.type} / 2)" if half else f"DT_WIDTH_{self.type}"
        most = "(2 * DT_ROWS)" if half else "DT_ROWS"
        tile = f"dt_half_tile_{self.type}" if half else f"dt_tile_{self.type}"
        own = self._rows_of_a_thread
        packs_b = not self.is_packed and (self.b_column != 1 or own >= PACKS_FROM)
        packs_a = self.depth >= 16 and self._packs_once and self._is_far
        lines = [f"enum {{ WIDTH = {width}, ROWS = {most} }};"]
        lines.append("const dt_int tiles = (m_end - m_begin + ROWS - 1) / ROWS;")
        size = self.dtype.itemsize
        even = self.columns % self.width == 0
        if packs_b or not (even or self.is_packed):
            lines.append(f"{self.type} *panel = ({self.type} *)(scratch + thread * SCRATCH);")
            self.scratch += -(-max(self.depth, 1) * min(WIDTH, self.width * size) // 64) * 64
        if packs_a:
            lines.append(
                f"{self.type} *left = ({self.type} *)(scratch + thread * SCRATCH + {self.scratch});"
            )
            # Rows of a tile may be fewer than ROWS, but a panel has room for all.
            tiles = own // (2 * ROWS if half else ROWS) + 4
            self.scratch += -(-self.depth * tiles * (2 * ROWS if half else ROWS) * size // 64) * 64
            lines += [
                "for (dt_int tile = 0; tile < tiles; ++tile) {",
                "    const dt_int m0 = m_begin + (m_end - m_begin) * tile / tiles;",
                "    const dt_int m1 = m_begin + (m_end - m_begin) * (tile + 1) / tiles;",
                f"    dt_pack_{self.type}({self.depth}, m1 - m0, a + m0 * {self.a_row}, "
                f"{self.a_depth}, {self.a_row}, left + tile * ROWS * {self.depth}, ROWS);",
                "}",
            ]
        lines.append("for (dt_int n0 = n_begin; n0 < n_end; n0 += WIDTH) {")
        if not even:
            lines.append("    const dt_int columns = n_end - n0 < WIDTH ? n_end - n0 : WIDTH;")
        count = "WIDTH" if even else "columns"
        packing = (
            f"dt_pack_{self.type}({self.depth}, {count}, b + n0 * {self.b_column}, {self.b_depth}, "
            f"{self.b_column}, panel, WIDTH);"
        )
        if packs_b:
            lines.append(f"    {packing}")
            right, b_depth = "panel", "WIDTH"
        elif self.is_packed:
            right, b_depth = f"b + n0 * {self.depth}", "WIDTH"
        elif even:
            right, b_depth = "b + n0", str(self.b_depth)
        else:
            lines += [
                f"    const {self.type} *right = b + n0;",
                f"    dt_int right_depth = {self.b_depth};",
                "    if (columns < WIDTH) {",
                f"        {packing}",
                "        right = panel;",
                "        right_depth = WIDTH;",
                "    }",
            ]
            right, b_depth = "right", "right_depth"
        a = f"a + m0 * {self.a_row}, {self.a_row}, {self.a_depth}"
        if packs_a:
            a = f"left + tile * ROWS * {self.depth}, 1, ROWS"
        lines += [
            "    for (dt_int tile = 0; tile < tiles; ++tile) {",
            "        const dt_int m0 = m_begin + (m_end - m_begin) * tile / tiles;",
            "        const dt_int m1 = m_begin + (m_end - m_begin) * (tile + 1) / tiles;",
        ]
        call = f"        {tile}(m1 - m0, {self.depth}, {a}, {right}, {b_depth}, "
        if self._is_plain:
            target = self.stored["q0"].text(
                {
                    **self._names,
                    "v%d" % (len(self.shape) - 2): "m0",
                    "v%d" % (len(self.shape) - 1): "n0",
                }
            )
            lines.append(f"{call}q0 + {target}, {self.results[0].strides[-2]}, 0, 1, 0, 0);")
        else:
            lines += [
                f"        {self.type} result[ROWS * WIDTH] __attribute__((aligned(64)));",
                f"{call}result, WIDTH, 0, 1, 0, 0);",
                "        for (dt_int m = m0; m < m1; ++m) {",
                f"            const {self.type} *sums = result + (m - m0) * WIDTH;",
                *printed(self.scalars.sections[1].statements, self._names, " " * 12),
                *(" " * 12 + line for line in self._columns("sums[j]", count)),
                "        }",
            ]
        lines += ["    }", "}"]
        return [line.replace("SCRATCH", str(self.scratch)) for line in lines]

    @property
    def _rows_of_a_thread(self) -> int:
        _, rows, _ = self._shared
        return -(-self.rows // self.threads) if rows else self.rows

    @property
    def _is_far(self) -> bool:
        """Whether the first operand's numbers lie so that reading a tile's rows is slow: each on a
        page of its own, or all in the same places of the first cache."""
        apart = self.a_row * self.dtype.itemsize
        return self.a_depth >= FAR or (
            self.a_depth == 1 and apart % PAGE == 0 and self.depth >= FAR
        )

    @property
    def _packs_once(self) -> bool:
        """Whether packed rows are read often enough: by several panels."""
        return self.columns > self.width

    # -- what it touches ---------------------------------------------------------------------

    def _accesses(self) -> list[Access]:
        accesses = []
        for i, layout in enumerate(self.operands):
            spans = []
            if i == self.b and self.is_packed:
                spans.append([(0, layout.size * self.dtype.itemsize)] * self.threads)
            elif i in (self.a, self.b):
                spans.append([self._operand_span(i, layout, t) for t in range(self.threads)])
            for load in self.scalars.loads:
                if load.pointer == f"p{i}":
                    spans.append([self._span(layout, load.offset, t) for t in range(self.threads)])
            accesses.append(Access(layout, False, hull(spans, self.threads)))
        for i, layout in enumerate(self.results):
            offset = self.stored[f"q{i}"]
            spans = [self._span(layout, offset, t) for t in range(self.threads)]
            accesses.append(Access(layout, True, spans))
        return accesses

    def _operand_span(self, number: int, layout: Layout, thread: int) -> tuple[int, int]:
        _, rows, columns = self._shares(thread)
        *batch, row, column = layout.strides
        ranges = [(0, (n - 1) * s) for n, s in zip(layout.shape, batch)]
        along = [rows, (0, self.depth)] if number == self.a else [(0, self.depth), columns]
        if any(begin >= end for begin, end in along):
            return (0, 0)
        ranges += [(b * s, (e - 1) * s) for (b, e), s in zip(along, (row, column))]
        low, high = sum(min(r) for r in ranges), sum(max(r) for r in ranges)
        return (low * layout.dtype.itemsize, (high + 1) * layout.dtype.itemsize)

    def _span(self, layout: Layout, offset: Affine, thread: int) -> tuple[int, int]:
        batch, rows, columns = self._shares(thread)
        if any(begin >= end for begin, end in (batch, rows, columns)):
            return (0, 0)
        reach = [(0, n) for n in self.shape[:-2]]
        if len(reach) == 1:
            reach = [batch]
        ranges = [*reach, rows, columns]
        low = high = offset.constant
        for axis, (begin, end) in enumerate(ranges):
            step = offset.coefficient(f"v{axis}")
            if step is None:  # a division: anywhere in the value
                first, last = layout.span
                base = layout.offset * layout.dtype.itemsize
                return (first - base, last - base)
            low += min(step * begin, step * (end - 1))
            high += max(step * begin, step * (end - 1))
        return (low * layout.dtype.itemsize, (high + 1) * layout.dtype.itemsize)


def packing(b: Layout, panels: Layout, threads: int) -> Kernel:
    """The kernel that packs the second operand of products once, for many rounds of a loop.

    Parameters
    ----------
    b : Layout, shape (depth, columns)
    panels : Layout, shape (padded columns * depth,)
    """
    depth, columns = b.shape
    kind, width = C_TYPES[b.dtype.name], WIDTH // b.dtype.itemsize
    count = -(-columns // width)
    lines = [
        f"enum {{ WIDTH = DT_WIDTH_{kind} }};",
        f"dt_int begin, end = dt_share(team, thread, {count}, &begin) * {width};",
        f"for (dt_int n0 = begin * {width}; n0 < end && n0 < {columns}; n0 += WIDTH) {{",
        f"    const dt_int columns = {columns} - n0 < WIDTH ? {columns} - n0 : WIDTH;",
        f"    dt_pack_{kind}({depth}, columns, p0 + n0 * {b.strides[1]}, {b.strides[0]}, "
        f"{b.strides[1]}, q0 + n0 * {depth}, WIDTH);",
        "}",
    ]
    low, high = b.span
    base, size = b.offset * b.dtype.itemsize, b.dtype.itemsize
    shares = [share(count, t, threads) for t in range(threads)]
    made = [(x * width * depth * size, y * width * depth * size) for x, y in shares]
    accesses = [
        Access(b, False, [(low - base, high - base)] * threads),
        Access(panels, True, made),
    ]
    parameters = [f"const {kind} *p0", f"{kind} *q0"]
    return Kernel("pack", f"pack: {depth} x {columns}", parameters, lines, accesses)


def product_of_body(body: Graph) -> Value | None:
    """The product in a fused body; None where it has none."""
    return next((n.outputs[0] for n in body.nodes if n.op.name == "matmul"), None)
