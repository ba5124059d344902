"""Statements on one element, and loops over elements, as C."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .affine import Affine
from .scalars import literal

BLOCK = 256  # elements of a stage of a loop
MOST_SLOW = 3  # so many slow functions are cut into stages

_NAME = re.compile(r"\b[a-z]+\d+\b")
_START = {"sum": 0, "sum_to": 0, "prod": 1}


@dataclass
class Load:
    """Read an element of memory; `level` is that of the section it stands in."""

    name: str
    kind: str
    pointer: str
    offset: Affine
    level: int


@dataclass
class Let:
    """Compute a number; `is_dear` says that this takes long."""

    name: str
    kind: str
    code: str
    is_dear: bool = False


@dataclass
class Store:
    """Write an element to memory."""

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


Element = Load | Let | Store | Reduce


def printed(statements: Iterable[Element], names: Mapping[str, str], indent: str) -> list[str]:
    """Statements as C; `names` is how C calls the loops' variables."""
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


def reduction(s: Reduce, names: Mapping[str, str]) -> str:
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


def start_of(how: str, dtype: np.dtype) -> str:
    """What a reduction begins with."""
    if how in _START:
        return literal(_START[how], dtype)
    if dtype.kind == "f":
        return literal(-np.inf if how == "max" else np.inf, dtype)
    info = np.iinfo(dtype)
    return literal(info.min if how == "max" else info.max, dtype)


def element_loop(
    statements: Sequence[Element],
    loop: str,
    begin: str,
    end: str,
    names: Mapping[str, str],
    marks: str = "",
) -> list[str]:
    """A loop over elements, in vectors.

    Where many slow functions follow each other, a vector would wait for each of them in turn. So
    their loops are cut into stages over blocks that stay in the first cache: in a stage vectors
    do not wait for each other.

    Parameters
    ----------
    statements : sequence
    loop : str
        Its variable, which goes from `begin` to `end`.
    begin, end : str
    names : mapping
    marks : str
        Clauses of OpenMP, for the reductions among the statements.
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
        later = {name for names_read in read[i + 1 :] for name in names_read}
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


def _is_slow(s: Element) -> bool:
    return isinstance(s, Let) and s.is_dear


def _stages(statements: Sequence[Element]) -> list[list[Element]]:
    """Statements cut between slow functions, if there are many."""
    if sum(map(_is_slow, statements)) < MOST_SLOW:
        return [list(statements)]
    stages: list[list[Element]] = [[]]
    for s in statements:
        if _is_slow(s) and any(map(_is_slow, stages[-1])):
            stages.append([])
        stages[-1].append(s)
    return stages


def _names_in(s: Element) -> list[str]:
    """The names that a statement reads."""
    if isinstance(s, Load):
        return []
    return _NAME.findall(s.code) if isinstance(s, Let) else [s.name]
