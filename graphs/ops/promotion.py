"""Promotion rules: from operands as given to the avals that an operator computes with.

A rule takes one spec per operand (an `Aval`, or the type of a weak Python scalar) and gives one
`Aval` per operand. Shapes pass through unchanged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..avals import Aval
from ..dtypes import DEFAULT_FLOAT, is_inexact, promote

Spec = Aval | type


def as_given(*specs: Spec) -> list[Aval]:
    """No promotion; a Python scalar takes the default dtype of its kind."""
    return [_with(s, promote([s])) if isinstance(s, type) else s for s in specs]


def common(*specs: Spec) -> list[Aval]:
    """All operands in their common dtype."""
    return _all(specs, _common(specs))


def common_float(*specs: Spec) -> list[Aval]:
    """All operands in their common dtype, or the default float where that is an integer or bool."""
    dtype = _common(specs)
    return _all(specs, dtype if is_inexact(dtype) else DEFAULT_FLOAT)


def after_first(*specs: Spec) -> list[Aval]:
    """The first operand as given, the others in their common dtype."""
    return [*as_given(specs[0]), *common(*specs[1:])]


def _common(specs: tuple[Spec, ...]) -> np.dtype:
    return promote([s if isinstance(s, type) else s.dtype for s in specs])


def _all(specs: tuple[Spec, ...], dtype: np.dtype) -> list[Aval]:
    return [_with(s, dtype) for s in specs]


def _with(spec: Spec, dtype: np.dtype) -> Aval:
    if isinstance(spec, type):
        return Aval((), dtype)
    return spec if spec.dtype == dtype else replace(spec, dtype=dtype)
