"""Kernels of the composite operators of neural networks."""

from __future__ import annotations

from typing import Any

from .manipulation import check_range


def softmax(xp: Any, x: Any, *, axis: int, out: Any = None) -> Any:
    out = xp.empty_like(x, order="C") if out is None else out
    xp.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    xp.exp(out, out=out)
    return xp.divide(out, out.sum(axis=axis, keepdims=True), out=out)


def log_softmax(xp: Any, x: Any, *, axis: int, out: Any = None) -> Any:
    out = xp.empty_like(x, order="C") if out is None else out
    xp.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    total = xp.exp(out).sum(axis=axis, keepdims=True)
    return xp.subtract(out, xp.log(total, out=total), out=out)


def cross_entropy(xp: Any, logits: Any, labels: Any, *, out: Any = None) -> Any:
    check_range("cross_entropy", labels, 0, logits.shape[-1])
    shifted = logits - logits.max(axis=-1, keepdims=True)
    picked = xp.take_along_axis(shifted, labels[..., None], axis=-1)[..., 0]
    total = xp.exp(shifted, out=shifted).sum(axis=-1)
    loss = xp.mean(xp.log(total) - picked)
    if out is None:
        return loss
    xp.copyto(out, loss)
    return out


def cross_entropy_grad(xp: Any, logits: Any, labels: Any, g: Any, *, out: Any = None) -> Any:
    check_range("cross_entropy_grad", labels, 0, logits.shape[-1])
    out = softmax(xp, logits, axis=-1, out=out)
    rows = out.reshape(-1, out.shape[-1])
    rows[xp.arange(len(rows)), labels.reshape(-1)] -= 1
    return xp.multiply(out, g / len(rows), out=out)
