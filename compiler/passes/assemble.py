"""assemble: put parts side by side instead of adding up arrays that hold zeros but for one part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ...graphs.dims import Size
from ...graphs.ir import Graph, Node, Value
from ...graphs.ops import accumulate, concat, expand_dims, reshape, stack
from ...graphs.ops.indexing import WHOLE, getitem
from .terms import readers, whole_sums


def assemble(graph: Graph) -> Graph:
    """Before: any graph. After: sums of `scatter_slice` whose parts cover an axis from end to end
    are one `concat` or `stack`, to which what else there was is added; slices that are joined
    again in order are the array that they come from, and a slice of joined parts is the part.

    Exact, but for zeros: -0.0 stays where adding 0.0 made it 0.0.
    """
    reads = readers(graph)
    sums = whole_sums(graph, reads)
    env: dict[Value, Value] = {}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value] | None:
        env.update(zip(node.inputs, inputs))
        found: Value | None = None
        if node in sums:
            found = _put_together(sums[node], env)
        elif node.op.name == "scatter_slice" and inputs[0].aval == node.outputs[0].aval:
            found = _unless_turned(node, inputs[0])
        elif node.op.name in ("concat", "stack"):
            found = rejoined(inputs, node.attrs["axis"], stacked=node.op.name == "stack")
        elif node.op.name == "getitem" and inputs[0].node.op.name in ("concat", "stack"):
            found = _part(inputs[0].node, slot_of(node.attrs["index"]))
        return None if found is None else (found,)

    return graph.rebuild(visit, bodies=assemble)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a part lies on the one axis that an index does not take as a whole.

    Attributes
    ----------
    axis : int
    start, stop : int or Dim
    is_index : bool
        The part is one entry, and lacks the axis.
    """

    axis: int
    start: Size
    stop: Size
    is_index: bool


def slot_of(index: tuple[Any, ...]) -> Slot | None:
    """The slot of an index in normal form; None where it selects on several axes or by steps."""
    chosen = [(axis, entry) for axis, entry in enumerate(index) if entry != WHOLE]
    if len(chosen) != 1:
        return None
    [(axis, entry)] = chosen
    if isinstance(entry, int):
        return Slot(axis, entry, entry + 1, True) if entry >= 0 else None
    if entry is None or entry[2] not in (1, None):
        return None
    return Slot(axis, entry[0], entry[1], False)


def slots_of(parts: Sequence[Value]) -> tuple[Value, list[Slot]] | None:
    """The array that all parts are slices of on one axis, and where they lie; None if none is."""
    if any(part.node.op.name != "getitem" for part in parts):
        return None
    slots = [slot_of(part.node.attrs["index"]) for part in parts]
    source = parts[0].node.inputs[0]
    known = [slot for slot in slots if slot is not None]
    kinds = {(slot.axis, slot.is_index) for slot in known}
    if len(known) < len(parts) or len(kinds) > 1 or any(
        part.node.inputs[0] is not source for part in parts
    ):  # fmt: skip
        return None
    return source, known


def rejoined(parts: Sequence[Value], axis: int, *, stacked: bool = False) -> Value | None:
    """What a `concat` or `stack` of slices that follow each other shows of their array.

    None where they do not.
    """
    if len(parts) == 1:
        return None if stacked else parts[0]
    found = slots_of(parts)
    if found is None:
        return None
    source, slots = found
    ahead = all(a.stop == b.start for a, b in pairwise(slots))
    if not ahead or slots[0].axis != axis or (stacked and not slots[0].is_index):
        return None
    start, stop = slots[0].start, slots[-1].stop
    whole = start == 0 and stop == source.shape[axis]
    run = source if whole else getitem(source, (*[WHOLE] * axis, (start, stop, 1)))
    if stacked or not slots[0].is_index:
        return run
    shape = run.shape
    return reshape(run, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def joined(parts: Sequence[Value], axis: int) -> Value:
    """The parts joined along an axis, by a view where they are slices of one array in order."""
    view = rejoined(parts, axis)
    whole: Value = concat(parts, axis) if view is None else view
    return whole


def _unless_turned(node: Node, g: Value) -> Value | None:
    """The operand of a scatter that fills the whole; a negative step turns it round."""
    return g if all(entry == WHOLE for entry in node.attrs["index"]) else None


def _part(join: Node, slot: Slot | None) -> Value | None:
    """The part of a `concat` or `stack` that a slot holds."""
    if slot is None or slot.axis != join.attrs["axis"]:
        return None
    if join.op.name == "stack":
        return join.inputs[slot.start] if slot.is_index else None
    start: Size = 0
    for part in join.inputs:
        stop = start + part.shape[slot.axis]
        if (slot.start, slot.stop) == (start, stop) and not slot.is_index:
            return part
        start = stop
    return None


def _put_together(terms: list[Value], env: dict[Value, Value]) -> Value | None:
    """The sum of terms with the scattered ones joined; None where they cover no axis."""
    by_axis: dict[int, list[tuple[Value, Slot]]] = {}
    for term in terms:
        if term.node.op.name == "scatter_slice":
            slot = slot_of(term.node.attrs["index"])
            if slot is not None:
                by_axis.setdefault(slot.axis, []).append((term, slot))
    for axis, slots in by_axis.items():
        run = _in_order(slots, terms[0].shape[axis])
        if run is not None:
            whole = _side_by_side(run, axis, env)
            used = {part for parts, _ in run for part in parts}
            rest = [env[term] for term in terms if term not in used]
            return accumulate([whole, *rest]) if rest else whole
    return None


Run = list[tuple[list[Value], bool]]


def _in_order(slots: list[tuple[Value, Slot]], size: Size) -> Run | None:
    """The parts from end to end, those in one slot together, and which lack the axis. One that is
    added twice is there twice."""
    begins: dict[Size, dict[tuple[Size, bool], list[Value]]] = {}
    for part, slot in slots:
        begins.setdefault(slot.start, {}).setdefault((slot.stop, slot.is_index), []).append(part)
    run: Run = []
    at: Size = 0
    while at != size and len(begins.get(at, ())) == 1:
        [((at, is_index), parts)] = begins.pop(at).items()
        run.append((parts, is_index))
    return run if at == size and run else None


def _side_by_side(run: Run, axis: int, env: dict[Value, Value]) -> Value:
    values = []
    for parts, _ in run:
        operands = [env[part.node.inputs[0]] for part in parts]
        values.append(accumulate(operands) if len(operands) > 1 else operands[0])
    if all(is_index for _, is_index in run):
        return stack(values, axis)
    return joined(
        [expand_dims(v, axis) if is_index else v for v, (_, is_index) in zip(values, run)], axis
    )
