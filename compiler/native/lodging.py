"""Lodging: a result's memory is there from the beginning of a run, and what is needed before the
result is computed may lie in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..arena import Taken, put
from .buffers import Given, Room


def lodge(rooms: Sequence[Room], begins: Mapping[Given, int]) -> list[Room]:
    """Give rooms a host, the largest first, where that lets the arena be smaller.

    Parameters
    ----------
    rooms : sequence of Room
        With `start` and `end`; `host`, and `offset` within it, are written.
    begins : mapping
        From each result to the position of the first statement that uses it, in any round.

    Returns
    -------
    list of Room
        Those that stay in the arena.
    """
    taken: dict[Given, list[Taken]] = {host: [] for host in begins}
    guests = [room for room in rooms if not room.in_lines and any(_hosts(room, begins))]
    if not guests:
        return list(rooms)
    in_use = np.zeros(max(room.end for room in rooms) + 1, np.int64)
    for room in rooms:
        in_use[room.start : room.end + 1] += room.nbytes
    least = in_use.copy()
    for room in guests:
        least[room.start : room.end + 1] -= room.nbytes
    needed = least.max()  # whoever moves out
    for room in sorted(guests, key=lambda room: -room.nbytes):
        there = in_use[room.start : room.end + 1]
        if there.max() <= needed:
            continue
        for host in _hosts(room, begins):
            if put(room, taken[host], host.nbytes):
                room.host = host
                there -= room.nbytes
                break
    return [room for room in rooms if room.host is None]


def _hosts(room: Room, begins: Mapping[Given, int]) -> list[Given]:
    """The results that could take in a room, by their size and their time."""
    return [
        host for host, begin in begins.items() if room.end < begin and room.nbytes <= host.nbytes
    ]
