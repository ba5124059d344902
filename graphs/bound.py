"""An operator bound to the avals of its operands."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .avals import Aval
from .compiled import over_blocks, universal
from .devices import CPU
from .dims import Dim, Size
from .dtypes import BFLOAT16, FLOAT32, is_float
from .kernels import products
from .kernels.library import library
from .kernels.prepared import prepared
from .numbers import SCALARS, materialise, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ops.core import Op


# A model of many constants must not keep them for ever.
_MOST_CONSTANTS = 64
# Bytes from which on an array is large: what its kernel makes may be, too.
_LARGE = 1 << 16


class Binder:
    """What an operator was bound to, by its operands. `Op` adds the rules."""


class Bound:
    """An operator bound to the avals of its operands: checked, normalised, ready to launch.

    Attributes
    ----------
    op : Op
    name : str
        The operator's.
    attrs : dict
        Normalised attributes.
    ins, outs : tuple of Aval
        Of the operands after promotion, and of the results.
    casts : tuple of int
        Positions of operands that promotion changes.
    kernel : callable
        ``kernel(*arrays, out=None)``.
    floats : tuple of bool
        Per result, whether it is of floats, through which gradients flow.
    differentiable : bool
        Whether a gradient can flow through the call.
    view : bool
        Whether the result may be a view of the first operand.
    launches : dict
        What the tape knows of the kernels that its gradient rules launch.
    """

    __slots__ = (
        "_constants",
        "_last",
        "_reads",
        "_rules",
        "attrs",
        "casts",
        "differentiable",
        "floats",
        "ins",
        "kernel",
        "launches",
        "name",
        "op",
        "outs",
        "view",
    )

    def __init__(
        self,
        op: Op,
        attrs: dict[str, Any],
        ins: tuple[Aval, ...],
        outs: tuple[Aval, ...],
        casts: tuple[int, ...] = (),
    ) -> None:
        self.op, self.attrs, self.ins, self.outs, self.casts = op, attrs, ins, outs, casts
        self.floats = tuple([is_float(out.dtype) for out in outs])
        self.differentiable = bool(op.vjp) and any(self.floats)
        self.view = op.view
        self.name = op.name
        self._reads: dict[tuple[int, ...], tuple[Any, ...]] = {}
        self._rules: dict[int, Callable[..., Any]] = {}
        self._constants: dict[Any, Any] = {}
        self.launches: dict[tuple[int, ...], Any] = {}
        self._last: tuple[Any, int, Any] = (None, -1, None)
        self.kernel: Any = None
        device = next((a.device for a in (*ins, *outs) if a.ndim), outs[0].device if outs else CPU)
        if isinstance(op.kernel, str):
            ufunc = getattr(device.xp, op.kernel)
            self.kernel = universal(ufunc) if device.kind == "cpu" else ufunc
            if op.kernel == "matmul" and device.kind == "cpu" and _may_be_large(*ins):
                self.kernel = products.matmul
        elif op.kernel is not None:
            self.kernel = prepared(op.kernel, device.xp, ins, outs, attrs)
        if not op.view and any(aval.dtype == BFLOAT16 for aval in ins):
            self.kernel = partial(_in_float32, device.xp, self.kernel, outs)
        if device.kind == "cpu" and not op.view and any(map(_is_large, (*ins, *outs))):
            self.kernel = over_blocks(self.kernel)
            library()  # has the threads of large loops

    def changed(self, **attrs: Any) -> Bound:
        """The same with some attributes changed."""
        return Bound(self.op, {**self.attrs, **attrs}, self.ins, self.outs, self.casts)

    @property
    def may_raise(self) -> bool:
        """Whether the kernel may refuse its data."""
        rule = self.op.may_raise
        return rule(*self.ins) if callable(rule) else rule

    @property
    def flop(self) -> Size:
        """Floating-point operations of one launch, by the operator's cost rule."""
        return self.op.cost(self.ins, self.outs, self.attrs)

    def materialise(self, operand: Any, position: int) -> Any:
        """A plain operand, an array or a number, as the array that the kernel takes.

        Raises
        ------
        DTypeError
            When a number does not fit the dtype.
        """
        last = self._last
        if operand is last[0] and position == last[1]:
            return last[2]
        if type(operand) not in SCALARS:
            return materialise(operand, self.ins[position], self.op.name)
        array = self._constant(operand, position)
        # A number that is written in a program is the same object each time.
        self._last = (operand, position, array)
        return array

    def _constant(self, operand: Any, position: int) -> Any:
        if not operand:  # a table does not tell zeros apart
            return materialise(operand, self.ins[position], self.op.name)
        array = self._constants.get((position, operand))
        if array is None:
            if len(self._constants) >= _MOST_CONSTANTS:
                self._constants.clear()
            array = materialise(operand, self.ins[position], self.op.name)
            self._constants[position, operand] = array
        return array

    def reads(self, wanted: tuple[int, ...]) -> tuple[tuple[str, int | None, int], ...]:
        """What the rules of some operands read.

        Returns
        -------
        tuple of (name, position, index)
            The position of an operand, or None and the index of a result.
        """
        found = self._reads.get(wanted)
        if found is None:
            names = dict.fromkeys([n for i in wanted for n in self.op.reads(i)])
            found = tuple([self._place(name) for name in names])
            self._reads[wanted] = found
        return found

    def rule(self, position: int) -> Callable[..., Any]:
        """The gradient rule of the operand at `position`."""
        rule = self._rules.get(position)
        if rule is None:
            rule = self._rules[position] = self.op.rule(position)
        return rule

    def _place(self, name: str) -> tuple[str, int | None, int]:
        op = self.op
        if name in op.results:
            return name, None, op.results.index(name)
        return name, op.operands.index(name), 0


