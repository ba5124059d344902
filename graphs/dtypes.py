"""Dtypes and their promotion, decided here and nowhere else.

Within a kind promotion is NumPy's. Across kinds the higher kind wins and keeps its width, as in
PyTorch and JAX: an int64 array times a float32 array is float32. Python scalars are weak: they
take the array's dtype, unless their kind is higher, when the default dtype of that kind is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DTypeError

DTYPES = {
    name: np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64",
        "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
}  # fmt: skip
BOOL, INT64, FLOAT32 = DTYPES["bool"], DTYPES["int64"], DTYPES["float32"]
DEFAULT_FLOAT = FLOAT32
DEFAULT_INT = INT64

_RANK = {"b": 0, "i": 1, "u": 1, "f": 2}
_WEAK = {bool: BOOL, int: DEFAULT_INT, float: DEFAULT_FLOAT}


def as_dtype(dtype: Any) -> np.dtype:
    """Read a dtype from a name, a NumPy dtype or type, or a Python scalar type.

    Raises
    ------
    DTypeError
        When it is none that Diptych computes with.
    """
    if isinstance(dtype, type) and dtype in _WEAK:
        return _WEAK[dtype]
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or DTYPES.get(found.name) != found:
        raise DTypeError(f"dtype: must be one of {', '.join(DTYPES)}, got {dtype!r}")
    return found


def is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f"


def is_integer(dtype: np.dtype) -> bool:
    return dtype.kind in "iu"


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
        return max(weak, key=lambda d: _RANK[d.kind])
    top = max(_RANK[d.kind] for d in strong)
    result = np.result_type(*[d for d in strong if _RANK[d.kind] == top])
    if top == 1 and result.kind == "f":
        names = " and ".join(str(d) for d in strong)
        raise DTypeError(f"no integer dtype holds both operands, got {names}")
    higher = [d for d in weak if _RANK[d.kind] > top]
    return max(higher, key=lambda d: _RANK[d.kind]) if higher else result
