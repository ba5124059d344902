"""`vmap`: a function of one example applied to a whole batch, by the operators' batching rules.

An operand of a mapped function is a `Batched`: to the function it has the shape of one example,
underneath lies an operand of any style with the batch on axis 0. `Batching`, its style, hands every
operator to its batching rule, which applies it to what lies underneath. So a mapped function runs
in every style, is differentiated as any other, and may be mapped again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import ops
from .avals import show
from .devices import device_of
from .dims import Size
from .errors import ArgumentError, DTypeError, ShapeError, StaticValueError, TapeError
from .modes import count_detours
from .numbers import materialise, spec_of
from .operand import Operand
from .ops import dispatch
from .ops.core import Bound, Op
from .ops.plain import as_plain, shaped
from .ops.rules import normal_axis
from .trees import flatten, matched, unflatten

# Mapped values win over values of graphs, however deep, and inner maps over outer ones.
_FIRST_RANK = 1000


class _Maps(threading.local):
    def __init__(self) -> None:
        self.running: list[Batching] = []


_maps = _Maps()


def innermost() -> Batching | None:
    """The map whose function runs on this thread, if any."""
    return _maps.running[-1] if _maps.running else None


def running() -> tuple[Batching, ...]:
    """The maps whose functions run on this thread, from the outermost in."""
    return tuple(_maps.running)


@contextmanager
def entered(level: Batching) -> Iterator[None]:
    """Within the block a map's function runs on this thread."""
    _maps.running.append(level)
    count_detours(1)
    try:
        yield
    finally:
        count_detours(-1)
        _maps.running.pop()


@contextmanager
def left() -> Iterator[None]:
    """Within the block what runs is outside the innermost map."""
    level = _maps.running.pop()
    try:
        yield
    finally:
        _maps.running.append(level)


class Batched(Operand):
    """One example of a batch, as a mapped function sees it.

    Attributes
    ----------
    value : operand
        The whole batch, on axis 0; where `shared` holds, what all examples have in common.
    level : Batching
    shared : bool
    """

    __slots__ = ("level", "shared", "value")

    def __init__(self, value: Any, level: Batching, shared: bool = False) -> None:
        self.value, self.level, self.shared = value, level, shared

    @property
    def style(self) -> Any:
        return self.level

    @property
    def shape(self) -> Any:
        return self.value.shape if self.shared else self.value.shape[1:]

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def device(self) -> Any:
        return _device(self.value)

    @property
    def requires_grad(self) -> bool:
        return bool(getattr(self.value, "requires_grad", False))

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a 0-d example has no length, got shape ()")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        raise _no_number("bool()", "; write the choice with dt.where or dt.cond")

    def __int__(self) -> int:
        raise _no_number("int()")

    def __float__(self) -> float:
        raise _no_number("float()")

    def __index__(self) -> int:
        raise _no_number("an index")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise _no_number("a NumPy array")

    def item(self) -> Any:
        raise _no_number("item()")

    def numpy(self) -> Any:
        raise _no_number("numpy()")

    def __repr__(self) -> str:
        return f"<one of {self.level.size} of {self.value!r}>"


