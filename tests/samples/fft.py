"""Samples of the Fourier transforms."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import (
    COMPLEX,
    FLOATS,
    LAYOUTS,
    NO_OPERAND,
    bad,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
)

# The formatter would give every sample lines of its own.
# fmt: off

# -- references: sums over a matrix of roots of unity ----------------------------------------
def _scale(n: int, norm: str, inverse: bool) -> float:
    divided = {"ortho": 0.5, "backward": float(inverse), "forward": float(not inverse)}[norm]
    return float(n) ** -divided

def _whole(x: Any, n: int | None, axis: int, norm: str, inverse: bool = False) -> np.ndarray:
    n = x.shape[axis] if n is None else n
    rows = np.moveaxis(x, axis, -1)[..., :n]
    rows = np.concatenate([rows, np.zeros((*rows.shape[:-1], n - rows.shape[-1]))], -1)
    turns = np.outer(np.arange(n), np.arange(n)) % n / n
    roots = np.exp((2j if inverse else -2j) * np.pi * turns)
    return np.moveaxis((rows[..., None, :] * roots).sum(-1) * _scale(n, norm, inverse), -1, axis)

def _half(x: Any, n: Any, axis: int, norm: str, **direction: Any) -> np.ndarray:
    found = np.moveaxis(_whole(x, n, axis, norm, **direction), axis, -1)
    return np.moveaxis(found[..., : found.shape[-1] // 2 + 1], -1, axis)

def _real(x: Any, n: Any, axis: int, norm: str, inverse: bool = True) -> np.ndarray:
    """The whole of a Hermitian signal from its first half."""
    n = 2 * (x.shape[axis] - 1) if n is None else n
    half = np.moveaxis(x, axis, -1)[..., : n // 2 + 1].astype(complex)
    half = np.concatenate([half, np.zeros((*half.shape[:-1], n // 2 + 1 - half.shape[-1]))], -1)
    half[..., 0] = half[..., 0].real
    if n % 2 == 0:
        half[..., -1] = half[..., -1].real
    mirrored = half[..., 1 : (n + 1) // 2][..., ::-1].conj()
    both = np.moveaxis(np.concatenate([half, mirrored], -1), -1, axis)
    return _whole(both, n, axis, norm, inverse).real

def _several(one: Any, last: Any = None) -> Any:
    """A transform of several axes from those of one: the last axis first."""
    def reference(x: Any, s: Any, axes: Any, norm: str) -> np.ndarray:
        axes = tuple(range(x.ndim)) if axes is None else axes
        sizes = [None] * len(axes) if s is None else [None if n == -1 else n for n in s]
        if last is _half:
            x, axes, sizes = last(x, sizes[-1], axes[-1], norm), axes[:-1], sizes[:-1]
        for n, axis in list(zip(sizes, axes))[: None if last is not _real else -1]:
            x = one(x, n, axis, norm)
        return last(x, sizes[-1], axes[-1], norm) if last is _real else x
    return reference

# -- samples ---------------------------------------------------------------------------------
_NO_COMPLEX = bad_dtype("the operand must be real, got complex64", draw((3,), "complex64"))
_NO_NORM = "norm must be one of backward, ortho, forward, got 'x'"
_ERRORS = [bad_dtype(NO_OPERAND, "a"), bad(ArgumentError, _NO_NORM, draw((3,)), norm="x")]
_SIZES = "every size must be a whole number of at least 1, got "
_PLAIN = (*FLOATS, "int8", "int64", "uint8")

def one(name: str, reference: Any, real: bool = False) -> None:
    kind = "float32" if real else "complex64"
    n = {"n": 4} if reference is _real or getattr(reference, "func", None) is _real else {}
    entry(name, reference, [
        *(good(draw(s, kind), **n) for s in ((5,), (4,), (2, 3), (1,), (0, 3), (2, 0, 3))),
        *(good(draw((4, 3), kind), n=m, axis=0) for m in (3, 4, 6, 7, 1)),
        *(good(draw((3, 2), kind), norm=norm) for norm in ("backward", "ortho", "forward")),
        *(good(draw((3,), d)) for d in (*_PLAIN, *(() if real else COMPLEX))),
        *(good(draw((3, 4), kind, layout=k), axis=-2) for k in LAYOUTS),
    ], [
        bad_shape("a 0-d operand has no axis, got -1", draw()), *_ERRORS,
        bad_shape("axis must be in -1..0, got 1", draw((3,)), axis=1),
        bad_shape("n must be a whole number of at least 1, got 0", draw((3,)), n=0),
        bad_shape("n must be a whole number of at least 1, got 2.0", draw((3,)), n=2.0),
        bad_shape("n must be a whole number of at least 1, got ", draw((2, 0))),
        *([_NO_COMPLEX] if real else []),
    ], "scalar")

def many(name: str, reference: Any, real: bool = False) -> None:
    kind = "float32" if real else "complex64"
    entry(name, reference, [
        *(good(draw(s, kind)) for s in ((5,), (2, 3), (3, 2, 2), (1, 2))),
        good(draw((0, 3), kind), axes=(1,)),
        good(draw((2, 3, 4), kind), axes=(2, 0)), good(draw((2, 3, 4), kind), axes=[-1]),
        good(draw((2, 3, 4), kind), s=(3, 5), axes=(0, 1)),
        good(draw((3, 3), kind), s=(2, -1), axes=(1, 0)),
        *(good(draw((3, 2), kind), norm=norm) for norm in ("backward", "ortho", "forward")),
        *(good(draw((2, 3), d)) for d in (*_PLAIN, *(() if real else COMPLEX))),
        *(good(draw((3, 4), kind, layout=k)) for k in LAYOUTS),
    ], [
        bad_shape("sequence of at least one axis, got None", draw()), *_ERRORS,
        bad_shape("sequence of at least one axis, got 0", draw((2, 2)), axes=0),
        bad_shape("axis must be in -2..1, got 2", draw((2, 2)), axes=(2,)),
        bad_shape(r"axes must differ, got \(0, -2\)", draw((2, 2)), axes=(0, -2)),
        bad(ArgumentError, r"axes must be given with s, got s=\(2, 2\)", draw((2, 2)), s=(2, 2)),
        bad_shape(r"every axis, got \(2,\) for axes \(0, 1\)", draw((2, 2)), s=(2,), axes=(0, 1)),
        bad_shape(f"{_SIZES}0", draw((2, 2)), s=(0, 2), axes=(0, 1)),
        bad_shape(_SIZES, draw((2, 0))),
        *([_NO_COMPLEX] if real else []),
    ], "scalar")

_back = partial(_whole, inverse=True)
one("fft", _whole)
one("ifft", _back)
one("rfft", _half, real=True)
one("irfft", _real)
one("hfft", partial(_real, inverse=False))
one("ihfft", partial(_half, inverse=True), real=True)
many("fftn", _several(_whole))
many("ifftn", _several(_back))
many("rfftn", _several(_whole, _half), real=True)
many("irfftn", _several(_back, _real))
