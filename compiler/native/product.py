"""Products of matrices: register tiles, and around each tile what was fused with the product.

A thread takes rows or columns of the result, whichever reads less. It goes through panels of
columns as wide as a tile; in each it goes through its rows, a tile at a time, and computes what
follows the product while the tile is in the first cache. Operands are read where they lie if tiles
can, or from packed panels; a transposed operand costs nothing but other strides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ...graphs.ir import Graph, Node, Value
from ...graphs.kernels.shapes.structs import LINE, aligned, share
from ...graphs.ops.core import Bound
from .affine import Affine, in_shape
from .axes import address
from .elements import Let, Store, printed
from .extents import are_open, most, parts
from .kernel import Access, Kernel, Packing, Span, described, everywhere, hull, parameters
from .layout import Layout, sizes
from .scalars import C_TYPES
from .sections import ONCE, PER_ELEMENT, PER_ROW, Sections

WIDTH = 128  # bytes of a tile's row at most; the headers say what it is
FEW_ROWS = 3  # so many rows read the second operand without tiles
PACKS_FROM = 40  # rows of a thread from which on packing the second operand pays
PAGE = 4096  # bytes after which addresses fall on the same places of the first cache
BLOCK = 256 << 10  # bytes of the first operand that are packed at once: they stay in a cache
FAR = 64  # elements between numbers that tiles read after each other from which on packing pays


@dataclass
class _Side:
    """How tiles read one of the operands.

    Attributes
    ----------
    lines : list of str
        What packs it, if need be.
    operand : str
        The arguments that say where it is: a pointer and strides.
    nbytes : int
        Room that each thread packs it into.
    blocks : int
        In how many parts of about equally many rows that is done.
    """

    lines: list[str]
    operand: str
    nbytes: int = 0
    blocks: int = 1


class Product:
    """Writes a fused node that holds a product; see `RowNest` for the parameters.

    `in_loop` says that the node runs in a loop whose other nodes go by rows, `is_packed` that the
    second operand lies in panels.
    """

    def __init__(
        self,
        bound: Bound,
        operands: Sequence[Layout],
        results: Sequence[Layout],
        threads: int,
        in_loop: bool = False,
        is_packed: bool = False,
    ) -> None:
        self.body: Graph = bound.attrs["bodies"][0]
        self.operands, self.results, self.threads = operands, results, threads
        self.node: Node = next(n for n in self.body.nodes if n.op.name == "matmul")
        places = {v: i for i, v in enumerate(self.body.placeholders.values())}
        self.a, self.b = (places[v] for v in self.node.inputs)
        self.is_packed = is_packed
        self.shape = sizes(self.node.outputs[0].aval)
        *batch, self.rows, self.columns = self.shape
        self.depth = sizes(self.node.bound.ins[0])[-1]
        self.batch = math.prod(batch)
        self.most_rows = most(self.rows)
        self.is_open = are_open((*self.shape, self.depth))
        self.dtype = self.node.outputs[0].dtype
        self.type = C_TYPES[self.dtype]
        self.width = WIDTH // self.dtype.itemsize
        self.by_rows = self._goes_by_rows(in_loop)
        self._emit()
        self.kernel = self._kernel()

    def _goes_by_rows(self, in_loop: bool) -> bool:
        if self.threads == 1 or most(self.batch) >= self.threads:
            return True
        panels = parts(most(self.columns), self.width)
        enough_rows = self.most_rows >= 4 * self.threads
        if panels < self.threads:
            return True
        if enough_rows and (in_loop or self.is_packed or self.most_rows >= most(self.columns)):
            return True
        return enough_rows and panels % self.threads != 0 and panels < 4 * self.threads

    # -- what follows a tile -----------------------------------------------------------------

    def _emit(self) -> None:
        self.index = tuple(Affine.of(f"v{axis}") for axis in range(len(self.shape)))
        *outer, last = (f"v{axis}" for axis in range(len(self.shape)))
        self.sections = s = Sections(self.body, self.operands, outer, {last})
        [value] = self.node.outputs
        s.made[value] = ("product", PER_ELEMENT)
        self.stored: dict[str, Affine] = {}
        stores: list[Store] = []
        for i, (out, layout) in enumerate(zip(self.body.outputs, self.results)):
            at = in_shape(self.index, self.shape, sizes(out.aval))
            name = s.pull(out, at)
            self.stored[f"q{i}"] = address(at, layout.strides)
            stores.append(Store(f"q{i}", self.stored[f"q{i}"], name))
        s.element.extend(stores)

    @property
    def _is_plain(self) -> bool:
        """Whether the tile itself is the result, where rows of it are dense."""
        if len(self.body.outputs) != 1 or self.body.outputs[0] is not self.node.outputs[0]:
            return False
        return self.results[0].strides[-1] == 1 and self._is_even

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
        a_steps, self.a_row, self.a_depth = self._strides(self.operands[self.a])
        b_steps, self.b_depth, self.b_column = (
            ({}, 1, 1) if self.is_packed else self._strides(self.operands[self.b])
        )
        lines = self._ranges()
        lines += printed(self.sections.statements[ONCE], {}, "")
        indent = ""
        if self.batch != 1:
            lines.append("for (dt_int batch = batch_begin; batch < batch_end; ++batch) {")
            rest = self.batch
            for axis, size in enumerate(self.shape[:-2]):
                rest //= max(size, 1)
                lines.append(f"    const dt_int b{axis} = batch / {rest} % {size};")
            indent = "    "
        lines.append(f"{indent}const {self.type} *a = p{self.a}{self._moved(a_steps)};")
        lines.append(f"{indent}const {self.type} *b = p{self.b}{self._moved(b_steps)};")
        self.scratch = 0  # bytes for each thread
        inner = self._few_rows() if self._reads_straight else self._tiles()
        lines += [indent + line for line in inner]
        if indent:
            lines.append("}")
        return described(
            self.body, (*self.shape, self.depth), self.operands, self.results, lines,
            self._accesses(), self.scratch * self.threads, apart=True,
        )  # fmt: skip

    @staticmethod
    def _moved(steps: dict[int, int]) -> str:
        return "".join(f" + b{axis} * {step}" for axis, step in steps.items())

    def _ranges(self) -> list[str]:
        """The thread's share of batches, rows and columns."""
        batch, rows, columns = self._shared
        panels = parts(self.columns, self.width)
        lines = []
        if self.batch != 1:
            lines += self._range("batch", self.batch, batch)
        lines += self._range("m", self.rows, rows)
        if columns:
            lines += [
                "dt_int n_begin;",
                f"dt_int n_end = dt_share(team, thread, {panels}, &n_begin) * {self.width};",
                f"n_begin *= {self.width};",
                f"if (n_end > {self.columns}) n_end = {self.columns};",
            ]
        else:
            lines += self._range("n", self.columns, False)
        shared = next(n for n, is_shared in zip(("batch", "m", "n"), self._shared) if is_shared)
        if self.is_open or any(a >= b for t in range(self.threads) for a, b in self._shares(t)):
            # What this thread would read may still be written.
            lines.append(f"if ({shared}_begin >= {shared}_end) return;")
        return lines

    @staticmethod
    def _range(name: str, count: int, is_shared: bool) -> list[str]:
        if not is_shared:
            return [f"const dt_int {name}_begin = 0, {name}_end = {count};"]
        return [
            f"dt_int {name}_begin;",
            f"const dt_int {name}_end = dt_share(team, thread, {count}, &{name}_begin);",
        ]

    @property
    def _shared(self) -> tuple[bool, bool, bool]:
        """What is spread over the threads: batches, rows or columns."""
        if most(self.batch) >= self.threads and self.batch > 1:
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

    @property
    def _reads_straight(self) -> bool:
        """Whether rows are so few that the second operand is read as it lies, if vectors can."""
        few = self.most_rows <= FEW_ROWS and not self.is_packed
        return few and 1 in (self.b_column, self.b_depth) and self.depth > 0

    def _few_rows(self) -> list[str]:
        """Row by row."""
        at = f"a + m * {self.a_row}, {self.a_depth}"
        b = f"b + n0 * {self.b_column}, {self.b_depth}, {self.b_column}"
        return [
            "for (dt_int m = m_begin; m < m_end; ++m)",
            "for (dt_int n0 = n_begin; n0 < n_end; n0 += 256) {",
            "    const dt_int columns = n_end - n0 < 256 ? n_end - n0 : 256;",
            f"    {self.type} strip[256];",
            f"    dt_row_{self.type}({self.depth}, columns, {at}, {b}, strip);",
            *printed(self.sections.statements[PER_ROW], self._names, "    "),
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
            *printed(self.sections.element, names, "    "),
            "}",
        ]

    def _tiles(self) -> list[str]:
        """Block by block of rows, panel by panel of columns, tile by tile of rows."""
        half = _panel_width(most(self.columns), self.dtype.itemsize) < self.width
        width = f"(DT_WIDTH_{self.type} / 2)" if half else f"DT_WIDTH_{self.type}"
        left, right = self._left(), self._right()
        self.scratch = right.nbytes + left.nbytes
        lines = [f"enum {{ WIDTH = {width}, ROWS = {'(2 * DT_ROWS)' if half else 'DT_ROWS'} }};"]
        own = f"({self.type} *)(scratch + thread * {self.scratch}"
        if right.nbytes:
            lines.append(f"{self.type} *panel = {own});")
        if left.nbytes:
            lines.append(f"{self.type} *left = {own} + {right.nbytes});")
        tile = f"dt_half_tile_{self.type}" if half else f"dt_tile_{self.type}"
        call = f"{tile}(m1 - m0, {self.depth}, {left.operand}, {right.operand}, "
        inside = [*right.lines, *_tile_loop(self._tile(call))]
        block = [
            "const dt_int tiles = (rows_end - rows_begin + ROWS - 1) / ROWS;",
            *left.lines,
            "for (dt_int n0 = n_begin; n0 < n_end; n0 += WIDTH) {",
            *(f"    {line}" for line in inside),
            "}",
        ]
        return [*lines, *_block_loop(block, left.blocks)]

    def _tile(self, call: str) -> list[str]:
        """One tile, by a call whose last arguments are to come, and what follows on it."""
        if self._is_plain:
            row, column = (f"v{len(self.shape) - 2}", f"v{len(self.shape) - 1}")
            target = self.stored["q0"].text({**self._names, row: "m0", column: "n0"})
            return [f"{call}q0 + {target}, {self.results[0].strides[-2]}, 0, 1, 0, 0);"]
        return [
            f"{self.type} result[ROWS * WIDTH] __attribute__((aligned(64)));",
            f"{call}result, WIDTH, 0, 1, 0, 0);",
            "for (dt_int m = m0; m < m1; ++m) {",
            f"    const {self.type} *sums = result + (m - m0) * WIDTH;",
            *printed(self.sections.statements[PER_ROW], self._names, "    "),
            *(f"    {line}" for line in self._columns("sums[j]", self._panel_columns)),
            "}",
        ]

    def _left(self) -> _Side:
        """A block of a thread's rows of the first operand, tile by tile."""
        if most(self.depth) < 16 or most(self.columns) <= self.width or not self._is_far:
            return _Side([], f"a + m0 * {self.a_row}, {self.a_row}, {self.a_depth}")
        place = f"left + (m0 - rows_begin) * {self.depth}"
        pack = (
            f"dt_pack_{self.type}({self.depth}, m1 - m0, a + m0 * {self.a_row}, "
            f"{self.a_depth}, {self.a_row}, {place}, m1 - m0);"
        )
        row = most(self.depth) * self.dtype.itemsize
        blocks = max(-(-self._rows_of_a_thread * row // BLOCK), 1)
        rows = -(-self._rows_of_a_thread // blocks)
        # Packing writes whole vectors, and so behind the last tile.
        nbytes = aligned(rows * row) + LINE
        return _Side(_tile_loop([pack]), f"{place}, 1, m1 - m0", nbytes, blocks)

    def _right(self) -> _Side:
        """The panel of the second operand that begins at column ``n0``."""
        lines = []
        if not self._is_even:
            lines.append("const dt_int columns = n_end - n0 < WIDTH ? n_end - n0 : WIDTH;")
        if self.is_packed:
            return _Side(lines, f"b + n0 * {self.depth}, WIDTH")
        pack = (
            f"dt_pack_{self.type}({self.depth}, {self._panel_columns}, "
            f"b + n0 * {self.b_column}, {self.b_depth}, {self.b_column}, panel, WIDTH);"
        )
        nbytes = aligned(max(most(self.depth), 1) * WIDTH)
        if self.b_column != 1 or self._rows_of_a_thread >= PACKS_FROM:
            return _Side([*lines, pack], "panel, WIDTH", nbytes)
        if self._is_even:
            return _Side(lines, f"b + n0, {self.b_depth}")
        lines += [  # a tile reads whole vectors: what is left of the last panel is copied
            f"const {self.type} *right = b + n0;",
            f"dt_int right_depth = {self.b_depth};",
            "if (columns < WIDTH) {",
            f"    {pack}",
            "    right = panel;",
            "    right_depth = WIDTH;",
            "}",
        ]
        return _Side(lines, "right, right_depth", nbytes)

    @property
    def _is_even(self) -> bool:
        """Whether all panels are whole."""
        return self.columns % self.width == 0

    @property
    def _panel_columns(self) -> str:
        return "WIDTH" if self._is_even else "columns"

    @property
    def _rows_of_a_thread(self) -> int:
        _, rows, _ = self._shared
        return parts(self.most_rows, self.threads) if rows else self.most_rows

    @property
    def _is_far(self) -> bool:
        """Whether the first operand's numbers lie so that reading a tile's rows is slow: each on a
        page of its own, or all in the same places of the first cache."""
        apart = self.a_row * self.dtype.itemsize
        return self.a_depth >= FAR or (
            self.a_depth == 1 and apart % PAGE == 0 and most(self.depth) >= FAR
        )

    # -- what it touches ---------------------------------------------------------------------

    def _accesses(self) -> list[Access]:
        if self.is_open:
            reads = [Access(x, False, everywhere(x, self.threads)) for x in self.operands]
            return reads + [Access(x, True, everywhere(x, self.threads)) for x in self.results]
        accesses = []
        for i, layout in enumerate(self.operands):
            spans = []
            if i == self.b and self.is_packed:
                spans.append(everywhere(layout, self.threads))
            elif i in (self.a, self.b):
                spans.append([self._operand_span(i, layout, t) for t in range(self.threads)])
            for load in self.sections.loads:
                if load.pointer == f"p{i}":
                    spans.append([self._span(layout, load.offset, t) for t in range(self.threads)])
            accesses.append(Access(layout, False, hull(spans, self.threads)))
        for i, layout in enumerate(self.results):
            offset = self.stored[f"q{i}"]
            touched = [self._span(layout, offset, t) for t in range(self.threads)]
            accesses.append(Access(layout, True, touched))
        return accesses

    def _operand_span(self, number: int, layout: Layout, thread: int) -> Span:
        """The bytes of an operand of the product that a thread's tiles read."""
        _, rows, columns = self._shares(thread)
        *batch, row, column = layout.strides
        ranges = [(0, (n - 1) * s) for n, s in zip(layout.shape, batch)]
        along = [rows, (0, self.depth)] if number == self.a else [(0, self.depth), columns]
        if any(begin >= end for begin, end in along):
            return (0, 0)
        ranges += [(b * s, (e - 1) * s) for (b, e), s in zip(along, (row, column))]
        low, high = sum(min(r) for r in ranges), sum(max(r) for r in ranges)
        return (low * layout.dtype.itemsize, (high + 1) * layout.dtype.itemsize)

    def _span(self, layout: Layout, offset: Affine, thread: int) -> Span:
        """The bytes that a thread touches in what follows the product."""
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
                return everywhere(layout, self.threads)[thread]
            low += min(step * begin, step * (end - 1))
            high += max(step * begin, step * (end - 1))
        return (low * layout.dtype.itemsize, (high + 1) * layout.dtype.itemsize)


def _tile_loop(body: list[str]) -> list[str]:
    """The loop over a block's tiles, which have about equally many rows."""
    return _parts("tile", "tiles", "m0", "m1", "rows", body)


def _block_loop(body: list[str], blocks: int) -> list[str]:
    """The loop over a thread's blocks of about equally many rows; what is one needs none."""
    if blocks == 1:
        return ["const dt_int rows_begin = m_begin, rows_end = m_end;", *body]
    return _parts("block", str(blocks), "rows_begin", "rows_end", "m", body)


def _parts(name: str, count: str, begin: str, end: str, of: str, body: list[str]) -> list[str]:
    """A loop over parts of a range of rows, from its ``_begin`` to its ``_end``."""
    return [
        f"for (dt_int {name} = 0; {name} < {count}; ++{name}) {{",
        f"    const dt_int {begin} = {of}_begin + ({of}_end - {of}_begin) * {name} / {count};",
        f"    const dt_int {end} = {of}_begin + ({of}_end - {of}_begin) * ({name} + 1) / {count};",
        *(f"    {line}" for line in body),
        "}",
    ]


def packing(b: Layout, threads: int) -> Packing:
    """How the second operand of products is packed, once for many of them.

    Parameters
    ----------
    b : Layout, shape (depth, columns)
    threads : int
        That pack it.
    """
    depth, columns = b.shape
    width = _panel_width(columns, b.dtype.itemsize)
    return Packing("panels", -(-columns // width) * width * depth, partial(_pack, threads=threads))


def _panel_width(columns: int, itemsize: int) -> int:
    """Columns of a panel: those of a tile, or of half a tile where all fit into that."""
    width = WIDTH // itemsize
    return width // 2 if 2 * columns <= width else width


def _pack(b: Layout, panels: Layout, threads: int) -> Kernel:
    depth, columns = b.shape
    kind, itemsize = C_TYPES[b.dtype], b.dtype.itemsize
    width = _panel_width(columns, itemsize)
    count = -(-columns // width)
    part = " / 2" if width < WIDTH // itemsize else ""
    lines = [
        f"enum {{ WIDTH = DT_WIDTH_{kind}{part} }};",
        f"dt_int begin, end = dt_share(team, thread, {count}, &begin) * {width};",
        f"for (dt_int n0 = begin * {width}; n0 < end && n0 < {columns}; n0 += WIDTH) {{",
        f"    const dt_int columns = {columns} - n0 < WIDTH ? {columns} - n0 : WIDTH;",
        f"    dt_pack_{kind}({depth}, columns, p0 + n0 * {b.strides[1]}, {b.strides[0]}, "
        f"{b.strides[1]}, q0 + n0 * {depth}, WIDTH);",
        "}",
    ]
    panel = width * depth * itemsize
    shares = [share(count, thread, threads) for thread in range(threads)]
    made = [(begin * panel, end * panel) for begin, end in shares]
    accesses = [Access(b, False, everywhere(b, threads)), Access(panels, True, made)]
    return Kernel("pack", f"pack: {depth} x {columns}", parameters([b], [panels]), lines, accesses)


def product_of_body(body: Graph) -> Value | None:
    """The product in a fused body; None where it has none."""
    return next((n.outputs[0] for n in body.nodes if n.op.name == "matmul"), None)
