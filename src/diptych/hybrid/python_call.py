"""`call_python`: an eager Python function as a node of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from ..eager import Tensor, asarray, grad
from ..graphs.avals import Aval, as_shape, aval_of, show
from ..graphs.dims import Dim, Shape
from ..graphs.dtypes import INT64, as_dtype, is_float
from ..graphs.errors import ArgumentError, DTypeError, ShapeError
from ..graphs.ir import Location, Value, user_location
from ..graphs.kernels import copied
from ..graphs.modes import enable_grad, in_style
from ..graphs.operand import Operand
from ..graphs.ops import dispatch, zeros_like
from ..graphs.ops.core import Op, defop
from ..graphs.ops.rules import no_flop
from ..graphs.storage import Storage
from ..graphs.trees import flatten, unflatten

# From the arrays of a call as tensors to its results.
Call = Callable[..., list[Tensor]]


def call_python(
    function: Callable[..., Any], *operands: Any, like: Any, effect: bool = False
) -> Any:
    """Call an eager Python function, in a graph as one node that calls it in every run.

    In eager code, and where `dt.hybrid.disabled` is in force, this is ``function(*operands)``. In a
    graph and in a compiled function nobody looks into the function: it is not called when the
    graph is built or traced, but in each run that reads its results, on tensors of its own.

    Parameters
    ----------
    function : callable
        Takes `operands`, with tensors in place of values, and gives tensors, arrays or numbers in
        the containers of `like`. Without `effect` its results must follow from its operands.
    *operands : operands, or lists, tuples, named tuples and dicts of them
        What is no tensor, parameter, storage or value is handed over as it is.
    like : Aval, or anything with a shape and a dtype, or containers of them
        What the function gives. A size may be symbolic: a name, or one of a value's shape. None
        stands for None.
    effect : bool
        Whether the call does something beside giving results. Such calls are made in their order,
        each of them in every run of a compiled function; in a `static.Graph`, in each run that
        reads a result of it.

    Returns
    -------
    what the function gives; in a graph, values in the containers of `like`

    Raises
    ------
    ArgumentError
        When there are neither results nor an effect, or `like` has no shapes and dtypes. From a
        run: when the results come in other containers.
    ShapeError, DTypeError
        From a run: when a result is not as `like` says.

    Notes
    -----
    The gradient with respect to floats among the operands is that of the eager tape: the backward
    pass calls the function once more, with its effects, and pulls back through what it records; so
    does that of the gradient. What it reads beside its operands gets no gradient in a graph.

    Examples
    --------
    >>> def by_hand(x):
    ...     return dt.tensor(np.sort(x.numpy()))
    >>> @dt.compile
    ... def f(x):
    ...     return dt.hybrid.call_python(by_hand, x, like=x) * 2
    >>> f(dt.tensor([3.0, 1.0]))
    tensor([2., 6.])
    """
    leaves, structure = flatten(operands)
    if not (dispatch.is_building() or any(isinstance(x, Value) for x in leaves)):
        return function(*operands)
    if not callable(function):
        raise ArgumentError(
            f"call_python: function must be callable, got {type(function).__name__}"
        )
    declared, shape = flatten(like)
    avals = [_declared(x) for x in declared if x is not None]
    if not avals and not effect:
        raise ArgumentError(f"call_python: must have results or an effect, got like={like!r}")
    given = [x for x in leaves if isinstance(x, Operand)]
    rest = [_OPERAND if isinstance(x, Operand) else x for x in leaves]
    containers = (shape, [x is None for x in declared])
    call = partial(_called, function, user_location(), rest, structure, containers)
    found = iter(_applied(call, given, avals, effect))
    return unflatten(shape, [None if x is None else next(found) for x in declared])


_OPERAND = object()
# What calls with an effect read and move, so that each comes after those before it.
_ORDER = Storage(np.zeros((), INT64), "order of Python calls")


def _declared(leaf: Any) -> Aval:
    """The aval that a leaf of `like` says."""
    if isinstance(leaf, np.ndarray):
        return aval_of(leaf)
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise ArgumentError(
            f"call_python: like must be of avals, tensors or arrays, got {type(leaf).__name__}"
        )
    sizes = tuple(Dim.symbol(n) if isinstance(n, str) else n for n in leaf.shape)
    return Aval(as_shape(sizes), as_dtype(leaf.dtype))


def _called(
    function: Callable[..., Any],
    location: Location | None,
    leaves: list[Any],
    structure: Any,
    containers: tuple[Any, list[bool]],
    *tensors: Tensor,
) -> list[Tensor]:
    """Call a function as it is called in eager code; its results, as tensors."""
    given = iter(tensors)
    args = unflatten(structure, [next(given) if x is _OPERAND else x for x in leaves])
    try:
        results, found = flatten(function(*args))
    except Exception as error:
        error.add_note(f"in {_name(function)}, called by call_python at {location}")
        raise
    if (found, [x is None for x in results]) != containers:
        raise ArgumentError(
            f"call_python: {_name(function)} must give the containers of like, got "
            f"{unflatten(found, list(map(_brief, results)))}"
        )
    return [asarray(x) for x in results if x is not None]


def _name(function: Any) -> str:
    """A function as a user finds it."""
    name = getattr(function, "__qualname__", type(function).__name__)
    code = getattr(function, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _brief(result: Any) -> str | None:
    return None if result is None else type(result).__name__


# -- the operator ----------------------------------------------------------------------------


def _applied(call: Call, operands: list[Any], avals: list[Aval], effect: bool) -> list[Any]:
    """The results of a call that is appended to the graph."""
    # Never eager code, though all operands may be tensors, which a graph then refuses.
    style = max(dispatch.current(), dispatch.style_of(*operands), key=lambda style: style.rank)
    # A node without operands would be one that is made again wherever it is read.
    last = [style.read(_ORDER)] if effect else [] if operands else [np.zeros((), INT64)]
    op = _operator(len(operands) + len(last), len(avals) + effect)
    shapes = tuple(aval.shape for aval in avals)
    dtypes = tuple(aval.dtype.name for aval in avals)
    found = style.call(op, (*operands, *last), (call, len(operands), shapes, dtypes, effect))
    results = list(found) if isinstance(found, tuple) else [found]
    if effect:
        moved = results.pop()
        style.assign(_ORDER, moved, when=moved)
    return results


def _infer(
    *operands: Aval, call: Call, count: int, shapes: tuple[Shape, ...], dtypes: tuple[str, ...],
    effect: bool,
) -> tuple[Aval, ...]:  # fmt: skip
    device = operands[0].device
    found = [Aval(shape, as_dtype(dtype), device) for shape, dtype in zip(shapes, dtypes)]
    return (*found, *[Aval((), INT64)] * effect)


def _run(
    xp: Any, *arrays: Any, call: Call, count: int, shapes: tuple[Shape, ...],
    dtypes: tuple[str, ...], effect: bool, out: Any = None,
) -> Any:  # fmt: skip
    """The kernel. Operands and results are copied: a user may keep or change the tensors."""
    with in_style(dispatch.default()):
        tensors = call(*[Tensor(copied(array)) for array in arrays[:count]])
    found = [
        _checked(call, i, tensor.array, shape, dtype)
        for i, (tensor, shape, dtype) in enumerate(zip(tensors, shapes, dtypes, strict=True))
    ]
    if out is not None:
        xp.copyto(out, arrays[-1] + 1 if effect else found[0])
        return out
    results = [copied(array) for array in found]
    if effect:
        results.append(xp.asarray(arrays[-1] + 1))
    return tuple(results) if len(results) > 1 else results[0]


def _checked(call: Any, position: int, array: Any, shape: Shape, dtype: str) -> Any:
    """A result, which must be what was declared."""
    while isinstance(call, partial):  # of a gradient, too, it is the function that says it
        call = call.args[0]
    name = _name(call)
    if array.shape != shape:
        raise ShapeError(
            f"call_python: {name} must give result {position} with the declared shape "
            f"{show(shape)}, got {show(array.shape)}"
        )
    if array.dtype.name != dtype:
        raise DTypeError(
            f"call_python: {name} must give result {position} with the declared dtype {dtype}, "
            f"got {array.dtype}"
        )
    return array


def _pulled(
    call: Call, count: int, floats: tuple[int, ...], seeded: tuple[int, ...], *tensors: Tensor
) -> list[Tensor]:
    """Call a function under the tape, and pull cotangents of its results back to its operands."""
    given, cotangents = list(tensors[:count]), tensors[count:]
    is_recorded = any(tensor.requires_grad for tensor in tensors)
    with enable_grad():
        for i in floats:
            if not given[i].requires_grad:
                given[i] = given[i].detach().requires_grad_()
        found = call(*given)
        pairs = [(found[i], g) for i, g in zip(seeded, cotangents) if found[i].requires_grad]
        sources = [given[i] for i in floats]
        if not pairs:
            return [zeros_like(x) for x in sources]
        results, seeds = zip(*pairs)
        pulled = grad(results, sources, seeds, create_graph=is_recorded, allow_unused=True)
        return [zeros_like(x) if g is None else g for x, g in zip(sources, pulled)]


def _rule(ctx: Any, *cotangents: Any, position: int) -> Any:
    """The cotangent of one operand; one call gives those of all."""
    if not is_float(ctx.ins[position].dtype):
        return None
    if "pulled" not in ctx.__dict__:
        operands = [getattr(ctx, f"x{i}") for i in range(ctx.count)]
        floats = tuple(i for i in range(ctx.count) if is_float(ctx.ins[i].dtype))
        seeded = tuple(i for i in range(len(ctx.shapes)) if is_float(ctx.outs[i].dtype))
        call = partial(_pulled, ctx.call, ctx.count, floats, seeded)
        given = [*operands, *(cotangents[i] for i in seeded)]
        found = _applied(call, given, [ctx.ins[i] for i in floats], effect=False)
        ctx.pulled = dict(zip(floats, found))
    return ctx.pulled[position]


CALL_PYTHON = defop(
    "call_python",
    "*operands -> results",
    attrs={"call": None, "count": 0, "shapes": (), "dtypes": (), "effect": False},
    infer=_infer,
    kernel=_run,
    vjp=None,
    may_raise=True,
    foreign=True,
    cost=no_flop,
    doc="What a Python function computes.",
).op


@cache
def _operator(operands: int, results: int) -> Op:
    """The operator for so many operands, each of which has a name for rules to read it by."""
    names = tuple(f"x{i}" for i in range(operands))
    return replace(
        CALL_PYTHON,
        operands=names,
        results=tuple(f"y{i}" for i in range(results)),
        variadic=False,
        vjp=tuple(partial(_rule, position=i) for i in range(operands)),
        saves=(names,) * operands,
        bounds={},
    )
