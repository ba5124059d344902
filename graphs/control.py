"""Control flow for every style: `cond`, `while_loop` and `scan`.

Eager code runs them as Python would. In a graph each is one node with a graph inside, so it is
built once whatever the number of rounds, and gradients of any order flow through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .avals import Aval, show
from .batching import innermost
from .dims import Size
from .dtypes import BOOL
from .errors import ArgumentError, DTypeError, GraphError, ShapeError
from .ir import Graph, Value, is_within
from .mapped import mapped_cond, mapped_scan, mapped_while
from .operand import Operand
from .ops import dispatch
from .ops.plain import array_of
from .regions import (
    CHECKPOINT,
    SCAN,
    Body,
    append_cond,
    append_region,
    append_while,
    feed_of,
    stacked,
)  # fmt: skip
from .trees import flatten, unflatten

__all__ = ["checkpoint", "cond", "scan", "while_loop"]


def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    *operands: Any,
) -> Any:
    """The result of one of two functions, chosen by a number that may be known only when it runs.

    Parameters
    ----------
    pred : array or bool, shape (), bool
    true_fn, false_fn : callable
        Of the operands. Both give lists, tuples and dicts of the same structure, shapes and dtypes.
    *operands : arrays in lists, tuples and dicts
        What the functions take; they may also use what is around them.

    Returns
    -------
    what the chosen function gives

    Raises
    ------
    ShapeError, DTypeError
        When `pred` is no single bool.
    GraphError
        When the functions give different structures, shapes or dtypes, in a graph.

    Examples
    --------
    >>> x = dt.tensor(-2.0)
    >>> dt.cond(x > 0, lambda x: x, lambda x: -x, x)
    tensor(2.)
    """
    leaves, _ = flatten((pred, operands))
    if not isinstance(pred, bool):
        _check_pred("cond", pred)
    level = innermost()
    if level is not None:
        return mapped_cond(level, cond, pred, true_fn, false_fn, operands)
    graph = _graph_of(leaves)
    if graph is not None and isinstance(pred, Operand):
        pred = _value(graph, pred)
    if graph is None or not isinstance(pred, Value):
        return true_fn(*operands) if bool(pred) else false_fn(*operands)
    branches = [_branch(graph, "cond", fn, operands) for fn in (true_fn, false_fn)]
    (then, found, structure), (other, other_found, other_structure) = branches
    then.outputs, other.outputs = tuple(found), tuple(other_found)
    if structure != other_structure:
        raise GraphError(
            f"cond: both functions must give the same structure, got {len(found)} and "
            f"{len(other_found)} results in containers that differ"
        )
    for position, (a, b) in enumerate(zip(found, other_found)):
        if a.aval != b.aval:
            raise GraphError(
                f"cond: both functions must give the same shapes and dtypes, got {a.aval} and "
                f"{b.aval} as result {position}"
            )
    results = append_cond(graph, pred, then, other)
    return unflatten(structure, list(results))


def while_loop(
    cond_fn: Callable[[Any], Any],
    body_fn: Callable[[Any], Any],
    init: Any,
    *,
    max_iterations: int | None = None,
) -> Any:
    """Apply a function again and again for as long as a condition on its result holds.

    Parameters
    ----------
    cond_fn : callable
        From the carry to a bool of shape ().
    body_fn : callable
        From the carry to the next, of the same structure, shapes and dtypes.
    init : arrays in lists, tuples and dicts
        The first carry.
    max_iterations : int, optional
        Stop there at the latest. Needed in a graph for the gradient of a loop inside another loop.

    Returns
    -------
    the last carry

    Raises
    ------
    ShapeError, DTypeError
        When the condition is no single bool.
    GraphError
        When the carry changes its structure, shapes or dtypes, in a graph.

    Examples
    --------
    >>> dt.while_loop(lambda x: x < 100, lambda x: x * 3, dt.tensor(2.0))
    tensor(162.)
    """
    if max_iterations is not None and (
        not isinstance(max_iterations, int)
        or isinstance(max_iterations, bool)
        or max_iterations < 0
    ):
        raise ArgumentError(
            f"while_loop: max_iterations must be a whole number of at least 0, got "
            f"{max_iterations!r}"
        )
    leaves, structure = flatten(init)
    level = innermost()
    if level is not None:
        return mapped_while(level, while_loop, cond_fn, body_fn, init, max_iterations)
    graph = _graph_of(leaves)
    if graph is None:
        return _loop(cond_fn, body_fn, init, max_iterations)
    if max_iterations is not None:
        return _bounded(cond_fn, body_fn, init, max_iterations)
    first = [_value(graph, leaf) for leaf in leaves]
    asks, asks_in = _body(graph, "while_loop", [v.aval for v in first])
    with asks.building():
        pred = cond_fn(unflatten(structure, asks_in))
        _check_pred("while_loop", pred)
        asks.outputs = (_value(asks, pred),)
    if asks.written:
        raise GraphError("while_loop: the condition must not assign, got an assignment in it")
    goes, goes_in = _body(graph, "while_loop", [v.aval for v in first])
    with goes.building():
        results = _carried(
            goes, "while_loop", body_fn(unflatten(structure, goes_in)), first, structure
        )
    goes.outputs = tuple(results)
    values = append_while(graph, first, (asks, asks_in), (goes, goes_in))
    return unflatten(structure, list(values))


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Size | None = None,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Carry a value along the first axis of arrays, and stack what each step gives.

    Parameters
    ----------
    f : callable
        ``f(carry, x)`` gives ``(carry, y)``; the carry keeps its structure, shapes and dtypes.
    init : arrays in lists, tuples and dicts
        The first carry.
    xs : arrays in lists, tuples and dicts, optional
        With equal first axes, along which `f` takes slices. Without them `f` gets None.
    length : int, optional
        Number of steps, where there are no `xs`.
    reverse : bool
        From the last slice to the first; results stand at the place of their slice.

    Returns
    -------
    carry
        The last one.
    ys
        What `f` gave beside the carry, stacked on a new first axis. Eager code, which learns what
        `f` gives by running it, has None where there is no step.

    Raises
    ------
    ShapeError
        When first axes differ or are missing, or the number of steps is not known.
    GraphError
        When the carry changes its structure, shapes or dtypes, in a graph.

    Examples
    --------
    >>> total, sums = dt.scan(lambda c, x: (c + x, c + x), dt.tensor(0.0), dt.tensor([1.0, 2.0]))
    >>> total, sums
    (tensor(3.), tensor([1., 3.]))
    """
    leaves, structure = flatten(init)
    slices, x_structure = flatten(xs)
    slices = [] if xs is None else slices
    level = innermost()
    if level is not None:
        return mapped_scan(level, scan, f, init, xs, length, reverse)
    graph = _graph_of([*leaves, *slices])
    slices = [x if hasattr(x, "shape") else array_of(x, "scan") for x in slices]
    length = _length(slices, length)
    if graph is None:
        return _steps(f, init, slices, None if xs is None else x_structure, length, reverse)
    first = [_value(graph, leaf) for leaf in leaves]
    along = [_value(graph, x) for x in slices]
    avals = [v.aval for v in first]
    avals += [Aval(v.shape[1:], v.dtype, v.device) for v in along]
    body, inner = _body(graph, "scan", avals)
    count = len(first)
    with body.building():
        x = None if xs is None else unflatten(x_structure, inner[count:])
        given = f(unflatten(structure, inner[:count]), x)
        carry, y = _pair(given)
        results = _carried(body, "scan", carry, first, structure)
        found, y_structure = flatten(y)
        found = [] if y is None else [_value(body, v) for v in found]
    state = body.written
    body.outputs = (*results, *(value for _, value in state), *found)
    operands = [*first, *(graph.read(s) for s, _ in state)]
    carries = len(operands)
    places = [*inner[:count], *(body.variable_of(s) for s, _ in state), *inner[count:]]
    operands += along
    known = {inside: i for i, inside in enumerate(places)}
    feeds = (feed_of(body, known, operands),)
    outs = [v.aval for v in operands[:carries]] + [stacked(v.aval, length) for v in found]
    values = append_region(
        graph, SCAN, operands, outs,
        bodies=(body,), feeds=feeds, carries=carries, state=len(state), xs=len(along),
        length=length, reverse=bool(reverse),
    )  # fmt: skip
    for (storage, _), value in zip(state, values[count:]):
        graph.assign(storage, value, when=values[0])
    ys = None if y is None else unflatten(y_structure, list(values[carries:]))
    return unflatten(structure, list(values[:count])), ys


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function whose gradient computes its intermediate results again, to save memory.

    Parameters
    ----------
    function : callable
        Of arrays in lists, tuples and dicts. It must compute the same when it is called again;
        random numbers and other state are as they were at the first time. Within `vmap` it is
        called as any other function is.
    *args

    Returns
    -------
    what the function gives

    Raises
    ------
    TapeError
        From the gradient, in eager code: when what the function read has changed in place, or the
        function computes something else.

    Notes
    -----
    T. Chen et al., Training deep nets with sublinear memory cost (arXiv 1604.06174).

    Examples
    --------
    >>> x = dt.tensor([0.0, 1.0], requires_grad=True)
    >>> y = dt.checkpoint(lambda x: dt.sum(dt.exp(dt.sin(x))), x)
    >>> y.backward()
    >>> x.grad
    tensor([1.       , 1.2533808])
    """
    if innermost() is not None:
        return function(*args)
    leaves, _ = flatten(args)
    return (_graph_of(leaves) or dispatch.current()).checkpoint(function, args)


def append_checkpoint(graph: Graph, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """A call as one node of a graph; see `checkpoint`."""
    body, found, structure = _branch(graph, "checkpoint", function, args)
    body.outputs = (*found, *(value for _, value in body.written))
    operands: list[Value] = []
    feed = feed_of(body, {}, operands)
    values = append_region(
        graph, CHECKPOINT, operands, [v.aval for v in body.outputs], bodies=(body,), feeds=(feed,)
    )
    for (storage, _), value in zip(body.written, values[len(found) :]):
        graph.assign(storage, value, when=values[0])
    return unflatten(structure, list(values[: len(found)]))


# -- in eager code ---------------------------------------------------------------------------


def _loop(cond_fn: Any, body_fn: Any, carry: Any, most: int | None) -> Any:
    rounds = 0
    while most is None or rounds < most:
        pred = cond_fn(carry)
        if not isinstance(pred, bool):
            _check_pred("while_loop", pred)
        if not bool(pred):
            break
        carry = body_fn(_round(carry))
        rounds += 1
    return carry


def _rows(x: Any) -> list[Any]:
    style: Any = dispatch.style_of(x)
    return style.rows(x) if style.rank else [x[i, ...] for i in range(len(x))]


def _round(carry: Any) -> Any:
    """The carry as one round reads it, through views of its own.

    What a round does with it is then summed before it meets what is done with it elsewhere, as in
    a graph, where a round is a body.
    """
    leaves, structure = flatten(carry)
    recorded = [getattr(x, "requires_grad", False) for x in leaves]
    if not any(recorded):
        return carry
    views = [ops.reshape(x, x.shape) if r else x for x, r in zip(leaves, recorded)]
    return unflatten(structure, views)


def _steps(
    f: Any, carry: Any, slices: list[Any], structure: Any, length: Any, reverse: bool
) -> tuple[Any, Any]:
    made: list[Any] = [None] * length
    y_structure: Any = None
    order = range(length)
    rows = [_rows(s) for s in slices]
    for step in reversed(order) if reverse else order:
        x = None if not slices else unflatten(structure, [row[step] for row in rows])
        carry, y = _pair(f(_round(carry), x))
        if y is not None:
            made[step], y_structure = flatten(y)
    if y_structure is None and not (made and made[0]):
        return carry, None
    columns = [ops.stack(list(column)) for column in zip(*made)]
    return carry, unflatten(y_structure, columns)


# -- in a graph ------------------------------------------------------------------------------


def _bounded(cond_fn: Any, body_fn: Any, init: Any, most: int) -> Any:
    """A loop of at most so many rounds: steps that do nothing once the condition fails."""

    def step(state: Any, _: Any) -> Any:
        going, carry = state
        # The condition is not asked again once it failed, nor after the last round.
        going = cond(going, cond_fn, lambda c: going, carry)
        return (going, cond(going, body_fn, lambda c: c, carry)), None

    (_, carry), _ = scan(step, (ops.ones((), dtype=BOOL), init), length=most)
    return carry


def _graph_of(leaves: list[Any]) -> Graph | None:
    """The graph in which control flow on these operands stands; None in eager code."""
    style = dispatch.style_of(*leaves)
    current = dispatch.current()
    if style.rank == 0:
        style = current
    if not isinstance(style, Graph):
        return None
    return current if is_within(current, style) else style  # type: ignore[return-value]


def _value(graph: Graph, leaf: Any) -> Value:
    found = graph.lift(leaf, "control flow")
    return found if isinstance(found, Value) else graph.constant(found)


def _body(graph: Graph, name: str, avals: list[Aval]) -> tuple[Body, list[Value]]:
    body = Body(graph, name)
    return body, [body.add_placeholder(f"{name}{i}", aval) for i, aval in enumerate(avals)]


def _branch(graph: Graph, name: str, fn: Any, operands: Any) -> tuple[Body, list[Value], Any]:
    body = Body(graph, name)
    leaves, inside = flatten(operands)
    with body.building():
        leaves = [body.lift(x, name) if isinstance(x, Value) else x for x in leaves]
        results, structure = flatten(fn(*unflatten(inside, leaves)))
        return body, [_value(body, r) for r in results], structure


def _carried(body: Body, name: str, carry: Any, first: list[Value], structure: Any) -> list[Value]:
    """The next carry as values, which must be like the first."""
    leaves, found = flatten(carry)
    if found != structure:
        raise GraphError(
            f"{name}: the carry must keep its structure, got {len(leaves)} leaves for "
            f"{len(first)} in containers that differ"
        )
    values = []
    for position, (leaf, start) in enumerate(zip(leaves, first)):
        if isinstance(leaf, bool | int | float | complex):
            leaf = ops.full((), leaf, dtype=start.dtype)
        value = _value(body, leaf)
        if value.aval != start.aval:
            raise GraphError(
                f"{name}: the carry must keep its shapes and dtypes, got {value.aval} for "
                f"{start.aval} as leaf {position}"
            )
        values.append(value)
    return values


# -- checks ----------------------------------------------------------------------------------


def _check_pred(name: str, pred: Any) -> None:
    if isinstance(pred, bool):
        return
    if not hasattr(pred, "dtype") or pred.dtype != BOOL:
        got = getattr(pred, "dtype", type(pred).__name__)
        raise DTypeError(f"{name}: the condition must be bool, got {got}")
    if pred.shape != ():
        raise ShapeError(f"{name}: the condition must have shape (), got {show(pred.shape)}")


def _pair(given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple) or len(given) != 2:
        raise GraphError(f"scan: the function must give (carry, y), got {type(given).__name__}")
    return given


def _length(slices: list[Any], length: Size | None) -> Size:
    if any(not x.shape for x in slices):
        raise ShapeError("scan: xs must have a first axis, got shape ()")
    sizes = [x.shape[0] for x in slices] + ([] if length is None else [length])
    if not sizes:
        raise ShapeError("scan: the number of steps must be known, got neither xs nor length")
    if any(size != sizes[0] for size in sizes):
        shown = ", ".join(map(str, sizes))
        raise ShapeError(f"scan: first axes must be of one length, got {shown}")
    if isinstance(sizes[0], int) and sizes[0] < 0:
        raise ShapeError(f"scan: length must be at least 0, got {sizes[0]}")
    return sizes[0]
