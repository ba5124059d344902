"""Transforms of functions: `vjp`, `jvp`, `jacobian` and `hessian`, in every style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import ops
from .autodiff import as_list
from .avals import show
from .batching import Batched, Batching, running, vmap
from .dims import product
from .dtypes import is_float
from .errors import ArgumentError, DTypeError, ShapeError
from .ir import Graph
from .modes import enable_grad, is_grad_enabled
from .operand import Operand
from .ops import dispatch
from .ops.dispatch import style_of
from .ops.plain import as_plain
from .trees import flatten, matched, unflatten

__all__ = ["grad", "hessian", "jacobian", "jvp", "vjp"]


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> tuple[Any, ...]:
    options.setdefault("create_graph", False)  # in every style, so that tracing keeps the meaning
    return style_of(*as_list(outputs)).grad(outputs, inputs, grad_outputs=grad_outputs, **options)


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The value of a function, and the function that pulls cotangents back through it.

    Parameters
    ----------
    function : callable
        Of arrays in lists, tuples and dicts; what it gives may be such, too.
    *primals : arrays
        Gradients flow to the floats among them.

    Returns
    -------
    value
        What the function gives.
    pullback : callable
        From cotangents in the containers of the value to a tuple of cotangents, one per primal;
        None for what is no float.

    Raises
    ------
    DTypeError
        When nothing among the primals, or among the results, is a float.
    ShapeError
        When a cotangent has not its result's shape.
    ArgumentError
        When the cotangents are not in the containers of the value.

    Examples
    --------
    >>> value, pullback = dt.vjp(lambda x: x * x, dt.tensor([1.0, 2.0]))
    >>> pullback(dt.tensor([1.0, 1.0]))
    (tensor([2., 4.]),)
    """
    call = _Call("vjp", function, primals)

    def pullback(cotangents: Any) -> Any:
        seeds, _ = flatten(cotangents)
        if len(seeds) != len(call.results):
            raise ShapeError(
                f"vjp: one cotangent per result is needed, got {len(seeds)} for {len(call.results)}"
            )
        seeds = matched(
            call.structure, cotangents, "vjp: cotangents must be in the containers of the value"
        )
        return call.rebuild(call.pull(seeds, nested=call.is_nested))

    return call.value(), pullback


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """The value of a function, and its derivative in a direction.

    It is the derivative of the pullback, which is linear in its cotangent.

    Parameters
    ----------
    function : callable
        Of arrays in lists, tuples and dicts; what it gives may be such, too.
    primals, tangents : sequence of arrays
        Where, and in what direction: one tangent per primal, of its shape.

    Returns
    -------
    value, tangent
        In the containers that the function gives; the tangent of what is no float is None.

    Raises
    ------
    ShapeError
        When the tangents do not have the shapes of the primals.
    ArgumentError
        When they are not in the containers of the primals.
    DTypeError
        When nothing among the primals, or among the results, is a float.

    Examples
    --------
    >>> dt.jvp(lambda x: x * x, (dt.tensor([1.0, 2.0]),), (dt.tensor([1.0, 0.5]),))
    (tensor([1., 4.]), tensor([2., 2.]))
    """
    call = _Call("jvp", function, tuple(primals))
    rule = "jvp: tangents must be in the containers of their primals"
    given = matched(call.inputs, tuple(tangents), rule)
    shapes = [tuple(_operand(t).shape) for t in given]
    expected = [tuple(x.shape) for x in call.leaves]
    if shapes != expected:
        raise ShapeError(
            f"jvp: tangents must have the shapes of their primals, got "
            f"{', '.join(map(show, shapes))} for {', '.join(map(show, expected))}"
        )
    with enable_grad():
        directions = [ops.zeros_like(r) for r in call.results]
        duals = [_leaf(v) if is_float(r.dtype) else v for v, r in zip(directions, call.results)]
        pulled = call.pull(duals, nested=True, missing=None)
        floats = [d for d, r in zip(duals, call.results) if is_float(r.dtype)]
        pairs = [(g, _like(t, g)) for g, t in zip(pulled, given) if _is_recorded(g)]
        nested = call.is_nested or any(_is_recorded(t) for _, t in pairs)
        found = iter(_gradients(pairs, floats, create_graph=nested))
    out: list[Any] = []
    for result in call.results:
        if not is_float(result.dtype):
            out.append(None)
            continue
        tangent = next(found)
        out.append(ops.zeros_like(result) if tangent is None else tangent)
    return call.value(), unflatten(call.structure, out)


