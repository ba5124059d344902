"""Optimisers, schedules and clipping: one arithmetic, written in operators, for every style."""

from .adagrad import Adagrad
from .adam import Adam
from .adamw import AdamW
from .clipping import clip_by_global_norm, clip_by_value, clip_grad_norm_, clip_grad_value_
from .groups import ParameterGroup
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .rmsprop import RMSprop
from .schedulers import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
    StepLR,
)
from .sgd import SGD

__all__ = [
    "LBFGS", "SGD", "Adagrad", "Adam", "AdamW", "CosineAnnealingLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "Optimizer", "ParameterGroup", "RMSprop",
    "ReduceLROnPlateau", "SequentialLR", "StepLR", "clip_by_global_norm", "clip_by_value",
    "clip_grad_norm_", "clip_grad_value_",
]  # fmt: skip
