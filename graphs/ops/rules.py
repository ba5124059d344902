"""Shape rules that several families of operators share, and helpers for gradient rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dims import Shape, Size
from ..dtypes import BOOL, is_complex, is_float
from ..errors import DTypeError, ShapeError


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that operands broadcast to.

    Raises
    ------
    ShapeError
        When two sizes on one axis differ and neither is 1.
    """
    ndim = max(map(len, shapes), default=0)
    result: list[Size] = [1] * ndim
    for shape in shapes:
        for axis, size in enumerate(shape, ndim - len(shape)):
            if size == 1 or size == result[axis]:
                continue
            if result[axis] != 1:
                raise ShapeError(
                    f"shapes must broadcast, got {' and '.join(show(s) for s in shapes)}"
                )
            result[axis] = size
    return tuple(result)


def broadcast(*avals: Aval, **attrs: Any) -> Aval:
    """Result of an element-wise operator: the broadcast shape, the promoted dtype."""
    last = avals[-1]
    if len(avals) == 1 or all(a.shape == last.shape for a in avals):
        return last
    return Aval(broadcast_shapes(*(a.shape for a in avals)), last.dtype, one_device(*avals))


def numeric(*avals: Aval, **attrs: Any) -> Aval:
    """`broadcast`, for numbers only."""
    if avals[-1].dtype == BOOL:
        raise DTypeError("operands must be numbers, got bool")
    return broadcast(*avals)


def predicate(*avals: Aval, **attrs: Any) -> Aval:
    """`broadcast`, with a boolean result."""
    return replace(broadcast(*avals), dtype=BOOL)


def same(x: Aval, **attrs: Any) -> Aval:
    """The result is like the operand."""
    return x


def one_device(*avals: Aval) -> Any:
    return next((a.device for a in avals if a.ndim), avals[0].device)


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from 0, in order; all of them for None.

    Raises
    ------
    ShapeError
        When an axis is out of range, repeated or no whole number.
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(normal_axis(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axes must differ, got {axis}")
    return tuple(sorted(axes))


def normal_axis(axis: Any, ndim: int) -> int:
    """An axis counted from 0.

    Raises
    ------
    ShapeError
        When it is out of range or no whole number.
    """
    if not hasattr(axis, "__index__") or isinstance(axis, bool):
        raise ShapeError(f"axis must be a whole number, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis must be in -{ndim}..{ndim - 1}, got {axis}" if ndim else
                         f"a 0-d operand has no axis, got {axis}")  # fmt: skip
    return int(axis) % ndim


def one_axis(x: Aval, axis: Any) -> dict[str, Any]:
    """The attribute `axis` in normal form."""
    return {"axis": normal_axis(axis, x.ndim)}


def no_flop(ins: Any, outs: Any, attrs: Any) -> int:
    """The cost of an operator that computes nothing."""
    return 0


def require_float(aval: Aval, what: str) -> None:
    """Raises DTypeError unless the dtype is a float."""
    if not is_float(aval.dtype):
        raise DTypeError(f"{what} must be floats, got {aval.dtype}")


def require_real(aval: Aval, what: str) -> None:
    """Raises DTypeError for a complex dtype."""
    if is_complex(aval.dtype):
        raise DTypeError(f"{what} must be real, got {aval.dtype}")


def unbroadcast(g: Any, aval: Aval) -> Any:
    """A cotangent summed back to the shape that its operand had before broadcasting."""
    if g.shape == aval.shape:
        return g
    from .reductions import sum_to

    return sum_to(g, aval.shape)
