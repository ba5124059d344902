"""Control flow within `vmap`: every example of a batch takes its own way, all at once.

A condition that differs between examples cannot choose which code runs: both branches run, and
each example keeps the result of its own. A loop runs until the last example is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .batching import Batched, Batching, entered, left, moved
from .trees import flatten, unflatten


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
    other, _ = flatten(false_fn(*args))
    return unflatten(structure, [ops.where(pred, a, b) for a, b in zip(then, other)])


def _chosen_for_all(
    level: Batching, choose: Any, pred: Any, true_fn: Any, false_fn: Any, args: Any
) -> Any:
    """`cond` where the predicate is the same for all examples."""
    structure: list[Any] = []

    def branch(fn: Callable[..., Any]) -> Callable[[], list[Any]]:
        def run() -> list[Any]:
            with entered(level):
                results, shape = flatten(fn(*args))
            structure[:] = [shape]
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
            after, _ = flatten(body_fn(carry))
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
            carry, y = f(unflatten(structure, [Batched(v, level) for v in values]), x)
            found, y_structure = flatten(y)
            shape[:] = [None if y is None else y_structure]
            next_values = [level.whole(v) for v in flatten(carry)[0]]
            return next_values, None if y is None else [level.whole(v) for v in found]

    first = [level.whole(x) for x in leaves]
    along = None if xs is None else [moved(level.whole(x), 1, 0) for x in slices]
    with left():
        last, ys = loop(step, first, along, length, reverse=reverse)
    carry = unflatten(structure, [Batched(v, level) for v in last])
    if ys is None:
        return carry, None
    return carry, unflatten(shape[0], [Batched(moved(y, 0, 1), level) for y in ys])
