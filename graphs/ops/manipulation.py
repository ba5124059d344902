"""Operators that give the same elements under other shapes, axes and orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import devices
from ..avals import Aval, as_shape, show, sizes_of
from ..devices import CPU, Device
from ..dims import Shape, divide_exactly, product
from ..errors import DeviceError, DiptychError, ShapeError
from ..kernels import manipulation as kernels
from ..kernels import shares
from . import rules
from .batching import leading, prefixed, shifted
from .core import REQUIRED, Operator, defop, functions_of
from .plain import shaped
from .rules import no_flop, normal_axes, normal_axis, unbroadcast


def device_of(x: Any) -> Device:
    """The device of an operand of any kind."""
    device = getattr(x, "device", CPU)
    return device if isinstance(device, Device) else devices.device_of(x)


def placed(where: str, x: Any, device: Any) -> Any:
    """An operand on a device; itself where no device is asked for or it is there.

    Raises
    ------
    DeviceError
        When the device is unknown, or a value of a graph should move to another one.
    """
    if device is None or Device.of(device) == device_of(x):
        return x
    target = Device.of(device)
    if hasattr(x, "to"):
        return x.to(target)
    if hasattr(x, "style"):
        raise DeviceError(
            f"{where}: a static value stays on its device, got {device_of(x)} to {target}"
        )
    return devices.put(x, target)


def named(name: str, rule: Callable[..., Any], *args: Any) -> Any:
    """A rule applied for a function that is no operator: its errors begin with `name`."""
    try:
        return rule(*args)
    except DiptychError as error:
        raise type(error)(f"{name}: {error}") from None


def _fill_in(x: Aval, shape: Any) -> dict[str, Any]:
    """A shape with its -1 replaced by the size that keeps the number of elements."""
    given = sizes_of(shape)
    at = next((i for i, s in enumerate(given) if isinstance(s, int | np.integer) and s == -1), None)
    if at is None:
        return {"shape": as_shape(given)}
    known = as_shape(given[:at] + given[at + 1 :])
    try:
        size = divide_exactly(x.size, product(known))
    except ShapeError:
        raise ShapeError(
            f"sizes must keep the number of elements, got {show(x.shape)} to {show(given)}"
        ) from None
    return {"shape": (*known[:at], size, *known[at:])}


def _reshape(x: Aval, shape: Shape) -> Aval:
    if product(shape) != x.size:
        raise ShapeError(
            f"sizes must keep the number of elements, got {show(x.shape)} to {show(shape)}"
        )
    return replace(x, shape=shape)


_view_as: Operator = defop(
    "reshape",
    "x -> y",
    attrs={"shape": REQUIRED},
    normalise=_fill_in,
    infer=_reshape,
    kernel=kernels.reshape,
    vjp=(lambda c, g: _view_as(g, c.ins[0].shape),),
    batch=prefixed("shape"),
    view=True,
    cost=no_flop,
    doc="The operator behind `reshape`.",
)


def reshape(x: Any, shape: Any, copy: bool | None = None) -> Any:
    """The same elements, in row-major order, under another shape.

    Parameters
    ----------
    x : array
    shape : int or tuple of int
        One size may be -1: it is inferred.
    copy : bool, optional
        True: in memory of its own. False: a view or an error. By default a view where possible.
        A graph, which decides on memory by itself, takes no notice.

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When the number of elements would change, or no view is possible and `copy` is False.

    Examples
    --------
    >>> dt.reshape(dt.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    tensor([[1., 2.],
            [3., 4.]])
    """
    y = _view_as(x, shape)
    if copy is None:
        return y
    before, after = (getattr(v, "array", v) for v in (x, y))
    if not hasattr(before, "strides"):
        return y
    if shares(after, before):
        return _own(y) if copy else y
    if not copy:
        raise ShapeError(
            f"reshape: a view must be possible, got shape {show(before.shape)} with strides "
            f"{before.strides}"
        )
    return y


def _own(x: Any) -> Any:
    """A copy, through which gradients flow."""
    from .reductions import accumulate

    return accumulate([x])


def _permutation(x: Aval, axes: Any) -> dict[str, Any]:
    if axes is None:
        axes = tuple(reversed(range(x.ndim)))
    order = None
    if isinstance(axes, tuple | list):
        order = tuple(normal_axis(a, x.ndim) for a in axes)
    if order is None or sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"axes must be a permutation of {x.ndim} axes, got {axes}")
    return {"axes": order}


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


permute_dims: Operator = defop(
    "permute_dims",
    "x -> y",
    attrs={"axes": None},
    normalise=_permutation,
    infer=lambda x, axes: replace(x, shape=tuple(x.shape[a] for a in axes)),
    kernel=kernels.permute_dims,
    vjp=(lambda c, g: permute_dims(g, _inverse(c.axes)),),
    batch=lambda call, operands, batched: permute_dims(
        operands[0], (0, *(a + 1 for a in call.attrs["axes"]))
    ),
    view=True,
    cost=no_flop,
    doc="""A view with the axes in another order.

    Parameters
    ----------
    x : array
    axes : tuple of int, optional
        Which axis of `x` each axis of the result is. By default all in reverse.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When `axes` is no permutation.

    Examples
    --------
    >>> dt.permute_dims(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), (1, 0))
    tensor([[1., 3.],
            [2., 4.]])
    """,
)


def _broadcast_to(x: Aval, shape: Shape) -> Aval:
    if rules.broadcast_shapes(x.shape, shape) != shape:
        raise ShapeError(
            f"operand must broadcast to the shape, got {show(x.shape)} to {show(shape)}"
        )
    return replace(x, shape=shape)


def _broadcast_batch(call: Any, operands: Any, batched: Any) -> Any:
    [x] = operands
    ones = [1] * (len(call.attrs["shape"]) - call.ins[0].ndim)
    x = _view_as(x, (x.shape[0], *ones, *call.ins[0].shape))
    return broadcast_to(x, (x.shape[0], *call.attrs["shape"]))


broadcast_to: Operator = defop(
    "broadcast_to",
    "x -> y",
    attrs={"shape": REQUIRED},
    normalise=lambda x, shape: {"shape": as_shape(shape)},
    infer=_broadcast_to,
    kernel=kernels.broadcast_to,
    vjp=(lambda c, g: unbroadcast(g, c.ins[0]),),
    batch=_broadcast_batch,
    view=True,
    cost=no_flop,
    doc="""A read-only view that repeats the operand to a shape.

    Parameters
    ----------
    x : array
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When `x` does not broadcast to `shape`.

    Examples
    --------
    >>> dt.broadcast_to(dt.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """,
)


def _new_axes(x: Aval, axis: Any) -> dict[str, Any]:
    given = axis if isinstance(axis, tuple | list) else (axis,)
    return {"axis": normal_axes(axis, x.ndim + len(given))}


def _expanded(x: Aval, axis: tuple[int, ...]) -> Aval:
    sizes = iter(x.shape)
    return replace(
        x, shape=tuple(1 if a in axis else next(sizes) for a in range(x.ndim + len(axis)))
    )


expand_dims: Operator = defop(
    "expand_dims",
    "x -> y",
    attrs={"axis": 0},
    normalise=_new_axes,
    infer=_expanded,
    kernel=kernels.expand_dims,
    vjp=(lambda c, g: squeeze(g, c.axis),),
    batch=shifted("axis"),
    view=True,
    cost=no_flop,
    doc="""A view with new axes of size 1.

    Parameters
    ----------
    x : array
    axis : int or tuple of int
        Where the new axes stand in the result.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When an axis is out of range, or given twice.

    Examples
    --------
    >>> dt.expand_dims(dt.tensor([1.0, 2.0]), 0)
    tensor([[1., 2.]])
    """,
)


def _ones(x: Aval, axis: Any) -> dict[str, Any]:
    if axis is None:
        return {"axis": tuple(i for i, d in enumerate(x.shape) if d == 1)}
    axes = normal_axes(axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"a squeezed axis must have size 1, got {show(x.shape)}, axis {a}")
    return {"axis": axes}


squeeze: Operator = defop(
    "squeeze",
    "x -> y",
    attrs={"axis": None},
    normalise=_ones,
    infer=lambda x, axis: replace(
        x, shape=tuple(d for i, d in enumerate(x.shape) if i not in axis)
    ),
    kernel=kernels.squeeze,
    vjp=(lambda c, g: expand_dims(g, c.axis),),
    batch=shifted("axis"),
    view=True,
    cost=no_flop,
    doc="""A view without axes of size 1.

    Parameters
    ----------
    x : array
    axis : int or tuple of int, optional
        By default every axis of size 1.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When an axis is out of range or not of size 1.

    Examples
    --------
    >>> dt.squeeze(dt.tensor([[1.0, 2.0]]), 0)
    tensor([1., 2.])
    """,
)


stop_gradient: Operator = defop(
    "stop_gradient",
    "x -> y",
    infer=lambda x: x,
    kernel=kernels.alias,
    vjp=None,
    batch=leading,
    view=True,
    cost=no_flop,
    doc="""A view of the same numbers through which no gradient flows.

    Parameters
    ----------
    x : array

    Returns
    -------
    array like `x`

    Examples
    --------
    >>> dt.stop_gradient(dt.tensor([1.0], requires_grad=True)).requires_grad
    False
    """,
)


# -- written in the operators above ------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that arrays of some shapes broadcast to.

    Parameters
    ----------
    *shapes : tuple of int

    Returns
    -------
    tuple of int; empty where there is no shape

    Raises
    ------
    ShapeError
        When two sizes on one axis differ and neither is 1.

    Examples
    --------
    >>> dt.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return named("broadcast_shapes", lambda: rules.broadcast_shapes(*map(as_shape, shapes)))


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Arrays broadcast against each other: read-only views of one shape.

    Parameters
    ----------
    *arrays : array

    Returns
    -------
    tuple of arrays

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.

    Examples
    --------
    >>> x, y = dt.broadcast_arrays(dt.tensor([1.0, 2.0]), dt.tensor([[3.0], [4.0]]))
    >>> x.shape, y.shape
    ((2, 2), (2, 2))
    """
    operands = [shaped(x, "broadcast_arrays") for x in arrays]
    shape = named("broadcast_arrays", rules.broadcast_shapes, *(x.shape for x in operands))
    return tuple(broadcast_to(x, shape) for x in operands)


__all__ = [*functions_of(__name__), "broadcast_arrays", "broadcast_shapes"]
