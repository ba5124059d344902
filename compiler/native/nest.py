"""Loop nests: the loops of a fused node, from its body, printed as C.

The body says what one element is. Its operands and results have layouts, so an element's address is
an affine function of the loops' variables; axes that lie without gaps in all of them become one.
A value of the whole domain that several passes over a row need is computed again or kept, by what
is quicker. Rows (or, of a sum over rows, partial sums) are spread over the threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...graphs.ir import CONSTANT, PLACEHOLDER, Graph, Node, Value
from .affine import ZERO, Affine, in_shape
from .layout import Layout, dense_strides
from .scalars import C_TYPES, is_dear, literal, scalar_code

FULL, ROW, END = "full", "row", "end"
VECTOR = 16  # elements: what a thread's share of one long axis is rounded to
LONG = 16384  # elements of a whole array that several threads add up
MOST_KEPT = 8192  # elements of a row that are kept between passes
BLOCK = 256  # elements of a stage of a loop
MOST_SLOW = 3  # so many slow functions are cut into stages

_NAME = re.compile(r"\b[a-z]+\d+\b")

_START = {"sum": 0, "sum_to": 0, "prod": 1}


@dataclass
class Access:
    """What a kernel reads or writes through one of its pointers.

    Attributes
    ----------
    layout : Layout
    writes : bool
    spans : list of (int, int)
        Per thread the bytes, from the layout's first element in round 0, that it may touch.
    """

    layout: Layout
    writes: bool
    spans: list[tuple[int, int]]


@dataclass
class Kernel:
    """A C function and what it is called with.

    Attributes
    ----------
    label : str
        Names the function.
    note : str
        What it computes, for people.
    parameters : list of str
        Types and names, one per access.
    body : list of str
    accesses : list of Access
    scratch : int
        Bytes that it needs while it runs.
    waits : bool
        Whether it waits for all threads between phases of its own.
    refuses : bool
        Whether it may refuse its data.
    """

    label: str
    note: str
    parameters: list[str]
    body: list[str]
    accesses: list[Access]
    scratch: int = 0
    waits: bool = False
    refuses: bool = False


@dataclass
class Load:
    name: str
    kind: str
    pointer: str
    offset: Affine
    level: int


@dataclass
class Let:
    name: str
    kind: str
    code: str
    is_dear: bool = False


@dataclass
class Store:
    pointer: str
    offset: Affine
    name: str


@dataclass
class Reduce:
    """Add an element to a number (over vectors, or plainly) or to an element of an array."""

    target: str
    how: str
    name: str
    offset: Affine | None = None
    in_vectors: bool = False

    @property
    def is_extreme(self) -> bool:
        return self.how in ("max", "min")

    @property
    def clause(self) -> str:
        """What OpenMP calls it."""
        return self.how if self.is_extreme else "*" if self.how == "prod" else "+"


@dataclass
class Section:
    """Statements at one level of the loops, and the names that they define."""

    statements: list[Any] = field(default_factory=list)


class Scalars:
    """Pulls the code of elements out of a body, each once a section.

    Parameters
    ----------
    body : Graph
    pointers : dict
        From each placeholder to its C name and layout.
    inner : set of str
        Variables of the innermost loops: what does not depend on them is computed outside.
    """

    def __init__(self, body: Graph, pointers: dict[Value, tuple[str, Layout]]) -> None:
        self.body, self.pointers = body, pointers
        self.inner: set[str] = set()
        self.outer: set[str] = set()
        self.sections = [Section(), Section(), Section()]  # once, per row, per element
        self.known: dict[Any, tuple[str, int]] = {}
        self.made: dict[Value, tuple[str, int]] = {}  # what stands for a value at any index
        self.kept: dict[Value, tuple[str, Affine]] = {}  # where an earlier pass has put a value
        self.loads: list[Load] = []
        self.count = 0

    def fresh(self, prefix: str = "x") -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def pull(self, value: Value, index: tuple[Affine, ...]) -> tuple[str, int]:
        """The name of an element, and the level of the section that defines it."""
        if value in self.made:
            return self.made[value]
        key = (value, index)
        if key not in self.known:
            self.known[key] = self._define(value, index)
        return self.known[key]

    def forget_elements(self) -> None:
        """Begin another pass over a row: names of elements are gone."""
        self.known = {k: v for k, v in self.known.items() if v[1] < 2}

    def _define(self, value: Value, index: tuple[Affine, ...]) -> tuple[str, int]:
        node = value.node
        if value in self.kept:
            array, offset = self.kept[value]
            return self.load(array, C_TYPES[value.dtype.name], offset)
        if node.op is CONSTANT:
            array = node.attrs["array"]
            return literal(array[()], array.dtype), 0
        if node.op is PLACEHOLDER:
            return self._load(value, index)
        if node.op.view and node.op.name != "stop_gradient":
            [source] = node.inputs
            return self.pull(source, _seen_through(node, index))
        operands = [self.pull(v, broadcast_index(index, v.aval.shape)) for v in node.inputs]
        level = max((depth for _, depth in operands), default=0)
        name = self.fresh()
        kind = C_TYPES[value.dtype.name]
        code = scalar_code(node.bound, [operand for operand, _ in operands])
        self.sections[level].statements.append(Let(name, kind, code, is_dear(node)))
        return name, level

    def _load(self, value: Value, index: tuple[Affine, ...]) -> tuple[str, int]:
        pointer, layout = self.pointers[value]
        return self.load(pointer, C_TYPES[value.dtype.name], address(index, layout.strides))

    def load(self, pointer: str, kind: str, offset: Affine) -> tuple[str, int]:
        variables = offset.variables
        level = 2 if variables & self.inner else 1 if variables & self.outer else 0
        load = Load(self.fresh(), kind, pointer, offset, level)
        self.sections[level].statements.append(load)
        self.loads.append(load)
        return load.name, level


def address(index: Sequence[Affine], strides: Sequence[int]) -> Affine:
    """Elements from the first one of a layout."""
    total = ZERO
    for i, stride in zip(index, strides):
        total = total + i * stride
    return total


def broadcast_index(index: tuple[Affine, ...], shape: tuple[int, ...]) -> tuple[Affine, ...]:
    """The index of an operand that is broadcast to where `index` points."""
    extra = len(index) - len(shape)
    return tuple(ZERO if n == 1 else index[extra + i] for i, n in enumerate(shape))


def _seen_through(node: Node, index: tuple[Affine, ...]) -> tuple[Affine, ...]:
    shape, target = node.outputs[0].aval.shape, node.inputs[0].aval.shape
    if node.op.name == "broadcast_to":
        return broadcast_index(index, target)
    return in_shape(index, shape, target)


class Axes:
    """Loops over some axes of the domain: their order, slowest first, and which are one.

    Parameters
    ----------
    sizes : dict
        From each variable to its size.
    variables : iterable of str
    offsets : list of Affine
        Of all accesses; the first one decides the order.
    """

    def __init__(
        self, sizes: dict[str, int], variables: Iterable[str], offsets: Sequence[Affine], name: str
    ) -> None:
        kept = [v for v in variables if sizes[v] != 1]
        lead = offsets[0] if offsets else ZERO
        kept.sort(key=lambda v: -abs(lead.coefficient(v) or 0))
        groups: list[list[str]] = []
        for variable in kept:
            if groups and all(self._follows(o, groups[-1][-1], variable, sizes) for o in offsets):
                groups[-1].append(variable)
            else:
                groups.append([variable])
        self.sizes = [product_of(sizes[v] for v in group) for group in groups]
        self.members = groups
        self.last = [group[-1] for group in groups]
        self.loops = [f"{name}{i}" if len(groups) > 1 else name for i in range(len(groups))]

    @staticmethod
    def _follows(offset: Affine, slow: str, fast: str, sizes: dict[str, int]) -> bool:
        """Whether two axes are one in an access."""
        a, b = offset.coefficient(slow), offset.coefficient(fast)
        return a is not None and b is not None and a == b * sizes[fast]

    @property
    def names(self) -> dict[str, str]:
        """How addresses call the variables; those that are merged into another count as 0."""
        return dict(zip(self.last, self.loops))

    @property
    def size(self) -> int:
        return product_of(self.sizes)

    def walk(
        self, statements: Sequence[Any], names: dict[str, str], marks: str = "", first: str = ""
    ) -> list[str]:
        """The loops around statements; the outermost one over a thread's share, if `first` names
        its bounds as ``begin, end``."""
        if not self.loops:
            return ["{", *printed(statements, names, "    "), "}"]
        bounds = [("0", str(size)) for size in self.sizes]
        if first:
            bounds[0] = (first.partition(", ")[0], first.partition(", ")[2])
        lines = element_loop(statements, self.loops[-1], *bounds[-1], names, marks)
        for loop, (begin, end) in reversed(list(zip(self.loops[:-1], bounds[:-1]))):
            head = f"for (dt_int {loop} = {begin}; {loop} < {end}; ++{loop}) {{"
            lines = [head, *(f"    {line}" for line in lines), "}"]
        return lines

    def split(self, index: str) -> list[str]:
        """Statements that give the loops' variables from their common number."""
        if len(self.loops) == 1:
            return [f"const dt_int {self.loops[0]} = {index};"]
        lines, rest = [], self.size
        for loop, size in zip(self.loops, self.sizes):
            rest //= max(size, 1)
            quotient = index if rest == 1 else f"{index} / {rest}"
            wrapped = quotient if loop == self.loops[0] else f"{quotient} % {size}"
            lines.append(f"const dt_int {loop} = {wrapped};")
        return lines

    def split_all_but_last(self, index: str) -> list[str]:
        """The same for a number that counts the loops but the innermost."""
        lines, rest = [], self.size // max(self.sizes[-1], 1)
        for loop, size in zip(self.loops[:-1], self.sizes[:-1]):
            rest //= max(size, 1)
            lines.append(f"const dt_int {loop} = {index} / {rest} % {size};")
        return lines

    def reach(self, offset: Affine, begin: int, end: int) -> tuple[int, int]:
        """The least and the largest part of an address over a range of the common number."""
        if begin >= end or not self.sizes:
            return (0, 0)
        rest = self.size // max(self.sizes[0], 1)
        ranges = [(begin // rest, (end - 1) // rest)] + [(0, n - 1) for n in self.sizes[1:]]
        if len(self.sizes) > 1 and ranges[0][0] == ranges[0][1] and len(self.sizes) == 2:
            ranges[1] = (begin % rest, (end - 1) % rest)
        low = high = 0
        for variable, (first, last) in zip(self.last, ranges):
            step = offset.coefficient(variable)
            if step is None:
                return (-(1 << 60), 1 << 60)
            low += min(step * first, step * last)
            high += max(step * first, step * last)
        return (low, high)


def product_of(sizes: Iterable[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


def share(count: int, thread: int, threads: int) -> tuple[int, int]:
    """The same as `dt_share`."""
    return count * thread // threads, count * (thread + 1) // threads


def printed(statements: Iterable[Any], names: dict[str, str], indent: str) -> list[str]:
    """Statements as C."""
    lines = []
    for s in statements:
        if isinstance(s, Load):
            text = f"const {s.kind} {s.name} = {s.pointer}[{s.offset.text(names)}];"
        elif isinstance(s, Let):
            text = f"const {s.kind} {s.name} = {s.code};"
        elif isinstance(s, Store):
            text = f"{s.pointer}[{s.offset.text(names)}] = {s.name};"
        else:
            text = reduction(s, names)
        lines.append(indent + text)
    return lines


def element_loop(
    statements: Sequence[Any],
    loop: str,
    begin: str,
    end: str,
    names: dict[str, str],
    marks: str = "",
) -> list[str]:
    """A loop over elements, in vectors.

    Where many slow functions follow each other, a vector would wait for each of them in turn. So
    their loops are cut into stages over blocks that stay in the first cache: in a stage vectors
    do not wait for each other.
    """
    stages = _stages(statements)
    if len(stages) == 1:
        return [
            f"#pragma omp simd{marks}",
            f"for (dt_int {loop} = {begin}; {loop} < {end}; ++{loop}) {{",
            *printed(statements, names, "    "),
            "}",
        ]
    kinds = {s.name: s.kind for s in statements if isinstance(s, Load | Let)}
    made = [{s.name for s in stage if isinstance(s, Load | Let)} for stage in stages]
    read = [{n for s in stage for n in _names_in(s)} & kinds.keys() for stage in stages]
    lines = [
        f"for (dt_int block = {begin}; block < {end}; block += {BLOCK}) {{",
        f"    const dt_int size = {end} - block < {BLOCK} ? {end} - block : {BLOCK};",
    ]
    for i, stage in enumerate(stages):
        later = set().union(*read[i + 1 :]) if i + 1 < len(stages) else set()
        kept = sorted(made[i] & later)
        brought = sorted(read[i] - made[i])
        lines += [f"    {kinds[name]} {name}_kept[{BLOCK}];" for name in kept]
        lines.append(f"    #pragma omp simd{marks if i == len(stages) - 1 else ''}")
        lines.append("    for (dt_int j = 0; j < size; ++j) {")
        if any(loop in line for line in printed(stage, names, "")):
            lines.append(f"        const dt_int {loop} = block + j;")
        lines += [f"        const {kinds[name]} {name} = {name}_kept[j];" for name in brought]
        lines += printed(stage, names, "        ")
        lines += [f"        {name}_kept[j] = {name};" for name in kept]
        lines.append("    }")
    return [*lines, "}"]


def _stages(statements: Sequence[Any]) -> list[list[Any]]:
    """Statements cut behind slow functions, if there are many."""
    slow = sum(isinstance(s, Let) and s.is_dear for s in statements)
    if slow < MOST_SLOW:
        return [list(statements)]
    stages: list[list[Any]] = [[]]
    for s in statements:
        if (
            isinstance(s, Let)
            and s.is_dear
            and any(x.is_dear for x in stages[-1] if isinstance(x, Let))
        ):
            stages.append([])
        stages[-1].append(s)
    return stages


def _names_in(s: Any) -> list[str]:
    return _NAME.findall(s.code) if isinstance(s, Let) else [] if isinstance(s, Load) else [s.name]


def reduction(s: Reduce, names: dict[str, str]) -> str:
    """The statement that adds one element to a reduction."""
    target = s.target if s.offset is None else f"{s.target}[{s.offset.text(names)}]"
    if not s.is_extreme:
        return f"{target} {s.clause}= {s.name};"
    sign = ">" if s.how == "max" else "<"
    if s.in_vectors:  # compilers know this form; NaN is told apart beside it
        return (
            f"{target} = {s.name} {sign} {target} ? {s.name} : {target}; "
            f"{target}_nan |= {s.name} != {s.name};"
        )
    return f"{target} = ({s.name} {sign} {target} || {s.name} != {s.name}) ? {s.name} : {target};"


def described(
    body: Graph,
    shape: tuple[int, ...],
    operands: Sequence[Layout],
    results: Sequence[Layout],
    lines: list[str],
    accesses: list[Access],
) -> Kernel:
    """A kernel with what people want to know of it."""
    names = [n.op.name for n in body.nodes if n.op.kernel is not None and not n.op.view] or ["copy"]
    parameters = [f"const {C_TYPES[x.dtype.name]} *p{i}" for i, x in enumerate(operands)] + [
        f"{C_TYPES[x.dtype.name]} *q{i}" for i, x in enumerate(results)
    ]
    label = "_".join(dict.fromkeys(names[:4]))
    sizes = " x ".join(map(str, shape)) or "one number"
    return Kernel(label, f"{', '.join(names)}: {sizes}", parameters, lines, accesses)


def start_of(how: str, dtype: np.dtype) -> str:
    """What a reduction begins with."""
    if how in _START:
        return literal(_START[how], dtype)
    if dtype.kind == "f":
        return literal(-np.inf if how == "max" else np.inf, dtype)
    info = np.iinfo(dtype)
    return literal(info.min if how == "max" else info.max, dtype)


class Plan:
    """What a fused body computes in which pass.

    Attributes
    ----------
    passes : int
    reductions : list of list of Node
        Per pass those of rows that it feeds.
    ends : list of list of Node
        Per pass those over all rows.
    stores : list of list of Value
        Per pass the results over the whole domain.
    level : dict
        From each node to the pass that can compute it first.
    """

    def __init__(self, body: Graph, kinds: Sequence[str]) -> None:
        self.body = body
        self.kind = dict(zip(body.nodes, kinds))
        self.level: dict[Node, int] = {}
        for node in body.nodes:
            inputs = max((self.level[v.node] for v in node.inputs), default=0)
            self.level[node] = inputs + (self.kind[node] is ROW and self.is_reduction(node))
        outputs = list(dict.fromkeys(body.outputs))
        full = [v for v in outputs if self.kind[v.node] is FULL]
        rows = [n for n in body.nodes if self.kind[n] is ROW and self.is_reduction(n)]
        ends = [n for n in body.nodes if self.kind[n] is END]
        self.passes = 1 + max(
            [self.level[v.node] for v in full]
            + [self.level[n] - 1 for n in rows]
            + [self.level[n] for n in ends],
            default=0,
        )
        at = range(self.passes)
        self.reductions = [[n for n in rows if self.level[n] - 1 == p] for p in at]
        self.ends = [[n for n in ends if self.level[n] == p] for p in at]
        self.stores = [[v for v in full if self.level[v.node] == p] for p in at]
        self.rows = [v for v in outputs if self.kind[v.node] is ROW]

    @staticmethod
    def is_reduction(node: Node) -> bool:
        return node.op.name in ("sum", "sum_to", "prod", "max", "min")

    def dear_values(self, now: int) -> list[Value]:
        """Values of the whole domain that pass `now` can compute, later ones read, and that take
        long to compute again."""
        later: set[Value] = set()
        for p in range(now + 1, self.passes):
            for root in (
                *(n.inputs[0] for n in (*self.reductions[p], *self.ends[p])),
                *self.stores[p],
            ):
                self._read_by(root, now, later)
        return [v for v in sorted(later, key=lambda v: v.node.id) if self.level[v.node] == now]

    def _read_by(self, value: Value, now: int, found: set[Value]) -> None:
        node = value.node
        if self.kind.get(node) is ROW or node.op is PLACEHOLDER or node.op is CONSTANT:
            return
        if self.kind.get(node) is FULL and self.level[node] <= now and is_dear(node):
            found.add(value)
            return
        for operand in node.inputs:
            self._read_by(operand, now, found)


def spans_of(
    layout: Layout,
    offset: Affine,
    outer: Axes,
    inner: Sequence[Axes],
    shares: Sequence[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Per thread the bytes that an access touches."""
    width = layout.dtype.itemsize
    low = high = offset.constant
    for axes in inner:
        least, most = axes.reach(offset, 0, axes.size)
        low, high = low + least, high + most
    result = []
    for begin, end in shares:
        if begin >= end:
            result.append((0, 0))
            continue
        least, most = outer.reach(offset, begin, end)
        result.append(((low + least) * width, (high + most + 1) * width))
    return result


def hull(spans: list[list[tuple[int, int]]], threads: int) -> list[tuple[int, int]]:
    """Per thread the bytes from the first to the last of several accesses."""
    result = []
    for thread in range(threads):
        found = [s[thread] for s in spans if s[thread][0] < s[thread][1]]
        result.append((min(a for a, _ in found), max(b for _, b in found)) if found else (0, 0))
    return result


def dense_index(variables: Sequence[str], sizes: dict[str, int]) -> Affine:
    """The number of an element among those of some axes."""
    total = ZERO
    for variable, step in zip(variables, dense_strides(tuple(sizes[v] for v in variables))):
        total = total + Affine.of(variable) * step
    return total
