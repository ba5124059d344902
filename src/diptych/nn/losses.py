"""Losses as modules."""

from __future__ import annotations

from typing import Any

from . import functional
from .module import Module


class _Loss(Module):
    """The base of losses: a function of two arrays, and its options."""

    loss: Any

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, x: Any, target: Any) -> Any:
        return type(self).loss(x, target, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class _WeightedLoss(_Loss):
    """The base of losses with weights, which are saved and not trained."""

    def __init__(self, weights: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.weights = tuple(weights)
        for name, weight in weights.items():
            if weight is None:
                setattr(self, name, None)
            else:
                self.register_buffer(name, weight)

    def forward(self, x: Any, target: Any) -> Any:
        weights = {name: getattr(self, name) for name in self.weights}
        return type(self).loss(x, target, **weights, **self.options)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy between softmax(logits) and labels; see `functional.cross_entropy`.

    Parameters
    ----------
    weight : array, shape (classes,), optional
    ignore_index : int, optional
    reduction : {"mean", "sum", "none"}
    label_smoothing : float

    Examples
    --------
    >>> dt.nn.CrossEntropyLoss()(dt.zeros((1, 2)), dt.tensor([1]))
    tensor(0.6931472)
    """

    loss = functional.cross_entropy

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        options = {"ignore_index": ignore_index, "reduction": reduction}
        super().__init__({"weight": weight}, **options, label_smoothing=label_smoothing)


class NLLLoss(_WeightedLoss):
    """Minus the logarithm of each label's probability; see `functional.nll_loss`.

    Parameters
    ----------
    weight : array, shape (classes,), optional
    ignore_index : int, optional
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> dt.nn.NLLLoss()(dt.tensor([[-1.0, -2.0]]), dt.tensor([1]))
    tensor(2.)
    """

    loss = functional.nll_loss

    def __init__(
        self, weight: Any = None, ignore_index: int | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__({"weight": weight}, ignore_index=ignore_index, reduction=reduction)


class MSELoss(_Loss):
    """Squared differences; see `functional.mse_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> dt.nn.MSELoss()(dt.tensor([1.0, 3.0]), dt.tensor([1.0, 1.0]))
    tensor(2.)
    """

    loss = functional.mse_loss

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class L1Loss(_Loss):
    """Sizes of the differences; see `functional.l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> dt.nn.L1Loss()(dt.tensor([1.0, 4.0]), dt.tensor([1.0, 1.0]))
    tensor(1.5)
    """

    loss = functional.l1_loss

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class HuberLoss(_Loss):
    """Half the squared differences up to `delta`, then a line; see `functional.huber_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    delta : float

    Examples
    --------
    >>> dt.nn.HuberLoss(delta=2.0)(dt.tensor([4.0]), dt.tensor([1.0]))
    tensor(4.)
    """

    loss = functional.huber_loss

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)


class SmoothL1Loss(_Loss):
    """`HuberLoss` over `beta`; see `functional.smooth_l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    beta : float

    Examples
    --------
    >>> dt.nn.SmoothL1Loss(beta=2.0)(dt.tensor([4.0]), dt.tensor([1.0]))
    tensor(2.)
    """

    loss = functional.smooth_l1_loss

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction, beta=beta)


class BCELoss(_WeightedLoss):
    """Cross-entropy of probabilities; see `functional.binary_cross_entropy`.

    Parameters
    ----------
    weight : array, optional
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> dt.nn.BCELoss()(dt.tensor([0.5]), dt.tensor([1.0]))
    tensor(0.6931472)
    """

    loss = functional.binary_cross_entropy

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__({"weight": weight}, reduction=reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """`BCELoss` of ``sigmoid(x)``; see `functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : array, optional
    reduction : {"mean", "sum", "none"}
    pos_weight : array, optional

    Examples
    --------
    >>> dt.nn.BCEWithLogitsLoss()(dt.tensor([0.0]), dt.tensor([1.0]))
    tensor(0.6931472)
    """

    loss = functional.binary_cross_entropy_with_logits

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__({"weight": weight, "pos_weight": pos_weight}, reduction=reduction)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence from logarithms; see `functional.kl_div`.

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}
    log_target : bool

    Examples
    --------
    >>> logs = dt.log(dt.tensor([[0.5, 0.5]]))
    >>> dt.nn.KLDivLoss("batchmean")(logs, dt.tensor([[1.0, 0.0]]))
    tensor(0.6931472)
    """

    loss = functional.kl_div

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction, log_target=log_target)
