"""Running functions that are composed of operators in every style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import diptych as dt


def _flat(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple | list) else [results]


def in_every_style(function: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """The results of a function of tensors, which must be the same bits in every style."""
    expected = [r.array for r in _flat(function(*map(dt.asarray, arrays)))]
    for executor in ("reference", "planned"):
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            results = _flat(function(*fed))
        program = g.compile(results, executor=executor)
        _assert_same(program.run(dict(zip(fed, arrays))), expected, executor)
    compiled = _flat(dt.compile(function)(*map(dt.asarray, arrays)))
    _assert_same([r.array for r in compiled], expected, "hybrid")
    return expected


def _assert_same(found: list[np.ndarray], expected: list[np.ndarray], style: str) -> None:
    for f, e in zip(found, expected, strict=True):
        assert (f.shape, f.dtype) == (e.shape, e.dtype), style
        assert f.tobytes() == e.tobytes(), f"{style}: {f} is not {e}"
