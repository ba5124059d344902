"""Scalar code: what one element of an element-wise operator costs and how C writes it."""

from __future__ import annotations

import re
import string
from functools import cache
from typing import Any

import numpy as np

from ...graphs.dtypes import BOOL, DTYPES, FLOAT32, FLOAT64
from ...graphs.ir import Node
from ...graphs.ops.core import Bound

C_TYPES = {
    DTYPES[name]: c_type
    for name, c_type in {
        "bool": "_Bool", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t",
        "int64": "int64_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
        "uint64": "uint64_t", "float32": "float", "float64": "double",
    }.items()
}  # fmt: skip

_CALL = re.compile(r"\b([a-z][a-z0-9]*)\(")
_DECIMAL = re.compile(r"(?<![\w.])(\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?![\w.])")
# Exact for whole numbers, and for what a bool becomes.
_FOR_INTEGERS = {
    "add", "subtract", "multiply", "negative", "positive", "square", "maximum", "minimum",
    "where", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_not",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
    "relu", "clip", "accumulate", "stop_gradient", "astype",
}  # fmt: skip
# Their results wrap around, which C promises of unsigned numbers alone.
_WRAPS = {"add", "subtract", "multiply", "negative", "square", "accumulate"}
# Functions that take as long as many additions: worth keeping rather than computing again.
_DEAR = {"exp", "expm1", "log", "log1p", "tanh", "pow", "erf", "erfc", "sin", "cos", "divide"}


def is_float(dtype: np.dtype) -> bool:
    """Whether C computes in a dtype as NumPy does: float32 and float64."""
    return dtype in (FLOAT32, FLOAT64)


def has_scalar_code(bound: Bound) -> bool:
    """Whether one element of a result can be written as a C expression."""
    name = bound.op.name
    if name == "accumulate" and bound.ins[0].dtype == BOOL:
        return False
    if bound.op.expr is None and name not in ("accumulate", "stop_gradient"):
        return False
    avals = (*bound.ins, *bound.outs)
    if not all(aval.dtype in C_TYPES and aval.device.kind == "cpu" for aval in avals):
        return False
    if bound.may_raise:
        return False
    if name == "astype":
        source, target = bound.ins[0].dtype, bound.outs[0].dtype
        return is_float(target) or target == BOOL or not is_float(source)
    if all(is_float(a.dtype) or (a.dtype == BOOL and name == "where") for a in avals):
        return True
    floats = all(is_float(aval.dtype) for aval in bound.ins)
    return name in _FOR_INTEGERS or (floats and bound.outs[0].dtype == BOOL)


@cache
def _is_dear(expr: str, name: str) -> bool:
    return name in _DEAR or any(call in _DEAR for call in _CALL.findall(expr))


def is_dear(node: Node) -> bool:
    """Whether computing an element takes as long as many additions."""
    return _is_dear(node.op.expr or "", node.op.name)


def scalar_code(bound: Bound, operands: list[str]) -> str:
    """The C expression of one element, from the names of its operands.

    Parameters
    ----------
    bound : Bound
        Of an operator for which `has_scalar_code` holds.
    operands : list of str
        C names or literals.
    """
    op = bound.op
    if op.name in _WRAPS and bound.outs[0].dtype.kind in "iu":
        wide = "uint64_t" if bound.outs[0].dtype.itemsize > 4 else "uint32_t"
        operands = [f"({wide}){operand}" for operand in operands]
    if op.name == "accumulate":
        return " + ".join(operands)
    if op.name == "stop_gradient":
        return operands[0]
    work = next((a.dtype for a in bound.ins if is_float(a.dtype)), bound.outs[0].dtype)
    parts: dict[str, str] = dict(zip(op.operands, operands))
    for _, name, _, _ in string.Formatter().parse(op.expr or ""):
        if name and name not in parts:
            parts[name] = _attribute(bound.attrs[name], work)
    text = _typed(op.expr or "", work)
    return text.format(**parts)


def _attribute(value: Any, dtype: np.dtype) -> str:
    return C_TYPES[value] if isinstance(value, np.dtype) else literal(value, dtype)


def _typed(expr: str, dtype: np.dtype) -> str:
    """An expression with the functions and literals of a dtype."""
    if dtype == FLOAT32:
        expr = _DECIMAL.sub(r"\1f", expr)
    kind = C_TYPES[dtype] if is_float(dtype) else "double"
    return _CALL.sub(lambda m: f"dt_{m[1]}_{kind}(", expr)


def literal(value: Any, dtype: np.dtype) -> str:
    """A number as C writes it."""
    if dtype == BOOL:
        return "1" if value else "0"
    if not is_float(dtype):
        whole = int(value)
        if whole == np.iinfo(np.int64).min:
            return "INT64_MIN"
        return f"{whole}{'ULL' if whole > np.iinfo(np.int64).max else 'LL'}"
    number = float(dtype.type(value))
    if np.isnan(number):
        return '__builtin_nan("")'
    if np.isinf(number):
        return "-__builtin_inf()" if number < 0 else "__builtin_inf()"
    # The digits of the shortest text that gives this very number back.
    text = repr(number) if dtype == FLOAT64 else str(np.float32(number))
    text = text if any(c in text for c in ".en") else text + ".0"
    return f"({text}f)" if dtype == FLOAT32 else f"({text})"
