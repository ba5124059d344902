"""Samples of the parts of complex numbers."""

from __future__ import annotations

import numpy as np

from .base import COMPLEX, FLOATS, NUMERIC_ERRORS, entry, unary

_NUMBERS = {"dtypes": (*FLOATS, "int32", "uint8", *COMPLEX)}

entry("real", lambda x: (x + np.conj(x)).real / 2, unary(**_NUMBERS), NUMERIC_ERRORS)
entry(
    "imag",
    lambda x: ((x - x.conj()) / 2j).real if x.dtype.kind == "c" else np.zeros(x.shape),
    unary(**_NUMBERS),
    NUMERIC_ERRORS,
)
entry(
    "conj",
    lambda x: x.real - 1j * x.imag if x.dtype.kind == "c" else x,
    unary(**_NUMBERS),
    NUMERIC_ERRORS,
)
