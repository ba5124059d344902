"""The rules of regions, which files must keep as the functions that build regions do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..avals import Aval
from ..dims import Dim
from ..dtypes import BOOL
from ..errors import FileError
from ..ir import Graph
from ..ops.core import Op
from ..regions import CHECKPOINT, COND, SCAN, WHILE, stacked
from .strict_json import brief


def check_region(
    op: Op, attrs: dict[str, Any], operands: Sequence[Aval], results: Sequence[Aval]
) -> None:
    """Raises FileError unless the bodies of a region fit its operands and results.

    Parameters
    ----------
    op : Op
        A key of `RULES`.
    attrs : dict
    operands, results : sequence of Aval
    """
    count, rule = RULES[op]
    bodies, feeds = attrs["bodies"], attrs["feeds"]
    if not _is_tuple(bodies, count) or not all(isinstance(b, Graph) for b in bodies):
        raise FileError(f"bodies must be {count} graphs, got {brief(bodies)}")
    if not _is_tuple(feeds, count) or not all(isinstance(f, tuple) for f in feeds):
        raise FileError(f"feeds must be {count} tuples, got {brief(feeds)}")
    for body in bodies:
        if body.variables or body.effects:
            raise FileError("bodies must read no variables and assign none, got one that does")
    rule(attrs, list(operands), list(results))


def _cond(attrs: dict[str, Any], operands: list[Aval], results: list[Aval]) -> None:
    if not operands:
        raise FileError("operands must begin with the condition, got none")
    _require(operands[:1], [replace(operands[0], shape=(), dtype=BOOL)], "the condition")
    for body, feed in zip(attrs["bodies"], attrs["feeds"]):
        _check_feed(body, feed, operands)
        _require(_outputs(body), results, "the outputs of a branch")


def _checkpoint(attrs: dict[str, Any], operands: list[Aval], results: list[Aval]) -> None:
    [body], [feed] = attrs["bodies"], attrs["feeds"]
    _check_feed(body, feed, operands)
    _require(_outputs(body), results, "the outputs of a body")


def _while(attrs: dict[str, Any], operands: list[Aval], results: list[Aval]) -> None:
    asks, goes = attrs["bodies"]
    carries = _count(attrs, "carries", len(operands))
    _count(attrs, "state", carries)
    for body, feed in zip(attrs["bodies"], attrs["feeds"]):
        _check_feed(body, feed, operands)
    asked = _outputs(asks)
    _require(asked, [replace(aval, shape=(), dtype=BOOL) for aval in asked[:1]], "the condition")
    if not asked:
        raise FileError("the first body must give the condition, got nothing")
    more = results[carries:]
    length = more[0].shape[0] if more and more[0].shape else None
    if more and not (isinstance(length, Dim) and length.depends_on_data):
        raise FileError(f"stacked results must have a length that depends on data, got {more[0]}")
    _check_rounds(goes, carries, operands, results, length)


def _scan(attrs: dict[str, Any], operands: list[Aval], results: list[Aval]) -> None:
    carries = _count(attrs, "carries", len(operands))
    _count(attrs, "state", carries)
    last = carries + _count(attrs, "xs", len(operands) - carries)
    length = attrs["length"]
    if not isinstance(length, Dim) and (type(length) is not int or length < 0):
        raise FileError(f"length must be a size, got {brief(length)}")
    if type(attrs["reverse"]) is not bool:
        raise FileError(f"reverse must be true or false, got {brief(attrs['reverse'])}")
    slices = operands[carries:last]
    if not slices and isinstance(length, Dim) and length.depends_on_data:
        raise FileError(f"a length that depends on data must be that of slices, got {length}")
    _require(slices, [stacked(replace(x, shape=x.shape[1:]), length) for x in slices], "slices")
    parts = [replace(x, shape=x.shape[1:]) for x in slices]
    [body] = attrs["bodies"]
    _check_feed(body, attrs["feeds"][0], [*operands[:carries], *parts, *operands[last:]])
    _check_rounds(body, carries, operands, results, length)


# Per region how many bodies it has, and what checks the rest.
RULES = {
    CHECKPOINT: (1, _checkpoint),
    COND: (2, _cond),
    SCAN: (1, _scan),
    WHILE: (2, _while),
}


def _check_feed(body: Graph, feed: tuple[Any, ...], operands: list[Aval]) -> None:
    """Raises unless every placeholder of a body takes an operand like it."""
    if not all(type(i) is int and 0 <= i < len(operands) for i in feed):
        raise FileError(f"feeds must be places among {len(operands)} operands, got {brief(feed)}")
    placeholders = [value.aval for value in body.placeholders.values()]
    _require([operands[i] for i in feed], placeholders, "what feeds a body")


def _check_rounds(
    body: Graph, carries: int, operands: list[Aval], results: list[Aval], length: Any
) -> None:
    """Raises unless a round keeps the carries, and the other outputs are stacked."""
    outputs = _outputs(body)
    _require(outputs[:carries], operands[:carries], "the carries of a round")
    _require(
        results, [*operands[:carries], *(stacked(aval, length) for aval in outputs[carries:])],
        "results",
    )  # fmt: skip


def _outputs(body: Graph) -> list[Aval]:
    return [value.aval for value in body.outputs]


def _require(found: list[Aval], wanted: list[Aval], what: str) -> None:
    if found != wanted:
        shown = [", ".join(map(str, avals)) or "nothing" for avals in (wanted, found)]
        raise FileError(f"{what} must be {shown[0]}, got {shown[1]}")


def _count(attrs: dict[str, Any], name: str, most: int) -> int:
    if type(attrs[name]) is not int or not 0 <= attrs[name] <= most:
        raise FileError(f"{name} must be in 0..{most}, got {brief(attrs[name])}")
    return attrs[name]


def _is_tuple(value: Any, count: int) -> bool:
    return type(value) is tuple and len(value) == count
