"""Samples of the statistical operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import DTYPES, FLOATS, bad, draw, entry, good, kinds, rough
from .reductions import EMPTY, NAN_ROW, REAL_ONLY, REDUCED, REDUCTION_ERRORS, over

# The formatter would give every sample lines of its own.
# fmt: off

def _var(row: Any, correction: float) -> float:
    values = row.astype(float)
    freedom = row.size - correction
    if not row.size or freedom <= 0:
        return math.nan
    return sum((values - values.sum() / row.size) ** 2) / freedom

def _logsumexp(row: Any) -> float:
    values = row.astype(float)
    return np.log(sum(np.exp(values), 0.0))

_FIXED = np.array([[1.5, 1.5, 1.5], [1.0, 2.0, 4.0]])
_CORRECTIONS = [bad(ArgumentError, "correction must be a finite number, got " + shown, draw((3,)),
                    correction=wrong) for wrong, shown in ((math.nan, "nan"), ("1", "'1'"))]

for _name, _row, _attrs, _errors in (
    ("var", _var, {"correction": 1}, _CORRECTIONS),
    ("std", lambda row, correction: math.sqrt(_var(row, correction)), {"correction": 0.5},
     _CORRECTIONS),
    ("logsumexp", _logsumexp, {}, ()),
):
    # The spread of a single element is 0, where its root has no slope.
    _single = rough if _name == "std" else good
    entry(_name, over(_row), [
        *(good(draw(s), **a) for s, a in REDUCED if len(s) > 1 and a != {"axis": ()}),
        *(_single(draw(s), **a) for s, a in REDUCED if len(s) < 2 or a == {"axis": ()}),
        *(rough(draw(shape), **attrs) for shape, attrs in EMPTY),
        *kinds((3, 20), DTYPES, axis=0), *kinds((3, 4), FLOATS, axis=1, **_attrs),
        good(draw((3, 4), "float16")), NAN_ROW, rough(_FIXED, axis=1),
        rough(np.array([[-math.inf, -math.inf], [-math.inf, 1.0], [math.inf, 2.0]]), axis=1),
        *(rough(draw((3, 2)), axis=1, correction=c) for c in (2, 3, 2.5) if _attrs),
        good(draw((2, 3)) * 300, axis=1),
    ], [*REDUCTION_ERRORS, *_errors, REAL_ONLY])
