"""Element-wise updates of many storages in one call, by a rule that is written in operators.

An optimiser changes many arrays alike. Operator by operator, each costs several calls and passes
through memory several times. Here the rule is run once, on values of a graph; what it consists of,
loops of ufuncs one after the other, is handed to the extension, which runs them on all arrays,
piece by piece, in place. The bits are those of the operators: they are the same loops.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .avals import Aval
from .compiled import speedups
from .errors import DiptychError
from .held import count_writes, moves
from .ir import CONSTANT, PLACEHOLDER, Graph, Node, Value
from .kernels import recorder
from .kernels.elementwise import cast
from .kernels.library import library
from .modes import mode, readers, settle
from .storage import Storage

# ``rule(given, held, numbers)`` gives the new values of what is held.
Rule = Callable[[Any, Sequence[Any], Sequence[Any]], Sequence[Any]]


class Recipe(NamedTuple):
    """What the extension runs on each row.

    Attributes
    ----------
    calls : tuple of (numpy.ufunc, tuple of int)
        And the registers of its operands and its result.
    dtypes : tuple of numpy.dtype
        Of each register. These are, in order: what is given, what is held, numbers, constants, and
        intermediate results.
    constants : tuple of bytes
    """

    calls: tuple[tuple[np.ufunc, tuple[int, ...]], ...]
    dtypes: tuple[np.dtype, ...]
    constants: tuple[bytes, ...]


class Sweep:
    """Updates rows of storages, each element from those at its place in the row.

    Parameters
    ----------
    rule : callable
        ``rule(given, held, numbers)``, in operators, of operands alone: the new values of what is
        held, an operand itself where it stays. It is run once for each kind of row.
    rows : sequence of tuples of Storage
        What is held, as many in each row.
    """

    def __init__(self, rule: Rule, rows: Sequence[tuple[Storage, ...]]) -> None:
        self._rule, self._rows = rule, rows
        self._parts: list[_Part] = []
        self._spans: _Spans | None = None
        self._made_at = -1

    def __call__(self, given: list[Any], numbers: Sequence[Any]) -> list[Any]:
        """Update the rows for which something is given.

        Parameters
        ----------
        given : list of tensor or None
            One per row, like the first of what it holds.
        numbers : sequence of tensors
            A number each, or one per row. They are converted to the dtype of a row.

        Returns
        -------
        list of tensor or None
            What is still to be done, by operators, which say what is wrong or let others look on.
        """
        if speedups is None or recorder() is not None or readers() or mode().notes is not None:
            return given
        settle()
        if self._made_at != moves():
            self._prepare(len(numbers))
        arrays = tuple([None if x is None else x.array for x in given])
        if self._spans is not None and any(map(self._spans.meet, arrays)):
            return given
        for part in self._parts:
            if part.call(arrays, tuple([cast(x.array, part.dtype) for x in numbers])):
                count_writes(part.rows, arrays)
                given = [None if i in part.rows else x for i, x in enumerate(given)]
        return given

    def _prepare(self, numbers: int) -> None:
        self._parts, self._spans = [], None
        self._made_at = moves()
        library()  # has the threads of many numbers
        recipes: dict[Recipe, dict[int, tuple[Storage, ...]]] = {}
        for i, row in enumerate(self._rows):
            avals = tuple([held.aval for held in row])
            recipe = _recipe(self._rule, avals, numbers) if _is_dense(row) else None
            if recipe is not None:
                recipes.setdefault(recipe, {})[i] = row
        for recipe, rows in recipes.items():
            with suppress(ValueError):  # which says what the extension cannot do
                self._parts.append(_part(recipe, rows, numbers))
        if self._parts and len(self._parts[0].rows) < len(self._rows):
            # Rows are not taken in their order, so none may see what another writes. Of rows that
            # are one part the extension knows.
            self._spans = _Spans([held.array for row in self._rows for held in row])
            if self._spans.overlap:
                self._parts = []

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the storages has other memory."""
        return {**self.__dict__, "_parts": [], "_spans": None, "_made_at": -1}


class _Spans:
    """Where arrays lie: from which address on to before which.

    Attributes
    ----------
    overlap : bool
        Whether two of them may share memory.
    """

    def __init__(self, arrays: list[np.ndarray]) -> None:
        spans = sorted(byte_bounds(array) for array in arrays if array.size)
        self._begins = [begin for begin, _ in spans]
        self._ends = [end for _, end in spans]
        self.overlap = any(begin < end for begin, end in zip(self._begins[1:], self._ends))

    def meet(self, array: Any) -> bool:
        """Whether an array may share memory with one of them, which do not overlap."""
        if array is None or not array.size:
            return False
        if type(array) is not np.ndarray:
            return True
        begin, end = byte_bounds(array)
        behind = bisect_left(self._begins, end)
        return behind > 0 and self._ends[behind - 1] > begin


