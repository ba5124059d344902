"""The step that graphs and the tape share: cotangents pulled back through one call."""

from __future__ import annotations

from typing import Any

from .bound import Bound, context_of
from .ops import accumulate


def pull(
    bound: Bound, wanted: tuple[int, ...], saved: dict[str, Any], cotangents: list[Any]
) -> list[tuple[int, Any]]:
    """Cotangents of the operands of one call, from those of its results.

    Parameters
    ----------
    bound : Bound
    wanted : tuple of int
        Which operands' cotangents are wanted; no rule runs for the others.
    saved : dict
        What ``bound.reads(wanted)`` names, by name.
    cotangents : list
        One per result.

    Returns
    -------
    list of (position, cotangent), in order of position
    """
    context = context_of(bound, saved)
    pulled = []
    # A call with a fixed number of arguments needs no tuple of them.
    single = len(cotangents) == 1
    for i in wanted:
        rule = bound.rule(i)
        cotangent = rule(context, cotangents[0]) if single else rule(context, *cotangents)
        if cotangent is not None:
            pulled.append((i, cotangent))
    return pulled


def met(first: Any | None, cotangent: Any) -> Any:
    """The sum of the cotangents that have met at one value, when another arrives."""
    return cotangent if first is None else accumulate([first, cotangent])
