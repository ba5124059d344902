"""The parts of complex numbers. Gradients flow through real operands alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval
from ..dtypes import real_of
from ..kernels import elementwise as kernels
from . import promotion
from .core import Operator, defop, functions_of
from .pointwise import flat, unary
from .rules import numeric


def _part(x: Aval) -> Aval:
    return replace(numeric(x), dtype=real_of(x.dtype))


def _of_numbers(name: str, **parts: Any) -> Any:
    return defop(**unary(name, promote=promotion.common, dtypes="numbers", **parts))


real: Operator = _of_numbers(
    "real",
    infer=_part,
    kernel=kernels.real,
    vjp=lambda c, g: g,
    result=", of real dtype",
    says="Element-wise real part, as a copy.",
    example="dt.real(dt.tensor([1 + 2j])) -> tensor([1.])",
)
imag: Operator = _of_numbers(
    "imag",
    infer=_part,
    kernel=kernels.imag,
    vjp=flat,
    result=", of real dtype",
    says="Element-wise imaginary part, as a copy; of real numbers, 0.",
    example="dt.imag(dt.tensor([1 + 2j])) -> tensor([2.])",
)
conj: Operator = _of_numbers(
    "conj",
    infer=numeric,
    kernel="conjugate",
    vjp=lambda c, g: g,
    says="Element-wise complex conjugate; of real numbers, a copy.",
    example="dt.conj(dt.tensor([1 + 2j])) -> tensor([1.-2.j], dtype=complex64)",
)

__all__ = functions_of(__name__)
