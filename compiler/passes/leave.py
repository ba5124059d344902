"""What a group leaves to its readers, to compute again from less than it would have to keep.

Readers may compute what is quick to compute. Then what is kept in memory is a least cut between
what must be computed in the group and what readers want of it, in the graph of the group's values,
which weigh as many bytes as they have.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Mapping

from ...graphs.ir import Node, Value

MOST_AGAIN = 24  # operators of a group that readers compute again
_ENDLESS = 1 << 60

Arcs = Mapping[Value, tuple[Value, ...]]


def left_to_readers(
    wanted: Collection[Value], quick: Collection[Node], weight: Callable[[Value], int]
) -> set[Node]:
    """The nodes of a group that its readers compute.

    Parameters
    ----------
    wanted : collection of Value
        What readers read of the group.
    quick : collection of Node
        Those of the group that readers may compute.
    weight : callable
        From a value to the bytes that it takes to keep it; 0 for what is kept anyway.
    """
    weights: dict[Value, int] = {}
    arcs: dict[Value, tuple[Value, ...]] = {}
    pending = list(wanted)
    while pending:
        value = pending.pop()
        if value not in weights:
            weights[value] = weight(value)
            arcs[value] = value.node.inputs if weights[value] and value.node in quick else ()
            pending += arcs[value]
    kept = _least_cut(weights, arcs, wanted)
    again: set[Node] = set()
    pending = [v for v in wanted if v not in kept]
    while pending:
        value = pending.pop()
        if value.node not in again and arcs[value]:
            again.add(value.node)
            pending += [v for v in arcs[value] if v not in kept]
    return again if len(again) <= MOST_AGAIN else set()


def _least_cut(weights: Mapping[Value, int], arcs: Arcs, wanted: Collection[Value]) -> set[Value]:
    """The lightest values that everything wanted can be computed from; of several such sets the
    one that leaves the least to compute.

    Flow goes from what is wanted to what cannot be computed from something else, through each
    value as much as it weighs, until no more finds a way (Edmonds and Karp 1972).
    """
    room: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)

    def join(a: Hashable, b: Hashable, most: int) -> None:
        room[a][b] = most
        room[b].setdefault(a, 0)

    for value in wanted:
        join("wanted", (value, "out"), _ENDLESS)
    for value, operands in arcs.items():
        join((value, "out"), (value, "in"), weights[value])
        for operand in operands:
            join((value, "in"), (operand, "out"), _ENDLESS)
        if not operands:
            join((value, "in"), "given", _ENDLESS)
    while True:
        before = _reached(room)
        if "given" not in before:
            return {v for v in arcs if (v, "out") in before and (v, "in") not in before}
        path: list[Hashable] = ["given"]
        while path[-1] != "wanted":
            path.append(before[path[-1]])
        steps = list(zip(path[1:], path))
        most = min(room[a][b] for a, b in steps)
        for a, b in steps:
            room[a][b] -= most
            room[b][a] += most


def _reached(room: Mapping[Hashable, Mapping[Hashable, int]]) -> dict[Hashable, Hashable]:
    """What more flow can get to, by where it comes from; no further than to its end."""
    before: dict[Hashable, Hashable] = {"wanted": None}
    pending = deque(before)
    while pending and "given" not in before:
        here = pending.popleft()
        for there, more in room[here].items():
            if more and there not in before:
                before[there] = here
                pending.append(there)
    return before
