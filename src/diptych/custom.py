"""Operators of a user's own, from NumPy or SciPy code, usable in every style."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from keyword import iskeyword
from types import SimpleNamespace
from typing import Any

import numpy as np

from .graphs.avals import Aval, aval_of, show
from .graphs.bound import Context
from .graphs.dtypes import is_float
from .graphs.errors import ArgumentError, DTypeError, ShapeError, TapeError
from .graphs.operand import Operand
from .graphs.ops.core import REGISTRY, Operator, defop


def custom_op(
    name: str,
    signature: str,
    forward: Callable[..., Any],
    *,
    infer: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
    vjp: tuple[Callable[..., Any], ...] | None = None,
    saves: tuple[str, ...] | None = None,
    attrs: dict[str, Any] | None = None,
) -> Operator:
    """Make an operator of array code that Diptych does not see into.

    It runs in eager code, in graphs and in compiled functions, as one kernel.

    Parameters
    ----------
    name : str
        An identifier that no other operator has.
    signature : str
        Names of operands and results, as ``"x, y -> z"``.
    forward : callable
        ``forward(*arrays, **attrs)``: the result, or a tuple of them, in memory of their own. The
        arrays are read-only.
    infer : callable, optional
        ``infer(*avals, **attrs)``: the `Aval` of the result, or a tuple of them. By default that
        of the first operand.
    backward : callable, optional
        ``backward(ctx, *cotangents)``, in array code: a tuple with the cotangent of each operand,
        or None for one. `ctx` has the arrays of operands and results by name, and the attributes;
        all arrays are read-only.
        Asking for gradients of gradients is an error then.
    vjp : tuple of callables, optional
        In place of `backward`, per operand ``rule(ctx, *cotangents)`` in operators, which gives
        gradients of every order.
    saves : tuple of str, optional
        With `vjp`, per operand the names that its rule reads, spaces between. By default all.
    attrs : dict, optional
        Attributes and their defaults; hashable.

    Returns
    -------
    callable
        The operator's function.

    Raises
    ------
    ArgumentError
        When the name is no identifier or taken, the signature is malformed, both `backward` and
        `vjp` are given, `vjp` or `saves` does not fit the operands, or an attribute is no
        identifier or not hashable. From a call: when an attribute is not hashable, or the code
        writes to an operand. From a gradient: when a rule in `vjp` gives no tensor.
    ShapeError, DTypeError
        From a call: when the code gives something else than was inferred; from a gradient: when a
        cotangent is not like its operand.

    Examples
    --------
    >>> cube = dt.custom_op(
    ...     "cube", "x -> y", lambda x: x**3, backward=lambda ctx, g: (3 * ctx.x**2 * g,)
    ... )
    >>> x = dt.tensor([1.0, 2.0], requires_grad=True)
    >>> dt.grad(dt.sum(cube(x)), x)
    (tensor([ 3., 12.]),)
    """
    attrs = attrs or {}
    _check_free(name, *[f"{name}_backward"] * (backward is not None))
    operands, results = _names(signature, attrs)
    _check_hashable("custom_op: ", attrs)
    if backward is not None and vjp is not None:
        raise ArgumentError(f"custom_op: {name} needs backward or vjp, got both")
    _check_rules(name, operands, results, vjp, saves)
    everything = " ".join((*operands, *results))
    infer = infer or (lambda *avals, **attrs: avals[0])
    if backward is not None:
        pulled = _backward_op(name, operands, results, backward, attrs)
        vjp = tuple(partial(_rule, pulled, i, operands, results) for i in range(len(operands)))
    elif vjp is not None:
        vjp = tuple(partial(_checked, name, i, rule) for i, rule in enumerate(vjp))
    return defop(
        name,
        signature,
        infer=infer,
        kernel=partial(_run, name, forward, infer),
        vjp=vjp,
        saves=saves or (() if vjp is None else (everything,) * len(operands)),
        attrs=attrs,
        normalise=_normalise,
        may_raise=True,
        doc=forward.__doc__ or f"The user's operator {name}.",
    )


def _names(signature: str, attrs: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of operands and results; with the attributes', they are parameters of a function."""
    left, arrow, right = signature.partition("->")
    sides = [tuple(n.strip() for n in side.split(",")) for side in (left, right)]
    names = [*sides[0], *sides[1]]
    if not arrow or not all(map(_is_name, names)):
        raise ArgumentError(f"custom_op: signature must read 'x, y -> z', got {signature!r}")
    if len({*names}) != len(names):
        raise ArgumentError(f"custom_op: names in signature must differ, got {signature!r}")
    wrong = [n for n in attrs if not _is_name(n) or n in names]
    if wrong:
        raise ArgumentError(
            f"custom_op: attrs must have identifiers that {signature!r} has not, got {wrong}"
        )
    return sides[0], sides[1]


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and not iskeyword(name)


def _check_free(*names: str) -> None:
    for name in names:
        if not _is_name(name) or name in REGISTRY:
            raise ArgumentError(f"custom_op: name must be an identifier that is free, got {name!r}")


def _check_rules(
    name: str,
    operands: tuple[str, ...],
    results: tuple[str, ...],
    vjp: tuple[Callable[..., Any], ...] | None,
    saves: tuple[str, ...] | None,
) -> None:
    """Raises unless there is a rule per operand, and what each reads is there."""
    count = len(operands)
    if vjp is not None and (len(vjp) != count or not all(map(callable, vjp))):
        raise ArgumentError(f"custom_op: {name} needs a rule per operand in vjp, got {vjp}")
    if saves is None:
        return
    if vjp is None or isinstance(saves, str) or len(saves) != count:
        raise ArgumentError(
            f"custom_op: {name} needs names per operand in saves, and vjp, got saves={saves!r}"
        )
    unknown = {*" ".join(saves).split()} - {*operands, *results}
    if unknown:
        raise ArgumentError(
            f"custom_op: {name} needs saves of operands and results, got {sorted(unknown)}"
        )


