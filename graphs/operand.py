"""What tensors, static values and storages have in common: Python's operators and the methods.

A method is the operator of the same name, with ``self`` for its first operand: the very function,
so it has the operator's signature and docstring. To offer another, add a line to the table.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from . import ops
from .dims import Size, product
from .errors import ArgumentError
from .ops.dispatch import Style

_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def sizes_given(given: tuple[Any, ...]) -> Any:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    return given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given


def _reflected(operator: Any) -> Callable[[Any, Any], Any]:
    """The method that Python calls for ``other @ self`` where `other` knows no such operator."""

    def reflected(self: Any, other: Any) -> Any:
        return operator(other, self)

    reflected.__doc__ = f"`{operator.__name__}` of `other` and this."
    return reflected


class Operand:
    """Base of everything that an operator takes beside plain arrays and numbers."""

    __slots__ = ()
    __array_priority__ = 1000
    # NumPy leaves `array + operand` to the operand, in place of looping over it.
    __array_ufunc__ = None

    @property
    def style(self) -> Style:
        """Who applies operators to it."""
        raise NotImplementedError

    @property
    def shape(self) -> Any:
        """Sizes of its axes, a tuple."""
        raise NotImplementedError

    @property
    def dtype(self) -> Any:
        """Its NumPy dtype."""
        raise NotImplementedError

    @property
    def device(self) -> Any:
        """Where it lives."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Number of elements."""
        return product(self.shape)

    @property
    def T(self) -> Any:
        """The transpose: a view with the axes in reverse order."""
        return ops.permute_dims(self)

    @property
    def mT(self) -> Any:
        """A view with the last two axes exchanged."""
        ndim = len(self.shape)
        return ops.permute_dims(self, (*range(ndim - 2), ndim - 1, ndim - 2))

    @property
    def real(self) -> Any:
        """The real parts, as a copy."""
        return ops.real(self)

    @property
    def imag(self) -> Any:
        """The imaginary parts, as a copy; of real numbers, 0."""
        return ops.imag(self)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The module whose functions take it, as the Array API standard asks for.

        Raises
        ------
        ArgumentError
            When another version of the standard is asked for than 2021.12 to 2025.12.
        """
        if api_version not in (None, *_VERSIONS):
            raise ArgumentError(
                f"__array_namespace__: api_version must be one of {', '.join(_VERSIONS)}, got "
                f"{api_version!r}"
            )
        return import_module(__name__.partition(".")[0])

    # -- Python's operators ------------------------------------------------------------------

    __add__, __radd__ = ops.add, _reflected(ops.add)
    __sub__, __rsub__ = ops.subtract, _reflected(ops.subtract)
    __mul__, __rmul__ = ops.multiply, _reflected(ops.multiply)
    __truediv__, __rtruediv__ = ops.divide, _reflected(ops.divide)
    __floordiv__, __rfloordiv__ = ops.floor_divide, _reflected(ops.floor_divide)
    __mod__, __rmod__ = ops.remainder, _reflected(ops.remainder)
    __pow__, __rpow__ = ops.pow, _reflected(ops.pow)
    __matmul__, __rmatmul__ = ops.matmul, _reflected(ops.matmul)
    __and__, __rand__ = ops.bitwise_and, _reflected(ops.bitwise_and)
    __or__, __ror__ = ops.bitwise_or, _reflected(ops.bitwise_or)
    __xor__, __rxor__ = ops.bitwise_xor, _reflected(ops.bitwise_xor)
    __lshift__, __rlshift__ = ops.bitwise_left_shift, _reflected(ops.bitwise_left_shift)
    __rshift__, __rrshift__ = ops.bitwise_right_shift, _reflected(ops.bitwise_right_shift)
    __pos__, __neg__, __abs__ = ops.positive, ops.negative, ops.abs
    __invert__ = ops.bitwise_invert
    __eq__, __ne__ = ops.equal, ops.not_equal
    __lt__, __le__ = ops.less, ops.less_equal
    __gt__, __ge__ = ops.greater, ops.greater_equal

    # Operands are compared element by element, and kept in sets and dicts by identity.
    __hash__ = object.__hash__

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def __getitem__(self, index: Any) -> Any:
        return ops.getitem(self, index)

    # -- methods: element-wise ---------------------------------------------------------------

    abs = ops.abs
    acos = ops.acos
    acosh = ops.acosh
    asin = ops.asin
    asinh = ops.asinh
    astype = ops.astype
    atan = ops.atan
    atan2 = ops.atan2
    atanh = ops.atanh
    ceil = ops.ceil
    clip = ops.clip
    conj = ops.conj
    cos = ops.cos
    cosh = ops.cosh
    erf = ops.erf
    exp = ops.exp
    expm1 = ops.expm1
    floor = ops.floor
    isclose = ops.isclose
    isfinite = ops.isfinite
    isinf = ops.isinf
    isnan = ops.isnan
    log = ops.log
    log10 = ops.log10
    log1p = ops.log1p
    log2 = ops.log2
    maximum = ops.maximum
    minimum = ops.minimum
    nan_to_num = ops.nan_to_num
    pow = ops.pow
    reciprocal = ops.reciprocal
    relu = ops.relu
    round = ops.round
    rsqrt = ops.rsqrt
    sigmoid = ops.sigmoid
    sign = ops.sign
    sin = ops.sin
    sinh = ops.sinh
    sqrt = ops.sqrt
    square = ops.square
    tan = ops.tan
    tanh = ops.tanh
    trunc = ops.trunc

    # -- methods: over axes ------------------------------------------------------------------

    all = ops.all
    any = ops.any
    argmax = ops.argmax
    argmin = ops.argmin
    argsort = ops.argsort
    log_softmax = ops.log_softmax
    logsumexp = ops.logsumexp
    max = ops.max
    mean = ops.mean
    median = ops.median
    min = ops.min
    nonzero = ops.nonzero
    prod = ops.prod
    softmax = ops.softmax
    sort = ops.sort
    std = ops.std
    sum = ops.sum
    topk = ops.topk
    var = ops.var

    # -- methods: shapes and places ----------------------------------------------------------

    expand_dims = ops.expand_dims
    flatten = ops.flatten
    flip = ops.flip
    repeat = ops.repeat
    roll = ops.roll
    squeeze = ops.squeeze
    swapaxes = ops.swapaxes
    take = ops.take

    def reshape(self, *shape: Any) -> Any:
        """`reshape`, with the sizes as one tuple or one by one."""
        return ops.reshape(self, tuple(sizes_given(shape)))

    def transpose(self, *axes: Any) -> Any:
        """`permute_dims`, with the axes as one tuple or one by one; in reverse order by default."""
        return ops.permute_dims(self, tuple(sizes_given(axes)) if axes else None)

    def detach(self) -> Any:
        """The same numbers, through which no gradient flows."""
        return ops.stop_gradient(self)