class Context:
    """What a gradient rule sees of the call it differentiates.

    Operands and results that the rule declared in `saves` are attributes by their name (eager
    tensors on the tape, values in a graph), and so are the operator's attributes.

    Attributes
    ----------
    ins, outs : tuple of Aval
    """

    __slots__ = ("__dict__", "ins", "outs")

    ins: tuple[Aval, ...]
    outs: tuple[Aval, ...]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"gradient rule: must declare what it reads in saves, got {name!r}")


def context_of(bound: Bound, saved: dict[str, Any]) -> Context:
    """What the rules of one call see, the values that they read among it."""
    context = Context.__new__(Context)
    context.ins, context.outs = bound.ins, bound.outs
    for name, value in bound.attrs.items():
        setattr(context, name, value)
    for name, value in saved.items():
        setattr(context, name, value)
    return context


def _may_be_large(x: Aval, y: Aval) -> bool:
    shapes: Any = (x.shape, y.shape)  # one with symbolic sizes may be large
    return any(isinstance(n, Dim) for shape in shapes for n in shape) or products.is_large(*shapes)


def bind_operands(op: Any, operands: list[Any], attrs: tuple[Any, ...]) -> Bound:
    """`Op.bind` for plain operands: arrays, and Python scalars, which are weak."""
    bound = op.table(operands, attrs)
    if bound is None:
        bound = op.bind(tuple(map(spec_of, operands)), attrs)
        op.table.add(operands, attrs, bound)
    return bound


def _is_large(aval: Aval) -> bool:
    nbytes = aval.nbytes
    return isinstance(nbytes, int) and nbytes >= _LARGE


def _in_float32(
    xp: Any, kernel: Callable[..., Any], outs: tuple[Aval, ...], *arrays: Any, out: Any = None
) -> Any:
    """Run a kernel on bfloat16 operands as float32, and round its results once."""
    wide = [a.astype(FLOAT32) if a.dtype == BFLOAT16 else a for a in arrays]
    results = kernel(*wide)
    if out is not None:
        xp.copyto(out, results, casting="unsafe")
        return out
    if isinstance(results, tuple):
        return tuple(_rounded(xp, r, aval) for r, aval in zip(results, outs))
    return _rounded(xp, results, outs[0])


def _rounded(xp: Any, result: Any, aval: Aval) -> Any:
    return xp.asarray(result).astype(aval.dtype, order="C", copy=False)