def _checked(
    name: str, position: int, rule: Callable[..., Any], ctx: Context, *cotangents: Any
) -> Any:
    """What the rule of an operand gives, which must be a cotangent of the operand."""
    found, aval = rule(ctx, *cotangents), ctx.ins[position]
    if found is None:
        return None
    if not isinstance(found, Operand):
        raise ArgumentError(f"{name}: rules in vjp must give tensors, got {type(found).__name__}")
    if found.shape != aval.shape:
        raise ShapeError(
            f"{name}: a cotangent must have its operand's shape, got {show(found.shape)} for "
            f"{show(aval.shape)}"
        )
    if found.dtype != aval.dtype:
        raise DTypeError(
            f"{name}: a cotangent must have its operand's dtype, got {found.dtype} for {aval.dtype}"
        )
    return found


def _check_hashable(prefix: str, attrs: dict[str, Any]) -> None:
    for name, value in attrs.items():
        try:
            hash(value)
        except TypeError:
            raise ArgumentError(
                f"{prefix}attributes must be hashable, got {name}={value!r}"
            ) from None


def _normalise(*avals: Aval, **attrs: Any) -> dict[str, Any]:
    """The attributes of a call as they are; whoever binds them puts the name before an error."""
    _check_hashable("", attrs)
    return attrs


def _run(
    name: str,
    forward: Callable[..., Any],
    infer: Callable[..., Any],
    xp: Any,
    /,
    *arrays: Any,
    out: Any = None,
    **attrs: Any,
) -> Any:
    """The user's code as a kernel; what it gives must be what was inferred."""
    try:
        given = forward(*map(_read_only, arrays), **attrs)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ArgumentError(f"{name}: the code must not write to operands, got: {error}") from error
    results = given if isinstance(given, tuple) else (given,)
    expected = infer(*map(aval_of, arrays), **attrs)
    avals = expected if isinstance(expected, tuple) else (expected,)
    if len(results) != len(avals):
        raise ShapeError(f"{name}: must give {len(avals)} results, got {len(results)}")
    checked = tuple(_check(name, xp, r, aval, arrays) for r, aval in zip(results, avals))
    if out is not None:
        xp.copyto(out, checked[0])
        return out
    return checked if len(checked) > 1 else checked[0]


def _read_only(array: Any) -> Any:
    """The array, through a view that cannot be written to where its library has such views."""
    if not isinstance(array, np.ndarray):
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _check(name: str, xp: Any, result: Any, aval: Aval, operands: Any) -> Any:
    array = xp.asarray(result)
    if array.shape != aval.shape:
        raise ShapeError(
            f"{name}: result must have the inferred shape, got {show(array.shape)} for "
            f"{show(aval.shape)}"
        )
    if array.dtype != aval.dtype:
        raise DTypeError(
            f"{name}: result must have the inferred dtype, got {array.dtype} for {aval.dtype}"
        )
    shared = isinstance(array, np.ndarray) and any(np.may_share_memory(array, x) for x in operands)
    return array.copy() if shared else xp.asarray(array, order="C")


def _backward_op(
    name: str,
    operands: tuple[str, ...],
    results: tuple[str, ...],
    backward: Callable[..., Any],
    attrs: dict[str, Any] | None,
) -> Operator:
    """The operator that runs a gradient written in array code."""
    given = (*operands, *results, *(f"cotangent_{r}" for r in results))
    count, last = len(operands), len(operands) + len(results)

    def forward(*arrays: Any, **attrs: Any) -> tuple[Any, ...]:
        ctx = SimpleNamespace(**dict(zip(given[:last], arrays)), **attrs)
        found = backward(ctx, *arrays[last:])
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != count:
            raise ShapeError(
                f"{name}: backward must give a cotangent per operand, got {len(found)} for {count}"
            )
        return tuple(
            np.zeros_like(x) if g is None else np.asarray(g, x.dtype) for x, g in zip(arrays, found)
        )

    def refuse(ctx: Any, *cotangents: Any) -> Any:
        raise TapeError(
            f"{name}: a gradient in array code has no gradient itself, got a request for one; give "
            "custom_op a vjp in operators"
        )

    return defop(
        f"{name}_backward",
        f"{', '.join(given)} -> {', '.join(f'cotangent_of_{x}' for x in operands)}",
        infer=lambda *avals, **attrs: avals[:count],
        kernel=partial(_run, f"{name}_backward", forward, lambda *avals, **attrs: avals[:count]),
        vjp=(refuse,) * len(given),
        attrs=attrs,
        may_raise=True,
        doc=f"The gradient of the user's operator {name}.",
    )


def _rule(
    pulled: Operator,
    position: int,
    operands: tuple[str, ...],
    results: tuple[str, ...],
    ctx: Any,
    *cotangents: Any,
) -> Any:
    """The cotangent of one operand; the code that gives all of them runs once."""
    if not is_float(ctx.ins[position].dtype):
        return None
    if "pulled" not in ctx.__dict__:
        values = [getattr(ctx, name) for name in (*operands, *results)]
        attrs = {name: getattr(ctx, name) for name in pulled.op.attrs}
        found = pulled(*values, *cotangents, **attrs)
        ctx.pulled = found if isinstance(found, tuple) else (found,)
    return ctx.pulled[position]
