"""In which order groups are launched, and which of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .stacks import Column, Group


def launches(groups: list[Group]) -> Iterator[list[Group]]:
    """Groups to launch together, one launch after another; each comes when its operands are there.

    Of the signatures that could go, the one goes whose calls lie least deep on average: so what
    ends many examples, at many depths, waits for all of them. It is DyNet's order (Neubig, Goldberg
    and Dyer, On-the-fly operation batching in dynamic computation graphs, 2017), over groups in
    place of calls. No group is launched in parts, so there are at most depth times signatures.

    Parameters
    ----------
    groups : list of Group
        All that is not computed; whoever takes an item launches it.
    """
    order = {group: number for number, group in enumerate(groups)}
    waits: dict[Group, int] = {}
    readers: dict[Group, list[Group]] = {}
    depths: dict[Any, list[int]] = {}
    ready: dict[Any, list[Group]] = {}
    for group in groups:
        sources = _sources(group)
        waits[group] = len(sources)
        for source in sources:
            readers.setdefault(source, []).append(group)
        total = depths.setdefault(group.signature, [0, 0])
        total[0] += group.depth * group.count
        total[1] += group.count
        if not sources:
            ready.setdefault(group.signature, []).append(group)
    average = {signature: depth / count for signature, (depth, count) in depths.items()}
    while ready:
        together = ready.pop(min(ready, key=average.__getitem__))
        yield sorted(together, key=order.__getitem__)
        for source in together:
            for group in readers.get(source, ()):
                waits[group] -= 1
                if waits[group] == 0:
                    ready.setdefault(group.signature, []).append(group)


def _sources(group: Group) -> set[Group]:
    """The groups whose launch it waits for."""
    return {
        stack.group
        for column in group.columns
        if isinstance(column, Column)
        for stack in column.distinct()
        if stack.group is not None and stack.batch is None
    }
