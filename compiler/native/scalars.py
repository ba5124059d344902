"""Scalar code: what one element of an element-wise operator costs and how C writes it."""

from __future__ import annotations

import re
import string
from functools import cache
from typing import Any

import numpy as np

from ...graphs.dtypes import BFLOAT16, BOOL, DTYPES, FLOAT16, FLOAT32, FLOAT64, is_integer
from ...graphs.ir import Node
from ...graphs.ops.core import Bound

C_TYPES = {
    DTYPES[name]: c_type
    for name, c_type in {
        "bool": "_Bool", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t",
        "int64": "int64_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
        "uint64": "uint64_t", "float32": "float", "float64": "double", "float16": "dt_float16",
        "bfloat16": "dt_bfloat16",
    }.items()
}  # fmt: skip

# What stands in memory, of which vectors are loaded: compilers load none of _Bool.
IN_MEMORY = C_TYPES | {BOOL: "dt_bool"}
HALVES = (FLOAT16, BFLOAT16)
_CALL = re.compile(r"\b([a-z][a-z0-9]*)\(")
_DECIMAL = re.compile(r"(?<![\w.])(\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?![\w.])")
# Exact for whole numbers, and for what a bool becomes.
_FOR_INTEGERS = {
    "add", "subtract", "multiply", "negative", "positive", "square", "maximum", "minimum",
    "where", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_not",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
    "relu", "clip", "accumulate",
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
    op, avals = bound.op, (*bound.ins, *bound.outs)
    if not all(aval.dtype in C_TYPES and aval.device.kind == "cpu" for aval in avals):
        return False
    if op.name in ("astype", "stop_gradient"):
        return True
    # Floats of 16 bits are converted, and nothing else: it is floats of 32 that are computed with.
    if bound.may_raise or any(aval.dtype in HALVES for aval in avals):
        return False
    if _is_of_integers(bound):
        return True
    if op.name == "accumulate":
        return bound.ins[0].dtype != BOOL
    if op.expr is None:
        return False
    if all(is_float(a.dtype) or (a.dtype == BOOL and op.name == "where") for a in avals):
        return True
    floats = all(is_float(aval.dtype) for aval in bound.ins)
    return op.name in _FOR_INTEGERS or (floats and bound.outs[0].dtype == BOOL)


def _is_of_integers(bound: Bound) -> bool:
    """Whether an operator has an expression for integers, and these are what it computes with."""
    return bound.op.integer_expr is not None and all(is_integer(a.dtype) for a in bound.ins)


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
    if op.name == "astype":
        return _converted(operands[0], bound.ins[0].dtype, bound.outs[0].dtype)
    work = next((a.dtype for a in bound.ins if is_float(a.dtype)), bound.outs[0].dtype)
    if _is_of_integers(bound):
        expr, work = op.integer_expr or "", bound.ins[0].dtype
    else:
        expr = op.expr or ""
    parts: dict[str, str] = dict(zip(op.operands, operands))
    for _, name, _, _ in string.Formatter().parse(expr):
        if name and name not in parts:
            parts[name] = literal(bound.attrs[name], work)
    return _typed(expr, work).format(**parts)


def _typed(expr: str, dtype: np.dtype) -> str:
    """An expression with the functions and literals of a dtype."""
    if dtype == FLOAT32:
        expr = _DECIMAL.sub(r"\1f", expr)
    kind = "double" if dtype == BOOL else C_TYPES[dtype]
    return _CALL.sub(lambda m: f"dt_{m[1]}_{kind}(", expr)


def _converted(code: str, source: np.dtype, target: np.dtype) -> str:
    """A number in another dtype."""
    if source == target:
        return code
    if source in HALVES:
        code, source = f"dt_float_of_{source.name}({code})", FLOAT32
    if target in HALVES and not is_float(source):
        code, source = f"(float){code}", FLOAT32
    if is_float(source) and (target in HALVES or is_integer(target)):
        name = C_TYPES[target].removeprefix("dt_")
        return f"dt_{name}_of_{C_TYPES[source]}({code})"
    return f"({C_TYPES[target]}){code}"


def literal(value: Any, dtype: np.dtype) -> str:
    """A number as C writes it."""
    if dtype == BOOL:
        return "1" if value else "0"
    if dtype in HALVES:
        return str(np.asarray(value, dtype).view(np.uint16))
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
