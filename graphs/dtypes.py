"""Dtypes and their promotion, decided here and nowhere else.

Within a kind promotion is NumPy's, and so is that of floats with complex numbers. A number of a
lower kind takes the other's width, as in PyTorch and JAX: an int64 array times a float32 array is
float32. Python scalars are weak: they take the array's dtype, unless their kind is higher, when
the default dtype of that kind is taken, or the complex one of an array of floats.

bfloat16 is the one of ml_dtypes. It computes in float32 and rounds once (`ops.core.Bound`).
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from .errors import DTypeError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = {
    name: np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64",
        "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )
}  # fmt: skip
DTYPES["bfloat16"] = BFLOAT16
BOOL, INT64, UINT64 = DTYPES["bool"], DTYPES["int64"], DTYPES["uint64"]
FLOAT16, FLOAT32, FLOAT64 = DTYPES["float16"], DTYPES["float32"], DTYPES["float64"]
COMPLEX64, COMPLEX128 = DTYPES["complex64"], DTYPES["complex128"]
DEFAULT_FLOAT = FLOAT32
DEFAULT_INT = INT64
DEFAULT_COMPLEX = COMPLEX64

_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}
_OWN = set(DTYPES.values())  # whose names NumPy makes anew each time
_WEAK = {bool: BOOL, int: DEFAULT_INT, float: DEFAULT_FLOAT, complex: DEFAULT_COMPLEX}


def as_dtype(dtype: Any) -> np.dtype:
    """Read a dtype from a name, a NumPy dtype or type, or a Python scalar type.

    Raises
    ------
    DTypeError
        When it is none that Diptych computes with.
    """
    if isinstance(dtype, np.dtype) and dtype in _OWN:
        return dtype
    if isinstance(dtype, type) and dtype in _WEAK:
        return _WEAK[dtype]
    try:
        found = BFLOAT16 if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or DTYPES.get(found.name) != found:
        raise DTypeError(f"dtype: must be one of {', '.join(DTYPES)}, got {dtype!r}")
    return found


def is_float(dtype: np.dtype) -> bool:
    """Whether it is a real floating-point dtype: what gradients flow through."""
    return dtype.kind == "f" or dtype == BFLOAT16


def is_complex(dtype: np.dtype) -> bool:
    return dtype.kind == "c"


def is_inexact(dtype: np.dtype) -> bool:
    """Whether it is a floating-point dtype, real or complex."""
    return is_float(dtype) or is_complex(dtype)


def is_integer(dtype: np.dtype) -> bool:
    return dtype.kind in "iu"


def real_of(dtype: np.dtype) -> np.dtype:
    """The float dtype of the parts of a complex one; any other dtype as it is."""
    return {COMPLEX64: FLOAT32, COMPLEX128: FLOAT64}.get(dtype, dtype)


def complex_of(dtype: np.dtype) -> np.dtype:
    """The complex dtype whose parts hold a float dtype."""
    return COMPLEX128 if dtype in (FLOAT64, COMPLEX128) else COMPLEX64


def rank(dtype: np.dtype) -> int:
    """Kinds in order of promotion: bool 0, integers 1, floats 2, complex 3."""
    return _RANK[dtype.kind]


def promote(dtypes: list[np.dtype | type]) -> np.dtype:
    """The common dtype of operands given by dtype, or by Python type where they are weak.

    Raises
    ------
    DTypeError
        For uint64 with a signed integer, which no integer dtype holds.
    """
    strong = [d for d in dtypes if isinstance(d, np.dtype)]
    weak = [_WEAK[d] for d in dtypes if isinstance(d, type)]
    if not strong:
        return max(weak, key=rank)
    top = max(map(rank, strong))
    result = _common([d for d in strong if rank(d) == top or (top == 3 and rank(d) == 2)])
    if top == 1 and result.kind == "f":
        names = " and ".join(str(d) for d in strong)
        raise DTypeError(f"no integer dtype holds both operands, got {names}")
    higher = [d for d in weak if rank(d) > top]
    if not higher:
        return result
    highest = max(higher, key=rank)
    return complex_of(result) if top == 2 else highest


def _common(dtypes: list[np.dtype]) -> np.dtype:
    """NumPy's common dtype, with bfloat16 among the floats."""
    if BFLOAT16 not in dtypes:
        return np.result_type(*dtypes)
    others = [d for d in dtypes if d != BFLOAT16]
    if not others:
        return BFLOAT16
    return np.result_type(FLOAT32, *others)
