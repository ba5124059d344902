"""Control flow within `vmap`: every example of a batch takes its own way, all at once.

A condition that differs between examples cannot choose which code runs: both branches run, and
each example keeps the result of its own. A loop runs until the last example is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .avals import Aval, aval_of
from .batching import Batched, Batching, entered, left, moved
from .errors import GraphError
from .operand import Operand
from .ops.plain import shaped
from .trees import flatten, matched, unflatten


def mapped_cond(
    level: Batching,
    choose: Callable[..., Any],
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    args: Any,
) -> Any:
    """`cond` on examples."""
    if not level.is_mapped(pred):
        return _chosen_for_all(level, choose, level.inside(pred), true_fn, false_fn, args)
    then, structure = flatten(true_fn(*args))
    other = matched(structure, false_fn(*args), _SAME_RESULTS, GraphError)
    for position, (a, b) in enumerate(zip(then, other)):
        if _aval(a) != _aval(b):
            raise GraphError(
                f"cond: both functions must give the same shapes and dtypes, got {_aval(a)} and "
                f"{_aval(b)} as result {position}"
            )
    return unflatten(structure, [ops.where(pred, a, b) for a, b in zip(then, other)])


def _chosen_for_all(
    level: Batching, choose: Any, pred: Any, true_fn: Any, false_fn: Any, args: Any
) -> Any:
    """`cond` where the predicate is the same for all examples."""
    structure: list[Any] = []

    def branch(fn: Callable[..., Any]) -> Callable[[], list[Any]]:
        def run() -> list[Any]:
            with entered(level):
                found = fn(*args)
                if not structure:
                    structure.append(flatten(found)[1])
                results = matched(structure[0], found, _SAME_RESULTS, GraphError)
                return [level.whole(r) for r in results]

        return run

    with left():
        found = choose(pred, branch(true_fn), branch(false_fn))
    return unflatten(structure[0], [Batched(r, level) for r in found])


def mapped_while(
    level: Batching,
    loop: Callable[..., Any],
    cond_fn: Callable[[Any], Any],
    body_fn: Callable[[Any], Any],
    init: Any,
    most: int | None,
) -> Any:
    """`while_loop` on examples: one that is done keeps its carry while others go on."""
    leaves, structure = flatten(init)

    def enter(values: list[Any]) -> Any:
        return unflatten(structure, [Batched(v, level) for v in values])

    def going(values: list[Any]) -> Any:
        with entered(level):
            pred = level.whole(cond_fn(enter(values)))
        return ops.any(pred)

    def next_round(values: list[Any]) -> list[Any]:
        with entered(level):
            carry = enter(values)
            pred = cond_fn(carry)
            before, _ = flatten(carry)
            after = _kept(structure, body_fn(carry), before, "while_loop")
            return [level.whole(ops.where(pred, a, b)) for a, b in zip(after, before)]

    first = [level.whole(x) for x in leaves]
    with left():
        last = loop(going, next_round, first, max_iterations=most)
    return enter(last)


def mapped_scan(
    level: Batching,
    loop: Callable[..., Any],
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any,
    length: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    """`scan` on examples: the slices go along the axis behind the batch."""
    leaves, structure = flatten(init)
    slices, x_structure = flatten(xs)
    shape: list[Any] = []

    def step(values: list[Any], parts: Any) -> tuple[list[Any], Any]:
        with entered(level):
            x = None if xs is None else unflatten(x_structure, [Batched(p, level) for p in parts])
            before = [Batched(v, level) for v in values]
            carry, y = f(unflatten(structure, before), x)
            next_values = [level.whole(v) for v in _kept(structure, carry, before, "scan")]
            if y is None:
                return next_values, None
            if not shape:
                shape.append(flatten(y)[1])
            found = matched(
                shape[0], y, "scan: every step must give the same structure", GraphError
            )
            return next_values, [level.whole(v) for v in found]

    first = [level.whole(x) for x in leaves]
    along = None if xs is None else [moved(level.whole(x), 1, 0) for x in slices]
    with left():
        last, ys = loop(step, first, along, length, reverse=reverse)
    carry = unflatten(structure, [Batched(v, level) for v in last])
    if ys is None:
        return carry, None
    return carry, unflatten(shape[0], [Batched(moved(y, 0, 1), level) for y in ys])


_SAME_RESULTS = "cond: both functions must give the same structure"


def _kept(structure: Any, carry: Any, before: list[Any], name: str) -> list[Any]:
    """The leaves of the next carry, which must be like those of the one before."""
    leaves = matched(structure, carry, f"{name}: the carry must keep its structure", GraphError)
    found = []
    for position, (leaf, start) in enumerate(zip(leaves, before)):
        if isinstance(leaf, bool | int | float | complex):
            leaf = ops.full((), leaf, dtype=start.dtype)
        if _aval(leaf) != _aval(start):
            raise GraphError(
                f"{name}: the carry must keep its shapes and dtypes, got {_aval(leaf)} for "
                f"{_aval(start)} as leaf {position}"
            )
        found.append(leaf)
    return found


def _aval(x: Any) -> Aval:
    """The aval of one example."""
    if isinstance(x, Operand):
        return Aval(tuple(x.shape), x.dtype, x.device)
    return aval_of(shaped(x, "control flow"))