def jacobian(function: Callable[..., Any], inputs: Any) -> Any:
    """All first derivatives of a function.

    Parameters
    ----------
    function : callable
        Of one array, or of several; it gives one array, or a tuple of them.
    inputs : array or tuple of arrays
        Where; floats.

    Returns
    -------
    array, shape ``(*result.shape, *input.shape)``
        Of a tuple of inputs a tuple of them; of a tuple of results a tuple of those.

    Raises
    ------
    DTypeError
        When an input or a result is no float.

    Notes
    -----
    One pullback for all rows at once, by `vmap`.

    Examples
    --------
    >>> dt.jacobian(lambda x: x * x, dt.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    several = isinstance(inputs, tuple | list)
    call = _Call("jacobian", function, tuple(inputs) if several else (inputs,))
    for x in (*call.leaves, *call.results):
        if not is_float(x.dtype):
            raise DTypeError(f"jacobian: inputs and results must be floats, got {x.dtype}")
    blocks = []
    for position, result in enumerate(call.results):
        rows = vmap(lambda seed, p=position: tuple(call.pull_one(p, seed)))(_basis(result))
        block = tuple(
            ops.reshape(row, (*result.shape, *x.shape)) for row, x in zip(rows, call.leaves)
        )
        blocks.append(block if several else block[0])
    return unflatten(call.structure, blocks)


def hessian(function: Callable[..., Any], inputs: Any) -> Any:
    """All second derivatives of a function that gives one number.

    Parameters
    ----------
    function : callable
        Of one array, or of several; it gives an array of shape ().
    inputs : array or tuple of arrays
        Where; floats.

    Returns
    -------
    array, shape ``(*input.shape, *input.shape)``
        Of a tuple of inputs a tuple of tuples, one block per pair.

    Raises
    ------
    ShapeError
        When the function gives anything but one number.
    DTypeError
        When an input or the result is no float.

    Examples
    --------
    >>> dt.hessian(lambda x: dt.sum(x * x * x), dt.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    several = isinstance(inputs, tuple | list)

    def gradient(*primals: Any) -> Any:
        call = _Call("hessian", function, primals)
        if len(call.results) != 1 or tuple(call.results[0].shape) != ():
            shown = ", ".join(show(r.shape) for r in call.results)
            raise ShapeError(f"hessian: the function must give shape (), got {shown}")
        [result] = call.results
        with enable_grad():
            pulled = call.pull([ops.ones_like(result)], nested=True)
        return tuple(pulled) if several else pulled[0]

    return jacobian(gradient, inputs)


class _Call:
    """One call of a function on leaves of its own, ready to be pulled back."""

    def __init__(self, name: str, function: Callable[..., Any], primals: tuple[Any, ...]) -> None:
        given, self.inputs = flatten(primals)
        given = [_operand(x) for x in given]
        with enable_grad():
            self.leaves = [_leaf(x) if is_float(x.dtype) else x for x in given]
            results, self.structure = flatten(function(*unflatten(self.inputs, self.leaves)))
        self.results = [_operand(r) for r in results]
        self._floats = [x for x in self.leaves if is_float(x.dtype)]
        self.is_nested = any(_is_recorded(x) for x in given) or (
            is_grad_enabled() and _reaches_beyond(self.results, self._floats)
        )
        for what, found in (("primal", self.leaves), ("result", self.results)):
            if not any(is_float(x.dtype) for x in found):
                kinds = ", ".join(str(x.dtype) for x in found) or "none"
                raise DTypeError(f"{name}: some {what} must be a float, got {kinds}")

    def value(self) -> Any:
        """What the function gave; apart from the leaves, unless something else records as well."""
        results = self.results if self.is_nested else map(ops.stop_gradient, self.results)
        return unflatten(self.structure, list(results))

    def pull(self, seeds: list[Any], nested: bool, missing: Any = ops.zeros_like) -> list[Any]:
        """The cotangent of every leaf; of what is no float None."""
        pairs = [
            (r, _like(s, r))
            for r, s in zip(self.results, seeds)
            if is_float(r.dtype) and _is_recorded(r)
        ]
        nested = nested or any(_is_recorded(s) for _, s in pairs)
        found = _gradients(pairs, self._floats, retain_graph=True, create_graph=nested)
        by_leaf = {id(x): g for x, g in zip(self._floats, found)}
        cotangents = []
        for x in self.leaves:
            g = by_leaf.get(id(x))
            empty = missing is None or not is_float(x.dtype)
            cotangents.append(missing(x) if g is None and not empty else g)
        return cotangents

    def pull_one(self, position: int, seed: Any) -> list[Any]:
        """The cotangents of the leaves from that of a single result."""
        call = [ops.zeros_like(r) if i != position else seed for i, r in enumerate(self.results)]
        return self.pull(call, self.is_nested)

    def rebuild(self, leaves: list[Any]) -> Any:
        return unflatten(self.inputs, leaves)


def _gradients(pairs: list[tuple[Any, Any]], inputs: list[Any], **options: bool) -> Any:
    """Gradients from pairs of results and cotangents; None for an input that none came from."""
    if not pairs:
        return [None] * len(inputs)
    outputs = [output for output, _ in pairs]
    # A result that all examples share does not know of the map that the inputs are of.
    return style_of(*outputs, *inputs).grad(
        outputs, inputs, grad_outputs=[seed for _, seed in pairs], allow_unused=True, **options
    )


def _reaches_beyond(results: list[Any], leaves: list[Any]) -> bool:
    """Whether results came from anything that records beside these leaves."""
    seen = {id(_inmost(x)) for x in leaves}
    pending = []
    for result in map(_inmost, results):
        if _is_recorded(result):
            if isinstance(result.style, Graph):
                return True
            pending.append(result if result.grad_fn is None else result.grad_fn)
    while pending:
        source = pending.pop()
        if id(source) in seen:
            continue
        seen.add(id(source))
        if not hasattr(source, "edges"):
            return True
        pending += [edge[0] for edge in source.edges if edge is not None]
    return False


def _basis(result: Any) -> Any:
    """Every array of the result's shape with one 1 in it, stacked."""
    count = product(tuple(result.shape))
    numbers = ops.arange(count, device=result.device)
    hit = ops.equal(ops.reshape(numbers, (count, 1)), numbers)
    return ops.reshape(ops.astype(hit, result.dtype), (count, *result.shape))


def _operand(x: Any) -> Any:
    """An operand of the style in force, of whatever was given."""
    if isinstance(x, Operand):
        style = x.style
        return style.read(x) if hasattr(x, "storage") and isinstance(style, Graph) else x
    if isinstance(x, bool | int | float):
        return ops.full((), x)
    if x is None or isinstance(x, str):
        raise ArgumentError(f"transform: arrays are needed, got {x!r}")
    return dispatch.current().constant(as_plain(x, "transform"))


def _like(seed: Any, result: Any) -> Any:
    seed = _operand(seed)
    return seed if seed.dtype == result.dtype else ops.astype(seed, result.dtype)


def _leaf(x: Any) -> Any:
    """An alias of an operand from which a gradient can be asked for, joined to its history.

    Within maps each example has one of its own.
    """
    return _own(x, running())


def _own(x: Any, levels: tuple[Batching, ...]) -> Any:
    if levels:
        *outer, level = levels
        return Batched(_own(level.whole(x), tuple(outer)), level)
    if isinstance(x.style, Graph) or _is_recorded(x):
        return ops.reshape(x, x.shape)
    return x.detach().requires_grad_()


def _inmost(x: Any) -> Any:
    """The operand that lies under all maps."""
    return _inmost(x.value) if isinstance(x, Batched) else x


def _is_recorded(x: Any) -> bool:
    """Whether a gradient may flow through an operand."""
    if isinstance(x, Batched):
        return _is_recorded(x.value)
    return isinstance(x, Operand) and (
        isinstance(x.style, Graph) or bool(getattr(x, "requires_grad", False))
    )
