"""Rows of the Fourier transforms, which have no gradient here."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import diptych as dt

from .base import Case, Rng, a_shape, numbers


def _one(is_complex: bool) -> Any:
    def draw(rng: Rng) -> tuple[np.ndarray, int, int, str]:
        shape = a_shape(rng, 1)
        n, axis = int(rng.integers(1, 7)), int(rng.integers(-len(shape), len(shape)))
        return _drawn(rng, shape, is_complex), n, axis, _norm(rng)

    return draw


def _many(is_complex: bool) -> Any:
    def draw(rng: Rng) -> tuple[np.ndarray, list[int], list[int], str]:
        shape = a_shape(rng, 1)
        axes = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)].tolist()
        sizes = rng.integers(1, 7, len(axes)).tolist()
        return _drawn(rng, shape, is_complex), sizes, axes, _norm(rng)

    return draw


def _drawn(rng: Rng, shape: tuple[int, ...], is_complex: bool) -> np.ndarray:
    x = numbers(rng, shape)
    return x + 1j * numbers(rng, shape) if is_complex else x


def _norm(rng: Rng) -> str:
    return str(rng.choice(["backward", "ortho", "forward"]))


def _case(name: str, draw: Any) -> Case:
    return Case(getattr(dt.fft, name), getattr(torch.fft, name), draw, gradients=False)


CASES = {
    **{name: _case(name, _one(True)) for name in ("fft", "ifft", "irfft", "hfft")},
    **{name: _case(name, _one(False)) for name in ("rfft", "ihfft")},
    **{name: _case(name, _many(True)) for name in ("fftn", "ifftn", "irfftn")},
    "rfftn": _case("rfftn", _many(False)),
    "fftshift": Case(
        dt.fft.fftshift, torch.fft.fftshift, lambda rng: (numbers(rng, a_shape(rng, 1)),)
    ),
    "ifftshift": Case(
        dt.fft.ifftshift, torch.fft.ifftshift, lambda rng: (numbers(rng, a_shape(rng, 1)),)
    ),
}
