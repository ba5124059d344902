"""Fourier transforms beside single operators: there and back, frequencies and their order."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from every_style import in_every_style

import diptych as dt
from diptych.errors import ArgumentError, DTypeError, ShapeError

NORMS = ("backward", "ortho", "forward")


def draw(*shape: int, dtype: str = "float64") -> np.ndarray:
    rng = np.random.default_rng(shape)
    x = rng.uniform(-1, 1, shape)
    return (x + 1j * rng.uniform(-1, 1, shape) if dtype[0] == "c" else x).astype(dtype)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_there_and_back(dtype: str, norm: str) -> None:
    x = draw(3, 5, 4, dtype=dtype)
    whole: list[tuple[Any, Any]] = [
        (lambda x: dt.fft.fft(x, axis=1, norm=norm), lambda y: dt.fft.ifft(y, axis=1, norm=norm)),
        (lambda x: dt.fft.fftn(x, axes=(2, 0), norm=norm),
         lambda y: dt.fft.ifftn(y, axes=(2, 0), norm=norm)),
    ]  # fmt: skip
    real: list[tuple[Any, Any]] = [
        (lambda x: dt.fft.rfft(x, axis=1, norm=norm),
         lambda y: dt.fft.irfft(y, n=5, axis=1, norm=norm)),
        (lambda x: dt.fft.ihfft(x, axis=-2, norm=norm),
         lambda y: dt.fft.hfft(y, n=5, axis=-2, norm=norm)),
        (lambda x: dt.fft.rfftn(x, axes=(2, 0), norm=norm),
         lambda y: dt.fft.irfftn(y, s=(4, 3), axes=(2, 0), norm=norm)),
    ]  # fmt: skip
    narrow = dtype in ("float32", "complex64")
    for forth, back in whole + (real if np.dtype(dtype).kind == "f" else []):
        [found] = in_every_style(lambda x, f=forth, b=back: b(f(x)), x)
        assert np.finfo(found.dtype).bits == (32 if narrow else 64)
        np.testing.assert_allclose(found, x, rtol=0, atol=1e-6 if narrow else 1e-14)


def test_lists_of_axes_and_symbolic_batches() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("batch", 6), "float64")
        y = dt.fft.rfft(x)
        z = dt.fft.irfftn(dt.fft.rfftn(x, axes=[1]), s=[6], axes=[1])
        w = dt.fft.fft(x, axis=0)
    assert y.shape == (x.shape[0], 4)
    for batch in (1, 5):
        a = np.random.default_rng(batch).uniform(-1, 1, (batch, 6))
        found = g.compile([y, z, w]).run({x: a})
        for f, e in zip(found, (np.fft.rfft(a), a, np.fft.fft(a, axis=0))):
            np.testing.assert_allclose(f, e, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("d", [1.0, 0.25, 3])
def test_frequencies_are_numpys(n: int, d: float) -> None:
    for ours, numpys in ((dt.fft.fftfreq, np.fft.fftfreq), (dt.fft.rfftfreq, np.fft.rfftfreq)):
        found = ours(n, d, dtype="float64")
        np.testing.assert_allclose(found.array, numpys(n, d), rtol=1e-15)
        assert ours(n).dtype == np.float32
        with dt.static.Graph() as g:
            f = ours(n, d=d, dtype="float64")
        [run] = g.compile([f]).run({})
        np.testing.assert_array_equal(run, found.array)


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1), [1], (2, 0)])
def test_shifts_are_numpys_and_inverse(axes: Any) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (3, 4, 5))
    for ours, numpys in ((dt.fft.fftshift, np.fft.fftshift), (dt.fft.ifftshift, np.fft.ifftshift)):
        [found] = in_every_style(lambda x, f=ours: f(x, axes=axes), x)
        np.testing.assert_array_equal(found, numpys(x, axes))
    [back] = in_every_style(lambda x: dt.fft.ifftshift(dt.fft.fftshift(x, axes=axes), axes=axes), x)
    np.testing.assert_array_equal(back, x)
    assert dt.gradcheck(lambda x: dt.fft.fftshift(x, axes=axes) ** 2, [x[:2, :2, :2].copy()])


WHOLE = "n must be a whole number of at least 1, got "


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: dt.fft.fftfreq(0), ShapeError, f"fftfreq: {WHOLE}0"),
        (lambda: dt.fft.rfftfreq(2.5), ShapeError, f"rfftfreq: {WHOLE}2.5"),
        (lambda: dt.fft.fftfreq(4, 0.0), ArgumentError, "fftfreq: d must not be 0, got 0.0"),
        (
            lambda: dt.fft.fftfreq(4, dtype="int32"),
            DTypeError,
            "fftfreq: dtype must be one of floats, got int32",
        ),
        (
            lambda: dt.fft.fftshift(dt.ones(3), axes=1),
            ShapeError,
            "fftshift: axis must be in -1..0, got 1",
        ),
        (
            lambda: dt.fft.ifftshift(dt.ones((2, 2)), axes=(0, 0)),
            ShapeError,
            "ifftshift: axes must differ, got (0, 0)",
        ),
    ],
)
def test_what_is_wrong_is_refused(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=re.escape(match)):
        call()


def test_half_transforms_of_a_symbolic_axis_are_refused() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n",), "float32")
        with pytest.raises(ShapeError, match="rfft: the number of points must be known, got n"):
            dt.fft.rfft(x)
        with pytest.raises(ShapeError, match="fftshift: shifted axes must have known sizes"):
            dt.fft.fftshift(x)
        with pytest.raises(ShapeError, match="fftfreq: n must be known, got n"):
            dt.fft.fftfreq(x.shape[0])