class _Part(NamedTuple):
    """The rows that have one recipe, each with the storages that it writes."""

    call: Any
    dtype: np.dtype
    rows: dict[int, tuple[Storage, ...]]


def _is_dense(row: tuple[Storage, ...]) -> bool:
    return all(type(held.array) is np.ndarray and held.array.flags.carray for held in row)


def _part(recipe: Recipe, rows: dict[int, tuple[Storage, ...]], numbers: int) -> _Part:
    held = len(next(iter(rows.values())))
    dtypes = recipe.dtypes[1 + held + numbers :]
    constants = tuple([np.frombuffer(c, d) for c, d in zip(recipe.constants, dtypes)])
    arrays = [(i, tuple([storage.array for storage in row])) for i, row in rows.items()]
    call = speedups.Sweep(recipe.calls, recipe.dtypes, constants, numbers, tuple(arrays))
    written = {registers[-1] for _, registers in recipe.calls}
    changed = {
        i: tuple([storage for r, storage in enumerate(row, 1) if r in written])
        for i, row in rows.items()
    }
    return _Part(call, recipe.dtypes[0], changed)


def _recipe(rule: Rule, held: tuple[Aval, ...], numbers: int) -> Recipe | None:
    """What a rule does to a row; None where it is no loops of ufuncs over the row's elements."""
    graph = Graph()
    scalar = Aval((), held[0].dtype)
    avals = [held[0], *held, *[scalar] * numbers]
    operands = [graph.add_placeholder(str(i), aval) for i, aval in enumerate(avals)]
    try:
        values = rule(operands[0], operands[1 : len(held) + 1], operands[len(held) + 1 :])
    except DiptychError:  # which operators will raise again, where they do
        return None
    before = operands[1 : len(held) + 1]
    changed = {i: v for i, v in enumerate(values, 1) if v is not before[i - 1]}
    if not all(_is_computed(v) and v.aval == operands[i].aval for i, v in changed.items()):
        return None
    nodes = _needed(changed.values())
    if not all(_is_loop(node, held[0].shape) for node in nodes):
        return None
    return _translated(operands, changed, nodes)


def _is_computed(value: Any) -> bool:
    return isinstance(value, Value) and not value.node.op.is_source


def _needed(values: Iterable[Value]) -> list[Node]:
    """The nodes that compute values, in order."""
    found: dict[int, Node] = {}
    left = [value.node for value in values]
    while left:
        node = left.pop()
        if node.id not in found and node.op is not PLACEHOLDER:
            found[node.id] = node
            left.extend(value.node for value in node.inputs)
    return [found[i] for i in sorted(found)]


def _is_loop(node: Node, shape: Any) -> bool:
    """Whether a node computes each element from those at its place, by a ufunc's inner loop."""
    if node.op is CONSTANT:
        return node.outputs[0].shape == ()
    return isinstance(node.bound.kernel, speedups.Loop) and node.outputs[0].shape in (shape, ())


def _translated(operands: list[Value], changed: dict[int, Value], nodes: list[Node]) -> Recipe:
    """Nodes as calls, with as few intermediate results as can be.

    Parameters
    ----------
    operands : list of Value
        In the order of their registers.
    changed : dict
        From registers of what is held to their new values.
    nodes : list of Node
    """
    constants = [node for node in nodes if node.op is CONSTANT]
    steps = [node for node in nodes if node.op is not CONSTANT]
    known = [*operands, *(node.outputs[0] for node in constants)]
    register = {value: i for i, value in enumerate(known)}
    dtypes = [value.dtype for value in known]
    last = {value: i for i, node in enumerate(steps) for value in node.inputs}
    # A new value is computed over the old one where nothing reads that later, else copied at last.
    place: dict[Value, int] = {}
    copied: list[tuple[Value, int]] = []
    for i, value in changed.items():
        if value in place or last.get(operands[i], -1) > steps.index(value.node):
            copied.append((value, i))
        else:
            place[value] = i
    last.update((value, len(steps)) for value, _ in copied)
    free: dict[np.dtype, list[int]] = defaultdict(list)
    calls = []
    for i, node in enumerate(steps):
        reads = [register[value] for value in node.inputs]
        for value in dict.fromkeys(node.inputs):
            if last[value] == i and register[value] >= len(known):
                free[value.dtype].append(register[value])
        [result] = node.outputs
        if result in place:
            register[result] = place[result]
        elif free[result.dtype]:
            register[result] = free[result.dtype].pop()
        else:
            register[result] = len(dtypes)
            dtypes.append(result.dtype)
        calls.append((node.bound.kernel.ufunc, (*reads, register[result])))
    calls += [(np.positive, (register[value], i)) for value, i in copied]
    data = [node.attrs["array"].tobytes() for node in constants]
    return Recipe(tuple(calls), tuple(dtypes), tuple(data))
