"""Kernels worked out once for the shapes and attributes that they are bound to.

A kernel reads its attributes and its operands' shapes at each call, which on a few numbers is most
of the work. Where the extension is built, these know them; what does not lie as was foreseen goes
to the kernel as it is written, which gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..compiled import loop, speedups
from ..dtypes import FLOAT32, FLOAT64
from . import elementwise, indexing, manipulation, reductions
from .calls import are_few

Kernel = Callable[..., Any]


def prepared(kernel: Kernel, xp: Any, ins: Any, outs: Any, attrs: dict[str, Any]) -> Kernel:
    """A kernel bound to attributes, and to the shapes of its operands where that is of use.

    Parameters
    ----------
    kernel : callable
        ``kernel(xp, *arrays, out=None, **attrs)``.
    xp : module
    ins, outs : tuple of Aval
    attrs : dict

    Returns
    -------
    callable
        ``kernel(*arrays, out=None)``.
    """
    careful = partial(kernel, xp, **attrs)
    make = None if speedups is None or xp is not np else _MAKERS.get(kernel)
    if make is None or not all(map(_is_known, (*ins, *outs))):
        return careful
    return make(careful, ins, outs[0], **attrs) or careful


def _is_known(aval: Any) -> bool:
    """Whether the extension takes a shape: one without symbolic sizes."""
    return len(aval.shape) <= speedups.MOST_AXES and all(isinstance(n, int) for n in aval.shape)


# -- views -----------------------------------------------------------------------------------


def _selected(careful: Kernel, ins: Any, out: Any, *, index: tuple[Any, ...]) -> Kernel:
    begins: list[int] = []
    sources: list[int] = []
    steps: list[int] = []
    for entry in index:
        if isinstance(entry, tuple):
            begin, _, step = slice(*entry).indices(ins[0].shape[len(begins)])
            sources.append(len(begins))
            steps.append(step)
            begins.append(begin)
        elif entry is None:
            sources.append(0)
            steps.append(0)
        else:
            begins.append(entry)
    return _view(careful, ins, out, begins, sources, steps)


def _permuted(careful: Kernel, ins: Any, out: Any, *, axes: tuple[int, ...]) -> Kernel:
    return _view(careful, ins, out, [0] * len(axes), axes, [1] * len(axes))


def _squeezed(careful: Kernel, ins: Any, out: Any, *, axis: tuple[int, ...]) -> Kernel:
    ndim = len(ins[0].shape)
    kept = [a for a in range(ndim) if a not in axis]
    return _view(careful, ins, out, [0] * ndim, kept, [1] * len(kept))


def _repeated(careful: Kernel, ins: Any, out: Any, *, shape: tuple[int, ...]) -> Kernel:
    given = ins[0].shape
    new = len(shape) - len(given)
    sources = [max(a - new, 0) for a in range(len(shape))]
    steps = [int(a >= new and given[a - new] != 1) for a in range(len(shape))]
    return _view(careful, ins, out, [0] * len(given), sources, steps, True)


def _view(
    careful: Kernel,
    ins: Any,
    out: Any,
    begins: Any,
    sources: Any,
    steps: Any,
    readonly: bool = False,
) -> Kernel:
    places = (tuple(begins), tuple(sources), tuple(steps))
    return speedups.View(careful, ins[0].shape, out.shape, *places, readonly)


def _reshaped(careful: Kernel, ins: Any, out: Any, **attrs: Any) -> Kernel | None:
    given = ins[0].shape
    return None if given == out.shape else speedups.View(careful, given, out.shape)


# -- pieces ----------------------------------------------------------------------------------


def _joined(careful: Kernel, ins: Any, out: Any, *, axis: int) -> Kernel | None:
    if len(ins) > speedups.MOST_JOINED or len({x.dtype for x in ins}) > 1:
        return None
    if out.size >= reductions.LARGE:  # a copy that is long holds up other threads
        return None
    rows = math.prod(out.shape[:axis])
    return speedups.Join(careful, out.shape, rows, tuple([math.prod(x.shape[axis:]) for x in ins]))


# -- numbers ---------------------------------------------------------------------------------


def _looped(name: str) -> Kernel:
    def make(careful: Kernel, ins: Any, out: Any) -> Kernel | None:
        has_loop = out.dtype.char in elementwise.LOOPED
        return loop(getattr(speedups, name)) if has_loop and are_few(out) else None

    return make


def _added(careful: Kernel, ins: Any, out: Any) -> Kernel | None:
    return loop(np.add) if len(ins) == 2 else None


def _summed(
    careful: Kernel, ins: Any, out: Any, *, axis: tuple[int, ...], keepdims: bool, dtype: Any
) -> Kernel | None:
    return _sum(careful, ins[0], out, axis)


def _summed_to(careful: Kernel, ins: Any, out: Any, *, shape: tuple[int, ...]) -> Kernel | None:
    given = ins[0].shape
    new = len(given) - len(shape)
    axis = tuple(a for a, n in enumerate(given) if a < new or shape[a - new] != n)
    return _sum(careful, ins[0], out, axis)


def _sum(careful: Kernel, x: Any, out: Any, axis: tuple[int, ...]) -> Kernel | None:
    """Of so few numbers that threads have no part in it."""
    sizes = reductions.as_four(x.shape, axis)
    if sizes is None or not 0 < x.size < reductions.LARGE:
        return None
    if x.dtype not in (FLOAT32, FLOAT64) or out.dtype != x.dtype:
        return None
    return speedups.Sum(np.add, careful, x.shape, out.shape, sizes)


_MAKERS: dict[Kernel, Callable[..., Kernel | None]] = {
    indexing.getitem: _selected,
    manipulation.permute_dims: _permuted,
    manipulation.squeeze: _squeezed,
    manipulation.broadcast_to: _repeated,
    manipulation.reshape: _reshaped,
    manipulation.expand_dims: _reshaped,
    manipulation.concat: _joined,
    manipulation.stack: _joined,
    elementwise.sigmoid: _looped("sigmoid"),
    elementwise.relu: _looped("relu"),
    reductions.accumulate: _added,
    reductions.sum: _summed,
    reductions.sum_to: _summed_to,
}
