"""Products of vectors, matrices and arrays of more axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..avals import Aval, show
from ..dims import Shape, Size, product
from ..dtypes import BOOL
from ..errors import DTypeError, ShapeError
from ..kernels import linalg as kernels
from . import promotion
from .batching import elementwise
from .core import Bound, Operator, defop, functions_of
from .elementwise import multiply
from .manipulation import expand_dims, named, permute_dims, reshape
from .plain import shaped
from .rules import broadcast_shapes, normal_axis, one_device, unbroadcast

# -- rules -----------------------------------------------------------------------------------


def is_whole(number: Any) -> bool:
    """Whether it is an integer of Python or NumPy; bools are none."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def require_numbers(x: Any) -> None:
    """Raises DTypeError for bools."""
    if x.dtype == BOOL:
        raise DTypeError("operands must be numbers, got bool")


def require_matrix(x: Any) -> None:
    """Raises ShapeError for an operand with less than two axes."""
    if len(x.shape) < 2:
        raise ShapeError(f"operands must have at least two axes, got {show(x.shape)}")


def require_square(x: Any) -> Any:
    """The operand itself.

    Raises
    ------
    ShapeError
        When its last two axes are not of one size.
    """
    require_matrix(x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrices must be square, got {show(x.shape)}")
    return x


def _from_the_end(x: Aval, y: Aval, axis: Any) -> dict[str, Any]:
    """An axis of both operands, counted from the last one as -1."""
    if not is_whole(axis):
        raise ShapeError(f"axis must be a whole number, got {axis!r}")
    fewest = min(x.ndim, y.ndim)
    if axis >= 0 and x.ndim == y.ndim:
        axis = normal_axis(axis, fewest) - fewest
    if not -fewest <= axis < 0:
        raise ShapeError(
            f"axis must be counted from the last, in -{fewest}..-1, got {axis}" if fewest else
            f"a 0-d operand has no axis, got {axis}"
        )  # fmt: skip
    return {"axis": int(axis)}


# -- the matrix product ----------------------------------------------------------------------


def _matmul(x: Aval, y: Aval) -> Aval:
    got = f"got {show(x.shape)} @ {show(y.shape)}"
    if not x.ndim or not y.ndim:
        raise ShapeError(f"operands must have at least one axis, {got}")
    require_numbers(x)
    a, b = _as_matrices(x.shape, y.shape)
    if a[-1] != b[-2]:
        raise ShapeError(f"inner dimensions must match, {got}")
    try:
        batch = broadcast_shapes(a[:-2], b[:-2])
    except ShapeError:
        raise ShapeError(f"batch dimensions must broadcast, {got}") from None
    rows = () if x.ndim == 1 else (a[-2],)
    columns = () if y.ndim == 1 else (b[-1],)
    return Aval((*batch, *rows, *columns), x.dtype, one_device(x, y))


def _as_matrices(x: Shape, y: Shape) -> tuple[Shape, Shape]:
    return (1, *x) if len(x) == 1 else x, (*y, 1) if len(y) == 1 else y


def _cotangent(c: Any, g: Any) -> Any:
    """The cotangent with the axes that a vector operand dropped put back."""
    x, y = c.ins
    g = expand_dims(g, -1) if y.ndim == 1 else g
    return expand_dims(g, -2) if x.ndim == 1 else g


def _vjp_x(c: Any, g: Any) -> Any:
    x, y = c.ins
    if x.ndim == y.ndim == 2:
        return matmul(g, permute_dims(c.y, (1, 0)))
    right = expand_dims(c.y, -1) if y.ndim == 1 else c.y
    found = matmul(_cotangent(c, g), matrix_transpose(right))
    return _back(found, x, (1, *x.shape) if x.ndim == 1 else x.shape)


def _vjp_y(c: Any, g: Any) -> Any:
    x, y = c.ins
    if x.ndim == y.ndim == 2:
        return matmul(permute_dims(c.x, (1, 0)), g)
    left, g = expand_dims(c.x, 0) if x.ndim == 1 else c.x, _cotangent(c, g)
    if y.ndim == 2 and x.ndim > 2:
        # The rows of all stacks are those of one matrix: one product, and no sum of many.
        left, g = (reshape(v, (product(v.shape[:-1]), v.shape[-1])) for v in (left, g))
    return _back(matmul(matrix_transpose(left), g), y, (*y.shape, 1) if y.ndim == 1 else y.shape)


def _back(found: Any, operand: Aval, as_matrix: Shape) -> Any:
    if found.shape != as_matrix:
        found = unbroadcast(found, Aval(as_matrix, operand.dtype, operand.device))
    return found if operand.ndim > 1 else reshape(found, operand.shape)


def _flop(ins: tuple[Aval, ...], outs: tuple[Aval, ...], attrs: Any) -> Size:
    return 2 * outs[0].size * ins[0].shape[-1]


def _matmul_of_batch(call: Bound, operands: Any, batched: Any) -> Any:
    (x, y), (a, b) = operands, call.ins
    if tuple(batched) == (True, False) and b.ndim <= 2:
        # All rows of the batch are the rows of one matrix, so it is one product.
        rows = reshape(x, (product(x.shape[:-1]), x.shape[-1]))
        return reshape(matmul(rows, y), (x.shape[0], *call.outs[0].shape))
    if tuple(batched) == (False, True) and b.ndim == 1 and a.ndim <= 2:
        return matmul(y, matrix_transpose(x) if a.ndim == 2 else x)
    x = expand_dims(x, -2) if a.ndim == 1 else x
    y = expand_dims(y, -1) if b.ndim == 1 else y
    stacks = max(a.ndim, b.ndim, 2) - 2
    x, y = (stacked(v, stacks, is_batched) for v, is_batched in zip((x, y), batched))
    z = matmul(x, y)
    return reshape(z, (z.shape[0], *call.outs[0].shape))


def stacked(x: Any, stacks: int, is_batched: bool) -> Any:
    """A batch of stacks of matrices whose batch axis stands left of all of the stack's axes."""
    missing = stacks + 3 - len(x.shape)
    if not is_batched or not missing:
        return x
    return reshape(x, (x.shape[0], *[1] * missing, *x.shape[1:]))


matmul: Operator = defop(
    "matmul",
    "x, y -> z",
    infer=_matmul,
    kernel="matmul",
    promote=promotion.common,
    vjp=(_vjp_x, _vjp_y),
    saves=("y", "x"),
    cost=_flop,
    batch=_matmul_of_batch,
    doc="""Matrix product over the last two axes; the axes before them broadcast.

    Parameters
    ----------
    x : array, shape (..., n, k) or (k,)
    y : array, shape (..., k, m) or (k,)

    Returns
    -------
    array, shape (..., n, m), without the axis of an operand that is a vector

    Raises
    ------
    ShapeError
        When the inner dimensions differ or the batch dimensions do not broadcast.
    DTypeError
        When the dtypes do not promote, or are bool.

    Examples
    --------
    >>> dt.matmul(dt.tensor([[1.0, 2.0]]), dt.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """,
)

# -- products of vectors ---------------------------------------------------------------------


def _vecdot(x: Aval, y: Aval, axis: int) -> Aval:
    require_numbers(x)
    if x.shape[axis] != y.shape[axis]:
        raise ShapeError(
            f"vectors must have one size, got {show(x.shape)} and {show(y.shape)}, axis {axis}"
        )
    rest = [list(v.shape) for v in (x, y)]
    for shape in rest:
        del shape[axis]
    return Aval(broadcast_shapes(*map(tuple, rest)), x.dtype, one_device(x, y))


vecdot: Operator = defop(
    "vecdot",
    "x, y -> z",
    attrs={"axis": -1},
    normalise=_from_the_end,
    infer=_vecdot,
    kernel=kernels.vecdot,
    promote=promotion.common,
    vjp=(
        lambda c, g: unbroadcast(expand_dims(g, c.axis) * c.y, c.ins[0]),
        lambda c, g: unbroadcast(expand_dims(g, c.axis) * c.x, c.ins[1]),
    ),
    saves=("y", "x"),
    cost=lambda ins, outs, attrs: 2 * outs[0].size * ins[0].shape[attrs["axis"]],
    batch=elementwise,
    doc="""Dot product of vectors along an axis; of complex ones, the first is conjugated.

    Parameters
    ----------
    x, y : array, numbers
        All axes but that of the vectors broadcast.
    axis : int
        Of the vectors in both operands, counted from the last; from the first only where the
        operands have equally many axes.

    Returns
    -------
    array of the broadcast shape without the axis, of the common dtype

    Raises
    ------
    ShapeError
        When the vectors differ in size, the axis is out of range, or the other axes do not
        broadcast.
    DTypeError
        When the dtypes do not promote, or are bool.

    Examples
    --------
    >>> dt.vecdot(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), dt.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """,
)


def _cross(x: Aval, y: Aval, axis: int) -> Aval:
    require_numbers(x)
    if x.shape[axis] != 3 or y.shape[axis] != 3:
        raise ShapeError(
            f"vectors must have size 3, got {show(x.shape)} and {show(y.shape)}, axis {axis}"
        )
    return Aval(broadcast_shapes(x.shape, y.shape), x.dtype, one_device(x, y))


cross: Operator = defop(
    "cross",
    "x, y -> z",
    attrs={"axis": -1},
    normalise=_from_the_end,
    infer=_cross,
    kernel=kernels.cross,
    promote=promotion.common,
    vjp=(
        lambda c, g: unbroadcast(cross(c.y, g, c.axis), c.ins[0]),
        lambda c, g: unbroadcast(cross(g, c.x, c.axis), c.ins[1]),
    ),
    saves=("y", "x"),
    cost=lambda ins, outs, attrs: 3 * outs[0].size,
    batch=elementwise,
    doc="""Cross product of vectors of size 3.

    Parameters
    ----------
    x, y : array, numbers
        All axes but that of the vectors broadcast.
    axis : int
        Of the vectors in both operands, counted from the last; from the first only where the
        operands have equally many axes.

    Returns
    -------
    array of the broadcast shape, of the common dtype

    Raises
    ------
    ShapeError
        When the vectors have another size, the axis is out of range, or the other axes do not
        broadcast.
    DTypeError
        When the dtypes do not promote, or are bool.

    Examples
    --------
    >>> dt.cross(dt.tensor([1.0, 0.0, 0.0]), dt.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """,
)


def outer(x: Any, y: Any) -> Any:
    """All products of an element of one vector with one of another.

    Parameters
    ----------
    x : array, shape (n,)
    y : array, shape (m,)

    Returns
    -------
    array, shape (n, m), of the common dtype

    Raises
    ------
    ShapeError
        When an operand is no vector.
    DTypeError
        When the dtypes do not promote.

    Examples
    --------
    >>> dt.outer(dt.tensor([1.0, 2.0]), dt.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    x, y = shaped(x, "outer"), shaped(y, "outer")
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise ShapeError(
            f"outer: operands must be vectors, got {show(x.shape)} and {show(y.shape)}"
        )
    return multiply(expand_dims(x, 1), expand_dims(y, 0))


# -- contraction -----------------------------------------------------------------------------


def permuted(x: Any, order: Sequence[int]) -> Any:
    """`permute_dims`, but for the order that changes nothing."""
    return x if list(order) == list(range(len(order))) else permute_dims(x, tuple(order))


def reshaped(x: Any, shape: Shape) -> Any:
    """`reshape`, but for the shape that the operand has."""
    return x if x.shape == shape else reshape(x, shape)


def _contracted(x: Any, y: Any, axes: Any) -> tuple[list[int], list[int]]:
    """The axes of either operand that `tensordot` sums over, in pairs."""
    require_numbers(x)
    first, second = _paired(axes, len(x.shape), len(y.shape))
    if [x.shape[a] for a in first] != [y.shape[a] for a in second]:
        raise ShapeError(
            f"contracted axes must have the same sizes, got {show(x.shape)} over {first} and "
            f"{show(y.shape)} over {second}"
        )
    return first, second


def _paired(axes: Any, x: int, y: int) -> tuple[list[int], list[int]]:
    """Axes as `tensordot` is given them, of operands with so many."""
    if is_whole(axes):
        if not 0 <= axes <= min(x, y):
            raise ShapeError(f"axes must be in 0..{min(x, y)}, or two lists of axes, got {axes}")
        return list(range(x - axes, x)), list(range(axes))
    if not isinstance(axes, tuple | list) or len(axes) != 2:
        raise ShapeError(f"axes must be a number or two lists of axes, got {axes!r}")
    pair = [a if isinstance(a, tuple | list) else [a] for a in axes]
    first, second = ([normal_axis(a, n) for a in given] for given, n in zip(pair, (x, y)))
    if len(first) != len(second) or any(len(set(p)) != len(p) for p in (first, second)):
        raise ShapeError(f"axes must be equally many and differ, got {axes}")
    return first, second


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Sum of products over axes of two arrays: the matrix product of any number of axes.

    Parameters
    ----------
    x, y : array, numbers
    axes : int or pair of sequences of int
        The last so many axes of `x` with the first so many of `y`; or the axes of `x` and those of
        `y` that go with them.

    Returns
    -------
    array with the axes of `x` that are left and then those of `y`, of the common dtype

    Raises
    ------
    ShapeError
        When an axis is out of range or repeated, or the sizes of a pair differ.
    DTypeError
        When the dtypes do not promote, or are bool.

    Examples
    --------
    >>> dt.tensordot(dt.ones((2, 3, 4)), dt.ones((4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    x, y = shaped(x, "tensordot"), shaped(y, "tensordot")
    first, second = named("tensordot", _contracted, x, y, axes)
    rows = [i for i in range(len(x.shape)) if i not in first]
    columns = [i for i in range(len(y.shape)) if i not in second]
    height, width = (tuple(v.shape[i] for i in kept) for v, kept in ((x, rows), (y, columns)))
    depth = product(tuple(x.shape[a] for a in first))
    left = reshaped(permuted(x, [*rows, *first]), (product(height), depth))
    right = reshaped(permuted(y, [*second, *columns]), (depth, product(width)))
    return reshaped(matmul(left, right), (*height, *width))


# -- transposition ---------------------------------------------------------------------------


def matrix_transpose(x: Any) -> Any:
    """A view with the last two axes exchanged.

    Parameters
    ----------
    x : array, shape (..., n, m)

    Returns
    -------
    array, shape (..., m, n)

    Raises
    ------
    ShapeError
        When there are less than two axes.

    Examples
    --------
    >>> dt.matrix_transpose(dt.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    x = shaped(x, "matrix_transpose")
    ndim = len(x.shape)
    if ndim == 2:
        return permute_dims(x, (1, 0))
    named("matrix_transpose", require_matrix, x)
    return permute_dims(x, (*range(ndim - 2), ndim - 1, ndim - 2))


__all__ = sorted([*functions_of(__name__), "matrix_transpose", "outer", "tensordot"])
