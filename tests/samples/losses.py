"""Samples of the losses on labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import (
    FLOATS,
    INTS,
    LAYOUTS,
    bad,
    bad_dtype,
    bad_range,
    bad_shape,
    draw,
    entry,
    good,
    lay,
    rough,
)

# The formatter would give every sample lines of its own.
# fmt: off

def _targets(labels: Any, classes: int, ignore_index: Any, label_smoothing: float = 0.0) -> Any:
    """The distribution that each row should have; zeros where it does not count."""
    kept = np.ones(labels.shape) if ignore_index is None else labels != ignore_index
    hot = np.arange(classes) == labels[..., None]
    return (hot * (1 - label_smoothing) + label_smoothing / classes) * kept[..., None]

def _row_weights(labels: Any, ignore_index: Any, reduction: str) -> Any:
    counted = labels.size if ignore_index is None else (labels != ignore_index).sum()
    return np.ones(()) / counted if reduction == "mean" else np.ones(())

def _probabilities(logits: Any) -> np.ndarray:
    return 1 / np.exp(logits[..., None, :] - logits[..., :, None]).sum(-1)

def _entropies(logs: Any, labels: Any, targets: Any, ignore_index: Any, reduction: str) -> Any:
    losses = -(targets * logs).sum(-1)
    if reduction == "none":
        return losses
    return (losses * _row_weights(labels, ignore_index, reduction)).sum()

def _cross_entropy(logits: Any, labels: Any, ignore_index: Any, reduction: str,
                   label_smoothing: float) -> Any:
    targets = _targets(labels, logits.shape[-1], ignore_index, label_smoothing)
    return _entropies(np.log(_probabilities(logits)), labels, targets, ignore_index, reduction)

def _nll_loss(log_probs: Any, labels: Any, ignore_index: Any, reduction: str) -> Any:
    targets = _targets(labels, log_probs.shape[-1], ignore_index)
    return _entropies(log_probs, labels, targets, ignore_index, reduction)

def _per_row(g: Any, labels: Any, ignore_index: Any, reduction: str) -> Any:
    weights = g * _row_weights(labels, ignore_index, reduction)
    return np.broadcast_to(weights, labels.shape)[..., None]

def _cross_entropy_grad(logits: Any, labels: Any, g: Any, ignore_index: Any, reduction: str,
                        label_smoothing: float) -> np.ndarray:
    targets = _targets(labels, logits.shape[-1], ignore_index, label_smoothing)
    away = _probabilities(logits) * (targets.sum(-1, keepdims=True) > 0) - targets
    return away * _per_row(g, labels, ignore_index, reduction)

def _nll_loss_grad(labels: Any, g: Any, classes: int, ignore_index: Any, reduction: str
                   ) -> np.ndarray:
    return -_targets(labels, classes, ignore_index) * _per_row(g, labels, ignore_index, reduction)

def _labels(shape: Any, dtype: str = "int64") -> np.ndarray:
    return draw(shape, dtype, 0, 2, seed=3)

_LOGITS = draw((2, 3))
_SOME = np.array([0, -100, 2, 2])  # a label that is none, and two alike
_CALLS: Any = (
    {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 2},
    {"ignore_index": -100, "reduction": "sum"}, {"ignore_index": 2, "reduction": "none"},
)
_OPTION_ERRORS: Any = (
    ("reduction must be 'mean', 'sum' or 'none', got 'max'", {"reduction": "max"}),
    ("reduction must be 'mean', 'sum' or 'none', got None", {"reduction": None}),
    ("ignore_index must be a whole number, got 1.5", {"ignore_index": 1.5}),
)
_SMOOTHING_ERRORS: Any = (
    ("label_smoothing must be in 0..1, got 1.5", {"label_smoothing": 1.5}),
    ("label_smoothing must be in 0..1, got None", {"label_smoothing": None}),
)

def _g(labels: Any, dtype: str = "float32", **attrs: Any) -> np.ndarray:
    return draw(labels.shape if attrs.get("reduction") == "none" else (), dtype)

for _name, _loss, _what, _smooth, _grad in (
    ("cross_entropy", _cross_entropy, "logits", True, False),
    ("cross_entropy_grad", _cross_entropy_grad, "logits", True, True),
    ("nll_loss", _nll_loss, "log_probs", False, False),
):
    def _call(rows: Any, labels: Any, d: str = "float32", *, of: bool = _grad, **attrs: Any) -> Any:
        return good(rows, labels, *((_g(labels, d, **attrs),) if of else ()), **attrs)

    _more = ({"label_smoothing": 0.1}, {"label_smoothing": 1.0, "reduction": "none"}) * _smooth
    _and = (draw(),) * _grad
    entry(_name, _loss, [
        *(_call(draw((*rows, 3)), _labels(rows)) for rows in ((4,), (1,), (2, 2), ())),
        *(_call(draw((n, 3), d), _labels((n,)), d) for d in FLOATS for n in (3, 5)),
        *(_call(draw((4, 3)), _labels((4,), d)) for d in INTS),
        *(_call(draw((4, 3), layout=k), lay(_labels((4,)), k)) for k in LAYOUTS),
        *(_call(draw((4, 3)), _labels((4,)), **a) for a in (*_CALLS[:2], *_more)),
        *(_call(draw((4, 3)), _SOME, **a, ignore_index=-100) for a in ({}, *_CALLS[:2], *_more)),
        *(_call(draw((2, 2, 3)), _labels((2, 2)), **a) for a in _CALLS[2:]),
        *(good(draw((4, 3)), _SOME.astype("int8"), g, ignore_index=-100)
          for g in (*_and, 2.0) if _grad),
        rough(draw((2, 3)), np.array([1, 1]), *_and, ignore_index=1, reduction="sum"),
        *(good(draw((2, 3)), _labels((2,)), 1.0, reduction="none") for _ in _and),
    ], [
        bad_shape(rf"labels must have the shape of {_what} without its last axis, got \(3,\) for "
                  r"\(2, 3\)", _LOGITS, _labels((3,)), *_and),
        bad_shape(r"without its last axis, got \(\) for \(\)", draw(), _labels(()), *_and),
        bad_dtype("labels must be integers, got float32", _LOGITS, draw((2,)), *_and),
        bad_dtype(f"{_what} must be floats, got int64", _labels((2, 3)), _labels((2,)), *_and),
        bad_shape(r"must not be empty, got \(0, 3\)", draw((0, 3)), _labels((0,)), *_and),
        bad_range("must be in 0..2, got 3", _LOGITS, np.array([0, 3]), *_and),
        bad_range("must be in 0..2, got -1", _LOGITS, np.array([-1, 0]), *_and),
        bad_range("must be in 0..2, got 5", _LOGITS, np.array([1, 5]), *_and, ignore_index=1),
        *(bad(ArgumentError, match, _LOGITS, _labels((2,)), *_and, **attrs)
          for match, attrs in (*_OPTION_ERRORS, *_SMOOTHING_ERRORS * _smooth)),
        *(bad_shape(r"the cotangent must have shape \(\), got \(2,\)", _LOGITS, _labels((2,)),
                    draw((2,))) for _ in _and),
        *(bad_shape(r"the cotangent must have shape \(2,\), got \(3,\)", _LOGITS, _labels((2,)),
                    draw((3,)), reduction="none") for _ in _and),
    ], lacks="empty")

entry("nll_loss_grad", _nll_loss_grad, [
    *(good(_labels(rows), draw(), classes=3) for rows in ((4,), (1,), (2, 2), ())),
    *(good(_labels((3,)), draw((), d), classes=3) for d in FLOATS),
    *(good(_labels((4,), d), draw(), classes=4) for d in INTS),
    *(good(lay(_labels((4,)), k), draw((4,), layout=k), classes=3, reduction="none")
      for k in LAYOUTS),
    *(good(_labels((2, 2)), _g(_labels((2, 2)), **a), classes=3, **a) for a in _CALLS),
    *(good(_SOME, _g(_SOME, **a), classes=3, **a, ignore_index=-100) for a in ({}, *_CALLS[:2])),
    good(_SOME, draw(), classes=3, reduction="none", ignore_index=-100),
], [
    bad_dtype("labels must be integers, got float32", draw((2,)), draw(), classes=3),
    bad_dtype("the cotangent must be floats, got int64", _labels((2,)), _labels(()), classes=3),
    bad_shape(r"labels must not be empty, got \(0,\)", _labels((0,)), draw(), classes=3),
    bad_shape(r"the cotangent must have shape \(\), got \(2,\)", _labels((2,)), draw((2,)),
              classes=3),
    bad_range("must be in 0..2, got 3", np.array([0, 3]), draw(), classes=3),
    bad(ArgumentError, "classes must be a whole number of at least 1, got 0", _labels((2,)), draw(),
        classes=0),
    *(bad(ArgumentError, match, _labels((2,)), draw(), classes=3, **attrs)
      for match, attrs in _OPTION_ERRORS),
], lacks="empty")
