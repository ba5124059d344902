"""Manipulation, indexing, gathering and scattering."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import diptych as dt

from .base import Case, Rng, a_shape, broadcasting, numbers


def _axis(rng: Rng, x: Any) -> int:
    return int(rng.integers(-x.ndim, x.ndim))


def _at(rng: Rng, size: int, shape: Any) -> np.ndarray:
    return rng.integers(0, size, shape)


def _array(rng: Rng, least: int = 1) -> np.ndarray:
    return numbers(rng, a_shape(rng, least=least))


def _along_axis(rng: Rng) -> Any:
    x = _array(rng)
    axis = _axis(rng, x)
    return x, axis


def _taken(rng: Rng) -> Any:
    x, axis = _along_axis(rng)
    return x, _at(rng, x.shape[axis], int(rng.integers(0, 6))), axis


def _along(rng: Rng) -> Any:
    x, axis = _along_axis(rng)
    shape = list(x.shape)
    shape[axis] = int(rng.integers(1, 6))
    return x, _at(rng, x.shape[axis], shape), axis


def _put_along(rng: Rng) -> Any:
    """Indices that differ along the axis: which of equal ones wins is open in torch."""
    x, axis = _along_axis(rng)
    order = np.argsort(rng.uniform(size=x.shape), axis)
    kept = int(rng.integers(0, x.shape[axis] + 1))
    at = np.moveaxis(np.moveaxis(order, axis, 0)[:kept], 0, axis)
    return x, at, numbers(rng, at.shape), axis


def _points(rng: Rng) -> Any:
    x = _array(rng, least=2)
    shapes = broadcasting(rng, 2)
    return x, _at(rng, x.shape[0], shapes[0]), _at(rng, x.shape[1], shapes[1])


def _separated(rng: Rng) -> Any:
    x = numbers(rng, a_shape(rng, least=3))
    return x, _at(rng, x.shape[0], 3), _at(rng, x.shape[2], 3)


def _written(rng: Rng) -> Any:
    x = _array(rng, least=2)
    count = int(rng.integers(1, x.shape[0] + 1))
    at = rng.permutation(x.shape[0])[:count]
    return x, numbers(rng, (count, *x.shape[1:])), at


def _masked(rng: Rng) -> Any:
    x = _array(rng)
    return x, rng.uniform(size=x.shape[: rng.integers(1, x.ndim + 1)]) < 0.5


def _torch_put(x: Any, value: Any, *index: Any) -> Any:
    y = x.clone()
    y[index] = value
    return y


def _padded(mode: str) -> Any:
    names = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}

    def theirs(x: Any, before: int, after: int) -> Any:
        if mode == "constant":
            return torch.nn.functional.pad(x, (before, after), value=-1.5)
        return torch.nn.functional.pad(x, (before, after), names[mode])

    def ours(x: Any, before: int, after: int) -> Any:
        return dt.pad(x, ((0, 0), (0, 0), (before, after)), mode, constant_values=-1.5)

    def draw(rng: Rng) -> Any:
        x = numbers(rng, a_shape(rng, least=3))
        before, after = rng.integers(0, x.shape[2], 2).tolist()
        return x, before, after

    return Case(ours, theirs, draw)


def _triangle(rng: Rng) -> Any:
    return _array(rng, least=2), int(rng.integers(-4, 5))


def _rolled(rng: Rng) -> Any:
    x, axis = _along_axis(rng)
    return x, int(rng.integers(-9, 10)), axis


CASES: dict[str, Case] = {
    "take": Case(dt.take, lambda x, at, axis: torch.index_select(x, axis, at), _taken),
    "scatter_add": Case(
        lambda x, at, axis: dt.scatter_add(dt.take(x, at, axis) * 2.0, at, axis, x.shape),
        lambda x, at, axis: torch.zeros_like(x).index_add(
            axis, at, torch.index_select(x, axis, at) * 2.0
        ),
        _taken,
    ),
    "take_along_axis": Case(dt.take_along_axis, torch.take_along_dim, _along),
    "add_along_axis": Case(
        lambda x, at, axis: dt.add_along_axis(
            dt.take_along_axis(x, at, axis) * 2.0, at, axis, x.shape
        ),
        lambda x, at, axis: torch.zeros_like(x).scatter_add(
            axis, at, torch.gather(x, axis, at) * 2.0
        ),
        _along,
    ),
    "put_along_axis": Case(
        dt.put_along_axis, lambda x, at, v, axis: torch.scatter(x, axis, at, v), _put_along
    ),
    "getitem by points": Case(lambda x, i, j: x[i, j], lambda x, i, j: x[i, j], _points),
    "getitem by separated points": Case(
        lambda x, i, j: x[i, :, j], lambda x, i, j: x[i, :, j], _separated
    ),
    "getitem by a mask": Case(lambda x, m: x[m], lambda x, m: x[m], _masked),
    "setitem by rows": Case(dt.setitem, _torch_put, _written),
    "setitem by a mask": Case(
        lambda x, m: dt.setitem(x, 7.0, m), lambda x, m: _torch_put(x, 7.0, m), _masked
    ),
    "one_hot": Case(
        lambda x: dt.one_hot(x, 5, "int64"),
        lambda x: torch.nn.functional.one_hot(x, 5),
        lambda rng: (_at(rng, 5, a_shape(rng)),),
        gradients=False,
    ),
    "pad": _padded("constant"),
    "pad reflect": _padded("reflect"),
    "pad edge": _padded("edge"),
    "pad wrap": _padded("wrap"),
    "roll": Case(dt.roll, torch.roll, _rolled),
    "flip": Case(dt.flip, lambda x, axis: torch.flip(x, (axis,)), _along_axis),
    "tril": Case(dt.tril, torch.tril, _triangle),
    "triu": Case(dt.triu, torch.triu, _triangle),
    "repeat": Case(
        lambda x, axis: dt.repeat(x, 3, axis=axis),
        lambda x, axis: torch.repeat_interleave(x, 3, axis),
        _along_axis,
    ),
    "tile": Case(
        lambda x: dt.tile(x, (2, 3)), lambda x: torch.tile(x, (2, 3)), lambda rng: (_array(rng),)
    ),
    "stack": Case(
        lambda x, y, axis: dt.stack([x, y], axis=axis),
        lambda x, y, axis: torch.stack([x, y], axis),
        lambda rng: (*(lambda x, axis: (x, 2 * x, axis))(*_along_axis(rng)),),
    ),
    "concat": Case(
        lambda x, y, axis: dt.concat([x, y], axis=axis),
        lambda x, y, axis: torch.concat([x, y], axis),
        lambda rng: (*(lambda x, axis: (x, 2 * x, axis))(*_along_axis(rng)),),
    ),
}  # fmt: skip