class Batching:
    """The style of one `vmap` while its function runs.

    Attributes
    ----------
    size : int or Dim
        The number of examples.
    """

    parameter_type: Any = None

    def __init__(self, rank: int, size: Size) -> None:
        self.rank, self.size = rank, size

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        operands = tuple(x if isinstance(x, Operand) else as_plain(x, op.name) for x in operands)
        inner = [self.inside(x) for x in operands]
        batched = [self.is_mapped(x) for x in operands]
        if not any(batched):
            return self._wrap(dispatch.call(op, tuple(inner), attrs), shared=True)
        bound = op.bind(tuple(map(_spec, operands)), attrs)
        if op.dynamic:
            raise StaticValueError(
                f"{op.name}: a shape that depends on data cannot be mapped, got "
                f"{' and '.join(str(aval) for aval in bound.ins)} in vmap"
            )
        if op.batch is not None:
            return self._wrap(op.batch(bound, self._shaped(bound, inner), batched))
        return self._wrap(self._looped(op, inner, batched, tuple(bound.attrs.values())))

    def _shaped(self, bound: Bound, inner: list[Any]) -> list[Any]:
        """The operands of a rule. A plain one cannot be repeated a symbolic number of times."""
        if isinstance(self.size, int):
            return inner
        style, name = dispatch.style_of(*inner), bound.op.name
        return [
            x if isinstance(x, Operand) else style.constant(materialise(x, aval, name))
            for x, aval in zip(inner, bound.ins)
        ]

    def _looped(self, op: Op, inner: list[Any], batched: list[bool], attrs: tuple[Any, ...]) -> Any:
        """The operator on each example alone, for one without a batching rule."""
        rows = [
            dispatch.call(op, tuple(x[i] if b else x for x, b in zip(inner, batched)), attrs)
            for i in range(self.known_size(op.name))
        ]
        if len(op.results) == 1:
            return ops.stack(rows)
        return tuple(ops.stack(list(column)) for column in zip(*rows))

    def known_size(self, where: str) -> int:
        """The number of examples, where it must be a number.

        Raises
        ------
        StaticValueError
            When it is symbolic.
        """
        if not isinstance(self.size, int):
            raise StaticValueError(
                f"{where}: has no batching rule, so the number of examples must be known, got "
                f"{self.size}"
            )
        return self.size

    def _wrap(self, results: Any, shared: bool = False) -> Any:
        if isinstance(results, tuple):
            return tuple(Batched(r, self, shared) for r in results)
        return Batched(results, self, shared)

    def is_mapped(self, x: Any) -> bool:
        """Whether an operand differs from example to example."""
        return isinstance(x, Batched) and x.level is self and not x.shared

    def inside(self, x: Any) -> Any:
        """What lies under an operand of this level; any other as it is."""
        return x.value if isinstance(x, Batched) and x.level is self else x

    def whole(self, x: Any) -> Any:
        """The batch of an operand, made by repeating where all examples share it.

        Of an operand of an inner map, the inner batch stays outermost.
        """
        if self._is_further_in(x):
            if x.shared:
                return Batched(self.whole(x.value), x.level, shared=True)
            return Batched(moved(self.whole(x.value), 1, 0), x.level)
        inner = self.inside(x)
        if self.is_mapped(x):
            return inner
        if not isinstance(inner, Operand):
            inner = as_plain(inner, "vmap")
            if not hasattr(inner, "shape"):
                inner = ops.full((), inner)
            elif not isinstance(self.size, int):
                inner = self.constant(inner)
        return ops.broadcast_to(inner, (self.size, *inner.shape))

    def examples(self, x: Any) -> Any:
        """One example of a batch: `whole` undone."""
        if self._is_further_in(x):
            if x.shared:
                return Batched(self.examples(x.value), x.level, shared=True)
            return Batched(self.examples(moved(x.value, 1, 0)), x.level)
        return Batched(x, self)

    def _is_further_in(self, x: Any) -> bool:
        return isinstance(x, Batched) and x.level.rank > self.rank

    def constant(self, array: Any) -> Any:
        return dispatch.current().constant(array)

    def read(self, storage: Any) -> Any:
        return dispatch.current().read(storage)

    def assign(self, storage: Any, value: Any, when: Any = None) -> Any:
        if self.is_mapped(value):
            raise TapeError("vmap: state cannot be assigned by a mapped value, got an assignment")
        value = self.inside(value)
        style = value.style if isinstance(value, Batched) else dispatch.current()
        return style.assign(storage, value, when=self.inside(when))

    def together(self, updates: Any) -> Any:
        return dispatch.current().together(updates)

    def checkpoint(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return function(*args)

    def grad(
        self, outputs: Any, inputs: Any, grad_outputs: Any = None, **options: Any
    ) -> tuple[Any, ...]:
        """Gradients of every example by itself.

        The examples do not touch each other, so one gradient of all of them holds each one's.
        """
        outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        inputs = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        for position, x in enumerate(inputs):
            if not self.is_mapped(x):
                raise TapeError(
                    "grad: within vmap an input must be mapped, got one that all examples share "
                    f"as input {position}; use dt.vjp, which gives each its own"
                )
        if grad_outputs is None:
            grad_outputs = [None] * len(outputs)
        elif not isinstance(grad_outputs, list | tuple):
            grad_outputs = [grad_outputs]
        seeds = []
        for output, seed in zip(outputs, grad_outputs, strict=True):
            if seed is None and output.shape == ():
                seeds.append(ops.ones_like(self.whole(output)))
            else:
                seeds.append(None if seed is None else self.whole(seed))
        wholes = [self.whole(output) for output in outputs]
        found = dispatch.style_of(*wholes).grad(
            wholes, [x.value for x in inputs], grad_outputs=seeds, **options
        )
        return tuple(None if g is None else self.examples(g) for g in found)


def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function of one example as a function of a whole batch, computed at once.

    Parameters
    ----------
    function : callable
        Of arrays in lists, tuples and dicts; what it gives may be such, too.
    in_axes : int, None, or a tuple with one of them (or a matching container) per argument
        Which axis of each array is the batch; None: all examples share the argument.
    out_axes : int, None, or containers of them like the result's
        Where the batch stands in each result; None: all examples share the result.

    Returns
    -------
    callable

    Raises
    ------
    ArgumentError
        When `in_axes` or `out_axes` do not match the arguments or results, or nothing is mapped;
        when a result is mapped whose entry of `out_axes` is None.
    ShapeError
        When an axis is out of range, or the batches differ in size.

    Notes
    -----
    Each operator has a batching rule; the few without one are looped over. Random numbers are
    drawn once and shared by all examples, so `dropout` drops the same elements of each.

    Examples
    --------
    >>> distance = dt.vmap(lambda x, y: dt.sum((x - y) * (x - y)), in_axes=(0, None))
    >>> distance(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), dt.tensor([1.0, 1.0]))
    tensor([ 1., 13.])
    """

    def mapped(*args: Any) -> Any:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ArgumentError(
                f"vmap: in_axes must have an entry per argument, got {len(in_axes)} for {len(args)}"
            )
        leaves, structure = flatten(args)
        axes = _axes(in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args), structure)
        sizes = [
            x.shape[_normal(axis, len(x.shape))]
            for x, axis in zip((shaped(leaf, "vmap") for leaf in leaves), axes)
            if axis is not None
        ]
        if not sizes:
            raise ArgumentError(f"vmap: some argument must be mapped, got in_axes {in_axes}")
        if any(size != sizes[0] for size in sizes):
            shown = ", ".join(map(str, sizes))
            raise ShapeError(f"vmap: batches must be of one size, got {shown}")
        level = Batching(_FIRST_RANK + len(_maps.running), sizes[0])
        with entered(level):
            examples = [_enter(x, axis, level) for x, axis in zip(leaves, axes)]
            result = function(*unflatten(structure, examples))
        found, shape = flatten(result)
        places = _axes(out_axes, shape)
        return unflatten(shape, [_leave(x, axis, level) for x, axis in zip(found, places)])

    return mapped


def per_example(function: Callable[[list[Any]], list[Any]], operands: list[Any]) -> list[Any]:
    """A function of lists of operands on each example by itself, where it cannot be mapped.

    Parameters
    ----------
    function : callable
        From operands, None among them, to operands.
    operands : list
        Some of them `Batched`.
    """
    level = max((x.level for x in operands if isinstance(x, Batched)), key=lambda level: level.rank)
    rows = [
        function([level.inside(x)[i] if level.is_mapped(x) else level.inside(x) for x in operands])
        for i in range(level.known_size("vmap"))
    ]
    return [Batched(ops.stack(list(column)), level) for column in zip(*rows)]


def _enter(x: Any, axis: Any, level: Batching) -> Any:
    if axis is None:
        return Batched(x, level, shared=True) if isinstance(x, Operand) else x
    return Batched(moved(shaped(x, "vmap"), axis, 0), level)


def _leave(x: Any, axis: Any, level: Batching) -> Any:
    if axis is None and level.is_mapped(x):
        raise ArgumentError(
            "vmap: out_axes may be None only for a result that all examples share, got a mapped "
            f"one of shape {show(x.shape)}"
        )
    if x is None or axis is None:
        return level.inside(x)
    batch = level.whole(x)
    return moved(batch, 0, _normal(axis, len(batch.shape)))


def moved(x: Any, source: int, target: int) -> Any:
    """The operand with one axis elsewhere."""
    ndim = len(x.shape)
    source, target = normal_axis(source, ndim), normal_axis(target, ndim)
    if source == target:
        return x
    order = [i for i in range(ndim) if i != source]
    order.insert(target, source)
    return ops.permute_dims(x, tuple(order))


def _axes(axes: Any, structure: Any) -> list[Any]:
    """An axis for every leaf, from containers that may stop short of the leaves."""
    found = matched(
        structure, axes, "vmap: axes must match their containers", stands_for_all=_is_axis
    )
    for axis in found:
        if not _is_axis(axis):
            raise ArgumentError(f"vmap: an axis must be a whole number or None, got {axis!r}")
    return found


def _is_axis(x: Any) -> bool:
    return x is None or (isinstance(x, int) and not isinstance(x, bool))


def _normal(axis: Any, ndim: int) -> int:
    try:
        return normal_axis(axis, ndim)
    except ShapeError as error:
        raise ShapeError(f"vmap: {error}") from None


def _spec(x: Any) -> Any:
    if not isinstance(x, Operand):
        return spec_of(x)
    return (x.shape, x.dtype, x.device)


def _device(x: Any) -> Any:
    return x.device if isinstance(x, Operand) else device_of(x)


def _no_number(asked: str, remedy: str = "") -> StaticValueError:
    return StaticValueError(
        f"{asked}: a mapped value stands for every example at once, got a request for its number"
        f"{remedy}"
    )


__all__ = [
    "Batched",
    "Batching",
    "entered",
    "innermost",
    "left",
    "moved",
    "per_example",
    "running",
    "vmap",
]
